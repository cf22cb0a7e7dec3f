//! What the world outside answers: words for handlers.

use serde::Serialize;
use valet_core::command::TaskAnswer;
use valet_core::{Failure, Outcome, Payload};

const MESSAGE: &str = "said by the test";

/// The attempt succeeds. A handler of a typed step returns `Ok(output)` instead.
///
/// # Panics
/// If the output is not JSON.
#[track_caller]
pub fn done<T: Serialize + ?Sized>(output: &T) -> Outcome {
    Outcome::Done { output: payload(output) }
}

/// The attempt fails, and another may do better.
pub fn retry(code: &str) -> Outcome {
    Outcome::Retry { error: Failure::new(code, MESSAGE), after_ms: None }
}

/// The step fails for good.
pub fn fail(code: &str) -> Outcome {
    Outcome::Fail { error: Failure::new(code, MESSAGE) }
}

/// What the step works with refuses it.
pub fn blocked(code: &str) -> Outcome {
    Outcome::Blocked { reason: Failure::new(code, MESSAGE) }
}

/// The worker vanishes before the step's effect began.
pub fn lost() -> Outcome {
    Outcome::Lost
}

/// What a person does with a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Person {
    Answers(Payload),
    Rejects(String),
    /// The task's deadline passes.
    StaysSilent,
}

impl Person {
    /// # Panics
    /// If the answer is not JSON.
    #[track_caller]
    pub fn answers<T: Serialize + ?Sized>(answer: &T) -> Self {
        Self::Answers(payload(answer))
    }

    pub fn rejects(reason: &str) -> Self {
        Self::Rejects(reason.to_owned())
    }

    pub(crate) fn into_answer(self) -> Option<TaskAnswer> {
        match self {
            Self::Answers(answer) => Some(TaskAnswer::Answered(answer)),
            Self::Rejects(reason) => Some(TaskAnswer::Rejected { reason }),
            Self::StaysSilent => None,
        }
    }
}

/// What an operator does with a step that waits for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Ends it with this output.
    Skips(Payload),
    /// Gives it another input, and lets it try again.
    Edits(Payload),
    Retries,
    StaysAway,
}

impl Operator {
    /// # Panics
    /// If the output is not JSON.
    #[track_caller]
    pub fn skips<T: Serialize + ?Sized>(output: &T) -> Self {
        Self::Skips(payload(output))
    }

    /// # Panics
    /// If the input is not JSON.
    #[track_caller]
    pub fn edits<T: Serialize + ?Sized>(input: &T) -> Self {
        Self::Edits(payload(input))
    }
}

#[track_caller]
pub(crate) fn payload<T: Serialize + ?Sized>(value: &T) -> Payload {
    match Payload::of(value) {
        Ok(payload) => payload,
        Err(error) => panic!("a test's value is not JSON: {error}"),
    }
}
