//! `$out` and `$merge`: results into a collection.

use std::sync::Arc;

use bson::{Bson, Document, doc};

use super::{namespace, object};
use crate::aggregate::expression::{Expression, check_bindable_name, split_path};
use crate::aggregate::pipeline::{PipelineOptions, Run, UpdatePipeline, deferred, rows_of};
use crate::aggregate::{Row, Rows};
use crate::error::{CommandError, CommandResult, code};
use crate::query::QueryContext;
use crate::query::value::ValueRef;

/// A parsed `$out`.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct Out {
    database: String,
    collection: String,
}

impl Out {
    /// Reads a collection's name or `{ db, coll }`.
    pub fn parse(argument: &Bson, options: &PipelineOptions) -> CommandResult<Self> {
        if let Bson::Document(document) = argument {
            if document.contains_key("timeseries") {
                return Err(CommandError::not_supported("A time series collection as the target of $out"));
            }
            if let Some(unknown) = document.keys().find(|key| !matches!(key.as_str(), "db" | "coll")) {
                return Err(CommandError::new(40415, format!("BSON field '$out.{unknown}' is an unknown field.")));
            }
        }
        let (database, collection) = namespace(argument, options).ok_or_else(|| {
            CommandError::new(
                16990,
                format!(
                    "$out only supports a string or object argument, but found {}",
                    ValueRef::from(argument).type_name()
                ),
            )
        })?;
        check_target("$out", &database, &collection)?;
        Ok(Self { database, collection })
    }

    pub fn target(&self) -> (&str, &str) {
        (&self.database, &self.collection)
    }
}

fn check_target(name: &str, database: &str, collection: &str) -> CommandResult<()> {
    if database.is_empty() || collection.is_empty() || collection.contains('\0') || collection.contains('$') {
        return Err(CommandError::new(
            code::INVALID_NAMESPACE,
            format!("Invalid {name} target namespace, '{database}.{collection}'"),
        ));
    }
    if collection.starts_with("system.") || matches!(database, "admin" | "config" | "local") {
        return Err(CommandError::new(17385, format!("Can't {name} to special collection: {collection}")));
    }
    Ok(())
}

/// The document with an `_id`, which comes first.
fn with_id(document: Document) -> Document {
    if document.contains_key("_id") {
        return document;
    }
    let mut complete = doc! { "_id": bson::oid::ObjectId::new() };
    complete.extend(document);
    complete
}

pub(super) fn apply_out(out: Arc<Out>, rows: Rows, run: &Arc<Run>) -> Rows {
    let run = run.clone();
    deferred(move || {
        let documents =
            rows.map(|row| row.map(|row| with_id(row.into_document()))).collect::<CommandResult<Vec<_>>>()?;
        run.access.replace_collection(&out.database, &out.collection, documents)?;
        Ok(rows_of([]))
    })
}

/// What happens to a document that is there already.
#[derive(Debug, Clone)]
enum WhenMatched {
    Replace,
    Merge,
    KeepExisting,
    Fail,
    Update(Vec<Bson>),
}

/// What happens to a document that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenNotMatched {
    Insert,
    Discard,
    Fail,
}

/// A parsed `$merge`.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct Merge {
    database: String,
    collection: String,
    on: Vec<String>,
    /// Was `on` written, so that the target has to have a fitting index?
    on_given: bool,
    when_matched: WhenMatched,
    when_not_matched: WhenNotMatched,
    variables: Option<Vec<(String, Expression)>>,
    context: QueryContext,
}

