//! Discovery and registration with a server that lies about itself.

use serde_json::{Map, Value, json};

use super::stage::Stage;
use crate::harness::World;
use crate::harness::oauth::Reply;

/// A provider that registers its client itself and finds what it needs by discovery.
fn discovering() -> Stage {
    Stage::with(discover)
}

fn discover(definition: &mut Value) {
    definition["flow"] = json!("dcr_pkce");
    definition["oauth"] = json!({"base_url": "https://auth.demo.test", "scopes": ["read"]});
}

fn start(stage: &Stage, connection: &str) -> Value {
    let start = json!({"provider": "demo-oauth", "connection": connection, "force": true});
    let answer = stage.caller().post("/api/auth/sessions", &start);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let session = answer.json();
    if !session["next_action"]["url"].as_str().is_some_and(|url| url.contains("/auth/input?")) {
        return session;
    }
    let id = session["id"].as_str().expect("an id");
    stage.caller().post(&format!("/api/auth/sessions/{id}/resume"), &json!({"data": {}})).json()
}

fn id(session: &Value) -> String {
    session["id"].as_str().unwrap_or_else(|| panic!("no session: {session}")).to_owned()
}

#[test]
fn an_honest_server_is_found_registered_with_and_used() {
    let stage = discovering();
    let session = start(&stage, "default");
    let url = session["next_action"]["url"].as_str().unwrap_or_default();
    assert!(url.starts_with("https://auth.demo.test/authorize?"), "{session}");
    assert_eq!(stage.person().browse(url).status, 200);
    assert_eq!(stage.stored("default").status, "connected");
    let registered = stage.server.registrations();
    assert_eq!(registered[0]["client_name"], "authsome-demo-oauth", "{registered:#?}");
    // One client is enough for ever.
    start(&stage, "again");
    assert_eq!(stage.server.registrations().len(), 1);
}

#[test]
fn the_answer_of_another_issuer_is_refused() {
    let stage = discovering();
    stage.server.set(|knobs| knobs.iss = Some("https://evil.test".to_owned()));
    let session = start(&stage, "default");
    stage.person().browse(session["next_action"]["url"].as_str().unwrap_or_default());
    stage.login_failed("a mix-up", &id(&session), "default", "another authorization server");
    assert!(stage.server.token_requests().is_empty(), "the code of another server is not sent anywhere");
    stage.server.set(|knobs| knobs.iss = Some(stage.server.url("")));
    let session = start(&stage, "right");
    assert_eq!(stage.person().browse(session["next_action"]["url"].as_str().unwrap_or_default()).status, 200);
    assert_eq!(stage.stored("right").status, "connected");
}

#[test]
fn metadata_that_lead_astray_are_refused() {
    let mut world = World::empty();
    let thief = world.serve_more(&["evil.test"]);
    let stage = Stage::in_world(world, discover);
    let cases = [
        ("another issuer", "issuer", json!("https://evil.test")),
        ("an issuer that only starts alike", "issuer", json!("https://auth.demo.test.evil.test")),
        ("no issuer", "issuer", json!(null)),
        ("plain http for tokens", "token_endpoint", json!("http://auth.demo.test/token")),
        ("plain http for people", "authorization_endpoint", json!("http://auth.demo.test/authorize")),
        ("a script for people", "authorization_endpoint", json!("javascript:alert(1)")),
        ("a file for people", "authorization_endpoint", json!("file:///etc/passwd")),
        ("a number", "token_endpoint", json!(7)),
        ("no token endpoint", "token_endpoint", json!(null)),
        ("no registration", "registration_endpoint", json!(null)),
        ("plain http to register", "registration_endpoint", json!("http://auth.demo.test/register")),
        ("a name and a password", "token_endpoint", json!("https://a:b@auth.demo.test/token")),
        ("the cloud's own metadata", "registration_endpoint", json!("https://169.254.169.254/latest")),
    ];
    for (number, (what, field, value)) in cases.into_iter().enumerate() {
        stage.server.set(|knobs| knobs.metadata = Some(Map::from_iter([(field.to_owned(), value)])));
        let connection = format!("c{number}");
        let session = start(&stage, &connection);
        stage.login_failed(what, &id(&session), &connection, "");
        assert!(!session.to_string().contains("javascript:"), "{what}: {session}");
    }
    assert!(stage.server.token_requests().is_empty());
    assert!(thief.requests().is_empty());
    for (number, (what, reply)) in [
        ("a web page", Reply::status("200 OK", "content-type: text/html\r\n", "<html>")),
        ("a redirect", Reply::status("302 Away", "location: https://evil.test/.well-known/oauth\r\n", "")),
        ("2 MB", Reply::json(json!({"issuer": "x".repeat(2 << 20)}).to_string())),
        ("a list", Reply::json("[]")),
        ("two issuers", Reply::json("{\"issuer\":\"https://auth.demo.test\",\"issuer\":\"https://evil.test\"}")),
    ]
    .into_iter()
    .enumerate()
    {
        stage.server.always("/.well-known/oauth-authorization-server", reply);
        let connection = format!("d{number}");
        let session = start(&stage, &connection);
        stage.login_failed(what, &id(&session), &connection, "");
    }
    assert_eq!(thief.connections(), 0);
}

