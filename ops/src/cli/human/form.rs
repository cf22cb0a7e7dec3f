//! A task's form, read from its JSON Schema, and answers read from words.
//!
//! Only what forms of tasks are made of: an object of texts, choices, numbers and yes-or-no questions. The engine holds
//! every answer against the whole schema; here it is enough to ask well.

use serde_json::{Map, Value};

use crate::cli::style::Style;
use crate::cli::text;

/// The questions in their order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Form {
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub name: String,
    pub title: String,
    /// Such as what the page said about the last answer.
    pub description: Option<String>,
    pub kind: Kind,
    pub required: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Text {
        several_lines: bool,
    },
    /// A password: not shown while it is typed.
    Secret,
    Choice(Vec<Value>),
    Choices(Vec<Value>),
    YesNo,
    Integer,
    Number,
    /// Something that only JSON can say.
    Json,
}

impl Form {
    /// None for a schema that is not a flat object.
    pub(super) fn read(schema: &Value) -> Option<Self> {
        let properties = schema.get("properties")?.as_object().filter(|properties| !properties.is_empty())?;
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut fields: Vec<Field> = properties
            .iter()
            .map(|(name, schema)| Field::read(name, schema, required.contains(&name.as_str())))
            .collect();
        fields.sort_by_cached_key(|field| natural(&field.name));
        Some(Self { fields })
    }

    /// `--set name=value …` as an answer.
    pub(super) fn answer(&self, pairs: &[(String, String)]) -> Result<Map<String, Value>, String> {
        let mut answer = Map::new();
        for (name, text) in pairs {
            let field = self.fields.iter().find(|field| &field.name == name).ok_or_else(|| {
                let known: Vec<&str> = self.fields.iter().map(|field| field.name.as_str()).collect();
                format!("the form has no `{name}`; it has: {}", known.join(", "))
            })?;
            let value = field.value(text).map_err(|why| format!("{name}: {why}"))?;
            if answer.insert(name.clone(), value).is_some() {
                return Err(format!("{name} is set twice"));
            }
        }
        Ok(answer)
    }
}

/// `q2` before `q10`.
fn natural(name: &str) -> (String, u64) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().unwrap_or_default())
}

impl Field {
    fn read(name: &str, schema: &Value, required: bool) -> Self {
        let text = |key: &str| schema.get(key).and_then(Value::as_str).map(text::line).filter(|text| !text.is_empty());
        Self {
            name: name.to_owned(),
            title: text("title").unwrap_or_else(|| text::line(name)),
            description: text("description"),
            kind: Kind::read(schema),
            required,
        }
    }

    /// The question with what may be answered: `Shift? (Day | Night)`.
    pub(super) fn question(&self, style: Style) -> String {
        let shown = |options: &[Value]| options.iter().map(plain).collect::<Vec<_>>().join(" | ");
        let how = match &self.kind {
            Kind::Text { .. } | Kind::Secret => String::new(),
            Kind::Choice(options) => format!(" ({})", shown(options)),
            Kind::Choices(options) => format!(" (any of: {})", shown(options)),
            Kind::YesNo => " (yes or no)".to_owned(),
            Kind::Integer | Kind::Number => " (a number)".to_owned(),
            Kind::Json => " (JSON)".to_owned(),
        };
        let optional = if self.required { "" } else { " (optional)" };
        let why = self.description.as_ref().map(|text| format!(" {}", style.warn(&format!("[{text}]"))));
        format!("{}{how}{optional}{}", self.title, why.unwrap_or_default())
    }

