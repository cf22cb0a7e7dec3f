//! The state of a run: the fold of its journal. The same [`Run::apply`] serves a live transition and a replay.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::bounds::STATUS_LINE_BYTES_MAX;
use crate::command::{GrantedStep, Parent};
use crate::context::after;
use crate::id::{Attempt, LeaseId, RunId, Seq};
use crate::journal::{AttemptEnd, Entry, HumanOutcome, HumanSpec, Op, Resolution, RunOutcome, StepOp, StuckReason};
use crate::payload::Payload;
use crate::step::{Failure, OnExhausted, StepFailure};
use crate::transition::column_text;

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
    pub op: StepOp,
    pub attempt: Attempt,
    /// Attempts used up so far.
    pub used: u32,
    pub phase: StepPhase,
    /// The grant as far as this process knows: from a hand-over or from the last load. Claims do not touch the run.
    pub grant: Option<LeaseId>,
    pub hand_overs: u32,
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
    pub op: StepOp,
    pub done: bool,
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
    pub waits: BTreeMap<Seq, String>,
    pub tasks: BTreeMap<Seq, HumanSpec>,
    pub children: BTreeMap<Seq, String>,
    pub channels: BTreeMap<String, Channel>,
    pub finalizers: BTreeMap<Seq, RegisteredFinalizer>,
    pub held: VecDeque<(Seq, Resolution)>,
    /// Leases whose finish was accepted: a repeated finish finds its first answer. What a sweep ended is not among them.
    pub accepted_leases: BTreeSet<LeaseId>,
    pub ended_tasks: BTreeMap<Seq, HumanOutcome>,
    pub entries: usize,
    /// Instant of the last transition: a run's time never goes back, whichever engine's clock it is.
    pub last_at: Timestamp,
    pub status_line: Option<String>,
    /// Its workflow, its tenant or the whole engine is paused, as the engine that decides knows. No journal holds this.
    pub on_hold: bool,
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
    Timer {
        until: Timestamp,
    },
    Child {
        workflow: String,
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
            Self::Step { name, .. } | Self::BackingOff { name, .. } | Self::Stopping { name, .. } => tidy(name),
            Self::Parked { name, code, .. } => {
                tidy(name);
                tidy(code);
            }
            Self::Person { reason: text, .. }
            | Self::Paused { by: text }
            | Self::Signal { name: text }
            | Self::Child { workflow: text }
            | Self::Stuck { text } => tidy(text),
            Self::Timer { .. } | Self::NewerBuild { .. } | Self::Held => {}
        }
        self
    }
}

