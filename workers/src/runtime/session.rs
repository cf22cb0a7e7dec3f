//! A session as the worker sees it: whether it may act, by the monotonic clock, without asking anyone.
//!
//! The engine lets a session live for `lease_ms` after each heartbeat it answered. The worker counts from the instant
//! it *sent* that heartbeat and stops acting a second earlier. Whether it may act is computed from the clock at each
//! question and never kept as a flag: a process that was stopped and continued finds out before it acts. Only the sleep
//! of a whole machine is not counted by that clock; there the fences hold, of the engine and of the driver's gate.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use valet_core::id::SessionId;
use valet_protocol::worker::SessionOpened;

use super::bounds::SUSPEND_EARLY;

/// Why a handler may not act outwardly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halted {
    /// No engine answered for almost a lease. It may go on once an engine says that the lease is still ours.
    #[error("the worker is out of touch with its engines and suspended")]
    Suspended,
    /// The lease is lost, or the engine or a drain told the step to stop. Final.
    #[error("the step was told to stop")]
    Stopped,
}

/// Whether a session may act now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Running,
    Suspended,
    Stopped,
}

#[derive(Clone, Copy)]
struct Leash {
    suspend_at: Instant,
    ended: bool,
}

impl Leash {
    fn standing(self) -> Standing {
        if self.ended {
            Standing::Stopped
        } else if Instant::now() >= self.suspend_at {
            Standing::Suspended
        } else {
            Standing::Running
        }
    }
}

/// One session, from its opening to its end.
pub(super) struct Session {
    pub id: SessionId,
    pub heartbeat: Duration,
    pub lease: Duration,
    leash: watch::Sender<Leash>,
}

impl Session {
    /// `asked` is the instant at which the request was sent that opened it.
    pub fn opened(opened: &SessionOpened, asked: Instant) -> Self {
        let lease = Duration::from_millis(opened.lease_ms);
        let suspend_at = asked + reach(lease);
        Self {
            id: opened.session,
            heartbeat: Duration::from_millis(opened.heartbeat_ms),
            lease,
            leash: watch::Sender::new(Leash { suspend_at, ended: false }),
        }
    }

    pub fn standing(&self) -> Standing {
        self.leash.borrow().standing()
    }

    pub fn is_ended(&self) -> bool {
        self.leash.borrow().ended
    }

    /// An engine said `yours` to the heartbeat that was sent at `sent`. An answer that took too long renews nothing.
    pub fn renew(&self, sent: Instant, lease: Duration) {
        let suspend_at = sent + reach(lease);
        self.leash.send_if_modified(|leash| {
            let later = suspend_at > leash.suspend_at;
            leash.suspend_at = leash.suspend_at.max(suspend_at);
            later
        });
    }

    pub fn end(&self) {
        self.leash.send_modify(|leash| leash.ended = true);
    }

    /// Waits while suspended. The caller asks again right before it acts.
    pub async fn running(&self) -> Result<(), Halted> {
        let mut changes = self.leash.subscribe();
        loop {
            let leash = *changes.borrow_and_update();
            match leash.standing() {
                Standing::Running => return Ok(()),
                Standing::Stopped => return Err(Halted::Stopped),
                // The sender lives as long as `self`.
                Standing::Suspended => drop(changes.changed().await),
            }
        }
    }

    /// Waits until the session is suspended or has ended.
    pub async fn halted(&self) {
        let mut changes = self.leash.subscribe();
        loop {
            let leash = *changes.borrow_and_update();
            if leash.standing() != Standing::Running {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(leash.suspend_at) => {}
                _ = changes.changed() => {}
            }
        }
    }

    pub async fn ended(&self) {
        // The sender lives as long as `self`.
        drop(self.leash.subscribe().wait_for(|leash| leash.ended).await);
    }
}

/// How long after an answered heartbeat was sent the worker may act. Half of a lease that is shorter than two seconds.
fn reach(lease: Duration) -> Duration {
    lease.saturating_sub(SUSPEND_EARLY).max(lease / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(lease_ms: u64) -> Session {
        let id = SessionId(uuid::Uuid::nil());
        Session::opened(&SessionOpened { protocol: 1, session: id, heartbeat_ms: 2_000, lease_ms }, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn silence_suspends_a_second_before_the_lease_and_only_yours_ends_it() {
        let session = session(15_000);
        tokio::time::advance(Duration::from_millis(13_999)).await;
        assert_eq!(session.standing(), Standing::Running);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(session.standing(), Standing::Suspended);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(session.standing(), Standing::Suspended);
        session.renew(Instant::now(), session.lease);
        assert_eq!(session.standing(), Standing::Running);
        session.end();
        session.renew(Instant::now() + Duration::from_mins(1), session.lease);
        assert_eq!(session.standing(), Standing::Stopped);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_took_longer_than_the_lease_renews_nothing() {
        let session = session(15_000);
        let sent = Instant::now() + Duration::from_secs(2);
        tokio::time::advance(Duration::from_secs(17)).await;
        session.renew(sent, session.lease);
        assert_eq!(session.standing(), Standing::Suspended);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_of_an_older_heartbeat_does_not_shorten_the_leash() {
        let session = session(15_000);
        let older = Instant::now();
        tokio::time::advance(Duration::from_secs(4)).await;
        session.renew(Instant::now(), session.lease);
        session.renew(older, session.lease);
        tokio::time::advance(Duration::from_millis(13_999)).await;
        assert_eq!(session.standing(), Standing::Running);
    }
}
