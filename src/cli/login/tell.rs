//! What a login says: where to go on, how it ended, and what to do about it.

use serde::Deserialize;

use super::{Login, asks_for_input};
use crate::cli::context::Context;
use crate::cli::json::Json;
use crate::error::Result;
use crate::model::{AuthSession, NextAction};

/// What is shown of a new connection.
#[derive(Deserialize)]
pub(super) struct Connected {
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(default)]
    account: Option<Account>,
}

#[derive(Deserialize)]
struct Account {
    #[serde(default)]
    label: Option<String>,
}

/// Where to go on, at once and on stderr: stdout is for the result. `pastes`: an address can be pasted here.
pub(super) fn way(ctx: &Context, title: &str, session: &AuthSession, pastes: bool) {
    if let (Some(code), Some(page)) = (&session.user_code, &session.verification_uri) {
        ctx.out.say(&format!("to connect {title}, enter this code at this page:"));
        ctx.out.display(&[code, page]);
        if let Some(complete) = &session.verification_uri_complete {
            ctx.out.say(&format!("or open the page with the code in it, and compare: {complete}"));
        }
        return;
    }
    let NextAction::OpenUrl { url } = &session.next_action else { return };
    ctx.out.say(&format!("open this page to go on: {url}"));
    if pastes && !asks_for_input(session) {
        ctx.out.say(
            "after signing in, your browser may show a page that cannot be reached: its whole address can be pasted here",
        );
    }
}

/// That it goes on elsewhere, and that nobody waits here.
pub(super) fn started(ctx: &Context, login: &Login, session: &AuthSession) -> Result<()> {
    let url = if let NextAction::OpenUrl { url } = &session.next_action { url.as_str() } else { "" };
    if !ctx.out.json {
        if let (Some(code), Some(page)) = (&session.user_code, &session.verification_uri) {
            return ctx.out.line(&format!("{code} {page}"));
        }
        if url.is_empty() {
            let id = &session.id;
            return ctx.out.line(&format!("{} ({}) waits in session {id}.", login.provider, login.connection));
        }
        return ctx.out.line(url);
    }
    let mut fields = result_fields(login, "started", session);
    let optional = [
        ("auth_url", Some(url).filter(|url| !url.is_empty())),
        ("user_code", session.user_code.as_deref()),
        ("verification_uri", session.verification_uri.as_deref()),
        ("verification_uri_complete", session.verification_uri_complete.as_deref()),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
    ctx.out.object(Json::Object(fields))
}

/// What is connected now, and what to do with it.
pub(super) fn success(
    ctx: &Context,
    login: &Login,
    session: &AuthSession,
    connected: Option<&Connected>,
) -> Result<()> {
    if ctx.out.json {
        return ctx.out.object(Json::Object(result_fields(login, "success", session)));
    }
    let already = session.message.as_deref().is_some_and(|message| message.starts_with("Already"));
    let verb = if already { "was connected already" } else { "is connected" };
    ctx.out.line(&format!("{} ({}) {verb}.", login.provider, login.connection))?;
    if already {
        ctx.out.note("hint: to replace it, add --force");
        return Ok(());
    }
    if let Some(note) = session.message.as_deref().and_then(|message| message.strip_prefix("Connected. Note: ")) {
        ctx.out.warn(note);
    }
    if let Some(label) = connected.and_then(|connected| connected.account.as_ref()?.label.as_deref()) {
        ctx.out.note(&format!("account: {label}"));
    }
    if let Some(scopes) = connected.and_then(|connected| connected.scopes.as_ref()).filter(|scopes| !scopes.is_empty())
    {
        ctx.out.note(&format!("granted: {}", scopes.join(", ")));
    }
    ctx.out.note("hint: next: authsome run -- CMD");
    Ok(())
}

fn result_fields(login: &Login, status: &str, session: &AuthSession) -> Vec<(String, Json)> {
    let fields = [
        ("status", status.into()),
        ("provider", login.provider.as_str().into()),
        ("connection", login.connection.as_str().into()),
        ("record_status", session.status.as_str().into()),
        ("session_id", session.id.as_str().into()),
    ];
    fields.into_iter().map(|(name, value): (&str, Json)| (name.to_owned(), value)).collect()
}

/// What to do about a login that failed, by the standard words in its reason (RFC 6749 sections 4.1.2.1 and 5.2).
pub(in crate::cli) fn hint(provider: &str, reason: &str) -> String {
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if says(&["invalid_client", "unauthorized_client"]) {
        return format!(
            "check the client id and its secret: authsome login {provider} --client-id ID; \
             a stored one must go first, and its connections with it: authsome provider revoke {provider}"
        );
    }
    if says(&["invalid_scope"]) {
        return format!("ask for other scopes: authsome login {provider} --scopes a,b");
    }
    "to try again, run the same command".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_comes_with_what_to_do() {
        for (reason, expected) in [
            ("Authentication failed: invalid_client", "--client-id"),
            ("invalid_client: the secret has expired", "provider revoke x"),
            ("invalid_scope: no such scope", "--scopes"),
            ("access was denied at the provider", "try again"),
        ] {
            assert!(hint("x", reason).contains(expected), "{reason}");
        }
    }
}
