//! Decides: the one holder of a run's cached state and code in this process.
//!
//! A run belongs to one executor by its id. Between a decision and its commit the run is *ahead*: its commands wait in a
//! bounded mailbox and are then folded into one transition. A refused or unknown commit drops the cached state, and what
//! was asked is decided again from what is stored.
//!
//! [`Executor`] is synchronous and owns no thread, so that a simulation drives it as it likes; [`crate::threads`] gives it
//! one. It never polls workflow code itself: it hands out [`Job`]s that do, so that code which blocks holds up one thread
//! and its own run, and nothing else.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use valet_core::bounds::COMMANDS_FOLDED_MAX;
use valet_core::command::{Command, InboxMessage, Parent, Rejection, Reply, StartRun};
use valet_core::decide::{CodeUse, Decision, Machine, StoredRun};
use valet_core::declared::check::is_workflow_name;
use valet_core::id::{RunId, Seq};
use valet_core::journal::StuckReason;
use valet_core::payload::Payload;
use valet_core::transition::Transition;
use valet_core::{Registry, Timestamp};

use crate::access::Sight;
use crate::audit::Deed;
use crate::bounds::{BLOCKAGES_MAX, MAILBOX_MAX, REDECIDE_MAX};
use crate::limits::KnownLimits;
use crate::pauses::Holds;
use crate::ports::Clock;
use crate::store::{DeclaredName, Loaded};

/// Why a command has no reply of the run itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error("there is no such run")]
    NotFound,
    /// Another run has the idempotency key, or the id.
    #[error("the run was not started: its key is taken")]
    NotStarted,
    #[error("the engine is busy: too many requests are waiting; try again")]
    Busy,
    #[error("the database is away: whether the request was carried out is not known; try again with the same key")]
    Unknown,
    #[error("the database refuses a value of the request")]
    BadData,
    #[error("the run kept changing under the request; try again")]
    Contended,
}

/// Where the answer goes; `None`: nobody waits.
pub type Answer = Option<oneshot::Sender<Result<Reply, CommandError>>>;

/// A command on its way.
pub struct Work {
    pub command: Command,
    pub answer: Answer,
    pub tries: u32,
    /// The run was loaded since this came in: what is decided now is not the word of an old cache.
    pub loaded: bool,
    /// It starts a child, and whether its workflow is declared was asked.
    pub defined: bool,
    /// Written down with what it changes.
    pub deed: Option<Box<Deed>>,
    /// Of whoever asks; `None`: they looked at the run before.
    pub sight: Option<Box<Sight>>,
}

impl Work {
    pub fn new(command: Command, answer: Answer) -> Self {
        Self { command, answer, tries: 0, loaded: false, defined: false, deed: None, sight: None }
    }

    pub fn answer(self, result: Result<Reply, CommandError>) {
        if let Some(answer) = self.answer {
            // The caller may have gone; the change stands all the same.
            let _ = answer.send(result);
        }
    }
}

/// A transition on its way to a writer, with everybody who waits for it.
pub struct Pending {
    pub transition: Arc<Transition>,
    pub work: Vec<Work>,
    pub replies: Vec<Result<Reply, Rejection>>,
}

/// What an executor is told.
pub enum Message {
    Command {
        run: RunId,
        work: Work,
    },
    /// Messages between runs that lie there for a while: lost on their way, or still in the mailbox.
    Redelivered {
        run: RunId,
        work: Vec<Work>,
    },
    Loaded {
        run: RunId,
        loaded: Result<Option<Box<Loaded>>, CommandError>,
    },
    /// The newest version of the declared workflow that was asked for, if there is one.
    Defined {
        run: RunId,
        definition: Result<Option<Payload>, CommandError>,
    },
    Committed(Vec<RunId>),
    /// Not committed: stale, or a fence did not hold. Decided again.
    Refused(Vec<Pending>),
    /// A limit has slots for this step now.
    Admitted {
        run: RunId,
        seq: Seq,
    },
    /// The callers have their answer already; the cached state is not to be trusted.
    Forget(Vec<RunId>),
}

