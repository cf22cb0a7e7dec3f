//! Pausing and resuming workflows, queues, workers, tenants and the whole engine.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use valet_core::bounds::NAME_BYTES_MAX;
use valet_core::id::SessionId;
use valet_protocol::api::{PauseList, PauseRequest, PauseView, ResumeRequest};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::OptionalBody;
use super::doing::Doing;
use super::{App, Fault, workflows};
use crate::access::Reach;
use crate::bounds::PAUSE_REASON_BYTES_MAX;
use crate::pauses::{self, EVERYBODY, PauseError, PauseScope, Paused};
use crate::store::postgres::pauses::PauseRecord;

/// What is paused beside single runs: of this tenant, and of everybody.
#[utoipa::path(get, operation_id = "list_pauses", path = "/api/v1/pauses", tag = "pauses", responses((status = 200, body = PauseList)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<PauseList>, Fault> {
    list_of(&app, &caller).await
}

/// Pauses a workflow: no step of its runs is granted, nothing is delivered to their code. Clean-ups of runs that end go on.
#[utoipa::path(post, operation_id = "pause_workflow", path = "/api/v1/workflows/{name}/pause", tag = "pauses", params(("name" = String, Path)), request_body = PauseRequest,
    responses((status = 200, body = PauseView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn pause_workflow(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    OptionalBody(request): OptionalBody<PauseRequest>,
) -> Result<Json<PauseView>, Fault> {
    let what = of_workflow(&app, &caller, &name, request.all_tenants).await?;
    pause(&app, &doing, &what, &request.reason).await
}

/// Lets a workflow go on: what was held is delivered, in order. Resuming what is not paused changes nothing.
#[utoipa::path(post, operation_id = "resume_workflow", path = "/api/v1/workflows/{name}/resume", tag = "pauses", params(("name" = String, Path)), request_body = ResumeRequest,
    responses((status = 200, body = PauseList), (status = 404, body = Problem)))]
pub(super) async fn resume_workflow(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    OptionalBody(request): OptionalBody<ResumeRequest>,
) -> Result<Json<PauseList>, Fault> {
    let what = of_workflow(&app, &caller, &name, request.all_tenants).await?;
    resume(&app, &caller, &doing, &what).await
}

/// Pauses a queue, also one that has no workers yet: none of its steps is granted, clean-ups neither.
#[utoipa::path(post, operation_id = "pause_queue", path = "/api/v1/queues/{name}/pause", tag = "pauses", params(("name" = String, Path)), request_body = PauseRequest,
    responses((status = 200, body = PauseView), (status = 400, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn pause_queue(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    OptionalBody(request): OptionalBody<PauseRequest>,
) -> Result<Json<PauseView>, Fault> {
    let what = of_queue(&caller, name, request.all_tenants)?;
    pause(&app, &doing, &what, &request.reason).await
}

/// Lets a queue go on.
#[utoipa::path(post, operation_id = "resume_queue", path = "/api/v1/queues/{name}/resume", tag = "pauses", params(("name" = String, Path)), request_body = ResumeRequest,
    responses((status = 200, body = PauseList), (status = 400, body = Problem)))]
pub(super) async fn resume_queue(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    OptionalBody(request): OptionalBody<ResumeRequest>,
) -> Result<Json<PauseList>, Fault> {
    let what = of_queue(&caller, name, request.all_tenants)?;
    resume(&app, &caller, &doing, &what).await
}

/// Pauses a live worker by its session (`sess_…`), or by its name, which it bears through restarts: it gets no new steps and finishes what
/// it has.
#[utoipa::path(post, operation_id = "pause_worker", path = "/api/v1/workers/{id}/pause", tag = "pauses", params(("id" = String, Path)), request_body = PauseRequest,
    responses((status = 200, body = PauseView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn pause_worker(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
    OptionalBody(request): OptionalBody<PauseRequest>,
) -> Result<Json<PauseView>, Fault> {
    refuse_everybody(request.all_tenants)?;
    let what = of_worker(&caller, id)?;
    if !app.engine.store.has_worker(&what).await? {
        return Err(no_such_worker(&app, &what).await?);
    }
    pause(&app, &doing, &what, &request.reason).await
}

/// Lets a worker take steps again.
#[utoipa::path(post, operation_id = "resume_worker", path = "/api/v1/workers/{id}/resume", tag = "pauses", params(("id" = String, Path)), request_body = ResumeRequest,
    responses((status = 200, body = PauseList), (status = 400, body = Problem)))]
