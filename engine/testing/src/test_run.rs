//! A run that came to its end: what it did, and questions that tests ask about it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use valet_core::id::{RunId, Seq};
use valet_core::journal::{Chunk, Entry, HumanOutcome, Op, Resolution, RunOutcome};
use valet_core::run::{Phase, Run};
use valet_core::{Payload, Step, StepFailure};

use crate::stored::Stored;

/// A run that has ended, with the runs that it started.
#[derive(Clone, Debug)]
pub struct TestRun {
    run: Run,
    journal: Vec<Chunk>,
    children: Vec<TestRun>,
}

impl TestRun {
    pub(crate) fn of(id: RunId, runs: &mut BTreeMap<RunId, Stored>) -> Self {
        let (run, journal) = match runs.remove(&id) {
            Some(stored) => (stored.run().clone(), stored.journal),
            None => panic!("{id} was never started"),
        };
        let is_child = |stored: &Stored| stored.run().identity.parent.is_some_and(|parent| parent.run == id);
        let children: Vec<RunId> = runs.iter().filter(|(_, stored)| is_child(stored)).map(|(id, _)| *id).collect();
        Self { run, journal, children: children.into_iter().map(|child| Self::of(child, runs)).collect() }
    }

    pub fn workflow(&self) -> &str {
        &self.run.identity.workflow
    }

    /// Runs that this one started, without those that `.on_child(..)` answered for.
    pub fn children(&self) -> &[TestRun] {
        &self.children
    }

    /// # Panics
    /// If the run has not ended; the kit gives out none that has not.
    pub fn outcome(&self) -> &RunOutcome {
        match &self.run.phase {
            Phase::Ended(outcome) => outcome,
            other => panic!("the run has not ended: {other:?}"),
        }
    }

    /// The journal as it is stored: what each transition added, and when.
    pub fn journal(&self) -> &[Chunk] {
        &self.journal
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.journal.iter().flat_map(|chunk| &chunk.entries)
    }

    fn ops(&self) -> impl Iterator<Item = (Seq, &Op)> {
        self.entries().filter_map(|entry| match entry {
            Entry::Op { seq, op } => Some((*seq, op)),
            _ => None,
        })
    }

    /// Names of the steps and clean-ups in the order in which they were asked for.
    pub fn steps(&self) -> Vec<&str> {
        let finalizer = |seq: &Seq| self.run.finalizers.get(seq).map(|finalizer| finalizer.op.name.as_str());
        let named = self.entries().filter_map(|entry| match entry {
            Entry::Op { op: Op::Step(step), .. } => Some(step.name.as_str()),
            Entry::Op { op: Op::FinallyNow { of, .. }, .. } => finalizer(of),
            Entry::FinalizerStarted { seq, .. } => finalizer(seq),
            _ => None,
        });
        named.collect()
    }

    /// What each call of the step `S` came to, in the order of the calls; `None`: the run ended first, or let go of it.
    ///
    /// # Panics
    /// If an output is no `S::Output`.
    #[track_caller]
    pub fn results_of<S: Step>(&self) -> Vec<Option<Result<S::Output, StepFailure>>> {
        let calls = self.ops().filter(|(_, op)| matches!(op, Op::Step(step) if step.name == S::NAME));
        calls.map(|(seq, _)| self.result_at(seq).map(read::<S>)).collect()
    }

    fn result_at(&self, of: Seq) -> Option<&Resolution> {
        self.entries().find_map(|entry| match entry {
            Entry::Resolved { seq, with } | Entry::Held { seq, with } if *seq == of => Some(with),
            _ => None,
        })
    }

    /// Lines that the code logged.
    pub fn logs(&self) -> Vec<&str> {
        let logged = self.ops().filter_map(|(_, op)| match op {
            Op::Log { message } => Some(message.as_str()),
            _ => None,
        });
        logged.collect()
    }

    /// Every status line that the run had.
    pub fn status_lines(&self) -> Vec<&str> {
        let lines = self.ops().filter_map(|(_, op)| match op {
            Op::Status { text } => Some(text.as_str()),
            _ => None,
        });
        lines.collect()
    }

    /// What listeners outside were told: kind and data.
    pub fn emitted(&self) -> Vec<(&str, &Payload)> {
        let told = self.ops().filter_map(|(_, op)| match op {
            Op::Emit { kind, data } => Some((kind.as_str(), data)),
            _ => None,
        });
        told.collect()
    }

