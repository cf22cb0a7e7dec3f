//! A worker under test: its handlers, its doors to the reference engine, and what it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use uuid::Uuid;
use valet_core::id::{RunId, SessionId};
use valet_core::step::{Failure, Outcome, Step as Contract};
use valet_protocol::worker::{
    BATCH_BYTES_MAX, BlobStored, ClaimAnswers, ClaimBatch, EffectAnswer, EffectBegin, FinishAnswers, FinishBatch,
    Heartbeat, HeartbeatAnswer, ItemAnswer, ItemNamesAnswer, ItemNamesWanted, ItemWanted, KeepAnswer, KeepItem,
    OpenSession, ResourceAnswer, ResourceAsk, SessionOpened, TierAnswer, TierAsk,
};
use valet_queue::QueueName;

use super::engine::{Engine, Step};
use crate::runtime::{
    Blob, Drained, Handlers, NewBlob, Transport, TransportError, Worker, WorkerConfig, WorkerError, WorkerHandle,
};

/// The step of most tests: its handler decides what it means.
#[derive(Debug, Serialize, Deserialize)]
pub struct Work {
    pub n: u32,
}

impl Contract for Work {
    const NAME: &'static str = "test.work";
    type Output = u32;
}

/// A step of [`Work`] in the queue `default`.
pub fn work(n: u32) -> Step {
    Step::new(Work::NAME, "default", &Work { n })
}

pub fn done(outcome: &Outcome) -> u32 {
    match outcome {
        Outcome::Done { output } => output.read().unwrap(),
        other => panic!("not done: {other:?}"),
    }
}

/// The failure that an outcome carries.
pub fn failure_of(outcome: &Outcome) -> &Failure {
    match outcome {
        Outcome::Retry { error, .. } | Outcome::Fail { error } | Outcome::Blocked { reason: error } => error,
        other => panic!("not a failure: {other:?}"),
    }
}

/// A way to the engine that can be cut, delayed or made to swallow answers.
#[derive(Default)]
pub struct Door {
    name: String,
    engine: Option<Arc<Engine>>,
    pub away: AtomicBool,
    /// Only claims do not come through.
    pub claims_away: AtomicBool,
    /// So many answers get lost after their commit.
    pub swallow: AtomicU32,
    pub delay: Mutex<Duration>,
    /// Answers to `effect_begin` are on their way for so long, and arrive whatever happens to the door meanwhile.
    pub effect_answer_delay: Mutex<Duration>,
    pub heartbeat_answer_delay: Mutex<Duration>,
    /// A batch that holds a larger item is rejected.
    pub item_bytes_max: Mutex<Option<usize>>,
    pub seen: Mutex<Seen>,
}

/// What came through a door.
#[derive(Default)]
pub struct Seen {
    pub claims: Vec<usize>,
    /// Items and bytes of each finish batch.
    pub finishes: Vec<(usize, usize)>,
    pub in_flight: usize,
    pub in_flight_max: usize,
}

impl Door {
    pub fn new(name: &str, engine: &Arc<Engine>) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), engine: Some(Arc::clone(engine)), ..Self::default() })
    }

    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    async fn enter(&self) -> Result<&Engine, TransportError> {
        let delay = *self.delay.lock();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if self.away.load(Ordering::SeqCst) { Err(self.unreachable()) } else { Ok(self.engine.as_ref().unwrap()) }
    }

    fn leave<T>(&self, answer: T) -> Result<T, TransportError> {
        let swallowed = self.swallow.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if swallowed.is_ok() || self.away.load(Ordering::SeqCst) { Err(self.unreachable()) } else { Ok(answer) }
    }

    fn unreachable(&self) -> TransportError {
        TransportError::Unreachable { engine: self.name.clone(), detail: "the test says so".to_owned() }
    }
}

#[async_trait]
impl Transport for Door {
    fn engine(&self) -> &str {
        &self.name
    }

    async fn open_session(&self, open: &OpenSession) -> Result<SessionOpened, TransportError> {
        let opened = self.enter().await?.open(open);
        Ok(opened)
    }

