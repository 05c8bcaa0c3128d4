//! Values as MongoDB orders, equates and groups them.
//!
//! [`ValueRef`] is one borrowed value, whether it lives in a decoded [`Bson`] tree or in raw bytes, so that filters and
//! sort keys are computed on stored bytes without decoding whole documents.
//! Source of the order: MongoDB manual, "Comparison/Sort Order".

use std::cmp::Ordering;

use bson::oid::ObjectId;
use bson::raw::{RawArray, RawBsonRef, RawDocument};
use bson::spec::BinarySubtype;
use bson::{Bson, Decimal128, Document, Timestamp};

use super::collation::Collation;
use super::decimal;

/// A borrowed value.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum ValueRef<'a> {
    MinKey,
    Undefined,
    Null,
    Int32(i32),
    Int64(i64),
    Double(f64),
    Decimal128(Decimal128),
    String(&'a str),
    Symbol(&'a str),
    Document(DocumentRef<'a>),
    Array(ArrayRef<'a>),
    Binary {
        subtype: u8,
        bytes: &'a [u8],
    },
    ObjectId(ObjectId),
    Boolean(bool),
    /// Milliseconds since the epoch.
    DateTime(i64),
    Timestamp(Timestamp),
    Regex {
        pattern: &'a str,
        options: &'a str,
    },
    DbPointer(DbPointerRef<'a>),
    Code(&'a str),
    CodeWithScope {
        code: &'a str,
        scope: DocumentRef<'a>,
    },
    MaxKey,
}

/// A borrowed embedded (or whole) document.
#[derive(Debug, Clone, Copy)]
pub enum DocumentRef<'a> {
    /// Decoded.
    Owned(&'a Document),
    /// Bytes.
    Raw(&'a RawDocument),
}

/// A borrowed array.
#[derive(Debug, Clone, Copy)]
pub enum ArrayRef<'a> {
    /// Decoded.
    Owned(&'a [Bson]),
    /// Bytes.
    Raw(&'a RawArray),
}

/// A borrowed value of the deprecated DBPointer type, which the BSON library keeps opaque.
#[derive(Debug, Clone, Copy)]
pub enum DbPointerRef<'a> {
    /// Decoded.
    Owned(&'a bson::DbPointer),
    /// Bytes.
    Raw(bson::raw::RawDbPointerRef<'a>),
}

impl DbPointerRef<'_> {
    /// Text that is equal exactly when the pointers are.
    fn text(self) -> String {
        // The library shows both parts of a pointer only here.
        format!("{:?}", self.to_bson())
    }

    fn to_bson(self) -> Bson {
        match self {
            Self::Owned(pointer) => Bson::DbPointer(pointer.clone()),
            Self::Raw(pointer) => Bson::try_from(RawBsonRef::DbPointer(pointer)).unwrap_or(Bson::Null),
        }
    }
}

impl<'a> From<&'a Bson> for ValueRef<'a> {
    fn from(value: &'a Bson) -> Self {
        match value {
            Bson::Double(number) => Self::Double(*number),
            Bson::String(text) => Self::String(text),
            Bson::Array(items) => Self::Array(ArrayRef::Owned(items)),
            Bson::Document(document) => Self::Document(DocumentRef::Owned(document)),
            Bson::Boolean(flag) => Self::Boolean(*flag),
            Bson::Null => Self::Null,
            Bson::RegularExpression(regex) => {
                Self::Regex { pattern: regex.pattern.as_str(), options: regex.options.as_str() }
            }
            Bson::JavaScriptCode(code) => Self::Code(code),
            Bson::JavaScriptCodeWithScope(code) => {
                Self::CodeWithScope { code: &code.code, scope: DocumentRef::Owned(&code.scope) }
            }
            Bson::Int32(number) => Self::Int32(*number),
            Bson::Int64(number) => Self::Int64(*number),
            Bson::Timestamp(timestamp) => Self::Timestamp(*timestamp),
            Bson::Binary(binary) => Self::Binary { subtype: u8::from(binary.subtype), bytes: &binary.bytes },
            Bson::ObjectId(id) => Self::ObjectId(*id),
            Bson::DateTime(date) => Self::DateTime(date.timestamp_millis()),
            Bson::Symbol(text) => Self::Symbol(text),
            Bson::Decimal128(number) => Self::Decimal128(*number),
            Bson::Undefined => Self::Undefined,
            Bson::MaxKey => Self::MaxKey,
            Bson::MinKey => Self::MinKey,
            Bson::DbPointer(pointer) => Self::DbPointer(DbPointerRef::Owned(pointer)),
        }
    }
}

impl<'a> From<RawBsonRef<'a>> for ValueRef<'a> {
    fn from(value: RawBsonRef<'a>) -> Self {
        match value {
            RawBsonRef::Double(number) => Self::Double(number),
            RawBsonRef::String(text) => Self::String(text),
            RawBsonRef::Array(items) => Self::Array(ArrayRef::Raw(items)),
            RawBsonRef::Document(document) => Self::Document(DocumentRef::Raw(document)),
            RawBsonRef::Boolean(flag) => Self::Boolean(flag),
            RawBsonRef::Null => Self::Null,
            RawBsonRef::RegularExpression(regex) => {
                Self::Regex { pattern: regex.pattern.as_str(), options: regex.options.as_str() }
            }
            RawBsonRef::JavaScriptCode(code) => Self::Code(code),
            RawBsonRef::JavaScriptCodeWithScope(code) => {
                Self::CodeWithScope { code: code.code, scope: DocumentRef::Raw(code.scope) }
            }
            RawBsonRef::Int32(number) => Self::Int32(number),
            RawBsonRef::Int64(number) => Self::Int64(number),
            RawBsonRef::Timestamp(timestamp) => Self::Timestamp(timestamp),
            RawBsonRef::Binary(binary) => Self::Binary { subtype: u8::from(binary.subtype), bytes: binary.bytes },
            RawBsonRef::ObjectId(id) => Self::ObjectId(id),
            RawBsonRef::DateTime(date) => Self::DateTime(date.timestamp_millis()),
            RawBsonRef::Symbol(text) => Self::Symbol(text),
            RawBsonRef::Decimal128(number) => Self::Decimal128(number),
            RawBsonRef::Undefined => Self::Undefined,
            RawBsonRef::MaxKey => Self::MaxKey,
            RawBsonRef::MinKey => Self::MinKey,
            RawBsonRef::DbPointer(pointer) => Self::DbPointer(DbPointerRef::Raw(pointer)),
        }
    }
}

impl<'a> From<&'a Document> for DocumentRef<'a> {
    fn from(document: &'a Document) -> Self {
        Self::Owned(document)
    }
}

impl<'a> From<&'a RawDocument> for DocumentRef<'a> {
    fn from(document: &'a RawDocument) -> Self {
        Self::Raw(document)
    }
}

/// What [`raw_field`] found.
enum Found<'a> {
    Value(ValueRef<'a>),
    Nothing,
    /// The library has to read it.
    Elsewhere,
}

/// Looks a field up in the bytes of a document. Values in between are stepped over unread, which makes it several times
/// as fast as walking the elements; scans spend most of their time here.
fn raw_field<'a>(bytes: &'a [u8], name: &str) -> Found<'a> {
    fn length(bytes: &[u8], at: usize) -> Option<usize> {
        let length = bytes.get(at..at.checked_add(4)?)?;
        usize::try_from(i32::from_le_bytes(length.try_into().ok()?)).ok()
    }
    fn field<'a>(bytes: &'a [u8], name: &[u8]) -> Option<Found<'a>> {
        let mut at = 4;
        loop {
            let kind = *bytes.get(at)?;
            if kind == 0 {
                return Some(Found::Nothing);
            }
            at += 1;
            let rest = bytes.get(at..)?;
            let is_it = rest.get(name.len()) == Some(&0) && rest.starts_with(name);
            at += 1 + if is_it { name.len() } else { rest.iter().position(|byte| *byte == 0)? };
            let size = match kind {
                0x01 | 0x09 | 0x11 | 0x12 => 8,
                0x02 | 0x0D | 0x0E => length(bytes, at)?.checked_add(4)?,
                0x03 | 0x04 | 0x0F => length(bytes, at)?,
                0x05 => length(bytes, at)?.checked_add(5)?,
                0x06 | 0x0A | 0x7F | 0xFF => 0,
                0x07 => 12,
                0x08 => 1,
                0x10 => 4,
                0x13 => 16,
                _ => return None,
            };
            let end = at.checked_add(size)?;
            if is_it {
                return read(kind, bytes.get(at..end)?).map(Found::Value);
            }
            at = end;
        }
    }
    fn read(kind: u8, value: &[u8]) -> Option<ValueRef<'_>> {
        Some(match kind {
            0x01 => ValueRef::Double(f64::from_le_bytes(value.try_into().ok()?)),
            0x02 => ValueRef::String(std::str::from_utf8(value.get(4..value.len().checked_sub(1)?)?).ok()?),
            0x03 => ValueRef::Document(DocumentRef::Raw(RawDocument::from_bytes(value).ok()?)),
            0x07 => ValueRef::ObjectId(bson::oid::ObjectId::from_bytes(value.try_into().ok()?)),
            0x08 => ValueRef::Boolean(*value.first()? == 1),
            0x09 => ValueRef::DateTime(i64::from_le_bytes(value.try_into().ok()?)),
            0x0A => ValueRef::Null,
            0x10 => ValueRef::Int32(i32::from_le_bytes(value.try_into().ok()?)),
            0x12 => ValueRef::Int64(i64::from_le_bytes(value.try_into().ok()?)),
            _ => return None,
        })
    }
    field(bytes, name.as_bytes()).unwrap_or(Found::Elsewhere)
}

