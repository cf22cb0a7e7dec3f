//! What all workers on one machine share: its id, and the number of places for sandboxes.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::folder::{self, Folder};
use super::{LocalProvider, SandboxError};
use crate::gate::{GatePhase, GateState};
use crate::sandbox::secret::secret;

const HOST_FILE: &str = ".host";
const HOST_ID_CHARS: usize = 12;

impl LocalProvider {
    /// The machine's id, the same for all workers that share the root, and after a restart. Made by the first who asks.
    pub fn host_id(&self) -> io::Result<String> {
        let path = self.config.root.join(HOST_FILE);
        match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            known => return known,
        }
        folder::private_dir(&self.config.root)?;
        let fresh = secret();
        let draft = self.config.root.join(format!("{HOST_FILE}-{fresh}"));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(&fresh.as_bytes()[..HOST_ID_CHARS])?;
        file.sync_all()?;
        // Appears whole, and for one of several makers only; the others take what that one wrote.
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => read(&path),
        }
    }

    /// Makes the sandbox's folder, if there is a place for one more on this machine.
    ///
    /// A folder takes its place from when it is made until it is removed, or its gate has told that everything ended. A killed start
    /// may have left a browser that nobody wrote down, so nothing less will do.
    pub(super) async fn take_place(&self, folder: &Folder) -> Result<(), SandboxError> {
        let io = |source| SandboxError::Io { id: folder.id(), action: "make the folder of", source };
        let _counting = match self.config.max_sandboxes {
            None => None,
            Some(max) => {
                let lock = folder::lock_root(&self.config.root).await.map_err(io)?;
                let taken = folder::ids(&self.config.root).map_err(SandboxError::List)?;
                let taken = taken.into_iter().filter(|id| *id != folder.id() && self.takes_place(*id)).count();
                if taken >= max as usize {
                    return Err(SandboxError::Full { max });
                }
                Some(lock)
            }
        };
        folder.make().map_err(io)
    }

    fn takes_place(&self, id: super::SandboxId) -> bool {
        GateState::read(self.folder(id).dir()).map_or(true, |state| state.phase != GatePhase::Ended)
    }
}

fn read(path: &Path) -> io::Result<String> {
    let id = fs::read_to_string(path)?;
    let sound = id.len() == HOST_ID_CHARS && id.chars().all(|c| c.is_ascii_hexdigit());
    if sound { Ok(id) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "the host's id is damaged")) }
}
