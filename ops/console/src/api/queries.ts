// What pages read, and how soon they read it again. The API streams only the journal of one run: lists are polled.
import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import type { RunFilter } from "../lib/filters";
import { api, type Schemas, told } from "./client";

export const FAST_MS = 2_000;
export const SLOW_MS = 5_000;
export const PAGE_ROWS = 100;
/** Pages that are read again by themselves; who scrolled further reads on in peace. */
export const LIVE_PAGES_MAX = 2;

export const runsQuery = (filter: RunFilter) =>
  infiniteQueryOptions({
    queryKey: ["runs", filter],
    queryFn: ({ pageParam, signal }) =>
      told(
        api.GET("/api/v1/runs", {
          params: { query: { ...filter, limit: PAGE_ROWS, ...(pageParam === null ? {} : { cursor: pageParam }) } },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor ?? null,
    placeholderData: keepPreviousData,
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) <= LIVE_PAGES_MAX ? FAST_MS : false),
  });

/** The newest runs of some kind, as a sample. */
export const newestRunsQuery = (filter: RunFilter, limit: number) =>
  queryOptions({
    queryKey: ["runs", "newest", filter, limit],
    queryFn: ({ signal }) => told(api.GET("/api/v1/runs", { params: { query: { ...filter, limit } }, signal })),
    refetchInterval: SLOW_MS,
  });

/** Children of a run, newest first. */
export const childrenQuery = (parent: string) => newestRunsQuery({ parent }, 1);

/** How many runs there are. Statuses are what is counted, and not filtered by. */
export const countsQuery = ({ status: _, ...filter }: RunFilter) =>
  queryOptions({
    queryKey: ["runs", "counts", filter],
    queryFn: ({ signal }) => told(api.GET("/api/v1/runs/counts", { params: { query: filter }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: SLOW_MS,
  });

export const runQuery = (id: string) =>
  queryOptions({
    queryKey: ["run", id],
    queryFn: ({ signal }) => told(api.GET("/api/v1/runs/{id}", { params: { path: { id } }, signal })),
    // To compare a thousand steps with those before costs more than to draw those that are in sight.
    structuralSharing: false,
    // The journal's stream says when there is something new; this is for what no journal tells, such as a grant.
    refetchInterval: (query) => (query.state.data?.ended_at ? false : SLOW_MS),
  });

export const artifactsQuery = (id: string) =>
  queryOptions({
    queryKey: ["run", id, "artifacts"],
    queryFn: ({ signal }) => told(api.GET("/api/v1/runs/{id}/artifacts", { params: { path: { id } }, signal })),
  });

export const tasksQuery = queryOptions({
  queryKey: ["tasks"],
  queryFn: ({ signal }) => told(api.GET("/api/v1/human-tasks", { params: { query: { limit: 200 } }, signal })),
  refetchInterval: FAST_MS,
  // Titles of tabs and notices want to know in the background too.
  refetchIntervalInBackground: true,
});

export const taskQuery = (id: string) =>
  queryOptions({
    queryKey: ["tasks", id],
    queryFn: ({ signal }) => told(api.GET("/api/v1/human-tasks/{id}", { params: { path: { id } }, signal })),
    refetchInterval: FAST_MS,
  });

export const queuesQuery = queryOptions({
  queryKey: ["queues"],
  queryFn: ({ signal }) => told(api.GET("/api/v1/queues", { signal })),
  refetchInterval: FAST_MS,
});

export const workersQuery = queryOptions({
  queryKey: ["workers"],
  queryFn: ({ signal }) => told(api.GET("/api/v1/workers", { signal })),
  refetchInterval: FAST_MS,
});

export const pausesQuery = queryOptions({
  queryKey: ["pauses"],
  queryFn: ({ signal }) => told(api.GET("/api/v1/pauses", { signal })),
  refetchInterval: SLOW_MS,
});

export const limitsQuery = queryOptions({
  queryKey: ["limits"],
  queryFn: ({ signal }) => told(api.GET("/api/v1/limits", { signal })),
  refetchInterval: SLOW_MS,
});

export const limitQuery = (name: string) =>
  queryOptions({
    queryKey: ["limits", name],
    queryFn: ({ signal }) => told(api.GET("/api/v1/limits/{name}", { params: { path: { name } }, signal })),
    refetchInterval: SLOW_MS,
  });

/** What its keys have; of one key if it is named. */
export const limitKeysQuery = (name: string, key?: string) =>
  queryOptions({
    queryKey: ["limits", name, "keys", key],
    queryFn: ({ signal }) => {
      const query = key === undefined ? {} : { key };
      return told(api.GET("/api/v1/limits/{name}/keys", { params: { path: { name }, query }, signal }));
    },
    refetchInterval: FAST_MS,
  });

export const sandboxesQuery = (all: boolean) =>
  queryOptions({
    queryKey: ["sandboxes", all],
    queryFn: ({ signal }) => told(api.GET("/api/v1/sandboxes", { params: { query: { all } }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: SLOW_MS,
  });

export const workflowsQuery = queryOptions({
  queryKey: ["workflows"],
  queryFn: ({ signal }) => told(api.GET("/api/v1/workflows", { signal })),
  staleTime: 30_000,
});

export const workflowQuery = (name: string) =>
  queryOptions({
    queryKey: ["workflows", name],
    queryFn: ({ signal }) => told(api.GET("/api/v1/workflows/{name}", { params: { path: { name } }, signal })),
    staleTime: 30_000,
  });

export const tokensQuery = queryOptions({
  queryKey: ["tokens"],
  queryFn: ({ signal }) => told(api.GET("/api/v1/tokens", { signal })),
  refetchInterval: SLOW_MS,
});

export const auditQuery = (target: string | undefined) =>
  infiniteQueryOptions({
    queryKey: ["audit", target],
    queryFn: ({ pageParam, signal }) => {
      const query = { order: "newest", limit: PAGE_ROWS, ...(target === undefined ? {} : { target }) };
      const after = pageParam === null ? {} : { cursor: pageParam };
      return told(api.GET("/api/v1/audit", { params: { query: { ...query, ...after } }, signal }));
    },
    initialPageParam: null as string | null,
    // Every page but an empty one has a cursor, for readers that wait for more.
    getNextPageParam: (last) => (last.entries.length < PAGE_ROWS ? null : (last.next_cursor ?? null)),
  });

export const readyQuery = queryOptions({
  queryKey: ["ready"],
  queryFn: async ({ signal }) => {
    // 503 tells which part is away, in the same document.
    const { data, error } = await api.GET("/readyz", { signal });
    return data ?? error;
  },
  refetchInterval: SLOW_MS,
});

export const subjectQuery = (subject: string) =>
  queryOptions({
    queryKey: ["subjects", subject],
    queryFn: ({ signal }) => told(api.GET("/api/v1/subjects/{subject}", { params: { path: { subject } }, signal })),
  });

export const itemsQuery = (subject: string) =>
  infiniteQueryOptions({
    queryKey: ["subjects", subject, "items"],
    queryFn: ({ pageParam, signal }) => {
      const query = { limit: PAGE_ROWS, ...(pageParam === null ? {} : { cursor: pageParam }) };
      return told(api.GET("/api/v1/subjects/{subject}/items", { params: { path: { subject }, query }, signal }));
    },
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor ?? null,
  });

export const usesQuery = (subject: string) =>
  queryOptions({
    queryKey: ["subjects", subject, "uses"],
    queryFn: ({ signal }) =>
      told(api.GET("/api/v1/subjects/{subject}/uses", { params: { path: { subject } }, signal })),
  });

export const subjectFilesQuery = (subject: string) =>
  queryOptions({
    queryKey: ["subjects", subject, "files"],
    queryFn: ({ signal }) =>
      told(api.GET("/api/v1/subjects/{subject}/files", { params: { path: { subject } }, signal })),
  });

export const rulesQuery = queryOptions({
  queryKey: ["rules"],
  queryFn: ({ signal }) => told(api.GET("/api/v1/rules", { params: { query: {} }, signal })),
  refetchInterval: SLOW_MS,
});

export const tierMetricsQuery = queryOptions({
  queryKey: ["tier-metrics"],
  queryFn: ({ signal }) => told(api.GET("/api/v1/admin/tier-metrics", { signal })),
  refetchInterval: SLOW_MS,
});

export const schedulesQuery = infiniteQueryOptions({
  queryKey: ["schedules"],
  queryFn: ({ pageParam, signal }) => {
    const query = { limit: PAGE_ROWS, ...(pageParam === null ? {} : { cursor: pageParam }) };
    return told(api.GET("/api/v1/schedules", { params: { query }, signal }));
  },
  initialPageParam: null as string | null,
  getNextPageParam: (last) => last.next_cursor ?? null,
  refetchInterval: SLOW_MS,
});

export const scheduleQuery = (name: string) =>
  queryOptions({
    queryKey: ["schedules", name],
    queryFn: ({ signal }) => told(api.GET("/api/v1/schedules/{name}", { params: { path: { name } }, signal })),
    refetchInterval: SLOW_MS,
  });

export const firesQuery = (name: string, state: string | undefined) =>
  infiniteQueryOptions({
    queryKey: ["schedules", name, "fires", state],
    queryFn: ({ pageParam, signal }) => {
      const query = {
        limit: PAGE_ROWS,
        ...(state === undefined ? {} : { state }),
        ...(pageParam === null ? {} : { cursor: pageParam }),
      };
      return told(api.GET("/api/v1/schedules/{name}/fires", { params: { path: { name }, query }, signal }));
    },
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor ?? null,
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) <= LIVE_PAGES_MAX ? FAST_MS : false),
  });

/** What a schedule would do: nothing is stored. */
export const previewQuery = (name: string, body: Schemas["PutScheduleRequest"], enabled: boolean) =>
  queryOptions({
    queryKey: ["schedules", "preview", name, body],
    queryFn: ({ signal }) =>
      told(api.PUT("/api/v1/schedules/{name}", { params: { path: { name }, query: { dry_run: true } }, body, signal })),
    enabled,
    retry: false,
    staleTime: 30_000,
    placeholderData: keepPreviousData,
  });

export const eventsQuery = (key: string | undefined) =>
  infiniteQueryOptions({
    queryKey: ["events", key],
    queryFn: ({ pageParam, signal }) => {
      const query = {
        limit: PAGE_ROWS,
        ...(key === undefined ? {} : { key }),
        ...(pageParam === null ? {} : { cursor: pageParam }),
      };
      return told(api.GET("/api/v1/events", { params: { query }, signal }));
    },
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor ?? null,
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) <= LIVE_PAGES_MAX ? FAST_MS : false),
  });

export const eventQuery = (id: string) =>
  queryOptions({
    queryKey: ["events", "one", id],
    queryFn: ({ signal }) => told(api.GET("/api/v1/events/{id}", { params: { path: { id } }, signal })),
    refetchInterval: SLOW_MS,
  });

export const triggersQuery = queryOptions({
  queryKey: ["event-triggers"],
  queryFn: ({ signal }) => told(api.GET("/api/v1/event-triggers", { signal })),
  refetchInterval: SLOW_MS,
});

export const incomingWebhooksQuery = queryOptions({
  queryKey: ["webhooks", "incoming"],
  queryFn: ({ signal }) => told(api.GET("/api/v1/webhooks/incoming", { signal })),
  refetchInterval: SLOW_MS,
});

export const incomingWebhookQuery = (name: string) =>
  queryOptions({
    queryKey: ["webhooks", "incoming", name],
    queryFn: ({ signal }) => told(api.GET("/api/v1/webhooks/incoming/{name}", { params: { path: { name } }, signal })),
    refetchInterval: SLOW_MS,
  });

/** Deliveries that were refused. */
export const refusalsQuery = (name: string) =>
  queryOptions({
    queryKey: ["webhooks", "incoming", name, "failures"],
    queryFn: ({ signal }) =>
      told(api.GET("/api/v1/webhooks/incoming/{name}/failures", { params: { path: { name } }, signal })),
    refetchInterval: FAST_MS,
  });
