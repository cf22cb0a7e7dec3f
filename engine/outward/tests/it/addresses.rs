//! Which addresses are dialled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get as on_get;
use valet_outward::{Outward, OutwardConfig, OutwardError};

use super::network::{ELSEWHERE, Network, SOMEWHERE, get, serve};

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_and_nothing_is_dialled() {
    let inside = [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "198.18.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ];
    for address in inside {
        let network = Network::new();
        network.name("hooks.example", &[&[address]]);
        for scheme in ["http", "https"] {
            let refused = network.outward().send(get(&format!("{scheme}://hooks.example/"))).await;
            assert!(matches!(refused, Err(OutwardError::Refused(_))), "{scheme} {address}: {refused:?}");
        }
        assert_eq!(network.asked().len(), 2);
        assert_eq!(network.dialled(), Vec::<String>::new(), "{address}");
    }
}

#[tokio::test]
async fn an_address_in_the_url_is_checked_although_no_name_is_resolved() {
    let network = Network::new();
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:169.254.169.254]", "[64:ff9b::a00:1]"] {
        let call = get(&format!("http://{host}:8080/secret?token=1"));
        assert!(matches!(network.outward().problem(&call.url), Some(OutwardError::Refused(_))), "{host}");
        let refused = network.outward().send(call).await.expect_err("it is refused");
        assert!(matches!(refused, OutwardError::Refused(_)), "{host}: {refused:?}");
        assert!(!refused.to_string().contains("secret") && !refused.to_string().contains("token"), "{refused}");
    }
    assert_eq!((network.asked(), network.dialled()), (vec![], vec![]));
}

#[tokio::test]
async fn what_was_checked_is_what_is_dialled_whatever_the_name_says_next() {
    let network = Network::new();
    network.name("rebinds.example", &[&[SOMEWHERE], &["127.0.0.1"]]);
    let outward = network.outward();
    let away = outward.send(get("http://rebinds.example:8080/")).await;
    assert!(matches!(away, Err(OutwardError::Unreachable { .. })), "{away:?}");
    assert_eq!(network.asked(), ["rebinds.example"], "one resolution for one connection");
    assert_eq!(network.dialled(), [format!("{SOMEWHERE}:8080")]);
    // The second answer is another connection's, and checked for it.
    assert!(matches!(outward.send(get("http://rebinds.example:8080/")).await, Err(OutwardError::Refused(_))));
    assert_eq!(network.dialled().len(), 1);
}

#[tokio::test]
async fn of_several_addresses_only_the_public_ones_are_tried() {
    let network = Network::new();
    network.name("mixed.example", &[&["10.0.0.1", SOMEWHERE, "::1", ELSEWHERE]]);
    let away = network.outward().send(get("http://mixed.example/")).await;
    assert!(matches!(away, Err(OutwardError::Unreachable { .. })), "{away:?}");
    assert_eq!(network.dialled(), [format!("{SOMEWHERE}:80"), format!("{ELSEWHERE}:80")]);
}

#[tokio::test]
async fn an_opened_place_is_reached_with_its_port_only() {
    let real = serve(Router::new().route("/", on_get(|| async { "inside" }))).await;
    // Over the machine's own ports: a literal needs no name.
    let config = OutwardConfig { opened: vec![real.to_string().parse().expect("a place")], ..OutwardConfig::default() };
    let outward = Outward::new(config);
    let url = format!("http://{real}/");
    assert!(outward.problem(&url.parse().expect("a URL")).is_none());
    let answer = outward.send(get(&url)).await.expect("it is open");
    assert_eq!(answer.bytes().await.expect("a body"), "inside");
    let beside = format!("http://127.0.0.1:{}/", real.port().wrapping_add(1).max(1));
    assert!(matches!(outward.send(get(&beside)).await, Err(OutwardError::Refused(_))));
}

#[tokio::test]
async fn the_machines_own_resolver_is_not_believed_either() {
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    let count = move || async move { counted.fetch_add(1, Ordering::Relaxed).to_string() };
    let port = serve(Router::new().route("/", on_get(count))).await.port();
    let url = format!("http://localhost:{port}/");
    let refused = Outward::new(OutwardConfig::default()).send(get(&url)).await;
    assert!(matches!(refused, Err(OutwardError::Refused(_))), "{refused:?}");
    assert_eq!(hits.load(Ordering::Relaxed), 0);
    let opened = vec![format!("LOCALHOST.:{port}").parse().expect("a place")];
    let opened = Outward::new(OutwardConfig { opened, ..OutwardConfig::default() });
    assert_eq!(opened.send(get(&url)).await.expect("it is open").status.as_u16(), 200);
}

#[tokio::test]
async fn a_name_that_is_not_known_and_a_scheme_that_is_none_are_told_apart() {
    let network = Network::new();
    let unknown = network.outward().send(get("http://nobody.example/")).await;
    assert!(matches!(unknown, Err(OutwardError::Unreachable { .. })), "{unknown:?}");
    for url in ["file:///etc/passwd", "ftp://example.com/", "data:text/plain,x"] {
        let refused = network.outward().send(get(url)).await;
        assert!(matches!(refused, Err(OutwardError::Address(_))), "{url}: {refused:?}");
    }
}
