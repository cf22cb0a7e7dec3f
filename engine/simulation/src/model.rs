//! The model store: tables in memory with the semantics of the engine's SQL, statement by statement.
//!
//! Each method is one statement: atomic, at one instant of the database's clock. Faults, delays and what lies between two
//! statements are [`crate::link`]'s. Whatever the schema's constraints would refuse is a violation at once.

pub(crate) mod audit;
mod commit;
mod due;
mod forks;
mod leases;
mod limits;
mod limits_audit;
mod look;
mod pauses;
mod runs;
mod shown;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::callbacks::Secret;
use valet_core::command::{InboxMessage, OpenTask};
use valet_core::id::{Attempt, LeaseId, RunId, SHARDS, Seq, SessionId};
use valet_core::journal::{Chunk, Entry, Op, StepOp};
use valet_core::limits::LimitKey;
use valet_core::payload::Payload;
use valet_core::run::Identity;
use valet_core::transition::{RunRow, StepState, Unserved};
use valet_engine::pauses::Paused;
use valet_engine::store::{DeclaredName, SessionKind};

use crate::variant::BrokenVariant;
use audit::Audit;
pub(crate) use limits::{KeyRecord, LimitRecord, SlotAt, SlotRecord};

/// All tables, and the audit of what was committed to them.
pub(crate) struct Tables {
    variant: Option<BrokenVariant>,
    pub runs: BTreeMap<RunId, RunRecord>,
    pub journal: BTreeMap<RunId, Vec<Committed>>,
    pub steps: BTreeMap<(RunId, Seq), StepRecord>,
    /// When each is due, and whom it waits for besides.
    pub timers: BTreeMap<(RunId, Seq), (Timestamp, Option<Unserved>)>,
    pub inbox: BTreeMap<(RunId, RunId, i64), Mail>,
    pub tasks: BTreeMap<(RunId, Seq), TaskRecord>,
    keys: BTreeMap<(String, String, String), (RunId, [u8; 32])>,
    /// The newest version of each declared workflow.
    pub declared: BTreeMap<DeclaredName, Payload>,
    batches: HashMap<Uuid, HashSet<RunId>>,
    sessions: BTreeMap<SessionId, SessionRecord>,
    shards: Vec<ShardRecord>,
    /// Forks, in the order in which they came.
    pub forks: BTreeMap<RunId, usize>,
    /// Of more than single runs.
    pub pauses: Vec<Paused>,
    /// By tenant and name.
    limits: BTreeMap<(String, String), LimitRecord>,
    limit_versions: i64,
    limit_keys: BTreeMap<LimitKey, KeyRecord>,
    slots: BTreeMap<SlotAt, SlotRecord>,
    slots_of_life: BTreeSet<(LimitKey, RunId)>,
    /// Inputs of steps and finalizers, which the journal's chunks hold.
    ops: BTreeMap<(RunId, Seq), Arc<StepOp>>,
    pub audit: Audit,
}

/// A run's row: live, or finished.
pub(crate) struct RunRecord {
    pub identity: Identity,
    pub revision: u32,
    pub row: RunRow,
    pub ended: bool,
    /// The step for which its row shows that no worker has its labels.
    pub unserved: Option<Seq>,
}

/// A chunk of the journal, with the run's row as it was committed with it.
pub(crate) struct Committed {
    pub chunk: Chunk,
    pub row: RunRow,
}

/// A step's row.
#[derive(Clone)]
pub(crate) struct StepRecord {
    pub name: String,
    pub queue: String,
    pub priority: i16,
    pub labels: BTreeMap<String, String>,
    /// Only this worker may have it.
    pub wants: Option<SessionId>,
    /// Queues of workers that it would rather go to.
    pub prefers: Vec<String>,
    pub timeout_ms: u64,
    pub state: StepState,
    pub attempt: Attempt,
    pub gated: bool,
    pub available_at: Timestamp,
    pub ticketed_at: Option<Timestamp>,
    pub lease: Option<Lease>,
    pub effect_begun: bool,
    pub missed: u32,
}

/// The grant of a step's row.
#[derive(Clone, Copy)]
pub(crate) struct Lease {
    pub id: LeaseId,
    pub session: SessionId,
    pub granted_at: Timestamp,
    pub deadline: Timestamp,
}

pub(crate) struct Mail {
    pub message: InboxMessage,
    pub sent_at: Timestamp,
}

