//! Servers that redirect, drip, flood, break off, or answer with something else.

use std::time::{Duration, Instant};

use super::super::testing::{
    Script, Server, Unvisited, acme, answer, confidential, drip, endless, json, outbound, raw, secret,
};
use super::super::{FlowError, Tokens, refresh};
use crate::limits::{HEAD_BYTES, OAUTH_BODY_BYTES};

/// The deadline of calls that are meant to miss it.
const SHORT: Duration = Duration::from_millis(300);
/// Far less than a deadline that starts again with every byte would take.
const SOON: Duration = Duration::from_secs(20);

fn refreshed(script: Script) -> Result<Tokens, FlowError> {
    let server = Server::plain(vec![script]);
    refresh(&outbound(), &acme(&server.url("/token")), &confidential(), &secret("rt-1"))
}

fn unusable(script: Script) -> String {
    match refreshed(script) {
        Err(error @ FlowError::Unusable { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn unreachable(script: Script) -> String {
    match refreshed(script) {
        Err(error @ FlowError::Unreachable { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_redirect_is_not_followed_and_its_target_learns_nothing() {
    for status in [300, 301, 302, 303, 304, 307, 308] {
        let target = Unvisited::new();
        let location = format!("Location: http://127.0.0.1:{}/stolen\r\n", target.port());
        let error = unusable(answer(&format!("{status} Elsewhere"), &location, r#"{"access_token":"a"}"#));
        assert_eq!(error, format!("127.0.0.1 answered with a redirect (status {status}), which is not followed"));
        target.assert_unvisited();
    }
}

#[test]
fn answers_that_are_no_tokens_are_of_no_use() {
    let html = "<!DOCTYPE html><title>Sign in</title>";
    let cases = [
        (answer("200 OK", "Content-Type: text/html\r\n", html), "a web page"),
        (answer("200 OK", "Content-Type: application/json\r\n", html), "a web page"),
        (answer("200 OK", "", ""), "nothing"),
        (answer("204 No Content", "", ""), "nothing"),
        (json("{}"), "no access token"),
        (json(r#"{"refresh_token":"rt-2"}"#), "no access token"),
        (json(r#"{"access_token":"a","access_token":"b"}"#), "JSON that has one member twice"),
        (json(r#"{"access_token":"a","expires_in":1,"expires_in":2}"#), "JSON that has one member twice"),
        (json(r#"{"access_token":"a"#), "broken JSON"),
        (json("null"), "neither JSON nor a form"),
        (json(r#"["access_token"]"#), "neither JSON nor a form"),
        (json(r#"{"access_token":"a\u000ab"}"#), "a control character"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\xff".to_vec()), "not text"),
        (answer("500 Oops", "Content-Type: application/json\r\n", r#"{"access_token":"a"}"#), "status 500"),
        (answer("502 Bad gateway", "Content-Type: text/html\r\n", html), "status 502"),
        (answer("418 Teapot", "", "short and stout"), "status 418"),
    ];
    for (script, problem) in cases {
        let error = unusable(script);
        assert!(error.contains(problem), "{problem}: {error}");
        assert!(!error.contains("Sign in") && !error.contains("stout"), "{error}");
    }
}

#[test]
fn a_wrong_content_type_does_not_hide_tokens() {
    for (fields, body) in [
        ("Content-Type: text/html\r\n", r#"{"access_token":"at-1"}"#),
        ("Content-Type: application/json\r\n", "access_token=at-1&token_type=bearer"),
        ("Content-Type: text/plain\r\n", "access_token=at-1"),
        ("Content-Type: application/x-www-form-urlencoded\r\n", r#"{"access_token":"at-1"}"#),
        ("", r#"{"access_token":"at-1"}"#),
    ] {
        let tokens = refreshed(answer("200 OK", fields, body)).expect(body);
        assert_eq!(tokens.access_token.expose(), "at-1", "{fields}");
    }
    let early = raw("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"at-1\"}");
    assert_eq!(refreshed(early).expect("the final answer").access_token.expose(), "at-1");
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"access_\r\ne\r\ntoken\":\"at-1\"}\r\n0\r\n\r\n";
    assert_eq!(refreshed(raw(chunked)).expect("chunks").access_token.expose(), "at-1");
}

#[test]
fn an_answer_beyond_the_cap_is_an_error_and_not_cut() {
    let padded = |length: usize| {
        let (start, end) = (r#"{"access_token":"at-1","pad":""#, r#""}"#);
        format!("{start}{}{end}", "x".repeat(length - start.len() - end.len()))
    };
    refreshed(json(&padded(OAUTH_BODY_BYTES))).expect("at the cap");
    let floods = [
        json(&padded(OAUTH_BODY_BYTES + 1)),
        endless("HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"at-1\"}", vec![b' '; 4096]),
        endless("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", vec![b'x'; 4096]),
        endless(
            "HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n",
            [b"1000\r\n", &[b'x'; 4096][..], b"\r\n"].concat(),
        ),
    ];
    for flood in floods {
        let error = unusable(flood);
        assert_eq!(error, format!("127.0.0.1 answered with more than {OAUTH_BODY_BYTES} bytes"));
    }
}

#[test]
fn what_is_not_http_is_refused() {
    let long_head = format!("HTTP/1.1 200 OK\r\nX-Pad: {}\r\n\r\n{{}}", "x".repeat(HEAD_BYTES));
    let many_fields = format!("HTTP/1.1 200 OK\r\n{}\r\n{{}}", "X: y\r\n".repeat(1000));
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n17\r\n{\"access_token\":\"at-1\"}\r\n";
    let long = "x".repeat(4 * HEAD_BYTES);
    for script in [
        raw("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        raw(format!("{chunks}0;{long}\r\n\r\n")),
        raw(format!("{chunks}0\r\nX: {long}\r\n\r\n")),
        raw(long_head),
        raw(many_fields),
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        endless("HTTP/1.1 200 OK\r\nX-Pad: ", vec![b'x'; 4096]),
    ] {
        assert_eq!(unusable(script), "127.0.0.1 answered with something that is not HTTP");
    }
}

#[test]
fn an_answer_that_breaks_off_is_none() {
    let breaks = [
        "",
        "HTTP/1.1 200 OK\r\nContent-Ty",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"access_token\":\"at-1\"}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n17\r\n{\"access_token\":\"at-1\"}\r\n",
    ];
    for text in breaks {
        let error = unreachable(raw(text));
        assert!(error.ends_with("the connection was closed before a complete answer"), "{text:?}: {error}");
    }
}

#[test]
fn a_request_is_never_sent_twice() {
    let server = Server::plain(vec![raw(""), json(r#"{"access_token":"at-1"}"#)]);
    let (outbound, provider) = (outbound(), acme(&server.url("/token")));
    let first = refresh(&outbound, &provider, &confidential(), &secret("rt-1"));
    assert!(matches!(first, Err(FlowError::Unreachable { .. })), "{first:?}");
    // A second request of the first call would have taken the second script.
    refresh(&outbound, &provider, &confidential(), &secret("rt-1")).expect("tokens");
    server.request();
    server.request();
    server.assert_nothing_came();
}

#[test]
fn a_slow_drip_does_not_outlast_the_deadline() {
    let cases = [
        ("head", "HTTP/1.1 200 OK\r\n", &b"X: y\r\n"[..]),
        ("body", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{", b" "),
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        ("body without an end", "HTTP/1.1 200 OK\r\n\r\n{", b" "),
        ("interim answers", "", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        ("nothing", "", b""),
    ];
    for (what, first, again) in cases {
        let (script, _guard) = drip(first, again);
        let server = Server::plain(vec![script]);
        let start = Instant::now();
        let outbound = outbound().within(SHORT);
        let error = refresh(&outbound, &acme(&server.url("/token")), &confidential(), &secret("rt-1"));
        let took = start.elapsed();
        assert!(took >= SHORT && took < SOON, "{what}: {took:?}");
        match error.expect_err(what) {
            FlowError::Unreachable { reason, .. } => assert_eq!(reason, "no answer within 300ms", "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}
