//! One connection: how it is doing, how it is used, and what its owner does with it.

use super::Html;
use super::parts::{
    Facts, Field, Kind, attention, button, columns, confirm, copyable, copyable_secret, counted, facts, field, hidden,
    lead, link, paragraph, plain_button, post, rows, section, tags, time, username,
};
use super::state::{ConnectionRow, Remedy, State};
use crate::broker::RefreshFailure;
use crate::clock::Timestamp;
use crate::model::AuthType;
use crate::percent::encode;
use crate::secret::Secret;

/// What the page of a connection shows. Nothing of it is secret.
#[derive(Debug)]
pub(in crate::daemon) struct ConnectionFacts {
    /// As in a list.
    pub(in crate::daemon) row: ConnectionRow,
    /// Email of its owner, where that is not the person who looks.
    pub(in crate::daemon) owner_email: Option<String>,
    /// The person who looks is an administrator.
    pub(in crate::daemon) is_admin: bool,
    /// The connection of this provider that everybody may use instead of this one, for an administrator.
    pub(in crate::daemon) shared_instead: Option<String>,
    /// Kind of credential.
    pub(in crate::daemon) auth_type: AuthType,
    /// Granted scopes.
    pub(in crate::daemon) scopes: Vec<String>,
    /// The server it was made at.
    pub(in crate::daemon) base_url: Option<String>,
    /// Its own API address.
    pub(in crate::daemon) api_url: Option<String>,
    /// When the credential was got.
    pub(in crate::daemon) obtained_at: Option<Timestamp>,
    /// The agent that made it; empty: a browser did.
    pub(in crate::daemon) made_by: String,
    /// The last refresh, when it failed.
    pub(in crate::daemon) failure: Option<RefreshFailure>,
    /// Where its secret goes.
    pub(in crate::daemon) destinations: Vec<Place>,
    /// What changed of that since it was sealed.
    pub(in crate::daemon) change: Option<Change>,
    /// Names of what an export sets.
    pub(in crate::daemon) exports: Vec<String>,
    /// Names of the secrets in it.
    pub(in crate::daemon) secrets: Vec<String>,
    /// Who used it lately.
    pub(in crate::daemon) users: Vec<User>,
    /// Email of its owner who has a password, and is asked for it before a secret is shown.
    pub(in crate::daemon) password_of: Option<String>,
    /// Why its secrets were not shown a moment ago.
    pub(in crate::daemon) refusal: Option<&'static str>,
    /// Now.
    pub(in crate::daemon) now: Timestamp,
}

/// A place that gets a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::daemon) struct Place {
    /// What it is: `api`, or the field of the definition.
    pub(in crate::daemon) what: String,
    /// Its address.
    pub(in crate::daemon) address: String,
}

impl Place {
    /// Reads a line of [`crate::provider::destinations_fingerprint`].
    pub(in crate::daemon) fn parse(line: &str) -> Self {
        let (what, address) = line.split_once(' ').unwrap_or(("", line));
        Self { what: what.to_owned(), address: address.strip_suffix(":443").unwrap_or(address).to_owned() }
    }

    /// Whether requests of programs go there.
    pub(in crate::daemon) fn is_api(&self) -> bool {
        self.what == "api"
    }
}

/// Places that a definition took away and added.
#[derive(Debug)]
pub(in crate::daemon) struct Change {
    /// Only until now.
    pub(in crate::daemon) gone: Vec<Place>,
    /// Only from now on.
    pub(in crate::daemon) new: Vec<Place>,
    /// Stands for all of today's places: nobody accepts others than those that they see.
    pub(in crate::daemon) seal: String,
}

/// An agent that used a connection.
#[derive(Debug)]
pub(in crate::daemon) struct User {
    /// Its handle.
    pub(in crate::daemon) handle: String,
    /// How often, of what was looked at.
    pub(in crate::daemon) times: u64,
    /// The last time.
    pub(in crate::daemon) last: Timestamp,
}

