//! What may be true of one run's operations, from what the outside world did.

use std::collections::BTreeMap;

use valet_core::StepPolicy;
use valet_core::id::RunId;
use valet_core::journal::{Entry, Op};
use valet_core::run::Status;

use super::ledger::{Ledger, SaidEnd};
use crate::model::Tables;
use crate::program::{Job, Ran, StepEnd};

/// How a run ended, in the words of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub run: RunId,
    pub status: Status,
    /// What the code saw, if it came to its end.
    pub ran: Option<Ran>,
}

/// The facts of one run.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub run: RunId,
    pub ledger: &'a Ledger,
    pub tables: &'a Tables,
    /// Ends of all runs by the names of their programs.
    pub ends: &'a BTreeMap<String, End>,
}

impl Facts<'_> {
    /// Of the run in which the outside world did what came of this place: a fork has copied it.
    pub fn of(&self, at: &str) -> Self {
        match self.tables.copied_from(self.run, at) {
            Some(run) => Self { run, ..*self }.of(at),
            None => *self,
        }
    }

    fn place(&self, at: &str) -> String {
        self.tables.scoped(self.run, at)
    }

    /// What the other run asked for: a fork copies its end, or the rest of its wait, and all of that at one instant.
    pub fn began_before_the_fork(&self, from_ms: i64) -> bool {
        let first = self.tables.journal.get(&self.run).and_then(|journal| journal.first());
        let is_fork = self.tables.forks.contains_key(&self.run);
        is_fork && first.is_some_and(|first| first.chunk.at.timestamp_millis() == from_ms)
    }

    /// A step's end is what one of its workers said, or follows from attempts that were used up.
    pub fn step_may_end(&self, at: &str, result: Result<u64, StepEnd>, policy: &StepPolicy) -> Result<(), String> {
        let facts = self.of(at);
        let place = &facts.place(at);
        let said = self.ledger.said(place);
        let wanted = match result {
            Ok(value) => SaidEnd::Done(value),
            Err(end) => SaidEnd::Ended(end),
        };
        let may = match result {
            Err(StepEnd::Exhausted) => facts.grants(at) >= policy.max_attempts && self.ledger.effects(place) == 0,
            Err(StepEnd::InDoubt) => policy.effect_once && self.ledger.was_begun(place),
            // An effect that was begun is known to the worker that holds the step, and then nobody lacks a worker.
            Err(StepEnd::NotStarted) => policy.schedule_timeout_ms.is_some(),
            Err(StepEnd::BadOutput) => false,
            _ => said.iter().any(|one| one.end == wanted),
        };
        if !may {
            return Err(format!("{at}: no worker and no policy ended the step with {result:?}; said: {said:?}"));
        }
        let other = |end: SaidEnd| end != SaidEnd::Again && end != wanted;
        if let Some(one) = said.iter().find(|one| one.taken && other(one.end)) {
            return Err(format!("{at}: the step ended with {result:?}, but {:?} was answered as taken", one.end));
        }
        Ok(())
    }

    /// How often the step of this place was granted, whether or not a worker ever knew.
    fn grants(&self, at: &str) -> u32 {
        let here = self.tables.asked_of(self.run).filter(|(_, op)| op.name != "clean");
        let mut found = here.filter(|(_, op)| op.input.read::<Job>().is_ok_and(|job| job.at == at));
        found.next().map_or(0, |(seq, _)| self.tables.audit.grants((self.run, seq)))
    }

    /// Somebody sent the message to this run's channel.
    pub fn signal_was_sent(&self, at: &str, channel: &str, value: u64) -> Result<(), String> {
        // A fork has what the other run had taken.
        let mut runs = vec![self.run];
        while let Some(from) = runs.last().and_then(|run| self.tables.forked_from(*run)) {
            runs.push(from);
        }
        let mut sent = runs.iter().filter_map(|run| self.ledger.signals.get(run)).flatten();
        let found = sent.any(|signal| signal.channel == channel && signal.value == value);
        if found { Ok(()) } else { Err(format!("{at}: nobody sent {value} to {channel}")) }
    }

    /// `value`: `None` for a rejection.
    pub fn answer_was_given(&self, at: &str, key: &str, value: Option<u64>) -> Result<(), String> {
        let place = self.of(at).place(at);
        let answers = self.ledger.answers.get(&place).map_or(&[][..], Vec::as_slice);
        if !answers.iter().any(|answer| answer.key == key && answer.value == value) {
            return Err(format!("{at}: nobody answered {value:?} under {key}"));
        }
        if let Some(other) = answers.iter().find(|answer| answer.taken && answer.key != key) {
            return Err(format!("{at}: the task ended by {key}, but {} was answered as taken too", other.key));
        }
        Ok(())
    }

    /// Somebody outside completed it with just that.
    pub fn was_completed(&self, at: &str, value: u64) -> Result<(), String> {
        let place = self.of(at).place(at);
        let sent = self.ledger.completions.get(&place).map_or(&[][..], Vec::as_slice);
        if !sent.iter().any(|one| one.value == Some(value)) {
            return Err(format!("{at}: nobody completed it with {value}"));
        }
        if let Some(other) = sent.iter().find(|one| one.taken && one.value != Some(value)) {
            return Err(format!(
                "{at}: it was completed with {value}, but {:?} was answered as taken too",
                other.value
            ));
        }
        Ok(())
    }

    /// What the code was given when it made the value is what was written down.
    pub fn value_was_recorded(&self, at: &str, value: u64) -> Result<(), String> {
        let chunks = self.tables.journal.get(&self.run).into_iter().flatten().map(|committed| &committed.chunk);
        let recorded = chunks.flat_map(|chunk| &chunk.entries).find_map(|entry| match entry {
            Entry::Op { op: Op::Value { name, value }, .. } if name == at => value.read::<u64>().ok(),
            _ => None,
        });
        if recorded == Some(value) {
            return Ok(());
        }
        Err(format!("{at}: the code has the value {value}, recorded is {recorded:?}"))
    }

    /// A clean-up ran to what its worker said was done.
    pub fn cleaned(&self, at: &str) -> Result<(), String> {
        let place = self.of(at).place(at);
        let done = self.ledger.said(&place).iter().any(|said| matches!(said.end, SaidEnd::Done(_)));
        if done { Ok(()) } else { Err(format!("{at}: no worker cleaned up")) }
    }

    /// The child's end is what it came to by itself.
    pub fn child_ended_so(&self, at: &str, result: &Result<Ran, String>) -> Result<(), String> {
        let place = self.of(at).place(at);
        let Some(end) = self.ends.get(&place) else { return Err(format!("{at}: the child never was")) };
        let same = match (result, end.status) {
            (Ok(ran), Status::Succeeded) => end.ran.as_ref() == Some(ran),
            (Err(code), Status::Failed) => code == "halted",
            (Err(code), Status::Cancelled) => code == "cancelled",
            _ => false,
        };
        if same { Ok(()) } else { Err(format!("{at}: the parent saw {result:?}, the child ended as {end:?}")) }
    }
}
