//! JSON shapes of connections and providers (`contract/http.md` section 3). Masked unless a function says otherwise.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::broker::{Actor, Broker, GlobalConnection, ProviderConnections};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::model::{Account, AuthType, ConnectionRecord, ConnectionStatus, ProviderDefinition, ProviderSource};
use crate::secret::{Secret, SecretBuffer};

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

/// `GET /api/connections/{p}/{c}/detail`: everything about one connection, its secrets as `show` says.
pub(in crate::daemon) fn connection_detail<'a>(
    broker: &Broker,
    actor: &Actor,
    record: &'a ConnectionRecord,
    show: impl Fn(&'a Secret) -> &'a str,
) -> Result<SecretBuffer> {
    let is_own = record.principal_id == actor.principal_id;
    let credentials = record.credentials.iter().map(|(name, value)| (name.as_str(), show(value))).collect();
    let detail = Detail {
        provider: &record.provider,
        provider_display_name: display_name(broker, &record.provider),
        connection_name: &record.connection_name,
        principal_id: &record.principal_id,
        identity: &record.identity,
        vault_id: &record.vault_id,
        status: record.status,
        auth_type: record.auth_type,
        base_url: record.base_url.as_deref(),
        api_url: record.api_url.as_deref(),
        scopes: record.scopes.as_deref(),
        token_type: record.token_type.as_deref(),
        obtained_at: record.obtained_at,
        expires_at: record.expires_at,
        account: &record.account,
        secrets: Secrets {
            access_token: record.access_token.as_ref().map(&show),
            refresh_token: record.refresh_token.as_ref().map(&show),
            api_key: record.api_key.as_ref().map(&show),
            credentials: Some(credentials).filter(|credentials: &BTreeMap<_, _>| !credentials.is_empty()),
        },
        can_set_default: is_own,
        can_set_global: is_own && actor.is_admin(),
        is_global: broker.is_global(record)?,
    };
    Ok(SecretBuffer::from_json(&detail).expect("a map with string keys"))
}

#[derive(Serialize)]
struct Detail<'a> {
    provider: &'a str,
    provider_display_name: String,
    connection_name: &'a str,
    principal_id: &'a str,
    identity: &'a str,
    vault_id: &'a str,
    status: ConnectionStatus,
    auth_type: AuthType,
    base_url: Option<&'a str>,
    api_url: Option<&'a str>,
    scopes: Option<&'a [String]>,
    token_type: Option<&'a str>,
    obtained_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    account: &'a Account,
    secrets: Secrets<'a>,
    can_set_default: bool,
    can_set_global: bool,
    is_global: bool,
}

#[derive(Serialize)]
struct Secrets<'a> {
    access_token: Option<&'a str>,
    refresh_token: Option<&'a str>,
    api_key: Option<&'a str>,
    credentials: Option<BTreeMap<&'a str, &'a str>>,
}

/// The provider's name for people; its plain name where the definition is gone.
pub(in crate::daemon) fn display_name(broker: &Broker, provider: &str) -> String {
    let entry = broker.registry().find(provider);
    entry.map_or_else(|| provider.to_owned(), |entry| entry.definition.title().to_owned())
}
