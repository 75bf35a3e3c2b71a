//! Klaviyo. Documented: "Make API calls using OAuth" (<https://developers.klaviyo.com/en/docs/set_up_oauth>) and
//! "Troubleshoot OAuth errors" (<https://developers.klaviyo.com/en/docs/troubleshoot_oauth_errors>).

use serde_json::{Value, json};

use super::fake::{Fake, PROVEN_CODE_GRANT, Pkce, lifetime, refresh_grant};
use super::request::post;

const HOSTS: [&str; 2] = ["www.klaviyo.com", "a.klaviyo.com"];
const TOKEN: &str = "https://a.klaviyo.com/oauth/token"; // www.klaviyo.com refuses token traffic since March 2025
const REVOKE: &str = "https://a.klaviyo.com/oauth/revoke";

fn tokens(count: usize, life: u32) -> Value {
    json!({
        "access_token": format!("kl_access_{count}"), "refresh_token": "kl_refresh", "token_type": "bearer",
        "expires_in": life, "scope": "accounts:read",
    })
}

#[test]
fn basic_and_an_hour() {
    let klaviyo = Fake::of("klaviyo-oauth", &HOSTS);
    let login = klaviyo.log_in();
    login.asks("https://www.klaviyo.com/oauth/authorize", Pkce::S256, &[("scope", "accounts:read")]);

    klaviyo.answers("/oauth/token", "200 OK", &tokens(1, 3600));
    let record = login.comes_back();
    assert_eq!(klaviyo.asked(), post(TOKEN).basic().form(&PROVEN_CODE_GRANT));
    assert_eq!(lifetime(&record), Some(3600));

    klaviyo.answers("/oauth/token", "200 OK", &tokens(2, 3600));
    assert_eq!(klaviyo.header(), "Bearer kl_access_2");
    assert_eq!(klaviyo.asked(), post(TOKEN).basic().form(&refresh_grant("kl_refresh")));

    klaviyo.answers("/oauth/revoke", "200 OK", &json!({}));
    klaviyo.answers("/oauth/revoke", "200 OK", &json!({}));
    assert_eq!(klaviyo.log_out(), "revoked");
    for (token, hint) in [("kl_access_2", "access_token"), ("kl_refresh", "refresh_token")] {
        assert_eq!(klaviyo.asked(), post(REVOKE).basic().form(&[("token", token), ("token_type_hint", hint)]));
    }
}

/// "If you're trying to use a refresh token and your request looks correct, this means that the refresh token is
/// invalid", says the page of `invalid_grant_type`. `invalid_grant` was seen by others.
#[test]
fn a_dead_refresh_token_in_both_its_forms() {
    for code in ["invalid_grant_type", "invalid_grant"] {
        let klaviyo = Fake::of("klaviyo-oauth", &HOSTS);
        klaviyo.connect("/oauth/token", &tokens(1, 1));
        klaviyo.outlive();
        klaviyo.answers("/oauth/token", "400 Bad Request", &json!({ "error": code }));
        klaviyo.is_told_to_log_in_again("invalid_grant");
        assert_eq!(klaviyo.asked(), post(TOKEN).basic().form(&refresh_grant("kl_refresh")));
    }
}
