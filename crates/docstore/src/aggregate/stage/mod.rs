//! Stages (MongoDB manual, "Aggregation Stages"). A stage is read by [`Stage::parse`] and run by [`Stage::apply`].

mod bucket;
mod densify;
mod facet;
mod fill;
mod geo_near;
mod graph_lookup;
mod group;
pub(super) mod lookup;
mod redact;
pub(super) mod sort;
mod spill;
mod union_with;
mod unwind;
mod window;
mod write;

use std::sync::Arc;

use bson::{Bson, Document};

use super::add_fields::AddFields;
use super::expression::{Expression, split_path};
use super::pipeline::{PipelineOptions, Run, deferred, rows_of};
use super::{Row, Rows};
use crate::error::{CommandError, CommandResult, code};
use crate::query::projection::ProjectionPolicy;
use crate::query::value::{DocumentRef, ValueRef};
use crate::query::{Filter, Projection, QueryContext};

/// Where a pipeline stands, which decides what may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::aggregate) enum Place {
    /// An aggregate command on a collection.
    Collection,
    /// An aggregate command on a database.
    Database,
    Facet,
    Lookup,
    UnionWith,
    /// An update command, or `whenMatched` of `$merge`.
    Update,
}

/// `$match`.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct Match {
    filter: Arc<Filter>,
    document: Document,
}

impl Match {
    /// The paths the filter looks at; `None` where they cannot be told, e.g. with `$expr`.
    pub fn paths(&self) -> Option<Vec<String>> {
        let mut paths = Vec::new();
        filter_paths(&self.document, &mut paths).then_some(paths)
    }

    /// The filter as it was written.
    pub fn document(&self) -> &Document {
        &self.document
    }
}

/// One stage, checked.
#[derive(Debug, Clone)]
pub(in crate::aggregate) enum Stage {
    Match(Match),
    /// `excluded`: the paths taken out, when that is all it does.
    Project {
        projection: Arc<Projection>,
        excluded: Option<Arc<[Vec<String>]>>,
        name: &'static str,
    },
    AddFields {
        fields: Arc<AddFields>,
        name: &'static str,
    },
    ReplaceRoot {
        root: Arc<Expression>,
        name: &'static str,
    },
    Redact(Arc<Expression>),
    Limit(u64),
    Skip(u64),
    Count(String),
    Sample(u64),
    Sort(sort::Sort),
    Group(Arc<group::Group>),
    BucketAuto(Arc<bucket::BucketAuto>),
    Unwind(Arc<unwind::Unwind>),
    Lookup(Arc<lookup::Lookup>),
    GraphLookup(Arc<graph_lookup::GraphLookup>),
    Facet(Arc<facet::Facet>),
    UnionWith(Arc<union_with::UnionWith>),
    GeoNear(Arc<geo_near::GeoNear>),
    SetWindowFields(Arc<window::SetWindowFields>),
    Densify(Arc<densify::Densify>),
    Fill(Arc<fill::Fill>),
    Documents(Arc<Expression>),
    CollectionStats(Document),
    IndexStats,
    CurrentOperations(Document),
    LocalSessions(&'static str),
    Out(Arc<write::Out>),
    Merge(Arc<write::Merge>),
}

/// Stages MongoDB has and we have not: they need a search engine, a cluster or a profiler.
const KNOWN_ELSEWHERE: &[&str] = &[
    "$search",
    "$searchMeta",
    "$vectorSearch",
    "$rankFusion",
    "$scoreFusion",
    "$score",
    "$listSearchIndexes",
    "$text",
    "$planCacheStats",
    "$shardedDataDistribution",
    "$querySettings",
    "$queryStats",
    "$listSampledQueries",
    "$listClusterCatalog",
    "$listMqlEntities",
];

fn filter_paths(filter: &Document, paths: &mut Vec<String>) -> bool {
    filter.iter().all(|(name, value)| match (name.as_str(), value) {
        ("$and" | "$or" | "$nor", Bson::Array(items)) => {
            items.iter().all(|item| item.as_document().is_some_and(|item| filter_paths(item, paths)))
        }
        (operator, _) if operator.starts_with('$') => operator == "$comment",
        _ => {
            paths.push(name.clone());
            true
        }
    })
}

fn wrong_object(code: i32, name: &str, found: &Bson) -> CommandError {
    CommandError::new(
        code,
        format!("the {name} stage specification must be an object, but found {}", ValueRef::from(found).type_name()),
    )
}

fn object<'a>(code: i32, name: &str, argument: &'a Bson) -> CommandResult<&'a Document> {
    match argument {
        Bson::Document(document) => Ok(document),
        other => Err(wrong_object(code, name, other)),
    }
}

