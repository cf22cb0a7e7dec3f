//! The same over real HTTP: paths, headers, status codes, real time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use uuid::Uuid;
use valet_core::id::{RunId, Seq, SessionId};
use valet_protocol::problem::Problem;
use valet_protocol::worker::{
    BlobStored, ClaimAnswers, ClaimBatch, EffectBegin, FinishAnswers, FinishBatch, Heartbeat, OpenSession,
};

use super::engine::Engine;
use super::rig::{Work, config, done, work};
use crate::runtime::{
    ConfigError, Handlers, HttpTransport, NewBlob, OrStepError, StepContext, Transport, TransportError, Worker,
    WorkerError, WorkerToken, connect,
};

const TOKEN: &str = "wt_secret";

/// The reference engine behind a socket; it ends with the test.
pub struct Served {
    address: SocketAddr,
    blobs: Arc<Mutex<HashMap<Uuid, (String, Bytes)>>>,
    _server: JoinSet<()>,
}

#[derive(Clone)]
struct App {
    engine: Arc<Engine>,
    blobs: Arc<Mutex<HashMap<Uuid, (String, Bytes)>>>,
}

impl Served {
    pub async fn start(engine: &Arc<Engine>) -> Self {
        let blobs = Arc::default();
        let app = App { engine: Arc::clone(engine), blobs: Arc::clone(&blobs) };
        let routes = Router::new()
            .route("/worker/v1/sessions", post(open))
            .route("/worker/v1/sessions/{id}", delete(close))
            .route("/worker/v1/heartbeats", post(heartbeat))
            .route("/worker/v1/claims", post(claim))
            .route("/worker/v1/finishes", post(finish))
            .route("/worker/v1/effects", post(effect))
            .route("/worker/v1/blobs", post(put_blob))
            .route("/worker/v1/blobs/{id}", get(get_blob))
            .layer(DefaultBodyLimit::max(8 << 20))
            .layer(from_fn_with_state(app.clone(), only_with_the_token))
            .with_state(app);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, blobs, _server: server }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn transport(&self) -> HttpTransport {
        HttpTransport::new(&self.url(), &WorkerToken::new(TOKEN)).unwrap()
    }
}

async fn only_with_the_token(State(_): State<App>, request: Request, next: Next) -> Response {
    let bearer = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    if bearer == Some(&format!("Bearer {TOKEN}")) {
        return next.run(request).await;
    }
    let problem = Problem::new(401, "bad_token", "Unauthorized", "this token is not known");
    (StatusCode::UNAUTHORIZED, Json(problem)).into_response()
}

async fn open(State(app): State<App>, Json(body): Json<OpenSession>) -> Response {
    if body.name == "old" {
        return (StatusCode::UPGRADE_REQUIRED, "versions 7 to 8 are served").into_response();
    }
    Json(app.engine.open(&body)).into_response()
}

async fn close(State(app): State<App>, Path(id): Path<Uuid>) {
    app.engine.close(SessionId(id)).await;
}

async fn heartbeat(State(app): State<App>, Json(body): Json<Heartbeat>) -> Response {
    Json(app.engine.heartbeat(&body).await).into_response()
}

async fn claim(State(app): State<App>, Json(body): Json<ClaimBatch>) -> Response {
    Json(ClaimAnswers { answers: app.engine.claim(body.session, &body.claims).await }).into_response()
}

async fn finish(State(app): State<App>, Json(body): Json<FinishBatch>) -> Response {
    Json(FinishAnswers { answers: app.engine.finish(body.session, &body.finishes).await }).into_response()
}

async fn effect(State(app): State<App>, Json(body): Json<EffectBegin>) -> Response {
    Json(app.engine.effect(&body)).into_response()
}

async fn put_blob(State(app): State<App>, Query(query): Query<HashMap<String, String>>, body: Bytes) -> Response {
    assert!(query["run"].parse::<Uuid>().is_ok() && query["seq"].parse::<u32>().is_ok());
    let id = Uuid::from_u128(app.blobs.lock().len() as u128 + 1);
    let size_bytes = body.len() as u64;
    app.blobs.lock().insert(id, (query["name"].clone(), body));
    let created_at = chrono::DateTime::UNIX_EPOCH;
    Json(BlobStored { id, size_bytes, sha256: String::new(), created_at }).into_response()
}

async fn get_blob(State(app): State<App>, Path(id): Path<Uuid>) -> Response {
    let Some((name, bytes)) = app.blobs.lock().get(&id).cloned() else {
        return (StatusCode::NOT_FOUND, Json(Problem::new(404, "no_such_blob", "Not found", "it was removed")))
            .into_response();
    };
    let encoded: String = name
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() { (b as char).into() } else { format!("%{b:02X}") })
        .collect();
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static(valet_protocol::filename::FILENAME_HEADER), encoded.parse().unwrap());
    headers.insert("content-type", "application/pdf".parse().unwrap());
    (headers, bytes).into_response()
}