/// The page of a connection.
pub(in crate::daemon) fn connection(shown: &ConnectionFacts) -> Html {
    let mut body = Html::new();
    let row = &shown.row;
    lead(&mut body, |html| {
        row.write_state(html);
        row.write_marks(html);
        html.element("span", &[], |html| html.text(kind(shown.auth_type)));
        if let Some(email) = &shown.owner_email {
            html.element("span", &[], |html| html.text(&format!("belongs to {email}")));
        }
    });
    if let Some(advice) = row.state.advice() {
        attention(&mut body, |html| care(html, shown, &advice));
    }
    columns(
        &mut body,
        |html| {
            section(html, "Details", |html| facts(html, |facts| details(facts, shown)));
            if shown.is_own() {
                section(html, "Use it", |html| usage(html, shown));
                section(html, "Secrets", |html| reveal(html, shown));
            }
        },
        |html| {
            section(html, "Change it", |html| changes(html, shown));
            section(html, "Used lately by", |html| users(html, shown));
        },
    );
    body
}

impl ConnectionFacts {
    fn is_own(&self) -> bool {
        self.owner_email.is_none()
    }
}

fn kind(auth_type: AuthType) -> &'static str {
    match auth_type {
        AuthType::Oauth2 => "OAuth login",
        AuthType::ApiKey => "API key",
        AuthType::Browser => "Browser session",
    }
}

fn care(html: &mut Html, shown: &ConnectionFacts, advice: &str) {
    paragraph(html, advice);
    if !shown.is_own() {
        return;
    }
    if let Some(change) = &shown.change {
        places(html, "No longer sent to", &change.gone);
        places(html, "Newly sent to", &change.new);
    }
    match shown.row.state.remedy() {
        Remedy::Login => shown.row.write_login(html, |html| button(html, "Log in again")),
        Remedy::Look if shown.row.state == State::Moved => {
            post(html, &shown.row.place("/rebind"), |html| {
                hidden(html, "seen", shown.change.as_ref().map_or("", |change| &change.seal));
                button(html, "Accept the new destination");
            });
        }
        Remedy::Look | Remedy::None => {}
    }
}

fn places(html: &mut Html, heading: &str, places: &[Place]) {
    if places.is_empty() {
        return;
    }
    html.element("h3", &[], |html| html.text(heading));
    rows(html, places, |html, place| {
        html.element("code", &[], |html| html.text(&place.address));
        if !place.is_api() {
            html.element("span", &[("class", "quiet")], |html| html.text(&format!(" ({})", place.what)));
        }
    });
}

fn details(facts: &mut Facts<'_>, shown: &ConnectionFacts) {
    let row = &shown.row;
    facts.fact("Provider", |html| link(html, &format!("/providers/{}", encode(&row.provider)), &row.title));
    facts.text("Account", row.account.as_deref());
    facts.fact("Expires", |html| row.write_end(html, shown.now));
    if let Some(at) = shown.obtained_at {
        facts.fact("Obtained", |html| {
            time(html, at, shown.now);
            let by = if shown.made_by.is_empty() { "a browser" } else { &shown.made_by };
            html.text(&format!(", by {by}"));
        });
    }
    if let Some(failure) = &shown.failure {
        facts.fact("Last refresh", |html| {
            html.text("Failed ");
            time(html, failure.at, shown.now);
            html.text(&format!(": {}", failure.reason));
        });
    }
    let apis: Vec<&str> =
        shown.destinations.iter().filter(|place| place.is_api()).map(|place| place.address.as_str()).collect();
    if !apis.is_empty() {
        facts.fact("Sent only to", |html| tags(html, &apis));
    }
    facts.text("Server", shown.base_url.as_deref());
    facts.text("API address", shown.api_url.as_deref());
    if !shown.scopes.is_empty() {
        let scopes: Vec<&str> = shown.scopes.iter().map(String::as_str).collect();
        facts.fact("Scopes", |html| tags(html, &scopes));
    }
}

