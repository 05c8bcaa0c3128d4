//! What each update operator does at its path.

use bson::{Bson, Document};

use super::arithmetic::{self, BitOperator};
use super::push::Push;
use super::tree::{existing_depth, find, find_mut};
use super::{DEPTH_MAX, is_reference_name};
use crate::error::{CommandError, CommandResult, code};
use crate::query::QueryContext;
use crate::query::filter::Filter;
use crate::query::path::array_index;
use crate::query::value::{DocumentRef, ValueRef, compare, identical};

/// Nulls an assignment beyond the end of an array may add.
const PADDING_MAX: usize = 1_500_000;
/// `CannotBackfillArray`.
const CANNOT_BACKFILL_ARRAY: i32 = 15_891;

/// What an update is applied under.
#[derive(Debug, Clone, Copy)]
pub(super) struct Environment<'u> {
    pub(super) context: &'u QueryContext,
    /// The document is being inserted by an upsert.
    pub(super) insert: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Modifier {
    Set(Bson),
    SetOnInsert(Bson),
    Unset,
    Increment(Bson),
    Multiply(Bson),
    Minimum(Bson),
    Maximum(Bson),
    CurrentDate,
    CurrentTimestamp,
    Bit(Vec<(BitOperator, Bson)>),
    Push(Push),
    AddToSet(Vec<Bson>),
    Pop {
        first: bool,
    },
    Pull(PullCondition),
    PullAll(Vec<Bson>),
    /// Takes the value at this path.
    Rename(Vec<String>),
}

/// Which elements `$pull` removes.
#[derive(Debug, Clone)]
pub(super) enum PullCondition {
    /// Documents this filter matches.
    Document(Filter),
    /// Elements that, as the value of the field with the empty name, this filter matches.
    Value(Filter),
    /// Elements equal to this.
    Equal(Bson),
}

impl PullCondition {
    fn matches(&self, element: &Bson, context: &QueryContext) -> CommandResult<bool> {
        match self {
            Self::Document(filter) => match element {
                Bson::Document(document) => filter.matches(document),
                _ => Ok(false),
            },
            Self::Value(filter) => {
                let mut wrapped = Document::new();
                wrapped.insert("", element.clone());
                filter.matches(&wrapped)
            }
            Self::Equal(value) => Ok(compare(element, value, context.collation()).is_eq()),
        }
    }
}

impl Modifier {
    /// Applies the operator; true if it changed the document.
    pub(super) fn apply(
        &self,
        document: &mut Bson,
        path: &[String],
        environment: &Environment<'_>,
    ) -> CommandResult<bool> {
        if matches!(self, Self::SetOnInsert(_)) && !environment.insert {
            return Ok(false);
        }
        if let Self::Rename(source) = self {
            return rename(document, source, path);
        }
        let depth = existing_depth(document, path);
        if depth < path.len() {
            return self.apply_to_missing(document, path, depth, environment);
        }
        if matches!(self, Self::Unset) {
            return Ok(unset(document, path));
        }
        let id = match &*document {
            Bson::Document(document) => document.get("_id").cloned().unwrap_or(Bson::Null),
            _ => Bson::Null,
        };
        let Some(element) = find_mut(document, path) else {
            return Ok(false);
        };
        self.apply_to_existing(element, path, &id, environment)
    }

    fn apply_to_missing(
        &self,
        document: &mut Bson,
        path: &[String],
        depth: usize,
        environment: &Environment<'_>,
    ) -> CommandResult<bool> {
        let context = environment.context;
        let value = match self {
            Self::Set(value) | Self::SetOnInsert(value) => value.clone(),
            Self::Minimum(value) | Self::Maximum(value) | Self::Increment(value) => value.clone(),
            // Zero of the operand's type.
            Self::Multiply(value) => arithmetic::multiply(value, &Bson::Int32(0)).unwrap_or(Bson::Int32(0)),
            Self::CurrentDate => Bson::DateTime(context.now),
            Self::CurrentTimestamp => Bson::Timestamp(context.cluster_time),
            Self::Bit(steps) => bits(Bson::Int32(0), steps),
            Self::Push(push) => {
                let mut items = Vec::new();
                push.apply(&mut items, context);
                Bson::Array(items)
            }
            Self::AddToSet(values) => {
                let mut items = Vec::new();
                add_to_set(&mut items, values, context);
                Bson::Array(items)
            }
            Self::Unset | Self::Rename(_) => return Ok(false),
            Self::Pop { .. } | Self::Pull(_) | Self::PullAll(_) => {
                check_viable(document, path, depth)?;
                return Ok(false);
            }
        };
        check_storable(&value, path)?;
        create(document, path, depth, value)?;
        Ok(true)
    }

