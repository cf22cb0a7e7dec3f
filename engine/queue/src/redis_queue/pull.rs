//! A puller: an apalis worker that is started again, under a new name, whenever it dies.

use std::{error::Error, io, num::NonZeroUsize, panic::AssertUnwindSafe, sync::Arc};

use apalis::prelude::{Data, Event, EventListenerExt, TaskId, WorkerBuilder, WorkerError};
use async_trait::async_trait;
use backon::BackoffBuilder;
use futures::FutureExt;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    Inner,
    gate::Gate,
    intake::{Fetched, Intake},
    keys::QueueKeys,
    ledger::Ledger,
    link::Link,
    restart_delays,
    tidy::Tidy,
    watch::Watch,
    wire::{Meter, Wire},
};
use crate::{
    AckHandle, AckSink, Delivered, QueueError, QueueName, Ticket, TicketPull,
    bounds::{HEALTHY_AFTER, MAX_BATCH, RESTART_MAX, STOP_LIMIT},
};

/// What the parts of one puller share.
pub(super) struct Shared {
    pub queue: QueueName,
    pub keys: QueueKeys,
    pub link: Arc<Link>,
    pub intake: Arc<Intake>,
    pub ledger: Arc<Ledger>,
    pub watch: Arc<Watch>,
}

pub(super) struct Puller {
    shared: Arc<Shared>,
    stopping: watch::Sender<bool>,
    supervisor: Option<JoinHandle<()>>,
}

impl Puller {
    pub fn open(inner: &Inner, queue: &QueueName) -> Self {
        let shared = Arc::new(Shared {
            queue: queue.clone(),
            keys: inner.keys(queue),
            link: Arc::clone(&inner.pulls),
            intake: Arc::default(),
            ledger: Arc::new(Ledger::new(queue.clone())),
            watch: Arc::clone(&inner.watch),
        });
        shared.watch.add(&shared.keys, &shared.intake, &inner.client, &inner.pulls);
        let (stopping, stopped) = watch::channel(false);
        let supervisor = tokio::spawn(supervise(Arc::clone(&shared), stopped));
        Self { shared, stopping, supervisor: Some(supervisor) }
    }
}

#[async_trait]
impl TicketPull for Puller {
    async fn next_batch(&mut self, max: NonZeroUsize) -> Option<Vec<Delivered>> {
        let fetched = self.shared.intake.take(max.get().min(MAX_BATCH)).await?;
        metrics::counter!("valet_tickets_pulled_total", "queue" => self.shared.queue.family().to_owned())
            .increment(fetched.len() as u64);
        let sink: Arc<dyn AckSink> = Arc::<Ledger>::clone(&self.shared.ledger);
        let deliver = |Fetched { id, ticket }| Delivered { ticket, ack: AckHandle::new(id, Arc::clone(&sink)) };
        Some(fetched.into_iter().map(deliver).collect())
    }

    async fn stop(&mut self) {
        self.stopping.send_replace(true);
        if let Some(supervisor) = &mut self.supervisor {
            // It bounds its own work; the limit here is for a runtime that is shutting down.
            if timeout(STOP_LIMIT * 2, supervisor).await.is_ok() {
                self.supervisor = None;
            }
        }
    }
}

impl Drop for Puller {
    /// A puller that is dropped stops as well, in the background.
    fn drop(&mut self) {
        self.stopping.send_replace(true);
    }
}

