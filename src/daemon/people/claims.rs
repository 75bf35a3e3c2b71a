//! Claims: a principal takes an identity. By the bootstrap token on one machine, by a link in a browser elsewhere.

use std::sync::{Arc, PoisonError};

use super::{
    Known, People, claim_key, did_key, email_key, identity_key, principal_key, to_json, token_hash, unclaimed_key,
};
use crate::error::{AuthsomeError, Result};
use crate::limits::CLAIM_TOKEN_SECONDS;
use crate::model::{Claim, ClaimStatus, Grants, Principal, Role};
use crate::paths::hex;
use crate::secret::random_bytes;
use crate::vault::{ExpectedVersion, VaultWrite};

/// The email of the person who owns a local daemon.
pub(super) const LOCAL_OWNER: &str = "owner@localhost";

/// The link that asks a person to claim an identity.
pub(in crate::daemon) fn claim_url(base_url: &str, token: &str) -> String {
    format!("{base_url}/claim?token={token}")
}

impl People {
    /// A fresh claim token for the key `did`: 300 s, good once. Not for a handle, which may be another key's by then.
    pub(in crate::daemon) fn new_claim_token(&self, did: &str) -> Result<String> {
        let token = format!("claim_{}", url_safe(&random_bytes::<24>()));
        let write = VaultWrite {
            key: &claim_token_key(&token),
            value: Some(did.as_bytes()),
            expected: ExpectedVersion::Anything,
            expires_at: Some(self.clock.now().plus_seconds(CLAIM_TOKEN_SECONDS)),
        };
        self.vault.apply(&[write])?;
        Ok(token)
    }

    /// The identity that a claim token names; `None` when it is unknown, used or over.
    pub(in crate::daemon) fn claimant(&self, token: &str) -> Result<Option<Arc<Known>>> {
        let Some(did) = self.vault.get(&claim_token_key(token))? else { return Ok(None) };
        let did = String::from_utf8_lossy(&did);
        let Some(handle) = self.handle_of(&did)? else { return Ok(None) };
        Ok(self.known(&handle)?.filter(|known| known.record.did == did))
    }

    /// Uses `token` up and gives its identity to `principal`. `None` when the token is not good (any more).
    ///
    /// # Errors
    /// `OperationNotAllowed` when another principal has claimed the identity.
    pub(in crate::daemon) fn claim_by_token(
        &self,
        token: &str,
        principal: &Principal,
        grants: Grants,
    ) -> Result<Option<Arc<Known>>> {
        let Some(known) = self.claimant(token)? else { return Ok(None) };
        // Of two browsers with one link, one wins: only one delete finds it.
        if !self.vault.delete(&claim_token_key(token))? {
            return Ok(None);
        }
        self.claim(&known, principal, grants).map(Some)
    }

    /// Binds `known` to `principal`. Claimed by the same principal before: nothing changes.
    ///
    /// # Errors
    /// `OperationNotAllowed` when another principal has claimed it, `IdentityNotFound` when its registration is over.
    pub(in crate::daemon) fn claim(&self, known: &Known, principal: &Principal, grants: Grants) -> Result<Arc<Known>> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = &known.record.handle;
        let current = self.known(handle)?.filter(|current| current.record.did == known.record.did);
        let current = current.ok_or_else(|| not_there(known))?;
        match &current.claim {
            Some(claim) if claim.principal_id == principal.principal_id => return Ok(current),
            Some(_) => {
                return Err(AuthsomeError::OperationNotAllowed {
                    operation: "claim",
                    reason: "this identity belongs to somebody else".to_owned(),
                    hint: None,
                });
            }
            None => {}
        }
        let claim = Claim {
            handle: handle.clone(),
            principal_id: principal.principal_id.clone(),
            status: ClaimStatus::Claimed,
            claimed_at: self.clock.now(),
            grants,
        };
        let (record, claim_value) = (to_json(&known.record), to_json(&claim));
        // Written again without an end: from now on the registration stays.
        self.write(&[
            VaultWrite::put(&identity_key(handle), &record),
            VaultWrite::put(&did_key(&known.record.did), handle.as_bytes()),
            VaultWrite::put(&claim_key(handle), &claim_value),
            VaultWrite::delete(&unclaimed_key(handle)),
        ])?;
        let (record, principal) = (known.record.clone(), Some(principal.clone()));
        Ok(Arc::new(Known { record, claim: Some(claim), principal }))
    }

    /// Changes what a claimed identity may do, from what it may do now to what `decide` says. Returns that.
    ///
    /// # Errors
    /// What `decide` says; `IdentityNotFound` when the identity is not what `known` was any more.
    pub(in crate::daemon) fn change_grants<E: From<AuthsomeError>>(
        &self,
        known: &Known,
        decide: impl FnOnce(Grants) -> Result<Grants, E>,
    ) -> Result<Grants, E> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.still(known)?;
        let claim = current.as_ref().and_then(|current| current.claim.as_ref()).ok_or_else(|| not_there(known))?;
        let grants = decide(claim.grants)?;
        let value = to_json(&Claim { grants, ..claim.clone() });
        self.write(&[VaultWrite::put(&claim_key(&known.record.handle), &value)])?;
        Ok(grants)
    }

    /// The owner of a local daemon, made at the first claim by bootstrap token.
    pub(in crate::daemon) fn local_owner(&self) -> Result<Principal> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = self.by_email(LOCAL_OWNER)? {
            return Ok(owner);
        }
        // Whoever can read the token can read the vault: an administrator by the facts.
        let owner = self.new_principal(LOCAL_OWNER, Role::Admin, None);
        self.store_principal(&owner, ExpectedVersion::Absent)?;
        Ok(owner)
    }

    /// The principal with this (canonical) email.
    pub(super) fn by_email(&self, email: &str) -> Result<Option<Principal>> {
        match self.vault.get(&email_key(email))? {
            Some(principal_id) => self.principal(&String::from_utf8_lossy(&principal_id)),
            None => Ok(None),
        }
    }

    pub(super) fn new_principal(&self, email: &str, role: Role, password_hash: Option<String>) -> Principal {
        Principal {
            principal_id: format!("principal_{}", hex(&random_bytes::<16>())),
            vault_id: format!("vault_{}", hex(&random_bytes::<16>())),
            email: email.to_owned(),
            role,
            password_hash,
            created_at: self.clock.now(),
        }
    }

    /// Writes a principal; `email`: whether its email may be taken already.
    pub(super) fn store_principal(&self, principal: &Principal, email: ExpectedVersion<'_>) -> Result<bool> {
        let value = to_json(principal);
        let by_email = email_key(&principal.email);
        self.vault.apply(&[
            VaultWrite::put(&principal_key(&principal.principal_id), &value),
            VaultWrite { expected: email, ..VaultWrite::put(&by_email, principal.principal_id.as_bytes()) },
        ])
    }
}

fn not_there(known: &Known) -> AuthsomeError {
    AuthsomeError::IdentityNotFound { handle: known.record.handle.clone() }
}

fn claim_token_key(token: &str) -> String {
    format!("claim_token:{}", token_hash(token))
}

/// Base64url without padding.
pub(super) fn url_safe(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
