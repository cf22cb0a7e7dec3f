//! The ticket queue: how the engine nudges workers that a step is ready.
//!
//! A [`Ticket`] says "look at this attempt of this step". It may be lost, doubled, late or stale: the claim in
//! Postgres is the only gate, so nothing here needs to be exactly once. The engine pushes through [`TicketPush`],
//! workers pull through [`TicketSource`] and [`TicketPull`], and neither knows which adapter stands behind them:
//!
//! - [`ApalisRedis`]: apalis workers over `apalis-redis` storages, for everything that really runs;
//! - [`MemoryQueue`]: in process, with steered faults, for the simulation and for unit tests.
//!
//! Both pass the one suite in [`conformance`]. This crate never carries a payload, never retries a step, never decides
//! who may run what, and never keeps anything that could not be lost.

mod bounds;
#[doc(hidden)]
pub mod conformance;
mod error;
mod memory;
mod name;
mod port;
mod redis_queue;
mod ticket;
mod triggers;

pub use bounds::{MAX_BATCH, MAX_HELD};
pub use error::QueueError;
pub use memory::{Fault, MemoryQueue};
pub use name::{QueueName, QueueNameError};
pub use port::{AckHandle, AckSink, Delivered, Epoch, QueueDepth, Settled, TicketPull, TicketPush, TicketSource};
pub use redis_queue::{ApalisRedis, ApalisRedisConfig};
pub use ticket::Ticket;
pub use triggers::{RedisTriggers, TRIGGERS_MAX, TriggerSource};
