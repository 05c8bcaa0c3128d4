//! From JSON to a checked schema.

use bson::Bson;
use regex::Regex;
use serde_json::{Map, Value as Json};

use super::{
    Additional, ArrayKeywords, Dependency, Items, NumberKeywords, ObjectKeywords, Schema, SchemaType, TextKeywords,
};
use crate::expression::from_json;
use crate::rule_set::{join, type_name};
use crate::{Expression, Place, RuleError};

/// Schemas inside of each other.
const DEPTH_MAX: usize = 100;

impl Schema {
    /// Reads a schema; `None` for `{}`, which is none.
    ///
    /// # Errors
    /// All mistakes at once. Unknown keywords are ignored.
    pub fn parse(json: &Json) -> Result<Option<Self>, Vec<RuleError>> {
        let mut reader = Reader { errors: Vec::new(), depth: 0 };
        let schema = match json {
            Json::Object(object) if object.is_empty() => return Ok(None),
            json => reader.schema(json, ""),
        };
        if reader.errors.is_empty() { Ok(Some(schema)) } else { Err(reader.errors) }
    }
}

struct Reader {
    errors: Vec<RuleError>,
    depth: usize,
}

impl Reader {
    fn schema(&mut self, json: &Json, path: &str) -> Schema {
        let Json::Object(object) = json else {
            self.wrong(path, json, "an object");
            return Schema::default();
        };
        if self.depth >= DEPTH_MAX {
            self.errors.push(RuleError::TooLarge { path: path.to_owned() });
            return Schema::default();
        }
        self.depth += 1;
        let schema = Schema {
            types: self.types(object, path),
            one_of: self
                .get(object, path, "enum", Json::as_array, "an array")
                .map(|values| values.iter().map(from_json).collect()),
            text: TextKeywords {
                length_min: self.count(object, path, "minLength"),
                length_max: self.count(object, path, "maxLength"),
                pattern: self
                    .get(object, path, "pattern", Json::as_str, "a string")
                    .and_then(|pattern| self.regex(pattern, &join(path, "pattern"))),
            },
            number: NumberKeywords {
                minimum: self.number(object, path, "minimum"),
                maximum: self.number(object, path, "maximum"),
                exclusive_minimum: self.flag(object, path, "exclusiveMinimum"),
                exclusive_maximum: self.flag(object, path, "exclusiveMaximum"),
                multiple_of: self.multiple_of(object, path),
            },
            array: ArrayKeywords {
                items: self.items(object, path),
                additional: self.additional(object, path, "additionalItems"),
                length_min: self.count(object, path, "minItems"),
                length_max: self.count(object, path, "maxItems"),
                unique: self.flag(object, path, "uniqueItems"),
            },
            object: ObjectKeywords {
                properties: self.schemas(object, path, "properties"),
                pattern_properties: self
                    .schemas(object, path, "patternProperties")
                    .into_iter()
                    .filter_map(|(pattern, schema)| {
                        let path = join(&join(path, "patternProperties"), &pattern);
                        self.regex(&pattern, &path).map(|regex| (regex, schema))
                    })
                    .collect(),
                additional: self.additional(object, path, "additionalProperties"),
                required: self.names(object, path, "required"),
                length_min: self.count(object, path, "minProperties"),
                length_max: self.count(object, path, "maxProperties"),
                dependencies: self.dependencies(object, path),
            },
            validate: present(object, "validate").and_then(|json| {
                let parsed = Expression::parse(json, Place::SchemaValidate);
                parsed.map_err(|error| self.errors.push(error.within(&join(path, "validate")))).ok()
            }),
        };
        self.depth -= 1;
        schema
    }

