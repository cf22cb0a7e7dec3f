//! A run that begins with what another has done: results, not ownership.

use std::sync::Arc;

use serde_json::json;
use valet_core::command::{Command, InboxMessage, Rejection, StartRun};
use valet_core::decide::{Fork, kept};
use valet_core::id::{RunId, Seq};
use valet_core::journal::{Entry, RunOutcome};

use super::program::{Do, registry};
use super::subject::{Subject, at, done, payload, start_of};

/// A fork of `run` that keeps `entry` entries.
fn fork(run: &Subject, entry: u32, repeat_effects: bool) -> Result<Subject, Rejection> {
    fork_with(run, entry, repeat_effects, &[])
}

fn fork_with(run: &Subject, entry: u32, repeat_effects: bool, input: &[Do]) -> Result<Subject, Rejection> {
    let chunks: Arc<[_]> = run.journal.clone().into();
    let new_input = (!input.is_empty()).then(|| payload(&json!(input)));
    let (from, build) = (run.run().id(), run.run().build);
    let from = Fork { from, chunks, build, by: "eve".to_owned(), entry, input: new_input, repeat_effects };
    let start = StartRun { fork: Some(Box::new(from)), ..start_of(input) };
    let now = run.now + std::time::Duration::from_mins(1);
    let mut forked = Subject::new(RunId::root(now, [5; 16]), now, &start, registry());
    forked.tell(Command::Start(Box::new(start)))?;
    Ok(forked)
}

/// The number of the entry of the journal at hand after which the operation `seq` has ended.
fn after(run: &Subject, seq: u32) -> u32 {
    let entries = run.entries();
    let begins = entries.iter().rposition(|entry| matches!(entry, Entry::Continued { .. })).unwrap_or(0);
    let ended = |entry: &&Entry| matches!(entry, Entry::Resolved { seq: at, .. } if *at == Seq(seq));
    entries[begins..].iter().position(ended).expect("an end") as u32 + 1
}

/// Found by the simulation: older code asks for other things than the copied journal goes on with.
#[test]
fn an_older_build_forks_no_run_that_a_later_one_advanced() {
    let later = registry().build() + 1;
    let mut run = Subject::run_started(start_of(&[Do::Work]), registry().with_build(later));
    run.carry_out(1, done(&json!("first")));
    let refused = fork(&run, 2, false).err();
    assert_eq!(refused, Some(Rejection::BuildTooOld { build: later - 1, needs: later }));
    assert!(fork(&run, 0, false).is_ok(), "what begins anew needs no later build");
}

#[test]
fn a_fork_keeps_the_results_and_does_the_rest_anew() {
    let mut run = Subject::run_script(&[Do::Work, Do::Work, Do::Work]);
    run.carry_out(1, done(&json!("a")));
    run.carry_out(2, done(&json!("b")));
    run.carry_out(3, done(&json!("c")));
    let mut forked = fork(&run, after(&run, 2), false).expect("a fork");
    assert_eq!(forked.rows.keys().copied().collect::<Vec<_>>(), [Seq(3)]);
    assert_eq!(forked.last.as_ref().expect("a transition").expect, 0, "a run of its own");
    forked.restart();
    forked.carry_out(3, done(&json!("another")));
    assert_eq!(forked.output(), ["work: \"a\"", "work: \"b\"", "work: \"another\""]);
}

#[test]
fn a_fork_may_be_cut_at_any_entry() {
    let race = Do::Race(vec![Do::Work, Do::Sleep { ms: 100 }]);
    let mut run = Subject::run_script(&[Do::All(vec![Do::Work, race]), wait(), Do::Value, Do::Work]);
    run.signal("go", "k", &json!(7)).expect("kept");
    run.signal("go", "l", &json!(8)).expect("kept");
    run.carry_out(1, done(&json!(1)));
    run.pause();
    run.fire(3);
    run.resume();
    run.carry_out(6, done(&json!(2)));
    let told = run.output();
    for entry in 0..=run.entries().len() as u32 {
        let mut forked = fork(&run, entry, false).unwrap_or_else(|e| panic!("{entry}: {e}"));
        for _ in 0..20 {
            if let Some(seq) = forked.rows.keys().next().copied() {
                forked.carry_out(seq.0, done(&json!(seq.0)));
            } else if let Some(seq) = forked.timers.keys().next().copied() {
                forked.fire(seq.0);
            } else if forked.status() == "waiting" {
                let number = forked.entries().len().to_string();
                forked.signal("go", &number, &json!(9)).expect("kept");
            }
        }
        assert_eq!(forked.status(), "succeeded", "cut at {entry}");
        assert_eq!(forked.output().len(), told.len(), "cut at {entry}");
    }
    let mut other = fork_with(&run, 0, false, &[Do::Work]).expect("a fork");
    other.carry_out(1, done(&json!("anew")));
    assert_eq!(other.output(), ["work: \"anew\""], "with another input");
}

