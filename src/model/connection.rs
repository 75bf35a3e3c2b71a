//! Connection records: what the vault keeps for one login to one provider.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::secret::{Secret, SecretBuffer};

/// What stands in place of a secret that the reader may not see.
pub const MASK: &str = "***REDACTED***";

/// Kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthType {
    /// Tokens of an authorization server.
    Oauth2,
    /// A key.
    ApiKey,
    /// Cookies.
    Browser,
}

impl AuthType {
    /// The name in definitions and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Oauth2 => "oauth2",
            Self::ApiKey => "api_key",
            Self::Browser => "browser",
        }
    }
}

/// Whether a connection can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionStatus {
    /// There is no credential.
    #[default]
    NotConnected,
    /// The credential is believed good.
    Connected,
    /// The token ended and could not be refreshed.
    Expired,
    /// The credential was taken back.
    Revoked,
    /// The credential must not be used: its destination changed, or it does not fit its definition.
    Invalid,
}

impl ConnectionStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::Connected => "connected",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Invalid => "invalid",
        }
    }
}

/// Whose account at the provider a connection is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The provider's own identifier.
    #[serde(default)]
    pub id: Option<String>,
    /// Name for people.
    #[serde(default)]
    pub label: Option<String>,
}

/// One login to one provider (schema 2 of `authsome` 0.7.2). Unknown fields survive a rewrite.
///
/// Not `Serialize`: [`ConnectionRecord::to_sealable_json`] and [`ConnectionRecord::to_json`] say which form is meant.
#[derive(Debug, Deserialize)]
pub struct ConnectionRecord {
    /// Version of this shape; 2.
    #[serde(default = "two")]
    pub schema_version: u32,
    /// Provider name.
    pub provider: String,
    /// Handle of the identity that made it.
    #[serde(default)]
    pub identity: String,
    /// Owner.
    #[serde(default)]
    pub principal_id: String,
    /// The owner's vault.
    #[serde(default)]
    pub vault_id: String,
    /// Name among the provider's connections.
    pub connection_name: String,
    /// Kind of credential.
    pub auth_type: AuthType,
    /// Whether it can be used.
    #[serde(default)]
    pub status: ConnectionStatus,
    /// What `{base_url}` stood for at login.
    #[serde(default)]
    pub base_url: Option<String>,
    /// API host or URL of this connection, where the login gave its own.
    #[serde(default)]
    pub api_url: Option<String>,
    /// Granted scopes.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// OAuth access token.
    #[serde(default)]
    pub access_token: Option<Secret>,
    /// OAuth refresh token.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
    /// As the token answer said; usually `Bearer`.
    #[serde(default)]
    pub token_type: Option<String>,
    /// End of the access token, where known.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// When the credential was got.
    #[serde(default)]
    pub obtained_at: Option<Timestamp>,
    /// API key.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// Cookies or further fields, by name.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub credentials: BTreeMap<String, Secret>,
    /// Account at the provider.
    #[serde(default, deserialize_with = "super::null_is_default")]
    pub account: Account,
    /// Facts for us: nothing secret.
    #[serde(default, deserialize_with = "super::null_is_default")]
    pub metadata: Map<String, Value>,
    /// Whatever else stood in the record.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

fn two() -> u32 {
    2
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Secret>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl ConnectionRecord {
    /// A record with no credential yet.
    pub fn new(provider: &str, connection_name: &str, auth_type: AuthType) -> Self {
        Self {
            schema_version: two(),
            provider: provider.to_owned(),
            identity: String::new(),
            principal_id: String::new(),
            vault_id: String::new(),
            connection_name: connection_name.to_owned(),
            auth_type,
            status: ConnectionStatus::NotConnected,
            base_url: None,
            api_url: None,
            scopes: None,
            access_token: None,
            refresh_token: None,
            token_type: None,
            expires_at: None,
            obtained_at: None,
            api_key: None,
            credentials: BTreeMap::new(),
            account: Account::default(),
            metadata: Map::new(),
            extra: Map::new(),
        }
    }

    /// A second owner of the same record. Not `Clone`, so that each copy of its secrets is a visible decision.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let copy = |secret: &Option<Secret>| secret.as_ref().map(Secret::duplicate);
        Self {
            schema_version: self.schema_version,
            provider: self.provider.clone(),
            identity: self.identity.clone(),
            principal_id: self.principal_id.clone(),
            vault_id: self.vault_id.clone(),
            connection_name: self.connection_name.clone(),
            auth_type: self.auth_type,
            status: self.status,
            base_url: self.base_url.clone(),
            api_url: self.api_url.clone(),
            scopes: self.scopes.clone(),
            access_token: copy(&self.access_token),
            refresh_token: copy(&self.refresh_token),
            token_type: self.token_type.clone(),
            expires_at: self.expires_at,
            obtained_at: self.obtained_at,
            api_key: copy(&self.api_key),
            credentials: self.credentials.iter().map(|(name, value)| (name.clone(), value.duplicate())).collect(),
            account: self.account.clone(),
            metadata: self.metadata.clone(),
            extra: self.extra.clone(),
        }
    }

    /// The whole record as JSON, secrets included, for the vault and for a caller that may export.
    pub fn to_sealable_json(&self) -> SecretBuffer {
        self.view(Secret::expose)
    }

    /// The record as JSON with every secret replaced by [`MASK`].
    pub fn to_json(&self) -> Value {
        let view = self.view(|_| MASK);
        serde_json::from_slice(view.expose_bytes()).unwrap_or(Value::Null)
    }

    /// Every secret in the record, with its field name.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &Secret)> {
        let fields =
            [("access_token", &self.access_token), ("refresh_token", &self.refresh_token), ("api_key", &self.api_key)];
        fields
            .into_iter()
            .filter_map(|(name, secret)| Some((name, secret.as_ref()?)))
            .chain(self.credentials.iter().map(|(name, secret)| (name.as_str(), secret)))
    }

