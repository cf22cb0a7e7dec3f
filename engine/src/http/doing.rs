//! What a request is about to change, for the audit: the name of each changing route, and who calls it from where.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath};
use axum::http::Method;
use axum::http::request::Parts;
use uuid::Uuid;

use super::RequestId;
use super::auth::Caller;
use crate::access::Principal;
use crate::audit::{Deed, Via};

/// Every route of people and producers that changes something. What workers do stands in the journal; what they keep of a subject outlives
/// its run, and stands here.
pub(super) const ACTIONS: [(Method, &str, &str); 67] = [
    (Method::POST, "/api/v1/workflows/{name}/runs", "run.start"),
    (Method::POST, "/api/v1/workflows/{name}/runs/bulk", "run.start"),
    (Method::PUT, "/api/v1/workflows/{name}", "workflow.register"),
    (Method::POST, "/api/v1/runs/{id}/pause", "run.pause"),
    (Method::POST, "/api/v1/runs/{id}/resume", "run.resume"),
    (Method::POST, "/api/v1/runs/{id}/cancel", "run.cancel"),
    (Method::POST, "/api/v1/runs/{id}/retry", "run.retry"),
    (Method::POST, "/api/v1/runs/{id}/kill", "run.kill"),
    (Method::POST, "/api/v1/runs/{id}/steps/{seq}/skip", "run.skip"),
    (Method::PUT, "/api/v1/runs/{id}/steps/{seq}/input", "run.edit"),
    (Method::POST, "/api/v1/runs/{id}/fork", "run.fork"),
    (Method::PUT, "/api/v1/runs/{id}/budget", "run.budget"),
    (Method::POST, "/api/v1/bulk-operations", "bulk.create"),
    (Method::POST, "/api/v1/bulk-operations/{id}/pause", "bulk.pause"),
    (Method::POST, "/api/v1/bulk-operations/{id}/resume", "bulk.resume"),
    (Method::POST, "/api/v1/bulk-operations/{id}/cancel", "bulk.cancel"),
    (Method::POST, "/api/v1/bulk-operations/{id}/undo", "bulk.undo"),
    (Method::PUT, "/api/v1/bulk-operations/{id}/rate", "bulk.rate"),
    (Method::POST, "/api/v1/completions/{token}", "run.complete"),
    (Method::POST, "/api/v1/runs/{id}/signals/{name}", "run.signal"),
    (Method::POST, "/api/v1/human-tasks/{id}/claim", "task.claim"),
    (Method::POST, "/api/v1/human-tasks/{id}/release", "task.release"),
    (Method::POST, "/api/v1/human-tasks/{id}/answer", "task.answer"),
    (Method::POST, "/api/v1/human-tasks/{id}/reject", "task.reject"),
    (Method::POST, "/api/v1/files", "file.store"),
    (Method::POST, "/api/v1/workflows/{name}/pause", "workflow.pause"),
    (Method::POST, "/api/v1/workflows/{name}/resume", "workflow.resume"),
    (Method::POST, "/api/v1/queues/{name}/pause", "queue.pause"),
    (Method::POST, "/api/v1/queues/{name}/resume", "queue.resume"),
    (Method::POST, "/api/v1/workers/{id}/pause", "worker.pause"),
    (Method::POST, "/api/v1/workers/{id}/resume", "worker.resume"),
    (Method::POST, "/api/v1/tenants/{name}/pause", "tenant.pause"),
    (Method::POST, "/api/v1/tenants/{name}/resume", "tenant.resume"),
    (Method::POST, "/api/v1/engine/pause", "engine.pause"),
    (Method::POST, "/api/v1/engine/resume", "engine.resume"),
    (Method::POST, "/api/v1/events", "event.push"),
    (Method::POST, "/api/v1/events/{id}/replay", "event.replay"),
    (Method::PUT, "/api/v1/event-triggers/{name}", "trigger.put"),
    (Method::DELETE, "/api/v1/event-triggers/{name}", "trigger.remove"),
    (Method::PUT, "/api/v1/webhooks/incoming/{name}", "incoming.put"),
    (Method::DELETE, "/api/v1/webhooks/incoming/{name}", "incoming.remove"),
    // Or `event.push`, as the webhook says.
    (Method::POST, "/api/v1/hooks/{tenant}/{name}", "run.start"),
    (Method::PUT, "/api/v1/webhooks/outgoing/{name}", "outgoing.put"),
    (Method::DELETE, "/api/v1/webhooks/outgoing/{name}", "outgoing.remove"),
    (Method::POST, "/api/v1/webhooks/outgoing/{name}/deliveries/{id}/redeliver", "outgoing.redeliver"),
    (Method::PUT, "/api/v1/schedules/{name}", "schedule.put"),
    (Method::DELETE, "/api/v1/schedules/{name}", "schedule.remove"),
    (Method::POST, "/api/v1/schedules/{name}/pause", "schedule.pause"),
    (Method::POST, "/api/v1/schedules/{name}/resume", "schedule.resume"),
    (Method::POST, "/api/v1/schedules/{name}/trigger", "schedule.trigger"),
    (Method::POST, "/api/v1/schedules/{name}/backfill", "schedule.backfill"),
    (Method::POST, "/api/v1/tokens", "token.create"),
    (Method::DELETE, "/api/v1/tokens/{id}", "token.revoke"),
    (Method::PUT, "/api/v1/limits/{name}", "limit.put"),
    (Method::DELETE, "/api/v1/limits/{name}", "limit.remove"),
    (Method::POST, "/api/v1/limits/{name}/cool-down", "limit.cool"),
    (Method::PUT, "/api/v1/rules/{kind}/{name}", "rule.put"),
    (Method::DELETE, "/api/v1/rules/{kind}/{name}", "rule.remove"),
    (Method::POST, "/api/v1/sandboxes/{id}/kill", "sandbox.kill"),
    (Method::POST, "/api/v1/webhooks/sandbox", "sandbox.event"),
    (Method::POST, "/api/v1/session", "session.open"),
    (Method::DELETE, "/api/v1/session", "session.close"),
    (Method::PUT, "/api/v1/subjects/{subject}/items", "subject.put"),
    (Method::DELETE, "/api/v1/subjects/{subject}/item", "subject.remove"),
    (Method::POST, "/api/v1/subjects/{subject}/item/restore", "subject.restore"),
    (Method::POST, "/api/v1/subjects/{subject}/erase", "subject.erase"),
    (Method::POST, "/worker/v1/items/keep", "subject.keep"),
];

