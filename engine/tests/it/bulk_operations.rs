//! Bulk operations: which runs they are about, each acted on once, by whichever engine; held up, taken back, refused.

use std::time::{Duration, Instant};

use axum::http::Method;
use futures::future::join_all;
use serde_json::{Value, json};
use valet_engine::bounds::BULK_OPERATIONS_MAX;
use valet_engine::http::{look_at_bulk_operations, look_at_schedules, run_bulk_operations};

use super::access::secret;
use super::app::TestApp;
use super::calls::{Call, OTHER_TENANT};
use super::database::{self, until, until_within};
use super::worker::Worker;

const ROUTE: &str = "/api/v1/bulk-operations";

/// As fast as may be.
fn fast(action: &str, filter: &Value) -> Value {
    json!({ "action": action, "filter": filter, "rate": 10_000 })
}

async fn make(app: &TestApp, body: &Value) -> String {
    let made = app.send(Call::post(ROUTE).json(body)).await.expect(201).json();
    made["id"].as_str().expect("an id").to_owned()
}

async fn shown(app: &TestApp, id: &str) -> Value {
    app.send(Call::get(format!("{ROUTE}/{id}"))).await.expect(200).json()
}

async fn tell(app: &TestApp, id: &str, verb: &str) -> Value {
    app.send(Call::post(format!("{ROUTE}/{id}/{verb}"))).await.expect(200).json()
}

async fn look(app: &TestApp) -> Option<Duration> {
    look_at_bulk_operations(&app.app).await.expect("a look")
}

/// Until it has ended, by this engine's own looks.
async fn worked_off(app: &TestApp, id: &str) -> Value {
    until(&format!("{id} is worked off"), async || {
        look(app).await;
        Some(shown(app, id).await).filter(|operation| operation.get("ended_at").is_some())
    })
    .await
}

fn counts(operation: &Value) -> [u64; 4] {
    ["total", "done", "skipped", "failed"].map(|name| operation[name].as_u64().expect("a count"))
}

