//! From JSON to a checked expression (rules-and-users 1.1, 1.2, 1.5).

use bson::Bson;
use serde_json::{Map, Value as Json};

use super::expansions::{Availability, Origin, Reference};
use super::literal::{self, extended_json};
use super::operators::{self, Conversion, Pattern, TypeName};
use super::query::Clause;
use super::{CALLS_MAX, Condition, Expression, Fields, FunctionNode, Key, Node, Operand, Order, Place, Test, Uses};
use crate::RuleError;

/// Objects and arrays inside of each other.
const DEPTH_MAX: usize = 100;

/// Values in one expression.
const VALUES_MAX: usize = 20_000;

pub(super) fn parse(json: &Json, place: Place) -> Result<Expression, RuleError> {
    let mut parser = Parser {
        place,
        path: Vec::new(),
        values: 0,
        functions: Vec::new(),
        uses: Uses::default(),
        warnings: Vec::new(),
    };
    let root = parser.expression(json)?;
    Ok(Expression { root, functions: parser.functions, uses: parser.uses, warnings: parser.warnings })
}

/// Reads the query of a filter: plain MongoDB, in which values may be expansions and value operators.
pub(super) fn parse_query(json: &Json) -> Result<(Vec<Clause>, Expression), RuleError> {
    let mut parser = Parser {
        place: Place::FilterApplyWhen,
        path: Vec::new(),
        values: 0,
        functions: Vec::new(),
        uses: Uses::default(),
        warnings: Vec::new(),
    };
    let clauses = parser.clauses(json)?;
    Ok((
        clauses,
        Expression {
            root: Node::Constant(true),
            functions: parser.functions,
            uses: parser.uses,
            warnings: parser.warnings,
        },
    ))
}

struct Parser {
    place: Place,
    /// Keys and positions down to where we are.
    path: Vec<String>,
    values: usize,
    functions: Vec<FunctionNode>,
    uses: Uses,
    warnings: Vec<RuleError>,
}

type Parsed<T> = Result<T, RuleError>;

/// What the keys of an operand say about it.
enum Keys {
    None,
    Operators,
    Plain,
    Mixed,
}

impl Parser {
    fn expression(&mut self, json: &Json) -> Parsed<Node> {
        self.count()?;
        match json {
            Json::Bool(value) => Ok(Node::Constant(*value)),
            Json::String(text) if text == "%%true" => Ok(Node::Constant(true)),
            Json::String(text) if text == "%%false" => Ok(Node::Constant(false)),
            Json::Object(object) if extended_json(object).is_none() => self.entries(object),
            Json::Object(_) => Err(self.not_an_expression("a value")),
            Json::Null => Err(self.not_an_expression("null")),
            Json::Number(_) => Err(self.not_an_expression("a number")),
            Json::String(_) => Err(self.not_an_expression("a string")),
            Json::Array(_) => Err(self.not_an_expression("an array")),
        }
    }

    fn entries(&mut self, object: &Map<String, Json>) -> Parsed<Node> {
        let mut entries = Vec::with_capacity(object.len());
        for (key, operand) in object {
            entries.push(self.below(key, |parser| parser.entry(key, operand))?);
        }
        Ok(match (entries.pop(), entries.is_empty()) {
            (None, _) => Node::Constant(true),
            (Some(only), true) => only,
            (Some(last), false) => {
                entries.push(last);
                Node::All(entries)
            }
        })
    }

    fn entry(&mut self, key: &str, operand: &Json) -> Parsed<Node> {
        if let Some(name) = operator_name(key) {
            return match name {
                "and" => Ok(Node::All(self.expressions(key, operand)?)),
                "or" => Ok(Node::Any(self.expressions(key, operand)?)),
                "nor" => Ok(Node::None(self.expressions(key, operand)?)),
                "not" => Ok(Node::Not(Box::new(self.expression(operand)?))),
                _ => Err(self.unknown_operator(key)),
            };
        }
        let key = self.key(key)?;
        let test = self.test(&key, operand)?;
        Ok(Node::Entry(key, test))
    }

    fn expressions(&mut self, operator: &str, operand: &Json) -> Parsed<Vec<Node>> {
        let elements = self.filled_array(operator, operand, "an array of at least one expression")?;
        elements
            .iter()
            .enumerate()
            .map(|(index, element)| self.below(&index.to_string(), |parser| parser.expression(element)))
            .collect()
    }

