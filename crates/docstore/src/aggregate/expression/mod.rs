//! Expressions: what computes a value from a document.
//!
//! [`Expression::parse`] reads an expression, checks it, and computes what is constant in it, so that the error of a
//! constant part comes before any document is read. [`Expression::evaluate`] then runs it. A missing value is `None`,
//! which is not the same as null.
//!
//! Most operators are rows of the table in `operator`: a name, how its arguments are written, a function. The few that
//! bind variables or keep something prepared (`$let`, `$map`, `$switch`, `$regexFind`, ...) are variants of [`Node`].

mod accumulate;
mod arithmetic;
mod array;
mod binary_hash;
mod comparison;
mod convert;
pub(super) mod date;
mod date_text;
mod high_precision;
mod misc;
pub(super) mod number;
mod object;
mod operator;
mod parse;
mod regex;
mod set;
mod string;
pub(super) mod time_zone;
mod trigonometry;

use std::sync::Arc;

use bson::{Bson, Document};

use crate::error::{CommandError, CommandResult, code};
use crate::query::QueryContext;
use crate::query::collation::Collation;
use crate::query::value::{ArrayRef, DocumentRef, ValueRef};

use operator::Operator;

pub(super) use accumulate::{count_of, percentile_method, percentile_points};
pub(crate) use misc::{document_bytes, value_bytes};
pub(super) use object::{merge_into, not_an_object};
pub(super) use parse::{check_bindable_name, split_path};

/// A computed value; `None` is missing.
pub(super) type Value = Option<Bson>;

/// What the message of a constant part's error begins with. Such an error comes after those of reading the rest.
pub(super) const OPTIMIZING: &str = "Failed to optimize pipeline :: caused by :: ";

/// A parsed expression.
#[derive(Debug, Clone)]
pub struct Expression {
    node: Node,
    collation: Option<Arc<Collation>>,
}

impl Expression {
    /// Reads an expression. Variables are those of the context; one whose value there is `Undefined` is known by name
    /// only and evaluates as missing.
    ///
    /// Errors: 168 for an unknown operator, 17276 for an unknown variable, 16020 for a wrong number of arguments, ...;
    /// also whatever a constant part of the expression fails with.
    pub fn parse(value: &Bson, context: &QueryContext) -> CommandResult<Self> {
        let node = parse::Parser::new(context).operand(value)?;
        Self::optimized(node, context)
    }

    /// [`Expression::parse`] for the argument object of one operator, e.g. `{ $add: [1, 2] }`, or an object of
    /// expressions.
    pub fn parse_document(value: &Document, context: &QueryContext) -> CommandResult<Self> {
        let node = parse::Parser::new(context).object(value)?;
        Self::optimized(node, context)
    }

    fn optimized(node: Node, context: &QueryContext) -> CommandResult<Self> {
        let collation = context.collation.clone();
        let node = if context.defers_constants {
            node
        } else {
            node.optimize(collation.as_deref()).map_err(|error| error.with_prefix(OPTIMIZING))?
        };
        Ok(Self { node, collation })
    }

