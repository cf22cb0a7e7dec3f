//! The worker runtime: turns tickets into finished steps.
//!
//! ```text
//! free slot → ticket (Redis) → claim (HTTP) → handler → finish (HTTP) ─┬→ free slot
//!                                   ▲                                  │
//!                                   └──── the next step, handed over ──┘
//! ```
//!
//! A [`Worker`] holds one session with its engines and renews it by heartbeats, which carry progress and bring back
//! what must stop. [`Handlers`] say which code does which step; a handler gets a [`StepContext`] and returns its step's
//! output or a [`StepError`]. Everything travels through the [`Transport`] port ([`HttpTransport`] for real engines) and
//! the ticket queue's port.
//!
//! The runtime never decides whether a step may run, is tried again, or counts as done: the engine does, and its
//! answers are carried out. It keeps nothing on disk, and holds no credentials but its token. It knows no browser.
//!
//! Reading order: `chain` (a slot at work), `attempt` (how an attempt ends), `session` (whether the worker may act),
//! `pulse` (heartbeats), `calls` and `lane` (how messages get there).

mod attempt;
mod batching;
mod bounds;
mod calls;
mod chain;
mod config;
mod context;
mod core;
mod desk;
mod engines;
mod handler;
mod hold;
mod http;
mod ids;
mod intake;
mod lane;
mod meter;
mod pulse;
mod session;
mod step_error;
mod transport;
mod worker;

#[cfg(test)]
mod tests;

pub use batching::Batching;
pub use bounds::{BLOB_BYTES_MAX, DRAIN_TIMEOUT, GRACE, PROGRESS_BYTES_MAX, QUEUES_MAX, REQUESTS_IN_FLIGHT, SLOTS_MAX};
pub use config::{ConfigError, WorkerConfig};
pub use context::{Blobs, StepContext};
pub use desk::{DeskError, ResourceDesk};
pub use handler::{Handler, Handlers};
pub use http::{HttpTransport, WorkerToken, connect, connect_trusting};
pub use ids::{Ids, RandomIds};
pub use session::Halted;
pub use step_error::{OrStepError, StepError};
pub use transport::{Blob, NewBlob, Transport, TransportError};
pub use worker::{Drained, Worker, WorkerError, WorkerHandle};
