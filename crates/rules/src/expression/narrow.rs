//! Expressions as queries, so that the database finds the documents for which they hold.
//!
//! A query is exact when it matches precisely the documents for which the expression is true; otherwise it matches more,
//! and each match has to be asked for. Which one it is depends on how MongoDB and rules differ: a comparison with null, a
//! number with a fraction, a path with an index, a pattern are never exact. Queries assume binary comparison of strings.

use app_model::CallFunction;
use bson::{Bson, Document, doc};

use super::evaluate::{Evaluation, Value};
use super::expansions::{Origin, Reference, resolve};
use super::{Bindings, Condition, Expression, Key, Node, Operand, Order, Surroundings, Test, Verdict, call_function};
use crate::expression::compare::{Budget, is_number};

/// Conditions inside of each other; MongoDB's own bound is 100.
const DEPTH_MAX: usize = 40;

/// The documents for which an expression holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Narrowing {
    pub set: Set,
    /// Whether these are precisely the documents; otherwise it may be fewer.
    pub exact: bool,
}

/// Documents of a collection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Set {
    Nothing,
    Everything,
    Matching(Document),
}

impl Narrowing {
    pub fn nothing() -> Self {
        Self { set: Set::Nothing, exact: true }
    }

    pub fn everything() -> Self {
        Self { set: Set::Everything, exact: true }
    }

    /// Nothing can be said.
    pub fn unknown() -> Self {
        Self { set: Set::Everything, exact: false }
    }

    pub fn is_everything(&self) -> bool {
        self.exact && self.set == Set::Everything
    }

    pub fn is_nothing(&self) -> bool {
        self.set == Set::Nothing
    }

    pub fn and(all: impl IntoIterator<Item = Self>) -> Self {
        let mut exact = true;
        let mut queries = Vec::new();
        for one in all {
            exact &= one.exact;
            match one.set {
                Set::Nothing => return Self::nothing(),
                Set::Everything => {}
                Set::Matching(query) => queries.push(query),
            }
        }
        Self { set: joined("$and", queries).map_or(Set::Everything, Set::Matching), exact }
    }

    pub fn or(any: impl IntoIterator<Item = Self>) -> Self {
        let mut exact = true;
        let mut everything = false;
        let mut queries = Vec::new();
        for one in any {
            if one.is_everything() {
                return one;
            }
            exact &= one.exact;
            match one.set {
                Set::Nothing => {}
                Set::Everything => everything = true,
                Set::Matching(query) => queries.push(query),
            }
        }
        match joined("$or", queries) {
            _ if everything => Self::unknown(),
            None => Self::nothing(),
            Some(query) => Self { set: Set::Matching(query), exact },
        }
    }

    /// All other documents; nothing can be said of the complement of what is not exact.
    pub fn complement(self) -> Self {
        match self {
            Self { exact: false, .. } => Self::unknown(),
            Self { set: Set::Nothing, .. } => Self::everything(),
            Self { set: Set::Everything, .. } => Self::nothing(),
            Self { set: Set::Matching(query), .. } => {
                Self { set: Set::Matching(doc! { "$nor": [query] }), exact: true }
            }
        }
    }

    fn exactly(query: Document) -> Self {
        Self { set: Set::Matching(query), exact: true }
    }

    fn at_most(query: Document) -> Self {
        Self { set: Set::Matching(query), exact: false }
    }
}

fn joined(operator: &str, mut queries: Vec<Document>) -> Option<Document> {
    match queries.len() {
        0 | 1 => queries.pop(),
        _ => Some(doc! { operator: queries }),
    }
}

impl Expression {
    /// The stored documents for which it holds. Functions are called where their arguments name no document.
    pub(crate) async fn narrow(&self, surroundings: &Surroundings, functions: &dyn CallFunction) -> Narrowing {
        let bindings = Bindings::new(surroundings);
        let mut results = vec![None; self.functions.len()];
        loop {
            let waiting_for = match self.narrow_with(&bindings, &results) {
                Ok(narrowing) => return narrowing,
                Err(waiting_for) => waiting_for,
            };
            let function = &self.functions[waiting_for];
            let call = Evaluation::new(self, &bindings, &results).function_call(function);
            results[waiting_for] = Some(call_function(call, &bindings, functions).await);
        }
    }

