//! The processes that belong to a sandbox: recognising them and ending them.
//!
//! A worker may be killed between any two instructions, so what it wrote down is a hint only. Every process of a sandbox carries the
//! sandbox's folder in its environment or in its arguments, and is found again from `/proc` by anyone who knows the folder.
//! Never signals a process that does not carry the folder, and never the caller itself.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// Environment variable every process of a sandbox inherits from the gate.
pub const MARKER: &str = "VALET_SANDBOX_DIR";

/// Between two looks at `/proc` while waiting for killed processes to disappear.
const POLL: Duration = Duration::from_millis(20);
/// How long a process that tidies up when it is asked is not killed.
const ASK_FOR: Duration = Duration::from_secs(1);

/// A process that cannot be confused with a later one of the same pid (within one boot).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessRef {
    pub pid: i32,
    /// Clock ticks after boot at which it started, from `/proc/{pid}/stat`.
    pub start_ticks: u64,
}

impl ProcessRef {
    /// The process that has this pid now; `None` when there is none or it is a zombie.
    pub fn of(pid: i32) -> Option<Self> {
        Stat::read(pid).map(|stat| Self { pid, start_ticks: stat.start_ticks })
    }

    pub fn of_self() -> Option<Self> {
        Self::of(i32::try_from(std::process::id()).ok()?)
    }

