//! Connecting with an API key.

use std::collections::BTreeMap;

use super::connections::fresh;
use super::{Actor, Broker, check_name, event, with_fact};
use crate::error::{AuthsomeError, Result};
use crate::flow::api_key;
use crate::model::{AuthType, ConnectionRecord, ConnectionStatus, ProviderDefinition};
use crate::provider::slots;
use crate::secret::Secret;

/// What a person gave to connect with a key.
#[derive(Debug)]
pub struct ApiKeyLogin<'a> {
    /// Provider name.
    pub provider: &'a str,
    /// Connection name.
    pub connection: &'a str,
    /// The key as pasted.
    pub key: Secret,
    /// Further fields of the definition, by name.
    pub fields: BTreeMap<String, Secret>,
    /// What `{base_url}` stands for.
    pub base_url: Option<String>,
    /// Own API address of this connection.
    pub api_url: Option<String>,
    /// Replace a connection that is there.
    pub force: bool,
}

impl Broker {
    /// Stores a key. Returns the record and what looks odd about the key, for people.
    ///
    /// # Errors
    /// `ProviderNotFound`, `UnsupportedAuthType`, `ConnectionAlreadyExists` (without `force`), `InvalidInput` for a
    /// key that cannot be sent, `CredentialMissing` for a field that is missing, `StoreUnavailable`. Nothing is stored
    /// then.
    pub fn connect_api_key(&self, actor: &Actor, login: ApiKeyLogin<'_>) -> Result<(ConnectionRecord, Vec<String>)> {
        actor.check_use("login")?;
        let entry = self.entry(login.provider)?;
        let definition = &entry.definition;
        check_name(login.connection)?;
        if definition.auth_type != AuthType::ApiKey {
            return Err(AuthsomeError::UnsupportedAuthType {
                provider: login.provider.to_owned(),
                auth_type: AuthType::ApiKey.as_str().to_owned(),
            });
        }
        if !login.force && self.usable(actor, login.provider, login.connection)? {
            return Err(AuthsomeError::ConnectionAlreadyExists {
                provider: login.provider.to_owned(),
                connection: login.connection.to_owned(),
            });
        }
        let key = api_key::clean(&login.key)?;
        let warnings = api_key::warnings(definition, &key);
        let mut record = fresh(actor, login.provider, login.connection, AuthType::ApiKey);
        record.credentials = fields(definition, login.fields)?;
        record.api_key = Some(key);
        record.base_url = login.base_url;
        record.api_url = login.api_url;
        record.obtained_at = Some(self.clock.now());
        record.status = ConnectionStatus::Connected;
        slots(definition, &record)?; // a credential that cannot be sent is not worth storing
        let record = self.store_new(&entry, record)?;
        let noted = event("provider.login", login.provider, Some(login.connection));
        self.note(Some(actor), with_fact(noted, "auth_type", AuthType::ApiKey.as_str()))?;
        Ok((record, warnings))
    }

    /// Whether there is a connection that works as far as we know.
    pub(super) fn usable(&self, actor: &Actor, provider: &str, name: &str) -> Result<bool> {
        let found = self.find(&actor.vault_id, provider, name)?;
        let now = self.clock.now();
        Ok(found.is_some_and(|(record, _)| {
            record.status == ConnectionStatus::Connected && record.expires_at.is_none_or(|end| end > now)
        }))
    }
}

/// The fields that the definition asks for, cleaned; defaults where none was given. A form also sends what was left
/// empty.
fn fields(definition: &ProviderDefinition, mut given: BTreeMap<String, Secret>) -> Result<BTreeMap<String, Secret>> {
    let mut stored = BTreeMap::new();
    for field in definition.fields.iter().filter(|field| field.derive.is_none()) {
        let given = given.remove(&field.name).filter(|value| !value.expose().trim().is_empty());
        let value = match (given, &field.default) {
            (Some(value), _) => api_key::clean(&value)?,
            (None, Some(default)) => Secret::new(default.clone()),
            (None, None) if field.optional => continue,
            (None, None) => {
                return Err(AuthsomeError::CredentialMissing {
                    provider: definition.name.clone(),
                    reason: format!("the field '{}' is missing", field.name),
                });
            }
        };
        stored.insert(field.name.clone(), value);
    }
    Ok(stored)
}
