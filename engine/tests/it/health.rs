//! Health, and what callers are told while a part is away.

use axum::http::header;
use serde_json::json;
use valet_engine::store::postgres::migrate;
use valet_stack::Stack;

use super::app::TestApp;
use super::calls::Call;
use super::{database, worker::Worker};

#[tokio::test]
async fn health_needs_no_token() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"] {
        app.send(Call::get(path).without(header::AUTHORIZATION)).await.expect(200);
    }
    let ready = app.send(Call::get("/readyz")).await.expect(200).json();
    assert_eq!(ready, json!({ "ready": true, "postgres": "ok", "redis": "ok" }));
}

#[tokio::test]
async fn readyz_names_redis_when_it_is_away_and_runs_are_still_taken() {
    let app = TestApp::start().await;
    app.queue.set_away(true);
    let away = app.send(Call::get("/readyz")).await.expect(503);
    assert!(away.header("retry-after").is_some());
    assert_eq!(away.json()["postgres"], "ok");
    assert_ne!(away.json()["redis"], "ok");
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    app.queue.set_away(false);
    app.send(Call::get("/readyz")).await.expect(200);
    Worker::open(&app).await.carry_out(&run, 1, json!("out")).await;
    app.until_status(&run, "succeeded").await;
}

/// Every route says 503 and when to come back; what was accepted before is there again after.
#[tokio::test]
async fn while_postgres_is_away_callers_are_told_to_come_back() {
    let stack = Stack::temporary(true).await.expect("the private servers start");
    migrate(stack.database_url()).await.expect("migrations");
    let app = TestApp::on(stack.database_url()).await;
    let run = app.start_run("ask", &json!({})).await;
    let task = app.run(&run).await["tasks"][0]["id"].as_str().expect("a task").to_owned();
    stack.stop_postgres().await.expect("it stops");

    let away = app.send(Call::get("/readyz")).await.expect(503);
    assert!(away.header("retry-after").is_some());
    assert_eq!((away.json()["ready"].clone(), away.json()["redis"].clone()), (json!(false), json!("ok")));
    assert_ne!(away.json()["postgres"], "ok");
    app.send(Call::get("/healthz")).await.expect(200);
    let answer = json!({ "answer": { "age": 1 } });
    let calls = [
        Call::get("/api/v1/runs"),
        Call::get(format!("/api/v1/runs/{run}")),
        Call::get(format!("/api/v1/runs/{run}/events")),
        Call::post(format!("/api/v1/runs/{run}/pause")),
        Call::get("/api/v1/human-tasks"),
        Call::post(format!("/api/v1/human-tasks/{task}/answer")).json(&answer),
        Call::get("/api/v1/queues"),
        Call::get("/api/v1/workers"),
        Call::post("/api/v1/workflows/ask/runs").json(&json!({ "input": {} })),
        Call::post("/api/v1/workflows/ask/runs").json(&json!({ "input": {} })).key("k"),
        Call::post("/worker/v1/sessions")
            .token(super::calls::WORKER)
            .json(&json!({ "protocol": 1, "name": "w", "queues": [], "slots": 1 })),
    ];
    for answer in futures::future::join_all(calls.map(|call| app.send(call))).await {
        let answer = answer.problem(503, "database_unavailable");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }

    stack.start_postgres().await.expect("it starts");
    database::until("it is ready again", async || (app.send(Call::get("/readyz")).await.status == 200).then_some(()))
        .await;
    assert_eq!(app.run(&run).await["status"], "waiting");
    app.send(Call::post(format!("/api/v1/human-tasks/{task}/answer")).json(&answer)).await.expect(200);
    app.until_status(&run, "succeeded").await;
    stack.stop().await.expect("the servers stop");
}
