//! Lists side by side, all awaited.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::Context;

use super::grow::Grow;
use super::{Node, Ran, Seen, Visiting, explain, unexpected, walk};
use crate::outside::facts::Facts;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AllNode {
    branches: Vec<Vec<Node>>,
}

impl AllNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        Self { branches: grow.branches(4) }
    }

    pub(super) fn run(self, ctx: Context, at: String, build: i64) -> Visiting {
        Box::pin(async move {
            let walks =
                (0..).zip(self.branches).map(|(n, nodes): (usize, _)| walk(ctx.clone(), nodes, branch(&at, n), build));
            let branches = ctx.all(walks.collect()).await;
            let halted = first_halt(&branches);
            (Seen::All { branches }, halted)
        })
    }

    pub(super) fn explain(&self, seen: &Seen, at: &str, facts: &Facts<'_>) -> Result<Option<String>, String> {
        let Seen::All { branches } = seen else { return unexpected(at, seen) };
        if branches.len() != self.branches.len() {
            return Err(format!("{at}: {} branches of {} ended", branches.len(), self.branches.len()));
        }
        for (n, (nodes, ran)) in self.branches.iter().zip(branches).enumerate() {
            explain(nodes, ran, &branch(at, n), facts)?;
        }
        Ok(first_halt(branches))
    }
}

fn first_halt(branches: &[Ran]) -> Option<String> {
    branches.iter().find_map(|ran| ran.halted.clone())
}

/// The place of a branch.
pub(super) fn branch(at: &str, n: usize) -> String {
    format!("{at}b{n}")
}
