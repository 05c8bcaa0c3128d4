//! `$jsonSchema`: draft 4 of JSON Schema as MongoDB extends (`bsonType`) and restricts it (no `$ref`, `format`, …).
//! Source: MongoDB manual, "$jsonSchema".

use std::collections::BTreeSet;

use bson::{Bson, Decimal128, Document};

use super::decimal;
use super::filter::test::TypeSet;
use super::filter::type_number;
use super::regex::Regex;
use super::value::{DocumentRef, ValueRef, compare_refs, order_key};
use crate::error::{CommandError, CommandResult};

/// Schemas within schemas at most.
const DEPTH_MAX: usize = 100;

/// A parsed schema. Each part applies to values of the types it is about, and holds for all others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    types: Option<TypeSet>,
    enumeration: Option<Vec<Bson>>,
    combinations: Vec<Combination>,
    number: NumberRules,
    text: TextRules,
    object: ObjectRules,
    array: ArrayRules,
}

#[derive(Debug, Clone)]
enum Combination {
    AllOf(Vec<Schema>),
    AnyOf(Vec<Schema>),
    OneOf(Vec<Schema>),
    Not(Box<Schema>),
}

#[derive(Debug, Clone, Default)]
struct NumberRules {
    minimum: Option<(Bson, bool)>,
    maximum: Option<(Bson, bool)>,
    multiple_of: Option<Decimal128>,
}

#[derive(Debug, Clone, Default)]
struct TextRules {
    length_min: Option<u64>,
    length_max: Option<u64>,
    pattern: Option<Regex>,
}

#[derive(Debug, Clone, Default)]
struct ObjectRules {
    required: Vec<String>,
    properties: Vec<(String, Schema)>,
    pattern_properties: Vec<(Regex, Schema)>,
    additional: Additional,
    count_min: Option<u64>,
    count_max: Option<u64>,
    dependencies: Vec<(String, Dependency)>,
}

#[derive(Debug, Clone, Default)]
struct ArrayRules {
    items: Items,
    additional: Additional,
    count_min: Option<u64>,
    count_max: Option<u64>,
    unique: bool,
}

/// What holds for what no other rule names.
#[derive(Debug, Clone, Default)]
enum Additional {
    #[default]
    Allowed,
    Forbidden,
    Schema(Box<Schema>),
}

#[derive(Debug, Clone, Default)]
enum Items {
    #[default]
    Any,
    Each(Box<Schema>),
    ByPosition(Vec<Schema>),
}

#[derive(Debug, Clone)]
enum Dependency {
    Properties(Vec<String>),
    Schema(Box<Schema>),
}

fn failed<T>(message: impl Into<String>) -> CommandResult<T> {
    Err(CommandError::failed_to_parse(message))
}

fn wrong_type<T>(keyword: &str, wanted: &str) -> CommandResult<T> {
    Err(CommandError::type_mismatch(format!("$jsonSchema keyword '{keyword}' must be {wanted}")))
}

impl Schema {
    /// Reads a schema.
    ///
    /// Errors: `FailedToParse` (9) for keywords that are unknown, not supported or malformed, `TypeMismatch` (14) for
    /// arguments of the wrong type.
    pub(crate) fn parse(schema: &Document) -> CommandResult<Self> {
        Self::parse_nested(schema, 0)
    }

    fn parse_nested(schema: &Document, depth: usize) -> CommandResult<Self> {
        if depth > DEPTH_MAX {
            return failed("Maximum $jsonSchema nesting depth exceeded");
        }
        let mut parsed = Self::default();
        if schema.contains_key("type") && schema.contains_key("bsonType") {
            return failed("Cannot specify both $jsonSchema keywords 'type' and 'bsonType'");
        }
        for (keyword, value) in schema {
            parsed.keyword(keyword, value, schema, depth)?;
        }
        Ok(parsed)
    }

