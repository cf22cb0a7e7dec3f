//! Incoming webhooks: put, shown, removed. Their deliveries come in by [`super::hooks`].

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use valet_core::declared::Faults;
use valet_core::declared::check::{WORKFLOW_NAME_RULE, is_workflow_name};
use valet_protocol::api::{
    IncomingFailureList, IncomingFailureView, IncomingProof, IncomingStart, IncomingWebhookList, IncomingWebhookView,
    PutIncomingWebhookRequest,
};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::Body;
use super::doing::Doing;
use super::{App, Fault, no_content, workflows};
use crate::bounds::INCOMING_WEBHOOKS_MAX;
use crate::store::StoreError;
use crate::store::postgres::incoming::{FailureRecord, IncomingRecord, NewIncoming};
use crate::webhook::{Mapping, Proof, Target};

/// All incoming webhooks by name.
#[utoipa::path(get, operation_id = "list_incoming_webhooks", path = "/api/v1/webhooks/incoming", tag = "webhooks", responses((status = 200, body = IncomingWebhookList)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<IncomingWebhookList>, Fault> {
    let records = app.engine.store.list_incoming_webhooks(&caller.tenant, &caller.reach).await?;
    let webhooks = records.into_iter().map(|record| view(&caller.tenant, record)).collect::<Result<_, _>>()?;
    Ok(Json(IncomingWebhookList { webhooks }))
}

/// One incoming webhook, without its secrets.
#[utoipa::path(get, operation_id = "show_incoming_webhook", path = "/api/v1/webhooks/incoming/{name}", tag = "webhooks", params(("name" = String, Path)),
    responses((status = 200, body = IncomingWebhookView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<IncomingWebhookView>, Fault> {
    Ok(Json(view(&caller.tenant, find(&app, &caller, &name).await?)?))
}

/// Makes an incoming webhook, or changes one for the deliveries that come. The same request again changes nothing. All faults are told at
/// once.
#[utoipa::path(put, operation_id = "put_incoming_webhook", path = "/api/v1/webhooks/incoming/{name}", tag = "webhooks", request_body = PutIncomingWebhookRequest, params(("name" = String, Path)),
    responses((status = 201, body = IncomingWebhookView, description = "There was none of this name"), (status = 200, body = IncomingWebhookView), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    Body(request): Body<PutIncomingWebhookRequest>,
) -> Result<Response, Fault> {
    if caller.reach.subjects.is_some() || caller.reach.workflows.is_some() && request.publish.is_some() {
        let detail = "this token reaches some workflows or subjects only; deliveries may be of any";
        return Err(Fault::out_of_reach(detail));
    }
    let store = &app.engine.store;
    let known = if is_workflow_name(&name) { store.find_incoming_webhook(&caller.tenant, &name).await? } else { None };
    if known.as_ref().is_some_and(|known| !is_within(&caller, known)) {
        let detail = "there is a webhook of this name that this token does not reach; choose another";
        return Err(Fault::conflict("name_taken", detail).at("name"));
    }
    let kept = match &known {
        Some(known) => Some(store.open_incoming_secrets(known).await?),
        None => None,
    };
    let Asked { target, workflow, mapping } =
        asked(&name, &request, kept.as_deref()).map_err(Fault::invalid_webhook)?;
    if let Some(workflow) = &workflow {
        let found = workflows::find(&app, &caller.tenant, &caller.reach, workflow).await;
        found.map_err(|fault| fault.at("/start/workflow"))?;
    }
    let PutIncomingWebhookRequest { proof, delivery_id, filter, paused, .. } = request;
    let secrets = proof.secrets.as_ref().filter(|secrets| kept.as_ref() != Some(secrets));
    let new = NewIncoming {
        tenant: &caller.tenant,
        name: &name,
        proof: &serde_json::to_value(IncomingProof { secrets: None, ..proof.clone() }).map_err(StoreError::Json)?,
        secrets: secrets.map(Vec::as_slice),
        delivery_id: delivery_id.as_deref(),
        filter: filter.as_deref(),
        workflow: workflow.as_deref().filter(|_| target == Target::Run),
        mapping: &mapping,
        paused,
    };
    let id = app.engine.entropy.uuid();
    let Some(created) = store.put_incoming_webhook(id, &new, &doing.on(target_name(&name))).await? else {
        let detail = format!("a tenant has at most {INCOMING_WEBHOOKS_MAX} incoming webhooks; remove one first");
        return Err(Fault::conflict("too_many_webhooks", detail).at("name"));
    };
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view(&caller.tenant, find(&app, &caller, &name).await?)?)).into_response())
}

