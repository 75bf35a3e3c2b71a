//! GitHub. Documented below <https://docs.github.com/en>: "Authorizing OAuth apps"
//! (`/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps`), "Refreshing user access tokens"
//! (`/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens`), "Delete an app token"
//! (`/rest/apps/oauth-applications`). Since 2026 tokens of OAuth apps may expire too, in the way of GitHub Apps.

use serde_json::json;

use super::fake::{CLIENT, Fake, PROVEN_CODE_GRANT, Pkce, lifetime, refresh_grant};
use super::request::{delete, post};

const HOSTS: [&str; 2] = ["github.com", "api.github.com"];
const PATH: &str = "/login/oauth/access_token";
const TOKEN: &str = "https://github.com/login/oauth/access_token";

/// A token of an OAuth app lives until it is revoked: no `expires_in`, no refresh token.
#[test]
fn an_oauth_app() {
    let github = Fake::of("github", &HOSTS);
    let login = github.log_in();
    login.asks("https://github.com/login/oauth/authorize", Pkce::S256, &[("scope", "repo read:user")]);

    // The answer is a form, unless JSON is asked for; it is understood all the same.
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    github.answers_with(PATH, "200 OK", form, "access_token=gho_16C7e42F&scope=repo%2Cread%3Auser&token_type=bearer");
    let record = login.comes_back();
    assert_eq!(github.asked(), post(TOKEN).form(&PROVEN_CODE_GRANT).client_in_body());
    assert_eq!((lifetime(&record), &record["refresh_token"]), (None, &json!(null)));
    assert_eq!(record["scopes"], json!(["repo", "read:user"]), "granted scopes come with commas between them");
    assert_eq!(github.header(), "Bearer gho_16C7e42F");

    let path = format!("/applications/{CLIENT}/token");
    github.answers_with(&path, "204 No Content", "application/json", "");
    assert_eq!(github.log_out(), "revoked");
    let revocation = delete(&format!("https://api.github.com{path}"));
    assert_eq!(github.asked(), revocation.basic().json(&[("access_token", "gho_16C7e42F")]));
}

/// A GitHub App whose tokens expire: eight hours, and a refresh token for one use in six months.
#[test]
fn a_github_app() {
    let github = Fake::of("github", &HOSTS);
    let tokens = |count: usize, life: u32| {
        json!({
            "access_token": format!("ghu_{count}"), "expires_in": life,
            "refresh_token": format!("ghr_{count}"), "refresh_token_expires_in": 15_897_600,
            "scope": "", "token_type": "bearer",
        })
    };
    let record = github.connect(PATH, &tokens(1, 28_800));
    assert_eq!(lifetime(&record), Some(28_800));

    github.answers(PATH, "200 OK", &tokens(2, 1));
    assert_eq!(github.header(), "Bearer ghu_2");
    assert_eq!(github.asked(), post(TOKEN).form(&refresh_grant("ghr_1")).client_in_body());
    assert_eq!(github.record()["refresh_token"], "ghr_2");

    // A refusal comes with status 200.
    github.outlive();
    let dead = json!({
        "error": "bad_refresh_token",
        "error_description": "The refresh token passed is incorrect or expired.",
        "error_uri": "https://docs.github.com/apps/managing-oauth-apps/",
    });
    github.answers(PATH, "200 OK", &dead);
    github.is_told_to_log_in_again("The refresh token passed is incorrect or expired.");
    assert_eq!(github.asked(), post(TOKEN).form(&refresh_grant("ghr_2")).client_in_body());
}

/// "Troubleshooting OAuth app access token request errors": status 200 as well.
#[test]
fn a_refused_code() {
    let github = Fake::of("github", &HOSTS);
    let refused = json!({
        "error": "bad_verification_code",
        "error_description": "The code passed is incorrect or expired.",
    });
    github.answers(PATH, "200 OK", &refused);
    let ended = github.log_in().comes_back_with(&json!({"code": "stale"}));
    assert_eq!(ended["status"], "failed", "{ended:#}");
    let error = ended["error"].as_str().unwrap_or_default();
    assert!(error.contains("bad_verification_code: The code passed is incorrect or expired."), "{error}");
    github.asked();
}
