//! The right to spend a refresh token, as a record in the store: one daemon has it at a time, and whoever finds it left
//! behind knows that an answer may have been lost.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::due::{is_usable, refresh_token};
use super::task::{FAILED, Task};
use super::unsaved::Unsaved;
use crate::broker::keys::REFRESH_LEASES;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::limits::{CLOCK_SKEW_SECONDS, REFRESH_LEASE};
use crate::model::{AuditEvent, AuditSource, ConnectionRecord};
use crate::secret::SecretBuffer;
use crate::vault::{ExpectedVersion, Vault, VaultWrite, Version};

/// Says that somebody spends a refresh token.
#[derive(Debug, Serialize, Deserialize)]
struct Lease {
    /// Which broker.
    owner: String,
    /// Since when.
    started_at: Timestamp,
    /// SHA-256 of the refresh token, hexadecimal.
    spending: String,
}

/// What became of an attempt to get the lease.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Claim {
    /// It is ours.
    Taken {
        /// Somebody had it for the same token, and ended before an answer was stored.
        interrupted: bool,
    },
    /// Another daemon has it.
    Held,
    /// It changed at the same moment: look again.
    Raced,
}

impl Lease {
    /// Whether its time is not over. A start in the future comes from a clock that was wrong.
    fn is_running(&self, now: Timestamp) -> bool {
        let life = i64::try_from(REFRESH_LEASE.as_secs()).unwrap_or(i64::MAX);
        (-CLOCK_SKEW_SECONDS..life).contains(&(now.unix() - self.started_at.unix()))
    }
}

impl Task<'_> {
    /// Tries to get the lease for the refresh token of `record`. Only the pilot of the connection's flight may call
    /// this, so a lease of our own is one that is over.
    pub(super) fn claim(&self, record: &ConnectionRecord) -> Result<Claim> {
        let now = self.broker.clock.now();
        let spending = refresh_token(record).map(super::digest).unwrap_or_default();
        let found = self.lease()?;
        let mut interrupted = false;
        if let Some((Some(old), _)) = &found {
            let is_own = old.owner == self.broker.refresher.id;
            if old.is_running(now) && !is_own && !self.broker.refresher.dead_owners.contains(&old.owner) {
                return Ok(Claim::Held);
            }
            let is_settled = is_own && self.broker.refresher.unsaved.is_nothing(&self.key);
            interrupted = old.spending == spending && !is_settled;
        }
        let lease = Lease { owner: self.broker.refresher.id.clone(), started_at: now, spending };
        let value = SecretBuffer::from_json(&lease).expect("a map with string keys");
        let version = found.as_ref().map(|(_, version)| version);
        let expected = version.map_or(ExpectedVersion::Absent, ExpectedVersion::Is);
        let put = VaultWrite { expected, ..VaultWrite::put(&self.lease_key, value.expose_bytes()) };
        let noted = interrupted.then(|| self.interruption(record));
        let noted = self.broker.audit.prepare(AuditSource::Internal, Some(&self.owner), noted.into_iter().collect());
        let writes: Vec<_> = std::iter::once(put).chain(noted.writes()).collect();
        let is_taken = self.broker.vault.apply(&writes).inspect_err(|_| {
            // It may be there all the same, and nothing is spent with it.
            self.broker.refresher.unsaved.keep(&self.key, Unsaved::Nothing);
        })?;
        if !is_taken {
            return Ok(Claim::Raced);
        }
        self.broker.refresher.unsaved.forget(&self.key);
        Ok(Claim::Taken { interrupted })
    }

    fn interruption(&self, record: &ConnectionRecord) -> AuditEvent {
        let has_fallback = is_usable(record, self.broker.clock.now());
        let reason = "a refresh was interrupted before its answer was stored";
        let facts =
            [("reason", reason.into()), ("fallback_available", has_fallback.into()), ("interrupted", true.into())];
        self.event(FAILED, "failure", facts)
    }

    /// Gives our lease back. When the store does not take that, we remember that it is over.
    pub(super) fn release(&self) {
        let removed = self.own_lease().and_then(|version| {
            let Some(version) = version else { return Ok(true) };
            self.broker.vault.apply(&[remove(&self.lease_key, &version)])
        });
        if removed.is_err() {
            self.broker.refresher.unsaved.keep(&self.key, Unsaved::Nothing);
        }
    }

    /// The version of the lease, while it is ours.
    pub(super) fn own_lease(&self) -> Result<Option<Version>> {
        let found = self.lease()?;
        let own =
            found.filter(|(lease, _)| lease.as_ref().is_some_and(|lease| lease.owner == self.broker.refresher.id));
        Ok(own.map(|(_, version)| version))
    }

    /// The lease of a connection; its inside is `None` when it is not readable, which is as good as over.
    fn lease(&self) -> Result<Option<(Option<Lease>, Version)>> {
        let found = self.broker.vault.get_versioned(&self.lease_key)?;
        Ok(found.map(|(value, version)| (serde_json::from_slice(&value).ok(), version)))
    }
}

/// Whose leases are in a store that nobody else has open: they have ended.
///
/// # Errors
/// `StoreUnavailable`.
pub(super) fn dead_owners(vault: &Vault) -> Result<HashSet<String>> {
    let leases = vault.list(REFRESH_LEASES)?;
    // One that does not open keeps nobody from starting.
    let parse = |key: &String| serde_json::from_slice::<Lease>(&vault.get(key).ok()??).ok();
    Ok(leases.iter().filter_map(parse).map(|lease| lease.owner).collect())
}

/// Removes exactly this lease.
pub(super) fn remove<'a>(key: &'a str, version: &'a Version) -> VaultWrite<'a> {
    VaultWrite { expected: ExpectedVersion::Is(version), ..VaultWrite::delete(key) }
}
