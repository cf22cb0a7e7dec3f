//! What somebody outside says of what a run waits for. They show no token of the API: the one in the path says what it
//! opens, and its run knows whether it is right.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use sha2::{Digest, Sha256};
use valet_core::callbacks::Callbacks;
use valet_core::command::{Command, Rejection};
use valet_core::journal::CompletionOutcome;
use valet_core::payload::Payload;
use valet_core::step::Failure;
use valet_core::workflow::InputProblem;
use valet_protocol::api::CompletionRequest;
use valet_protocol::problem::Problem;

use super::body::Body;
use super::doing::Doing;
use super::{App, Fault, key, no_content};
use crate::audit::Deed;
use crate::executor::CommandError;
use crate::hex;

/// Ends what a run waits for with an output or an error. A repeat with the same `Idempotency-Key` (without one: with the
/// same body) gets the first answer, any other 409.
#[utoipa::path(post, operation_id = "complete", path = "/api/v1/completions/{token}", tag = "runs", request_body = CompletionRequest, security(()),
    params(("token" = String, Path, description = "As the run handed it out"), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "The token is wrong, or is waited for no more"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "It was used with another key, or its run is over"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn complete(
    State(app): State<Arc<App>>,
    doing: Doing,
    Path(token): Path<String>,
    headers: HeaderMap,
    Body(request): Body<CompletionRequest>,
) -> Result<Response, Fault> {
    let from = doing.address();
    let unknown = || {
        // Who guesses is slowed down like anybody with unknown tokens.
        app.pace.unknown_token(from).err().unwrap_or_else(|| Fault::from(Rejection::NoSuchCompletion))
    };
    let token = Callbacks::parse(&token).ok_or_else(unknown)?;
    let given = key::read(&headers)?;
    let key = match given {
        Some(key) => key,
        None => body_key(&request)?,
    };
    let outcome = outcome(request)?;
    let (run, seq, secret) = (token.run, token.seq, token.secret);
    let tenant = app.engine.store.find_run_tenant(run).await?.ok_or_else(unknown)?;
    let deed = Deed { tenant, who: HOLDER.to_owned(), ..doing.on(run.to_string()) };
    match app.engine.command_by(deed, run, Command::Complete { seq, secret, key, outcome }).await {
        Err(CommandError::Rejected(Rejection::NoSuchCompletion)) => Err(unknown()),
        answer => answer.map(|_| no_content()).map_err(Fault::from),
    }
}

/// Who completes: the token does not say.
const HOLDER: &str = "completion token";

fn body_key(request: &CompletionRequest) -> Result<String, Fault> {
    let canonical = serde_json::to_vec(request).map_err(|e| Fault::bad_request("invalid_json", e.to_string()))?;
    let digest = Sha256::digest(canonical);
    Ok(format!("body {}", hex::encode(&digest[..16])))
}

fn outcome(request: CompletionRequest) -> Result<CompletionOutcome, Fault> {
    let payload = |value| Payload::of(&value).map_err(|e| Fault::bad_request("invalid_json", e.to_string()));
    match (request.output, request.error) {
        (Some(output), None) => Ok(CompletionOutcome::Done { output: payload(output)? }),
        (None, Some(error)) => {
            let details = error.details.map(payload).transpose()?;
            Ok(CompletionOutcome::Failed { error: Failure { details, ..Failure::new(error.code, error.message) } })
        }
        _ => {
            let message = "send either `output` or `error` (an object with `code` and `message`)".to_owned();
            Err(Fault::invalid_input(vec![InputProblem { field: "/output".to_owned(), message }]))
        }
    }
}
