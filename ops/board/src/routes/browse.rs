//! Pages around the applications: the list, the postings, and the decoys.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::guarded::{Asked, turned_away};
use super::session::{self, VisitQuery};
use super::{Site, html, model, not_found};
use crate::body::{self, BodyError};
use crate::bounds;
use crate::model::twist::Twist;
use crate::model::{FormKind, FormModel};
use crate::render::{browse, newsletter as newsletter_page, outcome};
use crate::upload::Budget;

pub async fn list(State(site): State<Arc<Site>>) -> Response {
    html(StatusCode::OK, browse::list(&listed(&site), None))
}

/// All kinds of forms in turn, seeds counted from 1.
fn listed(site: &Site) -> Vec<FormModel> {
    let of_each_seed = (1..).flat_map(|seed| FormKind::ALL.map(|form| (form, seed)));
    of_each_seed.take(site.listed_postings as usize).map(|(form, seed)| FormModel::draw(form, seed)).collect()
}

pub async fn posting(
    State(site): State<Arc<Site>>,
    Path((form, seed)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let Some(model) = model(&form, &seed) else {
        return not_found();
    };
    if let Some(response) = turned_away(&site, &model, Asked::Posting, &headers) {
        return response;
    }
    // Some sites know who has been there already.
    if matches!(model.twist, Twist::Double(_)) {
        let token = session::asked(&model, &headers, VisitQuery { visit: None });
        if let Some(sent) = token.and_then(|token| session::sent_before(&site, &model, &token)) {
            return html(StatusCode::OK, outcome::already_applied(&model, &sent.reference));
        }
    }
    html(StatusCode::OK, browse::posting(&model))
}

/// What the posting's frame shows when the form is in another frame within it.
pub async fn embedded(Path((form, seed)): Path<(String, String)>) -> Response {
    match model(&form, &seed) {
        Some(model) => match &model.twist {
            Twist::Frame(framing) if framing.depth > 1 => html(StatusCode::OK, browse::embedded(&model, framing)),
            _ => not_found(),
        },
        None => not_found(),
    }
}

/// The form for news alone, as frames show it.
pub async fn newsletter_form() -> Response {
    html(StatusCode::OK, newsletter_page())
}

#[derive(Deserialize)]
pub struct Search {
    #[serde(default)]
    q: String,
}

pub async fn search(State(site): State<Arc<Site>>, Query(search): Query<Search>) -> Response {
    site.received.count_decoy(|uses| &mut uses.search);
    let words = search.q.trim().to_lowercase();
    let mut found = listed(&site);
    found.retain(|model| model.posting.title.to_lowercase().contains(&words));
    html(StatusCode::OK, browse::list(&found, Some(search.q.trim())))
}

pub async fn language(State(site): State<Arc<Site>>) -> Redirect {
    site.received.count_decoy(|uses| &mut uses.language);
    Redirect::to("/")
}

pub async fn login(State(site): State<Arc<Site>>) -> Response {
    site.received.count_decoy(|uses| &mut uses.login);
    let page = outcome::problem("Log in", "You can apply without an account.");
    html(StatusCode::OK, page)
}

pub async fn newsletter(State(site): State<Arc<Site>>, request: Request) -> Response {
    // The address is only counted, and a file has no place here.
    match body::read(request, &Budget::new(0), bounds::BODY_TIMEOUT).await {
        Ok(_) => {
            site.received.count_decoy(|uses| &mut uses.newsletter);
            let page = outcome::problem("You are subscribed", "We will write when there are new jobs.");
            html(StatusCode::OK, page)
        }
        Err(error) => refused(&error),
    }
}

/// The page for a request whose body could not be taken.
pub fn refused(error: &BodyError) -> Response {
    let (title, sentence) = match error {
        BodyError::ContentType | BodyError::Malformed => {
            ("Bad request", "The form could not be read. Please go back and try again.")
        }
        BodyError::TooLarge => ("File too large", "Files may have at most 10 MB each."),
        BodyError::Timeout => ("Too slow", "The form did not arrive in time. Please try again."),
    };
    html(error.status(), outcome::problem(title, sentence)).into_response()
}
