//! How rough one seed is. Every kind of fault is off in some seeds, so that each is also met alone.

use std::time::Duration;

use valet_engine::bounds::CACHE_BYTES_MAX;

use crate::dice::Dice;
use crate::program::NEWEST_BUILD;

/// Probabilities and schedules of one seed.
#[derive(Clone, Debug)]
pub(crate) struct Knobs {
    pub engines: usize,
    /// The builds that the engines start with.
    pub builds: [i64; 2],
    /// An engine's clock against the database's.
    pub skew_ms: [i64; 2],
    pub workers: usize,
    pub roots: usize,
    /// When faults stop.
    pub calm_at: Duration,
    pub store: StoreKnobs,
    pub queue: QueueKnobs,
    pub wire: WireKnobs,
    pub worker: WorkerKnobs,
    /// Instants at which an engine is killed.
    pub kills: Vec<Duration>,
    /// Outages of the whole store: from, to.
    pub outages: Vec<(Duration, Duration)>,
    /// The queue loses everything.
    pub flushes: Vec<Duration>,
    /// The queue cannot be reached: from, to.
    pub queue_away: Vec<(Duration, Duration)>,
    /// Weight of cached runs of one executor: small ones evict all the time.
    pub cache_bytes: usize,
    /// Cancels, pauses.
    pub operators: bool,
    /// Workflows, queues, workers, tenants, everything is paused.
    pub scope_pauses: bool,
    /// Runs are forked.
    pub forks: bool,
    /// Runs and steps are limited.
    pub limits: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct StoreKnobs {
    pub fail_before: f64,
    pub fail_after: f64,
    /// An error that is not known to be transient.
    pub fail_oddly: f64,
    pub slow: f64,
    pub latency_ms_max: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct QueueKnobs {
    pub lose: f64,
    pub double: f64,
    pub overtake: f64,
    pub delay: f64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct WireKnobs {
    pub lose_request: f64,
    pub lose_answer: f64,
    pub delay: f64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerKnobs {
    pub freeze: f64,
    pub die: f64,
    pub forget: f64,
    pub hand_back: f64,
    pub repeat: f64,
    pub hand_over: f64,
}

/// Half of the time off, else up to `most`.
fn sometimes(dice: &mut Dice, most: f64) -> f64 {
    if dice.chance(0.5) { most * (dice.between(1, 10) as f64) / 10.0 } else { 0.0 }
}

impl Knobs {
    /// Nothing but the store's own faults and one engine's death keeps a worker's heartbeats from being heard.
    pub fn reach_workers(&self) -> bool {
        self.wire.lose_request <= 0.0 && self.wire.lose_answer <= 0.0 && self.restarts() <= 1
    }

    /// Engines that die, by an older build perhaps, and engines that are replaced by the newest.
    fn restarts(&self) -> usize {
        2 * self.kills.len() + self.builds[..self.engines].iter().filter(|build| **build < NEWEST_BUILD).count()
    }

    pub fn draw(dice: &mut Dice) -> Self {
        let calm_ms = dice.between(2_000, 9_000);
        let instants = |dice: &mut Dice, most: u64| -> Vec<Duration> {
            let count = if dice.chance(0.5) { dice.between(0, most) } else { 0 };
            let mut all: Vec<Duration> = (0..count).map(|_| Duration::from_millis(dice.between(50, calm_ms))).collect();
            all.sort_unstable();
            all
        };
        let spans = |dice: &mut Dice, shortest_ms: u64, longest_ms: u64| -> Vec<(Duration, Duration)> {
            let from = instants(dice, 2);
            from.into_iter().map(|at| (at, at + Duration::from_millis(dice.between(shortest_ms, longest_ms)))).collect()
        };
        let skew_ms = dice.pick(&[0, 50, 300, 1_500]);
        Self {
            engines: if dice.chance(0.6) { 2 } else { 1 },
            builds: [0, 1].map(|_| if dice.chance(0.3) { NEWEST_BUILD - 1 } else { NEWEST_BUILD }),
            skew_ms: [0, 1].map(|_| dice.between(0, 2 * skew_ms) as i64 - skew_ms as i64),
            workers: dice.between(2, 4) as usize,
            roots: dice.between(1, 4) as usize,
            store: StoreKnobs {
                fail_before: sometimes(dice, 0.15),
                fail_after: sometimes(dice, 0.15),
                fail_oddly: sometimes(dice, 0.02),
                slow: sometimes(dice, 0.05),
                latency_ms_max: dice.pick(&[0, 1, 3, 12]),
            },
            queue: QueueKnobs {
                lose: sometimes(dice, 0.3),
                double: sometimes(dice, 0.3),
                overtake: sometimes(dice, 0.3),
                delay: sometimes(dice, 0.2),
            },
            wire: WireKnobs {
                lose_request: sometimes(dice, 0.1),
                lose_answer: sometimes(dice, 0.1),
                delay: sometimes(dice, 0.2),
            },
            worker: WorkerKnobs {
                freeze: sometimes(dice, 0.2),
                die: sometimes(dice, 0.12),
                forget: sometimes(dice, 0.15),
                hand_back: sometimes(dice, 0.2),
                repeat: sometimes(dice, 0.3),
                hand_over: if dice.chance(0.6) { 0.8 } else { 0.0 },
            },
            kills: instants(dice, 3),
            outages: spans(dice, 100, 9_000),
            flushes: instants(dice, 2),
            queue_away: spans(dice, 100, 4_000),
            cache_bytes: dice.pick(&[0, 4_000, CACHE_BYTES_MAX]),
            operators: dice.chance(0.6),
            calm_at: Duration::from_millis(calm_ms),
            scope_pauses: dice.chance(0.35),
            forks: dice.chance(0.25),
            limits: dice.chance(0.3),
        }
    }
}
