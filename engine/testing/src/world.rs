//! Drives runs: does steps, answers people, delivers messages, skips time, and disturbs as it is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use valet_core::command::{
    Command, FinishStep, GrantedStep, HandOverOffer, InboxMessage, Parent, Rejection, Reply, StartRun, TaskAnswer,
};
use valet_core::decide::Decision;
use valet_core::id::{LeaseId, RunId, Seq, SessionId};
use valet_core::journal::{CompletionOutcome, Entry, RunOutcome};
use valet_core::run::Reason;
use valet_core::step::StepPolicy;
use valet_core::transition::StepState;
use valet_core::{EventPattern, Failure, Outcome, Payload, PublishedEvent, Timestamp};

use crate::answers::{self, Operator};
use crate::bounds::{ATTEMPT_TAKES, OPERATOR_RETRIES_MAX};
use crate::engine::{Event, TestEngine, Unfit, fits};
use crate::meddling::{Attempted, Fault, Meddling};
use crate::stored::{StepRow, Stored};
use crate::test_run::TestRun;
use crate::trouble::Trouble;

/// When every test begins: an instant like any other.
const EPOCH_MS: i64 = 1_800_000_000_000;
const ENTROPY: [u8; 16] = [9; 16];
const OPERATOR: &str = "operator";
const PERSON: &str = "person";

/// The one worker of a run: it has all labels, does every step, and never ends.
fn worker(run: RunId) -> SessionId {
    SessionId(run.derive(Seq(0), "worker"))
}

struct Mail {
    from: RunId,
    number: i64,
    to: RunId,
    message: InboxMessage,
}

/// The first attempt of a step: where a contract may let it fail.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub run: RunId,
    pub seq: Seq,
    pub name: String,
    pub policy: StepPolicy,
    pub is_finalizer: bool,
    /// It has a schedule timeout.
    pub may_starve: bool,
}

/// Something that somebody outside was to complete.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub run: RunId,
    pub seq: Seq,
    pub name: String,
}

/// All runs of one test, and the instant.
pub(crate) struct World {
    engine: TestEngine,
    meddling: Meddling,
    root: RunId,
    runs: BTreeMap<RunId, Stored>,
    started_at: Timestamp,
    now: Timestamp,
    mail: VecDeque<Mail>,
    events: VecDeque<(Duration, Event)>,
    /// Tasks and waits that the test has nothing to say about.
    left_alone: BTreeSet<(RunId, Seq)>,
    heard: BTreeMap<(RunId, String), u32>,
    completed: BTreeMap<(RunId, String), u32>,
    parked: BTreeMap<(RunId, Seq), u32>,
    cancel_due: bool,
    /// The contract has paused the root, and lifts that once nothing else moves.
    pause_due: bool,
    paused: bool,
    /// What was handed over to the worker that finished the step before.
    in_hand: Option<Box<GrantedStep>>,
    operator_retries: u32,
    pub calls: Vec<Call>,
    pub promises: Vec<Promise>,
    /// What steps came to, the last time that they were done.
    pub outputs: BTreeMap<(RunId, Seq), Payload>,
    pub transitions: usize,
    pub attempts: usize,
    /// Results of steps that were taken, over all runs.
    pub accepted: u32,
}

impl World {
    pub fn new(mut engine: TestEngine, workflow: &str, input: Payload, meddling: Meddling) -> Self {
        let now = Timestamp::from_timestamp_millis(EPOCH_MS).unwrap_or_default();
        let root = RunId::root(now, ENTROPY);
        let [tenant, subject, workflow, plan] = ["tenant", "subject", workflow, "free"].map(ToOwned::to_owned);
        let definition = engine.definition_of(&workflow);
        let start = StartRun { definition, ..StartRun::new(tenant, subject, workflow, plan, input) };
        let events = std::mem::take(&mut engine.events).into();
        let runs = BTreeMap::from([(root, Stored::new(root, start, now, &engine.registry))]);
        Self {
            engine,
            meddling,
            root,
            runs,
            started_at: now,
            now,
            mail: VecDeque::new(),
            events,
            left_alone: BTreeSet::new(),
            heard: BTreeMap::new(),
            completed: BTreeMap::new(),
            parked: BTreeMap::new(),
            cancel_due: false,
            pause_due: false,
            paused: false,
            in_hand: None,
            operator_retries: 0,
            calls: Vec::new(),
            promises: Vec::new(),
            outputs: BTreeMap::new(),
            transitions: 0,
            attempts: 0,
            accepted: 0,
        }
    }

