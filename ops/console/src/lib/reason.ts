// Why a run is not moving, in words. The kinds are those of the engine; one that this console does not know shows as it came.
import { relative } from "./time";

/** Who pauses a run that has spent its budget. */
const BUDGET = "budget";

export interface Reason {
  kind: string;
  [field: string]: unknown;
}

export function isReason(value: unknown): value is Reason {
  return typeof value === "object" && value !== null && "kind" in value && typeof value.kind === "string";
}

export function words(reason: unknown, now: number): string | undefined {
  if (reason == null) return undefined;
  if (!isReason(reason)) return JSON.stringify(reason);
  const field = (name: string) => text(reason[name]);
  const when = (name: string) => relative(text(reason[name]), now);
  switch (reason.kind) {
    case "step":
      return `step ${field("name")}`;
    case "no_worker":
      return `step ${field("name")}: no worker has the labels ${labels(reason.labels)}`;
    case "limit": {
      const key = reason.key === "" ? "" : ` of ${field("key")}`;
      return `step ${field("name")}: the limit ${field("limit")}${key} has no slot for it now`;
    }
    case "backing_off":
      return `step ${field("name")} failed; next attempt ${when("until")}`;
    case "parked":
      return `step ${field("name")} ran out of attempts (${field("code")}); an operator decides`;
    case "stopping":
      return `step ${field("name")} is told to stop`;
    case "person":
      return `a person: ${field("reason")} (ends ${when("until")})`;
    case "signal":
      return `the signal ${field("name")}`;
    case "timer":
      return `a timer, ${when("until")}`;
    case "child":
      return `a child run of ${field("workflow")}`;
    case "completion":
      return `somebody outside: ${field("name")} (ends ${when("until")})`;
    case "paused":
      return reason.by === BUDGET ? "its budget is spent: raise it, or resume it as it is" : `paused by ${field("by")}`;
    case "stuck":
      return field("text");
    case "held":
      return "results came in, and wait for what it belongs to to be resumed";
    case "newer_build":
      return `an engine with build ${field("build")} or later`;
    default:
      return JSON.stringify(reason);
  }
}

/** The same of a step that is known: a run says only that it waits for it. `workers` pull its queue, as far as that is known. */
export function stepWords(step: { name: string; queue: string; state: string }, workers: number | undefined): string {
  switch (step.state) {
    case "ready":
      if (workers === 0) return `step ${step.name}: no worker pulls the queue ${step.queue}`;
      return `step ${step.name}, which waits for a worker of the queue ${step.queue}`;
    case "running":
      return `step ${step.name}, which a worker has`;
    default:
      return `step ${step.name}`;
  }
}

function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(value);
}

function labels(value: unknown): string {
  if (typeof value !== "object" || value === null) return text(value);
  return Object.entries(value)
    .map(([label, wanted]) => `${label}=${text(wanted)}`)
    .join(", ");
}
