//! What the kit does from outside: completes, pauses, skips, edits, hands over; and the contract with all of that.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use valet_core::journal::Entry;
use valet_core::{Context, Failure, Stop, Workflow};
use valet_testing::{Operator, TestEngine, TestRun, Trouble, contract, fail, retry};

use super::workflows::{DAY, Order, Paint, Post, Release, Reserve};

/// Reserves, waits for the bank's word, paints, posts.
struct Sell;

impl Workflow for Sell {
    const NAME: &'static str = "sell";
    type Input = Order;
    type Output = String;

    async fn run(ctx: Context, Order { cents }: Order) -> Result<String, Stop> {
        let _release = ctx.finally(Release { cents });
        let reserved = ctx.step(Reserve { cents }).await?;
        let paid = match ctx.completion::<u32>("payment", DAY).await {
            Ok(paid) => paid,
            Err(failure) if failure.code == "timed_out" => return Err(Stop::timed_out("unpaid", "nobody paid")),
            Err(failure) => return Err(Stop::Failed(failure)),
        };
        let painted = ctx.step(Paint { cents: paid }).await?;
        let posted = ctx.step(Post { cents }).await?;
        Ok(format!("{reserved}, {painted}, {posted}"))
    }
}

fn unpaid() -> TestEngine {
    TestEngine::new()
        .on_step(|reserve: Reserve, _| Ok(format!("reserved {}", reserve.cents)))
        .on_step(|paint: Paint, _| Ok(format!("painted {}", paint.cents)))
        .on_step(|post: Post, _| Ok(format!("posted {}", post.cents)))
        .on_step(|_: Release, _| Ok(()))
}

fn bank() -> TestEngine {
    unpaid().complete("payment", &7)
}

fn sell(engine: TestEngine) -> Result<TestRun, Trouble> {
    engine.run::<Sell>(&json!({ "cents": 5 }))
}

contract!(selling: Sell, input = json!({ "cents": 5 }), steps = bank());

valet_testing::scenario!(
    selling_with_everything: Sell,
    input = json!({ "cents": 5 }),
    steps = bank()
        .hand_over()
        .pause_after(Duration::from_millis(5))
        .resume_after(Duration::from_mins(1))
        .edit("reserve", &json!({ "cents": 6 }))
        .skip("post", "by hand"),
);

fn count(run: &TestRun, is: fn(&Entry) -> bool) -> usize {
    run.entries().filter(|entry| is(entry)).count()
}

#[test]
fn a_completion_is_completed_late_fails_or_is_left() {
    assert_eq!(sell(bank()).expect("an end").output::<String>(), "reserved 5, painted 7, posted 5");
    let run = sell(unpaid().complete_after(DAY / 2, "payment", &8)).expect("an end");
    assert_eq!(run.output::<String>(), "reserved 5, painted 8, posted 5");
    assert!(run.took() >= DAY / 2 && run.took() < DAY);
    sell(unpaid().complete_after(2 * DAY, "payment", &8)).expect("an end").assert_timed_out("unpaid");
    sell(unpaid()).expect("an end").assert_timed_out("unpaid");
    let refused = unpaid().on_completion("payment", |nth| {
        assert_eq!(nth, 1);
        Some(Err::<u32, _>(Failure::new("no_funds", "the account is empty")))
    });
    sell(refused).expect("an end").assert_failed("no_funds");
    sell(unpaid().on_completion("payment", |_| None::<Result<u32, Failure>>))
        .expect("an end")
        .assert_timed_out("unpaid");
}

#[test]
fn nothing_is_done_or_delivered_while_the_run_is_paused() {
    let painted_at = Rc::new(Cell::new(0));
    let attempts = Rc::clone(&painted_at);
    let engine = bank().on_step(move |_: Paint, attempt| {
        attempts.set(attempts.get() + 1);
        if attempt == 1 { Err(retry("busy")) } else { Ok("painted".to_owned()) }
    });
    // While the step backs off.
    let run = sell(engine.pause_after(Duration::from_millis(25)).resume_after(DAY)).expect("an end");
    assert_eq!(run.output::<String>(), "reserved 5, painted, posted 5");
    assert!(run.took() >= DAY, "it waited for the resume: {:?}", run.took());
    assert_eq!((painted_at.get(), count(&run, |entry| matches!(entry, Entry::Paused { .. }))), (2, 1));
    let trouble = sell(bank().pause_after(Duration::ZERO)).expect_err("nobody resumes it");
    assert!(trouble.to_string().contains("paused by operator: resume it"), "{trouble}");
}

#[test]
fn what_comes_while_paused_is_held() {
    let engine = unpaid().pause_after(DAY / 4).complete_after(DAY / 2, "payment", &7).resume_after(3 * DAY / 4);
    let run = sell(engine).expect("an end");
    assert_eq!(run.output::<String>(), "reserved 5, painted 7, posted 5");
    let held = |entry: &Entry| matches!(entry, Entry::Held { .. });
    assert_eq!((count(&run, held), count(&run, |entry| matches!(entry, Entry::Released))), (1, 1));
    assert!(run.took() >= 3 * DAY / 4);
}

#[test]
fn an_operator_skips_and_edits_steps_before_any_worker_takes_them() {
    let untouched = || bank().on_step(|_: Paint, _| panic!("it was skipped"));
    let run = sell(untouched().skip("paint", "by hand").edit("post", &json!({ "cents": 50 }))).expect("an end");
    assert_eq!(run.output::<String>(), "reserved 5, by hand, posted 50");
    let run = sell(bank().skip("release", &())).expect("an end");
    assert_eq!((run.left_behind().len(), count(&run, |entry| matches!(entry, Entry::Skipped { .. }))), (0, 1));
    let trouble = sell(bank().skip("pain", "by hand")).expect_err("no such step");
    assert!(matches!(&trouble, Trouble::NeverAsked { step } if step == "pain"), "{trouble}");
}