/// Why an apalis worker could not start or ended early.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error("could not connect")]
    Connect(#[source] redis::RedisError),
    #[error("could not tidy up after the last worker")]
    Tidy(#[source] QueueError),
    #[error("the worker ended")]
    Worker(#[source] WorkerError),
    #[error("the worker panicked")]
    Panicked,
}

async fn supervise(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let tidy = Arc::new(Tidy::new(Arc::clone(&shared)));
    let chores = tokio::spawn({
        let tidy = Arc::clone(&tidy);
        async move { tidy.run().await }
    });
    let mut last: Option<Arc<str>> = None;
    let mut delays = restart_delays().build();
    let mut failures = 0;
    while !*stopped.borrow() {
        let started = Instant::now();
        let ended = tokio::select! {
            ended = run_worker(&shared, &tidy, &mut last, stopped.clone()) => ended,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        let Err(error) = ended else { break };
        metrics::counter!("valet_ticket_puller_restarts_total", "queue" => shared.queue.family().to_owned())
            .increment(1);
        // What the dead worker had brought in is as good as before.
        shared.intake.announce();
        if started.elapsed() > HEALTHY_AFTER {
            delays = restart_delays().build();
            failures = 0;
        }
        failures += 1;
        report(&shared.queue, &error, failures);
        tokio::select! {
            () = sleep(delays.next().unwrap_or(RESTART_MAX)) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    }
    close(&shared, &tidy, chores, last.as_deref()).await;
}

/// An outage is worth one warning, not one per attempt.
fn report(queue: &QueueName, error: &Interrupted, failures: u32) {
    let cause = error.source();
    if failures == 1 {
        tracing::warn!(%queue, %error, cause, "the ticket puller restarts");
    } else {
        tracing::debug!(%queue, %error, cause, failures, "the ticket puller restarts again");
    }
}

/// Runs one apalis worker under a new name until it is stopped (`Ok`) or dies.
async fn run_worker(
    shared: &Arc<Shared>,
    tidy: &Tidy,
    last: &mut Option<Arc<str>>,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), Interrupted> {
    if let Some(name) = last {
        tidy.after_worker(name).await.map_err(Interrupted::Tidy)?;
    }
    let lease = shared.link.lease().await.map_err(Interrupted::Connect)?;
    // A name is never used twice: apalis refuses one that it saw alive, and a late command of a dead worker must not
    // act for its successor.
    let name: Arc<str> = format!("{}-{:016x}", std::process::id(), rand::random::<u64>()).into();
    *last = Some(Arc::clone(&name));
    shared.ledger.enter_worker(Arc::clone(&name));
    shared.intake.promise();

    let meter = Arc::new(Meter::default());
    let wire = Wire::new(lease.connection, Arc::clone(&meter));
    let ledger = Arc::clone(&shared.ledger);
    let worker = WorkerBuilder::new(&*name)
        .backend(Gate::new(wire, meter, shared))
        .data(Arc::clone(shared))
        .on_event(move |_, event| {
            if matches!(event, Event::HeartBeat) {
                ledger.note_heartbeat();
            }
        })
        .build(take_in);
    let stop = async move {
        // An error means that the puller is gone, which is a stop too.
        let _ = stopped.wait_for(|stop| *stop).await;
        Ok::<(), io::Error>(())
    };
    let ended = match AssertUnwindSafe(worker.run_until(stop)).catch_unwind().await {
        Ok(ended) => ended.map_err(Interrupted::Worker),
        Err(_) => Err(Interrupted::Panicked),
    };
    if ended.is_err() {
        shared.link.discard(lease.generation).await;
    }
    ended
}

/// The apalis handler. It awaits nothing, so there is nothing in it to cancel when the worker dies.
async fn take_in(ticket: Ticket, id: TaskId, shared: Data<Arc<Shared>>) {
    if let Some(id) = id.as_int() {
        shared.ledger.hold(id);
        shared.intake.put(Fetched { id, ticket });
    }
}

/// Gives back what was not handed out and sends the acknowledgements that are left, within bounded time.
async fn close(shared: &Shared, tidy: &Arc<Tidy>, chores: JoinHandle<()>, last: Option<&str>) {
    let left = shared.intake.close();
    shared.ledger.release(&left);
    shared.ledger.close();
    let Some(name) = last else { return };
    let _ = timeout(STOP_LIMIT, async {
        shared.ledger.all_sent().await;
        tidy.after_worker(name).await
    })
    .await;
    if !chores.is_finished() {
        // Handed out and not settled yet: the name goes once the last handle did.
        let (tidy, name) = (Arc::clone(tidy), name.to_owned());
        tokio::spawn(async move {
            if chores.await.is_ok() {
                let _ = tidy.after_worker(&name).await;
            }
        });
    }
}
