//! Resources: what workers ask and tell of them, and the sandboxes among them for operators.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;
use valet_core::bounds::NAME_BYTES_MAX;
use valet_core::resources::{Resource, ResourceKind, SANDBOX};
use valet_protocol::api::{ReasonRequest, SandboxCost, SandboxList, SandboxView};
use valet_protocol::problem::Problem;
use valet_protocol::worker::{Callback, NewResource, ResourceAnswer, ResourceAsk, ResourceQuestion, WhichResource};

use super::auth::Caller;
use super::body::OptionalBody;
use super::doing::Doing;
use super::query::Parameters;
use super::route_scopes::SANDBOX_EVENT;
use super::worker::{Wire, own_session};
use super::{App, Fault};
use crate::bounds::{
    PAUSE_REASON_BYTES_MAX, RESOURCE_DATA_BYTES_MAX, RESOURCE_LABELS_MAX, RESOURCE_LEASE_MAX, RESOURCE_ROWS_MAX,
};
use crate::store::SessionClaim;
use crate::store::postgres::resources::{Came, Move, NewRow, ResourceHolder, WantedRow};

/// Labels of sandboxes that operators see.
const PROVIDER: &str = "provider";
const HOST: &str = "host";

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SandboxesQuery {
    /// Those that have ended too.
    #[serde(default)]
    all: bool,
}

/// The sandboxes of this tenant: whose each is, under which lease, what it cost.
#[utoipa::path(get, operation_id = "list_sandboxes", path = "/api/v1/sandboxes", tag = "sandboxes", params(SandboxesQuery),
    responses((status = 200, body = SandboxList)))]
pub(super) async fn sandboxes(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Parameters(query): Parameters<SandboxesQuery>,
) -> Result<Json<SandboxList>, Fault> {
    let store = &app.engine.store;
    let found = store.people_resources(&caller.tenant, SANDBOX, query.all).await?;
    let costs = store.list_meters(&caller.tenant, SANDBOX).await?;
    let costs = costs.into_iter().map(|meter| SandboxCost {
        tier: meter.class,
        day: meter.day.to_string(),
        seconds: meter.seconds,
        usd_micros: meter.micros.max(0) as u64,
    });
    Ok(Json(SandboxList { sandboxes: found.into_iter().map(|one| view(&app, one)).collect(), costs: costs.collect() }))
}

