//! Journals that end so that the run may go on, values made once, code that changes under runs that live.

use std::time::Duration;

use serde_json::json;
use valet_core::command::{Command, InboxMessage};
use valet_core::id::Seq;
use valet_core::journal::{Entry, StuckReason};
use valet_core::run::Phase;
use valet_core::{Context, Registry, Stop, Workflow};

use super::program::{Do, Work, registry};
use super::subject::{Subject, at, done, start_of};

fn wait() -> Do {
    Do::Wait { name: "go".to_owned(), ms: None }
}

#[test]
fn a_run_goes_on_in_a_new_journal_with_what_it_has_to_clean_and_to_read() {
    let next = vec![wait(), Do::Work];
    let status = Do::Status { text: "first".to_owned() };
    let mut run = Subject::run_script(&[Do::Guard, status, Do::Cost { micros: 5 }, Do::Work, Do::Continue(next)]);
    run.signal("go", "k", &json!("early")).expect("kept");
    let finish = Subject::finish_command(4, 1, 7, done(&json!(1)));
    run.claim(4, 7);
    run.tell(finish.clone()).expect("taken");
    assert_eq!((run.run().generation, run.run().journal_from), (1, Some(run.run().revision)));
    assert_eq!(run.run().status_line.as_deref(), Some("first"));
    run.tell(finish).expect("a repeat gets its first answer");
    run.restart();
    run.signal("go", "k", &json!("again")).expect("known by its key");
    assert_eq!(run.rows.keys().copied().collect::<Vec<_>>(), [Seq(6)], "places go on");
    run.carry_out(6, done(&json!(2)));
    assert_eq!(run.output(), ["heard \"early\"", "work: 2"]);
    run.carry_out(1, done(&json!(null)));
    assert_eq!((run.status(), run.run().figures.spent_micros), ("succeeded", 5));
}

/// What a rebuild reads begins where the run went on.
#[test]
fn what_came_before_is_not_read_again() {
    let mut run = Subject::run_script(&[Do::Work, Do::Continue(vec![Do::Work])]);
    run.carry_out(1, done(&json!(1)));
    let from = run.run().journal_from.expect("a new journal");
    run.journal.retain(|chunk| chunk.revision >= from);
    run.restart();
    run.carry_out(2, done(&json!(2)));
    assert_eq!(run.output(), ["work: 2"]);
}

#[test]
fn what_a_run_no_longer_waits_for_is_let_go_when_it_goes_on() {
    let race = Do::Race(vec![Do::Work, Do::Child, Do::Ask { ms: 50 }, Do::Complete { ms: 50 }, Do::Sleep { ms: 10 }]);
    let mut run = Subject::run_script(&[race, Do::Continue(vec![Do::Sleep { ms: 5 }])]);
    run.fire(5);
    assert!(run.rows.is_empty(), "{:?}", run.rows);
    assert_eq!(run.timers.len(), 1);
    let sent = &run.last.as_ref().expect("a transition").outbox;
    assert!(matches!(sent.as_slice(), [row] if matches!(row.message, InboxMessage::CancelChild { .. })), "{sent:?}");
    run.fire(6);
    assert_eq!(run.output(), ["slept"]);
}

/// Long after: the answer got lost, and the person sends it once more.
#[test]
fn a_task_that_ended_journals_ago_is_known_by_its_key() {
    let again = |next: Vec<Do>| Do::Continue(next);
    let ask = Do::Ask { ms: 1_000 };
    let mut run = Subject::run_script(&[ask, Do::Work, again(vec![Do::Work, again(vec![wait()])])]);
    run.answer(1, "k", &json!(1)).expect("taken");
    run.carry_out(2, done(&json!(1)));
    run.carry_out(3, done(&json!(1)));
    run.restart();
    assert_eq!(run.run().generation, 2);
    run.answer(1, "k", &json!(1)).expect("its first answer");
    assert!(run.answer(1, "other", &json!(1)).is_err());
}

