//! Something that somebody outside completes, once, or nobody in time.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::Context;

use super::grow::Grow;
use super::{Seen, Visiting, unexpected};
use crate::outside::facts::Facts;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CompleteNode {
    timeout_ms: u64,
}

impl CompleteNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        Self { timeout_ms: grow.dice.between(0, 6_000) }
    }

    pub(super) fn run(self, ctx: Context, at: String) -> Visiting {
        Box::pin(async move {
            let from_ms = ctx.now().timestamp_millis();
            let value = ctx.completion::<u64>(&at, Duration::from_millis(self.timeout_ms)).await.ok();
            (Seen::Completed { value, from_ms, to_ms: ctx.now().timestamp_millis() }, None)
        })
    }

    pub(super) fn explain(&self, seen: &Seen, at: &str, facts: &Facts<'_>) -> Result<Option<String>, String> {
        let Seen::Completed { value, from_ms, to_ms } = seen else { return unexpected(at, seen) };
        match value {
            Some(value) => facts.was_completed(at, *value)?,
            None if to_ms - from_ms >= self.timeout_ms as i64 => {}
            None if facts.began_before_the_fork(*from_ms) => {}
            None => return Err(format!("{at}: a completion timed out before its time: {seen:?}")),
        }
        Ok(None)
    }
}
