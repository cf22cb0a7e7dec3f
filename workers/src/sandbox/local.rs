//! The local tier: a headless Chromium on the worker's own machine, one folder per sandbox.
//!
//! `{root}/{id}/` holds `sandbox.json` (what is needed to find and clean it), the gate's configuration and state, the browser's profile,
//! staged files and logs. The gate is a process of its own, so a sandbox outlives its worker; `destroy` finds every process from the
//! folder alone. `{root}/.destroyed/{id}` remembers for a day that an id is spent, so that a late provision cannot leak a browser.

mod folder;
mod gate_client;
mod host;
mod record;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rand::RngExt as _;
use sha2::{Digest, Sha256};
use tokio::process::{Child, Command};

use super::process::{self, MARKER, ProcessRef};
use super::{
    Attachment, FenceNumber, ProvisionRequest, Sandbox, SandboxError, SandboxId, SandboxKind, SandboxProvider,
    SandboxState,
};
use crate::gate::{EgressRule, GateConfig, GateLimits, GatePhase, GateState};
pub use host::host_id;

use folder::Folder;
use gate_client::{GateAnswer, GateClient};
use record::Record;

/// Between two looks at a starting gate.
const POLL: Duration = Duration::from_millis(25);
/// To end all processes of a sandbox.
const END_WITHIN: Duration = Duration::from_secs(10);
/// How much of a failed gate's log goes into the error.
const LOG_TAIL_BYTES: usize = 800;

#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// Where the sandboxes' folders are made. Keep it short: Unix sockets of the browser lie below.
    pub root: PathBuf,
    /// Program and arguments that run [`crate::gate::run`]; `--config <file>` is appended.
    pub gate_command: Vec<String>,
    pub chromedriver: PathBuf,
    pub browser: PathBuf,
    /// X display for a browser with a window.
    pub display: Option<String>,
    pub window_px: (u32, u32),
    /// From the gate's start until the browser is ready.
    pub start_within: Duration,
    pub limits: GateLimits,
}

impl LocalConfig {
    pub fn new(root: PathBuf, gate_command: Vec<String>) -> Self {
        Self {
            root,
            gate_command,
            chromedriver: "/usr/bin/chromedriver".into(),
            browser: "/usr/bin/chromium".into(),
            display: None,
            window_px: (1280, 1000),
            start_within: Duration::from_mins(1),
            limits: GateLimits::default(),
        }
    }
}

pub struct LocalProvider {
    config: LocalConfig,
    gate: GateClient,
}

impl LocalProvider {
    pub fn new(config: LocalConfig) -> Self {
        Self { config, gate: GateClient::new() }
    }

    fn folder(&self, id: SandboxId) -> Folder {
        Folder::new(&self.config.root, id)
    }

    /// The sandbox an earlier call made, if its browser is still there.
    async fn live(&self, folder: &Folder) -> Option<Sandbox> {
        let record = Record::read(folder).ok()?;
        let state = GateState::read(folder.dir()).ok()?;
        let sandbox = record.sandbox(Some(&state));
        (sandbox.state == SandboxState::Ready
            && self.gate.status(state.gate_port, &record.control_secret).await.is_ok())
        .then_some(sandbox)
    }

    async fn start(&self, folder: &Folder, request: &ProvisionRequest) -> Result<Sandbox, SandboxError> {
        let id = folder.id();
        let io = |action: &'static str| move |source| SandboxError::Io { id, action, source };
        folder.make().map_err(io("make the folder of"))?;
        let mut record = Record::new(id, request);
        record.write(folder).map_err(io("write the record of"))?;
        folder.write("gate.json", &self.gate_config(folder, request, &record)).map_err(io("configure the gate of"))?;

        let mut child = self.spawn_gate(folder).map_err(io("start the gate of"))?;
        record.gate = child.id().and_then(|pid| ProcessRef::of(i32::try_from(pid).ok()?));
        record.write(folder).map_err(io("write the record of"))?;
        let state = self.ready(folder, &mut child).await?;
        record.adopt(&state);
        record.write(folder).map_err(io("write the record of"))?;
        // A destroy that came meanwhile could not take the lock; it left its mark.
        if folder.is_destroyed() {
            process::end_sandbox(folder.dir(), None, END_WITHIN).await;
            return Err(SandboxError::Destroyed(id));
        }
        Ok(record.sandbox(Some(&state)))
    }

    fn gate_config(&self, folder: &Folder, request: &ProvisionRequest, record: &Record) -> GateConfig {
        GateConfig {
            sandbox_dir: folder.dir().to_owned(),
            control_secret: record.control_secret.clone(),
            fence: 0,
            fence_key: secret(),
            lease_s: request.lease.as_secs().max(1),
            chromedriver: self.config.chromedriver.clone(),
            browser: self.config.browser.clone(),
            headless: request.headless,
            display: self.config.display.clone(),
            window_px: self.config.window_px,
            allowed_hosts: request.allowed_hosts.clone(),
            allow_private: request.allow_private.clone(),
            limits: self.config.limits,
        }
    }

