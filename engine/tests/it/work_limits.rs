//! Limits of what is at work at once, or begins in a while: what waits, who is next, what people are told.

use axum::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use valet_engine::ports::{Clock as _, Machine};
use valet_engine::store::DueStore as _;

use super::access::secret;
use super::app::TestApp;
use super::calls::{Answer, Call, OTHER_TENANT};
use super::database;
use super::worker::{Hold, Worker, bare};

fn put(name: &str, limit: &Value) -> Call {
    Call::new(Method::PUT, format!("/api/v1/limits/{name}")).json(limit)
}

async fn set(app: &TestApp, name: &str, limit: &Value) -> Answer {
    app.send(put(name, limit)).await
}

async fn keys(app: &TestApp, name: &str) -> Vec<Value> {
    let listed = app.send(Call::get(format!("/api/v1/limits/{name}/keys"))).await.expect(200).json();
    listed["keys"].as_array().expect("keys").clone()
}

async fn start(app: &TestApp, workflow: &str, texts: &[&str]) -> Vec<String> {
    let mut runs = Vec::new();
    for text in texts {
        runs.push(app.start_run(workflow, &json!({ "text": text })).await);
    }
    runs
}

/// Runs whose step may be had, once so many may.
async fn until_ready(app: &TestApp, count: usize) -> Vec<String> {
    database::until(&format!("{count} steps are ready"), async || {
        let ready: Vec<Uuid> = sqlx::query_scalar("SELECT run_id FROM steps WHERE state = 'ready' ORDER BY run_id")
            .fetch_all(app.pool())
            .await
            .expect("steps");
        (ready.len() == count).then(|| ready.iter().map(|run| format!("run_{}", run.simple())).collect())
    })
    .await
}

async fn states(app: &TestApp) -> Vec<(String, i64)> {
    sqlx::query_as("SELECT state, count(*) FROM steps GROUP BY state ORDER BY state")
        .fetch_all(app.pool())
        .await
        .expect("states")
}

fn is(states: &[(&str, i64)]) -> Vec<(String, i64)> {
    states.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect()
}

fn done() -> Value {
    json!({ "done": { "output": "x" } })
}

#[tokio::test]
async fn as_many_runs_of_a_key_are_at_work_as_its_limit_says_and_the_next_follows_each() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let limit = json!({ "workflow": "echo", "key": "input.text", "most": 2 });
    set(&app, "echoes", &limit).await.expect(201);
    let runs = start(&app, "echo", &["a", "a", "a", "a", "b"]).await;
    let ready = until_ready(&app, 3).await;
    assert_eq!(states(&app).await, is(&[("blocked", 2), ("ready", 3)]));
    assert!([&runs[0], &runs[1], &runs[4]].iter().all(|run| ready.contains(run)), "in order: {ready:?} of {runs:?}");
    let waits = app.run(&runs[2]).await;
    assert_eq!((&waits["status"], &waits["reason"]["kind"]), (&json!("queued"), &json!("limit")), "{waits}");
    assert_eq!((&waits["reason"]["limit"], &waits["reason"]["key"]), (&json!("echoes"), &json!("a")));
    let shown = keys(&app, "echoes").await;
    assert_eq!((&shown[0]["key"], &shown[0]["most"]), (&json!("a"), &json!(2)));
    assert_eq!((&shown[0]["running"], &shown[0]["waiting"]), (&json!(2), &json!(2)));
    assert!(shown[0]["oldest"].is_string());
    assert_eq!((&shown[1]["key"], &shown[1]["running"], &shown[1]["waiting"]), (&json!("b"), &json!(1), &json!(0)));

    let blocked = Hold { run: bare(&runs[2]), seq: 1, attempt: 1, lease: Uuid::now_v7().to_string() };
    assert_eq!(worker.claim(&blocked).await, json!({ "refused": { "why": "stale" } }), "whatever ticket is shown");

    worker.carry_out(&runs[1], 1, json!("x")).await;
    let next = worker.take(&runs[2], 1, 1).await;
    assert_eq!(app.run(&runs[2]).await["status"], json!("running"));
    assert_eq!(states(&app).await, is(&[("blocked", 1), ("ready", 2), ("running", 1)]));
    worker.finish(&next, &done()).await;
    worker.carry_out(&runs[3], 1, json!("x")).await;
    worker.carry_out(&runs[0], 1, json!("x")).await;
    worker.carry_out(&runs[4], 1, json!("x")).await;
    assert_eq!(keys(&app, "echoes").await, Vec::<Value>::new());
}

