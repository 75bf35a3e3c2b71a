//! What a definition says, in words for people.

use crate::model::{AuthType, FlowType, InjectPlace, InjectSpec, ProviderDefinition, WhenSpec};
use crate::provider::{ExportName, ExportSource};

/// Kind of credential.
pub(in crate::daemon) fn kind(auth_type: AuthType) -> &'static str {
    match auth_type {
        AuthType::ApiKey => "API key",
        AuthType::Oauth2 => "OAuth",
        AuthType::Browser => "Browser cookies",
    }
}

/// How a credential is got.
pub(super) fn flow(definition: &ProviderDefinition) -> &'static str {
    let oauth = definition.oauth.as_ref();
    let has_device = oauth.is_some_and(|oauth| oauth.supports_device_code == Some(true));
    match definition.flow {
        FlowType::ApiKey => "You paste a key that the provider gave you",
        FlowType::Browser => "The session of a signed-in browser is taken over",
        FlowType::DeviceCode => "You confirm a code in a browser on any device (RFC 8628)",
        FlowType::DcrPkce => "You sign in at the provider; the client registers itself (RFC 7591)",
        FlowType::Pkce if has_device => "You sign in at the provider, or confirm a code on any device (RFC 8628)",
        FlowType::Pkce => "You sign in at the provider in your browser",
    }
}

/// How a credential is put into requests, one line a slot. Placeholders stand for the secrets.
pub(super) fn slots(definition: &ProviderDefinition) -> Vec<String> {
    let mut lines = match definition.auth_type {
        _ if !definition.inject.is_empty() => definition.inject.iter().map(slot).collect(),
        AuthType::Oauth2 => vec!["Header Authorization: Bearer {access_token}".to_owned()],
        AuthType::ApiKey => vec![key_header(definition)],
        AuthType::Browser => cookies(definition),
    };
    let defaults = definition.default_headers.iter();
    lines.extend(defaults.map(|(name, value)| format!("Header {name}: {value}, where the program sends none")));
    lines
}

fn key_header(definition: &ProviderDefinition) -> String {
    let settings = definition.api_key.clone().unwrap_or_default();
    match settings.prefix() {
        "" => format!("Header {}: {{api_key}}", settings.header()),
        prefix => format!("Header {}: {prefix} {{api_key}}", settings.header()),
    }
}

fn slot(spec: &InjectSpec) -> String {
    let (name, value) = (spec.name.as_deref().unwrap_or_default(), &spec.value);
    let place = match spec.place {
        InjectPlace::Header => format!("Header {name}: {value}"),
        InjectPlace::Query => format!("Query parameter {name}={value}"),
        InjectPlace::Cookie => format!("Cookie {name}={value}"),
        InjectPlace::Basic => format!("HTTP Basic authentication with {value}"),
    };
    let when = spec.when.as_ref().map(condition).unwrap_or_default();
    let absent = if spec.only_if_absent { ", where the program sends none" } else { "" };
    [&place, when.as_str(), absent].concat()
}

fn condition(when: &WhenSpec) -> String {
    let begins = |verb: &str, prefixes: &[String]| match prefixes {
        [] => None,
        some => Some(format!("{verb} {}", some.join(" or "))),
    };
    let conditions = [begins("begins with", &when.prefix), begins("does not begin with", &when.not_prefix)];
    match conditions.into_iter().flatten().collect::<Vec<_>>().as_slice() {
        [] => format!(", where there is a {}", when.field),
        some => format!(", when {} {}", when.field, some.join(" and ")),
    }
}

fn cookies(definition: &ProviderDefinition) -> Vec<String> {
    let Some(browser) = &definition.browser else { return Vec::new() };
    let mut lines = vec![format!("Cookies {}", browser.auth_cookies.join(", "))];
    let repeated = browser.extract.iter();
    lines.extend(
        repeated.map(|extract| format!("Header {}, which repeats the cookie {}", extract.header, extract.cookie)),
    );
    let fixed: Vec<&str> = browser.extra_headers.keys().map(String::as_str).collect();
    if !fixed.is_empty() {
        lines.push(format!("Fixed headers {}", fixed.join(", ")));
    }
    lines
}

