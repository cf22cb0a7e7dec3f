//! Lists side by side, the first to end wins, the others are dropped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::Context;

use super::all::branch;
use super::grow::Grow;
use super::{Node, Seen, Visiting, explain, unexpected, walk};
use crate::outside::facts::Facts;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RaceNode {
    branches: Vec<Vec<Node>>,
}

impl RaceNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        Self { branches: grow.branches(3) }
    }

    pub(super) fn run(self, ctx: Context, at: String, build: i64) -> Visiting {
        Box::pin(async move {
            let walks =
                (0..).zip(self.branches).map(|(n, nodes): (usize, _)| walk(ctx.clone(), nodes, branch(&at, n), build));
            let (winner, inner) = ctx.race(walks.collect()).await;
            let halted = inner.halted.clone();
            (Seen::Race { winner, inner }, halted)
        })
    }

    pub(super) fn explain(&self, seen: &Seen, at: &str, facts: &Facts<'_>) -> Result<Option<String>, String> {
        let Seen::Race { winner, inner } = seen else { return unexpected(at, seen) };
        let Some(nodes) = self.branches.get(*winner) else { return Err(format!("{at}: nobody won the race")) };
        explain(nodes, inner, &branch(at, *winner), facts)?;
        Ok(inner.halted.clone())
    }
}