    pub fn run(mut self) -> Result<TestRun, Trouble> {
        self.drive()?;
        Ok(self.into_run())
    }

    pub fn into_run(mut self) -> TestRun {
        let root = self.root;
        TestRun::of(root, &mut self.runs)
    }

    /// Until every run has ended.
    pub fn drive(&mut self) -> Result<(), Trouble> {
        if let Some(root) = self.runs.get(&self.root) {
            let start = Command::Start(Box::new(root.start().clone()));
            self.tell(self.root, start)?;
        }
        while !(self.mail.is_empty() && self.runs.values().all(Stored::has_ended)) {
            let moved = self.cancel()?
                || self.pause()?
                || self.read_mail()?
                || self.due_events()?
                || self.follow_orders()?
                || self.work()?
                || self.ask()?
                || self.hear()?
                || self.complete()?
                || self.attend_parked()?
                || self.resume()?
                || self.skip_time()?
                || self.operate()?;
            if !moved {
                return Err(Trouble::Waits(self.reason()));
            }
        }
        match self.engine.orders.first().filter(|_| self.meddling == Meddling::None) {
            Some(order) => Err(Trouble::NeverAsked { step: order.step().to_owned() }),
            None => Ok(()),
        }
    }

    /// Of the root, or of the first run that still goes.
    fn reason(&self) -> Option<Reason> {
        let root = self.runs.get(&self.root).and_then(|stored| stored.run().reason());
        match root {
            // The child itself knows better.
            Some(Reason::Child { .. }) | None => {
                let mut child = self.runs.values().filter(|stored| stored.run().id() != self.root);
                child.find_map(|stored| stored.run().reason()).or(root)
            }
            other => other,
        }
    }

    /// What nobody waits for an answer to.
    fn tell(&mut self, to: RunId, command: Command) -> Result<(), Trouble> {
        self.request(to, command).map(drop)
    }

    /// Decides a command and stores what it changed; the engine dies here if it is to.
    fn request(&mut self, to: RunId, command: Command) -> Result<Result<Reply, Rejection>, Trouble> {
        let Some(stored) = self.runs.get_mut(&to) else { return Ok(Ok(Reply::Done)) };
        let (now, registry) = (self.now, &self.engine.registry);
        let mut decision = stored.decide(command.clone(), now, registry);
        let Some(decided) = &decision.transition else { return Ok(answer(decision.replies)) };
        let chunk = decided.chunk.clone();
        let nth = self.transitions;
        self.transitions += 1;
        let crashes = |after| self.meddling == Meddling::Crash { transition: nth, stored: after };
        if crashes(false) {
            stored.forget(registry);
            decision = stored.decide(command.clone(), now, registry);
        }
        let Decision { transition: Some(transition), replies } = decision else {
            return Err(decided_anew(chunk.revision));
        };
        if transition.chunk != chunk {
            return Err(decided_anew(chunk.revision));
        }
        stored.store(&transition)?;
        self.accepted += transition.accepted_results();
        if let Some(why) = chunk.entries.iter().find_map(stuck) {
            return Err(Trouble::Stuck { run: to, why });
        }
        stored.check_rebuild(registry)?;
        if crashes(true) {
            stored.forget(registry);
            // A message between runs is consumed by the commit that took it; all else may come again.
            let comes_again =
                !matches!(command, Command::Inbox { .. } | Command::Retry { .. } | Command::EditStep { .. });
            if comes_again && stored.decide(command, now, registry).transition.is_some() {
                let why = "a command that came twice was taken twice".to_owned();
                return Err(Trouble::Diverged { revision: chunk.revision, why });
            }
        }
        self.cancel_due |= self.meddling == Meddling::CancelAfter { transition: nth };
        self.pause_due |= self.meddling == Meddling::PauseAfter { transition: nth };
        for row in transition.outbox {
            self.mail.push_back(Mail { from: to, number: row.number, to: row.to, message: row.message });
        }
        if self.transitions > self.engine.transitions_max {
            let transitions_max = self.engine.transitions_max;
            return Err(Trouble::Endless { transitions_max, reason: self.reason() });
        }
        Ok(answer(replies))
    }

