//! Runs that go on in new journals, that somebody outside completes, that are forked, that may spend so much.

use axum::http::{Method, header};
use serde_json::{Value, json};

use super::app::TestApp;
use super::calls::{Answer, Call};
use super::events::{Event, Reader};
use super::worker::Worker;

async fn memo(app: &TestApp, run: &str, name: &str) -> String {
    app.run(run).await["memo"][name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned()
}

/// With no token of the API.
fn complete(token: &str, body: &Value) -> Call {
    Call::post(format!("/api/v1/completions/{token}")).without(header::AUTHORIZATION).json(body)
}

async fn fork(app: &TestApp, run: &str, body: &Value) -> Answer {
    app.send(Call::post(format!("/api/v1/runs/{run}/fork")).json(body)).await
}

#[tokio::test]
async fn whoever_holds_the_token_completes_what_the_run_waits_for_once() {
    let app = TestApp::start().await;
    let run = app.start_run("callback", &json!({})).await;
    let shown = app.run(&run).await;
    assert_eq!((&shown["reason"]["kind"], &shown["reason"]["name"]), (&json!("completion"), &json!("invoice")));
    let (token, url) = (memo(&app, &run, "token").await, memo(&app, &run, "url").await);
    assert_eq!(url, format!("{}/api/v1/completions/{token}", super::app::PUBLIC_URL));
    let paid = json!({ "output": { "paid": 3 } });
    app.send(complete(&format!("{}x", &token[..token.len() - 1]), &paid)).await.problem(404, "completion_not_found");
    app.send(complete("cb_nonsense", &paid)).await.problem(404, "completion_not_found");
    app.send(complete(&token, &json!({}))).await.problem(422, "invalid_input").at("/output");
    app.send(complete(&token, &paid)).await.expect(204);
    assert_eq!(app.until_status(&run, "succeeded").await["output"], json!({ "paid": 3 }));
    app.send(complete(&token, &paid)).await.expect(204);
    app.send(complete(&token, &json!({ "output": 4 }))).await.problem(409, "completed_before");
    let failed = app.start_run("callback", &json!({})).await;
    let error = json!({ "error": { "code": "refused", "message": "no funds" } });
    app.send(complete(&memo(&app, &failed, "token").await, &error)).await.expect(204);
    assert_eq!(app.until_status(&failed, "failed").await["error"]["code"], "refused");
}

/// The journal as it is shown tells that there is a token, not which.
#[tokio::test]
async fn a_completions_secret_is_not_among_the_events() {
    let app = TestApp::start().await;
    let run = app.start_run("callback", &json!({})).await;
    let token = memo(&app, &run, "token").await;
    let secret = token.rsplit('_').next().expect("a secret").to_owned();
    app.send(complete(&token, &json!({ "output": 1 }))).await.expect(204);
    let events = Reader::open(&app, &run, None).await.rest().await;
    let told = |event: &Event| event.data["entry"].to_string();
    let ops: Vec<String> = events.iter().map(told).filter(|entry| entry.contains("\"completion\"")).collect();
    assert_eq!(ops.len(), 1, "{ops:?}");
    assert!(!ops[0].contains(&secret), "{}", ops[0]);
}

/// What undoes is started by a chunk that does not hold its input; the journal that does is not read any more perhaps.
#[tokio::test]
async fn what_undoes_is_granted_with_its_input_whichever_journal_registered_it() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("regret", &json!({ "text": "first" })).await;
    for (seq, text) in [(2, "second"), (1, "first")] {
        let hold = worker.take(&run, seq, 1).await;
        assert_eq!(worker.claim(&hold).await["granted"]["input"], json!({ "text": text }));
        worker.finish(&hold, &json!({ "done": { "output": null } })).await;
    }
    assert_eq!(app.until_status(&run, "failed").await["error"]["code"], "regret");
}

#[tokio::test]
async fn a_run_goes_on_in_new_journals_and_is_read_from_the_last() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let input = json!({ "text": "round", "left": 3, "usd_micros": 10 });
    let start = json!({ "input": input, "attributes": { "first": true, "kept": "yes" } });
    let started = app.send(Call::post("/api/v1/workflows/marathon/runs").json(&start)).await.expect(201).json();
    let run = started["id"].as_str().expect("an id").to_owned();
    for (lap, left) in [3, 2, 1].into_iter().enumerate() {
        let shown = app.run(&run).await;
        assert_eq!((&shown["input"]["left"], &shown["attributes"]["lap"]), (&json!(left), &json!(left)));
        assert_eq!(shown["attributes"], json!({ "kept": "yes", "lap": left }), "null takes one off");
        assert_eq!(shown["spent_usd_micros"], 10 * (lap + 1));
        assert_eq!(shown["generation"], if lap == 0 { Value::Null } else { json!(lap) });
        let seq = shown["steps"][0]["seq"].as_u64().expect("a step");
        worker.carry_out(&run, seq as u32, json!("said")).await;
    }
    // Another engine knows only what is stored.
    let begins: i32 = sqlx::query_scalar("SELECT journal_from FROM runs").fetch_one(app.pool()).await.expect("a row");
    assert!(begins > 1, "{begins}");
    let after = TestApp::with(&app.url, super::workflows::registry()).await;
    let worker = Worker::open(&after).await;
    let seq = after.run(&run).await["steps"][0]["seq"].as_u64().expect("a step");
    worker.carry_out(&run, seq as u32, json!("the last")).await;
    let ended = after.until_status(&run, "succeeded").await;
    assert_eq!((&ended["output"], &ended["spent_usd_micros"]), (&json!("the last"), &json!(40)));
    assert_eq!((&ended["progress"], &ended["attributes"]), (&json!(1.0), &json!({ "kept": "yes", "lap": 0 })));
}

