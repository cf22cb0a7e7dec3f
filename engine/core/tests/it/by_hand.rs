//! What operators do in a worker's place, or in spite of one: skip a step, kill a run.

use serde_json::json;
use valet_core::command::{Command, InboxMessage, Rejection, Reply};
use valet_core::id::Seq;
use valet_core::journal::{Resolution, RunOutcome};

use super::program::Do;
use super::subject::{Subject, done, payload, retry};

fn skip(run: &mut Subject, seq: u32, output: &serde_json::Value) -> Result<Reply, Rejection> {
    run.tell(Command::SkipStep { seq: Seq(seq), by: "eve".to_owned(), output: payload(output) })
}

fn kill(run: &mut Subject, cleanup: bool) -> Result<Reply, Rejection> {
    run.tell(Command::Kill { by: "eve".to_owned(), reason: "it hangs".to_owned(), cleanup })
}

#[test]
fn a_step_that_ran_out_of_attempts_is_skipped_with_an_output_and_the_run_goes_on() {
    let mut run = Subject::run_script(&[Do::Parking, Do::Work]);
    run.claim(1, 7);
    run.restart();
    assert!(matches!(skip(&mut run, 1, &json!("given")), Err(Rejection::StepAtWork { .. })), "a worker has it");
    run.finish(1, 1, 7, retry("x")).expect("taken");
    skip(&mut run, 1, &json!("given")).expect("skipped");
    assert!(matches!(skip(&mut run, 1, &json!("again")), Err(Rejection::NoSuchStep { .. })), "once");
    run.restart();
    run.carry_out(2, done(&json!(2)));
    assert_eq!(run.output(), ["parking: \"given\"", "work: 2"]);
}

#[test]
fn what_is_skipped_while_the_run_is_paused_is_delivered_when_it_goes_on() {
    let mut run = Subject::run_script(&[Do::Work, Do::Work]);
    run.pause();
    skip(&mut run, 1, &json!(1)).expect("skipped");
    assert!(run.rows.is_empty() && run.count("held") == 1);
    run.restart();
    run.resume();
    run.carry_out(2, done(&json!(2)));
    assert_eq!(run.output(), ["work: 1", "work: 2"]);
}

#[test]
fn the_next_attempt_of_a_step_that_nobody_works_on_gets_the_input_that_it_is_given() {
    let mut run = Subject::run_script(&[Do::Parking, Do::Work]);
    let edit = |run: &mut Subject, seq: u32| {
        let input = payload(&json!({ "mended": true }));
        run.tell(Command::EditStep { seq: Seq(seq), by: "eve".to_owned(), input })
    };
    run.claim(1, 7);
    run.restart();
    assert!(matches!(edit(&mut run, 1), Err(Rejection::StepAtWork { .. })));
    run.finish(1, 1, 7, retry("x")).expect("taken");
    edit(&mut run, 1).expect("edited");
    assert_eq!(run.rows[&Seq(1)].state, valet_core::transition::StepState::Parked, "it waits for a retry all the same");
    run.restart();
    let (step, now) = (run.run().steps[&Seq(1)].revision, run.run().revision);
    assert_eq!(step, now, "a claim reads it there");
    assert_eq!(run.run().steps[&Seq(1)].op.input, payload(&json!({ "mended": true })));
    run.retry().expect("a retry");
    run.carry_out(1, done(&json!(1)));
    assert!(matches!(edit(&mut run, 1), Err(Rejection::NoSuchStep { .. })));
    run.carry_out(2, done(&json!(2)));
    assert_eq!(run.output(), ["parking: 1", "work: 2"]);
}

#[test]
fn a_clean_up_that_waits_for_an_operator_may_be_skipped_too() {
    let mut run = Subject::run_script(&[Do::Guard]);
    for _ in 0..2 {
        run.carry_out(1, retry("x"));
    }
    skip(&mut run, 1, &json!(null)).expect("skipped");
    assert_eq!(run.status(), "succeeded");
}

#[test]
fn a_kill_waits_for_nobody_and_refuses_what_comes_late() {
    let mut run = Subject::run_script(&[Do::Guard, Do::All(vec![Do::Work, Do::Child, Do::Ask { ms: 1_000 }])]);
    run.claim(2, 7);
    kill(&mut run, false).expect("killed");
    assert_eq!((run.status(), run.rows.len(), run.timers.len()), ("cancelled", 0, 0));
    assert_eq!(run.count("finalizer_started"), 0, "its clean-up is given up");
    let sent = &run.last.as_ref().expect("a transition").outbox;
    assert!(matches!(sent.as_slice(), [row] if matches!(row.message, InboxMessage::CancelChild { .. })), "{sent:?}");
    assert!(matches!(run.finish(2, 1, 7, done(&json!(1))), Err(Rejection::Stale)));
    let late = RunOutcome::Succeeded { output: payload(&json!([])) };
    assert!(run.inbox(1, InboxMessage::ChildEnded { seq: Seq(3), outcome: late }).is_err(), "the run has ended");
}

#[test]
fn a_kill_with_clean_up_lets_go_of_what_is_at_work_and_cleans() {
    let mut run = Subject::run_script(&[Do::Guard, Do::Work]);
    run.claim(2, 7);
    kill(&mut run, true).expect("killed");
    assert_eq!((run.status(), run.rows.keys().copied().collect::<Vec<_>>()), ("closing", vec![Seq(1)]));
    assert!(matches!(run.finish(2, 1, 7, done(&json!(1))), Err(Rejection::Stale)));
    run.restart();
    run.carry_out(1, done(&json!(null)));
    assert_eq!(run.status(), "cancelled");
}

#[test]
fn a_run_whose_clean_up_cannot_succeed_is_ended_by_a_kill_with_the_outcome_that_it_had() {
    let mut run = Subject::run_script(&[Do::Guard]);
    for _ in 0..2 {
        run.carry_out(1, retry("x"));
    }
    run.restart();
    kill(&mut run, false).expect("killed");
    assert_eq!((run.status(), run.rows.len()), ("succeeded", 0));
    assert!(!run.entries().iter().any(|entry| {
        matches!(entry, valet_core::journal::Entry::Resolved { with: Resolution::StepDone { .. }, .. })
    }));
    assert!(matches!(kill(&mut run, false), Err(Rejection::RunEnded { status: "succeeded" })));
}