#[tokio::test]
async fn figures_are_changed_live_and_a_limit_that_is_gone_holds_nobody() {
    let app = TestApp::start().await;
    let limit = |most: u32| json!({ "workflow": "echo", "most": most });
    let first = set(&app, "all", &limit(1)).await.expect(201).json();
    assert_eq!(set(&app, "all", &limit(1)).await.expect(200).json()["version"], first["version"]);
    start(&app, "echo", &["a"; 6]).await;
    until_ready(&app, 1).await;
    let raised = set(&app, "all", &limit(3)).await.expect(200).json();
    assert!(raised["version"].as_u64() > first["version"].as_u64());
    until_ready(&app, 3).await;
    set(&app, "all", &limit(2)).await.expect(200);
    assert_eq!(states(&app).await, is(&[("blocked", 3), ("ready", 3)]), "nobody is put back");
    app.send(Call::new(Method::DELETE, "/api/v1/limits/all")).await.expect(204);
    until_ready(&app, 6).await;
    app.send(Call::get("/api/v1/limits/all")).await.problem(404, "limit_not_found").at("name");
}

#[tokio::test]
async fn a_run_keeps_its_slot_from_step_to_step_and_gives_it_back_when_it_backs_off_or_waits() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    set(&app, "pairs", &json!({ "workflow": "pair", "most": 1 })).await.expect(201);
    let runs = start(&app, "pair", &["a", "b"]).await;
    worker.carry_out(&runs[0], 1, json!("x")).await;
    assert_eq!(until_ready(&app, 1).await, [runs[0].clone()], "its next step goes on before others");
    let second = worker.take(&runs[0], 2, 1).await;
    let failed = json!({ "retry": { "error": { "code": "no", "message": "no" }, "after_ms": 3_600_000 } });
    // The step's policy parks it instead: it waits for an operator and has no slot.
    worker.finish(&second, &failed).await;
    assert_eq!(until_ready(&app, 1).await, [runs[1].clone()]);
    app.send(Call::post(format!("/api/v1/runs/{}/retry", runs[0]))).await.expect(200);
    let shown = app.run(&runs[0]).await;
    assert_eq!((&shown["status"], &shown["reason"]["kind"]), (&json!("waiting"), &json!("limit")), "{shown}");
    for seq in [1, 2] {
        worker.carry_out(&runs[1], seq, json!("x")).await;
    }
    worker.take(&runs[0], 2, 2).await;
    assert_eq!(states(&app).await, is(&[("running", 1)]));
}

#[tokio::test]
async fn a_step_that_needs_slots_of_two_limits_waits_for_both_and_holds_up_nobody_meanwhile() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    set(&app, "runs", &json!({ "workflow": "echo", "most": 2 })).await.expect(201);
    set(&app, "texts", &json!({ "workflow": "echo", "step": "say", "key": "step.input.text", "most": 1 }))
        .await
        .expect(201);
    let runs = start(&app, "echo", &["a", "a", "b"]).await;
    let ready = until_ready(&app, 2).await;
    assert!(
        ready.contains(&runs[0]) && ready.contains(&runs[2]),
        "the second `a` lets `b` pass: {ready:?} of {runs:?}"
    );
    worker.carry_out(&runs[2], 1, json!("x")).await;
    assert_eq!(until_ready(&app, 1).await, [runs[0].clone()], "its own key is still had");
    worker.carry_out(&runs[0], 1, json!("x")).await;
    assert_eq!(until_ready(&app, 1).await, [runs[1].clone()]);
}

