//! Who may end an attempt: fences, repeats, late finishes, effects, hand-overs.

use serde_json::json;
use valet_core::Outcome;
use valet_core::bounds::HAND_OVERS_IN_A_ROW_MAX;
use valet_core::command::{Command, Rejection, Reply};
use valet_core::id::{Attempt, Seq};
use valet_core::transition::{Fence, StepState};

use super::program::Do;
use super::subject::{Subject, done, handed_over, lease, retry};

fn fences(run: &Subject) -> &[Fence] {
    run.last.as_ref().map_or(&[], |transition| &transition.fences)
}

#[test]
fn every_end_of_an_attempt_is_fenced_by_attempt_and_lease() {
    let (seq, attempt) = (Seq(1), Attempt(1));
    let mut run = Subject::run_script(&[Do::Work]);
    run.claim(1, 1);
    run.finish(1, 1, 1, done(&json!(1))).expect("taken");
    assert_eq!(fences(&run), [Fence::Granted { seq, attempt, lease: lease(1) }]);

    for effect_begun in [false, true] {
        let mut run = Subject::run_script(&[Do::Once]);
        run.claim(1, 1);
        run.lose(1, 1, 1, effect_begun).expect("lost");
        assert_eq!(fences(&run), [Fence::Lost { seq, attempt, lease: lease(1), effect_begun }]);

        let mut run = Subject::run_script(&[Do::Once]);
        run.claim(1, 1);
        let back = Command::TakeBack { seq, attempt, lease: lease(1), effect_begun };
        run.tell(back).expect("taken back");
        assert_eq!(fences(&run), [Fence::Forgotten { seq, attempt, lease: lease(1), effect_begun }]);
    }
}

/// Claims do not touch the run: what it does not know is held, the store must confirm.
#[test]
fn ending_a_run_fences_what_is_granted_and_what_is_not() {
    let mut run = Subject::run_script(&[Do::All(vec![Do::Work, Do::Work])]);
    run.claim(1, 1);
    run.restart();
    run.cancel().expect("cancelled");
    let granted = Fence::Granted { seq: Seq(1), attempt: Attempt(1), lease: lease(1) };
    assert_eq!(fences(&run), [granted, Fence::NotGranted { seq: Seq(2) }]);
    assert_eq!(run.rows[&Seq(1)].state, StepState::Stopping);
    assert!(!run.rows.contains_key(&Seq(2)));
}

#[test]
fn a_finish_of_another_attempt_or_lease_is_refused() {
    let mut run = Subject::run_script(&[Do::Work]);
    run.claim(1, 1);
    run.restart();
    for (seq, attempt, n) in [(1, 1, 2), (1, 2, 1), (1, 0, 1), (2, 1, 1), (0, 1, 1)] {
        let told = run.finish(seq, attempt, n, done(&json!("foreign")));
        assert!(matches!(told, Err(Rejection::Stale)), "{seq}/{attempt}/{n}: {told:?}");
    }
    run.finish(1, 1, 1, done(&json!("own"))).expect("taken");
    assert_eq!(run.output(), ["work: \"own\""]);
}

#[test]
fn a_repeated_finish_gets_its_first_answer_in_every_later_state() {
    let outcomes = [done(&json!(1)), retry("x"), Outcome::HandedBack, Outcome::Cancelled];
    for outcome in outcomes {
        let mut run = Subject::run_script(&[Do::Work, Do::Work]);
        run.claim(1, 1);
        run.finish(1, 1, 1, outcome.clone()).expect("taken");
        for _ in 0..2 {
            // Whatever it says the second time: the first word counts.
            let again = run.finish(1, 1, 1, done(&json!("other")));
            assert!(matches!(again, Ok(Reply::Finished { handed_over: None })), "{again:?}");
            assert!(run.last.is_none(), "nothing is written");
            run.restart();
        }
        run.cancel().expect("cancelled");
        run.finish(1, 1, 1, outcome.clone()).expect("after the end too");
        run.finish(1, 1, 9, outcome).expect_err("another lease never was accepted");
    }
}

#[test]
fn a_late_finish_is_refused() {
    for effect_begun in [false, true] {
        let mut run = Subject::run_script(&[Do::Once, Do::Work]);
        run.claim(1, 1);
        run.lose(1, 1, 1, effect_begun).expect("lost");
        let late = run.finish(1, 1, 1, done(&json!("late")));
        assert!(matches!(late, Err(Rejection::Stale)), "{late:?}");
        run.restart();
        let late = run.finish(1, 1, 1, done(&json!("late")));
        assert!(matches!(late, Err(Rejection::Stale)), "after a restart: {late:?}");
    }
}

