//! From "provider and connection" to the values that a request needs.

use super::connections::{DEFAULT, check_bound, filling, missing};
use super::{Actor, Broker, Demand};
use crate::clock::Timestamp;
use crate::error::{AuthsomeError, Result};
use crate::model::{ConnectionRecord, ConnectionStatus, Place, Resolved};
use crate::provider::{Destination, Entry, destinations, headers, slots};

/// A record and whether it is somebody else's.
pub(super) struct Usable {
    pub(super) record: ConnectionRecord,
    pub(super) source: &'static str,
}

impl Broker {
    /// The values for one connection; without a name, the default one, else the global one.
    ///
    /// # Errors
    /// `ConnectionNotFound` (also for an unknown provider, as 0.7.2 says it), `CredentialMissing`, `TokenExpired`,
    /// `RefreshFailed`, `OperationNotAllowed` (no grant, or the destination changed), `StoreUnavailable`.
    pub fn resolve(&self, actor: &Actor, provider: &str, connection: Option<&str>, demand: Demand) -> Result<Resolved> {
        actor.check_use("resolve")?;
        let found = self.usable_connection(actor, provider, connection)?;
        let entry = self.entry(provider).map_err(|_| missing(actor, provider, connection.unwrap_or(DEFAULT)))?;
        let Usable { record, source } = found;
        values(&entry, self.ready(actor, &entry, record, demand)?, source)
    }

    pub(super) fn usable_connection(&self, actor: &Actor, provider: &str, connection: Option<&str>) -> Result<Usable> {
        let name = match connection {
            Some(name) => name.to_owned(),
            None => self.default_name(&actor.vault_id, provider)?,
        };
        if let Some((record, _)) = self.find(&actor.vault_id, provider, &name)? {
            return Ok(Usable { record, source: "local" });
        }
        let may_fall_back = connection.is_none_or(|name| name == DEFAULT);
        if let Some(record) = if may_fall_back { self.global(provider)? } else { None } {
            return Ok(Usable { record, source: "global" });
        }
        Err(missing(actor, provider, &name))
    }

    /// `record` with a credential that may be used now, refreshed first when it is due.
    pub(super) fn ready(
        &self,
        actor: &Actor,
        entry: &Entry,
        record: ConnectionRecord,
        demand: Demand,
    ) -> Result<ConnectionRecord> {
        check_bound(entry, &record)?;
        let record = self.up_to_date(actor, entry, record, demand)?;
        self.as_it_is(entry, record) // it may be another one by now
    }

    /// `record`, where its credential may be used now.
    pub(super) fn as_it_is(&self, entry: &Entry, record: ConnectionRecord) -> Result<ConnectionRecord> {
        check_bound(entry, &record)?;
        check_alive(&record, self.clock.now())?;
        Ok(record)
    }
}

fn values(entry: &Entry, record: ConnectionRecord, source: &str) -> Result<Resolved> {
    Ok(Resolved {
        headers: headers(&entry.definition, &record)?,
        inject: slots(&entry.definition, &record)?,
        destinations: Some(places(entry, &record)?),
        provider: record.provider,
        connection: record.connection_name,
        expires_at: record.expires_at,
        source: source.to_owned(),
    })
}

/// Where the values of `record` may go now: a run has its routes from when it began.
fn places(entry: &Entry, record: &ConnectionRecord) -> Result<Vec<Place>> {
    let place = |Destination { host, host_match, port, path_prefix }| Place { host, host_match, port, path_prefix };
    Ok(destinations(&entry.definition, &filling(record))?.into_iter().map(place).collect())
}

/// Refuses a record whose credential is known to be dead.
pub(super) fn check_alive(record: &ConnectionRecord, now: Timestamp) -> Result<()> {
    let provider = record.provider.clone();
    let dead =
        |reason: &str| Err(AuthsomeError::CredentialMissing { provider: provider.clone(), reason: reason.into() });
    match record.status {
        ConnectionStatus::Connected | ConnectionStatus::Expired if is_alive(record, now) => Ok(()),
        ConnectionStatus::Connected | ConnectionStatus::Expired => Err(AuthsomeError::TokenExpired { provider }),
        ConnectionStatus::Revoked => dead("the connection was revoked"),
        ConnectionStatus::Invalid => dead("the connection is not valid any more"),
        ConnectionStatus::NotConnected => dead("the connection holds no credential"),
    }
}

/// Whether a credential has not ended. Its end decides where it is known: `expired` was true when it was written, and
/// the clock may have been wrong then.
pub(super) fn is_alive(record: &ConnectionRecord, now: Timestamp) -> bool {
    match (record.status, record.expires_at) {
        (ConnectionStatus::Connected | ConnectionStatus::Expired, Some(end)) => end > now,
        (status, _) => status == ConnectionStatus::Connected,
    }
}
