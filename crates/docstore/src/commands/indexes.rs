//! Commands about indexes.

use std::sync::Arc;

use bson::{Bson, Document, doc};

use super::admin::{list_reply, log_definition, new_collection, refuse_view};
use super::{Call, Reply, fields};
use crate::catalog::{Collection, Index, Namespace};
use crate::changes::Kind;
use crate::documents;
use crate::error::{CommandError, CommandResult, code};
use crate::plan::same_pattern;
use crate::query::{Collation, Filter, QueryContext, ValueRef};

const INVALID_INDEX_SPECIFICATION_OPTION: i32 = 197;
/// Indexes a collection may have.
const INDEXES_MAX: usize = 64;
const OPTIONS: &[&str] = &[
    "v",
    "key",
    "name",
    "ns",
    "background",
    "unique",
    "sparse",
    "partialFilterExpression",
    "expireAfterSeconds",
    "collation",
    "hidden",
    "storageEngine",
    "weights",
    "default_language",
    "language_override",
    "textIndexVersion",
    "2dsphereIndexVersion",
    "bits",
    "min",
    "max",
    "bucketSize",
    "wildcardProjection",
    "dropDups",
    "prepareUnique",
    "clustered",
];
const PLUGINS: &[&str] = &["2d", "2dsphere", "text", "hashed", "geoHaystack"];

fn problem(given: &Document, code: i32, reason: &str) -> CommandError {
    CommandError::new(code, format!("Error in specification {given} :: caused by :: {reason}"))
}

