//! Reads for people: pages of runs, one run, tasks, queues, workers, blobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use sqlx::types::Json;
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::RunId;
use valet_core::journal::{Chunk, HumanSpec};
use valet_core::run::Figures;

use super::{PgStore, StoreError, audited, bounded};
use crate::access::Reach;
use crate::audit::Deed;
use crate::codec::MasterKeys;

/// A run as its row says it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RunRecord {
    pub id: Uuid,
    pub tenant: String,
    pub subject: String,
    pub workflow: String,
    pub plan: String,
    pub attributes: Json<Map<String, Value>>,
    pub status: String,
    pub paused: bool,
    pub reason: Option<Json<Value>>,
    pub status_line: Option<String>,
    pub error_code: Option<String>,
    pub revision: i32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub parent_run: Option<Uuid>,
    pub figures: Option<Json<Figures>>,
}

/// A live step's row.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LiveStepRecord {
    pub seq: i32,
    pub state: String,
    pub attempt: i32,
    pub available_at: Timestamp,
    pub granted_at: Option<Timestamp>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct TaskRow {
    id: Uuid,
    run_id: Uuid,
    seq: i32,
    workflow: String,
    subject: String,
    state: String,
    body: Vec<u8>,
    deadline: Timestamp,
    opened_at: Timestamp,
    claimed_by: Option<String>,
    claimed_at: Option<Timestamp>,
    ended_by: Option<String>,
    ended_at: Option<Timestamp>,
}

/// A task for a person, opened.
#[derive(Clone, Debug)]
pub struct TaskRecord {
    pub id: Uuid,
    pub run: RunId,
    pub seq: u32,
    pub workflow: String,
    pub subject: String,
    pub state: String,
    pub spec: HumanSpec,
    pub deadline: Timestamp,
    pub opened_at: Timestamp,
    pub claimed_by: Option<String>,
    pub claimed_at: Option<Timestamp>,
    pub ended_by: Option<String>,
    pub ended_at: Option<Timestamp>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct QueueRecord {
    pub name: String,
    pub ready: i64,
    pub running: i64,
    pub backing_off: i64,
    pub workers: i64,
    pub free_slots: i64,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct WorkerRecord {
    pub id: Uuid,
    pub name: String,
    pub queues: Vec<String>,
    pub slots: i32,
    pub free_slots: i32,
    pub seen_at: Timestamp,
    pub draining: bool,
    pub running: i64,
    #[sqlx(json)]
    pub labels: BTreeMap<String, String>,
    /// The oldest of them.
    #[sqlx(json)]
    pub at_work: Vec<AtWorkRecord>,
}

/// A step that a worker holds.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct AtWorkRecord {
    pub run_id: Uuid,
    pub seq: u32,
    pub workflow: String,
    pub name: String,
    pub granted_at: Timestamp,
}

/// A file or artifact; its bytes lie in the blob store.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct BlobRecord {
    pub id: Uuid,
    pub kind: String,
    pub subject: String,
    pub run_id: Option<Uuid>,
    pub seq: Option<i32>,
    pub content_type: String,
    pub size_bytes: i64,
    pub sha256: String,
    pub meta: Vec<u8>,
    pub created_at: Timestamp,
}

/// A blob to note.
pub struct NewBlob {
    pub id: Uuid,
    pub kind: &'static str,
    pub tenant: String,
    pub subject: String,
    pub run: Option<RunId>,
    pub seq: Option<i32>,
    pub content_type: String,
    pub size_bytes: u64,
    pub sha256: String,
    /// The file's name: may be personal, so it is sealed.
    pub filename: String,
    /// Of a person's file: who stores it.
    pub deed: Option<Deed>,
}

impl PgStore {
    pub async fn find_run(&self, tenant: &str, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        let query = sqlx::query_as::<_, RunRecord>(include_str!("../sql/find_run.sql")).bind(run.0).bind(tenant);
        bounded(query.fetch_optional(&self.pool)).await
    }

    pub async fn find_live_steps(&self, run: RunId) -> Result<Vec<LiveStepRecord>, StoreError> {
        let query = sqlx::query_as::<_, LiveStepRecord>(include_str!("../sql/find_live_steps.sql")).bind(run.0);
        bounded(query.fetch_all(&self.pool)).await
    }

