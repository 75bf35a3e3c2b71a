//! OAuth logins, step by step: what is asked for, where the browser goes, what comes back, and the connection at the
//! end. The session says where a login stands; `Pending` beside it holds what nobody may see.

mod callback;
mod departure;
mod device;
mod landing;
mod pending;

use std::collections::BTreeMap;

pub use callback::CallbackAnswer;
pub use device::{DeviceLogin, DeviceStep};

use self::departure::{Departure, is_registered_for};
use self::pending::{Pending, state_hash};
use super::clients::Discovered;
use super::given::{self, check_may_bring_client, split_scopes, take_text};
use super::sessions::{StoredSession, input_fields};
use super::{Broker, event, keys, with_fact};
use crate::clock::Timestamp;
use crate::error::{AuthsomeError, Result};
use crate::flow::{self, AuthServer, ClientMetadata, FlowError, OAuthClient};
use crate::limits::AUTH_SESSION_SECONDS;
use crate::model::{
    AuditEvent, AuditSource, AuthSession, FlowType, NextAction, ProviderDefinition, Role, SessionStatus,
};
use crate::secret::Secret;
use crate::vault::{ExpectedVersion, VaultWrite};

/// Where a login goes next.
struct Way {
    pending: Pending,
    next_action: NextAction,
    message: &'static str,
    expires_at: Timestamp,
    device: Option<flow::DeviceGrant>,
}

impl Broker {
    /// Whether a person must fill in something before `session` can go to the provider.
    ///
    /// # Errors
    /// `OperationNotAllowed` when that is a client, which only an administrator may bring.
    pub(super) fn needs_input(&self, definition: &ProviderDefinition, session: &StoredSession) -> Result<bool> {
        let client = self.client(&definition.name)?;
        let fields = input_fields(definition, session, client.as_ref());
        let needs = fields.iter().any(|field| field.required && field.default.is_none());
        if needs {
            check_may_bring_client(session)?;
        }
        Ok(needs)
    }

    /// Takes what was filled in: a client and where the provider is, or an answer of the provider that a person pasted.
    pub(super) fn go_on_with_oauth(
        &self,
        mut session: StoredSession,
        mut values: BTreeMap<String, Secret>,
        daemon_url: &str,
    ) -> Result<AuthSession> {
        let definition = self.entry(&session.public.provider)?.definition;
        session.base_url = take_text(&mut values, "base_url").or(session.base_url);
        session.api_url = take_text(&mut values, "api_url").or(session.api_url);
        if let Some(scopes) = take_text(&mut values, "scopes") {
            session.scopes = Some(split_scopes(&scopes));
        }
        let secret = values.remove("client_secret").filter(|secret| !secret.expose().trim().is_empty());
        let secret = secret.as_ref().map(given::client_secret).transpose()?;
        let given = match take_text(&mut values, "client_id") {
            Some(id) => {
                check_may_bring_client(&session)?;
                Some(OAuthClient { id: given::client_id(&id)?, secret, ..OAuthClient::default() })
            }
            None if self.needs_input(&definition, &session)? => return Err(client_missing(&session, "ID")),
            None => None,
        };
        let lacks_secret = given.as_ref().is_some_and(|client| client.secret.is_none());
        if lacks_secret
            && definition.oauth.as_ref().and_then(|oauth| oauth.client_type.as_deref()) == Some("confidential")
        {
            return Err(client_missing(&session, "secret"));
        }
        self.advance(session, given, daemon_url).map(|session| session.public)
    }

