//! From tokens to a connection: one step in which the connection, the client that it was made with and the end of its
//! login appear together, or not at all.

use super::{Pending, StoredSession};
use crate::broker::audit::Prepared;
use crate::broker::clients::ClientSettings;
use crate::broker::connections::{bind, fresh};
use crate::broker::pointers::Write;
use crate::broker::servers::check_server_of_client;
use crate::broker::{Broker, event, keys, with_fact};
use crate::error::{AuthsomeError, Result};
use crate::flow::{self, AuthServer, OAuthClient, TokenKind, Tokens};
use crate::model::{AuditSource, AuthSession, AuthType, ConnectionRecord, ConnectionStatus, FlowType, SessionStatus};
use crate::provider::{Entry, slots};
use crate::secret::{Secret, SecretBuffer};
use crate::vault::Version;

/// What the stored client becomes, and which version of it is expected.
type ClientWrite = (SecretBuffer, Option<Version>);

impl Broker {
    /// Stores what a login has brought, and ends it. When it was cancelled meanwhile, the tokens are given back.
    pub(super) fn land(
        &self,
        mut session: StoredSession,
        entry: &Entry,
        pending: &Pending,
        server: &AuthServer,
        tokens: Tokens,
    ) -> Result<AuthSession> {
        let client = pending.client();
        let mut record = self.record_of(&session, pending, tokens);
        let version = session.version.clone().ok_or_else(cancelled)?;
        session.end(SessionStatus::Completed, "Connected");
        if let Err(error) = self.store_landing(&mut record, &session, entry, pending, &version) {
            self.give_back(server, &client, &record);
            return Err(error);
        }
        Ok(session.public)
    }

    fn store_landing(
        &self,
        record: &mut ConnectionRecord,
        ended: &StoredSession,
        entry: &Entry,
        pending: &Pending,
        version: &Version,
    ) -> Result<()> {
        slots(&entry.definition, record)?; // a token that cannot be sent is not worth storing
        bind(entry, record)?;
        let noted = event("provider.login", &record.provider, Some(&record.connection_name));
        let noted = with_fact(noted, "auth_type", AuthType::Oauth2.as_str());
        let noted = with_fact(noted, "flow", ended.flow.as_str());
        let configured = pending.is_new_client.then(|| event("provider.client_configured", &record.provider, None));
        let events = configured.into_iter().chain([noted]).collect();
        let noted = self.audit.prepare(AuditSource::Internal, Some(&ended.actor()), events);
        // Each time with the client as it stands now: another login may have touched it.
        while !self.try_landing(record, ended, version, self.client_of(ended, pending, entry)?.as_ref(), &noted)? {}
        Ok(())
    }

    /// Writes it all, unless somebody has written the client since it was read.
    fn try_landing(
        &self,
        record: &ConnectionRecord,
        ended: &StoredSession,
        version: &Version,
        client: Option<&ClientWrite>,
        noted: &Prepared,
    ) -> Result<bool> {
        let key = keys::connection(&record.vault_id, &record.provider, &record.connection_name);
        let (session_key, client_key) = (keys::session(&ended.public.id), keys::client(&record.provider));
        let (pending_key, begun_key) = (keys::pending(&ended.public.id), ended.begun_key());
        let (value, session_value) = (record.to_sealable_json(), ended.to_json());
        self.step(&record.vault_id, &record.provider, |_, default| {
            let now = self.session(&ended.public.id)?;
            if now.is_none_or(|now| now.version.as_ref() != Some(version)) {
                return Err(cancelled());
            }
            let mut writes = vec![
                Write::put(&key, &value),
                Write::put(&session_key, &session_value).expecting(Some(version.clone())).until(ended.gone_at()),
                Write::remove(&pending_key),
                Write::remove(&begun_key),
            ];
            if let Some((settings, version)) = client {
                if self.vault.get_versioned(&client_key)?.map(|(_, now)| now) != *version {
                    return Ok(None);
                }
                writes.push(Write::put(&client_key, settings).expecting(version.clone()));
            }
            writes.extend(noted.writes().map(Write::over));
            Ok(Some((writes, default.or_else(|| Some(record.connection_name.clone())))))
        })
    }

