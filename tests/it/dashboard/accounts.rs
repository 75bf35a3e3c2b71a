//! The way in: the first account of a hosted daemon, claims, passwords, and links of `authsome ui`.

use serde_json::json;

use super::stage::{PASSWORD, Stage, register, sign_in};
use crate::harness::{Caller, Site};

#[test]
fn the_first_account_claims_an_agent_that_may_not_export() {
    let (stage, token) = Stage::hosted();
    let agent = Caller::stranger(&stage.world, "build-server");
    let claim = agent.claim_url();
    let page = stage.browser.page_with_scripts("a");
    page.go(&claim).has_status(200).came_to(&stage.at("/login?next=/claim"));
    page.is_sound("hosted-sign-in");

    register(&page, "ada@example.com", "Setup token", "setup_wrong");
    page.look().came_to(&stage.at("/login")).says("No account was made");
    page.is_sound("hosted-refused");
    register(&page, "Ada@Example.com ", "Setup token", &token);
    page.look().came_to(&stage.at("/claim")).says("build-server").says("ada@example.com").says(&agent.did());
    page.is_sound("claim");
    assert_eq!(page.field("raw secrets")["checked"], true, "as in 0.7.2");
    page.tick("raw secrets", false);
    page.press("Yes, it is mine").has_status(200);
    assert_eq!(agent.get("/api/whoami").json()["principal_role"], "admin");
    let export = agent.post("/api/credentials/export", &json!({"format": "env"}));
    assert_eq!((export.status, &export.json()["error"]), (400, &json!("OperationNotAllowedError")));
    page.go(&claim).has_status(404).says("This link is over");
    page.is_sound("claim-over");
    assert_eq!(page.loose_cookies(), Vec::<String>::new());
}

#[test]
fn a_password_lets_in_and_a_wrong_one_does_not() {
    let (stage, token) = Stage::hosted();
    let page = stage.browser.page_with_scripts("a");
    page.go(&stage.at("/settings")).came_to(&stage.at("/login?next=/settings"));
    register(&page, "ada@example.com", "Setup token", &token);
    page.look().came_to(&stage.at("/settings")).says("ada@example.com");
    page.press("Sign out").came_to(&stage.at("/login"));
    page.go(&stage.at("/")).came_to(&stage.at("/login"));

    // What is wrong is not said, and a link that leads elsewhere leads nowhere.
    page.go(&stage.at("/login?next=https://evil.test/"));
    for (email, password) in [("ada@example.com", "wrong password"), ("eve@example.com", PASSWORD)] {
        sign_in(&page, email, password);
        page.look().says("Wrong email or password").does_not_say(email);
    }
    page.is_sound("wrong-password");
    sign_in(&page, "ADA@example.com", PASSWORD);
    assert_eq!(page.look().url, stage.at("/"));
    page.press("Sign out");

    // Then the right password waits as long as the wrong ones. The first wait is two seconds: a machine that is slower
    // than that gets the next chance.
    let is_slowed = (0..5).any(|_| {
        let slowed = |password| {
            sign_in(&page, "ada@example.com", password);
            page.look().text.contains("Too many attempts")
        };
        assert!((0..10).any(|_| slowed("wrong password")), "guesses are not slowed");
        slowed(PASSWORD) || {
            page.press("Sign out");
            false
        }
    });
    assert!(is_slowed);
    page.look().came_to(&stage.at("/login"));
    page.is_sound("slow-down");
}

#[test]
fn a_link_of_authsome_ui_signs_in_once() {
    let stage = Stage::local();
    let link = stage.link();
    let page = stage.browser.page_with_scripts("a");
    page.go(&link).has_status(200).says("owner@localhost");
    assert_eq!(page.look().url, stage.at("/"), "the token is not in the history");
    assert_eq!(page.loose_cookies(), Vec::<String>::new());
    assert_eq!(page.evaluate("document.cookie"), "");

    let other = stage.browser.page("other");
    other.go(&link).has_status(404).says("This sign-in link is over");
    other.go(&stage.at("/")).came_to(&stage.at("/login"));
    page.tab("tab").go(&link).has_status(404).says("This sign-in link is over");
    page.reload().has_status(200).says("owner@localhost");
}

#[test]
fn a_link_on_another_site_asks_before_it_signs_in() {
    let stage = Stage::local();
    let site = Site::start();
    let link = stage.link();
    let page = stage.browser.page_with_scripts("a");
    page.go(&site.url("localhost"));
    page.provoke(&format!("location.href = {}", json!(link))).has_status(200).says("Sign in?").says("owner@localhost");
    page.is_sound("confirm-sign-in");
    page.go(&stage.at("/")).came_to(&stage.at("/login"));
    page.go(&site.url("localhost"));
    page.provoke(&format!("location.href = {}", json!(link)));
    page.press("Sign in").has_status(200).says("owner@localhost");
}
