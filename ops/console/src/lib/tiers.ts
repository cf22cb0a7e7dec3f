// Browser tiers: how they do and where, the rules by which they are chosen, and why a run got the one that it has.
import type { components } from "../api/schema";
import { isObject, type Json, number, object, text } from "./json";
import type { Schema } from "./schema";
import { plural } from "./words";

type Tally = components["schemas"]["TierTally"];
type Rule = components["schemas"]["RuleView"];
type Metrics = components["schemas"]["TierMetrics"];

/** The rule of all tiers that do not say it themselves. */
export const ALL_TIERS = "*";
/** What holds where no rule says otherwise: the router's own. */
const DEFAULTS = { failure_share_max: 0.3, lost_share_max: 0.5, samples_min: 5 };

export const RULE_KINDS = ["tier", "site", "override"] as const;
export type RuleKind = (typeof RULE_KINDS)[number];

export interface Thresholds {
  failure_share_max: number;
  lost_share_max: number;
  samples_min: number;
}

/** Of a tier: its own rule, else that of all, else the default. */
export function thresholdsOf(rules: readonly Rule[], tier: string): Thresholds {
  const of = (name: string) => object(rules.find((rule) => rule.kind === "tier" && rule.name === name)?.value);
  const [own, all] = [of(tier), of(ALL_TIERS)];
  const pick = (name: keyof Thresholds) => number(own[name]) ?? number(all[name]) ?? DEFAULTS[name];
  return {
    failure_share_max: pick("failure_share_max"),
    lost_share_max: pick("lost_share_max"),
    samples_min: pick("samples_min"),
  };
}

export interface TierRow {
  name: string;
  rule: Rule | undefined;
  /** As the router reads it: what the tier leaves unsaid, the rule of all says. */
  isOff: boolean;
  everywhere: Tally | undefined;
}

/** Every tier that a rule or a browser named. */
export function tiersOf(metrics: Metrics | undefined, rules: readonly Rule[]): TierRow[] {
  const ruled = rules.filter(({ kind }) => kind === "tier");
  const names = new Set([
    ...ruled.map(({ name }) => name).filter((name) => name !== ALL_TIERS),
    ...(metrics?.tallies.map(({ tier }) => tier) ?? []),
    ...(metrics?.policies.map(({ tier }) => tier) ?? []),
  ]);
  const enabled = (name: string) => object(ruled.find((rule) => rule.name === name)?.value).enabled;
  return [...names].sort().map((name) => ({
    name,
    rule: ruled.find((rule) => rule.name === name),
    isOff: (enabled(name) ?? enabled(ALL_TIERS)) === false,
    everywhere: metrics?.tallies.find(({ tier, site }) => tier === name && site == null),
  }));
}

export interface SiteRow {
  site: string;
  cells: ReadonlyMap<string, Tally>;
  standing: Metrics["sites"][number] | undefined;
}

/** A row a site, the worst first; a site of which only its visits are known is a row too. */
export function sitesOf({ tallies, sites }: Metrics): SiteRow[] {
  const rows = new Map<string, Map<string, Tally>>(sites.map(({ site }) => [site, new Map<string, Tally>()]));
  for (const tally of tallies) {
    if (tally.site == null) continue;
    const cells = rows.get(tally.site) ?? new Map<string, Tally>();
    rows.set(tally.site, cells.set(tally.tier, tally));
  }
  const worst = (cells: ReadonlyMap<string, Tally>) => Math.max(0, ...[...cells.values()].map(({ bad }) => bad));
  return [...rows]
    .map(([site, cells]) => ({ site, cells, standing: sites.find((one) => one.site === site) }))
    .sort((a, b) => worst(b.cells) - worst(a.cells) || a.site.localeCompare(b.site));
}

export type Heat = "none" | "few" | "cool" | "warm" | "hot";

