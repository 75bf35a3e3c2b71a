//! Notion. Documented: "Authorization" (<https://developers.notion.com/guides/get-started/authorization>), "Create a
//! token", "Refresh a token", "Revoke a token" (<https://developers.notion.com/reference/create-a-token>) and "Status
//! codes" (<https://developers.notion.com/reference/status-codes>).
//!
//! No page says how long a token lives, so nothing is refreshed before the API refuses a token.

use serde_json::{Value, json};

use super::fake::{CODE_GRANT, Fake, Pkce, lifetime, refresh_grant};
use super::request::post;

const TOKEN: &str = "https://api.notion.com/v1/oauth/token";

fn tokens(count: usize) -> Value {
    json!({
        "access_token": format!("ntn_{count}"),
        "token_type": "bearer",
        "refresh_token": format!("nrt_{count}"),
        "bot_id": "b3414d65-1224-4e77-8ffr-cc9d8773drt6",
        "workspace_icon": "https://website.domain/images/image.png",
        "workspace_name": "Ada's Notion Workspace",
        "workspace_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
        "owner": {"type": "user", "user": {"object": "user", "id": "6794760a-1f15-45cd-9c65-0dfe42f5135a"}},
        "duplicated_template_id": null,
        "request_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    })
}

#[test]
fn json_and_basic_and_no_scopes() {
    let notion = Fake::of("notion", &["api.notion.com"]);
    let login = notion.log_in();
    login.asks("https://api.notion.com/v1/oauth/authorize", Pkce::None, &[("owner", "user")]);

    notion.answers("/v1/oauth/token", "200 OK", &tokens(1));
    let record = login.comes_back();
    assert_eq!(notion.asked(), post(TOKEN).basic().json(&CODE_GRANT));
    assert_eq!((lifetime(&record), &record["refresh_token"]), (None, &json!("nrt_1")));
    assert_eq!(record["account"]["label"], "Ada's Notion Workspace");
    assert_eq!(notion.header(), "Bearer ntn_1", "a life without an end is not refreshed");

    notion.let_it_age();
    notion.answers("/v1/oauth/token", "200 OK", &tokens(2));
    assert_eq!(notion.header_after_refusal(), "Bearer ntn_2");
    assert_eq!(notion.asked(), post(TOKEN).basic().json(&refresh_grant("nrt_1")));
    assert_eq!(notion.record()["refresh_token"], "nrt_2");

    notion.answers("/v1/oauth/revoke", "200 OK", &json!({"request_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a"}));
    assert_eq!(notion.log_out(), "revoked");
    let revocation = post("https://api.notion.com/v1/oauth/revoke").basic().json(&[("token", "ntn_2")]);
    assert_eq!(notion.asked(), revocation.header("Notion-Version", "2022-06-28"));
}

/// "Status codes" names the code; the shape is that of all errors of the API. Others saw `{"error": "invalid_grant"}`,
/// which is the standard's and needs no word of ours.
#[test]
fn a_dead_refresh_token() {
    let notion = Fake::of("notion", &["api.notion.com"]);
    notion.connect("/v1/oauth/token", &tokens(1));
    notion.let_it_age();
    let dead = json!({
        "object": "error", "status": 400, "code": "invalid_grant",
        "message": "The provided authorization grant or refresh token is invalid, expired, revoked.",
    });
    notion.answers("/v1/oauth/token", "400 Bad Request", &dead);
    notion.is_told_to_log_in_again_after_refusal("invalid_grant");
    assert_eq!(notion.asked(), post(TOKEN).basic().json(&refresh_grant("nrt_1")));
}

/// Connections that were made before refresh tokens came have none.
#[test]
fn a_token_for_life() {
    let notion = Fake::of("notion", &["api.notion.com"]);
    let mut old = tokens(1);
    old["refresh_token"] = json!(null);
    let record = notion.connect("/v1/oauth/token", &old);
    assert_eq!((lifetime(&record), &record["refresh_token"]), (None, &json!(null)));
    assert_eq!(notion.header(), "Bearer ntn_1");
}
