//! Pipelines: stages in order, checked as a whole, then run lazily over rows.

use std::path::PathBuf;
use std::sync::Arc;

use bson::{Bson, Document};

use super::add_fields::restore_places;
use super::expression::OPTIMIZING;
use super::stage::lookup::Joiner;
use super::stage::sort::Sort;
use super::stage::{Match, Place, Stage};
use super::{CollectionAccess, Row, Rows};
use crate::error::{CommandError, CommandResult};
use crate::query::QueryContext;
use crate::query::value::ValueRef;

/// Bytes a blocking stage holds in memory before it spills or fails.
pub const STAGE_BYTES_MAX: usize = 100 * 1024 * 1024;

/// Stages of one pipeline at most (MongoDB manual, "Aggregation Pipeline Limits").
const STAGES_MAX: usize = 1000;

/// Pipelines nested in each other at most (MongoDB: 20 `$lookup`s deep).
const NESTING_MAX: usize = 20;

/// What a command says beside the pipeline, and where its namespace is.
#[derive(Debug, Clone)]
pub struct PipelineOptions {
    /// The database of the command.
    pub database: String,
    /// The collection; `None` for `aggregate: 1`.
    pub collection: Option<String>,
    /// May blocking stages that outgrow [`PipelineOptions::bytes_max`] write temporary files?
    pub allow_disk_use: bool,
    /// Where; `None`: the system's directory for temporary files.
    pub spill_directory: Option<PathBuf>,
    /// Bytes a blocking stage may hold, normally [`STAGE_BYTES_MAX`].
    pub bytes_max: usize,
}

impl PipelineOptions {
    /// For this collection, everything else as MongoDB has it by default.
    pub fn new(database: &str, collection: Option<&str>) -> Self {
        Self {
            database: database.to_owned(),
            collection: collection.map(str::to_owned),
            allow_disk_use: true,
            spill_directory: None,
            bytes_max: STAGE_BYTES_MAX,
        }
    }
}

/// What all stages of a running pipeline share.
pub(super) struct Run {
    pub options: PipelineOptions,
    pub context: QueryContext,
    pub access: Arc<dyn CollectionAccess>,
}

/// The part at the beginning of a pipeline that a find could do, with its indexes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Leading {
    /// All `$match` stages before anything else, together.
    pub filter: Document,
    /// The `$sort` after them.
    pub sort: Option<Document>,
    /// The `$limit` after it, when there is a `$sort` or nothing between.
    pub limit: Option<u64>,
}

/// A checked pipeline.
#[derive(Debug, Clone)]
pub struct Pipeline {
    stages: Vec<Stage>,
    context: QueryContext,
    options: PipelineOptions,
}

impl Pipeline {
    /// Reads the stages of an aggregate command.
    ///
    /// Errors: 40324 for an unknown stage, 40323 for a stage that is not one field, 40601 and 40602 for stages that have
    /// to be the last or the first, `InvalidNamespace` where a collection is needed or must not be, and those of the
    /// stages.
    pub fn parse(stages: &[Bson], options: &PipelineOptions, context: &QueryContext) -> CommandResult<Self> {
        let place = if options.collection.is_some() { Place::Collection } else { Place::Database };
        Self::parse_at(stages, options, context, place, 0)
    }

    /// [`Pipeline::parse`] for a pipeline inside another's stage.
    pub(super) fn parse_at(
        stages: &[Bson],
        options: &PipelineOptions,
        context: &QueryContext,
        place: Place,
        depth: usize,
    ) -> CommandResult<Self> {
        if depth > NESTING_MAX {
            return Err(CommandError::new(5_490_600, format!("pipelines are nested more than {NESTING_MAX} deep")));
        }
        if stages.len() > STAGES_MAX {
            return Err(CommandError::new(
                7_749_501,
                format!("Pipeline length must be no longer than {STAGES_MAX} stages."),
            ));
        }
        let mut parsed = Vec::with_capacity(stages.len());
        let mut optimizing = None;
        for stage in stages {
            let Bson::Document(stage) = stage else {
                return Err(CommandError::type_mismatch(format!(
                    "Each element of the 'pipeline' array must be an object, but found {}",
                    ValueRef::from(stage).type_name()
                )));
            };
            let mut fields = stage.iter();
            let (Some((name, argument)), None) = (fields.next(), fields.next()) else {
                return Err(CommandError::new(
                    40323,
                    "A pipeline stage specification object must contain exactly one field.",
                ));
            };
            match Stage::parse(name, argument, options, context, depth, &mut parsed) {
                // Constant parts are computed after all stages were read.
                Err(error) if error.message.contains(OPTIMIZING) => drop(optimizing.get_or_insert(error)),
                result => result?,
            }
        }
        let mut pipeline = Self { stages: parsed, context: context.clone(), options: options.clone() };
        pipeline.check(place)?;
        if let Some(error) = optimizing {
            return Err(error);
        }
        if place != Place::Update {
            pipeline.rearrange();
        }
        Ok(pipeline)
    }

