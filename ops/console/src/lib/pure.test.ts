import { describe, expect, it } from "vitest";
import { toEach } from "./bulk";
import { layers, tasksOf } from "./graph";
import { stepWords, words } from "./reason";
import { histogram, median } from "./sample";
import { ticks } from "./waterfall";

const NOW = Date.parse("2026-11-22T12:00:00Z");

describe("reasons", () => {
  it.each([
    [{ kind: "signal", name: "go" }, "the signal go"],
    [{ kind: "person", reason: "code", until: "2026-11-22T13:00:00Z" }, "a person: code (ends in 1 h)"],
    [{ kind: "paused", by: "budget" }, "its budget is spent: raise it, or resume it as it is"],
    [
      { kind: "limit", name: "open", limit: "sites", key: "a.example" },
      "step open: the limit sites of a.example has no slot for it now",
    ],
    [{ kind: "limit", name: "open", limit: "all", key: "" }, "step open: the limit all has no slot for it now"],
    [{ kind: "no_worker", name: "ocr", labels: { gpu: "yes" } }, "step ocr: no worker has the labels gpu=yes"],
    [{ kind: "weather", key: "x" }, '{"kind":"weather","key":"x"}'],
    [null, undefined],
  ])("%j", (reason, expected) => expect(words(reason, NOW)).toBe(expected));
});

it("a step that waits says for whom", () => {
  const step = { name: "pay", queue: "shop", state: "ready" };
  expect(stepWords(step, 0)).toBe("step pay: no worker pulls the queue shop");
  expect(stepWords(step, undefined)).toBe("step pay, which waits for a worker of the queue shop");
  expect(stepWords({ ...step, state: "running" }, 1)).toBe("step pay, which a worker has");
});

describe("the graph of a declared workflow", () => {
  it("puts a task after all of its parents", () => {
    const tasks = tasksOf({
      tasks: {
        ship: { step: "ship", parents: ["pack", "pay"] },
        pay: { step: "pay" },
        pack: { step: "pack", parents: ["pay"] },
      },
    });
    expect(layers(tasks).map((layer) => layer.map(({ name }) => name))).toEqual([["pay"], ["pack"], ["ship"]]);
  });

  it("ends with a circle and with a parent that is not there", () => {
    const tasks = tasksOf({ tasks: { a: { parents: ["b"] }, b: { parents: ["a"] }, c: { parents: ["gone"] } } });
    expect(layers(tasks).flat()).toHaveLength(3);
  });
});

describe("samples", () => {
  it("there is a bar for each part of the time, also where nothing began", () => {
    const bars = histogram({
      from: "2026-11-21T00:00:00Z",
      before: "2026-11-22T00:00:00Z",
      bucket_seconds: 21_600,
      buckets: [
        { at: "2026-11-21T00:00:00Z", ended: { succeeded: 2, failed: 1 } },
        { at: "2026-11-21T18:00:00Z", ended: { cancelled: 4 } },
      ],
    });
    expect(bars.map(({ good, bad }) => [good, bad])).toEqual([
      [2, 1],
      [0, 0],
      [0, 0],
      [0, 4],
    ]);
    expect(bars.at(-1)?.to).toBe(Date.parse("2026-11-22T00:00:00Z"));
  });

  it("the middle of nothing is nothing", () => {
    expect([median([]), median([3, 1, 2]), median([4, 1])]).toEqual([0, 2, 2.5]);
  });
});

it.each([100, 7_300, 59_000, 3_700_000, 200_000_000])("a scale of %d ms has a few round places", (width) => {
  const places = ticks(width);
  expect(places[0]).toBe(0);
  expect(places.length).toBeGreaterThan(1);
  expect(places.length).toBeLessThan(9);
});

describe("doing the same to many runs", () => {
  it("goes on after a failure, and names it", async () => {
    const act = (id: string) => (id === "b" ? Promise.reject(new Error("no")) : Promise.resolve());
    const seen: number[] = [];
    const end = await toEach(["a", "b", "c"], act, ({ done }) => seen.push(done), new AbortController().signal);
    expect(end).toMatchObject({ done: 2, total: 3, failed: [{ id: "b" }] });
    expect(seen).toHaveLength(3);
  });

  it("stops between two runs", async () => {
    const stop = new AbortController();
    let acted = 0;
    const act = () => {
      acted += 1;
      stop.abort();
      return Promise.resolve();
    };
    await toEach(
      Array.from({ length: 100 }, (_, n) => String(n)),
      act,
      () => undefined,
      stop.signal,
    );
    expect(acted).toBeLessThan(10);
  });
});
