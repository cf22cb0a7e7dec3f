//! The routes, one function each.

use chrono::SecondsFormat;
use reqwest::header::DATE;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;
use valet_core::Timestamp;
use valet_protocol::api::{
    AnswerRequest, ArtifactList, AuditPage, BackfillRequest, Backfilled, BudgetRequest, BulkOperationList,
    BulkOperationRequest, BulkOperationView, BulkPreview, BulkRateRequest, CoolDownRequest, CreateTokenRequest,
    EditRequest, EventList, EventTriggerList, EventTriggerView, EventView, FileStored, FireList, FireView, ForkRequest,
    IncomingFailureList, IncomingWebhookList, IncomingWebhookView, Item, ItemList, ItemStored, KillRequest,
    LimitKeyList, LimitList, LimitView, OutgoingDeliveryList, OutgoingWebhookList, OutgoingWebhookView, PauseList,
    PauseRequest, PauseView, PushEventRequest, PutEventTriggerRequest, PutIncomingWebhookRequest, PutItemRequest,
    PutOutgoingWebhookRequest, PutScheduleRequest, QueueList, Readiness, ReasonRequest, ResumeRequest, RuleList,
    RuleView, RunCounts, RunDetail, RunForked, RunPage, RunStarted, RunSummary, RunsStarted, SandboxList, SandboxView,
    ScheduleList, ScheduleView, SignalRequest, SkipRequest, StartRunRequest, StartRunsRequest, SubjectView, TaskPage,
    TaskView, TierMetrics, TokenCreated, TokenList, TriggerScheduleRequest, UseList, WorkerList, WorkflowList,
    WorkflowRegistered, WorkflowView,
};
use valet_protocol::filename::{FILENAME_HEADER, decode_filename};

use super::{Body, Call, Client, ClientError, body, failure};
use crate::cli::bounds::{DOWNLOAD_BYTES_MAX, TRANSFER_WAIT_MAX};

/// Which runs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    pub workflow: Option<String>,
    /// One status or several, separated by commas.
    pub status: Option<String>,
    pub subject: Option<String>,
    /// A JSON object: all of these values.
    pub attributes: Option<String>,
    pub error_code: Option<String>,
    pub parent: Option<String>,
    pub created_from: Option<Timestamp>,
    /// Not included.
    pub created_before: Option<Timestamp>,
}

impl RunFilter {
    fn ask<'a>(&'a self, call: Call<'a>) -> Call<'a> {
        let instant = |at: Option<Timestamp>| at.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true));
        call.query("workflow", self.workflow.as_ref())
            .query("status", self.status.as_ref())
            .query("subject", self.subject.as_ref())
            .query("attributes", self.attributes.as_ref())
            .query("error_code", self.error_code.as_ref())
            .query("parent", self.parent.as_ref())
            .query("created_from", instant(self.created_from))
            .query("created_before", instant(self.created_before))
    }
}

/// What an engine says of its parts, and what time it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    pub parts: Readiness,
    pub clock: Option<Timestamp>,
}

/// A file's bytes, with the name and type that the engine kept.
pub struct Download {
    pub filename: Option<String>,
    pub content_type: Option<String>,
    pub bytes: Vec<u8>,
}

fn document<T: Serialize>(document: &T) -> Body {
    // Requests are plain structs of the protocol: serialising them cannot fail.
    Body::Json(serde_json::to_vec(document).unwrap_or_default())
}

/// `/api/v1/…`
fn path<'a>(rest: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    ["api", "v1"].into_iter().chain(rest)
}

impl Client {
    pub async fn workflows(&self) -> Result<WorkflowList, ClientError> {
        body::json(self.send(&Call::get(path(["workflows"]))).await?).await
    }

    pub async fn workflow(&self, name: &str) -> Result<WorkflowView, ClientError> {
        body::json(self.send(&Call::get(path(["workflows", name]))).await?).await
    }

    pub async fn workflow_version(&self, name: &str, version: u32) -> Result<WorkflowView, ClientError> {
        let version = version.to_string();
        body::json(self.send(&Call::get(path(["workflows", name, "versions", &version]))).await?).await
    }

