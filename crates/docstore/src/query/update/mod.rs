//! Updates: replacement, operators, pipelines, and the document an upsert inserts.
//!
//! Operators are read into one tree by path ([`tree`]), so that two of them on one path are found to conflict and all
//! are applied in the order of their paths; [`modifier`] holds what each does at its path.

mod arithmetic;
mod modifier;
mod parse;
mod push;
mod tree;

use std::sync::Arc;

use bson::oid::ObjectId;
use bson::{Bson, Document, Timestamp};

use super::QueryContext;
use super::expression::UpdatePipeline;
use super::filter::{Filter, MatchDetails};
use super::value::{ValueRef, compare, identical_documents};
use crate::changes::Touched;
use crate::error::{CommandError, CommandResult, code};
use tree::{ArrayFilters, ObjectNode};

/// Code of `QueryFeatureNotAllowed`.
const QUERY_FEATURE_NOT_ALLOWED: i32 = 224;
/// Levels of nesting a stored document may have.
const DEPTH_MAX: usize = 180;

/// A parsed update. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Update {
    kind: Arc<Kind>,
    context: QueryContext,
}

#[derive(Debug)]
enum Kind {
    Replacement(Document),
    Operators { root: ObjectNode, filters: ArrayFilters },
    Pipeline(UpdatePipeline),
}

/// What an update made of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Updated {
    /// The document after the update.
    pub document: Document,
    /// False when nothing changed: the document counts as matched, not as modified.
    pub modified: bool,
    /// Where it changed.
    pub touched: Touched,
}

impl Update {
    /// Reads an update: a document of operators, a replacement document, or a pipeline (array).
    ///
    /// Errors: `FailedToParse` (9) for unknown operators and malformed arguments, `ConflictingUpdateOperators` (40),
    /// `BadValue` (2), ... as MongoDB gives them.
    pub fn parse(update: &Bson, array_filters: &[Document], context: &QueryContext) -> CommandResult<Self> {
        let kind = match update {
            Bson::Array(stages) => {
                if !array_filters.is_empty() {
                    return Err(CommandError::failed_to_parse("Cannot specify arrayFilters and a pipeline update"));
                }
                Kind::Pipeline(UpdatePipeline::parse(stages, context)?)
            }
            Bson::Document(document) if document.keys().next().is_some_and(|name| name.starts_with('$')) => {
                let filters = ArrayFilters::parse(array_filters, context)?;
                let root = parse::operators(document, &filters, context)?;
                Kind::Operators { root, filters }
            }
            Bson::Document(document) => {
                if !array_filters.is_empty() {
                    return Err(CommandError::failed_to_parse(
                        "arrayFilters may not be specified for replacement-style updates",
                    ));
                }
                Kind::Replacement(document.clone())
            }
            _ => {
                return Err(CommandError::failed_to_parse("Update argument must be either an object or an array"));
            }
        };
        Ok(Self { kind: Arc::new(kind), context: context.clone() })
    }

    /// A whole document takes the place of the old one (`multi: true` is then an error of the caller's:
    /// `FailedToParse` "multi update is not supported for replacement-style update").
    pub fn is_replacement(&self) -> bool {
        matches!(&*self.kind, Kind::Replacement(_))
    }

    /// The filter's match details are wanted (positional `$`).
    pub fn needs_match_details(&self) -> bool {
        matches!(&*self.kind, Kind::Operators { root, .. } if root.has_positional())
    }

    /// Applies the update to a stored document.
    ///
    /// Errors: `ImmutableField` (66) if `_id` would change, `PathNotViable` (28), `TypeMismatch` (14), ...
    pub fn apply(&self, document: &Document, details: Option<MatchDetails>) -> CommandResult<Updated> {
        self.transform(document, details, false)
    }

    fn transform(&self, document: &Document, details: Option<MatchDetails>, insert: bool) -> CommandResult<Updated> {
        let mut updated = match &*self.kind {
            Kind::Replacement(replacement) => self.replace(document, replacement.clone())?,
            Kind::Pipeline(pipeline) => self.replace(document, pipeline.apply(document)?)?,
            Kind::Operators { root, filters } => {
                let array_index = details.and_then(|details| details.array_index);
                tree::apply(root, filters, document, array_index, insert, &self.context)?
            }
        };
        if updated.modified {
            if let Some(old) = document.get("_id") {
                match updated.document.get("_id") {
                    Some(new) if compare(old, new, None).is_eq() => {}
                    Some(new) => {
                        return Err(CommandError::new(
                            code::IMMUTABLE_FIELD,
                            format!(
                                "After applying the update, the (immutable) field '_id' was found to have been altered to _id: {new}"
                            ),
                        ));
                    }
                    None => {
                        return Err(CommandError::new(
                            code::IMMUTABLE_FIELD,
                            "Performing an update on the path '_id' would modify the immutable field '_id'",
                        ));
                    }
                }
            }
            id_first(&mut updated.document);
        }
        Ok(updated)
    }

    /// The replacement with the old document's `_id` unless it has its own.
    ///
    /// Errors: `DollarPrefixedFieldName` (52) for names that begin with `$` anywhere in it.
    fn replace(&self, document: &Document, replacement: Document) -> CommandResult<Updated> {
        modifier::check_storable_document(&replacement)?;
        let mut result = Document::new();
        if !replacement.contains_key("_id")
            && let Some(id) = document.get("_id")
        {
            result.insert("_id", id.clone());
        }
        result.extend(replacement);
        if !matches!(&*self.kind, Kind::Pipeline(_)) {
            fill_timestamps(&mut result, self.context.cluster_time);
        }
        let modified = !identical_documents(document, &result);
        let touched = match &*self.kind {
            Kind::Pipeline(_) => Touched::Anything,
            _ => Touched::Whole,
        };
        Ok(Updated { document: result, modified, touched })
    }

