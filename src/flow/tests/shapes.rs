//! Device codes, discovery, registration and revocation on the wire.

use serde_json::json;

use super::super::testing::{
    Server, Unvisited, acme, answer, confidential, json, outbound, public, raw, refusal, secret,
};
use super::super::{
    AuthMethod, ClientMetadata, DevicePoll, FlowError, OAuthClient, TokenKind, discover, poll_device, register, revoke,
    start_device,
};
use crate::model::RevokeSpec;

const GRANT: &str = r#"{"device_code":"dc-1","user_code":"AB-CD","verification_uri":"https://x.test/d"}"#;

#[test]
fn a_device_code_is_asked_for_and_polled_as_a_form() {
    let pending = refusal(400, r#"{"error":"authorization_pending"}"#);
    let server = Server::plain(vec![json(GRANT), pending]);
    let mut provider = acme(&server.url("/token"));
    provider.settings.device_authorization_url = Some(server.url("/device"));
    let scopes = ["read".to_owned(), "write".to_owned()];
    let grant = start_device(&outbound(), &provider, &public(), &scopes).expect("a grant");
    let request = server.request();
    assert!(request.starts_with("POST /device HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\nclient_id=my-client&scope=read%20write"), "{request}");
    let poll = poll_device(&outbound(), &provider, &confidential(), &grant.device_code).expect("an answer");
    assert!(matches!(poll, DevicePoll::Pending));
    assert_eq!(
        server.body(),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=dc-1\
         &client_id=my-client&client_secret=client-secret-1"
    );
}

#[test]
fn a_device_client_with_basic_names_itself_in_the_form_as_well() {
    let server = Server::plain(vec![json(GRANT)]);
    let mut provider = acme(&server.url("/token"));
    provider.settings.authorization_method = Some("basic".to_owned());
    provider.settings.device_authorization_url = Some(server.url("/device"));
    start_device(&outbound(), &provider, &confidential(), &[]).expect("a grant");
    let request = server.request();
    assert!(request.contains("\r\nauthorization: Basic "), "{request}");
    assert!(request.ends_with("\r\n\r\nclient_id=my-client"), "{request}");
}

#[test]
fn a_device_poll_may_be_one_json_field_from_nobody() {
    let server = Server::plain(vec![json(GRANT), json(r#"{"access_token":"pos_1"}"#)]);
    let mut provider = acme(&server.url("/device/token"));
    provider.settings.device_token_request = Some("json".to_owned());
    provider.settings.device_authorization_url = Some(server.url("/device/code"));
    let nobody = OAuthClient::default();
    let grant = start_device(&outbound(), &provider, &nobody, &[]).expect("a grant");
    assert_eq!(server.body(), "");
    let poll = poll_device(&outbound(), &provider, &nobody, &grant.device_code).expect("tokens");
    let DevicePoll::Done(tokens) = poll else { panic!("{poll:?}") };
    assert_eq!(tokens.access_token.expose(), "pos_1");
    let request = server.request();
    assert!(request.contains("\r\ncontent-type: application/json\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"device_code\":\"dc-1\"}"), "{request}");
}

#[test]
fn polls_end_when_the_code_says_so_whatever_the_status() {
    let poll = |script| {
        let server = Server::plain(vec![script]);
        poll_device(&outbound(), &acme(&server.url("/token")), &public(), &secret("dc-1"))
    };
    let error = |status: u16, code: &str| refusal(status, &json!({"error": code}).to_string());
    for status in [200, 400, 403, 428, 429] {
        assert!(matches!(poll(error(status, "authorization_pending")), Ok(DevicePoll::Pending)), "{status}");
        assert!(matches!(poll(error(status, "slow_down")), Ok(DevicePoll::SlowDown)), "{status}");
    }
    for code in ["access_denied", "expired_token", "authorization_declined", "invalid_client"] {
        assert!(
            matches!(poll(error(400, code)), Err(FlowError::Refused { code: found, .. }) if found == code),
            "{code}"
        );
    }
    for passing in [error(429, "rate_limited"), error(503, "slow_down"), refusal(404, "{}"), raw("")] {
        let error = poll(passing).expect_err("no answer");
        assert!(matches!(error, FlowError::Unusable { .. } | FlowError::Unreachable { .. }), "{error:?}");
    }
}

fn metadata(server_url: &str) -> String {
    json!({
        "issuer": server_url, "authorization_endpoint": format!("{server_url}/authorize"),
        "token_endpoint": format!("{server_url}/token"), "registration_endpoint": format!("{server_url}/register"),
        "revocation_endpoint": format!("{server_url}/revoke"),
    })
    .to_string()
}

#[test]
fn metadata_is_found_at_either_place_and_fills_what_is_missing() {
    let server = Server::aware(|url| vec![refusal(404, "{}"), json(&metadata(url))]);
    let url = server.url("");
    let mut provider = acme("unused");
    (provider.settings.token_url, provider.settings.base_url) = (None, Some(url.clone()));
    let found = discover(&outbound(), &provider).expect("metadata");
    assert!(server.request().starts_with("GET /.well-known/oauth-authorization-server HTTP/1.1\r\n"));
    let second = server.request();
    assert!(second.starts_with("GET /.well-known/openid-configuration HTTP/1.1\r\n"), "{second}");
    assert!(second.contains("\r\naccept: application/json\r\n") && !second.contains("content-type"), "{second}");
    assert_eq!(found.settings.token_url, Some(format!("{url}/token")));
    assert_eq!(found.registration_endpoint, Some(format!("{url}/register")));
    assert_eq!(found.settings.revocation_url, Some(format!("{url}/revoke")));
    assert_eq!(found.issuer, Some(url));
}

#[test]
fn a_tenant_is_looked_for_under_its_path() {
    let server = Server::aware(|url| vec![json(&metadata(&format!("{url}/tenant")))]);
    let mut provider = acme("unused");
    (provider.settings.token_url, provider.settings.base_url) = (None, Some(server.url("/tenant")));
    discover(&outbound(), &provider).expect("metadata");
    assert!(server.request().starts_with("GET /.well-known/oauth-authorization-server/tenant HTTP/1.1\r\n"));
}

/// A document about the server at a URL.
type Body = fn(&str) -> String;

#[test]
fn metadata_that_is_not_the_servers_own_is_refused() {
    let page = || answer("200 OK", "Content-Type: text/html\r\n", "<html>a single page</html>");
    let stranger = || json(&metadata("https://evil.test"));
    let cases: [(Body, &str); 3] = [
        (|_| metadata("https://evil.test"), "metadata of another issuer"),
        (|_| r#"{"token_endpoint":"https://x.test/t"}"#.to_owned(), "metadata of another issuer"),
        (
            |url| json!({"issuer": url, "authorization_endpoint": "http://x.test/a"}).to_string(),
            "an endpoint that may not be called",
        ),
    ];
    for (body, problem) in cases {
        let server = Server::aware(|url| vec![json(&body(url)), refusal(404, "")]);
        let error = discover(&outbound(), &acme(&server.url("/token"))).expect_err(problem);
        assert!(error.to_string().contains(problem), "{error}");
    }
    let server = Server::aware(|_| vec![stranger(), page()]);
    let error = discover(&outbound(), &acme(&server.url("/token"))).expect_err("nothing good");
    assert!(error.to_string().contains("another issuer"), "the first problem is told: {error}");
    let away = || answer("302 Found", "Location: https://evil.test/\r\n", "");
    let server = Server::aware(|_| vec![away(), refusal(404, "")]);
    let error = discover(&outbound(), &acme(&server.url("/token"))).expect_err("nothing there");
    assert!(error.to_string().contains("publishes no metadata"), "{error}");
}

#[test]
fn a_client_registers_with_a_secret_and_without_where_the_server_wants_none() {
    let unwanted = refusal(400, r#"{"error":"invalid_client_metadata","error_description":"public clients only"}"#);
    let created = answer(
        "201 Created",
        "Content-Type: application/json\r\n",
        r#"{"client_id":"c-1","client_secret":"","token_endpoint_auth_method":"none"}"#,
    );
    let server = Server::plain(vec![unwanted, created]);
    let mut provider = acme("unused");
    provider.registration_endpoint = Some(server.url("/register"));
    let redirect_uris = ["http://127.0.0.1:7998/api/auth/callback/oauth".to_owned()];
    let scopes = ["read".to_owned(), "write".to_owned()];
    let metadata = ClientMetadata { name: "authsome-acme", redirect_uris: &redirect_uris, scopes: &scopes };
    let client = register(&outbound(), &provider, &metadata).expect("a client");
    assert_eq!((client.id.as_str(), client.secret.is_none()), ("c-1", true));
    let expected = |method: &str| {
        format!(
            r#"{{"client_name":"authsome-acme","redirect_uris":["http://127.0.0.1:7998/api/auth/callback/oauth"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"{method}","scope":"read write"}}"#
        )
    };
    assert_eq!(server.body(), expected("client_secret_post"));
    assert_eq!(server.body(), expected("none"));
}

#[test]
fn registrations_that_cannot_be_used_are_refused() {
    let register_at = |script| {
        let server = Server::plain(vec![script]);
        let mut provider = acme("unused");
        provider.registration_endpoint = Some(server.url("/register"));
        register(&outbound(), &provider, &ClientMetadata { name: "authsome-acme", redirect_uris: &[], scopes: &[] })
    };
    let client = register_at(json(r#"{"client_id":"c","client_secret":"s"}"#)).expect("a client");
    assert_eq!((client.method, client.secret_expires_at), (Some(AuthMethod::Post), None), "as was asked for");
    assert_eq!(client.secret.expect("a secret").expose(), "s");
    let chosen = r#"{"client_id":"c","client_secret":"s","token_endpoint_auth_method":"client_secret_basic","#;
    for (end, expected) in [("0", None), ("1893456000", Some(1_893_456_000)), ("-1", None), ("1e300", None)] {
        let client = register_at(json(&format!(r#"{chosen}"client_secret_expires_at":{end}}}"#))).expect("a client");
        assert_eq!((client.method, client.secret_expires_at), (Some(AuthMethod::Basic), expected), "{end}");
    }
    let cases = [
        (json(r#"{"client_secret":"s"}"#), "no client id"),
        (json(r#"{"client_id":7}"#), "cannot be kept"),
        (json(r#"{"client_id":"a\nb"}"#), "cannot be kept"),
        (json(r#"{"client_id":"c","token_endpoint_auth_method":"private_key_jwt"}"#), "prove itself"),
        (refusal(400, r#"{"error":"invalid_redirect_uri"}"#), "invalid_redirect_uri"),
        (refusal(403, "<html>"), "status 403"),
    ];
    for (script, problem) in cases {
        let error = register_at(script).expect_err(problem).to_string();
        assert!(error.contains(problem), "{error}");
    }
    let metadata = ClientMetadata { name: "x", redirect_uris: &[], scopes: &[] };
    let error = register(&outbound(), &acme("unused"), &metadata).expect_err("nowhere");
    assert!(matches!(error, FlowError::Unsupported { .. }), "{error}");
}

/// What revoking `token-1` puts on the wire: request line, interesting header fields, body.
fn revocation(spec: Option<RevokeSpec>, kind: TokenKind) -> (String, String, String) {
    let server = Server::plain(vec![answer("200 OK", "", "")]);
    let mut provider = acme("unused");
    provider.settings.revocation_url = Some(server.url("/revoke"));
    provider.settings.revoke = spec.map(|spec| RevokeSpec { url: spec.url.map(|path| server.url(&path)), ..spec });
    assert_eq!(revoke(&outbound(), &provider, &confidential(), &secret("token-1"), kind), Ok(true));
    let request = server.request();
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.lines();
    let first = lines.next().expect("a request line").to_owned();
    let is_ours =
        |line: &&str| ["authorization", "content-type", "content-length", "x-"].iter().any(|it| line.starts_with(it));
    let mut fields: Vec<&str> = lines.filter(is_ours).collect();
    fields.sort_unstable();
    (first, fields.join("; "), body.to_owned())
}

#[test]
fn tokens_are_revoked_in_the_shape_that_the_definition_describes() {
    const BASIC: &str = "authorization: Basic bXktY2xpZW50OmNsaWVudC1zZWNyZXQtMQ==";
    const FORM: &str = "content-type: application/x-www-form-urlencoded";
    let text = |text: &str| Some(text.to_owned());
    let none = RevokeSpec::default;
    let cases = [
        (
            None,
            TokenKind::Refresh,
            "POST /revoke HTTP/1.1",
            format!("content-length: 93; {FORM}"),
            "token=token-1&token_type_hint=refresh_token&client_id=my-client&client_secret=client-secret-1",
        ),
        (
            Some(RevokeSpec { auth: text("basic"), ..none() }),
            TokenKind::Access,
            "POST /revoke HTTP/1.1",
            format!("{BASIC}; content-length: 42; {FORM}"),
            "token=token-1&token_type_hint=access_token",
        ),
        (
            Some(RevokeSpec { auth: text("none"), token_field: text("t"), ..none() }),
            TokenKind::Access,
            "POST /revoke HTTP/1.1",
            format!("content-length: 9; {FORM}"),
            "t=token-1",
        ),
        (
            Some(RevokeSpec { auth: text("bearer"), body: text("none"), ..none() }),
            TokenKind::Access,
            "POST /revoke HTTP/1.1",
            "authorization: Bearer token-1; content-length: 0".to_owned(),
            "",
        ),
        (
            Some(RevokeSpec {
                auth: text("basic"),
                body: text("json"),
                headers: [("X-Version".to_owned(), "2022-06-28".to_owned())].into(),
                ..none()
            }),
            TokenKind::Access,
            "POST /revoke HTTP/1.1",
            format!("{BASIC}; content-length: 19; content-type: application/json; x-version: 2022-06-28"),
            r#"{"token":"token-1"}"#,
        ),
        (
            Some(RevokeSpec {
                url: text("/applications/{client_id}/token"),
                method: text("DELETE"),
                body: text("json"),
                token_field: text("access_token"),
                auth: text("basic"),
                only: text("access_token"),
                ..none()
            }),
            TokenKind::Access,
            "DELETE /applications/my-client/token HTTP/1.1",
            format!("{BASIC}; content-length: 26; content-type: application/json"),
            r#"{"access_token":"token-1"}"#,
        ),
        (
            Some(RevokeSpec { method: text("DELETE"), body: text("none"), auth: text("bearer"), ..none() }),
            TokenKind::Access,
            "DELETE /revoke HTTP/1.1",
            "authorization: Bearer token-1".to_owned(),
            "",
        ),
    ];
    for (spec, kind, line, fields, body) in cases {
        let seen = revocation(spec.clone(), kind);
        assert_eq!((seen.0.as_str(), seen.1, seen.2.as_str()), (line, fields, body), "{spec:?}");
    }
}

#[test]
fn a_kind_of_token_that_the_server_does_not_take_is_not_sent() {
    let nobody = Unvisited::new();
    let mut provider = acme("unused");
    provider.settings.revocation_url = Some(format!("http://127.0.0.1:{}/revoke", nobody.port()));
    provider.settings.revoke = Some(RevokeSpec { only: Some("access_token".to_owned()), ..RevokeSpec::default() });
    let refresh = revoke(&outbound(), &provider, &confidential(), &secret("token-1"), TokenKind::Refresh);
    assert_eq!(refresh, Ok(false));
    nobody.assert_unvisited();
}

#[test]
fn what_a_server_says_to_a_revocation() {
    let revoked = |is_delete: bool, script| {
        let server = Server::plain(vec![script]);
        let mut provider = acme("unused");
        provider.settings.revocation_url = Some(server.url("/revoke"));
        let method = is_delete.then(|| "DELETE".to_owned());
        provider.settings.revoke = Some(RevokeSpec { method, ..RevokeSpec::default() });
        revoke(&outbound(), &provider, &confidential(), &secret("token-1"), TokenKind::Access)
    };
    for done in [
        answer("200 OK", "", ""),
        answer("204 No Content", "", ""),
        json(r#"{"ok":true,"revoked":true}"#),
        answer("200 OK", "Content-Type: text/html\r\n", "<html>"),
        refusal(400, r#"{"error":"invalid_token"}"#),
        json(r#"{"ok":false,"error":"token_revoked"}"#),
    ] {
        assert_eq!(revoked(false, done), Ok(true));
    }
    assert_eq!(revoked(true, refusal(404, r#"{"message":"Not Found"}"#)), Ok(true));
    assert_eq!(revoked(false, refusal(400, r#"{"error":"unsupported_token_type"}"#)), Ok(false));
    for (script, problem) in [
        (refusal(404, r#"{"message":"Not Found"}"#), "status 404"),
        (refusal(401, r#"{"error":"invalid_client"}"#), "invalid_client"),
        (json(r#"{"ok":false,"error":"invalid_auth"}"#), "invalid_auth"),
        (json(r#"{"ok":false}"#), "an error that is not OAuth's"),
        (refusal(500, r#"{"error":"invalid_token"}"#), "status 500"),
        (answer("307 Temporary Redirect", "Location: /elsewhere\r\n", ""), "a redirect (status 307)"),
    ] {
        let error = revoked(false, script).expect_err(problem).to_string();
        assert!(error.contains(problem), "{error}");
    }
    let nowhere = acme("unused");
    assert_eq!(revoke(&outbound(), &nowhere, &public(), &secret("t"), TokenKind::Access), Ok(false));
}
