//! The worker as a whole: started, drained, ended.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use valet_queue::TicketSource;

use super::bounds::{LAST_FINISHES, SESSION_LIMIT};
use super::config::{ConfigError, WorkerConfig};
use super::core::Core;
use super::desk::ResourceDesk;
use super::engines::Engines;
use super::handler::Handlers;
use super::ids::{Ids, RandomIds};
use super::intake::Intake;
use super::pulse;
use super::session::Session;
use super::transport::{Transport, TransportError};

/// Pulls tickets, runs steps, reports how they ended.
pub struct Worker {
    config: WorkerConfig,
    handlers: Handlers,
    engines: Vec<Arc<dyn Transport>>,
    tickets: Arc<dyn TicketSource>,
    ids: Arc<dyn Ids>,
    draining: watch::Sender<bool>,
    session: watch::Sender<Option<Arc<Session>>>,
}

/// Tells a running worker to drain, from anywhere.
#[derive(Clone)]
pub struct WorkerHandle {
    draining: watch::Sender<bool>,
}

/// What became of a worker's steps when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Slots whose step could not be finished or handed back in time; their leases end by themselves.
    pub abandoned: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    #[error("the engine turned the worker away")]
    TurnedAway(#[source] TransportError),
}

impl WorkerHandle {
    /// Takes no new steps, lets the running ones end, and then ends the worker. Returns at once.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }
}

impl Worker {
    /// `engines` are asked in the order of a hash of the run, not in the order given.
    pub fn new(
        config: WorkerConfig,
        handlers: Handlers,
        engines: Vec<Arc<dyn Transport>>,
        tickets: Arc<dyn TicketSource>,
    ) -> Result<Self, ConfigError> {
        config.check(engines.len())?;
        let ids = Arc::new(RandomIds);
        let (draining, session) = (watch::Sender::new(false), watch::Sender::new(None));
        Ok(Self { config, handlers, engines, tickets, ids, draining, session })
    }

    /// Takes lease ids from elsewhere, for a repeatable simulation.
    pub fn with_ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle { draining: self.draining.clone() }
    }

    /// Where the worker speaks of resources in its own name, once it runs.
    pub fn desk(&self) -> ResourceDesk {
        ResourceDesk::new(Arc::new(Engines::new(self.engines.clone())), self.session.subscribe())
    }

    /// Works until `shutdown` ends or the handle says drain, then drains: running steps get `drain_timeout` to end by
    /// themselves, what is left then is cancelled and handed back, and the session is closed. Dropped, it ends at once
    /// with all its handlers. Must be called inside a tokio runtime.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Drained, WorkerError> {
        let (core, requests) =
            Core::new(self.config, self.handlers, &self.engines, self.ids, self.draining, self.session);
        let mut background = JoinSet::new();
        for request in requests {
            background.spawn(request);
        }
        let pulse = background.spawn(pulse::run(Arc::clone(&core)));
        let mut intake = Intake::open(Arc::clone(&core), Arc::clone(&self.tickets));
        let mut draining = core.draining.subscribe();
        let mut fatal = core.fatal.subscribe();
        tokio::select! {
            () = shutdown => {}
            _ = draining.wait_for(|draining| *draining) => {}
            _ = fatal.wait_for(Option::is_some) => {}
            () = intake.fetch() => {}
        }
        if let Some(error) = fatal.borrow().clone() {
            return Err(WorkerError::TurnedAway(error));
        }
        tokio::select! {
            _ = fatal.wait_for(Option::is_some) => {}
            drained = drain(&core, &mut intake, &pulse) => return Ok(drained),
        }
        let error = fatal.borrow().clone();
        error.map_or(Ok(Drained { abandoned: 0 }), |error| Err(WorkerError::TurnedAway(error)))
    }
}

async fn drain(core: &Core, intake: &mut Intake, pulse: &AbortHandle) -> Drained {
    tracing::info!(worker = core.config.name, "draining");
    core.draining.send_replace(true);
    core.beat_now.notify_one();
    let at_rest = async {
        intake.stop().await;
        idle(core).await;
    };
    if timeout(core.config.drain_timeout, at_rest).await.is_err() {
        tracing::warn!(worker = core.config.name, "steps still run after the drain time, they are handed back");
        core.holds.drain();
        // Whether all of them ended is seen by the slots below.
        drop(timeout(core.config.grace + LAST_FINISHES, idle(core)).await);
    }
    let abandoned = core.config.slots - core.slots.available_permits() as u32;
    // No step may go on once its lease is given up, and a heartbeat after the close would open a new session.
    let ended = intake.abort().await;
    pulse.abort();
    if ended {
        close(core).await;
    }
    tracing::info!(worker = core.config.name, abandoned, "drained");
    Drained { abandoned }
}

/// Waits until every slot is free. Nothing takes slots any more.
async fn idle(core: &Core) {
    drop(core.slots.acquire_many(core.config.slots).await);
}

async fn close(core: &Core) {
    let Some(session) = core.session.borrow().clone().filter(|session| !session.is_ended()) else { return };
    let tries = async {
        let mut route = core.engines.route(core.session_key);
        loop {
            match route.transport().close_session(session.id).await {
                Err(error) if error.is_retryable() => tokio::time::sleep(route.failed()).await,
                answer => return answer,
            }
        }
    };
    let failed = match timeout(SESSION_LIMIT, tries).await {
        Ok(Ok(())) => return tracing::info!(session = %session.id, "session closed"),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no engine answered".to_owned(),
    };
    tracing::warn!(session = %session.id, failed, "the session was not closed, it will end by itself");
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("config", &self.config).field("handlers", &self.handlers).finish_non_exhaustive()
    }
}
