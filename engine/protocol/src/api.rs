//! The API for people, producers and the command line, under `/api/v1`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use valet_core::Timestamp;

use crate::problem::Problem;

mod bulk_operations;
mod limits;
mod triggers;
mod webhooks;

pub use bulk_operations::*;
pub use limits::*;
pub use triggers::*;
pub use webhooks::*;

/// `POST /api/v1/workflows/{name}/runs`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRunRequest {
    /// What the workflow's schema asks for (`GET /api/v1/workflows/{name}`).
    pub input: Value,
    /// The end user on whose behalf the run works. Default: the input's own `subject`, else `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Plan of the subject; the tier router reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Searchable; strings, numbers and booleans; never personal data.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub attributes: Map<String, Value>,
    /// The run ends as `timed_out` if it has not ended by itself so many seconds after its start. Default: no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// What the run may spend before it is paused, in millionths of a US dollar. Default: no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_usd_micros: Option<u64>,
}

/// `POST /api/v1/workflows/{name}/runs/bulk`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRunsRequest {
    /// 1 to 1,000. Each is checked and started for itself: one that is refused holds up no other.
    #[schema(value_type = Vec<StartRunItem>)]
    pub runs: Vec<Value>,
}

/// A run of several: as it would be started alone, with its key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct StartRunItem {
    /// As the header `Idempotency-Key`. Default: that header's own key, `/` and the item's place in the list, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    #[serde(flatten)]
    pub run: StartRunRequest,
}

/// What became of each, in the request's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunsStarted {
    pub results: Vec<StartRunResult>,
    /// How many of them have an error.
    pub refused: u32,
}

/// Either `id` and `created`, or `error`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StartRunResult {
    /// `run_…`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// False when the idempotency key named a run that existed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<bool>,
    /// Why it was refused; the place is one of the request: `/runs/3/input/posting`. With status 429 or 503 the same item may go through
    /// later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// `201` for a new run, `200` for the first run of the same idempotency key and body. With `wait` also what became of it;
/// `202` when it had not ended by then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunStarted {
    /// `run_…`
    pub id: String,
    /// False when the idempotency key named a run that existed.
    pub created: bool,
    /// Where somebody waited: as in `RunSummary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why the run is not moving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Value>,
    /// What the workflow says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_line: Option<String>,
    /// Of a run that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Of a run that ended otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
}

/// A run as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunSummary {
    pub id: String,
    pub workflow: String,
    pub subject: String,
    pub plan: String,
    #[schema(value_type = Object)]
    pub attributes: Map<String, Value>,
    /// `queued`, `running`, `waiting`, `closing`, `stuck`, `succeeded`, `failed`, `cancelled` or `timed_out`.
    pub status: String,
    pub paused: bool,
    /// What the run belongs to is paused: `engine`, `tenant`, `workflow`, or of one run also `queue`. See `GET /api/v1/pauses`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_by_scope: Option<String>,
    /// Why the run is not moving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Value>,
    /// What the workflow says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_line: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// How far it is, as its workflow says: 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// What it paid, in millionths of a US dollar; absent for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_usd_micros: Option<u64>,
    /// What it may pay before it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_usd_micros: Option<u64>,
    pub revision: u32,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

/// `GET /api/v1/runs/counts`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunCounts {
    /// Live runs by status, however old.
    pub live: BTreeMap<String, u64>,
    /// Runs that began in the time and have ended, by status.
    pub ended: BTreeMap<String, u64>,
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Not included.
    #[schema(value_type = String, format = DateTime)]
    pub before: Timestamp,
    /// Ended runs that began earlier than this are not counted: there are more than one request counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub counted_from: Option<Timestamp>,
    /// Into how many seconds the time is divided.
    pub bucket_seconds: f64,
    /// Ended runs by when they began, oldest first; without the parts in which none did.
    pub buckets: Vec<RunBucket>,
}

/// Runs that began in one part of a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunBucket {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub ended: BTreeMap<String, u64>,
}

