//! The engine in memory: time, people, signals, children, and what it says when a run goes no further.

use std::time::Duration;

use serde_json::json;
use valet_core::journal::HumanOutcome;
use valet_testing::{Person, TestEngine, Trouble, fail, lost, retry};

use super::workflows::{Buy, Charge, DAY, Mumbles, Order, Post, Release, Reserve, Ship, out_of_stock};

/// The world in which [`Buy`] goes well; its child is run.
pub fn shop() -> TestEngine {
    without_child().workflow::<Ship>().on_step(|_: Post, _| Ok("posted".to_owned()))
}

fn without_child() -> TestEngine {
    TestEngine::new()
        .on_step(|reserve: Reserve, _| Ok(format!("reserved {}", reserve.cents)))
        .on_step(|charge: Charge, _| Ok(format!("charged {}", charge.cents)))
        .on_step(|_: Release, _| Ok(()))
        .on_task("review", |_| Person::answers(&json!({ "yes": true })))
        .signal("word", "Monday")
}

fn order() -> serde_json::Value {
    json!({ "cents": 5 })
}

#[test]
fn a_run_goes_to_its_end_and_tells_what_it_did() {
    let run = shop().run::<Buy>(&order()).expect("an end");
    assert_eq!(run.assert_succeeded().output::<String>(), "reserved 5, charged 5");
    assert_eq!(run.steps(), ["reserve", "charge", "release"]);
    assert_eq!((run.logs(), run.status_lines()), (vec!["posted on Monday"], vec!["reserving"]));
    assert_eq!(run.emitted()[0].0, "order.shipped");
    assert!(matches!(run.tasks()[..], [("review", Some(HumanOutcome::Answered { .. }))]));
    assert!(run.took() >= DAY && run.took() < DAY + Duration::from_secs(1), "a night is skipped, no more");
    let [child] = run.children() else { panic!("one child") };
    assert_eq!((child.workflow(), child.output::<String>()), ("ship", "posted".to_owned()));
    assert_eq!((child.left_behind().len(), run.left_behind().len()), (0, 0));
}

#[test]
fn attempts_fail_and_are_made_again_until_none_is_left() {
    let flaky = |goes_well_at| {
        shop().on_step(move |_: Reserve, attempt| match attempt {
            1 => Err(lost()),
            _ if attempt < goes_well_at => Err(retry("busy")),
            _ => Ok("at last".to_owned()),
        })
    };
    let run = flaky(3).run::<Buy>(&order()).expect("an end");
    assert_eq!(run.output::<String>(), "at last, charged 5");
    flaky(4).run::<Buy>(&order()).expect("an end").assert_failed("busy");
}

#[test]
fn people_answer_refuse_or_let_the_deadline_pass() {
    let asked = |person: Person| shop().on_task("review", move |_| person.clone()).run::<Buy>(&order());
    asked(Person::rejects("no")).expect("an end").assert_failed("rejected");
    let silent = asked(Person::StaysSilent).expect("an end");
    assert!(silent.assert_timed_out("nobody").took() >= 3 * DAY, "a night, and the two days of the task");
    let trouble = asked(Person::answers(&json!({ "no": 1 }))).expect_err("refused");
    assert!(matches!(&trouble, Trouble::AnswerRefused { reason, .. } if reason == "review"), "{trouble}");
    let trouble = shop().run::<Mumbles>(&order()).expect_err("no form");
    assert!(matches!(&trouble, Trouble::BadForm { reason, .. } if reason == "review"), "{trouble}");
}

#[test]
fn a_signal_comes_early_on_its_wait_late_or_not_at_all() {
    let silent = || {
        let engine = TestEngine::new().workflow::<Ship>().on_step(|_: Post, _| Ok("posted".to_owned()));
        let engine = engine.on_step(|_: Reserve, _| Ok(String::new())).on_step(|_: Charge, _| Ok(String::new()));
        engine.on_step(|_: Release, _| Ok(())).on_task("review", |_| Person::answers(&json!({ "yes": true })))
    };
    silent().run::<Buy>(&order()).expect("an end").assert_timed_out("no_word");
    let said = silent().on_wait("word", |nth| (nth == 1).then_some("now")).run::<Buy>(&order()).expect("an end");
    assert_eq!(said.logs(), ["posted on now"]);
    let later = silent().signal_after(DAY + DAY / 2, "word", "later").run::<Buy>(&order()).expect("an end");
    assert_eq!(later.logs(), ["posted on later"]);
    assert!(later.took() >= DAY + DAY / 2);
}

#[test]
fn a_child_may_be_answered_for() {
    let answered = |result: Result<&'static str, _>| {
        without_child()
            .on_child("ship", move |order: Order| result.clone().map(|text| format!("{text} {}", order.cents)))
    };
    let run = answered(Ok("sent")).run::<Buy>(&order()).expect("an end");
    assert_eq!((run.logs(), run.children().len()), (vec!["sent 5 on Monday"], 0));
    let failed = answered(Err(out_of_stock())).run::<Buy>(&order()).expect("an end");
    assert!(failed.assert_failed("out_of_stock").left_behind().is_empty());
}

#[test]
fn a_cancelled_run_is_cleaned_up() {
    let run = shop().cancel_after(DAY / 2, "changed my mind").run::<Buy>(&order()).expect("an end");
    assert_eq!(run.assert_cancelled().steps(), ["reserve", "release"]);
}

#[test]
fn a_run_that_goes_no_further_says_what_it_waits_for() {
    let trouble = |engine: TestEngine| engine.run::<Buy>(&order()).expect_err("no end").to_string();
    assert!(trouble(TestEngine::new()).contains("nothing does the step `reserve` (3): tell what it comes to"));
    let parked = trouble(shop().on_step(|_: Release, _| Err(fail("jammed"))));
    assert!(parked.contains("the step `release` (1) waits for an operator after its last attempt: jammed"), "{parked}");
    let unknown = trouble(without_child());
    assert!(unknown.contains("no engine here knows the workflow `ship`"), "{unknown}");
}

#[test]
fn an_input_that_a_door_would_refuse_is_refused() {
    for (input, expect) in [(json!({ "cents": 0 }), "/cents"), (json!({ "cent": 1 }), "cent")] {
        let trouble = shop().run::<Buy>(&input).expect_err("refused");
        assert!(matches!(&trouble, Trouble::InputRefused(problem) if problem.contains(expect)), "{trouble}");
    }
}
