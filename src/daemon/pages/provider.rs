//! One provider: what it is, how it is connected, where the credential goes, and what administrators do with it.

mod client;
pub(super) mod words;

pub(in crate::daemon) use client::ClientForm;

use serde_json::Value;

use super::Html;
use super::parts::{
    Facts, Field, Rows, Tone, badge, button, columns, confirm, copyable, counted, empty, facts, field, hidden, lead,
    link, paragraph, plain_button_link, post, rows, section, table, tags,
};
use super::state::ConnectionRow;
use crate::model::{AuthType, ProviderDefinition, ProviderSource};
use crate::percent::encode;
use crate::provider::{Entry, Filling, Origin, Registry, export_names, fill_url};

/// What the page of a provider shows.
pub(in crate::daemon) struct ProviderFacts<'a> {
    /// The provider.
    pub(in crate::daemon) entry: &'a Entry,
    /// The reader's connections to it.
    pub(in crate::daemon) own: Vec<ConnectionRow>,
    /// Those that everybody on this server may use.
    pub(in crate::daemon) shared: Vec<ConnectionRow>,
    /// Where the provider sends browsers back to.
    pub(in crate::daemon) callback_url: String,
    /// Whether an administrator must bring a client before the reader can connect.
    pub(in crate::daemon) waits_for_client: bool,
    /// What only administrators see.
    pub(in crate::daemon) admin: Option<AdminFacts<'a>>,
}

/// What only administrators see of a provider.
pub(in crate::daemon) struct AdminFacts<'a> {
    /// The form of the client, where the provider has one.
    pub(in crate::daemon) client: Option<ClientForm<'a>>,
    /// Who has connections, and how many.
    pub(in crate::daemon) usage: &'a [(String, u64)],
}

impl AdminFacts<'_> {
    fn connections(&self) -> u64 {
        self.usage.iter().map(|(_, count)| count).sum()
    }
}

/// The page of a provider.
pub(in crate::daemon) fn provider(shown: &ProviderFacts<'_>) -> Html {
    let mut body = Html::new();
    let definition = &shown.entry.definition;
    introduction(&mut body, definition, shown.entry.source);
    let main = |html: &mut Html| {
        connections(html, shown);
        connect(html, shown);
        destinations(html, definition);
        if definition.auth_type == AuthType::Oauth2 {
            oauth(html, shown);
        }
    };
    let Some(admin) = &shown.admin else {
        main(&mut body);
        return body;
    };
    let main = |html: &mut Html| {
        main(html);
        if let Some(form) = &admin.client {
            client::client(html, definition, form, admin.connections());
        }
    };
    columns(&mut body, main, |html| {
        section(html, "Who uses it", |html| usage(html, admin));
        section(html, "Manage", |html| manage(html, shown.entry, admin));
    });
    body
}

fn introduction(html: &mut Html, definition: &ProviderDefinition, source: ProviderSource) {
    lead(html, |html| {
        badge(html, Tone::Plain, words::kind(definition.auth_type));
        if source == ProviderSource::Custom {
            badge(html, Tone::Plain, "Custom");
        }
        if let Some(description) = definition.description.as_deref() {
            html.element("span", &[], |html| html.text(description));
        }
    });
}

fn connections(html: &mut Html, shown: &ProviderFacts<'_>) {
    if shown.own.is_empty() && shown.shared.is_empty() {
        return; // how to get one follows
    }
    section(html, "Your connections", |html| {
        table(html, "Your connections to this provider", &["Connection", "Status", "Account"], |rows| {
            for row in &shown.own {
                connection(rows, row, true);
            }
            for row in &shown.shared {
                connection(rows, row, false);
            }
        });
    });
}

