//! Decides: the one holder of a run's cached state and code in this process.
//!
//! A run belongs to one executor by its id. Between a decision and its commit the run is *ahead*: its commands wait in a
//! bounded mailbox and are then folded into one transition. A refused or unknown commit drops the cached state, and what
//! was asked is decided again from what is stored.
//!
//! [`Executor`] is synchronous and owns no thread, so that a simulation drives it as it likes; [`crate::threads`] gives it one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use valet_core::Registry;
use valet_core::bounds::COMMANDS_FOLDED_MAX;
use valet_core::command::{Command, InboxMessage, Parent, Rejection, Reply, StartRun};
use valet_core::decide::Machine;
use valet_core::id::RunId;
use valet_core::transition::Transition;

use crate::bounds::{MAILBOX_MAX, REDECIDE_MAX};
use crate::ports::Clock;
use crate::store::Loaded;

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
}

impl Work {
    pub fn new(command: Command, answer: Answer) -> Self {
        Self { command, answer, tries: 0, loaded: false }
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
    Loaded {
        run: RunId,
        loaded: Result<Option<Box<Loaded>>, CommandError>,
    },
    Committed(Vec<RunId>),
    /// Not committed: stale, or a fence did not hold. Decided again.
    Refused(Vec<Pending>),
    /// The callers have their answer already; the cached state is not to be trusted.
    Forget(Vec<RunId>),
}

/// What an executor asks for.
pub trait Outward {
    fn load(&mut self, run: RunId);
    fn commit(&mut self, pending: Pending);
    /// A message between runs that nobody can take any more.
    fn discard(&mut self, to: RunId, from: RunId, number: i64);
}

/// The outward side over channels.
pub struct Channels {
    pub loads: mpsc::UnboundedSender<RunId>,
    pub commits: mpsc::UnboundedSender<Pending>,
    pub discards: mpsc::UnboundedSender<(RunId, RunId, i64)>,
}

impl Outward for Channels {
    // A closed channel means that the engine shuts down; whoever waits learns it from the dropped answer.
    fn load(&mut self, run: RunId) {
        let _ = self.loads.send(run);
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
    /// Waiting for a load or a commit.
    busy: bool,
    mailbox: VecDeque<Work>,
    stamp: u64,
    weight_bytes: usize,
}

/// Holds the runs of one partition.
pub struct Executor<O> {
    registry: Registry,
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
    pub fn new(registry: Registry, clock: Arc<dyn Clock>, out: O, cache_bytes_max: usize) -> Self {
        Self {
            registry,
            clock,
            out,
            slots: HashMap::new(),
            idle: BTreeMap::new(),
            next_stamp: 0,
            cached_bytes: 0,
            cache_bytes_max,
        }
    }

    pub fn handle(&mut self, message: Message) {
        match message {
            Message::Command { run, work } => self.command(run, work),
            Message::Loaded { run, loaded } => self.loaded(run, loaded),
            Message::Committed(runs) => runs.into_iter().for_each(|run| self.committed(run)),
            Message::Refused(all) => all.into_iter().for_each(|pending| self.refused(pending)),
            Message::Forget(runs) => runs.into_iter().for_each(|run| self.forget(run)),
        }
        self.evict();
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

    /// Moves a run on: load it, or decide what waits.
    fn advance(&mut self, run: RunId) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        if slot.busy || slot.mailbox.is_empty() {
            self.settle(run);
            return;
        }
        if slot.machine.is_none() {
            // A first command is known by itself; a repeated one finds what is stored.
            let start = slot.mailbox.front().filter(|work| work.tries == 0).and_then(|work| new_run(&work.command));
            let Some(start) = start else {
                self.load(run);
                return;
            };
            let machine = Machine::create(run, &start, self.clock.now(), &self.registry);
            slot.machine = Some(Box::new(machine));
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

    fn decide(&mut self, run: RunId) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        let Some(machine) = slot.machine.as_mut() else { return };
        // What was refused before is tried alone, so that one stale command refuses only itself.
        let alone = slot.mailbox.front().is_some_and(|work| work.tries > 0);
        let most = if alone { 1 } else { COMMANDS_FOLDED_MAX };
        let work: Vec<Work> = slot.mailbox.drain(..slot.mailbox.len().min(most)).collect();
        let commands = work.iter().map(|work| work.command.clone()).collect();
        let decision = machine.decide(commands, self.clock.now(), &self.registry);
        let Some(transition) = decision.transition else {
            let ended = machine.run().status().is_terminal();
            if !ended && work.iter().any(|work| !work.loaded) {
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
        self.out.commit(Pending { transition: Arc::new(transition), work, replies: decision.replies });
    }

    fn loaded(&mut self, run: RunId, loaded: Result<Option<Box<Loaded>>, CommandError>) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        slot.busy = false;
        match loaded {
            Ok(Some(loaded)) => {
                let (Loaded::Live(stored) | Loaded::Ended(stored)) = *loaded;
                slot.machine = Some(Box::new(Machine::rebuild(stored, &self.registry)));
                self.advance(run);
            }
            Ok(None) => self.not_found(run),
            Err(error) => {
                for work in std::mem::take(&mut slot.mailbox) {
                    work.answer(Err(error.clone()));
                }
                self.settle(run);
            }
        }
    }

    /// Nothing is stored under this id. A repeated start may begin; anything else has no run.
    fn not_found(&mut self, run: RunId) {
        let Some(slot) = self.slots.get_mut(&run) else { return };
        let mut waiting = std::mem::take(&mut slot.mailbox);
        let starts = waiting.iter().position(|work| new_run(&work.command).is_some());
        if let Some(at) = starts {
            let mut first = waiting.remove(at);
            if let Some(work) = first.as_mut() {
                work.tries = 0;
            }
            slot.mailbox = first.into_iter().chain(waiting).collect();
            self.advance(run);
            return;
        }
        for work in waiting {
            work.answer(Err(CommandError::NotFound));
        }
        self.settle(run);
    }

    fn committed(&mut self, run: RunId) {
        if let Some(slot) = self.slots.get_mut(&run) {
            slot.busy = false;
        }
        self.advance(run);
    }

    fn refused(&mut self, pending: Pending) {
        let run = pending.transition.run();
        let slot = self.slots.entry(run).or_default();
        slot.busy = false;
        slot.machine = None;
        for mut work in pending.work.into_iter().rev() {
            work.tries += 1;
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

/// The run that a command starts, if it starts one.
fn new_run(command: &Command) -> Option<StartRun> {
    match command {
        Command::Start(start) => Some((**start).clone()),
        Command::Inbox {
            from,
            message: InboxMessage::StartChild { tenant, subject, plan, workflow, input, seq },
            ..
        } => Some(StartRun {
            tenant: tenant.clone(),
            subject: subject.clone(),
            workflow: workflow.clone(),
            plan: plan.clone(),
            attributes: serde_json::Map::new(),
            input: input.clone(),
            parent: Some(Parent { run: *from, seq: *seq }),
            idempotency: None,
        }),
        _ => None,
    }
}
