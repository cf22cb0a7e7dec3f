// Incoming webhooks: how senders prove themselves, the form and the request, and why a delivery was refused.
import type { components } from "../api/schema";
import { isObject } from "./json";
import { type Faults } from "./schema";

type View = components["schemas"]["IncomingWebhookView"];
type Request = components["schemas"]["PutIncomingWebhookRequest"];
type Proof = components["schemas"]["IncomingProof"];

export interface ProofKind {
  kind: string;
  name: string;
  /** Where the sender shows what proves it. */
  shows: string;
  /** The header that may have another name. */
  header?: string;
  /** The signature covers the time. */
  timed: boolean;
  user: boolean;
  /** The sender makes the secret, and it is brought here. */
  theirs: boolean;
}

export const PROOFS: readonly ProofKind[] = [
  {
    kind: "github",
    name: "GitHub",
    shows: "`X-Hub-Signature-256`, a signature of the body",
    header: "X-Hub-Signature-256",
    timed: false,
    user: false,
    theirs: false,
  },
  {
    kind: "stripe",
    name: "Stripe",
    shows: "`Stripe-Signature`, a signature of the time and the body",
    header: "Stripe-Signature",
    timed: true,
    user: false,
    theirs: true,
  },
  {
    kind: "slack",
    name: "Slack",
    shows: "`X-Slack-Signature`, a signature of the time and the body",
    timed: true,
    user: false,
    theirs: true,
  },
  {
    kind: "standard",
    name: "Standard Webhooks",
    shows: "`webhook-signature`, a signature of the id, the time and the body",
    timed: true,
    user: false,
    theirs: false,
  },
  {
    kind: "api_key",
    name: "A key in a header",
    shows: "`X-Api-Key`, the secret itself",
    header: "X-Api-Key",
    timed: false,
    user: false,
    theirs: false,
  },
  {
    kind: "basic",
    name: "A user and a password",
    shows: "`Authorization: Basic`, the secret as the password",
    timed: false,
    user: true,
    theirs: false,
  },
];

const FIRST = PROOFS[0] as ProofKind;

export function proofOf(kind: string): ProofKind {
  return PROOFS.find((one) => one.kind === kind) ?? { ...FIRST, kind, name: kind };
}

/** `kept`: those that the webhook has; `made`: one that is made here; `given`: one on each line. */
export type SecretFrom = "kept" | "made" | "given";

/** As it stands in the form. */
export interface Typed {
  name: string;
  kind: string;
  secretFrom: SecretFrom;
  secrets: string;
  header: string;
  user: string;
  tolerance: string;
  target: "start" | "publish";
  workflow: string;
  /** `undefined`: the payload is the input. */
  run: unknown;
  event: unknown;
  filter: string;
  deliveryId: string;
}

export const NEW: Typed = {
  name: "",
  kind: "github",
  secretFrom: "made",
  secrets: "",
  header: "",
  user: "",
  tolerance: "",
  target: "start",
  workflow: "",
  run: undefined,
  event: { key: { $cel: "payload.type" } },
  filter: "",
  deliveryId: "",
};

export function typedOf({ name, proof, start, publish, filter, delivery_id }: View): Typed {
  return {
    name,
    kind: proof.kind,
    secretFrom: "kept",
    secrets: "",
    header: proof.header ?? "",
    user: proof.user ?? "",
    tolerance: proof.tolerance_seconds == null ? "" : String(proof.tolerance_seconds),
    target: start == null ? "publish" : "start",
    workflow: start?.workflow ?? "",
    run: start?.run ?? undefined,
    event: publish ?? NEW.event,
    filter: filter ?? "",
    deliveryId: delivery_id ?? "",
  };
}

/** With what the new kind of proof wants: a secret is the sender's or made here. */
export function withKind(typed: Typed, kind: string): Typed {
  const secretFrom = typed.secretFrom === "kept" ? "kept" : proofOf(kind).theirs ? "given" : "made";
  return { ...typed, kind, secretFrom };
}

