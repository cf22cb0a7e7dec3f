//! `open_session.sql`, `close_session.sql`, `claim.sql`, `heartbeat.sql`, `begin_effect.sql`, `extend_sessions.sql`.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use valet_core::Timestamp;
use valet_core::command::GrantedStep;
use valet_core::id::{LeaseId, RunId, Seq, SessionId};
use valet_core::transition::StepState;
use valet_engine::store::{Beat, BeatAnswer, ClaimVerdict, NewSession, SessionClaim, SessionKind};

use super::{Lease, SessionRecord, StepRecord, Tables};
use crate::variant::BrokenVariant;

impl Tables {
    pub fn open_session(&mut self, session: &NewSession, now: Timestamp) {
        let record = SessionRecord {
            kind: session.kind,
            name: session.name.clone(),
            queues: session.queues.clone(),
            labels: serde_json::from_value(session.labels.clone()).unwrap_or_default(),
            slots: session.slots,
            free_slots: session.slots,
            draining: false,
            opened_at: now,
            seen_at: now,
            expires_at: now + session.lease,
            swept: false,
        };
        if self.sessions.insert(session.id, record).is_some() {
            self.audit.complain(None, format!("session {} was opened twice", session.id));
        }
    }

    pub fn close_session(&mut self, session: SessionId) {
        if let Some(record) = self.sessions.get_mut(&session) {
            record.expires_at = Timestamp::MIN_UTC;
        }
    }

    /// `loses` is asked about each grant: only a broken store answers one that it does not keep.
    pub fn claim(
        &mut self,
        claims: &[SessionClaim],
        now: Timestamp,
        mut loses: impl FnMut() -> bool,
    ) -> Vec<ClaimVerdict> {
        // Two tickets of one step may be claimed in one batch: the lowest lease wins.
        let mut chosen: BTreeMap<(RunId, Seq), &SessionClaim> = BTreeMap::new();
        for claim in claims.iter().filter(|claim| self.session_lives(claim.session, now)) {
            let best = chosen.entry((claim.run, claim.seq)).or_insert(claim);
            if claim.lease < best.lease {
                *best = claim;
            }
        }
        let mut granted: HashMap<(RunId, Seq), LeaseId> = HashMap::new();
        for (at, claim) in chosen {
            let Some(record) = self.steps.get(&at) else { continue };
            let is_held = record.state != StepState::Ready
                && !(record.state == StepState::Running && self.is_broken(BrokenVariant::GrantTwice));
            let is_gated = record.gated && !self.is_broken(BrokenVariant::IgnoreGate);
            let is_others = record.wants.is_some_and(|wanted| wanted != claim.session)
                || !self.has_labels(claim.session, &record.labels);
            let is_others = is_others && !self.is_broken(BrokenVariant::IgnoreLabels);
            let is_paused = (self.holds_step(claim.run, &record.queue) || self.holds_worker(claim.session))
                && !self.is_broken(BrokenVariant::IgnoreScopePause);
            if record.attempt != claim.attempt || is_held || is_gated || is_others || is_paused {
                continue;
            }
            granted.insert(at, claim.lease);
            if !loses() {
                self.grant(claim, now);
            }
        }
        self.audit_limits();
        claims.iter().map(|claim| self.verdict(claim, granted.get(&(claim.run, claim.seq)), now)).collect()
    }

    fn grant(&mut self, claim: &SessionClaim, now: Timestamp) {
        let at = (claim.run, claim.seq);
        let Some(record) = self.steps.get_mut(&at) else { return };
        let deadline = now + chrono::TimeDelta::milliseconds(record.timeout_ms as i64);
        record.state = StepState::Running;
        record.lease = Some(Lease { id: claim.lease, session: claim.session, granted_at: now, deadline });
        record.ticketed_at = None;
        record.missed = 0;
        self.audit.granted(at, claim.attempt, claim.lease, claim.session);
        self.audit_grant(claim.run, claim.seq);
        self.audit_place(at, claim.session);
        self.audit_pauses(claim.run, claim.seq, claim.session);
    }

