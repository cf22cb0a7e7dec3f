//! Sandboxes: where a browser runs, and the port behind which every tier's provider stands.
//!
//! A provider makes, finds, keeps and ends sandboxes. It holds no state of its own between calls: whatever it must know to clean up lies
//! with the sandbox, so that any worker can finish what another began. It never drives the browser.

mod breaker;
pub mod callback;
pub mod fly;
mod gate_client;
pub mod guarded;
pub mod local;
pub mod process;
pub mod reaper;
pub mod reconcile;
pub mod rows;
mod secret;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;
use valet_core::RunId;
use valet_protocol::worker::Callback;

pub use crate::gate::HostPort;

/// A sandbox's id, chosen by who asks for it and before it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SandboxId(pub Uuid);

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SandboxId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// Who drives a sandbox now; each take-over has a higher number than all before. Begins at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FenceNumber(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxKind {
    /// A headless browser on the worker's own machine.
    Local,
    /// The same with a window, on an X server of its own.
    LocalHeaded,
    /// A machine at Fly, with a browser and a gate in it.
    Fly,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProvisionRequest {
    pub sandbox_id: Uuid,
    /// The mark that the provider keeps with the sandbox: whose it is, for whoever finds it in a list.
    #[serde(default)]
    pub run: Option<RunId>,
    /// `host`, `host:port` or `*.suffix`; without a port 80 and 443. Nothing else is reachable from the browser.
    pub allowed_hosts: Vec<String>,
    /// Targets whose private or loopback addresses may be dialled; each must be allowed by name as well.
    #[serde(default)]
    pub allow_private: Vec<HostPort>,
    pub headless: bool,
    /// The sandbox ends by itself this long after the last renewal.
    pub lease: Duration,
    /// Where what runs inside may say what happens, for a provider that has something run inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<Callback>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxState {
    /// Asked for; not usable yet, or its start was cut off.
    Starting,
    Ready,
    /// Its gate was killed and its browser lives; the next attach gives it a gate again.
    Unguarded,
    /// Its browser is gone; only its folder is left to clean.
    Lost,
}

/// What is known of a sandbox from outside. Holds no secret, so it may be a step's output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sandbox {
    pub id: SandboxId,
    /// Whose it is, as it was asked for.
    #[serde(default)]
    pub run: Option<RunId>,
    pub kind: SandboxKind,
    pub state: SandboxState,
    /// Milliseconds since the Unix epoch.
    pub created_ms: u64,
    pub lease_until_ms: u64,
    pub session_id: Option<String>,
    /// Where a driver joins its browser.
    pub debugger_address: Option<String>,
    /// The highest fence that attached.
    pub fence: u64,
}

/// What a holder needs to drive the browser. Its URL holds the fence key.
#[derive(Clone)]
pub struct Attachment {
    pub sandbox: SandboxId,
    pub fence: FenceNumber,
    /// Base of the WebDriver commands, ends with `/`.
    pub webdriver_url: String,
    pub session_id: String,
    /// The session's own; an attached client does not learn them from the driver.
    pub capabilities: serde_json::Value,
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").field("sandbox", &self.sandbox).field("fence", &self.fence).finish_non_exhaustive()
    }
}

#[derive(Debug, Error)]
pub enum SandboxError {
    #[error("{provider} has no `{verb}`")]
    Unsupported { provider: &'static str, verb: &'static str },
    #[error("{provider} does not accept the credentials it was given: {detail}; check its settings")]
    Auth { provider: &'static str, detail: String },
    #[error("{provider} gives this account no more sandboxes: {detail}")]
    Quota { provider: &'static str, detail: String },
    #[error("{provider} wants fewer requests, again in {} s", again_in.as_secs())]
    Rate { provider: &'static str, again_in: Duration },
    /// The answer was lost: it may have been done.
    #[error("whether {provider} did it for sandbox {id} is not known: {reason}")]
    Ambiguous { provider: &'static str, id: SandboxId, reason: String },
    #[error("{provider} failed again and again, it is asked again in {} s", again_in.as_secs())]
    Resting { provider: &'static str, again_in: Duration },
    #[error("the request is not valid: {0}")]
    InvalidRequest(String),
    #[error("sandbox {0} was destroyed; a new one needs a new id")]
    Destroyed(SandboxId),
    #[error("sandbox {0} does not exist")]
    NotFound(SandboxId),
    #[error("sandbox {id} is gone: {reason}")]
    Gone { id: SandboxId, reason: String },
    #[error("another worker is at sandbox {0}")]
    Busy(SandboxId),
    #[error("the gate of sandbox {id} does not answer: {reason}")]
    Silent { id: SandboxId, reason: String },
    #[error("{provider} has no room now: {detail}")]
    NoRoom { provider: &'static str, detail: String },
    #[error("this machine has its {max} sandboxes")]
    Full { max: u32 },
    #[error("sandbox {id} did not start: {reason}")]
    StartFailed { id: SandboxId, reason: String },
    #[error("fence {offered} is stale, sandbox {id} is held by fence {current}")]
    StaleFence { id: SandboxId, offered: u64, current: u64 },
    #[error("{left} processes of sandbox {id} could not be ended")]
    Leftover { id: SandboxId, left: usize },
    #[error("cannot {action} sandbox {id}")]
    Io { id: SandboxId, action: &'static str, source: std::io::Error },
    #[error("cannot read the folder of sandboxes")]
    List(#[source] std::io::Error),
}

/// What sort of failure it is, whoever the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// The account has all that it may have.
    Quota,
    /// There is no room now.
    Capacity,
    /// Too many requests.
    Rate,
    /// The sandbox is not there, or not any more.
    Gone,
    /// The provider does not let us in.
    Auth,
    /// The provider has no such verb.
    Unsupported,
    /// Whoever asks is at fault, or has been overtaken.
    Caller,
    /// The provider or its machine fails.
    Provider,
}

impl FailureClass {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Capacity => "capacity",
            Self::Rate => "rate",
            Self::Gone => "gone",
            Self::Auth => "auth",
            Self::Unsupported => "unsupported",
            Self::Caller => "caller",
            Self::Provider => "provider",
        }
    }
}

impl SandboxError {
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Quota { .. } => FailureClass::Quota,
            Self::Full { .. } | Self::NoRoom { .. } => FailureClass::Capacity,
            error if error.is_disk_full() => FailureClass::Capacity,
            Self::Rate { .. } => FailureClass::Rate,
            Self::NotFound(_) | Self::Gone { .. } => FailureClass::Gone,
            Self::Auth { .. } => FailureClass::Auth,
            Self::Unsupported { .. } => FailureClass::Unsupported,
            Self::InvalidRequest(_) | Self::Destroyed(_) | Self::StaleFence { .. } | Self::Busy(_) => {
                FailureClass::Caller
            }
            Self::Silent { .. }
            | Self::StartFailed { .. }
            | Self::Leftover { .. }
            | Self::Io { .. }
            | Self::List(_)
            | Self::Ambiguous { .. }
            | Self::Resting { .. } => FailureClass::Provider,
        }
    }

    /// The machine has no space left for what a browser writes.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } | Self::List(source)
            if matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded))
    }

