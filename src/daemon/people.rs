//! Identities, principals, and what binds them: registration, claims, passwords, browser sessions. Everything is
//! sealed in the vault; what every request needs is also kept in memory.

mod accounts;
mod claims;
mod passwords;
mod registry;
mod sessions;
mod signin;
mod throttle;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

pub(super) use accounts::{AccountError, NewAccount};
pub(super) use claims::{claim_url, is_local_owner};
#[cfg(test)]
pub(super) use passwords::VERIFIED;
pub(super) use sessions::UI_COOKIE;

use self::throttle::Throttle;
use crate::broker::{Actor, AuditLog};
use crate::clock::Clock;
use crate::error::{AuthsomeError, Result};
use crate::model::{AuditEvent, AuditSource, Claim, ClaimStatus, IdentityRecord, Principal};
use crate::paths::hex;
use crate::secret::Secret;
use crate::vault::{Vault, VaultWrite};

/// Identities remembered at once; beyond it the memory starts afresh.
const CACHED: usize = 10_000;

/// The people and identities of one daemon.
pub(super) struct People {
    vault: Arc<Vault>,
    audit: AuditLog,
    clock: Clock,
    cache: RwLock<Cache>,
    /// One writer at a time: "read, decide, write" must not be interleaved.
    writing: Mutex<()>,
    /// The newest claim token of each key, and when it was made.
    claim_tokens: Mutex<HashMap<String, (i64, Secret)>>,
    throttle: Throttle,
}

/// Claimed identities by handle.
#[derive(Default)]
struct Cache {
    known: HashMap<String, Arc<Known>>,
    /// Changes of what is stored. Who began to read before one of them must not remember what they read.
    generation: u64,
}

/// An identity with its claim and its owner.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) record: IdentityRecord,
    pub(super) claim: Option<Claim>,
    pub(super) principal: Option<Principal>,
}

impl Known {
    /// Where its claim stands.
    pub(super) fn status(&self) -> ClaimStatus {
        self.claim.as_ref().map_or(ClaimStatus::ClaimRequired, |claim| claim.status)
    }

    /// Whether `principal_id` has it.
    pub(super) fn is_of(&self, principal_id: &str) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.principal_id == principal_id)
    }

    /// The identity as somebody who owns a vault, once it is claimed.
    pub(super) fn actor(&self) -> Option<Actor> {
        let (claim, principal) = (self.claim.as_ref()?, self.principal.as_ref()?);
        Some(Actor { identity: Some(self.record.handle.clone()), grants: claim.grants, ..Actor::person(principal) })
    }
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("People")
    }
}

impl People {
    /// The people in `vault`.
    pub(super) fn new(vault: Arc<Vault>, clock: Clock) -> Self {
        Self {
            audit: AuditLog::new(Arc::clone(&vault), clock.clone()),
            vault,
            throttle: Throttle::new(clock.clone()),
            clock,
            cache: RwLock::default(),
            writing: Mutex::default(),
            claim_tokens: Mutex::default(),
        }
    }

    /// The identity called `handle`; `None` when nobody registered it, or its registration ended unclaimed.
    pub(super) fn known(&self, handle: &str) -> Result<Option<Arc<Known>>> {
        let generation = {
            let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = cache.known.get(handle) {
                return Ok(Some(Arc::clone(known)));
            }
            cache.generation
        };
        let Some(record) = self.read::<IdentityRecord>(&identity_key(handle))? else { return Ok(None) };
        let claim = self.read::<Claim>(&claim_key(handle))?;
        let principal = match &claim {
            Some(claim) => self.principal(&claim.principal_id)?,
            None => None,
        };
        let known = Arc::new(Known { record, claim, principal });
        self.remember(generation, &known);
        Ok(Some(known))
    }

    /// Keeps what was read in `generation`. What is not claimed can end by itself, so only claimed identities are kept.
    fn remember(&self, generation: u64, known: &Arc<Known>) {
        if known.status() != ClaimStatus::Claimed || known.principal.is_none() {
            return;
        }
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        if cache.generation != generation {
            return;
        }
        if cache.known.len() >= CACHED {
            cache.known.clear();
        }
        cache.known.insert(known.record.handle.clone(), Arc::clone(known));
    }

    #[cfg(test)]
    fn generation(&self) -> u64 {
        self.cache.read().unwrap_or_else(PoisonError::into_inner).generation
    }

    /// The principal with this identifier.
    pub(super) fn principal(&self, principal_id: &str) -> Result<Option<Principal>> {
        self.read(&principal_key(principal_id))
    }

    /// Every principal, in the order of identifiers.
    pub(super) fn principals(&self) -> Result<Vec<Principal>> {
        self.vault.list(PRINCIPALS)?.iter().filter_map(|key| self.read(key).transpose()).collect()
    }

    /// Every identity that somebody claimed, in the order of handles.
    pub(super) fn identities(&self) -> Result<Vec<Arc<Known>>> {
        let claims = self.vault.list(CLAIMS)?;
        claims.iter().filter_map(|key| self.known(&key[CLAIMS.len()..]).transpose()).collect()
    }

    /// Those of `principal_id`.
    pub(super) fn identities_of(&self, principal_id: &str) -> Result<Vec<Arc<Known>>> {
        let mut found = self.identities()?;
        found.retain(|known| known.is_of(principal_id));
        Ok(found)
    }

    /// The identity as it is now, when it is still the key and the owner's that `known` was. For those who are
    /// [`People::writing`].
    fn still(&self, known: &Known) -> Result<Option<Arc<Known>>> {
        let owner = |known: &Known| known.claim.as_ref().map(|claim| claim.principal_id.clone());
        let current = self.known(&known.record.handle)?;
        Ok(current.filter(|current| current.record.did == known.record.did && owner(current) == owner(known)))
    }

    /// Writes, and what is noted of it by whom, as one step. Forgets what was remembered: also when the store failed,
    /// since it may have written all the same.
    fn write(
        &self,
        by: Option<&Actor>,
        event: impl Into<Option<AuditEvent>>,
        writes: &[VaultWrite<'_>],
    ) -> Result<bool> {
        let noted = self.audit.prepare(AuditSource::Internal, by, event.into().into_iter().collect());
        let written = self.vault.apply(&writes.iter().copied().chain(noted.writes()).collect::<Vec<_>>());
        self.forget_cached();
        written
    }

    fn forget_cached(&self) {
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        cache.generation += 1;
        cache.known.clear();
    }

    fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(bytes) = self.vault.get(key)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| unreadable())
    }
}

fn unreadable() -> AuthsomeError {
    AuthsomeError::StoreUnavailable { reason: "a stored record is not readable".to_owned() }
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a map with string keys")
}

/// What is kept of a token that somebody must show: not enough to show it.
fn token_hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

const PRINCIPALS: &str = "principal:";
const CLAIMS: &str = "claim:";
const UNCLAIMED: &str = "unclaimed:";

fn identity_key(handle: &str) -> String {
    format!("identity:{handle}")
}

fn did_key(did: &str) -> String {
    format!("did:{did}")
}

fn claim_key(handle: &str) -> String {
    format!("{CLAIMS}{handle}")
}

fn unclaimed_key(handle: &str) -> String {
    format!("{UNCLAIMED}{handle}")
}

fn principal_key(principal_id: &str) -> String {
    format!("{PRINCIPALS}{principal_id}")
}

fn email_key(email: &str) -> String {
    format!("email:{email}")
}

#[cfg(test)]
mod tests;
