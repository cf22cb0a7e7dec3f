//! Group commit without linger: what queued up while the last commit ran is the next batch.
//!
//! Everything outward follows the commit: answers, tickets, messages to other runs, near timers, events.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use valet_core::command::Command;
use valet_core::id::RunId;
use valet_core::journal::{Entry, Op};
use valet_core::payload::Payload;
use valet_core::transition::{StepChange, StepState, TimerChange, Transition};
use valet_crash_points::crash_point;

use crate::audit::Deed;
use crate::bounds::{COMMIT_BYTES_MAX, COMMIT_PATIENCE, COMMIT_ROWS_MAX, TRANSITIONS_PER_COMMIT_MAX};
use crate::executor::{CommandError, Message, Pending};
use crate::ports::Entropy;
use crate::routes::Routes;
use crate::store::{CommitBatch, DueTicket, Store, StoreError};

/// First pause after a commit that could not be sent; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Commits for one partition of runs.
pub struct Writer<S: ?Sized> {
    pub index: usize,
    pub store: Arc<S>,
    pub entropy: Arc<dyn Entropy>,
    pub routes: Arc<Routes>,
}

impl<S: Store + ?Sized> Writer<S> {
    /// Commits until the channel closes.
    pub async fn run(self, mut queue: mpsc::UnboundedReceiver<Pending>) {
        let mut waiting = Vec::with_capacity(TRANSITIONS_PER_COMMIT_MAX);
        while queue.recv_many(&mut waiting, TRANSITIONS_PER_COMMIT_MAX).await > 0 {
            while !waiting.is_empty() {
                let rest = waiting.split_off(batch_len(&waiting));
                let batch = std::mem::replace(&mut waiting, rest);
                self.commit(batch).await;
            }
        }
    }

    /// Commits a batch; on bad data halves it until only the culprit is left.
    async fn commit(&self, batch: Vec<Pending>) {
        let mut stack = vec![batch];
        while let Some(mut batch) = stack.pop() {
            match self.commit_once(&batch).await {
                Ok(committed) => self.settle(batch, &committed),
                Err(error) if error.is_of_one() && batch.len() > 1 => {
                    tracing::warn!(%error, transitions = batch.len(), "bad data in a commit: halving it");
                    let rest = batch.split_off(batch.len() / 2);
                    stack.push(rest);
                    stack.push(batch);
                }
                Err(error) if error.is_of_one() => {
                    tracing::error!(%error, "a transition is refused by the database");
                    self.give_up(batch, &CommandError::BadData);
                }
                Err(error) => {
                    tracing::error!(%error, transitions = batch.len(), "a commit's outcome is not known");
                    self.give_up(batch, &CommandError::Unknown);
                }
            }
        }
    }

