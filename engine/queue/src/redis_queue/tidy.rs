//! Leaving nothing behind: acknowledgements, and the traces of apalis workers that ended.

use std::sync::Arc;

use backon::BackoffBuilder;
use redis::Script;

use super::{ledger::Finished, link::Request, pull::Shared, restart_delays};
use crate::{
    QueueError,
    bounds::{MAX_ACK_BATCH, METADATA_SECONDS, RESTART_MAX},
};

/// Attempts to send what is left after a puller stopped; then the process may end and peers sweep up after it.
const LAST_ATTEMPTS: u32 = 10;

pub(super) struct Tidy {
    shared: Arc<Shared>,
    ack: Script,
    give_back: Script,
    deregister: Script,
}

impl Tidy {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            ack: Script::new(include_str!("scripts/ack.lua")),
            give_back: Script::new(include_str!("scripts/give_back.lua")),
            deregister: Script::new(include_str!("scripts/deregister.lua")),
        }
    }

    /// Does the ledger's chores until its puller stopped and nothing is held any more.
    pub async fn run(&self) {
        let mut delays = restart_delays().build();
        let mut failures = 0;
        loop {
            let chores = self.shared.ledger.chores(MAX_ACK_BATCH).await;
            if chores.over {
                return;
            }
            let outcome = async {
                if let Some(worker) = &chores.beat {
                    self.keep_metadata(worker).await?;
                }
                self.remove(&chores.finished).await
            };
            match outcome.await {
                Ok(()) => {
                    self.shared.ledger.sent(chores.finished.len());
                    // The puller may have held as much as it may.
                    self.shared.intake.nudge();
                    delays = restart_delays().build();
                    failures = 0;
                }
                Err(error) => {
                    failures += 1;
                    if self.shared.ledger.is_closing() && failures >= LAST_ATTEMPTS {
                        tracing::warn!(%error, queue = %self.shared.queue, "giving up on the last acknowledgements");
                        return;
                    }
                    tokio::time::sleep(delays.next().unwrap_or(RESTART_MAX)).await;
                }
            }
        }
    }

    /// apalis writes a hash per worker name and never deletes it, so ours expire.
    async fn keep_metadata(&self, worker: &str) -> Result<(), QueueError> {
        let mut expire = redis::cmd("EXPIRE");
        expire.arg(self.shared.keys.metadata_of(worker)).arg(METADATA_SECONDS);
        self.shared.link.call(Request::Command(&expire)).await
    }

    async fn remove(&self, finished: &[Finished]) -> Result<(), QueueError> {
        for group in finished.chunk_by(|one, next| one.worker == next.worker) {
            let Some(first) = group.first() else { continue };
            let mut script = self.ack.prepare_invoke();
            script
                .key(self.shared.keys.held_by(&first.worker))
                .key(&self.shared.keys.data)
                .arg(&self.shared.keys.meta_prefix);
            for one in group {
                script.arg(&one.id);
            }
            let gone: u64 = self.shared.link.call(Request::Script(&script)).await?;
            metrics::counter!("valet_tickets_acked_total", "queue" => self.shared.queue.family().to_owned())
                .increment(gone);
        }
        Ok(())
    }

    /// Returns to the queue what an ended apalis worker fetched and this process does not answer for, and forgets its
    /// name unless it still holds tickets.
    pub async fn after_worker(&self, worker: &str) -> Result<(), QueueError> {
        let held_by = self.shared.keys.held_by(worker);
        let mut members = redis::cmd("SMEMBERS");
        members.arg(&held_by);
        let mut stray: Vec<String> = self.shared.link.call(Request::Command(&members)).await?;
        let ours = self.shared.ledger.ids();
        stray.retain(|id| !ours.contains(id));
        for ids in stray.chunks(MAX_ACK_BATCH) {
            let mut script = self.give_back.prepare_invoke();
            script
                .key(&held_by)
                .key(&self.shared.keys.active)
                .key(&self.shared.keys.data)
                .arg(&self.shared.keys.meta_prefix)
                .arg(&self.shared.keys.wake_channel)
                .arg(ids);
            let back: u64 = self.shared.link.call(Request::Script(&script)).await?;
            metrics::counter!("valet_tickets_given_back_total", "queue" => self.shared.queue.family().to_owned())
                .increment(back);
        }
        let mut script = self.deregister.prepare_invoke();
        script.key(&self.shared.keys.workers).key(&held_by).key(self.shared.keys.metadata_of(worker)).arg(worker);
        self.shared.link.call(Request::Script(&script)).await
    }
}
