//! What the runtime itself costs. Run by hand:
//! `cargo test -p valet-workers --lib no_op_steps -- --ignored --nocapture --test-threads 1`.

use std::sync::Arc;
use std::time::Instant;

use super::engine::Engine;
use super::over_http::Served;
use super::rig::{Door, Work, config, work};
use crate::runtime::{Handlers, StepContext, Transport, Worker};

const RUNS: u32 = 256;
const STEPS: u32 = 200;

async fn measure(engine: Arc<Engine>, transport: Arc<dyn Transport>) {
    let handlers = Handlers::new().on(async |_: StepContext, step: Work| Ok(step.n));
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(engine.start((0..STEPS).map(work)).await);
    }
    let tickets = Arc::new(engine.tickets.clone());
    let worker = Worker::new(config(RUNS), handlers, vec![transport], tickets).unwrap();
    let handle = worker.handle();
    let began = Instant::now();
    let task = tokio::spawn(worker.run(std::future::pending()));
    for run in runs {
        engine.outcome(run, STEPS).await;
    }
    let took = began.elapsed();
    handle.drain();
    task.await.unwrap().unwrap();
    println!("{:.0} steps/s", f64::from(RUNS * STEPS) / took.as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a check"]
async fn no_op_steps_through_hand_over_in_process() {
    let engine = Engine::new();
    let door = Door::new("http://one", &engine);
    measure(engine, door).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a check"]
async fn no_op_steps_through_hand_over_over_http() {
    let engine = Engine::new();
    let served = Served::start(&engine).await;
    measure(engine, Arc::new(served.transport())).await;
}
