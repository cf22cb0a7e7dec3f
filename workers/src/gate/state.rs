//! What the gate tells the world about itself, in a file beside its configuration. Holds no key and no secret.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::sandbox::process::ProcessRef;

/// Name of the file in the sandbox's folder.
pub const STATE_FILE: &str = "gate-state.json";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatePhase {
    Starting,
    Ready,
    Ended,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GateState {
    pub phase: GatePhase,
    pub gate: Option<ProcessRef>,
    pub gate_port: u16,
    pub proxy_port: Option<u16>,
    /// Where the browser was told its proxy is. It cannot be told another, so a later gate must serve it here.
    #[serde(default)]
    pub proxy_address: Option<SocketAddr>,
    /// The X server the gate started for the browser's window.
    #[serde(default)]
    pub display: Option<DisplayRef>,
    pub driver: Option<ProcessRef>,
    pub driver_port: Option<u16>,
    pub browser: Option<ProcessRef>,
    pub session_id: Option<String>,
    /// Where another driver joins the same browser: Chromium's debugger, Firefox's Marionette.
    pub debugger_address: Option<String>,
    pub capabilities: serde_json::Value,
    /// The tab that commands go to.
    #[serde(default)]
    pub window: Option<String>,
    /// Its place among all tabs, for a driver that knows it by another name.
    #[serde(default)]
    pub window_place: usize,
    /// How often the driver was started anew for the same browser.
    #[serde(default)]
    pub driver_restarts: u32,
    pub fence: u64,
    pub lease_until_ms: u64,
}

/// An X server of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisplayRef {
    pub number: u32,
    pub server: ProcessRef,
    /// `None` where it could not be looked at.
    #[serde(default)]
    pub socket: Option<SocketRef>,
}

/// Tells an X server's socket from one that another server made later under the same number; file systems give an inode's number away again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketRef {
    pub inode: u64,
    /// Seconds and nanoseconds since 1970.
    pub made: (i64, i64),
}

impl GateState {
    pub(super) fn starting(gate: Option<ProcessRef>, gate_port: u16, fence: u64, lease: Duration) -> Self {
        Self {
            phase: GatePhase::Starting,
            gate,
            gate_port,
            proxy_port: None,
            proxy_address: None,
            display: None,
            driver: None,
            driver_port: None,
            browser: None,
            session_id: None,
            debugger_address: None,
            capabilities: serde_json::Value::Null,
            window: None,
            window_place: 0,
            driver_restarts: 0,
            fence,
            lease_until_ms: unix_ms() + u64::try_from(lease.as_millis()).unwrap_or(u64::MAX / 2),
        }
    }

    /// The state of a killed gate, for the one that takes its browser over. The fence does not go back.
    pub(super) fn adopting(self, gate: Option<ProcessRef>, gate_port: u16, fence: u64, lease: Duration) -> Self {
        let fresh = Self::starting(gate, gate_port, self.fence.max(fence), lease);
        Self {
            proxy_port: self.proxy_port,
            proxy_address: self.proxy_address,
            display: self.display,
            browser: self.browser,
            debugger_address: self.debugger_address,
            capabilities: self.capabilities,
            window: self.window,
            window_place: self.window_place,
            driver_restarts: self.driver_restarts,
            ..fresh
        }
    }

    pub fn read(sandbox_dir: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(sandbox_dir.join(STATE_FILE))?)?)
    }

    pub(super) fn write(&self, sandbox_dir: &Path) -> io::Result<()> {
        write_private(&sandbox_dir.join(STATE_FILE), &serde_json::to_vec_pretty(self)?)
    }
}

/// Replaces the file as a whole, readable by its owner only. A reader sees the old text or the new one.
pub(crate) fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let next = path.with_extension("next");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    file.write_all(text)?;
    drop(file);
    std::fs::rename(&next, path)
}

#[expect(clippy::disallowed_methods, reason = "this is the edge where the gate's and the provider's clock is read")]
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
