//! What one commit writes for one run: data, carried out by a store.

use crate::Timestamp;
use crate::command::{IdempotencyKey, InboxMessage, OpenTask};
use crate::event::EventPattern;
use crate::id::{Attempt, LeaseId, RunId, Seq, SessionId, TaskId};
use crate::journal::{Chunk, Entry, Op, task_id};
use crate::limits::{LimitKey, Slot};
use crate::payload::Payload;
use crate::run::{Figures, Identity, Reason, Run, Status, StepPhase, Touched};
use crate::step::StepPolicy;
use std::borrow::Cow;

/// Everything that one commit changes of one run. It applies as a whole or not at all.
#[derive(Clone, Debug)]
pub struct Transition {
    pub identity: Identity,
    /// Revision that must be stored; 0: the run must not exist.
    pub expect: u32,
    pub chunk: Chunk,
    pub row: RunRow,
    /// Set for a new run.
    pub created: Option<Created>,
    pub fences: Vec<Fence>,
    pub steps: Vec<StepChange>,
    /// What steps that are added must have.
    pub slots: Vec<SlotRow>,
    /// Keys of limits whose next may begin once this is committed.
    pub freed: Vec<LimitKey>,
    /// Closes or opens the gate of all the run's steps, whoever holds them.
    pub gate: Option<bool>,
    pub timers: Vec<TimerChange>,
    pub tasks: Vec<TaskChange>,
    pub event_waits: Vec<EventWaitChange>,
    pub outbox: Vec<OutboxRow>,
    /// Inbox rows that this transition consumed: (sender, number).
    pub consumed: Vec<(RunId, i64)>,
    /// What the outside is told, where somebody listens.
    pub notices: Vec<Notice>,
}

/// Something that happened to a run, for listeners outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `run.started`, `run.stuck`, `run.succeeded` and the other ends, `human_task.opened`, `human_task.closed`, or what
    /// workflow code named.
    pub kind: String,
    pub task: Option<TaskId>,
    /// May hold personal data.
    pub data: Option<Payload>,
}

impl Notice {
    fn of_run(what: &str) -> Self {
        Self { kind: format!("run.{what}"), task: None, data: None }
    }
}

/// What a transition tells, in order.
pub(crate) fn notices(run: &Run, created: bool, entries: &[Entry], tasks: &[TaskChange]) -> Vec<Notice> {
    let mut notices = Vec::new();
    if created {
        notices.push(Notice::of_run("started"));
    }
    for entry in entries {
        match entry {
            Entry::Op { op: Op::Emit { kind, data }, .. } => {
                notices.push(Notice { kind: kind.clone(), task: None, data: Some(data.clone()) });
            }
            Entry::Stuck { .. } => notices.push(Notice::of_run("stuck")),
            _ => {}
        }
    }
    for change in tasks {
        let (kind, task) = match change {
            TaskChange::Open(task) => ("human_task.opened", task_id(run.id(), task.seq)),
            TaskChange::Close { seq, .. } => ("human_task.closed", task_id(run.id(), *seq)),
        };
        notices.push(Notice { kind: kind.to_owned(), task: Some(task), data: None });
    }
    if entries.iter().any(|entry| matches!(entry, Entry::Ended)) {
        notices.push(Notice::of_run(run.status().as_str()));
    }
    notices
}

impl Transition {
    pub fn run(&self) -> RunId {
        self.identity.id
    }

    pub fn ended(&self) -> bool {
        self.row.status.is_terminal()
    }

    /// Accepted results of steps in this transition: what the bench and the tests count.
    pub fn accepted_results(&self) -> u32 {
        let is_result = |entry: &&Entry| {
            matches!(
                entry,
                Entry::Resolved { with, .. } | Entry::Held { with, .. }
                    if matches!(with, crate::journal::Resolution::StepDone { .. } | crate::journal::Resolution::StepFailed { .. })
            )
        };
        self.chunk.entries.iter().filter(is_result).count() as u32
    }
}

/// Columns of the run that lists and sweeps read.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    pub status: Status,
    pub paused: bool,
    pub reason: Option<Reason>,
    pub status_line: Option<String>,
    pub build: i64,
    /// An engine of this build, or of a later one, may go on where none so far could.
    pub waits_for_build: Option<i64>,
    pub error_code: Option<String>,
    /// `None`: the run shows no figures.
    pub figures: Option<Figures>,
    /// Search attributes that the code set in this transition; `null` takes one off.
    pub attributes_set: Option<serde_json::Map<String, serde_json::Value>>,
    /// What a rebuild reads begins with this revision; `None`: with the first.
    pub journal_from: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Created {
    pub attributes: serde_json::Map<String, serde_json::Value>,
    pub idempotency: Option<IdempotencyKey>,
    /// The run that this one was taken from.
    pub forked_from: Option<RunId>,
}

