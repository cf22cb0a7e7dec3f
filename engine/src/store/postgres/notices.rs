//! Notices for the outside: taken when due, ended when delivered; and those that no commit writes, of tasks whose deadline nears.

use std::time::Duration;

use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::{RunId, TaskId};
use valet_core::payload::Payload;

use super::{PgStore, StoreError, bounded, millis};
use crate::bounds::{DUE_SOON_PER_LOOK_MAX, NOTICE_ATTEMPTS_MAX, NOTICES_PER_LOOK_MAX};
use crate::webhook::outgoing::Happening;

const DUE_SOON: &str = "human_task.due_soon";

/// A notice on its way to one listener.
#[derive(Clone, Debug)]
pub struct DueNotice {
    /// The same in every attempt: a listener tells repeats by it.
    pub id: Uuid,
    pub target: String,
    pub kind: String,
    pub tenant: String,
    pub subject: String,
    pub workflow: String,
    pub run: RunId,
    pub task: Option<TaskId>,
    /// What workflow code said.
    pub data: Option<Payload>,
    pub at: Timestamp,
    /// 1 for the first.
    pub attempt: u32,
}

#[derive(sqlx::FromRow)]
struct NoticeRecord {
    id: Uuid,
    target: String,
    kind: String,
    tenant: String,
    subject: String,
    workflow: String,
    run_id: Uuid,
    task_id: Option<Uuid>,
    body: Option<Vec<u8>>,
    at: Timestamp,
    attempts: i32,
}

#[derive(sqlx::FromRow)]
struct TaskRecord {
    id: Uuid,
    tenant: String,
    subject: String,
    workflow: String,
}

impl PgStore {
    /// Notes tasks whose deadline is nearer than `lead`, once each, for all who want to be told; answers how many tasks. Where nobody wants
    /// to be told it asks for nothing.
    pub async fn note_due_soon(&self, lead: Duration) -> Result<usize, StoreError> {
        let webhooks = self.outgoing();
        if !self.has_listeners() && !webhooks.know(DUE_SOON) {
            return Ok(0);
        }
        let mut transaction = bounded(self.pool.begin()).await?;
        let take = sqlx::query_as::<_, TaskRecord>(include_str!("../sql/take_due_soon.sql"))
            .bind(millis(lead) as f64)
            .bind(i64::from(DUE_SOON_PER_LOOK_MAX));
        let tasks = bounded(take.fetch_all(&mut *transaction)).await?;
        let (mut targets, mut of_tasks) = (Vec::new(), Vec::new());
        for task in &tasks {
            let TaskRecord { tenant, workflow, subject, .. } = task;
            let what = Happening { tenant, workflow, subject, kind: DUE_SOON, data: None };
            let told = self.listeners.iter().cloned().chain(webhooks.told(&what));
            targets.extend(told);
            of_tasks.resize(targets.len(), task.id);
        }
        if !targets.is_empty() {
            let note =
                sqlx::query(include_str!("../sql/note_due_soon.sql")).bind(targets).bind(of_tasks).bind(DUE_SOON);
            bounded(note.execute(&mut *transaction)).await?;
        }
        bounded(transaction.commit()).await?;
        Ok(tasks.len())
    }

    /// Takes what is due. Each is put off first, so that it is tried again when this engine dies with it.
    pub async fn due_notices(&self) -> Result<Vec<DueNotice>, StoreError> {
        let query = sqlx::query_as::<_, NoticeRecord>(include_str!("../sql/due_notices.sql"))
            .bind(&self.listeners)
            .bind(i64::from(NOTICES_PER_LOOK_MAX))
            .bind(NOTICE_ATTEMPTS_MAX as i32);
        let records = bounded(query.fetch_all(&self.pool)).await?;
        let mut notices = Vec::with_capacity(records.len());
        for record in records {
            let data = match &record.body {
                Some(sealed) => Some(serde_json::from_slice(&self.keys.open(sealed).await?)?),
                None => None,
            };
            notices.push(DueNotice {
                id: record.id,
                target: record.target,
                kind: record.kind,
                tenant: record.tenant,
                subject: record.subject,
                workflow: record.workflow,
                run: RunId(record.run_id),
                task: record.task_id.map(TaskId),
                data,
                at: record.at,
                attempt: record.attempts as u32,
            });
        }
        Ok(notices)
    }

    /// `error`: why it was not delivered; `None`: it was.
    pub async fn end_notice(&self, id: Uuid, error: Option<&str>) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("../sql/end_notice.sql")).bind(id).bind(error);
        bounded(query.execute(&self.pool)).await.map(drop)
    }

    /// Whether anybody is to be told of anything.
    pub fn has_listeners(&self) -> bool {
        !self.listeners.is_empty()
    }
}
