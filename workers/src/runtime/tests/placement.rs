//! Queues that a worker pulls beside its own: those of its labels, and those of steps that want this very session.

use std::collections::BTreeMap;
use std::time::Duration;

use valet_core::placement::queue_of_session;
use valet_queue::{QueueName, TicketPush as _};

use super::engine::{Engine, Step};
use super::rig::{Door, Work, config, done, start, start_with, work};
use crate::runtime::{ConfigError, Handlers, StepContext, Worker};

fn doubles() -> Handlers {
    Handlers::new().on(async |_: StepContext, step: Work| Ok(step.n * 2))
}

#[tokio::test(start_paused = true)]
async fn a_worker_pulls_the_queues_of_its_labels() {
    let engine = Engine::new();
    let mut labelled = config(1);
    labelled.labels = BTreeMap::from([("gpu", "yes"), ("zone", "eu")].map(|(name, value)| (name.into(), value.into())));
    let door = Door::new("http://one", &engine);
    let worker = start_with(labelled, doubles(), &engine, std::slice::from_ref(&door));
    for queue in ["default", "default.with.gpu.yes", "default.with.zone.eu", "default.with.gpu.yes.zone.eu"] {
        let run = engine.start([Step::new("test.work", queue, &Work { n: 4 })]).await;
        assert_eq!(done(&engine.outcome(run, 1).await), 8, "{queue}");
    }
    worker.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_remembered_pulls_its_own_queue_and_before_that_does_not() {
    let engine = Engine::new();
    let (worker, _) = start(2, doubles(), &engine);
    let first = engine.start([work(1)]).await;
    engine.outcome(first, 1).await;
    let session = *engine.state.lock().sessions.keys().next().expect("a session");
    let own = queue_of_session("default", session);
    let wanting = engine.start([Step::new("test.work", &own, &Work { n: 4 })]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let depth = async || engine.tickets.depths(&[QueueName::new(&own).unwrap()]).await.unwrap()[0].waiting;
    assert_eq!(depth().await, 1, "nobody asked it to");
    let second = engine.start([work(1).remembered()]).await;
    engine.outcome(second, 1).await;
    assert_eq!(done(&engine.outcome(wanting, 1).await), 8);
    worker.drained().await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_hears_of_handlers_that_live_and_only_where_it_wants_to() {
    let engine = Engine::new();
    let handlers = Handlers::new().on(async |ctx: StepContext, step: Work| {
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            ctx.alive();
        }
        Ok(step.n)
    });
    let (worker, _) = start(2, handlers, &engine);
    let wanted = engine.start([work(1).heartbeat_timeout_ms(3_000)]).await;
    let unasked = engine.start([work(1)]).await;
    engine.outcome(wanted, 1).await;
    engine.outcome(unasked, 1).await;
    let heard = |run| {
        let state = engine.state.lock();
        let beats = state.sessions.values().flat_map(|session| &session.beats);
        beats.flat_map(|beat| &beat.held).filter(|held| held.run == run && held.alive).count()
    };
    assert!(heard(wanted) >= 3, "{}", heard(wanted));
    assert_eq!(heard(unasked), 0);
    worker.drained().await;
}

#[tokio::test]
async fn more_labels_than_there_may_be_queues_are_refused() {
    let engine = Engine::new();
    let mut many = config(1);
    many.labels = (0..7).map(|n| (format!("l{n}"), "x".to_owned())).collect();
    let door = Door::new("http://one", &engine);
    let made = Worker::new(many, doubles(), vec![door], std::sync::Arc::new(engine.tickets.clone()));
    assert_eq!(made.err(), Some(ConfigError::Labels { many: 99 }));
}
