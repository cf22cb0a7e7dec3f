//! The queue in process memory, for the simulation and for unit tests.
//!
//! It reads no clock, draws no random number and starts no task: a decision function that the caller seeds says what
//! becomes of each pushed ticket, so a run is repeated exactly by its seed. It is never used by a deployed engine.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    AckHandle, AckSink, Delivered, Epoch, MAX_BATCH, QueueDepth, QueueError, QueueName, Settled, Ticket, TicketPull,
    TicketPush, TicketSource,
};

/// What becomes of one pushed ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It joins the end of its queue.
    Deliver,
    /// It vanishes, and the push succeeds.
    Lose,
    /// It is queued twice.
    Double,
    /// It overtakes up to this many tickets that wait already.
    Overtake(usize),
}

type Decide = Box<dyn FnMut(&QueueName, &Ticket) -> Fault + Send>;

/// The in-process adapter. Clones are handles to the same queues.
#[derive(Clone)]
pub struct MemoryQueue {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Rung at every change a puller may wait for.
    bell: Notify,
}

struct State {
    queues: BTreeMap<QueueName, VecDeque<Ticket>>,
    decide: Decide,
    epoch: u64,
    away: bool,
    handed_out: u64,
    dropped: u64,
    next_token: u64,
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryQueue {
    /// A queue without faults.
    pub fn new() -> Self {
        Self::with_faults(|_, _| Fault::Deliver)
    }

    /// A queue whose every pushed ticket meets the fate that `decide` names.
    pub fn with_faults(decide: impl FnMut(&QueueName, &Ticket) -> Fault + Send + 'static) -> Self {
        let state = State {
            queues: BTreeMap::new(),
            decide: Box::new(decide),
            epoch: 0,
            away: false,
            handed_out: 0,
            dropped: 0,
            next_token: 0,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), bell: Notify::new() }) }
    }

    /// Loses every waiting ticket and changes the epoch, as a flush or a restart without persistence does.
    pub fn flush(&self) {
        let mut state = self.shared.state.lock();
        state.queues.clear();
        state.epoch += 1;
    }

    /// While away every call of the pushing side fails and pullers receive nothing; nothing is lost by it.
    pub fn set_away(&self, away: bool) {
        self.shared.state.lock().away = away;
        self.shared.bell.notify_waiters();
    }

    /// Tickets that were handed out and neither acknowledged nor dropped yet.
    pub fn handed_out(&self) -> u64 {
        self.shared.state.lock().handed_out
    }

    /// Handles that were dropped without an acknowledgement since the start.
    pub fn dropped(&self) -> u64 {
        self.shared.state.lock().dropped
    }
}

impl State {
    fn reachable(&self) -> Result<(), QueueError> {
        if self.away {
            return Err(QueueError::Unreachable(redis::RedisError::from(std::io::Error::new(
                std::io::ErrorKind::ConnectionRefused,
                "the queue is away",
            ))));
        }
        Ok(())
    }

    fn put(&mut self, queue: &QueueName, ticket: Ticket) {
        let fault = (self.decide)(queue, &ticket);
        let waiting = self.queues.entry(queue.clone()).or_default();
        match fault {
            Fault::Deliver => waiting.push_back(ticket),
            Fault::Lose => {}
            Fault::Double => waiting.extend([ticket, ticket]),
            Fault::Overtake(places) => {
                let at = waiting.len().saturating_sub(places);
                waiting.insert(at, ticket);
            }
        }
    }

    fn depth(&self, queue: &QueueName) -> QueueDepth {
        QueueDepth { queue: queue.clone(), waiting: self.queues.get(queue).map_or(0, |waiting| waiting.len() as u64) }
    }
}

#[async_trait]
impl TicketPush for MemoryQueue {
    async fn push(&self, batch: &[(QueueName, Vec<Ticket>)]) -> Result<Vec<QueueDepth>, QueueError> {
        let depths = {
            let mut state = self.shared.state.lock();
            state.reachable()?;
            for (queue, tickets) in batch {
                for ticket in tickets {
                    state.put(queue, *ticket);
                }
            }
            batch.iter().map(|(queue, _)| state.depth(queue)).collect()
        };
        self.shared.bell.notify_waiters();
        Ok(depths)
    }

    async fn depths(&self, queues: &[QueueName]) -> Result<Vec<QueueDepth>, QueueError> {
        let state = self.shared.state.lock();
        state.reachable()?;
        Ok(queues.iter().map(|queue| state.depth(queue)).collect())
    }

    async fn epoch(&self) -> Result<Epoch, QueueError> {
        let state = self.shared.state.lock();
        state.reachable()?;
        Ok(Epoch::new(format!("memory-{}", state.epoch)))
    }
}

impl TicketSource for MemoryQueue {
    fn open(&self, queue: &QueueName) -> Box<dyn TicketPull> {
        Box::new(MemoryPuller { shared: Arc::clone(&self.shared), queue: queue.clone(), stopped: false })
    }
}

struct MemoryPuller {
    shared: Arc<Shared>,
    queue: QueueName,
    stopped: bool,
}

#[async_trait]
impl TicketPull for MemoryPuller {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Option<Vec<Delivered>> {
        let max = max.get().min(MAX_BATCH);
        loop {
            if self.stopped {
                return None;
            }
            // Listening starts before looking, so a push in between is not missed.
            let rung = self.shared.bell.notified();
            let batch = Shared::take(&self.shared, &self.queue, max);
            if !batch.is_empty() {
                return Some(batch);
            }
            rung.await;
        }
    }

    async fn stop(&mut self) {
        self.stopped = true;
    }
}

impl Shared {
    fn take(self: &Arc<Self>, queue: &QueueName, max: usize) -> Vec<Delivered> {
        let mut state = self.state.lock();
        if state.away {
            return Vec::new();
        }
        let tickets: Vec<Ticket> = state.queues.get_mut(queue).map_or_else(Vec::new, |waiting| {
            let count = waiting.len().min(max);
            waiting.drain(..count).collect()
        });
        state.handed_out += tickets.len() as u64;
        let sink: Arc<dyn AckSink> = Arc::<Self>::clone(self);
        tickets
            .into_iter()
            .map(|ticket| {
                state.next_token += 1;
                let ack = AckHandle::new(state.next_token, Arc::clone(&sink));
                Delivered { ticket, ack }
            })
            .collect()
    }
}

impl AckSink for Shared {
    fn settle(&self, _token: u64, settled: Settled) {
        let mut state = self.state.lock();
        state.handed_out -= 1;
        if settled == Settled::Dropped {
            state.dropped += 1;
        }
    }
}
