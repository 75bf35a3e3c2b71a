//! The frames around pages, their one style sheet, and the script of the dashboard.

use super::Html;
use super::parts::{Note, note};

/// Where the style sheet is served.
pub(in crate::daemon) const STYLE_PATH: &str = "/assets/style.css";
/// Where the script of the dashboard is served.
pub(in crate::daemon) const SCRIPT_PATH: &str = "/assets/dashboard.js";

/// Nothing but our own style sheet and forms to ourselves: no script, no frame, no picture from elsewhere.
pub(in crate::daemon) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The mark of the brand, as in the style sheet.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' fill='white'%3E\
     %3Crect width='16' height='16' rx='4' fill='%230b5d4e'/%3E%3Ccircle cx='8' cy='6.4' r='2.6'/%3E\
     %3Cpath d='M7 8h2v5H7z'/%3E%3C/svg%3E";

/// The style sheet.
pub(in crate::daemon) const STYLE: &str = include_str!("style.css");
/// The script. Every page works without it.
pub(in crate::daemon) const SCRIPT: &str = include_str!("dashboard.js");

/// A part of the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Section {
    /// What is connected, what needs care.
    Overview,
    /// What can be connected.
    Providers,
    /// Who may use it.
    Agents,
    /// What happened.
    Audit,
    /// Accounts of this server, for administrators.
    People,
    /// The account and the daemon.
    Settings,
}

impl Section {
    const ALL: [Self; 6] = [Self::Overview, Self::Providers, Self::Agents, Self::Audit, Self::People, Self::Settings];

    fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Providers => "Providers",
            Self::Agents => "Agents",
            Self::Audit => "Audit",
            Self::People => "People",
            Self::Settings => "Settings",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Providers => "/providers",
            Self::Agents => "/agents",
            Self::Audit => "/audit",
            Self::People => "/people",
            Self::Settings => "/settings",
        }
    }
}

/// What stands around a page of the dashboard.
#[derive(Clone, Copy, Debug)]
pub(in crate::daemon) struct Frame<'a> {
    /// Who is signed in.
    pub(in crate::daemon) email: &'a str,
    /// Whether they see what administrators see.
    pub(in crate::daemon) is_admin: bool,
    /// Where they are.
    pub(in crate::daemon) section: Section,
    /// How what they just did went.
    pub(in crate::daemon) note: Option<Note<'a>>,
}

/// A whole page around `body`; `email`: who is signed in.
pub(in crate::daemon) fn page(title: &str, email: Option<&str>, body: &Html) -> Html {
    document(title, Extra::None, |html| {
        html.element("header", &[], |html| {
            brand(html);
            if let Some(email) = email {
                sign_out(html, email);
            }
        });
        html.element("main", &[("class", "sheet")], |html| html.append(body));
    })
}

/// The same, loaded again after so many `seconds`: a page that waits needs no script for that.
pub(in crate::daemon) fn page_that_reloads(title: &str, body: &Html, seconds: &str) -> Html {
    document(title, Extra::Reload(seconds), |html| {
        html.element("header", &[], brand);
        html.element("main", &[("class", "sheet")], |html| html.append(body));
    })
}

/// A wide page without a script, for whoever comes. `title` is its first heading too.
pub(in crate::daemon) fn reference(title: &str, body: &Html) -> Html {
    document(title, Extra::None, |html| {
        html.element("header", &[("class", "wide")], brand);
        html.element("main", &[("class", "wide")], |html| {
            html.element("h1", &[], |html| html.text(title));
            html.append(body);
        });
    })
}

/// A page of the dashboard. `title` is its first heading too.
pub(in crate::daemon) fn dashboard(title: &str, frame: &Frame<'_>, body: &Html) -> Html {
    document(title, Extra::Script, |html| {
        html.element("a", &[("href", "#main"), ("class", "skip")], |html| html.text("Skip to the content"));
        html.element("header", &[("class", "wide")], |html| {
            brand(html);
            navigation(html, frame);
            sign_out(html, frame.email);
        });
        html.element("main", &[("id", "main"), ("class", "wide")], |html| {
            html.element("h1", &[], |html| html.text(title));
            if let Some(said) = frame.note {
                note(html, said);
            }
            html.append(body);
        });
    })
}

/// What a document has beside its content.
#[derive(Clone, Copy)]
enum Extra<'a> {
    None,
    Reload(&'a str),
    Script,
}

fn document(title: &str, extra: Extra<'_>, body: impl FnOnce(&mut Html)) -> Html {
    let mut html = Html::new();
    html.literal("<!doctype html>");
    html.element("html", &[("lang", "en")], |html| {
        html.element("head", &[], |html| {
            html.void("meta", &[("charset", "utf-8")]);
            html.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            html.void("meta", &[("name", "color-scheme"), ("content", "light dark")]);
            html.void("link", &[("rel", "icon"), ("href", ICON)]);
            html.void("link", &[("rel", "stylesheet"), ("href", STYLE_PATH)]);
            match extra {
                Extra::None => {}
                Extra::Reload(seconds) => html.void("meta", &[("http-equiv", "refresh"), ("content", seconds)]),
                Extra::Script => html.element("script", &[("src", SCRIPT_PATH), ("defer", "")], |_| {}),
            }
            html.element("title", &[], |html| html.text(&format!("{title} · authsome")));
        });
        html.element("body", &[], body);
    });
    html
}

fn brand(html: &mut Html) {
    html.element("a", &[("href", "/"), ("class", "brand")], |html| html.text("authsome"));
}

fn navigation(html: &mut Html, frame: &Frame<'_>) {
    html.element("nav", &[("aria-label", "Dashboard")], |html| {
        for section in Section::ALL {
            if section == Section::People && !frame.is_admin {
                continue;
            }
            let mut attributes = vec![("href", section.path())];
            if section == frame.section {
                attributes.push(("aria-current", "page"));
            }
            html.element("a", &attributes, |html| html.text(section.name()));
        }
    });
}

fn sign_out(html: &mut Html, email: &str) {
    html.element("form", &[("method", "post"), ("action", "/api/logout")], |html| {
        html.element("span", &[], |html| html.text(email));
        html.void("input", &[("type", "hidden"), ("name", "return_url"), ("value", "/login")]);
        html.element("button", &[("type", "submit"), ("class", "plain")], |html| html.text("Sign out"));
    });
}
