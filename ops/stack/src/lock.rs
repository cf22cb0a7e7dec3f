//! One owner per home: an advisory lock that the kernel releases when its holder dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::StackError;

/// Held for as long as this value lives. The servers do not inherit it: files are closed on exec.
#[derive(Debug)]
pub(crate) struct HomeLock {
    _file: File,
}

impl HomeLock {
    pub(crate) fn take(path: &Path, home: &Path) -> Result<Self, StackError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(StackError::io("open", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(StackError::io("read", path))?;
                return Err(StackError::Held {
                    dir: home.to_owned(),
                    // Empty for the instant between the holder's lock and its line.
                    pid: pid.trim().parse().unwrap_or(0),
                });
            }
            Err(TryLockError::Error(error)) => return Err(StackError::io("lock", path)(error)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(StackError::io("write", path))?;
        Ok(Self { _file: file })
    }
}
