//! One engine: its loops, and the calls that HTTP and other doors make.
//!
//! Engines are stateless replicas: any engine takes any command, the run's revision fences them.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;
use valet_core::Registry;
use valet_core::command::{Command, Reply, StartRun};
use valet_core::id::{RunId, SessionId};
use valet_queue::TicketPush;

use crate::access::Sight;
use crate::audit::Deed;
use crate::bounds::{ANSWER_WAIT_MAX, CLAIMS_PER_STATEMENT_MAX, COMMANDS_IN_FLIGHT_MAX, WRITERS};
use crate::claimer::{self, ClaimRequest};
use crate::dispatcher::Dispatcher;
use crate::executor::{Blockages, Channels, CommandError, Executor, Views};
use crate::limits::KnownLimits;
use crate::loader;
use crate::pauses::Holds;
use crate::ports::{Clock, Entropy};
use crate::routes::Routes;
use crate::store::{ClaimVerdict, LimitsStamp, SessionClaim, Store, StoreError};
use crate::threads::{self, Seat};
use crate::tick::Ticker;
use crate::writer::Writer;

/// What an engine is made of.
pub struct Parts<S: ?Sized> {
    pub name: String,
    pub store: Arc<S>,
    pub queue: Arc<dyn TicketPush>,
    pub registry: Registry,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Weight of cached runs of one executor; see [`crate::bounds::CACHE_BYTES_MAX`].
    pub cache_bytes: usize,
}

/// A running engine.
pub struct Engine<S: ?Sized> {
    pub store: Arc<S>,
    pub registry: Registry,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub queue: Arc<dyn TicketPush>,
    pub routes: Arc<Routes>,
    /// What is paused, as this engine knows.
    pub holds: Arc<Holds>,
    /// Under which limits new steps fall, as this engine knows.
    pub limits: Arc<KnownLimits>,
    claims: mpsc::Sender<ClaimRequest>,
    in_flight: Arc<Semaphore>,
    session: Arc<RwLock<SessionId>>,
    loops: Vec<JoinHandle<()>>,
}

/// Why an engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the engine could not open its session")]
    Session(#[source] StoreError),
    #[error("no thread for workflow code")]
    Thread(#[source] std::io::Error),
}

/// How a start ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    Created(RunId),
    /// The idempotency key named a run of the same request.
    Existing(RunId),
}

/// Why a run was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the idempotency key was used for another request; its run is {0}")]
    KeyTaken(RunId),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How executors are driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threading {
    /// A thread each, as shipped: workflow code cannot hold up IO.
    Threads,
    /// Inside the runtime, on one thread: a simulation steers everything.
    Inline,
}

