//! Events: what they fit, what they start, once.

use axum::http::Method;
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;
use valet_core::id::RunId;
use valet_engine::access::Reach;
use valet_engine::audit::Deed;
use valet_engine::http::look_at_schedules;
use valet_engine::ports::{Clock as _, Entropy as _, Machine};
use valet_engine::store::postgres::events::{NewEvent, NewEventRun};

use super::access::secret;
use super::app::TestApp;
use super::calls::{Answer, Call, OTHER_TENANT};

async fn put(app: &TestApp, name: &str, trigger: &Value) -> Answer {
    app.send(Call::new(Method::PUT, format!("/api/v1/event-triggers/{name}")).json(trigger)).await
}

pub fn event(key: &str, payload: &Value) -> Call {
    Call::post("/api/v1/events").json(&json!({ "key": key, "payload": payload }))
}

/// Names of the triggers that an event fitted, with what came of each.
fn fitted(event: &Value) -> Vec<(&str, &str)> {
    let runs = event["runs"].as_array().expect("runs");
    runs.iter().map(|run| (run["trigger"].as_str().expect("a name"), run["state"].as_str().expect("a state"))).collect()
}

#[tokio::test]
async fn an_event_starts_a_run_for_each_trigger_that_it_fits() {
    let app = TestApp::start().await;
    let echo = |key: &str, more: Value| {
        let mut trigger =
            json!({ "key": key, "workflow": "echo", "run": { "input": { "text": { "$cel": "payload.text" } } } });
        trigger.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        trigger
    };
    for (name, trigger) in [
        ("exact", echo("user:new", json!({}))),
        ("wild", echo("user:*", json!({}))),
        ("other", echo("user_*", json!({}))),
        ("scoped", echo("*", json!({ "scope": "eu" }))),
        ("filtered", echo("*", json!({ "filter": "payload.n > 1" }))),
        ("paused", echo("*", json!({ "paused": true }))),
    ] {
        put(&app, name, &trigger).await.expect(201);
        put(&app, name, &trigger).await.expect(200);
    }
    let pushed = app.send(event("user:new", &json!({ "text": "hi", "n": 1 }))).await.expect(201).json();
    assert_eq!(fitted(&pushed), [("exact", "started"), ("wild", "started")]);
    let run = app.run(pushed["runs"][0]["run"].as_str().expect("a run")).await;
    assert_eq!((&run["workflow"], &run["input"]), (&json!("echo"), &json!({ "text": "hi" })));
    let pushed = app.send(event("order:paid", &json!({ "text": "hi", "n": 2 }))).await.expect(201).json();
    assert_eq!(fitted(&pushed), [("filtered", "started")]);
    let body = json!({ "key": "order:paid", "scope": "eu", "subject": "ada", "payload": { "text": "hi" } });
    let scoped = app.send(Call::post("/api/v1/events").json(&body)).await.expect(201).json();
    assert_eq!(fitted(&scoped), [("scoped", "started")]);
    assert_eq!(app.run(scoped["runs"][0]["run"].as_str().expect("a run")).await["subject"], "ada");
    assert_eq!(app.runs_stored().await, 4);

    let list = app.send(Call::get("/api/v1/events?limit=2")).await.expect(200).json();
    assert_eq!((&list["events"][0]["id"], list["events"][0].get("payload")), (&scoped["id"], None));
    let next = list["next_cursor"].as_str().expect("a cursor");
    let rest = app.send(Call::get(format!("/api/v1/events?cursor={next}"))).await.expect(200).json();
    assert_eq!(fitted(&rest["events"][0]), [("exact", "started"), ("wild", "started")]);
    let of_key = app.send(Call::get("/api/v1/events?key=user:new")).await.expect(200).json();
    assert_eq!(of_key["events"].as_array().map(Vec::len), Some(1));
    let id = scoped["id"].as_str().expect("an id");
    let one = app.send(Call::get(format!("/api/v1/events/{id}"))).await.expect(200).json();
    assert_eq!(one["payload"], json!({ "text": "hi" }));
    let stored: Vec<u8> =
        sqlx::query_scalar("SELECT body FROM events LIMIT 1").fetch_one(app.pool()).await.expect("a row");
    assert!(!String::from_utf8_lossy(&stored).contains("\"text\""), "what it carries is sealed");

    app.send(Call::new(Method::DELETE, "/api/v1/event-triggers/filtered")).await.expect(204);
    app.send(Call::get("/api/v1/event-triggers/filtered")).await.problem(404, "trigger_not_found").at("name");
    let quiet = app.send(event("order:paid", &json!({ "text": "hi", "n": 2 }))).await.expect(201).json();
    assert_eq!(fitted(&quiet), []);
}

