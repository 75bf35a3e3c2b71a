//! Where a call goes: TLS and whom it trusts, the address guard, the operator's proxy.

use std::time::{Duration, Instant};

use super::super::testing::{
    Identity, Server, Unvisited, acme, confidential, drip, json, leading, outbound, raw, secret,
};
use super::super::{FlowError, Outbound, refresh};
use crate::net::{NetSettings, UpstreamProxy};

const TOKENS: &str = r#"{"access_token":"at-1"}"#;

fn refreshed(settings: NetSettings, url: &str) -> Result<String, FlowError> {
    let tokens = refresh(&Outbound::new(settings), &acme(url), &confidential(), &secret("rt-1"))?;
    Ok(tokens.access_token.expose().to_owned())
}

fn reason(settings: NetSettings, url: &str) -> String {
    match refreshed(settings, url) {
        Err(FlowError::Unreachable { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

fn with_proxy(mut settings: NetSettings, url: &str) -> NetSettings {
    settings.upstream_proxy = Some(UpstreamProxy::parse(url).expect("a proxy"));
    settings
}

#[test]
fn a_verified_server_gets_the_request() {
    let identity = Identity::of("auth.x.test");
    let server = Server::tls(&identity, vec![json(TOKENS), json(TOKENS)]);
    let outbound = Outbound::new(leading("auth.x.test", server.port, &identity));
    for _ in 0..2 {
        refresh(&outbound, &acme("https://auth.x.test/token"), &confidential(), &secret("rt-1")).expect("tokens");
        let request = server.request();
        assert!(request.contains("\r\nhost: auth.x.test\r\n"), "{request}");
        assert!(request.contains("\r\nconnection: close\r\n"), "no connection is kept: {request}");
    }
    server.assert_nothing_came();
}

#[test]
fn a_stranger_gets_nothing() {
    let other_name = Identity::of("other.test");
    let server = Server::tls(&other_name, vec![json(TOKENS)]);
    let found = reason(leading("auth.x.test", server.port, &other_name), "https://auth.x.test/token");
    assert_eq!(found, "its certificate is for another name");
    server.assert_nothing_came();

    let (known, unknown) = (Identity::of("auth.x.test"), Identity::of("auth.x.test"));
    let server = Server::tls(&unknown, vec![json(TOKENS)]);
    let found = reason(leading("auth.x.test", server.port, &known), "https://auth.x.test/token");
    assert!(found.starts_with("its certificate is not"), "{found}");
    server.assert_nothing_came();
}

#[test]
fn a_handshake_that_does_not_end_does_not_outlast_the_deadline() {
    let identity = Identity::of("auth.x.test");
    let closed = Server::hasty(vec![raw("")]);
    let found = reason(leading("auth.x.test", closed.port, &identity), "https://auth.x.test/token");
    assert_eq!(found, "the connection was closed during the TLS handshake");
    // The start of a TLS record of 16 KiB, then its bytes one by one.
    let (script, _guard) = drip("\u{16}\u{3}\u{3}\u{40}\0", b"\0");
    let server = Server::hasty(vec![script]);
    let (limit, start) = (Duration::from_millis(300), Instant::now());
    let outbound = Outbound::new(leading("auth.x.test", server.port, &identity)).within(limit);
    let error = refresh(&outbound, &acme("https://auth.x.test/t"), &confidential(), &secret("rt-1")).expect_err("late");
    assert!(error.to_string().ends_with("no answer within 300ms"), "{error}");
    assert!(start.elapsed() >= limit && start.elapsed() < Duration::from_secs(20));
}

#[test]
fn names_that_lead_to_this_machine_are_not_dialled() {
    for host in ["2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "a.localhost", "169.254.169.254"] {
        let found = reason(NetSettings::default(), &format!("https://{host}/token"));
        // Some C libraries do not take the numeric forms at all, which is as good.
        assert!(found.contains("which is never dialled") || found.contains("has no address"), "{host}: {found}");
    }
}

#[test]
fn a_url_that_names_this_machine_is_dialled() {
    let server = Server::plain(vec![json(TOKENS), json(TOKENS)]);
    assert_eq!(refreshed(NetSettings::default(), &server.url("/token")).as_deref(), Ok("at-1"));
    let by_name = format!("http://localhost:{}/token", server.port);
    let mut settings = NetSettings::default();
    settings.add_overrides(&format!("localhost:{0}:127.0.0.1", server.port)).expect("an override");
    assert_eq!(refreshed(settings, &by_name).as_deref(), Ok("at-1"));
    let identity = Identity::of("127.0.0.1");
    let server = Server::tls(&identity, vec![json(TOKENS)]);
    let settings = leading("unused.test", 1, &identity);
    assert_eq!(refreshed(settings, &format!("https://127.0.0.1:{}/token", server.port)).as_deref(), Ok("at-1"));
}

#[test]
fn plain_http_goes_nowhere_else() {
    let nobody = Unvisited::new();
    let mut settings = NetSettings::default();
    settings.add_overrides(&format!("auth.x.test:80:127.0.0.1:{}", nobody.port())).expect("an override");
    let error = refreshed(settings, "http://auth.x.test/token").expect_err("refused");
    assert!(matches!(error, FlowError::Unsupported { .. }), "{error}");
    assert_eq!(error.to_string(), "the URL of the token endpoint is not an https URL");
    nobody.assert_unvisited();
}

#[test]
fn the_operators_proxy_is_used() {
    let identity = Identity::of("auth.x.test");
    let server = Server::proxy(&identity, vec![json(TOKENS)]);
    let settings = leading("unused.test", 1, &identity);
    let settings = with_proxy(settings, &format!("http://user:p%40ss@127.0.0.1:{}", server.port));
    assert_eq!(refreshed(settings, "https://auth.x.test/token").as_deref(), Ok("at-1"));
    assert_eq!(
        server.request(),
        "CONNECT auth.x.test:443 HTTP/1.1\r\nHost: auth.x.test:443\r\n\
         Proxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n"
    );
    let inside = server.request();
    assert!(inside.starts_with("POST /token HTTP/1.1\r\n") && !inside.contains("roxy"), "{inside}");
}

#[test]
fn a_proxy_that_does_not_connect_is_told_from_the_server() {
    let refused = |settings: NetSettings, host: &str| reason(settings, &format!("https://{host}/token"));
    let identity = Identity::of("auth.x.test");
    for (answer, problem) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "it answered 407"),
        ("HTTP/1.1 200 OK\r\n\r\nearly", "it sent more than an answer"),
        ("nonsense\r\n\r\n", "did not connect"),
        ("", "did not connect: the connection was closed"),
    ] {
        let server = Server::plain(vec![raw(answer)]);
        let proxy = format!("http://user:secret-word@127.0.0.1:{}", server.port);
        let found = refused(with_proxy(leading("unused.test", 1, &identity), &proxy), "auth.x.test");
        assert!(found.contains(problem) && found.contains("HTTPS_PROXY"), "{found}");
        assert!(!found.contains("secret-word"), "{found}");
    }
    let nobody = Unvisited::new();
    let proxy = format!("http://127.0.0.1:{}", nobody.port());
    let found = refused(with_proxy(NetSettings::default(), &proxy), "169.254.169.254");
    assert!(found.contains("never dialled"), "not by a proxy either: {found}");
    let server = Server::plain(vec![json(TOKENS)]);
    let settings = with_proxy(NetSettings::default(), &proxy);
    assert_eq!(refreshed(settings, &server.url("/token")).as_deref(), Ok("at-1"), "loopback needs no proxy");
    let over_tls = with_proxy(NetSettings::default(), &format!("https://127.0.0.1:{}", nobody.port()));
    assert!(refused(over_tls, "auth.x.test").contains("not supported yet"));
    nobody.assert_unvisited();
}

#[test]
fn roots_that_cannot_be_read_stop_calls_over_tls_only() {
    let mut settings = NetSettings::default();
    settings.platform_ca = Some("/nowhere/roots.pem".into());
    let found = reason(settings.clone(), "https://auth.x.test/token");
    assert!(found.contains("the trust roots cannot be read") && found.contains("/nowhere/roots.pem"), "{found}");
    let server = Server::plain(vec![json(TOKENS)]);
    assert_eq!(refreshed(settings, &server.url("/token")).as_deref(), Ok("at-1"));
}

#[test]
fn nobody_listening_is_unreachable() {
    let nobody = Unvisited::new();
    let url = format!("http://127.0.0.1:{}/token", nobody.port());
    drop(nobody);
    let error = refresh(&outbound(), &acme(&url), &confidential(), &secret("rt-1")).expect_err("nobody");
    assert!(matches!(&error, FlowError::Unreachable { endpoint, .. } if endpoint == "127.0.0.1"), "{error:?}");
}
