//! A vendor's contract, and whether a request or an answer keeps it.
//!
//! A contract is JSON: `sources` says where facts are from, each of `operations` has `method`, `path`, the schemas of `query`, `headers` and
//! `body` (`json` or `multipart`), and `answers` by status. Schemas may point to `$defs`. Each property names its source (`x-source`).

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use jsonschema::Validator;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::form::Form;

/// Who broke the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub side: Side,
    /// The operation's name, or method and path where there is none.
    pub operation: String,
    pub what: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    #[error("the contract is not valid: {0}")]
    Shape(#[from] serde_json::Error),
    #[error("a schema of `{operation}` is not valid: {detail}")]
    Schema { operation: String, detail: String },
    #[error("{place} has no source, or one that is not among `sources`")]
    Source { place: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[expect(dead_code, reason = "for people")]
    vendor: String,
    #[expect(dead_code, reason = "for people")]
    base: String,
    sources: BTreeMap<String, String>,
    #[serde(rename = "$defs", default)]
    defs: Map<String, Value>,
    operations: Vec<OperationShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationShape {
    name: String,
    method: String,
    path: String,
    source: String,
    #[serde(default)]
    query: Option<Value>,
    #[serde(default)]
    headers: Option<Value>,
    #[serde(default)]
    json: Option<Value>,
    #[serde(default)]
    multipart: Option<Value>,
    /// `null`: no body, or one of any kind.
    answers: BTreeMap<String, Option<Value>>,
}

pub struct Contract {
    operations: Vec<Operation>,
    violations: Mutex<Vec<Violation>>,
}

struct Operation {
    name: String,
    method: String,
    /// `{…}` stands for any one part.
    path: Vec<String>,
    query: Option<Validator>,
    headers: Option<Validator>,
    json: Option<Validator>,
    multipart: Option<Validator>,
    answers: BTreeMap<String, Option<Validator>>,
}

impl Contract {
    pub fn read(text: &str) -> Result<Self, ContractError> {
        let document: Document = serde_json::from_str(text)?;
        for (name, schema) in &document.defs {
            sourced(schema, &document.sources, name)?;
        }
        let operations = document.operations.iter().map(|shape| Operation::of(shape, &document));
        Ok(Self { operations: operations.collect::<Result<_, _>>()?, violations: Mutex::default() })
    }

    pub fn violations(&self) -> Vec<Violation> {
        self.violations.lock().clone()
    }

    fn broken(&self, side: Side, operation: &str, what: String) {
        self.violations.lock().push(Violation { side, operation: operation.to_owned(), what });
    }

    fn operation(&self, method: &Method, path: &str) -> Option<&Operation> {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |known: &[String]| {
            known.len() == parts.len()
                && known
                    .iter()
                    .zip(&parts)
                    .all(|(known, part)| known == part || (known.starts_with('{') && !part.is_empty()))
        };
        let mut found = self.operations.iter().filter(|known| known.method == method.as_str() && fits(&known.path));
        // Of two the one with fewer blanks: `/browser/{verb}` is also `/browser/start`.
        let first = found.next()?;
        let blanks = |known: &Operation| known.path.iter().filter(|part| part.starts_with('{')).count();
        Some(found.fold(first, |best, next| if blanks(next) < blanks(best) { next } else { best }))
    }

    pub async fn request(
        &self,
        method: &Method,
        target: (&str, &[(String, String)]),
        headers: &HeaderMap,
        body: &Bytes,
    ) {
        let (path, query) = target;
        let Some(operation) = self.operation(method, path) else {
            return self.broken(
                Side::Client,
                &format!("{method} {path}"),
                "the contract has no such operation".to_owned(),
            );
        };
        let check = |validator: Option<&Validator>, what: &str, value: &Value| match validator {
            Some(validator) => {
                for error in validator.iter_errors(value) {
                    self.broken(Side::Client, &operation.name, format!("{what}{}: {error}", error.instance_path()));
                }
            }
            None if value.as_object().is_some_and(|object| !object.is_empty()) => {
                self.broken(Side::Client, &operation.name, format!("the contract has no {what}"));
            }
            None => {}
        };
        check(operation.query.as_ref(), "query", &pairs(query));
        if let Some(wanted) = &operation.headers {
            let seen =
                headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap_or_default())));
            check(Some(wanted), "headers", &Value::Object(seen.collect()));
        }
        if let Some(wanted) = &operation.multipart {
            match Form::read(headers, body.clone()).await {
                Ok(form) => check(Some(wanted), "body", &form.as_json()),
                Err(why) => self.broken(Side::Client, &operation.name, format!("the body is no multipart form: {why}")),
            }
        } else if operation.json.is_some() || !body.is_empty() {
            match serde_json::from_slice(body) {
                Ok(value) => check(operation.json.as_ref(), "body", &value),
                Err(why) => self.broken(Side::Client, &operation.name, format!("the body is no JSON: {why}")),
            }
        }
    }

    pub fn answer(&self, method: &Method, path: &str, status: StatusCode, body: &Bytes) {
        let Some(operation) = self.operation(method, path) else { return };
        match operation.answers.get(status.as_str()) {
            None => self.broken(Side::Server, &operation.name, format!("the contract has no answer {status}")),
            Some(None) => {}
            Some(Some(validator)) => match serde_json::from_slice::<Value>(body) {
                Ok(value) => {
                    for error in validator.iter_errors(&value) {
                        let what = format!("{status} at {}: {error}", error.instance_path());
                        self.broken(Side::Server, &operation.name, what);
                    }
                }
                Err(why) => self.broken(Side::Server, &operation.name, format!("{status} is no JSON: {why}")),
            },
        }
    }
}

