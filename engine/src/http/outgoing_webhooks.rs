//! Outgoing webhooks: put, shown, removed; what each was told, and told once more. [`crate::deliverer`] delivers.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use url::Url;
use utoipa::IntoParams;
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::declared::Faults;
use valet_core::declared::check::{WORKFLOW_NAME_RULE, is_workflow_name};
use valet_core::id::{RunId, TaskId, parse_prefixed};
use valet_protocol::api::{
    OutgoingDeliveryList, OutgoingDeliveryView, OutgoingWebhookList, OutgoingWebhookView, PutOutgoingWebhookRequest,
};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::Body;
use super::doing::Doing;
use super::query::Parameters;
use super::{App, Fault, cursor, no_content, runs, workflows};
use crate::bounds::{OUTGOING_KNOWN_MAX, OUTGOING_URL_BYTES_MAX, OUTGOING_WEBHOOKS_MAX};
use crate::store::postgres::outgoing::{DeliveryLog, NewOutgoing, OutgoingRecord};
use crate::webhook::{outgoing, proof};

/// What may have become of a delivery.
const STATES: [&str; 3] = ["waiting", "delivered", "failed"];

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveriesQuery {
    /// `waiting`, `delivered` or `failed`.
    state: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; default 50.
    limit: Option<u32>,
}

/// All outgoing webhooks by name.
#[utoipa::path(get, operation_id = "list_outgoing_webhooks", path = "/api/v1/webhooks/outgoing", tag = "webhooks", responses((status = 200, body = OutgoingWebhookList)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<OutgoingWebhookList>, Fault> {
    let records = app.engine.store.list_outgoing_webhooks(&caller.tenant, &caller.reach).await?;
    Ok(Json(OutgoingWebhookList { webhooks: records.into_iter().map(view).collect() }))
}

/// One outgoing webhook, without its secrets.
#[utoipa::path(get, operation_id = "show_outgoing_webhook", path = "/api/v1/webhooks/outgoing/{name}", tag = "webhooks", params(("name" = String, Path)),
    responses((status = 200, body = OutgoingWebhookView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<OutgoingWebhookView>, Fault> {
    Ok(Json(view(find(&app, &caller, &name).await?)))
}

/// Makes an outgoing webhook, or changes one, for what happens from now on: another engine knows of it within ten seconds. The same request
/// again changes nothing. A secret that is made for it is shown once.
#[utoipa::path(put, operation_id = "put_outgoing_webhook", path = "/api/v1/webhooks/outgoing/{name}", tag = "webhooks", request_body = PutOutgoingWebhookRequest, params(("name" = String, Path)),
    responses((status = 201, body = OutgoingWebhookView, description = "There was none of this name"), (status = 200, body = OutgoingWebhookView), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    Body(request): Body<PutOutgoingWebhookRequest>,
) -> Result<Response, Fault> {
    if caller.reach.subjects.is_some() || caller.reach.workflows.is_some() && request.workflow.is_none() {
        let detail =
            "this token reaches some workflows or subjects only; a webhook is told of all that it does not leave out";
        return Err(Fault::out_of_reach(detail));
    }
    let store = &app.engine.store;
    let known = if is_workflow_name(&name) { store.find_outgoing_webhook(&caller.tenant, &name).await? } else { None };
    if known.as_ref().is_some_and(|known| !is_within(&caller, known)) {
        let detail = "there is a webhook of this name that this token does not reach; choose another";
        return Err(Fault::conflict("name_taken", detail).at("name"));
    }
    let kept = match &known {
        Some(known) => Some(store.open_outgoing(known).await?),
        None => None,
    };
    let (kept_url, kept_secrets) = kept.unzip();
    let url_text = request.url.as_deref().or(kept_url.as_deref());
    let url = checked(&app, &name, url_text, &request).map_err(Fault::invalid_webhook)?;
    if let Some(workflow) = &request.workflow {
        let found = workflows::find(&app, &caller.tenant, &caller.reach, workflow).await;
        found.map_err(|fault| fault.at("/workflow"))?;
    }
    let made = (request.secrets.is_none() && kept_secrets.is_none()).then(|| {
        let mut random = [0; 32];
        random.chunks_mut(16).for_each(|half| half.copy_from_slice(&app.engine.entropy.bytes()));
        vec![outgoing::new_secret(&random)]
    });
    let secrets = request.secrets.as_ref().filter(|secrets| kept_secrets.as_ref() != Some(secrets)).or(made.as_ref());
    let new = NewOutgoing {
        tenant: &caller.tenant,
        name: &name,
        url: request.url.as_deref().filter(|url| kept_url.as_deref() != Some(url)),
        origin: &url.origin().ascii_serialization(),
        secrets: secrets.map(Vec::as_slice),
        kinds: &request.kinds,
        workflow: request.workflow.as_deref(),
        filter: request.filter.as_deref(),
        paused: request.paused,
    };
    let id = app.engine.entropy.uuid();
    let Some(created) = store.put_outgoing_webhook(id, &new, &doing.on(target_name(&name))).await? else {
        let detail = format!(
            "a tenant has at most {OUTGOING_WEBHOOKS_MAX} outgoing webhooks, all have {OUTGOING_KNOWN_MAX}; remove one first"
        );
        return Err(Fault::conflict("too_many_webhooks", detail).at("name"));
    };
    app.deliveries.notify_one();
    let secret = made.filter(|_| created).and_then(|mut made| made.pop());
    let view = OutgoingWebhookView { secret, ..view(find(&app, &caller, &name).await?) };
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view)).into_response())
}