#[test]
fn registrations_that_give_no_client_end_the_login() {
    let stage = discovering();
    let cases = [
        ("no id", "client_id", json!(null)),
        ("an empty id", "client_id", json!("")),
        ("a number", "client_id", json!(5)),
        ("a line break", "client_id", json!("a\r\nb")),
        ("a novel", "client_id", json!("x".repeat(100_000))),
        ("a secret that is a number", "client_secret", json!(5)),
        ("a secret with a line break", "client_secret", json!("a\nb")),
    ];
    for (number, (what, field, value)) in cases.into_iter().enumerate() {
        stage.server.set(|knobs| knobs.registration = Map::from_iter([(field.to_owned(), value)]));
        let connection = format!("c{number}");
        let session = start(&stage, &connection);
        stage.login_failed(what, &id(&session), &connection, "");
    }
    for (number, (what, reply, reason)) in [
        ("a web page", Reply::status("201 Created", "content-type: text/html\r\n", "<html>hidden"), "a web page"),
        ("a refusal", Reply::error("access_denied"), "access_denied"),
        ("a redirect", Reply::status("307 Away", "location: https://api.demo.test/register\r\n", ""), "a redirect"),
        ("500", Reply::status("500 No", "", "hidden"), "status 500"),
        ("2 MB", Reply::json(json!({"client_id": "x".repeat(2 << 20)}).to_string()), "more than 1048576 bytes"),
    ]
    .into_iter()
    .enumerate()
    {
        stage.server.next("/register", reply);
        let connection = format!("d{number}");
        let session = start(&stage, &connection);
        stage.login_failed(what, &id(&session), &connection, reason);
    }
    stage.logs_are_clean(&["hidden"]);
    assert!(stage.world.api.requests().iter().all(|seen| seen.target != "/register"));
    stage.server.set(|knobs| knobs.registration.clear());
    let before = stage.server.registrations().len();
    let session = start(&stage, "default");
    assert_eq!(stage.person().browse(session["next_action"]["url"].as_str().unwrap_or_default()).status, 200);
    assert_eq!(stage.server.registrations().len(), before + 1, "nothing of the failed ones was kept");
}

#[test]
fn a_server_that_registers_public_clients_only_gets_one() {
    let stage = discovering();
    stage.server.set(|knobs| knobs.registers_public_only = true);
    let session = start(&stage, "default");
    assert_eq!(stage.person().browse(session["next_action"]["url"].as_str().unwrap_or_default()).status, 200);
    let methods: Vec<Value> =
        stage.server.registrations().iter().map(|one| one["token_endpoint_auth_method"].clone()).collect();
    assert_eq!(methods, ["client_secret_post", "none"]);
    assert_eq!(stage.server.token_requests()[0].field("client_secret"), None);
}