    fn cancel(&mut self) -> Result<bool, Trouble> {
        if !std::mem::take(&mut self.cancel_due) {
            return Ok(false);
        }
        self.cancel_root("the contract cancels the run")?;
        Ok(true)
    }

    fn cancel_root(&mut self, reason: &str) -> Result<(), Trouble> {
        self.tell(self.root, Command::Cancel { by: OPERATOR.to_owned(), reason: reason.to_owned() })
    }

    fn pause(&mut self) -> Result<bool, Trouble> {
        if !std::mem::take(&mut self.pause_due) {
            return Ok(false);
        }
        self.paused = true;
        self.tell(self.root, Command::Pause { by: OPERATOR.to_owned() })?;
        Ok(true)
    }

    /// Before any time passes that would not have passed without the pause.
    fn resume(&mut self) -> Result<bool, Trouble> {
        if !std::mem::take(&mut self.paused) {
            return Ok(false);
        }
        self.tell(self.root, Command::Unpause { by: OPERATOR.to_owned() })?;
        Ok(true)
    }

    // ---- messages between runs -------------------------------------------------------------------------------

    fn read_mail(&mut self) -> Result<bool, Trouble> {
        let Some(Mail { from, number, to, mut message }) = self.mail.pop_front() else { return Ok(false) };
        if let InboxMessage::StartChild { workflow, input, seq, definition, .. } = &mut message {
            if let Some(handler) = self.engine.children.get_mut(workflow) {
                let outcome = handler(input);
                self.mail.push_back(child_ended(to, from, *seq, outcome));
                return Ok(true);
            }
            // As the engine that takes the message does.
            *definition = self.engine.definition_of(workflow);
            let parent = Parent { run: from, seq: *seq };
            let start = start_of_child(&message, parent);
            if let Some(start) = start {
                self.runs.entry(to).or_insert_with(|| Stored::new(to, start, self.now, &self.engine.registry));
            }
        }
        self.tell(to, Command::Inbox { from, from_seq: number, message })?;
        Ok(true)
    }

    // ---- steps -----------------------------------------------------------------------------------------------

    /// Does one attempt of the first step that can be had.
    fn work(&mut self) -> Result<bool, Trouble> {
        let step = match self.in_hand.take() {
            Some(step) => Some(*step),
            None => self.claim(),
        };
        let Some(step) = step else { return Ok(false) };
        let GrantedStep { run, seq, attempt, lease, .. } = step;
        let Some(stored) = self.runs.get(&run) else { return Ok(false) };
        let call = stored.call(&step);
        if !self.calls.iter().any(|known| (known.run, known.seq) == (run, seq)) {
            self.calls.push(call);
        }
        let nth = self.attempts;
        self.attempts += 1;
        if self.meddling == (Meddling::CancelDuring { attempt: nth }) {
            self.cancel_root("the contract cancels the run")?;
        }
        self.now += ATTEMPT_TAKES;
        let attempted = match self.fault_at(run, seq).and_then(|fault| fault.of_attempt(attempt.0)) {
            Some(attempted) => attempted,
            None => self.handle(seq, &step.name, &step.input, attempt.0)?,
        };
        let command = match attempted {
            Attempted::Said(outcome) => {
                if let Outcome::Done { output } = &outcome {
                    self.outputs.insert((run, seq), output.clone());
                }
                let (session, costs) = (worker(run), Vec::new());
                let hand_over = self.hands_over().then(|| offer(&step));
                Command::Finish(Box::new(FinishStep { seq, attempt, lease, session, outcome, hand_over, costs }))
            }
            Attempted::Vanished { effect_begun } => Command::AttemptLost { seq, attempt, lease, effect_begun },
        };
        if let Ok(Reply::Finished { handed_over }) = self.request(run, command)? {
            self.in_hand = handed_over;
        }
        Ok(true)
    }

