//! Every command in every state: what is answered, and where the run and its step stand then.

use std::fmt::Write as _;

use serde_json::json;
use valet_core::callbacks::Callbacks;
use valet_core::command::{Command, InboxMessage, Rejection, Reply, TaskAnswer};
use valet_core::decide::{CodeUse, Machine, StoredRun};
use valet_core::id::{Attempt, Seq};
use valet_core::journal::{CompletionOutcome, RunOutcome, StuckReason};
use valet_core::run::{Phase, StepPhase};
use valet_core::{Failure, Outcome};

use super::program::Do;
use super::subject::{Subject, done, lease, payload, retry};

/// The seq of the operation that each state is about. The first is the guard's.
const AT: u32 = 2;

/// A name and how to get there. Each script has a guard at 1 and its one operation at 2.
fn states() -> Vec<(&'static str, Subject)> {
    let script = |operation: Do| Subject::run_script(&[Do::Guard, operation]);
    let granted = |operation: Do| {
        let mut subject = script(operation);
        subject.claim(AT, 1);
        subject
    };
    let with = |mut subject: Subject, change: fn(&mut Subject)| {
        change(&mut subject);
        subject
    };
    let wait = || script(Do::Wait { name: "go".to_owned(), ms: Some(1_000) });
    let stuck =
        |subject| with(subject, |s| drop(s.tell(Command::Park { why: StuckReason::Blocking }).expect("parked")));
    let closed = |subject| with(subject, |s| s.carry_out(1, done(&json!(null))));
    vec![
        ("step ready", script(Do::Work)),
        ("step granted", granted(Do::Work)),
        ("step granted, paused", with(granted(Do::Work), Subject::pause)),
        ("step backing off", with(granted(Do::Work), |s| drop(s.finish(AT, 1, 1, retry("x")).expect("taken")))),
        ("step parked", with(granted(Do::Parking), |s| drop(s.finish(AT, 1, 1, retry("x")).expect("taken")))),
        ("waits for a signal", wait()),
        ("waits for an event", script(Do::Event { filter: None, ms: Some(1_000) })),
        ("waits for a person", script(Do::Ask { ms: 1_000 })),
        (
            "a person has answered",
            with(Subject::run_script(&[Do::Guard, Do::Ask { ms: 1_000 }, Do::Work]), |s| {
                s.answer(AT, "first", &json!(1)).expect("taken");
            }),
        ),
        ("waits for a timer", script(Do::Sleep { ms: 1_000 })),
        ("waits for a child", script(Do::Child)),
        ("waits for somebody outside", script(Do::Complete { ms: 1_000 })),
        ("waits, paused", with(wait(), Subject::pause)),
        ("waits for an event, paused", with(script(Do::Event { filter: None, ms: Some(1_000) }), Subject::pause)),
        (
            "a newer build's, step granted",
            with(granted(Do::Work), |s| {
                s.machine = Machine::rebuild(StoredRun { build: 2, ..s.stored() }, &s.registry, CodeUse::Recorded);
            }),
        ),
        ("stuck, step granted", stuck(granted(Do::Work))),
        ("stuck, waits for a signal", stuck(wait())),
        ("closing, step stopping", with(granted(Do::Work), |s| drop(s.cancel().expect("cancelled")))),
        ("closing, cleaning up", with(wait(), |s| drop(s.cancel().expect("cancelled")))),
        (
            "closing, clean-up parked",
            with(wait(), |s| {
                s.cancel().expect("cancelled");
                s.carry_out(1, retry("x"));
                s.carry_out(1, retry("x"));
            }),
        ),
        ("succeeded", closed(with(script(Do::Work), |s| s.carry_out(AT, done(&json!(1)))))),
        ("failed", closed(script(Do::Fail { code: "x".to_owned() }))),
        ("cancelled", closed(with(wait(), |s| drop(s.cancel().expect("cancelled"))))),
    ]
}