/// A specification as stored, made of a client's. Order of fields: `v`, `key`, `name`, the rest as given.
fn normalize(given: &Document, collection_collation: Option<&Document>) -> CommandResult<Document> {
    let Some(key) = given.get("key") else {
        return Err(problem(
            given,
            code::FAILED_TO_PARSE,
            "The 'key' field is a required property of an index specification",
        ));
    };
    let Bson::Document(key) = key else {
        return Err(problem(given, code::TYPE_MISMATCH, "The field 'key' must be an object"));
    };
    check_key(given, key)?;
    let name = match given.get("name") {
        None => {
            return Err(problem(
                given,
                code::FAILED_TO_PARSE,
                "The 'name' field is a required property of an index specification",
            ));
        }
        Some(Bson::String(name)) if name.is_empty() => {
            return Err(problem(given, code::CANNOT_CREATE_INDEX, "index names cannot be empty"));
        }
        Some(Bson::String(name)) => name,
        Some(_) => return Err(problem(given, code::TYPE_MISMATCH, "The field 'name' must be a string")),
    };
    let is_id = key.len() == 1
        && key.contains_key("_id")
        && key.get("_id").is_some_and(|value| !matches!(value, Bson::String(_)));
    let mut specification = doc! { "v": 2, "key": key.clone(), "name": if is_id { "_id_" } else { name.as_str() } };
    for (option, value) in given {
        if !OPTIONS.contains(&option.as_str()) {
            return Err(problem(
                given,
                INVALID_INDEX_SPECIFICATION_OPTION,
                &format!("The field '{option}' is not valid for an index specification. Specification: {given}"),
            ));
        }
        match option.as_str() {
            "v" | "key" | "name" | "ns" | "background" | "dropDups" => {}
            "unique" | "sparse" | "hidden" => {
                let flag = ValueRef::from(value);
                match value {
                    Bson::Boolean(false) => {}
                    Bson::Boolean(true) => drop(specification.insert(option, true)),
                    _ if flag.is_number() => {
                        if flag.as_f64() != Some(0.0) {
                            specification.insert(option, true);
                        }
                    }
                    _ => {
                        return Err(problem(
                            given,
                            code::TYPE_MISMATCH,
                            &format!("The field '{option}' has value {value}, which is not convertible to bool"),
                        ));
                    }
                }
            }
            "expireAfterSeconds" => {
                let number = ValueRef::from(value);
                let Some(seconds) = number.as_f64().filter(|_| number.is_number()) else {
                    return Err(CommandError::new(
                        code::CANNOT_CREATE_INDEX,
                        format!(
                            "TTL index 'expireAfterSeconds' option must be numeric, but received a type of '{}'. Index spec: {given}",
                            number.type_name()
                        ),
                    ));
                };
                if seconds < 0.0 {
                    return Err(CommandError::new(
                        code::CANNOT_CREATE_INDEX,
                        format!("TTL index 'expireAfterSeconds' option cannot be less than 0. Index spec: {given}"),
                    ));
                }
                if key.len() != 1 {
                    return Err(CommandError::new(
                        code::CANNOT_CREATE_INDEX,
                        format!(
                            "TTL indexes are single-field indexes, compound indexes do not support TTL. Index spec: {given}"
                        ),
                    ));
                }
                specification.insert(option, value.clone());
            }
            "partialFilterExpression" => {
                let Bson::Document(filter) = value else {
                    return Err(problem(
                        given,
                        code::TYPE_MISMATCH,
                        "The field 'partialFilterExpression' must be an object",
                    ));
                };
                if given.get_bool("sparse").unwrap_or(false) {
                    return Err(problem(
                        given,
                        code::CANNOT_CREATE_INDEX,
                        "cannot mix \"partialFilterExpression\" and \"sparse\" options",
                    ));
                }
                if is_id {
                    return Err(problem(given, code::CANNOT_CREATE_INDEX, "_id index cannot be a partial index"));
                }
                Filter::parse(filter, &QueryContext::default())?;
                check_partial(given, filter)?;
                specification.insert(option, filter.clone());
            }
            "collation" => {
                let Bson::Document(collation) = value else {
                    return Err(problem(given, code::TYPE_MISMATCH, "The field 'collation' must be an object"));
                };
                if collation.is_empty() {
                    return Err(problem(given, code::BAD_VALUE, "The field 'collation' cannot be an empty object."));
                }
                if let Some(parsed) = Collation::parse(collation)? {
                    specification.insert("collation", parsed.specification().clone());
                }
            }
            _ => drop(specification.insert(option, value.clone())),
        }
    }
    if !given.contains_key("collation")
        && let Some(collation) = collection_collation
    {
        specification.insert("collation", collation.clone());
    }
    if key.values().any(|value| value.as_str() == Some("2dsphere"))
        && !specification.contains_key("2dsphereIndexVersion")
    {
        specification.insert("2dsphereIndexVersion", 3);
    }
    if key.values().any(|value| value.as_str() == Some("text")) {
        // MongoDB keeps the fields apart from the key; queries by text are not answered here.
        for (name, value) in [
            ("weights", Bson::Document(key.keys().map(|path| (path.clone(), Bson::Int32(1))).collect())),
            ("default_language", "english".into()),
            ("language_override", "language".into()),
            ("textIndexVersion", 3.into()),
        ] {
            if !specification.contains_key(name) {
                specification.insert(name, value);
            }
        }
    }
    Ok(specification)
}

fn check_key(given: &Document, key: &Document) -> CommandResult<()> {
    let refuse = |reason: String| Err(problem(given, code::CANNOT_CREATE_INDEX, &reason));
    if key.is_empty() {
        return refuse("Index keys cannot be empty.".to_owned());
    }
    if key.len() > 32 {
        return refuse("Index key pattern cannot have more than 32 fields".to_owned());
    }
    for (path, direction) in key {
        match direction {
            Bson::String(plugin) if PLUGINS.contains(&plugin.as_str()) => {}
            Bson::String(plugin) => return refuse(format!("Unknown index plugin '{plugin}'")),
            other => {
                let number = ValueRef::from(other);
                match number.as_f64().filter(|_| number.is_number()) {
                    Some(0.0) => return refuse("Values in the index key pattern cannot be 0.".to_owned()),
                    Some(value) if value.is_nan() => {
                        return refuse("Values in the index key pattern cannot be NaN.".to_owned());
                    }
                    Some(_) => {}
                    None => {
                        return refuse(format!(
                            "Values in v:2 index key pattern cannot be of type {}. Only numbers > 0, numbers < 0, and strings are allowed.",
                            number.type_name()
                        ));
                    }
                }
            }
        }
        if path.is_empty() {
            return refuse("Index keys cannot be an empty field.".to_owned());
        }
        let is_wildcard = path == "$**" || path.ends_with(".$**");
        for part in path.split('.') {
            if part.is_empty() {
                return refuse("Index keys cannot contain an empty field.".to_owned());
            }
            if part.starts_with('$') && !is_wildcard && !matches!(part, "$id" | "$ref" | "$db") {
                return refuse("Index key contains an illegal field name: field name starts with '$'.".to_owned());
            }
        }
    }
    Ok(())
}

