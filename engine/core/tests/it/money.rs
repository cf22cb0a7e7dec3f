//! What a run spends, shows and undoes.

use serde_json::json;
use valet_core::command::{Command, Cost, FinishStep};
use valet_core::decide::BUDGET;
use valet_core::id::{Attempt, Seq};
use valet_core::run::Reason;

use super::program::{Do, registry};
use super::subject::{Subject, at, done, lease, start_of};

fn budgeted(script: &[Do], micros: u64) -> Subject {
    let start = valet_core::command::StartRun { budget_micros: Some(micros), ..start_of(script) };
    Subject::run_started(start, registry())
}

fn finish_for(run: &mut Subject, seq: u32, micros: u64) {
    run.claim(seq, 7);
    let cost = Cost { what: "tokens".to_owned(), micros };
    let finish = FinishStep {
        seq: Seq(seq),
        attempt: Attempt(1),
        lease: lease(7),
        session: super::subject::worker(),
        outcome: done(&json!(1)),
        hand_over: None,
        costs: vec![cost],
    };
    run.tell(Command::Finish(Box::new(finish))).expect("taken");
}

fn set_budget(run: &mut Subject, budget_micros: Option<u64>) {
    run.tell(Command::SetBudget { by: "eve".to_owned(), budget_micros }).expect("set");
}

#[test]
fn a_run_past_its_budget_waits_and_goes_on_when_it_may_spend_more() {
    let mut run = budgeted(&[Do::Work, Do::Work], 100);
    finish_for(&mut run, 1, 101);
    assert_eq!(run.run().reason(), Some(Reason::Paused { by: BUDGET.to_owned() }));
    assert_eq!((run.count("spent"), run.count("held")), (1, 1), "the result that cost too much is kept");
    run.restart();
    set_budget(&mut run, Some(100));
    assert!(run.run().paused_by.is_some(), "no more than before");
    set_budget(&mut run, Some(101));
    assert_eq!(run.run().paused_by, None);
    run.carry_out(2, done(&json!(2)));
    assert_eq!(run.output(), ["work: 1", "work: 2"]);
    assert_eq!(run.run().figures.spent_micros, 101);
}

#[test]
fn code_that_pays_past_the_budget_is_held_and_its_step_is_not_given_out() {
    let mut run = budgeted(&[Do::Cost { micros: 60 }, Do::Cost { micros: 60 }, Do::Work], 100);
    assert_eq!((run.run().paused_by.as_deref(), run.rows[&Seq(3)].gated), (Some(BUDGET), true));
    run.restart();
    run.resume();
    run.carry_out(3, done(&json!(1)));
    assert_eq!(run.status(), "succeeded", "whoever resumes it lets it spend");
}

#[test]
fn a_budget_that_is_lowered_below_what_was_spent_holds_the_run_at_once() {
    let mut run = Subject::run_script(&[Do::Cost { micros: 60 }, Do::Work]);
    set_budget(&mut run, Some(59));
    assert_eq!(run.run().paused_by.as_deref(), Some(BUDGET));
    set_budget(&mut run, None);
    assert_eq!(run.run().paused_by, None);
}

#[test]
fn what_a_run_shows_of_itself_is_in_its_row_and_in_its_journal() {
    let mark = |name: &str, value| Do::Mark { name: name.to_owned(), value };
    let script = [
        Do::Progress { fraction: 0.5 },
        Do::Memo { text: "hello".to_owned() },
        mark("city", json!("Oslo")),
        mark("gone", json!(null)),
        Do::Work,
        Do::Progress { fraction: 7.0 },
        mark("list", json!([1])),
    ];
    let mut run = Subject::run_script(&script);
    let row = run.last.clone().expect("a transition").row;
    assert_eq!(row.figures.expect("figures").progress, Some(0.5));
    assert_eq!(json!(row.attributes_set), json!({ "city": "Oslo", "gone": null }));
    assert_eq!(run.run().memo.as_ref().map(|memo| memo.as_str().to_owned()), Some("\"hello\"".to_owned()));
    run.carry_out(5, done(&json!(1)));
    let row = run.last.clone().expect("a transition").row;
    assert_eq!((row.figures.expect("figures").progress, row.attributes_set), (Some(1.0), None));
    let told = &run.output()[6];
    assert!(told.starts_with("/list: must be a string"), "{told}");
}

#[test]
fn a_run_that_shows_nothing_has_no_figures() {
    let run = Subject::run_script(&[Do::Work]);
    let row = run.last.as_ref().expect("a transition").row.clone();
    assert_eq!((row.figures, row.attributes_set, row.journal_from), (None, None, None));
}

#[test]
fn what_was_done_is_undone_unless_the_run_succeeds() {
    let script = |end: Vec<Do>| [vec![Do::Guard, Do::Undo, Do::Work], end].concat();
    let mut good = Subject::run_script(&script(vec![]));
    good.carry_out(3, done(&json!(1)));
    assert_eq!(good.rows.keys().copied().collect::<Vec<_>>(), [Seq(1)], "only the clean-up");
    good.carry_out(1, done(&json!(null)));
    assert_eq!((good.status(), good.count("finalizer_started")), ("succeeded", 1));

    for end in [Do::Fail { code: "x".to_owned() }, Do::GiveUp { code: "x".to_owned() }] {
        let mut bad = Subject::run_script(&script(vec![end]));
        bad.carry_out(3, done(&json!(1)));
        assert_eq!(bad.rows.keys().copied().collect::<Vec<_>>(), [Seq(2)], "last registered first");
        bad.restart();
        bad.carry_out(2, done(&json!(null)));
        bad.carry_out(1, done(&json!(null)));
        assert!(matches!(bad.status(), "failed" | "timed_out"));
    }
    let mut cancelled = Subject::run_script(&script(vec![]));
    cancelled.cancel().expect("cancelled");
    cancelled.carry_out(2, done(&json!(null)));
    cancelled.carry_out(1, done(&json!(null)));
    assert_eq!(cancelled.status(), "cancelled");
}

#[test]
fn a_run_that_is_not_done_by_its_deadline_ends_as_timed_out_paused_or_not() {
    for pause in [false, true] {
        let script = [Do::Guard, Do::Sleep { ms: 60_000 }];
        let start = valet_core::command::StartRun { deadline: Some(at(1_000)), ..start_of(&script) };
        let mut run = Subject::run_started(start, registry());
        if pause {
            run.pause();
        }
        run.restart();
        run.fire(0);
        run.carry_out(1, done(&json!(null)));
        assert_eq!((run.status(), run.now), ("timed_out", at(1_000)));
        assert!(run.timers.is_empty());
    }
}

#[test]
fn a_deadline_alone_is_nothing_to_wait_for() {
    let start = valet_core::command::StartRun { deadline: Some(at(1_000)), ..start_of(&[Do::Stray]) };
    let run = Subject::run_started(start, registry());
    assert_eq!(run.status(), "stuck");
}
