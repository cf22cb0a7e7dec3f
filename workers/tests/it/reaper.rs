//! What the reaper ends and what it spares.

use std::fs::{self, File, FileTimes};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use uuid::Uuid;
use valet_workers::gate::{GatePhase, browser_tmp};
use valet_workers::sandbox::local::LocalProvider;
use valet_workers::sandbox::process::{self, MARKER, ProcessRef};
use valet_workers::sandbox::reaper::{ReapReport, reap, run_reaper};
use valet_workers::sandbox::{FenceNumber, Sandbox, SandboxError, SandboxId, SandboxProvider};

use super::rig::{Raw, Rig, eventually, kill, request};

/// A process that carries a sandbox's folder, as one of its browser's would.
fn bystander(dir: &Path) -> Child {
    Command::new("/bin/sleep").arg("600").env(MARKER, dir).process_group(0).spawn().expect("started")
}

fn age(path: &Path, by: Duration) {
    let file = File::open(path).expect("opened");
    let made = file.metadata().and_then(|data| data.modified()).expect("a time");
    file.set_times(FileTimes::new().set_modified(made - by)).expect("aged");
}

fn change_json(path: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).expect("a file")).expect("json");
    change(&mut value);
    fs::write(path, value.to_string()).expect("written");
}

fn gone(rig: &Rig, id: Uuid) {
    assert!(!rig.dir(id).exists(), "the folder is gone");
    assert_eq!(rig.processes(id), 0, "no process is left");
}

