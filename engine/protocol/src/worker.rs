//! The worker protocol, version 1: claim, heartbeat, finish, all in batches over a few requests in flight.
//!
//! A worker opens a session, renews it every [`SessionOpened::heartbeat_ms`], claims what tickets name, and finishes what
//! it was granted. Every answer follows the commit. A repeated message with the same lease gets the first answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use valet_core::payload::Payload;
use valet_core::resources::Resource;
use valet_core::step::Outcome;
use valet_core::tiers::{TierFacts, TierOutcome};

/// The version spoken here. An engine serves this one and the one before.
pub const VERSION: u32 = 1;
/// The oldest version served.
pub const OLDEST_VERSION: u32 = 1;

/// Items of a claim or finish batch, at most.
pub const BATCH_ITEMS_MAX: usize = 128;
/// Bytes of a claim or finish batch, about; a single larger item travels alone.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// `POST /worker/v1/sessions`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    pub protocol: u32,
    /// For people; need not be unique.
    pub name: String,
    pub queues: Vec<String>,
    pub slots: u32,
    /// What steps may require of a worker. It serves, beside each queue, one for every set of its labels
    /// ([`valet_core::placement::queues_of_worker`]), whether it names them or not.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpened {
    pub protocol: u32,
    pub session: SessionId,
    pub heartbeat_ms: u64,
    /// Without an answered heartbeat for this long all the session's leases end.
    pub lease_ms: u64,
}

/// `POST /worker/v1/heartbeats`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub session: SessionId,
    /// Free slots, shared by all queues of the session.
    pub free_slots: u32,
    pub held: Vec<Held>,
    /// No new steps are wanted.
    #[serde(default)]
    pub draining: bool,
}

/// A step that the worker has in hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
    /// Latest progress details, when they changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Payload>,
    /// The attempt's time begins anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refresh: bool,
    /// What does the step was heard of since the heartbeat before. Progress and `refresh` say so too; without any of them for
    /// the step's `heartbeat_timeout_ms`, and five seconds more, the engine ends the attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alive: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    pub standing: Standing,
    pub lease_ms: u64,
    /// Leases whose work must end: cancelled, lost or unknown to the engine.
    pub stop: Vec<LeaseId>,
    /// The worker is paused: it finishes what it has and is granted nothing new, so that it need not fetch tickets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// Whether the session still holds its leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Yours,
    /// The session ended: stop everything and open a new one.
    Ended,
}

/// `POST /worker/v1/claims`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimBatch {
    pub session: SessionId,
    pub claims: Vec<Claim>,
}

/// A claim of what a ticket names, under a lease that the worker chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
}

/// Answers in the order of the claims.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClaimAnswers {
    pub answers: Vec<ClaimAnswer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimAnswer {
    Granted(Box<Grant>),
    Refused { why: ClaimRefusal },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimRefusal {
    /// The ticket is old: the step ended, was taken, or waits for something else.
    Stale,
    /// A pause holds it: of its run, of what the run belongs to, of its queue, of this worker. A new ticket comes on resume.
    Gated,
    /// The session ended.
    SessionEnded,
}

/// A step with all that is needed to run it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
    pub tenant: String,
    pub subject: String,
    pub workflow: String,
    pub name: String,
    pub queue: String,
    pub input: Payload,
    pub timeout_ms: u64,
    /// The worker ends an attempt whose handler says nothing for so long; the engine does if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_timeout_ms: Option<u64>,
    #[serde(default)]
    pub effect_once: bool,
    /// Later steps of the run may want this worker: their tickets go to queues of its own
    /// ([`valet_core::placement::queue_of_session`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remembered: bool,
    /// What the attempt before reported last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Payload>,
}

/// `POST /worker/v1/claim?wait=20s`: the next ready steps of some queues, for workers that pull no tickets. The engine
/// chooses the leases. Waits for a step; `204` when none came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimNext {
    pub session: SessionId,
    /// Queues, in no order; absent: those that the session was opened with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// Steps at most, 1 to [`BATCH_ITEMS_MAX`]; absent: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
}

/// At least one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClaimedNext {
    pub granted: Vec<Grant>,
}

/// `POST /worker/v1/finishes`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinishBatch {
    pub session: SessionId,
    pub finishes: Vec<Finish>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finish {
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
    pub outcome: Outcome,
    /// The worker would take the run's next step along, under this lease, if it lies in this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_over: Option<HandOver>,
    /// What the attempt paid for; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<StepCost>,
}

/// Something that an attempt paid for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCost {
    /// `tokens`, `browser-minutes`, `proxy` …
    pub what: String,
    /// Millionths of a US dollar.
    pub usd_micros: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    pub lease: LeaseId,
    pub queue: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinishAnswers {
    pub answers: Vec<FinishAnswer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishAnswer {
    Accepted {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<Box<Grant>>,
    },
    /// Late, stale or unknown: the result is dropped.
    Refused { why: String },
    /// The engine could not commit; send it again, here or to another engine.
    Again { why: String },
}

/// `POST /worker/v1/items`: something that the subject of a held step keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemWanted {
    pub session: SessionId,
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
    /// `answer`, `secret`, `document`, `browser_state`.
    pub kind: String,
    pub name: String,
}

/// The answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemAnswer {
    Item {
        version: u32,
        value: serde_json::Value,
    },
    /// The subject keeps none of this name.
    Missing,
    /// The lease does not hold.
    Stale,
}

