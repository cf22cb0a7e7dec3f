//! How long history is kept. What goes is a tree of runs as a whole: the run that it began with, its children, what was
//! forked from them. It goes when the last of them has ended long enough ago; one that lives keeps all the others.
//!
//! Small bites with pauses, so that runs under way hardly notice; a week of which nothing is needed any more goes as files.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::RunId;

use crate::blobs::{BlobError, Blobs};
use crate::bounds::{RETENTION_LOOKS_PER_LIFE, RETENTION_REST, RETENTION_REST_MIN};
use crate::engine::Engine;
use crate::store::StoreError;
use crate::store::postgres::PgStore;
use crate::store::postgres::retention::{Removal, START};

#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Blobs(#[from] BlobError),
}

/// What a look removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Runs removed one by one, children and forks with them.
    pub runs: u64,
    /// Weeks removed with all that they held.
    pub weeks: u32,
}

/// Removes history that is older than it is kept for. Of several engines one does it.
pub struct Retention {
    pub engine: Arc<Engine<PgStore>>,
    pub blobs: Blobs,
    /// From the end of a tree's last run on.
    pub kept: Duration,
}

impl Retention {
    /// Until it is dropped.
    pub async fn run(self) {
        let every = self.every();
        // Not while the engine takes up what it finds.
        tokio::time::sleep(RETENTION_LOOKS_PER_LIFE.1.0).await;
        loop {
            match self.look().await {
                Ok(Removed { runs: 0, weeks: 0 }) => {}
                Ok(Removed { runs, weeks }) => tracing::info!(runs, weeks, "history past its time is removed"),
                Err(error) => tracing::warn!(%error, "the removal of history is tried again"),
            }
            tokio::time::sleep(every).await;
        }
    }

    /// Often enough that nothing stays for much longer than it should.
    fn every(&self) -> Duration {
        let (shortest, longest) = RETENTION_LOOKS_PER_LIFE.1;
        (self.kept / RETENTION_LOOKS_PER_LIFE.0).clamp(shortest, longest)
    }

    /// One round; nothing while another engine is at it.
    pub async fn look(&self) -> Result<Removed, RetentionError> {
        let Some(mut removal) = self.engine.store.begin_removal().await? else { return Ok(Removed::default()) };
        let now = self.engine.clock.now();
        let kept = chrono::Duration::from_std(self.kept).unwrap_or(chrono::Duration::MAX);
        // Kept for longer than there is time: nothing is old enough.
        let Some(before) = now.checked_sub_signed(kept) else { return Ok(Removed::default()) };
        let mut removed = Removed::default();
        removal.end_detached().await?;
        self.remove_weeks(&mut removal, before, &mut removed).await?;
        for tenant in removal.tenants().await? {
            self.remove_trees(&mut removal, &tenant, before, &mut removed).await?;
        }
        Ok(removed)
    }

    async fn remove_weeks(
        &self,
        removal: &mut Removal,
        before: Timestamp,
        removed: &mut Removed,
    ) -> Result<(), RetentionError> {
        // Runs of that week may still be old enough one by one; those of later weeks are not.
        let last = RunId::root(before, [0; 16]).week();
        for week in removal.weeks().await?.into_iter().filter(|week| *week < last) {
            if !removal.week_is_over(week, before).await? {
                continue;
            }
            loop {
                let blobs = removal.blobs_of_week(week).await?;
                if blobs.is_empty() {
                    break;
                }
                remove_blobs(removal, &self.blobs, &blobs).await?;
            }
            loop {
                let began = Instant::now();
                if removal.remove_week_rows(week).await? == 0 {
                    break;
                }
                rest(began).await;
            }
            removal.drop_week(week).await?;
            metrics::counter!("valet_weeks_removed_total").increment(1);
            removed.weeks += 1;
        }
        Ok(())
    }

    async fn remove_trees(
        &self,
        removal: &mut Removal,
        tenant: &str,
        before: Timestamp,
        removed: &mut Removed,
    ) -> Result<(), RetentionError> {
        let mut after = START;
        loop {
            let began = Instant::now();
            let page = removal.page(tenant, before, after).await?;
            removed.runs += remove_whole(removal, &self.blobs, &page.expired).await?;
            let Some(next) = page.next else { return Ok(()) };
            after = next;
            rest(began).await;
        }
    }
}

/// Removes trees of runs by their roots, of which all has ended; answers how many runs they were.
pub async fn remove_whole(removal: &mut Removal, blobs: &Blobs, roots: &[Uuid]) -> Result<u64, RetentionError> {
    if roots.is_empty() {
        return Ok(0);
    }
    let mut removed = 0;
    // Roots last: what is left of a tree is found by its root.
    loop {
        let members = removal.members(roots).await?;
        if members.is_empty() {
            break;
        }
        let began = Instant::now();
        removed += remove_runs(removal, blobs, &members).await?;
        rest(began).await;
    }
    Ok(removed + remove_runs(removal, blobs, roots).await?)
}

async fn remove_runs(removal: &mut Removal, blobs: &Blobs, runs: &[Uuid]) -> Result<u64, RetentionError> {
    loop {
        let found = removal.blobs_of_runs(runs).await?;
        if found.is_empty() {
            break;
        }
        remove_blobs(removal, blobs, &found).await?;
    }
    let removed = removal.remove(runs).await?;
    metrics::counter!("valet_runs_removed_total").increment(removed);
    Ok(removed)
}

async fn remove_blobs(removal: &mut Removal, blobs: &Blobs, found: &[Uuid]) -> Result<(), RetentionError> {
    for blob in found {
        blobs.remove(*blob).await?;
    }
    removal.forget_blobs(found).await?;
    Ok(())
}

/// Leaves the database to others for a multiple of the time that was taken.
async fn rest(began: Instant) {
    tokio::time::sleep((began.elapsed() * RETENTION_REST).max(RETENTION_REST_MIN)).await;
}