/// Only what an index can decide: comparisons, `$exists: true`, `$type`, `$in`, `$and`, `$or`.
fn check_partial(given: &Document, filter: &Document) -> CommandResult<()> {
    let refuse = |what: &str| {
        Err(problem(given, code::CANNOT_CREATE_INDEX, &format!("unsupported expression in partial index: {what}")))
    };
    for (name, value) in filter {
        match name.as_str() {
            "$and" | "$or" => {
                if let Bson::Array(branches) = value {
                    for branch in branches.iter().filter_map(Bson::as_document) {
                        check_partial(given, branch)?;
                    }
                }
            }
            other if other.starts_with('$') => return refuse(other),
            _ => {
                if let Bson::Document(operators) = value {
                    for (operator, operand) in operators {
                        match operator.as_str() {
                            "$eq" | "$lt" | "$lte" | "$gt" | "$gte" | "$type" | "$in" => {}
                            "$exists" if ValueRef::from(operand).is_truthy() => {}
                            unsupported if unsupported.starts_with('$') => return refuse(unsupported),
                            _ => {}
                        }
                    }
                } else if matches!(value, Bson::RegularExpression(_)) {
                    return refuse("$regex");
                }
            }
        }
    }
    Ok(())
}

/// What the collection's indexes say to a new one.
enum Standing {
    New,
    Exists,
}

fn compare(existing: &[Arc<Index>], wanted: &Document) -> CommandResult<Standing> {
    let name = wanted.get_str("name").unwrap_or_default();
    let key = wanted.get_document("key").cloned().unwrap_or_default();
    let differing = |index: &Index| -> bool {
        ["unique", "sparse", "partialFilterExpression", "expireAfterSeconds", "hidden"].iter().any(|option| {
            if index.is_id() && *option != "partialFilterExpression" {
                return false;
            }
            match (index.specification.get(option), wanted.get(option)) {
                (None, None) => false,
                (Some(a), Some(b)) => !crate::query::equal(a, b, None),
                _ => true,
            }
        })
    };
    let same_collation = |index: &Index| index.specification.get("collation") == wanted.get("collation");
    for index in existing {
        let is_same_key = same_pattern(&index.key_pattern(), &key);
        if index.name == name {
            if !is_same_key {
                return Err(CommandError::new(
                    code::INDEX_KEY_SPECS_CONFLICT,
                    format!(
                        "Index must have unique name.The existing index: {} has the same name as the requested index: {wanted}",
                        index.specification
                    ),
                ));
            }
            if differing(index) || !same_collation(index) {
                return Err(CommandError::new(
                    code::INDEX_OPTIONS_CONFLICT,
                    format!("Index with name: {name} already exists with different options"),
                ));
            }
            return Ok(Standing::Exists);
        }
        if is_same_key && same_collation(index) {
            let partial = "partialFilterExpression";
            // Indexes that differ in what they hold may stand side by side.
            if index.specification.get(partial) != wanted.get(partial)
                || index.sparse != wanted.get_bool("sparse").unwrap_or(false)
                || (index.unique != wanted.get_bool("unique").unwrap_or(false) && !index.is_id())
            {
                if index.is_id() {
                    return Ok(Standing::Exists);
                }
                continue;
            }
            if index.is_id() {
                return Ok(Standing::Exists);
            }
            return Err(CommandError::new(
                code::INDEX_OPTIONS_CONFLICT,
                format!("Index with name: {name} already exists with a different name"),
            ));
        }
    }
    Ok(Standing::New)
}

