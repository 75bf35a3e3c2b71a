//! The default connection of a provider in a vault, the global one on a server, and the steps that change what they
//! point to.
//!
//! Whatever adds or removes a connection, or points to one, is one step that also rewrites the provider's metadata and
//! expects it unchanged. So of two steps at once, the second looks again at what the first has left.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::audit::Prepared;
use super::connections::{DEFAULT, missing};
use super::{Actor, Broker, event, keys};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::model::ConnectionRecord;
use crate::secret::SecretBuffer;
use crate::vault::{ExpectedVersion, VaultWrite, Version};

/// `vault:..:metadata` of a provider.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ProviderMetadata {
    #[serde(default)]
    pub(super) default_connection: Option<String>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// `server:global:..`
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GlobalPointer {
    pub(super) vault_id: String,
    pub(super) principal_id: String,
    pub(super) connection_name: String,
}

/// One write of a step.
pub(super) struct Write<'a> {
    key: &'a str,
    value: Option<&'a [u8]>,
    expected: Condition,
    expires_at: Option<Timestamp>,
}

/// What must be there for a step to happen.
enum Condition {
    Anything,
    Nothing,
    Version(Version),
}

impl<'a> Write<'a> {
    pub(super) fn put(key: &'a str, value: &'a SecretBuffer) -> Self {
        Self { key, value: Some(value.expose_bytes()), expected: Condition::Anything, expires_at: None }
    }

    /// Whatever is there, `write` takes its place.
    pub(super) fn over(write: VaultWrite<'a>) -> Self {
        Self { key: write.key, value: write.value, expected: Condition::Anything, expires_at: write.expires_at }
    }

    /// The same, if `version` is there; `None`: if nothing is.
    pub(super) fn expecting(self, version: Option<Version>) -> Self {
        Self { expected: version.map_or(Condition::Nothing, Condition::Version), ..self }
    }

    /// The same, for a while.
    pub(super) fn until(self, expires_at: Timestamp) -> Self {
        Self { expires_at: Some(expires_at), ..self }
    }

    pub(super) fn remove(key: &'a str) -> Self {
        Self { key, value: None, expected: Condition::Anything, expires_at: None }
    }

    pub(super) fn to_vault(&self) -> VaultWrite<'_> {
        let expected = match &self.expected {
            Condition::Anything => ExpectedVersion::Anything,
            Condition::Nothing => ExpectedVersion::Absent,
            Condition::Version(version) => ExpectedVersion::Is(version),
        };
        VaultWrite { key: self.key, value: self.value, expected, expires_at: self.expires_at }
    }
}

impl Broker {
    /// The name that stands for "no connection named": the default, else the only one, else `default`.
    pub(super) fn default_name(&self, vault_id: &str, provider: &str) -> Result<String> {
        let metadata = self.read::<ProviderMetadata>(&keys::metadata(vault_id, provider))?;
        if let Some(name) = metadata.and_then(|(metadata, _)| metadata.default_connection) {
            return Ok(name);
        }
        let names = self.names(vault_id, provider)?;
        Ok(if let [only] = names.as_slice() { only.clone() } else { DEFAULT.to_owned() })
    }

