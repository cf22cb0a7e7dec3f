//! The console's files, built into the program and served below `/console/`.
//!
//! They are the same for everybody and tell nothing: what the console shows it asks of the API, as whoever is signed in. They are made
//! by `npm run build`; a program that was built without them says so here, and does everything else.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

struct File {
    /// Its path below `/console/`.
    name: &'static str,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
}

static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

const INDEX: &str = "index.html";
/// The bundler names files in it after their content.
const ASSETS: &str = "assets/";

const NOT_BUILT: &str = "The console is not built into this program.\n\n\
    ./ops/up builds it where Node can be had; by hand: `npm ci && npm run build` in ops/console, then build valet again.\n\
    The command line does all that the console does: valet --help\n";

/// Nothing but the console's own files and the API of its own origin; nothing inline, nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Routes that want no token.
pub fn routes() -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/console/") }))
        .route("/console", get(|| async { Redirect::permanent("/console/") }))
        .route("/console/", get(|headers: HeaderMap| async move { answer(FILES, "", &headers) }))
        .route(
            "/console/{*path}",
            get(|Path(path): Path<String>, headers: HeaderMap| async move { answer(FILES, &path, &headers) }),
        )
}

fn answer(files: &'static [File], path: &str, headers: &HeaderMap) -> Response {
    let mut response = content(files, path, headers);
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn content(files: &'static [File], path: &str, headers: &HeaderMap) -> Response {
    let named = files.iter().find(|file| file.name == path);
    // Other addresses are pages, which the console itself tells apart.
    let page = || files.iter().find(|file| file.name == INDEX).filter(|_| !path.starts_with(ASSETS));
    let Some(file) = named.or_else(page) else {
        let text = if files.is_empty() { NOT_BUILT } else { "The console has no such file.\n" };
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let zipped = file.gzip.filter(|_| takes_gzip(headers));
    let mut response = zipped.unwrap_or(file.plain).into_response();
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(file.name)));
    let kept = if file.name.starts_with(ASSETS) { "public, max-age=31536000, immutable" } else { "no-cache" };
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    answer.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if zipped.is_some() {
        answer.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// `gzip;q=0` is rare enough to get plain bytes with any weight.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| coding.trim() == "gzip")
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::Service as _;

    use super::*;

    static BUNDLE: &[File] = &[
        File { name: "assets/index-1a.js", plain: b"plain", gzip: Some(b"zipped") },
        File { name: "index.html", plain: b"<html>", gzip: None },
    ];

    fn accepting(codings: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(codings))])
    }

    async fn text(response: Response) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_page_of_the_console_is_its_index_and_a_missing_asset_is_missing() {
        for page in ["", "index.html", "runs", "runs/run_0b98"] {
            let response = answer(BUNDLE, page, &HeaderMap::new());
            assert_eq!(response.headers()[header::CACHE_CONTROL], "no-cache", "{page}");
            assert_eq!(text(response).await, "<html>", "{page}");
        }
        assert_eq!(answer(BUNDLE, "assets/index-2b.js", &HeaderMap::new()).status(), 404);
    }

    #[tokio::test]
    async fn gzip_goes_to_who_takes_it() {
        for (codings, expected) in [("gzip, deflate, br", "zipped"), ("br", "plain"), ("", "plain")] {
            let response = answer(BUNDLE, "assets/index-1a.js", &accepting(codings));
            assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), expected == "zipped", "{codings}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
            assert_eq!(text(response).await, expected, "{codings}");
        }
    }

    #[tokio::test]
    async fn without_a_bundle_it_says_how_to_build_one() {
        let response = answer(&[], "", &HeaderMap::new());
        assert_eq!(response.status(), 404);
        assert!(text(response).await.contains("npm run build"));
    }

    #[tokio::test]
    async fn every_answer_carries_the_policy_and_the_root_leads_to_the_console() {
        let mut routes = routes();
        for path in ["/console/", "/console/runs", "/console/assets/none.js"] {
            let response = routes.call(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], POLICY, "{path}");
        }
        for path in ["/", "/console"] {
            let response = routes.call(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.headers()[header::LOCATION], "/console/", "{path}");
        }
    }
}
