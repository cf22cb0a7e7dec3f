//! Expressions in CEL, the Common Expression Language, over JSON.
//!
//! The crate `cel` parses and expands the standard macros. What they mean is settled here, because what decides a run's
//! way must be bounded and the same on every replay: that crate's interpreter walks maps in a random order, has no bound
//! on its work or its memory, and quotes values in its errors. Values are those of JSON. There are no regular
//! expressions, and no clock.

mod compile;
mod evaluate;
mod functions;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use compile::Node;
use evaluate::Scope;
pub use value::Value;

/// What an expression may name, with its value.
pub type Variables = BTreeMap<&'static str, Value>;

/// A checked expression.
#[derive(Clone, Debug)]
pub struct Expression {
    node: Node,
    uses: BTreeSet<Use>,
}

/// A variable that an expression reads, and the field of it that is named right there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub variable: String,
    pub field: Option<String>,
}

/// Why a text is no expression, or what it came to is nothing to go on with. Repeats no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpressionError {
    Failed(String),
    /// The budget is spent, and stays so: the other side of `||` or `&&` does not make this one good.
    Exhausted,
}

impl ExpressionError {
    fn new(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) => f.write_str(message),
            Self::Exhausted => f.write_str("the expression takes too much work: look at less, or do it in a step"),
        }
    }
}

impl std::error::Error for ExpressionError {}

/// Work that expressions may still do: each part that is evaluated is one step, and so are eight bytes that are copied.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    steps: u64,
}

impl Budget {
    pub fn new(steps: u64) -> Self {
        Self { steps }
    }

    fn spend(&mut self, steps: usize) -> Result<(), ExpressionError> {
        let left = self.steps.checked_sub(steps as u64);
        self.steps = left.unwrap_or(0);
        left.map(|_| ()).ok_or(ExpressionError::Exhausted)
    }

    fn spend_bytes(&mut self, bytes: usize) -> Result<(), ExpressionError> {
        self.spend(1 + bytes / 8)
    }
}

impl Expression {
    /// Reads `text`, which may name `variables` and nothing else.
    pub fn compile(text: &str, variables: &[&str]) -> Result<Self, ExpressionError> {
        let (node, uses) = compile::compile(text, variables)?;
        Ok(Self { node, uses })
    }

    /// What the expression reads.
    pub fn uses(&self) -> &BTreeSet<Use> {
        &self.uses
    }

    /// The value as JSON.
    pub fn value(&self, variables: &Variables, budget: &mut Budget) -> Result<serde_json::Value, ExpressionError> {
        Scope::new(variables, budget).value(&self.node)?.into_json(budget)
    }

    /// The answer of an expression that is a condition.
    pub fn test(&self, variables: &Variables, budget: &mut Budget) -> Result<bool, ExpressionError> {
        match Scope::new(variables, budget).value(&self.node)? {
            Value::Bool(answer) => Ok(answer),
            other => Err(ExpressionError::new(format!("a condition is true or false, and this is {}", other.kind()))),
        }
    }
}
