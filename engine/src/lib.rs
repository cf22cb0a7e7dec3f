//! The durable engine: store (Postgres), commit, dispatch (Redis), timers, sweeps, HTTP. Knows no browser.

pub mod bounds;
pub mod codec;
pub mod store;