/// An exported variable and what it holds.
pub(super) fn export(name: &ExportName) -> String {
    let source = match &name.source {
        ExportSource::AccessToken => "the access token",
        ExportSource::RefreshToken => "the refresh token",
        ExportSource::ApiKey => "the API key",
        ExportSource::BaseUrl => "the base URL",
        ExportSource::ApiUrl => "the API URL",
        ExportSource::Field(field) => return format!("{}: the value of {field}", name.env),
    };
    format!("{}: {source}", name.env)
}

/// The hosts of a definition in few words: the first, and how many more.
pub(in crate::daemon) fn hosts(definition: &ProviderDefinition) -> String {
    let mut hosts: Vec<&str> = definition.api_url.as_slice().iter().map(|entry| host(entry)).collect();
    hosts.dedup();
    match hosts.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first, more @ ..] => format!("{first} and {} more", more.len()),
    }
}

/// The host of an `api_url` entry, as it stands there.
fn host(entry: &str) -> &str {
    let rest = entry.split_once("://").map_or(entry, |(_, rest)| rest);
    if rest.starts_with("regex:") { rest } else { rest.split('/').next().unwrap_or(rest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Registry, export_names, parse_definition};

    fn definition(rest: &str) -> ProviderDefinition {
        parse_definition(format!(r#"{{"name":"acme",{rest}}}"#).as_bytes()).expect("parses")
    }

    #[test]
    fn every_way_to_send_a_credential_has_words() {
        let key = r#""auth_type":"api_key","flow":"api_key""#;
        for (rest, expected) in [
            (key.to_owned(), "Header Authorization: Bearer {api_key}"),
            (format!(r#"{key},"api_key":{{"header_name":"X-Key","header_prefix":null}}"#), "Header X-Key: {api_key}"),
            (
                format!(r#"{key},"inject":[{{"in":"query","name":"key","value":"{{api_key}}"}}]"#),
                "Query parameter key={api_key}",
            ),
            (
                format!(r#"{key},"inject":[{{"in":"basic","value":"{{api_key}}:"}}]"#),
                "HTTP Basic authentication with {api_key}:",
            ),
            (
                format!(
                    r#"{key},"inject":[{{"in":"header","name":"A","value":"{{api_key}}","only_if_absent":true,
                        "when":{{"field":"api_key","prefix":["a","b"],"not_prefix":["ac"]}}}}]"#
                ),
                "Header A: {api_key}, when api_key begins with a or b and does not begin with ac, where the program \
                 sends none",
            ),
            (r#""auth_type":"oauth2","flow":"pkce""#.to_owned(), "Header Authorization: Bearer {access_token}"),
            (
                r#""auth_type":"browser","flow":"browser","browser":{"auth_cookies":["a","b"]}"#.to_owned(),
                "Cookies a, b",
            ),
        ] {
            assert_eq!(slots(&definition(&rest)), [expected], "{rest}");
        }
        let more = format!(r#"{key},"default_headers":{{"revision":"1"}}"#);
        assert_eq!(slots(&definition(&more))[1], "Header revision: 1, where the program sends none");
    }

    #[test]
    fn bundled_providers_say_where_and_how() {
        let home = crate::paths::Home::new("/nonexistent");
        for entry in Registry::open(&home).list() {
            let definition = &entry.definition;
            assert!(!hosts(definition).is_empty() && !slots(definition).is_empty(), "{}", definition.name);
            assert!(!export_names(definition).is_empty(), "{}", definition.name);
        }
    }

    #[test]
    fn hosts_are_named_once() {
        let with =
            |urls: &str| hosts(&definition(&format!(r#""auth_type":"api_key","flow":"api_key","api_url":{urls}"#)));
        assert_eq!(with(r#"["https://a.test/v1","a.test/v2"]"#), "a.test");
        assert_eq!(with(r#"["a.test","https://b.test:8443/x","*.c.test"]"#), "a.test and 2 more");
        assert_eq!(with(r#""regex:.*\\.a\\.test/""#), r"regex:.*\.a\.test/");
        assert_eq!(with("[]"), "");
    }
}