    /// The same definition again changes nothing.
    pub async fn register(
        &self,
        name: &str,
        definition: &Value,
        dry_run: bool,
    ) -> Result<WorkflowRegistered, ClientError> {
        let call =
            Call::post(path(["workflows", name]), document(definition)).query("dry_run", dry_run.then_some(true));
        body::json(self.send(&Call { method: Method::PUT, repeatable: true, ..call }).await?).await
    }

    /// Starts a run: one, however often the request has to be repeated.
    pub async fn start(&self, workflow: &str, request: &StartRunRequest, key: &str) -> Result<RunStarted, ClientError> {
        let call = Call::post(path(["workflows", workflow, "runs"]), document(request)).once(key);
        body::json(self.send(&call).await?).await
    }

    /// Starts up to 1,000 runs: each once, however often the request has to be repeated.
    pub async fn start_many(&self, workflow: &str, runs: Vec<Value>, key: &str) -> Result<RunsStarted, ClientError> {
        let body = document(&StartRunsRequest { runs });
        let call = Call::post(path(["workflows", workflow, "runs", "bulk"]), body).once(key);
        body::json(self.send(&Call { wait_max: Some(TRANSFER_WAIT_MAX), ..call }).await?).await
    }

    /// Makes an operation: one, however often the request has to be repeated.
    pub async fn start_bulk(
        &self,
        request: &BulkOperationRequest,
        key: &str,
    ) -> Result<BulkOperationView, ClientError> {
        body::json(self.send(&Call::post(path(["bulk-operations"]), document(request)).once(key)).await?).await
    }

    /// Counts the runs that it would be about.
    pub async fn preview_bulk(&self, request: &BulkOperationRequest) -> Result<BulkPreview, ClientError> {
        let request = BulkOperationRequest { preview: true, ..request.clone() };
        let call = Call::post(path(["bulk-operations"]), document(&request));
        body::json(self.send(&Call { repeatable: true, ..call }).await?).await
    }

    pub async fn bulk_operations(&self, cursor: Option<&str>, rows: u32) -> Result<BulkOperationList, ClientError> {
        let call = Call::get(path(["bulk-operations"])).query("cursor", cursor).query("limit", Some(rows));
        body::json(self.send(&call).await?).await
    }

    pub async fn bulk_operation(&self, id: &str) -> Result<BulkOperationView, ClientError> {
        body::json(self.send(&Call::get(path(["bulk-operations", id]))).await?).await
    }

    /// `pause`, `resume`, `cancel` or `undo`: each again changes nothing more.
    pub async fn change_bulk(&self, id: &str, verb: &str) -> Result<BulkOperationView, ClientError> {
        let call = Call::post(path(["bulk-operations", id, verb]), Body::Empty);
        body::json(self.send(&Call { repeatable: true, ..call }).await?).await
    }

    pub async fn set_bulk_rate(&self, id: &str, rate: u32) -> Result<BulkOperationView, ClientError> {
        let call = Call::post(path(["bulk-operations", id, "rate"]), document(&BulkRateRequest { rate }));
        body::json(self.send(&Call { method: Method::PUT, repeatable: true, ..call }).await?).await
    }

    pub async fn push_event(&self, request: &PushEventRequest, key: &str) -> Result<EventView, ClientError> {
        body::json(self.send(&Call::post(path(["events"]), document(request)).once(key)).await?).await
    }

    pub async fn replay_event(&self, id: &str, key: &str) -> Result<EventView, ClientError> {
        let call = Call::post(path(["events", id, "replay"]), Body::Empty).once(key);
        body::json(self.send(&call).await?).await
    }

    pub async fn events_pushed(
        &self,
        key: Option<&str>,
        cursor: Option<&str>,
        rows: u32,
    ) -> Result<EventList, ClientError> {
        let call = Call::get(path(["events"])).query("key", key).query("cursor", cursor).query("limit", Some(rows));
        body::json(self.send(&call).await?).await
    }

    pub async fn event_pushed(&self, id: &str) -> Result<EventView, ClientError> {
        body::json(self.send(&Call::get(path(["events", id]))).await?).await
    }

