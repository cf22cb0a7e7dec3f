//! What a handler may ask of the runtime while it does its step.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;
use valet_core::id::{Attempt, LeaseId, RunId, Seq};
use valet_core::payload::Payload;
use valet_crash_points::crash_point;
use valet_protocol::worker::{
    BlobStored, EffectAnswer, EffectBegin, Grant, HeldStep, ItemAnswer, ItemNamesAnswer, ItemNamesWanted, ItemWanted,
    KeepAnswer, KeepItem, ResourceAnswer, ResourceQuestion, TierAnswer, TierAsk, TierQuestion,
};

use super::bounds::{BLOB_TRIES, PROGRESS_BYTES_MAX};
use super::desk;
use super::engines::{Engines, Route, run_key};
use super::hold::Hold;
use super::session::{Halted, Standing};
use super::step_error::StepError;
use super::transport::{Blob, NewBlob, TransportError};

/// A call that may be repeated, tried over all engines a few times.
macro_rules! tried {
    ($route:ident, $call:ident($message:expr)) => {{
        let mut tries = BLOB_TRIES;
        loop {
            tries -= 1;
            match $route.transport().$call($message).await {
                Err(error) if error.is_retryable() && tries > 0 => tokio::time::sleep($route.failed()).await,
                answer => break answer,
            }
        }
    }};
}

/// One attempt of a step, as its handler sees it. Clones speak of the same attempt.
#[derive(Clone)]
pub struct StepContext {
    inner: Arc<Inner>,
}

struct Inner {
    grant: Grant,
    hold: Arc<Hold>,
    engines: Arc<Engines>,
}

impl StepContext {
    pub(super) fn new(grant: Grant, hold: Arc<Hold>, engines: Arc<Engines>) -> Self {
        Self { inner: Arc::new(Inner { grant, hold, engines }) }
    }

    pub fn run(&self) -> RunId {
        self.inner.grant.run
    }

    pub fn seq(&self) -> Seq {
        self.inner.grant.seq
    }

    pub fn attempt(&self) -> Attempt {
        self.inner.grant.attempt
    }

    pub fn lease(&self) -> LeaseId {
        self.inner.grant.lease
    }

    pub fn tenant(&self) -> &str {
        &self.inner.grant.tenant
    }

    pub fn subject(&self) -> &str {
        &self.inner.grant.subject
    }

    pub fn workflow(&self) -> &str {
        &self.inner.grant.workflow
    }

    pub fn step_name(&self) -> &str {
        &self.inner.grant.name
    }

    /// The queue that the step came from.
    pub fn queue(&self) -> &str {
        &self.inner.grant.queue
    }

    /// Whether the step's effect must not happen twice: then [`effect_begin`](Self::effect_begin) comes right before it.
    pub fn is_effect_once(&self) -> bool {
        self.inner.grant.effect_once
    }

    /// Waits until the step must stop: the lease is lost, the engine said so, or the worker drains and its time is
    /// over. Then the handler has a short grace to put things in order, and is dropped.
    pub async fn cancelled(&self) {
        self.inner.hold.stopped().await;
    }

    pub fn is_cancelled(&self) -> bool {
        self.inner.hold.stop_reason().is_some()
    }

    /// Whether the handler may act outwardly now. To be asked before every outward action: it compares the monotonic
    /// clock itself, so that a process which was stopped for a while finds out here.
    pub fn check(&self) -> Result<(), Halted> {
        if self.is_cancelled() {
            return Err(Halted::Stopped);
        }
        match self.inner.hold.session.standing() {
            Standing::Running => Ok(()),
            Standing::Suspended => Err(Halted::Suspended),
            Standing::Stopped => Err(Halted::Stopped),
        }
    }

    /// Like [`check`](Self::check), but waits while suspended.
    pub async fn ready(&self) -> Result<(), Halted> {
        loop {
            tokio::select! {
                running = self.inner.hold.session.running() => running?,
                () = self.cancelled() => return Err(Halted::Stopped),
            }
            match self.check() {
                Err(Halted::Suspended) => {}
                answer => return answer,
            }
        }
    }

