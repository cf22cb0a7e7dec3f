//! The worker protocol's routes: every answer follows its commit.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use futures::future::join_all;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use valet_core::bounds::WORKER_QUEUES_MAX;
use valet_core::command::{Command, Cost, FinishStep, GrantedStep, HandOverOffer, Reply};
use valet_core::id::{RunId, SessionId};
use valet_core::payload::Payload;
use valet_core::placement::{is_labelled, queues_of_worker, unlabelled};
use valet_crash_points::crash_point;
use valet_protocol::worker::{
    BATCH_ITEMS_MAX, BlobStored, ClaimAnswer, ClaimAnswers, ClaimBatch, ClaimRefusal, EffectAnswer, EffectBegin,
    Finish, FinishAnswer, FinishAnswers, FinishBatch, Grant, Heartbeat, HeartbeatAnswer, ItemAnswer, ItemNamesAnswer,
    ItemNamesWanted, ItemWanted, KeepAnswer, KeepItem, OLDEST_VERSION, OpenSession, SessionOpened, Standing, StepCost,
    VERSION,
};

use super::auth::Caller;
use super::body::{nul, without_values};
use super::doing::Doing;
use super::query::Parameters;
use super::{App, Fault, desk, files, no_content, resources, subjects, tiers};
use crate::bounds::{FILE_BYTES_MAX, HEARTBEAT, SESSION_LEASE, STEP_COSTS_MAX};
use crate::executor::CommandError;
use crate::store::postgres::subjects::{Handed, NewItem};
use crate::store::{
    Beat, BeatProgress, ClaimVerdict, LeaseStore as _, NewSession, RunStore as _, SessionClaim, SessionKind, StoreError,
};

/// Slots of one worker: more than any machine runs, few enough that sums of them fit everywhere.
const SLOTS_MAX: u32 = 10_000;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/worker/v1/sessions", post(open_session))
        .route("/worker/v1/sessions/{id}", delete(close_session))
        .route("/worker/v1/heartbeats", post(heartbeat))
        .route("/worker/v1/claims", post(claims))
        .route("/worker/v1/claim", post(desk::claim_next))
        .route("/worker/v1/finishes", post(finishes))
        .route("/worker/v1/effects", post(effect))
        .route("/worker/v1/items", post(item))
        .route("/worker/v1/tiers", post(tiers::of_step))
        .route("/worker/v1/resources", post(resources::of_worker))
        .route("/worker/v1/items/names", post(item_names))
        .route("/worker/v1/items/keep", post(keep_item))
        .route("/worker/v1/blobs", post(put_blob).layer(DefaultBodyLimit::max(FILE_BYTES_MAX)))
        .route("/worker/v1/blobs/{id}", get(get_blob))
}

/// A body of the worker protocol. Workers are programs: a wrong body is a bug or another version.
pub(super) struct Wire<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Wire<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|_| Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a batch has at most 16 MiB"))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|e| {
            let detail = format!("not a message of this protocol: {}", without_values(&e.to_string()));
            Fault::bad_request("invalid_body", detail)
        })
    }
}

async fn open_session(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Wire(open): Wire<OpenSession>,
) -> Result<Json<SessionOpened>, Fault> {
    if !(OLDEST_VERSION..=VERSION).contains(&open.protocol) {
        let detail = format!(
            "this engine speaks versions {OLDEST_VERSION} to {VERSION} of the worker protocol, the worker {}; update the older one",
            open.protocol
        );
        return Err(Fault::new(StatusCode::UPGRADE_REQUIRED, "protocol_version", detail).at("protocol"));
    }
    if let Some(bad) = open.queues.iter().find(|q| valet_queue::QueueName::new(q).is_err()) {
        let bad: String = bad.chars().take(80).collect();
        return Err(Fault::bad_request("invalid_queue", format!("`{bad}` is not a queue's name")).at("queues"));
    }
    if !(1..=SLOTS_MAX).contains(&open.slots) {
        return Err(Fault::bad_request("invalid_slots", format!("a worker has 1 to {SLOTS_MAX} slots")).at("slots"));
    }
    if open.name.contains('\0') {
        return Err(nul().at("name"));
    }
    if open.labels.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
        return Err(nul().at("labels"));
    }
    let queues = queues_of_worker(&open.queues, &open.labels).map_err(|many| too_many_queues(many).at("labels"))?;
    if let Some(foreign) = open.queues.iter().find(|queue| !may_pull(queue, &open)) {
        let detail = format!(
            "`{foreign}` is the queue of labels that this worker has not, or of one worker: name the queue itself"
        );
        return Err(Fault::bad_request("invalid_queue", detail).at("queues"));
    }
    let session = SessionId(app.engine.entropy.uuid());
    let new = NewSession {
        id: session,
        kind: SessionKind::Worker,
        tenant: caller.serves().map(str::to_owned),
        name: open.name.chars().take(128).collect(),
        queues,
        slots: open.slots,
        labels: serde_json::to_value(&open.labels).unwrap_or_default(),
        lease: SESSION_LEASE,
    };
    app.engine.store.open_session(&new).await?;
    tracing::info!(%session, worker = %new.name, "a worker opened a session");
    Ok(Json(SessionOpened {
        protocol: open.protocol,
        session,
        heartbeat_ms: HEARTBEAT.as_millis() as u64,
        lease_ms: SESSION_LEASE.as_millis() as u64,
    }))
}

