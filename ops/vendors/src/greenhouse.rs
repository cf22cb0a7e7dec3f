//! Greenhouse's job boards: jobs with their questions for anybody, applications for who has the board's key.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::form::Form;
use crate::served::Served;

pub const CONTRACT: &str = include_str!("../contracts/greenhouse.json");
/// Files that it takes.
const FILES: [&str; 5] = ["pdf", "doc", "docx", "txt", "rtf"];

/// An application that arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub board: String,
    pub job: u64,
    pub form: Form,
}

pub struct Greenhouse {
    pub served: Served,
    state: Arc<Store>,
}

#[derive(Default)]
struct Store {
    keys: Mutex<BTreeMap<String, String>>,
    jobs: Mutex<BTreeMap<(String, u64), Value>>,
    received: Mutex<Vec<Received>>,
}

impl Greenhouse {
    pub async fn start() -> std::io::Result<Self> {
        Self::start_at(0).await
    }

    pub async fn start_at(port: u16) -> std::io::Result<Self> {
        let state = Arc::new(Store::default());
        let routes = Router::new().route("/v1/boards/{board}/jobs/{job}", get(job).post(apply));
        let served = Served::start(CONTRACT, routes.with_state(Arc::clone(&state)), port).await?;
        Ok(Self { served, state })
    }

    /// A board with the key of its employer.
    pub fn board(&self, board: &str, key: &str) {
        self.state.keys.lock().insert(board.to_owned(), key.to_owned());
    }

    /// A job as the contract has it, in place of one with its id.
    pub fn put_job(&self, board: &str, job: Value) {
        let id = job["id"].as_u64().expect("a job has an id");
        self.state.jobs.lock().insert((board.to_owned(), id), job);
    }

    pub fn close(&self, board: &str, job: u64) {
        self.state.jobs.lock().remove(&(board.to_owned(), job));
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().clone()
    }
}

/// A job that asks for name, addresses, a résumé, and what the employer wants to know.
pub fn sample_job(board: &str, id: u64, questions: &[Value]) -> Value {
    let field = |label: &str, name: &str, kind: &str, required: bool| {
        json!({
            "required": required, "label": label, "fields": [{ "name": name, "type": kind, "values": [] }],
        })
    };
    let mut all = vec![
        field("First Name", "first_name", "input_text", true),
        field("Last Name", "last_name", "input_text", true),
        field("Email", "email", "input_text", true),
        field("Phone", "phone", "input_text", false),
        json!({ "required": true, "label": "Resume/CV", "fields": [
            { "name": "resume", "type": "input_file", "values": [] }, { "name": "resume_text", "type": "textarea", "values": [] },
        ] }),
    ];
    all.extend(questions.iter().cloned());
    json!({
        "id": id, "title": "Senior Gardener", "updated_at": "2026-01-14T10:55:28-05:00", "requisition_id": "50",
        "location": { "name": "Berlin" }, "absolute_url": format!("https://boards.greenhouse.io/{board}/jobs/{id}"),
        "internal_job_id": 144_381, "content": "&lt;p&gt;Grow things.&lt;/p&gt;", "metadata": null,
        "company_name": "Green Ltd", "questions": all, "location_questions": [], "data_compliance": [],
    })
}

fn refusal(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "status": status.as_u16(), "error": error }))).into_response()
}

async fn job(State(state): State<Arc<Store>>, Path((board, job)): Path<(String, String)>) -> Response {
    let found = job.parse().ok().and_then(|id: u64| state.jobs.lock().get(&(board, id)).cloned());
    found.map_or_else(|| refusal(StatusCode::NOT_FOUND, "Job not found"), |job| Json(job).into_response())
}

async fn apply(
    State(state): State<Arc<Store>>,
    Path((board, job)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let held = state.keys.lock().get(&board).map(|key| format!("Basic {}", STANDARD.encode(format!("{key}:"))));
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if held.is_none() || given != held.as_deref() {
        return refusal(StatusCode::UNAUTHORIZED, "HTTP Basic: Access denied.");
    }
    let id: u64 = job.parse().unwrap_or_default();
    if !state.jobs.lock().contains_key(&(board.clone(), id)) {
        return refusal(StatusCode::NOT_FOUND, "Job not found");
    }
    let Ok(form) = Form::read(&headers, body).await else {
        return refusal(StatusCode::BAD_REQUEST, "The form cannot be read");
    };
    if let Some(problem) = problem(&form) {
        return refusal(StatusCode::UNPROCESSABLE_ENTITY, &problem);
    }
    // Answers that a job requires are not looked for: whoever sends it has to.
    state.received.lock().push(Received { board, job: id, form });
    Json(json!({ "success": "Candidate saved successfully" })).into_response()
}

/// What its documentation says that it looks at.
fn problem(form: &Form) -> Option<String> {
    for name in ["first_name", "last_name", "email"] {
        let value = form.text(name).unwrap_or_default();
        if value.trim().is_empty() || value.chars().count() > 255 {
            return Some(format!("Invalid attributes: {name}"));
        }
        if value.contains("http://") || value.contains("https://") {
            return Some(format!("{name} must not contain a URL"));
        }
    }
    if !form.text("email").is_some_and(|email| email.contains('@')) {
        return Some("Invalid attributes: email".to_owned());
    }
    form.files.iter().find_map(|file| {
        let kind = file.filename.rsplit_once('.').map(|(_, kind)| kind.to_ascii_lowercase()).unwrap_or_default();
        (!FILES.contains(&kind.as_str()) || file.bytes.is_empty())
            .then(|| format!("Invalid attributes: {}: unsupported file type", file.name))
    })
}
