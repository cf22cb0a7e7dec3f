//! What a JSON Schema from outside may cost: it refers to itself only, in no circle, and is bounded written out.

use std::collections::HashMap;

use serde_json::Value;

use crate::bounds::{DECLARED_SCHEMA_BYTES_MAX, DECLARED_SCHEMA_DEPTH_MAX, DECLARED_SCHEMA_PARTS_MAX};

/// Words that lead elsewhere in ways that are not followed here.
const REFUSED: [&str; 6] = ["$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"];

/// Why the schema is not taken.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    if schema.to_string().len() > DECLARED_SCHEMA_BYTES_MAX {
        return Err(format!("a schema has at most {DECLARED_SCHEMA_BYTES_MAX} bytes"));
    }
    let mut walk = Walk { root: schema, known: HashMap::new(), open: Vec::new() };
    walk.parts(schema).map(drop)
}

struct Walk<'a> {
    root: &'a Value,
    /// Parts of what was referred to before, written out.
    known: HashMap<&'a str, usize>,
    /// References that are being followed.
    open: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    /// Parts of a schema with its references written out. The recursion is bounded by the depth of JSON and of references.
    fn parts(&mut self, schema: &'a Value) -> Result<usize, String> {
        let mut parts = 1_usize;
        match schema {
            Value::Object(fields) => {
                for (name, inner) in fields {
                    if REFUSED.contains(&name.as_str()) && inner.is_string() {
                        return Err(format!("`{name}` is not taken here; use `$ref` to `#/$defs/…`"));
                    }
                    parts = parts.saturating_add(match inner.as_str().filter(|_| name == "$ref") {
                        Some(target) => self.referred(target)?,
                        None => self.parts(inner)?,
                    });
                }
            }
            Value::Array(items) => {
                for item in items {
                    parts = parts.saturating_add(self.parts(item)?);
                }
            }
            _ => {}
        }
        if parts > DECLARED_SCHEMA_PARTS_MAX {
            return Err(format!(
                "a schema has at most {DECLARED_SCHEMA_PARTS_MAX} parts with its references written out"
            ));
        }
        Ok(parts)
    }

    fn referred(&mut self, target: &'a str) -> Result<usize, String> {
        if let Some(parts) = self.known.get(target) {
            return Ok(*parts);
        }
        let place = target.strip_prefix('#').filter(|place| place.starts_with('/'));
        let Some(schema) = place.and_then(|place| self.root.pointer(place)) else {
            return Err("a `$ref` leads to a place of this very schema, such as `#/$defs/address`".to_owned());
        };
        if self.open.contains(&target) || self.open.len() >= DECLARED_SCHEMA_DEPTH_MAX {
            return Err(format!(
                "a `$ref` leads back to itself, or through more than {DECLARED_SCHEMA_DEPTH_MAX} others"
            ));
        }
        self.open.push(target);
        let parts = self.parts(schema);
        self.open.pop();
        let parts = parts?;
        self.known.insert(target, parts);
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ordinary_schemas_are_taken() {
        let address =
            json!({ "type": "object", "properties": { "city": { "type": "string" }, "$ref": { "type": "string" } } });
        let schema = json!({ "$defs": { "address": address }, "properties": {
            "home": { "$ref": "#/$defs/address" }, "work": { "$ref": "#/$defs/address" } } });
        for schema in [schema, json!(true), json!({ "type": "object" })] {
            assert_eq!(check(&schema), Ok(()));
        }
    }

    #[test]
    fn what_would_never_end_is_refused() {
        let mut doubling = serde_json::Map::from_iter([("a0".to_owned(), json!({ "type": "string" }))]);
        for n in 1..30 {
            let before = format!("#/$defs/a{}", n - 1);
            doubling.insert(format!("a{n}"), json!({ "allOf": [{ "$ref": before }, { "$ref": before }] }));
        }
        let chain = (0..100).map(|n| (format!("a{n}"), json!({ "$ref": format!("#/$defs/a{}", n + 1) })));
        let chain: serde_json::Map<_, _> = chain.chain([("a100".to_owned(), json!(true))]).collect();
        let refused = [
            (json!({ "$ref": "#" }), "a place of this very schema"),
            (json!({ "$ref": "https://example.com/a.json" }), "a place of this very schema"),
            (
                json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "not": { "$ref": "#/$defs/a" } } } }),
                "leads back",
            ),
            (json!({ "properties": { "x": { "$ref": "#/properties/x" } } }), "leads back"),
            (json!({ "$defs": doubling, "$ref": "#/$defs/a29" }), "parts"),
            (json!({ "$defs": chain }), "others"),
            (json!({ "$dynamicRef": "#x" }), "`$dynamicRef` is not taken"),
            (json!({ "$id": "https://example.com/a.json" }), "`$id` is not taken"),
            (json!({ "description": "x".repeat(40_000) }), "at most 32768 bytes"),
        ];
        for (schema, word) in refused {
            let told = check(&schema).expect_err(word);
            assert!(told.contains(word), "{told}");
        }
    }
}