    /// Brings stages into the order in which MongoDB runs them: a `$match` goes before stages that do not change what it
    /// looks at, and of two `$sort`s in a row the last one counts. It shows where an earlier stage would have failed.
    fn rearrange(&mut self) {
        let mut position = 1;
        while position < self.stages.len() {
            let (before, stage) = (&self.stages[position - 1], &self.stages[position]);
            match (before, stage) {
                (Stage::Sort(_), Stage::Sort(_)) => {
                    self.stages.remove(position - 1);
                    position = position.saturating_sub(1).max(1);
                }
                (before, Stage::Match(filter)) if !matches!(before, Stage::Match(_)) && independent(before, filter) => {
                    self.stages.swap(position - 1, position);
                    position = position.saturating_sub(1).max(1);
                }
                _ => position += 1,
            }
        }
    }

    fn check(&self, place: Place) -> CommandResult<()> {
        for (position, stage) in self.stages.iter().enumerate() {
            let name = stage.name();
            if let Some(error) = stage.forbidden_at(place) {
                return Err(error);
            }
            if stage.must_be_first() && position > 0 {
                return Err(CommandError::new(40602, format!("{name} is only valid as the first stage in a pipeline")));
            }
            if stage.must_be_last() && position + 1 < self.stages.len() {
                return Err(CommandError::new(40601, format!("{name} can only be the final stage in the pipeline")));
            }
        }
        if place == Place::Database && !self.is_source() {
            let name = self.stages.first().map_or("an empty pipeline", Stage::name);
            return Err(CommandError::new(
                crate::error::code::INVALID_NAMESPACE,
                format!("{{aggregate: 1}} is not valid for '{name}'; a collection is required."),
            ));
        }
        Ok(())
    }

    /// True if the first stage makes the rows itself, so that the collection is not read.
    pub fn is_source(&self) -> bool {
        self.stages.first().is_some_and(Stage::is_source)
    }

    /// Where the last stage writes to: `$out`, `$merge`.
    pub fn target(&self) -> Option<(&str, &str)> {
        self.stages.last().and_then(Stage::target)
    }

    /// Other collections the stages read, as database and collection.
    pub fn sources(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for stage in &self.stages {
            stage.sources(&mut found);
        }
        found
    }

    /// Takes the beginning away that a find with a planner does better. [`Pipeline::run`] then wants the rows of that
    /// find. Not for pipelines with [`Pipeline::is_source`].
    pub fn take_leading(&mut self) -> Leading {
        let mut leading = Leading { filter: self.take_filter(), ..Leading::default() };
        if let Some(Stage::Sort(sort)) = self.stages.first() {
            leading.sort = Some(sort.document().clone());
            self.stages.remove(0);
        }
        if let Some(Stage::Limit(limit)) = self.stages.first() {
            leading.limit = Some(*limit);
            self.stages.remove(0);
        }
        leading
    }

    /// Puts the sort and the limit of [`Pipeline::take_leading`] back, for rows that do not come in order.
    pub fn put_back(&mut self, leading: &Leading) -> CommandResult<()> {
        let sort = match &leading.sort {
            Some(sort) => Some(Stage::Sort(Sort::parse(&Bson::Document(sort.clone()), &self.context)?)),
            None => None,
        };
        self.stages.splice(0..0, sort.into_iter().chain(leading.limit.map(Stage::Limit)));
        Ok(())
    }

    /// Takes the `$match` stages at the beginning away; they become one filter.
    fn take_filter(&mut self) -> Document {
        let mut filters = Vec::new();
        while let Some(Stage::Match(stage)) = self.stages.first() {
            if !stage.document().is_empty() {
                filters.push(stage.document().clone());
            }
            self.stages.remove(0);
        }
        match filters.len() {
            0 => Document::new(),
            1 => filters.remove(0),
            _ => bson::doc! { "$and": filters },
        }
    }

    /// Runs the pipeline of a stage over a collection; a filter of the stage's own comes first.
    pub(super) fn read(
        mut self,
        database: &str,
        collection: &str,
        filter: Document,
        access: &Arc<dyn CollectionAccess>,
    ) -> CommandResult<Rows> {
        if self.is_source() {
            return self.run(rows_of([]), access.clone());
        }
        let leading = self.take_filter();
        let filter = match (filter.is_empty(), leading.is_empty()) {
            (true, _) => leading,
            (_, true) => filter,
            _ => bson::doc! { "$and": [filter, leading] },
        };
        let rows = access.find(database, collection, &filter, &self.context)?;
        self.run(rows, access.clone())
    }

    /// Runs the stages over the rows. Rows come out as they are asked for; `$out` and `$merge` write when the first one
    /// is (and give none).
    pub fn run(self, source: Rows, access: Arc<dyn CollectionAccess>) -> CommandResult<Rows> {
        let run = Arc::new(Run { options: self.options, context: self.context, access });
        run_stages(self.stages, source, &run)
    }

