//! A run as people see it: its row, and the story its journal tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use valet_core::Timestamp;
use valet_core::id::{RunId, Seq};
use valet_core::journal::{AttemptEnd, Carried, Chunk, Entry, Op, Resolution, RunOutcome, StepOp};
use valet_core::payload::Payload;
use valet_core::step::Failure;
use valet_protocol::api::{ForkedFrom, RunDetail, RunError, RunSummary, StepView, TaskView};

use super::{App, Fault, mask};
use crate::access::Reach;
use crate::bounds::PAGE_ROWS_MAX;
use crate::pauses::PauseScope;
use crate::store::StoreError;
use crate::store::postgres::queries::{LiveStepRecord, RunRecord, TaskRecord};

/// Every status that a run can show.
pub(super) const STATUSES: [&str; 9] =
    ["queued", "running", "waiting", "closing", "stuck", "succeeded", "failed", "cancelled", "timed_out"];

pub(super) fn summary(app: &App, record: &RunRecord) -> RunSummary {
    let figures = record.figures.as_ref().map(|figures| figures.0.clone()).unwrap_or_default();
    RunSummary {
        id: RunId(record.id).to_string(),
        workflow: record.workflow.clone(),
        subject: record.subject.clone(),
        plan: record.plan.clone(),
        attributes: record.attributes.0.clone(),
        status: record.status.clone(),
        paused: record.paused,
        paused_by_scope: paused_by(app, record).map(|scope| scope.as_str().to_owned()),
        reason: record.reason.as_ref().map(|reason| reason.0.clone()),
        status_line: record.status_line.clone(),
        error_code: record.error_code.clone(),
        progress: figures.progress,
        spent_usd_micros: Some(figures.spent_micros).filter(|micros| *micros > 0),
        budget_usd_micros: figures.budget_micros,
        revision: record.revision as u32,
        created_at: record.created_at,
        updated_at: record.updated_at,
        ended_at: record.ended_at,
    }
}

/// The pause over a live run. Under that of its workflow or tenant a closing run goes on.
fn paused_by(app: &App, record: &RunRecord) -> Option<PauseScope> {
    let scope = app.engine.holds.over_run(&record.tenant, &record.workflow).filter(|_| record.ended_at.is_none())?;
    (record.status != "closing" || scope == PauseScope::Engine).then_some(scope)
}

pub(super) fn task(record: TaskRecord) -> TaskView {
    TaskView {
        id: valet_core::id::TaskId(record.id).to_string(),
        run: record.run.to_string(),
        workflow: record.workflow,
        state: record.state,
        reason: record.spec.reason,
        title: record.spec.title,
        form: value(&record.spec.form),
        context: value(&record.spec.context),
        deadline: record.deadline,
        opened_at: record.opened_at,
        claimed_by: record.claimed_by,
        ended_by: record.ended_by,
        link: None,
    }
}

pub(super) async fn detail(app: &App, tenant: &str, record: RunRecord) -> Result<RunDetail, Fault> {
    let store = &app.engine.store;
    let run = RunId(record.id);
    let everybody = Reach::default();
    let (chunks, live, tasks) = tokio::try_join!(
        store.journal(run),
        store.find_live_steps(run),
        store.list_tasks(tenant, Some(run), None, PAGE_ROWS_MAX, &everybody)
    )?;
    let story = Story::of(&chunks);
    let mut summary = summary(app, &record);
    // The journal was read after the row: show one moment, not two.
    summary.revision = chunks.last().map_or(summary.revision, |chunk| chunk.revision);
    let steps = with_live(story.steps, &live);
    let waits = steps.iter().filter(|step| step.state == "ready");
    if summary.paused_by_scope.is_none()
        && waits.map(|step| &step.queue).any(|queue| app.engine.holds.is_queue_paused(tenant, queue))
    {
        summary.paused_by_scope = Some(PauseScope::Queue.as_str().to_owned());
    }
    Ok(RunDetail {
        run: summary,
        input: story.input,
        output: story.output,
        error: story.error,
        steps,
        tasks: tasks.into_iter().map(task).collect(),
        parent: record.parent_run.map(|id| RunId(id).to_string()),
        memo: story.memo,
        forked_from: story.forked_from,
        entries: Some(story.entries),
        generation: Some(story.generation).filter(|generation| *generation > 0),
    })
}

