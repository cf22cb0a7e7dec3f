//! Who waits for what this engine does to a run. A change costs nothing for runs that nobody watches.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use valet_core::id::RunId;

/// How often a watched run changed, and whether it ended.
#[derive(Clone, Copy, Default)]
struct Seen {
    changes: u64,
    ended: bool,
}

/// All watches of an engine.
#[derive(Default)]
pub struct Watches {
    runs: Mutex<HashMap<RunId, watch::Sender<Seen>>>,
}

impl Watches {
    /// Changes from now on.
    pub fn watch(self: &Arc<Self>, run: RunId) -> Watch {
        let seen = self.runs.lock().entry(run).or_default().subscribe();
        Watch { watches: Arc::clone(self), run, seen }
    }

    pub fn changed(&self, run: RunId, ended: bool) {
        let runs = self.runs.lock();
        if let Some(watched) = runs.get(&run) {
            watched.send_modify(|seen| *seen = Seen { changes: seen.changes + 1, ended });
        }
    }
}

/// One that watches a run, until it is dropped.
pub struct Watch {
    watches: Arc<Watches>,
    run: RunId,
    seen: watch::Receiver<Seen>,
}

impl Watch {
    /// The next change that was not waited for yet.
    pub async fn changed(&mut self) {
        // The sender lives as long as its receivers.
        let _ = self.seen.changed().await;
    }

    /// The run's end, if this engine ends it.
    pub async fn ended(&mut self) {
        let _ = self.seen.wait_for(|seen| seen.ended).await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut runs = self.watches.runs.lock();
        // Its own receiver is the last.
        if runs.get(&self.run).is_some_and(|watched| watched.receiver_count() <= 1) {
            runs.remove(&self.run);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_watch_tells_changes_and_the_end_of_its_run_only() {
        let watches = Arc::new(Watches::default());
        let (run, other) = (RunId(Uuid::from_u128(1)), RunId(Uuid::from_u128(2)));
        let (mut first, mut second) = (watches.watch(run), watches.watch(run));
        watches.changed(other, true);
        assert!(first.changed().now_or_never().is_none());
        watches.changed(run, false);
        watches.changed(run, false);
        assert!(first.changed().now_or_never().is_some());
        assert!(first.changed().now_or_never().is_none(), "two changes before a look are one");
        assert!(second.ended().now_or_never().is_none());
        watches.changed(run, true);
        assert!(second.ended().now_or_never().is_some());
        assert!(first.changed().now_or_never().is_some());
    }

    #[test]
    fn what_nobody_watches_any_more_is_forgotten() {
        let watches = Arc::new(Watches::default());
        let run = RunId(Uuid::from_u128(1));
        let (first, second) = (watches.watch(run), watches.watch(run));
        drop(first);
        assert_eq!(watches.runs.lock().len(), 1);
        drop(second);
        assert!(watches.runs.lock().is_empty());
    }
}
