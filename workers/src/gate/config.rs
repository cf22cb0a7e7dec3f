//! What a gate is told at its start, in a file only its owner can read.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{GateError, HostPort};

/// Which browser a sandbox has, and with it which driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrowserKind {
    /// Behind chromedriver.
    #[default]
    Chromium,
    /// Behind geckodriver.
    Firefox,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct GateConfig {
    /// The sandbox's folder; profile, logs and the gate's state are inside.
    pub sandbox_dir: PathBuf,
    /// Bearer of the control endpoint.
    pub control_secret: String,
    /// Nobody holds this first fence: who wants to send commands re-keys first.
    pub fence: u64,
    pub fence_key: String,
    pub lease_s: u64,
    #[serde(default)]
    pub kind: BrowserKind,
    /// The program that drives a browser of this kind.
    pub driver: PathBuf,
    pub browser: PathBuf,
    pub headless: bool,
    /// X display for a browser with a window; without one the gate starts its own.
    pub display: Option<String>,
    #[serde(default = "default_xvfb")]
    pub xvfb: PathBuf,
    /// A former gate of this sandbox was killed: take over the browser it left instead of starting one.
    #[serde(default)]
    pub adopt: bool,
    /// Where it is reached, on a machine of its own; loopback and any port without.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    pub window_px: (u32, u32),
    pub allowed_hosts: Vec<String>,
    pub allow_private: Vec<HostPort>,
    #[serde(default)]
    pub limits: GateLimits,
}

fn default_xvfb() -> PathBuf {
    "/usr/bin/Xvfb".into()
}

impl GateConfig {
    pub fn read(path: &Path) -> Result<Self, GateError> {
        let text = std::fs::read(path).map_err(|source| GateError::ReadConfig { path: path.to_owned(), source })?;
        serde_json::from_slice(&text).map_err(|source| GateError::ParseConfig { path: path.to_owned(), source })
    }

    pub(super) fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_s)
    }

    /// Files to hand in.
    pub fn uploads_dir(&self) -> PathBuf {
        self.sandbox_dir.join("uploads")
    }

    pub fn profile_dir(&self) -> PathBuf {
        self.sandbox_dir.join("profile")
    }

    pub fn downloads_dir(&self) -> PathBuf {
        self.sandbox_dir.join("downloads")
    }

    pub fn home_dir(&self) -> PathBuf {
        self.sandbox_dir.join("home")
    }

    pub fn logs_dir(&self) -> PathBuf {
        self.sandbox_dir.join("logs")
    }
}

/// The gate's bounds; the defaults are for real sites.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct GateLimits {
    /// A click or a script that takes longer is stuck: the driver itself answers within its script timeout (45 s).
    pub command_ms: u64,
    /// Loading a page; the driver itself gives up after its page load timeout (75 s).
    pub navigation_ms: u64,
    /// How long a command that was given up may still hold the driver before the next is let through.
    pub linger_ms: u64,
    /// Commands that wait for the one in flight. One worker sends one at a time, so more is a mistake.
    pub queue: usize,
    /// The driver prints its port within a second; a machine under load takes longer.
    pub driver_start_ms: u64,
    /// A new session starts the browser.
    pub session_start_ms: u64,
    /// A driver that ends so often without working for a while in between will not get better.
    pub driver_restarts_max: u32,
    /// Before a new driver is started; what killed the last one may still be at it.
    pub restart_pause_ms: u64,
    /// How long a command waits for a new driver. It is up in about a second; a machine under load takes longer.
    pub restart_wait_ms: u64,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            command_ms: 60_000,
            navigation_ms: 90_000,
            linger_ms: 30_000,
            queue: 16,
            driver_start_ms: 20_000,
            session_start_ms: 60_000,
            driver_restarts_max: 5,
            restart_pause_ms: 200,
            restart_wait_ms: 30_000,
        }
    }
}