/// How a run stands, and what came of it: all that somebody who started it waits for.
pub(super) struct Standing {
    pub record: RunRecord,
    pub output: Option<Value>,
    pub error: Option<RunError>,
}

/// `None`: there is no such run.
pub(super) async fn standing(app: &App, tenant: &str, run: RunId) -> Result<Option<Standing>, StoreError> {
    let store = &app.engine.store;
    // Both at once: whoever waits for an end asks when it is there, as a rule.
    let (record, chunks) = tokio::try_join!(store.find_run(tenant, run), store.journal(run))?;
    let Story { output, error, .. } = Story::of(&chunks);
    Ok(record.map(|record| Standing { record, output, error }))
}

#[derive(Default)]
struct Story {
    input: Value,
    output: Option<Value>,
    error: Option<RunError>,
    steps: BTreeMap<Seq, StepView>,
    finalizers: BTreeMap<Seq, Arc<StepOp>>,
    memo: Option<Value>,
    forked_from: Option<ForkedFrom>,
    entries: u32,
    generation: u32,
}

impl Story {
    fn of(chunks: &[Chunk]) -> Self {
        let mut story = Self::default();
        for chunk in chunks {
            for entry in &chunk.entries {
                story.entry(entry, chunk.at);
            }
        }
        story
    }

    fn entry(&mut self, entry: &Entry, at: Timestamp) {
        self.entries += 1;
        match entry {
            Entry::Started { input, .. } => self.input = value(input),
            Entry::Continued { input, carried } => self.goes_on(value(input), carried),
            Entry::Forked { from, entry, by } => {
                self.forked_from = Some(ForkedFrom { run: from.to_string(), entry: *entry, by: by.clone() });
            }
            Entry::Op { op: Op::Memo { memo }, .. } => self.memo = Some(value(memo)),
            Entry::Op { seq, op: Op::Step(op) } => self.asked(*seq, op, at),
            Entry::Op { seq, op: Op::Finally(op) | Op::Compensate(op) } => {
                self.finalizers.insert(*seq, Arc::clone(op));
            }
            Entry::Op { seq, op: Op::FinallyNow { of, .. } } => self.finalizing(*seq, *of, at),
            Entry::FinalizerStarted { seq, .. } => self.finalizing(*seq, *seq, at),
            Entry::Dropped { seq } | Entry::StepStopped { seq, .. } => self.ended(*seq, "cancelled", at),
            Entry::InputChanged { seq, input, .. } => {
                if let Some(step) = self.steps.get_mut(seq) {
                    step.input = value(input);
                }
            }
            Entry::Killed { cleanup, .. } => {
                let live = self.steps.iter().filter(|(_, step)| step.ended_at.is_none());
                let going = live.filter(|(seq, _)| !(*cleanup && self.finalizers.contains_key(seq)));
                for seq in going.map(|(seq, _)| *seq).collect::<Vec<_>>() {
                    self.ended(seq, "cancelled", at);
                }
            }
            Entry::AttemptEnded { seq, attempt, why, .. } => {
                if let Some(step) = self.steps.get_mut(seq) {
                    step.attempt = attempt.0 + 1;
                    if let AttemptEnd::Failed(failure) = why {
                        step.error = Some(error(failure));
                    }
                }
            }
            Entry::Resolved { seq, with } | Entry::Held { seq, with } => self.resolved(*seq, with, at),
            Entry::Closing { outcome } => match outcome {
                RunOutcome::Succeeded { output } => self.output = Some(value(output)),
                RunOutcome::Failed { error: failure } | RunOutcome::TimedOut { error: failure } => {
                    self.error = Some(error(failure));
                }
                RunOutcome::Cancelled { by, reason } => {
                    self.error = Some(error(&Failure::new("cancelled", format!("cancelled by {by}: {reason}"))));
                }
            },
            _ => {}
        }
    }

