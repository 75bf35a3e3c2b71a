//! Accounts in a browser: sign in, register, password, sign out, and the first page.

use std::net::IpAddr;

use serde_json::json;

use crate::daemon::people::{AccountError, NewAccount, UI_COOKIE};
use crate::daemon::{Context, Outcome, Response, pages};
use crate::limits::SMALL_FILE_BYTES;
use crate::model::{AuditEvent, Principal};
use crate::paths::read_limited;
use crate::percent::encode;
use crate::secret::Secret;

/// A form whose values are found by name.
struct Form(Vec<(String, Secret)>);

impl Form {
    fn of(context: &Context<'_>) -> Result<Self, crate::daemon::Failure> {
        context.form().map(Self)
    }

    fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.expose())
    }

    fn secret(&self, name: &str) -> Secret {
        Secret::new(self.text(name).to_owned())
    }
}

/// A place on this server: one `/` at the start, nothing that a browser could read as another host.
pub(super) fn local_place(place: &str) -> &str {
    let is_local = place.starts_with('/')
        && !place.starts_with("//")
        && !place.starts_with("/\\")
        && !place.chars().any(|character| character.is_control() || character == '\\');
    if is_local { place } else { "/" }
}

/// A path as a value in a query of ours: slashes may stay.
pub(super) fn in_query(path: &str) -> String {
    encode(path).replace("%2F", "/")
}

/// The address whose attempts are slowed. `None` where a hosted daemon sees that of a reverse proxy: one guesser would
/// lock everybody out.
fn peer(context: &Context<'_>) -> Option<String> {
    let peer = context.request.peer?.to_canonical();
    let is_near = match peer {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    };
    let is_proxy = is_near && !context.state.settings.is_local;
    (!is_proxy).then(|| peer.to_string())
}

/// `GET /login`
pub(in crate::daemon) fn login_page(context: &Context<'_>) -> Outcome {
    let next = context.query("next").unwrap_or_default();
    let error = context.query("error").and_then(|code| error_text(&code));
    let registration = if context.state.settings.open_registration || context.state.settings.compat {
        pages::Registration::Open
    } else if context.people().is_empty()? {
        pages::Registration::SetupToken
    } else {
        pages::Registration::Invitation
    };
    let facts = pages::SignIn {
        next: local_place(&next),
        error,
        register_first: context.query("tab").as_deref() == Some("register"),
        registration,
    };
    Ok(Response::html(200, &pages::sign_in(&facts)))
}

/// Errors travel as codes, so that nobody can put words on our page with a link.
const ERRORS: [(&str, AccountError); 5] = [
    ("email", AccountError::BadEmail),
    ("password", AccountError::BadPassword),
    ("refused", AccountError::Refused),
    ("credentials", AccountError::WrongCredentials),
    ("slow_down", AccountError::SlowDown),
];

fn error_text(code: &str) -> Option<&'static str> {
    ERRORS.iter().find(|(known, _)| *known == code).map(|(_, error)| error.text())
}

fn error_code(error: &AccountError) -> Option<&'static str> {
    ERRORS
        .iter()
        .find(|(_, known)| std::mem::discriminant(known) == std::mem::discriminant(error))
        .map(|(code, _)| *code)
}

/// Back to the form, with what was wrong; a failure inside is an error like any other.
fn refused(error: AccountError, next: &str, tab: &str) -> Outcome {
    let code = error_code(&error);
    match (error, code) {
        (AccountError::Inside(inside), _) => Err(inside.into()),
        (_, code) => {
            let code = code.unwrap_or("refused");
            Ok(Response::redirect(&format!("/login?next={}&error={code}&tab={tab}", in_query(next))))
        }
    }
}

/// `POST /api/auth/register`
pub(in crate::daemon) fn register(context: &Context<'_>) -> Outcome {
    let form = Form::of(context)?;
    let next = local_place(form.text("next"));
    let token = ["setup_token", "invitation"].iter().map(|name| form.secret(name)).find(|token| !token.is_empty());
    let settings = &context.state.settings;
    let new = NewAccount {
        email: form.text("email").to_owned(),
        password: form.secret("password"),
        is_open: settings.open_registration || settings.compat || is_bootstrap(context, token.as_ref()),
        token,
    };
    match context.people().make_account(&new, peer(context).as_deref()) {
        Ok(principal) => {
            context.broker().note(Some(&of(&principal)), event("account.registered"))?;
            signed_in(context, &principal, next)
        }
        Err(error) => refused(error, next, "register"),
    }
}

/// On one machine, whoever can read the bootstrap token owns the vault anyway.
fn is_bootstrap(context: &Context<'_>, token: Option<&Secret>) -> bool {
    let stored = read_limited(&context.state.home.bootstrap_token(), SMALL_FILE_BYTES);
    let (true, Some(token), Ok(stored)) = (context.state.settings.is_local, token, stored) else { return false };
    !stored.trim_ascii().is_empty() && token.constant_time_eq(stored.trim_ascii())
}

