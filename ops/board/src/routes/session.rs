//! Who asks: the visit that a request names, by cookie or otherwise, and what it sent before.

use axum::http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use serde::Deserialize;

use super::Site;
use crate::body::SentForm;
use crate::bounds;
use crate::model::FormModel;
use crate::oracle::Application;
use crate::visit::Visit;

const ACCOUNT: &str = "account";

#[derive(Deserialize)]
pub struct VisitQuery {
    pub visit: Option<String>,
}

/// The visit of a request without a form.
pub fn asked(model: &FormModel, headers: &HeaderMap, query: VisitQuery) -> Option<String> {
    if model.behaviour.cookie { cookie(&cookie_name(model), headers) } else { query.visit }
}

/// The visit of a sent form.
pub fn named(model: &FormModel, headers: &HeaderMap, sent: &SentForm) -> Option<String> {
    if model.behaviour.cookie {
        cookie(&cookie_name(model), headers)
    } else {
        sent.value(model.behaviour.visit_name).map(str::to_owned)
    }
}

/// The first application of this visit, if it belongs to this form.
pub fn sent_before(site: &Site, model: &FormModel, token: &str) -> Option<Application> {
    site.received.first_of(token).filter(|application| application.form == model.form && application.seed == model.seed)
}

/// A copy of the visit as it is now.
pub fn visit(site: &Site, model: &FormModel, token: &str) -> Option<Visit> {
    site.visits.lock().get(token, model.form, model.seed).cloned()
}

pub fn user_agent(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    agent.unwrap_or_default().chars().take(bounds::MAX_USER_AGENT_CHARS).collect()
}

fn cookie_name(model: &FormModel) -> String {
    format!("visit-{}-{}", model.form.as_str(), model.seed)
}

pub fn cookie(wanted: &str, headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value.to_owned())
}

/// Hands the visit to the browser, where a cookie carries it.
pub fn with_visit(model: &FormModel, visit: &Visit, response: Response) -> Response {
    if model.behaviour.cookie { with_cookie(model, &cookie_name(model), &visit.token, response) } else { response }
}

/// A cookie for the pages of this form.
pub fn with_cookie(model: &FormModel, name: &str, value: &str, response: Response) -> Response {
    with(response, &format!("{name}={value}; Path={}; HttpOnly; SameSite=Lax", model.posting_path()))
}

/// Who signed in once is signed in at every posting of this board, as long as the browser keeps it.
pub fn with_account(site: &Site, response: Response) -> Response {
    let day = 24 * 60 * 60;
    with(response, &format!("{ACCOUNT}={}; Path=/; Max-Age={day}; HttpOnly; SameSite=Lax", site.account()))
}

pub fn has_account(site: &Site, headers: &HeaderMap) -> bool {
    cookie(ACCOUNT, headers).is_some_and(|held| held == site.account())
}

fn with(mut response: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
