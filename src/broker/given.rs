//! What people and clients give for a login: judged before anything is made of it.

use std::collections::BTreeMap;

use super::StoredSession;
use crate::error::{AuthsomeError, Result};
use crate::limits::{LOGIN_TEXT_BYTES, SECRET_BYTES};
use crate::model::{HostMatch, ProviderDefinition, Role};
use crate::provider::Destination;
use crate::secret::Secret;

/// Takes what a form or a client gave for `name`; what was left empty is nothing.
pub(super) fn take_text(values: &mut BTreeMap<String, Secret>, name: &str) -> Option<String> {
    filled(Some(values.remove(name)?.expose()))
}

/// What is left of `text` without the spaces around it; nothing is not a value.
pub(super) fn filled(text: Option<&str>) -> Option<String> {
    let text = text?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

pub(super) fn split_scopes(text: &str) -> Vec<String> {
    text.split([',', ' ']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
}

/// Refuses more scopes than an address can hold.
pub(super) fn check_scopes(scopes: &[String]) -> Result<()> {
    let length: usize = scopes.iter().map(|scope| scope.len() + 1).sum();
    check_length("scopes", length)
}

/// A client identifier: it becomes a part of an address, and of a form.
pub(super) fn client_id(text: &str) -> Result<String> {
    check_length("client ID", text.len())?;
    clean("client ID", text)
}

/// A client secret: it becomes a part of a form or of a header.
pub(super) fn client_secret(secret: &Secret) -> Result<Secret> {
    let text = secret.expose();
    if text.len() > SECRET_BYTES {
        return Err(invalid("client secret", "it is too long"));
    }
    clean("client secret", text).map(Secret::new)
}

fn clean(what: &'static str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err(invalid(what, "it holds a line end or another control character"));
    }
    Ok(text.to_owned())
}

/// The base URL of an authorization server: tokens and secrets go to what this becomes.
pub(super) fn check_base_url(url: &str) -> Result<()> {
    check_length("URL", url.len())?;
    let plain = |rest: &str| {
        let rest = rest.trim_end_matches('/');
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"@?#\\\"<>{}".contains(&byte))
    };
    let is_loopback = |rest: &str| {
        let authority = rest.split('/').next().unwrap_or_default();
        let host = authority.rsplit_once(':').filter(|_| !authority.ends_with(']')).map_or(authority, |(host, _)| host);
        matches!(host, "localhost" | "127.0.0.1" | "[::1]")
    };
    match url.split_once("://") {
        Some(("https", rest)) if plain(rest) => Ok(()),
        Some(("http", rest)) if plain(rest) && is_loopback(rest) => Ok(()),
        _ => Err(invalid("URL", "an https:// address with a host is needed")),
    }
}

/// A connection's own API URL: one host, written as in a definition, or one of the definition's own entries.
pub(super) fn check_api_url(definition: &ProviderDefinition, url: &str) -> Result<()> {
    check_length("URL", url.len())?;
    let is_entry = definition.api_url.as_slice().iter().any(|entry| entry == url);
    let is_host = || Destination::parse(url).is_ok_and(|place| place.host_match == HostMatch::Exact);
    if is_entry || is_host() {
        return Ok(());
    }
    Err(invalid("API URL", "the host of the API is needed, or an https:// address of it"))
}

/// Refuses to let the login of somebody else than an administrator bring a client.
pub(super) fn check_may_bring_client(session: &StoredSession) -> Result<()> {
    if session.role == Role::Admin {
        return Ok(());
    }
    Err(AuthsomeError::OperationNotAllowed {
        operation: "login",
        reason: format!(
            "no OAuth client is stored for '{}', and only an administrator may bring one",
            session.public.provider
        ),
        hint: Some("ask an administrator of this daemon to log in once, or to configure the provider"),
    })
}

/// Refuses what is too long for an address.
pub(super) fn check_length(what: &'static str, length: usize) -> Result<()> {
    if length <= LOGIN_TEXT_BYTES { Ok(()) } else { Err(invalid(what, "it is too long")) }
}

fn invalid(what: &'static str, reason: &str) -> AuthsomeError {
    AuthsomeError::InvalidInput { what, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_https_or_this_machine() {
        for good in [
            "https://x.test",
            "https://x.test:8443/tenant/",
            "http://127.0.0.1:1/a",
            "http://localhost",
            "http://[::1]:9",
        ] {
            assert!(check_base_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "x.test",
            "https://",
            "https:///",
            "http://x.test",
            "http://localhost.x.test",
            "http://127.0.0.1.x.test:1/",
            "http://[::1].x.test/",
            "http://[::1]x.test/",
            "https://a@x.test",
            "https://x.test?a",
            "https://x.test/#a",
            "https://x.test/a b",
            "https://x.test/\n",
            "https://{base_url}/",
            "javascript:x",
            &format!("https://x.test/{}", "x".repeat(LOGIN_TEXT_BYTES)),
        ] {
            assert!(check_base_url(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn scopes_fit_into_an_address() {
        assert_eq!(split_scopes("a, b c,,"), ["a", "b", "c"]);
        assert!(check_scopes(&split_scopes("a, b c")).is_ok());
        assert!(check_scopes(&["x".repeat(LOGIN_TEXT_BYTES)]).is_err());
        assert!(check_scopes(&vec![String::new(); LOGIN_TEXT_BYTES + 1]).is_err());
    }
}
