//! The transport port: one connection of the worker protocol to one engine.
//!
//! A transport sends one message and says how it ended. It never retries, chooses another engine or keeps state of the
//! worker: that is the runtime's.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;
use valet_core::id::{RunId, Seq, SessionId};
use valet_protocol::worker::{
    BlobStored, ClaimAnswers, ClaimBatch, EffectAnswer, EffectBegin, FinishAnswers, FinishBatch, Heartbeat,
    HeartbeatAnswer, ItemAnswer, ItemNamesAnswer, ItemNamesWanted, ItemWanted, KeepAnswer, KeepItem, OpenSession,
    ResourceAnswer, ResourceAsk, SessionOpened, TierAnswer, TierAsk,
};

/// Speaks the worker protocol with one engine. Every call has a time limit of its own.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The engine's address: for logs, and to choose the engine of a run, so it must be the same for every worker.
    fn engine(&self) -> &str;

    async fn open_session(&self, open: &OpenSession) -> Result<SessionOpened, TransportError>;
    async fn heartbeat(&self, beat: &Heartbeat) -> Result<HeartbeatAnswer, TransportError>;
    async fn claim(&self, batch: &ClaimBatch) -> Result<ClaimAnswers, TransportError>;
    async fn finish(&self, batch: &FinishBatch) -> Result<FinishAnswers, TransportError>;
    async fn effect_begin(&self, begin: &EffectBegin) -> Result<EffectAnswer, TransportError>;
    async fn item(&self, wanted: &ItemWanted) -> Result<ItemAnswer, TransportError>;
    async fn tiers(&self, ask: &TierAsk) -> Result<TierAnswer, TransportError>;
    async fn resources(&self, ask: &ResourceAsk) -> Result<ResourceAnswer, TransportError>;
    async fn item_names(&self, wanted: &ItemNamesWanted) -> Result<ItemNamesAnswer, TransportError>;
    async fn keep_item(&self, keep: &KeepItem) -> Result<KeepAnswer, TransportError>;
    async fn close_session(&self, session: SessionId) -> Result<(), TransportError>;
    async fn get_blob(&self, run: RunId, id: Uuid) -> Result<Blob, TransportError>;
    async fn put_blob(&self, blob: &NewBlob) -> Result<BlobStored, TransportError>;
}

/// A stored file. Its name and type were said by whoever stored it: material, not to be used as a path.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    pub bytes: Bytes,
    pub filename: Option<String>,
    pub content_type: Option<String>,
}

/// A file to store as an artifact of a step.
#[derive(Clone, PartialEq, Eq)]
pub struct NewBlob {
    pub run: RunId,
    pub seq: Seq,
    pub name: String,
    pub content_type: String,
    pub bytes: Bytes,
}

/// Files may hold personal data, so that a debug print shows only a size.
impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.bytes.len())
    }
}

impl fmt::Debug for NewBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewBlob({} bytes of {} step {})", self.bytes.len(), self.run, self.seq)
    }
}

/// How a call failed. One failure may concern a whole batch, so that it can be cloned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection, no answer in time, or cut off: the message may have been committed.
    #[error("the engine at {engine} cannot be reached: {detail}")]
    Unreachable { engine: String, detail: String },
    /// The engine cannot take it now (429, 5xx).
    #[error("the engine at {engine} is busy ({status}): {detail}")]
    Busy { engine: String, status: u16, detail: String },
    /// The answer is not one of the protocol.
    #[error("the engine at {engine} gave an answer that cannot be read: {detail}")]
    BadAnswer { engine: String, detail: String },
    /// This message is wrong (another 4xx): it will not be taken by any engine.
    #[error("the engine at {engine} rejected the message ({status}): {detail}")]
    Rejected { engine: String, status: u16, detail: String },
    /// 401 or 403. Final for the worker.
    #[error(
        "the engine at {engine} does not accept the worker token ({status}): {detail}; check the token with which the worker was started"
    )]
    Denied { engine: String, status: u16, detail: String },
    /// 426. Final for the worker.
    #[error(
        "the engine at {engine} does not speak protocol version {spoken} of this worker: {detail}; use a worker of the engine's release"
    )]
    Version { engine: String, spoken: u32, detail: String },
}

impl TransportError {
    /// The same message may be taken later, or by another engine.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Busy { .. } | Self::BadAnswer { .. })
    }

    /// No message of this worker will be taken.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Denied { .. } | Self::Version { .. })
    }
}
