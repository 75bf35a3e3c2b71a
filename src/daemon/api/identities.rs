//! `/api/identities` and `/api/principals`.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::signin::here;
use crate::broker::Actor;
use crate::daemon::auth::prove;
use crate::daemon::people::{Known, claim_url};
use crate::daemon::{Context, Failure, Outcome, Refusal, Response};
use crate::error::AuthsomeError;
use crate::identity::{is_valid_did, is_valid_handle};
use crate::limits::SMALL_FILE_BYTES;
use crate::model::{ClaimStatus, Grants};
use crate::paths::read_limited;
use crate::secret::Secret;

#[derive(Deserialize)]
struct RegisterBody {
    handle: String,
    did: String,
}

pub(in crate::daemon) fn register(context: &Context<'_>) -> Outcome {
    let body: RegisterBody = context.json()?;
    if !is_valid_handle(&body.handle) || body.handle.len() > crate::limits::NAME_BYTES {
        return Err(Refusal::new(400, "Invalid identity handle").into());
    }
    if !is_valid_did(&body.did) {
        return Err(Refusal::new(400, "Invalid DID: expected did:key with an Ed25519 key").into());
    }
    let known = context.people().register(&body.handle, &body.did, super::accounts::peer(context).as_deref())?;
    // A DID is public: only its key shows who may have it claimed.
    let is_holder = signed_by(context, &known);
    let mut answer = status(context, &known, is_holder)?;
    answer.insert("status".to_owned(), "registered".into());
    Ok(Response::json(&answer))
}

/// Whether this request carries a proof of `known` itself.
fn signed_by(context: &Context<'_>, known: &Known) -> bool {
    context.request.fields.contains("authorization")
        && prove(context.state, context.request, false).is_ok_and(|signer| signer.record.did == known.record.did)
}

/// The registration as everybody may see it, with a claim link for its holder.
fn status(context: &Context<'_>, known: &Known, is_holder: bool) -> Result<Map<String, Value>, Failure> {
    let mut answer = Map::new();
    answer.insert("identity".to_owned(), known.record.handle.clone().into());
    answer.insert("did".to_owned(), known.record.did.clone().into());
    answer.insert("registration_status".to_owned(), known.status().as_str().into());
    match (known.status(), &known.principal) {
        (ClaimStatus::Claimed | ClaimStatus::Rejected, Some(principal)) => {
            answer.insert("principal_id".to_owned(), principal.principal_id.clone().into());
        }
        (ClaimStatus::ClaimRequired, _) if is_holder || context.state.settings.compat => {
            let token = context.people().new_claim_token(&known.record.did)?;
            answer.insert("claim_url".to_owned(), claim_url(context.base_url(), &token).into());
        }
        _ => {}
    }
    Ok(answer)
}

pub(in crate::daemon) fn get(context: &Context<'_>) -> Outcome {
    let known = find(context)?;
    let is_holder = signed_by(context, &known);
    Ok(Response::json(&status(context, &known, is_holder)?))
}

fn find(context: &Context<'_>) -> Result<Arc<Known>, Failure> {
    context.people().known(context.param("handle"))?.ok_or_else(|| Refusal::new(404, "Identity not found").into())
}

pub(in crate::daemon) fn by_did(context: &Context<'_>) -> Outcome {
    let did = context.param("did");
    match context.people().handle_of(did)? {
        Some(handle) => Ok(Response::json(&json!({"identity": handle, "did": did}))),
        None => Err(Refusal::new(404, "Identity not found").into()),
    }
}

pub(in crate::daemon) fn list(context: &Context<'_>) -> Outcome {
    let identities = context.people().identities_of(&context.actor()?.principal_id)?;
    let row = |known: &Arc<Known>| {
        let row = json!({"handle": known.record.handle, "status": known.status()});
        with_grants(context, row, known)
    };
    Ok(Response::json(&json!({"identities": identities.iter().map(row).collect::<Vec<_>>()})))
}

/// `answer` with what `known` may do, for who asks so (`?grants=1`); null while it is nobody's.
fn with_grants(context: &Context<'_>, mut answer: Value, known: &Known) -> Value {
    if context.query("grants").is_some_and(|value| value == "1") {
        answer["grants"] = json!(known.claim.as_ref().map(|claim| claim.grants));
    }
    answer
}

/// The identity in the path, of the caller's own principal; administrators see all.
pub(in crate::daemon) fn find_own(context: &Context<'_>, actor: &Actor) -> Result<Arc<Known>, Failure> {
    let known = find(context)?;
    let is_own = known.principal.as_ref().is_some_and(|owner| owner.principal_id == actor.principal_id);
    if is_own || actor.is_admin() {
        return Ok(known);
    }
    Err(Refusal::new(404, "Identity not found").into())
}

