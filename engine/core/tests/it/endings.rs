//! However a run ends: what is granted is told to stop, clean-ups run, the outcome stands.

use serde_json::json;
use valet_core::command::{Command, InboxMessage, Rejection};
use valet_core::id::Seq;
use valet_core::journal::{Entry, RunOutcome, StuckReason};
use valet_core::transition::StepState;
use valet_core::{Failure, Outcome};

use super::program::Do;
use super::subject::{Subject, Way, at, done, retry};

fn outcome(run: &Subject) -> RunOutcome {
    run.entries()
        .into_iter()
        .find_map(|entry| match entry {
            Entry::Closing { outcome } => Some(outcome.clone()),
            _ => None,
        })
        .expect("the run is closing")
}

#[test]
fn a_clean_up_runs_on_success_failure_lateness_and_cancellation() {
    let work = vec![Do::Guard, Do::Work];
    let then_fail = [work.clone(), vec![Do::Fail { code: "x".to_owned() }]].concat();
    let then_late = [work.clone(), vec![Do::GiveUp { code: "x".to_owned() }]].concat();
    let finish: fn(&mut Subject) = |run| run.carry_out(2, done(&json!(1)));
    let cancel: fn(&mut Subject) = |run| drop(run.cancel().expect("cancelled"));
    for (status, script, end) in [
        ("succeeded", &work, finish),
        ("failed", &then_fail, finish),
        ("timed_out", &then_late, finish),
        ("cancelled", &work, cancel),
    ] {
        let mut run = Subject::run_script(script);
        end(&mut run);
        assert_eq!(run.status(), "closing", "{status}");
        assert_eq!(run.rows.keys().copied().collect::<Vec<_>>(), [Seq(1)], "{status}: the clean-up is ready");
        run.carry_out(1, done(&json!(null)));
        assert_eq!(run.status(), status);
        assert!(run.rows.is_empty() && run.timers.is_empty(), "nothing is left");
        assert_eq!(run.count("ended"), 1);
    }
}

#[test]
fn a_stuck_run_is_cleaned_up_too() {
    let mut run = Subject::run_script(&[Do::Guard, Do::Work, Do::Panic]);
    run.carry_out(2, done(&json!(1)));
    assert_eq!(run.status(), "stuck");
    run.cancel().expect("cancelled");
    run.carry_out(1, done(&json!(null)));
    assert_eq!(run.status(), "cancelled");
}

#[test]
fn a_granted_step_is_stopped_before_clean_ups_run() {
    let ends: [Way; 3] = [
        ("its worker says so", |run| drop(run.finish(2, 1, 1, Outcome::Cancelled).expect("taken"))),
        ("it finishes all the same", |run| drop(run.finish(2, 1, 1, done(&json!(1))).expect("taken"))),
        ("its lease ends", |run| drop(run.lose(2, 1, 1, true).expect("lost"))),
    ];
    for (how, end) in ends {
        let mut run = Subject::run_script(&[Do::Guard, Do::Work]);
        run.claim(2, 1);
        run.restart();
        run.cancel().expect("cancelled");
        assert_eq!(run.rows[&Seq(2)].state, StepState::Stopping, "{how}");
        assert!(!run.rows.contains_key(&Seq(1)), "{how}: no clean-up while it runs");
        end(&mut run);
        assert!(run.rows.contains_key(&Seq(1)), "{how}");
        run.carry_out(1, done(&json!(null)));
        assert_eq!(run.status(), "cancelled", "{how}");
    }
}

#[test]
fn clean_ups_run_one_by_one_last_registered_first() {
    let mut run = Subject::run_script(&[Do::Guard, Do::Guard, Do::Guard]);
    let mut order = Vec::new();
    while let Some((seq, _)) = run.rows.first_key_value() {
        assert_eq!(run.rows.len(), 1, "one at a time");
        let seq = seq.0;
        order.push(seq);
        run.carry_out(seq, done(&json!(null)));
    }
    assert_eq!((order, run.status()), (vec![3, 2, 1], "succeeded"));
}

#[test]
fn a_clean_up_that_ran_early_does_not_run_again() {
    let mut run = Subject::run_script(&[Do::Guard, Do::CleanNow, Do::Work]);
    run.carry_out(2, done(&json!(null)));
    run.carry_out(3, done(&json!(1)));
    assert_eq!((run.status(), run.output()), ("succeeded", vec!["clean: null".to_owned(), "work: 1".to_owned()]));
    assert_eq!(run.count("finalizer_started"), 0);
}

/// An early clean-up that was under way when the run was cancelled did not succeed: it runs again.
#[test]
fn an_early_clean_up_that_was_stopped_runs_at_the_end() {
    let mut run = Subject::run_script(&[Do::Guard, Do::CleanNow]);
    run.claim(2, 1);
    run.restart();
    run.cancel().expect("cancelled");
    run.finish(2, 1, 1, Outcome::Cancelled).expect("taken");
    run.carry_out(1, done(&json!(null)));
    assert_eq!(run.status(), "cancelled");
}

#[test]
fn a_clean_up_is_shielded_from_cancel_and_pause() {
    let mut run = Subject::run_script(&[Do::Guard, Do::Wait { name: "go".to_owned(), ms: None }]);
    run.pause();
    run.cancel().expect("cancelled");
    assert!(!run.rows[&Seq(1)].gated, "a pause does not hold it");
    run.pause();
    assert!(!run.rows[&Seq(1)].gated, "nor does a later one");
    run.claim(1, 1);
    run.restart();
    run.cancel().expect("a repeated cancel changes nothing");
    assert_eq!(run.rows[&Seq(1)].state, StepState::Running);
    run.finish(1, 1, 1, done(&json!(null))).expect("taken");
    assert_eq!(run.status(), "cancelled");
}