    /// The value for this document; `None` is missing.
    pub fn evaluate<'a>(&self, root: impl Into<DocumentRef<'a>>) -> CommandResult<Option<Bson>> {
        let root = root.into();
        self.evaluate_at(root, root)
    }

    /// [`Expression::evaluate`] with `$$CURRENT` (which `$path` starts from) apart from `$$ROOT`.
    pub(super) fn evaluate_at(&self, root: DocumentRef<'_>, current: DocumentRef<'_>) -> CommandResult<Option<Bson>> {
        match &self.node {
            Node::Constant(value) => Ok(value.clone()),
            node => node.evaluate(&Scope { root, current, frame: None, collation: self.collation.as_deref() }),
        }
    }

    /// Is the value true, as conditions take it?
    pub fn matches<'a>(&self, root: impl Into<DocumentRef<'a>>) -> CommandResult<bool> {
        let root = root.into();
        let scope = Scope { root, current: root, frame: None, collation: self.collation.as_deref() };
        self.node.is_true(&scope)
    }

    /// The value, if it does not depend on the document.
    pub fn constant(&self) -> Option<&Option<Bson>> {
        match &self.node {
            Node::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The dotted path, if the expression is nothing but a field of the document.
    pub fn field_path(&self) -> Option<String> {
        match &self.node {
            Node::Path { base: Base::Current | Base::Root, path } if !path.is_empty() => Some(path.join(".")),
            _ => None,
        }
    }

    /// The value without copying it, where the expression is a constant or a path that meets no array.
    pub(super) fn borrow<'a>(&'a self, root: DocumentRef<'a>) -> Borrowed<'a> {
        match &self.node {
            Node::Constant(value) => Borrowed::Value(value.as_ref().map(ValueRef::from)),
            Node::Path { base: Base::Current | Base::Root, path } if !path.is_empty() => borrow_path(root, path),
            _ => Borrowed::NotPossible,
        }
    }
}

/// What [`Expression::borrow`] found.
pub(super) enum Borrowed<'a> {
    /// The value; `None` is missing.
    Value(Option<ValueRef<'a>>),
    /// It has to be computed.
    NotPossible,
}

fn borrow_path<'a>(root: DocumentRef<'a>, path: &[String]) -> Borrowed<'a> {
    let mut document = root;
    for (depth, name) in path.iter().enumerate() {
        let value = document.get(name);
        if depth + 1 == path.len() {
            return Borrowed::Value(value);
        }
        match value {
            Some(ValueRef::Document(inner)) => document = inner,
            Some(ValueRef::Array(_)) => return Borrowed::NotPossible,
            _ => return Borrowed::Value(None),
        }
    }
    Borrowed::NotPossible
}

/// Where a path starts.
#[derive(Debug, Clone, PartialEq)]
enum Base {
    /// `$$ROOT`
    Root,
    /// `$$CURRENT`, and every `$path`.
    Current,
    /// A variable bound by an enclosing expression; the number is its position among all bound around it.
    Slot(usize),
    /// A variable known by name only: missing.
    Unknown,
}

/// One node of an expression tree.
#[derive(Debug, Clone)]
enum Node {
    Constant(Value),
    /// Not written by the user; only an argument of a [`Node::Call`].
    Absent,
    Path {
        base: Base,
        path: Vec<String>,
    },
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    Call {
        operator: &'static Operator,
        arguments: Vec<Node>,
    },
    Let {
        bindings: Vec<(usize, Node)>,
        body: Box<Node>,
    },
    Map {
        input: Box<Node>,
        slot: usize,
        body: Box<Node>,
    },
    Filter {
        input: Box<Node>,
        slot: usize,
        condition: Box<Node>,
        limit: Option<Box<Node>>,
    },
    Reduce {
        input: Box<Node>,
        initial: Box<Node>,
        value_slot: usize,
        this_slot: usize,
        body: Box<Node>,
    },
    Switch {
        branches: Vec<(Node, Node)>,
        default: Option<Box<Node>>,
    },
    Zip {
        inputs: Vec<Node>,
        longest: bool,
        defaults: Vec<Node>,
    },
    Regex(Box<regex::RegexNode>),
    SortArray {
        input: Box<Node>,
        order: array::ArrayOrder,
    },
}

/// What an expression is evaluated against.
struct Scope<'a> {
    root: DocumentRef<'a>,
    current: DocumentRef<'a>,
    frame: Option<&'a Frame<'a>>,
    collation: Option<&'a Collation>,
}

/// One bound variable and those around it.
struct Frame<'a> {
    slot: usize,
    value: Value,
    parent: Option<&'a Frame<'a>>,
}

impl<'a> Scope<'a> {
    fn with<'b>(&self, frame: &'b Frame<'b>) -> Scope<'b>
    where
        'a: 'b,
    {
        Scope { root: self.root, current: self.current, frame: Some(frame), collation: self.collation }
    }

    fn variable(&self, slot: usize) -> Option<&'a Bson> {
        let mut frame = self.frame;
        while let Some(candidate) = frame {
            if candidate.slot == slot {
                return candidate.value.as_ref();
            }
            frame = candidate.parent;
        }
        None
    }
}

