//! Where other people's services deliver. They show no token of the API: each delivery proves itself by what its webhook asks for.
//!
//! A delivery stays its sender's until it is answered: it is written down with the id of what it makes, then that is made by this id, then it
//! is answered. Whoever dies in between leaves it to the sender, who repeats it, and the same id makes the same thing once.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use valet_core::declared::EXPRESSION_FAILED;
use valet_core::declared::check::is_workflow_name;
use valet_core::id::RunId;
use valet_protocol::api::{DeliveryTaken, IncomingProof, StartRunRequest};
use valet_protocol::problem::Problem;

use super::body::{read, read_part, too_large};
use super::doing::Doing;
use super::pushed_events::{self, Occurred, Source, event_id, reason};
use super::{App, Fault, workflows};
use crate::access::Reach;
use crate::audit::{Deed, Via};
use crate::store::StoreError;
use crate::store::postgres::incoming::{DeliveryMarks, IncomingRecord, Made};
use crate::webhook::proof::Kind;
use crate::webhook::{Delivery, Mapping, Proof, ProofFault, Target};

/// Takes a delivery of an incoming webhook: starts its run or publishes its event, once for each id of its sender. A repeat is told what
/// the first one made, with 200.
#[utoipa::path(post, operation_id = "deliver", path = "/api/v1/hooks/{tenant}/{name}", tag = "webhooks", security(()),
    params(("tenant" = String, Path), ("name" = String, Path)),
    request_body(content = Value, description = "Whatever the sender sends: JSON, or a form, whose fields then are the payload"),
    responses((status = 201, body = DeliveryTaken), (status = 200, body = DeliveryTaken, description = "Taken before, or not of interest"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "Not JSON, or its signature is too old"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "It does not prove itself"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The signature was used for another delivery"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "What it maps to cannot be started or published"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn deliver(
    State(app): State<Arc<App>>,
    doing: Doing,
    Path((tenant, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Fault> {
    let known = is_workflow_name(&name) && !tenant.contains('\0');
    let found = if known { app.engine.store.find_incoming_webhook(&tenant, &name).await? } else { None };
    let Some(webhook) = found else {
        let missing = || Fault::not_found("webhook", "there is no such incoming webhook").at("name");
        return Err(app.pace.unknown_token(doing.address()).err().unwrap_or_else(missing));
    };
    let received = Received { app: &app, doing: &doing, tenant: &tenant, webhook: &webhook, headers: &headers };
    let taken = received.take(body).await;
    let counted = match &taken {
        Ok(_) => "taken",
        Err(fault) if fault.is_passing() => "later",
        Err(_) => "refused",
    };
    metrics::counter!("valet_hook_deliveries_total", "result" => counted).increment(1);
    if let Err(fault) = &taken
        && !fault.is_passing()
    {
        received.note_failure(fault).await;
    }
    taken
}

/// A delivery to a webhook that is there.
struct Received<'a> {
    app: &'a App,
    doing: &'a Doing,
    tenant: &'a str,
    webhook: &'a IncomingRecord,
    headers: &'a HeaderMap,
}

impl Received<'_> {
    async fn take(&self, body: Result<Bytes, BytesRejection>) -> Result<Response, Fault> {
        let Self { app, webhook, headers, .. } = *self;
        let body = body.map_err(|_| self.unproven(too_large()))?;
        let given: IncomingProof = serde_json::from_value(webhook.proof.clone()).map_err(StoreError::Json)?;
        let (Ok(proof), Ok(mapping)) = (Proof::read(&given), self.mapping()) else {
            tracing::error!(webhook = webhook.name, "this build cannot read an incoming webhook");
            return Err(Fault::internal());
        };
        let secrets = app.engine.store.open_incoming_secrets(webhook).await?;
        let proven = proof.verify(&secrets, app.engine.clock.now(), headers, &body);
        let proven = proven.map_err(|fault| self.unproven(refused(fault)))?;
        app.pace.request(&Sha256::digest(webhook.id).into(), self.tenant)?;
        if webhook.paused {
            let detail = "this webhook is paused; deliver it again later";
            return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "webhook_paused", detail));
        }
        let payload = payload(headers, &body)?;
        if proof.kind == Kind::Slack && payload["type"] == "url_verification" {
            // Slack asks so whether this path is its receiver's.
            return Ok(Json(json!({ "challenge": payload["challenge"] })).into_response());
        }
        let delivery = Delivery { proof: &proof, headers, payload: &payload };
        let variables = delivery.variables();
        let id = mapping.id(&delivery, &variables).map_err(|_| unmapped("/delivery_id"))?;
        let marks = DeliveryMarks {
            delivery: match (&id, proven.signature) {
                (Some(id), _) => Sha256::digest(id).into(),
                (None, Some(signature)) => signature,
                // Nothing tells a repeat of it.
                (None, None) => Sha256::digest(app.engine.entropy.uuid()).into(),
            },
            proof: proven.signature,
        };
        let known = app.engine.store.find_incoming_delivery(webhook.id, &marks).await?;
        let known = match known {
            Some(known) if !known.is_same => return Err(replayed()),
            Some(known) if known.settled => return Ok(taken(known.made(), StatusCode::OK)),
            Some(known) => known.made(),
            None if !mapping.fits(&variables) => return Ok(taken(None, StatusCode::OK)),
            None => None,
        };
        let target = self.target();
        let made = mapping.made(target, &variables).map_err(|(place, _)| unmapped(&place))?;
        match target {
            Target::Run => self.start(&marks, known, made).await,
            Target::Event => self.publish(&marks, known, made).await,
        }
    }

    fn target(&self) -> Target {
        if self.webhook.workflow.is_some() { Target::Run } else { Target::Event }
    }

    fn mapping(&self) -> Result<Mapping, valet_core::declared::Faults> {
        let IncomingRecord { mapping, delivery_id, filter, .. } = self.webhook;
        Mapping::read(self.target(), mapping, delivery_id.as_deref(), filter.as_deref())
    }

    /// Counted for the address that it came from, as unknown tokens are.
    fn unproven(&self, fault: Fault) -> Fault {
        self.app.pace.unknown_token(self.doing.address()).err().unwrap_or(fault)
    }

    fn deed(&self) -> Deed {
        let (tenant, who) = (self.tenant.to_owned(), self.webhook.name.clone());
        Deed { tenant, who, via: Via::Webhook, ..self.doing.on("") }
    }

    async fn start(&self, marks: &DeliveryMarks, known: Option<Made>, made: Value) -> Result<Response, Fault> {
        let Self { app, webhook, .. } = *self;
        let below = |fault: Fault| fault.below(Target::Run.place());
        let request = read_part::<StartRunRequest>(made).map_err(below)?;
        let workflow = webhook.workflow.as_deref().unwrap_or_default();
        let start = workflows::checked(app, self.tenant, &Reach::default(), workflow, None, request).await;
        let start = start.map_err(below)?;
        let written = self.written(marks, known, || Made::Run(app.engine.new_run().0)).await?;
        let Made::Run(run) = written.made else { return Err(changed()) };
        let deed = Deed { action: "run.start", ..self.deed() };
        app.engine.start_run_as(deed, RunId(run), start).await?;
        self.settled(marks, written).await
    }

    async fn publish(&self, marks: &DeliveryMarks, known: Option<Made>, made: Value) -> Result<Response, Fault> {
        let app = self.app;
        let below = |fault: Fault| fault.below(Target::Event.place());
        let request = read_part(made).map_err(below)?;
        pushed_events::check(&request).map_err(below)?;
        let written = self.written(marks, known, || Made::Event(app.engine.new_id())).await?;
        let Made::Event(id) = written.made else { return Err(changed()) };
        let source = Source { tenant: self.tenant, reach: &Reach::default() };
        let occurred = Occurred { request, replay_of: None, key: None };
        let deed = Deed { action: "event.push", target: event_id(id), ..self.deed() };
        // Whoever was faster has published the same event.
        pushed_events::keep(app, &source, &occurred, id, &[], &deed).await.map_err(below)?;
        self.settled(marks, written).await
    }

    /// What the delivery makes, once that is written down.
    async fn written(
        &self,
        marks: &DeliveryMarks,
        known: Option<Made>,
        new: impl FnOnce() -> Made,
    ) -> Result<Written, Fault> {
        if let Some(made) = known {
            return Ok(Written { made, is_new: false });
        }
        let (store, webhook, made) = (&self.app.engine.store, self.webhook.id, new());
        if store.add_incoming_delivery(webhook, marks, made).await? {
            return Ok(Written { made, is_new: true });
        }
        // It came twice at once.
        let found = store.find_incoming_delivery(webhook, marks).await?.ok_or_else(Fault::internal)?;
        let made = found.made().filter(|_| found.is_same).ok_or_else(replayed)?;
        Ok(Written { made, is_new: false })
    }

    async fn settled(&self, marks: &DeliveryMarks, written: Written) -> Result<Response, Fault> {
        self.app.engine.store.settle_incoming_delivery(self.webhook.id, marks).await?;
        Ok(taken(Some(written.made), if written.is_new { StatusCode::CREATED } else { StatusCode::OK }))
    }

    /// For whoever looks why nothing came of it. Never what it carried.
    async fn note_failure(&self, fault: &Fault) {
        let reason = reason(fault);
        tracing::warn!(webhook = self.webhook.name, tenant = self.tenant, reason, "a delivery was refused");
        let address = self.doing.address().map(|address| address.to_string());
        let engine = &self.app.engine;
        let noted = engine.store.add_incoming_failure(engine.new_id(), self.webhook.id, &reason, address.as_deref());
        if let Err(error) = noted.await {
            tracing::warn!(%error, webhook = self.webhook.name, "why a delivery was refused is only in the log");
        }
    }
}

