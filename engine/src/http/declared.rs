//! Declared workflows: checked, registered, shown.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;
use valet_core::bounds::NAME_BYTES_MAX;
use valet_core::declared::check::{WORKFLOW_NAME_RULE, is_workflow_name};
use valet_core::declared::{DeclaredWorkflow, Faults, check};
use valet_core::workflow::InputProblem;
use valet_protocol::api::{WorkflowRegistered, WorkflowView};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::Body;
use super::doing::Doing;
use super::query::Parameters;
use super::schema::InputSchema;
use super::{App, Fault, foreign_schema};
use crate::bounds::DECLARED_WORKFLOWS_MAX;
use crate::store::postgres::declared::DeclaredRecord;

/// How a definition is registered.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RegisterQuery {
    /// Only check the definition: nothing is stored.
    #[serde(default)]
    dry_run: bool,
}

/// Registers a declared workflow. The definition that is the newest already stays as it is; another one is a new version. Runs go
/// on with the version that they began with. All faults are told at once, each with its place.
#[utoipa::path(put, operation_id = "register_workflow", path = "/api/v1/workflows/{name}", tag = "workflows",
    request_body(content = Object, description = "`tasks` by name, each with its `step` and perhaps `queue`, `parents`, `wait_for`, `input`, `skip_if`, `cancel_if`, \
        `max_attempts`, `backoff`, `execution_timeout`, `schedule_timeout`, `non_retryable`, `priority`, `on_exhausted`, `labels`, `prefer_labels`, `sticky`; perhaps `on_failure` (a task), \
        `input_schema`, `output` (CEL), `name`, `description`. `wait_for` is a list of groups, of each of which one comes: `{\"sleep\": \"1h\"}`, \
        `{\"signal\": \"paid\", \"if\": CEL}`, `{\"event\": \"order:*\", \"scope\": \"eu\", \"if\": CEL}`, each perhaps with `as`. An event counts that is published \
        while the task waits"),
    params(("name" = String, Path), RegisterQuery),
    responses((status = 201, body = WorkflowRegistered, description = "A new version"), (status = 200, body = WorkflowRegistered, description = "The newest version is this definition, or it was only checked"),
        (status = 400, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn register(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    Parameters(query): Parameters<RegisterQuery>,
    Body(definition): Body<DeclaredWorkflow>,
) -> Result<Response, Fault> {
    if !caller.reach.has_workflow(&name) {
        return Err(Fault::out_of_reach("this token does not reach a workflow of this name").at("name"));
    }
    let definition = checked(&app, &name, definition)?;
    // Whoever may not start a workflow has none start it for them.
    if let Some((place, child)) = children(&definition).into_iter().find(|(_, child)| !caller.reach.has_workflow(child))
    {
        let detail = format!("this token does not reach the workflow `{child}`, which the task would start");
        return Err(Fault::out_of_reach(&detail).at(&place));
    }
    if query.dry_run {
        return Ok(Json(WorkflowRegistered { name, version: None, created: false }).into_response());
    }
    let put = app.engine.store.put_declared(&caller.tenant, &name, &definition, &doing.on(&name)).await?;
    let Some(put) = put else {
        let detail =
            format!("a tenant has at most {DECLARED_WORKFLOWS_MAX} declared workflows; register a new version of one");
        return Err(Fault::conflict("too_many_workflows", detail).at("name"));
    };
    let status = if put.created { StatusCode::CREATED } else { StatusCode::OK };
    let registered = WorkflowRegistered { name, version: Some(put.version as u32), created: put.created };
    Ok((status, Json(registered)).into_response())
}

/// The definition as it is stored, if nothing is wrong with it.
fn checked(app: &App, name: &str, mut definition: DeclaredWorkflow) -> Result<Value, Fault> {
    let problem = |field: &str, message: String| InputProblem { field: field.to_owned(), message };
    if !is_workflow_name(name) {
        return Err(Fault::invalid_definition(vec![problem("name", WORKFLOW_NAME_RULE.to_owned())]));
    }
    if app.engine.registry.get(name).is_some() {
        let detail = format!("`{name}` is a workflow of this program's code; choose another name");
        return Err(Fault::conflict("workflow_in_code", detail).at("name"));
    }
    let mut problems = check(&definition).err().map(Faults::into_problems).unwrap_or_default();
    if definition.name.as_ref().is_some_and(|given| given != name) {
        problems.push(problem("/name", format!("leave it out, or make it the path's: `{name}`")));
    }
    if let Some(schema) = &definition.input_schema {
        problems.extend(schema_problem(schema).map(|message| problem("/input_schema", message)));
    }
    if !problems.is_empty() {
        return Err(Fault::invalid_definition(problems));
    }
    // With or without its name it is the same definition.
    definition.name = Some(name.to_owned());
    serde_json::to_value(&definition).map_err(|e| Fault::bad_request("invalid_json", e.to_string()))
}

fn schema_problem(schema: &Value) -> Option<String> {
    let usable = foreign_schema::check(schema);
    let compiled = || InputSchema::compile_foreign(schema).map_err(|error| format!("this is no JSON Schema: {error}"));
    usable.and_then(|()| compiled().map(drop)).err()
}

/// One version of a declared workflow.
#[utoipa::path(get, operation_id = "show_workflow_version", path = "/api/v1/workflows/{name}/versions/{version}", tag = "workflows",
    params(("name" = String, Path), ("version" = u32, Path)),
    responses((status = 200, body = WorkflowView), (status = 404, body = Problem)))]
