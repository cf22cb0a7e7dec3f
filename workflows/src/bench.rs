//! The workflow that `valet bench` measures: some no-op steps, perhaps a wait in the middle.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::{Context, Step, StepPolicy, Stop, Workflow};

/// Queue of the benchmark's steps, apart from real work.
pub const QUEUE: &str = "bench";

/// `{"steps": 5, "park": false}`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BenchInput {
    /// No-op steps, one after another.
    #[schemars(range(min = 1, max = 1000))]
    pub steps: u32,
    /// Wait for the signal `go` after the first step.
    #[serde(default)]
    pub park: bool,
}

/// A step that does nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Noop {
    pub n: u32,
}

impl Step for Noop {
    const NAME: &'static str = "noop";
    type Output = u32;

    fn policy() -> StepPolicy {
        StepPolicy::queue(QUEUE)
    }
}

/// See the module.
pub struct BenchWorkflow;

impl Workflow for BenchWorkflow {
    const NAME: &'static str = "bench";
    type Input = BenchInput;
    type Output = u32;

    async fn run(ctx: Context, input: BenchInput) -> Result<u32, Stop> {
        let mut sum = 0;
        for n in 0..input.steps {
            sum += ctx.step(Noop { n }).await?;
            if input.park && n == 0 {
                ctx.wait_for::<serde_json::Value>("go", None).await;
            }
        }
        Ok(sum)
    }
}
