//! The `valet` program: its roles (engine, worker, up) and the operator's verbs.
//!
//! A program with workflows of its own calls [`main`] with its registry and gets every verb:
//!
//! ```no_run
//! # fn registry() -> valet::Registry { valet::Registry::new(1) }
//! fn main() {
//!     valet::main(registry())
//! }
//! ```

pub mod bench;
pub mod classify;
pub mod cli;
pub mod hooks;
pub mod program;
mod registry;
pub mod replay_check;
pub mod roles;
mod sandbox_event;
pub mod secrets;
pub mod settings;
pub mod simulate;
pub mod telemetry;
pub mod tls;
mod tools;

pub use program::main;
pub use registry::Registry;
pub use valet_core::journal::{HumanOutcome, HumanSpec};
pub use valet_core::{Backoff, Context, Failure, Step, StepFailure, StepPolicy, Stop, Workflow, workflows};
pub use valet_workers::runtime::{StepContext, StepError};
