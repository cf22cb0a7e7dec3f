//! Bulk operations, their runs, and the turns in which these are worked off.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;
use valet_core::Timestamp;

use super::run_search::Place;
use super::{PgStore, audited, bounded};
use crate::access::Reach;
use crate::audit::Deed;
use crate::bounds::{BULK_FAILURES_SHOWN_MAX, BULK_LEASE, BULK_OPERATIONS_MAX};
use crate::store::StoreError;

/// An operation that is to be made.
#[derive(Clone, Debug)]
pub struct NewBulk<'a> {
    pub tenant: &'a str,
    pub action: &'a str,
    pub filter: &'a Value,
    pub options: &'a Value,
    pub reach: &'a Reach,
    pub rate: u32,
    pub idempotency_key: Option<&'a str>,
    pub request_hash: &'a [u8],
    pub at: Timestamp,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct BulkRecord {
    pub id: Uuid,
    pub action: String,
    pub filter: Value,
    pub options: Value,
    pub state: String,
    pub rate: i32,
    pub collected: bool,
    pub limited: bool,
    pub total: i32,
    pub done: i32,
    pub skipped: i32,
    pub failed: i32,
    pub busy_s: f64,
    pub undo_of: Option<Uuid>,
    pub undone_by: Option<Uuid>,
    pub created_at: Timestamp,
    pub created_by: String,
    pub ended_at: Option<Timestamp>,
    /// Not ended, or ended with a turn under way.
    pub is_at_work: bool,
}

/// One turn of an operation: what its engine has while the fence stands.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct BulkTurn {
    pub id: Uuid,
    fence: i64,
    pub tenant: String,
    pub action: String,
    pub filter: Value,
    pub options: Value,
    reach_workflows: Option<Vec<String>>,
    reach_subjects: Option<Vec<String>>,
    pub rate: i32,
    pub collected: bool,
    cursor_at: Option<Timestamp>,
    cursor_id: Option<Uuid>,
    pub cursor_position: i32,
    pub total: i32,
    pub undo_of: Option<Uuid>,
    pub created_at: Timestamp,
    pub created_by: String,
}

impl BulkTurn {
    pub fn reach(&self) -> Reach {
        Reach { workflows: self.reach_workflows.clone(), subjects: self.reach_subjects.clone() }
    }

    /// Behind which run the next page is looked for.
    pub fn after(&self) -> Option<Place> {
        self.cursor_at.zip(self.cursor_id)
    }
}

/// A page of an operation's runs.
#[derive(Clone, Debug)]
pub struct BulkPage {
    pub runs: Vec<Uuid>,
    pub after: Option<Place>,
    pub position: i32,
    pub is_last: bool,
    /// There are more, which it does not take.
    pub is_limited: bool,
}

/// A run of an operation that is to be acted on.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct BulkItem {
    pub position: i32,
    pub run_id: Uuid,
    pub tries: i32,
    /// `None`: it is not live.
    pub status: Option<String>,
    pub paused: Option<bool>,
    /// The operation has acted on it, though nobody said so.
    pub acted: bool,
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The action does not fit it.
    Skipped,
    Failed(String),
    /// It could not be reached; it is tried again.
    Again(String),
}

impl Outcome {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed(_) => "failed",
            Self::Again(_) => "pending",
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Done | Self::Skipped => None,
            Self::Failed(reason) | Self::Again(reason) => Some(reason),
        }
    }
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct BulkFailureRecord {
    pub run_id: Uuid,
    pub reason: String,
}

/// Whether a run and its tree may be removed.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RemovalVerdict {
    pub id: Uuid,
    pub verdict: String,
}

impl PgStore {
    /// False if its idempotency key is known, or the tenant has as many as it may.
    pub async fn add_bulk_operation(&self, id: Uuid, new: &NewBulk<'_>, deed: &Deed) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/add_bulk_operation.sql"))
            .bind(id)
            .bind(new.tenant)
            .bind(new.action)
            .bind(new.filter)
            .bind(new.options)
            .bind(&new.reach.workflows)
            .bind(&new.reach.subjects)
            .bind(new.rate as i32)
            .bind(new.idempotency_key)
            .bind(new.request_hash)
            .bind(new.at)
            .bind(i64::from(BULK_OPERATIONS_MAX))
            .bind(&deed.who);
        Ok(bounded(audited!(query, deed).fetch_one(self.pool())).await? > 0)
    }

