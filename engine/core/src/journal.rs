//! What is recorded of a run: operations in the order the code called them, resolutions in the order they were
//! delivered, and facts that people and sweeps added. A run's state is the fold of its entries, and nothing else.
//!
//! Entries of one transition share that transition's instant. The enum is tagged externally because payloads inside are
//! kept as raw text, which serde cannot do through a buffered tag.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::id::{Attempt, LeaseId, RunId, Seq, TaskId};
use crate::payload::Payload;
use crate::step::{Failure, StepFailure, StepPolicy};

/// One entry of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The run began. Always the first entry.
    Started {
        input: Payload,
        /// The declared workflow that the run carries out; absent: its name's code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        definition: Option<Payload>,
    },

    /// The code called an operation.
    Op {
        seq: Seq,
        op: Op,
    },
    /// The code dropped an operation's future before it was resolved: a race's loser.
    Dropped {
        seq: Seq,
    },

    /// Delivered to the code at once.
    Resolved {
        seq: Seq,
        with: Resolution,
    },
    /// Arrived while the run was paused or stuck; waits in order.
    Held {
        seq: Seq,
        with: Resolution,
    },
    /// The oldest held resolution was delivered.
    Released,

    /// An attempt ended without ending its step.
    AttemptEnded {
        seq: Seq,
        attempt: Attempt,
        /// The lease whose finish said so; absent when a sweep ended it, whose late finish is refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<LeaseId>,
        why: AttemptEnd,
        /// When the next attempt may start; `None`: the step waits for an operator.
        next_at: Option<Timestamp>,
    },
    /// A step that was told to stop while the run closed has ended, or its lease has.
    StepStopped {
        seq: Seq,
        attempt: Attempt,
        /// The lease whose finish said so; absent when nobody was granted it, or a sweep ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<LeaseId>,
    },
    /// The schedule timeout of an attempt that a worker had taken, or that waits for an operator, is over with.
    StartedInTime {
        seq: Seq,
    },
    /// A message came in for a channel of this run.
    SignalKept {
        name: String,
        key: String,
        payload: Payload,
    },

    Paused {
        by: String,
    },
    Unpaused {
        by: String,
    },
    CancelRequested {
        by: String,
        reason: String,
    },
    /// An operator let an exhausted step try again.
    RetryRequested {
        seq: Seq,
        by: String,
    },
    /// An operator gave the step's next attempts another input.
    InputChanged {
        seq: Seq,
        by: String,
        input: Payload,
    },
    /// An operator says what a step comes to, in a worker's place; its resolution follows.
    Skipped {
        seq: Seq,
        by: String,
    },
    /// An operator ended the run without waiting for what is at work. Without `cleanup` what was to be cleaned is left too.
    Killed {
        by: String,
        reason: String,
        cleanup: bool,
    },
    Stuck {
        why: StuckReason,
    },
    Mended {
        by: String,
    },

    /// The outcome is fixed; what was begun is now ended and cleaned.
    Closing {
        outcome: RunOutcome,
    },
    /// A finalizer was started by the engine.
    FinalizerStarted {
        seq: Seq,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start_by: Option<Timestamp>,
    },
    /// Nothing is left to do.
    Ended,
}

/// What the code asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    Step(StepOp),
    Sleep {
        until: Timestamp,
    },
    Wait {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
    },
    Human {
        task: HumanSpec,
    },
    Child {
        workflow: String,
        input: Payload,
    },
    /// Registers a step that runs when the run ends, however it ends.
    Finally(StepOp),
    /// Runs the finalizer registered at `of` now.
    FinallyNow {
        of: Seq,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start_by: Option<Timestamp>,
    },
    Log {
        message: String,
    },
    Status {
        text: String,
    },
    /// Told to listeners outside.
    Emit {
        kind: String,
        data: Payload,
    },
}

impl Op {
    /// The word for the operation in messages and pages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Step(_) => "step",
            Self::Sleep { .. } => "sleep",
            Self::Wait { .. } => "wait",
            Self::Human { .. } => "human",
            Self::Child { .. } => "child",
            Self::Finally(_) => "finally",
            Self::FinallyNow { .. } => "finally_now",
            Self::Log { .. } => "log",
            Self::Status { .. } => "status",
            Self::Emit { .. } => "emit",
        }
    }

    /// What tells two operations of a kind apart on replay. Inputs are left out: a changed input only warns.
    pub fn name(&self) -> &str {
        match self {
            Self::Step(step) | Self::Finally(step) => &step.name,
            Self::Wait { name, .. } => name,
            Self::Child { workflow, .. } => workflow,
            Self::Human { task } => &task.reason,
            Self::Emit { kind, .. } => kind,
            Self::Sleep { .. } | Self::FinallyNow { .. } | Self::Log { .. } | Self::Status { .. } => "",
        }
    }

    pub fn matches(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.name() == other.name()
    }
}