    fn apply_to_existing(
        &self,
        element: &mut Bson,
        path: &[String],
        id: &Bson,
        environment: &Environment<'_>,
    ) -> CommandResult<bool> {
        let context = environment.context;
        let collation = context.collation();
        let name = || path.last().map_or("", String::as_str);
        let kind = |value: &Bson| ValueRef::from(value).type_name();
        match self {
            Self::Set(value) | Self::SetOnInsert(value) => {
                if identical(element, value) {
                    return Ok(false);
                }
                check_storable(value, path)?;
                *element = value.clone();
                Ok(true)
            }
            Self::Increment(value) | Self::Multiply(value) => {
                let increment = matches!(self, Self::Increment(_));
                let operator = if increment { "$inc" } else { "$mul" };
                if !ValueRef::from(&*element).is_number() {
                    return Err(CommandError::type_mismatch(format!(
                        "Cannot apply {operator} to a value of non-numeric type. {{_id: {id}}} has the field '{}' of non-numeric type {}",
                        name(),
                        kind(element)
                    )));
                }
                let result =
                    if increment { arithmetic::add(element, value) } else { arithmetic::multiply(element, value) };
                let Some(result) = result else {
                    return Err(CommandError::bad_value(format!(
                        "Failed to apply {operator} operations to current value ({element}) for document {{_id: {id}}}"
                    )));
                };
                Ok(replace_number(element, result))
            }
            Self::Minimum(value) | Self::Maximum(value) => {
                let order = compare(value, element, collation);
                let better = if matches!(self, Self::Minimum(_)) { order.is_lt() } else { order.is_gt() };
                if better {
                    check_storable(value, path)?;
                    *element = value.clone();
                }
                Ok(better)
            }
            Self::CurrentDate => {
                *element = Bson::DateTime(context.now);
                Ok(true)
            }
            Self::CurrentTimestamp => {
                *element = Bson::Timestamp(context.cluster_time);
                Ok(true)
            }
            Self::Bit(steps) => {
                if !matches!(element, Bson::Int32(_) | Bson::Int64(_)) {
                    return Err(CommandError::bad_value(format!(
                        "Cannot apply $bit to a value of non-integral type.{{_id: {id}}} has the field {} of non-integer type {}",
                        name(),
                        kind(element)
                    )));
                }
                let result = bits(element.clone(), steps);
                Ok(replace_number(element, result))
            }
            Self::Push(push) => match element {
                Bson::Array(items) => {
                    for value in push.values() {
                        check_storable(value, path)?;
                    }
                    Ok(push.apply(items, context))
                }
                other => Err(CommandError::bad_value(format!(
                    "The field '{}' must be an array but is of type {} in document {{_id: {id}}}",
                    path.join("."),
                    kind(other)
                ))),
            },
            Self::AddToSet(values) => match element {
                Bson::Array(items) => {
                    for value in values {
                        check_storable(value, path)?;
                    }
                    Ok(add_to_set(items, values, context))
                }
                other => Err(CommandError::bad_value(format!(
                    "Cannot apply $addToSet to non-array field. Field named '{}' has non-array type {}",
                    name(),
                    kind(other)
                ))),
            },
            Self::Pop { first } => match element {
                Bson::Array(items) if items.is_empty() => Ok(false),
                Bson::Array(items) => {
                    if *first {
                        items.remove(0);
                    } else {
                        items.pop();
                    }
                    Ok(true)
                }
                other => Err(CommandError::type_mismatch(format!(
                    "Path '{}' contains an element of non-array type '{}'",
                    path.join("."),
                    kind(other)
                ))),
            },
            Self::Pull(condition) => remove_matching(element, "$pull", |item| condition.matches(item, context)),
            Self::PullAll(values) => remove_matching(element, "$pull", |item| {
                Ok(values.iter().any(|value| compare(item, value, collation).is_eq()))
            }),
            Self::Unset | Self::Rename(_) => Ok(false),
        }
    }
}

