//! What happened.

use std::collections::{BTreeMap, BTreeSet};

use super::activity::chart;
use super::parts::{button, empty, hidden, lead, link, plain_button_link, section, select, table, time};
use super::{Activity, Html, Span, events};
use crate::broker::{AuditQuery, Glance};
use crate::clock::Timestamp;
use crate::limits::NAME_BYTES;
use crate::model::AuditEntry;
use crate::percent::encode;

/// Choices of one filter, those of the newest events: a page has an end. Any other name can stand in the address.
const MOST_CHOICES: usize = 40;

/// What the audit page shows.
pub(in crate::daemon) struct AuditFacts {
    /// A page of entries, newest first.
    pub(in crate::daemon) entries: Vec<AuditEntry>,
    /// What was asked for.
    pub(in crate::daemon) query: AuditQuery,
    /// What else can be asked for.
    pub(in crate::daemon) choices: Choices,
    /// Where older entries are.
    pub(in crate::daemon) older: Option<String>,
    /// How much happened when.
    pub(in crate::daemon) activity: Activity,
    /// How far back `activity` looks.
    pub(in crate::daemon) span: Span,
    /// Emails of the people in the entries, by principal.
    pub(in crate::daemon) people: BTreeMap<String, String>,
    /// Now.
    pub(in crate::daemon) now: Timestamp,
}

/// Names that occur, by filter.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Choices {
    agents: BTreeSet<String>,
    providers: BTreeSet<String>,
    events: BTreeSet<String>,
}

impl Choices {
    /// Adds what an entry names.
    pub(in crate::daemon) fn add(&mut self, glance: &Glance) {
        let Glance { identity, provider, event, .. } = glance;
        let names = [(&mut self.agents, identity.as_ref()), (&mut self.providers, provider.as_ref())];
        for (known, name) in names.into_iter().chain([(&mut self.events, Some(event))]) {
            let fits =
                |name: &&String| known.len() < MOST_CHOICES && name.len() <= NAME_BYTES && !known.contains(*name);
            if let Some(name) = name.filter(fits) {
                known.insert(name.clone());
            }
        }
    }
}

/// The address of these entries; `more`: what stands behind the filter.
fn place(query: &AuditQuery, span: Span, more: &str) -> String {
    let mut place = format!("/audit?span={}", span.as_str());
    for (name, value) in [("identity", &query.identity), ("provider", &query.provider), ("event", &query.event)] {
        if let Some(value) = value {
            place.extend(["&", name, "=", &encode(value)]);
        }
    }
    place + more
}

/// The audit page.
pub(in crate::daemon) fn audit(shown: &AuditFacts) -> Html {
    let mut body = Html::new();
    lead(&mut body, |html| {
        html.text(match shown.query.principal_id {
            None => "Everything that happened on this server. Entries are kept for 90 days.",
            Some(_) => "What you and your agents did. Entries are kept for 90 days.",
        });
    });
    section(&mut body, "Activity", |html| {
        html.element("div", &[("class", "spans"), ("role", "group"), ("aria-label", "How far back")], |html| {
            for span in Span::ALL {
                let place = place(&shown.query, span, "");
                let mut attributes = vec![("href", place.as_str())];
                if span == shown.span {
                    attributes.push(("aria-current", "true"));
                }
                html.element("a", &attributes, |html| html.text(span.title()));
            }
        });
        chart(html, &shown.activity);
    });
    section(&mut body, "Events", |html| {
        filters(html, shown);
        entries(html, shown);
        paging(html, shown);
    });
    body
}

fn filters(html: &mut Html, shown: &AuditFacts) {
    let AuditFacts { query, choices, .. } = shown;
    html.element("form", &[("method", "get"), ("action", "/audit"), ("class", "filters")], |html| {
        hidden(html, "span", shown.span.as_str());
        choice(html, "identity", "Agent", &choices.agents, query.identity.as_deref(), str::to_owned);
        choice(html, "provider", "Provider", &choices.providers, query.provider.as_deref(), str::to_owned);
        choice(html, "event", "Event", &choices.events, query.event.as_deref(), |event| {
            let words = events::words(event);
            if words == event { event.to_owned() } else { format!("{words} ({event})") }
        });
        html.element("div", &[("class", "actions")], |html| {
            button(html, "Filter");
            if !query.is_unfiltered() {
                link(html, &format!("/audit?span={}", shown.span.as_str()), "Show all");
            }
        });
    });
}

