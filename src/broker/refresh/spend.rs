//! The call to the token endpoint, and what is written after it: one step, whatever came of it.

use std::sync::Arc;
use std::time::Instant;

use super::Demand;
use super::due::{is_usable, refresh_token};
use super::lease::remove;
use super::memory::{Failure, Lost, Memory};
use super::task::{FAILED, Task};
use super::trouble::{Outcome, Trouble};
use super::unsaved::{Gained, Unsaved, holds};
use crate::broker::connections::{check_bound, filling};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::flow::{self, FlowError, Tokens};
use crate::model::{AuditEvent, AuditSource, ConnectionRecord, ConnectionStatus};
use crate::secret::Secret;
use crate::vault::{ExpectedVersion, VaultWrite};

/// What the record was when the result of a call was to be written.
enum Ending {
    /// It held the token that was spent, and holds the result now.
    Written(ConnectionRecord),
    /// It held other tokens: somebody logged in, or another daemon was faster.
    Replaced(ConnectionRecord),
    /// There was none: somebody logged out.
    Gone,
}

impl Task<'_> {
    /// Spends the refresh token of `record`, with the lease for it in hand.
    pub(super) fn spend(&self, record: ConnectionRecord, interrupted: bool) -> Outcome {
        let Some(token) = refresh_token(&record) else { return Err(Trouble::Expired) };
        let spent = super::digest(token);
        let started = Instant::now();
        match self.ask(&record, token) {
            Ok(tokens) => {
                let obtained_at = self.broker.clock.now();
                let expires_at = end_of(&tokens, obtained_at, started);
                self.save(&Arc::new(Gained { tokens, spent, before: record.obtained_at, obtained_at, expires_at }))
            }
            Err(error) => self.remember(record, &spent, &error, interrupted),
        }
    }

    /// The one call.
    fn ask(&self, record: &ConnectionRecord, token: &Secret) -> Result<Tokens, FlowError> {
        let unsupported = |reason| FlowError::Unsupported { reason };
        // A login of a moment ago may be at another server than the definition that this caller has read.
        check_bound(self.entry, record).map_err(|error| unsupported(error.message()))?;
        let found = self.broker.server_and_client(&self.entry.definition, &filling(record));
        let (server, client) = found.map_err(|error| unsupported(error.message()))?;
        let missing = || unsupported(format!("the OAuth client of '{}' is not stored any more", record.provider));
        let client = client.ok_or_else(missing)?;
        #[cfg(test)]
        if let Some(endpoint) = &self.broker.refresher.endpoint {
            return endpoint.refresh(&server, &client, token);
        }
        let explained = |error| client.explain(error, self.broker.clock.now(), &record.provider);
        flow::refresh(&self.broker.outbound, &server, &client, token).map_err(explained)
    }

    /// Stores new tokens before anybody gets them. What cannot be stored is kept in memory.
    pub(super) fn save(&self, gained: &Arc<Gained>) -> Outcome {
        let ending = self.conclude(
            |record| gained.is_for(record),
            |record| {
                gained.write_into(record);
                self.event("provider.refreshed", "success", [("rotated", gained.has_rotated().into())])
            },
        );
        if ending.is_ok() {
            self.broker.refresher.unsaved.forget(&self.key);
        }
        match ending {
            Ok(Ending::Written(record)) => Ok(record),
            Ok(Ending::Replaced(record)) => self.replaced(record),
            Ok(Ending::Gone) => Err(Trouble::Gone(Some(Arc::clone(gained)))),
            Err(error) => {
                self.broker.refresher.unsaved.keep(&self.key, Unsaved::Tokens(Arc::clone(gained)));
                Err(Trouble::unsaved(error))
            }
        }
    }

    /// Stores how a refresh failed. The old token is the answer while it is valid.
    fn remember(&self, before: ConnectionRecord, spent: &str, error: &FlowError, interrupted: bool) -> Outcome {
        let now = self.broker.clock.now();
        let lost = lost(Memory::of(&before).failure.as_ref(), error, interrupted);
        let reason = reason(error, lost.0);
        let is_it = |record: &ConnectionRecord| holds(record, spent) && record.obtained_at == before.obtained_at;
        let ending = self.conclude(is_it, |record| {
            let mut memory = Memory::of(record);
            let failure = Failure::after(memory.failure.as_ref(), now, reason.clone(), error.retry_after());
            memory.failure = Some(Failure { lost: lost.1, ..failure });
            memory.keep(record);
            let has_fallback = is_usable(record, now) && !(error.is_invalid_grant() && self.is_known_dead(record));
            if !has_fallback && record.status == ConnectionStatus::Connected {
                record.status = ConnectionStatus::Expired;
            }
            let facts = [("reason", reason.as_str().into()), ("fallback_available", has_fallback.into())];
            self.event(FAILED, "failure", facts)
        });
        let fallback = match ending {
            Ok(Ending::Written(record)) => record,
            Ok(Ending::Replaced(record)) => return self.replaced(record),
            Ok(Ending::Gone) => return Err(Trouble::Gone(None)),
            Err(_) => {
                // Nothing was gained, so nothing is lost: the lease that is still there is over.
                self.broker.refresher.unsaved.keep(&self.key, Unsaved::Nothing);
                before
            }
        };
        if is_usable(&fallback, now) { Ok(fallback) } else { Err(Trouble::Failed(reason)) }
    }

    /// Whether nothing but the upstream's refusal will ever tell that the token of `record` is over.
    fn is_known_dead(&self, record: &ConnectionRecord) -> bool {
        record.expires_at.is_none() && self.demand_on(record) != Demand::Use
    }

    /// Changes the record, while `is_it` says that it is the one whose token was spent, gives the lease back and notes
    /// what `change` says, all in one step. What else was written to the record meanwhile is kept.
    fn conclude(
        &self,
        is_it: impl Fn(&ConnectionRecord) -> bool,
        change: impl Fn(&mut ConnectionRecord) -> AuditEvent,
    ) -> Result<Ending> {
        loop {
            let found = self.broker.read::<ConnectionRecord>(&self.key)?;
            let (mut record, version) = match found {
                Some((record, version)) if is_it(&record) => (record, version),
                other => {
                    self.release();
                    return Ok(other.map_or(Ending::Gone, |(record, _)| Ending::Replaced(record)));
                }
            };
            let noted = change(&mut record);
            let noted = self.broker.audit.prepare(AuditSource::Internal, Some(&self.owner), vec![noted]);
            let value = record.to_sealable_json();
            let expected = ExpectedVersion::Is(&version);
            let put = VaultWrite { expected, ..VaultWrite::put(&self.key, value.expose_bytes()) };
            let lease = self.own_lease()?;
            let release = lease.as_ref().map(|version| remove(&self.lease_key, version));
            let writes: Vec<_> = [put].into_iter().chain(release).chain(noted.writes()).collect();
            if self.broker.vault.apply(&writes)? {
                return Ok(Ending::Written(record));
            }
        }
    }

    /// The record that somebody else has written meanwhile, where it is of use.
    fn replaced(&self, record: ConnectionRecord) -> Outcome {
        if is_usable(&record, self.broker.clock.now()) {
            return Ok(record);
        }
        Err(Trouble::Failed("the connection changed while its token was refreshed; try again".to_owned()))
    }

    /// Asks the server to forget tokens whose connection is gone. What it says changes nothing.
    pub(super) fn revoke_orphans(&self, gained: &Gained) {
        let mut orphan = self.record.duplicate();
        gained.write_into(&mut orphan);
        self.broker.ask_to_forget(&orphan);
    }
}

