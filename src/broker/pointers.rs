//! The default connection of a provider in a vault, the global one on a server, and the steps that change what they
//! point to.
//!
//! Whatever adds or removes a connection, or points to one, is one step that also rewrites the provider's metadata and
//! expects it unchanged. So of two steps at once, the second looks again at what the first has left.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::connections::{DEFAULT, missing};
use super::{Actor, Broker, event, keys};
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
    value: Option<&'a SecretBuffer>,
    /// What must be there; `None`: anything.
    expected: Option<Version>,
}

impl<'a> Write<'a> {
    pub(super) fn put(key: &'a str, value: &'a SecretBuffer) -> Self {
        Self { key, value: Some(value), expected: None }
    }

    fn remove(key: &'a str) -> Self {
        Self { key, value: None, expected: None }
    }

    fn to_vault(&self) -> VaultWrite<'_> {
        let expected = self.expected.as_ref().map_or(ExpectedVersion::Anything, ExpectedVersion::Is);
        VaultWrite { key: self.key, value: self.value.map(SecretBuffer::expose_bytes), expected, expires_at: None }
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
        self.step(&actor.vault_id, provider, |names, default| {
            if names.iter().any(|known| known == name) {
                return Ok(Some((vec![Write::put(&key, &value)], default)));
            }
            Err(missing(actor, provider, name))
        })?;
        self.note(Some(actor), event("provider.global_connection_set", provider, Some(name)))
    }

    /// Removes a connection and the pointers to it. The default goes to another one, where there is one.
    pub(super) fn remove_connection(
        &self,
        vault_id: &str,
        provider: &str,
        name: &str,
    ) -> Result<Option<ConnectionRecord>> {
        let Some((record, _)) = self.find(vault_id, provider, name)? else { return Ok(None) };
        let (key, global_key) = (keys::connection(vault_id, provider, name), keys::global(provider));
        let is_done = self.step(vault_id, provider, |names, default| {
            if !names.iter().any(|known| known == name) {
                return Ok(None); // somebody else has removed it
            }
            let mut writes = vec![Write::remove(&key)];
            let pointer = self.read::<GlobalPointer>(&global_key)?;
            let is_global = |to: &GlobalPointer| to.vault_id == vault_id && to.connection_name == name;
            if let Some((_, version)) = pointer.filter(|(to, _)| is_global(to)) {
                writes.push(Write { expected: Some(version), ..Write::remove(&global_key) });
            }
            let heir = || names.iter().find(|other| *other != name).cloned();
            Ok(Some((writes, default.filter(|default| default != name).or_else(heir))))
        })?;
        Ok(is_done.then_some(record))
    }
}
