//! What a build would make of the runs that live, told before it is deployed.

use std::sync::Arc;

use serde_json::json;
use valet_core::id::RunId;
use valet_core::journal::{Entry, Op, StuckReason};
use valet_core::{Context, Registry, Stop, Workflow};
use valet_engine::replay_check::{Misfit, Mismatch, Replayed, ReplayedRun, Verdict, replay_check, replay_run};

use super::app::TestApp;
use super::calls::Call;
use super::database;
use super::worker::Worker;
use super::workflows::{Anything, Echo, Listen, Messages, Say, registry};

/// `echo`, rewritten: it rests before it speaks.
struct Rested;

impl Workflow for Rested {
    const NAME: &'static str = Echo::NAME;
    type Input = Say;
    type Output = String;

    async fn run(ctx: Context, say: Say) -> Result<String, Stop> {
        ctx.sleep(std::time::Duration::from_secs(1)).await;
        Ok(ctx.step(say).await?)
    }
}

async fn checked(app: &TestApp, registry: Registry, workflow: Option<&str>) -> (Replayed, Vec<Misfit>) {
    let mut misfits = Vec::new();
    let registry = Arc::new(registry);
    let replayed = replay_check(&app.store, &registry, workflow, |misfit| misfits.push(misfit)).await.expect("checked");
    (replayed, misfits)
}

#[tokio::test]
async fn runs_that_a_build_would_park_are_named_with_the_place_and_nothing_is_changed() {
    let app = TestApp::with(&database::migrated().await, registry().with_build(10)).await;
    let echoes =
        [app.start_run("echo", &json!({ "text": "a" })).await, app.start_run("echo", &json!({ "text": "b" })).await];
    app.start_run("listen", &json!({ "count": 1 })).await;
    let ask = app.start_run("ask", &json!({})).await;
    let before = app.run(&echoes[0]).await;

    let (replayed, misfits) = checked(&app, registry().with_build(10), None).await;
    assert_eq!((replayed, misfits.len()), (Replayed { fit: 4, ..Replayed::default() }, 0));

    let next = || Registry::new(11).with::<Rested>().with::<Listen>();
    let (replayed, misfits) = checked(&app, next(), None).await;
    assert_eq!(replayed, Replayed { fit: 1, stuck: 3, ..Replayed::default() });
    for misfit in &misfits {
        assert!(!misfit.is_stuck);
        match &misfit.why {
            StuckReason::Mismatch { seq, recorded, asked } => {
                assert!(echoes.contains(&misfit.run.to_string()), "{misfit:?}");
                assert!(seq.0 == 1 && recorded.contains("say") && asked.contains("sleep"), "{misfit:?}");
            }
            StuckReason::UnknownWorkflow { name } => {
                assert_eq!((&misfit.run.to_string(), name.as_str()), (&ask, "ask"));
            }
            other => panic!("{other:?}"),
        }
    }
    let (replayed, _) = checked(&app, next(), Some("listen")).await;
    assert_eq!(replayed, Replayed { fit: 1, ..Replayed::default() });
    let (replayed, _) = checked(&app, registry().with_build(9), None).await;
    assert_eq!(replayed, Replayed { newer: 4, ..Replayed::default() });
    assert_eq!(app.run(&echoes[0]).await, before);
}

#[tokio::test]
async fn a_stuck_run_is_told_apart_by_whether_the_build_mends_it() {
    let url = database::migrated().await;
    let broken = TestApp::with(&url, Registry::new(10).with::<Anything>().with::<Rested>()).await;
    let run = broken.start_run("echo", &json!({ "text": "a" })).await;
    broken.engine.stop().await;
    // A build that does not know it parks it with the next thing that happens to it.
    let ignorant = TestApp::with(&url, Registry::new(11).with::<Anything>()).await;
    ignorant.until_status(&run, "stuck").await;
    ignorant.engine.stop().await;

    let (replayed, misfits) = checked(&ignorant, registry().with_build(12), None).await;
    assert_eq!(replayed, Replayed { stuck: 1, ..Replayed::default() });
    assert!(misfits[0].is_stuck && matches!(misfits[0].why, StuckReason::Mismatch { .. }), "{misfits:?}");
    let (replayed, misfits) = checked(&ignorant, Registry::new(12).with::<Rested>(), None).await;
    assert_eq!((replayed, misfits.len()), (Replayed { mended: 1, ..Replayed::default() }, 0));
}

