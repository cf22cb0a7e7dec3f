//! Tokens: made, listed, revoked. A secret is shown once, in the answer that made it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use uuid::Uuid;
use valet_core::bounds::NAME_BYTES_MAX;
use valet_core::id::parse_prefixed;
use valet_core::workflow::InputProblem;
use valet_protocol::api::{CreateTokenRequest, TokenCreated, TokenList, TokenView, WhoAmI};
use valet_protocol::problem::Problem;

use super::auth::{self, Caller};
use super::body::Body;
use super::doing::Doing;
use super::{App, Fault, no_content};
use crate::access::{Principal, Reach, Role, Scope};
use crate::bounds::{TOKEN_LIFE_MAX_S, TOKEN_LIFE_MIN_S, TOKEN_LIMITS_MAX, TOKENS_LISTED_MAX};
use crate::hex;
use crate::store::postgres::tokens::{NewToken, TokenRecord};

/// Bytes of a secret.
const SECRET_BYTES: usize = 32;
/// Tells a secret from others in a file or a log.
const SECRET_PREFIX: &str = "vt_";

/// Makes a token. Its secret is in this answer and nowhere else.
#[utoipa::path(post, operation_id = "create_token", path = "/api/v1/tokens", tag = "tokens", request_body = CreateTokenRequest,
    responses((status = 201, body = TokenCreated), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Body(request): Body<CreateTokenRequest>,
) -> Result<Response, Fault> {
    let expires_in_s = request.expires_in_s;
    let principal = checked(&caller, request)?;
    let secret = secret();
    let id = app.engine.entropy.uuid();
    let token = NewToken { id, hash: auth::hash(&secret), principal, deed: doing.on(token_id(id)), expires_in_s };
    let Some(record) = app.engine.store.add_token(&token).await? else {
        let detail =
            format!("there is a token `{}` already; revoke it first, or choose another name", token.principal.name);
        return Err(Fault::conflict("name_taken", detail).at("/name"));
    };
    Ok((StatusCode::CREATED, Json(TokenCreated { secret, token: view(record) })).into_response())
}

/// The tokens of this tenant that reach no further than the one that asks; those that were revoked last.
#[utoipa::path(get, operation_id = "list_tokens", path = "/api/v1/tokens", tag = "tokens", responses((status = 200, body = TokenList)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<TokenList>, Fault> {
    let records = app.engine.store.list_tokens(&caller.tenant, &caller.reach, TOKENS_LISTED_MAX).await?;
    Ok(Json(TokenList { tokens: records.into_iter().map(view).collect() }))
}

/// Revokes a token: at once on this engine, within two seconds on all others. Revoking it again changes nothing.
#[utoipa::path(delete, operation_id = "revoke_token", path = "/api/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let id = parse_prefixed("tok", &id).map_err(|e| Fault::bad_request("invalid_id", e.to_string()).at("id"))?;
    let deed = doing.on(token_id(id));
    let hash = app.engine.store.revoke_token(&deed, id, &caller.reach).await?;
    let hash = hash.ok_or_else(|| Fault::not_found("token", "there is no such token").at("id"))?;
    app.tokens.forget(&hash);
    Ok(no_content())
}

/// Whose token it is that was sent, and what it opens.
#[utoipa::path(get, operation_id = "whoami", path = "/api/v1/whoami", tag = "tokens", responses((status = 200, body = WhoAmI)))]
pub(super) async fn whoami(Extension(caller): Extension<Caller>) -> Json<WhoAmI> {
    let Caller { tenant, name, scopes, reach, is_root, .. } = caller;
    Json(who(Principal { tenant, name, scopes, reach, is_root }))
}

pub(super) fn who(principal: Principal) -> WhoAmI {
    WhoAmI {
        tenant: principal.tenant,
        name: principal.name,
        scopes: principal.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        workflows: principal.reach.workflows,
        subjects: principal.reach.subjects,
    }
}

