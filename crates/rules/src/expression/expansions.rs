//! `%%user.id` and its like: what they may name where, and what they stand for (rules-and-users 1.4, 1.8).

use std::borrow::Cow;

use bson::Bson;

use super::compare::Budget;
use super::{Bindings, Place};

/// An expansion or a field name, resolved as far as a load can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub root: Origin,
    pub segments: Vec<String>,
}

/// The first part of an expansion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    User,
    Request,
    Values,
    Environment,
    Root,
    PrevRoot,
    This,
    Prev,
    Args,
}

/// What an expansion's first part means in a place.
pub(super) enum Availability {
    Yes(Origin),
    /// Known elsewhere.
    Elsewhere(&'static str),
    Unknown,
}

const DOCUMENT_RULES: &str = "only roles, permissions and schema validation have a document";
const FIELD_RULES: &str = "only field permissions and schema validation have a field";

impl Origin {
    pub fn in_place(name: &str, place: Place) -> Availability {
        let has_document = matches!(
            place,
            Place::RoleApplyWhen | Place::RolePermission | Place::FieldPermission | Place::SchemaValidate
        );
        let has_field = matches!(place, Place::FieldPermission | Place::SchemaValidate);
        match name {
            "user" => Availability::Yes(Origin::User),
            "request" => Availability::Yes(Origin::Request),
            "values" => Availability::Yes(Origin::Values),
            "environment" => Availability::Yes(Origin::Environment),
            "root" if has_document => Availability::Yes(Origin::Root),
            "prevRoot" if has_document => Availability::Yes(Origin::PrevRoot),
            "this" if has_field => Availability::Yes(Origin::This),
            "prev" if has_field => Availability::Yes(Origin::Prev),
            "this" if place == Place::RolePermission => Availability::Yes(Origin::Root),
            "prev" if place == Place::RolePermission => Availability::Yes(Origin::PrevRoot),
            "args" if place == Place::ServiceRule => Availability::Yes(Origin::Args),
            "root" | "prevRoot" => Availability::Elsewhere(DOCUMENT_RULES),
            "this" | "prev" => Availability::Elsewhere(FIELD_RULES),
            "args" => Availability::Elsewhere("only rules of services have arguments"),
            "partition" => Availability::Elsewhere("only sync has partitions, and sync is not served"),
            _ => Availability::Unknown,
        }
    }

    /// What a bare key is looked up in.
    pub fn of_bare_key(place: Place) -> Option<Origin> {
        match place {
            Place::RoleApplyWhen | Place::RolePermission | Place::FieldPermission | Place::SchemaValidate => {
                Some(Origin::Root)
            }
            Place::ServiceRule => Some(Origin::Args),
            Place::RoleSearch | Place::FilterApplyWhen | Place::CanEvaluate => None,
        }
    }

    pub fn is_document(self) -> bool {
        matches!(self, Origin::Root | Origin::PrevRoot | Origin::This | Origin::Prev)
    }
}

/// Values that a path stands for: none when it is missing, several when it leads through arrays.
pub(super) type Candidates<'a> = Vec<Cow<'a, Bson>>;

pub(super) fn resolve<'a>(reference: &Reference, bindings: &Bindings<'a>, budget: &Budget) -> Candidates<'a> {
    let surroundings = bindings.surroundings;
    let start = match reference.root {
        Origin::User => Some(surroundings.user()),
        Origin::Request => return resolve_request(surroundings.request(), &reference.segments, budget),
        Origin::Values => Some(surroundings.values()),
        Origin::Environment => Some(surroundings.environment()),
        Origin::Root => bindings.root,
        Origin::PrevRoot => bindings.prev_root,
        Origin::This => bindings.this,
        Origin::Prev => bindings.prev,
        Origin::Args => bindings.args,
    };
    // The URL of an HTTP action is an object whose text stands under the empty name (rules-and-users 6.3).
    if let (Origin::Args, [url], Some(Bson::Document(arguments))) = (reference.root, &*reference.segments, start)
        && url == "url"
        && let Some(Bson::Document(parts)) = arguments.get("url")
        && let Some(text) = parts.get("")
    {
        return vec![Cow::Borrowed(text)];
    }
    let mut found = Vec::new();
    if let Some(start) = start {
        walk(start, &reference.segments, budget, &mut |value| found.push(Cow::Borrowed(value)));
    }
    found
}

/// Header names are compared without regard to case.
fn resolve_request<'a>(request: &'a Bson, segments: &[String], budget: &Budget) -> Candidates<'a> {
    let mut found = Vec::new();
    if let ([first, name, ..], Bson::Document(document)) = (segments, request)
        && first == "requestHeaders"
        && let Some(Bson::Document(headers)) = document.get("requestHeaders")
    {
        let whole = segments[1..].join(".");
        let mut values = Vec::new();
        for (header, value) in headers {
            if budget.spend() && header.eq_ignore_ascii_case(&whole) {
                match value {
                    Bson::Array(lines) => values.extend(lines.iter().cloned()),
                    other => values.push(other.clone()),
                }
            }
        }
        if !values.is_empty() {
            found.push(Cow::Owned(Bson::Array(values)));
        } else if segments.len() > 2 {
            for (header, value) in headers {
                if header.eq_ignore_ascii_case(name) {
                    walk(value, &segments[2..], budget, &mut |value| found.push(Cow::Borrowed(value)));
                }
            }
        }
        return found;
    }
    walk(request, segments, budget, &mut |value| found.push(Cow::Borrowed(value)));
    found
}

/// Follows a path. At an array a decimal segment is an index, and every segment is also tried on each document element.
pub(super) fn walk<'a>(value: &'a Bson, segments: &[String], budget: &Budget, found: &mut impl FnMut(&'a Bson)) {
    if !budget.spend() {
        return;
    }
    let Some((segment, rest)) = segments.split_first() else {
        found(value);
        return;
    };
    match value {
        Bson::Document(document) => {
            if let Some(inner) = document.get(segment) {
                walk(inner, rest, budget, found);
            }
        }
        Bson::Array(elements) => {
            let is_index = segment.bytes().all(|byte| byte.is_ascii_digit());
            if let Some(inner) =
                segment.parse::<usize>().ok().filter(|_| is_index).and_then(|index| elements.get(index))
            {
                walk(inner, rest, budget, found);
            }
            for element in elements {
                if matches!(element, Bson::Document(_)) {
                    walk(element, segments, budget, found);
                }
            }
        }
        _ => {}
    }
}

/// The values a path stands for in a document.
pub(crate) fn values_at<'a>(document: &'a Bson, segments: &[String]) -> Vec<&'a Bson> {
    let mut found = Vec::new();
    walk(document, segments, &Budget::new(u32::MAX), &mut |value| found.push(value));
    found
}
