//! One caller's way through the protocol.

use std::thread;
use std::time::Instant;

use serde_json::Value;

use super::due::{Due, is_usable, refresh_token};
use super::flights::Seat;
use super::lease::Claim;
use super::trouble::{Outcome, Trouble};
use super::unsaved::holds;
use super::{Demand, digest};
use crate::broker::connections::missing;
use crate::broker::{Actor, Broker, event, keys, with_fact};
use crate::error::{AuthsomeError, Result};
use crate::model::{AuditEvent, ConnectionRecord, ConnectionStatus};
use crate::provider::Entry;
use crate::secret::Secret;
use crate::vault::{ExpectedVersion, VaultWrite, Version};

/// The event of a refresh that gave nothing.
pub(super) const FAILED: &str = "provider.refresh_failed";

/// One caller's wish for one connection.
pub(super) struct Task<'a> {
    pub(super) broker: &'a Broker,
    actor: &'a Actor,
    /// Whose audit log the refresh belongs in: the connection's owner, with the identity that asked if it is theirs.
    pub(super) owner: Actor,
    pub(super) entry: &'a Entry,
    /// As the caller read it.
    pub(super) record: &'a ConnectionRecord,
    demand: Demand,
    /// Where the record is.
    pub(super) key: String,
    /// Where its lease is.
    pub(super) lease_key: String,
}

impl<'a> Task<'a> {
    pub(super) fn new(
        broker: &'a Broker,
        actor: &'a Actor,
        entry: &'a Entry,
        record: &'a ConnectionRecord,
        demand: Demand,
    ) -> Self {
        let ConnectionRecord { vault_id, provider, connection_name: name, principal_id, .. } = record;
        let mut owner = actor.clone();
        if *vault_id != actor.vault_id {
            owner.identity = None;
            owner.principal_id.clone_from(principal_id);
        }
        Self {
            broker,
            actor,
            owner,
            entry,
            record,
            demand,
            key: keys::connection(vault_id, provider, name),
            lease_key: keys::refresh_lease(vault_id, provider, name),
        }
    }

    /// The demand on `record`: whoever was refused asks for another token, not for the second next one.
    pub(super) fn demand_on(&self, record: &ConnectionRecord) -> Demand {
        let refused = self.record.access_token.as_ref().map_or("", Secret::expose);
        let is_it = record.access_token.as_ref().is_some_and(|token| token.constant_time_eq(refused.as_bytes()));
        if is_it { self.demand } else { Demand::Use }
    }

    fn error(&self, trouble: Trouble) -> AuthsomeError {
        let ConnectionRecord { provider, connection_name, .. } = self.record;
        match trouble {
            Trouble::Expired => AuthsomeError::TokenExpired { provider: provider.clone() },
            Trouble::Failed(reason) => AuthsomeError::RefreshFailed { provider: provider.clone(), reason },
            Trouble::Gone(_) => missing(self.actor, provider, connection_name),
            Trouble::Store(reason) => AuthsomeError::StoreUnavailable { reason },
            Trouble::Encryption(reason) => AuthsomeError::EncryptionUnavailable { reason },
        }
    }

    /// An event for the audit log of the connection's owner, who is told when it was somebody else that asked.
    pub(super) fn event<const N: usize>(&self, name: &str, status: &str, facts: [(&str, Value); N]) -> AuditEvent {
        let mut event = event(name, &self.record.provider, Some(&self.record.connection_name));
        event.status = Some(status.to_owned());
        event.metadata.extend(facts.map(|(name, value)| (name.to_owned(), value)));
        let is_own = self.owner.principal_id == self.actor.principal_id;
        if is_own { event } else { with_fact(event, "caller", self.actor.label()) }
    }
}

/// What a caller is told about a record.
enum Step {
    /// Use it as it is.
    Keep,
    /// There is nothing to use.
    Refuse(Trouble),
    /// It is to be refreshed; `is_urgent`: before it is used.
    Refresh { is_urgent: bool },
}

/// What the pilot of a flight finds when its turn has come.
enum Turn {
    /// There is nothing to do, or nothing that may be done now.
    Over(ConnectionRecord),
    /// The lease is ours, and the token is still due.
    Spend { record: ConnectionRecord, interrupted: bool },
}

