//! Limits hold while engines die, and what was freed is given out by whoever is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use valet_tests::bounds::LOAD_MAX;
use valet_tests::load::Load;
use valet_tests::wait::until_true;
use valet_tests::{Api, Cluster, Shape};

use super::PROGRAM;

const RUNS: u32 = 400;
const STEPS: u32 = 5;
/// Runs, and steps of one kind, that may be at work at once.
const MOST_RUNS: i64 = 7;
const MOST_STEPS: i64 = 5;

/// Makes a limit that all engines know: one that they did not learn in time on a busy machine is put again.
async fn put_limit(api: &Api, name: &str, limit: &Value) {
    until_true("a limit that all engines know", LOAD_MAX, async || {
        let answer = api.put(&format!("/api/v1/limits/{name}"), limit).await.expect("an engine");
        assert!(answer.status.is_success() || answer.status == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        answer.status.is_success()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_not_exceeded_while_engines_are_killed_and_everything_ends() {
    let shape = Shape { engines: 2, workers: 2, ..Shape::default() };
    let mut cluster = Cluster::start(PROGRAM, shape).await;
    let api = cluster.api();
    put_limit(&api, "runs", &json!({ "workflow": "bench", "most": MOST_RUNS })).await;
    put_limit(&api, "noops", &json!({ "workflow": "bench", "step": "noop", "most": MOST_STEPS })).await;

    // Whatever the slots' rows say: who holds a lease is at work.
    let oracle = cluster.oracle().await;
    let (over, seen) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicI64::new(0)));
    let watching = tokio::spawn({
        let (pool, watch, seen) = (oracle.pool().clone(), Arc::clone(&over), Arc::clone(&seen));
        async move {
            while watch.load(Ordering::Relaxed) {
                let at_work = "SELECT count(*), count(DISTINCT run_id) FROM steps WHERE state IN ('ready', 'running', 'stopping')";
                if let Ok((steps, runs)) = sqlx::query_as::<_, (i64, i64)>(at_work).fetch_one(&pool).await {
                    assert!(steps <= MOST_STEPS && runs <= MOST_RUNS, "{steps} steps of {runs} runs are at work");
                    seen.fetch_max(steps, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let load = tokio::spawn(Load::bench(RUNS, STEPS).at_rate(400).start(cluster.api()));
    for (engine, share) in [(0, 5), (1, 3), (0, 2)] {
        let wanted = i64::from(RUNS * STEPS / share);
        until_true("some of the steps", LOAD_MAX, async || oracle.accepted().await > wanted).await;
        cluster.engines[engine].kill().await;
        cluster.restart_engine(engine).await;
    }
    load.await.expect("the load is accepted");
    oracle.ended("bench", RUNS, LOAD_MAX).await;
    over.store(false, Ordering::Relaxed);
    watching.await.expect("no limit was exceeded");
    assert_eq!(seen.load(Ordering::Relaxed), MOST_STEPS, "and it was reached");
    oracle.assert_all_well("bench", RUNS, STEPS).await;
}
