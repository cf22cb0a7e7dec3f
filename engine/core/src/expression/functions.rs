//! Operators and functions.

use std::cmp::Ordering;
use std::sync::Arc;

use cel::common::ast::operators;

use super::{Budget, ExpressionError, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Not,
    Negate,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Index,
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Int,
    Double,
    String,
}

/// Name, arguments with the receiver, whether it may be called on a receiver.
const FUNCTIONS: [(&str, usize, bool, Function); 22] = [
    (operators::LOGICAL_NOT, 1, false, Function::Not),
    (operators::NEGATE, 1, false, Function::Negate),
    (operators::ADD, 2, false, Function::Add),
    (operators::SUBSTRACT, 2, false, Function::Subtract),
    (operators::MULTIPLY, 2, false, Function::Multiply),
    (operators::DIVIDE, 2, false, Function::Divide),
    (operators::MODULO, 2, false, Function::Remainder),
    (operators::EQUALS, 2, false, Function::Equal),
    (operators::NOT_EQUALS, 2, false, Function::NotEqual),
    (operators::LESS, 2, false, Function::Less),
    (operators::LESS_EQUALS, 2, false, Function::LessOrEqual),
    (operators::GREATER, 2, false, Function::Greater),
    (operators::GREATER_EQUALS, 2, false, Function::GreaterOrEqual),
    (operators::IN, 2, false, Function::In),
    (operators::INDEX, 2, false, Function::Index),
    ("size", 1, true, Function::Size),
    ("contains", 2, true, Function::Contains),
    ("startsWith", 2, true, Function::StartsWith),
    ("endsWith", 2, true, Function::EndsWith),
    ("int", 1, false, Function::Int),
    ("double", 1, false, Function::Double),
    ("string", 1, false, Function::String),
];

type Evaluated = Result<Value, ExpressionError>;

impl Function {
    pub fn find(name: &str, on_receiver: bool, count: usize) -> Result<Self, ExpressionError> {
        let found = FUNCTIONS.iter().find(|(known, ..)| *known == name);
        let Some((_, wanted, receives, function)) = found else {
            let known: Vec<&str> = FUNCTIONS.iter().map(|(name, ..)| *name).filter(|name| is_word(name)).collect();
            let message = format!("there is no function `{name}`; there are: {}", known.join(", "));
            return Err(ExpressionError::new(message));
        };
        // `size(x)` and `x.size()` are the same; `contains(x, y)` is not CEL.
        let fits = if on_receiver { *receives } else { !*receives || *function == Self::Size };
        if !fits || count != *wanted {
            let shape = if *receives { format!("text.{name}(…)") } else { format!("{name}(…)") };
            let message = format!("`{name}` is called as {shape} and takes {wanted} in all, not {count}");
            return Err(ExpressionError::new(message));
        }
        Ok(*function)
    }

    pub fn call(self, args: &[Value], budget: &mut Budget) -> Evaluated {
        match args {
            [of] => self.of_one(of, budget),
            [a, b] => self.of_two(a, b, budget),
            _ => Err(ExpressionError::new("a function of one or two")),
        }
    }

    fn of_one(self, of: &Value, budget: &mut Budget) -> Evaluated {
        match (self, of) {
            (Self::Not, Value::Bool(is)) => Ok(Value::Bool(!is)),
            (Self::Negate, Value::Int(int)) => int.checked_neg().map(Value::Int).ok_or_else(overflow),
            (Self::Negate, Value::Double(double)) => Ok(Value::Double(-double)),
            (Self::Size, of) => size(of, budget),
            (Self::Int, of) => to_int(of),
            (Self::Double, of) => to_double(of),
            (Self::String, of) => to_text(of, budget),
            (_, of) => Err(ExpressionError::new(format!("{} cannot be negated", of.kind()))),
        }
    }

    fn of_two(self, a: &Value, b: &Value, budget: &mut Budget) -> Evaluated {
        let is = |is: bool| Ok(Value::Bool(is));
        match self {
            Self::Equal => is(a.equals(b, budget)?),
            Self::NotEqual => is(!a.equals(b, budget)?),
            Self::Less => is(a.order(b, budget)? == Ordering::Less),
            Self::LessOrEqual => is(a.order(b, budget)? != Ordering::Greater),
            Self::Greater => is(a.order(b, budget)? == Ordering::Greater),
            Self::GreaterOrEqual => is(a.order(b, budget)? != Ordering::Less),
            Self::In => is_in(a, b, budget),
            Self::Index => index(a, b),
            Self::Contains | Self::StartsWith | Self::EndsWith => self.of_texts(a, b, budget),
            Self::Add => add(a, b, budget),
            _ => self.arithmetic(a, b),
        }
    }

    fn of_texts(self, a: &Value, b: &Value, budget: &mut Budget) -> Evaluated {
        let (Value::String(text), Value::String(part)) = (a, b) else {
            let message = format!("texts are wanted, and these are {} and {}", a.kind(), b.kind());
            return Err(ExpressionError::new(message));
        };
        budget.spend_bytes(text.len())?;
        Ok(Value::Bool(match self {
            Self::StartsWith => text.starts_with(part.as_ref()),
            Self::EndsWith => text.ends_with(part.as_ref()),
            _ => text.contains(part.as_ref()),
        }))
    }

