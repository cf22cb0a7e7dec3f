import { describe, expect, it } from "vitest";
import type { components } from "../api/schema";
import { faults } from "./schema";
import { asRule, decisionsOf, heat, RULE_SCHEMAS, ruleWords, sitesOf, thresholdsOf, tiersOf } from "./tiers";

type Rule = components["schemas"]["RuleView"];
type Metrics = components["schemas"]["TierMetrics"];

const AT = "2026-11-22T12:00:00Z";

function rule(kind: string, name: string, value: unknown): Rule {
  return { kind, name, value, version: 1, changed_by: "ada", changed_at: AT };
}

function tally(tier: string, site: string | null, good: number, bad: number): Metrics["tallies"][number] {
  return { tier, site, good, bad, failure_share: bad / (good + bad), last_at: AT };
}

describe("what is asked of a tier", () => {
  it("is its own rule, else that of all, else the router's own", () => {
    const rules = [
      rule("tier", "*", { failure_share_max: 0.5, samples_min: 3 }),
      rule("tier", "local", { samples_min: 9 }),
    ];
    expect(thresholdsOf(rules, "local")).toEqual({ failure_share_max: 0.5, lost_share_max: 0.5, samples_min: 9 });
    expect(thresholdsOf([], "local")).toEqual({ failure_share_max: 0.3, lost_share_max: 0.5, samples_min: 5 });
  });

  it("a switch of all holds for those without one of their own", () => {
    const rules = [rule("tier", "*", { enabled: false }), rule("tier", "local", { enabled: true })];
    const metrics = { tallies: [tally("remote", null, 1, 0)], sites: [], policies: [] };
    expect(tiersOf(metrics, rules).map(({ name, isOff }) => [name, isOff])).toEqual([
      ["local", false],
      ["remote", true],
    ]);
  });
});

describe("the heat map", () => {
  it.each([
    [undefined, "none"],
    [tally("local", "a", 2, 2), "few"],
    [tally("local", "a", 9, 1), "cool"],
    [tally("local", "a", 8, 2), "warm"],
    [tally("local", "a", 7, 3), "warm"],
    [tally("local", "a", 6, 4), "hot"],
  ])("%j", (one, expected) => expect(heat(one, 0.3, 5)).toBe(expected));

  it("has a row for each site, the worst first, also for one that was only visited", () => {
    const rows = sitesOf({
      tallies: [tally("local", null, 0, 99), tally("local", "good.example", 9, 1), tally("local", "bad.example", 1, 9)],
      sites: [{ site: "quiet.example", visits: 2 }],
      policies: [],
    });
    expect(rows.map(({ site }) => site)).toEqual(["bad.example", "good.example", "quiet.example"]);
    expect(rows[2]?.standing?.visits).toBe(2);
  });
});

describe("rules", () => {
  it("are told in words, without their note", () => {
    const value = { pace_s: 30, hours: { from: "08:00", to: "18:00" }, tiers: ["a", "b"], note: "ask legal" };
    expect(ruleWords(rule("site", "*.x", value))).toBe("30 s between visits · 08:00–18:00 UTC · tiers a, b");
    expect(ruleWords(rule("tier", "a", { enabled: false, percent: 10 }))).toBe("off · 10 % of the runs");
  });

  it("leave out what was left empty, and keep what is zero or no", () => {
    expect(asRule({ plans: [], note: "", enabled: false, percent: 0, cost_usd: undefined })).toEqual({
      enabled: false,
      percent: 0,
    });
  });

  it("are checked by their form before they are sent", () => {
    expect(faults(RULE_SCHEMAS.tier, { percent: 101 })).toHaveProperty("/percent");
    expect(faults(RULE_SCHEMAS.override, {})).toEqual({ "/tier": "this is missing" });
    expect(faults(RULE_SCHEMAS.site, { pace_s: 30, hours: { from: "08:00", to: "18:30" } })).toEqual({});
  });
});

it("a run's decisions are those of its steps that chose a tier", () => {
  const output = {
    tier: "local_headed",
    reasons: ["not local: its switch is off", "local_headed: the cheapest that fits"],
    considered: [{ tier: "local", verdict: "refused", why: "its switch is off" }],
    wait: { until: AT, why: "its policy paces visits to the site" },
  };
  const steps = [
    { seq: 1, name: "select-tier", asked_at: AT, output },
    { seq: 2, name: "provision", asked_at: AT, output: { tier: "no decision" } },
    { seq: 3, name: "select-tier", asked_at: AT },
  ];
  expect(decisionsOf(steps)).toEqual([{ seq: 1, at: AT, ...output }]);
});
