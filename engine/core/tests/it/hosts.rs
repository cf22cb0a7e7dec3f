//! Steps that must be taken in time, and steps that are bound to a machine which may be gone.

use serde_json::json;
use valet_core::id::Seq;
use valet_core::transition::{TimerChange, Unserved};

use super::program::Do;
use super::subject::{Subject, done, retry};

/// Whom the timer that the last transition set for the step at `seq` waits for, besides its instant.
fn timer_waits_for(run: &Subject, seq: u32) -> Option<Unserved> {
    let changes = &run.last.as_ref().expect("a commit").timers;
    let set = changes.iter().find_map(|change| match change {
        TimerChange::Set { seq: at, unserved, .. } if *at == Seq(seq) => Some(unserved.clone()),
        _ => None,
    });
    set.expect("a timer is set")
}

fn host_h() -> Unserved {
    Unserved { queue: "default.on.h".to_owned(), ms: 20_000, session: None }
}

#[test]
fn a_step_that_nobody_takes_in_time_fails_and_one_that_is_held_does_not() {
    let mut run = Subject::run_script(&[Do::Hurried, Do::Hurried]);
    assert_eq!(timer_waits_for(&run, 1), None, "due in any case");
    run.fire(1);
    run.claim(2, 5);
    run.restart();
    run.fire(2);
    assert_eq!(run.count("started_in_time"), 1);
    run.finish(2, 1, 5, retry("x")).expect("taken");
    assert!(run.timers.contains_key(&Seq(2)), "the next attempt must be taken in time too");
    run.fire(2);
    let lines = run.output();
    assert!(lines.iter().all(|line| line.contains("schedule_timeout")), "{lines:?}");
}

#[test]
fn a_bound_step_goes_to_its_hosts_queue_and_waits_as_long_as_the_host_is_there() {
    let mut run = Subject::run_script(&[Do::OnHost]);
    let row = valet_core::decide::inserted(run.last.as_ref().expect("a commit")).next().expect("a row").clone();
    assert_eq!(row.policy.queue, "default.on.h");
    assert_eq!(timer_waits_for(&run, 1), Some(host_h()));
    run.fire(1);
    assert!(run.output()[0].contains("host_gone"), "{:?}", run.output());
}

#[test]
fn a_clean_up_is_given_up_with_its_host_and_no_other_is() {
    let mut run = Subject::run_script(&[Do::Guard, Do::GuardHost]);
    assert_eq!(run.status(), "closing");
    assert_eq!(timer_waits_for(&run, 2), Some(host_h()));
    run.restart();
    run.fire(2);
    assert!(run.timers.is_empty(), "the other clean-up waits for ever");
    run.carry_out(1, done(&json!(null)));
    assert_eq!(run.status(), "succeeded");
}

#[test]
fn an_early_clean_up_is_given_up_with_its_host_and_not_run_again_at_the_end() {
    let mut run = Subject::run_script(&[Do::GuardHost, Do::CleanNow, Do::Work]);
    assert_eq!(timer_waits_for(&run, 2), Some(host_h()));
    run.fire(2);
    run.carry_out(3, done(&json!(1)));
    assert_eq!(run.status(), "succeeded");
    assert_eq!(run.count("finalizer_started"), 0);
    assert!(run.output()[0].contains("host_gone"), "{:?}", run.output());
}

#[test]
fn a_clean_up_that_fails_on_its_host_is_tried_again_there() {
    let mut run = Subject::run_script(&[Do::GuardHost]);
    run.carry_out(1, retry("x"));
    assert!(run.timers.contains_key(&Seq(1)), "its next attempt waits for the host again");
    run.carry_out(1, done(&json!(null)));
    assert_eq!((run.status(), run.timers.len()), ("succeeded", 0));
}

#[test]
fn a_bound_step_that_an_operator_retries_is_given_up_with_its_host_too() {
    let mut run = Subject::run_script(&[Do::GuardHost]);
    run.carry_out(1, retry("x"));
    run.carry_out(1, retry("x"));
    assert!(run.timers.is_empty(), "out of attempts: it waits for an operator");
    run.retry().expect("taken");
    assert_eq!(timer_waits_for(&run, 1), Some(host_h()));
    run.restart();
    run.fire(1);
    assert_eq!(run.status(), "succeeded");
}
