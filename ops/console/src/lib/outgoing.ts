// Outgoing webhooks: what a server is told, and the form and the request.
import type { Outgoing, OutgoingDelivery, PutOutgoing } from "../api/outgoing";
import type { Faults } from "./schema";
import { lines, type SecretFrom } from "./webhooks";

export interface EventKind {
  kind: string;
  words: string;
}

/** What the engine says by itself; workflow code may say more. */
export const KINDS: readonly EventKind[] = [
  { kind: "run.started", words: "A run began" },
  { kind: "run.succeeded", words: "A run succeeded" },
  { kind: "run.failed", words: "A run failed" },
  { kind: "run.cancelled", words: "A run was cancelled" },
  { kind: "run.timed_out", words: "A run took too long" },
  { kind: "run.stuck", words: "A run is stuck" },
  { kind: "human_task.opened", words: "A person is needed" },
  { kind: "human_task.due_soon", words: "A person is needed soon" },
  { kind: "human_task.closed", words: "A person is needed no more" },
];

/** As it stands in the form. */
export interface TypedOutgoing {
  name: string;
  url: string;
  kinds: ReadonlySet<string>;
  /** Kinds that have no box, separated by commas. */
  others: string;
  workflow: string;
  filter: string;
  secretFrom: SecretFrom;
  secrets: string;
}

export const NEW: TypedOutgoing = {
  name: "",
  url: "",
  kinds: new Set(["run.succeeded", "run.failed"]),
  others: "",
  workflow: "",
  filter: "",
  secretFrom: "made",
  secrets: "",
};

/** Without the URL, which is not shown; left empty it stays as it is. */
export function typedOf({ name, kinds, workflow, filter }: Outgoing): TypedOutgoing {
  const hasBox = (kind: string) => KINDS.some((one) => one.kind === kind);
  return {
    ...NEW,
    name,
    kinds: new Set(kinds.filter(hasBox)),
    others: kinds.filter((kind) => !hasBox(kind)).join(", "),
    workflow: workflow ?? "",
    filter: filter ?? "",
    secretFrom: "kept",
  };
}

/** Boxes in their order, then the others as typed. */
export function kindsOf({ kinds, others }: TypedOutgoing): string[] {
  const named = others
    .split(",")
    .map((kind) => kind.trim())
    .filter((kind) => kind !== "");
  return [...new Set([...KINDS.map(({ kind }) => kind).filter((kind) => kinds.has(kind)), ...named])];
}

/** `made`: a secret that was made here; the first one is made by the engine. */
export function requestOf(typed: TypedOutgoing, was: Outgoing | undefined, made: string): PutOutgoing {
  const { secretFrom, workflow, filter } = typed;
  return {
    kinds: kindsOf(typed),
    paused: was?.paused ?? false,
    ...(typed.url.trim() === "" ? {} : { url: typed.url.trim() }),
    ...(workflow === "" ? {} : { workflow }),
    ...(filter.trim() === "" ? {} : { filter: filter.trim() }),
    ...(secretFrom === "given" ? { secrets: lines(typed.secrets) } : {}),
    ...(secretFrom === "made" && was !== undefined ? { secrets: [made] } : {}),
  };
}

/** What is missing, by its place in the request. */
export function faultsOf(typed: TypedOutgoing, was: Outgoing | undefined): Faults {
  const found: Faults = {};
  if (typed.name.trim() === "") found.name = "this is missing";
  if (was === undefined && typed.url.trim() === "") found["/url"] = "this is missing";
  if (kindsOf(typed).length === 0) found["/kinds"] = "choose at least one";
  if (typed.secretFrom === "given" && lines(typed.secrets).length === 0) found["/secrets"] = "this is missing";
  return found;
}

/** What the receiver did with a message at last. */
export function answerWords({ status, error, attempts }: OutgoingDelivery): string {
  if (error != null) return error;
  if (status != null) return `It answered ${status}.`;
  return attempts === 0 ? "Not tried yet." : "";
}