impl<'a> DocumentRef<'a> {
    /// The value of this top-level field. Stored bytes were validated when they were written; what cannot be read
    /// counts as missing.
    pub fn get(self, name: &str) -> Option<ValueRef<'a>> {
        match self {
            Self::Owned(document) => document.get(name).map(ValueRef::from),
            Self::Raw(document) => match raw_field(document.as_bytes(), name) {
                Found::Value(value) => Some(value),
                Found::Nothing => None,
                Found::Elsewhere => document
                    .iter_elements()
                    .map_while(Result::ok)
                    .find(|element| element.key().as_str() == name)
                    .and_then(|element| element.value().ok())
                    .map(ValueRef::from),
            },
        }
    }

    /// Fields in order.
    pub fn iter(self) -> DocumentIter<'a> {
        match self {
            Self::Owned(document) => DocumentIter::Owned(document.iter()),
            Self::Raw(document) => DocumentIter::Raw(document.iter_elements()),
        }
    }

    /// True without fields.
    pub fn is_empty(self) -> bool {
        match self {
            Self::Owned(document) => document.is_empty(),
            Self::Raw(document) => document.is_empty(),
        }
    }

    /// A decoded copy.
    pub fn to_document(self) -> Document {
        match self {
            Self::Owned(document) => document.clone(),
            Self::Raw(document) => Document::try_from(document).unwrap_or_default(),
        }
    }
}