/// Ends a sandbox: whoever holds it has lost it from here on, and the worker that reaches it destroys it. A run that was at work in it takes
/// another.
#[utoipa::path(post, operation_id = "kill_sandbox", path = "/api/v1/sandboxes/{id}/kill", tag = "sandboxes", params(("id" = String, Path)), request_body = ReasonRequest,
    responses((status = 200, body = SandboxView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn kill_sandbox(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
    OptionalBody(request): OptionalBody<ReasonRequest>,
) -> Result<Json<SandboxView>, Fault> {
    let kind = known(&app, SANDBOX)?;
    let missing =
        || Fault::not_found("sandbox", "there is no such sandbox; GET /api/v1/sandboxes?all=true lists them").at("id");
    let store = &app.engine.store;
    // A key with a NUL is no key.
    let id = Some(id).filter(|id| fits(id)).ok_or_else(missing)?;
    let found = store.find_resource(&caller.tenant, SANDBOX, &id).await?.ok_or_else(missing)?;
    let reason: String = request.reason.chars().filter(|c| *c != '\0').take(PAUSE_REASON_BYTES_MAX / 4).collect();
    let why = if reason.is_empty() { format!("killed by {}", caller.name) } else { reason };
    if !store.kill_resource(kind, &id, &why, &doing.on(id.as_str())).await? {
        let detail = format!("this sandbox is {} already", found.state);
        return Err(Fault::conflict("sandbox_ended", detail).at("id"));
    }
    let killed = store.find_resource(&caller.tenant, SANDBOX, &id).await?.ok_or_else(missing)?;
    Ok(Json(view(&app, killed)))
}

/// Asked and told by workers; every statement looks at the lease or at the fence.
pub(super) async fn of_worker(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Wire(ask): Wire<ResourceAsk>,
) -> Result<Json<ResourceAnswer>, Fault> {
    own_session(&app, &caller, ask.session).await?;
    let kind = known(&app, &ask.kind)?;
    let session = ask.session;
    let step = ask.step.map(|step| SessionClaim {
        session,
        run: step.run,
        seq: step.seq,
        attempt: step.attempt,
        lease: step.lease,
    });
    let holder = ResourceHolder { session, step };
    let store = &app.engine.store;
    let listed = |found: Option<Vec<Resource>>| found.map_or(ResourceAnswer::Stale, ResourceAnswer::Resources);
    Ok(Json(match ask.what {
        ResourceQuestion::Reserve(new) => {
            let new = new_row(*new)?;
            let came = store.reserve_resource(&of_step(step)?, kind, &new).await?;
            with_callback(&app, answer(came))
        }
        ResourceQuestion::Claim { wanted_for, key, labels, add, lease_ms } => {
            let claim = kind.claim.as_ref().ok_or_else(|| {
                Fault::bad_request("not_claimed", format!("nobody claims a `{}`: reserve one", kind.name)).at("what")
            })?;
            fit_labels(&labels)?;
            fit_labels(&add)?;
            fit_key(&wanted_for)?;
            key.as_deref().map_or(Ok(()), fit_key)?;
            let wanted = WantedRow { wanted_for, key, labels, add, lease: lease(lease_ms) };
            answer(store.claim_resource(&of_step(step)?, kind, claim, &wanted).await?)
        }
        ResourceQuestion::Renew { which, lease_ms } => {
            let wanted = Move { lease: Some(lease(lease_ms)), ..which_row(&holder, which)? };
            answer(store.move_resource(&holder, kind, &wanted).await?)
        }
        ResourceQuestion::Transition {
            which,
            to,
            lease_ms,
            labels,
            data,
            reason,
            usd_micros_per_hour,
            release,
            rest_ms,
        } => {
            if !kind.has(&to) {
                let states: Vec<_> = kind.states().collect();
                let detail = format!("a `{}` is in one of these states: {}", kind.name, states.join(", "));
                return Err(Fault::bad_request("unknown_state", detail).at("what"));
            }
            fit_labels(&labels)?;
            fit_data(data.as_ref())?;
            let wanted = Move {
                to: Some(to),
                lease: lease_ms.map(lease),
                labels,
                data,
                reason: reason.map(|why| why.chars().filter(|c| *c != '\0').take(PAUSE_REASON_BYTES_MAX / 4).collect()),
                rate_micros: usd_micros_per_hour,
                release,
                rest: rest_ms.map(lease),
                ..which_row(&holder, which)?
            };
            answer(store.move_resource(&holder, kind, &wanted).await?)
        }
        ResourceQuestion::List { labels, keys } => {
            fit_labels(&labels)?;
            bounded_list(keys.as_ref().map_or(0, Vec::len))?;
            keys.iter().flatten().try_for_each(|key| fit_key(key))?;
            listed(store.list_resources(session, kind.name, &labels, keys.as_deref()).await?)
        }
        ResourceQuestion::Reap { labels, lease_ms, max } => {
            fit_labels(&labels)?;
            listed(store.reap_resources(session, kind, &labels, lease(lease_ms), max).await?)
        }
        ResourceQuestion::LiveRuns { runs } => {
            bounded_list(runs.len())?;
            let live = store.live_runs_among(session, &runs).await?;
            live.map_or(ResourceAnswer::Stale, ResourceAnswer::Runs)
        }
    }))
}

pub(super) fn known<'a>(app: &'a App, kind: &str) -> Result<&'a ResourceKind, Fault> {
    app.engine.registry.resource(kind).ok_or_else(|| {
        let kinds: Vec<_> = app.engine.registry.resource_kinds().map(|kind| kind.name).collect();
        Fault::not_found("resource_kind", format!("resources are of one of these kinds: {}", kinds.join(", ")))
            .at("kind")
    })
}

fn of_step(step: Option<SessionClaim>) -> Result<SessionClaim, Fault> {
    step.ok_or_else(|| Fault::bad_request("no_step", "only whoever holds a step may have one for its run").at("step"))
}

fn new_row(new: NewResource) -> Result<NewRow, Fault> {
    let NewResource { key, class, labels, data, lease_ms, usd_micros_per_hour, day_max_usd_micros } = new;
    fit_key(&key)?;
    fit_key(&class)?;
    fit_labels(&labels)?;
    fit_data(data.as_ref())?;
    let (rate_micros, day_max_micros) = (usd_micros_per_hour, day_max_usd_micros);
    Ok(NewRow { key, class, labels, data, lease: lease(lease_ms), rate_micros, day_max_micros })
}

