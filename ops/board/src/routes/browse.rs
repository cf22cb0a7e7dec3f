//! Pages around the applications: the list, the postings, and the decoys.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::{Site, html, model, not_found};
use crate::body::{self, BodyError};
use crate::bounds;
use crate::model::{FormKind, FormModel};
use crate::render::{browse, outcome};
use crate::upload::Budget;

pub async fn list(State(site): State<Arc<Site>>) -> Response {
    html(StatusCode::OK, browse::list(&listed(&site), None))
}

/// Both forms in turn, seeds counted from 1.
fn listed(site: &Site) -> Vec<FormModel> {
    (0..site.listed_postings)
        .map(|index| {
            let form = FormKind::ALL[(index % 2) as usize];
            FormModel::draw(form, index / 2 + 1)
        })
        .collect()
}

pub async fn posting(Path((form, seed)): Path<(String, String)>) -> Response {
    match model(&form, &seed) {
        Some(model) => html(StatusCode::OK, browse::posting(&model)),
        None => not_found(),
    }
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
