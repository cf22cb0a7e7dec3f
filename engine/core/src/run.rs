//! The state of a run: the fold of its journal. The same [`Run::apply`] serves a live transition and a replay.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::bounds::{ANSWERS_CARRIED_MAX, FILTER_STEPS_MAX, STATUS_LINE_BYTES_MAX};
use crate::callbacks::Secret;
use crate::command::{GrantedStep, Parent};
use crate::context::after;
use crate::event::{EventPattern, channel_of, is_channel};
use crate::expression::{Budget, Expression, Variables};
use crate::fan::Fan;
use crate::id::{Attempt, LeaseId, RunId, Seq};
use crate::journal::{
    AttemptEnd, Carried, CarriedChannel, CarriedFinalizer, ClosePolicy, Entry, HumanOutcome, HumanSpec, Op, Resolution,
    RunOutcome, StepOp, Sticky, StuckReason,
};
use crate::limits::{Limits, Slot};
use crate::payload::Payload;
use crate::placement::queue_of_session;
use crate::step::{Failure, OnExhausted, STICKY_PATIENCE, StepFailure, StepPolicy};
use crate::transition::column_text;

/// The run's deadline is the timer at this place, which no operation takes.
pub const RUN_DEADLINE: Seq = Seq(0);

/// What never changes about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub id: RunId,
    pub tenant: String,
    pub subject: String,
    pub workflow: String,
    pub plan: String,
    pub parent: Option<Parent>,
    pub created_at: Timestamp,
}

/// Where a run stands. Pause is a gate beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Active,
    Stuck(StuckReason),
    Closing(RunOutcome),
    Ended(RunOutcome),
}

/// Status as stored and shown; [`Run::status`] derives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Queued,
    Running,
    Waiting,
    Closing,
    Stuck,
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Closing => "closing",
            Self::Stuck => "stuck",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
        }
    }

    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::TimedOut)
    }
}

/// A step that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveStep {
    pub op: Arc<StepOp>,
    pub attempt: Attempt,
    /// Attempts used up so far.
    pub used: u32,
    pub phase: StepPhase,
    /// The grant as far as this process knows: from a hand-over or from the last load. Claims do not touch the run.
    pub grant: Option<LeaseId>,
    pub hand_overs: u32,
    /// The worker that it wants, for as long as it wants it.
    pub sticky: Option<Sticky>,
    /// Revision whose chunk holds the step's input.
    pub revision: u32,
}

/// Where a live step stands, as far as the journal says. Whether a queued one is already granted, the steps table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepPhase {
    Queued,
    BackingOff {
        until: Timestamp,
    },
    /// Out of attempts; an operator decides.
    Parked {
        failure: Failure,
    },
    /// Granted, and told to stop because the run closes.
    Stopping,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RegisteredFinalizer {
    pub op: Arc<StepOp>,
    pub done: bool,
    /// Runs only if the run does not succeed.
    pub compensates: bool,
}

/// A wait for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveWait {
    pub name: String,
    pub filter: Option<String>,
    /// What it takes are published events that fit this.
    pub event: Option<EventPattern>,
}

impl LiveWait {
    fn reason(&self) -> Reason {
        match &self.event {
            Some(event) => Reason::Event { key: event.key.clone() },
            None => Reason::Signal { name: self.name.clone() },
        }
    }

    /// Where the first message lies that it takes. A message that the filter cannot be asked about is none.
    pub(crate) fn chooses(&self, kept: &VecDeque<Payload>) -> Option<usize> {
        let Some(filter) = &self.filter else { return (!kept.is_empty()).then_some(0) };
        if kept.is_empty() {
            return None;
        }
        let filter = Expression::compile(filter, &FILTER_VARIABLES).ok()?;
        kept.iter().position(|message| {
            let Ok(message) = message.read::<serde_json::Value>() else { return false };
            let variables = Variables::from([(FILTER_VARIABLES[0], message.into())]);
            filter.test(&variables, &mut Budget::new(FILTER_STEPS_MAX)).unwrap_or(false)
        })
    }
}

/// What a wait's filter sees.
pub(crate) const FILTER_VARIABLES: [&str; 1] = ["message"];

/// A child that the run waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveChild {
    pub workflow: String,
    pub key: Option<String>,
    /// The operation that started it, of which its id is made: another one than its own for a call that shares a key.
    pub started_at: Seq,
    pub on_close: ClosePolicy,
}

/// The child that calls of one key share.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyedChild {
    pub started_at: Seq,
    pub outcome: Option<RunOutcome>,
}

/// Something that somebody outside completes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveCompletion {
    pub name: String,
    pub secret: Secret,
}

/// What the run shows of itself beside its status line, and what it spent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// Millionths of a US dollar.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spent_micros: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_micros: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde calls")]
fn is_zero(micros: &u64) -> bool {
    *micros == 0
}

impl Figures {
    pub fn over_budget(&self) -> bool {
        self.budget_micros.is_some_and(|budget| self.spent_micros > budget)
    }
}

/// Messages of one channel that no wait has taken, and the keys that were seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channel {
    pub kept: VecDeque<Payload>,
    pub keys: VecDeque<String>,
}

/// What changed since the last transition, as the state before it. Turned into row changes by [`crate::transition`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Touched {
    pub steps: BTreeMap<Seq, bool>,
    pub timers: BTreeMap<Seq, bool>,
    pub tasks: BTreeMap<Seq, bool>,
    pub event_waits: BTreeMap<Seq, bool>,
}

