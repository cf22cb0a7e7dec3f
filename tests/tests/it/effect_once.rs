//! Applications whose workers are killed around the click that sends: never two submissions, and what the
//! board received is what the run's end says.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use futures::StreamExt as _;
use nix::sys::signal::Signal;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{Instant, sleep};
use valet_board::{Expectation, FormKind};
use valet_crash_points::{CrashPoint, Harm, Plan};
use valet_tests::Process;
use valet_tests::bounds::KILLED_MAX;

use super::job_application::applicant::differences;
use super::job_application::house::{APPLICATION_MAX, Filed, House, LOOK_EVERY};

/// At least; more are asked for with `VALET_EFFECT_ONCE_RUNS` (200 take about ten minutes on two cores).
const RUNS: u32 = 60;
/// The instants of the kills and the forms; another seed kills elsewhere.
const SEED: u64 = 20_270_118;
/// The board's cheapest form: what is shown here begins with the click.
const FORM: FormKind = FormKind::Simple;
/// One slot each, so that a kill takes one application and no bystanders.
const WORKERS: usize = 4;
/// More than workers: an application whose worker was killed waits for the lease to end, for 8 to 10 s.
const IN_FLIGHT: usize = 10;

/// How long a run is left alone between two looks at it.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// From right after the click to the kill.
const AFTER_MS: [u64; 3] = [0, 50, 500];
/// One in so many is killed while the click is on its way. More would only take longer: most of them are filled anew.
const ON_THE_WAY_ONE_IN: u32 = 12;
/// Until then the button was looked for, found and pressed, or not.
const ON_THE_WAY_MS: std::ops::Range<u64> = 50..350;

/// More clicks than that are not cut off, however slow the machine is.
const CUT_OFF_ONE_IN: u32 = 10;

/// Workers that are killed when they send; each is replaced by one that will be.
struct Doomed {
    workers: Vec<(Process, Plan)>,
    random: SmallRng,
    killed: BTreeMap<String, u32>,
}

impl Doomed {
    fn start(house: &House, seed: u64) -> Self {
        let mut doomed =
            Self { workers: Vec::new(), random: SmallRng::seed_from_u64(seed), killed: BTreeMap::default() };
        for index in 0..WORKERS {
            let mut worker = house.another_worker(&format!("worker-{index}"));
            let plan = draw(&mut doomed.random);
            worker.start_armed(plan);
            doomed.workers.push((worker, plan));
        }
        doomed
    }

    /// Replaces who dies, for as long as it is polled.
    async fn replace(&mut self) {
        loop {
            for (worker, plan) in &mut self.workers {
                if worker.is_running() {
                    continue;
                }
                let status = worker.ended(KILLED_MAX).await;
                assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{} ended: {status}", worker.name());
                *self.killed.entry(plan.to_string()).or_default() += 1;
                *plan = draw(&mut self.random);
                worker.start_armed(*plan);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// When the next worker is killed.
fn draw(random: &mut SmallRng) -> Plan {
    if random.random_ratio(1, ON_THE_WAY_ONE_IN) {
        let delay = Duration::from_millis(random.random_range(ON_THE_WAY_MS));
        return Plan::first(CrashPoint::WorkerClickBefore, Harm::KillAfter(delay));
    }
    let harm = match AFTER_MS[random.random_range(0..AFTER_MS.len())] {
        0 => Harm::Kill,
        delay => Harm::KillAfter(Duration::from_millis(delay)),
    };
    Plan::first(CrashPoint::WorkerClickAfter, harm)
}

/// Follows a run to its end, at a pace that leaves the machine to browsers.
async fn follow(house: &House, seed: u32, run: &str) -> Filed {
    let (begun, mut asked) = (Instant::now(), Vec::new());
    loop {
        if let Some(run) = house.look(FORM, seed, run, &mut asked).await {
            return Filed { run, asked, took: begun.elapsed(), received: house.received(FORM, seed) };
        }
        assert!(begun.elapsed() < APPLICATION_MAX, "{FORM:?}/{seed}: {run} goes on and on");
        sleep(FOLLOW_EVERY).await;
    }
}

fn complaint(seed: u32, filed: &Filed) -> Option<String> {
    let mut wrong = differences(&Expectation::of(FORM, seed), &filed.received);
    if filed.run.run.status != "succeeded" {
        wrong.push(format!("{} {:?}", filed.run.run.status, filed.run.error));
    }
    (!wrong.is_empty()).then(|| format!("{FORM:?}/{seed} ({}): {}", filed.run.run.id, wrong.join("; ")))
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_while_they_send_never_send_twice() {
    let asked = std::env::var("VALET_EFFECT_ONCE_RUNS").ok().and_then(|text| text.parse().ok());
    let runs = asked.unwrap_or(RUNS).max(RUNS);
    let mut house = House::start(1).await;
    house.worker.stop().await;
    let mut doomed = Doomed::start(&house, SEED);
    let (begun, applicant) = (Instant::now(), house.applicant());
    let applications = futures::stream::iter(1..=runs).map(async |seed| {
        let run = applicant.start(FORM, seed).await;
        (seed, follow(&house, seed, &run).await)
    });
    let filed: Vec<(u32, Filed)> = tokio::select! {
        filed = applications.buffer_unordered(IN_FLIGHT).collect() => filed,
        () = doomed.replace() => unreachable!("workers are replaced for as long as applications go on"),
    };
    // The last application may be over before the kill that follows its click.
    let _ = tokio::time::timeout(Duration::from_millis(AFTER_MS[2]) + LOOK_EVERY * 4, doomed.replace()).await;

    let doubts = filed.iter().flat_map(|(_, filed)| &filed.asked).filter(|task| task.reason == "in_doubt").count();
    eprintln!(
        "seed {SEED}: {runs} applications in {:.0?}, {doubts} doubts, killed {:?}",
        begun.elapsed(),
        doomed.killed
    );
    let wrong: Vec<String> = filed.iter().filter_map(|(seed, filed)| complaint(*seed, filed)).collect();
    assert!(wrong.is_empty(), "{} of {runs}:\n{}", wrong.len(), wrong.join("\n"));
    house.no_browser_is_left(format!("{runs} applications")).await;
    let killed: u32 = doomed.killed.values().sum();
    // A click that is cut off in its middle, for its attempt was lost on a slow machine, is not come back from: nobody is
    // killed after it, and the application goes on by what the board received.
    let least = runs - runs / CUT_OFF_ONE_IN;
    assert!(killed >= least, "{killed} kills of {runs} applications: at least {least} were to meet one");
    let after = doomed.killed.keys().filter(|plan| plan.starts_with(CrashPoint::WorkerClickAfter.as_str()));
    assert_eq!(after.count(), AFTER_MS.len(), "every instant was met: {:?}", doomed.killed);
}
