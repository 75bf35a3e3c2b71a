//! OAuth clients and other settings of a provider that an administrator keeps at server scope.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Actor, Broker, event, keys};
use crate::error::Result;
use crate::secret::{Secret, SecretBuffer};

/// What `server:provider:..:client` holds.
#[derive(Debug, Default, Deserialize)]
pub struct ClientSettings {
    /// OAuth client identifier.
    #[serde(default)]
    pub client_id: Option<String>,
    /// OAuth client secret.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// What `{base_url}` stands for.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Own API address.
    #[serde(default)]
    pub api_url: Option<String>,
    /// Scopes to ask for.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// Whatever else stood in the record.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ClientSettings {
    fn to_sealable_json(&self) -> SecretBuffer {
        #[derive(Serialize)]
        struct View<'a> {
            client_id: Option<&'a str>,
            client_secret: Option<&'a str>,
            base_url: Option<&'a str>,
            api_url: Option<&'a str>,
            scopes: Option<&'a [String]>,
            #[serde(flatten)]
            extra: &'a Map<String, Value>,
        }
        let view = View {
            client_id: self.client_id.as_deref(),
            client_secret: self.client_secret.as_ref().map(Secret::expose),
            base_url: self.base_url.as_deref(),
            api_url: self.api_url.as_deref(),
            scopes: self.scopes.as_deref(),
            extra: &self.extra,
        };
        SecretBuffer::from_json(&view).expect("a map with string keys")
    }

    fn differs_from(&self, other: &Self) -> bool {
        let secret = |settings: &Self| settings.client_secret.as_ref().map(Secret::duplicate);
        let same_secret = match (secret(self), secret(other)) {
            (None, None) => true,
            (Some(one), Some(two)) => one.constant_time_eq(two.expose().as_bytes()),
            _ => false,
        };
        !same_secret
            || self.client_id != other.client_id
            || self.base_url != other.base_url
            || self.api_url != other.api_url
            || self.scopes != other.scopes
    }
}

impl Broker {
    /// The stored settings of `provider`.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn client(&self, provider: &str) -> Result<Option<ClientSettings>> {
        Ok(self.read(&keys::client(provider))?.map(|(settings, _)| settings))
    }

    /// Stores settings; those left out keep their value. A change revokes the provider's connections, since they were
    /// made under the old ones. Returns whether anything changed.
    ///
    /// # Errors
    /// `ProviderNotFound`, `StoreUnavailable`.
    pub fn configure(&self, actor: &Actor, provider: &str, new: ClientSettings) -> Result<bool> {
        self.entry(provider)?;
        let old = self.client(provider)?.unwrap_or_default();
        let merged = ClientSettings {
            client_id: new.client_id.or_else(|| old.client_id.clone()),
            client_secret: new.client_secret.or_else(|| old.client_secret.as_ref().map(Secret::duplicate)),
            base_url: new.base_url.or_else(|| old.base_url.clone()),
            api_url: new.api_url.or_else(|| old.api_url.clone()),
            scopes: new.scopes.or_else(|| old.scopes.clone()),
            extra: old.extra.clone(),
        };
        if !merged.differs_from(&old) {
            return Ok(false);
        }
        for record in self.all_connections(provider)? {
            self.remove_connection(&record.vault_id, provider, &record.connection_name)?;
        }
        self.vault.put(&keys::client(provider), merged.to_sealable_json().expose_bytes())?;
        self.note(Some(actor), event("provider.client_configured", provider, None))?;
        Ok(true)
    }
}