pub(super) async fn resume_worker(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
    OptionalBody(request): OptionalBody<ResumeRequest>,
) -> Result<Json<PauseList>, Fault> {
    refuse_everybody(request.all_tenants)?;
    let what = of_worker(&caller, id)?;
    resume(&app, &caller, &doing, &what).await
}

/// Pauses a tenant: as all its workflows at once.
#[utoipa::path(post, operation_id = "pause_tenant", path = "/api/v1/tenants/{name}/pause", tag = "pauses", params(("name" = String, Path)), request_body = PauseRequest,
    responses((status = 200, body = PauseView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn pause_tenant(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    OptionalBody(request): OptionalBody<PauseRequest>,
) -> Result<Json<PauseView>, Fault> {
    refuse_everybody(request.all_tenants)?;
    let what = of_tenant(&caller, name)?;
    pause(&app, &doing, &what, &request.reason).await
}

/// Lets a tenant go on.
#[utoipa::path(post, operation_id = "resume_tenant", path = "/api/v1/tenants/{name}/resume", tag = "pauses", params(("name" = String, Path)), request_body = ResumeRequest,
    responses((status = 200, body = PauseList), (status = 404, body = Problem)))]
pub(super) async fn resume_tenant(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    OptionalBody(request): OptionalBody<ResumeRequest>,
) -> Result<Json<PauseList>, Fault> {
    refuse_everybody(request.all_tenants)?;
    let what = of_tenant(&caller, name)?;
    resume(&app, &caller, &doing, &what).await
}

/// Pauses everything on this database, whichever engine serves it; with the token of the engine's own file only.
#[utoipa::path(post, operation_id = "pause_engine", path = "/api/v1/engine/pause", tag = "pauses", request_body = PauseRequest,
    responses((status = 200, body = PauseView), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn pause_engine(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    OptionalBody(request): OptionalBody<PauseRequest>,
) -> Result<Json<PauseView>, Fault> {
    only_root(&caller)?;
    pause(&app, &doing, &Paused::engine(), &request.reason).await
}

/// Lets everything go on that no other pause holds.
#[utoipa::path(post, operation_id = "resume_engine", path = "/api/v1/engine/resume", tag = "pauses", request_body = ResumeRequest,
    responses((status = 200, body = PauseList), (status = 403, body = Problem)))]
pub(super) async fn resume_engine(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    OptionalBody(_request): OptionalBody<ResumeRequest>,
) -> Result<Json<PauseList>, Fault> {
    only_root(&caller)?;
    resume(&app, &caller, &doing, &Paused::engine()).await
}

