//! The tick, the backlog and its tickets.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use valet_core::limits::{LimitKey, LimitText};

use super::pauses::{PauseRecord, of_tick};
use super::{PgStore, StoreError, bounded, millis};
use crate::pauses::Paused;
use crate::store::{Admitted, Due, DueStore, DueTicket, FreePlaces, LimitsStamp, LostStep, QueueWorkers, RunOver};

/// Tenant, limit, key.
type KeyRecord = (String, String, String);

fn limit_key((tenant, limit, key): KeyRecord) -> LimitKey {
    LimitKey { tenant, limit, key }
}

#[derive(sqlx::FromRow)]
struct TickRecord {
    kind: String,
    run_id: Option<Uuid>,
    seq: i32,
    attempt: i32,
    lease_id: Option<Uuid>,
    flag: bool,
    text: Option<String>,
    number: i64,
}

#[async_trait]
impl DueStore for PgStore {
    async fn tick(&self, engine: SessionId, lease: Duration, build: i64) -> Result<Due, StoreError> {
        let query = sqlx::query_as::<_, TickRecord>(include_str!("../sql/tick.sql"))
            .bind(engine.0)
            .bind(millis(lease) as f64)
            .bind(build);
        let records = bounded(query.fetch_all(&self.pool)).await?;
        let mut due = Due::default();
        let mut again = (Vec::new(), Vec::new());
        let mut labelled = false;
        for record in records {
            if let ("again", Some(run)) = (record.kind.as_str(), record.run_id) {
                again.0.push(run);
                again.1.push(record.seq);
            } else if record.kind == "labelled" {
                labelled = true;
            } else {
                add(&mut due, record);
            }
        }
        if !again.0.is_empty() {
            let shown = sqlx::query(include_str!("../sql/show_again.sql")).bind(again.0).bind(again.1);
            if let Err(error) = bounded(shown.execute(&self.pool)).await {
                // Only what people are shown is late; the step is ready all the same.
                tracing::warn!(%error, "runs whose step is tried again still show that they wait");
            }
        }
        if labelled {
            let shown = sqlx::query(include_str!("../sql/show_unserved.sql"));
            if let Err(error) = bounded(shown.execute(&self.pool)).await {
                tracing::warn!(%error, "runs that wait for a worker with their labels do not show it");
            }
        }
        Ok(due)
    }

    async fn paused(&self) -> Result<Vec<Paused>, StoreError> {
        Ok(self.list_pauses(None).await?.into_iter().filter_map(PauseRecord::paused).collect())
    }

    async fn backlogged_queues(&self) -> Result<Vec<String>, StoreError> {
        let query = sqlx::query_scalar::<_, String>(include_str!("../sql/backlogged_queues.sql"));
        bounded(query.fetch_all(&self.pool)).await
    }

    async fn top_up(&self, queue: &str, most: u32) -> Result<Vec<DueTicket>, StoreError> {
        let query = sqlx::query_as::<_, (Uuid, i32, i32, Option<Vec<String>>)>(include_str!("../sql/top_up.sql"))
            .bind(queue)
            .bind(i64::from(most));
        let rows = bounded(query.fetch_all(&self.pool)).await?.into_iter();
        let preferring =
            |prefers: Option<Vec<String>>, ticket| DueTicket { prefers: prefers.unwrap_or_default(), ..ticket };
        Ok(rows
            .map(|(run, seq, attempt, prefers)| preferring(prefers, ticket(queue.to_owned(), run, seq, attempt)))
            .collect())
    }

    async fn lost_tickets(&self, queues: &[String], older_than: Duration) -> Result<Vec<DueTicket>, StoreError> {
        let query = sqlx::query_as::<_, (String, Uuid, i32, i32)>(include_str!("../sql/lost_tickets.sql"))
            .bind(queues)
            .bind(millis(older_than) as f64);
        let rows = bounded(query.fetch_all(&self.pool)).await?;
        Ok(rows.into_iter().map(|(queue, run, seq, attempt)| ticket(queue, run, seq, attempt)).collect())
    }

    async fn free_places(&self, queues: &[String]) -> Result<Vec<FreePlaces>, StoreError> {
        let query = sqlx::query_as::<_, (Vec<String>, i32)>(include_str!("../sql/free_places.sql")).bind(queues);
        let rows = bounded(query.fetch_all(&self.pool)).await?;
        Ok(rows.into_iter().map(|(queues, free)| FreePlaces { queues, free: free.max(0) as u32 }).collect())
    }

    async fn left_tickets(&self, placed: &[(RunId, Seq, Attempt)]) -> Result<Vec<DueTicket>, StoreError> {
        let query = sqlx::query_as::<_, (Uuid, i32, i32, String)>(include_str!("../sql/left_tickets.sql"))
            .bind(placed.iter().map(|(run, ..)| run.0).collect::<Vec<_>>())
            .bind(placed.iter().map(|(_, seq, _)| seq.0 as i32).collect::<Vec<_>>())
            .bind(placed.iter().map(|(.., attempt)| attempt.0 as i32).collect::<Vec<_>>());
        let rows = bounded(query.fetch_all(&self.pool)).await?;
        Ok(rows.into_iter().map(|(run, seq, attempt, queue)| ticket(queue, run, seq, attempt)).collect())
    }