#[test]
fn a_lost_attempt_is_lost_once() {
    let mut run = Subject::run_script(&[Do::Work]);
    run.claim(1, 1);
    run.lose(1, 1, 1, false).expect("lost");
    assert!(matches!(run.lose(1, 1, 1, false), Err(Rejection::Stale)));
    assert_eq!(run.count("attempt_ended"), 1);
}

#[test]
fn an_effect_that_began_is_never_silently_run_again() {
    let vanish = |effect_begun, taken_back| {
        let mut run = Subject::run_script(&[Do::Once]);
        run.claim(1, 1);
        let (seq, attempt, lease) = (Seq(1), Attempt(1), lease(1));
        let command = if taken_back {
            Command::TakeBack { seq, attempt, lease, effect_begun }
        } else {
            Command::AttemptLost { seq, attempt, lease, effect_begun }
        };
        run.tell(command).expect("told");
        run
    };
    for taken_back in [false, true] {
        let before = vanish(false, taken_back);
        assert_eq!(before.rows[&Seq(1)].attempt, Attempt(2), "lost before it began: an ordinary retry");
        let after = vanish(true, taken_back);
        assert!(after.rows.is_empty(), "nothing is run again");
        let line = &after.output()[0];
        assert!(line.starts_with("once failed: the effect may or may not have happened"), "{line}");
    }
}

#[test]
fn a_worker_that_lost_its_grip_says_so_and_the_code_learns_it() {
    let mut run = Subject::run_script(&[Do::Once]);
    run.carry_out(1, Outcome::Fail { error: valet_core::Failure::new("in_doubt", "cut off") });
    assert_eq!(run.output(), ["once failed: the effect may or may not have happened: in_doubt: cut off"]);
}

#[test]
fn a_finish_takes_the_next_step_along_in_the_same_commit() {
    let mut run = Subject::run_script(&[Do::Work, Do::Work]);
    run.claim(1, 1);
    let next = handed_over(run.tell(Subject::offering(1, 1, done(&json!(1)), 2))).expect("a step");
    assert_eq!((next.seq, next.attempt, next.lease), (Seq(2), Attempt(1), lease(2)));
    let row = &run.rows[&Seq(2)];
    assert_eq!((row.state, row.lease), (StepState::Running, Some(lease(2))));
    let earned = Fence::HandsOver { seq: Seq(1), attempt: Attempt(1), lease: lease(1) };
    assert_eq!(fences(&run), [earned], "only a living session earns it");
    // The answer was lost: the repeat finds the step again, as long as it is held.
    let again = handed_over(run.tell(Subject::offering(1, 1, done(&json!(1)), 2))).expect("the same step");
    assert_eq!(again, next);
    run.finish(2, 1, 2, done(&json!(2))).expect("taken");
    assert_eq!(handed_over(run.tell(Subject::offering(1, 1, done(&json!(1)), 2))), None);
}

#[test]
fn effects_other_queues_and_paused_runs_are_not_handed_over() {
    let mut effect = Subject::run_script(&[Do::Work, Do::Once]);
    effect.claim(1, 1);
    assert_eq!(handed_over(effect.tell(Subject::offering(1, 1, done(&json!(1)), 2))), None);
    assert_eq!(effect.rows[&Seq(2)].state, StepState::Ready);

    let mut paused = Subject::run_script(&[Do::Work, Do::Work]);
    paused.claim(1, 1);
    paused.pause();
    assert_eq!(handed_over(paused.tell(Subject::offering(1, 1, done(&json!(1)), 2))), None);

    let mut retried = Subject::run_script(&[Do::Work]);
    retried.claim(1, 1);
    assert_eq!(handed_over(retried.tell(Subject::offering(1, 1, retry("x"), 2))), None, "a retry backs off first");
}

#[test]
fn hand_overs_in_a_row_are_bounded() {
    let script: Vec<Do> = std::iter::repeat_n(Do::Work, 12).collect();
    let mut run = Subject::run_script(&script);
    run.claim(1, 1);
    let mut taken = 0;
    for seq in 1..12 {
        let offer = Subject::offering(seq, u128::from(seq), done(&json!(seq)), u128::from(seq) + 1);
        match handed_over(run.tell(offer)) {
            Some(step) => assert_eq!(step.seq, Seq(seq + 1)),
            None => break,
        }
        taken += 1;
    }
    assert_eq!(taken, HAND_OVERS_IN_A_ROW_MAX, "then others have their turn");
}
