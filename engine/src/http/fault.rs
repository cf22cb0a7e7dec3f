//! Errors as callers see them: problem+json with a stable code, the field, and what to do.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use valet_core::Timestamp;
use valet_core::command::Rejection;
use valet_core::workflow::InputProblem;
use valet_protocol::problem::{FieldProblem, Problem};

use crate::blobs::BlobError;
use crate::codec::CodecError;
use crate::engine::StartError;
use crate::executor::CommandError;
use crate::store::StoreError;

/// How soon a caller should come back when a part is away.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// An error answer.
#[derive(Debug)]
pub struct Fault {
    problem: Box<Problem>,
    /// How soon to come back, where it is known.
    retry_after: Option<Duration>,
}

impl Fault {
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { problem: Box::new(Problem::new(status.as_u16(), code, title, detail)), retry_after: None }
    }

    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.problem.field = Some(field.into());
        self
    }

    /// Of a part of the request that lies at `place`, a JSON pointer.
    pub(super) fn below(mut self, place: &str) -> Self {
        let problem = &mut self.problem;
        let pointers = problem.field.iter_mut().chain(problem.errors.iter_mut().map(|error| &mut error.field));
        for pointer in pointers.filter(|pointer| pointer.starts_with('/')) {
            pointer.insert_str(0, place);
        }
        problem.field.get_or_insert_with(|| place.to_owned());
        self
    }

    /// When the same request may go through.
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// How the task ended.
    pub fn outcome(mut self, outcome: &str) -> Self {
        self.problem.outcome = Some(outcome.to_owned());
        self
    }

    /// Who was first, and when.
    pub fn by(mut self, by: Option<String>, at: Option<Timestamp>) -> Self {
        (self.problem.by, self.problem.at) = (by, at);
        self
    }

    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub fn not_found(what: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, &format!("{what}_not_found"), detail)
    }

    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this route has other methods")
    }

    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// Faults of an input, each with its place.
    pub fn invalid_input(problems: Vec<InputProblem>) -> Self {
        Self::unprocessable("invalid_input", problems)
    }

    /// The same of the definition of a workflow.
    pub fn invalid_definition(problems: Vec<InputProblem>) -> Self {
        Self::unprocessable("invalid_definition", problems)
    }

    /// The same of a schedule.
    pub fn invalid_schedule(problems: Vec<InputProblem>) -> Self {
        Self::unprocessable("invalid_schedule", problems)
    }

    /// The same of an event.
    pub fn invalid_event(problems: Vec<InputProblem>) -> Self {
        Self::unprocessable("invalid_event", problems)
    }

    /// The same of an event's trigger.
    pub fn invalid_trigger(problems: Vec<InputProblem>) -> Self {
        Self::unprocessable("invalid_trigger", problems)
    }

    /// The same of a webhook.
    pub fn invalid_webhook(problems: Vec<InputProblem>) -> Self {
        Self::unprocessable("invalid_webhook", problems)
    }

    /// The same of a limit.
    pub fn invalid_limit(problems: Vec<InputProblem>) -> Self {
        Self::unprocessable("invalid_limit", problems)
    }

    fn unprocessable(code: &str, problems: Vec<InputProblem>) -> Self {
        let first = problems.first().map(|p| (p.field.clone(), p.message.clone())).unwrap_or_default();
        let mut fault = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, first.1).at(first.0);
        fault.problem.errors =
            problems.into_iter().map(|p| FieldProblem { field: p.field, message: p.message }).collect();
        fault
    }

    pub(super) fn into_problem(self) -> Problem {
        *self.problem
    }

    pub(super) fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Nothing is wrong with the request: a part is away or busy, and the same request may go through later.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.problem.status, 429 | 503)
    }

    /// The token is good, and what it asks for is beyond it.
    pub fn out_of_reach(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "out_of_reach", detail)
    }

    fn away(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the engine failed; its log has the request id")
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // The body is written by the outermost layer, which knows the request's id.
        let mut response = status.into_response();
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            let wait = self.retry_after.unwrap_or(RETRY_AFTER);
            // Rounded up: who comes back then is not early.
            let seconds = (wait.as_nanos().div_ceil(1_000_000_000) as u64).max(1);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Carried(self.problem));
        response
    }
}

#[derive(Clone)]
struct Carried(Box<Problem>);

