//! Who calls, and whether the route opens to them. Default deny: a route that stands in no row of [`super::route_scopes`] opens to
//! nobody.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;
use valet_core::id::parse_prefixed;

use super::recent::Recent;
use super::route_scopes::{self, Need};
use super::session_cookie::{self, SessionSecret};
use super::{App, Fault};
use crate::access::{Principal, Reach, Role, Scope, Sight};
use crate::store::StoreError;
use crate::store::postgres::PgStore;
use crate::store::postgres::console_sessions::SessionHash;
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
            is_root: true,
        };
        Self { hash: hash(secret), principal: Arc::new(principal) }
    }
}

pub(super) fn hash(secret: &str) -> TokenHash {
    Sha256::digest(secret.trim()).into()
}

/// The tokens and sessions that this engine knows, those of the database for a moment.
pub(super) struct Tokens {
    fixed: HashMap<TokenHash, Arc<Principal>>,
    found: Recent<Arc<Principal>>,
    /// The tokens that sessions were opened with.
    sessions: Recent<TokenHash>,
}

impl Tokens {
    pub fn new(fixed: Vec<FixedToken>) -> Self {
        let fixed = fixed.into_iter().map(|token| (token.hash, token.principal)).collect();
        Self { fixed, found: Recent::default(), sessions: Recent::default() }
    }

    /// By hashes, so that timing tells nothing about the token.
    pub async fn principal(&self, store: &PgStore, hash: &TokenHash) -> Result<Option<Arc<Principal>>, StoreError> {
        if let Some(principal) = self.at_hand(hash) {
            return Ok(Some(principal));
        }
        let asked_at = Instant::now();
        let Some(record) = store.find_token(hash).await? else { return Ok(None) };
        let principal = Arc::new(record.principal());
        self.found.keep(*hash, Arc::clone(&principal), asked_at);
        Ok(Some(principal))
    }

    fn at_hand(&self, hash: &TokenHash) -> Option<Arc<Principal>> {
        self.fixed.get(hash).cloned().or_else(|| self.found.get(hash))
    }

    /// The token of a session. Whether it still opens anything is asked of the token.
    async fn of_session(&self, store: &PgStore, session: &SessionHash) -> Result<Option<TokenHash>, StoreError> {
        if let Some(token) = self.sessions.get(session) {
            return Ok(Some(token));
        }
        let asked_at = Instant::now();
        let Some(token) = store.find_console_session(session).await? else { return Ok(None) };
        self.sessions.keep(*session, token, asked_at);
        Ok(Some(token))
    }

    /// Revoked here, it opens nothing more from now on.
    pub fn forget(&self, hash: &[u8]) {
        self.found.forget(hash);
    }

    pub fn forget_session(&self, hash: &SessionHash) {
        self.sessions.forget(hash);
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
    /// Came with the cookie of this session.
    pub session: Option<SessionSecret>,
    pub is_root: bool,
}

impl Caller {
    pub fn sight(&self) -> Sight {
        Sight { tenant: self.tenant.clone(), reach: self.reach.clone() }
    }

    /// The tenant that its steps are of; `None` for a worker that serves all.
    pub fn serves(&self) -> Option<&str> {
        (!self.is_root).then_some(self.tenant.as_str())
    }

    /// Sees what people wrote, since they act with it; others see what schemas leave open.
    pub fn sees_contents(&self) -> bool {
        self.is_link || [Scope::Trigger, Scope::Operate, Scope::Answer].iter().any(|scope| self.scopes.contains(scope))
    }

    fn new(principal: &Principal, session: Option<SessionSecret>) -> Self {
        let Principal { tenant, name, scopes, reach, is_root } = principal.clone();
        Self { tenant, name, scopes, reach, is_link: false, session, is_root }
    }
}

/// Who ended a task through its link: the link does not say which person holds it.
const LINK_NAME: &str = "link";

/// What a request shows of its caller. [`Credential::principal`] is the one place where that becomes a [`Principal`]: another way to
/// sign in, such as OpenID Connect, is another variant here.
enum Credential {
    Bearer(String),
    Session(SessionSecret),
}

impl Credential {
    /// A bearer token goes before the cookie.
    fn read(headers: &HeaderMap) -> Option<Self> {
        let bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| Self::Bearer(token.trim().to_owned()));
        bearer.or_else(|| SessionSecret::read(headers).map(Self::Session))
    }

