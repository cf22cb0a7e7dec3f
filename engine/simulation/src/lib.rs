//! The whole engine in a seeded simulation.
//!
//! The engine's own loops (executors, commit writers, claims, dispatcher, tick) run on one thread with steered time over
//! a model of the database, a queue that loses and doubles, and workers that stall and die. Programs grown from the seed
//! use every durable operation; people, producers and operators act on them. What the engine makes of it is compared with
//! a reference and with the invariants of the design. The same seed is the same history, to the last event.
//!
//! Nothing here is part of a deployed engine. `valet simulate` and the tests call [`run`] and [`run_seed`].

mod bounds;
mod coverage;
mod dice;
mod knobs;
mod link;
mod model;
mod outside;
mod program;
pub mod record;
mod report;
mod seed;
mod trace;
mod variant;
mod verdict;
mod world;

pub use coverage::ENTRY_KINDS;
pub use report::{Failure, Progress, Report, SimulationConfig, run, run_with_progress};
pub use seed::{SeedRun, record_seed, run_seed};
pub use variant::{BrokenVariant, UnknownVariant};
