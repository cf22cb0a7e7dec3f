//! A run under test with its store: the journal, the rows of its steps and timers, and a clock that the test turns.
//!
//! After every transition the run is rebuilt from its journal, and must be the same.

use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;
use valet_core::command::{
    Command, FinishStep, GrantedStep, HandOverOffer, InboxMessage, Rejection, Reply, StartRun, TaskAnswer,
};
use valet_core::decide::{CodeUse, Machine, StoredRun, StoredStep};
use valet_core::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use valet_core::journal::{Chunk, Entry, RunOutcome};
use valet_core::run::{Identity, Run};
use valet_core::transition::{EventWaitChange, Fence, StepChange, StepState, TimerChange, Transition};
use valet_core::{EventPattern, Failure, Outcome, Payload, Registry, Timestamp};

use super::program::{Do, registry};

/// Something that happens to a run, with the word for it.
pub type Way = (&'static str, fn(&mut Subject));

/// A step's row as the store has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub attempt: Attempt,
    pub state: StepState,
    pub gated: bool,
    pub lease: Option<LeaseId>,
}

pub struct Subject {
    pub machine: Machine,
    pub registry: Registry,
    pub journal: Vec<Chunk>,
    pub rows: BTreeMap<Seq, Row>,
    pub timers: BTreeMap<Seq, Timestamp>,
    pub event_waits: BTreeMap<Seq, EventPattern>,
    pub now: Timestamp,
    pub last: Option<Transition>,
}

pub fn at(ms: i64) -> Timestamp {
    Timestamp::from_timestamp_millis(1_800_000_000_000 + ms).expect("an instant")
}

/// The lease that tests claim the n-th attempt of a step under.
pub fn lease(n: u128) -> LeaseId {
    LeaseId(Uuid::from_u128(n))
}

/// The session of the worker that does everything.
pub fn worker() -> SessionId {
    SessionId(Uuid::from_u128(77))
}

pub fn payload(value: &serde_json::Value) -> Payload {
    Payload::of(value).expect("JSON")
}

pub fn done(value: &serde_json::Value) -> Outcome {
    Outcome::Done { output: payload(value) }
}

pub fn retry(code: &str) -> Outcome {
    Outcome::Retry { error: Failure::new(code, "try again"), after_ms: None }
}

impl Subject {
    pub fn run_script(script: &[Do]) -> Self {
        Self::run_started(start_of(script), registry())
    }

    /// A run that carries out this definition.
    pub fn run_declared(definition: &serde_json::Value, input: &serde_json::Value) -> Self {
        let (start, definition) = (start_of(&[]), Some(payload(definition)));
        let start = StartRun { workflow: "declared".to_owned(), input: payload(input), definition, ..start };
        Self::run_started(start, registry())
    }

    pub fn run_started(start: StartRun, registry: Registry) -> Self {
        let mut subject = Self::new(RunId::root(at(0), [9; 16]), at(0), &start, registry);
        subject.tell(Command::Start(Box::new(start))).expect("a start");
        subject
    }

    /// A run that its first command is yet to start.
    pub fn new(id: RunId, now: Timestamp, start: &StartRun, registry: Registry) -> Self {
        Self {
            machine: Machine::create(id, start, now, &registry, CodeUse::Recorded),
            registry,
            journal: Vec::new(),
            rows: BTreeMap::new(),
            timers: BTreeMap::new(),
            event_waits: BTreeMap::new(),
            now,
            last: None,
        }
    }

    pub fn start_command(script: &[Do]) -> Command {
        Command::Start(Box::new(start_of(script)))
    }

    pub fn run(&self) -> &Run {
        self.machine.run()
    }

    pub fn identity(&self) -> Identity {
        self.run().identity.clone()
    }

    pub fn tell(&mut self, command: Command) -> Result<Reply, Rejection> {
        self.tell_all(vec![command]).pop().expect("one reply")
    }

