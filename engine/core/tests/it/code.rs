//! What workflow code may do to its run, and what it may not.

use serde_json::json;
use valet_core::command::Command;
use valet_core::id::Seq;
use valet_core::journal::StuckReason;
use valet_core::run::Phase;

use super::program::Do;
use super::subject::{Subject, done, lease};

fn why(run: &Subject) -> &StuckReason {
    match &run.run().phase {
        Phase::Stuck(why) => why,
        other => panic!("not stuck: {other:?}"),
    }
}

#[test]
fn code_that_breaks_parks_its_run_and_says_why() {
    let panicked = StuckReason::Panicked { message: "as the script says".to_owned() };
    for (operation, reason) in
        [(Do::Panic, panicked), (Do::Stray, StuckReason::ForeignAwait), (Do::Storm, StuckReason::Runaway)]
    {
        let mut run = Subject::run_script(&[Do::Work, operation]);
        run.carry_out(1, done(&json!(1)));
        assert_eq!(run.status(), "stuck");
        assert_eq!(why(&run), &reason);
        assert_eq!(run.count("resolved"), 1, "the step's result stands");
        let told = reason.explain(run.run().id());
        assert!(told.contains(&format!("valet runs retry {}", run.run().id())), "{told}");
    }
}

#[test]
fn a_panic_records_nothing_that_its_poll_asked_for() {
    let mut run = Subject::run_script(&[Do::Work, Do::Status { text: "x".to_owned() }, Do::Panic]);
    run.carry_out(1, done(&json!(1)));
    assert_eq!(run.kinds(), ["started", "op", "resolved", "stuck"]);
    assert_eq!(run.run().status_line, None);
}

#[test]
fn a_stuck_run_takes_results_and_delivers_nothing() {
    let mut run = Subject::run_script(&[Do::All(vec![Do::Work, Do::Sleep { ms: 10 }, Do::Ask { ms: 1_000 }])]);
    run.claim(1, 1);
    run.tell(Command::Park { why: StuckReason::Blocking }).expect("parked");
    run.finish(1, 1, 1, done(&json!(1))).expect("taken");
    run.fire(2);
    run.answer(3, "k", &json!(1)).expect("taken");
    run.signal("go", "k", &json!(1)).expect("kept");
    assert_eq!((run.count("held"), run.count("resolved")), (3, 0));
    assert_eq!(run.status(), "stuck");
    // The one that blocked is tried again with the code at hand, and goes on where it was.
    run.machine =
        valet_core::decide::Machine::rebuild(run.stored(), &run.registry, valet_core::decide::CodeUse::Retried);
    run.retry().expect("mended");
    assert_eq!(run.output(), ["all: work: 1, slept, ada answered 1"]);
}

#[test]
fn a_races_losers_are_cancelled() {
    let mut run =
        Subject::run_script(&[Do::Race(vec![Do::Work, Do::Sleep { ms: 100 }, Do::Ask { ms: 1_000 }]), Do::Work]);
    run.fire(2);
    assert_eq!(run.count("dropped"), 2);
    assert!(!run.rows.contains_key(&Seq(1)), "the step is taken off");
    assert!(run.timers.is_empty() && run.run().tasks.is_empty());
    run.carry_out(4, done(&json!(1)));
    assert_eq!(run.output(), ["1 won: slept", "work: 1"]);
}

/// The loser's worker does not know yet: its finish finds no step.
#[test]
fn the_finish_of_a_dropped_step_is_refused() {
    let mut run = Subject::run_script(&[Do::Race(vec![Do::Work, Do::Sleep { ms: 100 }]), Do::Work]);
    run.claim(1, 1);
    run.restart();
    run.fire(2);
    run.finish(1, 1, 1, done(&json!(1))).expect_err("dropped");
    assert_eq!(run.count("resolved"), 1);
}

#[test]
fn a_race_is_decided_by_what_is_delivered_first_and_by_nothing_else() {
    let script = [Do::Race(vec![Do::Work, Do::Sleep { ms: 100 }])];
    let finish = || Subject::finish_command(1, 1, 1, done(&json!(1)));
    let due = || Command::TimerDue { seq: Seq(2) };
    for (commands, line) in [(vec![finish(), due()], "0 won: work: 1"), (vec![due(), finish()], "1 won: slept")] {
        let mut run = Subject::run_script(&script);
        run.claim(1, 1);
        run.now = run.timers[&Seq(2)];
        run.tell_all(commands);
        assert_eq!(run.output(), [line]);
    }
}

#[test]
fn all_waits_for_each_and_keeps_their_order() {
    let mut run = Subject::run_script(&[Do::All(vec![Do::Work, Do::Work, Do::Work])]);
    for seq in [3, 1, 2] {
        run.carry_out(seq, done(&json!(seq)));
    }
    assert_eq!(run.output(), ["all: work: 1, work: 2, work: 3"]);
}

#[test]
fn a_dropped_child_is_told_to_end() {
    let mut run = Subject::run_script(&[Do::Race(vec![Do::Child, Do::Sleep { ms: 10 }]), Do::Work]);
    run.fire(2);
    let sent = &run.last.as_ref().expect("a transition").outbox;
    assert!(sent.iter().any(|row| row.to == run.run().id().child(Seq(1))), "{sent:?}");
}

#[test]
fn an_output_of_another_shape_is_a_failure_that_the_code_gets() {
    let mut run = Subject::run_script(&[Do::Guard, Do::CleanNow]);
    run.claim(2, 1);
    run.finish(2, 1, 1, done(&json!("not a unit"))).expect("taken");
    assert!(run.output()[0].starts_with("clean failed: the step's output does not have the expected shape"));
}

#[test]
fn an_unknown_workflow_parks_the_run_until_a_build_knows_it() {
    let mut run = Subject::run_script(&[Do::Work]);
    run.registry = valet_core::Registry::new(2);
    run.restart();
    run.signal("go", "k", &json!(1)).expect("kept");
    assert_eq!(why(&run), &StuckReason::UnknownWorkflow { name: "script".to_owned() });
    run.registry = super::program::registry().with_build(3);
    run.restart();
    run.retry().expect("mended");
    run.claim(1, 1);
    run.finish(1, 1, 1, done(&json!(1))).expect("taken");
    assert_eq!(run.output(), ["work: 1"]);
    assert!(run.run().accepted_leases.contains(&lease(1)));
}
