//! Worker processes: a session, slots, heartbeats, tickets. They stall, die and come back, as real ones do, but they
//! follow the protocol: a lease is listed from before its claim until its finish is answered, and a worker that had no
//! contact for its lease less a second suspends.

mod attempt;
mod heart;
mod requests;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;
use valet_core::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use valet_core::placement::{is_labelled, queue_of_session, queues_of_worker};
use valet_core::transition::StepState;
use valet_queue::{Delivered, QueueName, TicketPull, TicketSource};

use super::fleet::Fleet;
use crate::program::{LABEL, OTHER_LABEL, QUEUES, queue_of_home};
use crate::world::World;

/// One worker process.
pub(crate) struct Worker {
    world: Arc<World>,
    fleet: Arc<Fleet>,
    /// Unique among the processes of a seed.
    process: u64,
    queues: Vec<QueueName>,
    labels: BTreeMap<String, String>,
    slots: u32,
    free: Arc<Semaphore>,
    /// Slots taken by a puller that waits for tickets: free all the same.
    waiting: AtomicU32,
    state: Mutex<State>,
    /// Rung when the process is to die.
    dying: Notify,
}

struct State {
    session: SessionId,
    believed_until: Instant,
    frozen_until: Instant,
    /// It was out of touch by its own fault at some time.
    froze: bool,
    held: BTreeMap<LeaseId, Held>,
}

/// A lease that the worker lists.
#[derive(Clone, Copy, Default)]
struct Held {
    /// Since when the worker knows that it was granted.
    granted_at: Option<Instant>,
    /// It was told to stop.
    stop: bool,
}

/// A place at which worker processes run, one after the other.
pub(crate) async fn keep_running(fleet: Arc<Fleet>, place: usize) {
    let mut life = 0;
    loop {
        let process = (place as u64) * 1_000 + life;
        life += 1;
        let worker = Worker::new(&fleet, place, process);
        let world = Arc::clone(&worker.world);
        world.note("worker_started process", None, [process, 0, 0, 0]);
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&worker).live());
        worker.dying.notified().await;
        tasks.shutdown().await;
        if world.draw(|dice| dice.chance(0.3)) {
            worker.say_good_bye().await;
        }
        world.ledger.lock().believe(process, None);
        world.note("worker_died process", None, [process, 0, 0, 0]);
        let ms = world.draw(|dice| dice.between(50, 3_000));
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

