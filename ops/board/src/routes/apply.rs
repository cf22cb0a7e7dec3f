//! The way through an application: opening a page, sending it, and the confirmation.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::browse::refused;
use super::{Site, html, model, not_found};
use crate::body::{self, BodyError, SentForm};
use crate::bounds;
use crate::check::Errors;
use crate::flow::{self, Decision};
use crate::model::{FormModel, PageOf};
use crate::oracle::{Application, Submission};
use crate::render::form::{self, PageView, link};
use crate::render::outcome;
use crate::visit::Visit;

#[derive(Deserialize)]
pub struct VisitQuery {
    visit: Option<String>,
}

pub async fn open(
    State(site): State<Arc<Site>>,
    Path((form, seed)): Path<(String, String)>,
    Query(query): Query<VisitQuery>,
    headers: HeaderMap,
) -> Response {
    match model(&form, &seed) {
        Some(model) => opened(&site, &model, 1, query.visit, &headers),
        None => not_found(),
    }
}

pub async fn show(
    State(site): State<Arc<Site>>,
    Path((form, seed, page)): Path<(String, String, String)>,
    Query(query): Query<VisitQuery>,
    headers: HeaderMap,
) -> Response {
    match (model(&form, &seed), page.parse()) {
        (Some(model), Ok(number)) => opened(&site, &model, number, query.visit, &headers),
        _ => not_found(),
    }
}

/// A page of a visit that goes on, or of a new one when it is the first page.
fn opened(site: &Site, model: &FormModel, number: usize, asked: Option<String>, headers: &HeaderMap) -> Response {
    let Some(at) = model.page(number) else {
        return not_found();
    };
    let known = if model.behaviour.cookie { cookie(model, headers) } else { asked };
    if let Some(sent) = known.as_deref().and_then(|token| sent_before(site, model, token)) {
        return html(StatusCode::OK, outcome::already_applied(model, &sent.reference));
    }
    let mut visits = site.visits.lock();
    if let Some(visit) = known.and_then(|token| visits.get(&token, model.form, model.seed).cloned()) {
        drop(visits);
        return if number > visit.pages_done + 1 {
            Redirect::to(&link(model, visit.pages_done + 1, &visit)).into_response()
        } else {
            shown(at, &visit, &Errors::new(), None)
        };
    }
    if number > 1 {
        return html(StatusCode::GONE, outcome::expired(model));
    }
    let token = visits.open(model.form, model.seed);
    let visit = visits.get(&token, model.form, model.seed).cloned();
    drop(visits);
    match visit {
        Some(visit) => with_cookie(model, &visit, shown(at, &visit, &Errors::new(), None)),
        None => html(StatusCode::GONE, outcome::expired(model)),
    }
}

