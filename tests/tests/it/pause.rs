//! A paused run stays paused, whatever is restarted meanwhile, and goes on when it is told to.

use serde_json::json;
use valet_tests::bounds::SOON;
use valet_tests::wait::{until, until_true};
use valet_tests::{Cluster, Shape, Stage};

use super::PROGRAM;

struct Scene {
    cluster: Cluster,
    /// Of the run that is paused while its first step runs.
    running: Stage,
    /// Of the run that is paused while its first step waits for a slot.
    waiting: Stage,
}

impl Scene {
    async fn start(&self, stage: &Stage, key: &str) -> String {
        let input = json!({ "steps": 2, "stage": stage.folder() });
        self.cluster.api().start("staged", &input, key).await.expect("a run starts").body.id
    }

    /// A run that nobody paused goes all the way: whatever else could be dispatched, was.
    async fn others_go_on(&self, key: &str) {
        let stage = self.cluster.stage(key);
        stage.open();
        let run = self.start(&stage, key).await;
        let api = self.cluster.api();
        until("a run that is not paused to succeed", SOON, async || {
            let status = api.run(&run).await.map_err(|error| error.to_string())?.run.status;
            if status == "succeeded" { Ok(()) } else { Err(status) }
        })
        .await;
    }

    /// Both runs are where they were when they were paused.
    async fn assert_paused(&self, runs: [&str; 2], when: &str) {
        for run in runs {
            let view = self.cluster.api().run(run).await.expect("a run shows").run;
            assert!(view.paused && view.ended_at.is_none(), "{when}: {view:?}");
        }
        assert_eq!(self.running.count("began"), 1, "{when}: nothing of the first run was dispatched");
        assert_eq!(self.waiting.count("began"), 0, "{when}: nothing of the second run was dispatched");
    }

    async fn restart_everything(&mut self) {
        self.cluster.engines[0].kill().await;
        self.cluster.workers[0].kill().await;
        self.cluster.stack.restart_redis().await.expect("Redis restarts");
        self.cluster.stack.restart_postgres().await.expect("Postgres restarts");
        self.cluster.restart_engine(0).await;
        self.cluster.workers[0].start();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_survives_a_restart_of_everything_and_resume_goes_on() {
    let cluster = Cluster::start(PROGRAM, Shape { slots: 1, ..Shape::default() }).await;
    let (running, waiting) = (cluster.stage("running"), cluster.stage("waiting"));
    let mut scene = Scene { cluster, running, waiting };
    let first = scene.start(&scene.running, "running").await;
    until_true("the first run's step to begin", SOON, async || scene.running.count("began") == 1).await;
    let second = scene.start(&scene.waiting, "waiting").await;
    scene.waiting.open();
    let api = scene.cluster.api();
    for run in [&first, &second] {
        assert!(api.operate(run, "pause").await.expect("a run is paused").paused);
    }

    // The result of the running step is still taken.
    scene.running.open();
    let oracle = scene.cluster.oracle().await;
    until_true("the running step's result to be accepted", SOON, async || oracle.accepted().await == 1).await;
    let both = [first.as_str(), second.as_str()];
    scene.others_go_on("before").await;
    scene.assert_paused(both, "before the restarts").await;

    scene.cluster.restart_engine(0).await;
    scene.others_go_on("engine").await;
    scene.assert_paused(both, "after a restart of the engine").await;

    scene.restart_everything().await;
    scene.others_go_on("everything").await;
    scene.assert_paused(both, "after a restart of everything").await;

    for run in both {
        assert!(!scene.cluster.api().operate(run, "resume").await.expect("a run is resumed").paused);
    }
    oracle.ended("staged", 5, SOON).await;
    oracle.assert_all_well("staged", 5, 2).await;
    for stage in [&scene.running, &scene.waiting] {
        assert!(stage.notes().iter().all(|note| note.attempt == 1), "no new attempt: {:?}", stage.notes());
        assert_eq!(stage.count("ended"), 2, "each step was carried out once");
    }
}