/// A step as recorded: enough to run it without the code that asked for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepOp {
    pub name: String,
    pub input: Payload,
    #[serde(default, skip_serializing_if = "is_default_policy")]
    pub policy: StepPolicy,
    /// The machine that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// By when a worker must have taken the first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_by: Option<Timestamp>,
}

fn is_default_policy(policy: &StepPolicy) -> bool {
    *policy == StepPolicy::default()
}

/// A task for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HumanSpec {
    /// Stable word: `unknown_question`, `review`, `captcha`, `login`, `code`, `in_doubt` …
    pub reason: String,
    pub title: String,
    /// JSON Schema of the answer; what does not fit is refused.
    pub form: Payload,
    /// What the person needs to see: questions, links, artifact ids.
    #[serde(default)]
    pub context: Payload,
    /// After this the task ends as timed out.
    pub deadline: Timestamp,
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// `attempt` and `lease` let a repeated finish find its first answer.
    StepDone {
        attempt: Attempt,
        lease: Option<LeaseId>,
        output: Payload,
    },
    StepFailed {
        attempt: Attempt,
        lease: Option<LeaseId>,
        failure: StepFailure,
    },
    TimerFired,
    /// The oldest message of the channel; its payload is in the `SignalKept` entry too, so it is taken from there.
    SignalTaken,
    WaitTimedOut,
    Human(HumanOutcome),
    ChildEnded {
        outcome: RunOutcome,
    },
}

/// How a task for a person ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HumanOutcome {
    Answered { by: String, key: String, answer: Payload },
    Rejected { by: String, key: String, reason: String },
    TimedOut,
}

/// Why an attempt ended without ending its step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEnd {
    Failed(Failure),
    Lost,
    HandedBack,
}

/// How a run ends. Fixed on entry to `closing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    Succeeded { output: Payload },
    Failed { error: Failure },
    Cancelled { by: String, reason: String },
    TimedOut { error: Failure },
}

impl RunOutcome {
    /// The terminal status as stored and shown.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
            Self::TimedOut { .. } => "timed_out",
        }
    }
}

/// Why a run cannot go on with this build of its code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StuckReason {
    /// The code asked for something else than the journal recorded.
    Mismatch { seq: Seq, recorded: String, asked: String },
    /// The code panicked.
    Panicked { message: String },
    /// Too many operations in one poll.
    Runaway,
    /// The code waits for something that the engine does not know.
    ForeignAwait,
    /// The journal reached its bound.
    JournalFull,
    /// A poll held its thread for too long.
    Blocking,
    /// No engine at hand knows this workflow.
    UnknownWorkflow { name: String },
}

impl StuckReason {
    /// A sentence with the command that mends it.
    pub fn explain(&self, run: RunId) -> String {
        let what = match self {
            Self::Mismatch { seq, recorded, asked } => {
                format!("at entry {seq} the journal recorded {recorded}, the code asked for {asked}")
            }
            Self::Panicked { message } => format!("the workflow code panicked: {message}"),
            Self::Runaway => "the workflow code asked for operations without end in one poll".to_owned(),
            Self::ForeignAwait => {
                "the workflow code awaits something that is not an operation of its context".to_owned()
            }
            Self::JournalFull => "the journal is full; end long loops, or give parts of them to child runs".to_owned(),
            Self::Blocking => "the workflow code blocked its thread for over a second".to_owned(),
            Self::UnknownWorkflow { name } => format!("no engine here knows the workflow `{name}`"),
        };
        format!("{what}; deploy a build that fits and run `valet runs retry {run}`, or `valet runs cancel {run}`")
    }
}

/// Entries of one transition, in order, with the instant they share.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    pub revision: u32,
    pub at: Timestamp,
    pub entries: Vec<Entry>,
}

/// The task's id follows from the run and the operation, so that it is the same on every replay.
pub fn task_id(run: RunId, seq: Seq) -> TaskId {
    TaskId(run.derive(seq, "human"))
}