fn connection(rows: &mut Rows<'_>, row: &ConnectionRow, is_own: bool) {
    rows.row(|cells| {
        cells.cell(|html| {
            html.element("span", &[], |html| {
                // Of others, only an administrator may look at one.
                if is_own || row.owner.is_some() {
                    link(html, &row.place(""), &row.name);
                } else {
                    html.text(&row.name);
                }
                row.write_marks(html);
                if !is_own {
                    html.text(" ");
                    badge(html, Tone::Plain, "Shared with you");
                }
            });
        });
        cells.cell(|html| row.write_state(html));
        cells.text(row.account.as_deref().unwrap_or_default());
    });
}

/// The names that most people choose, for a connection that has none yet.
fn free_name(connections: &[ConnectionRow]) -> &'static str {
    let is_free = |name: &&&str| !connections.iter().any(|row| row.name == ***name);
    ["default", "work", "personal"].iter().find(is_free).copied().unwrap_or_default()
}

fn connect(html: &mut Html, shown: &ProviderFacts<'_>) {
    let definition = &shown.entry.definition;
    let heading =
        if shown.own.is_empty() { format!("Connect {}", definition.title()) } else { "Add a connection".to_owned() };
    html.element("section", &[("id", "connect")], |html| {
        html.element("h2", &[], |html| html.text(&heading));
        if shown.waits_for_client {
            return paragraph(html, "An administrator of this server has to store an OAuth client for it first.");
        }
        advice(html, definition);
        connect_form(html, shown);
        paragraph(html, "Or in your terminal:");
        copyable(html, &format!("authsome login {}", definition.name));
    });
}

/// What to know before connecting.
fn advice(html: &mut Html, definition: &ProviderDefinition) {
    if let Some(url) = definition.docs_url.as_deref().filter(|url| url.starts_with("https://")) {
        html.element("p", &[], |html| {
            html.text("Get a credential: ");
            html.element("a", &[("href", url), ("rel", "noreferrer noopener")], |html| html.text(url));
        });
    }
    let cookies = "In your terminal a browser opens, and the cookies are taken over from it. Here you paste them.";
    let note = definition.metadata.get("note").and_then(Value::as_str);
    for text in note.into_iter().chain((definition.auth_type == AuthType::Browser).then_some(cookies)) {
        html.element("p", &[("class", "quiet")], |html| html.text(text));
    }
}

fn connect_form(html: &mut Html, shown: &ProviderFacts<'_>) {
    let name = encode(&shown.entry.definition.name);
    post(html, &format!("/api/auth/providers/{name}/connect"), |html| {
        hidden(html, "return_url", &format!("/providers/{name}"));
        field(
            html,
            &Field {
                name: "connection",
                label: "Name of the connection",
                hint: Some("Letters, digits, '.', '_' and '-'. A second account gets a second name."),
                value: free_name(&shown.own),
                required: true,
                ..Field::default()
            },
        );
        button(html, "Connect");
    });
}

fn destinations(html: &mut Html, definition: &ProviderDefinition) {
    section(html, "Where the credential goes", |html| {
        facts(html, |facts| {
            facts.fact("Name", |html| html.element("code", &[], |html| html.text(&definition.name)));
            facts.text("How you get it", Some(words::flow(definition)));
            codes(facts, "Only to", definition.api_url.as_slice());
            codes(facts, "In each request", &words::slots(definition));
            codes(facts, "Exported as", &export_names(definition).iter().map(words::export).collect::<Vec<_>>());
        });
    });
}

/// A fact of several lines that are not prose; nothing where there are none.
fn codes(facts: &mut Facts<'_>, name: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    facts.fact(name, |html| {
        html.element("ul", &[("class", "lines")], |html| {
            for line in lines {
                html.element("li", &[], |html| html.element("code", &[], |html| html.text(line)));
            }
        });
    });
}

