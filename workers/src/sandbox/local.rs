//! The local tier: a browser on the worker's own machine, Chromium or Firefox, headless or with a window nobody sees, one folder per sandbox.
//!
//! `{root}/{id}/` holds `sandbox.json` (what is needed to find and clean it), the gate's configuration and state, the browser's profile,
//! staged files and logs. The gate is a process of its own, so a sandbox outlives its worker; `destroy` finds every process from the
//! folder alone. `{root}/.destroyed/{id}` remembers for a day that an id is spent, so that a late provision cannot leak a browser.
//! A gate that was killed is followed by another at the next attach, which takes over the same browser and page.

pub(super) mod folder;
mod gate_process;
mod host;
pub(super) mod record;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use uuid::Uuid;

use super::gate_client::{GateAnswer, GateClient};
use super::process;
use super::{
    Attachment, FenceNumber, ProvisionRequest, Sandbox, SandboxError, SandboxId, SandboxKind, SandboxProvider,
    SandboxState,
};
use crate::gate::{BrowserKind, EgressRule, GateLimits, GateState};
use folder::Folder;
use record::Record;

/// Between two looks at a gate whose driver is being started anew.
const SESSION_POLL: Duration = Duration::from_millis(50);
/// To end all processes of a sandbox.
const END_WITHIN: Duration = Duration::from_secs(10);
/// To remove the folder, with all its processes ended anew before each.
const REMOVE_ATTEMPTS: u32 = 3;

