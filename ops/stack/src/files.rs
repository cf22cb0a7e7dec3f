//! Writing files and directories that another user's server reads, without following what it planted.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::bounds::{LOG_MAX_BYTES, LOG_TAIL_BYTES, LOG_TAIL_LINES};
use crate::error::StackError;

/// A user and group to own a file; `None` leaves it with whoever runs this program.
pub(crate) type Owner = Option<(u32, u32)>;

/// Replaces `path` whole or not at all, with mode 0600.
///
/// The new text is written to a file that must not exist yet: the directory may belong to the servers'
/// user, and root must not be led through a link of that user's making.
pub(crate) fn replace(path: &Path, text: &str, owner: Owner) -> Result<(), StackError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StackError::io("remove", &beside)(error));
        }
        _ => {}
    }
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        if let Some((uid, gid)) = owner {
            fchown(&file, Some(uid), Some(gid))?;
        }
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(StackError::io("write", path))
}

/// Makes `path` a directory with this mode and owner; one that is there already must have that owner.
pub(crate) fn directory(path: &Path, mode: u32, owner: Owner) -> Result<(), StackError> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            let own = || -> io::Result<()> {
                let dir = open_no_follow(path)?;
                dir.set_permissions(Permissions::from_mode(mode))?;
                if let Some((uid, gid)) = owner {
                    fchown(&dir, Some(uid), Some(gid))?;
                }
                Ok(())
            };
            own().map_err(StackError::io("set the owner of", path))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(path).map_err(StackError::io("look at", path))?;
            let wanted = owner.map_or_else(|| nix::unistd::geteuid().as_raw(), |(uid, _)| uid);
            if !found.is_dir() {
                return Err(StackError::Path { path: path.to_owned(), reason: "it is not a directory" });
            }
            if found.uid() != wanted {
                return Err(StackError::NotOwner { path: path.to_owned(), owner: found.uid() });
            }
            Ok(())
        }
        Err(error) => Err(StackError::io("create", path)(error)),
    }
}

fn open_no_follow(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits()).open(path)
}

/// Opens a server's log to append to, setting it aside first when it has grown long.
///
/// It belongs to the servers' user, who may be the one that starts them next time.
pub(crate) fn open_log(path: &Path, owner: Owner) -> Result<File, StackError> {
    if fs::symlink_metadata(path).is_ok_and(|log| log.len() > LOG_MAX_BYTES) {
        let older = path.with_extension("log.old");
        fs::rename(path, &older).map_err(StackError::io("set aside", path))?;
    }
    let open = || -> io::Result<File> {
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
            .open(path)?;
        if let Some((uid, gid)) = owner {
            fchown(&log, Some(uid), Some(gid))?;
        }
        Ok(log)
    };
    open().map_err(StackError::io("open", path))
}

/// The last lines of a log, or nothing when it cannot be read: this only serves an error's text.
pub(crate) fn tail(path: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}
