//! Many seeds on several threads, and what came of them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::seed::{SeedRun, run_seed};
use crate::variant::BrokenVariant;

/// Threads of one simulation; seeds are independent, so more than cores help nobody.
const THREADS_MAX: usize = 64;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct SimulationConfig {
    pub seeds: Range<u64>,
    pub variant: Option<BrokenVariant>,
    /// Ends at the first broken promise; else all seeds are run and all failures reported.
    pub stop_at_first: bool,
    /// `None`: one a core.
    pub threads: Option<usize>,
}

impl SimulationConfig {
    pub fn seeds(seeds: Range<u64>) -> Self {
        Self { seeds, variant: None, stop_at_first: true, threads: None }
    }

    pub fn broken(mut self, variant: BrokenVariant) -> Self {
        self.variant = Some(variant);
        self
    }
}

/// What is said while seeds run.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub seeds_done: u64,
    pub seeds: u64,
    pub failures: u64,
}

/// A seed in which a promise was broken.
#[derive(Clone, Debug)]
pub struct Failure {
    pub variant: Option<BrokenVariant>,
    pub run: SeedRun,
}

impl Failure {
    /// The one command that shows it again.
    pub fn replay_command(&self) -> String {
        let seed = self.run.seed;
        match self.variant {
            None => format!("valet simulate --seed {seed}"),
            Some(variant) => format!("valet simulate --seed {seed} --variant {variant}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} broke a promise:", self.run.seed)?;
        for violation in &self.run.violations {
            writeln!(f, "  {violation}")?;
        }
        for line in &self.run.trace {
            writeln!(f, "    {line}")?;
        }
        write!(f, "again: {}", self.replay_command())
    }
}

/// What came of all seeds.
#[derive(Clone, Debug)]
pub struct Report {
    pub seeds_done: u64,
    /// Runs of workflows, children included.
    pub runs: u64,
    /// How often each kind of event occurred: what these seeds met.
    pub events: BTreeMap<&'static str, u64>,
    pub simulated: Duration,
    pub took: Duration,
    /// By seed.
    pub failures: Vec<Failure>,
}

impl Report {
    pub fn seeds_per_second(&self) -> f64 {
        self.seeds_done as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }
}

/// Runs all seeds.
pub fn run(config: &SimulationConfig) -> Report {
    run_with_progress(config, |_| ())
}

/// Runs all seeds, and tells how far it is after each.
pub fn run_with_progress(config: &SimulationConfig, progress: impl Fn(Progress) + Sync) -> Report {
    let began = Instant::now();
    let next = AtomicU64::new(config.seeds.start);
    let stop = AtomicBool::new(false);
    let report = Mutex::new(Report {
        seeds_done: 0,
        runs: 0,
        events: BTreeMap::new(),
        simulated: Duration::ZERO,
        took: Duration::ZERO,
        failures: Vec::new(),
    });
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = config.threads.unwrap_or_else(cores).clamp(1, THREADS_MAX);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= config.seeds.end {
                        return;
                    }
                    let run = seed_or_its_panic(seed, config.variant);
                    let failed = !run.violations.is_empty();
                    if failed && config.stop_at_first {
                        stop.store(true, Ordering::Relaxed);
                    }
                    let mut report = report.lock();
                    report.add(run, config.variant);
                    let seeds = config.seeds.end - config.seeds.start;
                    let failures = report.failures.len() as u64;
                    progress(Progress { seeds_done: report.seeds_done, seeds, failures });
                }
            });
        }
    });
    let mut report = report.into_inner();
    report.failures.sort_by_key(|failure| failure.run.seed);
    report.took = began.elapsed();
    report
}

/// A runtime that cannot be made is a failed seed too: it must not pass silently.
fn seed_or_its_panic(seed: u64, variant: Option<BrokenVariant>) -> SeedRun {
    run_seed(seed, variant).unwrap_or_else(|error| SeedRun {
        seed,
        trace_hash: 0,
        events: BTreeMap::new(),
        runs: 0,
        simulated: Duration::ZERO,
        violations: vec![format!("no runtime: {error}")],
        trace: Vec::new(),
    })
}

impl Report {
    fn add(&mut self, run: SeedRun, variant: Option<BrokenVariant>) {
        self.seeds_done += 1;
        self.runs += run.runs as u64;
        for (kind, count) in &run.events {
            *self.events.entry(kind).or_default() += count;
        }
        self.simulated += run.simulated;
        if !run.violations.is_empty() {
            self.failures.push(Failure { variant, run });
        }
    }
}
