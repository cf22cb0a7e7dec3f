//! Sessions of the console: a token is changed for a cookie once, so that no script of a page ever holds the token.
//!
//! A session lasts as long as its token, at most [`CONSOLE_SESSION_LIFE`]: every request by cookie asks for the token anew.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use valet_protocol::api::{ConsoleSession, OpenConsoleSession};
use valet_protocol::problem::Problem;

use super::auth::{self, Caller, Shown};
use super::body::Body;
use super::doing::Doing;
use super::session_cookie::{self, SessionSecret};
use super::{App, Fault, no_content, tokens};
use crate::access::{Principal, Scope};
use crate::bounds::CONSOLE_SESSION_LIFE;
use crate::store::postgres::console_sessions::NewConsoleSession;

/// Signs in: sets the cookie `valet_session` and answers the session's `csrf`.
#[utoipa::path(post, operation_id = "open_session", path = "/api/v1/session", tag = "session", security(()), request_body = OpenConsoleSession,
    responses((status = 201, body = ConsoleSession),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "The token is not known"),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "A worker's token"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn open(
    State(app): State<Arc<App>>,
    from: Option<Extension<ConnectInfo<SocketAddr>>>,
    doing: Doing,
    Body(request): Body<OpenConsoleSession>,
) -> Result<Response, Fault> {
    let from = from.map(|Extension(ConnectInfo(address))| address.ip());
    let (token, principal) = auth::known(&app, &Shown { token: &request.token, field: "/token", from }).await?;
    if principal.scopes == [Scope::Work] {
        let detail = "this token is a worker's, and the console is for people: use another";
        return Err(Fault::new(StatusCode::FORBIDDEN, "wrong_scope", detail).at("/token"));
    }
    auth::paced(&app, &token, &principal)?;
    let secret = SessionSecret::random();
    let session = NewConsoleSession { hash: secret.hash(), token, life: CONSOLE_SESSION_LIFE };
    let deed = doing.by(&principal).on(&principal.name);
    app.engine.store.add_console_session(&session, &deed).await?;
    let told = told(principal.as_ref().clone(), &secret);
    let mut response = (StatusCode::CREATED, told).into_response();
    response.headers_mut().insert(header::SET_COOKIE, secret.set_cookie(app.secure_cookies));
    Ok(response)
}

/// Whose session this is, and its `csrf` again.
#[utoipa::path(get, operation_id = "show_session", path = "/api/v1/session", tag = "session",
    responses((status = 200, body = ConsoleSession), (status = 404, body = Problem)))]
pub(super) async fn show(Extension(caller): Extension<Caller>) -> Result<Response, Fault> {
    let Caller { tenant, name, scopes, reach, session, is_root, .. } = caller;
    let secret = session.ok_or_else(none)?;
    Ok(told(Principal { tenant, name, scopes, reach, is_root }, &secret))
}

/// Signs out: the session ends, at once on this engine, within two seconds on all others.
#[utoipa::path(delete, operation_id = "close_session", path = "/api/v1/session", tag = "session",
    params(("X-Valet-Csrf" = Option<String>, Header, description = "The session's `csrf`")),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn close(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
) -> Result<Response, Fault> {
    let session = caller.session.ok_or_else(none)?.hash();
    app.engine.store.end_console_session(&session, &doing.on(&caller.name)).await?;
    app.tokens.forget_session(&session);
    let mut response = no_content();
    response.headers_mut().insert(header::SET_COOKIE, session_cookie::clear_cookie(app.secure_cookies));
    Ok(response)
}

fn none() -> Fault {
    Fault::not_found("session", "this request came with a token and belongs to no session")
}

fn told(principal: Principal, secret: &SessionSecret) -> Response {
    let mut response = Json(ConsoleSession { who: tokens::who(principal), csrf: secret.csrf() }).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