fn usage(html: &mut Html, shown: &ConnectionFacts) {
    let row = &shown.row;
    let is_plain = row.is_default || !row.has_siblings;
    let which = if is_plain { String::new() } else { format!(" --connection {}={}", row.provider, row.name) };
    paragraph(html, "Your programs send requests as always; the credential is added on the way:");
    copyable(html, &format!("authsome run{which} -- YOUR COMMAND"));
    if shown.exports.is_empty() {
        return;
    }
    paragraph(html, "Tools that cannot use a proxy get it in their environment, where they can read it:");
    let which = if row.is_default { String::new() } else { format!(" --connection {}", row.name) };
    copyable(html, &format!("eval \"$(authsome export {}{which})\"", row.provider));
    html.element("p", &[("class", "quiet")], |html| html.text("It is exported as"));
    tags(html, &shown.exports.iter().map(String::as_str).collect::<Vec<_>>());
}

fn reveal(html: &mut Html, shown: &ConnectionFacts) {
    if shown.secrets.is_empty() {
        return paragraph(html, "There is nothing in it.");
    }
    html.element("p", &[], |html| {
        html.text("Sealed in the vault: ");
        html.text(&shown.secrets.join(", "));
        html.text(". Looking at it is noted in the audit log.");
    });
    post(html, &shown.row.place("/reveal"), |html| {
        if let Some(email) = &shown.password_of {
            username(html, email);
            let password = Field {
                name: "password",
                label: "Your password",
                error: shown.refusal,
                kind: Kind::Password,
                autocomplete: "current-password",
                required: true,
                focused: shown.refusal.is_some(),
                ..Field::default()
            };
            field(html, &password);
        }
        html.element("div", &[("class", "actions below")], |html| plain_button(html, "Show the secrets"));
    });
}

fn users(html: &mut Html, shown: &ConnectionFacts) {
    if shown.users.is_empty() {
        return html.element("p", &[("class", "quiet")], |html| html.text("No agent, as far as the log goes back."));
    }
    rows(html, &shown.users, |html, user| {
        html.element("div", &[], |html| {
            if shown.is_own() {
                link(html, &format!("/agents/{}", encode(&user.handle)), &user.handle);
            } else {
                html.text(&user.handle);
            }
        });
        html.element("div", &[("class", "quiet")], |html| {
            html.text(&counted(user.times, "time"));
            html.text(", last ");
            time(html, user.last, shown.now);
        });
    });
    html.element("p", &[("class", "more")], |html| {
        link(html, &format!("/audit?provider={}", encode(&shown.row.provider)), "In the audit log");
    });
}

fn changes(html: &mut Html, shown: &ConnectionFacts) {
    let row = &shown.row;
    html.element("div", &[("class", "actions")], |html| {
        if shown.is_own() {
            row.write_login(html, |html| plain_button(html, "Log in again"));
            if !row.is_default {
                post(html, &row.place("/default"), |html| plain_button(html, "Make it the default"));
            }
        }
        if shown.is_admin {
            share(html, shown);
        }
    });
    if shown.is_admin && shown.is_own() && !row.is_global {
        html.element("p", &[("class", "quiet")], |html| {
            html.text("Shared, it serves the agents of everybody on this server. Nobody else can read it.");
            if let Some(other) = &shown.shared_instead {
                html.text(&format!(" It takes the place of {other}."));
            }
        });
    }
    let what_happens = match shown.auth_type {
        AuthType::Oauth2 => "The provider is asked to revoke its tokens, and the connection is deleted here.",
        AuthType::ApiKey => "The key is deleted here. At the provider it stays good: delete it there as well.",
        AuthType::Browser => "The session is deleted here. To end it at the provider, sign out there.",
    };
    confirm(html, "Log out", what_happens, &row.place("/logout"), &format!("Log out of {}", row.full_title()));
}

fn share(html: &mut Html, shown: &ConnectionFacts) {
    let row = &shown.row;
    if row.is_global {
        post(html, &row.place("/global"), |html| {
            hidden(html, "share", "0");
            plain_button(html, "Take back from everybody");
        });
    } else if shown.is_own() {
        post(html, &row.place("/global"), |html| {
            hidden(html, "share", "1");
            plain_button(html, "Share with everybody");
        });
    }
}

