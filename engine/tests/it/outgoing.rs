//! Outgoing webhooks: who is told what, at least once, under one id.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::post;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use valet_core::Timestamp;
use valet_engine::bounds::{NOTICE_ATTEMPTS_MAX, OUTGOING_AT_ONCE_OF_EACH_MAX};
use valet_engine::deliverer::Deliverer;
use valet_engine::ports::{Clock as _, Machine};
use valet_engine::store::postgres::outgoing::Room;
use valet_engine::webhook::Proof;
use valet_outward::{Dial, OutwardConfig, Resolve};
use valet_protocol::api::IncomingProof;

use super::access::secret;
use super::app::TestApp;
use super::calls::{Answer, Call, OTHER_TENANT};
use super::database;

/// Somebody's public address. Nothing is sent to it: behind it stands the receiver on loopback.
const SOMEWHERE: &str = "93.184.216.34";

/// A receiver that keeps what it is told, and answers as it is told to.
struct Receiver {
    address: SocketAddr,
    answers: AtomicU16,
    told: Mutex<Vec<(HeaderMap, Bytes)>>,
    /// Of those that it never answers.
    unanswered: AtomicUsize,
}

impl Receiver {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let answers = AtomicU16::new(200);
        let receiver = Arc::new(Self { address, answers, told: Mutex::default(), unanswered: AtomicUsize::default() });
        let router = Router::new().route("/hooks", post(Self::take)).route("/silent", post(Self::hold));
        let router = router.with_state(Arc::clone(&receiver));
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    #[expect(clippy::unused_async, reason = "handlers are")]
    async fn take(State(receiver): State<Arc<Self>>, headers: HeaderMap, body: Bytes) -> StatusCode {
        receiver.told.lock().push((headers, body));
        StatusCode::from_u16(receiver.answers.load(Ordering::SeqCst)).expect("a status")
    }

    async fn hold(State(receiver): State<Arc<Self>>) -> StatusCode {
        receiver.unanswered.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }

    fn answer(&self, status: u16) {
        self.answers.store(status, Ordering::SeqCst);
    }

    /// What it was told since it was last asked, each with its id.
    fn told(&self) -> Vec<(String, Value)> {
        let told = std::mem::take(&mut *self.told.lock()).into_iter();
        told.map(|(headers, body)| {
            let id = headers["webhook-id"].to_str().expect("an id").to_owned();
            (id, serde_json::from_slice(&body).expect("JSON"))
        })
        .collect()
    }

    fn kinds(&self) -> BTreeSet<String> {
        self.told().into_iter().map(|(_, told)| told["type"].as_str().expect("a kind").to_owned()).collect()
    }
}

/// Every name leads to a public address, and from there to the receiver.
#[async_trait]
impl Resolve for Receiver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let address = if host == "inside.example" { "10.0.0.7" } else { SOMEWHERE };
        Ok(vec![address.parse().expect("an address")])
    }
}

#[async_trait]
impl Dial for Receiver {
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        assert_eq!(address.ip().to_string(), SOMEWHERE, "nothing else is dialled");
        TcpStream::connect(self.address).await
    }
}

/// An engine whose webhooks reach the receiver, and its deliverer.
async fn engine(url: &str, receiver: &Arc<Receiver>) -> (TestApp, Deliverer) {
    let (resolver, dialer) = (Arc::clone(receiver), Arc::clone(receiver));
    let app =
        TestApp::reaching(url, OutwardConfig { resolver, dialer, redirects_max: 0, ..OutwardConfig::default() }).await;
    app.store.learn_outgoing().await.expect("a look");
    let deliverer = Deliverer::new(&app.app, Duration::from_hours(1));
    (app, deliverer)
}

async fn put(app: &TestApp, name: &str, webhook: &Value) -> Answer {
    app.send(Call::new(Method::PUT, format!("/api/v1/webhooks/outgoing/{name}")).json(webhook)).await
}

fn to_receiver(kinds: &[&str]) -> Value {
    json!({ "url": "http://hooks.example/hooks", "kinds": kinds })
}

