//! Reading of filter documents.

use bson::{Bson, Document};

use super::Node;
use super::test::{BitQuantifier, BitTest, ComparisonOperator, Membership, Test, TypeSet};
use crate::error::{CommandError, CommandResult};
use crate::query::QueryContext;
use crate::query::expression::Expression;
use crate::query::geo::{GeoTest, Near};
use crate::query::json_schema::Schema;
use crate::query::path::FieldPath;
use crate::query::regex::Regex;
use crate::query::value::ValueRef;

/// Levels of filters within filters at most, so that a hostile filter cannot exhaust the stack (MongoDB's own limit of
/// BSON nesting in queries).
const DEPTH_MAX: usize = 100;

/// Where a filter document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// The query itself, or a branch of its logical operators: tests the whole document.
    Top,
    /// Inside `$elemMatch` and the like: tests something within a document.
    Inner,
}

struct Parser<'c> {
    context: &'c QueryContext,
    depth: usize,
}

pub(super) fn parse(filter: &Document, context: &QueryContext, level: Level) -> CommandResult<Node> {
    Parser { context, depth: 0 }.document(filter, level)
}

fn bad<T>(message: impl Into<String>) -> CommandResult<T> {
    Err(CommandError::bad_value(message))
}

/// Is this an embedded document of operators rather than a value? A DBRef begins with `$` but is a value.
fn is_operators(document: &Document, incomplete_reference: bool) -> bool {
    let Some(first) = document.keys().next() else {
        return false;
    };
    if !first.starts_with('$') {
        return false;
    }
    let (reference, id) = (document.contains_key("$ref"), document.contains_key("$id"));
    let is_reference =
        if incomplete_reference { reference || id || document.contains_key("$db") } else { reference && id };
    !is_reference
}