/// `GET /api/v1/runs`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunPage {
    pub runs: Vec<RunSummary>,
    /// Pass as `cursor`, with the same filters, for the next page; absent on the last. A page may have fewer runs than asked for, even none,
    /// and others behind it: one request looks at so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `GET /api/v1/runs/{id}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunDetail {
    #[serde(flatten)]
    pub run: RunSummary,
    pub input: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    pub steps: Vec<StepView>,
    pub tasks: Vec<TaskView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What the workflow tells its readers beside the status line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
    /// Entries of the journal at hand: a fork keeps 0 to so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<u32>,
    /// Journals that the run has ended to go on with another input; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
}

/// Which run a fork began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ForkedFrom {
    /// `run_…`
    pub run: String,
    /// The entries of its journal that were kept.
    pub entry: u32,
    pub by: String,
}

/// `POST /api/v1/runs/{id}/fork`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkRequest {
    /// How many entries of the run's journal are kept (`valet runs replay ID --step` numbers them). 0: it begins anew.
    pub entry: u32,
    /// Another input; only with entry 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// An effect that the run may have had, and whose end the fork would not know, is had once more.
    #[serde(default)]
    pub repeat_effects: bool,
}

/// The fork, and how many entries it kept: fewer than asked for where one of them owned something that cannot be shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunForked {
    /// `run_…`
    pub id: String,
    /// False when the idempotency key named a run that existed.
    pub created: bool,
    pub entry: u32,
}

/// `PUT /api/v1/runs/{id}/budget`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetRequest {
    /// Millionths of a US dollar; `null`: no bound. A run that waits for just that goes on.
    pub budget_usd_micros: Option<u64>,
}

/// `POST /api/v1/completions/{token}`: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompletionRequest {
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunError {
    pub code: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

/// A step of a run, live or ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    pub seq: u32,
    pub name: String,
    pub queue: String,
    /// `ready`, `blocked` (a limit has no slot for it), `running`, `stopping`, `backing_off`, `parked`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    pub attempt: u32,
    #[schema(value_type = String, format = DateTime)]
    pub asked_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    pub input: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

/// A task for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// `task_…`
    pub id: String,
    pub run: String,
    pub workflow: String,
    /// `open`, `claimed`, `answered`, `rejected`, `timed_out` or `cancelled`.
    pub state: String,
    pub reason: String,
    pub title: String,
    /// JSON Schema of the answer.
    pub form: Value,
    pub context: Value,
    #[schema(value_type = String, format = DateTime)]
    pub deadline: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// A token that opens this task and nothing else, until the task ends: for a link that is sent to a person. Only in
    /// `GET /api/v1/human-tasks/{id}` by an operator, while the task is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// `GET /api/v1/human-tasks`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskPage {
    pub tasks: Vec<TaskView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `POST /api/v1/human-tasks/{id}/answer`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerRequest {
    /// Must fit the task's `form`.
    pub answer: Value,
}

/// `POST /api/v1/human-tasks/{id}/reject` and `POST /api/v1/runs/{id}/cancel`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonRequest {
    #[serde(default)]
    pub reason: String,
}

/// `POST` to `pause` of a workflow, a queue, a worker, a tenant or the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// For people who find it paused; at most 1024 bytes.
    #[serde(default)]
    pub reason: String,
    /// Of a workflow or a queue: for every tenant, with the token of the engine's own file only.
    #[serde(default)]
    pub all_tenants: bool,
}

/// `POST` to `resume` of the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// Ends the pause that was set for every tenant; a tenant's own pause is another.
    #[serde(default)]
    pub all_tenants: bool,
}

/// `GET /api/v1/pauses`, and the answer to `resume`: what is paused now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PauseList {
    pub pauses: Vec<PauseView>,
}

