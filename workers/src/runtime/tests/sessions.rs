//! Heartbeats keep the leases; what they bring back is carried out; silence suspends; engines may come and go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;
use valet_core::id::Seq;
use valet_core::step::Outcome;

use super::engine::{Engine, LEASE_MS, Phase};
use super::rig::{Door, Flag, Work, config, done, start, start_with, work};
use crate::runtime::{Halted, Handlers, StepContext, StepError};

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_heartbeat_cancels_the_handler() {
    let engine = Engine::new();
    let tidied = Flag::default();
    let seen = tidied.clone();
    let handlers = Handlers::new().on(move |ctx: StepContext, _: Work| {
        let tidied = seen.clone();
        async move {
            ctx.cancelled().await;
            assert_eq!(ctx.check(), Err(Halted::Stopped));
            assert_eq!(ctx.ready().await, Err(Halted::Stopped));
            tidied.set();
            Err(StepError::retry("interrupted", "told to stop"))
        }
    });
    let run = engine.start([work(1)]).await;
    let (worker, _) = start(1, handlers, &engine);
    engine.running(run, 1).await;
    engine.stop(run, 1);
    assert_eq!(engine.outcome(run, 1).await, Outcome::Cancelled);
    assert!(tidied.is_set());
    worker.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ignores_its_stop_is_dropped_after_the_grace() {
    let engine = Engine::new();
    let dropped = Flag::default();
    let seen = dropped.clone();
    let handlers = Handlers::new().on(move |_: StepContext, _: Work| {
        let guard = seen.on_drop();
        async move {
            let _guard = guard;
            std::future::pending().await
        }
    });
    let run = engine.start([work(1)]).await;
    let (worker, _) = start(1, handlers, &engine);
    engine.running(run, 1).await;
    engine.stop(run, 1);
    let told = Instant::now();
    assert_eq!(engine.outcome(run, 1).await, Outcome::Cancelled);
    assert!(dropped.is_set());
    let took = told.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(8)).contains(&took), "{took:?}");
    worker.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_result_that_came_before_the_stop_was_seen_is_still_reported() {
    let engine = Engine::new();
    let handlers = Handlers::new().on(async |ctx: StepContext, step: Work| {
        ctx.cancelled().await;
        Ok(step.n)
    });
    let run = engine.start([work(4)]).await;
    let (worker, _) = start(1, handlers, &engine);
    engine.running(run, 1).await;
    engine.stop(run, 1);
    assert_eq!(done(&engine.outcome(run, 1).await), 4);
    worker.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_stops_its_work_and_no_result_of_it_is_sent() {
    let engine = Engine::new();
    let handlers = Handlers::new().on(async |ctx: StepContext, _: Work| {
        if ctx.attempt().0 == 1 {
            ctx.cancelled().await;
        }
        Ok(ctx.attempt().0)
    });
    let run = engine.start([work(1)]).await;
    let (worker, door) = start(1, handlers, &engine);
    engine.running(run, 1).await;
    engine.end_sessions().await;
    assert_eq!(done(&engine.outcome(run, 1).await), 2, "the attempt of the new session");
    worker.drained().await;
    let state = engine.state.lock();
    assert_eq!(state.sessions.len(), 2);
    assert_eq!((state.accepted.len(), state.refused.len()), (1, 0));
    assert_eq!(door.seen.lock().finishes.len(), 1, "the lost attempt's result was never sent");
}

#[tokio::test(start_paused = true)]
async fn a_finish_is_sent_again_until_it_is_taken() {
    let engine = Engine::new();
    engine.state.lock().again = 5;
    let handlers = Handlers::new().on(async |_: StepContext, step: Work| Ok(step.n));
    let run = engine.start([work(1), work(2)]).await;
    let (worker, door) = start(1, handlers, &engine);
    assert_eq!(done(&engine.outcome(run, 2).await), 2);
    worker.drained().await;
    assert_eq!(engine.state.lock().accepted.len(), 2);
    assert_eq!(door.seen.lock().finishes.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_finish_whose_answer_was_lost_still_brings_the_step_that_was_handed_over() {
    let engine = Engine::new();
    let door = Door::new("http://one", &engine);
    let lose = Arc::clone(&door);
    let handlers = Handlers::new().on(move |_: StepContext, step: Work| {
        if step.n == 1 {
            lose.swallow.store(2, Ordering::SeqCst);
        }
        async move { Ok(step.n) }
    });
    let run = engine.start([work(1), work(2)]).await;
    let worker = start_with(config(1), handlers, &engine, std::slice::from_ref(&door));
    assert_eq!(done(&engine.outcome(run, 2).await), 2);
    worker.drained().await;
    let state = engine.state.lock();
    assert_eq!((state.accepted.len(), state.handed_over), (2, 1));
    assert_eq!(state.steps[&(run, Seq(2))].granted, 1);
    assert_eq!(door.seen.lock().claims.iter().sum::<usize>(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_finish_goes_to_another_engine_when_its_own_is_away() {
    let engine = Engine::new();
    let doors = ["http://one", "http://two"].map(|name| Door::new(name, &engine));
    let (asked, mut hear) = mpsc::channel(8);
    let (answer, wait) = tokio::sync::watch::channel(false);
    let handlers = Handlers::new().on(move |ctx: StepContext, step: Work| {
        let (asked, mut wait) = (asked.clone(), wait.clone());
        async move {
            asked.send(ctx.run()).await.unwrap();
            wait.wait_for(|go| *go).await.unwrap();
            Ok(step.n)
        }
    });
    let mut runs = Vec::new();
    for n in 0..8 {
        runs.push(engine.start([work(n)]).await);
    }
    let worker = start_with(config(8), handlers, &engine, &doors);
    for _ in 0..8 {
        hear.recv().await.unwrap();
    }
    assert!(doors.iter().all(|door| !door.seen.lock().claims.is_empty()), "both engines have runs");
    doors[0].set_away(true);
    let cut = Instant::now();
    answer.send_replace(true);
    for run in runs {
        engine.outcome(run, 1).await;
    }
    assert!(cut.elapsed() < Duration::from_millis(100), "{:?}", cut.elapsed());
    assert_eq!(worker.drained().await.abandoned, 0);
    assert_eq!(engine.state.lock().accepted.len(), 8);
    assert!(engine.state.lock().sessions.values().all(|session| session.closed));
}

#[tokio::test(start_paused = true)]
async fn silence_suspends_and_yours_resumes() {
    let engine = Engine::new();
    engine.state.lock().forgiving = true;
    let log = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&log);
    let handlers = Handlers::new().on(move |ctx: StepContext, step: Work| {
        let log = Arc::clone(&noted);
        async move {
            while log.lock().len() < 3 {
                let now = ctx.check();
                let known = log.lock().last().is_some_and(|(was, _)| *was == now);
                if !known {
                    log.lock().push((now, Instant::now()));
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            ctx.ready().await?;
            Ok(step.n)
        }
    });
    let run = engine.start([work(3)]).await;
    let (worker, door) = start(1, handlers, &engine);
    *door.heartbeat_answer_delay.lock() = Duration::from_millis(1_500);
    engine.running(run, 1).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    door.set_away(true);
    let renewed = engine.state.lock().sessions.values().next().unwrap().last_at;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(log.lock().len(), 2);
    door.set_away(false);
    let back = Instant::now();
    assert_eq!(done(&engine.outcome(run, 1).await), 3);
    worker.drained().await;
    let log = log.lock();
    let states: Vec<_> = log.iter().map(|(state, _)| *state).collect();
    assert_eq!(states, [Ok(()), Err(Halted::Suspended), Ok(())]);
    let reach = Duration::from_millis(LEASE_MS - 1_000);
    let suspended = log[1].1 - renewed;
    assert!(suspended >= reach && suspended < reach + Duration::from_millis(100), "{suspended:?} after it was sent");
    assert!(log[2].1 - back <= Duration::from_secs(5));
    assert_eq!(engine.state.lock().sessions.len(), 1, "it is the same session");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_away_for_longer_than_its_lease_starts_anew() {
    let engine = Engine::new();
    let acted = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&acted);
    let handlers = Handlers::new().on(move |ctx: StepContext, _: Work| {
        let acted = Arc::clone(&noted);
        async move {
            if ctx.attempt().0 == 1 {
                ctx.cancelled().await;
            }
            // A handler of a lost lease gets no further than here.
            ctx.check()?;
            acted.lock().push(ctx.attempt().0);
            Ok(ctx.attempt().0)
        }
    });
    let run = engine.start([work(1)]).await;
    let (worker, door) = start(1, handlers, &engine);
    engine.running(run, 1).await;
    door.set_away(true);
    tokio::time::sleep(Duration::from_mins(1)).await;
    door.set_away(false);
    assert_eq!(done(&engine.outcome(run, 1).await), 2);
    worker.drained().await;
    assert_eq!(*acted.lock(), [2]);
    assert_eq!(engine.state.lock().sessions.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_result_is_kept_over_an_outage_longer_than_a_lease() {
    let engine = Engine::new();
    engine.state.lock().forgiving = true;
    let (go, wait) = tokio::sync::watch::channel(false);
    let handlers = Handlers::new().on(move |_: StepContext, step: Work| {
        let mut wait = wait.clone();
        async move {
            wait.wait_for(|go| *go).await.unwrap();
            Ok(step.n)
        }
    });
    let run = engine.start([work(6)]).await;
    let (worker, door) = start(1, handlers, &engine);
    engine.running(run, 1).await;
    door.set_away(true);
    go.send_replace(true);
    tokio::time::sleep(Duration::from_mins(5)).await;
    door.set_away(false);
    assert_eq!(done(&engine.outcome(run, 1).await), 6);
    worker.drained().await;
    let tries = door.seen.lock().finishes.len();
    assert!((100..400).contains(&tries), "{tries} tries in five minutes");
}

#[tokio::test(start_paused = true)]
async fn a_worker_waits_for_its_first_engine() {
    let engine = Engine::new();
    let handlers = Handlers::new().on(async |_: StepContext, step: Work| Ok(step.n));
    let door = Door::new("http://one", &engine);
    door.set_away(true);
    let run = engine.start([work(1)]).await;
    let worker = start_with(config(1), handlers, &engine, std::slice::from_ref(&door));
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(engine.tickets.handed_out(), 0, "no ticket is fetched without a session");
    door.set_away(false);
    assert_eq!(done(&engine.outcome(run, 1).await), 1);
    worker.drained().await;
}

#[tokio::test(start_paused = true)]
async fn progress_is_sent_when_it_changed_and_reaches_the_next_attempt() {
    let engine = Engine::new();
    let handlers = Handlers::new().on(async |ctx: StepContext, _: Work| {
        if let Some(page) = ctx.previous_progress::<u32>() {
            return Ok(page);
        }
        for page in [1_u32, 1, 2] {
            ctx.progress(&page);
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        ctx.progress(&"x".repeat(100_000));
        Err(StepError::retry("again", "from where it was"))
    });
    let run = engine.start([work(1).attempts(2)]).await;
    let (worker, _) = start(1, handlers, &engine);
    assert_eq!(done(&engine.outcome(run, 1).await), 2);
    worker.drained().await;
    let state = engine.state.lock();
    let held = state.sessions.values().flat_map(|session| &session.beats).flat_map(|beat| &beat.held);
    let sent: Vec<_> = held.filter_map(|held| held.progress.as_ref()).map(|told| told.as_str().to_owned()).collect();
    assert_eq!(sent, ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_worker_fetches_no_ticket() {
    let engine = Engine::new();
    engine.state.lock().forgiving = true;
    let handlers = Handlers::new().on(async |_: StepContext, step: Work| Ok(step.n));
    let (worker, door) = start(4, handlers, &engine);
    let first = engine.start([work(1)]).await;
    engine.outcome(first, 1).await;
    door.set_away(true);
    tokio::time::sleep(Duration::from_millis(LEASE_MS)).await;
    let run = engine.start([work(2)]).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(engine.tickets.handed_out(), 0);
    door.set_away(false);
    assert_eq!(done(&engine.outcome(run, 1).await), 2);
    worker.drained().await;
    assert_eq!(engine.tickets.dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_paused_worker_ends_what_it_has_and_takes_nothing_until_it_is_resumed() {
    let engine = Engine::new();
    let handlers = Handlers::new().on(async |_: StepContext, step: Work| {
        tokio::time::sleep(Duration::from_secs(u64::from(step.n))).await;
        Ok(step.n)
    });
    let first = engine.start([work(20), work(1)]).await;
    let (worker, _) = start(2, handlers, &engine);
    engine.running(first, 1).await;
    engine.state.lock().paused = true;
    engine
        .until("a heartbeat of a paused worker", |state| {
            let beats = state.sessions.values().filter_map(|session| session.last.as_ref());
            beats.clone().any(|beat| beat.free_slots == 0 && !beat.draining).then_some(())
        })
        .await;
    let second = engine.start([work(1)]).await;
    assert_eq!(done(&engine.outcome(first, 1).await), 20);
    tokio::time::sleep(Duration::from_secs(30)).await;
    {
        let state = engine.state.lock();
        let waiting = [&state.steps[&(first, Seq(2))].phase, &state.steps[&(second, Seq(1))].phase];
        assert_eq!(waiting, [&Phase::Ready, &Phase::Ready]);
    }
    engine.state.lock().paused = false;
    assert_eq!(done(&engine.outcome(second, 1).await), 1);
    worker.drained().await;
}
