//! What a login asks for: the fields of the input page.

use serde::Serialize;

use super::StoredSession;
use crate::broker::clients::ClientSettings;
use crate::broker::{Actor, Broker};
use crate::error::Result;
use crate::model::{FlowType, InputField, OAuthSettings, ProviderDefinition};

/// What the input page shows.
#[derive(Clone, Debug, Serialize)]
pub struct InputPage {
    /// Session identifier.
    pub session_id: String,
    /// Provider name.
    pub provider: String,
    /// Provider name for people.
    pub display_name: String,
    /// Where to get what is asked for.
    pub docs_url: Option<String>,
    /// What is asked for.
    pub fields: Vec<InputField>,
    /// Redirect address to register with the provider.
    pub callback_url: Option<String>,
    /// What to know before filling it in.
    pub warning: Option<String>,
    /// How the login goes on, for the page.
    #[serde(skip)]
    pub flow: FlowType,
}

impl InputPage {
    /// Whether the form is a station on the way to the provider.
    pub fn leads_to_provider(&self) -> bool {
        matches!(self.flow, FlowType::Pkce | FlowType::DcrPkce | FlowType::DeviceCode)
    }
}

impl Broker {
    /// What to ask for in `session`.
    ///
    /// # Errors
    /// `ProviderNotFound` when the definition is gone, `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn input_page(&self, session: &StoredSession, daemon_url: &str) -> Result<InputPage> {
        let definition = self.entry(&session.public.provider)?.definition;
        let client = self.client(&definition.name)?;
        let fields = input_fields(&definition, session, client.as_ref());
        let asks_client = fields.iter().any(|field| field.name == "client_id");
        let callback_url = (asks_client && session.flow == FlowType::Pkce)
            .then(|| redirect_uri(daemon_url, definition.oauth.as_ref()));
        Ok(InputPage {
            session_id: session.public.id.clone(),
            provider: definition.name.clone(),
            display_name: definition.title().to_owned(),
            docs_url: definition.docs_url.clone(),
            flow: session.flow,
            fields,
            callback_url,
            warning: None,
        })
    }
}

impl Broker {
    /// Whether `actor` cannot log in before an administrator has stored a client.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn waits_for_client(&self, actor: &Actor, definition: &ProviderDefinition) -> Result<bool> {
        let asks = definition.oauth.as_ref().is_some_and(|oauth| asks_client(definition.flow, oauth));
        if actor.is_admin() || !asks {
            return Ok(false);
        }
        Ok(self.client(&definition.name)?.is_none_or(|client| client.client_id.is_none()))
    }
}

/// Where browsers come back to: the usual path, and the one that was documented before it.
pub(in crate::broker) const CALLBACK_PATHS: [&str; 2] = ["/api/auth/callback/oauth", "/auth/callback/oauth"];

/// Where the provider sends the browser back to, as the definition says.
pub fn redirect_uri(daemon_url: &str, oauth: Option<&OAuthSettings>) -> String {
    let path = oauth.and_then(|oauth| oauth.redirect_path.as_deref()).unwrap_or(CALLBACK_PATHS[0]);
    format!("{daemon_url}{path}")
}

/// The fields of `session`, in the order of the page.
pub(in crate::broker) fn input_fields(
    definition: &ProviderDefinition,
    session: &StoredSession,
    client: Option<&ClientSettings>,
) -> Vec<InputField> {
    match session.flow {
        FlowType::ApiKey => key_fields(definition, session),
        FlowType::Browser => cookie_fields(definition),
        FlowType::Pkce | FlowType::DeviceCode | FlowType::DcrPkce => oauth_fields(definition, session, client),
    }
}

fn oauth_fields(
    definition: &ProviderDefinition,
    session: &StoredSession,
    client: Option<&ClientSettings>,
) -> Vec<InputField> {
    let oauth = definition.oauth.clone().unwrap_or_default();
    let has_client = client.is_some_and(|client| client.client_id.is_some());
    let mut fields = Vec::new();
    if !has_client && client.is_none_or(|client| client.base_url.is_none()) {
        fields.extend(base_fields(definition, session));
    }
    if asks_client(session.flow, &oauth) && !has_client {
        fields.push(plain_field("client_id", "Client ID", None));
        fields.push(InputField {
            secret: true,
            required: oauth.client_type.as_deref() == Some("confidential"),
            ..plain_field("client_secret", "Client secret", None)
        });
    }
    let stored_scopes = client.is_some_and(|client| client.scopes.is_some());
    if session.scopes.is_none() && !stored_scopes {
        let usual = Some(oauth.scopes.join(", ")).filter(|scopes| !scopes.is_empty());
        fields.push(InputField { required: false, ..plain_field("scopes", "Scopes, with commas between them", usual) });
    }
    fields
}

/// A registration makes its own client, and a device login in JSON knows none.
fn asks_client(flow: FlowType, oauth: &OAuthSettings) -> bool {
    match flow {
        FlowType::Pkce => true,
        FlowType::DeviceCode => oauth.device_token_request.as_deref() != Some("json"),
        FlowType::DcrPkce | FlowType::ApiKey | FlowType::Browser => false,
    }
}

fn key_fields(definition: &ProviderDefinition, session: &StoredSession) -> Vec<InputField> {
    let mut fields = base_fields(definition, session);
    for field in definition.fields.iter().filter(|field| field.derive.is_none()) {
        fields.push(InputField {
            secret: field.secret,
            required: field.default.is_none() && !field.optional,
            ..plain_field(&field.name, field.label.as_deref().unwrap_or(&field.name), field.default.clone())
        });
    }
    let settings = definition.api_key.as_ref();
    fields.push(InputField {
        secret: true,
        pattern: settings.and_then(|settings| settings.key_pattern.clone()),
        pattern_hint: settings.and_then(|settings| settings.key_pattern_hint.clone()),
        ..plain_field("api_key", "API key", None)
    });
    fields
}

/// Each cookie that makes a session, to be pasted.
fn cookie_fields(definition: &ProviderDefinition) -> Vec<InputField> {
    let cookies = definition.browser.iter().flat_map(|browser| &browser.auth_cookies);
    cookies.map(|name| InputField { secret: true, ..plain_field(name, &format!("Cookie {name}"), None) }).collect()
}

/// Where the provider is, when everybody may have their own.
fn base_fields(definition: &ProviderDefinition, session: &StoredSession) -> Vec<InputField> {
    let default = definition.oauth.as_ref().and_then(|oauth| oauth.base_url.clone());
    if default.is_none() || session.base_url.is_some() {
        return Vec::new();
    }
    let api_url = InputField { required: false, ..plain_field("api_url", "API URL", None) };
    vec![plain_field("base_url", "Base URL", default), api_url]
}

fn plain_field(name: &str, label: &str, default: Option<String>) -> InputField {
    InputField {
        name: name.to_owned(),
        label: label.to_owned(),
        secret: false,
        default,
        required: true,
        pattern: None,
        pattern_hint: None,
    }
}
