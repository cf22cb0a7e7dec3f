//! Signals, tasks for people, pause: what is kept, in which order it is delivered, what it does not stop.

use serde_json::json;
use valet_core::bounds::SIGNALS_KEPT_PER_NAME;
use valet_core::command::{Command, Rejection, Reply, TaskAnswer};
use valet_core::id::Seq;
use valet_core::run::Reason;
use valet_core::transition::{StepState, TaskChange};

use super::program::Do;
use super::subject::{Subject, Way, at, done, retry};

fn wait() -> Do {
    Do::Wait { name: "go".to_owned(), ms: None }
}

#[test]
fn a_signal_that_comes_before_its_wait_is_kept_in_order() {
    let mut run = Subject::run_script(&[Do::Work, wait(), wait(), wait()]);
    run.signal("go", "a", &json!(1)).expect("kept");
    run.signal("other", "a", &json!("x")).expect("kept");
    run.signal("go", "b", &json!(2)).expect("kept");
    run.restart();
    run.carry_out(1, done(&json!(null)));
    assert_eq!(run.status(), "waiting", "the third wait has no message yet");
    run.signal("go", "c", &json!(3)).expect("kept");
    assert_eq!(run.output()[1..], ["heard 1", "heard 2", "heard 3"]);
}

#[test]
fn a_signal_is_taken_once_for_each_key() {
    let mut run = Subject::run_script(&[wait(), wait()]);
    run.signal("go", "a", &json!(1)).expect("kept");
    run.signal("go", "a", &json!(9)).expect("done before");
    assert!(run.last.is_none(), "a repeat writes nothing, even after the first was read");
    run.restart();
    run.signal("go", "a", &json!(9)).expect("done before");
    run.signal("go", "b", &json!(2)).expect("kept");
    assert_eq!(run.output(), ["heard 1", "heard 2"]);
}

#[test]
fn unread_signals_are_bounded_for_each_channel() {
    let mut run = Subject::run_script(&[Do::Work]);
    let signals = |count: usize| {
        (0..count).map(|n| Command::Signal {
            name: "go".to_owned(),
            key: n.to_string(),
            payload: valet_core::Payload::null(),
        })
    };
    for told in run.tell_all(signals(SIGNALS_KEPT_PER_NAME).collect()) {
        told.expect("kept");
    }
    assert!(matches!(run.signal("go", "more", &json!(1)), Err(Rejection::ChannelFull { kept: 1_000, .. })));
    run.signal("other", "more", &json!(1)).expect("another channel has room");
}

#[test]
fn a_wait_times_out_unless_it_was_heard() {
    let patient = || Do::Wait { name: "go".to_owned(), ms: Some(500) };
    let mut run = Subject::run_script(&[patient(), patient()]);
    run.now = at(499);
    run.tell(Command::TimerDue { seq: Seq(1) }).expect("too early");
    assert!(run.last.is_none());
    run.fire(1);
    run.signal("go", "a", &json!(1)).expect("kept");
    assert_eq!(run.output(), ["heard nothing", "heard 1"]);
    assert!(run.timers.is_empty(), "the second wait's timer is gone with it");
}

#[test]
fn a_task_ends_by_an_answer_a_rejection_or_its_deadline() {
    let mut answered = Subject::run_script(&[Do::Ask { ms: 500 }]);
    answered.answer(1, "k", &json!(41)).expect("taken");
    assert_eq!(answered.output(), ["ada answered 41"]);

    let mut rejected = Subject::run_script(&[Do::Ask { ms: 500 }]);
    let answer = TaskAnswer::Rejected { reason: "no".to_owned() };
    rejected
        .tell(Command::AnswerTask { seq: Seq(1), by: "eve".to_owned(), key: "k".to_owned(), answer })
        .expect("taken");
    assert_eq!(rejected.output(), ["eve rejected: no"]);

    let mut late = Subject::run_script(&[Do::Ask { ms: 500 }]);
    late.fire(1);
    assert_eq!(late.output(), ["nobody answered"]);
}

#[test]
fn a_tasks_row_opens_and_closes_with_it() {
    let ways: [Way; 3] = [
        ("answered", |run| drop(run.answer(1, "k", &json!(1)).expect("taken"))),
        ("timed_out", |run| run.fire(1)),
        ("cancelled", |run| drop(run.cancel().expect("cancelled"))),
    ];
    for (state, end) in ways {
        let mut run = Subject::run_script(&[Do::Ask { ms: 500 }, Do::Work]);
        let opened = &run.last.as_ref().expect("a transition").tasks;
        assert!(matches!(&opened[..], [TaskChange::Open(task)] if task.seq == Seq(1)), "{opened:?}");
        end(&mut run);
        let closed = &run.last.as_ref().expect("a transition").tasks;
        assert!(
            matches!(&closed[..], [TaskChange::Close { state: told, .. }] if *told == state),
            "{state}: {closed:?}"
        );
    }
}