impl<'a> ArrayRef<'a> {
    /// Elements in order.
    pub fn iter(self) -> ArrayIter<'a> {
        match self {
            Self::Owned(items) => ArrayIter::Owned(items.iter()),
            Self::Raw(items) => ArrayIter::Raw(items.iter_elements()),
        }
    }

    /// Number of elements. Linear for bytes.
    pub fn len(self) -> usize {
        match self {
            Self::Owned(items) => items.len(),
            Self::Raw(items) => items.iter_elements().map_while(Result::ok).count(),
        }
    }

    /// True without elements.
    pub fn is_empty(self) -> bool {
        match self {
            Self::Owned(items) => items.is_empty(),
            Self::Raw(items) => items.is_empty(),
        }
    }

    /// The element at this offset.
    pub fn get(self, index: usize) -> Option<ValueRef<'a>> {
        match self {
            Self::Owned(items) => items.get(index).map(ValueRef::from),
            Self::Raw(items) => items
                .iter_elements()
                .map_while(Result::ok)
                .nth(index)
                .and_then(|element| element.value().ok())
                .map(ValueRef::from),
        }
    }
}

/// Fields of a [`DocumentRef`] in order.
#[allow(missing_docs)]
pub enum DocumentIter<'a> {
    Owned(bson::document::Iter<'a>),
    Raw(bson::raw::RawIter<'a>),
}

impl<'a> Iterator for DocumentIter<'a> {
    type Item = (&'a str, ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Owned(iter) => iter.next().map(|(name, value)| (name.as_str(), ValueRef::from(value))),
            Self::Raw(iter) => {
                let element = iter.next()?.ok()?;
                Some((element.key().as_str(), element.value().ok()?.into()))
            }
        }
    }
}

