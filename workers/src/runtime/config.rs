//! How a worker is set up, and what is wrong with a set-up that cannot work.

use std::collections::BTreeMap;
use std::time::Duration;

use valet_core::placement::queues_of_worker;
use valet_queue::QueueName;

use super::bounds::{DRAIN_TIMEOUT, GRACE, QUEUES_MAX, REQUESTS_IN_FLIGHT, SLOTS_MAX};

/// Settings of one worker.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// For people; need not be unique.
    pub name: String,
    /// Queues it pulls, 1 to [`QUEUES_MAX`] with those that its labels make of them.
    pub queues: Vec<QueueName>,
    /// Steps at once over all queues, 1 to [`SLOTS_MAX`].
    pub slots: u32,
    /// What steps may require. Beside each queue it pulls one for every set of its labels.
    pub labels: BTreeMap<String, String>,
    /// How long running steps may go on once the worker drains.
    pub drain_timeout: Duration,
    /// How long a cancelled handler may go on before its future is dropped.
    pub grace: Duration,
    /// Whether a finish offers to take the run's next step along. Off: each step comes by its ticket; for measurements.
    pub hand_over: bool,
    /// Claim requests, and as many finish requests, in flight to each engine; at least 1.
    pub requests_in_flight: usize,
}

impl WorkerConfig {
    pub fn new(name: impl Into<String>, queues: Vec<QueueName>, slots: u32) -> Self {
        Self {
            name: name.into(),
            queues,
            slots,
            labels: BTreeMap::new(),
            drain_timeout: DRAIN_TIMEOUT,
            grace: GRACE,
            hand_over: true,
            requests_in_flight: REQUESTS_IN_FLIGHT,
        }
    }

    pub(super) fn check(&self, engines: usize) -> Result<(), ConfigError> {
        if !(1..=SLOTS_MAX).contains(&self.slots) {
            return Err(ConfigError::Slots { asked: self.slots });
        }
        if !(1..=QUEUES_MAX).contains(&self.queues.len()) {
            return Err(ConfigError::Queues { asked: self.queues.len() });
        }
        if engines == 0 {
            return Err(ConfigError::NoEngine);
        }
        self.all_queues().map(drop)
    }

    /// Its queues, and those of steps that require any of its labels.
    pub(super) fn all_queues(&self) -> Result<Vec<QueueName>, ConfigError> {
        let queues: Vec<String> = self.queues.iter().map(ToString::to_string).collect();
        let all = queues_of_worker(&queues, &self.labels).map_err(|many| ConfigError::Labels { many })?;
        // What core makes of queues' names are queues' names.
        Ok(all.iter().filter_map(|queue| QueueName::new(queue).ok()).collect())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("a worker has 1 to {SLOTS_MAX} slots, not {asked}; start more workers instead")]
    Slots { asked: u32 },
    #[error("a worker pulls 1 to {QUEUES_MAX} queues, not {asked}")]
    Queues { asked: usize },
    #[error(
        "these labels make {many} queues of the worker's, one for each set of them that a step may require; at most \
         {QUEUES_MAX}: give it fewer labels or fewer queues"
    )]
    Labels { many: usize },
    #[error("a worker needs the address of at least one engine")]
    NoEngine,
    #[error("`{address}` is not the address of an engine: {detail} (it looks like http://127.0.0.1:8080)")]
    Address { address: String, detail: String },
    #[error("the worker token cannot be sent in a header")]
    Token,
    #[error("the HTTP client cannot be set up: {detail}")]
    Client { detail: String },
}