    fn spawn_gate(&self, folder: &Folder) -> std::io::Result<Child> {
        let (program, arguments) = self.config.gate_command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.dir().join("logs/gate.log"))?;
        Command::new(program)
            .args(arguments)
            .arg("--config")
            .arg(folder.dir().join("gate.json"))
            .env(MARKER, folder.dir())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C at the worker's terminal is not meant for the browser.
            .process_group(0)
            .spawn()
    }

    async fn ready(&self, folder: &Folder, gate: &mut Child) -> Result<GateState, SandboxError> {
        let deadline = Instant::now() + self.config.start_within;
        let failed = |reason: String| SandboxError::StartFailed { id: folder.id(), reason };
        loop {
            if let Ok(state) = GateState::read(folder.dir())
                && state.phase == GatePhase::Ready
            {
                return Ok(state);
            }
            if let Ok(Some(status)) = gate.try_wait() {
                return Err(failed(format!(
                    "the gate ended with {status}: {}",
                    folder.tail("logs/gate.log", LOG_TAIL_BYTES)
                )));
            }
            if Instant::now() >= deadline {
                return Err(failed(format!("not ready within {:?}", self.config.start_within)));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn known(&self, id: SandboxId) -> Result<(Folder, Record, GateState), SandboxError> {
        let folder = self.folder(id);
        let record = Record::read(&folder).map_err(|_| SandboxError::NotFound(id))?;
        let state = GateState::read(folder.dir()).map_err(|_| gone(id, "its gate never came up"))?;
        Ok((folder, record, state))
    }
}

#[async_trait]
impl SandboxProvider for LocalProvider {
    fn kind(&self) -> SandboxKind {
        SandboxKind::Local
    }

    async fn provision(&self, request: &ProvisionRequest) -> Result<Sandbox, SandboxError> {
        let id = SandboxId(request.sandbox_id);
        EgressRule::new(&request.allowed_hosts, &request.allow_private)
            .map_err(|error| SandboxError::InvalidRequest(error.to_string()))?;
        let folder = self.folder(id);
        let _lock = folder.lock().await?;
        if folder.is_destroyed() {
            return Err(SandboxError::Destroyed(id));
        }
        if let Some(sandbox) = self.live(&folder).await {
            self.renew(&id, request.lease).await?;
            return Ok(sandbox);
        }
        clean(&folder).await?;
        let started = self.start(&folder, request).await;
        if started.is_err() {
            // Best effort: the error that stopped the start is the one to tell, and destroy cleans whatever is left.
            let _ = process::end_sandbox(folder.dir(), None, END_WITHIN).await;
        }
        started
    }

    async fn attach(&self, id: &SandboxId, fence: FenceNumber) -> Result<Attachment, SandboxError> {
        let (_, record, state) = self.known(*id)?;
        let session_id = state.session_id.clone().ok_or_else(|| gone(*id, "it has no browser session yet"))?;
        // Derived, so that a holder that lost the answer gets the same key again, and any other number another one.
        let key = hex(&Sha256::digest(format!("{}/fence/{}", record.control_secret, fence.0)));
        match self.gate.rekey(state.gate_port, &record.control_secret, &key, fence.0).await {
            Ok(()) => {}
            Err(GateAnswer::Stale { current }) => {
                return Err(SandboxError::StaleFence { id: *id, offered: fence.0, current });
            }
            Err(error) => return Err(gone(*id, &error.to_string())),
        }
        Ok(Attachment {
            sandbox: *id,
            fence,
            webdriver_url: format!("http://127.0.0.1:{}/{key}/", state.gate_port),
            session_id,
            capabilities: state.capabilities,
        })
    }

    async fn renew(&self, id: &SandboxId, lease: Duration) -> Result<(), SandboxError> {
        let (_, record, state) = self.known(*id)?;
        let renewed = self.gate.renew(state.gate_port, &record.control_secret, lease.as_secs().max(1)).await;
        renewed.map_err(|error| gone(*id, &error.to_string()))
    }

    async fn stage_file(&self, id: &SandboxId, filename: &str, content: &[u8]) -> Result<PathBuf, SandboxError> {
        let folder = self.folder(*id);
        if Record::read(&folder).is_err() {
            return Err(SandboxError::NotFound(*id));
        }
        let plain = std::path::Path::new(filename).file_name().is_some_and(|name| name == filename);
        if !plain || filename.contains(['\0', '\n']) {
            return Err(SandboxError::InvalidRequest("a file name is one plain part of a path".into()));
        }
        let path = folder.dir().join("uploads").join(filename);
        tokio::fs::write(&path, content).await.map_err(|source| SandboxError::Io {
            id: *id,
            action: "stage a file for",
            source,
        })?;
        Ok(path)
    }

    async fn destroy(&self, id: &SandboxId) -> Result<(), SandboxError> {
        let folder = self.folder(*id);
        folder.mark_destroyed().map_err(|source| SandboxError::Io { id: *id, action: "mark the end of", source })?;
        // Before the lock: a provision that is under way fails at once when its processes go.
        process::end_sandbox(folder.dir(), None, END_WITHIN).await;
        let _lock = folder.lock().await?;
        clean(&folder).await?;
        folder.forget();
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Sandbox>, SandboxError> {
        let ids = folder::ids(&self.config.root).map_err(SandboxError::List)?;
        Ok(ids
            .into_iter()
            .map(|id| {
                let folder = self.folder(id);
                let state = GateState::read(folder.dir()).ok();
                Record::read(&folder).unwrap_or_else(|_| Record::unreadable(id)).sandbox(state.as_ref())
            })
            .collect())
    }
}

/// Ends what runs and removes the folder.
async fn clean(folder: &Folder) -> Result<(), SandboxError> {
    let id = folder.id();
    let left = process::end_sandbox(folder.dir(), None, END_WITHIN).await;
    if left > 0 {
        return Err(SandboxError::Leftover { id, left });
    }
    folder.remove().map_err(|source| SandboxError::Io { id, action: "remove the folder of", source })
}

fn gone(id: SandboxId, reason: &str) -> SandboxError {
    SandboxError::Gone { id, reason: reason.to_owned() }
}

/// 256 random bits.
fn secret() -> String {
    hex(&rand::rng().random::<[u8; 32]>())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