    /// Folds commands into one transition and commits it. What the store refuses is decided again from what it has; what
    /// it refuses then too stays refused.
    pub fn tell_all(&mut self, commands: Vec<Command>) -> Vec<Result<Reply, Rejection>> {
        let (revision, count) = (self.run().revision, commands.len());
        let mut decision = self.machine.decide(commands.clone(), self.now, &self.registry);
        if decision.transition.as_ref().is_some_and(|transition| !self.fences_hold(transition)) {
            self.restart();
            decision = self.machine.decide(commands, self.now, &self.registry);
        }
        if decision.transition.as_ref().is_some_and(|transition| !self.fences_hold(transition)) {
            self.restart();
            self.last = None;
            return (0..count).map(|_| Err(Rejection::Stale)).collect();
        }
        assert_eq!(decision.replies.len(), count, "a reply for each command");
        if let Some(transition) = &decision.transition {
            assert_eq!(transition.expect, revision);
            assert_eq!(transition.chunk.revision, revision + 1);
            self.store(transition);
        } else {
            assert_eq!(self.run().revision, revision, "without a transition nothing changes");
        }
        self.last = decision.transition;
        self.assert_rebuilds();
        decision.replies
    }

    /// As far as rows tell; whether a session lives, the tests say by what they send.
    fn fences_hold(&self, transition: &Transition) -> bool {
        transition.fences.iter().all(|fence| {
            let row = self.rows.get(&fence.seq());
            let held_by = |attempt: Attempt, lease: LeaseId| {
                row.is_some_and(|row| row.attempt == attempt && row.lease == Some(lease))
            };
            match *fence {
                Fence::Granted { attempt, lease, .. }
                | Fence::HandsOver { attempt, lease, .. }
                | Fence::Lost { attempt, lease, .. }
                | Fence::Forgotten { attempt, lease, .. }
                | Fence::NotBegun { attempt, lease, .. } => held_by(attempt, lease),
                Fence::NotGranted { .. } => row.is_none_or(|row| row.lease.is_none()),
            }
        })
    }

    fn store(&mut self, transition: &Transition) {
        for change in &transition.steps {
            match change {
                StepChange::Insert(row) | StepChange::Update(row) => {
                    let lease = row.grant.map(|(lease, _)| lease);
                    let new = Row { attempt: row.attempt, state: row.state, gated: row.gated, lease };
                    let old = self.rows.insert(row.seq, new);
                    assert_eq!(
                        old.is_some(),
                        matches!(change, StepChange::Update(_)),
                        "step {} is in its place",
                        row.seq
                    );
                }
                StepChange::Stop { seq } => {
                    self.rows.get_mut(seq).unwrap_or_else(|| panic!("no row of {seq} to stop")).state =
                        StepState::Stopping;
                }
                StepChange::Delete { seq } => {
                    self.rows.remove(seq).unwrap_or_else(|| panic!("no row of {seq} to delete"));
                }
            }
        }
        if let Some(gated) = transition.gate {
            self.rows.values_mut().for_each(|row| row.gated = gated);
        }
        for change in &transition.timers {
            match change {
                TimerChange::Set { seq, at, .. } => drop(self.timers.insert(*seq, *at)),
                TimerChange::Clear { seq } => assert!(self.timers.remove(seq).is_some(), "no timer of {seq} to clear"),
            }
        }
        for change in &transition.event_waits {
            match change {
                EventWaitChange::Begin { seq, event } => {
                    let old = self.event_waits.insert(*seq, event.clone());
                    assert!(old.is_none(), "the wait at {seq} began before");
                }
                EventWaitChange::End { seq } => {
                    assert!(self.event_waits.remove(seq).is_some(), "no wait at {seq} to end");
                }
            }
        }
        self.journal.push(transition.chunk.clone());
    }

