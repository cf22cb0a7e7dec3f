//! Tasks for people: the list, claiming one and handing it back, answering or rejecting it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;
use valet_core::command::{Command, Rejection, TaskAnswer};
use valet_core::id::{Seq, parse_prefixed};
use valet_core::payload::Payload;
use valet_core::workflow::InputProblem;
use valet_protocol::api::{AnswerRequest, ReasonRequest, TaskPage, TaskView};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::{Body, OptionalBody};
use super::doing::Doing;
use super::query::Parameters;
use super::schema::InputSchema;
use super::{App, Fault, key, run_view, runs};
use crate::access::Scope;
use crate::audit::Deed;
use crate::executor::CommandError;
use crate::store::postgres::queries::TaskRecord;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// All tasks of this run, ended ones too; without it the open tasks.
    run: Option<String>,
    cursor: Option<String>,
    /// 1 to 200; default 50.
    limit: Option<u32>,
}

/// Open tasks, by deadline.
#[utoipa::path(get, operation_id = "list_tasks", path = "/api/v1/human-tasks", tag = "human tasks", params(ListQuery),
    responses((status = 200, body = TaskPage), (status = 400, body = Problem)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<TaskPage>, Fault> {
    let limit = runs::page_rows(query.limit)?;
    let after = query.cursor.as_deref().map(runs::read_cursor).transpose()?;
    let run = match &query.run {
        Some(id) => Some(valet_core::id::RunId(runs::find_at(&app, &caller, id, "run").await?.id)),
        None => None,
    };
    let mut tasks = app.engine.store.list_tasks(&caller.tenant, run, after, limit + 1, &caller.reach).await?;
    let more = tasks.len() > limit as usize;
    tasks.truncate(limit as usize);
    let next_cursor = tasks.last().filter(|_| more).map(|last| runs::write_cursor(last.deadline, last.id));
    Ok(Json(TaskPage { tasks: tasks.into_iter().map(|task| view(&caller, task)).collect(), next_cursor }))
}

/// One task with its form.
#[utoipa::path(get, operation_id = "show_task", path = "/api/v1/human-tasks/{id}", tag = "human tasks", params(("id" = String, Path)),
    responses((status = 200, body = TaskView), (status = 404, body = Problem), (status = 409, body = Problem, description = "With a link's token: the task has ended")))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<TaskView>, Fault> {
    let task = find(&app, &caller, &id).await?;
    if has_ended(&task) && caller.is_link {
        return Err(ended(&task));
    }
    let hands_out = !has_ended(&task) && !caller.is_link && caller.scopes.contains(&Scope::Answer);
    let link = hands_out.then(|| app.engine.store.masters().link_token(task.id));
    Ok(Json(TaskView { link, ..view(&caller, task) }))
}