    async fn principal(&self, app: &App, from: Option<IpAddr>) -> Result<(TokenHash, Arc<Principal>), Fault> {
        let store = &app.engine.store;
        match self {
            Self::Bearer(token) => known(app, &Shown { token, field: HEADER, from }).await,
            Self::Session(secret) => {
                let ended = || unauthorized("this session has ended; sign in again").at("Cookie");
                let token = app.tokens.of_session(store, &secret.hash()).await?.ok_or_else(ended)?;
                let principal = app.tokens.principal(store, &token).await?.ok_or_else(ended)?;
                Ok((token, principal))
            }
        }
    }
}

/// A token, the place of the request that it stood in, and the address that it came from.
pub(super) struct Shown<'a> {
    pub token: &'a str,
    pub field: &'static str,
    pub from: Option<IpAddr>,
}

/// The field of requests with a token.
const HEADER: &str = "Authorization";

/// Whose token it is. One that is not known is counted for its address.
pub(super) async fn known(app: &App, shown: &Shown<'_>) -> Result<(TokenHash, Arc<Principal>), Fault> {
    let hash = hash(shown.token);
    let principal = app.tokens.principal(&app.engine.store, &hash).await?;
    principal.map_or_else(|| Err(unknown(app, shown)), |principal| Ok((hash, principal)))
}

fn unknown(app: &App, shown: &Shown<'_>) -> Fault {
    match app.pace.unknown_token(shown.from) {
        Ok(()) => unauthorized("this token is not known here, was revoked or has expired").at(shown.field),
        Err(limited) => limited,
    }
}

