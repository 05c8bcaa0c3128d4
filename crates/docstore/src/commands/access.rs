//! How pipelines reach collections: [`CollectionAccess`] on the state a command sees.

use std::sync::Arc;

use bson::{Bson, Document, doc};

use super::read::{parse_hint, resolve};
use super::write::{UpdateStatement, run_update};
use super::{Call, ReadPoint, admin};
use crate::aggregate::{CollectionAccess, Pipeline, PipelineOptions, Row, Rows};
use crate::bytes;
use crate::catalog::{Collection, IndexKind, Namespace};
use crate::documents;
use crate::error::{CommandError, CommandResult, code};
use crate::plan::{Match, Matches, Plan, Query};
use crate::query::{Filter, QueryContext, SortSpec};
use crate::server::Shared;
use crate::store::Writes;

/// A command's way to collections. Reads see the command's state; writes commit one by one.
pub struct Access {
    shared: Arc<Shared>,
    point: ReadPoint,
    bypass_validation: bool,
}

impl Access {
    /// For one command.
    pub fn new(call: &Call<'_>, point: &ReadPoint) -> Self {
        Self {
            shared: Arc::clone(call.shared),
            point: ReadPoint {
                view: point.view.clone(),
                catalog: Arc::clone(&point.catalog),
                is_transaction: point.is_transaction,
            },
            bypass_validation: call.body.get_bool("bypassDocumentValidation").unwrap_or(false),
        }
    }

    /// Runs stages over a collection (views already resolved). The flag: do they write?
    #[allow(clippy::too_many_arguments)]
    pub fn run(
        self: Arc<Self>,
        namespace: &Namespace,
        collection: Option<Arc<Collection>>,
        stages: &[Bson],
        context: &QueryContext,
        hint: Option<&Bson>,
        is_database: bool,
        allow_disk_use: bool,
    ) -> CommandResult<(Rows, bool)> {
        let name = (!is_database).then_some(namespace.collection.as_str());
        let mut options = PipelineOptions::new(&namespace.database, name);
        options.allow_disk_use = allow_disk_use;
        let mut pipeline = Pipeline::parse(stages, &options, context)?;
        let writes = pipeline.target().is_some();
        if pipeline.is_source() {
            return pipeline.run(Box::new(std::iter::empty()), self).map(|rows| (rows, writes));
        }
        let leading = pipeline.take_leading();
        let sort = match &leading.sort {
            Some(sort) => Some(SortSpec::parse(sort, context)?),
            None => None,
        };
        let source: Rows = match collection {
            None => {
                // Errors of the filter are told even where there is nothing to filter.
                Filter::parse(&leading.filter, context)?;
                Box::new(std::iter::empty())
            }
            Some(collection) => {
                let (matches, is_sorted) = self.matching(&collection, &leading.filter, sort.as_ref(), hint, context)?;
                if sort.is_some() && !is_sorted {
                    // The stage does it, which may use the disk.
                    pipeline.put_back(&leading)?;
                    as_rows(matches)
                } else {
                    let limit = leading.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
                    Box::new(as_rows(matches).take(limit))
                }
            }
        };
        pipeline.run(source, self).map(|rows| (rows, writes))
    }

    /// Documents that match, in natural order or the order of `sort` where an index has it.
    fn matching(
        &self,
        collection: &Arc<Collection>,
        filter: &Document,
        sort: Option<&SortSpec>,
        hint: Option<&Bson>,
        context: &QueryContext,
    ) -> CommandResult<(Matches, bool)> {
        let filter = Arc::new(Filter::parse(filter, context)?);
        let (hint, natural) = parse_hint(hint)?;
        let query = Query {
            filter: &filter,
            sort,
            natural,
            hint: hint.as_ref(),
            collation: context.collation(),
            min: None,
            max: None,
        };
        let plan = Plan::choose(&self.point.view, collection, &query)?;
        let matches = Matches::new(plan.rows(&self.point.view, collection)?, filter);
        Ok((matches, plan.is_sorted))
    }

    fn write<T>(&self, run: impl FnMut(&mut crate::store::Writer<'_>) -> CommandResult<T>) -> CommandResult<T> {
        if self.point.is_transaction {
            return Err(CommandError::new(
                code::OPERATION_NOT_SUPPORTED_IN_TRANSACTION,
                "$out and $merge cannot be used in a transaction",
            ));
        }
        let mut writes = Writes::auto(&self.shared.store);
        let outcome = writes.statement(run)?;
        writes.finish(false)?;
        Ok(outcome)
    }
}

fn as_rows(matches: Matches) -> Rows {
    Box::new(matches.map(|found: CommandResult<Match>| Ok(Row::Stored(found?.stored))))
}

impl CollectionAccess for Access {
    fn find(&self, database: &str, collection: &str, filter: &Document, context: &QueryContext) -> CommandResult<Rows> {
        let namespace = Namespace::new(database, collection)?;
        let (target, mut stages, found) = resolve(&self.point, &namespace)?;
        if stages.is_empty() {
            return match found {
                Some(found) => Ok(as_rows(self.matching(&found, filter, None, None, context)?.0)),
                None => Ok(Box::new(std::iter::empty())),
            };
        }
        if !filter.is_empty() {
            stages.push(Bson::Document(doc! { "$match": filter.clone() }));
        }
        let access = Arc::new(Self {
            shared: Arc::clone(&self.shared),
            point: ReadPoint {
                view: self.point.view.clone(),
                catalog: Arc::clone(&self.point.catalog),
                is_transaction: self.point.is_transaction,
            },
            bypass_validation: self.bypass_validation,
        });
        access.run(&target, found, &stages, context, None, false, true).map(|(rows, _)| rows)
    }

