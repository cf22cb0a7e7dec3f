//! Which scope opens which route. A route that is not here is closed; a test walks them all.

use axum::http::Method;

use crate::access::Scope::{self, Admin, Answer, Operate, Read, Trigger, Work};

/// What a request must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Open to everybody.
    Nothing,
    /// Any token: what is asked for is not there, and only those who may ask at all are told so.
    Token,
    /// A token with one of these.
    AnyOf(&'static [Scope]),
    /// Nobody.
    Closed,
}

/// They answer nothing about runs.
const OPEN: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"];

/// Where sandboxes speak of themselves.
pub(super) const SANDBOX_EVENT: &str = "/api/v1/webhooks/sandbox";

/// `POST` to them shows something else than a token of the API: that of the completion in the path, what the webhook asks for, the
/// sandbox's own token or signature.
pub(super) const PROVEN: [&str; 3] = ["/api/v1/completions/{token}", "/api/v1/hooks/{tenant}/{name}", SANDBOX_EVENT];

/// Where a token is changed for a session.
pub(super) const SIGN_IN: (Method, &str) = (Method::POST, "/api/v1/session");

type Row = (Method, &'static str, &'static [Scope]);

/// Whoever is no worker.
const OF_PEOPLE: [Scope; 5] = [Trigger, Read, Operate, Answer, Admin];