#[tokio::test]
async fn turns_go_round_between_shares_by_their_weights() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let limit = json!({ "workflow": "echo", "most": 1, "share": "input.text", "weights": { "b": 2 } });
    set(&app, "turns", &limit).await.expect(201);
    let texts = [&["a"; 9][..], &["b"; 4], &["c"; 1]].concat();
    let runs = start(&app, "echo", &texts).await;
    let mut order = String::new();
    for _ in 0..runs.len() {
        let run = until_ready(&app, 1).await.remove(0);
        let at = runs.iter().position(|known| *known == run).expect("one of them");
        order.push_str(texts[at]);
        worker.carry_out(&run, 1, json!("x")).await;
    }
    assert!(order[..5].contains('c'), "one that comes last is among the first: {order}");
    let first: Vec<usize> = ["a", "b"].iter().map(|share| order[..8].matches(share).count()).collect();
    assert!(first[1] > first[0] - 1, "`b` has two turns while `a` has one: {order}");
    assert!(order.ends_with("aaa"), "{order}");
}

#[tokio::test]
async fn a_rate_lets_so_many_begin_and_tells_when_the_next_may() {
    let app = TestApp::start().await;
    let rate = json!({ "count": 2, "per_ms": 1_000, "burst": 2 });
    set(&app, "paced", &json!({ "workflow": "echo", "step": "say", "rate": rate })).await.expect(201);
    start(&app, "echo", &["a"; 5]).await;
    let began = std::time::Instant::now();
    until_ready(&app, 5).await;
    let took = began.elapsed();
    assert!(took.as_millis() > 900, "two at once, then one each half second: {took:?}");
    let far = json!({ "count": 1, "per_ms": 3_600_000 });
    set(&app, "paced", &json!({ "workflow": "echo", "step": "say", "rate": far })).await.expect(200);
    start(&app, "echo", &["a"; 2]).await;
    let shown = keys(&app, "paced").await;
    assert_eq!(shown[0]["waiting"], json!(2));
    assert!(shown[0]["next_token_at"].is_string(), "{shown:?}");
}

#[tokio::test]
async fn a_key_is_left_alone_until_an_instant_and_others_go_on() {
    let app = TestApp::start().await;
    set(&app, "sites", &json!({ "workflow": "echo", "key": "input.text", "most": 5 })).await.expect(201);
    let cool = |key: &str, until: Option<String>| {
        Call::post("/api/v1/limits/sites/cool-down").json(&json!({ "key": key, "until": until }))
    };
    let in_a_while = |seconds| Some((Machine.now() + chrono::TimeDelta::seconds(seconds)).to_rfc3339());
    app.send(cool("a", in_a_while(3_600))).await.expect(204);
    let runs = start(&app, "echo", &["a", "b"]).await;
    assert_eq!(until_ready(&app, 1).await, [runs[1].clone()]);
    let shown = keys(&app, "sites").await;
    assert!(shown.iter().any(|key| key["key"] == "a" && key["cooled_until"].is_string()), "{shown:?}");
    app.send(cool("a", in_a_while(1))).await.expect(204);
    until_ready(&app, 2).await;
    app.send(cool("a", in_a_while(3_600))).await.expect(204);
    start(&app, "echo", &["a"]).await;
    app.send(cool("a", None)).await.expect(204);
    until_ready(&app, 3).await;
}

#[tokio::test]
async fn what_a_lost_engine_did_not_ask_for_the_next_tick_does() {
    let app = TestApp::start().await;
    set(&app, "all", &json!({ "workflow": "echo", "most": 1 })).await.expect(201);
    let runs = start(&app, "echo", &["a", "a"]).await;
    until_ready(&app, 1).await;
    // As if the commit that ended the first were the last thing its engine did.
    sqlx::query("DELETE FROM steps WHERE state = 'ready'").execute(app.pool()).await.expect("done");
    assert_eq!(until_ready(&app, 1).await, [runs[1].clone()]);
    database::until("the other's slot is forgotten", async || {
        let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM slots").fetch_one(app.pool()).await;
        (left.expect("a count") == 1).then_some(())
    })
    .await;
    assert!(app.store.waiting_keys().await.expect("keys").is_empty());
}

