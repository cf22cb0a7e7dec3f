//! Search attributes of a run: what lists are filtered by. Never personal, hence short and flat.

use serde_json::{Map, Value};

use crate::bounds::{ATTRIBUTE_BYTES_MAX, ATTRIBUTES_MAX, NAME_BYTES_MAX};
use crate::workflow::InputProblem;

/// What is wrong with `attributes`, which stand at the JSON pointer `at`. Code may take one off with `null`.
pub fn problems(at: &str, attributes: &Map<String, Value>) -> Vec<InputProblem> {
    let mut problems = Vec::new();
    if attributes.len() > ATTRIBUTES_MAX {
        problems.push(too_many(at));
    }
    let bad = attributes.iter().filter(|(name, value)| !fits(name, value));
    problems.extend(bad.map(|(name, _)| {
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        let shown = shown.replace('~', "~0").replace('/', "~1");
        let message = format!(
            "must be a string of at most {ATTRIBUTE_BYTES_MAX} bytes without NUL, a number or a boolean, with a name of \
             at most {NAME_BYTES_MAX} bytes"
        );
        InputProblem { field: format!("{at}/{shown}"), message }
    }));
    problems
}

pub(crate) fn too_many(at: &str) -> InputProblem {
    InputProblem { field: at.to_owned(), message: format!("at most {ATTRIBUTES_MAX} attributes") }
}

fn fits(name: &str, value: &Value) -> bool {
    let value_fits = match value {
        Value::String(text) => text.len() <= ATTRIBUTE_BYTES_MAX && !text.contains('\0'),
        Value::Number(_) | Value::Bool(_) => true,
        _ => false,
    };
    name.len() <= NAME_BYTES_MAX && !name.contains('\0') && value_fits
}