#[tokio::test]
async fn one_key_is_one_event_and_a_replay_is_another() {
    let app = TestApp::start().await;
    put(&app, "all", &json!({ "key": "*", "workflow": "anything" })).await.expect(201);
    let push = || event("k", &json!({ "n": 1 })).key("once");
    let answers = join_all((0..8).map(|_| app.send(push()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 201)), "{answers:?}");
    assert_eq!(app.runs_stored().await, 1);
    let other = app.send(event("k", &json!({ "n": 2 })).key("once")).await.problem(409, "idempotency_key_reused");
    other.at("Idempotency-Key");
    let id = answers[0].json()["id"].as_str().expect("an id").to_owned();
    let replay = || Call::post(format!("/api/v1/events/{id}/replay"));
    let replayed = app.send(replay().key("again")).await.expect(201).json();
    assert_eq!((&replayed["replay_of"], &replayed["payload"]), (&json!(id), &json!({ "n": 1 })));
    assert_eq!(app.send(replay().key("again")).await.expect(200).json()["id"], replayed["id"]);
    app.send(replay().key("once")).await.problem(409, "idempotency_key_reused");
    assert_eq!(app.runs_stored().await, 2);
}

#[tokio::test]
async fn what_cannot_start_is_named_and_holds_up_no_other() {
    let app = TestApp::start().await;
    let echo = |text: Value| json!({ "key": "*", "workflow": "echo", "run": { "input": { "text": text } } });
    put(&app, "good", &echo(json!({ "$cel": "payload.text" }))).await.expect(201);
    put(&app, "unmapped", &echo(json!({ "$cel": "payload.missing" }))).await.expect(201);
    put(&app, "unfit", &echo(json!({ "$cel": "payload.n" }))).await.expect(201);
    let pushed = app.send(event("k", &json!({ "text": "hi", "n": 7 }))).await.expect(201).json();
    assert_eq!(fitted(&pushed), [("good", "started"), ("unfit", "refused"), ("unmapped", "refused")]);
    let reasons = [&pushed["runs"][1]["reason"], &pushed["runs"][2]["reason"]];
    assert_eq!(reasons, ["invalid_input at /run/input/text", "expression_failed at /run/input/text"]);
    assert_eq!(app.runs_stored().await, 1);
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_place() {
    let app = TestApp::start().await;
    let cases = [
        (json!({ "key": "", "workflow": "ask" }), "/key"),
        (json!({ "key": "a\nb", "workflow": "ask" }), "/key"),
        (json!({ "key": "k", "scope": "", "workflow": "ask" }), "/scope"),
        (json!({ "key": "k", "filter": "payload.", "workflow": "ask" }), "/filter"),
        (json!({ "key": "k", "filter": "person.age > 1", "workflow": "ask" }), "/filter"),
        (json!({ "key": "k", "workflow": "ask", "run": {} }), "/run/input"),
        (json!({ "key": "k", "workflow": "ask", "run": { "input": 1, "inputs": 1 } }), "/run/inputs"),
        (json!({ "key": "k", "workflow": "ask", "run": { "input": { "$cel": "1 +" } } }), "/run/input/$cel"),
    ];
    for (trigger, field) in cases {
        put(&app, "wrong", &trigger).await.problem(422, "invalid_trigger").at(field);
    }
    let nowhere = json!({ "key": "k", "workflow": "nowhere" });
    put(&app, "wrong", &nowhere).await.problem(404, "workflow_not_found").at("/workflow");
    put(&app, "a%20b", &json!({ "key": "k", "workflow": "ask" })).await.problem(422, "invalid_trigger").at("name");
    let push = |body: Value| app.send(Call::post("/api/v1/events").json(&body));
    push(json!({ "key": "" })).await.problem(422, "invalid_event").at("/key");
    push(json!({ "key": "k", "subject": "" })).await.problem(422, "invalid_event").at("/subject");
    push(json!({ "payload": 1 })).await.problem(422, "invalid_body").at("/key");
    app.send(Call::get("/api/v1/events/event_1")).await.problem(404, "event_not_found").at("id");
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(app.pool()).await.expect("a count");
    assert_eq!(count, 0);
}

/// What an engine noted and did not start, or started and did not settle, another carries on; the run is the same one.
#[tokio::test]
async fn what_an_engine_left_is_started_once_by_another() {
    let app = TestApp::start().await;
    let run = RunId::root(Machine.now(), Machine.bytes());
    let start = Ok((run, "ada".to_owned(), br#"{"input":1,"subject":"ada"}"#.to_vec()));
    let runs =
        [NewEventRun { trigger: Uuid::now_v7(), name: "all".to_owned(), workflow: "anything".to_owned(), start }];
    let id = Uuid::now_v7();
    let new = NewEvent {
        id,
        tenant: "acme",
        key: "k",
        scope: None,
        subject: "ada",
        payload: b"1",
        idempotency_key: None,
        request_hash: b"",
        replay_of: None,
        runs: &runs,
        reach: &Reach::default(),
    };
    // Its engine dies before it starts the run.
    assert!(app.store.add_event(&new, &Deed::queued("acme")).await.expect("it is kept").is_some());
    let body: Vec<u8> =
        sqlx::query_scalar("SELECT body FROM event_runs").fetch_one(app.pool()).await.expect("a sealed start");
    look_at_schedules(&app.app).await.expect("a look");
    assert_eq!(app.runs_stored().await, 0, "its engine may be at it");
    let left = "UPDATE event_runs SET state = 'starting', body = $1, moved_at = now() - interval '1 minute'";
    for _ in 0..2 {
        // The second time it has died after the start, before it said so; and the run has ended.
        sqlx::query(left).bind(&body).execute(app.pool()).await.expect("time");
        look_at_schedules(&app.app).await.expect("a look");
        let shown = app.send(Call::get(format!("/api/v1/events/event_{}", id.simple()))).await.expect(200).json();
        assert_eq!((fitted(&shown), &shown["runs"][0]["run"]), (vec![("all", "started")], &json!(run.to_string())));
        assert_eq!(app.runs_stored().await, 1);
    }
}

#[tokio::test]
async fn events_are_within_their_tenant_and_a_tokens_reach_and_go_with_their_subject() {
    let app = TestApp::start().await;
    put(&app, "asks", &json!({ "key": "*", "workflow": "ask", "run": { "input": {} } })).await.expect(201);
    put(&app, "echoes", &json!({ "key": "*", "workflow": "echo", "run": { "input": { "text": "x" } } }))
        .await
        .expect(201);
    let limited = json!({ "name": "ada's", "role": "admin", "workflows": ["ask"], "subjects": ["ada"] });
    let limited = secret(&app, &limited).await;
    let of =
        |subject: &str| Call::post("/api/v1/events").json(&json!({ "key": "k", "subject": subject })).token(&limited);
    app.send(of("eve")).await.problem(403, "out_of_reach").at("/subject");
    let pushed = app.send(of("ada")).await.expect(201).json();
    assert_eq!(fitted(&pushed), [("asks", "started")], "only what the token reaches");
    app.send(Call::post("/api/v1/events").json(&json!({ "key": "k", "subject": "eve" }))).await.expect(201);
    let list = app.send(Call::get("/api/v1/events").token(&limited)).await.expect(200).json();
    assert_eq!(list["events"].as_array().map(Vec::len), Some(1), "{list}");
    let trigger = Call::new(Method::PUT, "/api/v1/event-triggers/asks").json(&json!({ "key": "k", "workflow": "ask" }));
    app.send(trigger.token(&limited)).await.problem(403, "out_of_reach");
    let theirs = app.send(event("k", &json!({})).token(OTHER_TENANT)).await.expect(201).json();
    assert_eq!(fitted(&theirs), [], "triggers are their tenant's");
    app.store.forget_subject("acme", "ada", Machine.now()).await.expect("it is forgotten");
    let left: Vec<String> =
        sqlx::query_scalar("SELECT e.subject FROM events e JOIN event_runs r ON r.event_id = e.id GROUP BY 1")
            .fetch_all(app.pool())
            .await
            .expect("subjects");
    assert_eq!(left, ["eve"]);
}
