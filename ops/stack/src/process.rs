//! Processes by pid and start time: told apart from later ones with the same pid, signalled, waited for.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::bounds::POLL;
use crate::error::{Server, StackError};

/// A process for good: pids are reused, a pid with its start time and boot is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// Clock ticks after boot, field 22 of `/proc/PID/stat`.
    start_ticks: u64,
    boot_id: String,
}

impl Identity {
    /// The identity of a running process, `None` when there is none with this pid.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let start_ticks = start_of_living(pid)?;
        Some(Self { pid, start_ticks, boot_id: boot_id() })
    }

    pub(crate) fn is_alive(&self) -> bool {
        start_of_living(self.pid) == Some(self.start_ticks) && boot_id() == self.boot_id
    }

    /// Sends the signal unless the process is gone, which is what every signal here is for.
    fn signal(&self, signal: Signal) {
        if self.is_alive() {
            let pid = Pid::from_raw(self.pid as i32);
            let _ = kill(pid, signal);
            // A stopped process takes its signals only once it goes on.
            let _ = kill(pid, Signal::SIGCONT);
        }
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Start time of a process that still runs. A zombie has ended; where pid 1 does not reap it stays in the table.
fn start_of_living(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
}

fn parse_stat(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses and may hold spaces and parentheses itself.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    // The state is field 3, the start time field 22.
    fields.nth(18)?.parse().ok()
}

/// A server's main process, our child or an adopted one.
#[derive(Debug)]
pub(crate) struct Process {
    identity: Identity,
    child: Option<Child>,
}

/// A signal and how long to wait for its effect before the next, harsher one.
pub(crate) type Ladder<'a> = &'a [(Signal, Duration)];

impl Process {
    /// `None` when the child ended before it could be looked at.
    pub(crate) fn of_child(mut child: Child) -> Option<Self> {
        if let Some(identity) = Identity::of(child.id()) {
            return Some(Self { identity, child: Some(child) });
        }
        let _ = child.wait();
        None
    }

    pub(crate) fn adopted(identity: Identity) -> Self {
        Self { identity, child: None }
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        if let Some(child) = &mut self.child
            && let Ok(Some(_)) = child.try_wait()
        {
            return false;
        }
        self.identity.is_alive()
    }

    /// Climbs the ladder until the process has ended.
    pub(crate) async fn end(&mut self, server: Server, ladder: Ladder<'_>) -> Result<(), StackError> {
        for &(signal, grace) in ladder {
            self.identity.signal(signal);
            let deadline = Instant::now() + grace;
            while self.is_alive() && Instant::now() < deadline {
                tokio::time::sleep(POLL).await;
            }
            if !self.is_alive() {
                return Ok(());
            }
        }
        Err(StackError::WontEnd { server, pid: self.identity.pid })
    }

    /// [`Process::end`] for destructors, which cannot await.
    pub(crate) fn end_blocking(&mut self, ladder: Ladder<'_>) {
        for &(signal, grace) in ladder {
            self.identity.signal(signal);
            let deadline = Instant::now() + grace;
            while self.is_alive() && Instant::now() < deadline {
                std::thread::sleep(POLL);
            }
            if !self.is_alive() {
                return;
            }
        }
    }
}

/// Every process of the user `uid` that works in `dir` under one of these names. Both servers make their data
/// directory their working directory, so that this finds what a lost or stale state file does not name, orphaned
/// backends included; the name keeps a shell that stands in that directory out of it.
pub(crate) fn working_in(dir: &Path, uid: u32, names: &[&str]) -> Vec<Identity> {
    let Ok(wanted) = fs::metadata(dir) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| fs::metadata(format!("/proc/{pid}")).is_ok_and(|found| found.uid() == uid))
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| names.contains(&name.trim_end()))
        })
        .filter(|pid| {
            // Compared as files, not as text: the path may lead through links.
            fs::metadata(format!("/proc/{pid}/cwd"))
                .is_ok_and(|cwd| cwd.dev() == wanted.dev() && cwd.ino() == wanted.ino())
        })
        .filter_map(Identity::of)
        .collect()
}

/// Ends every process of [`working_in`], and those that appear meanwhile.
pub(crate) async fn clear(dir: &Path, uid: u32, names: &[&str], ladder: Ladder<'_>) -> Result<(), u32> {
    for &(signal, grace) in ladder {
        let deadline = Instant::now() + grace;
        for found in working_in(dir, uid, names) {
            found.signal(signal);
        }
        while !working_in(dir, uid, names).is_empty() && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
    }
    working_in(dir, uid, names).first().map_or(Ok(()), |left| Err(left.pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        assert_eq!(parse_stat(stat), Some(4242));
    }

    #[test]
    fn a_zombie_counts_as_ended() {
        let stat = "7 (redis-server) Z 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        assert_eq!(parse_stat(stat), None);
    }

    #[test]
    fn a_reused_pid_is_another_process() {
        let own = Identity::of(std::process::id()).expect("this process runs");
        assert!(own.is_alive());
        let other = Identity { start_ticks: own.start_ticks + 1, ..own.clone() };
        assert!(!other.is_alive());
        let before_reboot = Identity { boot_id: String::from("another boot"), ..own };
        assert!(!before_reboot.is_alive());
    }
}
