//! What operators do with runs: pause, resume, cancel, retry, signal.

use futures::future::join_all;
use serde_json::{Value, json};

use super::app::TestApp;
use super::calls::{Answer, Call};
use super::worker::{Hold, Worker, bare};

async fn operate(app: &TestApp, run: &str, verb: &str) -> Answer {
    app.send(Call::post(format!("/api/v1/runs/{run}/{verb}"))).await
}

fn signal(run: &str, key: &str, payload: &Value) -> Call {
    Call::post(format!("/api/v1/runs/{run}/signals/go")).json(&json!({ "payload": payload })).key(key)
}

#[tokio::test]
async fn pausing_and_resuming_again_changes_nothing() {
    let app = TestApp::start().await;
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    let first = operate(&app, &run, "pause").await.expect(200).json();
    assert_eq!((&first["paused"], &first["reason"]["kind"]), (&json!(true), &json!("paused")));
    let again = operate(&app, &run, "pause").await.expect(200).json();
    assert_eq!(again["revision"], first["revision"], "nothing was written");
    let resumed = operate(&app, &run, "resume").await.expect(200).json();
    assert_eq!(resumed["paused"], json!(false));
    let again = operate(&app, &run, "resume").await.expect(200).json();
    assert_eq!(again["revision"], resumed["revision"]);
}

#[tokio::test]
async fn a_paused_run_grants_nothing_and_takes_results() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let (held, waiting) = (
        app.start_run("echo", &json!({ "text": "held" })).await,
        app.start_run("echo", &json!({ "text": "waiting" })).await,
    );
    let hold = worker.take(&held, 1, 1).await;
    for run in [&held, &waiting] {
        operate(&app, run, "pause").await.expect(200);
    }
    let lease = uuid::Uuid::now_v7().to_string();
    let claim = Hold { run: bare(&waiting), seq: 1, attempt: 1, lease };
    assert_eq!(worker.claim(&claim).await, json!({ "refused": { "why": "gated" } }));
    let answer = worker.finish(&hold, &json!({ "done": { "output": "out" } })).await;
    assert!(answer.get("accepted").is_some(), "{answer}");
    let run = app.run(&held).await;
    assert_eq!((&run["status"], &run["output"]), (&json!("waiting"), &Value::Null), "the result is held");
    for run in [&held, &waiting] {
        operate(&app, run, "resume").await.expect(200);
    }
    assert_eq!(app.until_status(&held, "succeeded").await["output"], "out");
    assert!(worker.claim(&claim).await.get("granted").is_some());
}

#[tokio::test]
async fn cancelling_ends_a_waiting_run_at_once_and_again_is_refused() {
    let app = TestApp::start().await;
    let run = app.start_run("ask", &json!({})).await;
    let cancel = Call::post(format!("/api/v1/runs/{run}/cancel")).json(&json!({ "reason": "no longer wanted" }));
    let cancelled = app.send(cancel.clone()).await.expect(200).json();
    assert_eq!(cancelled["status"], "cancelled");
    app.send(cancel).await.problem(409, "run_ended");
    let detail = app.run(&run).await;
    assert_eq!(detail["error"]["message"], "cancelled by ada: no longer wanted");
    assert_eq!(detail["tasks"][0]["state"], "cancelled");
    for verb in ["pause", "resume", "retry"] {
        operate(&app, &run, verb).await.problem(409, "run_ended");
    }
    app.send(signal(&run, "k", &json!(1))).await.problem(409, "run_ended");
}

#[tokio::test]
async fn a_closing_run_takes_one_cancel_and_no_other_change() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("guarded", &json!({ "text": "x" })).await;
    let hold = worker.take(&run, 2, 1).await;
    let closing = operate(&app, &run, "cancel").await.expect(200).json();
    assert_eq!(closing["status"], "closing");
    // Its outcome is fixed already: asking again changes nothing.
    let again = operate(&app, &run, "cancel").await.expect(200).json();
    assert_eq!(again["revision"], closing["revision"]);
    app.send(signal(&run, "k", &json!(1))).await.problem(409, "run_closing");
    operate(&app, &run, "retry").await.problem(409, "nothing_to_retry");
    assert_eq!(worker.beat(&[&hold]).await["stop"], json!([hold.lease]), "the worker is told to stop");
    worker.finish(&hold, &json!("cancelled")).await;
    worker.carry_out(&run, 1, Value::Null).await;
    app.until_status(&run, "cancelled").await;
}

