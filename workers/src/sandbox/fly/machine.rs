//! A machine as Fly tells of it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Only what is looked at; Fly adds fields as it likes.
#[derive(Clone, Debug, Deserialize)]
pub struct Machine {
    pub id: String,
    pub state: String,
    #[serde(default)]
    pub instance_id: Option<String>,
    #[serde(default)]
    pub private_ip: Option<String>,
    #[serde(default)]
    config: Option<Config>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Up,
    /// On its way up.
    Coming,
    /// Up once it is started.
    Asleep,
    /// Ended, or on its way there.
    Gone,
    /// Fly has a new word.
    Unknown,
}

impl Machine {
    pub fn mark(&self, name: &str) -> Option<&str> {
        self.config.as_ref()?.metadata.get(name).map(String::as_str)
    }

    pub fn standing(&self) -> Standing {
        match self.state.as_str() {
            "started" => Standing::Up,
            "creating" | "starting" | "restarting" | "updating" | "replacing" => Standing::Coming,
            "created" | "stopped" | "suspended" => Standing::Asleep,
            "stopping" | "suspending" | "destroying" | "destroyed" | "replaced" | "migrated" | "failed"
            | "launch_failed" => Standing::Gone,
            _ => Standing::Unknown,
        }
    }
}
