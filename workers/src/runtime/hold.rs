//! What the worker has in hand: one hold for each granted step, listed in every heartbeat until its finish is answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use valet_core::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use valet_core::payload::Payload;
use valet_protocol::worker::{Grant, Held, StepCost};

use super::bounds::{COSTS_MAX, HEARTBEAT_PROGRESS_BYTES_MAX};
use super::session::Session;

/// Why a handler must stop. A later one replaces an earlier one only if it is stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StopReason {
    /// The worker drains and its time is over.
    Drain,
    /// The engine told us: cancelled, lost or unknown.
    Told,
    /// The session ended, its leases with it: no result will be taken.
    SessionEnded,
}

/// One granted step.
pub(super) struct Hold {
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
    pub session: Arc<Session>,
    stop: watch::Sender<Option<StopReason>>,
    effect_begun: AtomicBool,
    progress: Mutex<Progress>,
    costs: Mutex<Vec<StepCost>>,
    times: Mutex<Times>,
    /// The engine wants to hear whether its handler lives.
    must_speak: bool,
}

/// When the handler was last heard of, and when its time began.
struct Times {
    heard_at: Instant,
    began_at: Instant,
    /// Its time began anew, and no engine was told.
    refresh: bool,
    /// The last word of the handler that an engine answered for.
    told_at: Instant,
}

#[derive(Default)]
struct Progress {
    latest: Option<Payload>,
    version: u64,
    /// The last version that an engine answered for.
    told: u64,
}

impl Hold {
    /// What is paid for the same is summed; beyond [`COSTS_MAX`] kinds it is all one.
    pub fn add_cost(&self, what: &str, usd_micros: u64) {
        let mut costs = self.costs.lock();
        let full = costs.len() >= COSTS_MAX;
        let what = if full && !costs.iter().any(|cost| cost.what == what) { "other" } else { what };
        match costs.iter_mut().find(|cost| cost.what == what) {
            Some(cost) => cost.usd_micros = cost.usd_micros.saturating_add(usd_micros),
            None => costs.push(StepCost { what: what.to_owned(), usd_micros }),
        }
    }

    pub fn costs(&self) -> Vec<StepCost> {
        self.costs.lock().clone()
    }

    /// The handler lives.
    pub fn heard(&self) {
        self.times.lock().heard_at = Instant::now();
    }

    /// The attempt's time begins anew.
    pub fn refresh(&self) {
        let mut times = self.times.lock();
        let now = Instant::now();
        *times = Times { heard_at: now, began_at: now, refresh: true, told_at: times.told_at };
    }

    /// Waits until the attempt took longer than `limit`.
    pub async fn took_longer_than(&self, limit: Duration) {
        self.passed(limit, |times| times.began_at).await;
    }

    /// Waits until the handler said nothing for `limit`.
    pub async fn silent_for(&self, limit: Duration) {
        self.passed(limit, |times| times.heard_at).await;
    }