pub(crate) struct TaskRecord {
    pub task: OpenTask,
    /// `open`, or how it ended.
    pub state: &'static str,
}

pub(crate) struct SessionRecord {
    kind: SessionKind,
    name: String,
    queues: Vec<String>,
    labels: BTreeMap<String, String>,
    slots: u32,
    free_slots: u32,
    draining: bool,
    opened_at: Timestamp,
    seen_at: Timestamp,
    expires_at: Timestamp,
    swept: bool,
}

#[derive(Clone, Copy, Default)]
struct ShardRecord {
    owner: Option<SessionId>,
    expires_at: Option<Timestamp>,
}

impl Tables {
    pub fn new(variant: Option<BrokenVariant>) -> Self {
        Self {
            variant,
            runs: BTreeMap::new(),
            journal: BTreeMap::new(),
            steps: BTreeMap::new(),
            timers: BTreeMap::new(),
            inbox: BTreeMap::new(),
            tasks: BTreeMap::new(),
            keys: BTreeMap::new(),
            declared: BTreeMap::new(),
            batches: HashMap::new(),
            sessions: BTreeMap::new(),
            shards: vec![ShardRecord::default(); SHARDS as usize],
            forks: BTreeMap::new(),
            pauses: Vec::new(),
            limits: BTreeMap::new(),
            limit_versions: 0,
            limit_keys: BTreeMap::new(),
            slots: BTreeMap::new(),
            slots_of_life: BTreeSet::new(),
            ops: BTreeMap::new(),
            audit: Audit::default(),
        }
    }

    /// The session is there and has not expired.
    pub fn session_lives(&self, session: SessionId, now: Timestamp) -> bool {
        self.sessions.get(&session).is_some_and(|record| record.expires_at > now)
    }

    /// The worker has the labels that a step requires.
    fn has_labels(&self, session: SessionId, labels: &BTreeMap<String, String>) -> bool {
        let of = self.sessions.get(&session);
        labels.iter().all(|(name, value)| of.is_some_and(|record| record.labels.get(name) == Some(value)))
    }

    /// `steps ⟕ sessions`: the lease's session ended, or the attempt is long over its time.
    fn is_lost(&self, lease: &Lease, now: Timestamp) -> bool {
        let ended = self.sessions.get(&lease.session).is_none_or(|record| record.expires_at < now);
        ended || lease.is_overdue(now)
    }

    pub(in crate::model) fn is_broken(&self, variant: BrokenVariant) -> bool {
        self.variant == Some(variant)
    }

    /// The steps of one run.
    pub fn steps_of(&self, run: RunId) -> impl Iterator<Item = (Seq, &StepRecord)> {
        let range = (run, Seq(0))..=(run, Seq(u32::MAX));
        self.steps.range(range).map(|((_, seq), record)| (*seq, record))
    }

    /// Steps and finalizers that a run ever asked for.
    pub fn asked_of(&self, run: RunId) -> impl Iterator<Item = (Seq, &StepOp)> {
        self.ops.range((run, Seq(0))..=(run, Seq(u32::MAX))).map(|((_, seq), op)| (*seq, &**op))
    }

    /// What somebody outside is to complete for a run: where, and what opens it.
    pub fn completions_of(&self, run: RunId) -> Vec<(RunId, Seq, String, Secret)> {
        let chunks = self.journal.get(&run).into_iter().flatten().map(|committed| &committed.chunk);
        let asked = chunks.flat_map(|chunk| &chunk.entries).filter_map(|entry| match entry {
            Entry::Op { seq, op: Op::Completion { name, secret, .. } } => {
                Some((run, *seq, name.clone(), secret.clone()))
            }
            _ => None,
        });
        asked.collect()
    }

    /// Runs that have not ended.
    pub fn live_runs(&self) -> impl Iterator<Item = (&RunId, &RunRecord)> {
        self.runs.iter().filter(|(_, record)| !record.ended)
    }

    /// Live tables hold nothing any more.
    pub fn is_quiet(&self) -> bool {
        self.steps.is_empty() && self.timers.is_empty() && self.inbox.is_empty() && self.live_runs().next().is_none()
    }
}

impl Lease {
    /// Ten seconds over its time, as the sweep counts.
    fn is_overdue(&self, now: Timestamp) -> bool {
        self.deadline < now - chrono::TimeDelta::seconds(10)
    }
}
