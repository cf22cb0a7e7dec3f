// Bulk operations: one action on all runs that a filter chooses.
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, type Schemas, told } from "./client";
import { FAST_MS, LIVE_PAGES_MAX, PAGE_ROWS } from "./queries";

export type BulkAction = Schemas["BulkAction"];
export type BulkFilter = Schemas["BulkFilter"];
export type BulkRequest = Schemas["BulkOperationRequest"];
export type BulkPreview = Schemas["BulkPreview"];
export type BulkOperation = Schemas["BulkOperationView"];

const KEY = ["bulk-operations"];

const isLive = ({ ended_at }: BulkOperation) => ended_at == null;

export const bulkOperationsQuery = infiniteQueryOptions({
  queryKey: KEY,
  queryFn: ({ pageParam, signal }) => {
    const query = { limit: PAGE_ROWS, ...(pageParam === null ? {} : { cursor: pageParam }) };
    return told(api.GET("/api/v1/bulk-operations", { params: { query }, signal }));
  },
  initialPageParam: null as string | null,
  getNextPageParam: (last) => last.next_cursor ?? null,
  refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) <= LIVE_PAGES_MAX ? FAST_MS : false),
});

/** How often one that is at work is read anew. */
const FOLLOW_MS = 1_000;

export const bulkOperationQuery = (id: string) =>
  queryOptions({
    queryKey: [...KEY, id],
    queryFn: ({ signal }) => told(api.GET("/api/v1/bulk-operations/{id}", { params: { path: { id } }, signal })),
    refetchInterval: ({ state: { data } }) => (data === undefined || isLive(data) ? FOLLOW_MS : false),
  });

/** How many runs it would be about. */
export const bulkPreviewQuery = (action: BulkAction, filter: BulkFilter) =>
  queryOptions({
    queryKey: [...KEY, "preview", action, filter],
    queryFn: async ({ signal }) => {
      const body = { action, filter, preview: true };
      return (await told(api.POST("/api/v1/bulk-operations", { params: {}, body, signal }))) as BulkPreview;
    },
    retry: false,
    refetchInterval: FAST_MS,
  });

export async function startBulk(body: BulkRequest, key: string): Promise<BulkOperation> {
  const params = { header: { "Idempotency-Key": key } };
  return (await told(api.POST("/api/v1/bulk-operations", { params, body }))) as BulkOperation;
}

export type BulkVerb = "pause" | "resume" | "cancel" | "undo";

export function tellBulk(verb: BulkVerb, id: string): Promise<BulkOperation> {
  return told(api.POST(`/api/v1/bulk-operations/{id}/${verb}`, { params: { path: { id } } }));
}

export function setBulkRate(id: string, rate: number): Promise<BulkOperation> {
  return told(api.PUT("/api/v1/bulk-operations/{id}/rate", { params: { path: { id } }, body: { rate } }));
}
