//! The pages before the form or before its end: showing them, and taking what they send.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::apply::submitted;
use super::browse::refused;
use super::session::{self, VisitQuery};
use super::{Site, html, model, not_found};
use crate::body;
use crate::bounds;
use crate::flow;
use crate::gate::{self, Gate, Verdict};
use crate::inbox::Mail;
use crate::meaning::Meaning;
use crate::model::FormModel;
use crate::model::twist::{EmailCode, Twist};
use crate::render::form::{link, within};
use crate::render::gate::{Note, page};
use crate::render::outcome;
use crate::upload::Budget;
use crate::visit::Visit;

pub async fn show(
    State(site): State<Arc<Site>>,
    Path((form, seed, gate)): Path<(String, String, String)>,
    Query(query): Query<VisitQuery>,
    headers: HeaderMap,
) -> Response {
    let (Some(model), Some(gate)) = (model(&form, &seed), Gate::parse(&gate)) else {
        return not_found();
    };
    let token = session::asked(&model, &headers, query);
    if let Some(sent) = token.as_deref().and_then(|token| session::sent_before(&site, &model, token)) {
        return html(StatusCode::OK, outcome::already_applied(&model, &sent.reference));
    }
    match token.and_then(|token| session::visit(&site, &model, &token)) {
        Some(visit) if gate::now(&model, &visit) == Some(gate) => shown(&model, &visit, Note::Nothing),
        Some(visit) => elsewhere(&model, &visit),
        None => Redirect::to(&format!("{}/apply", model.posting_path())).into_response(),
    }
}

/// The page of the gate that this visit stands before.
pub fn shown(model: &FormModel, visit: &Visit, note: Note) -> Response {
    let status = match &model.twist {
        Twist::Login(sign_in) if note == Note::Wrong && sign_in.refused_with_401 => StatusCode::UNAUTHORIZED,
        _ => StatusCode::OK,
    };
    html(status, page(model, visit, note))
}

/// Where a visit belongs that has no business at this gate.
fn elsewhere(model: &FormModel, visit: &Visit) -> Response {
    let to = match gate::now(model, visit) {
        Some(gate) => within(model, visit, &model.gate_path(gate)),
        None => link(model, 1, visit),
    };
    Redirect::to(&to).into_response()
}

pub async fn answer(
    State(site): State<Arc<Site>>,
    Path((form, seed, gate)): Path<(String, String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let (Some(model), Some(gate)) = (model(&form, &seed), Gate::parse(&gate)) else {
        return not_found();
    };
    // These pages have no files.
    let sent = match body::read(request, &Budget::new(0), bounds::BODY_TIMEOUT).await {
        Ok(sent) => sent,
        Err(error) => return refused(&error),
    };
    let Some(token) = session::named(&model, &headers, &sent) else {
        return html(StatusCode::GONE, outcome::expired(&model));
    };
    if let Some(before) = session::sent_before(&site, &model, &token) {
        return html(StatusCode::OK, outcome::already_applied(&model, &before.reference));
    }
    let judged = {
        let mut visits = site.visits.lock();
        visits.get(&token, model.form, model.seed).map(|visit| {
            let stands_here = gate::now(&model, visit) == Some(gate);
            let verdict = stands_here.then(|| gate::answer(&model, visit, &sent));
            (verdict, visit.clone())
        })
    };
    match judged {
        Some((Some(verdict), visit)) => judged_as(&site, &model, visit, verdict, &headers).await,
        Some((None, visit)) => elsewhere(&model, &visit),
        None => html(StatusCode::GONE, outcome::expired(&model)),
    }
}

async fn judged_as(site: &Site, model: &FormModel, visit: Visit, verdict: Verdict, headers: &HeaderMap) -> Response {
    match verdict {
        Verdict::Enter => {
            let response = Redirect::to(&link(model, 1, &visit)).into_response();
            if visit.signed_in { session::with_account(site, response) } else { response }
        }
        Verdict::Complete => {
            let submission = flow::submission(model, &visit, session::user_agent(headers));
            submitted(site, model, submission).await
        }
        Verdict::Wrong => shown(model, &visit, Note::Wrong),
        Verdict::UsedUp => shown(model, &visit, Note::UsedUp),
        Verdict::NotSent => shown(model, &visit, Note::NotSent),
        Verdict::Resend => {
            let visit = send_code(site, model, &visit.token).unwrap_or(visit);
            shown(model, &visit, Note::SentAgain)
        }
    }
}

/// A form that was sent and does not count yet: leads to what stands before its end.
pub fn begin(site: &Site, model: &FormModel, visit: &Visit, gate: Gate) -> Response {
    // Who sends the form again and again gets no more codes than who asks for them.
    if gate == Gate::Code && visit.code.as_ref().map_or(0, |code| code.sent) < bounds::MAX_CODES_PER_VISIT {
        send_code(site, model, &visit.token);
    }
    Redirect::to(&within(model, visit, &model.gate_path(gate))).into_response()
}

/// Puts a new code into the inbox, and gives the visit that has to know it.
fn send_code(site: &Site, model: &FormModel, token: &str) -> Option<Visit> {
    let Twist::Code(rules) = &model.twist else {
        return None;
    };
    let (code, visit) = {
        let mut visits = site.visits.lock();
        let visit = visits.get(token, model.form, model.seed)?;
        (gate::issue_code(rules, visit), visit.clone())
    };
    site.inbox.lock().deliver(mail(site, model, rules, &visit, code));
    Some(visit)
}

fn mail(site: &Site, model: &FormModel, rules: &EmailCode, visit: &Visit, code: String) -> Mail {
    let to = visit.values.get(&Meaning::Email).map_or("", |email| email.trim());
    Mail {
        to: to.chars().take(bounds::MAX_ADDRESS_CHARS).collect(),
        subject: format!("Your {} for {}", rules.label.to_lowercase(), model.posting.company),
        text: format!("Please enter {code} to complete your application as {}.", model.posting.title),
        code,
        form: model.form,
        seed: model.seed,
        visit: visit.token.clone(),
        sent_at: site.received.now(),
    }
}

/// The letters that a visit has to read, as an image.
pub async fn picture(
    State(site): State<Arc<Site>>,
    Path((form, seed)): Path<(String, String)>,
    Query(query): Query<VisitQuery>,
    headers: HeaderMap,
) -> Response {
    let Some(model) = model(&form, &seed) else {
        return not_found();
    };
    let visit = session::asked(&model, &headers, query).and_then(|token| session::visit(&site, &model, &token));
    match (&model.twist, visit) {
        (Twist::Check(check), Some(visit)) if gate::now(&model, &visit) == Some(Gate::Check) => {
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static("image/svg+xml")),
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (headers, gate::letters(check, &visit).svg().to_owned()).into_response()
        }
        _ => not_found(),
    }
}