pub(super) const ROUTES: [Row; 120] = [
    (Method::GET, "/api/v1/workflows", &[Read, Trigger]),
    (Method::GET, "/api/v1/workflows/{name}", &[Read, Trigger]),
    // What runs do is decided by who may decide who does what.
    (Method::PUT, "/api/v1/workflows/{name}", &[Admin]),
    (Method::GET, "/api/v1/workflows/{name}/versions/{version}", &[Read, Trigger]),
    (Method::POST, "/api/v1/workflows/{name}/runs", &[Trigger]),
    (Method::POST, "/api/v1/workflows/{name}/runs/bulk", &[Trigger]),
    (Method::GET, "/api/v1/runs", &[Read]),
    (Method::GET, "/api/v1/runs/counts", &[Read]),
    (Method::GET, "/api/v1/runs/{id}", &[Read]),
    (Method::GET, "/api/v1/bulk-operations", &[Read]),
    // To delete runs wants `admin`: their history is gone.
    (Method::POST, "/api/v1/bulk-operations", &[Operate]),
    (Method::GET, "/api/v1/bulk-operations/{id}", &[Read]),
    (Method::POST, "/api/v1/bulk-operations/{id}/pause", &[Operate]),
    (Method::POST, "/api/v1/bulk-operations/{id}/resume", &[Operate]),
    (Method::POST, "/api/v1/bulk-operations/{id}/cancel", &[Operate]),
    (Method::POST, "/api/v1/bulk-operations/{id}/undo", &[Operate]),
    (Method::PUT, "/api/v1/bulk-operations/{id}/rate", &[Operate]),
    (Method::POST, "/api/v1/runs/{id}/pause", &[Operate]),
    (Method::POST, "/api/v1/runs/{id}/resume", &[Operate]),
    (Method::POST, "/api/v1/runs/{id}/cancel", &[Operate]),
    (Method::POST, "/api/v1/runs/{id}/retry", &[Operate]),
    (Method::POST, "/api/v1/runs/{id}/kill", &[Operate]),
    (Method::POST, "/api/v1/runs/{id}/steps/{seq}/skip", &[Operate]),
    (Method::PUT, "/api/v1/runs/{id}/steps/{seq}/input", &[Operate]),
    (Method::POST, "/api/v1/runs/{id}/fork", &[Operate]),
    (Method::PUT, "/api/v1/runs/{id}/budget", &[Operate]),
    (Method::POST, "/api/v1/runs/{id}/signals/{name}", &[Trigger, Operate]),
    (Method::GET, "/api/v1/runs/{id}/artifacts", &[Read]),
    // The journal has everything; what of it a viewer may see is in the run.
    (Method::GET, "/api/v1/runs/{id}/events", &[Trigger, Operate, Answer]),
    (Method::GET, "/api/v1/human-tasks", &[Read, Answer]),
    (Method::GET, "/api/v1/human-tasks/{id}", &[Read, Answer]),
    (Method::POST, "/api/v1/human-tasks/{id}/claim", &[Answer]),
    (Method::POST, "/api/v1/human-tasks/{id}/release", &[Answer]),
    (Method::POST, "/api/v1/human-tasks/{id}/answer", &[Answer]),
    (Method::POST, "/api/v1/human-tasks/{id}/reject", &[Answer]),
    // An answer may name a file, as an input does.
    (Method::POST, "/api/v1/files", &[Trigger, Answer]),
    (Method::GET, "/api/v1/files/{id}", &[Trigger, Operate, Answer]),
    (Method::GET, "/api/v1/queues", &[Read]),
    (Method::GET, "/api/v1/workers", &[Read]),
    (Method::GET, "/api/v1/pauses", &[Read]),
    (Method::POST, "/api/v1/workflows/{name}/pause", &[Operate]),
    (Method::POST, "/api/v1/workflows/{name}/resume", &[Operate]),
    (Method::POST, "/api/v1/queues/{name}/pause", &[Operate]),
    (Method::POST, "/api/v1/queues/{name}/resume", &[Operate]),
    (Method::POST, "/api/v1/workers/{id}/pause", &[Operate]),
    (Method::POST, "/api/v1/workers/{id}/resume", &[Operate]),
    (Method::POST, "/api/v1/tenants/{name}/pause", &[Admin]),
    (Method::POST, "/api/v1/tenants/{name}/resume", &[Admin]),
    // And the token is that of the engine's own file.
    (Method::POST, "/api/v1/engine/pause", &[Admin]),
    (Method::POST, "/api/v1/engine/resume", &[Admin]),
    (Method::GET, "/api/v1/events", &[Read, Trigger]),
    (Method::POST, "/api/v1/events", &[Trigger]),
    (Method::GET, "/api/v1/events/{id}", &[Read, Trigger]),
    (Method::POST, "/api/v1/events/{id}/replay", &[Trigger]),
    (Method::GET, "/api/v1/event-triggers", &[Read, Trigger]),
    (Method::GET, "/api/v1/event-triggers/{name}", &[Read, Trigger]),
    // What happens elsewhere then starts runs, whoever tells it.
    (Method::PUT, "/api/v1/event-triggers/{name}", &[Admin]),
    (Method::DELETE, "/api/v1/event-triggers/{name}", &[Admin]),
    (Method::GET, "/api/v1/webhooks/incoming", &[Read, Trigger]),
    (Method::GET, "/api/v1/webhooks/incoming/{name}", &[Read, Trigger]),
    (Method::GET, "/api/v1/webhooks/incoming/{name}/failures", &[Read, Trigger]),
    // Whoever has its secret then starts runs.
    (Method::PUT, "/api/v1/webhooks/incoming/{name}", &[Admin]),
    (Method::DELETE, "/api/v1/webhooks/incoming/{name}", &[Admin]),
    (Method::GET, "/api/v1/webhooks/outgoing", &[Read]),
    (Method::GET, "/api/v1/webhooks/outgoing/{name}", &[Read]),
    (Method::GET, "/api/v1/webhooks/outgoing/{name}/deliveries", &[Read]),
    // It has the engine send requests, and tells somebody else what happens.
    (Method::PUT, "/api/v1/webhooks/outgoing/{name}", &[Admin]),
    (Method::DELETE, "/api/v1/webhooks/outgoing/{name}", &[Admin]),
    (Method::POST, "/api/v1/webhooks/outgoing/{name}/deliveries/{id}/redeliver", &[Operate]),
    (Method::GET, "/api/v1/schedules", &[Read, Trigger]),
    (Method::GET, "/api/v1/schedules/{name}", &[Read, Trigger]),
    // Whoever may start a run may say when.
    (Method::PUT, "/api/v1/schedules/{name}", &[Trigger]),
    (Method::DELETE, "/api/v1/schedules/{name}", &[Trigger]),
    (Method::POST, "/api/v1/schedules/{name}/pause", &[Operate]),
    (Method::POST, "/api/v1/schedules/{name}/resume", &[Operate]),
    (Method::POST, "/api/v1/schedules/{name}/trigger", &[Trigger]),
    (Method::POST, "/api/v1/schedules/{name}/backfill", &[Trigger]),
    (Method::GET, "/api/v1/schedules/{name}/fires", &[Read, Trigger]),
    (Method::GET, "/api/v1/tokens", &[Admin]),
    (Method::POST, "/api/v1/tokens", &[Admin]),
    (Method::DELETE, "/api/v1/tokens/{id}", &[Admin]),
    (Method::GET, "/api/v1/whoami", &Scope::ALL),
    (Method::GET, "/api/v1/audit", &[Admin]),
    // They hold up everybody's runs.
    (Method::GET, "/api/v1/limits", &[Read]),
    (Method::GET, "/api/v1/limits/{name}", &[Read]),
    (Method::GET, "/api/v1/limits/{name}/keys", &[Read]),
    (Method::PUT, "/api/v1/limits/{name}", &[Admin]),
    (Method::DELETE, "/api/v1/limits/{name}", &[Admin]),
    (Method::POST, "/api/v1/limits/{name}/cool-down", &[Operate]),
    (Method::GET, "/api/v1/rules", &[Read]),
    (Method::PUT, "/api/v1/rules/{kind}/{name}", &[Admin]),
    (Method::DELETE, "/api/v1/rules/{kind}/{name}", &[Admin]),
    (Method::GET, "/api/v1/admin/tier-metrics", &[Read]),
    (Method::GET, "/api/v1/sandboxes", &[Read]),
    (Method::POST, "/api/v1/sandboxes/{id}/kill", &[Operate]),
    (Method::GET, "/api/v1/subjects/{subject}", &[Read]),
    (Method::GET, "/api/v1/subjects/{subject}/items", &[Read]),
    (Method::PUT, "/api/v1/subjects/{subject}/items", &[Trigger, Operate]),
    // What is in an item is for those who act with it.
    (Method::GET, "/api/v1/subjects/{subject}/item", &[Operate, Answer]),
    (Method::DELETE, "/api/v1/subjects/{subject}/item", &[Operate]),
    (Method::POST, "/api/v1/subjects/{subject}/item/restore", &[Operate]),
    (Method::GET, "/api/v1/subjects/{subject}/uses", &[Read]),
    (Method::GET, "/api/v1/subjects/{subject}/files", &[Read]),
    (Method::POST, "/api/v1/subjects/{subject}/erase", &[Admin]),
    (Method::GET, "/api/v1/session", &OF_PEOPLE),
    (Method::DELETE, "/api/v1/session", &OF_PEOPLE),
    (Method::POST, "/worker/v1/sessions", &[Work]),
    (Method::DELETE, "/worker/v1/sessions/{id}", &[Work]),
    (Method::POST, "/worker/v1/heartbeats", &[Work]),
    (Method::POST, "/worker/v1/claims", &[Work]),
    (Method::POST, "/worker/v1/claim", &[Work]),
    (Method::POST, "/worker/v1/finishes", &[Work]),
    (Method::POST, "/worker/v1/effects", &[Work]),
    (Method::POST, "/worker/v1/items", &[Work]),
    (Method::POST, "/worker/v1/tiers", &[Work]),
    (Method::POST, "/worker/v1/resources", &[Work]),
    (Method::POST, "/worker/v1/items/names", &[Work]),
    (Method::POST, "/worker/v1/items/keep", &[Work]),
    (Method::POST, "/worker/v1/blobs", &[Work]),
    (Method::GET, "/worker/v1/blobs/{id}", &[Work]),
];

/// `route` is the path with its parameters' names, as the router found it.
pub(super) fn need(method: &Method, route: Option<&str>, path: &str) -> Need {
    let Some(route) = route else {
        let is_guarded = path.starts_with("/api/") || path.starts_with("/worker/");
        return if is_guarded { Need::Token } else { Need::Nothing };
    };
    let is_proven = *method == Method::POST && PROVEN.contains(&route);
    if OPEN.contains(&route) || is_proven || SIGN_IN == (method.clone(), route) {
        return Need::Nothing;
    }
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let mut rows = ROUTES.iter().filter(|(_, path, _)| *path == route).peekable();
    if rows.peek().is_none() && !PROVEN.contains(&route) {
        return Need::Closed;
    }
    // Another method of a known path runs no handler.
    rows.find(|(known, _, _)| known == method).map_or(Need::Token, |(_, _, scopes)| Need::AnyOf(scopes))
}
