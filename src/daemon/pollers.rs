//! Device logins under way: one thread each, which asks the provider from time to time and ends with its login.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::serve::log;
use crate::broker::{Broker, DeviceStep};
use crate::error::Result;
use crate::limits::{DAEMON_GRACE, DAEMON_STACK_BYTES, DEVICE_POLLERS, DEVICE_POLLERS_EACH, DEVICE_SLOW_DOWN};
use crate::model::{AuthSession, SessionStatus};

/// What a login is told that finds no place.
const TOO_MANY: &str = "too many device logins wait at once; finish or cancel one, or try again later";

/// The threads that ask.
pub(super) struct Pollers {
    shared: Arc<Shared>,
}

struct Shared {
    broker: Arc<Broker>,
    watched: Mutex<Watched>,
    changed: Condvar,
}

#[derive(Default)]
struct Watched {
    /// Whose logins are asked about, by session.
    logins: BTreeMap<String, String>,
    is_over: bool,
}

impl Watched {
    fn is_full_for(&self, principal_id: &str) -> bool {
        let own = self.logins.values().filter(|of| *of == principal_id).count();
        self.logins.len() >= DEVICE_POLLERS || own >= DEVICE_POLLERS_EACH
    }
}

impl Pollers {
    /// Nobody is asked yet.
    pub(super) fn start(broker: &Arc<Broker>) -> Self {
        let shared = Shared { broker: Arc::clone(broker), watched: Mutex::default(), changed: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Goes on with the logins of an earlier process.
    pub(super) fn resume(&self) {
        let resumed = self.shared.broker.waiting_devices().and_then(|waiting| {
            waiting.iter().try_for_each(|id| if self.ask_about(id)? { Ok(()) } else { self.abandon(id).map(drop) })
        });
        if let Err(error) = resumed {
            log(&format!("cannot go on with device logins: {error}"));
        }
    }

    /// Asks about `session` from now on, if it is a device login that waits. Returns it as it stands then: where too many
    /// wait already, it has failed.
    ///
    /// # Errors
    /// `StoreUnavailable`, `EncryptionUnavailable`.
    pub(super) fn watch(&self, session: AuthSession) -> Result<AuthSession> {
        let waits = session.status == SessionStatus::WaitingForUser && session.user_code.is_some();
        if !waits || self.ask_about(&session.id)? {
            return Ok(session);
        }
        Ok(self.abandon(&session.id)?.unwrap_or(session))
    }

    /// Asks no more about the login `id`, which was cancelled.
    pub(super) fn forget(&self, id: &str) {
        self.shared.forget(id);
    }

    fn abandon(&self, id: &str) -> Result<Option<AuthSession>> {
        self.shared.broker.abandon_device(id, TOO_MANY)
    }

    /// Whether there is room for the login `id`.
    fn ask_about(&self, id: &str) -> Result<bool> {
        let Some(login) = self.shared.broker.device_login(id)? else { return Ok(true) };
        let mut watched = self.shared.watched();
        if watched.is_over || watched.logins.contains_key(id) {
            return Ok(true);
        }
        if watched.is_full_for(&login.principal_id) {
            return Ok(false);
        }
        watched.logins.insert(id.to_owned(), login.principal_id);
        drop(watched);
        let (shared, watching) = (Arc::clone(&self.shared), id.to_owned());
        let builder = thread::Builder::new().name("device-login".to_owned()).stack_size(DAEMON_STACK_BYTES);
        let started = builder.spawn(move || {
            if catch_unwind(AssertUnwindSafe(|| shared.ask_until_it_ends(&watching))).is_err() {
                log("a device login is not asked about any more: its thread panicked");
                shared.forget(&watching);
            }
        });
        if let Err(error) = started {
            log(&format!("cannot ask about a device login: {error}"));
            self.shared.forget(id);
            return Ok(false);
        }
        Ok(true)
    }

    /// Ends all threads. An answer that is on its way is still stored.
    pub(super) fn stop(&self) {
        let until = Instant::now() + DAEMON_GRACE;
        let mut watched = self.shared.watched();
        watched.is_over = true;
        self.shared.changed.notify_all();
        while !watched.logins.is_empty() {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return };
            watched = self.shared.changed.wait_timeout(watched, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, id: &str) {
        self.watched().logins.remove(id);
        self.changed.notify_all();
    }

    /// Asks as often as the login says. A form that is sent again makes a new code, with an interval of its own.
    fn ask_until_it_ends(&self, id: &str) {
        let mut slower = Duration::ZERO;
        loop {
            let interval = match self.broker.device_login(id) {
                Ok(Some(login)) => login.interval,
                Ok(None) if self.leave(id) => return,
                Ok(None) => continue,
                Err(error) => {
                    log(&format!("a device login cannot go on for now: {error}"));
                    DEVICE_SLOW_DOWN
                }
            };
            if !self.pause(id, interval + slower) {
                return self.forget(id);
            }
            match self.broker.ask_device(id) {
                Ok(DeviceStep::Again | DeviceStep::Ended) => {}
                Ok(DeviceStep::Slower) => slower += DEVICE_SLOW_DOWN,
                Err(error) => log(&format!("a device login cannot go on for now: {error}")),
            }
        }
    }

    /// Gives the place of the login `id` back, unless it waits again: whoever has sent its form once more has seen that
    /// somebody asks about it.
    fn leave(&self, id: &str) -> bool {
        self.forget(id);
        let Ok(Some(login)) = self.broker.device_login(id) else { return true };
        let mut watched = self.watched();
        if watched.is_over || watched.logins.contains_key(id) {
            return true;
        }
        watched.logins.insert(id.to_owned(), login.principal_id);
        false
    }

    /// Waits for `interval`; `false`: nobody wants to know any more.
    fn pause(&self, id: &str, interval: Duration) -> bool {
        let until = Instant::now() + interval;
        let mut watched = self.watched();
        loop {
            if watched.is_over || !watched.logins.contains_key(id) {
                return false;
            }
            let Some(left) = until.checked_duration_since(Instant::now()) else { return true };
            watched = self.changed.wait_timeout(watched, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
