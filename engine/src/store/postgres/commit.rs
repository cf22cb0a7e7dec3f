//! One commit is one statement: the columns of `commit.sql`, filled from transitions.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use sqlx::PgConnection;
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::{RunId, Seq};
use valet_core::transition::{Fence, StepChange, StepRow, StepState, TaskChange, TimerChange, Transition};

use super::{PgStore, StoreError, bounded};
use crate::audit::Deed;
use crate::codec::DataKey;
use crate::store::CommitBatch;

/// Keys of the subjects in a batch, by (tenant, subject).
type Keys<'a> = HashMap<(&'a str, &'a str), Arc<DataKey>>;

#[derive(Default)]
struct Columns {
    runs: RunColumns,
    creates: CreateColumns,
    consumed: (Vec<Uuid>, Vec<Uuid>, Vec<i64>),
    fences: FenceColumns,
    deleted: (Vec<Uuid>, Vec<i32>),
    stopped: (Vec<Uuid>, Vec<i32>),
    updated: UpdateColumns,
    inserted: InsertColumns,
    gates: (Vec<Uuid>, Vec<bool>),
    timers_set: (Vec<Uuid>, Vec<i32>, Vec<i16>, Vec<Timestamp>),
    timers_unserved: (Vec<Option<String>>, Vec<Option<i64>>),
    timers_session: Vec<Option<Uuid>>,
    timers_cleared: (Vec<Uuid>, Vec<i32>),
    opened: TaskColumns,
    closed: ClosedColumns,
    sent: SentColumns,
    noticed: NoticeColumns,
    deeds: DeedColumns,
}

#[derive(Default)]
struct RunColumns {
    id: Vec<Uuid>,
    expect: Vec<i32>,
    status: Vec<&'static str>,
    paused: Vec<bool>,
    reason: Vec<Option<String>>,
    status_line: Vec<Option<String>>,
    build: Vec<i64>,
    waits_for_build: Vec<Option<i64>>,
    error_code: Vec<Option<String>>,
    at: Vec<Timestamp>,
    ended: Vec<bool>,
    accepted: Vec<i16>,
    body: Vec<Vec<u8>>,
    figures: Vec<Option<String>>,
    attributes_set: Vec<Option<String>>,
    journal_from: Vec<Option<i32>>,
}

#[derive(Default)]
struct CreateColumns {
    id: Vec<Uuid>,
    tenant: Vec<String>,
    subject: Vec<String>,
    workflow: Vec<String>,
    plan: Vec<String>,
    attributes: Vec<String>,
    parent_run: Vec<Option<Uuid>>,
    parent_seq: Vec<Option<i32>>,
    key: Vec<Option<String>>,
    request_hash: Vec<Option<Vec<u8>>>,
    /// The run whose tree it joins.
    origin: Vec<Option<Uuid>>,
}

#[derive(Default)]
struct FenceColumns {
    run: Vec<Uuid>,
    seq: Vec<i32>,
    kind: Vec<&'static str>,
    attempt: Vec<Option<i32>>,
    lease: Vec<Option<Uuid>>,
    begun: Vec<Option<bool>>,
}

#[derive(Default)]
struct UpdateColumns {
    run: Vec<Uuid>,
    seq: Vec<i32>,
    state: Vec<&'static str>,
    attempt: Vec<i32>,
    revision: Vec<i32>,
    available_at: Vec<Timestamp>,
    gated: Vec<bool>,
    ticketed: Vec<bool>,
    queue: Vec<String>,
    wants: Vec<Option<Uuid>>,
}

#[derive(Default)]
struct InsertColumns {
    run: Vec<Uuid>,
    seq: Vec<i32>,
    shard: Vec<i16>,
    tenant: Vec<String>,
    subject: Vec<String>,
    workflow: Vec<String>,
    name: Vec<String>,
    queue: Vec<String>,
    priority: Vec<i16>,
    state: Vec<&'static str>,
    attempt: Vec<i32>,
    revision: Vec<i32>,
    gated: Vec<bool>,
    effect_once: Vec<bool>,
    timeout_ms: Vec<i64>,
    available_at: Vec<Timestamp>,
    ticketed: Vec<bool>,
    lease: Vec<Option<Uuid>>,
    session: Vec<Option<Uuid>>,
    labels: Vec<Option<String>>,
    wants: Vec<Option<Uuid>>,
    silence_ms: Vec<Option<i64>>,
}

