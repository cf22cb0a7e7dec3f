//! A sleep: never shorter than asked.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::Context;

use super::grow::Grow;
use super::{Seen, Visiting, unexpected};
use crate::outside::facts::Facts;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SleepNode {
    ms: u64,
}

impl SleepNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        let ms = match grow.dice.between(0, 9) {
            0 => 0,
            1..=5 => grow.dice.between(1, 300),
            _ => grow.dice.between(300, 4_000),
        };
        Self { ms }
    }

    pub(super) fn run(self, ctx: Context) -> Visiting {
        Box::pin(async move {
            let from_ms = ctx.now().timestamp_millis();
            ctx.sleep(Duration::from_millis(self.ms)).await;
            (Seen::Slept { from_ms, to_ms: ctx.now().timestamp_millis() }, None)
        })
    }

    pub(super) fn explain(&self, seen: &Seen, at: &str, facts: &Facts<'_>) -> Result<Option<String>, String> {
        let Seen::Slept { from_ms, to_ms } = seen else { return unexpected(at, seen) };
        if to_ms - from_ms < self.ms as i64 && !facts.began_before_the_fork(*from_ms) {
            return Err(format!("{at}: slept {} ms instead of {}", to_ms - from_ms, self.ms));
        }
        Ok(None)
    }
}
