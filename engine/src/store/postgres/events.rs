//! Events, the triggers that they fit, and the runs that were started.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::{RunId, Seq};

use super::{PgStore, audited, bounded, millis};
use crate::access::Reach;
use crate::audit::Deed;
use crate::bounds::{EVENT_TRIGGERS_MAX, EVENT_WAKES_MAX, EVENT_WAKES_PER_PAGE, SCHEDULES_PER_LOOK_MAX};
use crate::store::StoreError;
use crate::trigger::like;

/// A trigger that is to be kept.
#[derive(Clone, Debug)]
pub struct NewTrigger<'a> {
    pub tenant: &'a str,
    pub name: &'a str,
    pub key: &'a str,
    pub scope: Option<&'a str>,
    pub filter: Option<&'a str>,
    pub workflow: &'a str,
    pub run: &'a Value,
    pub paused: bool,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TriggerRecord {
    pub id: Uuid,
    pub name: String,
    pub key: String,
    pub scope: Option<String>,
    pub filter: Option<String>,
    pub workflow: String,
    pub run: Value,
    pub paused: bool,
    pub created_at: Timestamp,
    pub created_by: String,
}

/// An event that is to be kept, with what it starts.
#[derive(Clone, Debug)]
pub struct NewEvent<'a> {
    pub id: Uuid,
    pub tenant: &'a str,
    pub key: &'a str,
    pub scope: Option<&'a str>,
    pub subject: &'a str,
    pub payload: &'a [u8],
    pub idempotency_key: Option<&'a str>,
    pub request_hash: &'a [u8],
    pub replay_of: Option<Uuid>,
    pub runs: &'a [NewEventRun],
    /// Which waiting runs may be told of it.
    pub reach: &'a Reach,
}

/// What one trigger makes of an event.
#[derive(Clone, Debug)]
pub struct NewEventRun {
    pub trigger: Uuid,
    pub name: String,
    pub workflow: String,
    /// The run, its subject and its start; or why there is none.
    pub start: Result<(RunId, String, Vec<u8>), String>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct EventRecord {
    pub id: Uuid,
    pub key: String,
    pub scope: Option<String>,
    pub subject: String,
    body: Vec<u8>,
    pub replay_of: Option<Uuid>,
    pub at: Timestamp,
    pub created_by: String,
    woken: i32,
}

impl EventRecord {
    /// Waiting runs that took it.
    pub fn woken(&self) -> u32 {
        self.woken.unsigned_abs()
    }
}

/// An event that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct KeptEvent {
    pub at: Timestamp,
    /// Waiting runs that are to be told of it.
    pub wakes: i64,
}

/// A run that waits, perhaps, for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventWake {
    pub run: RunId,
    pub seq: Seq,
}

/// A run that was told of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledWake {
    pub wake: EventWake,
    /// It took it.
    pub woken: bool,
}

/// An event of which runs were to be told.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LeftEvent {
    #[sqlx(flatten)]
    pub event: EventRecord,
    pub tenant: String,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct EventRunRecord {
    pub event_id: Uuid,
    pub trigger_name: String,
    pub workflow: String,
    pub state: String,
    pub reason: Option<String>,
    pub run_id: Option<Uuid>,
}

/// A run that was to be started.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LeftEventRun {
    pub event_id: Uuid,
    pub trigger_id: Uuid,
    pub trigger_name: String,
    pub workflow: String,
    run_id: Uuid,
    body: Vec<u8>,
    pub tenant: String,
}

impl LeftEventRun {
    pub fn run(&self) -> RunId {
        RunId(self.run_id)
    }
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct SettledEventRun {
    pub event: Uuid,
    pub trigger: Uuid,
    /// Why it was refused; `None`: the run is there.
    pub refused: Option<String>,
}

impl PgStore {
    /// True if there was none of its name; `None` if the tenant has as many as it may.
    pub async fn put_event_trigger(
        &self,
        id: Uuid,
        new: &NewTrigger<'_>,
        deed: &Deed,
    ) -> Result<Option<bool>, StoreError> {
        let query = sqlx::query_scalar::<_, bool>(include_str!("../sql/put_event_trigger.sql"))
            .bind(id)
            .bind(new.tenant)
            .bind(new.name)
            .bind(new.key)
            .bind(like(new.key))
            .bind(new.scope)
            .bind(new.filter)
            .bind(new.workflow)
            .bind(new.run)
            .bind(new.paused)
            .bind(&deed.who)
            .bind(i64::from(EVENT_TRIGGERS_MAX));
        bounded(audited!(query, deed).fetch_optional(self.pool())).await
    }

