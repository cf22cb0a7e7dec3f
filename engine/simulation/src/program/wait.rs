//! A wait for a signal: a message that somebody sent, taken once, or nothing after the timeout.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::Context;

use super::grow::Grow;
use super::{Seen, Visiting, unexpected};
use crate::outside::facts::Facts;

/// Channels that programs wait on.
pub(crate) const CHANNELS: [&str; 2] = ["north", "south"];

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WaitNode {
    channel: usize,
    timeout_ms: Option<u64>,
    /// Takes even numbers only.
    even: bool,
}

impl WaitNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        let timeout_ms = grow.dice.chance(0.7).then(|| grow.dice.between(0, 4_000));
        // Nobody sees to it that an even number comes: such a wait ends by itself.
        let even = timeout_ms.is_some() && grow.dice.chance(0.3);
        Self { channel: grow.dice.index(CHANNELS.len()), timeout_ms, even }
    }

    pub(super) fn run(self, ctx: Context) -> Visiting {
        Box::pin(async move {
            let from_ms = ctx.now().timestamp_millis();
            let timeout = self.timeout_ms.map(Duration::from_millis);
            let channel = CHANNELS[self.channel];
            let heard = match self.even.then(|| ctx.wait_for_where::<u64>(channel, "message % 2 == 0", timeout)) {
                Some(Ok(waiting)) => waiting.await,
                Some(Err(_)) => Some(Ok(u64::MAX)),
                None => ctx.wait_for::<u64>(channel, timeout).await,
            };
            let seen = match heard {
                Some(value) => Seen::Signal { value: value.unwrap_or(u64::MAX) },
                None => Seen::NoSignal { from_ms, to_ms: ctx.now().timestamp_millis() },
            };
            (seen, None)
        })
    }

    pub(super) fn explain(&self, seen: &Seen, at: &str, facts: &Facts<'_>) -> Result<Option<String>, String> {
        match (seen, self.timeout_ms) {
            (Seen::Signal { value }, _) if self.even && value % 2 != 0 => {
                return Err(format!("{at}: {value} went through the filter"));
            }
            (Seen::Signal { value }, _) => facts.signal_was_sent(at, CHANNELS[self.channel], *value)?,
            (Seen::NoSignal { from_ms, to_ms }, Some(timeout_ms)) if to_ms - from_ms >= timeout_ms as i64 => {}
            (Seen::NoSignal { from_ms, .. }, Some(_)) if facts.began_before_the_fork(*from_ms) => {}
            (Seen::NoSignal { .. }, _) => return Err(format!("{at}: a wait ended before its time: {seen:?}")),
            _ => return unexpected(at, seen),
        }
        Ok(None)
    }
}