    fn key(&mut self, key: &str) -> Parsed<Key> {
        if key == "%%true" {
            return Ok(Key::Constant(true));
        }
        if key == "%%false" {
            return Ok(Key::Constant(false));
        }
        if key.starts_with("%%") {
            return Ok(Key::Reference(self.expansion(key)?));
        }
        let segments = field_path(key);
        match (Origin::of_bare_key(self.place), segments) {
            (Some(root), Some(segments)) => {
                self.note_document(root, &segments);
                Ok(Key::Reference(Reference { root, segments }))
            }
            (None, _) => Err(RuleError::BareKey { path: self.path(), key: key.to_owned() }),
            (Some(_), None) => Err(RuleError::UnknownExpansion {
                path: self.path(),
                expansion: key.to_owned(),
                hint: "a field path has no empty parts".to_owned(),
            }),
        }
    }

    fn expansion(&mut self, text: &str) -> Parsed<Reference> {
        let unknown = |parser: &Self, hint: &str| {
            Err(RuleError::UnknownExpansion { path: parser.path(), expansion: text.to_owned(), hint: hint.to_owned() })
        };
        let inside = &text["%%".len()..];
        if inside.contains("%%") {
            return unknown(self, "one expansion is the whole string, and has %% in front only");
        }
        let Some(mut segments) = field_path(inside) else {
            return unknown(self, "a path has no empty parts");
        };
        let name = segments.remove(0);
        let root = match Origin::in_place(&name, self.place) {
            Availability::Yes(root) => root,
            Availability::Elsewhere(hint) => return unknown(self, hint),
            Availability::Unknown => return unknown(self, ""),
        };
        match root {
            Origin::Values => match segments.first() {
                Some(value) => {
                    self.uses.values.insert(value.clone());
                }
                None => return unknown(self, "name a value, as in %%values.name"),
            },
            Origin::User if segments.first().is_none_or(|segment| segment == "custom_data") => {
                self.uses.custom_data = true
            }
            _ => self.note_document(root, &segments),
        }
        Ok(Reference { root, segments })
    }

    fn note_document(&mut self, root: Origin, segments: &[String]) {
        if root.is_document() {
            self.uses.document = true;
            self.uses.fields.extend(&match segments.first() {
                Some(first) => Fields::Named([first.clone()].into()),
                None => Fields::All,
            });
        }
    }

    /// The right side of an entry.
    fn test(&mut self, key: &Key, operand: &Json) -> Parsed<Test> {
        if let (Key::Constant(_), Json::Object(object)) = (key, operand)
            && extended_json(object).is_none()
            && self.is_embedded(object)?
        {
            return Ok(Test::Expression(Box::new(self.expression(operand)?)));
        }
        Ok(Test::Condition(self.condition(operand)?))
    }

    /// Below `%%true` and `%%false`: an expression, rather than a condition on the truth value.
    fn is_embedded(&self, object: &Map<String, Json>) -> Parsed<bool> {
        match keys_of(object) {
            Keys::None | Keys::Plain => Ok(true),
            Keys::Mixed => Ok(object.keys().all(|key| operator_name(key).is_none_or(is_logical))),
            Keys::Operators => Ok(object.iter().all(|(key, operand)| {
                operator_name(key).is_some_and(is_logical)
                    && elements_of(operand).iter().any(|element| !is_condition(element))
            })),
        }
    }

    /// An operand: a condition when it has operators, else a value to be equal to.
    fn condition(&mut self, operand: &Json) -> Parsed<Condition> {
        match operand {
            Json::Object(object) if extended_json(object).is_none() => match keys_of(object) {
                Keys::Operators if !has_value_operator(object) => {
                    self.count()?;
                    self.operators(object)
                }
                Keys::Mixed => Err(RuleError::MixedKeys { path: self.path() }),
                Keys::Operators | Keys::None | Keys::Plain => Ok(Condition::Equal(self.operand(operand)?)),
            },
            _ => Ok(Condition::Equal(self.operand(operand)?)),
        }
    }

