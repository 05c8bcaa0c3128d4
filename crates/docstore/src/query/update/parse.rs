//! Reading of update operators.

use std::collections::BTreeSet;

use bson::{Bson, Document};

use super::arithmetic::BitOperator;
use super::modifier::{Modifier, PullCondition};
use super::push::Push;
use super::tree::{ArrayFilters, Node, ObjectNode, filter_identifier};
use crate::error::{CommandError, CommandResult, code};
use crate::query::QueryContext;
use crate::query::filter::Filter;
use crate::query::value::ValueRef;

fn bad<T>(message: impl Into<String>) -> CommandResult<T> {
    Err(CommandError::bad_value(message))
}

const OPERATORS: [&str; 15] = [
    "$set",
    "$unset",
    "$inc",
    "$mul",
    "$min",
    "$max",
    "$rename",
    "$setOnInsert",
    "$currentDate",
    "$bit",
    "$push",
    "$addToSet",
    "$pop",
    "$pull",
    "$pullAll",
];

/// Reads `{ $operator: { path: argument, ... }, ... }`.
pub(super) fn operators(
    update: &Document,
    filters: &ArrayFilters,
    context: &QueryContext,
) -> CommandResult<ObjectNode> {
    let mut root = ObjectNode::default();
    let mut used = BTreeSet::new();
    for (operator, fields) in update {
        if !OPERATORS.contains(&operator.as_str()) {
            return Err(CommandError::failed_to_parse(format!(
                "Unknown modifier: {operator}. Expected a valid update modifier or pipeline-style update specified as an array"
            )));
        }
        let Bson::Document(fields) = fields else {
            return Err(CommandError::failed_to_parse(format!(
                "Modifiers operate on fields but we found type {} instead. For example: {{$mod: {{<field>: ...}}}} not {{{operator}: {fields}}}",
                ValueRef::from(fields).type_name()
            )));
        };
        if fields.is_empty() {
            return Err(CommandError::failed_to_parse(format!(
                "'{operator}' is empty. You must specify a field like so: {{{operator}: {{<field>: ...}}}}"
            )));
        }
        for (path, argument) in fields {
            if operator == "$rename" {
                rename(&mut root, path, argument, filters, &mut used)?;
                continue;
            }
            let parts = parse_path(path, filters, &mut used)?;
            let modifier = modifier(operator, path, argument, context)?;
            root.insert(&parts, Node::Leaf(Box::new(modifier)))?;
        }
    }
    if let Some(identifier) = filters.identifiers().find(|identifier| !used.contains(*identifier)) {
        return Err(CommandError::failed_to_parse(format!(
            "The array filter for identifier '{identifier}' was not used in the update {update}"
        )));
    }
    Ok(root)
}

/// Splits and checks a path.
fn parse_path<'p>(path: &'p str, filters: &ArrayFilters, used: &mut BTreeSet<String>) -> CommandResult<Vec<&'p str>> {
    if path.is_empty() {
        return Err(CommandError::new(code::EMPTY_FIELD_NAME, "An empty update path is not valid."));
    }
    let parts: Vec<&str> = path.split('.').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(CommandError::new(
            code::EMPTY_FIELD_NAME,
            format!("The update path '{path}' contains an empty field name, which is not allowed."),
        ));
    }
    if parts[0] == "$" {
        return bad(format!("Cannot have positional (i.e. '$') element in the first position in path '{path}'"));
    }
    if parts.iter().filter(|part| **part == "$").count() > 1 {
        return bad(format!("Too many positional (i.e. '$') elements found in path '{path}'"));
    }
    for (position, part) in parts.iter().enumerate() {
        if let Some(identifier) = filter_identifier(part) {
            if position == 0 {
                return bad(format!(
                    "Cannot have array filter identifier (i.e. '$[<id>]') element in the first position in path '{path}'"
                ));
            }
            if !identifier.is_empty() {
                if !filters.contains(identifier) {
                    return bad(format!("No array filter found for identifier '{identifier}' in path '{path}'"));
                }
                used.insert(identifier.to_owned());
            }
        } else if part.starts_with('$') && *part != "$" && !super::is_reference_name(part) {
            return Err(CommandError::new(
                code::DOLLAR_PREFIXED_FIELD_NAME,
                format!(
                    "The dollar ($) prefixed field '{part}' in '{path}' is not allowed in the context of an update's replacement document. Consider using an aggregation pipeline with $replaceWith."
                ),
            ));
        }
    }
    Ok(parts)
}

