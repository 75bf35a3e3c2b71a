//! Registration: a handle and a DID, first come, first served. Strangers may register, so it is bounded and ends.

use std::sync::{Arc, PoisonError};

use super::{Known, People, UNCLAIMED, claim_key, did_key, identity_key, to_json, unclaimed_key};
use crate::error::{AuthsomeError, Result};
use crate::limits::{UNCLAIMED_REGISTRATIONS, UNCLAIMED_SECONDS};
use crate::model::{ClaimStatus, IdentityRecord};
use crate::vault::{ExpectedVersion, VaultWrite};

impl People {
    /// Registers a valid pair. Returns the identity and whether it is new; the same pair again changes nothing.
    ///
    /// # Errors
    /// `IdentityRegistration` when the handle or the DID is taken, or too many registrations wait for a claim.
    pub(in crate::daemon) fn register(&self, handle: &str, did: &str) -> Result<(Arc<Known>, bool)> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.known(handle)? {
            if known.record.did == did {
                return Ok((known, false));
            }
            return refuse(format!("Handle '{handle}' is already registered"));
        }
        if self.handle_of(did)?.is_some() {
            return refuse("This DID is already registered under another handle".to_owned());
        }
        if self.vault.list(UNCLAIMED)?.len() >= UNCLAIMED_REGISTRATIONS {
            return refuse("Too many registrations wait for a claim; try again in an hour".to_owned());
        }
        let now = self.clock.now();
        let record =
            IdentityRecord { handle: handle.to_owned(), did: did.to_owned(), created_at: now, updated_at: now };
        let ends = Some(now.plus_seconds(UNCLAIMED_SECONDS));
        let (identity, by_did, unclaimed) = (identity_key(handle), did_key(did), unclaimed_key(handle));
        let value = to_json(&record);
        let write =
            |key, value| VaultWrite { key, value: Some(value), expected: ExpectedVersion::Absent, expires_at: ends };
        let written = self.vault.apply(&[
            write(&identity, &value),
            write(&by_did, handle.as_bytes()),
            VaultWrite { expected: ExpectedVersion::Anything, ..write(&unclaimed, b"") },
            VaultWrite::delete(&claim_key(handle)), // whoever had this handle before, the newcomer is a stranger
        ])?;
        if !written {
            return refuse(format!("Handle '{handle}' is already registered"));
        }
        Ok((Arc::new(Known { record, claim: None, principal: None }), true))
    }

    /// The handle under which `did` is registered.
    pub(in crate::daemon) fn handle_of(&self, did: &str) -> Result<Option<String>> {
        Ok(self.vault.get(&did_key(did))?.map(|handle| String::from_utf8_lossy(&handle).into_owned()))
    }

    /// Forgets an identity: its key can register anew, as a stranger. Nothing happens when it is not what `known` was
    /// any more.
    pub(in crate::daemon) fn forget(&self, known: &Known) -> Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.still(known)?.is_none() {
            return Ok(());
        }
        let handle = &known.record.handle;
        let keys = [identity_key(handle), did_key(&known.record.did), claim_key(handle), unclaimed_key(handle)];
        let writes: Vec<_> = keys.iter().map(|key| VaultWrite::delete(key)).collect();
        self.write(&writes).map(drop)
    }

    /// The wire's `status` of a listed identity.
    pub(in crate::daemon) fn status_name(known: &Known) -> &'static str {
        match known.status() {
            ClaimStatus::Claimed => "claimed",
            other => other.as_str(),
        }
    }
}

fn refuse<T>(reason: String) -> Result<T> {
    Err(AuthsomeError::IdentityRegistration { reason })
}
