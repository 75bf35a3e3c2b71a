//! The dashboard: who sees what, and what its forms do.

mod agents;
mod audit;
mod connections;
mod people;
mod settings;

use super::Body::{Form, None as Empty};
use super::{Scene, Sender};
use crate::model::{AuditEvent, AuditSource};

/// What the browser of `person` shows at `target`.
fn see(scene: &Scene, person: &'static str, target: &str) -> String {
    let answer = scene.send(Sender::Browser(person), "GET", target, Empty);
    assert_eq!(answer.status, 200, "{target} by {person}");
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// Sends a form of the dashboard: the status, and where that leads.
fn post(scene: &Scene, person: &'static str, target: &str, form: &'static str) -> (u16, String) {
    let origin = [("Origin", "http://127.0.0.1:7998"), ("Sec-Fetch-Site", "same-origin")];
    let answer = scene.send_with(Sender::Browser(person), "POST", target, Form(form), &origin);
    (answer.status, answer.fields.first_str("location").unwrap_or_default().to_owned())
}

/// Writes `count` events of `agent`, as its client does. Each has its number as its connection.
fn write(scene: &Scene, agent: &str, event: &str, provider: &str, status: &str, count: usize) {
    let event = |number: usize| AuditEvent {
        event: event.to_owned(),
        provider: Some(provider.to_owned()),
        connection: Some(format!("n{number}")),
        status: Some(status.to_owned()),
        ..AuditEvent::default()
    };
    let events = (0..count).map(event).collect();
    scene.state.broker.audit().record(AuditSource::External, Some(&scene.actor(agent)), events).expect("writes");
}

/// The text with its tags taken out.
fn plain(html: &str) -> String {
    let tagless = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    tagless.collect::<Vec<_>>().join("|")
}
