//! Triggers of events: put, shown, removed.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use valet_core::declared::Faults;
use valet_core::declared::check::{WORKFLOW_NAME_RULE, is_workflow_name};
use valet_core::event::{EVENT_KEY_RULE, is_event_key};
use valet_protocol::api::{EventTriggerList, EventTriggerView, PutEventTriggerRequest};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::Body;
use super::doing::Doing;
use super::{App, Fault, no_content, workflows};
use crate::bounds::EVENT_TRIGGERS_MAX;
use crate::store::postgres::events::{NewTrigger, TriggerRecord};
use crate::trigger::{Trigger, default_run};

/// All triggers by name.
#[utoipa::path(get, operation_id = "list_event_triggers", path = "/api/v1/event-triggers", tag = "events", responses((status = 200, body = EventTriggerList)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<EventTriggerList>, Fault> {
    let records = app.engine.store.list_event_triggers(&caller.tenant, &caller.reach).await?;
    Ok(Json(EventTriggerList { triggers: records.into_iter().map(view).collect() }))
}

/// One trigger.
#[utoipa::path(get, operation_id = "show_event_trigger", path = "/api/v1/event-triggers/{name}", tag = "events", params(("name" = String, Path)),
    responses((status = 200, body = EventTriggerView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<EventTriggerView>, Fault> {
    find(&app, &caller, &name).await.map(|record| Json(view(record)))
}

/// Makes a trigger, or changes one for the events that come. The same request again changes nothing. All faults are told at once.
#[utoipa::path(put, operation_id = "put_event_trigger", path = "/api/v1/event-triggers/{name}", tag = "events", request_body = PutEventTriggerRequest, params(("name" = String, Path)),
    responses((status = 201, body = EventTriggerView, description = "There was none of this name"), (status = 200, body = EventTriggerView), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    Body(request): Body<PutEventTriggerRequest>,
) -> Result<Response, Fault> {
    if caller.reach.subjects.is_some() {
        let detail = "this token reaches some subjects only; a trigger starts runs for those of any event";
        return Err(Fault::out_of_reach(detail));
    }
    let run = request.run.clone().unwrap_or_else(default_run);
    let mut faults = Trigger::read(request.filter.as_deref(), &run).err().unwrap_or_default();
    if !is_workflow_name(&name) {
        faults.add("name", WORKFLOW_NAME_RULE);
    }
    check_key("/key", Some(&request.key), &mut faults);
    check_key("/scope", request.scope.as_deref(), &mut faults);
    if !faults.is_empty() {
        return Err(Fault::invalid_trigger(faults.into_problems()));
    }
    let known = app.engine.store.find_event_trigger(&caller.tenant, &name).await?;
    if known.is_some_and(|known| !caller.reach.has_workflow(&known.workflow)) {
        let detail = "there is a trigger of this name that this token does not reach; choose another";
        return Err(Fault::conflict("name_taken", detail).at("name"));
    }
    let found = workflows::find(&app, &caller.tenant, &caller.reach, &request.workflow).await;
    found.map_err(|fault| fault.at("/workflow"))?;
    let new = NewTrigger {
        tenant: &caller.tenant,
        name: &name,
        key: &request.key,
        scope: request.scope.as_deref(),
        filter: request.filter.as_deref(),
        workflow: &request.workflow,
        run: &run,
        paused: request.paused,
    };
    let store = &app.engine.store;
    let Some(created) = store.put_event_trigger(app.engine.entropy.uuid(), &new, &doing.on(target(&name))).await?
    else {
        let detail = format!("a tenant has at most {EVENT_TRIGGERS_MAX} event triggers; remove one first");
        return Err(Fault::conflict("too_many_triggers", detail).at("name"));
    };
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view(find(&app, &caller, &name).await?))).into_response())
}

/// Removes a trigger. What events started by it goes on.
#[utoipa::path(delete, operation_id = "remove_event_trigger", path = "/api/v1/event-triggers/{name}", tag = "events", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    find(&app, &caller, &name).await?;
    app.engine.store.remove_event_trigger(&caller.tenant, &name, &doing.on(target(&name))).await?;
    Ok(no_content())
}

/// As the audit names it.
fn target(name: &str) -> String {
    format!("trigger/{name}")
}

async fn find(app: &App, caller: &Caller, name: &str) -> Result<TriggerRecord, Fault> {
    // What cannot be a name is not looked for: it may not even be text that the database takes.
    let store = &app.engine.store;
    let found = if is_workflow_name(name) { store.find_event_trigger(&caller.tenant, name).await? } else { None };
    let missing = || {
        let detail = "there is no such event trigger; GET /api/v1/event-triggers lists them";
        Fault::not_found("trigger", detail).at("name")
    };
    found.filter(|record| caller.reach.has_workflow(&record.workflow)).ok_or_else(missing)
}

/// Of events' keys and scopes, and of patterns of them.
pub(super) fn check_key(field: &str, text: Option<&str>, faults: &mut Faults) {
    if text.is_some_and(|text| !is_event_key(text)) {
        faults.add(field, EVENT_KEY_RULE);
    }
}

fn view(record: TriggerRecord) -> EventTriggerView {
    EventTriggerView {
        name: record.name,
        key: record.key,
        scope: record.scope,
        filter: record.filter,
        workflow: record.workflow,
        run: record.run,
        paused: record.paused,
        created_at: record.created_at,
        created_by: record.created_by,
    }
}
