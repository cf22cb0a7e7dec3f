//! `commit.sql`: many runs' transitions, each as a whole or not at all.

use std::collections::HashSet;
use std::sync::Arc;

use valet_core::Timestamp;
use valet_core::id::{RunId, Seq};
use valet_core::journal::{Entry, Op, StepOp};
use valet_core::transition::{Fence, StepChange, StepRow, StepState, TaskChange, TimerChange, Transition};
use valet_engine::store::CommitBatch;

use super::limits_audit::Need;
use super::{Committed, Lease, Mail, RunRecord, StepRecord, Tables, TaskRecord};
use crate::outside::ledger::Ledger;
use crate::variant::BrokenVariant;

impl Tables {
    /// A value that a column of Postgres refuses: then the whole statement fails (SQLSTATE 22021).
    pub fn refuses(batch: &CommitBatch) -> bool {
        batch.transitions.iter().any(|transition| {
            let row = &transition.row;
            let texts = [row.status_line.as_deref(), row.error_code.as_deref()];
            let opened = transition.tasks.iter().filter_map(|change| match change {
                TaskChange::Open(task) => Some(task.spec.reason.as_str()),
                TaskChange::Close { .. } => None,
            });
            texts.into_iter().flatten().chain(opened).any(|text| text.contains('\0'))
        })
    }

    /// Commits what can be. `loses` is asked about each message between runs: only a broken store loses any.
    pub fn commit(
        &mut self,
        batch: &CommitBatch,
        now: Timestamp,
        ledger: &Ledger,
        mut loses: impl FnMut() -> bool,
    ) -> HashSet<RunId> {
        if let Some(before) = self.batches.get(&batch.id) {
            return before.clone();
        }
        let keyed = self.take_keys(batch);
        // All is judged by what was there before the statement.
        let ok: Vec<&Transition> =
            batch.transitions.iter().map(|t| &**t).filter(|t| self.may_commit(t, &keyed, now)).collect();
        for transition in &ok {
            self.audit_before(transition, ledger, now);
        }
        let slots = self.new_slots(&ok);
        for transition in &ok {
            self.apply(transition, &batch.backlogged, now, &mut loses);
        }
        for (at, slot) in slots {
            let need = Need { key: slot.key.clone(), of_run: slot.of_run, since: slot.since };
            self.audit.limits.needed.entry((at.0, at.1)).or_default().push(need);
            self.slots.insert(at, slot);
        }
        self.audit_limits();
        let committed: HashSet<RunId> = ok.iter().map(|t| t.run()).collect();
        self.batches.insert(batch.id, committed.clone());
        committed
    }

    /// What the same statement would answer, without carrying it out.
    pub fn would_commit(&self, batch: &CommitBatch, now: Timestamp) -> HashSet<RunId> {
        let keyed: HashSet<RunId> = batch.transitions.iter().map(|t| t.run()).collect();
        batch.transitions.iter().filter(|t| self.may_commit(t, &keyed, now)).map(|t| t.run()).collect()
    }

    fn take_keys(&mut self, batch: &CommitBatch) -> HashSet<RunId> {
        let mut keyed = HashSet::new();
        for transition in &batch.transitions {
            let Some(key) = transition.created.as_ref().and_then(|created| created.idempotency.as_ref()) else {
                continue;
            };
            let identity = &transition.identity;
            let row = (identity.tenant.clone(), identity.workflow.clone(), key.key.clone());
            if self.is_broken(BrokenVariant::TakeKeyTwice) {
                self.keys.insert(row, (transition.run(), key.request_hash));
                keyed.insert(transition.run());
            } else if let std::collections::btree_map::Entry::Vacant(vacant) = self.keys.entry(row) {
                vacant.insert((transition.run(), key.request_hash));
                keyed.insert(transition.run());
            }
        }
        keyed
    }

    fn may_commit(&self, transition: &Transition, keyed: &HashSet<RunId>, now: Timestamp) -> bool {
        let run = transition.run();
        let fits = match self.runs.get(&run) {
            Some(record) => !record.ended && transition.expect == record.revision,
            None => transition.created.as_ref().is_some_and(|created| {
                transition.expect == 0 && (created.idempotency.is_none() || keyed.contains(&run))
            }),
        };
        let mail = |(from, number): &(RunId, i64)| self.inbox.contains_key(&(run, *from, *number));
        let drops_fence = self.is_broken(BrokenVariant::DropFence);
        fits && transition.consumed.iter().all(mail)
            && (drops_fence || transition.fences.iter().all(|fence| self.holds(run, fence, now)))
            && transition.steps.iter().all(|change| self.may_hand_over(change))
            && (self.is_broken(BrokenVariant::HandOverHeld) || !self.grants_held(transition))
    }

