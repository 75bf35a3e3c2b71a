//! `/api/credentials`, `/api/run` and `/api/proxy/routes`: values for whoever may use them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::broker::{Demand, ExportFormat, RunRequest, Scope};
use crate::daemon::{Context, Outcome, Refusal, Response};
use crate::model::Fingerprint;
use crate::secret::SecretBuffer;

#[derive(Deserialize)]
struct ResolveBody {
    provider: String,
    #[serde(default)]
    connection: Option<String>,
    #[serde(default)]
    v: u32,
    /// The upstream refused the value. A key has no successor; a token is refreshed once.
    #[serde(default)]
    rejected: bool,
    /// Which value that was, where the client can tell ([`Fingerprint`]).
    #[serde(default)]
    refused: Option<String>,
}

pub(in crate::daemon) fn resolve(context: &Context<'_>) -> Outcome {
    let body: ResolveBody = context.json()?;
    let demand = match body.refused.as_deref() {
        Some(text) => Fingerprint::parse(text).map(Demand::Refused).ok_or_else(|| {
            Refusal::field(&["body", "refused"], "Input should be 16 hexadecimal digits", "string_pattern_mismatch")
        })?,
        None if body.rejected => Demand::Rejected,
        None => Demand::Use,
    };
    let resolved = context.broker().resolve(&context.actor()?, &body.provider, body.connection.as_deref(), demand)?;
    Ok(Response::secret_json(resolved.to_sealable_json(body.v >= 2)))
}

#[derive(Deserialize)]
struct ExportBody {
    #[serde(default)]
    provider: Option<String>,
    #[serde(default = "default_connection")]
    connection: String,
    #[serde(default = "default_format")]
    format: String,
}

fn default_connection() -> String {
    "default".to_owned()
}

fn default_format() -> String {
    "env".to_owned()
}

pub(in crate::daemon) fn export(context: &Context<'_>) -> Outcome {
    let body: ExportBody = context.json()?;
    let format = ExportFormat::parse(&body.format)
        .ok_or_else(|| Refusal::field(&["body", "format"], "Input should be 'env', 'shell' or 'json'", "enum"))?;
    let values = context.broker().export(&context.actor()?, body.provider.as_deref(), &body.connection, format)?;
    let output = std::str::from_utf8(values.expose_bytes()).unwrap_or_default();
    let answer = SecretBuffer::from_json(&BTreeMap::from([("output", output)])).expect("a map with string keys");
    Ok(Response::secret_json(answer))
}

#[derive(Deserialize)]
struct RunBody {
    #[serde(default = "default_scope")]
    scope: String,
    #[serde(default)]
    providers: Option<Vec<String>>,
    #[serde(default)]
    connections: BTreeMap<String, String>,
}

fn default_scope() -> String {
    "connected".to_owned()
}

pub(in crate::daemon) fn run(context: &Context<'_>) -> Outcome {
    let body: RunBody = context.json()?;
    let scope = scope(&body.scope, "body")?;
    let request = RunRequest { scope, providers: body.providers, connections: body.connections };
    let plan = context.broker().run_plan(&context.actor()?, &request)?;
    Ok(Response::secret_json(plan.to_sealable_json()))
}

pub(in crate::daemon) fn routes(context: &Context<'_>) -> Outcome {
    let scope = scope(&context.query("scope").unwrap_or_else(default_scope), "query")?;
    let routes = context.broker().proxy_routes(&context.actor()?, scope)?;
    Ok(Response::json(&json!({"routes": routes})))
}

fn scope(name: &str, place: &'static str) -> Result<Scope, Refusal> {
    Scope::parse(name)
        .ok_or_else(|| Refusal::field(&[place, "scope"], "Input should be 'connected' or 'configured'", "enum"))
}
