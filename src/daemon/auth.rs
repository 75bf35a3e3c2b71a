//! Who calls: an identity with a proof of possession, or a person with a browser session.

use std::sync::Arc;

use super::api::accounts::in_query;
use super::context::State;
use super::message::{Failure, Refusal, Request};
use super::people::{Known, UI_COOKIE};
use crate::broker::Actor;
use crate::error::Result;
use crate::identity::{Proof, SignedRequest};
use crate::model::{ClaimStatus, Principal};

/// What a route demands of its caller (`contract/http.md` section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Anybody. A handler may look for a session or a proof itself.
    Open,
    /// A proof of a registered identity, claimed or not.
    Registered,
    /// A proof of a claimed identity. Cookies are ignored.
    Proof,
    /// A proof of a claimed identity, or a browser session.
    ProofOrBrowser,
    /// The same, of an administrator.
    Admin,
    /// A browser session; a browser without one is led to sign in. Proofs are ignored.
    Page,
    /// The same, of an administrator.
    AdminPage,
}

/// Who called.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// Nobody in particular.
    Anyone,
    /// A registered identity, not necessarily claimed.
    Identity(Arc<Known>),
    /// A person in a browser.
    Browser(Principal),
}

impl Caller {
    /// The caller as somebody who owns a vault.
    pub(super) fn actor(&self) -> Option<Actor> {
        match self {
            Self::Anyone => None,
            Self::Browser(principal) => Some(Actor::person(principal)),
            Self::Identity(known) => known.actor(),
        }
    }

    /// The identity that signed.
    pub(super) fn identity(&self) -> Option<&Known> {
        if let Self::Identity(known) = self { Some(known) } else { None }
    }
}

/// Finds out who sent `request`, and refuses whoever may not call a route with this `access`.
pub(super) fn authenticate(state: &State, request: &Request, access: Access) -> Result<Caller, Failure> {
    let caller = match access {
        Access::Open => return Ok(Caller::Anyone),
        Access::Registered => Caller::Identity(prove(state, request, false)?),
        Access::Proof => Caller::Identity(prove(state, request, true)?),
        Access::ProofOrBrowser | Access::Admin => either(state, request)?,
        Access::Page | Access::AdminPage => match browser_session(state, request)? {
            Some(principal) => Caller::Browser(principal),
            None => return Err(Failure::redirect(&sign_in_for(request))),
        },
    };
    if matches!(access, Access::Admin | Access::AdminPage) {
        check_admin(&caller)?;
    }
    Ok(caller)
}

/// Who may not even use the connections of an administrator shall not end those of everybody in their name.
fn check_admin(caller: &Caller) -> Result<(), Refusal> {
    match caller.actor().filter(Actor::is_admin) {
        Some(actor) if actor.grants.r#use => Ok(()),
        Some(_) => Err(Refusal::new(403, "An identity that may not use connections cannot act as an administrator")),
        None => Err(Refusal::new(403, "Admin role required")),
    }
}

/// The sign-in page, which leads back to where a person wanted to go. A form that was sent is not sent again.
fn sign_in_for(request: &Request) -> String {
    let wanted = if request.method == "POST" { "/" } else { request.target.as_str() };
    if wanted == "/" { "/login".to_owned() } else { format!("/login?next={}", in_query(wanted)) }
}

/// A proof where there is an `Authorization` header, else the browser's session.
fn either(state: &State, request: &Request) -> Result<Caller, Failure> {
    if request.fields.contains("authorization") {
        return Ok(Caller::Identity(prove(state, request, true)?));
    }
    match browser_session(state, request)? {
        Some(principal) => Ok(Caller::Browser(principal)),
        None => Err(Refusal::new(401, "Missing PoP authorization header").into()),
    }
}

/// The person whose browser sent `request`.
pub(super) fn browser_session(state: &State, request: &Request) -> Result<Option<Principal>> {
    match request.cookie(UI_COOKIE) {
        Some(handle) => state.people.browser_session(handle, state.settings.port),
        None => Ok(None),
    }
}

/// Checks the proof of `request`, in the order of `contract/identity.md`, and uses it up when all is well.
pub(super) fn prove(state: &State, request: &Request, must_be_claimed: bool) -> Result<Arc<Known>, Failure> {
    let now = state.clock.now();
    let authorization: Vec<&[u8]> = request.fields.all("authorization").collect();
    let signed = SignedRequest {
        authorization: &authorization,
        method: &request.method,
        path_query: &request.target,
        body: &request.body,
    };
    let refuse = |error: crate::identity::PopError| Refusal::new(401, error.to_string());
    let proof = state.verifier.check(&signed, now).map_err(refuse)?;
    let known = registered(state, &proof)?;
    if must_be_claimed {
        check_claimed(&known)?;
    }
    // Those of nobody share one account: a stranger can register as many as they like.
    let holder = known.principal.as_ref().map_or("", |principal| &principal.principal_id);
    state.verifier.remember(&proof, holder, now).map_err(refuse)?;
    Ok(known)
}

fn registered(state: &State, proof: &Proof) -> Result<Arc<Known>, Failure> {
    // The client compares this text.
    let known = state.people.known(&proof.handle)?.ok_or_else(|| Refusal::new(401, "Unknown identity handle"))?;
    if known.record.did != proof.did {
        return Err(Refusal::new(401, "Identity issuer does not match registered DID").into());
    }
    Ok(known)
}

fn check_claimed(known: &Known) -> Result<(), Refusal> {
    match known.status() {
        ClaimStatus::Claimed => Ok(()),
        ClaimStatus::ClaimRequired => Err(Refusal::new(403, "Identity is registered but not claimed")),
        ClaimStatus::Pending => Err(Refusal::new(403, "Identity claim is pending")),
        ClaimStatus::Rejected => Err(Refusal::new(403, "Identity claim was rejected")),
    }
}