#[test]
fn a_second_answer_is_told_who_was_first_and_the_same_key_is_answered_again() {
    let mut run = Subject::run_script(&[Do::Ask { ms: 500 }, Do::Work]);
    run.answer(1, "first", &json!(1)).expect("taken");
    run.restart();
    run.answer(1, "first", &json!(2)).expect("the same answer again");
    assert!(run.last.is_none());
    let second = run.answer(1, "second", &json!(2));
    let by = Some("ada".to_owned());
    assert_eq!(second.expect_err("refused"), Rejection::TaskEnded { ended: "answered".to_owned(), by });
    assert!(matches!(run.answer(2, "k", &json!(1)), Err(Rejection::NoSuchTask)), "a step is no task");
}

#[test]
fn pause_holds_deliveries_and_resume_releases_them_in_order() {
    let all = vec![Do::Work, Do::Ask { ms: 10_000 }, Do::Sleep { ms: 500 }, wait(), Do::Work];
    let mut run = Subject::run_script(&[Do::All(all), Do::Work]);
    run.claim(1, 1);
    run.pause();
    assert!(run.rows.values().all(|row| row.gated));
    // Results, timers, answers and signals are all still taken.
    run.fire(3);
    run.finish(1, 1, 1, done(&json!("one"))).expect("taken");
    run.answer(2, "k", &json!(2)).expect("taken");
    run.signal("go", "k", &json!(4)).expect("kept");
    assert_eq!(run.count("resolved"), 0, "nothing is delivered");
    assert_eq!(run.count("held"), 3);
    run.restart();
    run.resume();
    assert_eq!(run.count("released"), 3);
    let with: Vec<u32> = run.run().early.keys().map(|seq| seq.0).collect();
    assert!(with.is_empty());
    assert_eq!(
        run.kinds().iter().rev().take(5).rev().collect::<Vec<_>>(),
        ["unpaused", "released", "released", "released", "resolved"]
    );
    run.carry_out(5, done(&json!("five")));
    run.carry_out(6, done(&json!("six")));
    let lines = ["all: work: \"one\", ada answered 2, slept, heard 4, work: \"five\"", "work: \"six\""];
    assert_eq!(run.output(), lines);
}

/// The pause of a workflow is no entry of its runs: whoever decides is told that it is in force.
#[test]
fn what_comes_while_the_workflow_is_paused_is_held_until_a_revival() {
    let all = vec![Do::Work, Do::Ask { ms: 10_000 }, Do::Sleep { ms: 500 }, wait()];
    let mut run = Subject::run_script(&[Do::All(all), Do::Work]);
    run.claim(1, 1);
    run.machine.hold(true);
    run.fire(3);
    run.finish(1, 1, 1, done(&json!("one"))).expect("taken");
    run.answer(2, "k", &json!(2)).expect("taken");
    run.signal("go", "k", &json!(4)).expect("kept");
    assert_eq!((run.count("held"), run.count("resolved"), run.count("op")), (3, 0, 4), "nothing is delivered");
    assert_eq!(run.run().reason(), Some(Reason::Held));
    assert_eq!(run.last.as_ref().expect("a commit").row.waits_for_build, Some(run.run().build), "found on resume");
    // Its own pause and the end of it deliver nothing either.
    run.pause();
    run.resume();
    run.tell(Command::Revive).expect("always taken");
    assert_eq!(run.count("released"), 0);
    run.machine.hold(false);
    run.tell(Command::Revive).expect("always taken");
    assert_eq!((run.count("released"), run.count("op")), (3, 5));
    assert_eq!(run.last.as_ref().expect("a commit").row.waits_for_build, None);
    run.carry_out(5, done(&json!("five")));
    let lines = ["all: work: \"one\", ada answered 2, slept, heard 4", "work: \"five\""];
    assert_eq!(run.output(), lines);
}