    fn keyword(&mut self, keyword: &str, value: &Bson, schema: &Document, depth: usize) -> CommandResult<()> {
        let inner = |value: &Bson| match value {
            Bson::Document(schema) => Self::parse_nested(schema, depth + 1),
            _ => wrong_type(keyword, "an object"),
        };
        let inners = |value: &Bson| match value {
            Bson::Array(items) if items.is_empty() => {
                Err(CommandError::bad_value(format!("$jsonSchema keyword '{keyword}' must be a non-empty array")))
            }
            Bson::Array(items) => items.iter().map(inner).collect::<CommandResult<Vec<_>>>(),
            _ => wrong_type(keyword, "an array"),
        };
        match keyword {
            "title" | "description" => drop(text(keyword, value)?),
            "encrypt" | "encryptMetadata" => {
                return Err(CommandError::not_supported(format_args!("the $jsonSchema keyword '{keyword}'")));
            }
            "type" => self.types = Some(types(keyword, value, true)?),
            "bsonType" => self.types = Some(types(keyword, value, false)?),
            "enum" => self.enumeration = Some(enumeration(value)?),
            "allOf" => self.combinations.push(Combination::AllOf(inners(value)?)),
            "anyOf" => self.combinations.push(Combination::AnyOf(inners(value)?)),
            "oneOf" => self.combinations.push(Combination::OneOf(inners(value)?)),
            "not" => self.combinations.push(Combination::Not(Box::new(inner(value)?))),
            "minimum" => {
                self.number.minimum = Some((number(keyword, value)?, exclusive("exclusiveMinimum", schema)?));
            }
            "maximum" => {
                self.number.maximum = Some((number(keyword, value)?, exclusive("exclusiveMaximum", schema)?));
            }
            "exclusiveMinimum" | "exclusiveMaximum" => {
                exclusive(keyword, schema)?;
                let bound = if keyword == "exclusiveMinimum" { "minimum" } else { "maximum" };
                if !schema.contains_key(bound) {
                    return failed(format!("$jsonSchema keyword '{bound}' must be a present if {keyword} is present"));
                }
            }
            "multipleOf" => {
                let divisor = to_decimal(&number(keyword, value)?);
                if decimal::is_negative(divisor) || decimal::is_zero(divisor) || decimal::is_nan(divisor) {
                    return failed("$jsonSchema keyword 'multipleOf' must have a positive value");
                }
                self.number.multiple_of = Some(divisor);
            }
            "minLength" => self.text.length_min = Some(count(keyword, value)?),
            "maxLength" => self.text.length_max = Some(count(keyword, value)?),
            "pattern" => self.text.pattern = Some(Regex::new(text(keyword, value)?, "")?),
            "required" => self.object.required = names(keyword, value)?,
            "minProperties" => self.object.count_min = Some(count(keyword, value)?),
            "maxProperties" => self.object.count_max = Some(count(keyword, value)?),
            "properties" => {
                for (name, schema) in object(keyword, value)? {
                    self.object.properties.push((name.clone(), nested(keyword, name, schema, depth)?));
                }
            }
            "patternProperties" => {
                for (pattern, schema) in object(keyword, value)? {
                    let schema = nested(keyword, pattern, schema, depth)?;
                    self.object.pattern_properties.push((Regex::new(pattern, "")?, schema));
                }
            }
            "additionalProperties" => self.object.additional = additional(keyword, value, depth)?,
            "dependencies" => {
                for (name, dependency) in object(keyword, value)? {
                    let dependency = match dependency {
                        Bson::Array(_) => Dependency::Properties(names(keyword, dependency)?),
                        other => Dependency::Schema(Box::new(nested(keyword, name, other, depth)?)),
                    };
                    self.object.dependencies.push((name.clone(), dependency));
                }
            }
            "items" => {
                self.array.items = match value {
                    Bson::Document(_) => Items::Each(Box::new(inner(value)?)),
                    Bson::Array(items) => Items::ByPosition(items.iter().map(inner).collect::<CommandResult<_>>()?),
                    _ => return wrong_type(keyword, "an array or an object"),
                };
            }
            "additionalItems" => self.array.additional = additional(keyword, value, depth)?,
            "minItems" => self.array.count_min = Some(count(keyword, value)?),
            "maxItems" => self.array.count_max = Some(count(keyword, value)?),
            "uniqueItems" => match value {
                Bson::Boolean(unique) => self.array.unique = *unique,
                _ => return wrong_type(keyword, "a boolean"),
            },
            "$ref" | "$schema" | "default" | "definitions" | "format" | "id" => {
                return failed(format!("$jsonSchema keyword '{keyword}' is not currently supported"));
            }
            _ => return failed(format!("Unknown $jsonSchema keyword: {keyword}")),
        }
        Ok(())
    }

    pub(crate) fn matches(&self, document: DocumentRef<'_>) -> bool {
        self.accepts(ValueRef::Document(document))
    }

    fn accepts(&self, value: ValueRef<'_>) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(value))
            && self.enumeration.as_ref().is_none_or(|values| {
                values.iter().any(|candidate| compare_refs(ValueRef::from(candidate), value, None).is_eq())
            })
            && self.combinations.iter().all(|combination| combination.accepts(value))
            && match value {
                ValueRef::String(text) => self.text.accept(text),
                ValueRef::Document(document) => self.object.accept(document),
                ValueRef::Array(items) => self.array.accept(items.iter()),
                other if other.is_number() => self.number.accept(other),
                _ => true,
            }
    }
}

