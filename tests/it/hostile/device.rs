//! Device logins with a server that makes things up.

use serde_json::{Map, Value, json};

use super::stage::Stage;
use crate::harness::eventually;
use crate::harness::oauth::{CLIENT_ID, CLIENT_SECRET, Reply};

/// Starts a device login of `connection`; the answer may be a session that has failed.
fn start(stage: &Stage, connection: &str) -> Value {
    let caller = stage.caller();
    let body = json!({"provider": "demo-oauth", "connection": connection, "flow": "device_code", "force": true});
    let session = caller.post("/api/auth/sessions", &body).json();
    if !session["next_action"]["url"].as_str().is_some_and(|url| url.contains("/auth/input?")) {
        return session;
    }
    let data = json!({"data": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}});
    let id = session["id"].as_str().expect("an id");
    let answer = caller.post(&format!("/api/auth/sessions/{id}/resume"), &data);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn id(session: &Value) -> String {
    session["id"].as_str().unwrap_or_else(|| panic!("no session: {session}")).to_owned()
}

fn ended(stage: &Stage, id: &str) -> Value {
    eventually("the end of a device login", || {
        let session = stage.session(id);
        (!["waiting_for_user", "processing"].contains(&session["status"].as_str()?)).then_some(session)
    })
}

#[test]
fn a_person_agrees_and_that_is_that() {
    let stage = Stage::new();
    let session = start(&stage, "default");
    let code = session["user_code"].as_str().expect("a code");
    stage.server.wait_for_token_requests(1);
    stage.server.decide(code, true);
    assert_eq!(ended(&stage, &id(&session))["status"], "completed");
    assert_eq!(stage.stored("default").access, Some(stage.server.newest().access));
    assert_eq!(stage.events("provider.login", "default")[0]["flow"], "device_code");
}

#[test]
fn answers_that_no_person_should_follow_end_the_login() {
    let stage = Stage::new();
    let cases = [
        ("a script", "verification_uri", json!("javascript:alert(1)")),
        ("a file", "verification_uri", json!("file:///etc/passwd")),
        ("a space", "verification_uri", json!("https://auth.demo.test/a b")),
        ("a line break", "verification_uri", json!("https://auth.demo.test/\r\nx")),
        ("no address", "verification_uri", json!(null)),
        ("a user name", "verification_uri", json!("https://accounts.google.com@evil.test/")),
        ("no code", "user_code", json!(null)),
        ("an empty code", "user_code", json!("")),
        ("a code that moves a terminal", "user_code", json!("AB\u{1b}[2J-CD")),
        ("a code that turns around", "user_code", json!("AB\u{202e}CD")),
        ("a code that is a novel", "user_code", json!("x".repeat(5000))),
        ("no device code", "device_code", json!(null)),
        ("a number for a device code", "device_code", json!(5)),
    ];
    for (number, (what, field, value)) in cases.into_iter().enumerate() {
        stage.server.set(|knobs| knobs.device = Map::from_iter([(field.to_owned(), value.clone())]));
        let connection = format!("c{number}");
        let session = start(&stage, &connection);
        let shown = session.to_string();
        let is_refused = session["status"] == "failed";
        // What is only ugly may be cleaned instead.
        let is_harmless = !shown.contains("javascript:") && !shown.contains("file:") && !shown.contains("\\u001b");
        assert!(is_harmless && !shown.contains('\u{202e}') && shown.len() < 3000, "{what}: {shown}");
        if field != "user_code" || value == json!(null) || value == json!("") {
            assert!(is_refused, "{what}: {session}");
        }
        if is_refused {
            stage.login_failed(what, &id(&session), &connection, "");
        }
    }
}

#[test]
fn a_link_that_is_not_one_is_not_offered() {
    let stage = Stage::new();
    for link in ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//evil.test/"] {
        stage.server.set(|knobs| {
            knobs.device = Map::from_iter([("verification_uri_complete".to_owned(), json!(link))]);
        });
        let session = start(&stage, "default");
        let offered = session["verification_uri_complete"].as_str();
        assert!(session["status"] == "failed" || offered.is_none(), "{link}: {session}");
        let page = stage.person().browse(session["next_action"]["url"].as_str().unwrap_or_default());
        assert!(!page.text().contains(&format!("href=\"{link}")), "{link}: {}", page.text());
    }
}

