//! Structural comparison with the escapes of `runtime-tests/README.md`.

use serde_json::{Map, Value as Json};

/// Compares `actual` with `expected`; the error says where and how they differ.
///
/// # Errors
/// The first difference, as `path: expected … got …`.
pub fn compare(path: &str, expected: &Json, actual: Option<&Json>) -> Result<(), String> {
    if let Some((escape, argument)) = escape_of(expected) {
        return compare_escape(path, escape, argument, actual);
    }
    let Some(actual) = actual else {
        return Err(format!("{path}: expected {expected}, got nothing"));
    };
    match (expected, actual) {
        (Json::Object(expected), Json::Object(actual)) => {
            compare_fields(path, expected, actual)?;
            match actual.keys().find(|key| !expected.contains_key(*key)) {
                Some(key) => Err(format!("{path}.{key}: not expected, got {}", actual[key])),
                None => Ok(()),
            }
        }
        (Json::Array(expected), Json::Array(actual)) => {
            if expected.len() != actual.len() {
                return Err(format!(
                    "{path}: expected {} elements, got {}: {}",
                    expected.len(),
                    actual.len(),
                    Json::Array(actual.clone())
                ));
            }
            for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                compare(&format!("{path}[{index}]"), expected, Some(actual))?;
            }
            Ok(())
        }
        (expected, actual) if expected == actual => Ok(()),
        _ => Err(format!("{path}: expected {expected}, got {actual}")),
    }
}

fn compare_fields(path: &str, expected: &Map<String, Json>, actual: &Map<String, Json>) -> Result<(), String> {
    for (key, expected) in expected {
        compare(&format!("{path}.{key}"), expected, actual.get(key))?;
    }
    Ok(())
}

fn escape_of(expected: &Json) -> Option<(&str, &Json)> {
    let object = expected.as_object()?;
    let (key, argument) = object.iter().next()?;
    (object.len() == 1 && key.starts_with("$$")).then_some((key.as_str(), argument))
}

fn compare_escape(path: &str, escape: &str, argument: &Json, actual: Option<&Json>) -> Result<(), String> {
    if escape == "$$absent" {
        return match actual {
            None => Ok(()),
            Some(actual) => Err(format!("{path}: expected to be absent, got {actual}")),
        };
    }
    let Some(actual) = actual else {
        return Err(format!("{path}: expected {escape} {argument}, got nothing"));
    };
    let holds = match escape {
        "$$any" => true,
        "$$type" => argument.as_str() == Some(type_name(actual)),
        "$$contains" => on_text(argument, actual, |expected, actual| actual.contains(expected)),
        "$$starts" => on_text(argument, actual, |expected, actual| actual.starts_with(expected)),
        "$$ends" => on_text(argument, actual, |expected, actual| actual.ends_with(expected)),
        "$$matches" => {
            let pattern = argument.as_str().unwrap_or_default();
            let pattern = regex::Regex::new(pattern).map_err(|error| format!("{path}: {error}"))?;
            actual.as_str().is_some_and(|actual| pattern.is_match(actual))
        }
        "$$subset" => match (argument, actual) {
            (Json::Object(expected), Json::Object(actual)) => return compare_fields(path, expected, actual),
            _ => false,
        },
        "$$jwt" => match actual.as_str().map(crate::variables::claims) {
            Some(Ok(claims)) => return compare(&format!("{path} (claims)"), argument, Some(&claims)),
            _ => false,
        },
        "$$unordered" => match (argument, actual) {
            (Json::Array(expected), Json::Array(actual)) => return compare_unordered(path, expected, actual),
            _ => false,
        },
        other => return Err(format!("{path}: unknown escape {other}")),
    };
    if holds { Ok(()) } else { Err(format!("{path}: expected {escape} {argument}, got {actual}")) }
}

fn compare_unordered(path: &str, expected: &[Json], actual: &[Json]) -> Result<(), String> {
    if expected.len() != actual.len() {
        return Err(format!("{path}: expected {} elements, got {}", expected.len(), actual.len()));
    }
    let mut left: Vec<&Json> = actual.iter().collect();
    for expected in expected {
        match left.iter().position(|actual| compare(path, expected, Some(actual)).is_ok()) {
            Some(index) => drop(left.swap_remove(index)),
            None => return Err(format!("{path}: no element is {expected}")),
        }
    }
    Ok(())
}

fn on_text(argument: &Json, actual: &Json, test: impl Fn(&str, &str) -> bool) -> bool {
    match (argument.as_str(), actual.as_str()) {
        (Some(expected), Some(actual)) => test(expected, actual),
        _ => false,
    }
}

fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::compare;

    #[test]
    fn equal_and_escaped_values_match() {
        for (expected, actual) in [
            (json!({"a": 1, "b": [true, null]}), json!({"b": [true, null], "a": 1})),
            (json!({"a": {"$$any": true}}), json!({"a": 5})),
            (json!({"a": {"$$absent": true}}), json!({})),
            (json!({"$$type": "string"}), json!("x")),
            (json!({"$$contains": "b"}), json!("abc")),
            (json!({"$$matches": "^a.c$"}), json!("abc")),
            (json!({"$$subset": {"a": 1}}), json!({"a": 1, "b": 2})),
            (json!({"$$unordered": [1, 2, 2]}), json!([2, 1, 2])),
            (json!({"n": {"$numberInt": "1"}}), json!({"n": {"$numberInt": "1"}})),
            (json!({"$$jwt": {"sub": "x"}}), json!("e30.eyJzdWIiOiJ4In0.AAAA")),
        ] {
            assert_eq!(compare("", &expected, Some(&actual)), Ok(()), "{expected} against {actual}");
        }
    }

    #[test]
    fn differences_are_found() {
        for (expected, actual) in [
            (json!({"a": 1}), json!({"a": 2})),
            (json!({"a": 1}), json!({"a": 1, "b": 2})),
            (json!({"a": 1}), json!({})),
            (json!([1]), json!([1, 2])),
            (json!({"a": {"$$absent": true}}), json!({"a": null})),
            (json!({"$$type": "string"}), json!(1)),
            (json!({"$$contains": "z"}), json!("abc")),
            (json!({"$$subset": {"a": 1}}), json!({"b": 1})),
            (json!({"$$unordered": [1, 2, 2]}), json!([2, 1, 1])),
            (json!({"$$unknown": 1}), json!(1)),
            (json!({"$$jwt": {"sub": "y"}}), json!("e30.eyJzdWIiOiJ4In0.AAAA")),
            (json!({"$$jwt": {"sub": "x"}}), json!("no token")),
        ] {
            assert!(compare("", &expected, Some(&actual)).is_err(), "{expected} against {actual}");
        }
    }
}