impl Combination {
    fn accepts(&self, value: ValueRef<'_>) -> bool {
        match self {
            Self::AllOf(schemas) => schemas.iter().all(|schema| schema.accepts(value)),
            Self::AnyOf(schemas) => schemas.iter().any(|schema| schema.accepts(value)),
            Self::OneOf(schemas) => schemas.iter().filter(|schema| schema.accepts(value)).count() == 1,
            Self::Not(schema) => !schema.accepts(value),
        }
    }
}

impl NumberRules {
    fn accept(&self, value: ValueRef<'_>) -> bool {
        let order = |bound: &Bson| compare_refs(value, ValueRef::from(bound), None);
        let comparable = |bound: &Bson| !value.is_nan() && !ValueRef::from(bound).is_nan();
        self.minimum.as_ref().is_none_or(|(bound, exclusive)| {
            comparable(bound) && if *exclusive { order(bound).is_gt() } else { order(bound).is_ge() }
        }) && self.maximum.as_ref().is_none_or(|(bound, exclusive)| {
            comparable(bound) && if *exclusive { order(bound).is_lt() } else { order(bound).is_le() }
        }) && self
            .multiple_of
            .is_none_or(|divisor| decimal::is_zero(decimal::remainder(to_decimal(&value.to_bson()), divisor)))
    }
}

impl TextRules {
    fn accept(&self, text: &str) -> bool {
        let bounded = self.length_min.is_some() || self.length_max.is_some();
        let length = if bounded { text.chars().count() as u64 } else { 0 };
        self.length_min.is_none_or(|least| length >= least)
            && self.length_max.is_none_or(|greatest| length <= greatest)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
    }
}

impl ObjectRules {
    fn accept(&self, document: DocumentRef<'_>) -> bool {
        let bounded = self.count_min.is_some() || self.count_max.is_some();
        let count = if bounded { document.iter().count() as u64 } else { 0 };
        self.count_min.is_none_or(|least| count >= least)
            && self.count_max.is_none_or(|greatest| count <= greatest)
            && self.required.iter().all(|name| document.get(name).is_some())
            && self.properties.iter().all(|(name, schema)| document.get(name).is_none_or(|value| schema.accepts(value)))
            && self.dependencies.iter().all(|(name, dependency)| {
                document.get(name).is_none()
                    || match dependency {
                        Dependency::Properties(names) => names.iter().all(|name| document.get(name).is_some()),
                        Dependency::Schema(schema) => schema.matches(document),
                    }
            })
            && self.accept_others(document)
    }

    fn accept_others(&self, document: DocumentRef<'_>) -> bool {
        if self.pattern_properties.is_empty() && matches!(self.additional, Additional::Allowed) {
            return true;
        }
        document.iter().all(|(name, value)| {
            let mut named = self.properties.iter().any(|(property, _)| property == name);
            for (pattern, schema) in &self.pattern_properties {
                if pattern.is_match(name) {
                    named = true;
                    if !schema.accepts(value) {
                        return false;
                    }
                }
            }
            named || self.additional.accepts(value)
        })
    }
}

impl ArrayRules {
    fn accept<'a>(&self, items: impl Iterator<Item = ValueRef<'a>>) -> bool {
        let mut seen = BTreeSet::new();
        let mut count = 0_u64;
        for (index, item) in items.enumerate() {
            count += 1;
            let accepted = match &self.items {
                Items::Any => true,
                Items::Each(schema) => schema.accepts(item),
                Items::ByPosition(schemas) => match schemas.get(index) {
                    Some(schema) => schema.accepts(item),
                    None => self.additional.accepts(item),
                },
            };
            if !accepted || (self.unique && !seen.insert(order_key(item, None))) {
                return false;
            }
        }
        self.count_min.is_none_or(|least| count >= least) && self.count_max.is_none_or(|greatest| count <= greatest)
    }
}

impl Additional {
    fn accepts(&self, value: ValueRef<'_>) -> bool {
        match self {
            Self::Allowed => true,
            Self::Forbidden => false,
            Self::Schema(schema) => schema.accepts(value),
        }
    }
}

fn nested(keyword: &str, name: &str, schema: &Bson, depth: usize) -> CommandResult<Schema> {
    match schema {
        Bson::Document(schema) => Schema::parse_nested(schema, depth + 1),
        _ => Err(CommandError::type_mismatch(format!(
            "Nested schema for $jsonSchema property '{name}' of '{keyword}' must be an object"
        ))),
    }
}

