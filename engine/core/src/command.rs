//! What may be asked of a run, what is answered, and why something is refused.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;
use crate::callbacks::Secret;
use crate::decide::Fork;
use crate::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use crate::journal::{CompletionOutcome, Entry, HumanSpec, RunOutcome, StuckReason};
use crate::payload::Payload;
use crate::step::{Outcome, StepPolicy};

/// A request to change one run.
#[derive(Clone, Debug)]
pub enum Command {
    Start(Box<StartRun>),
    Finish(Box<FinishStep>),
    /// A sweep found the attempt's session ended (or its execution timeout long past).
    AttemptLost {
        seq: Seq,
        attempt: Attempt,
        lease: LeaseId,
        effect_begun: bool,
    },
    /// The worker does not know of the grant: it is taken back without using up an attempt.
    TakeBack {
        seq: Seq,
        attempt: Attempt,
        lease: LeaseId,
        effect_begun: bool,
    },
    TimerDue {
        seq: Seq,
    },
    Signal {
        name: String,
        key: String,
        payload: Payload,
    },
    /// An event was published that the wait at `seq` may be for: taken once, and only if the wait's filter holds.
    Event {
        seq: Seq,
        /// The event's id.
        key: String,
        /// A [`PublishedEvent`](crate::event::PublishedEvent).
        message: Payload,
    },
    AnswerTask {
        seq: Seq,
        by: String,
        key: String,
        answer: TaskAnswer,
    },
    Pause {
        by: String,
    },
    Unpause {
        by: String,
    },
    Cancel {
        by: String,
        reason: String,
    },
    /// [`Self::Cancel`] for a run of which nothing was done yet, because a limit has no slot for it; of another nothing becomes.
    Dismiss {
        by: String,
        reason: String,
    },
    /// A limit of the step has no slot for it, or gives the one that it has to a later one: it fails. One whose effect has begun goes on.
    OverStep {
        seq: Seq,
        attempt: Attempt,
        limit: String,
        replaced: bool,
    },
    /// Lets exhausted steps try again and a stuck run be tried with the build at hand.
    Retry {
        by: String,
    },
    /// Ends a step that nobody works on with this output, as if a worker had.
    SkipStep {
        seq: Seq,
        by: String,
        output: Payload,
    },
    /// Somebody outside who holds the token says what the run waits for.
    Complete {
        seq: Seq,
        secret: Secret,
        key: String,
        outcome: CompletionOutcome,
    },
    /// Changes what the run may spend; one that waits for just that goes on.
    SetBudget {
        by: String,
        budget_micros: Option<u64>,
    },
    /// Gives the next attempt of a step that nobody works on another input.
    EditStep {
        seq: Seq,
        by: String,
        input: Payload,
    },
    /// Ends the run without waiting for steps and children at work; with `cleanup` its finalizers still run.
    Kill {
        by: String,
        reason: String,
        cleanup: bool,
    },
    /// An engine's build may go on where older ones could not: with a stuck run, or with what they took in and did not
    /// deliver.
    Revive,
    /// The run's code cannot be trusted with a thread any more.
    Park {
        why: StuckReason,
    },
    Inbox {
        from: RunId,
        from_seq: i64,
        message: InboxMessage,
    },
}

/// A new run.
#[derive(Clone, Debug, PartialEq)]
pub struct StartRun {
    pub tenant: String,
    pub subject: String,
    pub workflow: String,
    pub plan: String,
    /// Searchable, never personal.
    pub attributes: serde_json::Map<String, serde_json::Value>,
    pub input: Payload,
    /// The declared workflow to carry out; `None`: the code of that name.
    pub definition: Option<Payload>,
    pub parent: Option<Parent>,
    pub idempotency: Option<IdempotencyKey>,
    /// By when it must have ended by itself; else it ends as timed out.
    pub deadline: Option<Timestamp>,
    /// What it may spend before it waits for an operator, in millionths of a US dollar.
    pub budget_micros: Option<u64>,
    /// It begins with what another run has done.
    pub fork: Option<Box<Fork>>,
}

impl StartRun {
    /// A start with nothing that need not be said.
    pub fn new(tenant: String, subject: String, workflow: String, plan: String, input: Payload) -> Self {
        Self {
            tenant,
            subject,
            workflow,
            plan,
            attributes: serde_json::Map::new(),
            input,
            definition: None,
            parent: None,
            idempotency: None,
            deadline: None,
            budget_micros: None,
            fork: None,
        }
    }