async fn pause(app: &App, doing: &Doing, what: &Paused, reason: &str) -> Result<Json<PauseView>, Fault> {
    if reason.len() > PAUSE_REASON_BYTES_MAX {
        let detail = format!("a reason has at most {PAUSE_REASON_BYTES_MAX} bytes");
        return Err(Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", detail).at("/reason"));
    }
    Ok(Json(view(pauses::pause(&app.engine, what, reason, &doing.on(target(what))).await?)))
}

async fn resume(app: &App, caller: &Caller, doing: &Doing, what: &Paused) -> Result<Json<PauseList>, Fault> {
    pauses::resume(&app.engine, what, &doing.on(target(what))).await?;
    // What still holds it is among them.
    list_of(app, caller).await
}

async fn list_of(app: &App, caller: &Caller) -> Result<Json<PauseList>, Fault> {
    // The engine's own token sees to all tenants.
    let of = (!caller.is_root).then_some(caller.tenant.as_str());
    let records = app.engine.store.list_pauses(of).await?;
    Ok(Json(PauseList { pauses: records.into_iter().map(view).collect() }))
}

/// As the audit names it.
fn target(what: &Paused) -> String {
    match what.scope {
        PauseScope::Engine => "engine".to_owned(),
        PauseScope::Tenant => format!("tenant/{}", what.tenant),
        scope => format!("{}/{}", scope.as_str(), what.name),
    }
}

fn view(record: PauseRecord) -> PauseView {
    PauseView {
        scope: record.scope,
        tenant: record.tenant,
        name: Some(record.name).filter(|name| !name.is_empty()),
        version: record.version as u64,
        paused_by: record.paused_by,
        reason: record.reason,
        at: record.at,
    }
}

async fn of_workflow(app: &App, caller: &Caller, name: &str, all_tenants: bool) -> Result<Paused, Fault> {
    workflows::find(app, &caller.tenant, &caller.reach, name).await?;
    if caller.reach.subjects.is_some() {
        return Err(Fault::out_of_reach(
            "this token reaches some subjects only; a workflow's pause holds the runs of all",
        ));
    }
    Ok(Paused { scope: PauseScope::Workflow, tenant: whose(caller, all_tenants)?, name: name.to_owned() })
}

fn of_queue(caller: &Caller, name: String, all_tenants: bool) -> Result<Paused, Fault> {
    if valet_queue::QueueName::new(&name).is_err() {
        return Err(Fault::bad_request("invalid_queue", "this is not a queue's name").at("name"));
    }
    unlimited(caller)?;
    Ok(Paused { scope: PauseScope::Queue, tenant: whose(caller, all_tenants)?, name })
}

/// A worker of this tenant; those that serve all tenants are for the engine's own token.
fn of_worker(caller: &Caller, id: String) -> Result<Paused, Fault> {
    if id.is_empty() || id.len() > NAME_BYTES_MAX * 4 || id.contains('\0') {
        return Err(Fault::bad_request("invalid_worker", "a worker is named by its session or its name").at("id"));
    }
    unlimited(caller)?;
    // However the session's id is written, it is kept in one form.
    let name = id.parse::<SessionId>().map_or(id, |session| session.to_string());
    let tenant = if caller.is_root { EVERYBODY.to_owned() } else { caller.tenant.clone() };
    Ok(Paused { scope: PauseScope::Worker, tenant, name })
}

async fn no_such_worker(app: &App, what: &Paused) -> Result<Fault, Fault> {
    let shared = Paused { tenant: EVERYBODY.to_owned(), ..what.clone() };
    if what.tenant != EVERYBODY && app.engine.store.has_worker(&shared).await? {
        let detail = "this worker does steps of every tenant: it is paused with the token of the engine's own file";
        return Ok(Fault::out_of_reach(detail).at("id"));
    }
    let detail = "no live worker has this session or name; GET /api/v1/workers lists them";
    Ok(Fault::not_found("worker", detail).at("id"))
}

fn of_tenant(caller: &Caller, name: String) -> Result<Paused, Fault> {
    if !caller.is_root && name != caller.tenant {
        return Err(Fault::not_found("tenant", "there is no such tenant").at("name"));
    }
    if name.is_empty() || name == EVERYBODY || name.len() > NAME_BYTES_MAX || name.contains('\0') {
        return Err(Fault::bad_request("invalid_tenant", "a tenant's name has 1 to 128 bytes").at("name"));
    }
    unlimited(caller)?;
    Ok(Paused { scope: PauseScope::Tenant, tenant: name, name: String::new() })
}

fn whose(caller: &Caller, all_tenants: bool) -> Result<String, Fault> {
    if !all_tenants {
        return Ok(caller.tenant.clone());
    }
    only_root(caller).map_err(|fault| fault.at("/all_tenants"))?;
    Ok(EVERYBODY.to_owned())
}

fn only_root(caller: &Caller) -> Result<(), Fault> {
    if caller.is_root {
        return Ok(());
    }
    Err(Fault::out_of_reach("what holds every tenant is paused and resumed with the token of the engine's own file"))
}

/// Of what is one tenant's or everybody's by itself.
fn refuse_everybody(all_tenants: bool) -> Result<(), Fault> {
    if !all_tenants {
        return Ok(());
    }
    let detail = "`all_tenants` is for workflows and queues";
    Err(Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", detail).at("/all_tenants"))
}

/// Whoever is limited to some workflows or subjects holds up no others.
fn unlimited(caller: &Caller) -> Result<(), Fault> {
    if caller.reach == Reach::default() {
        return Ok(());
    }
    Err(Fault::out_of_reach("this token reaches some workflows or subjects only; this pause holds others too"))
}

impl From<PauseError> for Fault {
    fn from(error: PauseError) -> Self {
        match error {
            PauseError::TooMany => Self::conflict("too_many_pauses", error.to_string()),
            PauseError::Unsettled => Self::new(StatusCode::SERVICE_UNAVAILABLE, "pause_unsettled", error.to_string()),
            PauseError::Store(error) => error.into(),
        }
    }
}
