//! Time: wall-clock timestamps as the wire wants them, and a clock that a test can move.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// Where "now" comes from. Clones share one offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_seconds: Arc<AtomicI64>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// The current time, UTC, in whole microseconds: what is written is what was meant.
    pub fn now(&self) -> Timestamp {
        let offset = time::Duration::seconds(self.offset_seconds.load(Ordering::Relaxed));
        let now = OffsetDateTime::now_utc() + offset;
        Timestamp(now.replace_microsecond(now.microsecond()).unwrap_or(now))
    }

    /// Moves this clock, forwards or backwards, by `seconds`.
    pub fn test_only_advance(&self, seconds: i64) {
        self.offset_seconds.fetch_add(seconds, Ordering::Relaxed);
    }
}

/// A point in time, UTC. On the wire: RFC 3339, as `2026-01-31T12:00:00.123456Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z, rounded down.
    pub fn unix(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// Microseconds since 1970-01-01T00:00:00Z. Negative before it.
    pub fn unix_micros(self) -> i64 {
        // An `OffsetDateTime` ends in the year 9999, whose microseconds fit.
        i64::try_from(self.0.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
    }

    /// The time `seconds` after 1970; `None` outside the years that RFC 3339 can write.
    pub fn from_unix(seconds: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp(seconds).ok().map(Self)
    }

    /// This time moved by `seconds`, stopping at the ends of what can be written.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(time::Duration::seconds(seconds)))
    }

    /// The form of HTTP's `Date` (RFC 9110 section 5.6.7), as `Sat, 31 Jan 2026 12:00:00 GMT`.
    pub fn to_http_date(self) -> String {
        let (date, time) = (self.0.date(), self.0.time());
        // The names of the standard's grammar are the first three letters of the English ones.
        let (weekday, month) = (date.weekday().to_string(), date.month().to_string());
        let (day, year, hour) = (date.day(), date.year(), time.hour());
        let (weekday, month, minute, second) = (&weekday[..3], &month[..3], time.minute(), time.second());
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    /// Reads the form that [`Timestamp::to_http_date`] writes. The two obsolete forms of the standard are not taken.
    pub fn parse_http_date(text: &str) -> Option<Self> {
        let time = text.strip_suffix(" GMT").map(|rest| format!("{rest} +0000"))?;
        OffsetDateTime::parse(&time, &Rfc2822).ok().map(Self)
    }

    /// Reads RFC 3339, and the forms without an offset that Python writes (taken as UTC).
    pub fn parse(text: &str) -> Option<Self> {
        let with_t = text.replacen(' ', "T", 1);
        OffsetDateTime::parse(&with_t, &Rfc3339)
            .or_else(|_| OffsetDateTime::parse(&format!("{with_t}Z"), &Rfc3339))
            .ok()
            .map(|time| Self(time.to_offset(time::UtcOffset::UTC)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.0.date(), self.0.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.microsecond()
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected an ISO 8601 time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_what_python_writes() {
        let noon = Timestamp::from_unix(1_769_860_800).expect("in range");
        assert_eq!(noon.to_string(), "2026-01-31T12:00:00.000000Z");
        assert_eq!(noon.to_http_date(), "Sat, 31 Jan 2026 12:00:00 GMT");
        assert_eq!(Timestamp::parse_http_date(&noon.to_http_date()), Some(noon));
        for text in ["", "Sat, 31 Jan 2026 12:00:00", "Saturday, 31-Jan-26 12:00:00 GMT", "2026-01-31T12:00:00Z"] {
            assert_eq!(Timestamp::parse_http_date(text), None, "{text}");
        }
        for text in [
            "2026-01-31T12:00:00.000000Z",
            "2026-01-31T12:00:00Z",
            "2026-01-31T12:00:00+00:00",
            "2026-01-31T13:00:00+01:00",
            "2026-01-31T12:00:00",
            "2026-01-31 12:00:00.000000",
        ] {
            assert_eq!(Timestamp::parse(text), Some(noon), "{text}");
        }
        for text in ["", "noon", "2026-13-01T00:00:00Z", "2026-01-31"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_test_can_move_the_clock() {
        let clock = Clock::system();
        let before = clock.now();
        clock.clone().test_only_advance(3600);
        assert!(clock.now().unix() - before.unix() >= 3600);
    }
}
