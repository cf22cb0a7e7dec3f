// Schedules: their form and what it sends, and their instants in words.
import type { components } from "../api/schema";

type Put = components["schemas"]["PutScheduleRequest"];
type View = components["schemas"]["ScheduleView"];
type Start = components["schemas"]["StartRunRequest"];

export const OVERLAPS = [
  { name: "skip", means: "leave the new one out" },
  { name: "queue", means: "one after the other" },
  { name: "cancel_old", means: "cancel the one under way" },
  { name: "allow", means: "let them run beside each other" },
] as const;

export const FIRE_STATES = ["waiting", "starting", "started", "skipped", "refused"] as const;

/** What is typed, as it is typed. */
export interface Typed {
  name: string;
  workflow: string;
  when: "cron" | "at";
  cron: string;
  zone: string;
  /** A local date and time. */
  at: string;
  overlap: string;
  catchUp: string;
}

export const NEW: Typed = {
  name: "",
  workflow: "",
  when: "cron",
  cron: "30 9 * * MON-FRI",
  zone: "UTC",
  at: "",
  overlap: "skip",
  catchUp: "",
};

/** Of a schedule that is there. */
export function typedOf(view: View): Typed {
  return {
    name: view.name,
    workflow: view.workflow,
    when: view.at == null ? "cron" : "at",
    cron: view.cron ?? "",
    zone: view.zone,
    at: view.at == null ? "" : localInput(view.at),
    overlap: view.overlap,
    catchUp: String(view.catch_up_seconds),
  };
}

/** `undefined` while something that every schedule has is not there yet. */
export function requestOf(typed: Typed, run: Start): Put | undefined {
  const at = instantOf(typed.at);
  if (typed.workflow === "" || (typed.when === "cron" ? typed.cron.trim() === "" : at === undefined)) return undefined;
  const seconds = /^\d+$/.test(typed.catchUp.trim()) ? Number(typed.catchUp) : undefined;
  return {
    workflow: typed.workflow,
    ...(typed.when === "cron" ? { cron: typed.cron.trim(), zone: typed.zone.trim() || "UTC" } : { at: at ?? null }),
    overlap: typed.overlap,
    ...(seconds === undefined ? {} : { catch_up_seconds: seconds }),
    run,
  };
}

/** Of a field for a local date and time. */
export function instantOf(local: string): string | undefined {
  const at = new Date(local);
  return local === "" || Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}

/** For such a field. */
export function localInput(at: string): string {
  const date = new Date(at);
  const pad = (number: number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day}T${pad(date.getHours())}:${pad(date.getMinutes())}`;
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/** Whether the seconds say something. */
export function hasSeconds(at: string): boolean {
  return !/T\d\d:\d\d(:00(\.0+)?)?(Z|[+-]|$)/.test(at);
}

/** An instant as clocks in its zone show it: `2026-11-23T09:30:00+01:00` → `Mon 2026-11-23 09:30 +01:00`. */
export function zoned(at: string, withSeconds = hasSeconds(at)): string {
  const parts = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?(?:\.\d+)?(.*)$/.exec(at);
  if (parts === null) return at;
  const [, day = "", time = "", seconds = "", offset = ""] = parts;
  const shown = withSeconds ? `${time}${seconds}` : time;
  return `${DAYS[new Date(`${day}T00:00:00Z`).getUTCDay()] ?? ""} ${day} ${shown} ${offset === "Z" ? "UTC" : offset}`;
}

/** When it fires, in a word. */
export function whenWords({ cron, at, zone }: Pick<View, "cron" | "at" | "zone">): string {
  return at == null ? `${cron ?? ""} (${zone})` : `once, ${zoned(at)}`;
}