async fn log(app: &TestApp, query: &str) -> Vec<Value> {
    let list = app.send(Call::get(format!("/api/v1/webhooks/outgoing/status/deliveries{query}"))).await.expect(200);
    list.json()["deliveries"].as_array().expect("deliveries").clone()
}

/// The time of the next attempt, or the end of a lease, has come.
async fn later(app: &TestApp) {
    let past = "UPDATE notices SET next_at = now() - interval '1 second' WHERE next_at IS NOT NULL";
    sqlx::query(past).execute(app.pool()).await.expect("time");
}

#[tokio::test]
async fn a_webhook_is_told_what_happens_to_runs_and_tasks_signed_by_its_secret() {
    let receiver = Receiver::start().await;
    let (app, deliverer) = engine(&database::migrated().await, &receiver).await;
    let before = app.start_run("ask", &json!({})).await;
    let made = put(&app, "status", &to_receiver(&["run.*", "human_task.opened"])).await.expect(201).json();
    let key = made["secret"].as_str().expect("a secret").to_owned();
    let run = app.start_run("ask", &json!({})).await;
    app.send(Call::post(format!("/api/v1/runs/{run}/cancel"))).await.expect(200);
    app.until_status(&run, "cancelled").await;
    assert_eq!(deliverer.look().await.expect("a look"), 3);
    let proof = IncomingProof { kind: "standard".to_owned(), ..IncomingProof::default() };
    let proof = Proof::read(&proof).expect("in order");
    for (headers, body) in receiver.told.lock().iter() {
        let proven = proof.verify(std::slice::from_ref(&key), Machine.now(), headers, body);
        assert!(proven.is_ok(), "{headers:?}");
        assert_eq!(headers["content-type"], "application/json");
    }
    let told = receiver.told();
    let kinds: BTreeSet<&str> = told.iter().filter_map(|(_, told)| told["type"].as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["human_task.opened", "run.cancelled", "run.started"]));
    for (_, told) in &told {
        assert_eq!((&told["data"]["run"], &told["data"]["workflow"]), (&json!(run), &json!("ask")), "not {before}");
        assert!(told["timestamp"].as_str().is_some_and(|at| at.parse::<Timestamp>().is_ok()), "{told}");
        assert_eq!(told["type"] == "human_task.opened", told["data"]["task"].is_string(), "{told}");
    }
    assert_eq!(deliverer.look().await.expect("a look"), 0, "each once");
    let log = log(&app, "?state=delivered").await;
    assert_eq!(log.len(), 3);
    assert!(log.iter().all(|one| one["status"] == 200 && one["attempts"] == 1), "{log:?}");
    let ids: BTreeSet<&str> = log.iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(ids, told.iter().map(|(id, _)| id.as_str()).collect());
}

