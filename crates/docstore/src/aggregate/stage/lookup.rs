//! `$lookup`: joins another collection, by equal fields, by a pipeline with variables, or both.

use std::collections::HashMap;
use std::sync::Arc;

use bson::{Bson, Document, doc};
use parking_lot::Mutex;

use super::{Place, namespace, object, path_argument, row_bytes, stage_list};
use crate::aggregate::add_fields::{set_at, values_at};
use crate::aggregate::expression::{Expression, check_bindable_name};
use crate::aggregate::pipeline::{Pipeline, PipelineOptions, Run};
use crate::aggregate::{Row, Rows};
use crate::error::{CommandError, CommandResult};
use crate::query::value::{ValueRef, order_key};
use crate::query::{Filter, QueryContext, keys};

/// Bytes one row's joined documents may have together: what one document holds.
const JOINED_BYTES_MAX: usize = 16 * 1024 * 1024 + 16 * 1024;

/// A parsed specification.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct Lookup {
    /// Database and collection; `None` when the pipeline makes its rows itself.
    from: Option<(String, String)>,
    target: Vec<String>,
    /// Path in the row, path in the joined documents.
    fields: Option<(Vec<String>, String)>,
    variables: Vec<(String, Expression)>,
    stages: Vec<Bson>,
    /// The stages as checked, with variables known by name only.
    pipeline: Pipeline,
    context: QueryContext,
    options: PipelineOptions,
    depth: usize,
}

impl Lookup {
    /// Reads `{ from, localField, foreignField, let, pipeline, as }`.
    pub fn parse(
        argument: &Bson,
        options: &PipelineOptions,
        context: &QueryContext,
        depth: usize,
    ) -> CommandResult<Self> {
        let document = object(40319, "$lookup", argument)?;
        let failed = |message: String| CommandError::failed_to_parse(message);
        let (mut from, mut target, mut local, mut foreign, mut stages) = (None, None, None, None, None);
        let mut variables = Vec::new();
        for (name, value) in document {
            let text = || match value {
                Bson::String(text) => Ok(text.clone()),
                other => Err(failed(format!(
                    "$lookup argument '{name}: {other}' must be a string, found {}",
                    ValueRef::from(other).type_name()
                ))),
            };
            match name.as_str() {
                "from" => {
                    from = Some(namespace(value, options).ok_or_else(|| {
                        failed(format!("$lookup argument 'from: {value}' must be a string or {{db, coll}}"))
                    })?);
                }
                "as" => {
                    text()?;
                    target = Some(path_argument(value, 40319, "$lookup 'as'")?);
                }
                "localField" => {
                    text()?;
                    local = Some(path_argument(value, 40319, "$lookup 'localField'")?);
                }
                "foreignField" => {
                    path_argument(value, 40319, "$lookup 'foreignField'")?;
                    foreign = Some(text()?);
                }
                "pipeline" => stages = Some(stage_list("$lookup", value)?.to_vec()),
                "let" => {
                    let Bson::Document(bindings) = value else {
                        return Err(failed(format!(
                            "$lookup argument 'let' must be an object, found {}",
                            ValueRef::from(value).type_name()
                        )));
                    };
                    for (name, value) in bindings {
                        check_bindable_name(name)?;
                        variables.push((name.clone(), Expression::parse(value, context)?));
                    }
                }
                _ => return Err(failed(format!("unknown argument to $lookup: {name}"))),
            }
        }
        let target = target.ok_or_else(|| failed("must specify 'as' field for a $lookup".to_owned()))?;
        let fields = match (local, foreign) {
            (Some(local), Some(foreign)) => Some((local, foreign)),
            (None, None) if stages.is_some() => None,
            _ => {
                return Err(failed(
                    "$lookup requires either 'pipeline' or both 'localField' and 'foreignField' to be specified"
                        .to_owned(),
                ));
            }
        };
        if stages.is_none() && !variables.is_empty() {
            return Err(failed("$lookup with 'let' needs a 'pipeline'".to_owned()));
        }
        let stages = stages.unwrap_or_default();
        let options = PipelineOptions {
            database: from.as_ref().map_or_else(|| options.database.clone(), |from: &(String, String)| from.0.clone()),
            collection: from.as_ref().map(|from| from.1.clone()),
            ..options.clone()
        };
        let mut inner = context.clone();
        for (name, _) in &variables {
            inner.variables.insert(name.as_str(), Bson::Undefined);
        }
        let pipeline = Pipeline::parse_at(&stages, &options, &inner, Place::Lookup, depth + 1)?;
        if from.is_none() && !pipeline.is_source() {
            return Err(failed("must specify 'pipeline' when 'from' is empty".to_owned()));
        }
        Ok(Self { from, target, fields, variables, stages, pipeline, context: context.clone(), options, depth })
    }

