//! What an engine does beside its runs: it carries erasures out, keeps them carried out when a back-up comes back, and wraps data keys
//! anew after the master key was changed, and gives resources up that nobody reaches any more.
//!
//! An erasure is asked for in the database and ends with a mark in the blob store: a restored database has the subject's key again, and
//! the mark destroys it again. A back-up of the blob store must not bring its marks back to an earlier state (they are only ever added).

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use valet_core::Timestamp;
use valet_core::command::Command;

use crate::blobs::{BlobError, Blobs};
use crate::bounds::{HOUSEKEEPING_EVERY, KEYS_PER_REWRAP_MAX, REWRAPS_PER_LOOK_MAX};
use crate::engine::Engine;
use crate::store::StoreError;
use crate::store::postgres::PgStore;
use crate::store::postgres::subjects::DueErasure;

/// Who cancels the runs of a subject that is to be forgotten.
const ERASER: &str = "erasure";
/// Blobs removed between two looks at the list.
const BLOBS_PER_PAGE: u32 = 200;

#[derive(Debug, thiserror::Error)]
pub enum HousekeepingError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Blobs(#[from] BlobError),
}

/// Left in the blob store by an erasure.
#[derive(Serialize, Deserialize)]
struct Mark {
    tenant: String,
    subject: String,
    erased_at: DateTime<Utc>,
}

/// The housekeeping of one engine.
pub struct Housekeeper {
    pub engine: Arc<Engine<PgStore>>,
    pub blobs: Blobs,
    /// From the request for an erasure to its being carried out.
    pub grace: Duration,
    /// Somebody asked for an erasure.
    pub wake: Arc<Notify>,
}

impl Housekeeper {
    /// Until it is dropped.
    pub async fn run(self) {
        loop {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "housekeeping is tried again");
            }
            let woken = tokio::time::timeout(HOUSEKEEPING_EVERY, self.wake.notified()).await;
            if woken.is_ok() {
                // An erasure begins with its runs; its time comes later.
                if let Err(error) = self.cancel_runs(Duration::ZERO).await {
                    tracing::warn!(%error, "runs of a subject that is to be forgotten are cancelled later");
                }
                tokio::time::sleep(self.grace).await;
            }
        }
    }

    /// One round.
    pub async fn look(&self) -> Result<(), HousekeepingError> {
        self.cancel_runs(Duration::ZERO).await?;
        for erasure in self.engine.store.due_erasures(self.grace).await? {
            // One that cannot be carried out now does not hold up the others.
            if let Err(error) = self.erase(&erasure).await {
                tracing::warn!(%error, tenant = erasure.tenant, "an erasure is tried again");
            }
        }
        for _ in 0..REWRAPS_PER_LOOK_MAX {
            if (self.engine.store.rewrap_keys().await? as i64) < KEYS_PER_REWRAP_MAX {
                break;
            }
        }
        for kind in self.engine.registry.resource_kinds() {
            let given_up = self.engine.store.give_up_resources(kind).await?;
            if given_up > 0 {
                tracing::warn!(kind = kind.name, given_up, "resources were given up: nobody that reaches them came");
            }
        }
        Ok(())
    }

    /// At an engine's start: what was erased stays so, though a back-up of the database brought its key back.
    pub async fn keep_erased(&self) -> Result<(), HousekeepingError> {
        for bytes in self.blobs.marks().await? {
            let Ok(mark) = serde_json::from_slice::<Mark>(&bytes) else {
                tracing::error!("a mark of an erasure cannot be read");
                continue;
            };
            if self.engine.store.destroy_key(&mark.tenant, &mark.subject, mark.erased_at).await? {
                tracing::warn!(
                    tenant = mark.tenant,
                    "an erased subject was there again, as after a back-up: it is erased again"
                );
                self.forget(&mark.tenant, &mark.subject, mark.erased_at).await?;
            }
        }
        Ok(())
    }

    async fn cancel_runs(&self, older_than: Duration) -> Result<(), StoreError> {
        for DueErasure { tenant, subject, .. } in self.engine.store.due_erasures(older_than).await? {
            for run in self.engine.store.live_runs_of_subject(&tenant, &subject).await? {
                let cancel =
                    Command::Cancel { by: ERASER.to_owned(), reason: "the subject is to be forgotten".to_owned() };
                // One that has just ended, or is ending, needs no other.
                if let Err(error) = self.engine.command(run, cancel).await {
                    tracing::debug!(%error, %run, "not cancelled");
                }
            }
        }
        Ok(())
    }

    async fn erase(&self, erasure: &DueErasure) -> Result<(), HousekeepingError> {
        let DueErasure { tenant, subject, .. } = erasure;
        let store = &self.engine.store;
        let live = store.live_runs_of_subject(tenant, subject).await?.len();
        if live > 0 {
            tracing::info!(tenant, live, "an erasure waits for its subject's runs to end");
            return Ok(());
        }
        let at: Timestamp = self.engine.clock.now();
        let mark = Mark { tenant: tenant.clone(), subject: subject.clone(), erased_at: at };
        // First: what is destroyed below stays so, whatever comes in between.
        self.blobs.put_mark(tenant, subject, serde_json::to_vec(&mark).map_err(StoreError::Json)?).await?;
        store.destroy_key(tenant, subject, at).await?;
        self.forget(tenant, subject, at).await?;
        metrics::counter!("valet_subjects_erased_total").increment(1);
        tracing::info!(tenant, "a subject is erased");
        Ok(())
    }

    /// All but ids and states. Its bytes cannot be read any more; they go all the same.
    async fn forget(&self, tenant: &str, subject: &str, until: Timestamp) -> Result<(), HousekeepingError> {
        let store = &self.engine.store;
        let mut after = None;
        loop {
            let page = store.list_blobs_of_subject(tenant, subject, after, BLOBS_PER_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for blob in page.iter().filter(|blob| blob.created_at <= until) {
                self.blobs.remove(blob.id).await?;
                store.remove_blob(blob.id).await?;
            }
        }
        store.forget_subject(tenant, subject, until).await?;
        Ok(())
    }
}
