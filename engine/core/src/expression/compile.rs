//! Text → tree. All that can be said before there are values is said here.

use std::collections::BTreeSet;
use std::sync::Arc;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, SelectExpr, operators,
};
use cel::parser::PrattParser;

use super::functions::Function;
use super::{ExpressionError, Use, Value};
use crate::bounds::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX};

/// Parts of one expression that the parser makes at most, macros written out.
const NODES_MAX: usize = 10_000;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Literal(Value),
    Variable(Arc<str>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Select {
        of: Box<Node>,
        field: Arc<str>,
    },
    /// Whether the field is there.
    Has {
        of: Box<Node>,
        field: Arc<str>,
    },
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    If {
        test: Box<Node>,
        then: Box<Node>,
        otherwise: Box<Node>,
    },
    Call {
        function: Function,
        args: Vec<Node>,
    },
    Fold {
        over: Box<Node>,
        variable: Arc<str>,
        fold: Fold,
    },
}

/// A macro over a list, or over the keys of a map.
#[derive(Clone, Debug)]
pub(super) enum Fold {
    All(Box<Node>),
    Exists(Box<Node>),
    ExistsOne(Box<Node>),
    /// `map` and `filter`.
    Collect {
        when: Option<Box<Node>>,
        item: Box<Node>,
    },
}

pub(super) fn compile(text: &str, variables: &[&str]) -> Result<(Node, BTreeSet<Use>), ExpressionError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let message = format!("an expression has at most {EXPRESSION_BYTES_MAX} bytes: do this in a step");
        return Err(ExpressionError::new(message));
    }
    let parser = PrattParser::new()
        .max_recursion_depth(EXPRESSION_DEPTH_MAX as u16)
        .error_reporting_limit(1)
        .max_expression_node_count(NODES_MAX);
    let parsed = parser.parse(text).map_err(|errors| {
        let first = errors.errors.first();
        let told = first.map(|e| format!("line {}, column {}: {}", e.pos.0, e.pos.1, e.msg));
        ExpressionError::new(format!("this is no CEL: {}", told.unwrap_or_else(|| "it cannot be read".to_owned())))
    })?;
    let mut compiler = Compiler { variables, bound: Vec::new(), uses: BTreeSet::new(), depth: 0 };
    let node = compiler.node(&parsed)?;
    Ok((node, compiler.uses))
}

struct Compiler<'a> {
    variables: &'a [&'a str],
    /// Names that macros bind, innermost last.
    bound: Vec<Arc<str>>,
    uses: BTreeSet<Use>,
    depth: usize,
}