fn additional(keyword: &str, value: &Bson, depth: usize) -> CommandResult<Additional> {
    match value {
        Bson::Boolean(true) => Ok(Additional::Allowed),
        Bson::Boolean(false) => Ok(Additional::Forbidden),
        Bson::Document(schema) => Ok(Additional::Schema(Box::new(Schema::parse_nested(schema, depth + 1)?))),
        _ => wrong_type(keyword, "either an object or a boolean"),
    }
}

fn text<'v>(keyword: &str, value: &'v Bson) -> CommandResult<&'v str> {
    match value {
        Bson::String(text) => Ok(text),
        _ => wrong_type(keyword, "a string"),
    }
}

fn object<'v>(keyword: &str, value: &'v Bson) -> CommandResult<&'v Document> {
    match value {
        Bson::Document(object) => Ok(object),
        _ => wrong_type(keyword, "an object"),
    }
}

fn number(keyword: &str, value: &Bson) -> CommandResult<Bson> {
    if ValueRef::from(value).is_number() {
        return Ok(value.clone());
    }
    wrong_type(keyword, "a number")
}

fn count(keyword: &str, value: &Bson) -> CommandResult<u64> {
    number(keyword, value)?;
    match ValueRef::from(value).as_exact_i64().map(u64::try_from) {
        Some(Ok(count)) => Ok(count),
        Some(Err(_)) => failed(format!("Expected a non-negative number in: {keyword}: {value}")),
        None => failed(format!("Expected an integer: {keyword}: {value}")),
    }
}

fn exclusive(keyword: &str, schema: &Document) -> CommandResult<bool> {
    match schema.get(keyword) {
        None => Ok(false),
        Some(Bson::Boolean(exclusive)) => Ok(*exclusive),
        Some(_) => wrong_type(keyword, "a boolean"),
    }
}

/// Names, at least one, each once.
fn names(keyword: &str, value: &Bson) -> CommandResult<Vec<String>> {
    let Bson::Array(items) = value else {
        return wrong_type(keyword, "an array");
    };
    if items.is_empty() {
        return failed(format!("$jsonSchema keyword '{keyword}' cannot be an empty array"));
    }
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        let Bson::String(name) = item else {
            return Err(CommandError::type_mismatch(format!(
                "$jsonSchema keyword '{keyword}' must be an array of strings, but found an element of type: '{}'",
                ValueRef::from(item).type_name()
            )));
        };
        if names.contains(name) {
            return failed(format!("$jsonSchema keyword '{keyword}' array cannot contain duplicate values"));
        }
        names.push(name.clone());
    }
    Ok(names)
}

fn types(keyword: &str, value: &Bson, json: bool) -> CommandResult<TypeSet> {
    let mut set = TypeSet::default();
    let mut add = |item: &Bson| {
        let Bson::String(name) = item else {
            return wrong_type(keyword, "either a string or an array of strings");
        };
        if json && name == "integer" {
            return failed("$jsonSchema type 'integer' is not currently supported.");
        }
        let (number, any_number) = match (json, name.as_str()) {
            (_, "number") => (None, true),
            (true, "boolean") => (type_number("bool"), false),
            (true, "array" | "null" | "object" | "string") | (false, _) => (type_number(name), false),
            _ => (None, false),
        };
        if any_number {
            set.any_number = true;
            return Ok(());
        }
        match number {
            Some(number) if set.numbers.contains(&number) => {
                failed(format!("$jsonSchema keyword '{keyword}' has duplicate value: {name}"))
            }
            Some(number) => {
                set.numbers.push(number);
                Ok(())
            }
            None => Err(CommandError::bad_value(format!("Unknown type name alias: {name}"))),
        }
    };
    match value {
        Bson::Array(items) if items.is_empty() => {
            return failed(format!("$jsonSchema keyword '{keyword}' must name at least one type"));
        }
        Bson::Array(items) => {
            for item in items {
                add(item)?;
            }
        }
        value => add(value)?,
    }
    Ok(set)
}

fn enumeration(value: &Bson) -> CommandResult<Vec<Bson>> {
    let Bson::Array(items) = value else {
        return wrong_type("enum", "an array, but found an element of another type");
    };
    if items.is_empty() {
        return failed("$jsonSchema keyword 'enum' cannot be an empty array");
    }
    let mut keys = BTreeSet::new();
    if !items.iter().all(|item| keys.insert(order_key(ValueRef::from(item), None))) {
        return failed("$jsonSchema keyword 'enum' array cannot contain duplicate values.");
    }
    Ok(items.clone())
}

/// The number as a decimal; doubles by 15 digits.
fn to_decimal(value: &Bson) -> Decimal128 {
    match value {
        Bson::Decimal128(number) => *number,
        Bson::Double(number) => decimal::from_f64(*number),
        other => decimal::from_i64(ValueRef::from(other).as_exact_i64().unwrap_or(0)),
    }
}
