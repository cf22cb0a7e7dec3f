//! Bulk operations: made, shown, held up, taken back. Their runs are acted on by [`super::bulk_work`].

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::IntoParams;
use uuid::Uuid;
use valet_core::id::{IdError, RunId, parse_prefixed};
use valet_protocol::api::{
    BulkAction, BulkAnswer, BulkFailure, BulkFilter, BulkFork, BulkOperationList, BulkOperationRequest,
    BulkOperationView, BulkPreview, BulkRateRequest,
};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::Body;
use super::doing::Doing;
use super::query::Parameters;
use super::{App, Fault, key, run_search, runs};
use crate::access::{Reach, Scope};
use crate::bounds::{BULK_OPERATIONS_MAX, BULK_RATE, BULK_RATE_DEFAULT, BULK_REASON_BYTES_MAX, RUNS_COUNTED_MAX};
use crate::store::StoreError;
use crate::store::postgres::bulk_operations::{BulkRecord, NewBulk};
use crate::store::postgres::run_search::{Among, RunFilter};

const LIVE: [&str; 5] = ["queued", "running", "waiting", "closing", "stuck"];

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; default 50.
    limit: Option<u32>,
}

/// What an action wants besides its runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Options {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<BulkFork>,
}

/// Does something to all runs that a filter chooses, a few at a time. Its runs are those that were there before it and fit the filter when
/// they are looked up, which is done before the first of them is acted on. With `preview` it only counts them. The same `Idempotency-Key` and body
/// answer the first one with 200.
#[utoipa::path(post, operation_id = "create_bulk_operation", path = "/api/v1/bulk-operations", tag = "runs", request_body = BulkOperationRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Unique per tenant; up to 255 characters; kept with the operation")),
    responses((status = 201, body = BulkOperationView), (status = 200, body = BulkAnswer, description = "A preview, or what the key names"),
        (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    headers: HeaderMap,
    Body(request): Body<BulkOperationRequest>,
) -> Result<Response, Fault> {
    let filter = check(&caller, &request)?;
    let store = &app.engine.store;
    let action = request.action;
    if request.preview {
        let (count, at_least) = store.count_runs(&caller.tenant, &filter, RUNS_COUNTED_MAX).await?;
        return Ok(Json(BulkPreview { action, count, at_least }).into_response());
    }
    let key = key::read(&headers)?;
    let hash = Sha256::digest(serde_json::to_vec(&request).map_err(StoreError::Json)?);
    if let Some(known) = known(&app, &caller, key.as_deref(), &hash).await? {
        return Ok(known);
    }
    let BulkOperationRequest { filter, rate, reason, fork, .. } = request;
    let id = app.engine.new_id();
    let new = NewBulk {
        tenant: &caller.tenant,
        action: action.as_str(),
        filter: &serde_json::to_value(&filter).map_err(StoreError::Json)?,
        options: &serde_json::to_value(Options { reason, fork }).map_err(StoreError::Json)?,
        reach: &caller.reach,
        rate: rate.unwrap_or(BULK_RATE_DEFAULT),
        idempotency_key: key.as_deref(),
        request_hash: &hash,
        at: app.engine.clock.now(),
    };
    if !store.add_bulk_operation(id, &new, &doing.on(bulk_id(id))).await? {
        // The same request came twice at once.
        return known(&app, &caller, key.as_deref(), &hash).await?.ok_or_else(too_many);
    }
    app.bulk.notify_one();
    let view = shown(&app, find(&app, &caller, &bulk_id(id)).await?).await?;
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// Bulk operations, newest first; kept for 30 days after their end.
#[utoipa::path(get, operation_id = "list_bulk_operations", path = "/api/v1/bulk-operations", tag = "runs", params(ListQuery),
    responses((status = 200, body = BulkOperationList), (status = 400, body = Problem)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<BulkOperationList>, Fault> {
    let limit = runs::page_rows(query.limit)?;
    let after = query.cursor.as_deref().map(runs::read_cursor).transpose()?;
    let store = &app.engine.store;
    let mut records = store.list_bulk_operations(&caller.tenant, after, &caller.reach, limit + 1).await?;
    let more = records.len() > limit as usize;
    records.truncate(limit as usize);
    let next_cursor = records.last().filter(|_| more).map(|last| runs::write_cursor(last.created_at, last.id));
    let operations = records.into_iter().map(view).collect::<Result<_, _>>()?;
    Ok(Json(BulkOperationList { operations, next_cursor }))
}

/// One bulk operation, how far it is, and the first runs on which it failed.
#[utoipa::path(get, operation_id = "show_bulk_operation", path = "/api/v1/bulk-operations/{id}", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = BulkOperationView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<BulkOperationView>, Fault> {
    shown(&app, find(&app, &caller, &id).await?).await.map(Json)
}

/// Begins nothing more until it is resumed. What it is at now is done.
#[utoipa::path(post, operation_id = "pause_bulk_operation", path = "/api/v1/bulk-operations/{id}/pause", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = BulkOperationView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
) -> Result<Json<BulkOperationView>, Fault> {
    change(&app, &caller, &doing, &id, Change { from: &["running", "paused"], state: Some("paused"), rate: None }).await
}

/// Goes on with one that was paused.
#[utoipa::path(post, operation_id = "resume_bulk_operation", path = "/api/v1/bulk-operations/{id}/resume", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = BulkOperationView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
) -> Result<Json<BulkOperationView>, Fault> {
    let to = Change { from: &["running", "paused"], state: Some("running"), rate: None };
    change(&app, &caller, &doing, &id, to).await
}

