//! A sandbox of the local tier under a temporary folder, and the assertion that nothing of it is left.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;
use valet_workers::browser::{AgentLimits, WebDriverAgent};
use valet_workers::gate::{BrowserKind, GateState};
use valet_workers::sandbox::local::{LocalConfig, LocalProvider};
use valet_workers::sandbox::process::{self, ProcessRef};
use valet_workers::sandbox::{Attachment, FenceNumber, ProvisionRequest, Sandbox, SandboxId, SandboxProvider};

use super::site::Site;

/// Set to `firefox`, tests that are not about one kind of browser have Firefox instead of Chromium.
const BROWSER: &str = "VALET_TEST_BROWSER";

pub struct Rig {
    pub provider: LocalProvider,
    kind: BrowserKind,
    root: TempDir,
}

/// The same property with either kind of browser: a test for each, named after both.
macro_rules! with_either_browser {
    ($($property:ident),+ $(,)?) => {$(
        mod $property {
            use valet_workers::gate::BrowserKind;

            #[tokio::test(flavor = "multi_thread")]
            async fn in_chromium() {
                super::$property(BrowserKind::Chromium).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn in_firefox() {
                super::$property(BrowserKind::Firefox).await;
            }
        }
    )+};
}
pub(crate) use with_either_browser;

impl Rig {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    pub fn of(kind: BrowserKind) -> Self {
        Self::of_with(kind, |_| ())
    }

    /// With a configuration that is not the usual one.
    pub fn with(change: impl FnOnce(&mut LocalConfig)) -> Self {
        Self::of_with(usual_kind(), change)
    }

    pub fn of_with(kind: BrowserKind, change: impl FnOnce(&mut LocalConfig)) -> Self {
        let root = TempDir::with_prefix("vlt").expect("a temporary folder");
        let mut config = Self::config_of(root.path(), kind);
        change(&mut config);
        Self { provider: LocalProvider::new(config), kind, root }
    }

    pub fn config_at(root: &Path) -> LocalConfig {
        Self::config_of(root, usual_kind())
    }

    fn config_of(root: &Path, kind: BrowserKind) -> LocalConfig {
        let mut config = LocalConfig::new(root.to_owned(), vec![env!("CARGO_BIN_EXE_valet-gate").into()]);
        if kind == BrowserKind::Firefox {
            config.kind = kind;
            config.browser = program(&["firefox-esr", "firefox"]);
            config.driver = program(&["geckodriver"]);
        }
        config
    }

    /// Another worker's provider of the same folder.
    pub fn provider_at(root: &Path) -> LocalProvider {
        LocalProvider::new(Self::config_at(root))
    }

    pub fn other_worker(&self) -> LocalProvider {
        LocalProvider::new(Self::config_of(self.root.path(), self.kind))
    }

    pub fn dir(&self, id: Uuid) -> std::path::PathBuf {
        self.root.path().join(id.to_string())
    }

    /// A ready sandbox that may reach these sites.
    pub async fn sandbox(&self, sites: &[&Site]) -> Sandbox {
        self.provider.provision(&request(Uuid::now_v7(), sites)).await.expect("a sandbox")
    }

    pub async fn agent(&self, id: SandboxId, fence: u64) -> WebDriverAgent {
        self.agent_with(id, fence, AgentLimits::default()).await
    }

    pub async fn agent_with(&self, id: SandboxId, fence: u64, limits: AgentLimits) -> WebDriverAgent {
        let attachment = self.provider.attach(&id, FenceNumber(fence)).await.expect("an attachment");
        WebDriverAgent::attach(attachment, limits).await.expect("an agent")
    }

    /// A fresh sandbox with an agent in it.
    pub async fn browser(&self, sites: &[&Site]) -> (Sandbox, WebDriverAgent) {
        let sandbox = self.sandbox(sites).await;
        let agent = self.agent(sandbox.id, 1).await;
        (sandbox, agent)
    }

    pub fn state(&self, id: SandboxId) -> GateState {
        GateState::read(&self.dir(id.0)).expect("the gate's state")
    }

    /// Kills the sandbox's driver; returns when nothing listens on its port any more, which is later than the process's end.
    pub async fn kill_driver(&self, id: SandboxId) {
        let state = self.state(id);
        kill(state.driver).await;
        let port = state.driver_port.expect("a port");
        eventually("the port is closed", || std::net::TcpStream::connect(("127.0.0.1", port)).is_err()).await;
    }

    /// What the gate's proxy let pass and what it refused.
    pub async fn egress(&self, id: SandboxId) -> Value {
        let record = std::fs::read(self.dir(id.0).join("sandbox.json")).expect("the sandbox's record");
        let record: Value = serde_json::from_slice(&record).expect("json");
        let url = format!("http://127.0.0.1:{}/control/status", self.state(id).gate_port);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let asked = reqwest::Client::new().post(url).bearer_auth(record["control_secret"].as_str().expect("a secret"));
        let status = asked.timeout(Duration::from_secs(30)).send().await.expect("an answer of the gate");
        let status: Value = serde_json::from_str(&status.text().await.expect("its text")).expect("json");
        status["egress"].clone()
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn processes(&self, id: Uuid) -> usize {
        process::of_sandbox(&self.dir(id)).len()
    }
}

impl Drop for Rig {
    /// A test that fails leaves no browser behind either.
    fn drop(&mut self) {
        let ids = std::fs::read_dir(self.root.path()).into_iter().flatten().flatten().map(|entry| entry.path());
        let dirs: Vec<_> = ids.filter(|dir| dir.is_dir()).collect();
        let deadline = Instant::now() + Duration::from_secs(5);
        for dir in dirs {
            while Instant::now() < deadline {
                let left = process::of_sandbox(&dir);
                if left.is_empty() {
                    break;
                }
                for found in left {
                    let _ = nix::sys::signal::kill(
                        nix::unistd::Pid::from_raw(found.pid),
                        nix::sys::signal::Signal::SIGKILL,
                    );
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn usual_kind() -> BrowserKind {
    match std::env::var(BROWSER).as_deref() {
        Err(_) | Ok("chromium") => BrowserKind::Chromium,
        Ok("firefox") => BrowserKind::Firefox,
        Ok(other) => panic!("{BROWSER} is `chromium` or `firefox`, not `{other}`"),
    }
}

/// The first of these programs there is, where a person or `ops/test` installs it.
fn program(names: &[&str]) -> PathBuf {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([home.join(".cargo/bin"), cache.join("valet/tools/bin")]);
    let found = folders.flat_map(|folder| names.iter().map(move |name| folder.join(name))).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{} is not installed; `ops/test` brings it", names.join(" or ")))
}

pub fn request(id: Uuid, sites: &[&Site]) -> ProvisionRequest {
    ProvisionRequest {
        sandbox_id: id,
        run: None,
        allowed_hosts: sites.iter().map(|site| site.host_port()).collect(),
        allow_private: sites.iter().map(|site| site.host_port().parse().expect("host and port")).collect(),
        headless: true,
        lease: Duration::from_mins(2),
        callback: None,
    }
}

/// As the kernel does when memory runs out; returns when the process is gone.
pub async fn kill(process: Option<ProcessRef>) {
    let process = process.expect("a known process");
    nix::sys::signal::kill(Pid::from_raw(process.pid), Signal::SIGKILL).expect("killed");
    eventually("a killed process is gone", || !process.is_alive()).await;
}

/// WebDriver without an agent: what the gate itself answers.
pub struct Raw {
    pub attachment: Attachment,
    http: reqwest::Client,
}

impl Raw {
    pub fn new(attachment: Attachment) -> Self {
        // The client wants one, though everything is on loopback in the clear. Another test may have set it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { attachment, http: reqwest::Client::new() }
    }

    pub async fn get(&self, what: &str) -> (u16, Value) {
        self.send(self.http.get(self.url(what))).await
    }

    pub async fn post(&self, what: &str, body: Value) -> (u16, Value) {
        self.send(self.http.post(self.url(what)).body(body.to_string())).await
    }

    /// The value, which must have been given.
    pub async fn good(&self, what: &str, body: Value) -> Value {
        let (status, value) = self.post(what, body).await;
        assert_eq!(status, 200, "{what}: {value}");
        value
    }

    pub async fn script(&self, script: &str) -> Value {
        self.good("execute/sync", json!({"script": script, "args": []})).await
    }

    fn url(&self, what: &str) -> String {
        format!("{}session/{}/{what}", self.attachment.webdriver_url, self.attachment.session_id)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = request.timeout(Duration::from_secs(30)).send().await.expect("an answer of the gate");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("its text");
        let mut value: Value = serde_json::from_str(&text).expect("json");
        (status, value["value"].take())
    }
}

/// Waits until the condition holds, for at most ten seconds.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