impl Compiler<'_> {
    fn node(&mut self, expr: &IdedExpr) -> Result<Node, ExpressionError> {
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH_MAX {
            let message = format!("an expression is nested at most {EXPRESSION_DEPTH_MAX} deep: do this in a step");
            return Err(ExpressionError::new(message));
        }
        let node = self.inner(expr);
        self.depth -= 1;
        node
    }

    fn inner(&mut self, expr: &IdedExpr) -> Result<Node, ExpressionError> {
        Ok(match &expr.expr {
            Expr::Literal(literal) => Node::Literal(read_literal(literal)?),
            Expr::Ident(name) => self.variable(name, None)?,
            Expr::List(list) => Node::List(self.nodes(&list.elements)?),
            Expr::Map(map) => self.map(map)?,
            Expr::Select(select) => self.select(select)?,
            Expr::Call(call) => self.call(call)?,
            Expr::Comprehension(comprehension) => self.fold(comprehension)?,
            Expr::Struct(_) | Expr::Unspecified => {
                return Err(ExpressionError::new("there are no messages here: write a map"));
            }
        })
    }

    fn nodes(&mut self, all: &[IdedExpr]) -> Result<Vec<Node>, ExpressionError> {
        all.iter().map(|expr| self.node(expr)).collect()
    }

    fn boxed(&mut self, expr: &IdedExpr) -> Result<Box<Node>, ExpressionError> {
        self.node(expr).map(Box::new)
    }

    fn variable(&mut self, name: &str, field: Option<&str>) -> Result<Node, ExpressionError> {
        if !self.bound.iter().any(|bound| **bound == *name) {
            if !self.variables.contains(&name) {
                let message = format!("there is no variable `{name}`; there are: {}", self.variables.join(", "));
                return Err(ExpressionError::new(message));
            }
            self.uses.insert(Use { variable: name.to_owned(), field: field.map(ToOwned::to_owned) });
        }
        Ok(Node::Variable(name.into()))
    }

    /// What a field is taken from: of a variable it is noted which.
    fn operand(&mut self, of: &IdedExpr, field: Option<&str>) -> Result<Box<Node>, ExpressionError> {
        match &of.expr {
            Expr::Ident(name) => self.variable(name, field).map(Box::new),
            _ => self.boxed(of),
        }
    }

    fn select(&mut self, select: &SelectExpr) -> Result<Node, ExpressionError> {
        let of = self.operand(&select.operand, Some(&select.field))?;
        let field = select.field.as_str().into();
        Ok(if select.test { Node::Has { of, field } } else { Node::Select { of, field } })
    }

    fn map(&mut self, map: &MapExpr) -> Result<Node, ExpressionError> {
        let mut fields = Vec::new();
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                return Err(ExpressionError::new("there are no messages here: write a map"));
            };
            fields.push((self.node(&entry.key)?, self.node(&entry.value)?));
        }
        Ok(Node::Map(fields))
    }

    fn call(&mut self, call: &CallExpr) -> Result<Node, ExpressionError> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, [a, b]) => Ok(Node::And(self.boxed(a)?, self.boxed(b)?)),
            (operators::LOGICAL_OR, [a, b]) => Ok(Node::Or(self.boxed(a)?, self.boxed(b)?)),
            (operators::CONDITIONAL, [test, then, otherwise]) => {
                Ok(Node::If { test: self.boxed(test)?, then: self.boxed(then)?, otherwise: self.boxed(otherwise)? })
            }
            (operators::INDEX, [of, index]) => {
                let field = match &index.expr {
                    Expr::Literal(LiteralValue::String(name)) => Some(name.inner()),
                    _ => None,
                };
                let of = *self.operand(of, field)?;
                Ok(Node::Call { function: Function::Index, args: vec![of, self.node(index)?] })
            }
            (name, args) => {
                let count = args.len() + usize::from(call.target.is_some());
                let function = Function::find(name, call.target.is_some(), count)?;
                let mut all = Vec::with_capacity(count);
                if let Some(target) = &call.target {
                    all.push(self.node(target)?);
                }
                all.extend(self.nodes(args)?);
                Ok(Node::Call { function, args: all })
            }
        }
    }

    /// The macros are told apart by the step that they expand to.
    fn fold(&mut self, comprehension: &ComprehensionExpr) -> Result<Node, ExpressionError> {
        let over = self.boxed(&comprehension.iter_range)?;
        let variable: Arc<str> = comprehension.iter_var.as_str().into();
        self.bound.push(Arc::clone(&variable));
        let fold = self.fold_step(&comprehension.loop_step)?;
        self.bound.pop();
        Ok(Node::Fold { over, variable, fold })
    }

    fn fold_step(&mut self, step: &IdedExpr) -> Result<Fold, ExpressionError> {
        let unknown = || ExpressionError::new("there are the macros has, all, exists, exists_one, map and filter");
        let Expr::Call(call) = &step.expr else { return Err(unknown()) };
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, [_, test]) => Ok(Fold::All(self.boxed(test)?)),
            (operators::LOGICAL_OR, [_, test]) => Ok(Fold::Exists(self.boxed(test)?)),
            (operators::ADD, [_, added]) => {
                Ok(Fold::Collect { when: None, item: self.boxed(added_item(added).ok_or_else(unknown)?)? })
            }
            (operators::CONDITIONAL, [when, then, _]) => {
                let Expr::Call(add) = &then.expr else { return Err(unknown()) };
                let added = add.args.get(1).ok_or_else(unknown)?;
                let when = self.boxed(when)?;
                match added_item(added) {
                    Some(item) => Ok(Fold::Collect { when: Some(when), item: self.boxed(item)? }),
                    None => Ok(Fold::ExistsOne(when)),
                }
            }
            _ => Err(unknown()),
        }
    }
}

/// The one item of the list that `map` and `filter` add.
fn added_item(added: &IdedExpr) -> Option<&IdedExpr> {
    match &added.expr {
        Expr::List(list) => list.elements.first(),
        _ => None,
    }
}

fn read_literal(literal: &LiteralValue) -> Result<Value, ExpressionError> {
    Ok(match literal {
        LiteralValue::Boolean(is) => Value::Bool(*is.inner()),
        LiteralValue::Double(double) => Value::Double(*double.inner()),
        LiteralValue::Int(int) => Value::Int(*int.inner()),
        LiteralValue::Null => Value::Null,
        LiteralValue::String(text) => Value::text(text.inner()),
        LiteralValue::UInt(uint) => Value::Uint(*uint.inner()),
        LiteralValue::Bytes(_) => return Err(ExpressionError::new("there are no bytes in JSON: write a string")),
    })
}
