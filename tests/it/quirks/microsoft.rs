//! Microsoft. Documented: "Microsoft identity platform and OAuth 2.0 authorization code flow"
//! (<https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow>) and "Refresh tokens"
//! (<https://learn.microsoft.com/en-us/entra/identity-platform/refresh-tokens>). There is no revocation endpoint for
//! tokens.

use serde_json::{Value, json};

use super::fake::{CLIENT, Fake, PROVEN_CODE_GRANT, Pkce, SECRET, lifetime, refresh_grant};
use super::request::post;

const HOSTS: [&str; 1] = ["login.microsoftonline.com"];
const PATH: &str = "/common/oauth2/v2.0/token";

/// `offline_access` is asked for, and is never among the scopes of the answer.
fn tokens(count: usize, life: u32) -> Value {
    json!({
        "token_type": "Bearer",
        "scope": "User.Read Mail.ReadWrite Calendars.ReadWrite Files.ReadWrite Tasks.ReadWrite",
        "expires_in": life, "ext_expires_in": life,
        "access_token": format!("EwB.{count}"), "refresh_token": format!("M.C5.{count}"),
    })
}

#[test]
fn a_tenant_and_a_refresh_token_that_scopes_do_not_show() {
    let microsoft = Fake::of("microsoft", &HOSTS);
    let scopes = "User.Read offline_access Mail.ReadWrite Calendars.ReadWrite Files.ReadWrite Tasks.ReadWrite";
    let login = microsoft.log_in();
    login.asks("https://login.microsoftonline.com/common/oauth2/v2.0/authorize", Pkce::S256, &[("scope", scopes)]);

    let token = format!("https://login.microsoftonline.com{PATH}");
    microsoft.answers(PATH, "200 OK", &tokens(1, 3599));
    let record = login.comes_back();
    assert_eq!(microsoft.asked(), post(&token).form(&PROVEN_CODE_GRANT).client_in_body());
    assert_eq!(lifetime(&record), Some(3599), "not ext_expires_in, which counts during outages only");
    let granted = ["User.Read", "Mail.ReadWrite", "Calendars.ReadWrite", "Files.ReadWrite", "Tasks.ReadWrite"];
    assert_eq!((&record["scopes"], &record["refresh_token"]), (&json!(granted), &json!("M.C5.1")));

    // "Refresh tokens replace themselves with a fresh token upon every use"; the old one still works, but may be
    // discarded.
    microsoft.answers(PATH, "200 OK", &tokens(2, 3599));
    assert_eq!(microsoft.header(), "Bearer EwB.2");
    assert_eq!(microsoft.asked(), post(&token).form(&refresh_grant("M.C5.1")).client_in_body());
    assert_eq!(microsoft.record()["refresh_token"], "M.C5.2");
    assert_eq!(microsoft.log_out(), json!(null));
}

/// The base URL names one tenant; the error has codes, times and identifiers beside the standard's two fields.
#[test]
fn a_tenant_of_ones_own_and_ninety_days_without_use() {
    let microsoft = Fake::of("microsoft", &HOSTS);
    let tenant = "https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
    let token = format!("{tenant}/oauth2/v2.0/token");
    let path = token.strip_prefix("https://login.microsoftonline.com").expect("a path");
    microsoft.answers(path, "200 OK", &tokens(1, 1));
    let data = json!({"client_id": CLIENT, "client_secret": SECRET, "base_url": tenant});
    microsoft.log_in_with(&data).comes_back();
    assert_eq!(microsoft.asked(), post(&token).form(&PROVEN_CODE_GRANT).client_in_body());
    microsoft.outlive();
    let dead = json!({
        "error": "invalid_grant",
        "error_description": "AADSTS700082: The refresh token has expired due to inactivity.\r\nTrace ID: 7481cb06",
        "error_codes": [700_082], "timestamp": "2026-01-02 16:21:38Z", "trace_id": "7481cb06",
        "correlation_id": "8eaef023", "error_uri": "https://login.microsoftonline.com/error?code=700082",
    });
    microsoft.answers(path, "400 Bad Request", &dead);
    microsoft.is_told_to_log_in_again("invalid_grant: AADSTS700082: The refresh token has expired due to inactivity.");
    assert_eq!(microsoft.asked(), post(&token).form(&refresh_grant("M.C5.1")).client_in_body());
}