#[tokio::test]
async fn only_what_is_wanted_is_written_down() {
    let receiver = Receiver::start().await;
    let (app, deliverer) = engine(&database::migrated().await, &receiver).await;
    let count = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM notices").fetch_one(app.pool()).await.expect("a count")
    };
    app.start_run("ask", &json!({})).await;
    assert_eq!(count().await, 0, "who tells nobody pays nothing");
    let with = |more: Value| {
        let mut webhook = to_receiver(&["run.started"]);
        webhook.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        webhook
    };
    for (name, more) in [
        ("other-workflow", json!({ "workflow": "echo" })),
        ("other-subject", json!({ "filter": "subject == 'eve'" })),
        ("paused", json!({ "paused": true })),
        ("fits", json!({ "workflow": "ask", "filter": "kind == 'run.started' && subject != 'eve'" })),
    ] {
        put(&app, name, &with(more)).await.expect(201);
    }
    let theirs = Call::new(Method::PUT, "/api/v1/webhooks/outgoing/theirs").json(&to_receiver(&["*"]));
    app.send(theirs.token(OTHER_TENANT)).await.expect(201);
    app.start_run("ask", &json!({})).await;
    assert_eq!(count().await, 1);
    assert_eq!(deliverer.look().await.expect("a look"), 1);
    app.send(Call::new(Method::DELETE, "/api/v1/webhooks/outgoing/fits")).await.expect(204);
    app.start_run("ask", &json!({})).await;
    assert_eq!(count().await, 1);
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_under_its_id_until_it_is_given_up_and_can_be_told_once_more() {
    let receiver = Receiver::start().await;
    let (app, deliverer) = engine(&database::migrated().await, &receiver).await;
    put(&app, "status", &to_receiver(&["run.started"])).await.expect(201);
    app.start_run("ask", &json!({})).await;
    receiver.answer(503);
    let mut ids = BTreeSet::new();
    for attempt in 1..=NOTICE_ATTEMPTS_MAX {
        assert_eq!(deliverer.look().await.expect("a look"), 1, "attempt {attempt}");
        ids.extend(receiver.told().into_iter().map(|(id, _)| id));
        assert_eq!(deliverer.look().await.expect("a look"), 0, "it waits");
        let one = log(&app, "").await.remove(0);
        assert_eq!((&one["attempts"], &one["status"]), (&json!(attempt), &json!(503)), "{one}");
        assert_eq!(one["error"], "the receiver answered 503");
        let is_last = attempt == NOTICE_ATTEMPTS_MAX;
        assert_eq!(one["state"], if is_last { "failed" } else { "waiting" }, "{one}");
        if !is_last {
            let next: Timestamp = one["next_at"].as_str().expect("an instant").parse().expect("an instant");
            let pause = (next - Machine.now()).num_seconds();
            let most = 10_i64.saturating_mul(1 << (attempt - 1).min(20)).min(3600) * 12 / 10;
            assert!((0..=most).contains(&pause) && pause >= most / 2 - 3, "attempt {attempt}: {pause} s");
        }
        later(&app).await;
    }
    assert_eq!((ids.len(), deliverer.look().await.expect("a look")), (1, 0));
    receiver.answer(204);
    let id = ids.pop_first().expect("an id");
    let again = |id: &str| Call::post(format!("/api/v1/webhooks/outgoing/status/deliveries/{id}/redeliver"));
    app.send(again(&id)).await.expect(202);
    assert_eq!(deliverer.look().await.expect("a look"), 1);
    assert_eq!(receiver.told()[0].0, id, "as it was");
    let one = log(&app, "?state=delivered").await.remove(0);
    assert_eq!((&one["attempts"], &one["status"], one.get("error")), (&json!(1), &json!(204), None), "{one}");
    app.send(again("msg_1")).await.problem(404, "delivery_not_found").at("id");
    app.send(again(&format!("msg_{}", "0".repeat(32)))).await.problem(404, "delivery_not_found").at("id");
}

#[tokio::test]
async fn of_two_engines_one_delivers_and_what_it_leaves_the_other_delivers_under_the_same_id() {
    let receiver = Receiver::start().await;
    let (app, one) = engine(&database::migrated().await, &receiver).await;
    put(&app, "status", &to_receiver(&["run.started"])).await.expect(201);
    let (other_app, other) = engine(&app.url, &receiver).await;
    for n in 0..20 {
        let app = if n % 2 == 0 { &app } else { &other_app };
        app.start_run("ask", &json!({})).await;
    }
    while !log(&app, "?state=waiting").await.is_empty() {
        let looks = futures::future::join_all([one.look(), other.look(), one.look(), other.look()]).await;
        assert!(looks.into_iter().all(|look| look.is_ok()));
    }
    let ids: Vec<String> = receiver.told().into_iter().map(|(id, _)| id).collect();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (20, 20));

    // Its engine dies with a message that it took, and perhaps sent.
    app.start_run("ask", &json!({})).await;
    let taken = app.store.due_outgoing(&Room { of_all: 8, of_busy: Vec::new() }).await.expect("a look");
    assert_eq!(taken.len(), 1);
    assert_eq!(other.look().await.expect("a look"), 0, "somebody is at it");
    later(&app).await;
    assert_eq!(other.look().await.expect("a look"), 1);
    assert_eq!(receiver.told()[0].0, format!("msg_{}", taken[0].id.simple()));
    assert_eq!(log(&app, "").await[0]["attempts"], 2);
}

