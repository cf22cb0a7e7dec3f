//! Schedules: put, shown, paused, triggered, filled in, removed. What they start is started by [`super::scheduler`].

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;
use valet_core::Timestamp;
use valet_core::declared::check::{WORKFLOW_NAME_RULE, is_workflow_name};
use valet_core::id::RunId;
use valet_core::workflow::InputProblem;
use valet_protocol::api::{
    BackfillRequest, Backfilled, FireList, FireView, LastFire, MissedFires, PutScheduleRequest, ScheduleList,
    ScheduleView, TriggerScheduleRequest,
};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::{Body, OptionalBody};
use super::doing::Doing;
use super::query::Parameters;
use super::{App, Fault, cursor, key, no_content, runs, scheduler, workflows};
use crate::access::Reach;
use crate::bounds::{BACKFILL_MAX, CATCH_UP_S, CATCH_UP_S_DEFAULT, SCHEDULES_MAX};
use crate::schedule::cron::{self, CronFault};
use crate::schedule::{Cron, Overlap, When};
use crate::store::StoreError;
use crate::store::postgres::schedules::{AskedFires, FireRecord, NewSchedule, ScheduleRecord};

/// Instants that one schedule shows ahead, and one of a list.
const NEXT_SHOWN: usize = 10;
const NEXT_LISTED: usize = 1;
const ZONE: &str = "UTC";
/// What may become of an instant.
const STATES: [&str; 5] = ["waiting", "starting", "started", "skipped", "refused"];

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; default 50.
    limit: Option<u32>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FiresQuery {
    /// `waiting`, `starting`, `started`, `skipped` or `refused`.
    state: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; default 50.
    limit: Option<u32>,
}

/// How a schedule is put.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PutQuery {
    /// Only check it, and show its next instants: nothing is stored.
    #[serde(default)]
    dry_run: bool,
}