/// What must be true of a step's row when the transition commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// The attempt is granted under this lease.
    Granted { seq: Seq, attempt: Attempt, lease: LeaseId },
    /// The same, and the session that holds it lives: what it finishes earns it the next step.
    HandsOver { seq: Seq, attempt: Attempt, lease: LeaseId },
    /// The same, and the session that holds it has ended or the attempt is long over its time. `effect_begun` is what the
    /// decision read: an effect that began since then makes it void.
    Lost { seq: Seq, attempt: Attempt, lease: LeaseId, effect_begun: bool },
    /// The same, and the worker does not know of the grant.
    Forgotten { seq: Seq, attempt: Attempt, lease: LeaseId, effect_begun: bool },
    /// The attempt is granted under this lease, and its effect has not begun.
    NotBegun { seq: Seq, attempt: Attempt, lease: LeaseId },
    /// Nobody was granted the step.
    NotGranted { seq: Seq },
}

impl Fence {
    pub fn seq(&self) -> Seq {
        match self {
            Self::Granted { seq, .. }
            | Self::HandsOver { seq, .. }
            | Self::Lost { seq, .. }
            | Self::Forgotten { seq, .. }
            | Self::NotBegun { seq, .. }
            | Self::NotGranted { seq } => *seq,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum StepChange {
    Insert(Box<StepRow>),
    /// A new attempt, or a parked step: the old lease is gone.
    Update(Box<StepRow>),
    /// The granted attempt is told to stop; its lease stays until it ends.
    Stop {
        seq: Seq,
    },
    Delete {
        seq: Seq,
    },
}

/// A slot that a new step needs.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotRow {
    pub seq: Seq,
    pub slot: Slot,
    pub priority: i16,
    /// It has it from a step that ended in this commit.
    pub held: bool,
}

/// A live step as its row says it.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRow {
    pub seq: Seq,
    pub name: String,
    /// Its queue is the one that its tickets go to.
    pub policy: StepPolicy,
    /// Only this worker may have it.
    pub wants: Option<SessionId>,
    pub attempt: Attempt,
    pub state: StepState,
    /// Revision whose chunk holds the input.
    pub revision: u32,
    /// The run is paused: claims are refused until it is resumed.
    pub gated: bool,
    /// Granted in this very commit.
    pub grant: Option<(LeaseId, SessionId)>,
}

impl StepRow {
    /// The queues of its preferred workers, the best first; none while only one worker may have it.
    pub fn prefers(&self) -> Vec<String> {
        if self.wants.is_some() { Vec::new() } else { self.policy.preferred_queues() }
    }
}

/// States of a step's row. Terminal states have no row: the journal holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    Ready,
    /// A limit has no slot for it.
    Blocked,
    Running,
    Stopping,
    BackingOff(Timestamp),
    Parked,
}

impl StepState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Blocked => "blocked",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::BackingOff(_) => "backing_off",
            Self::Parked => "parked",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimerChange {
    Set {
        seq: Seq,
        at: Timestamp,
        /// Due only while nobody serves the queue.
        unserved: Option<Unserved>,
    },
    Clear {
        seq: Seq,
    },
}

/// No live worker has pulled `queue` for `ms`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unserved {
    pub queue: String,
    pub ms: u64,
    /// Only this worker counts.
    pub session: Option<SessionId>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TaskChange {
    Open(Box<OpenTask>),
    /// `state`: the word that is stored; `by`: who ended it.
    Close {
        seq: Seq,
        state: &'static str,
        by: Option<String>,
    },
}

/// What a store must know to tell the run of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventWaitChange {
    Begin { seq: Seq, event: EventPattern },
    End { seq: Seq },
}

/// A message to another run, written in the sender's commit.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRow {
    pub to: RunId,
    pub number: i64,
    pub message: InboxMessage,
}

/// Text of workflow code or a worker as a column takes it: bounded, and without NUL, which Postgres refuses. A refused
/// value would refuse the result that brought it, for ever.
pub(crate) fn column_text<'a>(text: impl Into<Cow<'a, str>>, bytes_max: usize) -> String {
    let text = text.into();
    if text.len() <= bytes_max && !text.as_bytes().contains(&0) {
        return text.into_owned();
    }
    // What stands for a NUL is longer than one.
    let mut tidied = text[..text.floor_char_boundary(bytes_max)].replace('\0', "\u{fffd}");
    tidied.truncate(tidied.floor_char_boundary(bytes_max));
    tidied
}

