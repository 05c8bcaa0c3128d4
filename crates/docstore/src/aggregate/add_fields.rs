//! `$addFields` and `$set`: fields computed into documents that keep the rest.

use bson::{Bson, Document};

use super::Expression;
use super::expression::split_path;
use crate::error::{CommandError, CommandResult};
use crate::query::QueryContext;
use crate::query::value::{DocumentRef, ValueRef};

/// A parsed specification.
#[derive(Debug, Clone)]
pub(super) struct AddFields {
    fields: Fields,
}

/// New fields of one document, in the order in which they are added.
type Fields = Vec<(String, Addition)>;

#[derive(Debug, Clone)]
enum Addition {
    Computed(Expression),
    Within(Fields),
}

impl AddFields {
    /// Reads `{ path: expression, ... }`; objects that are no expression are further paths.
    ///
    /// Errors: 40177 for an empty specification, 40176 for a path that is another's beginning, those of expressions.
    pub fn parse(specification: &Document, context: &QueryContext) -> CommandResult<Self> {
        if specification.is_empty() {
            return Err(CommandError::new(
                40177,
                "Invalid $addFields :: caused by :: specification must have at least one field",
            ));
        }
        let mut fields = Fields::new();
        for (path, value) in specification {
            read(&mut fields, &split_path(path)?, value, context)?;
        }
        Ok(Self { fields })
    }

    /// Every path that is computed.
    pub fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        collect_paths(&self.fields, &mut Vec::new(), &mut paths);
        paths
    }

    /// The document with the fields computed from `row`.
    pub fn apply(&self, row: DocumentRef<'_>, document: Document) -> CommandResult<Document> {
        apply_fields(&self.fields, row, document)
    }
}

fn collect_paths(fields: &Fields, before: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    for (name, addition) in fields {
        before.push(name.clone());
        match addition {
            Addition::Computed(_) => paths.push(before.clone()),
            Addition::Within(inner) => collect_paths(inner, before, paths),
        }
        before.pop();
    }
}

/// Puts fields back to where they were: a field taken out of a document and set again takes its old place, as it does
/// in MongoDB. `paths`: those that were set.
pub(super) fn restore_places(places: DocumentRef<'_>, mut document: Document, paths: &[&[String]]) -> Document {
    let mut ordered = Document::new();
    for (name, place) in places.iter() {
        if let Some(value) = document.remove(name) {
            let inner: Vec<&[String]> = paths
                .iter()
                .filter_map(|path| path.split_first().filter(|(first, rest)| *first == name && !rest.is_empty()))
                .map(|(_, rest)| rest)
                .collect();
            ordered.insert(name, if inner.is_empty() { value } else { restore_within(place, value, &inner) });
        }
    }
    ordered.extend(document);
    ordered
}

fn restore_within(place: ValueRef<'_>, value: Bson, paths: &[&[String]]) -> Bson {
    match (place, value) {
        (ValueRef::Document(place), Bson::Document(document)) => Bson::Document(restore_places(place, document, paths)),
        (ValueRef::Array(places), Bson::Array(items)) if places.len() == items.len() => {
            Bson::Array(places.iter().zip(items).map(|(place, item)| restore_within(place, item, paths)).collect())
        }
        (_, value) => value,
    }
}

fn read(fields: &mut Fields, path: &[String], value: &Bson, context: &QueryContext) -> CommandResult<()> {
    if let Bson::Document(document) = value
        && document.keys().next().is_some_and(|first| !first.starts_with('$'))
    {
        for (name, inner) in document {
            if name.contains('.') {
                return Err(CommandError::new(40183, format!("cannot use dotted field name '{name}' in a sub object")));
            }
            if name.starts_with('$') {
                return Err(CommandError::new(
                    40182,
                    format!("unrecognized field or expression '{name}' in a sub object"),
                ));
            }
            let mut path = path.to_vec();
            path.extend(split_path(name)?);
            read(fields, &path, inner, context)?;
        }
        return Ok(());
    }
    insert(fields, path, Expression::parse(value, context)?)
}

