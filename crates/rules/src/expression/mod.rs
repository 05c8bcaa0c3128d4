//! JSON expressions (rules-and-users section 1).

mod compare;
mod evaluate;
mod expansions;
mod literal;
mod narrow;
mod operators;
mod parse;
mod query;
mod surroundings;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use app_model::{CallFunction, FunctionCall, FunctionFailure};
use bson::Bson;
use serde_json::Value as Json;

use crate::RuleError;
use evaluate::Evaluation;
use expansions::Reference;

pub(crate) use compare::{equal_values, is_number, order_values};
pub(crate) use expansions::values_at;
pub(crate) use literal::from_json;
pub(crate) use narrow::{Narrowing, Set};
pub(crate) use query::{Filled, Query, match_nothing};
pub use surroundings::{AppValues, Surroundings};

/// One expression, checked and ready to be evaluated any number of times.
#[derive(Debug, Clone)]
pub struct Expression {
    root: Node,
    functions: Vec<FunctionNode>,
    uses: Uses,
    warnings: Vec<RuleError>,
}

/// Where an expression stands: decides what it may name (rules-and-users 1.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `apply_when` of a role.
    RoleApplyWhen,
    /// `read`, `write`, `insert`, `delete` and `document_filters.*` of a role. `%%this` and `%%prev` stand for the
    /// documents there.
    RolePermission,
    /// `search` of a role.
    RoleSearch,
    /// Permissions below `fields` and `additional_fields`.
    FieldPermission,
    /// `apply_when` of a filter.
    FilterApplyWhen,
    /// `validate` of a schema.
    SchemaValidate,
    /// `can_evaluate` of a function, webhook or endpoint.
    CanEvaluate,
    /// `when` of a service rule.
    ServiceRule,
}

/// What the expansions stand for. `None` is a missing value, such as `%%prevRoot` of an insert.
#[derive(Debug, Clone, Copy)]
pub struct Bindings<'a> {
    /// What is the same for all of one request.
    pub surroundings: &'a Surroundings,
    /// `%%root`: the document at the end of the operation.
    pub root: Option<&'a Bson>,
    /// `%%prevRoot`: the document before it.
    pub prev_root: Option<&'a Bson>,
    /// `%%this`: the field at the end of the operation.
    pub this: Option<&'a Bson>,
    /// `%%prev`: the field before it.
    pub prev: Option<&'a Bson>,
    /// `%%args`: arguments of the service action.
    pub args: Option<&'a Bson>,
}

impl<'a> Bindings<'a> {
    /// Bindings without documents and arguments: all that `can_evaluate` sees.
    pub fn new(surroundings: &'a Surroundings) -> Self {
        Self { surroundings, root: None, prev_root: None, this: None, prev: None, args: None }
    }
}

/// Outcome of an expression. Only [`Verdict::True`] allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It could not be decided; counts as false and stays an error under negation (rules-and-users 1.3).
    Error(Fault),
}

impl Verdict {
    /// Whether it holds.
    pub fn is_true(self) -> bool {
        self == Verdict::True
    }
}

/// Why an expression could not be decided; for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An expansion in an operand stands for nothing.
    MissingOperand,
    /// A conversion such as `%stringToOid` of something it cannot convert.
    NotConvertible,
    /// `%in`, `%nin` or `%all` with something that is no list.
    NotAList,
    /// An operator whose operand has the wrong type.
    WrongOperand,
    /// A pattern of `%regex` that cannot be used.
    BadPattern,
    /// A function threw, ran out of time, is unknown or may not be called.
    FunctionFailed,
    /// The expression calls a function where none can be called.
    FunctionNotCalled,
    /// Rules and functions call each other too deeply.
    TooDeep,
    /// Evaluation took more steps than one expression may.
    TooMuchWork,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Fault::MissingOperand => "an expansion in an operand stands for nothing",
            Fault::NotConvertible => "a value could not be converted",
            Fault::NotAList => "an operand is no list",
            Fault::WrongOperand => "an operand has the wrong type",
            Fault::BadPattern => "a pattern cannot be used",
            Fault::FunctionFailed => "a function failed",
            Fault::FunctionNotCalled => "no function can be called here",
            Fault::TooDeep => "rules and functions call each other too deeply",
            Fault::TooMuchWork => "the evaluation took too many steps",
        })
    }
}

/// Rules and functions may call each other this deeply.
const DEPTH_MAX: usize = 8;

/// One expression may call functions this often.
const CALLS_MAX: usize = 100;

impl Expression {
    /// Reads an expression as it stands in a configuration file.
    ///
    /// # Errors
    /// Whatever it names must exist in `place`; the error names the path inside of the expression.
    pub fn parse(json: &Json, place: Place) -> Result<Self, RuleError> {
        parse::parse(json, place)
    }

    /// An expression that always holds: what an absent one stands for in most places.
    pub fn always() -> Self {
        Self { root: Node::Constant(true), functions: Vec::new(), uses: Uses::default(), warnings: Vec::new() }
    }

