//! The program under test: `valet` itself, with a workflow whose steps a test holds and lets go, and one that asks a person.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use valet::Registry;
use valet_core::journal::{HumanOutcome, HumanSpec};
use valet_core::{Context, Payload, Step, StepPolicy, Stop, Workflow};
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

/// `{"question": "May it go out?"}`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskingInput {
    pub question: String,
}

/// Asks a person one question, and comes to the answer.
pub struct AskingWorkflow;

/// How long the person has.
const ANSWER_MAX: Duration = Duration::from_hours(1);

impl Workflow for AskingWorkflow {
    const NAME: &'static str = "asks";
    type Input = AskingInput;
    type Output = String;

    async fn run(ctx: Context, input: AskingInput) -> Result<String, Stop> {
        let form = json!({
            "type": "object",
            "properties": { "answer": { "type": "string", "title": "Answer", "minLength": 1 } },
            "required": ["answer"],
            "additionalProperties": false,
        });
        let task = HumanSpec {
            reason: "question".to_owned(),
            title: input.question,
            form: Payload::of(&form).unwrap_or_default(),
            context: Payload::default(),
            deadline: ctx.now() + ANSWER_MAX,
        };
        match ctx.human(task).await {
            HumanOutcome::Answered { answer, .. } => {
                let answer: Value = answer.read().map_err(|e| Stop::failed("bad_answer", e.to_string()))?;
                Ok(answer["answer"].as_str().unwrap_or_default().to_owned())
            }
            HumanOutcome::Rejected { by, .. } => Err(Stop::failed("rejected", format!("rejected by {by}"))),
            HumanOutcome::TimedOut => Err(Stop::timed_out("nobody_answered", "nobody answered in time")),
        }
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
    let registry = valet::workflows!(Registry::new(0), workflow::<StagedWorkflow, AskingWorkflow>);
    valet::main(registry.step(hold).step(|ctx, HoldOnce(step)| hold(ctx, step)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use valet_testing::{Person, TestEngine, contract, scenario};

    use super::{AskingWorkflow, Hold, HoldOnce, StagedWorkflow};

    fn stage() -> TestEngine {
        TestEngine::new().on_step(|hold: Hold, _| Ok(hold.n)).on_step(|HoldOnce(hold), _| Ok(hold.n))
    }

    contract!(staged: StagedWorkflow, input = json!({ "steps": 2, "stage": "/stage" }), steps = stage());

    contract!(
        asks: AskingWorkflow,
        input = json!({ "question": "May it go out?" }),
        steps = TestEngine::new().on_task("question", |_| Person::answers(&json!({ "answer": "It may." }))),
    );

    scenario!(
        with_a_single_attempt: StagedWorkflow,
        input = json!({ "steps": 2, "stage": "/stage", "once": true }),
        steps = stage(),
    );
}
