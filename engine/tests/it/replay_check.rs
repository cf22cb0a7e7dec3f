//! What a build would make of the runs that live, told before it is deployed.

use std::sync::Arc;

use serde_json::json;
use valet_core::journal::StuckReason;
use valet_core::{Context, Registry, Stop, Workflow};
use valet_engine::replay_check::{Misfit, Replayed, replay_check};

use super::app::TestApp;
use super::database;
use super::workflows::{Anything, Echo, Listen, Say, registry};

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
