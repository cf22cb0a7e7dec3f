//! Commands → transition. The one place where a run changes.
//!
//! A [`Machine`] is a run's state with its code, kept as a cache. [`Machine::decide`] changes it in memory and says what
//! to commit; until that commit is confirmed the machine is *ahead*, and a commit that is refused or unknown drops it.

mod costs;
mod fans;
mod fork;
mod onward;
mod others;
mod slots;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub use costs::BUDGET;
pub use fork::{Fork, kept};

use crate::Timestamp;
use crate::bounds::{
    HAND_OVERS_IN_A_ROW_MAX, JOURNAL_ENTRIES_MAX, NAME_BYTES_MAX, SIGNALS_KEPT_PER_NAME, STATUS_LINE_BYTES_MAX,
};
use crate::callbacks::Callbacks;
use crate::command::{
    Command, FinishStep, GrantedStep, HandOverOffer, InboxMessage, Parent, Rejection, Reply, StartRun, TaskAnswer,
};
use crate::context::{Context, Delivery, Emission, Known, WORKER_GONE, after, start_by};
use crate::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use crate::journal::{AttemptEnd, Chunk, Entry, HumanOutcome, Op, Resolution, RunOutcome, StuckReason};
use crate::limits::{Limits, Slot};
use crate::payload::Payload;
use crate::placement::{is_of_session, unlabelled};
use crate::replay::{Code, Expectation, Polled};
use crate::run::{Figures, Identity, LiveStep, Phase, RUN_DEADLINE, RegisteredFinalizer, Run, Status, StepPhase};
use crate::step::{Failure, LIMIT_FULL, LIMIT_REPLACED, OnExhausted, Outcome, StepFailure};
use crate::transition::{
    Created, Fence, OutboxRow, RunRow, StepRow, Transition, column_text, event_wait_changes, notices, row_changes,
};
use crate::workflow::{Definition, Registry, Stop};

/// The code of a failure that says: the effect may or may not have happened.
pub const IN_DOUBT: &str = "in_doubt";

/// The code of a failure that says: no worker took the step in time.
pub const SCHEDULE_TIMEOUT: &str = "schedule_timeout";

/// The code of a failure that says: the machine that the step is bound to has no worker any more.
pub const HOST_GONE: &str = "host_gone";

/// A run with its code.
pub struct Machine {
    run: Run,
    definition: Option<Arc<Definition>>,
    code: Option<Code>,
    /// What a rebuild of a stuck run's code asks for beyond its journal; recorded when the run is mended.
    ahead: Option<Polled>,
    /// Why a stuck run's code does not fit this build either.
    misfit: Option<StuckReason>,
    /// The declared workflow that a run without a known one is tried with; recorded when it is mended.
    found: Option<Payload>,
    input: Payload,
}

/// What deciding brought. `replies` answer the commands in order.
pub struct Decision {
    pub transition: Option<Transition>,
    pub replies: Vec<Result<Reply, Rejection>>,
}

/// A run as it is stored.
pub struct StoredRun {
    pub identity: Identity,
    pub revision: u32,
    pub build: i64,
    pub chunks: Vec<Chunk>,
    /// Grants of live steps as their rows say.
    pub rows: Vec<StoredStep>,
}

impl StoredRun {
    /// Nobody knew the run's workflow so far: whoever retries it asks whether it was declared meanwhile.
    pub fn wants_definition(&self, registry: &Registry) -> bool {
        let last = self.chunks.iter().rev().flat_map(|chunk| chunk.entries.iter().rev());
        let mut ends = last.filter(|entry| matches!(entry, Entry::Stuck { .. } | Entry::Mended { .. }));
        matches!(ends.next(), Some(Entry::Stuck { why: StuckReason::UnknownWorkflow { .. } }))
            && registry.get(&self.identity.workflow).is_none()
            && definition_in(&self.chunks).is_none()
    }
}

/// The declared workflow that a journal pins: with its first entry, or where its run was mended.
fn definition_in(chunks: &[Chunk]) -> Option<&Payload> {
    chunks.iter().flat_map(|chunk| &chunk.entries).find_map(|entry| match entry {
        Entry::Started { definition, .. } | Entry::Mended { definition, .. } => definition.as_ref(),
        _ => None,
    })
}

/// A live step as its row tells.
#[derive(Clone, Debug)]
pub struct StoredStep {
    pub seq: Seq,
    pub attempt: Attempt,
    pub granted: Option<LeaseId>,
    /// What it must have slots of.
    pub slots: Vec<Slot>,
    /// It has none of them now.
    pub blocked: bool,
}

/// Whether a machine polls its run's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeUse {
    /// As the journal says: code that was found to block its thread waits for somebody to retry the run.
    Recorded,
    /// Somebody retries the run, so that even code that blocked is polled again.
    Retried,
    /// The code blocks a thread right now: it is not polled, and the next transition parks the run.
    Withheld,
}

impl CodeUse {
    fn withholds(self, chunks: &[Chunk]) -> bool {
        match self {
            Self::Withheld => true,
            Self::Retried => false,
            Self::Recorded => {
                let last = chunks.iter().rev().flat_map(|chunk| chunk.entries.iter().rev());
                let mut ends = last.filter(|entry| matches!(entry, Entry::Stuck { .. } | Entry::Mended { .. }));
                matches!(ends.next(), Some(Entry::Stuck { why: StuckReason::Blocking }))
            }
        }
    }
}

/// What a build makes of a run that was rebuilt with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Its code does what the journal says, or is polled no more.
    Fits,
    /// It is stuck, and would go on.
    Mends,
    Misfit(StuckReason),
    /// A later build advanced it.
    Newer,
}

impl Machine {
    pub fn fit(&self, registry: &Registry) -> Fit {
        if registry.build() < self.run.build {
            return Fit::Newer;
        }
        let breaks = self.ahead.as_ref().and_then(|polled| polled.stuck.clone());
        match (&self.run.phase, breaks) {
            (Phase::Active | Phase::Stuck(_), Some(why)) => Fit::Misfit(why),
            (Phase::Stuck(_), None) if self.code.is_some() && self.ahead.is_some() => Fit::Mends,
            (Phase::Stuck(was), None) => Fit::Misfit(self.misfit.clone().unwrap_or_else(|| was.clone())),
            _ => Fit::Fits,
        }
    }

    pub fn run(&self) -> &Run {
        &self.run
    }

    pub fn workflow(&self) -> &str {
        &self.run.identity.workflow
    }

    /// Rough memory of the cached run, for the cache's bound.
    pub fn weight_bytes(&self) -> usize {
        // Nodes of the maps with few entries, and the allocator's own share.
        const AROUND_BYTES: usize = 2_048;
        // What the code allocated is not known; the journal's length stands for it.
        const PER_ENTRY_BYTES: usize = 128;
        let code = self.code.as_ref().map_or(0, Code::size_bytes);
        let definition = self.definition.as_ref().map_or(0, |definition| definition.weight_bytes);
        size_of::<Self>()
            + AROUND_BYTES
            + definition
            + code
            + self.run.entries * PER_ENTRY_BYTES
            + self.input.len_bytes()
            + self.run.fans.values().map(|fan| fan.inputs.len_bytes()).sum::<usize>()
    }