fn oauth(html: &mut Html, shown: &ProviderFacts<'_>) {
    let definition = &shown.entry.definition;
    let Some(oauth) = &definition.oauth else { return };
    // As the definition says where nothing fills it: a base URL that each login tells.
    let filled = |url: &Option<String>| -> Vec<String> {
        let fill = |url: &str| fill_url(definition, &Filling::nothing(), url).unwrap_or_else(|_| url.to_owned());
        url.as_deref().map(fill).into_iter().collect()
    };
    section(html, "Sign-in at the provider", |html| {
        facts(html, |facts| {
            codes(facts, "Sign-in page", &filled(&oauth.authorization_url));
            codes(facts, "Tokens come from", &filled(&oauth.token_url));
            codes(facts, "Codes come from", &filled(&oauth.device_authorization_url));
            codes(facts, "Tokens end at", &filled(&oauth.revocation_url));
            if !oauth.scopes.is_empty() {
                let scopes: Vec<&str> = oauth.scopes.iter().map(String::as_str).collect();
                facts.fact("Scopes", |html| tags(html, &scopes));
            }
        });
        paragraph(html, "Callback URL, to register with the provider:");
        copyable(html, &shown.callback_url);
    });
}

fn usage(html: &mut Html, admin: &AdminFacts<'_>) {
    if admin.usage.is_empty() {
        return empty(html, "Nobody on this server is connected to it.", None);
    }
    rows(html, admin.usage, |html, (email, count)| {
        html.element("div", &[("class", "between")], |html| {
            html.element("span", &[], |html| html.text(email));
            html.element("span", &[("class", "quiet")], |html| html.text(&counted(*count, "connection")));
        });
    });
}

fn manage(html: &mut Html, entry: &Entry, admin: &AdminFacts<'_>) {
    let name = encode(&entry.definition.name);
    match &entry.origin {
        Origin::Registered => {}
        Origin::Bundled => paragraph(html, "This definition comes with authsome. You can define your own from a copy."),
        Origin::File(path) => {
            paragraph(html, &format!("The definition is the file {}: edit or delete it there.", path.display()));
        }
    }
    let (connections, has_client) = (admin.connections(), admin.client.as_ref().is_some_and(|it| it.is_stored));
    html.element("div", &[("class", "actions")], |html| {
        if entry.origin == Origin::Registered {
            plain_button_link(html, &format!("/providers/{name}/edit"), "Edit the definition");
        }
        plain_button_link(html, &format!("/new-provider?from={name}#json"), "Define a copy");
        if connections > 0 || has_client {
            let what = format!("{} The provider is asked to revoke its tokens.", ends(connections, has_client));
            confirm(html, "Revoke all connections", &what, &format!("/providers/{name}/revoke"), "Revoke all");
        }
        if entry.origin == Origin::Registered {
            let rest = if Registry::is_bundled(&entry.definition.name) {
                "The definition that comes with authsome takes the place of this one."
            } else {
                "Nobody can connect to this provider any more."
            };
            let what = [&ends(connections, has_client), rest].join(" ");
            confirm(html, "Delete this provider", &what, &format!("/providers/{name}/delete"), "Delete it");
        }
    });
}

