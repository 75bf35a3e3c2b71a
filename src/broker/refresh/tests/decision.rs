//! The table of what is due.

use super::super::due::{Due, due};
use super::super::memory::{Failure, Memory};
use super::*;
use crate::clock::Timestamp;
use crate::model::Fingerprint;

const NEAR: i64 = 300;

fn now() -> Timestamp {
    Timestamp::from_unix(1_800_000_000).expect("a time")
}

/// A token that was got `age` seconds ago and has `left` seconds left.
fn token(age: i64, left: Option<i64>) -> ConnectionRecord {
    let mut record = ConnectionRecord::new("acme", "default", AuthType::Oauth2);
    record.status = ConnectionStatus::Connected;
    record.access_token = Some(Secret::new("at".to_owned()));
    record.refresh_token = Some(Secret::new("rt".to_owned()));
    record.obtained_at = Some(now().plus_seconds(-age));
    record.expires_at = left.map(|left| now().plus_seconds(left));
    record
}

fn with(mut record: ConnectionRecord, change: impl FnOnce(&mut ConnectionRecord)) -> ConnectionRecord {
    change(&mut record);
    record
}

fn refreshed(record: ConnectionRecord) -> ConnectionRecord {
    with(record, |record| Memory { refreshed: true, failure: None }.keep(record))
}

fn without_refresh_token(record: ConnectionRecord) -> ConnectionRecord {
    with(record, |record| record.refresh_token = None)
}

fn failed(record: ConnectionRecord, ago: i64, wait_ms: u64) -> ConnectionRecord {
    let failure = Failure { count: 3, at: now().plus_seconds(-ago), wait_ms, reason: "why".to_owned(), lost: None };
    with(record, |record| Memory { refreshed: false, failure: Some(failure) }.keep(record))
}

fn judge(record: &ConnectionRecord, demand: Demand) -> &'static str {
    match due(record, now(), NEAR, demand) {
        Due::Fresh => "fresh",
        Due::Soon => "soon",
        Due::Now => "now",
        Due::Blocked { .. } => "blocked",
        Due::Dead => "dead",
    }
}

fn check(rows: &[(&str, ConnectionRecord, &str)]) {
    for (what, record, expected) in rows {
        assert_eq!(judge(record, Demand::Use), *expected, "{what}");
    }
}

#[test]
fn a_token_is_refreshed_when_it_is_due_and_not_before() {
    let day = 86_400;
    let of = |status| with(token(100, Some(-1)), |record| record.status = status);
    let key = with(token(3600, Some(-1)), |record| record.auth_type = AuthType::ApiKey);
    let cookies = with(token(3600, Some(-1)), |record| record.auth_type = AuthType::Browser);
    let nothing = with(token(0, None), |record| record.access_token = None);
    let empty = with(token(3600, Some(-1)), |record| record.refresh_token = Some(Secret::new(String::new())));
    let undated = with(token(0, Some(299)), |record| record.obtained_at = None);
    let rows = [
        ("no end known", token(day, None), "fresh"),
        ("just enough left", token(3300, Some(300)), "fresh"),
        ("not enough left", token(3301, Some(299)), "soon"),
        ("just enough left for a request", token(3590, Some(10)), "soon"),
        ("not enough left for a request", token(3591, Some(9)), "now"),
        ("not enough left for a request, from a refresh, before half its life", refreshed(token(3, Some(4))), "fresh"),
        (
            "not enough left for a request, without a refresh token",
            without_refresh_token(token(3591, Some(9))),
            "fresh",
        ),
        ("at its end", token(3600, Some(0)), "now"),
        ("after its end", token(3700, Some(-100)), "now"),
        ("when it was got is not known", undated, "soon"),
        ("short from a login", token(10, Some(50)), "soon"),
        ("short from a refresh, before half its life", refreshed(token(29, Some(31))), "fresh"),
        ("short from a refresh, after half its life", refreshed(token(30, Some(30))), "soon"),
        ("short from a refresh, over", refreshed(token(60, Some(0))), "now"),
        ("long from a refresh", refreshed(token(3301, Some(299))), "soon"),
        ("near its end, without a refresh token", without_refresh_token(token(3500, Some(100))), "fresh"),
        ("over, without a refresh token", without_refresh_token(token(3700, Some(-100))), "dead"),
        ("over, with an empty refresh token", empty, "dead"),
        ("only a refresh token", nothing, "now"),
        ("marked as expired", of(ConnectionStatus::Expired), "now"),
        ("revoked", of(ConnectionStatus::Revoked), "fresh"),
        ("not valid", of(ConnectionStatus::Invalid), "fresh"),
        ("not connected", of(ConnectionStatus::NotConnected), "fresh"),
        ("a key", key, "fresh"),
        ("cookies", cookies, "fresh"),
    ];
    check(&rows);
}

