//! `/providers`: what can be connected, one provider, and what administrators do with it.

pub(in crate::daemon) mod client;
pub(in crate::daemon) mod define;
mod draft;

use super::{done, overview, person, show, show_with};
use crate::broker::{Removal, redirect_uri};
use crate::daemon::pages::{
    self, AdminFacts, ClientForm, ConnectionRow, Note, ProviderFacts, ProviderKind, ProviderRow, ProvidersFacts,
    Section,
};
use crate::daemon::{Context, Outcome};
use crate::error::Result;
use crate::model::{ProviderDefinition, ProviderSource};
use crate::percent::encode;

/// `GET /providers?q=&kind=`
pub(in crate::daemon) fn list(context: &Context<'_>) -> Outcome {
    let (_, actor) = person(context)?;
    let query = context.query("q").unwrap_or_default();
    let kind = ProviderKind::of(&context.query("kind").unwrap_or_default());
    let own = context.broker().listing(&actor)?.providers;
    let count = |name: &str| own.iter().find(|of| of.provider == name).map_or(0, |of| of.records.len());
    let entries = context.broker().registry().list().into_iter();
    let mut rows: Vec<ProviderRow> = entries
        .map(|entry| ProviderRow { connections: count(&entry.definition.name), entry })
        .filter(|row| is_of(row, kind) && is_found(&row.entry.definition, &query))
        .collect();
    rows.sort_by_cached_key(|row| row.entry.definition.title().to_lowercase());
    let facts = ProvidersFacts { rows: &rows, query: &query, kind, is_admin: actor.is_admin() };
    show(context, Section::Providers, "Providers", &pages::providers(&facts))
}

fn is_of(row: &ProviderRow, kind: ProviderKind) -> bool {
    match kind {
        ProviderKind::All => true,
        ProviderKind::Takes(auth_type) => row.entry.definition.auth_type == auth_type,
        ProviderKind::Custom => row.entry.source == ProviderSource::Custom,
        ProviderKind::Connected => row.connections > 0,
    }
}

/// Whether every word of `query` is in one of the provider's names or hosts.
fn is_found(definition: &ProviderDefinition, query: &str) -> bool {
    let names = [definition.name.as_str(), definition.title()].into_iter();
    let places = names.chain(definition.api_url.as_slice().iter().map(String::as_str));
    let places: Vec<String> = places.map(str::to_lowercase).collect();
    let is_somewhere = |word: &str| places.iter().any(|place| place.contains(word));
    query.to_lowercase().split_whitespace().all(is_somewhere)
}

/// `GET /providers/{provider}`
pub(in crate::daemon) fn page(context: &Context<'_>) -> Outcome {
    page_of(context, None)
}

/// The page of the provider that the address names, with the form of the client as it was sent and refused.
fn page_of(context: &Context<'_>, refused: Option<ClientForm<'_>>) -> Outcome {
    let (_, actor) = person(context)?;
    let broker = context.broker();
    let entry = broker.entry(context.param("provider"))?;
    let definition = &entry.definition;
    let (own, shared) = overview::rows(context, &actor, broker.listing(&actor)?);
    let of_this = |rows: Vec<ConnectionRow>| -> Vec<ConnectionRow> {
        rows.into_iter().filter(|row| row.provider == definition.name).collect()
    };
    let is_refused = refused.is_some();
    let usage = if actor.is_admin() { usage(context, &definition.name)? } else { Vec::new() };
    let admin = if actor.is_admin() {
        Some(AdminFacts { client: client::form(broker, definition, refused)?, usage: &usage })
    } else {
        None
    };
    let facts = ProviderFacts {
        entry: &entry,
        own: of_this(own),
        shared: of_this(shared),
        callback_url: redirect_uri(context.base_url(), definition.oauth.as_ref()),
        waits_for_client: broker.waits_for_client(&actor, definition)?,
        admin,
    };
    let (title, body) = (definition.title(), pages::provider(&facts));
    if is_refused {
        let note = Note::Bad("The client is not stored: see below.");
        return show_with(context, Section::Providers, title, Some(note), 422, &body);
    }
    show(context, Section::Providers, title, &body)
}

/// Who has connections of `provider`, by email.
fn usage(context: &Context<'_>, provider: &str) -> Result<Vec<(String, u64)>> {
    let named = context.broker().usage(provider)?.into_iter().map(|(principal_id, count)| {
        let email = context.principal(&principal_id)?.map_or(principal_id, |principal| principal.email);
        Ok((email, u64::try_from(count).unwrap_or(u64::MAX)))
    });
    named.collect()
}

fn place(context: &Context<'_>) -> String {
    format!("/providers/{}", encode(context.param("provider")))
}

/// `POST /providers/{provider}/revoke`
pub(in crate::daemon) fn revoke(context: &Context<'_>) -> Outcome {
    let (_, actor) = person(context)?;
    context.broker().revoke(&actor, context.param("provider"))?;
    Ok(done(&place(context), "revoked"))
}

/// `POST /providers/{provider}/delete`
pub(in crate::daemon) fn delete(context: &Context<'_>) -> Outcome {
    let (_, actor) = person(context)?;
    Ok(match context.broker().remove_provider(&actor, context.param("provider"))? {
        Removal::Removed => done("/providers", "deleted"),
        Removal::RevokedOnly => done(&place(context), "revoked"),
    })
}
