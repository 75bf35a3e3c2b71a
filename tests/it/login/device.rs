//! Logins with a code that is typed elsewhere.

use serde_json::json;

use super::*;
use crate::harness::oauth::Reply;

/// A device login that has shown its code, and the code.
fn with_code(world: &World, args: &[&str]) -> (Conversation, String) {
    let login = with_client(world, &[&["--flow", "device_code"], args].concat());
    login.after("enter this code at this page:");
    login.shows("/activate");
    let screen = login.screen();
    let code = screen.lines().skip_while(|line| !line.contains("enter this code")).nth(2).expect("a code").trim();
    let code = code.to_owned();
    (login, code)
}

#[test]
fn a_code_that_is_entered_connects() {
    let (world, server) = AuthServer::world();
    server.set(|knobs| drop(knobs.device.insert("interval".to_owned(), json!(1))));
    let (login, code) = with_code(&world, &[]);
    login.shows("waiting for the code to be entered at Demo OAuth (");
    server.decide(&code, true);
    let ended = login.end().succeeds().says("demo-oauth (default) is connected.\n");
    holds_no_secret(&world, &server, &ended);
    assert!(is_connected(&world, "default"));
}

#[test]
fn a_code_that_is_refused_ends_the_login() {
    let (world, server) = AuthServer::world();
    server.set(|knobs| drop(knobs.device.insert("interval".to_owned(), json!(1))));
    let (login, code) = with_code(&world, &[]);
    server.decide(&code, false);
    login.end().exits(2).complains("denied");
    assert!(!is_connected(&world, "default"));
}

#[test]
fn a_code_that_is_entered_after_the_end_connects_nothing() {
    let (world, server) = AuthServer::world();
    server.set(|knobs| drop(knobs.device.insert("interval".to_owned(), json!(1))));
    let (login, code) = with_code(&world, &[]);
    login.signal(nix::sys::signal::Signal::SIGINT);
    login.end().exits(2);
    server.decide(&code, true);
    // Another login, asked about less often, takes its whole course meanwhile: the first would have been heard of.
    server.set(|knobs| drop(knobs.device.insert("interval".to_owned(), json!(2))));
    let (second, code) = with_code(&world, &["--connection", "work"]);
    server.decide(&code, true);
    second.end().succeeds();
    assert!(!is_connected(&world, "default") && is_connected(&world, "work"));
}

#[test]
fn a_provider_that_gives_no_code_ends_the_login_at_once() {
    let (world, server) = AuthServer::world();
    server.always("/device", Reply::error("unauthorized_client"));
    let login = to_demo(&world, &["--flow", "device_code", "--client-id", CLIENT_ID]).stdin(CLIENT_SECRET);
    login.run().exits(2).complains("unauthorized_client").complains("--client-id");
    server.always("/device", Reply::HangUp);
    let login = to_demo(&world, &["--flow", "device_code", "--client-id", CLIENT_ID]).stdin(CLIENT_SECRET);
    login.run().exits(8).complains("Cannot reach auth.demo.test");
}

#[test]
fn json_tells_the_code() {
    let (world, _server) = AuthServer::world();
    let args = ["--json", "--flow", "device_code", "--client-id", CLIENT_ID];
    let answer = to_demo(&world, &args).stdin(CLIENT_SECRET).run().succeeds().json();
    assert_eq!(answer["status"], "started");
    assert!(answer["user_code"].is_string() && answer["verification_uri"].is_string(), "{answer}");
    let args = ["--no-wait", "--flow", "device_code", "--client-id", CLIENT_ID];
    to_demo(&world, &args).stdin(CLIENT_SECRET).run().succeeds().says("/activate");
}