pub(in crate::daemon) fn detail(context: &Context<'_>) -> Outcome {
    let actor = context.actor()?;
    let known = find_own(context, &actor)?;
    let claim = known.claim.as_ref();
    let answer = json!({
        "handle": known.record.handle,
        "did": known.record.did,
        "registration_status": known.status(),
        "claim_status": claim.map(|claim| claim.status),
        "principal_id": known.principal.as_ref().map(|principal| &principal.principal_id),
        "principal_email": known.principal.as_ref().map(|principal| &principal.email),
        "is_active": actor.identity.as_ref() == Some(&known.record.handle),
        "created_at": known.record.created_at,
        "updated_at": known.record.updated_at,
        "claimed_at": claim.map(|claim| claim.claimed_at),
    });
    Ok(Response::json(&with_grants(context, answer, &known)))
}

#[derive(Deserialize)]
struct ClaimBody {
    bootstrap_token: Secret,
}

/// The holder of a key and of the bootstrap token makes the one the other's.
pub(in crate::daemon) fn claim(context: &Context<'_>) -> Outcome {
    let body: ClaimBody = context.json()?;
    let Some(known) = context.caller.identity().filter(|known| known.record.handle == context.param("handle")) else {
        return Err(Refusal::new(403, "An identity can only be claimed with its own key").into());
    };
    if !context.state.settings.is_local {
        return Err(Refusal::new(403, "This daemon is not local; claim the identity in a browser").into());
    }
    let path = context.state.home.bootstrap_token();
    let stored = read_limited(&path, SMALL_FILE_BYTES).map_err(AuthsomeError::Io)?;
    // An empty file is no token that an empty text could match.
    let is_right = !stored.trim_ascii().is_empty() && body.bootstrap_token.constant_time_eq(stored.trim_ascii());
    if !is_right {
        return Err(Refusal::new(403, "Wrong bootstrap token").into());
    }
    let owner = context.people().local_owner()?;
    let grants = Grants { export: context.state.settings.export_by_default, ..Grants::default() };
    let claimed = context.people().claim(known, &owner, grants)?;
    Ok(Response::json(&status(context, &claimed, false)?))
}

pub(in crate::daemon) fn forget(context: &Context<'_>) -> Outcome {
    let known = forget_own(context, &context.actor()?)?;
    Ok(Response::json(&json!({"status": "ok", "identity": known.record.handle})))
}

/// Unclaims and forgets the identity in the path.
pub(in crate::daemon) fn forget_own(context: &Context<'_>, actor: &Actor) -> Result<Arc<Known>, Failure> {
    let known = find_own(context, actor)?;
    if let Some(claim) = &known.claim {
        check_rank(actor, claim.grants)?;
    }
    context.people().forget(&known, actor)?;
    context.people().close_sessions_by(&known.record.did, here(context))?;
    Ok(known)
}

#[derive(Deserialize)]
struct GrantsBody {
    #[serde(default)]
    r#use: Option<bool>,
    #[serde(default)]
    export: Option<bool>,
}

fn exceeds(one: Grants, other: Grants) -> bool {
    (one.r#use && !other.r#use) || (one.export && !other.export)
}

/// An agent that was given less shall not be able to disarm its owner's own tools, nor to give itself more.
fn check_rank(actor: &Actor, grants: Grants) -> Result<(), Refusal> {
    if exceeds(grants, actor.grants) {
        Err(Refusal::new(
            403,
            "An identity cannot grant or take what it does not hold; its owner can, in the dashboard",
        ))
    } else {
        Ok(())
    }
}

pub(in crate::daemon) fn grants(context: &Context<'_>) -> Outcome {
    let body: GrantsBody = context.json()?;
    let (known, given) = change_own_grants(context, &context.actor()?, |current| Grants {
        r#use: body.r#use.unwrap_or(current.r#use),
        export: body.export.unwrap_or(current.export),
    })?;
    Ok(Response::json(&json!({"identity": known.record.handle, "use": given.r#use, "export": given.export})))
}

/// The owner changes what the identity in the path may do, from what it may do now to what `wanted` says. An administrator
/// can take from the identities of others, but not give them what is not theirs.
pub(in crate::daemon) fn change_own_grants(
    context: &Context<'_>,
    actor: &Actor,
    wanted: impl FnOnce(Grants) -> Grants,
) -> Result<(Arc<Known>, Grants), Failure> {
    let known = find_own(context, actor)?;
    let given = context.people().change_grants(&known, actor, |current| {
        let wanted = wanted(current);
        check_rank(actor, current)?;
        check_rank(actor, wanted)?;
        if exceeds(wanted, current) && !known.is_of(&actor.principal_id) {
            return Err(Refusal::new(403, "Only the owner of an identity can let it do more").into());
        }
        Ok::<_, Failure>(wanted)
    })?;
    if given != Grants::default() {
        context.people().close_sessions_by(&known.record.did, here(context))?;
    }
    Ok((known, given))
}

pub(in crate::daemon) fn principals(context: &Context<'_>) -> Outcome {
    let rows: Vec<Value> = context
        .people()
        .principals()?
        .iter()
        .map(|principal| {
            json!({
                "principal_id": principal.principal_id,
                "email": principal.email,
                "role": principal.role,
                "created_at": principal.created_at,
            })
        })
        .collect();
    Ok(Response::json(&json!({"principals": rows})))
}