fn wait() -> Do {
    Do::Wait { name: "go".to_owned(), ms: None }
}

#[test]
fn a_fork_has_the_messages_that_were_read_and_no_others() {
    let mut run = Subject::run_script(&[wait(), Do::Work, wait()]);
    run.signal("go", "k", &json!(1)).expect("kept");
    run.signal("go", "l", &json!(2)).expect("kept");
    let mut forked = fork(&run, run.entries().len() as u32, false).expect("a fork");
    assert_eq!(forked.count("signal_kept"), 1);
    forked.carry_out(2, done(&json!(1)));
    assert_eq!(forked.status(), "waiting");
    forked.signal("go", "l", &json!(3)).expect("kept: it is another run");
    assert_eq!(forked.output(), ["heard 1", "work: 1", "heard 3"]);
}

#[test]
fn what_owns_something_is_not_copied_before_it_was_cleaned() {
    let mut run = Subject::run_script(&[Do::Work, Do::Guard, Do::Work, Do::CleanNow, Do::Work]);
    run.carry_out(1, done(&json!(1)));
    run.carry_out(3, done(&json!(1)));
    let owning = after(&run, 3);
    assert_eq!(kept(&run.journal, owning), after(&run, 1), "back to before the sandbox was");
    let forked = fork(&run, owning, false).expect("a fork");
    assert_eq!(forked.rows.keys().copied().collect::<Vec<_>>(), [Seq(3)], "it makes its own");
    assert_eq!(forked.run().finalizers.len(), 1);
    run.carry_out(4, done(&json!(null)));
    assert_eq!(kept(&run.journal, after(&run, 4)), after(&run, 4));
    let mut cleaned = fork(&run, after(&run, 4), false).expect("a fork");
    cleaned.carry_out(5, done(&json!(1)));
    assert_eq!(cleaned.status(), "succeeded", "nothing of the other run is cleaned twice");
    let token = Subject::run_script(&[Do::Complete { ms: 50 }]);
    assert_eq!(kept(&token.journal, 2), 1, "a token is the other run's");
}

/// Found by the simulation: the other run cleaned at its end, and the fork did not at all.
#[test]
fn an_early_clean_up_that_did_not_succeed_is_still_the_other_runs() {
    let mut run = Subject::run_script(&[Do::Guard, Do::CleanWithin { ms: 5 }, Do::Work]);
    run.fire(3);
    let lost =
        run.entries().iter().position(|entry| matches!(entry, Entry::Dropped { .. })).expect("a loser") as u32 + 1;
    assert_eq!(kept(&run.journal, lost), 1, "back to before the sandbox was");
    let forked = fork(&run, lost, false).expect("a fork");
    assert_eq!(forked.run().finalizers.values().filter(|finalizer| !finalizer.done).count(), 1, "it makes its own");
}

/// Found by the simulation: the fork started the child once more for the second call.
#[test]
fn calls_that_share_a_child_are_told_the_same_wherever_the_journal_is_cut() {
    let shared = || Do::Keyed { key: "house".to_owned() };
    let mut run = Subject::run_script(&[Do::All(vec![shared(), shared()])]);
    let outcome = RunOutcome::Succeeded { output: payload(&json!(1)) };
    run.inbox(1, InboxMessage::ChildEnded { seq: Seq(1), outcome }).expect("taken");
    assert_eq!((run.status(), run.count("resolved")), ("succeeded", 2));
    let forked = fork(&run, after(&run, 1), false).expect("a fork");
    assert_eq!((forked.status(), forked.output()), ("succeeded", run.output()), "without a child of its own");
}

#[test]
fn an_effect_that_may_have_been_is_repeated_only_on_demand() {
    let mut run = Subject::run_script(&[Do::Work, Do::Once, Do::Work]);
    run.carry_out(1, done(&json!(1)));
    let before = after(&run, 1);
    assert!(matches!(fork(&run, before, false), Err(Rejection::RepeatsEffect { .. })), "it may have begun");
    run.carry_out(2, done(&json!("sent")));
    assert!(matches!(fork(&run, before, false), Err(Rejection::RepeatsEffect { .. })));
    assert!(fork(&run, before, true).is_ok());
    assert!(fork(&run, after(&run, 2), false).is_ok(), "what it came to is copied");
}

