//! OAuth clients and other settings of a provider that an administrator keeps at server scope.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::given::{check_api_url, check_base_url, check_scopes, client_id, client_secret, filled};
use super::pointers::Write;
use super::servers::{confidants, is_same_address};
use super::{Actor, Broker, event, keys};
use crate::error::{AuthsomeError, Result};
use crate::flow::{AuthMethod, AuthServer, OAuthClient};
use crate::model::ProviderDefinition;
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
    /// How a registered client proves itself, where its registration says so.
    #[serde(default)]
    pub method: Option<AuthMethod>,
    /// When the secret of a registered client ends, in seconds since 1970.
    #[serde(default)]
    pub secret_expires_at: Option<i64>,
    /// What `{base_url}` stands for.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Own API address.
    #[serde(default)]
    pub api_url: Option<String>,
    /// Scopes to ask for.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// The redirect address that a dynamically registered client was registered with.
    #[serde(default)]
    pub redirect_uri: Option<String>,
    /// What discovery found where the definition says nothing.
    #[serde(default)]
    pub discovered: Option<Discovered>,
    /// Whatever else stood in the record.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Endpoints of an authorization server that its own metadata names (RFC 8414).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovered {
    authorization_url: Option<String>,
    token_url: Option<String>,
    revocation_url: Option<String>,
    device_authorization_url: Option<String>,
    issuer: Option<String>,
}

impl Discovered {
    /// What is worth keeping of `server`.
    pub(super) fn of(server: &AuthServer) -> Self {
        Self {
            authorization_url: server.settings.authorization_url.clone(),
            token_url: server.settings.token_url.clone(),
            revocation_url: server.settings.revocation_url.clone(),
            device_authorization_url: server.settings.device_authorization_url.clone(),
            issuer: server.issuer.clone(),
        }
    }

    /// Adds to `server` what its definition does not say.
    pub(super) fn complete(&self, server: &mut AuthServer) {
        let add = |to: &mut Option<String>, from: &Option<String>| {
            if to.is_none() {
                to.clone_from(from);
            }
        };
        add(&mut server.settings.authorization_url, &self.authorization_url);
        add(&mut server.settings.token_url, &self.token_url);
        add(&mut server.settings.revocation_url, &self.revocation_url);
        add(&mut server.settings.device_authorization_url, &self.device_authorization_url);
        add(&mut server.issuer, &self.issuer);
    }
}

