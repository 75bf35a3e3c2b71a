//! Where a connection's secret may go, and which of the provider's own URLs it never goes to.

use super::domain;
use super::endpoints::{fill_url, login_urls, receives_secrets, url_host};
use super::fields::Filling;
use super::host::Host;
use super::target::{Target, TargetHost};
use super::template::{Piece, Template};
use crate::error::{AuthsomeError, Result};
use crate::model::{FieldFormat, HostMatch, ProviderDefinition};

/// One place that a connection's secret may be sent to, over https only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// Canonical host, suffix (without `*.`) or pattern (without `regex:`).
    pub host: String,
    /// How `host` is compared.
    pub host_match: HostMatch,
    /// TCP port.
    pub port: u16,
    /// Whole path segments, without a trailing slash; empty: every path.
    pub path_prefix: String,
}

impl Destination {
    /// Reads one `api_url` entry that has no placeholders, as a daemon of 0.7.2 lists them.
    ///
    /// # Errors
    /// A text that says what is wrong with it. Plain http is: no secret goes there.
    pub fn parse(entry: &str) -> std::result::Result<Self, String> {
        let target = Target::parse(entry)?;
        if target.is_http {
            return Err("no credential goes over plain http".into());
        }
        Self::of(target, |_| Err("a placeholder is left".to_owned()))
    }

    fn of<E>(target: Target, fill: impl FnOnce(&Template) -> Result<Host, E>) -> Result<Self, E> {
        let (host, host_match) = match target.host {
            TargetHost::Exact(host) => (host.to_string(), HostMatch::Exact),
            TargetHost::Suffix(parent) => (parent.to_string(), HostMatch::Suffix),
            TargetHost::Pattern(text) => (text, HostMatch::Regex),
            TargetHost::Template(template) => (fill(&template)?.to_string(), HostMatch::Exact),
        };
        Ok(Self { host, host_match, port: target.port, path_prefix: target.prefix })
    }
}

/// Every destination of `definition` for one connection, in the order of the definition, without plain http (no secret
/// goes there). A connection's own `api_url`, where it is none of the definition's, replaces them all.
///
/// # Errors
/// `InvalidProviderSchema` when an entry is none; `CredentialMissing` when the connection lacks a field that a host
/// needs, or was made at another server and does not say where that server's API is.
pub fn destinations(definition: &ProviderDefinition, filling: &Filling<'_>) -> Result<Vec<Destination>> {
    let found = declared(definition, filling)?;
    // A login may store one of the definition's entries, as it stands there.
    let is_entry = |url: &&str| definition.api_url.as_slice().iter().any(|entry| entry == url);
    let Some(own) = filling.api_url.filter(|url| !is_entry(url)) else {
        let is_cut_off = found.is_empty() && is_elsewhere(definition, filling);
        return if is_cut_off { Err(no_api_url(definition)) } else { Ok(found) };
    };
    let own = Destination::parse(own).map_err(|reason| schema_error(definition, "api_url", reason))?;
    if found.contains(&own) {
        return Ok(found);
    }
    if own.host_match != HostMatch::Exact {
        return Err(schema_error(definition, "api_url", "a connection's own API URL must name one host"));
    }
    Ok(vec![own])
}

/// A text that changes exactly when a connection's secrets would go somewhere else: to another host, port or path of
/// the API, or to another token, device, revocation or session-checking endpoint (whose URLs count as they are
/// written). One line a place, sorted, for people to compare.
///
/// # Errors
/// As [`destinations`].
pub fn destinations_fingerprint(definition: &ProviderDefinition, filling: &Filling<'_>) -> Result<String> {
    let mut lines: Vec<String> = destinations(definition, filling)?.iter().map(describe).collect();
    let validate_url = definition.browser.as_ref().and_then(|browser| browser.validate_url.as_deref());
    let session_check = validate_url.map(|url| ("browser.validate_url", url));
    for (field, url) in login_urls(definition).filter(|(field, _)| receives_secrets(field)).chain(session_check) {
        let filled = fill_url(definition, filling, url).map_err(|reason| schema_error(definition, field, reason))?;
        lines.push(format!("{field} {filled}"));
    }
    lines.sort();
    lines.dedup();
    Ok(lines.join("\n"))
}

/// The definition's own entries, filled. At another server only those that follow the base URL count: a token of one
/// server must not reach the API of another.
fn declared(definition: &ProviderDefinition, filling: &Filling<'_>) -> Result<Vec<Destination>> {
    let is_elsewhere = is_elsewhere(definition, filling);
    let mut found = Vec::new();
    for (index, entry) in definition.api_url.as_slice().iter().enumerate() {
        if is_elsewhere && !entry.starts_with("{base_url}") {
            continue;
        }
        let invalid = |reason| schema_error(definition, &format!("api_url[{index}]"), reason);
        let target = Target::parse(&fill_url(definition, filling, entry).map_err(invalid)?).map_err(invalid)?;
        if !target.is_http {
            found.push(Destination::of(target, |template| fill_host(definition, filling, template))?);
        }
    }
    Ok(found)
}

