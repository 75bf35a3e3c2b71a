//! What arrives at the callback that should not: replays, mixtures, strangers, and words of others.

use serde_json::json;

use super::stage::Stage;
use crate::harness::form;

/// What the provider sends a browser back with.
struct Sent {
    code: String,
    state: String,
}

/// What it would send for the login at `url`.
fn answer(stage: &Stage, url: &str) -> Sent {
    let query = form::query(&stage.person().peek(url));
    let get = |name: &str| form::value(&query, name).unwrap_or_else(|| panic!("no {name} in {query:?}"));
    Sent { code: get("code"), state: get("state") }
}

#[test]
fn a_callback_counts_once() {
    let stage = Stage::new();
    let (id, url) = stage.begin("default");
    let sent = answer(&stage, &url);
    let callback = stage.callback(&[("code", &sent.code), ("state", &sent.state)]);
    let person = stage.person();
    let first = person.browse(&callback);
    assert_eq!((first.hops.len(), stage.session(&id)["status"].as_str()), (2, Some("completed")), "{first:#?}");
    assert!(
        !first.url.contains(&sent.code) && !first.url.contains(&sent.state),
        "the last address is clean: {}",
        first.url
    );
    let before = stage.stored("default");
    for _ in 0..2 {
        let again = person.browse(&callback);
        assert!(again.url.ends_with("/auth/success?error=session_expired"), "{}", again.url);
    }
    assert_eq!((stage.server.token_requests().len(), stage.stored("default")), (1, before.clone()));
    assert!(
        stage.server.lives(before.access.as_deref().expect("a token")),
        "a code offered twice would have killed it"
    );
    assert_eq!(stage.events("provider.login", "default").len(), 1);
}

#[test]
fn callbacks_at_the_same_time_spend_one_code_once() {
    let stage = Stage::new();
    let (id, url) = stage.begin("default");
    let sent = answer(&stage, &url);
    let callback = stage.callback(&[("code", &sent.code), ("state", &sent.state)]);
    let held = stage.server.hold();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| stage.person().browse(&callback));
        held.wait_for(1);
        for _ in 0..4 {
            stage.person().browse(&callback);
        }
        drop(held);
        first.join().expect("a page");
    });
    assert_eq!((stage.server.token_requests().len(), stage.session(&id)["status"].as_str()), (1, Some("completed")));
}

#[test]
fn nobody_asked_for_this_state() {
    let stage = Stage::new();
    let (id, _) = stage.begin("default");
    let long = "s".repeat(20_000);
    for (query, problem) in [
        (&[("code", "c")][..], "missing_state"),
        (&[("code", "c"), ("state", "")], "missing_state"),
        (&[("code", "c"), ("state", "unknown")], "session_expired"),
        (&[("code", "c"), ("state", &long)], "session_expired"),
        (&[("code", "c"), ("state", &id)], "session_expired"),
        (&[("error", "access_denied")], "missing_state"),
        (&[], "missing_state"),
    ] {
        let page = stage.person().browse(&stage.callback(query));
        assert!(page.url.ends_with(&format!("/auth/success?error={problem}")), "{query:?}: {}", page.url);
        assert!(page.status >= 400 && page.text().contains("This login is over"), "{}", page.text());
    }
    assert_eq!(stage.session(&id)["status"], "waiting_for_user");
    assert!(stage.server.token_requests().is_empty());
}

#[test]
fn the_code_of_another_login_is_worth_nothing() {
    let stage = Stage::new();
    let (mine, url) = stage.begin("mine");
    let (theirs, other_url) = stage.begin("theirs");
    let first = answer(&stage, &url);
    let second = answer(&stage, &other_url);
    assert_ne!(first.state, second.state);
    let mixed = [("code", second.code.as_str()), ("state", &first.state)];
    stage.person().browse(&stage.callback(&mixed));
    stage.login_failed("another's code", &mine, "mine", "invalid_grant");
    assert_eq!(stage.session(&theirs)["status"], "waiting_for_user");
    // By hand, into a session that did not ask.
    let resume = format!("/api/auth/sessions/{theirs}/resume");
    let foreign = stage.caller().post(&resume, &json!({"data": {"code": second.code, "state": first.state}}));
    assert_eq!(foreign.status, 400, "{}", foreign.text());
    assert_eq!(stage.session(&theirs)["status"], "waiting_for_user");
    assert_eq!(stage.server.token_requests().len(), 1);
}

#[test]
fn another_browser_is_turned_away() {
    let stage = Stage::new();
    let start = json!({"provider": "demo-oauth"});
    let session = stage.caller().post("/api/auth/sessions", &start).json();
    let input = session["next_action"]["url"].as_str().expect("a page").to_owned();
    let (person, stranger) = (stage.person(), stage.person());
    let form = person.browse(&input);
    assert_eq!(stranger.browse(&input).status, 403);
    let client =
        [("client_id", crate::harness::oauth::CLIENT_ID), ("client_secret", crate::harness::oauth::CLIENT_SECRET)];
    assert_eq!(stranger.submit(&form, &client).status, 403);
    stage.server.set(|knobs| knobs.redirect_uris = vec!["http://127.0.0.1:1/nowhere".to_owned()]);
    let departed = person.submit(&form, &client);
    assert_eq!(departed.status, 400, "the provider keeps the person: {departed:#?}");
    stage.server.set(|knobs| knobs.redirect_uris.clear());
    let sent = answer(&stage, &departed.url);
    let callback = stage.callback(&[("code", &sent.code), ("state", &sent.state)]);
    assert_eq!(stranger.browse(&callback).status, 403);
    assert!(stage.server.token_requests().is_empty(), "a stranger spends nothing");
    assert_eq!(person.browse(&callback).status, 200);
    assert_eq!(stage.stored("default").status, "connected");
}

