//! The way through an application: opening a page, sending it, and the confirmation.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::browse::refused;
use super::gates;
use super::guarded::{Asked, turned_away};
use super::session::{self, VisitQuery, sent_before, user_agent, with_visit};
use super::{Site, html, model, not_found};
use crate::body::{self, BodyError, SentForm};
use crate::bounds;
use crate::check::Errors;
use crate::flow::{self, Decision};
use crate::gate;
use crate::model::twist::Twist;
use crate::model::{FormModel, PageOf};
use crate::oracle::{Application, Submission};
use crate::render::form::{self, PageView, link};
use crate::render::gate::Note;
use crate::render::outcome;
use crate::visit::Visit;

pub async fn open(
    State(site): State<Arc<Site>>,
    Path((form, seed)): Path<(String, String)>,
    Query(query): Query<VisitQuery>,
    headers: HeaderMap,
) -> Response {
    match model(&form, &seed) {
        Some(model) => opened(&site, &model, 1, query, &headers),
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
        (Some(model), Ok(number)) => opened(&site, &model, number, query, &headers),
        _ => not_found(),
    }
}

/// A page of a visit that goes on, or of a new one when it is the first page.
fn opened(site: &Site, model: &FormModel, number: usize, query: VisitQuery, headers: &HeaderMap) -> Response {
    if let Some(response) = turned_away(site, model, Asked::Form, headers).or_else(|| closed(model, number)) {
        return response;
    }
    let Some(at) = model.page(number) else {
        return not_found();
    };
    let known = session::asked(model, headers, query);
    if let Some(sent) = known.as_deref().and_then(|token| sent_before(site, model, token)) {
        return html(StatusCode::OK, outcome::already_applied(model, &sent.reference));
    }
    if let Some(visit) = known.and_then(|token| session::visit(site, model, &token)) {
        return if gate::before_form(model, &visit).is_some() {
            gates::shown(model, &visit, Note::Nothing)
        } else if number > visit.pages_done + 1 {
            Redirect::to(&link(model, visit.pages_done + 1, &visit)).into_response()
        } else {
            shown(at, &visit, &Errors::new(), None)
        };
    }
    if number > 1 {
        return html(StatusCode::GONE, outcome::expired(model));
    }
    let token = site.visits.lock().open(model.form, model.seed);
    if matches!(model.twist, Twist::Login(_))
        && session::has_account(site, headers)
        && let Some(visit) = site.visits.lock().get(&token, model.form, model.seed)
    {
        (visit.signed_in, visit.came_signed_in) = (true, true);
    }
    match session::visit(site, model, &token) {
        Some(visit) if gate::before_form(model, &visit).is_some() => {
            with_visit(model, &visit, gates::shown(model, &visit, Note::Nothing))
        }
        Some(visit) => with_visit(model, &visit, shown(at, &visit, &Errors::new(), None)),
        None => html(StatusCode::GONE, outcome::expired(model)),
    }
}

/// The answer of a form that takes no applications, which has a first page only.
fn closed(model: &FormModel, number: usize) -> Option<Response> {
    let Twist::Closed(closure) = &model.twist else {
        return None;
    };
    let status = if closure.gone { StatusCode::GONE } else { StatusCode::OK };
    (number == 1).then(|| html(status, outcome::closed(model, closure)))
}

pub async fn send(
    State(site): State<Arc<Site>>,
    Path((form, seed, page)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let (Some(model), Ok(number)) = (model(&form, &seed), page.parse()) else {
        return not_found();
    };
    let headers = request.headers().clone();
    if let Some(response) = turned_away(&site, &model, Asked::Form, &headers).or_else(|| closed(&model, number)) {
        return response;
    }
    let Some(at) = model.page(number) else {
        return not_found();
    };
    let sent = match read(&site, request).await {
        Ok(sent) => sent,
        Err(error) => return refused(&error),
    };
    let token = session::named(&model, &headers, &sent);
    let Some(token) = token else {
        return html(StatusCode::GONE, outcome::expired(&model));
    };
    if let Some(first) = sent_before(&site, &model, &token) {
        return sent_again(&site, at, &first, sent, &headers).await;
    }
    let decided = {
        let mut visits = site.visits.lock();
        visits.get(&token, model.form, model.seed).map(|visit| {
            let admitted = gate::before_form(&model, visit).is_none();
            let decision = admitted.then(|| flow::advance(at, visit, sent));
            (decision, visit.clone())
        })
    };
    let Some((decision, visit)) = decided else {
        return html(StatusCode::GONE, outcome::expired(&model));
    };
    match decision {
        Some(decision) => answered(&site, at, &visit, decision, &headers).await,
        // Nobody gets past the gate by sending the form.
        None => gates::shown(&model, &visit, Note::Nothing),
    }
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
            // The posting would hold itself as its own frame.
            let framed = matches!(model.twist, Twist::Frame(_));
            let to = if framed { format!("{}/apply", model.posting_path()) } else { model.posting_path() };
            Redirect::to(&to).into_response()
        }
        Decision::Gate(gate) => gates::begin(site, model, visit, gate),
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
pub async fn submitted(site: &Site, model: &FormModel, submission: Submission) -> Response {
    let application = match site.received.submit(submission).await {
        Ok(application) => application,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "an application was lost");
            let page = outcome::problem("Something went wrong", "Your application was not sent. Please try again.");
            return html(StatusCode::INTERNAL_SERVER_ERROR, page);
        }
    };
    if let Twist::Double(slow) = &model.twist {
        // It was taken at once; only the answer is slow, and whoever sends again meanwhile has applied twice.
        tokio::time::sleep(Duration::from_millis(slow.after_ms.into())).await;
    } else if application.duplicate {
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

/// The part of a page that its script asks for.
pub async fn part(
    State(site): State<Arc<Site>>,
    Path((form, seed)): Path<(String, String)>,
    Query(query): Query<VisitQuery>,
    headers: HeaderMap,
) -> Response {
    let Some(model) = model(&form, &seed) else {
        return not_found();
    };
    let visit = session::asked(&model, &headers, query).and_then(|token| session::visit(&site, &model, &token));
    let (Twist::Late(lateness), Some(at), Some(visit)) = (&model.twist, model.page(1), visit) else {
        return not_found();
    };
    if lateness.by_server {
        tokio::time::sleep(Duration::from_millis(lateness.after_ms.into())).await;
    }
    let part = form::later(&PageView { at, visit: &visit, errors: &visit.errors, notice: None }, lateness);
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, part).into_response()
}