/// The end of a token that was asked for at `started` and came at `now`. Its life began somewhere between; only the
/// time that a call takes is sure when the clock may be set meanwhile. A life of nothing is an unknown one.
fn end_of(tokens: &Tokens, now: Timestamp, started: Instant) -> Option<Timestamp> {
    let life = tokens.lifetime_seconds.filter(|seconds| *seconds > 0)?;
    let under_way = i64::try_from(started.elapsed().as_secs()).unwrap_or(0);
    Some(now.plus_seconds(life.saturating_sub(under_way)))
}

/// Whether an answer may have been lost before this call, and with it.
fn lost(last: Option<&Failure>, error: &FlowError, interrupted: bool) -> (Option<Lost>, Option<Lost>) {
    let before = if interrupted { Some(Lost::Interrupted) } else { last.and_then(|last| last.lost) };
    let is_unanswered = matches!(error, FlowError::Unreachable { .. } | FlowError::Unusable { .. });
    (before, before.or(is_unanswered.then_some(Lost::Unanswered)))
}

/// Why a refresh failed, for people.
fn reason(error: &FlowError, lost: Option<Lost>) -> String {
    match lost.filter(|_| error.is_invalid_grant()) {
        Some(Lost::Interrupted) => format!(
            "the last refresh was interrupted before its answer was stored, so the authorization server has probably \
             replaced the token; log in again ({error})"
        ),
        Some(Lost::Unanswered) => format!(
            "an earlier refresh got no usable answer, so the authorization server may have replaced the token; log in \
             again ({error})"
        ),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Account;

    #[test]
    fn the_time_that_a_call_takes_is_off_the_life_of_its_token() {
        let end = |lifetime_seconds, under_way: u64| {
            let started = Instant::now().checked_sub(Duration::from_secs(under_way)).expect("not at boot");
            let tokens = Tokens {
                access_token: Secret::new("at".to_owned()),
                refresh_token: None,
                token_type: None,
                lifetime_seconds,
                scopes: None,
                account: Account::default(),
            };
            end_of(&tokens, Timestamp::from_unix(1000).expect("a time"), started).map(Timestamp::unix)
        };
        assert_eq!([end(Some(60), 0), end(Some(60), 7), end(Some(5), 7)], [Some(1060), Some(1053), Some(998)]);
        assert_eq!([end(Some(0), 0), end(None, 0)], [None, None]);
    }
}