#[test]
fn a_clean_up_that_cannot_succeed_waits_for_an_operator() {
    let bad: [fn() -> Outcome; 3] = [
        || Outcome::Fail { error: Failure::new("x", "y") },
        || Outcome::Blocked { reason: Failure::new("x", "y") },
        || Outcome::Fail { error: Failure::new("in_doubt", "y") },
    ];
    for outcome in bad {
        let mut run = Subject::run_script(&[Do::Guard]);
        run.carry_out(1, outcome());
        assert_eq!((run.status(), run.rows[&Seq(1)].state), ("closing", StepState::Parked));
        run.retry().expect("a retry");
        run.carry_out(1, done(&json!(null)));
        assert_eq!(run.status(), "succeeded");
    }
    let mut run = Subject::run_script(&[Do::Guard]);
    for _ in 0..2 {
        run.carry_out(1, retry("x"));
    }
    assert_eq!(run.rows[&Seq(1)].state, StepState::Parked, "attempts are bounded for it too");
}

#[test]
fn the_outcome_is_fixed_on_entry_to_closing() {
    let mut run = Subject::run_script(&[Do::Guard, Do::Work]);
    run.carry_out(2, done(&json!(1)));
    assert!(matches!(run.cancel(), Err(Rejection::RunClosing { status: "succeeded" })));
    let parent = InboxMessage::CancelChild { reason: "r".to_owned() };
    run.inbox(7, parent).expect("consumed");
    run.carry_out(1, done(&json!(null)));
    assert_eq!(run.status(), "succeeded");
}

#[test]
fn a_cancel_ends_waits_timers_and_tasks_at_once() {
    let waits = vec![
        Do::Sleep { ms: 1_000 },
        Do::Wait { name: "go".to_owned(), ms: Some(1_000) },
        Do::Ask { ms: 1_000 },
        Do::Work,
    ];
    let mut run = Subject::run_script(&[Do::All(waits)]);
    assert_eq!(run.timers.len(), 3);
    run.cancel().expect("cancelled");
    assert_eq!(run.status(), "cancelled");
    assert!(run.timers.is_empty() && run.rows.is_empty());
    assert_eq!(outcome(&run), RunOutcome::Cancelled { by: "ada".to_owned(), reason: "enough".to_owned() });
    assert!(matches!(run.cancel(), Err(Rejection::RunEnded { status: "cancelled" })));
}

#[test]
fn a_run_that_ends_cancels_its_children_and_waits_for_them() {
    let mut run = Subject::run_script(&[Do::Guard, Do::Child]);
    run.cancel().expect("cancelled");
    let sent = &run.last.as_ref().expect("a transition").outbox;
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].to, run.run().id().child(Seq(2)));
    assert!(matches!(sent[0].message, InboxMessage::CancelChild { .. }));
    assert!(run.rows.is_empty(), "its own clean-up waits for the child's end");
    let ended = InboxMessage::ChildEnded {
        seq: Seq(2),
        outcome: RunOutcome::TimedOut { error: Failure::new("late", "too late") },
    };
    run.inbox(1, ended).expect("consumed");
    run.carry_out(1, done(&json!(null)));
    assert_eq!(run.status(), "cancelled");
}

#[test]
fn a_childs_end_is_told_to_its_parent_once() {
    let mut run = Subject::run_script(&[Do::Child, Do::Work]);
    let start = &run.last.as_ref().expect("a transition").outbox;
    assert!(matches!(&start[0].message, InboxMessage::StartChild { workflow, .. } if workflow == "script"));
    let output = super::subject::payload(&json!(["x"]));
    let ended = InboxMessage::ChildEnded { seq: Seq(1), outcome: RunOutcome::Succeeded { output } };
    run.inbox(1, ended.clone()).expect("consumed");
    let revision = run.run().revision;
    run.inbox(1, ended).expect("consumed, and of no effect");
    assert_eq!(run.count("resolved"), 1);
    assert_eq!(run.run().revision, revision + 1, "the message is taken off all the same");
    run.carry_out(2, done(&json!(1)));
    assert_eq!(run.output(), ["child: [\"x\"]", "work: 1"]);
}

#[test]
fn an_ended_run_refuses_every_change() {
    let mut run = Subject::run_script(&[]);
    assert_eq!(run.status(), "succeeded");
    let park = Command::Park { why: StuckReason::Runaway };
    for command in [park, Command::Pause { by: String::new() }, Command::TimerDue { seq: Seq(0) }] {
        assert!(matches!(run.tell(command), Err(Rejection::RunEnded { status: "succeeded" })));
    }
}

#[test]
fn what_came_after_the_end_of_a_wait_is_of_no_effect() {
    let mut run = Subject::run_script(&[Do::Sleep { ms: 100 }, Do::Work]);
    run.fire(1);
    run.now = at(1_000);
    run.tell(Command::TimerDue { seq: Seq(1) }).expect("nothing");
    assert!(run.last.is_none());
    run.carry_out(2, done(&json!(1)));
    assert_eq!(run.output(), ["slept", "work: 1"]);
}
