//! The program under test: `valet` itself, with one more workflow whose steps a test holds and lets go.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet::Registry;
use valet_core::{Context, Step, StepPolicy, Stop, Workflow};
use valet_workers::runtime::{StepContext, StepError};

use crate::stage::Stage;

/// Queue of the steps that tests hold.
pub const QUEUE: &str = "stage";

/// How often a held step looks whether it may go.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// `{"steps": 2, "stage": "/a/folder", "once": false}`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StagedInput {
    /// Steps, one after another.
    pub steps: u32,
    /// The folder of a [`Stage`].
    pub stage: PathBuf,
    /// Steps that have a single attempt: one that is charged for nothing fails the run.
    #[serde(default)]
    pub once: bool,
}

/// A step that notes that it began, waits until its stage is open, and notes that it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hold {
    pub n: u32,
    pub stage: PathBuf,
}

impl Step for Hold {
    const NAME: &'static str = "hold";
    type Output = u32;

    fn policy() -> StepPolicy {
        StepPolicy::queue(QUEUE)
    }
}

/// [`Hold`] with a single attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HoldOnce(pub Hold);

impl Step for HoldOnce {
    const NAME: &'static str = "hold_once";
    type Output = u32;

    fn policy() -> StepPolicy {
        StepPolicy::queue(QUEUE).attempts(1)
    }
}

/// See the module.
pub struct StagedWorkflow;

impl Workflow for StagedWorkflow {
    const NAME: &'static str = "staged";
    type Input = StagedInput;
    type Output = u32;

    async fn run(ctx: Context, input: StagedInput) -> Result<u32, Stop> {
        let mut sum = 0;
        for n in 0..input.steps {
            let hold = Hold { n, stage: input.stage.clone() };
            sum += if input.once { ctx.step(HoldOnce(hold)).await? } else { ctx.step(hold).await? };
        }
        Ok(sum)
    }
}

async fn hold(ctx: StepContext, step: Hold) -> Result<u32, StepError> {
    let stage = Stage::at(step.stage);
    let (run, seq, attempt) = (ctx.run().to_string(), ctx.seq().0, ctx.attempt().0);
    let note =
        |what: &str| stage.note(what, &run, seq, attempt).map_err(|error| StepError::fail("stage_unwritable", error));
    note("began")?;
    while !stage.lets_go(&run) {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = ctx.cancelled() => {
                note("stopped")?;
                return Err(StepError::HandedBack);
            }
        }
    }
    note("ended")?;
    Ok(step.n)
}

/// Where this process is to crash: one plan of [`valet_crash_points::Plan`].
pub const CRASH_AT: &str = "VALET_CRASH_AT";

/// What `main` of the program under test does.
pub fn main() -> ! {
    if let Ok(text) = std::env::var(CRASH_AT) {
        let plan = text.parse().unwrap_or_else(|error| panic!("{CRASH_AT}: {error}"));
        valet_crash_points::arm(plan).expect("the plan is the first");
    }
    let registry = valet::workflows!(Registry::new(0), workflow::<StagedWorkflow>);
    valet::main(registry.step(hold).step(|ctx, HoldOnce(step)| hold(ctx, step)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use valet_testing::{TestEngine, contract, scenario};

    use super::{Hold, HoldOnce, StagedWorkflow};

    fn stage() -> TestEngine {
        TestEngine::new().on_step(|hold: Hold, _| Ok(hold.n)).on_step(|HoldOnce(hold), _| Ok(hold.n))
    }

    contract!(staged: StagedWorkflow, input = json!({ "steps": 2, "stage": "/stage" }), steps = stage());

    scenario!(
        with_a_single_attempt: StagedWorkflow,
        input = json!({ "steps": 2, "stage": "/stage", "once": true }),
        steps = stage(),
    );
}
