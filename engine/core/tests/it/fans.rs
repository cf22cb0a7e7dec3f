//! Children by the thousand: started and stopped in chunks, heard as they end.

use serde_json::json;
use valet_core::bounds::{FAN_OUT_CHUNK, FAN_OUT_MAX};
use valet_core::command::{Command, InboxMessage};
use valet_core::id::Seq;
use valet_core::journal::RunOutcome;

use super::program::Do;
use super::subject::{Subject, done, payload};

const CHUNK: usize = FAN_OUT_CHUNK as usize;

fn fan(count: u32, at_once: Option<u32>) -> Do {
    Do::FanOut { count, at_once, abandon: false }
}

/// Children that the last transition started, and those that it told to stop, by their seqs.
fn sent(run: &Subject) -> (Vec<u32>, Vec<u32>) {
    let rows = &run.last.as_ref().expect("a transition").outbox;
    let of = |wanted: fn(&InboxMessage) -> bool| {
        let rows = rows.iter().filter(|row| wanted(&row.message));
        rows.map(|row| {
            let child = (1..=FAN_OUT_MAX + 9).find(|seq| run.run().id().child(Seq(*seq)) == row.to);
            child.expect("one of its children")
        })
        .collect()
    };
    let starts = of(|message| matches!(message, InboxMessage::StartChild { .. }));
    (starts, of(|message| matches!(message, InboxMessage::CancelChild { .. })))
}

/// Delivers what the run told itself; false if it told itself nothing.
fn goes_on(run: &mut Subject) -> bool {
    let own = run.run().id();
    let rows = run.last.as_ref().expect("a transition").outbox.clone();
    let Some(row) = rows.into_iter().find(|row| row.to == own) else { return false };
    run.tell(Command::Inbox { from: own, from_seq: row.number, message: row.message }).expect("taken");
    true
}

fn ended(seqs: impl IntoIterator<Item = u32>) -> Vec<Command> {
    let end = |seq: u32| {
        let outcome = RunOutcome::Succeeded { output: payload(&json!(1)) };
        Command::Inbox {
            from: Subject::run_script(&[]).run().id().child(Seq(seq)),
            from_seq: 0,
            message: InboxMessage::ChildEnded { seq: Seq(seq), outcome },
        }
    };
    seqs.into_iter().map(end).collect()
}

#[test]
fn children_are_started_in_chunks_and_their_ends_come_in_together() {
    let count = 2 * FAN_OUT_CHUNK + 7;
    let mut run = Subject::run_script(&[fan(count, None), Do::Work]);
    let mut started = sent(&run).0;
    assert_eq!(started.len(), CHUNK);
    while goes_on(&mut run) {
        run.restart();
        started.extend(sent(&run).0);
    }
    assert_eq!(started, (1..=count).collect::<Vec<_>>());
    let entries = run.run().entries;
    run.tell_all(ended(1..=900));
    assert_eq!(run.count("resolved"), 1, "one for all that came in together");
    run.restart();
    run.tell_all(ended(800..=count));
    assert_eq!((run.count("resolved"), run.run().entries), (2, entries + 1), "they do not fill the journal");
    run.carry_out(count + 1, done(&json!(0)));
    assert_eq!(run.output()[0], format!("{count}, 0 failed"), "each once");
}

#[test]
fn no_more_live_at_a_time_than_are_allowed() {
    let mut run = Subject::run_script(&[fan(5, Some(2))]);
    assert_eq!(sent(&run).0, [1, 2]);
    assert!(!goes_on(&mut run), "nothing more to do by itself");
    run.tell_all(ended([2]));
    assert_eq!(sent(&run).0, [3]);
    run.restart();
    run.tell_all(ended([1, 3]));
    assert_eq!(sent(&run).0, [4, 5]);
    run.tell_all(ended([4, 5]));
    assert_eq!(run.output(), ["5, 0 failed"]);
}

#[test]
fn what_ends_while_the_run_is_paused_is_told_when_it_goes_on() {
    let mut run = Subject::run_script(&[fan(3, None)]);
    run.pause();
    run.tell_all(ended([1]));
    run.tell_all(ended([2, 3]));
    run.restart();
    assert_eq!((run.count("held"), run.count("resolved")), (2, 0));
    run.resume();
    assert_eq!(run.output(), ["3, 0 failed"]);
}