    /// Where the joined documents go.
    pub fn joined_path(&self) -> &[String] {
        &self.target
    }

    pub fn sources(&self, found: &mut Vec<(String, String)>) {
        found.extend(self.from.clone());
        found.extend(self.pipeline.sources());
    }

    /// The pipeline with this row's variables in it.
    fn pipeline_for(&self, row: &Row) -> CommandResult<Pipeline> {
        if self.variables.is_empty() {
            return Ok(self.pipeline.clone());
        }
        let mut context = self.context.clone();
        for (name, expression) in &self.variables {
            // A missing value is a variable known by name only.
            context.variables.insert(name.as_str(), expression.evaluate(row.as_ref())?.unwrap_or(Bson::Undefined));
        }
        Pipeline::parse_at(&self.stages, &self.options, &context, Place::Lookup, self.depth + 1)
    }
}

/// What equal fields mean: the row's values at one path, any of them equal to a value at the other.
fn equality(row: &Row, local: &[String], foreign: &str) -> (Vec<Bson>, Document) {
    let mut values = values_at(row.as_ref(), local);
    if values.is_empty() {
        // What is missing joins with null.
        values.push(Bson::Null);
    }
    let filter = filter_of(foreign, &values);
    (values, filter)
}

fn filter_of(foreign: &str, values: &[Bson]) -> Document {
    match values {
        [value] => doc! { foreign: { "$eq": value.clone() } },
        values if values.iter().any(|value| matches!(value, Bson::RegularExpression(_) | Bson::Undefined)) => {
            // `$in` would search by a pattern.
            doc! { "$or": values.iter().map(|value| doc! { foreign: { "$eq": value.clone() } }).collect::<Vec<_>>() }
        }
        values => doc! { foreign: { "$in": values.to_vec() } },
    }
}

/// The documents of a collection without an index on the joined field, by the values of that field.
pub(super) struct HashedCollection {
    rows: Vec<Row>,
    by_key: HashMap<Vec<u8>, Vec<usize>>,
    /// Documents in which the path is ambiguous, so that they have no key.
    without_key: Vec<usize>,
}

impl HashedCollection {
    /// Reads the collection; `None` if it takes more memory than a stage may.
    pub fn read(from: &(String, String), path: &str, run: &Run) -> CommandResult<Option<Self>> {
        let mut rows = Vec::new();
        let mut by_key: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        let mut without_key = Vec::new();
        let mut bytes = 0;
        for row in run.access.find(&from.0, &from.1, &Document::new(), &run.context)? {
            let row = row?;
            bytes += row_bytes(&row);
            if bytes > run.options.bytes_max {
                return Ok(None);
            }
            let Ok(generated) = keys::generate(row.as_ref(), &[path]) else {
                without_key.push(rows.len());
                rows.push(row);
                continue;
            };
            for value in generated.tuples.iter().filter_map(|tuple| tuple.first()) {
                let key = order_key(*value, run.context.collation());
                let positions = by_key.entry(key).or_default();
                if positions.last() != Some(&rows.len()) {
                    positions.push(rows.len());
                }
            }
            rows.push(row);
        }
        Ok(Some(Self { rows, by_key, without_key }))
    }

    /// The documents the filter matches, which asks for one of the values at the path.
    pub fn find(&self, values: &[Bson], filter: &Document, run: &Run) -> CommandResult<Vec<Row>> {
        let filter = Filter::parse(filter, &run.context)?;
        // Arrays are found by their elements too, patterns in strings; that is rare, and every document is looked at.
        let wide = |value: &Bson| matches!(value, Bson::Array(_) | Bson::RegularExpression(_));
        let candidates: Vec<usize> = if values.iter().any(wide) {
            (0..self.rows.len()).collect()
        } else {
            let mut candidates = self.without_key.clone();
            let mut add = |value: &Bson| {
                let key = order_key(ValueRef::from(value), run.context.collation());
                candidates.extend(self.by_key.get(&key).into_iter().flatten().copied());
            };
            for value in values {
                add(value);
                if matches!(value, Bson::Null) {
                    add(&Bson::Undefined);
                }
            }
            candidates.sort_unstable();
            candidates.dedup();
            candidates
        };
        let mut found = Vec::new();
        for position in candidates {
            let row = &self.rows[position];
            if filter.matches(row.as_ref())? {
                found.push(row.clone());
            }
        }
        Ok(found)
    }
}