/// Why a run was cancelled, once it was.
async fn why_cancelled(app: &TestApp, run: &str) -> String {
    database::until(&format!("{run} is cancelled"), async || {
        let shown = app.run(run).await;
        let message = shown["error"]["message"].as_str().map(ToOwned::to_owned);
        message.filter(|_| shown["status"] == json!("cancelled"))
    })
    .await
}

#[tokio::test]
async fn a_run_that_comes_while_its_key_is_full_is_cancelled_where_the_limit_says_so() {
    let app = TestApp::start().await;
    let limit = |when_full: &str| json!({ "workflow": "echo", "key": "input.text", "most": 1, "when_full": when_full });
    let first = set(&app, "one", &limit("queue")).await.expect(201).json();
    assert_eq!(first.get("when_full"), None, "{first}");
    let runs = start(&app, "echo", &["a", "a", "b"]).await;
    until_ready(&app, 2).await;
    // Also those that wait by now.
    let changed = set(&app, "one", &limit("cancel_newest")).await.expect(200).json();
    assert_eq!(changed["when_full"], json!("cancel_newest"));
    let why = why_cancelled(&app, &runs[1]).await;
    assert_eq!(why, "cancelled by limit/one: as many runs of its key as may be were there when it came");
    let late = start(&app, "echo", &["b", "c"]).await;
    why_cancelled(&app, &late[0]).await;
    until_ready(&app, 3).await;
    assert_eq!(states(&app).await, is(&[("ready", 3)]));
}

#[tokio::test]
async fn a_later_run_takes_the_place_of_the_oldest_at_work_where_the_limit_says_so() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let limit = json!({ "workflow": "echo", "most": 2, "when_full": "cancel_in_progress" });
    set(&app, "two", &limit).await.expect(201);
    let runs = start(&app, "echo", &["a", "b"]).await;
    until_ready(&app, 2).await;
    let held = worker.take(&runs[0], 1, 1).await;
    let third = start(&app, "echo", &["c"]).await;
    database::until("the oldest is told to stop", async || {
        (app.run(&runs[0]).await["status"] == json!("closing")).then_some(())
    })
    .await;
    assert_eq!(app.run(&third[0]).await["status"], json!("queued"), "the slot is not free before it has stopped");
    worker.finish(&held, &json!("cancelled")).await;
    let why = why_cancelled(&app, &runs[0]).await;
    assert_eq!(why, "cancelled by limit/two: a later run of its key takes its place");
    let ready = until_ready(&app, 2).await;
    assert!([&runs[1], &third[0]].iter().all(|run| ready.contains(run)), "{ready:?}");
}

#[tokio::test]
async fn a_step_that_finds_its_key_full_fails_where_its_limit_says_so() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let limit =
        json!({ "workflow": "echo", "step": "say", "key": "step.input.text", "most": 1, "when_full": "cancel_newest" });
    set(&app, "one", &limit).await.expect(201);
    let runs = start(&app, "echo", &["a", "a", "b"]).await;
    let failed = app.until_status(&runs[1], "failed").await;
    assert_eq!(failed["error"]["code"], json!("limit_full"), "{failed}");
    let message = failed["error"]["message"].as_str().expect("a message");
    assert!(message.contains("limit `one`"), "it names the limit: {message}");
    assert_eq!(until_ready(&app, 2).await.len(), 2, "those that found a slot go on");
    // One that is handed back finds its own slot again.
    let hold = worker.take(&runs[0], 1, 1).await;
    let other = start(&app, "echo", &["c"]).await;
    let again = worker.take(&other[0], 1, 1).await;
    worker.finish(&again, &json!("handed_back")).await;
    worker.take(&other[0], 1, 2).await;
    worker.finish(&hold, &done()).await;
    app.until_status(&runs[0], "succeeded").await;
}

