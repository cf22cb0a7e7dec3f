//! Answers of a store as lines of text, whichever store gave them.

use std::collections::HashSet;
use std::hash::BuildHasher;

use valet_core::id::{RunId, Seq};
use valet_core::limits::{LimitKey, LimitText};
use valet_core::payload::Payload;
use valet_core::run::Identity;
use valet_engine::pauses::Paused;
use valet_engine::store::{
    Admitted, BeatAnswer, ClaimVerdict, DeclaredName, Due, DueTicket, FreePlaces, Loaded, LostStep, RunOver,
    StoredMessage,
};

/// Instead of an answer: no column takes a value of the statement.
pub const REFUSED: &str = "refused: bad data";

/// What an answer says, line by line, in its own order.
pub trait Lines {
    fn lines(&self) -> Vec<String>;
}

impl Lines for () {
    fn lines(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Lines for bool {
    fn lines(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Lines for u64 {
    fn lines(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Lines for Vec<String> {
    fn lines(&self) -> Vec<String> {
        self.clone()
    }
}

impl<S: BuildHasher> Lines for HashSet<RunId, S> {
    fn lines(&self) -> Vec<String> {
        self.iter().map(ToString::to_string).collect()
    }
}

impl Lines for Option<Identity> {
    fn lines(&self) -> Vec<String> {
        self.iter().map(|identity| format!("{identity:?}")).collect()
    }
}

impl Lines for Option<(RunId, Vec<u8>)> {
    fn lines(&self) -> Vec<String> {
        self.iter().map(|found| format!("{found:?}")).collect()
    }
}

impl Lines for Vec<(DeclaredName, Payload)> {
    fn lines(&self) -> Vec<String> {
        // As a value: `jsonb` keeps neither spaces nor the order of names.
        let value = |payload: &Payload| payload.read::<serde_json::Value>().unwrap_or_default();
        self.iter().map(|(name, definition)| format!("{name:?} {}", value(definition))).collect()
    }
}

impl Lines for Vec<StoredMessage> {
    fn lines(&self) -> Vec<String> {
        self.iter().map(message_line).collect()
    }
}

impl Lines for Vec<ClaimVerdict> {
    fn lines(&self) -> Vec<String> {
        self.iter().enumerate().map(|(number, verdict)| format!("{number}: {}", verdict_line(verdict))).collect()
    }
}

impl Lines for BeatAnswer {
    fn lines(&self) -> Vec<String> {
        let mut keep: Vec<String> = self.keep.iter().map(ToString::to_string).collect();
        keep.sort_unstable();
        vec![format!("alive: {}, paused: {}, keep: {keep:?}", self.alive, self.paused)]
    }
}

impl Lines for Vec<Paused> {
    fn lines(&self) -> Vec<String> {
        self.iter().map(|pause| format!("{pause:?}")).collect()
    }
}

impl Lines for Vec<DueTicket> {
    fn lines(&self) -> Vec<String> {
        self.iter().map(|ticket| format!("{ticket:?}")).collect()
    }
}

impl Lines for Vec<FreePlaces> {
    fn lines(&self) -> Vec<String> {
        self.iter().map(|places| format!("{places:?}")).collect()
    }
}

impl Lines for Vec<(RunId, Loaded)> {
    fn lines(&self) -> Vec<String> {
        self.iter().flat_map(|(run, loaded)| loaded_lines(*run, loaded)).collect()
    }
}

impl Lines for Vec<LimitText> {
    fn lines(&self) -> Vec<String> {
        self.iter().map(|limit| format!("{limit:?}")).collect()
    }
}

impl Lines for Vec<LimitKey> {
    fn lines(&self) -> Vec<String> {
        self.iter().map(|key| format!("{key:?}")).collect()
    }
}

impl Lines for Vec<RunOver> {
    fn lines(&self) -> Vec<String> {
        self.iter().map(|over| format!("{over:?}")).collect()
    }
}

impl Lines for Admitted {
    fn lines(&self) -> Vec<String> {
        let mut lines = self.tickets.lines();
        lines.push(format!("backlog: {}", self.backlog));
        lines.extend(self.again.iter().map(|(key, after)| format!("{key:?} again after {} ms", after.as_millis())));
        lines.extend(self.over.lines());
        lines
    }
}

impl Lines for Due {
    /// First what comes in any order.
    fn lines(&self) -> Vec<String> {
        let step = |kind: &str, step: &LostStep| format!("{kind} {step:?}");
        let mut lines = vec![format!("shards {:?}", self.shards)];
        lines.extend(self.lost.iter().map(|lost| step("lost", lost)));
        lines.extend(self.unknown.iter().map(|unknown| step("unknown", unknown)));
        lines.extend(self.ready_queues.iter().map(|queue| format!("ready {queue}")));
        lines.extend(self.queues.iter().map(|queue| format!("{queue:?}")));
        lines.extend(self.pauses.lines());
        lines.extend(self.slot_keys.iter().map(|key| format!("left {key:?}")));
        // Each store numbers versions as it likes.
        lines.push(format!("limits {:?}", self.limits.map(|stamp| stamp.count)));
        lines.extend(self.timers.iter().map(timer_line));
        lines.extend(self.inbox.iter().map(inbox_line));
        lines.extend(self.revivable.iter().map(|run| revivable_line(*run)));
        lines
    }
}

pub(super) fn timer_line((run, seq): &(RunId, Seq)) -> String {
    format!("timer {run} {seq}")
}

pub(super) fn inbox_line((to, from, number): &(RunId, RunId, i64)) -> String {
    format!("inbox {to} from {from} {number}")
}

pub(super) fn revivable_line(run: RunId) -> String {
    format!("revivable {run}")
}

pub(super) fn message_line(stored: &StoredMessage) -> String {
    let message = serde_json::to_string(&stored.message).unwrap_or_default();
    format!("to {} from {} {}: {message}", stored.to, stored.from, stored.number)
}

/// Of the policy what a grant tells its worker. The rest is the run's, and a claim need not know it.
fn verdict_line(verdict: &ClaimVerdict) -> String {
    let ClaimVerdict::Granted { step, progress } = verdict else { return format!("{verdict:?}") };
    let policy = &step.policy;
    let told = (&policy.queue, policy.execution_timeout_ms, policy.heartbeat_timeout_ms, policy.effect_once);
    format!(
        "granted {} {} {} {} of {:?} as {} {told:?}, remembered: {}, input: {}, progress: {:?}",
        step.run,
        step.seq,
        step.attempt,
        step.lease,
        (&step.tenant, &step.subject, &step.workflow),
        step.name,
        step.remembers,
        step.input.as_str(),
        progress.as_ref().map(Payload::as_str),
    )
}

fn loaded_lines(run: RunId, loaded: &Loaded) -> Vec<String> {
    let (word, stored) = match loaded {
        Loaded::Live(stored) => ("live", stored),
        Loaded::Ended(stored) => ("ended", stored),
    };
    let mut lines =
        vec![format!("{run} {word} revision {} build {}: {:?}", stored.revision, stored.build, stored.identity)];
    lines.extend(stored.chunks.iter().enumerate().map(|(number, chunk)| {
        let entries = serde_json::to_string(&chunk.entries).unwrap_or_default();
        format!("{run} chunk {number}: revision {} at {:?}: {entries}", chunk.revision, chunk.at)
    }));
    lines.extend(stored.rows.iter().map(|row| format!("{run} {row:?}")));
    lines
}
