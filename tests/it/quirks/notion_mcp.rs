//! Notion's MCP server. Its metadata (`/.well-known/oauth-authorization-server`, as others keep it) names the endpoints
//! of the bundled definition, PKCE with S256 and clients without a secret. The shapes are those of RFC 7591 and
//! RFC 6749. Not verified: how long a token lives, whether refresh tokens rotate, and that revocation is served at the
//! token endpoint, as Cloudflare's `workers-oauth-provider` announces it.

use serde_json::json;

use super::fake::{Fake, PROVEN_CODE_GRANT, lifetime, refresh_grant};
use super::request::post;

const TOKEN: &str = "https://mcp.notion.com/token";

#[test]
fn a_client_is_registered_and_has_no_secret() {
    let notion = Fake::of("notion-mcp", &["mcp.notion.com"]);
    let registered = json!({
        "client_id": "zXy123", "redirect_uris": [notion.redirect_uri()], "client_name": "authsome-notion-mcp",
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "none", "client_id_issued_at": 1_767_225_600,
        "registration_client_uri": "/register/zXy123",
    });
    notion.answers("/register", "201 Created", &registered);
    let login = notion.log_in();
    let redirect_uris = json!([notion.redirect_uri()]).to_string();
    let metadata = [
        ("client_name", "authsome-notion-mcp"),
        ("redirect_uris", redirect_uris.as_str()),
        ("grant_types", r#"["authorization_code","refresh_token"]"#),
        ("response_types", r#"["code"]"#),
        ("token_endpoint_auth_method", "client_secret_post"),
    ];
    assert_eq!(notion.asked(), post("https://mcp.notion.com/register").json(&metadata));

    let public = |fields: &[(&str, &str)]| post(TOKEN).form(&[fields, &[("client_id", "zXy123")]].concat());
    let tokens = |count: usize| {
        json!({
            "access_token": format!("user:grant:{count}"), "token_type": "bearer", "expires_in": 3600,
            "refresh_token": format!("user:grant:r{count}"), "scope": "",
        })
    };
    notion.answers("/token", "200 OK", &tokens(1));
    let record = login.comes_back();
    assert_eq!(notion.asked(), public(&PROVEN_CODE_GRANT));
    assert_eq!(lifetime(&record), Some(3600));

    notion.answers("/token", "200 OK", &tokens(2));
    assert_eq!(notion.header(), "Bearer user:grant:2");
    assert_eq!(notion.asked(), public(&refresh_grant("user:grant:r1")));

    notion.answers("/token", "200 OK", &json!({}));
    notion.answers("/token", "200 OK", &json!({}));
    assert_eq!(notion.log_out(), "revoked");
    for (token, hint) in [("user:grant:2", "access_token"), ("user:grant:r2", "refresh_token")] {
        assert_eq!(notion.asked(), public(&[("token", token), ("token_type_hint", hint)]));
    }
}
