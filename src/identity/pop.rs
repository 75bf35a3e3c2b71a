//! Verification of proofs of possession, in the order of `contract/identity.md`.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use ed25519_compact::Signature;
use jwt_compact::alg::Ed25519;
use jwt_compact::{Algorithm as _, UntrustedToken};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::claims::UntrustedClaims;
use super::did;
use super::replay::{NotRemembered, ReplayMemory};
use crate::clock::Timestamp;
use crate::limits::{POP_REPLAY_ENTRIES, POP_TOKEN_BYTES};

/// A request as it arrived, for [`Verifier::check`].
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The value of every `Authorization` field, without white space around it.
    pub authorization: &'a [&'a [u8]],
    /// The method as sent.
    pub method: &'a str,
    /// The request target as sent, in origin form: path and query.
    pub path_query: &'a str,
    /// The body, without its framing.
    pub body: &'a [u8],
}

/// What a valid proof says. The signature is that of `did`; whether that is the DID of `handle` is for the caller to
/// look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// `sub`: who it claims to come from. Not empty, otherwise any text of at most a few thousand bytes.
    pub handle: String,
    /// `iss`: whose key signed it.
    pub did: String,
    /// Names this proof.
    pub jti: String,
    /// The second of its end, since 1970.
    pub exp: i64,
}

/// Judges proofs, and knows those that were used since it was made.
pub struct Verifier {
    started: i64,
    used: Mutex<ReplayMemory>,
}

impl Verifier {
    /// A verifier that has seen nothing. Because another one may have seen what was signed before `started`, it
    /// refuses that.
    pub fn new(started: Timestamp) -> Self {
        Self { started: started.unix(), used: Mutex::new(ReplayMemory::new(POP_REPLAY_ENTRIES)) }
    }

    /// Checks signature and claims. Does not use the proof up: call [`Verifier::remember`] when everything else that
    /// the request needs has passed.
    ///
    /// # Errors
    /// The first rule of `contract/identity.md` that does not hold.
    pub fn check(&self, request: &SignedRequest<'_>, now: Timestamp) -> Result<Proof, PopError> {
        let token = Token::parse(proof_text(request.authorization)?)?;
        let did = token.verify_signature()?;
        let claims = &token.claims;
        claims.check_audience()?;
        let (exp, signed_at) = claims.check_times(now)?;
        claims.check_request(request)?;
        let (handle, jti) = (claims.text("sub")?, claims.jti()?);
        if signed_at < self.started {
            return Err(PopError::BeforeStart);
        }
        Ok(Proof { handle: handle.to_owned(), did: did.to_owned(), jti: jti.to_owned(), exp })
    }

    /// Uses `proof` up, on account of `holder`. Of several callers with the same proof, one succeeds.
    ///
    /// # Errors
    /// [`PopError::Replayed`] when it was used before, [`PopError::Full`] when no more of this holder can be remembered,
    /// and an expired `exp` when the proof ended since it was checked.
    pub fn remember(&self, proof: &Proof, holder: &str, now: Timestamp) -> Result<(), PopError> {
        if proof.exp <= now.unix() {
            return Err(PopError::Claim { claim: "exp", fault: ClaimFault::Past });
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(&proof.jti, holder, proof.exp, now.unix()).map_err(|reason| match reason {
            NotRemembered::Replayed => PopError::Replayed,
            NotRemembered::Full => PopError::Full,
        })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("started", &self.started).finish_non_exhaustive()
    }
}

/// Why a proof was refused. `Display` is the `detail` of the 401 answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PopError {
    /// There is no `Authorization` field.
    MissingHeader,
    /// There are several, or it is of another scheme.
    NotPop,
    /// It is no JWT: three parts, base64url, JSON objects, no name twice, at most 8 KiB, no critical extension.
    Malformed,
    /// `alg` is not exactly `EdDSA`.
    Algorithm,
    /// The signature is not that of `iss`, not canonical, or the key is weak.
    Signature,
    /// A claim does not hold.
    Claim {
        /// Its name.
        claim: &'static str,
        /// What is wrong with it.
        fault: ClaimFault,
    },
    /// It was signed before this daemon started: the daemon before may have seen it. To sign anew helps.
    BeforeStart,
    /// It was used before.
    Replayed,
    /// The memory of used proofs is full. To wait helps.
    Full,
}