/// Sets the element unless it has the same type and value.
fn replace_number(element: &mut Bson, result: Bson) -> bool {
    let same = match (&*element, &result) {
        (Bson::Double(old), Bson::Double(new)) => old == new,
        (Bson::Decimal128(old), Bson::Decimal128(new)) => {
            old == new || crate::query::decimal::compare(*old, *new).is_eq() && !crate::query::decimal::is_nan(*old)
        }
        (old, new) => old == new,
    };
    if !same {
        *element = result;
    }
    !same
}

fn bits(start: Bson, steps: &[(BitOperator, Bson)]) -> Bson {
    steps.iter().fold(start, |value, (operator, operand)| arithmetic::bit(*operator, &value, operand).unwrap_or(value))
}

/// Appends what is not there yet; true if anything was.
fn add_to_set(items: &mut Vec<Bson>, values: &[Bson], context: &QueryContext) -> bool {
    let before = items.len();
    for value in values {
        if !items.iter().any(|item| compare(item, value, context.collation()).is_eq()) {
            items.push(value.clone());
        }
    }
    items.len() > before
}

fn remove_matching(
    element: &mut Bson,
    operator: &str,
    mut matches: impl FnMut(&Bson) -> CommandResult<bool>,
) -> CommandResult<bool> {
    let Bson::Array(items) = element else {
        return Err(CommandError::bad_value(format!("Cannot apply {operator} to a non-array value")));
    };
    let keep = items.iter().map(|item| matches(item).map(|matched| !matched)).collect::<CommandResult<Vec<_>>>()?;
    let before = items.len();
    let mut keep = keep.into_iter();
    items.retain(|_| keep.next().unwrap_or(true));
    Ok(items.len() < before)
}

/// Removes a field; an element of an array becomes null instead.
fn unset(document: &mut Bson, path: &[String]) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    match find_mut(document, parents) {
        Some(Bson::Document(parent)) => parent.remove(last).is_some(),
        Some(Bson::Array(items)) => match array_index(last).and_then(|index| items.get_mut(index)) {
            Some(item) => {
                *item = Bson::Null;
                true
            }
            None => false,
        },
        _ => false,
    }
}

fn cannot_create<T>(part: &str, name: &str, element: &Bson) -> CommandResult<T> {
    Err(CommandError::new(
        code::PATH_NOT_VIABLE,
        format!("Cannot create field '{part}' in element {{{name}: {element}}}"),
    ))
}

/// Creates what is missing of the path, `depth` parts of which exist, with the value at its end.
fn create(document: &mut Bson, path: &[String], depth: usize, value: Bson) -> CommandResult<()> {
    let name = depth.checked_sub(1).map_or("", |index| path[index].as_str());
    let Some(parent) = find_mut(document, &path[..depth]) else {
        return Ok(());
    };
    let part = &path[depth];
    // Below the first new part everything is a document.
    let chain = path[depth + 1..].iter().rev().fold(value, |value, part| {
        let mut inner = Document::new();
        inner.insert(part.as_str(), value);
        Bson::Document(inner)
    });
    match parent {
        Bson::Document(inner) => {
            inner.insert(part.as_str(), chain);
            Ok(())
        }
        Bson::Array(items) => {
            let Some(index) = array_index(part) else {
                return cannot_create(part, name, &Bson::Array(items.clone()));
            };
            if index.saturating_sub(items.len()) > PADDING_MAX {
                return Err(CommandError::new(
                    CANNOT_BACKFILL_ARRAY,
                    format!("can't backfill more than {PADDING_MAX} elements"),
                ));
            }
            while items.len() < index {
                items.push(Bson::Null);
            }
            items.push(chain);
            Ok(())
        }
        other => cannot_create(part, name, other),
    }
}

