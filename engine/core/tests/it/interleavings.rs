//! Things that come in either order, or at a bad moment: the run goes the way that the journal says, live and rebuilt.

use serde_json::json;
use valet_core::command::{Command, InboxMessage};
use valet_core::decide::{CodeUse, Fit, Machine, StoredRun};
use valet_core::id::Seq;
use valet_core::journal::RunOutcome;

use super::program::Do;
use super::subject::{Subject, at, done, payload, retry};

fn wait(ms: Option<u64>) -> Do {
    Do::Wait { name: "go".to_owned(), ms }
}

fn signal() -> Command {
    Command::Signal { name: "go".to_owned(), key: "k".to_owned(), payload: payload(&json!(1)) }
}

/// The journal up to any revision is followed by the code, and nothing in it is asked for anew.
#[track_caller]
fn replays_at_every_revision(run: &Subject) {
    for length in 1..=run.journal.len() {
        let chunks = run.journal[..length].to_vec();
        let revision = chunks.last().expect("a chunk").revision;
        let stored = StoredRun { revision, chunks, rows: Vec::new(), ..run.stored() };
        let mut machine = Machine::rebuild(stored, &run.registry, CodeUse::Recorded);
        assert_eq!(machine.fit(&run.registry), Fit::Fits, "revision {revision}");
        let more = machine.decide(Vec::new(), run.now, &run.registry);
        assert!(more.transition.is_none(), "revision {revision} asks for more");
    }
}

/// The same commands, each told to a run that lives and to one whose process died right before.
#[track_caller]
fn live_and_rebuilt(script: &[Do], prepare: impl Fn(&mut Subject), commands: impl Fn() -> Vec<Command>) -> Subject {
    let go = |restarts: bool| {
        let mut run = Subject::run_script(script);
        prepare(&mut run);
        for command in commands() {
            if restarts {
                run.restart();
            }
            drop(run.tell(command));
        }
        run
    };
    let (lived, rebuilt) = (go(false), go(true));
    assert_eq!(lived.journal, rebuilt.journal);
    replays_at_every_revision(&lived);
    lived
}

#[test]
fn a_signal_that_races_the_beginning_of_its_wait_is_heard_once() {
    let script = [Do::Work, wait(Some(100)), wait(Some(100))];
    let finish = || Subject::finish_command(1, 1, 1, done(&json!(1)));
    for signal_first in [true, false] {
        let both = || if signal_first { vec![signal(), finish()] } else { vec![finish(), signal()] };
        let mut apart = live_and_rebuilt(&script, |run| run.claim(1, 1), both);
        let mut folded = Subject::run_script(&script);
        folded.claim(1, 1);
        folded.tell_all(both()).into_iter().for_each(|reply| drop(reply.expect("taken")));
        for run in [&mut apart, &mut folded] {
            run.fire(3);
            assert_eq!(run.output(), ["work: 1", "heard 1", "heard nothing"], "signal first: {signal_first}");
            replays_at_every_revision(run);
        }
    }
}

#[test]
fn a_signal_that_races_the_end_of_its_wait_is_heard_or_kept() {
    let script = [wait(Some(100)), Do::Work];
    let due = || Command::TimerDue { seq: Seq(1) };
    for (signal_first, heard) in [(true, "heard 1"), (false, "heard nothing")] {
        let both = || if signal_first { vec![signal(), due()] } else { vec![due(), signal()] };
        let apart = live_and_rebuilt(&script, |run| run.now = at(100), both);
        let mut folded = Subject::run_script(&script);
        folded.now = at(100);
        folded.tell_all(both()).into_iter().for_each(|reply| drop(reply.expect("taken")));
        for mut run in [apart, folded] {
            let kept = run.run().channels.get("go").map_or(0, |channel| channel.kept.len());
            assert_eq!(kept, usize::from(!signal_first), "what nobody heard is still there");
            run.carry_out(2, done(&json!(2)));
            assert_eq!(run.output(), [heard, "work: 2"]);
        }
    }
}