impl<S: Store + ?Sized> Engine<S> {
    /// Starts the loops. The engine stops when it is dropped or [`Engine::stop`] is called.
    pub async fn start(parts: Parts<S>, threading: Threading) -> Result<Arc<Self>, EngineError> {
        let Parts { name, store, queue, registry, clock, entropy, cache_bytes } = parts;
        // No engine makes tokens that somebody could guess.
        let mut secret = [0; 32];
        secret.chunks_mut(16).for_each(|half| half.copy_from_slice(&entropy.bytes()));
        let registry = registry.with_secret(secret);
        let (executors, executors_in): (Vec<_>, Vec<_>) = (0..WRITERS).map(|_| mpsc::unbounded_channel()).unzip();
        let (routes, receivers) = Routes::new(executors);
        let (loads, loads_in) = mpsc::unbounded_channel();
        let (definitions, definitions_in) = mpsc::unbounded_channel();
        let (discards, discards_in) = mpsc::unbounded_channel();
        let (claims, claims_in) = mpsc::channel(CLAIMS_PER_STATEMENT_MAX * 4);
        let session = Arc::new(RwLock::new(SessionId(Uuid::nil())));
        let dispatcher = Arc::new(Dispatcher::new(Arc::clone(&store), Arc::clone(&queue), Arc::clone(&routes)));
        let (holds, limits) = (Arc::new(Holds::default()), Arc::new(KnownLimits::default()));
        let ticker = Ticker {
            store: Arc::clone(&store),
            routes: Arc::clone(&routes),
            dispatcher: Arc::clone(&dispatcher),
            holds: Arc::clone(&holds),
            limits: Arc::clone(&limits),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            build: registry.build(),
            name,
            session: Arc::clone(&session),
        };
        store.tidy(clock.now()).await.map_err(EngineError::Session)?;
        ticker.open().await.map_err(EngineError::Session)?;
        // Before anything is decided.
        holds.learn(holds.ask(), store.paused().await.map_err(EngineError::Session)?);
        let texts = store.limits().await.map_err(EngineError::Session)?;
        limits.learn(limits.ask(), LimitsStamp::default(), texts);

        let (mut loops, mut seats) = (Vec::new(), Vec::new());
        let blockages = Arc::new(Blockages::default());
        for (index, inbox) in executors_in.into_iter().enumerate() {
            let (commits, commits_in) = mpsc::unbounded_channel();
            let (loads, definitions, discards) = (loads.clone(), definitions.clone(), discards.clone());
            let out = Channels { loads, definitions, commits, discards };
            let (holds, limits) = (Arc::clone(&holds), Arc::clone(&limits));
            let views = Views { blockages: Arc::clone(&blockages), holds, limits };
            let executor = Executor::new(registry.clone(), Arc::clone(&clock), views, out, cache_bytes);
            match threading {
                // The thread ends when its channel closes with the engine.
                Threading::Threads => seats.push(Seat::take(index, executor, inbox).map_err(EngineError::Thread)?),
                Threading::Inline => loops.push(tokio::spawn(threads::run_inline(executor, inbox))),
            }
            let writer =
                Writer { index, store: Arc::clone(&store), entropy: Arc::clone(&entropy), routes: Arc::clone(&routes) };
            loops.push(tokio::spawn(writer.run(commits_in)));
        }
        threads::watch(&seats).map_err(EngineError::Thread)?;
        loops.push(tokio::spawn(loader::run(Arc::clone(&store), Arc::clone(&routes), loads_in)));
        loops.push(tokio::spawn(loader::run_definitions(Arc::clone(&store), Arc::clone(&routes), definitions_in)));
        loops.push(tokio::spawn(loader::run_discards(Arc::clone(&store), discards_in)));
        loops.push(tokio::spawn(claimer::run(Arc::clone(&store), claims_in)));
        let (pushing, admitting) = (Arc::clone(&dispatcher), Arc::clone(&dispatcher));
        loops.push(tokio::spawn(async move { pushing.run_pushes(receivers.tickets).await }));
        loops.push(tokio::spawn(async move { admitting.run_admissions(receivers.freed).await }));
        loops.push(tokio::spawn(async move { dispatcher.run_top_ups().await }));
        loops.push(tokio::spawn(async move { ticker.run(receivers.wake_ups).await }));
        Ok(Arc::new(Self {
            store,
            registry,
            clock,
            entropy,
            queue,
            routes,
            holds,
            limits,
            claims,
            in_flight: Arc::new(Semaphore::new(COMMANDS_IN_FLIGHT_MAX)),
            session,
            loops,
        }))
    }

    /// Ends the session, so that another engine takes the shards over at once, and stops the loops.
    pub async fn stop(&self) {
        let session = self.session();
        if let Err(error) = self.store.close_session(session).await {
            tracing::warn!(%error, "the engine's session ends by itself");
        }
        for task in &self.loops {
            task.abort();
        }
    }

