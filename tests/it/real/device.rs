//! Device codes (RFC 8628): one browser with our page, another with the server's, as on a phone.

use super::scene::{Scene, fill_in_client, sign_in, whoami};
use crate::harness::authorization_server::{HABITS, Habits};

#[test]
fn a_code_typed_on_another_device() {
    let scene = Scene::new(Habits { basic: true, ..HABITS });
    let login = scene.login("demo-oidc", &["--flow", "device_code"]);
    let ours = scene.browser.page("ours");
    ours.go(&login.url).says("Connect Demo");
    fill_in_client(&ours);
    let shown = ours.press("Continue").has_status(200);
    let code = user_code(&shown.text);
    shown.says(&format!("{}/device", scene.server.url));
    ours.is_sound("device");
    ours.reload().has_status(200).says(&code);

    let phone = scene.browser.page("phone");
    phone.go(&format!("{}/device", scene.server.url)).says("Enter the code");
    phone.type_and_enter(&[&code]).says("Confirm Device").says(&code);
    phone.press("Continue");
    sign_in(&phone);
    phone.press("Continue").says("Sign-in Success");

    // Our page goes on by itself, without scripts.
    ours.until("Demo is connected").has_status(200);
    ours.is_sound("device-success");
    login.ends().succeeds().says("is connected");
    assert_eq!(scene.server.grants("urn:ietf:params:oauth:grant-type:device_code").len(), 1);
    whoami(&scene.world);
}

#[test]
fn a_code_that_is_refused() {
    let scene = Scene::new(HABITS);
    let login = scene.login("demo-oidc", &["--flow", "device_code"]);
    let ours = scene.browser.page("ours");
    ours.go(&login.url);
    fill_in_client(&ours);
    let code = user_code(&ours.press("Continue").text);
    let phone = scene.browser.page_with_scripts("phone");
    phone.go(&format!("{}/device?user_code={code}", scene.server.url));
    phone.until("Confirm Device").says(&code);
    phone.press("Abort");
    ours.until("not connected");
    ours.is_sound("device-failure");
    login.ends().exits(2).complains("access_denied");
}

/// The code of the form `ABCD-EFGH` in `text`.
fn user_code(text: &str) -> String {
    let is_code = |word: &&str| {
        let halves = word.split_once('-');
        halves.is_some_and(|(a, b)| {
            [a, b].iter().all(|half| half.len() == 4 && half.bytes().all(|c| c.is_ascii_uppercase()))
        })
    };
    text.split_whitespace().find(is_code).unwrap_or_else(|| panic!("no code in {text}")).to_owned()
}
