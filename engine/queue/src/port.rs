//! The port: what the engine and the workers may ask of a ticket queue, and nothing more.

use std::{fmt, num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{QueueError, QueueName, Ticket};

/// The pushing side, used by the engine after its commits.
#[async_trait]
pub trait TicketPush: Send + Sync {
    /// Pushes tickets of many queues at once, wakes their pollers, and answers the depth of each named queue after the
    /// push, in the order of `batch`. On an error any part of the batch may have been pushed.
    async fn push(&self, batch: &[(QueueName, Vec<Ticket>)]) -> Result<Vec<QueueDepth>, QueueError>;

    /// How many tickets wait in each queue, in the order asked.
    async fn depths(&self, queues: &[QueueName]) -> Result<Vec<QueueDepth>, QueueError>;

    /// A value that changes when the queue may have lost tickets as a whole (a flush, a restart, a failover) and at no
    /// other time. One cheap command: it is asked every tick.
    async fn epoch(&self) -> Result<Epoch, QueueError>;
}

/// The pulling side, used by workers.
pub trait TicketSource: Send + Sync {
    /// Opens a puller on a queue. It never fails: while the queue cannot be reached the puller tries again by itself,
    /// at a bounded rate. Must be called inside a tokio runtime.
    fn open(&self, queue: &QueueName) -> Box<dyn TicketPull>;
}

/// One puller of one queue. It survives every failure of the transport below it.
#[async_trait]
pub trait TicketPull: Send {
    /// Waits for tickets and hands out at most `max` of them (and at most [`MAX_BATCH`](crate::MAX_BATCH)), in one
    /// round trip where possible; `None` after `stop`.
    ///
    /// A worker takes `max` free slots before it calls: no ticket is fetched beyond them, and none while no call is
    /// waiting. Cancel safe: what a dropped call had fetched comes out of the next one.
    async fn next_batch(&mut self, max: NonZeroUsize) -> Option<Vec<Delivered>>;

    /// Waits for one ticket.
    async fn next(&mut self) -> Option<Delivered> {
        self.next_batch(NonZeroUsize::MIN).await.and_then(|mut batch| batch.pop())
    }

    /// Fetches nothing more, gives back what was fetched and not handed out, and waits for acknowledgements to be
    /// sent, all within seconds even when the queue is away. What was handed out may still be acknowledged afterwards.
    async fn stop(&mut self);
}

/// A ticket in the hands of a worker.
#[derive(Debug)]
pub struct Delivered {
    pub ticket: Ticket,
    /// To be acknowledged as soon as the claim of the ticket is answered, whatever the answer was.
    pub ack: AckHandle,
}

/// Acknowledges one delivered ticket, which removes every trace of it from the queue.
///
/// Dropped without [`ack`](Self::ack) the ticket is gone as well: the engine pushes a new one if its step still waits.
/// The difference is counted, since a worker that works well drops none.
#[must_use = "a dropped handle loses its ticket"]
pub struct AckHandle {
    token: u64,
    sink: Option<Arc<dyn AckSink>>,
}

/// Where an adapter learns what became of the tickets it handed out. Called once per handle; must not block.
pub trait AckSink: Send + Sync {
    fn settle(&self, token: u64, settled: Settled);
}

/// What became of a delivered ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Acked,
    Dropped,
}

impl AckHandle {
    /// For adapters: `token` is theirs and comes back in [`AckSink::settle`].
    pub fn new(token: u64, sink: Arc<dyn AckSink>) -> Self {
        Self { token, sink: Some(sink) }
    }

    /// Returns at once; the adapter sends acknowledgements in batches of its own.
    pub fn ack(mut self) {
        if let Some(sink) = self.sink.take() {
            sink.settle(self.token, Settled::Acked);
        }
    }
}

impl Drop for AckHandle {
    fn drop(&mut self) {
        if let Some(sink) = self.sink.take() {
            sink.settle(self.token, Settled::Dropped);
        }
    }
}

impl fmt::Debug for AckHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckHandle").field("token", &self.token).finish_non_exhaustive()
    }
}

/// How many tickets wait in a queue. Tickets in the hands of workers are not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueDepth {
    pub queue: QueueName,
    pub waiting: u64,
}

/// An opaque value to store and compare, see [`TicketPush::epoch`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(String);

impl Epoch {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