    pub fn session(&self) -> SessionId {
        *self.session.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries a command out; the answer follows the commit.
    pub async fn command(&self, run: RunId, command: Command) -> Result<Reply, CommandError> {
        self.ask(run, command, None, None).await
    }

    /// The same for what somebody asked for.
    pub async fn command_by(&self, deed: Deed, run: RunId, command: Command) -> Result<Reply, CommandError> {
        self.ask(run, command, Some(deed), None).await
    }

    /// The same of a run that nobody looked at before: to whom it is out of sight it is not there.
    pub async fn command_within(
        &self,
        sight: Sight,
        deed: Deed,
        run: RunId,
        command: Command,
    ) -> Result<Reply, CommandError> {
        self.ask(run, command, Some(deed), Some(sight)).await
    }

    async fn ask(
        &self,
        run: RunId,
        command: Command,
        deed: Option<Deed>,
        sight: Option<Sight>,
    ) -> Result<Reply, CommandError> {
        let Ok(_permit) = self.in_flight.try_acquire() else { return Err(CommandError::Busy) };
        let answered = self.routes.ask(run, command, deed, sight);
        match tokio::time::timeout(ANSWER_WAIT_MAX, answered).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) | Err(_) => Err(CommandError::Unknown),
        }
    }

    /// Starts a run; the same idempotency key and request answer the first run. The deed's target is the run.
    pub async fn start_run(&self, deed: Deed, start: StartRun) -> Result<Started, StartError> {
        self.start_new_run(self.new_run(), deed, start).await
    }

    /// The id of a run that does not exist yet.
    pub fn new_run(&self) -> RunId {
        RunId::root(self.clock.now(), self.entropy.bytes())
    }

    /// The id of what is no run: later ones are greater.
    pub fn new_id(&self) -> Uuid {
        let millis = u64::try_from(self.clock.now().timestamp_millis()).unwrap_or_default();
        let [random @ .., _, _, _, _, _, _] = self.entropy.bytes();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// The same under this id, so that it can be watched before it begins.
    pub async fn start_new_run(&self, run: RunId, deed: Deed, start: StartRun) -> Result<Started, StartError> {
        let key = start.idempotency.clone();
        let (tenant, workflow) = (start.tenant.clone(), start.workflow.clone());
        if let Some(key) = &key
            && let Some(found) = self.find_started(&tenant, &workflow, key).await?
        {
            return Ok(found);
        }
        let deed = Deed { target: run.to_string(), ..deed };
        match self.command_by(deed, run, Command::Start(Box::new(start))).await {
            Ok(_) => Ok(Started::Created(run)),
            Err(CommandError::NotStarted) if key.is_some() => {
                let key = key.as_ref().ok_or(CommandError::NotStarted)?;
                Ok(self.find_started(&tenant, &workflow, key).await?.ok_or(CommandError::Contended)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Starts the run of this id, once, however often and by however many engines that is asked for.
    pub async fn start_run_as(&self, deed: Deed, run: RunId, start: StartRun) -> Result<Started, StartError> {
        let deed = Deed { target: run.to_string(), ..deed };
        let Err(error) = self.command_by(deed, run, Command::Start(Box::new(start))).await else {
            return Ok(Started::Created(run));
        };
        // Whatever this attempt was told: the run may be another's, which began before it.
        if self.store.identity(run).await?.is_some() { Ok(Started::Existing(run)) } else { Err(error.into()) }
    }

    async fn find_started(
        &self,
        tenant: &str,
        workflow: &str,
        key: &valet_core::command::IdempotencyKey,
    ) -> Result<Option<Started>, StartError> {
        let Some((run, hash)) = self.store.find_idempotent(tenant, workflow, &key.key).await? else { return Ok(None) };
        if hash == key.request_hash {
            return Ok(Some(Started::Existing(run)));
        }
        Err(StartError::KeyTaken(run))
    }

    /// Claims a step for a worker; `None`: the database is away.
    pub async fn claim(&self, claim: SessionClaim) -> Option<ClaimVerdict> {
        let (answer, answered) = oneshot::channel();
        self.claims.send(ClaimRequest { claim, answer }).await.ok()?;
        tokio::time::timeout(ANSWER_WAIT_MAX, answered).await.ok()?.ok()
    }
}

impl<S: ?Sized> Drop for Engine<S> {
    fn drop(&mut self) {
        for task in &self.loops {
            task.abort();
        }
    }
}

/// How long a stopped engine's callers may still wait for answers; used by `ops` when it drains.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
