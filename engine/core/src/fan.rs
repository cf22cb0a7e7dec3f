//! A fan-out as its run has it: which children were started, which have ended.

use crate::journal::ClosePolicy;
use crate::payload::Payload;

/// Many children that one operation asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fan {
    pub workflow: String,
    pub inputs: Payload,
    pub count: u32,
    pub at_once: u32,
    pub on_close: ClosePolicy,
    /// Children before this place were started, but for those that had ended in the run that a fork began with.
    pub started: u32,
    /// Set once no more are started: the children before this place were told to stop.
    pub cancelled: Option<u32>,
    /// Somebody waits for the ends.
    pub wanted: bool,
    ended: Vec<u64>,
    ends: u32,
}

impl Fan {
    pub fn new(workflow: String, inputs: Payload, count: u32, at_once: u32, on_close: ClosePolicy) -> Self {
        let ended = vec![0; count.div_ceil(u64::BITS) as usize];
        let (started, cancelled, wanted, ends) = (0, None, true, 0);
        Self { workflow, inputs, count, at_once: at_once.max(1), on_close, started, cancelled, wanted, ended, ends }
    }

    pub fn has_ended(&self, place: u32) -> bool {
        let word = self.ended.get((place / u64::BITS) as usize);
        word.is_none_or(|word| word & (1 << (place % u64::BITS)) != 0)
    }

    pub(crate) fn end(&mut self, place: u32) {
        if self.has_ended(place) {
            return;
        }
        if let Some(word) = self.ended.get_mut((place / u64::BITS) as usize) {
            *word |= 1 << (place % u64::BITS);
            self.ends += 1;
        }
    }

    /// Children that were started and have not ended.
    pub fn live(&self) -> u32 {
        let (whole, rest) = ((self.started / u64::BITS) as usize, self.started % u64::BITS);
        let ended: u32 = self.ended.iter().take(whole).map(|word| word.count_ones()).sum();
        let last = self.ended.get(whole).map_or(0, |word| word & ((1 << rest) - 1));
        self.started - ended - last.count_ones()
    }

    /// Nothing of it is left to wait for.
    pub fn is_over(&self) -> bool {
        match self.cancelled {
            None => self.ends == self.count,
            Some(told) if !self.wanted => told >= self.started,
            Some(_) => self.live() == 0,
        }
    }

    /// The inputs of the children from `from` on, as far as the next chunk may go.
    pub(crate) fn inputs_from(&self, from: u32, most: u32) -> Vec<Payload> {
        let all: Vec<&serde_json::value::RawValue> = serde_json::from_str(self.inputs.as_str()).unwrap_or_default();
        let chunk = all.into_iter().skip(from as usize).take(most as usize);
        chunk.map(|input| Payload::parse(input.get().to_owned()).unwrap_or_default()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_was_started_and_has_not_ended() {
        let mut fan = Fan::new(String::new(), Payload::null(), 130, 130, ClosePolicy::Cancel);
        for started in [0, 1, 63, 64, 65, 128, 130] {
            fan.started = started;
            let lives = |fan: &Fan| (0..started).filter(|place| !fan.has_ended(*place)).count() as u32;
            assert_eq!(fan.live(), lives(&fan), "{started} started");
            fan.end(started.saturating_sub(1));
            fan.end(129);
            assert_eq!(fan.live(), lives(&fan), "{started} started, some ended");
        }
    }
}
