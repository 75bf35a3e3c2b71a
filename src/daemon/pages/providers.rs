//! What can be connected.

use super::Html;
use super::parts::{
    Field, Kind, Tone, badge, counted, empty, field, hidden, link, monogram, plain_button, plain_button_link, post,
    select,
};
use super::provider::words;
use crate::model::{AuthType, ProviderSource};
use crate::percent::encode;
use crate::provider::Entry;

/// Which providers a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) enum ProviderKind {
    /// All of them.
    #[default]
    All,
    /// Those that take this kind of credential.
    Takes(AuthType),
    /// Those that somebody here has defined.
    Custom,
    /// Those that the reader has a connection to.
    Connected,
}

impl ProviderKind {
    /// Words of the address, and what people read.
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::All, "", "All kinds"),
        (Self::Takes(AuthType::ApiKey), "api_key", "API key"),
        (Self::Takes(AuthType::Oauth2), "oauth2", "OAuth"),
        (Self::Takes(AuthType::Browser), "browser", "Browser cookies"),
        (Self::Custom, "custom", "Custom"),
        (Self::Connected, "connected", "Connected"),
    ];

    /// What a word of an address means. Another word means all.
    pub(in crate::daemon) fn of(word: &str) -> Self {
        Self::ALL.iter().find(|(_, known, _)| *known == word).map_or(Self::All, |(kind, ..)| *kind)
    }

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, word, _)| word)
    }
}

/// One provider of a list.
pub(in crate::daemon) struct ProviderRow {
    /// The provider.
    pub(in crate::daemon) entry: Entry,
    /// How many connections to it the reader has.
    pub(in crate::daemon) connections: usize,
}

/// What the list of providers shows.
pub(in crate::daemon) struct ProvidersFacts<'a> {
    /// The providers that were found, in the order of the page.
    pub(in crate::daemon) rows: &'a [ProviderRow],
    /// What was looked for.
    pub(in crate::daemon) query: &'a str,
    /// Among which.
    pub(in crate::daemon) kind: ProviderKind,
    /// Whether the reader may define providers, and bring clients.
    pub(in crate::daemon) is_admin: bool,
}

/// The list of providers.
pub(in crate::daemon) fn providers(shown: &ProvidersFacts<'_>) -> Html {
    let mut body = Html::new();
    search_form(&mut body, shown);
    body.element("div", &[("class", "between found")], |html| {
        html.element("p", &[("role", "status"), ("id", "found-count")], |html| html.text(&count(shown)));
        if shown.is_admin {
            plain_button_link(html, "/new-provider", "Define a provider");
        }
    });
    body.element("div", &[("id", "found")], |html| {
        if shown.rows.is_empty() { nothing(html, shown) } else { cards(html, shown) }
    });
    body
}

fn search_form(html: &mut Html, shown: &ProvidersFacts<'_>) {
    let attributes = [("action", "/providers"), ("role", "search"), ("class", "filters"), ("data-search", "")];
    html.element("form", &attributes, |html| {
        html.element("div", &[], |html| {
            let search =
                Field { name: "q", label: "Name or host", kind: Kind::Search, value: shown.query, ..Field::default() };
            field(html, &search);
        });
        html.element("div", &[], |html| {
            let options = ProviderKind::ALL.map(|(_, word, text)| (word, text));
            select(html, "kind", "Kind", &options, shown.kind.word());
        });
        plain_button(html, "Search");
    });
}

fn count(shown: &ProvidersFacts<'_>) -> String {
    match shown.rows.len() {
        0 => "No provider found".to_owned(),
        found => counted(u64::try_from(found).unwrap_or(u64::MAX), "provider"),
    }
}

fn nothing(html: &mut Html, shown: &ProvidersFacts<'_>) {
    let why = match shown.kind {
        ProviderKind::Connected if shown.query.is_empty() => "Nothing is connected yet. Choose a provider to begin.",
        ProviderKind::Custom if shown.query.is_empty() => "No provider was defined on this server.",
        _ if shown.is_admin => "No provider is called that. Look among all kinds, or define one.",
        _ => "No provider is called that. Look among all kinds, or ask an administrator to define it.",
    };
    empty(html, why, None);
    html.element("p", &[("class", "actions")], |html| link(html, "/providers", "Show all providers"));
}

/// One form holds all buttons, each with its own address: a page with everything stays small.
fn cards(html: &mut Html, shown: &ProvidersFacts<'_>) {
    post(html, "/providers", |html| {
        hidden(html, "return_url", "/providers");
        html.element("ul", &[("class", "cards choices")], |html| {
            for row in shown.rows {
                html.element("li", &[], |html| card(html, row, shown.is_admin));
            }
        });
    });
}

fn card(html: &mut Html, row: &ProviderRow, is_admin: bool) {
    let definition = &row.entry.definition;
    let name = encode(&definition.name);
    monogram(html, definition.title());
    html.element("div", &[], |html| {
        html.element("p", &[], |html| {
            link(html, &format!("/providers/{name}"), definition.title());
            if row.entry.source == ProviderSource::Custom {
                html.text(" ");
                badge(html, Tone::Plain, "Custom");
            }
            if row.connections > 0 {
                html.text(" ");
                badge(html, Tone::Good, &connected(row.connections));
            }
        });
        let about = format!("{} · {}", words::kind(definition.auth_type), words::hosts(definition));
        html.element("p", &[("class", "quiet")], |html| html.text(&about));
    });
    connect(html, row, &name, is_admin);
}

fn connected(connections: usize) -> String {
    if connections == 1 { "Connected".to_owned() } else { format!("{connections} connections") }
}

/// A first connection needs no name. A second one does, and a client is for administrators to bring: the provider's page
/// says so.
fn connect(html: &mut Html, row: &ProviderRow, name: &str, is_admin: bool) {
    let title = row.entry.definition.title();
    if row.connections > 0 || (!is_admin && row.entry.definition.auth_type == AuthType::Oauth2) {
        let (text, href) = (if row.connections > 0 { "Add" } else { "Connect" }, format!("/providers/{name}#connect"));
        let label = format!("{text} {title}");
        let attributes = [("href", href.as_str()), ("class", "button plain"), ("aria-label", label.as_str())];
        return html.element("a", &attributes, |html| html.text(text));
    }
    let (action, label) = (format!("/api/auth/providers/{name}/connect"), format!("Connect {title}"));
    let attributes =
        [("type", "submit"), ("class", "plain"), ("formaction", action.as_str()), ("aria-label", label.as_str())];
    html.element("button", &attributes, |html| html.text("Connect"));
}