    /// Sends `session` to the provider: makes the authorization request, or asks for a device code. Saves it as it
    /// stands then: waiting, or failed when the provider did not play along.
    pub(super) fn advance(
        &self,
        mut session: StoredSession,
        given: Option<OAuthClient>,
        daemon_url: &str,
    ) -> Result<StoredSession> {
        let stored = self.client(&session.public.provider)?;
        if let Some(stored) = &stored {
            session.base_url = session.base_url.or_else(|| stored.base_url.clone());
            session.api_url = session.api_url.or_else(|| stored.api_url.clone());
        }
        let departure = self.depart(&session, stored, given, daemon_url)?;
        let known = (departure.scopes.clone(), departure.destinations.clone());
        let mut way = match self.way(&departure, daemon_url)? {
            Ok(way) => way,
            Err(error) => return self.fail(session, error.to_string()),
        };
        way.pending.scopes = Some(known.0).filter(|scopes| !scopes.is_empty());
        way.pending.destinations = known.1;
        session.public.expires_at = way.expires_at;
        session.wait(way.message, way.next_action);
        if let Some(grant) = way.device {
            session.public.user_code = Some(grant.user_code);
            session.public.verification_uri = Some(grant.verification_uri);
            session.public.verification_uri_complete = grant.verification_uri_complete;
        }
        self.save_departed(&session, &way.pending)?;
        Ok(session)
    }

    /// Writes a session that has left for the provider, what it must remember, and which state belongs to it.
    fn save_departed(&self, session: &StoredSession, pending: &Pending) -> Result<()> {
        let (pending_key, value) = (keys::pending(&session.public.id), pending.to_sealable_json());
        let until = |write| VaultWrite { expires_at: Some(session.gone_at()), ..write };
        let state_key = pending.state.as_ref().map(|state| keys::state(&state_hash(state.expose())));
        let mut writes = vec![until(VaultWrite::put(&pending_key, value.expose_bytes()))];
        if let Some(key) = &state_key {
            let write = VaultWrite::put(key, session.public.id.as_bytes());
            writes.push(until(VaultWrite { expected: ExpectedVersion::Absent, ..write }));
        }
        if self.save_session_with(session, &writes)? {
            return Ok(());
        }
        Err(AuthsomeError::InputCancelled { operation: "login" })
    }

    /// The outer error is ours, the inner one the provider's.
    fn way(&self, departure: &Departure<'_>, daemon_url: &str) -> Result<Result<Way, FlowError>> {
        match departure.session.flow {
            FlowType::DeviceCode => Ok(self.way_to_device(departure, daemon_url)),
            FlowType::DcrPkce => {
                let (server, pending) = match self.registered_client(departure)? {
                    Ok(found) => found,
                    Err(error) => return Ok(Err(error)),
                };
                Ok(self.way_to_browser(departure, &server, pending))
            }
            FlowType::Pkce | FlowType::ApiKey | FlowType::Browser => {
                Ok(departure.client().and_then(|pending| self.way_to_browser(departure, &departure.server, pending)))
            }
        }
    }

    fn way_to_browser(
        &self,
        departure: &Departure<'_>,
        server: &AuthServer,
        pending: Pending,
    ) -> Result<Way, FlowError> {
        let authorization = flow::authorize(server, &pending.client_id, &departure.redirect_uri, &departure.scopes)?;
        Ok(Way {
            pending: Pending {
                redirect_uri: Some(departure.redirect_uri.clone()),
                state: Some(authorization.state),
                verifier: authorization.verifier,
                ..pending
            },
            next_action: NextAction::OpenUrl { url: authorization.url },
            message: "Waiting for the browser",
            expires_at: self.clock.now().plus_seconds(AUTH_SESSION_SECONDS),
            device: None,
        })
    }

    fn way_to_device(&self, departure: &Departure<'_>, daemon_url: &str) -> Result<Way, FlowError> {
        let pending = departure.client()?;
        let client = pending.client();
        let mut grant = flow::start_device(&self.outbound, &departure.server, &client, &departure.scopes)?;
        let device_code = std::mem::replace(&mut grant.device_code, Secret::new(String::new()));
        let url = format!("{daemon_url}/auth/device?session={}", departure.session.public.id);
        Ok(Way {
            pending: Pending { device_code: Some(device_code), interval_seconds: grant.interval_seconds, ..pending },
            next_action: NextAction::OpenUrl { url },
            message: "Waiting for the code to be entered",
            expires_at: self.clock.now().plus_seconds(grant.lifetime_seconds),
            device: Some(grant),
        })
    }

