//! What a worker asks of engines, again until it is answered, and what must be true of each answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use valet_core::Payload;
use valet_core::command::{Command, FinishStep, GrantedStep, HandOverOffer, Reply};
use valet_core::id::{Attempt, LeaseId, RunId, Seq};
use valet_core::step::Outcome;
use valet_core::transition::StepState;
use valet_engine::executor::CommandError;
use valet_engine::store::{ClaimVerdict, LeaseStore, SessionClaim};

use super::{Held, Worker};
use crate::model::audit::StepKey;
use crate::outside::ledger::SaidEnd;
use crate::world::Violation;

/// Requests for one claim before the worker gives it up and lists its lease no more.
const CLAIMS_MAX: u32 = 3;
/// Requests for one `begin` before the worker leaves the effect alone.
const BEGINS_MAX: u32 = 3;
/// Requests for one finish; a lease ends long before.
const FINISHES_MAX: u32 = 40;

/// A finish on its way.
pub(super) struct Finish<'a> {
    pub step: &'a GrantedStep,
    pub place: &'a str,
    pub outcome: Outcome,
    pub end: SaidEnd,
    /// The worker would take the next step along.
    pub offers: bool,
}

impl Worker {
    /// Rendezvous with the engine that likely holds the run, another one at the next try.
    fn engine_for(&self, run: RunId, round: u32) -> usize {
        (usize::from(run.0.as_bytes()[9]) + round as usize) % self.fleet.len()
    }

    /// Claims what a ticket names; `None`: refused, or never answered.
    pub(super) async fn claim(
        &self,
        run: RunId,
        seq: Seq,
        attempt: Attempt,
        lease: LeaseId,
    ) -> Option<Box<GrantedStep>> {
        for round in 0..CLAIMS_MAX {
            let claim = SessionClaim { session: self.state.lock().session, run, seq, attempt, lease };
            let verdict = self.ask_claim(claim, round).await;
            let Some(verdict) = verdict else { continue };
            if let ClaimVerdict::Granted { step, .. } = verdict {
                if !self.world.tables.lock().audit.was_granted((run, seq), attempt, lease) {
                    self.violated(run, format!("step {seq}: a claim was granted and is not committed"));
                }
                if self.world.strikes(self.world.knobs.worker.repeat) {
                    self.repeat_claim(claim, round).await;
                }
                let mut state = self.state.lock();
                // The session may have ended meanwhile, and all its leases with it.
                let held = state.held.get_mut(&lease)?;
                held.granted_at = Some(Instant::now());
                return Some(step);
            }
            self.refused_rightly((run, seq), lease, "claim");
            if self.world.strikes(self.world.knobs.worker.repeat * 0.3) {
                self.usurp(claim).await;
            }
            return None;
        }
        None
    }

    /// A worker that is wrong about its claim: what it was refused it finishes all the same.
    async fn usurp(&self, claim: SessionClaim) {
        let command = Command::Finish(Box::new(FinishStep {
            seq: claim.seq,
            attempt: claim.attempt,
            lease: claim.lease,
            session: claim.session,
            outcome: Outcome::Done { output: Payload::null() },
            hand_over: None,
            costs: Vec::new(),
        }));
        let at = (claim.run, claim.seq);
        self.world.ledger.lock().send(at, claim.attempt, claim.lease);
        let accepted = matches!(self.ask_command(claim.run, command, 0).await, Some(Ok(_)));
        // A claim may have been granted without its answer, and refused when it was repeated: the run closes meanwhile.
        if accepted && !self.world.tables.lock().audit.was_granted(at, claim.attempt, claim.lease) {
            self.violated(claim.run, format!("step {}: a finish without a grant was accepted", claim.seq));
        }
    }

    async fn ask_claim(&self, claim: SessionClaim, round: u32) -> Option<ClaimVerdict> {
        let place = self.engine_for(claim.run, round);
        let verdict = self.fleet.ask(place, |engine| async move { engine.claim(claim).await }).await;
        self.thaw().await;
        verdict.flatten()
    }

    async fn repeat_claim(&self, claim: SessionClaim, round: u32) {
        if let Some(ClaimVerdict::Stale) = self.ask_claim(claim, round + 1).await {
            self.refused_rightly((claim.run, claim.seq), claim.lease, "repeated claim");
        }
    }

    /// Asks whether the effect may begin; `None`: not known.
    pub(super) async fn begin(&self, step: &GrantedStep, place: &str) -> Option<bool> {
        self.world.ledger.lock().begin(place);
        for round in 0..BEGINS_MAX {
            let claim = SessionClaim {
                session: self.state.lock().session,
                run: step.run,
                seq: step.seq,
                attempt: step.attempt,
                lease: step.lease,
            };
            let place = self.engine_for(step.run, round);
            let begun = self.fleet.ask(place, |engine| async move { engine.store.begin_effect(&claim).await }).await;
            self.thaw().await;
            if let Some(Ok(begun)) = begun {
                return Some(begun);
            }
        }
        None
    }