    /// To be called right before an outward effect that must not happen twice; `Ok` means that the engine has
    /// committed it and the effect may happen now. Waits while the worker is suspended or no engine answers.
    pub async fn effect_begin(&self) -> Result<(), StepError> {
        let Grant { run, seq, attempt, lease, .. } = self.inner.grant;
        let begin = EffectBegin { session: self.inner.hold.session.id, run, seq, attempt, lease };
        let mut route = self.inner.engines.route(run_key(run));
        crash_point!(WorkerEffectBefore);
        loop {
            self.ready().await?;
            match route.transport().effect_begin(&begin).await {
                // Time passed while it was asked: the commit alone does not say that the lease still holds. Asked
                // again under the same lease, an engine gives the same answer.
                Ok(EffectAnswer::Go) => match self.check() {
                    Ok(()) => {
                        self.inner.hold.effect_begins();
                        crash_point!(WorkerEffectBegun);
                        return Ok(());
                    }
                    Err(Halted::Suspended) => {}
                    Err(halted) => return Err(halted.into()),
                },
                Ok(EffectAnswer::No) => return Err(StepError::HandedBack),
                Err(error) if error.is_retryable() => {
                    tracing::debug!(%run, %seq, %error, "effect_begin is tried again");
                    let pause = route.failed();
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.cancelled() => return Err(Halted::Stopped.into()),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Says that the handler lives, where the step's policy has a heartbeat timeout. [`progress`](Self::progress) says so too.
    pub fn alive(&self) {
        self.inner.hold.heard();
    }

    /// Asks for the attempt's whole time anew: it is getting on, and takes longer than was thought. The engine is told
    /// with the next heartbeat.
    pub fn refresh_timeout(&self) {
        self.inner.hold.refresh();
    }

    /// Tells people, and the next attempt, how far the step got. Sent with the next heartbeat when it changed; the
    /// latest wins. A courtesy: what cannot be sent (more than [`PROGRESS_BYTES_MAX`]) is dropped with a warning.
    pub fn progress<T: Serialize + ?Sized>(&self, progress: &T) {
        let (run, step) = (self.run(), self.step_name());
        match Payload::of(progress) {
            Ok(payload) if payload.len_bytes() <= PROGRESS_BYTES_MAX => self.inner.hold.set_progress(payload),
            Ok(payload) => tracing::warn!(%run, step, bytes = payload.len_bytes(), "progress is too large"),
            Err(error) => tracing::warn!(%run, step, %error, "progress cannot be serialized"),
        }
    }

    /// Notes that the attempt paid `usd_micros` millionths of a US dollar for `what`. Sent with its result, whatever that
    /// is; an attempt whose result is lost leaves no note.
    pub fn cost(&self, what: &str, usd_micros: u64) {
        self.inner.hold.add_cost(what, usd_micros);
    }

    /// What the attempt before reported last, if it reads as `T`.
    pub fn previous_progress<T: DeserializeOwned>(&self) -> Option<T> {
        self.inner.grant.progress.as_ref().and_then(|progress| progress.read().ok())
    }

    /// What the subject of this step keeps under a name; which version it got is noted for the run.
    pub async fn item(&self, kind: &str, name: &str) -> Result<Option<Value>, StepError> {
        let Grant { run, seq, attempt, lease, .. } = self.inner.grant;
        let (session, kind, name) = (self.inner.hold.session.id, kind.to_owned(), name.to_owned());
        let wanted = ItemWanted { session, run, seq, attempt, lease, kind, name };
        let mut route = self.inner.engines.route(run_key(run));
        match tried!(route, item(&wanted)) {
            Ok(ItemAnswer::Item { value, .. }) => Ok(Some(value)),
            Ok(ItemAnswer::Missing) => Ok(None),
            Ok(ItemAnswer::Stale) => Err(StepError::HandedBack),
            Err(error) => or_of_the_release_before(error, None),
        }
    }

    /// Under which names the subject of this step keeps things of a kind, the newest first. Secrets are not listed.
    pub async fn item_names(&self, kind: &str) -> Result<Vec<String>, StepError> {
        let Grant { run, seq, attempt, lease, .. } = self.inner.grant;
        let (session, kind) = (self.inner.hold.session.id, kind.to_owned());
        let wanted = ItemNamesWanted { session, run, seq, attempt, lease, kind };
        let mut route = self.inner.engines.route(run_key(run));
        match tried!(route, item_names(&wanted)) {
            Ok(ItemNamesAnswer::Names(names)) => Ok(names),
            Ok(ItemNamesAnswer::Stale) => Err(StepError::HandedBack),
            Err(error) => or_of_the_release_before(error, Vec::new()),
        }
    }

    /// Keeps what this step learned of its subject, beyond the run. The same again changes nothing.
    pub async fn keep_item(&self, kind: &str, name: &str, value: Value) -> Result<(), StepError> {
        let Grant { run, seq, attempt, lease, .. } = self.inner.grant;
        let (session, kind, name) = (self.inner.hold.session.id, kind.to_owned(), name.to_owned());
        let keep = KeepItem { session, run, seq, attempt, lease, kind, name, value };
        let mut route = self.inner.engines.route(run_key(run));
        match tried!(route, keep_item(&keep)) {
            Ok(KeepAnswer::Kept { .. }) => Ok(()),
            Ok(KeepAnswer::Stale) => Err(StepError::HandedBack),
            Err(error) => or_of_the_release_before(error, ()),
        }
    }

    /// Asks or tells the engine about a site that a browser of this run goes to. `None`: an engine of the release before, which keeps
    /// nothing of sites.
    pub async fn tiers(&self, site: &str, browser: u32, what: TierQuestion) -> Result<Option<TierAnswer>, StepError> {
        let Grant { run, seq, attempt, lease, .. } = self.inner.grant;
        let session = self.inner.hold.session.id;
        let ask = TierAsk { session, run, seq, attempt, lease, site: site.to_owned(), browser, what };
        let mut route = self.inner.engines.route(run_key(run));
        for _ in 1..BLOB_TRIES {
            match route.transport().tiers(&ask).await {
                Err(error) if error.is_retryable() => tokio::time::sleep(route.failed()).await,
                answer => return told(answer),
            }
        }
        told(route.transport().tiers(&ask).await)
    }

    /// Asks or tells the engine about resources of this run. `None`: an engine of the release before, which keeps none.
    pub async fn resources(&self, kind: &str, what: ResourceQuestion) -> Result<Option<ResourceAnswer>, StepError> {
        let Grant { run, seq, attempt, lease, .. } = self.inner.grant;
        let ask = desk::of_step(self.inner.hold.session.id, HeldStep { run, seq, attempt, lease }, kind, what);
        match self.inner.engines.resources(run_key(run), &ask).await {
            Ok(ResourceAnswer::Stale) => Err(StepError::HandedBack),
            Ok(answer) => Ok(Some(answer)),
            Err(error) => or_of_the_release_before(error, None),
        }
    }

    /// Files and artifacts, through the engine.
    pub fn blobs(&self) -> Blobs<'_> {
        Blobs { ctx: self }
    }
}

/// 404: an engine of the release before keeps nothing.
fn or_of_the_release_before<T>(error: TransportError, nothing: T) -> Result<T, StepError> {
    match error {
        TransportError::Rejected { status: 404, .. } => Ok(nothing),
        error => Err(error.into()),
    }
}

fn told(answer: Result<TierAnswer, TransportError>) -> Result<Option<TierAnswer>, StepError> {
    match answer {
        Ok(TierAnswer::Stale) => Err(StepError::HandedBack),
        Ok(answer) => Ok(Some(answer)),
        Err(TransportError::Rejected { status: 404, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads files and stores artifacts of this step.
pub struct Blobs<'a> {
    ctx: &'a StepContext,
}

impl Blobs<'_> {
    pub async fn get(&self, id: Uuid) -> Result<Blob, TransportError> {
        let (run, mut route) = (self.ctx.run(), self.route());
        for _ in 1..BLOB_TRIES {
            match route.transport().get_blob(run, id).await {
                Err(error) if error.is_retryable() => tokio::time::sleep(route.failed()).await,
                answer => return answer,
            }
        }
        route.transport().get_blob(run, id).await
    }

    /// Stores an artifact of the step. Tried again after a lost answer, it may be stored twice.
    pub async fn put(&self, name: &str, content_type: &str, bytes: Bytes) -> Result<BlobStored, TransportError> {
        let (run, seq) = (self.ctx.run(), self.ctx.seq());
        let blob = NewBlob { run, seq, name: name.to_owned(), content_type: content_type.to_owned(), bytes };
        let mut route = self.route();
        for _ in 1..BLOB_TRIES {
            match route.transport().put_blob(&blob).await {
                Err(error) if error.is_retryable() => tokio::time::sleep(route.failed()).await,
                answer => return answer,
            }
        }
        route.transport().put_blob(&blob).await
    }

    fn route(&self) -> Route<'_> {
        self.ctx.inner.engines.route(run_key(self.ctx.run()))
    }
}
