//! Hashes, ciphers, signatures and tokens for the prelude (function-environment 2.8, 2.9).
//!
//! Randomness comes from the operating system at the time of the call, never from the start-up snapshot.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aes::Aes192;
use aes_gcm::aes::cipher::consts::U12;
use aes_gcm::{AeadInOut, Aes128Gcm, Aes256Gcm, AesGcm, KeyInit, Nonce, Tag};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deno_core::v8;
use hmac::{Hmac, Mac};
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey};
use rsa::signature::{Signer, Verifier};
use rsa::{Pkcs1v15Sign, PrivateKey as RsaPrivateKey, Pss, PublicKey as RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::encoding::{view_bytes, view_bytes_mut};
use super::{
    Native, bytes_argument, natives, return_bytes, return_string, string_argument, text, throw_error, throw_type_error,
};

type Aes192Gcm = AesGcm<Aes192, U12>;

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// The functions of this area.
pub(crate) fn natives() -> Vec<Native> {
    natives! {
        "fillRandom" => fill_random,
        "hash" => hash,
        "hmac" => hmac,
        "aesGcmEncrypt" => aes_gcm_encrypt,
        "aesGcmDecrypt" => aes_gcm_decrypt,
        "signMessage" => sign_message,
        "verifyMessage" => verify_message,
    }
}

/// Argument `index` as a view; `None` with a pending TypeError.
fn view_argument<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: &v8::FunctionCallbackArguments<'s>,
    index: i32,
) -> Option<v8::Local<'s, v8::ArrayBufferView>> {
    let view = v8::Local::<v8::ArrayBufferView>::try_from(arguments.get(index)).ok();
    if view.is_none() {
        throw_type_error(scope, &format!("argument {} must be bytes", index + 1));
    }
    view
}

/// `fillRandom(bytes)`: fills the view from the operating system's generator.
fn fill_random<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    _result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(view) = view_argument(scope, &arguments, 0) else { return };
    if getrandom::fill(view_bytes_mut(&view)).is_err() {
        throw_error(scope, "the system gave no random bytes");
    }
}

/// A hash function user code can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "md5" => Self::Md5,
            "sha1" => Self::Sha1,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => md5::Md5::digest(bytes).to_vec(),
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => authentication_code::<Hmac<md5::Md5>>(key, bytes),
            Self::Sha1 => authentication_code::<Hmac<Sha1>>(key, bytes),
            Self::Sha256 => authentication_code::<Hmac<Sha256>>(key, bytes),
            Self::Sha384 => authentication_code::<Hmac<Sha384>>(key, bytes),
            Self::Sha512 => authentication_code::<Hmac<Sha512>>(key, bytes),
        }
    }
}

fn authentication_code<M: Mac + KeyInit>(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.chain_update(bytes).finalize().into_bytes().to_vec()
}

fn hash_argument(scope: &mut v8::PinScope, arguments: &v8::FunctionCallbackArguments, index: i32) -> Option<Hash> {
    let name = string_argument(scope, arguments, index)?;
    let hash = Hash::named(&name);
    if hash.is_none() {
        throw_error(scope, &format!("unknown hash function: {name}"));
    }
    hash
}

/// `hash(name, bytes)`: the digest.
fn hash<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(hash) = hash_argument(scope, &arguments, 0) else { return };
    let Some(view) = view_argument(scope, &arguments, 1) else { return };
    let mut storage = [0; v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP];
    let digest = hash.digest(view_bytes(&view, &mut storage));
    return_bytes(scope, &mut result, &digest);
}

/// `hmac(name, key, bytes)`: the authentication code.
fn hmac<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(hash) = hash_argument(scope, &arguments, 0) else { return };
    let Some(key) = bytes_argument(scope, &arguments, 1) else { return };
    let Some(view) = view_argument(scope, &arguments, 2) else { return };
    let mut storage = [0; v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP];
    let code = hash.hmac(&key, view_bytes(&view, &mut storage));
    return_bytes(scope, &mut result, &code);
}

// --- AES-GCM --------------------------------------------------------------------------------------------------------

/// AES-128, 192 or 256 in GCM mode by the key's length.
enum AesCipher {
    Aes128(Box<Aes128Gcm>),
    Aes192(Box<Aes192Gcm>),
    Aes256(Box<Aes256Gcm>),
}

impl AesCipher {
    /// `None` for a key that is not 16, 24 or 32 bytes long.
    fn new(key: &[u8]) -> Option<Self> {
        Some(match key.len() {
            16 => Self::Aes128(Box::new(Aes128Gcm::new_from_slice(key).ok()?)),
            24 => Self::Aes192(Box::new(Aes192Gcm::new_from_slice(key).ok()?)),
            32 => Self::Aes256(Box::new(Aes256Gcm::new_from_slice(key).ok()?)),
            _ => return None,
        })
    }

