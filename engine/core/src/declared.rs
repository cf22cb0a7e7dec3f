//! Workflows that are declared as data: tasks with parents, conditions and policies, carried out by one interpreter.
//!
//! [`definition`] is the shape that people write, [`check`] finds every fault in it and makes a [`Plan`] of it, and the
//! interpreter is an ordinary `async fn` over the durable operations. A run carries its definition in its journal, so
//! that no later one changes what it does.

pub mod check;
pub mod definition;
mod interpreter;
pub mod template;

use std::collections::BTreeMap;

use serde::de::Error as _;

pub use check::{Faults, check};
pub use definition::DeclaredWorkflow;
use definition::TaskSticky;

use crate::context::Context;
use crate::expression::Expression;
use crate::payload::Payload;
use crate::step::StepPolicy;
use crate::workflow::CodeFuture;
use template::Template;

/// The code of a failure that says: an expression came to nothing.
pub const EXPRESSION_FAILED: &str = "expression_failed";

/// The code of a failure that says: what was put together for a task or for the run's output is too large.
pub const PAYLOAD_TOO_LARGE: &str = "payload_too_large";

/// A definition that was found in order.
#[derive(Clone, Debug)]
pub struct Plan {
    tasks: BTreeMap<String, PlannedTask>,
    on_failure: Option<PlannedTask>,
    output: Option<Expression>,
}

#[derive(Clone, Debug)]
struct PlannedTask {
    work: Work,
    parents: Vec<String>,
    /// Something of each group.
    waits: Vec<Vec<PlannedWait>>,
    /// `None`: the run's input and what the parents gave.
    input: Option<Template>,
    skip_if: Option<Expression>,
    cancel_if: Option<Expression>,
    /// Some task sticks to its worker.
    is_remembered: bool,
    sticky: Option<TaskSticky>,
}

#[derive(Clone, Debug)]
struct PlannedWait {
    until: Until,
    alias: Option<String>,
}

#[derive(Clone, Debug)]
enum Until {
    Slept { millis: u64 },
    Signal { name: String, filter: Option<String> },
    Published { key: PlannedKey, scope: Option<String>, filter: Option<String> },
}

/// Of the events that are waited for.
#[derive(Clone, Debug)]
enum PlannedKey {
    Pattern(String),
    Computed(Expression),
}

/// What is done for a task.
#[derive(Clone, Debug)]
enum Work {
    /// A worker's step.
    Step { name: String, policy: Box<StepPolicy> },
    /// A run of its own.
    Child { workflow: String },
}

/// The future of a run whose definition its journal holds.
pub(crate) fn start(ctx: Context, definition: &Payload, input: &Payload) -> Result<CodeFuture, serde_json::Error> {
    let definition: DeclaredWorkflow = definition.read()?;
    let plan = check(&definition).map_err(|faults| serde_json::Error::custom(faults.first_told()))?;
    Ok(Box::pin(interpreter::run(ctx, plan, input.clone())))
}