    pub async fn event_triggers(&self) -> Result<EventTriggerList, ClientError> {
        body::json(self.send(&Call::get(path(["event-triggers"]))).await?).await
    }

    /// The same request again changes nothing.
    pub async fn put_event_trigger(
        &self,
        name: &str,
        request: &PutEventTriggerRequest,
    ) -> Result<EventTriggerView, ClientError> {
        let call = Call::post(path(["event-triggers", name]), document(request));
        body::json(self.send(&Call { method: Method::PUT, repeatable: true, ..call }).await?).await
    }

    pub async fn remove_event_trigger(&self, name: &str) -> Result<(), ClientError> {
        self.send(&Call::delete(path(["event-triggers", name]))).await.map(drop)
    }

    pub async fn incoming_webhooks(&self) -> Result<IncomingWebhookList, ClientError> {
        body::json(self.send(&Call::get(path(["webhooks", "incoming"]))).await?).await
    }

    pub async fn incoming_webhook(&self, name: &str) -> Result<IncomingWebhookView, ClientError> {
        body::json(self.send(&Call::get(path(["webhooks", "incoming", name]))).await?).await
    }

    /// The same request again changes nothing.
    pub async fn put_incoming_webhook(
        &self,
        name: &str,
        request: &PutIncomingWebhookRequest,
    ) -> Result<IncomingWebhookView, ClientError> {
        let call = Call::post(path(["webhooks", "incoming", name]), document(request));
        body::json(self.send(&Call { method: Method::PUT, repeatable: true, ..call }).await?).await
    }

    pub async fn remove_incoming_webhook(&self, name: &str) -> Result<(), ClientError> {
        self.send(&Call::delete(path(["webhooks", "incoming", name]))).await.map(drop)
    }

    pub async fn incoming_failures(&self, name: &str) -> Result<IncomingFailureList, ClientError> {
        body::json(self.send(&Call::get(path(["webhooks", "incoming", name, "failures"]))).await?).await
    }

    pub async fn outgoing_webhooks(&self) -> Result<OutgoingWebhookList, ClientError> {
        body::json(self.send(&Call::get(path(["webhooks", "outgoing"]))).await?).await
    }

    pub async fn outgoing_webhook(&self, name: &str) -> Result<OutgoingWebhookView, ClientError> {
        body::json(self.send(&Call::get(path(["webhooks", "outgoing", name]))).await?).await
    }

    /// Not repeated by itself: a secret that is made for it is told once.
    pub async fn put_outgoing_webhook(
        &self,
        name: &str,
        request: &PutOutgoingWebhookRequest,
    ) -> Result<OutgoingWebhookView, ClientError> {
        let call = Call::post(path(["webhooks", "outgoing", name]), document(request));
        body::json(self.send(&Call { method: Method::PUT, ..call }).await?).await
    }

    pub async fn remove_outgoing_webhook(&self, name: &str) -> Result<(), ClientError> {
        self.send(&Call::delete(path(["webhooks", "outgoing", name]))).await.map(drop)
    }

    pub async fn outgoing_deliveries(
        &self,
        name: &str,
        state: Option<&str>,
        cursor: Option<&str>,
        rows: u32,
    ) -> Result<OutgoingDeliveryList, ClientError> {
        let call = Call::get(path(["webhooks", "outgoing", name, "deliveries"]));
        let call = call.query("state", state).query("cursor", cursor).query("limit", Some(rows));
        body::json(self.send(&call).await?).await
    }

    pub async fn redeliver(&self, name: &str, id: &str) -> Result<(), ClientError> {
        let place = path(["webhooks", "outgoing", name, "deliveries", id, "redeliver"]);
        self.send(&Call::post(place, Body::Empty)).await.map(drop)
    }

    pub async fn schedules(&self, cursor: Option<&str>, rows: u32) -> Result<ScheduleList, ClientError> {
        let call = Call::get(path(["schedules"])).query("cursor", cursor).query("limit", Some(rows));
        body::json(self.send(&call).await?).await
    }

