//! Attempts: how they are spent, how long they wait, what happens when they run out.

use serde_json::json;
use valet_core::id::{Attempt, Seq};
use valet_core::run::Reason;
use valet_core::transition::StepState;
use valet_core::{Failure, Outcome};

use super::program::Do;
use super::subject::{Subject, at, done, lease, retry};

#[test]
fn each_attempt_waits_longer_and_the_last_one_ends_the_step() {
    let mut run = Subject::run_script(&[Do::Work]);
    for (attempt, wait_ms) in [(1, 100), (2, 200)] {
        run.now = at(i64::from(attempt) * 10_000);
        run.rows.get_mut(&Seq(1)).expect("a row").state = StepState::Ready;
        run.claim(1, u128::from(attempt));
        run.finish(1, attempt, u128::from(attempt), retry("flaky")).expect("taken");
        let row = &run.rows[&Seq(1)];
        assert_eq!(row.state, StepState::BackingOff(at(i64::from(attempt) * 10_000 + wait_ms)));
        assert_eq!((row.attempt, row.lease), (Attempt(attempt + 1), None));
        assert!(matches!(run.run().reason(), Some(Reason::BackingOff { .. })));
        assert_eq!(run.status(), "waiting", "a run that backs off holds nothing");
    }
    run.carry_out(1, retry("flaky"));
    assert_eq!(run.output(), ["work failed: step failed after its last attempt: flaky: try again"]);
}

#[test]
fn a_worker_may_say_when_to_try_again() {
    let mut run = Subject::run_script(&[Do::Work]);
    run.claim(1, 1);
    let later = Outcome::Retry { error: Failure::new("x", "y"), after_ms: Some(5_000) };
    run.finish(1, 1, 1, later).expect("taken");
    assert_eq!(run.rows[&Seq(1)].state, StepState::BackingOff(at(5_000)));
    // However long: the next attempt has an instant.
    let mut run = Subject::run_script(&[Do::Work]);
    run.claim(1, 1);
    run.finish(1, 1, 1, Outcome::Retry { error: Failure::new("x", "y"), after_ms: Some(u64::MAX) }).expect("taken");
    assert!(matches!(run.rows[&Seq(1)].state, StepState::BackingOff(_)));
}

#[test]
fn an_error_that_the_policy_names_is_not_tried_again() {
    let mut run = Subject::run_script(&[Do::Work]);
    run.carry_out(1, retry("hopeless"));
    assert_eq!(run.output(), ["work failed: step failed: hopeless: try again"]);
}

#[test]
fn jitter_is_drawn_once_for_each_attempt_and_stays_within_its_share() {
    let waits = || {
        let mut run = Subject::run_script(&[Do::Once]);
        run.claim(1, 1);
        run.finish(1, 1, 1, retry("flaky")).expect("taken");
        run.rows[&Seq(1)].state
    };
    let first = waits();
    assert!(
        matches!(first, StepState::BackingOff(until) if until >= at(500) && until < at(1_000)),
        "a half at most: {first:?}"
    );
    assert_eq!(first, waits(), "whoever decides it again");
}

#[test]
fn trying_again_at_once_is_ready_at_once() {
    let mut run = Subject::run_script(&[Do::Work]);
    run.claim(1, 1);
    run.finish(1, 1, 1, Outcome::Retry { error: Failure::new("x", "y"), after_ms: Some(0) }).expect("taken");
    assert_eq!(run.rows[&Seq(1)].state, StepState::Ready);
}

#[test]
fn a_lost_worker_uses_an_attempt_up_and_a_handed_back_step_does_not() {
    let mut run = Subject::run_script(&[Do::Parking]);
    for attempt in 1..=5 {
        run.claim(1, u128::from(attempt));
        run.finish(1, attempt, u128::from(attempt), Outcome::HandedBack).expect("taken");
    }
    run.claim(1, 6);
    run.tell(valet_core::command::Command::TakeBack {
        seq: Seq(1),
        attempt: Attempt(6),
        lease: lease(6),
        effect_begun: false,
    })
    .expect("taken back");
    assert_eq!(run.rows[&Seq(1)].state, StepState::Ready);
    run.claim(1, 7);
    run.lose(1, 7, 7, false).expect("lost");
    assert_eq!(run.rows[&Seq(1)].state, StepState::Parked, "its one attempt is gone");
}

#[test]
fn exhausted_attempts_fail_or_park_as_the_policy_says() {
    let mut failing = Subject::run_script(&[Do::Work]);
    for _ in 0..3 {
        failing.carry_out(1, retry("x"));
    }
    assert_eq!(failing.status(), "succeeded", "the code took the failure");

    let mut parking = Subject::run_script(&[Do::Parking]);
    parking.carry_out(1, retry("x"));
    assert_eq!(parking.status(), "waiting");
    let parked = Reason::Parked { name: "parking".to_owned(), seq: Seq(1), code: "x".to_owned() };
    assert_eq!(parking.run().reason(), Some(parked));
    parking.retry().expect("a retry");
    parking.carry_out(1, done(&json!("second")));
    assert_eq!(parking.output(), ["parking: \"second\""]);
}

#[test]
fn a_retry_gives_all_attempts_anew() {
    let mut run = Subject::run_script(&[Do::Parking]);
    for _ in 0..4 {
        run.carry_out(1, retry("x"));
        assert_eq!(run.rows[&Seq(1)].state, StepState::Parked);
        run.retry().expect("a retry");
    }
    assert_eq!(run.rows[&Seq(1)].attempt, Attempt(5));
}

#[test]
fn what_is_final_is_not_tried_again() {
    for (outcome, line) in [
        (Outcome::Fail { error: Failure::new("bad", "no") }, "work failed: step failed: bad: no"),
        (Outcome::Blocked { reason: Failure::new("captcha", "no") }, "work failed: step blocked: captcha: no"),
    ] {
        let mut run = Subject::run_script(&[Do::Work]);
        run.carry_out(1, outcome);
        assert_eq!(run.output(), [line]);
        assert_eq!(run.count("attempt_ended"), 0);
    }
}
