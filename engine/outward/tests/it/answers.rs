//! What an answer may cost.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::routing::get as on_get;
use valet_outward::{Outward, OutwardConfig, OutwardError};

use super::network::{Network, SOMEWHERE, get, serve};

const BODY_BYTES_MAX: usize = 1000;

async fn outward(router: Router) -> Outward {
    let network = Network::new();
    network.name("site.example", &[&[SOMEWHERE]]);
    network.server(SOMEWHERE, serve(router).await);
    Outward::new(OutwardConfig { body_bytes_max: BODY_BYTES_MAX, time_max: Duration::from_secs(2), ..network.config() })
}

#[tokio::test]
async fn a_body_over_its_bound_is_not_read_to_its_end() {
    let chunk = || Ok::<_, std::io::Error>("x".repeat(600));
    let endless = move || async move { Body::from_stream(futures::stream::repeat_with(chunk)) };
    let router = Router::new()
        .route("/fits", on_get(|| async { "x".repeat(BODY_BYTES_MAX) }))
        .route("/says_so", on_get(|| async { "x".repeat(BODY_BYTES_MAX + 1) }))
        .route("/endless", on_get(endless));
    let outward = outward(router).await;
    let body = async |path: &str| {
        let answer = outward.send(get(&format!("http://site.example/{path}"))).await.expect("an answer");
        answer.bytes().await
    };
    assert_eq!(body("fits").await.expect("it fits").len(), BODY_BYTES_MAX);
    for path in ["says_so", "endless"] {
        let refused = body(path).await;
        assert!(matches!(refused, Err(OutwardError::TooLarge { bytes_max: BODY_BYTES_MAX })), "{path}: {refused:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_or_does_not_end_is_given_up() {
    let never = || async { std::future::pending::<&str>().await };
    let router = Router::new().route("/head", on_get(never)).route(
        "/body",
        on_get(|| async { Body::from_stream(futures::stream::pending::<Result<String, std::io::Error>>()) }),
    );
    let outward = outward(router).await;
    let late = outward.send(get("http://site.example/head")).await;
    assert!(matches!(late, Err(OutwardError::TimedOut { .. })), "{late:?}");
    let answer = outward.send(get("http://site.example/body")).await.expect("a head");
    let late = answer.bytes().await;
    assert!(matches!(late, Err(OutwardError::TimedOut { .. })), "{late:?}");
}

#[tokio::test]
async fn a_user_of_the_address_goes_into_a_header_and_not_into_errors() {
    let said = |headers: HeaderMap| async move {
        headers.get("authorization").map(|value| value.to_str().unwrap_or_default().to_owned()).unwrap_or_default()
    };
    let outward = outward(Router::new().route("/", on_get(said))).await;
    let answer = outward.send(get("http://us%65r:pass%20word@site.example/")).await.expect("an answer");
    assert_eq!(answer.url.as_str(), "http://site.example/");
    // printf 'user:pass word' | base64
    assert_eq!(answer.bytes().await.expect("a body"), "Basic dXNlcjpwYXNzIHdvcmQ=");
}