/// A filter: everything, or one of the names that occur or are asked for.
fn choice(
    html: &mut Html,
    name: &str,
    label: &str,
    names: &BTreeSet<String>,
    chosen: Option<&str>,
    words: impl Fn(&str) -> String,
) {
    let names: BTreeSet<&str> = names.iter().map(String::as_str).chain(chosen).collect();
    let mut options: Vec<(&str, String)> = names.into_iter().map(|name| (name, words(name))).collect();
    options.sort_by(|(_, one), (_, other)| one.cmp(other));
    let options: Vec<(&str, &str)> =
        std::iter::once(("", "All")).chain(options.iter().map(|(name, words)| (*name, words.as_str()))).collect();
    html.element("div", &[], |html| select(html, name, label, &options, chosen.unwrap_or_default()));
}

fn entries(html: &mut Html, shown: &AuditFacts) {
    if shown.entries.is_empty() {
        return nothing(html, shown);
    }
    event_table(html, "Events, newest first", &shown.entries, shown.now, Some(&|html, entry| who(html, entry, shown)));
}

/// Who acted: the agent, else the person in a browser. Whose it is, is said where it is somebody else's.
fn who(html: &mut Html, entry: &AuditEntry, shown: &AuditFacts) {
    let owner = entry.principal_id.as_ref().and_then(|principal_id| shown.people.get(principal_id));
    html.element("span", &[], |html| match (&entry.identity, owner) {
        (Some(identity), None) => html.text(identity),
        (Some(identity), Some(owner)) => {
            html.text(identity);
            html.element("span", &[("class", "quiet")], |html| html.text(&format!(" of {owner}")));
        }
        (None, Some(owner)) => html.text(owner),
        (None, None) if entry.principal_id.is_some() => html.text("in a browser"),
        (None, None) => html.text("–"),
    });
}

fn nothing(html: &mut Html, shown: &AuditFacts) {
    if shown.older.is_some() {
        return empty(html, "None of the events that were looked at fits. Older ones may.", None);
    }
    if shown.query.cursor.is_some() {
        return empty(html, "There are no older events.", None);
    }
    if !shown.query.is_unfiltered() {
        return empty(html, "No event fits these filters.", None);
    }
    empty(html, "Nothing happened yet. Let an agent do something:", Some("authsome run -- COMMAND"));
}

fn paging(html: &mut Html, shown: &AuditFacts) {
    if shown.older.is_none() && shown.query.cursor.is_none() {
        return;
    }
    html.element("div", &[("class", "actions after")], |html| {
        if shown.query.cursor.is_some() {
            plain_button_link(html, &place(&shown.query, shown.span, ""), "Newest");
        }
        if let Some(older) = &shown.older {
            let label = if shown.entries.is_empty() { "Look at older ones" } else { "Older" };
            let place = place(&shown.query, shown.span, &format!("&cursor={}", encode(older)));
            plain_button_link(html, &place, label);
        }
    });
}

/// The event, and the rest of its entry in a line.
fn what(html: &mut Html, entry: &AuditEntry) {
    html.element("div", &[], |html| {
        events::event(html, entry);
        let brief = events::brief(entry);
        if !brief.is_empty() {
            html.element("div", &[("class", "quiet")], |html| html.text(&brief));
        }
    });
}

/// Writes into a cell who did what an entry is about.
type Who<'a> = &'a dyn Fn(&mut Html, &AuditEntry);

/// A table of events. Without `who` they are all one agent's.
pub(super) fn event_table(
    html: &mut Html,
    caption: &str,
    entries: &[AuditEntry],
    now: Timestamp,
    who: Option<Who<'_>>,
) {
    let mut columns = vec!["When", "Event", "Agent", "Connection", "Status"];
    columns.retain(|column| who.is_some() || *column != "Agent");
    table(html, caption, &columns, |rows| {
        for entry in entries {
            rows.row(|cells| {
                cells.cell(|html| time(html, entry.timestamp, now));
                cells.cell(|html| what(html, entry));
                if let Some(who) = who {
                    cells.cell(|html| who(html, entry));
                }
                cells.text(&events::subject(entry));
                cells.cell(|html| events::status(html, entry));
            });
        }
    });
}
