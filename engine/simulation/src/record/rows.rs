//! Rows of the tables, with the columns that both stores have.

use serde_json::Value;
use uuid::Uuid;
use valet_core::Timestamp;

/// Live or ended; columns that only one of them has are empty in the other.
#[derive(Debug, sqlx::FromRow)]
pub struct RunRow {
    pub id: Uuid,
    pub ended: bool,
    pub tenant: String,
    pub workflow: String,
    pub status: String,
    pub paused: bool,
    pub revision: i32,
    pub build: i64,
    pub waits_for_build: Option<i64>,
    pub reason: Option<Value>,
    pub unserved_seq: Option<i32>,
    pub status_line: Option<String>,
    pub error_code: Option<String>,
    pub figures: Option<Value>,
    pub journal_from: Option<i32>,
    /// When it was last changed, or ended.
    pub at: Timestamp,
}

#[derive(Debug, sqlx::FromRow)]
pub struct StepRow {
    pub run_id: Uuid,
    pub seq: i32,
    pub shard: i16,
    pub name: String,
    pub queue: String,
    pub priority: i16,
    pub labels: Option<Value>,
    pub wants: Option<Uuid>,
    pub prefers: Option<Vec<String>>,
    pub state: String,
    pub attempt: i32,
    pub gated: bool,
    pub timeout_ms: i64,
    pub available_at: Timestamp,
    pub ticketed_at: Option<Timestamp>,
    pub lease_id: Option<Uuid>,
    pub session_id: Option<Uuid>,
    pub granted_at: Option<Timestamp>,
    pub deadline: Option<Timestamp>,
    pub effect_begun: bool,
    pub missed: i16,
}

#[derive(Debug, sqlx::FromRow)]
pub struct TimerRow {
    pub run_id: Uuid,
    pub seq: i32,
    pub fires_at: Timestamp,
    pub queue: Option<String>,
    pub unserved_ms: Option<i64>,
    pub session_id: Option<Uuid>,
}

#[derive(Debug, sqlx::FromRow)]
pub struct InboxRow {
    pub to_run: Uuid,
    pub from_run: Uuid,
    pub number: i64,
    pub sent_at: Timestamp,
}

#[derive(Debug, sqlx::FromRow)]
pub struct TaskRow {
    pub id: Uuid,
    pub run_id: Uuid,
    pub seq: i32,
    pub state: String,
    pub reason: String,
    pub deadline: Timestamp,
}

#[derive(Debug, sqlx::FromRow)]
pub struct KeyRow {
    pub tenant: String,
    pub workflow: String,
    pub key: String,
    pub run_id: Uuid,
}

#[derive(Debug, sqlx::FromRow)]
pub struct SessionRow {
    pub id: Uuid,
    pub kind: String,
    pub name: String,
    pub queues: Vec<String>,
    pub labels: Value,
    pub slots: i32,
    pub free_slots: i32,
    pub draining: bool,
    pub opened_at: Timestamp,
    pub seen_at: Timestamp,
    /// `None`: it said good-bye.
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, sqlx::FromRow)]
pub struct ShardRow {
    pub shard: i16,
    pub owner: Option<Uuid>,
    /// `None`: nobody had it yet.
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, sqlx::FromRow)]
pub struct SlotRow {
    pub run_id: Uuid,
    pub seq: i32,
    pub name: String,
    pub tenant: String,
    pub key: String,
    pub of_run: bool,
    pub priority: i16,
    pub share: Option<String>,
    pub turn: f64,
    pub since: Timestamp,
    pub held: bool,
    pub replaced: bool,
}

#[derive(Debug, sqlx::FromRow)]
pub struct LifeRow {
    pub tenant: String,
    pub name: String,
    pub key: String,
    pub run_id: Uuid,
}

#[derive(Debug, sqlx::FromRow)]
pub struct LimitKeyRow {
    pub tenant: String,
    pub name: String,
    pub key: String,
    /// `None`: it always was.
    pub full_at: Option<Timestamp>,
    pub turn: f64,
    pub quiet_from: Option<Timestamp>,
}