/// Could the missing part of the path be created?
fn check_viable(document: &Bson, path: &[String], depth: usize) -> CommandResult<()> {
    let viable = match find(document, &path[..depth]) {
        Some(Bson::Document(_)) => true,
        Some(Bson::Array(_)) => array_index(&path[depth]).is_some(),
        _ => false,
    };
    if viable {
        return Ok(());
    }
    let name = depth.checked_sub(1).map_or("", |index| path[index].as_str());
    let element = find(document, &path[..depth]).cloned().unwrap_or(Bson::Null);
    Err(CommandError::new(
        code::PATH_NOT_VIABLE,
        format!(
            "Cannot use the part ({}) of ({}) to traverse the element ({{{name}: {element}}})",
            path[depth],
            path.join(".")
        ),
    ))
}

fn rename(document: &mut Bson, source: &[String], target: &[String]) -> CommandResult<bool> {
    let depth = existing_depth(document, source);
    if depth < source.len() {
        check_viable(document, source, depth)?;
        return Ok(false);
    }
    let id = match &*document {
        Bson::Document(document) => document.get("_id").cloned().unwrap_or(Bson::Null),
        _ => Bson::Null,
    };
    let crosses_array = |document: &Bson, path: &[String]| {
        (1..path.len()).any(|depth| matches!(find(document, &path[..depth]), Some(Bson::Array(_))))
    };
    if crosses_array(document, source) {
        return Err(CommandError::bad_value(format!(
            "The source field cannot be an array element, '{}' in doc with _id: {id} has an array field called '{}'",
            source.join("."),
            source[0]
        )));
    }
    if crosses_array(document, target) {
        return Err(CommandError::bad_value(format!(
            "The destination field cannot be an array element, '{}' in doc with _id: {id} has an array field called '{}'",
            target.join("."),
            target[0]
        )));
    }
    let Some(value) = find(document, source).cloned() else {
        return Ok(false);
    };
    let depth = existing_depth(document, target);
    if depth == target.len() {
        if let Some(element) = find_mut(document, target) {
            *element = value;
        }
    } else {
        create(document, target, depth, value)?;
    }
    unset(document, source);
    Ok(true)
}

/// May the document be stored? See [`check_storable`].
pub(super) fn check_storable_document(document: &Document) -> CommandResult<()> {
    check_document_names(DocumentRef::Owned(document), 1, &mut String::new())
}

/// May the value be stored? Names that begin with `$` belong to operators, but for those of a DBRef.
fn check_storable(value: &Bson, path: &[String]) -> CommandResult<()> {
    check_names(ValueRef::from(value), path.len(), &mut path.join("."))
}

fn check_names(value: ValueRef<'_>, depth: usize, path: &mut String) -> CommandResult<()> {
    if depth > DEPTH_MAX {
        return Err(CommandError::new(
            code::OVERFLOW,
            format!("Document exceeds maximum nesting depth of {DEPTH_MAX}"),
        ));
    }
    match value {
        ValueRef::Document(document) => check_document_names(document, depth, path),
        ValueRef::Array(items) => {
            for item in items.iter() {
                check_names(item, depth + 1, path)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_document_names(document: DocumentRef<'_>, depth: usize, path: &mut String) -> CommandResult<()> {
    for (name, value) in document.iter() {
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(name);
        if name.starts_with('$') && !is_reference_name(name) {
            return Err(CommandError::new(
                code::DOLLAR_PREFIXED_FIELD_NAME,
                format!("The dollar ($) prefixed field '{name}' in '{path}' is not valid for storage."),
            ));
        }
        check_names(value, depth + 1, path)?;
        path.truncate(length);
    }
    Ok(())
}
