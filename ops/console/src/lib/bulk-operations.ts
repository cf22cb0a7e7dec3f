// Bulk operations: what they do, to which runs, and how far they are.
import type { BulkAction, BulkFilter, BulkOperation } from "../api/bulk-operations";
import { filterCommand, readAttributes, readFilter, type RunFilter, readStatuses } from "./filters";
import { plural, spaced } from "./words";

export interface ActionKind {
  action: BulkAction;
  name: string;
  /** Of those to whom it was done. */
  past: string;
  danger: boolean;
  /** What it means for each run. */
  about: string;
  /** Whose it is. */
  scope: "operate" | "admin";
}

export const ACTIONS: readonly ActionKind[] = [
  {
    action: "pause",
    name: "Pause",
    past: "paused",
    danger: false,
    about: "Nothing new of them is granted; it can be undone.",
    scope: "operate",
  },
  {
    action: "resume",
    name: "Resume",
    past: "resumed",
    danger: false,
    about: "Those that are paused go on; it can be undone.",
    scope: "operate",
  },
  {
    action: "retry",
    name: "Retry",
    past: "retried",
    danger: false,
    about: "Those that are stuck try again what ran out of attempts.",
    scope: "operate",
  },
  {
    action: "fork",
    name: "Fork",
    past: "forked",
    danger: false,
    about: "Each begins anew as a run of its own, with its input. The first ones stay as they are.",
    scope: "operate",
  },
  {
    action: "cancel",
    name: "Cancel",
    past: "cancelled",
    danger: true,
    about: "They clean up after themselves and end. It cannot be undone.",
    scope: "operate",
  },
  {
    action: "delete",
    name: "Delete",
    past: "deleted",
    danger: true,
    about: "Of those that have ended nothing is kept: no journal, no file. It cannot be undone.",
    scope: "admin",
  },
];

const FIRST = ACTIONS[0] as ActionKind;

export function actionOf(action: string): ActionKind {
  return ACTIONS.find((one) => one.action === action) ?? { ...FIRST, name: action, past: action };
}

/** The filter of the list as an operation takes it. */
export function bulkFilterOf({ status, attributes, ...same }: RunFilter): BulkFilter {
  return {
    ...same,
    ...(status === undefined ? {} : { status: readStatuses(status) }),
    ...(attributes === undefined ? {} : { attributes: readAttributes(attributes) as never }),
  };
}

/** The other way: the list of the runs that fit it now. */
export function runFilterOf({ status, attributes, ...same }: BulkFilter): RunFilter {
  return readFilter({
    ...same,
    ...(status == null ? {} : { status: status.join(",") }),
    ...(attributes == null ? {} : { attributes: JSON.stringify(attributes) }),
  });
}

/** `workflow asks, running or waiting`. */
export function filterWords(filter: BulkFilter): string {
  const { workflow, status, subject, attributes, error_code: code, parent, created_from, created_before } = filter;
  const parts = [
    workflow == null ? "" : `workflow ${workflow}`,
    status == null ? "" : status.map(spaced).join(" or "),
    subject == null ? "" : `subject ${subject}`,
    ...Object.entries(attributes ?? {}).map(([name, value]: [string, unknown]) => `${name} = ${String(value)}`),
    code == null ? "" : `error ${code}`,
    parent == null ? "" : `children of ${parent}`,
    created_from == null ? "" : `from ${created_from}`,
    created_before == null ? "" : `before ${created_before}`,
  ];
  return parts.filter((part) => part !== "").join(", ");
}

/** The same on the command line. */
export function startCommand(action: BulkAction, filter: RunFilter): string {
  return filterCommand(filter).replace("valet runs", `valet bulk start ${action}`);
}

/** From 0 to 1; `undefined` while its runs are looked up. */
export function partOf({ collected, total, done, skipped, failed }: BulkOperation): number | undefined {
  if (!collected) return undefined;
  return total === 0 ? 1 : (done + skipped + failed) / total;
}

/** `120 of 400 runs paused, 3 passed over, 1 failed`. */
export function progressWords({ action, collected, total, done, skipped, failed }: BulkOperation): string {
  if (!collected) return total === 0 ? "looking for its runs" : `looking for its runs: ${plural(total, "run")} so far`;
  if (total === 0) return "no run fitted it";
  const parts = [
    `${done.toLocaleString()} of ${plural(total, "run")} ${actionOf(action).past}`,
    skipped === 0 ? "" : `${skipped.toLocaleString()} passed over`,
    failed === 0 ? "" : `${failed.toLocaleString()} failed`,
  ];
  return parts.filter((part) => part !== "").join(", ");
}

export function countWords({ count, at_least: atLeast }: { count: number; at_least: boolean }): string {
  return `${atLeast ? "at least " : ""}${plural(count, "run")}`;
}

/** Runs a second, as the engine takes it. */
export const RATE = { least: 1, most: 10_000, usual: 100 };

export function rateOf(text: string): number | undefined {
  const rate = Number(text.trim());
  return text.trim() !== "" && Number.isInteger(rate) && rate >= RATE.least && rate <= RATE.most ? rate : undefined;
}
