//! Commands about databases and collections.

use std::sync::Arc;

use bson::{Bson, Document, doc};

use super::{Call, Reply, count_reply, fields, single_batch};
use crate::catalog::{Catalog, Collection, Index, Namespace};
use crate::changes::{Change, Kind, Subject};
use crate::documents;
use crate::error::{CommandError, CommandResult, code};
use crate::query::{Filter, QueryContext, ValueRef};
use crate::store::Writer;

const CREATE_FIELDS: &[&str] = &[
    "capped",
    "size",
    "max",
    "autoIndexId",
    "idIndex",
    "storageEngine",
    "validator",
    "validationLevel",
    "validationAction",
    "indexOptionDefaults",
    "viewOn",
    "pipeline",
    "collation",
    "flags",
    "temp",
    "timeseries",
    "expireAfterSeconds",
    "clusteredIndex",
    "changeStreamPreAndPostImages",
    "encryptedFields",
];
/// Views on views.
const VIEW_DEPTH_MAX: usize = 20;

/// The collection, made if missing. Errors: `CommandNotSupportedOnView` (166).
pub fn ensure_collection(writer: &mut Writer<'_>, namespace: &Namespace) -> CommandResult<Arc<Collection>> {
    if let Some(collection) = writer.transaction().collection(namespace) {
        refuse_view(&collection)?;
        return Ok(collection);
    }
    if namespace.collection.starts_with("system.") {
        return Err(CommandError::new(code::INVALID_NAMESPACE, format!("cannot write to '{namespace}'")));
    }
    new_collection(writer, namespace.clone(), Document::new())
}

/// Errors: `CommandNotSupportedOnView` (166).
pub fn refuse_view(collection: &Collection) -> CommandResult<()> {
    if collection.view.is_some() {
        return Err(CommandError::new(
            code::COMMAND_NOT_SUPPORTED_ON_VIEW,
            format!("Namespace {} is a view, not a collection", collection.namespace),
        ));
    }
    Ok(())
}

/// Adds a collection or view to the catalog.
pub fn new_collection(
    writer: &mut Writer<'_>,
    namespace: Namespace,
    options: Document,
) -> CommandResult<Arc<Collection>> {
    let id = writer.next_collection_id();
    let indexes = if options.contains_key("viewOn") {
        Vec::new()
    } else {
        let collation = options.get_document("collation").ok();
        let index = Index::build(writer.next_index_id(), Index::id_specification(collation), Arc::default())?;
        vec![Arc::new(index)]
    };
    let counters: Arc<crate::catalog::Counters> = Arc::default();
    counters.next_record.store(1, std::sync::atomic::Ordering::Release);
    let collection = Collection::build(id, namespace, crate::random_uuid(), options, indexes, counters)?;
    let collection = writer.put_collection(collection)?;
    if let Some(index) = collection.id_index() {
        let mut description = doc! { "idIndex": index.specification.clone() };
        description.extend(collection.options.clone());
        log_definition(writer, Kind::Create, &collection, &description)?;
    }
    writer.touch(&collection)?;
    Ok(collection)
}

/// Notes a change of a collection itself for change streams.
pub fn log_definition(
    writer: &mut Writer<'_>,
    kind: Kind,
    collection: &Arc<Collection>,
    description: &Document,
) -> CommandResult<()> {
    writer.log(|| Ok(Change::of(kind, collection, vec![crate::bytes::from_document(description)?.into()])))
}

/// Removes a collection or view for good.
fn drop_logged(writer: &mut Writer<'_>, collection: &Arc<Collection>) -> CommandResult<()> {
    writer.remove_collection(collection, false)?;
    if collection.view.is_some() {
        return Ok(());
    }
    writer.log(|| Ok(Change::of(Kind::Drop, collection, Vec::new())))
}

