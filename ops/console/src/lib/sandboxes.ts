// Sandboxes: how each is, and what those of a day cost.
import type { components } from "../api/schema";
import { between } from "./time";

type Sandbox = components["schemas"]["SandboxView"];
type Cost = components["schemas"]["SandboxCost"];

const ENDED: readonly string[] = ["destroyed", "lost"];

export function isEnded({ state }: Pick<Sandbox, "state">): boolean {
  return ENDED.includes(state);
}

/** The first part of its id, which is a UUID; the whole stands beside it. */
export function brief(id: string): string {
  return id.length > 12 ? `${id.slice(0, 8)}…` : id;
}

/** Sandboxes of one answer at most. */
export const SANDBOXES_MAX = 1_000;

/** The colour of its state, by the words that badges have. */
export function badgeOf({ state }: Pick<Sandbox, "state">): string {
  switch (state) {
    case "requested":
    case "starting":
      return "waiting";
    case "ready":
      return "succeeded";
    case "in_use":
      return "running";
    case "parked":
      return "paused";
    case "stopping":
      return "closing";
    case "lost":
      return "failed";
    default:
      return "cancelled";
  }
}

/** How long it is there, or was. */
export function ageOf(sandbox: Pick<Sandbox, "state" | "created_at" | "state_since">, now: number): number {
  return between(sandbox.created_at, isEnded(sandbox) ? sandbox.state_since : undefined, now);
}

/** Those with the words in their id, run, tier, state or place. */
export function matching(sandboxes: readonly Sandbox[], find: string): Sandbox[] {
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  return sandboxes.filter(({ id, run, tier, state, provider, host }) => {
    const text = [id, run, tier, state, provider, host].filter(Boolean).join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** `2026-11-22`: days of costs are those of UTC. */
export function utcDay(now: number): string {
  return new Date(now).toISOString().slice(0, 10);
}

export interface Day {
  day: string;
  seconds: number;
  usd_micros: number;
  tiers: ReadonlyMap<string, Cost>;
}

/** A row a day, the newest first, as they come. */
export function daysOf(costs: readonly Cost[]): Day[] {
  const names = [...new Set(costs.map(({ day }) => day))];
  return names.map((day) => {
    const of = costs.filter((cost) => cost.day === day);
    return {
      day,
      seconds: of.reduce((all, { seconds }) => all + seconds, 0),
      usd_micros: of.reduce((all, { usd_micros }) => all + usd_micros, 0),
      tiers: new Map(of.map((cost) => [cost.tier, cost])),
    };
  });
}

/** What those of one day cost until each last changed. */
export function spentOn(day: string, costs: readonly Cost[]): number {
  return daysOf(costs).find((one) => one.day === day)?.usd_micros ?? 0;
}