/// A number of rows that is not negative.
fn row_count(name: &str, argument: &Bson, code: i32) -> CommandResult<u64> {
    let value = ValueRef::from(argument);
    let wrong =
        |reason: &str| Err(CommandError::new(code, format!("invalid argument to {name} stage: {reason}: {argument}")));
    if !value.is_number() {
        return wrong("Expected a number in");
    }
    match value.as_exact_i64().map(u64::try_from) {
        Some(Ok(count)) => Ok(count),
        Some(Err(_)) => wrong("Expected a non-negative number in"),
        None => wrong("Expected an integer in"),
    }
}

impl Stage {
    /// Reads one stage; some are written in terms of others and become several.
    pub fn parse(
        name: &str,
        argument: &Bson,
        options: &PipelineOptions,
        context: &QueryContext,
        depth: usize,
        stages: &mut Vec<Self>,
    ) -> CommandResult<()> {
        let invalid = |error: CommandError| error.with_prefix(&format!("Invalid {name} :: caused by :: "));
        let stage = match name {
            "$match" => {
                let Bson::Document(document) = argument else {
                    return Err(CommandError::new(15959, "the match filter must be an expression in an object"));
                };
                let filter = Filter::parse(document, context)?;
                if filter.has_near() {
                    return Err(CommandError::new(
                        5_626_500,
                        "$geoNear, $near, and $nearSphere are not allowed in this context",
                    ));
                }
                Self::Match(Match { filter: Arc::new(filter), document: document.clone() })
            }
            "$project" => {
                let document = object(15969, name, argument)?;
                let projection = Projection::parse(document, ProjectionPolicy::Aggregate, context).map_err(invalid)?;
                Self::Project { projection: Arc::new(projection), excluded: excluded_paths(document), name: "$project" }
            }
            "$unset" => {
                let document = unset(argument)?;
                let projection = Projection::parse(&document, ProjectionPolicy::Aggregate, context).map_err(invalid)?;
                Self::Project { projection: Arc::new(projection), excluded: excluded_paths(&document), name: "$unset" }
            }
            "$addFields" | "$set" => {
                let document = object(40272, name, argument)?;
                let fields = AddFields::parse(document, context).map_err(invalid)?;
                let name = if name == "$set" { "$set" } else { "$addFields" };
                Self::AddFields { fields: Arc::new(fields), name }
            }
            "$replaceRoot" => {
                let document = object(40229, name, argument)?;
                if let Some(unknown) = document.keys().find(|key| key.as_str() != "newRoot") {
                    return Err(CommandError::new(
                        40415,
                        format!("BSON field '$replaceRoot.{unknown}' is an unknown field."),
                    ));
                }
                let root = document.get("newRoot").ok_or_else(|| {
                    CommandError::new(40414, "BSON field '$replaceRoot.newRoot' is missing but a required field")
                })?;
                Self::ReplaceRoot { root: Arc::new(Expression::parse(root, context)?), name: "$replaceRoot" }
            }
            "$replaceWith" => {
                Self::ReplaceRoot { root: Arc::new(Expression::parse(argument, context)?), name: "$replaceWith" }
            }
            "$redact" => Self::Redact(Arc::new(redact::parse(argument, context)?)),
            "$limit" => match row_count(name, argument, 5_107_201)? {
                0 => return Err(CommandError::new(15958, "the limit must be positive")),
                limit => Self::Limit(limit),
            },
            "$skip" => Self::Skip(row_count(name, argument, 5_107_200)?),
            "$count" => Self::Count(count_field(argument)?),
            "$sample" => {
                let document = object(28745, name, argument)?;
                if let Some(unknown) = document.keys().find(|key| key.as_str() != "size") {
                    return Err(CommandError::new(28748, format!("unrecognized option to $sample: {unknown}")));
                }
                let size = document
                    .get("size")
                    .ok_or_else(|| CommandError::new(28749, "$sample stage must specify a size"))?;
                let number = ValueRef::from(size);
                if !number.is_number() {
                    return Err(CommandError::new(28746, "size argument to $sample must be a number"));
                }
                let size = number.as_f64().unwrap_or(0.0);
                if size < 0.0 {
                    return Err(CommandError::new(28747, "size argument to $sample must not be negative"));
                }
                Self::Sample(size as u64)
            }
            "$sort" => Self::Sort(sort::Sort::parse(argument, context)?),
            "$group" => Self::Group(Arc::new(group::Group::parse(argument, context)?)),
            "$sortByCount" => {
                let by = bucket::sort_by_count(argument, context)?;
                stages.push(Self::Group(Arc::new(by)));
                Self::Sort(sort::Sort::parse(&Bson::Document(bson::doc! { "count": -1 }), context)?)
            }
            "$bucket" => {
                stages.push(Self::Group(Arc::new(bucket::parse(argument, context)?)));
                Self::Sort(sort::Sort::parse(&Bson::Document(bson::doc! { "_id": 1 }), &without_collation(context))?)
            }
            "$bucketAuto" => Self::BucketAuto(Arc::new(bucket::BucketAuto::parse(argument, context)?)),
            "$unwind" => Self::Unwind(Arc::new(unwind::Unwind::parse(argument)?)),
            "$lookup" => Self::Lookup(Arc::new(lookup::Lookup::parse(argument, options, context, depth)?)),
            "$graphLookup" => {
                Self::GraphLookup(Arc::new(graph_lookup::GraphLookup::parse(argument, options, context)?))
            }
            "$facet" => Self::Facet(Arc::new(facet::Facet::parse(argument, options, context, depth)?)),
            "$unionWith" => Self::UnionWith(Arc::new(union_with::UnionWith::parse(argument, options, context, depth)?)),
            "$geoNear" => Self::GeoNear(Arc::new(geo_near::GeoNear::parse(argument, context)?)),
            "$setWindowFields" => Self::SetWindowFields(Arc::new(window::SetWindowFields::parse(argument, context)?)),
            "$densify" => Self::Densify(Arc::new(densify::Densify::parse(argument, context)?)),
            "$fill" => Self::Fill(Arc::new(fill::Fill::parse(argument, context)?)),
            "$documents" => Self::Documents(Arc::new(Expression::parse(argument, context)?)),
            "$collStats" => Self::CollectionStats(object(5_447_000, name, argument)?.clone()),
            "$indexStats" => match argument {
                Bson::Document(document) if document.is_empty() => Self::IndexStats,
                _ => {
                    return Err(CommandError::new(
                        28803,
                        "The $indexStats stage specification must be an empty object",
                    ));
                }
            },
            "$currentOp" => match argument {
                Bson::Document(document) => Self::CurrentOperations(document.clone()),
                _ => return Err(CommandError::failed_to_parse("$currentOp options must be specified in an object")),
            },
            "$listLocalSessions" => Self::LocalSessions("$listLocalSessions"),
            "$listSessions" => Self::LocalSessions("$listSessions"),
            "$out" => Self::Out(Arc::new(write::Out::parse(argument, options)?)),
            "$merge" => Self::Merge(Arc::new(write::Merge::parse(argument, options, context)?)),
            // The command runs it, when it is the first stage.
            "$changeStream" => {
                return Err(CommandError::new(40602, "$changeStream is only valid as the first stage in a pipeline"));
            }
            "$changeStreamSplitLargeEvent" => {
                return Err(CommandError::new(
                    code::ILLEGAL_OPERATION,
                    "$changeStreamSplitLargeEvent can only be used with $changeStream",
                ));
            }
            known if KNOWN_ELSEWHERE.contains(&known) => {
                return Err(CommandError::not_supported(format!("The {known} stage")));
            }
            _ => return Err(CommandError::new(40324, format!("Unrecognized pipeline stage name: '{name}'"))),
        };
        stages.push(stage);
        Ok(())
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Match(_) => "$match",
            Self::Project { name, .. } | Self::AddFields { name, .. } | Self::ReplaceRoot { name, .. } => name,
            Self::Redact(_) => "$redact",
            Self::Limit(_) => "$limit",
            Self::Skip(_) => "$skip",
            Self::Count(_) => "$count",
            Self::Sample(_) => "$sample",
            Self::Sort(_) => "$sort",
            Self::Group(_) => "$group",
            Self::BucketAuto(_) => "$bucketAuto",
            Self::Unwind(_) => "$unwind",
            Self::Lookup(_) => "$lookup",
            Self::GraphLookup(_) => "$graphLookup",
            Self::Facet(_) => "$facet",
            Self::UnionWith(_) => "$unionWith",
            Self::GeoNear(_) => "$geoNear",
            Self::SetWindowFields(_) => "$setWindowFields",
            Self::Densify(_) => "$densify",
            Self::Fill(_) => "$fill",
            Self::Documents(_) => "$documents",
            Self::CollectionStats(_) => "$collStats",
            Self::IndexStats => "$indexStats",
            Self::CurrentOperations(_) => "$currentOp",
            Self::LocalSessions(name) => name,
            Self::Out(_) => "$out",
            Self::Merge(_) => "$merge",
        }
    }

    pub fn is_source(&self) -> bool {
        matches!(
            self,
            Self::Documents(_)
                | Self::CollectionStats(_)
                | Self::IndexStats
                | Self::CurrentOperations(_)
                | Self::LocalSessions(_)
                | Self::GeoNear(_)
        )
    }

    pub fn must_be_first(&self) -> bool {
        self.is_source()
    }

    pub fn must_be_last(&self) -> bool {
        matches!(self, Self::Out(_) | Self::Merge(_))
    }

    pub fn target(&self) -> Option<(&str, &str)> {
        match self {
            Self::Out(out) => Some(out.target()),
            Self::Merge(merge) => Some(merge.target()),
            _ => None,
        }
    }

    pub fn sources(&self, found: &mut Vec<(String, String)>) {
        match self {
            Self::Lookup(stage) => stage.sources(found),
            Self::GraphLookup(stage) => found.push(stage.source()),
            Self::UnionWith(stage) => stage.sources(found),
            Self::Facet(stage) => stage.sources(found),
            _ => {}
        }
    }

    /// The error of a stage that may not be where it is.
    pub fn forbidden_at(&self, place: Place) -> Option<CommandError> {
        let name = self.name();
        let fail = |code: i32, message: String| Some(CommandError::new(code, message));
        match place {
            Place::Facet if self.is_source() || self.must_be_last() || matches!(self, Self::Facet(_)) => {
                fail(40600, format!("{name} is not allowed to be used within a $facet stage"))
            }
            Place::Lookup if self.must_be_last() => {
                fail(51047, format!("{name} is not allowed within a $lookup's sub-pipeline"))
            }
            Place::UnionWith if self.must_be_last() => {
                fail(31441, format!("{name} is not allowed within a $unionWith's sub-pipeline"))
            }
            Place::Update
                if !matches!(self, Self::Project { .. } | Self::AddFields { .. } | Self::ReplaceRoot { .. }) =>
            {
                fail(code::INVALID_OPTIONS, format!("{name} is not allowed to be used within an update"))
            }
            Place::Collection
                if matches!(
                    self,
                    Self::Documents(_) | Self::CurrentOperations(_) | Self::LocalSessions("$listLocalSessions")
                ) =>
            {
                fail(
                    code::INVALID_NAMESPACE,
                    format!("{name} must be run against a database with {{aggregate: 1}}, not a collection"),
                )
            }
            Place::Database if matches!(self, Self::CollectionStats(_) | Self::IndexStats | Self::GeoNear(_)) => fail(
                code::INVALID_NAMESPACE,
                format!("{{aggregate: 1}} is not valid for '{name}'; a collection is required."),
            ),
            _ => None,
        }
    }

    /// The paths at which rows leave the stage changed, if it lets every row through at most several times and changes
    /// nothing else; `$match` may then go before it.
    pub fn changed_paths(&self) -> Option<Vec<Vec<String>>> {
        match self {
            Self::Sort(_) => Some(Vec::new()),
            Self::AddFields { fields, .. } => Some(fields.paths()),
            Self::Project { excluded: Some(excluded), .. } => Some(excluded.to_vec()),
            Self::Lookup(lookup) => Some(vec![lookup.joined_path().to_vec()]),
            Self::GraphLookup(lookup) => Some(vec![lookup.joined_path().to_vec()]),
            Self::Unwind(unwind) => Some(unwind.changed_paths()),
            _ => None,
        }
    }

    /// Does nothing but take fields out?
    pub fn is_exclusion(&self) -> bool {
        matches!(self, Self::Project { excluded: Some(_), .. })
    }

    /// The rows the stage makes of these.
    pub fn apply(self, rows: Rows, run: &Arc<Run>) -> CommandResult<Rows> {
        let database = || run.options.database.clone();
        let collection = || run.options.collection.clone().unwrap_or_default();
        Ok(match self {
            Self::Match(Match { filter, .. }) => Box::new(rows.filter_map(move |row| match row {
                Ok(row) => match filter.matches(row.as_ref()) {
                    Ok(true) => Some(Ok(row)),
                    Ok(false) => None,
                    Err(error) => Some(Err(error)),
                },
                Err(error) => Some(Err(error)),
            })),
            stage @ (Self::Project { .. } | Self::AddFields { .. } | Self::ReplaceRoot { .. }) => {
                Box::new(rows.map(move |row| stage.apply_one(row?)))
            }
            Self::Redact(expression) => Box::new(rows.filter_map(move |row| match row {
                Ok(row) => redact::apply(&expression, row).transpose(),
                Err(error) => Some(Err(error)),
            })),
            Self::Limit(limit) => Box::new(rows.take(usize::try_from(limit).unwrap_or(usize::MAX))),
            Self::Skip(skip) => skip_rows(rows, skip),
            Self::Count(field) => deferred(move || {
                let mut count = 0_i64;
                for row in rows {
                    row?;
                    count += 1;
                }
                let number = super::expression::number::int_or_long(count);
                let mut document = Document::new();
                document.insert(field, number);
                Ok(rows_of((count > 0).then_some(document)))
            }),
            Self::Sample(size) => sample(rows, size, run.options.bytes_max),
            Self::Sort(sort) => sort.apply(rows, None, run)?,
            Self::Group(group) => group::apply(group, rows, run),
            Self::BucketAuto(bucket) => bucket::apply(bucket, rows, run),
            Self::Unwind(unwind) => unwind::apply(unwind, rows),
            Self::Lookup(lookup) => lookup::apply(lookup, rows, run),
            Self::GraphLookup(lookup) => graph_lookup::apply(lookup, rows, run),
            Self::Facet(facet) => facet::apply(facet, rows, run),
            Self::UnionWith(union) => union_with::apply(union, rows, run),
            Self::GeoNear(near) => geo_near::apply(near, run),
            Self::SetWindowFields(window) => window::apply(window, rows, run),
            Self::Densify(densify) => densify::apply(densify, rows, run),
            Self::Fill(fill) => fill::apply(fill, rows, run),
            Self::Documents(expression) => {
                let documents = match expression.evaluate(&Document::new())? {
                    Some(Bson::Array(items)) => items
                        .into_iter()
                        .map(|item| match item {
                            Bson::Document(document) => Ok(document),
                            other => Err(CommandError::new(
                                40228,
                                format!(
                                    "an array is expected in $documents to hold only objects, found {}",
                                    ValueRef::from(&other).type_name()
                                ),
                            )),
                        })
                        .collect::<CommandResult<Vec<_>>>()?,
                    _ => return Err(CommandError::new(5_858_203, "an array is expected in $documents")),
                };
                rows_of(documents)
            }
            Self::CollectionStats(options) => {
                rows_of([run.access.collection_stats(&database(), &collection(), &options)?])
            }
            Self::IndexStats => rows_of(run.access.index_stats(&database(), &collection())?),
            Self::CurrentOperations(options) => rows_of(run.access.current_operations(&options)?),
            Self::LocalSessions(_) => rows_of(run.access.local_sessions()?),
            Self::Out(out) => write::apply_out(out, rows, run),
            Self::Merge(merge) => write::apply_merge(merge, rows, run)?,
        })
    }

    /// What a stage that looks at one row at a time makes of it; other stages leave it as it is.
    pub fn apply_one(&self, row: Row) -> CommandResult<Row> {
        match self {
            Self::Project { projection, .. } => Ok(Row::Owned(projection.apply(row.as_ref(), None)?)),
            Self::AddFields { fields, .. } => {
                let document = row.as_ref().to_document();
                Ok(Row::Owned(fields.apply(row.as_ref(), document)?))
            }
            Self::ReplaceRoot { root, .. } => match root.evaluate(row.as_ref())? {
                Some(Bson::Document(document)) => Ok(Row::Owned(document)),
                other => Err(CommandError::new(
                    40228,
                    format!(
                        "'newRoot' expression must evaluate to an object, but resulting value was of type {}",
                        other.as_ref().map_or("missing", |value| ValueRef::from(value).type_name())
                    ),
                )),
            },
            _ => Ok(row),
        }
    }
}

