//! Which tickets a puller handed out, and which acknowledgements are still to be sent.
//!
//! It outlives the apalis workers of its puller: each ticket remembers the worker name under which it was fetched,
//! since that is where Redis keeps it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{AckSink, QueueName, Settled};

use super::intake::Fetched;

pub(super) struct Ledger {
    queue: QueueName,
    state: Mutex<State>,
    /// Rung when there is something to do for the one who sends acknowledgements.
    work: Notify,
    /// Rung when the last acknowledgement was sent.
    settled: Notify,
}

#[derive(Default)]
struct State {
    /// The name of the apalis worker that runs now.
    worker: Arc<str>,
    held: HashMap<u64, Arc<str>>,
    settled: VecDeque<Finished>,
    beat: bool,
    closing: bool,
}

/// A ticket whose traces are to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finished {
    pub id: String,
    pub worker: Arc<str>,
}

/// What is to be done next for the ledger.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chores {
    pub finished: Vec<Finished>,
    /// The worker that had a heartbeat since the last time.
    pub beat: Option<Arc<str>>,
    /// The puller stopped, and nothing is held or unsent any more.
    pub over: bool,
}

impl Ledger {
    pub fn new(queue: QueueName) -> Self {
        Self { queue, state: Mutex::default(), work: Notify::new(), settled: Notify::new() }
    }

    /// From now on tickets are fetched under this name.
    pub fn enter_worker(&self, name: Arc<str>) {
        self.state.lock().worker = name;
    }

    pub fn hold(&self, id: u64) {
        let mut state = self.state.lock();
        let worker = Arc::clone(&state.worker);
        state.held.insert(id, worker);
    }

    /// Forgets tickets that are to be given back.
    pub fn release(&self, tickets: &[Fetched]) {
        let mut state = self.state.lock();
        for ticket in tickets {
            state.held.remove(&ticket.id);
        }
    }

    /// Has an entry removed that could not be handed out.
    pub fn refuse(&self, id: &str) {
        let mut state = self.state.lock();
        let finished = Finished { id: id.to_owned(), worker: Arc::clone(&state.worker) };
        state.settled.push_back(finished);
        drop(state);
        self.work.notify_one();
    }

    /// Tickets held and acknowledgements not sent.
    pub fn len(&self) -> usize {
        let state = self.state.lock();
        state.held.len() + state.settled.len()
    }

    /// The ids of all tickets that this process still answers for.
    pub fn ids(&self) -> HashSet<String> {
        let state = self.state.lock();
        let held = state.held.keys().map(u64::to_string);
        held.chain(state.settled.iter().map(|finished| finished.id.clone())).collect()
    }

    pub fn note_heartbeat(&self) {
        self.state.lock().beat = true;
        self.work.notify_one();
    }

    pub fn close(&self) {
        self.state.lock().closing = true;
        self.work.notify_one();
    }

    pub fn is_closing(&self) -> bool {
        self.state.lock().closing
    }

    /// Waits for something to do. What is finished stays in the ledger until [`sent`](Self::sent).
    pub async fn chores(&self, max: usize) -> Chores {
        loop {
            {
                let mut state = self.state.lock();
                let chores = Chores {
                    finished: state.settled.iter().take(max).cloned().collect(),
                    beat: std::mem::take(&mut state.beat).then(|| Arc::clone(&state.worker)),
                    over: state.closing && state.held.is_empty() && state.settled.is_empty(),
                };
                if chores != Chores::default() {
                    return chores;
                }
            }
            self.work.notified().await;
        }
    }

    /// The first `count` finished tickets left no trace.
    pub fn sent(&self, count: usize) {
        let mut state = self.state.lock();
        state.settled.drain(..count);
        if state.settled.is_empty() {
            self.settled.notify_waiters();
        }
    }

    /// Waits until no acknowledgement is unsent.
    pub async fn all_sent(&self) {
        loop {
            let rung = self.settled.notified();
            if self.state.lock().settled.is_empty() {
                return;
            }
            rung.await;
        }
    }
}

impl AckSink for Ledger {
    fn settle(&self, token: u64, settled: Settled) {
        {
            let mut state = self.state.lock();
            let Some(worker) = state.held.remove(&token) else { return };
            let id = token.to_string();
            state.settled.push_back(Finished { id, worker });
        }
        self.work.notify_one();
        if settled == Settled::Dropped {
            metrics::counter!("valet_tickets_dropped_total", "queue" => self.queue.family().to_owned()).increment(1);
        }
    }
}
