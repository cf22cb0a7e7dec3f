//! Grants claims in groups. The database decides; every answer follows its commit.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use valet_crash_points::crash_point;

use crate::bounds::CLAIMS_PER_STATEMENT_MAX;
use crate::store::{ClaimVerdict, SessionClaim, Store};

/// A claim and where its answer goes; a dropped answer means that the database was away.
pub struct ClaimRequest {
    pub claim: SessionClaim,
    pub answer: oneshot::Sender<ClaimVerdict>,
}

/// Serves claims until the channel closes.
pub async fn run<S: Store + ?Sized>(store: Arc<S>, mut requests: mpsc::Receiver<ClaimRequest>) {
    let mut waiting: Vec<ClaimRequest> = Vec::with_capacity(CLAIMS_PER_STATEMENT_MAX);
    while requests.recv_many(&mut waiting, CLAIMS_PER_STATEMENT_MAX).await > 0 {
        let claims: Vec<SessionClaim> = waiting.iter().map(|request| request.claim).collect();
        crash_point!(EngineClaimBefore);
        match store.claim(&claims).await {
            Ok(verdicts) => {
                crash_point!(EngineClaimAfter if verdicts.iter().any(|verdict| matches!(verdict, ClaimVerdict::Granted { .. })));
                for (request, verdict) in waiting.drain(..).zip(verdicts) {
                    let _ = request.answer.send(verdict);
                }
            }
            Err(error) => {
                tracing::warn!(%error, claims = claims.len(), "claims could not be granted");
                waiting.clear();
            }
        }
    }
}
