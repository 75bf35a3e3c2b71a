//! Todoist. Documented: "Authorization" (<https://developer.todoist.com/api/v1/#tag/Authorization>) and the SDK
//! (Doist/todoist-sdk-typescript: `authentication.ts`, `refreshAuthToken`). Refresh tokens are the default for new
//! apps; apps without them get a token for life. That only access tokens can be revoked, and that a refresh token spent
//! within the last minute is answered without a new one, is from the sources of another client (Todoist.Net). What a
//! dead refresh token looks like is not documented; the standard's error is assumed.

use serde_json::{Value, json};

use super::fake::{Fake, PROVEN_CODE_GRANT, Pkce, lifetime, refresh_grant};
use super::request::post;

const HOSTS: [&str; 2] = ["app.todoist.com", "api.todoist.com"];
const PATH: &str = "/oauth/access_token";
const TOKEN: &str = "https://api.todoist.com/oauth/access_token";

fn tokens(count: usize, life: u32) -> Value {
    json!({
        "access_token": format!("td_access_{count}"), "token_type": "Bearer", "expires_in": life,
        "refresh_token": format!("td_refresh_{count}"),
    })
}

#[test]
fn a_new_app_body_at_the_token_endpoint_and_basic_at_revocation() {
    let todoist = Fake::of("todoist", &HOSTS);
    let login = todoist.log_in();
    let scope = [("scope", "data:read_write,task:add")];
    login.asks("https://app.todoist.com/oauth/authorize", Pkce::S256, &scope);

    todoist.answers(PATH, "200 OK", &tokens(1, 3600));
    let record = login.comes_back();
    assert_eq!(todoist.asked(), post(TOKEN).form(&PROVEN_CODE_GRANT).client_in_body());
    assert_eq!(lifetime(&record), Some(3600));

    todoist.answers(PATH, "200 OK", &tokens(2, 3600));
    assert_eq!(todoist.header(), "Bearer td_access_2");
    assert_eq!(todoist.asked(), post(TOKEN).form(&refresh_grant("td_refresh_1")).client_in_body());
    assert_eq!(todoist.record()["refresh_token"], "td_refresh_2");

    todoist.answers_with("/api/v1/revoke", "200 OK", "application/json", "");
    assert_eq!(todoist.log_out(), "revoked");
    let fields = [("token", "td_access_2"), ("token_type_hint", "access_token")];
    assert_eq!(todoist.asked(), post("https://api.todoist.com/api/v1/revoke").basic().form(&fields));
}

#[test]
fn an_app_from_before_refresh_tokens() {
    let todoist = Fake::of("todoist", &HOSTS);
    let record = todoist.connect(PATH, &json!({"access_token": "0123456789abcdef", "token_type": "Bearer"}));
    assert_eq!((lifetime(&record), &record["refresh_token"]), (None, &json!(null)));
    assert_eq!(todoist.header(), "Bearer 0123456789abcdef");
}

#[test]
fn a_dead_refresh_token() {
    let todoist = Fake::of("todoist", &HOSTS);
    todoist.connect(PATH, &tokens(1, 1));
    todoist.outlive();
    todoist.answers(PATH, "400 Bad Request", &json!({"error": "invalid_grant"}));
    todoist.is_told_to_log_in_again("invalid_grant");
    assert_eq!(todoist.asked(), post(TOKEN).form(&refresh_grant("td_refresh_1")).client_in_body());
}
