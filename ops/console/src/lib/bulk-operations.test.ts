import { expect, it } from "vitest";
import {
  bulkFilterOf,
  countWords,
  filterWords,
  partOf,
  progressWords,
  rateOf,
  runFilterOf,
  startCommand,
} from "./bulk-operations";

const FILTER = {
  workflow: "asks",
  status: "running,waiting",
  attributes: '{"site":"acme","n":2}',
  error_code: "gone",
  created_from: "2026-11-23T05:00:00.000Z",
};

const VIEW = {
  id: "bulk_1",
  action: "pause" as const,
  state: "running",
  filter: {},
  rate: 100,
  total: 1_400,
  collected: true,
  limited: false,
  done: 700,
  skipped: 0,
  failed: 0,
  can_undo: true,
  created_at: "2026-11-23T05:00:00Z",
  created_by: "ada",
};

it("the filter of the list goes to an operation and comes back", () => {
  const bulk = bulkFilterOf(FILTER);
  expect(bulk).toEqual({
    workflow: "asks",
    status: ["running", "waiting"],
    attributes: { site: "acme", n: 2 },
    error_code: "gone",
    created_from: "2026-11-23T05:00:00.000Z",
  });
  expect(runFilterOf(bulk)).toEqual(FILTER);
  expect(filterWords(bulk)).toBe(
    "workflow asks, running or waiting, site = acme, n = 2, error gone, from 2026-11-23T05:00:00.000Z",
  );
  expect(startCommand("retry", { workflow: "asks", status: "stuck" })).toBe(
    "valet bulk start retry --workflow asks --status stuck",
  );
  expect(filterWords({ status: ["timed_out"] })).toBe("timed out");
});

it("progress counts what was passed over and what failed", () => {
  expect(partOf(VIEW)).toBe(0.5);
  expect(partOf({ ...VIEW, skipped: 350, failed: 350 })).toBe(1);
  expect(partOf({ ...VIEW, total: 0, done: 0 })).toBe(1);
  expect(partOf({ ...VIEW, collected: false })).toBeUndefined();
  expect(progressWords(VIEW)).toBe("700 of 1,400 runs paused");
  expect(progressWords({ ...VIEW, skipped: 2, failed: 1 })).toBe("700 of 1,400 runs paused, 2 passed over, 1 failed");
  expect(progressWords({ ...VIEW, collected: false })).toBe("looking for its runs: 1,400 runs so far");
  expect(progressWords({ ...VIEW, total: 0, done: 0 })).toBe("no run fitted it");
});

it("a count says when there may be more", () => {
  expect(countWords({ count: 1, at_least: false })).toBe("1 run");
  expect(countWords({ count: 20_000, at_least: true })).toBe("at least 20,000 runs");
});

it("a rate is a whole number that the engine takes", () => {
  expect(["100", " 1 ", "0", "10001", "1.5", "", "many"].map(rateOf)).toEqual([
    100,
    1,
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});