impl Worker {
    fn new(fleet: &Arc<Fleet>, place: usize, process: u64) -> Arc<Self> {
        let world = Arc::clone(&fleet.world);
        // The first place pulls every queue, so that none is without a worker.
        let pulls = |index: usize, world: &World| place == 0 || index == place % 2 || world.draw(|d| d.chance(0.3));
        let names = QUEUES.iter().enumerate().filter(|(index, _)| pulls(*index, &world));
        let home = (place == 0).then(queue_of_home);
        let names = names.map(|(_, name)| (*name).to_owned()).chain(home);
        let names: Vec<String> = names.collect();
        let labels = BTreeMap::from(
            if place == 0 { LABEL } else { OTHER_LABEL }.map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let names = queues_of_worker(&names, &labels).unwrap_or(names);
        let queues = names.iter().filter_map(|name| QueueName::new(name).ok()).collect();
        let slots = world.draw(|dice| dice.between(1, 3)) as u32;
        let now = Instant::now();
        let state = State {
            session: SessionId(Uuid::nil()),
            believed_until: now,
            frozen_until: now,
            froze: false,
            held: BTreeMap::new(),
        };
        Arc::new(Self {
            fleet: Arc::clone(fleet),
            process,
            queues,
            labels,
            slots,
            free: Arc::new(Semaphore::new(slots as usize)),
            waiting: AtomicU32::new(0),
            state: Mutex::new(state),
            dying: Notify::new(),
            world,
        })
    }

    /// The whole life: tasks end with it.
    async fn live(self: Arc<Self>) {
        self.open_session().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&self).beat());
        let mut pulls: Vec<Box<dyn TicketPull>> =
            self.queues.iter().map(|queue| self.world.queue.open(queue)).collect();
        let mut own = SessionId(Uuid::nil());
        loop {
            let session = self.state.lock().session;
            if std::mem::replace(&mut own, session) != session {
                self.pull_own(session, &mut pulls);
            }
            let Ok(permit) = Arc::clone(&self.free).acquire_owned().await else { return };
            self.thaw().await;
            let delivered = self.pull(&mut pulls).await;
            self.thaw().await;
            if let Some(delivered) = delivered {
                tasks.spawn(Arc::clone(&self).handle(delivered, permit));
            }
            while tasks.try_join_next().is_some() {}
        }
    }

    /// Steps may want this very session. What wanted one before goes elsewhere.
    fn pull_own(&self, session: SessionId, pulls: &mut Vec<Box<dyn TicketPull>>) {
        let plain = self.queues.iter().filter(|queue| !is_labelled(queue.as_str()));
        let own = plain.filter_map(|queue| QueueName::new(&queue_of_session(queue.as_str(), session)).ok());
        pulls.extend(own.map(|queue| self.world.queue.open(&queue)));
    }

    /// A worker that is wrong about what its ticket names: it claims a step that may be for others only.
    fn poach(&self) -> Option<(RunId, Seq, Attempt)> {
        if !self.world.strikes(self.world.knobs.worker.repeat * 0.3) {
            return None;
        }
        let tables = self.world.tables.lock();
        let placed = tables.steps.iter().filter(|(_, record)| {
            record.state == StepState::Ready && (record.wants.is_some() || !record.labels.is_empty())
        });
        let placed: Vec<_> = placed.map(|((run, seq), record)| (*run, *seq, record.attempt)).collect();
        drop(tables);
        (!placed.is_empty()).then(|| placed[self.world.draw(|dice| dice.index(placed.len()))])
    }

    /// Waits for a ticket of any queue; a slot is taken already.
    async fn pull(&self, pulls: &mut [Box<dyn TicketPull>]) -> Option<Delivered> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let turn = self.world.draw(|dice| dice.index(pulls.len()));
        pulls.rotate_left(turn);
        // Polled in this order, whatever woke it: the same seed is the same history.
        let mut waits: Vec<_> = pulls.iter_mut().map(|pull| pull.next_batch(NonZeroUsize::MIN)).collect();
        let batch = poll_fn(|cx| {
            let ready = waits.iter_mut().find_map(|wait| match wait.as_mut().poll(cx) {
                Poll::Ready(batch) => Some(batch),
                Poll::Pending => None,
            });
            ready.map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        drop(waits);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        batch.and_then(|mut batch| batch.pop())
    }

    async fn handle(self: Arc<Self>, delivered: Delivered, permit: OwnedSemaphorePermit) {
        let ticket = delivered.ticket;
        let lease = LeaseId(self.world.uuid());
        self.state.lock().held.insert(lease, Held::default());
        let named = (RunId(ticket.run), Seq(ticket.seq), Attempt(ticket.attempt));
        let (run, seq, attempt) = self.poach().unwrap_or(named);
        let granted = self.claim(run, seq, attempt, lease).await;
        delivered.ack.ack();
        match granted {
            Some(step) => self.work(*step).await,
            None => drop(self.state.lock().held.remove(&lease)),
        }
        drop(permit);
    }

    fn free_slots(&self) -> u32 {
        self.free.available_permits() as u32 + self.waiting.load(Ordering::Relaxed)
    }

    /// Nothing of a frozen process moves.
    async fn thaw(&self) {
        loop {
            let until = self.state.lock().frozen_until;
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    fn freeze(&self) {
        let ms = self.world.draw(|dice| dice.between(500, 14_000));
        self.world.note("worker_frozen process ms", None, [self.process, ms, 0, 0]);
        let mut state = self.state.lock();
        state.frozen_until = Instant::now() + Duration::from_millis(ms);
        state.froze = true;
    }

    /// The process is gone at its next step.
    async fn die(&self) {
        self.dying.notify_one();
        std::future::pending::<()>().await;
    }
}
