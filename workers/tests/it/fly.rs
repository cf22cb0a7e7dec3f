//! Tier 3 against the local Fly: machines whose gates and browsers are real ones on this machine, each at an address of its own.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;
use valet_core::RunId;
use valet_vendors::fly::{self, Processes};
use valet_vendors::{Call, Fault, Fly};
use valet_workers::sandbox::fly::{FlyConfig, FlyProvider};
use valet_workers::sandbox::guarded::Guarded;
use valet_workers::sandbox::process::{self, MARKER};
use valet_workers::sandbox::{
    FailureClass, FenceNumber, ProvisionRequest, SandboxError, SandboxId, SandboxProvider, SandboxState,
};
use valet_workers::vendor::Secret;

use super::conformance::Subject;
use super::rig::{Raw, Rig, eventually, request};

const TOKEN: &str = "a-token-nobody-may-see";
const GATE_PORT: u16 = 7400;
const MARK: &str = "valet_sandbox";

/// What runs in a machine runs here: a gate with a browser of this machine, at the machine's address.
fn gate_of_a_machine(folder: &Path, address: Ipv4Addr, config: &Value) -> std::io::Result<Command> {
    let file = config["files"][0]["raw_value"].as_str().expect("a file");
    let mut gate: Value = serde_json::from_slice(&STANDARD.decode(file).expect("base64"))?;
    for part in ["profile", "uploads", "downloads", "logs"] {
        std::fs::create_dir_all(folder.join(part))?;
    }
    let here = Rig::config_at(folder);
    gate["sandbox_dir"] = json!(folder);
    gate["kind"] = json!(here.kind);
    gate["driver"] = json!(here.driver);
    gate["browser"] = json!(here.browser);
    (gate["headless"], gate["display"]) = (json!(true), Value::Null);
    gate["listen"] = json!(format!("{address}:{GATE_PORT}"));
    let path = folder.join("gate.json");
    std::fs::write(&path, gate.to_string())?;
    let mut command = Command::new(&here.gate_command[0]);
    command.arg("--config").arg(&path).env(MARKER, folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

/// A machine of these does nothing.
struct Empty;

impl fly::Boot for Empty {
    fn start(&self, _: &str, _: Ipv4Addr, _: &Value) -> std::io::Result<()> {
        Ok(())
    }

    fn has_ended(&self, _: &str) -> bool {
        false
    }

    fn end(&self, _: &str) {}
}

pub struct Cloud {
    fly: Fly,
    machines: Option<Arc<Processes>>,
    _root: TempDir,
}

impl Cloud {
    pub async fn start() -> Self {
        let root = TempDir::with_prefix("vlt").expect("a temporary folder");
        let machines = Arc::new(Processes::new(root.path(), gate_of_a_machine));
        let boot = Arc::clone(&machines) as Arc<dyn fly::Boot>;
        let fly = Fly::start(TOKEN, fly::Delays::default(), boot).await.expect("a server");
        Self { fly, machines: Some(machines), _root: root }
    }

    async fn of_empty_machines() -> Self {
        let root = TempDir::with_prefix("vlt").expect("a temporary folder");
        let fly = Fly::start(TOKEN, fly::Delays::default(), Arc::new(Empty)).await.expect("a server");
        Self { fly, machines: None, _root: root }
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

    fn machines_made(&self) -> usize {
        let made = |call: &&Call| call.method == "POST" && call.path.ends_with("/machines") && call.status == 200;
        self.fly.served.calls().iter().filter(made).count()
    }
}

impl Subject for Cloud {
    type Provider = FlyProvider;

    fn provider(&self) -> FlyProvider {
        self.with(|_| ())
    }

    fn left_of(&self, id: SandboxId) -> usize {
        let id = id.to_string();
        let folders = self.machines.as_ref().map(|machines| machines.folders(MARK, &id)).unwrap_or_default();
        let running: usize = folders.iter().map(|dir| process::of_sandbox(dir).len() + usize::from(dir.exists())).sum();
        assert_eq!(self.fly.served.violations(), [], "the contract is kept");
        self.fly.living(MARK, &id) + running
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
    // One worker's, which keeps to the pace.
    let provider = cloud.provider();
    cloud.fly.fill(&["iad"]);
    let asked = marked();
    provider.request(&asked).await.expect("a machine elsewhere");
    assert_eq!(cloud.fly.machines()[0].2, "ord");
    cloud.fly.fill(&["iad", "ord"]);
    let full = provider.request(&marked()).await.expect_err("no room");
    assert!(matches!(&full, SandboxError::NoRoom { detail, .. } if detail.contains("iad") && detail.contains("ord")));
    assert!(full.class() == FailureClass::Capacity && full.is_retryable());
    cloud.fly.fill(&[]);
    cloud.fly.allow(Some(1));
    assert_eq!(provider.request(&marked()).await.expect_err("too many").class(), FailureClass::Quota);
    let denied = cloud.with(|config| config.token = Secret::new("another")).request(&marked()).await;
    let denied = denied.expect_err("a wrong token");
    assert_eq!(denied.class(), FailureClass::Auth);
    assert!(!denied.to_string().contains("another"), "no token is shown");
    provider.destroy(&id_of(&asked)).await.expect("destroyed");
    assert_eq!(cloud.left_of(id_of(&asked)), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_of_the_pool_is_taken_by_one_and_started_once_it_has_settled() {
    let cloud = Cloud::start().await;
    let provider = cloud.provider();
    provider.fill_pool(1).await.expect("one more");
    provider.fill_pool(1).await.expect("it is there");
    assert_eq!(cloud.machines_made(), 1);
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
async fn a_pool_of_another_image_is_made_anew() {
    let cloud = Cloud::of_empty_machines().await;
    cloud.provider().fill_pool(1).await.expect("one");
    let next = cloud.with(|config| config.image = "registry.fly.io/valet:2".to_owned());
    next.request(&marked()).await.expect("one of its own");
    assert_eq!(cloud.machines_made(), 2, "those of another image are not taken");
    next.fill_pool(1).await.expect("one");
    eventually("only what waits with the new image is left, and the sandbox", || cloud.fly.machines().len() == 2).await;
    assert_eq!(cloud.machines_made(), 3);
    assert_eq!(cloud.fly.served.violations(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_ends_with_its_lease_and_destroys_itself() {
    let cloud = Cloud::start().await;
    let provider = cloud.provider();
    let asked = ProvisionRequest { lease: Duration::from_secs(20), ..marked() };
    let id = id_of(&asked);
    provider.provision(&asked).await.expect("ready");
    provider.renew(&id, Duration::from_secs(1)).await.expect("a shorter one");
    eventually("it is gone", || cloud.left_of(id) == 0).await;
    for error in [
        provider.ready(&id).await.err(),
        provider.attach(&id, FenceNumber(1)).await.err(),
        provider.renew(&id, Duration::from_secs(9)).await.err(),
    ] {
        assert_eq!(error.expect("nothing is there").class(), FailureClass::Gone);
    }
    assert!(matches!(provider.request(&asked).await, Err(SandboxError::Destroyed(_))), "it is spent");
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
    const FAULTS: [Fault; 11] = [
        Fault::TooMany { retry_after_s: Some(0) },
        Fault::TooMany { retry_after_s: None },
        Fault::Status(408),
        Fault::Status(412),
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(504),
        Fault::SlowBody(Duration::from_millis(50)),
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
