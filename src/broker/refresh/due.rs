//! Whether a token is to be refreshed: a decision about a record and a point in time, and nothing else.

use std::time::Duration;

use super::Demand;
use super::memory::{Failure, Memory};
use crate::broker::resolve::is_alive;
use crate::clock::Timestamp;
use crate::limits::{CLOCK_SKEW_SECONDS, REFUSED_SUCCESSOR_PAUSE, REFUSED_TOKEN_PAUSE, REQUEST_LEAD};
use crate::model::{AuthType, ConnectionRecord, ConnectionStatus};
use crate::secret::Secret;

/// What to do about a token.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Due {
    /// Nothing: it is good, or a refresh would not help (a key, a connection that was revoked).
    Fresh,
    /// Refresh it; meanwhile it can be used: it has time enough for a request.
    Soon,
    /// Refresh it; whoever asks has to wait for that.
    Now,
    /// It should be refreshed, but that has failed and must not be tried again yet.
    Blocked {
        /// How it failed.
        failure: Failure,
        /// Seconds until the next try, at least 1.
        seconds: i64,
    },
    /// It has ended, and there is nothing to refresh it with.
    Dead,
}

/// What to do about the token of `record` at `now`, when it should be good for `near_expiry_seconds` more.
pub(super) fn due(record: &ConnectionRecord, now: Timestamp, near_expiry_seconds: i64, demand: Demand) -> Due {
    let is_ours = matches!(record.status, ConnectionStatus::Connected | ConnectionStatus::Expired);
    if record.auth_type != AuthType::Oauth2 || !is_ours {
        return Due::Fresh;
    }
    let is_usable = is_usable(record, now);
    if refresh_token(record).is_none() {
        return if is_usable { Due::Fresh } else { Due::Dead };
    }
    let memory = Memory::of(record);
    let is_refused = is_refused(record, &memory, now, demand);
    if is_usable && !is_refused && !is_near_end(record, &memory, now, near_expiry_seconds) {
        return Due::Fresh;
    }
    if let Some(failure) = memory.failure
        && let Some(seconds) = failure.seconds_left(now)
    {
        return Due::Blocked { failure, seconds };
    }
    if is_usable && !is_refused && !is_ending(record, now) { Due::Soon } else { Due::Now }
}

/// What a new token can be had for.
pub(super) fn refresh_token(record: &ConnectionRecord) -> Option<&Secret> {
    record.refresh_token.as_ref().filter(|token| !token.is_empty())
}

/// Whether the access token of `record` may be handed out for want of a better one.
pub(super) fn is_usable(record: &ConnectionRecord, now: Timestamp) -> bool {
    let is_there = record.access_token.as_ref().is_some_and(|token| !token.is_empty());
    is_there && is_alive(record, now)
}

/// Whether to believe that the token is the one that was refused, and that a refresh may help. An upstream that refuses
/// every token must not cause one at each request; and who does not say which token was refused may have had another.
fn is_refused(record: &ConnectionRecord, memory: &Memory, now: Timestamp, demand: Demand) -> bool {
    match demand {
        Demand::Use => false,
        Demand::Rejected | Demand::Refused(_) if memory.refreshed => !is_younger(record, REFUSED_SUCCESSOR_PAUSE, now),
        Demand::Rejected => !is_younger(record, REFUSED_TOKEN_PAUSE, now),
        Demand::Refused(_) => true,
    }
}

fn is_younger(record: &ConnectionRecord, pause: Duration, now: Timestamp) -> bool {
    let pause = i64::try_from(pause.as_secs()).unwrap_or(i64::MAX);
    record.obtained_at.is_some_and(|at| (-CLOCK_SKEW_SECONDS..pause).contains(&(now.unix() - at.unix())))
}

/// Whether the token may be over before a request that carries it arrives.
fn is_ending(record: &ConnectionRecord, now: Timestamp) -> bool {
    let lead = i64::try_from(REQUEST_LEAD.as_secs()).unwrap_or(i64::MAX);
    record.expires_at.is_some_and(|end| end.unix() - now.unix() < lead)
}

/// Whether the token has less than `near_expiry_seconds` left. One that came from a refresh gets half its life first:
/// else a token that lives shorter than that would be refreshed at every request.
fn is_near_end(record: &ConnectionRecord, memory: &Memory, now: Timestamp, near_expiry_seconds: i64) -> bool {
    let Some(end) = record.expires_at else { return false };
    let left = end.unix() - now.unix();
    let Some(obtained) = record.obtained_at else { return left < near_expiry_seconds };
    let age = now.unix() - obtained.unix();
    if age < -CLOCK_SKEW_SECONDS {
        return true; // the clock has gone back since: what it says about the end is not to be trusted
    }
    let life = end.unix() - obtained.unix();
    left < near_expiry_seconds && !(memory.refreshed && age.saturating_mul(2) < life)
}