#[derive(Default)]
struct TaskColumns {
    id: Vec<Uuid>,
    run: Vec<Uuid>,
    seq: Vec<i32>,
    tenant: Vec<String>,
    subject: Vec<String>,
    workflow: Vec<String>,
    reason: Vec<String>,
    body: Vec<Vec<u8>>,
    deadline: Vec<Timestamp>,
    at: Vec<Timestamp>,
}

#[derive(Default)]
struct ClosedColumns {
    run: Vec<Uuid>,
    seq: Vec<i32>,
    state: Vec<&'static str>,
    by: Vec<Option<String>>,
    at: Vec<Timestamp>,
}

#[derive(Default)]
struct SentColumns {
    to: Vec<Uuid>,
    from: Vec<Uuid>,
    number: Vec<i64>,
    shard: Vec<i16>,
    tenant: Vec<String>,
    subject: Vec<String>,
    body: Vec<Vec<u8>>,
}

#[derive(Default)]
struct NoticeColumns {
    id: Vec<Uuid>,
    target: Vec<String>,
    kind: Vec<String>,
    tenant: Vec<String>,
    subject: Vec<String>,
    workflow: Vec<String>,
    run: Vec<Uuid>,
    task: Vec<Option<Uuid>>,
    body: Vec<Option<Vec<u8>>>,
    at: Vec<Timestamp>,
}

#[derive(Default)]
struct DeedColumns {
    run: Vec<Uuid>,
    tenant: Vec<String>,
    who: Vec<String>,
    via: Vec<&'static str>,
    address: Vec<Option<String>>,
    request: Vec<Option<String>>,
    action: Vec<&'static str>,
    target: Vec<String>,
    task: Vec<Option<Uuid>>,
}

/// Whether a step row gets its ticket with the commit.
pub(crate) fn is_ticketed(row: &StepRow, backlogged: &HashSet<String>) -> bool {
    row.state == StepState::Ready && !row.gated && !backlogged.contains(&row.policy.queue)
}

impl Columns {
    fn fill(batch: &CommitBatch, keys: &Keys<'_>, listeners: &[String]) -> Result<Self, StoreError> {
        let mut columns = Self::default();
        for transition in &batch.transitions {
            let identity = &transition.identity;
            // The caller looked up a key for every subject of the batch.
            let key = &keys[&(identity.tenant.as_str(), identity.subject.as_str())];
            columns.run(transition, key)?;
            columns.fences(transition);
            for change in &transition.steps {
                columns.step(transition, change, &batch.backlogged)?;
            }
            columns.timers(transition);
            columns.tasks(transition, key)?;
            columns.messages(transition, key)?;
            columns.notices(transition, key, listeners)?;
        }
        columns.deeds(&batch.deeds);
        Ok(columns)
    }

