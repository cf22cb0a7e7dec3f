//! What every workflow must stand: the same run twice, a failure of each step, a crash, a pause and a cancellation at each
//! point, an operator at each step, steps that are handed over.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::Serialize;
use valet_core::id::{RunId, Seq};
use valet_core::journal::{Entry, RunOutcome};
use valet_core::run::Reason;
use valet_core::{Payload, Workflow};

use crate::answers::payload;
use crate::bounds::VIOLATIONS_LISTED_MAX;
use crate::engine::TestEngine;
use crate::meddling::{Fault, Meddling};
use crate::test_run::{TestRun, said};
use crate::trouble::Trouble;
use crate::world::{Call, Promise};

/// The code of a failure that no workflow knows.
const UNKNOWN_CODE: &str = "contract_failure";

/// A workflow whose crate holds [`contract!`](crate::contract) for it. `workflows!` registers no other when tests are built.
pub trait Contract: Workflow {}

/// A run that goes well, told so that it can be told again: an input, and the world outside.
pub struct Scenario<W> {
    input: Payload,
    engine: Box<dyn Fn() -> TestEngine>,
    holds: Box<Holds>,
    workflow: PhantomData<fn() -> W>,
}

/// How the undisturbed run went.
struct Good {
    run: TestRun,
    calls: Vec<Call>,
    promises: Vec<Promise>,
    outputs: BTreeMap<(RunId, Seq), Payload>,
    transitions: usize,
    attempts: usize,
}

/// What must hold of a run, else what is wrong with it.
type Holds = dyn Fn(&TestRun) -> Result<(), String>;

/// A disturbed run: how it ended, or why it did not.
type Disturbed = Result<TestRun, Trouble>;

impl<W: Workflow> Scenario<W> {
    /// `engine` makes the world anew for every run.
    ///
    /// # Panics
    /// If the input is not JSON.
    #[track_caller]
    pub fn new(input: &(impl Serialize + ?Sized), engine: impl Fn() -> TestEngine + 'static) -> Self {
        let holds = Box::new(|_: &TestRun| Ok(()));
        Self { input: payload(input), engine: Box::new(engine), holds, workflow: PhantomData }
    }

    /// What must hold of every run that came to its end, however it was disturbed; else what is wrong with it.
    #[must_use]
    pub fn holding(mut self, holds: impl Fn(&TestRun) -> Result<(), String> + 'static) -> Self {
        self.holds = Box::new(holds);
        self
    }

    /// The same input and answers make the same journal, and so does the code run again from it after each transition.
    ///
    /// # Panics
    /// If they do not.
    #[track_caller]
    pub fn assert_runs_twice(&self) {
        let (first, second) = (self.good(), self.good());
        report(same(&first.run, &second.run).err().map(|why| format!("run twice: {why}")));
    }