/// A message that nobody waits for is consumed by a transition without entries; its instant holds all the same.
#[test]
fn a_rebuild_knows_the_instant_of_a_transition_without_entries() {
    let mut run = Subject::run_script(&[Do::Work]);
    run.now = at(50);
    let outcome = valet_core::journal::RunOutcome::Cancelled { by: "x".to_owned(), reason: String::new() };
    run.inbox(0, InboxMessage::ChildEnded { seq: Seq(9), outcome }).expect("taken");
    assert!(run.journal.last().expect("a chunk").entries.is_empty());
    run.restart();
    run.now = at(10);
    run.signal("go", "k", &json!(1)).expect("kept");
    assert_eq!(run.journal.last().expect("a chunk").at, at(50), "a run's time does not go back");
}

#[test]
fn attributes_are_bounded_over_all_journals_of_a_run() {
    let mark = |n: usize, value| Do::Mark { name: format!("a{n}"), value };
    let many = |from: usize| (from..from + 20).map(|n| mark(n, json!(n))).collect::<Vec<_>>();
    let rest = [many(20), vec![mark(0, json!(null)), mark(99, json!(1))]].concat();
    let mut run =
        Subject::run_script(&[many(0), vec![Do::Work, Do::Continue([rest, vec![Do::Work]].concat())]].concat());
    run.carry_out(21, done(&json!(1)));
    run.restart();
    assert_eq!(run.run().attributes.len(), 32);
    let seq = run.rows.keys().next().expect("a step").0;
    run.carry_out(seq, done(&json!(1)));
    let told = run.output();
    assert_eq!(told.iter().filter(|line| line.contains("at most 32 attributes")).count(), 8, "{told:?}");
    assert_eq!(told[20..22], ["marked", "marked"], "one taken off makes room for one");
}

/// Names are compared as they are, however long.
#[test]
fn a_change_with_a_long_name_is_answered_the_same_on_replay() {
    let change = "x".repeat(300);
    let mut run = Subject::run_script(&[Do::Version { change: change.clone(), latest: 3 }, Do::Work]);
    run.restart();
    run.carry_out(1, done(&json!(1)));
    assert_eq!(run.output()[0], format!("{change} 3"));
}

#[test]
fn a_deadline_holds_for_all_journals_of_a_run() {
    let script = [Do::Sleep { ms: 10 }, Do::Continue(vec![Do::Sleep { ms: 60_000 }])];
    let start = valet_core::command::StartRun { deadline: Some(at(1_000)), ..start_of(&script) };
    let mut run = Subject::run_started(start, registry());
    run.fire(1);
    run.restart();
    run.fire(0);
    assert_eq!((run.status(), run.now), ("timed_out", at(1_000)));
}

#[test]
fn a_run_that_goes_on_without_end_and_without_waiting_is_parked() {
    struct Restless;
    impl Workflow for Restless {
        const NAME: &'static str = "script";
        type Input = serde_json::Value;
        type Output = ();

        async fn run(ctx: Context, input: Self::Input) -> Result<(), Stop> {
            Err(ctx.continue_as(&input))
        }
    }
    let run = Subject::run_started(start_of(&[]), Registry::new(1).with::<Restless>());
    assert_eq!(run.run().phase, Phase::Stuck(StuckReason::Runaway));
}

/// A hundred journals of fifty steps each: what is held and read does not grow.
#[test]
fn a_loop_that_goes_on_keeps_its_journal_short() {
    struct Loop;
    impl Workflow for Loop {
        const NAME: &'static str = "script";
        type Input = u32;
        type Output = u32;

        async fn run(ctx: Context, left: u32) -> Result<u32, Stop> {
            for _ in 0..50 {
                ctx.step(Work {}).await?;
            }
            if left == 0 { Ok(left) } else { Err(ctx.continue_as(&(left - 1))) }
        }
    }
    let start = valet_core::command::StartRun { input: super::subject::payload(&json!(9)), ..start_of(&[]) };
    let mut run = Subject::run_started(start, Registry::new(1).with::<Loop>());
    let mut most = 0;
    for seq in 1..=500 {
        run.carry_out(seq, done(&json!(1)));
        most = most.max(run.run().entries);
        // As a store would that reads from where the journal at hand begins.
        if let Some(from) = run.run().journal_from {
            run.journal.retain(|chunk| chunk.revision >= from);
        }
    }
    assert_eq!((run.status(), run.run().generation), ("succeeded", 9));
    assert!(most <= 110, "{most} entries");
    assert!(run.run().accepted_leases.len() <= 130, "{}", run.run().accepted_leases.len());
}