fn insert(fields: &mut Fields, path: &[String], expression: Expression) -> CommandResult<()> {
    let collision =
        || CommandError::new(40176, format!("specification contains two conflicting paths: {}", path.join(".")));
    let Some((name, rest)) = path.split_first() else { return Ok(()) };
    let position = fields.iter().position(|(known, _)| known == name);
    if rest.is_empty() {
        if position.is_some() {
            return Err(collision());
        }
        fields.push((name.clone(), Addition::Computed(expression)));
        return Ok(());
    }
    let position = position.unwrap_or_else(|| {
        fields.push((name.clone(), Addition::Within(Fields::new())));
        fields.len() - 1
    });
    match &mut fields[position].1 {
        Addition::Within(inner) => insert(inner, rest, expression),
        Addition::Computed(_) => Err(collision()),
    }
}

fn apply_fields(fields: &Fields, row: DocumentRef<'_>, mut document: Document) -> CommandResult<Document> {
    for (name, addition) in fields {
        let value = match addition {
            Addition::Computed(expression) => expression.evaluate(row)?,
            Addition::Within(inner) => {
                let old = document.get_mut(name).map(|value| std::mem::replace(value, Bson::Null));
                Some(apply_within(inner, row, old)?)
            }
        };
        match value {
            Some(value) => {
                document.insert(name.as_str(), value);
            }
            None => {
                document.remove(name);
            }
        }
    }
    Ok(document)
}

fn apply_within(fields: &Fields, row: DocumentRef<'_>, value: Option<Bson>) -> CommandResult<Bson> {
    Ok(match value {
        Some(Bson::Document(document)) => Bson::Document(apply_fields(fields, row, document)?),
        Some(Bson::Array(items)) => Bson::Array(
            items.into_iter().map(|item| apply_within(fields, row, Some(item))).collect::<CommandResult<_>>()?,
        ),
        _ => Bson::Document(apply_fields(fields, row, Document::new())?),
    })
}

/// Puts the value at the path; whatever is on the way and no document makes way for one. `None` takes the field out.
pub(super) fn set_at(document: &mut Document, path: &[String], value: Option<Bson>) {
    let Some((name, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        match value {
            Some(value) => drop(document.insert(name.as_str(), value)),
            None => drop(document.remove(name)),
        }
        return;
    }
    if !matches!(document.get(name), Some(Bson::Document(_))) {
        if value.is_none() {
            return;
        }
        document.insert(name.as_str(), Document::new());
    }
    if let Some(Bson::Document(inner)) = document.get_mut(name) {
        set_at(inner, rest, value);
    }
}

/// The value at the path through documents only; arrays on the way hide it.
pub(super) fn get_at<'a>(document: DocumentRef<'a>, path: &[String]) -> Option<ValueRef<'a>> {
    let (name, rest) = path.split_first()?;
    let value = document.get(name)?;
    match (rest.is_empty(), value) {
        (true, value) => Some(value),
        (false, ValueRef::Document(inner)) => get_at(inner, rest),
        _ => None,
    }
}

/// Every value a join finds at the path: elements of arrays at its end, documents in arrays on the way, and numbers in
/// the path as positions in arrays.
pub(super) fn values_at(document: DocumentRef<'_>, path: &[String]) -> Vec<Bson> {
    let mut found = Vec::new();
    visit(document, path, &mut found);
    found
}

fn visit(document: DocumentRef<'_>, path: &[String], found: &mut Vec<Bson>) {
    let Some((name, mut rest)) = path.split_first() else { return };
    let mut value = document.get(name);
    while let (Some((part, after)), Some(ValueRef::Array(items))) = (rest.split_first(), value) {
        let Some(index) = crate::query::path::array_index(part) else { break };
        value = items.get(index);
        rest = after;
    }
    match value {
        None => {}
        Some(ValueRef::Array(items)) if rest.is_empty() => found.extend(items.iter().map(ValueRef::to_bson)),
        Some(value) if rest.is_empty() => found.push(value.to_bson()),
        Some(ValueRef::Array(items)) => {
            for item in items.iter() {
                if let ValueRef::Document(inner) = item {
                    visit(inner, rest, found);
                }
            }
        }
        Some(ValueRef::Document(inner)) => visit(inner, rest, found),
        Some(_) => {}
    }
}
