// The pages and their addresses. Each page is loaded when it is first opened.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { type RunFilter, readFilter } from "./lib/filters";
import { NotFound, PageFault, Shell } from "./pages/shell";

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound, errorComponent: PageFault });

const optionalText = (name: string) => (search: Record<string, unknown>) => {
  const value = search[name];
  return typeof value === "string" && value !== "" ? { [name]: value } : {};
};

const overview = createRoute({
  getParentRoute: () => root,
  path: "/",
  component: lazyRouteComponent(() => import("./pages/overview"), "Overview"),
});

const runs = createRoute({
  getParentRoute: () => root,
  path: "/runs",
  validateSearch: (search): RunFilter => readFilter(search),
  component: lazyRouteComponent(() => import("./pages/runs"), "Runs"),
});

export const RUN_VIEWS = [
  "timeline",
  "graph",
  "data",
  "logs",
  "files",
  "tier",
  "children",
  "journal",
  "commands",
] as const;
export type RunView = (typeof RUN_VIEWS)[number];

const bulkOperations = createRoute({
  getParentRoute: () => root,
  path: "/bulk-operations",
  component: lazyRouteComponent(() => import("./pages/bulk-operations"), "BulkOperations"),
});

const bulkOperation = createRoute({
  getParentRoute: () => root,
  path: "/bulk-operations/$id",
  component: lazyRouteComponent(() => import("./pages/bulk-operation"), "BulkOperation"),
});

const run = createRoute({
  getParentRoute: () => root,
  path: "/runs/$id",
  validateSearch: (search): { view?: RunView; step?: number } => {
    const view = RUN_VIEWS.find((one) => one === search.view);
    const step = typeof search.step === "number" ? search.step : undefined;
    return { ...(view === undefined ? {} : { view }), ...(step === undefined ? {} : { step }) };
  },
  component: lazyRouteComponent(() => import("./pages/run"), "Run"),
});

const inbox = createRoute({
  getParentRoute: () => root,
  path: "/inbox",
  component: lazyRouteComponent(() => import("./pages/inbox"), "Inbox"),
});

const task = createRoute({
  getParentRoute: () => root,
  path: "/inbox/$id",
  component: lazyRouteComponent(() => import("./pages/inbox"), "Inbox"),
});

const workflows = createRoute({
  getParentRoute: () => root,
  path: "/workflows",
  component: lazyRouteComponent(() => import("./pages/workflows"), "Workflows"),
});

const workflow = createRoute({
  getParentRoute: () => root,
  path: "/workflows/$name",
  component: lazyRouteComponent(() => import("./pages/workflow"), "Workflow"),
});

const start = createRoute({
  getParentRoute: () => root,
  path: "/workflows/$name/start",
  component: lazyRouteComponent(() => import("./pages/start"), "Start"),
});

const queues = createRoute({
  getParentRoute: () => root,
  path: "/queues",
  component: lazyRouteComponent(() => import("./pages/queues"), "Queues"),
});

const limit = createRoute({
  getParentRoute: () => root,
  path: "/limits/$name",
  validateSearch: (search): { key?: string } => optionalText("key")(search),
  component: lazyRouteComponent(() => import("./pages/limit"), "Limit"),
});

const sandboxes = createRoute({
  getParentRoute: () => root,
  path: "/sandboxes",
  validateSearch: (search): { all?: true; find?: string } => ({
    ...(search.all === true ? { all: true } : {}),
    ...optionalText("find")(search),
  }),
  component: lazyRouteComponent(() => import("./pages/sandboxes"), "Sandboxes"),
});

const workers = createRoute({
  getParentRoute: () => root,
  path: "/workers",
  component: lazyRouteComponent(() => import("./pages/workers"), "Workers"),
});

const tiers = createRoute({
  getParentRoute: () => root,
  path: "/tiers",
  component: lazyRouteComponent(() => import("./pages/tiers"), "Tiers"),
});

const schedules = createRoute({
  getParentRoute: () => root,
  path: "/schedules",
  component: lazyRouteComponent(() => import("./pages/schedules"), "Schedules"),
});

const schedule = createRoute({
  getParentRoute: () => root,
  path: "/schedules/$name",
  component: lazyRouteComponent(() => import("./pages/schedule"), "Schedule"),
});

const newSchedule = createRoute({
  getParentRoute: () => root,
  path: "/new-schedule",
  validateSearch: (search): { of?: string } => optionalText("of")(search),
  component: lazyRouteComponent(() => import("./pages/new-schedule"), "NewSchedule"),
});

const events = createRoute({
  getParentRoute: () => root,
  path: "/events",
  validateSearch: (search): { view?: "triggers"; key?: string; event?: string } => ({
    ...(search.view === "triggers" ? { view: search.view } : {}),
    ...optionalText("key")(search),
    ...optionalText("event")(search),
  }),
  component: lazyRouteComponent(() => import("./pages/events"), "Events"),
});

const webhooks = createRoute({
  getParentRoute: () => root,
  path: "/webhooks",
  validateSearch: (search): { view?: "outgoing" } => (search.view === "outgoing" ? { view: search.view } : {}),
  component: lazyRouteComponent(() => import("./pages/webhooks"), "Webhooks"),
});

const incomingWebhook = createRoute({
  getParentRoute: () => root,
  path: "/webhooks/incoming/$name",
  component: lazyRouteComponent(() => import("./pages/incoming-webhook"), "IncomingWebhook"),
});

const outgoingWebhook = createRoute({
  getParentRoute: () => root,
  path: "/webhooks/outgoing/$name",
  validateSearch: (search): { state?: string } => optionalText("state")(search),
  component: lazyRouteComponent(() => import("./pages/outgoing-webhook"), "OutgoingWebhook"),
});

const subjects = createRoute({
  getParentRoute: () => root,
  path: "/subjects",
  validateSearch: (search): { subject?: string } => optionalText("subject")(search),
  component: lazyRouteComponent(() => import("./pages/subjects"), "Subjects"),
});

const tokens = createRoute({
  getParentRoute: () => root,
  path: "/tokens",
  component: lazyRouteComponent(() => import("./pages/tokens"), "Tokens"),
});

const audit = createRoute({
  getParentRoute: () => root,
  path: "/audit",
  validateSearch: (search): { target?: string } => optionalText("target")(search),
  component: lazyRouteComponent(() => import("./pages/audit"), "Audit"),
});

const pages = [
  overview,
  runs,
  run,
  bulkOperations,
  bulkOperation,
  inbox,
  task,
  workflows,
  workflow,
  start,
  schedules,
  schedule,
  newSchedule,
  events,
  webhooks,
  incomingWebhook,
  outgoingWebhook,
  queues,
  limit,
  workers,
  sandboxes,
  tiers,
  subjects,
  tokens,
  audit,
];

export const router = createRouter({
  routeTree: root.addChildren(pages),
  basepath: "/console",
  defaultPreload: "intent",
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
