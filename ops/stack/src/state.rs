//! `stack.json`: which servers run, so that the next start can adopt or stop what a killed one left.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::error::StackError;
use crate::files;
use crate::process::Identity;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) postgres: Option<PostgresState>,
    pub(crate) redis: Option<RedisState>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PostgresState {
    /// `None` while the server is stopped; its places are kept for the next start.
    pub(crate) process: Option<Identity>,
    pub(crate) socket_dir: PathBuf,
    pub(crate) tcp_port: Option<u16>,
    /// The configuration it was started with: a leftover with another one is not adopted.
    pub(crate) fingerprint: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RedisState {
    pub(crate) process: Option<Identity>,
    pub(crate) port: u16,
    pub(crate) fingerprint: String,
}

/// The state and its file; both servers write their part as they start and stop.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    state: Mutex<State>,
}

impl StateFile {
    /// An unreadable file counts as empty: leftovers are then found by their working directory.
    pub(crate) fn load(path: PathBuf) -> Self {
        let state =
            fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self { path, state: Mutex::new(state) }
    }

    pub(crate) fn get(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) -> Result<(), StackError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        write(&self.path, &state)
    }
}

fn write(path: &Path, state: &State) -> Result<(), StackError> {
    let text = serde_json::to_string_pretty(state).map_err(|error| StackError::io("write", path)(error.into()))?;
    files::replace(path, &text, None)
}
