//! Runs: commit, load, find.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::command::Parent;
use valet_core::decide::{StoredRun, StoredStep};
use valet_core::id::{Attempt, LeaseId, RunId, Seq};
use valet_core::journal::Chunk;
use valet_core::payload::Payload;
use valet_core::run::Identity;

use super::{PgStore, StoreError, bounded};
use crate::store::{CommitBatch, DeclaredName, Loaded, RunStore, StoredMessage};

#[derive(sqlx::FromRow)]
struct RunRecord {
    id: Uuid,
    tenant: String,
    subject: String,
    workflow: String,
    plan: String,
    parent_run: Option<Uuid>,
    parent_seq: Option<i32>,
    created_at: Timestamp,
    revision: i32,
    build: i64,
    ended: bool,
}

impl RunRecord {
    fn identity(&self) -> Identity {
        Identity {
            id: RunId(self.id),
            tenant: self.tenant.clone(),
            subject: self.subject.clone(),
            workflow: self.workflow.clone(),
            plan: self.plan.clone(),
            parent: self
                .parent_run
                .zip(self.parent_seq)
                .map(|(run, seq)| Parent { run: RunId(run), seq: Seq(seq as u32) }),
            created_at: self.created_at,
        }
    }
}

#[derive(sqlx::FromRow)]
struct StepRecord {
    run_id: Uuid,
    seq: i32,
    attempt: i32,
    lease_id: Option<Uuid>,
    blocked: bool,
    slots: Option<String>,
}

#[async_trait]
impl RunStore for PgStore {
    async fn commit(&self, writer: usize, batch: &CommitBatch) -> Result<HashSet<RunId>, StoreError> {
        self.commit_batch(writer, batch).await
    }

    async fn load(&self, runs: &[RunId]) -> Result<Vec<(RunId, Loaded)>, StoreError> {
        let ids: Vec<Uuid> = runs.iter().map(|id| id.0).collect();
        // Rows first: a transition that commits meanwhile makes the journal longer than the row says, and the surplus
        // is cut off below; the other way round the journal would be short.
        let find = sqlx::query_as::<_, RunRecord>(include_str!("../sql/load_runs.sql")).bind(&ids);
        let records = bounded(find.fetch_all(&self.pool)).await?;
        let steps = sqlx::query_as::<_, StepRecord>(include_str!("../sql/load_steps.sql")).bind(&ids);
        let mut rows: HashMap<Uuid, Vec<StoredStep>> = HashMap::new();
        for record in bounded(steps.fetch_all(&self.pool)).await? {
            let step = StoredStep {
                seq: Seq(record.seq as u32),
                attempt: Attempt(record.attempt as u32),
                granted: record.lease_id.map(LeaseId),
                slots: record.slots.as_deref().map(serde_json::from_str).transpose()?.unwrap_or_default(),
                blocked: record.blocked,
            };
            rows.entry(record.run_id).or_default().push(step);
        }
        let mut chunks = self.chunks(&ids).await?;
        let mut loaded = Vec::with_capacity(records.len());
        for record in records {
            let revision = record.revision as u32;
            let mut chunks = chunks.remove(&record.id).unwrap_or_default();
            chunks.retain(|chunk| chunk.revision <= revision);
            if record.ended && chunks.is_empty() {
                // Retention took it between the two reads.
                continue;
            }
            let stored = StoredRun {
                identity: record.identity(),
                revision,
                build: record.build,
                chunks,
                rows: rows.remove(&record.id).unwrap_or_default(),
            };
            let loaded_run = if record.ended { Loaded::Ended(stored) } else { Loaded::Live(stored) };
            loaded.push((RunId(record.id), loaded_run));
        }
        Ok(loaded)
    }

    async fn identity(&self, run: RunId) -> Result<Option<Identity>, StoreError> {
        let find = sqlx::query_as::<_, RunRecord>(include_str!("../sql/load_runs.sql")).bind(vec![run.0]);
        Ok(bounded(find.fetch_optional(&self.pool)).await?.map(|record| record.identity()))
    }

    async fn find_idempotent(
        &self,
        tenant: &str,
        workflow: &str,
        key: &str,
    ) -> Result<Option<(RunId, Vec<u8>)>, StoreError> {
        let find = sqlx::query_as::<_, (Uuid, Vec<u8>)>(include_str!("../sql/find_idempotent.sql"))
            .bind(tenant)
            .bind(workflow)
            .bind(key);
        Ok(bounded(find.fetch_optional(&self.pool)).await?.map(|(run, hash)| (RunId(run), hash)))
    }

    async fn definitions(&self, names: &[DeclaredName]) -> Result<Vec<(DeclaredName, Payload)>, StoreError> {
        let (tenants, workflows): (Vec<&str>, Vec<&str>) =
            names.iter().map(|name| (name.tenant.as_str(), name.workflow.as_str())).unzip();
        let find = sqlx::query_as::<_, (String, String, serde_json::Value)>(include_str!("../sql/definitions.sql"))
            .bind(tenants)
            .bind(workflows);
        let found = bounded(find.fetch_all(&self.pool)).await?.into_iter();
        found
            .map(|(tenant, workflow, definition)| Ok((DeclaredName { tenant, workflow }, Payload::of(&definition)?)))
            .collect()
    }

    async fn load_inbox(&self, to: &[RunId]) -> Result<Vec<StoredMessage>, StoreError> {
        let ids: Vec<Uuid> = to.iter().map(|id| id.0).collect();
        let find = sqlx::query_as::<_, (Uuid, Uuid, i64, Vec<u8>)>(include_str!("../sql/load_inbox.sql")).bind(ids);
        let mut messages = Vec::new();
        for (to, from, number, body) in bounded(find.fetch_all(&self.pool)).await? {
            let message = serde_json::from_slice(&self.keys.open(&body).await?)?;
            messages.push(StoredMessage { to: RunId(to), from: RunId(from), number, message });
        }
        Ok(messages)
    }

    async fn discard_inbox(&self, to: RunId, from: RunId, number: i64) -> Result<(), StoreError> {
        let discard = sqlx::query(include_str!("../sql/discard_inbox.sql")).bind(to.0).bind(from.0).bind(number);
        bounded(discard.execute(&self.pool)).await?;
        Ok(())
    }
}

impl PgStore {
    /// A run's journal at hand, opened.
    pub async fn journal(&self, run: RunId) -> Result<Vec<Chunk>, StoreError> {
        Ok(self.chunks(&[run.0]).await?.remove(&run.0).unwrap_or_default())
    }

    /// The journals of some runs, opened.
    pub(crate) async fn chunks(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<Chunk>>, StoreError> {
        let find =
            sqlx::query_as::<_, (Uuid, i32, Timestamp, Vec<u8>)>(include_str!("../sql/load_journal.sql")).bind(ids);
        let mut chunks: HashMap<Uuid, Vec<Chunk>> = HashMap::new();
        for (run, revision, at, body) in bounded(find.fetch_all(&self.pool)).await? {
            let entries = serde_json::from_slice(&self.keys.open(&body).await?)?;
            chunks.entry(run).or_default().push(Chunk { revision: revision as u32, at, entries });
        }
        Ok(chunks)
    }
}
