// The filters of the list of runs, and the URL that holds them.

export const STATUSES = [
  "queued",
  "running",
  "waiting",
  "closing",
  "stuck",
  "succeeded",
  "failed",
  "cancelled",
  "timed_out",
] as const;
export type Status = (typeof STATUSES)[number];

export const LIVE: readonly Status[] = ["queued", "running", "waiting", "closing", "stuck"];
export const NOT_WELL: readonly Status[] = ["failed", "timed_out", "stuck"];

/** As the API takes it, and as it stands in the URL. What is absent is not filtered by. */
export interface RunFilter {
  status?: string;
  workflow?: string;
  subject?: string;
}

/** Of a URL: what is no filter is left out, statuses that do not exist too. */
export function readFilter(search: Record<string, unknown>): RunFilter {
  const filter: RunFilter = {};
  const status = writeStatuses(readStatuses(search.status));
  if (status !== undefined) filter.status = status;
  const workflow = readText(search.workflow);
  if (workflow !== undefined) filter.workflow = workflow;
  const subject = readText(search.subject);
  if (subject !== undefined) filter.subject = subject;
  return filter;
}

/** A URL's value may have been taken for a number. */
function readText(value: unknown): string | undefined {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return typeof value === "string" && value.trim() !== "" ? value.trim() : undefined;
}

export function readStatuses(value: unknown): Status[] {
  if (typeof value !== "string") return [];
  const named = value.split(",").map((word) => word.trim());
  return STATUSES.filter((status) => named.includes(status));
}

/** In the order of a run's life, so that the same choice is the same URL. */
export function writeStatuses(statuses: readonly Status[]): string | undefined {
  const chosen = STATUSES.filter((status) => statuses.includes(status));
  return chosen.length === 0 ? undefined : chosen.join(",");
}

/** All of a group on, or all of it off if it was on. */
export function toggleStatuses(filter: RunFilter, group: readonly Status[]): RunFilter {
  const chosen = readStatuses(filter.status);
  const isOn = group.every((status) => chosen.includes(status));
  const next = isOn ? chosen.filter((status) => !group.includes(status)) : [...chosen, ...group];
  const { status: _, ...rest } = filter;
  const status = writeStatuses(next);
  return status === undefined ? rest : { ...rest, status };
}

/** The same list on the command line. */
export function filterCommand(filter: RunFilter): string {
  const parts = ["valet runs"];
  if (filter.workflow !== undefined) parts.push(`--workflow ${quoted(filter.workflow)}`);
  if (filter.status !== undefined) parts.push(`--status ${filter.status}`);
  if (filter.subject !== undefined) parts.push(`--subject ${quoted(filter.subject)}`);
  return parts.join(" ");
}

/** A word of a shell. */
export function quoted(text: string): string {
  return /^[\w./:@=,+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
