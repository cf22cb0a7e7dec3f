//! Workflows: which there are, what they want, and starting them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use utoipa::IntoParams;
use valet_core::attributes;
use valet_core::bounds::NAME_BYTES_MAX;
use valet_core::command::{IdempotencyKey, StartRun};
use valet_core::id::parse_prefixed;
use valet_core::payload::Payload;
use valet_core::workflow::{Definition, InputProblem, NamedFile};
use valet_protocol::api::{RunStarted, StartRunRequest, WorkflowList, WorkflowView};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::{Body, without_values};
use super::doing::Doing;
use super::query::Parameters;
use super::schema::InputSchema;
use super::{App, Fault, declared, key, subjects, wait};
use crate::access::Reach;
use crate::engine::Started;
use crate::store::postgres::declared::DeclaredRecord;

/// The subject and plan of runs that name none.
const DEFAULT_SUBJECT: &str = "default";
const DEFAULT_PLAN: &str = "free";
/// Ten years.
const TIMEOUT_SECONDS_MAX: u32 = 10 * 365 * 24 * 3600;

/// The workflows of this build, then those that the tenant declared.
#[utoipa::path(get, operation_id = "list_workflows", path = "/api/v1/workflows", tag = "workflows", responses((status = 200, body = WorkflowList)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<WorkflowList>, Fault> {
    let of_code = app.engine.registry.iter().filter(|d| caller.reach.has_workflow(d.name)).map(view);
    let declared = app.engine.store.list_declared(&caller.tenant, &caller.reach).await?;
    // A build may have brought code of a name that was declared before: it goes first.
    let declared = declared.into_iter().filter(|record| app.engine.registry.get(&record.name).is_none());
    Ok(Json(WorkflowList { workflows: of_code.chain(declared.map(declared::listed)).collect() }))
}

fn view(definition: &Arc<Definition>) -> WorkflowView {
    WorkflowView {
        name: definition.name.to_owned(),
        kind: "code".to_owned(),
        input_schema: definition.input_schema.clone(),
        ..WorkflowView::default()
    }
}