/// What ends with a provider.
fn ends(connections: u64, has_client: bool) -> String {
    let connections = match connections {
        0 => "Nobody is connected to it.".to_owned(),
        some => format!("This ends {} on this server.", counted(some, "connection")),
    };
    if has_client { format!("{connections} The stored client is forgotten.") } else { connections }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::state::{Ends, State};
    use super::super::tests::{HOSTILE, is_inert};
    use super::super::{ProviderKind, ProviderRow, ProvidersFacts, providers};
    use super::*;
    use crate::provider::parse_definition;

    fn entry(text: &str, origin: Origin) -> Entry {
        let definition = Arc::new(parse_definition(text.as_bytes()).expect("parses"));
        Entry { definition, source: ProviderSource::Custom, origin }
    }

    /// Nothing of it passed a check.
    fn hostile_entry(origin: Origin) -> Entry {
        let text = r#"{"name":"H","display_name":"H","description":"H","auth_type":"oauth2","flow":"pkce",
            "api_url":["H","https://x.test/H"],"docs_url":"https://x.test/H","metadata":{"note":"H"},"export":{"H":"H","OK":"H"},
            "default_headers":{"H":"H"},"inject":[{"in":"query","name":"H","value":"H"}],"oauth":{
            "authorization_url":"H","token_url":"H","revocation_url":"H","device_authorization_url":"H",
            "base_url":"H","scopes":["H"],"client_type":"H"}}"#;
        let hostile = serde_json::to_string(HOSTILE).expect("is JSON");
        entry(&text.replace("\"H\"", &hostile).replace("/H", &format!("/{}", hostile.trim_matches('"'))), origin)
    }

    fn row(text: &str) -> ConnectionRow {
        ConnectionRow {
            provider: text.to_owned(),
            title: text.to_owned(),
            name: text.to_owned(),
            owner: None,
            account: Some(text.to_owned()),
            is_default: true,
            has_siblings: true,
            is_global: true,
            state: State::Failing(text.to_owned()),
            ends: Ends::Never,
        }
    }

    fn facts<'a>(entry: &'a Entry, admin: Option<AdminFacts<'a>>) -> ProviderFacts<'a> {
        let callback_url = "https://authsome.test/api/auth/callback/oauth".to_owned();
        ProviderFacts { entry, own: Vec::new(), shared: Vec::new(), callback_url, waits_for_client: false, admin }
    }

    #[test]
    fn no_value_becomes_markup() {
        for origin in [Origin::Registered, Origin::Bundled, Origin::File(HOSTILE.into())] {
            let (entry, usage) = (hostile_entry(origin), [(HOSTILE.to_owned(), 1)]);
            let client = ClientForm {
                is_stored: true,
                has_secret: true,
                client_id: HOSTILE.to_owned(),
                base_url: HOSTILE.to_owned(),
                api_url: HOSTILE.to_owned(),
                scopes: HOSTILE.to_owned(),
                problem: Some(("client_id", HOSTILE.to_owned())),
            };
            let shown = ProviderFacts {
                own: vec![row(HOSTILE)],
                shared: vec![row(HOSTILE), ConnectionRow { owner: Some(HOSTILE.to_owned()), ..row(HOSTILE) }],
                callback_url: HOSTILE.to_owned(),
                ..facts(&entry, Some(AdminFacts { client: Some(client), usage: &usage }))
            };
            is_inert(&provider(&shown));
            let rows = [ProviderRow { entry, connections: 2 }];
            is_inert(&providers(&ProvidersFacts {
                rows: &rows,
                query: HOSTILE,
                kind: ProviderKind::All,
                is_admin: true,
            }));
        }
    }

    #[test]
    fn only_https_documents_are_linked() {
        for (url, is_linked) in [("https://x.test/d", true), ("http://x.test/d", false), ("javascript:x", false)] {
            let text = format!(r#"{{"name":"x","auth_type":"api_key","flow":"api_key","docs_url":"{url}"}}"#);
            let entry = entry(&text, Origin::Registered);
            let page = provider(&facts(&entry, None));
            assert_eq!(page.as_str().contains(&format!("href=\"{url}\"")), is_linked, "{url}");
        }
    }

    #[test]
    fn a_client_is_changed_with_a_warning_only_where_that_ends_something() {
        let entry = hostile_entry(Origin::Bundled);
        let page = |usage: &[(String, u64)]| {
            let admin = AdminFacts { client: Some(ClientForm::default()), usage };
            provider(&facts(&entry, Some(admin))).as_str().to_owned()
        };
        assert!(!page(&[]).contains("A change ends"));
        let warned = page(&[("a@x.test".to_owned(), 1), ("b@x.test".to_owned(), 2)]);
        assert!(warned.contains("A change ends 3 connections"), "{warned}");
    }

    #[test]
    fn a_connection_gets_a_name_that_is_free() {
        assert_eq!(free_name(&[]), "default");
        assert_eq!(free_name(&[row("other"), row("default")]), "work");
        assert_eq!(free_name(&[row("default"), row("work"), row("personal")]), "");
    }
}