    /// Words as a value of this field's kind. A choice may be named in any case.
    pub(super) fn value(&self, words: &str) -> Result<Value, String> {
        let trimmed = words.trim();
        match &self.kind {
            Kind::Text { .. } | Kind::Secret => Ok(Value::String(words.to_owned())),
            Kind::Choice(options) => chosen(options, trimmed),
            Kind::Choices(options) => {
                let chosen = trimmed.split(',').map(str::trim).filter(|word| !word.is_empty());
                chosen.map(|word| self::chosen(options, word)).collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            Kind::YesNo => match trimmed.to_lowercase().as_str() {
                "y" | "yes" | "true" => Ok(Value::Bool(true)),
                "n" | "no" | "false" => Ok(Value::Bool(false)),
                _ => Err("say yes or no".to_owned()),
            },
            Kind::Integer => trimmed.parse::<i64>().map(Value::from).map_err(|_| "give a whole number".to_owned()),
            Kind::Number => trimmed
                .parse::<f64>()
                .ok()
                .and_then(|number| serde_json::Number::from_f64(number).map(Value::Number))
                .ok_or_else(|| "give a number".to_owned()),
            Kind::Json => serde_json::from_str(trimmed).map_err(|e| format!("give JSON: {e}")),
        }
    }
}

impl Kind {
    fn read(schema: &Value) -> Self {
        let options = |schema: &Value| schema.get("enum").and_then(Value::as_array).filter(|o| !o.is_empty()).cloned();
        if let Some(options) = options(schema) {
            return Self::Choice(options);
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("string") if schema.get("format").is_some_and(|format| format == "password") => Self::Secret,
            Some("string") => {
                let several_lines = schema.get("x-multiline").and_then(Value::as_bool).unwrap_or_default();
                Self::Text { several_lines }
            }
            Some("boolean") => Self::YesNo,
            Some("integer") => Self::Integer,
            Some("number") => Self::Number,
            Some("array") => schema.get("items").and_then(options).map_or(Self::Json, Self::Choices),
            _ => Self::Json,
        }
    }
}

/// By the option's words, exactly or else in any case.
fn chosen(options: &[Value], words: &str) -> Result<Value, String> {
    let exact = options.iter().find(|option| plain(option) == words);
    let alike = || options.iter().find(|option| plain(option).to_lowercase() == words.to_lowercase());
    exact.or_else(alike).cloned().ok_or_else(|| {
        let known: Vec<String> = options.iter().map(plain).collect();
        format!("choose one of: {}", known.join(", "))
    })
}

/// An option as people read it.
pub(super) fn plain(option: &Value) -> String {
    option.as_str().map_or_else(|| option.to_string(), text::line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn form() -> Form {
        Form::read(&json!({
            "type": "object",
            "required": ["q1", "q2"],
            "properties": {
                "q1": { "type": "string", "title": "Why us?", "x-multiline": true, "description": "too short" },
                "q2": { "type": "string", "enum": ["Day", "Night"] },
                "q3": { "type": "boolean" },
                "q4": { "type": "integer" },
                "q5": { "type": "array", "items": { "enum": ["Rust", "Go"] } },
                "q10": { "type": "object" },
            }
        }))
        .unwrap()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn questions_come_in_their_order_with_what_may_be_answered() {
        let questions: Vec<String> = form().fields.iter().map(|field| field.question(Style::default())).collect();
        let expected = [
            "Why us? [too short]",
            "q2 (Day | Night)",
            "q3 (yes or no) (optional)",
            "q4 (a number) (optional)",
            "q5 (any of: Rust | Go) (optional)",
            "q10 (JSON) (optional)",
        ];
        assert_eq!(questions, expected);
    }

    #[test]
    fn words_become_values_of_the_fields_kind() {
        let set =
            [("q1", " as it is "), ("q2", "night"), ("q3", "Yes"), ("q4", "7"), ("q5", "go, Rust"), ("q10", "{}")];
        let expected =
            json!({ "q1": " as it is ", "q2": "Night", "q3": true, "q4": 7, "q5": ["Go", "Rust"], "q10": {} });
        assert_eq!(Value::Object(form().answer(&pairs(&set)).unwrap()), expected);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let refused = |name: &str, value: &str| form().answer(&pairs(&[(name, value)])).unwrap_err();
        assert_eq!(refused("q2", "Noon"), "q2: choose one of: Day, Night");
        assert_eq!(refused("q3", "perhaps"), "q3: say yes or no");
        assert!(refused("q4", "1.5").contains("whole number"));
        assert!(refused("q9", "x").starts_with("the form has no `q9`; it has: q1, q2"));
        let twice = form().answer(&pairs(&[("q1", "a"), ("q1", "b")])).unwrap_err();
        assert_eq!(twice, "q1 is set twice");
    }

    #[test]
    fn a_form_that_is_no_flat_object_is_left_to_json() {
        for schema in [json!({}), json!(true), json!({ "type": "string" }), json!({ "properties": {} })] {
            assert_eq!(Form::read(&schema), None);
        }
    }
}