    /// The stored client with this login's client in it. It is written anew even when it stays the same, so that this
    /// and a change of it cannot both happen. `None`: this login has no client.
    ///
    /// # Errors
    /// `AuthenticationFailed` when another client is stored: the tokens are of no use to that one. A new client takes the
    /// place of none, or of a registration for another address that nobody uses any more.
    fn client_of(&self, ended: &StoredSession, pending: &Pending, entry: &Entry) -> Result<Option<ClientWrite>> {
        if pending.client_id.is_empty() {
            return Ok(None);
        }
        let provider = &ended.public.provider;
        let found = self.read::<ClientSettings>(&keys::client(provider))?;
        let (old, version) = found.map_or_else(Default::default, |(old, version)| (old, Some(version)));
        let changed = || client_changed(provider);
        if !pending.is_new_client {
            let is_same = old.client_id.as_ref() == Some(&pending.client_id);
            let is_there = is_same && check_server_of_client(ended, &entry.definition, Some(&old)).is_ok();
            return if is_there { Ok(Some((old.to_sealable_json(), version))) } else { Err(changed()) };
        }
        let is_registration = ended.flow == FlowType::DcrPkce;
        let is_other = old.client_id.as_ref().is_some_and(|id| *id != pending.client_id);
        if is_other && !(is_registration && self.all_connections(provider)?.is_empty()) {
            return Err(changed());
        }
        let settings = ClientSettings {
            client_id: Some(pending.client_id.clone()),
            client_secret: pending.client_secret.as_ref().map(Secret::duplicate),
            method: pending.method,
            secret_expires_at: pending.secret_expires_at,
            base_url: ended.base_url.clone().or(old.base_url),
            api_url: ended.api_url.clone().or(old.api_url),
            redirect_uri: pending.redirect_uri.clone().filter(|_| is_registration),
            discovered: pending.discovered.clone(),
            ..old
        };
        Ok(Some((settings.to_sealable_json(), version)))
    }

    pub(super) fn record_of(&self, session: &StoredSession, pending: &Pending, tokens: Tokens) -> ConnectionRecord {
        let public = &session.public;
        let now = self.clock.now();
        let mut record = fresh(&session.actor(), &public.provider, &public.connection, AuthType::Oauth2);
        record.base_url.clone_from(&session.base_url);
        record.api_url.clone_from(&session.api_url);
        record.scopes = tokens.scopes.or_else(|| pending.scopes.clone());
        record.access_token = Some(tokens.access_token);
        record.refresh_token = tokens.refresh_token;
        record.token_type = tokens.token_type;
        record.expires_at = tokens.lifetime_seconds.map(|seconds| now.plus_seconds(seconds));
        record.obtained_at = Some(now);
        record.account = tokens.account;
        record.status = ConnectionStatus::Connected;
        record
    }

    /// Tokens that nobody will use: the provider may forget them. Whether it does changes nothing. Some providers forget
    /// everything that the account has granted to the client, so nothing is given back while another connection lives.
    pub(super) fn give_back(&self, server: &AuthServer, client: &OAuthClient, record: &ConnectionRecord) {
        let prefix = keys::connections(&record.vault_id, &record.provider);
        if !self.vault.list(&prefix).is_ok_and(|others| others.is_empty()) {
            return;
        }
        let tokens = [(&record.access_token, TokenKind::Access), (&record.refresh_token, TokenKind::Refresh)];
        for (token, kind) in tokens {
            if let Some(token) = token {
                let _ = flow::revoke(&self.outbound, server, client, token, kind);
            }
        }
    }
}

fn cancelled() -> AuthsomeError {
    AuthsomeError::InputCancelled { operation: "login" }
}

fn client_changed(provider: &str) -> AuthsomeError {
    AuthsomeError::AuthenticationFailed {
        provider: Some(provider.to_owned()),
        reason: "the OAuth client of this provider was changed or removed meanwhile; log in again".to_owned(),
    }
}
