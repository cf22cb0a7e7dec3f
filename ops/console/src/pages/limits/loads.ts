// What limits have at work, and what waits for them. The API tells it limit by limit.
import { useQueries } from "@tanstack/react-query";
import type { Schemas } from "../../api/client";
import { limitKeysQuery, SLOW_MS } from "../../api/queries";
import { type Load, loadOf } from "../../lib/limits";
import { useNow } from "../../ui/now";

/** Each is a request of its own; of further limits their own pages tell. */
export const LOADS_MAX = 20;

export function useLoads(limits: readonly Schemas["LimitView"][]): ReadonlyMap<string, Load> {
  const now = useNow();
  const asked = limits.slice(0, LOADS_MAX);
  const answers = useQueries({
    queries: asked.map(({ name }) => ({ ...limitKeysQuery(name), refetchInterval: SLOW_MS })),
  });
  const known = asked.flatMap(({ name }, index): [string, Load][] => {
    const keys = answers[index]?.data?.keys;
    return keys === undefined ? [] : [[name, loadOf(keys, now)]];
  });
  return new Map(known);
}
