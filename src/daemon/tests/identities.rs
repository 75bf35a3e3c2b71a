//! `/api/identities` and `/api/principals`.

use super::*;

fn register(daemon: &Daemon, handle: &str, did: &str) -> Response {
    daemon.open("POST", "/api/identities/register", &json!({"handle": handle, "did": did}).to_string())
}

#[test]
fn registration_answers_as_the_contract_says() {
    let daemon = Daemon::hosted();
    let agent = daemon.stranger("calm-fox");
    let body = json!({"handle": "calm-fox", "did": agent.key.did()}).to_string();
    let answer = daemon.answer(&agent.signed("POST", "/api/identities/register", &body));
    let value = answer.value();
    assert_eq!(answer.status, 200, "{value}");
    assert_eq!(value["status"], "registered");
    assert_eq!(value["registration_status"], "claim_required");
    let url = value["claim_url"].as_str().expect("a link");
    let token = url.strip_prefix("https://auth.example.com/claim?token=claim_").expect("on the base URL");
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));

    let again = register(&daemon, "calm-fox", &agent.key.did());
    assert_eq!(
        (again.status, again.value().get("claim_url")),
        (200, None),
        "a stranger may know the pair, also at first"
    );
    let other = daemon.stranger("calm-fox");
    let refused = register(&daemon, "calm-fox", &other.key.did());
    assert_eq!((refused.status, refused.value()["error"].as_str()), (409, Some("IdentityRegistrationError")));
    assert_eq!(refused.value().as_object().map(serde_json::Map::len), Some(2), "error and message only");
    assert_eq!(register(&daemon, "other-fox", &agent.key.did()).status, 409);
    for (handle, did) in [("default", agent.key.did()), ("Calm", agent.key.did()), ("a-fox", "did:web:x".to_owned())] {
        assert_eq!(register(&daemon, handle, &did).status, 400, "{handle} {did}");
    }
    let unfit = daemon.open("POST", "/api/identities/register", r#"{"handle":"calm-fox"}"#);
    assert_eq!(
        (unfit.status, unfit.value()),
        (422, json!({"detail": [{"type": "missing", "loc": ["body", "did"], "msg": "Field required"}]}))
    );
}

#[test]
fn a_claim_link_is_for_who_signed_and_in_compatibility_mode_for_all() {
    let daemon = Daemon::hosted();
    let agent = daemon.registered("calm-fox");
    assert!(daemon.open("GET", "/api/identities/calm-fox", "").value().get("claim_url").is_none());
    assert!(agent.get("/api/identities/calm-fox").value()["claim_url"].is_string());
    let other = daemon.registered("other-fox");
    assert!(other.get("/api/identities/calm-fox").value().get("claim_url").is_none(), "signed by another");
    assert_eq!(daemon.open("GET", "/api/identities/nobody", "").status, 404);

    let compat = Daemon::with(|settings| settings.compat = true);
    compat.registered("calm-fox");
    assert!(compat.open("GET", "/api/identities/calm-fox", "").value()["claim_url"].is_string());
}

#[test]
fn a_did_finds_its_handle() {
    let daemon = Daemon::local();
    let agent = daemon.registered("calm-fox");
    let did = agent.key.did();
    let answer = daemon.open("GET", &format!("/api/identities/by-did/{did}"), "");
    assert_eq!(answer.value(), json!({"identity": "calm-fox", "did": did}));
    assert_eq!(daemon.open("GET", "/api/identities/by-did/did:key:z1", "").status, 404);
}

#[test]
fn on_one_machine_a_file_is_proof_enough() {
    let daemon = Daemon::local();
    let agent = daemon.registered("calm-fox");
    let claim = |agent: &Agent<'_>, token: &str| {
        agent.ask("POST", "/api/identities/calm-fox/claim", &json!({"bootstrap_token": token}).to_string())
    };
    for wrong in ["", "x", "bootstrap-token-of-this-tesT"] {
        assert_eq!(claim(&agent, wrong).detail(), refusal(403, "Wrong bootstrap token"), "{wrong}");
    }
    let other = daemon.registered("other-fox");
    assert_eq!(claim(&other, BOOTSTRAP).status, 403, "only by its own key");
    let value = claim(&agent, BOOTSTRAP).value();
    assert_eq!(
        (&value["registration_status"], value["principal_id"].is_string()),
        (&json!("claimed"), true),
        "{value}"
    );
    assert_eq!(claim(&agent, BOOTSTRAP).status, 200, "again changes nothing");
    let whoami = agent.get("/api/whoami").value();
    assert_eq!((&whoami["account_email"], &whoami["principal_role"]), (&json!("owner@localhost"), &json!("admin")));
    let status = daemon.open("GET", "/api/identities/calm-fox", "").value();
    assert_eq!(status["principal_id"], value["principal_id"]);
}