    async fn limits(&self) -> Result<Vec<LimitText>, StoreError> {
        self.limits_now().await
    }

    async fn admit(&self, keys: &[LimitKey], backlogged: &HashSet<String>) -> Result<Admitted, StoreError> {
        self.admit_steps(keys, backlogged).await
    }

    async fn waiting_keys(&self) -> Result<Vec<LimitKey>, StoreError> {
        let query = sqlx::query_as::<_, KeyRecord>(include_str!("../sql/waiting_keys.sql"));
        Ok(bounded(query.fetch_all(&self.pool)).await?.into_iter().map(limit_key).collect())
    }

    async fn keys_of_life(&self, ended: &[RunId]) -> Result<Vec<LimitKey>, StoreError> {
        let query = sqlx::query_as::<_, KeyRecord>(include_str!("../sql/keys_of_life.sql"));
        let query = query.bind(ended.iter().map(|run| run.0).collect::<Vec<_>>());
        Ok(bounded(query.fetch_all(&self.pool)).await?.into_iter().map(limit_key).collect())
    }

    async fn expired_waits(&self) -> Result<Vec<RunOver>, StoreError> {
        self.runs_expired().await
    }

    async fn tidy(&self, now: Timestamp) -> Result<(), StoreError> {
        let week = RunId::root(now, [0; 16]).week();
        self.weeks.ensure(&self.pool, week, week + 1).await?;
        bounded(sqlx::query(include_str!("../sql/tidy.sql")).execute(&self.pool)).await?;
        Ok(())
    }
}

impl PgStore {
    /// Steps of these queues and of these workers alone, and of this tenant if there is one, that may be claimed, in the order in which tickets are handed out.
    pub async fn ready_steps(
        &self,
        queues: &[String],
        most: usize,
        tenant: Option<&str>,
        workers: &[SessionId],
    ) -> Result<Vec<DueTicket>, StoreError> {
        let query = sqlx::query_as::<_, ReadyRecord>(include_str!("../sql/ready_steps.sql"))
            .bind(queues)
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .bind(tenant)
            .bind(workers.iter().map(|session| session.0).collect::<Vec<_>>());
        let rows = bounded(query.fetch_all(&self.pool)).await?.into_iter();
        Ok(rows
            .map(|(run, seq, attempt, queue, prefers)| DueTicket {
                prefers: prefers.unwrap_or_default(),
                ..ticket(queue, run, seq, attempt)
            })
            .collect())
    }
}

/// Run, step, attempt, queue, and the queues of the workers that it prefers.
type ReadyRecord = (Uuid, i32, i32, String, Option<Vec<String>>);

fn ticket(queue: String, run: Uuid, seq: i32, attempt: i32) -> DueTicket {
    DueTicket { queue, prefers: Vec::new(), run: RunId(run), seq: Seq(seq as u32), attempt: Attempt(attempt as u32) }
}

fn add(due: &mut Due, record: TickRecord) {
    let seq = Seq(record.seq as u32);
    match (record.kind.as_str(), record.run_id, record.lease_id, record.text) {
        ("engine", ..) => due.shards = Some(record.number as u32),
        ("timer", Some(run), ..) => due.timers.push((RunId(run), seq)),
        (kind @ ("lost" | "unknown"), Some(run), Some(lease), _) => {
            let step = LostStep {
                run: RunId(run),
                seq,
                attempt: Attempt(record.attempt as u32),
                lease: LeaseId(lease),
                effect_begun: record.flag,
            };
            if kind == "lost" { due.lost.push(step) } else { due.unknown.push(step) }
        }
        ("inbox", Some(to), Some(from), _) => due.inbox.push((RunId(to), RunId(from), record.number)),
        ("build", Some(run), ..) => due.revivable.push(RunId(run)),
        ("pause", _, _, Some(text)) => due.pauses.extend(of_tick(&text)),
        ("slot", _, _, Some(text)) => {
            if let Ok((tenant, limit, key)) = serde_json::from_str(&text) {
                due.slot_keys.push(LimitKey { tenant, limit, key });
            }
        }
        ("limits", ..) => {
            due.limits = Some(LimitsStamp { count: record.seq as u32, version: record.number });
            due.slots_of_life = record.flag;
        }
        ("backlog", _, _, Some(queue)) => due.ready_queues.push(queue),
        ("queue", _, _, Some(queue)) => due.queues.push(QueueWorkers {
            queue,
            workers: record.seq as u32,
            slots: record.attempt as u32,
            free_slots: record.number as u32,
        }),
        _ => {}
    }
}