impl Merge {
    /// Reads a collection's name or `{ into, on, let, whenMatched, whenNotMatched }`.
    pub fn parse(argument: &Bson, options: &PipelineOptions, context: &QueryContext) -> CommandResult<Self> {
        let named;
        let document = match argument {
            Bson::String(name) => {
                named = doc! { "into": name };
                &named
            }
            other => object(51182, "$merge", other)?,
        };
        let mut merge = Self {
            database: String::new(),
            collection: String::new(),
            on: vec!["_id".to_owned()],
            on_given: false,
            when_matched: WhenMatched::Merge,
            when_not_matched: WhenNotMatched::Insert,
            variables: None,
            context: context.clone(),
        };
        let mut target = None;
        for (name, value) in document {
            match name.as_str() {
                "into" => {
                    target = Some(namespace(value, options).ok_or_else(|| {
                        CommandError::new(
                            51178,
                            format!(
                                "$merge 'into' field must be either a string or an object, but found {}",
                                ValueRef::from(value).type_name()
                            ),
                        )
                    })?);
                }
                "on" => {
                    merge.on = fields(value)?;
                    merge.on_given = true;
                }
                "let" => {
                    let Bson::Document(bindings) = value else {
                        return Err(CommandError::type_mismatch("BSON field '$merge.let' must be an object"));
                    };
                    let mut variables = Vec::with_capacity(bindings.len());
                    for (name, value) in bindings {
                        check_bindable_name(name)?;
                        variables.push((name.clone(), Expression::parse(value, context)?));
                    }
                    merge.variables = Some(variables);
                }
                "whenMatched" => {
                    merge.when_matched = match value {
                        Bson::Array(stages) => WhenMatched::Update(stages.clone()),
                        Bson::String(mode) => match mode.as_str() {
                            "replace" => WhenMatched::Replace,
                            "merge" => WhenMatched::Merge,
                            "keepExisting" => WhenMatched::KeepExisting,
                            "fail" => WhenMatched::Fail,
                            _ => {
                                return Err(CommandError::bad_value(format!(
                                    "Enumeration value '{mode}' for field 'whenMatched' is not a valid value."
                                )));
                            }
                        },
                        other => {
                            return Err(CommandError::new(
                                51191,
                                format!(
                                    "$merge 'whenMatched' field must be either a string or an array, but found {}",
                                    ValueRef::from(other).type_name()
                                ),
                            ));
                        }
                    };
                }
                "whenNotMatched" => {
                    merge.when_not_matched = match value.as_str() {
                        Some("insert") => WhenNotMatched::Insert,
                        Some("discard") => WhenNotMatched::Discard,
                        Some("fail") => WhenNotMatched::Fail,
                        _ => {
                            return Err(CommandError::bad_value(format!(
                                "Enumeration value {value} for field '$merge.whenNotMatched' is not a valid value."
                            )));
                        }
                    };
                }
                _ => return Err(CommandError::new(40415, format!("BSON field '$merge.{name}' is an unknown field."))),
            }
        }
        let (database, collection) = target
            .ok_or_else(|| CommandError::new(40414, "BSON field '$merge.into' is missing but a required field"))?;
        check_target("$merge", &database, &collection)?;
        (merge.database, merge.collection) = (database, collection);
        merge.check()?;
        Ok(merge)
    }

    fn check(&self) -> CommandResult<()> {
        let modes = match (&self.when_matched, self.when_not_matched) {
            (WhenMatched::KeepExisting, WhenNotMatched::Discard) => Some(("keepExisting", "discard")),
            (WhenMatched::KeepExisting, WhenNotMatched::Fail) => Some(("keepExisting", "fail")),
            (WhenMatched::Fail, WhenNotMatched::Discard) => Some(("fail", "discard")),
            (WhenMatched::Fail, WhenNotMatched::Fail) => Some(("fail", "fail")),
            _ => None,
        };
        if let Some((matched, not_matched)) = modes {
            return Err(CommandError::new(
                51181,
                format!(
                    "Combination of $merge modes 'whenMatched: {matched}' and 'whenNotMatched: {not_matched}' is not supported"
                ),
            ));
        }
        match &self.when_matched {
            WhenMatched::Update(stages) => {
                let mut context = self.context.clone();
                context.variables.insert("new", Bson::Undefined);
                for (name, _) in self.variables.iter().flatten() {
                    context.variables.insert(name.as_str(), Bson::Undefined);
                }
                UpdatePipeline::parse(stages, &context).map(drop)
            }
            _ if self.variables.is_some() => {
                Err(CommandError::new(51199, "Cannot use 'let' variables with 'whenMatched' other than a pipeline"))
            }
            _ => Ok(()),
        }
    }

    pub fn target(&self) -> (&str, &str) {
        (&self.database, &self.collection)
    }