/// A queue of labels that the worker has, or one of nobody in particular.
fn may_pull(queue: &str, open: &OpenSession) -> bool {
    let plain = unlabelled(queue);
    !is_labelled(queue)
        || queues_of_worker(&[plain.to_owned()], &open.labels).is_ok_and(|all| all.iter().any(|mine| mine == queue))
}

pub(super) fn too_many_queues(many: usize) -> Fault {
    let detail = format!(
        "these labels make {many} queues to listen at, one for each set of them that a step may require; at most {WORKER_QUEUES_MAX}: \
         send fewer labels or fewer queues"
    );
    Fault::bad_request("too_many_queues", detail)
}

/// A session belongs to whoever opened it: its id alone opens nothing to the workers of another tenant. Those that serve all tenants are
/// not asked.
pub(super) async fn own_session(app: &App, caller: &Caller, session: SessionId) -> Result<(), Fault> {
    if let Some(tenant) = caller.serves()
        && !app.engine.store.session_serves(session, tenant).await?
    {
        return Err(Fault::not_found("session", "there is no such session").at("session"));
    }
    Ok(())
}

async fn close_session(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let session: SessionId =
        id.parse().map_err(|e: valet_core::id::IdError| Fault::bad_request("invalid_id", e.to_string()).at("id"))?;
    own_session(&app, &caller, session).await?;
    app.engine.store.close_session(session).await?;
    Ok(no_content())
}

async fn heartbeat(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Wire(beat): Wire<Heartbeat>,
) -> Result<Json<HeartbeatAnswer>, Fault> {
    own_session(&app, &caller, beat.session).await?;
    if app.engine.routes.is_blind() {
        // Sessions are extended by the gap first; an answer now could end one that nobody could renew.
        return Err(CommandError::Unknown.into());
    }
    let progress = beat
        .held
        .iter()
        .filter_map(|held| {
            let details = held.progress.clone()?;
            Some(BeatProgress { run: held.run, lease: held.lease, details })
        })
        .collect();
    let answer = app
        .engine
        .store
        .heartbeat(&Beat {
            session: beat.session,
            lease: SESSION_LEASE,
            free_slots: beat.free_slots.min(SLOTS_MAX),
            draining: beat.draining,
            held: beat.held.iter().map(|held| held.lease).collect(),
            progress,
            refreshed: beat.held.iter().filter(|held| held.refresh).map(|held| held.lease).collect(),
            spoken: beat.held.iter().filter(|held| held.alive).map(|held| held.lease).collect(),
        })
        .await?;
    let standing = if answer.alive { Standing::Yours } else { Standing::Ended };
    let stop = beat.held.iter().map(|held| held.lease).filter(|lease| !answer.keep.contains(lease)).collect();
    Ok(Json(HeartbeatAnswer { standing, lease_ms: SESSION_LEASE.as_millis() as u64, stop, paused: answer.paused }))
}

async fn claims(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Wire(batch): Wire<ClaimBatch>,
) -> Result<Json<ClaimAnswers>, Fault> {
    bounded_batch(batch.claims.len())?;
    own_session(&app, &caller, batch.session).await?;
    let session = batch.session;
    let verdicts = batch.claims.iter().map(|claim| {
        let claim =
            SessionClaim { session, run: claim.run, seq: claim.seq, attempt: claim.attempt, lease: claim.lease };
        app.engine.claim(claim)
    });
    let mut answers = Vec::with_capacity(batch.claims.len());
    for verdict in join_all(verdicts).await {
        let Some(verdict) = verdict else {
            return Err(CommandError::Unknown.into());
        };
        answers.push(match verdict {
            ClaimVerdict::Granted { step, progress } => ClaimAnswer::Granted(Box::new(grant(*step, progress))),
            ClaimVerdict::Stale => ClaimAnswer::Refused { why: ClaimRefusal::Stale },
            ClaimVerdict::Gated => ClaimAnswer::Refused { why: ClaimRefusal::Gated },
            ClaimVerdict::SessionEnded => ClaimAnswer::Refused { why: ClaimRefusal::SessionEnded },
        });
    }
    Ok(Json(ClaimAnswers { answers }))
}