    pub async fn schedule(&self, name: &str) -> Result<ScheduleView, ClientError> {
        body::json(self.send(&Call::get(path(["schedules", name]))).await?).await
    }

    /// The same request again changes nothing.
    pub async fn put_schedule(
        &self,
        name: &str,
        request: &PutScheduleRequest,
        dry_run: bool,
    ) -> Result<ScheduleView, ClientError> {
        let call = Call::post(path(["schedules", name]), document(request)).query("dry_run", dry_run.then_some(true));
        body::json(self.send(&Call { method: Method::PUT, repeatable: true, ..call }).await?).await
    }

    pub async fn remove_schedule(&self, name: &str) -> Result<(), ClientError> {
        self.send(&Call::delete(path(["schedules", name]))).await.map(drop)
    }

    /// `pause` or `resume`; asking again changes nothing.
    pub async fn gate_schedule(&self, name: &str, verb: &str) -> Result<ScheduleView, ClientError> {
        let call = Call::post(path(["schedules", name, verb]), Body::Empty);
        body::json(self.send(&Call { repeatable: true, ..call }).await?).await
    }

    pub async fn trigger_schedule(
        &self,
        name: &str,
        request: &TriggerScheduleRequest,
        key: &str,
    ) -> Result<FireView, ClientError> {
        let call = Call::post(path(["schedules", name, "trigger"]), document(request)).once(key);
        body::json(self.send(&call).await?).await
    }

    /// What was filled in before is known the next time.
    pub async fn backfill(&self, name: &str, request: &BackfillRequest) -> Result<Backfilled, ClientError> {
        let call = Call::post(path(["schedules", name, "backfill"]), document(request));
        body::json(self.send(&Call { repeatable: true, ..call }).await?).await
    }

    pub async fn fires(
        &self,
        name: &str,
        state: Option<&str>,
        cursor: Option<&str>,
        rows: u32,
    ) -> Result<FireList, ClientError> {
        let call = Call::get(path(["schedules", name, "fires"])).query("state", state);
        body::json(self.send(&call.query("cursor", cursor).query("limit", Some(rows))).await?).await
    }

    pub async fn runs(&self, filter: &RunFilter, cursor: Option<&str>, rows: u32) -> Result<RunPage, ClientError> {
        let call = filter.ask(Call::get(path(["runs"]))).query("cursor", cursor).query("limit", Some(rows));
        body::json(self.send(&call).await?).await
    }

    /// The filter's statuses are not asked for: counts are by status.
    pub async fn run_counts(&self, filter: &RunFilter) -> Result<RunCounts, ClientError> {
        body::json(self.send(&filter.ask(Call::get(path(["runs", "counts"])))).await?).await
    }

    pub async fn run(&self, id: &str) -> Result<RunDetail, ClientError> {
        body::json(self.send(&Call::get(path(["runs", id]))).await?).await
    }

    pub async fn pause(&self, id: &str) -> Result<RunSummary, ClientError> {
        self.operate(id, "pause", Body::Empty).await
    }

    pub async fn resume(&self, id: &str) -> Result<RunSummary, ClientError> {
        self.operate(id, "resume", Body::Empty).await
    }

    pub async fn cancel(&self, id: &str, reason: &str) -> Result<RunSummary, ClientError> {
        self.operate(id, "cancel", document(&ReasonRequest { reason: reason.to_owned() })).await
    }

    pub async fn kill(&self, id: &str, request: &KillRequest) -> Result<RunSummary, ClientError> {
        self.operate(id, "kill", document(request)).await
    }

    pub async fn fork(&self, id: &str, request: &ForkRequest, key: &str) -> Result<RunForked, ClientError> {
        let call = Call::post(path(["runs", id, "fork"]), document(request)).once(key);
        body::json(self.send(&call).await?).await
    }

    pub async fn set_budget(&self, id: &str, budget_usd_micros: Option<u64>) -> Result<RunSummary, ClientError> {
        let call = Call::post(path(["runs", id, "budget"]), document(&BudgetRequest { budget_usd_micros }));
        body::json(self.send(&Call { method: Method::PUT, ..call }).await?).await
    }

