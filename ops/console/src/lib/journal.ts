// A run's journal as people read it: a numbered line an entry, and the spans that the waterfall draws.
//
// Entries are those of the engine's core. One that this console does not know is told by its name.
import { dollars } from "./money";
import { type Json, isObject, number, object, tagged, text } from "./json";
import { relative } from "./time";

/** An event of the stream. */
export interface JournalEvent {
  revision: number;
  index: number;
  at: string;
  entry: unknown;
}

export type Mark = "begin" | "good" | "bad" | "retry" | "status" | "said" | "person" | "wait" | "operator" | "log";

export interface Line {
  /** How many entries a fork keeps that ends with this one. */
  number: number;
  /** The entry's id in the stream. */
  id: string;
  at: string;
  kind: string;
  mark: Mark;
  words: string;
  /** The operation that it is about. */
  seq?: number;
  fields: Json;
}

/** A stretch of an operation. */
export interface Attempt {
  number: number;
  from: string;
  to?: string;
  /** `running` covers the time in a queue too: the journal tells no grant. */
  state: "running" | "failed" | "lost" | "handed_back" | "done" | "cancelled";
  error?: string;
  /** When the next one may begin, if it is to wait. */
  nextAt?: string;
  exhausted?: boolean;
}

export interface Span {
  seq: number;
  kind: string;
  name: string;
  from: string;
  to?: string;
  state: "live" | "succeeded" | "failed" | "cancelled";
  attempts: Attempt[];
  isCleanup: boolean;
  micros: number;
  /** What had just ended when it was asked for. */
  after: number[];
}

export interface Story {
  lines: Line[];
  spans: Map<number, Span>;
  spent: Map<string, number>;
}

/** Operations that take time. */
const SPANS: Record<string, string> = {
  step: "step",
  sleep: "sleep",
  wait: "signal",
  human: "person",
  child: "child",
  fan_out: "children",
  completion: "outside",
};

/** Of events in the order of the stream. */
export function tell(events: readonly JournalEvent[]): Story {
  const teller = new Teller();
  events.forEach((event) => teller.event(event));
  return { lines: teller.lines, spans: teller.spans, spent: teller.spent };
}

/** What a run and its steps said, and what went wrong: the lines of a log. */
export function logsOf(lines: readonly Line[]): Line[] {
  return lines.filter(({ mark }) => mark === "said" || mark === "status" || mark === "bad" || mark === "retry");
}

class Teller {
  readonly lines: Line[] = [];
  readonly spans = new Map<number, Span>();
  readonly spent = new Map<string, number>();
  private readonly finalizers = new Map<number, string>();
  private count = 0;
  private revision = 0;
  /** The operations that ended in this revision, else those of the latest in which any did. */
  private ended: { revision: number; seqs: number[] } = { revision: 0, seqs: [] };

  event({ revision, index, at, entry }: JournalEvent): void {
    const [kind, fields] = tagged(entry);
    this.revision = revision;
    // A run that goes on with another input begins a new journal: forks count from there.
    this.count = kind === "continued" ? 1 : this.count + 1;
    const [mark, words] = this.entry(kind, fields, at);
    const seq = number(fields.seq);
    const line: Line = { number: this.count, id: `${revision}.${index}`, at, kind, mark, words, fields };
    this.lines.push(seq === undefined ? line : { ...line, seq });
  }

  private entry(kind: string, fields: Json, at: string): [Mark, string] {
    const seq = number(fields.seq) ?? 0;
    const by = text(fields.by);
    const name = this.spans.get(seq)?.name ?? `operation ${seq}`;
    switch (kind) {
      case "started":
        return ["begin", "the run began"];
      case "continued":
        return ["begin", "the run goes on with another input, in a new journal"];
      case "forked":
        return ["begin", `up to here copied from ${text(fields.from)} by ${by}`];
      case "op":
        return this.op(seq, fields.op, at);
      case "finalizer_started":
        return this.finalize(seq, seq, at);
      case "dropped":
      case "step_stopped":
        this.end(seq, "cancelled", at);
        return ["log", `${name} is no longer wanted`];
      case "resolved":
        return this.resolved(seq, name, fields.with, at);
      case "held":
        this.resolved(seq, name, fields.with, at);
        return ["wait", `${name} ended while the run is paused; it is delivered on resume`];
      case "released":
        return ["log", "what was held is delivered"];
      case "attempt_ended":
        return this.attemptEnded(seq, name, fields, at);
      case "any_worker":
        return ["log", `${name} may go to any worker: the one that it preferred did not take it`];
      case "children_started":
        return ["log", `${name}: ${text(fields.to)} children started`];
      case "children_cancelled":
        return ["log", `${name}: ${text(fields.to)} children told to stop`];
      case "spent":
        return this.paid(seq, text(fields.what), number(fields.micros) ?? 0);
      case "budget_changed": {
        const budget = number(fields.budget_micros);
        return ["operator", `${by} set the budget to ${budget === undefined ? "no bound" : dollars(budget)}`];
      }
      case "signal_kept":
        return ["log", `the signal ${text(fields.name)} came in`];
      case "paused":
        return ["operator", `paused by ${by}`];
      case "unpaused":
        return ["operator", `resumed by ${by}`];
      case "cancel_requested":
        return ["operator", `cancelled by ${by}${because(fields.reason)}`];
      case "retry_requested":
        this.attempt(seq, at);
        return ["operator", `${by} lets ${name} try again`];
      case "input_changed":
        return ["operator", `${by} gave ${name} another input`];
      case "skipped":
        return ["operator", `${by} says what ${name} comes to`];
      case "killed":
        return [
          "operator",
          `killed by ${by}${because(fields.reason)}${fields.cleanup === true ? "" : ", without clean-up"}`,
        ];
      case "stuck":
        return ["bad", `stuck: ${stuck(fields.why)}`];
      case "mended":
        return ["operator", `${by} lets it go on with the build at hand`];
      case "closing":
        return closing(fields.outcome);
      case "ended":
        return ["log", "nothing is left to do"];
      default:
        return ["log", kind.replaceAll("_", " ")];
    }
  }

