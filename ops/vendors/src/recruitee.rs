//! Recruitee's careers sites, which take applications from anybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::form::Form;
use crate::served::Served;

pub const CONTRACT: &str = include_str!("../contracts/recruitee.json");

#[derive(Clone, Debug)]
pub struct Received {
    pub offer: String,
    pub form: Form,
}

/// One company's site.
pub struct Recruitee {
    pub served: Served,
    state: Arc<Store>,
}

#[derive(Default)]
struct Store {
    offers: Mutex<Vec<Value>>,
    received: Mutex<Vec<Received>>,
}

impl Recruitee {
    pub async fn start() -> std::io::Result<Self> {
        Self::start_at(0).await
    }

    pub async fn start_at(port: u16) -> std::io::Result<Self> {
        let state = Arc::new(Store::default());
        let routes = Router::new()
            .route("/api/offers/", get(offers))
            .route("/api/offers/{slug}/candidates", post(apply))
            .with_state(Arc::clone(&state));
        Ok(Self { served: Served::start(CONTRACT, routes, port).await?, state })
    }

    pub fn put_offer(&self, slug: &str, questions: &[Value]) {
        let offer = json!({
            "id": 1000, "slug": slug, "title": "Senior Gardener", "status": "published", "company_name": "Green Ltd",
            "careers_url": format!("https://green.recruitee.com/o/{slug}"), "options_phone": "required",
            "options_photo": "off", "options_cover_letter": "optional", "options_cv": "required",
            "open_questions": questions,
        });
        let mut offers = self.state.offers.lock();
        offers.retain(|known| known["slug"] != slug);
        offers.push(offer);
    }

    pub fn close(&self, slug: &str) {
        self.state.offers.lock().retain(|known| known["slug"] != slug);
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().clone()
    }
}

async fn offers(State(state): State<Arc<Store>>) -> Response {
    Json(json!({ "offers": *state.offers.lock() })).into_response()
}

async fn apply(State(state): State<Arc<Store>>, Path(slug): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(offer) = state.offers.lock().iter().find(|known| known["slug"] == slug.as_str()).cloned() else {
        return (StatusCode::NOT_FOUND, Json(json!({ "error": ["Offer not found"] }))).into_response();
    };
    let Ok(form) = Form::read(&headers, body).await else {
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": ["The form cannot be read"] })))
            .into_response();
    };
    let mut wrong: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, required) in [("name", true), ("email", true), ("phone", offer["options_phone"] == "required")] {
        let value = form.text(&format!("candidate[{name}]")).unwrap_or_default();
        if required && value.trim().is_empty() {
            wrong.insert(name.to_owned(), vec!["can't be blank"]);
        }
    }
    if offer["options_cv"] == "required" && form.file("candidate[cv]").is_none() {
        wrong.insert("cv".to_owned(), vec!["can't be blank"]);
    }
    let answered: Vec<&str> =
        form.texts.iter().filter(|(name, _)| name.ends_with("[open_question_id]")).map(|(_, id)| id.as_str()).collect();
    for question in offer["open_questions"].as_array().into_iter().flatten() {
        let id = question["id"].to_string();
        if question["required"] == true && !answered.contains(&id.as_str()) {
            wrong.insert(format!("open_question_{id}"), vec!["can't be blank"]);
        }
    }
    if !wrong.is_empty() {
        let said: Vec<String> = wrong.keys().map(|name| format!("{name} can't be blank")).collect();
        let body = json!({ "error": said, "error_fields": wrong });
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response();
    }
    let mut received = state.received.lock();
    received.push(Received { offer: slug, form });
    (StatusCode::CREATED, Json(json!({ "candidate": { "id": received.len() } }))).into_response()
}
