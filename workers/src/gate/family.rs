//! What differs between the kinds of browsers a gate can keep: how their drivers are called, and what a session is asked for.
//!
//! Everything here only describes; processes are started and drivers asked by others. A new kind is one more implementation.

use std::ffi::OsString;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::chrome::Chrome;
use super::config::{BrowserKind, GateConfig};
use super::firefox::Firefox;

/// The driver's own limits, shorter than the gate's so that its more precise error arrives first.
const SCRIPT_TIMEOUT_MS: u64 = 45_000;
const PAGE_LOAD_TIMEOUT_MS: u64 = 75_000;

pub trait Family: Send + Sync {
    /// Arguments of a driver that starts a browser, or of one that joins the browser at this address.
    fn driver_arguments(&self, config: &GateConfig, join: Option<&str>) -> Vec<OsString>;

    /// What the browser inherits beside the sandbox's environment.
    fn environment(&self) -> &'static [(&'static str, &'static str)];

    /// The port, if this is the line with which the driver says that it listens.
    fn port_in(&self, line: &str) -> Option<u16>;

    /// What starts a browser.
    fn new_session(&self, config: &GateConfig, proxy: SocketAddr) -> Value;

    /// What joins the browser at this address, which [`Family::new_session`] of an earlier driver started.
    fn joining_session(&self, join: &str) -> Value;

    /// Whether a tab has the same name for another driver. Where not, it is found again by its place among them.
    fn tab_names_last(&self) -> bool;

    /// The browser's first process.
    fn process_id(&self, capabilities: &Value) -> Option<i64>;

    /// Where another driver joins the browser.
    fn join_address(&self, config: &GateConfig, capabilities: &Value) -> Option<String>;
}

impl BrowserKind {
    pub(super) fn family(self) -> &'static dyn Family {
        match self {
            Self::Chromium => &Chrome,
            Self::Firefox => &Firefox,
        }
    }
}

/// A session as every browser is asked for it, with what is the browser's own.
pub fn session(name: &str, own: Option<(&str, Value)>) -> Value {
    let mut wanted = json!({
        "browserName": name,
        "pageLoadStrategy": "normal",
        "acceptInsecureCerts": false,
        "unhandledPromptBehavior": "dismiss and notify",
        "timeouts": {"script": SCRIPT_TIMEOUT_MS, "pageLoad": PAGE_LOAD_TIMEOUT_MS, "implicit": 0},
    });
    if let Some((name, options)) = own {
        wanted[name] = options;
    }
    json!({"capabilities": {"firstMatch": [{}], "alwaysMatch": wanted}})
}