    /// Says how an attempt ended until somebody takes or refuses it; answers the step that was handed over.
    pub(super) async fn finish(&self, finish: Finish<'_>) -> Option<GrantedStep> {
        let Finish { step, place, outcome, end, offers } = finish;
        let at = (step.run, step.seq);
        let offer = self.offer(step, offers);
        let session = self.state.lock().session;
        let said = self.world.ledger.lock().say(place, at, step.attempt, step.lease, end);
        let command = Command::Finish(Box::new(FinishStep {
            seq: step.seq,
            attempt: step.attempt,
            lease: step.lease,
            session,
            outcome,
            hand_over: offer.clone(),
            costs: Vec::new(),
        }));
        let mut next = None;
        for round in 0..FINISHES_MAX {
            let answer = self.ask_command(step.run, command.clone(), round).await;
            match answer {
                Some(Ok(Reply::Finished { handed_over })) => {
                    self.finish_was_taken(step, place, said);
                    if self.world.strikes(self.world.knobs.worker.repeat) {
                        self.repeat_finish(step, command.clone(), round).await;
                    }
                    next = handed_over.map(|granted| *granted);
                    self.handed_over_rightly(next.as_ref());
                    break;
                }
                Some(Ok(Reply::Done | Reply::Repeated | Reply::Ignored)) => {
                    self.violated(step.run, format!("step {}: a finish was answered like a signal", step.seq));
                    break;
                }
                Some(Err(CommandError::Rejected(_) | CommandError::NotFound | CommandError::NotStarted)) => {
                    self.refused_rightly(at, step.lease, "finish");
                    break;
                }
                Some(Err(_)) | None => self.pause(round).await,
            }
        }
        self.settle_offer(offer.as_ref(), next)
    }

    fn offer(&self, step: &GrantedStep, offers: bool) -> Option<HandOverOffer> {
        let lease = LeaseId(self.world.uuid());
        let mut state = self.state.lock();
        let offer = HandOverOffer { lease, session: state.session, queue: step.policy.queue.clone() };
        offers.then(|| {
            state.held.insert(lease, Held::default());
            offer
        })
    }

    /// What was not handed over is not held. A worker whose session ended meanwhile drops what it is handed.
    fn settle_offer(&self, offer: Option<&HandOverOffer>, next: Option<GrantedStep>) -> Option<GrantedStep> {
        let offer = offer?;
        let mut state = self.state.lock();
        if next.is_none() {
            state.held.remove(&offer.lease);
        }
        let held = state.held.get_mut(&offer.lease)?;
        held.granted_at = Some(Instant::now());
        next
    }

    async fn ask_command(&self, run: RunId, command: Command, round: u32) -> Option<Result<Reply, CommandError>> {
        let place = self.engine_for(run, round);
        let answer = self.fleet.ask(place, |engine| async move { engine.command(run, command).await }).await;
        self.thaw().await;
        answer
    }

    fn finish_was_taken(&self, step: &GrantedStep, place: &str, said: usize) {
        let at = (step.run, step.seq);
        if !self.world.tables.lock().audit.has_ended(at, step.attempt, step.lease) {
            let text =
                format!("step {} attempt {}: a finish was answered and is not committed", step.seq, step.attempt);
            self.violated(step.run, text);
        }
        self.world.ledger.lock().taken(place, said);
    }

    /// The same lease gets the same answer.
    async fn repeat_finish(&self, step: &GrantedStep, command: Command, round: u32) {
        let answer = self.ask_command(step.run, command, round + 1).await;
        if let Some(Err(CommandError::Rejected(why))) = answer {
            let text = format!("step {}: a repeated finish did not get its first answer: {why}", step.seq);
            self.violated(step.run, text);
        }
    }

    fn handed_over_rightly(&self, next: Option<&GrantedStep>) {
        let Some(next) = next else { return };
        if !self.world.tables.lock().audit.was_granted((next.run, next.seq), next.attempt, next.lease) {
            self.violated(next.run, format!("step {}: it was handed over and is not granted", next.seq));
        }
    }

    async fn pause(&self, round: u32) {
        let ms = u64::from(round.min(5)) * 60 + 20;
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.thaw().await;
    }

    /// Nobody may be refused under a lease that the database still holds for him.
    fn refused_rightly(&self, at: StepKey, lease: LeaseId, what: &str) {
        let tables = self.world.tables.lock();
        let held = tables.steps.get(&at).is_some_and(|record| {
            record.lease.is_some_and(|held| held.id == lease) && record.state != StepState::Stopping
        });
        drop(tables);
        if held {
            self.violated(at.0, format!("step {}: a {what} was refused though the lease is held", at.1));
        }
    }

    pub(super) fn violated(&self, run: RunId, text: String) {
        Arc::clone(&self.world).violated(Violation { run: Some(run), text });
    }
}
