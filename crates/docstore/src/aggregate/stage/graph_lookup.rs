//! `$graphLookup`: follows references through a collection, breadth first.

use std::collections::HashSet;
use std::sync::Arc;

use bson::{Bson, doc};
use parking_lot::Mutex;

use super::lookup::HashedCollection;
use super::{namespace, object, path_argument, row_bytes};
use crate::aggregate::add_fields::{set_at, values_at};
use crate::aggregate::expression::Expression;
use crate::aggregate::pipeline::{PipelineOptions, Run};
use crate::aggregate::{Row, Rows};
use crate::error::{CommandError, CommandResult, code};
use crate::query::value::{ValueRef, order_key};
use crate::query::{Filter, QueryContext};

/// A parsed specification.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct GraphLookup {
    from: (String, String),
    start: Expression,
    connect_from: Vec<String>,
    connect_to: String,
    target: Vec<String>,
    depth_max: Option<i64>,
    depth_field: Option<Vec<String>>,
    restriction: Option<Arc<Filter>>,
}

impl GraphLookup {
    /// Reads `{ from, startWith, connectFromField, connectToField, as, maxDepth, depthField, restrictSearchWithMatch }`.
    pub fn parse(argument: &Bson, options: &PipelineOptions, context: &QueryContext) -> CommandResult<Self> {
        let document = object(40327, "$graphLookup", argument)?;
        let (mut from, mut start, mut connect_from, mut connect_to, mut target) = (None, None, None, None, None);
        let (mut depth_max, mut depth_field, mut restriction) = (None, None, None);
        for (name, value) in document {
            match name.as_str() {
                "startWith" => start = Some(Expression::parse(value, context)?),
                "maxDepth" => {
                    let number = ValueRef::from(value);
                    if !number.is_number() {
                        return Err(CommandError::new(40100, "maxDepth must be numeric"));
                    }
                    match number.as_exact_i64() {
                        Some(depth) if depth >= 0 => depth_max = Some(depth),
                        Some(_) => return Err(CommandError::new(40101, "maxDepth requires a nonnegative argument")),
                        None => {
                            return Err(CommandError::new(40102, "maxDepth could not be represented as a long long"));
                        }
                    }
                }
                "restrictSearchWithMatch" => {
                    let Bson::Document(filter) = value else {
                        return Err(CommandError::new(40185, "restrictSearchWithMatch must be an object"));
                    };
                    let filter = Filter::parse(filter, context)?;
                    if filter.has_near() {
                        return Err(CommandError::new(40186, "$near is not supported inside of a $graphLookup"));
                    }
                    restriction = Some(Arc::new(filter));
                }
                "from" => {
                    from = Some(namespace(value, options).ok_or_else(|| {
                        CommandError::failed_to_parse("$graphLookup argument 'from' must be a string or {db, coll}")
                    })?);
                }
                "as" => target = Some(path_argument(value, 40103, "expected string as argument for as, which")?),
                "connectFromField" => {
                    connect_from = Some(path_argument(value, 40103, "connectFromField")?);
                }
                "connectToField" => {
                    path_argument(value, 40103, "connectToField")?;
                    connect_to = value.as_str().map(str::to_owned);
                }
                "depthField" => depth_field = Some(path_argument(value, 40103, "depthField")?),
                _ => return Err(CommandError::new(40104, format!("Unknown argument to $graphLookup: {name}"))),
            }
        }
        let missing = || {
            CommandError::new(
                40105,
                "$graphLookup requires 'from', 'as', 'startWith', 'connectFromField', and 'connectToField' to be specified.",
            )
        };
        Ok(Self {
            from: from.ok_or_else(missing)?,
            start: start.ok_or_else(missing)?,
            connect_from: connect_from.ok_or_else(missing)?,
            connect_to: connect_to.ok_or_else(missing)?,
            target: target.ok_or_else(missing)?,
            depth_max,
            depth_field,
            restriction,
        })
    }

    /// Where the documents found go.
    pub fn joined_path(&self) -> &[String] {
        &self.target
    }

    /// Database and collection searched.
    pub fn source(&self) -> (String, String) {
        self.from.clone()
    }
}

enum Search {
    NotDecided,
    Find,
    Hashed(HashedCollection),
}

struct Walker {
    stage: Arc<GraphLookup>,
    run: Arc<Run>,
    search: Mutex<Search>,
}

impl Walker {
    fn walk(&self, row: Row) -> CommandResult<Row> {
        let stage = &self.stage;
        let mut frontier = match stage.start.evaluate(row.as_ref())? {
            Some(Bson::Array(items)) => items,
            Some(value) => vec![value],
            None => Vec::new(),
        };
        let mut seen_values: HashSet<Vec<u8>> = HashSet::new();
        let mut seen_documents: HashSet<Vec<u8>> = HashSet::new();
        let mut found: Vec<Bson> = Vec::new();
        let mut bytes = 0;
        let mut depth = 0_i64;
        let collation = self.run.context.collation();
        loop {
            frontier.retain(|value| seen_values.insert(order_key(ValueRef::from(value), collation)));
            if frontier.is_empty() {
                break;
            }
            let mut next = Vec::new();
            for candidate in self.matching(&frontier)? {
                if let Some(restriction) = &stage.restriction
                    && !restriction.matches(candidate.as_ref())?
                {
                    continue;
                }
                let id = candidate.as_ref().get("_id").map(|id| order_key(id, None)).unwrap_or_default();
                if !seen_documents.insert(id) {
                    continue;
                }
                bytes += row_bytes(&candidate);
                if bytes > self.run.options.bytes_max {
                    return Err(CommandError::new(
                        code::EXCEEDED_MEMORY_LIMIT,
                        format!(
                            "$graphLookup reached maximum memory consumption of {} bytes",
                            self.run.options.bytes_max
                        ),
                    ));
                }
                next.extend(values_at(candidate.as_ref(), &stage.connect_from));
                let mut document = candidate.into_document();
                if let Some(field) = &stage.depth_field {
                    set_at(&mut document, field, Some(Bson::Int64(depth)));
                }
                found.push(Bson::Document(document));
            }
            if stage.depth_max == Some(depth) {
                break;
            }
            depth += 1;
            frontier = next;
        }
        let mut document = row.into_document();
        set_at(&mut document, &stage.target, Some(Bson::Array(found)));
        Ok(Row::Owned(document))
    }

    fn matching(&self, values: &[Bson]) -> CommandResult<Vec<Row>> {
        let stage = &self.stage;
        // Regular expressions among the values search by their pattern, as MongoDB's query does.
        let filter = doc! { stage.connect_to.as_str(): { "$in": values.to_vec() } };
        let mut search = self.search.lock();
        if matches!(*search, Search::NotDecided) {
            let (database, collection) = (&stage.from.0, &stage.from.1);
            *search = if self.run.access.has_index_on(database, collection, &stage.connect_to) {
                Search::Find
            } else {
                HashedCollection::read(&stage.from, &stage.connect_to, &self.run)?.map_or(Search::Find, Search::Hashed)
            };
        }
        match &*search {
            Search::Hashed(hashed) => hashed.find(values, &filter, &self.run),
            _ => self.run.access.find(&stage.from.0, &stage.from.1, &filter, &self.run.context)?.collect(),
        }
    }
}

pub(super) fn apply(stage: Arc<GraphLookup>, rows: Rows, run: &Arc<Run>) -> Rows {
    let walker = Walker { stage, run: run.clone(), search: Mutex::new(Search::NotDecided) };
    Box::new(rows.map(move |row| walker.walk(row?)))
}
