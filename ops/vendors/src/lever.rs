//! Lever's postings: two applications a second, candidates merged by their e-mail address.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::form::Form;
use crate::limit::Limit;
use crate::served::Served;

pub const CONTRACT: &str = include_str!("../contracts/lever.json");
/// "more than 2 application POST requests per second" are answered with 429.
const POSTS_PER_S: u32 = 2;

#[derive(Clone, Debug)]
pub struct Received {
    pub site: String,
    pub posting: String,
    pub form: Form,
}

pub struct Lever {
    pub served: Served,
    state: Arc<Store>,
}

struct Store {
    keys: Mutex<BTreeMap<String, String>>,
    postings: Mutex<BTreeMap<(String, String), Value>>,
    /// Fields that the account requires besides name and address.
    required: Mutex<Vec<String>>,
    received: Mutex<Vec<Received>>,
    posts: Limit,
}

impl Lever {
    pub async fn start() -> std::io::Result<Self> {
        Self::start_at(0).await
    }

    pub async fn start_at(port: u16) -> std::io::Result<Self> {
        let state = Arc::new(Store {
            keys: Mutex::default(),
            postings: Mutex::default(),
            required: Mutex::default(),
            received: Mutex::default(),
            posts: Limit::new(POSTS_PER_S, f64::from(POSTS_PER_S)),
        });
        let routes = Router::new().route("/v0/postings/{site}/{posting}", get(posting).post(apply));
        let served = Served::start(CONTRACT, routes.with_state(Arc::clone(&state)), port).await?;
        Ok(Self { served, state })
    }

    pub fn site(&self, site: &str, key: &str) {
        self.state.keys.lock().insert(site.to_owned(), key.to_owned());
    }

    pub fn require(&self, field: &str) {
        self.state.required.lock().push(field.to_owned());
    }

    pub fn put_posting(&self, site: &str, id: &str) {
        let url = format!("https://jobs.lever.co/{site}/{id}");
        let posting = json!({
            "id": id, "text": "Senior Gardener", "categories": { "location": "Berlin", "team": "Garden" }, "country": "DE",
            "description": "<div>Grow things.</div>", "descriptionPlain": "Grow things.", "lists": [], "additional": "",
            "hostedUrl": url, "applyUrl": format!("{url}/apply"), "workplaceType": "onsite",
        });
        self.state.postings.lock().insert((site.to_owned(), id.to_owned()), posting);
    }

    pub fn close(&self, site: &str, id: &str) {
        self.state.postings.lock().remove(&(site.to_owned(), id.to_owned()));
    }

    /// Every application that it took, those merged into a known candidate included.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().clone()
    }

    /// Candidates: applications with one e-mail address are one's.
    pub fn candidates(&self) -> usize {
        let received = self.state.received.lock();
        let mut emails: Vec<&str> = received.iter().filter_map(|one| one.form.text("email")).collect();
        emails.sort_unstable();
        emails.dedup();
        emails.len()
    }
}

fn refusal(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "ok": false, "error": error }))).into_response()
}

async fn posting(State(state): State<Arc<Store>>, Path(at): Path<(String, String)>) -> Response {
    let found = state.postings.lock().get(&at).cloned();
    found.map_or_else(|| refusal(StatusCode::NOT_FOUND, "Document not found"), |posting| Json(posting).into_response())
}

async fn apply(
    State(state): State<Arc<Store>>,
    Path((site, posting)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let held = state.keys.lock().get(&site).cloned();
    if held.is_none() || query.get("key") != held.as_ref() {
        return refusal(StatusCode::UNAUTHORIZED, "Invalid API key");
    }
    if state.posts.take(&site).is_err() {
        return refusal(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
    }
    if !state.postings.lock().contains_key(&(site.clone(), posting.clone())) {
        return refusal(StatusCode::NOT_FOUND, "Posting not found");
    }
    let Ok(form) = Form::read(&headers, body).await else {
        return refusal(StatusCode::BAD_REQUEST, "The form cannot be read");
    };
    let given = |name: &str| form.text(name).is_some_and(|text| !text.is_empty()) || form.file(name).is_some();
    let required: Vec<String> =
        ["name", "email"].map(str::to_owned).into_iter().chain(state.required.lock().clone()).collect();
    if let Some(missing) = required.iter().find(|name| !given(name)) {
        return refusal(StatusCode::BAD_REQUEST, &format!("Missing required field: {missing}"));
    }
    state.received.lock().push(Received { site, posting, form });
    Json(json!({ "ok": true, "applicationId": uuid::Uuid::new_v4().to_string() })).into_response()
}