/// What an executor asks for.
pub trait Outward {
    fn load(&mut self, run: RunId);
    /// What a workflow is that no code is known of: answered by [`Message::Defined`].
    fn define(&mut self, run: RunId, name: DeclaredName);
    fn commit(&mut self, pending: Pending);
    /// A message between runs that nobody can take any more.
    fn discard(&mut self, to: RunId, from: RunId, number: i64);
}

/// The outward side over channels.
pub struct Channels {
    pub loads: mpsc::UnboundedSender<RunId>,
    pub definitions: mpsc::UnboundedSender<(RunId, DeclaredName)>,
    pub commits: mpsc::UnboundedSender<Pending>,
    pub discards: mpsc::UnboundedSender<(RunId, RunId, i64)>,
}

impl Outward for Channels {
    // A closed channel means that the engine shuts down; whoever waits learns it from the dropped answer.
    fn load(&mut self, run: RunId) {
        let _ = self.loads.send(run);
    }

    fn define(&mut self, run: RunId, name: DeclaredName) {
        let _ = self.definitions.send((run, name));
    }

    fn commit(&mut self, pending: Pending) {
        let _ = self.commits.send(pending);
    }

    fn discard(&mut self, to: RunId, from: RunId, number: i64) {
        let _ = self.discards.send((to, from, number));
    }
}

#[derive(Default)]
struct Slot {
    machine: Option<Box<Machine>>,
    /// Waiting for a load, a job or a commit.
    busy: bool,
    mailbox: VecDeque<Work>,
    /// Loaded, and waiting for its definition.
    undefined: Option<Box<StoredRun>>,
    /// What the job at hand decides.
    deciding: Vec<Work>,
    /// The messages between runs that the last transition took: whoever looked before its commit still sees them.
    taken: Vec<(RunId, i64)>,
    /// The run's code blocks a thread; it is left alone until the run is parked.
    withheld: bool,
    stamp: u64,
    weight_bytes: usize,
}

/// A piece of work that polls the code of one run.
pub struct Job {
    pub run: RunId,
    task: Task,
    now: Timestamp,
}

enum Task {
    Rebuild(Box<StoredRun>, CodeUse, Option<Payload>),
    Decide(Box<Machine>, Vec<Command>),
}

/// What a job brought.
pub struct Done {
    run: RunId,
    machine: Box<Machine>,
    decision: Option<Decision>,
}

impl Job {
    pub fn workflow(&self) -> &str {
        match &self.task {
            Task::Rebuild(stored, ..) => &stored.identity.workflow,
            Task::Decide(machine, _) => machine.workflow(),
        }
    }

    pub fn carry_out(self, registry: &Registry) -> Done {
        match self.task {
            Task::Rebuild(stored, code, found) => {
                let machine = Box::new(Machine::rebuild_with(*stored, registry, code, found));
                Done { run: self.run, machine, decision: None }
            }
            Task::Decide(mut machine, commands) => {
                let decision = Some(machine.decide(commands, self.now, registry));
                Done { run: self.run, machine, decision }
            }
        }
    }
}

/// How often the code of each workflow blocked a thread, in one engine.
#[derive(Default)]
pub struct Blockages {
    counts: Mutex<HashMap<String, u32>>,
    /// Asked before every decision, so without the lock.
    any: AtomicBool,
}

impl Blockages {
    fn count(&self, workflow: &str) -> u32 {
        self.any.store(true, Ordering::Release);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(workflow.to_owned()).or_default();
        *count += 1;
        *count
    }

    /// Code that blocked again and again is not polled any more by this engine.
    fn is_quarantined(&self, workflow: &str) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(workflow).is_some_and(|count| *count >= BLOCKAGES_MAX)
    }
}

/// What the executors of one engine know in common.
pub struct Views {
    pub blockages: Arc<Blockages>,
    pub holds: Arc<Holds>,
    pub limits: Arc<KnownLimits>,
}

/// Holds the runs of one partition.
pub struct Executor<O> {
    registry: Registry,
    views: Views,
    jobs: VecDeque<Job>,
    clock: Arc<dyn Clock>,
    out: O,
    slots: HashMap<RunId, Slot>,
    /// Idle cached runs by last use.
    idle: BTreeMap<u64, RunId>,
    next_stamp: u64,
    cached_bytes: usize,
    cache_bytes_max: usize,
}

