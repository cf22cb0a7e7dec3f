//! All rows, as the record shows them.

use std::fmt::Debug;

use serde_json::{Value, json};
use valet_core::Timestamp;
use valet_core::id::{RunId, Seq, SessionId};
use valet_engine::store::SessionKind;

use super::{RunRecord, SessionRecord, StepRecord, Tables};
use crate::record::{
    InboxRow, KeyRow, LifeRow, LimitKeyRow, RunRow, SessionRow, ShardRow, SlotRow, StepRow, TaskRow, TimerRow,
};

impl Tables {
    pub fn look(&self) -> Vec<String> {
        let mut lines = Vec::new();
        add(&mut lines, self.runs.iter().map(|(run, record)| self.run_row(*run, record)));
        add(&mut lines, self.steps.iter().map(|(key, record)| step_row(*key, record)));
        add(
            &mut lines,
            self.timers.iter().map(|((run, seq), (fires_at, unserved))| TimerRow {
                run_id: run.0,
                seq: seq.0 as i32,
                fires_at: *fires_at,
                queue: unserved.as_ref().map(|unserved| unserved.queue.clone()),
                unserved_ms: unserved.as_ref().map(|unserved| unserved.ms as i64),
                session_id: unserved.as_ref().and_then(|unserved| unserved.session).map(|session| session.0),
            }),
        );
        add(
            &mut lines,
            self.inbox.iter().map(|((to, from, number), mail)| InboxRow {
                to_run: to.0,
                from_run: from.0,
                number: *number,
                sent_at: mail.sent_at,
            }),
        );
        add(
            &mut lines,
            self.tasks.iter().map(|((run, seq), record)| TaskRow {
                id: record.task.id,
                run_id: run.0,
                seq: seq.0 as i32,
                state: record.state.to_owned(),
                reason: record.task.spec.reason.clone(),
                deadline: record.task.spec.deadline,
            }),
        );
        add(
            &mut lines,
            self.keys.iter().map(|((tenant, workflow, key), (run, _))| KeyRow {
                tenant: tenant.clone(),
                workflow: workflow.clone(),
                key: key.clone(),
                run_id: run.0,
            }),
        );
        add(
            &mut lines,
            self.slots.iter().map(|((run, seq, name), record)| SlotRow {
                run_id: run.0,
                seq: seq.0 as i32,
                name: name.clone(),
                tenant: record.key.tenant.clone(),
                key: record.key.key.clone(),
                of_run: record.of_run,
                priority: record.priority,
                share: record.share.clone(),
                turn: record.turn,
                since: record.since,
                held: record.held,
                replaced: record.replaced,
            }),
        );
        add(
            &mut lines,
            self.slots_of_life.iter().map(|(key, run)| LifeRow {
                tenant: key.tenant.clone(),
                name: key.limit.clone(),
                key: key.key.clone(),
                run_id: run.0,
            }),
        );
        add(
            &mut lines,
            self.limit_keys.iter().map(|(key, record)| LimitKeyRow {
                tenant: key.tenant.clone(),
                name: key.limit.clone(),
                key: key.key.clone(),
                full_at: record.full_at,
                turn: record.turn,
                quiet_from: record.quiet_from,
            }),
        );
        add(&mut lines, self.sessions.iter().map(|(id, record)| session_row(*id, record)));
        add(
            &mut lines,
            self.shards.iter().zip(0..).map(|(record, shard)| ShardRow {
                shard,
                owner: record.owner.map(|owner| owner.0),
                expires_at: record.expires_at,
            }),
        );
        lines
    }

    fn run_row(&self, run: RunId, record: &RunRecord) -> RunRow {
        let row = &record.row;
        let live = !record.ended;
        let last = self.journal.get(&run).and_then(|journal| journal.last());
        RunRow {
            id: run.0,
            ended: record.ended,
            tenant: record.identity.tenant.clone(),
            workflow: record.identity.workflow.clone(),
            status: row.status.as_str().to_owned(),
            paused: live && row.paused,
            revision: record.revision as i32,
            build: row.build,
            waits_for_build: row.waits_for_build.filter(|_| live),
            reason: row.reason.as_ref().filter(|_| live).map(|reason| json!(reason)),
            unserved_seq: record.unserved.map(|seq| seq.0 as i32),
            status_line: row.status_line.clone(),
            error_code: row.error_code.clone(),
            figures: row.figures.as_ref().map(|figures| json!(figures)),
            journal_from: row.journal_from.map(|revision| revision as i32),
            at: last.map_or(Timestamp::UNIX_EPOCH, |last| last.chunk.at),
        }
    }
}

fn add<T: Debug>(lines: &mut Vec<String>, rows: impl Iterator<Item = T>) {
    lines.extend(rows.map(|row| format!("{row:?}")));
}

fn step_row((run, seq): (RunId, Seq), record: &StepRecord) -> StepRow {
    let lease = record.lease;
    StepRow {
        run_id: run.0,
        seq: seq.0 as i32,
        shard: run.shard(),
        name: record.name.clone(),
        queue: record.queue.clone(),
        priority: record.priority,
        labels: Some(&record.labels).filter(|labels| !labels.is_empty()).map(|labels| json!(labels)),
        wants: record.wants.map(|session| session.0),
        prefers: Some(&record.prefers).filter(|prefers| !prefers.is_empty()).cloned(),
        state: record.state.as_str().to_owned(),
        attempt: record.attempt.0 as i32,
        gated: record.gated,
        timeout_ms: record.timeout_ms as i64,
        available_at: record.available_at,
        ticketed_at: record.ticketed_at,
        lease_id: lease.map(|lease| lease.id.0),
        session_id: lease.map(|lease| lease.session.0),
        granted_at: lease.map(|lease| lease.granted_at),
        deadline: lease.map(|lease| lease.deadline),
        effect_begun: record.effect_begun,
        missed: record.missed as i16,
    }
}

fn session_row(id: SessionId, record: &SessionRecord) -> SessionRow {
    let kind = match record.kind {
        SessionKind::Worker => "worker",
        SessionKind::Engine => "engine",
    };
    SessionRow {
        id: id.0,
        kind: kind.to_owned(),
        name: record.name.clone(),
        queues: record.queues.clone(),
        labels: Value::from_iter(record.labels.clone()),
        slots: record.slots as i32,
        free_slots: record.free_slots as i32,
        draining: record.draining,
        opened_at: record.opened_at,
        seen_at: record.seen_at,
        expires_at: Some(record.expires_at).filter(|at| *at > Timestamp::MIN_UTC),
    }
}
