//! Operations that answer at once: log, status, random, id.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::Context;

use super::grow::Grow;
use super::{Seen, Visiting, unexpected};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NoteNode {
    status: bool,
    emits: bool,
    /// What a database's text cannot hold.
    nul: bool,
}

impl NoteNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        Self { status: grow.dice.chance(0.5), emits: grow.dice.chance(0.3), nul: grow.dice.chance(0.1) }
    }

    pub(super) fn run(self, ctx: Context, at: String) -> Visiting {
        Box::pin(async move {
            if self.emits {
                ctx.emit("note.made", &at);
            }
            if self.status {
                ctx.set_status(if self.nul { format!("{at}\0") } else { at });
            } else {
                ctx.log(format!("{at} {}", ctx.id()));
            }
            (Seen::Note { random: ctx.random() }, None)
        })
    }

    pub(super) fn explain(seen: &Seen, at: &str) -> Result<Option<String>, String> {
        let Seen::Note { .. } = seen else { return unexpected(at, seen) };
        Ok(None)
    }
}
