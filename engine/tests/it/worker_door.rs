//! The worker protocol at its edges: versions, bounds, fences, repeats, effects, blobs.

use serde_json::{Value, json};
use uuid::Uuid;

use super::app::TestApp;
use super::calls::{Call, PEOPLE, WORKER};
use super::worker::{Hold, Worker, bare};

fn open(change: &Value) -> Call {
    let mut body = json!({ "protocol": 1, "name": "w", "queues": ["default"], "slots": 1 });
    for (name, value) in change.as_object().expect("an object") {
        body[name] = value.clone();
    }
    Call::post("/worker/v1/sessions").token(WORKER).json(&body)
}

#[tokio::test]
async fn sessions_that_cannot_be_are_refused() {
    let app = TestApp::start().await;
    let cases = [
        (json!({ "protocol": 2 }), 426, "protocol_version", Some("protocol")),
        (json!({ "protocol": 0 }), 426, "protocol_version", Some("protocol")),
        (json!({ "queues": ["no spaces"] }), 400, "invalid_queue", Some("queues")),
        (json!({ "queues": [""] }), 400, "invalid_queue", Some("queues")),
        (json!({ "slots": 0 }), 400, "invalid_slots", Some("slots")),
        (json!({ "slots": 4_294_967_295_u32 }), 400, "invalid_slots", Some("slots")),
        (json!({ "slots": -1 }), 400, "invalid_body", None),
        (json!({ "name": "a\0b" }), 400, "nul_in_text", Some("name")),
        (json!({ "labels": { "a": "b\0" } }), 400, "nul_in_text", Some("labels")),
        (json!({ "labels": { "a\0": "b" } }), 400, "nul_in_text", Some("labels")),
    ];
    for (change, status, code, field) in cases {
        let refused = app.send(open(&change)).await.problem(status, code);
        assert_eq!(refused.field().as_deref(), field, "{change}");
    }
    let sessions = "SELECT count(*) FROM sessions WHERE kind = 'worker'";
    assert_eq!(sqlx::query_scalar::<_, i64>(sessions).fetch_one(app.pool()).await.expect("a count"), 0);
    // A newer worker may say more than this engine knows.
    app.send(open(&json!({ "gpu": true }))).await.expect(200);
}

#[tokio::test]
async fn a_message_of_another_shape_is_refused_without_repeating_it() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    for path in ["sessions", "heartbeats", "claims", "finishes", "effects"] {
        let call = |body: &str| Call::post(format!("/worker/v1/{path}")).token(WORKER).body(body);
        for body in ["", "{", "[]", "{\"session\":\"geheimnis\",\"protocol\":\"geheimnis\"}"] {
            let refused = app.send(call(body)).await.problem(400, "invalid_body");
            assert!(!String::from_utf8_lossy(&refused.bytes).contains("geheimnis"), "{path} {body}");
        }
    }
    let hold = Hold { run: Uuid::now_v7().to_string(), seq: 1, attempt: 1, lease: Uuid::now_v7().to_string() };
    let claim = json!({ "run": hold.run, "seq": 1, "attempt": 1, "lease": hold.lease });
    let claims: Vec<&Value> = std::iter::repeat_n(&claim, 129).collect();
    let many = json!({ "session": worker.session_uuid(), "claims": claims });
    worker.post("claims", &many).await.problem(413, "too_large");
    let most = json!({ "session": worker.session_uuid(), "claims": claims[..128] });
    assert_eq!(worker.post("claims", &most).await.expect(200).json()["answers"].as_array().map(Vec::len), Some(128));
    let none = json!({ "session": worker.session_uuid(), "finishes": [] });
    assert_eq!(worker.post("finishes", &none).await.expect(200).json(), json!({ "answers": [] }));
}

#[tokio::test]
async fn only_the_holders_finish_is_taken_and_its_repeat_gets_the_same_answer() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    let done = |output: &str| json!({ "done": { "output": output } });
    let unclaimed = Hold { run: bare(&run), seq: 1, attempt: 1, lease: Uuid::now_v7().to_string() };
    assert!(worker.finish(&unclaimed, &done("unclaimed")).await.get("refused").is_some());
    let hold = worker.take(&run, 1, 1).await;
    let foreign = [
        Hold { lease: Uuid::now_v7().to_string(), ..hold.clone() },
        Hold { attempt: 2, ..hold.clone() },
        Hold { seq: 2, ..hold.clone() },
        Hold { run: Uuid::now_v7().to_string(), ..hold.clone() },
    ];
    for other in &foreign {
        let told = worker.finish(other, &done("foreign")).await;
        assert!(told.get("refused").is_some(), "{other:?}: {told}");
    }
    for output in ["first", "second"] {
        let told = worker.finish(&hold, &done(output)).await;
        assert_eq!(told, json!({ "accepted": {} }));
    }
    assert_eq!(app.until_status(&run, "succeeded").await["output"], "first");
    assert_eq!(worker.finish(&hold, &done("third")).await, json!({ "accepted": {} }), "after the end too");
    assert!(worker.finish(&foreign[0], &done("foreign")).await.get("refused").is_some());
}

