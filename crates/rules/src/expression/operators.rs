//! Conversions, types and patterns of conditions (rules-and-users 1.5).

use bson::oid::ObjectId;
use bson::spec::{BinarySubtype, ElementType};
use bson::{Binary, Bson};
use regex::{Regex, RegexBuilder};

use super::compare::is_number;
use super::{Fault, Operand};

/// Operators that turn one value into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conversion {
    StringToOid,
    OidToString,
    StringToUuid,
    UuidToString,
}

impl Conversion {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "stringToOid" => Some(Conversion::StringToOid),
            "oidToString" => Some(Conversion::OidToString),
            "stringToUuid" => Some(Conversion::StringToUuid),
            "uuidToString" => Some(Conversion::UuidToString),
            _ => None,
        }
    }

    pub fn convert(self, value: &Bson) -> Result<Bson, Fault> {
        let converted = match (self, value) {
            (Conversion::StringToOid, Bson::String(text)) => string_to_oid(text).map(Bson::ObjectId),
            (Conversion::OidToString, Bson::ObjectId(oid)) => Some(Bson::String(oid.to_hex())),
            (Conversion::StringToUuid, Bson::String(text)) if text.len() == 36 => {
                bson::Uuid::parse_str(text).ok().map(|uuid| Bson::Binary(Binary::from_uuid(uuid)))
            }
            (Conversion::UuidToString, Bson::Binary(binary)) if binary.subtype == BinarySubtype::Uuid => {
                <[u8; 16]>::try_from(binary.bytes.as_slice())
                    .ok()
                    .map(|bytes| Bson::String(bson::Uuid::from_bytes(bytes).to_string()))
            }
            _ => None,
        };
        converted.ok_or(Fault::NotConvertible)
    }
}

/// 24 hexadecimal digits, or exactly 12 bytes of text.
fn string_to_oid(text: &str) -> Option<ObjectId> {
    match text.len() {
        24 => ObjectId::parse_str(text).ok(),
        12 => <[u8; 12]>::try_from(text.as_bytes()).ok().map(ObjectId::from_bytes),
        _ => None,
    }
}

/// Operand of `%type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeName {
    /// Any of the four.
    Number,
    One(ElementType),
}

impl TypeName {
    pub fn named(name: &str) -> Option<Self> {
        Some(TypeName::One(match name {
            "number" => return Some(TypeName::Number),
            "double" => ElementType::Double,
            "string" => ElementType::String,
            "object" => ElementType::EmbeddedDocument,
            "array" => ElementType::Array,
            "binData" => ElementType::Binary,
            "undefined" => ElementType::Undefined,
            "objectId" => ElementType::ObjectId,
            "bool" => ElementType::Boolean,
            "date" => ElementType::DateTime,
            "null" => ElementType::Null,
            "regex" => ElementType::RegularExpression,
            "dbPointer" => ElementType::DbPointer,
            "javascript" => ElementType::JavaScriptCode,
            "symbol" => ElementType::Symbol,
            "javascriptWithScope" => ElementType::JavaScriptCodeWithScope,
            "int" => ElementType::Int32,
            "timestamp" => ElementType::Timestamp,
            "long" => ElementType::Int64,
            "decimal" => ElementType::Decimal128,
            "minKey" => ElementType::MinKey,
            "maxKey" => ElementType::MaxKey,
            _ => return None,
        }))
    }

    pub fn numbered(number: i64) -> Option<Self> {
        match number {
            -1 => Some(TypeName::One(ElementType::MinKey)),
            127 => Some(TypeName::One(ElementType::MaxKey)),
            1..=19 => ElementType::from(u8::try_from(number).ok()?).map(TypeName::One),
            _ => None,
        }
    }

    pub fn is_of(self, value: &Bson) -> bool {
        match self {
            TypeName::Number => is_number(value),
            TypeName::One(element_type) => value.element_type() == element_type,
        }
    }
}

/// Operand of `%regex`.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    Ready(Regex),
    /// Known only at run time.
    Later {
        pattern: Operand,
        options: String,
    },
}

impl Pattern {
    /// What it is made of when it is not known before.
    pub fn operand(&self) -> Option<&Operand> {
        match self {
            Pattern::Ready(_) => None,
            Pattern::Later { pattern, .. } => Some(pattern),
        }
    }
}

/// Compiles a pattern with MongoDB's options; `None` when one of the two is not supported.
pub(super) fn compile(pattern: &str, options: &str) -> Option<Regex> {
    const BYTES_MAX: usize = 1024 * 1024;
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(BYTES_MAX).dfa_size_limit(BYTES_MAX);
    for option in options.chars() {
        match option {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'x' => builder.ignore_whitespace(true),
            'u' => builder.unicode(true),
            _ => return None,
        };
    }
    builder.build().ok()
}