/// Runs that wait for messages, with an attribute to find them by.
async fn listeners(app: &TestApp, batch: &str, count: u32) -> Vec<String> {
    let start = json!({ "input": { "count": 9 }, "attributes": { "batch": batch } });
    let starts = (0..count).map(|_| app.send(Call::post("/api/v1/workflows/listen/runs").json(&start)));
    join_all(starts)
        .await
        .into_iter()
        .map(|made| made.expect(201).json()["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// Rows of the audit about runs that an operation leaves: how many, and on how many.
async fn audited(app: &TestApp, id: &str) -> (i64, i64) {
    let count =
        "SELECT count(*), count(DISTINCT target) FROM audit WHERE via = 'bulk' AND request = $1 AND who = 'ada'";
    sqlx::query_as(count).bind(id).fetch_one(app.pool()).await.expect("counts")
}

async fn status(app: &TestApp, run: &str) -> (String, bool) {
    let run = app.run(run).await;
    (run["status"].as_str().expect("a status").to_owned(), run["paused"].as_bool().expect("a flag"))
}

/// As if the engine that has the turn had been silent for as long as its lease.
async fn lease_over(app: &TestApp) {
    let end = "UPDATE bulk_operations SET lease_until = now() WHERE lease_until IS NOT NULL";
    sqlx::query(end).execute(app.pool()).await.expect("an update");
}

#[tokio::test]
async fn runs_that_fit_are_cancelled_and_no_others() {
    let app = TestApp::start().await;
    let theirs = listeners(&app, "a", 12).await;
    let other = listeners(&app, "b", 1).await.remove(0);
    let start = json!({ "input": { "count": 9 }, "attributes": { "batch": "a" } });
    let foreign = Call::post("/api/v1/workflows/listen/runs").token(OTHER_TENANT).json(&start);
    let foreign = app.send(foreign).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
    app.send(Call::post(format!("/api/v1/runs/{}/cancel", theirs[0]))).await.expect(200);
    app.until_status(&theirs[0], "cancelled").await;

    let filter = json!({ "workflow": "listen", "attributes": { "batch": "a" } });
    let preview = json!({ "action": "cancel", "filter": filter, "preview": true });
    let preview = app.send(Call::post(ROUTE).json(&preview)).await.expect(200).json();
    assert_eq!(preview, json!({ "action": "cancel", "count": 11, "at_least": false }), "one has ended");
    assert_eq!(app.send(Call::get(ROUTE)).await.expect(200).json(), json!({ "operations": [] }), "nothing is made");

    let mut body = fast("cancel", &filter);
    body["reason"] = json!("spring clean");
    let id = make(&app, &body).await;
    assert_eq!((&shown(&app, &id).await["state"], id.starts_with("bulk_")), (&json!("collecting"), true));
    let later = listeners(&app, "a", 1).await.remove(0);
    let collected = sqlx::query_scalar::<_, bool>("SELECT collected FROM bulk_operations");
    app.send(Call::new(Method::PUT, format!("{ROUTE}/{id}/rate")).json(&json!({ "rate": 4 }))).await.expect(200);
    look(&app).await;
    assert!(collected.fetch_one(app.pool()).await.expect("a flag"), "its runs are known, and few were acted on");
    // One ends before its turn comes.
    let mut live = Vec::new();
    for run in &theirs {
        live.extend((status(&app, run).await.0 == "waiting").then_some(run));
    }
    assert_eq!(live.len(), 10, "one was acted on");
    app.send(Call::post(format!("/api/v1/runs/{}/cancel", live[3]))).await.expect(200);
    app.until_status(live[3], "cancelled").await;
    app.send(Call::new(Method::PUT, format!("{ROUTE}/{id}/rate")).json(&json!({ "rate": 10_000 }))).await.expect(200);
    let ended = worked_off(&app, &id).await;
    assert_eq!((counts(&ended), &ended["state"]), ([11, 10, 1, 0], &json!("completed")), "{ended}");
    assert_eq!((&ended["created_by"], &ended["filter"], &ended["can_undo"]), (&json!("ada"), &filter, &json!(false)));
    for run in &theirs {
        assert_eq!(app.until_status(run, "cancelled").await["status"], "cancelled");
    }
    for run in [&other, &later] {
        assert_eq!(status(&app, run).await, ("waiting".to_owned(), false));
    }
    let foreign = app.send(Call::get(format!("/api/v1/runs/{foreign}")).token(OTHER_TENANT)).await.expect(200).json();
    assert_eq!(foreign["status"], "waiting");
    app.send(Call::get(format!("{ROUTE}/{id}")).token(OTHER_TENANT)).await.problem(404, "bulk_operation_not_found");
    assert_eq!(audited(&app, &id).await, (10, 10));
    assert_eq!(look(&app).await, None, "nothing is left to look for");
}

#[tokio::test]
async fn without_a_filter_or_with_a_wrong_one_nothing_is_made() {
    let app = TestApp::start().await;
    let run = listeners(&app, "a", 1).await.remove(0);
    let some = json!({ "workflow": "listen" });
    for (body, status, code, field) in [
        (json!({ "action": "cancel" }), 422, "filter_required", "/filter"),
        (json!({ "action": "cancel", "filter": {} }), 422, "filter_required", "/filter"),
        (json!({ "action": "cancel", "filter": {}, "preview": true }), 422, "filter_required", "/filter"),
        (json!({ "action": "cancel", "filter": { "workflo": "x" } }), 422, "invalid_body", "/filter/workflo"),
        (json!({ "action": "cancel", "filter": { "created_from": "x" } }), 422, "invalid_body", "/filter/created_from"),
        (json!({ "action": "cancel", "filter": { "status": ["done"] } }), 400, "invalid_filter", "/filter/status"),
        (json!({ "action": "cancel", "filter": { "status": ["failed"] } }), 400, "invalid_filter", "/filter/status"),
        (json!({ "action": "delete", "filter": { "status": ["queued"] } }), 400, "invalid_filter", "/filter/status"),
        (json!({ "action": "cancel", "filter": { "attributes": {} } }), 400, "invalid_filter", "/filter/attributes"),
        (json!({ "action": "cancel", "filter": { "parent": "run_x" } }), 400, "invalid_id", "/filter/parent"),
        (json!({ "action": "burn", "filter": some }), 422, "invalid_body", "/action"),
        (json!({ "action": "cancel", "filter": some, "rate": 0 }), 422, "invalid_rate", "/rate"),
        (json!({ "action": "cancel", "filter": some, "rate": 10_001 }), 422, "invalid_rate", "/rate"),
        (json!({ "action": "pause", "filter": some, "reason": "x" }), 422, "invalid_action", "/reason"),
        (json!({ "action": "pause", "filter": some, "fork": {} }), 422, "invalid_action", "/fork"),
        (json!({ "action": "cancel", "filter": some, "reason": "x".repeat(1_025) }), 422, "invalid_reason", "/reason"),
    ] {
        app.send(Call::post(ROUTE).json(&body)).await.problem(status, code).at(field);
    }
    assert_eq!(app.send(Call::get(ROUTE)).await.expect(200).json()["operations"], json!([]));
    assert_eq!((look(&app).await, status(&app, &run).await), (None, ("waiting".to_owned(), false)));
}

#[tokio::test]
async fn one_key_is_one_operation() {
    let app = TestApp::start().await;
    listeners(&app, "a", 3).await;
    let body = fast("pause", &json!({ "workflow": "listen" }));
    let answers = join_all((0..8).map(|_| app.send(Call::post(ROUTE).key("once").json(&body)))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 201)), "{answers:?}");
    let all = app.send(Call::get(ROUTE)).await.expect(200).json();
    let id = all["operations"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(all["operations"].as_array().map(Vec::len), Some(1));
    assert_eq!(counts(&worked_off(&app, &id).await), [3, 3, 0, 0]);
    let again = app.send(Call::post(ROUTE).key("once").json(&body)).await.expect(200).json();
    assert_eq!((&again["id"], &again["state"]), (&json!(id), &json!("completed")));
    let other = fast("cancel", &json!({ "workflow": "listen" }));
    app.send(Call::post(ROUTE).key("once").json(&other)).await.problem(409, "idempotency_key_reused");
}

#[tokio::test]
async fn it_keeps_its_rate_and_is_paused_resumed_and_cancelled() {
    let app = TestApp::start().await;
    let runs = listeners(&app, "a", 30).await;
    let slow = json!({ "action": "cancel", "filter": { "attributes": { "batch": "a" } }, "rate": 40 });
    let id = make(&app, &slow).await;
    let began = Instant::now();
    look(&app).await;
    let first = shown(&app, &id).await;
    assert_eq!(
        (counts(&first), &first["state"], &first["collected"]),
        ([30, 10, 0, 0], &json!("running"), &json!(true))
    );
    assert!(matches!(first["eta_seconds"].as_u64(), Some(1..=5)), "{first}");
    let until_20 = until("two turns", async || {
        look(&app).await;
        (counts(&shown(&app, &id).await)[1] >= 20).then_some(())
    });
    until_20.await;
    assert!(began.elapsed() >= Duration::from_millis(240), "its second turn came after {:?}", began.elapsed());

    assert_eq!(tell(&app, &id, "pause").await["state"], "paused");
    assert_eq!(tell(&app, &id, "pause").await["state"], "paused");
    assert_eq!((look(&app).await, counts(&shown(&app, &id).await)[1]), (None, 20), "nothing is at work");
    let slower = app.send(Call::new(Method::PUT, format!("{ROUTE}/{id}/rate")).json(&json!({ "rate": 4 })));
    assert_eq!(slower.await.expect(200).json()["rate"], 4);
    assert_eq!(tell(&app, &id, "resume").await["state"], "running");
    let until_21 = until("one more", async || {
        look(&app).await;
        Some(counts(&shown(&app, &id).await)[1]).filter(|done| *done > 20)
    });
    assert_eq!(until_21.await, 21, "one in each turn");

    assert_eq!(tell(&app, &id, "cancel").await["state"], "cancelled");
    let left = tell(&app, &id, "cancel").await;
    assert_eq!((counts(&left), left.get("eta_seconds")), ([30, 21, 0, 0], None), "{left}");
    assert_eq!(look(&app).await, None);
    let mut live = 0;
    for run in &runs {
        live += u32::from(status(&app, run).await.0 == "waiting");
    }
    assert_eq!(live, 9);
    for verb in ["pause", "resume"] {
        app.send(Call::post(format!("{ROUTE}/{id}/{verb}"))).await.problem(409, "bulk_ended");
    }
    let faster = Call::new(Method::PUT, format!("{ROUTE}/{id}/rate")).json(&json!({ "rate": 4 }));
    app.send(faster).await.problem(409, "bulk_ended");
    app.send(Call::post(format!("{ROUTE}/{id}/undo"))).await.problem(409, "cannot_undo");
}

#[tokio::test]
async fn an_undo_resumes_what_was_paused_and_nothing_else() {
    let app = TestApp::start().await;
    let runs = listeners(&app, "a", 5).await;
    app.send(Call::post(format!("/api/v1/runs/{}/pause", runs[0]))).await.expect(200);
    let id = make(&app, &fast("pause", &json!({ "attributes": { "batch": "a" }, "status": ["waiting"] }))).await;
    app.send(Call::post(format!("{ROUTE}/{id}/undo"))).await.problem(409, "bulk_active");
    let ended = worked_off(&app, &id).await;
    assert_eq!((counts(&ended), &ended["can_undo"]), ([5, 4, 1, 0], &json!(true)), "one was paused before");
    for run in &runs {
        assert!(status(&app, run).await.1, "{run} is paused");
    }
    let undo = app.send(Call::post(format!("{ROUTE}/{id}/undo"))).await.expect(201).json();
    assert_eq!((&undo["action"], &undo["undo_of"]), (&json!("resume"), &json!(id)));
    let again = app.send(Call::post(format!("{ROUTE}/{id}/undo"))).await.expect(200).json();
    assert_eq!(again["id"], undo["id"]);
    let undone = worked_off(&app, undo["id"].as_str().expect("an id")).await;
    assert_eq!(counts(&undone), [4, 4, 0, 0], "{undone}");
    let original = shown(&app, &id).await;
    assert_eq!((&original["undone_by"], &original["can_undo"]), (&undo["id"], &json!(false)));
    assert!(status(&app, &runs[0]).await.1, "what somebody else paused stays so");
    for run in &runs[1..] {
        assert!(!status(&app, run).await.1, "{run} goes on");
    }
}

#[tokio::test]
async fn parked_runs_are_tried_again_and_others_skipped() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let parked = app.start_run("echo", &json!({ "text": "x" })).await;
    let hold = worker.take(&parked, 1, 1).await;
    worker.finish(&hold, &json!({ "retry": { "error": { "code": "flaky", "message": "no luck" } } })).await;
    let ready = app.start_run("echo", &json!({ "text": "y" })).await;
    let id = make(&app, &fast("retry", &json!({ "workflow": "echo" }))).await;
    assert_eq!(counts(&worked_off(&app, &id).await), [2, 1, 1, 0]);
    worker.carry_out(&ready, 1, json!("y")).await;
    let again = worker.take(&parked, 1, 2).await;
    worker.finish(&again, &json!({ "done": { "output": "x" } })).await;
    app.until_status(&parked, "succeeded").await;
}

#[tokio::test]
async fn a_fork_that_cannot_be_is_told_with_its_reason() {
    let app = TestApp::start().await;
    let runs = listeners(&app, "a", 2).await;
    let mut body = fast("fork", &json!({ "attributes": { "batch": "a" } }));
    body["fork"] = json!({ "entry": 900 });
    let id = make(&app, &body).await;
    let ended = worked_off(&app, &id).await;
    assert_eq!((counts(&ended), app.runs_stored().await), ([2, 0, 0, 2], 2));
    let failures = ended["failures"].as_array().expect("failures");
    let mut told: Vec<&str> = failures.iter().filter_map(|failure| failure["run"].as_str()).collect();
    told.sort_unstable();
    let mut expected: Vec<&str> = runs.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(told, expected);
    assert!(failures.iter().all(|failure| failure["reason"] == "entry_not_found at /entry"), "{ended}");
    let list = app.send(Call::get(ROUTE)).await.expect(200).json();
    assert_eq!((&list["operations"][0]["failed"], list["operations"][0].get("failures")), (&json!(2), None));
}

#[tokio::test]
async fn two_engines_share_an_operation_and_act_on_each_run_once() {
    const RUNS: u32 = 150;
    let url = database::migrated().await;
    let (app, other) = (TestApp::on(&url).await, TestApp::on(&url).await);
    listeners(&app, "a", RUNS).await;
    let working = [&app, &other].map(|engine| tokio::spawn(run_bulk_operations(engine.app.clone())));
    // Turns of 25, so that both have some.
    let body = json!({ "action": "fork", "filter": { "attributes": { "batch": "a" } }, "rate": 100 });
    let id = make(&app, &body).await;
    // The other engine is told by its look at schedules.
    look_at_schedules(&other.app).await.expect("a look");
    let ended = until_within(Duration::from_mins(1), "all are forked", async || {
        Some(shown(&app, &id).await).filter(|operation| operation["state"] == "completed")
    })
    .await;
    for task in working {
        task.abort();
    }
    assert_eq!(counts(&ended), [u64::from(RUNS), u64::from(RUNS), 0, 0]);
    assert_eq!(app.runs_stored().await, i64::from(RUNS) * 2, "one fork each");
    assert_eq!(audited(&app, &id).await, (i64::from(RUNS), i64::from(RUNS)));
}

/// However often whoever has the turn is no more, in whatever place: between acting and saying so, too.
#[tokio::test]
async fn what_an_engine_leaves_in_its_middle_is_taken_up_by_another_and_done_once() {
    const RUNS: u32 = 300;
    let url = database::migrated().await;
    let (app, other) = (TestApp::on(&url).await, TestApp::on(&url).await);
    listeners(&app, "a", RUNS).await;
    let id = make(&app, &fast("fork", &json!({ "attributes": { "batch": "a" } }))).await;
    let forked_unsaid =
        "SELECT (SELECT count(*) FROM audit WHERE via = 'bulk') > (SELECT sum(done) FROM bulk_operations)";
    let is_held = "SELECT coalesce(lease_until > now(), false) FROM bulk_operations";
    let mut cut_off = 0;
    for patience_ms in (1..400).step_by(7) {
        let engine = if patience_ms % 2 == 0 { &app } else { &other };
        let looked = look_at_bulk_operations(&engine.app);
        if tokio::time::timeout(Duration::from_millis(patience_ms), looked).await.is_ok() {
            break;
        }
        let unsaid: bool = sqlx::query_scalar(forked_unsaid).fetch_one(app.pool()).await.expect("a flag");
        cut_off += u32::from(unsaid);
        if sqlx::query_scalar::<_, bool>(is_held).fetch_one(app.pool()).await.expect("a flag") {
            let counted = counts(&shown(&app, &id).await);
            look(&other).await;
            assert_eq!(counts(&shown(&app, &id).await), counted, "nobody takes the turn before its lease is over");
        }
        lease_over(&app).await;
    }
    assert!(cut_off > 0, "no turn was cut off between acting and saying so");
    let ended = worked_off(&other, &id).await;
    assert_eq!(counts(&ended), [u64::from(RUNS), u64::from(RUNS), 0, 0]);
    assert_eq!(app.runs_stored().await, i64::from(RUNS) * 2, "one fork each");
    assert_eq!(audited(&app, &id).await, (i64::from(RUNS), i64::from(RUNS)));
}

#[tokio::test]
async fn a_turn_that_went_to_another_engine_changes_nothing_any_more() {
    let app = TestApp::start().await;
    listeners(&app, "a", 2).await;
    let id = make(&app, &fast("pause", &json!({ "attributes": { "batch": "a" } }))).await;
    let stale = app.store.take_bulk_turn().await.expect("a look").expect("a turn");
    assert!(app.store.take_bulk_turn().await.expect("a look").is_none(), "nobody else has it");
    assert!(app.store.renew_bulk_turn(&stale).await.expect("an update"));
    lease_over(&app).await;
    let ended = worked_off(&app, &id).await;
    assert_eq!(counts(&ended), [2, 2, 0, 0]);
    assert!(!app.store.renew_bulk_turn(&stale).await.expect("an update"));
    let late = app.store.settle_bulk_items(&stale, &[], (Duration::ZERO, Duration::ZERO)).await;
    assert!(!late.expect("an update"));
    assert_eq!(shown(&app, &id).await, ended);
}

#[tokio::test]
async fn runs_that_ended_are_deleted_as_whole_trees() {
    let app = TestApp::start().await;
    let mut gone = Vec::new();
    for n in 0..3 {
        let run = app.start_run("anything", &json!(n)).await;
        app.until_status(&run, "succeeded").await;
        gone.push(run);
    }
    let parent = app.start_run("leave", &json!({ "waits": false })).await;
    app.until_status(&parent, "succeeded").await;
    let of = "SELECT 'run_' || replace(id::text, '-', '') FROM runs WHERE workflow = 'listen'";
    let child: String =
        until("the child", async || sqlx::query_scalar(of).fetch_optional(app.pool()).await.expect("rows")).await;
    let delete = async |workflow: &str| {
        let id = make(&app, &fast("delete", &json!({ "workflow": workflow }))).await;
        (counts(&worked_off(&app, &id).await), id)
    };
    assert_eq!(delete("listen").await.0, [0, 0, 0, 0], "it lives");
    assert_eq!(delete("leave").await.0, [1, 0, 1, 0], "its child lives");
    let (counted, id) = delete("anything").await;
    assert_eq!(counted, [3, 3, 0, 0]);
    for run in &gone {
        app.send(Call::get(format!("/api/v1/runs/{run}"))).await.problem(404, "run_not_found");
    }
    let rows: (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE action = 'run.delete' AND before ->> 'status' = 'succeeded') \
         FROM audit WHERE request = $1",
    )
    .bind(&id)
    .fetch_one(app.pool())
    .await
    .expect("rows");
    assert_eq!(rows, (3, 3));
    app.send(Call::post(format!("{ROUTE}/{id}/undo"))).await.problem(409, "cannot_undo");
    let signal = Call::post(format!("/api/v1/runs/{child}/signals/go")).json(&json!({ "payload": 1 }));
    app.send(signal).await.expect(204);
    app.until_status(&child, "succeeded").await;
    assert_eq!(delete("listen").await.0, [1, 0, 1, 0], "it goes with its parent");
    assert_eq!(delete("leave").await.0, [1, 1, 0, 0]);
    assert_eq!(app.runs_stored().await, 0);

    let operator = secret(&app, &json!({ "name": "op", "role": "operator" })).await;
    let body = fast("delete", &json!({ "workflow": "leave" }));
    app.send(Call::post(ROUTE).token(&operator).json(&body)).await.problem(403, "wrong_scope").at("/action");
}

