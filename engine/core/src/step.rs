//! Steps: what workflow code asks workers to do, and the closed set of ways in which an attempt may end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::id::Seq;
use crate::payload::Payload;
use crate::placement::preferred_queues;

/// The contract of a step: the value itself is the input. A worker registers a handler for it.
pub trait Step: Serialize + DeserializeOwned + Send + 'static {
    /// Stable name; a journal that recorded another one at the same place does not match.
    const NAME: &'static str;
    type Output: Serialize + DeserializeOwned + Send + 'static;

    fn policy() -> StepPolicy {
        StepPolicy::default()
    }

    /// The machine that the step is bound to, because what it works on lives there: only workers of that host pull it.
    /// Its schedule timeout (20 s unless the policy says otherwise) is how long the host may be without a worker: a host
    /// whose workers are busy is waited for.
    fn host(&self) -> Option<&str> {
        None
    }
}

/// All slots of a limit of the step were had when it came.
pub const LIMIT_FULL: &str = "limit_full";
/// A later step of its key has the slot of a limit in its place.
pub const LIMIT_REPLACED: &str = "limit_replaced";

/// How long a host may be without a worker before the steps that are bound to it are given up.
pub const HOST_GONE_AFTER: Duration = Duration::from_secs(20);

/// How long a step waits for the worker that it prefers, and how soon it is first asked whether the one that it demands lives.
pub const STICKY_PATIENCE: Duration = Duration::from_secs(2);

pub use crate::placement::{PreferredLabels, queue_of_host};

/// How a step is queued, bounded, retried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepPolicy {
    /// Queue that its workers pull.
    #[serde(skip_serializing_if = "is_default_queue")]
    pub queue: String,
    /// Attempts in all, at least 1. Lost workers use one up; handed-back attempts do not.
    #[serde(skip_serializing_if = "is_default_attempts")]
    pub max_attempts: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub backoff: Backoff,
    /// Longest time of one attempt, from its grant or from when its handler last asked for that time anew; the worker ends
    /// it, the engine takes it back some seconds later.
    #[serde(skip_serializing_if = "is_default_timeout")]
    pub execution_timeout_ms: u64,
    /// Longest time in which a handler says nothing: neither progress nor that it is alive. The worker then ends the
    /// attempt; `None`: as long as the attempt may take.
    #[serde(skip_serializing_if = "is_default")]
    pub heartbeat_timeout_ms: Option<u64>,
    /// Longest time that each attempt waits for a worker; `None`: for ever. Pausing the run does not stop it. For a step
    /// that is bound to a host: how long the host may be without a worker.
    #[serde(skip_serializing_if = "is_default")]
    pub schedule_timeout_ms: Option<u64>,
    /// The step has an outward effect that must not happen twice.
    #[serde(skip_serializing_if = "is_default")]
    pub effect_once: bool,
    /// Codes of errors after which no further attempt is made, whatever the worker says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub non_retryable: Vec<String>,
    /// What happens when attempts run out.
    #[serde(skip_serializing_if = "is_default")]
    pub on_exhausted: OnExhausted,
    /// Higher goes first within a queue.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: i16,
    /// Labels that a worker must have, all of them, to be given the step.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub required_labels: BTreeMap<String, String>,
    /// Of the workers that it may go to, those with the greatest sum of weights are given the step, if one of them has a free
    /// place just then; else any is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefer_labels: Vec<PreferredLabels>,
}

/// Where steps go that name no queue.
pub const DEFAULT_QUEUE: &str = "default";
const DEFAULT_ATTEMPTS: u32 = 3;
const DEFAULT_TIMEOUT_MS: u64 = 5 * 60 * 1000;

impl Default for StepPolicy {
    fn default() -> Self {
        Self {
            queue: DEFAULT_QUEUE.to_owned(),
            max_attempts: DEFAULT_ATTEMPTS,
            backoff: Backoff::default(),
            execution_timeout_ms: DEFAULT_TIMEOUT_MS,
            heartbeat_timeout_ms: None,
            schedule_timeout_ms: None,
            effect_once: false,
            non_retryable: Vec::new(),
            on_exhausted: OnExhausted::default(),
            priority: 0,
            required_labels: BTreeMap::new(),
            prefer_labels: Vec::new(),
        }
    }
}

