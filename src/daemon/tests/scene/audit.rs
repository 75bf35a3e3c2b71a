//! The log as clients meet it.

use super::Body::{Form, Json};
use super::{Scene, Sender};
use crate::broker::AuditQuery;

fn count(scene: &Scene, event: &str) -> usize {
    let query = AuditQuery { limit: 500, ..AuditQuery::default() };
    let (entries, _) = scene.state.broker.audit().page(&query).expect("a page");
    entries.iter().filter(|entry| entry.event == event).count()
}

#[test]
fn guessing_does_not_fill_the_log() {
    let scene = Scene::new();
    let form = Form("email=bob%40x.test&password=wrong+horse");
    let attempts = (0..50).map(|_| scene.send(Sender::Nobody, "POST", "/api/auth/login", form));
    assert!(attempts.map(|answer| answer.status).all(|status| status == 303));
    assert!((1..10).contains(&count(&scene, "account.login_failed")), "attempts that were not made are not noted");
}

#[test]
fn an_event_has_a_name_that_can_be_read() {
    let scene = Scene::new();
    for body in [
        r#"{"event":{"event":" "}}"#,
        r#"{"event":{"event":"\u0000\u0007"}}"#,
        r#"{"events":[{"event":"a"},{"event":""}]}"#,
        r#"{"event":["a"]}"#,
        "{}",
    ] {
        assert_eq!(
            scene.send(Sender::Agent("bob-agent"), "POST", "/api/audit/events", Json(body)).status,
            422,
            "{body}"
        );
    }
    assert_eq!(count(&scene, "a"), 0, "all of a batch or none");
}
