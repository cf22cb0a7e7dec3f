//! `bench`, with its wait and without.

use serde_json::json;
use valet_testing::{TestEngine, contract, scenario};

use crate::bench::{BenchWorkflow, Noop};

fn world() -> TestEngine {
    TestEngine::new().on_step(|noop: Noop, _| Ok(noop.n))
}

contract!(steps_in_a_row: BenchWorkflow, input = json!({ "steps": 4 }), steps = world());

scenario!(
    a_wait_in_the_middle: BenchWorkflow,
    input = json!({ "steps": 3, "park": true }),
    steps = world().on_wait("go", |_| Some("now")),
);
