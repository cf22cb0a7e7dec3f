//! A sandbox's folder, its lock and the mark that it was destroyed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::gate::state::{unix_ms, write_private};
use crate::gate::{GateState, browser_tmp, display};
use crate::sandbox::{SandboxError, SandboxId};

/// Whoever holds the lock is starting or ending the sandbox; a start that was killed from outside lets go within moments.
const LOCK_WITHIN: Duration = Duration::from_secs(15);
const LOCK_POLL: Duration = Duration::from_millis(25);
/// A provision that slept longer than this and then goes on is not to be expected.
const DESTROYED_KEPT: Duration = Duration::from_hours(24);
const LOCKS: &str = ".locks";
/// Among the locks of sandboxes, whose names are their ids.
const ROOT_LOCK: &str = "root";
const DESTROYED: &str = ".destroyed";

pub type Lock = Flock<File>;

pub struct Folder {
    root: PathBuf,
    dir: PathBuf,
    id: SandboxId,
}

impl Folder {
    pub fn new(root: &Path, id: SandboxId) -> Self {
        // Compared with what is found in /proc, so it must not depend on who looks from where.
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        Self { dir: root.join(id.to_string()), root, id }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn id(&self) -> SandboxId {
        self.id
    }

    pub fn make(&self) -> io::Result<()> {
        private_dir(&self.dir)?;
        for part in ["profile", "uploads", "downloads", "logs"] {
            private_dir(&self.dir.join(part))?;
        }
        Ok(())
    }

    pub fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        write_private(&self.dir.join(name), &serde_json::to_vec_pretty(value)?)
    }

    pub fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<T> {
        Ok(serde_json::from_slice(&fs::read(self.dir.join(name))?)?)
    }

    /// The end of a text file, for an error message.
    pub fn tail(&self, name: &str, bytes: usize) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(self.dir.join(name))?;
            let length = file.metadata()?.len();
            file.seek(io::SeekFrom::Start(length.saturating_sub(bytes as u64)))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            Ok(text)
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).trim().to_owned()
    }

    /// Held by the process, so the kernel lets go of it when the process is killed.
    pub async fn lock(&self) -> Result<Lock, SandboxError> {
        let deadline = Instant::now() + LOCK_WITHIN;
        loop {
            let tried = self.try_lock().map_err(|source| SandboxError::Io { id: self.id, action: "lock", source })?;
            match tried {
                Some(lock) => return Ok(lock),
                None if Instant::now() >= deadline => return Err(SandboxError::Busy(self.id)),
                None => tokio::time::sleep(LOCK_POLL).await,
            }
        }
    }

    /// `None` while somebody else has it.
    pub fn try_lock(&self) -> io::Result<Option<Lock>> {
        try_lock(&self.root, &self.id.to_string())
    }

    pub fn is_destroyed(&self) -> bool {
        self.root.join(DESTROYED).join(self.id.to_string()).exists()
    }

    pub fn mark_destroyed(&self) -> io::Result<()> {
        let marks = self.root.join(DESTROYED);
        private_dir(&marks)?;
        for mark in fs::read_dir(&marks)?.flatten() {
            let made = mark.metadata().and_then(|data| data.modified());
            let made_ms = made.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_millis());
            let now_ms = u128::from(unix_ms());
            if made_ms.is_some_and(|made_ms| now_ms.saturating_sub(made_ms) > DESTROYED_KEPT.as_millis()) {
                let _ = fs::remove_file(mark.path());
            }
        }
        File::create(marks.join(self.id.to_string())).map(drop)
    }

    pub fn remove(&self) -> io::Result<()> {
        if let Some(display) = GateState::read(&self.dir).ok().and_then(|state| state.display) {
            display::remove_traces(display);
        }
        for folder in [&browser_tmp(&self.dir), &self.dir] {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes the lock's file, by its holder.
    pub fn forget(&self) {
        let _ = fs::remove_file(self.root.join(LOCKS).join(self.id.to_string()));
    }
}

/// The lock of the whole root: held for moments, while sandboxes are counted.
pub async fn lock_root(root: &Path) -> io::Result<Lock> {
    let deadline = Instant::now() + LOCK_WITHIN;
    loop {
        match try_lock(root, ROOT_LOCK)? {
            Some(lock) => return Ok(lock),
            None if Instant::now() >= deadline => return Err(io::ErrorKind::TimedOut.into()),
            None => tokio::time::sleep(LOCK_POLL).await,
        }
    }
}

fn try_lock(root: &Path, name: &str) -> io::Result<Option<Lock>> {
    let locks = root.join(LOCKS);
    private_dir(&locks)?;
    let path = locks.join(name);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        // A lock on a file that was removed meanwhile excludes nobody.
        Ok(lock) => Ok(same_file(&lock, &path).then_some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

/// Ids of all folders under the root.
pub fn ids(root: &Path) -> io::Result<Vec<SandboxId>> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut ids: Vec<SandboxId> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    ids.sort_unstable();
    Ok(ids)
}

pub fn private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn same_file(lock: &File, path: &Path) -> bool {
    let inode = |data: io::Result<fs::Metadata>| data.map(|data| (data.dev(), data.ino())).ok();
    inode(lock.metadata()) == inode(fs::metadata(path))
}