fn which_row(holder: &ResourceHolder, which: WhichResource) -> Result<Move, Fault> {
    let WhichResource { key, tenant, fence } = which;
    fit_key(&key)?;
    tenant.as_deref().map_or(Ok(()), fit_key)?;
    if holder.step.is_none() && fence.is_none() {
        let detail = "whoever holds no step of its run names the fence that it knows";
        return Err(Fault::bad_request("no_fence", detail).at("what"));
    }
    Ok(Move { tenant, key, fence, ..Move::default() })
}

fn answer(came: Came) -> ResourceAnswer {
    match came {
        Came::Is { resource, charge_micros } => {
            ResourceAnswer::Resource { resource: Box::new(resource), charge_usd_micros: charge_micros, callback: None }
        }
        Came::Taken(resource) => ResourceAnswer::Taken(Box::new(resource)),
        Came::Refused(resource) => ResourceAnswer::Refused(Box::new(resource)),
        Came::Missing => ResourceAnswer::Missing,
        Came::Spent { micros } => ResourceAnswer::Spent { usd_micros: micros },
        Came::Stale => ResourceAnswer::Stale,
    }
}

/// With where the thing may speak of itself, if anything listens to it.
fn with_callback(app: &App, answer: ResourceAnswer) -> ResourceAnswer {
    let ResourceAnswer::Resource { resource, charge_usd_micros, .. } = answer else { return answer };
    let is_heard = resource.kind == SANDBOX && !resource.ended;
    let callback = is_heard.then(|| {
        let whose = [("tenant", resource.tenant.as_str()), ("sandbox", resource.key.as_str())];
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(whose).finish();
        let token = app.engine.store.resource_token(&resource.tenant, &resource.kind, &resource.key);
        Callback { url: format!("{}{}?{query}", app.engine.registry.base_url(), SANDBOX_EVENT), token }
    });
    ResourceAnswer::Resource { resource, charge_usd_micros, callback }
}

fn lease(ms: u64) -> Duration {
    Duration::from_millis(ms).min(RESOURCE_LEASE_MAX)
}

fn fits(name: &str) -> bool {
    (1..=NAME_BYTES_MAX * 2).contains(&name.len()) && !name.contains('\0')
}

fn fit_key(key: &str) -> Result<(), Fault> {
    if fits(key) {
        return Ok(());
    }
    let detail = format!("keys, classes and tenants have 1 to {} bytes, without NUL", NAME_BYTES_MAX * 2);
    Err(Fault::bad_request("invalid_key", detail).at("what"))
}

fn fit_labels(labels: &BTreeMap<String, String>) -> Result<(), Fault> {
    let few = labels.len() <= RESOURCE_LABELS_MAX;
    if few
        && labels.iter().all(|(name, value)| fits(name) && value.len() <= NAME_BYTES_MAX * 4 && !value.contains('\0'))
    {
        return Ok(());
    }
    let detail = format!("at most {RESOURCE_LABELS_MAX} short labels, without NUL");
    Err(Fault::bad_request("invalid_labels", detail).at("what"))
}

fn fit_data(data: Option<&Value>) -> Result<(), Fault> {
    if data.is_none_or(|data| data.to_string().len() <= RESOURCE_DATA_BYTES_MAX) {
        return Ok(());
    }
    let detail = format!("what is kept with a resource has at most {RESOURCE_DATA_BYTES_MAX} bytes");
    Err(Fault::bad_request("too_large", detail).at("what"))
}

fn bounded_list(items: usize) -> Result<(), Fault> {
    if items <= RESOURCE_ROWS_MAX as usize {
        return Ok(());
    }
    Err(Fault::bad_request("too_many", format!("at most {RESOURCE_ROWS_MAX} at once")).at("what"))
}

fn view(app: &App, one: Resource) -> SandboxView {
    let age = app.engine.clock.now() - one.created_at;
    let label = |name: &str| one.labels.get(name).cloned();
    SandboxView {
        provider: label(PROVIDER).unwrap_or_default(),
        host: label(HOST),
        id: one.key,
        tier: one.class,
        state: one.state,
        state_since: one.state_since,
        run: one.run.map(|run| run.to_string()),
        lease_until: one.lease_until,
        fence: one.fence,
        created_at: one.created_at,
        age_s: age.num_seconds().max(0) as u64,
        cost_usd_micros: one.cost_usd_micros,
        left: one.left,
        reason: one.reason,
    }
}
