//! Declared workflows as children: of code, of each other, by the key and by the dozen; which version they begin with.

use axum::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use valet_core::id::RunId;

use super::app::TestApp;
use super::calls::Call;
use super::declared::{register, work_off};
use super::worker::Worker;
use super::{access, database};

/// One step of this name, which is the output.
fn one_step(step: &str) -> Value {
    json!({ "tasks": { "only": { "step": step } }, "output": "tasks.only.output" })
}

/// A task that goes before, then a run of `sub`.
fn with_child() -> Value {
    json!({
        "tasks": {
            "before": { "step": "before" },
            "sub": { "workflow": "sub", "parents": ["before"], "input": { "n": { "$cel": "parents.before.output" } } },
        },
        "output": "tasks.sub.output",
    })
}

fn done(output: &Value) -> Value {
    json!({ "done": { "output": output } })
}

/// Runs of a workflow that have a parent, live or ended, in the order of their starts.
async fn children(app: &TestApp, workflow: &str) -> Vec<String> {
    let find = "SELECT id FROM (SELECT id, workflow, parent_run, parent_seq FROM runs \
                UNION ALL SELECT id, workflow, parent_run, parent_seq FROM finished_runs) AS r \
                WHERE parent_run IS NOT NULL AND workflow = $1 ORDER BY parent_run, parent_seq";
    let found: Vec<Uuid> = sqlx::query_scalar(find).bind(workflow).fetch_all(app.pool()).await.expect("ids");
    found.into_iter().map(|id| RunId(id).to_string()).collect()
}

async fn until_child(app: &TestApp, workflow: &str) -> String {
    database::until("the child began", async || children(app, workflow).await.pop()).await
}

#[tokio::test]
async fn code_starts_declared_children_by_the_key_and_by_the_dozen() {
    let app = TestApp::start().await;
    register(&app, "sub", &one_step("say")).await.expect(201);
    let run = app.start_run("foster", &json!({ "workflow": "sub", "count": 12 })).await;
    let worker = Worker::open(&app).await;
    // Two calls of one key, and twelve of a fan-out.
    let done = work_off(&app, &worker, 13, |_, input| done(&input["input"]["n"])).await;
    assert_eq!(done.len(), 13);
    let ended = app.until_status(&run, "succeeded").await;
    let fanned: Vec<u32> = (0..12).collect();
    assert_eq!(ended["output"], json!({ "keyed": [100, 100], "fanned": fanned }));
    let all = children(&app, "sub").await;
    assert_eq!(all.len(), 13, "calls of one key share a child");
    for child in all {
        let shown = app.run(&child).await;
        assert_eq!((&shown["status"], &shown["parent"]), (&json!("succeeded"), &json!(run)));
    }
}

/// Registered when the parent began, when its child began, and since: the child keeps to the second, also with an engine
/// that takes it over and finds no row of any.
#[tokio::test]
async fn a_declared_child_begins_with_the_newest_version_and_keeps_it() {
    let app = TestApp::start().await;
    register(&app, "sub", &one_step("first")).await.expect(201);
    register(&app, "outer", &with_child()).await.expect(201);
    let run = app.start_run("outer", &json!({})).await;
    register(&app, "sub", &one_step("second")).await.expect(201);
    let worker = Worker::open(&app).await;
    worker.carry_out(&run, 1, json!(7)).await;
    let child = until_child(&app, "sub").await;
    register(&app, "sub", &one_step("third")).await.expect(201);
    sqlx::query("DELETE FROM declared_workflows").execute(app.pool()).await.expect("a delete");
    app.engine.stop().await;
    let other = TestApp::on(&app.url).await;
    let step = other.run(&child).await["steps"][0].clone();
    assert_eq!((&step["name"], &step["input"]["input"]), (&json!("second"), &json!({ "n": 7 })));
    Worker::open(&other).await.carry_out(&child, 1, json!("well")).await;
    assert_eq!(other.until_status(&run, "succeeded").await["output"], json!("well"));
}

/// The engine that took the parent's commit dies before it sends the message on; the other one's tick finds it.
#[tokio::test]
async fn another_engine_begins_the_declared_child() {
    let app = TestApp::start().await;
    register(&app, "sub", &one_step("say")).await.expect(201);
    register(&app, "outer", &with_child()).await.expect(201);
    // Nothing is known of declared workflows here for a while: the child's start waits with its message.
    let lock = "ALTER TABLE declared_workflows RENAME TO declared_away";
    let run = app.start_run("outer", &json!({})).await;
    sqlx::query(lock).execute(app.pool()).await.expect("away");
    let worker = Worker::open(&app).await;
    worker.carry_out(&run, 1, json!(1)).await;
    app.engine.stop().await;
    let other = TestApp::on(&app.url).await;
    assert_eq!(children(&other, "sub").await, Vec::<String>::new());
    sqlx::query("ALTER TABLE declared_away RENAME TO declared_workflows").execute(app.pool()).await.expect("back");
    let child = until_child(&other, "sub").await;
    Worker::open(&other).await.carry_out(&child, 1, json!("well")).await;
    assert_eq!(other.until_status(&run, "succeeded").await["output"], json!("well"));
}

#[tokio::test]
async fn a_child_that_nobody_knows_waits_until_it_is_declared() {
    let app = TestApp::start().await;
    let run = app.start_run("foster", &json!({ "workflow": "late", "count": 0 })).await;
    let child = until_child(&app, "late").await;
    app.until_status(&child, "stuck").await;
    let retry = || Call::post(format!("/api/v1/runs/{child}/retry"));
    app.send(retry()).await.problem(409, "nothing_to_retry");
    register(&app, "late", &one_step("say")).await.expect(201);
    app.send(retry()).await.expect(200);
    // What mended it is its own from now on.
    register(&app, "late", &one_step("other")).await.expect(201);
    app.engine.stop().await;
    let other = TestApp::on(&app.url).await;
    let worker = Worker::open(&other).await;
    assert_eq!(work_off(&other, &worker, 1, |_, _| done(&json!("at last"))).await, ["say"]);
    assert_eq!(other.until_status(&run, "succeeded").await["output"]["keyed"], json!(["at last", "at last"]));
}

