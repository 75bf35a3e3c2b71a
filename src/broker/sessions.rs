//! Auth sessions: one attempt to log in to one provider, from the first request to the stored connection.
//!
//! A session is a sealed record that ends by itself; it never holds a secret. The one in a browser and the one on the
//! command line are the same thing seen from two sides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Actor, ApiKeyLogin, Broker, check_name, keys};
use crate::error::{AuthsomeError, Result};
use crate::limits::AUTH_SESSION_SECONDS;
use crate::model::{
    AuthSession, AuthType, FlowType, Grants, InputField, NextAction, ProviderDefinition, Role, SessionStatus,
};
use crate::paths::hex;
use crate::secret::{Secret, SecretBuffer, random_bytes};
use crate::vault::{ExpectedVersion, VaultWrite, Version};

/// How long an ended session can still be looked at.
const AFTERLIFE_SECONDS: i64 = 3600;

/// What a caller asks for when a login starts.
#[derive(Debug)]
pub struct SessionRequest {
    /// Provider name.
    pub provider: String,
    /// Connection name.
    pub connection: String,
    /// Another flow than the definition's.
    pub flow: Option<FlowType>,
    /// Scopes to ask for.
    pub scopes: Option<Vec<String>>,
    /// What `{base_url}` stands for.
    pub base_url: Option<String>,
    /// Log in again even when there is a usable connection.
    pub force: bool,
    /// Started in a browser: then that principal's browser session is needed throughout.
    pub from_dashboard: bool,
}

/// A session as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredSession {
    /// What the wire shows.
    pub public: AuthSession,
    /// Who started it; `None`: a browser.
    pub identity: Option<String>,
    /// For whom.
    pub principal_id: String,
    vault_id: String,
    role: Role,
    flow: FlowType,
    scopes: Option<Vec<String>>,
    base_url: Option<String>,
    force: bool,
    /// Whether it was started in a browser.
    pub from_dashboard: bool,
    /// Hash of the handle of the browser that opened a page of it.
    pub browser: Option<String>,
    /// Which write this was read from; `None`: not stored yet.
    #[serde(skip)]
    version: Option<Version>,
}

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
}

impl Broker {
    /// Starts a login. A usable connection and no `force`: the session is completed at once.
    ///
    /// # Errors
    /// `ProviderNotFound`, `UnsupportedFlow`, `OperationNotAllowed` for logins that this version cannot do,
    /// `StoreUnavailable`.
    pub fn start_session(&self, actor: &Actor, request: SessionRequest, daemon_url: &str) -> Result<AuthSession> {
        actor.check_use("login")?;
        let definition = self.entry(&request.provider)?.definition;
        check_name(&request.connection)?;
        let flow = choose_flow(&definition, request.flow)?;
        let already = !request.force && self.usable(actor, &request.provider, &request.connection)?;
        if !already && flow != FlowType::ApiKey {
            return Err(not_yet(flow));
        }
        let now = self.clock.now();
        let id = format!("sess_{}", hex(&random_bytes::<6>()));
        let (status, message, next_action) = if already {
            (SessionStatus::Completed, "Already connected", NextAction::None)
        } else {
            let url = format!("{daemon_url}/auth/input?session={id}");
            (SessionStatus::WaitingForUser, "Waiting for the key", NextAction::OpenUrl { url })
        };
        let session = StoredSession {
            public: AuthSession {
                id,
                provider: request.provider,
                connection: request.connection,
                status,
                message: Some(message.to_owned()),
                error: None,
                created_at: now,
                expires_at: now.plus_seconds(AUTH_SESSION_SECONDS),
                next_action,
                user_code: None,
                verification_uri: None,
                verification_uri_complete: None,
            },
            identity: actor.identity.clone(),
            principal_id: actor.principal_id.clone(),
            vault_id: actor.vault_id.clone(),
            role: actor.role,
            flow,
            scopes: request.scopes,
            base_url: request.base_url,
            force: request.force,
            from_dashboard: request.from_dashboard,
            browser: None,
            version: None,
        };
        self.save_session(&session)?;
        Ok(session.public)
    }

