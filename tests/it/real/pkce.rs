//! Authorization code with PKCE, from the command line to the API and to the end of the tokens.

use serde_json::json;

use super::scene::{Scene, fill_in_client, sign_in, whoami};
use crate::harness::PLACEHOLDER;
use crate::harness::authorization_server::{CLIENT_ID, CLIENT_SECRET, HABITS};

#[test]
fn a_login_a_run_and_a_logout() {
    let scene = Scene::new(HABITS);
    let login = scene.login("demo-oidc", &[]);
    let page = scene.browser.page_with_scripts("a");
    page.go(&login.url).has_status(200).says("Connect Demo");
    page.is_sound("input");
    // By keyboard alone: the first field has the focus, Enter sends.
    page.type_and_enter(&[CLIENT_ID, CLIENT_SECRET]).came_to(&scene.server.url);
    sign_in(&page);
    page.press("Continue").has_status(200).says("Demo is connected").says("default");
    page.is_sound("success");
    assert_eq!(page.loose_cookies(), Vec::<String>::new());
    login.ends().succeeds().says("is connected");

    // What was asked for, and that it was asked for in the way of RFC 7636.
    let asked = &scene.server.requests("/auth")[0];
    assert_eq!(asked["scope"], "read write", "{asked}");
    assert_eq!(asked["code_challenge_method"], "S256", "{asked}");
    assert_eq!(scene.server.grants("authorization_code").len(), 1);

    // The API gets the token of this login; the child gets none.
    let record = scene.record();
    let (access, refresh) = (&record["access_token"], &record["refresh_token"]);
    let (access, refresh) = (access.as_str().expect("a token"), refresh.as_str().expect("a token"));
    let ended = whoami(&scene.world);
    assert_eq!(ended.json()["scope"], "read write");
    assert_eq!(scene.tokens_seen(), [access]);
    let child = scene.world.run(["sh", "-c", "env"]).run().succeeds();
    let child = child.says(&format!("DEMO_TOKEN={PLACEHOLDER}"));
    for secret in [access, refresh, CLIENT_SECRET] {
        assert!(!child.out().contains(secret) && !ended.out().contains(secret), "a secret in {child}{ended}");
    }
    assert!(scene.server.grants("refresh_token").is_empty(), "a fresh token was refreshed");

    // The end of the connection is the end of its tokens.
    scene.world.authsome(["logout", "demo-oidc"]).run().succeeds();
    assert!(!scene.server.is_active(access) && !scene.server.is_active(refresh));
    let hints: Vec<_> =
        scene.server.requests("/token/revocation").iter().map(|one| one["token_type_hint"].clone()).collect();
    assert_eq!(hints, [json!("access_token"), json!("refresh_token")]);
    scene.world.run(["curl", "-sS", "--fail", "https://api.demo.test/whoami"]).run().exits(22);
}

#[test]
fn the_client_is_asked_for_once() {
    let scene = Scene::new(HABITS);
    scene.connect();
    scene.world.authsome(["login", "demo-oidc"]).run().succeeds().says("connected already");

    // The second login goes straight to the server.
    let login = scene.login("demo-oidc", &["--connection", "work", "--scopes", "read"]);
    let page = scene.browser.page("b");
    page.go(&login.url).came_to(&scene.server.url);
    sign_in(&page);
    page.press("Continue").says("Demo is connected").says("work");
    page.is_sound("success-work");
    login.ends().succeeds().says("(work) is connected");
    let asked = scene.server.requests("/auth").pop().expect("a request");
    assert_eq!((&asked["client_id"], &asked["scope"]), (&json!(CLIENT_ID), &json!("read")), "{asked}");

    // `provider revoke` ends both connections, and forgets the client.
    let tokens = ["default", "work"].map(|name| {
        let command = scene.world.authsome(["connections", "inspect", "demo-oidc", "--connection", name]);
        let shown = command.args(["--field", "access_token", "--show-secret"]).run().succeeds();
        shown.out().trim().to_owned()
    });
    for token in &tokens {
        assert!(scene.server.is_active(token), "{token}");
    }
    scene.world.authsome(["provider", "revoke", "demo-oidc"]).run().succeeds();
    for token in &tokens {
        assert!(!scene.server.is_active(token), "{token}");
    }
    let login = scene.login("demo-oidc", &[]);
    let page = scene.browser.page("c");
    page.go(&login.url).says("Connect Demo");
    fill_in_client(&page);
}