/// Schedules by name.
#[utoipa::path(get, operation_id = "list_schedules", path = "/api/v1/schedules", tag = "schedules", params(ListQuery),
    responses((status = 200, body = ScheduleList), (status = 400, body = Problem)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<ScheduleList>, Fault> {
    let limit = runs::page_rows(query.limit)?;
    let place = |text: &str| cursor::read(text, |_, name| Some(name.to_owned()));
    let after = query.cursor.as_deref().map(place).transpose()?;
    let store = &app.engine.store;
    let mut records = store.list_schedules(&caller.tenant, after.as_deref(), &caller.reach, limit + 1).await?;
    let more = records.len() > limit as usize;
    records.truncate(limit as usize);
    let next_cursor = records.last().filter(|_| more).map(|last| cursor::write("", &last.name));
    Ok(Json(ScheduleList { schedules: records.iter().map(|record| view(record, NEXT_LISTED)).collect(), next_cursor }))
}

/// One schedule with its next ten instants.
#[utoipa::path(get, operation_id = "show_schedule", path = "/api/v1/schedules/{name}", tag = "schedules", params(("name" = String, Path)),
    responses((status = 200, body = ScheduleView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<ScheduleView>, Fault> {
    shown(&app, &caller, &name).await.map(Json)
}

async fn shown(app: &App, caller: &Caller, name: &str) -> Result<ScheduleView, Fault> {
    let record = find(app, caller, name).await?;
    let run = if caller.sees_contents() {
        let run = app.engine.store.open_schedule(&record).await?;
        Some(serde_json::from_slice(&run).map_err(StoreError::Json)?)
    } else {
        None
    };
    Ok(ScheduleView { run, ..view(&record, NEXT_SHOWN) })
}

/// Makes a schedule, or changes one: what it starts from now on. The same request again changes nothing. Instants go on from now: those
/// before are neither started nor forgotten. Whether it is paused stays as it is.
#[utoipa::path(put, operation_id = "put_schedule", path = "/api/v1/schedules/{name}", tag = "schedules", request_body = PutScheduleRequest,
    params(("name" = String, Path, description = "a-z, A-Z, 0-9, `.`, `_` and `-`; never personal"), PutQuery),
    responses((status = 201, body = ScheduleView, description = "There was none of this name"), (status = 200, body = ScheduleView, description = "Changed, as it was already, or only checked"),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    Parameters(query): Parameters<PutQuery>,
    Body(request): Body<PutScheduleRequest>,
) -> Result<Response, Fault> {
    let store = &app.engine.store;
    let now = store.now().await?;
    let plain = serde_json::to_vec(&request).map_err(StoreError::Json)?;
    let request_hash: [u8; 32] = Sha256::digest(plain).into();
    let known = if is_workflow_name(&name) { store.find_schedule(&caller.tenant, &name).await? } else { None };
    if let Some(known) = known.as_ref().filter(|known| !is_within(&caller.reach, known)) {
        let detail =
            format!("there is a schedule `{}` that this token does not reach; choose another name", known.name);
        return Err(Fault::conflict("name_taken", detail).at("name"));
    }
    let is_repeat = known.as_ref().is_some_and(|known| known.request_hash == request_hash);
    let timing = Timing::read(&name, &request, now, is_repeat).map_err(Fault::invalid_schedule)?;
    let run = request.run.clone();
    let start = workflows::checked(&app, &caller.tenant, &caller.reach, &request.workflow, None, run);
    let start = start.await.map_err(of_run)?;
    let Timing { when, zone, overlap, catch_up_s } = timing;
    let next_at = when.after(now);
    if query.dry_run {
        let view = ScheduleView {
            name,
            workflow: request.workflow,
            subject: start.subject,
            cron: request.cron,
            at: request.at,
            zone: zone.name().to_owned(),
            overlap: overlap.as_str().to_owned(),
            catch_up_seconds: catch_up_s,
            next: ahead(&when, next_at, zone, NEXT_SHOWN),
            run: Some(request.run),
            ..ScheduleView::default()
        };
        return Ok(Json(view).into_response());
    }
    let new = NewSchedule {
        tenant: &caller.tenant,
        name: &name,
        workflow: &request.workflow,
        subject: &start.subject,
        cron: request.cron.as_deref(),
        at: request.at,
        zone: zone.name(),
        overlap,
        catch_up_s,
        run: &serde_json::to_vec(&request.run).map_err(StoreError::Json)?,
        request_hash: &request_hash,
        next_at,
    };
    let Some(created) = store.put_schedule(app.engine.entropy.uuid(), &new, &doing.on(target(&name))).await? else {
        let detail = format!("a tenant has at most {SCHEDULES_MAX} schedules; remove one first");
        return Err(Fault::conflict("too_many_schedules", detail).at("name"));
    };
    app.schedules.notify_one();
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(shown(&app, &caller, &name).await?)).into_response())
}

/// Removes a schedule with what became of its instants. Runs that it started go on.
#[utoipa::path(delete, operation_id = "remove_schedule", path = "/api/v1/schedules/{name}", tag = "schedules", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    let record = find(&app, &caller, &name).await?;
    app.engine.store.remove_schedule(record.id, &doing.on(target(&name))).await?;
    Ok(no_content())
}

/// Pauses a schedule: its instants pass without a run, and those that wait go on waiting. Runs that it started go on.
#[utoipa::path(post, operation_id = "pause_schedule", path = "/api/v1/schedules/{name}/pause", tag = "schedules", params(("name" = String, Path)),
    responses((status = 200, body = ScheduleView), (status = 404, body = Problem)))]
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
) -> Result<Json<ScheduleView>, Fault> {
    let record = find(&app, &caller, &name).await?;
    app.engine.store.pause_schedule(record.id, true, None, &doing.on(target(&name))).await?;
    shown(&app, &caller, &name).await.map(Json)
}

