//! [`SigningKey`]: the private half of an identity.

use std::borrow::Cow;
use std::fmt;

use ed25519_compact::{KeyPair, PublicKey, SecretKey, Seed};
use jwt_compact::alg::Ed25519;
use jwt_compact::{AlgorithmExt as _, Claims, Header};
use serde::Serialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{did, target};
use crate::clock::Timestamp;
use crate::error::{AuthsomeError, Result};
use crate::limits::POP_LIFETIME_SECONDS;
use crate::paths::hex;
use crate::secret::{Secret, random_bytes};

/// The `aud` of every proof.
pub(super) const AUDIENCE: &str = "authsome-daemon";

/// The public key of the all-zero seed. `ed25519-compact` will not derive it, but `authsome` 0.7.2 does, and the
/// vectors hold its DID: a home with such a key (a test's, one hopes) must keep its name.
const ZERO_SEED_PUBLIC_KEY: [u8; 32] = [
    0x3b, 0x6a, 0x27, 0xbc, 0xce, 0xb6, 0xa4, 0x2d, 0x62, 0xa3, 0xa8, 0xd0, 0x2a, 0x6f, 0x0d, 0x73, 0x65, 0x32, 0x15,
    0x77, 0x1d, 0xe2, 0x43, 0xa6, 0x3a, 0xc0, 0x48, 0xa1, 0x8b, 0x59, 0xda, 0x29,
];

/// An Ed25519 key (RFC 8032). Wiped on drop; `Debug` shows nothing.
pub struct SigningKey(SecretKey);

impl SigningKey {
    /// A new key from the operating system's random source.
    pub fn generate() -> Self {
        Self::from_seed(&Zeroizing::new(random_bytes()))
    }

    /// Reads 64 hexadecimal characters, as `client/identities/<handle>.key` and `AUTHSOME_IDENTITY_PRIVATE_KEY` hold
    /// them. White space around them is ignored.
    ///
    /// # Errors
    /// [`AuthsomeError::InvalidInput`] when the text is anything else. It never quotes the text.
    ///
    /// ```
    /// use authsome::identity::SigningKey;
    /// use authsome::secret::Secret;
    ///
    /// let key = SigningKey::generate();
    /// let again = SigningKey::from_hex(&key.to_hex())?;
    /// assert_eq!(key.did(), again.did());
    /// assert!(SigningKey::from_hex(&Secret::new("not a key".to_owned())).is_err());
    /// # Ok::<(), authsome::AuthsomeError>(())
    /// ```
    pub fn from_hex(text: &Secret) -> Result<Self> {
        decode_seed(text.expose().trim_ascii().as_bytes()).map(|seed| Self::from_seed(&seed)).ok_or_else(|| {
            AuthsomeError::InvalidInput {
                what: "identity key",
                reason: "expected 64 hexadecimal characters (an Ed25519 seed)".to_owned(),
            }
        })
    }

    /// The seed as 64 lower-case hexadecimal characters.
    pub fn to_hex(&self) -> Secret {
        Secret::new(hex(&self.0[..Seed::BYTES]))
    }

    /// The `did:key` of the public half.
    pub fn did(&self) -> String {
        did::encode(&self.0.public_key())
    }

    /// A proof for one request: the JWT that goes after `Authorization: PoP `.
    ///
    /// `path_query` and `body` must be exactly what is sent. The proof lives for 60 seconds and is good for one use.
    pub fn sign_request(&self, handle: &str, method: &str, path_query: &str, body: &[u8], now: Timestamp) -> String {
        let claims = Claims::new(ProofClaims {
            iss: self.did(),
            sub: handle,
            aud: AUDIENCE,
            iat: now.unix(),
            exp: now.unix() + POP_LIFETIME_SECONDS,
            jti: random_uuid(),
            htm: method.to_ascii_uppercase(),
            htu: target::to_sign(path_query),
            body_sha256: hex(&Sha256::digest(body)),
        });
        let header = Header::empty().with_token_type("JWT");
        Ed25519.token(&header, &claims, &self.0).expect("strings and integers are always JSON")
    }

    fn from_seed(seed: &[u8; Seed::BYTES]) -> Self {
        Self(KeyPair::try_from_seed(Seed::new(*seed)).map_or_else(|_| zero_seed_key(), |pair| pair.sk))
    }

    #[cfg(test)]
    pub(super) fn secret_key(&self) -> &SecretKey {
        &self.0
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(••••)")
    }
}

/// The claims of `contract/identity.md`, in its order.
#[derive(Serialize)]
struct ProofClaims<'a> {
    iss: String,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
    htm: String,
    htu: Cow<'a, str>,
    body_sha256: String,
}

/// All that `try_from_seed` refuses.
fn zero_seed_key() -> SecretKey {
    let mut bytes = [0; SecretKey::BYTES];
    bytes[SecretKey::BYTES - PublicKey::BYTES..].copy_from_slice(&ZERO_SEED_PUBLIC_KEY);
    SecretKey::new(bytes)
}

fn decode_seed(digits: &[u8]) -> Option<Zeroizing<[u8; Seed::BYTES]>> {
    let mut seed = Zeroizing::new([0; Seed::BYTES]);
    if digits.len() != 2 * seed.len() {
        return None;
    }
    for (byte, pair) in seed.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? * 16 + low?).expect("two hexadecimal digits are one byte");
    }
    Some(seed)
}

/// A version 4 UUID (RFC 9562 section 5.4).
fn random_uuid() -> String {
    let mut bytes: [u8; 16] = random_bytes();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let digits = hex(&bytes);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_hexadecimal_characters_are_a_key() {
        let upper = format!("  {}\n", "9D61B19DEFFD5A60BA844AF492EC2CC44449C5697B326919703BAC031CAE7F60");
        let key = SigningKey::from_hex(&Secret::new(upper)).expect("valid");
        assert_eq!(key.did(), "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw");
        assert!(key.to_hex().expose().starts_with("9d61b1"));
        for text in ["", "9d61", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32), &"+1".repeat(32)]
        {
            let error = SigningKey::from_hex(&Secret::new((*text).to_owned())).expect_err(text);
            assert_eq!(error.to_string(), "Invalid identity key: expected 64 hexadecimal characters (an Ed25519 seed)");
        }
    }

    #[test]
    fn nothing_of_a_key_is_shown() {
        let key = SigningKey::generate();
        assert_eq!(format!("{key:?}"), "SigningKey(••••)");
    }

    #[test]
    fn uuids_have_their_version_and_differ() {
        let (one, two) = (random_uuid(), random_uuid());
        assert_ne!(one, two);
        assert_eq!(one.len(), 36);
        assert_eq!(&one[14..15], "4");
        assert!("89ab".contains(&one[19..20]), "{one}");
    }
}
