//! Logins that end in the browser.

use nix::sys::signal::Signal;
use serde_json::json;

use super::*;
use crate::harness::oauth::Reply;
use crate::harness::{Person, eventually};

#[test]
fn a_client_from_the_command_line_and_a_browser_connect() {
    let (world, server) = AuthServer::world();
    let login = with_client(&world, &["--scopes", "read"]);
    let end = Person::new(&world).browse(&login.after(PAGE));
    assert_eq!(end.status, 200);
    let ended = login.end().succeeds().says("demo-oauth (default) is connected.\n");
    let ended = ended.complains("waiting for you to sign in at Demo OAuth").complains("granted: read\n");
    let ended = ended.complains("authsome run -- CMD");
    holds_no_secret(&world, &server, &ended);
    let token = world.authsome(["export", "demo-oauth", "--format", "dotenv", "--quiet"]).run().succeeds().out();
    assert!(server.lives(token.trim_end().split_once('=').expect("NAME=value").1), "{token}");

    // From now on the client is known.
    let second = Conversation::start(to_demo(&world, &["--connection", "work"]));
    Person::new(&world).browse(&second.after(PAGE));
    second.end().succeeds().says("demo-oauth (work) is connected.\n");
    let asked_for = server.token_requests().len();
    to_demo(&world, &[]).run().succeeds().says("was connected already");
    assert_eq!(server.token_requests().len(), asked_for);
    let again = to_demo(&world, &["--client-id", CLIENT_ID]).stdin(CLIENT_SECRET).run();
    again.exits(6).complains("--force");
}

#[test]
fn a_client_that_is_stored_already_is_used_and_another_is_refused() {
    let (world, server) = AuthServer::world();
    AuthServer::connect(&world);
    let same = with_client(&world, &["--connection", "work"]);
    Person::new(&world).browse(&same.after(PAGE));
    same.end().succeeds().complains("stored already: it is used with the secret that is stored");
    let other = to_demo(&world, &["--connection", "third", "--client-id", "another"]).stdin("its-secret").run();
    other.exits(4).complains("does not take this OAuth client").complains("provider revoke");
    assert!(!is_connected(&world, "third"));
    assert_eq!(server.token_requests().len(), 2);
}

#[test]
fn a_person_who_says_no_is_told_so() {
    let (world, server) = AuthServer::world();
    server.set(|knobs| knobs.denies = Some(("access_denied".to_owned(), "not \u{1b}[31mtoday".to_owned())));
    let login = with_client(&world, &[]);
    Person::new(&world).browse(&login.after(PAGE));
    let ended = login.end().exits(2).complains("access_denied").complains("hint: to try again, run the same command");
    assert!(!ended.err().contains('\u{1b}'), "{ended}");
    assert!(!is_connected(&world, "default"));
}

#[test]
fn a_wrong_client_secret_is_named_and_not_kept() {
    let (world, server) = AuthServer::world();
    let wrong = with_client_and(&world, "wrong-secret", &[]);
    Person::new(&world).browse(&wrong.after(PAGE));
    let ended = wrong.end().exits(2).complains("invalid_client").complains("--client-id ID");
    assert!(!ended.err().contains("wrong-secret"), "{ended}");
    let right = with_client(&world, &[]);
    Person::new(&world).browse(&right.after(PAGE));
    right.end().succeeds();
    assert!(is_connected(&world, "default"));
    assert_eq!(server.token_requests().len(), 2);
}

#[test]
fn a_provider_that_is_down_is_told_from_one_that_refuses() {
    let (world, server) = AuthServer::world();
    server.always("/token", Reply::HangUp);
    let login = with_client(&world, &[]);
    Person::new(&world).browse(&login.after(PAGE));
    login.end().exits(8).complains("Cannot reach auth.demo.test").complains("hint: check the network");
    server.heal("/token");
    server.always("/token", Reply::status("503 Service Unavailable", "", "<h1>down</h1>"));
    let login = with_client(&world, &[]);
    Person::new(&world).browse(&login.after(PAGE));
    let ended = login.end().exits(2).complains("auth.demo.test answered with status 503");
    assert!(!ended.err().contains("<h1>"), "{ended}");
    assert!(!is_connected(&world, "default"));
}

