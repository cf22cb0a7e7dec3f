//! Invariants watched at every commit and claim (engine/README.md, invariants), and what later checks need to know of the past.

use std::collections::{BTreeMap, HashMap, HashSet};

use valet_core::Timestamp;
use valet_core::command::InboxMessage;
use valet_core::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use valet_core::journal::{ClosePolicy, Entry, HumanOutcome, Op, Resolution, StuckReason};
use valet_core::run::Status;
use valet_core::transition::{OutboxRow, StepChange, Transition};

use super::limits_audit::LimitsAudit;
use super::{Lease, StepRecord, Tables};
use crate::outside::ledger::Ledger;
use crate::program::PANIC;
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
    /// Children whose end their parent waits for: by the call, the call that started it, and whether it may be left.
    children: HashMap<RunId, BTreeMap<Seq, (Seq, ClosePolicy)>>,
    /// Fan-outs: how many children were started, and whether they may be left.
    fans: HashMap<StepKey, (u32, ClosePolicy)>,
    /// Children of a fan-out whose ends a fork has from the other run: it starts them no more, in whichever transition.
    known_ends: HashSet<(RunId, Seq)>,
    /// The calls that started children with keys.
    keyed: HashMap<(RunId, String), Seq>,
    /// The finalizer that a closing run is at.
    finalizing: HashMap<RunId, Seq>,
    /// When a run's pause was last lifted.
    unpaused_at: HashMap<RunId, Timestamp>,
    /// Runs of which anything was granted.
    begun: HashSet<RunId>,
    pub(super) limits: LimitsAudit,
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
        self.begun.insert(at.0);
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

    pub(super) fn was_any_granted(&self, run: RunId) -> bool {
        self.begun.contains(&run)
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
        let earlier = self.journal.get(&run).and_then(|journal| journal.last()).map(|last| last.chunk.at);
        if earlier.is_some_and(|earlier| transition.chunk.at < earlier) {
            self.audit.complain(run, "the run's time goes back".to_owned());
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
        self.audit_children(transition);
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
        let dropped = |entry: &Entry| match entry {
            Entry::Dropped { seq } => *seq == at.1,
            Entry::Killed { .. } => true,
            _ => false,
        };
        self.is_lost(lease, now)
            || record.missed >= 2
            || ledger.finish_was_sent(at, record.attempt, lease.id)
            || transition.chunk.entries.iter().any(dropped)
    }

    fn audit_entries(&mut self, transition: &Transition, now: Timestamp) {
        let run = transition.run();
        // What was copied from another run was granted and accepted there.
        let copied = transition.chunk.entries.iter().position(|entry| matches!(entry, Entry::Forked { .. }));
        for entry in &transition.chunk.entries[copied.unwrap_or(0)..] {
            match entry {
                Entry::Resolved { seq, with } | Entry::Held { seq, with } => self.audit_resolution(run, *seq, with),
                Entry::SignalKept { name, key, .. } => self.audit_signal(run, name, key),
                Entry::CancelRequested { by, reason } => self.audit_cancel(run, by, reason),
                Entry::Unpaused { .. } => drop(self.audit.unpaused_at.insert(run, now)),
                Entry::FinalizerStarted { seq, .. } => {
                    let before = self.audit.finalizing.insert(run, *seq);
                    if before.is_some_and(|before| before <= *seq) {
                        self.audit
                            .complain(run, format!("finalizer {seq} runs after {before:?}, registered before it"));
                    }
                }
                Entry::Stuck { why } if !self.may_be_stuck(transition, why) => {
                    self.audit.complain(run, format!("the run is stuck: {}", why.explain(run)));
                }
                _ => {}
            }
        }
    }

    /// Only code that breaks by itself may be stuck.
    fn may_be_stuck(&self, transition: &Transition, why: &StuckReason) -> bool {
        let breaks = |entry: &Entry| match entry {
            Entry::Started { input, .. } => input.as_str().contains("\"break\""),
            _ => false,
        };
        let first = self.journal.get(&transition.run()).and_then(|journal| journal.first());
        let chunk = first.map_or(&transition.chunk, |first| &first.chunk);
        chunk.entries.iter().any(breaks)
            && match why {
                StuckReason::Panicked { message } => message == PANIC,
                StuckReason::ForeignAwait => true,
                _ => false,
            }
    }

    fn audit_signal(&mut self, run: RunId, name: &str, key: &str) {
        if !self.audit.signals.insert((run, name.to_owned(), key.to_owned())) {
            self.audit.complain(run, format!("signal {name}/{key} was kept twice"));
        }
    }

    /// A child that nobody waits for any more is told to stop, in the very commit that lets it go.
    fn audit_children(&mut self, transition: &Transition) {
        let run = transition.run();
        let Audit { children, keyed, fans, known_ends, .. } = &mut self.audit;
        let open = children.entry(run).or_default();
        let mut let_go: Vec<Seq> = Vec::new();
        for entry in &transition.chunk.entries {
            match entry {
                // What the other run let go of was the other run's.
                Entry::Forked { .. } => let_go.clear(),
                Entry::Op { seq, op: Op::FanOut { on_close, .. } } => {
                    fans.insert((run, *seq), (0, *on_close));
                }
                Entry::ChildrenStarted { seq, to } => {
                    let Some((started, on_close)) = fans.get_mut(&(run, *seq)) else { continue };
                    let known = |child: &Seq| known_ends.contains(&(run, *child));
                    let children = (*started..*to).map(|place| Seq(seq.0 + place)).filter(|child| !known(child));
                    open.extend(children.map(|child| (child, (child, *on_close))));
                    *started = *to;
                }
                Entry::Resolved { seq, with: Resolution::ChildrenEnded { ends } }
                | Entry::Held { seq, with: Resolution::ChildrenEnded { ends } } => {
                    for (place, _) in ends {
                        let child = Seq(seq.0 + place);
                        if open.remove(&child).is_none() {
                            known_ends.insert((run, child));
                        }
                    }
                }
                // A program's fan-outs are stopped in one chunk.
                Entry::Dropped { seq } if fans.contains_key(&(run, *seq)) => {
                    let Some((started, on_close)) = fans.remove(&(run, *seq)) else { continue };
                    for child in (0..started).map(|place| Seq(seq.0 + place)) {
                        let lived = open.remove(&child).is_some();
                        let_go.extend((lived && on_close == ClosePolicy::Cancel).then_some(child));
                    }
                }
                Entry::Op { seq, op: Op::Child { key, on_close, .. } } => {
                    let started_at = match key {
                        Some(key) => *keyed.entry((run, key.clone())).or_insert(*seq),
                        None => *seq,
                    };
                    open.insert(*seq, (started_at, *on_close));
                }
                Entry::Resolved { seq, with: Resolution::ChildEnded { .. } }
                | Entry::Held { seq, with: Resolution::ChildEnded { .. } } => drop(open.remove(seq)),
                Entry::Dropped { seq } => {
                    if let Some((started_at, on_close)) = open.remove(seq)
                        && !open.values().any(|(other, _)| *other == started_at)
                    {
                        keyed.retain(|(of, _), first| *of != run || *first != started_at);
                        let_go.extend((on_close == ClosePolicy::Cancel).then_some(started_at));
                    }
                }
                Entry::Closing { .. } => {
                    open.retain(|_, (_, on_close)| *on_close == ClosePolicy::Cancel);
                    let_go.extend(open.values().map(|(started_at, _)| *started_at));
                }
                _ => {}
            }
        }
        for seq in let_go {
            let told =
                |row: &OutboxRow| row.to == run.child(seq) && matches!(row.message, InboxMessage::CancelChild { .. });
            if !transition.outbox.iter().any(told) {
                self.audit.complain(run, format!("child {seq} was let go and not told to stop"));
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
                // What the sweep ended carries no lease.
                if lease.is_some_and(|lease| !self.audit.was_granted((run, seq), *attempt, lease)) {
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
            if let Entry::FinalizerStarted { seq, .. } = entry {
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
        let reason = transition.row.reason.as_ref().and_then(|reason| serde_json::to_string(reason).ok());
        if reason.is_some_and(|text| text.contains("\\u0000")) {
            self.audit.complain(run, "a stored reason cannot be read as jsonb".to_owned());
        }
        let left = self.steps_of(run).next().is_some()
            || self.timers.range((run, Seq(0))..=(run, Seq(u32::MAX))).next().is_some();
        if transition.ended() && left {
            self.audit.complain(run, "the run ended and left rows in live tables".to_owned());
        }
    }

    /// Whoever is granted a step has its labels, and is the worker that it wants.
    pub(super) fn audit_place(&mut self, at: StepKey, session: SessionId) {
        let Some(record) = self.steps.get(&at) else { return };
        let text = if !self.has_labels(session, &record.labels) {
            format!("step {} was granted to a worker without its labels", at.1)
        } else if record.wants.is_some_and(|wanted| wanted != session) {
            format!("step {} was granted to another worker than it wants", at.1)
        } else {
            return;
        };
        self.audit.complain(at.0, text);
    }

    /// A step is granted, by a claim or by a hand-over.
    pub(super) fn audit_grant(&mut self, run: RunId, seq: Seq) {
        let closing = self.runs.get(&run).is_some_and(|r| r.row.status == Status::Closing);
        if closing && !self.audit.finalizing.contains_key(&run) {
            self.audit.complain(run, format!("step {seq} was granted while its run closes"));
        }
        let paused = self.runs.get(&run).is_some_and(|r| r.row.paused && r.row.status != Status::Closing);
        if paused {
            self.audit.complain(run, format!("step {seq} was granted while its run is paused"));
        }
    }
}
