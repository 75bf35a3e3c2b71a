//! What clients may not do to the log.

use serde_json::json;

use super::*;
use crate::model::{Grants, Role};
use crate::store::open_in_memory;
use crate::vault::MasterKey;

fn log() -> AuditLog {
    let clock = Clock::system();
    let store = open_in_memory(clock.clone()).expect("a store");
    AuditLog::new(Arc::new(Vault::open(store, &MasterKey::generate()).expect("a vault")), clock)
}

fn actor() -> Actor {
    Actor {
        identity: Some("bob-agent".to_owned()),
        principal_id: "principal_bob".to_owned(),
        vault_id: "vault_bob".to_owned(),
        role: Role::User,
        grants: Grants::default(),
    }
}

fn event(name: &str) -> AuditEvent {
    AuditEvent { event: name.to_owned(), ..AuditEvent::default() }
}

fn names(log: &AuditLog) -> Vec<String> {
    let query = AuditQuery { limit: MAX_PAGE, ..AuditQuery::default() };
    log.page(&query).expect("a page").0.into_iter().map(|entry| entry.event).collect()
}

#[test]
fn no_spelling_of_a_fixed_field_covers_it() {
    let log = log();
    let mut forged = event("provider.login");
    for name in AuditEntry::FIXED {
        let (head, tail) = name.split_at(3);
        for spelling in [name.to_owned(), format!("{name}\0"), format!("{head}\u{7f}{tail}"), format!("\n{name}")] {
            forged.metadata.insert(spelling, json!("forged"));
        }
    }
    log.record(AuditSource::External, Some(&actor()), vec![forged]).expect("writes");
    let (entries, _) = log.page(&AuditQuery { limit: 1, ..AuditQuery::default() }).expect("a page");
    let text = serde_json::to_string(&entries[0]).expect("is JSON");
    assert!(!text.contains("forged"), "{text}");
    assert_eq!(entries[0].source, AuditSource::External);
    assert_eq!(entries[0].identity.as_deref(), Some("bob-agent"));
}

#[test]
fn an_entry_is_small_whatever_a_client_says() {
    let log = log();
    let mut large = event("backup.done");
    for number in 0..100 {
        large.metadata.insert(format!("{number:03}{}", "é".repeat(600)), json!("é".repeat(600)));
    }
    log.record(AuditSource::External, Some(&actor()), vec![large]).expect("writes");
    let (entries, _) = log.page(&AuditQuery { limit: 1, ..AuditQuery::default() }).expect("a page");
    let size = serde_json::to_vec(&entries[0]).expect("is JSON").len();
    assert!((MAX_METADATA / 2..MAX_METADATA + 1024).contains(&size), "{size}");
}

#[test]
fn events_of_clients_do_not_push_ours_out() {
    let log = log();
    let ours = |name: &str| log.record(AuditSource::Internal, Some(&actor()), vec![event(name)]).expect("writes");
    let theirs = |count: usize| {
        let events = vec![event("proxy.request"); count];
        log.record(AuditSource::External, Some(&actor()), events).expect("writes");
    };
    ours("credentials.exported");
    theirs(30);
    assert_eq!(log.trim_to(20).expect("trims"), 11);
    assert_eq!(names(&log).last().map(String::as_str), Some("credentials.exported"));
    assert_eq!(names(&log).len(), 20);
    assert_eq!(log.trim_to(20).expect("trims"), 0);

    // Both have half; what nobody uses the other may have.
    for number in 0..30 {
        ours(&format!("provider.login {number}"));
    }
    log.trim_to(20).expect("trims");
    assert_eq!(names(&log).iter().filter(|name| *name == "proxy.request").count(), 10);
    assert_eq!(names(&log)[0], "provider.login 29");
    let own = AuditQuery { limit: MAX_PAGE, principal_id: Some("principal_bob".to_owned()), ..AuditQuery::default() };
    assert_eq!(log.page(&own).expect("a page").0.len(), 20, "the index by principal fits");
}

#[test]
fn what_strangers_do_pushes_nothing_of_a_persons_out() {
    let log = log();
    log.record(AuditSource::Internal, Some(&actor()), vec![event("credentials.exported")]).expect("writes");
    log.record(AuditSource::Internal, None, vec![event("identity.created"); 30]).expect("writes");
    log.trim_to(20).expect("trims");
    assert_eq!(names(&log).last().map(String::as_str), Some("credentials.exported"));
}
