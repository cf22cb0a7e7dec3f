//! Code that cannot go on: it panics, or awaits something that nobody will end. The run is stuck until a build comes that
//! mends it, or until somebody cancels it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::grow::Grow;
use super::{NEWEST_BUILD, Seen, Visiting};

/// What the panic says.
pub(crate) const PANIC: &str = "the program breaks";

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BreakNode {
    panics: bool,
    /// The build that goes on here.
    mended_by: i64,
}

impl BreakNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        let panics = grow.dice.chance(0.5);
        // What hangs may hang beside something that goes on: a build that no longer hangs there fits no such journal.
        let mended_by = if panics && grow.dice.chance(0.5) { NEWEST_BUILD } else { NEWEST_BUILD + 1 };
        Self { panics, mended_by }
    }

    pub(super) fn run(self, build: i64) -> Visiting {
        Box::pin(async move {
            if self.mended_by <= build {
                return (Seen::Mended, None);
            }
            if self.panics {
                // Without the panic hook: thousands of seeds would each print a backtrace.
                std::panic::resume_unwind(Box::new(PANIC));
            }
            std::future::pending().await
        })
    }

    pub(super) fn explain(&self, seen: &Seen, at: &str) -> Result<Option<String>, String> {
        if self.mended_by <= NEWEST_BUILD && *seen == Seen::Mended {
            return Ok(None);
        }
        Err(format!("{at}: code went on where it cannot: {seen:?}"))
    }
}
