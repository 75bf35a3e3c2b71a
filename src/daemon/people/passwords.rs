//! Password hashing: Argon2id (RFC 9106), one at a time, and not for everybody at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::error::{AuthsomeError, Result};
use crate::secret::{Secret, random_bytes};

/// Memory of one hashing in KiB, and passes: the second choice of RFC 9106 scaled to 19 MiB, as OWASP recommends.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Callers that may wait for their hashing. Strangers can ask for one, and each waits on a thread that others need.
const LONGEST_QUEUE: usize = 8;

/// One hashing at a time: each takes its memory.
static HASHING: Mutex<()> = Mutex::new(());
static QUEUE: AtomicUsize = AtomicUsize::new(0);

#[cfg(test)]
thread_local! {
    /// How many passwords this thread has hashed to compare them.
    pub(in crate::daemon) static VERIFIED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The right to hash, in turn.
pub(super) struct Turn(());

#[allow(clippy::unused_self)] // it is the right to call these
impl Turn {
    /// A place in the queue; `None`: it is too long, try again.
    pub(super) fn take() -> Option<Self> {
        let others = QUEUE.fetch_add(1, Ordering::SeqCst);
        let turn = Self(());
        (others < LONGEST_QUEUE).then_some(turn) // dropped, it gives the place back
    }

    /// The hash of `password`, in PHC form.
    pub(super) fn hash(&self, password: &Secret) -> Result<String> {
        let salt = SaltString::encode_b64(&random_bytes::<16>()).expect("16 bytes are a valid salt");
        let _hashing = HASHING.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = hasher().hash_password(password.expose().as_bytes(), &salt);
        hash.map(|hash| hash.to_string())
            .map_err(|_| AuthsomeError::InvalidInput { what: "password", reason: "it cannot be hashed".to_owned() })
    }

    /// Takes the same time whether there is a hash or not.
    pub(super) fn verify(&self, password: &Secret, stored: Option<&str>) -> bool {
        /// The hash of nothing anybody knows, with our parameters.
        const NOBODY: &str =
            "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let Ok(parsed) = PasswordHash::new(stored.unwrap_or(NOBODY)) else { return false };
        let _hashing = HASHING.lock().unwrap_or_else(PoisonError::into_inner);
        #[cfg(test)]
        VERIFIED.set(VERIFIED.get() + 1);
        let is_right = hasher().verify_password(password.expose().as_bytes(), &parsed).is_ok();
        is_right && stored.is_some()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        QUEUE.fetch_sub(1, Ordering::SeqCst);
    }
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("constant parameters are in range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_its_own_and_nobody_has_none() {
        let turn = Turn::take().expect("a place");
        let (right, wrong) = (Secret::new("correct horse".to_owned()), Secret::new("correct cow".to_owned()));
        let hash = turn.hash(&right).expect("hashes");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(turn.verify(&right, Some(&hash)));
        assert!(!turn.verify(&wrong, Some(&hash)));
        assert!(!turn.verify(&right, None));
        assert!(!turn.verify(&right, Some("not a hash")));
    }
}
