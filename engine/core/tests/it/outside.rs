//! What somebody outside completes, and children that are shared or left.

use serde_json::json;
use valet_core::Failure;
use valet_core::callbacks::Callbacks;
use valet_core::command::{Command, InboxMessage, Rejection, Reply};
use valet_core::id::{RunId, Seq};
use valet_core::journal::{CompletionOutcome, Entry, Op, RunOutcome};
use valet_core::run::Reason;

use super::program::{Do, registry};
use super::subject::{Subject, at, done, payload, start_of};

/// The token that the code was given, as it would hand it on.
fn token(run: &Subject, at: u32) -> String {
    let secret = run.entries().into_iter().find_map(|entry| match entry {
        Entry::Op { seq, op: Op::Completion { secret, .. } } if *seq == Seq(at) => Some(secret.clone()),
        _ => None,
    });
    Callbacks::token(run.run().id(), Seq(at), &secret.expect("a completion"))
}

fn complete(run: &mut Subject, token: &str, key: &str, outcome: CompletionOutcome) -> Result<Reply, Rejection> {
    let token = Callbacks::parse(token).expect("a token");
    run.tell(Command::Complete { seq: token.seq, secret: token.secret, key: key.to_owned(), outcome })
}

fn output(value: i32) -> CompletionOutcome {
    CompletionOutcome::Done { output: payload(&json!(value)) }
}

#[test]
fn the_holder_of_a_token_completes_just_that_and_once() {
    let mut run = Subject::run_script(&[Do::Complete { ms: 1_000 }, Do::Complete { ms: 1_000 }]);
    assert_eq!(run.run().reason(), Some(Reason::Completion { name: "invoice".to_owned(), until: at(1_000) }));
    let first = token(&run, 1);
    let wrong = format!("{}{}", &first[..first.len() - 1], if first.ends_with('0') { '1' } else { '0' });
    assert_eq!(complete(&mut run, &wrong, "k", output(1)).unwrap_err(), Rejection::NoSuchCompletion);
    complete(&mut run, &first, "k", output(1)).expect("completed");
    run.restart();
    complete(&mut run, &first, "k", output(2)).expect("the first answer");
    assert_eq!(complete(&mut run, &first, "other", output(2)).unwrap_err(), Rejection::CompletedBefore);
    let second = token(&run, 2);
    let failed = CompletionOutcome::Failed { error: Failure::new("refused", "no") };
    complete(&mut run, &second, "k", failed).expect("completed");
    assert_eq!(run.output(), ["completed 1", "not completed: refused: no"]);
    complete(&mut run, &second, "k", output(1)).expect("also after the end");
    assert_eq!(complete(&mut run, &second, "other", output(1)).unwrap_err(), Rejection::CompletedBefore);
}

#[test]
fn a_completion_that_nobody_makes_in_time_fails_and_comes_too_late_afterwards() {
    let mut run = Subject::run_script(&[Do::Complete { ms: 1_000 }, Do::Work]);
    let token = token(&run, 1);
    run.fire(1);
    assert_eq!(complete(&mut run, &token, "", output(1)).unwrap_err(), Rejection::CompletedBefore);
    run.carry_out(2, done(&json!(1)));
    assert_eq!(run.output()[0], "not completed: timed_out: nobody completed it in time");
}

#[test]
fn a_paused_runs_completion_is_held() {
    let mut run = Subject::run_script(&[Do::Complete { ms: 1_000 }]);
    run.pause();
    let token = token(&run, 1);
    complete(&mut run, &token, "k", output(1)).expect("taken");
    complete(&mut run, &token, "k", output(1)).expect("the first answer");
    run.restart();
    run.resume();
    assert_eq!(run.output(), ["completed 1"]);
}

/// An engine with another secret replays what the first recorded, and nobody can make a token without it.
#[test]
fn a_token_stays_what_it_was_when_the_engines_secret_changes() {
    let start = start_of(&[Do::Complete { ms: 1_000 }]);
    let with = |byte: u8| registry().with_callbacks(Callbacks::at("https://valet.example")).with_secret([byte; 32]);
    let mut run = Subject::run_started(start.clone(), with(1));
    let other = Subject::run_started(start, with(2));
    assert_ne!(token(&run, 1), token(&other, 1), "another secret, another token");
    run.registry = with(2);
    run.restart();
    let token = token(&run, 1);
    complete(&mut run, &token, "k", output(1)).expect("completed");
    assert_eq!(run.output(), ["completed 1"]);
}