fn rename(
    root: &mut ObjectNode,
    source: &str,
    target: &Bson,
    filters: &ArrayFilters,
    used: &mut BTreeSet<String>,
) -> CommandResult<()> {
    let Bson::String(target) = target else {
        return bad(format!("The 'to' field for $rename must be a string: {source}: {target}"));
    };
    if target.contains('\0') {
        return bad("The 'to' field for $rename cannot contain an embedded null byte");
    }
    let is_dynamic = |path: &str| path.split('.').any(|part| part == "$" || filter_identifier(part).is_some());
    let source_parts = parse_path(source, filters, used)?;
    let target_parts = parse_path(target, filters, used)?;
    // A conflict with another operator is reported before what is wrong with this one.
    root.insert(&source_parts, Node::Reserved)?;
    if source == target {
        return bad(format!("The source and target field for $rename must differ: {source}: \"{target}\""));
    }
    let within = |inner: &[&str], outer: &[&str]| inner.len() > outer.len() && inner.starts_with(outer);
    if within(&source_parts, &target_parts) || within(&target_parts, &source_parts) {
        return bad(format!(
            "The source and target field for $rename must not be on the same path: {source}: \"{target}\""
        ));
    }
    if is_dynamic(source) {
        return bad(format!("The source field for $rename may not be dynamic: {source}"));
    }
    if is_dynamic(target) {
        return bad(format!("The destination field for $rename may not be dynamic: {target}"));
    }
    let parts = source_parts.iter().map(|part| (*part).to_owned()).collect();
    root.insert(&target_parts, Node::Leaf(Box::new(Modifier::Rename(parts))))
}

fn modifier(operator: &str, path: &str, argument: &Bson, context: &QueryContext) -> CommandResult<Modifier> {
    Ok(match operator {
        "$set" => Modifier::Set(argument.clone()),
        "$setOnInsert" => Modifier::SetOnInsert(argument.clone()),
        "$unset" => Modifier::Unset,
        "$inc" => Modifier::Increment(number("increment", path, argument)?),
        "$mul" => Modifier::Multiply(number("multiply", path, argument)?),
        "$min" => Modifier::Minimum(argument.clone()),
        "$max" => Modifier::Maximum(argument.clone()),
        "$currentDate" => current_date(argument)?,
        "$bit" => bit(argument)?,
        "$push" => Modifier::Push(Push::parse(argument)?),
        "$addToSet" => add_to_set(argument)?,
        "$pop" => pop(argument)?,
        "$pull" => Modifier::Pull(pull(argument, context)?),
        _ => match argument {
            Bson::Array(values) => Modifier::PullAll(values.clone()),
            other => {
                return bad(format!(
                    "$pullAll requires an array argument but was given a {}",
                    ValueRef::from(other).type_name()
                ));
            }
        },
    })
}

fn number(verb: &str, path: &str, argument: &Bson) -> CommandResult<Bson> {
    if ValueRef::from(argument).is_number() {
        return Ok(argument.clone());
    }
    Err(CommandError::type_mismatch(format!("Cannot {verb} with non-numeric argument: {{{path}: {argument}}}")))
}

fn current_date(argument: &Bson) -> CommandResult<Modifier> {
    match argument {
        Bson::Boolean(_) => Ok(Modifier::CurrentDate),
        Bson::Document(options) => {
            if let Some(name) = options.keys().find(|name| *name != "$type") {
                return bad(format!("Unrecognized $currentDate option: {name}"));
            }
            match options.get_str("$type") {
                Ok("date") => Ok(Modifier::CurrentDate),
                Ok("timestamp") => Ok(Modifier::CurrentTimestamp),
                _ => bad(
                    "The '$type' string field is required to be 'date' or 'timestamp': {$currentDate: {field : {$type: 'date'}}}",
                ),
            }
        }
        other => bad(format!(
            "{} is not valid type for $currentDate. Please use a boolean ('true') or a $type expression ({{$type: 'timestamp/date'}}).",
            ValueRef::from(other).type_name()
        )),
    }
}