fn tidy(text: &mut String) {
    *text = column_text(text, STATUS_LINE_BYTES_MAX);
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
            channels: BTreeMap::new(),
            finalizers: BTreeMap::new(),
            held: VecDeque::new(),
            accepted_leases: BTreeSet::new(),
            ended_tasks: BTreeMap::new(),
            entries: 0,
            last_at: Timestamp::MIN_UTC,
            status_line: None,
            on_hold: false,
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
            Phase::Active if self.steps.values().any(|step| step.is_queued(self.last_at)) => Status::Running,
            Phase::Active => Status::Waiting,
        }
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
            .map(|(seq, step)| step_reason(*seq, step, self.last_at))
            .or_else(|| {
                let (seq, task) = self.tasks.iter().next()?;
                Some(Reason::Person {
                    reason: task.reason.clone(),
                    until: *self.timers.get(seq).unwrap_or(&task.deadline),
                })
            })
            .or_else(|| self.waits.values().next().map(|name| Reason::Signal { name: name.clone() }))
            .or_else(|| self.children.values().next().map(|w| Reason::Child { workflow: w.clone() }))
            .or_else(|| self.timers.values().min().map(|until| Reason::Timer { until: *until }))
    }

    /// True while an operation is outstanding that can still resolve.
    pub fn waits_for_something(&self) -> bool {
        !(self.steps.is_empty()
            && self.timers.is_empty()
            && self.waits.is_empty()
            && self.tasks.is_empty()
            && self.children.is_empty()
            && self.held.is_empty())
    }

    /// A message of this key came in before.
    pub(crate) fn has_signal(&self, name: &str, key: &str) -> bool {
        self.channels.get(name).is_some_and(|channel| channel.keys.iter().any(|known| known == key))
    }

    /// The wait at the head whose channel has a message.
    pub(crate) fn satisfied_wait(&self) -> Option<Seq> {
        self.waits
            .iter()
            .find(|(_, name)| self.channels.get(*name).is_some_and(|c| !c.kept.is_empty()))
            .map(|(seq, _)| *seq)
    }

    /// The oldest message that the wait at `seq` would take.
    pub(crate) fn next_message(&self, seq: Seq) -> Option<Payload> {
        let name = self.waits.get(&seq)?;
        self.channels.get(name)?.kept.front().cloned()
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
            policy: step.op.policy.clone(),
        })
    }

    /// Changes the state by one entry of revision `revision`.
    pub fn apply(&mut self, entry: &Entry, revision: u32) {
        self.entries += 1;
        match entry {
            Entry::Started { .. } | Entry::CancelRequested { .. } | Entry::Skipped { .. } => {}
            Entry::InputChanged { seq, input, .. } => self.change_input(*seq, input, revision),
            Entry::Killed { cleanup, .. } => self.kill(*cleanup),
            Entry::Op { seq, op } => self.open(*seq, op, revision),
            Entry::Dropped { seq } => self.close(*seq),
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
                self.attempt_ended(*seq, *attempt, why, *next_at);
            }
            Entry::StartedInTime { seq } => self.clear_timer(*seq),
            Entry::StepStopped { seq, lease, .. } => {
                self.accepted_leases.extend(*lease);
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

    fn open(&mut self, seq: Seq, op: &Op, revision: u32) {
        match op {
            Op::Step(step) => {
                self.insert_step(seq, step.clone(), revision);
                self.set_timer_if(seq, step.start_by);
            }
            Op::Sleep { until } => self.set_timer(seq, *until),
            Op::Wait { name, deadline } => {
                self.waits.insert(seq, name.clone());
                self.set_timer_if(seq, *deadline);
            }
            Op::Human { task } => {
                self.touched.tasks.entry(seq).or_insert(false);
                self.tasks.insert(seq, task.clone());
                self.set_timer(seq, task.deadline);
            }
            Op::Child { workflow, .. } => {
                self.children.insert(seq, workflow.clone());
            }
            Op::Finally(step) => {
                let mut op = step.clone();
                // A clean-up that cannot succeed waits for an operator; it is never given up silently.
                op.policy.on_exhausted = OnExhausted::Park;
                // Unless the machine that it would clean is gone.
                if op.host.is_none() {
                    op.policy.schedule_timeout_ms = None;
                }
                self.finalizers.insert(seq, RegisteredFinalizer { op, done: false });
            }
            Op::FinallyNow { of, start_by } => {
                if let Some(op) = self.finalizers.get(of).map(|f| f.op.clone()) {
                    self.early.insert(seq, *of);
                    self.insert_step(seq, op, revision);
                    self.set_timer_if(seq, *start_by);
                }
            }
            Op::Log { .. } | Op::Emit { .. } => {}
            Op::Status { text } => self.status_line = Some(text.clone()),
        }
    }

    /// Ends an operation, whatever it is, without a result.
    fn close(&mut self, seq: Seq) {
        self.remove_step(seq);
        self.clear_timer(seq);
        take_out(&mut self.waits, seq);
        take_out(&mut self.children, seq);
        take_out(&mut self.early, seq);
        if take_out(&mut self.tasks, seq).is_some() {
            self.touched.tasks.entry(seq).or_insert(true);
        }
    }

    fn resolve(&mut self, seq: Seq, with: &Resolution) {
        match with {
            Resolution::StepDone { lease, .. } => {
                self.finalizer_done(seq);
                self.accepted_leases.extend(*lease);
            }
            Resolution::StepFailed { lease, failure, .. } => {
                if matches!(failure, StepFailure::NotStarted(_)) {
                    self.finalizer_done(seq);
                }
                self.accepted_leases.extend(*lease);
            }
            Resolution::SignalTaken => {
                if let Some(channel) = self.waits.get(&seq).and_then(|name| self.channels.get_mut(name)) {
                    channel.kept.pop_front();
                }
            }
            Resolution::Human(outcome) => {
                self.ended_tasks.insert(seq, outcome.clone());
            }
            Resolution::TimerFired | Resolution::WaitTimedOut | Resolution::ChildEnded { .. } => {}
        }
        self.close(seq);
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
        let wait_ms = step.op.policy.schedule_timeout_ms;
        step.phase = match (next_at, failure) {
            (Some(until), Some(_)) => StepPhase::BackingOff { until },
            (Some(_), None) => StepPhase::Queued,
            (None, failure) => StepPhase::Parked {
                failure: failure.unwrap_or_else(|| Failure::new("parked", "waits for an operator")),
            },
        };
        match (next_at, wait_ms) {
            (Some(from), Some(ms)) => self.set_timer(seq, after(from, std::time::Duration::from_millis(ms))),
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
        self.waits.clear();
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
            step.op.input = input.clone();
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
        if !cleanup {
            self.finalizers.values_mut().for_each(|finalizer| finalizer.done = true);
        }
    }

    fn insert_step(&mut self, seq: Seq, op: StepOp, revision: u32) {
        self.touch_step(seq);
        let step = LiveStep {
            op,
            attempt: Attempt::FIRST,
            used: 0,
            phase: StepPhase::Queued,
            grant: None,
            hand_overs: 0,
            revision,
        };
        self.steps.insert(seq, step);
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
    /// Ready, or ready again: its time to wait is over.
    fn is_queued(&self, now: Timestamp) -> bool {
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
