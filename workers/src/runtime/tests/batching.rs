//! Steps that are done together stay steps of their own.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use valet_core::id::RunId;
use valet_core::step::Outcome;

use super::engine::Engine;
use super::rig::{Flag, Work, done, failure_of, start, work};
use crate::runtime::{Batching, Handlers, StepContext, StepError};

const WAIT: Duration = Duration::from_secs(5);

fn of_up_to(max_size: usize) -> Batching {
    Batching { max_size, max_wait: WAIT }
}

/// Which steps each call was given.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<Vec<u32>>>>);

impl Calls {
    fn add(&self, batch: &[(StepContext, Work)]) {
        let mut members: Vec<u32> = batch.iter().map(|(_, step)| step.n).collect();
        members.sort_unstable();
        self.0.lock().push(members);
    }

    fn sorted(&self) -> Vec<Vec<u32>> {
        let mut calls = self.0.lock().clone();
        calls.sort();
        calls
    }
}

async fn each(engine: &Engine, steps: impl IntoIterator<Item = u32>) -> Vec<RunId> {
    let mut runs = Vec::new();
    for n in steps {
        runs.push(engine.start([work(n)]).await);
    }
    runs
}

#[tokio::test(start_paused = true)]
async fn steps_of_one_key_are_done_by_one_call_and_each_has_its_own_output() {
    let (engine, calls) = (Engine::new(), Calls::default());
    let seen = calls.clone();
    let parity = |step: &Work| (step.n % 2).to_string();
    let handlers = Handlers::new().on_batch(of_up_to(3), parity, move |batch: Vec<(StepContext, Work)>| {
        seen.add(&batch);
        async move { batch.into_iter().map(|(_, step)| Ok(step.n * 10)).collect() }
    });
    let (worker, _) = start(16, handlers, &engine);
    let began = Instant::now();
    let runs = each(&engine, 0..8).await;
    for (n, run) in runs.into_iter().enumerate() {
        assert_eq!(done(&engine.outcome(run, 1).await), n as u32 * 10);
    }
    let calls = calls.sorted();
    assert_eq!(calls.iter().map(Vec::len).sum::<usize>(), 8, "{calls:?}");
    assert!(calls.iter().all(|call| call.iter().all(|n| n % 2 == call[0] % 2)), "{calls:?}");
    let mut sizes: Vec<usize> = calls.iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1, 3, 3], "full ones at once, the others after their wait");
    assert!((WAIT..WAIT * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(worker.drained().await.abandoned, 0);
}

#[tokio::test(start_paused = true)]
async fn each_step_of_a_batch_ends_in_its_own_way() {
    let engine = Engine::new();
    let handlers = Handlers::new().on_batch(
        of_up_to(3),
        |_| String::new(),
        async |batch: Vec<(StepContext, Work)>| {
            let end = |step: Work| match step.n {
                1 => Err(StepError::retry("site_down", "503")),
                2 => Err(StepError::fail("no_such_job", "it was taken down")),
                n => Ok(n),
            };
            batch.into_iter().map(|(_, step)| end(step)).collect()
        },
    );
    let (worker, _) = start(3, handlers, &engine);
    let runs = each(&engine, 1..4).await;
    let [retried, failed, ended] = [0, 1, 2].map(|n: usize| runs[n]);
    let retried = engine.outcome(retried, 1).await;
    assert!(matches!(&retried, Outcome::Retry { error, .. } if error.code == "site_down"), "{retried:?}");
    assert_eq!(failure_of(&engine.outcome(failed, 1).await).code, "no_such_job");
    assert_eq!(done(&engine.outcome(ended, 1).await), 3);
    assert_eq!(worker.drained().await.abandoned, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_or_loses_count_ends_all_of_its_steps() {
    for (panics, code) in [(true, "panicked"), (false, "bad_batch_output")] {
        let engine = Engine::new();
        let handlers = Handlers::new().on_batch(
            of_up_to(2),
            |_| String::new(),
            move |batch: Vec<(StepContext, Work)>| async move {
                assert!(!panics, "no such page");
                vec![Ok(batch[0].1.n)]
            },
        );
        let (worker, _) = start(2, handlers, &engine);
        for run in each(&engine, 0..2).await {
            assert_eq!(failure_of(&engine.outcome(run, 1).await).code, code);
        }
        assert_eq!(worker.drained().await.abandoned, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_must_stop_leaves_its_batch_and_the_others_go_on() {
    let (engine, calls) = (Engine::new(), Calls::default());
    let seen = calls.clone();
    let handlers = Handlers::new().on_batch(
        of_up_to(3),
        |_| String::new(),
        move |batch: Vec<(StepContext, Work)>| {
            seen.add(&batch);
            async move { batch.into_iter().map(|(_, step)| Ok(step.n)).collect() }
        },
    );
    let (worker, _) = start(3, handlers, &engine);
    // Its time is over before the batch has waited long enough.
    let hurried = engine.start([work(1).timeout_ms(1_000)]).await;
    let patient = engine.start([work(2)]).await;
    assert_eq!(failure_of(&engine.outcome(hurried, 1).await).code, "timed_out");
    assert_eq!(done(&engine.outcome(patient, 1).await), 2);
    assert_eq!(calls.sorted(), [[2]]);
    assert_eq!(worker.drained().await.abandoned, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_steps_all_stopped_is_dropped() {
    let (engine, dropped) = (Engine::new(), Flag::default());
    let seen = dropped.clone();
    let handlers = Handlers::new().on_batch(
        of_up_to(2),
        |_| String::new(),
        move |_: Vec<(StepContext, Work)>| {
            let guard = seen.on_drop();
            async move {
                let _guard = guard;
                std::future::pending().await
            }
        },
    );
    let (worker, _) = start(2, handlers, &engine);
    let runs = [1, 2].map(|n| work(n).timeout_ms(3_000));
    for step in runs {
        engine.start([step]).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!dropped.is_set(), "two are enough to begin");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(dropped.is_set());
    assert_eq!(worker.drained().await.abandoned, 0);
}