    fn view<'a>(&'a self, show: impl Fn(&'a Secret) -> &'a str) -> SecretBuffer {
        #[derive(Serialize)]
        struct View<'a> {
            schema_version: u32,
            provider: &'a str,
            identity: &'a str,
            principal_id: &'a str,
            vault_id: &'a str,
            connection_name: &'a str,
            auth_type: AuthType,
            status: ConnectionStatus,
            base_url: Option<&'a str>,
            api_url: Option<&'a str>,
            scopes: Option<&'a [String]>,
            access_token: Option<&'a str>,
            refresh_token: Option<&'a str>,
            token_type: Option<&'a str>,
            expires_at: Option<Timestamp>,
            obtained_at: Option<Timestamp>,
            api_key: Option<&'a str>,
            credentials: Option<BTreeMap<&'a str, &'a str>>,
            account: &'a Account,
            metadata: &'a Map<String, Value>,
            #[serde(flatten)]
            extra: &'a Map<String, Value>,
        }
        let view = View {
            schema_version: self.schema_version,
            provider: &self.provider,
            identity: &self.identity,
            principal_id: &self.principal_id,
            vault_id: &self.vault_id,
            connection_name: &self.connection_name,
            auth_type: self.auth_type,
            status: self.status,
            base_url: self.base_url.as_deref(),
            api_url: self.api_url.as_deref(),
            scopes: self.scopes.as_deref(),
            access_token: self.access_token.as_ref().map(&show),
            refresh_token: self.refresh_token.as_ref().map(&show),
            token_type: self.token_type.as_deref(),
            expires_at: self.expires_at,
            obtained_at: self.obtained_at,
            api_key: self.api_key.as_ref().map(&show),
            credentials: (!self.credentials.is_empty())
                .then(|| self.credentials.iter().map(|(name, secret)| (name.as_str(), show(secret))).collect()),
            account: &self.account,
            metadata: &self.metadata,
            extra: &self.extra,
        };
        SecretBuffer::from_json(&view).expect("a record is a map with string keys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_survive_and_masking_hides_every_secret() {
        let text = r#"{"provider":"x","connection_name":"default","auth_type":"oauth2","status":"connected",
            "access_token":"at-1","refresh_token":"rt-2","credentials":{"li_at":"ck-3"},"account":null,
            "metadata":{"note":1},"future":{"deep":[true]}}"#;
        let record: ConnectionRecord = serde_json::from_str(text).expect("parses");
        let sealed: Value = serde_json::from_slice(record.to_sealable_json().expose_bytes()).expect("is JSON");
        assert_eq!(sealed["future"]["deep"][0], true);
        assert_eq!(sealed["access_token"], "at-1");
        assert_eq!(record.duplicate().to_sealable_json().expose_bytes(), record.to_sealable_json().expose_bytes());
        let masked = record.to_json();
        assert_eq!(masked["credentials"]["li_at"], MASK);
        let masked = masked.to_string();
        for secret in ["at-1", "rt-2", "ck-3"] {
            assert!(!masked.contains(secret), "{secret} shows");
        }
        assert_eq!(record.secrets().count(), 3);
    }
}
