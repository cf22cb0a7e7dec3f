//! The pages that nobody should make are as bad as they say, and end.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use valet_board::bounds;

use crate::applicant::{board, client};

#[tokio::test]
async fn a_page_that_never_loads_answers_and_then_says_nothing_until_the_board_stops() {
    let board = board().await;
    let mut response =
        client().get(format!("{}/jobs/bad/never-loads", board.base_url())).send().await.expect("headers");
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.chunk().await.expect("a beginning").is_some());
    let silence = tokio::time::timeout(Duration::from_millis(300), response.chunk()).await;
    assert!(silence.is_err(), "nothing comes");
    let begun = Instant::now();
    board.stop().await.expect("a clean stop");
    assert!(begun.elapsed() < bounds::STOP_TIMEOUT, "an open page does not hold the board");
    assert!(response.chunk().await.expect("an end").is_none());
}

#[tokio::test]
async fn redirects_lead_to_redirects() {
    let board = board().await;
    let client = client();
    let mut path = "/jobs/bad/endless-redirects".to_owned();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let response = client.get(format!("{}{path}", board.base_url())).send().await.expect("an answer");
        assert!(response.status().is_redirection());
        path = response.headers()["location"].to_str().expect("an address").to_owned();
        assert!(seen.insert(path.clone()), "each address is another");
    }
}

#[tokio::test]
async fn a_slow_page_comes_in_pieces() {
    let board = board().await;
    let mut response = client().get(format!("{}/jobs/bad/slow", board.base_url())).send().await.expect("headers");
    let begun = Instant::now();
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("Paragraph 3") {
        text.extend(response.chunk().await.expect("a piece").expect("not the end"));
    }
    assert!(begun.elapsed() >= bounds::SLOW_PIECE_EVERY * 2);
    assert!(!String::from_utf8_lossy(&text).contains("</html>"));
}

#[tokio::test]
async fn a_huge_page_has_its_size() {
    let board = board().await;
    let response = client().get(format!("{}/jobs/bad/huge", board.base_url())).send().await.expect("headers");
    let page = response.bytes().await.expect("a page");
    assert!(page.len() > bounds::HUGE_PAGE_BYTES - 100_000 && page.len() <= bounds::HUGE_PAGE_BYTES + 10_000);
    assert!(page.ends_with(b"</html>\n"));
}

#[tokio::test]
async fn open_bad_pages_are_bounded_and_give_their_place_back() {
    let board = board().await;
    let url = format!("{}/jobs/bad/never-loads", board.base_url());
    let client = client();
    let mut open = Vec::new();
    for _ in 0..bounds::MAX_OPEN_BAD_PAGES {
        open.push(client.get(&url).send().await.expect("headers"));
    }
    assert_eq!(client.get(&url).send().await.expect("an answer").status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(open);
    let freed = tokio::time::timeout(Duration::from_secs(20), async {
        while client.get(&url).send().await.expect("an answer").status() != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    freed.await.expect("a place is free again");
    assert_eq!(client.get(url.replace("never-loads", "other")).send().await.expect("an answer").status(), 404);
}
