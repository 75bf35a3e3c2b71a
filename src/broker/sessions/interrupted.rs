//! Logins that a daemon was finishing when it ended.

use crate::broker::{Broker, keys};
use crate::error::Result;
use crate::model::SessionStatus;

impl Broker {
    /// Ends logins that nobody finishes any more, where no other daemon can be at it. To be called before this one takes
    /// its first request. A record that cannot be read keeps no other login waiting. Returns how many there were.
    ///
    /// # Errors
    /// `StoreUnavailable`.
    pub fn end_interrupted_logins(&self) -> Result<usize> {
        if !self.vault.store().is_exclusive() {
            return Ok(0);
        }
        let mut ended = 0;
        for key in self.vault.list(keys::SESSIONS)? {
            let Ok(Some(session)) = self.session(&key[keys::SESSIONS.len()..]) else { continue };
            if session.public.status == SessionStatus::Processing {
                let reason = "the daemon was stopped while it was finishing this login; start it again";
                self.fail(session, reason.to_owned())?;
                ended += 1;
            }
        }
        Ok(ended)
    }
}
