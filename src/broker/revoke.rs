//! The end of a connection: the provider is asked to forget its tokens, then the record goes.

use super::audit::Prepared;
use super::connections::filling;
use super::pointers::Write;
use super::{Actor, Broker, event, keys, with_fact};
use crate::error::{AuthsomeError, Result};
use crate::flow::{self, FlowError, TokenKind};
use crate::model::{AuditEvent, AuthType, ConnectionRecord};
use crate::secret::Secret;

/// What the provider made of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forgotten {
    /// The provider says that it has forgotten the tokens.
    Yes,
    /// There was nothing to ask, or nobody to ask.
    NotAsked,
    /// It refused, or gave no answer that says so.
    No,
    /// It could not be reached: asking again would take as long.
    Unreachable,
}

impl Forgotten {
    fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "revoked",
            Self::NotAsked => "not_supported",
            Self::No => "refused",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Broker {
    /// Removes one connection in the vault of `owner`, and the pointers to it, after asking the provider to forget its
    /// tokens. Not there: nothing happens. Returns what was removed.
    ///
    /// # Errors
    /// `OperationNotAllowed`, `StoreUnavailable`, `EncryptionUnavailable`. The provider's faults are noted, not returned.
    pub fn logout(&self, actor: &Actor, owner: &str, provider: &str, name: &str) -> Result<Option<ConnectionRecord>> {
        actor.check_use("logout")?;
        let Some((record, _)) = self.find(owner, provider, name)? else { return Ok(None) };
        let noted = |forgotten| {
            let noted = with_revocation(event("provider.logout", provider, Some(name)), forgotten);
            let is_own = owner == actor.vault_id;
            let noted = if is_own { noted } else { with_fact(noted, "owner", record.principal_id.as_str()) };
            Some(self.noted(actor, noted))
        };
        self.end(&record, noted).map(|(removed, _)| removed)
    }

    /// Deletes all connections of `provider` in every vault, its global pointer and its stored client, after asking the
    /// provider to forget the tokens.
    ///
    /// # Errors
    /// `ProviderNotFound`, `StoreUnavailable`.
    pub fn revoke(&self, actor: &Actor, provider: &str) -> Result<usize> {
        let client_key = keys::client(provider);
        let (mut ended, mut asked) = (0, 0);
        loop {
            // First the version, then the connections: a login that ends in between has changed it (see `landing`).
            let version = self.vault.get_versioned(&client_key)?.map(|(_, version)| version);
            let records = self.all_connections(provider)?;
            if records.is_empty() && version.is_none() && ended == 0 && self.registry.find(provider).is_none() {
                return Err(AuthsomeError::ProviderNotFound { provider: provider.to_owned() });
            }
            asked += self.end_all(&records)?;
            ended += records.len();
            let noted = with_fact(event("provider.revoked", provider, None), "connections", ended);
            let noted = with_fact(noted, "revoked_at_provider", asked);
            if self.apply_noted(actor, noted, &[Write::remove(&client_key).expecting(version).to_vault()])? {
                return Ok(ended);
            }
        }
    }

    /// Ends connections of one provider. A provider that cannot be reached is not asked again. Returns how many it says it
    /// has forgotten.
    pub(super) fn end_all(&self, records: &[ConnectionRecord]) -> Result<usize> {
        let (mut is_reachable, mut forgotten) = (true, 0);
        for record in records {
            if !is_reachable {
                self.remove_connection(&record.vault_id, &record.provider, &record.connection_name, None)?;
                continue;
            }
            let (_, answer) = self.end(record, |_| None)?;
            is_reachable = answer != Forgotten::Unreachable;
            forgotten += usize::from(answer == Forgotten::Yes);
        }
        Ok(forgotten)
    }

    /// Asks the provider of `record` to forget its tokens, and removes it. Tokens that a refresh has stored meanwhile are
    /// forgotten as well. The removal is noted as `noted` says of the provider's answer. Returns what was removed.
    fn end(
        &self,
        record: &ConnectionRecord,
        noted: impl FnOnce(Forgotten) -> Option<Prepared>,
    ) -> Result<(Option<ConnectionRecord>, Forgotten)> {
        let forgotten = self.ask_to_forget(record);
        let (noted, name) = (noted(forgotten), &record.connection_name);
        let removed = self.remove_connection(&record.vault_id, &record.provider, name, noted.as_ref())?;
        match removed {
            Some(removed) if forgotten != Forgotten::Unreachable && has_other_tokens(record, &removed) => {
                let forgotten = self.ask_to_forget(&removed);
                Ok((Some(removed), forgotten))
            }
            removed => Ok((removed, forgotten)),
        }
    }

    /// Asks the provider of `record` to forget its tokens: the access token, then the refresh token.
    pub(super) fn ask_to_forget(&self, record: &ConnectionRecord) -> Forgotten {
        if record.auth_type != AuthType::Oauth2 {
            return Forgotten::NotAsked;
        }
        let Ok(entry) = self.entry(&record.provider) else { return Forgotten::NotAsked };
        // Where the definition has moved since, the tokens stay with the server that issued them.
        if super::connections::check_bound(&entry, record).is_err() {
            return Forgotten::NotAsked;
        }
        let Ok((server, client)) = self.server_and_client(&entry.definition, &filling(record)) else {
            return Forgotten::NotAsked;
        };
        let client = client.unwrap_or_default();
        let mut all = Forgotten::NotAsked;
        for (token, kind) in [(&record.access_token, TokenKind::Access), (&record.refresh_token, TokenKind::Refresh)] {
            let Some(token) = token else { continue };
            match flow::revoke(&self.outbound, &server, &client, token, kind) {
                Ok(true) if all != Forgotten::No => all = Forgotten::Yes,
                Ok(_) => {}
                Err(FlowError::Unreachable { .. }) => return Forgotten::Unreachable,
                Err(_) => all = Forgotten::No,
            }
        }
        all
    }
}

fn has_other_tokens(one: &ConnectionRecord, other: &ConnectionRecord) -> bool {
    let differ = |one: &Option<Secret>, other: &Option<Secret>| match (one, other) {
        (Some(one), Some(other)) => !one.constant_time_eq(other.expose().as_bytes()),
        (one, other) => one.is_some() != other.is_some(),
    };
    differ(&one.access_token, &other.access_token) || differ(&one.refresh_token, &other.refresh_token)
}

fn with_revocation(event: AuditEvent, forgotten: Forgotten) -> AuditEvent {
    if forgotten == Forgotten::NotAsked { event } else { with_fact(event, "at_provider", forgotten.as_str()) }
}
