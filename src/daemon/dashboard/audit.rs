//! `GET /audit`: what happened.

use std::collections::BTreeMap;

use super::{person, show};
use crate::broker::{AuditQuery, Cursor};
use crate::daemon::api::audit::{filter, given};
use crate::daemon::pages::{self, Activity, AuditFacts, Choices, Section, Span};
use crate::daemon::{Context, Failure, Outcome};
use crate::model::AuditEntry;

/// Entries on a page.
const PAGE: usize = 40;

/// `GET /audit?identity=&provider=&event=&span=&cursor=`. A cursor that is none leads to the newest entries.
pub(in crate::daemon) fn page(context: &Context<'_>) -> Outcome {
    let (_, actor) = person(context)?;
    let cursor = given(context, "cursor").and_then(|text| Cursor::parse(&text));
    let query = AuditQuery { limit: PAGE, cursor, ..filter(context, &actor) };
    let span = Span::parse(&given(context, "span").unwrap_or_default());
    let now = context.state.clock.now();
    let (mut activity, mut choices, mut oldest) = (Activity::new(span, now), Choices::default(), now);
    let log = context.broker().audit();
    let is_all = log.glance(query.principal_id.as_deref(), |glance| {
        choices.add(&glance);
        oldest = glance.timestamp;
        if query.fits(&glance) {
            activity.count(&glance);
        }
    })?;
    if !is_all {
        activity.counted_since(oldest);
    }
    let (entries, older) = log.page(&query)?;
    let people = if actor.is_admin() { others(context, &entries, &actor.principal_id)? } else { BTreeMap::new() };
    let older = older.map(|cursor| cursor.to_string());
    let facts = AuditFacts { entries, query, choices, older, activity, span, people, now };
    show(context, Section::Audit, "Audit", &pages::audit(&facts))
}

/// The emails of everybody in `entries` but `own`.
fn others(context: &Context<'_>, entries: &[AuditEntry], own: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut people = BTreeMap::new();
    for principal_id in entries.iter().filter_map(|entry| entry.principal_id.as_ref()) {
        if principal_id != own && !people.contains_key(principal_id) {
            let email = context.principal(principal_id)?.map(|principal| principal.email);
            people.insert(principal_id.clone(), email.unwrap_or_else(|| "somebody who is gone".to_owned()));
        }
    }
    Ok(people)
}
