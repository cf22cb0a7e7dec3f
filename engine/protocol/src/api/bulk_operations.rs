//! Bulk operations: one action on all runs that a filter chooses.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use valet_core::Timestamp;

/// What is done to each run, as by the route of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    Cancel,
    Retry,
    Fork,
    Pause,
    Resume,
    /// Of runs that have ended, as when they are no longer kept: with all that belongs to them.
    Delete,
}

impl BulkAction {
    pub const ALL: [Self; 6] = [Self::Cancel, Self::Retry, Self::Fork, Self::Pause, Self::Resume, Self::Delete];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Fork => "fork",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Delete => "delete",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }

    /// What takes it back, where something does.
    pub fn undone_by(self) -> Option<Self> {
        match self {
            Self::Pause => Some(Self::Resume),
            Self::Resume => Some(Self::Pause),
            Self::Cancel | Self::Retry | Self::Fork | Self::Delete => None,
        }
    }
}

/// Which runs: as the list of runs has it, all conditions at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkFilter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// One of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Runs whose attributes have all of these values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub attributes: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Children of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Runs that began then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created_from: Option<Timestamp>,
    /// Runs that began earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created_before: Option<Timestamp>,
}

/// Of the action `fork`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkFork {
    /// How many entries of each run's journal are kept. Default 0: each begins anew, with its input.
    #[serde(default)]
    pub entry: u32,
    /// An effect that a run may have had, and whose end the fork would not know, is had once more.
    #[serde(default)]
    pub repeat_effects: bool,
}

/// `POST /api/v1/bulk-operations`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkOperationRequest {
    pub action: BulkAction,
    /// At least one condition.
    #[serde(default)]
    pub filter: BulkFilter,
    /// Runs a second, 1 to 10,000; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Only count the runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preview: bool,
    /// Of `cancel`: stands in each run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<BulkFork>,
}

/// How many runs an operation would be about. Nothing was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkPreview {
    pub action: BulkAction,
    pub count: u64,
    /// There are more, or there may be: no more were counted.
    pub at_least: bool,
}

/// Either the one or the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum BulkAnswer {
    Operation(Box<BulkOperationView>),
    Preview(BulkPreview),
}

/// One action on many runs, and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BulkOperationView {
    /// `bulk_…`
    pub id: String,
    pub action: BulkAction,
    /// `collecting` (its runs are looked up), `running`, `paused`, `cancelled` (what was left stays as it is) or `completed`.
    pub state: String,
    pub filter: BulkFilter,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<BulkFork>,
    /// Runs a second, at most.
    pub rate: u32,
    /// Runs that it is about: known once `collected`.
    pub total: u64,
    pub collected: bool,
    /// There were more runs than one operation takes; the others want another.
    pub limited: bool,
    pub done: u64,
    /// The action did not fit them any more: ended, say, or paused by somebody else.
    pub skipped: u64,
    pub failed: u64,
    /// While it runs: how long it will take at this rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<u64>,
    /// The first of those that failed; only where one operation is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<BulkFailure>,
    /// `…/undo` makes an operation that takes it back.
    pub can_undo: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

/// A run on which the action failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkFailure {
    pub run: String,
    /// The code that the route of one run would have answered.
    pub reason: String,
}

/// A page, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BulkOperationList {
    pub operations: Vec<BulkOperationView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `PUT /api/v1/bulk-operations/{id}/rate`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRateRequest {
    /// Runs a second, 1 to 10,000.
    pub rate: u32,
}
