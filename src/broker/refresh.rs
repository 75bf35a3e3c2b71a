//! Refresh: the protocol that never loses a token (`contract/oauth.md`).
//!
//! 1. A fresh token is returned without a lock ([`due`]).
//! 2. Of all callers in this process one does the work for a connection ([`flights`]); of all daemons on one store, the
//!    one with the lease ([`lease`]).
//! 3. With the lease in hand the record is read again: somebody may have refreshed.
//! 4. The token endpoint is called once ([`spend`]), while nothing is held that another connection needs.
//! 5. The new record, the end of the lease and the audit entry are one durable step, before anybody gets the token.
//!    What the store does not take is kept in memory and written before anything else is done ([`unsaved`]).
//! 6. Failures are remembered in the record ([`memory`]); the old token is the answer while it is valid.
//!
//! A process that dies between 4 and 5 leaves its lease. Whoever takes it over notes that an answer may have been lost,
//! and says so when the server refuses the token.
//!
//! Limits: the clocks of daemons that share a store may differ by 15 s, the margin of
//! [`crate::limits::REFRESH_LEASE`]; beyond that, a lease may be taken from a daemon that still calls.

mod due;
mod flights;
mod lease;
mod memory;
mod spend;
mod task;
#[cfg(test)]
mod tests;
mod trouble;
mod unsaved;

use std::collections::HashSet;
use std::time::Duration;

use sha2::{Digest, Sha256};

use self::due::{Due, due};
use self::flights::Flights;
use self::memory::Memory;
use self::task::Task;
use self::unsaved::UnsavedMap;
use super::{Actor, Broker, keys};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::limits::REFRESH_POLL;
use crate::model::{ConnectionRecord, Fingerprint, Grants, Role};
use crate::paths::hex;
use crate::provider::{Entry, slots};
use crate::secret::{Secret, random_bytes};
use crate::vault::Vault;

/// Why a caller asks for a connection's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// To use them.
    Use,
    /// The upstream refused the token that the caller has, whichever that is.
    Rejected,
    /// The upstream refused these values.
    Refused(Fingerprint),
}

/// A refresh that failed, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshFailure {
    /// When.
    pub at: Timestamp,
    /// Why. Holds no secret.
    pub reason: String,
}

impl RefreshFailure {
    /// The last refresh of `record`, when it failed and none has worked since.
    pub fn of(record: &ConnectionRecord) -> Option<Self> {
        Memory::of(record).failure.map(|failure| Self { at: failure.at, reason: failure.reason })
    }
}

/// What a broker knows of refreshes beside what is in the store.
#[derive(Debug)]
pub(super) struct Refresher {
    /// Names this broker in leases.
    id: String,
    /// Brokers that had leases when this one began, and have ended.
    dead_owners: HashSet<String>,
    flights: Flights,
    unsaved: UnsavedMap,
    /// How often to look whether another daemon has finished.
    poll: Duration,
    #[cfg(test)]
    endpoint: Option<std::sync::Arc<tests::Endpoint>>,
}

impl Refresher {
    /// For a broker over `vault`.
    ///
    /// # Errors
    /// `StoreUnavailable`.
    pub(super) fn new(vault: &Vault) -> Result<Self> {
        let is_alone = vault.store().is_exclusive();
        Ok(Self {
            id: hex(&random_bytes::<16>()),
            dead_owners: if is_alone { lease::dead_owners(vault)? } else { HashSet::new() },
            flights: Flights::default(),
            unsaved: UnsavedMap::default(),
            poll: REFRESH_POLL,
            #[cfg(test)]
            endpoint: None,
        })
    }
}

impl Broker {
    /// `record` with a token that is good for a while, refreshed first when it is due.
    ///
    /// # Errors
    /// `TokenExpired`, `RefreshFailed`, `ConnectionNotFound` when it was removed meanwhile, `StoreUnavailable`,
    /// `EncryptionUnavailable`.
    pub(super) fn up_to_date(
        &self,
        actor: &Actor,
        entry: &Entry,
        record: ConnectionRecord,
        demand: Demand,
    ) -> Result<ConnectionRecord> {
        let demand = match demand {
            Demand::Refused(refused) if !is_named(refused, entry, &record) => Demand::Use, // somebody was faster
            other => other,
        };
        Task::new(self, actor, entry, &record, demand).run().unwrap_or(Ok(record))
    }

    /// Whether the token of `record` is good for a while as it is.
    pub(super) fn is_fresh(&self, record: &ConnectionRecord) -> bool {
        let key = keys::connection(&record.vault_id, &record.provider, &record.connection_name);
        self.look(record, Demand::Use) == Due::Fresh && self.refresher.unsaved.tokens(&key).is_none()
    }

    /// Stores what the store did not take when it came. Their connections may not be asked for again for a long time.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`: some are still kept in memory.
    pub fn save_unsaved(&self) -> Result<()> {
        let keys = self.refresher.unsaved.keys();
        keys.iter().map(|key| self.save_unsaved_of(key)).fold(Ok(()), Result::and)
    }

    fn save_unsaved_of(&self, key: &str) -> Result<()> {
        let Some((record, _)) = self.read::<ConnectionRecord>(key)? else {
            self.refresher.unsaved.forget(key); // its connection is gone
            return Ok(());
        };
        let Some(entry) = self.registry.find(&record.provider) else { return Ok(()) };
        let owner = Actor {
            identity: None,
            principal_id: record.principal_id.clone(),
            vault_id: record.vault_id.clone(),
            role: Role::User,
            grants: Grants::default(),
        };
        Task::new(self, &owner, &entry, &record, Demand::Use).save_unsaved()
    }

    /// Waits for the refreshes under way, at most for `patience`: a token that was spent is worth nothing without the
    /// answer. Then stores what is still to be stored.
    ///
    /// # Errors
    /// As [`Broker::save_unsaved`].
    pub fn finish_refreshes(&self, patience: Duration) -> Result<()> {
        self.refresher.flights.wait_for_all(patience);
        self.save_unsaved()
    }

    fn look(&self, record: &ConnectionRecord, demand: Demand) -> Due {
        due(record, self.clock.now(), self.near_expiry_seconds, demand)
    }
}

/// Whether `refused` names the values of `record`.
fn is_named(refused: Fingerprint, entry: &Entry, record: &ConnectionRecord) -> bool {
    slots(&entry.definition, record).is_ok_and(|slots| Fingerprint::of(&slots) == refused)
}

/// SHA-256 of a token, hexadecimal: names it where it must not stand.
fn digest(token: &Secret) -> String {
    hex(&Sha256::digest(token.expose().as_bytes()))
}
