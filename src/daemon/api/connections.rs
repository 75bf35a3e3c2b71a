//! `/api/connections`: list, read, default, global, logout, rebind.

use serde_json::json;

use super::shapes;
use crate::broker::Actor;
use crate::daemon::{Context, Outcome, Refusal, Response};
use crate::model::MASK;
use crate::secret::Secret;

pub(in crate::daemon) fn list(context: &Context<'_>) -> Outcome {
    Ok(Response::json(&shapes::listing(context.broker(), &context.actor()?)?))
}

/// The full record, secrets included, for the 0.7.2 client; masked for whoever may not read secrets, or asks so.
pub(in crate::daemon) fn record(context: &Context<'_>) -> Outcome {
    let actor = context.actor()?;
    let (provider, connection) = (context.param("provider"), context.param("connection"));
    let wants_mask = context.query("redact").is_some_and(|value| !matches!(value.as_str(), "0" | "false"));
    if wants_mask || !actor.grants.export {
        return Ok(Response::json(&context.broker().connection(&actor, provider, connection)?.to_json()));
    }
    Ok(Response::secret_json(context.broker().reveal(&actor, provider, connection)?.to_sealable_json()))
}

/// Its secrets are for an identity that may read those of its own vault. A browser shows them elsewhere, after it has
/// asked for the password; nobody sees those of another vault.
pub(in crate::daemon) fn detail(context: &Context<'_>) -> Outcome {
    let (broker, actor) = (context.broker(), context.actor()?);
    let (provider, connection) = (context.param("provider"), context.param("connection"));
    let owner = owner(context, &actor)?;
    let is_own = owner.vault_id == actor.vault_id;
    let answer = if is_own && actor.grants.export && context.caller.identity().is_some() {
        shapes::connection_detail(broker, &actor, &broker.reveal(&actor, provider, connection)?, Secret::expose)
    } else {
        shapes::connection_detail(broker, &actor, &broker.connection(&owner, provider, connection)?, |_| MASK)
    };
    Ok(Response::secret_json(answer?))
}

/// Whose vault a request is about.
pub(in crate::daemon) fn owner(context: &Context<'_>, actor: &Actor) -> Result<Actor, crate::daemon::Failure> {
    match context.query("principal") {
        Some(principal_id) if principal_id != actor.principal_id => {
            if !actor.is_admin() {
                return Err(Refusal::new(403, "Admin role required").into());
            }
            let found = context.principal(&principal_id)?;
            let principal = found.ok_or(Refusal::new(404, "Principal not found"))?;
            Ok(Actor {
                identity: actor.identity.clone(),
                principal_id: principal.principal_id,
                vault_id: principal.vault_id,
                role: actor.role,
                grants: actor.grants,
            })
        }
        _ => Ok(actor.clone()),
    }
}

pub(in crate::daemon) fn logout(context: &Context<'_>) -> Outcome {
    let actor = context.actor()?;
    let owner = owner(context, &actor)?;
    context.broker().logout(&actor, &owner.vault_id, context.param("provider"), context.param("connection"))?;
    Ok(Response::json(&json!({"status": "ok"})))
}

pub(in crate::daemon) fn set_default(context: &Context<'_>) -> Outcome {
    let (provider, connection) = (context.param("provider"), context.param("connection"));
    context.broker().set_default(&context.actor()?, provider, connection)?;
    Ok(Response::json(&json!({"status": "ok", "provider": provider, "default_connection": connection})))
}

pub(in crate::daemon) fn set_global(context: &Context<'_>) -> Outcome {
    let (provider, connection) = (context.param("provider"), context.param("connection"));
    context.broker().set_global(&context.actor()?, provider, connection)?;
    Ok(Response::json(&json!({"status": "ok", "provider": provider, "connection_name": connection})))
}

pub(in crate::daemon) fn unset_global(context: &Context<'_>) -> Outcome {
    let provider = context.param("provider");
    let deleted = context.broker().unset_global(&context.actor()?, provider)?;
    Ok(Response::json(&json!({"status": "ok", "provider": provider, "deleted": deleted})))
}

pub(in crate::daemon) fn rebind(context: &Context<'_>) -> Outcome {
    let (provider, connection) = (context.param("provider"), context.param("connection"));
    let record = context.broker().rebind(&context.actor()?, provider, connection)?;
    Ok(Response::json(&json!({
        "status": "ok", "provider": provider, "connection_name": connection, "connection_status": record.status,
    })))
}

pub(in crate::daemon) fn revoke(context: &Context<'_>) -> Outcome {
    context.broker().revoke(&context.actor()?, context.param("provider"))?;
    Ok(Response::json(&json!({"status": "ok"})))
}
