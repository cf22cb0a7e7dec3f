//! Who is told what, inside one engine: executors, the dispatcher, the tick, event streams.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Notify, mpsc, oneshot};
use valet_core::Timestamp;
use valet_core::command::{Command, Reply};
use valet_core::id::{RunId, Seq};
use valet_core::limits::LimitKey;

use crate::access::Sight;
use crate::audit::Deed;
use crate::executor::{CommandError, Message, Work};
use crate::store::DueTicket;
use crate::watches::{Watch, Watches};

/// What may let others begin.
pub enum Freed {
    /// Keys of limits that may have something for those who wait.
    Keys(Vec<LimitKey>),
    /// Runs that have ended; they may have had slots for life.
    Ended(Vec<RunId>),
}

/// The channels of one engine.
pub struct Routes {
    executors: Vec<mpsc::UnboundedSender<Message>>,
    tickets: mpsc::UnboundedSender<Vec<DueTicket>>,
    freed: mpsc::UnboundedSender<Freed>,
    wake_ups: mpsc::UnboundedSender<Timestamp>,
    backlogged: RwLock<Arc<HashSet<String>>>,
    backlog: Notify,
    ready: Notify,
    watches: Arc<Watches>,
    /// Transitions committed by this engine.
    changes: AtomicU64,
    blind: AtomicBool,
    /// As of the last tick: runs have slots of limits until they have ended.
    slots_of_life: AtomicBool,
}

/// The receiving ends, for the loops.
pub struct Receivers {
    pub tickets: mpsc::UnboundedReceiver<Vec<DueTicket>>,
    pub freed: mpsc::UnboundedReceiver<Freed>,
    pub wake_ups: mpsc::UnboundedReceiver<Timestamp>,
}

impl Routes {
    pub fn new(executors: Vec<mpsc::UnboundedSender<Message>>) -> (Arc<Self>, Receivers) {
        let (tickets, tickets_in) = mpsc::unbounded_channel();
        let (freed, freed_in) = mpsc::unbounded_channel();
        let (wake_ups, wake_ups_in) = mpsc::unbounded_channel();
        let routes = Self {
            executors,
            tickets,
            freed,
            wake_ups,
            backlogged: RwLock::default(),
            backlog: Notify::new(),
            ready: Notify::new(),
            watches: Arc::default(),
            changes: AtomicU64::new(0),
            blind: AtomicBool::new(false),
            slots_of_life: AtomicBool::new(false),
        };
        (Arc::new(routes), Receivers { tickets: tickets_in, freed: freed_in, wake_ups: wake_ups_in })
    }

    /// The executor, and so the writer, of a run.
    pub fn partition(&self, run: RunId) -> usize {
        usize::from(run.0.as_bytes()[14]) % self.executors.len()
    }

    pub fn tell(&self, executor: usize, message: Message) {
        // Closed only while the engine shuts down; whoever waits learns it from the dropped answer.
        let _ = self.executors[executor].send(message);
    }

    /// A command that nobody waits for.
    pub fn send(&self, run: RunId, command: Command) {
        let work = Work::new(command, None);
        self.tell(self.partition(run), Message::Command { run, work });
    }

    /// Messages between runs that nobody took yet.
    pub fn send_again(&self, run: RunId, commands: Vec<Command>) {
        let work = commands.into_iter().map(|command| Work::new(command, None)).collect();
        self.tell(self.partition(run), Message::Redelivered { run, work });
    }

    /// A command and its answer, which comes after the commit.
    pub fn ask(
        &self,
        run: RunId,
        command: Command,
        deed: Option<Deed>,
        sight: Option<Sight>,
    ) -> oneshot::Receiver<Result<Reply, CommandError>> {
        let (answer, answered) = oneshot::channel();
        let (deed, sight) = (deed.map(Box::new), sight.map(Box::new));
        let work = Work { deed, sight, ..Work::new(command, Some(answer)) };
        self.tell(self.partition(run), Message::Command { run, work });
        answered
    }

    pub fn push(&self, tickets: Vec<DueTicket>) {
        let _ = self.tickets.send(tickets);
    }

    /// These keys of limits may have something for those who wait.
    pub fn admit(&self, keys: Vec<LimitKey>) {
        if !keys.is_empty() {
            let _ = self.freed.send(Freed::Keys(keys));
        }
    }

    pub fn set_slots_of_life(&self, some: bool) {
        self.slots_of_life.store(some, Ordering::Relaxed);
    }

    /// These runs have ended: what they had of limits until then is free. One that began and ended since the last tick is left to the next.
    pub fn admit_after(&self, ended: Vec<RunId>) {
        if !ended.is_empty() && self.slots_of_life.load(Ordering::Relaxed) {
            let _ = self.freed.send(Freed::Ended(ended));
        }
    }

    /// Who holds the run shows it as what it is now.
    pub fn admitted(&self, run: RunId, seq: Seq) {
        self.tell(self.partition(run), Message::Admitted { run, seq });
    }

    /// The tick should run at this instant, if it is near.
    pub fn wake_at(&self, at: Timestamp) {
        let _ = self.wake_ups.send(at);
    }

    pub fn backlogged(&self) -> Arc<HashSet<String>> {
        Arc::clone(&self.backlogged.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn set_backlogged(&self, queues: HashSet<String>) {
        *self.backlogged.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(queues);
    }

    /// Steps without a ticket became ready.
    pub fn look_for_backlog(&self) {
        self.backlog.notify_one();
        self.step_became_ready();
    }

    /// Some step may be claimed, with a ticket or without.
    pub fn step_became_ready(&self) {
        self.ready.notify_one();
    }

    /// For the one who hands steps to workers without tickets.
    pub async fn until_step_ready(&self) {
        self.ready.notified().await;
    }

    pub async fn backlog_noticed(&self) {
        self.backlog.notified().await;
    }

    /// The last tick failed: leases may look ended because nobody could renew them.
    pub fn is_blind(&self) -> bool {
        self.blind.load(Ordering::Acquire)
    }

    pub fn set_blind(&self, blind: bool) {
        self.blind.store(blind, Ordering::Release);
    }

    pub fn changed(&self, run: RunId, ended: bool) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.watches.changed(run, ended);
    }

    /// How many there were so far.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// What this engine does to a run, from now on.
    pub fn watch(&self, run: RunId) -> Watch {
        self.watches.watch(run)
    }
}