#[test]
fn a_cancelled_run_stops_its_children_in_chunks_and_ends_after_the_last() {
    let count = 2 * FAN_OUT_CHUNK + 7;
    let mut run = Subject::run_script(&[Do::Guard, fan(count, None)]);
    while goes_on(&mut run) {}
    run.tell_all(ended([2, 3]));
    run.cancel().expect("cancelled");
    let mut stopped = sent(&run).1;
    assert!(stopped.len() <= CHUNK, "{}", stopped.len());
    while goes_on(&mut run) {
        run.restart();
        stopped.extend(sent(&run).1);
    }
    assert_eq!(stopped, (4..count + 2).collect::<Vec<_>>(), "those that live");
    run.tell_all(ended(4..900));
    assert_eq!((run.status(), run.rows.len()), ("closing", 0), "its clean-up waits for the others");
    run.tell_all(ended(900..count + 2));
    run.carry_out(1, done(&json!(null)));
    assert_eq!(run.status(), "cancelled");
}

#[test]
fn a_fan_out_that_is_still_starting_when_its_run_closes_starts_no_more() {
    let mut run = Subject::run_script(&[fan(2 * FAN_OUT_CHUNK, None)]);
    let own = run.run().id();
    let row = run.last.as_ref().expect("a transition").outbox.iter().find(|row| row.to == own).cloned();
    let row = row.expect("more to start");
    run.cancel().expect("cancelled");
    assert_eq!(sent(&run).1.len(), CHUNK);
    run.tell(Command::Inbox { from: own, from_seq: row.number, message: row.message }).expect("taken");
    assert_eq!(sent(&run).0, Vec::<u32>::new());
    run.tell_all(ended(1..=FAN_OUT_CHUNK));
    assert_eq!(run.status(), "cancelled");
}

#[test]
fn children_that_are_dropped_are_stopped_and_not_waited_for() {
    let race = Do::Race(vec![fan(FAN_OUT_CHUNK + 3, None), Do::Sleep { ms: 10 }]);
    let mut run = Subject::run_script(&[race, Do::Work]);
    goes_on(&mut run);
    run.tell_all(ended([1]));
    run.fire(FAN_OUT_CHUNK + 4);
    let mut stopped = sent(&run).1;
    while goes_on(&mut run) {
        stopped.extend(sent(&run).1);
    }
    assert_eq!(stopped, (2..=FAN_OUT_CHUNK + 3).collect::<Vec<_>>());
    run.restart();
    run.tell_all(ended([2, 3]));
    assert!(run.run().fans.is_empty());
    run.carry_out(FAN_OUT_CHUNK + 5, done(&json!(1)));
    assert_eq!(run.output(), ["1 won: slept", "work: 1"]);
}

#[test]
fn abandoned_children_are_left_and_a_kill_stops_all_at_once() {
    let abandon = Do::FanOut { count: 3, at_once: None, abandon: true };
    let mut left = Subject::run_script(&[abandon]);
    left.cancel().expect("cancelled");
    assert_eq!((sent(&left).1, left.status()), (Vec::new(), "cancelled"));
    let mut killed = Subject::run_script(&[fan(2 * FAN_OUT_CHUNK, None)]);
    while goes_on(&mut killed) {}
    killed.tell(Command::Kill { by: "eve".to_owned(), reason: String::new(), cleanup: false }).expect("killed");
    assert_eq!((sent(&killed).1.len(), killed.status()), (2 * CHUNK, "cancelled"));
}

#[test]
fn a_run_that_goes_on_stops_what_it_had_fanned_out() {
    let race = Do::Race(vec![fan(FAN_OUT_CHUNK + 3, None), Do::Sleep { ms: 10 }]);
    let mut run = Subject::run_script(&[race, Do::Continue(vec![Do::Work])]);
    while goes_on(&mut run) {}
    run.fire(FAN_OUT_CHUNK + 4);
    assert_eq!(sent(&run).1, (1..=FAN_OUT_CHUNK + 3).collect::<Vec<_>>());
    run.restart();
    run.carry_out(FAN_OUT_CHUNK + 5, done(&json!(1)));
    assert_eq!(run.output(), ["work: 1"]);
}

#[test]
fn no_children_are_no_operation_and_too_many_are_refused() {
    let run = Subject::run_script(&[fan(0, None), fan(FAN_OUT_MAX + 1, None)]);
    assert_eq!(run.output()[0], "0, 0 failed");
    assert!(run.output()[1].starts_with("bad_input: 100001 children"), "{:?}", run.output());
}