/// Whether the login was at another host than the definition's.
fn is_elsewhere(definition: &ProviderDefinition, filling: &Filling<'_>) -> bool {
    let default = definition.oauth.as_ref().and_then(|oauth| oauth.base_url.as_deref());
    match (filling.base_url, default) {
        (Some(own), Some(default)) => url_host(own) != url_host(default),
        _ => false,
    }
}

fn no_api_url(definition: &ProviderDefinition) -> AuthsomeError {
    AuthsomeError::CredentialMissing {
        provider: definition.name.clone(),
        reason: "the connection was made at another server, so it needs the API URL of that server".to_owned(),
    }
}

pub(super) fn schema_error(definition: &ProviderDefinition, field: &str, reason: impl Into<String>) -> AuthsomeError {
    AuthsomeError::InvalidProviderSchema {
        provider: Some(definition.name.clone()),
        field: field.to_owned(),
        reason: reason.into(),
    }
}

fn fill_host(definition: &ProviderDefinition, filling: &Filling<'_>, template: &Template) -> Result<Host> {
    check_host_template(definition, template).map_err(|reason| schema_error(definition, "api_url", reason))?;
    let text = template.fill::<AuthsomeError>(|name| {
        let value = filling.value(definition, name).ok_or_else(|| AuthsomeError::CredentialMissing {
            provider: definition.name.clone(),
            reason: format!("the connection has no '{name}', which the API host needs"),
        })?;
        let checked =
            if is_host_field(definition, name) { check_host_value(value.text) } else { check_label_value(value.text) };
        checked.map_err(|reason| schema_error(definition, name, reason))?;
        Ok(value.text)
    })?;
    Host::parse(&text).map_err(|error| schema_error(definition, "api_url", error.to_string()))
}

