//! A claim or a finish on its way: on which engine it is tried, how often, and when it is given up.

use std::sync::Arc;

use valet_protocol::worker::{Claim, ClaimAnswer, ClaimRefusal, Finish, FinishAnswer, Grant};

use super::core::Core;
use super::engines::run_key;
use super::lane::NoAnswer;
use super::meter;
use super::session::Session;
use super::transport::TransportError;

/// How a claim ended.
#[derive(Debug)]
pub(super) enum ClaimEnd {
    Granted(Box<Grant>),
    Refused(ClaimRefusal),
    /// It was never answered. If it was granted, the engine takes the step back: no heartbeat lists it.
    Unanswered,
}

/// How a finish ended.
#[derive(Debug)]
pub(super) enum FinishEnd {
    Accepted(Option<Box<Grant>>),
    Refused {
        why: String,
    },
    /// No engine will ever take this message as it is.
    Rejected(TransportError),
    /// The session ended, or the worker gives up.
    Dropped,
}

/// Claims what a ticket names. Given up after one lease: by then nobody would wait for the answer.
pub(super) async fn claim(core: &Core, session: &Arc<Session>, claim: Claim) -> ClaimEnd {
    let tries = async {
        let mut route = core.engines.route(run_key(claim.run));
        loop {
            let pause = match core.claims[route.engine()].call(session, claim).await {
                Ok(answer) => {
                    route.answered();
                    break claimed(core, claim, answer);
                }
                Err(NoAnswer::Transport(error)) if error.is_retryable() => {
                    tracing::debug!(run = %claim.run, seq = %claim.seq, %error, "claim is tried again");
                    route.failed()
                }
                Err(NoAnswer::Transport(error)) => {
                    not_taken(core, &error);
                    break ClaimEnd::Unanswered;
                }
                Err(NoAnswer::SessionEnded) => break ClaimEnd::Unanswered,
            };
            if core.is_draining() {
                break ClaimEnd::Unanswered;
            }
            meter::tried_again("claim");
            tokio::time::sleep(pause).await;
        }
    };
    tokio::time::timeout(session.lease, tries).await.unwrap_or(ClaimEnd::Unanswered)
}

fn claimed(core: &Core, claim: Claim, answer: ClaimAnswer) -> ClaimEnd {
    match answer {
        ClaimAnswer::Granted(grant) if grant.lease == claim.lease && grant.run == claim.run => ClaimEnd::Granted(grant),
        ClaimAnswer::Granted(grant) => {
            tracing::error!(asked = ?claim, run = %grant.run, lease = %grant.lease, "another step was granted");
            ClaimEnd::Unanswered
        }
        ClaimAnswer::Refused { why } => {
            if why == ClaimRefusal::SessionEnded {
                // The answer to a heartbeat says so, and only there it is acted on.
                core.beat_now.notify_one();
            }
            ClaimEnd::Refused(why)
        }
    }
}

/// Reports how an attempt ended, until an engine answers. While the session lives the engine keeps its leases, so the
/// result is kept and sent again, also over an outage that is longer than a lease: when the lease has ended an engine
/// says so.
pub(super) async fn finish(core: &Core, session: &Arc<Session>, finish: &Finish) -> FinishEnd {
    let mut route = core.engines.route(run_key(finish.run));
    loop {
        let pause = match core.finishes[route.engine()].call(session, finish.clone()).await {
            Ok(FinishAnswer::Accepted { next }) => {
                route.answered();
                return FinishEnd::Accepted(next);
            }
            Ok(FinishAnswer::Refused { why }) => return FinishEnd::Refused { why },
            Ok(FinishAnswer::Again { why }) => {
                tracing::debug!(run = %finish.run, seq = %finish.seq, why, "finish is tried again");
                route.again()
            }
            Err(NoAnswer::Transport(error)) if error.is_retryable() => {
                tracing::debug!(run = %finish.run, seq = %finish.seq, %error, "finish is tried again");
                route.failed()
            }
            Err(NoAnswer::Transport(error)) if error.is_fatal() => {
                not_taken(core, &error);
                return FinishEnd::Dropped;
            }
            Err(NoAnswer::Transport(error)) => return FinishEnd::Rejected(error),
            Err(NoAnswer::SessionEnded) => return FinishEnd::Dropped,
        };
        meter::tried_again("finish");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = session.ended() => return FinishEnd::Dropped,
        }
    }
}

fn not_taken(core: &Core, error: &TransportError) {
    if error.is_fatal() {
        core.give_up(error.clone());
    } else {
        tracing::error!(%error, "a message was rejected");
    }
}