    pub async fn find_event_trigger(&self, tenant: &str, name: &str) -> Result<Option<TriggerRecord>, StoreError> {
        let query = sqlx::query_as::<_, TriggerRecord>(include_str!("../sql/find_event_trigger.sql"));
        bounded(query.bind(tenant).bind(name).fetch_optional(self.pool())).await
    }

    /// All of a tenant within this reach.
    pub async fn list_event_triggers(&self, tenant: &str, reach: &Reach) -> Result<Vec<TriggerRecord>, StoreError> {
        let query = sqlx::query_as::<_, TriggerRecord>(include_str!("../sql/list_event_triggers.sql"));
        let query = query.bind(tenant).bind(&reach.workflows).bind(i64::from(EVENT_TRIGGERS_MAX));
        bounded(query.fetch_all(self.pool())).await
    }

    /// True if it was there.
    pub async fn remove_event_trigger(&self, tenant: &str, name: &str, deed: &Deed) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/remove_event_trigger.sql"));
        let query = query.bind(tenant).bind(name).bind(&deed.who);
        Ok(bounded(audited!(query, deed).fetch_one(self.pool())).await? > 0)
    }

    /// Those within this reach that fit by key and scope.
    pub async fn matching_triggers(
        &self,
        tenant: &str,
        key: &str,
        scope: Option<&str>,
        reach: &Reach,
    ) -> Result<Vec<TriggerRecord>, StoreError> {
        let query = sqlx::query_as::<_, TriggerRecord>(include_str!("../sql/matching_triggers.sql"));
        bounded(query.bind(tenant).bind(key).bind(scope).bind(&reach.workflows).fetch_all(self.pool())).await
    }

    /// `None` if its idempotency key is known.
    pub async fn add_event(&self, new: &NewEvent<'_>, deed: &Deed) -> Result<Option<KeptEvent>, StoreError> {
        let body = self.keys.seal_for(new.tenant, new.subject, new.payload).await?;
        let mut bodies = Vec::with_capacity(new.runs.len());
        for run in new.runs {
            bodies.push(match &run.start {
                Ok((_, subject, start)) => Some(self.keys.seal_for(new.tenant, subject, start).await?),
                Err(_) => None,
            });
        }
        let state = |run: &NewEventRun| if run.start.is_ok() { "starting" } else { "refused" };
        let query = sqlx::query_as::<_, KeptEvent>(include_str!("../sql/add_event.sql"))
            .bind(new.id)
            .bind(new.tenant)
            .bind(new.key)
            .bind(new.scope)
            .bind(new.subject)
            .bind(body)
            .bind(new.idempotency_key)
            .bind(new.request_hash)
            .bind(new.replay_of)
            .bind(&deed.who)
            .bind(new.runs.iter().map(|run| run.trigger).collect::<Vec<_>>())
            .bind(new.runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>())
            .bind(new.runs.iter().map(|run| run.workflow.as_str()).collect::<Vec<_>>())
            .bind(new.runs.iter().map(state).collect::<Vec<_>>())
            .bind(new.runs.iter().map(|run| run.start.as_ref().err().map(String::as_str)).collect::<Vec<_>>())
            .bind(new.runs.iter().map(|run| run.start.as_ref().ok().map(|(run, ..)| run.0)).collect::<Vec<_>>())
            .bind(bodies);
        let query =
            audited!(query, deed).bind(&new.reach.workflows).bind(&new.reach.subjects).bind(i64::from(EVENT_WAKES_MAX));
        bounded(query.fetch_optional(self.pool())).await
    }

    /// A page of the runs that are to be told of an event.
    pub async fn event_wakes(&self, event: Uuid, after: Option<EventWake>) -> Result<Vec<EventWake>, StoreError> {
        let query = sqlx::query_as::<_, (Uuid, i32)>(include_str!("../sql/event_wakes.sql"))
            .bind(event)
            .bind(after.map(|wake| wake.run.0))
            .bind(after.map(|wake| wake.seq.0 as i32))
            .bind(i64::from(EVENT_WAKES_PER_PAGE));
        let rows = bounded(query.fetch_all(self.pool())).await?;
        Ok(rows.into_iter().map(|(run, seq)| EventWake { run: RunId(run), seq: Seq(seq as u32) }).collect())
    }