    /// The document an upsert inserts when nothing matched: the filter's equalities, then the update with
    /// `$setOnInsert`. `_id` comes first and is made up if neither gives one.
    ///
    /// Errors: `NotSingleValueField` (54) when the filter fixes a path twice, code 224 for `$expr` in the filter.
    pub fn upsert(&self, filter: &Filter) -> CommandResult<Document> {
        check_upsert(filter)?;
        let mut equalities = filter.equalities(self.is_replacement())?;
        equalities.sort_by(|(left, _), (right, _)| left.as_bytes().cmp(right.as_bytes()));
        let mut base = Document::new();
        for (path, value) in equalities {
            put(&mut base, &path, value);
        }
        id_first(&mut base);
        let updated = self.transform(&base, None, true)?;
        // Unlike an insert, an upsert stores empty timestamps as they are.
        let context = QueryContext { cluster_time: Timestamp { time: 0, increment: 0 }, ..self.context.clone() };
        complete_insert(updated.document, &context)
    }
}

/// Refuses filters an upsert may not have, matched or not.
///
/// Errors: code 224 `QueryFeatureNotAllowed` for `$expr`.
pub fn check_upsert(filter: &Filter) -> CommandResult<()> {
    if filter.has_expression() {
        return Err(CommandError::new(
            QUERY_FEATURE_NOT_ALLOWED,
            "$expr is not allowed in the query predicate for an upsert",
        ));
    }
    if filter.has_near() {
        return Err(CommandError::new(5_261_500, "$near is not allowed in the query predicate for an upsert"));
    }
    Ok(())
}

/// What the server does to every document it inserts: `_id` first, made up if missing, and empty timestamps of the top
/// level filled in.
///
/// Errors: `BadValue` for top-level names that begin with `$` and for an `_id` that is an array, a regular expression or
/// undefined, `DollarPrefixedFieldName` (52) for names within `_id` that begin with `$`, `Overflow` (15) for too much
/// nesting.
pub fn complete_insert(mut document: Document, context: &QueryContext) -> CommandResult<Document> {
    if let Some(name) = document.keys().find(|name| name.starts_with('$')) {
        return Err(CommandError::bad_value(format!("Document can't have $ prefixed field names: {name}")));
    }
    match document.get("_id") {
        None => {
            let mut complete = Document::new();
            complete.insert("_id", ObjectId::new());
            complete.extend(document);
            document = complete;
        }
        Some(id @ (Bson::Array(_) | Bson::RegularExpression(_) | Bson::Undefined)) => {
            let name = match id {
                Bson::Array(_) => "an array",
                Bson::Undefined => "undefined",
                _ => "a regex",
            };
            return Err(CommandError::bad_value(format!("can't use {name} for _id")));
        }
        Some(Bson::Document(id)) => {
            if let Some(name) = id.keys().find(|name| name.starts_with('$') && !is_reference_name(name)) {
                return Err(CommandError::new(
                    code::DOLLAR_PREFIXED_FIELD_NAME,
                    format!("{name} is not valid for storage."),
                ));
            }
        }
        Some(_) => {}
    }
    check_depth(&document)?;
    id_first(&mut document);
    fill_timestamps(&mut document, context.cluster_time);
    Ok(document)
}

fn is_reference_name(name: &str) -> bool {
    matches!(name, "$ref" | "$id" | "$db")
}

fn check_depth(document: &Document) -> CommandResult<()> {
    fn depth(value: ValueRef<'_>, level: usize) -> bool {
        if level > DEPTH_MAX {
            return false;
        }
        match value {
            ValueRef::Document(inner) => inner.iter().all(|(_, value)| depth(value, level + 1)),
            ValueRef::Array(items) => items.iter().all(|value| depth(value, level + 1)),
            _ => true,
        }
    }
    if document.iter().all(|(_, value)| depth(ValueRef::from(value), 1)) {
        return Ok(());
    }
    Err(CommandError::new(code::OVERFLOW, format!("Document exceeds maximum nesting depth of {DEPTH_MAX}")))
}

/// Moves `_id` to the front.
fn id_first(document: &mut Document) {
    if document.keys().next().is_none_or(|first| first == "_id") {
        return;
    }
    if let Some(id) = document.remove("_id") {
        let rest = std::mem::take(document);
        document.insert("_id", id);
        document.extend(rest);
    }
}

/// `Timestamp(0, 0)` at the top level stands for the time of the write.
fn fill_timestamps(document: &mut Document, now: Timestamp) {
    for (name, value) in document.iter_mut() {
        if *value == Bson::Timestamp(Timestamp { time: 0, increment: 0 }) && name != "_id" {
            *value = Bson::Timestamp(now);
        }
    }
}

/// Puts a value at a path of documents.
fn put(document: &mut Document, path: &str, value: Bson) {
    match path.split_once('.') {
        None => drop(document.insert(path, value)),
        Some((first, rest)) => {
            if !matches!(document.get(first), Some(Bson::Document(_))) {
                document.insert(first, Document::new());
            }
            if let Some(Bson::Document(inner)) = document.get_mut(first) {
                put(inner, rest, value);
            }
        }
    }
}