    async fn heartbeat(&self, beat: &Heartbeat) -> Result<HeartbeatAnswer, TransportError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(self.unreachable());
        }
        let answer = self.engine.as_ref().unwrap().heartbeat(beat).await;
        let delay = *self.heartbeat_answer_delay.lock();
        tokio::time::sleep(delay).await;
        Ok(answer)
    }

    async fn claim(&self, batch: &ClaimBatch) -> Result<ClaimAnswers, TransportError> {
        self.seen.lock().claims.push(batch.claims.len());
        if self.claims_away.load(Ordering::SeqCst) {
            return Err(self.unreachable());
        }
        let answers = self.enter().await?.claim(batch.session, &batch.claims).await;
        self.leave(ClaimAnswers { answers })
    }

    async fn finish(&self, batch: &FinishBatch) -> Result<FinishAnswers, TransportError> {
        let sizes: Vec<usize> = batch.finishes.iter().map(|one| serde_json::to_vec(one).unwrap().len()).collect();
        {
            let mut seen = self.seen.lock();
            seen.finishes.push((batch.finishes.len(), serde_json::to_vec(batch).unwrap().len()));
            seen.in_flight += 1;
            seen.in_flight_max = seen.in_flight_max.max(seen.in_flight);
        }
        let entered = self.enter().await;
        self.seen.lock().in_flight -= 1;
        let engine = entered?;
        let largest = self.item_bytes_max.lock().unwrap_or(usize::MAX);
        if sizes.iter().any(|size| *size > largest) {
            let detail = "too large".to_owned();
            return Err(TransportError::Rejected { engine: self.name.clone(), status: 413, detail });
        }
        let answers = engine.finish(batch.session, &batch.finishes).await;
        self.leave(FinishAnswers { answers })
    }

    async fn effect_begin(&self, begin: &EffectBegin) -> Result<EffectAnswer, TransportError> {
        let answer = self.enter().await?.effect(begin);
        let delay = *self.effect_answer_delay.lock();
        if delay.is_zero() {
            return self.leave(answer);
        }
        tokio::time::sleep(delay).await;
        Ok(answer)
    }

    async fn item(&self, _: &ItemWanted) -> Result<ItemAnswer, TransportError> {
        Err(self.unreachable())
    }

    async fn tiers(&self, _: &TierAsk) -> Result<TierAnswer, TransportError> {
        Err(self.unreachable())
    }

    async fn resources(&self, _: &ResourceAsk) -> Result<ResourceAnswer, TransportError> {
        Err(self.unreachable())
    }

    async fn item_names(&self, _: &ItemNamesWanted) -> Result<ItemNamesAnswer, TransportError> {
        Err(self.unreachable())
    }

    async fn keep_item(&self, _: &KeepItem) -> Result<KeepAnswer, TransportError> {
        Err(self.unreachable())
    }

    async fn close_session(&self, session: SessionId) -> Result<(), TransportError> {
        self.enter().await?.close(session).await;
        self.leave(())
    }

    async fn get_blob(&self, _: RunId, _: Uuid) -> Result<Blob, TransportError> {
        Err(self.unreachable())
    }

    async fn put_blob(&self, _: &NewBlob) -> Result<BlobStored, TransportError> {
        Err(self.unreachable())
    }
}

/// A worker that runs in a task of its own.
pub struct Running {
    pub handle: WorkerHandle,
    pub task: JoinHandle<Result<Drained, WorkerError>>,
}

impl Running {
    /// Drains the worker and waits for its end.
    pub async fn drained(self) -> Drained {
        self.handle.drain();
        tokio::time::timeout(Duration::from_mins(2), self.task).await.expect("it ends").unwrap().unwrap()
    }
}

pub fn config(slots: u32) -> WorkerConfig {
    WorkerConfig::new("worker-1", vec![QueueName::new("default").unwrap()], slots)
}

pub fn start_with(config: WorkerConfig, handlers: Handlers, engine: &Engine, doors: &[Arc<Door>]) -> Running {
    let doors = doors.iter().map(|door| Arc::clone(door) as Arc<dyn Transport>).collect();
    let worker = Worker::new(config, handlers, doors, Arc::new(engine.tickets.clone())).unwrap();
    let handle = worker.handle();
    Running { handle, task: tokio::spawn(worker.run(std::future::pending())) }
}

/// A worker with one door.
pub fn start(slots: u32, handlers: Handlers, engine: &Arc<Engine>) -> (Running, Arc<Door>) {
    let door = Door::new("http://one", engine);
    (start_with(config(slots), handlers, engine, std::slice::from_ref(&door)), door)
}

/// No batch broke the protocol's bounds; a single item may be larger.
pub fn assert_bounded(door: &Door) {
    let seen = door.seen.lock();
    assert!(seen.claims.iter().all(|items| *items <= 128), "{:?}", seen.claims);
    assert!(
        seen.finishes.iter().all(|(items, bytes)| *items <= 128 && (*bytes <= BATCH_BYTES_MAX || *items == 1)),
        "{:?}",
        seen.finishes
    );
}

/// Set when it is dropped.
#[derive(Clone, Default)]
pub struct Flag(Arc<AtomicBool>);

impl Flag {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn on_drop(&self) -> OnDrop {
        OnDrop(self.clone())
    }
}

pub struct OnDrop(Flag);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}