    fn encrypt(&self, nonce: &[u8; NONCE_BYTES], buffer: InOutBuf<'_, '_, u8>) -> Option<Tag> {
        let nonce = &Nonce::<U12>::from(*nonce);
        match self {
            Self::Aes128(cipher) => cipher.encrypt_inout_detached(nonce, b"", buffer),
            Self::Aes192(cipher) => cipher.encrypt_inout_detached(nonce, b"", buffer),
            Self::Aes256(cipher) => cipher.encrypt_inout_detached(nonce, b"", buffer),
        }
        .ok()
    }

    fn decrypt(&self, nonce: &[u8; NONCE_BYTES], buffer: InOutBuf<'_, '_, u8>, tag: &[u8; TAG_BYTES]) -> bool {
        let nonce = &Nonce::<U12>::from(*nonce);
        let tag = &Tag::from(*tag);
        match self {
            Self::Aes128(cipher) => cipher.decrypt_inout_detached(nonce, b"", buffer, tag),
            Self::Aes192(cipher) => cipher.decrypt_inout_detached(nonce, b"", buffer, tag),
            Self::Aes256(cipher) => cipher.decrypt_inout_detached(nonce, b"", buffer, tag),
        }
        .is_ok()
    }

    /// Writes nonce, ciphertext and tag; `sealed` must be 28 bytes longer than `plain`.
    fn seal(&self, nonce: &[u8; NONCE_BYTES], plain: &[u8], sealed: &mut [u8]) -> bool {
        let Some((head, rest)) = sealed.split_first_chunk_mut::<NONCE_BYTES>() else { return false };
        let Some((body, tail)) = rest.split_last_chunk_mut::<TAG_BYTES>() else { return false };
        let Ok(buffer) = InOutBuf::new(plain, body) else { return false };
        let Some(tag) = self.encrypt(nonce, buffer) else { return false };
        *head = *nonce;
        tail.copy_from_slice(&tag);
        true
    }

    /// Inverse of [`Self::seal`]; `plain` is left untouched unless the tag is right.
    fn open(&self, sealed: &[u8], plain: &mut [u8]) -> bool {
        let Some((nonce, rest)) = sealed.split_first_chunk::<NONCE_BYTES>() else { return false };
        let Some((body, tag)) = rest.split_last_chunk::<TAG_BYTES>() else { return false };
        let Ok(buffer) = InOutBuf::new(body, plain) else { return false };
        self.decrypt(nonce, buffer, tag)
    }
}

/// `aesGcmEncrypt(key, plain, sealed)`: fills `sealed` with a random nonce, the ciphertext and the tag.
fn aes_gcm_encrypt<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    _result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(key) = bytes_argument(scope, &arguments, 0) else { return };
    let Some(plain) = view_argument(scope, &arguments, 1) else { return };
    let Some(sealed) = view_argument(scope, &arguments, 2) else { return };
    let Some(cipher) = AesCipher::new(&key) else {
        return throw_error(scope, "the key must be 16, 24 or 32 bytes long");
    };
    let mut nonce = [0; NONCE_BYTES];
    if getrandom::fill(&mut nonce).is_err() {
        return throw_error(scope, "the system gave no random bytes");
    }
    let sealed = view_bytes_mut(&sealed);
    let mut storage = [0; v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP];
    if !cipher.seal(&nonce, view_bytes(&plain, &mut storage), sealed) {
        throw_error(scope, "the message cannot be encrypted");
    }
}

/// `aesGcmDecrypt(key, sealed, plain)`: fills `plain`, which must be 28 bytes shorter; false when the tag is wrong.
fn aes_gcm_decrypt<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(key) = bytes_argument(scope, &arguments, 0) else { return };
    let Some(sealed) = view_argument(scope, &arguments, 1) else { return };
    let Some(plain) = view_argument(scope, &arguments, 2) else { return };
    let Some(cipher) = AesCipher::new(&key) else {
        return throw_error(scope, "the key must be 16, 24 or 32 bytes long");
    };
    let plain = view_bytes_mut(&plain);
    let mut storage = [0; v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP];
    result.set_bool(cipher.open(view_bytes(&sealed, &mut storage), plain));
}

// --- Signatures -----------------------------------------------------------------------------------------------------

/// A signing method by its JSON Web Algorithms name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Hmac(Hash),
    RsaPkcs1v15(Hash),
    RsaPss(Hash),
    /// P-256, P-384 or P-521, by the hash.
    Ecdsa(Hash),
}

impl Method {
    fn named(name: &str) -> Option<Self> {
        let hash = match name.get(2..)? {
            "256" => Hash::Sha256,
            "384" => Hash::Sha384,
            "512" => Hash::Sha512,
            _ => return None,
        };
        Some(match &name[..2] {
            "HS" => Self::Hmac(hash),
            "RS" => Self::RsaPkcs1v15(hash),
            "PS" => Self::RsaPss(hash),
            "ES" => Self::Ecdsa(hash),
            _ => return None,
        })
    }
}

