//! Entries of the audit log in words. Clients write entries too: any text in one may be anything.

use serde_json::Value;

use super::Html;
use super::parts::{Tone, badge};
use crate::model::{AuditEntry, AuditSource};

/// The longest text about an entry, in characters: a path may have a kilobyte, and a page has many.
const LONGEST: usize = 100;

/// The events that we know. Those of the second list come from clients, who watch the proxy of a run.
const OURS: [(&str, &str); 22] = [
    ("account.invited", "Invitation made"),
    ("account.login", "Signed in"),
    ("account.login_failed", "Sign-in failed"),
    ("account.sessions_closed", "Other browsers signed out"),
    ("account.password_changed", "Password changed"),
    ("account.registered", "Account made"),
    ("credentials.exported", "Raw secrets read"),
    ("identity.claimed", "Agent claimed"),
    ("identity.created", "Agent registered"),
    ("identity.forgotten", "Agent forgotten"),
    ("identity.grants_changed", "Permissions of an agent changed"),
    ("provider.client_configured", "Client configured"),
    ("provider.deleted", "Provider removed"),
    ("provider.global_connection_set", "Shared with everybody"),
    ("provider.global_connection_unset", "No longer shared"),
    ("provider.login", "Connected"),
    ("provider.login_failed", "Login failed"),
    ("provider.logout", "Disconnected"),
    ("provider.refresh_failed", "Refresh failed"),
    ("provider.refreshed", "Token refreshed"),
    ("provider.registered", "Provider added"),
    ("provider.revoked", "All connections revoked"),
];
/// See [`OURS`].
const OF_CLIENTS: [(&str, &str); 5] = [
    ("proxy.request", "Request through the proxy"),
    ("proxy_deny", "Request refused"),
    ("proxy_no_credentials", "Request without a credential"),
    ("run.finished", "Run finished"),
    ("run.started", "Run started"),
];

/// What an event is called for people: its own name where we do not know it.
pub(in crate::daemon) fn words(event: &str) -> &str {
    let known = OURS.iter().chain(&OF_CLIENTS).find(|(known, _)| *known == event);
    known.map_or(event, |(_, words)| words)
}

/// How it went.
pub(in crate::daemon) fn tone(event: &str, status: Option<&str>) -> Tone {
    match (status, status.and_then(|status| status.parse::<u16>().ok())) {
        (_, Some(0)) if event == "run.finished" => Tone::Good,
        (_, Some(_)) if event == "run.finished" => Tone::Bad,
        (_, Some(100..400)) | (Some("success"), _) => Tone::Good,
        (_, Some(400..500)) | (Some("forwarded" | "aborted"), _) => Tone::Warn,
        (_, Some(_)) | (Some("failed" | "failure" | "denied" | "error"), _) => Tone::Bad,
        _ if event.ends_with("failed") || event.starts_with("proxy_") => Tone::Bad,
        _ => Tone::Plain,
    }
}

/// Whether it did not go as it should have.
pub(in crate::daemon) fn has_failed(event: &str, status: Option<&str>) -> bool {
    matches!(tone(event, status), Tone::Warn | Tone::Bad)
}

/// The event in words, and its name where that is another text.
pub(in crate::daemon) fn event(html: &mut Html, entry: &AuditEntry) {
    let words = words(&entry.event);
    html.element("span", &[], |html| {
        html.text(&cut(words));
        if words != entry.event {
            html.text(" ");
            html.element("code", &[("class", "quiet")], |html| html.text(&entry.event));
        }
        if entry.source == AuditSource::External && !is_of_clients(&entry.event) {
            html.text(" ");
            badge(html, Tone::Warn, "reported by the agent itself");
        }
    });
}

/// Whether only clients know of such an event. Anything else from one is no more than its word, whatever it is called:
/// a name may look like one of ours.
fn is_of_clients(event: &str) -> bool {
    OF_CLIENTS.iter().any(|(known, _)| *known == event)
}

/// How it went, as a badge; nothing where nobody said.
pub(in crate::daemon) fn status(html: &mut Html, entry: &AuditEntry) {
    if let Some(status) = entry.status.as_deref().filter(|status| !status.is_empty()) {
        badge(html, tone(&entry.event, Some(status)), &cut(status));
    }
}