#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// Where the sandboxes' folders are made. Keep it short: Unix sockets of the browser lie below.
    pub root: PathBuf,
    /// Program and arguments that run [`crate::gate::run`]; `--config <file>` is appended.
    pub gate_command: Vec<String>,
    /// What new sandboxes get; those that are there keep what they have.
    pub kind: BrowserKind,
    pub driver: PathBuf,
    pub browser: PathBuf,
    /// X display for browsers with a window; without one each gets an X server of its own.
    pub display: Option<String>,
    pub xvfb: PathBuf,
    /// Sandboxes on this machine at once, over all workers that share the root.
    pub max_sandboxes: Option<u32>,
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
            kind: BrowserKind::Chromium,
            driver: "/usr/bin/chromedriver".into(),
            browser: "/usr/bin/chromium".into(),
            display: None,
            xvfb: "/usr/bin/Xvfb".into(),
            max_sandboxes: None,
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

    /// Where the sandboxes' folders are.
    pub fn root(&self) -> &Path {
        &self.config.root
    }

    /// As it is found in the processes of sandboxes.
    pub(super) fn absolute_root(&self) -> PathBuf {
        std::path::absolute(&self.config.root).unwrap_or_else(|_| self.config.root.clone())
    }

    pub(super) fn folder(&self, id: SandboxId) -> Folder {
        Folder::new(&self.config.root, id)
    }

    /// The sandbox an earlier call made, if its browser is still there.
    async fn live(&self, folder: &Folder) -> Option<Sandbox> {
        let record = Record::read(folder).ok()?;
        let state = GateState::read(folder.dir()).ok()?;
        let sandbox = record.sandbox(Some(&state));
        (sandbox.state == SandboxState::Ready
            && self.gate.status(here(state.gate_port), &record.control_secret).await.is_ok())
        .then_some(sandbox)
    }

    /// The same.
    fn check_programs(&self, id: SandboxId) -> Result<(), SandboxError> {
        let config = &self.config;
        let settings = match config.kind {
            BrowserKind::Chromium => ["VALET_CHROMIUM", "VALET_CHROMEDRIVER"],
            BrowserKind::Firefox => ["VALET_FIREFOX", "VALET_GECKODRIVER"],
        };
        let missing =
            [&config.browser, &config.driver].into_iter().zip(settings).find(|(program, _)| !program.is_file());
        missing.map_or(Ok(()), |(program, setting)| {
            let reason =
                format!("there is no {} on this machine: install it, or name it by {setting}", program.display());
            Err(SandboxError::StartFailed { id, reason })
        })
    }

    /// Found missing before anything is started.
    fn check_display(&self, request: &ProvisionRequest) -> Result<(), SandboxError> {
        let config = &self.config;
        if request.headless || config.display.is_some() || config.xvfb.is_file() {
            return Ok(());
        }
        let reason =
            format!("a browser with a window needs {}; Debian's package `xvfb` brings it", config.xvfb.display());
        Err(SandboxError::StartFailed { id: SandboxId(request.sandbox_id), reason })
    }

    /// The gate as it is once this fence is its key, of a new gate where the last was killed.
    async fn rekeyed(&self, id: SandboxId, fence: FenceNumber) -> Result<(Record, GateState), SandboxError> {
        let mut revived = false;
        loop {
            let (_, record, state) = self.known(id)?;
            let key = record.fence_key(fence.0);
            match self.gate.rekey(here(state.gate_port), &record.control_secret, &key, fence.0).await {
                Ok(state) => return Ok((record, state)),
                Err(GateAnswer::Stale { current }) => {
                    return Err(SandboxError::StaleFence { id, offered: fence.0, current });
                }
                // A refusal comes from whoever has the port now.
                Err(_) if !revived => self.revive(id).await?,
                Err(error) => return Err(SandboxError::Silent { id, reason: error.to_string() }),
            }
            revived = true;
        }
    }

    /// The session as soon as there is one: a driver that is being started anew has none for a moment.
    async fn session(&self, record: &Record, mut state: GateState) -> Result<(String, GateState), SandboxError> {
        let id = record.id;
        let deadline = Instant::now() + self.config.start_within;
        loop {
            if let Some(session) = state.session_id.clone() {
                return Ok((session, state));
            }
            if Instant::now() >= deadline {
                return Err(SandboxError::Silent { id, reason: "it has no browser session".into() });
            }
            tokio::time::sleep(SESSION_POLL).await;
            let asked = self.gate.status(here(state.gate_port), &record.control_secret).await;
            state = asked.map_err(|error| gone(id, &error.to_string()))?;
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
    fn name(&self) -> &'static str {
        "local"
    }

    fn kind(&self) -> SandboxKind {
        SandboxKind::Local
    }

    /// Answers once it is ready: a browser on one's own machine takes no longer to start than to ask for.
    async fn request(&self, request: &ProvisionRequest) -> Result<Sandbox, SandboxError> {
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
        self.check_programs(id)?;
        self.check_display(request)?;
        clean(&folder).await?;
        self.take_place(&folder).await?;
        let started = self.start(&folder, request).await;
        if started.is_err() {
            // Best effort: the error that stopped the start is the one to tell, and destroy cleans whatever is left.
            let _ = process::end_sandbox(folder.dir(), None, END_WITHIN).await;
        }
        started
    }

    async fn ready(&self, id: &SandboxId) -> Result<Sandbox, SandboxError> {
        let folder = self.folder(*id);
        let deadline = Instant::now() + self.config.start_within;
        loop {
            let record = Record::read(&folder).map_err(|_| SandboxError::NotFound(*id))?;
            let sandbox = record.sandbox(GateState::read(folder.dir()).ok().as_ref());
            match sandbox.state {
                SandboxState::Ready => return Ok(sandbox),
                SandboxState::Unguarded => self.revive(*id).await?,
                SandboxState::Lost => return Err(gone(*id, "its browser ended")),
                SandboxState::Starting if Instant::now() >= deadline => {
                    return Err(SandboxError::Silent { id: *id, reason: "it is still starting".into() });
                }
                SandboxState::Starting => tokio::time::sleep(SESSION_POLL).await,
            }
        }
    }

    async fn attach(&self, id: &SandboxId, fence: FenceNumber) -> Result<Attachment, SandboxError> {
        let (record, state) = self.rekeyed(*id, fence).await?;
        let key = record.fence_key(fence.0);
        let (session_id, state) = self.session(&record, state).await?;
        Ok(Attachment {
            sandbox: *id,
            fence,
            webdriver_url: format!("http://127.0.0.1:{}/{key}/", state.gate_port),
            session_id,
            capabilities: state.capabilities,
        })
    }

    async fn renew(&self, id: &SandboxId, lease: Duration) -> Result<(), SandboxError> {
        let lease_s = lease.as_secs().max(1);
        let (_, record, state) = self.known(*id)?;
        if self.gate.renew(here(state.gate_port), &record.control_secret, lease_s).await.is_ok() {
            return Ok(());
        }
        self.revive(*id).await?;
        let (_, record, state) = self.known(*id)?;
        let renewed = self.gate.renew(here(state.gate_port), &record.control_secret, lease_s).await;
        renewed.map_err(|error| SandboxError::Silent { id: *id, reason: error.to_string() })
    }

    async fn stage_file(
        &self,
        id: &SandboxId,
        file: Uuid,
        filename: &str,
        content: &[u8],
    ) -> Result<PathBuf, SandboxError> {
        let folder = self.folder(*id);
        if Record::read(&folder).is_err() {
            return Err(SandboxError::NotFound(*id));
        }
        let plain = std::path::Path::new(filename).file_name().is_some_and(|name| name == filename);
        if !plain || filename.contains(['\0', '\n']) {
            return Err(SandboxError::InvalidRequest("a file name is one plain part of a path".into()));
        }
        let io = |source| SandboxError::Io { id: *id, action: "stage a file for", source };
        // Two files may have one name; the site sees the name only.
        let own = folder.dir().join("uploads").join(file.simple().to_string());
        tokio::fs::create_dir_all(&own).await.map_err(io)?;
        let path = own.join(filename);
        tokio::fs::write(&path, content).await.map_err(io)?;
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
pub(super) async fn clean(folder: &Folder) -> Result<(), SandboxError> {
    let id = folder.id();
    let mut attempts_left = REMOVE_ATTEMPTS;
    loop {
        let left = process::end_sandbox(folder.dir(), None, END_WITHIN).await;
        if left > 0 {
            return Err(SandboxError::Leftover { id, left });
        }
        attempts_left -= 1;
        match folder.remove() {
            // Written to meanwhile, by one that was started while the processes were listed.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && attempts_left > 0 => {}
            removed => {
                return removed.map_err(|source| SandboxError::Io { id, action: "remove the folder of", source });
            }
        }
    }
}

/// Gates of this machine.
fn here(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn gone(id: SandboxId, reason: &str) -> SandboxError {
    SandboxError::Gone { id, reason: reason.to_owned() }
}