fn pairs(query: &[(String, String)]) -> Value {
    Value::Object(query.iter().map(|(name, value)| (name.clone(), json!(value))).collect())
}

impl Operation {
    fn of(shape: &OperationShape, document: &Document) -> Result<Self, ContractError> {
        if !document.sources.contains_key(&shape.source) {
            return Err(ContractError::Source { place: shape.name.clone() });
        }
        let compile = |schema: &Value| {
            sourced(schema, &document.sources, &shape.name)?;
            let mut whole = schema.clone();
            if let Value::Object(object) = &mut whole {
                object.insert("$defs".to_owned(), Value::Object(document.defs.clone()));
            }
            let compiled = jsonschema::options().offline().build(&whole);
            compiled.map_err(|e| ContractError::Schema { operation: shape.name.clone(), detail: e.to_string() })
        };
        let optional = |schema: &Option<Value>| schema.as_ref().map(compile).transpose();
        let answers = shape.answers.iter().map(|(status, schema)| Ok((status.clone(), optional(schema)?)));
        Ok(Self {
            name: shape.name.clone(),
            method: shape.method.clone(),
            path: shape.path.split('/').map(ToOwned::to_owned).collect(),
            query: optional(&shape.query)?,
            headers: optional(&shape.headers)?,
            json: optional(&shape.json)?,
            multipart: optional(&shape.multipart)?,
            answers: answers.collect::<Result<_, ContractError>>()?,
        })
    }
}

/// Each property says where it is known from.
fn sourced(schema: &Value, sources: &BTreeMap<String, String>, place: &str) -> Result<(), ContractError> {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                let named = matches!(key.as_str(), "properties" | "patternProperties");
                for (name, property) in value.as_object().filter(|_| named).into_iter().flatten() {
                    let place = format!("{place}: {name}");
                    let source = property.get("x-source").and_then(Value::as_str);
                    if !source.is_some_and(|source| sources.contains_key(source)) {
                        return Err(ContractError::Source { place });
                    }
                }
                sourced(value, sources, place)?;
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(|item| sourced(item, sources, place)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = r##"{
        "vendor": "v", "base": "https://v.example", "sources": { "docs": "https://docs.example" },
        "$defs": { "thing": { "type": "object", "required": ["id"], "properties": { "id": { "type": "integer", "x-source": "docs" } } } },
        "operations": [
            { "name": "get", "method": "GET", "path": "/things/{id}", "source": "docs", "answers": { "200": { "$ref": "#/$defs/thing" } } },
            { "name": "make", "method": "POST", "path": "/things", "source": "docs",
              "headers": { "required": ["x-key"], "properties": { "x-key": { "type": "string", "x-source": "docs" } } },
              "json": { "additionalProperties": false, "properties": { "name": { "type": "string", "x-source": "docs" } } },
              "answers": { "200": { "$ref": "#/$defs/thing" }, "404": null } }
        ]
    }"##;

    async fn request(contract: &Contract, method: Method, path: &str, key: bool, body: &str) -> usize {
        let mut headers = HeaderMap::new();
        if key {
            headers.insert("x-key", "k".parse().unwrap());
        }
        let before = contract.violations().len();
        contract.request(&method, (path, &[]), &headers, &Bytes::copy_from_slice(body.as_bytes())).await;
        contract.violations().len() - before
    }

    #[tokio::test]
    async fn each_side_is_held_to_it() {
        let contract = Contract::read(CONTRACT).expect("a contract");
        assert_eq!(request(&contract, Method::GET, "/things/7", false, "").await, 0);
        assert_eq!(request(&contract, Method::POST, "/things", true, r#"{"name":"n"}"#).await, 0);
        assert_eq!(contract.violations(), []);
        assert_eq!(request(&contract, Method::POST, "/things", false, r#"{"name":"n"}"#).await, 1, "no key");
        assert_eq!(request(&contract, Method::POST, "/things", true, r#"{"nome":"n"}"#).await, 1, "another field");
        assert_eq!(request(&contract, Method::POST, "/things", true, "name=n").await, 1, "no JSON");
        assert_eq!(request(&contract, Method::DELETE, "/things/7", false, "").await, 1, "no such operation");
        assert!(contract.violations().iter().all(|violation| violation.side == Side::Client));

        let contract = Contract::read(CONTRACT).expect("a contract");
        let answer = |status: u16, body: &'static str| {
            contract.answer(
                &Method::POST,
                "/things",
                StatusCode::from_u16(status).unwrap(),
                &Bytes::from_static(body.as_bytes()),
            );
            contract.violations().len()
        };
        assert_eq!((answer(200, r#"{"id":7}"#), answer(404, "")), (0, 0));
        assert_eq!((answer(200, r#"{"id":"7"}"#), answer(200, "{"), answer(500, "")), (1, 2, 3));
        assert!(contract.violations().iter().all(|violation| violation.side == Side::Server));
    }

    #[test]
    fn a_field_without_a_source_is_no_contract() {
        let without = CONTRACT.replace(r#""type": "integer", "x-source": "docs""#, r#""type": "integer""#);
        assert!(matches!(Contract::read(&without), Err(ContractError::Source { .. })));
        let unknown = CONTRACT.replace(r#""type": "integer", "x-source": "docs""#, r#""x-source": "hearsay""#);
        assert!(matches!(Contract::read(&unknown), Err(ContractError::Source { .. })));
    }

    #[test]
    fn every_contract_reads() {
        for (vendor, text) in crate::CONTRACTS {
            Contract::read(text).unwrap_or_else(|error| panic!("{vendor}: {error}"));
        }
    }
}
