//! Fan-outs: children by the thousand, started, heard and stopped in chunks, each in a transition of its own.

use std::collections::BTreeMap;

use super::Folding;
use crate::bounds::FAN_OUT_CHUNK;
use crate::command::InboxMessage;
use crate::id::Seq;
use crate::journal::{Entry, Resolution, RunOutcome};
use crate::run::Phase;

/// Numbers of a run's messages to itself, apart from those to its children.
const TO_START: i64 = 1 << 60;
const TO_STOP: i64 = 1 << 61;

impl Folding<'_> {
    /// The next chunk of the fan-out `seq`: children to start, or to stop. What is left is a message to the run itself,
    /// so that it is kept with the commit.
    pub(super) fn advance_fan(&mut self, seq: Seq, reason: &str) {
        let Some(fan) = self.run().fans.get(&seq) else { return };
        match fan.cancelled {
            None => self.start_chunk(seq),
            Some(told) => self.stop_chunk(seq, told, reason),
        }
    }

    fn start_chunk(&mut self, seq: Seq) {
        let Some(fan) = self.run().fans.get(&seq) else { return };
        let free = fan.at_once.saturating_sub(fan.live());
        if free == 0 || fan.started == fan.count {
            return;
        }
        let (from, workflow) = (fan.started, fan.workflow.clone());
        let mut to = from;
        let mut started = 0;
        for (place, input) in (from..).zip(fan.inputs_from(from, free.min(FAN_OUT_CHUNK))) {
            to = place + 1;
            // A fork has the ends of the other run's children.
            if !self.run().fans.get(&seq).is_some_and(|fan| fan.has_ended(place)) {
                started += 1;
                self.start_child(Seq(seq.0 + place), workflow.clone(), input);
            }
        }
        if to > from {
            self.record(Entry::ChildrenStarted { seq, to });
        }
        let more = self.run().fans.get(&seq).is_some_and(|fan| to < fan.count);
        if more && to > from && started < free {
            self.send_to_itself(seq, TO_START, to);
        }
    }

    fn stop_chunk(&mut self, seq: Seq, told: u32, reason: &str) {
        let Some(fan) = self.run().fans.get(&seq) else { return };
        let to = fan.started.min(told.saturating_add(FAN_OUT_CHUNK));
        let live: Vec<u32> = (told..to).filter(|place| !fan.has_ended(*place)).collect();
        let more = to < fan.started;
        for place in live {
            self.cancel_child(Seq(seq.0 + place), reason);
        }
        if to > told {
            self.record(Entry::ChildrenCancelled { seq, to });
        }
        if more {
            self.send_to_itself(seq, TO_STOP, to);
        }
    }

    fn send_to_itself(&mut self, seq: Seq, kind: i64, progress: u32) {
        let number = kind + (i64::from(seq.0) << 24) + i64::from(progress);
        self.send(self.run().id(), number, InboxMessage::GoOn { seq });
    }

    /// All of every fan-out at once: the run ends, or begins another journal, with this very commit.
    pub(super) fn stop_all_fans(&mut self, reason: &str) {
        for seq in self.run().fans.keys().copied().collect::<Vec<_>>() {
            let Some(fan) = self.run().fans.get(&seq) else { continue };
            let told = fan.cancelled.unwrap_or(0);
            let is_left = fan.cancelled.is_none() && fan.on_close == crate::journal::ClosePolicy::Abandon;
            let live: Vec<u32> = (told..fan.started).filter(|place| !is_left && !fan.has_ended(*place)).collect();
            for place in live {
                self.cancel_child(Seq(seq.0 + place), reason);
            }
        }
    }

    /// A child's end is taken with those that came in beside it.
    pub(super) fn fan_child_ended(&mut self, child: Seq, outcome: RunOutcome) -> bool {
        let Some((seq, place)) = self.run().fan_of(child) else { return false };
        let known = self.run().fans.get(&seq).is_none_or(|fan| fan.has_ended(place));
        let ends = self.fan_ends.entry(seq).or_default();
        if !known {
            ends.entry(place).or_insert(outcome);
        }
        true
    }

    /// What came in of fan-outs: one resolution each.
    pub(super) fn flush_fans(&mut self) {
        for (seq, ends) in std::mem::take(&mut self.fan_ends) {
            let ends: BTreeMap<u32, RunOutcome> = ends;
            if ends.is_empty() {
                continue;
            }
            let is_dropped = self.run().fans.get(&seq).is_none_or(|fan| !fan.wanted);
            if is_dropped && !matches!(self.run().phase, Phase::Closing(_)) {
                continue;
            }
            self.resolve(seq, Resolution::ChildrenEnded { ends: ends.into_iter().collect() });
            if matches!(self.run().phase, Phase::Active | Phase::Stuck(_)) {
                self.advance_fan(seq, "");
            }
        }
    }
}