    pub async fn find_bulk_by_key(&self, tenant: &str, key: &str) -> Result<Option<(Uuid, Vec<u8>)>, StoreError> {
        let query = sqlx::query_as(include_str!("../sql/find_bulk_by_key.sql"));
        bounded(query.bind(tenant).bind(key).fetch_optional(self.pool())).await
    }

    pub async fn find_bulk_operation(
        &self,
        tenant: &str,
        id: Uuid,
        reach: &Reach,
    ) -> Result<Option<BulkRecord>, StoreError> {
        let query = sqlx::query_as::<_, BulkRecord>(include_str!("../sql/find_bulk_operation.sql"));
        let query = query.bind(tenant).bind(id).bind(&reach.workflows).bind(&reach.subjects);
        bounded(query.fetch_optional(self.pool())).await
    }

    /// Newest first.
    pub async fn list_bulk_operations(
        &self,
        tenant: &str,
        after: Option<Place>,
        reach: &Reach,
        most: u32,
    ) -> Result<Vec<BulkRecord>, StoreError> {
        let query = sqlx::query_as::<_, BulkRecord>(include_str!("../sql/list_bulk_operations.sql"))
            .bind(tenant)
            .bind(after.map(|(at, _)| at))
            .bind(after.map(|(_, id)| id))
            .bind(&reach.workflows)
            .bind(&reach.subjects)
            .bind(i64::from(most));
        bounded(query.fetch_all(self.pool())).await
    }

    /// The first that failed.
    pub async fn list_bulk_failures(&self, id: Uuid) -> Result<Vec<BulkFailureRecord>, StoreError> {
        let query = sqlx::query_as::<_, BulkFailureRecord>(include_str!("../sql/list_bulk_failures.sql"));
        bounded(query.bind(id).bind(i64::from(BULK_FAILURES_SHOWN_MAX)).fetch_all(self.pool())).await
    }

    /// False if it is in none of the states `from`.
    pub async fn change_bulk_operation(
        &self,
        id: Uuid,
        from: &[&str],
        (state, rate): (Option<&str>, Option<u32>),
        deed: &Deed,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/change_bulk_operation.sql"))
            .bind(id)
            .bind(from)
            .bind(state)
            .bind(rate.map(|rate| rate as i32))
            .bind(&deed.who);
        Ok(bounded(audited!(query, deed).fetch_one(self.pool())).await? > 0)
    }

    /// False if it has not ended, was undone before, or the tenant has as many as it may.
    pub async fn undo_bulk_operation(
        &self,
        id: Uuid,
        (undo, action, at): (Uuid, &str, Timestamp),
        deed: &Deed,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/undo_bulk_operation.sql"))
            .bind(id)
            .bind(undo)
            .bind(action)
            .bind(at)
            .bind(i64::from(BULK_OPERATIONS_MAX))
            .bind(&deed.who);
        Ok(bounded(audited!(query, deed).fetch_one(self.pool())).await? > 0)
    }

    /// The operation whose turn it is, if there is one.
    pub async fn take_bulk_turn(&self) -> Result<Option<BulkTurn>, StoreError> {
        let query = sqlx::query_as::<_, BulkTurn>(include_str!("../sql/take_bulk_turn.sql"));
        bounded(query.bind(BULK_LEASE.as_millis() as i64).fetch_optional(self.pool())).await
    }

    /// False: the turn is another's.
    pub async fn renew_bulk_turn(&self, turn: &BulkTurn) -> Result<bool, StoreError> {
        let query = sqlx::query(include_str!("../sql/renew_bulk_turn.sql"))
            .bind(turn.id)
            .bind(turn.fence)
            .bind(BULK_LEASE.as_millis() as i64);
        Ok(bounded(query.execute(self.pool())).await?.rows_affected() > 0)
    }

