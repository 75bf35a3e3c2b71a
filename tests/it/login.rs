//! `authsome login` as its user sees it: what it prints, what it asks, how it ends. The provider is the scripted
//! authorization server; the test is the person with the browser, and at the keyboard.

mod cookies;
mod device;
mod pkce;
mod terminal;

use serde_json::json;

use crate::harness::oauth::{CLIENT_ID, CLIENT_SECRET};
use crate::harness::{AuthServer, Caller, Conversation, Finished, TestCommand, World};

/// What stands before the address that the browser opens.
const PAGE: &str = "open this page to go on: ";

/// `authsome login demo-oauth ARGS...`, without a terminal.
fn to_demo(world: &World, args: &[&str]) -> TestCommand {
    world.authsome(["login", "demo-oauth"]).args(args)
}

/// A login without a terminal that brings the client; its page is known.
fn with_client(world: &World, args: &[&str]) -> Conversation {
    with_client_and(world, CLIENT_SECRET, args)
}

fn with_client_and(world: &World, secret: &str, args: &[&str]) -> Conversation {
    let mut login = Conversation::start(to_demo(world, &["--client-id", CLIENT_ID]).args(args));
    login.types(secret);
    login.hang_up();
    login
}

/// Where the provider sends the browser back to, without going there.
fn redirect_of(world: &World, server: &AuthServer, page: &str) -> String {
    let to = format!("::{}", server.upstream.address());
    let curl = TestCommand::new("curl").env_clear().args(["-sS", "--http1.1", "--noproxy", "*", "--connect-to", &to]);
    let curl = curl.arg("--cacert").arg(world.scratch.path().join("upstream-ca.pem"));
    let redirect = curl.args(["-w", "%{redirect_url}", page]).run().succeeds().out();
    assert!(redirect.starts_with("http://127.0.0.1:"), "{redirect}");
    redirect
}

/// Whether `demo-oauth` has this connection.
fn is_connected(world: &World, connection: &str) -> bool {
    let path = format!("/api/connections/demo-oauth/{connection}?redact=1");
    match Caller::active(world).get(&path) {
        answer if answer.status == 200 => answer.json()["status"] == "connected",
        answer => {
            assert_eq!((answer.status, &answer.json()["error"]), (404, &json!("ConnectionNotFoundError")));
            false
        }
    }
}

/// Nothing secret was printed or logged.
fn holds_no_secret(world: &World, server: &AuthServer, ended: &Finished) {
    let log = std::fs::read_to_string(world.home().join("client/logs/authsome.log")).unwrap_or_default();
    for secret in server.secrets() {
        // The address of the page has the state in it, and has to.
        if server.states().contains(&secret) {
            continue;
        }
        for (place, text) in [("stdout", ended.out()), ("stderr", ended.err()), ("the log", log.clone())] {
            assert!(!text.contains(&secret), "{place} holds {secret}: {text}");
        }
    }
}
