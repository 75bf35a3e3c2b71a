//! Discovery of an authorization server's endpoints (RFC 8414, OpenID Connect Discovery 1.0).

use std::time::Instant;

use super::call::{Call, Method, Shape};
use super::document::Document;
use super::endpoint::Endpoint;
use super::{AuthServer, FlowError, Outbound};
use crate::limits::OAUTH_CALL_DEADLINE;

/// Adds to `server` what its metadata says and its definition does not: endpoints, the registration endpoint, the
/// issuer. What the definition says stays.
///
/// Metadata counts only where it names as issuer the place that it was fetched from (RFC 8414 section 3.3), and an
/// endpoint on this machine only where the server itself is on this machine: a stranger must not lead us there. All
/// requests together have the time of one call.
///
/// # Errors
/// `Unsupported` when nothing says where the server is; `Unusable` also when there is no authorization or token endpoint
/// then; else see [`FlowError`].
pub fn discover(outbound: &Outbound, server: &AuthServer) -> Result<AuthServer, FlowError> {
    let until = Instant::now() + OAUTH_CALL_DEADLINE;
    let mut problem = None;
    for issuer in issuers(server)? {
        for url in [oauth_url(&issuer), openid_url(&issuer)] {
            match fetch(outbound, &issuer, &url, until) {
                Ok(Some(metadata)) => return complete(server, &issuer, &metadata),
                Ok(None) => {}
                Err(error @ FlowError::Unreachable { .. }) => return Err(error),
                Err(error) => problem = problem.or(Some(error)),
            }
        }
    }
    Err(problem.unwrap_or_else(|| FlowError::Unsupported {
        reason: format!("the authorization server of {} publishes no metadata (RFC 8414)", server.provider),
    }))
}

/// Where the server may call itself, the likeliest first: its known issuer, else the origin of its endpoints. Where the
/// base URL has a path there, that is a tenant, and an issuer of its own.
fn issuers(server: &AuthServer) -> Result<Vec<Endpoint>, FlowError> {
    let settings = &server.settings;
    if server.issuer.is_some() {
        return Endpoint::required(server.issuer.as_deref(), "issuer").map(|issuer| vec![issuer]);
    }
    let urls = [&settings.authorization_url, &settings.token_url, &settings.base_url];
    let known = urls.into_iter().find_map(|url| url.as_deref());
    let origin = Endpoint::required(known, "authorization")?.origin();
    let tenant = settings.base_url.as_deref().and_then(|url| Endpoint::parse(url).ok());
    let tenant = tenant.filter(|tenant| !path(tenant).is_empty() && is_same(&tenant.origin(), &origin));
    Ok(tenant.into_iter().chain([origin]).collect())
}

/// RFC 8414 section 3.1: the well-known part goes between host and path.
fn oauth_url(issuer: &Endpoint) -> String {
    format!("{}/.well-known/oauth-authorization-server{}", issuer.origin().as_str(), path(issuer))
}

/// OpenID Connect Discovery 1.0 section 4: it goes to the end.
fn openid_url(issuer: &Endpoint) -> String {
    format!("{}{}/.well-known/openid-configuration", issuer.origin().as_str(), path(issuer))
}

/// Without a slash at its end.
fn path(issuer: &Endpoint) -> &str {
    issuer.uri().path().trim_end_matches('/')
}

fn is_same(one: &Endpoint, other: &Endpoint) -> bool {
    let parts = |it: &Endpoint| (it.is_secure(), it.host().to_owned(), it.port(), path(it).to_owned());
    parts(one) == parts(other) && one.uri().query() == other.uri().query()
}

/// The metadata at `url`. `None`: there is none; many servers have one of the two documents only.
fn fetch(outbound: &Outbound, issuer: &Endpoint, url: &str, until: Instant) -> Result<Option<Document>, FlowError> {
    let endpoint = Endpoint::required(Some(url), "metadata")?;
    let call = Call::new(Method::Get, &endpoint, Shape::Nothing);
    let answer = outbound.send_within(&call, until.saturating_duration_since(Instant::now()))?;
    if matches!(answer.status, 300..=428 | 430..=499) {
        return Ok(None);
    }
    let metadata = answer.success(&call)?;
    let named = metadata.text("issuer").and_then(|named| Endpoint::parse(named).ok());
    if named.is_some_and(|named| is_same(&named, issuer)) {
        Ok(Some(metadata))
    } else {
        Err(answer.unusable("metadata of another issuer"))
    }
}

/// `server` with what `metadata` of `issuer` adds.
fn complete(server: &AuthServer, issuer: &Endpoint, metadata: &Document) -> Result<AuthServer, FlowError> {
    let mut complete = server.clone();
    let settings = &mut complete.settings;
    let wanted = [
        (&mut settings.authorization_url, "authorization_endpoint"),
        (&mut settings.token_url, "token_endpoint"),
        (&mut settings.revocation_url, "revocation_endpoint"),
        (&mut settings.device_authorization_url, "device_authorization_endpoint"),
        (&mut complete.registration_endpoint, "registration_endpoint"),
    ];
    for (place, name) in wanted {
        if place.is_none()
            && let Some(url) = metadata.text(name)
        {
            *place = Some(checked(issuer, url)?);
        }
    }
    let named = metadata.text("issuer").map(str::to_owned);
    complete.issuer = complete.issuer.or(named);
    // Nobody should be sent to a page, or a client be registered, when no tokens can come of it (RFC 8414 section 2).
    let (page, tokens) = (&complete.settings.authorization_url, &complete.settings.token_url);
    for (endpoint, name) in [(page, "an authorization"), (tokens, "a token")] {
        if endpoint.is_none() {
            return Err(unusable(issuer, &format!("metadata without {name} endpoint")));
        }
    }
    Ok(complete)
}

