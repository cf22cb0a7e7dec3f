//! A child run: its end, as its parent sees it, is the end it came to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::{Context, Workflow};

use super::grow::Grow;
use super::{Interpreter, NEWEST_BUILD, Node, Program, Ran, Seen, Visiting, unexpected};
use crate::outside::facts::Facts;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ChildNode {
    nodes: Vec<Node>,
    /// Its failure ends the parent's program.
    must: bool,
}

impl ChildNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        Self { nodes: grow.inner(3), must: grow.dice.chance(0.3) }
    }

    pub(super) fn run(self, ctx: Context, at: String) -> Visiting {
        Box::pin(async move {
            let program = Program { name: at.clone(), nodes: self.nodes };
            let result =
                ctx.child::<_, Ran>(Interpreter::<NEWEST_BUILD>::NAME, &program).await.map_err(|failure| failure.code);
            let halted = (self.must && result.is_err()).then_some(at);
            (Seen::Child { result }, halted)
        })
    }

    pub(super) fn explain(&self, seen: &Seen, at: &str, facts: &Facts<'_>) -> Result<Option<String>, String> {
        let Seen::Child { result } = seen else { return unexpected(at, seen) };
        facts.child_ended_so(at, result)?;
        Ok((self.must && result.is_err()).then(|| at.to_owned()))
    }
}
