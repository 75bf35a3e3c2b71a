//! Error answers: what they are taken for, and how much of them is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::testing::{Script, Server, acme, answer, confidential, json, outbound, refusal, secret};
use super::super::{FlowError, refresh};

fn refreshed(script: Script, dead_grant: &[(&str, &str)]) -> FlowError {
    let server = Server::plain(vec![script]);
    let mut provider = acme(&server.url("/token"));
    provider.settings.dead_grant =
        dead_grant.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>();
    refresh(&outbound(), &provider, &confidential(), &secret("refresh-token-1")).expect_err("no tokens")
}

#[test]
fn standard_errors_are_refusals_whatever_their_status() {
    let described = r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#;
    let form = "error=bad_verification_code&error_description=It+is+used.&error_uri=https%3A%2F%2Fx.test";
    let cases = [
        (refusal(400, described), "invalid_grant: Token has been expired or revoked.", true),
        (json(described), "invalid_grant: Token has been expired or revoked.", true),
        (refusal(403, r#"{"error":"invalid_grant","error_description":7}"#), "invalid_grant", true),
        (refusal(401, r#"{"error":"invalid_client"}"#), "invalid_client", false),
        (json(r#"{"ok":false,"error":"invalid_arguments"}"#), "invalid_arguments", false),
        (
            answer("200 OK", "Content-Type: application/x-www-form-urlencoded\r\n", form),
            "bad_verification_code: It is used.",
            false,
        ),
        (json(r#"{"error":"invalid_grant","access_token":"both"}"#), "invalid_grant", true),
    ];
    for (script, text, is_dead) in cases {
        let error = refreshed(script, &[]);
        assert!(matches!(error, FlowError::Refused { .. }), "{error:?}");
        assert_eq!((error.to_string().as_str(), error.is_invalid_grant()), (text, is_dead));
    }
}

#[test]
fn definitions_tell_dead_grants_in_their_providers_words() {
    let cases = [
        ("GitHub", json(r#"{"error":"bad_refresh_token"}"#), ("error", "bad_refresh_token"), "bad_refresh_token"),
        (
            "Slack",
            json(r#"{"ok":false,"error":"invalid_refresh_token"}"#),
            ("error", "invalid_refresh_token"),
            "invalid_refresh_token",
        ),
        (
            "HubSpot",
            refusal(400, r#"{"status":"BAD_REFRESH_TOKEN","message":"m"}"#),
            ("status", "BAD_REFRESH_TOKEN"),
            "",
        ),
        ("Reddit", refusal(400, r#"{"message":"Bad Request","error":400}"#), ("error", "400"), ""),
        (
            "Zoom",
            refusal(400, r#"{"reason":"Invalid Token!","error":"invalid_request"}"#),
            ("reason", "Invalid Token!"),
            "invalid_request",
        ),
    ];
    for (provider, script, fact, description) in cases {
        let error = refreshed(script, &[("other", "x"), fact]);
        assert!(error.is_invalid_grant(), "{provider}: {error:?}");
        let description = if description.is_empty() { String::new() } else { format!(": {description}") };
        assert_eq!(error.to_string(), format!("invalid_grant{description}"), "{provider}");
    }
    let cases = [
        (refusal(400, r#"{"status":"BAD_CLIENT_ID"}"#), ("status", "BAD_REFRESH_TOKEN")),
        (refusal(400, r#"{"error":{"status":"400"}}"#), ("status", "400")),
        (refusal(429, r#"{"error":400}"#), ("error", "400")),
        (refusal(503, r#"{"error":"bad_refresh_token"}"#), ("error", "bad_refresh_token")),
    ];
    for (script, fact) in cases {
        let error = refreshed(script, &[fact]);
        assert!(!error.is_invalid_grant(), "{error:?}");
    }
}

#[test]
fn errors_of_another_form_are_told_by_their_status_only() {
    let hidden = [
        r#"{"error":{"code":"hidden","message":"hidden"}}"#,
        r#"{"error":401,"message":"hidden"}"#,
        r#"{"errors":[{"message":"hidden"}]}"#,
        r#"{"message":"hidden","object":"error","code":"hidden"}"#,
        r#"{"error_description":"hidden"}"#,
        "<html>hidden</html>",
        "hidden",
        "",
    ];
    for body in hidden {
        let error = refreshed(refusal(401, body), &[]);
        assert!(matches!(error, FlowError::Unusable { .. }), "{body}: {error:?}");
        assert_eq!(error.to_string(), "127.0.0.1 answered with status 401", "{body}");
    }
    for body in [r#"{"error":{"message":"hidden"}}"#, r#"{"ok":false,"message":"hidden"}"#, r#"{"error":401}"#] {
        assert_eq!(refreshed(json(body), &[]).to_string(), "127.0.0.1 answered with an error that is not OAuth's");
    }
}

#[test]
fn texts_that_repeat_a_secret_or_a_terminal_code_are_not_shown_as_they_are() {
    let echo = r#"{"error":"invalid_grant","error_description":"unknown token refresh-token-1"}"#;
    assert_eq!(refreshed(refusal(400, echo), &[]).to_string(), "invalid_grant");
    let echo = r#"{"error":"no such client-secret-1"}"#;
    assert_eq!(refreshed(refusal(400, echo), &[]).to_string(), "127.0.0.1 answered with status 400");
    let noisy = format!(r#"{{"error":"invalid_grant","error_description":"\u001b[31m{}"}}"#, "x".repeat(500));
    let shown = refreshed(refusal(400, &noisy), &[]).to_string();
    assert_eq!(shown.chars().count(), "invalid_grant: ".len() + 199, "{shown}");
    assert!(!shown.contains('\u{1b}'));
}

#[test]
fn an_overloaded_server_is_left_alone_for_as_long_as_it_asks() {
    let resting = |status: &str, fields: &str| refreshed(answer(status, fields, r#"{"error":"invalid_grant"}"#), &[]);
    let error = resting("429 Slow", "Content-Type: application/json\r\nRetry-After: 120\r\n");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(120)));
    assert!(!error.is_invalid_grant(), "about the pace, not about the grant");
    assert_eq!(error.to_string(), "127.0.0.1 answered with too many requests (status 429)");
    let later = crate::clock::Clock::system().now().plus_seconds(600).to_http_date();
    let error = resting("503 Down", &format!("Retry-After: {later}\r\n"));
    let left = error.retry_after().expect("a time").as_secs();
    assert!((590..=600).contains(&left), "{left}");
    assert_eq!(resting("429 Slow", "Retry-After: 999999\r\n").retry_after(), Some(Duration::from_secs(3600)));
    for (status, fields) in
        [("429 Slow", ""), ("503 Down", "Retry-After: soon\r\n"), ("500 Oops", "Retry-After: 5\r\n")]
    {
        let error = resting(status, fields);
        assert!(matches!(error, FlowError::Unusable { retry_after: None, .. }), "{error:?}");
    }
}
