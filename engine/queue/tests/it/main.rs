//! The ticket queue against a real Redis of its own.

mod conformance_memory;
mod conformance_redis;
mod failures;
mod faults_in_memory;
mod footprint;
mod proxy;
mod server;
mod speed;
mod triggers;