#[test]
fn an_operator_comes_to_a_step_that_waits_for_one() {
    let jammed = || {
        bank().on_step(|paint: Paint, _| if paint.cents == 9 { Ok("nine".to_owned()) } else { Err(retry("jammed")) })
    };
    let waits = sell(jammed()).expect_err("nobody comes");
    assert!(waits.to_string().contains("the step `paint` (4) waits for an operator"), "{waits}");
    let run = sell(jammed().on_parked("paint", |_| Operator::skips("by hand"))).expect("an end");
    assert_eq!(run.output::<String>(), "reserved 5, by hand, posted 5");
    let edits = |nth| if nth == 1 { Operator::Retries } else { Operator::edits(&json!({ "cents": 9 })) };
    let run = sell(jammed().on_parked("paint", edits)).expect("an end");
    assert_eq!(run.output::<String>(), "reserved 5, nine, posted 5");
    assert!(matches!(sell(jammed().on_parked("paint", |_| Operator::StaysAway)), Err(Trouble::Waits(_))));
    let broken = bank().on_step(|_: Release, _| Err(fail("jammed"))).on_parked("release", |_| Operator::skips(&()));
    assert!(sell(broken).expect("an end").left_behind().is_empty(), "a clean-up may be skipped too");
}

#[test]
fn a_step_is_handed_over_to_whoever_finished_the_one_before() {
    let (apart, along) = (sell(bank()).expect("an end"), sell(bank().hand_over()).expect("an end"));
    assert_eq!(apart.output::<String>(), along.output::<String>());
    let leases = |run: &TestRun| format!("{:?}", run.entries().collect::<Vec<_>>());
    assert_ne!(leases(&apart), leases(&along), "another lease than that of a claim");
}

#[test]
fn declared_workflows_run_as_they_are_and_as_children() {
    let sub = json!({ "tasks": { "only": { "step": "echo", "input": { "$cel": "input.n" } } }, "output": "tasks.only.output" });
    let outer = json!({
        "input_schema": { "type": "object", "required": ["n"] },
        "tasks": {
            "sub": { "workflow": "sub", "input": { "n": { "$cel": "input.n" } } },
            "after": { "step": "echo", "parents": ["sub"], "input": { "$cel": "parents.sub.output + 1" } },
        },
    });
    let engine = || {
        let engine = TestEngine::new().declare("sub", &sub).declare("outer", &outer);
        engine.on_step_named("echo", |input, _| valet_testing::done(input))
    };
    let run = engine().run_declared("outer", &json!({ "n": 4 })).expect("an end");
    assert_eq!(run.output::<serde_json::Value>(), json!({ "after": 5 }));
    assert_eq!((run.children().len(), run.children()[0].workflow()), (1, "sub"));
    let trouble = engine().run_declared("outer", &json!({})).expect_err("the door refuses it");
    assert!(matches!(&trouble, Trouble::InputRefused(_)), "{trouble}");
    let failing = engine().on_child("sub", |_: serde_json::Value| Err::<(), _>(Failure::new("gone", "x")));
    failing.run_declared("outer", &json!({ "n": 1 })).expect("an end").assert_failed("gone");
}

/// Runs a declared workflow as a child.
struct Delegates;

impl Workflow for Delegates {
    const NAME: &'static str = "delegates";
    type Input = Order;
    type Output = u32;

    async fn run(ctx: Context, order: Order) -> Result<u32, Stop> {
        ctx.child("sub", &order).await.map_err(Stop::Failed)
    }
}

fn delegates() -> TestEngine {
    let sub = json!({ "tasks": { "only": { "step": "echo", "input": { "$cel": "input.cents" } } }, "output": "tasks.only.output" });
    TestEngine::new().declare("sub", &sub).on_step_named("echo", |input, _| valet_testing::done(input))
}

contract!(delegating: Delegates, input = json!({ "cents": 3 }), steps = delegates());

#[test]
fn code_runs_a_declared_child() {
    assert_eq!(delegates().run::<Delegates>(&json!({ "cents": 3 })).expect("an end").output::<u32>(), 3);
}

/// What waits without end for a completion that fails is found.
struct Stubborn;

impl Workflow for Stubborn {
    const NAME: &'static str = "stubborn";
    type Input = Order;
    type Output = u32;

    async fn run(ctx: Context, _: Order) -> Result<u32, Stop> {
        match ctx.completion::<u32>("payment", DAY).await {
            Ok(paid) => Ok(paid),
            Err(failure) => panic!("always paid: {failure}"),
        }
    }
}

#[test]
fn a_completion_that_the_code_takes_for_granted_is_found() {
    let scenario = || {
        valet_testing::Scenario::<Stubborn>::new(&json!({ "cents": 1 }), || TestEngine::new().complete("payment", &1))
    };
    let said = std::panic::catch_unwind(|| scenario().assert_survives_failing_steps()).expect_err("it does not hold");
    let said = said.downcast_ref::<String>().expect("a message");
    assert!(said.contains("completion `payment` (1): nobody completes it in time: the run is stuck"), "{said}");
    assert!(said.contains("completion `payment` (1): it fails with `contract_failure`"), "{said}");
    scenario().assert_survives_pausing();
}
