//! `load_runs.sql`, `load_steps.sql`, `load_journal.sql`, `find_idempotent.sql`, `definitions.sql`, `load_inbox.sql`,
//! `discard_inbox.sql`.

use valet_core::decide::{StoredRun, StoredStep};
use valet_core::id::RunId;
use valet_core::payload::Payload;
use valet_core::run::Identity;
use valet_core::transition::StepState;
use valet_engine::store::{DeclaredName, Loaded, StoredMessage};

use super::Tables;
use crate::variant::BrokenVariant;

/// Messages read by one statement.
const MESSAGES_PER_LOAD_MAX: usize = 1_000;

/// A run's row as one statement of a load found it.
pub(crate) struct FoundRun {
    identity: Identity,
    revision: u32,
    build: i64,
    ended: bool,
    journal_from: u32,
}

impl Tables {
    /// All three at one instant.
    pub fn load(&self, runs: &[RunId]) -> Vec<(RunId, Loaded)> {
        self.with_journals(self.find_runs(runs), self.find_steps(runs), runs)
    }

    pub fn find_runs(&self, runs: &[RunId]) -> Vec<FoundRun> {
        let found = runs.iter().filter_map(|run| self.runs.get(run));
        found
            .map(|record| FoundRun {
                identity: record.identity.clone(),
                revision: record.revision,
                build: record.row.build,
                ended: record.ended,
                journal_from: record.row.journal_from.unwrap_or(1),
            })
            .collect()
    }

    pub fn find_steps(&self, runs: &[RunId]) -> Vec<Vec<StoredStep>> {
        let stored = |run: RunId, seq, record: &super::StepRecord| StoredStep {
            seq,
            attempt: record.attempt,
            granted: record.lease.map(|lease| lease.id),
            slots: self.stored_slots((run, seq)),
            blocked: record.state == StepState::Blocked,
        };
        runs.iter().map(|run| self.steps_of(*run).map(|(seq, record)| stored(*run, seq, record)).collect()).collect()
    }

    /// The journals of what was found, cut off where its rows were read.
    pub fn with_journals(
        &self,
        found: Vec<FoundRun>,
        mut steps: Vec<Vec<StoredStep>>,
        runs: &[RunId],
    ) -> Vec<(RunId, Loaded)> {
        let mut loaded = Vec::with_capacity(found.len());
        let late = u32::from(self.is_broken(BrokenVariant::ReadTooLate));
        for run in found {
            let from = if run.journal_from > 1 { run.journal_from + late } else { 1 };
            let id = run.identity.id;
            let place = runs.iter().position(|wanted| *wanted == id);
            let rows = place.and_then(|at| steps.get_mut(at)).map(std::mem::take).unwrap_or_default();
            let chunks = self.journal.get(&id).into_iter().flatten().map(|committed| committed.chunk.clone());
            let stored = StoredRun {
                identity: run.identity,
                revision: run.revision,
                build: run.build,
                chunks: chunks.filter(|chunk| (from..=run.revision).contains(&chunk.revision)).collect(),
                rows,
            };
            loaded.push((id, if run.ended { Loaded::Ended(stored) } else { Loaded::Live(stored) }));
        }
        loaded
    }

    pub fn find_idempotent(&self, tenant: &str, workflow: &str, key: &str) -> Option<(RunId, Vec<u8>)> {
        let found = self.keys.get(&(tenant.to_owned(), workflow.to_owned(), key.to_owned()))?;
        Some((found.0, found.1.to_vec()))
    }

    pub fn definitions(&self, names: &[DeclaredName]) -> Vec<(DeclaredName, Payload)> {
        names.iter().filter_map(|name| Some((name.clone(), self.declared.get(name)?.clone()))).collect()
    }

    pub fn load_inbox(&self, to: &[RunId]) -> Vec<StoredMessage> {
        let mut found: Vec<_> = self.inbox.iter().filter(|((target, ..), _)| to.contains(target)).collect();
        found.sort_by_key(|((_, _, number), mail)| (mail.sent_at, *number));
        let messages = found.into_iter().take(MESSAGES_PER_LOAD_MAX);
        messages
            .map(|((to, from, number), mail)| StoredMessage {
                to: *to,
                from: *from,
                number: *number,
                message: mail.message.clone(),
            })
            .collect()
    }

    pub fn discard_inbox(&mut self, to: RunId, from: RunId, number: i64) {
        if self.runs.get(&to).is_some_and(|record| record.ended) {
            self.inbox.remove(&(to, from, number));
        }
    }
}