    fn arithmetic(self, a: &Value, b: &Value) -> Evaluated {
        match (a, b) {
            (Value::Int(a), Value::Int(b)) => {
                let whole = match self {
                    Self::Subtract => a.checked_sub(*b),
                    Self::Multiply => a.checked_mul(*b),
                    Self::Divide | Self::Remainder if *b == 0 => {
                        return Err(ExpressionError::new("a division by zero"));
                    }
                    Self::Divide => a.checked_div(*b),
                    _ => a.checked_rem(*b),
                };
                whole.map(Value::Int).ok_or_else(overflow)
            }
            (Value::Double(a), Value::Double(b)) if self != Self::Remainder => Ok(Value::Double(match self {
                Self::Subtract => a - b,
                Self::Multiply => a * b,
                _ => a / b,
            })),
            _ => Err(mixed(a, b)),
        }
    }
}

fn is_word(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn overflow() -> ExpressionError {
    ExpressionError::new("the result is too large for an int")
}

fn mixed(a: &Value, b: &Value) -> ExpressionError {
    let message =
        format!("there is no such operation of {} and {}; int(…), double(…) and string(…) convert", a.kind(), b.kind());
    ExpressionError::new(message)
}

fn add(a: &Value, b: &Value, budget: &mut Budget) -> Evaluated {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.checked_add(*b).map(Value::Int).ok_or_else(overflow),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
        (Value::String(a), Value::String(b)) => {
            budget.spend_bytes(a.len() + b.len())?;
            Ok(Value::String(format!("{a}{b}").into()))
        }
        (Value::List(a), Value::List(b)) => {
            budget.spend(a.len() + b.len())?;
            Ok(Value::List(Arc::new(a.iter().chain(b.iter()).cloned().collect())))
        }
        _ => Err(mixed(a, b)),
    }
}

fn is_in(item: &Value, all: &Value, budget: &mut Budget) -> Evaluated {
    match (item, all) {
        (item, Value::List(items)) => {
            for other in items.iter() {
                if item.equals(other, budget)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        (Value::String(name), Value::Map(fields)) => Ok(Value::Bool(fields.contains_key(name))),
        (_, Value::Map(_)) => Ok(Value::Bool(false)),
        (_, other) => Err(ExpressionError::new(format!("`in` wants a list or a map, and this is {}", other.kind()))),
    }
}

fn index(of: &Value, at: &Value) -> Evaluated {
    match (of, at) {
        (Value::List(items), Value::Int(at)) => {
            let item = usize::try_from(*at).ok().and_then(|at| items.get(at));
            item.cloned()
                .ok_or_else(|| ExpressionError::new(format!("the list has {} items, and no [{at}]", items.len())))
        }
        (Value::Map(fields), Value::String(name)) => {
            // The name may be a value.
            fields
                .get(name)
                .cloned()
                .ok_or_else(|| ExpressionError::new("the map has no such key; ask with `in` first"))
        }
        (of, at) => Err(ExpressionError::new(format!("{} has no index that is {}", of.kind(), at.kind()))),
    }
}

fn size(of: &Value, budget: &mut Budget) -> Evaluated {
    let size = match of {
        Value::String(text) => {
            budget.spend_bytes(text.len())?;
            text.chars().count()
        }
        Value::List(items) => items.len(),
        Value::Map(fields) => fields.len(),
        other => return Err(ExpressionError::new(format!("{} has no size", other.kind()))),
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

fn to_int(of: &Value) -> Evaluated {
    let int = match of {
        Value::Int(int) => Some(*int),
        Value::Uint(uint) => i64::try_from(*uint).ok(),
        // What is cut off is what CEL cuts off.
        Value::Double(double) if double.abs() < 9.2e18 => Some(*double as i64),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    int.map(Value::Int).ok_or_else(|| ExpressionError::new(format!("{} that is no int", of.kind())))
}

fn to_double(of: &Value) -> Evaluated {
    let double = match of {
        Value::Int(int) => Some(*int as f64),
        Value::Uint(uint) => Some(*uint as f64),
        Value::Double(double) => Some(*double),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    double.map(Value::Double).ok_or_else(|| ExpressionError::new(format!("{} that is no double", of.kind())))
}

fn to_text(of: &Value, budget: &mut Budget) -> Evaluated {
    budget.spend(1)?;
    Ok(match of {
        Value::String(text) => Value::String(Arc::clone(text)),
        Value::Bool(is) => Value::text(&is.to_string()),
        Value::Int(int) => Value::text(&int.to_string()),
        Value::Uint(uint) => Value::text(&uint.to_string()),
        Value::Double(double) => Value::text(&double.to_string()),
        other => return Err(ExpressionError::new(format!("{} has no text", other.kind()))),
    })
}
