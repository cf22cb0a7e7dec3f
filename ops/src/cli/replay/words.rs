//! An entry as a sentence, in words that the code chose: nothing that people or sites said is in it.

use serde::Serialize;
use valet_core::event::is_channel;
use valet_core::journal::{AttemptEnd, Entry, HumanOutcome, Op, Resolution};

use super::kind;
use crate::cli::text;

/// What the entry says; `None` for a kind that has no sentence, whose fields speak for themselves.
pub fn sentence(entry: &Entry) -> Option<String> {
    Some(match entry {
        Entry::Started { .. } => "the run begins".to_owned(),
        Entry::Op { seq, op } => format!("{seq}: the code asks for {}", asked(op)),
        Entry::Dropped { seq } => format!("{seq}: the code lets go of it"),
        Entry::Resolved { seq, with } => format!("{seq}: {}; the code is told", came_to(with)),
        Entry::Held { seq, with } => format!("{seq}: {}; kept until the run goes on", came_to(with)),
        Entry::Released => "the oldest kept result is told to the code".to_owned(),
        Entry::AttemptEnded { seq, attempt, why, next_at, .. } => {
            let next = next_at.map_or_else(
                || "an operator has to say how it goes on".to_owned(),
                |at| format!("the next may begin at {}", at.format("%H:%M:%S%.3f")),
            );
            format!("{seq}: attempt {attempt} {}; {next}", ended(why))
        }
        Entry::StepStopped { seq, .. } => format!("{seq}: the step has stopped"),
        Entry::StartedInTime { seq } => format!("{seq}: a worker took it in time"),
        Entry::RanBy { seq, session } => format!("{seq}: the worker {session} ended it"),
        Entry::AnyWorker { seq, .. } => format!("{seq}: the worker that it prefers did not take it; any worker may"),
        Entry::SignalKept { name, key, .. } if is_channel(name) => format!("the event `{}` came in", text::line(key)),
        Entry::SignalKept { name, .. } => format!("a message for `{}` came in", text::line(name)),
        Entry::CancelRequested { by, .. } => format!("{} cancels the run", text::line(by)),
        Entry::Closing { outcome } => format!("the outcome is fixed: {}", outcome.status()),
        Entry::FinalizerStarted { seq, .. } => format!("{seq}: its clean-up begins"),
        Entry::Ended => "nothing is left to do".to_owned(),
        _ => return None,
    })
}

fn asked(op: &Op) -> String {
    match op.name() {
        "" => op.kind().replace('_', " "),
        name => format!("{} `{}`", op.kind().replace('_', " "), text::line(name)),
    }
}

fn came_to(with: &Resolution) -> String {
    match with {
        Resolution::StepDone { attempt, .. } => format!("done in attempt {attempt}"),
        Resolution::StepFailed { attempt, failure, .. } => {
            let code = text::line(&failure.failure().code);
            format!("attempt {attempt} was the last: `{code}`")
        }
        Resolution::Human(HumanOutcome::Answered { by, .. }) => format!("answered by {}", text::line(by)),
        Resolution::Human(HumanOutcome::Rejected { by, .. }) => format!("rejected by {}", text::line(by)),
        Resolution::Human(HumanOutcome::TimedOut) => "nobody answered in time".to_owned(),
        Resolution::ChildEnded { outcome } => format!("the child ended: {}", outcome.status()),
        other => word(other),
    }
}

fn ended(why: &AttemptEnd) -> String {
    match why {
        AttemptEnd::Failed(failure) => format!("failed with `{}`", text::line(&failure.code)),
        other => format!("was {}", word(other)),
    }
}

/// The word that names it in the journal: `timer fired`, `handed back`.
fn word(of: &impl Serialize) -> String {
    kind(&serde_json::to_value(of).unwrap_or_default()).replace('_', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_say_what_happened_and_those_without_a_sentence_say_nothing() {
        let check = |entry: serde_json::Value, expect: Option<&str>| {
            let entry = serde_json::from_value(entry).expect("an entry");
            assert_eq!(sentence(&entry).as_deref(), expect);
        };
        let resolved = |with| json!({ "resolved": { "seq": 4, "with": with } });
        check(resolved(json!("timer_fired")), Some("4: timer fired; the code is told"));
        let answer = json!({ "human": { "answered": { "by": "ada", "key": "k", "answer": "secret" } } });
        check(resolved(answer), Some("4: answered by ada; the code is told"));
        let handed_back = json!({ "seq": 4, "attempt": 2, "why": "handed_back", "next_at": null });
        let expect = "4: attempt 2 was handed back; an operator has to say how it goes on";
        check(json!({ "attempt_ended": handed_back }), Some(expect));
        check(
            json!({ "op": { "seq": 1, "op": { "sleep": { "until": "2026-11-22T00:00:00Z" } } } }),
            Some("1: the code asks for sleep"),
        );
        check(json!({ "paused": { "by": "ops" } }), None);
    }
}