pub(super) async fn require(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let need = route_scopes::need(request.method(), path.as_deref(), request.uri().path());
    if need == Need::Nothing {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    match admit(&app, need, &parts).await {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(fault) => fault.into_response(),
    }
}

async fn admit(app: &App, need: Need, parts: &Parts) -> Result<Caller, Fault> {
    let from = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let credential = Credential::read(&parts.headers).ok_or_else(|| {
        let detail = "send the header `Authorization: Bearer TOKEN`; `ops/up` prints the token's file";
        unauthorized(detail).at(HEADER)
    })?;
    if let Credential::Bearer(token) = &credential
        && token.starts_with(task_link::PREFIX)
    {
        return by_link(app, token, parts, from).await;
    }
    let (token, principal) = credential.principal(app, from).await?;
    paced(app, &token, &principal)?;
    match need {
        Need::AnyOf(scopes) if !principal.has_any(scopes) => return Err(wrong_scope(scopes)),
        Need::Closed => return Err(Fault::new(StatusCode::FORBIDDEN, "wrong_scope", "this route is closed")),
        _ => {}
    }
    let session = match credential {
        Credential::Bearer(_) => None,
        Credential::Session(secret) => Some(not_forged(parts, secret)?),
    };
    Ok(Caller::new(&principal, session))
}

/// Counts a request; those of workers that serve all tenants are not limited.
pub(super) fn paced(app: &App, token: &TokenHash, principal: &Principal) -> Result<(), Fault> {
    if principal.is_root && principal.scopes.contains(&Scope::Work) {
        return Ok(());
    }
    app.pace.request(token, &principal.tenant)
}

/// A browser sends the cookie for whatever page asks; the session's word shows that it was the console's own.
fn not_forged(parts: &Parts, secret: SessionSecret) -> Result<SessionSecret, Fault> {
    if matches!(parts.method, Method::GET | Method::HEAD) || secret.is_shown_by(&parts.headers) {
        return Ok(secret);
    }
    let detail =
        "a request by cookie shows the session's `csrf` in the header `X-Valet-Csrf`; GET /api/v1/session tells it";
    Err(Fault::new(StatusCode::FORBIDDEN, "csrf", detail).at(session_cookie::CSRF_HEADER.as_str()))
}

fn wrong_scope(scopes: &[Scope]) -> Fault {
    let detail = if scopes == [Scope::Work] {
        "this route is for workers: use the worker's token".to_owned()
    } else {
        let words: Vec<String> = scopes.iter().map(|scope| format!("`{}`", scope.as_str())).collect();
        format!("this route needs a token with the scope {}", words.join(" or "))
    };
    Fault::new(StatusCode::FORBIDDEN, "wrong_scope", detail)
}

/// A link's token opens one task: shown, claimed, answered, rejected.
async fn by_link(app: &App, token: &str, parts: &Parts, from: Option<IpAddr>) -> Result<Caller, Fault> {
    let Some(task) = app.engine.store.masters().opened_by_link(token) else {
        return Err(unknown(app, &Shown { token, field: HEADER, from }));
    };
    if task_of(&parts.method, parts.uri.path()) != Some(task) {
        let detail = "this token opens one human task, and no other route";
        return Err(Fault::new(StatusCode::FORBIDDEN, "wrong_scope", detail));
    }
    let tenant = app.engine.store.find_task_tenant(task).await?;
    let tenant = tenant.ok_or_else(|| Fault::not_found("task", "there is no such task"))?;
    app.pace.request(&hash(token), &tenant)?;
    let name = LINK_NAME.to_owned();
    Ok(Caller {
        tenant,
        name,
        scopes: Vec::new(),
        reach: Reach::default(),
        is_link: true,
        session: None,
        is_root: false,
    })
}

/// The task that a request is about, if it is one of those that links are for.
fn task_of(method: &Method, path: &str) -> Option<Uuid> {
    let rest = path.strip_prefix("/api/v1/human-tasks/")?;
    let id = match rest.split_once('/') {
        None if method == Method::GET => rest,
        Some((id, "claim" | "release" | "answer" | "reject")) if method == Method::POST => id,
        _ => return None,
    };
    parse_prefixed("task", id).ok()
}

fn unauthorized(detail: &str) -> Fault {
    Fault::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::limits::{Limits, Pace};

    /// All that a request with a token at hand costs here. The best of some batches: other work on the machine is not counted.
    #[test]
    fn a_token_at_hand_is_checked_within_20_us() {
        const CHECKS: u32 = 2_000;
        let tokens = Tokens::new(Vec::new());
        let principal = Principal {
            tenant: "acme".to_owned(),
            name: "ada".to_owned(),
            scopes: Role::Admin.scopes().to_vec(),
            reach: Reach { workflows: Some(vec!["apply".to_owned()]), subjects: None },
            is_root: false,
        };
        let secret = format!("vt_{}", "0a".repeat(32));
        tokens.found.keep(hash(&secret), Arc::new(principal), Instant::now() + std::time::Duration::from_mins(1));
        let mut limits = Limits::default();
        (limits.token.burst, limits.tenant.burst) = (1_000_000, 1_000_000);
        let pace = Pace::new(&limits);
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Bearer {secret}").parse().unwrap());
        let check = || {
            let Some(Credential::Bearer(token)) = Credential::read(&headers) else { panic!("a bearer token") };
            let hash = hash(&token);
            let principal = tokens.at_hand(&hash).expect("it is at hand");
            pace.request(&hash, &principal.tenant).expect("within its limit");
            std::hint::black_box(Caller::new(&principal, None))
        };
        let batch = || {
            let began = std::time::Instant::now();
            (0..CHECKS).for_each(|_| drop(check()));
            began.elapsed() / CHECKS
        };
        let best = (0..20).map(|_| batch()).min().expect("batches");
        println!("a token at hand is checked in {best:?}");
        assert!(best.as_micros() < 20, "{best:?}");
    }
}