/// Lets a schedule go on with its next instant; a backfill starts what passed meanwhile. That of a single instant which passed within
/// its catch-up time starts now.
#[utoipa::path(post, operation_id = "resume_schedule", path = "/api/v1/schedules/{name}/resume", tag = "schedules", params(("name" = String, Path)),
    responses((status = 200, body = ScheduleView), (status = 404, body = Problem)))]
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
) -> Result<Json<ScheduleView>, Fault> {
    let record = find(&app, &caller, &name).await?;
    let now = app.engine.store.now().await?;
    let next_at = match record.when() {
        Some(When::Cron(cron)) => cron.after(now),
        _ => None,
    };
    app.engine.store.pause_schedule(record.id, false, next_at, &doing.on(target(&name))).await?;
    app.schedules.notify_one();
    shown(&app, &caller, &name).await.map(Json)
}

/// Starts a run of a schedule now, under its overlap policy or another. The same `Idempotency-Key` answers the first one with 200.
#[utoipa::path(post, operation_id = "trigger_schedule", path = "/api/v1/schedules/{name}/trigger", tag = "schedules", request_body = TriggerScheduleRequest,
    params(("name" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Unique per schedule; up to 255 characters")),
    responses((status = 201, body = FireView), (status = 200, body = FireView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn trigger(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    headers: HeaderMap,
    OptionalBody(request): OptionalBody<TriggerScheduleRequest>,
) -> Result<Response, Fault> {
    let record = not_paused(find(&app, &caller, &name).await?)?;
    let key = key::read(&headers)?;
    let given = request.overlap.or_else(|| Some(record.overlap.clone()));
    let overlap = overlap(given.as_deref(), Overlap::Skip).map_err(|problem| Fault::invalid_schedule(vec![problem]))?;
    let store = &app.engine.store;
    let at = store.now().await?;
    let asked = AskedFires { origin: "manual", overlap, key: key.as_deref() };
    let added = store.add_fires(record.id, &[at], &asked, &doing.on(target(&name))).await?;
    if added > 0 {
        // Now, and not when the loop comes to it: the answer names the run.
        scheduler::look(&app).await?;
    }
    let fire = store.find_fire(record.id, at, key.as_deref()).await?;
    let fire = fire.ok_or_else(|| missing().at("name"))?;
    let status = if added > 0 { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(fire_view(fire))).into_response())
}

/// Starts runs for instants that passed, up to 1,000 at once: those of which nothing became yet. Asked again, it finds them known.
#[utoipa::path(post, operation_id = "backfill_schedule", path = "/api/v1/schedules/{name}/backfill", tag = "schedules", request_body = BackfillRequest, params(("name" = String, Path)),
    responses((status = 202, body = Backfilled), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn backfill(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    Body(request): Body<BackfillRequest>,
) -> Result<Response, Fault> {
    let record = not_paused(find(&app, &caller, &name).await?)?;
    let BackfillRequest { from, until, overlap: given } = request;
    let store = &app.engine.store;
    let problem = |field: &str, message: String| InputProblem { field: field.to_owned(), message };
    let mut problems = Vec::new();
    let overlap = overlap(given.as_deref(), Overlap::Queue).map_err(|problem| problems.push(problem));
    if from >= until {
        problems.push(problem("/from", "it is not before `until`".to_owned()));
    }
    if until > store.now().await? {
        problems.push(problem("/until", "it lies in the future: what comes is started when it comes".to_owned()));
    }
    let when = record.when().ok_or_else(|| unreadable(&record))?;
    let instants = || {
        let first = when.after(from - chrono::TimeDelta::microseconds(1));
        std::iter::successors(first, |at| when.after(*at)).take_while(|at| *at < until)
    };
    let ats: Vec<Timestamp> =
        if problems.is_empty() { instants().take(BACKFILL_MAX + 1).collect() } else { Vec::new() };
    if ats.len() > BACKFILL_MAX {
        let last = ats.last().map(ToString::to_string).unwrap_or_default();
        problems
            .push(problem("/until", format!("at most {BACKFILL_MAX} instants at once: ask for those before {last}")));
    }
    let (Ok(overlap), true) = (overlap, problems.is_empty()) else { return Err(Fault::invalid_schedule(problems)) };
    let asked = AskedFires { origin: "backfill", overlap, key: None };
    let added = store.add_fires(record.id, &ats, &asked, &doing.on(target(&name))).await?;
    app.schedules.notify_one();
    let told = Backfilled { added: added as u32, known: ats.len() as u32 - added as u32 };
    Ok((StatusCode::ACCEPTED, Json(told)).into_response())
}

/// What became of a schedule's instants, latest first; kept for 30 days.
#[utoipa::path(get, operation_id = "list_fires", path = "/api/v1/schedules/{name}/fires", tag = "schedules", params(("name" = String, Path), FiresQuery),
    responses((status = 200, body = FireList), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn fires(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Parameters(query): Parameters<FiresQuery>,
) -> Result<Json<FireList>, Fault> {
    let limit = runs::page_rows(query.limit)?;
    if query.state.as_deref().is_some_and(|state| !STATES.contains(&state)) {
        let detail = format!("a state is one of: {}", STATES.join(", "));
        return Err(Fault::bad_request("invalid_filter", detail).at("state"));
    }
    let place = |text: &str| cursor::read(text, |_, micros| Timestamp::from_timestamp_micros(micros.parse().ok()?));
    let before = query.cursor.as_deref().map(place).transpose()?;
    let record = find(&app, &caller, &name).await?;
    let mut fires = app.engine.store.list_fires(record.id, before, query.state.as_deref(), limit + 1).await?;
    let more = fires.len() > limit as usize;
    fires.truncate(limit as usize);
    let next_cursor = fires.last().filter(|_| more).map(|last| cursor::write("", last.at.timestamp_micros()));
    Ok(Json(FireList { fires: fires.into_iter().map(fire_view).collect(), next_cursor }))
}

/// As the audit names it.
fn target(name: &str) -> String {
    format!("schedule/{name}")
}

async fn find(app: &App, caller: &Caller, name: &str) -> Result<ScheduleRecord, Fault> {
    // What cannot be a name is not looked for: it may not even be text that the database takes.
    let found = if is_workflow_name(name) { app.engine.store.find_schedule(&caller.tenant, name).await? } else { None };
    found.filter(|record| is_within(&caller.reach, record)).ok_or_else(|| missing().at("name"))
}

fn missing() -> Fault {
    Fault::not_found("schedule", "there is no such schedule; GET /api/v1/schedules lists them")
}

fn is_within(reach: &Reach, record: &ScheduleRecord) -> bool {
    reach.has(&record.workflow, &record.subject)
}

fn not_paused(record: ScheduleRecord) -> Result<ScheduleRecord, Fault> {
    if record.paused {
        return Err(Fault::conflict("schedule_paused", "this schedule is paused; resume it first").at("name"));
    }
    Ok(record)
}

fn unreadable(record: &ScheduleRecord) -> Fault {
    tracing::error!(schedule = %record.id, "this build cannot read a schedule");
    Fault::internal()
}

/// The workflow is named beside the run, whose places are below `/run`.
fn of_run(fault: Fault) -> Fault {
    if fault.problem().code == "workflow_not_found" { fault.at("/workflow") } else { fault.below("/run") }
}

/// When it starts runs.
struct Timing {
    when: When,
    zone: chrono_tz::Tz,
    overlap: Overlap,
    catch_up_s: u32,
}

impl Timing {
    /// All that is wrong at once. `is_repeat`: it was put before, when its instant lay in the future.
    fn read(
        name: &str,
        request: &PutScheduleRequest,
        now: Timestamp,
        is_repeat: bool,
    ) -> Result<Self, Vec<InputProblem>> {
        let mut problems = Vec::new();
        let mut wrong = |field: &str, message: String| problems.push(InputProblem { field: field.to_owned(), message });
        if !is_workflow_name(name) {
            wrong("name", WORKFLOW_NAME_RULE.to_owned());
        }
        let zone_name = request.zone.as_deref().unwrap_or(ZONE);
        let zone = cron::zone(zone_name).map_err(|fault| wrong("/zone", fault.to_string())).ok();
        let when = match (&request.cron, request.at) {
            (Some(cron), None) => match Cron::parse(cron, zone.map_or(ZONE, |zone| zone.name()), now) {
                Ok(cron) => Some(When::Cron(Box::new(cron))),
                Err(fault @ (CronFault::Expression(_) | CronFault::Never | CronFault::Zone(_))) => {
                    wrong("/cron", fault.to_string());
                    None
                }
            },
            (None, Some(at)) if at <= now && !is_repeat => {
                wrong("/at", "this instant has passed; name a later one, or start the run now".to_owned());
                None
            }
            (None, Some(at)) => Some(When::Once(at)),
            _ => {
                wrong("/cron", "give `cron`, or `at` for one instant, and not both".to_owned());
                None
            }
        };
        let overlap = overlap(request.overlap.as_deref(), Overlap::Skip);
        let overlap = overlap.map_err(|problem| wrong(&problem.field, problem.message)).ok();
        let catch_up_s = request.catch_up_seconds.unwrap_or(CATCH_UP_S_DEFAULT);
        if !CATCH_UP_S.contains(&catch_up_s) {
            let (least, most) = (CATCH_UP_S.start(), CATCH_UP_S.end());
            wrong("/catch_up_seconds", format!("{least} to {most} seconds (366 days); leave it out for an hour"));
        }
        match (when, zone, overlap) {
            (Some(when), Some(zone), Some(overlap)) if problems.is_empty() => {
                Ok(Self { when, zone, overlap, catch_up_s })
            }
            _ => Err(problems),
        }
    }
}

fn overlap(given: Option<&str>, default: Overlap) -> Result<Overlap, InputProblem> {
    let Some(word) = given else { return Ok(default) };
    Overlap::parse(word).ok_or_else(|| {
        let words = Overlap::ALL.map(Overlap::as_str).join(", ");
        InputProblem { field: "/overlap".to_owned(), message: format!("one of: {words}") }
    })
}

fn ahead(when: &When, next_at: Option<Timestamp>, zone: chrono_tz::Tz, most: usize) -> Vec<String> {
    std::iter::successors(next_at, |at| when.after(*at)).take(most).map(|at| cron::local(at, zone)).collect()
}

fn view(record: &ScheduleRecord, most: usize) -> ScheduleView {
    let zone = cron::zone(&record.zone).unwrap_or(chrono_tz::UTC);
    let next_at = record.next_at.filter(|_| !record.paused);
    ScheduleView {
        name: record.name.clone(),
        workflow: record.workflow.clone(),
        subject: record.subject.clone(),
        cron: record.cron.clone(),
        at: record.at,
        zone: record.zone.clone(),
        overlap: record.overlap.clone(),
        catch_up_seconds: record.catch_up_s as u32,
        paused: record.paused,
        next: record.when().map(|when| ahead(&when, next_at, zone, most)).unwrap_or_default(),
        last: record.last_at.zip(record.last_state.clone()).map(|(at, state)| LastFire {
            at,
            state,
            run: record.last_run.map(|run| RunId(run).to_string()),
            reason: record.last_reason.clone(),
        }),
        missed: record.missed_from.zip(record.missed_until).map(|(from, until)| MissedFires { from, until }),
        run: None,
        created_at: Some(record.created_at),
        created_by: Some(record.created_by.clone()),
    }
}

fn fire_view(record: FireRecord) -> FireView {
    FireView {
        at: record.at,
        origin: record.origin,
        overlap: record.overlap,
        state: record.state,
        reason: record.reason,
        run: record.run_id.map(|run| RunId(run).to_string()),
        moved_at: record.moved_at,
    }
}
