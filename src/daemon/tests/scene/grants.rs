//! What an identity may do for its person, on every way to a secret.

use serde_json::Value;

use super::Body::{Json, None as Empty};
use super::authorization::{ROWS, pattern};
use super::{Body, KEY, Scene, Sender};
use crate::broker::AuditQuery;
use crate::model::{AuditEntry, Grants, MASK};

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
    let reading: &[usize] = &[1, 2, 7, 8];
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
fn secrets_of_another_vault_and_those_in_a_browser_stay_masked() {
    let scene = scene(Grants::default());
    let detail = "/api/connections/acme/default/detail";
    let of_bob = format!("{detail}?principal={{bob}}");
    for (sender, target) in [
        (Sender::Browser("bob"), detail),
        (Sender::Browser("bob"), &of_bob),
        (Sender::Browser("ada"), &of_bob),
        (Sender::Agent("ada-agent"), &of_bob),
    ] {
        let answer = scene.send(sender, "GET", target, Empty);
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == 200 && text.contains(MASK) && !text.contains(KEY), "{sender:?} {target}: {text}");
    }
    let own = scene.send(Sender::Agent("bob-agent"), "GET", &of_bob, Empty);
    assert!(String::from_utf8_lossy(&own.body).contains(KEY), "whoever names themselves means their own");
}

/// What a connection of Ada's holds that everybody may use.
const GLOBAL_KEY: &str = "ak_of_ada_for_all";

#[test]
fn what_is_global_can_be_used_by_all_and_read_by_its_owner_alone() {
    let scene = Scene::new();
    scene.connect("ada-agent", "default", GLOBAL_KEY);
    assert_eq!(
        scene.send(Sender::Agent("ada-agent"), "POST", "/api/connections/acme/default/global", Empty).status,
        200
    );
    scene.send(Sender::Agent("bob-agent"), "POST", "/api/connections/acme/default/logout", Empty);
    let more = [
        ("GET", "/api/connections/acme/default/detail?principal={bob}", Empty),
        ("GET", "/api/connections/acme/default/detail?principal=principal_ada", Empty),
        ("GET", "/api/connections/acme/default?redact=0", Empty),
        ("POST", "/api/credentials/export", Json(r#"{"provider":"acme","connection":"default","format":"json"}"#)),
    ];
    let using = ["/api/run", "/api/credentials/resolve"];
    for (method, target, body) in READERS.into_iter().chain(more) {
        for sender in [Sender::Agent("bob-agent"), Sender::Agent("eve-agent"), Sender::Browser("bob")] {
            let answer = scene.send(sender, method, target, body);
            let told = String::from_utf8_lossy(&answer.body).contains(GLOBAL_KEY);
            let expected = using.contains(&target) && matches!(sender, Sender::Agent(_));
            assert_eq!(told, expected, "{method} {target} by {sender:?}");
        }
    }
    let refused = send(&scene, "POST", "/api/credentials/export", Json(r#"{"provider":"acme"}"#));
    assert!(refused.0 == 400 && refused.1.contains("used but not read"), "{refused:?}");
    for (method, target) in [
        ("POST", "/api/connections/acme/default/default"),
        ("POST", "/api/connections/acme/default/rebind"),
        ("POST", "/api/connections/acme/default/global"),
        ("DELETE", "/api/connections/acme/global"),
    ] {
        let (status, text) = send(&scene, method, target, Empty);
        assert!(status == 404 || status == 403, "{method} {target}: {status} {text}");
    }
    send(&scene, "POST", "/api/connections/acme/default/logout", Empty);
    let still = send(&scene, "POST", "/api/credentials/resolve", Json(r#"{"provider":"acme"}"#));
    assert!(still.1.contains(GLOBAL_KEY) && still.1.contains(r#""source":"global""#), "{still:?}");
    let owner = scene.send(Sender::Agent("ada-agent"), "GET", "/api/connections/acme/default", Empty);
    assert!(String::from_utf8_lossy(&owner.body).contains(GLOBAL_KEY));
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
fn an_agent_of_an_administrator_that_may_not_use_connections_ends_none() {
    let scene = Scene::new();
    scene.grant("ada-agent", NEITHER);
    for (method, target) in [
        ("POST", "/api/connections/acme/revoke"),
        ("DELETE", "/api/connections/acme/global"),
        ("DELETE", "/api/providers/acme"),
        ("POST", "/api/invitations"),
        ("GET", "/api/principals"),
    ] {
        let answer = scene.send(Sender::Agent("ada-agent"), method, target, Empty);
        assert_eq!(answer.status, 403, "{method} {target}");
    }
    assert_eq!(send(&scene, "GET", "/api/connections/acme/default", Empty).0, 200, "Bob's is still there");
    assert_eq!(scene.send(Sender::Browser("ada"), "GET", "/api/principals", Empty).status, 200, "its owner may");
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

/// What needs a grant besides what its row says, and what it answers without.
const WITHOUT_EXPORT: [(&str, &str, u16); 3] =
    [("POST", "/api/credentials/export", 400), ("POST", "/api/session", 400), ("DELETE", "/api/session", 400)];
const WITHOUT_USE: [(&str, &str, u16); 12] = [
    ("POST", "/api/auth/sessions", 400),
    ("POST", "/api/auth/sessions/{id}/resume", 400),
    ("POST", "/api/auth/providers/{provider}/connect", 400),
    ("POST", "/api/connections/{provider}/{connection}/logout", 400),
    ("POST", "/api/connections/{provider}/{connection}/default", 400),
    ("POST", "/api/connections/{provider}/{connection}/rebind", 400),
    ("POST", "/api/credentials/resolve", 400),
    ("POST", "/api/run", 400),
    ("GET", "/api/proxy/routes", 400),
    ("POST", "/api/session", 400),
    ("DELETE", "/api/session", 400),
    ("POST", "/api/credentials/export", 200),
];

/// The whole table once more, by an owner's identity that was given less: what is not listed above needs no grant.
#[test]
fn an_identity_without_a_grant_gets_what_its_owner_gets_but_for_what_needs_it() {
    for (grants, needs) in [(USE, &WITHOUT_EXPORT[..]), (EXPORT, &WITHOUT_USE)] {
        let mut lesser = scene(grants);
        for row in ROWS {
            let found = pattern(row.method, row.target);
            let listed = needs.iter().find(|(method, target, _)| (*method, *target) == found);
            let expected = listed.map_or(row.expected[3], |(.., status)| *status);
            let status = lesser.send(Sender::Agent("bob-agent"), row.method, row.target, row.body).status;
            assert_eq!(status, expected, "{} {} with {grants:?}", row.method, row.target);
            if status < 400 && (row.method != "GET" || row.target.starts_with("/auth/input")) {
                lesser = scene(grants);
            }
        }
        for (method, target, _) in needs {
            assert!(ROWS.iter().any(|row| pattern(row.method, row.target) == (*method, *target)), "{method} {target}");
        }
    }
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
    scene.send(Sender::Browser("bob"), "GET", "/api/connections/acme/default/detail", Empty);
    assert_eq!(count(), 0);
    send(&scene, "GET", "/api/connections/acme/default", Empty);
    assert_eq!(count(), 1);
    send(&scene, "GET", "/api/connections/acme/default/detail", Empty);
    assert_eq!(count(), 2);
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