pub fn create(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    let body = call.body;
    fields::only("create", body, CREATE_FIELDS)?;
    for unsupported in ["timeseries", "clusteredIndex", "encryptedFields"] {
        if body.contains_key(unsupported) {
            return Err(CommandError::not_supported(format!("create with '{unsupported}'")));
        }
    }
    let mut options = Document::new();
    for name in CREATE_FIELDS {
        if let Some(value) = body.get(name)
            && !matches!(*name, "autoIndexId" | "idIndex" | "flags" | "temp" | "storageEngine" | "indexOptionDefaults")
        {
            options.insert(*name, value.clone());
        }
    }
    let is_capped = fields::boolean(body, "capped")?.unwrap_or(false);
    if is_capped {
        let size = fields::integer(body, "size")?;
        if size.is_none() {
            return Err(CommandError::new(code::INVALID_OPTIONS, "the 'size' field is required when 'capped' is true"));
        }
        // MongoDB rounds up to a multiple of 256, and to 4096 at least.
        let size = size.unwrap_or(4096).max(4096).saturating_add(255) / 256 * 256;
        options.insert("size", count_reply(size));
    } else {
        options.remove("capped");
        if body.contains_key("size") || body.contains_key("max") {
            return Err(CommandError::new(
                code::INVALID_OPTIONS,
                "the 'capped' field needs to be true when either the 'size' or 'max' fields are present",
            ));
        }
    }
    if let Some(collation) = fields::document(body, "collation")? {
        match crate::query::Collation::parse(collation)? {
            Some(parsed) => drop(options.insert("collation", parsed.specification().clone())),
            None => drop(options.remove("collation")),
        }
    }
    check_validation(body, call)?;
    if body.contains_key("viewOn") {
        check_view(call, &namespace, &mut options)?;
    } else if body.contains_key("pipeline") {
        return Err(CommandError::new(code::INVALID_OPTIONS, "'pipeline' requires 'viewOn' to also be specified"));
    }
    let mut writes = call.writes();
    writes.statement(|writer| {
        if let Some(existing) = writer.transaction().collection(&namespace) {
            if existing.options == options && !existing.options.is_empty() {
                return Ok(());
            }
            return Err(CommandError::new(
                code::NAMESPACE_EXISTS,
                format!("Collection already exists. NS: {namespace}"),
            ));
        }
        new_collection(writer, namespace.clone(), options.clone()).map(drop)
    })?;
    writes.finish(true)?;
    Ok(Document::new().into())
}

fn check_validation(body: &Document, call: &Call<'_>) -> CommandResult<()> {
    if let Some(validator) = fields::document(body, "validator")? {
        let collation = call.collation(fields::document(body, "collation")?, None)?;
        Filter::parse(validator, &QueryContext { collation, ..QueryContext::default() })?;
    }
    for (name, allowed) in
        [("validationLevel", &["off", "strict", "moderate"][..]), ("validationAction", &["error", "warn"][..])]
    {
        if let Some(value) = fields::text(body, name)?
            && !allowed.contains(&value)
        {
            return Err(CommandError::bad_value(format!(
                "Enumeration value '{value}' for field '{name}' is not a valid value."
            )));
        }
    }
    Ok(())
}

fn check_view(call: &Call<'_>, namespace: &Namespace, options: &mut Document) -> CommandResult<()> {
    let on = fields::text(call.body, "viewOn")?.unwrap_or_default().to_owned();
    Namespace::new(&call.database, &on)
        .map_err(|_| CommandError::bad_value("'viewOn' must name a collection of the same database"))?;
    if on == namespace.collection {
        return Err(CommandError::new(
            code::GRAPH_CONTAINS_CYCLE,
            format!("View cycle detected: {namespace} => {namespace}"),
        ));
    }
    let pipeline = match call.body.get("pipeline") {
        None => Vec::new(),
        Some(Bson::Array(stages)) => stages.clone(),
        Some(other) => return Err(fields::wrong_type("create", "pipeline", other, "array")),
    };
    for stage in &pipeline {
        let name = stage.as_document().and_then(|stage| stage.keys().next()).map(String::as_str);
        if matches!(name, Some("$out" | "$merge")) {
            return Err(CommandError::new(
                code::OPTION_NOT_SUPPORTED_ON_VIEW,
                "The aggregation stage $out in the pipeline cannot be used in the view definition because it writes to disk",
            ));
        }
    }
    super::read::check_pipeline(call, &pipeline)?;
    options.insert("pipeline", pipeline);
    let point = call.read_point();
    let mut at = Namespace { database: call.database.clone(), collection: on };
    for _ in 0..VIEW_DEPTH_MAX {
        if at == *namespace {
            return Err(CommandError::new(code::GRAPH_CONTAINS_CYCLE, format!("View cycle detected: {namespace}")));
        }
        match point.catalog.get(&at).and_then(|collection| collection.view.as_ref()) {
            Some(view) => at.collection = view.on.clone(),
            None => return Ok(()),
        }
    }
    Err(CommandError::new(
        code::VIEW_DEPTH_LIMIT_EXCEEDED,
        format!("View depth too deep or view cycle detected; maximum depth is {VIEW_DEPTH_MAX}"),
    ))
}

