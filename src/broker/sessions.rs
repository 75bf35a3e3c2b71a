//! Auth sessions: one attempt to log in to one provider, from the first request to the stored connection.
//!
//! A session is a sealed record that ends by itself; it holds no secret but the `state` in the address that its browser
//! is sent to (what nobody may see at all stands beside it, see `login`). The one in a browser and the one on the command line are the same thing seen from two sides.

mod inputs;
mod interrupted;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(super) use inputs::{CALLBACK_PATHS, input_fields};
pub use inputs::{InputPage, redirect_uri};

use super::given::{check_length, check_scopes, take_text};
use super::{Actor, ApiKeyLogin, Broker, CookieLogin, check_name, keys};
use crate::clock::Timestamp;
use crate::error::{AuthsomeError, Result};
use crate::limits::{AUTH_SESSION_SECONDS, LOGINS_EACH};
use crate::model::{AuthSession, AuthType, FlowType, Grants, NextAction, ProviderDefinition, Role, SessionStatus};
use crate::paths::hex;
use crate::secret::{Secret, SecretBuffer, random_bytes};
use crate::vault::{ExpectedVersion, VaultWrite, Version};

/// How long an ended session can still be looked at.
const AFTERLIFE_SECONDS: i64 = 3600;
/// How long somebody who finishes a session has for it: as long as a request may take, which is a refresh
/// (30 s) behind a lock (20 s), retried.
const CLAIM_SECONDS: i64 = 150;

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
    /// Started in a browser: the page of ours that it leads back to. That principal's browser session is needed
    /// throughout.
    pub return_to: Option<String>,
}

/// What a person filled in, or a client sent.
#[derive(Debug, Default)]
pub struct Input {
    /// Values by name.
    pub values: BTreeMap<String, Secret>,
    /// When cookies end, by name, in seconds since 1970.
    pub expires: BTreeMap<String, i64>,
}

impl From<BTreeMap<String, Secret>> for Input {
    fn from(values: BTreeMap<String, Secret>) -> Self {
        Self { values, ..Self::default() }
    }
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
    pub(super) vault_id: String,
    pub(super) role: Role,
    /// How the login goes.
    pub flow: FlowType,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) base_url: Option<String>,
    #[serde(default)]
    pub(super) api_url: Option<String>,
    pub(super) force: bool,
    /// Where it leads back to, when it was started in a browser.
    #[serde(default)]
    pub return_to: Option<String>,
    /// Hash of the handle of the browser that opened a page of it.
    pub browser: Option<String>,
    /// Which write this was read from; `None`: not stored yet.
    #[serde(skip)]
    pub(super) version: Option<Version>,
}

impl Broker {
    /// Starts a login. A usable connection and no `force`: the session is completed at once. A login that the provider
    /// spoils at its start gives a session that has failed.
    ///
    /// # Errors
    /// `ProviderNotFound`, `UnsupportedFlow`, `InvalidInput`, `OperationNotAllowed` (no client is stored, and only an
    /// administrator may bring one; too many logins), `StoreUnavailable`.
    pub fn start_session(&self, actor: &Actor, request: SessionRequest, daemon_url: &str) -> Result<AuthSession> {
        actor.check_use("login")?;
        let definition = self.entry(&request.provider)?.definition;
        check_name(&request.connection)?;
        check_scopes(request.scopes.as_deref().unwrap_or_default())?;
        check_length("URL", request.base_url.as_deref().map_or(0, str::len))?;
        let flow = choose_flow(&definition, request.flow)?;
        self.check_pace(actor)?;
        let already = !request.force && self.usable(actor, &request.provider, &request.connection)?;
        let from_dashboard = request.return_to.is_some();
        let mut session = self.new_session(actor, request, flow);
        if already {
            session.end(SessionStatus::Completed, "Already connected");
        } else if let Some(next) = browser_action(&definition).filter(|_| flow == FlowType::Browser && !from_dashboard)
        {
            session.wait("Waiting for the cookies", next);
        } else if matches!(flow, FlowType::ApiKey | FlowType::Browser) {
            let what = if flow == FlowType::ApiKey { "Waiting for the key" } else { "Waiting for the cookies" };
            session.wait(what, input_action(&session, daemon_url));
        } else if self.needs_input(&definition, &session)? || from_dashboard {
            session.wait("Waiting for the client of this provider", input_action(&session, daemon_url));
        } else {
            return self.advance(session, None, daemon_url).map(|session| session.public);
        }
        self.save_session(&session)?;
        Ok(session.public)
    }

