//! Actions of the MongoDB service as clients ask for them, and as [`services`] knows them (rules-and-users 4.9).
//!
//! A client sends one argument, `{database, collection, …}`, whose names differ from those of functions. What is not
//! listed here, a client cannot ask for, whatever functions may.

use bson::{Bson, Document, doc};

use crate::CallError;

/// One action, ready for the service.
#[derive(Debug, PartialEq)]
pub(super) struct ServiceAction {
    /// Name of the action.
    pub name: &'static str,
    /// Its arguments.
    pub arguments: Document,
    /// How its answer becomes the client's.
    pub answer: AnswerShape,
}

/// How the answer of an action becomes the answer to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerShape {
    /// All documents of its cursor, as an array.
    Documents,
    /// Its field `value`.
    Value,
    /// As it is.
    Whole,
}

/// Where a field of the client's argument goes.
#[derive(Debug, Clone, Copy)]
enum Goes {
    /// Among the arguments, under this name.
    Argument(&'static str),
    /// Among the options, under this name.
    Option(&'static str),
}

/// Fields of one action, by the names that clients of different years give them.
type Fields = &'static [(&'static str, Goes)];

const QUERY: (&str, Goes) = ("query", Goes::Argument("filter"));
const FILTER: (&str, Goes) = ("filter", Goes::Argument("filter"));
const PROJECT: (&str, Goes) = ("project", Goes::Option("projection"));
const PROJECTION: (&str, Goes) = ("projection", Goes::Option("projection"));
const SORT: (&str, Goes) = ("sort", Goes::Option("sort"));
const LIMIT: (&str, Goes) = ("limit", Goes::Option("limit"));
const SKIP: (&str, Goes) = ("skip", Goes::Option("skip"));
const UPDATE: (&str, Goes) = ("update", Goes::Argument("update"));
const UPSERT: (&str, Goes) = ("upsert", Goes::Option("upsert"));
const ARRAY_FILTERS: (&str, Goes) = ("arrayFilters", Goes::Option("arrayFilters"));
const RETURN_NEW: (&str, Goes) = ("returnNewDocument", Goes::Option("returnNewDocument"));

/// Every action that clients have, `watch` apart.
const ACTIONS: [(&str, Fields, AnswerShape); 13] = [
    ("find", &[QUERY, FILTER, PROJECT, PROJECTION, SORT, LIMIT, SKIP], AnswerShape::Documents),
    ("findOne", &[QUERY, FILTER, PROJECT, PROJECTION, SORT, SKIP], AnswerShape::Value),
    ("aggregate", &[("pipeline", Goes::Argument("pipeline"))], AnswerShape::Documents),
    ("count", &[QUERY, FILTER, LIMIT, SKIP], AnswerShape::Value),
    ("insertOne", &[("document", Goes::Argument("document"))], AnswerShape::Whole),
    ("insertMany", &[("documents", Goes::Argument("documents"))], AnswerShape::Whole),
    ("updateOne", &[QUERY, FILTER, UPDATE, UPSERT, ARRAY_FILTERS], AnswerShape::Whole),
    ("updateMany", &[QUERY, FILTER, UPDATE, UPSERT, ARRAY_FILTERS], AnswerShape::Whole),
    ("deleteOne", &[QUERY, FILTER], AnswerShape::Whole),
    ("deleteMany", &[QUERY, FILTER], AnswerShape::Whole),
    (
        "findOneAndUpdate",
        &[QUERY, FILTER, UPDATE, SORT, PROJECT, PROJECTION, UPSERT, ARRAY_FILTERS, RETURN_NEW],
        AnswerShape::Value,
    ),
    (
        "findOneAndReplace",
        &[QUERY, FILTER, REPLACEMENT, REPLACEMENT_AS_UPDATE, SORT, PROJECT, PROJECTION, UPSERT, RETURN_NEW],
        AnswerShape::Value,
    ),
    ("findOneAndDelete", &[QUERY, FILTER, SORT, PROJECT, PROJECTION], AnswerShape::Value),
];

const REPLACEMENT: (&str, Goes) = ("replacement", Goes::Argument("replacement"));
/// The SDKs call a replacement an update as well.
const REPLACEMENT_AS_UPDATE: (&str, Goes) = ("update", Goes::Argument("replacement"));

/// Actions whose replacement may be missing. The web SDK's `findOneAndDelete` asks for `findOneAndReplace` without one, and
/// the platform then left a document with nothing but its `_id` (recorded: issue 6497 of the SDK's repository).
const REPLACES: &str = "findOneAndReplace";

