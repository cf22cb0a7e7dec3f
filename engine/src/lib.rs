//! The durable engine: store (Postgres), commit, dispatch (Redis), timers, sweeps, HTTP. Knows no browser.

pub mod access;
pub mod audit;
pub mod blobs;
pub mod bounds;
pub mod claimer;
pub mod codec;
pub mod dispatcher;
pub mod engine;
pub mod executor;
pub mod housekeeping;
pub mod http;
pub mod loader;
pub mod notify;
pub mod pauses;
pub mod ports;
pub mod replay_check;
pub mod retention;
pub mod routes;
pub mod schedule;
pub mod store;
pub mod task_link;
pub mod threads;
pub mod tick;
pub mod trigger;
pub mod watches;
pub mod writer;
