//! A run that a newer build advanced is carried on as data by an older one, and gone on with by the newer.

use serde_json::json;
use valet_core::command::{Command, Rejection};
use valet_core::run::{Phase, Reason};

use super::program::{Do, registry};
use super::subject::{Subject, done};

/// The engine at hand now has this build.
fn deployed(run: &mut Subject, build: i64) {
    run.registry = registry().with_build(build);
    run.restart();
}

fn revive(run: &mut Subject) {
    run.tell(Command::Revive).expect("always taken");
}

/// Started by build 2, now in the hands of build 1.
fn older_at_hand(script: &[Do]) -> Subject {
    let mut run = Subject::run_script(script);
    deployed(&mut run, 2);
    run.tell(Command::Pause { by: "ada".to_owned() }).expect("a pause");
    run.resume();
    assert_eq!(run.run().build, 2);
    deployed(&mut run, 1);
    run
}

#[test]
fn an_older_build_takes_a_result_in_and_a_newer_one_delivers_it() {
    let mut run = older_at_hand(&[Do::Work, Do::Sleep { ms: 1 }]);
    run.carry_out(1, done(&json!(7)));
    assert_eq!((run.count("held"), run.count("resolved"), run.count("op")), (1, 0, 1), "taken in, not delivered");
    assert_eq!(run.run().reason(), Some(Reason::NewerBuild { build: 2 }));
    assert_eq!(run.last.as_ref().expect("a commit").row.waits_for_build, Some(2));

    revive(&mut run);
    assert_eq!(run.count("released"), 0, "an older build does not revive it");

    deployed(&mut run, 2);
    revive(&mut run);
    assert_eq!((run.count("released"), run.count("op")), (1, 2));
    assert_eq!(run.last.as_ref().expect("a commit").row.waits_for_build, None);
    run.fire(2);
    assert_eq!(run.output(), ["work: 7", "slept"]);
}

#[test]
fn whatever_comes_to_the_newer_build_delivers_what_the_older_took_in() {
    let mut run = older_at_hand(&[Do::All(vec![Do::Work, Do::Work])]);
    run.carry_out(1, done(&json!(1)));
    deployed(&mut run, 2);
    // An attempt that ends without a result delivers nothing by itself.
    run.claim(2, 9);
    run.lose(2, 1, 9, false).expect("taken");
    assert_eq!(run.count("released"), 1);
    assert_eq!(run.run().waits_for_build(), None);
}

#[test]
fn a_message_and_an_answer_wait_for_the_newer_build_too() {
    let mut run = older_at_hand(&[Do::Wait { name: "go".to_owned(), ms: None }, Do::Ask { ms: 1_000 }]);
    run.signal("go", "k", &json!(5)).expect("kept");
    assert_eq!((run.count("resolved"), run.run().waits_for_build()), (0, Some(2)));
    deployed(&mut run, 2);
    revive(&mut run);
    deployed(&mut run, 1);
    run.answer(2, "a", &json!(9)).expect("taken");
    deployed(&mut run, 2);
    revive(&mut run);
    assert_eq!(run.output(), ["heard 5", "ada answered 9"]);
}

#[test]
fn an_older_build_pauses_and_cancels_what_it_does_not_know() {
    let mut run = older_at_hand(&[Do::Guard, Do::Work]);
    run.claim(2, 5);
    run.pause();
    run.finish(2, 1, 5, done(&json!(1))).expect("taken");
    assert_eq!(run.run().waits_for_build(), None, "paused: nobody delivers");
    run.resume();
    assert_eq!(run.run().waits_for_build(), Some(2));
    run.cancel().expect("cancelled");
    run.carry_out(1, done(&json!(null)));
    assert_eq!(run.status(), "cancelled");
}

#[test]
fn each_newer_build_tries_a_stuck_run_once() {
    let mut run = Subject::run_script(&[Do::Work, Do::Panic]);
    run.carry_out(1, done(&json!(1)));
    assert_eq!((run.status(), run.run().waits_for_build()), ("stuck", Some(2)));
    revive(&mut run);
    assert_eq!(run.count("stuck"), 1, "the same build has tried");

    deployed(&mut run, 2);
    revive(&mut run);
    assert_eq!((run.count("stuck"), run.count("mended")), (2, 0), "its code fits no better, and that is recorded");
    assert_eq!(run.run().waits_for_build(), Some(3));
    revive(&mut run);
    assert_eq!(run.count("stuck"), 2);

    deployed(&mut run, 1);
    let refused = run.retry().expect_err("an older build mends nothing");
    assert_eq!(refused, Rejection::BuildTooOld { build: 1, needs: 2 });
    assert!(matches!(run.run().phase, Phase::Stuck(_)));
}
