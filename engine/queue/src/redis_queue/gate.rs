//! The apalis backend of a puller: an `apalis-redis` storage that fetches only on demand.
//!
//! A plain storage fetches a whole batch at every wake-up, wanted or not, and loses wake-ups. Behind this gate a fetch
//! starts only when a caller waits and tickets may be there, asks for no more than the caller takes, and no promise of
//! tickets is lost: it is taken before the fetch starts, so one that is made during the fetch leads to another.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::Task,
    worker::context::WorkerContext,
};
use apalis_redis::{Config, RedisStorage, RedisTask};
use tower::layer::util::Identity;

use super::{
    intake::Intake,
    ledger::Ledger,
    pull::Shared,
    watch::Watch,
    wire::{Meter, Wire},
};
use crate::{Ticket, bounds::MAX_HELD};

pub(super) struct Gate {
    /// `None` only while its configuration is being replaced.
    storage: Option<RedisStorage<Ticket, Wire>>,
    config: Config,
    meter: Arc<Meter>,
    intake: Arc<Intake>,
    ledger: Arc<Ledger>,
    watch: Arc<Watch>,
    phase: Phase,
}

/// Where the storage stands, as far as the gate must know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Fetching {
        asked: usize,
    },
    /// So many tickets of the last fetch are still inside the storage.
    Yielding {
        left: usize,
    },
}

impl Gate {
    pub fn new(wire: Wire, meter: Arc<Meter>, puller: &Shared) -> Self {
        let config = puller.keys.config.clone();
        // The last worker may have died in the middle of one.
        puller.intake.end_fetch();
        Self {
            storage: Some(RedisStorage::new(wire).with_config(config.clone())),
            config,
            meter,
            intake: Arc::clone(&puller.intake),
            ledger: Arc::clone(&puller.ledger),
            watch: Arc::clone(&puller.watch),
            phase: Phase::Idle,
        }
    }

    fn storage(&mut self) -> &mut RedisStorage<Ticket, Wire> {
        self.storage.as_mut().expect("the storage is put back where it was taken")
    }

    /// Sets the size of the next fetch. apalis offers no other way than to pass the storage through.
    fn limit_fetch(&mut self, wanted: usize) {
        if self.config.batch_size != wanted
            && let Some(storage) = self.storage.take()
        {
            self.config.batch_size = wanted;
            self.storage = Some(storage.with_config(self.config.clone()));
        }
    }

    fn wanted(&self) -> usize {
        self.intake.wanted().min(MAX_HELD.saturating_sub(self.ledger.len()))
    }

    /// Starts a fetch if one is wanted and may find something; else the door's bell is armed.
    fn begin_fetch(&mut self, cx: &Context<'_>) -> bool {
        self.intake.announce();
        self.intake.watch_door(cx.waker());
        let wanted = self.wanted();
        if wanted == 0 || !self.intake.begin_fetch() {
            return false;
        }
        self.limit_fetch(wanted);
        self.phase = Phase::Fetching { asked: wanted };
        true
    }

    /// Notes how many tickets a fetch brought. A full batch means there may be more; a short one emptied the queue.
    fn fetch_ended(&mut self) {
        let Phase::Fetching { asked } = self.phase else { return };
        self.intake.end_fetch();
        let brought = self.meter.take_fetched();
        if brought >= asked {
            self.intake.promise();
        }
        self.phase = if brought == 0 {
            Phase::Idle
        } else {
            self.watch.worked();
            Phase::Yielding { left: brought }
        };
    }

    /// Decodes a ticket that the storage yielded. What is none is removed from the queue: nothing else would.
    fn pass_on(&mut self, task: RedisTask) -> Option<Task<Ticket>> {
        self.fetch_ended();
        if let Phase::Yielding { left } = self.phase {
            self.phase = if left > 1 { Phase::Yielding { left: left - 1 } } else { Phase::Idle };
        }
        let id = task.task_id().cloned()?;
        match Ticket::from_wire(&task.args) {
            Some(ticket) if id.as_int().is_some() => Some(task.map_args(|_| ticket)),
            _ => {
                tracing::warn!(ticket = %id, "removing an entry that is not a ticket");
                self.ledger.refuse(&id.to_string());
                None
            }
        }
    }
}

impl Backend for Gate {
    type Task = Task<Ticket>;
    type Error = apalis_redis::Error;

    fn poll_ready(&mut self, cx: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        if self.phase == Phase::Idle {
            // apalis ran the handlers of all yielded tickets before it asks again: the batch is complete.
            self.intake.announce();
        }
        self.storage().poll_ready(cx, worker)
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Self::Error>>> {
        loop {
            if self.phase == Phase::Idle && !self.begin_fetch(cx) {
                return Poll::Pending;
            }
            match self.storage().poll_next(cx, worker) {
                Poll::Ready(Some(Ok(task))) => {
                    if let Some(task) = self.pass_on(task) {
                        return Poll::Ready(Some(Ok(task)));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending if self.meter.is_busy() => return Poll::Pending,
                // Nothing is on its way and nothing came out: the fetch found the queue empty.
                Poll::Pending => self.fetch_ended(),
            }
        }
    }

    /// The storage is simply dropped: the puller tidies up after it, and the storage's own way forgets the wrong name.
    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for Gate {
    type Args = Ticket;
    type Id = u64;
    /// Tickets are decoded here already.
    type Kind = Ephemeral;
    type Config = Config;
    /// No layer of apalis' own: its acknowledgement kills the worker when a ticket was swept meanwhile.
    type Layer = Identity;

    fn config(&self) -> &Config {
        &self.config
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
