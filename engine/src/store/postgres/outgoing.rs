//! Outgoing webhooks, and what each is told: rows of `notices`, which commits write.

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;
use tokio::sync::Mutex;
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::declared::Faults;
use valet_core::id::{RunId, TaskId};
use valet_core::payload::Payload;

use super::incoming::NOBODY;
use super::{PgStore, audited, bounded, millis};
use crate::access::Reach;
use crate::audit::Deed;
use crate::bounds::{
    NOTICE_ATTEMPTS_MAX, OUTGOING_AT_ONCE_OF_EACH_MAX, OUTGOING_KNOWN_MAX, OUTGOING_LEASE, OUTGOING_WEBHOOKS_MAX,
};
use crate::store::StoreError;
use crate::webhook::outgoing::{self, AllWanted, Wanted};

/// The webhooks that this engine knows of. A commit writes what they are to be told.
#[derive(Default)]
pub(super) struct KnownWebhooks {
    known: RwLock<Arc<AllWanted>>,
    /// What is asked first is learnt first.
    learning: Mutex<()>,
}

impl KnownWebhooks {
    pub fn now(&self) -> Arc<AllWanted> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A webhook that is to be kept.
#[derive(Clone, Debug)]
pub struct NewOutgoing<'a> {
    pub tenant: &'a str,
    pub name: &'a str,
    /// `None`: the one that it has; as with secrets.
    pub url: Option<&'a str>,
    pub origin: &'a str,
    pub secrets: Option<&'a [String]>,
    pub kinds: &'a [String],
    pub workflow: Option<&'a str>,
    pub filter: Option<&'a str>,
    pub paused: bool,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct OutgoingRecord {
    pub id: Uuid,
    pub name: String,
    url: Vec<u8>,
    pub origin: String,
    secrets: Vec<u8>,
    pub kinds: Vec<String>,
    pub workflow: Option<String>,
    pub filter: Option<String>,
    pub paused: bool,
    pub created_at: Timestamp,
    pub created_by: String,
}

#[derive(sqlx::FromRow)]
struct KnownRecord {
    id: Uuid,
    tenant: String,
    kinds: Vec<String>,
    workflow: Option<String>,
    filter: Option<String>,
}

/// How much of what is due an engine takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    pub of_all: usize,
    /// Of webhooks that have less than `OUTGOING_AT_ONCE_OF_EACH_MAX`.
    pub of_busy: Vec<(Uuid, usize)>,
}