/// Something that is paused beside single runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PauseView {
    /// `engine`, `tenant`, `workflow`, `queue` or `worker`.
    pub scope: String,
    /// Whose; `*`: every tenant's.
    pub tenant: String,
    /// Of the workflow, the queue or the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Grows with every pause that is set.
    pub version: u64,
    pub paused_by: String,
    pub reason: String,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// `POST /api/v1/runs/{id}/kill`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KillRequest {
    #[serde(default)]
    pub reason: String,
    /// Whether clean-ups still run. Without them, what the run began outside ends by its own lease.
    #[serde(default)]
    pub cleanup: bool,
}

/// `PUT /api/v1/runs/{id}/steps/{seq}/input`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditRequest {
    /// The whole input, in the shape that the step's worker reads.
    pub input: Value,
}

/// `POST /api/v1/runs/{id}/steps/{seq}/skip`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SkipRequest {
    /// What the step comes to, in the shape of its output; `null` for a clean-up.
    #[serde(default)]
    pub output: Value,
}

/// `POST /api/v1/runs/{id}/signals/{name}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalRequest {
    #[serde(default)]
    pub payload: Value,
}

/// An event of a run's stream. Its SSE id is `revision.index`; `Last-Event-ID` resumes after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunEvent {
    pub revision: u32,
    pub index: u32,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The journal entry: one key that names its kind, and its fields.
    pub entry: Value,
}

/// `GET /api/v1/workflows`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowList {
    pub workflows: Vec<WorkflowView>,
}

/// `GET /api/v1/workflows/{name}`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowView {
    pub name: String,
    /// `code`, or `declared`: registered with `PUT /api/v1/workflows/{name}`.
    #[serde(default = "of_code")]
    pub kind: String,
    /// Of a declared workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// JSON Schema (2020-12) of the input.
    pub input_schema: Value,
    /// Of a declared workflow; lists leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Value>,
    /// When this version was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created_at: Option<Timestamp>,
    /// Who registered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
}

fn of_code() -> String {
    "code".to_owned()
}

/// `PUT /api/v1/workflows/{name}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowRegistered {
    pub name: String,
    /// What runs begin with from now on; absent if the definition was only checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// False when the newest version has this very definition, or it was only checked.
    pub created: bool,
}

/// `POST /api/v1/files`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileStored {
    /// `file_…`: inputs name it.
    pub id: String,
    pub filename: String,
    /// Sniffed from the bytes, not from the name.
    pub content_type: String,
    pub size_bytes: u64,
    pub sha256: String,
}

/// `GET /api/v1/queues`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueList {
    pub queues: Vec<QueueView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueView {
    pub name: String,
    pub ready: u64,
    pub running: u64,
    pub backing_off: u64,
    /// Live workers that pull it, and their free slots.
    pub workers: u64,
    pub free_slots: u64,
}

/// `POST /api/v1/tokens`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTokenRequest {
    /// Who did something with it is told by this name. One name, one token: a revoked one frees it.
    pub name: String,
    /// Whose: another tenant's tokens are made with the token of the engine's own file. Default: the caller's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// `viewer` (read), `reviewer` (and answer), `operator` (and trigger, operate), `admin` (and admin), or
    /// `worker` (work: does steps of its tenant, which it asks for without Redis). Or give `scopes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Of `trigger`, `read`, `operate`, `answer`, `admin`; or `work` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Only runs of these workflows are there for it. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflows: Option<Vec<String>>,
    /// Only what is of these subjects is there for it. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<Vec<String>>,
    /// 60 s to ten years. Default: it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u32>,
}

/// `201`: the only time that the secret is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenCreated {
    /// `vt_…`
    pub secret: String,
    #[serde(flatten)]
    pub token: TokenView,
}

impl std::fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCreated").field("token", &self.token).finish_non_exhaustive()
    }
}

/// `GET /api/v1/tokens`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    pub tokens: Vec<TokenView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// `tok_…`
    pub id: String,
    pub name: String,
    pub scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflows: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<Vec<String>>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// To the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

/// `GET /api/v1/whoami`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    pub tenant: String,
    pub name: String,
    pub scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflows: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<Vec<String>>,
}

