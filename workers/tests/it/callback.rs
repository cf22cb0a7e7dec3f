//! What a sandbox says of itself reaches an engine that is away for a while, and is not said again to one that refuses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use parking_lot::Mutex;
use serde_json::Value;
use valet_protocol::api::{SandboxEvent, SandboxEventKind};
use valet_protocol::worker::Callback;
use valet_workers::sandbox::callback::{CallbackError, CallbackSender};

/// An engine that answers as it is told, one answer after the other.
#[derive(Default)]
struct Engine {
    answers: Mutex<Vec<u16>>,
    heard: Mutex<Vec<(Option<String>, Value)>>,
    calls: AtomicUsize,
}

async fn hook(State(engine): State<Arc<Engine>>, headers: HeaderMap, body: String) -> StatusCode {
    engine.calls.fetch_add(1, Ordering::Relaxed);
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
    engine.heard.lock().push((shown, serde_json::from_str(&body).expect("JSON")));
    let next = engine.answers.lock().pop().unwrap_or(204);
    StatusCode::from_u16(next).expect("a status")
}

/// In the order in which they are given.
async fn engine(answers: &[u16]) -> (Arc<Engine>, CallbackSender) {
    let engine = Arc::new(Engine::default());
    *engine.answers.lock() = answers.iter().rev().copied().collect();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook?tenant=acme&sandbox=s", listener.local_addr().expect("an address"));
    let router = Router::new().route("/hook", post(hook)).with_state(Arc::clone(&engine));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let sender = CallbackSender::new(Callback { url, token: "vr_1".to_owned() }).expect("a sender");
    (engine, sender.with_pause_min(Duration::from_millis(5)))
}

fn event() -> SandboxEvent {
    SandboxEvent { id: "e-1".to_owned(), event: SandboxEventKind::Completed, step: None, message: None, data: None }
}

#[tokio::test]
async fn an_engine_that_is_away_is_told_again_and_hears_the_same_event() {
    let (engine, sender) = engine(&[500, 503, 502, 429]).await;
    sender.send(&event()).await.expect("told");
    let heard = engine.heard.lock().clone();
    assert_eq!(heard.len(), 5);
    assert!(heard.iter().all(|one| *one == heard[0]), "{heard:?}");
    assert_eq!(heard[0].0.as_deref(), Some("Bearer vr_1"));
    assert_eq!((&heard[0].1["id"], &heard[0].1["event"]), (&"e-1".into(), &"completed".into()));
}

#[tokio::test]
async fn a_refusal_is_final() {
    for status in [400, 401, 404, 409, 422, 302] {
        let (engine, sender) = engine(&[status]).await;
        let error = sender.send(&event()).await.expect_err("refused");
        assert!(matches!(error, CallbackError::Refused { status: by, .. } if by == status), "{error:?}");
        assert_eq!(engine.calls.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn one_that_never_comes_back_is_given_up() {
    let (engine, sender) = engine(&[503; 20]).await;
    let error = sender.send(&event()).await.expect_err("given up");
    assert!(matches!(error, CallbackError::Busy { status: 503, .. }), "{error:?}");
    assert_eq!(engine.calls.load(Ordering::Relaxed), 10);
}
