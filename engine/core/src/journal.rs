//! What is recorded of a run: operations in the order the code called them, resolutions in the order they were
//! delivered, and facts that people and sweeps added. A run's state is the fold of its entries, and nothing else.
//!
//! Entries of one transition share that transition's instant. The enum is tagged externally because payloads inside are
//! kept as raw text, which serde cannot do through a buffered tag.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::callbacks::Secret;
use crate::event::EventPattern;
use crate::id::{Attempt, LeaseId, RunId, Seq, SessionId, TaskId};
use crate::payload::Payload;
use crate::step::{Failure, StepFailure, StepPolicy};

/// One entry of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The run began. Always the first entry.
    Started {
        input: Payload,
        /// By when the run must have ended by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
        /// What it may spend before it waits for an operator, in millionths of a US dollar.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budget_micros: Option<u64>,
        /// The declared workflow that the run carries out; absent: its name's code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        definition: Option<Payload>,
    },
    /// The code ended this journal and begins the next with another input. Nothing before this entry is replayed.
    Continued {
        input: Payload,
        carried: Box<Carried>,
    },
    /// What comes before was copied from another run, up to its entry number `entry`: results, not ownership.
    Forked {
        from: RunId,
        entry: u32,
        by: String,
    },
    /// The code asked for the first time which version of a change it is to follow. Takes no place of its own, so that
    /// the call may be taken out of the code again.
    Version {
        change: String,
        version: u32,
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
    /// Which worker ended a step that was called to remember it; stands before the step's end.
    RanBy {
        seq: Seq,
        session: SessionId,
    },
    /// The worker that the step preferred did not take it: any worker may, by `start_by` if it has a schedule timeout.
    AnyWorker {
        seq: Seq,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start_by: Option<Timestamp>,
    },
    /// Children of a fan-out were started: all before the one at place `to`.
    ChildrenStarted {
        seq: Seq,
        to: u32,
    },
    /// Children of a fan-out that nobody waits for, or whose parent ends, were told to stop: all before the one at `to`.
    ChildrenCancelled {
        seq: Seq,
        to: u32,
    },
    /// A worker says what an attempt cost.
    Spent {
        seq: Seq,
        what: String,
        micros: u64,
    },
    /// An operator changed what the run may spend.
    BudgetChanged {
        by: String,
        budget_micros: Option<u64>,
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
        /// The declared workflow that the run carries out from now on: nobody knew one of its name when it began.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        definition: Option<Payload>,
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
    /// Shared: the journal's entry and the live step are one and the same, and an entry stays small.
    Step(Arc<StepOp>),
    Sleep {
        until: Timestamp,
    },
    Wait {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
        /// Only messages are taken for which this expression over `message` holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<String>,
        /// The messages are published events that fit this; `name` is a channel of this wait alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event: Option<EventPattern>,
    },
    Human {
        task: HumanSpec,
    },
    Child {
        workflow: String,
        input: Payload,
        /// Calls of one key share one child.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        #[serde(default, skip_serializing_if = "is_default")]
        on_close: ClosePolicy,
    },
    /// Many children of one workflow, each with its input; the child at place n has the operation's seq plus n.
    FanOut {
        workflow: String,
        inputs: Payload,
        count: u32,
        /// So many live at a time.
        at_once: u32,
        #[serde(default, skip_serializing_if = "is_default")]
        on_close: ClosePolicy,
    },
    /// Waits until somebody outside who was given the token says what it came to.
    Completion {
        name: String,
        secret: Secret,
        deadline: Timestamp,
    },
    /// A value that the code made itself and that replay must not make anew.
    Value {
        name: String,
        value: Payload,
    },
    /// Registers a step that runs when the run ends, however it ends.
    Finally(Arc<StepOp>),
    /// Registers a step that runs when the run ends otherwise than by success.
    Compensate(Arc<StepOp>),
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
    /// How far the run is, from 0 to 1.
    Progress {
        fraction: f64,
    },
    /// What the run tells its readers beside its status; replaces what it told before.
    Memo {
        memo: Payload,
    },
    /// Searchable, never personal. `null` takes one off.
    Attributes {
        set: serde_json::Map<String, serde_json::Value>,
    },
    /// Something that the run paid for.
    Cost {
        what: String,
        micros: u64,
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
            Self::Wait { event: Some(_), .. } => "event",
            Self::Wait { .. } => "wait",
            Self::Human { .. } => "human",
            Self::Child { .. } => "child",
            Self::FanOut { .. } => "fan_out",
            Self::Completion { .. } => "completion",
            Self::Value { .. } => "value",
            Self::Finally(_) => "finally",
            Self::Compensate(_) => "compensate",
            Self::FinallyNow { .. } => "finally_now",
            Self::Log { .. } => "log",
            Self::Status { .. } => "status",
            Self::Progress { .. } => "progress",
            Self::Memo { .. } => "memo",
            Self::Attributes { .. } => "attributes",
            Self::Cost { .. } => "cost",
            Self::Emit { .. } => "emit",
        }
    }

    /// What tells two operations of a kind apart on replay. Inputs are left out: a changed input only warns.
    pub fn name(&self) -> &str {
        match self {
            Self::Step(step) | Self::Finally(step) | Self::Compensate(step) => &step.name,
            Self::Wait { name, .. } | Self::Completion { name, .. } | Self::Value { name, .. } => name,
            Self::Cost { what, .. } => what,
            Self::Child { workflow, .. } | Self::FanOut { workflow, .. } => workflow,
            Self::Human { task } => &task.reason,
            Self::Emit { kind, .. } => kind,
            Self::Sleep { .. }
            | Self::FinallyNow { .. }
            | Self::Log { .. }
            | Self::Status { .. }
            | Self::Progress { .. }
            | Self::Memo { .. }
            | Self::Attributes { .. } => "",
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
    #[serde(default, skip_serializing_if = "StepPolicy::is_default")]
    pub policy: StepPolicy,
    /// The machine that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// By when a worker must have taken the first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_by: Option<Timestamp>,
    /// The run notes which worker ends it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub remembers: bool,
    /// The worker that ended an earlier step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
}

/// The worker that a step wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sticky {
    pub session: SessionId,
    /// No other may have it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hard: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What becomes of a child when its parent ends or no longer waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosePolicy {
    /// It is cancelled, and the parent ends after it.
    #[default]
    Cancel,
    /// It goes on by itself.
    Abandon,
}

/// What a run takes along when it begins a new journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// Journals that came before.
    pub generation: u32,
    /// Places go on from here, so that no id of the run is made twice.
    pub last_seq: Seq,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<CarriedFinalizer>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<CarriedChannel>,
    /// Leases whose finish brought the run here: a repeat finds its first answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<LeaseId>,
    /// Answers that brought the run here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<(Seq, HumanOutcome)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub completions: Vec<(Seq, String)>,
    /// Search attributes that the code has set.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub attributes: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_line: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<Payload>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub spent_micros: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_micros: Option<u64>,
}

