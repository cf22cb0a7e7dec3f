//! Recovery that happens twice, late, or half: lists that are stale, workers that drain, keys without their runs, two builds.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;
use valet_core::command::Command;
use valet_core::id::{Attempt, LeaseId, RunId, Seq};
use valet_engine::store::DueStore as _;

use super::app::TestApp;
use super::calls::Call;
use super::database;
use super::declared::register;
use super::worker::{Hold, Worker, bare};
use super::workflows::registry;

/// A run of one step that may be tried three times.
async fn sturdy(app: &TestApp) -> String {
    let definition = json!({ "tasks": { "only": { "step": "say", "backoff": { "initial_ms": 1 } } } });
    register(app, "sturdy", &definition).await;
    app.start_run("sturdy", &json!({})).await
}

fn lost(hold: &Hold) -> Command {
    let lease = LeaseId(hold.lease.parse().expect("a lease"));
    Command::AttemptLost { seq: Seq(hold.seq), attempt: Attempt(hold.attempt), lease, effect_begun: false }
}

async fn attempts_ended(app: &TestApp, run: &str) -> usize {
    let id: RunId = run.parse().expect("an id");
    let (_, loaded) = valet_engine::store::RunStore::load(&*app.store, &[id]).await.expect("a load").remove(0);
    let (valet_engine::store::Loaded::Live(stored) | valet_engine::store::Loaded::Ended(stored)) = loaded;
    let entries = stored.chunks.iter().flat_map(|chunk| &chunk.entries);
    entries.filter(|entry| matches!(entry, valet_core::journal::Entry::AttemptEnded { .. })).count()
}

/// Both read the list of lost attempts before either acts, and one of them acts on it once more when the next attempt runs.
#[tokio::test]
async fn two_recoverers_with_the_same_stale_list_end_an_attempt_once() {
    let one = TestApp::start().await;
    let two = TestApp::on(&one.url).await;
    let run = sturdy(&one).await;
    let id: RunId = run.parse().expect("an id");
    let gone = Worker::open(&one).await;
    let first = gone.take(&run, 1, 1).await;
    let end = "UPDATE sessions SET expires_at = now() - interval '1 second' WHERE id = $1";
    let session: Uuid = gone.session_uuid().parse().expect("an id");
    sqlx::query(end).bind(session).execute(one.pool()).await.expect("it expires");
    // Beside what the ticks of both engines find.
    let stale = (0..8).map(|n| if n % 2 == 0 { &one } else { &two }).map(|app| app.engine.command(id, lost(&first)));
    join_all(stale).await;
    let worker = Worker::open(&two).await;
    let second = worker.take(&run, 1, 2).await;
    for app in [&one, &two] {
        app.engine.command(id, lost(&first)).await.expect_err("the list is stale");
        // Nor is a live lease lost because a list says so.
        app.engine.command(id, lost(&second)).await.expect_err("its session lives");
    }
    assert_eq!(attempts_ended(&one, &run).await, 1);
    let told = worker.finish(&second, &json!({ "done": { "output": "well" } })).await;
    assert!(told.get("accepted").is_some(), "{told}");
    assert_eq!(one.until_status(&run, "succeeded").await["output"], json!({ "only": "well" }));
}

/// What it hands back it may claim again like anybody: under another lease, at no cost, and its first word for the old lease
/// takes nothing from the new one.
#[tokio::test]
async fn a_draining_worker_that_claims_again_what_it_handed_back_holds_it_anew() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    // One attempt only: nothing of this may be charged.
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    let drains = async |held: &[&Hold]| {
        let held: Vec<Value> = held
            .iter()
            .map(|h| json!({ "run": h.run, "seq": h.seq, "attempt": h.attempt, "lease": h.lease }))
            .collect();
        let beat = json!({ "session": worker.session_uuid(), "free_slots": 0, "draining": true, "held": held });
        worker.post("heartbeats", &beat).await.expect(200).json()
    };
    let first = worker.take(&run, 1, 1).await;
    drains(&[&first]).await;
    let handed_back = json!("handed_back");
    let told = worker.finish(&first, &handed_back).await;
    assert!(told.get("accepted").is_some(), "{told}");
    let again = Hold { lease: Uuid::now_v7().to_string(), ..first.clone() };
    assert_eq!(worker.claim(&again).await, json!({ "refused": { "why": "stale" } }), "that attempt is over");
    let second = worker.take(&run, 1, 2).await;
    let told = worker.finish(&first, &handed_back).await;
    assert!(told.get("accepted").is_some(), "a repeat has its first answer: {told}");
    let beat = drains(&[&second]).await;
    assert_eq!((&beat["standing"], &beat["stop"]), (&json!("yours"), &json!([])), "{beat}");
    assert_eq!(app.run(&run).await["steps"][0]["state"], "running");
    worker.finish(&second, &json!({ "done": { "output": "well" } })).await;
    assert_eq!(app.until_status(&run, "succeeded").await["output"], "well");
}

