//! Runs: pages, one run, and what operators do with it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::{Extension, Json};
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::bounds::NAME_BYTES_MAX;
use valet_core::command::Command;
use valet_core::event::is_channel;
use valet_core::id::{IdError, RunId, Seq};
use valet_core::payload::Payload;
use valet_protocol::api::{
    ArtifactList, BudgetRequest, EditRequest, KillRequest, ReasonRequest, RunDetail, RunSummary, SignalRequest,
    SkipRequest,
};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::{Body, OptionalBody};
use super::doing::Doing;
use super::{App, Fault, cursor, files, key, no_content, run_view};
use crate::bounds::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::executor::CommandError;
use crate::store::postgres::queries::RunRecord;

/// One run with its input, output, steps and tasks.
#[utoipa::path(get, operation_id = "show_run", path = "/api/v1/runs/{id}", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = RunDetail), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<RunDetail>, Fault> {
    let record = find(&app, &caller, &id).await?;
    let detail = run_view::detail(&app, &caller.tenant, record).await?;
    Ok(Json(if caller.sees_contents() { detail } else { run_view::masked(&app, detail) }))
}

/// Stops grants and deliveries of a run. Results, signals and answers are still taken; deadlines go on.
#[utoipa::path(post, operation_id = "pause_run", path = "/api/v1/runs/{id}/pause", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = RunSummary), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
) -> Result<Json<RunSummary>, Fault> {
    let by = caller.name.clone();
    operate(&app, &caller, &doing, &id, Command::Pause { by }).await
}

/// Lets a paused run go on.
#[utoipa::path(post, operation_id = "resume_run", path = "/api/v1/runs/{id}/resume", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = RunSummary), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
) -> Result<Json<RunSummary>, Fault> {
    let by = caller.name.clone();
    operate(&app, &caller, &doing, &id, Command::Unpause { by }).await
}

/// Ends a run: waits end at once, running steps are told to stop, then its clean-up runs.
#[utoipa::path(post, operation_id = "cancel_run", path = "/api/v1/runs/{id}/cancel", tag = "runs", params(("id" = String, Path)), request_body = ReasonRequest,
    responses((status = 200, body = RunSummary), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
    OptionalBody(request): OptionalBody<ReasonRequest>,
) -> Result<Json<RunSummary>, Fault> {
    let by = caller.name.clone();
    operate(&app, &caller, &doing, &id, Command::Cancel { by, reason: request.reason }).await
}

/// Lets steps that ran out of attempts try again, and a stuck run be tried with the build at hand.
#[utoipa::path(post, operation_id = "retry_run", path = "/api/v1/runs/{id}/retry", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = RunSummary), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
) -> Result<Json<RunSummary>, Fault> {
    let by = caller.name.clone();
    operate(&app, &caller, &doing, &id, Command::Retry { by }).await
}