    /// The first step that can be had, granted.
    fn claim(&mut self) -> Option<GrantedStep> {
        let ready = self.runs.iter().find_map(|(run, stored)| {
            let mut rows = stored.steps.iter();
            let (seq, row) = rows.find(|(seq, row)| self.is_ready(*run, **seq, row))?;
            Some((*run, *seq, row.attempt))
        });
        let (run, seq, attempt) = ready?;
        let lease = LeaseId(run.derive(seq, &format!("lease/{attempt}")));
        let stored = self.runs.get_mut(&run)?;
        let step = stored.run().granted(seq, lease)?;
        if let Some(row) = stored.steps.get_mut(&seq) {
            (row.state, row.lease) = (StepState::Running, Some(lease));
        }
        Some(step)
    }

    /// Nobody else is to have a say before a worker takes the next step.
    fn hands_over(&self) -> bool {
        let is_waited_for = match &self.meddling {
            Meddling::Fault { fault: Fault::NotStarted, .. } | Meddling::Skip { .. } | Meddling::Edit { .. } => true,
            Meddling::HandOver => return true,
            _ => false,
        };
        self.engine.hands_over && !is_waited_for && self.engine.orders.is_empty()
    }

    fn is_ready(&self, run: RunId, seq: Seq, row: &StepRow) -> bool {
        let had = match row.state {
            StepState::Ready => true,
            StepState::BackingOff(until) => until <= self.now,
            _ => false,
        };
        had && !row.gated && self.fault_at(run, seq) != Some(&Fault::NotStarted)
    }

    fn fault_at(&self, run: RunId, seq: Seq) -> Option<&Fault> {
        match &self.meddling {
            Meddling::Fault { run: at, seq: step, fault } if (*at, *step) == (run, seq) => Some(fault),
            _ => None,
        }
    }

    fn handle(&mut self, seq: Seq, step: &str, input: &Payload, attempt: u32) -> Result<Attempted, Trouble> {
        let Some(handler) = self.engine.steps.get_mut(step) else {
            return Err(Trouble::NoHandler { step: step.to_owned(), seq });
        };
        Ok(match handler(input, attempt) {
            Outcome::Lost => Attempted::Vanished { effect_begun: false },
            outcome => Attempted::Said(outcome),
        })
    }

    // ---- people and signals ----------------------------------------------------------------------------------

    fn ask(&mut self) -> Result<bool, Trouble> {
        let open = self.runs.iter().find_map(|(run, stored)| {
            let mut tasks = stored.run().tasks.iter();
            let (seq, task) = tasks.find(|(seq, _)| !self.left_alone.contains(&(*run, **seq)))?;
            Some((*run, *seq, task.clone()))
        });
        let Some((run, seq, task)) = open else { return Ok(false) };
        self.left_alone.insert((run, seq));
        let said = self.engine.tasks.get_mut(&task.reason).and_then(|handler| handler(&task).into_answer());
        let Some(answer) = said else { return Ok(true) };
        if let TaskAnswer::Answered(answer) = &answer {
            let form = task.form.read().unwrap_or_default();
            let reason = task.reason.clone();
            fits(&form, answer).map_err(|unfit| match unfit {
                Unfit::NoSchema(problem) => Trouble::BadForm { reason, problem },
                Unfit::Document(problem) => Trouble::AnswerRefused { reason, problem },
            })?;
        }
        self.tell(run, Command::AnswerTask { seq, by: PERSON.to_owned(), key: format!("answer {seq}"), answer })?;
        Ok(true)
    }

