import { describe, expect, it } from "vitest";
import { type JournalEvent, logsOf, tell } from "./journal";
import { layers, tasksOfRows } from "./graph";
import { rowsOf } from "./waterfall";

const START = Date.parse("2026-11-22T12:00:00Z");

/** Entries a second apart. */
function events(...entries: unknown[]): JournalEvent[] {
  return entries.map((entry, index) => ({
    revision: index + 1,
    index: 1,
    at: new Date(START + index * 1_000).toISOString(),
    entry,
  }));
}

const step = (seq: number, name: string) => ({ op: { seq, op: { step: { name, input: null } } } });
const at = (second: number) => new Date(START + second * 1_000).toISOString();

describe("a run's journal", () => {
  it("tells attempts with the time between them", () => {
    const failed = { failed: { code: "busy", message: "later" } };
    const { spans, lines } = tell(
      events(
        { started: { input: null } },
        step(1, "pay"),
        { attempt_ended: { seq: 1, attempt: 1, why: failed, next_at: at(4) } },
        { attempt_ended: { seq: 1, attempt: 2, why: "lost", next_at: at(5) } },
        { resolved: { seq: 1, with: { step_done: { attempt: 3, lease: null, output: 1 } } } },
      ),
    );
    const span = spans.get(1);
    expect(span?.attempts.map(({ number, state }) => [number, state])).toEqual([
      [1, "failed"],
      [2, "lost"],
    ]);
    expect(span).toMatchObject({ state: "succeeded", to: at(4) });
    expect(lines[2]?.words).toBe("pay: attempt 1 failed (busy); next attempt in 2 s");
    expect(lines.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5]);
  });

  it("a step that ran out of attempts waits, and a retry is one more", () => {
    const { spans } = tell(
      events(
        step(1, "pay"),
        { attempt_ended: { seq: 1, attempt: 1, why: { failed: { code: "no", message: "" } }, next_at: null } },
        { retry_requested: { seq: 1, by: "ada" } },
      ),
    );
    expect(spans.get(1)?.attempts).toMatchObject([
      { state: "failed", exhausted: true },
      { number: 2, state: "running", from: at(2) },
    ]);
  });

  it("numbers start anew where a run begins a new journal", () => {
    const { lines } = tell(
      events({ started: {} }, step(1, "a"), { continued: { input: 1, carried: {} } }, step(2, "b")),
    );
    expect(lines.map(({ number }) => number)).toEqual([1, 2, 1, 2]);
  });

  it("a clean-up that the engine starts has the name that it was registered under", () => {
    const { spans } = tell(
      events({ op: { seq: 3, op: { finally: { name: "cleanup", input: null } } } }, { finalizer_started: { seq: 3 } }),
    );
    expect(spans.get(3)).toMatchObject({ name: "cleanup", isCleanup: true, state: "live" });
  });

  it("an entry of a newer engine is told by its name", () => {
    expect(tell(events({ moon_landed: { seq: 1 } }, "something_else")).lines.map(({ words }) => words)).toEqual([
      "moon landed",
      "something else",
    ]);
  });

  it("sums what was paid, by what it was for", () => {
    const { spent, spans } = tell(
      events(
        step(1, "browse"),
        { spent: { seq: 1, what: "tokens", micros: 5 } },
        { spent: { seq: 1, what: "tokens", micros: 2 } },
      ),
    );
    expect(spent.get("tokens")).toBe(7);
    expect(spans.get(1)?.micros).toBe(7);
  });

  it("rows have what the run says of steps and what the journal says of waits", () => {
    const { spans } = tell(
      events(step(1, "pay"), { op: { seq: 2, op: { human: { task: { reason: "review", title: "Look" } } } } }),
    );
    const view = { seq: 1, name: "pay", queue: "shop", state: "running", attempt: 1, asked_at: at(0), input: null };
    expect(rowsOf([view], spans).map(({ name, kind, state }) => [name, kind, state])).toEqual([
      ["pay", "step", "running"],
      ["review", "person", "waiting"],
    ]);
  });
});

describe("what led to what", () => {
  it("is what ended in the revision in which an operation was asked for", () => {
    const done = (seq: number) => ({ resolved: { seq, with: { step_done: { attempt: 1, lease: null, output: 1 } } } });
    const grouped: [number, unknown][] = [
      [1, { started: { input: null } }],
      [1, step(1, "a")],
      [1, step(2, "b")],
      [2, done(1)],
      [2, done(2)],
      [2, step(3, "c")],
      [3, { signal_kept: { name: "x" } }],
      [3, step(4, "d")],
    ];
    const story = tell(grouped.map(([revision, entry], index) => ({ revision, index, at: at(revision), entry })));
    expect([...story.spans.values()].map(({ after }) => after)).toEqual([[], [], [1, 2], [1, 2]]);
    const names = layers(tasksOfRows(rowsOf([], story.spans))).map((layer) => layer.map(({ title }) => title));
    expect(names).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
  });
});

it("a log has what was said and what went wrong", () => {
  const { lines } = tell(
    events(
      { started: { input: null } },
      { op: { seq: 1, op: { log: { message: "hello" } } } },
      { op: { seq: 2, op: { status: { text: "at it" } } } },
      step(3, "pay"),
      { attempt_ended: { seq: 3, attempt: 1, why: "lost", next_at: at(9) } },
    ),
  );
  expect(logsOf(lines).map(({ mark, words }) => [mark, words])).toEqual([
    ["said", "hello"],
    ["status", "at it"],
    ["retry", "pay: the worker of attempt 1 vanished; next attempt in 5 s"],
  ]);
});
