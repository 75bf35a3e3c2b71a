//! Browser sessions: random handles that the server looks up. They survive a restart and end after an hour.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use super::claims::url_safe;
use super::{People, to_json, token_hash};
use crate::broker::Actor;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::limits::{UI_SESSION_SECONDS, UI_SESSIONS_EACH};
use crate::model::{AuditEvent, Principal};
use crate::secret::random_bytes;
use crate::vault::VaultWrite;

/// The cookie that holds the handle.
pub(in crate::daemon) const UI_COOKIE: &str = "authsome_ui_session";
/// The longest handle that is looked up.
const LONGEST: usize = 128;

#[derive(Serialize, Deserialize)]
struct UiSession {
    principal_id: String,
    /// Cookies go to every port of a host; a handle is good for the port that gave it.
    port: u16,
    /// The key of the agent that opened it with a one-time link.
    #[serde(default)]
    by: Option<String>,
    /// Microseconds since 1970.
    #[serde(default)]
    since: i64,
}

/// A session that is not written yet.
pub(super) struct NewSession {
    handle: String,
    key: String,
    value: Vec<u8>,
    ends: Timestamp,
}

impl NewSession {
    pub(super) fn write(&self) -> VaultWrite<'_> {
        VaultWrite { expires_at: Some(self.ends), ..VaultWrite::put(&self.key, &self.value) }
    }

    /// What goes into the cookie.
    pub(super) fn into_handle(self) -> String {
        self.handle
    }
}

impl People {
    /// Begins a session of `principal`, whom `event` let in, or the agent with the key `by`, in a browser that may have had
    /// another one, which ends; and so does the oldest of too many. Returns the handle for the cookie; `None` when the
    /// password is another one by now, or the agent may not do all that its person may.
    pub(in crate::daemon) fn open_session(
        &self,
        principal: &Principal,
        port: u16,
        before: Option<&str>,
        (event, by): (AuditEvent, Option<&str>),
    ) -> Result<Option<String>> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.principal(&principal.principal_id)?.as_ref() != Some(principal) {
            return Ok(None);
        }
        if let Some(agent) = by
            && !self.may_be(agent, &principal.principal_id)?
        {
            return Ok(None);
        }
        let (session, before) = (self.new_session(principal, port, by), before.map(session_key));
        let surplus = self.surplus(&principal.principal_id)?;
        let ends = before.iter().chain(&surplus).map(|key| VaultWrite::delete(key));
        let writes: Vec<_> = std::iter::once(session.write()).chain(ends).collect();
        self.write(Some(&Actor::person(principal)), event, &writes)?;
        Ok(Some(session.into_handle()))
    }

    /// The oldest sessions of `principal_id`, where there is no room for one more.
    fn surplus(&self, principal_id: &str) -> Result<Vec<String>> {
        let mut open = self.sessions_where(|session| session.principal_id == principal_id)?;
        open.sort_by_key(|(_, session)| session.since);
        open.truncate((open.len() + 1).saturating_sub(UI_SESSIONS_EACH));
        Ok(open.into_iter().map(|(key, _)| key).collect())
    }

    /// A session for a test.
    #[cfg(test)]
    pub(in crate::daemon) fn test_only_session(&self, principal: &Principal, port: u16) -> String {
        let opened = self.open_session(principal, port, None, (AuditEvent::success("account.login"), None));
        opened.expect("opens").expect("the principal is there")
    }

    pub(super) fn new_session(&self, principal: &Principal, port: u16, by: Option<&str>) -> NewSession {
        let handle = url_safe(&random_bytes::<32>());
        let (now, principal_id) = (self.clock.now(), principal.principal_id.clone());
        let session = UiSession { principal_id, port, by: by.map(str::to_owned), since: now.unix_micros() };
        NewSession {
            key: session_key(&handle),
            value: to_json(&session),
            ends: now.plus_seconds(UI_SESSION_SECONDS),
            handle,
        }
    }

    /// The person behind a handle that was given for `port`.
    pub(in crate::daemon) fn browser_session(&self, handle: &str, port: u16) -> Result<Option<Principal>> {
        if handle.is_empty() || handle.len() > LONGEST {
            return Ok(None);
        }
        let session = self.read::<UiSession>(&session_key(handle))?;
        match session.filter(|session| session.port == port) {
            Some(session) => self.principal(&session.principal_id),
            None => Ok(None),
        }
    }

    /// Ends one session.
    pub(in crate::daemon) fn close_session(&self, handle: &str) -> Result<()> {
        self.vault.delete(&session_key(handle)).map(|_| ())
    }

    /// How many browsers `principal_id` is signed in with.
    pub(in crate::daemon) fn open_sessions(&self, principal_id: &str) -> Result<usize> {
        Ok(self.session_keys(principal_id)?.len())
    }

    /// Ends the sessions of the principal of `by`, but the one with the handle `kept`. Returns how many it were.
    pub(in crate::daemon) fn close_other_sessions(&self, by: &Actor, kept: Option<&str>) -> Result<usize> {
        let kept = kept.map(session_key);
        let mut keys = self.session_keys(&by.principal_id)?;
        keys.retain(|key| Some(key) != kept.as_ref());
        let noted = AuditEvent::success("account.sessions_closed").with("sessions", keys.len());
        self.write(Some(by), noted, &keys.iter().map(|key| VaultWrite::delete(key)).collect::<Vec<_>>())?;
        Ok(keys.len())
    }

    /// Ends the sessions that the agent with the key `did` opened, but the one with the handle `kept`: whoever may not do
    /// all that a person may, shall not do it in a browser.
    pub(in crate::daemon) fn close_sessions_by(&self, did: &str, kept: Option<&str>) -> Result<()> {
        let kept = kept.map(session_key);
        let mut keys = self.session_keys_where(|session| session.by.as_deref() == Some(did))?;
        keys.retain(|key| Some(key) != kept.as_ref());
        self.vault.apply(&keys.iter().map(|key| VaultWrite::delete(key)).collect::<Vec<_>>()).map(drop)
    }

    /// Where the sessions of `principal_id` are.
    pub(super) fn session_keys(&self, principal_id: &str) -> Result<Vec<String>> {
        self.session_keys_where(|session| session.principal_id == principal_id)
    }

    fn session_keys_where(&self, is_meant: impl Fn(&UiSession) -> bool) -> Result<Vec<String>> {
        Ok(self.sessions_where(is_meant)?.into_iter().map(|(key, _)| key).collect())
    }

    fn sessions_where(&self, is_meant: impl Fn(&UiSession) -> bool) -> Result<Vec<(String, UiSession)>> {
        let mut found = Vec::new();
        for key in self.vault.list(SESSIONS)? {
            found.extend(self.read::<UiSession>(&key)?.filter(&is_meant).map(|session| (key, session)));
        }
        Ok(found)
    }
}

const SESSIONS: &str = "ui_session:";

fn session_key(handle: &str) -> String {
    format!("{SESSIONS}{}", token_hash(handle))
}
