//! Logins at a terminal without a browser: questions, and an address that is pasted.

use super::*;
use crate::harness::Person;

/// A login that has been given its client at the terminal and waits for an address; the page that it names.
fn waits_for_address(world: &World) -> (Conversation, String) {
    let login = Conversation::at_terminal(world, &["login", "demo-oauth", "--no-browser"]);
    let port = world.daemon().port;
    login.shows(&format!("http://127.0.0.1:{port}/api/auth/callback/oauth")).shows("Client ID:");
    login.types(CLIENT_ID).types("\n");
    login.shows("Client secret").waits_until_keys_are_hidden(true);
    login.types(CLIENT_SECRET).types("\n");
    let page = login.after(PAGE);
    login.shows("can be pasted here").waits_until_keys_are_hidden(true);
    (login, page)
}

#[test]
fn an_address_that_the_browser_could_not_open_is_pasted() {
    let (world, server) = AuthServer::world();
    let (login, page) = waits_for_address(&world);
    let back = redirect_of(&world, &server, &page);
    let code = back.split_once("code=").and_then(|(_, rest)| rest.split('&').next()).expect("a code").to_owned();
    for (wrong, answer) in [
        (page.as_str(), "page to sign in at"),
        (code.as_str(), "a code alone is not enough"),
        (&back.replace("state=", "state=x"), "end of another login"),
    ] {
        login.types(wrong).types("\r").shows(answer);
    }
    login.types(&back).types("\r");
    let ended = login.end().succeeds().says("demo-oauth (default) is connected.\n");
    holds_no_secret(&world, &server, &ended);
    assert!(is_connected(&world, "default"));
}

#[test]
fn the_browser_may_reach_the_daemon_after_all() {
    let (world, _server) = AuthServer::world();
    let (login, page) = waits_for_address(&world);
    Person::new(&world).browse(&page);
    login.end().succeeds().says("is connected");
}

#[test]
fn the_refusal_of_a_provider_can_be_pasted_too() {
    let (world, server) = AuthServer::world();
    server.set(|knobs| knobs.denies = Some(("access_denied".to_owned(), String::new())));
    let (login, page) = waits_for_address(&world);
    let back = redirect_of(&world, &server, &page);
    let (_, query) = back.split_once('?').expect("a query");
    login.types(query).types("\n");
    login.end().exits(2).complains("denied");
}

#[test]
fn ctrl_c_restores_the_terminal_and_leaves_nothing_behind() {
    let (world, server) = AuthServer::world();
    let (login, page) = waits_for_address(&world);
    let back = redirect_of(&world, &server, &page);
    login.types("half of an addr").shows("press Enter to hand it in").types("\x03");
    login.waits_until_keys_are_hidden(false);
    login.end().exits(2).complains("Cancelled");
    Person::new(&world).browse(&back);
    assert!(!is_connected(&world, "default"));
    assert!(server.token_requests().is_empty());
}

#[test]
fn ctrl_c_at_a_question_cancels_it() {
    let (world, _server) = AuthServer::world();
    let login = Conversation::at_terminal(&world, &["login", "demo-oauth", "--no-browser"]);
    login.shows("Client ID:").types("\x03");
    login.end().exits(2).complains("Cancelled");
    let login = Conversation::at_terminal(&world, &["login", "demo-oauth", "--client-id", CLIENT_ID]);
    login.shows("Client secret").waits_until_keys_are_hidden(true).types("half\x03");
    login.waits_until_keys_are_hidden(false);
    login.end().exits(2).complains("Cancelled");
}

#[test]
fn a_spinner_shows_that_it_waits() {
    let (world, _server) = AuthServer::world();
    let (login, page) = waits_for_address(&world);
    login.shows("waiting for you to sign in at Demo OAuth (0:0");
    Person::new(&world).browse(&page);
    let screen = login.end().succeeds().err();
    assert!(screen.matches("waiting for you").count() > 1, "it is drawn anew: {screen}");
    let last = screen.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or_default();
    assert!(!last.contains("waiting for you"), "and taken back at the end: {screen:?}");
}

#[test]
fn a_public_client_has_no_secret() {
    let (world, server) = AuthServer::world();
    server.set(|knobs| drop(knobs.clients.insert("public".to_owned(), None)));
    let login = Conversation::at_terminal(&world, &["login", "demo-oauth", "--client-id", "public"]);
    login.shows("a public client").waits_until_keys_are_hidden(true).types("\n");
    let page = login.after(PAGE);
    Person::new(&world).browse(&page);
    login.end().succeeds();
    assert!(is_connected(&world, "default"));
}

#[test]
fn the_secret_comes_from_a_file_and_the_address_from_the_keyboard() {
    let (world, server) = AuthServer::world();
    let file = world.scratch.file("client-secret", CLIENT_SECRET);
    let line = format!("exec \"$0\" login demo-oauth --no-browser --client-id {CLIENT_ID} < {}", file.display());
    let login = Conversation::shell_at_terminal(&world, &line);
    let page = login.after(PAGE);
    login.shows("can be pasted here").waits_until_keys_are_hidden(true);
    login.types(&redirect_of(&world, &server, &page)).types("\n");
    login.end().succeeds();
    assert!(is_connected(&world, "default"));
}

#[test]
fn ctrl_z_stops_a_login_with_the_terminal_as_it_was_and_fg_goes_on() {
    let (world, server) = AuthServer::world();
    let line = format!(
        "set -m; \"$0\" login demo-oauth --no-browser --client-id {CLIENT_ID}; \
         for time in once twice; do echo \"it stopped $time\" >&2; read go; fg; done"
    );
    let login = Conversation::shell_at_terminal(&world, &line);
    login.shows("Client secret").waits_until_keys_are_hidden(true);
    login.types("half\x1a").shows("it stopped once").waits_until_keys_are_hidden(false);
    login.types("\n").waits_until_keys_are_hidden(true).types(CLIENT_SECRET).types("\n");
    let page = login.after(PAGE);
    login.shows("can be pasted here").waits_until_keys_are_hidden(true);
    login.types("half\x1a").shows("it stopped twice").waits_until_keys_are_hidden(false);
    login.types("\n").waits_until_keys_are_hidden(true);
    login.types(&redirect_of(&world, &server, &page)).types("\n");
    let ended = login.end().succeeds();
    assert_eq!(ended.err().matches("Client secret").count(), 2, "asked anew: {ended}");
    assert!(is_connected(&world, "default"));
}

#[test]
fn a_login_in_the_background_reaches_neither_for_the_keys_nor_for_the_screen() {
    let (world, _server) = AuthServer::world();
    AuthServer::connect(&world);
    let line = "set -m; \"$0\" login demo-oauth --connection work & wait";
    let login = Conversation::shell_at_terminal(&world, line);
    let page = login.after(PAGE);
    login.shows("waiting for you to sign in").waits_until_keys_are_hidden(false);
    Person::new(&world).browse(&page);
    let screen = login.end().err();
    assert!(!screen.contains("\u{1b}[?7l"), "nothing is drawn over the shell: {screen:?}");
    assert!(is_connected(&world, "work"));
}
