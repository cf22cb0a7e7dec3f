//! `show_again.sql`, `show_unserved.sql`: what the tick writes into runs' rows for people, without a revision.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use valet_core::Timestamp;
use valet_core::id::{RunId, Seq};
use valet_core::run::{Reason, Status};
use valet_core::transition::StepState;
use valet_engine::store::SessionKind;

use super::audit::StepKey;
use super::{RunRecord, StepRecord, Tables};

/// Runs that one statement lets show that nobody serves them, of one queue, and that they are served again.
const SHOWN_MAX: usize = 1_000;

impl Tables {
    /// Runs whose backed-off step the tick made ready.
    pub(super) fn show_again(&mut self, ready: &[StepKey]) {
        for (run, seq) in ready {
            let at = (*run, *seq);
            let blocked = self.steps.get(&at).is_some_and(|step| step.state == StepState::Blocked);
            let limit = self.slots_of(at).next().filter(|_| blocked).map(|(_, slot)| slot.key.clone());
            let name = self.steps.get(&at).map(|record| record.name.clone());
            let (Some(name), Some(record)) = (name, self.runs.get_mut(run)) else { continue };
            let backs_off = matches!(record.row.reason, Some(Reason::BackingOff { seq: of, .. }) if of == *seq);
            if record.row.status == Status::Waiting && backs_off {
                record.row.reason = Some(if let Some(of) = limit {
                    Reason::Limit { name, seq: *seq, limit: of.limit, key: of.key }
                } else {
                    record.row.status = Status::Running;
                    Reason::Step { name, seq: *seq }
                });
            }
        }
    }

    /// Whether `show_unserved.sql` has anything to look at.
    pub(super) fn may_be_unserved(&self) -> bool {
        self.steps.values().any(is_labelled) || self.runs.values().any(|record| record.unserved.is_some())
    }

    /// Runs whose step requires labels that no live worker has say so, and no longer once one has them.
    pub(super) fn show_unserved(&mut self, now: Timestamp) {
        let lone: BTreeSet<String> = self
            .steps
            .values()
            .filter(|record| is_labelled(record) && !self.is_pulled(&record.queue, now))
            .map(|record| record.queue.clone())
            .collect();
        let waits = |(key, record): (&StepKey, &StepRecord)| {
            let late = record.available_at < now - TimeDelta::seconds(2);
            let shows = |run: &RunRecord| {
                matches!(run.row.status, Status::Running | Status::Closing)
                    && matches!(run.row.reason, Some(Reason::Step { seq, .. }) if seq == key.1)
            };
            (is_labelled(record) && late && lone.contains(&record.queue) && self.runs.get(&key.0).is_some_and(shows))
                .then_some(*key)
        };
        let due: Vec<StepKey> = self.steps.iter().filter_map(waits).take(SHOWN_MAX).collect();
        let still = |run: RunId, seq: Seq| {
            let step = self.steps.get(&(run, seq));
            step.is_some_and(|step| step.state == StepState::Ready && lone.contains(&step.queue))
        };
        let over = self.runs.iter().filter(|(run, record)| {
            let shown = record.unserved.is_some_and(|seq| !still(**run, seq));
            shown && !due.iter().any(|(of, _)| of == *run)
        });
        let over: Vec<RunId> = over.map(|(run, _)| *run).take(SHOWN_MAX).collect();
        for run in over {
            let Some(record) = self.runs.get_mut(&run) else { continue };
            record.unserved = None;
            record.row.reason = record.row.reason.take().map(|reason| match reason {
                Reason::NoWorker { name, seq, .. } => Reason::Step { name, seq },
                other => other,
            });
        }
        for (run, seq) in due {
            let (Some(step), Some(record)) = (self.steps.get(&(run, seq)), self.runs.get_mut(&run)) else { continue };
            record.unserved = Some(seq);
            let (name, labels) = (step.name.clone(), step.labels.clone());
            record.row.reason = Some(Reason::NoWorker { name, seq, labels });
        }
    }

    fn is_pulled(&self, queue: &String, now: Timestamp) -> bool {
        self.sessions.values().any(|record| {
            record.kind == SessionKind::Worker && record.expires_at > now && record.queues.contains(queue)
        })
    }
}

fn is_labelled(record: &StepRecord) -> bool {
    record.state == StepState::Ready && !record.labels.is_empty() && record.wants.is_none()
}
