//! Registration: a handle and a DID, first come, first served. Strangers may register, so it is bounded and ends.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Known, People, UNCLAIMED, claim_key, did_key, identity_key, to_json, unclaimed_key};
use crate::broker::Actor;
use crate::error::{AuthsomeError, Result};
use crate::limits::{UNCLAIMED_REGISTRATIONS, UNCLAIMED_SECONDS};
use crate::model::{AuditEvent, IdentityRecord};
use crate::store::Range;
use crate::vault::{ExpectedVersion, VaultWrite};

/// What is kept of a registration that waits for its claim.
#[derive(Default, Serialize, Deserialize)]
struct Waiting {
    /// Microseconds since 1970.
    since: i64,
    /// The address it came from, where that says something.
    from: Option<String>,
}

impl People {
    /// Registers a valid pair that was sent from `from`. The same pair again changes nothing. When too many wait for a claim, one of
    /// them gives way; those of a flood are not noted, or strangers could fill the log.
    ///
    /// # Errors
    /// `IdentityRegistration` when the handle or the DID is taken.
    pub(in crate::daemon) fn register(&self, handle: &str, did: &str, from: Option<&str>) -> Result<Arc<Known>> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.known(handle)? {
            return if known.record.did == did { Ok(known) } else { taken(handle) };
        }
        if self.handle_of(did)?.is_some() {
            return refuse("This DID is already registered under another handle".to_owned());
        }
        let now = self.clock.now();
        let record =
            IdentityRecord { handle: handle.to_owned(), did: did.to_owned(), created_at: now, updated_at: now };
        let (value, waiting) =
            (to_json(&record), to_json(&Waiting { since: now.unix_micros(), from: from.map(str::to_owned) }));
        let (identity, by_did, claim, unclaimed) =
            (identity_key(handle), did_key(did), claim_key(handle), unclaimed_key(handle));
        let ends = Some(now.plus_seconds(UNCLAIMED_SECONDS));
        let write =
            |key, value| VaultWrite { key, value: Some(value), expected: ExpectedVersion::Absent, expires_at: ends };
        let is_full = self.vault.list(UNCLAIMED)?.len() >= UNCLAIMED_REGISTRATIONS;
        let gone = if is_full { self.oldest_of_the_most()? } else { Vec::new() };
        let mut writes: Vec<_> = gone.iter().map(|key| VaultWrite::delete(key)).collect();
        writes.extend([
            write(&identity, &value),
            write(&by_did, handle.as_bytes()),
            VaultWrite { expected: ExpectedVersion::Anything, ..write(&unclaimed, &waiting) },
            VaultWrite::delete(&claim), // whoever had this handle before, the newcomer is a stranger
        ]);
        let noted = (!is_full).then(|| AuditEvent::success("identity.created").with("handle", handle));
        if self.write(None, noted, &writes)? {
            return Ok(Arc::new(Known { record, claim: None, principal: None }));
        }
        taken(handle)
    }

    /// The keys of the registration that gives way: of the address that most of them came from, the oldest. Who floods
    /// us from one address loses their own; where all come from one, as on a person's own machine, the newest count.
    fn oldest_of_the_most(&self) -> Result<Vec<String>> {
        let range = Range { prefix: UNCLAIMED, after: None, reverse: false, limit: UNCLAIMED_REGISTRATIONS };
        let mut waiting: HashMap<Option<String>, Vec<(i64, String)>> = HashMap::new();
        for (key, value) in self.vault.scan(&range)? {
            let Waiting { since, from } = serde_json::from_slice(&value).unwrap_or_default();
            waiting.entry(from).or_default().push((since, key[UNCLAIMED.len()..].to_owned()));
        }
        let most = waiting.into_values().max_by_key(Vec::len).unwrap_or_default();
        let Some((_, handle)) = most.into_iter().min() else { return Ok(Vec::new()) };
        let known = self.known(&handle)?.filter(|known| known.claim.is_none());
        let mut keys = vec![unclaimed_key(&handle)];
        keys.extend(known.into_iter().flat_map(|known| [identity_key(&handle), did_key(&known.record.did)]));
        Ok(keys)
    }

    /// The handle under which `did` is registered.
    pub(in crate::daemon) fn handle_of(&self, did: &str) -> Result<Option<String>> {
        Ok(self.vault.get(&did_key(did))?.map(|handle| String::from_utf8_lossy(&handle).into_owned()))
    }

    /// Forgets an identity: its key can register anew, as a stranger. Nothing happens when it is not what `known` was
    /// any more.
    pub(in crate::daemon) fn forget(&self, known: &Known, by: &Actor) -> Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.still(known)?.is_none() {
            return Ok(());
        }
        let handle = &known.record.handle;
        let keys = [identity_key(handle), did_key(&known.record.did), claim_key(handle), unclaimed_key(handle)];
        let writes: Vec<_> = keys.iter().map(|key| VaultWrite::delete(key)).collect();
        let noted = AuditEvent::success("identity.forgotten").with("handle", handle.as_str());
        self.write(Some(by), noted, &writes).map(drop)
    }
}

fn taken<T>(handle: &str) -> Result<T> {
    refuse(format!("Handle '{handle}' is already registered"))
}

fn refuse<T>(reason: String) -> Result<T> {
    Err(AuthsomeError::IdentityRegistration { reason })
}