/// What it is about: provider and connection.
pub(in crate::daemon) fn subject(entry: &AuditEntry) -> String {
    let provider = cut(entry.provider.as_deref().unwrap_or_default());
    match entry.connection.as_deref() {
        Some(connection) => format!("{provider} / {}", cut(connection)),
        None => provider,
    }
}

/// The rest in a line: of a request what it asked for and how long that took, of others each fact with its name.
pub(in crate::daemon) fn brief(entry: &AuditEntry) -> String {
    let text = |name: &str| entry.metadata.get(name).map(shown).unwrap_or_default();
    if entry.event != "proxy.request" && !entry.event.starts_with("proxy_") {
        let facts = entry.metadata.iter().filter(|(name, value)| *name != "run_id" && !value.is_null());
        let facts: Vec<_> =
            facts.map(|(name, value)| format!("{}: {}", name.replace('_', " "), shown(value))).collect();
        return cut(&facts.join(", "));
    }
    let mut line = cut(format!("{} {}{}", text("method"), text("host"), text("path")).trim());
    for (name, unit) in [("milliseconds", " ms"), ("reason", "")] {
        let value = cut(&text(name));
        if !value.is_empty() {
            line = format!("{line}, {value}{unit}");
        }
    }
    line
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(is_so) => if *is_so { "yes" } else { "no" }.to_owned(),
        other => other.to_string(),
    }
}

fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(event: &str, source: &str, metadata: &str) -> AuditEntry {
        let text = format!(
            r#"{{"event_id":"audit_1","timestamp":"2026-01-31T12:00:00Z","event":"{event}","source":"{source}"{metadata}}}"#
        );
        serde_json::from_str(&text).expect("an entry")
    }

    #[test]
    fn how_it_went_is_told_by_status_and_name() {
        for (event, status, expected) in [
            ("proxy.request", Some("200"), Tone::Good),
            ("proxy.request", Some("304"), Tone::Good),
            ("proxy.request", Some("404"), Tone::Warn),
            ("proxy.request", Some("502"), Tone::Bad),
            ("proxy.request", Some("aborted"), Tone::Warn),
            ("proxy.request", None, Tone::Plain),
            ("proxy_deny", Some("policy"), Tone::Bad),
            ("proxy_no_credentials", Some("forwarded"), Tone::Warn),
            ("run.finished", Some("0"), Tone::Good),
            ("run.finished", Some("1"), Tone::Bad),
            ("run.finished", Some("200"), Tone::Bad),
            ("run.started", Some("success"), Tone::Good),
            ("provider.login", Some("success"), Tone::Good),
            ("provider.login_failed", Some("failure"), Tone::Bad),
            ("account.login_failed", None, Tone::Bad),
            ("identity.claimed", Some("claimed"), Tone::Plain),
        ] {
            assert_eq!(tone(event, status), expected, "{event} {status:?}");
        }
    }

    #[test]
    fn a_request_is_a_line_and_other_facts_have_their_names() {
        let request =
            r#","method":"GET","host":"api.acme.test","port":443,"path":"/v1/me","milliseconds":34,"bytes":9"#;
        assert_eq!(brief(&entry("proxy.request", "external", request)), "GET api.acme.test/v1/me, 34 ms");
        let refused = r#","method":"GET","host":"x.test","path":"/","reason":"no route"}"#.trim_end_matches('}');
        assert_eq!(brief(&entry("proxy_deny", "external", refused)), "GET x.test/, no route");
        let grants = r#","export":false,"handle":"calm-fox","run_id":"run_1","use":true,"none":null"#;
        assert_eq!(brief(&entry("x", "internal", grants)), "export: no, handle: calm-fox, use: yes");
        let long = format!(r#","path":"/{}","milliseconds":1"#, "é".repeat(2000));
        let long = brief(&entry("proxy.request", "external", &long));
        assert!(long.chars().count() < LONGEST + 20 && long.ends_with("…, 1 ms"), "{long}");
    }

    #[test]
    fn what_a_client_says_about_us_is_marked() {
        let marked = |event: &str, source: &str| {
            let mut html = Html::new();
            super::event(&mut html, &entry(event, source, ""));
            html.as_str().contains("reported by")
        };
        assert!(marked("provider.login", "external"));
        assert!(!marked("provider.login", "internal"));
        assert!(!marked("proxy.request", "external"), "only clients know");
        for lookalike in ["Signed in", "provider.login ", "Provider.login", "provider.updated", "backup.done"] {
            assert!(marked(lookalike, "external"), "{lookalike}");
        }
    }
}
