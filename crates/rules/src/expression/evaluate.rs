//! Three-valued evaluation (rules-and-users 1.3 to 1.7).

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;

use app_model::FunctionCall;
use bson::{Bson, Document};

use super::compare::{self, Budget};
use super::expansions::{Candidates, resolve, walk};
use super::operators::{self, Pattern};
use super::parse::{truncated, whole};
use super::{Bindings, Condition, Expression, Fault, FunctionNode, Key, Node, Operand, Order, Test, Verdict};

/// Steps of one evaluation: values visited and compared.
const STEPS_MAX: u32 = 1_000_000;

/// One evaluation.
pub(super) struct Evaluation<'a> {
    expression: &'a Expression,
    bindings: &'a Bindings<'a>,
    /// Results of the functions that have been called.
    results: &'a [Option<Result<Bson, Fault>>],
    /// The first function whose result was missing.
    waiting_for: Cell<Option<usize>>,
    budget: Budget,
}

/// The left side of a condition.
struct Subject<'a> {
    /// Empty when missing.
    candidates: Candidates<'a>,
    /// `%%true` or `%%false`: only the truth value itself is equal, not an array that holds it.
    exact: bool,
}

/// An operand's value.
pub(super) enum Value<'a> {
    /// Written in the expression, which makes a difference for `null`.
    Literal(Cow<'a, Bson>),
    /// From expansions and value operators; at least one.
    Given(Candidates<'a>),
    Missing,
}

impl<'a> Evaluation<'a> {
    pub fn new(
        expression: &'a Expression,
        bindings: &'a Bindings<'a>,
        results: &'a [Option<Result<Bson, Fault>>],
    ) -> Self {
        Self { expression, bindings, results, waiting_for: Cell::new(None), budget: Budget::new(STEPS_MAX) }
    }

    /// The outcome, and the function whose result it waits for when it cannot be told without.
    pub fn run(&self) -> (Verdict, Option<usize>) {
        let verdict = self.node(&self.expression.root);
        if self.budget.is_exhausted() {
            return (Verdict::Error(Fault::TooMuchWork), None);
        }
        match verdict {
            Verdict::Error(_) => (verdict, self.waiting_for.get()),
            Verdict::True | Verdict::False => (verdict, None),
        }
    }

    /// The first function whose result was missing.
    pub fn waiting_for(&self) -> Option<usize> {
        self.waiting_for.get()
    }

    /// Arguments are bound when the function is called.
    pub fn function_call(&self, function: &FunctionNode) -> Result<FunctionCall, Fault> {
        let arguments = function.arguments.iter().map(|argument| self.argument(argument)).collect::<Result<_, _>>()?;
        Ok(FunctionCall { name: function.name.clone(), arguments, depth: self.bindings.surroundings.depth + 1 })
    }

    pub fn node(&self, node: &Node) -> Verdict {
        if !self.budget.spend() {
            return Verdict::Error(Fault::TooMuchWork);
        }
        match node {
            Node::Constant(value) => truth(*value),
            Node::All(nodes) => all(nodes.iter().map(|node| self.node(node))),
            Node::Any(nodes) => any(nodes.iter().map(|node| self.node(node))),
            Node::None(nodes) => not(any(nodes.iter().map(|node| self.node(node)))),
            Node::Not(node) => not(self.node(node)),
            Node::Entry(key, test) => self.entry(key, test),
        }
    }

    fn entry(&self, key: &Key, test: &Test) -> Verdict {
        match (key, test) {
            (Key::Constant(true), Test::Expression(node)) => self.node(node),
            (Key::Constant(false), Test::Expression(node)) => not(self.node(node)),
            // Not built by the parser.
            (Key::Reference(_), Test::Expression(_)) => Verdict::Error(Fault::WrongOperand),
            (Key::Constant(value), Test::Condition(condition)) => {
                let subject = Subject { candidates: vec![Cow::Owned(Bson::Boolean(*value))], exact: true };
                self.condition(&subject, condition)
            }
            (Key::Reference(reference), Test::Condition(condition)) => {
                let subject = Subject { candidates: resolve(reference, self.bindings, &self.budget), exact: false };
                self.condition(&subject, condition)
            }
        }
    }

    fn condition(&self, subject: &Subject<'_>, condition: &Condition) -> Verdict {
        if !self.budget.spend() {
            return Verdict::Error(Fault::TooMuchWork);
        }
        self.try_condition(subject, condition).unwrap_or_else(Verdict::Error)
    }

    fn try_condition(&self, subject: &Subject<'_>, condition: &Condition) -> Result<Verdict, Fault> {
        let inner = |conditions: &[Condition], join: fn(&mut dyn Iterator<Item = Verdict>) -> Verdict| {
            join(&mut conditions.iter().map(|condition| self.condition(subject, condition)))
        };
        Ok(match condition {
            Condition::All(conditions) => inner(conditions, |verdicts| all(verdicts)),
            Condition::Any(conditions) => inner(conditions, |verdicts| any(verdicts)),
            Condition::None(conditions) => not(inner(conditions, |verdicts| any(verdicts))),
            Condition::Not(condition) => not(self.condition(subject, condition)),
            Condition::Exists(wanted) => truth(subject.candidates.is_empty() != *wanted),
            Condition::Equal(operand) => truth(self.matches(subject, &self.value(operand)?)?),
            Condition::NotEqual(operand) => truth(!self.matches(subject, &self.value(operand)?)?),
            Condition::Order(order, operand) => {
                let right = self.present(operand)?;
                truth(right.iter().any(|right| self.is_ordered(subject, *order, right)))
            }
            Condition::In(operand) => truth(self.is_in(subject, operand)?),
            Condition::NotIn(operand) => truth(!self.is_in(subject, operand)?),
            Condition::ContainsAll(operand) => truth(self.contains_all(subject, operand)?),
            Condition::Size(operand) => {
                let right = self.present(operand)?;
                let [size] = &right[..] else { return Err(Fault::WrongOperand) };
                let size = whole(size).and_then(|size| usize::try_from(size).ok()).ok_or(Fault::WrongOperand)?;
                truth(arrays(subject).any(|array| array.len() == size))
            }
            Condition::Element(condition) => any(arrays(subject).flatten().map(|element| {
                let subject = Subject { candidates: vec![Cow::Borrowed(element)], exact: false };
                self.condition(&subject, condition)
            })),
            Condition::ElementFields(fields) => any(arrays(subject).flatten().map(|element| {
                if !matches!(element, Bson::Document(_)) {
                    return Verdict::False;
                }
                all(fields.iter().map(|(path, condition)| {
                    let mut candidates = Vec::new();
                    walk(element, path, &self.budget, &mut |value| candidates.push(Cow::Borrowed(value)));
                    self.condition(&Subject { candidates, exact: false }, condition)
                }))
            })),
            Condition::Type(types) => {
                truth(values_and_elements(subject).any(|value| types.iter().any(|wanted| wanted.is_of(value))))
            }
            Condition::Pattern(pattern) => {
                let later;
                let regex = match pattern {
                    Pattern::Ready(regex) => regex,
                    Pattern::Later { pattern, options } => {
                        let right = self.present(pattern)?;
                        let [text] = &right[..] else { return Err(Fault::WrongOperand) };
                        let text = text.as_str().ok_or(Fault::WrongOperand)?;
                        later = operators::compile(text, options).ok_or(Fault::BadPattern)?;
                        &later
                    }
                };
                truth(values_and_elements(subject).any(|value| value.as_str().is_some_and(|text| regex.is_match(text))))
            }
            Condition::Remainder { divisor, remainder } => truth(
                values_and_elements(subject)
                    .any(|value| truncated(value).is_some_and(|value| value.wrapping_rem(*divisor) == *remainder)),
            ),
        })
    }

    /// Equality (rules-and-users 1.7). An operand that stands for nothing is an error, so that its negation is no allow.
    fn matches(&self, subject: &Subject<'_>, right: &Value<'_>) -> Result<bool, Fault> {
        match right {
            Value::Missing => Err(Fault::MissingOperand),
            Value::Literal(value) => Ok(self.matches_literal(subject, value, true)),
            Value::Given(values) => Ok(values.iter().any(|value| self.matches_given(subject, value, true))),
        }
    }

    fn matches_literal(&self, subject: &Subject<'_>, right: &Bson, lists: bool) -> bool {
        if matches!(right, Bson::Null) && subject.candidates.is_empty() {
            return true;
        }
        if matches!(right, Bson::Null) {
            return values_and_elements(subject).any(|left| matches!(left, Bson::Null));
        }
        subject.candidates.iter().any(|left| self.is_equal(left, right, subject.exact, lists))
    }

    fn matches_given(&self, subject: &Subject<'_>, right: &Bson, lists: bool) -> bool {
        subject.candidates.iter().any(|left| match right {
            Bson::Null => matches!(**left, Bson::Null),
            right => self.is_equal(left, right, subject.exact, lists),
        })
    }

    /// `lists`: whether a single left value is also equal to an array that holds it.
    fn is_equal(&self, left: &Bson, right: &Bson, exact: bool, lists: bool) -> bool {
        let equal = |left: &Bson, right: &Bson| compare::equal(left, right, &self.budget);
        if exact {
            return equal(left, right);
        }
        match (left, right) {
            (Bson::Array(elements), Bson::Array(_)) => {
                equal(left, right) || elements.iter().any(|element| equal(element, right))
            }
            (Bson::Array(elements), _) => elements.iter().any(|element| equal(element, right)),
            (_, Bson::Array(elements)) => lists && elements.iter().any(|element| equal(left, element)),
            _ => equal(left, right),
        }
    }

    fn is_ordered(&self, subject: &Subject<'_>, order: Order, right: &Bson) -> bool {
        values_and_elements(subject).any(|left| {
            self.budget.spend()
                && compare::order(left, right).is_some_and(|found| match order {
                    Order::Greater => found == Ordering::Greater,
                    Order::GreaterOrEqual => found != Ordering::Less,
                    Order::Less => found == Ordering::Less,
                    Order::LessOrEqual => found != Ordering::Greater,
                })
        })
    }

    fn is_in(&self, subject: &Subject<'_>, operand: &Operand) -> Result<bool, Fault> {
        // A list written in the expression keeps what is written apart from what is given: `null` differs.
        if let Operand::List(elements) = operand {
            let mut found = false;
            for element in elements {
                found |= match self.value(element)? {
                    Value::Missing => return Err(Fault::MissingOperand),
                    Value::Literal(value) => self.matches_literal(subject, &value, false),
                    Value::Given(values) => values.iter().any(|value| self.matches_given(subject, value, false)),
                };
            }
            return Ok(found);
        }
        match self.value(operand)? {
            Value::Missing => Err(Fault::MissingOperand),
            Value::Literal(list) => match &*list {
                Bson::Array(elements) => {
                    Ok(elements.iter().any(|element| self.matches_literal(subject, element, false)))
                }
                _ => Err(Fault::NotAList),
            },
            Value::Given(lists) => {
                let mut found = false;
                for list in &lists {
                    found |= match &**list {
                        Bson::Array(elements) => {
                            elements.iter().any(|element| self.matches_given(subject, element, false))
                        }
                        one if matches!(one, Bson::String(_)) || compare::is_number(one) => {
                            self.matches_given(subject, one, false)
                        }
                        _ => return Err(Fault::NotAList),
                    };
                }
                Ok(found)
            }
        }
    }

    /// Some array of the subject has every element of the operand; an empty operand is never contained.
    fn contains_all(&self, subject: &Subject<'_>, operand: &Operand) -> Result<bool, Fault> {
        let lists = self.present(operand)?;
        let [list] = &lists[..] else { return Err(Fault::NotAList) };
        let Bson::Array(wanted) = &**list else { return Err(Fault::NotAList) };
        Ok(!wanted.is_empty()
            && arrays(subject).any(|array| {
                wanted.iter().all(|wanted| array.iter().any(|element| compare::equal(element, wanted, &self.budget)))
            }))
    }

    fn present(&self, operand: &'a Operand) -> Result<Candidates<'a>, Fault> {
        match self.value(operand)? {
            Value::Missing => Err(Fault::MissingOperand),
            Value::Literal(value) => Ok(vec![value]),
            Value::Given(values) => Ok(values),
        }
    }

    pub fn value(&self, operand: &'a Operand) -> Result<Value<'a>, Fault> {
        if !self.budget.spend() {
            return Err(Fault::TooMuchWork);
        }
        Ok(match operand {
            Operand::Literal(value) => Value::Literal(Cow::Borrowed(value)),
            Operand::Impossible => return Err(Fault::WrongOperand),
            Operand::Expansion(reference) => {
                let candidates = resolve(reference, self.bindings, &self.budget);
                if candidates.is_empty() { Value::Missing } else { Value::Given(candidates) }
            }
            Operand::List(elements) => {
                let mut values = Vec::with_capacity(elements.len());
                for element in elements {
                    match self.single(element)? {
                        Some(value) => values.push(value),
                        None => return Ok(Value::Missing),
                    }
                }
                Value::Literal(Cow::Owned(Bson::Array(values)))
            }
            Operand::Document(members) => {
                let mut document = Document::new();
                for (key, member) in members {
                    match self.single(member)? {
                        Some(value) => document.insert(key.clone(), value),
                        None => return Ok(Value::Missing),
                    };
                }
                Value::Literal(Cow::Owned(Bson::Document(document)))
            }
            Operand::Function(index) => match self.results.get(*index) {
                Some(Some(Ok(Bson::Undefined))) => Value::Missing,
                Some(Some(Ok(value))) => Value::Given(vec![Cow::Borrowed(value)]),
                Some(Some(Err(fault))) => return Err(*fault),
                Some(None) | None => {
                    if self.waiting_for.get().is_none() {
                        self.waiting_for.set(Some(*index));
                    }
                    return Err(Fault::FunctionNotCalled);
                }
            },
            Operand::Conversion(conversion, inner) => match self.value(inner)? {
                Value::Missing => Value::Missing,
                Value::Literal(value) => Value::Given(vec![Cow::Owned(conversion.convert(&value)?)]),
                Value::Given(values) => {
                    let converted = values.iter().map(|value| conversion.convert(value).map(Cow::Owned));
                    Value::Given(converted.collect::<Result<_, _>>()?)
                }
            },
        })
    }

    /// One value inside of a list or document; a path through arrays gives an array.
    pub fn single(&self, operand: &'a Operand) -> Result<Option<Bson>, Fault> {
        Ok(match self.value(operand)? {
            Value::Missing => None,
            Value::Literal(value) => Some(value.into_owned()),
            Value::Given(mut values) if values.len() == 1 => values.pop().map(Cow::into_owned),
            Value::Given(values) => Some(Bson::Array(values.into_iter().map(Cow::into_owned).collect())),
        })
    }

    /// As [`Self::single`], where what is missing becomes undefined.
    fn argument(&self, operand: &'a Operand) -> Result<Bson, Fault> {
        Ok(match operand {
            Operand::List(elements) => {
                Bson::Array(elements.iter().map(|element| self.argument(element)).collect::<Result<_, _>>()?)
            }
            Operand::Document(members) => {
                let mut document = Document::new();
                for (key, member) in members {
                    document.insert(key.clone(), self.argument(member)?);
                }
                Bson::Document(document)
            }
            other => self.single(other)?.unwrap_or(Bson::Undefined),
        })
    }
}

/// Arrays among the subject's values.
fn arrays<'s>(subject: &'s Subject<'_>) -> impl Iterator<Item = &'s Vec<Bson>> {
    subject.candidates.iter().filter_map(|value| value.as_array())
}

/// The subject's values, and the elements of those that are arrays.
fn values_and_elements<'s>(subject: &'s Subject<'_>) -> impl Iterator<Item = &'s Bson> {
    subject.candidates.iter().flat_map(|value| {
        let elements = value.as_array().map(Vec::as_slice).unwrap_or_default();
        std::iter::once(&**value).chain(elements)
    })
}

fn truth(value: bool) -> Verdict {
    if value { Verdict::True } else { Verdict::False }
}

fn not(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::True => Verdict::False,
        Verdict::False => Verdict::True,
        error @ Verdict::Error(_) => error,
    }
}

fn all(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let mut outcome = Verdict::True;
    for verdict in verdicts {
        match verdict {
            Verdict::False => return Verdict::False,
            Verdict::Error(_) if outcome == Verdict::True => outcome = verdict,
            Verdict::Error(_) | Verdict::True => {}
        }
    }
    outcome
}

fn any(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    not(all(verdicts.map(not)))
}