#[test]
fn results_of_parallel_steps_are_followed_in_the_order_in_which_they_came() {
    let finish = |seq: u32| Subject::finish_command(seq, 1, u128::from(seq), done(&json!(seq)));
    let claim = |run: &mut Subject| [1, 2].into_iter().for_each(|seq| run.claim(seq, u128::from(seq)));
    for (first, second) in [(1, 2), (2, 1)] {
        let all = live_and_rebuilt(&[Do::All(vec![Do::Work, Do::Work])], claim, || vec![finish(first), finish(second)]);
        assert_eq!(all.output(), ["all: work: 1, work: 2"]);
        let race = [Do::Race(vec![Do::Work, Do::Work]), Do::Now];
        let race = live_and_rebuilt(&race, claim, || vec![finish(first), finish(second)]);
        assert_eq!(race.output()[0], format!("{} won: work: {first}", first - 1));
        let mut folded = Subject::run_script(&[Do::Race(vec![Do::Work, Do::Work])]);
        claim(&mut folded);
        let replies = folded.tell_all(vec![finish(first), finish(second)]);
        assert!(replies[0].is_ok() && replies[1].is_err(), "the loser was let go: {replies:?}");
        assert_eq!(folded.output(), [format!("{} won: work: {first}", first - 1)]);
        replays_at_every_revision(&folded);
    }
}

/// Evicted, its futures are dropped with it: that is not the code letting go of them.
#[test]
fn an_evicted_race_lets_go_of_nothing_and_its_loser_is_dropped_once() {
    let inner = Do::All(vec![Do::Sleep { ms: 50 }, Do::Work]);
    let script = [Do::Race(vec![inner, Do::Work]), Do::Work];
    let mut run = Subject::run_script(&script);
    for _ in 0..3 {
        run.restart();
        assert_eq!((run.count("dropped"), run.rows.len(), run.timers.len()), (0, 2, 1), "all three still race");
    }
    run.fire(1);
    run.restart();
    run.carry_out(3, done(&json!("won")));
    assert_eq!((run.count("dropped"), run.rows.len()), (1, 1), "the step beside the timer, and only it");
    run.restart();
    run.carry_out(4, done(&json!(4)));
    assert_eq!(run.output(), ["1 won: work: \"won\"", "work: 4"]);
    replays_at_every_revision(&run);
}

#[test]
fn what_waits_for_a_skipped_step_goes_on_with_the_given_output() {
    let skip = |seq: u32| Command::SkipStep { seq: Seq(seq), by: "eve".to_owned(), output: payload(&json!("given")) };
    let parked = |run: &mut Subject| run.carry_out(1, retry("x"));
    let all = [Do::All(vec![Do::Parking, wait(None)])];
    for (first, second) in [(skip(1), signal()), (signal(), skip(1))] {
        let run = live_and_rebuilt(&all, parked, || vec![first.clone(), second.clone()]);
        assert_eq!(run.output(), ["all: parking: \"given\", heard 1"]);
    }
    let race = [Do::Race(vec![wait(Some(1_000)), Do::Parking])];
    let run = live_and_rebuilt(&race, |run| run.carry_out(2, retry("x")), || vec![skip(2), signal()]);
    assert_eq!(run.output(), ["1 won: parking: \"given\""]);
    assert!(run.timers.is_empty(), "the wait went with the race");
    // Lost to the signal, there is nothing to skip any more.
    let run = live_and_rebuilt(&race, |run| run.carry_out(2, retry("x")), || vec![signal(), skip(2)]);
    assert_eq!((run.output(), run.count("skipped")), (vec!["0 won: heard 1".to_owned()], 0));
}

/// The key is free while the child that had it still ends: whose end comes is told by the child, not by the key.
#[test]
fn a_key_that_is_used_again_is_not_answered_by_the_child_that_had_it_before() {
    let keyed = || Do::Keyed { key: "a".to_owned() };
    let ended = |run: &mut Subject, seq: u32, output: u64| {
        let outcome = RunOutcome::Succeeded { output: payload(&json!(output)) };
        let (from, message) = (run.run().id().child(Seq(seq)), InboxMessage::ChildEnded { seq: Seq(seq), outcome });
        run.tell(Command::Inbox { from, from_seq: 0, message }).expect("taken");
    };
    let mut run = Subject::run_script(&[Do::Race(vec![keyed(), Do::Sleep { ms: 10 }]), keyed(), Do::Work]);
    run.fire(2);
    run.restart();
    ended(&mut run, 1, 10);
    assert!(!run.rows.contains_key(&Seq(4)), "the second call still waits for a child of its own");
    run.restart();
    ended(&mut run, 3, 30);
    run.carry_out(4, done(&json!(4)));
    assert_eq!(run.output(), ["1 won: slept", "child: 30", "work: 4"]);
    replays_at_every_revision(&run);
}