#[test]
fn the_file_of_this_machine_takes_no_identity_from_another_principal() {
    let daemon = Daemon::local();
    let bob = daemon.account("b@x.test");
    let agent = daemon.claimed("calm-fox", &bob, Grants { export: false, ..Grants::default() });
    let body = json!({"bootstrap_token": BOOTSTRAP}).to_string();
    let refused = agent.ask("POST", "/api/identities/calm-fox/claim", &body);
    assert_eq!((refused.status, &refused.value()["error"]), (400, &json!("OperationNotAllowedError")));
    assert_eq!(agent.get("/api/whoami").value()["account_email"], "b@x.test");
    assert_eq!(agent.get("/api/identities?grants=1").value()["identities"][0]["grants"]["export"], false);
}

#[test]
fn grants_are_shown_to_who_asks_for_them() {
    let daemon = Daemon::local();
    let owner = daemon.account("a@x.test");
    let agent = daemon.claimed("calm-fox", &owner, Grants { export: false, ..Grants::default() });
    let grants = json!({"use": true, "export": false});
    assert_eq!(agent.get("/api/identities?grants=1").value()["identities"][0]["grants"], grants);
    assert_eq!(agent.get("/api/identities/calm-fox/detail?grants=1").value()["grants"], grants);
    daemon.registered("new-fox");
    assert_eq!(agent.get("/api/identities/new-fox/detail?grants=1").value()["grants"], Value::Null);
    let fields = agent.get("/api/identities/calm-fox/detail").value().as_object().map(serde_json::Map::len);
    assert_eq!(fields, Some(10), "those of 0.7.2");
}

#[test]
fn a_bootstrap_file_without_a_token_opens_nothing() {
    let daemon = Daemon::local();
    std::fs::write(daemon.state.home.bootstrap_token(), "\n").expect("writes");
    let agent = daemon.registered("calm-fox");
    let answer = agent.ask("POST", "/api/identities/calm-fox/claim", r#"{"bootstrap_token":""}"#);
    assert_eq!(answer.detail(), refusal(403, "Wrong bootstrap token"));
}

#[test]
fn a_hosted_daemon_takes_no_bootstrap_token() {
    let daemon = Daemon::hosted();
    let agent = daemon.registered("calm-fox");
    let body = json!({"bootstrap_token": BOOTSTRAP}).to_string();
    assert_eq!(agent.ask("POST", "/api/identities/calm-fox/claim", &body).status, 403);
}

#[test]
fn identities_of_others_are_not_there() {
    let daemon = Daemon::local();
    let (admin, user) = (daemon.account("admin@x.test"), daemon.account("user@x.test"));
    let of_admin = daemon.claimed("admin-fox", &admin, Grants::default());
    let of_user = daemon.claimed("user-fox", &user, Grants::default());
    assert_eq!(
        of_user.get("/api/identities/").value(),
        json!({"identities": [{"handle": "user-fox", "status": "claimed"}]})
    );
    let own = of_user.get("/api/identities/user-fox/detail").value();
    assert_eq!((&own["principal_email"], &own["is_active"]), (&json!("user@x.test"), &json!(true)));
    assert_eq!(of_user.get("/api/identities/admin-fox/detail").status, 404);
    assert_eq!(of_user.ask("DELETE", "/api/identities/admin-fox", "").status, 404);
    assert_eq!(of_user.ask("PUT", "/api/identities/admin-fox/grants", r#"{"export":false}"#).status, 404);
    let other = of_admin.get("/api/identities/user-fox/detail").value();
    assert_eq!((&other["principal_email"], &other["is_active"]), (&json!("user@x.test"), &json!(false)));
    let principals = of_admin.get("/api/principals").value();
    let emails: Vec<_> = principals["principals"].as_array().expect("a list").iter().map(|row| &row["email"]).collect();
    assert_eq!(emails.len(), 2, "{principals}");
    assert!(!principals.to_string().contains("argon2"), "{principals}");
}

#[test]
fn rights_that_were_taken_away_cannot_be_taken_back_by_their_loser() {
    let daemon = Daemon::local();
    let owner = daemon.account("a@x.test");
    let agent = daemon.claimed("calm-fox", &owner, Grants::default());
    let browser = daemon.browser(&owner);
    let set = |body: &str| browser.ask("PUT", "/api/identities/calm-fox/grants", body, &[]).value();
    assert_eq!(set(r#"{"export":false}"#), json!({"identity": "calm-fox", "use": true, "export": false}));
    let export = |format: &str| agent.ask("POST", "/api/credentials/export", &json!({"format": format}).to_string());
    assert_eq!(export("json").status, 400, "the right bites at once");
    let body = r#"{"export":true}"#;
    assert_eq!(agent.ask("PUT", "/api/identities/calm-fox/grants", body).status, 403);
    assert_eq!(set(body)["export"], true);
    assert_eq!(export("json").status, 200);
}
