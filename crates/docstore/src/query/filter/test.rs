//! Tests of one value: what stands at the end of a path.

use std::cmp::Ordering;

use bson::Bson;

use super::{Node, first_matching_document};
use crate::query::collation::Collation;
use crate::query::decimal;
use crate::query::geo::{GeoTest, Near};
use crate::query::regex::Regex;
use crate::query::value::{TypeBracket, ValueRef, compare, compare_refs, f64_to_exact_i64};

/// A test of one value.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    Compare(ComparisonOperator, Bson),
    In(Membership),
    Regex(Regex),
    Mod {
        divisor: i64,
        remainder: i64,
    },
    Exists,
    Type(TypeSet),
    Bits(BitTest),
    Size(i64),
    /// `$elemMatch` with conditions on fields of the elements.
    ElementObject(Box<Node>),
    /// `$elemMatch` with operators on the elements themselves.
    ElementValue(Vec<Node>),
    Geo(Box<GeoTest>),
    Near(Box<Near>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ComparisonOperator {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl ComparisonOperator {
    pub(crate) fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    fn includes_equal(self) -> bool {
        matches!(self, Self::Equal | Self::LessOrEqual | Self::GreaterOrEqual)
    }
}

/// `$in`: equal to one of the values or matched by one of the expressions.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    /// In the order of values, without repetitions.
    pub(crate) values: Vec<Bson>,
    pub(crate) regexes: Vec<Regex>,
    pub(crate) has_null: bool,
}

impl Membership {
    pub(crate) fn new(mut values: Vec<Bson>, regexes: Vec<Regex>, collation: Option<&Collation>) -> Self {
        values.sort_by(|left, right| compare(left, right, collation));
        values.dedup_by(|left, right| compare(left, right, collation).is_eq());
        let has_null = values.iter().any(|value| matches!(value, Bson::Null));
        Self { values, regexes, has_null }
    }

    /// The value, if this is a test for one value.
    pub(crate) fn single(&self) -> Option<Bson> {
        match (self.values.as_slice(), self.regexes.is_empty()) {
            ([value], true) => Some(value.clone()),
            _ => None,
        }
    }

    fn matches(&self, value: Option<ValueRef<'_>>, collation: Option<&Collation>) -> bool {
        let Some(value) = value else {
            return self.has_null;
        };
        if matches!(value, ValueRef::Undefined) {
            return self.has_null;
        }
        let found =
            self.values.binary_search_by(|candidate| compare_refs(ValueRef::from(candidate), value, collation)).is_ok();
        found || self.regexes.iter().any(|regex| matches_regex(regex, value))
    }
}

/// The types `$type` accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TypeSet {
    pub(crate) numbers: Vec<i32>,
    pub(crate) any_number: bool,
}

impl TypeSet {
    pub(crate) fn contains(&self, value: ValueRef<'_>) -> bool {
        (self.any_number && value.is_number()) || self.numbers.contains(&value.type_number())
    }
}

/// `$bitsAllSet` and its kin.
#[derive(Debug, Clone)]
pub(crate) struct BitTest {
    pub(crate) quantifier: BitQuantifier,
    /// Positions from the least significant bit.
    pub(crate) positions: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BitQuantifier {
    AllSet,
    AllClear,
    AnySet,
    AnyClear,
}

impl BitTest {
    fn matches(&self, value: ValueRef<'_>) -> bool {
        let number = match value {
            ValueRef::Binary { bytes, .. } => {
                return self.decide(|position| {
                    bytes.get(position as usize / 8).is_some_and(|byte| byte >> (position % 8) & 1 == 1)
                });
            }
            ValueRef::Decimal128(number) => {
                decimal_to_long(decimal::round_to_integer(number, decimal::Rounding::HalfEven))
            }
            other => match other.as_exact_i64() {
                Some(number) => number,
                None => return false,
            },
        };
        // Positions beyond the last repeat the sign.
        self.decide(|position| number >> position.min(63) & 1 == 1)
    }

    fn decide(&self, is_set: impl Fn(u32) -> bool) -> bool {
        let mut positions = self.positions.iter().copied();
        match self.quantifier {
            BitQuantifier::AllSet => positions.all(is_set),
            BitQuantifier::AllClear => !positions.any(is_set),
            BitQuantifier::AnySet => positions.any(is_set),
            BitQuantifier::AnyClear => !positions.all(is_set),
        }
    }
}

/// The decimal without its fraction. What has no place among 64-bit integers is the least of them, as MongoDB's decimal
/// library answers.
fn decimal_to_long(number: bson::Decimal128) -> i64 {
    decimal::truncate_to_i128(number).and_then(|number| i64::try_from(number).ok()).unwrap_or(i64::MIN)
}

impl Test {
    pub(crate) fn equality(value: Bson) -> Self {
        Self::Compare(ComparisonOperator::Equal, value)
    }