fn bit(argument: &Bson) -> CommandResult<Modifier> {
    let Bson::Document(steps) = argument else {
        return bad(format!(
            "The $bit modifier is not compatible with a {}. You must pass in an embedded document: {{$bit: {{field: {{and/or/xor: #}}}}",
            ValueRef::from(argument).type_name()
        ));
    };
    let mut parsed = Vec::with_capacity(steps.len());
    for (name, operand) in steps {
        let operator = match name.as_str() {
            "and" => BitOperator::And,
            "or" => BitOperator::Or,
            "xor" => BitOperator::Xor,
            _ => {
                return bad(format!(
                    "The $bit modifier only supports 'and', 'or', and 'xor', not '{name}' which is an unknown operator: {{{name}: {operand}}}"
                ));
            }
        };
        if !matches!(operand, Bson::Int32(_) | Bson::Int64(_)) {
            return bad(format!(
                "The $bit modifier field must be an Integer(32/64 bit); a '{}' is not supported here: {{{name}: {operand}}}",
                ValueRef::from(operand).type_name()
            ));
        }
        parsed.push((operator, operand.clone()));
    }
    if parsed.is_empty() {
        return bad("You must pass in at least one bitwise operation. The format is: {$bit: {field: {and/or/xor: #}}");
    }
    Ok(Modifier::Bit(parsed))
}

fn add_to_set(argument: &Bson) -> CommandResult<Modifier> {
    let Bson::Document(clauses) = argument else {
        return Ok(Modifier::AddToSet(vec![argument.clone()]));
    };
    let mut names = clauses.iter();
    match names.next() {
        Some((name, each)) if name == "$each" => {
            let Bson::Array(values) = each else {
                return Err(CommandError::type_mismatch(format!(
                    "The argument to $each in $addToSet must be an array but it was of type {}",
                    ValueRef::from(each).type_name()
                )));
            };
            if names.next().is_some() {
                return bad(format!("Found unexpected fields after $each in $addToSet: {argument}"));
            }
            Ok(Modifier::AddToSet(values.clone()))
        }
        _ => Ok(Modifier::AddToSet(vec![argument.clone()])),
    }
}

fn pop(argument: &Bson) -> CommandResult<Modifier> {
    let number = ValueRef::from(argument);
    if !number.is_number() {
        return Err(CommandError::failed_to_parse(format!("Expected a number in: $pop: {argument}")));
    }
    match number.as_exact_i64() {
        Some(1) => Ok(Modifier::Pop { first: false }),
        Some(-1) => Ok(Modifier::Pop { first: true }),
        Some(other) => Err(CommandError::failed_to_parse(format!("$pop expects 1 or -1, found: {other}"))),
        None => Err(CommandError::failed_to_parse(format!("Expected an integer: $pop: {argument}"))),
    }
}

/// Operators that test a value, as opposed to fields and logical operators. MongoDB does not take `$eq` and `$not` here.
const VALUE_OPERATORS: [&str; 25] = [
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$exists",
    "$type",
    "$mod",
    "$size",
    "$all",
    "$elemMatch",
    "$regex",
    "$options",
    "$bitsAllSet",
    "$bitsAllClear",
    "$bitsAnySet",
    "$bitsAnyClear",
    "$geoWithin",
    "$within",
    "$geoIntersects",
    "$near",
    "$nearSphere",
    "$geoNear",
];

fn pull(argument: &Bson, context: &QueryContext) -> CommandResult<PullCondition> {
    match argument {
        Bson::Document(condition) => {
            let on_value = condition.keys().next().is_some_and(|name| VALUE_OPERATORS.contains(&name.as_str()));
            if on_value {
                Ok(PullCondition::Value(Filter::parse_condition("", argument, context)?))
            } else {
                Ok(PullCondition::Document(Filter::parse_inner(condition, context)?))
            }
        }
        Bson::RegularExpression(_) => Ok(PullCondition::Value(Filter::parse_condition("", argument, context)?)),
        other => Ok(PullCondition::Equal(other.clone())),
    }
}
