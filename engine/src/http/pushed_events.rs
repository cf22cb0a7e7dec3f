//! Events that somebody pushes, and the runs that they start through the door of `POST /workflows/{name}/runs`.
//!
//! What an event starts is decided when it comes, checked, and kept with it in one statement, with the ids of the runs. Only then are
//! they started. What an engine leaves when it dies is started by any, by the same ids (`scheduler.rs`). Runs that wait for the event are
//! told of it the same way: the statement that keeps it notes whom, and a run takes it once.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;
use uuid::Uuid;
use valet_core::command::{Command, Reply, StartRun};
use valet_core::declared::{EXPRESSION_FAILED, Faults};
use valet_core::id::{RunId, parse_prefixed};
use valet_core::{Payload, PublishedEvent, Timestamp};
use valet_crash_points::crash_point;
use valet_protocol::api::{EventList, EventRunView, EventView, PushEventRequest, StartRunRequest};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::{Body, read_part};
use super::doing::Doing;
use super::query::Parameters;
use super::{App, Fault, cursor, event_triggers, key, runs, subjects, workflows};
use crate::access::Reach;
use crate::audit::Deed;
use crate::bounds::{FIRE_LEFT_AFTER, FIRES_AT_ONCE};
use crate::store::postgres::events::{
    EventRecord, EventRunRecord, EventWake, LeftEvent, LeftEventRun, NewEvent, NewEventRun, SettledEventRun,
    SettledWake, TriggerRecord,
};
use crate::store::{RunStore as _, StoreError};
use crate::trigger::{Event, Trigger};

const DEFAULT_SUBJECT: &str = "default";

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only events of this key.
    key: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; default 50.
    limit: Option<u32>,
}

/// Takes an event, starts a run for each trigger that it fits, and wakes the runs that wait for it. The same `Idempotency-Key` and body answer the first one with 200.
#[utoipa::path(post, operation_id = "push_event", path = "/api/v1/events", tag = "events", request_body = PushEventRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Unique per tenant; up to 255 characters; kept for 30 days")),
    responses((status = 201, body = EventView), (status = 200, body = EventView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn push(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    headers: HeaderMap,
    Body(request): Body<PushEventRequest>,
) -> Result<Response, Fault> {
    check(&request)?;
    let occurred = Occurred { request, replay_of: None, key: key::read(&headers)? };
    take(&app, &caller, &doing, occurred).await
}

/// Every fault of what somebody says has happened.
pub(super) fn check(request: &PushEventRequest) -> Result<(), Fault> {
    let mut faults = Faults::default();
    event_triggers::check_key("/key", Some(&request.key), &mut faults);
    event_triggers::check_key("/scope", request.scope.as_deref(), &mut faults);
    if request.subject.as_ref().is_some_and(|subject| !workflows::is_name(subject)) {
        faults.add("/subject", "must be 1 to 128 bytes long");
    }
    if faults.is_empty() { Ok(()) } else { Err(Fault::invalid_event(faults.into_problems())) }
}

/// Pushes an event once more, as it was, to the triggers as they are now: it is another event.
#[utoipa::path(post, operation_id = "replay_event", path = "/api/v1/events/{id}/replay", tag = "events",
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Unique per tenant; up to 255 characters; kept for 30 days")),
    responses((status = 201, body = EventView), (status = 200, body = EventView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 410, body = Problem)))]
pub(super) async fn replay(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let event = find(&app, &caller, &id).await?;
    let payload = app.engine.store.open_event(&event).await?;
    let request = PushEventRequest { key: event.key, scope: event.scope, subject: Some(event.subject), payload };
    let occurred = Occurred { request, replay_of: Some(event.id), key: key::read(&headers)? };
    take(&app, &caller, &doing, occurred).await
}

