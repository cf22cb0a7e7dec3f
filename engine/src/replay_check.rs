//! Replays the journals of live runs against this program's workflow code, before it is deployed. Reads, and changes nothing.

use std::sync::Arc;
use std::time::Duration;

use valet_core::Registry;
use valet_core::decide::{CodeUse, Fit, Machine, StoredRun};
use valet_core::id::RunId;
use valet_core::journal::StuckReason;
use valet_core::run::Phase;

use crate::store::postgres::PgStore;
use crate::store::{Loaded, RunStore as _, StoreError};

/// Runs of one look at the database.
const PAGE_RUNS: u32 = 100;
/// Code that holds its thread for longer would be parked by an engine after a second.
const REPLAY_WITHIN: Duration = Duration::from_secs(10);

/// What came of it, by the number of runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Replayed {
    pub fit: u64,
    /// Stuck now, and would go on.
    pub mended: u64,
    /// Would be stuck, or stay so.
    pub stuck: u64,
    /// A later build advanced them: this one would not poll them.
    pub newer: u64,
    /// Their journal cannot be opened: the subject was erased, or the master key is another.
    pub unreadable: u64,
}

/// A run that this build would park, or leave parked.
#[derive(Clone, Debug)]
pub struct Misfit {
    pub run: RunId,
    pub workflow: String,
    /// It is stuck already.
    pub is_stuck: bool,
    pub why: StuckReason,
}

/// Goes through all live runs, or those of one workflow, in the order of their ids.
pub async fn replay_check(
    store: &PgStore,
    registry: &Arc<Registry>,
    workflow: Option<&str>,
    mut tell: impl FnMut(Misfit),
) -> Result<Replayed, StoreError> {
    let mut replayed = Replayed::default();
    let mut after = None;
    loop {
        let page = store.live_runs_after(workflow, after, PAGE_RUNS).await?;
        let Some(last) = page.last() else { return Ok(replayed) };
        after = Some(*last);
        for run in page {
            match store.load(&[run]).await {
                // One that has ended meanwhile is nobody's any more.
                Ok(found) => {
                    for (_, loaded) in found {
                        if let Loaded::Live(stored) = loaded {
                            judge(registry, stored, &mut replayed, &mut tell).await;
                        }
                    }
                }
                Err(error) if error.is_of_one() => replayed.unreadable += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

async fn judge(registry: &Arc<Registry>, stored: StoredRun, replayed: &mut Replayed, tell: &mut impl FnMut(Misfit)) {
    let (run, workflow) = (stored.identity.id, stored.identity.workflow.clone());
    let registry = Arc::clone(registry);
    // Workflow code may hold its thread for ever.
    let replay = tokio::task::spawn_blocking(move || {
        let machine = Machine::rebuild(stored, &registry, CodeUse::Retried);
        let is_stuck = matches!(machine.run().phase, Phase::Stuck(_));
        (is_stuck, machine.fit(&registry))
    });
    let (is_stuck, fit) = match tokio::time::timeout(REPLAY_WITHIN, replay).await {
        Ok(Ok(judged)) => judged,
        Ok(Err(_)) | Err(_) => (false, Fit::Misfit(StuckReason::Blocking)),
    };
    match fit {
        Fit::Fits => replayed.fit += 1,
        Fit::Mends => replayed.mended += 1,
        Fit::Newer => replayed.newer += 1,
        Fit::Misfit(why) => {
            replayed.stuck += 1;
            tell(Misfit { run, workflow, is_stuck, why });
        }
    }
}