    /// Sends one batch until its outcome is known or patience ends. The id stays, so that a commit whose answer was lost
    /// is found.
    async fn commit_once(&self, pending: &[Pending]) -> Result<std::collections::HashSet<RunId>, StoreError> {
        let batch = CommitBatch {
            id: self.entropy.uuid(),
            transitions: pending.iter().map(|p| Arc::clone(&p.transition)).collect(),
            deeds: pending.iter().flat_map(deeds).collect(),
            backlogged: self.routes.backlogged(),
        };
        metrics::histogram!("valet_commit_transitions").record(batch.transitions.len() as f64);
        let started = Instant::now();
        let mut pause = PAUSE_MIN;
        crash_point!(EngineFinishDecided if finishes(pending));
        loop {
            crash_point!(EngineCommitBefore);
            match self.store.commit(self.index, &batch).await {
                Err(error) if error.is_transient() && started.elapsed() < COMMIT_PATIENCE => {
                    tracing::warn!(%error, "a commit is sent again");
                    metrics::counter!("valet_commit_retries_total").increment(1);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Ok(committed) => {
                    crash_point!(EngineCommitAfter);
                    let kept = || pending.iter().filter(|p| committed.contains(&p.transition.run()));
                    crash_point!(EngineFinishCommitted if finishes(kept()));
                    crash_point!(EngineFinalizerStarted if starts_finalizer(kept()));
                    metrics::histogram!("valet_commit_seconds").record(started.elapsed().as_secs_f64());
                    let backlogged = &batch.backlogged;
                    self.dispatch(&batch.transitions, &committed, backlogged);
                    return Ok(committed);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Tickets, timers, events and messages of what was committed.
    fn dispatch(
        &self,
        transitions: &[Arc<Transition>],
        committed: &std::collections::HashSet<RunId>,
        backlogged: &std::collections::HashSet<String>,
    ) {
        let (mut tickets, mut freed, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for transition in transitions.iter().filter(|t| committed.contains(&t.run())) {
            for change in &transition.steps {
                let (StepChange::Insert(row) | StepChange::Update(row)) = change else { continue };
                if row.state == StepState::Ready && !row.gated {
                    self.routes.step_became_ready();
                }
                if crate::store::postgres::is_ticketed(row, backlogged) {
                    let (queue, prefers) = (row.policy.queue.clone(), row.prefers());
                    let (run, seq, attempt) = (transition.run(), row.seq, row.attempt);
                    tickets.push(DueTicket { queue, prefers, run, seq, attempt });
                } else if let StepState::BackingOff(until) = row.state {
                    self.routes.wake_at(until);
                }
            }
            freed.extend(transition.freed.iter().cloned());
            for timer in &transition.timers {
                if let TimerChange::Set { at, .. } = timer {
                    self.routes.wake_at(*at);
                }
            }
            if transition.gate == Some(false) {
                self.routes.look_for_backlog();
            }
            for row in &transition.outbox {
                let command =
                    Command::Inbox { from: transition.run(), from_seq: row.number, message: row.message.clone() };
                self.routes.send(row.to, command);
            }
            ended.extend(transition.ended().then_some(transition.run()));
            self.routes.changed(transition.run(), transition.ended());
        }
        if !tickets.is_empty() {
            self.routes.push(tickets);
        }
        self.routes.admit(freed);
        self.routes.admit_after(ended);
    }

    fn settle(&self, batch: Vec<Pending>, committed: &std::collections::HashSet<RunId>) {
        let mut done = Vec::with_capacity(batch.len());
        let mut refused = Vec::new();
        for pending in batch {
            if !committed.contains(&pending.transition.run()) {
                refused.push(pending);
                continue;
            }
            done.push(pending.transition.run());
            for (work, reply) in pending.work.into_iter().zip(pending.replies) {
                work.answer(reply.map_err(CommandError::from));
            }
        }
        if !refused.is_empty() {
            metrics::counter!("valet_commit_refused_total").increment(refused.len() as u64);
            self.routes.tell(self.index, Message::Refused(refused));
        }
        if !done.is_empty() {
            self.routes.tell(self.index, Message::Committed(done));
        }
    }

    fn give_up(&self, batch: Vec<Pending>, error: &CommandError) {
        let mut runs = Vec::with_capacity(batch.len());
        for pending in batch {
            runs.push(pending.transition.run());
            for work in pending.work {
                work.answer(Err(error.clone()));
            }
        }
        self.routes.tell(self.index, Message::Forget(runs));
    }
}

/// What was accepted of what somebody asked for.
fn deeds(pending: &Pending) -> impl Iterator<Item = (RunId, Deed)> {
    let run = pending.transition.run();
    let accepted = pending.work.iter().zip(&pending.replies).filter(|(_, reply)| reply.is_ok());
    accepted.filter_map(move |(work, _)| work.deed.as_deref().map(|deed| (run, deed.clone())))
}

/// Whether a finish is among them.
fn finishes<'a>(pending: impl IntoIterator<Item = &'a Pending>) -> bool {
    pending.into_iter().flat_map(|p| &p.work).any(|work| matches!(work.command, Command::Finish(_)))
}

/// Whether a finalizer begins with one of them.
fn starts_finalizer<'a>(pending: impl IntoIterator<Item = &'a Pending>) -> bool {
    let begins =
        |entry: &Entry| matches!(entry, Entry::FinalizerStarted { .. } | Entry::Op { op: Op::FinallyNow { .. }, .. });
    pending.into_iter().any(|p| p.transition.chunk.entries.iter().any(begins))
}

/// How many of the waiting transitions go into the next commit: bounded by rows and bytes besides their number.
fn batch_len(waiting: &[Pending]) -> usize {
    let (mut rows, mut bytes) = (0, 0);
    for (index, pending) in waiting.iter().enumerate() {
        let transition = &pending.transition;
        rows += 2 + transition.steps.len() + transition.timers.len() + transition.tasks.len() + transition.outbox.len();
        rows += transition.event_waits.len();
        bytes += weight_bytes(transition);
        if index > 0 && (rows > COMMIT_ROWS_MAX || bytes > COMMIT_BYTES_MAX) {
            return index;
        }
    }
    waiting.len()
}

fn weight_bytes(transition: &Transition) -> usize {
    use valet_core::journal::Resolution;
    let entry_bytes = |entry: &Entry| match entry {
        Entry::Started { input, definition, .. } => {
            input.len_bytes() + definition.as_ref().map_or(0, Payload::len_bytes)
        }
        Entry::Continued { input, .. } => input.len_bytes(),
        Entry::Mended { definition, .. } => definition.as_ref().map_or(0, Payload::len_bytes),
        Entry::Op { op: Op::Step(step) | Op::Finally(step) | Op::Compensate(step), .. } => step.input.len_bytes(),
        Entry::Op { op: Op::Child { input: payload, .. } | Op::Value { value: payload, .. }, .. } => {
            payload.len_bytes()
        }
        Entry::Op { op: Op::Memo { memo }, .. } => memo.len_bytes(),
        Entry::Resolved { with: Resolution::StepDone { output, .. }, .. } => output.len_bytes(),
        Entry::SignalKept { payload, .. } => payload.len_bytes(),
        _ => 64,
    };
    transition.chunk.entries.iter().map(entry_bytes).sum()
}