#[test]
fn a_wrong_clock_and_a_failure_are_thought_of() {
    let day = 86_400;
    let rows = [
        ("the clock was a little ahead", token(-60, Some(3660)), "fresh"),
        ("the clock was a day ahead", token(-day, Some(day + 3600)), "soon"),
        ("the same from a refresh", refreshed(token(-day, Some(day + 3600))), "soon"),
        ("the same without a refresh token", without_refresh_token(token(-day, Some(day + 3600))), "fresh"),
        ("the clock was a day behind", token(day + 10, Some(-day + 3590)), "now"),
        ("failed, and it is not over", failed(token(3400, Some(200)), 1, 2000), "blocked"),
        ("failed, and it is over", failed(token(3700, Some(-100)), 1, 2000), "blocked"),
        ("failed, and the pause is over", failed(token(3400, Some(200)), 2, 2000), "soon"),
        ("failed without a pause", failed(token(3700, Some(-100)), 0, 0), "now"),
        ("failed in the future", failed(token(3700, Some(-100)), -day, 60_000), "now"),
        ("failed, but it is not due any more", failed(token(10, Some(3600)), 1, 60_000), "fresh"),
    ];
    check(&rows);
}

#[test]
fn a_token_that_an_upstream_refused_is_refreshed_once() {
    let rows = [
        ("an old one", token(10, Some(3000)), "now"),
        ("one of a moment ago", token(9, Some(3591)), "fresh"),
        ("one of a moment ahead", token(-9, Some(3609)), "fresh"),
        ("one of a moment ago that is over", token(9, Some(-1)), "now"),
        ("one of tomorrow", token(-86_400, Some(90_000)), "now"),
        ("without an end", token(3600, None), "now"),
        ("without a refresh token", without_refresh_token(token(3600, Some(100))), "fresh"),
        ("one from a refresh, before half its life", refreshed(token(120, Some(240))), "now"),
        ("one from a refresh that runs may not have yet", refreshed(token(119, Some(241))), "fresh"),
        ("one from a refresh that is over", refreshed(token(20, Some(0))), "now"),
        ("after a failure", failed(token(3600, Some(1000)), 1, 60_000), "blocked"),
    ];
    for (what, record, expected) in rows {
        assert_eq!(judge(&record, Demand::Rejected), expected, "{what}");
    }
}

#[test]
fn a_token_that_is_known_to_be_the_refused_one_need_not_be_old() {
    let refused = Demand::Refused(Fingerprint::of(&[]));
    let rows = [
        ("one of a moment ago", token(1, Some(3599)), "now"),
        ("without a refresh token", without_refresh_token(token(1, Some(100))), "fresh"),
        ("one from a refresh: another would not be better", refreshed(token(119, Some(241))), "fresh"),
        ("one from a refresh of a while ago", refreshed(token(120, Some(240))), "now"),
        ("after a failure", failed(token(3600, Some(1000)), 1, 60_000), "blocked"),
    ];
    for (what, record, expected) in rows {
        assert_eq!(judge(&record, refused), expected, "{what}");
    }
}
