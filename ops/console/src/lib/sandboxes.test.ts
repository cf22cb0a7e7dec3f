import { describe, expect, it } from "vitest";
import { ageOf, badgeOf, daysOf, isEnded, matching, spentOn, utcDay } from "./sandboxes";

const NOW = Date.parse("2026-11-22T06:00:00Z");
const sandbox = {
  id: "sbx_1",
  tier: "local",
  state: "in_use",
  state_since: "2026-11-22T05:30:00Z",
  run: "run_a",
  provider: "local",
  host: "desk",
  lease_until: "2026-11-22T06:01:00Z",
  fence: 3,
  created_at: "2026-11-22T05:00:00Z",
  age_s: 3_600,
  cost_usd_micros: 120_000,
  left: false,
};
const cost = (day: string, tier: string, usd_micros: number) => ({ day, tier, seconds: 60, usd_micros });

describe("sandboxes", () => {
  it("grow older until they end", () => {
    expect(ageOf(sandbox, NOW)).toBe(3_600_000);
    for (const state of ["destroyed", "lost"]) {
      expect(isEnded({ state })).toBe(true);
      expect(ageOf({ ...sandbox, state }, NOW)).toBe(1_800_000);
    }
  });

  it("are found by any of their words", () => {
    const other = { ...sandbox, id: "sbx_2", tier: "cloud", run: null, host: null };
    const found = (find: string) => matching([sandbox, other], find).map(({ id }) => id);
    expect(found("")).toEqual(["sbx_1", "sbx_2"]);
    expect(found(" Local  run_a")).toEqual(["sbx_1"]);
    expect(found("in_use cloud")).toEqual(["sbx_2"]);
    expect(found("nowhere")).toEqual([]);
  });

  it("show a lost one as what went wrong, one that ended as usual as over", () => {
    expect(badgeOf({ state: "lost" })).toBe("failed");
    expect(badgeOf({ state: "destroyed" })).toBe("cancelled");
  });
});

describe("costs", () => {
  const costs = [cost("2026-11-22", "cloud", 5), cost("2026-11-22", "local", 2), cost("2026-11-21", "local", 9)];

  it("are a row a day, the newest first", () => {
    const days = daysOf(costs);
    expect(days.map(({ day, usd_micros, seconds }) => [day, usd_micros, seconds])).toEqual([
      ["2026-11-22", 7, 120],
      ["2026-11-21", 9, 60],
    ]);
    expect(days[1]?.tiers.get("local")?.usd_micros).toBe(9);
    expect(days[1]?.tiers.has("cloud")).toBe(false);
  });

  it("of today are those of the day in UTC", () => {
    expect(utcDay(NOW)).toBe("2026-11-22");
    expect(spentOn(utcDay(NOW), costs)).toBe(7);
    expect(spentOn("2026-11-20", costs)).toBe(0);
  });
});