    pub fn is_alive(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// The program as it was called.
    pub fn program(&self) -> Option<PathBuf> {
        let arguments = fs::read(format!("/proc/{}/cmdline", self.pid)).ok()?;
        let program = arguments.split(|&byte| byte == 0).next()?;
        self.is_alive().then(|| PathBuf::from(OsStr::from_bytes(program)))
    }

    fn send(&self, signal: Signal) {
        if self.is_alive() {
            // A process that ended meanwhile is what was wanted.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// An X server that is killed leaves its socket behind, so it is asked first.
    fn is_asked_first(&self) -> bool {
        fs::read(format!("/proc/{}/comm", self.pid)).is_ok_and(|name| name.trim_ascii_end() == b"Xvfb")
    }
}

struct Stat {
    parent: i32,
    start_ticks: u64,
}

impl Stat {
    /// Fields 4 and 22 of proc(5) `stat`; the command in parentheses may itself contain anything.
    fn read(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
        if matches!(fields.first(), Some(&"Z" | &"X")) && threads(pid) < 2 {
            return None;
        }
        Some(Self { parent: fields.get(1)?.parse().ok()?, start_ticks: fields.get(19)?.parse().ok()? })
    }
}

/// A process whose first thread has ended is a zombie to its parent while others of its threads still end, and may still write.
fn threads(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map(Iterator::count).unwrap_or_default()
}

/// Every live process that belongs to the sandbox in `dir`, descendants included, the caller excluded.
pub fn of_sandbox(dir: &Path) -> Vec<ProcessRef> {
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    let all: Vec<(i32, Stat)> = pids().into_iter().filter_map(|pid| Some((pid, Stat::read(pid)?))).collect();
    let mut mine: HashSet<i32> =
        all.iter().map(|(pid, _)| *pid).filter(|&pid| pid != me && carries(pid, dir)).collect();
    // Children that overwrote their own title and environment (renderers do) are found by their parent.
    loop {
        let children =
            all.iter().filter(|(pid, stat)| *pid != me && !mine.contains(pid) && mine.contains(&stat.parent));
        let children: Vec<i32> = children.map(|(pid, _)| *pid).collect();
        if children.is_empty() {
            break;
        }
        mine.extend(children);
    }
    all.into_iter()
        .filter(|(pid, _)| mine.contains(pid))
        .map(|(pid, stat)| ProcessRef { pid, start_ticks: stat.start_ticks })
        .collect()
}

/// The folders directly below `root` that processes carry, whether the folders exist or not.
pub fn sandboxes_below(root: &Path) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    for pid in pids() {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let marker = environment.split(|&byte| byte == 0).filter_map(marker_value);
        for named in marker.chain(arguments.split(|&byte| byte == 0).filter_map(option_value)) {
            let below = Path::new(OsStr::from_bytes(named)).strip_prefix(root).ok();
            if let Some(first) = below.and_then(|below| below.components().next()) {
                dirs.push(root.join(first));
            }
        }
    }
    dirs
}

/// Kills every process of the sandbox and waits until all are gone. Returns how many are left when `within` ran out.
pub async fn end_sandbox(dir: &Path, spare: Option<ProcessRef>, within: Duration) -> usize {
    let begun = Instant::now();
    // One whose first thread has ended has no environment and may have lost its parent, so that nothing says any more
    // whose it is, while its other threads still write.
    let mut seen = HashSet::new();
    loop {
        let folder = dir.to_owned();
        let found = tokio::task::spawn_blocking(move || of_sandbox(&folder)).await.unwrap_or_default();
        seen.extend(found.into_iter().filter(|process| Some(*process) != spare));
        seen.retain(ProcessRef::is_alive);
        if seen.is_empty() || begun.elapsed() >= within {
            return seen.len();
        }
        for process in &seen {
            let ask = begun.elapsed() < ASK_FOR && process.is_asked_first();
            process.send(if ask { Signal::SIGTERM } else { Signal::SIGKILL });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Kills these processes and waits until they are gone, for at most `within`.
pub async fn end(processes: &[ProcessRef], within: Duration) {
    let begun = Instant::now();
    while processes.iter().any(ProcessRef::is_alive) && begun.elapsed() < within {
        for process in processes {
            process.send(Signal::SIGKILL);
        }
        tokio::time::sleep(POLL).await;
    }
}

fn pids() -> Vec<i32> {
    fs::read_dir("/proc")
        .map(|entries| entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default()
}

fn carries(pid: i32, dir: &Path) -> bool {
    let dir = dir.as_os_str().as_encoded_bytes();
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    environment_names(&environment, dir) || arguments_name(&arguments, dir)
}

fn environment_names(environment: &[u8], dir: &[u8]) -> bool {
    environment.split(|&byte| byte == 0).any(|entry| marker_value(entry) == Some(dir))
}

fn marker_value(entry: &[u8]) -> Option<&[u8]> {
    entry.strip_prefix(MARKER.as_bytes())?.strip_prefix(b"=")
}

fn arguments_name(arguments: &[u8], dir: &[u8]) -> bool {
    arguments
        .split(|&byte| byte == 0)
        .filter_map(|argument| option_value(argument)?.strip_prefix(dir))
        .any(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Only of `--option=<dir>/…`, so that an editor or a pager that looks at one of the sandbox's files is left alone.
fn option_value(argument: &[u8]) -> Option<&[u8]> {
    let at = argument.iter().position(|&byte| byte == b'=')?;
    argument.starts_with(b"--").then(|| &argument[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::{MARKER, ProcessRef, arguments_name, environment_names};

    #[test]
    fn only_options_with_the_sandbox_folder_count() {
        let check = |arguments: &str, expect: bool| {
            assert_eq!(arguments_name(arguments.replace(' ', "\0").as_bytes(), b"/r/1"), expect, "{arguments}");
        };
        check("chromium --user-data-dir=/r/1/profile", true);
        check("chromedriver --log-path=/r/1", true);
        check("chromium --user-data-dir=/r/12/profile", false);
        check("tail -f /r/1/logs/gate.log", false);
        check("vim --cmd=x /r/1/sandbox.json", false);
    }

    #[test]
    fn the_marker_must_name_exactly_this_folder() {
        let environment = |dir: &str| format!("A=b\0{MARKER}={dir}\0C=d").into_bytes();
        assert!(environment_names(&environment("/r/1"), b"/r/1"));
        assert!(!environment_names(&environment("/r/12"), b"/r/1"));
    }

    #[test]
    fn a_pid_with_another_start_is_another_process() {
        let me = ProcessRef::of_self().expect("this process");
        assert!(me.is_alive());
        assert!(!ProcessRef { start_ticks: me.start_ticks + 1, ..me }.is_alive());
    }
}