fn checked(issuer: &Endpoint, url: &str) -> Result<String, FlowError> {
    match Endpoint::parse(url) {
        Ok(found) if !found.is_loopback() || issuer.is_loopback() => Ok(url.to_owned()),
        _ => Err(unusable(issuer, "metadata with an endpoint that may not be called")),
    }
}

fn unusable(issuer: &Endpoint, reason: &str) -> FlowError {
    FlowError::Unusable { endpoint: issuer.host().to_owned(), reason: reason.to_owned(), retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::testing::acme;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::parse(url).expect(url)
    }

    #[test]
    fn metadata_is_looked_for_where_the_standards_say() {
        let cases = [
            (
                "https://x.test",
                "https://x.test/.well-known/oauth-authorization-server",
                "https://x.test/.well-known/openid-configuration",
            ),
            (
                "https://X.test:8443/a/b/",
                "https://X.test:8443/.well-known/oauth-authorization-server/a/b",
                "https://X.test:8443/a/b/.well-known/openid-configuration",
            ),
        ];
        for (issuer, oauth, openid) in cases {
            assert_eq!(
                (oauth_url(&endpoint(issuer)).as_str(), openid_url(&endpoint(issuer)).as_str()),
                (oauth, openid)
            );
        }
    }

    #[test]
    fn the_server_is_where_its_endpoints_are() {
        let found_for = |change: &dyn Fn(&mut AuthServer)| {
            let mut server = acme("https://token.x.test/token");
            change(&mut server);
            let found = issuers(&server).expect("issuers");
            found.iter().map(|it| it.as_str().to_owned()).collect::<Vec<_>>()
        };
        let base = |server: &mut AuthServer, url: &str| server.settings.base_url = Some(url.to_owned());
        assert_eq!(found_for(&|_| ()), ["https://token.x.test"]);
        assert_eq!(
            found_for(&|server| server.settings.authorization_url = Some("https://auth.x.test:8/o/auth?a=b".to_owned())),
            ["https://auth.x.test:8"]
        );
        assert_eq!(
            found_for(&|server| base(server, "https://token.x.test/tenant/")),
            ["https://token.x.test/tenant/", "https://token.x.test"]
        );
        assert_eq!(found_for(&|server| base(server, "https://other.test/tenant")), ["https://token.x.test"]);
        assert_eq!(
            found_for(&|server| {
                server.settings.token_url = None;
                base(server, "https://x.test/");
            }),
            ["https://x.test"]
        );
        assert_eq!(found_for(&|server| server.issuer = Some("https://i.test/a".to_owned())), ["https://i.test/a"]);
        let nowhere = AuthServer { settings: crate::model::OAuthSettings::default(), ..acme("") };
        assert!(matches!(issuers(&nowhere), Err(FlowError::Unsupported { .. })));
    }

    #[test]
    fn issuers_are_the_same_up_to_spelling() {
        for (one, other) in [
            ("https://x.test", "https://X.test:443/"),
            ("https://x.test/a", "https://x.test/a/"),
            ("http://localhost:80", "http://localhost"),
        ] {
            assert!(is_same(&endpoint(one), &endpoint(other)), "{one} {other}");
        }
        for (one, other) in [
            ("https://x.test", "https://x.test.evil.test"),
            ("https://x.test", "https://x.test/a"),
            ("https://x.test/a", "https://x.test/A"),
            ("https://x.test", "https://x.test:8443"),
            ("https://x.test", "https://x.test?a"),
            ("https://localhost", "http://localhost:443"),
        ] {
            assert!(!is_same(&endpoint(one), &endpoint(other)), "{one} {other}");
        }
    }

    #[test]
    fn what_metadata_adds_and_what_it_may_not() {
        let read = |json: &str| Document::parse(None, json.as_bytes()).expect("JSON");
        let server = acme("https://x.test/own-token");
        let metadata = read(
            r#"{"issuer":"https://x.test/","token_endpoint":"https://evil.test/t","revocation_endpoint":null,
                "authorization_endpoint":"https://login.x.test/a","registration_endpoint":"https://x.test/r"}"#,
        );
        let found = complete(&server, &endpoint("https://x.test"), &metadata).expect("complete");
        assert_eq!(found.settings.token_url.as_deref(), Some("https://x.test/own-token"), "the definition stays");
        assert_eq!(found.settings.authorization_url.as_deref(), Some("https://login.x.test/a"));
        assert_eq!(found.registration_endpoint.as_deref(), Some("https://x.test/r"));
        assert_eq!((found.settings.revocation_url, found.issuer.as_deref()), (None, Some("https://x.test/")));
        for url in [
            "http://x.test/r",
            "http://127.0.0.1/r",
            "https://localhost/r",
            "//x.test/r",
            "/r",
            "https:///r",
            "https://a@x.test/r",
            "https://x.test/r#f",
            "file:///r",
        ] {
            let page = "https://x.test/a";
            let json = serde_json::json!({"authorization_endpoint": page, "registration_endpoint": url});
            let error = complete(&server, &endpoint("https://x.test"), &read(&json.to_string())).expect_err(url);
            assert!(error.to_string().ends_with("an endpoint that may not be called"), "{url}: {error}");
        }
        let local =
            r#"{"authorization_endpoint":"http://127.0.0.1:9/a","registration_endpoint":"http://127.0.0.1:9/r"}"#;
        complete(&server, &endpoint("http://localhost:8"), &read(local)).expect("both are here");
        let nowhere = complete(&server, &endpoint("https://x.test"), &read("{}")).expect_err("no page to go to");
        assert!(nowhere.to_string().contains("without an authorization endpoint"), "{nowhere}");
    }
}
