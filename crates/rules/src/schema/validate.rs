//! Whether a document fits its schema.

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document};

use super::{Additional, Dependency, Items, Schema, SchemaType, Violation};
use crate::access::{Access, Images, TRANSACTION_FIELD};
use crate::expression::{equal_values, is_number, order_values};
use crate::{Bindings, Expression, ValueKey};

/// A `validate` expression that has to hold for one value.
struct Check<'a> {
    expression: &'a Expression,
    before: Option<&'a Bson>,
    after: Option<&'a Bson>,
    path: String,
}

type Result<T = ()> = std::result::Result<T, Violation>;

impl Access<'_> {
    /// Whether a document that is about to be stored fits the schema. `before` is the document in its place; `None` for
    /// inserts.
    ///
    /// # Errors
    /// What it violates first.
    pub async fn validate(&self, schema: &Schema, before: Option<&Bson>, after: &Bson) -> Result {
        let mut checks = Vec::new();
        schema.check(before, after, "", &mut checks)?;
        self.decide_checks(Images { before, after: Some(after) }, &checks).await
    }

    /// Whether a document may go, for what `validate` says about that.
    ///
    /// # Errors
    /// What it violates first.
    pub async fn validate_delete(&self, schema: &Schema, before: &Bson) -> Result {
        let mut checks = Vec::new();
        schema.check_removed(before, "", &mut checks);
        self.decide_checks(Images { before: Some(before), after: None }, &checks).await
    }

    async fn decide_checks(&self, images: Images<'_>, checks: &[Check<'_>]) -> Result {
        for check in checks {
            let bindings = Bindings {
                root: images.after,
                prev_root: images.before,
                this: check.after,
                prev: check.before,
                ..Bindings::new(self.surroundings)
            };
            if !check.expression.decide(&bindings, self.functions).await.is_true() {
                return Err(violation(&check.path, "validate"));
            }
        }
        Ok(())
    }
}

impl Schema {
    /// Checks what needs no expression, and gathers the expressions.
    fn check<'a>(
        &'a self,
        before: Option<&'a Bson>,
        after: &'a Bson,
        path: &str,
        checks: &mut Vec<Check<'a>>,
    ) -> Result {
        if !self.types.is_empty() && !self.types.iter().any(|one| one.accepts(after)) {
            return Err(violation(path, "bsonType"));
        }
        if self.one_of.as_ref().is_some_and(|values| !values.iter().any(|value| equal_values(value, after))) {
            return Err(violation(path, "enum"));
        }
        match after {
            Bson::String(text) => self.check_text(text, path)?,
            Bson::Array(elements) => self.check_array(before, elements, path, checks)?,
            Bson::Document(document) => self.check_object(before, document, path, checks)?,
            number if is_number(number) => self.check_number(number, path)?,
            _ => {}
        }
        if let Some(expression) = &self.validate {
            checks.push(Check { expression, before, after: Some(after), path: path.to_owned() });
        }
        Ok(())
    }

    fn check_text(&self, text: &str, path: &str) -> Result {
        if self.text.length_min.is_some() || self.text.length_max.is_some() {
            let length = text.chars().count() as u64;
            within(length, self.text.length_min, self.text.length_max, path, "minLength", "maxLength")?;
        }
        match &self.text.pattern {
            Some(pattern) if !pattern.is_match(text) => Err(violation(path, "pattern")),
            _ => Ok(()),
        }
    }

    fn check_number(&self, number: &Bson, path: &str) -> Result {
        let keywords = &self.number;
        if let Some(minimum) = &keywords.minimum {
            let order = order_values(number, minimum);
            let holds = order.is_some_and(|order| order.is_gt() || order.is_eq() && !keywords.exclusive_minimum);
            if !holds {
                return Err(violation(path, "minimum"));
            }
        }
        if let Some(maximum) = &keywords.maximum {
            let order = order_values(number, maximum);
            let holds = order.is_some_and(|order| order.is_lt() || order.is_eq() && !keywords.exclusive_maximum);
            if !holds {
                return Err(violation(path, "maximum"));
            }
        }
        match keywords.multiple_of {
            Some(divisor) if !is_multiple(number, divisor) => Err(violation(path, "multipleOf")),
            _ => Ok(()),
        }
    }

    fn check_array<'a>(
        &'a self,
        before: Option<&'a Bson>,
        elements: &'a [Bson],
        path: &str,
        checks: &mut Vec<Check<'a>>,
    ) -> Result {
        let keywords = &self.array;
        let length = elements.len() as u64;
        within(length, keywords.length_min, keywords.length_max, path, "minItems", "maxItems")?;
        if keywords.unique {
            let mut keys: Vec<ValueKey> = elements.iter().map(ValueKey::of).collect();
            keys.sort_unstable();
            if keys.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(violation(path, "uniqueItems"));
            }
        }
        let old = before.and_then(Bson::as_array).map(Vec::as_slice).unwrap_or_default();
        for (index, element) in elements.iter().enumerate() {
            let schema = match &keywords.items {
                Items::Any => None,
                Items::Each(schema) => Some(&**schema),
                Items::Listed(schemas) => match (schemas.get(index), &keywords.additional) {
                    (Some(schema), _) => Some(schema),
                    (None, Additional::Allowed) => None,
                    (None, Additional::Forbidden) => return Err(violation(path, "additionalItems")),
                    (None, Additional::Fitting(schema)) => Some(&**schema),
                },
            };
            if let Some(schema) = schema {
                schema.check(old.get(index), element, &below(path, &index.to_string()), checks)?;
            }
        }
        Ok(())
    }

    fn check_object<'a>(
        &'a self,
        before: Option<&'a Bson>,
        document: &'a Document,
        path: &str,
        checks: &mut Vec<Check<'a>>,
    ) -> Result {
        let keywords = &self.object;
        let fields = || document.iter().filter(|(name, _)| *name != TRANSACTION_FIELD);
        let length = fields().count() as u64;
        within(length, keywords.length_min, keywords.length_max, path, "minProperties", "maxProperties")?;
        if let Some(missing) = keywords.required.iter().find(|name| !document.contains_key(name.as_str())) {
            return Err(violation(&below(path, missing), "required"));
        }
        for (name, dependency) in &keywords.dependencies {
            if !document.contains_key(name) {
                continue;
            }
            match dependency {
                Dependency::Properties(names) => {
                    if names.iter().any(|name| !document.contains_key(name)) {
                        return Err(violation(&below(path, name), "dependencies"));
                    }
                }
                Dependency::Schema(schema) => schema.check_object(before, document, path, checks)?,
            }
        }
        let old = before.and_then(Bson::as_document);
        for (name, value) in fields() {
            let path = below(path, name);
            let old = old.and_then(|old| old.get(name));
            let mut is_listed = false;
            if let Some((_, schema)) = keywords.properties.iter().find(|(property, _)| property == name) {
                is_listed = true;
                schema.check(old, value, &path, checks)?;
            }
            for (pattern, schema) in &keywords.pattern_properties {
                if pattern.is_match(name) {
                    is_listed = true;
                    schema.check(old, value, &path, checks)?;
                }
            }
            match &keywords.additional {
                // The database gives every document one.
                _ if is_listed || name == "_id" && !path.contains('.') => {}
                Additional::Allowed => {}
                Additional::Forbidden => return Err(violation(&path, "additionalProperties")),
                Additional::Fitting(schema) => schema.check(old, value, &path, checks)?,
            }
        }
        // A field that goes is a change of it as well.
        for (name, value) in old.into_iter().flatten().filter(|(name, _)| !document.contains_key(name.as_str())) {
            if let Some((_, schema)) = keywords.properties.iter().find(|(property, _)| property == name) {
                schema.check_removed(value, &below(path, name), checks);
            }
        }
        Ok(())
    }

    /// Gathers the expressions about a value that goes.
    fn check_removed<'a>(&'a self, before: &'a Bson, path: &str, checks: &mut Vec<Check<'a>>) {
        if let Some(expression) = &self.validate {
            checks.push(Check { expression, before: Some(before), after: None, path: path.to_owned() });
        }
        if let Bson::Document(document) = before {
            for (name, schema) in &self.object.properties {
                if let Some(value) = document.get(name) {
                    schema.check_removed(value, &below(path, name), checks);
                }
            }
        }
    }
}