/// Row changes from what was touched: what was there before against what is there now.
pub(crate) fn row_changes(
    run: &Run,
    touched: &Touched,
    granted: Option<(Seq, LeaseId, SessionId)>,
    at: Timestamp,
) -> (Vec<StepChange>, Vec<TimerChange>, Vec<TaskChange>) {
    let steps = touched
        .steps
        .iter()
        .filter_map(|(seq, existed)| match (existed, run.steps.get(seq)) {
            (false, None) => None,
            (true, None) => Some(StepChange::Delete { seq: *seq }),
            (true, Some(step)) if step.phase == StepPhase::Stopping => Some(StepChange::Stop { seq: *seq }),
            (existed, Some(_)) => {
                let row = Box::new(step_row(run, *seq, granted, at)?);
                Some(if *existed { StepChange::Update(row) } else { StepChange::Insert(row) })
            }
        })
        .collect();
    let timers = touched
        .timers
        .iter()
        .filter_map(|(seq, existed)| match (existed, run.timers.get(seq)) {
            (false, None) => None,
            (true, None) => Some(TimerChange::Clear { seq: *seq }),
            (_, Some(at)) => Some(TimerChange::Set { seq: *seq, at: *at, unserved: unserved(run, *seq) }),
        })
        .collect();
    let tasks = touched
        .tasks
        .iter()
        .filter_map(|(seq, existed)| match (existed, run.tasks.get(seq)) {
            (false, Some(spec)) => Some(TaskChange::Open(Box::new(OpenTask {
                id: crate::journal::task_id(run.id(), *seq).0,
                seq: *seq,
                spec: spec.clone(),
            }))),
            (true, None) => Some(task_closed(run, *seq)),
            _ => None,
        })
        .collect();
    (steps, timers, tasks)
}

/// The same of waits for published events.
pub(crate) fn event_wait_changes(run: &Run, touched: &Touched) -> Vec<EventWaitChange> {
    let changed = touched.event_waits.iter();
    let change = changed.filter_map(|(seq, existed)| match (existed, run.waits.get(seq)) {
        (false, Some(wait)) => Some(EventWaitChange::Begin { seq: *seq, event: wait.event.clone()? }),
        (true, None) => Some(EventWaitChange::End { seq: *seq }),
        _ => None,
    });
    change.collect()
}

/// A step that is bound to a host waits while that host has workers, however busy they are; one that demands a worker, while
/// that worker lives and does such steps: pulls the queue that the labels which it requires make of its own.
fn unserved(run: &Run, seq: Seq) -> Option<Unserved> {
    let step = run.steps.get(&seq)?;
    let queue = step.op.policy.queue.clone();
    if let Some(sticky) = step.sticky {
        // A session that ended does not come back.
        return sticky.hard.then_some(Unserved { queue, ms: 0, session: Some(sticky.session) });
    }
    step.op.host.as_ref()?;
    Some(Unserved { queue, ms: step.op.policy.schedule_timeout_ms?, session: None })
}

fn step_row(run: &Run, seq: Seq, granted: Option<(Seq, LeaseId, SessionId)>, at: Timestamp) -> Option<StepRow> {
    let step = run.steps.get(&seq)?;
    let grant = granted.filter(|(at, ..)| *at == seq).map(|(_, lease, session)| (lease, session));
    let state = match &step.phase {
        StepPhase::Queued if grant.is_some() => StepState::Running,
        StepPhase::Queued | StepPhase::BackingOff { .. } if run.blocked.contains(&seq) => StepState::Blocked,
        StepPhase::Queued => StepState::Ready,
        StepPhase::BackingOff { until } if *until <= at => StepState::Ready,
        StepPhase::BackingOff { until } => StepState::BackingOff(*until),
        StepPhase::Parked { .. } => StepState::Parked,
        StepPhase::Stopping => StepState::Stopping,
    };
    Some(StepRow {
        seq,
        name: step.op.name.clone(),
        policy: step.policy(),
        wants: step.sticky.map(|sticky| sticky.session),
        attempt: step.attempt,
        state,
        revision: step.revision,
        gated: run.paused_by.is_some() && matches!(run.phase, crate::run::Phase::Active | crate::run::Phase::Stuck(_)),
        grant,
    })
}

fn task_closed(run: &Run, seq: Seq) -> TaskChange {
    use crate::journal::HumanOutcome;
    let (state, by) = match run.ended_tasks.get(&seq) {
        Some(HumanOutcome::Answered { by, .. }) => ("answered", Some(by.clone())),
        Some(HumanOutcome::Rejected { by, .. }) => ("rejected", Some(by.clone())),
        Some(HumanOutcome::TimedOut) => ("timed_out", None),
        None => ("cancelled", None),
    };
    TaskChange::Close { seq, state, by }
}
