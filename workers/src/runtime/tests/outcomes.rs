//! However a handler ends, its attempt has one outcome, and the slot is free again.

use std::time::Duration;

use serde::Serialize;
use valet_core::id::RunId;
use valet_core::step::Outcome;

use super::engine::{Engine, Step};
use super::rig::{Flag, Work, done, failure_of, start, work};
use crate::runtime::{Handlers, StepContext, StepError};

/// Runs one step alone, then another in the same slot: whatever the first did, the slot must work again.
async fn outcome_of(handlers: Handlers, step: Step) -> Outcome {
    let engine = Engine::new();
    let run: RunId = engine.start([step]).await;
    let (worker, _) = start(1, handlers, &engine);
    let outcome = engine.outcome(run, 1).await;
    let after = engine.start([Step::new("test.work", "default", &Work { n: 100 })]).await;
    assert_eq!(done(&engine.outcome(after, 1).await), 100);
    assert_eq!(worker.drained().await.abandoned, 0);
    outcome
}

/// What the handler does with `n`; 100 always succeeds.
fn handlers() -> Handlers {
    Handlers::new().on(async |_: StepContext, step: Work| match step.n {
        0 => panic!("no such number: {}", step.n),
        1 => Err(StepError::retry("site_down", "503")),
        2 => Err(StepError::retry_after("rate_limited", "429", Duration::from_secs(30))),
        3 => Err(StepError::fail("no_such_job", "it was taken down").with_details(&[1, 2])),
        4 => Err(StepError::blocked("captcha", "the site asks for one")),
        5 => std::future::pending().await,
        6 => std::panic::panic_any(6_u32),
        n => Ok(n),
    })
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_retry_with_its_text() {
    let outcome = outcome_of(handlers(), work(0)).await;
    assert!(matches!(outcome, Outcome::Retry { after_ms: None, .. }));
    let failure = failure_of(&outcome);
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("panicked", "no such number: 0"));
    assert_eq!(failure_of(&outcome_of(handlers(), work(6)).await).code, "panicked");
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_says_is_passed_on() {
    let retry = outcome_of(handlers(), work(1)).await;
    assert!(matches!(&retry, Outcome::Retry { error, after_ms: None } if error.code == "site_down"));
    let later = outcome_of(handlers(), work(2)).await;
    assert!(matches!(&later, Outcome::Retry { error, after_ms: Some(30_000) } if error.code == "rate_limited"));
    let fail = outcome_of(handlers(), work(3)).await;
    assert!(matches!(&fail, Outcome::Fail { error } if error.details.as_ref().unwrap().as_str() == "[1,2]"));
    let blocked = outcome_of(handlers(), work(4)).await;
    assert!(matches!(&blocked, Outcome::Blocked { reason } if reason.code == "captcha"));
    assert_eq!(done(&outcome_of(handlers(), work(9)).await), 9);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_dropped_and_tried_again() {
    let dropped = Flag::default();
    let seen = dropped.clone();
    let handlers = Handlers::new().on(move |_: StepContext, step: Work| {
        let guard = seen.on_drop();
        async move {
            let _guard = guard;
            if step.n == 5 { std::future::pending().await } else { Ok(step.n) }
        }
    });
    let outcome = outcome_of(handlers, work(5).timeout_ms(3_000)).await;
    assert!(matches!(outcome, Outcome::Retry { .. }));
    assert_eq!(failure_of(&outcome).code, "timed_out");
    assert!(dropped.is_set());
}

/// What a handler says, and whether it is enough.
type Word = (fn(&StepContext), bool);

/// Five seconds of work, a second at a time, with a word in between.
async fn five_seconds(ctx: &StepContext, word: fn(&StepContext)) {
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        word(ctx);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_time_begins_anew_may_take_longer() {
    for (refreshes, fits) in [(true, true), (false, false)] {
        let word = if refreshes { StepContext::refresh_timeout } else { StepContext::alive };
        let handlers = Handlers::new().on(move |ctx: StepContext, step: Work| async move {
            five_seconds(&ctx, word).await;
            Ok(step.n)
        });
        let outcome = outcome_of(handlers, work(5).timeout_ms(1_500)).await;
        assert_eq!(matches!(outcome, Outcome::Done { .. }), fits, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_says_nothing_for_too_long_is_dropped_and_tried_again() {
    let words: [Word; 3] = [(StepContext::alive, true), (|ctx| ctx.progress(&"getting on"), true), (|_| (), false)];
    for (word, fits) in words {
        let handlers = Handlers::new().on(move |ctx: StepContext, step: Work| async move {
            five_seconds(&ctx, word).await;
            Ok(step.n)
        });
        let outcome = outcome_of(handlers, work(5).heartbeat_timeout_ms(1_500)).await;
        assert_eq!(matches!(outcome, Outcome::Done { .. }), fits, "{outcome:?}");
        if !fits {
            assert_eq!(failure_of(&outcome).code, "heartbeat_timeout");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_handler_is_dropped_costs_no_slot() {
    struct Fragile;
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("cannot be dropped");
        }
    }
    let handlers = Handlers::new().on(async |_: StepContext, step: Work| {
        if step.n == 5 {
            let _fragile = Fragile;
            std::future::pending::<()>().await;
        }
        Ok(step.n)
    });
    let outcome = outcome_of(handlers, work(5).timeout_ms(1_000)).await;
    assert_eq!(failure_of(&outcome).code, "timed_out");
}

#[tokio::test(start_paused = true)]
async fn input_of_another_shape_fails_at_once() {
    #[derive(Serialize)]
    struct Other {
        name: &'static str,
    }
    let outcome = outcome_of(handlers(), Step::new("test.work", "default", &Other { name: "n" })).await;
    assert!(matches!(outcome, Outcome::Fail { .. }));
    let failure = failure_of(&outcome);
    assert_eq!(failure.code, "bad_step_input");
    assert!(failure.message.contains("test.work") && failure.message.contains("missing field `n`"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_step_is_left_for_another_worker() {
    let outcome = outcome_of(handlers(), Step::new("test.other", "default", &Work { n: 1 })).await;
    assert!(matches!(outcome, Outcome::Retry { .. }));
    let failure = failure_of(&outcome);
    assert_eq!(failure.code, "unknown_step");
    assert!(failure.message.contains("worker-1") && failure.message.contains("test.other"), "{failure}");
}
