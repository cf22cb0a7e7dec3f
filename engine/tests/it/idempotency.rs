//! One key, one run: however often and however concurrently a start is posted.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};

use super::app::TestApp;
use super::calls::{Call, OTHER_TENANT};

fn start(body: &Value, key: &str) -> Call {
    Call::post("/api/v1/workflows/echo/runs").json(body).key(key)
}

#[tokio::test]
async fn sixty_four_equal_posts_at_once_make_one_run() {
    let app = TestApp::start().await;
    let body = json!({ "input": { "text": "x" } });
    for round in 0..4 {
        let key = format!("round-{round}");
        let answers = join_all((0..64).map(|_| app.send(start(&body, &key)))).await;
        let created = answers.iter().filter(|answer| answer.status == 201).count();
        assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 201)), "{answers:?}");
        let ids: BTreeSet<String> = answers.iter().map(|answer| answer.json()["id"].to_string()).collect();
        assert_eq!((created, ids.len()), (1, 1));
        assert_eq!(app.runs_stored().await, round + 1);
        for answer in answers {
            let told = answer.json();
            assert_eq!(told["created"], json!(answer.status == 201));
            let location = format!("/api/v1/runs/{}", told["id"].as_str().expect("an id"));
            assert_eq!(answer.header("location"), Some(location.as_str()));
        }
    }
}

#[tokio::test]
async fn two_engines_make_one_run_of_equal_posts_too() {
    let one = TestApp::start().await;
    let two = TestApp::on(&one.url).await;
    let body = json!({ "input": { "text": "x" } });
    let calls = (0..64).map(|n| if n % 2 == 0 { one.send(start(&body, "k")) } else { two.send(start(&body, "k")) });
    let answers = join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 63, "{answers:?}");
    assert_eq!(one.runs_stored().await, 1);
}

#[tokio::test]
async fn another_body_under_the_same_key_is_refused_with_the_first_runs_id() {
    let app = TestApp::start().await;
    let first = app.send(start(&json!({ "input": { "text": "x" } }), "k")).await.expect(201).json();
    let others = [
        json!({ "input": { "text": "y" } }),
        json!({ "input": { "text": "x" }, "subject": "s" }),
        json!({ "input": { "text": "x" }, "plan": "gold" }),
        json!({ "input": { "text": "x" }, "attributes": { "a": 1 } }),
    ];
    for other in others {
        let refused = app.send(start(&other, "k")).await.problem(409, "idempotency_key_reused").at("Idempotency-Key");
        let detail = refused.json()["detail"].as_str().expect("a sentence").to_owned();
        assert!(detail.contains(first["id"].as_str().expect("an id")), "{detail}");
    }
    assert_eq!(app.runs_stored().await, 1);
}

#[tokio::test]
async fn of_different_bodies_at_once_one_makes_its_run() {
    let app = TestApp::start().await;
    let bodies: Vec<Value> = (0..32).map(|n| json!({ "input": { "text": n.to_string() } })).collect();
    let answers = join_all(bodies.iter().map(|body| app.send(start(body, "k")))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for refused in answers.into_iter().filter(|answer| answer.status != 201) {
        refused.problem(409, "idempotency_key_reused");
    }
    assert_eq!(app.runs_stored().await, 1);
}

#[tokio::test]
async fn the_order_of_fields_and_the_spaces_between_them_do_not_matter() {
    let app = TestApp::start().await;
    let call = |body: &str| Call::post("/api/v1/workflows/anything/runs").body(body).key("k");
    app.send(call("{\"input\":{\"a\":1,\"b\":{\"c\":2,\"d\":3}},\"plan\":\"p\"}")).await.expect(201);
    app.send(call("{ \"plan\":\"p\", \"input\" : {\"b\":{\"d\":3,\"c\":2},\"a\":1} }")).await.expect(200);
    app.send(call("{\"input\":{\"a\":1,\"b\":{\"c\":2,\"d\":4}},\"plan\":\"p\"}")).await.expect(409);
}

#[tokio::test]
async fn a_key_belongs_to_its_tenant_and_workflow() {
    let app = TestApp::start().await;
    let body = json!({ "input": { "text": "x" } });
    app.send(start(&body, "k")).await.expect(201);
    app.send(start(&body, "k").token(OTHER_TENANT)).await.expect(201);
    app.send(Call::post("/api/v1/workflows/guarded/runs").json(&body).key("k")).await.expect(201);
    app.send(start(&body, "K")).await.expect(201);
    assert_eq!(app.runs_stored().await, 4);
}

#[tokio::test]
async fn the_key_finds_its_run_after_the_run_ended() {
    let app = TestApp::start().await;
    let call = || Call::post("/api/v1/workflows/anything/runs").json(&json!({ "input": 1 })).key("k");
    let first = app.send(call()).await.expect(201).json();
    let id = first["id"].as_str().expect("an id");
    app.until_status(id, "succeeded").await;
    assert_eq!(app.send(call()).await.expect(200).json()["id"], first["id"]);
}

#[tokio::test]
async fn a_refused_request_does_not_use_its_key_up() {
    let app = TestApp::start().await;
    app.send(start(&json!({ "input": { "texd": "x" } }), "k")).await.problem(422, "invalid_input");
    app.send(start(&json!({ "input": { "text": "x" } }), "k")).await.expect(201);
}
