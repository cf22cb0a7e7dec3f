//! How much one token, one tenant and one address may ask, and what they are told beyond that.

use std::time::Instant;

use futures::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use valet_engine::http::{Limits, Rate, service};

use super::app::TestApp;
use super::calls::{Answer, Call, OTHER_TENANT, PEOPLE, SECOND_PERSON, WORKER};
use super::database;
use super::worker::Worker;

const AT_ONCE: usize = 20;
const NO_LIMIT: Rate = Rate { per_s: 0, burst: 1 };
const THREE: Rate = Rate { per_s: 1, burst: 3 };

fn look(token: &str) -> Call {
    Call::get("/api/v1/runs").token(token)
}

/// Many at once, and one that did not pass. As many pass as the burst and the time that it took allow.
async fn flood(app: &TestApp, call: &Call) -> Answer {
    let began = Instant::now();
    let answers = join_all((0..AT_ONCE).map(|_| app.send(call.clone()))).await;
    let earned = began.elapsed().as_secs() as usize + 1;
    let (passed, mut refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert!((3..=3 + earned).contains(&passed.len()), "{} passed in {earned} s", passed.len());
    refused.pop().expect("more than the burst")
}

#[tokio::test]
async fn a_token_over_its_rate_is_told_when_to_come_back_and_others_are_not_held_up() {
    let app = TestApp::limited(Limits { token: THREE, ..Limits::default() }).await;
    let refused = flood(&app, &look(PEOPLE)).await.problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.json()["detail"].as_str().is_some_and(|detail| detail.contains("limits.token_rate_per_s")));
    app.send(look(SECOND_PERSON)).await.expect(200);
    database::until("it passes again", async || (app.send(look(PEOPLE)).await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn the_tokens_of_a_tenant_share_its_rate() {
    let app = TestApp::limited(Limits { tenant: THREE, ..Limits::default() }).await;
    let refused = flood(&app, &look(PEOPLE)).await.problem(429, "rate_limited");
    assert!(refused.json()["detail"].as_str().is_some_and(|detail| detail.contains("limits.tenant_rate_per_s")));
    let neighbours = join_all((0..AT_ONCE).map(|_| app.send(look(SECOND_PERSON)))).await;
    assert!(neighbours.iter().any(|answer| answer.status == 429), "of the same tenant");
    app.send(look(OTHER_TENANT)).await.expect(200);
}

#[tokio::test]
async fn a_session_counts_for_its_token_and_so_does_signing_in() {
    let app = TestApp::limited(Limits { token: THREE, ..Limits::default() }).await;
    let sign_in = Call::post("/api/v1/session").json(&json!({ "token": PEOPLE }));
    let signed_in = app.send(sign_in.clone()).await.expect(201);
    let cookie = signed_in.header("set-cookie").and_then(|c| c.split(';').next()).expect("a cookie").to_owned();
    let by_cookie = look(PEOPLE).without(axum::http::header::AUTHORIZATION).header("cookie", cookie);
    let answers = join_all((0..AT_ONCE).map(|_| app.send(by_cookie.clone()))).await;
    assert!(answers.iter().any(|answer| answer.status == 429), "by cookie");
    let answers = join_all((0..AT_ONCE).map(|_| app.send(look(PEOPLE)))).await;
    assert!(answers.iter().any(|answer| answer.status == 429), "by the token itself");
    let answers = join_all((0..AT_ONCE).map(|_| app.send(sign_in.clone()))).await;
    assert!(answers.iter().any(|answer| answer.status == 429), "signing in");
}

#[tokio::test]
async fn workers_are_not_limited_and_nobody_is_where_the_rate_is_zero() {
    let app = TestApp::limited(Limits { token: THREE, tenant: THREE, tenant_streams: 0 }).await;
    let worker = Worker::open(&app).await;
    for _ in 0..AT_ONCE {
        worker.beat(&[]).await;
    }
    let ask = json!({ "session": worker.session_uuid() });
    worker.post("claim?wait=1ms", &ask).await.expect(204);
    app.send(Call::get("/api/v1/whoami").token(WORKER)).await.expect(200);

    let app = TestApp::limited(Limits { token: NO_LIMIT, tenant: NO_LIMIT, ..Limits::default() }).await;
    let answers = join_all((0..AT_ONCE).map(|_| app.send(look(PEOPLE)))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
}

/// Ten unknown tokens of one address, then one each six seconds.
#[tokio::test]
async fn an_address_that_guesses_is_slowed_and_whoever_has_a_token_gets_in_from_there() {
    let app = TestApp::start().await;
    let sign_in = |token: &str| Call::post("/api/v1/session").json(&json!({ "token": token }));
    let guess = async |address: &str, n: usize| {
        let call = if n.is_multiple_of(2) { sign_in("vt_guessed") } else { look("vt_guessed") };
        app.send_from(address, call).await
    };
    let began = Instant::now();
    let mut before = 0;
    let refused = loop {
        let answer = guess("192.0.2.7", before).await;
        if answer.status == 429 {
            break answer.problem(429, "rate_limited");
        }
        answer.problem(401, "unauthorized");
        before += 1;
        assert!(before < 100, "nothing is refused");
    };
    let earned = began.elapsed().as_secs() as usize / 6 + 1;
    assert!((10..=10 + earned).contains(&before), "{before}");
    let wait: u64 = refused.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((1..=6).contains(&wait), "{wait}");

    app.send_from("192.0.2.7", look(PEOPLE)).await.expect(200);
    app.send_from("192.0.2.7", sign_in(PEOPLE)).await.expect(201);
    app.send_from("192.0.2.7", look("vl_00")).await.problem(429, "rate_limited");
    guess("192.0.2.8", 1).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn an_ipv6_address_is_slowed_with_its_whole_line() {
    let app = TestApp::start().await;
    let guess = async |n: usize| app.send_from(&format!("2001:db8:0:1::{n:x}"), look("vt_guessed")).await;
    let answers = join_all((0..AT_ONCE).map(guess)).await;
    assert!(answers.iter().any(|answer| answer.status == 429), "all of one line");
    app.send_from("2001:db8:0:2::1", look("vt_guessed")).await.problem(401, "unauthorized");
}

/// As it is in life: the listener tells who connects.
#[tokio::test]
async fn who_guesses_over_a_connection_is_slowed() {
    let app = TestApp::start().await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(axum::serve(listener, service(app.app.clone(), axum::Router::new())).into_future());
    let mut told = Vec::new();
    for _ in 0..AT_ONCE {
        let mut client = tokio::net::TcpStream::connect(address).await.expect("a connection");
        let request = "GET /api/v1/runs HTTP/1.1\r\nhost: x\r\nauthorization: Bearer no\r\nconnection: close\r\n\r\n";
        client.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("an answer");
        told.push(answer.split(' ').nth(1).expect("a status").to_owned());
    }
    serving.abort();
    assert!(told[..10].iter().all(|status| status == "401") && told[10..].iter().any(|s| s == "429"), "{told:?}");
}

#[tokio::test]
async fn a_tenant_has_its_share_of_streams_and_leaves_the_others_theirs() {
    let app = TestApp::limited(Limits { tenant_streams: 2, ..Limits::default() }).await;
    let run = app.start_run("ask", &json!({})).await;
    let events = |token: &str, run: &str| Call::get(format!("/api/v1/runs/{run}/events")).token(token);
    let first = app.open(events(PEOPLE, &run).into_request()).await;
    let second = app.open(events(SECOND_PERSON, &run).into_request()).await;
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    // Not read to its end, which a stream would not have.
    assert_eq!(app.open(events(PEOPLE, &run).into_request()).await.status(), 429);
    let refused = app.send(events(PEOPLE, &run)).await.problem(429, "too_many_streams");
    assert!(refused.json()["detail"].as_str().is_some_and(|detail| detail.contains("limits.tenant_streams")));
    let waiting = Call::post("/api/v1/workflows/ask/runs?wait=1s").json(&json!({ "input": {} }));
    app.send(waiting.clone()).await.problem(429, "too_many_streams");
    assert_eq!(app.runs_stored().await, 1, "who cannot wait starts nothing");

    let theirs = app.send(waiting.clone().token(OTHER_TENANT)).await.expect(202).json();
    let theirs = events(OTHER_TENANT, theirs["id"].as_str().expect("an id"));
    assert_eq!(app.open(theirs.into_request()).await.status(), 200);

    drop(first);
    let third = app.open(events(PEOPLE, &run).into_request()).await;
    assert_eq!(third.status(), 200);
    assert_eq!(app.app.streams_open(), 2, "the closed ones made room");
    drop((second, third));
    assert_eq!(app.app.streams_open(), 0);
    app.send(waiting).await.expect(202);
}
