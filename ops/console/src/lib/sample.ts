// Figures over a sample of runs.
import type { Status } from "./filters";

interface Sampled {
  created_at: string;
  status: string;
}

export interface Bar {
  from: number;
  to: number;
  good: number;
  bad: number;
  live: number;
}

const BARS = 40;
/** Bars of runs that all began at once. */
const SPAN_MS_MIN = 60_000;
const BAD: readonly string[] = ["failed", "timed_out", "stuck", "cancelled"] satisfies Status[];

/** Runs by when they began, up to now. */
export function histogram(runs: readonly Sampled[], now: number): Bar[] {
  const starts = runs.map((run) => Date.parse(run.created_at));
  const first = Math.min(now - SPAN_MS_MIN, ...starts);
  const width = (now - first) / BARS;
  const bars = Array.from({ length: BARS }, (_, index): Bar => {
    const from = first + index * width;
    return { from, to: from + width, good: 0, bad: 0, live: 0 };
  });
  runs.forEach((run, index) => {
    // A clock that is ahead of this one begins its runs in the last bar.
    const at = Math.min(BARS - 1, Math.floor(((starts[index] ?? now) - first) / width));
    const bar = bars[at];
    if (bar === undefined) return;
    if (run.status === "succeeded") bar.good += 1;
    else if (BAD.includes(run.status)) bar.bad += 1;
    else bar.live += 1;
  });
  return bars;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? 0;
  if (sorted.length % 2 === 1) return upper;
  return ((sorted[middle - 1] ?? 0) + upper) / 2;
}
