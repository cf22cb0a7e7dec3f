//! One slot at work: claim what a ticket names, run it, finish it, and go on with what the finish hands over.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use valet_core::id::{Attempt, RunId, Seq};
use valet_core::step::Outcome;
use valet_crash_points::crash_point;
use valet_protocol::worker::{Claim, ClaimRefusal, Finish, Grant, HandOver};
use valet_queue::Delivered;

use super::attempt;
use super::calls::{self, ClaimEnd, FinishEnd};
use super::core::Core;
use super::hold::HoldGuard;
use super::meter;
use super::session::{Session, Standing};
use super::step_error::failure;

/// Works off one ticket. The slot is free again when this returns or is dropped.
pub(super) async fn run(core: Arc<Core>, session: Arc<Session>, delivered: Delivered, slot: OwnedSemaphorePermit) {
    let Delivered { ticket, ack } = delivered;
    let (run, seq, attempt) = (RunId(ticket.run), Seq(ticket.seq), Attempt(ticket.attempt));
    let claim = Claim { run, seq, attempt, lease: core.ids.lease() };
    crash_point!(WorkerClaimBefore);
    let granted = match calls::claim(&core, &session, claim).await {
        ClaimEnd::Granted(grant) => {
            ack.ack();
            meter::claimed("granted");
            grant
        }
        ClaimEnd::Refused(why) => {
            ack.ack();
            meter::claimed(refusal_word(why));
            tracing::debug!(%run, %seq, %attempt, why = refusal_word(why), "claim refused");
            return;
        }
        ClaimEnd::Unanswered => {
            meter::claimed("unanswered");
            tracing::info!(%run, %seq, %attempt, "claim was not answered, its ticket is dropped");
            return;
        }
    };
    crash_point!(WorkerClaimAfter);
    let hold = core.holds.take(&granted, &session);
    work_through(&core, &session, *granted, hold).await;
    drop(slot);
}

/// Runs the step, and each one that is handed over after it.
async fn work_through(core: &Core, session: &Arc<Session>, first: Grant, mut hold: HoldGuard) {
    let mut grant = first;
    loop {
        let queue = grant.queue.clone();
        if grant.remembered {
            core.wanted.send_if_modified(|wanted| wanted.replace(session.id) != Some(session.id));
        }
        let outcome = if core.is_draining() {
            // It was granted while the drain began.
            Some(Outcome::HandedBack)
        } else {
            attempt::run(core, grant, &hold.hold).await
        };
        let Some(outcome) = outcome else {
            meter::finished("dropped");
            return;
        };
        let takes_more = core.config.hand_over
            && !core.is_draining()
            && !core.is_paused()
            && session.standing() == Standing::Running;
        let hand_over = takes_more.then(|| HandOver { lease: core.ids.lease(), queue });
        let Some(next) = report(core, session, &hold, outcome, hand_over).await else { return };
        // The next is listed before the finished one is not: no heartbeat sees neither.
        let taken = core.holds.take(&next, session);
        hold = taken;
        grant = *next;
    }
}

/// Finishes the attempt; answers what was handed over.
async fn report(
    core: &Core,
    session: &Arc<Session>,
    hold: &HoldGuard,
    outcome: Outcome,
    hand_over: Option<HandOver>,
) -> Option<Box<Grant>> {
    let (run, seq, attempt, lease) = (hold.hold.run, hold.hold.seq, hold.hold.attempt, hold.hold.lease);
    let offered = hand_over.as_ref().map(|offer| offer.lease);
    let costs = hold.hold.costs();
    let mut finish = Finish { run, seq, attempt, lease, outcome, hand_over, costs };
    crash_point!(WorkerFinishBefore);
    let mut end = calls::finish(core, session, &finish).await;
    if let FinishEnd::Rejected(error) = &end {
        // Given up silently the step would be taken back and done again, and be rejected again, without end.
        tracing::warn!(%run, %seq, %attempt, %error, "the result was rejected and becomes a failure");
        finish.outcome = Outcome::Fail { error: failure("result_rejected", error) };
        end = calls::finish(core, session, &finish).await;
    }
    match end {
        FinishEnd::Accepted(next) => {
            crash_point!(WorkerFinishAfter);
            meter::finished("accepted");
            let next = next?;
            if offered != Some(next.lease) {
                tracing::error!(%run, next = %next.run, lease = %next.lease, "a step was handed over that was not asked for");
                return None;
            }
            meter::handed_over();
            return Some(next);
        }
        FinishEnd::Refused { why } => {
            meter::finished("refused");
            tracing::info!(%run, %seq, %attempt, why, "finish refused, the result is dropped");
        }
        FinishEnd::Rejected(error) => {
            meter::finished("rejected");
            tracing::error!(%run, %seq, %attempt, %error, "finish rejected, the result is dropped");
        }
        FinishEnd::Dropped => {
            meter::finished("dropped");
            tracing::info!(%run, %seq, %attempt, "the session ended, the result is dropped");
        }
    }
    None
}

fn refusal_word(why: ClaimRefusal) -> &'static str {
    match why {
        ClaimRefusal::Stale => "stale",
        ClaimRefusal::Gated => "gated",
        ClaimRefusal::SessionEnded => "session_ended",
    }
}
