//! A registered clean-up around other operations, run early or left to the end of the run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::Context;

use super::grow::Grow;
use super::work::{Clean, CleanHome};
use super::{Fate, Node, Seen, Visiting, explain, unexpected, walk};
use crate::outside::facts::Facts;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct GuardNode {
    nodes: Vec<Node>,
    /// Cleans up right after, if nothing halted before.
    early: bool,
    fate: Fate,
    /// What is cleaned up lies on one host.
    bound: bool,
    /// Only if the run does not succeed.
    undo: bool,
}

impl GuardNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        let fate = match grow.dice.between(0, 9) {
            0..=6 => Fate::Good,
            7 => Fate::BlockFirst(grow.dice.between(1, 2) as u32),
            _ => Fate::FailFirst(grow.dice.between(1, 3) as u32),
        };
        let nodes = grow.inner(3);
        let (early, bound, undo) = (grow.dice.chance(0.5), grow.dice.chance(0.3), grow.dice.chance(0.25));
        Self { nodes, early, fate, bound, undo }
    }

    pub(super) fn run(self, ctx: Context, at: String, build: i64) -> Visiting {
        Box::pin(async move {
            let (place, fate) = (at.clone(), self.fate);
            let cleanup = match (self.bound, self.undo) {
                (true, false) => ctx.finally(CleanHome { at: place, fate }),
                (true, true) => ctx.compensate(CleanHome { at: place, fate }),
                (false, false) => ctx.finally(Clean { at: place, fate }),
                (false, true) => ctx.compensate(Clean { at: place, fate }),
            };
            let inner = walk(ctx.clone(), self.nodes, at, build).await;
            let halted = inner.halted.clone();
            let early = if self.early && halted.is_none() { Some(cleanup.now().await.is_ok()) } else { None };
            (Seen::Guard { inner, early }, halted)
        })
    }

    pub(super) fn explain(&self, seen: &Seen, at: &str, facts: &Facts<'_>) -> Result<Option<String>, String> {
        let Seen::Guard { inner, early } = seen else { return unexpected(at, seen) };
        explain(&self.nodes, inner, at, facts)?;
        if early.is_some() != (self.early && inner.halted.is_none()) {
            return Err(format!("{at}: a clean-up was or was not run early"));
        }
        match early {
            Some(true) => facts.cleaned(at)?,
            // Given up with its host.
            Some(false) if self.bound => {}
            Some(false) => return Err(format!("{at}: an early clean-up failed, though none is ever said to")),
            None => {}
        }
        Ok(inner.halted.clone())
    }
}
