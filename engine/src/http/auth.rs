//! Who calls: a bearer token, by its hash. Default deny: a route that stands in no row of [`super::route_scopes`] opens to nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;
use valet_core::id::parse_prefixed;

use super::route_scopes::{self, Need};
use super::{App, Fault};
use crate::access::{Principal, Reach, Role, Scope};
use crate::bounds::{TOKEN_CACHED, TOKENS_CACHED_MAX};
use crate::store::StoreError;
use crate::store::postgres::PgStore;
use crate::store::postgres::tokens::TokenHash;
use crate::task_link;

/// A token that is not in the database: those of files, which open the first door.
#[derive(Clone)]
pub struct FixedToken {
    hash: TokenHash,
    principal: Arc<Principal>,
}

impl FixedToken {
    pub fn new(secret: &str, role: Role, tenant: &str, name: &str) -> Self {
        let principal = Principal {
            tenant: tenant.to_owned(),
            name: name.to_owned(),
            scopes: role.scopes().to_vec(),
            reach: Reach::default(),
        };
        Self { hash: hash(secret), principal: Arc::new(principal) }
    }
}

pub(super) fn hash(secret: &str) -> TokenHash {
    Sha256::digest(secret.trim()).into()
}

/// The tokens that this engine knows, those of the database for a moment.
pub(super) struct Tokens {
    fixed: HashMap<TokenHash, Arc<Principal>>,
    found: Mutex<HashMap<TokenHash, (Arc<Principal>, Instant)>>,
}

impl Tokens {
    pub fn new(fixed: Vec<FixedToken>) -> Self {
        let fixed = fixed.into_iter().map(|token| (token.hash, token.principal)).collect();
        Self { fixed, found: Mutex::default() }
    }

    /// By hashes, so that timing tells nothing about the token.
    async fn principal(&self, store: &PgStore, hash: &TokenHash) -> Result<Option<Arc<Principal>>, StoreError> {
        if let Some(principal) = self.fixed.get(hash).cloned().or_else(|| self.cached(hash)) {
            return Ok(Some(principal));
        }
        let asked_at = Instant::now();
        let Some(record) = store.find_token(hash).await? else { return Ok(None) };
        let principal = Arc::new(record.principal());
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= TOKENS_CACHED_MAX {
            found.clear();
        }
        found.insert(*hash, (Arc::clone(&principal), asked_at + TOKEN_CACHED));
        Ok(Some(principal))
    }

    fn cached(&self, hash: &TokenHash) -> Option<Arc<Principal>> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(hash).filter(|(_, until)| Instant::now() < *until).map(|(principal, _)| Arc::clone(principal))
    }

    /// Revoked here, it opens nothing more from now on.
    pub fn forget(&self, hash: &[u8]) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).retain(|cached, _| cached != hash);
    }
}

/// Who calls, for handlers.
#[derive(Clone, Debug)]
pub struct Caller {
    pub tenant: String,
    pub name: String,
    pub scopes: Vec<Scope>,
    pub reach: Reach,
    /// Came with the link of one task: [`require`] lets it to no other.
    pub is_link: bool,
}

/// Who ended a task through its link: the link does not say which person holds it.
const LINK_NAME: &str = "link";

pub(super) async fn require(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let need = route_scopes::need(request.method(), path.as_deref(), request.uri().path());
    if need == Need::Nothing {
        return next.run(request).await;
    }
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
    let principal = match app.tokens.principal(&app.engine.store, &hash(given)).await {
        Ok(Some(principal)) => principal,
        Ok(None) => return unauthorized("this token is not known here, was revoked or has expired"),
        Err(error) => return Fault::from(error).into_response(),
    };
    match need {
        Need::AnyOf(scopes) if !principal.has_any(scopes) => return wrong_scope(scopes),
        Need::Closed => {
            return Fault::new(StatusCode::FORBIDDEN, "wrong_scope", "this route is closed").into_response();
        }
        _ => {}
    }
    let Principal { tenant, name, scopes, reach } = principal.as_ref().clone();
    request.extensions_mut().insert(Caller { tenant, name, scopes, reach, is_link: false });
    next.run(request).await
}

fn wrong_scope(scopes: &[Scope]) -> Response {
    let detail = if scopes == [Scope::Work] {
        "this route is for workers: use the worker's token".to_owned()
    } else {
        let words: Vec<String> = scopes.iter().map(|scope| format!("`{}`", scope.as_str())).collect();
        format!("this route needs a token with the scope {}", words.join(" or "))
    };
    Fault::new(StatusCode::FORBIDDEN, "wrong_scope", detail).into_response()
}

/// A link's token opens one task: shown, claimed, answered, rejected.
async fn by_link(app: &App, token: &str, mut request: Request, next: Next) -> Response {
    let Some(task) = app.engine.store.masters().opened_by_link(token) else {
        return unauthorized("this token is not known here, was revoked or has expired");
    };
    if task_of(request.method(), request.uri().path()) != Some(task) {
        let detail = "this token opens one human task, and no other route";
        return Fault::new(StatusCode::FORBIDDEN, "wrong_scope", detail).into_response();
    }
    match app.engine.store.find_task_tenant(task).await {
        Ok(Some(tenant)) => {
            let name = LINK_NAME.to_owned();
            let caller = Caller { tenant, name, scopes: Vec::new(), reach: Reach::default(), is_link: true };
            request.extensions_mut().insert(caller);
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

fn unauthorized(detail: &str) -> Response {
    let mut response = Fault::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).at("Authorization").into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer"));
    response
}