  private op(seq: number, op: unknown, at: string): [Mark, string] {
    const [kind, fields] = tagged(op);
    const name = spanName(kind, fields);
    const spanKind = SPANS[kind];
    if (spanKind !== undefined) this.begin(seq, spanKind, name, at, false);
    switch (kind) {
      case "step":
        return ["begin", name];
      case "sleep":
        return ["wait", `waits ${relative(text(fields.until), Date.parse(at)).replace(/^in /, "")}`];
      case "wait":
        return ["wait", `waits for the signal ${name}`];
      case "human":
        return ["person", `a person is needed (${name}): ${text(object(fields.task).title)}`];
      case "child":
        return ["begin", `child run of ${name}`];
      case "fan_out":
        return ["begin", `${text(fields.count)} child runs of ${name}`];
      case "completion":
        return ["wait", `waits for somebody outside: ${name}`];
      case "finally":
      case "compensate":
        this.finalizers.set(seq, name);
        return ["log", `${name} is registered to ${kind === "finally" ? "clean up" : "compensate"}`];
      case "finally_now":
        return this.finalize(seq, number(fields.of) ?? 0, at);
      case "value":
        return ["log", `the value ${name} is kept`];
      case "log":
        return ["said", text(fields.message)];
      case "status":
        return ["status", text(fields.text)];
      case "progress":
        return ["status", `${Math.round((number(fields.fraction) ?? 0) * 100)} % done`];
      case "cost":
        return this.paid(seq, text(fields.what), number(fields.micros) ?? 0);
      default:
        return ["log", kind.replaceAll("_", " ")];
    }
  }

  private begin(seq: number, kind: string, name: string, at: string, isCleanup: boolean): void {
    const attempts: Attempt[] = kind === "step" ? [{ number: 1, from: at, state: "running" }] : [];
    const after = [...this.ended.seqs];
    this.spans.set(seq, { seq, kind, name, from: at, state: "live", attempts, isCleanup, micros: 0, after });
  }

  private finalize(seq: number, of: number, at: string): [Mark, string] {
    const name = this.finalizers.get(of) ?? "clean-up";
    this.begin(seq, "step", name, at, true);
    return ["begin", `${name} (clean-up)`];
  }

  private attempt(seq: number, from: string): void {
    const span = this.spans.get(seq);
    if (span === undefined || span.state !== "live") return;
    const last = span.attempts.at(-1);
    if (last?.state === "running") return;
    span.attempts.push({ number: (last?.number ?? 0) + 1, from, state: "running" });
  }

  private attemptEnded(seq: number, name: string, fields: Json, at: string): [Mark, string] {
    const [why, failure] = tagged(fields.why);
    const next = typeof fields.next_at === "string" ? fields.next_at : undefined;
    const span = this.spans.get(seq);
    const attempt = span?.attempts.at(-1);
    const state = why === "lost" || why === "handed_back" ? why : "failed";
    if (attempt !== undefined) {
      Object.assign(attempt, { to: at, state });
      if (state === "failed") attempt.error = `${text(failure.code)}: ${text(failure.message)}`;
      if (next === undefined) attempt.exhausted = true;
      else attempt.nextAt = next;
    }
    if (next !== undefined) this.attempt(seq, next);
    const number_ = text(fields.attempt);
    const then = next === undefined ? "; it waits for an operator" : `; next attempt ${soon(next, at)}`;
    switch (state) {
      case "lost":
        return ["retry", `${name}: the worker of attempt ${number_} vanished${then}`];
      case "handed_back":
        return ["retry", `${name}: the worker gave attempt ${number_} back${then}`];
      case "failed":
        return ["retry", `${name}: attempt ${number_} failed (${text(failure.code)})${then}`];
    }
  }