/// Leaves the rest as it is. What was done stays done.
#[utoipa::path(post, operation_id = "cancel_bulk_operation", path = "/api/v1/bulk-operations/{id}/cancel", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = BulkOperationView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
) -> Result<Json<BulkOperationView>, Fault> {
    let to = Change { from: &["running", "paused", "cancelled"], state: Some("cancelled"), rate: None };
    change(&app, &caller, &doing, &id, to).await
}

/// Makes it faster or slower, from its next turn on.
#[utoipa::path(put, operation_id = "set_bulk_rate", path = "/api/v1/bulk-operations/{id}/rate", tag = "runs", params(("id" = String, Path)), request_body = BulkRateRequest,
    responses((status = 200, body = BulkOperationView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn set_rate(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
    Body(request): Body<BulkRateRequest>,
) -> Result<Json<BulkOperationView>, Fault> {
    check_rate(request.rate)?;
    let to = Change { from: &["running", "paused"], state: None, rate: Some(request.rate) };
    change(&app, &caller, &doing, &id, to).await
}

/// Makes an operation that takes one back which has ended: what that paused is resumed, what it resumed is paused, and no other run. The
/// same again answers the same one with 200.
#[utoipa::path(post, operation_id = "undo_bulk_operation", path = "/api/v1/bulk-operations/{id}/undo", tag = "runs", params(("id" = String, Path)),
    responses((status = 201, body = BulkOperationView), (status = 200, body = BulkOperationView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn undo(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let record = find(&app, &caller, &id).await?;
    let Some(action) = action(&record)?.undone_by() else {
        return Err(Fault::conflict("cannot_undo", why_not(action(&record)?)));
    };
    let undo = app.engine.new_id();
    let made = (undo, action.as_str(), app.engine.clock.now());
    let store = &app.engine.store;
    let status = if store.undo_bulk_operation(record.id, made, &doing.on(bulk_id(record.id))).await? {
        app.bulk.notify_one();
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let record = find(&app, &caller, &id).await?;
    let Some(undone_by) = record.undone_by else {
        if record.is_at_work {
            let detail = "it has not ended, or its last turn is not over: cancel it, and come again";
            return Err(Fault::conflict("bulk_active", detail));
        }
        return Err(too_many());
    };
    let view = shown(&app, find(&app, &caller, &bulk_id(undone_by)).await?).await?;
    Ok((status, Json(view)).into_response())
}

fn why_not(action: BulkAction) -> &'static str {
    match action {
        BulkAction::Cancel => "a run that was cancelled has ended for good; fork it to have its work done after all",
        BulkAction::Retry => "what was tried again has been at work since; pause or cancel those runs",
        BulkAction::Fork => "forks are runs of their own; cancel them",
        BulkAction::Delete => "what was deleted is gone: nothing of it is kept",
        BulkAction::Pause | BulkAction::Resume => "the opposite takes it back",
    }
}

struct Change {
    from: &'static [&'static str],
    state: Option<&'static str>,
    rate: Option<u32>,
}

async fn change(
    app: &App,
    caller: &Caller,
    doing: &Doing,
    id: &str,
    Change { from, state, rate }: Change,
) -> Result<Json<BulkOperationView>, Fault> {
    let record = find(app, caller, id).await?;
    let deed = doing.on(bulk_id(record.id));
    if !app.engine.store.change_bulk_operation(record.id, from, (state, rate), &deed).await? {
        return Err(Fault::conflict("bulk_ended", "it has ended: nothing is left to change"));
    }
    app.bulk.notify_one();
    shown(app, find(app, caller, id).await?).await.map(Json)
}

/// Every fault but those of single conditions has its own code: most are worth a look before the next try.
fn check(caller: &Caller, request: &BulkOperationRequest) -> Result<RunFilter, Fault> {
    let BulkOperationRequest { action, filter, rate, reason, fork, .. } = request;
    if *action == BulkAction::Delete && !caller.scopes.contains(&Scope::Admin) {
        let detail = "to delete runs needs a token with the scope `admin`";
        return Err(Fault::new(StatusCode::FORBIDDEN, "wrong_scope", detail).at("/action"));
    }
    if *filter == BulkFilter::default() {
        let detail = "say which runs: at least one condition, such as {\"workflow\":\"…\"}";
        return Err(unprocessable("filter_required", detail).at("/filter"));
    }
    check_rate(rate.unwrap_or(BULK_RATE_DEFAULT))?;
    if fork.is_some() && *action != BulkAction::Fork {
        return Err(unprocessable("invalid_action", "this is of the action `fork`").at("/fork"));
    }
    match reason {
        Some(_) if *action != BulkAction::Cancel => {
            return Err(unprocessable("invalid_action", "this is of the action `cancel`").at("/reason"));
        }
        Some(reason) if reason.len() > BULK_REASON_BYTES_MAX => {
            let detail = format!("at most {BULK_REASON_BYTES_MAX} bytes");
            return Err(unprocessable("invalid_reason", detail).at("/reason"));
        }
        _ => {}
    }
    let found = run_filter(filter, *action, caller.reach.clone())?;
    let fits = |status: &String| match found.among {
        Among::All => true,
        Among::Live => LIVE.contains(&status.as_str()),
        Among::Ended => !LIVE.contains(&status.as_str()),
    };
    if found.statuses.as_ref().is_some_and(|statuses| !statuses.iter().any(fits)) {
        let which = if found.among == Among::Live { "have not ended" } else { "have ended" };
        let detail = format!("`{}` is for runs that {which}", action.as_str());
        return Err(Fault::bad_request("invalid_filter", detail).at("/filter/status"));
    }
    Ok(found)
}

fn check_rate(rate: u32) -> Result<(), Fault> {
    if BULK_RATE.contains(&rate) {
        return Ok(());
    }
    let detail = format!("{} to {} runs a second", BULK_RATE.start(), BULK_RATE.end());
    Err(unprocessable("invalid_rate", detail).at("/rate"))
}

fn unprocessable(code: &str, detail: impl Into<String>) -> Fault {
    Fault::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
}

/// The conditions, and which runs an action is for.
pub(super) fn run_filter(filter: &BulkFilter, action: BulkAction, reach: Reach) -> Result<RunFilter, Fault> {
    let BulkFilter { workflow, status, subject, attributes, error_code, parent, created_from, created_before } =
        filter.clone();
    run_search::check_statuses(status.as_deref()).map_err(|fault| fault.at("/filter/status"))?;
    let attributes = attributes.map(run_search::plain_attributes).transpose();
    let parent: Option<RunId> = parent
        .map(|text| text.parse())
        .transpose()
        .map_err(|error: IdError| Fault::bad_request("invalid_id", error.to_string()).at("/filter/parent"))?;
    for (at, place) in [(created_from, "/filter/created_from"), (created_before, "/filter/created_before")] {
        at.map(run_search::within_time).transpose().map_err(|fault| fault.at(place))?;
    }
    Ok(RunFilter {
        workflow,
        statuses: status,
        subject,
        attributes: attributes.map_err(|fault| fault.at("/filter/attributes"))?,
        error_code,
        parent,
        created_from,
        created_before,
        reach,
        among: match action {
            BulkAction::Cancel | BulkAction::Retry | BulkAction::Pause | BulkAction::Resume => Among::Live,
            BulkAction::Fork => Among::All,
            BulkAction::Delete => Among::Ended,
        },
    })
}

/// The operation that this key names already.
async fn known(app: &App, caller: &Caller, key: Option<&str>, hash: &[u8]) -> Result<Option<Response>, Fault> {
    let Some(key) = key else { return Ok(None) };
    let Some((id, known)) = app.engine.store.find_bulk_by_key(&caller.tenant, key).await? else { return Ok(None) };
    if known != hash {
        let detail = format!("this Idempotency-Key was used for another operation, {}; use a new key", bulk_id(id));
        return Err(Fault::conflict("idempotency_key_reused", detail).at("Idempotency-Key"));
    }
    let view = shown(app, find(app, caller, &bulk_id(id)).await?).await?;
    Ok(Some((StatusCode::OK, Json(view)).into_response()))
}

fn too_many() -> Fault {
    let detail = format!("a tenant has at most {BULK_OPERATIONS_MAX} bulk operations that have not ended");
    Fault::conflict("too_many_bulk_operations", detail)
}

async fn find(app: &App, caller: &Caller, id: &str) -> Result<BulkRecord, Fault> {
    let missing = || {
        let detail = "there is no such bulk operation; GET /api/v1/bulk-operations lists them";
        Fault::not_found("bulk_operation", detail).at("id")
    };
    let id = parse_prefixed("bulk", id).map_err(|_| missing())?;
    app.engine.store.find_bulk_operation(&caller.tenant, id, &caller.reach).await?.ok_or_else(missing)
}

pub(super) fn bulk_id(id: Uuid) -> String {
    format!("bulk_{}", id.simple())
}

fn action(record: &BulkRecord) -> Result<BulkAction, Fault> {
    BulkAction::parse(&record.action).ok_or_else(Fault::internal)
}

async fn shown(app: &App, record: BulkRecord) -> Result<BulkOperationView, Fault> {
    let failures = if record.failed > 0 { app.engine.store.list_bulk_failures(record.id).await? } else { Vec::new() };
    let failures = failures
        .into_iter()
        .map(|failure| BulkFailure { run: RunId(failure.run_id).to_string(), reason: failure.reason })
        .collect();
    Ok(BulkOperationView { failures, ..view(record)? })
}

fn view(record: BulkRecord) -> Result<BulkOperationView, Fault> {
    let action = action(&record)?;
    let Options { reason, fork } = serde_json::from_value(record.options.clone()).map_err(StoreError::Json)?;
    let is_collecting = record.state == "running" && !record.collected;
    Ok(BulkOperationView {
        id: bulk_id(record.id),
        action,
        state: if is_collecting { "collecting".to_owned() } else { record.state.clone() },
        filter: serde_json::from_value(record.filter.clone()).map_err(StoreError::Json)?,
        reason,
        fork,
        rate: record.rate.unsigned_abs(),
        total: record.total.unsigned_abs().into(),
        collected: record.collected,
        limited: record.limited,
        done: record.done.unsigned_abs().into(),
        skipped: record.skipped.unsigned_abs().into(),
        failed: record.failed.unsigned_abs().into(),
        eta_seconds: eta(&record),
        failures: Vec::new(),
        can_undo: action.undone_by().is_some() && record.ended_at.is_some() && record.undone_by.is_none(),
        undo_of: record.undo_of.map(bulk_id),
        undone_by: record.undone_by.map(bulk_id),
        created_at: record.created_at,
        created_by: record.created_by,
        ended_at: record.ended_at,
    })
}

/// By the rate, or by what the runs so far took where that was longer.
fn eta(record: &BulkRecord) -> Option<u64> {
    if record.state != "running" || !record.collected {
        return None;
    }
    let settled = record.done + record.skipped + record.failed;
    let each = (record.busy_s / f64::from(settled.max(1))).max(1.0 / f64::from(record.rate.max(1)));
    Some((f64::from(record.total - settled) * each).ceil() as u64)
}
