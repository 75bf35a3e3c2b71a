//! Places for requests that may wait for a provider: a provider that hangs must not make every connection hang with it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::limits::DAEMON_PLACE_DEADLINE;

/// Whether a request may call a provider, or hash a password. What only reads may not, but for the callback of a login,
/// which redeems a code.
pub(super) fn may_wait(method: &str, target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    !matches!(method, "GET" | "HEAD") || path.ends_with("/callback/oauth")
}

/// All places of one gate.
pub(super) struct Places {
    free: Mutex<usize>,
    given_back: Condvar,
}

/// One place; it is given back when this is dropped.
pub(super) struct Place(Arc<Places>);

impl Places {
    /// So many places, all free.
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { free: Mutex::new(count), given_back: Condvar::new() })
    }

    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place; `None`: for too long.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let waited = self.given_back.wait_timeout_while(self.free(), DAEMON_PLACE_DEADLINE, |free| *free == 0);
        let mut free = waited.unwrap_or_else(PoisonError::into_inner).0;
        *free = free.checked_sub(1)?;
        Some(Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.free() += 1;
        self.0.given_back.notify_one();
    }
}
