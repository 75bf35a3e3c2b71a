//! Slows guessing of passwords: per account and per address, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::clock::Clock;

/// Failures that cost nothing: people mistype.
const FREE: u32 = 5;
/// The longest wait.
const LONGEST_SECONDS: i64 = 15 * 60;
/// Names remembered at once. An attacker who fills this with addresses gains one free round for each.
const ENTRIES: usize = 10_000;

/// Failures by name.
pub(super) struct Throttle {
    clock: Clock,
    failures: Mutex<HashMap<String, Failures>>,
}

#[derive(Clone, Copy, Default)]
struct Failures {
    count: u32,
    until: i64,
}

/// An attempt. It counts as failed from its beginning, so that a thousand at once gain nothing, unless it succeeds.
#[must_use]
pub(super) struct Attempt<'a> {
    throttle: &'a Throttle,
    account: Option<String>,
    address: Option<String>,
}

impl Throttle {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, failures: Mutex::default() }
    }

    /// Begins an attempt on `account` from `address`, as far as they are known; `None` while one of them has to wait.
    pub(super) fn begin(&self, account: Option<&str>, address: Option<&str>) -> Option<Attempt<'_>> {
        let account = account.map(|account| format!("account {account}"));
        let address = address.map(|address| format!("address {address}"));
        let names = || account.iter().chain(&address);
        let now = self.clock.now().unix();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if names().any(|name| failures.get(name).is_some_and(|failed| failed.until > now)) {
            return None;
        }
        if failures.len() >= ENTRIES {
            failures.retain(|_, failed| failed.until > now);
        }
        for name in names() {
            if failures.len() < ENTRIES || failures.contains_key(name) {
                failures.entry(name.clone()).or_default().one_more(now);
            }
        }
        drop(failures);
        Some(Attempt { throttle: self, account, address })
    }
}

impl Failures {
    /// After the free ones the wait doubles each time. Who has not failed for long starts afresh: the typing errors of
    /// a month are no attack.
    fn one_more(&mut self, now: i64) {
        if self.until + LONGEST_SECONDS < now {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        let over = self.count.saturating_sub(FREE).min(20);
        self.until = if over == 0 { now } else { now + (1_i64 << over).min(LONGEST_SECONDS) };
    }
}

impl Attempt<'_> {
    /// The account starts afresh. The address, which may try one account after another, keeps what it had before.
    pub(super) fn succeeded(self) {
        let now = self.throttle.clock.now().unix();
        let mut failures = self.throttle.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = &self.account {
            failures.remove(account);
        }
        if let Some(failed) = self.address.as_ref().and_then(|address| failures.get_mut(address)) {
            failed.count = failed.count.saturating_sub(1);
            failed.until = now; // it may try again, but it is not forgotten
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_at_once_count_as_attempts_in_a_row() {
        let clock = Clock::system();
        let throttle = Throttle::new(clock.clone());
        let begun = (0..100).filter_map(|_| throttle.begin(Some("a"), Some("1"))).count();
        assert_eq!(begun, usize::try_from(FREE).expect("small") + 1);
        assert!(throttle.begin(Some("a"), Some("2")).is_none(), "the account waits, wherever one tries from");
        assert!(throttle.begin(Some("b"), Some("1")).is_none(), "the address waits, whatever account it tries");
        assert!(throttle.begin(Some("b"), Some("2")).is_some());
        clock.test_only_advance(3);
        throttle.begin(Some("a"), Some("1")).expect("the wait is over").succeeded();
        assert!(throttle.begin(Some("a"), Some("2")).is_some(), "a success clears the account");
        for _ in 0..2 {
            let _ = throttle.begin(Some("c"), Some("1"));
        }
        assert!(throttle.begin(Some("c"), Some("1")).is_none(), "but not the address");
    }
    #[test]
    fn old_failures_are_forgotten() {
        let clock = Clock::system();
        let throttle = Throttle::new(clock.clone());
        for _ in 0..50 {
            assert!(throttle.begin(Some("a"), None).is_some(), "one mistake in an hour never costs more");
            clock.test_only_advance(3600);
        }
    }
}
