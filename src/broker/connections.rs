//! Connections as things: listing, reading, default and global pointers, removal, rebinding.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::audit::Prepared;
use super::pointers::{GlobalPointer, ProviderMetadata, Write};
use super::{Actor, Broker, decode, event, keys, with_fact};
use crate::error::{AuthsomeError, Result};
use crate::model::{AuthType, ConnectionRecord, ConnectionStatus, ProviderDefinition, ProviderSource};
use crate::paths::hex;
use crate::provider::{Entry, Filling, destinations_fingerprint};
use crate::vault::Version;

/// The name of a connection that nobody named.
pub(super) const DEFAULT: &str = "default";
/// Where a record says which destinations it was made for.
pub(super) const DESTINATION: &str = "destination";
/// Where a record says whether its definition was bundled.
const DEFINITION_SOURCE: &str = "definition_source";

/// Everything that one principal may use.
#[derive(Debug, Default)]
pub struct Listing {
    /// Own connections by provider, in the order of names.
    pub providers: Vec<ProviderConnections>,
    /// Connections that an administrator made global.
    pub globals: Vec<GlobalConnection>,
}

/// One provider's connections in one vault.
#[derive(Debug)]
pub struct ProviderConnections {
    /// Provider name.
    pub provider: String,
    /// Which connection is used when none is named.
    pub default_connection: Option<String>,
    /// Records in the order of names.
    pub records: Vec<ConnectionRecord>,
}

/// A global pointer and the record it names.
#[derive(Debug)]
pub struct GlobalConnection {
    /// The record, in its owner's vault.
    pub record: ConnectionRecord,
}

