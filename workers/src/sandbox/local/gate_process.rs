//! Starts the gate of a sandbox: the first, and the one that follows a gate that was killed.

use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use super::folder::Folder;
use super::record::Record;
use super::{END_WITHIN, LocalProvider, gone};
use crate::gate::state::unix_ms;
use crate::gate::{GateConfig, GatePhase, GateState};
use crate::sandbox::process::{self, MARKER, ProcessRef};
use crate::sandbox::secret::secret;
use crate::sandbox::{ProvisionRequest, Sandbox, SandboxError, SandboxId};

/// Between two looks at a starting gate.
const POLL: Duration = Duration::from_millis(25);
/// How much of a failed gate's log goes into the error.
const LOG_TAIL_BYTES: usize = 800;
/// The gate's configuration in the sandbox's folder.
const CONFIG_FILE: &str = "gate.json";

impl LocalProvider {
    /// A gate with a new browser, in a folder that was made for it.
    pub(super) async fn start(&self, folder: &Folder, request: &ProvisionRequest) -> Result<Sandbox, SandboxError> {
        let id = folder.id();
        let io = |action: &'static str| move |source| SandboxError::Io { id, action, source };
        let mut record = Record::new(id, request);
        record.write(folder).map_err(io("write the record of"))?;
        folder.write(CONFIG_FILE, &self.gate_config(folder, request, &record)).map_err(io("configure the gate of"))?;

        let mut child = self.spawn_gate(folder).map_err(io("start the gate of"))?;
        record.gate = child_ref(&child);
        record.write(folder).map_err(io("write the record of"))?;
        let state = self.came_up(folder, &mut child).await?;
        record.adopt(&state);
        record.write(folder).map_err(io("write the record of"))?;
        // A destroy that came meanwhile could not take the lock; it left its mark.
        if folder.is_destroyed() {
            process::end_sandbox(folder.dir(), None, END_WITHIN).await;
            return Err(SandboxError::Destroyed(id));
        }
        Ok(record.sandbox(Some(&state)))
    }

    /// Another gate for the browser that a killed one left. Nothing is done where the gate lives.
    pub(super) async fn revive(&self, id: SandboxId) -> Result<(), SandboxError> {
        let folder = self.folder(id);
        let _lock = folder.lock().await?;
        if folder.is_destroyed() {
            return Err(SandboxError::Destroyed(id));
        }
        // Read under the lock: another worker may have been here a moment ago.
        let (_, mut record, state) = self.known(id)?;
        if !record.is_of_this_boot() {
            return Err(gone(id, "the machine was restarted"));
        }
        if state.gate.is_some_and(|gate| gate.is_alive()) {
            return Ok(());
        }
        if state.phase == GatePhase::Ended || !state.browser.is_some_and(|browser| browser.is_alive()) {
            return Err(gone(id, "its browser ended"));
        }
        let left_ms = state.lease_until_ms.saturating_sub(unix_ms());
        if left_ms == 0 {
            return Err(gone(id, "its lease ended"));
        }
        let followed = self.follow(&folder, &mut record, &state, left_ms.div_ceil(1000)).await;
        // A browser without a gate reaches nobody; one that no gate can be had for is of no use.
        match followed {
            Err(error @ SandboxError::StartFailed { .. }) => {
                process::end_sandbox(folder.dir(), None, END_WITHIN).await;
                Err(gone(id, &format!("its gate was killed and none could follow: {error}")))
            }
            followed => followed,
        }
    }

    async fn follow(
        &self,
        folder: &Folder,
        record: &mut Record,
        state: &GateState,
        lease_s: u64,
    ) -> Result<(), SandboxError> {
        let id = folder.id();
        let io = |action: &'static str| move |source| SandboxError::Io { id, action, source };
        let mut config: GateConfig = folder.read(CONFIG_FILE).map_err(io("read the gate's configuration of"))?;
        config.adopt = true;
        config.lease_s = lease_s;
        config.fence = state.fence;
        if state.fence > 0 {
            config.fence_key = record.fence_key(state.fence);
        }
        if config.kind == self.config.kind {
            config.driver.clone_from(&self.config.driver);
        }
        config.limits = self.config.limits;
        folder.write(CONFIG_FILE, &config).map_err(io("configure the gate of"))?;
        tracing::warn!(sandbox = %id, "the gate was killed; another one takes its browser over");
        let mut child = self.spawn_gate(folder).map_err(io("start the gate of"))?;
        record.adopt(&self.came_up(folder, &mut child).await?);
        record.write(folder).map_err(io("write the record of"))
    }

    fn gate_config(&self, folder: &Folder, request: &ProvisionRequest, record: &Record) -> GateConfig {
        GateConfig {
            sandbox_dir: folder.dir().to_owned(),
            control_secret: record.control_secret.clone(),
            fence: 0,
            fence_key: secret(),
            lease_s: request.lease.as_secs().max(1),
            kind: self.config.kind,
            driver: self.config.driver.clone(),
            browser: self.config.browser.clone(),
            headless: request.headless,
            display: self.config.display.clone(),
            xvfb: self.config.xvfb.clone(),
            adopt: false,
            listen: None,
            window_px: self.config.window_px,
            allowed_hosts: request.allowed_hosts.clone(),
            allow_private: request.allow_private.clone(),
            limits: self.config.limits,
        }
    }

    fn spawn_gate(&self, folder: &Folder) -> io::Result<Child> {
        let (program, arguments) = self.config.gate_command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.dir().join("logs/gate.log"))?;
        Command::new(program)
            .args(arguments)
            .arg("--config")
            .arg(folder.dir().join(CONFIG_FILE))
            .env(MARKER, folder.dir())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C at the worker's terminal is not meant for the browser.
            .process_group(0)
            .spawn()
    }

    /// Waits until this gate, not one before it, has its browser.
    async fn came_up(&self, folder: &Folder, gate: &mut Child) -> Result<GateState, SandboxError> {
        let deadline = Instant::now() + self.config.start_within;
        let failed = |reason: String| SandboxError::StartFailed { id: folder.id(), reason };
        let process = child_ref(gate);
        loop {
            if let Ok(state) = GateState::read(folder.dir())
                && state.phase == GatePhase::Ready
                && state.gate == process
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
}

fn child_ref(child: &Child) -> Option<ProcessRef> {
    ProcessRef::of(i32::try_from(child.id()?).ok()?)
}
