//! GitLab. Documented: "OAuth 2.0 identity provider API" (<https://docs.gitlab.com/api/oauth2/>); the error is
//! Doorkeeper's, which GitLab runs (<https://github.com/doorkeeper-gem/doorkeeper>, `config/locales/en.yml`).

use serde_json::{Value, json};

use super::fake::{Fake, PROVEN_CODE_GRANT, Pkce, lifetime, refresh_grant};
use super::request::post;

const TOKEN: &str = "https://gitlab.com/oauth/token";
const SCOPES: &str = "api read_user profile email read_repository write_repository";

/// Two hours, and `created_at` beside.
fn tokens(count: usize, life: u32) -> Value {
    json!({
        "access_token": format!("de6780bc{count}"), "token_type": "Bearer", "expires_in": life,
        "refresh_token": format!("8257e65c{count}"), "scope": SCOPES, "created_at": 1_607_635_748,
    })
}

#[test]
fn two_hours_and_both_tokens_are_new() {
    let gitlab = Fake::of("gitlab", &["gitlab.com"]);
    let login = gitlab.log_in();
    login.asks("https://gitlab.com/oauth/authorize", Pkce::S256, &[("scope", SCOPES)]);

    gitlab.answers("/oauth/token", "200 OK", &tokens(1, 7200));
    let record = login.comes_back();
    assert_eq!(gitlab.asked(), post(TOKEN).form(&PROVEN_CODE_GRANT).client_in_body());
    assert_eq!(lifetime(&record), Some(7200), "from now, not from created_at: clocks differ");

    // A refresh ends both old tokens.
    gitlab.answers("/oauth/token", "200 OK", &tokens(2, 7200));
    assert_eq!(gitlab.header(), "Bearer de6780bc2");
    assert_eq!(gitlab.asked(), post(TOKEN).form(&refresh_grant("8257e65c1")).client_in_body());
    assert_eq!(gitlab.record()["refresh_token"], "8257e65c2");

    gitlab.answers("/oauth/revoke", "200 OK", &json!({}));
    gitlab.answers("/oauth/revoke", "200 OK", &json!({}));
    assert_eq!(gitlab.log_out(), "revoked");
    for (token, hint) in [("de6780bc2", "access_token"), ("8257e65c2", "refresh_token")] {
        let fields = [("token", token), ("token_type_hint", hint)];
        assert_eq!(gitlab.asked(), post("https://gitlab.com/oauth/revoke").form(&fields).client_in_body());
    }
}

#[test]
fn a_dead_refresh_token() {
    let gitlab = Fake::of("gitlab", &["gitlab.com"]);
    gitlab.connect("/oauth/token", &tokens(1, 1));
    gitlab.outlive();
    let dead = json!({
        "error": "invalid_grant",
        "error_description": "The provided authorization grant is invalid, expired, revoked, does not match the \
                              redirection URI used in the authorization request, or was issued to another client.",
    });
    gitlab.answers("/oauth/token", "400 Bad Request", &dead);
    gitlab.is_told_to_log_in_again("invalid_grant: The provided authorization grant is invalid, expired, revoked");
    assert_eq!(gitlab.asked(), post(TOKEN).form(&refresh_grant("8257e65c1")).client_in_body());
}
