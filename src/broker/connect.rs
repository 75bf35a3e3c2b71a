//! Connecting with an API key or with the cookies of a browser.

use std::collections::BTreeMap;

use super::audit::Prepared;
use super::connections::fresh;
use super::{Actor, Broker, check_name, event, with_fact};
use crate::clock::Timestamp;
use crate::error::{AuthsomeError, Result};
use crate::flow::api_key;
use crate::model::{AuthType, BrowserSettings, ConnectionRecord, ConnectionStatus, ProviderDefinition};
use crate::provider::{Entry, slots};
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

/// The cookies of a signed-in browser.
#[derive(Debug)]
pub struct CookieLogin<'a> {
    /// Provider name.
    pub provider: &'a str,
    /// Connection name.
    pub connection: &'a str,
    /// Values by name. Only those that the definition uses are kept.
    pub cookies: BTreeMap<String, Secret>,
    /// When cookies end, by name, in seconds since 1970.
    pub expires: BTreeMap<String, i64>,
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
        let entry = self.may_connect(actor, AuthType::ApiKey, login.provider, login.connection, login.force)?;
        let definition = &entry.definition;
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
        let record =
            self.store_new(&entry, record, &self.login_noted(actor, login.provider, login.connection, &entry))?;
        Ok((record, warnings))
    }

    /// Stores cookies. Their life is what the definition's cookie says, else what the definition says.
    ///
    /// # Errors
    /// As [`Broker::connect_api_key`]; `CredentialMissing` names the cookies that are missing.
    pub fn connect_cookies(&self, actor: &Actor, login: CookieLogin<'_>) -> Result<ConnectionRecord> {
        let entry = self.may_connect(actor, AuthType::Browser, login.provider, login.connection, login.force)?;
        let browser = entry.definition.browser.clone().unwrap_or_default();
        let now = self.clock.now();
        let mut record = fresh(actor, login.provider, login.connection, AuthType::Browser);
        record.expires_at = cookie_end(&browser, &login.expires, now);
        record.credentials = cookies(&entry.definition, &browser, login.cookies)?;
        record.obtained_at = Some(now);
        record.status = ConnectionStatus::Connected;
        slots(&entry.definition, &record)?;
        self.store_new(&entry, record, &self.login_noted(actor, login.provider, login.connection, &entry))
    }

    fn login_noted(&self, actor: &Actor, provider: &str, connection: &str, entry: &Entry) -> Prepared {
        let noted = event("provider.login", provider, Some(connection));
        self.noted(actor, with_fact(noted, "auth_type", entry.definition.auth_type.as_str()))
    }

    /// The definition of `provider`, when `actor` may connect to it so.
    fn may_connect(
        &self,
        actor: &Actor,
        auth_type: AuthType,
        provider: &str,
        connection: &str,
        force: bool,
    ) -> Result<Entry> {
        actor.check_use("login")?;
        let entry = self.entry(provider)?;
        check_name(connection)?;
        let lacks_cookies = auth_type == AuthType::Browser && entry.definition.browser.is_none();
        if entry.definition.auth_type != auth_type || lacks_cookies {
            let auth_type = auth_type.as_str().to_owned();
            return Err(AuthsomeError::UnsupportedAuthType { provider: provider.to_owned(), auth_type });
        }
        if !force && self.usable(actor, provider, connection)? {
            return Err(AuthsomeError::ConnectionAlreadyExists {
                provider: provider.to_owned(),
                connection: connection.to_owned(),
            });
        }
        Ok(entry)
    }

    /// Whether there is a connection that works as far as we know.
    pub(super) fn usable(&self, actor: &Actor, provider: &str, name: &str) -> Result<bool> {
        let found = self.find(&actor.vault_id, provider, name)?;
        let now = self.clock.now();
        Ok(found.is_some_and(|(record, _)| {
            let lives_on = record.refresh_token.is_some() || record.expires_at.is_none_or(|end| end > now);
            record.status == ConnectionStatus::Connected && lives_on
        }))
    }
}

/// When a browser session ends, as far as anybody says.
fn cookie_end(browser: &BrowserSettings, expires: &BTreeMap<String, i64>, now: Timestamp) -> Option<Timestamp> {
    let of_cookie = browser.ttl_from_cookie.as_ref().and_then(|name| expires.get(name)).copied();
    let of_cookie = of_cookie.filter(|seconds| *seconds > now.unix()).and_then(Timestamp::from_unix);
    #[allow(clippy::cast_possible_truncation)] // hours of a definition; a cast of a float stops at the ends
    let usual = || browser.ttl_hours.map(|hours| now.plus_seconds((hours * 3600.0) as i64));
    of_cookie.or_else(usual)
}

/// The cookies that the definition uses, cleaned. Those that make a session must all be there.
fn cookies(
    definition: &ProviderDefinition,
    browser: &BrowserSettings,
    mut given: BTreeMap<String, Secret>,
) -> Result<BTreeMap<String, Secret>> {
    let is_empty = |name: &&String| given.get(*name).is_none_or(|value| value.expose().trim().is_empty());
    let missing: Vec<&str> = browser.auth_cookies.iter().filter(is_empty).map(String::as_str).collect();
    if !missing.is_empty() {
        return Err(AuthsomeError::CredentialMissing {
            provider: definition.name.clone(),
            reason: format!("these cookies are missing: {}", missing.join(", ")),
        });
    }
    let used = browser.auth_cookies.iter().chain(browser.extract.iter().map(|extract| &extract.cookie));
    let found = used.filter_map(|name| given.remove(name).map(|value| (name.clone(), value)));
    found.map(|(name, value)| Ok((name, api_key::clean(&value)?))).collect()
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
