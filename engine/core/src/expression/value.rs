//! The values of expressions: those of JSON, with CEL's kinds of numbers. Cloning shares.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Budget, ExpressionError};

#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// JSON's whole numbers beyond an `int`, and literals such as `3u`.
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    List(Arc<Vec<Value>>),
    /// Kept in order, so that every replay walks it the same way.
    Map(Arc<BTreeMap<Arc<str>, Value>>),
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(is) => Self::Bool(is),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Self::Int(int),
                (None, Some(uint)) => Self::Uint(uint),
                (None, None) => Self::Double(number.as_f64().unwrap_or(f64::MAX)),
            },
            serde_json::Value::String(text) => Self::String(text.into()),
            serde_json::Value::Array(items) => Self::List(Arc::new(items.into_iter().map(Self::from).collect())),
            serde_json::Value::Object(fields) => Self::map(fields.into_iter().map(|(name, v)| (name, Self::from(v)))),
        }
    }
}

impl Value {
    pub fn text(text: &str) -> Self {
        Self::String(text.into())
    }

    pub fn map<N: Into<Arc<str>>>(fields: impl IntoIterator<Item = (N, Self)>) -> Self {
        Self::Map(Arc::new(fields.into_iter().map(|(name, value)| (name.into(), value)).collect()))
    }

    /// The word for its kind, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an int",
            Self::Uint(_) => "a uint",
            Self::Double(_) => "a double",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// What is shared here is written out there, so that this is paid for too.
    pub(super) fn into_json(self, budget: &mut Budget) -> Result<serde_json::Value, ExpressionError> {
        budget.spend(1)?;
        Ok(match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(is) => is.into(),
            Self::Int(int) => int.into(),
            Self::Uint(uint) => uint.into(),
            Self::Double(double) => {
                let number = serde_json::Number::from_f64(double);
                number.ok_or_else(|| ExpressionError::new("a number is beyond all bounds"))?.into()
            }
            Self::String(text) => {
                budget.spend_bytes(text.len())?;
                text.as_ref().into()
            }
            Self::List(items) => serde_json::Value::Array(
                items.iter().map(|item| item.clone().into_json(budget)).collect::<Result<_, _>>()?,
            ),
            Self::Map(fields) => {
                let mut object = serde_json::Map::new();
                for (name, value) in fields.iter() {
                    budget.spend_bytes(name.len())?;
                    object.insert(name.as_ref().to_owned(), value.clone().into_json(budget)?);
                }
                serde_json::Value::Object(object)
            }
        })
    }

    /// CEL's equality: numbers of all kinds by their value, what is of different kinds is not equal.
    pub(super) fn equals(&self, other: &Self, budget: &mut Budget) -> Result<bool, ExpressionError> {
        budget.spend(1)?;
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::String(a), Self::String(b)) => {
                budget.spend_bytes(a.len().min(b.len()))?;
                a == b
            }
            (Self::List(a), Self::List(b)) if a.len() == b.len() => {
                for (a, b) in a.iter().zip(b.iter()) {
                    if !a.equals(b, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Map(a), Self::Map(b)) if a.len() == b.len() => {
                for ((name, a), (other, b)) in a.iter().zip(b.iter()) {
                    budget.spend_bytes(name.len())?;
                    if name != other || !a.equals(b, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (a, b) => compare_numbers(a, b) == Some(Ordering::Equal),
        })
    }

    /// The order of numbers, strings and booleans; nothing else has one.
    pub(super) fn order(&self, other: &Self, budget: &mut Budget) -> Result<Ordering, ExpressionError> {
        let order = match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::String(a), Self::String(b)) => {
                budget.spend_bytes(a.len().min(b.len()))?;
                Some(a.cmp(b))
            }
            (a, b) => compare_numbers(a, b),
        };
        let message = || format!("{} and {} have no order", self.kind(), other.kind());
        order.ok_or_else(|| ExpressionError::new(message()))
    }
}

fn compare_numbers(a: &Value, b: &Value) -> Option<Ordering> {
    let whole = |value: &Value| match value {
        Value::Int(int) => Some(i128::from(*int)),
        Value::Uint(uint) => Some(i128::from(*uint)),
        _ => None,
    };
    let double = |value: &Value| match value {
        Value::Double(double) => Some(*double),
        other => whole(other).map(|whole| whole as f64),
    };
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => double(a)?.partial_cmp(&double(b)?),
    }
}
