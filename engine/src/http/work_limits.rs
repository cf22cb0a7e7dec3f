//! Limits of what is at work at once, or begins in a while: put, shown, removed, and keys left alone for a time.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use utoipa::IntoParams;
use valet_core::bounds::{LIMIT_KEY_BYTES_MAX, NAME_BYTES_MAX};
use valet_core::declared::Faults;
use valet_core::declared::check::{WORKFLOW_NAME_RULE, is_workflow_name};
use valet_core::limits::{LimitKey, LimitText, check};
use valet_protocol::api::{
    CoolDownRequest, DebounceView, LimitKeyList, LimitKeyView, LimitList, LimitView, PutLimitRequest, RateView,
    SlotHold, WhenFull,
};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::Body;
use super::doing::Doing;
use super::query::Parameters;
use super::{App, Fault, no_content, workflows};
use crate::access::Reach;
use crate::bounds::{
    LIMIT_EXPIRY_MIN, LIMIT_FIGURE_MAX, LIMIT_SETTLE_MAX, LIMIT_SPAN_MAX, LIMIT_WEIGHT_MAX, LIMIT_WEIGHTS_MAX,
    LIMITS_MAX,
};
use crate::store::postgres::limits::{LimitFigures, LimitKeyRecord, LimitRate, LimitRecord};
use crate::store::{DueStore as _, LimitsStamp};

/// Between two looks at engines that have not heard of a limit.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct KeysQuery {
    /// Only this key.
    key: Option<String>,
}

/// The limits of this tenant, by name.
#[utoipa::path(get, operation_id = "list_limits", path = "/api/v1/limits", tag = "limits", responses((status = 200, body = LimitList)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<LimitList>, Fault> {
    let records = app.engine.store.list_limits(&caller.tenant, None).await?;
    let seen = records.into_iter().filter(|record| caller.reach.has_workflow(&record.workflow));
    Ok(Json(LimitList { limits: seen.map(view).collect() }))
}

/// One limit.
#[utoipa::path(get, operation_id = "show_limit", path = "/api/v1/limits/{name}", tag = "limits", params(("name" = String, Path)),
    responses((status = 200, body = LimitView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<LimitView>, Fault> {
    find(&app, &caller, &name).await.map(|record| Json(view(record)))
}

/// Sets a limit. Its figures hold at once, also for what waits; its workflow, step and expressions hold for steps that are asked for from
/// now on, by whichever engine. Nobody is stopped: a lower limit is reached as what is at work ends. All faults are told at once.
#[utoipa::path(put, operation_id = "put_limit", path = "/api/v1/limits/{name}", tag = "limits", request_body = PutLimitRequest, params(("name" = String, Path)),
    responses((status = 201, body = LimitView, description = "There was none of this name"), (status = 200, body = LimitView),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem, description = "It is set, but another engine has not heard of it yet; the same request again waits for that")))]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    Body(request): Body<PutLimitRequest>,
) -> Result<Response, Fault> {
    unlimited(&caller)?;
    let text = LimitText {
        tenant: caller.tenant.clone(),
        name: name.clone(),
        workflow: request.workflow,
        step: request.step,
        key: request.key,
        share: request.share,
        weights: request.weights,
    };
    let figures = figures(
        &text,
        Asked {
            most: request.most,
            rate: request.rate,
            when_full: request.when_full,
            hold: request.hold,
            debounce: request.debounce,
            expires_ms: request.expires_ms,
        },
    )?;
    let found = workflows::find(&app, &caller.tenant, &caller.reach, &text.workflow).await;
    found.map_err(|fault| fault.at("/workflow"))?;
    let store = &app.engine.store;
    let Some(put) = store.put_limit(&text, figures, &doing.on(target(&name))).await? else {
        let detail = format!("a tenant has at most {LIMITS_MAX} limits; remove one that is not needed");
        return Err(Fault::conflict("too_many_limits", detail).at("name"));
    };
    refresh(&app).await?;
    settle(&app).await?;
    let status = if put.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view(find(&app, &caller, &name).await?))).into_response())
}

/// Removes a limit: what waits for it waits no more.
#[utoipa::path(delete, operation_id = "remove_limit", path = "/api/v1/limits/{name}", tag = "limits", params(("name" = String, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    unlimited(&caller)?;
    find(&app, &caller, &name).await?;
    app.engine.store.remove_limit(&caller.tenant, &name, &doing.on(target(&name))).await?;
    refresh(&app).await?;
    Ok(no_content())
}

/// What the keys of a limit have: how many are at work and wait, since when, and when the next may begin. At most 1,000, those for whom
/// most wait first.
#[utoipa::path(get, operation_id = "list_limit_keys", path = "/api/v1/limits/{name}/keys", tag = "limits", params(("name" = String, Path), KeysQuery),
    responses((status = 200, body = LimitKeyList), (status = 404, body = Problem)))]