fn without_collation(context: &QueryContext) -> QueryContext {
    QueryContext { collation: None, ..context.clone() }
}

/// `$unset` as the `$project` it is.
fn unset(argument: &Bson) -> CommandResult<Document> {
    let wrong =
        || CommandError::new(31002, "$unset specification must be a string or an array containing only string values");
    let paths = match argument {
        Bson::String(path) => vec![path.as_str()],
        Bson::Array(items) if items.is_empty() => {
            return Err(CommandError::new(
                31119,
                "$unset specification must be a string or an array with at least one field",
            ));
        }
        Bson::Array(items) => items
            .iter()
            .map(|item| {
                item.as_str().ok_or_else(|| {
                    CommandError::new(
                        31120,
                        "$unset specification must be a string or an array containing only string values",
                    )
                })
            })
            .collect::<CommandResult<_>>()?,
        _ => return Err(wrong()),
    };
    let mut specification = Document::new();
    for path in paths {
        if specification.insert(path, false).is_some() {
            return Err(CommandError::new(31250, format!("Invalid $unset :: caused by :: Path collision at {path}")));
        }
    }
    Ok(specification)
}

/// The paths, if the projection is a plain list of what to take out.
fn excluded_paths(specification: &Document) -> Option<Arc<[Vec<String>]>> {
    specification
        .iter()
        .map(|(path, value)| match ValueRef::from(value) {
            ValueRef::Boolean(false) => split_path(path).ok(),
            number if number.is_number() && !number.is_truthy() => split_path(path).ok(),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()
        .map(Arc::from)
}

fn count_field(argument: &Bson) -> CommandResult<String> {
    let Bson::String(field) = argument else {
        return Err(CommandError::new(40156, "the count field must be a non-empty string"));
    };
    if field.is_empty() {
        return Err(CommandError::new(40157, "the count field must be a non-empty string"));
    }
    if field.starts_with('$') {
        return Err(CommandError::new(40158, "the count field cannot be a $-prefixed path"));
    }
    if field.contains('\0') {
        return Err(CommandError::new(40159, "the count field cannot contain a null byte"));
    }
    if field.contains('.') {
        return Err(CommandError::new(40160, "the count field cannot contain '.'"));
    }
    Ok(field.clone())
}

fn skip_rows(mut rows: Rows, mut skip: u64) -> Rows {
    Box::new(std::iter::from_fn(move || {
        while skip > 0 {
            skip -= 1;
            match rows.next()? {
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        rows.next()
    }))
}

/// As many rows as asked for, every set of them as likely as any other, in random order.
fn sample(rows: Rows, size: u64, bytes_max: usize) -> Rows {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    deferred(move || {
        let mut kept: Vec<Row> = Vec::new();
        let mut bytes = 0;
        if size > 0 {
            for (seen, row) in rows.enumerate() {
                let row = row?;
                if kept.len() < size {
                    bytes += row_bytes(&row);
                    if bytes > bytes_max {
                        return Err(CommandError::new(
                            code::QUERY_EXCEEDED_MEMORY_LIMIT_NO_DISK_USE_ALLOWED,
                            format!("$sample exceeded its memory limit of {bytes_max} bytes"),
                        ));
                    }
                    kept.push(row);
                } else {
                    let position = super::random::below(seen + 1);
                    if position < size {
                        kept[position] = row;
                    }
                }
            }
        }
        for last in (1..kept.len()).rev() {
            kept.swap(last, super::random::below(last + 1));
        }
        Ok(Box::new(kept.into_iter().map(Ok)) as Rows)
    })
}

/// Bytes a row takes in memory, about.
fn row_bytes(row: &Row) -> usize {
    row.size()
}

/// Every row, or the error of the first that failed or of too many.
fn collect(rows: Rows, run: &Run, stage: &str) -> CommandResult<Vec<Row>> {
    let mut collected = Vec::new();
    let mut bytes = 0;
    for row in rows {
        let row = row?;
        bytes += row_bytes(&row);
        if bytes > run.options.bytes_max {
            return Err(CommandError::new(
                code::EXCEEDED_MEMORY_LIMIT,
                format!("{stage} exceeded its memory limit of {} bytes", run.options.bytes_max),
            ));
        }
        collected.push(row);
    }
    Ok(collected)
}

/// `path` of the row, as a value of its own.
fn owned_at(row: DocumentRef<'_>, path: &[String]) -> Option<Bson> {
    super::add_fields::get_at(row, path).map(ValueRef::to_bson)
}

/// A namespace as written in a stage: a name in the command's database, or `{ db, coll }`.
fn namespace(value: &Bson, options: &PipelineOptions) -> Option<(String, String)> {
    match value {
        Bson::String(collection) => Some((options.database.clone(), collection.clone())),
        Bson::Document(document) => {
            let database = document.get_str("db").unwrap_or(&options.database).to_owned();
            Some((database, document.get_str("coll").ok()?.to_owned()))
        }
        _ => None,
    }
}

/// The stages of a sub-pipeline as written.
fn stage_list<'a>(name: &str, value: &'a Bson) -> CommandResult<&'a [Bson]> {
    match value {
        Bson::Array(stages) => Ok(stages),
        other => Err(CommandError::type_mismatch(format!(
            "{name} 'pipeline' option must be specified as an array, but found {}",
            ValueRef::from(other).type_name()
        ))),
    }
}

fn path_argument(value: &Bson, code: i32, what: &str) -> CommandResult<Vec<String>> {
    match value {
        Bson::String(path) => split_path(path),
        other => Err(CommandError::new(
            code,
            format!("{what} must be a string, but found {}", ValueRef::from(other).type_name()),
        )),
    }
}
