//! The addresses of the board. Handlers read the request, ask the visit's flow or the oracle, and answer a page.

mod apply;
mod bad;
mod browse;
mod gates;
mod guarded;
mod oracle;
mod session;

pub use oracle::OpenCheck;

use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use crate::body;
use crate::bounds;
use crate::guard::Blocks;
use crate::inbox::Inbox;
use crate::model::{FormKind, FormModel};
use crate::oracle::Received;
use crate::render::outcome;
use crate::upload::Budget;
use crate::visit::Visits;

/// What all requests share.
pub struct Site {
    pub received: Received,
    pub listed_postings: u32,
    /// Tells pages that are sent slowly that the board stops.
    pub stopping: watch::Sender<bool>,
    pub visits: Mutex<Visits>,
    pub inbox: Mutex<Inbox>,
    pub blocks: Mutex<Blocks>,
    /// Known to this board only, as long as it runs.
    secret: Uuid,
    budget: Budget,
    uploads: Semaphore,
    bad_pages: Arc<Semaphore>,
}

impl Site {
    pub fn new(received: Received, listed_postings: u32) -> Self {
        Self {
            received,
            listed_postings,
            stopping: watch::Sender::new(false),
            visits: Mutex::new(Visits::new(bounds::MAX_VISITS)),
            inbox: Mutex::new(Inbox::new(bounds::MAX_MAILS)),
            blocks: Mutex::default(),
            secret: Uuid::new_v4(),
            budget: Budget::new(bounds::MAX_RETAINED_FILE_BYTES),
            uploads: Semaphore::new(bounds::MAX_CONCURRENT_UPLOADS),
            bad_pages: Arc::new(Semaphore::new(bounds::MAX_OPEN_BAD_PAGES)),
        }
    }

    /// What a browser holds that signed in.
    pub fn account(&self) -> String {
        Uuid::new_v5(&self.secret, b"account").simple().to_string()
    }
}

pub fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(browse::list))
        .route("/search", get(browse::search))
        .route("/language", get(browse::language))
        .route("/login", get(browse::login))
        .route("/newsletter", get(browse::newsletter_form).post(browse::newsletter))
        .route("/jobs/bad/{what}", get(bad::page))
        .route("/jobs/{form}/{seed}", get(browse::posting))
        .route("/jobs/{form}/{seed}/apply", get(apply::open))
        .route("/jobs/{form}/{seed}/apply/{page}", get(apply::show).post(apply::send).layer(body::limit()))
        .route("/jobs/{form}/{seed}/confirmation/{reference}", get(apply::confirmation))
        .route("/jobs/{form}/{seed}/embed", get(browse::embedded))
        .route("/jobs/{form}/{seed}/part", get(apply::part))
        .route("/jobs/{form}/{seed}/picture", get(gates::picture))
        .route("/jobs/{form}/{seed}/clearance", post(guarded::clear).layer(body::small_limit()))
        .route("/jobs/{form}/{seed}/{gate}", get(gates::show).post(gates::answer).layer(body::small_limit()))
        .route("/_oracle/applications", get(oracle::applications))
        .route("/_oracle/applications/{id}", get(oracle::application))
        .route("/_oracle/applications/{id}/files/{meaning}", get(oracle::file))
        .route("/_oracle/visits", get(oracle::visits))
        .route("/_oracle/decoys", get(oracle::decoys))
        .route("/_oracle/expect/{form}/{seed}", get(oracle::expect))
        .route("/_oracle/check/{visit}", get(oracle::check))
        .route("/_oracle/check/{form}/{seed}", get(oracle::checks))
        .route("/_oracle/inbox", get(oracle::inbox))
        .route("/_oracle/inbox/code", get(oracle::latest_code))
        .route("/_oracle/login/{seed}", get(oracle::login))
        .route("/_oracle/blocks", get(oracle::blocks))
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
                 img-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'",
            ),
        ),
    ];
    (status, headers, page).into_response()
}

fn not_found() -> Response {
    let page = outcome::problem("Page not found", "There is no such job or page on this board.");
    html(StatusCode::NOT_FOUND, page)
}
