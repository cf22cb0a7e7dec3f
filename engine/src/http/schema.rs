//! Inputs and answers against JSON Schemas. Messages name the place and never repeat a value.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use valet_core::workflow::InputProblem;

use super::body::segment;

/// Faults listed in one answer.
const FAULTS_MAX: usize = 20;

/// A compiled schema.
pub struct InputSchema(Validator);

impl InputSchema {
    pub fn compile(schema: &Value) -> Result<Self, String> {
        jsonschema::validator_for(schema).map(Self).map_err(|e| e.to_string())
    }

    /// One that came from outside: its patterns take linear time, and it refers to nothing but itself.
    pub fn compile_foreign(schema: &Value) -> Result<Self, String> {
        let options = jsonschema::options().offline().with_pattern_options(PatternOptions::regex());
        options.build(schema).map(Self).map_err(|error| error.masked_with("the value").to_string())
    }

    /// What is wrong with a document; empty: it fits.
    pub fn problems(&self, document: &Value) -> Vec<InputProblem> {
        self.0
            .iter_errors(document)
            .take(FAULTS_MAX)
            .map(|error| InputProblem {
                field: format!("{}{}", error.instance_path(), within(error.kind())),
                message: error.masked_with("the value").to_string(),
            })
            .collect()
    }
}

/// A missing or an unknown property is the place, not the object that should or should not hold it.
fn within(kind: &ValidationErrorKind) -> String {
    match kind {
        ValidationErrorKind::Required { property } => {
            property.as_str().map(|name| format!("/{}", segment(name))).unwrap_or_default()
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unexpected.first().map(|name| format!("/{}", segment(name))).unwrap_or_default()
        }
        _ => String::new(),
    }
}
