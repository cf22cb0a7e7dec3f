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
  /** A JSON object of plain values: runs that have all of them. */
  attributes?: string;
  error_code?: string;
  /** Children of this run. */
  parent?: string;
  /** Instants. */
  created_from?: string;
  created_before?: string;
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
  const attributes = writeAttributes(readAttributes(search.attributes));
  if (attributes !== undefined) filter.attributes = attributes;
  const error = readText(search.error_code);
  if (error !== undefined) filter.error_code = error;
  const parent = readText(search.parent);
  if (parent !== undefined) filter.parent = parent;
  for (const name of ["created_from", "created_before"] as const) {
    const at = readText(search[name]);
    if (at !== undefined && !Number.isNaN(Date.parse(at))) filter[name] = new Date(at).toISOString();
  }
  return filter;
}

export type Plain = string | number | boolean;

/** Of a URL, whose JSON may have been read already. */
export function readAttributes(value: unknown): Record<string, Plain> {
  let found = value;
  if (typeof value === "string") {
    try {
      found = JSON.parse(value) as unknown;
    } catch {
      return {};
    }
  }
  if (typeof found !== "object" || found === null || Array.isArray(found)) return {};
  const isPlain = (entry: [string, unknown]): entry is [string, Plain] =>
    ["string", "number", "boolean"].includes(typeof entry[1]);
  return Object.fromEntries(Object.entries(found).filter(isPlain));
}

export function writeAttributes(attributes: Readonly<Record<string, Plain>>): string | undefined {
  return Object.keys(attributes).length === 0 ? undefined : JSON.stringify(attributes);
}

/** `name=value`, as the command line takes it. */
export function attributeOf(text: string): [string, Plain] | undefined {
  const at = text.indexOf("=");
  if (at < 1) return undefined;
  const value = text.slice(at + 1).trim();
  const plain = /^(true|false|-?(0|[1-9]\d*)(\.\d+)?)$/.test(value) ? (JSON.parse(value) as Plain) : value;
  return [text.slice(0, at).trim(), plain];
}

/** Without one part of it. */
export function without(filter: RunFilter, name: keyof RunFilter): RunFilter {
  const { [name]: _, ...rest } = filter;
  return rest;
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
  for (const [name, value] of Object.entries(readAttributes(filter.attributes))) {
    parts.push(`--attribute ${quoted(`${name}=${String(value)}`)}`);
  }
  if (filter.error_code !== undefined) parts.push(`--error-code ${quoted(filter.error_code)}`);
  if (filter.parent !== undefined) parts.push(`--parent ${quoted(filter.parent)}`);
  if (filter.created_from !== undefined) parts.push(`--since ${filter.created_from}`);
  if (filter.created_before !== undefined) parts.push(`--until ${filter.created_before}`);
  return parts.join(" ");
}

/** A word of a shell. */
export function quoted(text: string): string {
  return /^[\w./:@=,+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