pub(super) async fn show_version(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<WorkflowView>, Fault> {
    let known = version.parse::<i32>().ok().filter(|_| caller.reach.has_workflow(&name));
    let found = match known {
        Some(version) => find(&app, &caller.tenant, &name, Some(version)).await?,
        None => None,
    };
    let missing = || {
        let shown = |text: &str| text.chars().take(NAME_BYTES_MAX).collect::<String>();
        let detail = format!("no declared workflow `{}` has a version {}", shown(&name), shown(&version));
        Fault::not_found("workflow", detail).at("version")
    };
    found.map(|record| Json(view(record))).ok_or_else(missing)
}

/// The newest version, or this one. Whether the caller reaches it was asked before.
pub(super) async fn find(
    app: &App,
    tenant: &str,
    name: &str,
    version: Option<i32>,
) -> Result<Option<DeclaredRecord>, Fault> {
    // What cannot be a name is not looked for: it may not even be text that the database takes.
    if !is_workflow_name(name) {
        return Ok(None);
    }
    Ok(app.engine.store.find_declared(tenant, name, version).await?)
}

/// A version with its definition.
pub(super) fn view(record: DeclaredRecord) -> WorkflowView {
    let definition = Some(record.definition.clone());
    WorkflowView { definition, ..listed(record) }
}

/// As lists show it.
pub(super) fn listed(record: DeclaredRecord) -> WorkflowView {
    WorkflowView {
        kind: "declared".to_owned(),
        version: Some(record.version as u32),
        input_schema: input_schema(&record),
        definition: None,
        created_at: Some(record.created_at),
        created_by: Some(record.created_by),
        name: record.name,
    }
}

/// The workflows that tasks of a definition start, with the places that name them.
fn children(definition: &Value) -> Vec<(String, &str)> {
    let tasks = definition.get("tasks").and_then(Value::as_object).into_iter().flatten();
    let tasks = tasks.map(|(name, task)| (format!("/tasks/{name}/workflow"), task));
    let all = tasks.chain(definition.get("on_failure").map(|task| ("/on_failure/workflow".to_owned(), task)));
    all.filter_map(|(place, task)| Some((place, task.get("workflow")?.as_str()?))).collect()
}

/// A run whose tasks start workflows that nobody knows would only wait for somebody to declare them. Told before it is
/// started, and not when it is registered, so that workflows that name each other are declared in any order.
pub(super) async fn refuse_unknown_children(app: &App, tenant: &str, record: &DeclaredRecord) -> Result<(), Fault> {
    let mut unknown = children(&record.definition);
    unknown.retain(|(_, child)| app.engine.registry.get(child).is_none());
    if unknown.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = unknown.iter().map(|(_, child)| *child).collect();
    let known = app.engine.store.known_declared(tenant, &names).await?;
    unknown.retain(|(_, child)| !known.iter().any(|name| name == child));
    let Some((place, child)) = unknown.first() else { return Ok(()) };
    let detail = format!(
        "`{place}` of `{}` starts the workflow `{child}`, which is neither declared nor code of this program: declare it \
         with PUT /api/v1/workflows/{child}, then start this one again",
        record.name
    );
    Err(Fault::conflict("child_workflow_unknown", detail).at("name"))
}

/// What inputs must fit; anything, if nothing is said.
pub(super) fn input_schema(record: &DeclaredRecord) -> Value {
    record.definition.get("input_schema").cloned().unwrap_or(Value::Bool(true))
}
