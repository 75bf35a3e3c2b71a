//! The accounts of a server.

use super::Html;
use super::found::{Found, search};
use super::parts::{Tone, badge, button, copyable, empty, lead, link, paragraph, post, section, table, time};
use crate::clock::Timestamp;
use crate::model::{Principal, Role};
use crate::percent::encode;
use crate::secret::Secret;

/// An account, and what it has.
pub(in crate::daemon) struct PersonFacts {
    /// Whose.
    pub(in crate::daemon) principal: Principal,
    /// How many agents it has.
    pub(in crate::daemon) agents: usize,
    /// How many connections it has.
    pub(in crate::daemon) connections: usize,
}

/// An invitation that was just made.
pub(in crate::daemon) struct Invitation {
    /// What the invited person types in.
    pub(in crate::daemon) token: Secret,
    /// Where. The token is no part of it: an address is kept by browsers and written to logs on the way.
    pub(in crate::daemon) url: String,
}

/// What the page of accounts shows.
pub(in crate::daemon) struct PeopleFacts<'a> {
    /// The accounts.
    pub(in crate::daemon) people: Found<PersonFacts>,
    /// What was searched for.
    pub(in crate::daemon) sought: &'a str,
    /// Shown only now.
    pub(in crate::daemon) invitation: Option<Invitation>,
    /// Now.
    pub(in crate::daemon) now: Timestamp,
}

/// The page of accounts.
pub(in crate::daemon) fn people(shown: &PeopleFacts<'_>) -> Html {
    let mut body = Html::new();
    lead(&mut body, |html| {
        html.text("Everybody with an account here. Each has a vault of their own, which others cannot look into.");
    });
    if let Some(invitation) = &shown.invitation {
        section(&mut body, "Your invitation", |html| {
            paragraph(
                html,
                "Send both to the person you invite. They are shown only now, make one account, and end after a week.",
            );
            html.element("h3", &[], |html| html.text("Where to go"));
            copyable(html, &invitation.url);
            html.element("h3", &[], |html| html.text("The invitation to type in there"));
            copyable(html, invitation.token.expose());
        });
    }
    if !shown.sought.is_empty() || shown.people.is_cut() {
        search(&mut body, "/people", "Email", shown.sought);
    }
    section(&mut body, "Accounts", |html| accounts(html, shown));
    section(&mut body, "Invite somebody", |html| {
        paragraph(html, "An invitation makes one account, which is no administrator's.");
        post(html, "/people/invite", |html| button(html, "Make an invitation"));
    });
    body
}

fn accounts(html: &mut Html, shown: &PeopleFacts<'_>) {
    if shown.people.rows.is_empty() {
        return empty(html, "No account has such an email.", None);
    }
    table(html, "Accounts", &["Email", "Role", "Agents", "Connections", "Since"], |rows| {
        for person in &shown.people.rows {
            let PersonFacts { principal, agents, connections } = person;
            rows.row(|cells| {
                cells.text(&principal.email);
                cells.cell(|html| match principal.role {
                    Role::Admin => badge(html, Tone::Good, "administrator"),
                    Role::User => badge(html, Tone::Plain, "user"),
                });
                cells.cell(|html| match agents {
                    0 => html.text("0"),
                    _ => link(html, &format!("/agents?q={}", encode(&principal.email)), &agents.to_string()),
                });
                cells.text(&connections.to_string());
                cells.cell(|html| time(html, principal.created_at, shown.now));
            });
        }
    });
    shown.people.say_what_is_missing(html);
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOSTILE, is_inert};
    use super::*;

    #[test]
    fn no_value_becomes_markup() {
        let now = Timestamp::from_unix(1_800_000_000).expect("in range");
        let principal = Principal {
            principal_id: HOSTILE.to_owned(),
            vault_id: HOSTILE.to_owned(),
            email: HOSTILE.to_owned(),
            role: Role::User,
            password_hash: None,
            created_at: now,
        };
        let people = Found::of(vec![PersonFacts { principal, agents: 1, connections: 1 }], "", |_| String::new());
        let invitation = Some(Invitation { token: Secret::new(HOSTILE.to_owned()), url: HOSTILE.to_owned() });
        is_inert(&super::people(&PeopleFacts { people, sought: HOSTILE, invitation, now }));
    }
}