#[tokio::test]
async fn a_receiver_that_is_away_holds_up_no_other() {
    let receiver = Receiver::start().await;
    let (app, deliverer) = engine(&database::migrated().await, &receiver).await;
    // Nothing is there: the dialer would not let it through.
    let away = json!({ "url": "http://inside.example/hooks", "kinds": ["run.started"] });
    put(&app, "status", &away).await.expect(201);
    put(&app, "well", &to_receiver(&["run.started"])).await.expect(201);
    for _ in 0..12 {
        app.start_run("ask", &json!({})).await;
    }
    // A few of each.
    assert_eq!(deliverer.look().await.expect("a look"), 16);
    assert_eq!(receiver.told().len(), 8);
    let one = log(&app, "?limit=200").await;
    let errors: BTreeSet<&str> = one.iter().filter_map(|one| one["error"].as_str()).collect();
    assert_eq!(errors, BTreeSet::from(["inside.example:80 has no public address, and this place is not opened"]));
    // One of those of the failing one.
    later(&app).await;
    assert_eq!((deliverer.look().await.expect("a look"), receiver.told().len()), (5, 4));
}

#[tokio::test]
async fn a_receiver_that_never_answers_has_some_at_once_and_the_others_get_theirs() {
    let receiver = Receiver::start().await;
    let (app, deliverer) = engine(&database::migrated().await, &receiver).await;
    let silent = json!({ "url": "http://hooks.example/silent", "kinds": ["run.started", "human_task.opened"] });
    put(&app, "silent", &silent).await.expect(201);
    put(&app, "status", &to_receiver(&["run.started", "human_task.opened"])).await.expect(201);
    for _ in 0..15 {
        app.start_run("ask", &json!({})).await;
    }
    let delivering = tokio::spawn(deliverer.run());
    let all = async {
        let mut told = BTreeSet::new();
        while told.len() < 30 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            told.extend(receiver.told().into_iter().map(|(id, _)| id));
        }
    };
    // The silent ones are given up after ten seconds.
    tokio::time::timeout(Duration::from_secs(8), all).await.expect("nobody waits for the silent one");
    assert_eq!(receiver.unanswered.load(Ordering::SeqCst), OUTGOING_AT_ONCE_OF_EACH_MAX);
    delivering.abort();
}