/// `GET /api/v1/subjects/{subject}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubjectView {
    pub subject: String,
    /// Since when something is kept; absent once it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub known_since: Option<Timestamp>,
    pub live_runs: u64,
    pub items: u64,
    pub files: u64,
    /// It is being erased: nothing new is taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub erasing_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub erased_at: Option<Timestamp>,
}

/// `PUT /api/v1/subjects/{subject}/items`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutItemRequest {
    /// `answer`, `secret` or `document`.
    pub kind: String,
    /// Of an answer: the question. Of a secret: the site and the field, as in `jobs.example.com/password`.
    pub name: String,
    /// Of a document: `{"file": "file_…"}`.
    pub value: serde_json::Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemStored {
    pub kind: String,
    pub name: String,
    pub version: u32,
}

/// `GET /api/v1/subjects/{subject}/items`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemList {
    pub items: Vec<ItemView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// An item without what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemView {
    pub kind: String,
    pub name: String,
    pub version: u32,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub created_by: String,
}

/// `GET /api/v1/subjects/{subject}/item`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Item {
    #[serde(flatten)]
    pub item: ItemView,
    pub value: serde_json::Value,
}

/// `GET /api/v1/subjects/{subject}/uses`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UseList {
    pub uses: Vec<UseView>,
}

/// A run was given this version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UseView {
    pub run: String,
    pub kind: String,
    pub name: String,
    pub version: u32,
    #[schema(value_type = String, format = DateTime)]
    pub used_at: Timestamp,
}

/// `GET /api/v1/audit`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    pub entries: Vec<AuditEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One change: who made it, to what, from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The token's name; `link` for the link of a task, `queue` for a trigger in Redis.
    pub who: String,
    /// `token`, `session`, `link` or `queue`.
    pub via: String,
    /// The peer's address; behind a proxy, the proxy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The request's id, as in the answer's `x-request-id` and in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// `run.pause`, `task.answer`, …
    pub action: String,
    /// The id of what was changed.
    pub target: String,
    /// Its state before; absent for what was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub before: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub after: Option<serde_json::Value>,
}

/// `POST /api/v1/session`
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenConsoleSession {
    /// `vt_…`
    pub token: String,
}

impl std::fmt::Debug for OpenConsoleSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenConsoleSession").finish_non_exhaustive()
    }
}

/// `GET /api/v1/session`
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsoleSession {
    #[serde(flatten)]
    pub who: WhoAmI,
    /// What a request by cookie that changes something shows in `X-Valet-Csrf`.
    pub csrf: String,
}

impl std::fmt::Debug for ConsoleSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsoleSession").field("who", &self.who).finish_non_exhaustive()
    }
}

/// `GET /api/v1/workers`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerList {
    pub workers: Vec<WorkerView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerView {
    pub session: String,
    pub name: String,
    pub queues: Vec<String>,
    pub slots: u32,
    pub free_slots: u32,
    pub running: u64,
    #[schema(value_type = String, format = DateTime)]
    pub last_seen_at: Timestamp,
    pub draining: bool,
    /// Steps that require labels go to workers that have them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What it does, longest at work first: 20 at most, of the runs that the caller reaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_work: Vec<AtWorkView>,
}

/// A step that a worker does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AtWorkView {
    pub run: String,
    pub seq: u32,
    pub workflow: String,
    /// The step's.
    pub name: String,
    #[schema(value_type = String, format = DateTime)]
    pub granted_at: Timestamp,
}

/// `GET /readyz`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    pub ready: bool,
    /// `ok`, or what is wrong.
    pub postgres: String,
    pub redis: String,
    /// The whole engine is paused: it takes everything and grants nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// `GET /api/v1/runs/{id}/artifacts`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArtifactList {
    pub artifacts: Vec<ArtifactView>,
}

/// A file that a run left; `GET /api/v1/files/{id}` has its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArtifactView {
    pub id: String,
    pub filename: String,
    /// The step that left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    pub content_type: String,
    pub size_bytes: u64,
    pub sha256: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// `PUT /api/v1/rules/{kind}/{name}`: the whole rule. What it may say, its kind tells; what is left out holds as if no rule said it.
