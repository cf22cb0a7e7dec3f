//! The addresses of the board. Handlers read the request, ask the visit's flow or the oracle, and answer a page.

mod apply;
mod browse;
mod oracle;

use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::body;
use crate::bounds;
use crate::model::{FormKind, FormModel};
use crate::oracle::Received;
use crate::render::outcome;
use crate::upload::Budget;
use crate::visit::Visits;

/// What all requests share.
pub struct Site {
    pub received: Received,
    pub listed_postings: u32,
    visits: Mutex<Visits>,
    budget: Budget,
    uploads: Semaphore,
}

impl Site {
    pub fn new(received: Received, listed_postings: u32) -> Self {
        Self {
            received,
            listed_postings,
            visits: Mutex::new(Visits::new(bounds::MAX_VISITS)),
            budget: Budget::new(bounds::MAX_RETAINED_FILE_BYTES),
            uploads: Semaphore::new(bounds::MAX_CONCURRENT_UPLOADS),
        }
    }
}

pub fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(browse::list))
        .route("/search", get(browse::search))
        .route("/language", get(browse::language))
        .route("/login", get(browse::login))
        .route("/newsletter", post(browse::newsletter))
        .route("/jobs/{form}/{seed}", get(browse::posting))
        .route("/jobs/{form}/{seed}/apply", get(apply::open))
        .route("/jobs/{form}/{seed}/apply/{page}", get(apply::show).post(apply::send).layer(body::limit()))
        .route("/jobs/{form}/{seed}/confirmation/{reference}", get(apply::confirmation))
        .route("/_oracle/applications", get(oracle::applications))
        .route("/_oracle/applications/{id}", get(oracle::application))
        .route("/_oracle/applications/{id}/files/{meaning}", get(oracle::file))
        .route("/_oracle/visits", get(oracle::visits))
        .route("/_oracle/decoys", get(oracle::decoys))
        .route("/_oracle/expect/{form}/{seed}", get(oracle::expect))
        .route("/healthz", get(|| async { "ok" }))
        .fallback(|| async { not_found() })
        .with_state(site)
}

/// The form of an address, or nothing when there is no such form or seed.
fn model(form: &str, seed: &str) -> Option<FormModel> {
    Some(FormModel::draw(FormKind::parse(form)?, seed.parse().ok()?))
}

fn html(status: StatusCode, page: String) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        // What somebody typed must not come back from a cache.
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Holds the promise that pages load nothing from elsewhere.
        (
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(
                "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                 form-action 'self'; base-uri 'none'",
            ),
        ),
    ];
    (status, headers, page).into_response()
}

fn not_found() -> Response {
    let page = outcome::problem("Page not found", "There is no such job or page on this board.");
    html(StatusCode::NOT_FOUND, page)
}