/// A registered clean-up or compensation that has not run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedFinalizer {
    pub seq: Seq,
    pub op: Arc<StepOp>,
    /// Runs only if the run does not succeed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub compensates: bool,
}

/// Messages that no wait has taken, and the keys that were seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedChannel {
    pub name: String,
    pub kept: Vec<Payload>,
    pub keys: Vec<String>,
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
    /// The same of a wait with a filter: the message at this place of the channel, counted from 0.
    SignalChosen {
        index: usize,
    },
    WaitTimedOut,
    /// Somebody outside said what it came to, under this key.
    Completed {
        key: String,
        outcome: CompletionOutcome,
    },
    Human(HumanOutcome),
    ChildEnded {
        outcome: RunOutcome,
    },
    /// Children of a fan-out, by their places.
    ChildrenEnded {
        ends: Vec<(u32, RunOutcome)>,
    },
}

impl Resolution {
    /// A clean-up that came to this is not owed any more: it succeeded, or went with its host.
    pub fn cleans_up(&self) -> bool {
        matches!(self, Self::StepDone { .. } | Self::StepFailed { failure: StepFailure::NotStarted(_), .. })
    }
}

/// What somebody outside said of what a run waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompletionOutcome {
    Done { output: Payload },
    Failed { error: Failure },
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
        let what = self.what();
        format!("{what}; deploy a build that fits and run `valet runs retry {run}`, or `valet runs cancel {run}`")
    }

    /// What is wrong.
    pub fn what(&self) -> String {
        match self {
            Self::Mismatch { seq, recorded, asked } => {
                format!("at entry {seq} the journal recorded {recorded}, the code asked for {asked}")
            }
            Self::Panicked { message } => format!("the workflow code panicked: {message}"),
            Self::Runaway => "the workflow code asked for operations without end in one poll".to_owned(),
            Self::ForeignAwait => {
                "the workflow code awaits something that is not an operation of its context".to_owned()
            }
            Self::JournalFull => {
                "the journal is full; let long loops go on with `continue_as`, or give parts of them to child runs"
                    .to_owned()
            }
            Self::Blocking => "the workflow code blocked its thread for over a second".to_owned(),
            Self::UnknownWorkflow { name } => format!("no engine here knows the workflow `{name}`"),
        }
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