impl Parser<'_> {
    fn descend(&mut self) -> CommandResult<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return bad(format!("exceeded maximum query tree depth of {DEPTH_MAX}"));
        }
        Ok(())
    }

    fn document(&mut self, filter: &Document, level: Level) -> CommandResult<Node> {
        self.descend()?;
        let mut nodes = Vec::with_capacity(filter.len());
        for (name, value) in filter {
            match name.strip_prefix('$') {
                Some(operator) if !matches!(operator, "ref" | "id" | "db") => {
                    nodes.extend(self.top_level(name, operator, value, level)?);
                }
                _ => nodes.push(self.field(name, value, level)?),
            }
        }
        self.depth -= 1;
        Ok(Node::And(nodes))
    }

    fn top_level(&mut self, name: &str, operator: &str, value: &Bson, level: Level) -> CommandResult<Option<Node>> {
        let node = match operator {
            "and" => Node::And(self.branches(name, value, level)?),
            "or" => Node::Or(self.branches(name, value, level)?),
            "nor" => Node::Nor(self.branches(name, value, level)?),
            "comment" => return Ok(None),
            "alwaysTrue" => {
                expect_one(name, value)?;
                Node::AlwaysTrue
            }
            "alwaysFalse" => {
                expect_one(name, value)?;
                Node::AlwaysFalse
            }
            "expr" => {
                if level != Level::Top {
                    return bad("$expr can only be applied to the top-level document");
                }
                Node::Expression(Box::new(Expression::parse(value, self.context)?))
            }
            "jsonSchema" => match value {
                Bson::Document(schema) => Node::Schema(Box::new(Schema::parse(schema)?)),
                _ => return Err(CommandError::type_mismatch("$jsonSchema must be an object")),
            },
            "where" | "text" | "sampleRate" => {
                if level != Level::Top {
                    return bad(format!("{name} can only be applied to the top-level document"));
                }
                return Err(CommandError::not_supported(format_args!("the {name} operator")));
            }
            _ => {
                return bad(format!(
                    "unknown top level operator: {name}. If you have a field name that starts with a '$' symbol, consider using $getField or $setField."
                ));
            }
        };
        Ok(Some(node))
    }

    fn branches(&mut self, name: &str, value: &Bson, level: Level) -> CommandResult<Vec<Node>> {
        let Bson::Array(items) = value else {
            return bad(format!("{name} must be an array"));
        };
        if items.is_empty() {
            return bad("$and/$or/$nor must be a nonempty array");
        }
        items
            .iter()
            .map(|item| match item {
                Bson::Document(branch) => self.document(branch, level),
                _ => bad("$or/$and/$nor entries need to be full objects"),
            })
            .collect()
    }

    fn field(&mut self, name: &str, value: &Bson, level: Level) -> CommandResult<Node> {
        let path = FieldPath::new(name);
        match value {
            Bson::Document(operators) if is_operators(operators, false) => self.operators(&path, operators, level),
            Bson::RegularExpression(regex) => {
                let regex = Regex::new(regex.pattern.as_str(), regex.options.as_str())?;
                Ok(Node::Path(path, Test::Regex(regex)))
            }
            Bson::Undefined => bad("cannot compare to undefined"),
            value => Ok(Node::Path(path, Test::equality(value.clone()))),
        }
    }

    fn operators(&mut self, path: &FieldPath, operators: &Document, level: Level) -> CommandResult<Node> {
        self.descend()?;
        let mut nodes = Vec::with_capacity(operators.len());
        for (name, value) in operators {
            if let Some(node) = self.operator(path, name, value, operators, level)? {
                nodes.push(node);
            }
            if is_geo_near(name) {
                // The whole document was the operator's.
                break;
            }
        }
        self.depth -= 1;
        Ok(Node::And(nodes))
    }

    fn operator(
        &mut self,
        path: &FieldPath,
        name: &str,
        value: &Bson,
        siblings: &Document,
        level: Level,
    ) -> CommandResult<Option<Node>> {
        use ComparisonOperator as C;
        let test = match name {
            "$eq" => comparison(C::Equal, path, value)?,
            "$gt" => comparison(C::Greater, path, value)?,
            "$gte" => comparison(C::GreaterOrEqual, path, value)?,
            "$lt" => comparison(C::Less, path, value)?,
            "$lte" => comparison(C::LessOrEqual, path, value)?,
            "$ne" => {
                if matches!(value, Bson::RegularExpression(_)) {
                    return bad("Can't have regex as arg to $ne.");
                }
                return Ok(Some(negated(path, comparison(C::Equal, path, value)?)));
            }
            "$in" => Test::In(self.membership(name, value)?),
            "$nin" => return Ok(Some(negated(path, Test::In(self.membership(name, value)?)))),
            "$not" => return self.not(path, value, level).map(Some),
            "$exists" => {
                if !ValueRef::from(value).is_truthy() {
                    return Ok(Some(negated(path, Test::Exists)));
                }
                Test::Exists
            }
            "$type" => Test::Type(type_set(value)?),
            "$mod" => modulus(value)?,
            "$size" => size(value)?,
            "$all" => return self.all(path, value).map(Some),
            "$elemMatch" => self.element_match(value)?,
            "$regex" => Test::Regex(regex(value, siblings.get("$options"))?),
            "$options" => {
                if !siblings.contains_key("$regex") {
                    return bad("$options needs a $regex");
                }
                return Ok(None);
            }
            "$bitsAllSet" => bits(BitQuantifier::AllSet, path, value)?,
            "$bitsAllClear" => bits(BitQuantifier::AllClear, path, value)?,
            "$bitsAnySet" => bits(BitQuantifier::AnySet, path, value)?,
            "$bitsAnyClear" => bits(BitQuantifier::AnyClear, path, value)?,
            "$geoWithin" | "$within" | "$geoIntersects" => Test::Geo(Box::new(GeoTest::parse(name, value)?)),
            "$near" | "$nearSphere" | "$geoNear" => {
                if level != Level::Top {
                    return bad(format!("{name} must be top-level expr"));
                }
                Test::Near(Box::new(Near::parse(name, siblings)?))
            }
            "$maxDistance" | "$minDistance" if siblings.keys().any(|name| is_geo_near(name)) => {
                // Before the operator itself, which reads them from its siblings.
                return Ok(None);
            }
            "$where" | "$text" => {
                return Err(CommandError::not_supported(format_args!("the {name} operator")));
            }
            _ => return bad(format!("unknown operator: {name}")),
        };
        Ok(Some(Node::Path(path.clone(), test)))
    }

    fn membership(&mut self, name: &str, value: &Bson) -> CommandResult<Membership> {
        let Bson::Array(items) = value else {
            return bad(format!("{name} needs an array"));
        };
        let mut values = Vec::with_capacity(items.len());
        let mut regexes = Vec::new();
        for item in items {
            match item {
                Bson::Document(document) if is_operators(document, false) => {
                    return bad(format!("cannot nest $ under {name}"));
                }
                Bson::RegularExpression(regex) => {
                    regexes.push(Regex::new(regex.pattern.as_str(), regex.options.as_str())?);
                }
                Bson::Undefined => return bad("InMatchExpression equality cannot be undefined"),
                item => values.push(item.clone()),
            }
        }
        Ok(Membership::new(values, regexes, self.context.collation()))
    }

    fn not(&mut self, path: &FieldPath, value: &Bson, level: Level) -> CommandResult<Node> {
        let inner = match value {
            Bson::RegularExpression(regex) => {
                let regex = Regex::new(regex.pattern.as_str(), regex.options.as_str())?;
                Node::Path(path.clone(), Test::Regex(regex))
            }
            Bson::Document(operators) => {
                let Some(first) = operators.keys().next() else {
                    return bad("$not cannot be empty");
                };
                if !first.starts_with('$') {
                    return bad(format!("unknown operator: {first}"));
                }
                self.operators(path, operators, level)?
            }
            _ => return bad("$not needs a regex or a document"),
        };
        Ok(Node::Not(Box::new(inner)))
    }

    fn all(&mut self, path: &FieldPath, value: &Bson) -> CommandResult<Node> {
        let Bson::Array(items) = value else {
            return bad("$all needs an array");
        };
        if items.is_empty() {
            return Ok(Node::AlwaysFalse);
        }
        let is_element_match = |item: &Bson| matches!(item, Bson::Document(document) if document.keys().next().is_some_and(|name| name == "$elemMatch"));
        let mut nodes = Vec::with_capacity(items.len());
        if is_element_match(&items[0]) {
            for item in items {
                let Bson::Document(document) = item else {
                    return bad("$all/$elemMatch has to be consistent");
                };
                let Some(condition) = document.get("$elemMatch").filter(|_| is_element_match(item)) else {
                    return bad("$all/$elemMatch has to be consistent");
                };
                nodes.push(Node::Path(path.clone(), self.element_match(condition)?));
            }
            return Ok(Node::And(nodes));
        }
        for item in items {
            nodes.push(Node::Path(
                path.clone(),
                match item {
                    Bson::RegularExpression(regex) => {
                        Test::Regex(Regex::new(regex.pattern.as_str(), regex.options.as_str())?)
                    }
                    Bson::Document(document) if is_operators(document, false) => {
                        return bad("no $ expressions in $all");
                    }
                    Bson::Undefined => return bad("cannot compare to undefined"),
                    item => Test::equality(item.clone()),
                },
            ));
        }
        Ok(Node::And(nodes))
    }

    fn element_match(&mut self, value: &Bson) -> CommandResult<Test> {
        let Bson::Document(condition) = value else {
            return bad("$elemMatch needs an Object");
        };
        let on_values = is_operators(condition, true)
            && !matches!(
                condition.keys().next().map(String::as_str),
                Some("$and" | "$nor" | "$or" | "$where" | "$expr")
            );
        if on_values {
            let path = FieldPath::new("");
            return match self.operators(&path, condition, Level::Inner)? {
                Node::And(nodes) => Ok(Test::ElementValue(nodes)),
                node => Ok(Test::ElementValue(vec![node])),
            };
        }
        Ok(Test::ElementObject(Box::new(self.document(condition, Level::Inner)?)))
    }
}

