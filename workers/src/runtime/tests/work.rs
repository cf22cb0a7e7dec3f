//! Tickets become finished steps: once each, never beyond the slots, along the run.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use valet_core::id::{RunId, Seq};
use valet_queue::{Fault, MemoryQueue, QueueName, Ticket};

use super::engine::{Engine, LEASE_MS, Phase, Step};
use super::rig::{Door, Work, assert_bounded, config, done, start, start_with, work};
use crate::runtime::{Handlers, StepContext, StepError};

/// Counts how many handlers run at once.
#[derive(Default)]
struct Crowd {
    now: AtomicU32,
    most: AtomicU32,
}

impl Crowd {
    async fn visit(&self, time: Duration) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(time).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn granted_work_runs_once_though_its_ticket_comes_twice() {
    let engine = Engine::with_tickets(MemoryQueue::with_faults(|_, _| Fault::Double));
    let ran = Arc::new(Mutex::new(HashMap::<RunId, u32>::new()));
    let counted = Arc::clone(&ran);
    let handlers = Handlers::new().on(move |ctx: StepContext, step: Work| {
        *counted.lock().entry(ctx.run()).or_default() += 1;
        async move { Ok(step.n * 2) }
    });
    let mut runs = Vec::new();
    for n in 0..40 {
        runs.push((engine.start([work(n)]).await, n));
    }
    let (worker, door) = start(8, handlers, &engine);
    for (run, n) in &runs {
        assert_eq!(done(&engine.outcome(*run, 1).await), n * 2);
    }
    worker.drained().await;
    assert!(ran.lock().values().all(|times| *times == 1));
    assert_eq!(engine.state.lock().accepted.len(), 40);
    assert_eq!((engine.tickets.handed_out(), engine.tickets.dropped()), (0, 0), "every ticket was acknowledged");
    assert_bounded(&door);
}

#[tokio::test(start_paused = true)]
async fn the_context_says_what_was_granted() {
    let engine = Engine::new();
    let handlers = Handlers::new().on(|ctx: StepContext, step: Work| async move {
        let said = (ctx.tenant(), ctx.subject(), ctx.workflow(), ctx.step_name(), ctx.queue());
        assert_eq!(said, ("acme", "user-1", "test", "test.work", "default"));
        assert_eq!((ctx.seq().0, ctx.attempt().0), (1, 1));
        assert!(!ctx.is_effect_once() && !ctx.is_cancelled());
        assert_eq!(ctx.check(), Ok(()));
        Ok(step.n)
    });
    let run = engine.start([work(7)]).await;
    let (worker, _) = start(1, handlers, &engine);
    assert_eq!(done(&engine.outcome(run, 1).await), 7);
    worker.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_is_handed_on_in_one_slot() {
    let engine = Engine::new();
    let crowd = Arc::new(Crowd::default());
    let visited = Arc::clone(&crowd);
    let handlers = Handlers::new().on(move |_: StepContext, step: Work| {
        let crowd = Arc::clone(&visited);
        async move {
            crowd.visit(Duration::from_millis(10)).await;
            Ok(step.n)
        }
    });
    let run = engine.start((0..5).map(work)).await;
    let (worker, door) = start(1, handlers, &engine);
    assert_eq!(done(&engine.outcome(run, 5).await), 4);
    worker.drained().await;
    assert_eq!(engine.state.lock().handed_over, 4);
    assert_eq!(door.seen.lock().claims.iter().sum::<usize>(), 1, "only the first step was claimed by a ticket");
    assert_eq!(crowd.most.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_step_of_another_queue_is_not_handed_over_and_comes_by_its_ticket() {
    let engine = Engine::new();
    let handlers = Handlers::new().on(async |_: StepContext, step: Work| Ok(step.n));
    let run = engine.start([work(1), Step::new("test.work", "browser", &Work { n: 2 }), work(3)]).await;
    let mut both = config(2);
    both.queues.push(QueueName::new("browser").unwrap());
    let door = Door::new("http://one", &engine);
    let worker = start_with(both, handlers, &engine, std::slice::from_ref(&door));
    assert_eq!(done(&engine.outcome(run, 3).await), 3);
    worker.drained().await;
    assert_eq!(engine.state.lock().handed_over, 0);
    assert_eq!(door.seen.lock().claims.iter().sum::<usize>(), 3);
}

#[tokio::test(start_paused = true)]
async fn slots_are_used_up_and_never_exceeded_over_all_queues() {
    let engine = Engine::new();
    let crowd = Arc::new(Crowd::default());
    let visited = Arc::clone(&crowd);
    let handlers = Handlers::new().on(move |_: StepContext, step: Work| {
        let crowd = Arc::clone(&visited);
        async move {
            crowd.visit(Duration::from_millis(u64::from(step.n % 7) * 10 + 1)).await;
            Ok(step.n)
        }
    });
    let mut runs = Vec::new();
    for n in 0..120 {
        let queue = ["default", "browser", "mail"][n as usize % 3];
        let steps = (0..=n % 3).map(|_| Step::new("test.work", queue, &Work { n }));
        runs.push((engine.start(steps).await, 1 + n % 3));
    }
    let mut three = config(7);
    three.queues.extend(["browser", "mail"].map(|name| QueueName::new(name).unwrap()));
    let door = Door::new("http://one", &engine);
    let worker = start_with(three, handlers, &engine, std::slice::from_ref(&door));
    for (run, last) in runs {
        engine.outcome(run, last).await;
    }
    worker.drained().await;
    assert_eq!(crowd.most.load(Ordering::SeqCst), 7);
    let state = engine.state.lock();
    let beats = state.sessions.values().flat_map(|session| &session.beats);
    assert!(beats.into_iter().all(|beat| beat.held.len() + beat.free_slots as usize <= 7));
}

#[tokio::test(start_paused = true)]
async fn a_busy_queue_does_not_hide_another_though_there_is_one_slot() {
    let engine = Engine::new();
    let handlers = Handlers::new().on(async |_: StepContext, step: Work| {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(step.n)
    });
    for n in 0..400 {
        engine.start([work(n)]).await;
    }
    let rare = engine.start([Step::new("test.work", "browser", &Work { n: 1 })]).await;
    let mut both = config(1);
    both.queues.push(QueueName::new("browser").unwrap());
    let worker = start_with(both, handlers, &engine, &[Door::new("http://one", &engine)]);
    engine.outcome(rare, 1).await;
    let before = engine.state.lock().accepted.len();
    assert!(before < 10, "{before} steps of the busy queue went first");
    drop(worker);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_was_lost_is_sent_again_and_granted_once() {
    let engine = Engine::new();
    let handlers = Handlers::new().on(async |_: StepContext, step: Work| Ok(step.n));
    let door = Door::new("http://one", &engine);
    door.swallow.store(1, Ordering::SeqCst);
    let run = engine.start([work(1)]).await;
    let worker = start_with(config(1), handlers, &engine, std::slice::from_ref(&door));
    assert_eq!(done(&engine.outcome(run, 1).await), 1);
    worker.drained().await;
    assert_eq!(engine.state.lock().steps[&(run, Seq(1))].granted, 1);
    assert_eq!(door.seen.lock().claims, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_without_an_answer_is_given_up_after_a_lease_and_frees_its_slot() {
    let engine = Engine::new();
    let handlers = Handlers::new().on(async |_: StepContext, step: Work| Ok(step.n));
    let (worker, door) = start(1, handlers, &engine);
    door.claims_away.store(true, Ordering::SeqCst);
    let run = engine.start([work(1)]).await;
    tokio::time::sleep(Duration::from_millis(LEASE_MS - 100)).await;
    assert_eq!((engine.tickets.handed_out(), engine.tickets.dropped()), (1, 0));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((engine.tickets.handed_out(), engine.tickets.dropped()), (0, 1));
    let tries = door.seen.lock().claims.len();
    assert!((7..=20).contains(&tries), "{tries} tries in a lease");
    door.claims_away.store(false, Ordering::SeqCst);
    let ticket = Ticket { run: run.0, seq: 1, attempt: 1 };
    engine.push(vec![(QueueName::new("default").unwrap(), ticket)]).await;
    assert_eq!(done(&engine.outcome(run, 1).await), 1);
    worker.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_stale_ticket_is_refused_acknowledged_and_frees_its_slot() {
    let engine = Engine::new();
    let handlers = Handlers::new().on(async |_: StepContext, step: Work| Ok(step.n));
    let run = engine.start([work(1)]).await;
    engine.state.lock().steps.get_mut(&(run, Seq(1))).unwrap().phase = Phase::Waiting;
    let other = engine.start([work(2)]).await;
    let (worker, _) = start(1, handlers, &engine);
    assert_eq!(done(&engine.outcome(other, 1).await), 2);
    worker.drained().await;
    assert_eq!(engine.state.lock().steps[&(run, Seq(1))].granted, 0);
    assert_eq!((engine.tickets.handed_out(), engine.tickets.dropped()), (0, 0));
}

#[test]
#[should_panic(expected = "two handlers for the step `test.work`")]
fn two_handlers_for_one_step_are_a_mistake() {
    let twice = Handlers::new().on(async |_: StepContext, step: Work| Ok(step.n));
    drop(twice.on(async |_: StepContext, _: Work| Err(StepError::HandedBack)));
}