#[test]
fn nothing_is_handed_over_while_the_workflow_is_paused() {
    for on_hold in [false, true] {
        let mut run = Subject::run_script(&[Do::Guard, Do::Work]);
        run.claim(2, 1);
        run.tell(Command::Cancel { by: "ada".to_owned(), reason: String::new() }).expect("closing");
        run.machine.hold(on_hold);
        let reply = run.tell(Subject::offering(2, 1, done(&json!(1)), 2)).expect("taken");
        let Reply::Finished { handed_over } = reply else { panic!("{reply:?}") };
        assert_eq!(handed_over.is_some(), !on_hold, "its clean-up");
    }
}

#[test]
fn pause_gates_steps_also_those_that_come_while_it_lasts() {
    let mut run = Subject::run_script(&[Do::Work]);
    run.claim(1, 1);
    run.pause();
    run.finish(1, 1, 1, retry("x")).expect("taken");
    assert!(run.rows[&Seq(1)].gated, "its next attempt is held too");
    run.resume();
    assert!(!run.rows[&Seq(1)].gated);
    run.carry_out(1, done(&json!(1)));
    assert_eq!(run.status(), "succeeded");
}

#[test]
fn pausing_twice_or_resuming_what_goes_on_writes_nothing() {
    let mut run = Subject::run_script(&[Do::Work]);
    run.resume();
    assert!(run.last.is_none());
    run.pause();
    run.pause();
    assert!(run.last.is_none());
    assert_eq!((run.count("paused"), run.count("unpaused")), (1, 0));
}

#[test]
fn a_stuck_run_can_be_paused_and_hands_out_nothing() {
    let mut run = Subject::run_script(&[Do::All(vec![Do::Work, Do::Sleep { ms: 100 }]), Do::Panic]);
    run.claim(1, 1);
    run.tell(Command::Park { why: valet_core::journal::StuckReason::Blocking }).expect("parked");
    run.pause();
    run.finish(1, 1, 1, retry("x")).expect("taken");
    assert!(run.rows[&Seq(1)].gated);
    assert!(matches!(run.rows[&Seq(1)].state, StepState::BackingOff(_)));
}

#[test]
fn deadlines_go_on_while_a_run_is_paused() {
    let mut run = Subject::run_script(&[Do::Ask { ms: 500 }]);
    run.pause();
    run.fire(1);
    assert_eq!(run.count("held"), 1);
    assert!(matches!(run.answer(1, "k", &json!(1)), Err(Rejection::TaskEnded { by: None, .. })));
    run.resume();
    assert_eq!(run.output(), ["nobody answered"]);
}

/// A caller whose answer got lost asks again: it is told the same, however far the run is by then.
#[test]
fn a_repeat_is_told_what_its_first_was_told_also_after_the_end() {
    let mut run = Subject::run_script(&[Do::Guard, Do::Ask { ms: 500 }, wait()]);
    run.answer(2, "first", &json!(1)).expect("taken");
    run.signal("go", "a", &json!(1)).expect("taken");
    for status in ["closing", "succeeded"] {
        assert_eq!(run.status(), status);
        run.answer(2, "first", &json!(1)).expect("as before");
        assert!(matches!(run.answer(2, "second", &json!(1)), Err(Rejection::TaskEnded { .. })));
        run.signal("go", "a", &json!(1)).expect("as before");
        run.signal("go", "b", &json!(1)).expect_err("nobody will hear it");
        assert!(run.last.is_none());
        if status == "closing" {
            run.carry_out(1, done(&json!(null)));
            run.restart();
        }
    }
}

#[test]
fn a_filter_takes_the_first_message_that_it_holds_for_and_leaves_the_others() {
    let big = || Do::WaitWhere { filter: "message.n > 10".to_owned() };
    let any = || Do::Wait { name: "go".to_owned(), ms: None };
    let mut run = Subject::run_script(&[big(), big(), any(), any()]);
    for (key, message) in [("a", json!({ "n": 1 })), ("b", json!("no number")), ("c", json!({ "n": 11 }))] {
        run.signal("go", key, &message).expect("kept");
    }
    run.restart();
    assert_eq!(run.count("resolved"), 1);
    run.pause();
    run.signal("go", "d", &json!({ "n": 12 })).expect("kept");
    run.resume();
    assert_eq!(run.output(), [r#"heard {"n":11}"#, r#"heard {"n":12}"#, r#"heard {"n":1}"#, r#"heard "no number""#]);
}

#[test]
fn a_filter_that_is_none_is_told_to_the_code() {
    let run = Subject::run_script(&[Do::WaitWhere { filter: "message.n >".to_owned() }]);
    assert!(run.output()[0].starts_with("no filter:"), "{:?}", run.output());
}
