//! A worker leaves in good order: running steps end or are handed back, and the session is closed.

use std::time::Duration;

use tokio::time::Instant;
use valet_core::id::Seq;
use valet_core::step::Outcome;

use super::engine::{Engine, Phase};
use super::rig::{Door, Flag, Work, config, done, start, start_with, work};
use crate::runtime::{Handlers, StepContext, Transport, Worker};

/// Works for `n` seconds.
fn for_seconds() -> Handlers {
    Handlers::new().on(async |_: StepContext, step: Work| {
        tokio::time::sleep(Duration::from_secs(u64::from(step.n))).await;
        Ok(step.n)
    })
}

#[tokio::test(start_paused = true)]
async fn running_steps_end_and_nothing_new_begins() {
    let engine = Engine::new();
    let run = engine.start([work(20), work(1)]).await;
    let (worker, _) = start(2, for_seconds(), &engine);
    engine.running(run, 1).await;
    worker.handle.drain();
    let told = Instant::now();
    engine
        .until("a draining heartbeat", |state| {
            state
                .sessions
                .values()
                .any(|s| s.last.as_ref().is_some_and(|beat| beat.draining && beat.free_slots == 0))
                .then_some(())
        })
        .await;
    assert!(told.elapsed() < Duration::from_secs(1), "the engine is told at once");
    let late = engine.start([work(1)]).await;
    let drained = worker.drained().await;
    assert_eq!(drained.abandoned, 0);
    assert!(told.elapsed() < Duration::from_secs(25));
    assert_eq!(done(&engine.outcome(run, 1).await), 20);
    let state = engine.state.lock();
    assert_eq!(state.handed_over, 0);
    assert_eq!(state.steps[&(run, Seq(2))].phase, Phase::Ready);
    assert_eq!(state.steps[&(late, Seq(1))].phase, Phase::Ready);
    assert!(state.sessions.values().all(|session| session.closed));
}

#[tokio::test(start_paused = true)]
async fn what_still_runs_after_the_drain_time_is_handed_back() {
    let engine = Engine::new();
    let (long, short) = (engine.start([work(3_600)]).await, engine.start([work(5)]).await);
    let (worker, _) = start(2, for_seconds(), &engine);
    engine.running(long, 1).await;
    engine.running(short, 1).await;
    let began = Instant::now();
    assert_eq!(worker.drained().await.abandoned, 0);
    let took = began.elapsed();
    assert!((Duration::from_secs(35)..Duration::from_secs(37)).contains(&took), "30 s and 5 s of grace: {took:?}");
    assert_eq!(done(&engine.outcome(short, 1).await), 5);
    let state = engine.state.lock();
    assert_eq!(state.accepted.last().unwrap().outcome, Outcome::HandedBack);
    let step = &state.steps[&(long, Seq(1))];
    assert_eq!((&step.phase, step.attempt.0), (&Phase::Ready, 2));
    assert!(state.sessions.values().all(|session| session.closed));
}

#[tokio::test(start_paused = true)]
async fn a_drain_without_an_engine_ends_all_the_same() {
    let engine = Engine::new();
    let run = engine.start([work(3_600)]).await;
    let (worker, door) = start(1, for_seconds(), &engine);
    engine.running(run, 1).await;
    door.set_away(true);
    let began = Instant::now();
    assert_eq!(worker.drained().await.abandoned, 1);
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_a_session_drains_at_once() {
    let engine = Engine::new();
    let door = Door::new("http://one", &engine);
    door.set_away(true);
    let worker = start_with(config(1), for_seconds(), &engine, &[door]);
    let began = Instant::now();
    assert_eq!(worker.drained().await.abandoned, 0);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_callers_shutdown_drains_and_dropping_the_worker_ends_it_at_once() {
    let engine = Engine::new();
    let dropped = Flag::default();
    let seen = dropped.clone();
    let handlers = Handlers::new().on(move |_: StepContext, step: Work| {
        let guard = seen.on_drop();
        async move {
            let _guard = guard;
            tokio::time::sleep(Duration::from_secs(u64::from(step.n))).await;
            Ok(step.n)
        }
    });
    let run = engine.start([work(20)]).await;
    let door: std::sync::Arc<dyn Transport> = Door::new("http://one", &engine);
    let worker = Worker::new(config(1), handlers, vec![door], std::sync::Arc::new(engine.tickets.clone())).unwrap();
    let first_signal = tokio::time::sleep(Duration::from_secs(1));
    let second_signal = tokio::time::sleep(Duration::from_secs(3));
    tokio::select! {
        _ = worker.run(first_signal) => panic!("the step still runs"),
        () = second_signal => {}
    }
    engine.running(run, 1).await;
    // Aborted tasks are dropped when the runtime comes to them.
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(dropped.is_set());
    let state = engine.state.lock();
    assert!(state.sessions.values().all(|session| session.last.as_ref().unwrap().draining && !session.closed));
    assert!(state.accepted.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_granted_while_the_drain_begins_is_handed_back_untouched() {
    let engine = Engine::new();
    let ran = Flag::default();
    let seen = ran.clone();
    let handlers = Handlers::new().on(move |_: StepContext, step: Work| {
        seen.set();
        async move { Ok(step.n) }
    });
    let (worker, door) = start(1, handlers, &engine);
    *door.delay.lock() = Duration::from_secs(1);
    let run = engine.start([work(1)]).await;
    while door.seen.lock().claims.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(worker.drained().await.abandoned, 0);
    assert!(!ran.is_set());
    let state = engine.state.lock();
    assert_eq!(state.accepted.last().unwrap().outcome, Outcome::HandedBack);
    assert_eq!(state.steps[&(run, Seq(1))].phase, Phase::Ready);
}