fn is_geo_near(name: &str) -> bool {
    matches!(name, "$near" | "$nearSphere" | "$geoNear")
}

fn negated(path: &FieldPath, test: Test) -> Node {
    Node::Not(Box::new(Node::Path(path.clone(), test)))
}

fn expect_one(name: &str, value: &Bson) -> CommandResult<()> {
    if ValueRef::from(value).as_exact_i64() == Some(1) {
        return Ok(());
    }
    Err(CommandError::failed_to_parse(format!("{name} must be an integer value of 1")))
}

fn comparison(operator: ComparisonOperator, path: &FieldPath, value: &Bson) -> CommandResult<Test> {
    match value {
        Bson::Undefined => bad("cannot compare to undefined"),
        Bson::RegularExpression(_) if operator != ComparisonOperator::Equal => {
            bad(format!("Can't have RegEx as arg to predicate over field '{}'.", path.as_str()))
        }
        value => Ok(Test::Compare(operator, value.clone())),
    }
}

fn regex(value: &Bson, options: Option<&Bson>) -> CommandResult<Regex> {
    let (pattern, own_options) = match value {
        Bson::String(pattern) => (pattern.as_str(), ""),
        Bson::RegularExpression(regex) => (regex.pattern.as_str(), regex.options.as_str()),
        _ => return bad("$regex has to be a string"),
    };
    let options = match options {
        None => own_options,
        Some(Bson::String(options)) => {
            if !own_options.is_empty() {
                return Err(CommandError::new(51075, "options set in both $regex and $options"));
            }
            options.as_str()
        }
        Some(_) => return bad("$options has to be a string"),
    };
    Regex::new(pattern, options)
}

