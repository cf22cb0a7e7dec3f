//! What happened, in order: hashed, so that two runs of one seed can be compared, and kept for the report of a failure.

use std::collections::BTreeMap;
use std::fmt;

use valet_core::id::RunId;

/// Events kept of one seed; what comes after is still hashed.
const EVENTS_KEPT_MAX: usize = 50_000;

/// Something that happened. `what` names it and, after a space each, its numbers: `granted seq attempt worker`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub at_us: u64,
    pub what: &'static str,
    pub run: Option<RunId>,
    pub numbers: [u64; 4],
}

impl Event {
    /// The first word of what happened.
    fn name(&self) -> &'static str {
        self.what.split(' ').next().unwrap_or_default()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.what.split(' ');
        write!(f, "{:>11.6}s ", self.at_us as f64 / 1e6)?;
        if let Some(run) = self.run {
            write!(f, "{}… ", &run.0.simple().to_string()[4..12])?;
        }
        write!(f, "{}", words.next().unwrap_or_default())?;
        for (word, number) in words.zip(self.numbers) {
            write!(f, " {word}={number}")?;
        }
        Ok(())
    }
}

/// The events of one seed.
#[derive(Default)]
pub(crate) struct Trace {
    events: Vec<Event>,
    hash: u64,
    count: u64,
    kinds: BTreeMap<&'static str, u64>,
}

impl Trace {
    pub fn note(&mut self, event: Event) {
        self.count += 1;
        *self.kinds.entry(event.name()).or_default() += 1;
        self.mix(event.at_us);
        for byte in event.what.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(run) = event.run {
            let (high, low) = run.0.as_u64_pair();
            self.mix(high ^ low);
        }
        for number in event.numbers {
            self.mix(number);
        }
        if self.events.len() < EVENTS_KEPT_MAX {
            self.events.push(event);
        }
    }

    fn mix(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    /// Something that is only counted.
    pub fn count(&mut self, kind: &'static str) {
        *self.kinds.entry(kind).or_default() += 1;
    }

    pub fn hash(&self) -> u64 {
        self.hash ^ self.count
    }

    /// How often each kind of event occurred.
    pub fn kinds(&self) -> BTreeMap<&'static str, u64> {
        self.kinds.clone()
    }

    /// The last events, those of one run (and of no run) if one is named.
    pub fn last(&self, most: usize, run: Option<RunId>) -> Vec<String> {
        let fits = |event: &&Event| run.is_none() || event.run.is_none() || event.run == run;
        let mut lines: Vec<String> = self.events.iter().rev().filter(fits).take(most).map(Event::to_string).collect();
        lines.reverse();
        lines
    }
}
