//! X. Documented: "OAuth 2.0 Authorization Code Flow with PKCE"
//! (<https://docs.x.com/fundamentals/authentication/oauth-2-0/authorization-code>) and "How to connect to endpoints"
//! (<https://docs.x.com/fundamentals/authentication/oauth-2-0/user-access-token>). What a spent refresh token looks
//! like is not documented; it was seen by many in the form below.

use serde_json::{Value, json};

use super::fake::{CLIENT, Fake, PROVEN_CODE_GRANT, Pkce, lifetime, refresh_grant};
use super::request::post;

const HOSTS: [&str; 2] = ["x.com", "api.x.com"];
const PATH: &str = "/2/oauth2/token";
const TOKEN: &str = "https://api.x.com/2/oauth2/token";
const REVOKE: &str = "https://api.x.com/2/oauth2/revoke";
const SCOPES: &str = "tweet.read tweet.write users.read media.write offline.access";

/// Two hours, and a refresh token because of `offline.access`.
fn tokens(count: usize, life: u32) -> Value {
    json!({
        "token_type": "bearer", "expires_in": life, "access_token": format!("dGhlX2FjY2Vzc{count}"),
        "scope": SCOPES, "refresh_token": format!("dGhlX3JlZnJlc2g{count}"),
    })
}

/// "Confidential clients": Basic at the token endpoint, and no `client_id` in the body.
#[test]
fn a_client_with_a_secret() {
    let x = Fake::of("x", &HOSTS);
    let login = x.log_in();
    login.asks("https://x.com/i/oauth2/authorize", Pkce::S256, &[("scope", SCOPES)]);
    x.answers(PATH, "200 OK", &tokens(1, 7200));
    let record = login.comes_back();
    assert_eq!(x.asked(), post(TOKEN).basic().form(&PROVEN_CODE_GRANT));
    assert_eq!(lifetime(&record), Some(7200));

    x.answers(PATH, "200 OK", &tokens(2, 7200));
    assert_eq!(x.header(), "Bearer dGhlX2FjY2Vzc2");
    assert_eq!(x.asked(), post(TOKEN).basic().form(&refresh_grant("dGhlX3JlZnJlc2g1")));

    x.answers("/2/oauth2/revoke", "200 OK", &json!({"revoked": true}));
    x.answers("/2/oauth2/revoke", "200 OK", &json!({"revoked": true}));
    assert_eq!(x.log_out(), "revoked");
    for (token, hint) in [("dGhlX2FjY2Vzc2", "access_token"), ("dGhlX3JlZnJlc2g2", "refresh_token")] {
        assert_eq!(x.asked(), post(REVOKE).basic().form(&[("token", token), ("token_type_hint", hint)]));
    }
}

/// "Public clients": `client_id` in the body.
#[test]
fn a_client_without_a_secret_and_a_spent_refresh_token() {
    let x = Fake::of("x", &HOSTS);
    let public = |fields: &[(&str, &str)]| post(TOKEN).form(&[fields, &[("client_id", CLIENT)]].concat());
    let login = x.log_in_with(&json!({"client_id": CLIENT}));
    x.answers(PATH, "200 OK", &tokens(1, 1));
    login.comes_back();
    assert_eq!(x.asked(), public(&PROVEN_CODE_GRANT));
    x.outlive();
    let spent = json!({
        "error": "invalid_request",
        "error_description": "Value passed for the token was invalid.",
    });
    x.answers(PATH, "400 Bad Request", &spent);
    x.is_told_to_log_in_again("Value passed for the token was invalid.");
    assert_eq!(x.asked(), public(&refresh_grant("dGhlX3JlZnJlc2g1")));
}
