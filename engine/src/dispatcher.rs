//! Tickets: pushed right after a commit while a queue has no backlog, else topped up from the backlog in Postgres, so
//! that Redis holds only a window of what workers can take soon.
//!
//! A step that prefers some workers has its ticket sent to where those listen, if one of them has a place (`preferences.rs`).
//!
//! A ticket is never made anew by age alone: only when Redis lost its data, when a push could not be confirmed, or when
//! workers of its queue report free slots although it is old.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use valet_core::command::Command;
use valet_core::id::RunId;
use valet_core::limits::LimitKey;
use valet_crash_points::crash_point;
use valet_queue::{Epoch, QueueName, Ticket, TicketPush};

use crate::bounds::{ADMITTED_AGAIN_MAX, KEYS_PER_ADMISSION_MAX, TICKET_LOST_AFTER, WINDOW_BASE, WINDOW_MAX};
use crate::preferences::Preferences;
use crate::routes::{Freed, Routes};
use crate::store::{DueTicket, OverWhy, QueueWorkers, RunOver, StepOver, Store};

/// How often a backlogged queue is looked at.
const TOP_UP_EVERY: Duration = Duration::from_millis(10);
/// How often once none of them had room for [`STILL_AFTER`] looks: their workers are busy with long work, or pull no
/// tickets at all. The window holds enough for a moment.
const TOP_UP_STILL: Duration = Duration::from_millis(250);
const STILL_AFTER: u32 = 100;
/// Batches of tickets taken by one push.
const PUSHES_JOINED_MAX: usize = 64;

/// Keys of limits are asked for again so long after that failed.
const ADMIT_AGAIN: Duration = Duration::from_millis(200);

/// What the dispatcher knows of queues and of Redis.
pub struct Dispatcher<S: ?Sized> {
    store: Arc<S>,
    queue: Arc<dyn TicketPush>,
    routes: Arc<Routes>,
    state: Mutex<State>,
    preferences: Preferences,
}

#[derive(Default)]
struct State {
    workers: HashMap<String, QueueWorkers>,
    backlogged: BTreeSet<String>,
    epoch: Option<Epoch>,
    /// A push failed since the last look: what Redis holds is not known.
    in_doubt: bool,
    /// Of the looks that take turns while nothing is going on.
    turn: u32,
}

impl<S: Store + ?Sized> Dispatcher<S> {
    pub fn new(store: Arc<S>, queue: Arc<dyn TicketPush>, routes: Arc<Routes>) -> Self {
        Self { store, queue, routes, state: Mutex::default(), preferences: Preferences::default() }
    }

    /// Pushes what commits made ready, until the channel closes.
    pub async fn run_pushes(&self, mut tickets: mpsc::UnboundedReceiver<Vec<DueTicket>>) {
        let mut waiting = Vec::with_capacity(PUSHES_JOINED_MAX);
        loop {
            tokio::select! {
                biased;
                count = tickets.recv_many(&mut waiting, PUSHES_JOINED_MAX) => {
                    if count == 0 {
                        return;
                    }
                    self.push(waiting.drain(..).flatten().collect()).await;
                }
                () = self.preferences.due() => {}
            }
            // After each push too: a flood must not hold it up.
            self.pass_on().await;
        }
    }

    /// What a preferred worker left goes to all.
    async fn pass_on(&self) {
        let overdue = self.preferences.overdue();
        if overdue.is_empty() {
            return;
        }
        match self.store.left_tickets(&overdue).await {
            Ok(left) if left.is_empty() => {}
            Ok(left) => {
                metrics::counter!("valet_tickets_passed_on_total").increment(left.len() as u64);
                self.push(left).await;
            }
            // They are found as lost ones are.
            Err(error) => tracing::warn!(%error, "tickets of preferred workers could not be looked for"),
        }
    }

