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
pub(crate) struct Facts<'a> {
    pub run: RunId,
    pub ledger: &'a Ledger,
    pub tables: &'a Tables,
    /// Ends of all runs by the names of their programs.
    pub ends: &'a BTreeMap<String, End>,
}

impl Facts<'_> {
    /// A step's end is what one of its workers said, or follows from attempts that were used up.
    pub fn step_may_end(&self, at: &str, result: Result<u64, StepEnd>, policy: &StepPolicy) -> Result<(), String> {
        let said = self.ledger.said(at);
        let wanted = match result {
            Ok(value) => SaidEnd::Done(value),
            Err(end) => SaidEnd::Ended(end),
        };
        let may = match result {
            Err(StepEnd::Exhausted) => self.grants(at) >= policy.max_attempts && self.ledger.effects(at) == 0,
            Err(StepEnd::InDoubt) => policy.effect_once && self.ledger.was_begun(at),
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
        let sent = self.ledger.signals.get(&self.run).into_iter().flatten();
        let found = sent.into_iter().any(|signal| signal.channel == channel && signal.value == value);
        if found { Ok(()) } else { Err(format!("{at}: nobody sent {value} to {channel}")) }
    }

    /// `value`: `None` for a rejection.
    pub fn answer_was_given(&self, at: &str, key: &str, value: Option<u64>) -> Result<(), String> {
        let answers = self.ledger.answers.get(at).map_or(&[][..], Vec::as_slice);
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
        let sent = self.ledger.completions.get(at).map_or(&[][..], Vec::as_slice);
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
        let done = self.ledger.said(at).iter().any(|said| matches!(said.end, SaidEnd::Done(_)));
        if done { Ok(()) } else { Err(format!("{at}: no worker cleaned up")) }
    }

    /// The child's end is what it came to by itself.
    pub fn child_ended_so(&self, at: &str, result: &Result<Ran, String>) -> Result<(), String> {
        let Some(end) = self.ends.get(at) else { return Err(format!("{at}: the child never was")) };
        let same = match (result, end.status) {
            (Ok(ran), Status::Succeeded) => end.ran.as_ref() == Some(ran),
            (Err(code), Status::Failed) => code == "halted",
            (Err(code), Status::Cancelled) => code == "cancelled",
            _ => false,
        };
        if same { Ok(()) } else { Err(format!("{at}: the parent saw {result:?}, the child ended as {end:?}")) }
    }
}