/// Elements of an [`ArrayRef`] in order.
#[allow(missing_docs)]
pub enum ArrayIter<'a> {
    Owned(std::slice::Iter<'a, Bson>),
    Raw(bson::raw::RawIter<'a>),
}

impl<'a> Iterator for ArrayIter<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Owned(iter) => iter.next().map(ValueRef::from),
            Self::Raw(iter) => Some(iter.next()?.ok()?.value().ok()?.into()),
        }
    }
}

impl<'a> ValueRef<'a> {
    /// A decoded copy.
    pub fn to_bson(self) -> Bson {
        match self {
            Self::MinKey => Bson::MinKey,
            Self::Undefined => Bson::Undefined,
            Self::Null => Bson::Null,
            Self::Int32(number) => Bson::Int32(number),
            Self::Int64(number) => Bson::Int64(number),
            Self::Double(number) => Bson::Double(number),
            Self::Decimal128(number) => Bson::Decimal128(number),
            Self::String(text) => Bson::String(text.to_owned()),
            Self::Symbol(text) => Bson::Symbol(text.to_owned()),
            Self::Document(document) => Bson::Document(document.to_document()),
            Self::Array(items) => Bson::Array(items.iter().map(Self::to_bson).collect()),
            Self::Binary { subtype, bytes } => {
                Bson::Binary(bson::Binary { subtype: BinarySubtype::from(subtype), bytes: bytes.to_vec() })
            }
            Self::ObjectId(id) => Bson::ObjectId(id),
            Self::Boolean(flag) => Bson::Boolean(flag),
            Self::DateTime(millis) => Bson::DateTime(bson::DateTime::from_millis(millis)),
            Self::Timestamp(timestamp) => Bson::Timestamp(timestamp),
            Self::Regex { pattern, options } => regex_value(pattern, options),
            Self::DbPointer(pointer) => pointer.to_bson(),
            Self::Code(code) => Bson::JavaScriptCode(code.to_owned()),
            Self::CodeWithScope { code, scope } => Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope {
                code: code.to_owned(),
                scope: scope.to_document(),
            }),
            Self::MaxKey => Bson::MaxKey,
        }
    }

    /// BSON's type number, as `$type` names it (-1 MinKey, 127 MaxKey).
    pub fn type_number(self) -> i32 {
        match self {
            Self::MinKey => -1,
            Self::Double(_) => 1,
            Self::String(_) => 2,
            Self::Document(_) => 3,
            Self::Array(_) => 4,
            Self::Binary { .. } => 5,
            Self::Undefined => 6,
            Self::ObjectId(_) => 7,
            Self::Boolean(_) => 8,
            Self::DateTime(_) => 9,
            Self::Null => 10,
            Self::Regex { .. } => 11,
            Self::DbPointer(_) => 12,
            Self::Code(_) => 13,
            Self::Symbol(_) => 14,
            Self::CodeWithScope { .. } => 15,
            Self::Int32(_) => 16,
            Self::Timestamp(_) => 17,
            Self::Int64(_) => 18,
            Self::Decimal128(_) => 19,
            Self::MaxKey => 127,
        }
    }

    /// The alias of the type, as `$type` names it.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::MinKey => "minKey",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Document(_) => "object",
            Self::Array(_) => "array",
            Self::Binary { .. } => "binData",
            Self::Undefined => "undefined",
            Self::ObjectId(_) => "objectId",
            Self::Boolean(_) => "bool",
            Self::DateTime(_) => "date",
            Self::Null => "null",
            Self::Regex { .. } => "regex",
            Self::DbPointer(_) => "dbPointer",
            Self::Code(_) => "javascript",
            Self::Symbol(_) => "symbol",
            Self::CodeWithScope { .. } => "javascriptWithScope",
            Self::Int32(_) => "int",
            Self::Timestamp(_) => "timestamp",
            Self::Int64(_) => "long",
            Self::Decimal128(_) => "decimal",
            Self::MaxKey => "maxKey",
        }
    }

    /// The rank of the type in the order across types; types that compare with each other share one.
    pub fn bracket(self) -> TypeBracket {
        match self {
            Self::MinKey => TypeBracket::MinKey,
            Self::Undefined => TypeBracket::Undefined,
            Self::Null => TypeBracket::Null,
            Self::Int32(_) | Self::Int64(_) | Self::Double(_) | Self::Decimal128(_) => TypeBracket::Number,
            Self::String(_) | Self::Symbol(_) => TypeBracket::String,
            Self::Document(_) => TypeBracket::Document,
            Self::Array(_) => TypeBracket::Array,
            Self::Binary { .. } => TypeBracket::Binary,
            Self::ObjectId(_) => TypeBracket::ObjectId,
            Self::Boolean(_) => TypeBracket::Boolean,
            Self::DateTime(_) => TypeBracket::DateTime,
            Self::Timestamp(_) => TypeBracket::Timestamp,
            Self::Regex { .. } => TypeBracket::Regex,
            Self::DbPointer(_) => TypeBracket::DbPointer,
            Self::Code(_) => TypeBracket::Code,
            Self::CodeWithScope { .. } => TypeBracket::CodeWithScope,
            Self::MaxKey => TypeBracket::MaxKey,
        }
    }

    /// int, long, double or decimal.
    pub fn is_number(self) -> bool {
        self.bracket() == TypeBracket::Number
    }

    /// Not-a-number, double or decimal.
    pub fn is_nan(self) -> bool {
        match self {
            Self::Double(number) => number.is_nan(),
            Self::Decimal128(number) => decimal::is_nan(number),
            _ => false,
        }
    }

    /// The number as a double, rounded; `None` if it is no number.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Self::Int32(number) => Some(f64::from(number)),
            Self::Int64(number) => Some(number as f64),
            Self::Double(number) => Some(number),
            Self::Decimal128(number) => Some(decimal::to_f64(number)),
            _ => None,
        }
    }

    /// The number as a 64-bit integer when it is exactly one.
    pub fn as_exact_i64(self) -> Option<i64> {
        match self {
            Self::Int32(number) => Some(i64::from(number)),
            Self::Int64(number) => Some(number),
            Self::Double(number) => f64_to_exact_i64(number),
            Self::Decimal128(number) => decimal::to_exact_i64(number),
            _ => None,
        }
    }

    /// What `$exists`, projections and conditions take as true: everything but false, null, undefined and zero.
    pub fn is_truthy(self) -> bool {
        match self {
            Self::Boolean(flag) => flag,
            Self::Null | Self::Undefined => false,
            Self::Int32(number) => number != 0,
            Self::Int64(number) => number != 0,
            Self::Double(number) => number != 0.0,
            Self::Decimal128(number) => !decimal::is_zero(number),
            _ => true,
        }
    }
}