    /// Tasks for people: the reason, and how the task ended. `None`: the run ended first.
    pub fn tasks(&self) -> Vec<(&str, Option<&HumanOutcome>)> {
        let asked = self.ops().filter_map(|(seq, op)| match op {
            Op::Human { task } => Some((task.reason.as_str(), self.run.ended_tasks.get(&seq))),
            _ => None,
        });
        asked.collect()
    }

    /// From the start to the end, waits included.
    pub fn took(&self) -> Duration {
        let ends = self.journal.first().zip(self.journal.last());
        ends.and_then(|(first, last)| (last.at - first.at).to_std().ok()).unwrap_or_default()
    }

    /// Clean-ups that did not run, or did not succeed.
    pub fn left_behind(&self) -> Vec<&str> {
        let left = self.run.finalizers.values().filter(|finalizer| !finalizer.done);
        left.map(|finalizer| finalizer.op.name.as_str()).collect()
    }

    /// Accepted results of steps: more than one of a step is one too many.
    pub(crate) fn results(&self) -> BTreeMap<Seq, u32> {
        let mut results = BTreeMap::new();
        for entry in self.entries() {
            if let Entry::Resolved { seq, with } | Entry::Held { seq, with } = entry
                && matches!(with, Resolution::StepDone { .. } | Resolution::StepFailed { .. })
            {
                *results.entry(*seq).or_insert(0) += 1;
            }
        }
        results
    }

    /// This run and all that it started.
    pub(crate) fn family(&self) -> Vec<&TestRun> {
        let mut family = vec![self];
        family.extend(self.children.iter().flat_map(TestRun::family));
        family
    }

    /// The output of a run that succeeded.
    ///
    /// # Panics
    /// If it ended otherwise, or its output is no `T`.
    #[track_caller]
    pub fn output<T: DeserializeOwned>(&self) -> T {
        match self.outcome() {
            RunOutcome::Succeeded { output } => match output.read() {
                Ok(output) => output,
                Err(error) => panic!("the run's output has another shape: {error}"),
            },
            other => panic!("the run did not succeed: {}", said(other)),
        }
    }

    /// # Panics
    /// If the run did not succeed.
    #[track_caller]
    pub fn assert_succeeded(&self) -> &Self {
        assert!(matches!(self.outcome(), RunOutcome::Succeeded { .. }), "{}", said(self.outcome()));
        self
    }

    /// # Panics
    /// If the run did not fail with this code.
    #[track_caller]
    pub fn assert_failed(&self, code: &str) -> &Self {
        let fits = matches!(self.outcome(), RunOutcome::Failed { error } if error.code == code);
        assert!(fits, "not failed with `{code}`: {}", said(self.outcome()));
        self
    }

    /// # Panics
    /// If the run did not time out with this code.
    #[track_caller]
    pub fn assert_timed_out(&self, code: &str) -> &Self {
        let fits = matches!(self.outcome(), RunOutcome::TimedOut { error } if error.code == code);
        assert!(fits, "not timed out with `{code}`: {}", said(self.outcome()));
        self
    }

    /// # Panics
    /// If the run was not cancelled.
    #[track_caller]
    pub fn assert_cancelled(&self) -> &Self {
        assert!(matches!(self.outcome(), RunOutcome::Cancelled { .. }), "{}", said(self.outcome()));
        self
    }
}

#[track_caller]
fn read<S: Step>(with: &Resolution) -> Result<S::Output, StepFailure> {
    match with {
        Resolution::StepDone { output, .. } => match output.read() {
            Ok(output) => Ok(output),
            Err(error) => panic!("the step `{}` came to something else than its output: {error}", S::NAME),
        },
        Resolution::StepFailed { failure, .. } => Err(failure.clone()),
        other => panic!("the step `{}` came to {other:?}", S::NAME),
    }
}

/// An outcome in words; outputs may be long and are left out.
pub(crate) fn said(outcome: &RunOutcome) -> String {
    match outcome {
        RunOutcome::Succeeded { .. } => "succeeded".to_owned(),
        RunOutcome::Failed { error } => format!("failed with {error}"),
        RunOutcome::Cancelled { by, reason } => format!("cancelled by {by}: {reason}"),
        RunOutcome::TimedOut { error } => format!("timed out with {error}"),
    }
}
