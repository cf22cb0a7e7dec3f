//! Turning browsers away, before any page of the form or of its posting is shown.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use uuid::Uuid;

use super::browse::refused;
use super::session::{cookie, user_agent, with_cookie};
use super::{Site, html, model, not_found};
use crate::body;
use crate::bounds;
use crate::guard::{refuses_request, refuses_signals};
use crate::model::FormModel;
use crate::model::twist::{Guard, GuardPlace, Tell, Twist};
use crate::render::guard as pages;
use crate::upload::Budget;

/// Which page was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Posting,
    Form,
}

/// The answer to a browser that may not see the page, or may not see it yet.
pub fn turned_away(site: &Site, model: &FormModel, asked: Asked, headers: &HeaderMap) -> Option<Response> {
    let Twist::Guard(guard) = &model.twist else {
        return None;
    };
    if asked == Asked::Posting && guard.place == GuardPlace::Form {
        return None;
    }
    if refuses_request(guard, &user_agent(headers)) {
        return Some(denied(site, model, guard));
    }
    let cleared = cookie(CLEARANCE, headers).is_some_and(|held| held == clearance(site, model));
    if guard.tell == Tell::UserAgent || cleared {
        return None;
    }
    let back = match asked {
        Asked::Posting => model.posting_path(),
        Asked::Form => format!("{}/apply", model.posting_path()),
    };
    Some(html(StatusCode::OK, pages::looking(model, guard, &back)))
}

fn denied(site: &Site, model: &FormModel, guard: &Guard) -> Response {
    site.blocks.lock().count(model.seed);
    html(StatusCode::FORBIDDEN, pages::denied(guard))
}

/// Takes what the script found, and lets the browser in or not.
pub async fn clear(
    State(site): State<Arc<Site>>,
    Path((form, seed)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Some(model) = model(&form, &seed) else {
        return not_found();
    };
    let Twist::Guard(guard) = &model.twist else {
        return not_found();
    };
    let sent = match body::read(request, &Budget::new(0), bounds::BODY_TIMEOUT).await {
        Ok(sent) => sent,
        Err(error) => return refused(&error),
    };
    if refuses_signals(guard, &sent) {
        return denied(&site, &model, guard);
    }
    let form = format!("{}/apply", model.posting_path());
    let back = if sent.value("back") == Some(form.as_str()) { form } else { model.posting_path() };
    with_cookie(&model, CLEARANCE, &clearance(&site, &model), Redirect::to(&back).into_response())
}

const CLEARANCE: &str = "clearance";

/// Nobody can make it up, and it needs no memory.
fn clearance(site: &Site, model: &FormModel) -> String {
    Uuid::new_v5(&site.secret, model.posting_path().as_bytes()).simple().to_string()
}