#[tokio::test]
async fn a_task_whose_deadline_nears_is_told_once_whoever_looks() {
    let receiver = Receiver::start().await;
    let (app, deliverer) = engine(&database::migrated().await, &receiver).await;
    let (lead, kinds) = (Duration::from_hours(1), ["human_task.due_soon"]);
    let run = app.start_run("ask", &json!({})).await;
    let due_in = async |interval: &str| {
        let change = "UPDATE human_tasks SET deadline = now() + $1::text::interval";
        sqlx::query(change).bind(interval).execute(app.pool()).await.expect("a deadline");
    };
    due_in("59 minutes").await;
    put(&app, "others", &to_receiver(&["run.*"])).await.expect(201);
    assert_eq!(app.store.note_due_soon(lead).await.expect("a look"), 0, "nobody wants to be told");
    put(&app, "status", &to_receiver(&kinds)).await.expect(201);
    due_in("61 minutes").await;
    assert_eq!(app.store.note_due_soon(lead).await.expect("a look"), 0, "it is not soon");
    due_in("59 minutes").await;
    let (other_app, _) = engine(&app.url, &receiver).await;
    let looks = [&app, &other_app, &app, &other_app].map(|app| app.store.note_due_soon(lead));
    let noted: usize = futures::future::join_all(looks).await.into_iter().map(|noted| noted.expect("a look")).sum();
    assert_eq!((noted, deliverer.look().await.expect("a look")), (1, 1));
    let (_, told) = receiver.told().remove(0);
    assert_eq!((&told["type"], &told["data"]["run"]), (&json!(kinds[0]), &json!(run)));
    assert!(told["data"]["task"].as_str().is_some_and(|task| task.starts_with("task_")), "{told}");
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_place_and_addresses_and_secrets_are_sealed() {
    let receiver = Receiver::start().await;
    let (app, _) = engine(&database::migrated().await, &receiver).await;
    let with = |field: &str, value: Value| {
        let mut webhook = to_receiver(&["run.*"]);
        webhook[field] = value;
        webhook
    };
    let cases = [
        (with("url", json!("hooks.example")), "/url"),
        (with("url", json!("ftp://hooks.example/x")), "/url"),
        (with("url", json!("http://127.0.0.1:8080/x")), "/url"),
        (with("url", json!("http://localhost/x")), "/url"),
        (with("url", json!("http://[::1]/x")), "/url"),
        (with("url", json!("http://169.254.169.254/latest")), "/url"),
        (with("url", json!(format!("http://hooks.example/{}", "x".repeat(2048)))), "/url"),
        (with("kinds", json!([])), "/kinds"),
        (with("kinds", json!(["*.x"])), "/kinds/0"),
        (with("filter", json!("input.n")), "/filter"),
        (with("secrets", json!(["no base64?"])), "/secrets/0"),
    ];
    for (webhook, field) in cases {
        put(&app, "wrong", &webhook).await.problem(422, "invalid_webhook").at(field);
    }
    put(&app, "wrong", &with("workflow", json!("nowhere"))).await.problem(404, "workflow_not_found").at("/workflow");
    let webhook = with("url", json!("https://hooks.example/hush?token=hush"));
    let made = put(&app, "status", &webhook).await.expect(201).json();
    assert_eq!(made["origin"], "https://hooks.example");
    let row = async || -> String {
        sqlx::query_scalar("SELECT w::text FROM outgoing_webhooks w").fetch_one(app.pool()).await.expect("a row")
    };
    let before = row().await;
    let again = put(&app, "status", &webhook).await.expect(200).json();
    assert_eq!((again.get("secret"), row().await), (None, before.clone()), "nothing changes, and it is shown once");
    // Who changes something else need not know where it leads.
    put(&app, "status", &json!({ "kinds": ["run.*"] })).await.expect(200);
    assert_eq!(row().await, before);
    put(&app, "new", &json!({ "kinds": ["run.*"] })).await.problem(422, "invalid_webhook").at("/url");
    let hex = "hush".bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    assert!(!before.contains("hush") && !before.contains(&hex), "{before}");
}

#[tokio::test]
async fn webhooks_are_within_their_tenant_and_a_tokens_reach() {
    let receiver = Receiver::start().await;
    let (app, deliverer) = engine(&database::migrated().await, &receiver).await;
    put(&app, "status", &to_receiver(&["run.started"])).await.expect(201);
    let limited = secret(&app, &json!({ "name": "asker", "role": "admin", "workflows": ["ask"] })).await;
    let path = "/api/v1/webhooks/outgoing/status";
    for token in [limited.as_str(), OTHER_TENANT] {
        app.send(Call::get(path).token(token)).await.problem(404, "webhook_not_found");
        app.send(Call::get(format!("{path}/deliveries")).token(token)).await.problem(404, "webhook_not_found");
    }
    let taken = json!({ "url": "http://hooks.example/hooks", "kinds": ["*"], "workflow": "ask" });
    let taken = Call::new(Method::PUT, path).token(&limited).json(&taken);
    app.send(taken).await.problem(409, "name_taken").at("name");
    let all = Call::new(Method::PUT, "/api/v1/webhooks/outgoing/all").token(&limited).json(&to_receiver(&["*"]));
    app.send(all).await.problem(403, "out_of_reach");
    let run = app.start_run("ask", &json!({})).await;
    // What a subject is erased with, nobody is told any more.
    app.store.forget_subject("acme", "default", Machine.now()).await.expect("it is forgotten");
    assert_eq!(deliverer.look().await.expect("a look"), 0, "{run}");
    app.start_run("ask", &json!({})).await;
    assert_eq!(
        (deliverer.look().await.expect("a look"), receiver.kinds()),
        (1, BTreeSet::from(["run.started".to_owned()]))
    );
}
