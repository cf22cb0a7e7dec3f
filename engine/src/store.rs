//! What the engine needs of its store: ports, so that the whole engine also runs over a model in a simulation.
//!
//! [`postgres`] is the store that people run. No method decides anything; deciding is `valet_core`'s.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::command::{GrantedStep, InboxMessage};
use valet_core::decide::StoredRun;
use valet_core::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use valet_core::limits::{LimitKey, LimitText};
use valet_core::payload::Payload;
use valet_core::run::Identity;
use valet_core::transition::Transition;

use crate::audit::Deed;
use crate::pauses::Paused;

pub mod postgres;

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The connection broke or the server is away. Whether a commit happened is not known.
    #[error("the database cannot be reached: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// A value of this batch is refused (SQLSTATE 22, 23, 54): only its transition is at fault.
    #[error("the database refuses a value: {0}")]
    BadData(#[source] sqlx::Error),
    #[error("database: {0}")]
    Database(#[source] sqlx::Error),
    #[error("stored bytes cannot be opened: {0}")]
    Sealed(#[from] crate::codec::CodecError),
    #[error("stored JSON cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Only said by stores under test.
    #[error("injected: {0}")]
    Injected(&'static str),
}

impl StoreError {
    /// Trying again may help; until then nobody knows what became of it.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Injected(_))
    }

    /// One transition of the batch is at fault: a value of it, or a key that cannot be used. The others can go on.
    pub fn is_of_one(&self) -> bool {
        matches!(self, Self::BadData(_) | Self::Sealed(_) | Self::Json(_))
    }
}

/// Many runs' transitions that commit together, each as a whole or not at all.
#[derive(Clone, Debug)]
pub struct CommitBatch {
    /// Found again when the connection broke during the commit.
    pub id: Uuid,
    pub transitions: Vec<Arc<Transition>>,
    /// Who asked for them, by the run: written down if the run's transition commits.
    pub deeds: Vec<(RunId, Deed)>,
    /// Ready steps of these queues get no ticket with the commit: their backlog goes first.
    pub backlogged: Arc<HashSet<String>>,
}

/// A run as loaded: live with its journal, or only known to have ended.
pub enum Loaded {
    Live(StoredRun),
    /// With its journal too, so that a repeated finish finds its answer.
    Ended(StoredRun),
}

/// A declared workflow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeclaredName {
    pub tenant: String,
    pub workflow: String,
}

/// A claim with the session that makes it.
#[derive(Clone, Copy, Debug)]
pub struct SessionClaim {
    pub session: SessionId,
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
}

/// The database's answer to one claim.
#[derive(Clone, Debug)]
pub enum ClaimVerdict {
    Granted {
        step: Box<GrantedStep>,
        progress: Option<Payload>,
    },
    Stale,
    /// A pause holds it: the run's, or one over the run, its queue or the worker.
    Gated,
    SessionEnded,
}

/// A session to open.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub id: SessionId,
    pub kind: SessionKind,
    /// Whose steps it does; `None`: everybody's.
    pub tenant: Option<String>,
    pub name: String,
    pub queues: Vec<String>,
    pub slots: u32,
    pub labels: serde_json::Value,
    pub lease: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    Worker,
    Engine,
}

/// What a worker's heartbeat says.
#[derive(Clone, Debug)]
pub struct Beat {
    pub session: SessionId,
    pub lease: Duration,
    pub free_slots: u32,
    pub draining: bool,
    pub held: Vec<LeaseId>,
    pub progress: Vec<BeatProgress>,
    /// Attempts whose time begins anew.
    pub refreshed: Vec<LeaseId>,
    /// Attempts that are said to live.
    pub spoken: Vec<LeaseId>,
}

#[derive(Clone, Debug)]
pub struct BeatProgress {
    pub run: RunId,
    pub lease: LeaseId,
    pub details: Payload,
}