/// What is wrong with a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimFault {
    /// It is not there.
    Missing,
    /// It is of another type, empty, or too long.
    Malformed,
    /// It speaks of something else.
    Mismatch,
    /// It names a time that is over.
    Past,
    /// It names a time that is too far in the future.
    TooFarAhead,
}

impl fmt::Display for PopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingHeader => "Missing PoP authorization header",
            Self::NotPop => "Expected Authorization: PoP <jwt>",
            Self::Malformed => "Malformed proof JWT",
            Self::Algorithm => "Proof JWT header alg must be EdDSA",
            Self::Signature => "Proof JWT signature does not match its iss claim",
            Self::Claim { claim, fault } => return write!(f, "Proof JWT claim {claim} {fault}"),
            Self::BeforeStart => "Proof JWT was signed before the daemon started",
            Self::Replayed => "Proof JWT was already used",
            Self::Full => "Too many requests are in flight, try again later",
        })
    }
}

impl std::error::Error for PopError {}

impl fmt::Display for ClaimFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is missing",
            Self::Malformed => "is malformed",
            Self::Mismatch => "does not match",
            Self::Past => "is in the past",
            Self::TooFarAhead => "is too far in the future",
        })
    }
}

/// A JWT in parts, believed in nothing.
struct Token<'a> {
    framed: UntrustedToken<'a, Extensions>,
    signed: &'a [u8],
    claims: UntrustedClaims,
}

/// Header fields that a verifier must not ignore (RFC 7515 section 4.1.11).
#[derive(Clone, Default, Deserialize)]
struct Extensions {
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl<'a> Token<'a> {
    fn parse(text: &'a str) -> Result<Self, PopError> {
        if text.len() > POP_TOKEN_BYTES {
            return Err(PopError::Malformed);
        }
        let framed = UntrustedToken::<Extensions>::try_from(text).map_err(|_| PopError::Malformed)?;
        let (signed, _) = text.rsplit_once('.').ok_or(PopError::Malformed)?;
        let (_, claims) = signed.split_once('.').ok_or(PopError::Malformed)?;
        let claims = UntrustedClaims::parse(claims).ok_or(PopError::Malformed)?;
        if framed.header().other_fields.crit {
            return Err(PopError::Malformed);
        }
        Ok(Self { framed, signed: signed.as_bytes(), claims })
    }

    /// The DID that signed this, once its signature is proven. `ed25519-compact` refuses an S that is not reduced, and
    /// keys and R that are not canonical or of small order.
    fn verify_signature(&self) -> Result<&str, PopError> {
        if self.framed.algorithm() != Ed25519.name() {
            return Err(PopError::Algorithm);
        }
        let iss = self.claims.text("iss")?;
        let key = did::decode(iss).ok_or(PopError::Claim { claim: "iss", fault: ClaimFault::Malformed })?;
        let signature = Signature::from_slice(self.framed.signature_bytes()).map_err(|_| PopError::Signature)?;
        if !Ed25519.verify_signature(&signature, &key, self.signed) {
            return Err(PopError::Signature);
        }
        Ok(iss)
    }
}

/// The JWT in the one `Authorization` field. The scheme is case-sensitive, as in 0.7.2.
fn proof_text<'a>(authorization: &[&'a [u8]]) -> Result<&'a str, PopError> {
    let [value] = authorization else {
        return Err(if authorization.is_empty() { PopError::MissingHeader } else { PopError::NotPop });
    };
    let token = value.strip_prefix(b"PoP ").filter(|token| !token.is_empty()).ok_or(PopError::NotPop)?;
    std::str::from_utf8(token).map_err(|_| PopError::Malformed)
}
