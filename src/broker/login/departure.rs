//! A login that is about to leave for the provider: what is known by then, judged.

use super::{Pending, StoredSession};
use crate::broker::Broker;
use crate::broker::clients::ClientSettings;
use crate::broker::connections::fresh;
use crate::broker::given::{check_api_url, check_base_url, check_scopes};
use crate::broker::servers::{auth_server, check_server_of_client};
use crate::broker::sessions::{CALLBACK_PATHS, redirect_uri};
use crate::error::{AuthsomeError, Result};
use crate::flow::{AuthServer, FlowError, OAuthClient};
use crate::model::{AuthType, FlowType, OAuthSettings, ProviderDefinition};
use crate::provider::{Entry, Filling, destinations_fingerprint};

/// See the module.
pub(super) struct Departure<'a> {
    pub(super) session: &'a StoredSession,
    pub(super) entry: Entry,
    pub(super) server: AuthServer,
    pub(super) stored: Option<ClientSettings>,
    /// A client that was just given, where none is stored.
    given: Option<OAuthClient>,
    pub(super) scopes: Vec<String>,
    pub(super) redirect_uri: String,
    /// Where the connection's secrets will go.
    pub(super) destinations: String,
}

impl Broker {
    /// # Errors
    /// `InvalidInput` for an address or scopes that cannot be used, `OperationNotAllowed` for another client or another
    /// server than the stored ones, `CredentialMissing` when nothing says where the tokens will be used.
    pub(super) fn depart<'a>(
        &self,
        session: &'a StoredSession,
        stored: Option<ClientSettings>,
        given: Option<OAuthClient>,
        daemon_url: &str,
    ) -> Result<Departure<'a>> {
        let entry = self.entry(&session.public.provider)?;
        let definition = &entry.definition;
        session.base_url.as_deref().map(check_base_url).transpose()?;
        session.api_url.as_deref().map(|url| check_api_url(definition, url)).transpose()?;
        check_server_of_client(session, definition, stored.as_ref())?;
        let given = given.map_or(Ok(None), |given| unless_stored(given, stored.as_ref(), definition))?;
        let mut draft = fresh(&session.actor(), &definition.name, &session.public.connection, AuthType::Oauth2);
        draft.base_url.clone_from(&session.base_url);
        draft.api_url.clone_from(&session.api_url);
        let mut server = auth_server(definition, &Filling::of(&draft))?;
        if let Some(discovered) = stored.as_ref().and_then(|stored| stored.discovered.as_ref()) {
            discovered.complete(&mut server);
        }
        let destinations = destinations_fingerprint(definition, &Filling::of(&draft))?;
        let usual = || stored.as_ref().and_then(|stored| stored.scopes.clone());
        let scopes = session.scopes.clone().or_else(usual).unwrap_or_else(|| server.settings.scopes.clone());
        check_scopes(&scopes)?;
        let redirect_uri = redirect_uri_of(stored.as_ref(), daemon_url, definition.oauth.as_ref());
        Ok(Departure { session, entry, server, stored, given, scopes, redirect_uri, destinations })
    }
}

impl Departure<'_> {
    /// The client of this login: the one that was just given, else the one that is stored. A device login in JSON has
    /// none.
    pub(super) fn client(&self) -> Result<Pending, FlowError> {
        if let Some(given) = &self.given {
            return Ok(Pending::of(given, true));
        }
        if let Some((stored, client)) = self.stored.as_ref().and_then(|it| Some((it, it.oauth_client()?))) {
            return Ok(Pending { discovered: stored.discovered.clone(), ..Pending::of(&client, false) });
        }
        if self.session.flow == FlowType::DeviceCode {
            return Ok(Pending::default());
        }
        Err(FlowError::Unsupported { reason: "no OAuth client is stored for this provider".to_owned() })
    }
}

/// A client that is `given`, unless that is the stored one. Another one is refused: its tokens would be refreshed in the
/// name of the stored client.
fn unless_stored(
    given: OAuthClient,
    stored: Option<&ClientSettings>,
    definition: &ProviderDefinition,
) -> Result<Option<OAuthClient>> {
    let Some(stored) = stored.and_then(ClientSettings::oauth_client) else { return Ok(Some(given)) };
    let is_same_secret = match (&given.secret, &stored.secret) {
        (Some(given), Some(stored)) => given.constant_time_eq(stored.expose().as_bytes()),
        (Some(_), None) => false,
        (None, _) => true,
    };
    if given.id == stored.id && is_same_secret {
        return Ok(None);
    }
    Err(AuthsomeError::OperationNotAllowed {
        operation: "login",
        reason: format!("another OAuth client is stored for '{}'", definition.name),
        hint: Some("an administrator can change it, which ends its connections: authsome provider configure"),
    })
}

/// Where the provider sends the browser back to: as the definition says, unless the client was registered with the other
/// of our addresses.
fn redirect_uri_of(stored: Option<&ClientSettings>, daemon_url: &str, oauth: Option<&OAuthSettings>) -> String {
    let usual = redirect_uri(daemon_url, oauth);
    let all = CALLBACK_PATHS.iter().map(|path| format!("{daemon_url}{path}"));
    let is_registered = |uri: &String| stored.is_some_and(|stored| is_registered_for(stored, uri));
    std::iter::once(usual.clone()).chain(all).find(is_registered).unwrap_or(usual)
}

/// A native client may use any port of the loopback interface (RFC 8252 section 7.3): a daemon may have moved.
pub(super) fn is_registered_for(stored: &ClientSettings, redirect_uri: &str) -> bool {
    let without_port = |url: &str| {
        let (host, rest) = url.strip_prefix("http://")?.split_once(':')?;
        let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        matches!(host, "127.0.0.1" | "localhost").then(|| format!("{host}{rest}"))
    };
    stored.redirect_uri.as_deref().is_none_or(|registered| {
        registered == redirect_uri
            || without_port(registered).is_some_and(|known| Some(known) == without_port(redirect_uri))
    })
}
