//! kill -9 at every crash point that an application passes, with each of the plain forms in a real Chromium: the process dies at the point and is
//! replaced, a person answers, the run succeeds, its application arrives exactly once, nothing of its browser is left.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use futures::future::join_all;
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};
use valet_board::{Expectation, FormKind};
use valet_crash_points::{CrashPoint, Harm, Plan};
use valet_tests::Process;
use valet_tests::bounds::KILLED_MAX;

use super::job_application::applicant::differences;
use super::job_application::house::{APPLICATION_MAX, Filed, House, LOOK_EVERY};

/// Whole Valets side by side: most of a crash of a worker is waiting for its lease to end.
const LANES: usize = 4;

/// The passing at which the process dies. What every step passes is met around the sending of the one-page form, what
/// only a step with a ticket passes at the start of the browser.
fn passing(point: CrashPoint) -> u32 {
    match point {
        CrashPoint::EngineFinishReceived
        | CrashPoint::EngineFinishDecided
        | CrashPoint::EngineFinishCommitted
        | CrashPoint::WorkerFinishBefore
        | CrashPoint::WorkerFinishAfter => 5,
        CrashPoint::EngineCommitBefore | CrashPoint::EngineCommitAfter => 6,
        CrashPoint::EngineClaimBefore
        | CrashPoint::EngineClaimAfter
        | CrashPoint::EngineTicketBefore
        | CrashPoint::EngineTicketAfter
        | CrashPoint::WorkerClaimBefore
        | CrashPoint::WorkerClaimAfter => 2,
        _ => 1,
    }
}

/// How often a person may be asked whether the application arrived.
fn doubts(point: CrashPoint) -> std::ops::RangeInclusive<usize> {
    match point {
        // The mark is set and the form stands there as before: nobody but the board knows.
        CrashPoint::WorkerEffectBegun | CrashPoint::WorkerClickBefore => 1..=1,
        // The page tells, unless it has not come to it yet.
        CrashPoint::WorkerClickAfter | CrashPoint::WorkerFinishBefore => 0..=1,
        _ => 0..=0,
    }
}

fn is_of_engine(point: CrashPoint) -> bool {
    point.as_str().starts_with("engine.")
}

impl House {
    fn victim(&mut self, point: CrashPoint) -> &mut Process {
        if is_of_engine(point) { &mut self.engine } else { &mut self.worker }
    }

    /// Replaces the process that is to die at the point by one that will.
    async fn arm(&mut self, point: CrashPoint) {
        let plan = Plan { passing: passing(point), ..Plan::first(point, Harm::Kill) };
        let victim = self.victim(point);
        if is_of_engine(point) {
            victim.kill().await;
        } else {
            // So that the next one need not wait for what this one holds.
            victim.stop().await;
        }
        victim.start_armed(plan);
        self.engine_ready().await;
    }

    /// Puts another in the place of a victim that died by its plan. `false`: it lives.
    async fn replaced(&mut self, point: CrashPoint) -> bool {
        let victim = self.victim(point);
        if victim.is_running() {
            return false;
        }
        let status = victim.ended(KILLED_MAX).await;
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{point}: it ended otherwise: {status}");
        victim.start();
        self.engine_ready().await;
        true
    }

    async fn file_over_a_crash(&mut self, point: CrashPoint, form: FormKind, seed: u32) -> Filed {
        self.arm(point).await;
        let run = self.applicant().start(form, seed).await;
        let (begun, mut asked, mut died) = (Instant::now(), Vec::new(), false);
        let run = loop {
            died = died || self.replaced(point).await;
            if let Some(run) = self.look(form, seed, &run, &mut asked).await {
                break run;
            }
            assert!(begun.elapsed() < APPLICATION_MAX, "{point}, {form:?}/{seed}: {run} goes on and on");
            sleep(LOOK_EVERY).await;
        };
        // The run may have ended faster than the kernel reports a death.
        let late = Instant::now() + Duration::from_secs(1);
        while !died && Instant::now() < late {
            sleep(LOOK_EVERY).await;
            died = self.replaced(point).await;
        }
        assert!(died, "{point} is in the list and was never passed");
        Filed { run, asked, took: begun.elapsed(), received: self.received(form, seed) }
    }
}

fn complaint(point: CrashPoint, form: FormKind, seed: u32, filed: &Filed) -> Option<String> {
    let mut wrong = differences(&Expectation::of(form, seed), &filed.received);
    if filed.run.run.status != "succeeded" {
        wrong.push(format!("{} {:?}", filed.run.run.status, filed.run.error));
    }
    let doubted = filed.asked.iter().filter(|task| task.reason == "in_doubt").count();
    if !doubts(point).contains(&doubted) {
        wrong.push(format!("a person was asked {doubted} times whether it arrived"));
    }
    eprintln!("{point}, {form:?}/{seed}: {} after {:.1?}, doubts {doubted}", filed.run.run.status, filed.took);
    (!wrong.is_empty()).then(|| format!("{point}, {form:?}/{seed} ({}): {}", filed.run.run.id, wrong.join("; ")))
}

async fn every_point_with(form: FormKind) {
    // Those of schedules are in `schedules.rs`, those of events in `event_waits.rs`, those of bulk operations in `bulk_operations.rs`.
    let elsewhere = ["engine.fire.", "engine.event.", "engine.bulk."];
    let is_here = |point: &CrashPoint| !elsewhere.iter().any(|of| point.as_str().starts_with(of));
    let points = CrashPoint::ALL.iter().copied().filter(is_here);
    let waiting = Mutex::new(points.zip(301..));
    let next = || waiting.lock().expect("no lane panics while it takes").next();
    let lane = async || {
        let mut house = House::start(1).await;
        let mut wrong = Vec::new();
        while let Some((point, seed)) = next() {
            let filed = house.file_over_a_crash(point, form, seed).await;
            wrong.extend(complaint(point, form, seed, &filed));
            house.no_browser_is_left(point).await;
        }
        wrong
    };
    let wrong = join_all((0..LANES).map(|_| lane())).await.concat();
    assert!(wrong.is_empty(), "{} points:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_point_files_the_one_page_form_exactly_once() {
    every_point_with(FormKind::Simple).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_point_files_the_form_of_several_pages_exactly_once() {
    every_point_with(FormKind::Steps).await;
}

/// Features of a package's crash points, as cargo builds it alone.
fn features_in(package: &str) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut tree = Command::new(cargo);
    tree.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "tree",
        "--offline",
        "--locked",
        "--prefix=none",
        "--edges=features",
    ]);
    let output = tree.args(["--package", package, "--invert", "valet-crash-points"]).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_program_that_ships_has_no_crash_points() {
    let armed = "valet-crash-points feature \"armed\"";
    let shipped = features_in("valet");
    assert!(shipped.contains("valet-crash-points"), "it names them: {shipped}");
    assert!(!shipped.contains(armed), "{shipped}");
    assert!(features_in("valet-tests").contains(armed), "the program under test has them");
}