pub fn coll_mod(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    let body = call.body;
    fields::only(
        "collMod",
        body,
        &[
            "validator",
            "validationLevel",
            "validationAction",
            "index",
            "viewOn",
            "pipeline",
            "cappedSize",
            "cappedMax",
            "changeStreamPreAndPostImages",
            "expireAfterSeconds",
            "dryRun",
        ],
    )?;
    check_validation(body, call)?;
    let index_change = fields::document(body, "index")?.cloned();
    let mut view_options = Document::new();
    if body.contains_key("viewOn") {
        view_options.insert("viewOn", fields::text(body, "viewOn")?.unwrap_or_default());
        check_view(call, &namespace, &mut view_options)?;
    }
    let mut writes = call.writes();
    let reply = writes.statement(|writer| {
        let Some(collection) = writer.transaction().collection(&namespace) else {
            return Err(CommandError::new(code::NAMESPACE_NOT_FOUND, "ns does not exist"));
        };
        if collection.view.is_some() && view_options.is_empty() {
            return Err(CommandError::new(code::INVALID_OPTIONS, "option not supported on a view"));
        }
        writer.exclusive(&collection)?;
        let mut options = collection.options.clone();
        for name in ["validator", "validationLevel", "validationAction", "changeStreamPreAndPostImages"] {
            if let Some(value) = body.get(name) {
                options.insert(name, value.clone());
            }
        }
        // What a validator's level and action are by default becomes visible once one is set.
        if options.contains_key("validator") {
            for (name, default) in [("validationLevel", "strict"), ("validationAction", "error")] {
                if !options.contains_key(name) {
                    options.insert(name, default);
                }
            }
        }
        for (from, to) in [("cappedSize", "size"), ("cappedMax", "max")] {
            if let Some(value) = body.get(from) {
                if collection.capped.is_none() {
                    return Err(CommandError::new(code::INVALID_OPTIONS, "collection isn't capped"));
                }
                options.insert(to, value.clone());
            }
        }
        for (name, value) in &view_options {
            options.insert(name, value.clone());
        }
        let mut indexes = collection.indexes.clone();
        let mut reply = Document::new();
        if let Some(change) = &index_change {
            change_index(&mut indexes, change, &mut reply)?;
        }
        let changed = collection.with(options, indexes)?;
        let changed = writer.put_collection(changed)?;
        if changed.view.is_none() {
            log_definition(writer, Kind::Modify, &changed, &own_fields(body))?;
        }
        Ok(reply)
    })?;
    writes.finish(true)?;
    Ok(reply.into())
}

