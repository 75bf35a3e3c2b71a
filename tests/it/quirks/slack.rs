//! Slack. Documented: "Installing with OAuth" (<https://docs.slack.dev/authentication/installing-with-oauth>), "Using
//! PKCE" (<https://docs.slack.dev/authentication/using-pkce>), "Using token rotation"
//! (<https://docs.slack.dev/authentication/using-token-rotation>), `oauth.v2.access` and `auth.revoke`
//! (<https://docs.slack.dev/reference/methods/auth.revoke>).
//!
//! An app with PKCE is a public client: it has no secret to send.

use serde_json::{Value, json};

use super::fake::{CLIENT, Fake, Login, PROVEN_CODE_GRANT, Pkce, lifetime, refresh_grant};
use super::request::{Request, post};

const PATH: &str = "/api/oauth.v2.access";
const TOKEN: &str = "https://slack.com/api/oauth.v2.access";

/// The user's token is in `authed_user`; what stands at the top belongs to the bot, where there is one.
fn tokens(life: u32) -> Value {
    json!({
        "ok": true,
        "app_id": "A0123",
        "authed_user": {
            "id": "U1234", "scope": "channels:read,chat:write", "token_type": "user",
            "access_token": "xoxe.xoxp-1-first", "refresh_token": "xoxe-1-first", "expires_in": life,
        },
        "team": {"id": "T9TK3CUKW", "name": "Slack Softball Team"},
        "enterprise": null,
        "is_enterprise_install": false,
    })
}

fn public(request: Request, fields: &[(&str, &str)]) -> Request {
    request.form(&[fields, &[("client_id", CLIENT)]].concat())
}

fn log_in(slack: &Fake) -> Login<'_> {
    slack.log_in_with(&json!({ "client_id": CLIENT }))
}

#[test]
fn the_users_token_and_its_rotation() {
    let slack = Fake::of("slack", &["slack.com"]);
    let login = log_in(&slack);
    let scopes = [("user_scope", "channels:read,chat:write")];
    login.asks("https://slack.com/oauth/v2/authorize", Pkce::S256, &scopes);

    slack.answers(PATH, "200 OK", &tokens(43_200));
    let record = login.comes_back();
    assert_eq!(slack.asked(), public(post(TOKEN), &PROVEN_CODE_GRANT));
    assert_eq!(record["access_token"], "xoxe.xoxp-1-first");
    assert_eq!(record["scopes"], json!(["channels:read", "chat:write"]));
    assert_eq!(lifetime(&record), Some(43_200));
    assert_eq!(record["account"], json!({"id": "U1234", "label": "Slack Softball Team"}));

    // A refresh answers for the one token that it was asked about, at the top.
    let refreshed = json!({
        "ok": true, "app_id": "A0123", "token_type": "user", "scope": "channels:read,chat:write",
        "access_token": "xoxe.xoxp-1-second", "refresh_token": "xoxe-1-second", "expires_in": 43_200,
        "team": {"id": "T9TK3CUKW", "name": "Slack Softball Team"}, "enterprise": null,
        "is_enterprise_install": false,
    });
    slack.answers(PATH, "200 OK", &refreshed);
    assert_eq!(slack.header(), "Bearer xoxe.xoxp-1-second");
    assert_eq!(slack.asked(), public(post(TOKEN), &refresh_grant("xoxe-1-first")));
    assert_eq!(slack.record()["refresh_token"], "xoxe-1-second");

    slack.answers("/api/auth.revoke", "200 OK", &json!({"ok": true, "revoked": true}));
    assert_eq!(slack.log_out(), "revoked");
    assert_eq!(slack.asked(), post("https://slack.com/api/auth.revoke").bearer("xoxe.xoxp-1-second"));
}

/// Every refusal has status 200 and `ok: false`.
#[test]
fn refusals_look_like_successes() {
    let slack = Fake::of("slack", &["slack.com"]);
    let refused = |error: &str| json!({"ok": false, "error": error});
    slack.answers(PATH, "200 OK", &refused("invalid_code"));
    let ended = log_in(&slack).comes_back_with(&json!({"code": "stale"}));
    assert_eq!(ended["status"], "failed", "{ended:#}");
    assert!(ended["error"].as_str().is_some_and(|error| error.contains("invalid_code")), "{ended:#}");
    slack.asked();

    slack.answers(PATH, "200 OK", &tokens(1));
    log_in(&slack).comes_back();
    slack.asked();
    slack.outlive();
    slack.answers(PATH, "200 OK", &refused("invalid_refresh_token"));
    slack.is_told_to_log_in_again("invalid_refresh_token");
    assert_eq!(slack.asked(), public(post(TOKEN), &refresh_grant("xoxe-1-first")));

    for (error, at_provider) in [("token_expired", "revoked"), ("accesslimited", "refused")] {
        slack.answers("/api/auth.revoke", "200 OK", &refused(error));
        assert_eq!(slack.log_out(), at_provider, "{error}");
        assert_eq!(slack.asked(), post("https://slack.com/api/auth.revoke").bearer("xoxe.xoxp-1-first"));
        slack.answers(PATH, "200 OK", &tokens(60));
        log_in(&slack).comes_back();
        slack.asked();
    }
}

/// A login that was given a bot's token alone is none: its scopes are not the ones that the user agreed to.
#[test]
fn a_bots_token_is_not_taken_for_the_users() {
    let slack = Fake::of("slack", &["slack.com"]);
    let mut bot = tokens(1);
    bot["access_token"] = json!("xoxb-17653672481-19874698323");
    bot["authed_user"] = json!({"id": "U1234"});
    slack.answers(PATH, "200 OK", &bot);
    let ended = log_in(&slack).comes_back_with(&json!({"code": "c"}));
    assert_eq!(ended["status"], "failed", "{ended:#}");
    slack.asked();
}
