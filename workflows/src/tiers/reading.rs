//! Reading a rule's JSON: every field by its name, every fault with its place and the fix.

use serde_json::{Map, Value};
use valet_core::Timestamp;
use valet_core::workflow::InputProblem;

/// Faults of one rule that are told, at most.
const PROBLEMS_MAX: usize = 50;

/// The fields of a rule that were not read yet, and what was wrong with those that were.
pub(super) struct Fields {
    left: Map<String, Value>,
    problems: Vec<InputProblem>,
    known: Vec<&'static str>,
}

impl Fields {
    pub fn of(value: &Value) -> Self {
        let mut fields = Self { left: Map::new(), problems: Vec::new(), known: Vec::new() };
        match value {
            Value::Object(map) => fields.left.clone_from(map),
            _ => fields.wrong("", "a rule is a JSON object".to_owned()),
        }
        fields
    }

    pub fn wrong(&mut self, field: &str, message: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(InputProblem { field: field.to_owned(), message });
        }
    }

    /// What `read` makes of the field; absent or null: nothing. Otherwise `how` says what it must be.
    pub fn read<T>(&mut self, name: &'static str, how: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        self.known.push(name);
        let value = self.left.remove(name).filter(|value| !value.is_null())?;
        let found = read(&value);
        if found.is_none() {
            self.wrong(&format!("/{name}"), how.to_owned());
        }
        found
    }

    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.read(name, "must be true or false", Value::as_bool)
    }

    pub fn whole(&mut self, name: &'static str, least: u64, most: u64) -> Option<u64> {
        let how = format!("must be a whole number from {least} to {most}");
        self.read(name, &how, |value| value.as_u64().filter(|number| (least..=most).contains(number)))
    }

    pub fn number(&mut self, name: &'static str, least: f64, most: f64) -> Option<f64> {
        let how = format!("must be a number from {least} to {most}");
        self.read(name, &how, |value| value.as_f64().filter(|number| (least..=most).contains(number)))
    }

    pub fn text(&mut self, name: &'static str, chars_max: usize) -> Option<String> {
        let how = format!("must be a text of 1 to {chars_max} characters");
        let fits = |text: &&str| !text.is_empty() && text.chars().count() <= chars_max;
        self.read(name, &how, |value| value.as_str().filter(fits).map(str::to_owned))
    }

    pub fn texts(&mut self, name: &'static str, most: usize) -> Option<Vec<String>> {
        let how = format!("must be a list of 1 to {most} names; leave it out for all");
        let name_of = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        self.read(name, &how, |value| {
            let items = value.as_array().filter(|items| (1..=most).contains(&items.len()))?;
            items.iter().map(name_of).collect()
        })
    }

    pub fn instant(&mut self, name: &'static str) -> Option<Timestamp> {
        self.read(name, "must be an instant such as 2026-11-22T18:00:00Z", |value| value.as_str()?.parse().ok())
    }

    /// A rule, or all that is wrong with it.
    pub fn end<T>(mut self, rule: T) -> Result<T, Vec<InputProblem>> {
        let left: Vec<String> = self.left.keys().cloned().collect();
        let known = self.known.join(", ");
        for name in left {
            let place = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            self.wrong(&place, format!("there is no such field; these are: {known}"));
        }
        if self.problems.is_empty() { Ok(rule) } else { Err(self.problems) }
    }
}
