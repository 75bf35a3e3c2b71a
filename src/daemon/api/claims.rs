//! The browser claim: a person who is signed in says that an identity is theirs.

use serde_json::json;

use crate::daemon::pages::NextStep;
use crate::daemon::{Context, Outcome, Refusal, Response, pages};
use crate::error::AuthsomeError;
use crate::model::Grants;

fn token(context: &Context<'_>) -> String {
    let token = context.query("token").unwrap_or_default();
    if token.is_empty() { context.param("token").to_owned() } else { token }
}

/// `GET /api/claim/{token}`
pub(in crate::daemon) fn get(context: &Context<'_>) -> Outcome {
    let token = token(context);
    let known = context.people().claimant(&token)?;
    let email = browser_email(context)?;
    Ok(Response::json(&json!({
        "token": token,
        "identity": known.as_ref().map_or("", |known| known.record.handle.as_str()),
        "authenticated": email.is_some(),
        "email": email,
        "expired": known.is_none(),
    })))
}

fn browser_email(context: &Context<'_>) -> crate::error::Result<Option<String>> {
    let Some(principal_id) = context.browser_principal()? else { return Ok(None) };
    Ok(context.principal(&principal_id)?.map(|principal| principal.email))
}

/// `GET /claim?token=`
pub(in crate::daemon) fn page(context: &Context<'_>) -> Outcome {
    let token = token(context);
    let Some(known) = context.people().claimant(&token)? else { return Ok(Response::html(404, &expired())) };
    let Some(email) = browser_email(context)? else { return Ok(to_login(&token)) };
    let facts = pages::ClaimPage {
        token: &token,
        handle: &known.record.handle,
        did: &known.record.did,
        email: &email,
        export_by_default: context.state.settings.export_by_default,
    };
    Ok(Response::html(200, &pages::claim(&facts)))
}

fn expired() -> pages::Html {
    pages::failure(
        "This link is over",
        "A claim link is good once, for five minutes.",
        NextStep::Do("Run your command again: it prints a new one."),
    )
}

/// What may go into an address: only what our own tokens are made of. Anything else could be a second parameter.
fn plain(token: &str) -> Option<&str> {
    token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)).then_some(token)
}

fn to_login(token: &str) -> Response {
    Response::redirect(&format!("/login?next=/claim?token={}", plain(token).unwrap_or_default()))
}

/// `GET /claim/{token}`
pub(in crate::daemon) fn short(context: &Context<'_>) -> Outcome {
    let token = plain(context.param("token")).ok_or(Refusal::new(404, "Not Found"))?;
    Ok(Response::redirect_with_status(307, &format!("/claim?token={token}")))
}

/// `POST /api/claim/{token}/confirm`
pub(in crate::daemon) fn confirm(context: &Context<'_>) -> Outcome {
    let token = context.param("token").to_owned();
    let Some(principal_id) = context.browser_principal()? else { return Ok(to_login(&token)) };
    let Some(principal) = context.principal(&principal_id)? else { return Ok(to_login(&token)) };
    let form = context.form()?;
    let said = |name: &str| form.iter().any(|(known, value)| known == name && value.expose() == "1");
    // The form of 0.7.2 has no switch: then the server's default holds.
    let export = if said("permissions") { said("export") } else { context.state.settings.export_by_default };
    let grants = Grants { export, ..Grants::default() };
    match context.people().claim_by_token(&token, &principal, grants) {
        Ok(Some(_)) => Ok(Response::redirect("/")),
        Ok(None) => {
            let token = plain(&token).unwrap_or_default();
            Ok(Response::redirect(&format!("/claim?token={token}&error=expired")))
        }
        Err(AuthsomeError::OperationNotAllowed { .. }) => {
            let page = pages::failure(
                "Not yours",
                "Somebody else has claimed this agent.",
                NextStep::Do("Make a new agent: authsome agent create"),
            );
            Ok(Response::html(403, &page))
        }
        Err(error) => Err(error.into()),
    }
}
