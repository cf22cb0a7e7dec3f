//! Two engines and two workers are one Valet.

use std::time::Duration;

use serde_json::json;
use valet_tests::bounds::{LOAD_MAX, SOON};
use valet_tests::events::{Event, assert_gapless, kinds, read_to_end};
use valet_tests::load::Load;
use valet_tests::wait::until_true;
use valet_tests::{Api, Cluster, Shape};

use super::PROGRAM;

const RUNS: u32 = 500;
const STEPS: u32 = 5;

async fn pair() -> Cluster {
    Cluster::start(PROGRAM, Shape { engines: 2, workers: 2, ..Shape::default() }).await
}

/// Reads a run through each engine at once, while it goes on.
async fn read_through_both(first: Api, second: Api, run: String) -> (Vec<Event>, Vec<Event>) {
    tokio::join!(read_to_end(&first, &run), read_to_end(&second, &run))
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_runs_lose_and_double_nothing_and_either_engine_tells_them() {
    let cluster = pair().await;
    let stage = cluster.stage("held");
    let (first, second) = (cluster.api_of(0), cluster.api_of(1));
    let input = json!({ "steps": 3, "stage": stage.folder() });
    let held = first.start("staged", &input, "held").await.expect("the held run starts").body.id;
    until_true("the first held step to begin", SOON, async || stage.count("began") == 1).await;
    let live = tokio::spawn(read_through_both(first.clone(), second.clone(), held.clone()));

    let ids = Load::bench(RUNS, STEPS).start(cluster.api()).await;
    let oracle = cluster.oracle().await;
    oracle.ended("bench", RUNS, LOAD_MAX).await;
    stage.open();
    let (through_first, through_second) = live.await.expect("the live streams end");
    assert_gapless(&held, &through_first);
    assert_eq!(through_first, through_second, "both engines told the same while it happened");
    assert_eq!(kinds(&through_first).iter().filter(|kind| *kind == "resolved").count(), 3);

    for id in ids.iter().step_by(50) {
        let (one, other) = read_through_both(first.clone(), second.clone(), id.clone()).await;
        assert_gapless(id, &one);
        assert_eq!(one, other, "{id} reads the same through either engine");
    }
    oracle.ended("staged", 1, SOON).await;
    oracle.assert_all_well("staged", 1, 3).await;
    assert_eq!(stage.count("ended"), 3, "each held step was carried out once");
    oracle.assert_all_well("bench", RUNS, STEPS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_engine_is_replaced_by_the_other_and_its_streams_go_on_there() {
    let mut cluster = pair().await;
    let stage = cluster.stage("held");
    let input = json!({ "steps": 2, "stage": stage.folder() });
    let held = cluster.api().start("staged", &input, "held").await.expect("the held run starts").body.id;
    until_true("the first held step to begin", SOON, async || stage.count("began") == 1).await;
    let streams: Vec<_> = (0..2)
        .map(|_| {
            // Each client begins with another engine: one of the streams breaks.
            let (api, run) = (cluster.api(), held.clone());
            tokio::spawn(async move { read_to_end(&api, &run).await })
        })
        .collect();

    let load = tokio::spawn(Load::bench(RUNS, STEPS).at_rate(150).start(cluster.api()));
    let oracle = cluster.oracle().await;
    let third = i64::from(RUNS * STEPS / 3);
    until_true("a third of all steps", LOAD_MAX, async || oracle.accepted().await > third).await;
    cluster.engines[0].kill().await;
    stage.open();

    load.await.expect("the load is accepted");
    oracle.ended("bench", RUNS, LOAD_MAX).await;
    oracle.ended("staged", 1, SOON).await;
    for stream in streams {
        assert_gapless(&held, &stream.await.expect("a stream ends"));
    }
    let survivor = cluster.api_of(1);
    until_true("the survivor to own every shard", Duration::from_secs(15), async || oracle.owners().await.len() == 1)
        .await;
    assert!(survivor.readiness().await.expect("the survivor answers").body.ready);
    oracle.assert_all_well("bench", RUNS, STEPS).await;
}
