//! A person who says no.

use super::scene::{Scene, fill_in_client, sign_in};
use crate::harness::Caller;
use crate::harness::authorization_server::HABITS;

#[test]
fn what_is_refused_at_the_server_fails_everywhere() {
    let scene = Scene::new(HABITS);
    let login = scene.login("demo-oidc", &[]);
    let page = scene.browser.page("a");
    page.go(&login.url);
    fill_in_client(&page);
    page.press("Continue");
    sign_in(&page);
    page.follow("Cancel").says("not connected");
    page.is_sound("failure");
    login.ends().exits(2).complains("access_denied");

    assert!(scene.server.requests("/token").is_empty());
    let caller = Caller::active(&scene.world);
    assert_eq!(caller.get("/api/connections/demo-oidc/default").status, 404);
    let events = caller.get("/api/audit/events").json();
    let failed =
        events["entries"].as_array().expect("a list").iter().find(|one| one["event"] == "provider.login_failed");
    let failed = failed.unwrap_or_else(|| panic!("no failure in {events}"));
    assert_eq!((failed["status"].as_str(), failed["provider"].as_str()), (Some("failure"), Some("demo-oidc")));

    // A client that was never used successfully is not stored: the next login asks for it.
    let login = scene.login("demo-oidc", &[]);
    scene.browser.page("b").go(&login.url).says("Connect Demo").says("Client ID");
}
