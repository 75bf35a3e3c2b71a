//! Browser sessions: random handles that the server looks up. They survive a restart and end after an hour.

use serde::{Deserialize, Serialize};

use super::claims::url_safe;
use super::{People, to_json, token_hash};
use crate::error::Result;
use crate::limits::UI_SESSION_SECONDS;
use crate::model::Principal;
use crate::secret::random_bytes;
use crate::vault::{ExpectedVersion, VaultWrite};

/// The cookie that holds the handle.
pub(in crate::daemon) const UI_COOKIE: &str = "authsome_ui_session";
/// The longest handle that is looked up.
const LONGEST: usize = 128;

#[derive(Serialize, Deserialize)]
struct UiSession {
    principal_id: String,
    /// Cookies go to every port of a host; a handle is good for the port that gave it.
    port: u16,
}

impl People {
    /// A new session of `principal`: the handle for the cookie.
    pub(in crate::daemon) fn open_session(&self, principal: &Principal, port: u16) -> Result<String> {
        let handle = url_safe(&random_bytes::<32>());
        let value = to_json(&UiSession { principal_id: principal.principal_id.clone(), port });
        let write = VaultWrite {
            key: &session_key(&handle),
            value: Some(&value),
            expected: ExpectedVersion::Anything,
            expires_at: Some(self.clock.now().plus_seconds(UI_SESSION_SECONDS)),
        };
        self.vault.apply(&[write])?;
        Ok(handle)
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

    /// Ends all sessions of `principal_id`.
    pub(in crate::daemon) fn close_all_sessions(&self, principal_id: &str) -> Result<()> {
        for key in self.vault.list(SESSIONS)? {
            let session = self.read::<UiSession>(&key)?;
            if session.is_some_and(|session| session.principal_id == principal_id) {
                self.vault.delete(&key)?;
            }
        }
        Ok(())
    }
}

const SESSIONS: &str = "ui_session:";

fn session_key(handle: &str) -> String {
    format!("{SESSIONS}{}", token_hash(handle))
}