/// Removes an incoming webhook with its failures: its path is there no more. What it started goes on.
#[utoipa::path(delete, operation_id = "remove_incoming_webhook", path = "/api/v1/webhooks/incoming/{name}", tag = "webhooks", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    let record = find(&app, &caller, &name).await?;
    app.engine.store.remove_incoming_webhook(record.id, &doing.on(target_name(&name))).await?;
    Ok(no_content())
}

/// Deliveries that were refused, latest first, and why.
#[utoipa::path(get, operation_id = "list_incoming_failures", path = "/api/v1/webhooks/incoming/{name}/failures", tag = "webhooks", params(("name" = String, Path)),
    responses((status = 200, body = IncomingFailureList), (status = 404, body = Problem)))]
pub(super) async fn failures(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<IncomingFailureList>, Fault> {
    let record = find(&app, &caller, &name).await?;
    let view = |FailureRecord { at, reason, address }| IncomingFailureView { at, reason, address };
    let failures = app.engine.store.list_incoming_failures(record.id).await?;
    Ok(Json(IncomingFailureList { failures: failures.into_iter().map(view).collect() }))
}

/// What was asked for, found in order.
struct Asked {
    target: Target,
    workflow: Option<String>,
    mapping: serde_json::Value,
}

fn asked(
    name: &str,
    request: &PutIncomingWebhookRequest,
    kept: Option<&[String]>,
) -> Result<Asked, Vec<valet_core::workflow::InputProblem>> {
    let mut faults = Faults::default();
    if !is_workflow_name(name) {
        faults.add("name", WORKFLOW_NAME_RULE);
    }
    match Proof::read(&request.proof) {
        Ok(proof) => match request.proof.secrets.as_deref().or(kept) {
            Some(secrets) => proof.check(secrets, &mut faults),
            None => faults.add("/proof/secrets", "a new webhook wants one to four secrets"),
        },
        Err(found) => faults.extend(found),
    }
    let (target, workflow, made) = match (&request.start, &request.publish) {
        (Some(IncomingStart { workflow, run }), None) => (Target::Run, Some(workflow.clone()), run.clone()),
        (None, Some(event)) => (Target::Event, None, Some(event.clone())),
        _ => {
            faults.add("/start", "say either `start` or `publish`");
            return Err(faults.into_problems());
        }
    };
    let mapping = target.with_defaults(made);
    let read = Mapping::read(target, &mapping, request.delivery_id.as_deref(), request.filter.as_deref());
    faults.extend(read.err().unwrap_or_default());
    if faults.is_empty() { Ok(Asked { target, workflow, mapping }) } else { Err(faults.into_problems()) }
}

/// As the audit names it.
fn target_name(name: &str) -> String {
    format!("incoming/{name}")
}

fn is_within(caller: &Caller, record: &IncomingRecord) -> bool {
    let reach = &caller.reach.workflows;
    reach.is_none() || record.workflow.as_ref().is_some_and(|workflow| caller.reach.has_workflow(workflow))
}

async fn find(app: &App, caller: &Caller, name: &str) -> Result<IncomingRecord, Fault> {
    // What cannot be a name is not looked for: it may not even be text that the database takes.
    let store = &app.engine.store;
    let found = if is_workflow_name(name) { store.find_incoming_webhook(&caller.tenant, name).await? } else { None };
    found.filter(|record| is_within(caller, record)).ok_or_else(|| {
        let detail = "there is no such incoming webhook; GET /api/v1/webhooks/incoming lists them";
        Fault::not_found("webhook", detail).at("name")
    })
}

fn view(tenant: &str, record: IncomingRecord) -> Result<IncomingWebhookView, StoreError> {
    let (start, publish) = match record.workflow {
        Some(workflow) => (Some(IncomingStart { workflow, run: Some(record.mapping) }), None),
        None => (None, Some(record.mapping)),
    };
    Ok(IncomingWebhookView {
        path: format!("/api/v1/hooks/{}/{}", utf8_percent_encode(tenant, NON_ALPHANUMERIC), record.name),
        name: record.name,
        proof: serde_json::from_value(record.proof)?,
        delivery_id: record.delivery_id,
        filter: record.filter,
        start,
        publish,
        paused: record.paused,
        created_at: record.created_at,
        created_by: record.created_by,
    })
}