    /// A machine for a run that does not exist yet; its first command must be `Start`.
    pub fn create(id: RunId, start: &StartRun, now: Timestamp, registry: &Registry, code: CodeUse) -> Self {
        let identity = Identity {
            id,
            tenant: start.tenant.clone(),
            subject: start.subject.clone(),
            workflow: start.workflow.clone(),
            plan: start.plan.clone(),
            parent: start.parent,
            created_at: now,
        };
        Self {
            definition: registry.code_of(&start.workflow, start.definition.as_ref()),
            run: Run::new(identity, registry.build()),
            code: None,
            ahead: (code == CodeUse::Withheld).then(|| Polled::stuck(StuckReason::Blocking)),
            misfit: None,
            found: None,
            input: start.input.clone(),
        }
    }

    /// Rebuilds a run from its journal: the normal path run again.
    pub fn rebuild(stored: StoredRun, registry: &Registry, code: CodeUse) -> Self {
        Self::rebuild_with(stored, registry, code, None)
    }

    /// The same, with what was `found` for a run that [wants a definition](StoredRun::wants_definition).
    pub fn rebuild_with(stored: StoredRun, registry: &Registry, code: CodeUse, found: Option<Payload>) -> Self {
        let declared = definition_in(&stored.chunks).or(found.as_ref());
        let definition = registry.code_of(&stored.identity.workflow, declared);
        let machine = Self {
            run: Run::new(stored.identity, stored.build),
            definition,
            code: None,
            ahead: None,
            misfit: None,
            found,
            input: Payload::null(),
        };
        let mut replay = Replay::of(machine, registry);
        replay.withheld = code.withholds(&stored.chunks);
        // A newer build's journal is folded and carried on as data; its code is not here.
        replay.behind = registry.build() < stored.build;
        replay.journal(&stored.chunks, false);
        let mut machine = replay.finish();
        machine.run.revision = stored.revision;
        machine.merge_rows(&stored.rows);
        machine.run.forget_changes();
        machine
    }

    /// Claims do not touch the run, so the rows tell who holds what. While closing, a step without a row has ended.
    fn merge_rows(&mut self, rows: &[StoredStep]) {
        if matches!(self.run.phase, Phase::Closing(_)) {
            self.run.steps.retain(|seq, _| rows.iter().any(|row| row.seq == *seq));
        }
        for row in rows.iter().filter(|row| !row.slots.is_empty()) {
            self.run.slots.insert(row.seq, row.slots.clone());
            if row.blocked {
                self.run.blocked.insert(row.seq);
            }
        }
        for row in rows {
            if let Some(step) = self.run.steps.get_mut(&row.seq).filter(|s| s.attempt == row.attempt) {
                step.grant = row.granted;
            }
        }
    }

    fn context(&self, now: Timestamp, known: Known, callbacks: &Arc<Callbacks>) -> Context {
        Context::new(self.run.id(), now, known, Arc::clone(callbacks))
    }

    /// Whether what the run belongs to is paused: until it is not, nothing is delivered to its code and nothing handed over.
    pub fn hold(&mut self, on_hold: bool) {
        self.run.on_hold = on_hold;
    }

    /// The limits that new steps fall under.
    pub fn limit(&mut self, limits: Arc<Limits>) {
        self.run.limits = limits;
    }

    /// A step that a limit blocked has its slots now.
    pub fn admitted(&mut self, seq: Seq) {
        self.run.blocked.remove(&seq);
    }

    /// The run waits for somebody to retry it, and its code was left alone since it blocked a thread.
    pub fn waits_for_its_code(&self) -> bool {
        self.code.is_none() && matches!(self.run.phase, Phase::Stuck(StuckReason::Blocking))
    }

    /// The run's code is at hand and would be polled.
    pub fn holds_code(&self) -> bool {
        self.code.is_some()
    }

    /// Folds `commands` into at most one transition.
    pub fn decide(&mut self, commands: Vec<Command>, now: Timestamp, registry: &Registry) -> Decision {
        let mut folding = Folding::new(self, now, registry);
        let replies = commands.into_iter().map(|command| folding.command(command)).collect();
        folding.finish(replies)
    }
}

/// A rebuild in progress.
struct Replay {
    machine: Machine,
    expectation: Expectation,
    mismatch: Option<StuckReason>,
    /// The state is folded, the code is left alone.
    withheld: bool,
    behind: bool,
    callbacks: Arc<Callbacks>,
    known: Known,
    /// What the code does now, it did before.
    replaying: bool,
    /// The entry after which the code may do what the journal does not hold.
    last_poll: Option<usize>,
}