/// Extracted by every handler that changes something.
pub(super) struct Doing {
    tenant: String,
    who: String,
    via: Via,
    address: Option<std::net::IpAddr>,
    request: Option<String>,
    action: &'static str,
}

impl Doing {
    /// The deed, once it is known what it is done to.
    pub fn on(&self, target: impl Into<String>) -> Deed {
        Deed {
            tenant: self.tenant.clone(),
            who: self.who.clone(),
            via: self.via,
            address: self.address,
            request: self.request.clone(),
            action: self.action,
            target: target.into(),
            task: None,
        }
    }

    /// Where the request came from.
    pub fn address(&self) -> Option<std::net::IpAddr> {
        self.address
    }

    /// Of somebody who has only just said who they are.
    pub fn by(self, principal: &Principal) -> Self {
        Self { tenant: principal.tenant.clone(), who: principal.name.clone(), ..self }
    }

    pub fn on_task(&self, task: Uuid) -> Deed {
        Deed { task: Some(task), ..self.on(format!("task_{}", task.simple())) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Doing {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let action = ACTIONS.iter().find(|(method, path, _)| *method == parts.method && *path == route);
        let caller = parts.extensions.get::<Caller>();
        Ok(Self {
            tenant: caller.map(|caller| caller.tenant.clone()).unwrap_or_default(),
            who: caller.map(|caller| caller.name.clone()).unwrap_or_default(),
            via: match caller {
                Some(caller) if caller.is_link => Via::Link,
                Some(caller) if caller.session.is_some() => Via::Session,
                _ => Via::Token,
            },
            address: parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_canonical()),
            request: parts.extensions.get::<RequestId>().map(|id| id.0.clone()),
            // A test walks the routes: none that changes something is without its row.
            action: action.map_or("unknown", |(_, _, action)| action),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::route_scopes::{PROVEN, ROUTES, SIGN_IN};
    use super::*;

    #[test]
    fn every_route_that_changes_something_has_its_action() {
        let changing = ROUTES.iter().filter(|(method, path, _)| *method != Method::GET && path.starts_with("/api/v1/"));
        let missing: Vec<_> = changing
            .filter(|(method, path, _)| !ACTIONS.iter().any(|(known, at, _)| known == method && at == path))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        let stale: Vec<_> = ACTIONS
            .iter()
            .filter(|(method, path, _)| SIGN_IN != (method.clone(), *path))
            .filter(|(method, path, _)| !PROVEN.contains(path) || *method != Method::POST)
            .filter(|(method, path, _)| !ROUTES.iter().any(|(known, at, _)| known == method && at == path))
            .collect();
        assert!(stale.is_empty(), "{stale:?}");
    }
}