    /// The session called `id`, as it stands now; `None` when there is none.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn session(&self, id: &str) -> Result<Option<StoredSession>> {
        if !is_session_id(id) {
            return Ok(None);
        }
        let Some((mut session, version)) = self.read::<StoredSession>(&keys::session(id))? else { return Ok(None) };
        session.version = Some(version);
        if !session.public.status.is_final() && session.public.expires_at <= self.clock.now() {
            session.public.status = SessionStatus::Expired;
            session.public.message = Some("Nobody finished this login in time".to_owned());
            session.public.next_action = NextAction::None;
        }
        Ok(Some(session))
    }

    /// The session called `id`, when `actor` started it.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn own_session(&self, actor: &Actor, id: &str) -> Result<Option<StoredSession>> {
        let found = self.session(id)?;
        Ok(found.filter(|session| session.identity == actor.identity && session.principal_id == actor.principal_id))
    }

    /// What to ask for in `session`.
    ///
    /// # Errors
    /// `ProviderNotFound` when the definition is gone.
    pub fn input_page(&self, session: &StoredSession) -> Result<InputPage> {
        let definition = self.entry(&session.public.provider)?.definition;
        Ok(InputPage {
            session_id: session.public.id.clone(),
            provider: definition.name.clone(),
            display_name: definition.title().to_owned(),
            docs_url: definition.docs_url.clone(),
            fields: input_fields(&definition, session.base_url.as_deref()),
            callback_url: None,
            warning: None,
        })
    }

    /// Finishes `session` with what was filled in or sent by the client. A refused input leaves it waiting, so that
    /// the person can correct it. Of several callers at once, one gets to try.
    ///
    /// # Errors
    /// `OperationNotAllowed` when the session is over or somebody else is at it; what [`Broker::connect_api_key`] says.
    pub fn submit(&self, session: StoredSession, values: BTreeMap<String, Secret>) -> Result<AuthSession> {
        let mut session = session;
        let before = session.public.status;
        let is_open = !before.is_final() && before != SessionStatus::Processing;
        session.public.status = SessionStatus::Processing;
        if !is_open || !self.save_session(&session)? {
            return Err(AuthsomeError::OperationNotAllowed {
                operation: "login",
                reason: if is_open {
                    "this login is being finished".to_owned()
                } else {
                    format!("this login is {}", before.as_str())
                },
                hint: Some("start it again: authsome login PROVIDER"),
            });
        }
        let connected = self.finish(&session, values);
        let ended = self.change_session(session, |public| match &connected {
            Ok(warnings) => {
                public.status = SessionStatus::Completed;
                public.next_action = NextAction::None;
                public.message = Some(match warnings.as_slice() {
                    [] => "Connected".to_owned(),
                    some => format!("Connected. Note: {}", some.join("; ")),
                });
            }
            Err(_) => public.status = before,
        });
        connected?;
        ended
    }

    /// Changes a session that only its caller may end, beside others who may open its page.
    fn change_session(&self, mut session: StoredSession, change: impl Fn(&mut AuthSession)) -> Result<AuthSession> {
        loop {
            let found = self.session(&session.public.id)?;
            let is_gone = found.is_none(); // its time was over: there is nothing to keep
            session = found.unwrap_or(session);
            change(&mut session.public);
            if is_gone || self.save_session(&session)? {
                return Ok(session.public);
            }
        }
    }

    fn finish(&self, session: &StoredSession, mut values: BTreeMap<String, Secret>) -> Result<Vec<String>> {
        let key = values.remove("api_key").ok_or_else(|| AuthsomeError::CredentialMissing {
            provider: session.public.provider.clone(),
            reason: "the key is missing".to_owned(),
        })?;
        let mut address = |name: &str| {
            let value = values.remove(name).map(|value| value.expose().trim().to_owned());
            value.filter(|value| !value.is_empty()) // a form sends what was left empty
        };
        let base_url = address("base_url").or_else(|| session.base_url.clone());
        let login = ApiKeyLogin {
            provider: &session.public.provider,
            connection: &session.public.connection,
            key,
            base_url,
            api_url: address("api_url"),
            fields: values,
            force: session.force,
        };
        self.connect_api_key(&session.actor(), login).map(|(_, warnings)| warnings)
    }

    /// Ties the pages of `session` to one browser, by the hash of its handle. Returns whether it is that browser's.
    ///
    /// # Errors
    /// `StoreUnavailable`.
    pub fn bind_browser(&self, session: &mut StoredSession, handle_hash: &str) -> Result<bool> {
        while session.browser.is_none() {
            session.browser = Some(handle_hash.to_owned());
            if self.save_session(session)? {
                return Ok(true);
            }
            // Another request was faster: what it wrote counts.
            let Some(now) = self.session(&session.public.id)? else { return Ok(false) };
            *session = now;
        }
        Ok(session.browser.as_deref() == Some(handle_hash))
    }

    /// Writes `session` unless it was written since it was read; whether it did.
    fn save_session(&self, session: &StoredSession) -> Result<bool> {
        let value = SecretBuffer::from_json(session).expect("a map with string keys");
        let write = VaultWrite {
            key: &keys::session(&session.public.id),
            value: Some(value.expose_bytes()),
            expected: session.version.as_ref().map_or(ExpectedVersion::Absent, ExpectedVersion::Is),
            expires_at: Some(session.public.expires_at.plus_seconds(AFTERLIFE_SECONDS)),
        };
        self.vault.apply(&[write])
    }
}

impl StoredSession {
    /// Who acts when a page without authentication finishes this session: whoever started it.
    pub fn actor(&self) -> Actor {
        Actor {
            identity: self.identity.clone(),
            principal_id: self.principal_id.clone(),
            vault_id: self.vault_id.clone(),
            role: self.role,
            grants: Grants::default(),
        }
    }
}

fn is_session_id(id: &str) -> bool {
    id.strip_prefix("sess_").is_some_and(|hex| hex.len() == 12 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn choose_flow(definition: &ProviderDefinition, asked: Option<FlowType>) -> Result<FlowType> {
    let flow = asked.unwrap_or(definition.flow);
    let fits = match definition.auth_type {
        AuthType::ApiKey => flow == FlowType::ApiKey,
        AuthType::Browser => flow == FlowType::Browser,
        AuthType::Oauth2 => matches!(flow, FlowType::Pkce | FlowType::DeviceCode | FlowType::DcrPkce),
    };
    if fits {
        return Ok(flow);
    }
    Err(AuthsomeError::UnsupportedFlow { provider: definition.name.clone(), flow: flow.as_str().to_owned() })
}

fn not_yet(flow: FlowType) -> AuthsomeError {
    AuthsomeError::OperationNotAllowed {
        operation: "login",
        reason: format!("this version cannot log in with the flow '{}' yet; it stores API keys", flow.as_str()),
        hint: Some("see the README for what comes next"),
    }
}

fn input_fields(definition: &ProviderDefinition, base_url: Option<&str>) -> Vec<InputField> {
    let mut fields = Vec::new();
    let default_base = definition.oauth.as_ref().and_then(|oauth| oauth.base_url.clone());
    if let (Some(default), None) = (default_base, base_url) {
        fields.push(plain_field("base_url", "Base URL", Some(default)));
        fields.push(InputField { required: false, ..plain_field("api_url", "API URL", None) });
    }
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