/// Takes a task; the second person gets 409 with who was first.
#[utoipa::path(post, operation_id = "claim_task", path = "/api/v1/human-tasks/{id}/claim", tag = "human tasks", params(("id" = String, Path)),
    responses((status = 200, body = TaskView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn claim(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
) -> Result<Json<TaskView>, Fault> {
    let task = find_now(&app, &caller, &id).await?;
    let claimed = app.engine.store.claim_task(&doing.on_task(task.id), task.id).await?;
    let task = find(&app, &caller, &id).await?;
    if has_ended(&task) {
        return Err(ended(&task));
    }
    if !claimed {
        return Err(taken(&task));
    }
    Ok(Json(run_view::task(task)))
}

/// Hands a claimed task back, for whoever comes next. Another's claim is ended by those alone who may operate runs.
#[utoipa::path(post, operation_id = "release_task", path = "/api/v1/human-tasks/{id}/release", tag = "human tasks", params(("id" = String, Path)),
    responses((status = 200, body = TaskView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn release(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
) -> Result<Json<TaskView>, Fault> {
    let task = find_now(&app, &caller, &id).await?;
    let any = caller.scopes.contains(&Scope::Operate);
    app.engine.store.release_task(&doing.on_task(task.id), task.id, any).await?;
    let task = find(&app, &caller, &id).await?;
    if has_ended(&task) {
        return Err(ended(&task));
    }
    if task.state == "claimed" {
        return Err(taken(&task));
    }
    Ok(Json(run_view::task(task)))
}

/// Answers a task. The answer must fit the task's form; the run goes on at once.
#[utoipa::path(post, operation_id = "answer_task", path = "/api/v1/human-tasks/{id}/answer", tag = "human tasks", request_body = AnswerRequest,
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = TaskView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn answer(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
    headers: axum::http::HeaderMap,
    Body(request): Body<AnswerRequest>,
) -> Result<Json<TaskView>, Fault> {
    let task = find_now(&app, &caller, &id).await?;
    // A task that has ended says so, whatever its form asked for; a repeated answer finds the first one.
    let problems = if has_ended(&task) { Vec::new() } else { problems(&task, &request.answer) };
    if !problems.is_empty() {
        return Err(Fault::invalid_input(problems));
    }
    let answer = Payload::of(&request.answer).map_err(|e| Fault::bad_request("invalid_json", e.to_string()))?;
    end(&app, &caller, doing.on_task(task.id), &task, &headers, TaskAnswer::Answered(answer)).await
}

/// Declines a task; the workflow decides what that means.
#[utoipa::path(post, operation_id = "reject_task", path = "/api/v1/human-tasks/{id}/reject", tag = "human tasks", request_body = ReasonRequest,
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = TaskView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn reject(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
    headers: axum::http::HeaderMap,
    OptionalBody(request): OptionalBody<ReasonRequest>,
) -> Result<Json<TaskView>, Fault> {
    let task = find_now(&app, &caller, &id).await?;
    end(&app, &caller, doing.on_task(task.id), &task, &headers, TaskAnswer::Rejected { reason: request.reason }).await
}

async fn end(
    app: &App,
    caller: &Caller,
    deed: Deed,
    task: &TaskRecord,
    headers: &axum::http::HeaderMap,
    answer: TaskAnswer,
) -> Result<Json<TaskView>, Fault> {
    let key = key::read(headers)?.unwrap_or_else(|| app.engine.entropy.uuid().to_string());
    let command = Command::AnswerTask { seq: Seq(task.seq), by: caller.name.clone(), key, answer };
    let id = deed.target.clone();
    let told = app.engine.command_by(deed, task.run, command).await;
    let task = find(app, caller, &id).await?;
    match told {
        Ok(_) => Ok(Json(run_view::task(task))),
        // The run went on, or ended: to the person it is the task that is over.
        Err(CommandError::Rejected(
            Rejection::TaskEnded { .. }
            | Rejection::RunEnded { .. }
            | Rejection::RunClosing { .. }
            | Rejection::NoSuchTask,
        )) if has_ended(&task) => Err(ended(&task)),
        Err(error) => Err(error.into()),
    }
}

fn view(caller: &Caller, task: TaskRecord) -> TaskView {
    let task = run_view::task(task);
    if caller.sees_contents() { task } else { run_view::masked_task(task) }
}

fn has_ended(task: &TaskRecord) -> bool {
    !matches!(task.state.as_str(), "open" | "claimed")
}

fn ended(task: &TaskRecord) -> Fault {
    let by = task.ended_by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
    let fault = Fault::conflict("task_ended", format!("the task has ended: {}{by}", task.state));
    fault.outcome(&task.state).by(task.ended_by.clone(), task.ended_at)
}

fn taken(task: &TaskRecord) -> Fault {
    let by = task.claimed_by.as_deref().unwrap_or("somebody");
    let fault = Fault::conflict("task_taken", format!("the task is claimed by {by}"));
    fault.by(task.claimed_by.clone(), task.claimed_at)
}

fn problems(task: &TaskRecord, answer: &serde_json::Value) -> Vec<InputProblem> {
    let form = run_view::value(&task.spec.form);
    match InputSchema::compile(&form) {
        Ok(schema) => schema
            .problems(answer)
            .into_iter()
            .map(|p| InputProblem { field: format!("/answer{}", p.field), ..p })
            .collect(),
        // A form that is no schema is the workflow's fault; the person's answer is taken as it is.
        Err(message) => {
            tracing::error!(run = %task.run, message, "a task's form is not a JSON Schema");
            Vec::new()
        }
    }
}

/// The task as it is now: one whose deadline has passed ends before anything is done with it, not with the next tick.
async fn find_now(app: &App, caller: &Caller, id: &str) -> Result<TaskRecord, Fault> {
    let task = find(app, caller, id).await?;
    if has_ended(&task) || app.engine.clock.now() < task.deadline {
        return Ok(task);
    }
    match app.engine.command(task.run, Command::TimerDue { seq: Seq(task.seq) }).await {
        Ok(_) | Err(CommandError::Rejected(_)) => find(app, caller, id).await,
        Err(error) => Err(error.into()),
    }
}

async fn find(app: &App, caller: &Caller, id: &str) -> Result<TaskRecord, Fault> {
    let id: Uuid = parse_prefixed("task", id).map_err(|e| Fault::bad_request("invalid_id", e.to_string()).at("id"))?;
    let found = app.engine.store.find_task(&caller.tenant, id).await?;
    let found = found.filter(|task| caller.reach.has(&task.workflow, &task.subject));
    found.ok_or_else(|| Fault::not_found("task", "there is no such task").at("id"))
}