    /// The function that has to be called first, where one has to.
    fn narrow_with(
        &self,
        bindings: &Bindings<'_>,
        results: &[Option<Result<Bson, super::Fault>>],
    ) -> Result<Narrowing, usize> {
        let evaluation = Evaluation::new(self, bindings, results);
        let narrower = Narrower { expression: self, bindings, evaluation: &evaluation };
        let narrowing = narrower.node(&self.root, true, 0);
        evaluation.waiting_for().map_or(Ok(narrowing), Err)
    }
}

struct Narrower<'a> {
    expression: &'a Expression,
    bindings: &'a Bindings<'a>,
    evaluation: &'a Evaluation<'a>,
}

impl<'a> Narrower<'a> {
    /// The documents for which a node is true, or, where that is not wanted, false. An error is neither.
    fn node(&self, node: &'a Node, wanted: bool, depth: usize) -> Narrowing {
        if depth > DEPTH_MAX {
            return Narrowing::unknown();
        }
        if !self.node_uses_document(node) {
            return constant(self.evaluation.node(node), wanted);
        }
        let inner = |nodes: &'a [Node], wanted: bool| nodes.iter().map(move |node| self.node(node, wanted, depth + 1));
        match node {
            Node::Constant(value) => constant(if *value { Verdict::True } else { Verdict::False }, wanted),
            Node::All(nodes) if wanted => Narrowing::and(inner(nodes, true)),
            Node::All(nodes) => Narrowing::or(inner(nodes, false)),
            Node::Any(nodes) if wanted => Narrowing::or(inner(nodes, true)),
            Node::Any(nodes) => Narrowing::and(inner(nodes, false)),
            Node::None(nodes) if wanted => Narrowing::and(inner(nodes, false)),
            Node::None(nodes) => Narrowing::or(inner(nodes, true)),
            Node::Not(node) => self.node(node, !wanted, depth + 1),
            Node::Entry(Key::Constant(value), Test::Expression(node)) => self.node(node, wanted == *value, depth + 1),
            Node::Entry(Key::Constant(value), Test::Condition(condition)) => {
                self.flipped(&Bson::Boolean(*value), true, condition, wanted)
            }
            Node::Entry(Key::Reference(_), Test::Expression(_)) => Narrowing::unknown(),
            Node::Entry(Key::Reference(reference), Test::Condition(condition)) => match reference.root {
                // Both are the stored document.
                Origin::Root | Origin::PrevRoot => self.condition(&reference.segments, condition, wanted, depth + 1),
                Origin::This | Origin::Prev => Narrowing::unknown(),
                Origin::User | Origin::Request | Origin::Values | Origin::Environment | Origin::Args => {
                    match &resolve(reference, self.bindings, &Budget::new(u32::MAX))[..] {
                        [subject] => self.flipped(subject, false, condition, wanted),
                        _ => Narrowing::unknown(),
                    }
                }
            },
        }
    }

