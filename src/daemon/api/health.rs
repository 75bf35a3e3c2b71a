//! `/health`, `/api/ready`, `/api/whoami`.

use serde_json::{Map, Value, json};

use crate::daemon::{Context, Outcome, Response};
use crate::error::Result;
use crate::model::ClaimStatus;
use crate::paths::hex;
use crate::secret::random_bytes;

/// Our only way to seal.
pub(in crate::daemon) const ENCRYPTION_MODE: &str = "xchacha20-poly1305";

pub(in crate::daemon) fn health(context: &Context<'_>) -> Outcome {
    let mut answer = encryption(context);
    answer.insert("status".to_owned(), "ok".into());
    answer.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
    answer.insert("store_backend".to_owned(), context.state.vault.store().describe().into());
    Ok(Response::json(&answer))
}

fn encryption(context: &Context<'_>) -> Map<String, Value> {
    let fields = json!({
        "configured_encryption_mode": ENCRYPTION_MODE,
        "effective_encryption_source": context.state.encryption.source,
        "encryption_backend": context.state.encryption.backend,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

pub(in crate::daemon) fn ready(context: &Context<'_>) -> Outcome {
    let actor = context.actor()?;
    let vault = check_vault(context);
    let listing = context.broker().listing(&actor);
    let problems = context.broker().registry().problems();
    let word = |good: bool| if good { "ok" } else { "failed" };
    let mut issues = Vec::new();
    issues.extend(vault.as_ref().err().map(|error| format!("vault: {error}")));
    issues.extend(listing.as_ref().err().map(|error| format!("connections: {error}")));
    let mut warnings: Vec<String> =
        problems.iter().map(|problem| format!("{}: {}", problem.path.display(), problem.reason)).collect();
    warnings.extend_from_slice(context.broker().problems());
    if listing.as_ref().is_ok_and(|listing| listing.providers.is_empty() && listing.globals.is_empty()) {
        warnings.push("no active provider connections found".to_owned());
    }
    let mut answer = encryption(context);
    answer.insert("status".to_owned(), if issues.is_empty() { "ready" } else { "not_ready" }.into());
    answer.insert(
        "checks".to_owned(),
        json!({
            "spec_version": "ok",
            "store": word(vault.is_ok()),
            "identity": "ok",
            "providers": "ok",
            "connections": word(listing.is_ok()),
            "vault": word(vault.is_ok()),
            "integrity": word(vault.is_ok() && listing.is_ok()),
        }),
    );
    answer.insert("issues".to_owned(), json!(issues));
    answer.insert("warnings".to_owned(), json!(warnings));
    Ok(Response::json(&answer))
}

/// A real put, get and delete.
fn check_vault(context: &Context<'_>) -> Result<()> {
    let key = format!("check:{}", hex(&random_bytes::<8>()));
    let vault = &context.state.vault;
    vault.put(&key, b"ready?")?;
    let read = vault.get(&key);
    vault.delete(&key)?;
    if read?.is_some_and(|value| value.as_slice() == b"ready?") {
        return Ok(());
    }
    Err(crate::error::AuthsomeError::StoreUnavailable { reason: "a value did not come back as it was put".to_owned() })
}

pub(in crate::daemon) fn whoami(context: &Context<'_>) -> Outcome {
    let actor = context.actor()?;
    let email = context.principal(&actor.principal_id)?.map(|principal| principal.email).unwrap_or_default();
    let identity = actor.identity.clone().unwrap_or_default();
    let did = context.caller.identity().map(|known| known.record.did.clone()).unwrap_or_default();
    let mut answer = encryption(context);
    let fields = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("home", context.state.home.dir().display().to_string()),
        ("identity", identity.clone()),
        ("active_identity", identity),
        ("principal_id", actor.principal_id.clone()),
        ("vault_id", actor.vault_id.clone()),
        ("principal_role", actor.role.as_str().to_owned()),
        ("account_email", email),
        ("did", did),
        ("registration_status", ClaimStatus::Claimed.as_str().to_owned()),
        ("daemon_url", context.base_url().to_owned()),
    ];
    answer.extend(fields.map(|(name, value)| (name.to_owned(), Value::String(value))));
    Ok(Response::json(&answer))
}