///
/// - `tier`, of a tier or of `*`: `enabled`, `percent`, `plans`, `cost_usd`, `usd_per_hour`, `max_usd_per_day`, `day_ends`,
///   `failure_share_max`, `lost_share_max`, `samples_min`, `note`.
/// - `site`, of a pattern such as `*.example.com`: `tiers`, `pace_s`, `max_per_day`, `hours` (`from`, `to`, `utc_offset`),
///   `cool_down_until`, `needs_profile`, `max_escalations`, `terms`, `note`.
/// - `override`: `tier`, and whom it fits: `site`, `ats`, `plan`, `subject`, `percent`, `until`, `note`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = BTreeMap<String, Value>, example = json!({ "enabled": false, "note": "its driver is being updated" }))]
pub struct RuleBody(pub Map<String, Value>);

/// A row that operators change while runs go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuleView {
    /// `tier`, `site`, `override`.
    pub kind: String,
    /// Of a site's rule the pattern that it is for.
    pub name: String,
    /// Grows with each change.
    pub version: u64,
    pub value: Value,
    pub changed_by: String,
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
}

/// `GET /api/v1/rules`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuleList {
    pub rules: Vec<RuleView>,
}

/// `GET /api/v1/admin/tier-metrics`: how the tiers do, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TierMetrics {
    /// Of each tier everywhere and at each site; weights decay by half in a week.
    pub tallies: Vec<TierTally>,
    pub sites: Vec<SiteStanding>,
    /// Browsers of the last seven days, by the policy that they came under.
    pub policies: Vec<PolicyEffect>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TierTally {
    pub tier: String,
    /// Absent: everywhere, where only browsers that went away are counted against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    pub good: f64,
    pub bad: f64,
    /// `bad` as a part of both, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_share: Option<f64>,
    #[schema(value_type = String, format = DateTime)]
    pub last_at: Timestamp,
}

/// What is known of a site, whoever visits it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SiteStanding {
    pub site: String,
    /// It is left alone until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub cool_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cool_why: Option<String>,
    /// The latest visit that was given a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_visit_at: Option<Timestamp>,
    /// Visits on the day of that one.
    pub visits: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyEffect {
    /// Absent: browsers that came under none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    pub tier: String,
    pub good: u64,
    pub detected: u64,
    pub failed: u64,
    pub lost: u64,
}

/// Sandboxes, the newest first, and what those of each tier cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SandboxList {
    pub sandboxes: Vec<SandboxView>,
    /// By day (UTC), the newest first, as of each sandbox's last change.
    pub costs: Vec<SandboxCost>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SandboxView {
    pub id: String,
    pub tier: String,
    /// `requested`, `starting`, `ready`, `in_use`, `parked`, `stopping`, `destroyed`, `lost`.
    pub state: String,
    #[schema(value_type = String, format = DateTime)]
    pub state_since: Timestamp,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    pub provider: String,
    /// The machine that it runs on, where it runs beside its worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub lease_until: Timestamp,
    pub fence: i64,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub age_s: u64,
    pub cost_usd_micros: u64,
    /// Nobody looks after it: its lease ended, or its run is over.
    pub left: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SandboxCost {
    pub tier: String,
    /// `2026-11-22`
    pub day: String,
    pub seconds: f64,
    pub usd_micros: u64,
}

/// What a sandbox says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxEvent {
    /// The event's own: sent again, it is the same event.
    pub id: String,
    pub event: SandboxEventKind,
    /// Which step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub data: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxEventKind {
    StepStarted,
    StepCompleted,
    /// A person is needed.
    CaptchaDetected,
    Error,
    Completed,
}

impl SandboxEventKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StepStarted => "step_started",
            Self::StepCompleted => "step_completed",
            Self::CaptchaDetected => "captcha_detected",
            Self::Error => "error",
            Self::Completed => "completed",
        }
    }
}