    /// Whichever step or completion fails, however it fails: the run ends, or waits for a person or an operator who can end it; what it
    /// registered to be cleaned up is cleaned up.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_survives_failing_steps(&self) {
        let codes = self.codes();
        let good = self.good();
        report(self.settled(Ok(good.run.clone())).err().map(|why| format!("undisturbed: {why}")));
        report(good.calls.iter().flat_map(|call| faults(call, &codes).map(move |fault| (call, fault))).filter_map(
            |(call, fault)| {
                let case = format!("step `{}` ({}): {fault}", call.name, call.seq);
                let ended = self.disturbed(Meddling::Fault { run: call.run, seq: call.seq, fault });
                self.settled(ended).err().map(|why| format!("{case}: {why}"))
            },
        ));
        report(good.promises.iter().flat_map(|promise| broken(promise, &codes)).filter_map(|(case, meddling)| {
            self.settled(self.disturbed(meddling)).err().map(|why| format!("{case}: {why}"))
        }));
    }

    /// Wherever the engine dies, before a transition is stored or right after, the run goes on as if it had not.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_survives_crashes(&self) {
        let good = self.good();
        let crashes = (0..good.transitions).flat_map(|transition| [(transition, false), (transition, true)]);
        report(crashes.filter_map(|(transition, stored)| {
            let when = if stored { "after" } else { "before" };
            let ended = self.disturbed(Meddling::Crash { transition, stored });
            let same = ended.map_err(|trouble| trouble.to_string()).and_then(|run| same(&good.run, &run));
            same.err().map(|why| format!("a crash {when} transition {} is stored: {why}", transition + 1))
        }));
    }

    /// Whenever it is cancelled, also while a worker is at a step: the run ends as cancelled, and is cleaned up.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_survives_cancelling(&self) {
        let good = self.good();
        let between = (0..good.transitions)
            .map(|transition| (format!("after transition {}", transition + 1), Meddling::CancelAfter { transition }));
        let during = (0..good.attempts)
            .map(|attempt| (format!("during attempt {}", attempt + 1), Meddling::CancelDuring { attempt }));
        report(between.chain(during).filter_map(|(case, meddling)| {
            let ended = self.settled(self.disturbed(meddling)).and_then(|run| cancelled(run.as_ref(), &good.run));
            ended.err().map(|why| format!("cancelled {case}: {why}"))
        }));
    }

    /// Whenever it is paused and resumed: the run ends, and is cleaned up.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_survives_pausing(&self) {
        let good = self.good();
        report((0..good.transitions).filter_map(|transition| {
            let ended = self.settled(self.disturbed(Meddling::PauseAfter { transition }));
            ended.err().map(|why| format!("paused after transition {}: {why}", transition + 1))
        }));
    }

    /// Whichever step an operator skips, with what it would have come to, or edits, without a change: the run ends, and is
    /// cleaned up.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_survives_operators(&self) {
        let good = self.good();
        report(
            good.calls
                .iter()
                .flat_map(|call| {
                    let (run, seq) = (call.run, call.seq);
                    let skip = good.outputs.get(&(run, seq)).map(|output| {
                        (
                            format!("step `{}` ({seq}) is skipped", call.name),
                            Meddling::Skip { run, seq, output: output.clone() },
                        )
                    });
                    let edit = (format!("step `{}` ({seq}) is edited", call.name), Meddling::Edit { run, seq });
                    skip.into_iter().chain([edit])
                })
                .filter_map(|(case, meddling)| {
                    self.settled(self.disturbed(meddling)).err().map(|why| format!("{case}: {why}"))
                }),
        );
    }

    /// Whatever workers take along with the finish before: the run ends, and is cleaned up.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_survives_handing_over(&self) {
        let ended = self.settled(self.disturbed(Meddling::HandOver));
        report(ended.err().map(|why| format!("steps are handed over: {why}")));
    }

    fn codes(&self) -> Vec<String> {
        let known = (self.engine)().codes;
        [UNKNOWN_CODE.to_owned()].into_iter().chain(known).collect()
    }

    #[track_caller]
    fn good(&self) -> Good {
        let started = (self.engine)().start::<W>(self.input.clone(), Meddling::None);
        let driven = started.and_then(|mut world| world.drive().map(|()| world));
        match driven {
            Ok(world) => Good {
                calls: world.calls.clone(),
                promises: world.promises.clone(),
                outputs: world.outputs.clone(),
                transitions: world.transitions,
                attempts: world.attempts,
                run: world.into_run(),
            },
            Err(trouble) => panic!("undisturbed, {trouble}"),
        }
    }

    fn disturbed(&self, meddling: Meddling) -> Disturbed {
        (self.engine)().start::<W>(self.input.clone(), meddling)?.run()
    }

    /// The run ended and left nothing, or an operator has the last word. `None`: the latter.
    fn settled(&self, disturbed: Disturbed) -> Result<Option<TestRun>, String> {
        let run = match disturbed {
            Ok(run) => run,
            Err(Trouble::Waits(Some(Reason::Parked { .. } | Reason::Person { .. }))) => return Ok(None),
            Err(trouble) => return Err(trouble.to_string()),
        };
        for member in run.family() {
            if let Some(name) = member.left_behind().first() {
                return Err(format!("it {} without its clean-up `{name}`", said(member.outcome())));
            }
            if let Some((seq, results)) = member.results().iter().find(|(_, results)| **results > 1) {
                return Err(format!("{results} results of the step {seq} were taken"));
            }
        }
        (self.holds)(&run)?;
        Ok(Some(run))
    }
}

/// All ways in which this step may fail.
fn faults(call: &Call, codes: &[String]) -> impl Iterator<Item = Fault> + use<> {
    let of_codes: Vec<Fault> = codes
        .iter()
        .flat_map(|code| {
            let code = || code.clone();
            [Fault::Exhausted { code: code() }, Fault::Failed { code: code() }, Fault::Blocked { code: code() }]
        })
        .collect();
    let in_doubt = (call.policy.effect_once && !call.is_finalizer).then_some(Fault::InDoubt);
    let starved = call.may_starve.then_some(Fault::NotStarted);
    of_codes.into_iter().chain([Fault::Lost]).chain(in_doubt).chain(starved)
}

/// All ways in which nobody completes what is waited for, or says that it failed.
fn broken(promise: &Promise, codes: &[String]) -> impl Iterator<Item = (String, Meddling)> + use<> {
    let Promise { run, seq, name } = promise.clone();
    let late =
        (format!("completion `{name}` ({seq}): nobody completes it in time"), Meddling::Uncompleted { run, seq });
    let failed: Vec<(String, Meddling)> = codes
        .iter()
        .map(|code| {
            let case = format!("completion `{name}` ({seq}): it fails with `{code}`");
            (case, Meddling::CompletionFails { run, seq, code: code.clone() })
        })
        .collect();
    failed.into_iter().chain([late])
}

