//! The first page of somebody who is signed in.

use serde_json::Value;

use super::Html;
use super::events::{subject, words};
use super::parts::{
    attention, button_link, columns, counted, grouped, lead, link, paragraph, plain_button, rows, section, stats,
    table, time,
};
use super::state::{ConnectionRow, Remedy};
use crate::clock::Timestamp;
use crate::model::AuditEntry;
use crate::percent::encode;

/// What the overview shows.
#[derive(Debug)]
pub(in crate::daemon) struct OverviewFacts {
    /// The person's connections, in the order of their titles.
    pub(in crate::daemon) own: Vec<ConnectionRow>,
    /// Global connections of others.
    pub(in crate::daemon) shared: Vec<ConnectionRow>,
    /// The person's agents.
    pub(in crate::daemon) agents: usize,
    /// What the audit log says.
    pub(in crate::daemon) lately: Lately,
    /// Connections by provider over all vaults, for administrators of a server that has more than their own.
    pub(in crate::daemon) everywhere: Vec<ProviderCount>,
    /// Now.
    pub(in crate::daemon) now: Timestamp,
}

/// What happened lately.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Lately {
    /// Runs, logins and exports, newest first.
    pub(in crate::daemon) entries: Vec<AuditEntry>,
    /// Requests of the last day.
    pub(in crate::daemon) requests: u64,
    /// Those of them that were refused, or went without a credential.
    pub(in crate::daemon) refused: u64,
    /// There were more than were counted.
    pub(in crate::daemon) has_more: bool,
}

/// How many connections of a provider there are.
#[derive(Debug)]
pub(in crate::daemon) struct ProviderCount {
    /// Provider name.
    pub(in crate::daemon) provider: String,
    /// Provider name for people.
    pub(in crate::daemon) title: String,
    /// In all vaults.
    pub(in crate::daemon) connections: usize,
}

/// The overview.
pub(in crate::daemon) fn overview(facts: &OverviewFacts) -> Html {
    let mut body = Html::new();
    let careful: Vec<&ConnectionRow> = facts.own.iter().filter(|row| row.state.advice().is_some()).collect();
    lead(&mut body, |html| {
        html.element("span", &[], |html| html.text(&summary(facts.own.len(), careful.len())));
        button_link(html, "/providers", "Connect a provider");
    });
    if !facts.own.is_empty() {
        numbers(&mut body, facts);
    }
    if !careful.is_empty() {
        attention(&mut body, |html| rows(html, &careful, |html, row| care(html, row)));
    }
    columns(
        &mut body,
        |html| {
            section(html, "Your connections", |html| own(html, facts));
            if !facts.shared.is_empty() {
                section(html, "Shared with you", |html| shared(html, facts));
            }
        },
        |html| {
            section(html, "Lately", |html| lately(html, facts));
            if !facts.everywhere.is_empty() {
                section(html, "On this server", |html| everywhere(html, &facts.everywhere));
            }
        },
    );
    body
}

fn summary(connections: usize, careful: usize) -> String {
    match (connections, careful) {
        (0, _) => "Nothing is connected yet.".to_owned(),
        (_, 0) => "Everything works.".to_owned(),
        (_, 1) => "1 connection needs care.".to_owned(),
        (_, many) => format!("{many} connections need care."),
    }
}

fn numbers(html: &mut Html, facts: &OverviewFacts) {
    let Lately { requests, refused, has_more, .. } = facts.lately;
    let more = if has_more { "+" } else { "" };
    let count = |count: usize| grouped(u64::try_from(count).unwrap_or(u64::MAX));
    let mut numbers = vec![
        (count(facts.own.len()), if facts.own.len() == 1 { "connection" } else { "connections" }),
        (count(facts.agents), if facts.agents == 1 { "agent" } else { "agents" }),
        (format!("{}{more}", grouped(requests)), "requests in 24 hours"),
    ];
    if refused > 0 {
        numbers.push((format!("{}{more}", grouped(refused)), "without a credential"));
    }
    stats(html, &numbers);
}

/// What is wrong, and the button that helps.
fn care(html: &mut Html, row: &ConnectionRow) {
    html.element("div", &[("class", "between")], |html| {
        html.element("div", &[], |html| {
            html.element("div", &[], |html| {
                link(html, &row.place(""), &row.full_title());
                html.text(" ");
                row.write_state(html);
            });
            if let Some(advice) = row.state.advice() {
                html.element("div", &[("class", "quiet")], |html| html.text(&advice));
            }
        });
        match row.state.remedy() {
            Remedy::Login => row.write_login(html, |html| plain_button(html, "Log in again")),
            Remedy::Look => {
                let place = row.place("");
                html.element("a", &[("href", &place), ("class", "button plain")], |html| html.text("Look at it"));
            }
            Remedy::None => {}
        }
    });
}

fn own(html: &mut Html, facts: &OverviewFacts) {
    if facts.own.is_empty() {
        return first_step(html);
    }
    table(html, "Your connections", &["Connection", "Account", "Status", "Expires"], |rows| {
        for row in &facts.own {
            rows.row(|cells| {
                cells.cell(|html| row.write_named(html, true));
                cells.text(row.account.as_deref().unwrap_or_default());
                cells.cell(|html| row.write_state(html));
                row.write_end_cell(cells, facts.now);
            });
        }
    });
}

