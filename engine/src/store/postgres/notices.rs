//! Notices for the outside: taken when due, ended when delivered.

use std::time::Duration;

use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::{RunId, TaskId};
use valet_core::payload::Payload;

use super::{PgStore, StoreError, bounded, millis};
use crate::bounds::{NOTICE_ATTEMPTS_MAX, NOTICES_PER_LOOK_MAX};

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

impl PgStore {
    /// Takes what is due. Each is put off first, so that it is tried again when this engine dies with it. Tasks whose
    /// deadline is nearer than `due_soon` are noted on the way.
    pub async fn due_notices(&self, due_soon: Duration) -> Result<Vec<DueNotice>, StoreError> {
        let query = sqlx::query_as::<_, NoticeRecord>(include_str!("../sql/due_notices.sql"))
            .bind(millis(due_soon) as f64)
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
