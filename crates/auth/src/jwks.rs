//! Key sets of token issuers (RFC 7517), fetched and kept for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use serde_json::Value as Json;
use tokio::sync::Mutex;

use crate::jwt::Key;
use crate::{AuthSettings, Clock, FetchHttp, FetchRequest};

/// How long a set is used without asking again, unless the answer says otherwise, and the bounds of what it may say.
const AGE: Duration = Duration::from_secs(10 * 60);
const AGE_LEAST: Duration = Duration::from_secs(60);
const AGE_MOST: Duration = Duration::from_secs(24 * 3600);

/// How long an old set is good while no newer one can be had.
const STALE_MAX: Duration = Duration::from_secs(3600);

/// Ids that a set does not know make us ask no more often than this: anybody can make them up.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(30);

/// After a failure nobody waits for the issuer until this has passed.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);

const SET_BYTES_MAX: usize = 1024 * 1024;
const KEYS_MAX: usize = 100;

/// The key set at one address.
pub(crate) struct KeySet {
    url: String,
    fetch: Arc<dyn FetchHttp>,
    clock: Clock,
    known: RwLock<Arc<Known>>,
    /// Held by the one who asks; the others wait for what comes.
    asking: Mutex<()>,
}

/// Why there is no key to check a token with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// The set has none of this id.
    Unknown,
    /// The set cannot be had.
    Unavailable(String),
}

#[derive(Default)]
struct Known {
    keys: BTreeMap<String, Key>,
    /// Until when the keys are used without asking, and until when they are used at all.
    fresh_until: Option<SystemTime>,
    good_until: Option<SystemTime>,
    asked: Option<SystemTime>,
    failure: Option<String>,
}

impl KeySet {
    /// A key set that is fetched when it is first needed.
    ///
    /// # Errors
    /// An address that is not HTTPS.
    pub fn new(url: String, fetch: Arc<dyn FetchHttp>, settings: &AuthSettings) -> Result<Self, String> {
        let is_plain = url.starts_with("http://") && settings.allows_plain_http;
        if !(url.starts_with("https://") || is_plain) {
            return Err("the address of the key set does not start with https://".to_owned());
        }
        Ok(Self { url, fetch, clock: settings.clock.clone(), known: RwLock::default(), asking: Mutex::default() })
    }

    /// The key with this id. One that is not in the set we know makes us ask for a newer set.
    pub async fn key(&self, id: &str) -> Result<Key, NoKey> {
        if let Some(answer) = self.known.read().answer(id, self.clock.now()) {
            return answer;
        }
        let _asking = self.asking.lock().await;
        // Somebody else may have asked while we waited.
        if let Some(answer) = self.known.read().answer(id, self.clock.now()) {
            return answer;
        }
        self.ask().await;
        let known = self.known.read();
        match known.answer(id, self.clock.now()) {
            Some(answer) => answer,
            None => Err(NoKey::Unknown),
        }
    }

    async fn ask(&self) {
        let request = FetchRequest { url: self.url.clone(), form: None, authorization: None };
        let answer = self.fetch.fetch(request).await;
        let result = answer.and_then(|answer| match answer.status {
            200 if answer.body.len() > SET_BYTES_MAX => Err("the key set is too large".to_owned()),
            200 => Ok((read_set(&answer.body)?, answer.max_age)),
            status => Err(format!("the key set was answered with status {status}")),
        });
        let now = self.clock.now();
        let mut known = self.known.write();
        *known = Arc::new(match result {
            Ok((keys, max_age)) => {
                let fresh_until = now + max_age.unwrap_or(AGE).clamp(AGE_LEAST, AGE_MOST);
                Known {
                    keys,
                    fresh_until: Some(fresh_until),
                    good_until: Some(fresh_until + STALE_MAX),
                    asked: Some(now),
                    failure: None,
                }
            }
            Err(reason) => {
                tracing::warn!(url = self.url, reason, "the key set cannot be had");
                Known {
                    keys: known.keys.clone(),
                    fresh_until: known.fresh_until,
                    good_until: known.good_until,
                    asked: Some(now),
                    failure: Some(reason),
                }
            }
        });
    }
}

