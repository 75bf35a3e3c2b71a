//! The authorization server of a connection and the client that we are to it.

use std::collections::BTreeSet;

use super::clients::ClientSettings;
use super::{Broker, StoredSession};
use crate::error::{AuthsomeError, Result};
use crate::flow::{AuthServer, OAuthClient};
use crate::model::{OAuthSettings, ProviderDefinition, Role};
use crate::provider::{Filling, fill_url};

impl Broker {
    /// The authorization server of `definition` for a connection that brings `filling`, and our client there, where one
    /// is stored.
    ///
    /// # Errors
    /// `InvalidProviderSchema` when a URL cannot be filled, `StoreUnavailable`, `EncryptionUnavailable`.
    pub(super) fn server_and_client(
        &self,
        definition: &ProviderDefinition,
        filling: &Filling<'_>,
    ) -> Result<(AuthServer, Option<OAuthClient>)> {
        let client = self.client(&definition.name)?;
        let mut server = auth_server(definition, filling)?;
        if let Some(discovered) = client.as_ref().and_then(|client| client.discovered.as_ref()) {
            discovered.complete(&mut server);
        }
        Ok((server, client.as_ref().and_then(ClientSettings::oauth_client)))
    }
}

/// The authorization server that `definition` describes.
///
/// # Errors
/// `InvalidProviderSchema` when a URL cannot be filled.
pub(super) fn auth_server(definition: &ProviderDefinition, filling: &Filling<'_>) -> Result<AuthServer> {
    let fill = |field: &str, url: &Option<String>| -> Result<Option<String>> {
        let Some(url) = url else { return Ok(None) };
        fill_url(definition, filling, url).map(Some).map_err(|reason| AuthsomeError::InvalidProviderSchema {
            provider: Some(definition.name.clone()),
            field: field.to_owned(),
            reason,
        })
    };
    let oauth = definition.oauth.clone().unwrap_or_default();
    let mut revoke = oauth.revoke.clone();
    if let Some(revoke) = &mut revoke {
        revoke.url = fill("oauth.revoke.url", &revoke.url)?;
    }
    let settings = OAuthSettings {
        authorization_url: fill("oauth.authorization_url", &oauth.authorization_url)?,
        token_url: fill("oauth.token_url", &oauth.token_url)?,
        revocation_url: fill("oauth.revocation_url", &oauth.revocation_url)?,
        device_authorization_url: fill("oauth.device_authorization_url", &oauth.device_authorization_url)?,
        base_url: filling.base_url.map(str::to_owned).or_else(|| oauth.base_url.clone()),
        revoke,
        ..oauth
    };
    let registration = definition.registration.as_ref().and_then(|it| it.registration_endpoint.clone());
    Ok(AuthServer {
        provider: definition.name.clone(),
        registration_endpoint: fill("registration.registration_endpoint", &registration)?,
        issuer: None,
        settings,
    })
}

/// Whom a client's secret is told: the origins of the endpoints that it authenticates itself at.
///
/// # Errors
/// `InvalidProviderSchema` when a URL cannot be filled.
pub(super) fn confidants(
    definition: &ProviderDefinition,
    base_url: Option<&str>,
    api_url: Option<&str>,
) -> Result<BTreeSet<String>> {
    let mut filling = Filling::at(base_url);
    filling.api_url = api_url;
    let settings = auth_server(definition, &filling)?.settings;
    let revoke = settings.revoke.and_then(|revoke| revoke.url);
    // What the definition leaves open is discovered at the server that it does name.
    let token = settings.token_url.or(settings.authorization_url).or(settings.base_url);
    let urls = [token, settings.device_authorization_url, settings.revocation_url, revoke];
    Ok(urls.into_iter().flatten().map(|url| origin(&url)).collect())
}

/// Scheme, host and port as written.
fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}://{authority}").to_ascii_lowercase()
}

/// Whether two addresses are one, but for slashes at their end.
pub(super) fn is_same_address(one: Option<&str>, other: Option<&str>) -> bool {
    one.map(|url| url.trim_end_matches('/')) == other.map(|url| url.trim_end_matches('/'))
}

/// A client belongs to the server that it was made at: its secret goes nowhere else.
///
/// # Errors
/// `OperationNotAllowed` when the login of `session` is at another server than the `stored` client's, or, but for an
/// administrator, at another API; `InvalidProviderSchema`.
pub(super) fn check_server_of_client(
    session: &StoredSession,
    definition: &ProviderDefinition,
    stored: Option<&ClientSettings>,
) -> Result<()> {
    let default = definition.oauth.as_ref().and_then(|oauth| oauth.base_url.as_deref());
    let Some(stored) = stored.filter(|stored| stored.client_id.is_some()) else { return Ok(()) };
    let of_client = stored.base_url.as_deref().or(default);
    let (asked, api_url) = (session.base_url.as_deref(), session.api_url.as_deref());
    let is_own_api = api_url.is_none() || is_same_address(api_url, stored.api_url.as_deref());
    let is_own_server = asked.is_none() || is_same_address(asked, of_client);
    let may_go = is_own_api
        || session.role == Role::Admin && {
            let told = confidants(definition, asked, api_url)?;
            told.is_subset(&confidants(definition, stored.base_url.as_deref(), stored.api_url.as_deref())?)
        };
    if is_own_server && may_go {
        return Ok(());
    }
    Err(AuthsomeError::OperationNotAllowed {
        operation: "login",
        reason: format!(
            "the OAuth client of '{}' belongs to {}; its secret is sent nowhere else",
            definition.name,
            of_client.unwrap_or("its own server")
        ),
        hint: Some("register a definition of its own for another server: authsome provider register"),
    })
}