    pub fn stored(&self) -> StoredRun {
        let rows = self.rows.iter().map(|(seq, row)| StoredStep {
            seq: *seq,
            attempt: row.attempt,
            granted: row.lease,
            slots: Vec::new(),
            blocked: false,
        });
        StoredRun {
            identity: self.identity(),
            // What is in memory may be ahead.
            revision: self.journal.last().map_or(0, |chunk| chunk.revision),
            build: self.run().build,
            chunks: self.journal.clone(),
            rows: rows.collect(),
        }
    }

    /// Replay is the normal path run again: the same journal makes the same run.
    fn assert_rebuilds(&self) {
        let rebuilt = Machine::rebuild(self.stored(), &self.registry, CodeUse::Recorded);
        assert_eq!(sketch(rebuilt.run()), sketch(self.run()), "a rebuilt run is the run that lived");
    }

    /// The process dies: what was in memory is gone.
    pub fn restart(&mut self) {
        self.machine = Machine::rebuild(self.stored(), &self.registry, CodeUse::Recorded);
    }

    /// A worker claims the current attempt of a step; claims do not touch the run.
    pub fn claim(&mut self, seq: u32, n: u128) {
        let row = self.rows.get_mut(&Seq(seq)).unwrap_or_else(|| panic!("step {seq} has no row"));
        assert_eq!((row.state, row.gated), (StepState::Ready, false), "step {seq} can be had");
        row.state = StepState::Running;
        row.lease = Some(lease(n));
    }

    pub fn finish_command(seq: u32, attempt: u32, n: u128, outcome: Outcome) -> Command {
        Command::Finish(Box::new(FinishStep {
            seq: Seq(seq),
            attempt: Attempt(attempt),
            lease: lease(n),
            session: worker(),
            outcome,
            hand_over: None,
            costs: Vec::new(),
        }))
    }

    /// A finish that would take the next step along, under lease `next`.
    pub fn offering(seq: u32, n: u128, outcome: Outcome, next: u128) -> Command {
        Self::offering_by(worker(), seq, n, outcome, next)
    }

    pub fn offering_by(session: SessionId, seq: u32, n: u128, outcome: Outcome, next: u128) -> Command {
        Command::Finish(Box::new(FinishStep {
            seq: Seq(seq),
            attempt: Attempt(1),
            lease: lease(n),
            session,
            outcome,
            hand_over: Some(HandOverOffer { lease: lease(next), session, queue: "default".to_owned() }),
            costs: Vec::new(),
        }))
    }

    pub fn finish(&mut self, seq: u32, attempt: u32, n: u128, outcome: Outcome) -> Result<Reply, Rejection> {
        self.tell(Self::finish_command(seq, attempt, n, outcome))
    }

    /// Claims and finishes in one go.
    pub fn carry_out(&mut self, seq: u32, outcome: Outcome) {
        let attempt = self.rows.get(&Seq(seq)).unwrap_or_else(|| panic!("step {seq} has no row")).attempt.0;
        // Back-off is over: the tick makes it ready.
        if let Some(row) = self.rows.get_mut(&Seq(seq))
            && let StepState::BackingOff(until) = row.state
        {
            self.now = self.now.max(until);
            row.state = StepState::Ready;
        }
        let n = u128::from(seq) * 1_000 + u128::from(attempt);
        self.claim(seq, n);
        self.finish(seq, attempt, n, outcome).unwrap_or_else(|e| panic!("step {seq}: {e}"));
    }

    pub fn lose(&mut self, seq: u32, attempt: u32, n: u128, effect_begun: bool) -> Result<Reply, Rejection> {
        self.tell(Command::AttemptLost { seq: Seq(seq), attempt: Attempt(attempt), lease: lease(n), effect_begun })
    }

    pub fn signal(&mut self, name: &str, key: &str, value: &serde_json::Value) -> Result<Reply, Rejection> {
        self.tell(Command::Signal { name: name.to_owned(), key: key.to_owned(), payload: payload(value) })
    }