    fn has_index_on(&self, database: &str, collection: &str, path: &str) -> bool {
        let namespace = Namespace { database: database.to_owned(), collection: collection.to_owned() };
        self.point.collection(&namespace).is_some_and(|collection| {
            collection.indexes.iter().any(|index| {
                index.kind == IndexKind::Ordered
                    && !index.hidden
                    && !index.sparse
                    && index.partial.is_none()
                    && index.parts.first().is_some_and(|(first, _)| first == path)
            })
        })
    }

    fn has_unique_index(&self, database: &str, collection: &str, fields: &[String]) -> bool {
        if fields == ["_id"] {
            return true;
        }
        let namespace = Namespace { database: database.to_owned(), collection: collection.to_owned() };
        let current = self.shared.store.read().collection(&namespace);
        current.is_some_and(|collection| {
            collection.indexes.iter().any(|index| {
                index.is_unique()
                    && !index.sparse
                    && index.partial.is_none()
                    && index.parts.len() == fields.len()
                    && index.parts.iter().all(|(path, _)| fields.contains(path))
            })
        })
    }

    fn geo_indexes(&self, database: &str, collection: &str) -> Vec<Document> {
        let namespace = Namespace { database: database.to_owned(), collection: collection.to_owned() };
        self.point.collection(&namespace).map_or_else(Vec::new, |collection| {
            let geo = collection.indexes.iter().filter(|index| index.kind == IndexKind::Geo);
            geo.map(|index| index.key_pattern()).collect()
        })
    }

    fn insert(&self, database: &str, collection: &str, document: Document) -> CommandResult<()> {
        let namespace = Namespace::new(database, collection)?;
        let raw = bytes::raw_from_document(&document)?;
        self.write(|writer| {
            let stored = documents::prepare_insert(&raw, Some(self.shared.store.next_time()))?;
            let target = admin::ensure_collection(writer, &namespace)?;
            documents::insert(writer, &target, stored, self.bypass_validation).map(drop)
        })
    }

    fn update(
        &self,
        database: &str,
        collection: &str,
        filter: &Document,
        update: &Bson,
        context: &QueryContext,
    ) -> CommandResult<bool> {
        let namespace = Namespace::new(database, collection)?;
        let statement = UpdateStatement::one(filter.clone(), update.clone());
        self.write(|writer| {
            run_update(writer, &namespace, &statement, context, self.bypass_validation, false)
                .and_then(|outcome| Ok(outcome.complete()?.matched > 0))
        })
    }

    fn replace_collection(&self, database: &str, collection: &str, documents: Vec<Document>) -> CommandResult<()> {
        let namespace = Namespace::new(database, collection)?;
        self.write(|writer| admin::replace_all(writer, &namespace, &documents))
    }

    fn collection_stats(&self, database: &str, collection: &str, options: &Document) -> CommandResult<Document> {
        let namespace = Namespace { database: database.to_owned(), collection: collection.to_owned() };
        let found = self.point.collection(&namespace).ok_or_else(|| {
            CommandError::new(code::NAMESPACE_NOT_FOUND, format!("Collection [{namespace}] not found."))
        })?;
        let mut row = doc! {
            "ns": namespace.to_string(),
            "host": &self.shared.host,
            "localTime": bson::DateTime::now(),
        };
        if options.contains_key("latencyStats") {
            let none = doc! { "latency": 0_i64, "ops": 0_i64 };
            row.insert("latencyStats", doc! { "reads": none.clone(), "writes": none.clone(), "commands": none });
        }
        if let Ok(storage) = options.get_document("storageStats") {
            let scale = storage.get("scale").and_then(|scale| crate::query::ValueRef::from(scale).as_exact_i64());
            let mut stats = admin::stats_of(&self.point.catalog, &namespace, scale.unwrap_or(1).max(1));
            stats.remove("ns");
            row.insert("storageStats", stats);
        }
        if options.contains_key("count") {
            let documents = found.counters.documents.load(std::sync::atomic::Ordering::Acquire);
            row.insert("count", super::count_reply(documents));
        }
        if options.contains_key("queryExecStats") {
            row.insert("queryExecStats", doc! { "collectionScans": { "total": 0_i64, "nonTailable": 0_i64 } });
        }
        Ok(row)
    }

    fn index_stats(&self, database: &str, collection: &str) -> CommandResult<Vec<Document>> {
        let namespace = Namespace { database: database.to_owned(), collection: collection.to_owned() };
        let Some(found) = self.point.collection(&namespace) else { return Ok(Vec::new()) };
        Ok(found
            .indexes
            .iter()
            .map(|index| {
                doc! {
                    "name": &index.name,
                    "key": index.key_pattern(),
                    "host": &self.shared.host,
                    "accesses": { "ops": 0_i64, "since": bson::DateTime::now() },
                    "spec": index.specification.clone(),
                }
            })
            .collect())
    }

    fn current_operations(&self, _: &Document) -> CommandResult<Vec<Document>> {
        Ok(Vec::new())
    }

    fn local_sessions(&self) -> CommandResult<Vec<Document>> {
        let uuid = |bytes: Vec<u8>| bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes };
        Ok(self
            .shared
            .sessions
            .ids()
            .into_iter()
            .map(|id| doc! { "_id": { "id": uuid(id) }, "lastUse": bson::DateTime::now() })
            .collect())
    }
}
