//! How a run goes on in a new journal, and what somebody outside completes.

use super::Folding;
use crate::bounds::CONTINUED_PER_TRANSITION_MAX;
use crate::callbacks::Secret;
use crate::command::{Rejection, Reply};
use crate::id::Seq;
use crate::journal::{CompletionOutcome, Entry, Resolution, StuckReason};
use crate::payload::Payload;
use crate::run::Phase;

impl Folding<'_> {
    /// The code ended its journal: the next begins with `input`, and what was open is let go.
    pub(super) fn go_on_with(&mut self, input: &Payload) {
        self.continued += 1;
        let (Some(definition), Some(code)) = (self.machine.definition.clone(), self.machine.code.take()) else {
            return;
        };
        if self.continued > CONTINUED_PER_TRANSITION_MAX {
            return self.stick(StuckReason::Runaway);
        }
        let last_seq = code.last_seq();
        drop(code);
        self.cancel_children("the parent went on with another input");
        self.stop_all_fans("the parent went on with another input");
        self.deliveries.clear();
        let carried = Box::new(self.run().carried(last_seq, &self.entries));
        self.machine.input = input.clone();
        self.record(Entry::Continued { input: input.clone(), carried });
        self.begin_code(&definition, input, last_seq);
    }

    pub(super) fn complete(
        &mut self,
        seq: Seq,
        secret: &Secret,
        key: String,
        outcome: CompletionOutcome,
    ) -> Result<Reply, Rejection> {
        if self.run().ended_completions.contains_key(&seq) {
            return self.completed_before(seq, &key);
        }
        if let Phase::Closing(outcome) = &self.run().phase {
            return Err(Rejection::RunClosing { status: outcome.status() });
        }
        let known = self.run().completions.get(&seq).is_some_and(|completion| completion.secret == *secret);
        if !known {
            return Err(Rejection::NoSuchCompletion);
        }
        self.resolve(seq, Resolution::Completed { key, outcome });
        Ok(Reply::Done)
    }

    /// The same key gets its first answer. An empty one ended it for nobody: its time was over.
    pub(super) fn completed_before(&self, seq: Seq, key: &str) -> Result<Reply, Rejection> {
        match self.run().ended_completions.get(&seq) {
            Some(first) if first == key && !key.is_empty() => Ok(Reply::Done),
            _ => Err(Rejection::CompletedBefore),
        }
    }
}