    fn run(&mut self, transition: &Transition, key: &DataKey) -> Result<(), StoreError> {
        let row = &transition.row;
        let runs = &mut self.runs;
        runs.id.push(transition.run().0);
        runs.expect.push(transition.expect as i32);
        runs.status.push(row.status.as_str());
        runs.paused.push(row.paused);
        runs.reason.push(row.reason.as_ref().map(serde_json::to_string).transpose()?);
        runs.status_line.push(row.status_line.clone());
        runs.build.push(row.build);
        runs.waits_for_build.push(row.waits_for_build);
        runs.error_code.push(row.error_code.clone());
        runs.at.push(transition.chunk.at);
        runs.ended.push(transition.ended());
        runs.accepted.push(transition.accepted_results().min(i16::MAX as u32) as i16);
        runs.body.push(key.seal(&serde_json::to_vec(&transition.chunk.entries)?)?);
        runs.figures.push(row.figures.as_ref().map(serde_json::to_string).transpose()?);
        runs.attributes_set.push(row.attributes_set.as_ref().map(serde_json::to_string).transpose()?);
        runs.journal_from.push(row.journal_from.map(|revision| revision as i32));
        if let Some(gated) = transition.gate {
            self.gates.0.push(transition.run().0);
            self.gates.1.push(gated);
        }
        let Some(created) = &transition.created else { return Ok(()) };
        let identity = &transition.identity;
        let creates = &mut self.creates;
        creates.id.push(identity.id.0);
        creates.tenant.push(identity.tenant.clone());
        creates.subject.push(identity.subject.clone());
        creates.workflow.push(identity.workflow.clone());
        creates.plan.push(identity.plan.clone());
        creates.attributes.push(serde_json::to_string(&created.attributes)?);
        creates.parent_run.push(identity.parent.map(|p| p.run.0));
        creates.parent_seq.push(identity.parent.map(|p| p.seq.0 as i32));
        creates.key.push(created.idempotency.as_ref().map(|i| i.key.clone()));
        creates.request_hash.push(created.idempotency.as_ref().map(|i| i.request_hash.to_vec()));
        creates.origin.push(identity.parent.map(|p| p.run).or(created.forked_from).map(|run| run.0));
        Ok(())
    }

    fn fences(&mut self, transition: &Transition) {
        for fence in &transition.fences {
            let (kind, attempt, lease, begun) = match fence {
                Fence::Granted { attempt, lease, .. } => ("granted", Some(attempt), Some(lease), None),
                Fence::HandsOver { attempt, lease, .. } => ("hands_over", Some(attempt), Some(lease), None),
                Fence::Lost { attempt, lease, effect_begun, .. } => {
                    ("lost", Some(attempt), Some(lease), Some(*effect_begun))
                }
                Fence::Forgotten { attempt, lease, effect_begun, .. } => {
                    ("forgotten", Some(attempt), Some(lease), Some(*effect_begun))
                }
                Fence::NotGranted { .. } => ("not_granted", None, None, None),
            };
            self.fences.run.push(transition.run().0);
            self.fences.seq.push(fence.seq().0 as i32);
            self.fences.kind.push(kind);
            self.fences.attempt.push(attempt.map(|a| a.0 as i32));
            self.fences.lease.push(lease.map(|l| l.0));
            self.fences.begun.push(begun);
        }
        for (from, number) in &transition.consumed {
            self.consumed.0.push(transition.run().0);
            self.consumed.1.push(from.0);
            self.consumed.2.push(*number);
        }
    }

    fn step(
        &mut self,
        transition: &Transition,
        change: &StepChange,
        backlogged: &HashSet<String>,
    ) -> Result<(), StoreError> {
        let run = transition.run().0;
        match change {
            StepChange::Delete { seq } => {
                self.deleted.0.push(run);
                self.deleted.1.push(seq.0 as i32);
            }
            StepChange::Stop { seq } => {
                self.stopped.0.push(run);
                self.stopped.1.push(seq.0 as i32);
            }
            StepChange::Update(row) => {
                let updated = &mut self.updated;
                updated.run.push(run);
                updated.seq.push(row.seq.0 as i32);
                updated.state.push(row.state.as_str());
                updated.attempt.push(row.attempt.0 as i32);
                updated.revision.push(row.revision as i32);
                updated.available_at.push(available_at(row, transition.chunk.at));
                updated.gated.push(row.gated);
                updated.ticketed.push(is_ticketed(row, backlogged));
                updated.queue.push(row.policy.queue.clone());
                updated.wants.push(row.wants.map(|session| session.0));
            }
            StepChange::Insert(row) => self.insert(transition, row, backlogged)?,
        }
        Ok(())
    }