pub async fn send(
    State(site): State<Arc<Site>>,
    Path((form, seed, page)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let (Some(model), Ok(number)) = (model(&form, &seed), page.parse()) else {
        return not_found();
    };
    let Some(at) = model.page(number) else {
        return not_found();
    };
    let headers = request.headers().clone();
    let sent = match read(&site, request).await {
        Ok(sent) => sent,
        Err(error) => return refused(&error),
    };
    let token = if model.behaviour.cookie {
        cookie(&model, &headers)
    } else {
        sent.value(model.behaviour.visit_name).map(str::to_owned)
    };
    let Some(token) = token else {
        return html(StatusCode::GONE, outcome::expired(&model));
    };
    if let Some(first) = sent_before(&site, &model, &token) {
        return sent_again(&site, at, &first, sent, &headers).await;
    }
    let decided = {
        let mut visits = site.visits.lock();
        visits.get(&token, model.form, model.seed).map(|visit| {
            let decision = flow::advance(at, visit, sent);
            (decision, visit.clone())
        })
    };
    let Some((decision, visit)) = decided else {
        return html(StatusCode::GONE, outcome::expired(&model));
    };
    answered(&site, at, &visit, decision, &headers).await
}

async fn answered(site: &Site, at: PageOf<'_>, visit: &Visit, decision: Decision, headers: &HeaderMap) -> Response {
    let model = at.model;
    match decision {
        Decision::Refused { errors, files_lost } => {
            let notice = files_lost.then_some("Please attach your files again.");
            let mut response = shown(at, visit, &errors, notice);
            if model.behaviour.refused_with_422 {
                *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            }
            response
        }
        Decision::Draft => {
            site.received.count_decoy(|uses| &mut uses.draft);
            shown(at, visit, &Errors::new(), Some("Your draft has been saved."))
        }
        Decision::Goto(number) => Redirect::to(&link(model, number, visit)).into_response(),
        Decision::Cancel => {
            site.received.count_decoy(|uses| &mut uses.cancel);
            Redirect::to(&model.posting_path()).into_response()
        }
        Decision::Send => {
            let submission = flow::submission(model, visit, user_agent(headers));
            submitted(site, model, submission).await
        }
    }
}

/// A page of a visit whose application was taken before. Sending the last page again is an attempt that counts.
async fn sent_again(site: &Site, at: PageOf<'_>, first: &Application, sent: SentForm, headers: &HeaderMap) -> Response {
    let model = at.model;
    let by_button = sent.value(model.behaviour.intent_name).is_some();
    if !at.is_last() || by_button {
        return html(StatusCode::OK, outcome::already_applied(model, &first.reference));
    }
    let visit = {
        let mut visits = site.visits.lock();
        if visits.get(&first.visit, model.form, model.seed).is_none() {
            visits.open_as(first.visit.clone(), model.form, model.seed);
        }
        visits.get(&first.visit, model.form, model.seed).map(|visit| {
            flow::merge(at, visit, sent);
            visit.clone()
        })
    };
    match visit {
        Some(visit) => submitted(site, model, flow::submission(model, &visit, user_agent(headers))).await,
        None => html(StatusCode::GONE, outcome::expired(model)),
    }
}

/// Hands the application over and confirms it. One that fell into the trap is confirmed like any other.
async fn submitted(site: &Site, model: &FormModel, submission: Submission) -> Response {
    let application = match site.received.submit(submission).await {
        Ok(application) => application,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "an application was lost");
            let page = outcome::problem("Something went wrong", "Your application was not sent. Please try again.");
            return html(StatusCode::INTERNAL_SERVER_ERROR, page);
        }
    };
    if application.duplicate {
        let first = site.received.first_of(&application.visit).unwrap_or(application);
        return html(StatusCode::OK, outcome::already_applied(model, &first.reference));
    }
    if model.behaviour.confirms_by_redirect {
        let path = format!("{}/confirmation/{}", model.posting_path(), application.reference);
        Redirect::to(&path).into_response()
    } else {
        html(StatusCode::OK, outcome::confirmation(model, &application.reference))
    }
}

pub async fn confirmation(
    State(site): State<Arc<Site>>,
    Path((form, seed, reference)): Path<(String, String, String)>,
) -> Response {
    let Some(model) = model(&form, &seed) else {
        return not_found();
    };
    match site.received.by_reference(model.form, model.seed, &reference) {
        Some(application) => html(StatusCode::OK, outcome::confirmation(&model, &application.reference)),
        None => not_found(),
    }
}

async fn read(site: &Site, request: Request) -> Result<SentForm, BodyError> {
    let turn =
        tokio::time::timeout(bounds::BODY_TIMEOUT, site.uploads.acquire()).await.map_err(|_| BodyError::Timeout)?;
    let form = body::read(request, &site.budget, bounds::BODY_TIMEOUT).await;
    drop(turn);
    form
}

fn shown(at: PageOf, visit: &Visit, errors: &Errors, notice: Option<&str>) -> Response {
    let page = form::page(&PageView { at, visit, errors, notice });
    html(StatusCode::OK, page)
}

/// The first application of this visit, if it belongs to this form.
fn sent_before(site: &Site, model: &FormModel, token: &str) -> Option<Application> {
    site.received.first_of(token).filter(|application| application.form == model.form && application.seed == model.seed)
}

fn user_agent(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    agent.unwrap_or_default().chars().take(bounds::MAX_USER_AGENT_CHARS).collect()
}

fn cookie_name(model: &FormModel) -> String {
    format!("visit-{}-{}", model.form.as_str(), model.seed)
}

fn cookie(model: &FormModel, headers: &HeaderMap) -> Option<String> {
    let wanted = cookie_name(model);
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value.to_owned())
}

fn with_cookie(model: &FormModel, visit: &Visit, mut response: Response) -> Response {
    if model.behaviour.cookie {
        let cookie =
            format!("{}={}; Path={}; HttpOnly; SameSite=Lax", cookie_name(model), visit.token, model.posting_path());
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            response.headers_mut().insert(SET_COOKIE, value);
        }
    }
    response
}
