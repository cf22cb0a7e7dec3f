//! The `valet` program: its roles (engine, worker, up) and the operator's verbs.
//!
//! A program with workflows of its own calls [`main`] with its registry and gets every verb.

pub mod bench;
pub mod cli;
pub mod program;
pub mod roles;
pub mod secrets;
pub mod settings;
pub mod simulate;
pub mod telemetry;

pub use program::main;