async fn finishes(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Wire(batch): Wire<FinishBatch>,
) -> Result<Json<FinishAnswers>, Fault> {
    bounded_batch(batch.finishes.len())?;
    own_session(&app, &caller, batch.session).await?;
    let session = batch.session;
    let (app, caller) = (&*app, &caller);
    let replies = batch.finishes.into_iter().map(async |finish| match is_of(app, caller.serves(), finish.run).await {
        Ok(true) => finish_one(app, session, finish).await,
        Ok(false) => FinishAnswer::Refused { why: CommandError::NotFound.to_string() },
        Err(error) => FinishAnswer::Again { why: error.to_string() },
    });
    Ok(Json(FinishAnswers { answers: join_all(replies).await }))
}

async fn is_of(app: &App, tenant: Option<&str>, run: RunId) -> Result<bool, StoreError> {
    match tenant {
        Some(tenant) => Ok(app.engine.store.find_run(tenant, run).await?.is_some()),
        None => Ok(true),
    }
}

pub(super) async fn finish_one(app: &App, session: SessionId, finish: Finish) -> FinishAnswer {
    crash_point!(EngineFinishReceived);
    if let Some(why) = unfit_costs(&finish.costs) {
        return FinishAnswer::Refused { why };
    }
    let costs = finish.costs.into_iter().map(|cost| Cost { what: cost.what, micros: cost.usd_micros }).collect();
    // A commit that a pause refuses is decided twice.
    let offer = finish.hand_over.filter(|offer| app.engine.holds.may_hand_over(&offer.queue));
    let hand_over = offer.map(|offer| HandOverOffer { lease: offer.lease, session, queue: offer.queue });
    let command = Command::Finish(Box::new(FinishStep {
        seq: finish.seq,
        attempt: finish.attempt,
        lease: finish.lease,
        session,
        outcome: finish.outcome,
        hand_over,
        costs,
    }));
    match app.engine.command(finish.run, command).await {
        Ok(Reply::Finished { handed_over }) => {
            FinishAnswer::Accepted { next: handed_over.map(|step| Box::new(grant(*step, None))) }
        }
        Ok(Reply::Done | Reply::Repeated | Reply::Ignored) => FinishAnswer::Accepted { next: None },
        Err(CommandError::Rejected(rejection)) => FinishAnswer::Refused { why: rejection.to_string() },
        Err(error @ (CommandError::NotFound | CommandError::BadData)) => {
            FinishAnswer::Refused { why: error.to_string() }
        }
        Err(error) => FinishAnswer::Again { why: error.to_string() },
    }
}

/// A finish is one journal entry more for each of its costs.
fn unfit_costs(costs: &[StepCost]) -> Option<String> {
    let many = costs.len() > STEP_COSTS_MAX;
    many.then(|| {
        format!("{} costs in one finish: send at most {STEP_COSTS_MAX}, summed by what they are for", costs.len())
    })
}

async fn effect(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Wire(begin): Wire<EffectBegin>,
) -> Result<Json<EffectAnswer>, Fault> {
    own_session(&app, &caller, begin.session).await?;
    let claim = SessionClaim {
        session: begin.session,
        run: begin.run,
        seq: begin.seq,
        attempt: begin.attempt,
        lease: begin.lease,
    };
    crash_point!(EngineEffectBefore);
    let begun = app.engine.store.begin_effect(&claim).await?;
    crash_point!(EngineEffectAfter if begun);
    Ok(Json(if begun { EffectAnswer::Go } else { EffectAnswer::No }))
}

/// What a subject keeps, for whoever holds one of its steps; secrets go this way and no other.
async fn item(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Wire(wanted): Wire<ItemWanted>,
) -> Result<Json<ItemAnswer>, Fault> {
    own_session(&app, &caller, wanted.session).await?;
    let kind = subjects::known_kind(&wanted.kind)?;
    let ItemWanted { session, run, seq, attempt, lease, name, .. } = wanted;
    let holder = SessionClaim { session, run, seq, attempt, lease };
    Ok(Json(match app.engine.store.use_item(&holder, kind, &name).await? {
        Handed::Item { version, plain } => {
            let value = serde_json::from_slice(&plain).map_err(StoreError::Json)?;
            ItemAnswer::Item { version: version as u32, value }
        }
        Handed::Missing => ItemAnswer::Missing,
        Handed::Stale => ItemAnswer::Stale,
    }))
}