/// Writes a carried problem into the body; gives plain error answers of libraries the same form.
pub(super) fn into_problem(mut response: Response, request_id: &str) -> Response {
    let status = response.status();
    let carried = response.extensions_mut().remove::<Carried>();
    let mut problem = match carried {
        Some(Carried(problem)) => problem,
        None if status.is_client_error() && !is_problem(&response) => {
            let (code, detail) = match status {
                StatusCode::PAYLOAD_TOO_LARGE => ("too_large", "the body is too large"),
                StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", "send application/json"),
                _ => ("bad_request", "the request cannot be read: check the path, the query and the body"),
            };
            let title = status.canonical_reason().unwrap_or("Error");
            Box::new(Problem::new(status.as_u16(), code, title, detail))
        }
        None => return response,
    };
    problem.request_id = Some(request_id.to_owned());
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body.into())
}

fn is_problem(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/problem"))
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Injected(_) => {
                tracing::warn!(%error, "a request found the database away");
                Self::away("database_unavailable", "the database cannot be reached; try again")
            }
            StoreError::BadData(_) => Self::bad_request("bad_value", "the database refuses a value of the request"),
            StoreError::Sealed(CodecError::NoKey(_)) => {
                let detail = "this was sealed with a key that is here no more: its subject was erased";
                Self::new(StatusCode::GONE, "erased", detail)
            }
            StoreError::Database(_) | StoreError::Sealed(_) | StoreError::Json(_) => {
                tracing::error!(%error, "a request failed in the store");
                Self::internal()
            }
        }
    }
}

impl From<BlobError> for Fault {
    fn from(error: BlobError) -> Self {
        if let BlobError::Store(object_store::Error::NotFound { .. }) = error {
            return Self::not_found("file", "the file's bytes are not in the blob store");
        }
        tracing::error!(%error, "the blob store failed");
        Self::away("blob_store_unavailable", "the blob store cannot be used; try again")
    }
}

impl From<CommandError> for Fault {
    fn from(error: CommandError) -> Self {
        let detail = error.to_string();
        match error {
            CommandError::Rejected(rejection) => rejection.into(),
            CommandError::NotFound => Self::not_found("run", detail),
            CommandError::NotStarted => Self::conflict("not_started", detail),
            CommandError::Busy => Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail),
            CommandError::Unknown => Self::away("database_unavailable", detail),
            CommandError::Contended => Self::away("contended", detail),
            CommandError::BadData => Self::bad_request("bad_value", detail),
        }
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        let detail = rejection.to_string();
        match rejection {
            Rejection::Stale => Self::conflict("stale", detail),
            Rejection::RunEnded { .. } => Self::conflict("run_ended", detail),
            Rejection::RunClosing { .. } => Self::conflict("run_closing", detail),
            Rejection::TaskEnded { by: Some(by), .. } => Self::conflict("task_ended", format!("{detail}, by {by}")),
            Rejection::TaskEnded { by: None, .. } => Self::conflict("task_ended", detail),
            Rejection::NoSuchTask => Self::not_found("task", detail),
            Rejection::ChannelFull { .. } => Self::new(StatusCode::TOO_MANY_REQUESTS, "channel_full", detail),
            Rejection::NoSuchStep { .. } => Self::not_found("step", detail).at("seq"),
            Rejection::StepAtWork { .. } => Self::conflict("step_at_work", detail).at("seq"),
            Rejection::BuildTooOld { .. } => Self::conflict("build_too_old", detail),
            Rejection::NothingToRetry { .. } => Self::conflict("nothing_to_retry", detail),
            Rejection::Exists => Self::conflict("run_exists", detail),
            Rejection::NoSuchWait => Self::not_found("wait", detail),
            Rejection::NoSuchCompletion => Self::not_found("completion", detail).at("token"),
            Rejection::CompletedBefore => Self::conflict("completed_before", detail).at("Idempotency-Key"),
            Rejection::NoSuchEntry { .. } => Self::not_found("entry", detail).at("/entry"),
            Rejection::RepeatsEffect { .. } => Self::conflict("repeats_effect", detail).at("/repeat_effects"),
            Rejection::DoesNotFit { .. } => Self::conflict("does_not_fit", detail),
        }
    }
}

impl From<StartError> for Fault {
    fn from(error: StartError) -> Self {
        match error {
            StartError::KeyTaken(run) => Self::conflict(
                "idempotency_key_reused",
                format!("this Idempotency-Key was used for another request, whose run is {run}; use a new key"),
            )
            .at("Idempotency-Key"),
            StartError::Command(error) => error.into(),
            StartError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_the_wait_in_whole_seconds_rounded_up() {
        for (wait_ms, seconds) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (59_999, "60")] {
            let fault = Fault::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "later");
            let response = fault.after(Duration::from_millis(wait_ms)).into_response();
            assert_eq!(response.headers()[header::RETRY_AFTER], seconds, "{wait_ms} ms");
        }
        let away = Fault::away("database_unavailable", "later").into_response();
        assert_eq!(away.headers()[header::RETRY_AFTER], "2");
    }
}
