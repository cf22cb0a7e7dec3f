//! Which runs are forks, and what each of them copied: the outside world did that for the run that it was copied from.

use std::collections::{BTreeMap, BTreeSet};

use valet_core::id::{RunId, Seq};
use valet_core::journal::{Entry, Op, Resolution};

use super::Tables;
use crate::program::{Job, Program, first_of_line};

impl Tables {
    /// Entries of a fork that were copied from another run, and which that is.
    fn copied(&self, run: RunId) -> Option<(RunId, Vec<&Entry>)> {
        let first = self.journal.get(&run)?.first()?;
        let mut copied = Vec::new();
        for entry in &first.chunk.entries {
            match entry {
                Entry::Forked { from, .. } => return Some((*from, copied)),
                other => copied.push(other),
            }
        }
        None
    }

    pub fn forked_from(&self, run: RunId) -> Option<RunId> {
        self.copied(run).map(|(from, _)| from)
    }

    /// The run that the result of this place was copied from.
    pub fn copied_from(&self, run: RunId, at: &str) -> Option<RunId> {
        let (from, entries) = self.copied(run)?;
        let mut early: BTreeMap<Seq, Seq> = BTreeMap::new();
        let mut ended: BTreeSet<Seq> = BTreeSet::new();
        for entry in &entries {
            match entry {
                Entry::Op { seq, op: Op::FinallyNow { of, .. } } => drop(early.insert(*seq, *of)),
                Entry::Resolved { seq, with: Resolution::ChildrenEnded { ends } } => {
                    ended.extend(ends.iter().map(|(place, _)| Seq(seq.0 + place)));
                }
                Entry::Resolved { seq, .. } => drop(ended.insert(*early.get(seq).unwrap_or(seq))),
                _ => {}
            }
        }
        let is_it = |entry: &&Entry| match entry {
            Entry::Op { seq, op } => places(*seq, op).iter().any(|(seq, place)| place == at && ended.contains(seq)),
            _ => false,
        };
        entries.iter().any(is_it).then_some(from)
    }

    /// The run at the top of its tree.
    pub fn root_of(&self, run: RunId) -> RunId {
        let mut root = run;
        // Trees are as deep as programs nest.
        while let Some(parent) = self.runs.get(&root).and_then(|record| record.identity.parent) {
            root = parent.run;
        }
        root
    }

    /// A place of a program, apart from the same place of its forks.
    pub fn scoped(&self, run: RunId, at: &str) -> String {
        let root = self.root_of(run);
        match self.forks.get(&root) {
            Some(number) => format!("{at}~{number}"),
            None => at.to_owned(),
        }
    }

    /// Steps with an effect that a run asked for in the journal at hand.
    pub fn effects_asked(&self, run: RunId) -> Vec<(Seq, String)> {
        let committed = self.journal.get(&run).into_iter().flatten();
        let entries: Vec<&Entry> = committed.flat_map(|committed| &committed.chunk.entries).collect();
        let begins = entries.iter().rposition(|entry| matches!(entry, Entry::Continued { .. })).unwrap_or(0);
        let asked = entries[begins..].iter().filter_map(|entry| match entry {
            Entry::Op { seq, op: Op::Step(step) } if step.policy.effect_once => Some((*seq, step.name.clone())),
            _ => None,
        });
        asked.collect()
    }

    /// Whether a fork knows the end of this step of the other run.
    pub fn keeps_end_of(&self, fork: RunId, step: Seq) -> bool {
        let ends = |entry: &&Entry| matches!(entry, Entry::Resolved { seq, .. } if *seq == step);
        self.copied(fork).is_some_and(|(_, entries)| entries.iter().any(ends))
    }
}

/// The places of a program that an operation stands for.
fn places(seq: Seq, op: &Op) -> Vec<(Seq, String)> {
    let one = |place: Option<String>| place.map(|place| (seq, place)).into_iter().collect();
    match op {
        Op::Step(step) | Op::Finally(step) | Op::Compensate(step) => {
            one(step.input.read::<Job>().ok().map(|job| job.at))
        }
        Op::Human { task } => one(Some(task.title.clone())),
        Op::Completion { name, .. } => one(Some(name.clone())),
        Op::Child { input, .. } => {
            let program = input.read::<Program>().ok().map(|program| program.name);
            one(program.or_else(|| first_of_line(input)))
        }
        Op::FanOut { inputs, .. } => {
            let programs = inputs.read::<Vec<Program>>().unwrap_or_default();
            (seq.0..).zip(programs).map(|(seq, program)| (Seq(seq), program.name)).collect()
        }
        _ => Vec::new(),
    }
}
