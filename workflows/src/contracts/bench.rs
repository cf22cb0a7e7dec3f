//! `bench`, with its wait and without.

use serde_json::json;
use valet_testing::{TestEngine, contract, scenario};

use crate::bench::{BenchInput, BenchWorkflow, Noop};

fn world() -> TestEngine {
    TestEngine::new().on_step(|noop: Noop, _| Ok(noop.n))
}

contract!(steps_in_a_row: BenchWorkflow, input = json!({ "steps": 4 }), steps = world());

scenario!(
    a_wait_in_the_middle: BenchWorkflow,
    input = json!({ "steps": 3, "park": true }),
    steps = world().on_wait("go", |_| Some("now")),
);

scenario!(
    a_crowd_and_children_that_share_a_key: BenchWorkflow,
    input = json!({ "steps": 1, "children": 3, "child_keys": [7, 8, 7] }),
    steps = world().on_child("bench", |_: BenchInput| Ok(1_u32)),
);