impl ServiceAction {
    /// Reads a call's name and arguments.
    ///
    /// # Errors
    /// An action that clients do not have; arguments that are not one document naming database and collection.
    pub fn of_call(service: &str, name: &str, arguments: Vec<Bson>) -> Result<Self, CallError> {
        let Some((name, fields, answer)) = ACTIONS.iter().find(|(action, _, _)| *action == name).copied() else {
            return Err(CallError::ActionNotFound { service: service.to_owned(), action: name.to_owned() });
        };
        let Ok([Bson::Document(argument)]) = <[Bson; 1]>::try_from(arguments) else {
            return Err(CallError::InvalidArgument(format!("{name} takes one object as its argument")));
        };
        let mut options = Document::new();
        let mut result = Document::new();
        for (name, key) in [("database", "db"), ("collection", "collection")] {
            match argument.get(name) {
                Some(Bson::String(text)) => result.insert(key, text),
                _ => return Err(CallError::InvalidArgument(format!("'{name}' must be a string"))),
            };
        }
        for (field, goes) in fields {
            match (argument.get(field), goes) {
                (None | Some(Bson::Undefined), _) => None,
                (Some(value), Goes::Argument(key)) => result.insert(*key, value),
                (Some(value), Goes::Option(key)) => options.insert(*key, value),
            };
        }
        if name == REPLACES && !result.contains_key("replacement") {
            result.insert("replacement", doc! {});
        }
        if !options.is_empty() {
            result.insert("options", options);
        }
        Ok(Self { name, arguments: result, answer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, argument: Document, expected: Document, answer: AnswerShape) {
        let mut sent = doc! { "database": "d", "collection": "c" };
        sent.extend(argument);
        let action = ServiceAction::of_call("mongodb-atlas", name, vec![sent.into()]).expect(name);
        let mut arguments = doc! { "db": "d", "collection": "c" };
        arguments.extend(expected);
        assert_eq!((action.name, &action.arguments, action.answer), (name, &arguments, answer));
    }

    /// What the web SDK 2.0.1 sends, its fields that are not set left out.
    #[test]
    fn actions_of_the_web_sdk() {
        check(
            "find",
            doc! { "query": { "a": 1 }, "project": { "b": 1 }, "sort": { "c": -1 }, "limit": 2 },
            doc! { "filter": { "a": 1 }, "options": { "projection": { "b": 1 }, "sort": { "c": -1 }, "limit": 2 } },
            AnswerShape::Documents,
        );
        check("findOne", doc! { "query": {} }, doc! { "filter": {} }, AnswerShape::Value);
        check("aggregate", doc! { "pipeline": [] }, doc! { "pipeline": [] }, AnswerShape::Documents);
        check(
            "count",
            doc! { "query": {}, "limit": 5 },
            doc! { "filter": {}, "options": { "limit": 5 } },
            AnswerShape::Value,
        );
        check("insertOne", doc! { "document": { "a": 1 } }, doc! { "document": { "a": 1 } }, AnswerShape::Whole);
        check("insertMany", doc! { "documents": [{}] }, doc! { "documents": [{}] }, AnswerShape::Whole);
        check("deleteMany", doc! { "query": { "a": 1 } }, doc! { "filter": { "a": 1 } }, AnswerShape::Whole);
        check(
            "updateOne",
            doc! { "query": {}, "update": { "$set": { "a": 1 } }, "upsert": true, "arrayFilters": [] },
            doc! { "filter": {}, "update": { "$set": { "a": 1 } }, "options": { "upsert": true, "arrayFilters": [] } },
            AnswerShape::Whole,
        );
        check(
            "findOneAndReplace",
            doc! { "filter": {}, "update": { "a": 1 }, "returnNewDocument": true },
            doc! { "filter": {}, "replacement": { "a": 1 }, "options": { "returnNewDocument": true } },
            AnswerShape::Value,
        );
        check("findOneAndReplace", doc! { "filter": {} }, doc! { "filter": {}, "replacement": {} }, AnswerShape::Value);
    }

    #[test]
    fn what_clients_may_not_ask_for() {
        let refused = |name: &str, arguments: Vec<Bson>| ServiceAction::of_call("s", name, arguments).unwrap_err();
        let argument = || vec![Bson::Document(doc! { "database": "d", "collection": "c" })];
        for name in [
            "bulkWrite",
            "distinct",
            "replaceOne",
            "getMore",
            "getDBNames",
            "commitTransaction",
            "watch",
            "toString",
            "",
        ] {
            assert!(matches!(refused(name, argument()), CallError::ActionNotFound { .. }), "{name}");
        }
        for arguments in [
            vec![],
            vec![Bson::Int32(1)],
            vec![doc! {}.into()],
            vec![doc! { "database": { "$gt": "" }, "collection": "c" }.into()],
            [argument(), argument()].concat(),
        ] {
            assert!(matches!(refused("find", arguments), CallError::InvalidArgument(_)));
        }
        // Handles of functions are out of reach.
        let action = ServiceAction::of_call(
            "s",
            "find",
            vec![doc! { "database": "d", "collection": "c", "session": 1, "options": { "hint": "x" } }.into()],
        );
        assert_eq!(action.unwrap().arguments, doc! { "db": "d", "collection": "c" });
    }
}
