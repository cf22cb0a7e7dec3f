//! Incoming webhooks, the deliveries that they took, and those that they refused.

use serde_json::Value;
use uuid::Uuid;
use valet_core::Timestamp;

use super::{PgStore, audited, bounded};
use crate::access::Reach;
use crate::audit::Deed;
use crate::bounds::{INCOMING_FAILURES_KEPT_MAX, INCOMING_WEBHOOKS_MAX};
use crate::store::StoreError;

/// Secrets of a tenant that are of no end user are sealed for nobody: no subject has an empty name, so that none is erased with one.
pub(super) const NOBODY: &str = "";

/// A webhook that is to be kept.
#[derive(Clone, Debug)]
pub struct NewIncoming<'a> {
    pub tenant: &'a str,
    pub name: &'a str,
    pub proof: &'a Value,
    /// `None`: those that it has.
    pub secrets: Option<&'a [String]>,
    pub delivery_id: Option<&'a str>,
    pub filter: Option<&'a str>,
    pub workflow: Option<&'a str>,
    pub mapping: &'a Value,
    pub paused: bool,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct IncomingRecord {
    pub id: Uuid,
    pub name: String,
    pub proof: Value,
    secrets: Vec<u8>,
    pub delivery_id: Option<String>,
    pub filter: Option<String>,
    pub workflow: Option<String>,
    pub mapping: Value,
    pub paused: bool,
    pub created_at: Timestamp,
    pub created_by: String,
}

/// What a delivery makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    Run(Uuid),
    Event(Uuid),
}

/// How a delivery is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryMarks {
    /// The digest of its sender's id.
    pub delivery: [u8; 32],
    /// That of its signature.
    pub proof: Option<[u8; 32]>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct DeliveryRecord {
    /// False: another delivery bore the same signature.
    pub is_same: bool,
    run_id: Option<Uuid>,
    event_id: Option<Uuid>,
    pub settled: bool,
}

impl DeliveryRecord {
    pub fn made(&self) -> Option<Made> {
        self.run_id.map(Made::Run).or(self.event_id.map(Made::Event))
    }
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct FailureRecord {
    pub at: Timestamp,
    pub reason: String,
    pub address: Option<String>,
}

impl PgStore {
    /// True if there was none of its name; `None` if the tenant has as many as it may.
    pub async fn put_incoming_webhook(
        &self,
        id: Uuid,
        new: &NewIncoming<'_>,
        deed: &Deed,
    ) -> Result<Option<bool>, StoreError> {
        let secrets = match new.secrets {
            Some(secrets) => Some(self.keys.seal_for(new.tenant, NOBODY, &serde_json::to_vec(secrets)?).await?),
            None => None,
        };
        let query = sqlx::query_scalar::<_, bool>(include_str!("../sql/put_incoming_webhook.sql"))
            .bind(id)
            .bind(new.tenant)
            .bind(new.name)
            .bind(new.proof)
            .bind(secrets)
            .bind(new.delivery_id)
            .bind(new.filter)
            .bind(new.workflow)
            .bind(new.mapping)
            .bind(new.paused)
            .bind(&deed.who)
            .bind(i64::from(INCOMING_WEBHOOKS_MAX));
        bounded(audited!(query, deed).fetch_optional(self.pool())).await
    }

    pub async fn find_incoming_webhook(&self, tenant: &str, name: &str) -> Result<Option<IncomingRecord>, StoreError> {
        let query = sqlx::query_as::<_, IncomingRecord>(include_str!("../sql/find_incoming_webhook.sql"));
        bounded(query.bind(tenant).bind(name).fetch_optional(self.pool())).await
    }

    /// Any of them proves a delivery.
    pub async fn open_incoming_secrets(&self, webhook: &IncomingRecord) -> Result<Vec<String>, StoreError> {
        Ok(serde_json::from_slice(&self.keys.open(&webhook.secrets).await?)?)
    }

    /// All of a tenant within this reach.
    pub async fn list_incoming_webhooks(&self, tenant: &str, reach: &Reach) -> Result<Vec<IncomingRecord>, StoreError> {
        let query = sqlx::query_as::<_, IncomingRecord>(include_str!("../sql/list_incoming_webhooks.sql"));
        let query = query.bind(tenant).bind(&reach.workflows).bind(i64::from(INCOMING_WEBHOOKS_MAX));
        bounded(query.fetch_all(self.pool())).await
    }

    /// True if it was there.
    pub async fn remove_incoming_webhook(&self, id: Uuid, deed: &Deed) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/remove_incoming_webhook.sql"));
        Ok(bounded(audited!(query.bind(id).bind(&deed.who), deed).fetch_one(self.pool())).await? > 0)
    }

    pub async fn find_incoming_delivery(
        &self,
        webhook: Uuid,
        marks: &DeliveryMarks,
    ) -> Result<Option<DeliveryRecord>, StoreError> {
        let query = sqlx::query_as::<_, DeliveryRecord>(include_str!("../sql/find_incoming_delivery.sql"));
        let query =
            query.bind(webhook).bind(marks.delivery.as_slice()).bind(marks.proof.as_ref().map(<[u8; 32]>::as_slice));
        bounded(query.fetch_optional(self.pool())).await
    }

    /// False if its id or its signature is known.
    pub async fn add_incoming_delivery(
        &self,
        webhook: Uuid,
        marks: &DeliveryMarks,
        made: Made,
    ) -> Result<bool, StoreError> {
        let (run, event) = match made {
            Made::Run(run) => (Some(run), None),
            Made::Event(event) => (None, Some(event)),
        };
        let query = sqlx::query(include_str!("../sql/add_incoming_delivery.sql"))
            .bind(webhook)
            .bind(marks.delivery.as_slice())
            .bind(marks.proof.as_ref().map(<[u8; 32]>::as_slice))
            .bind(run)
            .bind(event);
        Ok(bounded(query.execute(self.pool())).await?.rows_affected() > 0)
    }

    /// What it makes is there.
    pub async fn settle_incoming_delivery(&self, webhook: Uuid, marks: &DeliveryMarks) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("../sql/settle_incoming_delivery.sql"));
        let query = query.bind(webhook).bind(marks.delivery.as_slice());
        bounded(query.execute(self.pool())).await.map(drop)
    }

    pub async fn add_incoming_failure(
        &self,
        id: Uuid,
        webhook: Uuid,
        reason: &str,
        address: Option<&str>,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("../sql/add_incoming_failure.sql"))
            .bind(id)
            .bind(webhook)
            .bind(reason)
            .bind(address)
            // The new one is not among those that the statement sees.
            .bind(i64::from(INCOMING_FAILURES_KEPT_MAX) - 1);
        bounded(query.execute(self.pool())).await.map(drop)
    }

    /// Latest first.
    pub async fn list_incoming_failures(&self, webhook: Uuid) -> Result<Vec<FailureRecord>, StoreError> {
        let query = sqlx::query_as::<_, FailureRecord>(include_str!("../sql/list_incoming_failures.sql"));
        bounded(query.bind(webhook).bind(i64::from(INCOMING_FAILURES_KEPT_MAX)).fetch_all(self.pool())).await
    }
}
