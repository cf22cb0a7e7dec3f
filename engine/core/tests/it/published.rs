//! Waits for published events: what wakes a run, once, and which rows tell the store of it.

use serde_json::json;
use valet_core::EventPattern;
use valet_core::command::{Rejection, Reply};
use valet_core::id::Seq;
use valet_core::journal::{Entry, Op};
use valet_core::run::Reason;

use super::program::Do;
use super::subject::{Subject, Way, done};

fn any() -> Do {
    Do::Event { filter: None, ms: None }
}

fn over_three() -> Do {
    Do::Event { filter: Some("message.payload.amount > 3 && message.scope == null".to_owned()), ms: None }
}

#[track_caller]
fn is(reply: Result<Reply, Rejection>, expected: &str) {
    assert_eq!(format!("{:?}", reply.expect("an answer")), expected);
}

#[test]
fn a_run_is_woken_by_one_event_and_waits_for_the_next_anew() {
    let mut run = Subject::run_script(&[any(), any()]);
    assert_eq!(run.event_waits, [(Seq(1), EventPattern::key("order:*"))].into());
    assert_eq!(run.run().reason(), Some(Reason::Event { key: "order:*".to_owned() }));
    is(run.publish(1, "event_1", &json!(1)), "Done");
    assert_eq!(run.event_waits.keys().copied().collect::<Vec<_>>(), [Seq(2)]);
    is(run.publish(1, "event_1", &json!(1)), "Repeated");
    assert!(run.last.is_none(), "told twice, taken once");
    run.restart();
    is(run.publish(1, "event_1", &json!(1)), "Repeated");
    assert_eq!(run.publish(1, "event_2", &json!(2)).unwrap_err(), Rejection::NoSuchWait);
    is(run.publish(2, "event_2", &json!(2)), "Done");
    assert_eq!(run.output(), ["order:paid: 1", "order:paid: 2"]);
    assert!(run.event_waits.is_empty());
    is(run.publish(2, "event_2", &json!(2)), "Repeated");
    assert_eq!(run.publish(2, "event_3", &json!(3)).unwrap_err(), Rejection::RunEnded { status: "succeeded" });
}

#[test]
fn an_event_for_which_the_filter_does_not_hold_leaves_no_trace() {
    let mut run = Subject::run_script(&[over_three()]);
    let entries = run.entries().len();
    for payload in [json!({ "amount": 3 }), json!({}), json!("none")] {
        is(run.publish(1, "event_1", &payload), "Ignored");
    }
    assert_eq!(run.entries().len(), entries);
    is(run.publish(1, "event_2", &json!({ "amount": 4 })), "Done");
    assert_eq!(run.output(), [r#"order:paid: {"amount":4}"#]);
    let unreadable = Subject::run_script(&[Do::Event { filter: Some("message.".to_owned()), ms: None }]);
    assert!(unreadable.output()[0].starts_with("no filter: "));
}

/// What came first stays, whether or not the run could be told so far.
#[test]
fn a_paused_run_keeps_the_first_event_until_it_is_resumed() {
    for filter in [any(), over_three()] {
        let mut run = Subject::run_script(&[filter]);
        run.pause();
        is(run.publish(1, "event_1", &json!({ "amount": 5 })), "Done");
        is(run.publish(1, "event_2", &json!({ "amount": 6 })), "Ignored");
        run.restart();
        is(run.publish(1, "event_1", &json!({ "amount": 5 })), "Repeated");
        assert_eq!(run.status(), "waiting");
        run.resume();
        assert_eq!(run.output(), [r#"order:paid: {"amount":5}"#]);
    }
}

#[test]
fn a_wait_goes_with_its_row_however_it_ends() {
    let ways: [Way; 4] = [
        ("event", |run| drop(run.publish(2, "event_1", &json!(1)).expect("taken"))),
        ("timeout", |run| run.fire(2)),
        ("let go", |run| run.carry_out(1, done(&json!(1)))),
        ("cancel", |run| drop(run.cancel().expect("cancelled"))),
    ];
    for (way, end) in ways {
        let race = Do::Race(vec![Do::Work, Do::Event { filter: None, ms: Some(500) }]);
        let mut run = Subject::run_script(&[race, Do::Sleep { ms: 1 }]);
        assert_eq!(run.event_waits.len(), 1, "{way}");
        end(&mut run);
        assert!(run.event_waits.is_empty(), "{way}");
    }
    let mut run = Subject::run_script(&[Do::Race(vec![any(), Do::Sleep { ms: 5 }]), Do::Continue(vec![any()])]);
    run.fire(2);
    assert_eq!(run.event_waits.keys().copied().collect::<Vec<_>>(), [Seq(3)], "a new journal has waits of its own");
}

#[test]
fn what_events_brought_is_not_taken_into_the_next_journal() {
    let mut run = Subject::run_script(&[any(), Do::Continue(vec![Do::Wait { name: "go".to_owned(), ms: None }])]);
    run.signal("go", "a", &json!(1)).expect("kept");
    run.signal("later", "a", &json!(1)).expect("kept");
    is(run.publish(1, "event_1", &json!(1)), "Done");
    assert_eq!(run.output(), ["heard 1"]);
    let carried = run.entries().into_iter().find_map(|entry| match entry {
        Entry::Continued { carried, .. } => Some(carried.channels.iter().map(|c| c.name.clone()).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(carried.expect("a new journal"), ["go", "later"]);
}

#[test]
fn a_signal_of_the_patterns_name_is_no_event() {
    let mut run = Subject::run_script(&[Do::All(vec![any(), Do::Wait { name: "order:*".to_owned(), ms: None }])]);
    run.signal("order:*", "a", &json!("signal")).expect("kept");
    assert_eq!(run.status(), "waiting");
    is(run.publish(1, "event_1", &json!("event")), "Done");
    assert_eq!(run.output(), [r#"all: order:paid: "event", heard "signal""#]);
}

/// Other code at the place of a wait is found out: what it waits for is its name.
#[test]
fn a_journal_tells_waits_for_events_from_those_for_signals() {
    let run = Subject::run_script(&[any()]);
    let op = run.entries().into_iter().find_map(|entry| match entry {
        Entry::Op { op, .. } => Some(op.clone()),
        _ => None,
    });
    let op = op.expect("an operation");
    assert_eq!((op.kind(), op.name()), ("event", "event #1 order:*"));
    let event = Some(EventPattern::key("user:*"));
    let other = Op::Wait { name: "event #1 user:*".to_owned(), deadline: None, filter: None, event };
    let signal = Op::Wait { name: op.name().to_owned(), deadline: None, filter: None, event: None };
    assert!(!op.matches(&other) && !op.matches(&signal));
}
