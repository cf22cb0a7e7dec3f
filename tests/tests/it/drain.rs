//! SIGTERM drains a worker: it takes nothing new, its steps end or are handed back, and no attempt is charged.

use std::time::Duration;

use serde_json::json;
use valet_tests::bounds::{END_MAX, SOON};
use valet_tests::load::Load;
use valet_tests::wait::until_true;
use valet_tests::{Cluster, Shape};

use super::PROGRAM;

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_worker_ends_or_hands_back_its_steps_and_no_attempt_is_charged() {
    let mut cluster = Cluster::start(PROGRAM, Shape { slots: 2, ..Shape::default() }).await;
    let (quick, slow) = (cluster.stage("quick"), cluster.stage("slow"));
    let api = cluster.api();
    // Steps with a single attempt: one that is charged for the drain fails its run.
    for stage in [&quick, &slow] {
        let input = json!({ "steps": 2, "stage": stage.folder(), "once": true });
        api.start("staged", &input, &stage.folder().display().to_string()).await.expect("a run starts");
    }
    until_true("both steps to begin", SOON, async || quick.count("began") + slow.count("began") == 2).await;

    cluster.workers[0].terminate();
    until_true("the worker to drain", SOON, async || {
        api.workers().await.is_ok_and(|workers| workers.iter().all(|worker| worker.draining))
    })
    .await;
    quick.open();
    let oracle = cluster.oracle().await;
    until_true("the result of the quick step", SOON, async || oracle.accepted().await == 1).await;
    let status = cluster.workers[0].ended(END_MAX).await;
    assert!(status.success(), "a drained worker ends well: {status}");
    assert_eq!(quick.count("began"), 1, "a draining worker takes no next step");
    assert_eq!(slow.count("stopped"), 1, "the slow step was told to stop");
    assert_eq!(oracle.steps("stage", "running").await, 0, "nothing is held any more");

    slow.open();
    cluster.workers[0].start();
    oracle.ended("staged", 2, SOON).await;
    oracle.assert_all_well("staged", 2, 2).await;
    assert_eq!((quick.count("ended"), slow.count("ended")), (2, 2), "each step was carried out once");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_come_and_go_by_sigterm_cost_no_attempt() {
    const RUNS: u32 = 500;
    let mut cluster = Cluster::start(PROGRAM, Shape { workers: 2, ..Shape::default() }).await;
    let load = tokio::spawn(Load::bench(RUNS, 5).at_rate(120).start(cluster.api()));
    for round in 0..6 {
        let worker = &mut cluster.workers[round % 2];
        let status = worker.stop().await;
        assert!(status.success(), "a drained worker ends well: {status}");
        worker.start();
        cluster.workers_seen(2).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ids = load.await.expect("all runs are accepted");
    let oracle = cluster.oracle().await;
    // Nothing waits for a lease to end: what a worker held was finished or handed back.
    oracle.ended("bench", RUNS, SOON).await;
    oracle.assert_all_well("bench", RUNS, 5).await;
    let api = cluster.api();
    for id in &ids {
        let events = valet_tests::events::read_to_end(&api, id).await;
        let charged = events.iter().find(|event| {
            let why = &event.entry["attempt_ended"]["why"];
            !why.is_null() && why != "handed_back"
        });
        assert!(charged.is_none(), "{id}: {charged:?}");
    }
}
