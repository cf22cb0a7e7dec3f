//! The client against a small server that answers as an engine would, or as a broken one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body as AxumBody;
use axum::http::{HeaderMap, StatusCode as Code};
use axum::response::{IntoResponse, Response as AxumResponse};
use axum::routing::{get, post};
use serde_json::json;
use tokio::net::TcpListener;
use valet_protocol::api::StartRunRequest;

use super::*;
use crate::cli::exit::Exit;

/// A server that ends with its test.
pub(crate) async fn serve(router: Router) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    format!("http://{address}")
}

fn client(urls: &[String]) -> Client {
    let urls = ClientConfig::parse_urls(&urls.join(",")).unwrap();
    Client::new(ClientConfig { urls, token: Some("secret\n".to_owned()) }).unwrap()
}

fn problem(status: u16, code: &str, detail: &str) -> AxumResponse {
    let body = json!({ "code": code, "status": status, "title": "t", "detail": detail, "field": "/id" });
    (Code::from_u16(status).unwrap(), [("content-type", "application/problem+json")], body.to_string()).into_response()
}

#[tokio::test]
async fn a_problem_becomes_one_sentence_and_an_exit_code() {
    let cases = [
        (404, "run_not_found", Exit::Failed, "there is no run at /id (run_not_found)"),
        (409, "run_ended", Exit::Failed, "there is no run at /id (run_ended)"),
        (403, "wrong_scope", Exit::Auth, "there is no run at /id (wrong_scope)"),
        (503, "database_unavailable", Exit::Unreachable, "there is no run at /id (database_unavailable)"),
    ];
    for (status, code, exit, sentence) in cases {
        let answer = move || async move { problem(status, code, "There is no run") };
        let url = serve(Router::new().route("/api/v1/runs/{id}/{verb}", post(answer))).await;
        let error = client(&[url]).pause("run_1").await.unwrap_err();
        assert_eq!((error.exit(), error.to_string().as_str()), (exit, sentence));
        assert_eq!(error.code(), Some(code));
    }
}

#[tokio::test]
async fn the_token_goes_along_and_a_refused_one_is_told_apart() {
    let router = Router::new().route(
        "/api/v1/workers",
        get(|headers: HeaderMap| async move {
            match headers.get("authorization").map(HeaderValue::as_bytes) {
                Some(b"Bearer secret") => axum::Json(json!({ "workers": [] })).into_response(),
                _ => problem(401, "unauthorized", "send a token"),
            }
        }),
    );
    let url = serve(router).await;
    assert!(client(std::slice::from_ref(&url)).workers().await.unwrap().workers.is_empty());
    let urls = ClientConfig::parse_urls(&url).unwrap();
    let without = Client::new(ClientConfig { urls, token: None }).unwrap();
    let error = without.workers().await.unwrap_err();
    assert!(matches!(error, ClientError::Unauthorized { token_given: false }), "{error}");
    assert_eq!(error.exit(), Exit::Auth);
}

#[tokio::test]
async fn an_engine_that_is_away_is_passed_over_and_the_one_that_answers_is_kept() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let busy = Router::new().fallback(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { problem(503, "database_unavailable", "away") }
    });
    let good = Router::new().route("/api/v1/queues", get(|| async { axum::Json(json!({ "queues": [] })) }));
    let client = client(&[nobody(), serve(busy).await, serve(good).await]);
    client.queues().await.unwrap();
    client.queues().await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1, "the second request went straight to the engine that answered");
}

#[tokio::test]
async fn nobody_there_names_every_engine_and_why() {
    let (one, other) = (nobody(), nobody());
    let error = client(&[one.clone(), other.clone()]).queues().await.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.exit(), Exit::Unreachable);
    assert!(text.contains(&format!("{one} (connection refused), {other} (connection refused)")), "{text}");
    assert!(text.contains("valet up"), "{text}");
}

/// A server that hangs up in the middle of its answer the first time, and counts how often it is asked.
fn hangs_up_once(asked: &Arc<AtomicUsize>, body: &'static str) -> Router {
    let asked = Arc::clone(asked);
    Router::new().fallback(move || {
        let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            // Panicking in a handler closes the connection without an answer.
            assert!(!first, "hangs up");
            (Code::OK, body)
        }
    })
}