/// Why a key cannot be used. `Display` is for the author of the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum KeyError {
    #[error("the key is not a PEM text with a private key")]
    NotPrivatePem,
    #[error("the key is not a PEM text with a public key")]
    NotPublicPem,
    #[error("the key is malformed or does not fit the signing method")]
    Unusable,
    #[error("a public key cannot be the secret of an HMAC token")]
    PublicKeyAsSecret,
    #[error("the key cannot sign: it may be too short for the signing method")]
    Signing,
}

/// A PEM text: what stands between BEGIN and END, and the bytes. White space in the body does not matter, because keys
/// that went through configuration files lose and gain line ends.
struct Pem<'a> {
    label: &'a str,
    der: Vec<u8>,
}

impl<'a> Pem<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (label, rest) = text.split_once("-----BEGIN ")?.1.split_once("-----")?;
        let (body, rest) = rest.split_once("-----END ")?;
        rest.strip_prefix(label)?.strip_prefix("-----")?;
        let digits: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        Some(Self { label, der: STANDARD.decode(digits).ok()? })
    }
}

/// Whether a text is a public key, so that using it as an HMAC secret would let anybody sign.
fn is_public_key(text: &str) -> bool {
    text.split("-----BEGIN ").skip(1).any(|rest| {
        let label = rest.split("-----").next().unwrap_or_default();
        label.ends_with("PUBLIC KEY") || label.ends_with("CERTIFICATE")
    })
}

fn rsa_private_key(key: &str) -> Result<RsaPrivateKey, KeyError> {
    let pem = Pem::parse(key).ok_or(KeyError::NotPrivatePem)?;
    match pem.label {
        "RSA PRIVATE KEY" => RsaPrivateKey::from_pkcs1_der(&pem.der).map_err(|_| KeyError::Unusable),
        "PRIVATE KEY" => RsaPrivateKey::from_pkcs8_der(&pem.der).map_err(|_| KeyError::Unusable),
        _ => Err(KeyError::NotPrivatePem),
    }
}

fn rsa_public_key(key: &str) -> Result<RsaPublicKey, KeyError> {
    let pem = Pem::parse(key).ok_or(KeyError::NotPublicPem)?;
    match pem.label {
        "RSA PUBLIC KEY" => RsaPublicKey::from_pkcs1_der(&pem.der).map_err(|_| KeyError::Unusable),
        "PUBLIC KEY" => RsaPublicKey::from_public_key_der(&pem.der).map_err(|_| KeyError::Unusable),
        _ => Err(KeyError::NotPublicPem),
    }
}

/// Signing and verifying on one curve.
macro_rules! ecdsa {
    ($sign:ident, $verify:ident, $curve:ident) => {
        fn $sign(key: &str, message: &[u8]) -> Result<Vec<u8>, KeyError> {
            let pem = Pem::parse(key).ok_or(KeyError::NotPrivatePem)?;
            let secret = match pem.label {
                "PRIVATE KEY" => $curve::SecretKey::from_pkcs8_der(&pem.der).map_err(|_| KeyError::Unusable)?,
                "EC PRIVATE KEY" => $curve::SecretKey::from_sec1_der(&pem.der).map_err(|_| KeyError::Unusable)?,
                _ => return Err(KeyError::NotPrivatePem),
            };
            let signature: $curve::ecdsa::Signature =
                $curve::ecdsa::SigningKey::from(secret).try_sign(message).map_err(|_| KeyError::Signing)?;
            Ok(signature.to_bytes().to_vec())
        }

        fn $verify(key: &str, message: &[u8], signature: &[u8]) -> Result<bool, KeyError> {
            let pem = Pem::parse(key).filter(|pem| pem.label == "PUBLIC KEY").ok_or(KeyError::NotPublicPem)?;
            let key = $curve::ecdsa::VerifyingKey::from_public_key_der(&pem.der).map_err(|_| KeyError::Unusable)?;
            let Ok(signature) = $curve::ecdsa::Signature::from_slice(signature) else { return Ok(false) };
            Ok(key.verify(message, &signature).is_ok())
        }
    };
}
ecdsa!(sign_p256, verify_p256, p256);
ecdsa!(sign_p384, verify_p384, p384);
ecdsa!(sign_p521, verify_p521, p521);

/// Runs the work of a key that user code wrote. A panic in a crate over a hostile key must not end the process.
fn with_foreign_key<R>(work: impl FnOnce() -> Result<R, KeyError>) -> Result<R, KeyError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(Err(KeyError::Unusable))
}

