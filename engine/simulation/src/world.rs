//! What all parts of one simulated seed share: time, draws, weather, the model's tables, the ledger and the trace.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::RunId;
use valet_engine::ports::{Clock, Entropy};
use valet_queue::MemoryQueue;

use crate::bounds::VIOLATIONS_KEPT_MAX;
use crate::dice::{Dice, Stream};
use crate::knobs::Knobs;
use crate::model::Tables;
use crate::outside::ledger::Ledger;
use crate::record::{Recorded, Recorder, Told};
use crate::trace::{Event, Trace};
use crate::variant::BrokenVariant;

/// 2027-01-15T08:00:00Z: any instant does, but it must be the same for every run of a seed.
const EPOCH_S: i64 = 1_800_000_000;

/// A broken promise, and the run it was made to.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub run: Option<RunId>,
    pub text: String,
}

/// One seed's world.
pub(crate) struct World {
    pub variant: Option<BrokenVariant>,
    pub knobs: Knobs,
    pub queue: MemoryQueue,
    pub tables: Mutex<Tables>,
    pub ledger: Mutex<Ledger>,
    started: Instant,
    faults: Mutex<Dice>,
    identifiers: Mutex<Dice>,
    trace: Mutex<Trace>,
    violations: Mutex<Vec<Violation>>,
    /// Writes statements down, if somebody asked for that.
    recorder: Option<Mutex<Recorder>>,
    /// Rung at the first violation.
    pub broken: Notify,
}

impl World {
    pub fn new(
        seed: u64,
        knobs: Knobs,
        queue: MemoryQueue,
        variant: Option<BrokenVariant>,
        recorder: Option<Recorder>,
    ) -> Self {
        Self {
            variant,
            knobs,
            queue,
            tables: Mutex::new(Tables::new(variant)),
            ledger: Mutex::default(),
            started: Instant::now(),
            faults: Mutex::new(Dice::new(seed, Stream::Faults)),
            identifiers: Mutex::new(Dice::new(seed, Stream::Identifiers)),
            trace: Mutex::default(),
            violations: Mutex::default(),
            recorder: recorder.map(Mutex::new),
            broken: Notify::new(),
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn at(&self, elapsed: Duration) -> Instant {
        self.started + elapsed
    }

    /// The database's clock; engines' clocks are skewed against it.
    pub fn now(&self) -> Timestamp {
        self.now_skewed(0)
    }

    fn now_skewed(&self, skew_ms: i64) -> Timestamp {
        let micros = EPOCH_S * 1_000_000 + self.elapsed().as_micros() as i64 + skew_ms * 1_000;
        Timestamp::from_timestamp_micros(micros).unwrap_or_default()
    }

    /// No faults any more: everything must come to its end now.
    pub fn is_calm(&self) -> bool {
        self.elapsed() >= self.knobs.calm_at
    }

    /// The whole store is away.
    pub fn is_out(&self) -> bool {
        let now = self.elapsed();
        !self.is_calm() && self.knobs.outages.iter().any(|(from, to)| (*from..*to).contains(&now))
    }

    pub fn draw<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.faults.lock())
    }

    /// A fault's draw: never once the world is calm.
    pub fn strikes(&self, probability: f64) -> bool {
        !self.is_calm() && self.draw(|dice| dice.chance(probability))
    }

    pub fn uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.identifiers.lock().bytes()).into_uuid()
    }

    /// A place of a program, apart from the same place of its forks.
    pub fn place(&self, run: RunId, at: &str) -> String {
        self.tables.lock().scoped(run, at)
    }

    pub fn note(&self, what: &'static str, run: Option<RunId>, numbers: [u64; 4]) {
        let at_us = self.elapsed().as_micros() as u64;
        self.trace.lock().note(Event { at_us, what, run, numbers });
    }

    /// Counts what is met without keeping it.
    pub fn count(&self, kind: &'static str) {
        self.trace.lock().count(kind);
    }

    /// Writes a statement down; `tables`: as it left them.
    pub fn record(&self, tables: &Tables, tell: impl FnOnce() -> Told) {
        if let Some(recorder) = &self.recorder {
            recorder.lock().write(tables, self.now(), tell());
        }
    }

    /// All that was written down, and a last look.
    pub fn recorded(&self) -> Vec<Recorded> {
        let Some(recorder) = &self.recorder else { return Vec::new() };
        let mut recorder = std::mem::take(&mut *recorder.lock());
        recorder.look(&self.tables.lock(), self.now());
        recorder.into_statements()
    }

    pub fn trace<T>(&self, read: impl FnOnce(&Trace) -> T) -> T {
        read(&self.trace.lock())
    }

    pub fn violated(&self, violation: Violation) {
        self.note("VIOLATION", violation.run, [0; 4]);
        let mut violations = self.violations.lock();
        if violations.len() < VIOLATIONS_KEPT_MAX {
            violations.push(violation);
        }
        self.broken.notify_one();
    }

    pub fn violations(&self) -> Vec<Violation> {
        self.violations.lock().clone()
    }

    pub fn is_broken(&self) -> bool {
        !self.violations.lock().is_empty()
    }
}

/// An engine's clock: the world's time, a little off.
pub(crate) struct SkewedClock {
    pub world: std::sync::Arc<World>,
    pub skew_ms: i64,
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        self.world.now_skewed(self.skew_ms)
    }
}

/// Seeded identifiers.
pub(crate) struct SeededEntropy(pub std::sync::Arc<World>);

impl Entropy for SeededEntropy {
    fn bytes(&self) -> [u8; 16] {
        self.0.identifiers.lock().bytes()
    }
}