impl SchemaType {
    fn accepts(self, value: &Bson) -> bool {
        match self {
            Self::Mixed => true,
            Self::String => matches!(value, Bson::String(_)),
            Self::Object => matches!(value, Bson::Document(_)),
            Self::Array => matches!(value, Bson::Array(_)),
            Self::ObjectId => matches!(value, Bson::ObjectId(_)),
            Self::Date => matches!(value, Bson::DateTime(_)),
            Self::Regex => matches!(value, Bson::RegularExpression(_)),
            Self::Timestamp => matches!(value, Bson::Timestamp(_)),
            Self::Decimal => matches!(value, Bson::Decimal128(_)),
            Self::Null => matches!(value, Bson::Null),
            Self::Bool => matches!(value, Bson::Boolean(_)),
            // JavaScript's numbers arrive as doubles or int32, whatever they are meant to be.
            Self::Double => matches!(value, Bson::Double(_) | Bson::Int32(_) | Bson::Int64(_)),
            Self::Int => whole(value).is_some_and(|number| i32::try_from(number).is_ok()),
            Self::Long => whole(value).is_some(),
            Self::Number => is_number(value),
            Self::Uuid => matches!(value, Bson::Binary(Binary { subtype: BinarySubtype::Uuid, .. })),
            Self::BinData => matches!(value, Bson::Binary(_)),
        }
    }
}

fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        Bson::Double(number) if number.fract() == 0.0 && number.abs() < 9_223_372_036_854_775_808.0 => {
            Some(*number as i64)
        }
        _ => None,
    }
}

fn is_multiple(number: &Bson, divisor: f64) -> bool {
    if let Some(number) = whole(number)
        && divisor.fract() == 0.0
        && divisor < 9_007_199_254_740_992.0
    {
        return number.checked_rem(divisor as i64).is_none_or(|rest| rest == 0);
    }
    let number = match number {
        Bson::Int32(number) => f64::from(*number),
        Bson::Int64(number) => *number as f64,
        Bson::Double(number) => *number,
        Bson::Decimal128(number) => number.to_string().parse().unwrap_or(f64::NAN),
        _ => return false,
    };
    // 0.3 is a multiple of 0.1, as far as doubles can tell.
    let quotient = number / divisor;
    quotient.is_finite() && (quotient - quotient.round()).abs() <= quotient.abs().max(1.0) * 1e-9
}

fn within(
    length: u64,
    min: Option<u64>,
    max: Option<u64>,
    path: &str,
    min_keyword: &'static str,
    max_keyword: &'static str,
) -> Result {
    if min.is_some_and(|min| length < min) {
        return Err(violation(path, min_keyword));
    }
    if max.is_some_and(|max| length > max) {
        return Err(violation(path, max_keyword));
    }
    Ok(())
}

fn violation(path: &str, keyword: &'static str) -> Violation {
    Violation { path: path.to_owned(), keyword }
}

fn below(path: &str, name: &str) -> String {
    crate::rule_set::join(path, name)
}