pub(super) async fn keys(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Parameters(query): Parameters<KeysQuery>,
) -> Result<Json<LimitKeyList>, Fault> {
    let limit = find(&app, &caller, &name).await?;
    let records = app.engine.store.list_limit_keys(&caller.tenant, &name, query.key.as_deref()).await?;
    if query.key.is_some() && records.is_empty() {
        let detail = "nothing is at work under this key, and nothing waits; without `key` all are listed";
        return Err(Fault::not_found("limit_key", detail).at("key"));
    }
    Ok(Json(LimitKeyList { keys: records.into_iter().map(|record| key_view(&limit, record)).collect() }))
}

/// Leaves a key alone until an instant: nothing of it begins, what is at work goes on. Without `until` it may begin again.
#[utoipa::path(post, operation_id = "cool_limit_key", path = "/api/v1/limits/{name}/cool-down", tag = "limits", params(("name" = String, Path)),
    request_body = CoolDownRequest, responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn cool_down(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    Body(request): Body<CoolDownRequest>,
) -> Result<Response, Fault> {
    unlimited(&caller)?;
    find(&app, &caller, &name).await?;
    let invalid =
        |at: &str, detail: String| Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", detail).at(at);
    if request.key.len() > LIMIT_KEY_BYTES_MAX {
        return Err(invalid("/key", format!("a key has at most {LIMIT_KEY_BYTES_MAX} bytes")));
    }
    if request.until.is_some_and(|until| until > app.engine.clock.now() + LIMIT_SPAN_MAX) {
        let days = LIMIT_SPAN_MAX.as_secs() / 86_400;
        return Err(invalid("/until", format!("at most {days} days ahead; cool it down again then")));
    }
    let key = LimitKey { tenant: caller.tenant.clone(), limit: name.clone(), key: request.key };
    app.engine.store.cool_limit_key(&key, request.until, &doing.on(format!("{}/{}", target(&name), key.key))).await?;
    app.engine.routes.admit(vec![key]);
    Ok(no_content())
}

/// Figures as they were sent.
#[derive(Clone, Copy)]
struct Asked {
    most: Option<u32>,
    rate: Option<RateView>,
    when_full: WhenFull,
    hold: SlotHold,
    debounce: Option<DebounceView>,
    expires_ms: Option<u64>,
}

fn figures(text: &LimitText, asked: Asked) -> Result<LimitFigures, Fault> {
    let Asked { most, rate, when_full, hold, debounce, expires_ms } = asked;
    let mut faults = Faults::default();
    if !is_workflow_name(&text.name) {
        faults.add("name", WORKFLOW_NAME_RULE);
    }
    let fits = |name: &str| (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
    if text.step.as_deref().is_some_and(|step| !fits(step)) {
        faults.add("/step", format!("a step's name has 1 to {NAME_BYTES_MAX} bytes, and no control characters"));
    }
    check(text, &mut faults);
    let too_many = text.weights.len() > LIMIT_WEIGHTS_MAX;
    if too_many || (text.share.is_none() && !text.weights.is_empty()) {
        faults.add("/weights", format!("at most {LIMIT_WEIGHTS_MAX}, of the shares that `share` tells"));
    }
    for share in
        text.weights.iter().filter(|(_, weight)| !(1..=LIMIT_WEIGHT_MAX).contains(*weight)).map(|(share, _)| share)
    {
        let place = faults.below("/weights", share);
        faults.add(&place, format!("1 to {LIMIT_WEIGHT_MAX}"));
    }
    let figure = |at: &str, figure: u32, faults: &mut Faults| {
        if !(1..=LIMIT_FIGURE_MAX).contains(&figure) {
            faults.add(
                at,
                format!("1 to {LIMIT_FIGURE_MAX}; to let nothing begin, pause the workflow or cool the key down"),
            );
        }
    };
    let span = |at: &str, ms: u64, least: u64, faults: &mut Faults| {
        let longest = LIMIT_SPAN_MAX.as_millis() as u64;
        if !(least..=longest).contains(&ms) {
            faults.add(at, format!("{least} to {longest}"));
        }
    };
    if let Some(most) = most {
        figure("/most", most, &mut faults);
    }
    if let Some(rate) = rate {
        figure("/rate/count", rate.count, &mut faults);
        figure("/rate/burst", rate.burst.unwrap_or(1), &mut faults);
        span("/rate/per_ms", rate.per_ms, 1, &mut faults);
        if text.step.is_none() {
            faults.add("/rate", "a rate is of a step: name one in `step`");
        }
    }
    if let Some(DebounceView { quiet_ms, at_most_ms }) = debounce {
        span("/debounce/quiet_ms", quiet_ms, 1, &mut faults);
        if let Some(at_most_ms) = at_most_ms {
            span("/debounce/at_most_ms", at_most_ms, quiet_ms.max(1), &mut faults);
        }
    }
    if let Some(expires_ms) = expires_ms {
        span("/expires_ms", expires_ms, LIMIT_EXPIRY_MIN.as_millis() as u64, &mut faults);
    }
    let of_runs = [
        ("/when_full", when_full != WhenFull::Queue, true),
        ("/hold", hold != SlotHold::Working, true),
        ("/debounce", debounce.is_some(), false),
        ("/expires_ms", expires_ms.is_some(), false),
    ];
    for (at, _, needs_most) in of_runs.into_iter().filter(|(_, is_said, _)| *is_said) {
        if text.step.is_some() && at != "/when_full" {
            faults.add(at, "of whole runs only: this limit is of a `step`");
        } else if needs_most && most.is_none() {
            faults.add(at, "say in `most` how many slots there are");
        }
    }
    if most.is_none() && rate.is_none() && debounce.is_none() {
        faults.add("/most", "say how many may be at work at once, or in `rate` how many may begin, or in `debounce` after how long a run begins");
    }
    if !faults.is_empty() {
        return Err(Fault::invalid_limit(faults.into_problems()));
    }
    let rate =
        rate.map(|rate| LimitRate { count: rate.count, per_ms: rate.per_ms, burst: rate.burst.unwrap_or(rate.count) });
    Ok(LimitFigures { most, rate, when_full, hold, debounce, expires_ms })
}

/// This engine knows at once. What waits is looked at under the new figures.
async fn refresh(app: &App) -> Result<(), Fault> {
    let (limits, store) = (&app.engine.limits, &app.engine.store);
    let asked = limits.ask();
    limits.learn(asked, LimitsStamp::default(), store.limits().await?);
    app.engine.routes.admit(store.waiting_keys().await?);
    Ok(())
}

/// Waits until each other live engine has begun two more ticks: with the first it hears of the limits, and by the second it has them.
async fn settle(app: &App) -> Result<(), Fault> {
    let (store, me, began) = (&app.engine.store, app.engine.session(), Instant::now());
    for _ in 0..2 {
        let since = store.now().await?;
        while store.engines_behind(me, since).await? > 0 {
            if began.elapsed() > LIMIT_SETTLE_MAX {
                let detail = "the limit is set, but another engine has not heard of it yet; send the request again to wait for it";
                return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "limit_unsettled", detail));
            }
            sleep(LOOK_PAUSE).await;
        }
    }
    Ok(())
}