#[tokio::test]
async fn a_later_step_takes_the_place_of_the_oldest_at_work_whose_effect_has_not_begun() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let limit = json!({ "workflow": "echo", "step": "say", "key": "step.input.text", "most": 1, "when_full": "cancel_in_progress" });
    set(&app, "newest", &limit).await.expect(201);
    let first = start(&app, "echo", &["a"]).await;
    let held = worker.take(&first[0], 1, 1).await;
    let second = start(&app, "echo", &["a"]).await;
    let failed = app.until_status(&first[0], "failed").await;
    assert_eq!(failed["error"]["code"], json!("limit_replaced"), "{failed}");
    assert_eq!(worker.beat(&[&held]).await["stop"][0], json!(held.lease), "its worker is told to stop");
    let late = worker.finish(&held, &done()).await;
    assert!(late.get("refused").is_some(), "what comes too late is refused: {late}");
    // Now its effect has begun: nobody takes its place any more.
    let held = worker.take(&second[0], 1, 1).await;
    let begin = json!({
        "session": worker.session_uuid(), "run": held.run, "seq": held.seq, "attempt": held.attempt, "lease": held.lease,
    });
    worker.post("effects", &begin).await.expect(200);
    let third = start(&app, "echo", &["a"]).await;
    database::until("the third waits", async || {
        (app.run(&third[0]).await["reason"]["kind"] == json!("limit")).then_some(())
    })
    .await;
    // More than one look of the tick.
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert_eq!(app.run(&second[0]).await["status"], json!("running"));
    worker.finish(&held, &done()).await;
    app.until_status(&second[0], "succeeded").await;
    worker.carry_out(&third[0], 1, json!("x")).await;
    app.until_status(&third[0], "succeeded").await;
}

#[tokio::test]
async fn a_run_begins_once_no_other_of_its_key_came_for_a_while() {
    let app = TestApp::start().await;
    let limit = json!({ "workflow": "echo", "key": "input.text", "debounce": { "quiet_ms": 1_000 } });
    set(&app, "quiet", &limit).await.expect(201);
    let runs = start(&app, "echo", &["a", "a", "a", "b"]).await;
    let came = std::time::Instant::now();
    for early in &runs[..2] {
        let why = why_cancelled(&app, early).await;
        assert_eq!(why, "cancelled by limit/quiet: a later run of its key came before it had begun");
    }
    assert_eq!(app.run(&runs[2]).await["status"], json!("queued"));
    let ready = until_ready(&app, 2).await;
    assert!(came.elapsed() >= std::time::Duration::from_millis(800), "{:?}", came.elapsed());
    assert!([&runs[2], &runs[3]].iter().all(|run| ready.contains(run)), "{ready:?}");
}