#[test]
fn a_value_is_made_once_however_often_the_code_is_replayed() {
    let mut run = Subject::run_script(&[Do::Value, Do::Work]);
    run.restart();
    run.restart();
    let first = run.entries().into_iter().find_map(|entry| match entry {
        Entry::Op { op: valet_core::journal::Op::Value { value, .. }, .. } => Some(value.as_str().to_owned()),
        _ => None,
    });
    run.carry_out(2, done(&json!(1)));
    assert_eq!(run.output()[0], format!("value {}", first.expect("a value")));
}

macro_rules! plan {
    ($name:ident, $ctx:ident, $code:block) => {
        struct $name;
        impl Workflow for $name {
            const NAME: &'static str = "script";
            type Input = serde_json::Value;
            type Output = Vec<String>;

            async fn run($ctx: Context, _: Self::Input) -> Result<Vec<String>, Stop> $code
        }
    };
}

plan!(Before, ctx, {
    ctx.step(Work {}).await?;
    ctx.step(Work {}).await?;
    Ok(vec!["before".to_owned()])
});

// A sleep was added between the two steps.
plan!(After, ctx, {
    ctx.step(Work {}).await?;
    let version = ctx.version("pause-between", 1);
    if version >= 1 {
        ctx.sleep(Duration::from_millis(10)).await;
    }
    ctx.step(Work {}).await?;
    Ok(vec![format!("after {version} {}", ctx.version("pause-between", 1))])
});

// Nobody is left who follows the old way, and the question is gone.
plan!(Later, ctx, {
    ctx.step(Work {}).await?;
    ctx.sleep(Duration::from_millis(10)).await;
    ctx.step(Work {}).await?;
    Ok(vec!["later".to_owned()])
});

fn deploy<W: Workflow>(run: &mut Subject, build: i64) {
    run.registry = Registry::new(build).with::<W>();
    run.restart();
}

#[test]
fn a_run_that_was_past_the_place_follows_the_code_that_it_began_with() {
    let mut run = Subject::run_started(start_of(&[]), Registry::new(1).with::<Before>());
    run.carry_out(1, done(&json!(1)));
    deploy::<After>(&mut run, 2);
    run.carry_out(2, done(&json!(1)));
    assert_eq!(run.output(), ["after 0 0"]);
}

#[test]
fn a_run_that_comes_to_the_place_later_follows_the_new_code_also_when_the_question_is_gone() {
    let mut run = Subject::run_started(start_of(&[]), Registry::new(1).with::<Before>());
    deploy::<After>(&mut run, 2);
    run.carry_out(1, done(&json!(1)));
    assert_eq!(run.count("version"), 1);
    run.restart();
    deploy::<Later>(&mut run, 3);
    run.fire(2);
    run.carry_out(3, done(&json!(1)));
    assert_eq!(run.output(), ["later"]);
}

/// The change that ought to have asked: the run is parked, and goes on with a build that asks.
#[test]
fn a_run_that_a_careless_change_parked_goes_on_with_a_build_that_asks() {
    let mut run = Subject::run_started(start_of(&[]), Registry::new(1).with::<Before>());
    run.carry_out(1, done(&json!(1)));
    deploy::<Later>(&mut run, 2);
    run.tell(Command::Revive).expect("looked at");
    assert!(matches!(run.run().phase, Phase::Stuck(StuckReason::Mismatch { .. })), "{:?}", run.run().phase);
    deploy::<After>(&mut run, 3);
    run.tell(Command::Revive).expect("mended");
    run.carry_out(2, done(&json!(1)));
    assert_eq!(run.output(), ["after 0 0"]);
}

/// A run whose code panicked right at the place comes there for the first time with the build that mends it.
#[test]
fn a_run_whose_last_poll_was_not_recorded_may_follow_the_new_code() {
    plan!(Broken, ctx, {
        ctx.step(Work {}).await?;
        panic!("at the place")
    });
    let mut run = Subject::run_started(start_of(&[]), Registry::new(1).with::<Broken>());
    run.carry_out(1, done(&json!(1)));
    assert_eq!(run.status(), "stuck");
    deploy::<After>(&mut run, 2);
    run.tell(Command::Revive).expect("mended");
    assert_eq!(run.count("version"), 1);
    run.restart();
    run.fire(2);
    run.carry_out(3, done(&json!(1)));
    assert_eq!(run.output(), ["after 1 1"]);
}