    /// The documents in which the value at a path meets a condition, or does not.
    fn condition(&self, path: &[String], condition: &'a Condition, wanted: bool, depth: usize) -> Narrowing {
        if depth > DEPTH_MAX {
            return Narrowing::unknown();
        }
        let inner = |conditions: &'a [Condition], wanted: bool| {
            conditions.iter().map(move |condition| self.condition(path, condition, wanted, depth + 1))
        };
        match condition {
            Condition::All(conditions) if wanted => return Narrowing::and(inner(conditions, true)),
            Condition::All(conditions) => return Narrowing::or(inner(conditions, false)),
            Condition::Any(conditions) if wanted => return Narrowing::or(inner(conditions, true)),
            Condition::Any(conditions) => return Narrowing::and(inner(conditions, false)),
            Condition::None(conditions) if wanted => return Narrowing::and(inner(conditions, false)),
            Condition::None(conditions) => return Narrowing::or(inner(conditions, true)),
            Condition::Not(condition) => return self.condition(path, condition, !wanted, depth + 1),
            Condition::NotEqual(operand) => return self.compared(path, operand, !wanted, equal_to),
            Condition::NotIn(operand) => return self.listed(path, operand, !wanted),
            Condition::Equal(operand) => return self.compared(path, operand, wanted, equal_to),
            Condition::In(operand) => return self.listed(path, operand, wanted),
            Condition::Order(order, operand) => {
                return self.compared(path, operand, wanted, |key, value, _| ordered(key, *order, value));
            }
            Condition::Exists(_)
            | Condition::ContainsAll(_)
            | Condition::Size(_)
            | Condition::Element(_)
            | Condition::ElementFields(_)
            | Condition::Type(_)
            | Condition::Pattern(_)
            | Condition::Remainder { .. } => {}
        }
        let Condition::Exists(exists) = condition else { return Narrowing::unknown() };
        let exists = *exists == wanted;
        match path_key(path) {
            _ if path.is_empty() && exists => Narrowing::everything(),
            _ if path.is_empty() => Narrowing::nothing(),
            Some(key) => Narrowing::exactly(doc! { key: { "$exists": exists } }),
            None => Narrowing::unknown(),
        }
    }

    /// A comparison of the value at a path with one that names no document.
    fn compared(
        &self,
        path: &[String],
        operand: &'a Operand,
        wanted: bool,
        compare: impl Fn(&FieldPath, &Bson, bool) -> Narrowing,
    ) -> Narrowing {
        let (Some(key), false) = (FieldPath::new(path), self.operand_uses_document(operand)) else {
            return Narrowing::unknown();
        };
        let holds = match self.evaluation.value(operand) {
            // Neither true nor false.
            Err(_) | Ok(Value::Missing) => return Narrowing::nothing(),
            Ok(Value::Literal(value)) => compare(&key, &value, true),
            Ok(Value::Given(values)) => Narrowing::or(values.iter().map(|value| compare(&key, value, false))),
        };
        if wanted { holds } else { holds.complement() }
    }

    /// `%in` with a list that names no document.
    fn listed(&self, path: &[String], operand: &'a Operand, wanted: bool) -> Narrowing {
        let (Some(key), false) = (FieldPath::new(path), self.operand_uses_document(operand)) else {
            return Narrowing::unknown();
        };
        let mut elements: Vec<(Bson, bool)> = Vec::new();
        if let Operand::List(written) = operand {
            for element in written {
                match self.evaluation.value(element) {
                    Err(_) | Ok(Value::Missing) => return Narrowing::nothing(),
                    Ok(Value::Literal(value)) => elements.push((value.into_owned(), true)),
                    Ok(Value::Given(values)) => {
                        elements.extend(values.into_iter().map(|value| (value.into_owned(), false)));
                    }
                }
            }
        } else {
            match self.evaluation.value(operand) {
                Err(_) | Ok(Value::Missing) => return Narrowing::nothing(),
                Ok(Value::Literal(value)) => match value.into_owned() {
                    Bson::Array(list) => elements.extend(list.into_iter().map(|element| (element, true))),
                    _ => return Narrowing::nothing(),
                },
                Ok(Value::Given(lists)) => {
                    for list in lists {
                        match list.into_owned() {
                            Bson::Array(list) => elements.extend(list.into_iter().map(|element| (element, false))),
                            one if matches!(one, Bson::String(_)) || is_number(&one) => elements.push((one, false)),
                            _ => return Narrowing::nothing(),
                        }
                    }
                }
            }
        }
        let holds = is_in(&key, &elements);
        if wanted { holds } else { holds.complement() }
    }

    /// A condition on a value that is no document's, with an operand that is one's. `whole`: an array that holds the
    /// subject is not equal to it.
    fn flipped(&self, subject: &Bson, whole: bool, condition: &'a Condition, wanted: bool) -> Narrowing {
        let (operand, wanted, is_list) = match condition {
            Condition::Equal(operand) => (operand, wanted, false),
            Condition::NotEqual(operand) => (operand, !wanted, false),
            Condition::In(operand) if wanted && !whole => (operand, true, true),
            _ => return Narrowing::unknown(),
        };
        let Operand::Expansion(Reference { root: Origin::Root | Origin::PrevRoot, segments }) = operand else {
            return Narrowing::unknown();
        };
        let Some(key) = FieldPath::new(segments) else { return Narrowing::unknown() };
        if !is_plain(subject) || matches!(subject, Bson::Array(_) | Bson::Document(_)) {
            return Narrowing::unknown();
        }
        let text = &key.text;
        if is_list {
            // What is neither a list nor a string or number is an error.
            let is_single = matches!(subject, Bson::String(_)) || is_number(subject);
            return match (key.is_single, is_single) {
                (true, true) => equal_to(&key, subject, false),
                (true, false) => Narrowing::exactly(doc! { text: { "$eq": subject.clone(), "$type": "array" } }),
                (false, _) => Narrowing::at_most(doc! { text: { "$eq": subject.clone() } }),
            };
        }
        let holds = match (whole, key.is_single) {
            (false, _) => equal_to(&key, subject, false),
            (true, true) => Narrowing::exactly(doc! { text: { "$eq": subject.clone(), "$not": { "$type": "array" } } }),
            (true, false) => Narrowing::at_most(doc! { text: { "$eq": subject.clone() } }),
        };
        // An operand that is missing is an error, neither true nor false.
        let exists = || Narrowing::exactly(doc! { text: { "$exists": true } });
        if wanted { holds } else { Narrowing::and([exists(), holds.complement()]) }
    }

    fn node_uses_document(&self, node: &Node) -> bool {
        match node {
            Node::Constant(_) => false,
            Node::All(nodes) | Node::Any(nodes) | Node::None(nodes) => {
                nodes.iter().any(|node| self.node_uses_document(node))
            }
            Node::Not(node) => self.node_uses_document(node),
            Node::Entry(key, test) => {
                let key = matches!(key, Key::Reference(reference) if reference.root.is_document());
                key || match test {
                    Test::Expression(node) => self.node_uses_document(node),
                    Test::Condition(condition) => self.condition_uses_document(condition),
                }
            }
        }
    }

    fn condition_uses_document(&self, condition: &Condition) -> bool {
        match condition {
            Condition::All(conditions) | Condition::Any(conditions) | Condition::None(conditions) => {
                conditions.iter().any(|condition| self.condition_uses_document(condition))
            }
            Condition::Not(condition) | Condition::Element(condition) => self.condition_uses_document(condition),
            Condition::ElementFields(fields) => {
                fields.iter().any(|(_, condition)| self.condition_uses_document(condition))
            }
            Condition::Equal(operand)
            | Condition::NotEqual(operand)
            | Condition::Order(_, operand)
            | Condition::In(operand)
            | Condition::NotIn(operand)
            | Condition::ContainsAll(operand)
            | Condition::Size(operand) => self.operand_uses_document(operand),
            Condition::Pattern(pattern) => pattern.operand().is_some_and(|operand| self.operand_uses_document(operand)),
            Condition::Exists(_) | Condition::Type(_) | Condition::Remainder { .. } => false,
        }
    }

    fn operand_uses_document(&self, operand: &Operand) -> bool {
        match operand {
            Operand::Literal(_) | Operand::Impossible => false,
            Operand::Expansion(reference) => reference.root.is_document(),
            Operand::List(operands) => operands.iter().any(|operand| self.operand_uses_document(operand)),
            Operand::Document(members) => members.iter().any(|(_, operand)| self.operand_uses_document(operand)),
            Operand::Function(index) => self
                .expression
                .functions
                .get(*index)
                .is_none_or(|function| function.arguments.iter().any(|operand| self.operand_uses_document(operand))),
            Operand::Conversion(_, operand) => self.operand_uses_document(operand),
        }
    }
}