    /// Tickets of steps that prefer some workers go where those listen, if one has a place.
    async fn prefer(&self, tickets: &mut [DueTicket]) {
        if tickets.iter().all(|ticket| ticket.prefers.is_empty()) {
            return;
        }
        if let Some(ask) = self.preferences.unknown(tickets) {
            let queues: Vec<String> = ask.iter().cloned().collect();
            match self.store.free_places(&queues).await {
                Ok(found) => self.preferences.learn(ask, found),
                Err(error) => {
                    tracing::warn!(%error, "who has a free place is not known; steps go to any worker");
                    self.preferences.learn(ask, Vec::new());
                }
            }
        }
        self.preferences.place(tickets);
    }

    /// Gives out what limits have free, until the channel closes. What queues up while one statement runs is the next.
    pub async fn run_admissions(&self, mut freed: mpsc::UnboundedReceiver<Freed>) {
        let mut waiting = Vec::with_capacity(PUSHES_JOINED_MAX);
        // Keys that may have more at an instant; those beyond the bound are found by the tick.
        let mut later: BTreeMap<LimitKey, Instant> = BTreeMap::new();
        loop {
            let next = later.values().min().copied();
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                count = freed.recv_many(&mut waiting, PUSHES_JOINED_MAX) => {
                    if count == 0 {
                        return;
                    }
                }
                () = due => {}
            }
            let (mut keys, mut ended) = (BTreeSet::<LimitKey>::new(), Vec::new());
            for one in waiting.drain(..) {
                match one {
                    Freed::Keys(some) => keys.extend(some),
                    Freed::Ended(runs) => ended.extend(runs),
                }
            }
            keys.extend(self.keys_of_life(&ended).await);
            let now = Instant::now();
            keys.extend(later.extract_if(.., |_, at| *at <= now).map(|(key, _)| key));
            let keys: Vec<LimitKey> = keys.into_iter().collect();
            for some in keys.chunks(KEYS_PER_ADMISSION_MAX) {
                let again = self.admit(some).await.into_iter();
                for (key, after) in again.take(ADMITTED_AGAIN_MAX.saturating_sub(later.len())) {
                    later.insert(key, Instant::now() + after);
                }
            }
        }
    }

    async fn keys_of_life(&self, ended: &[RunId]) -> Vec<LimitKey> {
        if ended.is_empty() {
            return Vec::new();
        }
        self.store.keys_of_life(ended).await.unwrap_or_else(|error| {
            tracing::warn!(%error, runs = ended.len(), "what ended runs had of limits waits for the tick");
            Vec::new()
        })
    }

    /// Answers what is to be asked for again.
    async fn admit(&self, keys: &[LimitKey]) -> Vec<(LimitKey, Duration)> {
        match self.store.admit(keys, &self.routes.backlogged()).await {
            Ok(admitted) => {
                if !admitted.tickets.is_empty() {
                    self.routes.step_became_ready();
                }
                for ticket in &admitted.tickets {
                    self.routes.admitted(ticket.run, ticket.seq);
                }
                self.push(admitted.tickets).await;
                if admitted.backlog {
                    self.routes.look_for_backlog();
                }
                self.cancel(admitted.over);
                self.fail(admitted.steps_over);
                admitted.again
            }
            Err(error) => {
                tracing::warn!(%error, keys = keys.len(), "limits could not be asked for what they have free");
                keys.iter().map(|key| (key.clone(), ADMIT_AGAIN)).collect()
            }
        }
    }

    /// With every tick, while there are limits: what was freed and not given out, because nobody was left to ask.
    pub async fn look_for_waiting(&self) {
        match self.store.waiting_keys().await {
            Ok(keys) => self.routes.admit(keys),
            Err(error) => tracing::warn!(%error, "steps that wait for limits could not be looked for"),
        }
        match self.store.expired_waits().await {
            Ok(expired) => self.cancel(expired),
            Err(error) => tracing::warn!(%error, "runs that wait for too long could not be looked for"),
        }
    }

    /// Nobody waits for it: what is lost on its way is found by the next look.
    fn cancel(&self, over: Vec<RunOver>) {
        for RunOver { run, limit, why } in over {
            metrics::counter!("valet_limits_cancelled_total", "why" => why.as_str()).increment(1);
            let (by, reason) = (format!("limit/{limit}"), why.reason().to_owned());
            self.routes.send(
                run,
                match why {
                    OverWhy::InProgress => Command::Cancel { by, reason },
                    OverWhy::Full | OverWhy::Replaced | OverWhy::Expired => Command::Dismiss { by, reason },
                },
            );
        }
    }

    /// Likewise.
    fn fail(&self, over: Vec<StepOver>) {
        for StepOver { run, seq, attempt, limit, replaced } in over {
            let why = if replaced { "step_replaced" } else { "step_full" };
            metrics::counter!("valet_limits_cancelled_total", "why" => why).increment(1);
            self.routes.send(run, Command::OverStep { seq, attempt, limit, replaced });
        }
    }

    /// Tops up backlogged queues; sleeps while there are none.
    pub async fn run_top_ups(&self) {
        let mut still: u32 = 0;
        loop {
            let queues: Vec<String> = self.state.lock().await.backlogged.iter().cloned().collect();
            if queues.is_empty() {
                self.routes.backlog_noticed().await;
                self.find_backlog().await;
                continue;
            }
            let mut moved = false;
            for queue in queues {
                moved |= self.top_up(&queue).await;
            }
            still = if moved { 0 } else { still.saturating_add(1) };
            tokio::time::sleep(if still < STILL_AFTER { TOP_UP_EVERY } else { TOP_UP_STILL }).await;
        }
    }

    /// With every tick: who works, what waits without a ticket, whether Redis lost its data. While nothing is going on each look
    /// at the database comes with every third tick: an idle engine asks little.
    pub async fn tick(&self, queues: Vec<QueueWorkers>, is_quiet: bool) {
        let (idle, turn): (Vec<String>, u32) = {
            let mut state = self.state.lock().await;
            state.workers = queues.into_iter().map(|q| (q.queue.clone(), q)).collect();
            state.turn = (state.turn + 1) % 3;
            let idle = state.workers.values().filter(|q| q.free_slots > 0).map(|q| q.queue.clone()).collect();
            (idle, state.turn)
        };
        if !is_quiet || turn == 0 {
            self.find_backlog().await;
        }
        let lost = self.redis_lost_tickets().await;
        if is_quiet && turn != 1 && !lost {
            return;
        }
        let older_than = if lost { Duration::ZERO } else { TICKET_LOST_AFTER };
        let queues = if lost { self.known_queues().await } else { idle };
        if !queues.is_empty() {
            self.make_anew(&queues, older_than).await;
        }
    }

    async fn known_queues(&self) -> Vec<String> {
        self.state.lock().await.workers.keys().cloned().collect()
    }

    /// True once after Redis came back without what we pushed.
    async fn redis_lost_tickets(&self) -> bool {
        let epoch = match self.queue.epoch().await {
            Ok(epoch) => epoch,
            Err(error) => {
                tracing::warn!(%error, "redis cannot be reached; tickets wait in the database");
                self.state.lock().await.in_doubt = true;
                return false;
            }
        };
        let mut state = self.state.lock().await;
        let changed = state.epoch.as_ref().is_some_and(|known| *known != epoch);
        let lost = changed || state.in_doubt;
        state.epoch = Some(epoch);
        state.in_doubt = false;
        if lost {
            tracing::warn!(changed, "tickets may be lost; they are pushed again");
            metrics::counter!("valet_tickets_epoch_changes_total").increment(1);
        }
        lost
    }

    async fn make_anew(&self, queues: &[String], older_than: Duration) {
        match self.store.lost_tickets(queues, older_than).await {
            Ok(tickets) if tickets.is_empty() => {}
            Ok(tickets) => {
                metrics::counter!("valet_tickets_made_anew_total").increment(tickets.len() as u64);
                self.push(tickets).await;
            }
            Err(error) => tracing::warn!(%error, "lost tickets could not be looked for"),
        }
    }

    async fn find_backlog(&self) {
        match self.store.backlogged_queues().await {
            Ok(queues) => {
                let mut state = self.state.lock().await;
                state.backlogged.extend(queues);
                self.publish(&state);
                if !state.backlogged.is_empty() {
                    self.routes.look_for_backlog();
                }
            }
            Err(error) => tracing::warn!(%error, "the backlog could not be looked at"),
        }
    }

    fn publish(&self, state: &State) {
        self.routes.set_backlogged(state.backlogged.iter().cloned().collect::<HashSet<_>>());
    }

    /// Tickets that Redis may hold for a queue. Free slots alone would starve short steps at saturation, where reports
    /// are a second old and say zero: a round of all slots is allowed besides (see engine/README.md).
    fn window(workers: Option<&QueueWorkers>) -> u32 {
        let room = workers.map_or(0, |w| w.free_slots.saturating_mul(2).max(w.slots));
        room.saturating_add(WINDOW_BASE).min(WINDOW_MAX)
    }

    /// False: its window has no room.
    async fn top_up(&self, queue: &str) -> bool {
        let Ok(name) = QueueName::new(queue) else {
            tracing::error!(queue, "a step names a queue that cannot be");
            self.state.lock().await.backlogged.remove(queue);
            return true;
        };
        let Ok(depths) = self.queue.depths(std::slice::from_ref(&name)).await else {
            self.state.lock().await.in_doubt = true;
            return false;
        };
        let depth = depths.first().map_or(0, |d| d.waiting.min(u64::from(u32::MAX)) as u32);
        let window = Self::window(self.state.lock().await.workers.get(queue));
        let room = window.saturating_sub(depth);
        if room < window.div_ceil(4) {
            return false;
        }
        match self.store.top_up(queue, room).await {
            Ok(tickets) => {
                let drained = (tickets.len() as u32) < room;
                self.push(tickets).await;
                if drained {
                    let mut state = self.state.lock().await;
                    state.backlogged.remove(queue);
                    self.publish(&state);
                }
            }
            Err(error) => tracing::warn!(%error, queue, "the backlog could not be topped up"),
        }
        true
    }

    async fn push(&self, mut tickets: Vec<DueTicket>) {
        self.prefer(&mut tickets).await;
        let mut by_queue: BTreeMap<QueueName, Vec<Ticket>> = BTreeMap::new();
        for ticket in tickets {
            match QueueName::new(&ticket.queue) {
                Ok(name) => by_queue.entry(name).or_default().push(Ticket {
                    run: ticket.run.0,
                    seq: ticket.seq.0,
                    attempt: ticket.attempt.0,
                }),
                Err(error) => tracing::error!(%error, run = %ticket.run, "a step names a queue that cannot be"),
            }
        }
        if by_queue.is_empty() {
            return;
        }
        let batch: Vec<(QueueName, Vec<Ticket>)> = by_queue.into_iter().collect();
        crash_point!(EngineTicketBefore);
        match self.queue.push(&batch).await {
            Ok(depths) => {
                crash_point!(EngineTicketAfter);
                let mut state = self.state.lock().await;
                let before = state.backlogged.len();
                for depth in depths {
                    let queue = depth.queue.as_str();
                    if depth.waiting > u64::from(Self::window(state.workers.get(queue))) {
                        state.backlogged.insert(queue.to_owned());
                    }
                }
                if state.backlogged.len() != before {
                    self.publish(&state);
                    self.routes.look_for_backlog();
                }
            }
            Err(error) => {
                let known = std::mem::replace(&mut self.state.lock().await.in_doubt, true);
                // Said once for each tick, not for each push.
                if known {
                    tracing::debug!(%error, "tickets could not be pushed");
                } else {
                    tracing::warn!(%error, "tickets could not be pushed; the tick pushes them again");
                }
            }
        }
    }
}
