//! A child run: its end, as its parent sees it, is the end it came to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::{ChildOptions, Context, Workflow};

use super::grow::Grow;
use super::{Interpreter, NEWEST_BUILD, Node, Program, Ran, Seen, Visiting, unexpected};
use crate::outside::facts::Facts;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ChildNode {
    nodes: Vec<Node>,
    /// Its failure ends the parent's program.
    must: bool,
    /// Two calls share it.
    twice: bool,
    /// It goes on when the parent ends or lets it go.
    abandon: bool,
}

impl ChildNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        let nodes = grow.inner(3);
        Self { nodes, must: grow.dice.chance(0.3), twice: grow.dice.chance(0.2), abandon: grow.dice.chance(0.2) }
    }

    pub(super) fn run(self, ctx: Context, at: String) -> Visiting {
        Box::pin(async move {
            let program = Program::new(at.clone(), self.nodes);
            let mut options = if self.twice { ChildOptions::key(&at) } else { ChildOptions::default() };
            if self.abandon {
                options = options.abandon();
            }
            let calls = if self.twice { 2 } else { 1 };
            let call = |options| ctx.child_with::<_, Ran>(Interpreter::<NEWEST_BUILD>::NAME, &program, options);
            let mut results = ctx.all((0..calls).map(|_| call(options.clone())).collect()).await;
            let same = results.iter().all(|result| *result == results[0]);
            let result = results.swap_remove(0).map_err(|failure| failure.code);
            let result = if same { result } else { Err("calls of one key came to different ends".to_owned()) };
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