/// The secrets of a connection, as the answer to a form and nowhere else.
pub(in crate::daemon) fn secrets<'a>(
    row: &ConnectionRow,
    secrets: impl Iterator<Item = (&'a str, &'a Secret)>,
) -> Html {
    let mut body = Html::new();
    lead(&mut body, |html| {
        html.element("span", &[], |html| html.text("Shown only now. They are gone when you leave this page."));
    });
    for (name, secret) in secrets {
        section(&mut body, secret_name(name), |html| copyable_secret(html, secret));
    }
    body.element("p", &[("class", "quiet")], |html| {
        html.text("Whoever has one of these can act as you at the provider. Programs do not need it: ");
        html.element("code", &[], |html| html.text("authsome run"));
        html.text(" adds it on the way.");
    });
    body.element("p", &[], |html| link(html, &row.place(""), "Back to the connection"));
    body
}

/// The name of a secret for people.
pub(in crate::daemon) fn secret_name(name: &str) -> &str {
    match name {
        "access_token" => "Access token",
        "refresh_token" => "Refresh token",
        "api_key" => "API key",
        other => other,
    }
}

/// What stands where a connection was.
pub(in crate::daemon) fn no_connection() -> Html {
    let mut body = Html::new();
    body.element("div", &[("class", "empty")], |html| {
        paragraph(html, "It was logged out, or there never was one of this name.");
        html.element("p", &[], |html| link(html, "/", "See what is connected"));
    });
    body
}

#[cfg(test)]
mod tests {
    use super::super::state::Ends;
    use super::super::tests::{HOSTILE, is_inert};
    use super::*;

    fn shown(owner: Option<&str>) -> ConnectionFacts {
        let hostile = || HOSTILE.to_owned();
        let now = Timestamp::from_unix(1_800_000_000).expect("in range");
        let place = Place::parse(&format!("oauth.token_url {HOSTILE}"));
        ConnectionFacts {
            row: ConnectionRow {
                provider: hostile(),
                title: hostile(),
                name: hostile(),
                owner: owner.map(str::to_owned),
                account: Some(hostile()),
                is_default: false,
                has_siblings: true,
                is_global: true,
                state: State::Moved,
                ends: Ends::At(now),
            },
            owner_email: owner.map(str::to_owned),
            is_admin: true,
            shared_instead: Some(hostile()),
            auth_type: AuthType::Oauth2,
            scopes: vec![hostile()],
            base_url: Some(hostile()),
            api_url: Some(hostile()),
            obtained_at: Some(now),
            made_by: hostile(),
            failure: Some(RefreshFailure { at: now, reason: hostile() }),
            destinations: vec![Place { what: "api".to_owned(), address: hostile() }],
            change: Some(Change { gone: vec![place.clone()], new: vec![place], seal: hostile() }),
            exports: vec![hostile()],
            secrets: vec![hostile()],
            users: vec![User { handle: hostile(), times: 1, last: now }],
            password_of: Some(hostile()),
            refusal: None,
            now,
        }
    }

    #[test]
    fn no_value_becomes_markup() {
        for owner in [None, Some(HOSTILE)] {
            let shown = shown(owner);
            is_inert(&connection(&shown));
            let secret = Secret::new(HOSTILE.to_owned());
            is_inert(&secrets(&shown.row, [(HOSTILE, &secret)].into_iter()));
        }
    }

    #[test]
    fn a_place_is_read_from_a_line_of_the_fingerprint() {
        let place = |line: &str| {
            let place = Place::parse(line);
            (place.is_api(), place.address)
        };
        assert_eq!(place("api https://api.acme.test:443"), (true, "https://api.acme.test".to_owned()));
        assert_eq!(place("api https://api.acme.test:8443/v1"), (true, "https://api.acme.test:8443/v1".to_owned()));
        assert_eq!(place("oauth.token_url https://x.test/t"), (false, "https://x.test/t".to_owned()));
    }
}
