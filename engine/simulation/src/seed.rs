//! One seed: a world is made, left to its faults, calmed, and judged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use valet_core::id::RunId;
use valet_queue::{Fault, MemoryQueue};

use crate::bounds::{LOOK_EVERY, QUIET_WITHIN, TIDY_WITHIN, TRACE_LINES_MAX};
use crate::dice::{Dice, Stream};
use crate::knobs::{Knobs, QueueKnobs};
use crate::outside::fleet::Fleet;
use crate::outside::starts::PlannedStart;
use crate::outside::{limits, operators, people, starts, worker};
use crate::program::{self, NEWEST_BUILD};
use crate::record::{Recorder, Recording};
use crate::variant::BrokenVariant;
use crate::verdict;
use crate::world::{Violation, World};

/// How one seed went.
#[derive(Clone, Debug)]
pub struct SeedRun {
    pub seed: u64,
    /// Equal for equal histories.
    pub trace_hash: u64,
    /// How often each kind of event occurred.
    pub events: BTreeMap<&'static str, u64>,
    pub runs: usize,
    pub simulated: Duration,
    /// Empty: every promise was kept.
    pub violations: Vec<String>,
    /// The last events of the run that the first violation names; empty without one.
    pub trace: Vec<String>,
}

/// Runs one seed on this thread.
pub fn run_seed(seed: u64, variant: Option<BrokenVariant>) -> Result<SeedRun, std::io::Error> {
    Ok(alone(simulate(seed, variant, None))?.run)
}

/// The same, and every statement that its engines sent to the store is written down. The history is the same.
pub fn record_seed(seed: u64, variant: Option<BrokenVariant>) -> Result<Recording, std::io::Error> {
    alone(simulate(seed, variant, Some(Recorder::default())))
}

fn alone<T>(work: impl Future<Output = T>) -> Result<T, std::io::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(work))
}

async fn simulate(seed: u64, variant: Option<BrokenVariant>, recorder: Option<Recorder>) -> Recording {
    let mut dice = Dice::new(seed, Stream::Workload);
    let knobs = Knobs::draw(&mut dice);
    let starts = plan(&knobs, &mut dice);
    let queue = queue(seed, &knobs.queue);
    let world = Arc::new(World::new(seed, knobs, queue, variant, recorder));
    let fleet = Fleet::new(Arc::clone(&world));
    let mut doings = JoinSet::new();
    for place in 0..fleet.len() {
        fleet.start(place).await;
    }
    doings.spawn(operators::declare(Arc::clone(&fleet)));
    if world.knobs.limits {
        doings.spawn(limits::limit(Arc::clone(&fleet)));
    }
    doings.spawn(engines_die(Arc::clone(&fleet)));
    doings.spawn(queue_weather(Arc::clone(&world)));
    for place in 0..world.knobs.workers {
        doings.spawn(worker::keep_running(Arc::clone(&fleet), place));
    }
    doings.spawn(people::work(Arc::clone(&fleet)));
    doings.spawn(people::complete(Arc::clone(&fleet)));
    doings.spawn(operators::signal(Arc::clone(&fleet)));
    doings.spawn(operators::mend(Arc::clone(&fleet)));
    if world.knobs.operators {
        doings.spawn(operators::meddle(Arc::clone(&fleet)));
    }
    if world.knobs.scope_pauses {
        doings.spawn(operators::pause_scopes(Arc::clone(&fleet)));
    }
    if world.knobs.forks {
        doings.spawn(operators::fork(Arc::clone(&fleet)));
    }
    let mut starting = JoinSet::new();
    for plan in starts {
        starting.spawn(starts::start(Arc::clone(&fleet), plan));
    }
    wait_for_the_end(&world, &mut starting).await;
    doings.abort_all();
    if !world.is_broken() {
        verdict::check(&world);
    }
    Recording { run: report(seed, &world), statements: world.recorded() }
}

fn plan(knobs: &Knobs, dice: &mut Dice) -> Vec<PlannedStart> {
    let latest_ms = knobs.calm_at.as_millis() as u64 * 6 / 10;
    (0..knobs.roots)
        .map(|n| PlannedStart {
            at: Duration::from_millis(dice.between(0, latest_ms)),
            program: program::grow(format!("p{n}"), dice),
            deadline_ms: dice.chance(0.1).then(|| dice.between(500, 8_000)),
            budget_micros: dice.chance(0.2).then(|| dice.between(0, 30)),
            producers: match dice.between(0, 39) {
                0 => dice.between(3, 64) as u32,
                1..=10 => 2,
                _ => 1,
            },
            conflict: dice.chance(0.1),
        })
        .collect()
}