    /// Chunks of a run's journal from a revision on.
    pub async fn journal_after(&self, run: RunId, from: u32, most: u32) -> Result<Vec<Chunk>, StoreError> {
        let query = sqlx::query_as::<_, (i32, Timestamp, Vec<u8>)>(include_str!("../sql/journal_after.sql"))
            .bind(run.0)
            .bind(from as i32)
            .bind(i64::from(most));
        let mut chunks = Vec::new();
        for (revision, at, body) in bounded(query.fetch_all(&self.pool)).await? {
            let entries = serde_json::from_slice(&self.keys.open(&body).await?)?;
            chunks.push(Chunk { revision: revision as u32, at, entries });
        }
        Ok(chunks)
    }

    /// Open tasks by deadline; with `run`, all tasks of that run.
    pub async fn list_tasks(
        &self,
        tenant: &str,
        run: Option<RunId>,
        after: Option<(Timestamp, Uuid)>,
        most: u32,
        reach: &Reach,
    ) -> Result<Vec<TaskRecord>, StoreError> {
        let query = sqlx::query_as::<_, TaskRow>(include_str!("../sql/list_tasks.sql"))
            .bind(tenant)
            .bind(run.map(|run| run.0))
            .bind(after.map(|(at, _)| at))
            .bind(after.map(|(_, id)| id))
            .bind(i64::from(most))
            .bind(&reach.workflows)
            .bind(&reach.subjects);
        let mut tasks = Vec::new();
        for row in bounded(query.fetch_all(&self.pool)).await? {
            tasks.push(self.task(row).await?);
        }
        Ok(tasks)
    }

    pub async fn find_task(&self, tenant: &str, id: Uuid) -> Result<Option<TaskRecord>, StoreError> {
        let query = sqlx::query_as::<_, TaskRow>(include_str!("../sql/find_task.sql")).bind(id).bind(tenant);
        match bounded(query.fetch_optional(&self.pool)).await? {
            Some(row) => Ok(Some(self.task(row).await?)),
            None => Ok(None),
        }
    }