    pub async fn skip(&self, id: &str, seq: u32, output: Value) -> Result<RunSummary, ClientError> {
        let seq = seq.to_string();
        let call = Call::post(path(["runs", id, "steps", &seq, "skip"]), document(&SkipRequest { output }));
        body::json(self.send(&call).await?).await
    }

    pub async fn edit(&self, id: &str, seq: u32, input: Value) -> Result<RunSummary, ClientError> {
        let seq = seq.to_string();
        let call = Call::post(path(["runs", id, "steps", &seq, "input"]), document(&EditRequest { input }));
        body::json(self.send(&Call { method: Method::PUT, ..call }).await?).await
    }

    pub async fn retry(&self, id: &str) -> Result<RunSummary, ClientError> {
        self.operate(id, "retry", Body::Empty).await
    }

    async fn operate(&self, id: &str, verb: &str, body: Body) -> Result<RunSummary, ClientError> {
        body::json(self.send(&Call::post(path(["runs", id, verb]), body)).await?).await
    }

    pub async fn signal(&self, id: &str, name: &str, payload: Value, key: &str) -> Result<(), ClientError> {
        let body = document(&SignalRequest { payload });
        self.send(&Call::post(path(["runs", id, "signals", name]), body).once(key)).await.map(drop)
    }

    pub async fn artifacts(&self, id: &str) -> Result<ArtifactList, ClientError> {
        body::json(self.send(&Call::get(path(["runs", id, "artifacts"]))).await?).await
    }

    /// Open tasks, or all tasks of one run.
    pub async fn tasks(&self, run: Option<&str>, cursor: Option<&str>, rows: u32) -> Result<TaskPage, ClientError> {
        let call =
            Call::get(path(["human-tasks"])).query("run", run).query("cursor", cursor).query("limit", Some(rows));
        body::json(self.send(&call).await?).await
    }

    pub async fn task(&self, id: &str) -> Result<TaskView, ClientError> {
        body::json(self.send(&Call::get(path(["human-tasks", id]))).await?).await
    }

    pub async fn claim(&self, id: &str) -> Result<TaskView, ClientError> {
        body::json(self.send(&Call::post(path(["human-tasks", id, "claim"]), Body::Empty)).await?).await
    }

    pub async fn release(&self, id: &str) -> Result<TaskView, ClientError> {
        body::json(self.send(&Call::post(path(["human-tasks", id, "release"]), Body::Empty)).await?).await
    }

    pub async fn answer(&self, id: &str, answer: Value, key: &str) -> Result<TaskView, ClientError> {
        let call = Call::post(path(["human-tasks", id, "answer"]), document(&AnswerRequest { answer })).once(key);
        body::json(self.send(&call).await?).await
    }

    pub async fn reject(&self, id: &str, reason: &str, key: &str) -> Result<TaskView, ClientError> {
        let body = document(&ReasonRequest { reason: reason.to_owned() });
        body::json(self.send(&Call::post(path(["human-tasks", id, "reject"]), body).once(key)).await?).await
    }

    pub async fn upload(&self, name: &str, bytes: Vec<u8>, subject: Option<&str>) -> Result<FileStored, ClientError> {
        let body = Body::File { name: name.to_owned(), bytes, subject: subject.map(ToOwned::to_owned) };
        let call = Call { wait_max: Some(TRANSFER_WAIT_MAX), ..Call::post(path(["files"]), body) };
        body::json(self.send(&call).await?).await
    }

    pub async fn download(&self, id: &str) -> Result<Download, ClientError> {
        let call = Call { wait_max: Some(TRANSFER_WAIT_MAX), ..Call::get(path(["files", id])) };
        let response = self.send(&call).await?;
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let filename = header(FILENAME_HEADER).map(|text| decode_filename(&text));
        let content_type = header("content-type");
        Ok(Download { filename, content_type, bytes: body::bytes(response, DOWNLOAD_BYTES_MAX).await? })
    }

    pub async fn create_token(&self, request: &CreateTokenRequest) -> Result<TokenCreated, ClientError> {
        body::json(self.send(&Call::post(path(["tokens"]), document(request))).await?).await
    }