    fn hear(&mut self) -> Result<bool, Trouble> {
        let waiting = self.runs.iter().find_map(|(run, stored)| {
            let mut waits = stored.run().waits.iter();
            let (seq, wait) = waits.find(|(seq, _)| !self.left_alone.contains(&(*run, **seq)))?;
            Some((*run, *seq, wait.clone()))
        });
        let Some((run, seq, wait)) = waiting else { return Ok(false) };
        self.left_alone.insert((run, seq));
        let name = match wait.event {
            Some(event) => return self.publish(run, seq, event),
            None => wait.name,
        };
        let Some(handler) = self.engine.waits.get_mut(&name) else { return Ok(true) };
        let nth = self.heard.entry((run, name.clone())).or_insert(0);
        *nth += 1;
        if let Some(payload) = handler(*nth) {
            self.tell(run, Command::Signal { name, key: format!("wait {seq}"), payload })?;
        }
        Ok(true)
    }

    /// Somebody publishes an event that fits.
    fn publish(&mut self, run: RunId, seq: Seq, EventPattern { key, scope }: EventPattern) -> Result<bool, Trouble> {
        let Some(handler) = self.engine.published.get_mut(&key) else { return Ok(true) };
        let nth = self.heard.entry((run, format!("event {key}"))).or_insert(0);
        *nth += 1;
        let Some(payload) = handler(*nth) else { return Ok(true) };
        let subject = self.runs.get(&run).map(|stored| stored.run().identity.subject.clone()).unwrap_or_default();
        let event = PublishedEvent { id: format!("event_{nth}"), key, scope, subject, payload, at: self.now };
        let (key, message) = (event.id.clone(), answers::payload(&event));
        self.tell(run, Command::Event { seq, key, message })?;
        Ok(true)
    }

    /// Somebody outside says what the run waits for.
    fn complete(&mut self) -> Result<bool, Trouble> {
        let open = self.runs.iter().find_map(|(run, stored)| {
            let mut completions = stored.run().completions.iter();
            let (seq, completion) = completions.find(|(seq, _)| !self.left_alone.contains(&(*run, **seq)))?;
            Some((*run, *seq, completion.clone()))
        });
        let Some((run, seq, completion)) = open else { return Ok(false) };
        self.left_alone.insert((run, seq));
        let name = completion.name;
        self.promises.push(Promise { run, seq, name: name.clone() });
        let outcome = match &self.meddling {
            Meddling::Uncompleted { run: at, seq: of } if (*at, *of) == (run, seq) => None,
            Meddling::CompletionFails { run: at, seq: of, code } if (*at, *of) == (run, seq) => {
                let error = Failure::new(code.clone(), "the contract lets this completion fail");
                Some(CompletionOutcome::Failed { error })
            }
            _ => {
                let Some(handler) = self.engine.completions.get_mut(&name) else { return Ok(true) };
                let nth = self.completed.entry((run, name)).or_insert(0);
                *nth += 1;
                handler(*nth)
            }
        };
        if let Some(outcome) = outcome {
            let key = format!("completion {seq}");
            self.tell(run, Command::Complete { seq, secret: completion.secret, key, outcome })?;
        }
        Ok(true)
    }

    /// The first completion of this name that the root waits for, if it does.
    fn complete_root(&mut self, name: &str, output: Payload) -> Result<(), Trouble> {
        let root = self.runs.get(&self.root).map(Stored::run);
        let found = root.and_then(|run| run.completions.iter().find(|(_, completion)| completion.name == name));
        let Some((seq, completion)) = found.map(|(seq, completion)| (*seq, completion.clone())) else { return Ok(()) };
        let (outcome, key) = (CompletionOutcome::Done { output }, format!("completion {seq}"));
        self.tell(self.root, Command::Complete { seq, secret: completion.secret, key, outcome })
    }

    // ---- time ------------------------------------------------------------------------------------------------

    /// What is due at once does not wait until nothing else is to do.
    fn due_events(&mut self) -> Result<bool, Trouble> {
        let due = self.events.front().is_some_and(|(after, _)| self.started_at + *after <= self.now);
        if due { self.happen() } else { Ok(false) }
    }

