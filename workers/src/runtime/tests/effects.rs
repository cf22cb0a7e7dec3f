//! An effect that must not happen twice: begun only with the engine's commit, and never tried again in silence.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use valet_core::id::Seq;
use valet_core::step::Outcome;

use super::engine::Engine;
use super::rig::{Work, done, failure_of, start, work};
use crate::runtime::{Handlers, StepContext, StepError};

/// Begins its effect, then does what `n` says.
fn begins() -> Handlers {
    Handlers::new().on(async |ctx: StepContext, step: Work| {
        ctx.effect_begin().await?;
        match step.n {
            0 => panic!("after the effect"),
            1 => std::future::pending().await,
            2 => Err(StepError::retry("refused", "the site took nothing")),
            3 => Err(StepError::HandedBack),
            n => Ok(n),
        }
    })
}

async fn outcome_of(n: u32) -> Outcome {
    let engine = Engine::new();
    let run = engine.start([work(n).timeout_ms(20_000)]).await;
    let (worker, _) = start(1, begins(), &engine);
    let outcome = engine.outcome(run, 1).await;
    assert!(engine.state.lock().steps[&(run, Seq(1))].effect_begun);
    worker.drained().await;
    outcome
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_vanishes_after_its_effect_began_is_in_doubt_and_not_tried_again() {
    for n in [0, 1, 3] {
        let outcome = outcome_of(n).await;
        assert!(matches!(outcome, Outcome::Fail { .. }), "{n}: {outcome:?}");
        assert_eq!(failure_of(&outcome).code, "in_doubt");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_says_what_became_of_its_effect_is_believed() {
    assert_eq!(failure_of(&outcome_of(2).await).code, "refused");
    assert_eq!(done(&outcome_of(9).await), 9);
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_hand_back_what_has_begun() {
    let engine = Engine::new();
    let run = engine.start([work(1)]).await;
    let (worker, _) = start(1, begins(), &engine);
    engine.running(run, 1).await;
    worker.drained().await;
    assert_eq!(failure_of(&engine.outcome(run, 1).await).code, "in_doubt");
}

#[tokio::test(start_paused = true)]
async fn without_the_engines_go_the_effect_does_not_begin() {
    let engine = Engine::new();
    engine.state.lock().gated = true;
    let run = engine.start([work(9)]).await;
    let (worker, _) = start(1, begins(), &engine);
    engine
        .until("a step that is given back", |state| {
            state.accepted.first().filter(|finish| finish.outcome == Outcome::HandedBack).map(drop)
        })
        .await;
    engine.state.lock().gated = false;
    assert_eq!(done(&engine.outcome(run, 1).await), 9, "it may once the gate is open");
    worker.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_go_whose_answer_was_lost_is_asked_for_again() {
    let engine = Engine::new();
    let run = engine.start([work(1), work(9)]).await;
    let handlers = Handlers::new().on(async |ctx: StepContext, step: Work| {
        if step.n == 9 {
            ctx.effect_begin().await?;
        }
        Ok(step.n)
    });
    let (worker, door) = start(1, handlers, &engine);
    engine.outcome(run, 1).await;
    door.swallow.store(3, Ordering::SeqCst);
    assert_eq!(done(&engine.outcome(run, 2).await), 9);
    worker.drained().await;
}

#[tokio::test(start_paused = true)]
async fn an_effect_waits_while_the_worker_is_suspended() {
    let engine = Engine::new();
    engine.state.lock().forgiving = true;
    let begun = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&begun);
    let handlers = Handlers::new().on(move |ctx: StepContext, step: Work| {
        let begun = Arc::clone(&noted);
        async move {
            tokio::time::sleep(Duration::from_secs(30)).await;
            ctx.effect_begin().await?;
            *begun.lock() = Some(Instant::now());
            Ok(step.n)
        }
    });
    let run = engine.start([work(9)]).await;
    let (worker, door) = start(1, handlers, &engine);
    engine.running(run, 1).await;
    door.set_away(true);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(begun.lock().is_none());
    door.set_away(false);
    let back = Instant::now();
    assert_eq!(done(&engine.outcome(run, 1).await), 9);
    assert!(begun.lock().unwrap() >= back);
    worker.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_go_that_took_longer_than_the_lease_is_not_acted_upon_before_yours() {
    let engine = Engine::new();
    let acted = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&acted);
    let handlers = Handlers::new().on(move |ctx: StepContext, _: Work| {
        let acted = Arc::clone(&noted);
        async move {
            ctx.effect_begin().await?;
            acted.lock().push(ctx.attempt().0);
            Ok(ctx.attempt().0)
        }
    });
    let (worker, door) = start(1, handlers, &engine);
    *door.effect_answer_delay.lock() = Duration::from_secs(20);
    let run = engine.start([work(9)]).await;
    engine.until("the effect", |state| state.steps[&(run, Seq(1))].effect_begun.then_some(())).await;
    door.set_away(true);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(acted.lock().is_empty(), "the engine's go has come, but the lease may have ended");
    *door.effect_answer_delay.lock() = Duration::ZERO;
    door.set_away(false);
    assert_eq!(done(&engine.outcome(run, 1).await), 2);
    worker.drained().await;
    assert_eq!(*acted.lock(), [2]);
}
