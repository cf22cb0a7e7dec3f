//! A task for a person: ends with what one person said, or at its deadline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::journal::{HumanOutcome, HumanSpec};
use valet_core::{Context, Payload};

use super::grow::Grow;
use super::{Seen, Visiting, unexpected};
use crate::outside::facts::Facts;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct HumanNode {
    deadline_ms: u64,
    /// Asks with a reason that a database's text cannot hold.
    odd: bool,
}

/// How a task ended, as a program sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HumanEnd {
    Answered { key: String, value: u64 },
    Rejected { key: String },
    TimedOut { from_ms: i64, to_ms: i64 },
}

impl HumanNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        Self { deadline_ms: grow.dice.between(50, 5_000), odd: grow.dice.chance(0.05) }
    }

    pub(super) fn run(self, ctx: Context, at: String) -> Visiting {
        Box::pin(async move {
            let from_ms = ctx.now().timestamp_millis();
            let deadline = ctx.now() + chrono::TimeDelta::milliseconds(self.deadline_ms as i64);
            let task = HumanSpec {
                reason: if self.odd { "question\0" } else { "question" }.to_owned(),
                title: at,
                form: Payload::null(),
                context: Payload::null(),
                deadline,
            };
            let end = match ctx.human(task).await {
                HumanOutcome::Answered { key, answer, .. } => {
                    HumanEnd::Answered { key, value: answer.read().unwrap_or(u64::MAX) }
                }
                HumanOutcome::Rejected { key, .. } => HumanEnd::Rejected { key },
                HumanOutcome::TimedOut => HumanEnd::TimedOut { from_ms, to_ms: ctx.now().timestamp_millis() },
            };
            (Seen::Human { end }, None)
        })
    }

    pub(super) fn explain(&self, seen: &Seen, at: &str, facts: &Facts<'_>) -> Result<Option<String>, String> {
        match seen {
            Seen::Human { end: HumanEnd::Answered { key, value } } => facts.answer_was_given(at, key, Some(*value))?,
            Seen::Human { end: HumanEnd::Rejected { key } } => facts.answer_was_given(at, key, None)?,
            Seen::Human { end: HumanEnd::TimedOut { from_ms, to_ms } } => {
                if to_ms - from_ms < self.deadline_ms as i64 && !facts.began_before_the_fork(*from_ms) {
                    return Err(format!("{at}: a task timed out after {} ms", to_ms - from_ms));
                }
            }
            _ => return unexpected(at, seen),
        }
        Ok(None)
    }
}
