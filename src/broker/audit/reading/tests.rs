//! Pages while the log lives on: no gap, no entry twice, and no call without an end.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::broker::Actor;
use crate::clock::Clock;
use crate::model::{AuditEvent, AuditSource, Grants, Role};
use crate::store::open_in_memory;
use crate::vault::{MasterKey, Vault};

fn log() -> AuditLog {
    let clock = Clock::system();
    let store = open_in_memory(clock.clone()).expect("a store");
    AuditLog::new(Arc::new(Vault::open(store, &MasterKey::generate()).expect("a vault")), clock)
}

fn actor(name: &str) -> Actor {
    Actor {
        identity: Some(format!("{name}-agent")),
        principal_id: format!("principal_{name}"),
        vault_id: format!("vault_{name}"),
        role: Role::User,
        grants: Grants::default(),
    }
}

/// Writes `count` events as one batch. Each has its number as its connection.
fn write(log: &AuditLog, name: &str, event: &str, provider: &str, count: usize) {
    let event = |number: usize| AuditEvent {
        event: event.to_owned(),
        provider: Some(provider.to_owned()),
        connection: Some(number.to_string()),
        ..AuditEvent::default()
    };
    log.record(AuditSource::External, Some(&actor(name)), (0..count).map(event).collect()).expect("writes");
}

/// Every page of `query`, with `meanwhile` between two of them.
fn pages(log: &AuditLog, query: &AuditQuery, mut meanwhile: impl FnMut(&AuditLog)) -> Vec<Vec<AuditEntry>> {
    let (mut query, mut pages) = (query.clone(), Vec::new());
    loop {
        let (entries, next) = log.page(&query).expect("a page");
        pages.push(entries);
        let Some(next) = next else { return pages };
        query.cursor = Cursor::parse(&next.to_string());
        assert!(query.cursor.is_some(), "a cursor survives its text");
        meanwhile(log);
    }
}

fn numbers(pages: &[Vec<AuditEntry>]) -> Vec<usize> {
    let number = |entry: &AuditEntry| entry.connection.as_deref().and_then(|text| text.parse().ok()).expect("a number");
    pages.iter().flatten().map(number).collect()
}

#[test]
fn pages_hold_everything_once_while_new_entries_arrive() {
    let log = log();
    write(&log, "bob", "proxy.request", "acme", 345);
    let expected: Vec<usize> = (0..345).rev().collect();
    for principal_id in [None, Some("principal_bob".to_owned())] {
        let query = AuditQuery { limit: 50, principal_id, ..AuditQuery::default() };
        let pages = pages(&log, &query, |log| write(log, "eve", "run.started", "other", 7));
        let old: Vec<_> = pages.iter().flatten().filter(|entry| entry.event == "proxy.request").collect();
        assert_eq!(old.len(), 345);
        if query.principal_id.is_some() {
            assert_eq!(numbers(&pages), expected);
            assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 50, 50, 50, 50, 45]);
        }
    }
}

#[test]
fn a_full_last_page_has_no_next_one() {
    let log = log();
    write(&log, "bob", "proxy.request", "acme", 100);
    for limit in [50, 100, 500] {
        let query = AuditQuery { limit, ..AuditQuery::default() };
        assert_eq!(pages(&log, &query, |_| {}).len(), 100_usize.div_ceil(limit), "{limit} a page");
        let query = AuditQuery { event: Some("proxy.request".to_owned()), ..query };
        assert_eq!(pages(&log, &query, |_| {}).len(), 100_usize.div_ceil(limit), "{limit} a page");
    }
}

#[test]
fn entries_that_are_trimmed_between_two_pages_break_nothing() {
    let log = log();
    write(&log, "bob", "proxy.request", "acme", 300);
    for principal_id in [None, Some("principal_bob".to_owned())] {
        let mut query = AuditQuery { limit: 100, principal_id, ..AuditQuery::default() };
        let (first, next) = log.page(&query).expect("a page");
        query.cursor = next;
        // The entry that the cursor names goes as well.
        log.trim_to(50).expect("trims");
        let (rest, next) = log.page(&query).expect("a page");
        assert!(rest.is_empty() && next.is_none());
        assert_eq!(log.page(&AuditQuery { cursor: None, ..query }).expect("a page").0[..50], first[..50]);
        write(&log, "bob", "proxy.request", "acme", 300);
    }
}

#[test]
fn every_filter_leaves_out_what_does_not_fit() {
    let log = log();
    for round in 0..40 {
        write(&log, "bob", "proxy.request", "acme", 5);
        write(&log, "eve", "proxy.request", "acme", 2);
        write(&log, "bob", "provider.login", if round % 2 == 0 { "acme" } else { "other" }, 1);
    }
    let count = |principal: Option<&str>, identity: Option<&str>, provider: Option<&str>, event: Option<&str>| {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let (identity, provider, event) = (own(identity), own(provider), own(event));
        let query = AuditQuery { limit: 7, cursor: None, principal_id: own(principal), identity, provider, event };
        let pages = pages(&log, &query, |_| {});
        let ids: BTreeSet<_> = pages.iter().flatten().map(|entry| entry.event_id.clone()).collect();
        assert_eq!(ids.len(), pages.iter().map(Vec::len).sum::<usize>(), "none twice");
        ids.len()
    };
    let (bob, eve) = (Some("principal_bob"), Some("principal_eve"));
    assert_eq!(count(None, None, None, None), 320);
    assert_eq!(count(None, Some("bob-agent"), None, None), 240);
    assert_eq!(count(None, None, Some("other"), None), 20);
    assert_eq!(count(None, None, None, Some("proxy.request")), 280);
    assert_eq!(count(None, Some("bob-agent"), Some("acme"), Some("provider.login")), 20);
    assert_eq!(count(None, None, None, Some("proxy")), 0, "a part of a name is no name");
    assert_eq!(count(eve, None, None, None), 80);
    assert_eq!(count(eve, Some("bob-agent"), None, None), 0, "a filter never shows more");
    assert_eq!(count(bob, Some("bob-agent"), Some("acme"), Some("proxy.request")), 200);
}

#[test]
fn a_filter_that_fits_nothing_gives_up_and_can_go_on() {
    let log = log();
    write(&log, "bob", "provider.login", "acme", 1);
    for _ in 0..13 {
        write(&log, "bob", "proxy.request", "acme", 500);
    }
    for principal_id in [None, Some("principal_bob".to_owned())] {
        let event = Some("provider.login".to_owned());
        let query = AuditQuery { limit: 50, principal_id, event, ..AuditQuery::default() };
        let found = pages(&log, &query, |_| {});
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1], "the first page looked at {SCANNED}");
    }
    let mut seen = 0;
    let is_all = log.glance(None, |_| seen += 1).expect("reads");
    assert_eq!((seen, is_all), (SCANNED, false));
}

#[test]
fn a_glance_sees_one_persons_entries_newest_first() {
    let log = log();
    write(&log, "eve", "run.started", "other", 3);
    write(&log, "bob", "proxy.request", "acme", 4);
    write(&log, "bob", "run.finished", "acme", 1);
    let mut seen = Vec::new();
    let is_all = log.glance(Some("principal_bob"), |glance| seen.push(glance.event)).expect("reads");
    assert!(is_all);
    assert_eq!(seen, ["run.finished", "proxy.request", "proxy.request", "proxy.request", "proxy.request"]);
    assert!(log.glance(Some("principal_nobody"), |_| panic!("has nothing")).expect("reads"));
}
