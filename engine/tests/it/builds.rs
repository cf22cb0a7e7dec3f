//! Engines of several builds on one database: an older one never polls what a newer one advanced, and a newer one goes on
//! with what no build before it could.

use serde_json::{Value, json};
use valet_core::{Registry, Workflow as _};

use super::app::TestApp;
use super::database;
use super::worker::Worker;
use super::workflows::{Anything, Echo, registry};

async fn with_build(url: &str, build: i64) -> TestApp {
    TestApp::with(url, registry().with_build(build)).await
}

#[tokio::test]
async fn a_result_that_an_older_build_took_in_is_delivered_by_the_next_newer_one() {
    let url = database::migrated().await;
    let newer = with_build(&url, 11).await;
    let run = newer.start_run("echo", &json!({ "text": "x" })).await;
    newer.engine.stop().await;

    let older = with_build(&url, 10).await;
    let worker = Worker::open(&older).await;
    let hold = worker.take(&run, 1, 1).await;
    let answer = worker.finish(&hold, &json!({ "done": { "output": "out" } })).await;
    assert!(answer.get("accepted").is_some(), "{answer}");
    let held = older.run(&run).await;
    assert_eq!((&held["status"], &held["reason"]), (&json!("waiting"), &json!({ "kind": "newer_build", "build": 11 })));
    let repeated = worker.finish(&hold, &json!({ "done": { "output": "out" } })).await;
    assert!(repeated.get("accepted").is_some(), "the same answer: {repeated}");

    let newer = with_build(&url, 11).await;
    assert_eq!(newer.until_status(&run, "succeeded").await["output"], "out");
    assert_eq!(older.run(&run).await["status"], "succeeded", "both say the same");
}

#[tokio::test]
async fn a_newly_started_build_goes_on_with_stuck_runs_that_fit_it() {
    let url = database::migrated().await;
    let first = with_build(&url, 10).await;
    let runs = [
        first.start_run("echo", &json!({ "text": "a" })).await,
        first.start_run("echo", &json!({ "text": "b" })).await,
    ];
    first.engine.stop().await;

    let broken = TestApp::with(&url, Registry::new(11).with::<Anything>()).await;
    let worker = Worker::open(&broken).await;
    for run in &runs {
        let hold = worker.take(run, 1, 1).await;
        let answer = worker.finish(&hold, &json!({ "done": { "output": "out" } })).await;
        assert!(answer.get("accepted").is_some(), "{answer}");
        let stuck = broken.run(run).await;
        assert_eq!(
            (&stuck["status"], &stuck["output"]),
            (&json!("stuck"), &Value::Null),
            "no build here knows {}",
            Echo::NAME
        );
    }
    broken.engine.stop().await;

    let mended = with_build(&url, 12).await;
    for run in &runs {
        assert_eq!(mended.until_status(run, "succeeded").await["output"], "out");
    }
}
