//! `/api/providers`: definitions and their settings.

use serde::Deserialize;
use serde_json::{Value, json};

use super::shapes;
use crate::broker::{Actor, ClientSettings, redirect_uri};
use crate::daemon::{Context, Outcome, Response};
use crate::error::Result;
use crate::model::{AuthType, ConnectionRecord, ProviderDefinition};
use crate::provider::{ValidateOptions, parse_definition};
use crate::secret::Secret;

pub(in crate::daemon) fn list(context: &Context<'_>) -> Outcome {
    Ok(Response::json(&shapes::definitions(context.broker())))
}

pub(in crate::daemon) fn definition(context: &Context<'_>) -> Outcome {
    Ok(Response::json(&*context.broker().entry(context.param("provider"))?.definition))
}

pub(in crate::daemon) fn detail(context: &Context<'_>) -> Outcome {
    let (broker, actor, name) = (context.broker(), context.actor()?, context.param("provider"));
    let definition = broker.entry(name)?.definition;
    let listing = broker.listing(&actor)?;
    let own = listing.providers.into_iter().filter(|of| of.provider == name).flat_map(|of| of.records);
    let connections: Vec<Value> = own.map(|record| connection_row(definition.title(), &record)).collect();
    let is_oauth = definition.auth_type == AuthType::Oauth2;
    Ok(Response::json(&json!({
        "provider": &*definition,
        "account": {"principal_id": actor.principal_id, "role": actor.role, "is_admin": actor.is_admin()},
        "client": if actor.is_admin() { client(context, name)? } else { Value::Null },
        "configuration_fields": configuration_fields(&definition),
        "configuration_warning": if connections.is_empty() { Value::Null } else {
            json!("A change ends the connections of this provider.")
        },
        "show_callback_helper": is_oauth,
        "callback_url": redirect_uri(context.base_url(), definition.oauth.as_ref()),
        "connections": connections,
        "principal_usage": if actor.is_admin() { usage(context, name)? } else { json!([]) },
    })))
}

fn connection_row(title: &str, record: &ConnectionRecord) -> Value {
    json!({
        "provider": record.provider,
        "provider_display_name": title,
        "connection_name": record.connection_name,
        "status": record.status,
        "auth_type": record.auth_type,
        "account_label": record.account.label,
        "principal_id": record.principal_id,
    })
}

/// The stored client for an administrator, its secret masked.
fn client(context: &Context<'_>, provider: &str) -> Result<Value> {
    let Some(client) = context.broker().client(provider)? else { return Ok(Value::Null) };
    Ok(json!({
        "client_id": client.client_id,
        "client_secret": client.client_secret.map(|_| crate::model::MASK),
        "base_url": client.base_url,
        "api_url": client.api_url,
        "scopes": client.scopes,
    }))
}

fn configuration_fields(definition: &ProviderDefinition) -> Vec<&'static str> {
    let mut fields = Vec::new();
    if definition.auth_type == AuthType::Oauth2 {
        fields.extend(["client_id", "client_secret", "scopes"]);
        if definition.oauth.as_ref().is_some_and(|oauth| oauth.base_url.is_some()) {
            fields.extend(["base_url", "api_url"]);
        }
    }
    fields
}

fn usage(context: &Context<'_>, provider: &str) -> Result<Value> {
    let mut rows = Vec::new();
    for (principal_id, connections) in context.broker().usage(provider)? {
        let email = context.principal(&principal_id)?.map(|principal| principal.email);
        rows.push(json!({"principal_id": principal_id, "email": email, "connections": connections}));
    }
    Ok(Value::Array(rows))
}

#[derive(Deserialize)]
struct RegisterBody {
    definition: Value,
    #[serde(default)]
    force: bool,
    /// Local addresses as destinations; the command line's `--allow-local`.
    #[serde(default)]
    allow_local: bool,
}

/// The definition goes through the same reader as a file, so that errors name the field.
fn read_definition(value: &Value) -> Result<ProviderDefinition> {
    parse_definition(value.to_string().as_bytes())
}

pub(in crate::daemon) fn register(context: &Context<'_>) -> Outcome {
    let body: RegisterBody = context.json()?;
    let definition = read_definition(&body.definition)?;
    let name = definition.name.clone();
    let options = ValidateOptions { allow_local: body.allow_local };
    context.broker().register(&context.actor()?, definition, body.force, options)?;
    Ok(Response::json(&json!({"status": "ok", "provider": name})))
}

pub(in crate::daemon) fn replace(context: &Context<'_>) -> Outcome {
    let body: Value = context.json()?;
    let (actor, name) = (context.actor()?, context.param("provider"));
    // Both the bare definition and `{"definition": ..}` are understood.
    let wrapped = body.get("definition").filter(|inner| inner.is_object());
    let definition = read_definition(wrapped.unwrap_or(&body))?;
    let allow_local = body.get("allow_local").and_then(Value::as_bool).unwrap_or(false);
    context.broker().replace_definition(&actor, name, definition, ValidateOptions { allow_local })?;
    Ok(Response::json(&json!({"status": "ok", "provider": name})))
}

#[derive(Deserialize)]
struct ConfigurationBody {
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    client_secret: Option<Secret>,
    #[serde(default)]
    base_url: Option<String>,
    #[serde(default)]
    api_url: Option<String>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
}

pub(in crate::daemon) fn configure(context: &Context<'_>) -> Outcome {
    let body: ConfigurationBody = context.json()?;
    let provider = context.param("provider");
    let settings = ClientSettings {
        client_id: body.client_id,
        client_secret: body.client_secret,
        base_url: body.base_url,
        api_url: body.api_url,
        scopes: body.scopes,
        ..ClientSettings::default()
    };
    let changed = context.broker().configure(&context.actor()?, provider, settings)?;
    Ok(Response::json(&json!({"status": "ok", "changed": changed, "provider": provider})))
}

pub(in crate::daemon) fn remove(context: &Context<'_>) -> Outcome {
    let (actor, provider): (Actor, &str) = (context.actor()?, context.param("provider"));
    context.broker().remove_provider(&actor, provider)?;
    Ok(Response::json(&json!({"status": "ok", "provider": provider})))
}
