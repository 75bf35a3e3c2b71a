//! What the provider's page sent the browser back with.

use super::{Pending, StoredSession, state_hash};
use crate::broker::connections::fresh;
use crate::broker::servers::auth_server;
use crate::broker::{Broker, keys};
use crate::error::{AuthsomeError, Result};
use crate::flow::{self, AuthServer, FlowError, Redemption, Tokens};
use crate::model::{AuthSession, AuthType, SessionStatus};
use crate::provider::{Entry, Filling, destinations_fingerprint};
use crate::secret::Secret;

/// An authorization response (RFC 6749 sections 4.1.2 and 4.1.2.1, RFC 9207).
#[derive(Debug, Default)]
pub struct CallbackAnswer {
    /// The code.
    pub code: Option<Secret>,
    /// The error code, when there is no code.
    pub error: Option<String>,
    /// What the server adds for people.
    pub error_description: Option<String>,
    /// Who answers.
    pub iss: Option<String>,
}

impl Broker {
    /// The session that waits for `state`; `None`: no login does.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn session_of_state(&self, state: &str) -> Result<Option<StoredSession>> {
        let Some(id) = self.vault.get(&keys::state(&state_hash(state)))? else { return Ok(None) };
        let Ok(id) = std::str::from_utf8(&id) else { return Ok(None) };
        let Some(session) = self.session(id)? else { return Ok(None) };
        let waits = session.public.status == SessionStatus::WaitingForUser;
        let pending = self.pending(&session)?.filter(|_| waits);
        // A form that was sent twice has made a newer state.
        let is_newest =
            pending.and_then(|pending| pending.state).is_some_and(|known| known.constant_time_eq(state.as_bytes()));
        Ok(is_newest.then_some(session))
    }

    /// Finishes `session`, which waits for `state`, with the provider's answer. A state counts once.
    ///
    /// # Errors
    /// `OperationNotAllowed` when somebody else was faster or the session has ended, `StoreUnavailable`,
    /// `EncryptionUnavailable`. What the provider spoils is in the session.
    pub fn callback(&self, session: StoredSession, state: &str, answer: CallbackAnswer) -> Result<AuthSession> {
        let session = self.claim(session)?;
        self.vault.delete(&keys::state(&state_hash(state)))?;
        let id = session.public.id.clone();
        let finished = match self.redeem(&session, answer) {
            Ok((entry, pending, server, tokens)) => self.land(session, &entry, &pending, &server, tokens),
            Err(Failed::ByProvider(reason)) => self.fail(session, reason).map(|session| session.public),
            Err(Failed::Here(error)) => Err(error),
        };
        match finished {
            Err(error) => self.fail_with(&id, error),
            done => done,
        }
    }

    /// Ends a session that could not be finished for a reason of ours.
    pub(super) fn fail_with(&self, id: &str, error: AuthsomeError) -> Result<AuthSession> {
        match self.session(id)? {
            Some(session) if session.public.status == SessionStatus::Processing => {
                self.fail(session, error.message())?;
                Err(error)
            }
            _ => Err(error),
        }
    }

    fn redeem(
        &self,
        session: &StoredSession,
        answer: CallbackAnswer,
    ) -> Result<(Entry, Pending, AuthServer, Tokens), Failed> {
        let pending = self.pending(session)?.ok_or_else(|| Failed::ByProvider("the login is too old".to_owned()))?;
        let (entry, server) = self.server_of(session, &pending)?;
        if let (Some(known), Some(sent)) = (&server.issuer, &answer.iss)
            && known != sent
        {
            return Err(Failed::ByProvider("the answer came from another authorization server".to_owned()));
        }
        if let Some(error) = answer.error {
            let secrets = [&pending.client_secret, &pending.verifier, &pending.state].into_iter().flatten();
            let secrets: Vec<&Secret> = secrets.chain(&answer.code).collect();
            return Err(flow::denial(&error, answer.error_description.as_deref(), &secrets).into());
        }
        let code = answer.code.filter(|code| !code.is_empty());
        let code = code.ok_or_else(|| Failed::ByProvider("the provider sent no code".to_owned()))?;
        let redemption = Redemption {
            code: &code,
            redirect_uri: pending.redirect_uri.as_deref().unwrap_or_default(),
            verifier: pending.verifier.as_ref(),
        };
        let client = pending.client();
        let explained = |error| client.explain(error, self.clock.now(), &session.public.provider);
        let tokens = flow::redeem(&self.outbound, &server, &client, &redemption).map_err(explained)?;
        Ok((entry, pending, server, tokens))
    }

    /// The definition and the authorization server of a login under way. What the login has brought so far goes to no
    /// other place than when it began.
    pub(super) fn server_of(&self, session: &StoredSession, pending: &Pending) -> Result<(Entry, AuthServer), Failed> {
        let entry = self.entry(&session.public.provider)?;
        let name = &session.public.connection;
        let mut draft = fresh(&session.actor(), &entry.definition.name, name, AuthType::Oauth2);
        draft.base_url.clone_from(&session.base_url);
        draft.api_url.clone_from(&session.api_url);
        if destinations_fingerprint(&entry.definition, &Filling::of(&draft))? != pending.destinations {
            let reason = "the definition of this provider has changed since this login began; log in again";
            return Err(Failed::ByProvider(reason.to_owned()));
        }
        let mut server = auth_server(&entry.definition, &Filling::of(&draft))?;
        if let Some(discovered) = &pending.discovered {
            discovered.complete(&mut server);
        }
        Ok((entry, server))
    }
}

/// Why a login has no tokens.
pub(super) enum Failed {
    /// The login cannot succeed: the provider did not play along, mostly. The text is for people.
    ByProvider(String),
    /// Something here did not work.
    Here(AuthsomeError),
}

impl Failed {
    /// For the session that could not be finished.
    pub(super) fn into_reason(self) -> String {
        match self {
            Self::ByProvider(reason) => reason,
            Self::Here(error) => error.message(),
        }
    }
}

impl From<AuthsomeError> for Failed {
    fn from(error: AuthsomeError) -> Self {
        Self::Here(error)
    }
}

impl From<FlowError> for Failed {
    fn from(error: FlowError) -> Self {
        Self::ByProvider(error.to_string())
    }
}