    /// Publishes an event, as the store would tell of it those whose pattern fits.
    pub fn publish(&mut self, seq: u32, id: &str, payload: &serde_json::Value) -> Result<Reply, Rejection> {
        let message = json!({
            "id": id, "key": "order:paid", "scope": null, "subject": "ada", "payload": payload, "at": self.now,
        });
        self.tell(Command::Event { seq: Seq(seq), key: id.to_owned(), message: self::payload(&message) })
    }

    pub fn answer(&mut self, seq: u32, key: &str, value: &serde_json::Value) -> Result<Reply, Rejection> {
        let (by, key) = ("ada".to_owned(), key.to_owned());
        self.tell(Command::AnswerTask { seq: Seq(seq), by, key, answer: TaskAnswer::Answered(payload(value)) })
    }

    pub fn pause(&mut self) {
        self.tell(Command::Pause { by: "ada".to_owned() }).expect("a pause");
    }

    pub fn resume(&mut self) {
        self.tell(Command::Unpause { by: "ada".to_owned() }).expect("a resume");
    }

    pub fn cancel(&mut self) -> Result<Reply, Rejection> {
        self.tell(Command::Cancel { by: "ada".to_owned(), reason: "enough".to_owned() })
    }

    pub fn retry(&mut self) -> Result<Reply, Rejection> {
        self.tell(Command::Retry { by: "ada".to_owned() })
    }

    /// Turns the clock to a timer and fires it.
    pub fn fire(&mut self, seq: u32) {
        self.now = self.now.max(self.timers[&Seq(seq)]);
        self.tell(Command::TimerDue { seq: Seq(seq) }).expect("a timer");
    }

    pub fn inbox(&mut self, number: i64, message: InboxMessage) -> Result<Reply, Rejection> {
        self.tell(Command::Inbox { from: self.run().id().child(Seq(1)), from_seq: number, message })
    }

    pub fn status(&self) -> &'static str {
        self.run().status().as_str()
    }

    /// What the script's operations came to, once the run succeeded.
    #[track_caller]
    pub fn output(&self) -> Vec<String> {
        let outcome = self.entries().into_iter().find_map(|entry| match entry {
            Entry::Closing { outcome } => Some(outcome.clone()),
            _ => None,
        });
        match outcome {
            Some(RunOutcome::Succeeded { output }) => output.read().expect("lines"),
            other => panic!("the run did not succeed: {other:?}"),
        }
    }

    pub fn entries(&self) -> Vec<&Entry> {
        self.journal.iter().flat_map(|chunk| &chunk.entries).collect()
    }

    /// Entries of one kind, by the word that names them in the journal.
    pub fn count(&self, kind: &str) -> usize {
        self.entries().into_iter().filter(|entry| word(entry) == kind).count()
    }

    pub fn kinds(&self) -> Vec<String> {
        self.entries().into_iter().map(word).collect()
    }
}

/// The word that names an entry.
pub fn word(entry: &Entry) -> String {
    match serde_json::to_value(entry).expect("JSON") {
        serde_json::Value::String(word) => word,
        other => other.as_object().and_then(|o| o.keys().next()).expect("a kind").clone(),
    }
}

pub fn start_of(script: &[Do]) -> StartRun {
    let words = ["acme", "ada", "script", "free"].map(ToOwned::to_owned);
    let [tenant, subject, workflow, plan] = words;
    StartRun::new(tenant, subject, workflow, plan, payload(&json!(script)))
}

/// All of a run that its journal holds. Grants are the rows' business, the pauses of what it belongs to the engine's.
fn sketch(run: &Run) -> String {
    let mut run = run.clone();
    run.on_hold = false;
    for step in run.steps.values_mut() {
        step.grant = None;
        step.hand_overs = 0;
    }
    format!("{run:#?}")
}

/// The step that a finish handed over.
pub fn handed_over(reply: Result<Reply, Rejection>) -> Option<Box<GrantedStep>> {
    match reply {
        Ok(Reply::Finished { handed_over }) => handed_over,
        other => panic!("not a finish that was taken: {other:?}"),
    }
}