#[tokio::test]
async fn a_run_past_its_budget_waits_for_an_operator() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let input = json!({ "text": "x", "left": 0, "usd_micros": 100 });
    let start = json!({ "input": input, "budget_usd_micros": 150 });
    let started = app.send(Call::post("/api/v1/workflows/marathon/runs").json(&start)).await.expect(201).json();
    let run = started["id"].as_str().expect("an id").to_owned();
    let hold = worker.take(&run, 4, 1).await;
    let cost = json!({ "what": "tokens", "usd_micros": 60 });
    let answer = worker.finish_with_costs(&hold, &json!({ "done": { "output": "said" } }), &json!([cost])).await;
    assert!(answer.get("accepted").is_some(), "{answer}");
    let held = app.run(&run).await;
    assert_eq!((&held["paused"], &held["reason"]["by"]), (&json!(true), &json!("budget")));
    assert_eq!((&held["spent_usd_micros"], &held["budget_usd_micros"]), (&json!(160), &json!(150)));
    let budget = |micros: Value| {
        Call::new(Method::PUT, format!("/api/v1/runs/{run}/budget")).json(&json!({ "budget_usd_micros": micros }))
    };
    assert_eq!(app.send(budget(json!(155))).await.expect(200).json()["paused"], true);
    app.send(budget(json!("a lot"))).await.problem(422, "invalid_body").at("/budget_usd_micros");
    app.send(budget(json!(160))).await.expect(200);
    assert_eq!(app.until_status(&run, "succeeded").await["output"], "said");
    app.send(budget(Value::Null)).await.problem(409, "run_ended");
}

#[tokio::test]
async fn a_finish_with_too_many_costs_is_refused_and_says_how_many() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    let hold = worker.take(&run, 1, 1).await;
    let costs: Vec<Value> = (0..33).map(|n| json!({ "what": n.to_string(), "usd_micros": 1 })).collect();
    let answer = worker.finish_with_costs(&hold, &json!({ "done": { "output": "x" } }), &json!(costs)).await;
    assert!(answer["refused"]["why"].as_str().is_some_and(|why| why.contains("at most 32")), "{answer}");
}

#[tokio::test]
async fn a_run_that_is_not_done_in_its_time_ends_as_timed_out() {
    let app = TestApp::start().await;
    let start = |seconds: Value| {
        let body = json!({ "input": {}, "timeout_seconds": seconds });
        Call::post("/api/v1/workflows/ask/runs").json(&body)
    };
    app.send(start(json!(0))).await.problem(422, "invalid_input").at("/timeout_seconds");
    let run = app.send(start(json!(1))).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
    let ended = app.until_status(&run, "timed_out").await;
    assert_eq!((&ended["error"]["code"], &ended["tasks"][0]["state"]), (&json!("timed_out"), &json!("cancelled")));
}

#[tokio::test]
async fn a_fork_keeps_results_and_says_where_it_came_from() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("listen", &json!({ "count": 2 })).await;
    for (key, payload) in [("a", 1), ("b", 2)] {
        let signal = Call::post(format!("/api/v1/runs/{run}/signals/go")).json(&json!({ "payload": payload }));
        app.send(signal.key(key)).await.expect(204);
    }
    let ended = app.until_status(&run, "succeeded").await;
    assert_eq!(ended["output"], json!([1, 2]));
    // Started, wait, kept, taken: what comes then is done anew.
    let body = json!({ "entry": 4 });
    let made = Call::post(format!("/api/v1/runs/{run}/fork")).json(&body).key("k");
    let forked = app.send(made.clone()).await.expect(201).json();
    assert_eq!(app.send(made).await.expect(200).json()["id"], forked["id"], "once for a key");
    let fork_id = forked["id"].as_str().expect("an id").to_owned();
    let shown = app.run(&fork_id).await;
    assert_eq!(shown["forked_from"], json!({ "run": run, "entry": 4, "by": "ada" }));
    let signal = Call::post(format!("/api/v1/runs/{fork_id}/signals/go")).json(&json!({ "payload": 9 }));
    app.send(signal).await.expect(204);
    assert_eq!(app.until_status(&fork_id, "succeeded").await["output"], json!([1, 9]));
    let again = fork(&app, &run, &json!({ "entry": 0, "input": { "count": 0 } })).await.expect(201).json();
    assert_eq!(app.until_status(again["id"].as_str().expect("an id"), "succeeded").await["output"], json!([]));

    let guarded = app.start_run("guarded", &json!({ "text": "x" })).await;
    worker.take(&guarded, 2, 1).await;
    let cut = fork(&app, &guarded, &json!({ "entry": 3 })).await.expect(201).json();
    assert_eq!(cut["entry"], 1, "before what it would have to clean");
}

#[tokio::test]
async fn a_fork_that_cannot_be_is_refused_with_the_field_and_the_fix() {
    let app = TestApp::start().await;
    let run = app.start_run("listen", &json!({ "count": 1 })).await;
    fork(&app, &run, &json!({ "entry": 99 })).await.problem(404, "entry_not_found").at("/entry");
    let input = json!({ "entry": 1, "input": { "count": 2 } });
    fork(&app, &run, &input).await.problem(422, "invalid_input").at("/input");
    let bad = json!({ "entry": 0, "input": { "count": "x" } });
    fork(&app, &run, &bad).await.problem(422, "invalid_input").at("/input/count");
    fork(&app, "run_00000000000080008000000000000000", &json!({ "entry": 0 })).await.problem(404, "run_not_found");
}