/// What a subject keeps, for whoever holds one of its steps: names only.
async fn item_names(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Wire(wanted): Wire<ItemNamesWanted>,
) -> Result<Json<ItemNamesAnswer>, Fault> {
    own_session(&app, &caller, wanted.session).await?;
    let kind = subjects::kind_of_workers(&wanted.kind, &subjects::LISTED_FOR_WORKERS)?;
    let ItemNamesWanted { session, run, seq, attempt, lease, .. } = wanted;
    let holder = SessionClaim { session, run, seq, attempt, lease };
    let names = app.engine.store.item_names(&holder, kind).await?;
    Ok(Json(names.map_or(ItemNamesAnswer::Stale, ItemNamesAnswer::Names)))
}

/// What a step learned of its subject, such as a person's answer: never a secret.
async fn keep_item(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Wire(keep): Wire<KeepItem>,
) -> Result<Json<KeepAnswer>, Fault> {
    own_session(&app, &caller, keep.session).await?;
    let kind = subjects::kind_of_workers(&keep.kind, &subjects::KEPT_BY_WORKERS)?;
    let plain = subjects::fit_item(&keep.name, &keep.value)?;
    let KeepItem { session, run, seq, attempt, lease, name, .. } = keep;
    let holder = SessionClaim { session, run, seq, attempt, lease };
    let kept = app.engine.store.keep_item(&holder, NewItem { kind, name: &name, plain: &plain }, &doing.on("")).await?;
    Ok(Json(kept.map_or(KeepAnswer::Stale, |version| KeepAnswer::Kept { version: version as u32 })))
}

pub(super) fn grant(step: GrantedStep, progress: Option<Payload>) -> Grant {
    Grant {
        run: step.run,
        seq: step.seq,
        attempt: step.attempt,
        lease: step.lease,
        tenant: step.tenant,
        subject: step.subject,
        workflow: step.workflow,
        name: step.name,
        queue: step.policy.queue,
        input: step.input,
        timeout_ms: step.policy.execution_timeout_ms,
        heartbeat_timeout_ms: step.policy.heartbeat_timeout_ms,
        effect_once: step.policy.effect_once,
        remembered: step.remembers,
        progress,
    }
}

fn bounded_batch(items: usize) -> Result<(), Fault> {
    if items > BATCH_ITEMS_MAX {
        let detail = format!("a batch has at most {BATCH_ITEMS_MAX} items");
        return Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail));
    }
    Ok(())
}

/// Whose blob: a step that the worker holds.
#[derive(Deserialize)]
struct BlobQuery {
    run: RunId,
    seq: i32,
    name: String,
}

async fn put_blob(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Parameters(query): Parameters<BlobQuery>,
    bytes: Bytes,
) -> Result<Response, Fault> {
    let found = app.engine.store.identity(query.run).await?;
    let identity = found
        .filter(|identity| caller.serves().is_none_or(|tenant| tenant == identity.tenant))
        .ok_or_else(|| Fault::not_found("run", "there is no such run").at("run"))?;
    let by = files::By::Step { run: query.run, seq: query.seq };
    let name = files::clean_name(&query.name);
    let stored = files::store(&app, &identity.tenant, &identity.subject, name, &bytes, by).await?;
    let answer = BlobStored {
        id: valet_core::id::parse_prefixed("file", &stored.id).unwrap_or_default(),
        size_bytes: stored.size_bytes,
        sha256: stored.sha256,
        created_at: app.engine.clock.now(),
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// For which run a file is read; workers of before do not say.
#[derive(Deserialize)]
struct BlobUse {
    run: Option<RunId>,
}

async fn get_blob(
    State(app): State<Arc<App>>,
    Extension(mut caller): Extension<Caller>,
    Path(id): Path<String>,
    Parameters(of): Parameters<BlobUse>,
) -> Result<Response, Fault> {
    let id = valet_core::id::parse_prefixed("file", &id)
        .map_err(|e| Fault::bad_request("invalid_id", e.to_string()).at("id"))?;
    if caller.is_root
        && let Some(tenant) = app.engine.store.find_blob_tenant(id).await?
    {
        caller.tenant = tenant;
    }
    let sent = files::send(&app, &caller, id).await?;
    if let Some(run) = of.run {
        app.engine.store.use_file(run, id, &files::file_id(id)).await?;
    }
    Ok(sent)
}
