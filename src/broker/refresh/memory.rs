//! What a record remembers of its refreshes, in its metadata: it outlives the daemon, and ends with the next login,
//! which writes a new record.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::limits::{REFRESH_LONGEST_PAUSE, REFRESH_PAUSE};
use crate::model::ConnectionRecord;
use crate::secret::random_bytes;

/// Where in the metadata.
const REFRESH: &str = "refresh";

/// See the module.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// The token came from a refresh.
    #[serde(default)]
    pub(super) refreshed: bool,
    /// The last refresh failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<Failure>,
}

/// A refresh that failed, and those before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    /// How many have failed in a row.
    pub(super) count: u32,
    /// When the last one did.
    pub(super) at: Timestamp,
    /// How long none is tried after it.
    #[serde(default)]
    pub(super) wait_ms: u64,
    /// Why, for people. Holds no secret.
    #[serde(default)]
    pub(super) reason: String,
    /// An answer of the server may have been lost, and with it a new refresh token.
    #[serde(default)]
    pub(super) lost: Option<Lost>,
}

/// How an answer may have been lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Lost {
    /// The daemon ended before it had stored it.
    Interrupted,
    /// It did not come, or was of no use.
    Unanswered,
}

impl Memory {
    /// What `record` remembers. What is not readable is nothing.
    pub(super) fn of(record: &ConnectionRecord) -> Self {
        record.metadata.get(REFRESH).and_then(|value| Self::deserialize(value).ok()).unwrap_or_default()
    }

    /// Writes it into `record`.
    pub(super) fn keep(&self, record: &mut ConnectionRecord) {
        let value = serde_json::to_value(self).unwrap_or(Value::Null);
        record.metadata.insert(REFRESH.to_owned(), value);
    }
}

impl Failure {
    /// The next failure in a row, at `at`, of a server that asks us to stay away for `retry_after`, which the flow has
    /// capped.
    pub(super) fn after(last: Option<&Self>, at: Timestamp, reason: String, retry_after: Option<Duration>) -> Self {
        let count = last.map_or(0, |last| last.count).saturating_add(1);
        let pause = pause(count, u16::from_le_bytes(random_bytes()));
        let pause = retry_after.map_or(pause, |asked| pause.max(asked));
        let wait_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        Self { count, at, wait_ms, reason, lost: last.and_then(|last| last.lost) }
    }

    /// Seconds until the next try, rounded up; `None`: it may be now. A clock that has gone back ends the wait.
    pub(super) fn seconds_left(&self, now: Timestamp) -> Option<i64> {
        let since = now.unix_micros().checked_sub(self.at.unix_micros()).filter(|since| *since >= 0)?;
        let left = i64::try_from(self.wait_ms).ok()?.saturating_mul(1000).saturating_sub(since);
        (left > 0).then(|| left.saturating_add(999_999) / 1_000_000)
    }

    /// The same failure for somebody who asks while it blocks.
    pub(super) fn reminder(&self, seconds: i64) -> String {
        format!("{}; next try in {seconds} s", self.reason)
    }
}

/// The pause after `count` failures in a row: none after the first, then growing. `jitter` takes up to a quarter away,
/// so that connections which failed together do not come back together.
fn pause(count: u32, jitter: u16) -> Duration {
    let Some(doublings) = count.checked_sub(2) else { return Duration::ZERO };
    let full = 2_u32
        .checked_pow(doublings)
        .and_then(|factor| REFRESH_PAUSE.checked_mul(factor))
        .map_or(REFRESH_LONGEST_PAUSE, |pause| pause.min(REFRESH_LONGEST_PAUSE));
    full.saturating_sub(full / 4 * u32::from(jitter) / u32::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_the_second_failure_and_end_at_a_minute() {
        let full: Vec<u64> = (0..9).map(|count| pause(count, 0).as_secs()).collect();
        assert_eq!(full, [0, 0, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(2, u16::MAX), Duration::from_millis(1500));
        assert_eq!(pause(u32::MAX, u16::MAX), Duration::from_secs(45));
    }

    #[test]
    fn a_server_may_ask_for_more() {
        let at = Timestamp::from_unix(1_000).expect("a time");
        let wait = |last, asked| Failure::after(last, at, "why".to_owned(), Some(Duration::from_secs(asked))).wait_ms;
        assert_eq!(wait(None, 30), 30_000);
        let last = Failure { count: 8, at, wait_ms: 0, reason: String::new(), lost: None };
        assert!((45_000..=60_000).contains(&wait(Some(&last), 1)), "our own pause is longer");
    }

    #[test]
    fn a_failure_blocks_from_its_moment_to_its_end_and_not_before() {
        let at = Timestamp::from_unix(1_000).expect("a time");
        let failure = Failure { count: 2, at, wait_ms: 1_500, reason: "why".to_owned(), lost: None };
        let left = |seconds| failure.seconds_left(at.plus_seconds(seconds));
        assert_eq!([left(-86_400), left(-1), left(0), left(1), left(2)], [None, None, Some(2), Some(1), None]);
        assert_eq!(failure.reminder(2), "why; next try in 2 s");
    }

    #[test]
    fn what_another_version_wrote_is_read_as_far_as_it_goes() {
        let mut record = ConnectionRecord::new("x", "default", crate::model::AuthType::Oauth2);
        assert_eq!(Memory::of(&record), Memory::default());
        record.metadata.insert(REFRESH.to_owned(), serde_json::json!({"refreshed": true, "later": 1}));
        assert!(Memory::of(&record).refreshed);
        record.metadata.insert(REFRESH.to_owned(), "nonsense".into());
        assert_eq!(Memory::of(&record), Memory::default());
    }
}
