//! One commit is one statement: the rows and columns of `commit.sql`, filled from transitions.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use sqlx::PgConnection;
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::id::{RunId, Seq};
use valet_core::transition::{
    EventWaitChange, Fence, StepChange, StepRow, StepState, TaskChange, TimerChange, Transition,
};

use super::rows::sent_as;
use super::{PgStore, StoreError, bounded};
use crate::audit::Deed;
use crate::codec::DataKey;
use crate::store::CommitBatch;
use crate::trigger::like;
use crate::webhook::outgoing::{AllWanted, Happening};

/// Keys of the subjects in a batch, by (tenant, subject).
type Keys<'a> = HashMap<(&'a str, &'a str), Arc<DataKey>>;

#[derive(Default)]
struct Columns {
    runs: Vec<RunSent>,
    starts: Vec<StartSent>,
    consumed: (Vec<Uuid>, Vec<Uuid>, Vec<i64>),
    fences: Vec<FenceSent>,
    deleted: (Vec<Uuid>, Vec<i32>),
    stopped: (Vec<Uuid>, Vec<i32>),
    updated: UpdateColumns,
    inserted: Vec<StepSent>,
    gates: (Vec<Uuid>, Vec<bool>),
    timers_set: (Vec<Uuid>, Vec<i32>, Vec<i16>, Vec<Timestamp>),
    timers_unserved: (Vec<Option<String>>, Vec<Option<i64>>),
    timers_session: Vec<Option<Uuid>>,
    timers_cleared: (Vec<Uuid>, Vec<i32>),
    opened: TaskColumns,
    closed: ClosedColumns,
    sent: SentColumns,
    noticed: NoticeColumns,
    deeds: Vec<DeedSent>,
    slots: Vec<SlotSent>,
    event_waits: Vec<EventWaitSent>,
    event_waits_over: (Vec<Uuid>, Vec<i32>),
    preferences: Vec<PreferenceSent>,
}

sent_as!(RunSent = "commit_run" {
    id: Uuid,
    expect: i32,
    status: &'static str,
    paused: bool,
    reason: Option<String>,
    status_line: Option<String>,
    build: i64,
    error_code: Option<String>,
    at: Timestamp,
    ended: bool,
    accepted: i16,
    body: Vec<u8>,
    waits_for_build: Option<i64>,
    figures: Option<String>,
    attributes_set: Option<String>,
    journal_from: Option<i32>,
});

// `origin`: the run whose tree it joins.
sent_as!(StartSent = "commit_start" {
    id: Uuid,
    tenant: String,
    subject: String,
    workflow: String,
    plan: String,
    attributes: String,
    parent_run: Option<Uuid>,
    parent_seq: Option<i32>,
    key: Option<String>,
    request_hash: Option<Vec<u8>>,
    origin: Option<Uuid>,
});

sent_as!(FenceSent = "commit_fence" {
    run_id: Uuid,
    seq: i32,
    kind: &'static str,
    attempt: Option<i32>,
    lease_id: Option<Uuid>,
    begun: Option<bool>,
});

sent_as!(StepSent = "commit_step" {
    run_id: Uuid,
    seq: i32,
    shard: i16,
    tenant: String,
    subject: String,
    workflow: String,
    name: String,
    queue: String,
    priority: i16,
    state: &'static str,
    attempt: i32,
    revision: i32,
    gated: bool,
    effect_once: bool,
    timeout_ms: i64,
    available_at: Timestamp,
    ticketed: bool,
    lease_id: Option<Uuid>,
    session_id: Option<Uuid>,
    labels: Option<String>,
    wants: Option<Uuid>,
    silence_ms: Option<i64>,
});

sent_as!(SlotSent = "commit_slot" {
    run_id: Uuid,
    seq: i32,
    name: String,
    tenant: String,
    key: String,
    of_run: bool,
    priority: i16,
    share: Option<String>,
    turn: f64,
    held: bool,
});

sent_as!(EventWaitSent = "commit_event_wait" {
    run_id: Uuid,
    seq: i32,
    tenant: String,
    subject: String,
    workflow: String,
    key: String,
    key_like: Option<String>,
    scope: Option<String>,
});

sent_as!(PreferenceSent = "commit_preference" {
    run_id: Uuid,
    seq: i32,
    queues: Vec<String>,
});

