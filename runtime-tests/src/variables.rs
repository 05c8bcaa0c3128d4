//! Variables of a replay: what steps keep of answers, tokens the runner signs, and names made up for each replay.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value as Json, json};
use sha2::Sha256;

use crate::case::TokenToSign;

/// Name to text; `{name}` stands for it in every text of a step.
#[derive(Debug)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// `{app}`, and `{unique}`: 24 hexadecimal digits that no other replay has.
    pub fn of_replay(app_id: &str) -> Self {
        let unique = mongodb::bson::oid::ObjectId::new().to_hex();
        Self([("app".to_owned(), app_id.to_owned()), ("unique".to_owned(), unique)].into())
    }

    /// The text with all variables in it replaced. Unknown names stay as they are.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (before, from_brace) = rest.split_at(start);
            filled.push_str(before);
            let known = from_brace.find('}').and_then(|end| Some((self.0.get(&from_brace[1..end])?, end)));
            rest = match known {
                Some((value, end)) => {
                    filled.push_str(value);
                    &from_brace[end + 1..]
                }
                None => {
                    filled.push('{');
                    &from_brace[1..]
                }
            };
        }
        filled.push_str(rest);
        filled
    }

    /// The same for every string value inside.
    pub fn fill_json(&self, value: &Json) -> Json {
        match value {
            Json::String(text) => Json::String(self.fill(text)),
            Json::Array(values) => values.iter().map(|value| self.fill_json(value)).collect(),
            Json::Object(members) => {
                let members = members.iter().map(|(name, value)| (self.fill(name), self.fill_json(value)));
                Json::Object(members.collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }

    /// Keeps parts of an answer.
    ///
    /// # Errors
    /// A body that is not JSON, or a pointer that leads nowhere.
    pub fn capture(&mut self, wanted: &BTreeMap<String, String>, body: &[u8]) -> Result<(), String> {
        if wanted.is_empty() {
            return Ok(());
        }
        let body: Json = serde_json::from_slice(body).map_err(|error| format!("capture: no JSON ({error})"))?;
        for (name, pointer) in wanted {
            let value = body.pointer(pointer).ok_or_else(|| format!("capture {name}: nothing at {pointer:?}"))?;
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self.0.insert(name.clone(), text);
        }
        Ok(())
    }

    /// Signs a token and keeps it.
    ///
    /// # Errors
    /// A system clock before 1970.
    pub fn sign(&mut self, name: &str, token: &TokenToSign) -> Result<()> {
        let header = token.header.clone().unwrap_or_else(|| json!({"alg": "HS256", "typ": "JWT"}));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_secs();
        let claims = self.fill_json(&with_times(&token.claims, i64::try_from(now)?));
        let content = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let mut mac = Hmac::<Sha256>::new_from_slice(token.key.as_bytes()).context("a key of any length will do")?;
        mac.update(content.as_bytes());
        let signature = BASE64.encode(mac.finalize().into_bytes());
        self.0.insert(name.to_owned(), format!("{content}.{signature}"));
        Ok(())
    }
}

fn with_times(value: &Json, now: i64) -> Json {
    match value {
        Json::Object(members) => match members.get("$$now").and_then(Json::as_i64) {
            Some(seconds) if members.len() == 1 => json!(now + seconds),
            _ => {
                members.iter().map(|(name, value)| (name.clone(), with_times(value, now))).collect::<Map<_, _>>().into()
            }
        },
        Json::Array(values) => values.iter().map(|value| with_times(value, now)).collect(),
        other => other.clone(),
    }
}

/// The claims of a token, its signature not looked at.
///
/// # Errors
/// Text that is no token.
pub(crate) fn claims(token: &str) -> Result<Json> {
    let payload = token.split('.').nth(1).context("no payload")?;
    Ok(serde_json::from_slice(&BASE64.decode(payload)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_replaced_and_others_stay() {
        let mut variables = Variables::of_replay("app-id");
        variables.capture(&[("token".to_owned(), "/a/0".to_owned())].into(), br#"{"a":["T"]}"#).unwrap();
        assert_eq!(variables.fill("Bearer {token} {app} {other} {{token}} {"), "Bearer T app-id {other} {T} {");
        assert_eq!(variables.fill_json(&json!({"{app}": ["{token}", 1]})), json!({"app-id": ["T", 1]}));
        assert!(variables.capture(&[("x".to_owned(), "/b".to_owned())].into(), b"{}").is_err());
        assert_ne!(variables.fill("{unique}"), Variables::of_replay("app-id").fill("{unique}"));
    }

    #[test]
    fn tokens_are_signed_with_present_times() {
        let mut variables = Variables::of_replay("app-id");
        let token =
            TokenToSign { header: None, claims: json!({"sub": "{app}", "exp": {"$$now": 60}}), key: "k".repeat(32) };
        variables.sign("jwt", &token).unwrap();
        let claims = claims(&variables.fill("{jwt}")).unwrap();
        assert_eq!(claims["sub"], "app-id");
        assert!(claims["exp"].as_i64().unwrap() > 1_700_000_000);
    }
}