fn queue(seed: u64, knobs: &QueueKnobs) -> MemoryQueue {
    let mut dice = Dice::new(seed, Stream::Queue);
    let knobs = knobs.clone();
    // A lost ticket is found again while its queue has free workers, in calm weather as in rough.
    MemoryQueue::with_faults(move |_, _| {
        if dice.chance(knobs.lose) {
            Fault::Lose
        } else if dice.chance(knobs.double) {
            Fault::Double
        } else if dice.chance(knobs.overtake) {
            Fault::Overtake(dice.between(1, 8) as usize)
        } else {
            Fault::Deliver
        }
    })
}

/// Engines are killed at their instants, and replaced some time later, by another build perhaps. Once the world is calm
/// the newest is everywhere.
async fn engines_die(fleet: Arc<Fleet>) {
    die_in_time(&fleet).await;
    tokio::time::sleep_until(fleet.world.at(fleet.world.knobs.calm_at)).await;
    for place in 0..fleet.len() {
        if fleet.build(place) < NEWEST_BUILD {
            fleet.kill(place).await;
            fleet.deploy(place, NEWEST_BUILD);
            fleet.start(place).await;
        }
    }
}

async fn die_in_time(fleet: &Arc<Fleet>) {
    for at in fleet.world.knobs.kills.clone() {
        tokio::time::sleep_until(fleet.world.at(at)).await;
        if fleet.world.is_calm() {
            return;
        }
        let (place, pause_ms) = fleet.world.draw(|dice| (dice.index(fleet.len()), dice.between(10, 6_000)));
        fleet.kill(place).await;
        if fleet.world.draw(|dice| dice.chance(0.4)) {
            // Forward, or back again.
            fleet.deploy(place, 2 * NEWEST_BUILD - 1 - fleet.build(place));
        }
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        fleet.start(place).await;
    }
}

/// The queue is flushed, goes away and comes back.
async fn queue_weather(world: Arc<World>) {
    let flushes = world.knobs.flushes.iter().map(|at| (*at, None));
    let away = world.knobs.queue_away.iter().flat_map(|(from, to)| [(*from, Some(true)), (*to, Some(false))]);
    let mut changes: Vec<(Duration, Option<bool>)> = flushes.chain(away).collect();
    changes.sort_by_key(|(at, _)| *at);
    for (at, away) in changes {
        tokio::time::sleep_until(world.at(at.min(world.knobs.calm_at))).await;
        match away {
            Some(away) => world.queue.set_away(away),
            None => world.queue.flush(),
        }
    }
    tokio::time::sleep_until(world.at(world.knobs.calm_at)).await;
    world.queue.set_away(false);
}

/// Until all is done and tidy, or a promise was broken, or patience ends.
async fn wait_for_the_end(world: &Arc<World>, starting: &mut JoinSet<()>) {
    let mut ended_at: Option<Duration> = None;
    loop {
        tokio::select! {
            biased;
            () = world.broken.notified() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        while starting.try_join_next().is_some() {}
        let now = world.elapsed();
        let (quiet, live) = {
            let tables = world.tables.lock();
            (tables.is_quiet(), tables.live_runs().map(|(run, _)| *run).next())
        };
        if !world.is_calm() || !starting.is_empty() || live.is_some() {
            ended_at = None;
        } else if quiet {
            return;
        } else if now > *ended_at.get_or_insert(now) + TIDY_WITHIN {
            return not_quiet(world, None, "all runs ended, and live tables still hold rows");
        }
        if now > world.knobs.calm_at + QUIET_WITHIN {
            return not_quiet(world, live, "faults stopped long ago, and the run has not ended");
        }
    }
}

fn not_quiet(world: &World, run: Option<RunId>, text: &str) {
    let reason = {
        let tables = world.tables.lock();
        let reason =
            run.and_then(|run| tables.runs.get(&run)).map(|record| (record.row.status, record.row.reason.clone()));
        let rows = (tables.steps.len(), tables.timers.len(), tables.inbox.len());
        format!("{text}: {reason:?}; steps, timers, inbox: {rows:?}")
    };
    world.violated(Violation { run, text: reason });
}

fn report(seed: u64, world: &World) -> SeedRun {
    let violations = world.violations();
    let run = violations.first().and_then(|violation| violation.run);
    let trace = if violations.is_empty() { Vec::new() } else { world.trace(|trace| trace.last(TRACE_LINES_MAX, run)) };
    let named = |violation: &Violation| match violation.run {
        Some(run) => format!("{run}: {}", violation.text),
        None => violation.text.clone(),
    };
    SeedRun {
        seed,
        trace_hash: world.trace(crate::trace::Trace::hash),
        events: world.trace(crate::trace::Trace::kinds),
        runs: world.tables.lock().runs.len(),
        simulated: world.elapsed(),
        violations: violations.iter().map(named).collect(),
        trace,
    }
}