/// `POST /worker/v1/items/names`: what the subject of a held step keeps, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemNamesWanted {
    pub session: SessionId,
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
    /// `answer` or `document`: which secrets there are is nobody's to ask.
    pub kind: String,
}

/// The answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemNamesAnswer {
    /// The newest first; of very many the newest only.
    Names(Vec<String>),
    /// The lease does not hold.
    Stale,
}

/// `POST /worker/v1/items/keep`: something that a held step learned of its subject. The same again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepItem {
    pub session: SessionId,
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
    /// `answer`.
    pub kind: String,
    pub name: String,
    pub value: serde_json::Value,
}

/// The answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepAnswer {
    Kept {
        version: u32,
    },
    /// The lease does not hold, or the subject is being erased.
    Stale,
}

/// `POST /worker/v1/effects`: right before an outward effect that must not happen twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectBegin {
    pub session: SessionId,
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectAnswer {
    /// Committed: the effect may happen now.
    Go,
    /// The lease, a pause or a cancel forbids it.
    No,
}

/// `POST /worker/v1/blobs` answers this; the bytes are the body, name and type its headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobStored {
    pub id: Uuid,
    pub size_bytes: u64,
    pub sha256: String,
    pub created_at: Timestamp,
}

/// `POST /worker/v1/tiers`: what whoever holds a step asks or tells of the site that a browser of its run goes to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierAsk {
    pub session: SessionId,
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
    /// `host` or `host:port`.
    pub site: String,
    /// Which browser of the run, counted from 0.
    pub browser: u32,
    pub what: TierQuestion,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TierQuestion {
    /// What is known, with the site's policy if it has one of these names.
    Facts { patterns: Vec<String> },
    /// A time for the browser's visit, as decided on what was known at this revision of the site.
    Visit {
        tier: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<String>,
        begins_at: Timestamp,
        /// Of its day, with this one.
        visits: u32,
        revision: i64,
    },
    /// How the browser came off. The first word stands.
    Outcome {
        tier: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<String>,
        outcome: TierOutcome,
    },
    /// The site wants to be left alone.
    CoolDown { for_ms: u64, why: String },
}

/// The answer to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TierAnswer {
    Facts(Box<TierFacts>),
    Done,
    /// The site has changed since that revision: decide anew.
    Changed,
    /// The lease does not hold.
    Stale,
}

/// `POST /worker/v1/resources`: what a worker asks or tells of the things outside that runs hold. Whoever holds a step speaks for its run;
/// a session alone speaks of what it knows the fence of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceAsk {
    pub session: SessionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<HeldStep>,
    /// `sandbox`, `profile` …
    pub kind: String,
    pub what: ResourceQuestion,
}

/// A step that the worker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldStep {
    pub run: RunId,
    pub seq: Seq,
    pub attempt: Attempt,
    pub lease: LeaseId,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceQuestion {
    /// A new one for the step's run, before the thing itself is asked for. The same key again answers what is there.
    Reserve(Box<NewResource>),
    /// One that waits for somebody, for the step's run. The same claim again answers what it was given.
    Claim {
        /// What it is for; unique within the run.
        wanted_for: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Those that it must have.
        labels: BTreeMap<String, String>,
        /// Added to those that it has.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        add: BTreeMap<String, String>,
        lease_ms: u64,
    },
    Renew {
        #[serde(flatten)]
        which: WhichResource,
        lease_ms: u64,
    },
    Transition {
        #[serde(flatten)]
        which: WhichResource,
        to: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease_ms: Option<u64>,
        /// Added to those that it has.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<String, String>,
        /// Sealed for the run's subject; by a step only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<serde_json::Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What it costs from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usd_micros_per_hour: Option<u64>,
        /// It is nobody's from now on.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        release: bool,
        /// Not to be claimed for so long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rest_ms: Option<u64>,
    },
    /// By keys, ended ones too; else all that have not ended.
    List {
        labels: BTreeMap<String, String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys: Option<Vec<String>>,
    },
    /// Takes over what nobody looks after any more, to end it.
    Reap { labels: BTreeMap<String, String>, lease_ms: u64, max: u32 },
    /// Which of these runs are not over.
    LiveRuns { runs: Vec<RunId> },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewResource {
    pub key: String,
    /// Under which its costs are summed up.
    pub class: String,
    pub labels: BTreeMap<String, String>,
    /// Sealed for the run's subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
    pub lease_ms: u64,
    #[serde(default)]
    pub usd_micros_per_hour: u64,
    /// None is made once its class has cost so much today (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_max_usd_micros: Option<u64>,
}

/// Where a thing speaks of itself, and with what it shows that it is the one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    pub url: String,
    pub token: String,
}

impl std::fmt::Debug for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callback").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A resource that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhichResource {
    pub key: String,
    /// Whose it is; sessions that serve every tenant say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// A session without a step must say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<i64>,
}

/// The answer to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceAnswer {
    /// As it stands now.
    Resource {
        resource: Box<Resource>,
        /// What it cost the run since it was told last.
        #[serde(default)]
        charge_usd_micros: u64,
        /// Where it may speak of itself; told with the reservation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        callback: Option<Callback>,
    },
    /// It is another's, or under a newer fence.
    Taken(Box<Resource>),
    /// Its state leads elsewhere.
    Refused(Box<Resource>),
    /// None is there, or none waits.
    Missing,
    /// Its class cost too much today.
    Spent {
        usd_micros: u64,
    },
    Resources(Vec<Resource>),
    Runs(Vec<RunId>),
    /// The lease or the session does not hold.
    Stale,
}
