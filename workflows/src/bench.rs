//! The workflow that `valet bench` measures: some no-op steps, perhaps a wait in the middle, perhaps children.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::{ChildOptions, Context, Failure, FanOptions, Step, StepPolicy, Stop, Workflow};

/// Queue of the benchmark's steps, apart from real work.
pub const QUEUE: &str = "bench";

/// `{"steps": 5, "park": false}`
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BenchInput {
    /// No-op steps, one after another.
    #[schemars(range(min = 1, max = 1000))]
    pub steps: u32,
    /// Wait for the signal `go` after the first step.
    #[serde(default, skip_serializing_if = "is_default")]
    pub park: bool,
    /// Each step holds its worker's slot for so many milliseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(range(max = 600_000))]
    pub step_ms: u64,
    /// After its own steps the run fans out into so many children of one step.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(range(max = 100_000))]
    pub children: u32,
    /// After its own steps the run calls a child of one step by each of these keys; calls of one key share a child.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(length(max = 1000))]
    pub child_keys: Vec<u32>,
    /// What a limit may have for its key.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limit_key: u32,
}

/// A step that does nothing, perhaps for a while.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Noop {
    pub n: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub ms: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
            sum += ctx.step(Noop { n, ms: input.step_ms }).await?;
            if input.park && n == 0 {
                ctx.wait_for::<serde_json::Value>("go", None).await;
            }
        }
        let child = BenchInput { steps: 1, ..BenchInput::default() };
        if input.children > 0 {
            let inputs = vec![child.clone(); input.children as usize];
            let mut children =
                ctx.children::<_, u32>(Self::NAME, &inputs, FanOptions::default()).map_err(Stop::Failed)?;
            while let Some((_, end)) = children.next().await {
                sum += end.map_err(Stop::Failed)?;
            }
        }
        let keyed = input.child_keys.iter().map(|key| {
            let options = ChildOptions::key(key.to_string());
            ctx.child_with::<_, u32>(Self::NAME, &child, options)
        });
        let ends: Vec<Result<u32, Failure>> = ctx.all(keyed.collect::<Vec<_>>()).await;
        for end in ends {
            sum += end.map_err(Stop::Failed)?;
        }
        Ok(sum)
    }
}