fn commands(subject: &Subject) -> Vec<(&'static str, Command)> {
    let (by, reason) = ("eve".to_owned(), "r".to_owned());
    let finish = |attempt, n, outcome| Subject::finish_command(AT, attempt, n, outcome);
    let attempt = Attempt(1);
    vec![
        ("start", Subject::start_command(&[])),
        ("finish done", finish(1, 1, done(&json!(1)))),
        ("finish retry", finish(1, 1, retry("x"))),
        ("finish fail", finish(1, 1, Outcome::Fail { error: valet_core::Failure::new("x", "y") })),
        ("finish handed back", finish(1, 1, Outcome::HandedBack)),
        ("finish, other lease", finish(1, 9, done(&json!(1)))),
        ("finish, other attempt", finish(9, 1, done(&json!(1)))),
        ("lost", Command::AttemptLost { seq: Seq(AT), attempt, lease: lease(1), effect_begun: false }),
        ("take back", Command::TakeBack { seq: Seq(AT), attempt, lease: lease(1), effect_begun: false }),
        ("timer, too early", Command::TimerDue { seq: Seq(AT) }),
        ("signal", Command::Signal { name: "go".to_owned(), key: "k".to_owned(), payload: payload(&json!(1)) }),
        ("event", Command::Event { seq: Seq(AT), key: "event_1".to_owned(), message: payload(&json!({ "key": "k" })) }),
        (
            "answer",
            Command::AnswerTask {
                seq: Seq(AT),
                by: by.clone(),
                key: "k".to_owned(),
                answer: TaskAnswer::Answered(payload(&json!(1))),
            },
        ),
        ("pause", Command::Pause { by: by.clone() }),
        ("resume", Command::Unpause { by: by.clone() }),
        ("cancel", Command::Cancel { by: by.clone(), reason: reason.clone() }),
        ("dismiss", Command::Dismiss { by: by.clone(), reason: reason.clone() }),
        ("over", Command::OverStep { seq: Seq(AT), attempt: Attempt(1), limit: "most".to_owned(), replaced: true }),
        ("skip", Command::SkipStep { seq: Seq(AT), by: by.clone(), output: payload(&json!(1)) }),
        ("edit", Command::EditStep { seq: Seq(AT), by: by.clone(), input: payload(&json!({})) }),
        ("kill", Command::Kill { by: by.clone(), reason: reason.clone(), cleanup: false }),
        ("kill, with clean-up", Command::Kill { by: by.clone(), reason: reason.clone(), cleanup: true }),
        ("complete", complete(subject)),
        ("budget", Command::SetBudget { by: by.clone(), budget_micros: Some(1) }),
        ("retry", Command::Retry { by }),
        ("revive", Command::Revive),
        ("park", Command::Park { why: StuckReason::Runaway }),
        (
            "child ended",
            Command::Inbox {
                from: subject.run().id().child(Seq(AT)),
                from_seq: 0,
                message: InboxMessage::ChildEnded {
                    seq: Seq(AT),
                    outcome: RunOutcome::TimedOut { error: Failure::new("late", "too late") },
                },
            },
        ),
        (
            "parent cancels",
            Command::Inbox { from: subject.run().id(), from_seq: 1, message: InboxMessage::CancelChild { reason } },
        ),
    ]
}

/// With the right token where there is one.
fn complete(subject: &Subject) -> Command {
    let secret = subject.run().completions.get(&Seq(AT)).map(|completion| completion.secret.clone());
    let id = subject.run().id();
    let other = format!("cb_{}_{AT}_{}", id.0.simple(), "0".repeat(32));
    let other = || Callbacks::parse(&other).expect("a token").secret;
    let outcome = CompletionOutcome::Done { output: payload(&json!(1)) };
    Command::Complete { seq: Seq(AT), secret: secret.unwrap_or_else(other), key: "k".to_owned(), outcome }
}

fn told(reply: &Result<Reply, Rejection>) -> String {
    match reply {
        Ok(Reply::Done) => "done".to_owned(),
        Ok(Reply::Repeated) => "done before".to_owned(),
        Ok(Reply::Ignored) => "ignored".to_owned(),
        Ok(Reply::Finished { .. }) => "taken".to_owned(),
        Err(rejection) => {
            let name = format!("{rejection:?}");
            format!("refused: {}", name.split([' ', '{']).next().unwrap_or_default())
        }
    }
}

/// Status, gate, the step and the clean-up as the run has them.
fn stands(subject: &Subject) -> String {
    let run = subject.run();
    let mut text = run.status().as_str().to_owned();
    if let Phase::Closing(outcome) = &run.phase {
        let _ = write!(text, "({})", outcome.status());
    }
    if run.paused_by.is_some() {
        text.push_str(" paused");
    }
    if !run.held.is_empty() {
        let _ = write!(text, " held:{}", run.held.len());
    }
    for (name, seq) in [("step", AT), ("clean-up", 1)] {
        if let Some(step) = run.steps.get(&Seq(seq)) {
            let phase = match &step.phase {
                StepPhase::Queued => "queued",
                StepPhase::BackingOff { .. } => "backing_off",
                StepPhase::Parked { .. } => "parked",
                StepPhase::Stopping => "stopping",
            };
            let _ = write!(text, " {name}:{phase}#{}", step.attempt);
        }
    }
    text
}

/// One line a pair. A line that says `=` left the run as it was.
fn table() -> String {
    let mut table = String::new();
    let count = states().len();
    for index in 0..count {
        let (name, before) = states().swap_remove(index);
        let _ = writeln!(table, "## {name}: {}", stands(&before));
        for at in 0..commands(&before).len() {
            // Each command meets the state anew.
            let (_, mut subject) = states().swap_remove(index);
            let (command, told_to) = commands(&subject).swap_remove(at);
            let (revision, was) = (subject.run().revision, stands(&subject));
            let reply = subject.tell(told_to);
            let now = stands(&subject);
            let changed = subject.run().revision != revision;
            assert!(changed || now == was, "{name}, {command}: nothing is committed, so nothing may change");
            assert!(reply.is_ok() || !changed, "{name}, {command}: what is refused changes nothing");
            let after = match (changed, now == was) {
                (false, _) => "=".to_owned(),
                (true, true) => "noted".to_owned(),
                (true, false) => now,
            };
            let _ = writeln!(table, "{command:<22} {:<22} {after}", told(&reply));
        }
        table.push('\n');
    }
    table
}

/// The whole table is a document: a change of any pair is a change of `table.txt` that somebody reads.
#[test]
fn every_command_in_every_state_does_what_the_table_says() {
    let expected = include_str!("table.txt");
    let found = table();
    if found != expected {
        println!("--- the table as it is now ---\n{found}");
        let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        let (found, expected) = differs.unwrap_or(("another length", ""));
        panic!("the table says `{expected}`, the core does `{found}`");
    }
}
