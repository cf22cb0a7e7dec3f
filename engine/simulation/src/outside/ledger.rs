//! What the outside world did and was told. It never looks into the engine: what is held against the engine's results
//! must come from elsewhere.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio::time::Instant;
use valet_core::Timestamp;
use valet_core::id::{Attempt, LeaseId, RunId};
use valet_engine::engine::Started;

use crate::model::audit::StepKey;
use crate::program::StepEnd;

/// A finish that a worker sent, at least once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    pub end: SaidEnd,
    /// The engine answered that it took it.
    pub taken: bool,
}

/// What a worker said of its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SaidEnd {
    Done(u64),
    Ended(StepEnd),
    /// The step goes on with another attempt.
    Again,
}

#[derive(Clone, Debug)]
pub(crate) struct SignalSent {
    pub channel: &'static str,
    pub key: String,
    pub value: u64,
    pub sent_at: Timestamp,
    pub answered_at: Option<Timestamp>,
}

/// What a person said of a task; `None`: rejected.
#[derive(Clone, Debug)]
pub(crate) struct AnswerSent {
    pub key: String,
    pub value: Option<u64>,
    pub taken: bool,
}

/// A worker process that acts on a step, as long as it believes that it may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acting {
    pub process: u64,
    pub lease: LeaseId,
    /// The attempt's own time is over then.
    pub until: Instant,
}

/// The record of one seed's outside world.
#[derive(Default)]
pub(crate) struct Ledger {
    said: BTreeMap<String, Vec<Said>>,
    sent: HashSet<(StepKey, Attempt, LeaseId)>,
    acting: HashMap<StepKey, Vec<Acting>>,
    /// Until when each worker process believes that its session holds.
    beliefs: HashMap<u64, Instant>,
    effects: HashMap<String, u32>,
    begun: HashSet<String>,
    pub signals: BTreeMap<RunId, Vec<SignalSent>>,
    pub answers: BTreeMap<String, Vec<AnswerSent>>,
    /// What was said of what somebody outside completes; no value: with a wrong token.
    pub completions: BTreeMap<String, Vec<AnswerSent>>,
    /// What each start with a key was answered.
    pub starts: BTreeMap<String, Vec<Started>>,
    /// Runs whose cancel was sent; true: and answered.
    pub cancels: BTreeMap<RunId, bool>,
}

impl Ledger {
    /// A finish goes out.
    pub fn say(&mut self, place: &str, at: StepKey, attempt: Attempt, lease: LeaseId, end: SaidEnd) -> usize {
        self.send(at, attempt, lease);
        let said = self.said.entry(place.to_owned()).or_default();
        said.push(Said { end, taken: false });
        said.len() - 1
    }

    /// Somebody says what a step came to in a worker's place.
    pub fn say_instead(&mut self, place: &str, value: u64) -> usize {
        let said = self.said.entry(place.to_owned()).or_default();
        said.push(Said { end: SaidEnd::Done(value), taken: false });
        said.len() - 1
    }

    /// Some finish under this lease goes out.
    pub fn send(&mut self, at: StepKey, attempt: Attempt, lease: LeaseId) {
        self.sent.insert((at, attempt, lease));
    }

    /// The finish was answered as taken.
    pub fn taken(&mut self, place: &str, index: usize) {
        if let Some(said) = self.said.get_mut(place).and_then(|all| all.get_mut(index)) {
            said.taken = true;
        }
    }

    pub fn said(&self, place: &str) -> &[Said] {
        self.said.get(place).map_or(&[], Vec::as_slice)
    }

    pub fn finish_was_sent(&self, at: StepKey, attempt: Attempt, lease: LeaseId) -> bool {
        self.sent.contains(&(at, attempt, lease))
    }

    /// A worker sets to work; answers another process that believes it may act on the same step, if there is one.
    pub fn act(&mut self, at: StepKey, acting: Acting, now: Instant) -> Option<u64> {
        let others = self.acting.entry(at).or_default();
        let beliefs = &self.beliefs;
        let believes = |other: &&Acting| {
            other.lease != acting.lease && now < other.until && beliefs.get(&other.process).is_some_and(|at| now < *at)
        };
        let other = others.iter().find(believes).map(|other| other.process);
        others.push(acting);
        other
    }

    /// `None`: the process is gone, or was told that its session ended.
    pub fn believe(&mut self, process: u64, until: Option<Instant>) {
        if let Some(until) = until {
            self.beliefs.insert(process, until);
            return;
        }
        self.beliefs.remove(&process);
        for all in self.acting.values_mut() {
            all.retain(|acting| acting.process != process);
        }
    }

    pub fn rest(&mut self, at: StepKey, lease: LeaseId) {
        if let Some(all) = self.acting.get_mut(&at) {
            all.retain(|acting| acting.lease != lease);
        }
    }

    /// A worker asks whether it may begin an effect.
    pub fn begin(&mut self, place: &str) {
        self.begun.insert(place.to_owned());
    }

    pub fn was_begun(&self, place: &str) -> bool {
        self.begun.contains(place)
    }

    /// The effect happens. Answers how often it has happened now.
    pub fn effect(&mut self, place: &str) -> u32 {
        let count = self.effects.entry(place.to_owned()).or_default();
        *count += 1;
        *count
    }

    pub fn effects(&self, place: &str) -> u32 {
        self.effects.get(place).copied().unwrap_or_default()
    }

    /// A task's place: its title.
    pub fn answered(&mut self, place: &str, index: usize) {
        if let Some(answer) = self.answers.get_mut(place).and_then(|all| all.get_mut(index)) {
            answer.taken = true;
        }
    }
}
