//! Several runs in one request: `POST /api/v1/workflows/{name}/runs/bulk`.

use serde_json::{Value, json};

use super::app::TestApp;
use super::calls::Call;

const ROUTE: &str = "/api/v1/workflows/ask/runs/bulk";

fn bulk(runs: &[Value]) -> Call {
    Call::post(ROUTE).json(&json!({ "runs": runs }))
}

async fn live(app: &TestApp) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM runs").fetch_one(app.pool()).await.expect("a count")
}

#[tokio::test]
async fn a_thousand_runs_start_with_one_request_in_its_order_and_once() {
    let app = TestApp::start().await;
    let runs: Vec<Value> = (0..1_000).map(|n| json!({ "input": {}, "subject": format!("s{n}") })).collect();
    let first = app.send(bulk(&runs).key("import-7")).await.expect(200).json();
    assert_eq!((first["refused"].as_u64(), live(&app).await), (Some(0), 1_000));
    let results = first["results"].as_array().expect("results");
    assert!(results.iter().all(|result| result["created"] == true));
    for place in [0, 1, 999] {
        let id = results[place]["id"].as_str().expect("an id");
        assert_eq!(app.run(id).await["subject"], format!("s{place}"), "in the request's order");
    }
    let again = app.send(bulk(&runs).key("import-7")).await.expect(200).json();
    let again = again["results"].as_array().expect("results");
    assert!(again.iter().zip(results).all(|(again, first)| again["id"] == first["id"] && again["created"] == false));
    assert_eq!(live(&app).await, 1_000);
}

#[tokio::test]
async fn one_that_is_refused_is_named_and_holds_up_no_other() {
    let app = TestApp::start().await;
    let answer = app
        .send(bulk(&[
            json!({ "input": {}, "idempotency_key": "a" }),
            json!({ "input": {}, "unknown": 1 }),
            json!({ "subject": "ada" }),
            json!({ "input": {}, "timeout_seconds": 0 }),
            json!({ "input": {}, "idempotency_key": 7 }),
            json!({ "input": {}, "idempotency_key": "" }),
            json!("a run"),
            json!({ "input": {}, "idempotency_key": "a" }),
            json!({ "input": {}, "idempotency_key": "a", "plan": "other" }),
            json!({ "input": {} }),
        ]))
        .await
        .expect(200)
        .json();
    let results = answer["results"].as_array().expect("results");
    let places: Vec<(usize, &str, &str)> = results
        .iter()
        .enumerate()
        .filter_map(|(n, result)| Some((n, result["error"]["code"].as_str()?, result["error"]["field"].as_str()?)))
        .collect();
    assert_eq!(
        places,
        [
            (1, "invalid_body", "/runs/1/unknown"),
            (2, "invalid_body", "/runs/2/input"),
            (3, "invalid_input", "/runs/3/timeout_seconds"),
            (4, "invalid_idempotency_key", "/runs/4/idempotency_key"),
            (5, "invalid_idempotency_key", "/runs/5/idempotency_key"),
            (6, "invalid_body", "/runs/6"),
            (8, "idempotency_key_reused", "/runs/8/idempotency_key"),
        ]
    );
    assert_eq!(answer["refused"], 7);
    assert_eq!(results[0]["id"], results[7]["id"], "one key, one run");
    assert_eq!(live(&app).await, 2);
}

#[tokio::test]
async fn a_bulk_that_is_none_starts_nothing() {
    let app = TestApp::start().await;
    app.send(bulk(&[])).await.problem(400, "invalid_count").at("/runs");
    app.send(bulk(&vec![json!({ "input": {} }); 1_001])).await.problem(400, "invalid_count").at("/runs");
    app.send(Call::post(ROUTE).json(&json!({ "runs": {} }))).await.problem(422, "invalid_body").at("/runs");
    let nowhere = Call::post("/api/v1/workflows/nowhere/runs/bulk").json(&json!({ "runs": [{ "input": {} }] }));
    app.send(nowhere).await.problem(404, "workflow_not_found").at("name");
    assert_eq!(live(&app).await, 0);
}
