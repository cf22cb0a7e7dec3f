//! `add_pause.sql`, `remove_pause.sql`, `ticket_again.sql`, and the functions `pauses_of_step` and `pauses_of_worker`, which
//! the statements that grant ask.

use valet_core::id::{RunId, Seq, SessionId};
use valet_core::run::Status;
use valet_core::transition::StepState;
use valet_engine::pauses::{EVERYBODY, PauseScope, Paused};
use valet_engine::store::SessionKind;

use super::audit::StepKey;
use super::{StepRecord, Tables};

impl Tables {
    pub fn add_pause(&mut self, what: &Paused) {
        if !self.pauses.contains(what) {
            self.pauses.push(what.clone());
        }
    }

    /// Whether it was paused.
    pub fn remove_pause(&mut self, what: &Paused) -> bool {
        let before = self.pauses.len();
        self.pauses.retain(|pause| pause != what);
        self.pauses.len() < before
    }

    /// Steps that this pause no longer holds get tickets again at once.
    pub fn ticket_again(&mut self, what: &Paused) {
        let runs = &self.runs;
        let was_held = |run: &RunId, record: &StepRecord| {
            let Some(of) = runs.get(run).map(|of| &of.identity) else { return false };
            Self::is_of(what, &of.tenant)
                && match what.scope {
                    PauseScope::Workflow => of.workflow == what.name,
                    PauseScope::Queue => is_queue_or_beside(&record.queue, &what.name),
                    PauseScope::Engine | PauseScope::Tenant | PauseScope::Worker => true,
                }
        };
        for ((run, _), record) in &mut self.steps {
            if record.state == StepState::Ready && was_held(run, record) {
                record.ticketed_at = None;
            }
        }
    }

    fn is_of(pause: &Paused, tenant: &str) -> bool {
        pause.tenant == EVERYBODY || pause.tenant == tenant
    }

    /// A pause keeps the step from whoever would take it. Clean-ups of a closing run go on under that of its workflow or tenant.
    pub fn holds_step(&self, run: RunId, queue: &str) -> bool {
        if self.pauses.is_empty() {
            return false;
        }
        let Some(record) = self.runs.get(&run) else { return false };
        let closing = record.row.status == Status::Closing;
        let mut pauses = self.pauses.iter().filter(|pause| Self::is_of(pause, &record.identity.tenant));
        pauses.any(|pause| match pause.scope {
            PauseScope::Engine => true,
            PauseScope::Tenant => !closing,
            PauseScope::Workflow => !closing && pause.name == record.identity.workflow,
            PauseScope::Queue => is_queue_or_beside(queue, &pause.name),
            PauseScope::Worker => false,
        })
    }

    /// A pause holds what is delivered to the run.
    pub fn holds_run(&self, run: RunId) -> bool {
        let Some(record) = self.runs.get(&run) else { return false };
        let mut pauses = self.pauses.iter().filter(|pause| Self::is_of(pause, &record.identity.tenant));
        pauses.any(|pause| match pause.scope {
            PauseScope::Engine | PauseScope::Tenant => true,
            PauseScope::Workflow => pause.name == record.identity.workflow,
            PauseScope::Queue | PauseScope::Worker => false,
        })
    }

    /// By its session, or by the name that it bears.
    pub fn holds_worker(&self, session: SessionId) -> bool {
        let Some(record) = self.sessions.get(&session) else { return false };
        let mut pauses = self.pauses.iter().filter(|pause| pause.scope == PauseScope::Worker);
        pauses
            .any(|pause| pause.tenant == EVERYBODY && (pause.name == record.name || pause.name == session.to_string()))
    }

    /// Steps that pauses hold now.
    pub(super) fn held_steps(&self) -> Vec<StepKey> {
        if self.pauses.is_empty() {
            return Vec::new();
        }
        let held = self.steps.iter().filter(|((run, _), record)| self.holds_step(*run, &record.queue));
        held.map(|(key, _)| *key).collect()
    }

    /// Names of workers whose sessions are open.
    pub fn worker_names(&self) -> Vec<String> {
        let workers = self.sessions.values().filter(|record| record.kind == SessionKind::Worker);
        workers.map(|record| record.name.clone()).collect()
    }

    /// What is granted while a pause holds it was never to be.
    pub(super) fn audit_pauses(&mut self, run: RunId, seq: Seq, session: SessionId) {
        let held = self.steps.get(&(run, seq)).is_some_and(|record| self.holds_step(run, &record.queue));
        if held || self.holds_worker(session) {
            let pauses: Vec<_> =
                self.pauses.iter().map(|pause| format!("{} {}", pause.scope.as_str(), pause.name)).collect();
            self.audit.complain(run, format!("step {seq} was granted while a pause holds it: {}", pauses.join(", ")));
        }
    }
}

/// `is_queue_or_beside`: the queue, or one beside it: of a host, of labels, of one worker.
fn is_queue_or_beside(queue: &str, of: &str) -> bool {
    let beside = |rest: &str| rest.is_empty() || [".on.", ".with.", ".of."].iter().any(|mark| rest.starts_with(mark));
    queue.strip_prefix(of).is_some_and(beside)
}