/// The command's own fields, without those any command may have.
fn own_fields(body: &Document) -> Document {
    body.iter()
        .skip(1)
        .filter(|(name, _)| !fields::is_generic(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn change_index(indexes: &mut [Arc<Index>], change: &Document, reply: &mut Document) -> CommandResult<()> {
    let found = match (change.get("name"), change.get("keyPattern")) {
        (Some(Bson::String(name)), _) => indexes.iter().position(|index| index.name == *name),
        (None, Some(Bson::Document(pattern))) => {
            indexes.iter().position(|index| crate::plan::same_pattern(&index.key_pattern(), pattern))
        }
        _ => {
            return Err(CommandError::new(code::INVALID_OPTIONS, "must specify either index name or key pattern"));
        }
    };
    let Some(index) = found.and_then(|position| indexes.get_mut(position)) else {
        return Err(CommandError::new(code::INDEX_NOT_FOUND, "cannot find index for collMod"));
    };
    let mut specification = index.specification.clone();
    if let Some(seconds) = change.get("expireAfterSeconds") {
        if !ValueRef::from(seconds).is_number() {
            return Err(CommandError::new(code::INVALID_OPTIONS, "expireAfterSeconds field must be a number"));
        }
        if let Some(old) = specification.get("expireAfterSeconds") {
            reply.insert("expireAfterSeconds_old", old.clone());
        }
        reply.insert("expireAfterSeconds_new", seconds.clone());
        specification.insert("expireAfterSeconds", seconds.clone());
    }
    if let Some(hidden) = fields::boolean(change, "hidden")? {
        reply.insert("hidden_old", index.hidden);
        reply.insert("hidden_new", hidden);
        specification.remove("hidden");
        if hidden {
            specification.insert("hidden", true);
        }
    }
    *index = Arc::new(Index::build(index.id, specification, Arc::clone(&index.flags))?);
    Ok(())
}

pub fn drop_collection(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    let mut writes = call.writes();
    let reply = writes.statement(|writer| {
        let Some(collection) = writer.transaction().collection(&namespace) else {
            return Err(CommandError::new(code::NAMESPACE_NOT_FOUND, "ns not found"));
        };
        writer.exclusive(&collection)?;
        drop_logged(writer, &collection)?;
        let mut reply = Document::new();
        if collection.view.is_none() {
            reply.insert("nIndexesWas", collection.indexes.len() as i32);
        }
        reply.insert("ns", namespace.to_string());
        Ok(reply)
    })?;
    writes.finish(true)?;
    Ok(reply.into())
}

pub fn drop_database(call: &mut Call<'_>) -> CommandResult<Reply> {
    let database = call.database.clone();
    let mut writes = call.writes();
    let existed = writes.statement(|writer| {
        let catalog = Arc::clone(writer.transaction().catalog());
        let mut existed = false;
        for collection in catalog.of_database(&database) {
            writer.exclusive(collection)?;
            drop_logged(writer, collection)?;
            existed = true;
        }
        if existed {
            writer.log(|| {
                Ok(Change {
                    kind: Kind::DropDatabase,
                    subject: Subject::Database(database.clone()),
                    parts: Vec::new(),
                    before: None,
                    after: None,
                })
            })?;
        }
        Ok(existed)
    })?;
    writes.finish(true)?;
    Ok(if existed {
        doc! { "dropped": database }
    } else {
        Document::new()
    }
    .into())
}

pub fn rename_collection(call: &mut Call<'_>) -> CommandResult<Reply> {
    let text = |name: &str| {
        fields::text(call.body, name)?.map(str::to_owned).ok_or_else(|| fields::missing("renameCollection", name))
    };
    let (from, to) = (text("renameCollection")?, text("to")?);
    let (from, to) = (Namespace::parse(&from)?, Namespace::parse(&to)?);
    let drop_target = match call.body.get("dropTarget") {
        Some(Bson::Boolean(flag)) => *flag,
        _ => false,
    };
    let mut writes = call.writes();
    writes.statement(|writer| {
        let Some(collection) = writer.transaction().collection(&from) else {
            return Err(CommandError::new(
                code::NAMESPACE_NOT_FOUND,
                format!("Source collection {from} does not exist"),
            ));
        };
        refuse_view(&collection)?;
        if from == to {
            return Err(CommandError::new(code::ILLEGAL_OPERATION, "Can't rename a collection to itself"));
        }
        let mut description = doc! { "to": { "db": &to.database, "coll": &to.collection } };
        if let Some(target) = writer.transaction().collection(&to) {
            if !drop_target {
                return Err(CommandError::new(code::NAMESPACE_EXISTS, "target namespace exists"));
            }
            writer.exclusive(&target)?;
            writer.remove_collection(&target, false)?;
            description.insert("dropTarget", target.uuid_bson());
        }
        writer.exclusive(&collection)?;
        writer.remove_collection(&collection, true)?;
        let renamed = Collection::build(
            collection.id,
            to.clone(),
            collection.uuid,
            collection.options.clone(),
            collection.indexes.clone(),
            Arc::clone(&collection.counters),
        )?;
        writer.put_collection(renamed)?;
        log_definition(writer, Kind::Rename, &collection, &description)
    })?;
    writes.finish(true)?;
    Ok(Document::new().into())
}

pub fn list_databases(call: &mut Call<'_>) -> CommandResult<Reply> {
    let filter = parse_filter(call)?;
    let name_only = fields::boolean(call.body, "nameOnly")?.unwrap_or(false);
    let point = call.read_point();
    let mut databases = Vec::new();
    let mut total = 0;
    for name in point.catalog.databases() {
        let size: i64 = point.catalog.of_database(name).map(|collection| counts(collection).1).sum();
        let mut row = doc! { "name": name };
        if !name_only {
            row.insert("sizeOnDisk", size);
            row.insert("empty", false);
        }
        if filter.as_ref().map_or(Ok(true), |filter| filter.matches(&row))? {
            total += size;
            databases.push(Bson::Document(row));
        }
    }
    let mut reply = doc! { "databases": databases };
    if !name_only {
        reply.insert("totalSize", total);
        reply.insert("totalSizeMb", total / (1024 * 1024));
    }
    Ok(reply.into())
}

fn parse_filter(call: &Call<'_>) -> CommandResult<Option<Filter>> {
    fields::document(call.body, "filter")?.map(|filter| Filter::parse(filter, &QueryContext::default())).transpose()
}

fn counts(collection: &Collection) -> (i64, i64) {
    use std::sync::atomic::Ordering::Acquire;
    (collection.counters.documents.load(Acquire), collection.counters.bytes.load(Acquire))
}

pub fn list_collections(call: &mut Call<'_>) -> CommandResult<Reply> {
    let filter = parse_filter(call)?;
    let name_only = fields::boolean(call.body, "nameOnly")?.unwrap_or(false);
    let point = call.read_point();
    let mut rows = Vec::new();
    let mut has_view = false;
    for collection in point.catalog.of_database(&call.database) {
        has_view |= collection.view.is_some();
        rows.push(collection_row(collection));
    }
    if has_view {
        // Where MongoDB keeps view definitions.
        rows.push(doc! {
            "name": "system.views", "type": "collection", "options": {}, "info": { "readOnly": false },
            "idIndex": Index::id_specification(None),
        });
    }
    let mut found = Vec::new();
    for row in rows {
        if filter.as_ref().map_or(Ok(true), |filter| filter.matches(&row))? {
            found.push(if name_only {
                doc! { "name": row.get("name").cloned(), "type": row.get("type").cloned() }
            } else {
                row
            });
        }
    }
    let namespace = format!("{}.$cmd.listCollections", call.database);
    list_reply(call, namespace, found)
}

/// Lists through a cursor when the client asks for small batches.
pub fn list_reply(call: &Call<'_>, namespace: String, rows: Vec<Document>) -> CommandResult<Reply> {
    let size = match fields::document(call.body, "cursor")? {
        Some(cursor) => fields::count(cursor, "batchSize", "BatchSize")?,
        None => None,
    };
    match size {
        Some(size) if size < rows.len() => {
            let raw = rows.iter().map(crate::bytes::raw_from_document).collect::<CommandResult<Vec<_>>>()?;
            super::read::open_cursor(call, namespace, Box::new(raw.into_iter().map(Ok)), Some(size), false, false)
        }
        _ => Ok(single_batch(&namespace, rows).into()),
    }
}

fn collection_row(collection: &Collection) -> Document {
    let name = &collection.namespace.collection;
    if collection.view.is_some() {
        return doc! { "name": name, "type": "view", "options": collection.options.clone(), "info": { "readOnly": true } };
    }
    let mut row = doc! {
        "name": name,
        "type": "collection",
        "options": collection.options.clone(),
        "info": { "readOnly": false, "uuid": collection.uuid_bson() },
    };
    if let Some(index) = collection.id_index() {
        row.insert("idIndex", index.specification.clone());
    }
    row
}

/// The figures of one collection, as `collStats` and `$collStats` show them.
pub fn stats_of(catalog: &Catalog, namespace: &Namespace, scale: i64) -> Document {
    let Some(collection) = catalog.get(namespace) else {
        return doc! {
            "ns": namespace.to_string(), "size": 0, "count": 0, "storageSize": 0, "totalSize": 0, "nindexes": 0,
            "totalIndexSize": 0, "indexDetails": {}, "indexSizes": {}, "scaleFactor": scale as i32,
        };
    };
    let (documents, size) = counts(collection);
    let mut sizes = Document::new();
    let mut total_index = 0;
    for index in &collection.indexes {
        // An estimate: entries are as many as documents, and some thirty bytes each.
        let estimate = documents * 32;
        total_index += estimate;
        sizes.insert(&index.name, count_reply(estimate / scale));
    }
    let mut stats = doc! {
        "ns": namespace.to_string(),
        "size": count_reply(size / scale),
        "count": count_reply(documents),
        "storageSize": count_reply(size / scale),
        "freeStorageSize": 0,
        "capped": collection.capped.is_some(),
        "nindexes": collection.indexes.len() as i32,
        "indexDetails": {},
        "indexBuilds": [],
        "totalIndexSize": count_reply(total_index / scale),
        "totalSize": count_reply((size + total_index) / scale),
        "indexSizes": sizes,
        "scaleFactor": scale as i32,
    };
    if documents > 0 {
        stats.insert("avgObjSize", count_reply(size / documents));
    }
    if let Some(capped) = collection.capped {
        stats.insert("max", count_reply(capped.documents_max));
        stats.insert("maxSize", count_reply(capped.bytes_max / scale));
    }
    stats
}

pub fn coll_stats(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    let scale = fields::integer(call.body, "scale")?.unwrap_or(1);
    if scale < 1 {
        return Err(CommandError::bad_value("Scale factor must be greater than zero"));
    }
    let point = call.read_point();
    if let Some(collection) = point.catalog.get(&namespace)
        && collection.view.is_some()
    {
        return Err(CommandError::new(
            code::COMMAND_NOT_SUPPORTED_ON_VIEW,
            format!("Namespace {namespace} is a view, not a collection"),
        ));
    }
    Ok(stats_of(&point.catalog, &namespace, scale).into())
}

pub fn db_stats(call: &mut Call<'_>) -> CommandResult<Reply> {
    let scale = fields::integer(call.body, "scale")?.unwrap_or(1).max(1) as f64;
    let point = call.read_point();
    let (mut collections, mut views, mut objects, mut size, mut indexes) = (0, 0, 0, 0, 0);
    for collection in point.catalog.of_database(&call.database) {
        if collection.view.is_some() {
            views += 1;
            continue;
        }
        collections += 1;
        let (documents, bytes) = counts(collection);
        objects += documents;
        size += bytes;
        indexes += collection.indexes.len() as i64;
    }
    Ok(doc! {
        "db": &call.database,
        "collections": collections,
        "views": views,
        "objects": objects,
        "avgObjSize": if objects > 0 { size as f64 / objects as f64 } else { 0.0 },
        "dataSize": size as f64 / scale,
        "storageSize": size as f64 / scale,
        "indexes": indexes,
        "indexSize": (objects * 32) as f64 / scale,
        "totalSize": (size + objects * 32) as f64 / scale,
        "scaleFactor": scale,
        "fsUsedSize": call.shared.store.storage().disk_bytes() as f64,
        "fsTotalSize": 0.0,
    }
    .into())
}

pub fn validate(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    let point = call.read_point();
    let Some(collection) = point.collection(&namespace) else {
        return Err(CommandError::new(
            code::NAMESPACE_NOT_FOUND,
            format!("Collection '{namespace}' does not exist to validate."),
        ));
    };
    refuse_view(&collection)?;
    let report = crate::verify::check_collection(&point.view, &collection)?;
    let mut keys = Document::new();
    for (name, count) in &report.index_entries {
        keys.insert(name, *count);
    }
    Ok(doc! {
        "ns": namespace.to_string(),
        "nInvalidDocuments": 0,
        "nrecords": count_reply(report.documents),
        "nIndexes": collection.indexes.len() as i32,
        "keysPerIndex": keys,
        "valid": report.problems.is_empty(),
        "warnings": [],
        "errors": report.problems,
    }
    .into())
}

pub fn fsync(call: &mut Call<'_>) -> CommandResult<Reply> {
    call.shared.store.storage().close()?;
    Ok(doc! { "numFiles": 1 }.into())
}

/// Puts documents in the place of all of a collection's, which is made if missing; its options and indexes stay.
pub fn replace_all(writer: &mut Writer<'_>, namespace: &Namespace, rows: &[Document]) -> CommandResult<()> {
    let (options, specifications) = match writer.transaction().collection(namespace) {
        Some(existing) => {
            refuse_view(&existing)?;
            if existing.capped.is_some() {
                return Err(CommandError::new(
                    17152,
                    format!("namespace '{namespace}' is capped so it can't be used for $out"),
                ));
            }
            writer.exclusive(&existing)?;
            drop_logged(writer, &existing)?;
            let specifications: Vec<Document> =
                existing.indexes.iter().skip(1).map(|index| index.specification.clone()).collect();
            (existing.options.clone(), specifications)
        }
        None => (Document::new(), Vec::new()),
    };
    let mut collection = new_collection(writer, namespace.clone(), options)?;
    if !specifications.is_empty() {
        let mut indexes = collection.indexes.clone();
        for specification in specifications {
            indexes.push(Arc::new(Index::build(writer.next_index_id(), specification, Arc::default())?));
        }
        let with_indexes = collection.with(collection.options.clone(), indexes)?;
        collection = writer.put_collection(with_indexes)?;
    }
    let now = writer.transaction().store().next_time();
    for row in rows {
        let raw = crate::bytes::raw_from_document(row)?;
        let stored = documents::prepare_insert(&raw, Some(now))?;
        documents::insert(writer, &collection, stored, false)?;
    }
    Ok(())
}