#[tokio::test]
async fn a_parked_task_of_a_declared_child_is_retried() {
    let app = TestApp::start().await;
    let parks = json!({ "tasks": { "only": { "step": "say", "max_attempts": 1, "on_exhausted": "park" } } });
    register(&app, "sub", &parks).await.expect(201);
    register(&app, "outer", &with_child()).await.expect(201);
    let run = app.start_run("outer", &json!({})).await;
    let worker = Worker::open(&app).await;
    worker.carry_out(&run, 1, json!(1)).await;
    let child = until_child(&app, "sub").await;
    let hold = worker.take(&child, 1, 1).await;
    worker.finish(&hold, &json!({ "retry": { "error": { "code": "flaky", "message": "no luck" } } })).await;
    app.send(Call::post(format!("/api/v1/runs/{child}/retry"))).await.expect(200);
    let hold = worker.take(&child, 1, 2).await;
    worker.finish(&hold, &done(&json!("well"))).await;
    assert_eq!(app.until_status(&run, "succeeded").await["output"], json!({ "only": "well" }));
}

/// A fork has children of its own, which begin with what is newest then; a fork of the child carries out what it did.
#[tokio::test]
async fn a_fork_starts_its_own_declared_child() {
    let app = TestApp::start().await;
    register(&app, "sub", &one_step("first")).await.expect(201);
    register(&app, "outer", &with_child()).await.expect(201);
    let run = app.start_run("outer", &json!({})).await;
    let worker = Worker::open(&app).await;
    worker.carry_out(&run, 1, json!(1)).await;
    let child = until_child(&app, "sub").await;
    worker.carry_out(&child, 1, json!("theirs")).await;
    app.until_status(&run, "succeeded").await;
    register(&app, "sub", &one_step("second")).await.expect(201);
    // Started, the first step, its result, the child: not its end.
    let fork = async |run: &str, entry: u32| {
        let call = Call::post(format!("/api/v1/runs/{run}/fork")).json(&json!({ "entry": entry }));
        app.send(call).await.expect(201).json()["id"].as_str().expect("an id").to_owned()
    };
    let forked = fork(&run, 4).await;
    let worker = Worker::open(&app).await;
    assert_eq!(work_off(&app, &worker, 1, |_, _| done(&json!("its own"))).await, ["second"]);
    assert_eq!(app.until_status(&forked, "succeeded").await["output"], json!("its own"));
    let of_child = fork(&child, 1).await;
    assert_eq!(work_off(&app, &worker, 1, |_, _| done(&json!("again"))).await, ["first"]);
    assert_eq!(app.until_status(&of_child, "succeeded").await["output"], json!("again"));
}

#[tokio::test]
async fn a_cancelled_parent_stops_its_declared_child() {
    let app = TestApp::start().await;
    register(&app, "sub", &one_step("say")).await.expect(201);
    register(&app, "outer", &json!({ "tasks": { "sub": { "workflow": "sub" } } })).await.expect(201);
    let run = app.start_run("outer", &json!({})).await;
    let child = until_child(&app, "sub").await;
    app.send(Call::post(format!("/api/v1/runs/{run}/cancel"))).await.expect(200);
    app.until_status(&child, "cancelled").await;
    app.until_status(&run, "cancelled").await;
}

#[tokio::test]
async fn a_start_whose_children_nobody_knows_is_refused_and_says_what_to_declare() {
    let app = TestApp::start().await;
    register(&app, "outer", &with_child()).await.expect(201);
    let start = || Call::post("/api/v1/workflows/outer/runs").json(&json!({ "input": {} }));
    let refused = app.send(start()).await.problem(409, "child_workflow_unknown").at("name");
    let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains("/tasks/sub/workflow") && detail.contains("PUT /api/v1/workflows/sub"), "{detail}");
    assert_eq!(app.runs_stored().await, 0);
    register(&app, "sub", &one_step("say")).await.expect(201);
    app.send(start()).await.expect(201);
    // Code is known without being declared.
    register(&app, "of-code", &json!({ "tasks": { "a": { "workflow": "anything" } } })).await.expect(201);
    let run = app.start_run("of-code", &json!({})).await;
    assert_eq!(app.until_status(&run, "succeeded").await["output"], json!({ "a": null }));
}

/// Nobody has started for them what they may not start.
#[tokio::test]
async fn a_token_declares_no_child_beyond_its_reach() {
    let app = TestApp::start().await;
    let limited = json!({ "name": "limited", "role": "admin", "workflows": ["mine"] });
    let token = access::secret(&app, &limited).await;
    let put = |definition: &Value| {
        app.send(Call::new(Method::PUT, "/api/v1/workflows/mine".to_owned()).token(&token).json(definition))
    };
    let of = |workflow: &str| json!({ "tasks": { "a": { "workflow": workflow, "skip_if": "true" } } });
    put(&of("theirs")).await.problem(403, "out_of_reach").at("/tasks/a/workflow");
    put(&of("mine")).await.expect(201);
    let told = json!({ "tasks": { "a": { "step": "s" } }, "on_failure": { "workflow": "theirs" } });
    put(&told).await.problem(403, "out_of_reach").at("/on_failure/workflow");
}
