//! Incoming webhooks: who may deliver, what a delivery makes, once.

use axum::http::{Method, header};
use futures::future::join_all;
use ring::hmac;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use valet_engine::bounds::{INCOMING_FAILURES_KEPT_MAX, REQUEST_BYTES_MAX, UNKNOWN_TOKENS_BURST};
use valet_engine::ports::{Clock as _, Machine};
use valet_engine::store::postgres::incoming::{DeliveryMarks, Made};

use super::access::secret;
use super::app::TestApp;
use super::calls::{Answer, Call, OTHER_TENANT};

const SECRET: &str = "a-senders-secret";

pub async fn put(app: &TestApp, name: &str, webhook: &Value) -> Answer {
    app.send(Call::new(Method::PUT, format!("/api/v1/webhooks/incoming/{name}")).json(webhook)).await
}

/// Starts a run of `echo` with the payload's text.
fn echoing(kind: &str) -> Value {
    json!({
        "proof": { "kind": kind, "secrets": [SECRET] },
        "start": { "workflow": "echo", "run": { "input": { "text": { "$cel": "payload.text" } } } },
    })
}

fn to(name: &str, body: impl Into<Vec<u8>>) -> Call {
    Call::post(format!("/api/v1/hooks/acme/{name}")).without(header::AUTHORIZATION).body(body)
}

fn tag(message: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
    tag.as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// As GitHub sends it.
fn github(id: &str, body: &str) -> Call {
    let signature = format!("sha256={}", tag(body));
    to("sender", body).header("x-hub-signature-256", signature).header("x-github-delivery", id)
}

/// As Stripe sends it, so many seconds ago.
fn stripe(ago_s: i64, body: &str) -> Call {
    let time = Machine.now().timestamp() - ago_s;
    to("sender", body).header("stripe-signature", format!("t={time},v1={}", tag(&format!("{time}.{body}"))))
}

async fn reasons(app: &TestApp) -> Vec<String> {
    let list = app.send(Call::get("/api/v1/webhooks/incoming/sender/failures")).await.expect(200).json();
    let failures = list["failures"].as_array().expect("failures").iter();
    failures.map(|failure| failure["reason"].as_str().expect("a reason").to_owned()).collect()
}

fn run_of(answer: &Answer) -> String {
    answer.json()["run"].as_str().expect("a run").to_owned()
}

#[tokio::test]
async fn a_delivery_starts_one_run_however_often_and_to_however_many_engines_it_comes() {
    let app = TestApp::start().await;
    let other = TestApp::on(&app.url).await;
    let made = put(&app, "sender", &echoing("github")).await.expect(201).json();
    assert_eq!(made["path"], "/api/v1/hooks/acme/sender");
    let deliver = || github("d-1", r#"{"text":"hi"}"#);
    let answers = join_all((0..8).map(|n| (if n % 2 == 0 { &app } else { &other }).send(deliver()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 201)), "{answers:?}");
    let run = run_of(&answers[0]);
    assert!(answers.iter().all(|answer| run_of(answer) == run), "{answers:?}");
    let view = app.run(&run).await;
    assert_eq!((&view["workflow"], &view["input"]), (&json!("echo"), &json!({ "text": "hi" })));
    // What the webhook becomes later changes nothing about it.
    let paused = json!({ "proof": { "kind": "github" }, "publish": { "key": "k" } });
    put(&app, "sender", &paused).await.expect(200);
    assert_eq!(run_of(&other.send(deliver()).await.expect(200)), run);
    assert_eq!(app.runs_stored().await, 1);
}

#[tokio::test]
async fn a_delivery_that_an_engine_began_is_carried_out_once_by_whoever_gets_its_repeat() {
    let app = TestApp::start().await;
    put(&app, "sender", &echoing("github")).await.expect(201);
    let webhook = app.store.find_incoming_webhook("acme", "sender").await.expect("a look").expect("a webhook");
    let run = app.engine.new_run();
    let body = r#"{"text":"hi"}"#;
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), body.as_bytes());
    let marks = DeliveryMarks {
        delivery: Sha256::digest("d-1").into(),
        proof: Some(Sha256::digest(signature.as_ref()).into()),
    };
    // Its engine dies before it starts the run; then after that, before it answers.
    assert!(app.store.add_incoming_delivery(webhook.id, &marks, Made::Run(run.0)).await.expect("it is kept"));
    for _ in 0..2 {
        let other = TestApp::on(&app.url).await;
        let answer = other.send(github("d-1", body)).await.expect(200);
        assert_eq!(run_of(&answer), run.to_string());
        assert_eq!(app.runs_stored().await, 1);
        sqlx::query("UPDATE incoming_deliveries SET settled = false").execute(app.pool()).await.expect("a row");
    }
    // And the webhook does something else by then.
    put(&app, "sender", &json!({ "proof": { "kind": "github" }, "publish": { "key": "k" } })).await.expect(200);
    app.send(github("d-1", body)).await.problem(409, "webhook_changed");
}