impl StepPolicy {
    /// As [`StepPolicy::default`] is. Asked of every step, so without making one.
    pub(crate) fn is_default(&self) -> bool {
        let Self {
            queue,
            max_attempts,
            backoff,
            execution_timeout_ms,
            heartbeat_timeout_ms: None,
            schedule_timeout_ms: None,
            effect_once: false,
            non_retryable,
            on_exhausted,
            priority: 0,
            required_labels,
            prefer_labels,
        } = self
        else {
            return false;
        };
        *max_attempts == DEFAULT_ATTEMPTS
            && *execution_timeout_ms == DEFAULT_TIMEOUT_MS
            && non_retryable.is_empty()
            && required_labels.is_empty()
            && prefer_labels.is_empty()
            && is_default(on_exhausted)
            && is_default(backoff)
            && queue == DEFAULT_QUEUE
    }

    pub fn queue(queue: &str) -> Self {
        Self { queue: queue.to_owned(), ..Self::default() }
    }

    pub fn attempts(mut self, max_attempts: u32) -> Self {
        self.max_attempts = max_attempts.max(1);
        self
    }

    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.execution_timeout_ms = timeout.as_millis() as u64;
        self
    }

    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout_ms = Some(timeout.as_millis() as u64);
        self
    }

    pub fn schedule_timeout(mut self, timeout: Duration) -> Self {
        self.schedule_timeout_ms = Some(timeout.as_millis() as u64);
        self
    }

    pub fn effect_once(mut self) -> Self {
        self.effect_once = true;
        self
    }

    pub fn non_retryable(mut self, codes: &[&str]) -> Self {
        self.non_retryable = codes.iter().map(ToString::to_string).collect();
        self
    }

    pub fn park_when_exhausted(mut self) -> Self {
        self.on_exhausted = OnExhausted::Park;
        self
    }

    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Only workers that have this label are given the step; several are all required. Name and value are 1 to 32 of
    /// `a-z`, `0-9`, `-` and `_`, and a step requires at most four: code that asks for others parks its run, saying why.
    pub fn require_label(mut self, name: &str, value: &str) -> Self {
        self.required_labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Workers with this label go first, if one of them has a free place when the step becomes ready: it never waits for one. Of
    /// several preferences, weights of 1 to 100 of those that a worker fits are added up. At most four, and at most four
    /// names of labels with those that are required: code that asks for others parks its run, saying why.
    pub fn prefer_label(mut self, name: &str, value: &str, weight: i32) -> Self {
        self.prefer_labels.push(preferred(name, value, weight));
        self
    }

    /// The queues at which its preferred workers listen, the best first.
    pub fn preferred_queues(&self) -> Vec<String> {
        preferred_queues(&self.queue, &self.required_labels, &self.prefer_labels)
    }
}

fn preferred(name: &str, value: &str, weight: i32) -> PreferredLabels {
    PreferredLabels { labels: BTreeMap::from([(name.to_owned(), value.to_owned())]), weight }
}

/// What one call of a step asks for beside the step's own policy.
#[derive(Clone, Debug, Default)]
pub struct StepOptions {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) prefer_labels: Vec<PreferredLabels>,
    pub(crate) remembers: bool,
    pub(crate) sticky: Option<(StepPlace, bool)>,
}

/// Which call of a step of this run: what `Operation::place` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepPlace(pub(crate) Seq);

impl StepOptions {
    /// As [`StepPolicy::require_label`], for this call only.
    pub fn require_label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// As [`StepPolicy::prefer_label`], for this call only; beside those of the policy.
    pub fn prefer_label(mut self, name: &str, value: &str, weight: i32) -> Self {
        self.prefer_labels.push(preferred(name, value, weight));
        self
    }

    /// The run notes which worker ends the step, so that later steps may ask for that worker.
    pub fn remember_worker(mut self) -> Self {
        self.remembers = true;
        self
    }

    /// Only the worker process that ended `earlier` (called with [`Self::remember_worker`]) is given the step. However busy
    /// it is, it is waited for; once its session has ended, or if it has not the labels that the step requires, the step
    /// fails as `NotStarted` with the code `worker_gone`.
    pub fn sticky_to(mut self, earlier: StepPlace) -> Self {
        self.sticky = Some((earlier, true));
        self
    }

    /// The worker process that ended `earlier` goes first: the step waits two seconds for it, then any worker may take it.
    pub fn prefer_worker_of(mut self, earlier: StepPlace) -> Self {
        self.sticky = Some((earlier, false));
        self
    }
}