impl Node {
    fn evaluate(&self, scope: &Scope<'_>) -> CommandResult<Value> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Absent => Ok(None),
            Self::Path { base, path } => Ok(evaluate_path(base, path, scope)),
            Self::Object(fields) => {
                let mut document = Document::new();
                let mut budget = Budget::default();
                for (name, node) in fields {
                    if let Some(value) = node.evaluate(scope)? {
                        budget.take(&value)?;
                        document.insert(name.as_str(), value);
                    }
                }
                Ok(Some(Bson::Document(document)))
            }
            Self::Array(items) => {
                let mut array = Vec::with_capacity(items.len());
                let mut budget = Budget::default();
                for item in items {
                    let value = item.evaluate(scope)?.unwrap_or(Bson::Null);
                    budget.take(&value)?;
                    array.push(value);
                }
                Ok(Some(Bson::Array(array)))
            }
            Self::Call { operator, arguments } => operator.call(arguments, scope),
            Self::Let { bindings, body } => evaluate_let(bindings, body, scope),
            Self::Map { input, slot, body } => array::map(input, *slot, body, scope),
            Self::Filter { input, slot, condition, limit } => {
                array::filter(input, *slot, condition, limit.as_deref(), scope)
            }
            Self::Reduce { input, initial, value_slot, this_slot, body } => {
                array::reduce(input, initial, (*value_slot, *this_slot), body, scope)
            }
            Self::Switch { branches, default } => misc::switch(branches, default.as_deref(), scope),
            Self::Zip { inputs, longest, defaults } => array::zip(inputs, *longest, defaults, scope),
            Self::Regex(regex) => regex.evaluate(scope),
            Self::SortArray { input, order } => array::sort_array(input, order, scope),
        }
    }

    /// The value as conditions take it. Spares the copy where the value is a path.
    fn is_true(&self, scope: &Scope<'_>) -> CommandResult<bool> {
        Ok(self.evaluate(scope)?.as_ref().is_some_and(|value| ValueRef::from(value).is_truthy()))
    }

    fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_) | Self::Absent)
    }

    /// Computes what is constant.
    fn optimize(self, collation: Option<&Collation>) -> CommandResult<Self> {
        let boxed = |node: Box<Self>| -> CommandResult<Box<Self>> { Ok(Box::new(node.optimize(collation)?)) };
        let all = |nodes: Vec<Self>| -> CommandResult<Vec<Self>> {
            nodes.into_iter().map(|node| node.optimize(collation)).collect()
        };
        Ok(match self {
            Self::Object(fields) => Self::Object(
                fields
                    .into_iter()
                    .map(|(name, node)| Ok((name, node.optimize(collation)?)))
                    .collect::<CommandResult<_>>()?,
            ),
            Self::Array(items) => {
                let node = Self::Array(all(items)?);
                match &node {
                    Self::Array(items) if items.iter().all(Self::is_constant) => node.folded(collation)?,
                    _ => node,
                }
            }
            Self::Call { operator, arguments } => operator.optimize(all(arguments)?, collation)?,
            Self::Let { bindings, body } => {
                let bindings = bindings
                    .into_iter()
                    .map(|(slot, node)| Ok((slot, node.optimize(collation)?)))
                    .collect::<CommandResult<_>>()?;
                Self::Let { bindings, body: boxed(body)? }
            }
            Self::Map { input, slot, body } => Self::Map { input: boxed(input)?, slot, body: boxed(body)? },
            Self::Filter { input, slot, condition, limit } => Self::Filter {
                input: boxed(input)?,
                slot,
                condition: boxed(condition)?,
                limit: limit.map(boxed).transpose()?,
            },
            Self::Reduce { input, initial, value_slot, this_slot, body } => Self::Reduce {
                input: boxed(input)?,
                initial: boxed(initial)?,
                value_slot,
                this_slot,
                body: boxed(body)?,
            },
            Self::Switch { branches, default } => Self::Switch {
                branches: branches
                    .into_iter()
                    .map(|(case, then)| Ok((case.optimize(collation)?, then.optimize(collation)?)))
                    .collect::<CommandResult<_>>()?,
                default: default.map(boxed).transpose()?,
            },
            Self::Zip { inputs, longest, defaults } => {
                Self::Zip { inputs: all(inputs)?, longest, defaults: all(defaults)? }
            }
            Self::Regex(regex) => Self::Regex(Box::new(regex.optimize(collation)?)),
            Self::SortArray { input, order } => Self::SortArray { input: boxed(input)?, order },
            other @ (Self::Constant(_) | Self::Absent | Self::Path { .. }) => other,
        })
    }

    /// The node's value in its place.
    fn folded(&self, collation: Option<&Collation>) -> CommandResult<Self> {
        let empty = Document::new();
        let root = DocumentRef::Owned(&empty);
        Ok(Self::Constant(self.evaluate(&Scope { root, current: root, frame: None, collation })?))
    }
}

