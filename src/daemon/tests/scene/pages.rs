//! The pages of a login, and whose they are.

use super::Body::{Form, None as Empty};
use super::{Scene, Sender};

const KEY_FORM: super::Body = Form("api_key=ak_foreign");

fn location(answer: &super::Response) -> &str {
    answer.fields.first_str("location").unwrap_or_default()
}

fn is_connected(scene: &Scene) -> bool {
    let target = "/api/connections/acme/second?redact=1";
    scene.send(Sender::Agent("bob-agent"), "GET", target, Empty).status == 200
}

#[test]
fn a_login_of_the_dashboard_is_its_persons() {
    let scene = Scene::new();
    let strangers =
        [Sender::Nobody, Sender::Agent("bob-agent"), Sender::Browser("eve"), Sender::Browser("ada"), Sender::BadProof];
    for target in ["/api/auth/sessions/{dashboard}/input", "/auth/input?session={dashboard}"] {
        for sender in strangers {
            let answer = scene.send(sender, "POST", target, KEY_FORM);
            assert_eq!((answer.status, location(&answer)), (303, "/login"), "{sender:?}");
        }
    }
    assert!(!is_connected(&scene));
    let answer = scene.send(Sender::Browser("bob"), "POST", "/auth/input?session={dashboard}", KEY_FORM);
    assert!(location(&answer).starts_with("/auth/success?"), "{}", location(&answer));
    assert!(is_connected(&scene));
}

#[test]
fn a_page_belongs_to_the_browser_that_opened_it() {
    let scene = Scene::new();
    let page = "/auth/input?session={session}";
    let opened = scene.send(Sender::Nobody, "GET", page, Empty);
    let cookie = opened.fields.first_str("set-cookie").expect("a cookie");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    let (cookie, _) = cookie.split_once(';').expect("attributes");
    for target in [page, "/api/auth/sessions/{session}/input"] {
        for stranger in
            [&[][..], &[("Cookie", "authsome_login=x")], &[("Cookie", &*format!("authsome_login={:064}", 0))]]
        {
            let answer = scene.send_with(Sender::Nobody, "POST", target, KEY_FORM, stranger);
            assert_eq!(answer.status, 403, "{target} with {stranger:?}");
        }
    }
    assert_eq!(scene.send(Sender::Nobody, "GET", page, Empty).status, 403, "the second browser");
    assert!(!is_connected(&scene));
    let answer = scene.send_with(Sender::Nobody, "POST", page, KEY_FORM, &[("Cookie", cookie)]);
    assert!(location(&answer).starts_with("/auth/success?"));
    assert!(is_connected(&scene));
}

#[test]
fn no_answer_leads_away_from_here() {
    let scene = Scene::new();
    for place in ["//evil.test", "/\\evil.test", "https://evil.test", "/%0d%0aSet-Cookie:x", "javascript:x"] {
        let form: &'static str = Box::leak(format!("next={place}&return_url={place}").into_boxed_str());
        for target in ["/api/auth/login", "/api/auth/register", "/api/auth/password", "/api/logout"] {
            let answer = scene.send(Sender::Browser("ada"), "POST", target, Form(form));
            let to = location(&answer);
            assert!(to.starts_with('/') && !to.starts_with("//"), "{target}: {to}");
            assert!(!to.contains("evil") && !to.contains(['\r', '\n', '\\']), "{target}: {to}");
        }
    }
}
