//! Signed tokens (RFC 7515, 7519): HS256 and RS256, compact form.
//!
//! The algorithm belongs to the key, never to the token: [`Key::verify`] refuses a token whose header names another one, so
//! neither `none` nor a public key used as a shared secret gets past it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::pkcs8::DecodePublicKey;
use rsa::signature::Verifier;
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, PublicKey};
use serde_json::{Map, Value as Json, json};
use sha2::Sha256;

/// Bytes of a token that are looked at (http-surface 8: the platform took 2,048 characters, which later versions raised).
const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// Bits of an RSA key: fewer are breakable, more are only slow.
const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

/// A key that checks signatures. `Debug` never shows it.
#[derive(Clone)]
pub(crate) enum Key {
    /// HS256.
    Shared(Vec<u8>),
    /// RS256.
    Rsa(Box<VerifyingKey<Sha256>>),
}

impl Key {
    /// A public RSA key in PEM, either `PUBLIC KEY` or `RSA PUBLIC KEY`.
    pub fn from_rsa_pem(text: &str) -> Result<Self, String> {
        use rsa::pkcs1::DecodeRsaPublicKey;
        // Kept on one line in some secret stores.
        let text = text.trim().replace("\\n", "\n");
        let key = PublicKey::from_public_key_pem(&text)
            .or_else(|_| PublicKey::from_pkcs1_pem(&text))
            .map_err(|_| "it is no public RSA key in PEM".to_owned())?;
        Self::from_rsa(key)
    }

    /// An RSA key of a key set (RFC 7518, 6.3.1).
    pub fn from_rsa_parts(modulus: &str, exponent: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| "it is not base64url")?;
            let bits = u32::try_from(bytes.len() * 8).unwrap_or(u32::MAX);
            if bits > *RSA_BITS.end() + 8 || bytes.is_empty() {
                return Err("its size is out of bounds");
            }
            BoxedUint::from_be_slice(&bytes, bits).map_err(|_| "it is no number")
        };
        let key = PublicKey::new(number(modulus)?, number(exponent)?).map_err(|_| "it is no RSA key".to_owned())?;
        Self::from_rsa(key)
    }

    fn from_rsa(key: PublicKey) -> Result<Self, String> {
        let bits = key.n().bit_width();
        match RSA_BITS.contains(&bits) {
            true => Ok(Self::Rsa(Box::new(VerifyingKey::new(key)))),
            false => Err(format!("it has {bits} bits where 2048 to 8192 are accepted")),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Shared(_) => "HS256",
            Self::Rsa(_) => "RS256",
        }
    }

    /// Whether this key signed the token.
    pub fn verify(&self, token: &UnverifiedToken<'_>) -> bool {
        if token.algorithm != self.algorithm() {
            return false;
        }
        match self {
            Self::Shared(key) => shared(key, token.signed.as_bytes()).verify_slice(&token.signature).is_ok(),
            Self::Rsa(key) => Signature::try_from(token.signature.as_slice())
                .is_ok_and(|signature| key.verify(token.signed.as_bytes(), &signature).is_ok()),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({}, …)", self.algorithm())
    }
}

fn shared(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length").chain_update(message)
}

/// A token whose parts could be read. Nothing in it is to be believed.
pub(crate) struct UnverifiedToken<'a> {
    algorithm: String,
    key_id: Option<String>,
    signed: &'a str,
    claims: Map<String, Json>,
    signature: Vec<u8>,
}

impl<'a> UnverifiedToken<'a> {
    /// Takes a token apart. An error says which part is not as it should be, and quotes nothing of it.
    pub fn parse(token: &'a str) -> Result<Self, &'static str> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err("it is too long");
        }
        let (signed, signature) = token.rsplit_once('.').ok_or("it has not three parts")?;
        let (header, claims) = signed.split_once('.').ok_or("it has not three parts")?;
        if claims.contains('.') {
            return Err("it has not three parts");
        }
        let header = object(header).ok_or("its header is no JSON object")?;
        let claims = object(claims).ok_or("its payload is no JSON object")?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "its signature is not base64url")?;
        let algorithm = header.get("alg").and_then(Json::as_str).ok_or("its header names no algorithm")?.to_owned();
        match header.get("typ") {
            None => {}
            Some(Json::String(text)) if text.eq_ignore_ascii_case("JWT") => {}
            Some(_) => return Err("its type is not JWT"),
        }
        // Whoever does not understand a critical extension must refuse, and we know of none.
        if header.contains_key("crit") {
            return Err("its header has critical extensions");
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Json::String(text)) => Some(text.clone()),
            Some(_) => return Err("its key id is no string"),
        };
        Ok(Self { algorithm, key_id, signed, claims, signature })
    }

    /// `kid`. Only ever compared with ids of known keys.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// `alg`, for telling why a token is refused.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The claims, if one of the keys signed them.
    pub fn verified_by<'k>(self, mut keys: impl Iterator<Item = &'k Key>) -> Option<Map<String, Json>> {
        keys.any(|key| key.verify(&self)).then_some(self.claims)
    }
}