async fn still_works(rig: &Rig, sandbox: &Sandbox, fence: u64) {
    let raw = Raw::new(rig.provider.attach(&sandbox.id, FenceNumber(fence)).await.expect("attached"));
    assert_eq!(raw.script("return 1 + 1").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_in_use_is_spared_with_and_without_its_gate() {
    let rig = Rig::new();
    let sandbox = rig.sandbox(&[]).await;
    age(&rig.dir(sandbox.id.0), Duration::from_hours(1));
    assert_eq!(reap(&rig.provider).await, ReapReport { spared: 1, ..ReapReport::default() });
    still_works(&rig, &sandbox, 1).await;
    let gate = rig.state(sandbox.id).gate;
    kill(gate).await;
    eventually("the gate is gone", || !gate.expect("a gate").is_alive()).await;
    assert_eq!(reap(&rig.other_worker()).await, ReapReport { spared: 1, ..ReapReport::default() });
    still_works(&rig, &sandbox, 2).await;
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
    assert_eq!(reap(&rig.provider).await, ReapReport::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_whose_lease_ended_without_a_gate_is_ended() {
    let rig = Rig::new();
    let sandbox = rig.sandbox(&[]).await;
    kill(rig.state(sandbox.id).gate).await;
    change_json(&rig.dir(sandbox.id.0).join("gate-state.json"), |state| state["lease_until_ms"] = 1.into());
    assert!(matches!(rig.provider.attach(&sandbox.id, FenceNumber(1)).await, Err(SandboxError::Gone { .. })));
    assert!(rig.processes(sandbox.id.0) > 0, "attaching ends nothing");
    assert_eq!(reap(&rig.provider).await, ReapReport { lease_ended: 1, ..ReapReport::default() });
    gone(&rig, sandbox.id.0);
    assert!(matches!(rig.provider.attach(&sandbox.id, FenceNumber(1)).await, Err(SandboxError::NotFound(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_ended_and_one_that_does_not_answer_are_cleaned() {
    let rig = Rig::new();
    let (dead, silent) = (rig.sandbox(&[]).await, rig.sandbox(&[]).await);
    kill(rig.state(dead.id).browser).await;
    eventually("the gate ends with its browser", || rig.state(dead.id).phase == GatePhase::Ended).await;
    kill(rig.state(silent.id).gate).await;
    // A port that nobody listens on stands for a browser that hangs.
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("its address");
    change_json(&rig.dir(silent.id.0).join("gate-state.json"), |state| {
        state["debugger_address"] = free.to_string().into();
    });
    assert_eq!(reap(&rig.provider).await, ReapReport { lost: 2, ..ReapReport::default() });
    gone(&rig, dead.id.0);
    gone(&rig, silent.id.0);
    // A step that is tried again has its sandbox.
    let asked = request(dead.id.0, &[]);
    rig.provider.provision(&asked).await.expect("the same id anew");
    rig.provider.destroy(&dead.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_was_cut_off_is_cleaned_once_it_is_old() {
    let rig = Rig::new();
    let (bare, unstarted) = (Uuid::now_v7(), Uuid::now_v7());
    fs::create_dir(rig.dir(bare)).expect("a folder");
    let mut left = bystander(&rig.dir(bare));
    // Cut off before its gate runs: the folder and its record are there.
    let mut config = Rig::config_at(rig.root());
    config.gate_command = vec!["/nowhere/gate".into()];
    let provider = LocalProvider::new(config);
    assert!(provider.provision(&request(unstarted, &[])).await.is_err());
    assert!(rig.dir(unstarted).join("sandbox.json").exists());
    assert_eq!(reap(&rig.provider).await, ReapReport { spared: 2, ..ReapReport::default() });
    assert!(rig.dir(bare).exists() && rig.dir(unstarted).exists());
    for id in [bare, unstarted] {
        age(&rig.dir(id), Duration::from_mins(4));
    }
    assert_eq!(reap(&rig.provider).await, ReapReport { half_made: 2, ..ReapReport::default() });
    gone(&rig, bare);
    gone(&rig, unstarted);
    assert!(left.wait().expect("ended").code().is_none(), "by a signal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destruction_that_was_cut_off_is_finished() {
    let rig = Rig::new();
    let sandbox = rig.sandbox(&[]).await;
    let marks = rig.root().join(".destroyed");
    fs::create_dir_all(&marks).expect("a folder");
    File::create(marks.join(sandbox.id.to_string())).expect("a mark");
    assert_eq!(reap(&rig.provider).await, ReapReport { destroyed: 1, ..ReapReport::default() });
    gone(&rig, sandbox.id.0);
    let late = rig.provider.provision(&request(sandbox.id.0, &[])).await;
    assert!(matches!(late, Err(SandboxError::Destroyed(_))), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_and_temporary_folders_of_sandboxes_that_are_no_more_are_ended() {
    let rig = Rig::new();
    let elsewhere = Rig::new();
    let id = Uuid::now_v7();
    let mut stray = bystander(&rig.dir(id));
    let mut foreign = bystander(&elsewhere.dir(id));
    let mut unmarked = Command::new("/bin/sleep").arg("600").spawn().expect("started");
    // A root so deep that the browser's temporary folder lies outside.
    let root = rig.root().join("a-folder-far-down-in-somebodys-home/sandboxes");
    let provider = Rig::provider_at(&root);
    let sandbox = provider.provision(&request(Uuid::now_v7(), &[])).await.expect("a sandbox");
    let dir = root.join(sandbox.id.to_string());
    let tmp = browser_tmp(&dir);
    assert!(tmp.exists() && !tmp.starts_with(&root));
    assert_eq!(reap(&provider).await, ReapReport { spared: 1, ..ReapReport::default() });
    assert!(tmp.exists(), "in use");
    kill(valet_workers::gate::GateState::read(&dir).expect("a state").gate).await;
    // Moved, because a folder a live browser writes to cannot be removed in one go; and it stands still, or it might make the folder anew.
    for process in process::of_sandbox(&dir) {
        // One that ended meanwhile makes nothing.
        let _ = nix::sys::signal::kill(Pid::from_raw(process.pid), Signal::SIGSTOP);
    }
    fs::rename(&dir, rig.root().join("moved")).expect("taken away by somebody");
    assert_eq!(reap(&provider).await, ReapReport { strays: 1, ..ReapReport::default() }, "the browser is ended");
    assert!(!tmp.exists());
    assert_eq!(reap(&rig.provider).await, ReapReport { strays: 1, ..ReapReport::default() });
    assert!(stray.wait().expect("ended").code().is_none());
    for spared in [&mut foreign, &mut unmarked] {
        assert!(spared.try_wait().expect("asked").is_none(), "not ours, not ended");
        spared.kill().expect("ended");
        spared.wait().expect("reaped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_reapers_at_once_end_everything_once() {
    let rig = Rig::new();
    let live = rig.sandbox(&[]).await;
    let mut left: Vec<Child> = Vec::new();
    for _ in 0..6 {
        let dir = rig.dir(Uuid::now_v7());
        fs::create_dir(&dir).expect("a folder");
        left.push(bystander(&dir));
        age(&dir, Duration::from_mins(4));
    }
    let workers = [rig.other_worker(), rig.other_worker(), rig.other_worker()];
    let reports = futures::future::join_all(workers.iter().map(reap)).await;
    assert_eq!(reports.iter().map(|report| report.half_made).sum::<u32>(), 6, "{reports:?}");
    assert_eq!(reports.iter().map(|report| report.failed + report.strays).sum::<u32>(), 0, "{reports:?}");
    for mut process in left {
        process.wait().expect("ended");
    }
    still_works(&rig, &live, 1).await;
    rig.provider.destroy(&live.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_reaps_at_its_start_and_again_until_it_is_told_to_stop() {
    let rig = Rig::new();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let reaper = tokio::spawn(run_reaper(Arc::new(rig.other_worker()), Duration::from_millis(50), async {
        let _ = stopped.await;
    }));
    for _ in 0..2 {
        let mut stray = bystander(&rig.dir(Uuid::now_v7()));
        let process = ProcessRef::of(i32::try_from(stray.id()).expect("a pid")).expect("alive");
        eventually("the stray is ended", || !process.is_alive()).await;
        stray.wait().expect("reaped");
    }
    stop.send(()).expect("running");
    tokio::time::timeout(Duration::from_secs(5), reaper).await.expect("it stops").expect("joined");
}

/// A worker, a gate, a driver, a browser or an X server is killed at any moment; then the lease ends and the reaper comes.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_sandbox_outlives_random_kills_and_a_pass_of_the_reaper() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let rig = Rig::new();
    for round in 0..10 {
        let mut asked = request(Uuid::now_v7(), &[]);
        asked.headless = random.random_bool(0.6);
        asked.lease = Duration::from_secs(20);
        let id = asked.sandbox_id;
        // A worker that is killed while it provisions carries nothing out after that.
        let cut = Duration::from_millis(if random.random_bool(0.3) { random.random_range(0..1500) } else { 30_000 });
        let _ = tokio::time::timeout(cut, rig.provider.provision(&asked)).await;
        for _ in 0..random.random_range(1..4) {
            let found = process::of_sandbox(&rig.dir(id));
            if let Some(victim) = found.get(random.random_range(0..found.len().max(1))) {
                let _ = nix::sys::signal::kill(Pid::from_raw(victim.pid), Signal::SIGKILL);
            }
            if random.random_bool(0.3) {
                let attached = rig.other_worker().attach(&SandboxId(id), FenceNumber(round + 1)).await;
                assert!(!matches!(attached, Err(SandboxError::StaleFence { .. })), "seed {seed} round {round}");
            }
        }
        let display = valet_workers::gate::GateState::read(&rig.dir(id)).ok().and_then(|state| state.display);
        if rig.dir(id).exists() {
            let old = |file: &str| {
                let path = rig.dir(id).join(file);
                if path.exists() {
                    change_json(&path, |value| value["lease_until_ms"] = 1.into());
                }
            };
            // The gate, if there is one, would write its own view again.
            kill_all(&rig, id, "valet-gate").await;
            old("gate-state.json");
            old("sandbox.json");
            age(&rig.dir(id), Duration::from_mins(4));
        }
        let report = reap(&rig.other_worker()).await;
        assert_eq!(report.failed, 0, "seed {seed} round {round}: {report:?}");
        gone(&rig, id);
        assert!(!browser_tmp(&rig.dir(id)).exists());
        if let Some(display) = display {
            assert!(!display.has_its_socket(), "seed {seed} round {round}: a socket is left");
        }
    }
    assert_eq!(process::sandboxes_below(rig.root()), [] as [std::path::PathBuf; 0], "seed {seed}");
}

async fn kill_all(rig: &Rig, id: Uuid, program: &str) {
    let gates = process::of_sandbox(&rig.dir(id)).into_iter();
    let gates = gates.filter(|process| process.program().is_some_and(|path| path.ends_with(program)));
    process::end(&gates.collect::<Vec<_>>(), Duration::from_secs(5)).await;
}