    /// Decides it. An expression that depends on a function is undecided: see [`Self::decide`].
    pub fn evaluate(&self, bindings: &Bindings<'_>) -> Verdict {
        let results = vec![None; self.functions.len()];
        Evaluation::new(self, bindings, &results).run().0
    }

    /// Decides it, calling functions one after another, and only those on which the outcome depends.
    pub async fn decide(&self, bindings: &Bindings<'_>, functions: &dyn CallFunction) -> Verdict {
        if self.functions.is_empty() {
            return self.evaluate(bindings);
        }
        let mut results: Vec<Option<Result<Bson, Fault>>> = vec![None; self.functions.len()];
        loop {
            let evaluation = Evaluation::new(self, bindings, &results);
            let (verdict, waiting_for) = evaluation.run();
            let Some(index) = waiting_for else { return verdict };
            let call = evaluation.function_call(&self.functions[index]);
            results[index] = Some(call_function(call, bindings, functions).await);
        }
    }

    /// Top-level fields of the documents that it looks at.
    pub(crate) fn fields(&self) -> &Fields {
        &self.uses.fields
    }

    /// Whether it is `false` for everybody.
    pub(crate) fn is_never(&self) -> bool {
        matches!(self.root, Node::Constant(false))
    }

    /// Parts that can be loaded but never hold, as their author surely did not mean.
    pub fn warnings(&self) -> &[RuleError] {
        &self.warnings
    }

    /// Names of the functions it may call.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.iter().map(|function| function.name.as_str())
    }

    /// Names of the app's values that it uses.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.uses.values.iter().map(String::as_str)
    }

    /// Whether it looks at a document or field, so that the outcome may differ from document to document.
    pub fn depends_on_document(&self) -> bool {
        self.uses.document
    }

    /// Whether it looks at custom user data, which is empty on hooks that do not fetch it.
    pub fn uses_custom_data(&self) -> bool {
        self.uses.custom_data
    }
}

async fn call_function(
    call: Result<FunctionCall, Fault>,
    bindings: &Bindings<'_>,
    functions: &dyn CallFunction,
) -> Result<Bson, Fault> {
    let call = call?;
    if bindings.surroundings.depth >= DEPTH_MAX {
        return Err(Fault::TooDeep);
    }
    functions.call_function(call).await.map_err(|FunctionFailure { .. }| Fault::FunctionFailed)
}

/// What an expression mentions.
#[derive(Debug, Clone, Default)]
struct Uses {
    values: BTreeSet<String>,
    document: bool,
    /// First parts of the paths below documents; `None` when a document as a whole is named.
    fields: Fields,
    custom_data: bool,
}

/// Top-level fields of a document that expressions look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fields {
    /// All of them.
    All,
    /// These only.
    Named(BTreeSet<String>),
}

impl Default for Fields {
    fn default() -> Self {
        Fields::Named(BTreeSet::new())
    }
}

impl Fields {
    /// Takes those of another expression in.
    pub fn extend(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Fields::Named(names), Fields::Named(more)) => names.extend(more.iter().cloned()),
            _ => *self = Fields::All,
        }
    }
}

/// An expression or a part of it.
#[derive(Debug, Clone)]
enum Node {
    Constant(bool),
    All(Vec<Node>),
    Any(Vec<Node>),
    None(Vec<Node>),
    Not(Box<Node>),
    Entry(Key, Test),
}

/// Left side of an entry.
#[derive(Debug, Clone)]
enum Key {
    /// `%%true`, `%%false`
    Constant(bool),
    Reference(Reference),
}

/// Right side of an entry.
#[derive(Debug, Clone)]
enum Test {
    /// Below `%%true` and `%%false` only.
    Expression(Box<Node>),
    Condition(Condition),
}

/// What has to hold for the value of a key.
#[derive(Debug, Clone)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    None(Vec<Condition>),
    Not(Box<Condition>),
    Exists(bool),
    Equal(Operand),
    NotEqual(Operand),
    Order(Order, Operand),
    In(Operand),
    NotIn(Operand),
    ContainsAll(Operand),
    Size(Operand),
    /// Some element satisfies it.
    Element(Box<Condition>),
    /// Some element has fields that satisfy these.
    ElementFields(Vec<(Vec<String>, Condition)>),
    Type(Vec<operators::TypeName>),
    Pattern(operators::Pattern),
    Remainder {
        divisor: i64,
        remainder: i64,
    },
}

/// `%gt` and its like.
#[derive(Debug, Clone, Copy)]
enum Order {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A value on the right side.
#[derive(Debug, Clone)]
enum Operand {
    Literal(Bson),
    Expansion(Reference),
    /// An array with something in it that is no literal.
    List(Vec<Operand>),
    /// A document with something in it that is no literal.
    Document(Vec<(String, Operand)>),
    /// A document with an expansion as a key. Nothing equals it, and nothing counts as different from it either.
    Impossible,
    /// Position in [`Expression::functions`].
    Function(usize),
    Conversion(operators::Conversion, Box<Operand>),
}

/// `{"%function": {"name": …, "arguments": […]}}`
#[derive(Debug, Clone)]
struct FunctionNode {
    name: String,
    arguments: Vec<Operand>,
}