    /// True without stages.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }
}

/// Does the filter match the same rows before the stage as after it?
fn independent(stage: &Stage, filter: &Match) -> bool {
    let (Some(changed), Some(paths)) = (stage.changed_paths(), filter.paths()) else { return false };
    let apart = |changed: &[String], path: &str| {
        // Neither may lead through the other.
        !changed.iter().map(String::as_str).zip(path.split('.')).all(|(left, right)| left == right)
    };
    paths.iter().all(|path| changed.iter().all(|changed| apart(changed, path)))
}

/// Chains the stages, those together that do better so.
pub(super) fn run_stages(stages: Vec<Stage>, source: Rows, run: &Arc<Run>) -> CommandResult<Rows> {
    let mut rows = source;
    let mut stages = stages.into_iter().peekable();
    while let Some(stage) = stages.next() {
        rows = match stage {
            Stage::Sort(sort) => match stages.next_if(|next| matches!(next, Stage::Limit(_))) {
                Some(Stage::Limit(limit)) => {
                    sort.apply(rows, Some(usize::try_from(limit).unwrap_or(usize::MAX)), run)?
                }
                _ => sort.apply(rows, None, run)?,
            },
            stage if stage.is_exclusion() => {
                let mut chain = vec![stage];
                while let Some(next) =
                    stages.next_if(|next| next.is_exclusion() || matches!(next, Stage::AddFields { .. }))
                {
                    chain.push(next);
                }
                let joined = stages.next_if(|next| matches!(next, Stage::Lookup(_)));
                match joined {
                    Some(Stage::Lookup(lookup)) => {
                        let joiner = Joiner::new(lookup.clone(), run);
                        Box::new(rows.map(move |row| {
                            let places = row?;
                            let row = joiner.join(apply_in_turn(&chain, places.clone())?)?;
                            Ok(restored(&places, row, &[lookup.joined_path()]))
                        }))
                    }
                    _ => Box::new(rows.map(move |row| apply_in_turn(&chain, row?))),
                }
            }
            stage => stage.apply(rows, run)?,
        };
    }
    Ok(rows)
}

fn restored(places: &Row, row: Row, paths: &[&[String]]) -> Row {
    Row::Owned(restore_places(places.as_ref(), row.into_document(), paths))
}

/// Stages that look at one row at a time, over one row. A field taken out and set again keeps its place.
fn apply_in_turn(stages: &[Stage], row: Row) -> CommandResult<Row> {
    let mut row = row;
    let mut places: Option<Row> = None;
    for stage in stages {
        let before = row;
        row = stage.apply_one(before.clone())?;
        match stage {
            Stage::AddFields { fields, .. } => {
                if let Some(places) = &places {
                    let paths = fields.paths();
                    row = restored(places, row, &paths.iter().map(Vec::as_slice).collect::<Vec<_>>());
                }
            }
            stage if stage.is_exclusion() => drop(places.get_or_insert(before)),
            _ => places = None,
        }
    }
    Ok(row)
}

/// Rows of documents at hand.
pub(super) fn rows_of(documents: impl IntoIterator<Item = Document, IntoIter: Send + 'static>) -> Rows {
    Box::new(documents.into_iter().map(|document| Ok(Row::Owned(document))))
}

/// Rows that are computed when the first one is asked for.
pub(super) fn deferred(compute: impl FnOnce() -> CommandResult<Rows> + Send + 'static) -> Rows {
    Box::new(Deferred { compute: Some(compute), rows: None })
}

struct Deferred<F> {
    compute: Option<F>,
    rows: Option<Rows>,
}

impl<F: FnOnce() -> CommandResult<Rows>> Iterator for Deferred<F> {
    type Item = CommandResult<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(compute) = self.compute.take() {
            match compute() {
                Ok(rows) => self.rows = Some(rows),
                Err(error) => return Some(Err(error)),
            }
        }
        self.rows.as_mut()?.next()
    }
}

/// An update written as a pipeline.
#[derive(Debug, Clone)]
pub struct UpdatePipeline {
    stages: Vec<Stage>,
}

impl UpdatePipeline {
    /// Reads `$set`, `$addFields`, `$unset`, `$project`, `$replaceRoot` and `$replaceWith`.
    ///
    /// Errors: `InvalidOptions` (72) for stages an update may not have, and those of the stages.
    pub fn parse(stages: &[Bson], context: &QueryContext) -> CommandResult<Self> {
        let options = PipelineOptions::new("", Some(""));
        let parsed = Pipeline::parse_at(stages, &options, context, Place::Update, 0)?;
        Ok(Self { stages: parsed.stages })
    }

    /// The updated document. `_id` is the caller's to check.
    pub fn apply(&self, document: &Document) -> CommandResult<Document> {
        Ok(apply_in_turn(&self.stages, Row::Owned(document.clone()))?.into_document())
    }
}