impl Broker {
    /// What `actor` has and may use.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn listing(&self, actor: &Actor) -> Result<Listing> {
        Ok(Listing { providers: self.own_connections(&actor.vault_id)?, globals: self.globals()? })
    }

    pub(super) fn own_connections(&self, vault_id: &str) -> Result<Vec<ProviderConnections>> {
        let mut records: BTreeMap<String, Vec<ConnectionRecord>> = BTreeMap::new();
        let mut defaults = BTreeMap::new();
        for (key, value) in self.scan(&keys::vault_prefix(vault_id))? {
            match keys::parse(&key) {
                keys::VaultKey::Connection { provider, .. } => {
                    records.entry(provider.to_owned()).or_default().push(decode(&value)?);
                }
                keys::VaultKey::Metadata { provider } => {
                    let metadata: ProviderMetadata = decode(&value)?;
                    defaults.insert(provider.to_owned(), metadata.default_connection);
                }
                keys::VaultKey::Other => {}
            }
        }
        let listed = records.into_iter().map(|(provider, records)| ProviderConnections {
            default_connection: defaults.remove(&provider).flatten(),
            provider,
            records,
        });
        Ok(listed.collect())
    }

    /// Every provider's global connection.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn globals(&self) -> Result<Vec<GlobalConnection>> {
        let mut found = Vec::new();
        for (key, _) in self.scan(keys::GLOBALS)? {
            let provider = &key[keys::GLOBALS.len()..];
            found.extend(self.global(provider)?.map(|record| GlobalConnection { record }));
        }
        Ok(found)
    }

    /// The global connection of `provider`, when there is one.
    pub(super) fn global(&self, provider: &str) -> Result<Option<ConnectionRecord>> {
        let Some((pointer, _)) = self.read::<GlobalPointer>(&keys::global(provider))? else { return Ok(None) };
        let key = keys::connection(&pointer.vault_id, provider, &pointer.connection_name);
        Ok(self.read(&key)?.map(|(record, _)| record))
    }

    /// How many connections of each provider there are in all vaults.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn connection_counts(&self) -> Result<BTreeMap<String, usize>> {
        let mut counts = BTreeMap::new();
        for key in self.vault.list(keys::VAULTS)? {
            if let keys::VaultKey::Connection { provider, .. } = keys::parse(&key) {
                *counts.entry(provider.to_owned()).or_default() += 1;
            }
        }
        Ok(counts)
    }

    /// How many connections each vault holds.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn vault_counts(&self) -> Result<BTreeMap<String, usize>> {
        let mut counts = BTreeMap::new();
        for key in self.vault.list(keys::VAULTS)? {
            if let keys::VaultKey::Connection { vault_id, .. } = keys::parse(&key) {
                *counts.entry(vault_id.to_owned()).or_default() += 1;
            }
        }
        Ok(counts)
    }

    /// The vaults that hold a connection of `provider`, with how many.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn usage(&self, provider: &str) -> Result<BTreeMap<String, usize>> {
        let mut usage = BTreeMap::new();
        for record in self.all_connections(provider)? {
            *usage.entry(record.principal_id).or_default() += 1;
        }
        Ok(usage)
    }

    /// All connections of `provider`, in every vault.
    pub(super) fn all_connections(&self, provider: &str) -> Result<Vec<ConnectionRecord>> {
        let mut found = Vec::new();
        for key in self.vault.list(keys::VAULTS)? {
            let keys::VaultKey::Connection { provider: of, .. } = keys::parse(&key) else { continue };
            if of == provider {
                found.extend(self.read(&key)?.map(|(record, _)| record));
            }
        }
        Ok(found)
    }

    /// One connection of `actor`, exactly as named.
    ///
    /// # Errors
    /// `ConnectionNotFound`, `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn connection(&self, actor: &Actor, provider: &str, name: &str) -> Result<ConnectionRecord> {
        self.find(&actor.vault_id, provider, name)?
            .map(|(record, _)| record)
            .ok_or_else(|| missing(actor, provider, name))
    }

    /// The same for somebody who reads its secrets: an export, and noted as one.
    ///
    /// # Errors
    /// `OperationNotAllowed`, `ConnectionNotFound`, `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn reveal(&self, actor: &Actor, provider: &str, name: &str) -> Result<ConnectionRecord> {
        actor.check_export("export")?;
        let record = self.connection(actor, provider, name)?;
        let noted = event("credentials.exported", provider, Some(name));
        self.note(Some(actor), with_fact(noted, "form", "record"))?;
        Ok(record)
    }

    pub(super) fn find(
        &self,
        vault_id: &str,
        provider: &str,
        name: &str,
    ) -> Result<Option<(ConnectionRecord, Version)>> {
        self.read(&keys::connection(vault_id, provider, name))
    }

    /// Stores a new record, sealed for the destinations of `entry`. The first connection of a provider becomes its
    /// default in the same step, in which it is `noted`.
    pub(super) fn store_new(
        &self,
        entry: &Entry,
        mut record: ConnectionRecord,
        noted: &Prepared,
    ) -> Result<ConnectionRecord> {
        bind(entry, &mut record)?;
        let key = keys::connection(&record.vault_id, &record.provider, &record.connection_name);
        let value = record.to_sealable_json();
        self.step(&record.vault_id, &record.provider, |_, default| {
            let default = default.or_else(|| Some(record.connection_name.clone()));
            let put = std::iter::once(Write::put(&key, &value));
            Ok(Some((put.chain(noted.writes().map(Write::over)).collect(), default)))
        })?;
        Ok(record)
    }

    /// Takes the global connection of `provider` back. Returns whether there was one.
    ///
    /// # Errors
    /// `StoreUnavailable`.
    pub fn unset_global(&self, actor: &Actor, provider: &str) -> Result<bool> {
        let key = keys::global(provider);
        while let Some((_, version)) = self.vault.get_versioned(&key)? {
            let remove = Write::remove(&key).expecting(Some(version));
            let noted = event("provider.global_connection_unset", provider, None);
            if self.apply_noted(actor, noted, &[remove.to_vault()])? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether `record` is what the global pointer of its provider names.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn is_global(&self, record: &ConnectionRecord) -> Result<bool> {
        let pointer = self.read::<GlobalPointer>(&keys::global(&record.provider))?;
        Ok(pointer
            .is_some_and(|(to, _)| to.vault_id == record.vault_id && to.connection_name == record.connection_name))
    }

    /// The owner accepts where the definition of today sends this connection's secret.
    ///
    /// # Errors
    /// `ConnectionNotFound`, `ProviderNotFound`, `InvalidProviderSchema`, `StoreUnavailable`.
    pub fn rebind(&self, actor: &Actor, provider: &str, name: &str) -> Result<ConnectionRecord> {
        self.rebind_to(actor, provider, name, None)
    }

    /// The same for an owner who looked at the destinations that `seen` stands for (see [`super::Binding::Moved`]): they
    /// accept no others, should the definition have changed since.
    ///
    /// # Errors
    /// As [`Broker::rebind`], and `OperationNotAllowed`.
    pub fn rebind_as_seen(&self, actor: &Actor, provider: &str, name: &str, seen: &str) -> Result<ConnectionRecord> {
        self.rebind_to(actor, provider, name, Some(seen))
    }

    fn rebind_to(&self, actor: &Actor, provider: &str, name: &str, seen: Option<&str>) -> Result<ConnectionRecord> {
        actor.check_use("connections rebind")?;
        let entry = self.entry(provider)?;
        let Some((mut record, version)) = self.find(&actor.vault_id, provider, name)? else {
            return Err(missing(actor, provider, name));
        };
        let has_moved = check_bound(&entry, &record).is_err();
        bind(&entry, &mut record)?;
        let today = record.metadata.get(DESTINATION).and_then(Value::as_str).map(seal);
        if has_moved && seen.is_some_and(|seen| today.as_deref() != Some(seen)) {
            return Err(AuthsomeError::OperationNotAllowed {
                operation: "connections rebind",
                reason: "where the secret would be sent has changed since you looked".to_owned(),
                hint: Some("look at the connection again, then accept it"),
            });
        }
        if record.status == ConnectionStatus::Invalid {
            record.status = ConnectionStatus::Connected;
        }
        let (key, value) = (keys::connection(&actor.vault_id, provider, name), record.to_sealable_json());
        let write = Write::put(&key, &value).expecting(Some(version));
        if self.apply_noted(actor, event("provider.updated", provider, Some(name)), &[write.to_vault()])? {
            return Ok(record);
        }
        Err(AuthsomeError::StoreUnavailable { reason: "the connection changed meanwhile; try again".to_owned() })
    }

    /// The definition of `provider`.
    ///
    /// # Errors
    /// `ProviderNotFound`.
    pub fn entry(&self, provider: &str) -> Result<Entry> {
        self.registry.find(provider).ok_or_else(|| AuthsomeError::ProviderNotFound { provider: provider.to_owned() })
    }
}

/// What a record says about the placeholders of its definition.
pub(super) fn filling(record: &ConnectionRecord) -> Filling<'_> {
    Filling::of(record)
}