#[tokio::test]
async fn a_batch_answers_each_of_its_finishes() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let mut finishes = Vec::new();
    for n in 0..3 {
        let run = app.start_run("echo", &json!({ "text": n.to_string() })).await;
        let hold = worker.take(&run, 1, 1).await;
        let lease = if n == 1 { Uuid::now_v7().to_string() } else { hold.lease };
        finishes.push(json!({ "run": hold.run, "seq": 1, "attempt": 1, "lease": lease,
                              "outcome": { "done": { "output": "x" } } }));
    }
    let body = json!({ "session": worker.session_uuid(), "finishes": finishes });
    let answers = worker.post("finishes", &body).await.expect(200).json()["answers"].clone();
    let kinds: Vec<&str> = answers
        .as_array()
        .expect("answers")
        .iter()
        .map(|a| a.as_object().expect("one").keys().next().expect("k").as_str())
        .collect();
    assert_eq!(kinds, ["accepted", "refused", "accepted"]);
}

#[tokio::test]
async fn an_effect_begins_only_under_a_live_lease_of_a_run_that_goes_on() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    let hold = worker.take(&run, 1, 1).await;
    let begin = async |hold: &Hold| {
        let body = json!({ "session": worker.session_uuid(), "run": hold.run, "seq": hold.seq,
                           "attempt": hold.attempt, "lease": hold.lease });
        worker.post("effects", &body).await.expect(200).json()
    };
    assert_eq!(begin(&hold).await, json!("go"));
    assert_eq!(begin(&hold).await, json!("go"), "a repeat gets the same answer");
    assert_eq!(begin(&Hold { lease: Uuid::now_v7().to_string(), ..hold.clone() }).await, json!("no"));
    assert_eq!(begin(&Hold { attempt: 2, ..hold.clone() }).await, json!("no"));
    app.send(Call::post(format!("/api/v1/runs/{run}/pause"))).await.expect(200);
    assert_eq!(begin(&hold).await, json!("no"), "not while the run is paused");
    app.send(Call::post(format!("/api/v1/runs/{run}/resume"))).await.expect(200);
    assert_eq!(begin(&hold).await, json!("go"));
    app.send(Call::post(format!("/api/v1/runs/{run}/cancel"))).await.expect(200);
    assert_eq!(begin(&hold).await, json!("no"), "not once it is told to stop");
}

#[tokio::test]
async fn progress_goes_to_the_next_attempt() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    let hold = worker.take(&run, 1, 1).await;
    let held = json!([{ "run": hold.run, "seq": 1, "attempt": 1, "lease": hold.lease, "progress": { "page": 3 } }]);
    let beat = json!({ "session": worker.session_uuid(), "free_slots": 0, "held": held });
    assert_eq!(worker.post("heartbeats", &beat).await.expect(200).json()["stop"], json!([]));
    worker.finish(&hold, &json!("handed_back")).await;
    let next = worker.take(&run, 1, 2).await;
    assert_eq!(worker.claim(&next).await["granted"]["progress"], json!({ "page": 3 }));
}

#[tokio::test]
async fn a_steps_blob_is_an_artifact_of_its_run() {
    let app = TestApp::start().await;
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    let put = |run: &str, body: &[u8]| {
        let path = format!("/worker/v1/blobs?run={run}&seq=1&name=page.png");
        Call::post(path).token(WORKER).body(body)
    };
    let png = [0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0];
    let stored = app.send(put(&bare(&run), &png)).await.expect(201).json();
    let id = stored["id"].as_str().expect("an id");
    assert_eq!(app.send(Call::get(format!("/worker/v1/blobs/{id}")).token(WORKER)).await.expect(200).bytes, png);
    let artifacts = app.send(Call::get(format!("/api/v1/runs/{run}/artifacts"))).await.expect(200).json();
    let artifact = &artifacts["artifacts"][0];
    assert_eq!((&artifact["filename"], &artifact["content_type"]), (&json!("page.png"), &json!("image/png")));
    let bytes = app.send(Call::get(format!("/api/v1/files/{}", artifact["id"].as_str().expect("an id")))).await;
    assert_eq!(bytes.expect(200).bytes, png);
    app.send(put(&Uuid::now_v7().to_string(), &png)).await.problem(404, "run_not_found").at("run");
    app.send(put("nonsense", &png)).await.problem(400, "invalid_query").at("run");
    app.send(put(&bare(&run), &png).token(PEOPLE)).await.problem(403, "wrong_scope");
}
