//! `POST /api/session` and `/signin`: from an agent's proof to its person's browser.

use serde_json::json;

use super::accounts::{event, of, signed_in};
use crate::daemon::{Context, Outcome, Response, pages};
use crate::secret::Secret;

/// `POST /api/session`: the address of the dashboard, which signs its opener in once, within a minute. A browser may do
/// everything that its person may, so an identity needs all its grants for that.
pub(in crate::daemon) fn link(context: &Context<'_>) -> Outcome {
    let actor = context.actor()?;
    actor.check_use("ui")?;
    actor.check_export("ui")?;
    let token = context.people().make_sign_in(&actor.principal_id)?;
    Ok(Response::json(&json!({"url": format!("{}/signin?token={}", context.base_url(), token.expose())})))
}

/// `GET /signin?token=`. A browser that was led here by another site, or that somebody else is signed in to, asks its
/// person first: a link must not put anybody into a stranger's account unseen.
pub(in crate::daemon) fn page(context: &Context<'_>) -> Outcome {
    let token = Secret::new(context.query("token").unwrap_or_default());
    let Some(principal) = context.people().sign_in_of(&token)? else { return Ok(over()) };
    let site = context.request.fields.first_str("sec-fetch-site").unwrap_or("none");
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
    let Some(principal) = context.people().spend_sign_in(token)? else { return Ok(over()) };
    let mut noted = event("account.login");
    noted.metadata.insert("by".to_owned(), "one_time_link".into());
    context.broker().note(Some(&of(&principal)), noted)?;
    signed_in(context, &principal, "/")
}

fn over() -> Response {
    let what = "It was used already, or a minute has passed.";
    Response::html(404, &pages::failure("This sign-in link is over", what, "Get another one: authsome ui"))
}
