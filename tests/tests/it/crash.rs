//! kill -9 of engines and workers while 500 runs go on: all succeed, nothing is lost or doubled.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::sleep;
use valet_tests::bounds::LOAD_MAX;
use valet_tests::load::Load;
use valet_tests::{Cluster, Shape};

use super::PROGRAM;

const RUNS: u32 = 500;
const STEPS: u32 = 5;
/// The instants of the kills; another seed kills elsewhere.
const SEED: u64 = 20_261_121;

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_again_and_again_loses_and_doubles_nothing() {
    let mut cluster = Cluster::start(PROGRAM, Shape { workers: 2, ..Shape::default() }).await;
    let mut random = SmallRng::seed_from_u64(SEED);
    let load = tokio::spawn(Load::bench(RUNS, STEPS).at_rate(60).start(cluster.api()));
    let mut kills = 0;
    while !load.is_finished() && kills < 15 {
        sleep(Duration::from_millis(random.random_range(50..600))).await;
        cluster.restart_engine(0).await;
        kills += 1;
    }
    eprintln!("seed {SEED}: the engine was killed {kills} times");
    assert!(kills >= 5, "the load was over after {kills} kills");
    load.await.expect("all runs are accepted");
    let oracle = cluster.oracle().await;
    oracle.ended("bench", RUNS, LOAD_MAX).await;
    oracle.assert_all_well("bench", RUNS, STEPS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_again_and_again_lose_and_double_nothing() {
    let mut cluster = Cluster::start(PROGRAM, Shape { workers: 2, ..Shape::default() }).await;
    let mut random = SmallRng::seed_from_u64(SEED);
    let load = tokio::spawn(Load::bench(RUNS, STEPS).at_rate(60).start(cluster.api()));
    let mut kills = 0;
    while !load.is_finished() && kills < 15 {
        sleep(Duration::from_millis(random.random_range(100..900))).await;
        let worker = &mut cluster.workers[kills % 2];
        worker.kill().await;
        worker.start();
        kills += 1;
    }
    eprintln!("seed {SEED}: workers were killed {kills} times");
    assert!(kills >= 5, "the load was over after {kills} kills");
    load.await.expect("all runs are accepted");
    let oracle = cluster.oracle().await;
    oracle.ended("bench", RUNS, LOAD_MAX).await;
    oracle.assert_all_well("bench", RUNS, STEPS).await;
}