    /// Whether the same call may succeed later without anything being changed.
    pub fn is_retryable(&self) -> bool {
        match self.class() {
            FailureClass::Capacity | FailureClass::Rate | FailureClass::Provider => true,
            FailureClass::Caller => matches!(self, Self::Busy(_)),
            FailureClass::Quota | FailureClass::Gone | FailureClass::Auth | FailureClass::Unsupported => false,
        }
    }

    /// When it may, where that is known.
    pub fn again_in(&self) -> Option<Duration> {
        match self {
            Self::Rate { again_in, .. } | Self::Resting { again_in, .. } => Some(*again_in),
            _ => None,
        }
    }
}

/// Where a person looks at a sandbox's screen.
#[derive(Clone, PartialEq, Eq)]
pub struct LiveView {
    /// Opens the screen to whoever has it.
    pub url: String,
}

#[async_trait]
pub trait SandboxProvider: Send + Sync {
    /// For metrics, logs and errors.
    fn name(&self) -> &'static str;

    fn kind(&self) -> SandboxKind;

    /// Makes the sandbox, or finds the one a former call with the same id made; it may still be starting. What that call left half-made
    /// is cleaned first. Whoever asks has written the id down before, so that it is found again whatever happens.
    async fn request(&self, request: &ProvisionRequest) -> Result<Sandbox, SandboxError>;

    /// Waits until the sandbox that was asked for can be attached to.
    async fn ready(&self, id: &SandboxId) -> Result<Sandbox, SandboxError>;

    /// [`request`](Self::request), then [`ready`](Self::ready).
    async fn provision(&self, request: &ProvisionRequest) -> Result<Sandbox, SandboxError> {
        let sandbox = self.request(request).await?;
        if sandbox.state == SandboxState::Ready { Ok(sandbox) } else { self.ready(&sandbox.id).await }
    }

    /// How long the provider is not asked for new sandboxes, if it is given a rest.
    fn resting(&self) -> Option<Duration> {
        None
    }

    /// Takes the sandbox over: from its return on, commands of lower fences are refused. Repeating it with the same fence is safe.
    async fn attach(&self, id: &SandboxId, fence: FenceNumber) -> Result<Attachment, SandboxError>;

    /// Sets the lease to end `lease` from now.
    async fn renew(&self, id: &SandboxId, lease: Duration) -> Result<(), SandboxError>;

    /// Puts a file where the sandbox's browser can read it; the path is on the browser's machine. The same name is replaced.
    async fn stage_file(
        &self,
        id: &SandboxId,
        file: Uuid,
        filename: &str,
        content: &[u8],
    ) -> Result<PathBuf, SandboxError>;

    /// Keeps the sandbox as it is, at less cost, while nobody drives it.
    async fn park(&self, _: &SandboxId) -> Result<(), SandboxError> {
        Err(SandboxError::Unsupported { provider: self.name(), verb: "park" })
    }

    /// Brings a parked sandbox back, as it was.
    async fn resume(&self, _: &SandboxId) -> Result<(), SandboxError> {
        Err(SandboxError::Unsupported { provider: self.name(), verb: "resume" })
    }

    /// Where a person may look at its screen, and act.
    async fn live_view(&self, _: &SandboxId) -> Result<LiveView, SandboxError> {
        Err(SandboxError::Unsupported { provider: self.name(), verb: "live_view" })
    }

    /// Ends what runs and keeps the rest, to be started again.
    async fn stop(&self, _: &SandboxId) -> Result<(), SandboxError> {
        Err(SandboxError::Unsupported { provider: self.name(), verb: "stop" })
    }

    /// Ends everything of the sandbox and forgets it. Succeeds for what never was. Afterwards the id cannot be provisioned again.
    async fn destroy(&self, id: &SandboxId) -> Result<(), SandboxError>;

    /// Every sandbox there is anything left of, the half-made and the lost included.
    async fn list(&self) -> Result<Vec<Sandbox>, SandboxError>;
}
