//! `/settings`

use super::super::{Scene, Sender};
use super::{plain, post, see};
use crate::daemon::people::UI_COOKIE;
use crate::daemon::tests::scene::{Body, PORT};

#[test]
fn how_a_new_password_went_stands_at_its_form() {
    let scene = Scene::new();
    for (query, expected) in [
        ("password_changed=1", Some("The password is changed.")),
        ("password_error=credentials", Some("That is not the current password")),
        ("password_error=password", Some("The password needs at least 8 characters")),
        ("password_error=slow_down", Some("Too many attempts; wait a little and try again")),
        ("password_error=Send+it+to+evil.test", None),
        ("password_changed=Send+it+to+evil.test", None),
    ] {
        let page = see(&scene, "bob", &format!("/settings?{query}"));
        assert_eq!(page.contains("role=\"status\"") || page.contains("role=\"alert\""), expected.is_some(), "{query}");
        assert!(page.contains(expected.unwrap_or("New password")), "{query}: {page}");
        assert!(!page.contains("evil"), "{page}");
    }
}

#[test]
fn a_first_password_needs_no_old_one_and_the_next_one_does() {
    let scene = Scene::new();
    let page = see(&scene, "bob", "/settings");
    assert!(page.contains("Set a password") && !page.contains("current_password"), "{page}");
    let (status, place) = post(&scene, "bob", "/api/auth/password", "next=/settings&new_password=correct+horse");
    assert_eq!((status, place.as_str()), (303, "/settings?password_changed=1"));
    let scene = scene.signed_in_again();
    let page = see(&scene, "bob", &place);
    assert!(page.contains("Change the password") && page.contains("current-password"), "{page}");
    let wrong = "next=/settings&current_password=wrong+horse&new_password=battery+staple";
    assert_eq!(post(&scene, "bob", "/api/auth/password", wrong).1, "/settings?password_error=credentials");
    assert_eq!(
        post(&scene, "bob", "/api/auth/password", "next=/settings&new_password=short").1,
        "/settings?password_error=password"
    );
}

#[test]
fn signing_out_the_others_keeps_this_browser() {
    let scene = Scene::new();
    assert!(see(&scene, "bob", "/settings").contains("with this browser only"));
    let (people, bob) = (&scene.state.people, &scene.principals["bob"]);
    let other = people.test_only_session(bob, PORT);
    assert!(plain(&see(&scene, "bob", "/settings")).contains("signed in with 2 browsers"));
    let (status, place) = post(&scene, "bob", "/settings/sign-out-others", "");
    assert_eq!((status, place.as_str()), (303, "/settings?done=signed_out"));
    assert!(see(&scene, "bob", &place).contains("All your browsers are signed out, but this one."));
    let cookie = format!("{UI_COOKIE}={other}");
    let answer = scene.send_with(Sender::Nobody, "GET", "/settings", Body::None, &[("Cookie", &cookie)]);
    assert_eq!(answer.status, 303);
    assert!(see(&scene, "eve", "/settings").contains("with this browser only"), "hers is another's");
}

#[test]
fn only_who_runs_a_server_sees_where_its_files_are() {
    let mut scene = Scene::new();
    let place = scene.state.home.dir().display().to_string();
    assert!(see(&scene, "bob", "/settings").contains(&place), "it is Bob's own machine");
    scene.state.settings.is_local = false;
    assert!(see(&scene, "ada", "/settings").contains(&place));
    let page = see(&scene, "bob", "/settings");
    assert!(!page.contains(&place) && page.contains("everybody with an account"), "{page}");
    assert!(page.contains("principal_bob") && page.contains("vault_bob"), "{page}");
}

#[test]
fn the_settings_say_how_the_daemon_was_started() {
    let mut scene = Scene::new();
    let says = |scene: &Scene, text: &str| assert!(plain(&see(scene, "bob", "/settings")).contains(text), "{text}");
    says(&scene, "Registration||by invitation");
    says(&scene, "Raw secrets for a new agent||allowed");
    scene.state.settings.open_registration = true;
    scene.state.settings.export_by_default = false;
    says(&scene, "Registration||open to everybody");
    says(&scene, "Raw secrets for a new agent||not allowed");
}
