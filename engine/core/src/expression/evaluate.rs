//! Tree → value, within a budget.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compile::{Fold, Node};
use super::{Budget, ExpressionError, Value, Variables};

pub(super) struct Scope<'a> {
    variables: &'a Variables,
    /// What macros bind, innermost last.
    bound: Vec<(Arc<str>, Value)>,
    budget: &'a mut Budget,
}

type Evaluated = Result<Value, ExpressionError>;

impl<'a> Scope<'a> {
    pub fn new(variables: &'a Variables, budget: &'a mut Budget) -> Self {
        Self { variables, bound: Vec::new(), budget }
    }

    /// The recursion is bounded: the compiler bounds the tree's depth.
    pub fn value(&mut self, node: &Node) -> Evaluated {
        self.budget.spend(1)?;
        match node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Variable(name) => self.variable(name),
            Node::List(items) => {
                let items = items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?;
                Ok(Value::List(Arc::new(items)))
            }
            Node::Map(fields) => self.map(fields),
            Node::Select { of, field } => match self.value(of)? {
                Value::Map(fields) => fields.get(field).cloned().ok_or_else(|| no_field(field)),
                other => Err(ExpressionError::new(format!("{} has no field `{field}`", other.kind()))),
            },
            Node::Has { of, field } => match self.value(of)? {
                Value::Map(fields) => Ok(Value::Bool(fields.contains_key(field))),
                other => Err(ExpressionError::new(format!("{} has no fields", other.kind()))),
            },
            Node::And(a, b) => {
                let first = self.test(a);
                self.logical(first, b, false).map(Value::Bool)
            }
            Node::Or(a, b) => {
                let first = self.test(a);
                self.logical(first, b, true).map(Value::Bool)
            }
            Node::If { test, then, otherwise } => {
                let way = if self.test(test)? { then } else { otherwise };
                self.value(way)
            }
            Node::Call { function, args } => {
                let args = args.iter().map(|arg| self.value(arg)).collect::<Result<Vec<_>, _>>()?;
                function.call(&args, self.budget)
            }
            Node::Fold { over, variable, fold } => self.fold(over, variable, fold),
        }
    }

    fn variable(&self, name: &str) -> Evaluated {
        let bound = self.bound.iter().rev().find(|(bound, _)| **bound == *name).map(|(_, value)| value);
        let found = bound.or_else(|| self.variables.get(name));
        found.cloned().ok_or_else(|| ExpressionError::new(format!("there is no `{name}` here")))
    }

    fn test(&mut self, node: &Node) -> Result<bool, ExpressionError> {
        match self.value(node)? {
            Value::Bool(is) => Ok(is),
            other => Err(ExpressionError::new(format!("true or false is wanted, and this is {}", other.kind()))),
        }
    }

    /// `deciding` on either side is the answer, whatever became of the other: false for `&&`, true for `||`.
    fn logical(
        &mut self,
        first: Result<bool, ExpressionError>,
        second: &Node,
        deciding: bool,
    ) -> Result<bool, ExpressionError> {
        match first {
            Ok(first) if first == deciding => Ok(deciding),
            Ok(_) => self.test(second),
            Err(error) => match self.test(second)? {
                second if second == deciding => Ok(deciding),
                _ => Err(error),
            },
        }
    }

    fn map(&mut self, fields: &[(Node, Node)]) -> Evaluated {
        let mut map = BTreeMap::new();
        for (name, value) in fields {
            let Value::String(name) = self.value(name)? else {
                return Err(ExpressionError::new("a map's keys are strings, as in JSON"));
            };
            let value = self.value(value)?;
            if map.insert(Arc::clone(&name), value).is_some() {
                return Err(ExpressionError::new("a map has the same key twice"));
            }
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn fold(&mut self, over: &Node, variable: &Arc<str>, fold: &Fold) -> Evaluated {
        let items: Arc<Vec<Value>> = match self.value(over)? {
            Value::List(items) => items,
            Value::Map(fields) => {
                self.budget.spend(fields.len())?;
                Arc::new(fields.keys().map(|name| Value::String(Arc::clone(name))).collect())
            }
            other => {
                let message = format!("a macro goes over a list or a map, and this is {}", other.kind());
                return Err(ExpressionError::new(message));
            }
        };
        self.bound.push((Arc::clone(variable), Value::Null));
        let folded = self.fold_items(&items, fold);
        self.bound.pop();
        folded
    }

    fn fold_items(&mut self, items: &[Value], fold: &Fold) -> Evaluated {
        match fold {
            Fold::All(test) => self.fold_tests(items, test, false),
            Fold::Exists(test) => self.fold_tests(items, test, true),
            Fold::ExistsOne(test) => {
                let mut found = 0_usize;
                for item in items {
                    self.bind(item)?;
                    found += usize::from(self.test(test)?);
                }
                Ok(Value::Bool(found == 1))
            }
            Fold::Collect { when, item: wanted } => {
                let mut collected = Vec::new();
                for item in items {
                    self.bind(item)?;
                    let wants = when.as_deref().map_or(Ok(true), |when| self.test(when))?;
                    if wants {
                        collected.push(self.value(wanted)?);
                    }
                }
                Ok(Value::List(Arc::new(collected)))
            }
        }
    }

    fn fold_tests(&mut self, items: &[Value], test: &Node, deciding: bool) -> Evaluated {
        let mut answer = Ok(!deciding);
        for item in items {
            self.bind(item)?;
            answer = self.logical(answer, test, deciding);
            if answer == Ok(deciding) {
                break;
            }
        }
        answer.map(Value::Bool)
    }

    fn bind(&mut self, item: &Value) -> Result<(), ExpressionError> {
        self.budget.spend(1)?;
        if let Some((_, value)) = self.bound.last_mut() {
            *value = item.clone();
        }
        Ok(())
    }
}

fn no_field(name: &str) -> ExpressionError {
    ExpressionError::new(format!("there is no field `{name}`; ask with has() first"))
}