    /// Whose task it is, for those who come with its link.
    pub async fn find_task_tenant(&self, id: Uuid) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar::<_, String>(include_str!("../sql/find_task_tenant.sql")).bind(id);
        bounded(query.fetch_optional(&self.pool)).await
    }

    /// Whose run it is, for callers who are of no tenant.
    pub async fn find_run_tenant(&self, run: RunId) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar::<_, String>(include_str!("../sql/find_run_tenant.sql")).bind(run.0);
        bounded(query.fetch_optional(&self.pool)).await
    }

    /// Makes and reads the tokens of task links.
    pub fn masters(&self) -> Arc<MasterKeys> {
        self.keys.masters()
    }

    async fn task(&self, row: TaskRow) -> Result<TaskRecord, StoreError> {
        Ok(TaskRecord {
            spec: serde_json::from_slice(&self.keys.open(&row.body).await?)?,
            id: row.id,
            run: RunId(row.run_id),
            seq: row.seq as u32,
            workflow: row.workflow,
            subject: row.subject,
            state: row.state,
            deadline: row.deadline,
            opened_at: row.opened_at,
            claimed_by: row.claimed_by,
            claimed_at: row.claimed_at,
            ended_by: row.ended_by,
            ended_at: row.ended_at,
        })
    }

    /// True if the task is now claimed by this person.
    pub async fn claim_task(&self, deed: &Deed, id: Uuid) -> Result<bool, StoreError> {
        let query = sqlx::query(include_str!("../sql/claim_task.sql")).bind(id).bind(&deed.tenant).bind(&deed.who);
        let query = audited!(query, deed);
        Ok(bounded(query.fetch_optional(&self.pool)).await?.is_some())
    }

    /// Hands it back. With `any` it may be claimed by another; false if it is claimed by nobody whose claim may be ended.
    pub async fn release_task(&self, deed: &Deed, id: Uuid, any: bool) -> Result<bool, StoreError> {
        let query = sqlx::query(include_str!("../sql/release_task.sql"));
        let query = audited!(query.bind(id).bind(&deed.tenant).bind(&deed.who).bind(any), deed);
        Ok(bounded(query.fetch_optional(&self.pool)).await?.is_some())
    }

    pub async fn list_queues(&self, tenant: &str) -> Result<Vec<QueueRecord>, StoreError> {
        let query = sqlx::query_as::<_, QueueRecord>(include_str!("../sql/list_queues.sql")).bind(tenant);
        bounded(query.fetch_all(&self.pool)).await
    }

    /// Those that do this tenant's steps, each with what it does within this reach.
    pub async fn list_workers(&self, tenant: &str, reach: &Reach) -> Result<Vec<WorkerRecord>, StoreError> {
        let query = sqlx::query_as::<_, WorkerRecord>(include_str!("../sql/list_workers.sql"));
        let query = query.bind(tenant).bind(&reach.workflows).bind(&reach.subjects);
        bounded(query.fetch_all(&self.pool)).await
    }

    pub async fn add_blob(&self, blob: &NewBlob) -> Result<Timestamp, StoreError> {
        let meta = self.keys.seal_for(&blob.tenant, &blob.subject, blob.filename.as_bytes()).await?;
        let deed = blob.deed.as_ref();
        let query = sqlx::query_scalar::<_, Timestamp>(include_str!("../sql/add_blob.sql"))
            .bind(blob.id)
            .bind(blob.kind)
            .bind(&blob.tenant)
            .bind(&blob.subject)
            .bind(blob.run.map(|run| run.0))
            .bind(blob.seq)
            .bind(&blob.content_type)
            .bind(i64::try_from(blob.size_bytes).unwrap_or(i64::MAX))
            .bind(&blob.sha256)
            .bind(meta)
            .bind(deed.map(|deed| deed.who.as_str()))
            .bind(deed.map(|deed| deed.via.as_str()))
            .bind(deed.and_then(Deed::address_text))
            .bind(deed.and_then(|deed| deed.request.as_deref()))
            .bind(deed.map(|deed| deed.action))
            .bind(deed.map(|deed| deed.target.as_str()));
        bounded(query.fetch_one(&self.pool)).await
    }

    pub async fn find_blob(&self, tenant: &str, id: Uuid) -> Result<Option<BlobRecord>, StoreError> {
        let query = sqlx::query_as::<_, BlobRecord>(include_str!("../sql/find_blob.sql")).bind(id).bind(tenant);
        bounded(query.fetch_optional(&self.pool)).await
    }

    /// Whose blob it is, for workers that serve all tenants.
    /// Live runs of all tenants in the order of their ids, of one workflow if it is named.
    pub async fn live_runs_after(
        &self,
        workflow: Option<&str>,
        after: Option<RunId>,
        most: u32,
    ) -> Result<Vec<RunId>, StoreError> {
        let query = sqlx::query_scalar::<_, Uuid>(include_str!("../sql/live_runs_after.sql"))
            .bind(workflow)
            .bind(after.map(|run| run.0))
            .bind(i64::from(most));
        Ok(bounded(query.fetch_all(self.pool())).await?.into_iter().map(RunId).collect())
    }

    /// Notes that the run was given the file.
    pub async fn use_file(&self, run: RunId, file: Uuid, name: &str) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("../sql/use_file.sql")).bind(run.0).bind(file).bind(name);
        bounded(query.execute(&self.pool)).await.map(drop)
    }

    pub async fn find_blob_tenant(&self, id: Uuid) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar::<_, String>(include_str!("../sql/find_blob_tenant.sql")).bind(id);
        bounded(query.fetch_optional(&self.pool)).await
    }

    pub async fn list_artifacts(&self, tenant: &str, run: RunId) -> Result<Vec<BlobRecord>, StoreError> {
        let query = sqlx::query_as::<_, BlobRecord>(include_str!("../sql/list_artifacts.sql")).bind(run.0).bind(tenant);
        bounded(query.fetch_all(&self.pool)).await
    }

    /// The name of a blob's file.
    pub async fn blob_filename(&self, blob: &BlobRecord) -> Result<String, StoreError> {
        Ok(String::from_utf8_lossy(&self.keys.open(&blob.meta).await?).into_owned())
    }

    pub async fn seal_for(&self, tenant: &str, subject: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.keys.seal_for(tenant, subject, plain).await
    }

    pub async fn open_sealed(&self, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.keys.open(sealed).await
    }

    /// Answers if the database does.
    pub async fn ping(&self) -> Result<(), StoreError> {
        bounded(sqlx::query(include_str!("../sql/ping.sql")).execute(&self.pool)).await?;
        Ok(())
    }
}