    /// A step that is handed over goes to a worker with its labels.
    fn may_hand_over(&self, change: &StepChange) -> bool {
        let StepChange::Insert(row) = change else { return true };
        let to = row.grant.map(|(_, session)| session);
        to.is_none_or(|session| self.has_labels(session, &row.policy.required_labels))
    }

    /// A step that is handed over is granted: not while a pause holds it, or its worker.
    fn grants_held(&self, transition: &Transition) -> bool {
        transition.steps.iter().any(|change| match change {
            StepChange::Insert(row) | StepChange::Update(row) => row.grant.is_some_and(|(_, session)| {
                self.holds_step(transition.run(), &row.policy.queue) || self.holds_worker(session)
            }),
            StepChange::Stop { .. } | StepChange::Delete { .. } => false,
        })
    }

    fn holds(&self, run: RunId, fence: &Fence, now: Timestamp) -> bool {
        let Some(record) = self.steps.get(&(run, fence.seq())) else { return false };
        match fence {
            Fence::NotGranted { .. } => record.lease.is_none(),
            Fence::NotBegun { attempt, lease, .. } => {
                let held = record.lease.is_some_and(|held| held.id == *lease);
                held && record.attempt == *attempt && !record.effect_begun
            }
            Fence::Granted { attempt, lease, .. } => {
                record.lease.is_some_and(|held| held.id == *lease) && record.attempt == *attempt
            }
            Fence::HandsOver { attempt, lease, .. } => {
                let held = record.lease.filter(|held| held.id == *lease && self.session_lives(held.session, now));
                held.is_some() && record.attempt == *attempt
            }
            Fence::Lost { attempt, lease, effect_begun, .. } => {
                let lost = record.lease.is_some_and(|held| held.id == *lease && self.is_lost(&held, now));
                lost && record.attempt == *attempt && record.effect_begun == *effect_begun
            }
            Fence::Forgotten { attempt, lease, effect_begun, .. } => {
                let held = record.lease.is_some_and(|held| held.id == *lease);
                held && record.missed >= 2 && record.attempt == *attempt && record.effect_begun == *effect_begun
            }
        }
    }

    fn apply(
        &mut self,
        transition: &Transition,
        backlogged: &HashSet<String>,
        now: Timestamp,
        loses: &mut impl FnMut() -> bool,
    ) {
        let run = transition.run();
        self.write_run(transition);
        self.remember_ops(run, &transition.chunk.entries);
        self.journal
            .entry(run)
            .or_default()
            .push(Committed { chunk: transition.chunk.clone(), row: transition.row.clone() });
        if let Some(gated) = transition.gate {
            self.gate(transition, gated);
        }
        for change in &transition.steps {
            self.change_step(transition, change, backlogged, now);
        }
        for change in &transition.timers {
            match change {
                TimerChange::Set { seq, .. } if self.is_broken(BrokenVariant::LoseTimer) && seq.0 % 4 == 3 => {}
                TimerChange::Set { seq, at, unserved } => {
                    self.timers.insert((run, *seq), (*at, unserved.clone()));
                }
                TimerChange::Clear { seq } => drop(self.timers.remove(&(run, *seq))),
            }
        }
        for change in &transition.tasks {
            self.change_task(run, change);
        }
        for (from, number) in &transition.consumed {
            self.inbox.remove(&(run, *from, *number));
        }
        for row in &transition.outbox {
            if !loses() {
                let mail = Mail { message: row.message.clone(), sent_at: now };
                self.inbox.entry((row.to, run, row.number)).or_insert(mail);
            }
        }
        self.audit_after(transition, now);
    }

    fn write_run(&mut self, transition: &Transition) {
        let run = transition.run();
        let revision = transition.expect + 1;
        let ended = transition.ended();
        if let Some(record) = self.runs.get_mut(&run) {
            record.revision = revision;
            record.row = transition.row.clone();
            record.ended = ended;
            record.unserved = record.unserved.filter(|_| !ended);
            return;
        }
        let (identity, row) = (transition.identity.clone(), transition.row.clone());
        self.runs.insert(run, RunRecord { identity, revision, row, ended, unserved: None });
    }

    /// Where a claim finds its input: the chunk of the step, or the entry that registered the finalizer.
    fn remember_ops(&mut self, run: RunId, entries: &[Entry]) {
        for entry in entries {
            if matches!(entry, Entry::Forked { .. }) {
                let number = self.forks.len();
                self.forks.insert(run, number);
            }
            let (seq, op) = match entry {
                Entry::Op { seq, op: Op::Step(op) | Op::Finally(op) | Op::Compensate(op) } => {
                    (*seq, Some(Arc::clone(op)))
                }
                Entry::Op { seq, op: Op::FinallyNow { of, .. } } => (*seq, self.ops.get(&(run, *of)).cloned()),
                Entry::InputChanged { seq, input, .. } => {
                    let op = self.ops.get(&(run, *seq)).cloned();
                    // That it is remembered costs its worker a queue to listen at; the statement need not look for the call.
                    let changed = |op| StepOp { input: input.clone(), remembers: true, ..Arc::unwrap_or_clone(op) };
                    (*seq, op.map(|op| Arc::new(changed(op))))
                }
                _ => continue,
            };
            if let Some(op) = op {
                self.ops.insert((run, seq), op);
            }
        }
    }

