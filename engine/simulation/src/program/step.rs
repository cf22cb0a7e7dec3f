//! A step: its end is one that a worker said, or that follows from lost workers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::Context;
use valet_core::step::StepFailure;

use super::grow::Grow;
use super::{Fate, Kind, Seen, StepEnd, Visiting, unexpected};
use crate::outside::facts::Facts;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StepNode {
    pub kind: Kind,
    pub fate: Fate,
    /// Its failure ends the program.
    pub must: bool,
}

impl StepNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        let kind = grow.dice.pick(&Kind::ALL);
        let fate = match grow.dice.between(0, 99) {
            0..=69 => Fate::Good,
            70..=81 => Fate::FailFirst(grow.dice.between(1, 2) as u32),
            // A step that parks and never succeeds would never end.
            82..=87 if kind != Kind::Parking => Fate::AlwaysRetry,
            88..=92 => Fate::Fail,
            93 => Fate::FailOddly,
            94..=99 => Fate::Block,
            _ => Fate::FailFirst(3),
        };
        Self { kind, fate, must: grow.dice.chance(0.4) }
    }

    pub(super) fn run(self, ctx: Context, at: String) -> Visiting {
        Box::pin(async move {
            let result = self.kind.ask(&ctx, at.clone(), self.fate).await.map_err(|failure| end(&failure));
            let halted = (self.must && result.is_err()).then_some(at);
            (Seen::Step { result }, halted)
        })
    }

    pub(super) fn explain(&self, seen: &Seen, at: &str, facts: &Facts<'_>) -> Result<Option<String>, String> {
        let Seen::Step { result } = seen else { return unexpected(at, seen) };
        facts.step_may_end(at, *result, &self.kind.policy())?;
        Ok((self.must && result.is_err()).then(|| at.to_owned()))
    }
}

pub(super) fn end(failure: &StepFailure) -> StepEnd {
    match failure {
        StepFailure::Failed(_) => StepEnd::Failed,
        StepFailure::Exhausted(_) => StepEnd::Exhausted,
        StepFailure::Blocked(_) => StepEnd::Blocked,
        StepFailure::InDoubt(_) => StepEnd::InDoubt,
        StepFailure::NotStarted(_) => StepEnd::NotStarted,
        StepFailure::BadOutput(_) => StepEnd::BadOutput,
    }
}
