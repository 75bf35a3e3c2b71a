//! The claims of a proof, read strictly: one JSON object, no name twice, and no value turned into another type.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::key::AUDIENCE;
use super::pop::{ClaimFault, PopError, SignedRequest};
use super::target;
use crate::clock::Timestamp;
use crate::limits::{POP_JTI_BYTES, POP_LIFETIME_SECONDS, POP_MAX_LIFETIME_SECONDS, POP_SKEW_SECONDS};
use crate::paths::hex;

/// Claims by name, as they came.
pub(super) struct UntrustedClaims(BTreeMap<String, Value>);

impl UntrustedClaims {
    /// Decodes the middle part of a JWT. `None` when it is not base64url of a JSON object without repeated names.
    pub(super) fn parse(encoded: &str) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// A claim that must be a non-empty string.
    pub(super) fn text(&self, name: &'static str) -> Result<&str, PopError> {
        match self.0.get(name).ok_or_else(|| fault(name, ClaimFault::Missing))? {
            Value::String(text) if !text.is_empty() => Ok(text),
            _ => Err(fault(name, ClaimFault::Malformed)),
        }
    }

    /// `aud`: the daemon's name, or a list of strings that holds it.
    pub(super) fn check_audience(&self) -> Result<(), PopError> {
        let named = match self.0.get("aud").ok_or_else(|| fault("aud", ClaimFault::Missing))? {
            Value::String(audience) => audience == AUDIENCE,
            Value::Array(list) if list.iter().all(Value::is_string) => list.iter().any(|entry| entry == AUDIENCE),
            _ => return Err(fault("aud", ClaimFault::Malformed)),
        };
        named.then_some(()).ok_or_else(|| fault("aud", ClaimFault::Mismatch))
    }

    /// `exp`, `iat` and `nbf` against the clock, without leeway for `exp`. Returns `exp`, and the second of signing:
    /// `iat`, or 60 seconds before `exp` where there is none.
    pub(super) fn check_times(&self, now: Timestamp) -> Result<(i64, i64), PopError> {
        let now = now.unix();
        let exp = self.seconds("exp")?.ok_or_else(|| fault("exp", ClaimFault::Missing))?;
        if exp <= now {
            return Err(fault("exp", ClaimFault::Past));
        }
        if exp > now + POP_MAX_LIFETIME_SECONDS {
            return Err(fault("exp", ClaimFault::TooFarAhead));
        }
        let iat = self.not_ahead("iat", now)?;
        self.not_ahead("nbf", now)?;
        Ok((exp, iat.unwrap_or(exp - POP_LIFETIME_SECONDS)))
    }

    /// `htm`, `htu` and `body_sha256` against the request.
    pub(super) fn check_request(&self, request: &SignedRequest<'_>) -> Result<(), PopError> {
        let expect = |name, holds: bool| holds.then_some(()).ok_or_else(|| fault(name, ClaimFault::Mismatch));
        expect("htm", self.text("htm")?.eq_ignore_ascii_case(request.method))?;
        expect("htu", target::matches(self.text("htu")?, request.path_query))?;
        expect("body_sha256", self.text("body_sha256")? == hex(&Sha256::digest(request.body)))
    }

    /// `jti`, which we keep for a while and which is therefore bounded.
    pub(super) fn jti(&self) -> Result<&str, PopError> {
        let jti = self.text("jti")?;
        if jti.len() > POP_JTI_BYTES {
            return Err(fault("jti", ClaimFault::Malformed));
        }
        Ok(jti)
    }

    fn not_ahead(&self, name: &'static str, now: i64) -> Result<Option<i64>, PopError> {
        match self.seconds(name)? {
            Some(seconds) if seconds > now + POP_SKEW_SECONDS => Err(fault(name, ClaimFault::TooFarAhead)),
            seconds => Ok(seconds),
        }
    }

    /// A claim that must be an integer where it is present. `null`, `1e9` and `"1"` are not.
    fn seconds(&self, name: &'static str) -> Result<Option<i64>, PopError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_i64().map(Some).ok_or_else(|| fault(name, ClaimFault::Malformed))
    }
}

fn fault(claim: &'static str, fault: ClaimFault) -> PopError {
    PopError::Claim { claim, fault }
}

impl<'de> Deserialize<'de> for UntrustedClaims {
    /// Refuses a name that stands twice: which of the two counts is a question that two readers answer differently.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Claims;
        impl<'de> Visitor<'de> for Claims {
            type Value = UntrustedClaims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of claims")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UntrustedClaims, A::Error> {
                let mut claims = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if claims.insert(name, value).is_some() {
                        return Err(A::Error::custom("a claim stands twice"));
                    }
                }
                Ok(UntrustedClaims(claims))
            }
        }
        deserializer.deserialize_map(Claims)
    }
}