  private resolved(seq: number, name: string, with_: unknown, at: string): [Mark, string] {
    const [kind, fields] = tagged(with_);
    switch (kind) {
      case "step_done":
        this.end(seq, "succeeded", at);
        return ["good", name];
      case "step_failed": {
        const failure = failureOf(fields.failure);
        this.end(seq, "failed", at, failure);
        return ["bad", `${name} failed: ${failure}`];
      }
      case "timer_fired":
        this.end(seq, "succeeded", at);
        return ["good", "the timer is over"];
      case "signal_taken":
      case "signal_chosen":
        this.end(seq, "succeeded", at);
        return ["good", `took the signal ${name}`];
      case "wait_timed_out":
        this.end(seq, "failed", at);
        return ["bad", `nothing came for ${name} in time`];
      case "completed": {
        const [outcome] = tagged(fields.outcome);
        this.end(seq, outcome === "done" ? "succeeded" : "failed", at);
        return [outcome === "done" ? "good" : "bad", `${name} was completed from outside`];
      }
      case "human":
        return this.answered(seq, fields, at);
      case "child_ended": {
        const [outcome] = tagged(fields.outcome);
        this.end(seq, outcome === "succeeded" ? "succeeded" : "failed", at);
        return [outcome === "succeeded" ? "good" : "bad", `the child run of ${name} ${outcome.replaceAll("_", " ")}`];
      }
      case "children_ended": {
        this.end(seq, "succeeded", at);
        const ends = Array.isArray(fields.ends) ? fields.ends.length : 0;
        return ["good", `${ends} child runs of ${name} ended`];
      }
      default:
        this.end(seq, "succeeded", at);
        return ["good", `${name}: ${kind.replaceAll("_", " ")}`];
    }
  }

  private answered(seq: number, outcome: Json, at: string): [Mark, string] {
    const [kind, fields] = tagged(outcome);
    if (kind === "answered") {
      this.end(seq, "succeeded", at);
      return ["good", `answered by ${text(fields.by)}`];
    }
    this.end(seq, "failed", at);
    if (kind === "rejected") return ["bad", `rejected by ${text(fields.by)}${because(fields.reason)}`];
    return ["bad", "nobody answered in time"];
  }

  private paid(seq: number, what: string, micros: number): [Mark, string] {
    this.spent.set(what, (this.spent.get(what) ?? 0) + micros);
    const span = this.spans.get(seq);
    if (span !== undefined) span.micros += micros;
    return ["log", `paid ${dollars(micros)} for ${what}`];
  }

  private end(seq: number, state: "succeeded" | "failed" | "cancelled", at: string, error?: string): void {
    const span = this.spans.get(seq);
    if (span?.state !== "live") return;
    Object.assign(span, { state, to: at });
    if (this.ended.revision === this.revision) this.ended.seqs.push(seq);
    else this.ended = { revision: this.revision, seqs: [seq] };
    const attempt = span.attempts.at(-1);
    if (attempt?.state !== "running") return;
    // Its last attempt may not have begun yet when an operator or the end of the run settled it.
    if (Date.parse(attempt.from) > Date.parse(at)) {
      span.attempts.pop();
      return;
    }
    Object.assign(attempt, { to: at, state: state === "succeeded" ? "done" : state });
    if (error !== undefined) attempt.error = error;
  }
}

function spanName(kind: string, fields: Json): string {
  switch (kind) {
    case "human":
      return text(object(fields.task).reason);
    case "child":
    case "fan_out":
      return text(fields.workflow);
    case "sleep":
      return "sleep";
    default:
      return text(fields.name);
  }
}

/** A step fails with what its worker said, or because of time. */
function failureOf(failure: unknown): string {
  const plain = isObject(failure) && "code" in failure ? failure : tagged(failure)[1];
  const code = text(plain.code);
  return code === "" ? tagged(failure)[0].replaceAll("_", " ") : `${code}: ${text(plain.message)}`;
}

function stuck(why: unknown): string {
  const [kind, fields] = tagged(why);
  switch (kind) {
    case "mismatch":
      return `the journal recorded ${text(fields.recorded)}, the code asked for ${text(fields.asked)}`;
    case "panicked":
      return `the workflow code panicked: ${text(fields.message)}`;
    case "unknown_workflow":
      return `no engine here knows the workflow ${text(fields.name)}`;
    default:
      return kind.replaceAll("_", " ");
  }
}

function closing(outcome: unknown): [Mark, string] {
  const [kind, fields] = tagged(outcome);
  switch (kind) {
    case "succeeded":
      return ["good", "the outcome is fixed: succeeded"];
    case "cancelled":
      return ["bad", `the outcome is fixed: cancelled by ${text(fields.by)}${because(fields.reason)}`];
    default:
      return ["bad", `the outcome is fixed: ${kind.replaceAll("_", " ")} (${failureOf(fields.error)})`];
  }
}

function because(reason: unknown): string {
  return typeof reason === "string" && reason !== "" ? `: ${reason}` : "";
}

function soon(next: string, at: string): string {
  return Date.parse(next) <= Date.parse(at) ? "at once" : relative(next, Date.parse(at));
}
