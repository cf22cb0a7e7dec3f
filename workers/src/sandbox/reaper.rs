//! Ends what sandboxes left behind on this machine: whatever a killed worker, a killed gate or a crash of the browser leaves.
//!
//! Every worker runs it. It looks at the sandboxes' folders and at the processes, decides each case under the sandbox's lock, and ends
//! only what nobody can use any more: never a sandbox whose lease runs and whose browser lives. It marks nothing as destroyed, so a
//! step that is tried again may provision the same id anew.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::local::folder::{self, Folder};
use super::local::record::Record;
use super::local::{LocalProvider, clean};
use super::{SandboxError, SandboxId, SandboxState, process};
use crate::gate::state::unix_ms;
use crate::gate::{GateState, browser_tmps_outside};

/// A gate ends its own sandbox at the end of the lease; it is given this long to do so.
const LEASE_GRACE: Duration = Duration::from_secs(15);
/// A start takes seconds, and holds the sandbox's lock all the while.
const HALF_MADE_FOR: Duration = Duration::from_mins(3);
/// One pass ends at most so many; ending one takes up to seconds, and the next pass is soon.
const ENDED_PER_PASS_MAX: u32 = 64;
/// A pass that takes longer leaves the rest to the next.
const PASS_WITHIN: Duration = Duration::from_mins(2);

/// What one pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReapReport {
    /// Sandboxes that were left alone: in use, starting, or somebody else is at them.
    pub spared: u32,
    pub lease_ended: u32,
    /// The browser had ended or could not be reached.
    pub lost: u32,
    /// Starts that were cut off.
    pub half_made: u32,
    /// Whose destruction was cut off.
    pub destroyed: u32,
    /// Processes' sandboxes that had no folder any more.
    pub strays: u32,
    /// Temporary folders of sandboxes that are no more.
    pub folders: u32,
    /// Could not be ended; tried again in the next pass.
    pub failed: u32,
}

impl ReapReport {
    pub fn ended(&self) -> u32 {
        self.lease_ended + self.lost + self.half_made + self.destroyed + self.strays
    }
}

/// Why a sandbox is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    LeaseEnded,
    Lost,
    HalfMade,
    Destroyed,
}

/// One pass over everything below the provider's root.
pub async fn reap(provider: &LocalProvider) -> ReapReport {
    let mut pass = Pass { provider, report: ReapReport::default(), begun: Instant::now() };
    match folder::ids(provider.root()) {
        Ok(ids) => {
            for id in ids {
                if pass.is_over() {
                    return pass.report;
                }
                pass.look_at(id).await;
            }
        }
        Err(error) => {
            tracing::warn!(%error, "the folder of sandboxes cannot be read");
            pass.report.failed += 1;
        }
    }
    pass.strays().await;
    pass.temporary_folders();
    pass.report
}