/// What the store answers: leases that are live and not told to stop.
#[derive(Clone, Debug, Default)]
pub struct BeatAnswer {
    pub alive: bool,
    pub keep: HashSet<LeaseId>,
    /// The worker gets no new steps.
    pub paused: bool,
}

/// What one tick found due.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// The engine's own session is alive, with this many shards; `None`: it ended and must be opened anew.
    pub shards: Option<u32>,
    pub timers: Vec<(RunId, Seq)>,
    pub lost: Vec<LostStep>,
    /// Grants that the worker does not know of.
    pub unknown: Vec<LostStep>,
    /// Messages nobody took yet: (target, sender, number).
    pub inbox: Vec<(RunId, RunId, i64)>,
    /// Runs with which this engine's build may go on, where none so far could.
    pub revivable: Vec<RunId>,
    /// Queues whose backed-off steps became ready.
    pub ready_queues: Vec<String>,
    pub queues: Vec<QueueWorkers>,
    /// All there are.
    pub pauses: Vec<Paused>,
    /// Keys of limits whose slots backed-off steps left.
    pub slot_keys: Vec<LimitKey>,
    /// `None`: there is no limit, and nothing waits for one.
    pub limits: Option<LimitsStamp>,
    /// Runs have slots of limits until they have ended.
    pub slots_of_life: bool,
}

/// By which a change of the limits is seen: how many there are, and the newest version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitsStamp {
    pub count: u32,
    pub version: i64,
}

/// What keys of limits gave out.
#[derive(Clone, Debug, Default)]
pub struct Admitted {
    /// Steps that are ready now and are to be ticketed.
    pub tickets: Vec<DueTicket>,
    /// Others are ready too, and wait for the backlog of their queue.
    pub backlog: bool,
    /// Keys that may have more after so long.
    pub again: Vec<(LimitKey, Duration)>,
    /// Runs that are to be cancelled.
    pub over: Vec<RunOver>,
    /// Steps that are to fail.
    pub steps_over: Vec<StepOver>,
}

/// A step that a limit of its own lets fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepOver {
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub limit: String,
    /// By a later one; otherwise it came when all slots were had.
    pub replaced: bool,
}

/// A run that a limit cancels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOver {
    pub run: RunId,
    pub limit: String,
    pub why: OverWhy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverWhy {
    /// All slots were had when it came.
    Full,
    /// A later one came before it had begun.
    Replaced,
    /// A later one begins in its place.
    InProgress,
    /// It waited for too long.
    Expired,
}

impl OverWhy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Replaced => "replaced",
            Self::InProgress => "in_progress",
            Self::Expired => "expired",
        }
    }

    pub fn reason(self) -> &'static str {
        match self {
            Self::Full => "as many runs of its key as may be were there when it came",
            Self::Replaced => "a later run of its key came before it had begun",
            Self::InProgress => "a later run of its key takes its place",
            Self::Expired => "it waited for longer than it may to begin",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct LostStep {
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
    pub effect_begun: bool,
}

/// Live workers of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueWorkers {
    pub queue: String,
    pub workers: u32,
    pub slots: u32,
    pub free_slots: u32,
}

/// A ticket to push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTicket {
    pub queue: String,
    /// The queues of workers that the step prefers, the best first; none of a ticket that is made anew.
    pub prefers: Vec<String>,
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
}

/// A live worker, and the places that it has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreePlaces {
    pub queues: Vec<String>,
    pub free: u32,
}

/// A message between runs.
#[derive(Clone, Debug)]
pub struct StoredMessage {
    pub to: RunId,
    pub from: RunId,
    pub number: i64,
    pub message: InboxMessage,
}