    fn asked(&mut self, seq: Seq, op: &StepOp, at: Timestamp) {
        let view = StepView {
            seq: seq.0,
            name: op.name.clone(),
            queue: op.policy.queue.clone(),
            state: "ready".to_owned(),
            attempt: 1,
            asked_at: at,
            ended_at: None,
            error: None,
            input: value(&op.input),
            output: None,
        };
        self.steps.insert(seq, view);
    }

    /// What is shown is the journal at hand.
    fn goes_on(&mut self, input: Value, carried: &Carried) {
        let finalizers = carried.finalizers.iter().map(|f| (f.seq, Arc::clone(&f.op))).collect();
        let memo = carried.memo.as_ref().map(value);
        *self = Self { input, finalizers, memo, entries: 1, generation: carried.generation, ..Self::default() };
    }

    fn finalizing(&mut self, seq: Seq, of: Seq, at: Timestamp) {
        if let Some(op) = self.finalizers.get(&of).cloned() {
            self.asked(seq, &op, at);
        }
    }

    fn ended(&mut self, seq: Seq, state: &str, at: Timestamp) {
        if let Some(step) = self.steps.get_mut(&seq) {
            state.clone_into(&mut step.state);
            step.ended_at = Some(at);
        }
    }

    fn resolved(&mut self, seq: Seq, with: &Resolution, at: Timestamp) {
        match with {
            Resolution::StepDone { output, .. } => {
                self.ended(seq, "succeeded", at);
                if let Some(step) = self.steps.get_mut(&seq) {
                    step.error = None;
                    step.output = Some(value(output));
                }
            }
            Resolution::StepFailed { failure, .. } => {
                self.ended(seq, "failed", at);
                if let Some(step) = self.steps.get_mut(&seq) {
                    step.error = Some(error(failure.failure()));
                }
            }
            _ => {}
        }
    }
}

/// Live rows know what the journal does not: whether a step is granted.
fn with_live(mut steps: BTreeMap<Seq, StepView>, live: &[LiveStepRecord]) -> Vec<StepView> {
    for row in live {
        if let Some(step) = steps.get_mut(&Seq(row.seq as u32)).filter(|step| step.ended_at.is_none()) {
            step.state.clone_from(&row.state);
            step.attempt = row.attempt as u32;
        }
    }
    steps.into_values().collect()
}

fn error(failure: &Failure) -> RunError {
    RunError {
        code: failure.code.clone(),
        message: failure.message.clone(),
        details: failure.details.as_ref().map(value),
    }
}

/// As a viewer sees it: ids, states, names, codes and times.
pub(super) fn masked(app: &App, mut detail: RunDetail) -> RunDetail {
    let schema = app.engine.registry.get(&detail.run.workflow).map_or(&Value::Null, |workflow| &workflow.input_schema);
    detail.input = mask::shown(&detail.input, schema);
    detail.output = detail.output.as_ref().map(mask::hidden);
    detail.error = detail.error.map(masked_error);
    detail.memo = detail.memo.as_ref().map(mask::hidden);
    for step in &mut detail.steps {
        step.input = mask::hidden(&step.input);
        step.output = step.output.as_ref().map(mask::hidden);
        step.error = step.error.take().map(masked_error);
    }
    detail.tasks = detail.tasks.into_iter().map(masked_task).collect();
    detail
}

pub(super) fn masked_task(task: TaskView) -> TaskView {
    TaskView { form: mask::hidden(&task.form), context: mask::hidden(&task.context), link: None, ..task }
}

fn masked_error(error: RunError) -> RunError {
    RunError { code: error.code, message: mask::HIDDEN.to_owned(), details: error.details.as_ref().map(mask::hidden) }
}

/// A payload as a value; what cannot be read shows as null.
pub(super) fn value(payload: &Payload) -> Value {
    payload.read().unwrap_or(Value::Null)
}
