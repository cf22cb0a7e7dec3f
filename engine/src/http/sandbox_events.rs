//! What a sandbox says of itself. It shows no token of the API: its own is right for it alone.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use valet_core::command::{Command, Reply};
use valet_core::payload::Payload;
use valet_core::resources::{Resource, ResourceKind, SANDBOX};
use valet_protocol::api::SandboxEvent;
use valet_protocol::problem::Problem;

use super::body::read;
use super::doing::Doing;
use super::query::Parameters;
use super::{App, Fault, no_content, resources};
use crate::audit::Deed;
use crate::bounds::{PAUSE_REASON_BYTES_MAX, SANDBOX_EVENT_BYTES_MAX};
use crate::resource_token::{Named, Shown};

/// Whose channel of its run the events go to.
const CHANNEL: &str = "sandbox";
/// Who speaks: the token does not say more.
const SPEAKER: &str = "sandbox";
const SIGNATURE: &str = "x-valet-signature";
const SCHEME: &str = "sha256=";
/// An event's own id.
const ID_BYTES_MAX: usize = 128;

/// Where a sandbox is told to come.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Speaker {
    tenant: String,
    sandbox: String,
}

/// Takes an event of a sandbox: it goes to the channel `sandbox` of its run, once by its id, and with it to whoever watches the run.
/// `captcha_detected` parks the sandbox until its next step, `completed` and `error` are its last word.
#[utoipa::path(post, operation_id = "sandbox_event", path = "/api/v1/webhooks/sandbox", tag = "sandboxes", request_body = SandboxEvent, security(()),
    params(Speaker, ("Authorization" = Option<String>, Header, description = "`Bearer` and the sandbox's own token"),
        ("X-Valet-Signature" = Option<String>, Header, description = "Instead: `sha256=` and the body's HMAC-SHA256 under that token, in hexadecimal digits")),
    responses((status = 204),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "Neither the sandbox's token nor its signature"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "It has no run, or its run is over"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn take(
    State(app): State<Arc<App>>,
    doing: Doing,
    headers: HeaderMap,
    Parameters(speaker): Parameters<Speaker>,
    bytes: Bytes,
) -> Result<Response, Fault> {
    let sandbox = known(&app, &doing, &speaker, &headers, &bytes).await?;
    if bytes.len() > SANDBOX_EVENT_BYTES_MAX {
        let detail = format!("an event has at most {SANDBOX_EVENT_BYTES_MAX} bytes");
        return Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail));
    }
    let event: SandboxEvent = read(&bytes)?;
    if !(1..=ID_BYTES_MAX).contains(&event.id.len()) {
        return Err(Fault::bad_request("invalid_id", format!("an event's id has 1 to {ID_BYTES_MAX} bytes")).at("/id"));
    }
    let run = sandbox.run.ok_or_else(|| Fault::conflict("no_run", "no run holds this sandbox now"))?;
    let kind = resources::known(&app, SANDBOX)?;
    let (key, payload) = (format!("{}/{}", sandbox.key, event.id), payload(&sandbox, &event)?);
    let deed = Deed { tenant: sandbox.tenant.clone(), who: SPEAKER.to_owned(), ..doing.on(run.to_string()) };
    let signal = Command::Signal { name: CHANNEL.to_owned(), key, payload };
    // Whoever says again what was said before changes nothing: the sandbox has gone on since.
    if !matches!(app.engine.command_by(deed, run, signal).await?, Reply::Repeated) {
        follow(&app, kind, &sandbox, &event).await?;
    }
    Ok(no_content())
}

/// Whoever does not show it is told nothing of which sandboxes there are.
async fn known(
    app: &App,
    doing: &Doing,
    speaker: &Speaker,
    headers: &HeaderMap,
    message: &[u8],
) -> Result<Resource, Fault> {
    let of = Named { tenant: &speaker.tenant, kind: SANDBOX, key: &speaker.sandbox };
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION.as_str()).and_then(|value| value.split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let shown = match (text(SIGNATURE).and_then(|value| value.strip_prefix(SCHEME)), bearer) {
        (Some(digits), _) => Some(Shown::Signature { digits, message }),
        (None, Some((_, token))) => Some(Shown::Token(token.trim())),
        (None, None) => None,
    };
    let store = &app.engine.store;
    if shown.is_some_and(|shown| store.is_token_of_resource(&of, shown))
        && let Some(found) = store.find_resource(of.tenant, SANDBOX, of.key).await?
    {
        return Ok(found);
    }
    // Who guesses is slowed down like anybody with unknown tokens.
    app.pace.unknown_token(doing.address())?;
    let detail = "show the token that came with this sandbox, or sign the body with it";
    Err(Fault::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).at("Authorization"))
}

fn payload(sandbox: &Resource, event: &SandboxEvent) -> Result<Payload, Fault> {
    let said = serde_json::json!({ "sandbox": sandbox.key, "tier": sandbox.class, "event": event });
    Payload::of(&said).map_err(|error| Fault::bad_request("invalid_json", error.to_string()))
}

/// The state that the event speaks of. One that does not follow from the sandbox's own is late: it says nothing new.
async fn follow(app: &App, kind: &ResourceKind, sandbox: &Resource, event: &SandboxEvent) -> Result<(), Fault> {
    let Some((_, to)) = kind.events.iter().find(|(name, _)| *name == event.event.as_str()) else { return Ok(()) };
    let reason = event.message.as_deref();
    let reason = reason.map(|why| why.chars().take(PAUSE_REASON_BYTES_MAX / 4).collect::<String>());
    app.engine.store.follow_resource(kind, sandbox, to, reason.as_deref()).await?;
    Ok(())
}