    pub async fn tokens(&self) -> Result<TokenList, ClientError> {
        body::json(self.send(&Call::get(path(["tokens"]))).await?).await
    }

    pub async fn revoke_token(&self, id: &str) -> Result<(), ClientError> {
        self.send(&Call::delete(path(["tokens", id]))).await.map(drop)
    }

    pub async fn subject(&self, subject: &str) -> Result<SubjectView, ClientError> {
        body::json(self.send(&Call::get(path(["subjects", subject]))).await?).await
    }

    pub async fn items(
        &self,
        subject: &str,
        kind: Option<&str>,
        cursor: Option<&str>,
        rows: u32,
    ) -> Result<ItemList, ClientError> {
        let call = Call::get(path(["subjects", subject, "items"])).query("kind", kind);
        body::json(self.send(&call.query("cursor", cursor).query("limit", Some(rows))).await?).await
    }

    pub async fn put_item(&self, subject: &str, request: &PutItemRequest) -> Result<ItemStored, ClientError> {
        let call = Call::post(path(["subjects", subject, "items"]), document(request));
        body::json(self.send(&Call { method: Method::PUT, ..call }).await?).await
    }

    pub async fn item(&self, subject: &str, kind: &str, name: &str, version: Option<u32>) -> Result<Item, ClientError> {
        let call = Call::get(path(["subjects", subject, "item"])).query("kind", Some(kind)).query("name", Some(name));
        body::json(self.send(&call.query("version", version)).await?).await
    }

    pub async fn remove_item(&self, subject: &str, kind: &str, name: &str) -> Result<(), ClientError> {
        let call = Call::delete(path(["subjects", subject, "item"])).query("kind", Some(kind));
        self.send(&call.query("name", Some(name))).await.map(drop)
    }

    pub async fn restore_item(
        &self,
        subject: &str,
        kind: &str,
        name: &str,
        version: u32,
    ) -> Result<ItemStored, ClientError> {
        let call = Call::post(path(["subjects", subject, "item", "restore"]), Body::Empty);
        let call = call.query("kind", Some(kind)).query("name", Some(name)).query("version", Some(version));
        body::json(self.send(&call).await?).await
    }

    pub async fn uses(&self, subject: &str) -> Result<UseList, ClientError> {
        body::json(self.send(&Call::get(path(["subjects", subject, "uses"]))).await?).await
    }

    pub async fn files_of(&self, subject: &str, after: Option<&str>) -> Result<ArtifactList, ClientError> {
        body::json(self.send(&Call::get(path(["subjects", subject, "files"])).query("after", after)).await?).await
    }

    /// Asking again changes nothing.
    pub async fn erase(&self, subject: &str) -> Result<SubjectView, ClientError> {
        let call = Call::post(path(["subjects", subject, "erase"]), Body::Empty);
        body::json(self.send(&Call { repeatable: true, ..call }).await?).await
    }

    /// A page of the audit, oldest or newest first.
    pub async fn audit(
        &self,
        target: Option<&str>,
        order: &str,
        cursor: Option<&str>,
        rows: u32,
    ) -> Result<AuditPage, ClientError> {
        let call = Call::get(path(["audit"])).query("target", target).query("order", Some(order));
        let call = call.query("cursor", cursor).query("limit", Some(rows));
        body::json(self.send(&call).await?).await
    }

    pub async fn tier_metrics(&self) -> Result<TierMetrics, ClientError> {
        body::json(self.send(&Call::get(path(["admin", "tier-metrics"]))).await?).await
    }

    /// Those that have ended too, if asked for.
    pub async fn sandboxes(&self, all: bool) -> Result<SandboxList, ClientError> {
        let call = Call::get(path(["sandboxes"])).query("all", all.then_some("true"));
        body::json(self.send(&call).await?).await
    }

    pub async fn kill_sandbox(&self, id: &str, request: &ReasonRequest) -> Result<SandboxView, ClientError> {
        body::json(self.send(&Call::post(path(["sandboxes", id, "kill"]), document(request))).await?).await
    }