impl Task<'_> {
    /// The whole answer to the caller. `None`: what it has read is good.
    pub(super) fn run(&self) -> Option<Result<ConnectionRecord>> {
        let outcome = match self.first_judgement() {
            Step::Keep => return None,
            Step::Refuse(trouble) => Err(trouble),
            Step::Refresh { is_urgent } => self.fly(is_urgent)?,
        };
        Some(outcome.map_err(|trouble| self.error(trouble)))
    }

    fn first_judgement(&self) -> Step {
        if self.broker.refresher.unsaved.tokens(&self.key).is_some() {
            return Step::Refresh { is_urgent: true }; // what is in the record was spent
        }
        self.judge(self.record, self.demand)
    }

    fn judge(&self, record: &ConnectionRecord, demand: Demand) -> Step {
        match self.broker.look(record, demand) {
            Due::Fresh => Step::Keep,
            Due::Soon => Step::Refresh { is_urgent: false },
            Due::Now => Step::Refresh { is_urgent: true },
            Due::Blocked { .. } if is_usable(record, self.broker.clock.now()) => Step::Keep,
            Due::Blocked { failure, seconds } => Step::Refuse(Trouble::Failed(failure.reminder(seconds))),
            Due::Dead => {
                self.mark_expired(record);
                Step::Refuse(Trouble::Expired)
            }
        }
    }

    /// Takes part in the refresh of a connection. `None`: somebody else does it, and the token is good meanwhile.
    fn fly(&self, is_urgent: bool) -> Option<Outcome> {
        let flights = &self.broker.refresher.flights;
        match flights.board(&self.key) {
            Seat::Pilot(pilot) => {
                let outcome = pilot.land(self.lead());
                if let Err(Trouble::Gone(Some(gained))) = &outcome {
                    self.revoke_orphans(gained);
                }
                Some(outcome)
            }
            Seat::Passenger(_) if !is_urgent => None,
            Seat::Passenger(flight) => Some(flights.wait(&flight).unwrap_or_else(|| self.overdue())),
        }
    }

    /// Stores what is kept in memory for this connection, unless somebody is at it.
    pub(super) fn save_unsaved(&self) -> Result<()> {
        let Seat::Pilot(pilot) = self.broker.refresher.flights.board(&self.key) else { return Ok(()) };
        let outcome = match self.broker.refresher.unsaved.tokens(&self.key) {
            Some(gained) => self.save(&gained),
            None => self.overdue(), // the flight before has stored it
        };
        match pilot.land(outcome) {
            Ok(_) | Err(Trouble::Expired | Trouble::Failed(_) | Trouble::Gone(_)) => Ok(()),
            Err(trouble @ (Trouble::Store(_) | Trouble::Encryption(_))) => Err(self.error(trouble)),
        }
    }

    /// The whole refresh, as the only one of this process for this connection.
    fn lead(&self) -> Outcome {
        if let Some(gained) = self.broker.refresher.unsaved.tokens(&self.key) {
            match self.save(&gained) {
                Ok(_) | Err(Trouble::Failed(_)) => {} // it may have aged, or not be wanted any more
                Err(trouble) => return Err(trouble),
            }
        }
        match self.take_turn()? {
            Turn::Over(record) => Ok(record),
            Turn::Spend { record, interrupted } => self.spend(record, interrupted),
        }
    }

    /// Waits for the lease, and looks whether there is still something to do each time that somebody else had it.
    fn take_turn(&self) -> Result<Turn, Trouble> {
        let until = Instant::now() + self.broker.refresher.flights.patience;
        loop {
            let (record, _) = self.current()?;
            let is_urgent = match self.judge(&record, self.demand_on(&record)) {
                Step::Keep => return Ok(Turn::Over(record)),
                Step::Refuse(trouble) => return Err(trouble),
                Step::Refresh { is_urgent } => is_urgent,
            };
            match self.claim(&record) {
                Ok(Claim::Taken { interrupted }) => {
                    let (now, _) = self.current().inspect_err(|_| self.release())?;
                    if self.is_still_due(&record, &now) {
                        return Ok(Turn::Spend { record: now, interrupted });
                    }
                    self.release();
                }
                Ok(Claim::Raced) => {}
                Ok(Claim::Held) if is_urgent && Instant::now() < until => thread::sleep(self.broker.refresher.poll),
                Ok(Claim::Held) => return self.fallback(record, Trouble::busy()),
                // Nothing was spent.
                Err(error) => return self.fallback(record, error.into()),
            }
        }
    }

    /// Whether what was decided about `before` holds for the record as it is `now`, with the lease in hand.
    fn is_still_due(&self, before: &ConnectionRecord, now: &ConnectionRecord) -> bool {
        let is_same = refresh_token(before).is_some_and(|token| holds(now, &digest(token)));
        is_same && matches!(self.judge(now, self.demand_on(now)), Step::Refresh { .. })
    }

    /// `record` while its token is valid, else `trouble`.
    fn fallback(&self, record: ConnectionRecord, trouble: Trouble) -> Result<Turn, Trouble> {
        if is_usable(&record, self.broker.clock.now()) { Ok(Turn::Over(record)) } else { Err(trouble) }
    }

    /// The answer for somebody who has waited in vain: perhaps another daemon was faster than the one waited for.
    fn overdue(&self) -> Outcome {
        let (record, _) = self.current()?;
        match self.judge(&record, self.demand_on(&record)) {
            Step::Keep => Ok(record),
            Step::Refuse(trouble) => Err(trouble),
            Step::Refresh { .. } if is_usable(&record, self.broker.clock.now()) => Ok(record),
            Step::Refresh { .. } => Err(Trouble::busy()),
        }
    }

    /// The record as it is now.
    fn current(&self) -> Result<(ConnectionRecord, Version), Trouble> {
        self.broker.read(&self.key)?.ok_or(Trouble::Gone(None))
    }

    /// Writes down that a token has ended for good. It has, whether or not that can be written.
    fn mark_expired(&self, record: &ConnectionRecord) {
        if record.status == ConnectionStatus::Expired {
            return;
        }
        let Ok((mut found, version)) = self.current() else { return };
        if self.broker.look(&found, Demand::Use) != Due::Dead {
            return;
        }
        found.status = ConnectionStatus::Expired;
        let value = found.to_sealable_json();
        let expected = ExpectedVersion::Is(&version);
        let _ = self.broker.vault.apply(&[VaultWrite { expected, ..VaultWrite::put(&self.key, value.expose_bytes()) }]);
    }
}