fn evaluate_let(bindings: &[(usize, Node)], body: &Node, scope: &Scope<'_>) -> CommandResult<Value> {
    // All values are computed in the outer scope, then bound one around the other.
    let mut values = Vec::with_capacity(bindings.len());
    for (slot, node) in bindings {
        values.push((*slot, node.evaluate(scope)?));
    }
    bind(&mut values.into_iter(), body, scope)
}

fn bind(values: &mut dyn Iterator<Item = (usize, Value)>, body: &Node, scope: &Scope<'_>) -> CommandResult<Value> {
    match values.next() {
        Some((slot, value)) => {
            let frame = Frame { slot, value, parent: scope.frame };
            bind(values, body, &scope.with(&frame))
        }
        None => body.evaluate(scope),
    }
}

fn evaluate_path(base: &Base, path: &[String], scope: &Scope<'_>) -> Value {
    match base {
        Base::Root => path_in_root(scope.root, path),
        Base::Current => path_in_root(scope.current, path),
        Base::Slot(slot) => {
            let value = scope.variable(*slot)?;
            path_in_value(value, path)
        }
        Base::Unknown => None,
    }
}

fn path_in_root(document: DocumentRef<'_>, path: &[String]) -> Value {
    match path {
        [] => Some(Bson::Document(document.to_document())),
        _ => path_in_document(document, path),
    }
}

/// The value at the path below this value.
fn path_in_value(value: &Bson, path: &[String]) -> Value {
    if path.is_empty() {
        return Some(value.clone());
    }
    match value {
        Bson::Document(document) => path_in_document(DocumentRef::Owned(document), path),
        Bson::Array(items) => Some(path_in_array(ArrayRef::Owned(items), path)),
        _ => None,
    }
}

/// A path through documents; arrays on the way give the array of what their documents hold.
pub(super) fn path_in_document(document: DocumentRef<'_>, path: &[String]) -> Value {
    let (name, rest) = path.split_first()?;
    let value = document.get(name)?;
    if rest.is_empty() {
        return Some(value.to_bson());
    }
    match value {
        ValueRef::Document(inner) => path_in_document(inner, rest),
        ValueRef::Array(items) => Some(path_in_array(items, rest)),
        _ => None,
    }
}

fn path_in_array(items: ArrayRef<'_>, path: &[String]) -> Bson {
    Bson::Array(
        items
            .iter()
            .filter_map(|item| match item {
                ValueRef::Document(document) => path_in_document(document, path),
                _ => None,
            })
            .collect(),
    )
}

/// Bytes of memory one value may take, so that a short expression cannot ask for all of it by doubling again and again.
const VALUE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Counts the memory of a value in the making.
#[derive(Default)]
struct Budget {
    bytes: usize,
}

impl Budget {
    fn take(&mut self, value: &Bson) -> CommandResult<()> {
        self.take_bytes(memory_bytes(value))
    }

    fn take_bytes(&mut self, bytes: usize) -> CommandResult<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > VALUE_BYTES_MAX {
            return Err(CommandError::new(
                code::EXCEEDED_MEMORY_LIMIT,
                format!("an expression made a value of more than {VALUE_BYTES_MAX} bytes"),
            ));
        }
        Ok(())
    }
}

/// Bytes the value takes in memory, about.
fn memory_bytes(value: &Bson) -> usize {
    /// What a field costs beside name and value: the name's header, the hash, the place in the index.
    const FIELD: usize = 48;
    size_of::<Bson>()
        + match value {
            Bson::Document(document) => {
                document.iter().map(|(name, value)| FIELD + name.len() + memory_bytes(value)).sum()
            }
            Bson::Array(items) => items.iter().map(memory_bytes).sum(),
            other => value_bytes(other),
        }
}

/// Null, undefined or missing.
fn is_nullish(value: &Value) -> bool {
    matches!(value, None | Some(Bson::Null | Bson::Undefined))
}

/// The type as `$type` names it, "missing" included.
fn type_name(value: &Value) -> &'static str {
    value.as_ref().map_or("missing", |value| ValueRef::from(value).type_name())
}

/// A null result.
const NULL: CommandResult<Value> = Ok(Some(Bson::Null));

fn some(value: impl Into<Bson>) -> CommandResult<Value> {
    Ok(Some(value.into()))
}

#[cfg(test)]
mod tests;