pub fn create_indexes(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    let body = call.body;
    fields::only("createIndexes", body, &["indexes", "ignoreUnknownIndexOptions", "commitQuorum"])?;
    let given = match body.get("indexes") {
        Some(Bson::Array(items)) => items.clone(),
        // Sent as a document sequence by some drivers.
        None => match call.message.take_documents(call.body, "indexes") {
            Some(documents) => documents?
                .iter()
                .map(|raw| crate::bytes::to_document(raw.as_bytes()).map(Bson::Document))
                .collect::<CommandResult<Vec<_>>>()?,
            None => return Err(fields::missing("createIndexes", "indexes")),
        },
        Some(other) => return Err(fields::wrong_type("createIndexes", "indexes", other, "array")),
    };
    if given.is_empty() {
        return Err(CommandError::bad_value("Must specify at least one index to create"));
    }
    let mut wanted = Vec::new();
    for item in &given {
        let Bson::Document(item) = item else {
            return Err(CommandError::type_mismatch("The elements of the 'indexes' array must be objects"));
        };
        wanted.push(item.clone());
    }
    // Malformed specifications are told before anything is made.
    for specification in &wanted {
        normalize(specification, None)?;
    }
    let in_transaction = call.transaction.is_some();
    let mut writes = call.writes();
    let reply = writes.statement(|writer| {
        let existing = writer.transaction().collection(&namespace);
        let is_new = existing.is_none();
        let collection = match existing {
            Some(collection) => {
                refuse_view(&collection)?;
                collection
            }
            None => new_collection(writer, namespace.clone(), Document::new())?,
        };
        let collation = collection.options.get_document("collation").ok().cloned();
        let before = collection.indexes.len();
        let mut indexes = collection.indexes.clone();
        let mut added: Vec<Arc<Index>> = Vec::new();
        for given in &wanted {
            let specification = normalize(given, collation.as_ref())?;
            if matches!(compare(&indexes, &specification)?, Standing::Exists) {
                continue;
            }
            if indexes.len() >= INDEXES_MAX {
                return Err(CommandError::new(
                    code::CANNOT_CREATE_INDEX,
                    format!("add index fails, too many indexes for {namespace}"),
                ));
            }
            let index = Arc::new(Index::build(writer.next_index_id(), specification, Arc::default())?);
            indexes.push(Arc::clone(&index));
            added.push(index);
        }
        if added.is_empty() {
            return Ok(doc! {
                "numIndexesBefore": before as i32, "numIndexesAfter": before as i32, "note": "all indexes already exist",
            });
        }
        if in_transaction && !is_new && writer.transaction().counts(&collection).0 > 0 {
            return Err(CommandError::new(
                code::OPERATION_NOT_SUPPORTED_IN_TRANSACTION,
                format!("Cannot create new indexes on existing collection {namespace} in a multi-document transaction."),
            ));
        }
        writer.exclusive(&collection)?;
        let changed = writer.put_collection(collection.with(collection.options.clone(), indexes)?)?;
        let made: Vec<Bson> = added.iter().map(|index| Bson::Document(index.specification.clone())).collect();
        log_definition(writer, Kind::CreateIndexes, &changed, &doc! { "indexes": made })?;
        for index in &added {
            documents::build_index(writer, &changed, index).map_err(|error| {
                if error.code == code::DUPLICATE_KEY {
                    error.with_prefix(&format!("Index build failed: Collection {namespace} :: caused by :: "))
                } else {
                    error
                }
            })?;
        }
        Ok(doc! {
            "createdCollectionAutomatically": is_new,
            "numIndexesBefore": before as i32,
            "numIndexesAfter": changed.indexes.len() as i32,
            "commitQuorum": "votingMembers",
        })
    })?;
    writes.finish(true)?;
    Ok(reply.into())
}

