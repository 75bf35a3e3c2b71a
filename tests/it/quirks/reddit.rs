//! Reddit. Documented: the wiki page "`OAuth2`" (<https://github.com/reddit-archive/reddit/wiki/OAuth2>) and Reddit's
//! own server as it was published (reddit-archive/reddit, `r2/r2/controllers/oauth2.py`): Basic everywhere, refresh
//! tokens that never change, status 204 for a revocation, 400 for a refresh token that is gone. The bodies of the
//! errors are those of today's site, as others saw them. A distinctive `User-Agent` is demanded; the fake demands it of
//! every request.

use serde_json::{Value, json};

use super::fake::{CODE_GRANT, Fake, Pkce, lifetime, refresh_grant};
use super::request::post;

const PATH: &str = "/api/v1/access_token";
const TOKEN: &str = "https://www.reddit.com/api/v1/access_token";
const REVOKE: &str = "https://www.reddit.com/api/v1/revoke_token";

/// A day; a refresh token because of `duration=permanent`, in the first answer only.
fn tokens(life: u32) -> Value {
    json!({
        "access_token": "eyJhbGciOi-first", "token_type": "bearer", "expires_in": life,
        "refresh_token": "70743860-DRhHVNSEOMu1ldlI", "scope": "identity read",
    })
}

#[test]
fn one_refresh_token_for_life() {
    let reddit = Fake::of("reddit", &["www.reddit.com"]);
    let login = reddit.log_in();
    let more = [("scope", "identity read"), ("duration", "permanent")];
    login.asks("https://www.reddit.com/api/v1/authorize", Pkce::None, &more);

    reddit.answers(PATH, "200 OK", &tokens(86_400));
    let record = login.comes_back();
    assert_eq!(reddit.asked(), post(TOKEN).basic().form(&CODE_GRANT));
    assert_eq!((lifetime(&record), &record["scopes"]), (Some(86_400), &json!(["identity", "read"])));

    reddit.connect(PATH, &tokens(60)); // for the sake of this test
    let refreshed = json!({
        "access_token": "eyJhbGciOi-second", "token_type": "bearer", "expires_in": 86_400, "scope": "identity read",
    });
    reddit.answers(PATH, "200 OK", &refreshed);
    assert_eq!(reddit.header(), "Bearer eyJhbGciOi-second");
    assert_eq!(reddit.asked(), post(TOKEN).basic().form(&refresh_grant("70743860-DRhHVNSEOMu1ldlI")));
    assert_eq!(reddit.record()["refresh_token"], "70743860-DRhHVNSEOMu1ldlI");

    reddit.answers_with("/api/v1/revoke_token", "204 No Content", "application/json", "");
    reddit.answers_with("/api/v1/revoke_token", "204 No Content", "application/json", "");
    assert_eq!(reddit.log_out(), "revoked");
    for (token, hint) in [("eyJhbGciOi-second", "access_token"), ("70743860-DRhHVNSEOMu1ldlI", "refresh_token")] {
        assert_eq!(reddit.asked(), post(REVOKE).basic().form(&[("token", token), ("token_type_hint", hint)]));
    }
}

/// The number of the status is all that the error says.
#[test]
fn a_revoked_refresh_token() {
    let reddit = Fake::of("reddit", &["www.reddit.com"]);
    reddit.connect(PATH, &tokens(1));
    reddit.outlive();
    reddit.answers(PATH, "400 Bad Request", &json!({"message": "Bad Request", "error": 400}));
    reddit.is_told_to_log_in_again("invalid_grant");
    assert_eq!(reddit.asked(), post(TOKEN).basic().form(&refresh_grant("70743860-DRhHVNSEOMu1ldlI")));
}

/// A wrong secret is not the grant's fault: once the secret is right again, the same refresh token works.
#[test]
fn a_wrong_client_is_another_matter() {
    let reddit = Fake::of("reddit", &["www.reddit.com"]);
    reddit.connect(PATH, &tokens(1));
    reddit.outlive();
    reddit.answers(PATH, "401 Unauthorized", &json!({"message": "Unauthorized", "error": 401}));
    let (error, message) = reddit.refusal();
    assert_eq!(error, "RefreshFailedError", "{message}");
    reddit.asked();
    reddit.answers(PATH, "200 OK", &tokens(86_400));
    assert_eq!(reddit.header(), "Bearer eyJhbGciOi-first");
    assert_eq!(reddit.asked(), post(TOKEN).basic().form(&refresh_grant("70743860-DRhHVNSEOMu1ldlI")));
}
