//! What people do to pages: wrong input, reload, back, the same link twice, another browser.

use super::scene::{Scene, fill_in_client, sign_in};
use crate::harness::authorization_server::{CLIENT_SECRET, HABITS};
use crate::harness::{KEY, demo_provider};

#[test]
fn a_form_that_is_filled_in_wrongly_can_be_filled_in_again() {
    let scene = Scene::new(HABITS);
    let login = scene.login("demo-oidc", &[]);
    let page = scene.browser.page("a");
    page.go(&login.url);
    let held_back = page.press_in_vain("Continue");
    assert!(held_back.starts_with("client_id: "), "{held_back}");

    // What a browser lets through, and we do not.
    page.fill("Client ID", "   ");
    page.fill("Client secret", CLIENT_SECRET);
    let again = page.press("Continue").has_status(422).says("Connect Demo").says("Client ID");
    assert!(!again.text.contains(CLIENT_SECRET), "{again:#?}");
    page.is_sound("input-again");
    page.reload().has_status(422).says("Connect Demo");

    // Back from the server to the form: another client can be given, and the last one counts.
    page.go(&login.url).has_status(200);
    page.fill("Client ID", "mistyped");
    page.fill("Client secret", "mistyped");
    page.press("Continue").has_status(400).came_to(&scene.server.url);
    page.back().has_status(200).says("Connect Demo");
    page.is_sound("input-back");
    fill_in_client(&page);
    page.press("Continue");
    sign_in(&page);
    page.press("Continue").says("Demo is connected");
    login.ends().succeeds();
}

#[test]
fn a_login_counts_once_and_in_its_own_browser() {
    let scene = Scene::new(HABITS);
    let login = scene.login("demo-oidc", &[]);
    let start = login.url.clone();
    let page = scene.browser.page("a");
    page.go(&start);
    let other = scene.browser.page("other");
    other.go(&start).has_status(403).says("another browser");
    other.is_sound("other-browser");

    fill_in_client(&page);
    page.press("Continue");
    sign_in(&page);
    let callback = page.leave();
    assert!(callback.contains("/api/auth/callback/oauth?") && callback.contains("code="), "{callback}");

    other.go(&callback).has_status(403);
    other.is_sound("callback-in-another-browser");
    assert!(scene.server.requests("/token").is_empty(), "the code of another browser was redeemed");

    page.go(&callback).says("Demo is connected");
    login.ends().succeeds();
    let success = page.reload().says("Demo is connected").url;

    let twice = page.go(&callback);
    assert!(twice.status < 500, "{twice:#?}");
    page.is_sound("callback-twice");
    page.go(&success).says("Demo is connected");
    page.go(&start).says("Demo is connected");
    let stranger = scene.browser.page("stranger");
    stranger.go(&callback.replace("code=", "code=x")).has_status(twice.status);
    assert_eq!(scene.server.requests("/token").len(), 1, "a code was redeemed twice");
}

#[test]
fn the_pages_that_need_no_server() {
    let scene = Scene::new(HABITS);
    scene.world.register(&demo_provider());
    let login = scene.login("demo", &[]);
    let page = scene.browser.page_with_scripts("a");
    page.go(&login.url).says("Connect Demo").says("API key");
    page.is_sound("key");
    page.fill("API key", "sk-\u{7f}");
    page.press("Connect").has_status(422).says("Connect Demo");
    page.is_sound("key-again");
    page.fill("API key", KEY);
    page.press("Connect").has_status(200).says("Demo is connected");
    page.is_sound("key-success");
    login.ends().succeeds();

    let origin = format!("http://127.0.0.1:{}", scene.world.daemon().port);
    for (path, status, name) in [
        ("/login", 200, "sign-in"),
        ("/login?tab=register&error=No", 200, "register"),
        ("/claim?token=claim_none", 404, "claim-ended"),
        ("/auth/input?session=sess_000000000000", 404, "no-session"),
        ("/auth/device?session=sess_000000000000", 404, "no-device"),
        ("/auth/success?session=sess_000000000000", 404, "no-success"),
        ("/nowhere", 404, "nowhere"),
        ("/api/auth/callback/oauth", 400, "callback-bare"),
        ("/api/auth/callback/oauth?code=x&state=y", 400, "callback-unknown"),
        ("/api/auth/callback/oauth?error=access_denied&state=%00", 400, "callback-refused"),
    ] {
        page.go(&format!("{origin}{path}")).has_status(status);
        page.is_sound(name);
    }
}
