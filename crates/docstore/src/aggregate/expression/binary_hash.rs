//! `$toHashedIndexKey`: the number under which a hashed index files a value.

use bson::Bson;
use md5::{Digest, Md5};

use super::{Scope, Value, some};
use crate::error::CommandResult;
use crate::query::decimal;
use crate::query::value::{TypeBracket, ValueRef};

pub(super) fn hashed_index_key(values: &[Value], _: &Scope<'_>) -> CommandResult<Value> {
    let mut hasher = Md5::new();
    // The seed, always 0.
    hasher.update(0_u32.to_le_bytes());
    hash(&mut hasher, values[0].as_ref().unwrap_or(&Bson::Null), None);
    let digest = hasher.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    some(i64::from_le_bytes(first))
}

/// The type as the hash spells it: one number for all types that compare with each other.
fn canonical_type(value: &Bson) -> i32 {
    match ValueRef::from(value).bracket() {
        TypeBracket::MinKey => -1,
        TypeBracket::Undefined => 0,
        TypeBracket::Null => 5,
        TypeBracket::Number => 10,
        TypeBracket::String => 15,
        TypeBracket::Document => 20,
        TypeBracket::Array => 25,
        TypeBracket::Binary => 30,
        TypeBracket::ObjectId => 35,
        TypeBracket::Boolean => 40,
        TypeBracket::DateTime => 45,
        TypeBracket::Timestamp => 47,
        TypeBracket::Regex => 50,
        TypeBracket::DbPointer => 55,
        TypeBracket::Code => 60,
        TypeBracket::CodeWithScope => 65,
        TypeBracket::MaxKey => 127,
    }
}

fn hash(hasher: &mut Md5, value: &Bson, name: Option<&str>) {
    hasher.update(canonical_type(value).to_le_bytes());
    if let Some(name) = name {
        hasher.update(name.as_bytes());
        hasher.update([0]);
    }
    match value {
        Bson::Document(document) => {
            for (name, value) in document {
                hash(hasher, value, Some(name));
            }
            hasher.update([0]);
        }
        Bson::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                hash(hasher, item, Some(&index.to_string()));
            }
            hasher.update([0]);
        }
        // Numbers without their fraction, so that equal ones of different types meet.
        Bson::Int32(number) => hasher.update(i64::from(*number).to_le_bytes()),
        Bson::Int64(number) => hasher.update(number.to_le_bytes()),
        Bson::Double(number) => hasher.update((*number as i64).to_le_bytes()),
        Bson::Decimal128(number) => hasher.update((decimal::to_f64(*number) as i64).to_le_bytes()),
        Bson::Boolean(flag) => hasher.update([u8::from(*flag)]),
        Bson::ObjectId(id) => hasher.update(id.bytes()),
        Bson::DateTime(date) => hasher.update(date.timestamp_millis().to_le_bytes()),
        Bson::Timestamp(timestamp) => {
            hasher.update(timestamp.increment.to_le_bytes());
            hasher.update(timestamp.time.to_le_bytes());
        }
        Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text) => {
            hasher.update((text.len() as u32 + 1).to_le_bytes());
            hasher.update(text.as_bytes());
            hasher.update([0]);
        }
        Bson::Binary(binary) => {
            hasher.update((binary.bytes.len() as u32).to_le_bytes());
            hasher.update([u8::from(binary.subtype)]);
            hasher.update(&binary.bytes);
        }
        Bson::RegularExpression(regex) => {
            hasher.update(regex.pattern.as_str().as_bytes());
            hasher.update([0]);
            hasher.update(regex.options.as_str().as_bytes());
            hasher.update([0]);
        }
        Bson::JavaScriptCodeWithScope(code) => hasher.update(code.code.as_bytes()),
        Bson::Null | Bson::Undefined | Bson::MinKey | Bson::MaxKey | Bson::DbPointer(_) => {}
    }
}