/// The state of a run.
#[derive(Clone, Debug)]
pub struct Run {
    pub identity: Identity,
    pub revision: u32,
    pub build: i64,
    pub phase: Phase,
    pub paused_by: Option<String>,
    pub steps: BTreeMap<Seq, LiveStep>,
    /// Finalizers that run early: the step at the key runs the finalizer at the value.
    pub early: BTreeMap<Seq, Seq>,
    pub timers: BTreeMap<Seq, Timestamp>,
    pub waits: BTreeMap<Seq, LiveWait>,
    pub tasks: BTreeMap<Seq, HumanSpec>,
    pub children: BTreeMap<Seq, LiveChild>,
    pub fans: BTreeMap<Seq, Fan>,
    pub keyed: BTreeMap<String, KeyedChild>,
    pub completions: BTreeMap<Seq, LiveCompletion>,
    /// Completions that ended, with the key that ended them; empty for those that nobody completed in time.
    pub ended_completions: BTreeMap<Seq, String>,
    pub channels: BTreeMap<String, Channel>,
    pub finalizers: BTreeMap<Seq, RegisteredFinalizer>,
    pub held: VecDeque<(Seq, Resolution)>,
    /// Leases whose finish was accepted: a repeated finish finds its first answer. What a sweep ended is not among them.
    pub accepted_leases: BTreeSet<LeaseId>,
    /// Some attempt of a step was made in the journal at hand, or a step ended otherwise than by never having begun. Of an attempt
    /// that was lost no lease is accepted.
    pub worked: bool,
    pub ended_tasks: BTreeMap<Seq, HumanOutcome>,
    /// Entries of the journal at hand.
    pub entries: usize,
    /// Journals that came before the one at hand.
    pub generation: u32,
    /// Revision with which the journal at hand began, if it is not the first.
    pub journal_from: Option<u32>,
    /// By when the run must have ended by itself.
    pub deadline: Option<Timestamp>,
    pub figures: Figures,
    pub memo: Option<Payload>,
    /// Search attributes that the code has set and not taken off.
    pub attributes: BTreeSet<String>,
    /// Search attributes that the code set since the last transition.
    pub(crate) attributes_set: serde_json::Map<String, serde_json::Value>,
    /// Instant of the last transition: a run's time never goes back, whichever engine's clock it is.
    pub last_at: Timestamp,
    pub status_line: Option<String>,
    /// Its workflow, its tenant or the whole engine is paused, as the engine that decides knows. No journal holds this.
    pub on_hold: bool,
    /// The limits, as the engine that decides knows. No journal holds these, nor what follows from them.
    pub limits: Arc<Limits>,
    /// What steps must have slots of.
    pub slots: BTreeMap<Seq, Vec<Slot>>,
    /// Steps that had no slot when their rows were last written or read.
    pub blocked: BTreeSet<Seq>,
    pub(crate) touched: Touched,
}

/// Why a run is not moving: exactly one, stored with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    Step {
        name: String,
        seq: Seq,
    },
    /// No live worker has the labels that it requires. Written by the tick, and taken back once one has.
    NoWorker {
        name: String,
        seq: Seq,
        labels: BTreeMap<String, String>,
    },
    /// A limit has no slot for it, or is not to be asked for one now.
    Limit {
        name: String,
        seq: Seq,
        limit: String,
        key: String,
    },
    BackingOff {
        name: String,
        seq: Seq,
        until: Timestamp,
    },
    Parked {
        name: String,
        seq: Seq,
        code: String,
    },
    Stopping {
        name: String,
        seq: Seq,
    },
    Person {
        reason: String,
        until: Timestamp,
    },
    Signal {
        name: String,
    },
    /// A published event whose key fits.
    Event {
        key: String,
    },
    Timer {
        until: Timestamp,
    },
    Child {
        workflow: String,
    },
    /// Somebody outside who holds the token.
    Completion {
        name: String,
        until: Timestamp,
    },
    Paused {
        by: String,
    },
    Stuck {
        text: String,
    },
    /// Results came in that only an engine with this build, or a later one, delivers.
    NewerBuild {
        build: i64,
    },
    /// Results came in while its workflow, its tenant or the engine is paused; they are delivered on resume.
    Held,
}

impl Reason {
    /// As a column and a page take it: bounded texts that every reader can parse.
    fn tidied(mut self) -> Self {
        match &mut self {
            Self::Step { name, .. }
            | Self::NoWorker { name, .. }
            | Self::BackingOff { name, .. }
            | Self::Stopping { name, .. }
            // Limits and keys were tidied when they were made.
            | Self::Limit { name, .. } => tidy(name),
            Self::Parked { name, code, .. } => {
                tidy(name);
                tidy(code);
            }
            Self::Person { reason: text, .. }
            | Self::Paused { by: text }
            | Self::Signal { name: text }
            | Self::Event { key: text }
            | Self::Child { workflow: text }
            | Self::Completion { name: text, .. }
            | Self::Stuck { text } => tidy(text),
            Self::Timer { .. } | Self::NewerBuild { .. } | Self::Held => {}
        }
        self
    }
}

fn tidy(text: &mut String) {
    *text = column_text(std::mem::take(text), STATUS_LINE_BYTES_MAX);
}

