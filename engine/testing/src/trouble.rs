//! Why a run under test did not come to its end.

use valet_core::id::{RunId, Seq};
use valet_core::journal::StuckReason;
use valet_core::run::Reason;

/// What is wrong with the workflow, or with what the test says of the world outside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("a door would refuse the input: {0}")]
    InputRefused(String),
    #[error("the run is stuck: {}", .why.explain(*.run))]
    Stuck { run: RunId, why: StuckReason },
    /// Nothing that the test tells of can move it.
    #[error("the run goes no further: {}", waits_for(.0.as_ref()))]
    Waits(Option<Reason>),
    #[error("the run does not end: {transitions_max} transitions were made; {}", waits_for(.reason.as_ref()))]
    Endless { transitions_max: usize, reason: Option<Reason> },
    #[error("nothing does the step `{step}` ({seq}): tell what it comes to with `.on_step(..)`")]
    NoHandler { step: String, seq: Seq },
    #[error("the door would refuse this answer to the task `{reason}`: {problem}")]
    AnswerRefused { reason: String, problem: String },
    #[error("the form of the task `{reason}` is no JSON Schema: {problem}")]
    BadForm { reason: String, problem: String },
    #[error("nothing asked for the step `{step}`, which an operator was to skip or edit: is it called so?")]
    NeverAsked { step: String },
    #[error("the operator was refused at the step `{step}`: {why}")]
    OperatorRefused { step: String, why: String },
    /// The code does not ask for the same when it is run again from its journal.
    #[error("rebuilt from its journal at revision {revision}, the run is another: {why}")]
    Diverged { revision: u32, why: String },
}

/// A run's reason as a sentence that says what a test may do about it.
fn waits_for(reason: Option<&Reason>) -> String {
    match reason {
        None => "it has ended, and a child has not".to_owned(),
        Some(Reason::Step { name, seq }) => format!("it waits for a worker to do the step `{name}` ({seq})"),
        Some(Reason::BackingOff { name, seq, until }) => format!("the step `{name}` ({seq}) backs off until {until}"),
        Some(Reason::Parked { name, seq, code }) => {
            format!("the step `{name}` ({seq}) waits for an operator after its last attempt: {code}")
        }
        Some(Reason::Stopping { name, seq }) => format!("it waits until the step `{name}` ({seq}) has stopped"),
        Some(Reason::Person { reason, until }) => format!("it waits for a person (`{reason}`) until {until}"),
        Some(Reason::Signal { name }) => {
            format!("it waits for the signal `{name}`: send it with `.signal(..)` or `.on_wait(..)`")
        }
        Some(Reason::Event { key }) => format!("it waits for the event `{key}`: publish it with `.on_event(..)`"),
        Some(Reason::Timer { until }) => format!("it sleeps until {until}"),
        Some(Reason::Child { workflow }) => {
            format!("it waits for its child `{workflow}`: add `.workflow::<..>()` or `.on_child(..)`")
        }
        Some(Reason::Completion { name, until }) => format!(
            "it waits until {until} for somebody to complete `{name}`: do so with `.complete(..)` or `.on_completion(..)`"
        ),
        Some(Reason::Paused { by }) => format!("it is paused by {by}: resume it with `.resume_after(..)`"),
        Some(other) => format!("{other:?}"),
    }
}
