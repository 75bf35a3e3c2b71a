//! What becomes of a session: at another port, in the hands of a thief, after its end.

use std::net::TcpListener;

use super::stage::Stage;

#[test]
fn a_session_survives_a_restart_but_moves_to_no_other_port() {
    let mut stage = Stage::local();
    let page = stage.browser.page_with_scripts("a");
    page.go(&stage.link()).has_status(200).came_to(&stage.at("/"));
    let first = stage.world.daemon().port;
    stage.world.daemon_mut().kill();
    let second = stage.world.start_daemon().port;
    let look = page.go(&format!("http://127.0.0.1:{second}/")).has_status(200);
    // Another test may have been given the port meanwhile.
    let is_signed_in = look.text.contains("owner@localhost");
    assert_eq!(is_signed_in, second == first, "{look:#?}");

    // The browser sends the cookie to every port of the host, and the store is the same.
    stage.world.daemon_mut().kill();
    let _somebody = TcpListener::bind(("127.0.0.1", second));
    let third = stage.world.start_daemon().port;
    assert_ne!(third, second);
    assert_eq!(page.cookies()[0]["name"], "authsome_ui_session");
    let origin = format!("http://127.0.0.1:{third}");
    page.go(&origin).came_to(&format!("{origin}/login")).does_not_say("owner@localhost");
}

#[test]
fn the_end_of_a_session_is_its_end_for_every_page_and_for_a_thief() {
    let stage = Stage::connected();
    let page = stage.owner("a");
    let thief = stage.browser.page("thief");
    thief.plant(&page.cookies());
    thief.go(&stage.at("/settings")).has_status(200).says("owner@localhost");

    page.go(&stage.at("/connections/demo/default"));
    page.unfold("Log out");
    let tab = page.tab("tab");
    tab.go(&stage.at("/"));
    tab.press("Sign out").came_to(&stage.at("/login"));
    page.press("Log out of").came_to(&stage.at("/login")).does_not_say("owner@localhost");
    stage.world.authsome(["export", "demo"]).run().succeeds();
    thief.reload().came_to(&stage.at("/login")).does_not_say("owner@localhost");
}

#[test]
fn after_the_sign_out_the_back_button_shows_nothing() {
    let stage = Stage::keeping_pages();
    let page = stage.owner("a");
    for path in ["/settings", "/connections/demo/default", "/audit"] {
        page.go(&stage.at(path)).has_status(200).says("owner@localhost");
    }
    page.press("Sign out").came_to(&stage.at("/login"));
    for _ in 0..3 {
        page.back().came_to(&stage.at("/login")).does_not_say("owner@localhost").does_not_say("demo");
    }
}