    /// An object of operators only, as the operand of another operator.
    fn inner_condition(&mut self, operator: &str, json: &Json) -> Parsed<Condition> {
        match json {
            Json::Object(object) if is_condition(json) => {
                self.count()?;
                self.operators(object)
            }
            _ => Err(self.wrong(operator, "an object of operators here")),
        }
    }

    fn operators(&mut self, object: &Map<String, Json>) -> Parsed<Condition> {
        let mut all = Vec::with_capacity(object.len());
        for (key, operand) in object {
            if let Some(condition) = self.below(key, |parser| parser.operator(key, operand, object))? {
                all.push(condition);
            }
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::All(all) })
    }

    /// One operator of a condition; `None` for `%options`, which belongs to `%regex`.
    fn operator(&mut self, key: &str, operand: &Json, all: &Map<String, Json>) -> Parsed<Option<Condition>> {
        let Some(name) = operator_name(key) else { return Err(RuleError::MixedKeys { path: self.path() }) };
        Ok(Some(match name {
            "and" => Condition::All(self.conditions(key, operand)?),
            "or" => Condition::Any(self.conditions(key, operand)?),
            "nor" => Condition::None(self.conditions(key, operand)?),
            "not" => Condition::Not(Box::new(self.inner_condition(key, operand)?)),
            "exists" => Condition::Exists(self.truth(key, operand)?),
            "eq" => Condition::Equal(self.operand(operand)?),
            "ne" => Condition::NotEqual(self.operand(operand)?),
            "gt" => Condition::Order(Order::Greater, self.operand(operand)?),
            "gte" => Condition::Order(Order::GreaterOrEqual, self.operand(operand)?),
            "lt" => Condition::Order(Order::Less, self.operand(operand)?),
            "lte" => Condition::Order(Order::LessOrEqual, self.operand(operand)?),
            "in" => Condition::In(self.list(key, operand)?),
            "nin" => Condition::NotIn(self.list(key, operand)?),
            "all" => match self.operand(operand)? {
                Operand::Literal(value) if !matches!(value, Bson::Array(_)) => return Err(self.wrong(key, "an array")),
                list => Condition::ContainsAll(list),
            },
            "size" => match self.operand(operand)? {
                Operand::Literal(value) if whole(&value).is_none_or(|size| size < 0) => {
                    return Err(self.wrong(key, "a whole number from 0"));
                }
                size => Condition::Size(size),
            },
            "elemMatch" => self.element(key, operand)?,
            "type" => Condition::Type(self.types(key, operand)?),
            "regex" => Condition::Pattern(self.pattern(key, operand, all)?),
            "options" if ["%regex", "$regex"].iter().any(|regex| all.contains_key(*regex)) => return Ok(None),
            "mod" => self.remainder(key, operand)?,
            _ => return Err(self.unknown_operator(key)),
        }))
    }

    fn conditions(&mut self, operator: &str, operand: &Json) -> Parsed<Vec<Condition>> {
        let elements = self.filled_array(operator, operand, "an array of at least one object of operators")?;
        elements
            .iter()
            .enumerate()
            .map(|(index, element)| self.below(&index.to_string(), |parser| parser.inner_condition(operator, element)))
            .collect()
    }

    fn truth(&self, operator: &str, operand: &Json) -> Parsed<bool> {
        match operand {
            Json::Bool(value) => Ok(*value),
            Json::String(text) if text == "%%true" => Ok(true),
            Json::String(text) if text == "%%false" => Ok(false),
            Json::Number(number) if number.as_f64() == Some(1.0) => Ok(true),
            Json::Number(number) if number.as_f64() == Some(0.0) => Ok(false),
            _ => Err(self.wrong(operator, "true or false")),
        }
    }

    /// Operand of `%in` and `%nin`: a list, or one string or number that stands for a list of itself.
    fn list(&mut self, operator: &str, operand: &Json) -> Parsed<Operand> {
        match self.operand(operand)? {
            Operand::Literal(value @ Bson::Array(_)) => Ok(Operand::Literal(value)),
            Operand::Literal(value @ Bson::String(_)) => Ok(Operand::Literal(Bson::Array(vec![value]))),
            Operand::Literal(value) if super::compare::is_number(&value) => {
                Ok(Operand::Literal(Bson::Array(vec![value])))
            }
            Operand::Literal(_) | Operand::Document(_) => Err(self.wrong(operator, "an array")),
            other => Ok(other),
        }
    }

    fn element(&mut self, operator: &str, operand: &Json) -> Parsed<Condition> {
        let Json::Object(object) = operand else { return Err(self.wrong(operator, "an object")) };
        if is_condition(operand) {
            return Ok(Condition::Element(Box::new(self.inner_condition(operator, operand)?)));
        }
        if !matches!(keys_of(object), Keys::Plain) || extended_json(object).is_some() {
            return Err(self.wrong(operator, "an object of operators, or one of fields"));
        }
        self.count()?;
        let mut fields = Vec::with_capacity(object.len());
        for (key, operand) in object {
            let field = self.below(key, |parser| match field_path(key).filter(|_| !key.starts_with("%%")) {
                Some(segments) => Ok((segments, parser.condition(operand)?)),
                None => Err(parser.wrong(operator, "names of fields as keys")),
            })?;
            fields.push(field);
        }
        Ok(Condition::ElementFields(fields))
    }

    fn types(&mut self, operator: &str, operand: &Json) -> Parsed<Vec<TypeName>> {
        let names = match operand {
            Json::Array(names) => names.as_slice(),
            one => std::slice::from_ref(one),
        };
        let types: Option<Vec<TypeName>> = names
            .iter()
            .map(|name| match name {
                Json::String(name) => TypeName::named(name),
                other => other.as_i64().and_then(TypeName::numbered),
            })
            .collect();
        types.filter(|types| !types.is_empty()).ok_or_else(|| self.wrong(operator, "names or numbers of BSON types"))
    }

    fn pattern(&mut self, operator: &str, operand: &Json, all: &Map<String, Json>) -> Parsed<Pattern> {
        let options = match all.get("%options").or_else(|| all.get("$options")) {
            None => "",
            Some(Json::String(options)) => options,
            Some(_) => return Err(self.wrong(operator, "options that are a string")),
        };
        if !options.chars().all(|option| "imsxu".contains(option)) {
            return Err(self.wrong(operator, "the options i, m, s, x and u"));
        }
        match self.operand(operand)? {
            Operand::Literal(Bson::String(pattern)) => match operators::compile(&pattern, options) {
                Some(compiled) => Ok(Pattern::Ready(compiled)),
                None => Err(self.wrong(operator, "a regular expression without look-around and back references")),
            },
            Operand::Literal(_) | Operand::List(_) | Operand::Document(_) => Err(self.wrong(operator, "a string")),
            pattern => Ok(Pattern::Later { pattern, options: options.to_owned() }),
        }
    }

    fn remainder(&mut self, operator: &str, operand: &Json) -> Parsed<Condition> {
        let numbers = match operand {
            Json::Array(numbers) => numbers.as_slice(),
            _ => &[],
        };
        let mut wholes = Vec::new();
        for number in numbers {
            if let Operand::Literal(value) = self.operand(number)? {
                wholes.extend(truncated(&value));
            }
        }
        match wholes[..] {
            [divisor, remainder] if numbers.len() == 2 && divisor != 0 => {
                Ok(Condition::Remainder { divisor, remainder })
            }
            _ => Err(self.wrong(operator, "[divisor, remainder], two numbers, the first not 0")),
        }
    }

    fn operand(&mut self, json: &Json) -> Parsed<Operand> {
        self.count()?;
        Ok(match json {
            Json::Null | Json::Bool(_) | Json::Number(_) => Operand::Literal(literal::from_json(json)),
            Json::String(text) => self.text(text)?,
            Json::Array(elements) => {
                let elements: Vec<Operand> = elements
                    .iter()
                    .enumerate()
                    .map(|(index, element)| self.below(&index.to_string(), |parser| parser.operand(element)))
                    .collect::<Parsed<_>>()?;
                gather_list(elements)
            }
            Json::Object(object) => {
                if let Some(value) = extended_json(object) {
                    return self.literal(value);
                }
                match keys_of(object) {
                    Keys::None => Operand::Literal(Bson::Document(bson::Document::new())),
                    Keys::Operators => self.value_operator(object)?,
                    Keys::Mixed => return Err(RuleError::MixedKeys { path: self.path() }),
                    Keys::Plain => self.document(object)?,
                }
            }
        })
    }

    fn text(&mut self, text: &str) -> Parsed<Operand> {
        Ok(match text {
            "%%true" => Operand::Literal(Bson::Boolean(true)),
            "%%false" => Operand::Literal(Bson::Boolean(false)),
            text if text.starts_with("%%") => Operand::Expansion(self.expansion(text)?),
            text => Operand::Literal(Bson::String(text.to_owned())),
        })
    }

    fn literal(&self, value: Result<Bson, String>) -> Parsed<Operand> {
        value.map(Operand::Literal).map_err(|reason| RuleError::Literal { path: self.path(), reason })
    }

    /// A document to be equal to. Expansions stand in its values, never in its keys.
    fn document(&mut self, object: &Map<String, Json>) -> Parsed<Operand> {
        let mut members = Vec::with_capacity(object.len());
        for (key, value) in object {
            if key.starts_with("%%") {
                // Real exports have such roles, after which others apply: the rest of the file must stay usable.
                self.warnings.push(RuleError::UnknownExpansion {
                    path: self.path(),
                    expansion: key.clone(),
                    hint: "this never holds: a document to compare with has no expansions as keys; put expressions below %%true".to_owned(),
                });
                return Ok(Operand::Impossible);
            }
            let member = self.below(key, |parser| match value {
                Json::Object(inner) if extended_json(inner).is_none() && matches!(keys_of(inner), Keys::Operators) => {
                    let operator = inner.keys().next().map_or("", String::as_str);
                    Err(parser.unknown_operator(operator))
                }
                value => parser.operand(value),
            })?;
            members.push((key.clone(), member));
        }
        Ok(gather_document(members))
    }

    /// `{"%function": …}` and the conversions, each alone in its object.
    fn value_operator(&mut self, object: &Map<String, Json>) -> Parsed<Operand> {
        let mut entries = object.iter();
        let (Some((key, operand)), None) = (entries.next(), entries.next()) else {
            return Err(RuleError::MixedKeys { path: self.path() });
        };
        let Some(name) = operator_name(key) else { return Err(self.unknown_operator(key)) };
        self.below(key, |parser| {
            if name == "function" {
                return parser.function(key, operand);
            }
            match Conversion::named(name) {
                Some(conversion) => parser.conversion(conversion, key, operand),
                None => Err(parser.unknown_operator(key)),
            }
        })
    }

    /// Operators are not evaluated inside of a conversion.
    fn conversion(&mut self, conversion: Conversion, operator: &str, operand: &Json) -> Parsed<Operand> {
        let inner = match operand {
            Json::String(text) => self.text(text)?,
            Json::Object(object) => match extended_json(object) {
                Some(value) => self.literal(value)?,
                None => return Err(self.wrong(operator, "a literal or an expansion")),
            },
            _ => return Err(self.wrong(operator, "a string, an Extended JSON value or an expansion")),
        };
        Ok(Operand::Conversion(conversion, Box::new(inner)))
    }

    fn function(&mut self, operator: &str, operand: &Json) -> Parsed<Operand> {
        const SHAPE: &str = "{\"name\": a function's name, \"arguments\": an array}";
        let Json::Object(object) = operand else { return Err(self.wrong(operator, SHAPE)) };
        let Some(Json::String(name)) = object.get("name") else { return Err(self.wrong(operator, SHAPE)) };
        if name.is_empty() || name.starts_with("%%") {
            return Err(self.wrong(operator, SHAPE));
        }
        let empty = Vec::new();
        let arguments = match object.get("arguments").or_else(|| object.get("args")) {
            None | Some(Json::Null) => &empty,
            Some(Json::Array(arguments)) => arguments,
            Some(_) => return Err(self.wrong(operator, SHAPE)),
        };
        let arguments = arguments
            .iter()
            .enumerate()
            .map(|(index, argument)| self.below(&format!("arguments.{index}"), |parser| parser.argument(argument)))
            .collect::<Parsed<Vec<Operand>>>()?;
        if self.functions.len() >= CALLS_MAX {
            return Err(RuleError::TooLarge { path: self.path() });
        }
        self.functions.push(FunctionNode { name: name.clone(), arguments });
        Ok(Operand::Function(self.functions.len() - 1))
    }

    /// An argument is data: expansions and conversions in it are replaced, everything else is passed on as it is.
    fn argument(&mut self, json: &Json) -> Parsed<Operand> {
        self.count()?;
        Ok(match json {
            Json::Null | Json::Bool(_) | Json::Number(_) => Operand::Literal(literal::from_json(json)),
            Json::String(text) => self.text(text)?,
            Json::Array(elements) => {
                let elements: Vec<Operand> = elements
                    .iter()
                    .enumerate()
                    .map(|(index, element)| self.below(&index.to_string(), |parser| parser.argument(element)))
                    .collect::<Parsed<_>>()?;
                gather_list(elements)
            }
            Json::Object(object) => {
                if let Some(value) = extended_json(object) {
                    return self.literal(value);
                }
                if let (1, Some((key, operand))) = (object.len(), object.iter().next())
                    && let Some(conversion) = operator_name(key).and_then(Conversion::named)
                {
                    return self.below(key, |parser| parser.conversion(conversion, key, operand));
                }
                let mut members = Vec::with_capacity(object.len());
                for (key, value) in object {
                    members.push((key.clone(), self.below(key, |parser| parser.argument(value))?));
                }
                gather_document(members)
            }
        })
    }

    /// The clauses of one query document.
    fn clauses(&mut self, json: &Json) -> Parsed<Vec<Clause>> {
        let Json::Object(object) = json else { return Err(self.not_an_expression("this")) };
        let mut clauses = Vec::with_capacity(object.len());
        for (key, operand) in object {
            let name = self.query_key(key)?;
            let clause = self.below(key, |parser| match (name.as_str(), operand) {
                ("$and" | "$or" | "$nor", Json::Array(elements)) => {
                    let inner = elements
                        .iter()
                        .enumerate()
                        .map(|(index, element)| parser.below(&index.to_string(), |parser| parser.clauses(element)));
                    Ok(Clause::Logical { inner: inner.collect::<Parsed<_>>()?, operator: name.clone() })
                }
                _ => Ok(Clause::Predicate {
                    negated: has_negation(operand),
                    operand: parser.query_value(operand)?,
                    key: name.clone(),
                }),
            })?;
            clauses.push(clause);
        }
        Ok(clauses)
    }

    /// Operators with one `%` are MongoDB's with `$`.
    fn query_key(&self, key: &str) -> Parsed<String> {
        if key.starts_with("%%") {
            let hint = "a filter's query takes expansions as values only".to_owned();
            return Err(RuleError::UnknownExpansion { path: self.path(), expansion: key.to_owned(), hint });
        }
        Ok(match key.strip_prefix('%') {
            Some(name) => format!("${name}"),
            None => key.to_owned(),
        })
    }

    fn query_value(&mut self, json: &Json) -> Parsed<Operand> {
        self.count()?;
        Ok(match json {
            Json::Null | Json::Bool(_) | Json::Number(_) => Operand::Literal(literal::from_json(json)),
            Json::String(text) => self.text(text)?,
            Json::Array(elements) => {
                let elements: Vec<Operand> = elements
                    .iter()
                    .enumerate()
                    .map(|(index, element)| self.below(&index.to_string(), |parser| parser.query_value(element)))
                    .collect::<Parsed<_>>()?;
                gather_list(elements)
            }
            Json::Object(object) => {
                if let Some(value) = extended_json(object) {
                    return self.literal(value);
                }
                if has_value_operator(object) {
                    return self.value_operator(object);
                }
                let mut members = Vec::with_capacity(object.len());
                for (key, value) in object {
                    let name = self.query_key(key)?;
                    members.push((name, self.below(key, |parser| parser.query_value(value))?));
                }
                gather_document(members)
            }
        })
    }

    fn filled_array<'a>(&self, operator: &str, operand: &'a Json, expected: &'static str) -> Parsed<&'a [Json]> {
        match operand {
            Json::Array(elements) if !elements.is_empty() => Ok(elements),
            _ => Err(self.wrong(operator, expected)),
        }
    }

    fn below<T>(&mut self, key: &str, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.path.push(key.to_owned());
        let parsed =
            if self.path.len() > DEPTH_MAX { Err(RuleError::TooLarge { path: self.path() }) } else { parse(self) };
        self.path.pop();
        parsed
    }

    fn count(&mut self) -> Parsed<()> {
        self.values += 1;
        if self.values > VALUES_MAX { Err(RuleError::TooLarge { path: self.path() }) } else { Ok(()) }
    }

    fn path(&self) -> String {
        self.path.join(".")
    }

    fn not_an_expression(&self, found: &'static str) -> RuleError {
        RuleError::NotAnExpression { path: self.path(), found }
    }

    fn unknown_operator(&self, operator: &str) -> RuleError {
        RuleError::UnknownOperator { path: self.path(), operator: operator.to_owned() }
    }

    fn wrong(&self, operator: &str, expected: &'static str) -> RuleError {
        RuleError::Operand { path: self.path(), operator: operator.to_owned(), expected }
    }
}