/// Events, newest first, each with what it started; kept for 30 days.
#[utoipa::path(get, operation_id = "list_events", path = "/api/v1/events", tag = "events", params(ListQuery),
    responses((status = 200, body = EventList), (status = 400, body = Problem)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<EventList>, Fault> {
    let limit = runs::page_rows(query.limit)?;
    let place = |text: &str| {
        cursor::read(text, |micros, id| {
            Some((Timestamp::from_timestamp_micros(micros.parse().ok()?)?, id.parse::<Uuid>().ok()?))
        })
    };
    let after = query.cursor.as_deref().map(place).transpose()?;
    let (store, key) = (&app.engine.store, query.key.as_deref());
    let mut events = store.list_events(&caller.tenant, key, after, &caller.reach, limit + 1).await?;
    let more = events.len() > limit as usize;
    events.truncate(limit as usize);
    let next_cursor =
        events.last().filter(|_| more).map(|last| cursor::write(last.at.timestamp_micros(), last.id.simple()));
    Ok(Json(EventList { events: views(&app, &caller, events).await?, next_cursor }))
}

/// One event, with what it carries and what it started.
#[utoipa::path(get, operation_id = "show_event", path = "/api/v1/events/{id}", tag = "events", params(("id" = String, Path)),
    responses((status = 200, body = EventView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<EventView>, Fault> {
    let event = find(&app, &caller, &id).await?;
    shown(&app, &caller, event).await.map(Json)
}

async fn shown(app: &App, caller: &Caller, event: EventRecord) -> Result<EventView, Fault> {
    let payload = if caller.sees_contents() { Some(app.engine.store.open_event(&event).await?) } else { None };
    let mut views = views(app, caller, vec![event]).await?;
    let view = views.pop().ok_or_else(missing)?;
    Ok(EventView { payload, ..view })
}

/// What has happened.
pub(super) struct Occurred {
    pub request: PushEventRequest,
    pub replay_of: Option<Uuid>,
    pub key: Option<String>,
}

/// Who says so, and which workflows and subjects that may be about.
pub(super) struct Source<'a> {
    pub tenant: &'a str,
    pub reach: &'a Reach,
}

async fn take(app: &App, caller: &Caller, doing: &Doing, occurred: Occurred) -> Result<Response, Fault> {
    let mut hash = Sha256::new_with_prefix(serde_json::to_vec(&occurred.request).map_err(StoreError::Json)?);
    // A replay is another request than the event's own.
    hash.update(occurred.replay_of.unwrap_or_default());
    let hash = hash.finalize();
    let key = occurred.key.as_deref();
    if let Some(known) = known(app, caller, key, &hash).await? {
        return Ok(known);
    }
    let (id, source) = (app.engine.new_id(), Source { tenant: &caller.tenant, reach: &caller.reach });
    if !keep(app, &source, &occurred, id, &hash, &doing.on(event_id(id))).await? {
        // The same request came twice at once.
        let known = known(app, caller, key, &hash).await?;
        return known.ok_or_else(Fault::internal);
    }
    let record = app.engine.store.find_event(&caller.tenant, id).await?.ok_or_else(missing)?;
    Ok((StatusCode::CREATED, Json(shown(app, caller, record).await?)).into_response())
}

/// Keeps an event with what it starts, and starts that. False, and nothing is done: it, or its key, is known.
pub(super) async fn keep(
    app: &App,
    source: &Source<'_>,
    occurred: &Occurred,
    id: Uuid,
    hash: &[u8],
    deed: &Deed,
) -> Result<bool, Fault> {
    let Occurred { request, replay_of, key } = occurred;
    let store = &app.engine.store;
    let subject = request.subject.as_deref().unwrap_or(DEFAULT_SUBJECT);
    if !source.reach.has_subject(subject) {
        return Err(Fault::out_of_reach("this token does not reach this subject").at("/subject"));
    }
    subjects::refuse_erasing(app, source.tenant, subject, "/subject").await?;
    let scope = request.scope.as_deref();
    let triggers = store.matching_triggers(source.tenant, &request.key, scope, source.reach).await?;
    let event = Event { key: &request.key, scope, subject, payload: &request.payload };
    let variables = event.variables();
    let (mut runs, mut starts) = (Vec::new(), Vec::new());
    for record in triggers {
        let Ok(trigger) = Trigger::read(record.filter.as_deref(), &record.run) else {
            tracing::error!(trigger = record.name, "this build cannot read an event trigger");
            continue;
        };
        if !trigger.fits(&variables) {
            continue;
        }
        let mapped = trigger.run(&variables).map_err(|(place, _)| format!("{EXPRESSION_FAILED} at {place}"));
        let start = match mapped {
            Ok(mapped) => checked(app, source, &record, subject, mapped).await?,
            Err(reason) => Err(reason),
        };
        let run = RunId::root(app.engine.clock.now(), app.engine.entropy.bytes());
        let start = match start {
            Ok((start, request)) => {
                let subject = start.subject.clone();
                starts.push((record.id, record.name.clone(), run, start));
                Ok((run, subject, request))
            }
            Err(reason) => Err(reason),
        };
        runs.push(NewEventRun { trigger: record.id, name: record.name, workflow: record.workflow, start });
    }
    let new = NewEvent {
        id,
        tenant: source.tenant,
        key: &request.key,
        scope,
        subject,
        payload: &serde_json::to_vec(&request.payload).map_err(StoreError::Json)?,
        idempotency_key: key.as_deref(),
        request_hash: hash,
        replay_of: *replay_of,
        runs: &runs,
        reach: source.reach,
    };
    let Some(kept) = store.add_event(&new, deed).await? else { return Ok(false) };
    crash_point!(EngineEventKept);
    start_all(app, source.tenant, id, starts).await?;
    if kept.wakes > 0 {
        let event = PublishedEvent {
            id: event_id(id),
            key: request.key.clone(),
            scope: request.scope.clone(),
            subject: subject.to_owned(),
            payload: &request.payload,
            at: kept.at,
        };
        tell_all(app, source.tenant, id, &Payload::of(&event).map_err(StoreError::Json)?).await?;
    }
    Ok(true)
}

/// Tells those who are still to be told, page by page.
async fn tell_all(app: &App, tenant: &str, id: Uuid, message: &Payload) -> Result<(), StoreError> {
    let store = &app.engine.store;
    let mut after = None;
    loop {
        let page = store.event_wakes(id, after).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(*last);
        let told = page.into_iter().map(|wake| tell(app, Deed::woken(tenant, event_id(id)), id, wake, message));
        let told: Vec<_> = futures::stream::iter(told).buffer_unordered(FIRES_AT_ONCE).collect().await;
        let settled: Vec<SettledWake> = told.into_iter().flatten().collect();
        crash_point!(EngineEventTold);
        if !settled.is_empty() {
            store.settle_event_wakes(id, &settled).await?;
        }
    }
}

/// `None`: it stays to be told.
async fn tell(app: &App, deed: Deed, id: Uuid, wake: EventWake, message: &Payload) -> Option<SettledWake> {
    let command = Command::Event { seq: wake.seq, key: event_id(id), message: message.clone() };
    let deed = Deed { target: wake.run.to_string(), ..deed };
    let woken = match app.engine.command_by(deed, wake.run, command).await {
        Ok(reply) => matches!(reply, Reply::Done | Reply::Repeated),
        Err(error) if Fault::from(error.clone()).is_passing() => return None,
        // It has ended, or waits no more.
        Err(error) => {
            tracing::debug!(%error, run = %wake.run, "not told of an event");
            false
        }
    };
    let counted = if woken { "woken" } else { "passed" };
    metrics::counter!("valet_event_wakes_total", "result" => counted).increment(1);
    Some(SettledWake { wake, woken })
}

/// The event that this key names already.
async fn known(app: &App, caller: &Caller, key: Option<&str>, hash: &[u8]) -> Result<Option<Response>, Fault> {
    let Some(key) = key else { return Ok(None) };
    let Some((id, known)) = app.engine.store.find_event_by_key(&caller.tenant, key).await? else { return Ok(None) };
    if known != hash {
        let detail = format!("this Idempotency-Key was used for another event, {}; use a new key", event_id(id));
        return Err(Fault::conflict("idempotency_key_reused", detail).at("Idempotency-Key"));
    }
    let record = find(app, caller, &event_id(id)).await?;
    Ok(Some((StatusCode::OK, Json(shown(app, caller, record).await?)).into_response()))
}

/// The run that a trigger makes of an event, with its request; or why it is refused. An error is nobody's fault: come again.
async fn checked(
    app: &App,
    source: &Source<'_>,
    trigger: &TriggerRecord,
    subject: &str,
    mapped: Value,
) -> Result<Result<(StartRun, Vec<u8>), String>, Fault> {
    let request = read_part::<StartRunRequest>(mapped).map(|mut request| {
        request.subject.get_or_insert_with(|| subject.to_owned());
        request
    });
    let checked = match request {
        Ok(request) => {
            let plain = serde_json::to_vec(&request).map_err(StoreError::Json)?;
            let start = workflows::checked(app, source.tenant, source.reach, &trigger.workflow, None, request);
            start.await.map(|start| (start, plain))
        }
        Err(fault) => Err(fault),
    };
    match checked {
        Err(fault) if fault.is_passing() => Err(fault),
        Err(fault) => Ok(Err(reason(&fault.below("/run")))),
        Ok(start) => Ok(Ok(start)),
    }
}

/// Never what was in the event.
pub(super) fn reason(fault: &Fault) -> String {
    let problem = fault.problem();
    let place = problem.field.as_ref().map(|field| format!(" at {field}")).unwrap_or_default();
    format!("{}{place}", problem.code)
}

async fn start_all(
    app: &App,
    tenant: &str,
    event: Uuid,
    starts: Vec<(Uuid, String, RunId, StartRun)>,
) -> Result<(), StoreError> {
    let started = starts.into_iter().map(|(trigger, name, run, start)| async move {
        let result = app.engine.start_run_as(Deed::triggered(tenant, &name), run, start).await;
        settled(event, trigger, result.map(drop).map_err(Fault::from))
    });
    settle(app, started).await
}

/// What another engine, or this one before it died, was to start.
pub(super) async fn start_left(app: &App) -> Result<(), StoreError> {
    let left = app.engine.store.left_event_runs(FIRE_LEFT_AFTER).await?;
    let started = left.into_iter().map(|left| async move {
        let result = start_again(app, &left).await;
        settled(left.event_id, left.trigger_id, result)
    });
    settle(app, started).await
}

/// Tells the runs that another engine, or this one before it died, was to tell.
pub(super) async fn tell_left(app: &App) -> Result<(), StoreError> {
    for LeftEvent { event, tenant } in app.engine.store.left_events(FIRE_LEFT_AFTER).await? {
        let opened = app.engine.store.open_event(&event).await;
        let EventRecord { id, key, scope, subject, at, .. } = event;
        let message = match opened {
            Ok(payload) => Payload::of(&PublishedEvent { id: event_id(id), key, scope, subject, payload, at })?,
            Err(error) if error.is_of_one() => {
                tracing::warn!(%error, event = event_id(id), "nobody is told of an event: it cannot be opened");
                app.engine.store.drop_event_wakes(id).await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        tell_all(app, &tenant, id, &message).await?;
    }
    Ok(())
}

async fn start_again(app: &App, left: &LeftEventRun) -> Result<(), Fault> {
    let engine = &app.engine;
    if engine.store.identity(left.run()).await?.is_some() {
        return Ok(());
    }
    let request: StartRunRequest =
        serde_json::from_slice(&engine.store.open_event_run(left).await?).map_err(StoreError::Json)?;
    let start = workflows::checked(app, &left.tenant, &Reach::default(), &left.workflow, None, request).await?;
    engine.start_run_as(Deed::triggered(&left.tenant, &left.trigger_name), left.run(), start).await?;
    Ok(())
}

/// `None`: it stays to be started.
fn settled(event: Uuid, trigger: Uuid, result: Result<(), Fault>) -> Option<SettledEventRun> {
    let refused = match result {
        Ok(()) => None,
        Err(fault) if fault.is_passing() => return None,
        Err(fault) => Some(reason(&fault)),
    };
    let counted = if refused.is_some() { "refused" } else { "started" };
    metrics::counter!("valet_event_runs_total", "result" => counted).increment(1);
    Some(SettledEventRun { event, trigger, refused })
}

async fn settle(
    app: &App,
    started: impl Iterator<Item = impl Future<Output = Option<SettledEventRun>>>,
) -> Result<(), StoreError> {
    let settled: Vec<_> = futures::stream::iter(started).buffer_unordered(FIRES_AT_ONCE).collect().await;
    let settled: Vec<SettledEventRun> = settled.into_iter().flatten().collect();
    if settled.is_empty() {
        return Ok(());
    }
    app.engine.store.settle_event_runs(&settled).await
}

async fn find(app: &App, caller: &Caller, id: &str) -> Result<EventRecord, Fault> {
    let id = parse_prefixed("event", id).map_err(|_| missing())?;
    let found = app.engine.store.find_event(&caller.tenant, id).await?;
    found.filter(|event| caller.reach.has_subject(&event.subject)).ok_or_else(missing)
}

fn missing() -> Fault {
    Fault::not_found("event", "there is no such event; GET /api/v1/events lists them").at("id")
}

pub(super) fn event_id(id: Uuid) -> String {
    format!("event_{}", id.simple())
}

async fn views(app: &App, caller: &Caller, events: Vec<EventRecord>) -> Result<Vec<EventView>, Fault> {
    let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    let mut runs = app.engine.store.list_event_runs(&ids).await?;
    runs.retain(|run| caller.reach.has_workflow(&run.workflow));
    let of = |event: Uuid| runs.iter().filter(move |run| run.event_id == event).map(run_view).collect();
    let view = |event: EventRecord| EventView {
        woken: (caller.reach == Reach::default()).then_some(event.woken()),
        id: event_id(event.id),
        runs: of(event.id),
        key: event.key,
        scope: event.scope,
        subject: event.subject,
        at: event.at,
        created_by: event.created_by,
        replay_of: event.replay_of.map(event_id),
        payload: None,
    };
    Ok(events.into_iter().map(view).collect())
}

fn run_view(run: &EventRunRecord) -> EventRunView {
    EventRunView {
        trigger: run.trigger_name.clone(),
        workflow: run.workflow.clone(),
        state: run.state.clone(),
        reason: run.reason.clone(),
        run: run.run_id.map(|run| RunId(run).to_string()),
    }
}