/** What is wrong before the engine is asked, by its place in the request. What is missing is said once it is sent. */
export function faultsOf(typed: Typed, sending: boolean): Faults {
  const found: Faults = {};
  const wants = (place: string, isThere: boolean, what: string) => {
    if (sending && !isThere) found[place] = what;
  };
  const proof = proofOf(typed.kind);
  wants("name", typed.name.trim() !== "", "this is missing");
  wants("/proof/secrets", typed.secretFrom !== "given" || lines(typed.secrets).length > 0, "this is missing");
  wants("/proof/user", !proof.user || typed.user.trim() !== "", "this is missing");
  if (proof.timed && !/^\s*\d*\s*$/.test(typed.tolerance)) found["/proof/tolerance_seconds"] = "not a whole number";
  if (typed.target === "start") {
    wants("/start/workflow", typed.workflow !== "", "this is missing");
    if (typed.run !== undefined && !isObject(typed.run)) found["/start/run"] = "a JSON object with `input`";
  } else if (!isObject(typed.event)) {
    found["/publish"] = "a JSON object with `key`";
  }
  return found;
}

/** The whole of it. `made`: the secret that was made here. */
export function requestOf(typed: Typed, made: string, paused: boolean): Request {
  const { header, timed, user } = proofOf(typed.kind);
  const proof: Proof = { kind: typed.kind };
  if (typed.secretFrom === "made") proof.secrets = [made];
  if (typed.secretFrom === "given") proof.secrets = lines(typed.secrets);
  if (header !== undefined && typed.header.trim() !== "") proof.header = typed.header.trim();
  if (user) proof.user = typed.user.trim();
  if (timed && typed.tolerance.trim() !== "") proof.tolerance_seconds = Number(typed.tolerance);
  const request: Request = { proof, paused };
  if (typed.target === "publish") request.publish = typed.event as never;
  else request.start = { workflow: typed.workflow, ...(typed.run === undefined ? {} : { run: typed.run as never }) };
  if (typed.filter.trim() !== "") request.filter = typed.filter.trim();
  if (typed.deliveryId.trim() !== "") request.delivery_id = typed.deliveryId.trim();
  return request;
}

/** As it is put again: with its secrets kept. */
export function asPut({ proof, start, publish, filter, delivery_id, paused }: View): Request {
  return {
    proof,
    paused,
    ...(start == null ? {} : { start }),
    ...(publish == null ? {} : { publish }),
    ...(filter == null ? {} : { filter }),
    ...(delivery_id == null ? {} : { delivery_id }),
  };
}

export function lines(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

const SECRET_BYTES = 32;

/** A secret as senders of this kind take it. */
export function newSecret(kind: string): string {
  const random = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  if (kind === "standard") return `whsec_${btoa(String.fromCharCode(...random))}`;
  return Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What it says of itself in a list. */
export function makesWords({ start, publish }: View): string {
  if (start != null) return `a run of ${start.workflow}`;
  const event: unknown = publish;
  const key = isObject(event) ? event.key : undefined;
  if (typeof key === "string") return `the event ${key}`;
  return isObject(key) && typeof key.$cel === "string" ? `an event by ${key.$cel}` : "an event";
}

/** Why a delivery was refused, and what to do. */
export function refusalWords(reason: string): string {
  const [code = "", place] = reason.split(" at ");
  switch (code) {
    case "missing_signature":
      return "It shows nothing where this webhook looks: compare the kind of proof, and its header, with the sender’s.";
    case "wrong_signature":
      return "It was signed with another secret: compare the sender’s with this webhook’s.";
    case "too_old":
      return "Its time is too far off: look at the sender’s clock, or allow more.";
    case "replayed":
      return "Its signature was used for another delivery. If the sender did not mean to, somebody may have copied it.";
    case "webhook_changed":
      return "It began while the webhook did something else: deliver it under another id.";
    case "expression_failed":
      return `What stands at ${place ?? "an expression"} comes to nothing for what was delivered: edit the webhook, then deliver it again.`;
    default:
      return place === undefined
        ? "The engine did not take it."
        : `What is made of it is not in order at ${place}: edit the webhook, then deliver it again.`;
  }
}