    /// The default connection of `provider` in the vault of `owner`, and how many connections there are.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn default_among(&self, owner: &Actor, provider: &str) -> Result<(Option<String>, usize)> {
        let metadata = self.read::<ProviderMetadata>(&keys::metadata(&owner.vault_id, provider))?;
        let default = metadata.and_then(|(metadata, _)| metadata.default_connection);
        Ok((default, self.names(&owner.vault_id, provider)?.len()))
    }

    fn names(&self, vault_id: &str, provider: &str) -> Result<Vec<String>> {
        let prefix = keys::connections(vault_id, provider);
        Ok(self.vault.list(&prefix)?.iter().map(|key| key[prefix.len()..].to_owned()).collect())
    }

    /// Does what `decide` says of the names that are there and the default among them: writes, and the new default.
    /// `None`: nothing. It is asked again when another step was faster. Whether something was done.
    pub(super) fn step<'a>(
        &self,
        vault_id: &str,
        provider: &str,
        decide: impl Fn(&[String], Option<String>) -> Result<Option<(Vec<Write<'a>>, Option<String>)>>,
    ) -> Result<bool> {
        let key = keys::metadata(vault_id, provider);
        loop {
            // First the version, then what it stands for.
            let found = self.read::<ProviderMetadata>(&key)?;
            let (mut metadata, version) = found.map_or_else(Default::default, |(data, version)| (data, Some(version)));
            let names = self.names(vault_id, provider)?;
            let default = metadata.default_connection.take().filter(|name| names.contains(name));
            let Some((writes, default)) = decide(&names, default)? else { return Ok(false) };
            metadata.default_connection = default;
            let value = SecretBuffer::from_json(&metadata).expect("a map with string keys");
            let expected = version.as_ref().map_or(ExpectedVersion::Absent, ExpectedVersion::Is);
            let pointer = VaultWrite { key: &key, value: Some(value.expose_bytes()), expected, expires_at: None };
            let all: Vec<_> = writes.iter().map(Write::to_vault).chain([pointer]).collect();
            if self.vault.apply(&all)? {
                return Ok(true);
            }
        }
    }

    /// Makes `name` the connection that is used when none is named.
    ///
    /// # Errors
    /// `OperationNotAllowed`, `ConnectionNotFound`, `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn set_default(&self, actor: &Actor, provider: &str, name: &str) -> Result<()> {
        actor.check_use("connections set-default")?;
        let point = |names: &[String], _| match names.iter().find(|known| *known == name) {
            Some(name) => Ok(Some((Vec::new(), Some(name.clone())))),
            None => Err(missing(actor, provider, name)),
        };
        self.step(&actor.vault_id, provider, point).map(drop)
    }

    /// Lets everybody on this server use one connection of `actor`.
    ///
    /// # Errors
    /// `OperationNotAllowed`, `ConnectionNotFound`, `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn set_global(&self, actor: &Actor, provider: &str, name: &str) -> Result<()> {
        actor.check_use("connections set-global")?;
        let pointer = GlobalPointer {
            vault_id: actor.vault_id.clone(),
            principal_id: actor.principal_id.clone(),
            connection_name: name.to_owned(),
        };
        let value = SecretBuffer::from_json(&pointer).expect("a map with string keys");
        let key = keys::global(provider);
        let noted = self.noted(actor, event("provider.global_connection_set", provider, Some(name)));
        let point = |names: &[String], default| {
            if !names.iter().any(|known| known == name) {
                return Err(missing(actor, provider, name));
            }
            let put = std::iter::once(Write::put(&key, &value));
            Ok(Some((put.chain(noted.writes().map(Write::over)).collect(), default)))
        };
        self.step(&actor.vault_id, provider, point).map(drop)
    }

    /// Removes a connection and the pointers to it, and writes what is noted of that. The default goes to another one,
    /// where there is one. Returns the record as it was in that moment.
    pub(super) fn remove_connection(
        &self,
        vault_id: &str,
        provider: &str,
        name: &str,
        noted: Option<&Prepared>,
    ) -> Result<Option<ConnectionRecord>> {
        let removed = RefCell::new(None);
        let (key, global_key) = (keys::connection(vault_id, provider, name), keys::global(provider));
        let lease_key = keys::refresh_lease(vault_id, provider, name);
        let is_done = self.step(vault_id, provider, |names, default| {
            let Some((record, version)) = self.find(vault_id, provider, name)? else { return Ok(None) };
            removed.replace(Some(record));
            let mut writes = vec![Write::remove(&key).expecting(Some(version)), Write::remove(&lease_key)];
            let pointer = self.read::<GlobalPointer>(&global_key)?;
            let is_global = |to: &GlobalPointer| to.vault_id == vault_id && to.connection_name == name;
            if let Some((_, version)) = pointer.filter(|(to, _)| is_global(to)) {
                writes.push(Write { expected: Condition::Version(version), ..Write::remove(&global_key) });
            }
            writes.extend(noted.into_iter().flat_map(Prepared::writes).map(Write::over));
            let heir = || names.iter().find(|other| *other != name).cloned();
            Ok(Some((writes, default.filter(|default| default != name).or_else(heir))))
        })?;
        Ok(removed.into_inner().filter(|_| is_done))
    }
}