fn modulus(value: &Bson) -> CommandResult<Test> {
    let Bson::Array(items) = value else {
        return bad("malformed mod, needs to be an array");
    };
    match items.as_slice() {
        [] | [_] => return bad("malformed mod, not enough elements"),
        [_, _] => {}
        _ => return bad("malformed mod, too many elements"),
    }
    let part = |value: &Bson, what: &str| -> CommandResult<i64> {
        let number = ValueRef::from(value);
        if !number.is_number() {
            return bad(format!("malformed mod, {what} not a number"));
        }
        let in_range = number
            .as_f64()
            .filter(|number| (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(number));
        match (number.as_exact_i64(), in_range) {
            (Some(exact), _) => Ok(exact),
            (None, Some(number)) => Ok(number.trunc() as i64),
            (None, None) => bad(format!(
                "malformed mod, {what} value is invalid :: caused by :: Unable to coerce NaN/Inf to integral type or out of range"
            )),
        }
    };
    let divisor = part(&items[0], "divisor")?;
    let remainder = part(&items[1], "remainder")?;
    if divisor == 0 {
        return bad("divisor cannot be 0");
    }
    Ok(Test::Mod { divisor, remainder })
}

fn size(value: &Bson) -> CommandResult<Test> {
    let number = ValueRef::from(value);
    if !number.is_number() {
        return Err(CommandError::failed_to_parse(format!(
            "Failed to parse $size. Expected a number in: $size: {value}"
        )));
    }
    match number.as_exact_i64() {
        Some(size) if size >= 0 => Ok(Test::Size(size)),
        Some(size) => bad(format!("Failed to parse $size. Expected a non-negative number in: $size: {size}")),
        None => bad(format!("Failed to parse $size. Expected an integer: $size: {value}")),
    }
}

/// Names and numbers of the types, as `$type` takes them.
const TYPES: [(&str, i32); 21] = [
    ("double", 1),
    ("string", 2),
    ("object", 3),
    ("array", 4),
    ("binData", 5),
    ("undefined", 6),
    ("objectId", 7),
    ("bool", 8),
    ("date", 9),
    ("null", 10),
    ("regex", 11),
    ("dbPointer", 12),
    ("javascript", 13),
    ("symbol", 14),
    ("javascriptWithScope", 15),
    ("int", 16),
    ("timestamp", 17),
    ("long", 18),
    ("decimal", 19),
    ("minKey", -1),
    ("maxKey", 127),
];

/// The number of a type by its alias.
pub(crate) fn type_number(alias: &str) -> Option<i32> {
    TYPES.iter().find(|(name, _)| *name == alias).map(|(_, number)| *number)
}

fn type_set(value: &Bson) -> CommandResult<TypeSet> {
    let mut types = TypeSet::default();
    match value {
        Bson::Array(items) => {
            if items.is_empty() {
                return Err(CommandError::failed_to_parse("$type must match at least one type"));
            }
            for item in items {
                add_type(&mut types, item)?;
            }
        }
        value => add_type(&mut types, value)?,
    }
    Ok(types)
}

fn add_type(types: &mut TypeSet, value: &Bson) -> CommandResult<()> {
    if let Bson::String(alias) = value {
        if alias == "number" {
            types.any_number = true;
            return Ok(());
        }
        let Some(number) = type_number(alias) else {
            return bad(format!("Unknown type name alias: {alias}"));
        };
        types.numbers.push(number);
        return Ok(());
    }
    let number = ValueRef::from(value);
    if !number.is_number() {
        return Err(CommandError::type_mismatch("type must be represented as a number or a string"));
    }
    match number.as_exact_i64().and_then(|number| i32::try_from(number).ok()) {
        Some(number) if TYPES.iter().any(|(_, known)| *known == number) => {
            types.numbers.push(number);
            Ok(())
        }
        _ => bad(format!("Invalid numerical type code: {value}")),
    }
}

fn bits(quantifier: BitQuantifier, path: &FieldPath, value: &Bson) -> CommandResult<Test> {
    let positions = match value {
        Bson::Array(items) => items.iter().map(bit_position).collect::<CommandResult<Vec<_>>>()?,
        Bson::Binary(binary) => {
            let set = |position: &u32| binary.bytes[*position as usize / 8] >> (position % 8) & 1 == 1;
            let count = u32::try_from(binary.bytes.len().saturating_mul(8)).unwrap_or(u32::MAX);
            (0..count).filter(set).collect()
        }
        value => {
            let number = ValueRef::from(value);
            if !number.is_number() {
                return bad(format!("{} takes an Array, a number, or a BinData but received: {value}", path.as_str()));
            }
            let mask = match number.as_exact_i64() {
                Some(mask) if mask >= 0 => mask,
                Some(_) => {
                    return Err(CommandError::failed_to_parse(format!(
                        "Expected a non-negative number in: {}: {value}",
                        path.as_str()
                    )));
                }
                None => {
                    return Err(CommandError::failed_to_parse(format!(
                        "Expected an integer: {}: {value}",
                        path.as_str()
                    )));
                }
            };
            (0..63).filter(|position| mask >> position & 1 == 1).collect()
        }
    };
    Ok(Test::Bits(BitTest { quantifier, positions }))
}

fn bit_position(value: &Bson) -> CommandResult<u32> {
    let number = ValueRef::from(value);
    if !number.is_number() {
        return bad(format!("Failed to parse bit position. Expected a number in: {value}"));
    }
    match number.as_exact_i64() {
        Some(position) if (0..=i64::from(i32::MAX)).contains(&position) => Ok(position as u32),
        Some(_) => bad(format!("Failed to parse bit position. Expected a non-negative number in: {value}")),
        None => bad(format!("Failed to parse bit position. Expected an integer: {value}")),
    }
}
