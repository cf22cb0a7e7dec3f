//! Limits of what is at work at once, or begins in a while.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use valet_core::Timestamp;

/// `PUT /api/v1/limits/{name}`: the whole of it. At least one of `most`, `rate` and `debounce`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutLimitRequest {
    pub workflow: String,
    /// Of this step only, by its name. Without it the limit is of whole runs: a run has its slot while it is at work, and keeps it from step
    /// to step; while it waits it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Which key's slot is needed: CEL over `input`, `run` and `step`, as in `input.site`. Without it all have one key. What it is nothing
    /// for has the key `""`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Among whom the turns of a key go round, as in `run.subject`. Without it whoever came first goes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// Turns that a share has while the others have one: 1 to 1,000.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, u32>,
    /// At work at once, for each key: 1 to 1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    /// Begun in a while, for each key. Of steps only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateView>,
    /// With `most` only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub when_full: WhenFull,
    /// Of whole runs with `most` only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hold: SlotHold,
    /// Of whole runs only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debounce: Option<DebounceView>,
    /// A run that has waited for so long to begin is cancelled: 1 s to 31 days. Without it a run waits for as long as it takes. Of whole
    /// runs only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What becomes of runs, or steps, that would begin while all slots of their key are had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// They wait for their turn.
    #[default]
    Queue,
    /// They are cancelled; a step fails with the code `limit_full`. One that tries again waits.
    CancelNewest,
    /// They begin, and the oldest that have a slot are cancelled; a step fails with the code `limit_replaced`, unless its effect has begun. A
    /// run that waits has no slot, unless it has it for life.
    CancelInProgress,
}

impl WhenFull {
    pub const ALL: [Self; 3] = [Self::Queue, Self::CancelNewest, Self::CancelInProgress];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::CancelNewest => "cancel_newest",
            Self::CancelInProgress => "cancel_in_progress",
        }
    }
}

/// How long a run has its slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlotHold {
    /// While it is at work: one that waits for a person, sleeps, backs off or is paused lets others work.
    #[default]
    Working,
    /// From its first step until it has ended, waits and clean-ups included. With `most` of 1 there is one live run of a key.
    Live,
}

impl SlotHold {
    pub const ALL: [Self; 2] = [Self::Working, Self::Live];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Live => "live",
        }
    }
}

/// A run begins once no other of its key came for a while; those before it are cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DebounceView {
    /// So long: 1 ms to 31 days.
    pub quiet_ms: u64,
    /// At the latest so long after the first that came. Without it a key that never keeps quiet never begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_ms: Option<u64>,
}

/// A bucket of tokens: one for each attempt that begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateView {
    /// So many: 1 to 1,000,000.
    pub count: u32,
    /// In so long: 1 ms to 31 days.
    pub per_ms: u64,
    /// How many at once after a rest. Default: `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// `GET /api/v1/limits`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LimitList {
    pub limits: Vec<LimitView>,
}

/// A limit as it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LimitView {
    pub name: String,
    pub workflow: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateView>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub when_full: WhenFull,
    #[serde(default, skip_serializing_if = "is_default")]
    pub hold: SlotHold,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debounce: Option<DebounceView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    pub version: u64,
    pub changed_by: String,
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
}

/// `GET /api/v1/limits/{name}/keys`: those for whom most wait come first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LimitKeyList {
    pub keys: Vec<LimitKeyView>,
}

/// What one key of a limit has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LimitKeyView {
    pub key: String,
    /// Slots there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    /// Slots that are had: runs of a limit of runs, steps of a limit of a step.
    pub running: u64,
    /// Steps that wait for one.
    pub waiting: u64,
    /// Since when the oldest of them waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest: Option<Timestamp>,
    /// When there is a token again; absent: there is one, or none is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_token_at: Option<Timestamp>,
    /// Nothing begins before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub cooled_until: Option<Timestamp>,
}

/// `POST /api/v1/limits/{name}/cool-down`: nothing of this key begins before an instant; what is at work goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CoolDownRequest {
    #[serde(default)]
    pub key: String,
    /// At most 31 days ahead; without it the key is not left alone any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
}