/// The order across types. Numbers of all four types share one bracket, strings and symbols another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum TypeBracket {
    MinKey = 0x10,
    Undefined = 0x14,
    Null = 0x18,
    Number = 0x20,
    String = 0x28,
    Document = 0x30,
    Array = 0x38,
    Binary = 0x40,
    ObjectId = 0x48,
    Boolean = 0x50,
    DateTime = 0x58,
    Timestamp = 0x60,
    Regex = 0x68,
    DbPointer = 0x70,
    Code = 0x78,
    CodeWithScope = 0x80,
    MaxKey = 0xF0,
}

/// A value holding this pattern and these options; null when they hold a NUL, which BSON cannot carry.
pub fn regex_value(pattern: &str, options: &str) -> Bson {
    match (pattern.to_owned().try_into(), options.to_owned().try_into()) {
        (Ok(pattern), Ok(options)) => Bson::RegularExpression(bson::Regex { pattern, options }),
        _ => Bson::Null,
    }
}

/// The double as a 64-bit integer when it is exactly one.
pub fn f64_to_exact_i64(number: f64) -> Option<i64> {
    // 2^63 itself is representable as a double but not as an i64.
    if number.trunc() == number && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) {
        Some(number as i64)
    } else {
        None
    }
}

/// MongoDB's order of two values: a total order in which numbers of all types compare by value, NaN equals itself and
/// is the least number, and -0.0 equals 0.0. With a collation strings compare by it, also inside documents and arrays.
pub fn compare(left: &Bson, right: &Bson, collation: Option<&Collation>) -> Ordering {
    compare_refs(ValueRef::from(left), ValueRef::from(right), collation)
}

