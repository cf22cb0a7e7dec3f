//! A step that wants the worker of the one before it: demanded or preferred, perhaps with a label.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::{Context, Step, StepOptions};

use super::grow::Grow;
use super::step::end;
use super::work::{LABEL, Patient, Quick};
use super::{Fate, Seen, StepEnd, Visiting, unexpected};
use crate::outside::facts::Facts;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StickNode {
    fate: Fate,
    /// No other worker may have it.
    hard: bool,
    /// Only the first worker may.
    labelled: bool,
}

impl StickNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        let fate = if grow.dice.chance(0.7) { Fate::Good } else { Fate::FailFirst(grow.dice.between(1, 2) as u32) };
        Self { fate, hard: grow.dice.chance(0.5), labelled: grow.dice.chance(0.4) }
    }

    pub(super) fn run(self, ctx: Context, at: String) -> Visiting {
        Box::pin(async move {
            let before = Quick { at: before(&at), fate: self.fate };
            let before = ctx.step_with(before, StepOptions::default().remember_worker());
            let place = before.place();
            let first = before.await.map_err(|failure| end(&failure));
            let options = StepOptions::default();
            let options = if self.hard { options.sticky_to(place) } else { options.prefer_worker_of(place) };
            let (name, value) = LABEL[0];
            let options = if self.labelled { options.require_label(name, value) } else { options };
            let then = ctx.step_with(Patient { at, fate: self.fate }, options).await.map_err(|failure| end(&failure));
            (Seen::Stuck { first, then }, None)
        })
    }

    pub(super) fn explain(&self, seen: &Seen, at: &str, facts: &Facts<'_>) -> Result<Option<String>, String> {
        let Seen::Stuck { first, then } = seen else { return unexpected(at, seen) };
        facts.step_may_end(&before(at), *first, &Quick::policy())?;
        match then {
            // Its worker was gone, or had not the label, or an operator had done the step before.
            Err(StepEnd::NotStarted) if self.hard => {}
            _ => facts.step_may_end(at, *then, &Patient::policy())?,
        }
        Ok(None)
    }
}

fn before(at: &str) -> String {
    format!("{at}.before")
}
