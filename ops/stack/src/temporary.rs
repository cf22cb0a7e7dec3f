//! Directories for stacks that live as long as a test, and the end of those whose test was killed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::bounds::{TEMPORARY_LEFTOVER_AGE, TEMPORARY_LEFTOVERS};
use crate::config::StackConfig;
use crate::error::StackError;
use crate::home::Home;
use crate::lock::HomeLock;
use crate::postgres_server;
use crate::redis_server;
use crate::server_user::ServerUser;
use crate::state::StateFile;

const PREFIX: &str = "valet-stack-";

/// A new directory that the servers' user can enter.
pub(crate) async fn directory() -> Result<TempDir, StackError> {
    let usual = std::env::temp_dir();
    let user = ServerUser::choose(Path::new("/nonexistent")).await?;
    let base = if user.can_enter(&usual).await { usual } else { PathBuf::from("/tmp") };
    let mode = if user.is_other() { 0o711 } else { 0o700 };
    let directory = tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(fs::Permissions::from_mode(mode))
        .tempdir_in(&base)
        .map_err(StackError::io("create a directory in", &base))?;
    // The file system's own clock, which also dated the leftovers.
    if let Ok(now) = fs::metadata(directory.path()).and_then(|made| made.modified()) {
        clear_leftovers(&base, now).await;
    }
    Ok(directory)
}

/// Best effort: what cannot be cleared is left for the next one.
async fn clear_leftovers(base: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    let leftovers = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .map(|entry| entry.path())
        .filter(|dir| is_leftover(dir, now))
        .take(TEMPORARY_LEFTOVERS);
    for dir in leftovers {
        if let Err(error) = clear(&dir).await {
            tracing::warn!(dir = %dir.display(), %error, "cannot clear what a killed test left");
        }
    }
}

/// Ours, and its lock is old enough not to be one that is just being set up.
fn is_leftover(dir: &Path, now: SystemTime) -> bool {
    let own = |path: &Path| fs::symlink_metadata(path).ok().filter(|found| found.uid() == geteuid().as_raw());
    let Some(found) = own(dir) else {
        return false;
    };
    let lock = own(&dir.join("data/stack.lock")).unwrap_or(found);
    let age = lock.modified().ok().and_then(|at| now.duration_since(at).ok());
    age.is_some_and(|age| age > TEMPORARY_LEFTOVER_AGE)
}

async fn clear(dir: &Path) -> Result<(), StackError> {
    if dir.join("data").exists() {
        let home = Home::prepare(&StackConfig::new(dir)).await?;
        // Refused while its test runs, however long that takes.
        let _lock = match HomeLock::take(&home.lock(), &home.root) {
            Err(StackError::Held { .. }) => return Ok(()),
            taken => taken?,
        };
        redis_server::end_leftovers(&home).await?;
        postgres_server::end_leftovers(&home).await?;
        if let Some(recorded) = StateFile::load(home.state()).get().postgres {
            home.forget_socket_dir(&recorded.socket_dir);
        }
    }
    fs::remove_dir_all(dir).map_err(StackError::io("remove", dir))
}