fn constant(verdict: Verdict, wanted: bool) -> Narrowing {
    match verdict {
        Verdict::True if wanted => Narrowing::everything(),
        Verdict::False if !wanted => Narrowing::everything(),
        Verdict::True | Verdict::False | Verdict::Error(_) => Narrowing::nothing(),
    }
}

/// A path as queries write it.
struct FieldPath {
    text: String,
    /// Without dots.
    is_single: bool,
}

impl FieldPath {
    fn new(path: &[String]) -> Option<Self> {
        Some(Self { text: path_key(path)?, is_single: path.len() == 1 })
    }
}

/// `None` for what means something else in a query than in an expression, or may do so.
fn path_key(path: &[String]) -> Option<String> {
    let is_plain = |segment: &String| {
        !segment.is_empty()
            && !segment.starts_with('$')
            && !segment.contains('\0')
            && !segment.bytes().all(|byte| byte.is_ascii_digit())
    };
    (!path.is_empty() && path.iter().all(is_plain)).then(|| path.join("."))
}

/// `matches` of rules-and-users 1.7.
fn equal_to(key: &FieldPath, value: &Bson, literal: bool) -> Narrowing {
    let text = &key.text;
    match value {
        Bson::Null if literal && !key.is_single => Narrowing::unknown(),
        Bson::Null => Narrowing::at_most(doc! { text: null }),
        Bson::Array(elements) if elements.is_empty() => Narrowing::exactly(doc! { text: { "$eq": [] } }),
        Bson::Array(elements) => {
            if !elements.iter().all(|element| is_plain(element) && !matches!(element, Bson::Array(_))) {
                return Narrowing::unknown();
            }
            // A single value is equal to a list that holds it, an array only to the same array.
            let whole = doc! { text: { "$eq": elements.clone() } };
            let held = doc! { "$in": elements.clone() };
            if key.is_single && elements.iter().all(is_exact) {
                let mut held = held;
                held.insert("$not", doc! { "$type": "array" });
                return Narrowing::exactly(doc! { "$or": [whole, { text: held }] });
            }
            Narrowing::at_most(doc! { "$or": [whole, { text: held }] })
        }
        value if !is_plain(value) => Narrowing::unknown(),
        value if is_exact(value) => Narrowing::exactly(doc! { text: { "$eq": value.clone() } }),
        value => Narrowing::at_most(doc! { text: { "$eq": value.clone() } }),
    }
}