/// Ends a run without waiting for what is at work: its steps are let go, their results refused. Without `cleanup` its clean-ups are given
/// up too, also one that waits for an operator; what they would have cleaned ends by its own lease.
#[utoipa::path(post, operation_id = "kill_run", path = "/api/v1/runs/{id}/kill", tag = "runs", params(("id" = String, Path)), request_body = KillRequest,
    responses((status = 200, body = RunSummary), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn kill(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
    OptionalBody(request): OptionalBody<KillRequest>,
) -> Result<Json<RunSummary>, Fault> {
    let KillRequest { reason, cleanup } = request;
    let by = caller.name.clone();
    operate(&app, &caller, &doing, &id, Command::Kill { by, reason, cleanup }).await
}

/// Ends a step that no worker holds with a given output, as if a worker had: one that is parked, backs off or waits for a worker.
#[utoipa::path(post, operation_id = "skip_step", path = "/api/v1/runs/{id}/steps/{seq}/skip", tag = "runs", request_body = SkipRequest,
    params(("id" = String, Path), ("seq" = u32, Path)),
    responses((status = 200, body = RunSummary), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn skip(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path((id, seq)): Path<(String, String)>,
    Body(request): Body<SkipRequest>,
) -> Result<Json<RunSummary>, Fault> {
    let seq = step_number(&seq)?;
    let output = Payload::of(&request.output).map_err(|e| Fault::bad_request("invalid_json", e.to_string()))?;
    let by = caller.name.clone();
    operate(&app, &caller, &doing, &id, Command::SkipStep { seq, by, output }).await
}

/// Gives the next attempt of a step that no worker holds another input; a step that is parked then wants a retry.
#[utoipa::path(put, operation_id = "edit_step", path = "/api/v1/runs/{id}/steps/{seq}/input", tag = "runs", request_body = EditRequest,
    params(("id" = String, Path), ("seq" = u32, Path)),
    responses((status = 200, body = RunSummary), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn edit(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path((id, seq)): Path<(String, String)>,
    Body(request): Body<EditRequest>,
) -> Result<Json<RunSummary>, Fault> {
    let seq = step_number(&seq)?;
    let input = Payload::of(&request.input).map_err(|e| Fault::bad_request("invalid_json", e.to_string()))?;
    let by = caller.name.clone();
    operate(&app, &caller, &doing, &id, Command::EditStep { seq, by, input }).await
}

fn step_number(text: &str) -> Result<Seq, Fault> {
    let number = text.parse::<u32>().ok().filter(|seq| i32::try_from(*seq).is_ok());
    let detail = "a step is named by its number, as `valet runs show` tells it";
    number.map(Seq).ok_or_else(|| Fault::bad_request("invalid_step", detail).at("seq"))
}

/// Changes what a run may spend. One that is paused because it spent more goes on if it now may.
#[utoipa::path(put, operation_id = "set_run_budget", path = "/api/v1/runs/{id}/budget", tag = "runs", params(("id" = String, Path)), request_body = BudgetRequest,
    responses((status = 200, body = RunSummary), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn set_budget(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
    Body(request): Body<BudgetRequest>,
) -> Result<Json<RunSummary>, Fault> {
    let by = caller.name.clone();
    let command = Command::SetBudget { by, budget_micros: request.budget_usd_micros };
    operate(&app, &caller, &doing, &id, command).await
}

/// Sends a message to a channel of a run. The same `Idempotency-Key` sends it once.
#[utoipa::path(post, operation_id = "signal_run", path = "/api/v1/runs/{id}/signals/{name}", tag = "runs", request_body = SignalRequest,
    params(("id" = String, Path), ("name" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem), (status = 429, body = Problem)))]
pub(super) async fn signal(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path((id, name)): Path<(String, String)>,
    headers: axum::http::HeaderMap,
    Body(request): Body<SignalRequest>,
) -> Result<Response, Fault> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Fault::bad_request("invalid_name", "a channel's name has 1 to 128 bytes").at("name"));
    }
    if is_channel(&name) {
        let detail = "only published events come by this name: POST /api/v1/events publishes one";
        return Err(Fault::bad_request("invalid_name", detail).at("name"));
    }
    let given = key::read(&headers)?;
    let run = run_id(&id, "id")?;
    let key = given.unwrap_or_else(|| app.engine.entropy.uuid().to_string());
    let payload = Payload::of(&request.payload).map_err(|e| Fault::bad_request("invalid_json", e.to_string()))?;
    let signal = Command::Signal { name, key, payload };
    match app.engine.command_within(caller.sight(), doing.on(run.to_string()), run, signal).await {
        Err(CommandError::NotFound) => Err(no_run(run, "id")),
        sent => sent.map(|_| no_content()).map_err(Fault::from),
    }
}

/// Files that the run left: screenshots and the like.
#[utoipa::path(get, operation_id = "list_artifacts", path = "/api/v1/runs/{id}/artifacts", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = ArtifactList), (status = 404, body = Problem)))]
pub(super) async fn artifacts(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<ArtifactList>, Fault> {
    let record = find(&app, &caller, &id).await?;
    let mut artifacts = Vec::new();
    for blob in app.engine.store.list_artifacts(&caller.tenant, RunId(record.id)).await? {
        artifacts.push(files::artifact(&app, &caller, blob).await?);
    }
    Ok(Json(ArtifactList { artifacts }))
}

async fn operate(
    app: &App,
    caller: &Caller,
    doing: &Doing,
    id: &str,
    command: Command,
) -> Result<Json<RunSummary>, Fault> {
    let run = RunId(find(app, caller, id).await?.id);
    app.engine.command_by(doing.on(run.to_string()), run, command).await?;
    Ok(Json(run_view::summary(app, &find(app, caller, id).await?)))
}

pub(super) async fn find(app: &App, caller: &Caller, id: &str) -> Result<RunRecord, Fault> {
    find_at(app, caller, id, "id").await
}

/// The run that the parameter `field` names.
pub(super) async fn find_at(app: &App, caller: &Caller, id: &str, field: &str) -> Result<RunRecord, Fault> {
    let run = run_id(id, field)?;
    let found = app.engine.store.find_run(&caller.tenant, run).await?;
    let found = found.filter(|record| caller.reach.has(&record.workflow, &record.subject));
    found.ok_or_else(|| no_run(run, field))
}

fn run_id(text: &str, field: &str) -> Result<RunId, Fault> {
    text.parse().map_err(|e: IdError| Fault::bad_request("invalid_id", e.to_string()).at(field))
}

fn no_run(run: RunId, field: &str) -> Fault {
    Fault::not_found("run", format!("there is no run {run}")).at(field)
}

pub(super) fn page_rows(limit: Option<u32>) -> Result<u32, Fault> {
    match limit {
        None => Ok(PAGE_ROWS_DEFAULT),
        Some(n) if (1..=PAGE_ROWS_MAX).contains(&n) => Ok(n),
        Some(_) => Err(Fault::bad_request("invalid_limit", "limit is 1 to 200").at("limit")),
    }
}

/// Of a list in order of an instant.
pub(super) fn write_cursor(at: Timestamp, id: Uuid) -> String {
    cursor::write(at.timestamp_micros(), id.simple())
}

pub(super) fn read_cursor(text: &str) -> Result<(Timestamp, Uuid), Fault> {
    cursor::read(text, |at, id| {
        Some((chrono::DateTime::from_timestamp_micros(at.parse().ok()?)?, Uuid::parse_str(id).ok()?))
    })
}