#[test]
fn what_is_no_token_is_told_from_one() {
    let run = RunId::root(at(0), [9; 16]);
    let good = format!("cb_{}_7_{}", run.0.simple(), "0".repeat(32));
    assert_eq!(Callbacks::parse(&good).map(|t| (t.run, t.seq)), Some((run, Seq(7))));
    for bad in
        ["", "cb", "cb_1_2_3", &good[1..], &format!("{good}0"), &format!("{good}_0"), &good.replace("_7_", "_x_")]
    {
        assert_eq!(Callbacks::parse(bad), None, "{bad}");
    }
}

fn ended(run: &mut Subject, seq: u32, value: i32) {
    let outcome = RunOutcome::Succeeded { output: payload(&json!(value)) };
    run.inbox(i64::from(seq) * 2, InboxMessage::ChildEnded { seq: Seq(seq), outcome }).expect("taken");
}

fn sent(run: &Subject) -> Vec<&'static str> {
    let rows = &run.last.as_ref().expect("a transition").outbox;
    rows.iter()
        .map(|row| match row.message {
            InboxMessage::StartChild { .. } => "start",
            InboxMessage::ChildEnded { .. } => "ended",
            InboxMessage::CancelChild { .. } => "cancel",
            InboxMessage::GoOn { .. } => "go on",
        })
        .collect()
}

fn keyed(key: &str) -> Do {
    Do::Keyed { key: key.to_owned() }
}

#[test]
fn calls_of_one_key_share_a_child_and_each_gets_its_result() {
    let mut run = Subject::run_script(&[Do::All(vec![keyed("a"), keyed("b"), keyed("a")]), keyed("a")]);
    assert_eq!(sent(&run), ["start", "start"]);
    run.restart();
    ended(&mut run, 1, 10);
    assert_eq!(run.count("resolved"), 2, "for both calls");
    ended(&mut run, 2, 20);
    assert_eq!(run.output(), ["all: child: 10, child: 20, child: 10", "child: 10"]);
}

#[test]
fn long_keys_that_begin_alike_are_two_keys() {
    let long = |end: char| keyed(&format!("{}{end}", "k".repeat(200)));
    let run = Subject::run_script(&[Do::All(vec![long('a'), long('b')])]);
    assert_eq!(sent(&run), ["start", "start"]);
}

#[test]
fn a_shared_child_is_cancelled_when_nobody_waits_for_it_and_its_key_is_free_again() {
    let race = Do::Race(vec![Do::All(vec![keyed("a"), Do::Child]), Do::Sleep { ms: 10 }]);
    let mut run = Subject::run_script(&[race, keyed("a")]);
    run.fire(3);
    assert_eq!(sent(&run), ["cancel", "cancel", "start"]);
    ended(&mut run, 4, 5);
    assert_eq!(run.output()[1], "child: 5");
    let race = Do::Race(vec![keyed("a"), Do::Sleep { ms: 10 }]);
    let mut shared = Subject::run_script(&[Do::All(vec![race, keyed("a")])]);
    shared.fire(2);
    assert_eq!(sent(&shared), Vec::<&str>::new(), "the other call waits for it");
    ended(&mut shared, 1, 6);
    assert_eq!(shared.output(), ["all: 1 won: slept, child: 6"]);
}

#[test]
fn an_abandoned_child_is_neither_cancelled_nor_waited_for() {
    let mut run = Subject::run_script(&[Do::All(vec![Do::Abandoned, Do::Child])]);
    run.cancel().expect("cancelled");
    assert_eq!((sent(&run), run.status()), (vec!["cancel"], "closing"));
    ended(&mut run, 2, 1);
    assert_eq!(run.status(), "cancelled");
    let mut dropped = Subject::run_script(&[Do::Race(vec![Do::Abandoned, Do::Sleep { ms: 10 }])]);
    dropped.fire(2);
    assert_eq!((sent(&dropped), dropped.status()), (Vec::new(), "succeeded"));
}