/// Seals the destinations of `entry` into `record`.
pub(super) fn bind(entry: &Entry, record: &mut ConnectionRecord) -> Result<()> {
    let fingerprint = destinations_fingerprint(&entry.definition, &filling(record))?;
    record.metadata.insert(DESTINATION.to_owned(), Value::String(fingerprint));
    record.metadata.insert(DEFINITION_SOURCE.to_owned(), Value::String(source_name(entry.source).to_owned()));
    Ok(())
}

/// Stands for destinations, as [`destinations_fingerprint`] writes them, on a page.
pub(super) fn seal(destinations: &str) -> String {
    hex(&Sha256::digest(destinations.as_bytes()))
}

/// Refuses a record whose secret would go elsewhere than where it was sealed for. A bundled definition may gain hosts
/// with an upgrade of this program; anything that a user wrote may not change unseen.
pub(super) fn check_bound(entry: &Entry, record: &ConnectionRecord) -> Result<()> {
    let was_bundled = record.metadata.get(DEFINITION_SOURCE).and_then(Value::as_str) == Some("bundled");
    if was_bundled && entry.source == ProviderSource::Bundled {
        return Ok(());
    }
    let sealed = record.metadata.get(DESTINATION).and_then(Value::as_str);
    let today = destinations_fingerprint(&entry.definition, &filling(record))?;
    if sealed == Some(today.as_str()) {
        return Ok(());
    }
    Err(AuthsomeError::OperationNotAllowed {
        operation: "resolve",
        reason: format!(
            "the definition of '{}' now sends the secret of connection '{}' elsewhere than when it was stored",
            record.provider, record.connection_name
        ),
        hint: Some("look at it with `authsome provider inspect`, then accept it with `authsome connections rebind`"),
    })
}

/// Whether a definition would send the secret of `record` elsewhere.
pub(super) fn would_move(definition: &ProviderDefinition, record: &ConnectionRecord) -> bool {
    let sealed = record.metadata.get(DESTINATION).and_then(Value::as_str);
    destinations_fingerprint(definition, &filling(record)).ok().as_deref() != sealed
}

fn source_name(source: ProviderSource) -> &'static str {
    match source {
        ProviderSource::Bundled => "bundled",
        ProviderSource::Custom => "custom",
    }
}

pub(super) fn missing(actor: &Actor, provider: &str, name: &str) -> AuthsomeError {
    AuthsomeError::ConnectionNotFound {
        provider: provider.to_owned(),
        connection: name.to_owned(),
        identity: actor.label().to_owned(),
    }
}

/// A record for `actor` with nothing in it yet.
pub(super) fn fresh(actor: &Actor, provider: &str, name: &str, auth_type: AuthType) -> ConnectionRecord {
    let mut record = ConnectionRecord::new(provider, name, auth_type);
    record.identity = actor.identity.clone().unwrap_or_default();
    record.principal_id.clone_from(&actor.principal_id);
    record.vault_id.clone_from(&actor.vault_id);
    record
}

/// Names that occur in both.
pub(super) fn providers_of(listing: &[ProviderConnections]) -> BTreeSet<&str> {
    listing.iter().map(|of| of.provider.as_str()).collect()
}
