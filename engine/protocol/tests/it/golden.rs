//! What a golden file says of a message: its exact text, what an older sender may leave out, what a newer one may add.

use std::fmt::Debug;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn read(file: &str) -> Option<Value> {
    let text = std::fs::read_to_string(folder(&format!("{file}.json"))).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}")))
}

/// What happens to fields that the receiver does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// A newer sender may say more.
    Tolerated,
    /// A misspelt field must not be taken for an absent one.
    Refused,
}

/// A golden file with the places of its objects that are structs; other objects are free JSON or name a variant.
pub struct Golden {
    pub file: &'static str,
    pub structs: &'static [&'static str],
    pub unknown: Unknown,
    check: fn(&Golden),
}

impl Golden {
    pub fn of<T>(file: &'static str, structs: &'static [&'static str], unknown: Unknown) -> Self
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        Self { file, structs, unknown, check: check::<T> }
    }

    pub fn check(&self) {
        (self.check)(self);
    }
}

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(golden: &Golden) {
    let file = golden.file;
    let text = read(file).unwrap_or_else(|| panic!("{file} is missing"));
    let message: T = parse(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
    assert_eq!(serde_json::to_value(&message).expect("JSON"), text, "{file} is written as it is read");
    for pointer in golden.structs {
        assert!(text.pointer(pointer).is_some_and(Value::is_object), "{file} has no object at `{pointer}`");
        let mut more = text.clone();
        more.pointer_mut(pointer).expect("an object")["unheard_of"] = json!({ "a": [1] });
        match golden.unknown {
            Unknown::Tolerated => assert_eq!(parse(&more).ok().as_ref(), Some(&message), "{file} `{pointer}`"),
            Unknown::Refused => assert!(parse::<T>(&more).is_err(), "{file} takes an unknown field at `{pointer}`"),
        }
    }
    for (place, renamed) in renamings(&text) {
        let read: Option<T> = parse(&renamed).ok();
        assert!(read.as_ref() != Some(&message), "{file}: {place} may be renamed and nobody notices");
    }
    older(golden, &text, parse::<T>);
}

/// An older message has only what was always there; what is missing takes its default, and nothing needed was added.
fn older<T: Serialize>(golden: &Golden, text: &Value, parse: fn(&Value) -> Result<T, serde_json::Error>) {
    let file = format!("{}.least", golden.file);
    let Some(least) = read(&file) else { return };
    let message = parse(&least).unwrap_or_else(|e| panic!("{file}: an old message does not parse any more: {e}"));
    let written = serde_json::to_value(&message).expect("JSON");
    let known = text.as_object().expect("an object");
    for field in written.as_object().expect("an object").keys() {
        assert!(known.contains_key(field), "{file}: {field} is not in {}", golden.file);
    }
    assert!(says_all_of(&written, &least), "{file}: {written} lost something of {least}");
    // Every field that it does say is needed.
    for field in least.as_object().expect("an object").keys() {
        let mut less = least.clone();
        less.as_object_mut().expect("an object").remove(field);
        assert!(parse(&less).is_err(), "{file}: {field} is not needed, and does not belong here");
    }
}

/// Whether `written` has all that `least` has; it may have defaults besides.
fn says_all_of(written: &Value, least: &Value) -> bool {
    match (written, least) {
        (Value::Object(written), Value::Object(least)) => {
            least.iter().all(|(field, said)| written.get(field).is_some_and(|value| says_all_of(value, said)))
        }
        (Value::Array(written), Value::Array(least)) => {
            written.len() == least.len() && written.iter().zip(least).all(|(one, other)| says_all_of(one, other))
        }
        _ => written == least,
    }
}

fn parse<T: DeserializeOwned>(value: &Value) -> Result<T, serde_json::Error> {
    // Through text: payloads keep the text that they came as.
    serde_json::from_str(&value.to_string())
}

/// The document with one key renamed, for every key at any depth.
fn renamings(value: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let mut renamed = fields.clone();
                renamed.remove(name);
                renamed.insert(format!("{name}x"), inner.clone());
                found.push((format!("/{name}"), Value::Object(renamed)));
                for (place, changed) in renamings(inner) {
                    let mut outer = fields.clone();
                    outer.insert(name.clone(), changed);
                    found.push((format!("/{name}{place}"), Value::Object(outer)));
                }
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                for (place, changed) in renamings(inner) {
                    let mut outer = items.clone();
                    outer[index] = changed;
                    found.push((format!("/{index}{place}"), Value::Array(outer)));
                }
            }
        }
        _ => {}
    }
    found
}

#[test]
fn every_key_at_every_depth_is_renamed_once() {
    let places: Vec<String> =
        renamings(&json!({ "a": { "b": 1 }, "c": [{ "d": 2 }] })).into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, ["/a", "/a/b", "/c", "/c/0/d"]);
}
