//! Discord. Documented: `OAuth2` (<https://docs.discord.com/developers/topics/oauth2>, in discord/discord-api-docs).
//! The errors of the token endpoint are not documented there; the form below was seen by others.

use serde_json::{Value, json};

use super::fake::{CODE_GRANT, Fake, Pkce, lifetime, refresh_grant};
use super::request::post;

const PATH: &str = "/api/oauth2/token";
const TOKEN: &str = "https://discord.com/api/oauth2/token";

fn tokens(count: usize, life: u32) -> Value {
    json!({
        "access_token": format!("6qrZcUqja781{count}"), "token_type": "Bearer", "expires_in": life,
        "refresh_token": format!("D43f5y0ahjqe{count}"), "scope": "connections guilds identify email",
    })
}

#[test]
fn a_week_and_one_revocation_for_all_tokens() {
    let discord = Fake::of("discord", &["discord.com"]);
    let login = discord.log_in();
    let scope = [("scope", "identify email guilds connections")];
    login.asks("https://discord.com/oauth2/authorize", Pkce::None, &scope);

    // "JSON content is not permitted and will return an error"; Basic or the body, as one likes.
    discord.answers(PATH, "200 OK", &tokens(1, 604_800));
    let record = login.comes_back();
    assert_eq!(discord.asked(), post(TOKEN).basic().form(&CODE_GRANT));
    assert_eq!(lifetime(&record), Some(604_800));
    assert_eq!(record["scopes"], json!(["connections", "guilds", "identify", "email"]));

    discord.connect(PATH, &tokens(1, 60)); // for the sake of this test
    discord.answers(PATH, "200 OK", &tokens(2, 604_800));
    assert_eq!(discord.header(), "Bearer 6qrZcUqja7812");
    assert_eq!(discord.asked(), post(TOKEN).basic().form(&refresh_grant("D43f5y0ahjqe1")));
    assert_eq!(discord.record()["refresh_token"], "D43f5y0ahjqe2");

    // "Any active access or refresh tokens associated with that authorization will be revoked".
    discord.answers(&format!("{PATH}/revoke"), "200 OK", &json!({}));
    assert_eq!(discord.log_out(), "revoked");
    let fields = [("token", "6qrZcUqja7812"), ("token_type_hint", "access_token")];
    assert_eq!(discord.asked(), post(&format!("{TOKEN}/revoke")).basic().form(&fields));
}

#[test]
fn a_dead_refresh_token() {
    let discord = Fake::of("discord", &["discord.com"]);
    discord.connect(PATH, &tokens(1, 1));
    discord.outlive();
    discord.answers(PATH, "400 Bad Request", &json!({"error": "invalid_grant"}));
    discord.is_told_to_log_in_again("invalid_grant");
    assert_eq!(discord.asked(), post(TOKEN).basic().form(&refresh_grant("D43f5y0ahjqe1")));
}