/// Nobody gives what they do not have: a token reaches no further than the one that made it.
fn checked(caller: &Caller, request: CreateTokenRequest) -> Result<Principal, Fault> {
    let mut problems = Vec::new();
    let mut wrong = |field: &str, message: String| problems.push(InputProblem { field: field.to_owned(), message });
    for (field, name) in [("/name", Some(&request.name)), ("/tenant", request.tenant.as_ref())] {
        let fits = |name: &String| (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
        if !name.is_none_or(fits) {
            wrong(field, format!("a name has 1 to {NAME_BYTES_MAX} bytes, and no control characters"));
        }
    }
    let scopes = match (&request.role, &request.scopes) {
        (Some(role), None) => {
            let role = Role::parse(role);
            if role.is_none() {
                wrong("/role", "one of: viewer, reviewer, operator, admin, worker".to_owned());
            }
            role.map(|role| role.scopes().to_vec()).unwrap_or_default()
        }
        (None, Some(words)) if !words.is_empty() => scopes(words, &mut wrong),
        _ => {
            wrong("/role", "give a `role`, or `scopes` with at least one, and not both".to_owned());
            Vec::new()
        }
    };
    for (field, names) in [("/workflows", &request.workflows), ("/subjects", &request.subjects)] {
        let is_name = |name: &String| !name.is_empty() && name.len() <= NAME_BYTES_MAX;
        let fit = |names: &Vec<String>| (1..=TOKEN_LIMITS_MAX).contains(&names.len()) && names.iter().all(is_name);
        if !names.as_ref().is_none_or(fit) {
            wrong(field, format!("1 to {TOKEN_LIMITS_MAX} names of 1 to {NAME_BYTES_MAX} bytes; leave it out for all"));
        }
    }
    if request.expires_in_s.is_some_and(|s| !(TOKEN_LIFE_MIN_S..=TOKEN_LIFE_MAX_S).contains(&s)) {
        wrong(
            "/expires_in_s",
            format!("{TOKEN_LIFE_MIN_S} to {TOKEN_LIFE_MAX_S} seconds; leave it out for a token without an end"),
        );
    }
    if !problems.is_empty() {
        return Err(Fault::invalid_input(problems));
    }
    let reach = Reach { workflows: request.workflows, subjects: request.subjects };
    if scopes.contains(&Scope::Work) && (scopes.len() > 1 || reach != Reach::default()) {
        let message =
            "`work` stands alone, and without `workflows` and `subjects`: a worker does whatever its queues bring";
        return Err(Fault::invalid_input(vec![InputProblem {
            field: "/scopes".to_owned(),
            message: message.to_owned(),
        }]));
    }
    if caller.reach.workflows.is_some() && !within(reach.workflows.as_deref(), |name| caller.reach.has_workflow(name)) {
        return Err(beyond("/workflows"));
    }
    if caller.reach.subjects.is_some() && !within(reach.subjects.as_deref(), |name| caller.reach.has_subject(name)) {
        return Err(beyond("/subjects"));
    }
    let tenant = request.tenant.unwrap_or_else(|| caller.tenant.clone());
    if tenant != caller.tenant && !caller.is_root {
        let detail = "tokens of another tenant are made with the token of the engine's own file";
        return Err(Fault::out_of_reach(detail).at("/tenant"));
    }
    Ok(Principal { tenant, name: request.name, scopes, reach, is_root: false })
}

fn scopes(words: &[String], wrong: &mut impl FnMut(&str, String)) -> Vec<Scope> {
    let mut scopes: Vec<Scope> = Vec::new();
    for word in words {
        match Scope::parse(word) {
            Some(scope) if scopes.contains(&scope) => {}
            Some(scope) => scopes.push(scope),
            None => wrong("/scopes", "each is one of: trigger, read, operate, answer, work, admin".to_owned()),
        }
    }
    scopes
}

fn within(names: Option<&[String]>, reaches: impl Fn(&str) -> bool) -> bool {
    names.is_some_and(|names| names.iter().all(|name| reaches(name)))
}

fn beyond(field: &str) -> Fault {
    Fault::out_of_reach("a token reaches no further than the one that makes it").at(field)
}

fn secret() -> String {
    format!("{SECRET_PREFIX}{}", hex::encode(&rand::random::<[u8; SECRET_BYTES]>()))
}

fn token_id(id: Uuid) -> String {
    format!("tok_{}", id.simple())
}

fn view(record: TokenRecord) -> TokenView {
    TokenView {
        id: token_id(record.id),
        name: record.name,
        scopes: record.scopes,
        workflows: record.workflows,
        subjects: record.subjects,
        created_at: record.created_at,
        created_by: record.created_by,
        expires_at: record.expires_at,
        last_used_at: record.last_used_at,
        revoked_at: record.revoked_at,
    }
}