#[tokio::test]
async fn retry_lets_a_parked_step_try_again_and_nothing_else() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    operate(&app, &run, "retry").await.problem(409, "nothing_to_retry");
    let hold = worker.take(&run, 1, 1).await;
    let error = json!({ "retry": { "error": { "code": "flaky", "message": "no luck" } } });
    worker.finish(&hold, &error).await;
    let parked = app.run(&run).await;
    assert_eq!((&parked["reason"]["kind"], &parked["steps"][0]["state"]), (&json!("parked"), &json!("parked")));
    operate(&app, &run, "retry").await.expect(200);
    let hold = worker.take(&run, 1, 2).await;
    worker.finish(&hold, &json!({ "done": { "output": "second" } })).await;
    assert_eq!(app.until_status(&run, "succeeded").await["output"], "second");
}

#[tokio::test]
async fn signals_arrive_in_order_and_once_for_each_key() {
    let app = TestApp::start().await;
    let run = app.start_run("listen", &json!({ "count": 3 })).await;
    for (key, payload) in [("a", 1), ("a", 1), ("b", 2), ("a", 9), ("b", 9)] {
        app.send(signal(&run, key, &json!(payload))).await.expect(204);
    }
    assert_eq!(app.run(&run).await["status"], "waiting");
    app.send(Call::post(format!("/api/v1/runs/{run}/signals/go")).json(&json!({ "payload": 3 }))).await.expect(204);
    assert_eq!(app.until_status(&run, "succeeded").await["output"], json!([1, 2, 3]));
}

#[tokio::test]
async fn a_signals_key_is_checked_like_a_runs() {
    let app = TestApp::start().await;
    let run = app.start_run("listen", &json!({ "count": 1 })).await;
    for key in [String::new(), "k".repeat(256), "schlüssel".to_owned()] {
        let refused = app.send(signal(&run, &key, &json!(1))).await;
        refused.problem(400, "invalid_idempotency_key").at("Idempotency-Key");
    }
}

/// Signals that nobody reads are kept up to a bound; then the sender is told to come back.
#[tokio::test]
async fn a_full_channel_answers_429_with_a_time_to_come_back() {
    let app = TestApp::start().await;
    let run = app.start_run("ask", &json!({})).await;
    let most = valet_core::bounds::SIGNALS_KEPT_PER_NAME;
    let keys: Vec<String> = (0..most).map(|n| n.to_string()).collect();
    for sent in join_all(keys.iter().map(|key| app.send(signal(&run, key, &json!(1))))).await {
        sent.expect(204);
    }
    let refused = app.send(signal(&run, "one too many", &json!(1))).await.problem(429, "channel_full");
    assert!(refused.header("retry-after").is_some());
    app.send(signal(&run, "7", &json!(1))).await.expect(204);
}