    fn happen(&mut self) -> Result<bool, Trouble> {
        let left = self.events.len();
        let Some((after, event)) = self.events.pop_front() else { return Ok(false) };
        self.now = self.now.max(self.started_at + after);
        match event {
            Event::Cancel { reason } => self.cancel_root(&reason)?,
            Event::Pause => self.tell(self.root, Command::Pause { by: OPERATOR.to_owned() })?,
            Event::Resume => self.tell(self.root, Command::Unpause { by: OPERATOR.to_owned() })?,
            Event::Complete { name, output } => self.complete_root(&name, output)?,
            Event::Signal { name, payload } => {
                self.tell(self.root, Command::Signal { name, key: format!("signal {left}"), payload })?;
            }
        }
        Ok(true)
    }

    /// To the next instant at which something happens by itself.
    fn skip_time(&mut self) -> Result<bool, Trouble> {
        let event = self.events.front().map(|(after, _)| self.started_at + *after);
        let timer = self.next_timer();
        let ready = self.next_ready();
        let next = [event, ready, timer.map(|(at, ..)| at)].into_iter().flatten().min();
        let Some(next) = next else { return Ok(false) };
        if event == Some(next) {
            return self.happen();
        }
        self.now = self.now.max(next);
        match timer {
            // What is ready then is taken before a timer of the same instant fires.
            Some((at, run, seq)) if at == next && ready != Some(next) => {
                self.tell(run, Command::TimerDue { seq })?;
            }
            _ => {}
        }
        Ok(true)
    }

    fn next_timer(&self) -> Option<(Timestamp, RunId, Seq)> {
        let timers = self.runs.iter().flat_map(|(run, stored)| {
            let rows = stored.timers.iter().map(|(seq, row)| (*run, *seq, row));
            rows.filter(|(run, seq, row)| !row.unserved_only || self.fault_at(*run, *seq) == Some(&Fault::NotStarted))
        });
        timers.map(|(run, seq, row)| (row.at, run, seq)).min()
    }

    fn next_ready(&self) -> Option<Timestamp> {
        let rows = self.runs.iter().flat_map(|(run, stored)| stored.steps.iter().map(|(seq, row)| (*run, *seq, row)));
        let taken = rows.filter(|(run, seq, row)| !row.gated && self.fault_at(*run, *seq) != Some(&Fault::NotStarted));
        let backing_off = taken.filter_map(|(_, _, row)| match row.state {
            StepState::BackingOff(until) => Some(until),
            _ => None,
        });
        backing_off.min()
    }

    // ---- operators -------------------------------------------------------------------------------------------

    /// An operator comes to a step before any worker does.
    fn follow_orders(&mut self) -> Result<bool, Trouble> {
        let ready = self.runs.iter().find_map(|(run, stored)| {
            let mut rows = stored.steps.iter().filter(|(seq, row)| self.is_ready(*run, **seq, row));
            rows.find_map(|(seq, _)| Some((*run, *seq, self.order_for(*run, *seq, stored)?)))
        });
        let Some((run, seq, order)) = ready else { return Ok(false) };
        match order {
            Order::OfAuthor(place) => {
                let (step, command) = self.engine.orders.remove(place).command(seq, OPERATOR);
                self.operated(run, &step, command)?;
            }
            Order::OfContract => {
                let meddling = std::mem::replace(&mut self.meddling, Meddling::Lifted);
                let input = self.runs.get(&run).and_then(|stored| Some(stored.run().steps.get(&seq)?.op.input.clone()));
                let by = OPERATOR.to_owned();
                let command = match meddling {
                    Meddling::Skip { output, .. } => Command::SkipStep { seq, by, output },
                    _ => Command::EditStep { seq, by, input: input.unwrap_or_default() },
                };
                self.operated(run, "", command)?;
            }
        }
        Ok(true)
    }

    fn order_for(&self, run: RunId, seq: Seq, stored: &Stored) -> Option<Order> {
        match &self.meddling {
            Meddling::Skip { run: at, seq: of, .. } | Meddling::Edit { run: at, seq: of }
                if (*at, *of) == (run, seq) =>
            {
                return Some(Order::OfContract);
            }
            _ => {}
        }
        let name = &stored.run().steps.get(&seq)?.op.name;
        self.engine.orders.iter().position(|order| order.step() == name).map(Order::OfAuthor)
    }

    fn operated(&mut self, run: RunId, step: &str, command: Command) -> Result<(), Trouble> {
        let refused = |why: Rejection| Trouble::OperatorRefused { step: step.to_owned(), why: why.to_string() };
        self.request(run, command)?.map(drop).map_err(refused)
    }