impl Known {
    /// `None` when the set has to be asked for.
    fn answer(&self, id: &str, now: SystemTime) -> Option<Result<Key, NoKey>> {
        let since_asked = self.asked.map(|asked| now.duration_since(asked).unwrap_or_default());
        let has_just_failed = self.failure.is_some() && since_asked.is_some_and(|since| since < FAILURE_PAUSE);
        let is_fresh = self.fresh_until.is_some_and(|until| now < until);
        let is_good = self.good_until.is_some_and(|until| now < until);
        match self.keys.get(id) {
            Some(key) if is_fresh || (is_good && has_just_failed) => Some(Ok(key.clone())),
            // Within the pause an unknown id is not worth a question, failed or not.
            None if is_fresh && since_asked.is_some_and(|since| since < UNKNOWN_PAUSE) => Some(Err(NoKey::Unknown)),
            _ if has_just_failed => Some(Err(NoKey::Unavailable(self.failure.clone().unwrap_or_default()))),
            _ => None,
        }
    }
}

/// The keys that may check an RS256 signature, by id; the others of a set are left out.
fn read_set(body: &[u8]) -> Result<BTreeMap<String, Key>, String> {
    let set: Json = serde_json::from_slice(body).map_err(|_| "the key set is not JSON".to_owned())?;
    let keys = set.get("keys").and_then(Json::as_array).ok_or_else(|| "the key set has no keys".to_owned())?;
    let usable: BTreeMap<String, Key> = keys.iter().take(KEYS_MAX).filter_map(read_key).collect();
    match usable.is_empty() {
        true => Err("the key set has no RSA key with an id".to_owned()),
        false => Ok(usable),
    }
}

fn read_key(key: &Json) -> Option<(String, Key)> {
    let text = |name: &str| key.get(name).and_then(Json::as_str);
    let is_absent_or = |name: &str, expected: &str| key.get(name).is_none_or(|value| value == expected);
    if text("kty") != Some("RSA") || !is_absent_or("use", "sig") || !is_absent_or("alg", "RS256") {
        return None;
    }
    let id = text("kid").filter(|id| !id.is_empty())?;
    Some((id.to_owned(), Key::from_rsa_parts(text("n")?, text("e")?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// RFC 7517, appendix A.1, and the modulus of RFC 7515, A.2.
    const MODULUS: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

    #[test]
    fn only_keys_for_our_signatures_are_taken() {
        let set = json!({ "keys": [
            { "kty": "RSA", "kid": "plain", "n": MODULUS, "e": "AQAB" },
            { "kty": "RSA", "kid": "full", "use": "sig", "alg": "RS256", "n": MODULUS, "e": "AQAB" },
            { "kty": "RSA", "kid": "encrypts", "use": "enc", "n": MODULUS, "e": "AQAB" },
            { "kty": "RSA", "kid": "other", "alg": "RS512", "n": MODULUS, "e": "AQAB" },
            { "kty": "RSA", "n": MODULUS, "e": "AQAB" },
            { "kty": "RSA", "kid": "", "n": MODULUS, "e": "AQAB" },
            { "kty": "RSA", "kid": { "$ne": 1 }, "n": MODULUS, "e": "AQAB" },
            { "kty": "RSA", "kid": "small", "n": "AQAB", "e": "AQAB" },
            { "kty": "RSA", "kid": "broken", "n": "***", "e": "AQAB" },
            { "kty": "oct", "kid": "shared", "k": "c2VjcmV0" },
            { "kty": "EC", "kid": "curve", "crv": "P-256", "x": "AA", "y": "AA" },
            null, "text",
        ] });
        let keys = read_set(set.to_string().as_bytes()).expect("a set");
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["full", "plain"]);
        for set in [json!({}), json!([]), json!({ "keys": [] }), json!({ "keys": {} })] {
            assert!(read_set(set.to_string().as_bytes()).is_err(), "{set}");
        }
        assert!(read_set(b"<html>").is_err());
    }
}
