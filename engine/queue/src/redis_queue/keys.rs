//! The names of keys and channels in Redis. Those of a queue follow the layout of apalis-redis, which its own scripts
//! read and write; they are taken from its `Config` wherever it offers them.

use std::time::Duration;

use apalis_core::worker::context::WorkerContext;
use apalis_redis::Config;

use crate::{QueueName, bounds};

/// `<prefix>:epoch`: our own key of the epoch.
pub(super) fn epoch_key(prefix: &str) -> String {
    format!("{prefix}:epoch")
}

/// The keys of one queue.
#[derive(Clone)]
pub(super) struct QueueKeys {
    pub config: Config,
    pub active: String,
    pub data: String,
    /// Followed by a ticket's id.
    pub meta_prefix: String,
    pub workers: String,
    pub wake_channel: String,
}

impl QueueKeys {
    pub fn new(prefix: &str, queue: &QueueName, heartbeat: Duration, missed: u32) -> Self {
        let config = Config::default()
            .queue(format!("{prefix}:queue:{queue}"))
            .batch_size(bounds::MAX_BATCH)
            .heartbeat_interval(heartbeat)
            .missed_heartbeats(missed as usize)
            // Measured: with locks, 3,000 tickets/s and a saturated Redis; events are published to nobody.
            .lock_tasks(false)
            .emit_events(false)
            // Tickets are acknowledged by our own script: apalis keeps data, meta and `done` for ever.
            .persist_results(false);
        Self {
            active: config.active_jobs_list(),
            data: config.job_data_hash(),
            meta_prefix: format!("{}:", config.job_meta_hash()),
            workers: config.workers_set(),
            wake_channel: format!("{prefix}:wake:{queue}"),
            config,
        }
    }

    /// The set of tickets that a worker fetched and that were not acknowledged.
    pub fn held_by(&self, worker: &str) -> String {
        self.config.inflight_set_for(&WorkerContext::new(worker))
    }

    pub fn metadata_of(&self, worker: &str) -> String {
        self.config.worker_metadata_key(&WorkerContext::new(worker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_one_apalis_uses() {
        let queue = QueueName::new("steps").unwrap();
        let keys = QueueKeys::new("valet", &queue, Duration::from_secs(10), 6);
        assert_eq!(keys.active, "valet:queue:steps:active");
        assert_eq!(keys.data, "valet:queue:steps:data");
        assert_eq!(keys.meta_prefix, "valet:queue:steps:meta:");
        assert_eq!(keys.held_by("w"), "valet:queue:steps:inflight:w");
        assert_eq!(keys.metadata_of("w"), "valet:queue:steps:workers:metadata:w");
        assert_eq!(keys.config.orphaned_duration(), Duration::from_mins(1));
    }
}
