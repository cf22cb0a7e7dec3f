//! JSON with expressions in it: inputs of tasks, and of runs that events start.

use serde_json::{Map, Value};

use super::check::Faults;
use crate::expression::{Budget, Expression, ExpressionError, Variables};

/// The key of an object that stands for what an expression comes to.
const MARK: &str = "$cel";

#[derive(Clone, Debug)]
pub enum Template {
    Plain(Value),
    Expression(Expression),
    List(Vec<Template>),
    Object(Vec<(String, Template)>),
}

impl Template {
    /// Reads what is written at `place`. The recursion is bounded by the depth that a JSON parser allows.
    pub fn read(value: &Value, place: &str, variables: &[&str], faults: &mut Faults) -> Self {
        match value {
            Value::Object(fields) if fields.contains_key(MARK) => Self::expression(fields, place, variables, faults),
            Value::Object(fields) => Self::Object(
                fields
                    .iter()
                    .map(|(name, value)| {
                        (name.clone(), Self::read(value, &faults.below(place, name), variables, faults))
                    })
                    .collect(),
            ),
            Value::Array(items) => Self::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| Self::read(item, &format!("{place}/{index}"), variables, faults))
                    .collect(),
            ),
            plain => Self::Plain(plain.clone()),
        }
    }

    fn expression(fields: &Map<String, Value>, place: &str, variables: &[&str], faults: &mut Faults) -> Self {
        let text = fields.get(MARK).and_then(Value::as_str).filter(|_| fields.len() == 1);
        let Some(text) = text else {
            faults.add(place, "an object with `$cel` has nothing else, and a string there: {\"$cel\": \"input.url\"}");
            return Self::Plain(Value::Null);
        };
        let compiled = faults.expression(&format!("{place}/{MARK}"), text, variables);
        compiled.map_or(Self::Plain(Value::Null), Self::Expression)
    }

    pub fn expressions<'a>(&'a self, found: &mut Vec<&'a Expression>) {
        match self {
            Self::Plain(_) => {}
            Self::Expression(expression) => found.push(expression),
            Self::List(items) => items.iter().for_each(|item| item.expressions(found)),
            Self::Object(fields) => fields.iter().for_each(|(_, value)| value.expressions(found)),
        }
    }

    /// Filled in. An error names the place within the template.
    pub fn fill(
        &self,
        variables: &Variables,
        budget: &mut Budget,
        place: &str,
    ) -> Result<Value, (String, ExpressionError)> {
        match self {
            Self::Plain(value) => Ok(value.clone()),
            Self::Expression(expression) => {
                expression.value(variables, budget).map_err(|error| (place.to_owned(), error))
            }
            Self::List(items) => {
                let fill = |(index, item): (usize, &Self)| item.fill(variables, budget, &format!("{place}/{index}"));
                items.iter().enumerate().map(fill).collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Object(fields) => {
                let mut object = Map::new();
                for (name, value) in fields {
                    object.insert(name.clone(), value.fill(variables, budget, &format!("{place}/{name}"))?);
                }
                Ok(Value::Object(object))
            }
        }
    }
}
