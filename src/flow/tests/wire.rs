//! The bytes of every kind of request.

use super::super::testing::{Server, acme, confidential, json, outbound, public, secret};
use super::super::{Redemption, redeem, refresh};

const TOKENS: &str = r#"{"access_token":"at-1","refresh_token":"rt-2","expires_in":3600,"token_type":"Bearer"}"#;

#[test]
fn a_code_is_redeemed_in_one_exact_request() {
    let server = Server::plain(vec![json(TOKENS)]);
    let provider = acme(&server.url("/token?tenant=1"));
    let (code, verifier) = (secret("code/1"), secret("verifier-1"));
    let redemption = Redemption {
        code: &code,
        redirect_uri: "http://127.0.0.1:7998/api/auth/callback/oauth",
        verifier: Some(&verifier),
    };
    let tokens = redeem(&outbound(), &provider, &confidential(), &redemption).expect("tokens");
    assert_eq!(tokens.access_token.expose(), "at-1");
    let version = env!("CARGO_PKG_VERSION");
    let body = "grant_type=authorization_code&code=code%2F1\
        &redirect_uri=http%3A%2F%2F127.0.0.1%3A7998%2Fapi%2Fauth%2Fcallback%2Foauth\
        &code_verifier=verifier-1&client_id=my-client&client_secret=client-secret-1";
    let expected = format!(
        "POST /token?tenant=1 HTTP/1.1\r\naccept-encoding: identity\r\ncontent-length: {}\r\n\
         user-agent: authsome/{version} ({}:authsome:{version})\r\naccept: application/json\r\n\
         host: 127.0.0.1:{}\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len(),
        std::env::consts::OS,
        server.port,
    );
    assert_eq!(server.request(), expected);
}

#[test]
fn clients_are_authenticated_as_the_definition_says() {
    let cases = [
        (None, true, None, "client_id=my-client&client_secret=client-secret-1"),
        (Some("body"), true, None, "client_id=my-client&client_secret=client-secret-1"),
        (Some("basic"), true, Some("authorization: Basic bXktY2xpZW50OmNsaWVudC1zZWNyZXQtMQ=="), ""),
        (Some("basic"), false, None, "client_id=my-client"),
        (None, false, None, "client_id=my-client"),
    ];
    for (method, is_confidential, header, fields) in cases {
        let server = Server::plain(vec![json(TOKENS)]);
        let mut provider = acme(&server.url("/token"));
        provider.settings.authorization_method = method.map(str::to_owned);
        let client = if is_confidential { confidential() } else { public() };
        refresh(&outbound(), &provider, &client, &secret("rt-1")).expect("tokens");
        let request = server.request();
        let (head, body) = request.split_once("\r\n\r\n").expect("a head");
        let found = head.lines().find(|line| line.starts_with("authorization"));
        assert_eq!(found, header, "{method:?}");
        let expected = format!("grant_type=refresh_token&refresh_token=rt-1&{fields}");
        assert_eq!(body, expected.trim_end_matches('&'), "{method:?}");
    }
}

#[test]
fn a_provider_may_want_json() {
    let server = Server::plain(vec![json(TOKENS), json(TOKENS)]);
    let mut provider = acme(&server.url("/token"));
    provider.settings.token_request = Some("json".to_owned());
    let code = secret("c\"1");
    let redemption = Redemption { code: &code, redirect_uri: "https://d.test/cb", verifier: None };
    redeem(&outbound(), &provider, &confidential(), &redemption).expect("tokens");
    let request = server.request();
    assert!(request.contains("\r\ncontent-type: application/json\r\n"), "{request}");
    assert!(
        request.ends_with(
            r#"{"grant_type":"authorization_code","code":"c\"1","redirect_uri":"https://d.test/cb","client_id":"my-client","client_secret":"client-secret-1"}"#
        ),
        "{request}"
    );
    refresh(&outbound(), &provider, &public(), &secret("rt-1")).expect("tokens");
    assert_eq!(server.body(), r#"{"grant_type":"refresh_token","refresh_token":"rt-1","client_id":"my-client"}"#);
}