/// `listen`, rewritten: it rests after its first message.
struct Resting;

impl Workflow for Resting {
    const NAME: &'static str = Listen::NAME;
    type Input = Messages;
    type Output = ();

    async fn run(ctx: Context, messages: Messages) -> Result<(), Stop> {
        for _ in 0..messages.count {
            ctx.wait_for::<serde_json::Value>("go", None).await;
            ctx.sleep(std::time::Duration::from_secs(1)).await;
        }
        Ok(())
    }
}

/// `echo`, rewritten: it goes on where it used to end.
struct Lingering;

impl Workflow for Lingering {
    const NAME: &'static str = Echo::NAME;
    type Input = Say;
    type Output = String;

    async fn run(ctx: Context, say: Say) -> Result<String, Stop> {
        let said = ctx.step(say).await?;
        ctx.sleep(std::time::Duration::from_secs(1)).await;
        Ok(said)
    }
}

async fn replayed(app: &TestApp, registry: Registry, run: &str) -> ReplayedRun {
    let run: RunId = run.parse().expect("an id");
    replay_run(&app.store, &Arc::new(registry), run).await.expect("replayed").expect("there is such a run")
}

#[track_caller]
fn misfit(replayed: &ReplayedRun) -> &Mismatch {
    match &replayed.verdict {
        Verdict::Misfit(mismatch) => mismatch,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_run_is_replayed_to_the_entry_that_a_build_leaves() {
    let app = TestApp::with(&database::migrated().await, registry().with_build(10)).await;
    let run = app.start_run("listen", &json!({ "count": 4 })).await;
    for n in 0..3 {
        let signal = Call::post(format!("/api/v1/runs/{run}/signals/go")).key(&format!("signal {n}"));
        app.send(signal.json(&json!({ "payload": n }))).await.expect(204);
    }
    let before = app.run(&run).await;
    assert_eq!(replayed(&app, registry().with_build(10), &run).await.verdict, Verdict::Fits);
    assert_eq!(replayed(&app, registry().with_build(9), &run).await.verdict, Verdict::Newer);

    let other = replayed(&app, Registry::new(11).with::<Resting>(), &run).await;
    let Mismatch { revision, index, why } = misfit(&other);
    assert!(matches!(why, StuckReason::Mismatch { asked, .. } if asked.contains("sleep")), "{why:?}");
    let chunk = other.stored.chunks.iter().find(|chunk| chunk.revision == *revision).expect("a chunk");
    assert!(matches!(&chunk.entries[*index], Entry::Op { seq, op: Op::Wait { .. } } if seq.0 == 2), "{chunk:?}");

    let unknown = replayed(&app, Registry::new(11), &run).await;
    let Mismatch { revision, index, why } = misfit(&unknown);
    assert_eq!((*revision, *index), (1, 0));
    assert!(matches!(why, StuckReason::UnknownWorkflow { .. }));
    assert_eq!(app.run(&run).await, before);
    let nobody = RunId(uuid::Uuid::from_u128(1));
    assert!(replay_run(&app.store, &Arc::new(registry()), nobody).await.expect("looked").is_none());
}

#[tokio::test]
async fn a_run_that_has_ended_is_replayed_to_its_end() {
    let app = TestApp::with(&database::migrated().await, registry().with_build(10)).await;
    let worker = Worker::open(&app).await;
    let (run, cancelled) =
        (app.start_run("echo", &json!({ "text": "a" })).await, app.start_run("echo", &json!({ "text": "b" })).await);
    worker.carry_out(&run, 1, json!("a")).await;
    app.until_status(&run, "succeeded").await;
    app.send(Call::post(format!("/api/v1/runs/{cancelled}/cancel"))).await.expect(200);
    app.until_status(&cancelled, "cancelled").await;

    for ended in [&run, &cancelled] {
        assert_eq!(replayed(&app, registry().with_build(10), ended).await.verdict, Verdict::Fits);
        let other = replayed(&app, Registry::new(11).with::<Rested>(), ended).await;
        assert_eq!((misfit(&other).revision, misfit(&other).index), (1, 1), "the step is no longer asked for");
    }
    let longer = replayed(&app, Registry::new(11).with::<Lingering>(), &run).await;
    assert_eq!((misfit(&longer).revision, misfit(&longer).index), (2, 0), "after the step's result");
    let never_there = replayed(&app, Registry::new(11).with::<Lingering>(), &cancelled).await;
    assert_eq!(never_there.verdict, Verdict::Fits);
}