/// Passes until `shutdown`, the first one at once: a worker that starts may be the one that follows a crash.
pub async fn run_reaper(provider: Arc<LocalProvider>, every: Duration, shutdown: impl Future<Output = ()>) {
    tokio::pin!(shutdown);
    loop {
        let report = reap(&provider).await;
        if report.ended() + report.folders + report.failed > 0 {
            tracing::info!(?report, "sandboxes were left behind");
        }
        tokio::select! {
            () = &mut shutdown => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

struct Pass<'a> {
    provider: &'a LocalProvider,
    report: ReapReport,
    begun: Instant,
}

impl Pass<'_> {
    fn is_over(&self) -> bool {
        self.report.ended() + self.report.failed >= ENDED_PER_PASS_MAX || self.begun.elapsed() >= PASS_WITHIN
    }

    async fn look_at(&mut self, id: SandboxId) {
        let folder = self.provider.folder(id);
        if self.cause(&folder).await.is_none() {
            self.report.spared += 1;
            return;
        }
        let Ok(Some(_lock)) = folder.try_lock() else {
            // Somebody starts or ends it at this moment.
            self.report.spared += 1;
            return;
        };
        if !folder.dir().exists() {
            // Ended by somebody else meanwhile.
            folder.forget();
            return;
        }
        // Again, now that nobody changes it.
        let Some(cause) = self.cause(&folder).await else {
            self.report.spared += 1;
            return;
        };
        match clean(&folder).await {
            Ok(()) => {
                tracing::info!(sandbox = %id, ?cause, "ended what was left of a sandbox");
                folder.forget();
                match cause {
                    Cause::LeaseEnded => self.report.lease_ended += 1,
                    Cause::Lost => self.report.lost += 1,
                    Cause::HalfMade => self.report.half_made += 1,
                    Cause::Destroyed => self.report.destroyed += 1,
                }
            }
            Err(error) => self.failed(id, &error),
        }
    }

    async fn cause(&self, folder: &Folder) -> Option<Cause> {
        if folder.is_destroyed() {
            return Some(Cause::Destroyed);
        }
        let state = GateState::read(folder.dir()).ok();
        let Ok(record) = Record::read(folder) else {
            return is_older(folder, HALF_MADE_FOR).then_some(Cause::HalfMade);
        };
        let sandbox = record.sandbox(state.as_ref());
        let grace_ms = u64::try_from(LEASE_GRACE.as_millis()).unwrap_or(u64::MAX);
        if sandbox.lease_until_ms.saturating_add(grace_ms) < unix_ms() {
            return Some(Cause::LeaseEnded);
        }
        match sandbox.state {
            SandboxState::Ready => None,
            SandboxState::Starting => is_older(folder, HALF_MADE_FOR).then_some(Cause::HalfMade),
            SandboxState::Unguarded => {
                let reachable = match state.and_then(|state| state.debugger_address) {
                    Some(address) => answers(&address).await,
                    None => false,
                };
                (!reachable).then_some(Cause::Lost)
            }
            // A start that was cut off before its gate wrote down anything looks lost from its first moment on.
            SandboxState::Lost if state.is_none() => is_older(folder, HALF_MADE_FOR).then_some(Cause::HalfMade),
            SandboxState::Lost => Some(Cause::Lost),
        }
    }

    /// Processes that carry a folder of ours that is gone.
    async fn strays(&mut self) {
        let root = self.provider.absolute_root();
        let found = tokio::task::spawn_blocking(move || process::sandboxes_below(&root)).await.unwrap_or_default();
        let dirs: BTreeSet<PathBuf> = found.into_iter().filter(|dir| !dir.exists()).collect();
        for dir in dirs {
            let Some(id) = dir.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
            if self.is_over() {
                return;
            }
            let folder = self.provider.folder(id);
            let Ok(Some(_lock)) = folder.try_lock() else { continue };
            if folder.dir().exists() {
                continue;
            }
            match clean(&folder).await {
                Ok(()) => {
                    tracing::info!(sandbox = %id, "ended processes of a sandbox that is no more");
                    folder.forget();
                    self.report.strays += 1;
                }
                Err(error) => self.failed(id, &error),
            }
        }
    }

    fn temporary_folders(&mut self) {
        let root = self.provider.absolute_root();
        for (tmp, owner) in browser_tmps_outside() {
            // The sandbox's folder is there before this one and goes after it.
            if owner.parent() == Some(root.as_path()) && !owner.exists() && std::fs::remove_dir_all(&tmp).is_ok() {
                self.report.folders += 1;
            }
        }
    }

    fn failed(&mut self, id: SandboxId, error: &SandboxError) {
        tracing::warn!(sandbox = %id, %error, "what is left of a sandbox could not be ended");
        self.report.failed += 1;
    }
}

/// Since something was last made in the folder itself: a start that goes on makes one file after the other.
fn is_older(folder: &Folder, than: Duration) -> bool {
    let changed = std::fs::metadata(folder.dir()).and_then(|data| data.modified());
    changed.is_ok_and(|changed| since(changed) > than)
}

fn since(past: SystemTime) -> Duration {
    past.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(Duration::ZERO, |past| Duration::from_millis(unix_ms()).saturating_sub(past))
}

/// Whether a browser's debugging port takes a connection.
async fn answers(address: &str) -> bool {
    const WITHIN: Duration = Duration::from_secs(2);
    let connected = tokio::time::timeout(WITHIN, tokio::net::TcpStream::connect(address)).await;
    connected.is_ok_and(|connected| connected.is_ok())
}