#[tokio::test]
async fn pages_of_runs_show_each_run_once() {
    let app = TestApp::start().await;
    let mut started = Vec::new();
    for n in 0..7 {
        let workflow = if n % 2 == 0 { "ask" } else { "anything" };
        started.push(app.start_run(workflow, &json!({})).await);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for _ in 0..4 {
        let page = app.send(Call::get(format!("/api/v1/runs?limit=2{cursor}"))).await.expect(200).json();
        seen.extend(page["runs"].as_array().expect("runs").iter().map(|r| r["id"].as_str().expect("id").to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    started.reverse();
    assert_eq!(seen, started, "newest first");
    let list = |query: &str| app.send(Call::get(format!("/api/v1/runs?{query}")));
    for (query, count) in
        [("workflow=ask", 4), ("status=waiting", 4), ("status=succeeded,%20waiting", 7), ("subject=nobody", 0)]
    {
        let page = list(query).await.expect(200).json();
        assert_eq!(page["runs"].as_array().map(Vec::len), Some(count), "{query}");
        assert_eq!(page.get("next_cursor"), None, "{query}");
    }
}

fn skip(run: &str, step: &str, output: &Value) -> Call {
    Call::post(format!("/api/v1/runs/{run}/steps/{step}/skip")).json(&json!({ "output": output }))
}

#[tokio::test]
async fn a_step_that_no_worker_holds_is_skipped_with_an_output() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    let hold = worker.take(&run, 1, 1).await;
    app.send(skip(&run, "1", &json!("given"))).await.problem(409, "step_at_work").at("seq");
    worker.finish(&hold, &json!({ "retry": { "error": { "code": "flaky", "message": "no luck" } } })).await;
    app.send(skip(&run, "2", &json!("given"))).await.problem(404, "step_not_found").at("seq");
    for bad in ["x", "-1", "4294967296"] {
        app.send(skip(&run, bad, &json!("given"))).await.problem(400, "invalid_step").at("seq");
    }
    app.send(skip(&run, "1", &json!("given"))).await.expect(200);
    assert_eq!(app.until_status(&run, "succeeded").await["output"], "given");
    app.send(skip(&run, "1", &json!("late"))).await.problem(409, "run_ended");

    // What does not fit the step's output is the code's to judge, as a worker's would be.
    let other = app.start_run("echo", &json!({ "text": "x" })).await;
    app.send(skip(&other, "1", &json!({ "not": "a text" }))).await.expect(200);
    assert_eq!(app.until_status(&other, "failed").await["error"]["code"], "bad_output");
}

#[tokio::test]
async fn a_step_is_tried_again_with_the_input_that_it_is_given() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let edit = |run: &str, input: &Value| {
        let path = format!("/api/v1/runs/{run}/steps/1/input");
        Call::new(axum::http::Method::PUT, path).json(&json!({ "input": input }))
    };
    let no_luck = json!({ "retry": { "error": { "code": "flaky", "message": "no luck" } } });
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    let hold = worker.take(&run, 1, 1).await;
    app.send(edit(&run, &json!({ "text": "y" }))).await.problem(409, "step_at_work").at("seq");
    worker.finish(&hold, &no_luck).await;
    for text in ["y", "z"] {
        app.send(edit(&run, &json!({ "text": text }))).await.expect(200);
    }
    assert_eq!(app.run(&run).await["steps"][0]["input"], json!({ "text": "z" }));
    operate(&app, &run, "retry").await.expect(200);
    let hold = worker.take(&run, 1, 2).await;
    assert_eq!(worker.claim(&hold).await["granted"]["input"], json!({ "text": "z" }), "the last one");
    worker.finish(&hold, &json!({ "done": { "output": "z" } })).await;
    app.until_status(&run, "succeeded").await;
    app.send(edit(&run, &json!({}))).await.problem(409, "run_ended");

    // A clean-up's input was recorded when it was registered; what it is given now counts all the same.
    let guarded = app.start_run("guarded", &json!({ "text": "x" })).await;
    operate(&app, &guarded, "cancel").await.expect(200);
    let sweep = worker.take(&guarded, 1, 1).await;
    worker.finish(&sweep, &json!({ "fail": { "error": { "code": "x", "message": "no" } } })).await;
    app.send(edit(&guarded, &json!({ "broom": 2 }))).await.expect(200);
    operate(&app, &guarded, "retry").await.expect(200);
    let sweep = worker.take(&guarded, 1, 2).await;
    let granted = worker.claim(&sweep).await["granted"].clone();
    assert_eq!((&granted["input"], &granted["name"]), (&json!({ "broom": 2 }), &json!("sweep")));
    worker.finish(&sweep, &json!({ "done": { "output": null } })).await;
    app.until_status(&guarded, "cancelled").await;
}

#[tokio::test]
async fn a_killed_run_ends_at_once_and_its_worker_is_told() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let kill = |run: &str, cleanup: bool| {
        let body = json!({ "reason": "it hangs", "cleanup": cleanup });
        Call::post(format!("/api/v1/runs/{run}/kill")).json(&body)
    };
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    let hold = worker.take(&run, 1, 1).await;
    let killed = app.send(kill(&run, false)).await.expect(200).json();
    assert_eq!(killed["status"], "cancelled");
    assert_eq!(app.run(&run).await["steps"][0]["state"], "cancelled");
    assert_eq!(worker.beat(&[&hold]).await["stop"], json!([hold.lease]));
    let late = worker.finish(&hold, &json!({ "done": { "output": "late" } })).await;
    assert!(late.get("refused").is_some(), "{late}");
    app.send(kill(&run, false)).await.problem(409, "run_ended");

    // A clean-up that cannot succeed holds its run until somebody gives it up.
    let guarded = app.start_run("guarded", &json!({ "text": "x" })).await;
    app.send(kill(&guarded, true)).await.expect(200);
    assert_eq!(app.run(&guarded).await["status"], "closing", "its clean-up runs");
    let sweep = worker.take(&guarded, 1, 1).await;
    worker.finish(&sweep, &json!({ "fail": { "error": { "code": "x", "message": "no" } } })).await;
    assert_eq!(app.run(&guarded).await["reason"]["kind"], "parked");
    assert_eq!(app.send(kill(&guarded, false)).await.expect(200).json()["status"], "cancelled");
    let unknown = json!({ "cleanup": "yes" });
    app.send(Call::post(format!("/api/v1/runs/{run}/kill")).json(&unknown))
        .await
        .problem(422, "invalid_body")
        .at("/cleanup");
}