fn object(part: &str) -> Option<Map<String, Json>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    match serde_json::from_slice(&bytes).ok()? {
        Json::Object(object) => Some(object),
        _ => None,
    }
}

/// A token of ours, signed with HS256.
pub(crate) fn sign(claims: &Map<String, Json>, key_id: &str, key: &[u8]) -> String {
    let header = json!({ "alg": "HS256", "kid": key_id, "typ": "JWT" }).to_string();
    let claims = Json::Object(claims.clone()).to_string();
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(shared(key, signed.as_bytes()).finalize().into_bytes());
    format!("{signed}.{signature}")
}

/// Lifetime claims: `exp` has to be there and to lie ahead; `nbf` and `iat`, where they are, must not (rules-and-users 4.5).
pub(crate) fn check_times(claims: &Map<String, Json>, now: i64, skew: i64) -> Result<(), &'static str> {
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(Json::Number(number)) => match number.as_f64() {
            Some(number) if number.is_finite() => Ok(Some(number)),
            _ => Err("a time in it is no number"),
        },
        Some(_) => Err("a time in it is no number"),
    };
    // Seconds since 1970 are far below where a float loses whole numbers.
    let (now, skew) = (now as f64, skew as f64);
    match time("exp")? {
        None => return Err("it has no expiry"),
        Some(expiry) if expiry <= now => return Err("it has expired"),
        Some(_) => {}
    }
    for name in ["nbf", "iat"] {
        if time(name)?.is_some_and(|start| start > now + skew) {
            return Err("it is not valid yet");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn claims() -> Map<String, Json> {
        match json!({ "sub": "u1", "exp": 2_000_000_000 }) {
            Json::Object(claims) => claims,
            _ => Map::new(),
        }
    }

    fn token(header: Json) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(Json::Object(claims()).to_string())
        );
        let signature = URL_SAFE_NO_PAD.encode(shared(KEY, signed.as_bytes()).finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    fn verify(token: &str) -> Result<Option<Map<String, Json>>, &'static str> {
        Ok(UnverifiedToken::parse(token)?.verified_by([Key::Shared(KEY.to_vec())].iter()))
    }

    /// RFC 7515, appendix A.1: a signature somebody else made.
    #[test]
    fn a_published_token() {
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let claims = UnverifiedToken::parse(token).unwrap().verified_by([Key::Shared(key)].iter()).unwrap();
        assert_eq!(claims["iss"], "joe");
    }

    #[test]
    fn ours_can_be_read_and_nothing_else() {
        let ours = sign(&claims(), "1", KEY);
        assert_eq!(verify(&ours), Ok(Some(claims())));
        assert_eq!(UnverifiedToken::parse(&ours).unwrap().key_id(), Some("1"));
        let (signed, _) = ours.rsplit_once('.').unwrap();
        assert_eq!(verify(&format!("{signed}.")), Ok(None));
        assert_eq!(verify(&format!("{signed}.AAAA")), Ok(None));
        assert_eq!(verify(&ours.replacen('.', ".x", 1)).ok().flatten(), None);
        for broken in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "e30.e30.", "bnVsbA.bnVsbA.", &"a".repeat(70_000)] {
            assert!(verify(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn headers_do_not_choose_the_algorithm() {
        assert_eq!(verify(&token(json!({ "alg": "HS256" }))), Ok(Some(claims())));
        assert_eq!(verify(&token(json!({ "alg": "HS256", "typ": "jwt" }))), Ok(Some(claims())));
        for header in [
            json!({ "alg": "none" }),
            json!({ "alg": "NONE" }),
            json!({ "alg": "hs256" }),
            json!({ "alg": "HS512" }),
            json!({ "alg": "RS256" }),
            json!({ "alg": "" }),
        ] {
            assert_eq!(verify(&token(header.clone())), Ok(None), "{header}");
        }
        for header in [
            json!({}),
            json!({ "alg": null }),
            json!({ "alg": ["HS256"] }),
            json!({ "alg": "HS256", "typ": "JWE" }),
            json!({ "alg": "HS256", "typ": 1 }),
            json!({ "alg": "HS256", "crit": ["exp"] }),
            json!({ "alg": "HS256", "kid": { "$ne": null } }),
            json!([]),
        ] {
            assert!(verify(&token(header.clone())).is_err(), "{header}");
        }
    }

    #[test]
    fn times() {
        let check = |claims: Json| check_times(claims.as_object().unwrap(), 1000, 60);
        assert_eq!(check(json!({ "exp": 1001 })), Ok(()));
        assert_eq!(check(json!({ "exp": 1000.5 })), Ok(()));
        assert_eq!(check(json!({ "exp": 1001, "nbf": 1060, "iat": 1060 })), Ok(()));
        for claims in [
            json!({}),
            json!({ "exp": 1000 }),
            json!({ "exp": "1001" }),
            json!({ "exp": null }),
            json!({ "exp": { "$gt": 0 } }),
            json!({ "exp": 1001, "nbf": 1061 }),
            json!({ "exp": 1001, "iat": 1061 }),
            json!({ "exp": 1001, "iat": "1000" }),
        ] {
            assert!(check(claims.clone()).is_err(), "{claims}");
        }
    }
}
