//! The table of operators, and how their arguments are written.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use super::{
    Node, Scope, Value, accumulate, arithmetic, array, binary_hash, comparison, convert, date, date_text, misc, object,
    set, string, trigonometry,
};
use crate::error::CommandResult;
use crate::query::collation::Collation;

/// One operator.
pub(super) struct Operator {
    pub name: &'static str,
    pub arguments: Arguments,
    pub function: Function,
    pub folding: Folding,
}

impl fmt::Debug for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// How arguments are written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arguments {
    /// A list of this many, or, when it may be one, the one without the list.
    Count { least: usize, most: usize },
    /// An object with these names; those marked true have to be there.
    Named(&'static [(&'static str, bool)]),
    /// One argument, or `{ date, timezone }`.
    DatePart,
}

/// What an operator does.
#[derive(Clone, Copy)]
pub(super) enum Function {
    /// Gets its arguments evaluated, all of them, from the left.
    Strict(fn(&[Value], &Scope<'_>) -> CommandResult<Value>),
    /// Decides itself which to evaluate.
    Lazy(fn(&[Node], &Scope<'_>) -> CommandResult<Value>),
}

/// What may be computed before there is a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folding {
    /// The call, when every argument is constant.
    Whole,
    /// Also neighbouring constant arguments among themselves.
    Associative,
    /// Also all constant arguments among themselves, wherever they stand; they go last.
    Commutative,
    /// As [`Folding::Commutative`], unless there is one argument only, which may be a list.
    Gathering,
    /// Nothing: the value changes from call to call, or MongoDB computes it for documents only.
    Never,
}

impl Operator {
    pub fn call(&self, arguments: &[Node], scope: &Scope<'_>) -> CommandResult<Value> {
        match self.function {
            Function::Lazy(function) => function(arguments, scope),
            Function::Strict(function) => match arguments {
                [] => function(&[], scope),
                [one] => function(&[one.evaluate(scope)?], scope),
                [one, two] => function(&[one.evaluate(scope)?, two.evaluate(scope)?], scope),
                _ => {
                    let mut values = Vec::with_capacity(arguments.len());
                    for argument in arguments {
                        values.push(argument.evaluate(scope)?);
                    }
                    function(&values, scope)
                }
            },
        }
    }

    /// The call with everything constant in it computed. The arguments are optimized already.
    pub fn optimize(&'static self, arguments: Vec<Node>, collation: Option<&Collation>) -> CommandResult<Node> {
        if self.folding == Folding::Never {
            return Ok(Node::Call { operator: self, arguments });
        }
        if arguments.iter().all(Node::is_constant) {
            return Node::Call { operator: self, arguments }.folded(collation);
        }
        if matches!(self.name, "$and" | "$or") {
            return comparison::optimize_logical(self, arguments, collation);
        }
        let arguments = match self.folding {
            Folding::Associative => self.fold_neighbours(self.flatten(arguments), collation)?,
            Folding::Gathering if arguments.len() < 2 => arguments,
            Folding::Commutative | Folding::Gathering => {
                let (constants, mut others): (Vec<_>, Vec<_>) =
                    self.flatten(arguments).into_iter().partition(Node::is_constant);
                others.extend(self.fold_group(constants, collation)?);
                others
            }
            Folding::Whole | Folding::Never => arguments,
        };
        Ok(Node::Call { operator: self, arguments })
    }

    /// Calls of the same operator among the arguments give way to their arguments.
    fn flatten(&'static self, arguments: Vec<Node>) -> Vec<Node> {
        let mut flat = Vec::with_capacity(arguments.len());
        for argument in arguments {
            match argument {
                Node::Call { operator, arguments }
                    if std::ptr::eq(operator, self) && (self.folding != Folding::Gathering || arguments.len() > 1) =>
                {
                    flat.extend(arguments);
                }
                other => flat.push(other),
            }
        }
        flat
    }

    fn fold_neighbours(&'static self, arguments: Vec<Node>, collation: Option<&Collation>) -> CommandResult<Vec<Node>> {
        let mut folded = Vec::with_capacity(arguments.len());
        let mut run = Vec::new();
        for argument in arguments {
            if argument.is_constant() {
                run.push(argument);
            } else {
                folded.extend(self.fold_group(std::mem::take(&mut run), collation)?);
                folded.push(argument);
            }
        }
        folded.extend(self.fold_group(run, collation)?);
        Ok(folded)
    }

    fn fold_group(&'static self, constants: Vec<Node>, collation: Option<&Collation>) -> CommandResult<Option<Node>> {
        let mut constants = constants;
        match constants.len() {
            0 => Ok(None),
            1 => Ok(constants.pop()),
            _ => Node::Call { operator: self, arguments: constants }.folded(collation).map(Some),
        }
    }
}

/// The operator of this name (with its `$`).
pub(super) fn find(name: &str) -> Option<&'static Operator> {
    BY_NAME.get(name).copied()
}

static BY_NAME: LazyLock<HashMap<&'static str, &'static Operator>> =
    LazyLock::new(|| OPERATORS.iter().map(|operator| (operator.name, operator)).collect());

const MANY: usize = usize::MAX;

const fn row(name: &'static str, arguments: Arguments, function: Function, folding: Folding) -> Operator {
    Operator { name, arguments, function, folding }
}

/// `count` arguments, all evaluated.
const fn strict(
    name: &'static str,
    count: usize,
    function: fn(&[Value], &Scope<'_>) -> CommandResult<Value>,
) -> Operator {
    row(name, Arguments::Count { least: count, most: count }, Function::Strict(function), Folding::Whole)
}

/// `least` to `most` arguments, all evaluated.
const fn between(
    name: &'static str,
    least: usize,
    most: usize,
    function: fn(&[Value], &Scope<'_>) -> CommandResult<Value>,
) -> Operator {
    row(name, Arguments::Count { least, most }, Function::Strict(function), Folding::Whole)
}

/// Any number of arguments, in any order; a single one may be the list of them.
const fn gathering(name: &'static str, function: fn(&[Value], &Scope<'_>) -> CommandResult<Value>) -> Operator {
    row(name, Arguments::Count { least: 0, most: MANY }, Function::Strict(function), Folding::Gathering)
}

const fn lazy(
    name: &'static str,
    least: usize,
    most: usize,
    function: fn(&[Node], &Scope<'_>) -> CommandResult<Value>,
    folding: Folding,
) -> Operator {
    row(name, Arguments::Count { least, most }, Function::Lazy(function), folding)
}

const fn named(
    name: &'static str,
    names: &'static [(&'static str, bool)],
    function: fn(&[Value], &Scope<'_>) -> CommandResult<Value>,
) -> Operator {
    row(name, Arguments::Named(names), Function::Strict(function), Folding::Whole)
}

const fn named_lazy(
    name: &'static str,
    names: &'static [(&'static str, bool)],
    function: fn(&[Node], &Scope<'_>) -> CommandResult<Value>,
) -> Operator {
    row(name, Arguments::Named(names), Function::Lazy(function), Folding::Whole)
}

const fn date_part(name: &'static str, function: fn(&[Node], &Scope<'_>) -> CommandResult<Value>) -> Operator {
    row(name, Arguments::DatePart, Function::Lazy(function), Folding::Whole)
}

use Folding::{Associative, Commutative, Never, Whole};

/// Every operator that is a call (MongoDB manual, "Aggregation Operators").
static OPERATORS: &[Operator] = &[
    // Arithmetic
    strict("$abs", 1, arithmetic::abs),
    lazy("$add", 0, MANY, arithmetic::add, Commutative),
    strict("$ceil", 1, arithmetic::ceil),
    strict("$divide", 2, arithmetic::divide),
    strict("$exp", 1, arithmetic::exp),
    strict("$floor", 1, arithmetic::floor),
    strict("$ln", 1, arithmetic::ln),
    strict("$log", 2, arithmetic::log),
    strict("$log10", 1, arithmetic::log10),
    strict("$mod", 2, arithmetic::modulo),
    lazy("$multiply", 0, MANY, arithmetic::multiply, Commutative),
    strict("$pow", 2, arithmetic::pow),
    between("$round", 1, 2, arithmetic::round),
    strict("$sigmoid", 1, arithmetic::sigmoid),
    strict("$sqrt", 1, arithmetic::sqrt),
    strict("$subtract", 2, arithmetic::subtract),
    between("$trunc", 1, 2, arithmetic::trunc),
    // Bits
    lazy("$bitAnd", 0, MANY, arithmetic::bit_and, Commutative),
    lazy("$bitOr", 0, MANY, arithmetic::bit_or, Commutative),
    lazy("$bitXor", 0, MANY, arithmetic::bit_xor, Commutative),
    strict("$bitNot", 1, arithmetic::bit_not),
    // Arrays
    strict("$arrayElemAt", 2, array::element_at),
    strict("$arrayToObject", 1, array::array_to_object),
    lazy("$concatArrays", 0, MANY, array::concat_arrays, Associative),
    strict("$first", 1, array::first),
    named("$firstN", &[("input", true), ("n", true)], accumulate::first_n),
    strict("$in", 2, array::is_in),
    between("$indexOfArray", 2, 4, array::index_of_array),
    strict("$isArray", 1, array::is_array),
    strict("$last", 1, array::last),
    named("$lastN", &[("input", true), ("n", true)], accumulate::last_n),
    named("$maxN", &[("input", true), ("n", true)], accumulate::max_n),
    named("$minN", &[("input", true), ("n", true)], accumulate::min_n),
    strict("$objectToArray", 1, array::object_to_array),
    between("$range", 2, 3, array::range),
    strict("$reverseArray", 1, array::reverse_array),
    strict("$size", 1, array::size),
    between("$slice", 2, 3, array::slice),
    // Booleans and comparisons
    lazy("$and", 0, MANY, comparison::and, Whole),
    lazy("$or", 0, MANY, comparison::or, Whole),
    strict("$not", 1, comparison::not),
    strict("$cmp", 2, comparison::cmp),
    strict("$eq", 2, comparison::eq),
    strict("$gt", 2, comparison::gt),
    strict("$gte", 2, comparison::gte),
    strict("$lt", 2, comparison::lt),
    strict("$lte", 2, comparison::lte),
    strict("$ne", 2, comparison::ne),
    // Conditions
    lazy("$cond", 3, 3, misc::cond, Whole),
    lazy("$ifNull", 2, MANY, misc::if_null, Whole),
    // Dates
    named_lazy(
        "$dateAdd",
        &[("startDate", true), ("unit", true), ("amount", true), ("timezone", false)],
        date::date_add,
    ),
    named_lazy(
        "$dateSubtract",
        &[("startDate", true), ("unit", true), ("amount", true), ("timezone", false)],
        date::date_subtract,
    ),
    named_lazy(
        "$dateDiff",
        &[("startDate", true), ("endDate", true), ("unit", true), ("timezone", false), ("startOfWeek", false)],
        date::date_diff,
    ),
    named_lazy(
        "$dateTrunc",
        &[("date", true), ("unit", true), ("binSize", false), ("timezone", false), ("startOfWeek", false)],
        date::date_trunc,
    ),
    named_lazy(
        "$dateFromParts",
        &[
            ("year", false),
            ("month", false),
            ("day", false),
            ("hour", false),
            ("minute", false),
            ("second", false),
            ("millisecond", false),
            ("timezone", false),
            ("isoWeekYear", false),
            ("isoWeek", false),
            ("isoDayOfWeek", false),
        ],
        date::date_from_parts,
    ),
    named_lazy("$dateToParts", &[("date", true), ("timezone", false), ("iso8601", false)], date::date_to_parts),
    named_lazy(
        "$dateToString",
        &[("date", true), ("format", false), ("timezone", false), ("onNull", false)],
        date_text::date_to_string,
    ),
    named_lazy(
        "$dateFromString",
        &[("dateString", true), ("format", false), ("timezone", false), ("onError", false), ("onNull", false)],
        date_text::date_from_string,
    ),
    date_part("$year", date::year),
    date_part("$month", date::month),
    date_part("$week", date::week),
    date_part("$dayOfMonth", date::day_of_month),
    date_part("$dayOfWeek", date::day_of_week),
    date_part("$dayOfYear", date::day_of_year),
    date_part("$hour", date::hour),
    date_part("$minute", date::minute),
    date_part("$second", date::second),
    date_part("$millisecond", date::millisecond),
    date_part("$isoDayOfWeek", date::iso_day_of_week),
    date_part("$isoWeek", date::iso_week),
    date_part("$isoWeekYear", date::iso_week_year),
    strict("$tsSecond", 1, date::timestamp_second),
    strict("$tsIncrement", 1, date::timestamp_increment),
    // Objects
    lazy("$mergeObjects", 0, MANY, object::merge_objects, Whole),
    named("$setField", &[("field", true), ("input", true), ("value", true)], object::set_field),
    named("$unsetField", &[("field", true), ("input", true)], object::unset_field),
    named("$getField", &[("field", true), ("input", false)], object::get_field),
    // Sets
    lazy("$setUnion", 0, MANY, set::union, Commutative),
    lazy("$setIntersection", 0, MANY, set::intersection, Commutative),
    strict("$setDifference", 2, set::difference),
    lazy("$setEquals", 2, MANY, set::equals, Whole),
    strict("$setIsSubset", 2, set::is_subset),
    strict("$allElementsTrue", 1, set::all_elements_true),
    strict("$anyElementTrue", 1, set::any_element_true),
    // Sizes
    strict("$binarySize", 1, misc::binary_size),
    strict("$bsonSize", 1, misc::bson_size),
    // Strings
    lazy("$concat", 0, MANY, string::concat, Associative),
    between("$indexOfBytes", 2, 4, string::index_of_bytes),
    between("$indexOfCP", 2, 4, string::index_of_code_points),
    named("$ltrim", &[("input", true), ("chars", false)], string::left_trim),
    named("$rtrim", &[("input", true), ("chars", false)], string::right_trim),
    named("$trim", &[("input", true), ("chars", false)], string::trim),
    Operator {
        folding: Never,
        ..named("$replaceAll", &[("input", true), ("find", true), ("replacement", true)], string::replace_all)
    },
    Operator {
        folding: Never,
        ..named("$replaceOne", &[("input", true), ("find", true), ("replacement", true)], string::replace_one)
    },
    strict("$split", 2, string::split),
    strict("$strLenBytes", 1, string::length_in_bytes),
    strict("$strLenCP", 1, string::length_in_code_points),
    strict("$strcasecmp", 2, string::compare_ignoring_case),
    strict("$substr", 3, string::substring_bytes),
    strict("$substrBytes", 3, string::substring_bytes),
    strict("$substrCP", 3, string::substring_code_points),
    strict("$toLower", 1, string::to_lower),
    strict("$toUpper", 1, string::to_upper),
    // Trigonometry
    strict("$acos", 1, trigonometry::acos),
    strict("$acosh", 1, trigonometry::acosh),
    strict("$asin", 1, trigonometry::asin),
    strict("$asinh", 1, trigonometry::asinh),
    strict("$atan", 1, trigonometry::atan),
    strict("$atan2", 2, trigonometry::atan2),
    strict("$atanh", 1, trigonometry::atanh),
    strict("$cos", 1, trigonometry::cos),
    strict("$cosh", 1, trigonometry::cosh),
    strict("$sin", 1, trigonometry::sin),
    strict("$sinh", 1, trigonometry::sinh),
    strict("$tan", 1, trigonometry::tan),
    strict("$tanh", 1, trigonometry::tanh),
    strict("$degreesToRadians", 1, trigonometry::degrees_to_radians),
    strict("$radiansToDegrees", 1, trigonometry::radians_to_degrees),
    // Types
    named_lazy(
        "$convert",
        &[
            ("input", true),
            ("to", true),
            ("onError", false),
            ("onNull", false),
            ("format", false),
            ("byteOrder", false),
        ],
        convert::convert,
    ),
    strict("$isNumber", 1, convert::is_number),
    strict("$toBool", 1, convert::to_bool),
    strict("$toDate", 1, convert::to_date),
    strict("$toDecimal", 1, convert::to_decimal_of),
    strict("$toDouble", 1, convert::to_double),
    strict("$toInt", 1, convert::to_int),
    strict("$toLong", 1, convert::to_long),
    strict("$toObjectId", 1, convert::to_object_id),
    strict("$toString", 1, convert::to_string),
    strict("$toUUID", 1, convert::to_uuid),
    strict("$toHashedIndexKey", 1, binary_hash::hashed_index_key),
    strict("$type", 1, convert::type_of),
    // Accumulators over an array or over their arguments
    between("$avg", 0, MANY, accumulate::avg),
    gathering("$max", accumulate::max),
    gathering("$min", accumulate::min),
    between("$stdDevPop", 0, MANY, accumulate::std_dev_pop),
    between("$stdDevSamp", 0, MANY, accumulate::std_dev_samp),
    gathering("$sum", accumulate::sum),
    named("$median", &[("input", true), ("method", true)], accumulate::median),
    named("$percentile", &[("input", true), ("p", true), ("method", true)], accumulate::percentile),
    // Chance
    row("$rand", Arguments::Named(&[]), Function::Strict(misc::rand), Never),
];

/// Names of the rows, for tests that want to see each of them used.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|operator| operator.name)
}