    fn types(&mut self, object: &Map<String, Json>, path: &str) -> Vec<SchemaType> {
        let key = if present(object, "bsonType").is_some() { "bsonType" } else { "type" };
        let Some(json) = present(object, key) else { return Vec::new() };
        let names = match json {
            Json::Array(names) => names.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut types = Vec::with_capacity(names.len());
        for name in names {
            match name.as_str().and_then(SchemaType::named) {
                Some(one) => types.push(one),
                None => self.wrong(&join(path, key), name, "the name of a BSON type"),
            }
        }
        types
    }

    fn items(&mut self, object: &Map<String, Json>, path: &str) -> Items {
        let path = join(path, "items");
        match present(object, "items") {
            None => Items::Any,
            Some(Json::Array(schemas)) => Items::Listed(
                schemas
                    .iter()
                    .enumerate()
                    .map(|(index, schema)| self.schema(schema, &join(&path, &index.to_string())))
                    .collect(),
            ),
            Some(schema) => Items::Each(Box::new(self.schema(schema, &path))),
        }
    }

    fn additional(&mut self, object: &Map<String, Json>, path: &str, key: &str) -> Additional {
        match present(object, key) {
            None | Some(Json::Bool(true)) => Additional::Allowed,
            Some(Json::Bool(false)) => Additional::Forbidden,
            Some(schema) => Additional::Fitting(Box::new(self.schema(schema, &join(path, key)))),
        }
    }

    fn schemas(&mut self, object: &Map<String, Json>, path: &str, key: &str) -> Vec<(String, Schema)> {
        let Some(schemas) = self.get(object, path, key, Json::as_object, "an object") else { return Vec::new() };
        let path = join(path, key);
        schemas.iter().map(|(name, schema)| (name.clone(), self.schema(schema, &join(&path, name)))).collect()
    }

    fn dependencies(&mut self, object: &Map<String, Json>, path: &str) -> Vec<(String, Dependency)> {
        let Some(written) = self.get(object, path, "dependencies", Json::as_object, "an object") else {
            return Vec::new();
        };
        let path = join(path, "dependencies");
        let mut dependencies = Vec::with_capacity(written.len());
        for (name, json) in written {
            let dependency = match json {
                Json::Array(_) => Dependency::Properties(self.names(written, &path, name)),
                schema => Dependency::Schema(Box::new(self.schema(schema, &join(&path, name)))),
            };
            dependencies.push((name.clone(), dependency));
        }
        dependencies
    }

    fn names(&mut self, object: &Map<String, Json>, path: &str, key: &str) -> Vec<String> {
        let Some(names) = self.get(object, path, key, Json::as_array, "an array of names") else { return Vec::new() };
        let mut all = Vec::with_capacity(names.len());
        for name in names {
            match name {
                Json::String(name) => all.push(name.clone()),
                other => self.wrong(&join(path, key), other, "a name"),
            }
        }
        all
    }

    fn multiple_of(&mut self, object: &Map<String, Json>, path: &str) -> Option<f64> {
        let divisor = self.get(object, path, "multipleOf", Json::as_f64, "a number above 0")?;
        if divisor > 0.0 {
            return Some(divisor);
        }
        self.errors.push(RuleError::Shape {
            path: join(path, "multipleOf"),
            found: "a number not above 0",
            expected: "a number above 0",
        });
        None
    }

    fn number(&mut self, object: &Map<String, Json>, path: &str, key: &str) -> Option<Bson> {
        let json = present(object, key)?;
        let value = from_json(json);
        if crate::expression::is_number(&value) {
            return Some(value);
        }
        self.wrong(&join(path, key), json, "a number");
        None
    }

    fn count(&mut self, object: &Map<String, Json>, path: &str, key: &str) -> Option<u64> {
        let whole = |json: &Json| {
            json.as_u64()
                .or_else(|| json.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0).map(|n| n as u64))
        };
        self.get_with(object, path, key, whole, "a whole number from 0")
    }

    fn flag(&mut self, object: &Map<String, Json>, path: &str, key: &str) -> bool {
        self.get(object, path, key, Json::as_bool, "true or false").unwrap_or(false)
    }

    fn regex(&mut self, pattern: &str, path: &str) -> Option<Regex> {
        const BYTES_MAX: usize = 1024 * 1024;
        let compiled = regex::RegexBuilder::new(pattern).size_limit(BYTES_MAX).build();
        if compiled.is_err() {
            self.errors.push(RuleError::Shape {
                path: path.to_owned(),
                found: "no regular expression that can be used",
                expected: "one without look-around and back references",
            });
        }
        compiled.ok()
    }

    fn get<'a, T>(
        &mut self,
        object: &'a Map<String, Json>,
        path: &str,
        key: &str,
        read: fn(&'a Json) -> Option<T>,
        expected: &'static str,
    ) -> Option<T> {
        self.get_with(object, path, key, read, expected)
    }

    fn get_with<'a, T>(
        &mut self,
        object: &'a Map<String, Json>,
        path: &str,
        key: &str,
        read: impl Fn(&'a Json) -> Option<T>,
        expected: &'static str,
    ) -> Option<T> {
        let json = present(object, key)?;
        let value = read(json);
        if value.is_none() {
            self.wrong(&join(path, key), json, expected);
        }
        value
    }

    fn wrong(&mut self, path: &str, json: &Json, expected: &'static str) {
        self.errors.push(RuleError::Shape { path: path.to_owned(), found: type_name(json), expected });
    }
}

/// `null` is as good as absent.
fn present<'a>(object: &'a Map<String, Json>, key: &str) -> Option<&'a Json> {
    object.get(key).filter(|json| !json.is_null())
}

impl SchemaType {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::String,
            "object" => Self::Object,
            "array" => Self::Array,
            "objectId" => Self::ObjectId,
            "date" => Self::Date,
            "regex" => Self::Regex,
            "timestamp" => Self::Timestamp,
            "decimal" => Self::Decimal,
            "double" => Self::Double,
            "null" => Self::Null,
            "bool" | "boolean" => Self::Bool,
            "int" | "integer" => Self::Int,
            "long" => Self::Long,
            "number" | "float" => Self::Number,
            "uuid" => Self::Uuid,
            "binData" => Self::BinData,
            "mixed" => Self::Mixed,
            _ => return None,
        })
    }
}
