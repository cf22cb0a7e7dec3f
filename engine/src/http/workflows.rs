//! Workflows: which there are, what they want, and starting them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use utoipa::IntoParams;
use valet_core::bounds::NAME_BYTES_MAX;
use valet_core::command::{IdempotencyKey, StartRun};
use valet_core::id::parse_prefixed;
use valet_core::payload::Payload;
use valet_core::workflow::{Definition, InputProblem, NamedFile};
use valet_protocol::api::{RunStarted, StartRunRequest, WorkflowList, WorkflowView};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::{Body, segment, without_values};
use super::doing::Doing;
use super::query::Parameters;
use super::{App, Fault, key, subjects, wait};
use crate::access::Reach;
use crate::engine::Started;

/// The subject and plan of runs that name none.
const DEFAULT_SUBJECT: &str = "default";
const DEFAULT_PLAN: &str = "free";
/// Search attributes of one run.
const ATTRIBUTES_MAX: usize = 32;
/// One attribute's text: it is searched, not read.
const ATTRIBUTE_BYTES_MAX: usize = 1024;

/// The workflows of this build.
#[utoipa::path(get, operation_id = "list_workflows", path = "/api/v1/workflows", tag = "workflows", responses((status = 200, body = WorkflowList)))]
pub(super) async fn list(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Json<WorkflowList> {
    let view = |d: &Arc<Definition>| WorkflowView { name: d.name.to_owned(), input_schema: d.input_schema.clone() };
    Json(WorkflowList {
        workflows: app.engine.registry.iter().filter(|d| caller.reach.has_workflow(d.name)).map(view).collect(),
    })
}

/// One workflow with the JSON Schema of its input.
#[utoipa::path(get, operation_id = "show_workflow", path = "/api/v1/workflows/{name}", tag = "workflows", params(("name" = String, Path)),
    responses((status = 200, body = WorkflowView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<WorkflowView>, Fault> {
    let definition = find(&app, &caller.reach, &name)?;
    Ok(Json(WorkflowView { name: definition.name.to_owned(), input_schema: definition.input_schema.clone() }))
}

/// How a start is asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StartQuery {
    /// Wait for the run's end: `30s`, `500ms` or seconds, at most a minute. The answer then says what became of the run:
    /// its `status` with its `output` or `error`; 202 if it has not ended by then.
    wait: Option<String>,
}

/// Starts a run. The same `Idempotency-Key` and body answer the first run with 200; another body 409.
#[utoipa::path(post, operation_id = "start_run", path = "/api/v1/workflows/{name}/runs", tag = "runs", request_body = StartRunRequest,
    params(("name" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Unique per tenant and workflow; up to 255 characters; kept for 7 days"), StartQuery),
    responses((status = 201, body = RunStarted), (status = 200, body = RunStarted), (status = 202, body = RunStarted, description = "The time to wait was over first; `Location` has the run"),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn start(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    Parameters(query): Parameters<StartQuery>,
    headers: HeaderMap,
    Body(request): Body<StartRunRequest>,
) -> Result<Response, Fault> {
    let limit = query.wait.as_deref().map(wait::read).transpose()?;
    let deadline = limit.map(|limit| Instant::now() + limit);
    // Before the start: who cannot wait here starts nothing either.
    let _place = limit.map(|_| app.places.take(&caller)).transpose()?;
    let start = checked(&app, &caller.tenant, &caller.reach, &name, key::read(&headers)?, request).await?;
    let (run, created) = match app.engine.start_run(doing.on(""), start).await? {
        Started::Created(run) => (run, true),
        Started::Existing(run) => (run, false),
    };
    let mut status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let mut body = RunStarted { id: run.to_string(), created, ..RunStarted::default() };
    if let Some(deadline) = deadline {
        let found = wait::for_end(&app, &caller.tenant, run, deadline).await;
        if found.as_ref().is_none_or(|detail| detail.run.ended_at.is_none()) {
            status = StatusCode::ACCEPTED;
        }
        if let Some(detail) = found {
            body.status = Some(detail.run.status);
            body.reason = detail.run.reason;
            body.status_line = detail.run.status_line;
            body.output = detail.output;
            body.error = detail.error;
        }
    }
    let mut response = (status, Json(body)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/runs/{run}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Everything that can be wrong with a start is found here, before anything is stored.
pub(super) async fn checked(
    app: &App,
    tenant: &str,
    reach: &Reach,
    name: &str,
    key: Option<String>,
    request: StartRunRequest,
) -> Result<StartRun, Fault> {
    let definition = find(app, reach, name)?;
    let mut problems = app.schemas.get(name).map(|s| s.problems(&request.input)).unwrap_or_default();
    let input = Payload::of(&request.input).map_err(|e| Fault::bad_request("invalid_json", e.to_string()))?;
    if problems.is_empty() {
        problems = definition.check(&input, &app.door);
        for problem in &mut problems {
            problem.message = without_values(&problem.message);
        }
    }
    let mut problems: Vec<InputProblem> =
        problems.into_iter().map(|p| InputProblem { field: format!("/input{}", p.field), ..p }).collect();
    let of_input = request.input.get("subject").and_then(Value::as_str).map(ToOwned::to_owned);
    if request.subject.is_none() && problems.is_empty() {
        problems.extend(name_problem("/input/subject", of_input.as_deref()));
    }
    problems.extend(attribute_problems(&request));
    if problems.is_empty() {
        problems = missing_files(app, tenant, reach, definition.files(&input)).await?;
    }
    if !problems.is_empty() {
        return Err(Fault::invalid_input(problems));
    }
    let idempotency = key.map(|key| idempotency_key(key, &request)).transpose()?;
    let subject = request.subject.or(of_input).unwrap_or_else(|| DEFAULT_SUBJECT.to_owned());
    if !reach.has_subject(&subject) {
        return Err(Fault::out_of_reach("this token does not reach this subject").at("/subject"));
    }
    subjects::refuse_erasing(app, tenant, &subject, "/subject").await?;
    Ok(StartRun {
        tenant: tenant.to_owned(),
        subject,
        workflow: name.to_owned(),
        plan: request.plan.unwrap_or_else(|| DEFAULT_PLAN.to_owned()),
        attributes: request.attributes,
        input,
        parent: None,
        idempotency,
    })
}

async fn missing_files(
    app: &App,
    tenant: &str,
    reach: &Reach,
    files: Vec<NamedFile>,
) -> Result<Vec<InputProblem>, Fault> {
    let mut problems = Vec::new();
    for NamedFile { field, file } in files {
        let found = match parse_prefixed("file", &file) {
            Ok(id) => {
                app.engine.store.find_blob(tenant, id).await?.is_some_and(|blob| reach.has_subject(&blob.subject))
            }
            Err(_) => false,
        };
        if !found {
            let message = "there is no such file; store it with POST /api/v1/files and give the id of its answer";
            problems.push(InputProblem { field: format!("/input{field}"), message: message.to_owned() });
        }
    }
    Ok(problems)
}

fn attribute_problems(request: &StartRunRequest) -> Vec<InputProblem> {
    let problem = |field: String, message: &str| InputProblem { field, message: message.to_owned() };
    let mut problems: Vec<InputProblem> = name_problem("/subject", request.subject.as_deref())
        .into_iter()
        .chain(name_problem("/plan", request.plan.as_deref()))
        .collect();
    if request.attributes.len() > ATTRIBUTES_MAX {
        problems.push(problem("/attributes".to_owned(), "at most 32 attributes"));
    }
    for (name, value) in &request.attributes {
        let fits = match value {
            Value::String(text) => text.len() <= ATTRIBUTE_BYTES_MAX,
            Value::Number(_) | Value::Bool(_) => true,
            _ => false,
        };
        if name.len() > NAME_BYTES_MAX || !fits {
            let message =
                "must be a string of at most 1024 bytes, a number or a boolean, with a name of at most 128 bytes";
            let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
            problems.push(problem(format!("/attributes/{}", segment(&shown)), message));
        }
    }
    problems
}

/// Subjects and plans are keys of tables and indexes, not documents.
fn name_problem(field: &str, text: Option<&str>) -> Option<InputProblem> {
    let text = text?;
    let fits = !text.is_empty() && text.len() <= NAME_BYTES_MAX;
    let message = || "must be 1 to 128 bytes long".to_owned();
    (!fits).then(|| InputProblem { field: field.to_owned(), message: message() })
}

fn idempotency_key(key: String, request: &StartRunRequest) -> Result<IdempotencyKey, Fault> {
    // Objects are kept sorted, so that the order of fields in the text does not matter.
    let canonical = serde_json::to_vec(request).map_err(|e| Fault::bad_request("invalid_json", e.to_string()))?;
    Ok(IdempotencyKey { key, request_hash: Sha256::digest(canonical).into() })
}

pub(super) fn find<'a>(app: &'a App, reach: &Reach, name: &str) -> Result<&'a Arc<Definition>, Fault> {
    let found = app.engine.registry.get(name).filter(|_| reach.has_workflow(name));
    found.ok_or_else(|| {
        let known: Vec<&str> =
            app.engine.registry.iter().map(|d| d.name).filter(|name| reach.has_workflow(name)).collect();
        let name: String = name.chars().take(NAME_BYTES_MAX).collect();
        Fault::not_found("workflow", format!("no workflow `{name}`; there are: {}", known.join(", "))).at("name")
    })
}