/// A delivery that is written down.
#[derive(Clone, Copy)]
struct Written {
    made: Made,
    is_new: bool,
}

/// What the expressions see: JSON, or the fields of a form.
fn payload(headers: &HeaderMap, body: &[u8]) -> Result<Value, Fault> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        return read(body);
    }
    let fields = url::form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.into_owned().into()));
    // What JSON may not have, a form may not have either.
    let json = serde_json::to_vec(&Value::Object(fields.collect::<Map<_, _>>())).map_err(StoreError::Json)?;
    read(&json)
}

fn taken(made: Option<Made>, status: StatusCode) -> Response {
    let (state, run, event) = match made {
        Some(Made::Run(run)) => ("started", Some(RunId(run).to_string()), None),
        Some(Made::Event(event)) => ("published", None, Some(event_id(event))),
        None => ("ignored", None, None),
    };
    (status, Json(DeliveryTaken { state: state.to_owned(), run, event })).into_response()
}

fn refused(fault: ProofFault) -> Fault {
    let (status, code) = match fault {
        ProofFault::Missing => (StatusCode::UNAUTHORIZED, "missing_signature"),
        ProofFault::Wrong => (StatusCode::UNAUTHORIZED, "wrong_signature"),
        ProofFault::TooOld => (StatusCode::BAD_REQUEST, "too_old"),
    };
    Fault::new(status, code, fault.to_string())
}

fn replayed() -> Fault {
    Fault::conflict("replayed", "the signature of this delivery was used for another one")
}

fn unmapped(place: &str) -> Fault {
    let detail = "this expression of the webhook comes to nothing for what was delivered";
    Fault::new(StatusCode::UNPROCESSABLE_ENTITY, EXPRESSION_FAILED, detail).at(place)
}

/// An engine died with this delivery, and the webhook does something else since.
fn changed() -> Fault {
    let detail = "this delivery began while the webhook did something else; deliver it under another id";
    Fault::conflict("webhook_changed", detail)
}
