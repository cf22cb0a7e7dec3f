//! Claims and finishes travel together, within the protocol's bounds.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use valet_core::step::Outcome;
use valet_core::step::Step as Contract;

use super::engine::{Engine, Step};
use super::rig::{Door, Work, assert_bounded, config, done, failure_of, start_with, work};
use crate::runtime::{Handlers, StepContext, StepError};

/// Answers as many bytes as it is asked for.
#[derive(Serialize, Deserialize)]
struct Bytes {
    count: usize,
}

impl Contract for Bytes {
    const NAME: &'static str = "test.bytes";
    type Output = String;
}

fn bytes(count: usize) -> Step {
    Step::new(Bytes::NAME, "default", &Bytes { count })
}

fn handlers() -> Handlers {
    Handlers::new().on(async |_: StepContext, step: Work| Ok(step.n)).on(async |_: StepContext, step: Bytes| match step
        .count
    {
        // Quotes double on the wire.
        0 => Err(StepError::retry("quotes", "\"".repeat(4_000))),
        count => Ok("x".repeat(count)),
    })
}

#[tokio::test(start_paused = true)]
async fn what_queued_up_while_a_request_was_on_its_way_is_the_next_batch() {
    let engine = Engine::new();
    let mut runs = Vec::new();
    for n in 0..300 {
        runs.push(engine.start([work(n), work(n)]).await);
    }
    let door = Door::new("http://one", &engine);
    *door.delay.lock() = Duration::from_millis(20);
    let mut one_at_a_time = config(300);
    one_at_a_time.requests_in_flight = 1;
    let worker = start_with(one_at_a_time, handlers(), &engine, std::slice::from_ref(&door));
    for run in runs {
        engine.outcome(run, 2).await;
    }
    worker.drained().await;
    assert_bounded(&door);
    let seen = door.seen.lock();
    assert!(seen.claims.len() <= 5, "{:?}", seen.claims);
    assert!(seen.claims.contains(&128) && seen.finishes.iter().any(|(items, _)| *items == 128));
    assert!(seen.finishes.len() <= 16, "{:?}", seen.finishes);
    assert_eq!(seen.in_flight_max, 1);
}

#[tokio::test(start_paused = true)]
async fn large_results_fill_no_batch_beyond_its_bytes_and_the_largest_travels_alone() {
    let engine = Engine::new();
    let mut runs = Vec::new();
    for n in 0..200_usize {
        let count = match n % 40 {
            0 => 5 << 20,
            1 => 0,
            _ => 100_000 + n,
        };
        runs.push(engine.start([bytes(count)]).await);
    }
    let door = Door::new("http://one", &engine);
    *door.delay.lock() = Duration::from_millis(20);
    let worker = start_with(config(200), handlers(), &engine, std::slice::from_ref(&door));
    for run in runs {
        engine.outcome(run, 1).await;
    }
    worker.drained().await;
    assert_bounded(&door);
    let seen = door.seen.lock();
    assert!(seen.finishes.iter().any(|(items, bytes)| *items == 1 && *bytes > 5 << 20));
    assert!(seen.finishes.iter().any(|(items, _)| *items > 20), "{:?}", seen.finishes);
    assert!(seen.in_flight_max <= 3);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_no_engine_takes_spoils_only_itself() {
    let engine = Engine::new();
    let mut runs = Vec::new();
    for n in 0..20 {
        runs.push(engine.start([if n == 7 { bytes(50_000) } else { work(n) }]).await);
    }
    let door = Door::new("http://one", &engine);
    *door.delay.lock() = Duration::from_millis(20);
    *door.item_bytes_max.lock() = Some(20_000);
    let worker = start_with(config(20), handlers(), &engine, std::slice::from_ref(&door));
    for (n, run) in runs.into_iter().enumerate() {
        let outcome = engine.outcome(run, 1).await;
        if n == 7 {
            assert!(matches!(outcome, Outcome::Fail { .. }));
            assert_eq!(failure_of(&outcome).code, "result_rejected");
        } else {
            assert_eq!(done(&outcome), n as u32);
        }
    }
    worker.drained().await;
}
