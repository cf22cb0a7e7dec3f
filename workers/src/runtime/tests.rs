//! The runtime against a small reference engine (grants, fences, leases, hand-over), in steered time and over HTTP.

mod batches;
mod batching;
mod drains;
mod effects;
mod engine;
mod outcomes;
mod over_http;
mod placement;
mod rig;
mod sessions;
mod speed;
mod stopped;
mod work;
