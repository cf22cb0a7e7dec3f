//! The user that the servers run as: whoever runs this program, or an unprivileged one when that is root.
//!
//! Postgres refuses to run as root, and a server that parses what a network sends should not be root anyway.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::unistd::{User, getegid, geteuid};

use crate::bounds::{POLL, SMALL_PROGRAM};
use crate::error::StackError;
use crate::files::Owner;
use crate::programs;

/// The system user made for the servers.
const OWN: &str = "valet";

/// Users to fall back to where none can be made (a read-only /etc): the one of the packaged Postgres, then
/// the one that owns nothing.
const FALLBACKS: [&str; 2] = ["postgres", "nobody"];

/// Debian and Ubuntu give system users ids below this; a `valet` above it is a person's account.
const FIRST_PERSON_UID: u32 = 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerUser {
    uid: u32,
    gid: u32,
    /// This program is root and becomes that user for the servers.
    switch: bool,
}

impl ServerUser {
    /// Chooses the user. As root, the owner of data that are there already stays the servers' user.
    pub(crate) async fn choose(data: &Path) -> Result<Self, StackError> {
        if !geteuid().is_root() {
            return Ok(Self { uid: geteuid().as_raw(), gid: getegid().as_raw(), switch: false });
        }
        if let Ok(owner) = fs::metadata(data)
            && owner.uid() != 0
        {
            return Ok(Self { uid: owner.uid(), gid: owner.gid(), switch: true });
        }
        let reason = match own_user().await {
            Ok(user) if user.works().await => return Ok(user),
            Ok(_) => String::from("it cannot be switched to"),
            Err(reason) => reason,
        };
        for name in FALLBACKS {
            if let Ok(Some(found)) = User::from_name(name) {
                let user = Self::switching_to(&found);
                if user.works().await {
                    return Ok(user);
                }
            }
        }
        Err(StackError::NoUser { reason })
    }

    fn switching_to(user: &User) -> Self {
        Self { uid: user.uid.as_raw(), gid: user.gid.as_raw(), switch: true }
    }

    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// For files that a server reads or writes.
    pub(crate) fn owner(&self) -> Owner {
        self.switch.then_some((self.uid, self.gid))
    }

    pub(crate) fn is_other(&self) -> bool {
        self.switch
    }

    /// A command that runs as this user, with nothing inherited: no environment, no input, no supplementary
    /// group, and in its own process group, so that the terminal's Ctrl-C reaches Valet only, which drains
    /// before it stops the servers.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null())
            .process_group(0);
        if self.switch {
            // With a uid and as root, the standard library also drops every supplementary group.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Whether this user can reach the directory: tried out, since access lists and mounts decide it as well.
    pub(crate) async fn can_enter(&self, dir: &Path) -> bool {
        let mut command = self.command("/bin/true");
        command.current_dir(dir);
        programs::output(command, SMALL_PROGRAM).await.is_ok()
    }

    async fn works(&self) -> bool {
        self.can_enter(Path::new("/")).await
    }
}

/// The user `valet`, made when missing. The error is the reason why not.
async fn own_user() -> Result<ServerUser, String> {
    if let Some(found) = find_own()? {
        return Ok(found);
    }
    // `useradd` looks whether the name is taken before it locks the files: run twice at once, the second
    // gives the user another uid under the first one's feet.
    let _alone = alone().await?;
    if let Some(found) = find_own()? {
        return Ok(found);
    }
    let mut command = Command::new("useradd");
    command.stdin(Stdio::null()).args([
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir",
        "/nonexistent",
        "--shell",
        "/usr/sbin/nologin",
        OWN,
    ]);
    programs::output(command, SMALL_PROGRAM).await.map_err(|error| error.to_string())?;
    find_own()?.ok_or_else(|| String::from("useradd did nothing"))
}

/// Held by the one program that makes the user.
async fn alone() -> Result<File, String> {
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(MAKING_THE_USER)
        .map_err(|error| format!("cannot open {MAKING_THE_USER}: {error}"))?;
    let deadline = Instant::now() + 2 * SMALL_PROGRAM;
    while let Err(error) = lock.try_lock() {
        if Instant::now() >= deadline {
            return Err(format!("cannot lock {MAKING_THE_USER}: {error}"));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(lock)
}

/// Only root writes there, and only root makes users.
const MAKING_THE_USER: &str = "/run/valet-user.lock";

fn find_own() -> Result<Option<ServerUser>, String> {
    match User::from_name(OWN) {
        Ok(Some(found)) if found.uid.as_raw() >= FIRST_PERSON_UID => {
            Err(format!("the account `{OWN}` is a person's, not a system user"))
        }
        Ok(Some(found)) => Ok(Some(ServerUser::switching_to(&found))),
        Ok(None) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
