//! Atlassian. Documented: "OAuth 2.0 (3LO) apps" (<https://developer.atlassian.com/cloud/confluence/oauth-2-3lo-apps/>)
//! and "Implementing the Refresh Token Flow"
//! (<https://developer.atlassian.com/cloud/oauth/getting-started/refresh-tokens>). There is no revocation endpoint.
//! Whether the challenge of PKCE is checked is not documented.

use serde_json::{Value, json};

use super::fake::{Fake, PROVEN_CODE_GRANT, Pkce, lifetime, refresh_grant};
use super::request::post;

const TOKEN: &str = "https://auth.atlassian.com/oauth/token";

fn tokens(count: usize, life: u32, scope: &str) -> Value {
    json!({
        "access_token": format!("ey.access.{count}"), "expires_in": life, "token_type": "Bearer",
        "refresh_token": format!("ey.refresh.{count}"), "scope": scope,
    })
}

#[test]
fn an_audience_and_refresh_tokens_for_one_use() {
    for (provider, scopes) in [
        ("atlassian", "read:jira-work write:jira-work read:jira-user manage:jira-project manage:jira-configuration"),
        ("jira", "read:jira-work write:jira-work read:jira-user manage:jira-project"),
        (
            "confluence",
            "read:confluence-content.all write:confluence-content read:confluence-space.summary \
             read:confluence-user search:confluence",
        ),
    ] {
        let atlassian = Fake::of(provider, &["auth.atlassian.com"]);
        let scopes = format!("{scopes} offline_access");
        let more = [("scope", scopes.as_str()), ("audience", "api.atlassian.com"), ("prompt", "consent")];
        let login = atlassian.log_in();
        login.asks("https://auth.atlassian.com/authorize", Pkce::S256, &more);

        atlassian.answers("/oauth/token", "200 OK", &tokens(1, 3600, &scopes));
        let record = login.comes_back();
        assert_eq!(atlassian.asked(), post(TOKEN).form(&PROVEN_CODE_GRANT).client_in_body());
        assert_eq!(lifetime(&record), Some(3600));

        atlassian.answers("/oauth/token", "200 OK", &tokens(2, 3600, &scopes));
        assert_eq!(atlassian.header(), "Bearer ey.access.2");
        assert_eq!(atlassian.asked(), post(TOKEN).form(&refresh_grant("ey.refresh.1")).client_in_body());
        assert_eq!(atlassian.record()["refresh_token"], "ey.refresh.2");
        assert_eq!(atlassian.log_out(), json!(null));
    }
}

/// "403 Forbidden with `{"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}`": after
/// 90 days without use, or a changed password.
#[test]
fn a_dead_refresh_token() {
    let atlassian = Fake::of("atlassian", &["auth.atlassian.com"]);
    atlassian.connect("/oauth/token", &tokens(1, 1, "read:jira-work"));
    atlassian.outlive();
    let dead = json!({"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."});
    atlassian.answers("/oauth/token", "403 Forbidden", &dead);
    atlassian.is_told_to_log_in_again("invalid_grant: Unknown or invalid refresh token.");
    assert_eq!(atlassian.asked(), post(TOKEN).form(&refresh_grant("ey.refresh.1")).client_in_body());
}
