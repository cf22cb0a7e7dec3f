// Figures over many runs.

interface Counted {
  from: string;
  before: string;
  bucket_seconds: number;
  buckets: { at: string; ended: Record<string, number> }[];
}

export interface Bar {
  from: number;
  to: number;
  good: number;
  bad: number;
}

/** Ended runs by when they began: a bar for each part of the time, also where none did. */
export function histogram({ from, before, bucket_seconds, buckets }: Counted): Bar[] {
  const start = Date.parse(from);
  const width = bucket_seconds * 1000;
  const count = Math.max(1, Math.round((Date.parse(before) - start) / width));
  const bars = Array.from({ length: count }, (_, index): Bar => {
    const at = start + index * width;
    return { from: at, to: at + width, good: 0, bad: 0 };
  });
  for (const { at, ended } of buckets) {
    const bar = bars[Math.round((Date.parse(at) - start) / width)];
    if (bar === undefined) continue;
    for (const [status, runs] of Object.entries(ended)) {
      if (status === "succeeded") bar.good += runs;
      else bar.bad += runs;
    }
  }
  return bars;
}

export function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((all, count) => all + count, 0);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? 0;
  if (sorted.length % 2 === 1) return upper;
  return ((sorted[middle - 1] ?? 0) + upper) / 2;
}
