//! The control endpoint: `/control/{rekey|renew|status|shutdown}` and `/control/stage/{file}?name=…`, for whoever has the control secret.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::fence::{Rekey, RekeyError, same_secret};
use super::http::{Body, json_answer};

/// Control messages are a key and a number.
const REQUEST_MAX_BYTES: usize = 4096;
/// Documents of an application.
const FILE_MAX_BYTES: usize = 64 << 20;
/// A longer lease is a mistake: sandboxes are renewed by the minute, parked ones by the hour.
const LEASE_MAX_S: u64 = 7 * 24 * 3600;

#[derive(Deserialize)]
struct RekeyRequest {
    new_key: String,
    fence_number: u64,
}

#[derive(Deserialize)]
struct RenewRequest {
    lease_s: u64,
}

pub async fn handle(shared: &Shared, verb: &str, request: Request<Incoming>) -> Response<Body> {
    let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if !bearer.is_some_and(|bearer| same_secret(bearer, shared.config.control_secret.as_bytes())) {
        return refusal(StatusCode::UNAUTHORIZED, "unauthorized", "the control secret is missing or wrong");
    }
    if request.method() != Method::POST {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, "method", "control verbs are POSTed");
    }
    if let Some(file) = verb.strip_prefix("stage/") {
        return stage(shared, file, request).await;
    }
    let Ok(body) = Limited::new(request.into_body(), REQUEST_MAX_BYTES).collect().await else {
        return refusal(StatusCode::BAD_REQUEST, "bad_request", "the body could not be read");
    };
    let body = body.to_bytes();
    match verb {
        "rekey" => serde_json::from_slice(&body).map_or_else(|error| bad(&error), |request| rekey(shared, &request)),
        "renew" => serde_json::from_slice(&body).map_or_else(|error| bad(&error), |request| renew(shared, &request)),
        "status" => status(shared),
        "shutdown" => {
            shared.shutdown.notify_one();
            json_answer(StatusCode::ACCEPTED, &json!({"phase": "ending"}))
        }
        _ => refusal(StatusCode::NOT_FOUND, "unknown_verb", "rekey, renew, status or shutdown"),
    }
}

/// For whoever cannot write to this machine. The same file under the same name is replaced.
async fn stage(shared: &Shared, file: &str, request: Request<Incoming>) -> Response<Body> {
    let bad = |message: &str| refusal(StatusCode::BAD_REQUEST, "bad_request", message);
    let Ok(file) = file.parse::<uuid::Uuid>() else { return bad("a file has a UUID") };
    let query = request.uri().query().unwrap_or_default().to_owned();
    let mut names = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "name");
    let name = names.next().map(|(_, value)| value.into_owned()).unwrap_or_default();
    let plain = std::path::Path::new(&name).file_name().is_some_and(|plain| plain == name.as_str());
    if !plain || name.contains(['\0', '\n']) {
        return bad("a file name is one plain part of a path");
    }
    let Ok(content) = Limited::new(request.into_body(), FILE_MAX_BYTES).collect().await else {
        return bad("the file could not be read, or is too large");
    };
    let folder = shared.config.uploads_dir().join(file.simple().to_string());
    let path = folder.join(&name);
    let written = async {
        tokio::fs::create_dir_all(&folder).await?;
        tokio::fs::write(&path, content.to_bytes()).await
    };
    match written.await {
        Ok(()) => json_answer(StatusCode::OK, &json!({"path": path})),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "not_written", &error.to_string()),
    }
}

fn rekey(shared: &Shared, request: &RekeyRequest) -> Response<Body> {
    // The lock is held over the announcement: no command of the old key can slip in between.
    let mut fence = shared.fence.lock();
    match fence.rekey(request.fence_number, &request.new_key) {
        Ok(rekeyed) => {
            if rekeyed == Rekey::Changed {
                shared.generation.send_modify(|generation| *generation += 1);
            }
            drop(fence);
            // Only a fence that is written down was taken: the next gate goes on from there.
            match shared.write_state(|state| state.fence = request.fence_number) {
                Ok(()) => status(shared),
                Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "not_written", &error.to_string()),
            }
        }
        Err(RekeyError::Stale { current, .. }) => json_answer(
            StatusCode::CONFLICT,
            &json!({"error": "stale_fence", "current": current, "message": "fence numbers only go up"}),
        ),
        Err(error @ RekeyError::BadKey) => refusal(StatusCode::BAD_REQUEST, "bad_key", &error.to_string()),
    }
}

fn renew(shared: &Shared, request: &RenewRequest) -> Response<Body> {
    if !(1..=LEASE_MAX_S).contains(&request.lease_s) {
        return refusal(StatusCode::BAD_REQUEST, "bad_lease", "a lease is between a second and a week");
    }
    match shared.renew(Duration::from_secs(request.lease_s)) {
        Ok(()) => status(shared),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "not_written", &error.to_string()),
    }
}

fn status(shared: &Shared) -> Response<Body> {
    let state = serde_json::to_value(&*shared.state.lock()).unwrap_or_default();
    json_answer(StatusCode::OK, &json!({"state": state, "egress": shared.egress.report()}))
}

fn bad(error: &serde_json::Error) -> Response<Body> {
    refusal(StatusCode::BAD_REQUEST, "bad_request", &error.to_string())
}

fn refusal(status: StatusCode, error: &str, message: &str) -> Response<Body> {
    let body: Value = json!({"error": error, "message": message});
    json_answer(status, &body)
}