/// `and` for `%and` and `$and`; `None` for expansions and plain keys.
fn operator_name(key: &str) -> Option<&str> {
    if key.starts_with("%%") {
        return None;
    }
    key.strip_prefix('%').or_else(|| key.strip_prefix('$'))
}

fn is_logical(name: &str) -> bool {
    matches!(name, "and" | "or" | "nor" | "not")
}

fn keys_of(object: &Map<String, Json>) -> Keys {
    let operators = object.keys().filter(|key| operator_name(key).is_some()).count();
    match operators {
        0 if object.is_empty() => Keys::None,
        0 => Keys::Plain,
        _ if operators == object.len() => Keys::Operators,
        _ => Keys::Mixed,
    }
}

/// An object of operators that is no value.
fn is_condition(json: &Json) -> bool {
    match json {
        Json::Object(object) => {
            matches!(keys_of(object), Keys::Operators) && extended_json(object).is_none() && !has_value_operator(object)
        }
        _ => false,
    }
}

fn has_value_operator(object: &Map<String, Json>) -> bool {
    object
        .keys()
        .filter_map(|key| operator_name(key))
        .any(|name| name == "function" || Conversion::named(name).is_some())
}

/// `$not` or `$nor` at any depth.
fn has_negation(json: &Json) -> bool {
    match json {
        Json::Object(object) => object.iter().any(|(key, value)| {
            operator_name(key).is_some_and(|name| matches!(name, "not" | "nor")) || has_negation(value)
        }),
        Json::Array(elements) => elements.iter().any(has_negation),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

fn elements_of(operand: &Json) -> &[Json] {
    match operand {
        Json::Array(elements) => elements,
        one => std::slice::from_ref(one),
    }
}

/// Parts of a dotted path; `None` when one is empty.
fn field_path(path: &str) -> Option<Vec<String>> {
    let segments: Vec<String> = path.split('.').map(str::to_owned).collect();
    segments.iter().all(|segment| !segment.is_empty()).then_some(segments)
}

fn gather_list(elements: Vec<Operand>) -> Operand {
    if !elements.iter().all(|element| matches!(element, Operand::Literal(_))) {
        return Operand::List(elements);
    }
    Operand::Literal(Bson::Array(elements.into_iter().filter_map(into_literal).collect()))
}

fn gather_document(members: Vec<(String, Operand)>) -> Operand {
    if !members.iter().all(|(_, value)| matches!(value, Operand::Literal(_))) {
        return Operand::Document(members);
    }
    Operand::Literal(Bson::Document(
        members.into_iter().filter_map(|(key, value)| Some((key, into_literal(value)?))).collect(),
    ))
}

fn into_literal(operand: Operand) -> Option<Bson> {
    match operand {
        Operand::Literal(value) => Some(value),
        _ => None,
    }
}

/// A number without fraction.
pub(super) fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(value) => Some(i64::from(*value)),
        Bson::Int64(value) => Some(*value),
        Bson::Double(value) if value.fract() == 0.0 => truncated(&Bson::Double(*value)),
        _ => None,
    }
}

/// A number without its fraction, when it fits.
pub(super) fn truncated(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(value) => Some(i64::from(*value)),
        Bson::Int64(value) => Some(*value),
        Bson::Double(value) if value.is_finite() && value.abs() < 9_223_372_036_854_775_808.0 => {
            Some(value.trunc() as i64)
        }
        Bson::Decimal128(value) => truncated(&Bson::Double(value.to_string().parse().ok()?)),
        _ => None,
    }
}