#[test]
fn no_interval_makes_the_daemon_spin_or_sleep_for_ever() {
    let stage = Stage::new();
    for (what, interval) in
        [("zero", json!(0)), ("negative", json!(-1)), ("a fraction", json!(0.001)), ("text", json!("0"))]
    {
        stage.server.set(|knobs| knobs.device = Map::from_iter([("interval".to_owned(), interval)]));
        let before = stage.server.token_requests().len();
        let start_of_poll = std::time::Instant::now();
        let session = start(&stage, "default");
        stage.server.wait_for_token_requests(before + 2);
        assert!(
            start_of_poll.elapsed().as_millis() >= 1900,
            "{what}: two questions within {:?}",
            start_of_poll.elapsed()
        );
        stage.caller().call("DELETE", &format!("/api/auth/sessions/{}", id(&session)), "");
    }
    // An interval beyond the life of the code is no reason never to ask.
    stage.server.set(|knobs| {
        knobs.device = Map::from_iter([("interval".to_owned(), json!(1e9)), ("expires_in".to_owned(), json!(2))]);
    });
    let session = start(&stage, "slow");
    let end = ended(&stage, &id(&session));
    assert_eq!(end["status"], "expired", "{end}");
}

#[test]
fn a_life_of_a_code_is_believed_within_reason() {
    let stage = Stage::new();
    for (what, lifetime) in
        [("for ever", json!(1e15)), ("negative", json!(-5)), ("nothing", json!(null)), ("words", json!("soon"))]
    {
        stage.server.set(|knobs| knobs.device = Map::from_iter([("expires_in".to_owned(), lifetime)]));
        let session = start(&stage, "default");
        assert_eq!(session["status"], "waiting_for_user", "{what}: {session}");
        let left = super::stage::seconds_until(session["expires_at"].as_str().expect("an end"));
        assert!((60..=24 * 3600).contains(&left), "{what}: {left} s");
        stage.caller().call("DELETE", &format!("/api/auth/sessions/{}", id(&session)), "");
    }
}

#[test]
fn five_megabytes_of_device_answer_are_refused() {
    let stage = Stage::new();
    let body =
        json!({"device_code": "dc", "user_code": "x".repeat(5 << 20), "verification_uri": "https://auth.demo.test/"});
    stage.server.next("/device", Reply::json(body.to_string()));
    let before = stage.world.daemon().peak_memory();
    let session = start(&stage, "default");
    stage.login_failed("5 MB", &id(&session), "default", "more than 1048576 bytes");
    assert!(stage.world.daemon().peak_memory() - before < 24 * 1024);
}

#[test]
fn useless_answers_to_the_first_question_end_the_login() {
    let stage = Stage::new();
    for (number, (what, reply, reason)) in [
        ("a web page", Reply::status("200 OK", "content-type: text/html\r\n", "<html>hidden"), "a web page"),
        ("500", Reply::status("500 No", "", "hidden"), "status 500"),
        ("a refusal", Reply::error("unauthorized_client"), "unauthorized_client"),
        ("a redirect", Reply::status("307 Away", "location: https://api.demo.test/device\r\n", ""), "a redirect"),
        ("a close", Reply::HangUp, ""),
    ]
    .into_iter()
    .enumerate()
    {
        stage.server.next("/device", reply);
        let connection = format!("c{number}");
        let session = start(&stage, &connection);
        stage.login_failed(what, &id(&session), &connection, reason);
    }
    assert!(stage.world.api.requests().iter().all(|seen| seen.target != "/device"));
    stage.logs_are_clean(&["hidden"]);
}

#[test]
fn faults_on_the_way_are_asked_through_and_an_end_is_an_end() {
    let stage = Stage::new();
    let session = start(&stage, "patient");
    stage.server.next("/token", Reply::status("502 Bad Gateway", "", "<html>"));
    stage.server.next("/token", Reply::HangUp);
    stage.server.wait_for_token_requests(3);
    stage.server.decide(session["user_code"].as_str().expect("a code"), true);
    assert_eq!(ended(&stage, &id(&session))["status"], "completed");
    for (connection, error, reason) in [
        ("denied", "access_denied", "denied"),
        ("late", "expired_token", "expired"),
        ("odd", "no_such_thing", "no_such_thing"),
    ] {
        stage.server.next("/token", Reply::error(error));
        let session = start(&stage, connection);
        let asked = ended(&stage, &id(&session));
        let calls = stage.server.token_requests().len();
        assert_eq!(asked["status"], "failed", "{asked}");
        stage.login_failed(error, &id(&session), connection, reason);
        assert_eq!(stage.server.token_requests().len(), calls, "{error}: nobody is asked after the end");
    }
}

#[test]
fn a_cancelled_device_login_gives_back_what_comes_late() {
    let stage = Stage::new();
    let session = start(&stage, "default");
    let held = stage.server.hold();
    stage.server.decide(session["user_code"].as_str().expect("a code"), true);
    held.wait_for(1);
    stage.caller().call("DELETE", &format!("/api/auth/sessions/{}", id(&session)), "");
    drop(held);
    let issued = eventually("tokens", || stage.server.issued().pop());
    eventually("their revocation", || (!stage.server.lives(&issued.access)).then_some(()));
    assert_eq!(stage.session(&id(&session))["status"], "cancelled");
    assert_eq!(stage.caller().get("/api/connections/demo-oauth/default").status, 404);
}
