//! Questions for a person: what a form requires and nothing known answers, with the schema of an answer. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::field::{Field, InputKind, without_mark};
use super::field_kind::FieldKind;
use super::snapshot::Snapshot;

/// Offered as choices up to this many; beyond, a person types.
const CHOICES_MAX: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionKind {
    Text,
    LongText,
    Number,
    Date,
    YesNo,
    Choice,
    MultiChoice,
    /// Answered by naming a document.
    File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nothing stored answers it.
    NoAnswer,
    /// There is an answer, and none of the options is certainly it.
    NoOption,
    /// The page refused what was written.
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Name an answer by this; see [`super::Answer::question`].
    pub key: String,
    pub label: String,
    pub kind: QuestionKind,
    pub options: Vec<String>,
    pub required: bool,
    /// Hints and messages of the page beside it.
    pub help: String,
    pub reason: Reason,
    pub field: FieldKind,
}

impl Question {
    pub fn about(page: &Snapshot, field: &Field, reason: Reason) -> Self {
        let control = field.first(page);
        let options: Vec<String> = if field.input.is_choice() {
            field.choices().map(|option| option.label.clone()).take(CHOICES_MAX).collect()
        } else {
            Vec::new()
        };
        let kind = match field.input {
            InputKind::LongText => QuestionKind::LongText,
            InputKind::Number => QuestionKind::Number,
            InputKind::Date => QuestionKind::Date,
            InputKind::Checkbox => QuestionKind::YesNo,
            InputKind::File => QuestionKind::File,
            InputKind::Checkboxes | InputKind::MultiSelect => QuestionKind::MultiChoice,
            InputKind::Radio | InputKind::Select if !options.is_empty() => QuestionKind::Choice,
            _ => QuestionKind::Text,
        };
        let help = [control.description.as_str(), field.error.as_str()]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        let label = if field.label.is_empty() { field.key.clone() } else { without_mark(&field.label).to_owned() };
        Self { key: field.key.clone(), label, kind, options, required: true, help, reason, field: field.kind }
    }

    /// JSON Schema of an answer's value.
    pub fn schema(&self) -> Value {
        let mut schema = match self.kind {
            QuestionKind::Text | QuestionKind::LongText => json!({"type": "string", "minLength": 1}),
            QuestionKind::Number => json!({"type": "number"}),
            QuestionKind::Date => json!({"type": "string", "format": "date"}),
            QuestionKind::YesNo => json!({"type": "boolean"}),
            QuestionKind::Choice => json!({"type": "string", "enum": self.options}),
            QuestionKind::MultiChoice => {
                json!({"type": "array", "items": {"type": "string", "enum": self.options}, "minItems": 1, "uniqueItems": true})
            }
            QuestionKind::File => json!({"type": "string", "minLength": 1, "description": "a file's id"}),
        };
        schema["title"] = json!(self.label);
        if !self.help.is_empty() {
            schema["description"] = json!(self.help);
        }
        schema
    }
}

/// JSON Schema of an object that answers all of them, by key.
pub fn schema_of(questions: &[Question]) -> Value {
    let properties: Map<String, Value> =
        questions.iter().map(|question| (question.key.clone(), question.schema())).collect();
    let required: Vec<&str> =
        questions.iter().filter(|question| question.required).map(|question| question.key.as_str()).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}