fn existing(call: &Call<'_>, namespace: &Namespace, message: String) -> CommandResult<Arc<Collection>> {
    let point = call.read_point();
    let collection =
        point.collection(namespace).ok_or_else(|| CommandError::new(code::NAMESPACE_NOT_FOUND, message))?;
    refuse_view(&collection)?;
    Ok(collection)
}

pub fn list_indexes(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    let collection = existing(call, &namespace, format!("ns does not exist: {namespace}"))?;
    let rows = collection.indexes.iter().map(|index| index.specification.clone()).collect();
    list_reply(call, namespace.to_string(), rows)
}

pub fn drop_indexes(call: &mut Call<'_>) -> CommandResult<Reply> {
    let namespace = call.namespace()?;
    existing(call, &namespace, format!("ns not found {namespace}"))?;
    let Some(target) = call.body.get("index").cloned() else {
        return Err(fields::missing("dropIndexes", "index"));
    };
    let mut writes = call.writes();
    let reply = writes.statement(|writer| {
        let Some(collection) = writer.transaction().collection(&namespace) else {
            return Err(CommandError::new(code::NAMESPACE_NOT_FOUND, format!("ns not found {namespace}")));
        };
        writer.exclusive(&collection)?;
        let mut reply = doc! { "nIndexesWas": collection.indexes.len() as i32 };
        let mut kept = collection.indexes.clone();
        match &target {
            Bson::String(star) if star == "*" => {
                kept.truncate(1);
                reply.insert("msg", "non-_id indexes dropped for collection");
            }
            Bson::String(name) => remove_named(&mut kept, name)?,
            Bson::Array(names) => {
                for name in names {
                    let Bson::String(name) = name else {
                        return Err(CommandError::type_mismatch(
                            "dropIndexes 'index' must be a string or an array of strings",
                        ));
                    };
                    remove_named(&mut kept, name)?;
                }
            }
            Bson::Document(pattern) => {
                let matching: Vec<usize> = kept
                    .iter()
                    .enumerate()
                    .filter(|(_, index)| same_pattern(&index.key_pattern(), pattern))
                    .map(|(position, _)| position)
                    .collect();
                match matching.as_slice() {
                    [] => {
                        return Err(CommandError::new(
                            code::INDEX_NOT_FOUND,
                            format!("can't find index with key: {pattern}"),
                        ));
                    }
                    [0] => return Err(CommandError::new(code::INVALID_OPTIONS, "cannot drop _id index")),
                    [one] => drop(kept.remove(*one)),
                    _ => {
                        return Err(CommandError::new(
                            283,
                            format!("{} indexes found for key: {pattern}, identify by name instead.", matching.len()),
                        ));
                    }
                }
            }
            other => return Err(fields::wrong_type("dropIndexes", "index", other, "string")),
        }
        let gone: Vec<Bson> = collection
            .indexes
            .iter()
            .filter(|index| !kept.iter().any(|other| other.id == index.id))
            .map(|index| Bson::Document(index.specification.clone()))
            .collect();
        writer.put_collection(collection.with(collection.options.clone(), kept)?)?;
        log_definition(writer, Kind::DropIndexes, &collection, &doc! { "indexes": gone })?;
        Ok(reply)
    })?;
    writes.finish(true)?;
    Ok(reply.into())
}

fn remove_named(indexes: &mut Vec<Arc<Index>>, name: &str) -> CommandResult<()> {
    match indexes.iter().position(|index| index.name == name) {
        None => Err(CommandError::new(code::INDEX_NOT_FOUND, format!("index not found with name [{name}]"))),
        Some(0) => Err(CommandError::new(code::INVALID_OPTIONS, "cannot drop _id index")),
        Some(position) => {
            indexes.remove(position);
            Ok(())
        }
    }
}