sent_as!(DeedSent = "commit_deed" {
    run_id: Uuid,
    tenant: String,
    who: String,
    via: &'static str,
    address: Option<String>,
    request: Option<String>,
    action: &'static str,
    target: String,
    task: Option<Uuid>,
});

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

/// Who is told what happens.
struct Told<'a> {
    listeners: &'a [String],
    webhooks: &'a AllWanted,
}

/// Whether a step row gets its ticket with the commit.
pub(crate) fn is_ticketed(row: &StepRow, backlogged: &HashSet<String>) -> bool {
    row.state == StepState::Ready && !row.gated && !backlogged.contains(&row.policy.queue)
}

impl Columns {
    fn fill(batch: &CommitBatch, keys: &Keys<'_>, told: &Told<'_>) -> Result<Self, StoreError> {
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
            columns.slots(transition);
            columns.event_waits(transition);
            columns.timers(transition);
            columns.tasks(transition, key)?;
            columns.messages(transition, key)?;
            columns.notices(transition, key, told)?;
        }
        columns.deeds(&batch.deeds);
        Ok(columns)
    }

    fn run(&mut self, transition: &Transition, key: &DataKey) -> Result<(), StoreError> {
        let row = &transition.row;
        self.runs.push(RunSent {
            id: transition.run().0,
            expect: transition.expect as i32,
            status: row.status.as_str(),
            paused: row.paused,
            reason: row.reason.as_ref().map(serde_json::to_string).transpose()?,
            status_line: row.status_line.clone(),
            build: row.build,
            error_code: row.error_code.clone(),
            at: transition.chunk.at,
            ended: transition.ended(),
            accepted: transition.accepted_results().min(i16::MAX as u32) as i16,
            body: key.seal(&serde_json::to_vec(&transition.chunk.entries)?)?,
            waits_for_build: row.waits_for_build,
            figures: row.figures.as_ref().map(serde_json::to_string).transpose()?,
            attributes_set: row.attributes_set.as_ref().map(serde_json::to_string).transpose()?,
            journal_from: row.journal_from.map(|revision| revision as i32),
        });
        if let Some(gated) = transition.gate {
            self.gates.0.push(transition.run().0);
            self.gates.1.push(gated);
        }
        let Some(created) = &transition.created else { return Ok(()) };
        let identity = &transition.identity;
        self.starts.push(StartSent {
            id: identity.id.0,
            tenant: identity.tenant.clone(),
            subject: identity.subject.clone(),
            workflow: identity.workflow.clone(),
            plan: identity.plan.clone(),
            attributes: serde_json::to_string(&created.attributes)?,
            parent_run: identity.parent.map(|p| p.run.0),
            parent_seq: identity.parent.map(|p| p.seq.0 as i32),
            key: created.idempotency.as_ref().map(|i| i.key.clone()),
            request_hash: created.idempotency.as_ref().map(|i| i.request_hash.to_vec()),
            origin: identity.parent.map(|p| p.run).or(created.forked_from).map(|run| run.0),
        });
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
                Fence::NotBegun { attempt, lease, .. } => ("not_begun", Some(attempt), Some(lease), None),
                Fence::NotGranted { .. } => ("not_granted", None, None, None),
            };
            self.fences.push(FenceSent {
                run_id: transition.run().0,
                seq: fence.seq().0 as i32,
                kind,
                attempt: attempt.map(|a| a.0 as i32),
                lease_id: lease.map(|l| l.0),
                begun,
            });
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
        let labels = Some(&row.policy.required_labels).filter(|labels| !labels.is_empty());
        let queues = row.policy.preferred_queues();
        if !queues.is_empty() {
            self.preferences.push(PreferenceSent { run_id: identity.id.0, seq: row.seq.0 as i32, queues });
        }
        self.inserted.push(StepSent {
            run_id: identity.id.0,
            seq: row.seq.0 as i32,
            shard: identity.id.shard(),
            tenant: identity.tenant.clone(),
            subject: identity.subject.clone(),
            workflow: identity.workflow.clone(),
            name: row.name.clone(),
            queue: row.policy.queue.clone(),
            priority: row.policy.priority,
            state: row.state.as_str(),
            attempt: row.attempt.0 as i32,
            revision: row.revision as i32,
            gated: row.gated,
            effect_once: row.policy.effect_once,
            timeout_ms: i64::try_from(row.policy.execution_timeout_ms).unwrap_or(i64::MAX),
            available_at: available_at(row, transition.chunk.at),
            ticketed: is_ticketed(row, backlogged),
            lease_id: row.grant.map(|(lease, _)| lease.0),
            session_id: row.grant.map(|(_, session)| session.0),
            labels: labels.map(serde_json::to_string).transpose()?,
            wants: row.wants.map(|session| session.0),
            silence_ms: row.policy.heartbeat_timeout_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
        });
        Ok(())
    }

    fn slots(&mut self, transition: &Transition) {
        self.slots.extend(transition.slots.iter().map(|row| SlotSent {
            run_id: transition.run().0,
            seq: row.seq.0 as i32,
            name: row.slot.limit.clone(),
            tenant: transition.identity.tenant.clone(),
            key: row.slot.key.clone(),
            of_run: row.slot.of_run,
            priority: row.priority,
            share: row.slot.share.clone(),
            turn: row.slot.turn,
            held: row.held,
        }));
    }

    fn event_waits(&mut self, transition: &Transition) {
        let identity = &transition.identity;
        for change in &transition.event_waits {
            match change {
                EventWaitChange::Begin { seq, event } => self.event_waits.push(EventWaitSent {
                    run_id: identity.id.0,
                    seq: seq.0 as i32,
                    tenant: identity.tenant.clone(),
                    subject: identity.subject.clone(),
                    workflow: identity.workflow.clone(),
                    key: event.key.clone(),
                    key_like: event.key.contains('*').then(|| like(&event.key)),
                    scope: event.scope.clone(),
                }),
                EventWaitChange::End { seq } => {
                    self.event_waits_over.0.push(identity.id.0);
                    self.event_waits_over.1.push(seq.0 as i32);
                }
            }
        }
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

    fn notices(&mut self, transition: &Transition, key: &DataKey, told: &Told<'_>) -> Result<(), StoreError> {
        let (identity, chunk) = (&transition.identity, &transition.chunk);
        for (number, notice) in transition.notices.iter().enumerate() {
            let what = Happening {
                tenant: &identity.tenant,
                workflow: &identity.workflow,
                subject: &identity.subject,
                kind: &notice.kind,
                data: notice.data.as_ref(),
            };
            for target in told.listeners.iter().chain(&told.webhooks.told(&what)) {
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
        self.deeds.extend(deeds.iter().map(|(run, deed)| DeedSent {
            run_id: run.0,
            tenant: deed.tenant.clone(),
            who: deed.who.clone(),
            via: deed.via.as_str(),
            address: deed.address_text(),
            request: deed.request.clone(),
            action: deed.action,
            target: deed.target.clone(),
            task: deed.task,
        }));
    }

    /// The lowest form of the statement that has all parts that these columns need.
    fn form(&self) -> usize {
        let rarest = [self.event_waits.is_empty(), self.event_waits_over.0.is_empty(), self.preferences.is_empty()];
        if !(self.slots.is_empty() && rarest == [true; 3]) {
            return HIGHEST_FORM;
        }
        let ends_at_once = self.runs.iter().any(|run| run.expect == 0 && run.ended);
        let is_rare = ends_at_once
            || self.starts.iter().any(|start| start.origin.is_some())
            || self.inserted.iter().any(|step| step.labels.is_some())
            || ![&self.consumed.0, &self.sent.to, &self.noticed.id].iter().all(|rows| rows.is_empty());
        let changes = [&self.stopped.0, &self.updated.run, &self.gates.0];
        let waits = [&self.timers_set.0, &self.timers_cleared.0, &self.opened.id, &self.closed.run];
        let is_keyed = self.starts.iter().any(|start| start.key.is_some());
        if is_rare {
            3
        } else if is_keyed || changes.iter().chain(&waits).any(|rows| !rows.is_empty()) {
            2
        } else {
            let ends = self.runs.iter().any(|run| run.ended);
            usize::from(ends || !self.starts.is_empty() || !self.deeds.is_empty())
        }
    }

    /// Binds in the order of the statement's parameters.
    async fn execute(&self, id: Uuid, connection: &mut PgConnection) -> Result<Vec<(Uuid,)>, StoreError> {
        let (updated, opened, closed) = (&self.updated, &self.opened, &self.closed);
        let (sent, noticed) = (&self.sent, &self.noticed);
        let form = self.form();
        let query = sqlx::query_as::<_, (Uuid,)>(statements()[form].as_str())
            .bind(id)
            .bind(&self.runs)
            .bind(&self.starts)
            .bind(&self.fences)
            .bind(&self.inserted)
            .bind(&self.deeds)
            .bind(&self.consumed.0)
            .bind(&self.consumed.1)
            .bind(&self.consumed.2)
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
            .bind(&updated.revision)
            .bind(&updated.queue)
            .bind(&updated.wants)
            .bind(&self.gates.0)
            .bind(&self.gates.1)
            .bind(&self.timers_set.0)
            .bind(&self.timers_set.1)
            .bind(&self.timers_set.2)
            .bind(&self.timers_set.3)
            .bind(&self.timers_unserved.0)
            .bind(&self.timers_unserved.1)
            .bind(&self.timers_session)
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
            .bind(&noticed.id)
            .bind(&noticed.target)
            .bind(&noticed.kind)
            .bind(&noticed.tenant)
            .bind(&noticed.subject)
            .bind(&noticed.workflow)
            .bind(&noticed.run)
            .bind(&noticed.task)
            .bind(&noticed.body)
            .bind(&noticed.at);
        // Who is under no limit, waits for no event and prefers no worker pays for none of it.
        let query = if form == HIGHEST_FORM {
            let (runs, seqs) = &self.event_waits_over;
            query.bind(&self.slots).bind(&self.event_waits).bind(runs).bind(seqs).bind(&self.preferences)
        } else {
            query
        };
        bounded(query.fetch_all(connection)).await
    }
}

/// Forms of the statement, from what every commit needs to all of it.
const FORMS: usize = 5;
/// The only one with the last parameters.
const HIGHEST_FORM: usize = FORMS - 1;

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
        let told = Told { listeners: &self.listeners, webhooks: &self.outgoing.now() };
        let columns = Columns::fill(batch, &keys, &told)?;
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
    fn rows_have_the_columns_of_their_types_in_their_order() {
        let types = [
            include_str!("../../../../migrations/20261122192000_commit_rows.sql"),
            include_str!("../../../../migrations/20261122215000_limits.sql"),
            include_str!("../../../../migrations/20261123090500_event_waits.sql"),
            include_str!("../../../../migrations/20261123140500_preferred_labels.sql"),
        ];
        let types = types.concat();
        for (name, columns) in [
            RunSent::COLUMNS,
            StartSent::COLUMNS,
            FenceSent::COLUMNS,
            StepSent::COLUMNS,
            DeedSent::COLUMNS,
            SlotSent::COLUMNS,
            EventWaitSent::COLUMNS,
            PreferenceSent::COLUMNS,
        ] {
            let (_, from) = types.split_once(&format!("CREATE TYPE {name} AS (")).expect("a type of this name");
            let (text, _) = from.split_once(");").expect("closed");
            let there: Vec<&str> = text.split(',').filter_map(|column| column.split_whitespace().next()).collect();
            assert_eq!(there, columns, "{name}");
        }
    }

    #[test]
    fn every_mark_of_the_statement_is_known_and_closed() {
        let whole = include_str!("../sql/commit.sql");
        let marks: Vec<&str> =
            whole.lines().filter(|line| line.starts_with("--[") || line.starts_with("--]")).collect();
        let opened = marks.iter().filter(|mark| mark.starts_with("--[")).count();
        assert_eq!(opened * 2, marks.len());
        for mark in marks.iter().filter(|mark| mark.starts_with("--[")) {
            assert!(mark[3..].starts_with(['1', '2', '3', '4']) && mark[4..].starts_with(' '), "{mark}");
        }
        // All of it is in the highest form, and each form has more than the one below.
        let lengths: Vec<usize> = statements().iter().map(|text| text.lines().count()).collect();
        assert_eq!(lengths[FORMS - 1], whole.lines().count() - marks.len());
        assert!(lengths.is_sorted_by(|lower, higher| lower < higher), "{lengths:?}");
    }
}
