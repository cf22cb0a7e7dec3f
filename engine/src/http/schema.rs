//! Inputs and answers against JSON Schemas. Messages name the place and never repeat a value.

use jsonschema::Validator;
use serde_json::Value;
use valet_core::workflow::InputProblem;

/// Faults listed in one answer.
const FAULTS_MAX: usize = 20;

/// A compiled schema.
pub struct InputSchema(Validator);

impl InputSchema {
    pub fn compile(schema: &Value) -> Result<Self, String> {
        jsonschema::validator_for(schema).map(Self).map_err(|e| e.to_string())
    }

    /// What is wrong with a document; empty: it fits.
    pub fn problems(&self, document: &Value) -> Vec<InputProblem> {
        self.0
            .iter_errors(document)
            .take(FAULTS_MAX)
            .map(|error| InputProblem {
                field: error.instance_path().to_string(),
                message: error.masked_with("the value").to_string(),
            })
            .collect()
    }
}
