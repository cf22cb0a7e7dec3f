//! What a contract does to a run that would otherwise go well.

use std::fmt;

use valet_core::id::{RunId, Seq};
use valet_core::{Failure, Outcome, Payload};

/// One disturbance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meddling {
    None,
    /// A fault that an operator put right.
    Lifted,
    /// The step that is called there fails.
    Fault {
        run: RunId,
        seq: Seq,
        fault: Fault,
    },
    /// The engine dies with this transition: before it is stored, or right after.
    Crash {
        transition: usize,
        stored: bool,
    },
    /// Somebody cancels the run after this transition.
    CancelAfter {
        transition: usize,
    },
    /// Somebody cancels the run while a worker is at this attempt.
    CancelDuring {
        attempt: usize,
    },
    /// Somebody pauses the run after this transition, and resumes it when nothing else moves.
    PauseAfter {
        transition: usize,
    },
    /// An operator ends the step with this output before any worker takes it.
    Skip {
        run: RunId,
        seq: Seq,
        output: Payload,
    },
    /// An operator gives the step its own input once more before any worker takes it.
    Edit {
        run: RunId,
        seq: Seq,
    },
    /// Nobody completes what the run waits for there.
    Uncompleted {
        run: RunId,
        seq: Seq,
    },
    /// It is completed with a failure.
    CompletionFails {
        run: RunId,
        seq: Seq,
        code: String,
    },
    /// Workers take along whatever they may.
    HandOver,
}

/// How a step fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Every attempt may be tried again, until none is left.
    Exhausted {
        code: String,
    },
    Failed {
        code: String,
    },
    Blocked {
        code: String,
    },
    /// The first attempt's worker vanishes; the next attempt goes well.
    Lost,
    /// The worker vanishes after it began the effect.
    InDoubt,
    /// No worker takes it before its schedule timeout.
    NotStarted,
}

/// What a worker's attempt looks like from the engine.
pub(crate) enum Attempted {
    Said(Outcome),
    Vanished { effect_begun: bool },
}

impl Fault {
    /// How an attempt ends; `None`: as it would without.
    pub fn of_attempt(&self, attempt: u32) -> Option<Attempted> {
        let failure = |code: &str| Failure::new(code, "the contract lets this step fail");
        Some(match self {
            Self::Exhausted { code } => Attempted::Said(Outcome::Retry { error: failure(code), after_ms: None }),
            Self::Failed { code } => Attempted::Said(Outcome::Fail { error: failure(code) }),
            Self::Blocked { code } => Attempted::Said(Outcome::Blocked { reason: failure(code) }),
            Self::Lost if attempt == 1 => Attempted::Vanished { effect_begun: false },
            Self::InDoubt if attempt == 1 => Attempted::Vanished { effect_begun: true },
            Self::Lost | Self::InDoubt | Self::NotStarted => return None,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted { code } => write!(f, "every attempt fails with `{code}`"),
            Self::Failed { code } => write!(f, "it fails for good with `{code}`"),
            Self::Blocked { code } => write!(f, "it is blocked with `{code}`"),
            Self::Lost => write!(f, "the first attempt's worker vanishes"),
            Self::InDoubt => write!(f, "its worker vanishes after the effect began"),
            Self::NotStarted => write!(f, "no worker takes it in time"),
        }
    }
}
