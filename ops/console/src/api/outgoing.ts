// Outgoing webhooks and what each was told.
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, type Schemas, told } from "./client";
import { FAST_MS, LIVE_PAGES_MAX, PAGE_ROWS, SLOW_MS } from "./queries";

export type Outgoing = Schemas["OutgoingWebhookView"];
export type PutOutgoing = Schemas["PutOutgoingWebhookRequest"];
export type OutgoingDelivery = Schemas["OutgoingDeliveryView"];

const KEY = ["webhooks", "outgoing"];

export const outgoingWebhooksQuery = queryOptions({
  queryKey: KEY,
  queryFn: ({ signal }) => told(api.GET("/api/v1/webhooks/outgoing", { signal })),
  refetchInterval: SLOW_MS,
});

export const outgoingWebhookQuery = (name: string) =>
  queryOptions({
    queryKey: [...KEY, name],
    queryFn: ({ signal }) => told(api.GET("/api/v1/webhooks/outgoing/{name}", { params: { path: { name } }, signal })),
    refetchInterval: SLOW_MS,
  });

export const deliveriesQuery = (name: string, state: string | undefined) =>
  infiniteQueryOptions({
    queryKey: [...KEY, name, "deliveries", state],
    queryFn: ({ pageParam, signal }) => {
      const query = {
        limit: PAGE_ROWS,
        ...(state === undefined ? {} : { state }),
        ...(pageParam === null ? {} : { cursor: pageParam }),
      };
      const params = { path: { name }, query };
      return told(api.GET("/api/v1/webhooks/outgoing/{name}/deliveries", { params, signal }));
    },
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor ?? null,
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) <= LIVE_PAGES_MAX ? FAST_MS : false),
  });

export function putOutgoing(name: string, body: PutOutgoing): Promise<Outgoing> {
  return told(api.PUT("/api/v1/webhooks/outgoing/{name}", { params: { path: { name } }, body }));
}

export function removeOutgoing(name: string): Promise<unknown> {
  return told(api.DELETE("/api/v1/webhooks/outgoing/{name}", { params: { path: { name } } }));
}

export function redeliver(name: string, id: string): Promise<unknown> {
  return told(
    api.POST("/api/v1/webhooks/outgoing/{name}/deliveries/{id}/redeliver", { params: { path: { name, id } } }),
  );
}
