//! Where work comes in: free slots are taken, tickets fetched for them, and a task started for each.
//!
//! No ticket is asked for beyond the free slots. With several queues each is asked for its share of them; only while
//! there are fewer free slots than queues may a ticket that arrived at the same instant as another wait in its puller
//! for the next slot.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures::future::select_all;
use tokio::task::JoinSet;
use valet_core::id::SessionId;
use valet_core::placement::queue_of_session;
use valet_queue::{Delivered, QueueName, TicketPull, TicketSource};

use super::bounds::ABORT_LIMIT;
use super::chain;
use super::core::Core;
use super::session::Session;

pub(super) struct Intake {
    core: Arc<Core>,
    tickets: Arc<dyn TicketSource>,
    pullers: Vec<Puller>,
    /// Whose turn it is to be looked at first, so that a busy queue does not hide another.
    turn: usize,
    /// The slots at work. Dropped, they end.
    chains: JoinSet<()>,
}

struct Puller {
    queue: QueueName,
    pull: Box<dyn TicketPull>,
    /// Of this session alone.
    of: Option<SessionId>,
}

impl Intake {
    pub fn open(core: Arc<Core>, tickets: Arc<dyn TicketSource>) -> Self {
        let open = |queue: QueueName| Puller { pull: tickets.open(&queue), queue, of: None };
        // Checked before the worker was made.
        let queues = core.config.all_queues().unwrap_or_else(|_| core.config.queues.clone());
        let pullers = queues.into_iter().map(open).collect();
        Self { core, tickets, pullers, turn: 0, chains: JoinSet::new() }
    }

    /// Pulls the queues of steps that want this very session, and no more those of one before.
    async fn pull_own(&mut self, wanted: Option<SessionId>) {
        let is_old = |puller: &Puller| puller.of.is_some() && puller.of != wanted;
        for puller in self.pullers.extract_if(.., |puller| is_old(puller)).collect::<Vec<_>>() {
            let mut pull = puller.pull;
            pull.stop().await;
        }
        let Some(session) = wanted.filter(|_| self.pullers.iter().all(|puller| puller.of.is_none())) else { return };
        let names = self.core.config.queues.iter().map(|queue| queue_of_session(queue.as_str(), session));
        let names: BTreeSet<String> = names.collect();
        for name in names {
            match QueueName::new(&name) {
                Ok(queue) => {
                    let pull = self.tickets.open(&queue);
                    self.pullers.push(Puller { queue, pull, of: Some(session) });
                }
                Err(error) => tracing::error!(%error, "steps that want this worker cannot reach it"),
            }
        }
    }

    /// Takes work in for as long as it is polled.
    pub async fn fetch(&mut self) {
        let mut wanted = self.core.wanted.subscribe();
        loop {
            let of = *wanted.borrow_and_update();
            self.pull_own(of).await;
            // Only this loop takes slots, so that what is free now stays free until it has taken it.
            let free = match self.core.slots.acquire().await {
                Ok(_one) => self.core.slots.available_permits() + 1,
                // Slots are never closed.
                Err(_) => return,
            };
            self.core.until_paused(false).await;
            // After the slot: it may have become free because the session before ended.
            let session = self.core.running_session().await;
            let share = NonZeroUsize::new(free / self.pullers.len()).unwrap_or(NonZeroUsize::MIN);
            tokio::select! {
                biased;
                () = session.halted() => {}
                () = self.core.until_paused(true) => {}
                // The sender lives as long as `core`.
                _ = wanted.changed() => {}
                tickets = next_tickets(&mut self.pullers, self.turn, share) => {
                    self.turn = self.turn.wrapping_add(1);
                    self.start(&session, tickets);
                }
            }
        }
    }

    fn start(&mut self, session: &Arc<Session>, tickets: Vec<Delivered>) {
        while let Some(ended) = self.chains.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a slot's task ended badly");
            }
        }
        for delivered in tickets {
            let Ok(slot) = Arc::clone(&self.core.slots).try_acquire_owned() else {
                tracing::error!(ticket = ?delivered.ticket, "a ticket without a free slot is dropped");
                continue;
            };
            self.chains.spawn(chain::run(Arc::clone(&self.core), Arc::clone(session), delivered, slot));
        }
    }

    /// Fetches nothing more and gives back what was fetched and not begun.
    pub async fn stop(&mut self) {
        futures::future::join_all(self.pullers.iter_mut().map(|puller| puller.pull.stop())).await;
    }

    /// Ends the slots that are still at work. `false`: one of them cannot be ended, it blocks its thread.
    pub async fn abort(&mut self) -> bool {
        tokio::time::timeout(ABORT_LIMIT, self.chains.shutdown()).await.is_ok()
    }
}

async fn next_tickets(pullers: &mut [Puller], turn: usize, share: NonZeroUsize) -> Vec<Delivered> {
    let count = pullers.len();
    let mut asked: Vec<_> = pullers.iter_mut().map(|puller| puller.pull.next_batch(share)).collect();
    asked.rotate_left(turn % count);
    let (tickets, index, others) = select_all(asked).await;
    drop(others);
    if let Some(tickets) = tickets {
        return tickets;
    }
    // A puller ends only when it is told to. Asking it again at once would spin.
    tracing::error!(queue = %pullers[(index + turn) % count].queue, "the ticket queue was closed");
    std::future::pending().await
}
