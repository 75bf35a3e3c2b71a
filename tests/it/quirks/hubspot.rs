//! `HubSpot`. Documented: "Manage OAuth tokens", version 2026-03
//! (<https://developers.hubspot.com/docs/api-reference/latest/authentication/manage-oauth-tokens>), "Migrate from the
//! OAuth v1 API", and the changelog's "New OAuth v3 API Endpoints and Standardized Error Responses"
//! (<https://developers.hubspot.com/changelog/new-oauth-v3-api-endpoints-and-standardized-error-responses>).
//!
//! Not verified: whether an app must still be asked for the scope `oauth`, and whether revoking one token ends the
//! other.

use serde_json::{Value, json};

use super::fake::{CODE_GRANT, Fake, Pkce, lifetime, refresh_grant};
use super::request::post;

const HOSTS: [&str; 2] = ["app.hubspot.com", "api.hubapi.com"];
const PATH: &str = "/oauth/2026-03/token";
const TOKEN: &str = "https://api.hubapi.com/oauth/2026-03/token";
const SCOPES: &str = "crm.objects.contacts.read crm.objects.contacts.write crm.objects.companies.read \
                      crm.objects.companies.write crm.objects.deals.read crm.objects.deals.write \
                      crm.objects.owners.read";

/// Half an hour; the refresh token is the same each time; scopes are a list called `scopes`.
fn tokens(count: usize, life: u32) -> Value {
    json!({
        "token_type": "bearer", "access_token": format!("CJSP5qf1{count}"), "refresh_token": "6f18f21e-a743",
        "expires_in": life, "hub_id": 1_234_567, "user_id": 293_199,
        "scopes": SCOPES.split(' ').collect::<Vec<_>>(),
    })
}

#[test]
fn half_an_hour_and_one_refresh_token_for_all_of_it() {
    let hubspot = Fake::of("hubspot", &HOSTS);
    let login = hubspot.log_in();
    login.asks("https://app.hubspot.com/oauth/authorize", Pkce::None, &[("scope", SCOPES)]);

    hubspot.answers(PATH, "200 OK", &tokens(1, 1800));
    let record = login.comes_back();
    assert_eq!(hubspot.asked(), post(TOKEN).form(&CODE_GRANT).client_in_body());
    assert_eq!(lifetime(&record), Some(1800));

    hubspot.answers(PATH, "200 OK", &tokens(2, 1800));
    assert_eq!(hubspot.header(), "Bearer CJSP5qf12");
    assert_eq!(hubspot.asked(), post(TOKEN).form(&refresh_grant("6f18f21e-a743")).client_in_body());

    for _ in 0..2 {
        hubspot.answers_with("/oauth/2026-03/token/revoke", "200 OK", "application/json", "");
    }
    assert_eq!(hubspot.log_out(), "revoked");
    for (token, hint) in [("CJSP5qf12", "access_token"), ("6f18f21e-a743", "refresh_token")] {
        let fields = [("token", token), ("token_type_hint", hint)];
        assert_eq!(hubspot.asked(), post(&format!("{TOKEN}/revoke")).form(&fields).client_in_body());
    }
}

/// The standard's fields stand beside its own. Others saw `invalid_request` as the standard code in 2026, where
/// only `status` tells the truth.
#[test]
fn a_dead_refresh_token_in_both_its_forms() {
    for code in ["invalid_grant", "invalid_request"] {
        let hubspot = Fake::of("hubspot", &HOSTS);
        hubspot.connect(PATH, &tokens(1, 1));
        hubspot.outlive();
        let text = "refresh token is invalid, expired or revoked";
        let dead = json!({"error": code, "error_description": text, "status": "BAD_REFRESH_TOKEN", "message": text});
        hubspot.answers(PATH, "400 Bad Request", &dead);
        hubspot.is_told_to_log_in_again(text);
        assert_eq!(hubspot.asked(), post(TOKEN).form(&refresh_grant("6f18f21e-a743")).client_in_body());
    }
}