    pub(crate) fn entry(&self) -> Entry {
        Entry::Started {
            input: self.input.clone(),
            deadline: self.deadline,
            budget_micros: self.budget_micros,
            definition: self.definition.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub run: RunId,
    pub seq: Seq,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    pub key: String,
    /// Hash of the request, so that the same key with another body is told apart.
    pub request_hash: [u8; 32],
}

/// The end of an attempt, said by its worker.
#[derive(Clone, Debug)]
pub struct FinishStep {
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
    /// Whose word it is.
    pub session: SessionId,
    pub outcome: Outcome,
    pub hand_over: Option<HandOverOffer>,
    /// What the attempt paid for.
    pub costs: Vec<Cost>,
}

/// Something paid for, in millionths of a US dollar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    pub what: String,
    pub micros: u64,
}

/// The worker would take the run's next step along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOverOffer {
    pub lease: LeaseId,
    pub session: SessionId,
    pub queue: String,
}

/// What a person said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskAnswer {
    Answered(Payload),
    Rejected { reason: String },
}

/// What one run tells another, through the `inbox` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboxMessage {
    StartChild {
        tenant: String,
        subject: String,
        plan: String,
        workflow: String,
        input: Payload,
        seq: Seq,
        /// The declared workflow that the child carries out. Never sent: the engine that takes the message looks it up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        definition: Option<Payload>,
    },
    ChildEnded {
        seq: Seq,
        outcome: RunOutcome,
    },
    CancelChild {
        reason: String,
    },
    /// To itself: a fan-out has more children to start or to stop.
    GoOn {
        seq: Seq,
    },
}

/// What the caller is told after the commit.
#[derive(Clone, Debug)]
pub enum Reply {
    Done,
    /// A signal or an event that the run has had before, under the same key.
    Repeated,
    /// An event that is not for this wait: its filter does not hold, or another came first. Nothing will change that.
    Ignored,
    /// `handed_over`: the run's next step, granted to the same worker in the same commit.
    Finished {
        handed_over: Option<Box<GrantedStep>>,
    },
}

/// A step with everything a worker needs to run it.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantedStep {
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
    pub tenant: String,
    pub subject: String,
    pub workflow: String,
    pub name: String,
    pub input: Payload,
    pub policy: StepPolicy,
    /// Later steps may want the worker that ends this one.
    pub remembers: bool,
}

/// Why a command was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("the attempt is not current: its lease ended, or another result was accepted")]
    Stale,
    #[error("the run has ended ({status})")]
    RunEnded { status: &'static str },
    #[error("the run is ending: {status}")]
    RunClosing { status: &'static str },
    #[error("the task has ended: {ended}")]
    TaskEnded { ended: String, by: Option<String> },
    #[error("no such task is open in this run")]
    NoSuchTask,
    #[error("the run waits for no event there")]
    NoSuchWait,
    #[error("no such token: it is wrong, or the run waits for it no more")]
    NoSuchCompletion,
    #[error("the token was used before, with another key")]
    CompletedBefore,
    #[error("{kept} messages of the channel `{name}` are unread")]
    ChannelFull { name: String, kept: usize },
    #[error("nothing of this run can be retried: {status}")]
    NothingToRetry { status: &'static str },
    #[error("build {needs} has advanced the run; this engine has build {build}: ask one that is not older")]
    BuildTooOld { build: i64, needs: i64 },
    #[error("the run has no live step {seq}")]
    NoSuchStep { seq: Seq },
    #[error("a worker is at step {seq}: wait until its attempt ends, or kill the run")]
    StepAtWork { seq: Seq },
    #[error("the run exists already")]
    Exists,
    #[error("the journal has {entries} entries, there is no entry {entry} to fork from")]
    NoSuchEntry { entry: u32, entries: u32 },
    #[error("the fork would do what the step `{name}` ({seq}) has done once more: ask for that expressly")]
    RepeatsEffect { name: String, seq: Seq },
    #[error("this build cannot follow the journal: {why}")]
    DoesNotFit { why: String },
}

/// What a person is asked, with the id under which the answer comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTask {
    pub id: Uuid,
    pub seq: Seq,
    pub spec: HumanSpec,
}