/// A key is kept for a week and a run for longer, or the other way round: the key never names two runs at a time.
#[tokio::test]
async fn a_key_without_its_run_and_a_run_without_its_key() {
    let app = TestApp::start().await;
    let start = |key: &str| Call::post("/api/v1/workflows/anything/runs").json(&json!({ "input": 1 })).key(key);
    let id = |answer: &Value| answer["id"].as_str().expect("an id").to_owned();
    let first = id(&app.send(start("k")).await.expect(201).json());
    app.until_status(&first, "succeeded").await;
    let expire = "UPDATE idempotency SET expires_at = now() - interval '1 second' WHERE key = 'k'";
    sqlx::query(expire).execute(app.pool()).await.expect("it expires");
    app.store.tidy(app.engine.clock.now()).await.expect("tidied");
    let answers = join_all((0..8).map(|_| app.send(start("k")))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    let second = id(&answers[0].json());
    assert!(second != first && answers.iter().all(|answer| id(&answer.json()) == second), "{answers:?}");
    assert_eq!(app.run(&first).await["status"], "succeeded", "the run of before is still there");
    app.until_status(&second, "succeeded").await;

    let kept = id(&app.send(start("kept")).await.expect(201).json());
    app.until_status(&kept, "succeeded").await;
    let run: RunId = kept.parse().expect("an id");
    sqlx::query("DELETE FROM finished_runs WHERE id = $1").bind(run.0).execute(app.pool()).await.expect("it goes");
    let again = app.send(start("kept")).await.expect(200).json();
    assert_eq!(
        (id(&again), &again["created"]),
        (kept.clone(), &json!(false)),
        "what was started once is not started again"
    );
    app.send(Call::get(format!("/api/v1/runs/{kept}"))).await.problem(404, "run_not_found");
    assert_eq!(app.runs_stored().await, 2);
}

/// Each starts runs, takes finishes of the other's, and asks for what the other began: none is stuck, none is done twice.
#[tokio::test]
async fn two_builds_at_once_bring_all_runs_to_their_end() {
    let url = database::migrated().await;
    let older = TestApp::with(&url, registry().with_build(10)).await;
    let newer = TestApp::with(&url, registry().with_build(11)).await;
    let apps = [&older, &newer];
    let mut runs = Vec::new();
    for n in 0..8 {
        runs.push(apps[n % 2].start_run("pair", &json!({ "text": n.to_string() })).await);
    }
    let workers = [Worker::open(&older).await, Worker::open(&newer).await];
    for (n, run) in runs.iter().enumerate() {
        // Half of the first results go to the engine that did not start the run.
        workers[(n / 2) % 2].carry_out(run, 1, json!(format!("{n}!"))).await;
    }
    for (n, run) in runs.iter().enumerate() {
        workers[n % 2].carry_out(run, 2, json!(format!("{n}!!"))).await;
    }
    for (n, run) in runs.iter().enumerate() {
        let ended = apps[n % 2].until_status(run, "succeeded").await;
        assert_eq!(ended["output"], json!(format!("{n}!!")));
    }
    let stuck: i64 = sqlx::query_scalar("SELECT count(*) FROM runs").fetch_one(older.pool()).await.expect("a count");
    assert_eq!(stuck, 0);
    // A run that the newer has advanced is not begun anew by the older, also after the newer is gone.
    let run = newer.start_run("echo", &json!({ "text": "x" })).await;
    newer.engine.stop().await;
    let hold = Hold { run: bare(&run), seq: 1, attempt: 1, lease: Uuid::now_v7().to_string() };
    assert!(workers[0].claim(&hold).await.get("granted").is_some());
    workers[0].finish(&hold, &json!({ "done": { "output": "y" } })).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(older.run(&run).await["reason"], json!({ "kind": "newer_build", "build": 11 }));
}