    async fn passed(&self, limit: Duration, since: fn(&Times) -> Instant) {
        loop {
            let until = since(&self.times.lock()) + limit;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    pub fn stop_reason(&self) -> Option<StopReason> {
        *self.stop.borrow()
    }

    /// Waits until the step must stop.
    pub async fn stopped(&self) {
        // The sender lives as long as `self`.
        drop(self.stop.subscribe().wait_for(Option::is_some).await);
    }

    fn stop(&self, reason: StopReason) {
        self.stop.send_if_modified(|current| {
            let stronger = *current < Some(reason);
            if stronger {
                *current = Some(reason);
            }
            stronger
        });
    }

    pub fn effect_begins(&self) {
        self.effect_begun.store(true, Ordering::Release);
    }

    pub fn effect_begun(&self) -> bool {
        self.effect_begun.load(Ordering::Acquire)
    }

    pub fn set_progress(&self, latest: Payload) {
        self.heard();
        let mut progress = self.progress.lock();
        if progress.latest.as_ref() != Some(&latest) {
            progress.latest = Some(latest);
            progress.version += 1;
        }
    }
}

/// All holds of the worker. There are never more than slots.
#[derive(Default)]
pub(super) struct Holds {
    by_lease: Mutex<HashMap<LeaseId, Arc<Hold>>>,
}

/// Keeps a hold listed; dropped, the engine takes the step back after two heartbeats without it.
pub(super) struct HoldGuard {
    holds: Arc<Holds>,
    pub hold: Arc<Hold>,
}

impl Drop for HoldGuard {
    fn drop(&mut self) {
        self.holds.by_lease.lock().remove(&self.hold.lease);
    }
}

/// What one heartbeat lists, and which progress it carries.
pub(super) struct HeldList {
    pub held: Vec<Held>,
    carried: Vec<(Arc<Hold>, u64)>,
    /// Whose time began anew, and when.
    refreshed: Vec<(Arc<Hold>, Instant)>,
    /// Whose handler was heard of, and when.
    spoken: Vec<(Arc<Hold>, Instant)>,
}

impl HeldList {
    /// An engine answered: what was carried need not be carried again.
    pub fn answered(&self) {
        for (hold, version) in &self.carried {
            let mut progress = hold.progress.lock();
            progress.told = progress.told.max(*version);
        }
        for (hold, began_at) in &self.refreshed {
            let mut times = hold.times.lock();
            times.refresh &= times.began_at > *began_at;
        }
        for (hold, heard_at) in &self.spoken {
            hold.times.lock().told_at = *heard_at;
        }
    }
}

impl Holds {
    pub fn take(self: &Arc<Self>, grant: &Grant, session: &Arc<Session>) -> HoldGuard {
        let now = Instant::now();
        let hold = Arc::new(Hold {
            run: grant.run,
            seq: grant.seq,
            attempt: grant.attempt,
            lease: grant.lease,
            session: Arc::clone(session),
            stop: watch::Sender::new(None),
            effect_begun: AtomicBool::new(false),
            progress: Mutex::default(),
            costs: Mutex::default(),
            times: Mutex::new(Times { heard_at: now, began_at: now, refresh: false, told_at: now }),
            must_speak: grant.heartbeat_timeout_ms.is_some(),
        });
        self.by_lease.lock().insert(hold.lease, Arc::clone(&hold));
        // A session that ended before the insertion has stopped its holds already, without this one.
        if session.is_ended() {
            hold.stop(StopReason::SessionEnded);
        }
        HoldGuard { holds: Arc::clone(self), hold }
    }

    pub fn stop(&self, leases: &[LeaseId]) {
        let holds = self.by_lease.lock();
        for hold in leases.iter().filter_map(|lease| holds.get(lease)) {
            tracing::info!(run = %hold.run, seq = %hold.seq, attempt = %hold.attempt, "told to stop");
            hold.stop(StopReason::Told);
        }
    }

    pub fn session_ended(&self, session: SessionId) {
        for hold in self.by_lease.lock().values().filter(|hold| hold.session.id == session) {
            hold.stop(StopReason::SessionEnded);
        }
    }

    pub fn drain(&self) {
        for hold in self.by_lease.lock().values() {
            hold.stop(StopReason::Drain);
        }
    }

    /// The list for a heartbeat of `session`, with the progress that changed and fits.
    pub fn list(&self, session: SessionId) -> HeldList {
        let mut list = HeldList { held: Vec::new(), carried: Vec::new(), refreshed: Vec::new(), spoken: Vec::new() };
        let mut bytes = 0;
        for hold in self.by_lease.lock().values().filter(|hold| hold.session.id == session) {
            let progress = hold.progress.lock();
            let news = progress.latest.as_ref().filter(|_| progress.version > progress.told);
            let news = news.filter(|news| bytes + news.len_bytes() <= HEARTBEAT_PROGRESS_BYTES_MAX).cloned();
            if let Some(news) = &news {
                bytes += news.len_bytes();
                list.carried.push((Arc::clone(hold), progress.version));
            }
            let (refresh, began_at, heard_at, told_at) = {
                let times = hold.times.lock();
                (times.refresh, times.began_at, times.heard_at, times.told_at)
            };
            let alive = hold.must_speak && heard_at > told_at;
            if alive {
                list.spoken.push((Arc::clone(hold), heard_at));
            }
            if refresh {
                list.refreshed.push((Arc::clone(hold), began_at));
            }
            let Hold { run, seq, attempt, lease, .. } = **hold;
            list.held.push(Held { run, seq, attempt, lease, progress: news, refresh, alive });
        }
        list
    }
}
