// The rows of a run's timeline: steps as the run tells them, with the attempts and waits that its journal tells.
import type { components } from "../api/schema";
import type { Attempt, Span } from "./journal";

type StepView = components["schemas"]["StepView"];

export interface Row {
  seq: number;
  kind: string;
  name: string;
  from: string;
  to?: string;
  /** Of a step as the run tells it: `ready`, `running`, `parked` … */
  state: string;
  attempts: Attempt[];
  isCleanup: boolean;
  micros: number;
  /** What had just ended when it was asked for. */
  after: number[];
  step?: StepView;
}

/** Nobody holds it: its input may be changed, and an operator may say what it comes to. */
export const OPEN_TO_OPERATORS: readonly string[] = ["ready", "blocked", "backing_off", "parked"];

/** In the order in which they were asked for. A step that the journal at hand does not have is there all the same. */
export function rowsOf(steps: readonly StepView[], spans: ReadonlyMap<number, Span>): Row[] {
  const rows = new Map<number, Row>();
  for (const span of spans.values()) {
    const { state, to, ...rest } = span;
    rows.set(span.seq, { ...rest, state: state === "live" ? "waiting" : state, ...(to === undefined ? {} : { to }) });
  }
  for (const step of steps) {
    const span = rows.get(step.seq);
    const { seq, name, state } = step;
    const plain = {
      seq,
      name,
      kind: "step",
      from: step.asked_at,
      attempts: [],
      isCleanup: false,
      micros: 0,
      after: [],
    };
    const to = step.ended_at ?? undefined;
    rows.set(seq, { ...plain, ...span, state, step, ...(to === undefined ? {} : { to }) });
  }
  return [...rows.values()].sort((a, b) => Date.parse(a.from) - Date.parse(b.from) || a.seq - b.seq);
}

const STEPS = [1, 2, 5];
const TICKS_MAX = 6;

/** Round places on a scale from 0 to `width`, in milliseconds. */
export function ticks(width: number): number[] {
  const step = round(width / TICKS_MAX);
  const places: number[] = [];
  for (let at = 0; at < width * 0.95; at += step) places.push(at);
  return places;
}

/** The next round duration that is no shorter. */
function round(ms: number): number {
  const units = [
    { unit: 1, most: 1_000 },
    { unit: 1_000, most: 60_000 },
    { unit: 60_000, most: 3_600_000 },
    { unit: 3_600_000, most: 86_400_000 },
    { unit: 86_400_000, most: Infinity },
  ];
  const { unit } = units.find(({ most }) => ms <= most / 2) ?? { unit: 86_400_000 };
  for (let ten = 1; ; ten *= 10) {
    const fits = STEPS.map((step) => step * ten * unit).find((step) => step >= ms);
    if (fits !== undefined) return fits;
  }
}
