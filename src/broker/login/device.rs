//! Device logins: one question to the provider at a time. Whoever asks decides when (see the daemon's pollers).

use std::time::Duration;

use super::StoredSession;
use super::callback::Failed;
use crate::broker::{Broker, keys};
use crate::error::{AuthsomeError, Result};
use crate::flow::{self, DevicePoll, FlowError};
use crate::model::{AuthSession, FlowType, SessionStatus};

/// What to do after a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceStep {
    /// Ask again after the interval.
    Again,
    /// Ask again, and from now on wait 5 seconds longer (RFC 8628 section 3.5).
    Slower,
    /// The login has ended.
    Ended,
}

/// A login that waits for its person at another device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceLogin {
    /// For whom.
    pub principal_id: String,
    /// Between two questions, at least a second.
    pub interval: Duration,
}

impl Broker {
    /// Device logins that wait for their person: after a restart somebody has to go on asking.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn waiting_devices(&self) -> Result<Vec<String>> {
        let mut waiting = Vec::new();
        for key in self.vault.list(keys::SESSIONS)? {
            let session = self.session(&key[keys::SESSIONS.len()..])?;
            waiting.extend(session.filter(waits_for_device).map(|session| session.public.id));
        }
        Ok(waiting)
    }

    /// What there is to know about the login `id` for whoever asks; `None`: it waits for no device.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn device_login(&self, id: &str) -> Result<Option<DeviceLogin>> {
        let Some(session) = self.session(id)?.filter(waits_for_device) else { return Ok(None) };
        let Some(pending) = self.pending(&session)? else { return Ok(None) };
        let interval = Duration::from_secs(pending.interval_seconds.max(1).unsigned_abs());
        Ok(Some(DeviceLogin { principal_id: session.principal_id, interval }))
    }

    /// Ends the login `id`, which nobody will ask about. Returns how it stands; `None`: there is none.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub fn abandon_device(&self, id: &str, reason: &str) -> Result<Option<AuthSession>> {
        if let Some(session) = self.session(id)?.filter(waits_for_device) {
            self.give_up(session, reason.to_owned())?;
        }
        Ok(self.session(id)?.map(|session| session.public))
    }

    /// Asks the provider once whether the person of the login `id` has agreed.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`; then the login may still be waiting.
    pub fn ask_device(&self, id: &str) -> Result<DeviceStep> {
        let Some(session) = self.session(id)?.filter(waits_for_device) else { return Ok(DeviceStep::Ended) };
        let Some(pending) = self.pending(&session)? else { return Ok(DeviceStep::Ended) };
        let Some(device_code) = &pending.device_code else { return Ok(DeviceStep::Ended) };
        let (entry, server) = match self.server_of(&session, &pending) {
            Ok(found) => found,
            Err(Failed::Here(error)) if is_passing(&error) => return Err(error),
            Err(failed) => return self.give_up(session, failed.into_reason()),
        };
        match flow::poll_device(&self.outbound, &server, &pending.client(), device_code) {
            // What may pass is asked again for as long as the code lives.
            Ok(DevicePoll::Pending) | Err(FlowError::Unreachable { .. } | FlowError::Unusable { .. }) => {
                Ok(DeviceStep::Again)
            }
            Ok(DevicePoll::SlowDown) => Ok(DeviceStep::Slower),
            Ok(DevicePoll::Done(tokens)) => {
                let Ok(claimed) = self.claim(session.clone()) else {
                    let record = self.record_of(&session, &pending, *tokens);
                    self.give_back(&server, &pending.client(), &record);
                    return Ok(DeviceStep::Again); // it has ended, or waits with another code
                };
                if let Err(error) = self.land(claimed, &entry, &pending, &server, *tokens) {
                    let _ = self.fail_with(id, error); // it is in the session
                }
                Ok(DeviceStep::Ended)
            }
            Err(error @ (FlowError::Refused { .. } | FlowError::Unsupported { .. })) => {
                self.give_up(session, error.to_string())
            }
        }
    }

    /// Ends `session`, unless it has ended or waits with another code by now.
    fn give_up(&self, session: StoredSession, reason: String) -> Result<DeviceStep> {
        let Ok(claimed) = self.claim(session) else { return Ok(DeviceStep::Again) };
        self.fail(claimed, reason)?;
        Ok(DeviceStep::Ended)
    }
}

/// Whether the next question may find that nothing is in its way.
fn is_passing(error: &AuthsomeError) -> bool {
    matches!(
        error,
        AuthsomeError::StoreUnavailable { .. } | AuthsomeError::EncryptionUnavailable { .. } | AuthsomeError::Io(_)
    )
}

fn waits_for_device(session: &StoredSession) -> bool {
    session.flow == FlowType::DeviceCode
        && session.public.status == SessionStatus::WaitingForUser
        && session.public.user_code.is_some()
}