fn sign(method: Method, key: &str, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    match method {
        Method::Hmac(hash) => Ok(hash.hmac(key.as_bytes(), message)),
        Method::RsaPkcs1v15(hash) => {
            let key = rsa_private_key(key)?;
            let digest = hash.digest(message);
            match hash {
                Hash::Sha384 => key.sign(Pkcs1v15Sign::new::<Sha384>(), &digest),
                Hash::Sha512 => key.sign(Pkcs1v15Sign::new::<Sha512>(), &digest),
                _ => key.sign(Pkcs1v15Sign::new::<Sha256>(), &digest),
            }
            .map_err(|_| KeyError::Signing)
        }
        Method::RsaPss(hash) => {
            let key = rsa_private_key(key)?;
            let digest = hash.digest(message);
            match hash {
                Hash::Sha384 => key.sign(Pss::<Sha384>::new(), &digest),
                Hash::Sha512 => key.sign(Pss::<Sha512>::new(), &digest),
                _ => key.sign(Pss::<Sha256>::new(), &digest),
            }
            .map_err(|_| KeyError::Signing)
        }
        Method::Ecdsa(Hash::Sha384) => sign_p384(key, message),
        Method::Ecdsa(Hash::Sha512) => sign_p521(key, message),
        Method::Ecdsa(_) => sign_p256(key, message),
    }
}

fn verify(method: Method, key: &str, message: &[u8], signature: &[u8]) -> Result<bool, KeyError> {
    match method {
        Method::Hmac(hash) => {
            if is_public_key(key) {
                return Err(KeyError::PublicKeyAsSecret);
            }
            Ok(subtle::ConstantTimeEq::ct_eq(&*hash.hmac(key.as_bytes(), message), signature).into())
        }
        Method::RsaPkcs1v15(hash) => {
            let key = rsa_public_key(key)?;
            let digest = hash.digest(message);
            Ok(match hash {
                Hash::Sha384 => key.verify(Pkcs1v15Sign::new::<Sha384>(), &digest, signature),
                Hash::Sha512 => key.verify(Pkcs1v15Sign::new::<Sha512>(), &digest, signature),
                _ => key.verify(Pkcs1v15Sign::new::<Sha256>(), &digest, signature),
            }
            .is_ok())
        }
        Method::RsaPss(hash) => {
            let key = rsa_public_key(key)?;
            let digest = hash.digest(message);
            Ok(match hash {
                Hash::Sha384 => key.verify(pss_of_any_salt::<Sha384>(), &digest, signature),
                Hash::Sha512 => key.verify(pss_of_any_salt::<Sha512>(), &digest, signature),
                _ => key.verify(pss_of_any_salt::<Sha256>(), &digest, signature),
            }
            .is_ok())
        }
        Method::Ecdsa(Hash::Sha384) => verify_p384(key, message, signature),
        Method::Ecdsa(Hash::Sha512) => verify_p521(key, message, signature),
        Method::Ecdsa(_) => verify_p256(key, message, signature),
    }
}

fn pss_of_any_salt<D: Digest>() -> Pss<D> {
    Pss { salt_len: None, ..Pss::new() }
}

fn method_argument(scope: &mut v8::PinScope, arguments: &v8::FunctionCallbackArguments, index: i32) -> Option<Method> {
    let name = string_argument(scope, arguments, index)?;
    let method = Method::named(&name);
    if method.is_none() {
        throw_error(scope, &format!("unknown signing method: {name}"));
    }
    method
}

/// `signMessage(method, key, message)`: the signature, or a string that says why the key cannot sign. `method` is a
/// JSON Web Algorithms name, `key` the secret of HS and a private key PEM otherwise.
fn sign_message<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(method) = method_argument(scope, &arguments, 0) else { return };
    let Some(key) = string_argument(scope, &arguments, 1) else { return };
    let Some(view) = view_argument(scope, &arguments, 2) else { return };
    let mut storage = [0; v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP];
    let message = view_bytes(&view, &mut storage);
    match with_foreign_key(|| sign(method, &key, message)) {
        Ok(signature) => return_bytes(scope, &mut result, &signature),
        Err(error) => return_string(scope, &mut result, &error.to_string()),
    }
}

/// `verifyMessage(method, key, message, signature)`: whether the signature is right, or a string that says why the key
/// cannot tell. `key` is the secret of HS and a public key PEM otherwise.
fn verify_message<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(method) = method_argument(scope, &arguments, 0) else { return };
    let Some(key) = string_argument(scope, &arguments, 1) else { return };
    let Some(view) = view_argument(scope, &arguments, 2) else { return };
    let Some(signature) = bytes_argument(scope, &arguments, 3) else { return };
    let mut storage = [0; v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP];
    let message = view_bytes(&view, &mut storage);
    match with_foreign_key(|| verify(method, &key, message, &signature)) {
        Ok(valid) => result.set_bool(valid),
        Err(error) => result.set(text(scope, &error.to_string()).into()),
    }
}