fn is_default_queue(queue: &str) -> bool {
    queue == DEFAULT_QUEUE
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde calls")]
fn is_default_attempts(attempts: &u32) -> bool {
    *attempts == DEFAULT_ATTEMPTS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde calls")]
fn is_default_timeout(timeout_ms: &u64) -> bool {
    *timeout_ms == DEFAULT_TIMEOUT_MS
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Delay before attempt n + 1: `initial * factor^(n-1)`, never above `max`, and shorter by a share of up to `jitter`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backoff {
    pub initial_ms: u64,
    pub factor: f64,
    pub max_ms: u64,
    /// 0 to 1: steps that failed together are not tried again together.
    #[serde(default, skip_serializing_if = "is_default")]
    pub jitter: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial_ms: 1_000, factor: 2.0, max_ms: 60_000, jitter: 0.0 }
    }
}

impl Backoff {
    /// Delay after attempt `failed` (1 for the first). `drawn` is any number, the same whenever this is asked again.
    pub fn delay(&self, failed: u32, drawn: u64) -> Duration {
        let exponent = i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX);
        let ms = (self.initial_ms as f64) * self.factor.max(1.0).powi(exponent);
        let ms = if ms.is_finite() { ms.min(self.max_ms as f64) } else { self.max_ms as f64 };
        let share = drawn as f64 / u64::MAX as f64;
        Duration::from_millis((ms * (1.0 - self.jitter.clamp(0.0, 1.0) * share)) as u64)
    }
}

/// What happens to the run when a step's attempts run out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// The workflow code gets the error.
    #[default]
    Fail,
    /// The step waits for an operator.
    Park,
}

/// Why something failed: a stable code for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    pub code: String,
    pub message: String,
    /// Evidence for the workflow code or the operator; may hold personal data and is sealed like any payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Payload>,
}

impl Failure {
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), details: None }
    }

    pub fn with_details<T: Serialize>(mut self, details: &T) -> Self {
        self.details = Payload::of(details).ok();
        self
    }
}

/// How an attempt ended, as its worker says it. `Lost` is said by the engine only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done {
        output: Payload,
    },
    /// Try again, after the policy's back-off or after `after_ms`.
    Retry {
        error: Failure,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_ms: Option<u64>,
    },
    /// Trying again will not help.
    Fail {
        error: Failure,
    },
    /// The site or a limit refuses us; the workflow code decides (escalate, ask a person).
    Blocked {
        reason: Failure,
    },
    /// The worker stopped because it was told to.
    Cancelled,
    /// The worker gives the step back untouched (it drains); uses no attempt.
    HandedBack,
    /// The worker vanished.
    Lost,
}

/// What the workflow code gets when a step did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum StepFailure {
    #[error("step failed: {0}")]
    Failed(Failure),
    #[error("step failed after its last attempt: {0}")]
    Exhausted(Failure),
    #[error("step blocked: {0}")]
    Blocked(Failure),
    /// The worker vanished after it began the step's effect: whether it happened is not known.
    #[error("the effect may or may not have happened: {0}")]
    InDoubt(Failure),
    /// No worker took the step within its schedule timeout, or its host or the worker that it sticks to is gone. Nothing of this attempt was done.
    #[error("no worker took the step in time: {0}")]
    NotStarted(Failure),
    #[error("the step's output does not have the expected shape: {0}")]
    BadOutput(Failure),
}

impl StepFailure {
    pub fn failure(&self) -> &Failure {
        match self {
            Self::Failed(f)
            | Self::Exhausted(f)
            | Self::Blocked(f)
            | Self::InDoubt(f)
            | Self::NotStarted(f)
            | Self::BadOutput(f) => f,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_by_its_factor_and_stops_at_its_cap() {
        let backoff = Backoff { initial_ms: 100, factor: 3.0, max_ms: 1_000, jitter: 0.0 };
        let delays: Vec<u128> = (1..=5).map(|n| backoff.delay(n, u64::MAX).as_millis()).collect();
        assert_eq!(delays, [100, 300, 900, 1_000, 1_000]);
        assert_eq!(backoff.delay(u32::MAX, 0).as_millis(), 1_000);
    }

    #[test]
    fn jitter_takes_off_a_share_and_never_adds() {
        let backoff = Backoff { initial_ms: 1_000, factor: 2.0, max_ms: 60_000, jitter: 0.5 };
        let delay = |drawn| backoff.delay(1, drawn).as_millis();
        assert_eq!((delay(0), delay(u64::MAX / 2), delay(u64::MAX)), (1_000, 750, 500));
        let wild = Backoff { jitter: 7.0, ..backoff };
        assert_eq!(wild.delay(1, u64::MAX).as_millis(), 0, "at most all of it");
    }

    #[test]
    fn a_default_policy_costs_no_bytes_in_the_journal() {
        assert_eq!(serde_json::to_string(&StepPolicy::default()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<StepPolicy>("{}").unwrap(), StepPolicy::default());
    }
}
