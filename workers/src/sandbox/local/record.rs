//! `sandbox.json`: what must survive the worker so that another can use or clean the sandbox. Readable by its owner only.

use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use valet_core::RunId;

use super::folder::Folder;
use crate::gate::state::unix_ms;
use crate::gate::{GatePhase, GateState};
use crate::sandbox::process::ProcessRef;
use crate::sandbox::secret::{hex, secret};
use crate::sandbox::{ProvisionRequest, Sandbox, SandboxId, SandboxKind, SandboxState};

const FILE: &str = "sandbox.json";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
pub struct Record {
    version: u32,
    pub id: SandboxId,
    #[serde(default)]
    run: Option<RunId>,
    /// Pids mean nothing after a reboot.
    boot_id: String,
    created_ms: u64,
    lease_until_ms: u64,
    headless: bool,
    allowed_hosts: Vec<String>,
    pub control_secret: String,
    pub gate: Option<ProcessRef>,
    gate_port: Option<u16>,
    driver: Option<ProcessRef>,
    driver_port: Option<u16>,
    browser: Option<ProcessRef>,
    session_id: Option<String>,
    debugger_address: Option<String>,
    capabilities: serde_json::Value,
}

impl Record {
    pub fn new(id: SandboxId, request: &ProvisionRequest) -> Self {
        let now = unix_ms();
        Self {
            run: request.run,
            created_ms: now,
            lease_until_ms: now + u64::try_from(request.lease.as_millis()).unwrap_or(u64::MAX / 2),
            headless: request.headless,
            allowed_hosts: request.allowed_hosts.clone(),
            control_secret: secret(),
            ..Self::unreadable(id)
        }
    }

    /// Stands for a folder whose record was never written or is damaged: something is there and is to be cleaned.
    pub fn unreadable(id: SandboxId) -> Self {
        Self {
            version: VERSION,
            id,
            run: None,
            boot_id: boot_id(),
            created_ms: 0,
            lease_until_ms: 0,
            headless: true,
            allowed_hosts: Vec::new(),
            control_secret: String::new(),
            gate: None,
            gate_port: None,
            driver: None,
            driver_port: None,
            browser: None,
            session_id: None,
            debugger_address: None,
            capabilities: serde_json::Value::Null,
        }
    }

    pub fn read(folder: &Folder) -> io::Result<Self> {
        let record: Self = serde_json::from_slice(&std::fs::read(folder.dir().join(FILE))?)?;
        if record.version == VERSION && record.id == folder.id() {
            Ok(record)
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    pub fn write(&self, folder: &Folder) -> io::Result<()> {
        folder.write(FILE, self)
    }

    pub fn adopt(&mut self, state: &GateState) {
        self.gate = state.gate;
        self.gate_port = Some(state.gate_port);
        self.driver = state.driver;
        self.driver_port = state.driver_port;
        self.browser = state.browser;
        self.session_id.clone_from(&state.session_id);
        self.debugger_address.clone_from(&state.debugger_address);
        self.capabilities.clone_from(&state.capabilities);
    }

    pub fn sandbox(&self, gate: Option<&GateState>) -> Sandbox {
        Sandbox {
            id: self.id,
            run: self.run,
            kind: if self.headless { SandboxKind::Local } else { SandboxKind::LocalHeaded },
            state: self.state(gate),
            created_ms: self.created_ms,
            lease_until_ms: gate.map_or(self.lease_until_ms, |gate| gate.lease_until_ms),
            session_id: gate.and_then(|gate| gate.session_id.clone()),
            debugger_address: gate.and_then(|gate| gate.debugger_address.clone()),
            fence: gate.map_or(0, |gate| gate.fence),
        }
    }

    fn state(&self, gate: Option<&GateState>) -> SandboxState {
        if !self.is_of_this_boot() {
            return SandboxState::Lost;
        }
        let process = gate.and_then(|gate| gate.gate).or(self.gate);
        let guarded = process.is_some_and(|process| process.is_alive());
        let browser = gate.and_then(|gate| gate.browser).map(|browser| browser.is_alive());
        match gate.map(|gate| gate.phase) {
            Some(GatePhase::Ready) if guarded && browser != Some(false) => SandboxState::Ready,
            None | Some(GatePhase::Starting) if guarded => SandboxState::Starting,
            Some(GatePhase::Starting | GatePhase::Ready) if !guarded && browser == Some(true) => {
                SandboxState::Unguarded
            }
            _ => SandboxState::Lost,
        }
    }

    /// Pids of another boot mean nothing.
    pub fn is_of_this_boot(&self) -> bool {
        self.boot_id == boot_id()
    }

    /// The key of a fence. Derived, so that a holder that lost the answer gets the same key again, any other number another one, and
    /// a gate that follows a killed one the key of its holder.
    pub fn fence_key(&self, fence: u64) -> String {
        hex(&Sha256::digest(format!("{}/fence/{fence}", self.control_secret)))
    }
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
