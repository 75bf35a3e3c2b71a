//! Zoom. Documented: "OAuth 2.0" (<https://developers.zoom.us/docs/integrations/oauth/>) and "Using Proof Key for Code
//! Exchange" (<https://developers.zoom.us/docs/integrations/PKCE/>). The error for an older refresh token is Zoom's
//! support's ("Invalid Token!"), in the form that others saw. Not verified: that `scope` in the authorization request
//! narrows anything.

use serde_json::{Value, json};

use super::fake::{Fake, PROVEN_CODE_GRANT, Pkce, lifetime, refresh_grant};
use super::request::post;

const TOKEN: &str = "https://zoom.us/oauth/token";
const SCOPES: &str = "user:read:user meeting:read:meeting meeting:write:meeting meeting:read:list_meetings \
                      cloud_recording:read:recording";

fn tokens(count: usize, life: u32) -> Value {
    json!({
        "access_token": format!("eyJhbGciOiJIUzUxMiJ9.{count}"), "token_type": "bearer",
        "refresh_token": format!("eyJyZWZyZXNoIjoxfQ.{count}"), "expires_in": life,
        "scope": "user:read:user meeting:read:meeting", "api_url": "https://api.zoom.us",
    })
}

#[test]
fn basic_everywhere_and_only_the_newest_refresh_token() {
    let zoom = Fake::of("zoom", &["zoom.us"]);
    let login = zoom.log_in();
    login.asks("https://zoom.us/oauth/authorize", Pkce::S256, &[("scope", SCOPES)]);

    zoom.answers("/oauth/token", "200 OK", &tokens(1, 3599));
    let record = login.comes_back();
    assert_eq!(zoom.asked(), post(TOKEN).basic().form(&PROVEN_CODE_GRANT));
    assert_eq!(record["scopes"], json!(["user:read:user", "meeting:read:meeting"]), "what was granted");
    assert_eq!(lifetime(&record), Some(3599));
    assert_eq!(record["api_url"], json!(null), "an answer does not move where a token may go");

    zoom.answers("/oauth/token", "200 OK", &tokens(2, 3599));
    assert_eq!(zoom.header(), "Bearer eyJhbGciOiJIUzUxMiJ9.2");
    assert_eq!(zoom.asked(), post(TOKEN).basic().form(&refresh_grant("eyJyZWZyZXNoIjoxfQ.1")));
    assert_eq!(zoom.record()["refresh_token"], "eyJyZWZyZXNoIjoxfQ.2");

    // "Revoking an access token": nothing is said of refresh tokens.
    zoom.answers("/oauth/revoke", "200 OK", &json!({"status": "success"}));
    assert_eq!(zoom.log_out(), "revoked");
    let fields = [("token", "eyJhbGciOiJIUzUxMiJ9.2"), ("token_type_hint", "access_token")];
    assert_eq!(zoom.asked(), post("https://zoom.us/oauth/revoke").basic().form(&fields));
}

/// `reason` in place of a description; the code is the standard's in some reports and `invalid_request` in others.
#[test]
fn an_older_refresh_token() {
    for code in ["invalid_grant", "invalid_request"] {
        let zoom = Fake::of("zoom", &["zoom.us"]);
        zoom.connect("/oauth/token", &tokens(1, 1));
        zoom.outlive();
        zoom.answers("/oauth/token", "400 Bad Request", &json!({"reason": "Invalid Token!", "error": code}));
        zoom.is_told_to_log_in_again("invalid_grant");
        assert_eq!(zoom.asked(), post(TOKEN).basic().form(&refresh_grant("eyJyZWZyZXNoIjoxfQ.1")));
    }
}