/// Equality under [`compare`].
pub fn equal(left: &Bson, right: &Bson, collation: Option<&Collation>) -> bool {
    compare(left, right, collation) == Ordering::Equal
}

/// Same bytes: equal types, values, field orders, the sign of zero. What decides whether an update changed a value.
pub fn identical(left: &Bson, right: &Bson) -> bool {
    match (left, right) {
        (Bson::Double(left), Bson::Double(right)) => left.to_bits() == right.to_bits(),
        (Bson::Array(left), Bson::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| identical(left, right))
        }
        (Bson::Document(left), Bson::Document(right)) => identical_documents(left, right),
        (Bson::JavaScriptCodeWithScope(left), Bson::JavaScriptCodeWithScope(right)) => {
            left.code == right.code && identical_documents(&left.scope, &right.scope)
        }
        _ => left == right,
    }
}

/// [`identical`] for documents: the same fields in the same order.
pub fn identical_documents(left: &Document, right: &Document) -> bool {
    left.len() == right.len()
        && left.iter().zip(right.iter()).all(|((left_name, left_value), (right_name, right_value))| {
            left_name == right_name && identical(left_value, right_value)
        })
}

/// [`compare`] for borrowed values.
pub fn compare_refs(left: ValueRef<'_>, right: ValueRef<'_>, collation: Option<&Collation>) -> Ordering {
    use ValueRef as V;
    match left.bracket().cmp(&right.bracket()) {
        Ordering::Equal => {}
        other => return other,
    }
    match (left, right) {
        (V::String(left) | V::Symbol(left), V::String(right) | V::Symbol(right)) => {
            compare_strings(left, right, collation)
        }
        (V::Document(left), V::Document(right)) => compare_documents(left, right, collation),
        (V::Array(left), V::Array(right)) => compare_arrays(left, right, collation),
        (V::Binary { subtype: left_subtype, bytes: left }, V::Binary { subtype: right_subtype, bytes: right }) => {
            left.len().cmp(&right.len()).then_with(|| left_subtype.cmp(&right_subtype)).then_with(|| left.cmp(right))
        }
        (V::ObjectId(left), V::ObjectId(right)) => left.bytes().cmp(&right.bytes()),
        (V::Boolean(left), V::Boolean(right)) => left.cmp(&right),
        (V::DateTime(left), V::DateTime(right)) => left.cmp(&right),
        (V::Timestamp(left), V::Timestamp(right)) => (left.time, left.increment).cmp(&(right.time, right.increment)),
        (
            V::Regex { pattern: left_pattern, options: left_options },
            V::Regex { pattern: right_pattern, options: right_options },
        ) => left_pattern.cmp(right_pattern).then_with(|| left_options.cmp(right_options)),
        (V::Code(left), V::Code(right)) => left.cmp(right),
        (V::CodeWithScope { code: left, scope: left_scope }, V::CodeWithScope { code: right, scope: right_scope }) => {
            left.cmp(right).then_with(|| compare_documents(left_scope, right_scope, None))
        }
        (V::DbPointer(left), V::DbPointer(right)) => left.text().cmp(&right.text()),
        (left, right) => compare_numbers(left, right),
    }
}

fn compare_strings(left: &str, right: &str, collation: Option<&Collation>) -> Ordering {
    match collation {
        Some(collation) => collation.compare(left, right),
        None => left.as_bytes().cmp(right.as_bytes()),
    }
}

