//! What an engine and a worker cost when nothing moves.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use valet_tests::bounds::{LOAD_MAX, SOON};
use valet_tests::load::Load;
use valet_tests::wait::until;
use valet_tests::{Cluster, Shape};

use super::PROGRAM;

const PARKED: u32 = 10_000;
/// What the engine has allocated. Pages of the program's file come on top, 40 MB of an unoptimized build; they are its size, not that of the runs.
const ENGINE_OWN_MAX_MB: f64 = 70.0;

const IDLE_FOR: Duration = Duration::from_secs(10);
const IDLE_CORE_MAX: f64 = 0.01;
const IDLE_COMMANDS_PER_S_MAX: f64 = 10.0;

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_with_ten_thousand_parked_runs_stays_small() {
    let cluster = Cluster::start(PROGRAM, Shape { slots: 64, log: "warn", ..Shape::default() }).await;
    let idle_mb = cluster.engines[0].rss_mb();
    let load = Load { workflow: "bench", input: json!({ "steps": 1, "park": true }), runs: PARKED, rate: None };
    let ids = load.start(cluster.api()).await;
    let oracle = cluster.oracle().await;
    until("all runs to be parked", LOAD_MAX, async || {
        let waiting = oracle.runs("bench", "waiting").await;
        if waiting == i64::from(PARKED) { Ok(()) } else { Err(format!("{waiting} wait")) }
    })
    .await;
    let (parked_mb, anonymous_mb) = (cluster.engines[0].rss_mb(), cluster.engines[0].rss_anonymous_mb());
    eprintln!(
        "engine: {idle_mb:.0} MB at its start, {parked_mb:.0} MB with {PARKED} parked runs ({anonymous_mb:.0} MB anonymous)"
    );
    assert!(
        anonymous_mb <= ENGINE_OWN_MAX_MB,
        "the engine holds {anonymous_mb:.0} MB of its own, {parked_mb:.0} MB in all"
    );

    // They are parked, not lost.
    let api = cluster.api();
    for id in ids.iter().step_by(1_000) {
        api.signal(id, "go", "once").await.expect("a parked run takes its signal");
    }
    until("the signalled runs to succeed", SOON, async || {
        let tally = oracle.tally("bench").await;
        if tally.succeeded == 10 && tally.live == i64::from(PARKED) - 10 { Ok(()) } else { Err(format!("{tally:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_of_three_queues_is_idle() {
    let shape = Shape { queues: "browser,default,bench".to_owned(), slots: 4, ..Shape::default() };
    let cluster = Cluster::start(PROGRAM, shape).await;
    // It worked before: what a busy worker speeds up must slow down again.
    Load::bench(20, 2).start(cluster.api()).await;
    let oracle = cluster.oracle().await;
    oracle.ended("bench", 20, SOON).await;
    let redis = cluster.redis();
    settled(&redis).await;

    let (before, cpu_before, began) = (redis.calls().await, cluster.workers[0].cpu_s(), Instant::now());
    let engine_before = cluster.engines[0].cpu_s();
    sleep(IDLE_FOR).await;
    let (after, cpu_after, engine_after) =
        (redis.calls().await, cluster.workers[0].cpu_s(), cluster.engines[0].cpu_s());
    let seconds = began.elapsed().as_secs_f64();

    let calls: BTreeMap<String, u64> = after
        .into_iter()
        .map(|(command, count)| (command.clone(), count - before.get(&command).copied().unwrap_or_default()))
        .filter(|(_, count)| *count > 0)
        .collect();
    let per_second = calls.values().sum::<u64>() as f64 / seconds;
    let (worker_core, engine_core) = ((cpu_after - cpu_before) / seconds, (engine_after - engine_before) / seconds);
    eprintln!(
        "idle: worker {:.2} % of a core, engine {:.2} %, Redis {per_second:.1} commands/s: {calls:?}",
        worker_core * 100.0,
        engine_core * 100.0
    );
    assert!(worker_core < IDLE_CORE_MAX, "the idle worker takes {:.2} % of a core", worker_core * 100.0);
    assert!(per_second <= IDLE_COMMANDS_PER_S_MAX, "Redis gets {per_second:.1} commands/s: {calls:?}");
}

/// Waits until Redis is asked no faster than it will be for good: the pace of polling doubles its pauses to half a second.
async fn settled(redis: &valet_tests::RedisProbe) {
    const WINDOW: Duration = Duration::from_secs(1);
    let mut last = u64::MAX;
    until("polling to slow down", SOON, async || {
        let before: u64 = redis.calls().await.values().sum();
        sleep(WINDOW).await;
        let calls = redis.calls().await.values().sum::<u64>() - before;
        let slowed = calls >= last;
        last = calls;
        if slowed { Ok(()) } else { Err(format!("{calls} calls a second")) }
    })
    .await;
}