impl<O: Outward> Executor<O> {
    pub fn new(registry: Registry, clock: Arc<dyn Clock>, views: Views, out: O, cache_bytes_max: usize) -> Self {
        Self {
            registry,
            views,
            jobs: VecDeque::new(),
            clock,
            out,
            slots: HashMap::new(),
            idle: BTreeMap::new(),
            next_stamp: 0,
            cached_bytes: 0,
            cache_bytes_max,
        }
    }

    /// The registry that jobs are carried out with.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Takes a message in. What it gives to do is asked for with [`Executor::next_job`].
    pub fn handle(&mut self, message: Message) {
        match message {
            Message::Command { run, work } => self.command(run, work),
            Message::Redelivered { run, work } => self.redelivered(run, work),
            Message::Loaded { run, loaded } => self.loaded(run, loaded),
            Message::Defined { run, definition } => self.defined(run, definition),
            Message::Committed(runs) => runs.into_iter().for_each(|run| self.committed(run)),
            Message::Refused(all) => all.into_iter().for_each(|pending| self.refused(pending)),
            Message::Admitted { run, seq } => self.admitted(run, seq),
            Message::Forget(runs) => runs.into_iter().for_each(|run| self.forget(run)),
        }
        self.evict();
    }

    /// The next piece of work that polls code.
    pub fn next_job(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// Takes in what a job brought.
    pub fn done(&mut self, done: Done) {
        let Done { run, machine, decision } = done;
        let Some(slot) = self.slots.get_mut(&run) else { return };
        slot.busy = false;
        slot.machine = Some(machine);
        match decision {
            Some(decision) => self.decided(run, decision),
            None => self.advance(run),
        }
        self.evict();
    }

    /// The job of this run does not come back in time. Its thread is given up; the run is parked without its code.
    pub fn blocked(&mut self, run: RunId, workflow: &str) {
        if self.views.blockages.count(workflow) >= BLOCKAGES_MAX {
            tracing::error!(workflow, "the workflow's code blocks its thread; this engine polls it no more");
        }
        let Some(slot) = self.slots.get_mut(&run) else { return };
        slot.withheld = true;
        slot.machine = None;
        slot.busy = false;
        for mut work in std::mem::take(&mut slot.deciding).into_iter().rev() {
            if is_retry(&work.command) {
                work.answer(Err(CommandError::Rejected(Rejection::NothingToRetry { status: "stuck" })));
            } else {
                work.loaded = false;
                slot.mailbox.push_front(work);
            }
        }
        let starts = slot.mailbox.front().is_some_and(|work| work.tries == 0 && new_run(&work.command).is_some());
        if !starts {
            slot.mailbox.push_front(Work::new(Command::Park { why: StuckReason::Blocking }, None));
        }
        self.advance(run);
    }

    fn command(&mut self, run: RunId, work: Work) {
        let slot = self.slots.entry(run).or_default();
        if slot.mailbox.len() >= MAILBOX_MAX {
            work.answer(Err(CommandError::Busy));
            return;
        }
        slot.mailbox.push_back(work);
        self.advance(run);
    }

    /// Without those that the run has at hand: taken twice, a message would refuse all that is decided with it. What the
    /// mailbox has no room for comes again with the next tick.
    fn redelivered(&mut self, run: RunId, work: Vec<Work>) {
        let slot = self.slots.entry(run).or_default();
        let at_hand = slot.mailbox.iter().chain(&slot.deciding).filter_map(|work| message_key(&work.command));
        let at_hand: HashSet<_> = at_hand.chain(slot.taken.iter().copied()).collect();
        let room = MAILBOX_MAX.saturating_sub(slot.mailbox.len());
        let lost = work.into_iter().filter(|work| message_key(&work.command).is_none_or(|key| !at_hand.contains(&key)));
        slot.mailbox.extend(lost.take(room));
        self.advance(run);
    }

    /// Moves a run on: load it, or decide what waits.
    fn advance(&mut self, run: RunId) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        if slot.busy || slot.mailbox.is_empty() {
            self.settle(run);
            return;
        }
        let blocks =
            |machine: &Machine| machine.holds_code() && self.views.blockages.is_quarantined(machine.workflow());
        if slot.machine.as_deref().is_some_and(blocks) {
            // Its code was cached before it was quarantined.
            self.load(run);
            return;
        }
        let retried = slot.mailbox.iter().any(|work| !work.loaded && is_retry(&work.command));
        if retried && slot.machine.as_ref().is_some_and(|machine| machine.waits_for_its_code()) {
            self.load(run);
            return;
        }
        if slot.machine.is_none() {
            // A first command is known by itself; a repeated one finds what is stored.
            let start = slot.mailbox.front().filter(|work| work.tries == 0).and_then(|work| new_run(&work.command));
            let Some(start) = start else {
                self.load(run);
                return;
            };
            if let Some(name) = self.undefined_child(run, &start) {
                self.define(run, name);
                return;
            }
            let Some(slot) = self.slots.get_mut(&run) else { return };
            let withheld = slot.withheld || self.views.blockages.is_quarantined(&start.workflow);
            let code = if withheld { CodeUse::Withheld } else { CodeUse::Recorded };
            slot.machine = Some(Box::new(Machine::create(run, &start, self.clock.now(), &self.registry, code)));
        }
        self.decide(run);
    }

