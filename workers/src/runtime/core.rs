//! What the parts of one worker share.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore, watch};
use valet_core::id::{RunId, SessionId};
use valet_protocol::worker::{Claim, Finish};

use super::config::WorkerConfig;
use super::engines::{Engines, run_key};
use super::handler::Handlers;
use super::hold::Holds;
use super::ids::Ids;
use super::lane::{Lane, Requests};
use super::session::{Session, Standing};
use super::transport::{Transport, TransportError};

pub(super) struct Core {
    pub config: WorkerConfig,
    pub handlers: Handlers,
    pub engines: Arc<Engines>,
    /// One of each kind for each engine, in the order of `engines`.
    pub claims: Vec<Lane<Claim>>,
    pub finishes: Vec<Lane<Finish>>,
    pub holds: Arc<Holds>,
    pub ids: Arc<dyn Ids>,
    /// What messages about no run are routed by: workers should not all ask the same engine.
    pub session_key: u64,
    pub slots: Arc<Semaphore>,
    /// The session that new work belongs to; `None` before the first.
    pub session: watch::Sender<Option<Arc<Session>>>,
    pub draining: watch::Sender<bool>,
    /// An engine said that the worker is paused: it takes no new work.
    pub paused: watch::Sender<bool>,
    /// Why no engine will take any message of this worker.
    pub fatal: watch::Sender<Option<TransportError>>,
    /// The session whose own queues are pulled, since later steps may want it.
    pub wanted: watch::Sender<Option<SessionId>>,
    /// The next heartbeat should not wait for its time.
    pub beat_now: Notify,
}

impl Core {
    pub fn new(
        config: WorkerConfig,
        handlers: Handlers,
        transports: &[Arc<dyn Transport>],
        ids: Arc<dyn Ids>,
        draining: watch::Sender<bool>,
        session: watch::Sender<Option<Arc<Session>>>,
    ) -> (Arc<Self>, Requests) {
        let mut requests = Requests::new();
        let (mut claims, mut finishes) = (Vec::new(), Vec::new());
        let in_flight = config.requests_in_flight.max(1);
        for transport in transports {
            let (lane, mut ends) = Lane::open(transport, config.slots as usize, in_flight);
            claims.push(lane);
            requests.append(&mut ends);
            let (lane, mut ends) = Lane::open(transport, config.slots as usize, in_flight);
            finishes.push(lane);
            requests.append(&mut ends);
        }
        let core = Self {
            slots: Arc::new(Semaphore::new(config.slots as usize)),
            engines: Arc::new(Engines::new(transports.to_vec())),
            claims,
            finishes,
            holds: Arc::default(),
            session_key: run_key(RunId(ids.lease().0)),
            ids,
            session,
            draining,
            paused: watch::Sender::new(false),
            fatal: watch::Sender::new(None),
            wanted: watch::Sender::new(None),
            beat_now: Notify::new(),
            config,
            handlers,
        };
        (Arc::new(core), requests)
    }

    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Waits until the worker is paused, or until it is not.
    pub async fn until_paused(&self, paused: bool) {
        // The sender lives as long as `self`.
        drop(self.paused.subscribe().wait_for(|is| *is == paused).await);
    }

    /// No engine will take any message of this worker: it ends.
    pub fn give_up(&self, why: TransportError) {
        self.fatal.send_if_modified(|fatal| {
            let first = fatal.is_none();
            fatal.get_or_insert(why);
            first
        });
    }

    /// Waits for a session that may take on new work.
    pub async fn running_session(&self) -> Arc<Session> {
        let mut sessions = self.session.subscribe();
        loop {
            let current = sessions.borrow_and_update().clone();
            // The sender lives as long as `self`, so that a change is all that can happen.
            match current {
                Some(session) if session.standing() == Standing::Running => return session,
                Some(session) => {
                    tokio::select! {
                        _ = session.running() => {
                            if !session.is_ended() { continue; }
                            drop(sessions.changed().await);
                        }
                        _ = sessions.changed() => {}
                    }
                }
                None => drop(sessions.changed().await),
            }
        }
    }
}