impl Run {
    pub fn new(identity: Identity, build: i64) -> Self {
        Self {
            identity,
            revision: 0,
            build,
            phase: Phase::Active,
            paused_by: None,
            steps: BTreeMap::new(),
            early: BTreeMap::new(),
            timers: BTreeMap::new(),
            waits: BTreeMap::new(),
            tasks: BTreeMap::new(),
            children: BTreeMap::new(),
            fans: BTreeMap::new(),
            keyed: BTreeMap::new(),
            completions: BTreeMap::new(),
            ended_completions: BTreeMap::new(),
            channels: BTreeMap::new(),
            finalizers: BTreeMap::new(),
            held: VecDeque::new(),
            accepted_leases: BTreeSet::new(),
            worked: false,
            ended_tasks: BTreeMap::new(),
            entries: 0,
            generation: 0,
            journal_from: None,
            deadline: None,
            figures: Figures::default(),
            memo: None,
            attributes: BTreeSet::new(),
            attributes_set: serde_json::Map::new(),
            last_at: Timestamp::MIN_UTC,
            status_line: None,
            on_hold: false,
            limits: Arc::default(),
            slots: BTreeMap::new(),
            blocked: BTreeSet::new(),
            touched: Touched::default(),
        }
    }

    pub fn id(&self) -> RunId {
        self.identity.id
    }

    /// Nothing is delivered to the code of a paused or stuck run, nor while what it belongs to is paused.
    pub fn delivers(&self) -> bool {
        self.is_open() && !self.on_hold
    }

    /// The run itself holds nothing up.
    fn is_open(&self) -> bool {
        self.paused_by.is_none() && self.phase == Phase::Active
    }

    /// What came in and was not delivered, though the run itself does not hold it: the engine that took it has an older build
    /// than the run's, or what the run belongs to is paused.
    pub fn undelivered(&self) -> bool {
        self.is_open() && (!self.held.is_empty() || self.satisfied_wait().is_some())
    }

    /// The build, or any later one, that may go on with a run which none so far could.
    pub fn waits_for_build(&self) -> Option<i64> {
        match &self.phase {
            Phase::Stuck(_) => Some(self.build + 1),
            Phase::Active => self.undelivered().then_some(self.build),
            Phase::Closing(_) | Phase::Ended(_) => None,
        }
    }

    pub fn status(&self) -> Status {
        match &self.phase {
            Phase::Stuck(_) => Status::Stuck,
            Phase::Closing(_) => Status::Closing,
            Phase::Ended(RunOutcome::Succeeded { .. }) => Status::Succeeded,
            Phase::Ended(RunOutcome::Failed { .. }) => Status::Failed,
            Phase::Ended(RunOutcome::Cancelled { .. }) => Status::Cancelled,
            Phase::Ended(RunOutcome::TimedOut { .. }) => Status::TimedOut,
            Phase::Active if self.has_queued() => Status::Running,
            Phase::Active if self.waits_to_begin() => Status::Queued,
            Phase::Active => Status::Waiting,
        }
    }

    /// Some step may be granted, or is.
    fn has_queued(&self) -> bool {
        self.steps.iter().any(|(seq, step)| step.is_queued(self.last_at) && !self.blocked.contains(seq))
    }

    /// Nothing was done yet, because a limit of whole runs has no slot for this one.
    fn waits_to_begin(&self) -> bool {
        let of_run = |seq: &Seq| self.slots.get(seq).is_some_and(|slots| slots.iter().any(|slot| slot.of_run));
        self.generation == 0 && !self.worked && self.blocked.iter().any(of_run)
    }

    /// The one stored reason of a run that is not moving; `None` once it ended.
    pub fn reason(&self) -> Option<Reason> {
        self.untidy_reason().map(Reason::tidied)
    }

    fn untidy_reason(&self) -> Option<Reason> {
        match &self.phase {
            Phase::Ended(_) => return None,
            Phase::Stuck(why) => {
                return Some(Reason::Stuck { text: why.explain(self.id()) });
            }
            Phase::Active | Phase::Closing(_) => {}
        }
        if let (Some(by), Phase::Active) = (&self.paused_by, &self.phase) {
            return Some(Reason::Paused { by: by.clone() });
        }
        if self.undelivered() {
            return Some(if self.on_hold { Reason::Held } else { Reason::NewerBuild { build: self.build } });
        }
        self.steps
            .iter()
            .next()
            .map(|(seq, step)| self.step_reason(*seq, step))
            .or_else(|| {
                let (seq, task) = self.tasks.iter().next()?;
                Some(Reason::Person {
                    reason: task.reason.clone(),
                    until: *self.timers.get(seq).unwrap_or(&task.deadline),
                })
            })
            .or_else(|| self.waits.values().next().map(LiveWait::reason))
            .or_else(|| {
                let (seq, completion) = self.completions.iter().next()?;
                let until = *self.timers.get(seq)?;
                Some(Reason::Completion { name: completion.name.clone(), until })
            })
            .or_else(|| self.children.values().next().map(|child| Reason::Child { workflow: child.workflow.clone() }))
            .or_else(|| self.fans.values().next().map(|fan| Reason::Child { workflow: fan.workflow.clone() }))
            .or_else(|| self.own_timers().min().map(|until| Reason::Timer { until }))
    }

