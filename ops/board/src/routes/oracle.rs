//! The oracle over HTTP, for tests that are not in this process.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use uuid::Uuid;

use super::{Site, not_found};
use crate::expect::Expectation;
use crate::model::FormKind;
use crate::oracle::{Application, DecoyUses, Filter};
use crate::visit::VisitState;

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