    /// The author's operator looks at steps that wait for one.
    fn attend_parked(&mut self) -> Result<bool, Trouble> {
        let parked = self.runs.iter().find_map(|(run, stored)| {
            let rows = stored.steps.iter().filter(|(_, row)| row.state == StepState::Parked);
            let mut named = rows.filter_map(|(seq, _)| Some((*seq, stored.run().steps.get(seq)?.op.name.clone())));
            let (seq, name) = named.find(|(seq, name)| {
                self.engine.parked.contains_key(name) && !self.left_alone.contains(&(*run, *seq))
            })?;
            Some((*run, seq, name))
        });
        let Some((run, seq, name)) = parked else { return Ok(false) };
        let nth = self.parked.entry((run, seq)).or_insert(0);
        *nth += 1;
        let says = self.engine.parked.get_mut(&name).map_or(Operator::StaysAway, |handler| handler(*nth));
        let by = || OPERATOR.to_owned();
        match says {
            Operator::StaysAway => drop(self.left_alone.insert((run, seq))),
            Operator::Skips(output) => self.operated(run, &name, Command::SkipStep { seq, by: by(), output })?,
            Operator::Retries => self.operated(run, &name, Command::Retry { by: by() })?,
            Operator::Edits(input) => {
                self.operated(run, &name, Command::EditStep { seq, by: by(), input })?;
                self.operated(run, &name, Command::Retry { by: by() })?;
            }
        }
        Ok(true)
    }

    /// Only contracts have one: what was disturbed is put right, then parked steps are tried again.
    fn operate(&mut self) -> Result<bool, Trouble> {
        if self.meddling == Meddling::None || self.operator_retries >= OPERATOR_RETRIES_MAX {
            return Ok(false);
        }
        let parked =
            self.runs.iter().find(|(_, stored)| stored.steps.values().any(|row| row.state == StepState::Parked));
        let Some((run, _)) = parked else { return Ok(false) };
        let run = *run;
        self.operator_retries += 1;
        if matches!(self.meddling, Meddling::Fault { .. }) {
            self.meddling = Meddling::Lifted;
        }
        self.tell(run, Command::Retry { by: OPERATOR.to_owned() })?;
        Ok(true)
    }
}

/// Whose word an operator follows at a step.
enum Order {
    /// The author's, by its place among the orders.
    OfAuthor(usize),
    OfContract,
}

/// The one that a single command got.
fn answer(replies: Vec<Result<Reply, Rejection>>) -> Result<Reply, Rejection> {
    replies.into_iter().next().unwrap_or(Ok(Reply::Done))
}

/// The worker would take the next step of the run along.
fn offer(step: &GrantedStep) -> HandOverOffer {
    let GrantedStep { run, seq, attempt, policy, .. } = step;
    let lease = LeaseId(run.derive(*seq, &format!("offer/{attempt}")));
    HandOverOffer { lease, session: worker(*run), queue: policy.queue.clone() }
}

fn stuck(entry: &Entry) -> Option<valet_core::journal::StuckReason> {
    match entry {
        Entry::Stuck { why } => Some(why.clone()),
        _ => None,
    }
}

fn decided_anew(revision: u32) -> Trouble {
    let why = "the same command, decided again after a crash, brought something else".to_owned();
    Trouble::Diverged { revision, why }
}

fn child_ended(child: RunId, parent: RunId, seq: Seq, outcome: RunOutcome) -> Mail {
    Mail { from: child, number: 0, to: parent, message: InboxMessage::ChildEnded { seq, outcome } }
}

fn start_of_child(message: &InboxMessage, parent: Parent) -> Option<StartRun> {
    match message {
        InboxMessage::StartChild { tenant, subject, plan, workflow, input, definition, .. } => {
            let start = StartRun::new(tenant.clone(), subject.clone(), workflow.clone(), plan.clone(), input.clone());
            Some(StartRun { parent: Some(parent), definition: definition.clone(), ..start })
        }
        _ => None,
    }
}