/// How the other collection is searched.
enum Search {
    NotDecided,
    /// By its indexes, or by reading it for every row because memory does not hold it.
    Find,
    Hashed(HashedCollection),
}

/// Joins rows one by one.
pub(in crate::aggregate) struct Joiner {
    lookup: Arc<Lookup>,
    run: Arc<Run>,
    search: Mutex<Search>,
    /// The result of a pipeline that does not depend on the row.
    cached: Mutex<Option<Vec<Bson>>>,
}

impl Joiner {
    pub fn new(lookup: Arc<Lookup>, run: &Arc<Run>) -> Self {
        Self { lookup, run: run.clone(), search: Mutex::new(Search::NotDecided), cached: Mutex::new(None) }
    }

    pub fn join(&self, row: Row) -> CommandResult<Row> {
        let joined = self.joined(&row)?;
        let mut document = row.into_document();
        set_at(&mut document, &self.lookup.target, Some(Bson::Array(joined)));
        Ok(Row::Owned(document))
    }

    fn joined(&self, row: &Row) -> CommandResult<Vec<Bson>> {
        let lookup = &self.lookup;
        let Some((local, foreign)) = &lookup.fields else {
            let constant = lookup.variables.is_empty();
            if constant && let Some(cached) = &*self.cached.lock() {
                return Ok(cached.clone());
            }
            let (database, collection) = lookup.from.clone().unwrap_or_default();
            let rows = lookup.pipeline_for(row)?.read(&database, &collection, Document::new(), &self.run.access)?;
            let documents = self.documents(rows)?;
            if constant {
                *self.cached.lock() = Some(documents.clone());
            }
            return Ok(documents);
        };
        let Some(from) = &lookup.from else { return Ok(Vec::new()) };
        let (values, filter) = equality(row, local, foreign);
        let mut search = self.search.lock();
        if matches!(*search, Search::NotDecided) {
            *search = if self.run.access.has_index_on(&from.0, &from.1, foreign) {
                Search::Find
            } else {
                HashedCollection::read(from, foreign, &self.run)?.map_or(Search::Find, Search::Hashed)
            };
        }
        let rows: Rows = match &*search {
            Search::Hashed(hashed) => Box::new(hashed.find(&values, &filter, &self.run)?.into_iter().map(Ok)),
            _ if lookup.pipeline.is_empty() => self.run.access.find(&from.0, &from.1, &filter, &self.run.context)?,
            _ => {
                drop(search);
                let rows = lookup.pipeline_for(row)?.read(&from.0, &from.1, filter, &self.run.access)?;
                return self.documents(rows);
            }
        };
        drop(search);
        if lookup.pipeline.is_empty() {
            return self.documents(rows);
        }
        self.documents(lookup.pipeline_for(row)?.run(rows, self.run.access.clone())?)
    }

    fn documents(&self, rows: Rows) -> CommandResult<Vec<Bson>> {
        let mut bytes = 0;
        let mut documents = Vec::new();
        for row in rows {
            let row = row?;
            bytes += row_bytes(&row);
            if bytes > JOINED_BYTES_MAX {
                let from = self.lookup.from.as_ref().map_or("", |from| from.1.as_str());
                return Err(CommandError::new(
                    4568,
                    format!(
                        "Total size of documents in {from} matching pipeline's $lookup stage exceeds {JOINED_BYTES_MAX} bytes"
                    ),
                ));
            }
            documents.push(Bson::Document(row.into_document()));
        }
        Ok(documents)
    }
}

pub(super) fn apply(lookup: Arc<Lookup>, rows: Rows, run: &Arc<Run>) -> Rows {
    let joiner = Joiner::new(lookup, run);
    Box::new(rows.map(move |row| joiner.join(row?)))
}