    fn step_reason(&self, seq: Seq, step: &LiveStep) -> Reason {
        let slots = self.slots.get(&seq).filter(|_| self.blocked.contains(&seq));
        match slots.and_then(|slots| slots.first()) {
            Some(slot) if step.is_queued(self.last_at) => {
                Reason::Limit { name: step.op.name.clone(), seq, limit: slot.limit.clone(), key: slot.key.clone() }
            }
            _ => step_reason(seq, step, self.last_at),
        }
    }

    /// True while an operation is outstanding that can still resolve.
    pub fn waits_for_something(&self) -> bool {
        !(self.steps.is_empty()
            && self.own_timers().next().is_none()
            && self.waits.is_empty()
            && self.tasks.is_empty()
            && self.children.is_empty()
            && !self.fans.values().any(|fan| fan.wanted)
            && self.held.is_empty())
    }

    /// Timers of operations: the run's deadline is none.
    fn own_timers(&self) -> impl Iterator<Item = Timestamp> {
        self.timers.iter().filter(|(seq, _)| **seq != RUN_DEADLINE).map(|(_, at)| *at)
    }

    /// The event of this id came to the wait at `seq` before.
    pub(crate) fn has_event(&self, seq: Seq, id: &str) -> bool {
        let prefix = channel_of(seq, "");
        let mut from = self.channels.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
        from.any(|(_, channel)| channel.keys.iter().any(|known| known == id))
    }

    /// A message of this key came in before.
    pub(crate) fn has_signal(&self, name: &str, key: &str) -> bool {
        self.channels.get(name).is_some_and(|channel| channel.keys.iter().any(|known| known == key))
    }

    /// The first wait whose channel has a message for it, and how it takes that.
    pub(crate) fn satisfied_wait(&self) -> Option<(Seq, Resolution)> {
        self.waits.iter().find_map(|(seq, wait)| {
            let index = wait.chooses(&self.channels.get(&wait.name)?.kept)?;
            let chosen = Resolution::SignalChosen { index };
            Some((*seq, if wait.filter.is_some() { chosen } else { Resolution::SignalTaken }))
        })
    }

    /// The message that the wait at `seq` takes so.
    pub(crate) fn message_of(&self, seq: Seq, with: &Resolution) -> Option<Payload> {
        let index = match with {
            Resolution::SignalTaken => 0,
            Resolution::SignalChosen { index } => *index,
            _ => return None,
        };
        self.channels.get(&self.waits.get(&seq)?.name)?.kept.get(index).cloned()
    }

    /// The grant of a live step, for a worker.
    pub fn granted(&self, seq: Seq, lease: LeaseId) -> Option<GrantedStep> {
        let step = self.steps.get(&seq)?;
        Some(GrantedStep {
            run: self.id(),
            seq,
            attempt: step.attempt,
            lease,
            tenant: self.identity.tenant.clone(),
            subject: self.identity.subject.clone(),
            workflow: self.identity.workflow.clone(),
            name: step.op.name.clone(),
            input: step.op.input.clone(),
            policy: step.policy(),
            remembers: step.op.remembers,
        })
    }

    /// What was read is no change.
    pub(crate) fn forget_changes(&mut self) {
        self.touched = Touched::default();
        self.attributes_set.clear();
    }

    /// Changes the state by one entry of revision `revision`.
    pub fn apply(&mut self, entry: &Entry, revision: u32) {
        // A fan-out has as many as it has children, and a bound of its own.
        let of_fan = matches!(
            entry,
            Entry::ChildrenStarted { .. }
                | Entry::ChildrenCancelled { .. }
                | Entry::Resolved { with: Resolution::ChildrenEnded { .. }, .. }
                | Entry::Held { with: Resolution::ChildrenEnded { .. }, .. }
        );
        self.entries += usize::from(!of_fan);
        match entry {
            Entry::Started { deadline, budget_micros, .. } => {
                self.figures.budget_micros = *budget_micros;
                self.begin_deadline(*deadline);
            }
            Entry::Continued { carried, .. } => self.begin_next_journal(carried, revision),
            Entry::Forked { .. } => self.disown(),
            Entry::ChildrenStarted { seq, to } => {
                if let Some(fan) = self.fans.get_mut(seq) {
                    fan.started = *to;
                }
            }
            Entry::ChildrenCancelled { seq, to } => {
                if let Some(fan) = self.fans.get_mut(seq) {
                    fan.cancelled = Some(*to);
                }
                self.forget_fan(*seq);
            }
            Entry::Spent { micros, .. } => self.spend(*micros),
            Entry::BudgetChanged { budget_micros, .. } => self.figures.budget_micros = *budget_micros,
            Entry::CancelRequested { .. } | Entry::Skipped { .. } | Entry::Version { .. } | Entry::RanBy { .. } => {}
            Entry::AnyWorker { seq, start_by } => self.set_free(*seq, *start_by),
            Entry::InputChanged { seq, input, .. } => self.change_input(*seq, input, revision),
            Entry::Killed { cleanup, .. } => self.kill(*cleanup),
            Entry::Op { seq, op } => self.open(*seq, op, revision),
            Entry::Dropped { seq } => {
                // It may have been at work: who grants it is not told here. Its run went on without it in any case.
                self.worked |= self.steps.contains_key(seq);
                self.close(*seq);
            }
            Entry::Resolved { seq, with } => self.resolve(*seq, with),
            Entry::Held { seq, with } => {
                self.resolve(*seq, with);
                self.held.push_back((*seq, with.clone()));
            }
            Entry::Released => {
                self.held.pop_front();
            }
            Entry::AttemptEnded { seq, attempt, lease, why, next_at } => {
                self.accepted_leases.extend(*lease);
                self.worked = true;
                self.attempt_ended(*seq, *attempt, why, *next_at);
            }
            Entry::StartedInTime { seq } => self.clear_timer(*seq),
            Entry::StepStopped { seq, lease, .. } => {
                self.accepted_leases.extend(*lease);
                self.worked = true;
                self.remove_step(*seq);
            }
            Entry::SignalKept { name, key, payload } => self.keep(name, key, payload),
            Entry::Paused { by } => self.paused_by = Some(by.clone()),
            Entry::Unpaused { .. } => self.paused_by = None,
            Entry::RetryRequested { seq, .. } => {
                self.touch_step(*seq);
                if let Some(step) = self.steps.get_mut(seq) {
                    step.used = 0;
                    step.phase = StepPhase::Queued;
                    // Whom it preferred has had its time; whom it demands, or its host, may be gone and is asked for at once.
                    step.sticky = step.sticky.filter(|sticky| sticky.hard);
                    if step.sticky.is_some() || step.op.host.is_some() {
                        self.set_timer(*seq, Timestamp::UNIX_EPOCH);
                    }
                }
            }
            Entry::Stuck { why } => self.phase = Phase::Stuck(why.clone()),
            Entry::Mended { .. } => self.phase = Phase::Active,
            Entry::Closing { outcome } => self.begin_closing(outcome),
            Entry::FinalizerStarted { seq, start_by } => {
                if let Some(op) = self.finalizers.get(seq).map(|f| f.op.clone()) {
                    self.insert_step(*seq, op, revision);
                    self.set_timer_if(*seq, *start_by);
                }
            }
            Entry::Ended => {
                if let Phase::Closing(outcome) = &self.phase {
                    self.phase = Phase::Ended(outcome.clone());
                }
            }
        }
    }

