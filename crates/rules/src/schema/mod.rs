//! JSON schemas of collections: what rules users may store (rules-and-users 2.9).

mod parse;
#[cfg(test)]
mod tests;
mod validate;

use std::fmt;

use bson::Bson;
use regex::Regex;

use crate::Expression;

/// The schema of a collection, or of a value inside of its documents.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// Any of these; empty for all.
    types: Vec<SchemaType>,
    one_of: Option<Vec<Bson>>,
    text: TextKeywords,
    number: NumberKeywords,
    array: ArrayKeywords,
    object: ObjectKeywords,
    validate: Option<Expression>,
}

/// Why a document does not fit its schema; for the log, since it may tell more than the user may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Dotted path inside of the document; empty for the document as a whole.
    pub path: String,
    /// The keyword that does not hold.
    pub keyword: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => write!(formatter, "the document violates '{}'", self.keyword),
            false => write!(formatter, "'{}' violates '{}'", self.path, self.keyword),
        }
    }
}

/// `bsonType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SchemaType {
    String,
    Object,
    Array,
    ObjectId,
    Date,
    Regex,
    Timestamp,
    Decimal,
    Double,
    Null,
    Bool,
    Int,
    Long,
    Number,
    Uuid,
    BinData,
    Mixed,
}

#[derive(Debug, Clone, Default)]
struct TextKeywords {
    length_min: Option<u64>,
    length_max: Option<u64>,
    pattern: Option<Regex>,
}

#[derive(Debug, Clone, Default)]
struct NumberKeywords {
    minimum: Option<Bson>,
    maximum: Option<Bson>,
    exclusive_minimum: bool,
    exclusive_maximum: bool,
    multiple_of: Option<f64>,
}

#[derive(Debug, Clone, Default)]
struct ArrayKeywords {
    items: Items,
    additional: Additional,
    length_min: Option<u64>,
    length_max: Option<u64>,
    unique: bool,
}

#[derive(Debug, Clone, Default)]
enum Items {
    #[default]
    Any,
    Each(Box<Schema>),
    /// By position; those after them are additional.
    Listed(Vec<Schema>),
}

/// `additionalItems`, `additionalProperties`
#[derive(Debug, Clone, Default)]
enum Additional {
    #[default]
    Allowed,
    Forbidden,
    Fitting(Box<Schema>),
}

#[derive(Debug, Clone, Default)]
struct ObjectKeywords {
    properties: Vec<(String, Schema)>,
    pattern_properties: Vec<(Regex, Schema)>,
    additional: Additional,
    required: Vec<String>,
    length_min: Option<u64>,
    length_max: Option<u64>,
    dependencies: Vec<(String, Dependency)>,
}

#[derive(Debug, Clone)]
enum Dependency {
    Properties(Vec<String>),
    Schema(Box<Schema>),
}

impl Schema {
    /// Whether it says anything about documents that are deleted.
    pub fn guards_deletes(&self) -> bool {
        let mut expressions = Vec::new();
        self.gather(&mut expressions);
        !expressions.is_empty()
    }

    /// All `validate` expressions.
    pub(crate) fn gather<'s>(&'s self, expressions: &mut Vec<&'s Expression>) {
        expressions.extend(&self.validate);
        for schema in self.inner() {
            schema.gather(expressions);
        }
    }

    fn inner(&self) -> Vec<&Schema> {
        fn of_additional(additional: &Additional) -> Option<&Schema> {
            match additional {
                Additional::Fitting(schema) => Some(schema),
                Additional::Allowed | Additional::Forbidden => None,
            }
        }
        let mut inner = Vec::new();
        match &self.array.items {
            Items::Any => {}
            Items::Each(schema) => inner.push(&**schema),
            Items::Listed(schemas) => inner.extend(schemas),
        }
        inner.extend(of_additional(&self.array.additional));
        inner.extend(of_additional(&self.object.additional));
        inner.extend(self.object.properties.iter().map(|(_, schema)| schema));
        inner.extend(self.object.pattern_properties.iter().map(|(_, schema)| schema));
        inner.extend(self.object.dependencies.iter().filter_map(|(_, dependency)| match dependency {
            Dependency::Schema(schema) => Some(&**schema),
            Dependency::Properties(_) => None,
        }));
        inner
    }
}