    /// The value if this is an equality.
    pub(crate) fn equality_value(&self) -> Option<&Bson> {
        match self {
            Self::Compare(ComparisonOperator::Equal, value) => Some(value),
            _ => None,
        }
    }

    /// Tests of arrays as such are not shown the elements.
    pub(crate) fn takes_whole_arrays(&self) -> bool {
        matches!(self, Self::Size(_) | Self::ElementObject(_) | Self::ElementValue(_))
    }

    /// See [`Node::rank`].
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::ElementObject(_) => 2,
            Self::ElementValue(_) => 3,
            Self::Size(_) => 4,
            Self::Compare(ComparisonOperator::Equal, _) => 5,
            Self::Compare(ComparisonOperator::LessOrEqual, _) => 6,
            Self::Compare(ComparisonOperator::Less, _) => 7,
            Self::Compare(ComparisonOperator::Greater, _) => 8,
            Self::Compare(ComparisonOperator::GreaterOrEqual, _) => 9,
            Self::Regex(_) => 10,
            Self::Mod { .. } => 11,
            Self::Exists => 12,
            Self::In(_) => 13,
            Self::Bits(test) => match test.quantifier {
                BitQuantifier::AllSet => 14,
                BitQuantifier::AllClear => 15,
                BitQuantifier::AnySet => 16,
                BitQuantifier::AnyClear => 17,
            },
            Self::Type(_) => 32,
            Self::Geo(_) => 33,
            Self::Near(_) => 43,
        }
    }

    /// Does the value pass? `None` is a missing field. `element`: set to the offset of the element that `$elemMatch`
    /// found.
    pub(crate) fn matches(
        &self,
        value: Option<ValueRef<'_>>,
        collation: Option<&Collation>,
        element: &mut Option<usize>,
    ) -> bool {
        match self {
            Self::Compare(operator, operand) => matches_comparison(*operator, operand, value, collation),
            Self::In(membership) => membership.matches(value, collation),
            Self::Exists => value.is_some(),
            _ => {
                let Some(value) = value else {
                    return false;
                };
                match (self, value) {
                    (Self::Regex(regex), value) => matches_regex(regex, value),
                    (Self::Mod { divisor, remainder }, value) => matches_mod(*divisor, *remainder, value),
                    (Self::Type(types), value) => types.contains(value),
                    (Self::Bits(test), value) => test.matches(value),
                    (Self::Size(size), ValueRef::Array(items)) => {
                        usize::try_from(*size).is_ok_and(|size| items.len() == size)
                    }
                    (Self::ElementObject(node), ValueRef::Array(items)) => {
                        *element = first_matching_document(items, node, collation);
                        element.is_some()
                    }
                    (Self::ElementValue(nodes), ValueRef::Array(items)) => {
                        *element = items
                            .iter()
                            .position(|item| nodes.iter().all(|node| node.matches_value(Some(item), collation)));
                        element.is_some()
                    }
                    (Self::Geo(test), value) => test.matches(value),
                    (Self::Near(near), value) => near.matches(value),
                    _ => false,
                }
            }
        }
    }
}

fn matches_comparison(
    operator: ComparisonOperator,
    operand: &Bson,
    value: Option<ValueRef<'_>>,
    collation: Option<&Collation>,
) -> bool {
    let operand = ValueRef::from(operand);
    // A missing field compares like undefined, which equals null but no other type.
    let value = value.unwrap_or(ValueRef::Undefined);
    let (left, right) = (value.bracket(), operand.bracket());
    if left != right {
        return match right {
            TypeBracket::Null if left == TypeBracket::Undefined => operator.includes_equal(),
            // Every other type lies on one side of these two.
            TypeBracket::MinKey | TypeBracket::MaxKey => operator.accepts(left.cmp(&right)),
            _ => false,
        };
    }
    if left == TypeBracket::Number && (value.is_nan() || operand.is_nan()) {
        return operator.includes_equal() && value.is_nan() && operand.is_nan();
    }
    operator.accepts(compare_refs(value, operand, collation))
}

fn matches_regex(regex: &Regex, value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::String(text) | ValueRef::Symbol(text) => regex.is_match(text),
        ValueRef::Regex { pattern, options } => pattern == regex.pattern() && options == regex.options(),
        _ => false,
    }
}

fn matches_mod(divisor: i64, remainder: i64, value: ValueRef<'_>) -> bool {
    let number = match value {
        ValueRef::Int32(number) => i64::from(number),
        ValueRef::Int64(number) => number,
        // What has no place among 64-bit integers is the least of them.
        ValueRef::Double(number) => f64_to_exact_i64(number.trunc()).unwrap_or(i64::MIN),
        ValueRef::Decimal128(number) => decimal_to_long(number),
        _ => return false,
    };
    number.wrapping_rem(divisor) == remainder
}