#[tokio::test]
async fn what_carries_a_key_is_sent_again_and_what_does_not_is_not() {
    let asked = Arc::new(AtomicUsize::new(0));
    let started = r#"{"id":"run_1","created":true}"#;
    let url = serve(hangs_up_once(&asked, started)).await;
    let started = client(&[url.clone(), url]).start("w", &StartRunRequest::default(), "k").await.unwrap();
    assert_eq!((started.id.as_str(), asked.load(Ordering::Relaxed)), ("run_1", 2));

    let asked = Arc::new(AtomicUsize::new(0));
    let url = serve(hangs_up_once(&asked, "{}")).await;
    let error = client(&[url.clone(), url]).retry("run_1").await.unwrap_err();
    assert!(matches!(error, ClientError::AnswerLost { .. }), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_answer_beyond_its_bound_is_not_read() {
    let endless = || async {
        let piece = axum::body::Bytes::from(vec![b' '; 1024 * 1024]);
        let pieces = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
        AxumBody::from_stream(pieces)
    };
    let url = serve(Router::new().fallback(endless)).await;
    let client = client(&[url]);
    assert!(matches!(client.download("file_1").await, Err(ClientError::TooLarge { .. })));
    assert!(matches!(client.run("run_1").await, Err(ClientError::TooLarge { .. })));
}

#[tokio::test]
async fn another_kind_of_server_is_named_as_such_and_its_words_are_harmless() {
    let url = serve(Router::new().fallback(|| async { "<html>\x1b[2J hello" })).await;
    let text = client(&[url]).queues().await.unwrap_err().to_string();
    assert!(text.contains("does not answer like an engine: it says “<html> [2J hello”; check --url"), "{text:?}");
    let url = serve(Router::new().fallback(|| async { (Code::NOT_FOUND, "nothing here") })).await;
    let text = client(&[url]).queues().await.unwrap_err().to_string();
    assert!(text.contains("it says 404 Not Found “nothing here”"), "{text}");
}

#[tokio::test]
async fn names_in_paths_cannot_leave_their_place() {
    let echo = Router::new()
        .fallback(|request: axum::extract::Request| async move { problem(404, "echo", &request.uri().to_string()) });
    let base = format!("{}/base/", serve(echo).await);
    let client = client(&[base]);
    let text = client.run("../workers?x#y/z").await.unwrap_err().to_string();
    assert!(text.starts_with("/base/api/v1/runs/..%2Fworkers%3Fx%23y%2Fz "), "{text}");
    let filter = RunFilter { subject: Some("a&b".to_owned()), ..RunFilter::default() };
    let text = client.runs(&filter, None, 5).await.unwrap_err().to_string();
    assert!(text.starts_with("/base/api/v1/runs?subject=a%26b&limit=5 "), "{text}");
}

fn event(revision: u32, index: u32, entry: &serde_json::Value) -> String {
    let data = json!({ "revision": revision, "index": index, "at": "2026-11-21T06:00:00Z", "entry": entry });
    format!("id: {revision}.{index}\nevent: journal\ndata: {data}\n\n")
}

/// Serves the event stream's parts one after the other, each cut off, and keeps what was asked to resume after.
fn stream_in_parts(parts: Vec<String>, resumed: &Arc<std::sync::Mutex<Vec<String>>>) -> Router {
    let (parts, resumed) = (Arc::new(std::sync::Mutex::new(parts.into_iter())), Arc::clone(resumed));
    Router::new().fallback(move |headers: HeaderMap| {
        let last = headers.get("last-event-id").map_or("", |v| v.to_str().unwrap()).to_owned();
        resumed.lock().unwrap().push(last);
        let part = parts.lock().unwrap().next();
        async move {
            match part {
                Some(part) => ([("content-type", "text/event-stream")], part).into_response(),
                None => problem(404, "run_not_found", "gone"),
            }
        }
    })
}

#[tokio::test]
async fn a_broken_stream_goes_on_after_its_last_event_at_the_next_engine() {
    let paused = json!({ "paused": { "by": "a" } });
    let whole: Vec<String> =
        vec![event(1, 1, &paused), event(1, 2, &paused), event(2, 1, &paused), event(2, 2, &json!("ended"))];
    let cut = &event(2, 1, &paused)[..40];
    let (at_first, at_second) = (Arc::default(), Arc::default());
    let first = serve(stream_in_parts(vec![format!("{}{}{cut}", whole[0], whole[1])], &at_first)).await;
    // The second engine repeats an event that was seen.
    let second = serve(stream_in_parts(vec![whole[1..].concat()], &at_second)).await;
    let client = client(&[first, second]);
    let mut stream = client.events("run_1", None);
    let mut seen = Vec::new();
    while let Some(event) = stream.next().await.unwrap() {
        seen.push((event.revision, event.index));
    }
    assert_eq!(seen, [(1, 1), (1, 2), (2, 1), (2, 2)]);
    assert_eq!(*at_first.lock().unwrap(), [""]);
    assert_eq!(*at_second.lock().unwrap(), ["1.2"]);
}

#[tokio::test]
async fn a_run_that_is_not_there_ends_the_stream_at_once() {
    let resumed = Arc::default();
    let url = serve(stream_in_parts(Vec::new(), &resumed)).await;
    let error = client(&[url]).events("run_1", None).next().await.unwrap_err();
    assert_eq!(error.code(), Some("run_not_found"));
    assert_eq!(resumed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_engine_that_never_comes_back_is_given_up_within_bounds() {
    let resumed = Arc::default();
    let paused = json!({ "paused": { "by": "a" } });
    let parts = std::iter::once(event(1, 1, &paused)).chain(std::iter::repeat_n(String::new(), 1_000)).collect();
    let url = serve(stream_in_parts(parts, &resumed)).await;
    let client = client(&[url]);
    let mut stream = client.events("run_1", None);
    let ms = Duration::from_millis(1);
    stream.patience = events::Patience { attempts_max: 5, pause_min: ms, pause_max: ms };
    assert!(stream.next().await.unwrap().is_some());
    let error = stream.next().await.unwrap_err();
    assert!(matches!(error, ClientError::StreamLost(_)), "{error}");
    assert_eq!(resumed.lock().unwrap().len() as u32, 1 + 5);
}
