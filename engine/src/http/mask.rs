//! What a viewer sees of what people wrote: what the workflow's schema leaves open, and `•••` for the rest.
//!
//! A schema marks a property with `"x-personal": true`. What no schema speaks of is hidden too: inputs and outputs of steps, outputs of
//! runs, what is said in errors, the contexts of tasks.

use serde_json::{Map, Value};

/// Stands for what is not shown.
pub const HIDDEN: &str = "•••";
/// Of a property that only those see who act with it.
pub const MARK: &str = "x-personal";
/// References of a schema into itself that are followed.
const REFERENCES_MAX: u32 = 32;

/// The document as a viewer sees it.
pub fn shown(document: &Value, schema: &Value) -> Value {
    View { root: schema }.of(document, Some(schema), 0)
}

/// Hidden as a whole; nothing stays nothing.
pub fn hidden(value: &Value) -> Value {
    if value.is_null() { Value::Null } else { Value::String(HIDDEN.to_owned()) }
}

struct View<'a> {
    root: &'a Value,
}

impl<'a> View<'a> {
    fn of(&self, document: &Value, schema: Option<&'a Value>, depth: u32) -> Value {
        let mut schemas = Vec::new();
        if let Some(schema) = schema {
            self.flatten(schema, depth, &mut schemas);
        }
        // One mark of several that apply is enough, and what nothing describes is nobody's business.
        if schemas.iter().any(|schema| schema[MARK] == true) || !schemas.iter().any(|schema| describes(schema)) {
            return hidden(document);
        }
        match document {
            Value::Object(fields) => {
                let see = |name: &String, value: &Value| {
                    let of = schemas.iter().find_map(|schema| schema["properties"].get(name));
                    let other =
                        || schemas.iter().map(|schema| &schema["additionalProperties"]).find(|other| other.is_object());
                    (name.clone(), self.of(value, of.or_else(other), depth + 1))
                };
                Value::Object(fields.iter().map(|(name, value)| see(name, value)).collect::<Map<_, _>>())
            }
            Value::Array(items) => {
                let of = schemas.iter().find_map(|schema| schema.get("items"));
                Value::Array(items.iter().map(|item| self.of(item, of, depth + 1)).collect())
            }
            plain => plain.clone(),
        }
    }

    /// A schema and what it stands for or is put together from.
    fn flatten(&self, schema: &'a Value, depth: u32, into: &mut Vec<&'a Value>) {
        if depth > REFERENCES_MAX {
            return;
        }
        into.push(schema);
        if let Some(at) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'))
            && let Some(target) = self.root.pointer(at)
        {
            self.flatten(target, depth + 1, into);
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            for part in schema[key].as_array().into_iter().flatten() {
                self.flatten(part, depth + 1, into);
            }
        }
    }
}

/// Says what may stand there.
fn describes(schema: &Value) -> bool {
    ["type", "enum", "const"].iter().any(|key| schema.get(key).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "url": { "type": "string" },
                "mode": { "$ref": "#/$defs/Mode" },
                "person": { "$ref": "#/$defs/Person", "x-personal": true },
                "phone": { "anyOf": [{ "type": "string", "x-personal": true }, { "type": "null" }] },
                "answers": { "type": "array", "items": { "type": "object", "properties": {
                    "question": { "type": "string" }, "answer": { "x-personal": true } } } },
                "links": { "type": "object", "additionalProperties": { "type": "string", "x-personal": true } },
                "free": true,
                "tree": { "$ref": "#/$defs/Tree" }
            },
            "$defs": {
                "Mode": { "oneOf": [{ "const": "fast", "type": "string" }] },
                "Person": { "type": "object", "properties": { "name": { "type": "string" } } },
                "Tree": { "type": "object", "properties": { "below": { "$ref": "#/$defs/Tree" }, "x": { "type": "number" } } }
            }
        })
    }

    #[test]
    fn what_is_marked_or_not_described_is_hidden_and_the_rest_is_shown() {
        let document = json!({
            "url": "https://x.example", "mode": "fast", "person": { "name": "Ada" }, "phone": "1", "free": { "a": 1 },
            "answers": [{ "question": "why?", "answer": [1, 2] }], "links": { "github": "x" }, "unknown": 7,
            "tree": { "below": { "x": 1, "y": "secret" } }
        });
        let expected = json!({
            "url": "https://x.example", "mode": "fast", "person": HIDDEN, "phone": HIDDEN, "free": HIDDEN,
            "answers": [{ "question": "why?", "answer": HIDDEN }], "links": { "github": HIDDEN }, "unknown": HIDDEN,
            "tree": { "below": { "x": 1, "y": HIDDEN } }
        });
        assert_eq!(shown(&document, &schema()), expected);
        assert_eq!(shown(&json!({ "phone": null }), &schema()), json!({ "phone": null }), "nothing stays nothing");
    }

    #[test]
    fn a_schema_that_leads_in_circles_ends() {
        let circle =
            json!({ "$ref": "#/$defs/A", "$defs": { "A": { "$ref": "#/$defs/B" }, "B": { "$ref": "#/$defs/A" } } });
        assert_eq!(shown(&json!({ "x": 1 }), &circle), HIDDEN);
    }
}
