//! The authorization server of one login or connection.

use super::call::ClientAuth;
use super::endpoint::Endpoint;
use super::{AuthMethod, FlowError, OAuthClient};
use crate::model::OAuthSettings;

/// An authorization server and its habits: the OAuth part of a definition with its placeholders filled, and what
/// discovery added.
#[derive(Clone, Debug)]
pub struct AuthServer {
    /// Provider name, for `authsome-<provider>` and for messages.
    pub provider: String,
    /// Endpoints and habits; no URL holds a placeholder, but `revoke.url` may hold `{client_id}`.
    pub settings: OAuthSettings,
    /// Where clients are registered (RFC 7591), when that is known.
    pub registration_endpoint: Option<String>,
    /// The issuer identifier, when that is known (RFC 8414): what RFC 9207's `iss` must be.
    pub issuer: Option<String>,
}

impl AuthServer {
    pub(super) fn token_endpoint(&self) -> Result<Endpoint, FlowError> {
        Endpoint::required(self.settings.token_url.as_deref(), "token")
    }

    /// How `client` proves itself here.
    pub(super) fn client_auth(&self, client: &OAuthClient) -> ClientAuth {
        match client.method {
            Some(AuthMethod::Post) => ClientAuth::Body,
            Some(AuthMethod::Basic) => ClientAuth::Basic,
            None => ClientAuth::named(self.settings.authorization_method.as_deref()),
        }
    }

    /// Scopes as this server wants them in one text.
    pub(super) fn join_scopes(&self, scopes: &[String]) -> String {
        scopes.join(self.scope_separator())
    }

    /// Scopes out of one text of this server: at its separator and at white space. GitHub asks with spaces and answers
    /// with commas, so a text with commas and without a space is split there too.
    pub(super) fn split_scopes(&self, text: &str) -> Vec<String> {
        let by_commas = self.scope_separator() == "," || !text.trim().contains(char::is_whitespace);
        let is_between = |character: char| {
            character.is_whitespace() || (by_commas && character == ',') || self.scope_separator().contains(character)
        };
        text.split(is_between).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
    }

    fn scope_separator(&self) -> &str {
        self.settings.scope_separator.as_deref().filter(|separator| !separator.is_empty()).unwrap_or(" ")
    }
}