fn is_in(key: &FieldPath, elements: &[(Bson, bool)]) -> Narrowing {
    if elements.is_empty() {
        return Narrowing::nothing();
    }
    let mut exact = true;
    let mut values = Vec::with_capacity(elements.len());
    for (element, literal) in elements {
        match element {
            Bson::Null if *literal && !key.is_single => return Narrowing::unknown(),
            Bson::Null => exact = false,
            element if !is_plain(element) => return Narrowing::unknown(),
            element => exact &= is_exact(element),
        }
        values.push(element.clone());
    }
    Narrowing { set: Set::Matching(doc! { &key.text: { "$in": values } }), exact }
}

fn ordered(key: &FieldPath, order: Order, value: &Bson) -> Narrowing {
    let operator = match order {
        Order::Greater => "$gt",
        Order::GreaterOrEqual => "$gte",
        Order::Less => "$lt",
        Order::LessOrEqual => "$lte",
    };
    let query = || doc! { &key.text: { operator: value.clone() } };
    match value {
        Bson::Double(number) if number.is_nan() => Narrowing::unknown(),
        Bson::Int32(_)
        | Bson::Int64(_)
        | Bson::Double(_)
        | Bson::String(_)
        | Bson::ObjectId(_)
        | Bson::DateTime(_)
        | Bson::Timestamp(_)
        | Bson::Boolean(_)
        | Bson::Binary(_) => Narrowing { set: Set::Matching(query()), exact: is_exact(value) },
        Bson::Decimal128(_) => Narrowing::unknown(),
        // These have no order.
        _ => Narrowing::nothing(),
    }
}

/// Whether MongoDB takes the value for what it is: not for a pattern, nor for anything missing.
fn is_plain(value: &Bson) -> bool {
    match value {
        Bson::Double(number) => !number.is_nan(),
        Bson::Array(elements) => elements.iter().all(is_plain),
        Bson::Document(document) => document.values().all(|value| matches!(value, Bson::Null) || is_plain(value)),
        Bson::String(_)
        | Bson::Boolean(_)
        | Bson::Int32(_)
        | Bson::Int64(_)
        | Bson::Decimal128(_)
        | Bson::Timestamp(_)
        | Bson::Binary(_)
        | Bson::ObjectId(_)
        | Bson::DateTime(_) => true,
        Bson::Null
        | Bson::RegularExpression(_)
        | Bson::JavaScriptCode(_)
        | Bson::JavaScriptCodeWithScope(_)
        | Bson::Symbol(_)
        | Bson::Undefined
        | Bson::MaxKey
        | Bson::MinKey
        | Bson::DbPointer(_) => false,
    }
}

/// Whether MongoDB and rules agree about what is equal to it: doubles with a fraction meet decimals differently.
fn is_exact(value: &Bson) -> bool {
    match value {
        Bson::Double(number) => number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0,
        Bson::Decimal128(_) => false,
        Bson::Array(elements) => elements.iter().all(is_exact),
        Bson::Document(document) => document.values().all(is_exact),
        Bson::Null => true,
        value => is_plain(value),
    }
}