/// A run that was closing already keeps the outcome that it had.
fn cancelled(run: Option<&TestRun>, good: &TestRun) -> Result<(), String> {
    let Some(run) = run else { return Err("it waits for an operator".to_owned()) };
    let was_told = run.entries().any(|entry| matches!(entry, Entry::CancelRequested { .. }));
    let fits = match run.outcome() {
        RunOutcome::Cancelled { .. } => was_told,
        outcome => !was_told && outcome == good.outcome(),
    };
    if fits { Ok(()) } else { Err(format!("it {}", said(run.outcome()))) }
}

fn same(one: &TestRun, other: &TestRun) -> Result<(), String> {
    let (one, other) = (one.family(), other.family());
    if one.len() != other.len() {
        return Err(format!("{} runs became {}", one.len(), other.len()));
    }
    one.into_iter().zip(other).try_for_each(|(one, other)| same_journal(one, other))
}

fn same_journal(one: &TestRun, other: &TestRun) -> Result<(), String> {
    let differs = one.journal().iter().zip(other.journal()).find(|(one, other)| one != other);
    if let Some((was, is)) = differs {
        let (was, is) = (json(&was.entries), json(&is.entries));
        return Err(format!("`{}` is another run: {was} became {is}", one.workflow()));
    }
    if one.journal().len() != other.journal().len() {
        let (was, is) = (one.journal().len(), other.journal().len());
        return Err(format!("`{}` made {was} transitions, then {is}", one.workflow()));
    }
    Ok(())
}

/// Tests hold no personal data: their journals may be shown.
fn json(entries: &[Entry]) -> String {
    serde_json::to_string(entries).unwrap_or_else(|error| error.to_string())
}

#[track_caller]
fn report(violations: impl IntoIterator<Item = String>) {
    let violations: Vec<String> = violations.into_iter().collect();
    let listed: Vec<&str> = violations.iter().take(VIOLATIONS_LISTED_MAX).map(String::as_str).collect();
    assert!(violations.is_empty(), "{} violations of the contract:\n{}", violations.len(), listed.join("\n"));
}

/// The contract of a workflow: marks it as tested, and expands to a module with the tests of a first [`scenario!`].
///
/// ```
/// # fn main() {}
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # use valet_core::{Context, Step, Stop, Workflow};
/// # #[derive(Serialize, Deserialize)]
/// # struct Charge { cents: u32 }
/// # impl Step for Charge { const NAME: &'static str = "charge"; type Output = String; }
/// # #[derive(Deserialize, JsonSchema)]
/// # struct Bill { cents: u32 }
/// # struct Billing;
/// # impl Workflow for Billing {
/// #     const NAME: &'static str = "billing";
/// #     type Input = Bill;
/// #     type Output = String;
/// #     async fn run(ctx: Context, bill: Bill) -> Result<String, Stop> {
/// #         Ok(ctx.step(Charge { cents: bill.cents }).await?)
/// #     }
/// # }
/// # mod tests {
/// # use super::*;
/// use valet_testing::TestEngine;
///
/// valet_testing::contract!(
///     billing: Billing,
///     input = serde_json::json!({ "cents": 300 }),
///     steps = TestEngine::new().on_step(|charge: Charge, _| Ok(format!("charged {}", charge.cents))),
/// );
/// # }
/// ```
#[macro_export]
macro_rules! contract {
    ($name:ident: $workflow:ty, $($field:ident = $value:expr),+ $(,)?) => {
        impl $crate::Contract for $workflow {}

        $crate::scenario!($name: $workflow, $($field = $value),+);
    };
}

/// Another way through a workflow, held to the same contract: another input, or a world that answers otherwise.
#[macro_export]
macro_rules! scenario {
    ($name:ident: $workflow:ty, input = $input:expr, steps = $steps:expr $(, holds = $holds:expr)? $(,)?) => {
        mod $name {
            #[allow(unused_imports, reason = "what the author's expressions name")]
            use super::*;

            #[allow(dead_code, reason = "used by tests only")]
            fn scenario() -> $crate::Scenario<$workflow> {
                $crate::Scenario::new(&$input, || $steps)$(.holding($holds))?
            }

            #[test]
            fn runs_twice() {
                scenario().assert_runs_twice();
            }

            #[test]
            fn survives_a_failure_of_each_step() {
                scenario().assert_survives_failing_steps();
            }

            #[test]
            fn survives_a_crash_at_each_transition() {
                scenario().assert_survives_crashes();
            }

            #[test]
            fn survives_being_cancelled_at_each_point() {
                scenario().assert_survives_cancelling();
            }

            #[test]
            fn survives_being_paused_at_each_point() {
                scenario().assert_survives_pausing();
            }

            #[test]
            fn survives_an_operator_at_each_step() {
                scenario().assert_survives_operators();
            }

            #[test]
            fn survives_steps_that_are_handed_over() {
                scenario().assert_survives_handing_over();
            }
        }
    };
}