/// Removes an outgoing webhook with what it was still to be told.
#[utoipa::path(delete, operation_id = "remove_outgoing_webhook", path = "/api/v1/webhooks/outgoing/{name}", tag = "webhooks", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    let record = find(&app, &caller, &name).await?;
    app.engine.store.remove_outgoing_webhook(record.id, &doing.on(target_name(&name))).await?;
    Ok(no_content())
}

/// What an outgoing webhook was told and is to be told, latest first; kept for 30 days.
#[utoipa::path(get, operation_id = "list_outgoing_deliveries", path = "/api/v1/webhooks/outgoing/{name}/deliveries", tag = "webhooks", params(("name" = String, Path), DeliveriesQuery),
    responses((status = 200, body = OutgoingDeliveryList), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn deliveries(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Parameters(query): Parameters<DeliveriesQuery>,
) -> Result<Json<OutgoingDeliveryList>, Fault> {
    let limit = runs::page_rows(query.limit)?;
    let state = query.state.as_deref();
    if state.is_some_and(|state| !STATES.contains(&state)) {
        let detail = format!("a state is one of: {}", STATES.join(", "));
        return Err(Fault::bad_request("invalid_filter", detail).at("state"));
    }
    let place = |text: &str| {
        cursor::read(text, |micros, id| {
            Some((Timestamp::from_timestamp_micros(micros.parse().ok()?)?, id.parse::<Uuid>().ok()?))
        })
    };
    let after = query.cursor.as_deref().map(place).transpose()?;
    let record = find(&app, &caller, &name).await?;
    let mut rows = app.engine.store.list_outgoing_deliveries(record.id, after, state, limit + 1).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor =
        rows.last().filter(|_| more).map(|last| cursor::write(last.at.timestamp_micros(), last.id.simple()));
    Ok(Json(OutgoingDeliveryList { deliveries: rows.into_iter().map(delivery_view).collect(), next_cursor }))
}

/// Delivers a message once more from its first attempt, under the same id, whether it was delivered or given up.
#[utoipa::path(post, operation_id = "redeliver", path = "/api/v1/webhooks/outgoing/{name}/deliveries/{id}/redeliver", tag = "webhooks", params(("name" = String, Path), ("id" = String, Path)),
    responses((status = 202), (status = 404, body = Problem)))]
