//! Comparison and boolean operators. A missing value compares as undefined: below null.

use std::cmp::Ordering;

use bson::Bson;

use super::operator::Operator;
use super::{Node, Scope, Value, some};
use crate::error::CommandResult;
use crate::query::collation::Collation;
use crate::query::value::{self, ValueRef};

pub(super) fn compare_values(left: &Value, right: &Value, collation: Option<&Collation>) -> Ordering {
    let as_ref = |value: &Value| -> Option<()> { value.as_ref().map(|_| ()) };
    match (left, right) {
        (Some(left), Some(right)) => value::compare(left, right, collation),
        _ if as_ref(left).is_none() && as_ref(right).is_none() => Ordering::Equal,
        (None, Some(right)) => value::compare(&Bson::Undefined, right, collation),
        (left, _) => value::compare(left.as_ref().unwrap_or(&Bson::Undefined), &Bson::Undefined, collation),
    }
}

fn order(values: &[Value], scope: &Scope<'_>) -> Ordering {
    compare_values(&values[0], &values[1], scope.collation)
}

pub(super) fn cmp(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    some(order(values, scope) as i32)
}

pub(super) fn eq(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    some(order(values, scope).is_eq())
}

pub(super) fn ne(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    some(order(values, scope).is_ne())
}

pub(super) fn gt(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    some(order(values, scope).is_gt())
}

pub(super) fn gte(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    some(order(values, scope).is_ge())
}

pub(super) fn lt(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    some(order(values, scope).is_lt())
}

pub(super) fn lte(values: &[Value], scope: &Scope<'_>) -> CommandResult<Value> {
    some(order(values, scope).is_le())
}

fn is_true(value: &Value) -> bool {
    value.as_ref().is_some_and(|value| ValueRef::from(value).is_truthy())
}

pub(super) fn not(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    some(!is_true(&values[0]))
}

pub(super) fn and(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    for node in nodes {
        if !node.is_true(scope)? {
            return some(false);
        }
    }
    some(true)
}

pub(super) fn or(nodes: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
    for node in nodes {
        if node.is_true(scope)? {
            return some(true);
        }
    }
    some(false)
}

/// `$and` and `$or` with some constant arguments: one that decides leaves nothing to compute, others go away.
pub(super) fn optimize_logical(
    operator: &'static Operator,
    arguments: Vec<Node>,
    _: Option<&Collation>,
) -> CommandResult<Node> {
    let deciding = operator.name == "$or";
    let mut rest = Vec::with_capacity(arguments.len());
    for argument in arguments {
        match &argument {
            Node::Constant(value) if is_true(value) == deciding => return Ok(Node::Constant(Some(deciding.into()))),
            Node::Constant(_) => {}
            Node::Call { operator: inner, .. } if std::ptr::eq(*inner, operator) => {
                if let Node::Call { arguments, .. } = argument {
                    rest.extend(arguments);
                }
            }
            _ => rest.push(argument),
        }
    }
    Ok(Node::Call { operator, arguments: rest })
}
