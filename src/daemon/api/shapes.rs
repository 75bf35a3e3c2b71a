//! JSON shapes of connections and providers (`contract/http.md` section 3). Masked unless a function says otherwise.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::broker::{Actor, Broker, GlobalConnection, ProviderConnections};
use crate::error::Result;
use crate::model::{ConnectionRecord, ProviderDefinition, ProviderSource};

/// `GET /api/connections`.
pub(in crate::daemon) fn listing(broker: &Broker, actor: &Actor) -> Result<Value> {
    let listing = broker.listing(actor)?;
    let globals: Vec<Value> = listing.globals.iter().map(|global| global_row(broker, global)).collect();
    let counts = if actor.is_admin() { broker.connection_counts()? } else { BTreeMap::new() };
    Ok(json!({
        "connections": listing.providers.iter().map(provider_row).collect::<Vec<_>>(),
        "global_connections": globals,
        "provider_connection_counts": counts,
        "by_source": definitions(broker),
    }))
}

fn provider_row(of: &ProviderConnections) -> Value {
    let is_default = |record: &ConnectionRecord| of.default_connection.as_deref() == Some(&record.connection_name);
    let rows: Vec<Value> = of
        .records
        .iter()
        .map(|record| {
            json!({
                "connection_name": record.connection_name,
                "is_default": is_default(record),
                "auth_type": record.auth_type,
                "status": record.status,
                "scopes": record.scopes,
                "base_url": record.base_url,
                "api_url": record.api_url,
                "expires_at": record.expires_at,
            })
        })
        .collect();
    json!({"name": of.provider, "default_connection": of.default_connection, "connections": rows})
}

fn global_row(broker: &Broker, global: &GlobalConnection) -> Value {
    let record = &global.record;
    json!({
        "provider": record.provider,
        "provider_display_name": display_name(broker, &record.provider),
        "connection_name": record.connection_name,
        "status": record.status,
        "auth_type": record.auth_type,
        "account_label": record.account.label,
        "api_url": record.api_url,
        "source": "global",
    })
}

/// `{bundled: [..], custom: [..]}`, each sorted by name.
pub(in crate::daemon) fn definitions(broker: &Broker) -> Value {
    let entries = broker.registry().list();
    let of = |source: ProviderSource| -> Vec<&ProviderDefinition> {
        entries.iter().filter(|entry| entry.source == source).map(|entry| &*entry.definition).collect()
    };
    json!({"bundled": of(ProviderSource::Bundled), "custom": of(ProviderSource::Custom)})
}

/// `GET /api/connections/{p}/{c}/detail`: everything about one connection, its secrets masked.
pub(in crate::daemon) fn connection_detail(broker: &Broker, actor: &Actor, record: &ConnectionRecord) -> Result<Value> {
    let masked = record.to_json();
    let is_own = record.principal_id == actor.principal_id;
    let secrets: Map<String, Value> = ["access_token", "refresh_token", "api_key", "credentials"]
        .into_iter()
        .map(|name| (name.to_owned(), masked[name].clone()))
        .collect();
    Ok(json!({
        "provider": record.provider,
        "provider_display_name": display_name(broker, &record.provider),
        "connection_name": record.connection_name,
        "principal_id": record.principal_id,
        "identity": record.identity,
        "vault_id": record.vault_id,
        "status": record.status,
        "auth_type": record.auth_type,
        "base_url": record.base_url,
        "api_url": record.api_url,
        "scopes": record.scopes,
        "token_type": record.token_type,
        "obtained_at": record.obtained_at,
        "expires_at": record.expires_at,
        "account": record.account,
        "secrets": secrets,
        "can_set_default": is_own,
        "can_set_global": is_own && actor.is_admin(),
        "is_global": broker.is_global(record)?,
    }))
}

/// The provider's name for people; its plain name where the definition is gone.
pub(in crate::daemon) fn display_name(broker: &Broker, provider: &str) -> String {
    let entry = broker.registry().find(provider);
    entry.map_or_else(|| provider.to_owned(), |entry| entry.definition.title().to_owned())
}
