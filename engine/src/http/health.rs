//! Is the engine alive, is it ready, what does it count, what does it offer.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use valet_protocol::api::Readiness;

use super::App;

/// A part that does not answer within this is away.
const PART_WAIT_MAX: Duration = Duration::from_secs(2);

/// The process runs.
#[utoipa::path(get, operation_id = "healthz", path = "/healthz", tag = "health", security(()), responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// Postgres and Redis answer; if not, which does not.
#[utoipa::path(get, operation_id = "readyz", path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Response {
    let postgres = tokio::time::timeout(PART_WAIT_MAX, app.engine.store.ping());
    let redis = tokio::time::timeout(PART_WAIT_MAX, app.engine.queue.epoch());
    let (postgres, redis) = tokio::join!(postgres, redis);
    let postgres = verdict(postgres.map(|r| r.map_err(|e| e.to_string())));
    let redis = verdict(redis.map(|r| r.map(drop).map_err(|e| e.to_string())));
    let ready = postgres == "ok" && redis == "ok";
    let paused = app.engine.holds.is_engine_paused();
    let body = Json(Readiness { ready, postgres, redis, paused });
    if ready {
        return body.into_response();
    }
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

fn verdict(answer: Result<Result<(), String>, tokio::time::error::Elapsed>) -> String {
    match answer {
        Ok(Ok(())) => "ok".to_owned(),
        Ok(Err(error)) => error,
        Err(_) => "no answer in time".to_owned(),
    }
}

/// Routes that the document itself does not list.
pub(super) fn undocumented() -> Router<Arc<App>> {
    Router::new().route("/metrics", get(metrics)).route("/api/v1/openapi.json", get(document))
}

async fn metrics(State(app): State<Arc<App>>) -> String {
    app.metrics.as_ref().map(metrics_exporter_prometheus::PrometheusHandle::render).unwrap_or_default()
}

async fn document() -> Response {
    Json(super::openapi()).into_response()
}