#[tokio::test]
async fn a_token_acts_on_what_it_reaches_and_sees_no_more() {
    let app = TestApp::start().await;
    let mine = listeners(&app, "a", 1).await.remove(0);
    let theirs = app.start_run("ask", &json!({})).await;
    let token = secret(&app, &json!({ "name": "some", "role": "operator", "workflows": ["listen"] })).await;
    let all = make(&app, &json!({ "action": "pause", "filter": { "subject": "nobody" } })).await;
    app.send(Call::get(format!("{ROUTE}/{all}")).token(&token)).await.problem(404, "bulk_operation_not_found");
    app.send(Call::post(format!("{ROUTE}/{all}/cancel")).token(&token)).await.problem(404, "bulk_operation_not_found");
    let body = fast("pause", &json!({ "status": ["waiting"] }));
    let made = app.send(Call::post(ROUTE).token(&token).json(&body)).await.expect(201).json();
    let id = made["id"].as_str().expect("an id");
    assert_eq!(counts(&worked_off(&app, id).await), [1, 1, 0, 0]);
    assert_eq!((status(&app, &mine).await.1, status(&app, &theirs).await.1), (true, false));
    let list = app.send(Call::get(ROUTE).token(&token)).await.expect(200).json();
    assert_eq!(list["operations"].as_array().map(Vec::len), Some(1), "{list}");
    let page = app.send(Call::get(format!("{ROUTE}?limit=1"))).await.expect(200).json();
    let next = page["next_cursor"].as_str().expect("one more");
    let rest = app.send(Call::get(format!("{ROUTE}?limit=1&cursor={next}"))).await.expect(200).json();
    assert_eq!((&page["operations"][0]["id"], &rest["operations"][0]["id"]), (&json!(id), &json!(all)));
    assert_eq!(rest.get("next_cursor"), None);
}

