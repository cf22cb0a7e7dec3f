//! The contract holds for a workflow in order, and names what is wrong with each that is not.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::json;
use valet_core::{StepFailure, Workflow};
use valet_testing::{Scenario, TestEngine, TestRun, contract};

use super::engine::shop;
use super::workflows::{Buy, Charge, Counts, Hopes, Insists, Repeats, Reserve, Trusts};

contract!(buying: Buy, input = json!({ "cents": 5 }), steps = shop(), holds = charged_once);

fn charged_once(run: &TestRun) -> Result<(), String> {
    let charges = run.results_of::<Charge>();
    let may_be_charged = |result: &Option<_>| matches!(result, Some(Ok(_) | Err(StepFailure::InDoubt(_))));
    match charges.iter().filter(|result| may_be_charged(result)).count() {
        0 | 1 => Ok(()),
        more => Err(format!("charged {more} times")),
    }
}

fn scenario<W: Workflow>() -> Scenario<W> {
    let world = || {
        let engine = TestEngine::new().on_step(|_: Reserve, _| Ok("reserved".to_owned()));
        engine.on_step(|_: Charge, _| Ok("charged".to_owned()))
    };
    Scenario::new(&json!({ "cents": 1 }), world).holding(charged_once)
}

#[track_caller]
fn violates<W: Workflow>(check: fn(&Scenario<W>), expect: &str) {
    let scenario = scenario::<W>();
    let said = catch_unwind(AssertUnwindSafe(|| check(&scenario))).expect_err("the contract does not hold");
    let said = said.downcast_ref::<String>().expect("a message");
    assert!(said.contains(expect), "{said}");
}

#[test]
fn code_that_differs_from_run_to_run_is_found() {
    violates::<Counts>(Scenario::assert_runs_twice, "rebuilt from its journal at revision 1, the run is another");
}

#[test]
fn a_panic_after_a_failure_is_found_with_its_step() {
    violates::<Trusts>(Scenario::assert_survives_failing_steps, "step `reserve` (1): it fails for good");
    violates::<Trusts>(Scenario::assert_survives_failing_steps, "no worker takes it in time: the run is stuck");
    scenario::<Trusts>().assert_runs_twice();
    scenario::<Trusts>().assert_survives_crashes();
    scenario::<Trusts>().assert_survives_cancelling();
}

#[test]
fn a_wait_that_nothing_ends_is_found() {
    violates::<Hopes>(Scenario::assert_survives_failing_steps, "it waits for the signal `mended`");
}

#[test]
fn a_run_that_never_ends_is_found() {
    let world = || {
        let engine = TestEngine::new().transitions_max(100);
        engine.on_step(|_: Reserve, _| Err(valet_testing::fail("never")))
    };
    let trouble = world().run::<Insists>(&json!({ "cents": 1 })).expect_err("no end");
    assert!(trouble.to_string().contains("100 transitions were made"), "{trouble}");
}

#[test]
fn what_an_author_says_must_hold_is_looked_at_after_every_failure() {
    violates::<Repeats>(Scenario::assert_survives_failing_steps, "after the effect began: charged 2 times");
}
