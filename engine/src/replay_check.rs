//! Replays the journals of live runs against this program's workflow code, before it is deployed. Reads, and changes nothing.

use std::sync::Arc;
use std::time::Duration;

use valet_core::Registry;
use valet_core::decide::{CodeUse, Fit, Machine, StoredRun};
use valet_core::id::{RunId, Seq};
use valet_core::journal::{Chunk, Entry, RunOutcome, StuckReason};
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

/// One run, with its journal, and what this build makes of it.
pub struct ReplayedRun {
    pub stored: StoredRun,
    pub verdict: Verdict,
}

/// What this build's code makes of one run's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It asks for what was recorded, from the beginning to where the code was last at work.
    Fits,
    /// The run is stuck, and would go on.
    Mends,
    /// A later build advanced it: this one's code is not asked.
    Newer,
    Misfit(Mismatch),
}

/// Where a build's code leaves a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The transition, and the entry in it, counted from 0.
    pub revision: u32,
    pub index: usize,
    pub why: StuckReason,
}

/// Replays one run, also one that has ended; `None`: there is no such run.
pub async fn replay_run(
    store: &PgStore,
    registry: &Arc<Registry>,
    run: RunId,
) -> Result<Option<ReplayedRun>, StoreError> {
    let Some((_, Loaded::Live(stored) | Loaded::Ended(stored))) = store.load(&[run]).await?.pop() else {
        return Ok(None);
    };
    let (registry, replayed) = (Arc::clone(registry), Journal::of(&stored));
    let revision = stored.revision;
    let replay = tokio::task::spawn_blocking(move || replayed.verdict(&registry));
    let verdict = match tokio::time::timeout(REPLAY_WITHIN, replay).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) | Err(_) => Verdict::Misfit(Mismatch { revision, index: 0, why: StuckReason::Blocking }),
    };
    Ok(Some(ReplayedRun { stored, verdict }))
}

/// The part of a journal in which the run's code was at work: nothing polls it once the outcome is fixed.
struct Journal {
    identity: valet_core::run::Identity,
    build: i64,
    chunks: Vec<Chunk>,
    /// Where the outcome was fixed.
    closing: Option<(u32, usize, RunOutcome)>,
}

impl Journal {
    fn of(stored: &StoredRun) -> Self {
        let mut chunks = Vec::new();
        let mut closing = None;
        for chunk in &stored.chunks {
            let end = chunk.entries.iter().position(|entry| matches!(entry, Entry::Closing { .. }));
            let mut chunk = chunk.clone();
            if let Some(Entry::Closing { outcome }) = end.and_then(|index| chunk.entries.get(index)) {
                closing = Some((chunk.revision, end.unwrap_or_default(), outcome.clone()));
            }
            chunk.entries.truncate(end.unwrap_or(usize::MAX));
            chunks.push(chunk);
            if closing.is_some() {
                break;
            }
        }
        Self { identity: stored.identity.clone(), build: stored.build, chunks, closing }
    }

    fn verdict(&self, registry: &Registry) -> Verdict {
        let all = self.chunks.len();
        let why = match self.fit(all, registry) {
            Fit::Newer => return Verdict::Newer,
            Fit::Misfit(why) => why,
            fit => return self.ended_alike(fit == Fit::Mends, false),
        };
        if is_the_end(&why) && self.closing.is_some() {
            return self.ended_alike(false, true);
        }
        // Code that has left its journal does not come back to it, so that the place can be searched by halves.
        let counts: Vec<usize> = (1..all).collect();
        let fitting = counts.partition_point(|count| !matches!(self.fit(*count, registry), Fit::Misfit(_)));
        let Some(chunk) = self.chunks.get(fitting) else { return Verdict::Fits };
        let why = match self.fit(fitting + 1, registry) {
            Fit::Misfit(why) => why,
            _ => why,
        };
        Verdict::Misfit(Mismatch { revision: chunk.revision, index: place(chunk, &why), why })
    }

    /// A run that succeeded or failed did so by its code's own end.
    fn ended_alike(&self, mends: bool, has_returned: bool) -> Verdict {
        match &self.closing {
            Some((revision, index, outcome)) => {
                let (recorded, asked) = match outcome {
                    RunOutcome::Succeeded { .. } | RunOutcome::Failed { .. } if !has_returned => {
                        ("the end of the run", "nothing")
                    }
                    RunOutcome::Cancelled { .. } if has_returned => ("nothing", "the end of the run"),
                    _ => return Verdict::Fits,
                };
                let why = StuckReason::Mismatch { seq: Seq(0), recorded: recorded.to_owned(), asked: asked.to_owned() };
                Verdict::Misfit(Mismatch { revision: *revision, index: *index, why })
            }
            None if mends => Verdict::Mends,
            None => Verdict::Fits,
        }
    }

    fn fit(&self, chunks: usize, registry: &Registry) -> Fit {
        let chunks: Vec<Chunk> = self.chunks.iter().take(chunks).cloned().collect();
        let stored = StoredRun {
            identity: self.identity.clone(),
            revision: chunks.last().map_or(0, |chunk| chunk.revision),
            build: self.build,
            chunks,
            rows: Vec::new(),
        };
        Machine::rebuild(stored, registry, CodeUse::Retried).fit(registry)
    }
}

/// The code came to its end, and all that it asked for before was recorded.
fn is_the_end(why: &StuckReason) -> bool {
    matches!(why, StuckReason::Mismatch { seq: Seq(0), recorded, asked }
        if recorded == "nothing" && asked == "the end of the run")
}

/// The entry that the code did not ask for; else the one that was delivered to it last.
fn place(chunk: &Chunk, why: &StuckReason) -> usize {
    let recorded = |entry: &Entry| match (entry, why) {
        (Entry::Op { seq, .. } | Entry::Dropped { seq }, StuckReason::Mismatch { seq: at, .. }) => seq == at,
        _ => false,
    };
    let delivered = |entry: &Entry| matches!(entry, Entry::Started { .. } | Entry::Resolved { .. } | Entry::Released);
    let entries = &chunk.entries;
    entries.iter().position(recorded).or_else(|| entries.iter().rposition(delivered)).unwrap_or_default()
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
