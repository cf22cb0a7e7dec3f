//! A worker's session: opened, renewed, ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use valet_core::id::SessionId;
use valet_engine::bounds::{HEARTBEAT, SESSION_LEASE};
use valet_engine::store::{Beat, BeatAnswer, LeaseStore, NewSession, SessionKind};

use super::Worker;
use crate::bounds::SUSPEND_BEFORE;
use crate::outside::fleet::SimEngine;
use crate::world::Violation;

/// Pause after a heartbeat that was not answered.
const AGAIN: Duration = Duration::from_millis(400);

impl Worker {
    pub(super) async fn open_session(&self) {
        loop {
            let session = NewSession {
                id: SessionId(self.world.uuid()),
                kind: SessionKind::Worker,
                tenant: None,
                name: format!("worker-{}", self.process),
                queues: self.queues.iter().map(ToString::to_string).collect(),
                slots: self.slots,
                labels: serde_json::json!(self.labels),
                lease: SESSION_LEASE,
            };
            let sent_at = Instant::now();
            let place = self.world.draw(|dice| dice.index(self.fleet.len()));
            let request = session.clone();
            let opened = self.fleet.ask(place, |engine| async move { engine.store.open_session(&request).await }).await;
            self.thaw().await;
            if let Some(Ok(())) = opened {
                self.state.lock().session = session.id;
                self.believe(sent_at);
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// A process that ends in good order; what it still holds is swept at once.
    pub(super) async fn say_good_bye(&self) {
        self.world.ledger.lock().believe(self.process, None);
        let session = self.state.lock().session;
        let place = self.world.draw(|dice| dice.index(self.fleet.len()));
        let _ = self.fleet.ask(place, |engine| async move { engine.store.close_session(session).await }).await;
    }

    /// The lease is counted from when the heartbeat was sent, and a second is left for what is under way.
    fn believe(&self, sent_at: Instant) {
        let until = sent_at + SESSION_LEASE.saturating_sub(SUSPEND_BEFORE);
        self.state.lock().believed_until = until;
        self.world.ledger.lock().believe(self.process, Some(until));
    }

    pub(super) async fn beat(self: Arc<Self>) {
        let mut pause = HEARTBEAT;
        loop {
            tokio::time::sleep(pause).await;
            self.thaw().await;
            let sent_at = Instant::now();
            let beat = {
                let state = self.state.lock();
                Beat {
                    session: state.session,
                    lease: SESSION_LEASE,
                    free_slots: self.free_slots(),
                    draining: false,
                    held: state.held.keys().copied().collect(),
                    progress: Vec::new(),
                    refreshed: Vec::new(),
                    spoken: Vec::new(),
                }
            };
            let place = self.world.draw(|dice| dice.index(self.fleet.len()));
            let request = beat.clone();
            let beating = |engine: Arc<SimEngine>| async move {
                // What the engine's HTTP layer asks first: an engine that cannot look tells nobody that he is dead.
                if engine.routes.is_blind() { None } else { engine.store.heartbeat(&request).await.ok() }
            };
            let answer = self.fleet.ask(place, beating).await.flatten();
            self.thaw().await;
            pause = match answer {
                Some(answer) if answer.alive => {
                    self.renewed(sent_at, &beat, &answer);
                    HEARTBEAT
                }
                Some(_) => {
                    self.session_ended().await;
                    HEARTBEAT
                }
                None => AGAIN,
            };
        }
    }

    fn renewed(&self, sent_at: Instant, beat: &Beat, answer: &BeatAnswer) {
        self.believe(sent_at);
        let mut state = self.state.lock();
        for lease in beat.held.iter().filter(|lease| !answer.keep.contains(lease)) {
            // A claim may still have been under way.
            if let Some(held) = state.held.get_mut(lease).filter(|held| held.granted_at.is_some_and(|at| at < sent_at))
            {
                held.stop = true;
            }
        }
    }

    /// Everything stops, and a new session begins.
    async fn session_ended(&self) {
        self.world.note("worker_told_ended process", None, [self.process, 0, 0, 0]);
        self.world.ledger.lock().believe(self.process, None);
        if !self.state.lock().froze && self.world.knobs.reach_workers() {
            let text = format!("worker {} did all it should, and its session was ended", self.process);
            self.world.violated(Violation { run: None, text });
        }
        self.state.lock().held.clear();
        self.open_session().await;
    }
}