#[tokio::test]
async fn a_key_that_never_keeps_quiet_begins_all_the_same() {
    let app = TestApp::start().await;
    let limit = json!({ "workflow": "echo", "debounce": { "quiet_ms": 600_000, "at_most_ms": 600_000 } });
    set(&app, "quiet", &limit).await.expect(201);
    start(&app, "echo", &["a"]).await;
    database::until("it is known since when", async || {
        let from: Option<i64> = sqlx::query_scalar("SELECT 1::bigint FROM limit_keys WHERE quiet_from IS NOT NULL")
            .fetch_optional(app.pool())
            .await
            .expect("a key");
        from
    })
    .await;
    // As if the first had come an hour ago; others did ever since.
    sqlx::query("UPDATE limit_keys SET quiet_from = quiet_from - interval '1 hour'")
        .execute(app.pool())
        .await
        .expect("done");
    start(&app, "echo", &["a"]).await;
    assert_eq!(until_ready(&app, 1).await.len(), 1);
    database::until("the wait begins anew", async || {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM limit_keys WHERE quiet_from IS NOT NULL")
            .fetch_one(app.pool())
            .await
            .expect("a count");
        (left == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_run_that_waits_for_too_long_to_begin_is_cancelled_and_one_that_began_is_not() {
    let app = TestApp::start().await;
    set(&app, "all", &json!({ "workflow": "echo", "most": 1, "expires_ms": 1_000 })).await.expect(201);
    let runs = start(&app, "echo", &["a", "b", "c"]).await;
    app.send(Call::post(format!("/api/v1/runs/{}/pause", runs[2]))).await.expect(200);
    let why = why_cancelled(&app, &runs[1]).await;
    assert_eq!(why, "cancelled by limit/all: it waited for longer than it may to begin");
    assert_eq!(until_ready(&app, 1).await, [runs[0].clone()]);
    assert_eq!(app.run(&runs[2]).await["status"], json!("queued"), "what is paused does not wait");
}

#[tokio::test]
async fn a_run_has_its_slot_until_it_has_ended_where_the_limit_says_so() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    set(&app, "single", &json!({ "workflow": "pair", "most": 1, "hold": "live" })).await.expect(201);
    let runs = start(&app, "pair", &["a", "b"]).await;
    worker.carry_out(&runs[0], 1, json!("x")).await;
    let second = worker.take(&runs[0], 2, 1).await;
    let failed = json!({ "retry": { "error": { "code": "no", "message": "no" }, "after_ms": 3_600_000 } });
    worker.finish(&second, &failed).await;
    assert_eq!(keys(&app, "single").await[0]["running"], json!(1), "it waits for an operator, and has its slot");
    database::until("the parked step's own slot is forgotten, and nothing is to be given out", async || {
        app.store.waiting_keys().await.expect("keys").is_empty().then_some(())
    })
    .await;
    assert_eq!(app.run(&runs[1]).await["status"], json!("queued"));
    app.send(Call::post(format!("/api/v1/runs/{}/retry", runs[0]))).await.expect(200);
    let again = worker.take(&runs[0], 2, 2).await;
    worker.finish(&again, &done()).await;
    assert_eq!(until_ready(&app, 1).await, [runs[1].clone()]);
    // One that ends without a step of its own at work is followed too.
    let third = start(&app, "pair", &["c"]).await;
    worker.carry_out(&runs[1], 1, json!("x")).await;
    let parked = worker.take(&runs[1], 2, 1).await;
    worker.finish(&parked, &failed).await;
    app.send(Call::post(format!("/api/v1/runs/{}/cancel", runs[1]))).await.expect(200);
    assert_eq!(until_ready(&app, 1).await, [third[0].clone()]);
}

#[tokio::test]
async fn what_cannot_be_a_limit_is_refused_with_its_place() {
    let app = TestApp::start().await;
    let some = secret(&app, &json!({ "name": "some", "role": "admin", "workflows": ["echo"] })).await;
    let check = async |limit: Value, status: u16, code: &str, at: &str| {
        set(&app, "l", &limit).await.problem(status, code).at(at);
    };
    let invalid = "invalid_limit";
    check(json!({ "workflow": "echo", "most": 0 }), 422, invalid, "/most").await;
    check(json!({ "workflow": "echo", "most": -1 }), 422, "invalid_body", "/most").await;
    check(json!({ "workflow": "echo" }), 422, invalid, "/most").await;
    check(json!({ "workflow": "echo", "most": 1, "key": "input." }), 422, invalid, "/key").await;
    check(json!({ "workflow": "echo", "most": 1, "key": "nobody.knows" }), 422, invalid, "/key").await;
    check(json!({ "workflow": "echo", "most": 1, "share": "1 +" }), 422, invalid, "/share").await;
    check(json!({ "workflow": "echo", "most": 1, "weights": { "a": 1 } }), 422, invalid, "/weights").await;
    let weights = json!({ "workflow": "echo", "most": 1, "share": "run.plan", "weights": { "a": 0 } });
    check(weights, 422, invalid, "/weights/a").await;
    let rate = |count: u32, per_ms: u64| json!({ "workflow": "echo", "step": "say", "rate": { "count": count, "per_ms": per_ms } });
    check(rate(0, 1), 422, invalid, "/rate/count").await;
    check(rate(1, 0), 422, invalid, "/rate/per_ms").await;
    check(json!({ "workflow": "echo", "rate": { "count": 1, "per_ms": 1 } }), 422, invalid, "/rate").await;
    check(json!({ "workflow": "echo", "step": "", "most": 1 }), 422, invalid, "/step").await;
    let of_step = |name: &str, value: Value| {
        let mut limit = json!({ "workflow": "echo", "step": "say", "most": 1 });
        limit[name] = value;
        limit
    };
    let paced =
        json!({ "workflow": "echo", "step": "say", "rate": { "count": 1, "per_ms": 1 }, "when_full": "cancel_newest" });
    check(paced, 422, invalid, "/when_full").await;
    check(of_step("hold", json!("live")), 422, invalid, "/hold").await;
    check(of_step("debounce", json!({ "quiet_ms": 1 })), 422, invalid, "/debounce").await;
    check(of_step("expires_ms", json!(1_000)), 422, invalid, "/expires_ms").await;
    let debounced = |more: Value| {
        let mut limit = json!({ "workflow": "echo", "debounce": { "quiet_ms": 10 } });
        limit.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        limit
    };
    check(debounced(json!({ "when_full": "cancel_newest" })), 422, invalid, "/when_full").await;
    check(debounced(json!({ "hold": "live" })), 422, invalid, "/hold").await;
    check(debounced(json!({ "expires_ms": 999 })), 422, invalid, "/expires_ms").await;
    check(debounced(json!({ "debounce": { "quiet_ms": 0 } })), 422, invalid, "/debounce/quiet_ms").await;
    let shorter = json!({ "debounce": { "quiet_ms": 10, "at_most_ms": 9 } });
    check(debounced(shorter), 422, invalid, "/debounce/at_most_ms").await;
    check(debounced(json!({ "when_full": "wait" })), 422, "invalid_body", "/when_full").await;
    check(json!({ "workflow": "none", "most": 1 }), 404, "workflow_not_found", "/workflow").await;
    set(&app, "A%20Name", &json!({ "workflow": "echo", "most": 1 })).await.problem(422, invalid).at("name");
    let limit = json!({ "workflow": "echo", "most": 1 });
    app.send(put("l", &limit).token(&some)).await.problem(403, "out_of_reach");

    set(&app, "l", &limit).await.expect(201);
    app.send(Call::get("/api/v1/limits/l/keys?key=none")).await.problem(404, "limit_key_not_found").at("key");
    app.send(Call::get("/api/v1/limits/none/keys")).await.problem(404, "limit_not_found").at("name");
    let far = json!({ "key": "a", "until": "2099-01-01T00:00:00Z" });
    app.send(Call::post("/api/v1/limits/l/cool-down").json(&far)).await.problem(422, "invalid_body").at("/until");
    let long = json!({ "key": "x".repeat(257) });
    app.send(Call::post("/api/v1/limits/l/cool-down").json(&long)).await.problem(422, "invalid_body").at("/key");
    app.send(Call::get("/api/v1/limits/l").token(OTHER_TENANT)).await.problem(404, "limit_not_found");
}

#[tokio::test]
async fn ten_thousand_keys_at_random_are_never_exceeded() {
    const RUNS: u32 = 2_000;
    let app = TestApp::start().await;
    set(&app, "keys", &json!({ "workflow": "echo", "key": "input.text", "most": 2 })).await.expect(201);
    // A few keys have many, most have one: numbers are drawn by squares.
    let texts: Vec<String> = (0..RUNS).map(|n| (u64::from(n * n % 10_007) % 10_000 / 7 * 7).to_string()).collect();
    let body = |text: &String| json!({ "input": { "text": text } });
    for chunk in texts.chunks(500) {
        let runs: Vec<Value> = chunk.iter().map(body).collect();
        app.send(Call::post("/api/v1/workflows/echo/runs/bulk").json(&json!({ "runs": runs }))).await.expect(200);
    }
    let distinct = texts.iter().fold(std::collections::BTreeMap::new(), |mut keys, text| {
        *keys.entry(text).or_insert(0_usize) += 1;
        keys
    });
    let may: usize = distinct.values().map(|count| (*count).min(2)).sum();
    until_ready(&app, may).await;
    let over: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT key FROM slots JOIN steps USING (run_id, seq) WHERE state <> 'blocked'
                               GROUP BY key HAVING count(*) > 2) AS over",
    )
    .fetch_one(app.pool())
    .await
    .expect("a count");
    assert_eq!(over, 0);
}
