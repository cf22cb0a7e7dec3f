//! Code that cannot go on: it panics, or awaits something that nobody will end. The run is stuck until somebody cancels it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::grow::Grow;
use super::{Seen, Visiting};

/// What the panic says.
pub(crate) const PANIC: &str = "the program breaks";

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BreakNode {
    panics: bool,
}

impl BreakNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        Self { panics: grow.dice.chance(0.5) }
    }

    pub(super) fn run(self) -> Visiting {
        Box::pin(async move {
            if self.panics {
                // Without the panic hook: thousands of seeds would each print a backtrace.
                std::panic::resume_unwind(Box::new(PANIC));
            }
            std::future::pending().await
        })
    }

    pub(super) fn explain(seen: &Seen, at: &str) -> Result<Option<String>, String> {
        Err(format!("{at}: code went on where it cannot: {seen:?}"))
    }
}