    fn insert(
        &mut self,
        transition: &Transition,
        row: &StepRow,
        backlogged: &HashSet<String>,
    ) -> Result<(), StoreError> {
        let identity = &transition.identity;
        let inserted = &mut self.inserted;
        inserted.run.push(identity.id.0);
        inserted.seq.push(row.seq.0 as i32);
        inserted.shard.push(identity.id.shard());
        inserted.tenant.push(identity.tenant.clone());
        inserted.subject.push(identity.subject.clone());
        inserted.workflow.push(identity.workflow.clone());
        inserted.name.push(row.name.clone());
        inserted.queue.push(row.policy.queue.clone());
        inserted.priority.push(row.policy.priority);
        inserted.state.push(row.state.as_str());
        inserted.attempt.push(row.attempt.0 as i32);
        inserted.revision.push(row.revision as i32);
        inserted.gated.push(row.gated);
        inserted.effect_once.push(row.policy.effect_once);
        inserted.timeout_ms.push(i64::try_from(row.policy.execution_timeout_ms).unwrap_or(i64::MAX));
        inserted.available_at.push(available_at(row, transition.chunk.at));
        inserted.ticketed.push(is_ticketed(row, backlogged));
        inserted.lease.push(row.grant.map(|(lease, _)| lease.0));
        inserted.session.push(row.grant.map(|(_, session)| session.0));
        let labels = Some(&row.policy.required_labels).filter(|labels| !labels.is_empty());
        inserted.labels.push(labels.map(serde_json::to_string).transpose()?);
        inserted.wants.push(row.wants.map(|session| session.0));
        inserted.silence_ms.push(row.policy.heartbeat_timeout_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)));
        Ok(())
    }

    fn timers(&mut self, transition: &Transition) {
        let run = transition.run();
        for change in &transition.timers {
            match change {
                TimerChange::Set { seq, at, unserved } => {
                    self.timers_set.0.push(run.0);
                    self.timers_set.1.push(seq.0 as i32);
                    self.timers_set.2.push(run.shard());
                    self.timers_set.3.push(*at);
                    self.timers_unserved.0.push(unserved.as_ref().map(|unserved| unserved.queue.clone()));
                    self.timers_unserved.1.push(unserved.as_ref().map(|unserved| unserved.ms as i64));
                    let session = unserved.as_ref().and_then(|unserved| unserved.session);
                    self.timers_session.push(session.map(|session| session.0));
                }
                TimerChange::Clear { seq } => {
                    self.timers_cleared.0.push(run.0);
                    self.timers_cleared.1.push(seq.0 as i32);
                }
            }
        }
    }

    fn tasks(&mut self, transition: &Transition, key: &DataKey) -> Result<(), StoreError> {
        let identity = &transition.identity;
        for change in &transition.tasks {
            match change {
                TaskChange::Open(task) => {
                    let opened = &mut self.opened;
                    opened.id.push(task.id);
                    opened.run.push(identity.id.0);
                    opened.seq.push(task.seq.0 as i32);
                    opened.tenant.push(identity.tenant.clone());
                    opened.subject.push(identity.subject.clone());
                    opened.workflow.push(identity.workflow.clone());
                    opened.reason.push(task.spec.reason.clone());
                    opened.body.push(key.seal(&serde_json::to_vec(&task.spec)?)?);
                    opened.deadline.push(task.spec.deadline);
                    opened.at.push(transition.chunk.at);
                }
                TaskChange::Close { seq, state, by } => {
                    self.closed.run.push(identity.id.0);
                    self.closed.seq.push(seq.0 as i32);
                    self.closed.state.push(state);
                    self.closed.by.push(by.clone());
                    self.closed.at.push(transition.chunk.at);
                }
            }
        }
        Ok(())
    }

    fn messages(&mut self, transition: &Transition, key: &DataKey) -> Result<(), StoreError> {
        for row in &transition.outbox {
            self.sent.to.push(row.to.0);
            self.sent.from.push(transition.run().0);
            self.sent.number.push(row.number);
            self.sent.shard.push(row.to.shard());
            self.sent.tenant.push(transition.identity.tenant.clone());
            self.sent.subject.push(transition.identity.subject.clone());
            self.sent.body.push(key.seal(&serde_json::to_vec(&row.message)?)?);
        }
        Ok(())
    }

    fn notices(&mut self, transition: &Transition, key: &DataKey, listeners: &[String]) -> Result<(), StoreError> {
        let (identity, chunk) = (&transition.identity, &transition.chunk);
        for (number, notice) in transition.notices.iter().enumerate() {
            for target in listeners {
                let noticed = &mut self.noticed;
                // The same for a transition that is sent again.
                noticed.id.push(identity.id.derive(Seq(chunk.revision), &format!("notice {number} {target}")));
                noticed.target.push(target.clone());
                noticed.kind.push(notice.kind.clone());
                noticed.tenant.push(identity.tenant.clone());
                noticed.subject.push(identity.subject.clone());
                noticed.workflow.push(identity.workflow.clone());
                noticed.run.push(identity.id.0);
                noticed.task.push(notice.task.map(|task| task.0));
                let data = notice.data.as_ref().map(serde_json::to_vec).transpose()?;
                noticed.body.push(data.map(|plain| key.seal(&plain)).transpose()?);
                noticed.at.push(chunk.at);
            }
        }
        Ok(())
    }

    fn deeds(&mut self, deeds: &[(RunId, Deed)]) {
        let columns = &mut self.deeds;
        for (run, deed) in deeds {
            columns.run.push(run.0);
            columns.tenant.push(deed.tenant.clone());
            columns.who.push(deed.who.clone());
            columns.via.push(deed.via.as_str());
            columns.address.push(deed.address_text());
            columns.request.push(deed.request.clone());
            columns.action.push(deed.action);
            columns.target.push(deed.target.clone());
            columns.task.push(deed.task);
        }
    }

    /// The lowest form of the statement that has all parts that these columns need.
    fn form(&self) -> usize {
        let creates = &self.creates;
        let ends_at_once = self.runs.expect.iter().zip(&self.runs.ended).any(|(expect, ended)| *expect == 0 && *ended);
        let is_rare = ends_at_once
            || creates.origin.iter().any(Option::is_some)
            || self.inserted.labels.iter().any(Option::is_some)
            || ![&self.consumed.0, &self.sent.to, &self.noticed.id].iter().all(|rows| rows.is_empty());
        let changes = [&self.stopped.0, &self.updated.run, &self.gates.0];
        let waits = [&self.timers_set.0, &self.timers_cleared.0, &self.opened.id, &self.closed.run];
        if is_rare {
            3
        } else if changes.iter().chain(&waits).any(|rows| !rows.is_empty()) || creates.key.iter().any(Option::is_some) {
            2
        } else {
            let ends = self.runs.ended.iter().any(|ended| *ended);
            usize::from(ends || !creates.id.is_empty() || !self.deeds.run.is_empty())
        }
    }

    /// Binds in the order of the statement's parameters.
    async fn execute(&self, id: Uuid, connection: &mut PgConnection) -> Result<Vec<(Uuid,)>, StoreError> {
        let (runs, creates, inserted, updated) = (&self.runs, &self.creates, &self.inserted, &self.updated);
        let (opened, closed, sent, fences) = (&self.opened, &self.closed, &self.sent, &self.fences);
        let (noticed, deeds) = (&self.noticed, &self.deeds);
        let query = sqlx::query_as::<_, (Uuid,)>(statements()[self.form()].as_str())
            .bind(id)
            .bind(&runs.id)
            .bind(&runs.expect)
            .bind(&runs.status)
            .bind(&runs.paused)
            .bind(&runs.reason)
            .bind(&runs.status_line)
            .bind(&runs.build)
            .bind(&runs.error_code)
            .bind(&runs.at)
            .bind(&runs.ended)
            .bind(&runs.accepted)
            .bind(&runs.body)
            .bind(&creates.id)
            .bind(&creates.tenant)
            .bind(&creates.subject)
            .bind(&creates.workflow)
            .bind(&creates.plan)
            .bind(&creates.attributes)
            .bind(&creates.parent_run)
            .bind(&creates.parent_seq)
            .bind(&creates.key)
            .bind(&creates.request_hash)
            .bind(&self.consumed.0)
            .bind(&self.consumed.1)
            .bind(&self.consumed.2)
            .bind(&fences.run)
            .bind(&fences.seq)
            .bind(&fences.kind)
            .bind(&fences.attempt)
            .bind(&fences.lease)
            .bind(&self.deleted.0)
            .bind(&self.deleted.1)
            .bind(&self.stopped.0)
            .bind(&self.stopped.1)
            .bind(&updated.run)
            .bind(&updated.seq)
            .bind(&updated.state)
            .bind(&updated.attempt)
            .bind(&updated.available_at)
            .bind(&updated.gated)
            .bind(&updated.ticketed)
            .bind(&inserted.run)
            .bind(&inserted.seq)
            .bind(&inserted.shard)
            .bind(&inserted.tenant)
            .bind(&inserted.subject)
            .bind(&inserted.workflow)
            .bind(&inserted.name)
            .bind(&inserted.queue)
            .bind(&inserted.priority)
            .bind(&inserted.state)
            .bind(&inserted.attempt)
            .bind(&inserted.revision)
            .bind(&inserted.gated)
            .bind(&inserted.effect_once)
            .bind(&inserted.timeout_ms)
            .bind(&inserted.available_at)
            .bind(&inserted.ticketed)
            .bind(&inserted.lease)
            .bind(&inserted.session)
            .bind(&self.gates.0)
            .bind(&self.gates.1)
            .bind(&self.timers_set.0)
            .bind(&self.timers_set.1)
            .bind(&self.timers_set.2)
            .bind(&self.timers_set.3)
            .bind(&self.timers_cleared.0)
            .bind(&self.timers_cleared.1)
            .bind(&opened.id)
            .bind(&opened.run)
            .bind(&opened.seq)
            .bind(&opened.tenant)
            .bind(&opened.subject)
            .bind(&opened.workflow)
            .bind(&opened.reason)
            .bind(&opened.body)
            .bind(&opened.deadline)
            .bind(&opened.at)
            .bind(&closed.run)
            .bind(&closed.seq)
            .bind(&closed.state)
            .bind(&closed.by)
            .bind(&closed.at)
            .bind(&sent.to)
            .bind(&sent.from)
            .bind(&sent.number)
            .bind(&sent.shard)
            .bind(&sent.tenant)
            .bind(&sent.subject)
            .bind(&sent.body)
            .bind(&fences.begun)
            .bind(&noticed.id)
            .bind(&noticed.target)
            .bind(&noticed.kind)
            .bind(&noticed.tenant)
            .bind(&noticed.subject)
            .bind(&noticed.workflow)
            .bind(&noticed.run)
            .bind(&noticed.task)
            .bind(&noticed.body)
            .bind(&noticed.at)
            .bind(&runs.waits_for_build)
            .bind(&self.timers_unserved.0)
            .bind(&self.timers_unserved.1)
            .bind(&deeds.run)
            .bind(&deeds.tenant)
            .bind(&deeds.who)
            .bind(&deeds.via)
            .bind(&deeds.address)
            .bind(&deeds.request)
            .bind(&deeds.action)
            .bind(&deeds.target)
            .bind(&deeds.task)
            .bind(&updated.revision)
            .bind(&runs.figures)
            .bind(&runs.attributes_set)
            .bind(&runs.journal_from)
            .bind(&inserted.labels)
            .bind(&inserted.wants)
            .bind(&inserted.silence_ms)
            .bind(&updated.queue)
            .bind(&updated.wants)
            .bind(&self.timers_session)
            .bind(&creates.origin);
        bounded(query.fetch_all(connection)).await
    }
}