/// Field by field: type, then name, then value; a prefix is less.
pub fn compare_documents(left: DocumentRef<'_>, right: DocumentRef<'_>, collation: Option<&Collation>) -> Ordering {
    let mut right_fields = right.iter();
    for (left_name, left_value) in left.iter() {
        let Some((right_name, right_value)) = right_fields.next() else {
            return Ordering::Greater;
        };
        let order = left_value
            .bracket()
            .cmp(&right_value.bracket())
            .then_with(|| left_name.as_bytes().cmp(right_name.as_bytes()))
            .then_with(|| compare_refs(left_value, right_value, collation));
        if order != Ordering::Equal {
            return order;
        }
    }
    if right_fields.next().is_some() { Ordering::Less } else { Ordering::Equal }
}

fn compare_arrays(left: ArrayRef<'_>, right: ArrayRef<'_>, collation: Option<&Collation>) -> Ordering {
    let mut right_items = right.iter();
    for left_value in left.iter() {
        let Some(right_value) = right_items.next() else {
            return Ordering::Greater;
        };
        let order = compare_refs(left_value, right_value, collation);
        if order != Ordering::Equal {
            return order;
        }
    }
    if right_items.next().is_some() { Ordering::Less } else { Ordering::Equal }
}

fn compare_numbers(left: ValueRef<'_>, right: ValueRef<'_>) -> Ordering {
    use ValueRef as V;
    match (left, right) {
        (V::Int32(left), V::Int32(right)) => left.cmp(&right),
        (V::Int64(left), V::Int64(right)) => left.cmp(&right),
        (V::Int32(left), V::Int64(right)) => i64::from(left).cmp(&right),
        (V::Int64(left), V::Int32(right)) => left.cmp(&i64::from(right)),
        (V::Double(left), V::Double(right)) => compare_doubles(left, right),
        (V::Int32(left), V::Double(right)) => compare_doubles(f64::from(left), right),
        (V::Double(left), V::Int32(right)) => compare_doubles(left, f64::from(right)),
        (V::Int64(left), V::Double(right)) => compare_long_to_double(left, right),
        (V::Double(left), V::Int64(right)) => compare_long_to_double(right, left).reverse(),
        (V::Decimal128(left), V::Decimal128(right)) => decimal::compare(left, right),
        (V::Decimal128(left), V::Double(right)) => decimal::compare_to_double(left, right),
        (V::Double(left), V::Decimal128(right)) => decimal::compare_to_double(right, left).reverse(),
        (V::Decimal128(left), V::Int32(right)) => decimal::compare_to_long(left, i64::from(right)),
        (V::Decimal128(left), V::Int64(right)) => decimal::compare_to_long(left, right),
        (V::Int32(left), V::Decimal128(right)) => decimal::compare_to_long(right, i64::from(left)).reverse(),
        (V::Int64(left), V::Decimal128(right)) => decimal::compare_to_long(right, left).reverse(),
        // Single-valued types: MinKey, MaxKey, null, undefined.
        _ => Ordering::Equal,
    }
}

fn compare_doubles(left: f64, right: f64) -> Ordering {
    match left.partial_cmp(&right) {
        Some(order) => order,
        None => right.is_nan().cmp(&left.is_nan()),
    }
}

fn compare_long_to_double(left: i64, right: f64) -> Ordering {
    if right.is_nan() {
        return Ordering::Greater;
    }
    if right >= 9_223_372_036_854_775_808.0 {
        return Ordering::Less;
    }
    if right < -9_223_372_036_854_775_808.0 {
        return Ordering::Greater;
    }
    let truncated = right.trunc();
    left.cmp(&(truncated as i64)).then_with(|| compare_doubles(truncated, right))
}

/// Bytes whose order is the order of [`compare`]: two values are equal exactly when their keys are, and the lesser
/// value has the lesser key. For index entries, grouping and distinct. The key of one value is never a prefix of
/// another's, so keys may be concatenated; for a descending part invert every byte of it.
///
/// With a collation, strings contribute their collation key, which is only stable for one version of the collation data.
pub fn order_key(value: ValueRef<'_>, collation: Option<&Collation>) -> Vec<u8> {
    let mut key = Vec::with_capacity(16);
    write_order_key(&mut key, value, collation);
    key
}