    fn verdict(&self, claim: &SessionClaim, granted: Option<&LeaseId>, now: Timestamp) -> ClaimVerdict {
        let at = (claim.run, claim.seq);
        let record = self.steps.get(&at);
        let holds = record.is_some_and(|record| {
            record.lease.is_some_and(|lease| lease.id == claim.lease)
                && record.attempt == claim.attempt
                && record.state == StepState::Running
        });
        let (Some(record), true) = (record, holds || granted == Some(&claim.lease)) else {
            return match record {
                _ if !self.session_lives(claim.session, now) => ClaimVerdict::SessionEnded,
                // What another was granted just now is stale, whatever holds the one who asked too.
                Some(record)
                    if record.gated
                        || granted.is_none()
                            && (self.holds_step(claim.run, &record.queue) || self.holds_worker(claim.session)) =>
                {
                    ClaimVerdict::Gated
                }
                _ => ClaimVerdict::Stale,
            };
        };
        match self.granted_step(claim, record) {
            Some(step) => ClaimVerdict::Granted { step: Box::new(step), progress: None },
            None => ClaimVerdict::Stale,
        }
    }

    fn granted_step(&self, claim: &SessionClaim, record: &StepRecord) -> Option<GrantedStep> {
        let op = self.ops.get(&(claim.run, claim.seq))?.as_ref().clone();
        let identity = &self.runs.get(&claim.run)?.identity;
        Some(GrantedStep {
            run: claim.run,
            seq: claim.seq,
            attempt: claim.attempt,
            lease: claim.lease,
            tenant: identity.tenant.clone(),
            subject: identity.subject.clone(),
            workflow: identity.workflow.clone(),
            name: record.name.clone(),
            input: op.input,
            policy: valet_core::StepPolicy { queue: record.queue.clone(), ..op.policy },
            remembers: op.remembers,
        })
    }

    pub fn heartbeat(&mut self, beat: &Beat, now: Timestamp) -> BeatAnswer {
        let alive = self.session_lives(beat.session, now);
        if let Some(record) = self.sessions.get_mut(&beat.session).filter(|_| alive) {
            record.seen_at = now;
            record.expires_at = now + beat.lease;
            record.free_slots = beat.free_slots;
            record.draining = beat.draining;
        }
        let reported = |lease: LeaseId| beat.progress.iter().any(|progress| progress.lease == lease);
        let paused = self.holds_worker(beat.session);
        let mut answer = BeatAnswer { alive, paused, ..BeatAnswer::default() };
        for record in self.steps.values_mut() {
            let Some(lease) = record.lease.filter(|lease| lease.session == beat.session) else { continue };
            let listed = beat.held.contains(&lease.id);
            if listed && record.state == StepState::Running {
                answer.keep.insert(lease.id);
            }
            if reported(lease.id) {
                continue;
            }
            if listed {
                record.missed = 0;
            } else if record.missed < 3 && lease.granted_at < now - chrono::TimeDelta::seconds(2) {
                record.missed += 1;
            }
        }
        answer
    }

    pub fn begin_effect(&mut self, claim: &SessionClaim, now: Timestamp) -> bool {
        let lives = self.session_lives(claim.session, now);
        let key = (claim.run, claim.seq);
        let is_paused = self.steps.get(&key).is_some_and(|record| self.holds_step(claim.run, &record.queue));
        let Some(record) = self.steps.get_mut(&key).filter(|_| !is_paused) else { return false };
        let held = record
            .lease
            .is_some_and(|lease| lease.id == claim.lease && lease.session == claim.session && lease.deadline > now);
        let may =
            lives && held && record.attempt == claim.attempt && record.state == StepState::Running && !record.gated;
        record.effect_begun |= may;
        may
    }

    pub fn extend_sessions(&mut self, lease: Duration, now: Timestamp) -> u64 {
        let lived = |record: &&SessionRecord| record.seen_at > record.opened_at + chrono::TimeDelta::seconds(3);
        let engines = self.sessions.values().filter(|record| record.kind == SessionKind::Engine).filter(lived);
        let began = engines.map(|record| record.seen_at).max().unwrap_or(Timestamp::MIN_UTC);
        if began >= now - chrono::TimeDelta::seconds(3) {
            return 0;
        }
        let mut extended = 0;
        for record in self.sessions.values_mut() {
            if record.kind == SessionKind::Worker && !record.swept && record.expires_at > began {
                record.expires_at = record.expires_at.max(now + lease);
                extended += 1;
            }
        }
        extended
    }
}
