//! Invariants watched at every commit and claim (DESIGN §3), and what later checks need to know of the past.

use std::collections::{HashMap, HashSet};

use valet_core::Timestamp;
use valet_core::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use valet_core::journal::{Entry, HumanOutcome, Resolution};
use valet_core::run::Status;
use valet_core::transition::{StepChange, Transition};

use super::{Lease, StepRecord, Tables};
use crate::outside::ledger::Ledger;
use crate::world::Violation;

/// A step of a run.
pub(crate) type StepKey = (RunId, Seq);

/// What was committed, as far as invariants need it.
#[derive(Default)]
pub(crate) struct Audit {
    complaints: Vec<Violation>,
    granted: HashSet<(StepKey, Attempt, LeaseId)>,
    grants: HashMap<StepKey, u32>,
    /// Leases whose attempt ended by what their worker said, or by a sweep.
    ended: HashSet<(StepKey, Attempt, LeaseId)>,
    accepted: HashMap<StepKey, u32>,
    signals: HashSet<(RunId, String, String)>,
    answers: HashSet<(RunId, Seq, String)>,
    /// When a run's pause was last lifted.
    unpaused_at: HashMap<RunId, Timestamp>,
}

impl Audit {
    pub fn complain(&mut self, run: impl Into<Option<RunId>>, text: String) {
        self.complaints.push(Violation { run: run.into(), text });
    }

    pub fn take_complaints(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.complaints)
    }

    pub fn granted(&mut self, at: StepKey, attempt: Attempt, lease: LeaseId, _session: SessionId) {
        self.granted.insert((at, attempt, lease));
        *self.grants.entry(at).or_default() += 1;
    }

    pub fn was_granted(&self, at: StepKey, attempt: Attempt, lease: LeaseId) -> bool {
        self.granted.contains(&(at, attempt, lease))
    }

    /// The attempt of this lease has ended in a commit.
    pub fn has_ended(&self, at: StepKey, attempt: Attempt, lease: LeaseId) -> bool {
        self.ended.contains(&(at, attempt, lease))
    }

    pub fn grants(&self, at: StepKey) -> u32 {
        self.grants.get(&at).copied().unwrap_or_default()
    }

    pub fn kept_signal(&self, run: RunId, name: &str, key: &str) -> bool {
        self.signals.contains(&(run, name.to_owned(), key.to_owned()))
    }

    pub fn kept_answer(&self, run: RunId, seq: Seq, key: &str) -> bool {
        self.answers.contains(&(run, seq, key.to_owned()))
    }

    pub fn unpaused_at(&self, run: RunId) -> Option<Timestamp> {
        self.unpaused_at.get(&run).copied()
    }
}

impl Tables {
    /// What the transition does to the rows as they are before it.
    pub(super) fn audit_before(&mut self, transition: &Transition, ledger: &Ledger, now: Timestamp) {
        let run = transition.run();
        let before = self.runs.get(&run).map_or(0, |record| record.revision);
        if transition.chunk.revision != before + 1 {
            let text = format!("revision {} follows {before}", transition.chunk.revision);
            self.audit.complain(run, text);
        }
        for change in &transition.steps {
            let (StepChange::Update(_) | StepChange::Delete { .. }) = change else { continue };
            let seq = super::commit::seq_of(change);
            let Some(record) = self.steps.get(&(run, seq)) else { continue };
            let Some(lease) = record.lease else { continue };
            let key = ((run, seq), record.attempt, lease.id);
            if !self.lease_may_end(transition, (run, seq), record, &lease, ledger, now) {
                let text = format!("step {seq} attempt {}: taken from a worker that holds its lease", key.1);
                self.audit.complain(run, text);
            }
            self.audit.ended.insert(key);
        }
        self.audit_entries(transition, now);
    }

    /// A live lease ends only by what its worker says, or because the code no longer wants the step.
    fn lease_may_end(
        &self,
        transition: &Transition,
        at: StepKey,
        record: &StepRecord,
        lease: &Lease,
        ledger: &Ledger,
        now: Timestamp,
    ) -> bool {
        let dropped = |entry: &Entry| matches!(entry, Entry::Dropped { seq } if *seq == at.1);
        self.is_lost(lease, now)
            || record.missed >= 2
            || ledger.finish_was_sent(at, record.attempt, lease.id)
            || transition.chunk.entries.iter().any(dropped)
    }

    fn audit_entries(&mut self, transition: &Transition, now: Timestamp) {
        let run = transition.run();
        for entry in &transition.chunk.entries {
            match entry {
                Entry::Resolved { seq, with } | Entry::Held { seq, with } => self.audit_resolution(run, *seq, with),
                Entry::SignalKept { name, key, .. } => {
                    if !self.audit.signals.insert((run, name.clone(), key.clone())) {
                        self.audit.complain(run, format!("signal {name}/{key} was kept twice"));
                    }
                }
                Entry::Unpaused { .. } => drop(self.audit.unpaused_at.insert(run, now)),
                Entry::Stuck { why } => {
                    self.audit.complain(run, format!("the run is stuck: {}", why.explain(run)));
                }
                _ => {}
            }
        }
    }

    fn audit_resolution(&mut self, run: RunId, seq: Seq, with: &Resolution) {
        match with {
            Resolution::StepDone { attempt, lease, .. } | Resolution::StepFailed { attempt, lease, .. } => {
                let accepted = self.audit.accepted.entry((run, seq)).or_default();
                *accepted += 1;
                if *accepted > 1 {
                    let text = format!("step {seq}: {accepted} results were accepted");
                    self.audit.complain(run, text);
                }
                if lease.is_none_or(|lease| !self.audit.was_granted((run, seq), *attempt, lease)) {
                    self.audit.complain(run, format!("step {seq}: a result without a grant was accepted"));
                }
            }
            Resolution::Human(HumanOutcome::Answered { key, .. } | HumanOutcome::Rejected { key, .. }) => {
                self.audit.answers.insert((run, seq, key.clone()));
            }
            _ => {}
        }
    }

    /// What the rows look like after the transition.
    pub(super) fn audit_after(&mut self, transition: &Transition, now: Timestamp) {
        let run = transition.run();
        for entry in &transition.chunk.entries {
            if let Entry::FinalizerStarted { seq } = entry {
                let held = |(other, record): &(Seq, &StepRecord)| {
                    other != seq && record.lease.is_some_and(|lease| !self.is_lost(&lease, now))
                };
                let holder = self.steps_of(run).find(held).map(|(other, _)| other);
                if let Some(other) = holder {
                    let text = format!("finalizer {seq} starts while a worker holds step {other}");
                    self.audit.complain(run, text);
                }
            }
        }
        let left = self.steps_of(run).next().is_some()
            || self.timers.range((run, Seq(0))..=(run, Seq(u32::MAX))).next().is_some();
        if transition.ended() && left {
            self.audit.complain(run, "the run ended and left rows in live tables".to_owned());
        }
    }

    pub(super) fn audit_grant(&mut self, run: RunId, seq: Seq) {
        let paused = self.runs.get(&run).is_some_and(|r| r.row.paused && r.row.status != Status::Closing);
        if paused {
            self.audit.complain(run, format!("step {seq} was granted while its run is paused"));
        }
    }
}