    fn open(&mut self, seq: Seq, operation: &Op, revision: u32) {
        match operation {
            Op::Step(step) => {
                self.insert_step(seq, Arc::clone(step), revision);
                self.set_timer_if(seq, step.start_by);
            }
            Op::Sleep { until } => self.set_timer(seq, *until),
            Op::Wait { name, deadline, filter, event } => {
                if event.is_some() {
                    self.touched.event_waits.entry(seq).or_insert(false);
                }
                let wait = LiveWait { name: name.clone(), filter: filter.clone(), event: event.clone() };
                self.waits.insert(seq, wait);
                self.set_timer_if(seq, *deadline);
            }
            Op::Human { task } => {
                self.touched.tasks.entry(seq).or_insert(false);
                self.tasks.insert(seq, task.clone());
                self.set_timer(seq, task.deadline);
            }
            Op::Child { workflow, key, on_close, .. } => {
                let mut started_at = seq;
                if let Some(key) = key {
                    let first = KeyedChild { started_at: seq, outcome: None };
                    started_at = self.keyed.entry(key.clone()).or_insert(first).started_at;
                }
                let (workflow, key, on_close) = (workflow.clone(), key.clone(), *on_close);
                self.children.insert(seq, LiveChild { workflow, key, started_at, on_close });
            }
            Op::FanOut { workflow, inputs, count, at_once, on_close } => {
                let fan = Fan::new(workflow.clone(), inputs.clone(), *count, *at_once, *on_close);
                self.fans.insert(seq, fan);
            }
            Op::Completion { name, secret, deadline } => {
                let (name, secret) = (name.clone(), secret.clone());
                self.completions.insert(seq, LiveCompletion { name, secret });
                self.set_timer(seq, *deadline);
            }
            Op::Finally(step) | Op::Compensate(step) => {
                let mut op = StepOp::clone(step);
                // A clean-up that cannot succeed waits for an operator; it is never given up silently.
                op.policy.on_exhausted = OnExhausted::Park;
                // Unless the machine that it would clean is gone.
                if op.host.is_none() {
                    op.policy.schedule_timeout_ms = None;
                }
                let compensates = matches!(operation, Op::Compensate(_));
                self.finalizers.insert(seq, RegisteredFinalizer { op: Arc::new(op), done: false, compensates });
            }
            Op::FinallyNow { of, start_by } => {
                if let Some(op) = self.finalizers.get(of).map(|f| f.op.clone()) {
                    self.early.insert(seq, *of);
                    self.insert_step(seq, op, revision);
                    self.set_timer_if(seq, *start_by);
                }
            }
            Op::Log { .. } | Op::Emit { .. } | Op::Value { .. } => {}
            Op::Status { text } => self.status_line = Some(text.clone()),
            Op::Progress { fraction } => self.figures.progress = Some(*fraction),
            Op::Memo { memo } => self.memo = Some(memo.clone()),
            Op::Attributes { set } => {
                self.attributes.retain(|name| set.get(name).is_none_or(|value| !value.is_null()));
                self.attributes.extend(set.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.clone()));
                self.attributes_set.extend(set.clone());
            }
            Op::Cost { micros, .. } => self.spend(*micros),
        }
    }

    /// Ends an operation, whatever it is, without a result.
    fn close(&mut self, seq: Seq) {
        self.remove_step(seq);
        self.clear_timer(seq);
        self.remove_wait(seq);
        if let Some(LiveChild { key: Some(key), .. }) = take_out(&mut self.children, seq) {
            self.forget_unanswered(&key);
        }
        take_out(&mut self.completions, seq);
        self.drop_fan(seq);
        take_out(&mut self.early, seq);
        if take_out(&mut self.tasks, seq).is_some() {
            self.touched.tasks.entry(seq).or_insert(true);
        }
    }

    fn resolve(&mut self, seq: Seq, with: &Resolution) {
        if with.cleans_up() {
            self.finalizer_done(seq);
        }
        match with {
            Resolution::StepFailed { failure: StepFailure::NotStarted(_), lease, .. } => {
                self.accepted_leases.extend(*lease);
            }
            Resolution::StepDone { lease, .. } | Resolution::StepFailed { lease, .. } => {
                self.accepted_leases.extend(*lease);
                self.worked = true;
            }
            Resolution::SignalTaken => self.take_message(seq, 0),
            Resolution::SignalChosen { index } => self.take_message(seq, *index),
            Resolution::Human(outcome) => {
                self.ended_tasks.insert(seq, outcome.clone());
            }
            Resolution::ChildEnded { outcome } => {
                let key = self.children.get(&seq).and_then(|child| child.key.as_ref());
                if let Some(keyed) = key.and_then(|key| self.keyed.get_mut(key)) {
                    keyed.outcome = Some(outcome.clone());
                }
            }
            Resolution::ChildrenEnded { ends } => {
                if let Some(fan) = self.fans.get_mut(&seq) {
                    for (place, _) in ends {
                        fan.end(*place);
                    }
                }
                return self.forget_fan(seq);
            }
            Resolution::Completed { key, .. } => {
                self.ended_completions.insert(seq, key.clone());
            }
            Resolution::WaitTimedOut => {
                if self.completions.contains_key(&seq) {
                    self.ended_completions.insert(seq, String::new());
                }
            }
            Resolution::TimerFired => {}
        }
        self.close(seq);
    }

    fn remove_wait(&mut self, seq: Seq) {
        let Some(LiveWait { name, event: Some(_), .. }) = take_out(&mut self.waits, seq) else { return };
        self.touched.event_waits.entry(seq).or_insert(true);
        // Its channel is nobody else's: what came in and was not taken is of no use any more.
        if let Some(channel) = self.channels.get_mut(&name) {
            channel.kept.clear();
        }
    }

    fn remove_waits(&mut self) {
        for seq in self.waits.keys().copied().collect::<Vec<_>>() {
            self.remove_wait(seq);
        }
    }

    fn take_message(&mut self, seq: Seq, index: usize) {
        if let Some(channel) = self.waits.get(&seq).and_then(|wait| self.channels.get_mut(&wait.name)) {
            channel.kept.remove(index);
        }
    }

    /// Nobody waits for it any more: what of it lives is told to stop, or left.
    fn drop_fan(&mut self, seq: Seq) {
        let Some(fan) = self.fans.get_mut(&seq) else { return };
        fan.wanted = false;
        fan.cancelled = Some(if fan.on_close == ClosePolicy::Cancel { 0 } else { fan.started });
        self.forget_fan(seq);
    }

    fn forget_fan(&mut self, seq: Seq) {
        if self.fans.get(&seq).is_some_and(Fan::is_over) {
            take_out(&mut self.fans, seq);
        }
    }

    /// The fan-out that the child with this seq is of, and its place there.
    pub(crate) fn fan_of(&self, child: Seq) -> Option<(Seq, u32)> {
        let (seq, fan) = self.fans.range(..=child).next_back()?;
        let place = child.0 - seq.0;
        (place < fan.count).then_some((*seq, place))
    }

    /// A child that nobody waits for any more was cancelled: the next call of its key starts another.
    fn forget_unanswered(&mut self, key: &str) {
        let shared = self.children.values().any(|child| child.key.as_deref() == Some(key));
        if !shared && self.keyed.get(key).is_some_and(|keyed| keyed.outcome.is_none()) {
            self.keyed.remove(key);
        }
    }

    fn spend(&mut self, micros: u64) {
        self.figures.spent_micros = self.figures.spent_micros.saturating_add(micros);
    }

    fn begin_deadline(&mut self, deadline: Option<Timestamp>) {
        self.deadline = deadline;
        self.set_timer_if(RUN_DEADLINE, deadline);
    }

    /// What the run takes along into its next journal, which begins after `last_seq`: also the last things that it
    /// answered, those of this transition (`ended`) in any case, for they may be asked again.
    pub(crate) fn carried(&self, last_seq: Seq, ended: &[Entry]) -> Carried {
        let mut carried = Carried { generation: self.generation + 1, last_seq, ..Carried::default() };
        let just_now = ended.iter().filter_map(|entry| match entry {
            Entry::Resolved {
                with: Resolution::StepDone { lease, .. } | Resolution::StepFailed { lease, .. }, ..
            } => *lease,
            _ => None,
        });
        let recent = self.accepted_leases.iter().rev().take(ANSWERS_CARRIED_MAX).copied();
        carried.leases = just_now.chain(recent).collect::<BTreeSet<_>>().into_iter().collect();
        let answers = self.ended_tasks.iter().rev().take(ANSWERS_CARRIED_MAX);
        carried.answers = answers.map(|(seq, outcome)| (*seq, without_contents(outcome))).collect();
        let completions = self.ended_completions.iter().rev().take(ANSWERS_CARRIED_MAX);
        carried.completions = completions.map(|(seq, key)| (*seq, key.clone())).collect();
        let unfinished = self.finalizers.iter().filter(|(_, finalizer)| !finalizer.done);
        carried.finalizers = unfinished
            .map(|(seq, f)| CarriedFinalizer { seq: *seq, op: f.op.clone(), compensates: f.compensates })
            .collect();
        // What events came to, nobody waits for any more.
        let channels = self.channels.iter().filter(|(name, _)| !is_channel(name));
        carried.channels = channels
            .map(|(name, channel)| CarriedChannel {
                name: name.clone(),
                kept: channel.kept.iter().cloned().collect(),
                keys: channel.keys.iter().cloned().collect(),
            })
            .collect();
        carried.attributes.clone_from(&self.attributes);
        carried.deadline = self.deadline;
        carried.paused_by.clone_from(&self.paused_by);
        carried.status_line.clone_from(&self.status_line);
        carried.progress = self.figures.progress;
        carried.memo.clone_from(&self.memo);
        carried.spent_micros = self.figures.spent_micros;
        carried.budget_micros = self.figures.budget_micros;
        carried
    }

    /// The same for a run that lives on and for one that is read from here.
    fn begin_next_journal(&mut self, carried: &Carried, revision: u32) {
        for seq in
            self.steps.keys().chain(self.timers.keys()).chain(self.tasks.keys()).copied().collect::<BTreeSet<_>>()
        {
            if seq != RUN_DEADLINE {
                self.close(seq);
            }
        }
        self.remove_waits();
        self.children.clear();
        self.fans.clear();
        self.keyed.clear();
        self.completions.clear();
        self.early.clear();
        self.held.clear();
        self.entries = 1;
        self.generation = carried.generation;
        self.journal_from = Some(revision);
        self.worked = false;
        self.accepted_leases = carried.leases.iter().copied().collect();
        self.ended_tasks = carried.answers.iter().cloned().collect();
        self.ended_completions = carried.completions.iter().cloned().collect();
        let finalizers = carried.finalizers.iter();
        self.finalizers = finalizers
            .map(|f| (f.seq, RegisteredFinalizer { op: f.op.clone(), done: false, compensates: f.compensates }))
            .collect();
        let channels = carried.channels.iter();
        self.channels = channels
            .map(|c| {
                let (kept, keys) = (c.kept.iter().cloned().collect(), c.keys.iter().cloned().collect());
                (c.name.clone(), Channel { kept, keys })
            })
            .collect();
        if !self.timers.contains_key(&RUN_DEADLINE) {
            self.begin_deadline(carried.deadline);
        }
        self.attributes.clone_from(&carried.attributes);
        self.paused_by.clone_from(&carried.paused_by);
        self.status_line.clone_from(&carried.status_line);
        self.memo.clone_from(&carried.memo);
        self.figures = Figures {
            progress: carried.progress,
            spent_micros: carried.spent_micros,
            budget_micros: carried.budget_micros,
        };
    }

    /// A fork has another run's results, and nothing else of it.
    fn disown(&mut self) {
        self.finalizers.values_mut().for_each(|finalizer| finalizer.done = true);
        self.figures.spent_micros = 0;
    }

    fn finalizer_done(&mut self, seq: Seq) {
        let of = self.early.get(&seq).copied().unwrap_or(seq);
        if let Some(finalizer) = self.finalizers.get_mut(&of) {
            finalizer.done = true;
        }
    }

    fn attempt_ended(&mut self, seq: Seq, attempt: Attempt, why: &AttemptEnd, next_at: Option<Timestamp>) {
        self.touch_step(seq);
        let Some(step) = self.steps.get_mut(&seq) else {
            return;
        };
        step.attempt = attempt.next();
        step.grant = None;
        step.hand_overs = 0;
        let failure = match why {
            AttemptEnd::HandedBack => None,
            AttemptEnd::Lost => Some(Failure::new("worker_lost", "the worker vanished")),
            AttemptEnd::Failed(failure) => Some(failure.clone()),
        };
        if failure.is_some() {
            step.used += 1;
        }
        let wait = step.patience();
        step.phase = match (next_at, failure) {
            (Some(until), Some(_)) => StepPhase::BackingOff { until },
            (Some(_), None) => StepPhase::Queued,
            (None, failure) => StepPhase::Parked {
                failure: failure.unwrap_or_else(|| Failure::new("parked", "waits for an operator")),
            },
        };
        match (next_at, wait) {
            (Some(from), Some(wait)) => self.set_timer(seq, after(from, wait)),
            _ => self.clear_timer(seq),
        }
    }

    fn keep(&mut self, name: &str, key: &str, payload: &Payload) {
        let channel = self.channels.entry(name.to_owned()).or_default();
        channel.kept.push_back(payload.clone());
        channel.keys.push_back(key.to_owned());
        if channel.keys.len() > crate::bounds::SIGNALS_KEPT_PER_NAME {
            channel.keys.pop_front();
        }
    }

    fn begin_closing(&mut self, outcome: &RunOutcome) {
        self.phase = Phase::Closing(outcome.clone());
        self.held.clear();
        self.remove_waits();
        self.completions.clear();
        self.children.retain(|_, child| child.on_close == ClosePolicy::Cancel);
        self.fans.retain(|_, fan| fan.on_close == ClosePolicy::Cancel && fan.wanted);
        self.fans.values_mut().for_each(|fan| fan.cancelled = Some(0));
        self.fans.retain(|_, fan| !fan.is_over());
        for seq in self.timers.keys().copied().collect::<Vec<_>>() {
            self.clear_timer(seq);
        }
        for seq in std::mem::take(&mut self.tasks).into_keys() {
            self.touched.tasks.entry(seq).or_insert(true);
        }
        for seq in self.steps.keys().copied().collect::<Vec<_>>() {
            self.touch_step(seq);
            if let Some(step) = self.steps.get_mut(&seq) {
                step.phase = StepPhase::Stopping;
            }
        }
    }

    fn change_input(&mut self, seq: Seq, input: &Payload, revision: u32) {
        self.touch_step(seq);
        if let Some(step) = self.steps.get_mut(&seq) {
            Arc::make_mut(&mut step.op).input = input.clone();
            step.revision = revision;
        }
    }

    /// What is at work is let go, and unless it is to be cleaned, what was to be cleaned too.
    fn kill(&mut self, cleanup: bool) {
        let going = self.steps.iter().filter(|(_, step)| !cleanup || step.phase == StepPhase::Stopping);
        for seq in going.map(|(seq, _)| *seq).collect::<Vec<_>>() {
            self.close(seq);
        }
        self.children.clear();
        self.fans.clear();
        if !cleanup {
            self.finalizers.values_mut().for_each(|finalizer| finalizer.done = true);
        }
    }

    fn insert_step(&mut self, seq: Seq, op: Arc<StepOp>, revision: u32) {
        self.touch_step(seq);
        let step = LiveStep {
            attempt: Attempt::FIRST,
            used: 0,
            phase: StepPhase::Queued,
            grant: None,
            hand_overs: 0,
            sticky: op.sticky,
            revision,
            op,
        };
        self.steps.insert(seq, step);
    }

    /// Whom the step preferred did not take it.
    fn set_free(&mut self, seq: Seq, start_by: Option<Timestamp>) {
        self.touch_step(seq);
        if let Some(step) = self.steps.get_mut(&seq) {
            step.sticky = None;
        }
        self.clear_timer(seq);
        self.set_timer_if(seq, start_by);
    }

    pub(crate) fn remove_step(&mut self, seq: Seq) {
        self.touch_step(seq);
        take_out(&mut self.steps, seq);
    }

    fn touch_step(&mut self, seq: Seq) {
        let exists = self.steps.contains_key(&seq);
        self.touched.steps.entry(seq).or_insert(exists);
    }

    fn set_timer(&mut self, seq: Seq, at: Timestamp) {
        let exists = self.timers.contains_key(&seq);
        self.touched.timers.entry(seq).or_insert(exists);
        self.timers.insert(seq, at);
    }

    fn set_timer_if(&mut self, seq: Seq, at: Option<Timestamp>) {
        if let Some(at) = at {
            self.set_timer(seq, at);
        }
    }

    fn clear_timer(&mut self, seq: Seq) {
        if take_out(&mut self.timers, seq).is_some() {
            self.touched.timers.entry(seq).or_insert(true);
        }
    }
}

