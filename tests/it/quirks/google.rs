//! Google. Documented: "Using OAuth 2.0 for Web Server Applications"
//! (<https://developers.google.com/identity/protocols/oauth2/web-server>) and "OpenID Connect"
//! (<https://developers.google.com/identity/openid-connect/openid-connect>).

use serde_json::{Value, json};

use super::fake::{Fake, PROVEN_CODE_GRANT, Pkce, id_token, lifetime, refresh_grant};
use super::request::post;

const HOSTS: [&str; 2] = ["accounts.google.com", "oauth2.googleapis.com"];
const AUTHORIZE: &str = "https://accounts.google.com/o/oauth2/v2/auth";
const TOKEN: &str = "https://oauth2.googleapis.com/token";
const REVOKE: &str = "https://oauth2.googleapis.com/revoke";

/// The answer to a code: a refresh token because of `access_type=offline`, scopes by their full names, an ID token.
fn tokens() -> Value {
    json!({
        "access_token": "ya29.a0first",
        "expires_in": 3599,
        "refresh_token": "1//0refresh",
        "scope": "openid https://www.googleapis.com/auth/userinfo.profile",
        "token_type": "Bearer",
        "id_token": id_token(&json!({"sub": "110169484474386276334", "name": "Ada L", "locale": "en"})),
    })
}

#[test]
fn the_refresh_token_stays_and_the_access_token_ends_both() {
    let google = Fake::of("google", &HOSTS);
    let login = google.log_in();
    login.asks(
        AUTHORIZE,
        Pkce::S256,
        &[("scope", "openid profile"), ("access_type", "offline"), ("prompt", "consent")],
    );

    google.answers("/token", "200 OK", &tokens());
    let record = login.comes_back();
    assert_eq!(google.asked(), post(TOKEN).form(&PROVEN_CODE_GRANT).client_in_body());
    assert_eq!(record["scopes"], json!(["openid", "https://www.googleapis.com/auth/userinfo.profile"]));
    assert_eq!(lifetime(&record), Some(3599));
    assert_eq!(record["account"], json!({"id": "110169484474386276334", "label": "Ada L"}));

    // "Refreshing an access token": the answer has no refresh token, so the first one stays.
    let refreshed = json!({"access_token": "ya29.a0second", "expires_in": 3599, "token_type": "Bearer"});
    google.answers("/token", "200 OK", &refreshed);
    assert_eq!(google.header(), "Bearer ya29.a0second");
    assert_eq!(google.asked(), post(TOKEN).form(&refresh_grant("1//0refresh")).client_in_body());
    assert_eq!(google.record()["refresh_token"], "1//0refresh");
    assert_eq!(google.record()["scopes"], record["scopes"], "none named: none changed");

    // "Revoking a token": the token is all that is sent, and the refresh token that belongs to it ends too.
    google.answers("/revoke", "200 OK", &json!({}));
    assert_eq!(google.log_out(), "revoked");
    assert_eq!(google.asked(), post(REVOKE).form(&[("token", "ya29.a0second"), ("token_type_hint", "access_token")]));
}

/// "Refresh token expiration": a changed password, six months without use, a seventh day of testing.
#[test]
fn a_dead_refresh_token() {
    let google = Fake::of("google", &HOSTS);
    let mut short = tokens();
    short["expires_in"] = json!(1);
    google.connect("/token", &short);
    google.outlive();
    let dead = json!({"error": "invalid_grant", "error_description": "Token has been expired or revoked."});
    google.answers("/token", "400 Bad Request", &dead);
    google.is_told_to_log_in_again("invalid_grant: Token has been expired or revoked.");
    assert_eq!(google.asked(), post(TOKEN).form(&refresh_grant("1//0refresh")).client_in_body());
}
