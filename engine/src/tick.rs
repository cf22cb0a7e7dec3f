//! The tick: the engine's only poll. It renews the engine's session and shards and answers what is due.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use valet_core::Timestamp;
use valet_core::command::Command;
use valet_core::id::{RunId, Seq, SessionId};

use crate::bounds::{
    MESSAGES_PER_TICK_MAX, NEAR_TIMERS_MAX, SESSION_LEASE, TICK, TICK_FULL, TICK_IDLE, TICK_MIN, TIMER_NEAR,
    TIMERS_PER_TICK_MAX,
};
use crate::dispatcher::Dispatcher;
use crate::limits::KnownLimits;
use crate::pauses::Holds;
use crate::ports::{Clock, Entropy};
use crate::routes::Routes;
use crate::store::{Due, NewSession, QueueWorkers, SessionKind, Store, StoreError};

/// How often partitions are prepared and leftovers removed.
const TIDY_EVERY: Duration = Duration::from_mins(10);
/// A gap between ticks that no worker could have bridged with heartbeats.
const OUTAGE: Duration = Duration::from_secs(3);
/// Ticks without anything due before the pace slows.
const QUIET_TICKS: u32 = 10;

/// What one tick found.
#[derive(Debug)]
struct Ticked {
    /// Something was due.
    is_busy: bool,
    /// There may be more of it than one tick returns.
    is_full: bool,
    queues: Vec<QueueWorkers>,
    /// There are limits, or steps that wait for one.
    has_limits: bool,
}

/// The tick of one engine.
pub struct Ticker<S: ?Sized> {
    pub store: Arc<S>,
    pub routes: Arc<Routes>,
    pub dispatcher: Arc<Dispatcher<S>>,
    pub holds: Arc<Holds>,
    pub limits: Arc<KnownLimits>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// The build of the workflows at hand.
    pub build: i64,
    pub name: String,
    pub session: Arc<RwLock<SessionId>>,
}

impl<S: Store + ?Sized> Ticker<S> {
    /// Opens the engine's session. After an outage of all engines workers get a fresh lease before any sweep.
    pub async fn open(&self) -> Result<(), StoreError> {
        let id = SessionId(self.entropy.uuid());
        let session = NewSession {
            id,
            kind: SessionKind::Engine,
            tenant: None,
            name: self.name.clone(),
            queues: Vec::new(),
            slots: 0,
            labels: serde_json::json!({}),
            lease: SESSION_LEASE,
        };
        // Before this engine is seen itself: the outage began when any engine was last seen.
        self.store.extend_sessions(SESSION_LEASE).await?;
        self.store.open_session(&session).await?;
        *self.session.write().unwrap_or_else(PoisonError::into_inner) = id;
        Ok(())
    }

    /// Ticks until the channel of wake-ups closes.
    pub async fn run(&self, mut wake_ups: mpsc::UnboundedReceiver<Timestamp>) {
        let mut near: BinaryHeap<Reverse<Timestamp>> = BinaryHeap::new();
        let mut last_good = Instant::now();
        let mut last_tidy: Option<Instant> = None;
        let (mut quiet, mut changes_before) = (0_u32, 0);
        let mut next = Instant::now();
        let mut sent = HashSet::new();
        loop {
            if last_tidy.is_none_or(|at| at.elapsed() >= TIDY_EVERY) {
                match self.store.tidy(self.clock.now()).await {
                    Ok(()) => last_tidy = Some(Instant::now()),
                    Err(error) => tracing::warn!(%error, "housekeeping is put off"),
                }
            }
            // A tick that only a near timer asked for leaves the rest to its own time.
            let whole = Instant::now() >= next;
            let mut is_full = false;
            match self.tick(last_good.elapsed(), &mut sent).await {
                Ok(ticked) => {
                    self.routes.set_blind(false);
                    last_good = Instant::now();
                    is_full = ticked.is_full;
                    if whole || !is_full {
                        // What has not come to its end in a second may be lost.
                        sent.clear();
                    }
                    let changes = self.routes.changes();
                    let is_busy = ticked.is_busy || changes != changes_before;
                    changes_before = changes;
                    quiet = if is_busy { 0 } else { quiet.saturating_add(1) };
                    if whole {
                        self.dispatcher.tick(ticked.queues, quiet > QUIET_TICKS).await;
                        if ticked.has_limits {
                            self.dispatcher.look_for_waiting().await;
                        }
                    }
                }
                Err(error) => {
                    self.routes.set_blind(true);
                    tracing::warn!(%error, "a tick failed");
                }
            }
            let pace = if quiet > QUIET_TICKS { TICK_IDLE } else { TICK };
            if whole {
                next = Instant::now() + pace;
            }
            let until = if is_full { next.min(Instant::now() + TICK_FULL) } else { next };
            if !self.wait(until, &mut near, &mut wake_ups).await {
                return;
            }
        }
    }