#[tokio::test]
async fn who_does_not_prove_a_delivery_is_refused_and_leaves_why() {
    let app = TestApp::start().await;
    put(&app, "sender", &echoing("stripe")).await.expect(201);
    let body = r#"{"id":"evt_1","text":"hi"}"#;
    app.send(to("sender", body)).await.problem(401, "missing_signature");
    let other = stripe(0, body).body(r#"{"id":"evt_1","text":"ho"}"#);
    app.send(other).await.problem(401, "wrong_signature");
    app.send(stripe(400, body)).await.problem(400, "too_old");
    app.send(stripe(-400, body)).await.problem(400, "too_old");
    app.send(to("sender", vec![b'x'; REQUEST_BYTES_MAX + 1])).await.problem(413, "too_large");
    app.send(to("nobody", body)).await.problem(404, "webhook_not_found").at("name");
    assert_eq!(app.runs_stored().await, 0);
    assert_eq!(reasons(&app).await, ["too_large", "too_old", "too_old", "wrong_signature", "missing_signature"]);
    let run = run_of(&app.send(stripe(200, body)).await.expect(201));
    // Stripe signs each repeat anew.
    assert_eq!(run_of(&app.send(stripe(100, body)).await.expect(200)), run);

    let guess = || to("sender", body).header("stripe-signature", "t=1,v1=00");
    for _ in 0..UNKNOWN_TOKENS_BURST {
        app.send_from("203.0.113.7", guess()).await.problem(401, "wrong_signature");
    }
    app.send_from("203.0.113.7", guess()).await.problem(429, "rate_limited");
    app.send_from("203.0.113.7", stripe(0, r#"{"id":"evt_2","text":"hi"}"#)).await.expect(201);
    let list = app.send(Call::get("/api/v1/webhooks/incoming/sender/failures")).await.expect(200).json();
    assert_eq!(list["failures"][0]["address"], "203.0.113.7");
    for _ in 0..INCOMING_FAILURES_KEPT_MAX {
        app.send(guess()).await.expect(401);
    }
    assert_eq!(reasons(&app).await.len(), INCOMING_FAILURES_KEPT_MAX as usize, "the oldest made room");
}

#[tokio::test]
async fn a_signature_under_another_id_is_a_replay() {
    let app = TestApp::start().await;
    put(&app, "sender", &echoing("github")).await.expect(201);
    app.send(github("d-1", r#"{"text":"hi"}"#)).await.expect(201);
    // Who saw the delivery can send it again, and its id is not signed.
    let answers = join_all((2..6).map(|n| app.send(github(&format!("d-{n}"), r#"{"text":"hi"}"#)))).await;
    for answer in answers {
        answer.problem(409, "replayed");
    }
    assert_eq!(app.runs_stored().await, 1);
    assert_eq!(reasons(&app).await, ["replayed"; 4]);
}

#[tokio::test]
async fn a_delivery_publishes_an_event_once_and_its_triggers_start_runs() {
    let app = TestApp::start().await;
    let trigger = json!({ "key": "order:*", "workflow": "anything" });
    app.send(Call::new(Method::PUT, "/api/v1/event-triggers/orders").json(&trigger)).await.expect(201);
    let webhook = json!({
        "proof": { "kind": "api_key", "secrets": ["old", SECRET] },
        "delivery_id": "payload.number",
        "filter": "payload.kind != 'ping'",
        "publish": { "key": { "$cel": "'order:' + payload.kind" }, "subject": "ada" },
    });
    put(&app, "sender", &webhook).await.expect(201);
    let deliver = |body: &Value| to("sender", body.to_string()).header("x-api-key", SECRET);
    let paid = json!({ "number": 7, "kind": "paid" });
    let answers = join_all((0..6).map(|_| app.send(deliver(&paid)))).await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 201)), "{answers:?}");
    let event = answers[0].json()["event"].as_str().expect("an event").to_owned();
    assert!(answers.iter().all(|answer| answer.json()["event"] == event), "{answers:?}");
    let shown = app.send(Call::get(format!("/api/v1/events/{event}"))).await.expect(200).json();
    assert_eq!((&shown["key"], &shown["subject"], &shown["payload"]), (&json!("order:paid"), &json!("ada"), &paid));
    assert_eq!(shown["created_by"], "sender");
    assert_eq!(app.runs_stored().await, 1);

    let ignored = app.send(deliver(&json!({ "number": 8, "kind": "ping" }))).await.expect(200).json();
    assert_eq!(ignored, json!({ "state": "ignored" }));
    app.send(deliver(&json!({ "kind": "paid" }))).await.problem(422, "expression_failed").at("/delivery_id");
    app.send(deliver(&json!({ "number": 9, "kind": 1 }))).await.problem(422, "expression_failed").at("/publish/key");
    let long = json!({ "number": 9, "kind": "x".repeat(300) });
    app.send(deliver(&long)).await.problem(422, "invalid_event").at("/publish/key");
    app.send(to("sender", "no JSON").header("x-api-key", "old")).await.problem(400, "invalid_json");
    let expected = ["invalid_json", "invalid_event at /publish/key", "expression_failed at /publish/key"];
    assert_eq!(reasons(&app).await, [expected.as_slice(), &["expression_failed at /delivery_id"]].concat());
    // Once the mapping is mended, the same delivery is taken.
    put(&app, "sender", &json!({ "proof": { "kind": "api_key" }, "publish": { "key": "order:paid" } }))
        .await
        .expect(200);
    app.send(deliver(&long)).await.expect(201);
}

#[tokio::test]
async fn what_cannot_start_is_refused_with_its_place_and_may_come_again() {
    let app = TestApp::start().await;
    put(&app, "sender", &echoing("github")).await.expect(201);
    let deliver = || github("d-1", r#"{"text":7}"#);
    app.send(deliver()).await.problem(422, "invalid_input").at("/start/run/input/text");
    app.send(github("d-2", "{}")).await.problem(422, "expression_failed").at("/start/run/input/text");
    let mut webhook = echoing("github");
    webhook["paused"] = json!(true);
    put(&app, "sender", &webhook).await.expect(200);
    let later = app.send(deliver()).await.problem(503, "webhook_paused");
    assert!(later.header("retry-after").is_some());
    put(&app, "sender", &json!({ "proof": { "kind": "github" }, "start": { "workflow": "anything" } }))
        .await
        .expect(200);
    let run = run_of(&app.send(deliver()).await.expect(201));
    assert_eq!(app.run(&run).await["input"], json!({ "text": 7 }));
    assert_eq!(reasons(&app).await.len(), 2, "to be told to come later is no failure");
}

#[tokio::test]
async fn a_form_is_read_and_slack_finds_its_receiver() {
    let app = TestApp::start().await;
    put(&app, "sender", &echoing("slack")).await.expect(201);
    let slack = |body: &str| {
        let time = Machine.now().timestamp();
        let tag = tag(&format!("v0:{time}:{body}"));
        let call = to("sender", body).header("x-slack-signature", format!("v0={tag}"));
        call.header("x-slack-request-timestamp", time.to_string())
    };
    let asked = app.send(slack(r#"{"type":"url_verification","challenge":"3eZb"}"#)).await.expect(200);
    assert_eq!(asked.json(), json!({ "challenge": "3eZb" }));
    let form = || slack("text=hello+there&user_id=U1").header("content-type", "application/x-www-form-urlencoded");
    let run = run_of(&app.send(form()).await.expect(201));
    assert_eq!(app.run(&run).await["input"], json!({ "text": "hello there" }));
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_place_and_secrets_are_sealed_and_never_shown() {
    let app = TestApp::start().await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut webhook = echoing("github");
        change(&mut webhook);
        webhook
    };
    let cases = [
        (with(&|webhook| webhook["proof"]["kind"] = json!("rsa")), "/proof/kind"),
        (with(&|webhook| webhook["proof"] = json!({ "kind": "github" })), "/proof/secrets"),
        (with(&|webhook| webhook["proof"]["secrets"] = json!([])), "/proof/secrets"),
        (with(&|webhook| webhook["proof"]["secrets"] = json!([""])), "/proof/secrets/0"),
        (with(&|webhook| webhook["filter"] = json!("payload.")), "/filter"),
        (with(&|webhook| webhook["delivery_id"] = json!("body.id")), "/delivery_id"),
        (with(&|webhook| webhook["publish"] = json!({ "key": "k" })), "/start"),
        (with(&|webhook| webhook["start"] = Value::Null), "/start"),
        (with(&|webhook| webhook["start"]["run"] = json!({})), "/start/run/input"),
    ];
    for (webhook, field) in cases {
        put(&app, "wrong", &webhook).await.problem(422, "invalid_webhook").at(field);
    }
    put(&app, "a%20b", &echoing("github")).await.problem(422, "invalid_webhook").at("name");
    let nowhere = with(&|webhook| webhook["start"]["workflow"] = json!("nowhere"));
    put(&app, "wrong", &nowhere).await.problem(404, "workflow_not_found").at("/start/workflow");
    app.send(Call::get("/api/v1/webhooks/incoming/wrong")).await.problem(404, "webhook_not_found").at("name");

    let rows = async || -> Vec<String> {
        let rows = sqlx::query_scalar("SELECT w::text FROM incoming_webhooks w").fetch_all(app.pool()).await;
        rows.expect("rows")
    };
    put(&app, "sender", &echoing("github")).await.expect(201);
    let before = rows().await;
    // Nothing changes; nor without its secrets.
    put(&app, "sender", &echoing("github")).await.expect(200);
    let kept = with(&|webhook| webhook["proof"] = json!({ "kind": "github" }));
    let shown = put(&app, "sender", &kept).await.expect(200).json();
    assert_eq!(rows().await, before);
    assert_eq!(shown["proof"], json!({ "kind": "github" }));
    let hex = SECRET.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    assert!(!before[0].contains(&hex) && !before[0].contains(SECRET), "it is sealed: {before:?}");
    // No end user is erased with it.
    app.store.forget_subject("acme", "default", Machine.now()).await.expect("it is forgotten");
    app.send(github("d-1", r#"{"text":"hi"}"#)).await.expect(201);
}

#[tokio::test]
async fn webhooks_are_within_their_tenant_and_a_tokens_reach() {
    let app = TestApp::start().await;
    put(&app, "sender", &echoing("github")).await.expect(201);
    put(&app, "events", &json!({ "proof": { "kind": "api_key", "secrets": ["s"] }, "publish": { "key": "k" } }))
        .await
        .expect(201);
    let of_ask = secret(&app, &json!({ "name": "asker", "role": "admin", "workflows": ["ask"] })).await;
    let of_echo = secret(&app, &json!({ "name": "echoer", "role": "admin", "workflows": ["echo"] })).await;
    let names = async |token: &str| -> Vec<String> {
        let list = app.send(Call::get("/api/v1/webhooks/incoming").token(token)).await.expect(200).json();
        let webhooks = list["webhooks"].as_array().expect("webhooks").iter();
        webhooks.map(|webhook| webhook["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&of_ask).await, Vec::<String>::new());
    assert_eq!(names(&of_echo).await, ["sender"]);
    assert_eq!(names(OTHER_TENANT).await, Vec::<String>::new());
    let path = "/api/v1/webhooks/incoming/sender";
    for token in [of_ask.as_str(), OTHER_TENANT] {
        app.send(Call::get(path).token(token)).await.problem(404, "webhook_not_found");
        app.send(Call::get(format!("{path}/failures")).token(token)).await.problem(404, "webhook_not_found");
        app.send(Call::new(Method::DELETE, path).token(token)).await.problem(404, "webhook_not_found");
    }
    let taken = Call::new(Method::PUT, path).token(&of_ask).json(&echoing("github"));
    app.send(taken).await.problem(409, "name_taken").at("name");
    let publishing = json!({ "proof": { "kind": "api_key", "secrets": ["s"] }, "publish": { "key": "k" } });
    let publishing = Call::new(Method::PUT, "/api/v1/webhooks/incoming/more").token(&of_echo).json(&publishing);
    app.send(publishing).await.problem(403, "out_of_reach");
    // A path of another tenant is another webhook.
    let mut elsewhere = github("d-1", r#"{"text":"hi"}"#);
    "/api/v1/hooks/umbrella/sender".clone_into(&mut elsewhere.path);
    app.send(elsewhere).await.problem(404, "webhook_not_found");
    app.send(Call::new(Method::DELETE, path).token(&of_echo)).await.expect(204);
    app.send(github("d-1", r#"{"text":"hi"}"#)).await.problem(404, "webhook_not_found");
    assert_eq!(app.runs_stored().await, 0);
}