    pub async fn limits(&self) -> Result<LimitList, ClientError> {
        body::json(self.send(&Call::get(path(["limits"]))).await?).await
    }

    pub async fn limit_keys(&self, name: &str, key: Option<&str>) -> Result<LimitKeyList, ClientError> {
        body::json(self.send(&Call::get(path(["limits", name, "keys"])).query("key", key)).await?).await
    }

    /// The same limit again changes nothing.
    pub async fn put_limit(&self, name: &str, value: &Value) -> Result<LimitView, ClientError> {
        let call = Call::post(path(["limits", name]), document(value));
        body::json(self.send(&Call { method: Method::PUT, repeatable: true, ..call }).await?).await
    }

    pub async fn remove_limit(&self, name: &str) -> Result<(), ClientError> {
        self.send(&Call::delete(path(["limits", name]))).await.map(drop)
    }

    /// The same again changes nothing.
    pub async fn cool_limit_key(&self, name: &str, request: &CoolDownRequest) -> Result<(), ClientError> {
        let call = Call::post(path(["limits", name, "cool-down"]), document(request));
        self.send(&Call { repeatable: true, ..call }).await.map(drop)
    }

    pub async fn rules(&self, kind: Option<&str>) -> Result<RuleList, ClientError> {
        body::json(self.send(&Call::get(path(["rules"])).query("kind", kind)).await?).await
    }

    /// The same rule again changes nothing.
    pub async fn put_rule(
        &self,
        kind: &str,
        name: &str,
        value: &Value,
        expected_version: Option<u64>,
    ) -> Result<RuleView, ClientError> {
        let call = Call::post(path(["rules", kind, name]), document(value)).query("expected_version", expected_version);
        body::json(self.send(&Call { method: Method::PUT, repeatable: true, ..call }).await?).await
    }

    pub async fn remove_rule(&self, kind: &str, name: &str, expected_version: Option<u64>) -> Result<(), ClientError> {
        let call = Call::delete(path(["rules", kind, name])).query("expected_version", expected_version);
        self.send(&call).await.map(drop)
    }

    pub async fn queues(&self) -> Result<QueueList, ClientError> {
        body::json(self.send(&Call::get(path(["queues"]))).await?).await
    }

    pub async fn workers(&self) -> Result<WorkerList, ClientError> {
        body::json(self.send(&Call::get(path(["workers"]))).await?).await
    }

    pub async fn pauses(&self) -> Result<PauseList, ClientError> {
        body::json(self.send(&Call::get(path(["pauses"]))).await?).await
    }

    /// Pauses what lies at `place`; asking again changes nothing.
    pub async fn pause_all(&self, place: Vec<&str>, request: &PauseRequest) -> Result<PauseView, ClientError> {
        let call = Call::post(path(place.into_iter().chain(["pause"])), document(request));
        body::json(self.send(&Call { repeatable: true, ..call }).await?).await
    }

    /// Resumes it, and answers what is paused still.
    pub async fn resume_all(&self, place: Vec<&str>, request: &ResumeRequest) -> Result<PauseList, ClientError> {
        let call = Call::post(path(place.into_iter().chain(["resume"])), document(request));
        body::json(self.send(&Call { repeatable: true, ..call }).await?).await
    }

    /// Of one engine of the list, by its position there: an engine that is not ready still says why.
    pub async fn readiness(&self, engine: usize) -> Result<Ready, ClientError> {
        let Some(url) = self.urls.get(engine) else { return Err(ClientError::Unreachable(Vec::new())) };
        let response = self.attempt(url, &Call::get(["readyz"])).await.map_err(|error| {
            ClientError::Unreachable(vec![super::Tried { url: url.clone(), why: failure::why(&error) }])
        })?;
        let clock =
            response.headers().get(DATE).and_then(|v| v.to_str().ok()).and_then(|text| {
                chrono::DateTime::parse_from_rfc2822(text).ok().map(|at| at.with_timezone(&chrono::Utc))
            });
        let response = match response.status() {
            StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => response,
            _ => body::accepted(response, self.authorization.is_some()).await?,
        };
        Ok(Ready { parts: body::json(response).await?, clock })
    }
}
