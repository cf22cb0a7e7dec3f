import { describe, expect, it } from "vitest";
import { coolFaults, faultsOf, KEYS_MAX, loadOf, NEW, rateWords, requestOf, standingOf, typedOf } from "./limits";

const whole = { ...NEW, name: "site", workflow: "apply", key: "input.site", most: "2" };
const view = { version: 3, changed_by: "ada", changed_at: "2026-11-22T06:00:00Z" };
const NOW = Date.parse("2026-11-22T06:00:00Z");
const at = (seconds: number) => new Date(NOW + seconds * 1_000).toISOString();

describe("a limit's form", () => {
  it("sends what was said, and no more", () => {
    expect(requestOf(whole)).toEqual({ workflow: "apply", key: "input.site", most: 2 });
    const rated = { ...whole, step: "submit", most: "", count: "10", per: "1.5", unit: 60_000, burst: "3" };
    const rate = { count: 10, per_ms: 90_000, burst: 3 };
    expect(requestOf(rated)).toEqual({ workflow: "apply", key: "input.site", step: "submit", rate });
  });

  it("sends turns of shares only if they go round", () => {
    const weights = [
      { share: "gold", turns: "5" },
      { share: " ", turns: "7" },
    ];
    expect(requestOf({ ...whole, weights })).not.toHaveProperty("weights");
    expect(requestOf({ ...whole, share: "run.plan", weights })).toMatchObject({ weights: { gold: 5 } });
  });

  it("begins with what is there, so that it changes nothing unasked", () => {
    const rate = { count: 10, per_ms: 7_200_000, burst: 3 };
    const put = { workflow: "apply", step: "submit", key: "k", share: "run.plan", weights: { gold: 5 }, most: 2, rate };
    const typed = typedOf({ ...put, name: "site", ...view });
    expect(typed).toMatchObject({ per: "2", unit: 3_600_000, burst: "3" });
    expect(requestOf(typed)).toEqual(put);
  });

  it("says of runs what was said of them", () => {
    const put = {
      workflow: "apply",
      most: 1,
      when_full: "cancel_in_progress" as const,
      hold: "live" as const,
      debounce: { quiet_ms: 1_500, at_most_ms: 60_000 },
      expires_ms: 2_000,
    };
    const typed = typedOf({ ...put, name: "site", ...view });
    expect(typed).toMatchObject({ quiet: "1.5", quietAtMost: "60", expires: "2" });
    expect(requestOf(typed)).toEqual(put);
    expect(faultsOf(typed, true)).toEqual({});
    expect(faultsOf({ ...NEW, name: "quiet", workflow: "apply", quiet: "1" }, true)).toEqual({});
  });

  it.each([1, 999, 1_000, 90_000, 60_000, 3_600_000, 172_800_000])("keeps a span of %d ms", (per_ms) => {
    const typed = typedOf({ name: "site", workflow: "apply", step: "s", rate: { count: 1, per_ms }, ...view });
    expect(requestOf(typed).rate).toEqual({ count: 1, per_ms });
  });

  it("tells what is missing only once it is sent", () => {
    expect(faultsOf(NEW, false)).toEqual({});
    expect(Object.keys(faultsOf(NEW, true)).sort()).toEqual(["/most", "/workflow", "name"]);
    expect(faultsOf(whole, true)).toEqual({});
  });

  it.each([
    ["name", { name: "a b" }],
    ["/most", { most: "0" }],
    ["/most", { most: "1.5" }],
    ["/most", { most: "1000001" }],
    ["/rate/count", { count: "-1", step: "s" }],
    ["/rate/count", { count: "5" }],
    ["/rate/count", { burst: "5" }],
    ["/rate/burst", { count: "5", step: "s", burst: "none" }],
    ["/rate/per_ms", { count: "5", step: "s", per: "0" }],
    ["/rate/per_ms", { count: "5", step: "s", per: "32", unit: 86_400_000 }],
    ["/rate/per_ms", { count: "5", step: "s", per: "soon" }],
    ["/when_full", { whenFull: "cancel_newest" as const, step: "s", most: "", count: "5" }],
    ["/when_full", { whenFull: "cancel_newest" as const, most: "" }],
    ["/hold", { hold: "live" as const, step: "s" }],
    ["/debounce/quiet_ms", { quiet: "0" }],
    ["/debounce/quiet_ms", { quiet: "1", step: "s" }],
    ["/debounce/quiet_ms", { quietAtMost: "5" }],
    ["/debounce/at_most_ms", { quiet: "5", quietAtMost: "4" }],
    ["/expires_ms", { expires: "0.5" }],
    ["/expires_ms", { expires: "soon" }],
    ["/weights/gold", { weights: [1, 2].map((turns) => ({ share: "gold", turns: String(turns) })) }],
    ["/weights/a~1b", { weights: [{ share: "a/b", turns: "1001" }] }],
  ])("finds fault at %s as it is typed", (place, typed) => {
    expect(Object.keys(faultsOf({ ...whole, ...typed }, false))).toEqual([place]);
  });

  it("says a rate in words", () => {
    expect(rateWords({ count: 10, per_ms: 60_000 })).toBe("10 in 1 min");
    expect(rateWords({ count: 10, per_ms: 90_000, burst: 10 })).toBe("10 in 1 min 30 s");
    expect(rateWords({ count: 10, per_ms: 1_000, burst: 3 })).toMatch(/, 3 at once$/);
  });
});

describe("a key of a limit", () => {
  it("says what keeps the next from beginning", () => {
    const key = { key: "a", most: 2, running: 1, waiting: 4 };
    expect(standingOf(key, NOW)).toBe("free");
    expect(standingOf({ ...key, next_token_at: at(5) }, NOW)).toBe("rate");
    expect(standingOf({ ...key, next_token_at: at(-5) }, NOW)).toBe("free");
    expect(standingOf({ ...key, running: 2, next_token_at: at(5) }, NOW)).toBe("full");
    expect(standingOf({ ...key, running: 2, cooled_until: at(5) }, NOW)).toBe("cooled");
    expect(standingOf({ key: "", running: 9, waiting: 0 }, NOW)).toBe("free");
  });

  it("is added to the others", () => {
    const keys = [
      { key: "a", running: 2, waiting: 4, oldest: at(-10) },
      { key: "b", running: 1, waiting: 1, oldest: at(-20), cooled_until: at(5) },
      { key: "c", running: 0, waiting: 0, cooled_until: at(-5) },
    ];
    expect(loadOf(keys, NOW)).toEqual({ running: 3, waiting: 5, oldest: at(-20), cooled: 1, isPart: false });
    const all = Array.from({ length: KEYS_MAX }, (_, n) => ({ key: String(n), running: 0, waiting: 0 }));
    expect(loadOf(all, NOW)).toMatchObject({ oldest: undefined, isPart: true });
  });

  it("is left alone until an instant ahead, and not for ever", () => {
    expect(coolFaults("a", at(60), NOW)).toEqual({});
    expect(Object.keys(coolFaults("a", undefined, NOW))).toEqual(["/until"]);
    expect(Object.keys(coolFaults("a", at(-1), NOW))).toEqual(["/until"]);
    expect(Object.keys(coolFaults("a", at(32 * 86_400), NOW))).toEqual(["/until"]);
    expect(Object.keys(coolFaults("é".repeat(129), at(60), NOW))).toEqual(["/key"]);
  });
});