/// A field of format `host` is the end of the host or all of it; every other one stands before a literal domain
/// (which `Target` has checked). So only a definition that says so lets a value choose the domain. No secret is part
/// of a host: names are seen by resolvers, by the network and in logs.
pub(super) fn check_host_template(
    definition: &ProviderDefinition,
    template: &Template,
) -> std::result::Result<(), String> {
    let pieces = template.pieces();
    for (index, piece) in pieces.iter().enumerate() {
        let Piece::Field(name) = piece else { continue };
        match definition.fields.iter().find(|field| field.name == *name) {
            None => return Err(format!("there is no field '{name}'")),
            Some(field) if field.secret => return Err(format!("'{name}' is secret, and a host is not")),
            Some(_) => {}
        }
        let is_last = index + 1 == pieces.len();
        let starts_label = index == 0 || matches!(&pieces[index - 1], Piece::Literal(text) if text.ends_with('.'));
        match is_host_field(definition, name) {
            true if !(is_last && starts_label) => {
                return Err(format!("the host in '{name}' must be the end of the API host"));
            }
            false if is_last => {
                return Err(format!("'{name}' would choose the domain: a literal domain must follow it"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_host_field(definition: &ProviderDefinition, name: &str) -> bool {
    definition.fields.iter().any(|field| field.name == name && field.format == Some(FieldFormat::Host))
}

/// A value inside a host may be part of one label and no more: it cannot add a dot, a port or a path.
fn check_label_value(value: &str) -> std::result::Result<(), String> {
    let is_label = value.len() <= 63 && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_label {
        Ok(())
    } else {
        Err("the value is not letters, digits and hyphens, as a part of a host must be".into())
    }
}

fn check_host_value(value: &str) -> std::result::Result<(), String> {
    let host = Host::parse(value).map_err(|error| error.to_string())?;
    domain::check_exact(&host).map_err(|error| error.to_string())
}

fn describe(destination: &Destination) -> String {
    let Destination { host, host_match, port, path_prefix } = destination;
    match host_match {
        HostMatch::Exact if host.contains(':') => format!("api https://[{host}]:{port}{path_prefix}"),
        HostMatch::Exact => format!("api https://{host}:{port}{path_prefix}"),
        HostMatch::Suffix => format!("api https://*.{host}:{port}{path_prefix}"),
        HostMatch::Regex => format!("api regex:{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AuthType, ConnectionRecord};
    use crate::provider::parse_definition;
    use crate::secret::Secret;

    fn definition(api_url: &str, rest: &str) -> ProviderDefinition {
        let text = format!(r#"{{"name":"acme","auth_type":"oauth2","flow":"pkce","api_url":{api_url}{rest}}}"#);
        parse_definition(text.as_bytes()).expect("parses")
    }

    fn record(fields: &[(&str, &str)]) -> ConnectionRecord {
        let mut record = ConnectionRecord::new("acme", "default", AuthType::Oauth2);
        for (name, value) in fields {
            match *name {
                "base_url" => record.base_url = Some((*value).to_owned()),
                "api_url" => record.api_url = Some((*value).to_owned()),
                "api_key" => record.api_key = Some(Secret::new((*value).to_owned())),
                _ => drop(record.credentials.insert((*name).to_owned(), Secret::new((*value).to_owned()))),
            }
        }
        record
    }

    fn hosts(definition: &ProviderDefinition, fields: &[(&str, &str)]) -> Result<Vec<String>> {
        let record = record(fields);
        let found = destinations(definition, &Filling::of(&record))?;
        Ok(found.iter().map(|destination| format!("{}{}", destination.host, destination.path_prefix)).collect())
    }

    const FIELDS: &str = r#","fields":[{"name":"dc","derive":{"from":"api_key","after_last":"-"}},
        {"name":"region","default":"eu-1"},{"name":"hidden","secret":true},{"name":"site","format":"host"},{"name":"shop"}]"#;

    #[test]
    fn hosts_are_filled_from_stored_derived_and_default_values() {
        for (api_url, fields, expected) in [
            (r#""https://{dc}.api.acme.test/3.0""#, &[("api_key", "abc-def-us21")][..], "us21.api.acme.test/3.0"),
            (r#""https://{dc}.api.acme.test""#, &[("api_key", "abc-us21"), ("dc", "EU2")][..], "eu2.api.acme.test"),
            (r#""https://{region}-api.acme.test""#, &[][..], "eu-1-api.acme.test"),
            (r#""https://x.{region}.acme.test""#, &[("region", "us-2")][..], "x.us-2.acme.test"),
            (r#""https://api.{site}/v1""#, &[("site", "us5.acme.test")][..], "api.us5.acme.test/v1"),
            (r#""https://{site}""#, &[("site", "Own.Acme.Test.")][..], "own.acme.test"),
            (r#""{shop}.acme.test""#, &[("shop", "my-shop")][..], "my-shop.acme.test"),
        ] {
            let found = hosts(&definition(api_url, FIELDS), fields).expect("is filled");
            assert_eq!(found, [expected], "{api_url}");
        }
    }

    #[test]
    fn no_value_changes_whose_host_it_is() {
        for value in [
            "evil.test",
            "evil.test/",
            "evil.test#",
            "evil.test?",
            "evil.test:443",
            "a@evil.test",
            "a.b",
            ".",
            "a.",
            "a/b",
            "a\\b",
            "",
            "-a",
            "a-",
            "a b",
            "a\r\nb",
            "a\0",
            "a%2e",
            "\u{e9}",
            "*",
            "{site}",
            "[::1]",
            "127.0.0.1",
            &"a".repeat(64),
        ] {
            let found = hosts(&definition(r#""https://{shop}.acme.test""#, FIELDS), &[("shop", value)]);
            assert!(found.is_err(), "{value:?} gives {found:?}");
        }
        for value in [
            "evil.test/",
            "evil.test:443",
            "a@evil.test",
            "evil..test",
            "localhost",
            "127.0.0.1",
            "[::1]",
            "com",
            "",
            "*.evil.test",
            "2130706433",
            "a b",
            "evil.test\r\n",
        ] {
            let found = hosts(&definition(r#""https://{site}""#, FIELDS), &[("site", value)]);
            assert!(found.is_err(), "{value:?} gives {found:?}");
        }
        for api_url in [
            r#""https://{shop}""#,
            r#""https://api.{shop}""#,
            r#""https://{shop}.test""#,
            r#""https://{shop}acme.test""#,
            r#""https://{shop}.co.uk""#,
            r#""https://{site}.acme.test""#,
            r#""https://a{site}""#,
            r#""https://{shop}.{region}""#,
            r#""https://*.{shop}.acme.test""#,
            r#""https://{shop}.acme.test@evil.test""#,
            r#""https://{shop}:8080""#,
            r#""https://{api_key}.acme.test""#,
            r#""https://{hidden}.acme.test""#,
        ] {
            let fields = [("shop", "my-shop"), ("site", "own.acme.test"), ("api_key", "k"), ("hidden", "h")];
            let found = hosts(&definition(api_url, FIELDS), &fields);
            assert!(found.is_err(), "{api_url} gives {found:?}");
        }
    }

    #[test]
    fn a_missing_value_is_a_missing_credential() {
        let missing = hosts(&definition(r#""https://{shop}.acme.test""#, FIELDS), &[]).expect_err("is missing");
        assert!(matches!(missing, AuthsomeError::CredentialMissing { .. }), "{missing}");
        let no_dash = hosts(&definition(r#""https://{dc}.acme.test""#, FIELDS), &[("api_key", "hunter2")]);
        assert!(!no_dash.expect_err("is missing").to_string().contains("hunter2"));
        // Another vendor's key, pasted by mistake, must not end up in a name that the network sees.
        let other =
            hosts(&definition(r#""https://{dc}.acme.test""#, FIELDS), &[("api_key", "sk-proj-0123456789abcdefg")]);
        assert!(other.is_err());
    }

    const GITHUB: &str = r#","oauth":{"base_url":"https://git.acme.test","token_url":"{base_url}/token",
        "revoke":{"url":"{api_url}/apps/{client_id}"}}"#;

    #[test]
    fn a_login_at_another_server_needs_the_api_of_that_server() {
        let fixed = definition(r#"["api.acme.test","up.acme.test"]"#, GITHUB);
        let both = vec!["api.acme.test".to_owned(), "up.acme.test".to_owned()];
        for same in [
            &[][..],
            &[("base_url", "https://git.acme.test/")],
            &[("base_url", "https://GIT.acme.test/tenant")],
            &[("api_url", "api.acme.test")],
            &[("api_url", "https://up.acme.test/")],
        ] {
            assert_eq!(hosts(&fixed, same).expect("is the same server"), both, "{same:?}");
        }
        let elsewhere = ("base_url", "https://git.corp.test");
        for fields in [&[elsewhere][..], &[elsewhere, ("api_url", "api.acme.test")]] {
            let error = hosts(&fixed, fields).expect_err("has no API URL").to_string();
            assert!(error.contains("another server"), "{error}");
        }
        let own = [elsewhere, ("api_url", "https://git.corp.test/api/v3")];
        assert_eq!(hosts(&fixed, &own).expect("has its own"), ["git.corp.test/api/v3"]);
        let following = definition(r#"["{base_url}/api/v4","up.acme.test"]"#, GITHUB);
        assert_eq!(hosts(&following, &[elsewhere]).expect("follows"), ["git.corp.test/api/v4"]);
        for bad in
            ["*.corp.test", r"regex:.*\.corp\.test", "http://git.corp.test", "git.corp.test/../x", "{shop}.corp.test"]
        {
            assert!(hosts(&fixed, &[("api_url", bad)]).is_err(), "{bad}");
        }
    }

    #[test]
    fn plain_http_gets_nothing() {
        let local = definition(r#"["http://localhost:8080","api.acme.test"]"#, "");
        assert_eq!(hosts(&local, &[]).expect("is filled"), ["api.acme.test"]);
    }

    #[test]
    fn the_fingerprint_follows_every_place_that_gets_a_secret() {
        let print = |definition: &ProviderDefinition, fields: &[(&str, &str)]| {
            let record = record(fields);
            destinations_fingerprint(definition, &Filling::of(&record)).expect("is filled")
        };
        let base = print(&definition(r#""api.acme.test""#, GITHUB), &[]);
        assert_eq!(
            base,
            "api https://api.acme.test:443\noauth.revoke.url https://api.acme.test/apps/{client_id}\noauth.token_url https://git.acme.test/token"
        );
        let plain = print(&definition(r#""api.acme.test""#, ""), &[]);
        assert_eq!(plain, print(&definition(r#"["https://API.acme.test.:443/","api.acme.test"]"#, ""), &[]));
        assert_ne!(plain, print(&definition(r#""*.acme.test""#, ""), &[]));
        let renamed = GITHUB
            .replace("{\"base_url\"", "{\"authorization_url\":\"https://x.test/a\",\"scopes\":[\"a\"],\"base_url\"");
        assert_eq!(base, print(&definition(r#""api.acme.test""#, &renamed), &[]));
        for (api_url, rest) in [
            (r#""evil.test""#, GITHUB.to_owned()),
            (r#"["api.acme.test","evil.test"]"#, GITHUB.to_owned()),
            (r#""api.acme.test:8443""#, GITHUB.to_owned()),
            (r#""https://api.acme.test/v1""#, GITHUB.to_owned()),
            (r#""api.acme.test""#, GITHUB.replace("{base_url}/token", "https://evil.test/token")),
            (r#""api.acme.test""#, GITHUB.replace("{api_url}/apps", "https://evil.test/apps")),
            (
                r#""api.acme.test""#,
                GITHUB.replace("\"base_url\"", "\"revocation_url\":\"https://evil.test\",\"base_url\""),
            ),
        ] {
            assert_ne!(base, print(&definition(api_url, &rest), &[]), "{api_url} {rest}");
        }
        let own = [("base_url", "https://git.corp.test"), ("api_url", "https://git.corp.test/api")];
        assert_ne!(base, print(&definition(r#""api.acme.test""#, GITHUB), &own));
        let shop = definition(r#""{shop}.acme.test""#, FIELDS);
        assert_ne!(print(&shop, &[("shop", "one")]), print(&shop, &[("shop", "two")]));
    }
}
