//! The dashboard: what a person who is signed in sees and does. Each file gathers the facts of its pages and acts on
//! their forms; [`super::pages`] turns facts into HTML.
//!
//! A form that did what it should answers 303 to a page of ours, with a word in `?done=` for the note there.

pub(super) mod agents;
pub(super) mod audit;
pub(super) mod connections;
pub(super) mod overview;
pub(super) mod people;
pub(super) mod providers;
pub(super) mod settings;

use super::auth::Caller;
use super::pages::{Frame, Html, Note, Section, dashboard};
use super::{Context, Failure, Outcome, Refusal, Response};
use crate::broker::Actor;
use crate::model::Principal;

/// What a page may say at its top, by the word in its address: nobody can put words of their own there with a link.
const DONE: &[(&str, &str)] = &[
    ("default_set", "This is the default connection now."),
    ("global_set", "Everybody on this server can use this connection now."),
    ("global_unset", "This connection is yours alone again."),
    ("rebound", "The destination is confirmed."),
    ("logged_out", "The connection is gone."),
    ("connected", "Connected."),
    ("configured", "The client is stored."),
    ("unchanged", "Nothing was changed."),
    ("registered", "The provider is there."),
    ("replaced", "The provider is changed."),
    ("revoked", "All connections of this provider are gone."),
    ("deleted", "The provider is gone."),
    ("granted", "What this agent may do is changed."),
    ("forgotten", "The agent is forgotten."),
    ("signed_out", "All your browsers are signed out, but this one."),
];

/// The person at the browser. Routes of the dashboard always have one.
fn person<'a>(context: &'a Context<'_>) -> Result<(&'a Principal, Actor), Failure> {
    match &context.caller {
        Caller::Browser(principal) => Ok((principal, Actor::person(principal))),
        Caller::Anyone | Caller::Identity(_) => Err(Refusal::new(401, "Authentication required").into()),
    }
}

/// A page of the dashboard, with the note that `?done=` asks for.
fn show(context: &Context<'_>, section: Section, title: &str, body: &Html) -> Outcome {
    let done = context.query("done").and_then(|word| DONE.iter().find(|(known, _)| *known == word));
    show_with(context, section, title, done.map(|(_, text)| Note::Good(text)), 200, body)
}

/// The same with a note and a status of one's own: a form that was refused.
fn show_with(
    context: &Context<'_>,
    section: Section,
    title: &str,
    note: Option<Note<'_>>,
    status: u16,
    body: &Html,
) -> Outcome {
    let (principal, actor) = person(context)?;
    let frame = Frame { email: &principal.email, is_admin: actor.is_admin(), section, note };
    Ok(Response::dashboard(status, &dashboard(title, &frame, body)))
}

/// 303 to `place`, which says that it is `done`.
pub(super) fn done(place: &str, done: &str) -> Response {
    debug_assert!(DONE.iter().any(|(known, _)| *known == done), "{done} has no text");
    let separator = if place.contains('?') { '&' } else { '?' };
    Response::redirect(&format!("{place}{separator}done={done}"))
}

/// `GET /assets/dashboard.js`
#[allow(clippy::unnecessary_wraps)] // a handler
pub(super) fn script(_: &Context<'_>) -> Outcome {
    Ok(Response::script(super::pages::SCRIPT))
}
