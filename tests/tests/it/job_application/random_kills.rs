//! Anything may be killed at any time: engine, workers, gates, drivers, browsers, screens. No application is filed twice, none is
//! left without an end, and nothing that belonged to a browser outlives its run.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{Instant, sleep};
use valet_board::{Expectation, FormKind};
use valet_tests::Process;
use valet_tests::bounds::SOON;
use valet_tests::wait::until;

use super::applicant::differences;
use super::house::{Filed, House};

/// At least; more are asked for with `VALET_RANDOM_KILLS_RUNS`.
const RUNS: u32 = 12;
/// Who is killed and when; another seed kills others.
const SEED: u64 = 20_261_121;
const WORKERS: usize = 5;
const IN_FLIGHT: usize = 8;
/// Between two kills. Whoever was killed needs up to 10 s until another takes its place.
const PAUSE_MS: std::ops::Range<u64> = 300..4_000;
/// One application: it may lose several browsers, and each worker's lease lasts 8 s.
const APPLICATION_MAX: Duration = Duration::from_mins(6);
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// Plain forms, one that asks for a code after it was sent, and one that is filed from a second browser, with a screen of its own.
const FORMS: [FormKind; 4] = [FormKind::Simple, FormKind::Steps, FormKind::Code, FormKind::Guarded];

/// How a process is called by the kernel, and whose it is. The program itself runs as the gate.
const IN_SANDBOXES: [&str; 4] = ["valet-under-tes", "chromedriver", "chromium", "Xvfb"];

struct Assassin {
    engine: Process,
    workers: Vec<Process>,
    random: SmallRng,
    killed: BTreeMap<&'static str, u32>,
}

impl Assassin {
    fn new(house: &mut House) -> Self {
        let mut workers: Vec<Process> =
            (0..WORKERS).map(|index| house.another_worker(&format!("worker-{index}"))).collect();
        workers.iter_mut().for_each(Process::start);
        let engine = house.take_engine();
        Self { engine, workers, random: SmallRng::seed_from_u64(SEED), killed: BTreeMap::default() }
    }

    /// Kills for as long as it is polled.
    async fn work(&mut self, house: &House) {
        loop {
            sleep(Duration::from_millis(self.random.random_range(PAUSE_MS))).await;
            let whom = self.random.random_range(0..IN_SANDBOXES.len() + 2);
            let name = match whom {
                0 => {
                    self.engine.kill().await;
                    self.engine.start();
                    house.engine_ready().await;
                    "engine"
                }
                1 => {
                    let worker = self.random.random_range(0..self.workers.len());
                    self.workers[worker].kill().await;
                    self.workers[worker].start();
                    "worker"
                }
                _ => {
                    let name = IN_SANDBOXES[whom - 2];
                    let there = house.in_sandboxes(name);
                    if there.is_empty() {
                        continue;
                    }
                    let pid = there[self.random.random_range(0..there.len())];
                    if kill(Pid::from_raw(pid), Signal::SIGKILL).is_err() {
                        continue;
                    }
                    name
                }
            };
            *self.killed.entry(name).or_default() += 1;
        }
    }
}

async fn follow(house: &House, form: FormKind, seed: u32, run: &str) -> Filed {
    let (begun, mut asked) = (Instant::now(), Vec::new());
    loop {
        if let Some(run) = house.look(form, seed, run, &mut asked).await {
            return Filed { run, asked, took: begun.elapsed(), received: house.received(form, seed) };
        }
        assert!(begun.elapsed() < APPLICATION_MAX, "{form:?}/{seed}: {run} goes on and on");
        sleep(FOLLOW_EVERY).await;
    }
}

/// Filed right and once; or given up after too many browsers, and then not at all.
fn complaint(form: FormKind, seed: u32, filed: &Filed) -> Option<String> {
    let run = &filed.run.run;
    let why = filed.run.error.as_ref().map(|error| error.code.as_str());
    let wrong = match (run.status.as_str(), why) {
        ("succeeded", _) => differences(&Expectation::of(form, seed), &filed.received),
        ("failed", Some("sandbox_lost" | "sandbox" | "browser")) if filed.received.is_empty() => Vec::new(),
        (status, _) => vec![format!("{status} {:?}, {} received", filed.run.error, filed.received.len())],
    };
    (!wrong.is_empty()).then(|| format!("{form:?}/{seed} ({}): {}", run.id, wrong.join("; ")))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_nothing_outlives_its_run() {
    let asked = std::env::var("VALET_RANDOM_KILLS_RUNS").ok().and_then(|text| text.parse().ok());
    let runs = asked.unwrap_or(RUNS).max(RUNS);
    let mut house = House::start(1).await;
    house.worker.stop().await;
    let mut assassin = Assassin::new(&mut house);
    let (begun, applicant) = (Instant::now(), house.applicant());
    let applications = futures::stream::iter(1..=runs).map(async |seed| {
        let form = FORMS[seed as usize % FORMS.len()];
        let run = until("the start to be answered", SOON, async || {
            // The engine may be killed before it answers; the same key finds the run that was begun.
            applicant.try_start_input(form, seed, |_| {}).await.map_err(|error| error.to_string())
        })
        .await;
        (form, seed, follow(&house, form, seed, &run).await)
    });
    let filed: Vec<(FormKind, u32, Filed)> = tokio::select! {
        filed = applications.buffer_unordered(IN_FLIGHT).collect() => filed,
        () = assassin.work(&house) => unreachable!("it kills for as long as applications go on"),
    };
    let given_up = filed.iter().filter(|(_, _, filed)| filed.run.run.status != "succeeded").count();
    eprintln!(
        "seed {SEED}: {runs} applications in {:.0?}, {given_up} given up, killed {:?}",
        begun.elapsed(),
        assassin.killed
    );
    let wrong: Vec<String> = filed.iter().filter_map(|(form, seed, filed)| complaint(*form, *seed, filed)).collect();
    assert!(wrong.is_empty(), "{} of {runs}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(given_up * 4 <= filed.len(), "{given_up} of {runs} were given up");
    house.no_browser_is_left(format!("{runs} applications")).await;
    assert!(assassin.killed.values().sum::<u32>() >= runs, "too few were killed: {:?}", assassin.killed);
    assert!(["engine", "worker"].iter().all(|name| assassin.killed.contains_key(name)), "{:?}", assassin.killed);
}
