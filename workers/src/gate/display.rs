//! The X server of a browser with a window: the sandbox's own, with nobody else on it.
//!
//! Access needs a cookie that lies in the sandbox's folder; without one every user of the machine could look at the pages.
//! It is not ended from here: it carries the sandbox's marker and ends with the sandbox.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rand::RngExt as _;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::config::GateConfig;
use super::state::{DisplayRef, SocketRef, write_private};
use crate::sandbox::process::{MARKER, ProcessRef};

/// Pages are laid out for a desktop from this size on.
const SCREEN_MIN_PX: (u32, u32) = (1440, 900);
/// It tells its number at once; a machine under load takes longer.
const START_WITHIN: Duration = Duration::from_secs(20);
/// Xauthority(5) as written by `xauth`: an entry for every address and display.
const FAMILY_WILD: [u8; 2] = [0xff, 0xff];
const COOKIE_NAME: &[u8] = b"MIT-MAGIC-COOKIE-1";
const AUTHORITY_FILE: &str = "xauthority";

#[derive(Debug, Error)]
pub enum DisplayError {
    #[error("cannot start {path}; Debian's package `xvfb` brings it")]
    Spawn { path: PathBuf, source: io::Error },
    #[error("cannot write the display's cookie or log")]
    Write(#[source] io::Error),
    #[error("the X server did not tell its display")]
    NoDisplay,
}

/// Starts the sandbox's X server and waits for its number.
pub async fn start(config: &GateConfig) -> Result<DisplayRef, DisplayError> {
    fs::create_dir_all(config.logs_dir()).map_err(DisplayError::Write)?;
    write_private(&authority(&config.sandbox_dir), &cookie()).map_err(DisplayError::Write)?;
    let log = fs::File::create(config.logs_dir().join("xvfb.log")).map_err(DisplayError::Write)?;
    let (width, height) = config.window_px;
    let screen = format!("{}x{}x24", width.max(SCREEN_MIN_PX.0), height.max(SCREEN_MIN_PX.1));
    let mut server = Command::new(&config.xvfb)
        // The number of a display that is free, written to standard output.
        .args(["-displayfd", "1", "-screen", "0", &screen, "-nolisten", "tcp", "-noreset", "-auth"])
        .arg(authority(&config.sandbox_dir))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", config.sandbox_dir.join("home"))
        .env(MARKER, &config.sandbox_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0)
        .spawn()
        .map_err(|source| DisplayError::Spawn { path: config.xvfb.clone(), source })?;
    let stdout = server.stdout.take().ok_or(DisplayError::NoDisplay)?;
    let mut line = String::new();
    let read = timeout(START_WITHIN, BufReader::new(stdout).read_line(&mut line)).await;
    let number = read.ok().and_then(Result::ok).and_then(|_| line.trim().parse().ok());
    let process = server.id().and_then(|pid| ProcessRef::of(i32::try_from(pid).ok()?));
    // Reaped when it ends; who ends it is whoever ends the sandbox.
    tokio::spawn(async move { server.wait().await });
    let (number, server) = number.zip(process).ok_or(DisplayError::NoDisplay)?;
    Ok(DisplayRef { number, server, socket: socket_now(number) })
}

/// The file that holds the cookie, for the browser's environment.
pub fn authority(sandbox_dir: &Path) -> PathBuf {
    sandbox_dir.join(AUTHORITY_FILE)
}

/// Removes the socket of an X server that was killed; it lies at a fixed place outside of the sandbox.
pub(crate) fn remove_traces(display: DisplayRef) {
    if !display.server.is_alive() && display.has_its_socket() {
        let _ = fs::remove_file(socket(display.number));
    }
}

impl DisplayRef {
    /// Whether the display's socket is there. The number may be somebody else's by now, with a socket of his own.
    pub fn has_its_socket(&self) -> bool {
        self.socket.is_some() && socket_now(self.number) == self.socket
    }
}

fn socket(display_number: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/.X11-unix/X{display_number}"))
}

fn socket_now(display_number: u32) -> Option<SocketRef> {
    let data = fs::symlink_metadata(socket(display_number)).ok()?;
    Some(SocketRef { inode: data.ino(), made: (data.mtime(), data.mtime_nsec()) })
}

fn cookie() -> Vec<u8> {
    let mut entry = FAMILY_WILD.to_vec();
    let value = rand::rng().random::<[u8; 16]>();
    // Address, display number, name and value, each with its length before it.
    for part in [&b""[..], &b""[..], COOKIE_NAME, &value[..]] {
        entry.extend(u16::try_from(part.len()).unwrap_or_default().to_be_bytes());
        entry.extend(part);
    }
    entry
}
