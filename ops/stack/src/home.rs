//! Where everything of the servers lies, and that their user can reach it.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::bounds::SOCKET_PATH_MAX_BYTES;
use crate::config::StackConfig;
use crate::error::StackError;
use crate::files;
use crate::secrets::hex;
use crate::server_user::ServerUser;

/// Postgres's socket is named for this port unless it has a TCP port; its directory is private.
pub(crate) const SOCKET_PORT: u16 = 5432;

/// The one directory that both servers live in.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) root: PathBuf,
    pub(crate) user: ServerUser,
}

impl Home {
    /// Makes the directories that are missing.
    pub(crate) async fn prepare(config: &StackConfig) -> Result<Self, StackError> {
        let data_dir = &config.data_dir;
        fs::create_dir_all(data_dir).map_err(StackError::io("create", data_dir))?;
        let data_dir = fs::canonicalize(data_dir).map_err(StackError::io("resolve", data_dir))?;
        let entry = data_dir.join("data");
        let user = ServerUser::choose(&entry.join("postgres")).await?;
        if fs::metadata(&entry).is_err() {
            make(&entry, &data_dir, &config.closed_home_root, &user).await?;
        }
        let root = fs::canonicalize(&entry).map_err(StackError::io("resolve", &entry))?;
        if !user.can_enter(&root).await {
            return Err(StackError::Path {
                path: root,
                reason: "the user that the servers run as cannot reach it; move it, or open the directories above it (chmod o+x)",
            });
        }
        let home = Self { root, user };
        for dir in [home.redis(), home.run(), home.log()] {
            files::directory(&dir, 0o700, home.user.owner())?;
        }
        Ok(home)
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("stack.lock")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("stack.json")
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.root.join("secrets.json")
    }

    pub(crate) fn postgres(&self) -> PathBuf {
        self.root.join("postgres")
    }

    pub(crate) fn redis(&self) -> PathBuf {
        self.root.join("redis")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The directory for Postgres's socket: the home's own, or a short one elsewhere when the kernel's limit
    /// for a socket's path does not let that one be used.
    pub(crate) fn socket_dir(&self, recorded: Option<&Path>) -> Result<PathBuf, StackError> {
        let own = self.run();
        if socket_path_length(&own) <= SOCKET_PATH_MAX_BYTES {
            return Ok(own);
        }
        if let Some(recorded) = recorded
            && self.is_private(recorded)
        {
            return Ok(recorded.to_owned());
        }
        let session = PathBuf::from(format!("/run/user/{}", self.user.uid()));
        let base = if !self.user.is_other() && self.is_private(&session) { session } else { PathBuf::from("/tmp") };
        // Drawn, so that nobody else can have made it before; it must not exist yet either.
        let short = base.join(format!("valet-{}", hex(&rand::random::<[u8; 8]>())));
        fs::DirBuilder::new().mode(0o700).create(&short).map_err(StackError::io("create", &short))?;
        if let Some((uid, gid)) = self.user.owner() {
            std::os::unix::fs::lchown(&short, Some(uid), Some(gid))
                .map_err(StackError::io("set the owner of", &short))?;
        }
        Ok(short)
    }

    /// A socket directory outside of the home is ours to remove once the server has ended.
    pub(crate) fn forget_socket_dir(&self, dir: &Path) {
        if dir != self.run() && self.is_private(dir) {
            let _ = fs::remove_dir(dir);
        }
    }

    fn is_private(&self, dir: &Path) -> bool {
        fs::symlink_metadata(dir)
            .is_ok_and(|found| found.is_dir() && found.uid() == self.user.uid() && found.mode() & 0o777 == 0o700)
    }
}

/// With the longest port, so that turning TCP on does not move the socket.
fn socket_path_length(dir: &Path) -> usize {
    dir.join(format!(".s.PGSQL.{}", u16::MAX)).as_os_str().len()
}

/// Makes the home at `entry`, or elsewhere with a link at `entry` when the servers' user cannot get there:
/// root's own home folder is closed to every other user.
async fn make(entry: &Path, data_dir: &Path, elsewhere: &Path, user: &ServerUser) -> Result<(), StackError> {
    if fs::symlink_metadata(entry).is_ok_and(|found| found.is_symlink()) {
        tracing::warn!(link = %entry.display(), "the data that this link names are gone; starting with empty ones");
        fs::remove_file(entry).map_err(StackError::io("remove", entry))?;
    }
    if !user.is_other() {
        return files::directory(entry, 0o700, None);
    }
    // Entered by the servers' user, listed by nobody.
    if user.can_enter(data_dir).await {
        return files::directory(entry, 0o711, None);
    }
    fs::create_dir_all(elsewhere).map_err(StackError::io("create", elsewhere))?;
    // Named for the place it stands in for: who removes `.valet` and starts again finds the data again, and
    // a server that still runs there.
    let target = elsewhere.join(short_hash(data_dir.as_os_str().as_encoded_bytes()));
    files::directory(&target, 0o711, None)?;
    symlink(&target, entry).map_err(StackError::io("create the link", entry))
}

pub(crate) fn short_hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..8])
}
