//! Claims: a principal takes an identity. By the bootstrap token on one machine, by a link in a browser elsewhere.

use std::sync::{Arc, PoisonError};

use super::accounts::canonical_email;
use super::{
    Known, People, claim_key, did_key, email_key, identity_key, principal_key, to_json, token_hash, unclaimed_key,
};
use crate::broker::Actor;
use crate::error::{AuthsomeError, Result};
use crate::limits::{CLAIM_TOKEN_REUSE_SECONDS, CLAIM_TOKEN_SECONDS};
use crate::model::{AuditEvent, Claim, ClaimStatus, Grants, Principal, Role};
use crate::paths::hex;
use crate::secret::{Secret, random_bytes};
use crate::vault::{ExpectedVersion, VaultWrite};

/// The email of the person who owns a local daemon.
pub(super) const LOCAL_OWNER: &str = "owner@localhost";

/// Whether `email` is that of the owner of a local daemon.
pub(in crate::daemon) fn is_local_owner(email: &str) -> bool {
    canonical_email(email).as_deref() == Some(LOCAL_OWNER)
}

/// The link that asks a person to claim an identity.
pub(in crate::daemon) fn claim_url(base_url: &str, token: &str) -> String {
    format!("{base_url}/claim?token={token}")
}

impl People {
    /// A claim token for the key `did`: 300 s from when it was made, which is a moment ago at most, and good once. Not for
    /// a handle, which may be another key's by then.
    pub(in crate::daemon) fn new_claim_token(&self, did: &str) -> Result<String> {
        let now = self.clock.now().unix();
        let mut tokens = self.claim_tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, (made, _)| (0..CLAIM_TOKEN_REUSE_SECONDS).contains(&(now - *made)));
        if let Some((_, token)) = tokens.get(did)
            && self.claimant(token.expose())?.is_some()
        {
            return Ok(token.expose().to_owned());
        }
        let token = format!("claim_{}", url_safe(&random_bytes::<24>()));
        let write = VaultWrite {
            key: &claim_token_key(&token),
            value: Some(did.as_bytes()),
            expected: ExpectedVersion::Anything,
            expires_at: Some(self.clock.now().plus_seconds(CLAIM_TOKEN_SECONDS)),
        };
        self.vault.apply(&[write])?;
        tokens.insert(did.to_owned(), (now, Secret::new(token.clone())));
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
            Some(_) => return Err(not_yours()),
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
        let claimed = Known { record: known.record.clone(), claim: Some(claim), principal: Some(principal.clone()) };
        let noted = AuditEvent::success("identity.claimed").with("handle", handle.as_str());
        let (identity, did, claim, unclaimed) =
            (identity_key(handle), did_key(&known.record.did), claim_key(handle), unclaimed_key(handle));
        // Written again without an end: from now on the registration stays.
        let writes = [
            VaultWrite::put(&identity, &record),
            VaultWrite::put(&did, handle.as_bytes()),
            VaultWrite { expected: ExpectedVersion::Absent, ..VaultWrite::put(&claim, &claim_value) },
            VaultWrite::delete(&unclaimed),
        ];
        if self.write(claimed.actor().as_ref(), noted.with("export", grants.export), &writes)? {
            return Ok(Arc::new(claimed));
        }
        Err(not_yours())
    }

    /// Changes what a claimed identity may do, from what it may do now to what `decide` says. Returns that.
    ///
    /// # Errors
    /// What `decide` says; `IdentityNotFound` when the identity is not what `known` was any more.
    pub(in crate::daemon) fn change_grants<E: From<AuthsomeError>>(
        &self,
        known: &Known,
        by: &Actor,
        decide: impl FnOnce(Grants) -> Result<Grants, E>,
    ) -> Result<Grants, E> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.still(known)?;
        let claim = current.as_ref().and_then(|current| current.claim.as_ref()).ok_or_else(|| not_there(known))?;
        let grants = decide(claim.grants)?;
        if grants == claim.grants {
            return Ok(grants);
        }
        let (handle, value) = (known.record.handle.as_str(), to_json(&Claim { grants, ..claim.clone() }));
        let noted = AuditEvent::success("identity.grants_changed").with("handle", handle);
        let noted = noted.with("use", grants.r#use).with("export", grants.export);
        self.write(Some(by), noted, &[VaultWrite::put(&claim_key(handle), &value)])?;
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
        self.add_principal(&owner, &[])?;
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

    /// Writes a new principal together with `others`, unless its email is taken or what they expect is not there.
    pub(super) fn add_principal(&self, principal: &Principal, others: &[VaultWrite<'_>]) -> Result<bool> {
        let (key, value) = (principal_key(&principal.principal_id), to_json(principal));
        let by_email = email_key(&principal.email);
        let id = VaultWrite::put(&by_email, principal.principal_id.as_bytes());
        let own = [VaultWrite::put(&key, &value), VaultWrite { expected: ExpectedVersion::Absent, ..id }];
        let noted = AuditEvent::success("account.registered");
        self.write(Some(&Actor::person(principal)), noted, &[&own, others].concat())
    }
}

fn not_yours() -> AuthsomeError {
    AuthsomeError::OperationNotAllowed {
        operation: "claim",
        reason: "this identity belongs to somebody else".to_owned(),
        hint: Some("make another one: authsome agent create"),
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