    /// All rows that the transition does not write otherwise; rows that it adds are not there yet.
    fn gate(&mut self, transition: &Transition, gated: bool) {
        let run = transition.run();
        let written: HashSet<Seq> = transition.steps.iter().map(seq_of).collect();
        for ((_, seq), record) in self.steps.range_mut((run, Seq(0))..=(run, Seq(u32::MAX))) {
            if !written.contains(seq) {
                record.gated = gated;
                record.ticketed_at = if gated { None } else { record.ticketed_at };
            }
        }
    }

    fn change_step(
        &mut self,
        transition: &Transition,
        change: &StepChange,
        backlogged: &HashSet<String>,
        now: Timestamp,
    ) {
        let at = (transition.run(), seq_of(change));
        let found = match change {
            StepChange::Insert(row) => {
                let record = new_record(row, transition.chunk.at, backlogged, now);
                let known = self.steps.insert(at, record).is_some();
                if let Some((lease, session)) = row.grant {
                    self.audit.granted(at, row.attempt, lease, session);
                    self.audit_place(at, session);
                    self.audit_pauses(at.0, at.1, session);
                    // A pause may follow the hand-over in the same transition.
                    if !transition.chunk.entries.iter().any(|entry| matches!(entry, Entry::Paused { .. })) {
                        self.audit_grant(at.0, at.1);
                    }
                }
                !known
            }
            StepChange::Update(row) => {
                let record = new_record(row, transition.chunk.at, backlogged, now);
                self.steps.get_mut(&at).map(|known| update(known, record)).is_some()
            }
            StepChange::Stop { .. } => {
                let granted = self.steps.get_mut(&at).filter(|known| known.lease.is_some());
                granted.map(|known| known.state = StepState::Stopping).is_some()
            }
            StepChange::Delete { .. } => self.steps.remove(&at).is_some(),
        };
        if !found {
            self.audit.complain(at.0, format!("step {}: the row is not as the transition takes it to be", at.1));
        }
    }

    fn change_task(&mut self, run: RunId, change: &TaskChange) {
        match change {
            TaskChange::Open(task) => {
                let record = TaskRecord { task: (**task).clone(), state: "open" };
                if self.tasks.insert((run, task.seq), record).is_some() {
                    self.audit.complain(run, format!("task {}: opened twice", task.seq));
                }
            }
            TaskChange::Close { seq, state, .. } => {
                if let Some(record) = self.tasks.get_mut(&(run, *seq)).filter(|record| record.state == "open") {
                    record.state = state;
                }
            }
        }
    }
}

pub(super) fn seq_of(change: &StepChange) -> Seq {
    match change {
        StepChange::Insert(row) | StepChange::Update(row) => row.seq,
        StepChange::Stop { seq } | StepChange::Delete { seq } => *seq,
    }
}

/// Whether a row gets its ticket with the commit (`is_ticketed` of the real store).
fn is_ticketed(row: &StepRow, backlogged: &HashSet<String>) -> bool {
    row.state == StepState::Ready && !row.gated && !backlogged.contains(&row.policy.queue)
}

fn new_record(row: &StepRow, at: Timestamp, backlogged: &HashSet<String>, now: Timestamp) -> StepRecord {
    let timeout = chrono::TimeDelta::milliseconds(row.policy.execution_timeout_ms as i64);
    let lease = |(id, session)| Lease { id, session, granted_at: now, deadline: now + timeout };
    StepRecord {
        name: row.name.clone(),
        queue: row.policy.queue.clone(),
        priority: row.policy.priority,
        labels: row.policy.required_labels.clone(),
        wants: row.wants,
        prefers: row.policy.preferred_queues(),
        timeout_ms: row.policy.execution_timeout_ms,
        state: row.state,
        attempt: row.attempt,
        gated: row.gated,
        available_at: if let StepState::BackingOff(until) = row.state { until } else { at },
        ticketed_at: is_ticketed(row, backlogged).then_some(now),
        lease: row.grant.map(lease),
        effect_begun: false,
        missed: 0,
    }
}

/// The columns that `again` of the statement sets; the rest stays.
fn update(known: &mut StepRecord, new: StepRecord) {
    let old = std::mem::replace(known, new);
    known.name = old.name;
    known.priority = old.priority;
    known.timeout_ms = old.timeout_ms;
    known.lease = None;
}