    /// Waits for the next tick, or for the earliest near timer; false once the engine stops.
    async fn wait(
        &self,
        next: Instant,
        near: &mut BinaryHeap<Reverse<Timestamp>>,
        wake_ups: &mut mpsc::UnboundedReceiver<Timestamp>,
    ) -> bool {
        let earliest = Instant::now() + TICK_MIN;
        loop {
            let now = self.clock.now();
            let due_in = near.peek().map(|Reverse(at)| (*at - now).to_std().unwrap_or(Duration::ZERO));
            let until = due_in.map_or(next, |wait| next.min((Instant::now() + wait).max(earliest)));
            tokio::select! {
                // The tick first: a flood of wake-ups must not hold it up.
                biased;
                () = tokio::time::sleep_until(until) => {
                    let now = self.clock.now();
                    while near.peek().is_some_and(|Reverse(at)| *at <= now) {
                        near.pop();
                    }
                    return true;
                }
                at = wake_ups.recv() => {
                    let Some(at) = at else { return false };
                    let is_near = (at - now).to_std().map_or(true, |wait| wait < TIMER_NEAR);
                    if is_near && near.len() < NEAR_TIMERS_MAX {
                        near.push(Reverse(at));
                    }
                }
            }
        }
    }

    /// One tick. Timers among `sent` are on their way already: full ticks come faster than commits.
    async fn tick(&self, since_last: Duration, sent: &mut HashSet<(RunId, Seq)>) -> Result<Ticked, StoreError> {
        let session = *self.session.read().unwrap_or_else(PoisonError::into_inner);
        if since_last > OUTAGE {
            self.store.extend_sessions(SESSION_LEASE).await?;
        }
        let asked = self.holds.ask();
        let mut due = self.store.tick(session, SESSION_LEASE, self.build).await?;
        // Before anything is sent that would be delivered.
        self.holds.learn(asked, std::mem::take(&mut due.pauses));
        let (has_limits, stamp) = (due.limits.is_some(), due.limits.unwrap_or_default());
        if stamp != self.limits.stamp() {
            let asked = self.limits.ask();
            self.limits.learn(asked, stamp, self.store.limits().await?);
        }
        self.routes.set_slots_of_life(due.slots_of_life);
        self.routes.admit(std::mem::take(&mut due.slot_keys));
        if due.shards.is_none() {
            tracing::warn!("the engine's session ended; it opens another");
            self.open().await?;
        }
        let is_busy = !(due.timers.is_empty()
            && due.lost.is_empty()
            && due.unknown.is_empty()
            && due.inbox.is_empty()
            && due.revivable.is_empty());
        let is_full = due.timers.len() >= TIMERS_PER_TICK_MAX || due.inbox.len() >= MESSAGES_PER_TICK_MAX;
        if is_full || !sent.is_empty() {
            due.timers.retain(|timer| sent.insert(*timer));
        }
        self.send(&due).await?;
        if !due.ready_queues.is_empty() {
            self.routes.look_for_backlog();
        }
        Ok(Ticked { is_busy, is_full, queues: due.queues, has_limits })
    }

    async fn send(&self, due: &Due) -> Result<(), StoreError> {
        for (run, seq) in &due.timers {
            self.routes.send(*run, Command::TimerDue { seq: *seq });
        }
        for lost in &due.lost {
            metrics::counter!("valet_attempts_lost_total").increment(1);
            let command = Command::AttemptLost {
                seq: lost.seq,
                attempt: lost.attempt,
                lease: lost.lease,
                effect_begun: lost.effect_begun,
            };
            self.routes.send(lost.run, command);
        }
        for unknown in &due.unknown {
            let command = Command::TakeBack {
                seq: unknown.seq,
                attempt: unknown.attempt,
                lease: unknown.lease,
                effect_begun: unknown.effect_begun,
            };
            self.routes.send(unknown.run, command);
        }
        for run in &due.revivable {
            self.routes.send(*run, Command::Revive);
        }
        let mut targets: Vec<_> = due.inbox.iter().map(|(to, ..)| *to).collect();
        targets.sort_unstable();
        targets.dedup();
        if !targets.is_empty() {
            let mut messages: BTreeMap<RunId, Vec<Command>> = BTreeMap::new();
            for message in self.store.load_inbox(&targets).await? {
                let command = Command::Inbox { from: message.from, from_seq: message.number, message: message.message };
                messages.entry(message.to).or_default().push(command);
            }
            for (run, commands) in messages {
                self.routes.send_again(run, commands);
            }
        }
        Ok(())
    }
}