#[test]
fn json_answers_at_once_and_with_wait_at_the_end() {
    let (world, _server) = AuthServer::world();
    let started = to_demo(&world, &["--json", "--client-id", CLIENT_ID]).stdin(CLIENT_SECRET).run().succeeds();
    let answer = started.json();
    assert_eq!(
        (&answer["v"], &answer["status"], &answer["connection"]),
        (&json!(1), &json!("started"), &json!("default"))
    );
    let page = answer["auth_url"].as_str().expect("an address");
    assert!(page.starts_with("https://auth.demo.test/authorize?"), "{page}");
    Person::new(&world).browse(page);
    let id = answer["session_id"].as_str().expect("a session");
    let session = Caller::active(&world).get(&format!("/api/auth/sessions/{id}")).json();
    assert_eq!(session["status"], "completed");

    let login = Conversation::start(to_demo(&world, &["--json", "--wait", "--connection", "work"]));
    Person::new(&world).browse(&login.after(PAGE));
    let answer = login.end().succeeds().json();
    assert_eq!((&answer["status"], &answer["record_status"]), (&json!("success"), &json!("completed")));

    let asks = to_demo(&world, &["--no-wait", "--connection", "third"]).run().succeeds();
    assert!(asks.out().starts_with("https://auth.demo.test/authorize?"), "{asks}");
}

#[test]
fn without_a_client_the_page_of_the_daemon_asks_for_it() {
    let (world, server) = AuthServer::world();
    let login = Conversation::start(to_demo(&world, &[]));
    let person = Person::new(&world);
    let form = person.browse(&login.after(PAGE));
    assert!(form.url.contains("/auth/input?session="), "{}", form.url);
    login.shows("waiting for the page to be filled in");
    person.submit(&form, &[("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)]);
    let ended = login.end().succeeds().says("is connected");
    holds_no_secret(&world, &server, &ended);
}

#[test]
fn a_signal_breaks_the_login_off_here_and_at_the_daemon() {
    let (world, server) = AuthServer::world();
    AuthServer::connect(&world);
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let login = Conversation::start(to_demo(&world, &["--connection", "work"]));
        let page = login.after(PAGE);
        login.shows("waiting for you to sign in");
        login.signal(signal);
        login.end().exits(2).complains("Cancelled");
        let back = redirect_of(&world, &server, &page);
        Person::new(&world).browse(&back);
        assert!(!is_connected(&world, "work"), "{signal}");
    }
    assert_eq!(server.token_requests().len(), 1, "the codes of cancelled logins were not traded");
}

#[test]
fn a_signal_ends_a_login_while_the_provider_is_slow() {
    let (world, server) = AuthServer::world();
    server.always(
        "/device",
        Reply::with(|exchange| {
            exchange.read_body()?;
            let _ = exchange.read_line(); // until the daemon gives up
            Ok(crate::upstream::Next::Close)
        }),
    );
    let mut login = Conversation::start(to_demo(&world, &["--flow", "device_code", "--client-id", CLIENT_ID]));
    login.types(CLIENT_SECRET);
    login.hang_up();
    eventually("the daemon's call", || {
        server.upstream.requests().iter().any(|seen| seen.target == "/device").then_some(())
    });
    login.signal(Signal::SIGINT);
    login.end().exits(2).complains("Cancelled");
}

#[test]
fn a_build_machine_is_told_that_nobody_can_sign_in() {
    let (world, server) = AuthServer::world();
    let login = to_demo(&world, &["--client-id", CLIENT_ID]).stdin(CLIENT_SECRET).env("CI", "true");
    login.run().exits(2).complains("no terminal and no display").complains("--no-wait");
    let sessions = server.states();
    assert!(sessions.is_empty(), "nobody went to the provider: {sessions:?}");
    let waits = Conversation::start(to_demo(&world, &["--wait"]).env("CI", "true"));
    let form = waits.after(PAGE);
    assert!(form.contains("/auth/input?session="), "{form}");
}

#[test]
fn options_that_make_no_sense_together_are_refused_before_anything_begins() {
    let (world, _server) = AuthServer::world();
    to_demo(&world, &["--key-stdin"]).stdin("x").run().exits(2).complains("does not take a key");
    let login = world.authsome(["login", "openai", "--client-id", "x"]).stdin("secret");
    login.run().exits(2).complains("has no OAuth client");
    to_demo(&world, &["--flow", "api_key"]).run().exits(1).complains("api_key").complains("leave --flow out");
    to_demo(&world, &["--wait", "--no-wait"]).run().exits(2).complains("contradict each other");
}
