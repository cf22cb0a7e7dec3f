//! What one puller wants and what lies ready for it: the meeting point of the caller of `next_batch`, the apalis
//! worker that fetches, and whoever learns that tickets may be waiting.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    task::Waker,
};

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Ticket;

#[derive(Default)]
pub(super) struct Intake {
    state: Mutex<State>,
    /// Rung when tickets lie ready or the intake closed. One caller listens.
    ready: Notify,
    /// Wakes the apalis worker: there is demand, or there may be tickets.
    door: AtomicWaker,
    /// Whether a fetch may find something: set by a publish, a poll, a full batch, a restart.
    promising: AtomicBool,
    /// Whether a fetch is on its way.
    fetching: AtomicBool,
}

#[derive(Default)]
struct State {
    /// How many tickets the waiting call takes; zero while no call waits.
    demand: usize,
    arrived: VecDeque<Fetched>,
    closed: bool,
}

/// A ticket that was fetched and not handed out yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fetched {
    pub id: u64,
    pub ticket: Ticket,
}

impl Intake {
    /// There may be tickets. Cheap and harmless when there are none.
    pub fn promise(&self) {
        self.promising.store(true, Ordering::SeqCst);
        self.door.wake();
    }

    /// Lets the apalis worker look again at what is wanted.
    pub fn nudge(&self) {
        self.door.wake();
    }

    /// Whether there may be tickets, and so a fetch begins. It uses the promise up, so one made later is never lost.
    pub fn begin_fetch(&self) -> bool {
        if !self.promising.load(Ordering::SeqCst) {
            return false;
        }
        self.fetching.store(true, Ordering::SeqCst);
        self.promising.store(false, Ordering::SeqCst);
        true
    }

    /// The fetch was answered, or will never be.
    pub fn end_fetch(&self) {
        self.fetching.store(false, Ordering::SeqCst);
    }

    /// Whether a call waits that nobody promised anything and nobody fetches for: those queues are worth a poll.
    pub fn is_hopeless(&self) -> bool {
        !self.promising.load(Ordering::SeqCst) && !self.fetching.load(Ordering::SeqCst) && self.wanted() > 0
    }

    pub fn watch_door(&self, waker: &Waker) {
        self.door.register(waker);
    }

    /// How many tickets to fetch now. None while some lie ready: the call that waits will leave with those.
    pub fn wanted(&self) -> usize {
        let state = self.state.lock();
        if state.closed || !state.arrived.is_empty() {
            return 0;
        }
        state.demand
    }

    /// Takes a ticket in without telling anyone: the caller gets a batch as a whole, see [`announce`](Self::announce).
    pub fn put(&self, fetched: Fetched) {
        self.state.lock().arrived.push_back(fetched);
    }

    /// Tells the waiting call that a batch is complete.
    pub fn announce(&self) {
        if !self.state.lock().arrived.is_empty() {
            self.ready.notify_one();
        }
    }

    /// Waits for tickets and takes at most `max`; `None` once closed. Cancel safe.
    pub async fn take(&self, max: usize) -> Option<Vec<Fetched>> {
        let _demand = Demand(self);
        loop {
            {
                let mut state = self.state.lock();
                if state.closed {
                    return None;
                }
                if !state.arrived.is_empty() {
                    let count = state.arrived.len().min(max);
                    return Some(state.arrived.drain(..count).collect());
                }
                state.demand = max;
            }
            self.door.wake();
            // A permit stored by an earlier announcement only makes this loop look once more.
            self.ready.notified().await;
        }
    }

    /// Ends every wait and returns what was not handed out.
    pub fn close(&self) -> Vec<Fetched> {
        let left = {
            let mut state = self.state.lock();
            state.closed = true;
            state.arrived.drain(..).collect()
        };
        self.ready.notify_one();
        left
    }
}

/// The demand of one call, gone when the call ends or is dropped.
struct Demand<'a>(&'a Intake);

impl Drop for Demand<'_> {
    fn drop(&mut self) {
        self.0.state.lock().demand = 0;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn fetched(id: u64) -> Fetched {
        let ticket = Ticket::from((uuid::Uuid::nil(), 1, 1));
        Fetched { id, ticket }
    }

    #[test]
    fn a_dropped_call_wants_nothing_and_loses_nothing() {
        let intake = Intake::default();
        assert_eq!(intake.wanted(), 0);
        let mut call = Box::pin(intake.take(5));
        assert!(call.as_mut().now_or_never().is_none());
        assert_eq!(intake.wanted(), 5);
        drop(call);
        assert_eq!(intake.wanted(), 0);
        intake.put(fetched(1));
        intake.put(fetched(2));
        assert_eq!(intake.take(1).now_or_never(), Some(Some(vec![fetched(1)])));
        assert_eq!(intake.take(5).now_or_never(), Some(Some(vec![fetched(2)])));
    }

    #[test]
    fn tickets_that_lie_ready_stop_the_fetching() {
        let intake = Intake::default();
        let mut call = Box::pin(intake.take(5));
        assert!(call.as_mut().now_or_never().is_none());
        intake.put(fetched(1));
        assert_eq!(intake.wanted(), 0);
    }

    #[test]
    fn closing_ends_the_call_and_returns_what_was_left() {
        let intake = Intake::default();
        let mut call = Box::pin(intake.take(5));
        assert!(call.as_mut().now_or_never().is_none());
        intake.put(fetched(1));
        assert_eq!(intake.close(), vec![fetched(1)]);
        assert_eq!(call.now_or_never(), Some(None));
    }
}
