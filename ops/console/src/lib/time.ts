// Times in words.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `67 ms`, `1.4 s`, `34 s`, `2 min 5 s`, `3 h 12 min`, `4 d 2 h`. */
export function duration(ms: number): string {
  if (ms < 0) return "0 ms";
  if (ms < SECOND) return `${Math.floor(ms)} ms`;
  if (ms < 10 * SECOND) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return two(ms, MINUTE, "min", SECOND, "s");
  if (ms < DAY) return two(ms, HOUR, "h", MINUTE, "min");
  return two(ms, DAY, "d", HOUR, "h");
}

function two(ms: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((ms % large) / small);
  const first = `${Math.floor(ms / large)} ${largeName}`;
  return rest === 0 ? first : `${first} ${rest} ${smallName}`;
}

/** The largest unit only: what lists show. */
function rough(ms: number): string {
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} d`;
}

/** `33 s ago`, `in 4 h`. */
export function relative(at: string, now: number): string {
  const ms = now - Date.parse(at);
  if (Math.abs(ms) < SECOND) return "now";
  return ms > 0 ? `${rough(ms)} ago` : `in ${rough(-ms)}`;
}

/** From one instant to another, or to now. */
export function between(from: string, to: string | null | undefined, now: number): number {
  return Math.max(0, (to == null ? now : Date.parse(to)) - Date.parse(from));
}

/** The local date and time, with the zone: what a pointer over a relative time shows. */
export function exact(at: string): string {
  const form: Intl.DateTimeFormatOptions = { dateStyle: "medium", timeStyle: "long" };
  return new Intl.DateTimeFormat(undefined, form).format(new Date(at));
}

/** `13:46:03.682`, for rows that share a day. */
export function clock(at: string): string {
  const date = new Date(at);
  const pad = (number: number, digits = 2) => String(number).padStart(digits, "0");
  const seconds = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return `${seconds}.${pad(date.getMilliseconds(), 3)}`;
}
