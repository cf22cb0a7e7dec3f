//! Tier 3 against the local Fly: machines whose gates and browsers are real ones on this machine, each at an address of its own.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;
use valet_core::RunId;
use valet_vendors::{Fault, Fly, fly};
use valet_workers::sandbox::fly::{FlyConfig, FlyProvider};
use valet_workers::sandbox::guarded::Guarded;
use valet_workers::sandbox::process::{self, MARKER};
use valet_workers::sandbox::{
    FailureClass, FenceNumber, ProvisionRequest, SandboxError, SandboxId, SandboxProvider, SandboxState,
};
use valet_workers::vendor::Secret;

use super::conformance::Subject;
use super::rig::{Raw, Rig, request};

const TOKEN: &str = "a-token-nobody-may-see";
const GATE_PORT: u16 = 7400;
const MARK: &str = "valet_sandbox";

/// The machines of a local Fly: what runs in them runs here.
struct Machines {
    root: TempDir,
    running: Mutex<Vec<Running>>,
}

struct Running {
    machine: String,
    sandbox: String,
    dir: PathBuf,
    gate: Child,
}

impl fly::Boot for Machines {
    fn start(&self, id: &str, address: Ipv4Addr, config: &Value) {
        let Some(file) = config["files"][0]["raw_value"].as_str() else { return };
        let mut gate: Value = serde_json::from_slice(&STANDARD.decode(file).expect("base64")).expect("a configuration");
        let dir = self.root.path().join(id);
        for part in ["profile", "uploads", "downloads", "logs"] {
            std::fs::create_dir_all(dir.join(part)).expect("a folder");
        }
        let here = Rig::config_at(self.root.path());
        gate["sandbox_dir"] = json!(dir);
        gate["kind"] = json!(here.kind);
        gate["driver"] = json!(here.driver);
        gate["browser"] = json!(here.browser);
        (gate["headless"], gate["display"]) = (json!(true), Value::Null);
        gate["listen"] = json!(format!("{address}:{GATE_PORT}"));
        let path = dir.join("gate.json");
        std::fs::write(&path, gate.to_string()).expect("written");
        let child = Command::new(&here.gate_command[0])
            .arg("--config")
            .arg(&path)
            .env(MARKER, &dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a gate");
        let sandbox = config["metadata"][MARK].as_str().unwrap_or_default().to_owned();
        self.running.lock().push(Running { machine: id.to_owned(), sandbox, dir, gate: child });
    }

    fn end(&self, id: &str) {
        let mut running = self.running.lock();
        if let Some(at) = running.iter().position(|one| one.machine == id) {
            running.remove(at).end();
        }
    }
}

impl Running {
    fn end(mut self) {
        loop {
            let left = process::of_sandbox(&self.dir);
            let _ = self.gate.kill();
            let _ = self.gate.wait();
            if left.is_empty() {
                break;
            }
            for found in left {
                let pid = nix::unistd::Pid::from_raw(found.pid);
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for one in self.running.lock().drain(..) {
            one.end();
        }
    }
}

/// A machine of these does nothing.
struct Empty;

impl fly::Boot for Empty {
    fn start(&self, _: &str, _: Ipv4Addr, _: &Value) {}
    fn end(&self, _: &str) {}
}

pub struct Cloud {
    fly: Fly,
    machines: Option<Arc<Machines>>,
}

impl Cloud {
    pub async fn start() -> Self {
        let root = TempDir::with_prefix("vlt").expect("a temporary folder");
        let machines = Arc::new(Machines { root, running: Mutex::default() });
        let fly = Fly::start(TOKEN, fly::Delays::default(), Arc::clone(&machines) as Arc<dyn fly::Boot>).await;
        Self { fly: fly.expect("a server"), machines: Some(machines) }
    }

    async fn of_empty_machines() -> Self {
        let fly = Fly::start(TOKEN, fly::Delays::default(), Arc::new(Empty)).await.expect("a server");
        Self { fly, machines: None }
    }

    fn with(&self, change: impl FnOnce(&mut FlyConfig)) -> FlyProvider {
        let mut config =
            FlyConfig::new(Secret::new(TOKEN), "valet-test".to_owned(), "registry.fly.io/valet".to_owned());
        config.url = self.fly.served.url();
        config.regions = ["iad", "ord"].map(str::to_owned).to_vec();
        config.gate_port = GATE_PORT;
        change(&mut config);
        FlyProvider::new(config)
    }

    fn faults(&self) -> &valet_vendors::Faults {
        self.fly.served.faults()
    }
}

impl Subject for Cloud {
    type Provider = FlyProvider;

    fn provider(&self) -> FlyProvider {
        self.with(|_| ())
    }

    fn left_of(&self, id: SandboxId) -> usize {
        let machines = self.fly.living(MARK, &id.to_string());
        let sandbox = id.to_string();
        let running = self
            .machines
            .as_ref()
            .map_or(0, |machines| machines.running.lock().iter().filter(|one| one.sandbox == sandbox).count());
        assert_eq!(self.fly.served.violations(), [], "the contract is kept");
        machines + running
    }
}

fn marked() -> ProvisionRequest {
    ProvisionRequest { run: Some(RunId(Uuid::now_v7())), ..request(Uuid::now_v7(), &[]) }
}

fn id_of(request: &ProvisionRequest) -> SandboxId {
    SandboxId(request.sandbox_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machines_browser_is_driven_and_reads_files_that_were_sent_to_it() {
    let cloud = Cloud::start().await;
    let provider = cloud.with(|config| config.live_view = Some("https://{app}.fly.dev/view/{machine}".to_owned()));
    let asked = marked();
    let id = id_of(&asked);
    assert_eq!(provider.provision(&asked).await.expect("ready").state, SandboxState::Ready);
    let path = provider.stage_file(&id, Uuid::now_v7(), "résumé 1.pdf", b"%PDF").await.expect("staged");
    assert_eq!(std::fs::read(&path).expect("the file"), b"%PDF");
    assert!(path.ends_with("résumé 1.pdf"));
    let outside = provider.stage_file(&id, Uuid::now_v7(), "../x", b"").await.expect_err("refused");
    assert_eq!(outside.class(), FailureClass::Caller);
    let raw = Raw::new(provider.attach(&id, FenceNumber(1)).await.expect("attached"));
    assert_eq!(raw.script("return 6 * 7").await, 42);
    let view = provider.live_view(&id).await.expect("a view").url;
    assert!(view.starts_with("https://valet-test.fly.dev/view/"), "{view}");
    provider.attach(&id, FenceNumber(2)).await.expect("taken over");
    assert_ne!(
        raw.post("execute/sync", json!({"script": "return 1", "args": []})).await.0,
        200,
        "the old key is refused"
    );
    provider.destroy(&id).await.expect("destroyed");
    assert_eq!(cloud.left_of(id), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_region_is_followed_by_the_next_and_a_full_fly_has_no_room() {
    let cloud = Cloud::of_empty_machines().await;
    cloud.fly.fill(&["iad"]);
    let asked = marked();
    cloud.provider().request(&asked).await.expect("a machine elsewhere");
    assert_eq!(cloud.fly.machines()[0].2, "ord");
    cloud.fly.fill(&["iad", "ord"]);
    let full = cloud.provider().request(&marked()).await.expect_err("no room");
    assert!(matches!(&full, SandboxError::NoRoom { detail, .. } if detail.contains("iad") && detail.contains("ord")));
    assert!(full.class() == FailureClass::Capacity && full.is_retryable());
    cloud.fly.fill(&[]);
    cloud.fly.allow(Some(1));
    assert_eq!(cloud.provider().request(&marked()).await.expect_err("too many").class(), FailureClass::Quota);
    let denied = cloud.with(|config| config.token = Secret::new("another")).request(&marked()).await;
    let denied = denied.expect_err("a wrong token");
    assert_eq!(denied.class(), FailureClass::Auth);
    assert!(!denied.to_string().contains("another"), "no token is shown");
    cloud.provider().destroy(&id_of(&asked)).await.expect("destroyed");
    assert_eq!(cloud.left_of(id_of(&asked)), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_of_the_pool_is_taken_by_one_and_started_once_it_has_settled() {
    let cloud = Cloud::start().await;
    let provider = cloud.provider();
    provider.add_to_pool().await.expect("one more");
    assert!(provider.list().await.expect("a list").is_empty(), "what waits is no sandbox");
    let (first, second) = (marked(), marked());
    let other = cloud.provider();
    let (one, two) = tokio::join!(provider.request(&first), other.request(&second));
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    assert_eq!(cloud.fly.machines().len(), 2, "one of the pool, one new");
    // Right after it was made a start is answered with 412.
    assert_eq!(provider.ready(&id_of(&first)).await.expect("ready").state, SandboxState::Ready);
    assert_eq!(provider.ready(&id_of(&second)).await.expect("ready").state, SandboxState::Ready);
    let calls = cloud.fly.served.calls();
    assert!(calls.iter().any(|call| call.path.ends_with("/start") && call.status == 200), "the pool's was started");
    for asked in [first, second] {
        provider.destroy(&id_of(&asked)).await.expect("destroyed");
        assert_eq!(cloud.left_of(id_of(&asked)), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_nobody_knows_is_waited_for_and_one_that_ended_is_gone() {
    let cloud = Cloud::start().await;
    let provider = cloud.with(|config| config.start_within = Duration::from_secs(2));
    let asked = marked();
    let id = id_of(&asked);
    cloud.fly.say(Some("hibernating"));
    provider.request(&asked).await.expect("asked for");
    let waiting = provider.ready(&id).await.expect_err("not ready");
    assert!(waiting.is_retryable() && waiting.to_string().contains("hibernating"), "{waiting}");
    cloud.fly.say(None);
    cloud.provider().ready(&id).await.expect("ready after all");
    provider.stop(&id).await.expect("stopped");
    assert_eq!(provider.ready(&id).await.expect_err("gone").class(), FailureClass::Gone);
    provider.destroy(&id).await.expect("destroyed");
    assert_eq!(cloud.left_of(id), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_keep_to_the_limit() {
    const AT_ONCE: usize = 8;
    let cloud = Cloud::of_empty_machines().await;
    let provider = Arc::new(cloud.provider());
    let begun = Instant::now();
    let asked: Vec<_> = (0..AT_ONCE).map(|_| marked()).collect();
    let made = futures::future::join_all(asked.iter().map(|one| provider.request(one))).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    assert!(begun.elapsed() >= Duration::from_millis(4_900), "two at once, then one a second");
    let told_off = cloud.fly.served.calls().iter().filter(|call| call.status == 429).count();
    assert_eq!((told_off, cloud.fly.machines().len()), (0, AT_ONCE));
    for one in &asked {
        provider.destroy(&id_of(one)).await.expect("destroyed");
    }
    assert!(cloud.fly.machines().is_empty());
    assert_eq!(cloud.fly.served.violations(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_on_the_way_no_machine_is_doubled_and_none_is_left() {
    const FAULTS: [Fault; 7] = [
        Fault::TooMany { retry_after_s: Some(0) },
        Fault::TooMany { retry_after_s: None },
        Fault::Status(500),
        Fault::Status(504),
        Fault::NotHeard,
        Fault::AnswerLost,
        Fault::Malformed,
    ];
    let cloud = Cloud::of_empty_machines().await;
    for seed in 1..=6 {
        let guarded = Guarded::new(Arc::new(cloud.provider()));
        let asked = marked();
        let id = id_of(&asked);
        cloud.faults().at_random(seed, 0.4, &FAULTS);
        let mut tries = 0;
        let made = loop {
            tries += 1;
            match guarded.request(&asked).await {
                Ok(made) => break Some(made),
                Err(SandboxError::Resting { .. }) => break None,
                Err(error) => assert!(error.is_retryable() && tries < 60, "seed {seed}: {error:?}"),
            }
        };
        assert!(cloud.fly.ever_made(MARK, &id.to_string()) <= 1, "seed {seed}: doubled; {made:?}");
        let mut tries = 0;
        while let Err(error) = guarded.destroy(&id).await {
            tries += 1;
            assert!(error.is_retryable() && tries < 60, "seed {seed}: {error:?}");
        }
        cloud.faults().none();
        assert_eq!(cloud.left_of(id), 0, "seed {seed}");
    }
}
