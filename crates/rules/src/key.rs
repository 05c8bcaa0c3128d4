//! Values as keys of sets: what is equal has the same key (rules-and-users 1.7).

use bson::Bson;

/// Stands for a value in a set. Numbers of different width are one when they are the same number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueKey(Vec<u8>);

impl ValueKey {
    /// The key of a value.
    pub fn of(value: &Bson) -> Self {
        let mut bytes = Vec::new();
        append(&mut bytes, value);
        Self(bytes)
    }
}

fn append(bytes: &mut Vec<u8>, value: &Bson) {
    /// Types in front of the content, where two types have the same.
    fn tagged(bytes: &mut Vec<u8>, tag: u8, content: &[u8]) {
        bytes.push(tag);
        bytes.extend((content.len() as u64).to_le_bytes());
        bytes.extend(content);
    }
    match value {
        Bson::Int32(number) => tagged(bytes, b'n', &i64::from(*number).to_le_bytes()),
        Bson::Int64(number) => tagged(bytes, b'n', &number.to_le_bytes()),
        Bson::Double(number) => match whole(*number) {
            Some(number) => tagged(bytes, b'n', &number.to_le_bytes()),
            None if number.is_nan() => tagged(bytes, b'f', b"nan"),
            None => tagged(bytes, b'f', &number.to_le_bytes()),
        },
        Bson::Decimal128(number) => {
            let double: f64 = number.to_string().parse().unwrap_or(f64::NAN);
            match whole(double) {
                Some(number) => tagged(bytes, b'n', &number.to_le_bytes()),
                None => tagged(bytes, b'm', &number.bytes()),
            }
        }
        Bson::Array(elements) => {
            tagged(bytes, b'[', &(elements.len() as u64).to_le_bytes());
            for element in elements {
                append(bytes, element);
            }
        }
        Bson::Document(document) => {
            tagged(bytes, b'{', &(document.len() as u64).to_le_bytes());
            for (name, value) in document {
                tagged(bytes, b'k', name.as_bytes());
                append(bytes, value);
            }
        }
        Bson::String(text) => tagged(bytes, b's', text.as_bytes()),
        Bson::ObjectId(id) => tagged(bytes, b'o', &id.bytes()),
        Bson::Boolean(value) => tagged(bytes, b'b', &[u8::from(*value)]),
        Bson::DateTime(time) => tagged(bytes, b'd', &time.timestamp_millis().to_le_bytes()),
        Bson::Null => tagged(bytes, b'0', &[]),
        other => tagged(bytes, b'?', format!("{other:?}").as_bytes()),
    }
}

fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use bson::bson;

    use super::*;

    #[test]
    fn equal_values_have_one_key() {
        let key = |value: Bson| ValueKey::of(&value);
        assert_eq!(key(bson!(1)), key(bson!(1.0)));
        assert_eq!(key(bson!({ "a": [1_i64] })), key(bson!({ "a": [1.0] })));
        assert_eq!(key(bson!(1)), key(Bson::Decimal128("1.0".parse().expect("a decimal"))));
        assert_ne!(key(bson!(1)), key(bson!("1")));
        assert_ne!(key(bson!(["a", "b"])), key(bson!(["ab"])));
        assert_ne!(key(bson!([[1], 2])), key(bson!([[1, 2]])));
        assert_ne!(key(bson!({ "a": 1, "b": 2 })), key(bson!({ "b": 2, "a": 1 })));
    }
}
