//! kill -9 in chosen instants: before a claim, while one is granted, in a step, before its finish, around its commit.
//!
//! Instants are reached by holding things, not by luck: a frozen process, a step that waits on its stage, a lock in
//! Postgres that a commit runs into.

use serde_json::json;
use valet_tests::bounds::{KILLED_MAX, SOON};
use valet_tests::oracle::Lock;
use valet_tests::wait::{until, until_true};
use valet_tests::{Cluster, Oracle, Shape, Stage};

use super::PROGRAM;

const STEPS: u32 = 2;

struct Scene {
    cluster: Cluster,
    oracle: Oracle,
    stage: Stage,
}

impl Scene {
    async fn set() -> Self {
        let cluster = Cluster::start(PROGRAM, Shape { slots: 2, ..Shape::default() }).await;
        let oracle = cluster.oracle().await;
        let stage = cluster.stage("held");
        Self { cluster, oracle, stage }
    }

    /// Starts a run of two steps.
    async fn start(&self) -> String {
        let input = json!({ "steps": STEPS, "stage": self.stage.folder() });
        self.cluster.api().start("staged", &input, "run").await.expect("the run starts").body.id
    }

    async fn began(&self, steps: usize) {
        until_true("a step to begin", SOON, async || self.stage.count("began") == steps).await;
    }

    async fn ended(&self, steps: usize) {
        until_true("a step's work to end", SOON, async || self.stage.count("ended") == steps).await;
    }

    /// The run succeeded with one result a step; answers how often steps began and which attempts there were.
    async fn outcome(&self) -> (usize, Vec<u32>) {
        self.oracle.ended("staged", 1, SOON).await;
        self.oracle.assert_all_well("staged", 1, STEPS).await;
        let mut attempts: Vec<u32> = self.stage.notes().iter().map(|note| note.attempt).collect();
        attempts.sort_unstable();
        attempts.dedup();
        (self.stage.count("began"), attempts)
    }

    async fn restart_worker(&mut self) {
        self.cluster.workers[0].kill().await;
        self.cluster.workers[0].start();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_before_it_claims_costs_no_attempt() {
    let mut scene = Scene::set().await;
    scene.stage.open();
    scene.cluster.workers[0].freeze();
    scene.start().await;
    let oracle = &scene.oracle;
    until_true("the step's ticket", SOON, async || oracle.ticketed("stage").await == 1).await;
    scene.restart_worker().await;
    assert_eq!(scene.outcome().await, (2, vec![1]), "the ticket was a nudge, the step was still ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_a_step_loses_that_attempt_and_nothing_else() {
    let mut scene = Scene::set().await;
    scene.start().await;
    scene.began(1).await;
    scene.restart_worker().await;
    scene.stage.open();
    assert_eq!(scene.outcome().await, (3, vec![1, 2]), "the lost attempt is followed by one other");
    assert_eq!(scene.stage.count("ended"), STEPS as usize, "each step's work was completed once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_before_its_finish_is_answered_has_one_accepted_result() {
    let mut scene = Scene::set().await;
    scene.start().await;
    scene.began(1).await;
    // The finish is sent to an engine that does not read it.
    scene.cluster.engines[0].freeze();
    scene.stage.open();
    scene.ended(1).await;
    scene.cluster.workers[0].kill().await;
    scene.cluster.engines[0].thaw();
    scene.cluster.workers[0].start();
    // Whether the dead worker's finish still arrives or the step is done again is open; there is one result.
    let (began, attempts) = scene.outcome().await;
    assert!(began <= 3 && attempts.iter().all(|attempt| *attempt <= 2), "{began} began, attempts {attempts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_while_a_claim_is_granted_costs_no_attempt() {
    let mut scene = Scene::set().await;
    scene.stage.open();
    // The worker claims once the lock is there.
    scene.cluster.workers[0].freeze();
    scene.start().await;
    let lock = scene.oracle.lock("steps").await;
    scene.cluster.workers[0].thaw();
    killed_at(&mut scene, lock, "The database grants", Fate::Goes).await;
    assert_eq!(scene.outcome().await, (2, vec![1]), "the repeated claim finds its first answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_around_a_commit_that_still_happens_answers_the_finish_once() {
    let mut scene = Scene::set().await;
    scene.start().await;
    scene.began(1).await;
    let lock = scene.oracle.lock("journal").await;
    scene.stage.open();
    killed_at(&mut scene, lock, "", Fate::Goes).await;
    assert_eq!(scene.outcome().await, (2, vec![1]), "the repeated finish finds its first answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_around_a_commit_that_is_undone_takes_the_finish_again() {
    let mut scene = Scene::set().await;
    scene.start().await;
    scene.began(1).await;
    let lock = scene.oracle.lock("journal").await;
    scene.stage.open();
    killed_at(&mut scene, lock, "", Fate::Dies).await;
    assert_eq!(scene.outcome().await, (2, vec![1]), "the worker sends its finish until it is answered");
}

/// What becomes of the statement whose engine is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Postgres carries it out: nobody told it that the engine is gone.
    Goes,
    /// It is undone.
    Dies,
}

/// Waits until a statement of the engine runs into the lock, kills the engine, lets the statement go or undoes it, and
/// starts the engine again.
async fn killed_at(scene: &mut Scene, lock: Lock, statement: &str, fate: Fate) {
    let (oracle, table) = (scene.oracle.clone(), lock.table);
    let blocked = until("a statement to run into the lock", SOON, async || {
        let blocked = oracle.blocked(table, statement).await;
        if blocked.is_empty() { Err(format!("nothing waits for {table}")) } else { Ok(blocked) }
    })
    .await;
    scene.cluster.engines[0].kill().await;
    if fate == Fate::Dies {
        for backend in blocked {
            oracle.undo(backend).await;
        }
    }
    lock.release().await;
    until_true("the blocked to be over", KILLED_MAX, async || oracle.blocked(table, "").await.is_empty()).await;
    scene.cluster.restart_engine(0).await;
}