/// Runs: commit and load.
#[async_trait]
pub trait RunStore: Send + Sync + 'static {
    /// Commits what can be; answers the runs whose transition is in. `writer` picks the connection.
    async fn commit(&self, writer: usize, batch: &CommitBatch) -> Result<HashSet<RunId>, StoreError>;
    async fn load(&self, runs: &[RunId]) -> Result<Vec<(RunId, Loaded)>, StoreError>;
    async fn identity(&self, run: RunId) -> Result<Option<Identity>, StoreError>;
    /// The run that an idempotency key names, with the hash of its request.
    async fn find_idempotent(
        &self,
        tenant: &str,
        workflow: &str,
        key: &str,
    ) -> Result<Option<(RunId, Vec<u8>)>, StoreError>;
    /// The newest version of each of these declared workflows that there is, for children that begin with it.
    async fn definitions(&self, names: &[DeclaredName]) -> Result<Vec<(DeclaredName, Payload)>, StoreError>;
    async fn load_inbox(&self, to: &[RunId]) -> Result<Vec<StoredMessage>, StoreError>;
    async fn discard_inbox(&self, to: RunId, from: RunId, number: i64) -> Result<(), StoreError>;
}

/// Leases: sessions, claims, heartbeats, effects. None of these touches a run's revision.
#[async_trait]
pub trait LeaseStore: Send + Sync + 'static {
    async fn open_session(&self, session: &NewSession) -> Result<(), StoreError>;
    async fn close_session(&self, session: SessionId) -> Result<(), StoreError>;
    async fn claim(&self, claims: &[SessionClaim]) -> Result<Vec<ClaimVerdict>, StoreError>;
    async fn heartbeat(&self, beat: &Beat) -> Result<BeatAnswer, StoreError>;
    async fn begin_effect(&self, claim: &SessionClaim) -> Result<bool, StoreError>;
    /// After an outage of all engines: nobody is to blame for silence.
    async fn extend_sessions(&self, lease: Duration) -> Result<u64, StoreError>;
}

/// What is due, and tickets.
#[async_trait]
pub trait DueStore: Send + Sync + 'static {
    /// `build` is the engine's own.
    async fn tick(&self, engine: SessionId, lease: Duration, build: i64) -> Result<Due, StoreError>;
    /// What is paused now beside single runs.
    async fn paused(&self) -> Result<Vec<Paused>, StoreError>;
    async fn backlogged_queues(&self) -> Result<Vec<String>, StoreError>;
    async fn top_up(&self, queue: &str, most: u32) -> Result<Vec<DueTicket>, StoreError>;
    async fn lost_tickets(&self, queues: &[String], older_than: Duration) -> Result<Vec<DueTicket>, StoreError>;
    /// Workers that pull one of these queues, with what they have free.
    async fn free_places(&self, queues: &[String]) -> Result<Vec<FreePlaces>, StoreError>;
    /// Of these attempts those that nobody took, with tickets for any worker.
    async fn left_tickets(&self, placed: &[(RunId, Seq, Attempt)]) -> Result<Vec<DueTicket>, StoreError>;
    /// All limits there are.
    async fn limits(&self) -> Result<Vec<LimitText>, StoreError>;
    /// Gives out what these keys of limits have free. Steps of backlogged queues get no ticket with it.
    async fn admit(&self, keys: &[LimitKey], backlogged: &HashSet<String>) -> Result<Admitted, StoreError>;
    /// Keys that may have something for those who wait.
    async fn waiting_keys(&self) -> Result<Vec<LimitKey>, StoreError>;
    /// Keys of which these runs, which have ended, had a slot for life.
    async fn keys_of_life(&self, ended: &[RunId]) -> Result<Vec<LimitKey>, StoreError>;
    /// Runs that waited to begin for longer than their limit lets them.
    async fn expired_waits(&self) -> Result<Vec<RunOver>, StoreError>;
    /// Prepares partitions and removes what nobody will ask for again.
    async fn tidy(&self, now: Timestamp) -> Result<(), StoreError>;
}

/// All that the engine's loops stand on.
pub trait Store: RunStore + LeaseStore + DueStore {}
impl<T: RunStore + LeaseStore + DueStore> Store for T {}