/// Who said it under which key: what a repeat is told.
fn without_contents(outcome: &HumanOutcome) -> HumanOutcome {
    match outcome {
        HumanOutcome::Answered { by, key, .. } => {
            HumanOutcome::Answered { by: by.clone(), key: key.clone(), answer: Payload::null() }
        }
        other => other.clone(),
    }
}

/// An emptied map keeps its node, which has room for eleven entries: for live steps that was a third of what a
/// parked run held.
fn take_out<V>(map: &mut BTreeMap<Seq, V>, seq: Seq) -> Option<V> {
    let taken = map.remove(&seq);
    if map.is_empty() {
        *map = BTreeMap::new();
    }
    taken
}

impl LiveStep {
    /// Where its tickets go.
    pub fn queue(&self) -> String {
        let queue = &self.op.policy.queue;
        self.sticky.map_or_else(|| queue.clone(), |sticky| queue_of_session(queue, sticky.session))
    }

    /// As the call asked for it, with the queue where its tickets go.
    pub(crate) fn policy(&self) -> StepPolicy {
        let mut policy = self.op.policy.clone();
        if self.sticky.is_some() {
            policy.queue = self.queue();
        }
        policy
    }

    /// How long an attempt waits before it is asked why nobody has it.
    fn patience(&self) -> Option<Duration> {
        self.sticky.map(|_| STICKY_PATIENCE).or(self.op.policy.schedule_timeout_ms.map(Duration::from_millis))
    }

    /// Ready, or ready again: its time to wait is over.
    pub(crate) fn is_queued(&self, now: Timestamp) -> bool {
        match self.phase {
            StepPhase::Queued => true,
            StepPhase::BackingOff { until } => until <= now,
            StepPhase::Parked { .. } | StepPhase::Stopping => false,
        }
    }
}

fn step_reason(seq: Seq, step: &LiveStep, now: Timestamp) -> Reason {
    let name = step.op.name.clone();
    match &step.phase {
        StepPhase::Queued => Reason::Step { name, seq },
        StepPhase::BackingOff { until } if *until <= now => Reason::Step { name, seq },
        StepPhase::BackingOff { until } => Reason::BackingOff { name, seq, until: *until },
        StepPhase::Parked { failure } => Reason::Parked { name, seq, code: failure.code.clone() },
        StepPhase::Stopping => Reason::Stopping { name, seq },
    }
}
