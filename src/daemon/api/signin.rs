//! `POST /api/session` and `/signin`: from an agent's proof to its person's browser.

use serde_json::json;

use super::accounts::signed_in;
use crate::broker::Actor;
use crate::daemon::pages::NextStep;
use crate::daemon::people::UI_COOKIE;
use crate::daemon::{Context, Outcome, Response, pages};
use crate::error::{AuthsomeError, Result};
use crate::model::{AuditEvent, Grants};
use crate::secret::Secret;

/// `POST /api/session`: the address of the dashboard, which signs its opener in once, within a minute. A browser may do
/// everything that its person may, so an identity needs all its grants for that.
pub(in crate::daemon) fn link(context: &Context<'_>) -> Outcome {
    let actor = context.actor()?;
    check_all_grants(context, &actor)?;
    let key = context.caller.identity().map_or("", |agent| agent.record.did.as_str());
    let token = context.people().make_sign_in(&actor.principal_id, key)?;
    Ok(Response::json(&json!({"url": format!("{}/signin?token={}", context.base_url(), token.expose())})))
}

/// `DELETE /api/session`: signs the person out everywhere, but in the browser that asks.
pub(in crate::daemon) fn end(context: &Context<'_>) -> Outcome {
    let actor = context.actor()?;
    check_all_grants(context, &actor)?;
    let closed = context.people().close_other_sessions(&actor, here(context))?;
    Ok(Response::json(&json!({"status": "ok", "closed": closed})))
}

/// The session of the browser that asks.
pub(super) fn here<'a>(context: &'a Context<'_>) -> Option<&'a str> {
    context.request.cookie(UI_COOKIE).filter(|_| context.caller.identity().is_none())
}

/// An identity that was given less shall neither become its person in a browser nor take the browser away.
fn check_all_grants(context: &Context<'_>, actor: &Actor) -> Result<()> {
    if actor.grants == Grants::default() {
        return Ok(());
    }
    Err(AuthsomeError::OperationNotAllowed {
        operation: "ui",
        reason: format!("'{}' does not hold every permission of its owner", actor.label()),
        hint: Some(if context.state.settings.is_local {
            "sign in at /login of the daemon as owner@localhost; until you set a password, it is the token in \
             server/bootstrap.token of the home"
        } else {
            "sign in at /login of the server with your email and password"
        }),
    })
}

/// `GET /signin?token=`. A browser that was led here by another site, or that somebody else is signed in to, asks its
/// person first: a link must not put anybody into a stranger's account unseen.
pub(in crate::daemon) fn page(context: &Context<'_>) -> Outcome {
    let token = Secret::new(context.query("token").unwrap_or_default());
    let Some((principal, _)) = context.people().sign_in_of(&token)? else { return Ok(over()) };
    // Old browsers do not say, nor does any to a server without TLS.
    let site = context.request.fields.first_str("sec-fetch-site").unwrap_or("cross-site");
    let is_led_here = !matches!(site, "none" | "same-origin");
    let is_elses = context.browser_principal()?.is_some_and(|signed_in| signed_in != principal.principal_id);
    if is_led_here || is_elses {
        return Ok(Response::html(200, &pages::confirm_sign_in(&token, &principal.email)));
    }
    if context.request.method == "HEAD" {
        return Ok(Response::redirect("/")); // who only looks spends nothing
    }
    spend(context, &token)
}

/// `POST /signin`: the person agrees.
pub(in crate::daemon) fn confirm(context: &Context<'_>) -> Outcome {
    let form = context.form()?;
    let token = form.into_iter().find(|(name, _)| name == "token").map(|(_, value)| value);
    match token {
        Some(token) => spend(context, &token),
        None => Ok(over()),
    }
}

fn spend(context: &Context<'_>, token: &Secret) -> Outcome {
    let Some((principal, agent)) = context.people().spend_sign_in(token)? else { return Ok(over()) };
    let event = AuditEvent::success("account.login").with("by", "one_time_link");
    signed_in(context, &principal, "/", (event, Some(&agent)))
}

fn over() -> Response {
    let what = "It was used already, or a minute has passed.";
    Response::html(
        404,
        &pages::failure("This sign-in link is over", what, NextStep::Do("Get another one: authsome ui")),
    )
}
