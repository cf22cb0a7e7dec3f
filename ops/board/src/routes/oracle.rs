//! The oracle over HTTP, for tests that are not in this process.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Site, not_found};
use crate::credentials::Credentials;
use crate::expect::Expectation;
use crate::gate::{self, Gate};
use crate::guard::Blocks;
use crate::inbox::Mail;
use crate::model::twist::Twist;
use crate::model::{FormKind, FormModel};
use crate::oracle::{Application, DecoyUses, Filter};
use crate::visit::{Visit, VisitState};

pub async fn applications(State(site): State<Arc<Site>>, Query(filter): Query<Filter>) -> Json<Vec<Application>> {
    Json(site.received.list(&filter))
}

pub async fn application(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Response {
    match id.parse::<Uuid>().ok().and_then(|id| site.received.get(id)) {
        Some(application) => Json(application).into_response(),
        None => not_found(),
    }
}

/// The content of a received file, while it is kept.
pub async fn file(State(site): State<Arc<Site>>, Path((id, meaning)): Path<(String, String)>) -> Response {
    let application = id.parse::<Uuid>().ok().and_then(|id| site.received.get(id));
    let file =
        application.iter().flat_map(|application| &application.files).find(|file| file.meaning.as_str() == meaning);
    let Some(file) = file else {
        return not_found();
    };
    match file.content() {
        Some(content) => {
            let octets = HeaderValue::from_static("application/octet-stream");
            ([(CONTENT_TYPE, octets)], content).into_response()
        }
        None => (StatusCode::GONE, "only hash and size of this file were kept").into_response(),
    }
}

#[derive(Serialize)]
pub struct VisitRecord {
    #[serde(flatten)]
    state: VisitState,
    submissions: u32,
}

/// Open visits with the number of times that each sent its application.
pub async fn visits(State(site): State<Arc<Site>>, Query(filter): Query<Filter>) -> Json<Vec<VisitRecord>> {
    let states = site.visits.lock().states();
    let records = states
        .into_iter()
        .filter(|state| filter.admits(state.form, state.seed, &state.visit))
        .map(|state| VisitRecord { submissions: site.received.submissions(&state.visit), state })
        .collect();
    Json(records)
}

pub async fn decoys(State(site): State<Arc<Site>>) -> Json<DecoyUses> {
    Json(site.received.decoy_uses())
}

pub async fn expect(Path((form, seed)): Path<(String, String)>) -> Response {
    match (FormKind::parse(&form), seed.parse()) {
        (Some(form), Ok(seed)) => Json(Expectation::of(form, seed)).into_response(),
        _ => not_found(),
    }
}

/// What this visit has to read at its human check.
pub async fn check(State(site): State<Arc<Site>>, Path(visit): Path<String>) -> Response {
    match site.check(&visit) {
        Some(check) => Json(check).into_response(),
        None => not_found(),
    }
}

/// The same for all visits of a form, the one that was used last at the end.
pub async fn checks(State(site): State<Arc<Site>>, Path((form, seed)): Path<(String, String)>) -> Response {
    match (FormKind::parse(&form), seed.parse()) {
        (Some(form), Ok(seed)) => Json(site.checks(form, seed)).into_response(),
        _ => not_found(),
    }
}

#[derive(Deserialize)]
pub struct Address {
    email: Option<String>,
}

pub async fn inbox(State(site): State<Arc<Site>>, Query(address): Query<Address>) -> Json<Vec<Mail>> {
    Json(site.inbox.lock().to(address.email.as_deref()))
}

#[derive(Deserialize)]
pub struct Since {
    email: Option<String>,
    since: Option<DateTime<Utc>>,
}

/// The inbox as a worker's hook: the code of the newest mail, or 204 while none has come since then.
pub async fn latest_code(State(site): State<Arc<Site>>, Query(asked): Query<Since>) -> Response {
    let mails = site.inbox.lock().to(asked.email.as_deref());
    match mails.last().filter(|mail| asked.since.is_none_or(|since| mail.sent_at >= since)) {
        Some(mail) => Json(serde_json::json!({ "code": mail.code })).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

pub async fn login(Path(seed): Path<String>) -> Response {
    match seed.parse() {
        Ok(seed) => Json(Credentials::of(seed)).into_response(),
        Err(_) => not_found(),
    }
}

pub async fn blocks(State(site): State<Arc<Site>>) -> Json<Blocks> {
    Json(site.blocks.lock().clone())
}

/// A visit in front of the human check, and what would let it pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenCheck {
    pub visit: String,
    pub form: FormKind,
    pub seed: u32,
    pub answer: String,
    pub wrong_answers: u32,
}

impl OpenCheck {
    fn of(visit: &Visit) -> Option<Self> {
        let model = FormModel::draw(visit.form, visit.seed);
        let Twist::Check(check) = &model.twist else {
            return None;
        };
        (gate::now(&model, visit) == Some(Gate::Check)).then(|| Self {
            visit: visit.token.clone(),
            form: visit.form,
            seed: visit.seed,
            answer: gate::letters(check, visit).text,
            wrong_answers: visit.wrong_answers,
        })
    }
}

impl Site {
    pub fn check(&self, visit: &str) -> Option<OpenCheck> {
        let visit = self.visits.lock().look_up(visit).cloned();
        visit.as_ref().and_then(OpenCheck::of)
    }

    pub fn checks(&self, form: FormKind, seed: u32) -> Vec<OpenCheck> {
        let visits: Vec<Visit> = self.visits.lock().of(form, seed).into_iter().cloned().collect();
        visits.iter().filter_map(OpenCheck::of).collect()
    }
}
