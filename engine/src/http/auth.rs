//! Who calls: a bearer token, by its hash. Every route outside `/healthz`, `/readyz` and the API document needs one.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use valet_core::id::parse_prefixed;

use super::{App, Fault};
use crate::task_link;

/// What a token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `/api/v1`
    People,
    /// `/worker/v1`
    Work,
}

/// A token, kept as its hash.
#[derive(Clone)]
pub struct Token {
    hash: [u8; 32],
    scope: Scope,
    tenant: String,
    name: String,
}

impl Token {
    pub fn new(secret: &str, scope: Scope, tenant: &str, name: &str) -> Self {
        Self { hash: Sha256::digest(secret.trim()).into(), scope, tenant: tenant.to_owned(), name: name.to_owned() }
    }
}

/// Who calls, for handlers.
#[derive(Clone, Debug)]
pub struct Caller {
    pub tenant: String,
    pub name: String,
    /// Came with the link of one task: [`require`] lets it to no other.
    pub is_link: bool,
}

/// Who ended a task through its link: the link does not say which person holds it.
const LINK_NAME: &str = "link";

pub(super) async fn require(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let Some(scope) = scope_of(request.uri().path()) else { return next.run(request).await };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token);
    let Some(given) = given else {
        return unauthorized("send the header `Authorization: Bearer TOKEN`; `ops/up` prints the token's file");
    };
    if given.trim().starts_with(task_link::PREFIX) {
        let token = given.trim().to_owned();
        return by_link(&app, &token, request, next).await;
    }
    // Hashes are compared, so that timing tells nothing about the token.
    let hash: [u8; 32] = Sha256::digest(given.trim()).into();
    let Some(token) = app.tokens.iter().find(|token| token.hash == hash) else {
        return unauthorized("this token is not known here");
    };
    if token.scope != scope {
        let detail = match scope {
            Scope::Work => "this route is for workers: use the worker's token",
            Scope::People => "a worker's token does not open this route",
        };
        return Fault::new(StatusCode::FORBIDDEN, "wrong_scope", detail).into_response();
    }
    let caller = Caller { tenant: token.tenant.clone(), name: token.name.clone(), is_link: false };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// A link's token opens one task: shown, claimed, answered, rejected.
async fn by_link(app: &App, token: &str, mut request: Request, next: Next) -> Response {
    let Some(task) = app.engine.store.task_links().opened_by(token) else {
        return unauthorized("this token is not known here");
    };
    if task_of(request.method(), request.uri().path()) != Some(task) {
        let detail = "this token opens one human task, and no other route";
        return Fault::new(StatusCode::FORBIDDEN, "wrong_scope", detail).into_response();
    }
    match app.engine.store.find_task_tenant(task).await {
        Ok(Some(tenant)) => {
            request.extensions_mut().insert(Caller { tenant, name: LINK_NAME.to_owned(), is_link: true });
            next.run(request).await
        }
        Ok(None) => Fault::not_found("task", "there is no such task").into_response(),
        Err(error) => Fault::from(error).into_response(),
    }
}

/// The task that a request is about, if it is one of those that links are for.
fn task_of(method: &Method, path: &str) -> Option<Uuid> {
    let rest = path.strip_prefix("/api/v1/human-tasks/")?;
    let id = match rest.split_once('/') {
        None if method == Method::GET => rest,
        Some((id, "claim" | "answer" | "reject")) if method == Method::POST => id,
        _ => return None,
    };
    parse_prefixed("task", id).ok()
}

/// Routes without a token answer nothing about runs.
fn scope_of(path: &str) -> Option<Scope> {
    if path.starts_with("/worker/") {
        Some(Scope::Work)
    } else if path == "/api/v1/openapi.json" || !path.starts_with("/api/") {
        None
    } else {
        Some(Scope::People)
    }
}

fn unauthorized(detail: &str) -> Response {
    let mut response = Fault::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).at("Authorization").into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer"));
    response
}