impl ClientSettings {
    pub(super) fn to_sealable_json(&self) -> SecretBuffer {
        #[derive(Serialize)]
        struct View<'a> {
            client_id: Option<&'a str>,
            client_secret: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            method: Option<AuthMethod>,
            #[serde(skip_serializing_if = "Option::is_none")]
            secret_expires_at: Option<i64>,
            base_url: Option<&'a str>,
            api_url: Option<&'a str>,
            scopes: Option<&'a [String]>,
            #[serde(skip_serializing_if = "Option::is_none")]
            redirect_uri: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            discovered: Option<&'a Discovered>,
            #[serde(flatten)]
            extra: &'a Map<String, Value>,
        }
        let view = View {
            client_id: self.client_id.as_deref(),
            client_secret: self.client_secret.as_ref().map(Secret::expose),
            method: self.method,
            secret_expires_at: self.secret_expires_at,
            base_url: self.base_url.as_deref(),
            api_url: self.api_url.as_deref(),
            scopes: self.scopes.as_deref(),
            redirect_uri: self.redirect_uri.as_deref(),
            discovered: self.discovered.as_ref(),
            extra: &self.extra,
        };
        SecretBuffer::from_json(&view).expect("a map with string keys")
    }

    /// The OAuth client, when there is one.
    pub(super) fn oauth_client(&self) -> Option<OAuthClient> {
        let secret = self.client_secret.as_ref().filter(|secret| !secret.is_empty()).map(Secret::duplicate);
        let (method, secret_expires_at) = (self.method, self.secret_expires_at);
        self.client_id.clone().map(|id| OAuthClient { id, secret, method, secret_expires_at })
    }

    /// What was given, fit to be used; what was left empty is not given. An empty secret takes the stored one away.
    fn checked(self, definition: &ProviderDefinition) -> Result<Self> {
        let new = Self {
            client_id: filled(self.client_id.as_deref()).map(|id| client_id(&id)).transpose()?,
            client_secret: self.client_secret.as_ref().map(client_secret).transpose()?,
            base_url: filled(self.base_url.as_deref()),
            api_url: filled(self.api_url.as_deref()),
            ..self
        };
        new.base_url.as_deref().map(check_base_url).transpose()?;
        new.api_url.as_deref().map(|url| check_api_url(definition, url)).transpose()?;
        new.scopes.as_deref().map(check_scopes).transpose()?;
        Ok(new)
    }

    /// These settings with `new` ones in the place of old ones.
    fn merged(&self, new: &Self) -> Self {
        let is_other = |new: &Option<String>, old: &Option<String>| new.is_some() && old.is_some() && new != old;
        let is_other_client = is_other(&new.client_id, &self.client_id);
        let is_other_server =
            new.base_url.is_some() && !is_same_address(new.base_url.as_deref(), self.base_url.as_deref());
        let old_secret = self.client_secret.as_ref().filter(|_| !is_other_client);
        Self {
            client_id: new.client_id.clone().or_else(|| self.client_id.clone()),
            client_secret: new.client_secret.as_ref().or(old_secret).filter(|it| !it.is_empty()).map(Secret::duplicate),
            method: self.method.filter(|_| !is_other_client),
            secret_expires_at: self.secret_expires_at.filter(|_| !is_other_client && new.client_secret.is_none()),
            base_url: new.base_url.clone().or_else(|| self.base_url.clone()),
            api_url: new.api_url.clone().or_else(|| self.api_url.clone()),
            scopes: new.scopes.clone().or_else(|| self.scopes.clone()),
            redirect_uri: self.redirect_uri.clone().filter(|_| !is_other_client),
            discovered: self.discovered.clone().filter(|_| !is_other_server),
            extra: self.extra.clone(),
        }
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

    /// Stores settings; those left out or empty keep their value, but that another client does not keep the secret of the
    /// one before. A change revokes the provider's connections, since they were made under the old ones. Returns whether
    /// anything changed.
    ///
    /// # Errors
    /// `ProviderNotFound`; `InvalidInput` for what no login could use, and `OperationNotAllowed` when a secret that is not
    /// given again would be sent to another server: nothing has happened then. `StoreUnavailable`.
    pub fn configure(&self, actor: &Actor, provider: &str, new: ClientSettings) -> Result<bool> {
        let definition = self.entry(provider)?.definition;
        let new = new.checked(&definition)?;
        loop {
            // First the version, then the connections: a login that ends in between has changed it (see `landing`).
            let found = self.read::<ClientSettings>(&keys::client(provider))?;
            let (old, version) = found.map_or_else(Default::default, |(old, version)| (old, Some(version)));
            let merged = old.merged(&new);
            if !merged.differs_from(&old) {
                return Ok(false);
            }
            check_secret_stays(&definition, &old, &new)?;
            self.end_all(&self.all_connections(provider)?)?;
            let (key, value) = (keys::client(provider), merged.to_sealable_json());
            let write = Write::put(&key, &value).expecting(version);
            let noted = event("provider.client_configured", provider, None);
            if self.apply_noted(actor, noted, &[write.to_vault()])? {
                return Ok(true);
            }
        }
    }
}

/// A secret that is kept while the addresses change would be told to whoever is there.
fn check_secret_stays(definition: &ProviderDefinition, old: &ClientSettings, new: &ClientSettings) -> Result<()> {
    let merged = old.merged(new);
    let is_kept = new.client_secret.is_none() && merged.client_secret.is_some();
    let told =
        |settings: &ClientSettings| confidants(definition, settings.base_url.as_deref(), settings.api_url.as_deref());
    if !is_kept || told(&merged)?.is_subset(&told(old)?) {
        return Ok(());
    }
    Err(AuthsomeError::OperationNotAllowed {
        operation: "provider configure",
        reason: format!("the stored client secret of '{}' would be sent to another server", definition.name),
        hint: Some("give the client ID and the client secret of that server with its address"),
    })
}
