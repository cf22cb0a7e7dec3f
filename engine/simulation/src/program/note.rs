//! Operations that answer at once: log, status, random, id, values, versions, costs, and what a run shows of itself.

use std::sync::atomic::{AtomicU64, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::Context;

use super::grow::Grow;
use super::{NEWEST_BUILD, Seen, Visiting, unexpected};
use crate::outside::facts::Facts;

/// What one note costs that costs anything.
const COST_MICROS: u64 = 10;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NoteNode {
    status: bool,
    emits: bool,
    /// What a database's text cannot hold.
    nul: bool,
    /// Shows progress, a memo and an attribute.
    shows: bool,
    /// Makes a value that differs from time to time.
    value: bool,
    /// Newer builds do more here, in runs that come here for the first time.
    changed: bool,
    cost: bool,
}

/// No two values are the same, in whatever run or seed.
static VALUES: AtomicU64 = AtomicU64::new(0);

impl NoteNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        let mut chance = |probability| grow.dice.chance(probability);
        let (status, emits, nul, shows) = (chance(0.5), chance(0.3), chance(0.1), chance(0.3));
        Self { status, emits, nul, shows, value: chance(0.3), changed: chance(0.5), cost: chance(0.5) }
    }

    pub(super) fn run(self, ctx: Context, at: String, build: i64) -> Visiting {
        Box::pin(async move {
            if self.changed && build >= NEWEST_BUILD && ctx.version(&at, 1) == 1 {
                ctx.log(format!("{at} as it is now"));
            }
            if self.shows {
                ctx.set_progress(0.5);
                ctx.set_memo(&at);
                let attribute = [("at".to_owned(), at.as_str().into())];
                if ctx.set_attributes(attribute.into_iter().collect()).is_err() {
                    ctx.log("an attribute was refused");
                }
            }
            if self.cost {
                ctx.cost("note", COST_MICROS);
            }
            let made = self.value.then(|| ctx.value(&at, || VALUES.fetch_add(1, Ordering::Relaxed)));
            let value = made.map(|value| value.unwrap_or(u64::MAX));
            if self.emits {
                ctx.emit("note.made", &at);
            }
            if self.status {
                ctx.set_status(if self.nul { format!("{at}\0") } else { at });
            } else {
                ctx.log(format!("{at} {}", ctx.id()));
            }
            (Seen::Note { random: ctx.random(), value }, None)
        })
    }

    pub(super) fn explain(&self, seen: &Seen, at: &str, facts: &Facts<'_>) -> Result<Option<String>, String> {
        let Seen::Note { value, .. } = seen else { return unexpected(at, seen) };
        if value.is_some() != self.value {
            return Err(format!("{at}: a value was or was not made"));
        }
        if let Some(value) = value {
            facts.value_was_recorded(at, *value)?;
        }
        Ok(None)
    }
}