    fn load(&mut self, run: RunId) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        slot.busy = true;
        slot.machine = None;
        for work in &mut slot.mailbox {
            work.loaded = true;
        }
        self.out.load(run);
    }

    fn define(&mut self, run: RunId, name: DeclaredName) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        slot.busy = true;
        self.out.define(run, name);
    }

    /// The workflow of a child that is to be started and has no code here. Whatever its parent knew, it takes the newest
    /// definition that there is when it begins.
    fn undefined_child(&self, run: RunId, start: &StartRun) -> Option<DeclaredName> {
        let asked = self.slots.get(&run)?.mailbox.front()?.defined;
        let is_unknown = start.parent.is_some() && self.registry.get(&start.workflow).is_none();
        (is_unknown && !asked && is_workflow_name(&start.workflow))
            .then(|| DeclaredName { tenant: start.tenant.clone(), workflow: start.workflow.clone() })
    }

    /// A child's start takes the definition along into its first entry; a run that is retried is rebuilt with it.
    fn defined(&mut self, run: RunId, definition: Result<Option<Payload>, CommandError>) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        slot.busy = false;
        let definition = match definition {
            Ok(definition) => definition,
            Err(error) => return self.fail_all(run, &error),
        };
        if let Some(stored) = slot.undefined.take() {
            return self.rebuild(run, stored, definition);
        }
        if let Some(work) = slot.mailbox.front_mut()
            && let Command::Inbox { message: InboxMessage::StartChild { definition: found, .. }, .. } =
                &mut work.command
        {
            *found = definition;
            work.defined = true;
        }
        self.advance(run);
    }

    /// Nothing can be known of the run now: whoever asked is told so.
    fn fail_all(&mut self, run: RunId, error: &CommandError) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        slot.undefined = None;
        for work in std::mem::take(&mut slot.mailbox) {
            work.answer(Err(error.clone()));
        }
        self.settle(run);
    }

    /// A finish that was refused, of a step that nobody holds: its lease was never granted, or ended long ago.
    fn is_baseless(slot: &Slot) -> bool {
        let (Some(work), Some(machine)) = (slot.mailbox.front(), slot.machine.as_ref()) else { return false };
        let Command::Finish(finish) = &work.command else { return false };
        // The run was loaded since the refusal, and with it who holds what.
        let step = machine.run().steps.get(&finish.seq);
        work.tries > 0 && work.loaded && step.is_some_and(|step| step.attempt == finish.attempt && step.grant.is_none())
    }

    fn decide(&mut self, run: RunId) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        if Self::is_baseless(slot) {
            if let Some(work) = slot.mailbox.pop_front() {
                work.answer(Err(CommandError::Rejected(Rejection::Stale)));
            }
            self.advance(run);
            return;
        }
        let Some(slot) = self.slots.get_mut(&run) else { return };
        let Some(mut machine) = slot.machine.take() else { return };
        let identity = &machine.run().identity;
        let on_hold = self.views.holds.over_run(&identity.tenant, &identity.workflow).is_some();
        // What was refused before is tried alone, so that one stale command refuses only itself.
        let alone = slot.mailbox.front().is_some_and(|work| work.tries > 0);
        let most = if alone { 1 } else { COMMANDS_FOLDED_MAX };
        let sees = |work: &Work| work.sight.as_ref().is_none_or(|sight| sight.has(identity));
        let unseen;
        (slot.deciding, unseen) = slot.mailbox.drain(..slot.mailbox.len().min(most)).partition(sees);
        for work in unseen {
            work.answer(Err(CommandError::NotFound));
        }
        if slot.deciding.is_empty() {
            slot.machine = Some(machine);
            self.advance(run);
            return;
        }
        machine.hold(on_hold);
        machine.limit(self.views.limits.now());
        let commands = slot.deciding.iter().map(|work| work.command.clone()).collect();
        slot.busy = true;
        self.jobs.push_back(Job { run, task: Task::Decide(machine, commands), now: self.clock.now() });
    }

    fn decided(&mut self, run: RunId, decision: Decision) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        let work = std::mem::take(&mut slot.deciding);
        let Some(transition) = decision.transition else {
            let ended = slot.machine.as_ref().is_some_and(|machine| machine.run().status().is_terminal());
            let is_final = decision.replies.iter().all(|reply| matches!(reply, Ok(Reply::Ignored)));
            if !ended && !is_final && work.iter().any(|work| !work.loaded) {
                // Another engine may have moved the run on: nothing is refused on the word of a cache.
                for work in work.into_iter().rev() {
                    slot.mailbox.push_front(work);
                }
                self.load(run);
                return;
            }
            for (work, reply) in work.into_iter().zip(decision.replies) {
                if let (Err(Rejection::RunEnded { .. }), Command::Inbox { from, from_seq, .. }) =
                    (&reply, &work.command)
                {
                    self.out.discard(run, *from, *from_seq);
                }
                work.answer(reply.map_err(CommandError::from));
            }
            self.advance(run);
            return;
        };
        slot.busy = true;
        slot.taken.clone_from(&transition.consumed);
        self.out.commit(Pending { transition: Arc::new(transition), work, replies: decision.replies });
    }

    fn loaded(&mut self, run: RunId, loaded: Result<Option<Box<Loaded>>, CommandError>) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        slot.busy = false;
        match loaded {
            Ok(Some(loaded)) => {
                let (Loaded::Live(stored) | Loaded::Ended(stored)) = *loaded;
                let identity = &stored.identity;
                let retried = slot.mailbox.iter().any(|work| matches!(work.command, Command::Retry { .. }));
                if retried && stored.wants_definition(&self.registry) && is_workflow_name(&identity.workflow) {
                    let name = DeclaredName { tenant: identity.tenant.clone(), workflow: identity.workflow.clone() };
                    slot.undefined = Some(Box::new(stored));
                    return self.define(run, name);
                }
                self.rebuild(run, Box::new(stored), None);
            }
            Ok(None) => self.not_found(run),
            Err(error) => self.fail_all(run, &error),
        }
    }

    fn rebuild(&mut self, run: RunId, stored: Box<StoredRun>, found: Option<Payload>) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        let retried = slot.mailbox.iter().any(|work| is_retry(&work.command));
        let code = if slot.withheld || self.views.blockages.is_quarantined(&stored.identity.workflow) {
            CodeUse::Withheld
        } else if retried {
            CodeUse::Retried
        } else {
            CodeUse::Recorded
        };
        slot.busy = true;
        let task = Task::Rebuild(stored, code, found);
        self.jobs.push_back(Job { run, task, now: self.clock.now() });
    }

    /// Nothing is stored under this id. A start may begin; anything else has no run.
    fn not_found(&mut self, run: RunId) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        let mut waiting = std::mem::take(&mut slot.mailbox);
        // One that was refused though there is no run: the message that it came by is gone, or comes again with the tick.
        let starts = waiting.iter().position(|work| work.tries == 0 && new_run(&work.command).is_some());
        if let Some(at) = starts {
            let first = waiting.remove(at);
            slot.mailbox = first.into_iter().chain(waiting).collect();
            self.advance(run);
            return;
        }
        // What came while it was looked for may be meant for a run that began meanwhile.
        let (asked, later): (VecDeque<_>, _) = waiting.into_iter().partition(|work| work.loaded);
        slot.mailbox = later;
        for work in asked {
            let why = if new_run(&work.command).is_some() { CommandError::Contended } else { CommandError::NotFound };
            work.answer(Err(why));
        }
        self.advance(run);
    }

    /// What the run shows with its next commit.
    fn admitted(&mut self, run: RunId, seq: Seq) {
        if let Some(machine) = self.slots.get_mut(&run).and_then(|slot| slot.machine.as_mut()) {
            machine.admitted(seq);
        }
    }

    fn committed(&mut self, run: RunId) {
        if let Some(slot) = self.slots.get_mut(&run) {
            slot.busy = false;
            // Parked by now.
            slot.withheld = false;
        }
        self.advance(run);
    }

    fn refused(&mut self, pending: Pending) {
        let run = pending.transition.run();
        let slot = self.slots.entry(run).or_default();
        slot.busy = false;
        slot.machine = None;
        slot.taken.clear();
        for mut work in pending.work.into_iter().rev() {
            work.tries += 1;
            if let Command::Finish(finish) = &mut work.command {
                // Perhaps its session has ended and earns nothing any more.
                finish.hand_over = None;
            }
            if matches!(work.command, Command::Start(_)) {
                work.answer(Err(CommandError::NotStarted));
            } else if matches!(work.command, Command::Inbox { .. }) && work.tries > 1 {
                // Taken meanwhile; while its row exists the tick brings it again.
                work.answer(Err(CommandError::Contended));
            } else if work.tries > REDECIDE_MAX {
                work.answer(Err(CommandError::Contended));
            } else {
                slot.mailbox.push_front(work);
            }
        }
        self.advance(run);
    }

    fn forget(&mut self, run: RunId) {
        if let Some(slot) = self.slots.get_mut(&run) {
            slot.busy = false;
            slot.machine = None;
            slot.taken.clear();
        }
        self.advance(run);
    }

    /// Files a slot that has nothing to do: kept as a cache, or let go once its run ended.
    fn settle(&mut self, run: RunId) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        if slot.busy || !slot.mailbox.is_empty() {
            return;
        }
        self.idle.remove(&slot.stamp);
        self.cached_bytes -= slot.weight_bytes;
        let ended = slot.machine.as_ref().is_none_or(|machine| machine.run().status().is_terminal());
        if ended {
            self.slots.remove(&run);
            return;
        }
        self.next_stamp += 1;
        slot.stamp = self.next_stamp;
        slot.weight_bytes = slot.machine.as_ref().map_or(0, |machine| machine.weight_bytes());
        self.cached_bytes += slot.weight_bytes;
        self.idle.insert(slot.stamp, run);
    }

    fn evict(&mut self) {
        while self.cached_bytes > self.cache_bytes_max {
            let Some((_, run)) = self.idle.pop_first() else { return };
            let Some(slot) = self.slots.get_mut(&run) else { continue };
            self.cached_bytes -= slot.weight_bytes;
            slot.weight_bytes = 0;
            slot.machine = None;
            if !slot.busy && slot.mailbox.is_empty() {
                self.slots.remove(&run);
            }
        }
    }
}

/// Who sent a message between runs, and its number.
fn message_key(command: &Command) -> Option<(RunId, i64)> {
    match command {
        Command::Inbox { from, from_seq, .. } => Some((*from, *from_seq)),
        _ => None,
    }
}

/// Even code that blocked its thread is tried again.
fn is_retry(command: &Command) -> bool {
    matches!(command, Command::Retry { .. } | Command::Revive)
}

/// The run that a command starts, if it starts one.
fn new_run(command: &Command) -> Option<StartRun> {
    match command {
        Command::Start(start) => Some((**start).clone()),
        Command::Inbox {
            from,
            message: InboxMessage::StartChild { tenant, subject, plan, workflow, input, seq, definition },
            ..
        } => {
            let parent = Some(Parent { run: *from, seq: *seq });
            let start = StartRun::new(tenant.clone(), subject.clone(), workflow.clone(), plan.clone(), input.clone());
            Some(StartRun { parent, definition: definition.clone(), ..start })
        }
        _ => None,
    }
}