/// Forms of the statement, from what every commit needs to all of it.
const FORMS: usize = 4;

/// `commit.sql` in each of its forms.
pub fn statements() -> &'static [String; FORMS] {
    static STATEMENTS: LazyLock<[String; FORMS]> =
        LazyLock::new(|| std::array::from_fn(|form| in_form(include_str!("../sql/commit.sql"), form)));
    &STATEMENTS
}

/// Leaves out what belongs to higher forms only.
fn in_form(whole: &str, form: usize) -> String {
    let mut open = Vec::new();
    let mut kept = String::with_capacity(whole.len());
    for line in whole.lines() {
        if let Some(mark) = line.strip_prefix("--[") {
            let from = mark.split(' ').next().and_then(|number| number.parse::<usize>().ok());
            open.push(from.is_some_and(|from| from <= form));
        } else if line == "--]" {
            open.pop();
        } else if open.iter().all(|is_kept| *is_kept) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

fn available_at(row: &StepRow, now: Timestamp) -> Timestamp {
    match row.state {
        StepState::BackingOff(until) => until,
        _ => now,
    }
}

impl PgStore {
    pub(super) async fn commit_batch(&self, writer: usize, batch: &CommitBatch) -> Result<HashSet<RunId>, StoreError> {
        let mut keys = Keys::new();
        let (mut first_week, mut last_week) = (u16::MAX, 0);
        for transition in &batch.transitions {
            let identity = &transition.identity;
            let at = (identity.tenant.as_str(), identity.subject.as_str());
            if let std::collections::hash_map::Entry::Vacant(vacant) = keys.entry(at) {
                vacant.insert(self.keys.of_subject(at.0, at.1).await?);
            }
            first_week = first_week.min(identity.id.week());
            last_week = last_week.max(identity.id.week());
        }
        self.weeks.ensure(&self.pool, first_week, last_week).await?;
        let columns = Columns::fill(batch, &keys, &self.listeners)?;
        let slot = &self.writers[writer % self.writers.len()];
        let mut connection = self.dedicated(slot).await?;
        let done = columns.execute(batch.id, &mut connection).await;
        drop(connection);
        match done {
            Ok(rows) => Ok(rows.into_iter().map(|(id,)| RunId(id)).collect()),
            Err(error) => {
                if !error.is_of_one() {
                    // The connection's state is not known; the next commit opens another.
                    *slot.lock().await = None;
                }
                if is_same_batch(&error) {
                    return self.committed_before(batch.id).await;
                }
                Err(error)
            }
        }
    }

    /// The batch was sent before and its answer got lost: what it committed is on record.
    async fn committed_before(&self, id: Uuid) -> Result<HashSet<RunId>, StoreError> {
        let find = sqlx::query_as::<_, (Vec<Uuid>,)>(include_str!("../sql/find_batch.sql")).bind(id);
        let (committed,) = bounded(find.fetch_one(&self.pool)).await?;
        Ok(committed.into_iter().map(RunId).collect())
    }
}

fn is_same_batch(error: &StoreError) -> bool {
    let StoreError::BadData(error) = error else { return false };
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint) == Some("batches_pkey")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_the_parts_of_the_lower_ones_and_its_own() {
        let whole = "a\n--[1 one\nb\n--[3 three, within\nc\n--]\nd\n--]\ne\n--[2 two\nf\n--]\n";
        assert_eq!(in_form(whole, 0), "a\ne\n");
        assert_eq!(in_form(whole, 1), "a\nb\nd\ne\n");
        assert_eq!(in_form(whole, 2), "a\nb\nd\ne\nf\n");
        assert_eq!(in_form(whole, 3), "a\nb\nc\nd\ne\nf\n");
    }

    #[test]
    fn every_mark_of_the_statement_is_known_and_closed() {
        let whole = include_str!("../sql/commit.sql");
        let marks: Vec<&str> =
            whole.lines().filter(|line| line.starts_with("--[") || line.starts_with("--]")).collect();
        let opened = marks.iter().filter(|mark| mark.starts_with("--[")).count();
        assert_eq!(opened * 2, marks.len());
        for mark in marks.iter().filter(|mark| mark.starts_with("--[")) {
            assert!(mark[3..].starts_with(['1', '2', '3']) && mark[4..].starts_with(' '), "{mark}");
        }
        // All of it is in the highest form, and each form has more than the one below.
        let lengths: Vec<usize> = statements().iter().map(|text| text.lines().count()).collect();
        assert_eq!(lengths[FORMS - 1], whole.lines().count() - marks.len());
        assert!(lengths.is_sorted_by(|lower, higher| lower < higher), "{lengths:?}");
    }
}
