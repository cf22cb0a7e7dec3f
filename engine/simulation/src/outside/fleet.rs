//! The engines, and the wire to them: requests and answers get lost, engines are killed and replaced.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use valet_core::Registry;
use valet_engine::engine::{Engine, Parts, Threading};
use valet_queue::{Epoch, QueueDepth, QueueError, QueueName, Ticket, TicketPush};

use crate::bounds::{DYING_MS_MAX, REQUEST_PATIENCE};
use crate::link::Link;
use crate::program::{Interpreter, NEWEST_BUILD};
use crate::world::{SeededEntropy, SkewedClock, World};

pub(crate) type SimEngine = Engine<Link>;

/// One engine process.
struct Process {
    engine: Arc<SimEngine>,
    link: Arc<Link>,
    /// Rung when it is killed: nobody waits for a dead engine's answer.
    died: Arc<Notify>,
}

/// All engines of one world.
pub(crate) struct Fleet {
    pub world: Arc<World>,
    processes: Mutex<Vec<Option<Process>>>,
    /// The build that the engine at each place has, or will have when it starts.
    builds: Mutex<Vec<i64>>,
    started: Mutex<u64>,
}

impl Fleet {
    pub fn new(world: Arc<World>) -> Arc<Self> {
        let processes = (0..world.knobs.engines).map(|_| None).collect();
        let builds = world.knobs.builds[..world.knobs.engines].to_vec();
        Arc::new(Self { world, processes: Mutex::new(processes), builds: Mutex::new(builds), started: Mutex::new(0) })
    }

    pub fn len(&self) -> usize {
        self.world.knobs.engines
    }

    /// The next start at this place brings this build.
    pub fn deploy(&self, place: usize, build: i64) {
        self.builds.lock()[place] = build;
    }

    pub fn build(&self, place: usize) -> i64 {
        self.builds.lock()[place]
    }

    /// Starts the engine at `place`, again and again until the store is there.
    pub async fn start(&self, place: usize) {
        loop {
            let number = {
                let mut started = self.started.lock();
                *started += 1;
                *started
            };
            let link = Link::new(Arc::clone(&self.world), number);
            let parts = Parts {
                name: format!("engine-{number}"),
                store: Arc::clone(&link),
                queue: Arc::new(Pusher { world: Arc::clone(&self.world), link: Arc::clone(&link) }),
                registry: registry(self.build(place)),
                clock: Arc::new(SkewedClock {
                    world: Arc::clone(&self.world),
                    skew_ms: self.world.knobs.skew_ms[place % 2],
                }),
                entropy: Arc::new(SeededEntropy(Arc::clone(&self.world))),
                cache_bytes: self.world.knobs.cache_bytes,
            };
            match Engine::start(parts, Threading::Inline).await {
                Ok(engine) => {
                    let build = self.build(place) as u64;
                    self.world.note("engine_started engine build", None, [number, build, 0, 0]);
                    let died = Arc::new(Notify::new());
                    self.processes.lock()[place] = Some(Process { engine, link, died });
                    return;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Kills an engine: it is cut off from everybody at once, and its last statements may still arrive.
    pub async fn kill(&self, place: usize) {
        let Some(process) = self.processes.lock()[place].take() else { return };
        self.world.note("engine_killed engine", None, [process.link.engine, 0, 0, 0]);
        if self.world.draw(|dice| dice.chance(0.3)) {
            // It says good-bye; as far as it still can.
            let _ = tokio::time::timeout(REQUEST_PATIENCE, process.engine.stop()).await;
        }
        process.link.kill();
        process.died.notify_waiters();
        let dying_ms = self.world.draw(|dice| dice.between(0, DYING_MS_MAX));
        tokio::time::sleep(Duration::from_millis(dying_ms)).await;
        drop(process);
    }

    /// One request to an engine; `None`: no answer came, whatever became of the request.
    pub async fn ask<T, F>(&self, place: usize, request: impl FnOnce(Arc<SimEngine>) -> F) -> Option<T>
    where
        F: Future<Output = T>,
    {
        let wire = &self.world.knobs.wire;
        self.travel().await;
        let (engine, died) = {
            let processes = self.processes.lock();
            let process = processes[place].as_ref()?;
            (Arc::clone(&process.engine), Arc::clone(&process.died))
        };
        if self.world.strikes(wire.lose_request) {
            tokio::time::sleep(REQUEST_PATIENCE).await;
            return None;
        }
        let answer = tokio::select! {
            biased;
            () = died.notified() => None,
            answer = tokio::time::timeout(REQUEST_PATIENCE, request(engine)) => answer.ok(),
        }?;
        self.travel().await;
        if self.world.strikes(wire.lose_answer) {
            return None;
        }
        Some(answer)
    }

    async fn travel(&self) {
        if self.world.strikes(self.world.knobs.wire.delay) {
            let ms = self.world.draw(|dice| dice.between(1, 60));
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }
}

/// The registry costs a schema to make, and is the same for all of a build.
fn registry(build: i64) -> Registry {
    static OLDER: OnceLock<Registry> = OnceLock::new();
    static NEWEST: OnceLock<Registry> = OnceLock::new();
    let registry = if build == NEWEST_BUILD {
        NEWEST.get_or_init(|| Registry::new(NEWEST_BUILD).with::<Interpreter<NEWEST_BUILD>>())
    } else {
        OLDER.get_or_init(|| Registry::new(NEWEST_BUILD - 1).with::<Interpreter<{ NEWEST_BUILD - 1 }>>())
    };
    registry.clone()
}

/// A clone of the registry, for replays.
pub(crate) fn registry_for_replay() -> Registry {
    registry(NEWEST_BUILD)
}

/// An engine's way to the queue: late now and then, cut off with its engine.
struct Pusher {
    world: Arc<World>,
    link: Arc<Link>,
}

impl Pusher {
    async fn hang_if_dead(&self) {
        if self.link.is_dead() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl TicketPush for Pusher {
    async fn push(&self, batch: &[(QueueName, Vec<Ticket>)]) -> Result<Vec<QueueDepth>, QueueError> {
        self.hang_if_dead().await;
        if !self.world.strikes(self.world.knobs.queue.delay) {
            return self.world.queue.push(batch).await;
        }
        // The push is answered, and its tickets come to workers much later.
        let queues: Vec<QueueName> = batch.iter().map(|(queue, _)| queue.clone()).collect();
        let depths = self.world.queue.depths(&queues).await?;
        let (world, batch) = (Arc::clone(&self.world), batch.to_vec());
        tokio::spawn(async move {
            let ms = world.draw(|dice| dice.between(1, 4_000));
            tokio::time::sleep(Duration::from_millis(ms)).await;
            // A queue that is away loses what was still on its way.
            let _ = world.queue.push(&batch).await;
        });
        Ok(depths)
    }

    async fn depths(&self, queues: &[QueueName]) -> Result<Vec<QueueDepth>, QueueError> {
        self.hang_if_dead().await;
        self.world.queue.depths(queues).await
    }

    async fn epoch(&self) -> Result<Epoch, QueueError> {
        self.hang_if_dead().await;
        self.world.queue.epoch().await
    }
}