/// `POST /api/auth/login`
pub(in crate::daemon) fn login(context: &Context<'_>) -> Outcome {
    let form = Form::of(context)?;
    let next = local_place(form.text("next"));
    match context.people().sign_in(form.text("email"), &form.secret("password"), peer(context).as_deref()) {
        Ok(principal) => {
            context.broker().note(Some(&of(&principal)), event("account.login"))?;
            signed_in(context, &principal, next)
        }
        Err(error) => {
            // What was not tried is not noted: strangers must not be able to fill the log.
            if !matches!(error, AccountError::Inside(_) | AccountError::SlowDown) {
                let mut failed = event("account.login_failed");
                failed.status = Some("failed".to_owned());
                context.broker().note(None, failed)?;
            }
            refused(error, next, "login")
        }
    }
}

pub(super) fn event(name: &str) -> AuditEvent {
    AuditEvent { event: name.to_owned(), status: Some("success".to_owned()), ..AuditEvent::default() }
}

/// The person as an actor.
pub(super) fn of(principal: &Principal) -> crate::broker::Actor {
    crate::broker::Actor {
        identity: None,
        principal_id: principal.principal_id.clone(),
        vault_id: principal.vault_id.clone(),
        role: principal.role,
        grants: crate::model::Grants::default(),
    }
}

pub(super) fn signed_in(context: &Context<'_>, principal: &Principal, next: &str) -> Outcome {
    let handle = context.people().open_session(principal, context.state.settings.port)?;
    let mut response = Response::redirect(next);
    response.set_cookie(&cookie(context, &handle, ""));
    Ok(response)
}

fn cookie(context: &Context<'_>, handle: &str, end: &str) -> String {
    let secure = if context.state.settings.is_https() { "; Secure" } else { "" };
    format!("{UI_COOKIE}={handle}; HttpOnly; Path=/; SameSite=Lax{secure}{end}")
}

/// `POST /api/auth/password`
pub(in crate::daemon) fn password(context: &Context<'_>) -> Outcome {
    let form = Form::of(context)?;
    let next = local_place(form.text("next"));
    let separator = if next.contains('?') { '&' } else { '?' };
    let Some(principal_id) = context.browser_principal()? else { return Ok(Response::redirect("/login")) };
    let Some(principal) = context.principal(&principal_id)? else { return Ok(Response::redirect("/login")) };
    let changed =
        context.people().change_password(&principal, &form.secret("current_password"), &form.secret("new_password"));
    match changed {
        Ok(()) => {
            context.broker().note(Some(&of(&principal)), event("account.password_changed"))?;
            signed_in(context, &principal, &format!("{next}{separator}password_changed=1"))
        }
        Err(AccountError::Inside(error)) => Err(error.into()),
        Err(error) => {
            let code = error_code(&error).unwrap_or("refused");
            Ok(Response::redirect(&format!("{next}{separator}password_error={code}")))
        }
    }
}

/// `POST /api/logout`
pub(in crate::daemon) fn logout(context: &Context<'_>) -> Outcome {
    let form = Form::of(context)?;
    if let Some(handle) = context.request.cookie(UI_COOKIE) {
        context.people().close_session(handle)?;
    }
    let mut response = Response::redirect(local_place(form.text("return_url")));
    response.set_cookie(&cookie(context, "", "; Max-Age=0"));
    Ok(response)
}

/// `POST /api/invitations`: a token with which somebody may make an account.
pub(in crate::daemon) fn invite(context: &Context<'_>) -> Outcome {
    let token = context.people().invite()?;
    context.broker().note(Some(&context.actor()?), event("account.invited"))?;
    let url = format!("{}/login?tab=register", context.base_url());
    Ok(Response::json(&json!({"invitation": token.expose(), "url": url})))
}

/// `GET /`
pub(in crate::daemon) fn home(context: &Context<'_>) -> Outcome {
    let Some(principal_id) = context.browser_principal()? else { return Ok(Response::redirect("/login")) };
    let Some(principal) = context.principal(&principal_id)? else { return Ok(Response::redirect("/login")) };
    let listing = context.broker().listing(&of(&principal))?;
    let rows: Vec<_> = listing
        .providers
        .into_iter()
        .flat_map(|of| of.records)
        .map(|record| (record.provider, record.connection_name, record.status.as_str()))
        .collect();
    Ok(Response::html(200, &pages::home(&principal.email, &rows)))
}

/// `GET /assets/style.css`
pub(in crate::daemon) fn style(_: &Context<'_>) -> Outcome {
    Ok(Response::style(pages::STYLE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_here() {
        for good in ["/", "/claim?token=claim_x", "/a/b?c=//d"] {
            assert_eq!(local_place(good), good);
        }
        for bad in
            ["", "//evil.test", "/\\evil.test", "https://evil.test", "javascript:x", "/a\r\nSet-Cookie: x", "/a\\b"]
        {
            assert_eq!(local_place(bad), "/", "{bad:?}");
        }
        assert_eq!(in_query("/claim?token=a&b"), "/claim%3Ftoken%3Da%26b");
    }
}
