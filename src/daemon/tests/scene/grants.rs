//! What an identity may do for its person, on every way to a secret.

use serde_json::Value;

use super::Body::{Json, None as Empty};
use super::{Body, KEY, Scene, Sender};
use crate::broker::AuditQuery;
use crate::model::{AuditEntry, Grants};

const NEITHER: Grants = Grants { r#use: false, export: false };
const USE: Grants = Grants { r#use: true, export: false };
const EXPORT: Grants = Grants { r#use: false, export: true };

/// Bob's agent with `grants`, and a second one of his that may do everything.
fn scene(grants: Grants) -> Scene {
    let mut scene = Scene::new();
    let bob = scene.principals["bob"].clone();
    scene.agent("bob-other", Some(&bob));
    scene.grant("bob-agent", grants);
    scene
}

fn send(scene: &Scene, method: &str, target: &str, body: Body) -> (u16, String) {
    let answer = scene.send(Sender::Agent("bob-agent"), method, target, body);
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

/// Every route that reads or uses what is stored.
const READERS: [(&str, &str, Body); 9] = [
    ("GET", "/api/connections", Empty),
    ("GET", "/api/connections/acme/default", Empty),
    ("GET", "/api/connections/acme/default/detail", Empty),
    ("GET", "/api/providers/acme/detail", Empty),
    ("GET", "/api/proxy/routes", Empty),
    ("POST", "/api/run", Json("{}")),
    ("POST", "/api/credentials/resolve", Json(r#"{"provider":"acme","v":2}"#)),
    ("POST", "/api/credentials/export", Json(r#"{"provider":"acme"}"#)),
    ("POST", "/api/credentials/export", Json("{}")),
];

#[test]
fn secrets_go_only_where_a_grant_lets_them() {
    let using: &[usize] = &[5, 6];
    let reading: &[usize] = &[1, 7, 8];
    for (grants, expected) in [
        (NEITHER, vec![]),
        (USE, using.to_vec()),
        (EXPORT, reading.to_vec()),
        (Grants::default(), [reading, using].concat()),
    ] {
        let scene = scene(grants);
        for (index, (method, target, body)) in READERS.into_iter().enumerate() {
            let (_, text) = send(&scene, method, target, body);
            assert_eq!(text.contains(KEY), expected.contains(&index), "{method} {target} with {grants:?}");
        }
    }
}

#[test]
fn who_may_not_use_connections_may_not_change_them_either() {
    let scene = scene(EXPORT);
    for (method, target, body) in [
        ("POST", "/api/credentials/resolve", Json(r#"{"provider":"acme"}"#)),
        ("POST", "/api/run", Json("{}")),
        ("GET", "/api/proxy/routes", Empty),
        ("POST", "/api/auth/sessions", Json(r#"{"provider":"acme","force":true}"#)),
        ("POST", "/api/connections/acme/default/rebind", Empty),
        ("POST", "/api/connections/acme/default/default", Empty),
        ("POST", "/api/connections/acme/default/logout", Empty),
    ] {
        let (status, text) = send(&scene, method, target, body);
        assert_eq!(status, 400, "{method} {target}: {text}");
        assert!(text.contains("OperationNotAllowedError"), "{text}");
    }
    assert_eq!(send(&scene, "GET", "/api/connections/acme/default", Empty).0, 200);
}

#[test]
fn an_identity_raises_nobody_above_itself_and_lowers_nobody_who_is() {
    let scene = scene(USE);
    let own = "/api/identities/bob-agent/grants";
    let other = "/api/identities/bob-other/grants";
    assert_eq!(send(&scene, "PUT", own, Json(r#"{"export":true}"#)).0, 403);
    for body in [Json("{}"), Json(r#"{"use":false}"#), Json(r#"{"export":false}"#)] {
        assert_eq!(send(&scene, "PUT", other, body).0, 403);
    }
    assert_eq!(send(&scene, "DELETE", "/api/identities/bob-other", Empty).0, 403);
    assert!(scene.actor("bob-other").grants.export, "nothing changed");
    let answer = scene.send(Sender::Agent("bob-other"), "PUT", own, Json(r#"{"export":true}"#));
    assert_eq!(answer.status, 200, "who has it may give it");
    scene.grant("bob-agent", USE);
    scene.grant("bob-other", USE);
    assert_eq!(send(&scene, "DELETE", "/api/identities/bob-other", Empty).0, 200, "an equal");
    assert_eq!(send(&scene, "PUT", own, Json(r#"{"use":false}"#)).0, 200, "and itself");
}

fn last(scene: &Scene, event: &str) -> AuditEntry {
    let query = AuditQuery { limit: 100, ..AuditQuery::default() };
    let (entries, _) = scene.state.broker.audit().page(&query).expect("a page");
    entries.into_iter().find(|entry| entry.event == event).unwrap_or_else(|| panic!("no {event}"))
}

#[test]
fn a_record_that_is_read_leaves_the_trace_of_an_export() {
    let scene = scene(Grants::default());
    let count = || {
        let (_, text) = send(&scene, "GET", "/api/audit/events?limit=100", Empty);
        text.matches("credentials.exported").count()
    };
    send(&scene, "GET", "/api/connections/acme/default?redact=1", Empty);
    send(&scene, "GET", "/api/connections/acme/default/detail", Empty);
    assert_eq!(count(), 0);
    send(&scene, "GET", "/api/connections/acme/default", Empty);
    assert_eq!(count(), 1);
    let entry = last(&scene, "credentials.exported");
    assert_eq!((entry.connection.as_deref(), entry.identity.as_deref()), (Some("default"), Some("bob-agent")));
}

#[test]
fn what_an_administrator_does_in_a_foreign_vault_stands_under_their_name() {
    let scene = scene(Grants::default());
    let target = "/api/connections/acme/default/logout?principal={bob}";
    assert_eq!(scene.send(Sender::Agent("ada-agent"), "POST", target, Empty).status, 200);
    assert_eq!(send(&scene, "GET", "/api/connections/acme/default", Empty).0, 404);
    let entry = last(&scene, "provider.logout");
    assert_eq!(entry.principal_id.as_deref(), Some("principal_ada"));
    assert_eq!(entry.metadata.get("owner").and_then(Value::as_str), Some("principal_bob"));
}
