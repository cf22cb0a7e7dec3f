//! Redis is a nudge, not a truth: emptied or restarted it costs time, never a run, a result or an attempt.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::time::{Instant, sleep};
use valet_tests::bounds::{KILLED_MAX, LOAD_MAX, SOON};
use valet_tests::load::Load;
use valet_tests::wait::{until, until_true};
use valet_tests::{Cluster, Oracle, Shape, Stage};

use super::PROGRAM;

/// By when everything flows again after Redis is back.
const HEALED_WITHIN: Duration = Duration::from_secs(5);
/// Slots of the worker, all held.
const SLOTS: u32 = 4;
/// Steps with a ticket in Redis and no slot: less than the window, so that every one of them has a ticket.
const WAITING: u32 = 12;

/// A worker whose slots are all held, and runs whose tickets wait in Redis.
struct Scene {
    cluster: Cluster,
    oracle: Oracle,
    held: Stage,
    free: Stage,
}

impl Scene {
    async fn set() -> Self {
        let cluster = Cluster::start(PROGRAM, Shape { slots: SLOTS, ..Shape::default() }).await;
        let (held, free) = (cluster.stage("held"), cluster.stage("free"));
        free.open();
        let oracle = cluster.oracle().await;
        let scene = Self { cluster, oracle, held, free };
        scene.start("held", &scene.held, SLOTS).await;
        until_true("all slots to be held", SOON, async || scene.held.count("began") == SLOTS as usize).await;
        scene.start("free", &scene.free, WAITING).await;
        until("tickets for all that wait", SOON, async || {
            let ticketed = scene.oracle.ticketed("stage").await;
            if ticketed == i64::from(WAITING) { Ok(()) } else { Err(format!("{ticketed} are ticketed")) }
        })
        .await;
        assert_eq!(scene.free.count("began"), 0, "no slot is free");
        scene
    }

    async fn start(&self, name: &str, stage: &Stage, runs: u32) {
        let input = json!({ "steps": 1, "stage": stage.folder() });
        for number in 0..runs {
            let key = format!("{name}-{number}");
            self.cluster.api().start("staged", &input, &key).await.expect("a run starts");
        }
    }

    /// Lets the slots go and answers how long it takes until everything that waited is done.
    async fn heal(&self, waiting: u32) -> Duration {
        let back = Instant::now();
        self.held.open();
        until("all that waited to be done", Duration::from_secs(30), async || {
            let done = self.free.count("ended");
            if done >= waiting as usize { Ok(()) } else { Err(format!("{done} of {waiting} are done")) }
        })
        .await;
        back.elapsed()
    }

    /// Everything was carried out once, in its first attempt.
    async fn assert_first_attempts(&self, runs: u32) {
        self.oracle.ended("staged", runs, SOON).await;
        self.oracle.assert_all_well("staged", runs, 1).await;
        let notes: Vec<_> = self.held.notes().into_iter().chain(self.free.notes()).collect();
        assert!(notes.iter().all(|note| note.attempt == 1), "no new attempt: {notes:?}");
        assert_eq!(notes.iter().filter(|note| note.what == "began").count(), runs as usize, "each began once");
    }
}

/// kill -9, without a good-bye; returns when it is gone.
async fn kill_redis(cluster: &Cluster) {
    let pid = cluster.stack.pids().redis.expect("Redis runs");
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).expect("Redis is ours to kill");
    until_true("Redis to be gone", KILLED_MAX, async || cluster.stack.pids().redis.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_redis_heals_within_five_seconds_without_a_new_attempt() {
    let scene = Scene::set().await;
    scene.cluster.redis().flush_all().await;
    let took = scene.heal(WAITING).await;
    eprintln!("after FLUSHALL everything flowed again within {took:?}");
    assert!(took <= HEALED_WITHIN, "it took {took:?}");
    scene.assert_first_attempts(SLOTS + WAITING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_that_comes_back_empty_heals_within_five_seconds_without_a_new_attempt() {
    let scene = Scene::set().await;
    kill_redis(&scene.cluster).await;
    let api = scene.cluster.api();
    until("/readyz to name Redis", SOON, async || {
        let answer = api.readiness().await.map_err(|error| error.to_string())?;
        if answer.body.redis == "ok" { Err(format!("{:?}", answer.body)) } else { Ok(()) }
    })
    .await;
    // Longer than a worker's pause between two tries, so that all of it has noticed.
    sleep(Duration::from_secs(2)).await;
    scene.cluster.stack.start_redis().await.expect("Redis starts again");
    let took = scene.heal(WAITING).await;
    eprintln!("after a restart everything flowed again within {took:?}");
    assert!(took <= HEALED_WITHIN, "it took {took:?}");
    scene.assert_first_attempts(SLOTS + WAITING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flushes_and_a_restart_in_the_middle_of_a_load_lose_and_double_nothing() {
    const RUNS: u32 = 500;
    const SEED: u64 = 20_261_121;
    let cluster = Cluster::start(PROGRAM, Shape { workers: 2, ..Shape::default() }).await;
    let load = tokio::spawn(Load::bench(RUNS, 5).at_rate(120).start(cluster.api()));
    let mut random = SmallRng::seed_from_u64(SEED);
    for round in 0..6 {
        sleep(Duration::from_millis(random.random_range(100..600))).await;
        if round == 3 {
            kill_redis(&cluster).await;
            cluster.stack.start_redis().await.expect("Redis starts again");
        } else {
            cluster.redis().flush_all().await;
        }
    }
    let ids = load.await.expect("all runs are accepted");
    let oracle = cluster.oracle().await;
    oracle.ended("bench", RUNS, LOAD_MAX).await;
    oracle.assert_all_well("bench", RUNS, 5).await;
    let api = cluster.api();
    for id in &ids {
        let run = api.run(id).await.expect("a run shows");
        assert!(
            run.steps.iter().all(|step| step.attempt == 1),
            "seed {SEED}: {id} needed a new attempt: {:?}",
            run.steps
        );
    }
}