/// As the audit names it.
fn target(name: &str) -> String {
    format!("limit/{name}")
}

async fn find(app: &App, caller: &Caller, name: &str) -> Result<LimitRecord, Fault> {
    // What cannot be a name is not looked for: it may not even be text that the database takes.
    let store = &app.engine.store;
    let found = if is_workflow_name(name) { store.list_limits(&caller.tenant, Some(name)).await?.pop() } else { None };
    let missing = || Fault::not_found("limit", "there is no such limit; GET /api/v1/limits lists them").at("name");
    found.filter(|record| caller.reach.has_workflow(&record.workflow)).ok_or_else(missing)
}

/// A limit holds for runs of all subjects, and holds up those of others.
fn unlimited(caller: &Caller) -> Result<(), Fault> {
    if caller.reach == Reach::default() {
        return Ok(());
    }
    Err(Fault::out_of_reach("this token reaches some workflows or subjects only; a limit holds for all runs"))
}

fn view(record: LimitRecord) -> LimitView {
    let rate = record.rate.zip(record.per_ms).map(|(count, per_ms)| RateView {
        count: count as u32,
        per_ms: per_ms as u64,
        burst: record.burst.map(|burst| burst as u32),
    });
    let debounce = record.quiet_ms.map(|quiet_ms| DebounceView {
        quiet_ms: quiet_ms as u64,
        at_most_ms: record.quiet_at_most_ms.map(|ms| ms as u64),
    });
    LimitView {
        name: record.name,
        workflow: record.workflow,
        step: record.step,
        key: record.key,
        share: record.share,
        weights: record.weights.0,
        most: record.most.map(|most| most as u32),
        rate,
        when_full: WhenFull::ALL.into_iter().find(|one| one.as_str() == record.when_full).unwrap_or_default(),
        hold: SlotHold::ALL.into_iter().find(|one| one.as_str() == record.hold).unwrap_or_default(),
        debounce,
        expires_ms: record.expires_ms.map(|ms| ms as u64),
        version: record.version as u64,
        changed_by: record.changed_by,
        changed_at: record.changed_at,
    }
}

fn key_view(limit: &LimitRecord, record: LimitKeyRecord) -> LimitKeyView {
    LimitKeyView {
        key: record.key,
        most: limit.most.map(|most| most as u32),
        running: record.running as u64,
        waiting: record.waiting as u64,
        oldest: record.oldest,
        next_token_at: record.next_token_at,
        cooled_until: record.cooled_until,
    }
}
