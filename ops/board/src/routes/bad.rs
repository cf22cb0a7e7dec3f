//! Pages as nobody should make them, for browsers that have to get along with them. Each ends by a bound, and all of
//! them when the board stops.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use futures::stream::{self, StreamExt as _};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use super::{Site, html, not_found};
use crate::bounds;
use crate::render::outcome;

#[derive(Deserialize)]
pub struct Hop {
    #[serde(default)]
    n: u32,
}

pub async fn page(State(site): State<Arc<Site>>, Path(what): Path<String>, Query(hop): Query<Hop>) -> Response {
    if what == "endless-redirects" {
        return Redirect::to(&format!("/jobs/bad/endless-redirects?n={}", hop.n.wrapping_add(1))).into_response();
    }
    if what == "alert-storm" {
        return html(StatusCode::OK, alert_storm());
    }
    let Ok(turn) = Arc::clone(&site.bad_pages).try_acquire_owned() else {
        return html(StatusCode::SERVICE_UNAVAILABLE, outcome::problem("Busy", "Too many of these pages are open."));
    };
    match what.as_str() {
        "never-loads" => streamed(&site, turn, vec![HEAD.into()], bounds::NEVER_LOADS_FOR),
        "slow" => slow(&site, turn),
        "huge" => huge(turn),
        _ => not_found(),
    }
}

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Engineer</title></head>\
     <body><main><h1>Engineer</h1>";
const END: &str = "</main></body></html>\n";

fn alert_storm() -> String {
    let script = format!(
        "<script>window.addEventListener('beforeunload', function (leaving) {{\
         leaving.preventDefault(); leaving.returnValue = 'Stay!'; }});\
         window.addEventListener('unload', function () {{ alert('Goodbye?'); }});\
         window.addEventListener('load', function () {{\
         for (var i = 1; i <= {}; i++) {{ alert('Offer ' + i + ' ends today!'); }} }});</script>",
        bounds::MAX_ALERTS
    );
    format!("{HEAD}<p>Offers, offers, offers.</p><p><a href=\"/\">All jobs</a></p>{script}{END}")
}

/// The posting in pieces, over the whole time.
fn slow(site: &Site, turn: OwnedSemaphorePermit) -> Response {
    let count = bounds::SLOW_PAGE_FOR.as_millis() / bounds::SLOW_PIECE_EVERY.as_millis();
    let pieces = (1..count).map(|n| Bytes::from(format!("<p>Paragraph {n} of a slow page.</p>")));
    let pieces = [HEAD.into()].into_iter().chain(pieces).chain([END.into()]).collect();
    streamed(site, turn, pieces, bounds::SLOW_PIECE_EVERY)
}

/// Piece after piece with a pause after each.
fn streamed(site: &Site, turn: OwnedSemaphorePermit, pieces: Vec<Bytes>, pause: Duration) -> Response {
    let stopping = site.stopping.subscribe();
    let state = (pieces.into_iter(), stopping, turn, false);
    let pieces = stream::unfold(state, move |(mut pieces, mut stopping, turn, begun)| async move {
        if begun {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Its sender lives as long as the site; an error means the end as well.
                _ = stopping.wait_for(|stopping| *stopping) => return None,
            }
        }
        let piece = pieces.next()?;
        Some((Ok::<_, std::convert::Infallible>(piece), (pieces, stopping, turn, true)))
    });
    body(Body::from_stream(pieces))
}

/// One paragraph, again and again; it is never in memory as a whole.
fn huge(turn: OwnedSemaphorePermit) -> Response {
    const ROW: Bytes = Bytes::from_static(
        b"<div><p>A row of the longest posting that there is.</p><ul><li>One</li><li>Two</li><li>Three</li></ul></div>\n",
    );
    const ROWS_AT_ONCE: usize = 256;
    let rows = bounds::HUGE_PAGE_BYTES / ROW.len();
    let many = Bytes::from(ROW.repeat(ROWS_AT_ONCE));
    let pieces = std::iter::once(Bytes::from_static(HEAD.as_bytes()))
        .chain(std::iter::repeat_n(many, rows / ROWS_AT_ONCE))
        .chain([Bytes::from_static(END.as_bytes())]);
    let pieces = stream::iter(pieces).map(move |piece| {
        // Held until the last piece was taken.
        let _ = &turn;
        Ok::<_, std::convert::Infallible>(piece)
    });
    body(Body::from_stream(pieces))
}

fn body(body: Body) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))], body).into_response()
}