    /// The filter that finds the document to merge with.
    fn filter(&self, document: &Document) -> CommandResult<Document> {
        let mut filter = Document::new();
        for path in &self.on {
            let components = split_path(path)?;
            match super::owned_at((document).into(), &components) {
                None | Some(Bson::Null | Bson::Undefined) => {
                    return Err(CommandError::new(
                        51132,
                        "$merge write error: 'on' field cannot be missing, null, undefined or an array",
                    ));
                }
                Some(Bson::Array(_)) => {
                    return Err(CommandError::new(
                        51185,
                        "$merge write error: 'on' field cannot be missing, null, undefined or an array",
                    ));
                }
                Some(value) => drop(filter.insert(path.as_str(), doc! { "$eq": value })),
            }
        }
        Ok(filter)
    }

    fn write(&self, row: Row, run: &Run) -> CommandResult<()> {
        // A new `_id` for a document that is found by other fields would be a change of the `_id` it has.
        let by_id = self.on.iter().any(|path| path == "_id");
        let document = if by_id { with_id(row.into_document()) } else { row.into_document() };
        let filter = self.filter(&document)?;
        let mut context = self.context.clone();
        let update = match &self.when_matched {
            WhenMatched::Fail => {
                return run.access.insert(&self.database, &self.collection, document);
            }
            // Nothing changes where it matches; an update that does nothing tells whether it does.
            WhenMatched::KeepExisting => Bson::Array(vec![Bson::Document(doc! { "$replaceWith": "$$ROOT" })]),
            WhenMatched::Replace => Bson::Document(document.clone()),
            WhenMatched::Merge => {
                let mut fields = document.clone();
                // The `_id` stays what it is; one that would change it fails as an update does.
                if self.on == ["_id"] {
                    fields.remove("_id");
                }
                // Names with dots or dollar signs are names here, not paths, hence no `$set` operator.
                Bson::Array(vec![Bson::Document(doc! {
                    "$replaceWith": { "$mergeObjects": ["$$ROOT", { "$literal": fields }] }
                })])
            }
            WhenMatched::Update(stages) => {
                let row = (&document).into();
                match &self.variables {
                    None => drop(context.variables.insert("new", document.clone())),
                    Some(variables) => {
                        for (name, expression) in variables {
                            let row: crate::query::value::DocumentRef<'_> = row;
                            let value = expression.evaluate(row)?.unwrap_or(Bson::Undefined);
                            context.variables.insert(name.as_str(), value);
                        }
                    }
                }
                Bson::Array(stages.clone())
            }
        };
        if run.access.update(&self.database, &self.collection, &filter, &update, &context)? {
            return Ok(());
        }
        match self.when_not_matched {
            WhenNotMatched::Insert => run.access.insert(&self.database, &self.collection, document),
            WhenNotMatched::Discard => Ok(()),
            WhenNotMatched::Fail => Err(CommandError::new(
                13113,
                "$merge could not find a matching document in the target collection for at least one document in the source collection",
            )),
        }
    }
}

fn fields(value: &Bson) -> CommandResult<Vec<String>> {
    let wrong = || {
        CommandError::new(
            51186,
            format!(
                "$merge 'on' field must be either a string or an array of strings, but found {}",
                ValueRef::from(value).type_name()
            ),
        )
    };
    let names = match value {
        Bson::String(name) => vec![name.clone()],
        Bson::Array(items) if items.is_empty() => {
            return Err(CommandError::new(
                51187,
                "If explicitly specifying $merge 'on', must include at least one field",
            ));
        }
        Bson::Array(items) => items
            .iter()
            .map(|item| {
                item.as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| CommandError::new(51134, "$merge 'on' array elements must be strings"))
            })
            .collect::<CommandResult<_>>()?,
        _ => return Err(wrong()),
    };
    for (position, name) in names.iter().enumerate() {
        split_path(name)?;
        if names[..position].contains(name) {
            return Err(CommandError::new(31465, format!("Found a duplicate field '{name}'")));
        }
    }
    Ok(names)
}

pub(super) fn apply_merge(merge: Arc<Merge>, rows: Rows, run: &Arc<Run>) -> CommandResult<Rows> {
    if merge.on_given && !run.access.has_unique_index(&merge.database, &merge.collection, &merge.on) {
        return Err(CommandError::new(51183, "Cannot find index to verify that join fields will be unique"));
    }
    let run = run.clone();
    Ok(deferred(move || {
        for row in rows {
            merge.write(row?, &run)?;
        }
        Ok(rows_of([]))
    }))
}