#[test]
fn children_of_a_fork_are_its_own_and_their_ends_are_copied() {
    let mut run = Subject::run_script(&[Do::Child, Do::Child]);
    let outcome = |value| RunOutcome::Succeeded { output: payload(&json!(value)) };
    run.inbox(1, InboxMessage::ChildEnded { seq: Seq(1), outcome: outcome(1) }).expect("taken");
    let mut forked = fork(&run, run.entries().len() as u32, false).expect("a fork");
    let sent = &forked.last.as_ref().expect("a transition").outbox;
    assert_eq!(sent.iter().map(|row| row.to).collect::<Vec<_>>(), [forked.run().id().child(Seq(2))]);
    forked.inbox(1, InboxMessage::ChildEnded { seq: Seq(2), outcome: outcome(2) }).expect("taken");
    assert_eq!(forked.output(), ["child: 1", "child: 2"]);
}

#[test]
fn waits_of_a_fork_begin_when_it_does() {
    let run = Subject::run_script(&[Do::All(vec![Do::Sleep { ms: 500 }, Do::Ask { ms: 700 }, Do::Hurried])]);
    let forked = fork(&run, run.entries().len() as u32, false).expect("a fork");
    let waits: Vec<_> = forked.timers.values().copied().collect();
    assert_eq!(waits, [at(60_500), at(60_700), at(60_200)]);
}

#[test]
fn a_fork_of_what_went_on_begins_where_that_did() {
    let mut run = Subject::run_script(&[Do::Work, Do::Continue(vec![wait(), Do::Work, wait()])]);
    run.signal("go", "k", &json!(1)).expect("kept");
    run.signal("go", "l", &json!(2)).expect("kept");
    run.carry_out(1, done(&json!(1)));
    let mut forked = fork(&run, after(&run, 2), false).expect("a fork");
    forked.restart();
    forked.carry_out(3, done(&json!(1)));
    forked.signal("go", "m", &json!(3)).expect("kept");
    assert_eq!(forked.output(), ["heard 1", "work: 1", "heard 3"]);
}

#[test]
fn a_fork_from_nowhere_or_with_code_that_does_not_fit_is_refused() {
    let mut run = Subject::run_script(&[Do::Work]);
    let refused = fork(&run, 99, false).err().expect("refused");
    assert_eq!(refused, Rejection::NoSuchEntry { entry: 99, entries: 2 });
    // As if another build's code had asked for it.
    for chunk in &mut run.journal {
        for entry in &mut chunk.entries {
            if let Entry::Op { op: valet_core::journal::Op::Step(step), .. } = entry {
                std::sync::Arc::make_mut(step).name = "other".to_owned();
            }
        }
    }
    assert!(matches!(fork(&run, 2, false), Err(Rejection::DoesNotFit { .. })));
}

#[test]
fn a_fork_of_a_declared_workflow_carries_out_the_same_definition() {
    let definition = json!({ "tasks": { "a": { "step": "a" }, "b": { "step": "b", "parents": ["a"] } } });
    let mut run = Subject::run_declared(&definition, &json!({}));
    run.carry_out(1, done(&json!(1)));
    let mut forked = fork(&run, after(&run, 1), false).expect("a fork");
    forked.restart();
    assert_eq!(forked.run().steps.values().map(|step| step.op.name.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_fork_takes_what_a_filter_chose_though_fewer_messages_lie_before_it() {
    let script = [Do::WaitWhere { filter: "message > 1".to_owned() }, Do::Work, wait()];
    let mut run = Subject::run_script(&script);
    for message in [0, 1, 2] {
        run.signal("go", &message.to_string(), &json!(message)).expect("kept");
    }
    let mut forked = fork(&run, after(&run, 1), false).expect("a fork");
    assert_eq!(forked.count("signal_kept"), 1);
    forked.carry_out(2, done(&json!(1)));
    forked.signal("go", "x", &json!(9)).expect("kept");
    assert_eq!(forked.output(), ["heard 2", "work: 1", "heard 9"]);
}

#[test]
fn a_fork_in_the_midst_of_a_fan_out_starts_the_children_that_had_not_ended() {
    let mut run = Subject::run_script(&[Do::FanOut { count: 3, at_once: None, abandon: false }]);
    let outcome = RunOutcome::Succeeded { output: payload(&json!(10)) };
    run.inbox(0, InboxMessage::ChildEnded { seq: Seq(2), outcome: outcome.clone() }).expect("taken");
    let mut forked = fork(&run, run.entries().len() as u32, false).expect("a fork");
    let sent: Vec<_> = forked.last.as_ref().expect("a transition").outbox.iter().map(|row| row.to).collect();
    assert_eq!(sent, [1, 3].map(|seq| forked.run().id().child(Seq(seq))));
    forked.restart();
    for seq in [1, 3] {
        forked.inbox(seq.into(), InboxMessage::ChildEnded { seq: Seq(seq), outcome: outcome.clone() }).expect("taken");
    }
    assert_eq!(forked.output(), ["30, 0 failed"]);
}