    /// Refuses who has more logins under way than anybody needs.
    fn check_pace(&self, actor: &Actor) -> Result<()> {
        if self.vault.list(&keys::begun(&actor.principal_id))?.len() < LOGINS_EACH {
            return Ok(());
        }
        Err(AuthsomeError::OperationNotAllowed {
            operation: "login",
            reason: format!("{LOGINS_EACH} logins are under way already"),
            hint: Some("finish or cancel some, or wait a few minutes"),
        })
    }

    fn new_session(&self, actor: &Actor, request: SessionRequest, flow: FlowType) -> StoredSession {
        let now = self.clock.now();
        StoredSession {
            public: AuthSession {
                id: format!("sess_{}", hex(&random_bytes::<6>())),
                provider: request.provider,
                connection: request.connection,
                status: SessionStatus::Pending,
                message: None,
                error: None,
                created_at: now,
                expires_at: now.plus_seconds(AUTH_SESSION_SECONDS),
                next_action: NextAction::None,
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
            api_url: None,
            force: request.force,
            return_to: request.return_to,
            browser: None,
            version: None,
        }
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

    /// Goes on with `session`, with what was filled in or sent by the client. A refused input leaves it waiting, so that
    /// the person can correct it. Of several callers at once, one gets to try.
    ///
    /// # Errors
    /// `OperationNotAllowed` when the session is over or somebody else is at it; what [`Broker::connect_api_key`] says.
    pub fn submit(&self, session: StoredSession, input: Input, daemon_url: &str) -> Result<AuthSession> {
        let before = session.public.status;
        let session = self.claim(session)?;
        match self.go_on(session.clone(), input, daemon_url) {
            Ok(public) => Ok(public),
            Err(error) => {
                // A mistake can be corrected, but who has cancelled does not wait again.
                self.change_session(session, |public| {
                    if public.status == SessionStatus::Processing {
                        public.status = before;
                    }
                })?;
                Err(error)
            }
        }
    }

    fn go_on(&self, session: StoredSession, input: Input, daemon_url: &str) -> Result<AuthSession> {
        let connected = match session.flow {
            FlowType::ApiKey => self.finish_key(&session, input.values),
            FlowType::Browser => self.finish_cookies(&session, input),
            FlowType::Pkce | FlowType::DeviceCode | FlowType::DcrPkce => {
                return self.go_on_with_oauth(session, input.values, daemon_url);
            }
        };
        let warnings = connected?;
        self.change_session(session, |public| {
            public.status = SessionStatus::Completed;
            public.next_action = NextAction::None;
            public.message = Some(match warnings.as_slice() {
                [] => "Connected".to_owned(),
                some => format!("Connected. Note: {}", some.join("; ")),
            });
        })
    }

    /// Takes hold of an open session: from now on nobody else goes on with it, and it does not end by itself while what
    /// the provider says is on its way.
    pub(super) fn claim(&self, mut session: StoredSession) -> Result<StoredSession> {
        let before = session.public.status;
        loop {
            if !session.is_open() {
                return Err(over(false, session.public.status));
            }
            let mut claimed = session.clone();
            claimed.public.status = SessionStatus::Processing;
            claimed.public.expires_at = session.public.expires_at.max(self.clock.now().plus_seconds(CLAIM_SECONDS));
            let is_ours = self.save_session(&claimed)?;
            let now = self.session(&session.public.id)?;
            match now {
                // With the version of what was just written, unless somebody has cancelled it since.
                Some(now) if is_ours && now.public.status == SessionStatus::Processing => return Ok(now),
                // Somebody has only opened its page.
                Some(now) if !is_ours && now.public == session.public => session = now,
                _ => return Err(over(true, before)),
            }
        }
    }

    /// Breaks `session` off, unless it has ended. What a provider answers later changes nothing.
    ///
    /// # Errors
    /// `StoreUnavailable`.
    pub fn cancel(&self, session: StoredSession) -> Result<AuthSession> {
        let pending = keys::pending(&session.public.id);
        let cancelled = self.change_session(session, |public| {
            if !public.status.is_final() {
                public.status = SessionStatus::Cancelled;
                public.next_action = NextAction::None;
                public.message = Some("Cancelled".to_owned());
            }
        })?;
        self.vault.delete(&pending)?;
        Ok(cancelled)
    }

    /// Changes a session that only its caller may end, beside others who may open its page.
    pub(super) fn change_session(
        &self,
        mut session: StoredSession,
        change: impl Fn(&mut AuthSession),
    ) -> Result<AuthSession> {
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

    fn finish_key(&self, session: &StoredSession, mut values: BTreeMap<String, Secret>) -> Result<Vec<String>> {
        let key = values.remove("api_key").ok_or_else(|| AuthsomeError::CredentialMissing {
            provider: session.public.provider.clone(),
            reason: "the key is missing".to_owned(),
        })?;
        let base_url = take_text(&mut values, "base_url").or_else(|| session.base_url.clone());
        let login = ApiKeyLogin {
            provider: &session.public.provider,
            connection: &session.public.connection,
            key,
            base_url,
            api_url: take_text(&mut values, "api_url"),
            fields: values,
            force: session.force,
        };
        self.connect_api_key(&session.actor(), login).map(|(_, warnings)| warnings)
    }

    fn finish_cookies(&self, session: &StoredSession, input: Input) -> Result<Vec<String>> {
        let login = CookieLogin {
            provider: &session.public.provider,
            connection: &session.public.connection,
            cookies: input.values,
            expires: input.expires,
            force: session.force,
        };
        self.connect_cookies(&session.actor(), login).map(|_| Vec::new())
    }

    /// Ties the pages of `session` to one browser, by the hash of its handle, while somebody may still fill them in: a
    /// write would take a login away from who is finishing it. Returns whether no other browser has them.
    ///
    /// # Errors
    /// `StoreUnavailable`.
    pub fn bind_browser(&self, session: &mut StoredSession, handle_hash: &str) -> Result<bool> {
        while session.browser.is_none() && session.is_open() {
            session.browser = Some(handle_hash.to_owned());
            if self.save_session(session)? {
                return Ok(true);
            }
            // Another request was faster: what it wrote counts.
            let Some(now) = self.session(&session.public.id)? else { return Ok(false) };
            *session = now;
        }
        Ok(session.browser.as_deref().is_none_or(|bound| bound == handle_hash))
    }

    /// Writes `session` unless it was written since it was read; whether it did.
    pub(super) fn save_session(&self, session: &StoredSession) -> Result<bool> {
        self.save_session_with(session, &[])
    }

    /// The same, together with other writes.
    pub(super) fn save_session_with(&self, session: &StoredSession, others: &[VaultWrite<'_>]) -> Result<bool> {
        let value = session.to_json();
        let key = keys::session(&session.public.id);
        let write = VaultWrite {
            key: &key,
            value: Some(value.expose_bytes()),
            expected: session.version.as_ref().map_or(ExpectedVersion::Absent, ExpectedVersion::Is),
            expires_at: Some(session.gone_at()),
        };
        let begun_key = session.begun_key();
        let begun = match (session.public.status.is_final(), &session.version) {
            (true, _) => Some(VaultWrite::delete(&begun_key)),
            (false, None) => {
                let until = Some(self.clock.now().plus_seconds(AUTH_SESSION_SECONDS));
                Some(VaultWrite { expires_at: until, ..VaultWrite::put(&begun_key, &[]) })
            }
            (false, Some(_)) => None,
        };
        let writes: Vec<VaultWrite<'_>> = others.iter().copied().chain([write]).chain(begun).collect();
        self.vault.apply(&writes)
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

    pub(super) fn to_json(&self) -> SecretBuffer {
        SecretBuffer::from_json(self).expect("a map with string keys")
    }

    /// What says that it is under way.
    pub(super) fn begun_key(&self) -> String {
        format!("{}{}", keys::begun(&self.principal_id), self.public.id)
    }

    /// When it cannot be looked at any more.
    pub(super) fn gone_at(&self) -> Timestamp {
        self.public.expires_at.plus_seconds(AFTERLIFE_SECONDS)
    }

    /// Whether somebody may go on with it.
    fn is_open(&self) -> bool {
        !self.public.status.is_final() && self.public.status != SessionStatus::Processing
    }

    pub(super) fn wait(&mut self, message: &str, next_action: NextAction) {
        self.public.status = SessionStatus::WaitingForUser;
        self.public.message = Some(message.to_owned());
        self.public.next_action = next_action;
    }

    pub(super) fn end(&mut self, status: SessionStatus, message: &str) {
        self.public.status = status;
        self.public.message = Some(message.to_owned());
        self.public.next_action = NextAction::None;
    }
}

fn input_action(session: &StoredSession, daemon_url: &str) -> NextAction {
    NextAction::OpenUrl { url: format!("{daemon_url}/auth/input?session={}", session.public.id) }
}

fn browser_action(definition: &ProviderDefinition) -> Option<NextAction> {
    let browser = definition.browser.as_ref()?;
    Some(NextAction::Browser {
        entry_url: browser.entry_url.clone()?,
        domains: browser.domains.clone(),
        auth_cookies: browser.auth_cookies.clone(),
        ttl_from_cookie: browser.ttl_from_cookie.clone(),
        ttl_hours: browser.ttl_hours,
    })
}

fn over(is_open: bool, status: SessionStatus) -> AuthsomeError {
    AuthsomeError::OperationNotAllowed {
        operation: "login",
        reason: if is_open {
            "this login is being finished".to_owned()
        } else {
            format!("this login is {}", status.as_str())
        },
        hint: Some("start it again: authsome login PROVIDER"),
    }
}

fn is_session_id(id: &str) -> bool {
    id.strip_prefix("sess_").is_some_and(|hex| hex.len() == 12 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn choose_flow(definition: &ProviderDefinition, asked: Option<FlowType>) -> Result<FlowType> {
    let flow = asked.unwrap_or(definition.flow);
    let oauth = definition.oauth.as_ref();
    let claims = |claim: Option<bool>| flow == definition.flow || claim == Some(true);
    let fits = match definition.auth_type {
        AuthType::ApiKey => flow == FlowType::ApiKey,
        AuthType::Browser => flow == FlowType::Browser,
        AuthType::Oauth2 => match flow {
            FlowType::Pkce => oauth.is_some_and(|it| it.authorization_url.is_some() && it.token_url.is_some()),
            FlowType::DeviceCode => claims(oauth.and_then(|oauth| oauth.supports_device_code)),
            FlowType::DcrPkce => claims(oauth.and_then(|oauth| oauth.supports_dcr)),
            FlowType::ApiKey | FlowType::Browser => false,
        },
    };
    if fits {
        return Ok(flow);
    }
    Err(AuthsomeError::UnsupportedFlow { provider: definition.name.clone(), flow: flow.as_str().to_owned() })
}
