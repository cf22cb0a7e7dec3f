//! Postgres or Redis away: the engine says which, refuses with a time to come back, loses nothing and heals by itself.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use valet_tests::api::Answer;
use valet_tests::bounds::{LOAD_MAX, SOON};
use valet_tests::load::Load;
use valet_tests::wait::{until, until_true};
use valet_tests::{Api, Cluster, Shape, Stage};

use super::PROGRAM;

const RUNS: u32 = 300;
/// Longer than a lease: what a worker holds survives because silence was nobody's fault.
const AWAY: Duration = Duration::from_secs(10);

struct Scene {
    cluster: Cluster,
    stage: Stage,
}

impl Scene {
    /// A held step and a load in full swing.
    async fn set() -> (Self, tokio::task::JoinHandle<Vec<String>>) {
        let cluster = Cluster::start(PROGRAM, Shape::default()).await;
        let stage = cluster.stage("held");
        let input = json!({ "steps": 2, "stage": stage.folder() });
        cluster.api().start("staged", &input, "held").await.expect("the held run starts");
        until_true("the held step to begin", SOON, async || stage.count("began") == 1).await;
        let load = tokio::spawn(Load::bench(RUNS, 5).at_rate(60).start(cluster.api()));
        let oracle = cluster.oracle().await;
        until_true("the load to be under way", SOON, async || oracle.accepted().await > 100).await;
        (Self { cluster, stage }, load)
    }

    /// Waits until `/readyz` is a 503 whose body satisfies.
    async fn away(&self, part: &str, named: impl Fn(&valet_protocol::api::Readiness) -> bool) {
        let api = self.cluster.api();
        until(&format!("/readyz to name {part}"), SOON, async || {
            let answer = api.readiness().await.map_err(|error| error.to_string())?;
            let says = answer.status == StatusCode::SERVICE_UNAVAILABLE && !answer.body.ready && named(&answer.body);
            if says && answer.retry_after.is_some() { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
    }

    async fn ready_again(&self) {
        let api = self.cluster.api();
        until_true("/readyz to say yes", SOON, async || api.readiness().await.is_ok_and(|answer| answer.body.ready))
            .await;
    }

    /// Everything that was accepted succeeded, once, in first attempts.
    async fn assert_healed(&self) {
        let oracle = self.cluster.oracle().await;
        self.stage.open();
        oracle.ended("bench", RUNS, LOAD_MAX).await;
        oracle.ended("staged", 1, SOON).await;
        oracle.assert_all_well("bench", RUNS, 5).await;
        oracle.assert_all_well("staged", 1, 2).await;
        let notes = self.stage.notes();
        assert!(notes.iter().all(|note| note.attempt == 1), "the held step kept its lease: {notes:?}");
        assert_eq!(self.stage.count("began"), 2, "each held step began once");
    }
}

/// A start that nobody repeats.
async fn start_once(api: &Api, key: Option<&str>) -> Answer<Value> {
    let body = json!({ "input": { "steps": 1 }, "subject": "tests" });
    api.post("/api/v1/workflows/bench/runs", &body, key).await.expect("the engine itself answers")
}

#[track_caller]
fn assert_come_back(answer: &Answer<Value>) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert!(answer.retry_after.is_some(), "it says when to come back: {answer:?}");
    assert_eq!(answer.body["code"], "database_unavailable", "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_requests_are_told_to_come_back_and_nothing_accepted_is_lost() {
    let (scene, load) = Scene::set().await;
    scene.cluster.stack.stop_postgres().await.expect("Postgres stops");
    let gone = Instant::now();
    scene.away("Postgres", |readiness| readiness.postgres != "ok" && readiness.redis == "ok").await;
    let api = scene.cluster.api();
    assert_eq!(api.get("/healthz").await.expect("the engine answers").status, StatusCode::OK, "the process is well");
    let (list, start) = tokio::join!(api.get("/api/v1/runs"), start_once(&api, Some("refused")));
    assert_come_back(&list.expect("the engine answers"));
    assert_come_back(&start);
    sleep_until(gone + AWAY).await;
    scene.cluster.stack.start_postgres().await.expect("Postgres starts again");
    scene.ready_again().await;
    load.await.expect("all runs are accepted in the end");
    scene.assert_healed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_runs_are_accepted_and_go_on_when_it_is_back() {
    let (scene, load) = Scene::set().await;
    scene.cluster.stack.stop_redis().await.expect("Redis stops");
    let gone = Instant::now();
    scene.away("Redis", |readiness| readiness.redis != "ok" && readiness.postgres == "ok").await;
    sleep_until(gone + AWAY).await;
    scene.cluster.stack.start_redis().await.expect("Redis starts again");
    scene.ready_again().await;
    load.await.expect("all runs are accepted");
    scene.assert_healed().await;
}
