//! Limits: rows, their keys, and what is given out.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use sqlx::types::Json;
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::{Attempt, RunId, Seq, SessionId};
use valet_core::limits::{LimitKey, LimitText};
use valet_protocol::api::{DebounceView, SlotHold, WhenFull};

use super::{PgStore, audited, bounded};
use crate::audit::Deed;
use crate::bounds::{LIMIT_KEYS_SHOWN_MAX, LIMITS_MAX};
use crate::store::{Admitted, DueTicket, OverWhy, RunOver, StepOver, StoreError};

/// How many may be at work, or begin, and what becomes of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitFigures {
    pub most: Option<u32>,
    pub rate: Option<LimitRate>,
    pub when_full: WhenFull,
    pub hold: SlotHold,
    pub debounce: Option<DebounceView>,
    pub expires_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRate {
    pub count: u32,
    pub per_ms: u64,
    pub burst: u32,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LimitRecord {
    pub name: String,
    pub workflow: String,
    pub step: Option<String>,
    pub key: Option<String>,
    pub share: Option<String>,
    pub weights: Json<BTreeMap<String, u32>>,
    pub most: Option<i32>,
    pub rate: Option<i32>,
    pub per_ms: Option<i64>,
    pub burst: Option<i32>,
    pub when_full: String,
    pub hold: String,
    pub quiet_ms: Option<i64>,
    pub quiet_at_most_ms: Option<i64>,
    pub expires_ms: Option<i64>,
    pub version: i64,
    pub changed_by: String,
    pub changed_at: Timestamp,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LimitKeyRecord {
    pub key: String,
    pub running: i64,
    pub waiting: i64,
    pub oldest: Option<Timestamp>,
    pub cooled_until: Option<Timestamp>,
    pub next_token_at: Option<Timestamp>,
}

/// What became of a limit that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct LimitPut {
    pub created: bool,
    pub changed: bool,
}

#[derive(sqlx::FromRow)]
struct TextRecord {
    tenant: String,
    name: String,
    workflow: String,
    step: Option<String>,
    key: Option<String>,
    share: Option<String>,
    weights: Json<BTreeMap<String, u32>>,
}

#[derive(sqlx::FromRow)]
struct AdmittedRecord {
    run_id: Option<Uuid>,
    seq: i32,
    attempt: i32,
    queue: Option<String>,
    ticketed: bool,
    tenant: Option<String>,
    name: Option<String>,
    key: Option<String>,
    again_ms: Option<f64>,
    over: Option<String>,
    prefers: Option<Vec<String>>,
}

impl AdmittedRecord {
    fn step_over(self) -> Option<StepOver> {
        let (seq, attempt) = (Seq(self.seq as u32), Attempt(self.attempt as u32));
        let replaced = self.over? != "full";
        Some(StepOver { run: RunId(self.run_id?), seq, attempt, limit: self.name?, replaced })
    }

    fn over(self) -> Option<RunOver> {
        let why = match self.over?.as_str() {
            "full" => OverWhy::Full,
            "replaced" => OverWhy::Replaced,
            _ => OverWhy::InProgress,
        };
        Some(RunOver { run: RunId(self.run_id?), limit: self.name?, why })
    }
}

impl PgStore {
    pub(super) async fn limits_now(&self) -> Result<Vec<LimitText>, StoreError> {
        let query = sqlx::query_as::<_, TextRecord>(include_str!("../sql/limits_now.sql"));
        let text = |record: TextRecord| LimitText {
            tenant: record.tenant,
            name: record.name,
            workflow: record.workflow,
            step: record.step,
            key: record.key,
            share: record.share,
            weights: record.weights.0,
        };
        Ok(bounded(query.fetch_all(self.pool())).await?.into_iter().map(text).collect())
    }

    pub(super) async fn admit_steps(
        &self,
        keys: &[LimitKey],
        backlogged: &HashSet<String>,
    ) -> Result<Admitted, StoreError> {
        let query = sqlx::query_as::<_, AdmittedRecord>(include_str!("../sql/admit.sql"))
            .bind(keys.iter().map(|key| key.tenant.as_str()).collect::<Vec<_>>())
            .bind(keys.iter().map(|key| key.limit.as_str()).collect::<Vec<_>>())
            .bind(keys.iter().map(|key| key.key.as_str()).collect::<Vec<_>>())
            .bind(backlogged.iter().map(String::as_str).collect::<Vec<_>>());
        let mut admitted = Admitted::default();
        for record in bounded(query.fetch_all(self.pool())).await? {
            match record {
                record @ AdmittedRecord { over: Some(_), seq: 1.., .. } => {
                    admitted.steps_over.extend(record.step_over());
                }
                record @ AdmittedRecord { over: Some(_), .. } => admitted.over.extend(record.over()),
                AdmittedRecord {
                    run_id: Some(run), seq, attempt, queue: Some(queue), ticketed: true, prefers, ..
                } => {
                    let (seq, attempt) = (Seq(seq as u32), Attempt(attempt as u32));
                    let prefers = prefers.unwrap_or_default();
                    admitted.tickets.push(DueTicket { queue, prefers, run: RunId(run), seq, attempt });
                }
                AdmittedRecord { run_id: Some(_), .. } => admitted.backlog = true,
                AdmittedRecord {
                    tenant: Some(tenant), name: Some(limit), key: Some(key), again_ms: Some(ms), ..
                } => {
                    // Of a cool-down that lasts for ever there is nothing to wait for.
                    let after = Duration::try_from_secs_f64(ms.max(0.0) / 1000.0);
                    admitted.again.extend(after.ok().map(|after| (LimitKey { tenant, limit, key }, after)));
                }
                _ => {}
            }
        }
        Ok(admitted)
    }

    /// `None` if the tenant has as many as it may.
    pub async fn put_limit(
        &self,
        text: &LimitText,
        figures: LimitFigures,
        deed: &Deed,
    ) -> Result<Option<LimitPut>, StoreError> {
        let rate = figures.rate;
        let query = sqlx::query_as::<_, LimitPut>(include_str!("../sql/put_limit.sql"))
            .bind(&text.tenant)
            .bind(&text.name)
            .bind(&text.workflow)
            .bind(&text.step)
            .bind(&text.key)
            .bind(&text.share)
            .bind(Json(&text.weights))
            .bind(figures.most.map(|most| most as i32))
            .bind(rate.map(|rate| rate.count as i32))
            .bind(rate.map(|rate| rate.per_ms as i64))
            .bind(rate.map(|rate| rate.burst as i32))
            .bind(&deed.who)
            .bind(i64::from(LIMITS_MAX));
        let query = audited!(query, deed)
            .bind(figures.when_full.as_str())
            .bind(figures.hold.as_str())
            .bind(figures.debounce.map(|debounce| debounce.quiet_ms as i64))
            .bind(figures.debounce.and_then(|debounce| debounce.at_most_ms).map(|ms| ms as i64))
            .bind(figures.expires_ms.map(|ms| ms as i64));
        bounded(query.fetch_optional(self.pool())).await
    }

    pub(super) async fn runs_expired(&self) -> Result<Vec<RunOver>, StoreError> {
        let query = sqlx::query_as::<_, (Uuid, String)>(include_str!("../sql/expired_waits.sql"));
        let over = |(run, limit)| RunOver { run: RunId(run), limit, why: OverWhy::Expired };
        Ok(bounded(query.fetch_all(self.pool())).await?.into_iter().map(over).collect())
    }

    /// True if it was there. What waits for it does so no more.
    pub async fn remove_limit(&self, tenant: &str, name: &str, deed: &Deed) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/remove_limit.sql"));
        let query = query.bind(tenant).bind(name).bind(&deed.who);
        Ok(bounded(audited!(query, deed).fetch_one(self.pool())).await? > 0)
    }

    /// All of a tenant, or the one of this name.
    pub async fn list_limits(&self, tenant: &str, name: Option<&str>) -> Result<Vec<LimitRecord>, StoreError> {
        let query = sqlx::query_as::<_, LimitRecord>(include_str!("../sql/list_limits.sql"));
        bounded(query.bind(tenant).bind(name).fetch_all(self.pool())).await
    }

    pub async fn list_limit_keys(
        &self,
        tenant: &str,
        name: &str,
        key: Option<&str>,
    ) -> Result<Vec<LimitKeyRecord>, StoreError> {
        let query = sqlx::query_as::<_, LimitKeyRecord>(include_str!("../sql/list_limit_keys.sql"));
        let query = query.bind(tenant).bind(name).bind(key).bind(i64::from(LIMIT_KEYS_SHOWN_MAX));
        bounded(query.fetch_all(self.pool())).await
    }

    /// False if there is no such limit.
    pub async fn cool_limit_key(
        &self,
        of: &LimitKey,
        until: Option<Timestamp>,
        deed: &Deed,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/cool_limit_key.sql"));
        let query = query.bind(&of.tenant).bind(&of.limit).bind(&of.key).bind(until).bind(&deed.who);
        Ok(bounded(audited!(query, deed).fetch_one(self.pool())).await? > 0)
    }

    /// How many other engines have not ticked since.
    pub async fn engines_behind(&self, me: SessionId, since: Timestamp) -> Result<i64, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/engines_behind.sql"));
        bounded(query.bind(me.0).bind(since).fetch_one(self.pool())).await
    }
}
