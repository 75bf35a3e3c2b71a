//! `GET /`: what is connected, what needs care, what ran lately.

use std::collections::BTreeSet;

use super::connections::row;
use super::{person, show};
use crate::broker::{Actor, AuditQuery, Listing, MAX_PAGE};
use crate::daemon::api::shapes;
use crate::daemon::pages::{self, ConnectionRow, Lately, OverviewFacts, ProviderCount, Section};
use crate::daemon::{Context, Outcome};
use crate::error::Result;
use crate::model::{AuditEntry, AuditSource};

/// Audit entries that are looked through for one page: a busy day. Each takes some microseconds to open.
const LOOKED_AT: usize = 2 * MAX_PAGE;
/// Of these, so many are shown.
const SHOWN: usize = 8;
const DAY_SECONDS: i64 = 24 * 3600;

/// `GET /`
pub(in crate::daemon) fn page(context: &Context<'_>) -> Outcome {
    let (principal, actor) = person(context)?;
    let listing = context.broker().listing(&actor)?;
    let everywhere = if actor.is_admin() { everywhere(context, &listing)? } else { Vec::new() };
    let (own, shared) = rows(context, &actor, listing);
    let facts = OverviewFacts {
        own,
        shared,
        agents: context.people().identities_of(&principal.principal_id)?.len(),
        lately: lately(context, &actor)?,
        everywhere,
        now: context.state.clock.now(),
    };
    show(context, Section::Overview, "Overview", &pages::overview(&facts))
}

/// The connections of `actor`, and the global ones of others.
pub(super) fn rows(context: &Context<'_>, actor: &Actor, listing: Listing) -> (Vec<ConnectionRow>, Vec<ConnectionRow>) {
    let is_own = |vault_id: &str| vault_id == actor.vault_id;
    let (own_globals, foreign): (Vec<_>, Vec<_>) =
        listing.globals.into_iter().partition(|global| is_own(&global.record.vault_id));
    let is_global = |provider: &str, name: &str| {
        own_globals.iter().any(|global| global.record.provider == provider && global.record.connection_name == name)
    };
    let mut own = Vec::new();
    for of in listing.providers {
        let has_siblings = of.records.len() > 1;
        own.extend(of.records.iter().map(|record| ConnectionRow {
            is_default: of.default_connection.as_deref() == Some(&record.connection_name),
            has_siblings,
            is_global: is_global(&record.provider, &record.connection_name),
            ..row(context, record)
        }));
    }
    let mut shared: Vec<ConnectionRow> = foreign
        .iter()
        .map(|global| ConnectionRow {
            // Only an administrator may look at it.
            owner: actor.is_admin().then(|| global.record.principal_id.clone()),
            ..row(context, &global.record)
        })
        .collect();
    for list in [&mut own, &mut shared] {
        list.sort_by_key(|row| (row.title.to_lowercase(), !row.is_default, row.name.clone()));
    }
    (own, shared)
}

/// What happened to the things of `actor`, as far back as is looked.
fn lately(context: &Context<'_>, actor: &Actor) -> Result<Lately> {
    let since = context.state.clock.now().plus_seconds(-DAY_SECONDS);
    let mut found = Lately { has_more: true, ..Lately::default() };
    let mut over = BTreeSet::new();
    for entry in recent(context, &actor.principal_id, &mut found.has_more)? {
        let is_recent = entry.timestamp >= since;
        match entry.event.as_str() {
            "proxy.request" => found.requests += u64::from(is_recent),
            "proxy_deny" | "proxy_no_credentials" => found.refused += u64::from(is_recent),
            _ if found.entries.len() < SHOWN && is_worth_showing(&entry, &mut over) => {
                let title = entry.provider.as_deref().map(|provider| shapes::display_name(context.broker(), provider));
                found.entries.push(AuditEntry { provider: title, ..entry });
            }
            _ => {}
        }
        found.has_more &= is_recent;
    }
    found.requests += found.refused;
    Ok(found)
}

/// The newest entries of `principal_id`, at most [`LOOKED_AT`]. `has_more`: whether there may be older ones.
pub(super) fn recent(context: &Context<'_>, principal_id: &str, has_more: &mut bool) -> Result<Vec<AuditEntry>> {
    let mut entries = Vec::new();
    let mut cursor = None;
    loop {
        let principal_id = Some(principal_id.to_owned());
        let query = AuditQuery { limit: MAX_PAGE, cursor, principal_id, ..AuditQuery::default() };
        let (page, next) = context.broker().audit().page(&query)?;
        entries.extend(page);
        *has_more = next.is_some();
        cursor = next;
        if cursor.is_none() || entries.len() >= LOOKED_AT {
            return Ok(entries);
        }
    }
}

/// Runs, logins and exports are; a run that has finished is shown once. `over`: runs that have. What a client says of
/// anything but its runs is its word only, and stands in the log.
fn is_worth_showing(entry: &AuditEntry, over: &mut BTreeSet<String>) -> bool {
    let run = || entry.metadata.get("run_id").and_then(|id| id.as_str()).unwrap_or_default().to_owned();
    match entry.event.as_str() {
        "run.finished" => over.insert(run()),
        "run.started" => !over.contains(&run()),
        // The tokens of runs, and the browser that shows this.
        "provider.refreshed" | "account.login" => false,
        _ => entry.source == AuditSource::Internal,
    }
}

/// The providers with the most connections over all vaults; nothing when there are none but the administrator's own.
fn everywhere(context: &Context<'_>, own: &Listing) -> Result<Vec<ProviderCount>> {
    let counts = context.broker().connection_counts()?;
    let total: usize = counts.values().sum();
    let mine: usize = own.providers.iter().map(|of| of.records.len()).sum();
    if total == mine {
        return Ok(Vec::new());
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, connections)| std::cmp::Reverse(*connections));
    let named = counts.into_iter().take(SHOWN).map(|(provider, connections)| ProviderCount {
        title: shapes::display_name(context.broker(), &provider),
        provider,
        connections,
    });
    Ok(named.collect())
}
