//! Recovery that is itself disturbed: Postgres restarts while an engine recovers, an engine is stopped for longer than its
//! session lives and then goes on as if nothing had happened.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};
use valet_tests::bounds::{LOAD_MAX, SOON};
use valet_tests::load::Load;
use valet_tests::wait::until_true;
use valet_tests::{Cluster, Shape, Stage};

use super::PROGRAM;

const RUNS: u32 = 300;
const STEPS: u32 = 5;
/// Longer than an engine's session lives (8 s), and than its successor takes to notice.
const STOPPED: Duration = Duration::from_secs(12);
/// From the start of an engine to the next restart of its database: at its connections, at its session, at its first tick.
const INTO_RECOVERY: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(300), Duration::from_millis(900)];

struct Scene {
    cluster: Cluster,
    stage: Stage,
    load: tokio::task::JoinHandle<Vec<String>>,
}

impl Scene {
    /// A held step, and a load in full swing.
    async fn set(engines: usize) -> Self {
        let cluster = Cluster::start(PROGRAM, Shape { engines, ..Shape::default() }).await;
        let stage = cluster.stage("held");
        let input = json!({ "steps": 2, "stage": stage.folder() });
        cluster.api().start("staged", &input, "held").await.expect("the held run starts");
        until_true("the held step to begin", SOON, async || stage.count("began") == 1).await;
        let load = tokio::spawn(Load::bench(RUNS, STEPS).at_rate(40).start(cluster.api()));
        let oracle = cluster.oracle().await;
        until_true("the load to be under way", SOON, async || oracle.accepted().await > 100).await;
        Self { cluster, stage, load }
    }

    /// Everything that was accepted succeeded, each step with one result.
    async fn assert_healed(self, runs: u32) {
        let oracle = self.cluster.oracle().await;
        self.stage.open();
        self.load.await.expect("all runs are accepted in the end");
        oracle.ended("bench", runs, LOAD_MAX).await;
        oracle.ended("staged", 1, SOON).await;
        oracle.assert_all_well("bench", runs, STEPS).await;
        oracle.assert_all_well("staged", 1, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_restarted_while_an_engine_recovers_loses_and_doubles_nothing() {
    let mut scene = Scene::set(1).await;
    for into in INTO_RECOVERY {
        let cluster = &mut scene.cluster;
        cluster.engines[0].kill().await;
        cluster.engines[0].start();
        sleep(into).await;
        cluster.stack.stop_postgres().await.expect("Postgres stops");
        cluster.stack.start_postgres().await.expect("Postgres starts again");
        // Who cannot reach its database when it starts may end; whoever runs it starts it again.
        if !cluster.engines[0].is_running() {
            cluster.engines[0].start();
        }
    }
    let cluster = &mut scene.cluster;
    if !cluster.engines[0].is_running() {
        cluster.engines[0].start();
    }
    scene.cluster.engine_ready(0).await;
    scene.assert_healed(RUNS).await;
}

/// It still believes that it owns its shards, has runs cached and statements on their way: its session is over all the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_was_stopped_beyond_its_lease_goes_on_as_one_of_two() {
    let scene = Scene::set(2).await;
    let stopped = &scene.cluster.engines[0];
    stopped.freeze();
    until_true("the engine to stand still", SOON, async || stopped.is_stopped()).await;
    let stands_still = Instant::now();
    let oracle = scene.cluster.oracle().await;
    until_true("the other to own every shard", Duration::from_secs(15), async || oracle.owners().await.len() == 1)
        .await;
    sleep_until(stands_still + STOPPED).await;
    let before = oracle.accepted().await;
    stopped.thaw();
    let (back, other) = (scene.cluster.api_of(0), scene.cluster.api_of(1));
    for api in [&back, &other] {
        until_true("the engine to be ready", SOON, async || {
            api.readiness().await.is_ok_and(|answer| answer.body.ready)
        })
        .await;
    }
    until_true("both to own shards", Duration::from_secs(15), async || oracle.owners().await.len() == 2).await;
    // Started by the one that came back, and told by both.
    let input = json!({ "steps": STEPS });
    let run = back.start("bench", &input, "after").await.expect("a run starts").body.id;
    until_true("its end is told by the other", SOON, async || {
        let path = format!("/api/v1/runs/{run}");
        other.get(&path).await.is_ok_and(|answer| answer.body["status"] == "succeeded")
    })
    .await;
    assert!(oracle.accepted().await >= before);
    scene.assert_healed(RUNS + 1).await;
}