pub(super) async fn redeliver(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    let record = find(&app, &caller, &name).await?;
    let missing = || {
        let detail = "this webhook has no such delivery; GET …/deliveries lists those of 30 days";
        Fault::not_found("delivery", detail).at("id")
    };
    let id = parse_prefixed("msg", &id).map_err(|_| missing())?;
    if !app.engine.store.redeliver(record.id, id, &doing.on(target_name(&name))).await? {
        return Err(missing());
    }
    app.deliveries.notify_one();
    Ok(StatusCode::ACCEPTED)
}

fn checked(
    app: &App,
    name: &str,
    url: Option<&str>,
    request: &PutOutgoingWebhookRequest,
) -> Result<Url, Vec<valet_core::workflow::InputProblem>> {
    let mut faults = Faults::default();
    if !is_workflow_name(name) {
        faults.add("name", WORKFLOW_NAME_RULE);
    }
    let is_missing = url.is_none();
    let url = url.filter(|url| url.len() <= OUTGOING_URL_BYTES_MAX).and_then(|url| url.parse::<Url>().ok());
    match &url {
        None if is_missing => faults.add("/url", "is missing: a new webhook says where its messages are sent"),
        None => faults.add("/url", "not the URL of a server, such as https://example.com/hooks"),
        // What its name leads to is seen when it is called.
        Some(url) => {
            if let Some(problem) = app.outward.problem(url) {
                faults.add("/url", problem.to_string());
            }
        }
    }
    outgoing::check(&request.kinds, request.filter.as_deref(), &mut faults);
    if let Some(secrets) = &request.secrets {
        proof::check_secrets("/secrets", proof::Kind::Standard, secrets, &mut faults);
    }
    match url {
        Some(url) if faults.is_empty() => Ok(url),
        _ => Err(faults.into_problems()),
    }
}

/// As the audit names it.
fn target_name(name: &str) -> String {
    format!("outgoing/{name}")
}

fn is_within(caller: &Caller, record: &OutgoingRecord) -> bool {
    let reach = &caller.reach.workflows;
    reach.is_none() || record.workflow.as_ref().is_some_and(|workflow| caller.reach.has_workflow(workflow))
}

async fn find(app: &App, caller: &Caller, name: &str) -> Result<OutgoingRecord, Fault> {
    // What cannot be a name is not looked for: it may not even be text that the database takes.
    let store = &app.engine.store;
    let found = if is_workflow_name(name) { store.find_outgoing_webhook(&caller.tenant, name).await? } else { None };
    found.filter(|record| is_within(caller, record)).ok_or_else(|| {
        let detail = "there is no such outgoing webhook; GET /api/v1/webhooks/outgoing lists them";
        Fault::not_found("webhook", detail).at("name")
    })
}

fn view(record: OutgoingRecord) -> OutgoingWebhookView {
    OutgoingWebhookView {
        name: record.name,
        origin: record.origin,
        kinds: record.kinds,
        workflow: record.workflow,
        filter: record.filter,
        paused: record.paused,
        secret: None,
        created_at: record.created_at,
        created_by: record.created_by,
    }
}

fn delivery_view(log: DeliveryLog) -> OutgoingDeliveryView {
    let state = match (log.delivered_at, log.next_at) {
        (Some(_), _) => "delivered",
        (None, Some(_)) => "waiting",
        (None, None) => "failed",
    };
    OutgoingDeliveryView {
        id: outgoing::message_id(log.id),
        kind: log.kind,
        run: RunId(log.run_id).to_string(),
        task: log.task_id.map(|task| TaskId(task).to_string()),
        at: log.at,
        state: state.to_owned(),
        attempts: log.attempts as u32,
        status: log.status.map(|status| status as u16),
        error: log.last_error,
        delivered_at: log.delivered_at,
        next_at: log.next_at,
    }
}
