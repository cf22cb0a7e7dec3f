//! What starts runs besides people: schedules and events.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use valet_core::Timestamp;

use super::StartRunRequest;

/// `PUT /api/v1/schedules/{name}`: the whole of it. Either `cron` or `at`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutScheduleRequest {
    pub workflow: String,
    /// Minute, hour, day of month, month, day of week, as in `30 9 * * MON-FRI`; six fields begin with seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// One instant, and no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// The time zone that `cron` is read in, by its IANA name. Default: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What becomes of an instant while a run of this schedule is under way: `skip` (the default), `queue`, `cancel_old` or `allow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    /// How late an instant may still start its run, after an outage for one; what was missed by more is shown in `missed`. 10 seconds to
    /// 366 days; default an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up_seconds: Option<u32>,
    /// The run that each instant starts.
    pub run: StartRunRequest,
}

/// `GET /api/v1/schedules`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleList {
    pub schedules: Vec<ScheduleView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A schedule as it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleView {
    pub name: String,
    pub workflow: String,
    pub subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    pub zone: String,
    pub overlap: String,
    pub catch_up_seconds: u32,
    pub paused: bool,
    /// The next instants, as clocks in `zone` show them: ten of one schedule, one in lists. None while it is paused.
    pub next: Vec<String>,
    /// What became of the latest instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastFire>,
    /// Instants that were too late to be caught up: what a backfill would fill in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<MissedFires>,
    /// The run that each instant starts, for those who see inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<StartRunRequest>,
    /// Absent where nothing is stored yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastFire {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `waiting`, `starting`, `started`, `skipped` or `refused`.
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissedFires {
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Not among them.
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
}

/// `GET /api/v1/schedules/{name}/fires`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FireList {
    pub fires: Vec<FireView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What became of one instant of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FireView {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `time`, `manual` or `backfill`.
    pub origin: String,
    pub overlap: String,
    /// `waiting` (for a run to end), `starting`, `started`, `skipped` or `refused`.
    pub state: String,
    /// Why it was skipped (`still_running`, `superseded`, `queue_full`) or refused: the problem's code and place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub moved_at: Timestamp,
}

/// `POST /api/v1/schedules/{name}/trigger`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerScheduleRequest {
    /// Default: that of the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
}

/// `POST /api/v1/schedules/{name}/backfill`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackfillRequest {
    /// The first instant may be this one.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The last one is before this, which is not in the future.
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
    /// Default: `queue`, one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Backfilled {
    /// Instants that wait to start their runs now.
    pub added: u32,
    /// Instants that something had become of already: they are left as they are.
    pub known: u32,
}

/// `POST /api/v1/events`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PushEventRequest {
    /// What happened, such as `user:created`. Never personal.
    pub key: String,
    /// Which triggers and waiting runs may see it, besides those without a scope. Never personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The end user whom it is about: what it carries is sealed for them, and erased with them. Default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default)]
    pub payload: Value,
}

/// `GET /api/v1/events`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventList {
    pub events: Vec<EventView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// An event with what it started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// `event_…`
    pub id: String,
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    pub subject: String,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub created_by: String,
    /// The event that it is a replay of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<String>,
    /// One for each trigger that it fitted.
    pub runs: Vec<EventRunView>,
    /// How many waits of runs took it; not told to tokens that reach only some runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub woken: Option<u32>,
    /// Of one event, for those who see inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventRunView {
    /// The trigger's name.
    pub trigger: String,
    pub workflow: String,
    /// `starting`, `started` or `refused`.
    pub state: String,
    /// Why it was refused: the problem's code and place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// `PUT /api/v1/event-triggers/{name}`: the whole of it. Never personal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutEventTriggerRequest {
    /// Keys of the events that it fits; `*` stands for any characters: `user:*`.
    pub key: String,
    /// Only events of this scope. Default: of any, and of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Only events for which this CEL expression over `key`, `scope`, `subject` and `payload` holds: `payload.amount > 100`. An event that
    /// it cannot be asked about is none of its.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    pub workflow: String,
    /// The start of the run, as `POST /api/v1/workflows/{name}/runs` takes it, with `{"$cel": "payload.user"}` wherever a value is made of
    /// the event. Default: the payload is the input. The run's subject is the event's where none is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub run: Option<Value>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// `GET /api/v1/event-triggers`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventTriggerList {
    pub triggers: Vec<EventTriggerView>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventTriggerView {
    pub name: String,
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    pub workflow: String,
    #[schema(value_type = Object)]
    pub run: Value,
    pub paused: bool,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub created_by: String,
}
