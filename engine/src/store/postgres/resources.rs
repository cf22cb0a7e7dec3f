//! Resources that runs hold: rows in, rows out. Which state may follow which comes in as an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::NaiveDate;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::{RunId, SessionId};
use valet_core::resources::{Claim, Resource, ResourceKind};

use super::{PgStore, audited, bounded, millis};
use crate::audit::Deed;
use crate::bounds::{METER_DAYS, RESOURCE_ROWS_MAX, RESOURCES_GIVEN_UP_AFTER};
use crate::resource_token::{Named, Shown};
use crate::store::{RunStore as _, SessionClaim, StoreError};

/// Times that a reservation or a claim is tried while another makes the same.
const TRIES_MAX: u32 = 3;

pub type Labels = BTreeMap<String, String>;

/// Who writes: whoever holds a step, for its run; or a session alone, under a fence.
#[derive(Clone, Copy, Debug)]
pub struct ResourceHolder {
    pub session: SessionId,
    pub step: Option<SessionClaim>,
}

/// A resource to be.
#[derive(Clone, Debug)]
pub struct NewRow {
    pub key: String,
    pub class: String,
    pub labels: Labels,
    pub data: Option<Value>,
    pub lease: Duration,
    pub rate_micros: u64,
    pub day_max_micros: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct WantedRow {
    pub wanted_for: String,
    pub key: Option<String>,
    pub labels: Labels,
    pub add: Labels,
    pub lease: Duration,
}

/// What becomes of one.
#[derive(Clone, Debug, Default)]
pub struct Move {
    pub tenant: Option<String>,
    pub key: String,
    pub fence: Option<i64>,
    /// `None`: it stays in its state.
    pub to: Option<String>,
    pub lease: Option<Duration>,
    pub labels: Labels,
    pub data: Option<Value>,
    pub reason: Option<String>,
    pub rate_micros: Option<u64>,
    pub release: bool,
    pub rest: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Came {
    Is { resource: Resource, charge_micros: u64 },
    Taken(Resource),
    Refused(Resource),
    Missing,
    Spent { micros: u64 },
    Stale,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct MeterRecord {
    pub class: String,
    pub day: NaiveDate,
    pub seconds: f64,
    pub micros: i64,
}

/// All of it is missing where there is none.
#[derive(sqlx::FromRow)]
struct Row {
    tenant: Option<String>,
    kind: Option<String>,
    key: Option<String>,
    class: Option<String>,
    state: Option<String>,
    ended: Option<bool>,
    run_id: Option<Uuid>,
    fence: Option<i64>,
    lease_until: Option<Timestamp>,
    labels: Option<Json<Labels>>,
    sealed: Option<Vec<u8>>,
    reason: Option<String>,
    created_at: Option<Timestamp>,
    state_since: Option<Timestamp>,
    uses: Option<i32>,
    cost_micros: Option<i64>,
    is_left: Option<bool>,
}

#[derive(sqlx::FromRow)]
struct Reserved {
    #[sqlx(flatten)]
    row: Row,
    is_new: bool,
    is_own: bool,
    spent_micros: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct Moved {
    #[sqlx(flatten)]
    row: Row,
    #[sqlx(rename = "is_moved")]
    done: Option<bool>,
    is_own: Option<bool>,
    charge: Option<i64>,
}

/// Binds a step's lease, or nothing in its place.
macro_rules! of_step {
    ($query:expr, $session:expr, $step:expr) => {{
        let step: Option<&SessionClaim> = $step;
        $query
            .bind(step.map(|step| step.run.0))
            .bind(step.map(|step| step.seq.0 as i32))
            .bind(step.map(|step| step.attempt.0 as i32))
            .bind(step.map(|step| step.lease.0))
            .bind($session.0)
    }};
}

impl PgStore {
    pub async fn reserve_resource(
        &self,
        step: &SessionClaim,
        kind: &ResourceKind,
        new: &NewRow,
    ) -> Result<Came, StoreError> {
        let sealed = self.seal_data(step, new.data.as_ref()).await?;
        for _ in 0..TRIES_MAX {
            let query = sqlx::query_as::<_, Reserved>(include_str!("../sql/reserve_resource.sql"));
            let query = of_step!(query, step.session, Some(step))
                .bind(kind.name)
                .bind(&new.key)
                .bind(&new.class)
                .bind(kind.first())
                .bind(millis(new.lease) as f64)
                .bind(Json(&new.labels))
                .bind(&sealed)
                .bind(micros(new.rate_micros))
                .bind(new.day_max_micros.map(micros));
            let Some(reserved) = bounded(query.fetch_optional(self.pool())).await? else { return Ok(Came::Stale) };
            let Reserved { row, is_new, is_own, spent_micros } = reserved;
            match self.resource(row).await? {
                Some(resource) if is_new || is_own => return Ok(Came::Is { resource, charge_micros: 0 }),
                Some(resource) => return Ok(Came::Taken(resource)),
                None => {}
            }
            if let (Some(spent), Some(most)) = (spent_micros, new.day_max_micros)
                && spent >= micros(most)
            {
                return Ok(Came::Spent { micros: spent as u64 });
            }
            // Another made the same at this moment: it is there when looked for again.
        }
        Ok(Came::Missing)
    }

    pub async fn claim_resource(
        &self,
        step: &SessionClaim,
        kind: &ResourceKind,
        claim: &Claim,
        wanted: &WantedRow,
    ) -> Result<Came, StoreError> {
        let from: Vec<&str> = claim.from.to_vec();
        let mut tries = TRIES_MAX;
        loop {
            tries -= 1;
            let query = sqlx::query_as::<_, Row>(include_str!("../sql/claim_resource.sql"));
            let query = of_step!(query, step.session, Some(step))
                .bind(kind.name)
                .bind(&wanted.wanted_for)
                .bind(&wanted.key)
                .bind(Json(&wanted.labels))
                .bind(&from)
                .bind(claim.to)
                .bind(claim.takes_over)
                .bind(kind.is_end(claim.to))
                .bind(millis(wanted.lease) as f64)
                .bind(Json(&wanted.add));
            let claimed = match bounded(query.fetch_optional(self.pool())).await {
                // The same claim, sent twice, was given something at this moment.
                Err(StoreError::BadData(_)) if tries > 0 => continue,
                claimed => claimed?,
            };
            let Some(row) = claimed else { return Ok(Came::Stale) };
            return Ok(match self.resource(row).await? {
                Some(resource) => Came::Is { resource, charge_micros: 0 },
                None => Came::Missing,
            });
        }
    }

    pub async fn move_resource(
        &self,
        holder: &ResourceHolder,
        kind: &ResourceKind,
        wanted: &Move,
    ) -> Result<Came, StoreError> {
        let from = match &wanted.to {
            Some(to) => kind.before(to),
            None => kind.states().filter(|state| !kind.is_end(state)).map(str::to_owned).collect(),
        };
        let sealed = match &holder.step {
            Some(step) => self.seal_data(step, wanted.data.as_ref()).await?,
            None => None,
        };
        let query = sqlx::query_as::<_, Moved>(include_str!("../sql/move_resource.sql"));
        let query = of_step!(query, holder.session, holder.step.as_ref())
            .bind(&wanted.tenant)
            .bind(kind.name)
            .bind(&wanted.key)
            .bind(wanted.fence)
            .bind(from)
            .bind(&wanted.to)
            .bind(wanted.to.as_deref().is_some_and(|to| kind.is_end(to)))
            .bind(wanted.lease.map(millis))
            .bind(Json(&wanted.labels))
            .bind(sealed)
            .bind(&wanted.reason)
            .bind(wanted.rate_micros.map(micros))
            .bind(wanted.release)
            .bind(wanted.rest.map(millis));
        let Some(moved) = bounded(query.fetch_optional(self.pool())).await? else { return Ok(Came::Stale) };
        let Moved { row, done, is_own, charge } = moved;
        let Some(resource) = self.resource(row).await? else { return Ok(Came::Missing) };
        Ok(match (done, is_own) {
            (Some(true), _) => Came::Is { resource, charge_micros: charge.unwrap_or_default().max(0) as u64 },
            (_, Some(true)) => Came::Refused(resource),
            _ => Came::Taken(resource),
        })
    }

    /// `None`: the session does not live.
    pub async fn list_resources(
        &self,
        session: SessionId,
        kind: &str,
        labels: &Labels,
        keys: Option<&[String]>,
    ) -> Result<Option<Vec<Resource>>, StoreError> {
        let query = sqlx::query_as::<_, Row>(include_str!("../sql/list_resources.sql"))
            .bind(session.0)
            .bind(kind)
            .bind(Json(labels))
            .bind(keys)
            .bind(i64::from(RESOURCE_ROWS_MAX));
        self.rows(bounded(query.fetch_all(self.pool())).await?).await
    }

    /// `None`: the session does not live.
    pub async fn reap_resources(
        &self,
        session: SessionId,
        kind: &ResourceKind,
        labels: &Labels,
        lease: Duration,
        most: u32,
    ) -> Result<Option<Vec<Resource>>, StoreError> {
        let query = sqlx::query_as::<_, Row>(include_str!("../sql/reap_resources.sql"))
            .bind(session.0)
            .bind(kind.name)
            .bind(Json(labels))
            .bind(kind.left)
            .bind(millis(lease) as f64)
            .bind(i64::from(most.min(RESOURCE_ROWS_MAX)));
        self.rows(bounded(query.fetch_all(self.pool())).await?).await
    }

    /// `None`: the session does not live.
    pub async fn live_runs_among(&self, session: SessionId, runs: &[RunId]) -> Result<Option<Vec<RunId>>, StoreError> {
        let ids: Vec<Uuid> = runs.iter().map(|run| run.0).collect();
        let query = sqlx::query_scalar::<_, Option<Uuid>>(include_str!("../sql/live_runs_among.sql"));
        let found = bounded(query.bind(session.0).bind(ids).fetch_all(self.pool())).await?;
        Ok((!found.is_empty()).then(|| found.into_iter().flatten().map(RunId).collect()))
    }

    /// Of one kind, the newest first; those that have ended too, if asked for.
    pub async fn people_resources(&self, tenant: &str, kind: &str, all: bool) -> Result<Vec<Resource>, StoreError> {
        let query = sqlx::query_as::<_, Row>(include_str!("../sql/people_resources.sql"))
            .bind(tenant)
            .bind(kind)
            .bind(all)
            .bind(i64::from(RESOURCE_ROWS_MAX));
        Ok(bounded(query.fetch_all(self.pool())).await?.into_iter().filter_map(Row::unsealed).collect())
    }

    pub async fn find_resource(&self, tenant: &str, kind: &str, key: &str) -> Result<Option<Resource>, StoreError> {
        let query =
            sqlx::query_as::<_, Row>(include_str!("../sql/find_resource.sql")).bind(tenant).bind(kind).bind(key);
        Ok(bounded(query.fetch_optional(self.pool())).await?.and_then(Row::unsealed))
    }

    /// Whether there was one that had not ended.
    pub async fn kill_resource(
        &self,
        kind: &ResourceKind,
        key: &str,
        reason: &str,
        deed: &Deed,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/kill_resource.sql"))
            .bind(&deed.tenant)
            .bind(kind.name)
            .bind(key)
            .bind(kind.left)
            .bind(reason)
            .bind(&deed.who);
        Ok(bounded(audited!(query, deed).fetch_one(self.pool())).await? > 0)
    }

    /// Whether it was in a state that leads there.
    pub async fn follow_resource(
        &self,
        kind: &ResourceKind,
        of: &Resource,
        to: &str,
        reason: Option<&str>,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/follow_resource.sql"))
            .bind(&of.tenant)
            .bind(&of.kind)
            .bind(&of.key)
            .bind(of.fence)
            .bind(to)
            .bind(kind.before(to))
            .bind(reason);
        Ok(bounded(query.fetch_one(self.pool())).await? > 0)
    }

    /// With which a resource speaks of itself.
    pub fn resource_token(&self, tenant: &str, kind: &str, key: &str) -> String {
        self.keys.masters().resource_token(&Named { tenant, kind, key })
    }

    pub fn is_token_of_resource(&self, of: &Named<'_>, shown: Shown<'_>) -> bool {
        self.keys.masters().is_token_of_resource(of, shown)
    }

    /// How many ended because nobody came to look after them.
    pub async fn give_up_resources(&self, kind: &ResourceKind) -> Result<u64, StoreError> {
        let Some(end) = kind.given_up else { return Ok(0) };
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/give_up_resources.sql"))
            .bind(kind.name)
            .bind(end)
            .bind(millis(RESOURCES_GIVEN_UP_AFTER) as f64);
        Ok(bounded(query.fetch_one(self.pool())).await? as u64)
    }

    pub async fn list_meters(&self, tenant: &str, kind: &str) -> Result<Vec<MeterRecord>, StoreError> {
        let query = sqlx::query_as::<_, MeterRecord>(include_str!("../sql/list_meters.sql"))
            .bind(tenant)
            .bind(kind)
            .bind(METER_DAYS as i32)
            .bind(i64::from(RESOURCE_ROWS_MAX));
        bounded(query.fetch_all(self.pool())).await
    }

    async fn seal_data(&self, step: &SessionClaim, data: Option<&Value>) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(data) = data else { return Ok(None) };
        let plain = serde_json::to_vec(data)?;
        // A step whose run is not there holds no lease either.
        let Some(identity) = self.identity(step.run).await? else { return Ok(None) };
        Ok(Some(self.keys.seal_for(&identity.tenant, &identity.subject, &plain).await?))
    }

    async fn rows(&self, rows: Vec<Row>) -> Result<Option<Vec<Resource>>, StoreError> {
        if rows.is_empty() {
            return Ok(None);
        }
        let mut resources = Vec::with_capacity(rows.len());
        for row in rows {
            resources.extend(self.resource(row).await?);
        }
        Ok(Some(resources))
    }

    async fn resource(&self, mut row: Row) -> Result<Option<Resource>, StoreError> {
        let sealed = row.sealed.take();
        let Some(mut resource) = row.unsealed() else { return Ok(None) };
        if let Some(sealed) = sealed {
            // Its subject may be erased: what the thing was is not needed to end it.
            resource.data = match self.keys.open(&sealed).await {
                Ok(plain) => serde_json::from_slice(&plain)?,
                Err(StoreError::Sealed(_)) => None,
                Err(error) => return Err(error),
            };
        }
        Ok(Some(resource))
    }
}

impl Row {
    fn unsealed(self) -> Option<Resource> {
        Some(Resource {
            tenant: self.tenant?,
            kind: self.kind?,
            key: self.key?,
            class: self.class?,
            state: self.state?,
            ended: self.ended?,
            run: self.run_id.map(RunId),
            fence: self.fence?,
            lease_until: self.lease_until?,
            labels: self.labels?.0,
            data: None,
            reason: self.reason,
            created_at: self.created_at?,
            state_since: self.state_since?,
            uses: self.uses.unwrap_or_default() as u32,
            cost_usd_micros: self.cost_micros.unwrap_or_default().max(0) as u64,
            left: self.is_left.unwrap_or_default(),
        })
    }
}

fn micros(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