    /// How long until there is a turn; `None`: no operation is at work.
    pub async fn next_bulk_turn(&self) -> Result<Option<Duration>, StoreError> {
        let query = sqlx::query_scalar::<_, Option<f64>>(include_str!("../sql/next_bulk_turn.sql"));
        let seconds = bounded(query.fetch_one(self.pool())).await?;
        Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()))
    }

    /// Ends the turn. False: it was another's already, and nothing is changed.
    pub async fn add_bulk_items(&self, turn: &BulkTurn, page: &BulkPage) -> Result<bool, StoreError> {
        let query = sqlx::query(include_str!("../sql/add_bulk_items.sql"))
            .bind(turn.id)
            .bind(turn.fence)
            .bind(&page.runs)
            .bind(page.after.map(|(at, _)| at))
            .bind(page.after.map(|(_, id)| id))
            .bind(page.position)
            .bind(page.is_last)
            .bind(page.is_limited);
        Ok(bounded(query.execute(self.pool())).await?.rows_affected() > 0)
    }

    /// Runs that the operation `id` acted on, with their places in it.
    pub async fn bulk_items_done(&self, id: Uuid, after: i32, most: u32) -> Result<Vec<(i32, Uuid)>, StoreError> {
        let query = sqlx::query_as(include_str!("../sql/bulk_items_done.sql"));
        bounded(query.bind(id).bind(after).bind(i64::from(most)).fetch_all(self.pool())).await
    }

    /// The next runs of an operation, which the audit knows by `name`.
    pub async fn bulk_items_pending(&self, id: Uuid, name: &str, most: u32) -> Result<Vec<BulkItem>, StoreError> {
        let query = sqlx::query_as::<_, BulkItem>(include_str!("../sql/bulk_items_pending.sql"));
        bounded(query.bind(id).bind(i64::from(most)).bind(name).fetch_all(self.pool())).await
    }

    /// Ends the turn, of which acting took so long. False: it was another's already, and nothing is changed.
    pub async fn settle_bulk_items(
        &self,
        turn: &BulkTurn,
        settled: &[(BulkItem, Outcome)],
        (took, rest): (Duration, Duration),
    ) -> Result<bool, StoreError> {
        let tried = |outcome: &Outcome| i32::from(matches!(outcome, Outcome::Again(_)));
        let query = sqlx::query(include_str!("../sql/settle_bulk_items.sql"))
            .bind(turn.id)
            .bind(turn.fence)
            .bind(settled.iter().map(|(item, _)| item.position).collect::<Vec<_>>())
            .bind(settled.iter().map(|(_, outcome)| outcome.as_str()).collect::<Vec<_>>())
            .bind(settled.iter().map(|(_, outcome)| outcome.reason()).collect::<Vec<_>>())
            .bind(settled.iter().map(|(item, outcome)| item.tries + tried(outcome)).collect::<Vec<_>>())
            .bind(took.as_secs_f64())
            .bind(settled.len() as f64)
            .bind(rest.as_secs_f64());
        Ok(bounded(query.execute(self.pool())).await?.rows_affected() > 0)
    }

    /// Whose removal it is, before it begins: once for each run.
    pub async fn audit_removals(&self, turn: &BulkTurn, name: &str, runs: &[Uuid]) -> Result<(), StoreError> {
        let query = sqlx::query(include_str!("../sql/audit_removals.sql"));
        let query = query.bind(&turn.tenant).bind(runs).bind(&turn.created_by).bind(name);
        bounded(query.execute(self.pool())).await.map(drop)
    }

    /// Which of these runs, with their trees, may be removed.
    pub async fn removable_trees(&self, tenant: &str, runs: &[Uuid]) -> Result<Vec<RemovalVerdict>, StoreError> {
        let query = sqlx::query_as::<_, RemovalVerdict>(include_str!("../sql/removable_trees.sql"));
        bounded(query.bind(tenant).bind(runs).fetch_all(self.pool())).await
    }
}