    /// The dynamically registered client, registered now where there is none. The outer error is ours.
    fn registered_client(&self, departure: &Departure<'_>) -> Result<Result<(AuthServer, Pending), FlowError>> {
        let unsupported = |reason: String| Ok(Err(FlowError::Unsupported { reason }));
        let stored = departure.stored.as_ref().and_then(|stored| Some((stored, stored.oauth_client()?)));
        let is_elsewhere = stored.as_ref().is_some_and(|(it, _)| !is_registered_for(it, &departure.redirect_uri));
        let has_ended = stored.as_ref().is_some_and(|(_, client)| client.has_ended(self.clock.now()));
        if stored.is_some() && !is_elsewhere && !has_ended {
            return Ok(departure.client().map(|pending| (departure.server.clone(), pending)));
        }
        let provider = &departure.entry.definition.name;
        let is_admin = departure.session.role == Role::Admin;
        if stored.is_some() && !(is_admin && self.all_connections(provider)?.is_empty()) {
            let what = if is_elsewhere { "is registered for another address of this daemon" } else { "has ended" };
            return unsupported(format!(
                "our client at this provider {what}; `authsome provider revoke {provider}`, by an administrator, makes \
                 room for a new one"
            ));
        }
        if !is_admin {
            let reason = "no client is registered with this provider yet, and only an administrator may register one";
            return unsupported(reason.to_owned());
        }
        Ok(self.register_client(departure))
    }

    fn register_client(&self, departure: &Departure<'_>) -> Result<(AuthServer, Pending), FlowError> {
        let mut server = departure.server.clone();
        let settings = &server.settings;
        if server.registration_endpoint.is_none()
            || settings.authorization_url.is_none()
            || settings.token_url.is_none()
        {
            server = flow::discover(&self.outbound, &server)?;
        }
        let metadata = ClientMetadata {
            name: &format!("authsome-{}", server.provider),
            redirect_uris: std::slice::from_ref(&departure.redirect_uri),
            scopes: &departure.scopes,
        };
        let client = flow::register(&self.outbound, &server, &metadata)?;
        let pending = Pending { discovered: Some(Discovered::of(&server)), ..Pending::of(&client, true) };
        Ok((server, pending))
    }

    /// Ends `session` as failed, and notes why, in one step. Nothing happens to one that has ended otherwise meanwhile.
    /// Returns how it stands.
    pub(super) fn fail(&self, mut session: StoredSession, reason: String) -> Result<StoredSession> {
        let noted = event("provider.login_failed", &session.public.provider, Some(&session.public.connection));
        let noted = with_fact(with_fact(noted, "flow", session.flow.as_str()), "reason", reason.as_str());
        let noted = AuditEvent { status: Some("failure".to_owned()), ..noted };
        let noted = self.audit.prepare(AuditSource::Internal, Some(&session.actor()), vec![noted]);
        let pending_key = keys::pending(&session.public.id);
        let others: Vec<_> = noted.writes().chain([VaultWrite::delete(&pending_key)]).collect();
        session.end(SessionStatus::Failed, "The login failed");
        session.public.error = Some(reason);
        if self.save_session_with(&session, &others)? {
            return Ok(session);
        }
        Ok(self.session(&session.public.id)?.unwrap_or(session))
    }

    pub(super) fn pending(&self, session: &StoredSession) -> Result<Option<Pending>> {
        Ok(self.read(&keys::pending(&session.public.id))?.map(|(pending, _)| pending))
    }
}

fn client_missing(session: &StoredSession, what: &str) -> AuthsomeError {
    let provider = session.public.provider.clone();
    AuthsomeError::CredentialMissing { provider, reason: format!("The client {what} is missing") }
}

#[cfg(test)]
mod tests;