    pub async fn settle_event_wakes(&self, event: Uuid, settled: &[SettledWake]) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("../sql/settle_event_wakes.sql"))
            .bind(event)
            .bind(settled.iter().map(|told| told.wake.run.0).collect::<Vec<_>>())
            .bind(settled.iter().map(|told| told.wake.seq.0 as i32).collect::<Vec<_>>())
            .bind(settled.iter().map(|told| told.woken).collect::<Vec<_>>());
        bounded(query.execute(self.pool())).await?;
        Ok(())
    }

    /// Nobody is told of it any more.
    pub async fn drop_event_wakes(&self, event: Uuid) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("../sql/drop_event_wakes.sql")).bind(event);
        bounded(query.execute(self.pool())).await?;
        Ok(())
    }

    /// Events of which an engine that is perhaps no more was to tell runs.
    pub async fn left_events(&self, left_after: Duration) -> Result<Vec<LeftEvent>, StoreError> {
        let query = sqlx::query_as::<_, LeftEvent>(include_str!("../sql/left_event_wakes.sql"));
        bounded(query.bind(millis(left_after)).bind(SCHEDULES_PER_LOOK_MAX as i64).fetch_all(self.pool())).await
    }

    /// The event that an idempotency key names, with the hash of its request.
    pub async fn find_event_by_key(&self, tenant: &str, key: &str) -> Result<Option<(Uuid, Vec<u8>)>, StoreError> {
        let query = sqlx::query_as(include_str!("../sql/find_event_by_key.sql")).bind(tenant).bind(key);
        bounded(query.fetch_optional(self.pool())).await
    }

    pub async fn find_event(&self, tenant: &str, id: Uuid) -> Result<Option<EventRecord>, StoreError> {
        let query = sqlx::query_as::<_, EventRecord>(include_str!("../sql/find_event.sql"));
        bounded(query.bind(tenant).bind(id).fetch_optional(self.pool())).await
    }

    /// What it carries.
    pub async fn open_event(&self, event: &EventRecord) -> Result<Value, StoreError> {
        Ok(serde_json::from_slice(&self.keys.open(&event.body).await?)?)
    }

    pub async fn list_events(
        &self,
        tenant: &str,
        key: Option<&str>,
        after: Option<(Timestamp, Uuid)>,
        reach: &Reach,
        most: u32,
    ) -> Result<Vec<EventRecord>, StoreError> {
        let (after_at, after_id) = after.unzip();
        let query = sqlx::query_as::<_, EventRecord>(include_str!("../sql/list_events.sql"))
            .bind(tenant)
            .bind(key)
            .bind(after_at)
            .bind(after_id)
            .bind(&reach.subjects)
            .bind(i64::from(most));
        bounded(query.fetch_all(self.pool())).await
    }

    pub async fn list_event_runs(&self, events: &[Uuid]) -> Result<Vec<EventRunRecord>, StoreError> {
        let query = sqlx::query_as::<_, EventRunRecord>(include_str!("../sql/list_event_runs.sql"));
        bounded(query.bind(events).fetch_all(self.pool())).await
    }

    pub async fn left_event_runs(&self, left_after: Duration) -> Result<Vec<LeftEventRun>, StoreError> {
        let query = sqlx::query_as::<_, LeftEventRun>(include_str!("../sql/left_event_runs.sql"));
        bounded(query.bind(millis(left_after)).bind(SCHEDULES_PER_LOOK_MAX as i64).fetch_all(self.pool())).await
    }

    /// The start of its run.
    pub async fn open_event_run(&self, left: &LeftEventRun) -> Result<Vec<u8>, StoreError> {
        self.keys.open(&left.body).await
    }

    pub async fn settle_event_runs(&self, settled: &[SettledEventRun]) -> Result<(), StoreError> {
        let state = |run: &SettledEventRun| if run.refused.is_some() { "refused" } else { "started" };
        let query = sqlx::query(include_str!("../sql/settle_event_runs.sql"))
            .bind(settled.iter().map(|run| run.event).collect::<Vec<_>>())
            .bind(settled.iter().map(|run| run.trigger).collect::<Vec<_>>())
            .bind(settled.iter().map(state).collect::<Vec<_>>())
            .bind(settled.iter().map(|run| run.refused.as_deref()).collect::<Vec<_>>());
        bounded(query.execute(self.pool())).await?;
        Ok(())
    }
}
