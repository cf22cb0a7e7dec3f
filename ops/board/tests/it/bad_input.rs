//! Requests that no browser sends, and files that are too large: an answer for each, and nothing recorded.

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use valet_board::{Filter, FormKind, bounds};

use crate::applicant::{Applicant, board};
use crate::dom;

#[tokio::test]
async fn addresses_that_do_not_exist_are_not_found() {
    let board = board().await;
    let client = crate::applicant::client();
    for path in [
        "/nothing",
        "/jobs/simple/x",
        "/jobs/simple/-1",
        "/jobs/simple/4294967296",
        "/jobs/other/1",
        "/jobs/other/1/apply",
        "/jobs/simple/1/apply/2",
        "/jobs/simple/1/apply/0",
        "/jobs/steps/1/apply/99",
        "/jobs/steps/1/apply/x",
        "/jobs/simple/1/confirmation/APP-00000000",
        "/_oracle/applications/x",
        "/_oracle/expect/other/1",
    ] {
        let response = client.get(format!("{}{path}", board.base_url())).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        let page = dom::read(&response.text().await.expect("a page"));
        assert!(page.text().contains("Page not found"));
    }
}

#[tokio::test]
async fn a_file_over_the_limit_is_answered_with_a_page() {
    let board = board().await;
    let mut applicant = Applicant::new(&board, FormKind::Simple, 1);
    let mut page = applicant.open().await;
    applicant.fill(&mut page);
    let good = page.files.clone();
    page.files[0].2 = vec![b'x'; bounds::MAX_FILE_BYTES + 1];
    let refused = applicant.send(&page).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(refused.text().contains("10 MB"));
    assert_eq!(board.received().list(&Filter::default()).len(), 0);

    page.files = good;
    page.files[0].2 = vec![b'x'; bounds::MAX_FILE_BYTES];
    applicant.send(&page).await;
    let received = board.received().list(&Filter::default());
    assert_eq!(received.len(), 1, "a file of exactly the limit is taken");
}

#[tokio::test]
async fn too_much_text_is_refused() {
    let board = board().await;
    let mut applicant = Applicant::new(&board, FormKind::Simple, 1);
    let mut page = applicant.open().await;
    applicant.fill(&mut page);
    let mut long = page.values.clone();
    long.push(("extra".to_owned(), "x".repeat(bounds::MAX_FIELD_BYTES + 1)));
    let mut many = page.values.clone();
    many.extend((0..bounds::MAX_PARTS).map(|index| (format!("extra{index}"), String::new())));
    for values in [long, many] {
        page.values = values;
        let refused = applicant.send(&page).await;
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
    assert_eq!(board.received().list(&Filter::default()).len(), 0);
}

#[tokio::test]
async fn a_body_that_is_no_form_is_a_bad_request() {
    let board = board().await;
    let client = crate::applicant::client();
    let address = format!("{}/jobs/simple/1/apply/1", board.base_url());
    let bodies = [
        (Some("application/json"), "{}"),
        (Some("text/plain"), "a=b"),
        (None, "a=b"),
        (Some("multipart/form-data"), "no boundary"),
        (Some("multipart/form-data; boundary=x"), "not multipart at all"),
        (Some("multipart/form-data; boundary=x"), "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ncut off"),
    ];
    for (content_type, body) in bodies {
        let mut request = client.post(&address).body(body);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{content_type:?} {body}");
        let page = dom::read(&response.text().await.expect("a page"));
        assert!(page.text().contains("Bad request"));
    }
}

#[tokio::test]
async fn a_form_without_a_known_visit_has_expired() {
    let board = board().await;
    for form in FormKind::PLAIN {
        for seed in 0..6 {
            let mut applicant = Applicant::new(&board, form, seed);
            let mut page = applicant.open().await;
            applicant.fill(&mut page);
            applicant.cookies.clear();
            let visit = applicant.expected.behaviour.visit_name;
            page.values.retain(|(name, _)| name != visit);
            assert_eq!(applicant.send(&page).await.status, StatusCode::GONE);
            page.set(visit, "made-up");
            assert_eq!(applicant.send(&page).await.status, StatusCode::GONE);
        }
    }
    assert_eq!(board.received().list(&Filter::default()).len(), 0);
}

#[tokio::test]
async fn what_was_typed_is_shown_as_text() {
    let board = board().await;
    for seed in 0..20 {
        let mut applicant = Applicant::new(&board, FormKind::Simple, seed);
        let mut page = applicant.open().await;
        let mut sent = Vec::new();
        for field in applicant.expected.fields.iter().filter(|field| field.control == "line") {
            let value = "\"><script>alert('x')</script>&amp;".to_owned();
            page.set(&field.name, &value);
            sent.push((field.name.clone(), value));
        }
        // The strict reader fails on markup that does not belong to the templates.
        let refused = applicant.send(&page).await;
        for value in sent {
            assert!(refused.values.contains(&value));
        }
    }
}

#[tokio::test]
async fn decoys_around_the_form_are_counted() {
    let board = board().await;
    let client = crate::applicant::client();
    let base = board.base_url();
    for path in ["/search?q=%3Cb%3Eengineer", "/login", "/language?lang=de"] {
        client.get(format!("{base}{path}")).send().await.expect("an answer");
    }
    client
        .post(format!("{base}/newsletter"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body("email=zoe%40example.com")
        .send()
        .await
        .expect("an answer");
    let uses = board.received().decoy_uses();
    assert_eq!((uses.search, uses.login, uses.language, uses.newsletter), (1, 1, 1, 1));
}

#[tokio::test]
async fn a_stopped_board_gives_its_port_back() {
    let board = board().await;
    let address = board.address();
    assert_eq!(board.base_url(), format!("http://{address}"));
    board.stop().await.expect("a clean stop");
    std::net::TcpListener::bind(address).expect("the port is free again");
}