#[tokio::test]
async fn a_run_goes_all_its_way_over_http_with_an_effect_and_a_file() {
    let engine = Engine::new();
    let served = Served::start(&engine).await;
    let cv = Uuid::from_u128(77);
    served.blobs.lock().insert(cv, ("Lebenslauf für Ü.pdf".to_owned(), Bytes::from_static(b"%PDF-")));
    let handlers = Handlers::new().on(move |ctx: StepContext, step: Work| async move {
        let file = ctx.blobs().get(cv).await.or_retry("file")?;
        assert_eq!(file.filename.as_deref(), Some("Lebenslauf für Ü.pdf"));
        assert_eq!((file.content_type.as_deref(), &file.bytes[..]), (Some("application/pdf"), &b"%PDF-"[..]));
        let kept = ctx.blobs().put("a & b.png", "image/png", Bytes::from_static(b"png")).await?;
        assert_eq!(kept.size_bytes, 3);
        ctx.effect_begin().await?;
        Ok(step.n)
    });
    // The first engine of the list is not there at all.
    let engines = connect(&format!("http://127.0.0.1:9, {}", served.url()), &WorkerToken::new(TOKEN)).unwrap();
    let worker = Worker::new(config(4), handlers, engines, Arc::new(engine.tickets.clone())).unwrap();
    let handle = worker.handle();
    let task = tokio::spawn(worker.run(std::future::pending()));
    let run = engine.start((1..=6).map(work)).await;
    assert_eq!(done(&engine.outcome(run, 6).await), 6);
    handle.drain();
    assert_eq!(task.await.unwrap().unwrap().abandoned, 0);
    let state = engine.state.lock();
    assert_eq!(state.handed_over, 5);
    assert!(state.sessions.values().all(|session| session.closed));
    assert!((1..=6).all(|seq| state.steps[&(run, Seq(seq))].effect_begun));
    assert!(served.blobs.lock().values().any(|(name, _)| name == "a & b.png"));
}

#[tokio::test]
async fn a_wrong_token_and_an_old_protocol_end_the_worker_with_a_clear_message() {
    let engine = Engine::new();
    let served = Served::start(&engine).await;
    let turned_away = async |token: &str, name: &str| {
        let engines = connect(&served.url(), &WorkerToken::new(token)).unwrap();
        let mut config = config(1);
        config.name = name.to_owned();
        let worker = Worker::new(config, Handlers::new(), engines, Arc::new(engine.tickets.clone())).unwrap();
        let WorkerError::TurnedAway(error) = worker.run(std::future::pending()).await.unwrap_err();
        error.to_string()
    };
    let denied = turned_away("wrong", "worker-1").await;
    assert!(denied.contains("does not accept the worker token (401)") && denied.contains("not known"), "{denied}");
    assert!(!denied.contains("wrong"), "the token is not shown: {denied}");
    let old = turned_away(TOKEN, "old").await;
    assert!(old.contains("protocol version 1") && old.contains("versions 7 to 8"), "{old}");
}

#[tokio::test]
async fn answers_are_sorted_into_what_may_be_tried_again_and_what_may_not() {
    let engine = Engine::new();
    let served = Served::start(&engine).await;
    let here = served.transport();
    let missing = here.get_blob(RunId(Uuid::nil()), Uuid::from_u128(5)).await.unwrap_err();
    assert!(
        matches!(&missing, TransportError::Rejected { status: 404, detail, .. } if detail.contains("no_such_blob"))
    );
    assert!(!missing.is_retryable() && !missing.is_fatal());
    let nowhere = HttpTransport::new("http://127.0.0.1:9", &WorkerToken::new(TOKEN)).unwrap();
    assert!(nowhere.get_blob(RunId(Uuid::nil()), Uuid::nil()).await.unwrap_err().is_retryable());
    let blob = NewBlob {
        run: RunId(Uuid::from_u128(1)),
        seq: Seq(1),
        name: "n".to_owned(),
        content_type: "not\na type".to_owned(),
        bytes: Bytes::new(),
    };
    assert_eq!(here.put_blob(&blob).await.unwrap().size_bytes, 0);
}

#[test]
fn a_list_of_engines_is_checked_when_it_is_read() {
    let token = WorkerToken::new(TOKEN);
    let names =
        |urls: &str| connect(urls, &token).map(|all| all.iter().map(|e| e.engine().to_owned()).collect::<Vec<_>>());
    assert_eq!(names(" http://a:1/ ,http://b:2/base,").unwrap(), ["http://a:1", "http://b:2/base"]);
    assert_eq!(names(" , "), Err(ConfigError::NoEngine));
    assert!(matches!(names("ftp://a"), Err(ConfigError::Address { .. })));
    assert!(matches!(names("a b"), Err(ConfigError::Address { .. })));
    assert!(matches!(connect("http://a", &WorkerToken::new("line\nbreak")).map(drop), Err(ConfigError::Token)));
    assert_eq!(format!("{token:?}"), "WorkerToken(..)");
}
