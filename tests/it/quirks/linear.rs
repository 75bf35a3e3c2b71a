//! Linear. Documented: "OAuth 2.0 authentication" (<https://linear.app/developers/oauth-2-0-authentication>). Since
//! April 2026 every app gets tokens for a day with refresh tokens that rotate.

use serde_json::{Value, json};

use super::fake::{CLIENT, Fake, PROVEN_CODE_GRANT, Pkce, lifetime, refresh_grant};
use super::request::post;

const HOSTS: [&str; 2] = ["linear.app", "api.linear.app"];
const TOKEN: &str = "https://api.linear.app/oauth/token";
const REVOKE: &str = "https://api.linear.app/oauth/revoke";

fn tokens(count: usize, life: u32, scope: &Value) -> Value {
    json!({
        "access_token": format!("lin_oauth_{count}"), "token_type": "Bearer", "expires_in": life,
        "scope": scope, "refresh_token": format!("lin_refresh_{count}"),
    })
}

#[test]
fn commas_out_and_spaces_or_a_list_back() {
    let linear = Fake::of("linear", &HOSTS);
    let login = linear.log_in();
    login.asks("https://linear.app/oauth/authorize", Pkce::S256, &[("scope", "read,write")]);

    // "OAuth apps created prior to Dec 1, 2023 will instead return `scope` as an array of strings".
    linear.answers("/oauth/token", "200 OK", &tokens(1, 86_399, &json!(["read", "write"])));
    let record = login.comes_back();
    assert_eq!(linear.asked(), post(TOKEN).form(&PROVEN_CODE_GRANT).client_in_body());
    assert_eq!(record["scopes"], json!(["read", "write"]));
    assert_eq!(lifetime(&record), Some(86_399));

    linear.answers("/oauth/token", "200 OK", &tokens(2, 86_399, &json!("read write")));
    assert_eq!(linear.header(), "Bearer lin_oauth_2");
    assert_eq!(linear.asked(), post(TOKEN).form(&refresh_grant("lin_refresh_1")).client_in_body());
    assert_eq!(linear.record()["scopes"], json!(["read", "write"]));

    // "New integrations should use the `token` field", with a hint.
    linear.answers("/oauth/revoke", "200 OK", &json!({}));
    linear.answers("/oauth/revoke", "200 OK", &json!({}));
    assert_eq!(linear.log_out(), "revoked");
    for (token, hint) in [("lin_oauth_2", "access_token"), ("lin_refresh_2", "refresh_token")] {
        let fields = [("token", token), ("token_type_hint", hint)];
        assert_eq!(linear.asked(), post(REVOKE).form(&fields).client_in_body());
    }
}

/// "If your access token was generated using PKCE, you can simply pass `client_id`". What a dead refresh token looks
/// like is not documented; the standard's error is assumed.
#[test]
fn without_a_secret() {
    let linear = Fake::of("linear", &HOSTS);
    let login = linear.log_in_with(&json!({"client_id": CLIENT}));
    linear.answers("/oauth/token", "200 OK", &tokens(1, 1, &json!("read write")));
    login.comes_back();
    let public = |fields: &[(&str, &str)]| post(TOKEN).form(&[fields, &[("client_id", CLIENT)]].concat());
    assert_eq!(linear.asked(), public(&PROVEN_CODE_GRANT));
    linear.outlive();
    linear.answers("/oauth/token", "400 Bad Request", &json!({"error": "invalid_grant"}));
    linear.is_told_to_log_in_again("invalid_grant");
    assert_eq!(linear.asked(), public(&refresh_grant("lin_refresh_1")));
}
