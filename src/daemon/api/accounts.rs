//! Accounts in a browser: sign in, register, password, sign out, and the first page.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::json;

use crate::broker::Actor;
use crate::daemon::form::Form;
use crate::daemon::pages::Registration;
use crate::daemon::people::{AccountError, NewAccount, UI_COOKIE, is_local_owner};
use crate::daemon::{Context, Failure, Outcome, Response, pages};
use crate::limits::SMALL_FILE_BYTES;
use crate::model::{AuditEvent, Principal};
use crate::paths::read_limited;
use crate::percent::encode;
use crate::secret::Secret;

/// A place on this server: one `/` at the start, nothing that a browser could read as another host.
pub(super) fn local_place(place: &str) -> &str {
    let is_local = place.starts_with('/')
        && !place.starts_with("//")
        && !place.starts_with("/\\")
        && !place.chars().any(|character| character.is_control() || character == '\\');
    if is_local { place } else { "/" }
}

/// A path as a value in a query of ours: slashes may stay.
pub(in crate::daemon) fn in_query(path: &str) -> String {
    encode(path).replace("%2F", "/")
}

/// The address whose attempts are slowed, and whose registrations give way to those of others: of IPv6 the network,
/// which is what one customer has. `None` where a hosted daemon sees that of a reverse proxy: one guesser would lock
/// everybody out.
pub(in crate::daemon) fn peer(context: &Context<'_>) -> Option<String> {
    let peer = context.request.peer?.to_canonical();
    let is_near = match peer {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    };
    let is_proxy = is_near && !context.state.settings.is_local;
    (!is_proxy).then(|| match peer {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => network(address).to_string(),
    })
}

/// The first 64 bits (RFC 4291 section 2.5.4); the rest is the host's to choose.
fn network(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))
}

/// `GET /login`
pub(in crate::daemon) fn login_page(context: &Context<'_>) -> Outcome {
    let next = context.query("next").unwrap_or_default();
    let error = context.query("error").and_then(|code| error_text(&code));
    let registration = registration(context)?;
    let facts = pages::SignIn {
        next: local_place(&next),
        error,
        register_first: context.query("tab").as_deref() == Some("register"),
        registration,
        is_local: context.state.settings.is_local,
    };
    Ok(Response::html(200, &pages::sign_in(&facts)))
}

/// What it takes to make an account here. The first one is an administrator's: a server that is open is not given to
/// whoever comes first.
pub(in crate::daemon) fn registration(context: &Context<'_>) -> Result<Registration, Failure> {
    let settings = &context.state.settings;
    Ok(if settings.compat {
        Registration::Open
    } else if context.people().is_empty()? {
        Registration::SetupToken
    } else if settings.open_registration {
        Registration::Open
    } else {
        Registration::Invitation
    })
}

/// Errors travel as codes, so that nobody can put words on our page with a link.
const ERRORS: [(&str, AccountError); 5] = [
    ("email", AccountError::BadEmail),
    ("password", AccountError::BadPassword),
    ("refused", AccountError::Refused),
    ("credentials", AccountError::WrongCredentials),
    ("slow_down", AccountError::SlowDown),
];

pub(in crate::daemon) fn error_text(code: &str) -> Option<&'static str> {
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
    let is_open = matches!(registration(context)?, Registration::Open);
    let new = NewAccount {
        email: form.text("email").to_owned(),
        password: form.secret("password"),
        is_open: is_open || is_bootstrap(context, token.as_ref()),
        token,
    };
    match context.people().make_account(&new, peer(context).as_deref()) {
        Ok(principal) => signed_in(context, &principal, next, (AuditEvent::success("account.login"), None)),
        Err(error) => refused(error, next, "register"),
    }
}

/// On one machine, whoever can read the bootstrap token owns the vault anyway.
fn is_bootstrap(context: &Context<'_>, token: Option<&Secret>) -> bool {
    let stored = read_limited(&context.state.home.bootstrap_token(), SMALL_FILE_BYTES);
    let (true, Some(token), Ok(stored)) = (context.state.settings.is_local, token, stored) else { return false };
    let token = Secret::new(token.expose().trim().to_owned());
    !stored.trim_ascii().is_empty() && token.constant_time_eq(stored.trim_ascii())
}

/// The owner of this machine, who has set no password yet, by the token that only they can read: no identity must hold
/// every permission for a person to get at their dashboard.
fn by_bootstrap(context: &Context<'_>, email: &str, password: &Secret) -> Result<Option<Principal>, Failure> {
    if !is_local_owner(email) || !is_bootstrap(context, Some(password)) {
        return Ok(None);
    }
    let owner = context.people().local_owner()?;
    Ok(Some(owner).filter(|owner| owner.password_hash.is_none()))
}

/// `POST /api/auth/login`
pub(in crate::daemon) fn login(context: &Context<'_>) -> Outcome {
    let form = Form::of(context)?;
    let next = local_place(form.text("next"));
    let (email, password) = (form.text("email"), form.secret("password"));
    if let Some(owner) = by_bootstrap(context, email, &password)? {
        return signed_in(
            context,
            &owner,
            next,
            (AuditEvent::success("account.login").with("by", "bootstrap_token"), None),
        );
    }
    match context.people().sign_in(email, &password, peer(context).as_deref()) {
        Ok(principal) => signed_in(context, &principal, next, (AuditEvent::success("account.login"), None)),
        Err(error) => {
            // What was not tried is not noted: strangers must not be able to fill the log.
            if !matches!(error, AccountError::Inside(_) | AccountError::SlowDown) {
                let failed = AuditEvent::success("account.login_failed");
                context.broker().note(None, AuditEvent { status: Some("failed".to_owned()), ..failed })?;
            }
            refused(error, next, "login")
        }
    }
}

/// A new session for `principal`; `by`: what let them in, and the key of the agent that did. What this browser had
/// before ends.
pub(super) fn signed_in(
    context: &Context<'_>,
    principal: &Principal,
    next: &str,
    by: (AuditEvent, Option<&str>),
) -> Outcome {
    let (port, before) = (context.state.settings.port, context.request.cookie(UI_COOKIE));
    match context.people().open_session(principal, port, before, by)? {
        Some(handle) => Ok(with_session(context, &handle, next)),
        None => refused(AccountError::WrongCredentials, next, "login"),
    }
}

fn with_session(context: &Context<'_>, handle: &str, next: &str) -> Response {
    let mut response = Response::redirect(next);
    response.set_cookie(&cookie(context, handle, ""));
    response
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
    let (old, new) = (form.secret("current_password"), form.secret("new_password"));
    let (peer, port) = (peer(context), context.state.settings.port);
    match context.people().change_password(&principal, (&old, &new), peer.as_deref(), port) {
        Ok(handle) => Ok(with_session(context, &handle, &format!("{next}{separator}password_changed=1"))),
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
    let (token, url) = new_invitation(context, &context.actor()?)?;
    Ok(Response::json(&json!({"invitation": token.expose(), "url": url})))
}

/// A new invitation, and where it is good.
pub(in crate::daemon) fn new_invitation(context: &Context<'_>, actor: &Actor) -> Result<(Secret, String), Failure> {
    let token = context.people().invite(actor)?;
    Ok((token, format!("{}/login?tab=register", context.base_url())))
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
