//! Many commands in one transition, as if they had come one after another.

use serde_json::json;
use valet_core::command::{Command, Reply};
use valet_core::id::Seq;

use super::program::Do;
use super::subject::{Subject, at, done, handed_over};

#[test]
fn commands_that_are_folded_end_as_if_they_had_come_one_by_one() {
    let script = [Do::All(vec![Do::Work, Do::Work, Do::Wait { name: "go".to_owned(), ms: None }])];
    let commands = || {
        vec![
            Subject::finish_command(2, 1, 2, done(&json!(2))),
            Command::Signal { name: "go".to_owned(), key: "k".to_owned(), payload: valet_core::Payload::null() },
            Command::Pause { by: "ada".to_owned() },
            Subject::finish_command(1, 1, 1, done(&json!(1))),
            Command::Unpause { by: "ada".to_owned() },
        ]
    };
    let mut one_by_one = Subject::run_script(&script);
    let mut folded = Subject::run_script(&script);
    for run in [&mut one_by_one, &mut folded] {
        run.claim(1, 1);
        run.claim(2, 2);
    }
    for command in commands() {
        one_by_one.tell(command).expect("done");
    }
    for reply in folded.tell_all(commands()) {
        reply.expect("done");
    }
    assert_eq!(folded.output(), one_by_one.output());
    assert_eq!(folded.kinds(), one_by_one.kinds());
    assert_eq!((folded.journal.len(), one_by_one.journal.len()), (2, 6));
}

#[test]
fn what_is_refused_does_not_spoil_what_is_folded_with_it() {
    let mut run = Subject::run_script(&[Do::Work, Do::Work]);
    run.claim(1, 1);
    let replies = run.tell_all(vec![
        Subject::finish_command(9, 1, 1, done(&json!(9))),
        Subject::finish_command(1, 1, 1, done(&json!(1))),
        Subject::finish_command(1, 1, 5, done(&json!(5))),
    ]);
    let taken: Vec<bool> = replies.iter().map(Result::is_ok).collect();
    assert_eq!(taken, [false, true, false]);
    assert_eq!(run.last.as_ref().map(|transition| transition.fences.len()), Some(1));
    assert_eq!(run.rows.keys().copied().collect::<Vec<_>>(), [Seq(2)]);
}

/// The step that one finish earned is dropped by the next command of the same transition: nobody holds it.
#[test]
fn a_handed_over_step_that_is_dropped_at_once_is_taken_back() {
    let script = [Do::Race(vec![Do::Wait { name: "go".to_owned(), ms: None }, Do::All(vec![Do::Work])]), Do::Work];
    let mut run = Subject::run_script(&[Do::Work, script[0].clone(), script[1].clone()]);
    run.claim(1, 1);
    let replies = run.tell_all(vec![
        Subject::offering(1, 1, done(&json!(1)), 2),
        Command::Signal { name: "go".to_owned(), key: "k".to_owned(), payload: valet_core::Payload::null() },
    ]);
    let mut replies = replies.into_iter();
    assert_eq!(handed_over(replies.next().expect("a reply")), None, "the worker is given nothing");
    assert!(matches!(replies.next(), Some(Ok(Reply::Done))));
    assert!(run.rows.values().all(|row| row.lease.is_none()), "{:?}", run.rows);
}

/// Engines' clocks differ; a run's own time does not go back.
#[test]
fn a_runs_time_is_monotonic_whichever_clock_it_meets() {
    let mut run = Subject::run_script(&[Do::Now, Do::Work, Do::Now, Do::Sleep { ms: 100 }, Do::Now]);
    run.now = at(5_000);
    run.carry_out(1, done(&json!(1)));
    run.now = at(1_000);
    run.restart();
    // Behind as it is, this clock does not fire the timer early: it is due at 5,100.
    run.tell(Command::TimerDue { seq: Seq(2) }).expect("not due");
    assert!(run.last.is_none());
    run.now = at(9_000);
    run.pause();
    run.tell(Command::TimerDue { seq: Seq(2) }).expect("due");
    run.now = at(2_000);
    run.resume();
    let base = at(0).timestamp_millis();
    let lines = run.output();
    let times: Vec<i64> = [0, 2, 4].map(|index: usize| lines[index].parse::<i64>().expect("ms") - base).to_vec();
    assert_eq!(times, [0, 5_000, 9_000]);
    assert!(run.journal.windows(2).all(|pair| pair[0].at <= pair[1].at), "{:?}", run.journal);
}