fn first_step(html: &mut Html) {
    html.element("div", &[("class", "empty")], |html| {
        paragraph(html, "Connect a provider, and your agents can use it without ever seeing its key.");
        html.element("p", &[], |html| button_link(html, "/providers", "Choose a provider"));
        paragraph(html, "Or in your terminal:");
        html.element("pre", &[("class", "wrap")], |html| html.text("authsome login openai"));
    });
}

fn shared(html: &mut Html, facts: &OverviewFacts) {
    html.element("p", &[("class", "quiet")], |html| {
        html.text(
            "An administrator shares these with everybody. Your agents use them; nobody but the owner reads them.",
        );
    });
    table(html, "Shared with you", &["Connection", "Account", "Status"], |rows| {
        for row in &facts.shared {
            rows.row(|cells| {
                cells.cell(|html| row.write_named(html, row.owner.is_some()));
                cells.text(row.account.as_deref().unwrap_or_default());
                cells.cell(|html| row.write_state(html));
            });
        }
    });
}

fn lately(html: &mut Html, facts: &OverviewFacts) {
    if facts.lately.entries.is_empty() {
        return html.element("div", &[("class", "empty")], |html| {
            paragraph(html, "Nothing has run yet. Give a program your connections:");
            html.element("pre", &[("class", "wrap")], |html| html.text("authsome run -- YOUR COMMAND"));
        });
    }
    rows(html, &facts.lately.entries, |html, entry| {
        html.element("div", &[], |html| {
            html.text(words(&entry.event));
            let requests = entry.metadata.get("requests").and_then(Value::as_u64);
            let about = requests.map_or_else(|| subject(entry), |count| counted(count, "request"));
            if !about.is_empty() {
                html.text(": ");
                html.text(&about);
            }
        });
        html.element("div", &[("class", "quiet")], |html| {
            html.text(entry.identity.as_deref().unwrap_or("You, in a browser"));
            html.text(", ");
            time(html, entry.timestamp, facts.now);
        });
    });
    html.element("p", &[("class", "more")], |html| link(html, "/audit", "All of the audit log"));
}

fn everywhere(html: &mut Html, counts: &[ProviderCount]) {
    rows(html, counts, |html, of| {
        html.element("div", &[("class", "between")], |html| {
            link(html, &format!("/providers/{}", encode(&of.provider)), &of.title);
            let count = u64::try_from(of.connections).unwrap_or(u64::MAX);
            html.element("span", &[("class", "quiet")], |html| html.text(&counted(count, "connection")));
        });
    });
}

#[cfg(test)]
mod tests {
    use super::super::layout::{Frame, SCRIPT, STYLE, Section, dashboard};
    use super::super::state::{Ends, State};
    use super::super::tests::{HOSTILE, is_inert};
    use super::*;

    fn row(owner: Option<&str>) -> ConnectionRow {
        ConnectionRow {
            provider: HOSTILE.to_owned(),
            title: HOSTILE.to_owned(),
            name: HOSTILE.to_owned(),
            owner: owner.map(str::to_owned),
            account: Some(HOSTILE.to_owned()),
            is_default: true,
            has_siblings: true,
            is_global: true,
            state: State::Ended(Some(HOSTILE.to_owned())),
            ends: Ends::Never,
        }
    }

    /// A home with a hundred connections, half of them OAuth logins, and what belongs to them: page, style and script.
    #[test]
    fn a_page_with_everything_stays_small() {
        const MOST: usize = 60 * 1024;
        let now = Timestamp::from_unix(1_800_000_000).expect("in range");
        let own = (0..100).map(|number| ConnectionRow {
            provider: format!("provider-{number}"),
            title: format!("Google Analytics {number}"),
            name: "default".to_owned(),
            owner: None,
            account: (number % 2 == 0).then(|| "ada@example.com".to_owned()),
            is_default: true,
            has_siblings: false,
            is_global: false,
            state: State::Good,
            ends: if number % 2 == 0 { Ends::Refreshes(now) } else { Ends::Never },
        });
        let facts = OverviewFacts {
            own: own.collect(),
            shared: Vec::new(),
            agents: 10,
            lately: Lately::default(),
            everywhere: Vec::new(),
            now,
        };
        let frame = Frame { email: "ada@example.com", is_admin: true, section: Section::Overview, note: None };
        let page = dashboard("Overview", &frame, &overview(&facts)).as_str().len();
        let all = page + STYLE.len() + SCRIPT.len();
        assert!(all < MOST, "{page} + {} + {} = {all}", STYLE.len(), SCRIPT.len());
    }

    #[test]
    fn no_value_becomes_markup() {
        let entry = serde_json::json!({"event_id": HOSTILE, "timestamp": "2026-01-31T12:00:00Z", "event": HOSTILE,
            "source": "external", "provider": HOSTILE, "connection": HOSTILE, "identity": HOSTILE});
        let everywhere = ProviderCount { provider: HOSTILE.to_owned(), title: HOSTILE.to_owned(), connections: 1 };
        let facts = OverviewFacts {
            own: vec![row(None)],
            shared: vec![row(None), row(Some(HOSTILE))],
            agents: 1,
            lately: Lately { entries: vec![serde_json::from_value(entry).expect("an entry")], ..Lately::default() },
            everywhere: vec![everywhere],
            now: Timestamp::from_unix(1_800_000_000).expect("in range"),
        };
        is_inert(&overview(&facts));
    }
}
