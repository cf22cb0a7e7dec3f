//! Where an answer may lead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, Method as AxumMethod, StatusCode as Code};
use axum::response::IntoResponse;
use axum::routing::{any, get as on_get};
use valet_outward::{HeaderValue, Method, Outward, OutwardConfig, OutwardError};

use super::network::{ELSEWHERE, Network, SOMEWHERE, call, get, serve};

/// A site that answers `/to` by leading to an address.
async fn leading_to(network: &Arc<Network>, code: u16, location: &'static str) {
    let answer = move || async move { (Code::from_u16(code).expect("a status"), [("location", location)]) };
    network.name("site.example", &[&[SOMEWHERE]]);
    network.server(SOMEWHERE, serve(Router::new().route("/to", any(answer))).await);
}

#[tokio::test]
async fn an_answer_that_leads_inside_is_not_followed() {
    for location in [
        "http://127.0.0.1/",
        "http://[::ffff:169.254.169.254]/latest/meta-data",
        "http://inside.example/",
        "//inside.example:81/",
    ] {
        let network = Network::new();
        network.name("inside.example", &[&["10.0.0.8"]]);
        leading_to(&network, 302, location).await;
        let refused = network.outward().send(get("http://site.example/to")).await;
        assert!(matches!(refused, Err(OutwardError::Refused(_))), "{location}: {refused:?}");
        assert_eq!(network.dialled(), [format!("{SOMEWHERE}:80")], "{location}");
    }
}

#[tokio::test]
async fn an_answer_that_leads_to_another_scheme_or_nowhere_is_not_followed() {
    for (location, is_address) in [("file:///etc/passwd", true), ("http://user:pw@site.example/", false)] {
        let network = Network::new();
        leading_to(&network, 302, location).await;
        let refused = network.outward().send(get("http://site.example/to")).await;
        let told = match refused {
            Err(OutwardError::Address(_)) => is_address,
            Err(OutwardError::BadRedirect) => !is_address,
            _ => false,
        };
        assert!(told, "{location}");
    }
}

#[tokio::test]
async fn what_another_origin_gets_is_the_request_without_secrets() {
    let seen = |method: AxumMethod, headers: HeaderMap, body: String| async move {
        let secret = headers.contains_key("authorization") || headers.contains_key("x-key");
        let kind = headers.get("content-type").map(|value| value.to_str().unwrap_or_default().to_owned());
        format!("{method} {body} {kind:?} {secret}")
    };
    for (code, expect) in [
        (307, r#"POST notice Some("text/plain") false"#),
        (308, r#"POST notice Some("text/plain") false"#),
        (303, "GET  None false"),
        (302, "GET  None false"),
    ] {
        let network = Network::new();
        leading_to(&network, code, "http://other.example/seen").await;
        network.name("other.example", &[&[ELSEWHERE]]);
        network.server(ELSEWHERE, serve(Router::new().route("/seen", any(seen))).await);
        let mut call = call(Method::POST, "http://site.example/to", "notice");
        for (name, value) in [("authorization", "Bearer secret"), ("x-key", "secret"), ("content-type", "text/plain")] {
            call.headers.insert(name, HeaderValue::from_static(value));
        }
        let answer = network.outward().send(call).await.expect("it is followed");
        assert_eq!(answer.url.as_str(), "http://other.example/seen");
        assert_eq!(answer.bytes().await.expect("a body"), expect, "{code}");
        assert_eq!(network.dialled(), [format!("{SOMEWHERE}:80"), format!("{ELSEWHERE}:80")]);
    }
}

#[tokio::test]
async fn answers_that_lead_on_for_ever_are_given_up() {
    let hops = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hops);
    let on = move || async move {
        counted.fetch_add(1, Ordering::Relaxed);
        (Code::FOUND, [("location", "/round")]).into_response()
    };
    let network = Network::new();
    network.name("site.example", &[&[SOMEWHERE]]);
    network.server(SOMEWHERE, serve(Router::new().route("/round", on_get(on))).await);
    let ended = network.outward().send(get("http://site.example/round")).await;
    assert!(matches!(ended, Err(OutwardError::TooManyRedirects { max: 5 })), "{ended:?}");
    assert_eq!(hops.load(Ordering::Relaxed), 6, "the first, and five that it led to");
}

#[tokio::test]
async fn a_way_out_that_follows_nothing_hands_the_answer_over() {
    let network = Network::new();
    leading_to(&network, 302, "http://127.0.0.1/").await;
    let outward = Outward::new(OutwardConfig { redirects_max: 0, ..network.config() });
    let answer = outward.send(get("http://site.example/to")).await.expect("an answer");
    assert_eq!(answer.status.as_u16(), 302);
}