/** How a tier does against what is asked of it. */
export function heat(tally: Tally | undefined, most: number, samplesMin: number): Heat {
  if (tally?.failure_share == null) return "none";
  if (tally.good + tally.bad < samplesMin) return "few";
  if (tally.failure_share > most) return "hot";
  return tally.failure_share > most / 2 ? "warm" : "cool";
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** A rule in a few words, beside its note. */
export function ruleWords({ value }: Pick<Rule, "value">): string {
  const { note: _, enabled, ...rest } = object(value);
  const parts = enabled === false ? ["off"] : enabled === true ? ["on"] : [];
  for (const [name, one] of Object.entries(rest)) parts.push(part(name, one));
  return parts.join(" · ");
}

function part(name: string, value: unknown): string {
  const count = number(value) ?? 0;
  switch (name) {
    case "percent":
      return `${count} % of the runs`;
    case "cost_usd":
      return `costs $${count}`;
    case "usd_per_hour":
      return `$${count} an hour`;
    case "max_usd_per_day":
      return `$${count} a day, at most`;
    case "day_ends":
      return value === true ? "ends runs that the day’s money does not reach" : "lets runs wait for the next day";
    case "failure_share_max":
      return `may fail ${percent(count)}`;
    case "lost_share_max":
      return `may vanish ${percent(count)}`;
    case "samples_min":
      return `after ${plural(count, "browser")}`;
    case "pace_s":
      return `${count} s between visits`;
    case "max_per_day":
      return `${plural(count, "visit")} a day`;
    case "max_escalations":
      return plural(count, "escalation");
    case "needs_profile":
      return value === true ? "needs a profile" : "needs no profile";
    case "hours": {
      const hours = object(value);
      return `${text(hours.from)}–${text(hours.to)} ${text(hours.utc_offset) || "UTC"}`;
    }
    default: {
      const words = Array.isArray(value) ? value.map(text).join(", ") : text(value);
      return `${name.replaceAll("_", " ")} ${words}`;
    }
  }
}

const share = (title: string, description: string) => ({ type: "number", minimum: 0, maximum: 1, title, description });
const words = (title: string, description: string) => ({
  type: "array",
  items: { type: "string", title: "Name" },
  title,
  description,
});
const note = { type: "string", title: "Note", description: "For those who find the rule. Not in the audit." };
const runsPercent = { type: "integer", minimum: 0, maximum: 100, title: "Percent of the runs" };

/** What the forms ask for. What may stand in a rule, the engine decides. */
export const RULE_SCHEMAS: Record<RuleKind, Schema> = {
  tier: {
    type: "object",
    properties: {
      enabled: {
        type: "boolean",
        title: "May be chosen",
        description: "The kill switch: no stops it for new browsers.",
      },
      percent: { ...runsPercent, description: "The part of all runs that may have it." },
      plans: words("Plans", "Plans that may have it; all if none is named."),
      cost_usd: { type: "number", minimum: 0, title: "Cost, US dollars", description: "Of one browser to its run." },
      usd_per_hour: {
        type: "number",
        minimum: 0,
        title: "Cost of an hour, US dollars",
        description: "What its provider asks for one browser: sandboxes are metered by it.",
      },
      max_usd_per_day: {
        type: "number",
        minimum: 0,
        title: "Cost of a day, at most",
        description: "US dollars, of all browsers of it, by days of UTC. Runs that come later wait for the next.",
      },
      day_ends: {
        type: "boolean",
        title: "A run that comes later ends",
        description: "Instead of waiting for the next day.",
      },
      failure_share_max: share("Failures, at most", "A site at which more fail starts on the next tier. Default: 0.3."),
      lost_share_max: share("Vanished, at most", "A tier of which more go away is passed over. Default: 0.5."),
      samples_min: {
        type: "number",
        minimum: 1,
        title: "Browsers before that is believed",
        description: "Recent and decayed. Default: 5.",
      },
      note,
    },
  },
  site: {
    type: "object",
    properties: {
      tiers: words("Tiers", "Those that may visit it; all if none is named."),
      pace_s: { type: "integer", minimum: 0, title: "Seconds between visits" },
      max_per_day: { type: "integer", minimum: 1, title: "Visits a day, at most" },
      hours: {
        type: "object",
        title: "Hours",
        required: ["from", "to"],
        properties: {
          from: { type: "string", title: "From", description: "`08:00`" },
          to: { type: "string", title: "To", description: "`18:30`; before the first: of the next day" },
          utc_offset: { type: "string", title: "Distance to UTC", description: "`+01:00`" },
        },
      },
      cool_down_until: { type: "string", title: "Leave alone until", description: "Such as `2026-11-22T18:00:00Z`." },
      needs_profile: { type: "boolean", title: "Needs a profile", description: "Only tiers that keep a subject’s." },
      max_escalations: { type: "integer", minimum: 0, maximum: 3, title: "Escalations, at most" },
      terms: { type: "string", "x-multiline": true, title: "Terms", description: "What the site’s terms say." },
      note,
    },
  },
  override: {
    type: "object",
    required: ["tier"],
    properties: {
      tier: { type: "string", title: "Tier", description: "Where they are sent, if they may have it at all." },
      site: { type: "string", title: "Site", description: "A pattern such as `*.example.com`." },
      ats: { type: "string", title: "Application system", description: "Such as `greenhouse`." },
      plan: { type: "string", title: "Plan" },
      subject: { type: "string", title: "Subject" },
      percent: { ...runsPercent, description: "The part of those whom it fits." },
      until: { type: "string", title: "Until", description: "Such as `2026-11-22T18:00:00Z`." },
      note,
    },
  },
};

/** A rule says nothing by an empty list: it leaves it out. */
export function asRule(value: unknown): Json {
  const kept = Object.entries(object(value)).filter(
    ([, one]) => one !== undefined && one !== "" && !(Array.isArray(one) && one.length === 0),
  );
  return Object.fromEntries(kept);
}

/** Why a run's browser is of its tier, as its step `select-tier` tells. */
export interface TierDecision {
  seq: number;
  at: string;
  tier: string;
  reasons: string[];
  considered: { tier: string; verdict: string; why: string }[];
  policy?: string;
  wait?: { until: string; why: string };
}

const SELECT_TIER = "select-tier";

type Step = Pick<components["schemas"]["StepView"], "seq" | "name" | "asked_at" | "output">;

export function decisionOf({ seq, name, asked_at, output }: Step): TierDecision | undefined {
  if (name !== SELECT_TIER || !isObject(output) || typeof output.tier !== "string") return undefined;
  const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
  const wait = isObject(output.wait) ? { until: text(output.wait.until), why: text(output.wait.why) } : undefined;
  return {
    seq,
    at: asked_at,
    tier: output.tier,
    reasons: list(output.reasons).map(text),
    considered: list(output.considered)
      .map(object)
      .map((one) => ({ tier: text(one.tier), verdict: text(one.verdict), why: text(one.why) })),
    ...(typeof output.policy === "string" ? { policy: output.policy } : {}),
    ...(wait === undefined ? {} : { wait }),
  };
}

export function decisionsOf(steps: readonly Step[]): TierDecision[] {
  return steps.flatMap((step) => decisionOf(step) ?? []);
}