/// What code that follows these entries is told at once.
fn known<'e>(entries: impl Iterator<Item = &'e Entry>) -> Known {
    let mut known = Known::default();
    for entry in entries {
        match entry {
            Entry::Continued { carried, .. } => {
                known.after = carried.last_seq;
                known.attributes.clone_from(&carried.attributes);
            }
            Entry::Version { change, version } => {
                known.versions.insert(change.clone(), *version);
            }
            Entry::Op { seq, op } => {
                known.last = known.last.max(*seq);
                match op {
                    Op::Value { value, .. } => drop(known.values.insert(*seq, value.clone())),
                    Op::Completion { secret, .. } => drop(known.secrets.insert(*seq, secret.clone())),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    known
}

impl Replay {
    fn of(machine: Machine, registry: &Registry) -> Self {
        Self {
            machine,
            expectation: Expectation::default(),
            mismatch: None,
            withheld: false,
            behind: false,
            callbacks: Arc::clone(registry.callbacks()),
            known: Known::default(),
            replaying: true,
            last_poll: None,
        }
    }

    /// The journal from where the run last went on with another input.
    fn journal(&mut self, chunks: &[Chunk], open_ended: bool) {
        let all = chunks.iter().flat_map(|chunk| chunk.entries.iter().map(move |entry| (entry, chunk)));
        let mut entries: Vec<(&Entry, &Chunk)> = all.collect();
        let begins = entries.iter().rposition(|(entry, _)| matches!(entry, Entry::Continued { .. }));
        entries.drain(..begins.unwrap_or(0));
        self.known = known(entries.iter().map(|(entry, _)| *entry));
        // What the code asked for in the last poll of a run that got stuck was not recorded: it may be new.
        let delivers = |entry: &Entry| {
            matches!(entry, Entry::Started { .. } | Entry::Continued { .. } | Entry::Resolved { .. } | Entry::Released)
        };
        let ends = entries.iter().rev().find(|(e, _)| matches!(e, Entry::Stuck { .. } | Entry::Mended { .. }));
        let stuck = matches!(ends, Some((Entry::Stuck { .. }, _)));
        self.last_poll =
            if stuck || open_ended { entries.iter().rposition(|(entry, _)| delivers(entry)) } else { None };
        for (place, (entry, chunk)) in entries.into_iter().enumerate() {
            self.replaying = self.last_poll != Some(place);
            self.entry(entry, chunk);
            self.machine.run.last_at = self.machine.run.last_at.max(chunk.at);
        }
        // A transition that only consumed messages has no entry, and its instant holds all the same.
        let last = chunks.iter().map(|chunk| chunk.at).max();
        self.machine.run.last_at = self.machine.run.last_at.max(last.unwrap_or(self.machine.run.last_at));
    }

    fn entry(&mut self, entry: &Entry, chunk: &Chunk) {
        if let Entry::Started { input, .. } | Entry::Continued { input, .. } = entry {
            self.machine.input = input.clone();
        }
        let follows_code = self.mismatch.is_none() && !self.withheld && !self.behind;
        if follows_code && let Err(why) = self.before(entry, chunk.at) {
            self.give_up(why);
        }
        // The message that a wait takes is the channel's head *before* the entry is applied.
        let delivery = self.delivery(entry);
        self.machine.run.apply(entry, chunk.revision);
        if let (Entry::RanBy { seq, session }, Some(code)) = (entry, &self.machine.code) {
            code.ran_by(*seq, *session);
        }
        if let Some((seq, delivery)) = delivery {
            self.deliver(seq, delivery, chunk.at);
        }
    }

    fn before(&mut self, entry: &Entry, at: Timestamp) -> Result<(), StuckReason> {
        match entry {
            Entry::Started { input, .. } | Entry::Continued { input, .. } => {
                let Some(definition) = self.machine.definition.clone() else {
                    let name = self.machine.run.identity.workflow.clone();
                    return Err(StuckReason::UnknownWorkflow { name });
                };
                let ctx = self.machine.context(at, std::mem::take(&mut self.known), &self.callbacks);
                let mut code = Code::start(&definition, ctx, input)?;
                code.set_replaying(self.replaying);
                let polled = code.poll(at)?;
                self.machine.code = Some(code);
                self.expectation.asked(polled);
                Ok(())
            }
            Entry::Op { .. } | Entry::Dropped { .. } => self.expectation.recorded(entry),
            Entry::Resolved { .. } | Entry::Released if matches!(self.machine.run.phase, Phase::Active) => {
                self.expectation.settled()
            }
            Entry::Closing { .. } => {
                // From here on the code is never polled again: what still runs was recorded as data.
                self.machine.code = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn delivery(&self, entry: &Entry) -> Option<(Seq, Delivery)> {
        if !matches!(self.machine.run.phase, Phase::Active) {
            return None;
        }
        match entry {
            Entry::Resolved { seq, with: with @ (Resolution::SignalTaken | Resolution::SignalChosen { .. }) } => {
                Some((*seq, Delivery::Signal(self.machine.run.message_of(*seq, with)?)))
            }
            Entry::Resolved { seq, with } => Some((*seq, Delivery::Resolution(with.clone()))),
            Entry::Released => {
                let (seq, with) = self.machine.run.held.front()?;
                Some((*seq, Delivery::Resolution(with.clone())))
            }
            _ => None,
        }
    }

    fn deliver(&mut self, seq: Seq, delivery: Delivery, at: Timestamp) {
        if self.mismatch.is_some() {
            return;
        }
        let Some(code) = self.machine.code.as_mut() else {
            return;
        };
        code.set_replaying(self.replaying);
        code.deliver(seq, delivery);
        match code.poll(at) {
            Ok(polled) => self.expectation.asked(polled),
            Err(why) => self.give_up(why),
        }
    }

    fn give_up(&mut self, why: StuckReason) {
        self.machine.code = None;
        self.mismatch = Some(why);
    }

    fn finish(mut self) -> Machine {
        if self.behind {
            return self.machine;
        }
        if let Some(code) = &self.machine.code {
            code.set_replaying(false);
        }
        let stuck = matches!(self.machine.run.phase, Phase::Stuck(_));
        if self.mismatch.is_none() && self.machine.code.is_some() {
            if stuck {
                self.machine.ahead = Some(self.expectation.into_polled());
            } else if let Err(why) = self.expectation.settled() {
                self.give_up(why);
            } else if self.expectation.take_returned().is_some() {
                self.give_up(StuckReason::Mismatch {
                    seq: Seq(0),
                    recorded: "nothing".to_owned(),
                    asked: "the end of the run".to_owned(),
                });
            }
        }
        let why = self.mismatch.take().or_else(|| self.withheld.then_some(StuckReason::Blocking));
        match &self.machine.run.phase {
            // Not recorded yet: the next transition records it, fenced by the revision that was replayed.
            Phase::Active if why.is_some() => {
                self.machine.definition = None;
                self.machine.ahead = why.map(Polled::stuck);
            }
            Phase::Stuck(_) => self.machine.misfit = why,
            _ => {}
        }
        self.machine
    }
}

/// One transition in the making.
struct Folding<'a> {
    machine: &'a mut Machine,
    registry: &'a Registry,
    now: Timestamp,
    revision: u32,
    entries: Vec<Entry>,
    fences: Vec<Fence>,
    outbox: Vec<OutboxRow>,
    consumed: Vec<(RunId, i64)>,
    created: Option<Created>,
    gate: Option<bool>,
    granted: Option<(Seq, LeaseId, SessionId)>,
    deliveries: VecDeque<(Seq, Resolution)>,
    /// Journals begun in this transition.
    continued: u32,
    /// Ends of fan-outs' children that came in.
    fan_ends: BTreeMap<Seq, BTreeMap<u32, RunOutcome>>,
}

impl<'a> Folding<'a> {
    fn new(machine: &'a mut Machine, now: Timestamp, registry: &'a Registry) -> Self {
        // Engines' clocks differ; a run's own time does not go back.
        let now = now.max(machine.run.last_at);
        let revision = machine.run.revision + 1;
        let mut folding = Self {
            machine,
            registry,
            now,
            revision,
            entries: Vec::new(),
            fences: Vec::new(),
            outbox: Vec::new(),
            consumed: Vec::new(),
            created: None,
            gate: None,
            granted: None,
            deliveries: VecDeque::new(),
            continued: 0,
            fan_ends: BTreeMap::new(),
        };
        folding.note_failed_rebuild();
        folding
    }

    /// A rebuild that did not fit its journal parks the run with the first transition after it.
    fn note_failed_rebuild(&mut self) {
        if matches!(self.run().phase, Phase::Active)
            && self.run().revision > 0
            && let Some(why) = self.machine.ahead.as_mut().and_then(|polled| polled.stuck.take())
        {
            self.machine.ahead = None;
            self.stick(why);
        }
    }

    fn run(&self) -> &Run {
        &self.machine.run
    }

    /// Nothing is delivered to the code of a run that is paused, stuck or on hold, nor by an older build than the run's.
    fn delivers(&self) -> bool {
        self.run().delivers() && !self.is_behind()
    }

    fn is_behind(&self) -> bool {
        self.registry.build() < self.run().build
    }

    fn record(&mut self, entry: Entry) {
        self.machine.run.apply(&entry, self.revision);
        self.entries.push(entry);
    }

    fn command(&mut self, command: Command) -> Result<Reply, Rejection> {
        if let Phase::Ended(outcome) = &self.run().phase {
            return self.after_the_end(command, outcome.status());
        }
        match command {
            Command::Start(start) => self.start(*start),
            Command::Finish(finish) => self.finish_step(*finish),
            Command::AttemptLost { seq, attempt, lease, effect_begun } => {
                self.vanished(Fence::Lost { seq, attempt, lease, effect_begun }, Outcome::Lost)
            }
            Command::TakeBack { seq, attempt, lease, effect_begun } => {
                self.vanished(Fence::Forgotten { seq, attempt, lease, effect_begun }, Outcome::HandedBack)
            }
            Command::TimerDue { seq } => {
                self.timer_due(seq);
                Ok(Reply::Done)
            }
            Command::Signal { name, key, payload } => self.signal(name, key, payload),
            Command::Event { seq, key, message } => self.event(seq, key, message),
            Command::AnswerTask { seq, by, key, answer } => self.answer(seq, by, key, answer),
            Command::Pause { by } => {
                self.pause(by);
                Ok(Reply::Done)
            }
            Command::Unpause { by } => {
                self.unpause(by);
                Ok(Reply::Done)
            }
            Command::Cancel { by, reason } => self.cancel(by, reason),
            Command::Dismiss { by, reason } if self.run().status() == Status::Queued => self.cancel(by, reason),
            Command::Dismiss { .. } => Ok(Reply::Done),
            Command::OverStep { seq, attempt, limit, replaced } => {
                self.over_step(seq, attempt, &limit, replaced);
                Ok(Reply::Done)
            }
            Command::Retry { by } => self.retry(&by),
            Command::SkipStep { seq, by, output } => self.skip(seq, by, output),
            Command::EditStep { seq, by, input } => self.edit(seq, by, input),
            Command::Complete { seq, secret, key, outcome } => self.complete(seq, &secret, key, outcome),
            Command::SetBudget { by, budget_micros } => {
                self.set_budget(by, budget_micros);
                Ok(Reply::Done)
            }
            Command::Kill { by, reason, cleanup } => Ok(self.kill(by, reason, cleanup)),
            Command::Revive => {
                self.revive();
                Ok(Reply::Done)
            }
            Command::Park { why } => {
                if matches!(self.run().phase, Phase::Active) {
                    self.stick(why);
                }
                Ok(Reply::Done)
            }
            Command::Inbox { from, from_seq, message } => {
                self.consumed.push((from, from_seq));
                self.inbox(message);
                Ok(Reply::Done)
            }
        }
    }

    fn after_the_end(&mut self, command: Command, status: &'static str) -> Result<Reply, Rejection> {
        match command {
            Command::Finish(finish) => self.repeated_finish(&finish),
            // A repeat is told what its first was told, also by a run that has ended meanwhile.
            Command::AnswerTask { seq, key, .. } if self.run().ended_tasks.contains_key(&seq) => {
                self.repeated_answer(seq, &key)
            }
            Command::Signal { name, key, .. } if self.run().has_signal(&name, &key) => Ok(Reply::Repeated),
            Command::Event { seq, key, .. } if self.run().has_event(seq, &key) => Ok(Reply::Repeated),
            Command::Complete { seq, key, .. } if self.run().ended_completions.contains_key(&seq) => {
                self.completed_before(seq, &key)
            }
            Command::Start(_) => Err(Rejection::Exists),
            _ => Err(Rejection::RunEnded { status }),
        }
    }

    // ---- start -----------------------------------------------------------------------------------------------

    fn start(&mut self, start: StartRun) -> Result<Reply, Rejection> {
        if self.run().revision > 0 || !self.entries.is_empty() {
            return Err(Rejection::Exists);
        }
        let (attributes, idempotency) = (start.attributes.clone(), start.idempotency.clone());
        let forked_from = start.fork.as_ref().map(|fork| fork.from);
        self.created = Some(Created { attributes, idempotency, forked_from });
        if let Some(fork) = &start.fork {
            return self.start_fork(fork, &start);
        }
        self.record(start.entry());
        if let Some(why) = self.machine.ahead.take().and_then(|polled| polled.stuck) {
            self.stick(why);
            return Ok(Reply::Done);
        }
        let Some(definition) = self.machine.definition.clone() else {
            self.stick(StuckReason::UnknownWorkflow { name: start.workflow });
            return Ok(Reply::Done);
        };
        self.begin_code(&definition, &start.input, Seq(0));
        self.settle();
        Ok(Reply::Done)
    }

    /// The code of a journal that begins, polled for the first time.
    fn begin_code(&mut self, definition: &Definition, input: &Payload, after: Seq) {
        let known = Known { after, attributes: self.run().attributes.clone(), ..Known::default() };
        let ctx = self.machine.context(self.now, known, self.registry.callbacks());
        match Code::start(definition, ctx, input) {
            Ok(code) => {
                self.machine.code = Some(code);
                self.poll();
            }
            Err(why) => self.stick(why),
        }
    }

    // ---- steps -----------------------------------------------------------------------------------------------

    fn finish_step(&mut self, finish: FinishStep) -> Result<Reply, Rejection> {
        if !self.run().steps.contains_key(&finish.seq) || self.run().accepted_leases.contains(&finish.lease) {
            return self.repeated_finish(&finish);
        }
        let FinishStep { seq, attempt, lease, session, outcome, hand_over, costs } = finish;
        self.fence_attempt(seq, attempt, lease)?;
        self.spent(seq, costs);
        self.remember_worker(seq, session, &outcome);
        let in_a_row = self.run().steps.get(&seq).map_or(0, |s| s.hand_overs);
        self.attempt_ended(seq, attempt, Some(lease), outcome);
        let handed_over = hand_over.and_then(|offer| self.hand_over(seq, &offer, in_a_row));
        if handed_over.is_some() {
            self.fences.retain(|fence| *fence != Fence::Granted { seq, attempt, lease });
            self.fences.push(Fence::HandsOver { seq, attempt, lease });
        }
        Ok(Reply::Finished { handed_over })
    }

    /// Before the step's end, so that whatever the code asks for next finds the worker.
    fn remember_worker(&mut self, seq: Seq, session: SessionId, outcome: &Outcome) {
        let ends = matches!(outcome, Outcome::Done { .. } | Outcome::Fail { .. } | Outcome::Blocked { .. });
        let asked = |step: &LiveStep| step.op.remembers && step.phase != StepPhase::Stopping;
        if !ends || !self.run().steps.get(&seq).is_some_and(asked) {
            return;
        }
        self.record(Entry::RanBy { seq, session });
        if let Some(code) = &self.machine.code {
            code.ran_by(seq, session);
        }
    }

    /// The same lease gets the same answer, with the step that was handed over under the offer's lease if it is still held.
    fn repeated_finish(&self, finish: &FinishStep) -> Result<Reply, Rejection> {
        let same = self.run().accepted_leases.contains(&finish.lease);
        if !same {
            return Err(Rejection::Stale);
        }
        let handed_over = finish.hand_over.as_ref().and_then(|offer| {
            let (seq, _) = self.run().steps.iter().find(|(_, step)| step.grant == Some(offer.lease))?;
            self.run().granted(*seq, offer.lease).map(Box::new)
        });
        Ok(Reply::Finished { handed_over })
    }

    fn fence_attempt(&mut self, seq: Seq, attempt: Attempt, lease: LeaseId) -> Result<(), Rejection> {
        self.check_attempt(seq, attempt, lease)?;
        self.fences.push(Fence::Granted { seq, attempt, lease });
        Ok(())
    }

    fn check_attempt(&self, seq: Seq, attempt: Attempt, lease: LeaseId) -> Result<(), Rejection> {
        let step = self.run().steps.get(&seq).ok_or(Rejection::Stale)?;
        if step.attempt != attempt || step.grant.is_some_and(|known| known != lease) {
            return Err(Rejection::Stale);
        }
        Ok(())
    }

    /// The attempt ended without its worker's word. If its effect had begun, nobody knows whether it happened.
    fn vanished(&mut self, fence: Fence, outcome: Outcome) -> Result<Reply, Rejection> {
        let (Fence::Lost { seq, attempt, lease, effect_begun }
        | Fence::Forgotten { seq, attempt, lease, effect_begun }) = fence
        else {
            return Err(Rejection::Stale);
        };
        self.check_attempt(seq, attempt, lease)?;
        self.fences.push(fence);
        let stopping = self.run().steps.get(&seq).is_some_and(|s| s.phase == StepPhase::Stopping);
        // A clean-up has no effect that could be doubled: it is simply run again.
        if effect_begun && !stopping && !self.is_finalizer(seq) {
            let failure = Failure::new(IN_DOUBT, "the worker vanished after it began the step's effect");
            // What a sweep ends has no accepted lease: a finish that comes later is refused and told so.
            self.resolve_step(seq, attempt, None, Err(StepFailure::InDoubt(failure)));
        } else {
            self.attempt_ended(seq, attempt, None, outcome);
        }
        Ok(Reply::Done)
    }

    fn is_finalizer(&self, seq: Seq) -> bool {
        self.run().finalizers.contains_key(&seq) || self.run().early.contains_key(&seq)
    }

    fn attempt_ended(&mut self, seq: Seq, attempt: Attempt, lease: Option<LeaseId>, outcome: Outcome) {
        let Some(step) = self.run().steps.get(&seq) else {
            return;
        };
        if step.phase == StepPhase::Stopping {
            self.record(Entry::StepStopped { seq, attempt, lease });
            self.continue_closing();
            return;
        }
        let is_finalizer = self.is_finalizer(seq);
        match outcome {
            Outcome::Done { output } => self.resolve_step(seq, attempt, lease, Ok(output)),
            // A clean-up that cannot succeed waits for an operator; it is never given up.
            Outcome::Fail { error: why } | Outcome::Blocked { reason: why } if is_finalizer => {
                self.again(seq, attempt, lease, AttemptEnd::Failed(why), None);
            }
            // The worker lost its grip after the effect began: it cannot know either.
            Outcome::Fail { error } if error.code == IN_DOUBT => {
                self.resolve_step(seq, attempt, lease, Err(StepFailure::InDoubt(error)));
            }
            Outcome::Fail { error } => self.resolve_step(seq, attempt, lease, Err(StepFailure::Failed(error))),
            Outcome::Blocked { reason } => self.resolve_step(seq, attempt, lease, Err(StepFailure::Blocked(reason))),
            Outcome::Cancelled | Outcome::HandedBack => {
                self.again(seq, attempt, lease, AttemptEnd::HandedBack, Some(self.now));
            }
            Outcome::Lost => self.retry_or_exhaust(seq, attempt, lease, AttemptEnd::Lost, Some(0)),
            Outcome::Retry { error, after_ms } => {
                self.retry_or_exhaust(seq, attempt, lease, AttemptEnd::Failed(error), after_ms);
            }
        }
    }

    fn retry_or_exhaust(
        &mut self,
        seq: Seq,
        attempt: Attempt,
        lease: Option<LeaseId>,
        why: AttemptEnd,
        after_ms: Option<u64>,
    ) {
        let Some(step) = self.run().steps.get(&seq) else {
            return;
        };
        let used = step.used + 1;
        let policy = &step.op.policy;
        let hopeless = matches!(&why, AttemptEnd::Failed(failure) if policy.non_retryable.contains(&failure.code));
        if used < policy.max_attempts && !hopeless {
            let drawn = || self.run().id().derive(seq, &format!("backoff {attempt}")).as_u64_pair().1;
            let delay = after_ms.map_or_else(|| policy.backoff.delay(used, drawn()), std::time::Duration::from_millis);
            let next_at = self.now + chrono::TimeDelta::from_std(delay).unwrap_or(chrono::TimeDelta::days(1));
            self.again(seq, attempt, lease, why, Some(next_at));
            return;
        }
        match policy.on_exhausted {
            OnExhausted::Park => self.again(seq, attempt, lease, why, None),
            OnExhausted::Fail => {
                let failure = match why {
                    AttemptEnd::Failed(failure) => failure,
                    AttemptEnd::Lost => Failure::new("worker_lost", "the worker vanished in the last attempt"),
                    AttemptEnd::HandedBack => Failure::new("handed_back", "the worker gave the step back"),
                };
                let failure = if hopeless { StepFailure::Failed(failure) } else { StepFailure::Exhausted(failure) };
                self.resolve_step(seq, attempt, lease, Err(failure));
            }
        }
    }

    fn again(
        &mut self,
        seq: Seq,
        attempt: Attempt,
        lease: Option<LeaseId>,
        why: AttemptEnd,
        next_at: Option<Timestamp>,
    ) {
        self.record(Entry::AttemptEnded { seq, attempt, lease, why, next_at });
    }

    fn resolve_step(
        &mut self,
        seq: Seq,
        attempt: Attempt,
        lease: Option<LeaseId>,
        result: Result<Payload, StepFailure>,
    ) {
        let with = match result {
            Ok(output) => Resolution::StepDone { attempt, lease, output },
            Err(failure) => Resolution::StepFailed { attempt, lease, failure },
        };
        self.resolve(seq, with);
    }

    /// Grants the run's next step to the worker that just finished one (`after`), in the same commit.
    fn hand_over(&mut self, after: Seq, offer: &HandOverOffer, in_a_row: u32) -> Option<Box<GrantedStep>> {
        let is_held = self.run().paused_by.is_some() || self.run().on_hold;
        if self.granted.is_some() || is_held || in_a_row >= HAND_OVERS_IN_A_ROW_MAX {
            return None;
        }
        let seq = self.run().touched.steps.iter().find_map(|(seq, existed)| {
            let step = self.run().steps.get(seq)?;
            let fits = !existed
                && step.phase == StepPhase::Queued
                && may_take_along(step, offer)
                && !step.op.policy.effect_once
                // Another worker may suit it better: the dispatcher looks who has a place.
                && step.op.policy.prefer_labels.is_empty();
            fits.then_some(*seq)
        })?;
        if !self.has_slots_from(after, seq) {
            return None;
        }
        let step = self.machine.run.steps.get_mut(&seq)?;
        step.grant = Some(offer.lease);
        step.hand_overs = in_a_row + 1;
        self.granted = Some((seq, offer.lease, offer.session));
        self.run().granted(seq, offer.lease).map(Box::new)
    }

    // ---- resolutions -----------------------------------------------------------------------------------------

    /// Records a resolution: delivered now, or held while the run is paused or stuck.
    fn resolve(&mut self, seq: Seq, with: Resolution) {
        if matches!(self.run().phase, Phase::Closing(_)) {
            self.record(Entry::Resolved { seq, with });
            self.continue_closing();
        } else if self.delivers() {
            self.deliveries.push_back((seq, with));
            self.settle();
        } else {
            self.record(Entry::Held { seq, with });
        }
    }

    /// Delivers one resolution at a time until nothing is due.
    fn settle(&mut self) {
        loop {
            if !self.delivers() {
                while let Some((seq, with)) = self.deliveries.pop_front() {
                    if matches!(self.run().phase, Phase::Active | Phase::Stuck(_)) {
                        self.record(Entry::Held { seq, with });
                    }
                }
                return;
            }
            if let Some((seq, with)) = self.deliveries.pop_front() {
                self.deliver(seq, Entry::Resolved { seq, with: with.clone() }, Delivery::Resolution(with));
            } else if let Some((seq, with)) = self.run().held.front().cloned() {
                self.deliver(seq, Entry::Released, Delivery::Resolution(with));
            } else if let Some((seq, with)) = self.run().satisfied_wait() {
                let Some(message) = self.run().message_of(seq, &with) else {
                    return;
                };
                self.deliver(seq, Entry::Resolved { seq, with }, Delivery::Signal(message));
            } else {
                return;
            }
        }
    }

    fn deliver(&mut self, seq: Seq, entry: Entry, delivery: Delivery) {
        self.record(entry);
        if let Some(code) = self.machine.code.as_ref() {
            code.deliver(seq, delivery);
        }
        self.poll();
    }

    fn poll(&mut self) {
        let Some(code) = self.machine.code.as_mut() else {
            return;
        };
        match code.poll(self.now) {
            Ok(polled) => self.polled(polled),
            Err(why) => self.stick(why),
        }
    }

    fn polled(&mut self, polled: Polled) {
        for emission in polled.emitted {
            self.emitted(emission);
        }
        if let Some(result) = polled.returned {
            let outcome = match result {
                Ok(output) => RunOutcome::Succeeded { output },
                Err(Stop::Failed(error)) => RunOutcome::Failed { error },
                Err(Stop::TimedOut(error)) => RunOutcome::TimedOut { error },
                Err(Stop::Continue(input)) => return self.go_on_with(&input),
            };
            self.close_with(outcome);
        } else if self.run().entries > JOURNAL_ENTRIES_MAX {
            self.stick(StuckReason::JournalFull);
        } else if !self.run().waits_for_something() && self.deliveries.is_empty() {
            self.stick(StuckReason::ForeignAwait);
        }
    }

    fn emitted(&mut self, emission: Emission) {
        match emission {
            Emission::Op { seq, op } => {
                if let Op::Child { workflow, input, key, .. } = &op {
                    self.called_child(seq, workflow, input, key.as_deref());
                }
                let (costs, fans) = (matches!(op, Op::Cost { .. }), matches!(op, Op::FanOut { .. }));
                self.record(Entry::Op { seq, op });
                if fans {
                    self.advance_fan(seq, "");
                }
                if costs {
                    self.hold_to_budget();
                }
            }
            Emission::Version { change, version } => self.record(Entry::Version { change, version }),
            Emission::Dropped { seq } => {
                // Early arrivals for a dropped operation are of no use to anybody.
                self.deliveries.retain(|(at, _)| *at != seq);
                self.let_go_of_child(seq);
                self.record(Entry::Dropped { seq });
                self.advance_fan(seq, "the parent no longer waits for it");
            }
        }
    }

    fn stick(&mut self, why: StuckReason) {
        self.machine.code = None;
        self.record(Entry::Stuck { why });
    }

    /// An attempt's schedule timeout is over: it fails unless a worker has it. The fence tells if one took it meanwhile.
    fn not_started_by_now(&mut self, seq: Seq) {
        let Some(step) = self.run().steps.get(&seq) else { return };
        let waits = matches!(step.phase, StepPhase::Queued | StepPhase::BackingOff { .. });
        if step.grant.is_some() || !waits {
            self.record(Entry::StartedInTime { seq });
            return;
        }
        if step.sticky.is_some_and(|sticky| !sticky.hard) {
            let from = if let StepPhase::BackingOff { until } = step.phase { until.max(self.now) } else { self.now };
            let wait = step.op.policy.schedule_timeout_ms.map(std::time::Duration::from_millis);
            let start_by = wait.map(|wait| after(from, wait));
            self.fences.push(Fence::NotGranted { seq });
            self.record(Entry::AnyWorker { seq, start_by });
            return;
        }
        let seconds = step.op.policy.schedule_timeout_ms.unwrap_or_default() as f64 / 1000.0;
        let failure = if let Some(sticky) = step.sticky {
            let worker = sticky.session;
            let message = format!("the worker `{worker}` that the step sticks to has ended, or does not do such steps");
            Failure::new(WORKER_GONE, message)
        } else if let Some(host) = &step.op.host {
            Failure::new(HOST_GONE, format!("the host `{host}` has had no worker for {seconds} s"))
        } else {
            let queue = &step.op.policy.queue;
            let message = format!("no worker of the queue `{queue}` took the step within {seconds} s");
            Failure::new(SCHEDULE_TIMEOUT, message)
        };
        let attempt = step.attempt;
        self.fences.push(Fence::NotGranted { seq });
        self.resolve_step(seq, attempt, None, Err(StepFailure::NotStarted(failure)));
    }

    /// The fence tells if a worker took the step meanwhile, or began its effect.
    fn over_step(&mut self, seq: Seq, attempt: Attempt, limit: &str, replaced: bool) {
        let Some(step) = self.run().steps.get(&seq) else { return };
        if step.attempt != attempt || step.phase != StepPhase::Queued || self.is_finalizer(seq) {
            return;
        }
        let fence = match step.grant {
            None => Fence::NotGranted { seq },
            Some(lease) if replaced => Fence::NotBegun { seq, attempt, lease },
            Some(_) => return,
        };
        let failure = if replaced {
            Failure::new(LIMIT_REPLACED, format!("a later step of its key has its slot of the limit `{limit}`"))
        } else {
            Failure::new(LIMIT_FULL, format!("all slots of its key of the limit `{limit}` were had when it came"))
        };
        self.fences.push(fence);
        self.resolve_step(seq, attempt, None, Err(StepFailure::Failed(failure)));
    }

    // ---- timers, signals, people -----------------------------------------------------------------------------

    fn timer_due(&mut self, seq: Seq) {
        match self.run().timers.get(&seq) {
            Some(at) if *at <= self.now => {}
            _ => return,
        }
        if seq == RUN_DEADLINE {
            let error = Failure::new("timed_out", "the run's time is over");
            self.close_with(RunOutcome::TimedOut { error });
        } else if self.run().steps.contains_key(&seq) {
            self.not_started_by_now(seq);
        } else if self.run().waits.contains_key(&seq) || self.run().completions.contains_key(&seq) {
            self.resolve(seq, Resolution::WaitTimedOut);
        } else if self.run().tasks.contains_key(&seq) {
            self.resolve(seq, Resolution::Human(HumanOutcome::TimedOut));
        } else {
            self.resolve(seq, Resolution::TimerFired);
        }
    }

    fn signal(&mut self, name: String, key: String, payload: Payload) -> Result<Reply, Rejection> {
        if self.run().has_signal(&name, &key) {
            return Ok(Reply::Repeated);
        }
        if let Phase::Closing(outcome) = &self.run().phase {
            return Err(Rejection::RunClosing { status: outcome.status() });
        }
        let kept = self.run().channels.get(&name).map_or(0, |channel| channel.kept.len());
        if kept >= SIGNALS_KEPT_PER_NAME {
            return Err(Rejection::ChannelFull { name, kept });
        }
        self.record(Entry::SignalKept { name, key, payload });
        self.settle();
        Ok(Reply::Done)
    }

    /// A wait takes one event. What its filter lets by is not kept: nobody else could take it.
    fn event(&mut self, seq: Seq, key: String, message: Payload) -> Result<Reply, Rejection> {
        if self.run().has_event(seq, &key) {
            return Ok(Reply::Repeated);
        }
        let wait = self.run().waits.get(&seq).filter(|wait| wait.event.is_some()).ok_or(Rejection::NoSuchWait)?;
        let is_served = self.run().channels.get(&wait.name).is_some_and(|channel| !channel.kept.is_empty());
        if is_served || wait.chooses(&VecDeque::from([message.clone()])).is_none() {
            return Ok(Reply::Ignored);
        }
        let name = wait.name.clone();
        self.record(Entry::SignalKept { name, key, payload: message });
        self.settle();
        Ok(Reply::Done)
    }

    fn answer(&mut self, seq: Seq, by: String, key: String, answer: TaskAnswer) -> Result<Reply, Rejection> {
        if self.run().ended_tasks.contains_key(&seq) {
            return self.repeated_answer(seq, &key);
        }
        if let Phase::Closing(outcome) = &self.run().phase {
            return Err(Rejection::RunClosing { status: outcome.status() });
        }
        if !self.run().tasks.contains_key(&seq) {
            return Err(Rejection::NoSuchTask);
        }
        let outcome = match answer {
            TaskAnswer::Answered(answer) => HumanOutcome::Answered { by, key, answer },
            TaskAnswer::Rejected { reason } => HumanOutcome::Rejected { by, key, reason },
        };
        self.resolve(seq, Resolution::Human(outcome));
        Ok(Reply::Done)
    }

    /// The same key gets its first answer, any other is told who was first.
    fn repeated_answer(&self, seq: Seq, key: &str) -> Result<Reply, Rejection> {
        match self.run().ended_tasks.get(&seq) {
            Some(HumanOutcome::Answered { key: first, .. } | HumanOutcome::Rejected { key: first, .. })
                if first == key =>
            {
                Ok(Reply::Done)
            }
            Some(HumanOutcome::Answered { by, .. }) => Err(task_ended("answered", Some(by))),
            Some(HumanOutcome::Rejected { by, .. }) => Err(task_ended("rejected", Some(by))),
            Some(HumanOutcome::TimedOut) => Err(task_ended("timed_out", None)),
            None => Err(Rejection::NoSuchTask),
        }
    }

    // ---- operators -------------------------------------------------------------------------------------------

    fn pause(&mut self, by: String) {
        if self.run().paused_by.is_none() && matches!(self.run().phase, Phase::Active | Phase::Stuck(_)) {
            self.record(Entry::Paused { by });
            self.gate = Some(true);
        }
    }

    fn unpause(&mut self, by: String) {
        if self.run().paused_by.is_some() {
            self.record(Entry::Unpaused { by });
            self.gate = Some(false);
            self.settle();
        }
    }

    fn cancel(&mut self, by: String, reason: String) -> Result<Reply, Rejection> {
        match &self.run().phase {
            // The outcome was fixed on entry to closing; asking again changes nothing.
            Phase::Closing(RunOutcome::Cancelled { .. }) => Ok(Reply::Done),
            Phase::Closing(outcome) => Err(Rejection::RunClosing { status: outcome.status() }),
            _ => {
                self.record(Entry::CancelRequested { by: by.clone(), reason: reason.clone() });
                self.close_with(RunOutcome::Cancelled { by, reason });
                Ok(Reply::Done)
            }
        }
    }

    fn retry(&mut self, by: &str) -> Result<Reply, Rejection> {
        let parked: Vec<Seq> = self
            .run()
            .steps
            .iter()
            .filter(|(_, step)| matches!(step.phase, StepPhase::Parked { .. }))
            .map(|(seq, _)| *seq)
            .collect();
        for seq in &parked {
            self.record(Entry::RetryRequested { seq: *seq, by: by.to_owned() });
        }
        let stuck = matches!(self.run().phase, Phase::Stuck(_));
        if stuck && self.mend(by) {
            return Ok(Reply::Done);
        }
        if parked.is_empty() && stuck && self.is_behind() {
            return Err(Rejection::BuildTooOld { build: self.registry.build(), needs: self.run().build });
        }
        if parked.is_empty() {
            return Err(Rejection::NothingToRetry { status: self.run().status().as_str() });
        }
        Ok(Reply::Done)
    }

    /// The step's attempt, which nobody works on; the fence tells if a worker took it meanwhile.
    fn fence_idle(&mut self, seq: Seq) -> Result<Attempt, Rejection> {
        let step = self.run().steps.get(&seq).ok_or(Rejection::NoSuchStep { seq })?;
        if step.grant.is_some() || step.phase == StepPhase::Stopping {
            return Err(Rejection::StepAtWork { seq });
        }
        let attempt = step.attempt;
        if self.is_stored(seq) {
            self.fences.push(Fence::NotGranted { seq });
        }
        Ok(attempt)
    }

    fn edit(&mut self, seq: Seq, by: String, input: Payload) -> Result<Reply, Rejection> {
        self.fence_idle(seq)?;
        self.record(Entry::InputChanged { seq, by, input });
        Ok(Reply::Done)
    }

    fn skip(&mut self, seq: Seq, by: String, output: Payload) -> Result<Reply, Rejection> {
        let attempt = self.fence_idle(seq)?;
        self.record(Entry::Skipped { seq, by });
        self.resolve_step(seq, attempt, None, Ok(output));
        Ok(Reply::Done)
    }

    /// Nothing at work is waited for: whoever holds one of its steps is told to stop by the next heartbeat, and refused until then.
    fn kill(&mut self, by: String, reason: String, cleanup: bool) -> Reply {
        if !matches!(self.run().phase, Phase::Closing(_)) {
            self.begin_closing(RunOutcome::Cancelled { by: by.clone(), reason: reason.clone() });
        }
        self.cancel_children("the parent run was killed");
        self.stop_all_fans("the parent run was killed");
        let run = self.run();
        let going = run.steps.iter().filter(|(_, step)| !cleanup || step.phase == StepPhase::Stopping);
        let going: Vec<(Seq, Attempt, Option<LeaseId>)> =
            going.map(|(seq, step)| (*seq, step.attempt, step.grant)).collect();
        for (seq, attempt, grant) in going {
            match grant {
                Some(lease) => self.fences.push(Fence::Granted { seq, attempt, lease }),
                None if self.is_stored(seq) => self.fences.push(Fence::NotGranted { seq }),
                None => {}
            }
        }
        self.record(Entry::Killed { by, reason, cleanup });
        self.continue_closing();
        Reply::Done
    }

    /// A build that comes to a run for the first time tries once. Where its code fits no better it says so, and the run
    /// waits for the next.
    fn revive(&mut self) {
        if self.is_behind() {
            return;
        }
        let Phase::Stuck(was) = self.run().phase.clone() else {
            self.settle();
            return;
        };
        let build = self.registry.build();
        if build > self.run().build && !self.mend(&format!("build {build}")) {
            let why = self.machine.misfit.take().unwrap_or(was);
            self.stick(why);
        }
    }

    /// A stuck run whose code now fits goes on: what its last polls asked for beyond the journal is recorded first.
    fn mend(&mut self, by: &str) -> bool {
        let Some(ahead) = self.machine.ahead.take() else {
            return false;
        };
        if self.machine.code.is_none() {
            return false;
        }
        let definition = self.machine.found.take();
        self.record(Entry::Mended { by: by.to_owned(), definition });
        self.polled(ahead);
        self.settle();
        true
    }

    // ---- the end ---------------------------------------------------------------------------------------------

    /// Fixes the outcome. What is granted is told to stop, what is not is taken off; then finalizers run.
    fn close_with(&mut self, outcome: RunOutcome) {
        self.begin_closing(outcome);
        let steps: Vec<(Seq, Attempt, Option<LeaseId>)> =
            self.run().steps.iter().map(|(seq, step)| (*seq, step.attempt, step.grant)).collect();
        for (seq, attempt, grant) in steps {
            if let Some(lease) = grant {
                self.fences.push(Fence::Granted { seq, attempt, lease });
            } else {
                if self.is_stored(seq) {
                    self.fences.push(Fence::NotGranted { seq });
                }
                self.record(Entry::StepStopped { seq, attempt, lease: None });
            }
        }
        self.cancel_children("the parent run ends");
        for seq in self.run().fans.keys().copied().collect::<Vec<_>>() {
            self.advance_fan(seq, "the parent run ends");
        }
        self.continue_closing();
    }

    /// From here on nothing is delivered to the code.
    fn begin_closing(&mut self, outcome: RunOutcome) {
        self.machine.code = None;
        self.deliveries.clear();
        self.record(Entry::Closing { outcome });
        if self.run().paused_by.is_some() {
            // Finalizers are shielded from pause.
            self.gate = Some(false);
        }
    }

    /// True if the step had a row before this transition.
    fn is_stored(&self, seq: Seq) -> bool {
        self.run().touched.steps.get(&seq).copied().unwrap_or(true)
    }

    /// Finalizers one by one, last registered first, once nothing else of the run is at work.
    fn continue_closing(&mut self) {
        if !matches!(self.run().phase, Phase::Closing(_))
            || !self.run().steps.is_empty()
            || !self.run().children.is_empty()
            || !self.run().fans.is_empty()
        {
            return;
        }
        let succeeded = matches!(self.run().phase, Phase::Closing(RunOutcome::Succeeded { .. }));
        let due = |finalizer: &RegisteredFinalizer| !(finalizer.done || finalizer.compensates && succeeded);
        let next = self.run().finalizers.iter().rev().find(|(_, finalizer)| due(finalizer)).map(|(seq, _)| *seq);
        if let Some(seq) = next {
            let bound = self.run().finalizers.get(&seq).filter(|finalizer| finalizer.op.host.is_some());
            let start_by = bound.and_then(|finalizer| start_by(&finalizer.op, self.now));
            self.record(Entry::FinalizerStarted { seq, start_by });
            return;
        }
        self.record(Entry::Ended);
        if let (Some(Parent { run, seq }), Phase::Ended(outcome)) = (self.run().identity.parent, &self.run().phase) {
            let message = InboxMessage::ChildEnded { seq, outcome: outcome.clone() };
            self.outbox.push(OutboxRow { to: run, number: 0, message });
        }
    }

    /// A step that was handed over may have been dropped by a later command of this very transition.
    fn take_back_what_was_let_go(&mut self, replies: &mut [Result<Reply, Rejection>]) {
        let Some((seq, lease, _)) = self.granted else { return };
        if self.run().steps.get(&seq).is_some_and(|step| step.grant == Some(lease)) {
            return;
        }
        self.granted = None;
        for reply in replies {
            if let Ok(Reply::Finished { handed_over }) = reply {
                *handed_over = None;
            }
        }
    }

    // ---- the transition --------------------------------------------------------------------------------------

    fn finish(mut self, mut replies: Vec<Result<Reply, Rejection>>) -> Decision {
        self.flush_fans();
        if !self.entries.is_empty() && self.run().undelivered() {
            // What an older build took in.
            self.settle();
        }
        self.take_back_what_was_let_go(&mut replies);
        let (slots, freed) = self.settle_slots();
        let Folding {
            machine, registry, now, revision, entries, fences, outbox, consumed, created, gate, granted, ..
        } = self;
        let run = &mut machine.run;
        let touched = std::mem::take(&mut run.touched);
        if entries.is_empty() && consumed.is_empty() {
            return Decision { transition: None, replies };
        }
        run.revision = revision;
        run.last_at = now;
        run.build = run.build.max(registry.build());
        let (steps, timers, tasks) = row_changes(run, &touched, granted, now);
        let event_waits = event_wait_changes(run, &touched);
        let notices = notices(run, created.is_some(), &entries, &tasks);
        let row = run_row(run);
        run.attributes_set.clear();
        let transition = Transition {
            identity: run.identity.clone(),
            expect: revision - 1,
            chunk: Chunk { revision, at: now, entries },
            row,
            created,
            fences,
            steps,
            slots,
            freed,
            gate,
            timers,
            tasks,
            event_waits,
            outbox,
            consumed,
            notices,
        };
        Decision { transition: Some(transition), replies }
    }
}

/// Whether a worker may take the step along with what it finished: from the same queue, or the step wants this very worker.
/// The database looks at the labels besides.
fn may_take_along(step: &LiveStep, offer: &HandOverOffer) -> bool {
    let (queue, offered) = (&step.op.policy.queue, &offer.queue);
    match step.sticky {
        Some(sticky) => sticky.session == offer.session && unlabelled(queue) == unlabelled(offered),
        None => queue == offered || is_of_session(offered, offer.session) && queue == unlabelled(offered),
    }
}

fn run_row(run: &Run) -> RunRow {
    let error_code = match &run.phase {
        Phase::Closing(RunOutcome::Failed { error }) | Phase::Ended(RunOutcome::Failed { error }) => {
            Some(error.code.clone())
        }
        _ => None,
    };
    RunRow {
        status: run.status(),
        paused: run.paused_by.is_some(),
        reason: run.reason(),
        status_line: run.status_line.as_deref().map(|text| column_text(text, STATUS_LINE_BYTES_MAX)),
        build: run.build,
        waits_for_build: run.waits_for_build(),
        error_code: error_code.map(|code| column_text(code, NAME_BYTES_MAX)),
        figures: (run.figures != Figures::default()).then(|| run.figures.clone()),
        attributes_set: (!run.attributes_set.is_empty()).then(|| run.attributes_set.clone()),
        journal_from: run.journal_from,
    }
}

fn task_ended(ended: &str, by: Option<&String>) -> Rejection {
    Rejection::TaskEnded { ended: ended.to_owned(), by: by.cloned() }
}

/// The rows of live steps that a store keeps; used by stores that hold rows in memory.
pub fn inserted(transition: &Transition) -> impl Iterator<Item = &StepRow> {
    transition.steps.iter().filter_map(|change| match change {
        crate::transition::StepChange::Insert(row) | crate::transition::StepChange::Update(row) => Some(&**row),
        _ => None,
    })
}