/// [`order_key`], appended.
pub fn write_order_key(key: &mut Vec<u8>, value: ValueRef<'_>, collation: Option<&Collation>) {
    use ValueRef as V;
    key.push(value.bracket() as u8);
    match value {
        V::MinKey | V::MaxKey | V::Null | V::Undefined => {}
        V::Int32(_) | V::Int64(_) | V::Double(_) | V::Decimal128(_) => write_number_key(key, value),
        V::String(text) | V::Symbol(text) => match collation {
            Some(collation) => write_terminated(key, &collation.key(text)),
            None => write_terminated(key, text.as_bytes()),
        },
        V::Document(document) => write_document_key(key, document, collation),
        V::Array(items) => {
            for item in items.iter() {
                write_order_key(key, item, collation);
            }
            key.push(0);
        }
        V::Binary { subtype, bytes } => {
            key.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            key.push(subtype);
            key.extend_from_slice(bytes);
        }
        V::ObjectId(id) => key.extend_from_slice(&id.bytes()),
        V::Boolean(flag) => key.push(u8::from(flag)),
        V::DateTime(millis) => key.extend_from_slice(&((millis as u64) ^ (1 << 63)).to_be_bytes()),
        V::Timestamp(timestamp) => {
            key.extend_from_slice(&timestamp.time.to_be_bytes());
            key.extend_from_slice(&timestamp.increment.to_be_bytes());
        }
        V::Regex { pattern, options } => {
            write_terminated(key, pattern.as_bytes());
            write_terminated(key, options.as_bytes());
        }
        V::DbPointer(pointer) => write_terminated(key, pointer.text().as_bytes()),
        V::Code(code) => write_terminated(key, code.as_bytes()),
        V::CodeWithScope { code, scope } => {
            write_terminated(key, code.as_bytes());
            write_document_key(key, scope, None);
        }
    }
}

fn write_document_key(key: &mut Vec<u8>, document: DocumentRef<'_>, collation: Option<&Collation>) {
    for (name, value) in document.iter() {
        // The type outranks the name, and the name the value.
        key.push(value.bracket() as u8);
        write_terminated(key, name.as_bytes());
        write_order_key(key, value, collation);
    }
    key.push(0);
}

/// The bytes, then a terminator that sorts before any continuation: NUL is written as 00 FF, the end as 00 00.
fn write_terminated(key: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        key.push(*byte);
        if *byte == 0 {
            key.push(0xFF);
        }
    }
    key.extend_from_slice(&[0, 0]);
}

/// A number as the greatest double not above it, then, if that is not the number itself, its exact decimal digits.
fn write_number_key(key: &mut Vec<u8>, value: ValueRef<'_>) {
    if value.is_nan() {
        key.extend_from_slice(&[0; 9]);
        return;
    }
    let mut floor = value.as_f64().unwrap_or(0.0);
    match compare_numbers(ValueRef::Double(floor), value) {
        Ordering::Greater => floor = floor.next_down(),
        Ordering::Less | Ordering::Equal => {}
    }
    // One spelling of zero.
    let floor = floor + 0.0;
    let bits = floor.to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
    key.extend_from_slice(&ordered.to_be_bytes());
    if compare_numbers(ValueRef::Double(floor), value) == Ordering::Equal {
        key.push(1);
        return;
    }
    key.push(2);
    let (negative, coefficient, exponent) = match value {
        ValueRef::Int64(number) => (number < 0, u128::from(number.unsigned_abs()), 0),
        ValueRef::Decimal128(number) => match decimal::parts(number) {
            decimal::Parts::Finite { negative, coefficient, exponent } => (negative, coefficient, exponent),
            _ => (false, 0, 0),
        },
        _ => (false, 0, 0),
    };
    let digits = coefficient.to_string();
    let digits = digits.as_bytes();
    // 0.DIGITS * 10^scale, without trailing zeros.
    let scale = exponent + digits.len() as i32;
    let significant = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    let mut tail = Vec::with_capacity(significant + 3);
    tail.extend_from_slice(&((scale + 0x4000) as u16).to_be_bytes());
    tail.extend_from_slice(&digits[..significant]);
    tail.push(0);
    if negative {
        for byte in &mut tail {
            *byte = !*byte;
        }
    }
    key.extend_from_slice(&tail);
}