#[tokio::test]
async fn a_tenant_has_some_operations_at_once_and_ended_ones_go() {
    let app = TestApp::start().await;
    let body = json!({ "action": "pause", "filter": { "subject": "nobody" } });
    for _ in 0..BULK_OPERATIONS_MAX {
        make(&app, &body).await;
    }
    app.send(Call::post(ROUTE).json(&body)).await.problem(409, "too_many_bulk_operations");
    app.send(Call::post(ROUTE).token(OTHER_TENANT).json(&body)).await.expect(201);
    assert_eq!(look(&app).await, None, "none had a run: all have ended");
    let last = make(&app, &body).await;
    let age = "UPDATE bulk_operations SET ended_at = ended_at - interval '31 days'";
    sqlx::query(age).execute(app.pool()).await.expect("an update");
    let tidy = include_str!("../../src/store/sql/tidy.sql");
    sqlx::query(tidy).execute(app.pool()).await.expect("a clean-up");
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM bulk_operations").fetch_one(app.pool()).await.expect("a count");
    assert_eq!(count, i64::from(BULK_OPERATIONS_MAX) + 1, "one goes at a time");
    assert_eq!(shown(&app, &last).await["state"], "collecting");
}

/// `VALET_BULK_RUNS` asks for another number: 100,000 to measure. Other runs are made and end meanwhile.
#[tokio::test]
async fn many_runs_are_cancelled_while_others_go_on() {
    let runs: u32 = std::env::var("VALET_BULK_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    let app = TestApp::start().await;
    let started = Instant::now();
    let batch: Vec<Value> =
        (0..1_000).map(|_| json!({ "input": { "text": "x" }, "attributes": { "batch": "a" } })).collect();
    for at in (0..runs).step_by(1_000) {
        let some = &batch[..(runs - at).min(1_000) as usize];
        let made = Call::post("/api/v1/workflows/echo/runs/bulk").json(&json!({ "runs": some }));
        app.send(made).await.expect(200);
    }
    println!("{runs} runs started within {:?}", started.elapsed());
    let working = tokio::spawn(run_bulk_operations(app.app.clone()));
    // What others do: runs one after the other, before the operation and during it.
    let others = async || {
        let began = Instant::now();
        app.send(Call::post("/api/v1/workflows/anything/runs?wait=30s").json(&json!({ "input": 1 }))).await.expect(201);
        began.elapsed()
    };
    let mut before = Duration::ZERO;
    for _ in 0..20 {
        before += others().await;
    }
    let began = Instant::now();
    let id = make(&app, &fast("cancel", &json!({ "attributes": { "batch": "a" } }))).await;
    let (mut during, mut rounds) = (Duration::ZERO, 0);
    let ended = until_within(Duration::from_mins(2), "all are cancelled", async || {
        during += others().await;
        rounds += 1;
        Some(shown(&app, &id).await).filter(|operation| operation["state"] == "completed")
    })
    .await;
    let took = began.elapsed();
    working.abort();
    println!(
        "{runs} cancelled within {took:?}; others took {:?} before and {:?} meanwhile",
        before / 20,
        during / rounds
    );
    assert_eq!(counts(&ended), [u64::from(runs), u64::from(runs), 0, 0]);
    assert!(took < Duration::from_secs(10) + Duration::from_micros(300) * runs, "{took:?}");
}
