//! What a worker says of resources in its own name, beside its steps: it ends what no run looks after any more.

use std::sync::Arc;

use tokio::sync::watch;
use valet_protocol::worker::{HeldStep, ResourceAnswer, ResourceAsk, ResourceQuestion};

use super::bounds::BLOB_TRIES;
use super::engines::Engines;
use super::session::{Session, Standing};
use super::transport::TransportError;

/// Where a worker asks while it is in a session. Clones speak for the same worker.
#[derive(Clone)]
pub struct ResourceDesk {
    engines: Arc<Engines>,
    sessions: watch::Receiver<Option<Arc<Session>>>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    #[error("the worker is in no session now")]
    NoSession,
    /// An engine of the release before.
    #[error("the engine keeps no resources of this kind")]
    NotKept,
    #[error("the worker's session ended")]
    Stale,
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl ResourceDesk {
    pub(super) fn new(engines: Arc<Engines>, sessions: watch::Receiver<Option<Arc<Session>>>) -> Self {
        Self { engines, sessions }
    }

    pub async fn ask(&self, kind: &str, what: ResourceQuestion) -> Result<ResourceAnswer, DeskError> {
        let session = self.sessions.borrow().clone();
        let session = session.filter(|session| session.standing() == Standing::Running).ok_or(DeskError::NoSession)?;
        let ask = ResourceAsk { session: session.id, step: None, kind: kind.to_owned(), what };
        let (high, low) = session.id.0.as_u64_pair();
        told(self.engines.resources(high ^ low, &ask).await)
    }
}

fn told(answer: Result<ResourceAnswer, TransportError>) -> Result<ResourceAnswer, DeskError> {
    match answer {
        Ok(ResourceAnswer::Stale) => Err(DeskError::Stale),
        Ok(answer) => Ok(answer),
        Err(TransportError::Rejected { status: 404, .. }) => Err(DeskError::NotKept),
        Err(error) => Err(error.into()),
    }
}

impl Engines {
    /// Over all engines, a few times: every question may be asked again.
    pub(super) async fn resources(&self, key: u64, ask: &ResourceAsk) -> Result<ResourceAnswer, TransportError> {
        let mut route = self.route(key);
        for _ in 1..BLOB_TRIES {
            match route.transport().resources(ask).await {
                Err(error) if error.is_retryable() => tokio::time::sleep(route.failed()).await,
                answer => return answer,
            }
        }
        route.transport().resources(ask).await
    }
}

/// A step speaks for its run.
pub(super) fn of_step(
    session: valet_core::id::SessionId,
    step: HeldStep,
    kind: &str,
    what: ResourceQuestion,
) -> ResourceAsk {
    ResourceAsk { session, step: Some(step), kind: kind.to_owned(), what }
}