/// A message on its way to a webhook.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    pub id: Uuid,
    pub webhook: Uuid,
    pub kind: String,
    pub tenant: String,
    pub workflow: String,
    pub run: RunId,
    pub task: Option<TaskId>,
    pub said: Option<Value>,
    pub at: Timestamp,
    /// 1 for the first.
    pub attempt: u32,
    pub url: String,
    pub secrets: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct DueRecord {
    id: Uuid,
    webhook: Uuid,
    kind: String,
    tenant: String,
    workflow: String,
    run_id: Uuid,
    task_id: Option<Uuid>,
    body: Option<Vec<u8>>,
    at: Timestamp,
    attempts: i32,
    url: Vec<u8>,
    secrets: Vec<u8>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryEnd {
    pub status: Option<u16>,
    /// `None`: it was delivered.
    pub error: Option<String>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct DeliveryLog {
    pub id: Uuid,
    pub kind: String,
    pub run_id: Uuid,
    pub task_id: Option<Uuid>,
    pub at: Timestamp,
    pub attempts: i32,
    pub status: Option<i32>,
    pub last_error: Option<String>,
    pub delivered_at: Option<Timestamp>,
    pub next_at: Option<Timestamp>,
}

impl PgStore {
    /// True if there was none of its name; `None` if there are as many as there may be, of the tenant or of all.
    pub async fn put_outgoing_webhook(
        &self,
        id: Uuid,
        new: &NewOutgoing<'_>,
        deed: &Deed,
    ) -> Result<Option<bool>, StoreError> {
        let url = match new.url {
            Some(url) => Some(self.keys.seal_for(new.tenant, NOBODY, url.as_bytes()).await?),
            None => None,
        };
        let secrets = match new.secrets {
            Some(secrets) => Some(self.keys.seal_for(new.tenant, NOBODY, &serde_json::to_vec(secrets)?).await?),
            None => None,
        };
        let query = sqlx::query_scalar::<_, bool>(include_str!("../sql/put_outgoing_webhook.sql"))
            .bind(id)
            .bind(new.tenant)
            .bind(new.name)
            .bind(url)
            .bind(new.origin)
            .bind(secrets)
            .bind(new.kinds)
            .bind(new.workflow)
            .bind(new.filter)
            .bind(new.paused)
            .bind(&deed.who)
            .bind(i64::from(OUTGOING_WEBHOOKS_MAX))
            .bind(i64::from(OUTGOING_KNOWN_MAX));
        let put = bounded(audited!(query, deed).fetch_optional(self.pool())).await?;
        self.learn_outgoing().await?;
        Ok(put)
    }

    pub async fn find_outgoing_webhook(&self, tenant: &str, name: &str) -> Result<Option<OutgoingRecord>, StoreError> {
        let query = sqlx::query_as::<_, OutgoingRecord>(include_str!("../sql/find_outgoing_webhook.sql"));
        bounded(query.bind(tenant).bind(name).fetch_optional(self.pool())).await
    }

    /// Its address and its secrets.
    pub async fn open_outgoing(&self, webhook: &OutgoingRecord) -> Result<(String, Vec<String>), StoreError> {
        self.opened(&webhook.url, &webhook.secrets).await
    }

    async fn opened(&self, url: &[u8], secrets: &[u8]) -> Result<(String, Vec<String>), StoreError> {
        let url = String::from_utf8_lossy(&self.keys.open(url).await?).into_owned();
        Ok((url, serde_json::from_slice(&self.keys.open(secrets).await?)?))
    }

    /// All of a tenant within this reach.
    pub async fn list_outgoing_webhooks(&self, tenant: &str, reach: &Reach) -> Result<Vec<OutgoingRecord>, StoreError> {
        let query = sqlx::query_as::<_, OutgoingRecord>(include_str!("../sql/list_outgoing_webhooks.sql"));
        let query = query.bind(tenant).bind(&reach.workflows).bind(i64::from(OUTGOING_WEBHOOKS_MAX));
        bounded(query.fetch_all(self.pool())).await
    }

    /// True if it was there.
    pub async fn remove_outgoing_webhook(&self, id: Uuid, deed: &Deed) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/remove_outgoing_webhook.sql"));
        let removed = bounded(audited!(query.bind(id).bind(&deed.who), deed).fetch_one(self.pool())).await?;
        self.learn_outgoing().await?;
        Ok(removed > 0)
    }

    /// Commits tell the webhooks that there are now.
    pub async fn learn_outgoing(&self) -> Result<(), StoreError> {
        let _learning = self.outgoing.learning.lock().await;
        let query = sqlx::query_as::<_, KnownRecord>(include_str!("../sql/known_outgoing.sql"));
        let records = bounded(query.bind(i64::from(OUTGOING_KNOWN_MAX)).fetch_all(self.pool())).await?;
        let known = records.into_iter().filter_map(|record| {
            let KnownRecord { id, tenant, kinds, workflow, filter } = record;
            let mut faults = Faults::default();
            let filter = outgoing::check(&kinds, filter.as_deref(), &mut faults);
            if !faults.is_empty() {
                tracing::error!(webhook = %id, "this build cannot read an outgoing webhook");
                return None;
            }
            Some((tenant, Wanted { id, kinds, workflow, filter }))
        });
        let known: AllWanted = known.collect();
        *self.outgoing.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
        Ok(())
    }

    /// The webhooks that commits tell now.
    pub fn outgoing(&self) -> Arc<AllWanted> {
        self.outgoing.now()
    }

    /// Takes what is due and there is room for, for as long as an attempt may take.
    pub async fn due_outgoing(&self, room: &Room) -> Result<Vec<DueDelivery>, StoreError> {
        let (busy, left): (Vec<Uuid>, Vec<i64>) = room.of_busy.iter().map(|(id, left)| (*id, *left as i64)).unzip();
        let query = sqlx::query_as::<_, DueRecord>(include_str!("../sql/due_outgoing.sql"))
            .bind(OUTGOING_AT_ONCE_OF_EACH_MAX as i64)
            .bind(room.of_all as i64)
            .bind(millis(OUTGOING_LEASE) as f64)
            .bind(busy)
            .bind(left);
        let mut due = Vec::new();
        for record in bounded(query.fetch_all(self.pool())).await? {
            let (id, attempt) = (record.id, record.attempts as u32);
            match self.delivery(record).await {
                Ok(delivery) => due.push(delivery),
                // It does not hold up the others.
                Err(error) => {
                    tracing::warn!(%error, delivery = %id, "a message cannot be read; it is tried again");
                    let end = DeliveryEnd { status: None, error: Some("the engine could not read it".to_owned()) };
                    self.end_outgoing(id, attempt, &end).await?;
                }
            }
        }
        Ok(due)
    }

    async fn delivery(&self, record: DueRecord) -> Result<DueDelivery, StoreError> {
        let said = match &record.body {
            Some(sealed) => match self.keys.open(sealed).await {
                Ok(plain) => serde_json::from_slice::<Payload>(&plain)?.read().ok(),
                // Its subject was erased: what code said of them is gone.
                Err(StoreError::Sealed(_)) => None,
                Err(error) => return Err(error),
            },
            None => None,
        };
        let (url, secrets) = self.opened(&record.url, &record.secrets).await?;
        Ok(DueDelivery {
            id: record.id,
            webhook: record.webhook,
            kind: record.kind,
            tenant: record.tenant,
            workflow: record.workflow,
            run: RunId(record.run_id),
            task: record.task_id.map(TaskId),
            said,
            at: record.at,
            attempt: record.attempts as u32,
            url,
            secrets,
        })
    }

    /// How this attempt of that message ended.
    pub async fn end_outgoing(&self, id: Uuid, attempt: u32, end: &DeliveryEnd) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("../sql/end_outgoing.sql"))
            .bind(id)
            .bind(end.status.map(i32::from))
            .bind(end.error.as_deref())
            .bind(attempt as i32)
            .bind(NOTICE_ATTEMPTS_MAX as i32);
        bounded(query.execute(self.pool())).await.map(drop)
    }

    /// Latest first. `after` is the place of the last row read.
    pub async fn list_outgoing_deliveries(
        &self,
        webhook: Uuid,
        after: Option<(Timestamp, Uuid)>,
        state: Option<&str>,
        most: u32,
    ) -> Result<Vec<DeliveryLog>, StoreError> {
        let (after_at, after_id) = after.unzip();
        let query = sqlx::query_as::<_, DeliveryLog>(include_str!("../sql/list_outgoing_deliveries.sql"))
            .bind(outgoing::target(webhook))
            .bind(after_at)
            .bind(after_id)
            .bind(state)
            .bind(i64::from(most));
        bounded(query.fetch_all(self.pool())).await
    }

    /// True if there is such a message.
    pub async fn redeliver(&self, webhook: Uuid, id: Uuid, deed: &Deed) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/redeliver.sql"))
            .bind(outgoing::target(webhook))
            .bind(id)
            .bind(&deed.tenant)
            .bind(&deed.who);
        Ok(bounded(audited!(query, deed).fetch_one(self.pool())).await? > 0)
    }
}

/// No attempt lasts as long as it is taken for: no two engines are at one message.
const _: () = assert!(OUTGOING_LEASE.as_secs() > crate::bounds::OUTGOING_WAIT_MAX.as_secs() * 2);
