//! Digest access authentication (RFC 7616, and RFC 2617 for servers without `qop`).

use md5::Md5;
use sha2::{Digest, Sha256};

/// A challenge of a `WWW-Authenticate` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    has_qop: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Algorithm {
    hash: Hash,
    is_session: bool,
    is_named: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha256,
}

impl Hash {
    fn hex(self, text: &str) -> String {
        match self {
            Self::Md5 => hex::encode(Md5::digest(text)),
            Self::Sha256 => hex::encode(Sha256::digest(text)),
        }
    }
}

impl Challenge {
    /// A challenge that can be answered, or `None`.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, parameters) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let parameters = parse_parameters(parameters);
        let get =
            |name: &str| parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let algorithm = match get("algorithm").map(|name| name.to_ascii_lowercase()).as_deref() {
            None => Algorithm { hash: Hash::Md5, is_session: false, is_named: false },
            Some("md5") => Algorithm { hash: Hash::Md5, is_session: false, is_named: true },
            Some("md5-sess") => Algorithm { hash: Hash::Md5, is_session: true, is_named: true },
            Some("sha-256") => Algorithm { hash: Hash::Sha256, is_session: false, is_named: true },
            Some("sha-256-sess") => Algorithm { hash: Hash::Sha256, is_session: true, is_named: true },
            Some(_) => return None,
        };
        let qop = get("qop");
        let has_qop = qop.is_some_and(|qop| qop.split(',').any(|option| option.trim().eq_ignore_ascii_case("auth")));
        if qop.is_some() && !has_qop {
            // Integrity protection of the body, which is not offered here.
            return None;
        }
        Some(Self {
            realm: get("realm")?.clone(),
            nonce: get("nonce")?.clone(),
            opaque: get("opaque").cloned(),
            algorithm,
            has_qop,
        })
    }

    /// The `Authorization` header that answers the challenge for a request.
    pub fn answer(&self, username: &str, password: &str, method: &str, uri: &str) -> String {
        self.answer_with(username, password, method, uri, &random_hex())
    }

    fn answer_with(&self, username: &str, password: &str, method: &str, uri: &str, client_nonce: &str) -> String {
        const COUNT: &str = "00000001";
        let hash = self.algorithm.hash;
        let mut secret = hash.hex(&format!("{username}:{}:{password}", self.realm));
        if self.algorithm.is_session {
            secret = hash.hex(&format!("{secret}:{}:{client_nonce}", self.nonce));
        }
        let request = hash.hex(&format!("{method}:{uri}"));
        let response = if self.has_qop {
            hash.hex(&format!("{secret}:{}:{COUNT}:{client_nonce}:auth:{request}", self.nonce))
        } else {
            hash.hex(&format!("{secret}:{}:{request}", self.nonce))
        };
        let mut header = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{response}\"",
            quoted(username),
            quoted(&self.realm),
            quoted(&self.nonce),
            quoted(uri),
        );
        if self.algorithm.is_named {
            let name = match hash {
                Hash::Md5 => "MD5",
                Hash::Sha256 => "SHA-256",
            };
            header.push_str(&format!(", algorithm={name}{}", if self.algorithm.is_session { "-sess" } else { "" }));
        }
        if let Some(opaque) = &self.opaque {
            header.push_str(&format!(", opaque=\"{}\"", quoted(opaque)));
        }
        if self.has_qop {
            header.push_str(&format!(", qop=auth, nc={COUNT}, cnonce=\"{client_nonce}\""));
        } else if self.algorithm.is_session {
            header.push_str(&format!(", cnonce=\"{client_nonce}\""));
        }
        header
    }
}

/// 32 random hexadecimal digits.
pub(super) fn random_hex() -> String {
    // An ObjectId would be unique but guessable; a client nonce should not be.
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    hex::encode(bytes)
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// `name=value` and `name="value"` pairs, separated by commas.
fn parse_parameters(text: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',']);
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim().to_owned();
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => match after.split_once(',') {
                Some((value, next)) => (value.trim().to_owned(), next),
                None => (after.trim().to_owned(), ""),
            },
        };
        parameters.push((name, value));
        rest = next.trim_start_matches([' ', ',']);
    }
    parameters
}

fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, text.get(index + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of RFC 2617 section 3.5 and RFC 7616 section 3.9.1.
    #[test]
    fn published_vectors() {
        let challenge = Challenge::parse(
            "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
             opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
        )
        .expect("a challenge");
        let answer = challenge.answer_with("Mufasa", "Circle Of Life", "GET", "/dir/index.html", "0a4f113b");
        assert!(answer.contains("response=\"6629fae49393a05397450978507c4ef1\""), "{answer}");

        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let challenge = Challenge::parse(&format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            ))
            .expect("a challenge");
            let nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            let answer = challenge.answer_with("Mufasa", "Circle of Life", "GET", "/dir/index.html", nonce);
            assert!(answer.contains(&format!("response=\"{response}\"")), "{answer}");
            assert!(answer.contains(&format!("algorithm={algorithm}")), "{answer}");
        }
    }

    #[test]
    fn what_cannot_be_answered_is_no_challenge() {
        for header in
            ["Basic realm=\"x\"", "Digest realm=\"x\"", "Digest", "Digest realm=x, nonce=y, algorithm=SHA-512"]
        {
            assert_eq!(Challenge::parse(header), None, "{header}");
        }
        assert!(Challenge::parse("digest realm=x,nonce=\"a\\\"b\"").is_some_and(|challenge| challenge.nonce == "a\"b"));
    }
}
