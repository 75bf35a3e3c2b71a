//! The account and the daemon.

use super::Html;
use super::parts::{
    Field, Kind, Note, Tone, badge, button, columns, facts, field, hidden, link, note, paragraph, plain_button, post,
    rows, section,
};
use crate::model::{Principal, Role};

/// What the settings show.
pub(in crate::daemon) struct SettingsFacts<'a> {
    /// Whose account.
    pub(in crate::daemon) principal: &'a Principal,
    /// How changing the password went.
    pub(in crate::daemon) password: Option<Result<(), &'static str>>,
    /// Browsers that are signed in, this one included.
    pub(in crate::daemon) browsers: usize,
    /// The daemon.
    pub(in crate::daemon) server: ServerFacts<'a>,
}

/// What the settings say of the daemon.
pub(in crate::daemon) struct ServerFacts<'a> {
    /// Of this program.
    pub(in crate::daemon) version: &'static str,
    /// Its public URL.
    pub(in crate::daemon) base_url: &'a str,
    /// The port that it listens on.
    pub(in crate::daemon) port: u16,
    /// It serves this machine alone.
    pub(in crate::daemon) is_local: bool,
    /// How records are sealed.
    pub(in crate::daemon) cipher: &'static str,
    /// Where its master key is from.
    pub(in crate::daemon) key_source: &'static str,
    /// The same in a line.
    pub(in crate::daemon) key: &'a str,
    /// What keeps the records.
    pub(in crate::daemon) store: String,
    /// Where that is, for those who may know.
    pub(in crate::daemon) file: Option<String>,
    /// What an agent may do with raw secrets when it is claimed.
    pub(in crate::daemon) export_by_default: bool,
    /// Who may make an account.
    pub(in crate::daemon) registration: &'static str,
}

/// The settings.
pub(in crate::daemon) fn settings(shown: &SettingsFacts<'_>) -> Html {
    let mut body = Html::new();
    columns(
        &mut body,
        |html| {
            section(html, "Account", |html| account(html, shown.principal));
            section(html, "Password", |html| password(html, shown));
            section(html, "This daemon", |html| server(html, &shown.server));
        },
        |html| {
            section(html, "Browsers", |html| browsers(html, shown));
            section(html, "Help", help);
        },
    );
    body
}

fn account(html: &mut Html, principal: &Principal) {
    facts(html, |facts| {
        facts.text("Email", Some(&principal.email));
        facts.fact("Role", |html| match principal.role {
            Role::Admin => badge(html, Tone::Good, "administrator"),
            Role::User => badge(html, Tone::Plain, "user"),
        });
        for (name, id) in [("Principal", &principal.principal_id), ("Vault", &principal.vault_id)] {
            facts.fact(name, |html| html.element("code", &[], |html| html.text(id)));
        }
    });
}

fn password(html: &mut Html, shown: &SettingsFacts<'_>) {
    let has_one = shown.principal.password_hash.is_some();
    match shown.password {
        Some(Ok(())) => note(html, Note::Good("The password is changed. Your other browsers are signed out.")),
        Some(Err(problem)) => note(html, Note::Bad(problem)),
        None if !has_one => {
            paragraph(
                html,
                "You have none: you sign in with authsome ui. With a password you can sign in on the page as well.",
            );
        }
        None => {}
    }
    post(html, "/api/auth/password", |html| {
        hidden(html, "next", "/settings");
        // Password managers want to know whose it is.
        field(
            html,
            &Field {
                name: "username",
                label: "Email",
                value: &shown.principal.email,
                autocomplete: "username",
                required: true,
                fixed: true,
                ..Field::default()
            },
        );
        let secret = |name, label, hint, autocomplete| Field {
            name,
            label,
            hint,
            autocomplete,
            kind: Kind::Password,
            required: true,
            ..Field::default()
        };
        if has_one {
            field(html, &secret("current_password", "Current password", None, "current-password"));
        }
        field(html, &secret("new_password", "New password", Some("At least 8 characters."), "new-password"));
        button(html, if has_one { "Change the password" } else { "Set a password" });
    });
}

fn browsers(html: &mut Html, shown: &SettingsFacts<'_>) {
    match shown.browsers {
        0 | 1 => paragraph(html, "You are signed in with this browser only. A session ends after an hour."),
        count => {
            paragraph(html, &format!("You are signed in with {count} browsers. A session ends after an hour."));
            post(html, "/settings/sign-out-others", |html| plain_button(html, "Sign out all but this one"));
        }
    }
    html.element("p", &[("class", "quiet hint")], |html| {
        html.text("To sign in from a terminal: ");
        html.element("code", &[], |html| html.text("authsome ui"));
    });
}

fn server(html: &mut Html, server: &ServerFacts<'_>) {
    facts(html, |facts| {
        facts.text("Version", Some(server.version));
        facts.text("Address", Some(server.base_url));
        facts.text("Port", Some(&server.port.to_string()));
        facts.text("Serves", Some(if server.is_local { "this machine" } else { "everybody with an account" }));
        facts.text("Registration", Some(server.registration));
        let export = if server.export_by_default { "allowed" } else { "not allowed" };
        facts.text("Raw secrets for a new agent", Some(export));
        facts.text("Cipher", Some(server.cipher));
        facts.text("Master key from", Some(server.key_source));
        facts.text("Encryption", Some(server.key));
        facts.text("Store", Some(&server.store));
        facts.text("Store file", server.file.as_deref());
    });
}

fn help(html: &mut Html) {
    let commands = [
        ("authsome doctor", "finds what is wrong, and says what to do"),
        ("authsome log --follow", "shows events as they come"),
        ("authsome daemon status", "says where the daemon runs"),
        ("authsome COMMAND --help", "explains a command"),
    ];
    rows(html, &commands, |html, (command, what)| {
        html.element("code", &[], |html| html.text(command));
        html.element("div", &[("class", "quiet")], |html| html.text(what));
    });
    html.element("p", &[("class", "after")], |html| link(html, "/docs", "The HTTP API of this daemon"));
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOSTILE, is_inert};
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn no_value_becomes_markup() {
        let principal = Principal {
            principal_id: HOSTILE.to_owned(),
            vault_id: HOSTILE.to_owned(),
            email: HOSTILE.to_owned(),
            role: Role::Admin,
            password_hash: None,
            created_at: Timestamp::from_unix(1_800_000_000).expect("in range"),
        };
        let server = ServerFacts {
            version: "1",
            base_url: HOSTILE,
            port: 1,
            is_local: false,
            cipher: "x",
            key_source: "file",
            key: HOSTILE,
            store: HOSTILE.to_owned(),
            file: Some(HOSTILE.to_owned()),
            export_by_default: true,
            registration: "by invitation",
        };
        is_inert(&settings(&SettingsFacts { principal: &principal, password: None, browsers: 2, server }));
    }
}
