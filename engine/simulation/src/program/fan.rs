//! Many children of one call: each end, as the parent sees it, is the end that child came to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::journal::ClosePolicy;
use valet_core::{Context, FanOptions, Workflow};

use super::grow::Grow;
use super::{Interpreter, NEWEST_BUILD, Node, Program, Ran, Seen, Visiting, unexpected};
use crate::outside::facts::Facts;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FanNode {
    children: Vec<Vec<Node>>,
    at_once: Option<u32>,
    abandon: bool,
}

impl FanNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        let children = grow.branches(4);
        let at_once = grow.dice.chance(0.4).then(|| grow.dice.between(1, 2) as u32);
        Self { children, at_once, abandon: grow.dice.chance(0.2) }
    }

    pub(super) fn run(self, ctx: Context, at: String) -> Visiting {
        Box::pin(async move {
            let programs: Vec<Program> =
                (0..).zip(self.children).map(|(n, nodes): (usize, _)| Program::new(name(&at, n), nodes)).collect();
            let on_close = if self.abandon { ClosePolicy::Abandon } else { ClosePolicy::Cancel };
            let options = FanOptions { at_once: self.at_once, on_close };
            let workflow = Interpreter::<NEWEST_BUILD>::NAME;
            let results = match ctx.children::<_, Ran>(workflow, &programs, options) {
                Ok(children) => children.all().await,
                Err(failure) => vec![Err(failure)],
            };
            let results = results.into_iter().map(|result| result.map_err(|failure| failure.code)).collect();
            (Seen::Fan { results }, None)
        })
    }

    pub(super) fn explain(&self, seen: &Seen, at: &str, facts: &Facts<'_>) -> Result<Option<String>, String> {
        let Seen::Fan { results } = seen else { return unexpected(at, seen) };
        if results.len() != self.children.len() {
            return Err(format!("{at}: {} children of {} ended", results.len(), self.children.len()));
        }
        for (n, result) in results.iter().enumerate() {
            facts.child_ended_so(&name(at, n), result)?;
        }
        Ok(None)
    }
}

fn name(at: &str, n: usize) -> String {
    format!("{at}f{n}")
}