#[test]
fn a_login_that_is_over_takes_no_code() {
    let stage = Stage::new();
    let (cancelled, url) = stage.begin("cancelled");
    let sent = answer(&stage, &url);
    let answer_of_cancel = stage.caller().call("DELETE", &format!("/api/auth/sessions/{cancelled}"), "");
    assert_eq!(answer_of_cancel.status, 200, "{}", answer_of_cancel.text());
    let page = stage.person().browse(&stage.callback(&[("code", &sent.code), ("state", &sent.state)]));
    assert!(page.url.ends_with("error=session_expired"), "{}", page.url);
    assert_eq!(stage.session(&cancelled)["status"], "cancelled");
    let (failed, url) = stage.begin("failed");
    let sent = answer(&stage, &url);
    stage.person().browse(&stage.callback(&[("error", "access_denied"), ("state", &sent.state)]));
    stage.person().browse(&stage.callback(&[("code", &sent.code), ("state", &sent.state)]));
    stage.login_failed("denied, then injected", &failed, "failed", "denied");
    assert!(stage.server.token_requests().is_empty());
    let record = stage.caller().get("/api/connections/demo-oauth/cancelled");
    assert_eq!(record.status, 404, "{}", record.text());
}

#[test]
fn tokens_for_a_login_that_was_cancelled_meanwhile_are_given_back() {
    let stage = Stage::new();
    let (id, url) = stage.begin("default");
    let sent = answer(&stage, &url);
    let callback = stage.callback(&[("code", &sent.code), ("state", &sent.state)]);
    let held = stage.server.hold();
    std::thread::scope(|scope| {
        let browser = scope.spawn(|| stage.person().browse(&callback));
        held.wait_for(1);
        let cancel = stage.caller().call("DELETE", &format!("/api/auth/sessions/{id}"), "");
        assert_eq!(cancel.status, 200, "{}", cancel.text());
        drop(held);
        browser.join().expect("a page");
    });
    assert_eq!(stage.session(&id)["status"], "cancelled");
    let issued = stage.server.newest();
    assert!(!stage.server.lives(&issued.access), "nobody will use these tokens");
    assert!(!stage.server.refresh_lives(issued.refresh.as_deref().expect("a refresh token")));
    assert_eq!(stage.caller().get("/api/connections/demo-oauth/default").status, 404);
}

#[test]
fn an_error_wins_over_a_code_and_its_words_are_harmless() {
    let stage = Stage::new();
    let (id, url) = stage.begin("default");
    let sent = answer(&stage, &url);
    let words = format!("\u{1b}]0;t\u{7}\r\nSet-Cookie: a=b\r\n<img src=x onerror=1>\u{202e}{}", "y".repeat(9000));
    let query = [
        ("code", sent.code.as_str()),
        ("state", &sent.state),
        ("error", "access_denied"),
        ("error_description", &words),
    ];
    let page = stage.person().browse(&stage.callback(&query));
    let text = page.text();
    assert!(!text.contains("<img") && text.contains("&lt;img") && text.len() < 6000, "{text}");
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
    assert!(page.hops.iter().all(|hop| !hop.url.contains("onerror") || hop.url.contains("/callback/")), "{page:#?}");
    stage.login_failed("a hostile denial", &id, "default", "access_denied");
    let session = stage.session(&id);
    let error = session["error"].as_str().expect("an error");
    assert!(error.chars().count() <= 250 && !error.contains(['\u{1b}', '\u{7}', '\r', '\n', '\u{202e}']), "{error:?}");
    assert!(stage.server.token_requests().is_empty(), "the code that came along is not spent");
}

#[test]
fn what_a_denial_repeats_of_our_secrets_is_not_shown() {
    let stage = Stage::new();
    let (id, url) = stage.begin("default");
    let sent = answer(&stage, &url);
    let words = format!("client {} is not welcome", crate::harness::oauth::CLIENT_SECRET);
    let query = [("state", sent.state.as_str()), ("error", "access_denied"), ("error_description", &words)];
    let page = stage.person().browse(&stage.callback(&query));
    let secret = &crate::harness::oauth::CLIENT_SECRET[..10];
    assert!(!page.text().contains(secret), "{}", page.text());
    assert!(!stage.session(&id).to_string().contains(secret), "{}", stage.session(&id));
    stage.logs_are_clean(&[secret]);
}

#[test]
fn a_link_checker_spends_no_code() {
    let stage = Stage::new();
    let (id, url) = stage.begin("default");
    let sent = answer(&stage, &url);
    let callback = stage.callback(&[("code", &sent.code), ("state", &sent.state)]);
    let curl = crate::harness::TestCommand::new("curl").env_clear();
    curl.args(["-sS", "--noproxy", "*", "-I", &callback]).run().succeeds();
    assert!(stage.server.token_requests().is_empty());
    stage.person().browse(&callback);
    assert_eq!(stage.session(&id)["status"], "completed");
}

#[test]
fn a_parameter_that_comes_twice_is_not_guessed_at() {
    let stage = Stage::new();
    let (id, url) = stage.begin("default");
    let sent = answer(&stage, &url);
    let query = [("code", "injected"), ("code", sent.code.as_str()), ("state", &sent.state)];
    let page = stage.person().browse(&stage.callback(&query));
    assert_ne!(stage.session(&id)["status"], "completed", "{page:#?}");
    let codes: Vec<_> = stage.server.token_requests().iter().filter_map(|request| request.field("code")).collect();
    assert!(codes.len() <= 1, "{codes:?}");
}
