//! The URLs of a provider's own login: filled for a connection, and as places that are never injected.

use super::fields::Filling;
use super::host::Host;
use crate::model::{AuthEndpoint, ProviderDefinition};

/// The provider's own authorization, token, revocation, device and registration endpoints: they are never injected.
/// A path segment `{...}` stands for any one segment. What is no URL yields nothing; validation has its own say on it.
pub fn auth_endpoints(definition: &ProviderDefinition, filling: &Filling<'_>) -> Vec<AuthEndpoint> {
    let filled = login_urls(definition).filter_map(|(_, url)| fill_url(definition, filling, url).ok());
    let mut found: Vec<AuthEndpoint> = filled.filter_map(|url| endpoint(&url)).collect();
    found.sort_by(|one, other| (&one.host, &one.path).cmp(&(&other.host, &other.path)));
    found.dedup();
    found
}

/// Replaces what may stand at the start of a definition's URL: `{base_url}` by the connection's base URL, else the
/// definition's; `{api_url}` by the connection's API URL, else the first of the definition's.
///
/// # Errors
/// A text that says what is missing.
pub fn fill_url(definition: &ProviderDefinition, filling: &Filling<'_>, url: &str) -> Result<String, String> {
    if let Some(rest) = url.strip_prefix("{base_url}") {
        let default = || definition.oauth.as_ref().and_then(|oauth| oauth.base_url.as_deref());
        let base = filling.base_url.or_else(default).ok_or("nothing says what {base_url} stands for")?;
        return joined(base, rest);
    }
    if let Some(rest) = url.strip_prefix("{api_url}") {
        let default = || definition.api_url.as_slice().first().map(String::as_str);
        let base = filling.api_url.or_else(default).ok_or("nothing says what {api_url} stands for")?;
        if base.starts_with("regex:") || base.contains(['*', '{']) {
            return Err("the API URL that {api_url} stands for is not one host".into());
        }
        let scheme = if base.contains("://") { "" } else { "https://" };
        return joined(&format!("{scheme}{base}"), rest);
    }
    Ok(url.to_owned())
}

/// Every URL of a definition's login, with its field name.
pub(super) fn login_urls(definition: &ProviderDefinition) -> impl Iterator<Item = (&'static str, &str)> {
    let oauth = definition.oauth.as_ref();
    let registration = definition.registration.as_ref();
    let urls = [
        ("oauth.authorization_url", oauth.and_then(|oauth| oauth.authorization_url.as_deref())),
        ("oauth.token_url", oauth.and_then(|oauth| oauth.token_url.as_deref())),
        ("oauth.revocation_url", oauth.and_then(|oauth| oauth.revocation_url.as_deref())),
        ("oauth.device_authorization_url", oauth.and_then(|oauth| oauth.device_authorization_url.as_deref())),
        ("oauth.revoke.url", oauth.and_then(|oauth| oauth.revoke.as_ref()?.url.as_deref())),
        ("registration.registration_endpoint", registration.and_then(|it| it.registration_endpoint.as_deref())),
    ];
    urls.into_iter().filter_map(|(field, url)| Some((field, url?)))
}

/// Whether the login sends tokens or the client's secret to the URL of this field. The browser goes to the
/// authorization endpoint, and a registration has no secret yet.
pub(super) fn receives_secrets(field: &str) -> bool {
    field != "oauth.authorization_url" && field != "registration.registration_endpoint"
}

/// The canonical host of an absolute URL.
pub(super) fn url_host(url: &str) -> Option<Host> {
    Host::parse(split(url)?.0).ok()
}

/// Only a path may follow, or the definition would choose the host after all (`{base_url}.evil.test`).
fn joined(base: &str, rest: &str) -> Result<String, String> {
    if !rest.is_empty() && !rest.starts_with('/') {
        return Err("only a path may follow the placeholder of a URL".into());
    }
    Ok(format!("{}{rest}", base.trim_end_matches('/')))
}

/// Host and path of an absolute URL; its port does not matter for what is never injected.
fn endpoint(url: &str) -> Option<AuthEndpoint> {
    let (_, path) = split(url)?;
    let path = if path.is_empty() { "/" } else { path };
    Some(AuthEndpoint { host: url_host(url)?.to_string(), path: path.to_owned() })
}

/// The host as written, without user and port, and the path without query.
fn split(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
    };
    Some((host, path.split(['?', '#']).next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::parse_definition;

    #[test]
    fn every_url_of_a_login_is_an_endpoint() {
        let text = r#"{"name":"acme","auth_type":"oauth2","flow":"pkce","api_url":"API.acme.test/v1","oauth":{
            "authorization_url":"{base_url}/login?x=1","token_url":"https://ID.acme.test:8443/token#x",
            "revocation_url":"https://id.acme.test","device_authorization_url":"https://[2001:db8::1]:9/device",
            "base_url":"https://acme.test/","revoke":{"url":"{api_url}/apps/{client_id}/token"}},
            "registration":{"registration_endpoint":"no url"}}"#;
        let definition = parse_definition(text.as_bytes()).expect("parses");
        let list = |filling: &Filling<'_>| -> Vec<String> {
            auth_endpoints(&definition, filling).iter().map(|it| format!("{} {}", it.host, it.path)).collect()
        };
        assert_eq!(
            list(&Filling::nothing()),
            [
                "2001:db8::1 /device",
                "acme.test /login",
                "api.acme.test /v1/apps/{client_id}/token",
                "id.acme.test /",
                "id.acme.test /token"
            ]
        );
        let own = list(&Filling::at(Some("https://login.corp.test/tenant/")));
        assert!(own.contains(&"login.corp.test /tenant/login".to_owned()), "{own:?}");
    }
}
