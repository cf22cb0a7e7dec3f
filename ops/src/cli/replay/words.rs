//! An entry as a sentence, in words that the code chose: nothing that people or sites said is in it.

use valet_core::journal::{AttemptEnd, Entry, HumanOutcome, Op, Resolution};

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
        Resolution::TimerFired => "its time has come".to_owned(),
        Resolution::SignalTaken => "it takes the oldest message".to_owned(),
        Resolution::WaitTimedOut => "no message came in time".to_owned(),
        Resolution::Human(HumanOutcome::Answered { by, .. }) => format!("answered by {}", text::line(by)),
        Resolution::Human(HumanOutcome::Rejected { by, .. }) => format!("rejected by {}", text::line(by)),
        Resolution::Human(HumanOutcome::TimedOut) => "nobody answered in time".to_owned(),
        Resolution::ChildEnded { outcome } => format!("the child ended: {}", outcome.status()),
    }
}

fn ended(why: &AttemptEnd) -> String {
    match why {
        AttemptEnd::Failed(failure) => format!("failed with `{}`", text::line(&failure.code)),
        AttemptEnd::Lost => "was lost with its worker".to_owned(),
        AttemptEnd::HandedBack => "was given back".to_owned(),
    }
}
