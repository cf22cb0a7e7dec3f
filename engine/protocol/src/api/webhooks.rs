//! Webhooks: those of other people's services that come in, and those that go out.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use valet_core::Timestamp;

/// `PUT /api/v1/webhooks/incoming/{name}`: the whole of it. Either `start` or `publish`. Never personal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutIncomingWebhookRequest {
    pub proof: IncomingProof,
    /// A CEL expression over `headers` (by lower-case names) and `payload` that comes to the sender's id of a delivery: the same id is
    /// carried out once. Default: the header `webhook-id`, `x-github-delivery` or `idempotency-key`, Stripe's and Slack's own, or the
    /// signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// Only deliveries for which this CEL expression over `headers` and `payload` holds; others are answered and make nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<IncomingStart>,
    /// The event, as `POST /api/v1/events` takes it, with `{"$cel": "payload.type"}` wherever a value is made of the delivery. Default of
    /// its payload: the delivery's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub publish: Option<Value>,
    /// Senders are told to come again later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// How senders prove themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IncomingProof {
    /// `github` (`X-Hub-Signature-256`), `stripe` (`Stripe-Signature`), `slack` (`X-Slack-Signature`), `standard` (Standard Webhooks), `basic`
    /// or `api_key`.
    pub kind: String,
    /// One to four: any of them proves a delivery, so that senders can change over. Never shown again. Default: those that the webhook has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<String>>,
    /// Another header than the usual one: of `github`, `stripe` and `api_key` (`X-Api-Key`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Of `basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// How far the time of a signature may be off, of `stripe`, `slack` and `standard`: 10 to 86,400; default 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance_seconds: Option<u32>,
}

/// The run that a delivery starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IncomingStart {
    pub workflow: String,
    /// The start of the run, as `POST /api/v1/workflows/{name}/runs` takes it, with `{"$cel": "payload.user"}` wherever a value is made of
    /// the delivery. Default: the payload is the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub run: Option<Value>,
}

/// `GET /api/v1/webhooks/incoming`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncomingWebhookList {
    pub webhooks: Vec<IncomingWebhookView>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncomingWebhookView {
    pub name: String,
    /// Where senders deliver: a path of this server.
    pub path: String,
    /// Without its secrets.
    pub proof: IncomingProof,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<IncomingStart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub publish: Option<Value>,
    pub paused: bool,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub created_by: String,
}

/// `GET /api/v1/webhooks/incoming/{name}/failures`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IncomingFailureList {
    /// Latest first; the latest hundred of thirty days.
    pub failures: Vec<IncomingFailureView>,
}

/// A delivery that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IncomingFailureView {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The problem's code and place, such as `wrong_signature`, `too_old`, `replayed` or `expression_failed at /start/run/input`.
    pub reason: String,
    /// Where it came from; behind a proxy, the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// `POST /api/v1/hooks/{tenant}/{name}`: what became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryTaken {
    /// `started`, `published`, or `ignored` by the webhook's filter.
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

/// `PUT /api/v1/webhooks/outgoing/{name}`: the whole of it. Never personal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutOutgoingWebhookRequest {
    /// Where messages are sent, by `http` or `https`; what has no public address is refused unless the engine's settings open it.
    /// Default: where those of the webhook go; a new one needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it is told: `run.started`, `run.stuck`, `run.succeeded` and the other ends, `human_task.opened`,
    /// `human_task.due_soon`, `human_task.closed`, and what workflow code says; `*` at the end stands for anything: `run.*`.
    pub kinds: Vec<String>,
    /// Only of runs of this workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Only what this CEL expression over `kind`, `workflow`, `subject` and `data` (what workflow code said) holds for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// One to four, base64 after `whsec_`: messages are signed under each, so that the receiver can change over. Default: those that the
    /// webhook has; of a new one the engine makes one and shows it once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<String>>,
    /// What happens meanwhile it is not told; what it is still to be told waits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// `GET /api/v1/webhooks/outgoing`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutgoingWebhookList {
    pub webhooks: Vec<OutgoingWebhookView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutgoingWebhookView {
    pub name: String,
    /// Its URL without path and query, which may be secret.
    pub origin: String,
    pub kinds: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    pub paused: bool,
    /// Only in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub created_by: String,
}

/// `GET /api/v1/webhooks/outgoing/{name}/deliveries`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutgoingDeliveryList {
    pub deliveries: Vec<OutgoingDeliveryView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One message to one webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutgoingDeliveryView {
    /// `msg_…`: the receiver's `webhook-id`, the same in each attempt.
    pub id: String,
    pub kind: String,
    pub run: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `waiting`, `delivered` or `failed` (given up).
    pub state: String,
    pub attempts: u32,
    /// The receiver's last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub delivered_at: Option<Timestamp>,
    /// Of the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
}