/// One workflow with the JSON Schema of its input; of a declared one the newest version with its definition.
#[utoipa::path(get, operation_id = "show_workflow", path = "/api/v1/workflows/{name}", tag = "workflows", params(("name" = String, Path)),
    responses((status = 200, body = WorkflowView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<WorkflowView>, Fault> {
    Ok(Json(match find(&app, &caller.tenant, &caller.reach, &name).await? {
        Found::Code(definition) => view(definition),
        Found::Declared(record) => declared::view(*record),
    }))
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
    let found = find(app, tenant, reach, name).await?;
    checked_for(app, tenant, reach, &found, key, request).await
}

/// The same of a workflow that was found.
pub(super) async fn checked_for(
    app: &App,
    tenant: &str,
    reach: &Reach,
    found: &Found<'_>,
    key: Option<String>,
    request: StartRunRequest,
) -> Result<StartRun, Fault> {
    let mut problems = schema_problems(app, found, &request.input).await?;
    let input = payload(&request.input)?;
    if problems.is_empty()
        && let Found::Code(definition) = found
    {
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
    problems.extend(request_problems(&request));
    if problems.is_empty()
        && let Found::Code(definition) = found
    {
        problems = missing_files(app, tenant, reach, definition.files(&input)).await?;
    }
    if !problems.is_empty() {
        return Err(Fault::invalid_input(problems));
    }
    if let Found::Declared(record) = found {
        declared::refuse_unknown_children(app, tenant, record).await?;
    }
    let idempotency = key.map(|key| idempotency_key(key, &request)).transpose()?;
    let subject = request.subject.or(of_input).unwrap_or_else(|| DEFAULT_SUBJECT.to_owned());
    if !reach.has_subject(&subject) {
        return Err(Fault::out_of_reach("this token does not reach this subject").at("/subject"));
    }
    subjects::refuse_erasing(app, tenant, &subject, "/subject").await?;
    let plan = request.plan.unwrap_or_else(|| DEFAULT_PLAN.to_owned());
    let timeout = request.timeout_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    Ok(StartRun {
        definition: match found {
            Found::Code(_) => None,
            Found::Declared(record) => Some(payload(&record.definition)?),
        },
        attributes: request.attributes,
        idempotency,
        deadline: timeout.map(|timeout| app.engine.clock.now() + timeout),
        budget_micros: request.budget_usd_micros,
        ..StartRun::new(tenant.to_owned(), subject, found.name().to_owned(), plan, input)
    })
}

fn payload(json: &Value) -> Result<Payload, Fault> {
    Payload::of(json).map_err(|e| Fault::bad_request("invalid_json", e.to_string()))
}

async fn schema_problems(app: &App, found: &Found<'_>, input: &Value) -> Result<Vec<InputProblem>, Fault> {
    Ok(match found {
        Found::Code(definition) => app.schemas.get(definition.name).map(|s| s.problems(input)).unwrap_or_default(),
        Found::Declared(record) => {
            let (schema, input) = (declared::input_schema(record), input.clone());
            // Compiled anew and, with what people write, perhaps slow: not on a thread that serves others.
            let checked = tokio::task::spawn_blocking(move || {
                InputSchema::compile_foreign(&schema).map(|schema| schema.problems(&input))
            });
            let problems = checked.await.unwrap_or_else(|error| Err(error.to_string()));
            problems.map_err(|error| {
                tracing::error!(workflow = record.name, error, "the schema of a declared workflow cannot be used");
                Fault::internal()
            })?
        }
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

fn request_problems(request: &StartRunRequest) -> Vec<InputProblem> {
    let mut problems: Vec<InputProblem> = name_problem("/subject", request.subject.as_deref())
        .into_iter()
        .chain(name_problem("/plan", request.plan.as_deref()))
        .collect();
    problems.extend(attributes::problems("/attributes", &request.attributes));
    if request.timeout_seconds.is_some_and(|seconds| !(1..=TIMEOUT_SECONDS_MAX).contains(&seconds)) {
        let message = format!("must be 1 to {TIMEOUT_SECONDS_MAX} seconds (ten years), or absent for no bound");
        problems.push(InputProblem { field: "/timeout_seconds".to_owned(), message });
    }
    problems
}

pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX
}

/// Subjects and plans are keys of tables and indexes, not documents.
fn name_problem(field: &str, text: Option<&str>) -> Option<InputProblem> {
    let fits = is_name(text?);
    let message = || "must be 1 to 128 bytes long".to_owned();
    (!fits).then(|| InputProblem { field: field.to_owned(), message: message() })
}

pub(super) fn idempotency_key(key: String, request: &impl Serialize) -> Result<IdempotencyKey, Fault> {
    // Objects are kept sorted, so that the order of fields in the text does not matter.
    let canonical = serde_json::to_vec(request).map_err(|e| Fault::bad_request("invalid_json", e.to_string()))?;
    Ok(IdempotencyKey { key, request_hash: Sha256::digest(canonical).into() })
}

/// What a name stands for: code, else what the tenant declared.
pub(super) enum Found<'a> {
    Code(&'a Arc<Definition>),
    Declared(Box<DeclaredRecord>),
}

impl Found<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Code(definition) => definition.name,
            Self::Declared(record) => &record.name,
        }
    }
}

pub(super) async fn find<'a>(app: &'a App, tenant: &str, reach: &Reach, name: &str) -> Result<Found<'a>, Fault> {
    if reach.has_workflow(name) {
        if let Some(definition) = app.engine.registry.get(name) {
            return Ok(Found::Code(definition));
        }
        if let Some(record) = declared::find(app, tenant, name, None).await? {
            return Ok(Found::Declared(Box::new(record)));
        }
    }
    let known: Vec<&str> = app.engine.registry.iter().map(|d| d.name).filter(|name| reach.has_workflow(name)).collect();
    let name: String = name.chars().take(NAME_BYTES_MAX).collect();
    let detail = format!("no workflow `{name}`; there are: {}, and those that were declared", known.join(", "));
    Err(Fault::not_found("workflow", detail).at("name"))
}
