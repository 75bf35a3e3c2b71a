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

const BROWSER: (&str, &str) = ("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");

/// Bob's browser begins a login that leads back to `to`; the session's identifier.
fn begin(scene: &Scene, to: &str) -> String {
    let form = Box::leak(format!("connection=third&return_url={to}").into_boxed_str());
    let target = "/api/auth/providers/acme/connect";
    let begun = scene.send_with(Sender::Browser("bob"), "POST", target, Form(form), &[BROWSER]);
    let (page, id) = location(&begun).split_once('=').expect("a session");
    assert_eq!((begun.status, page), (303, "/auth/input?session"));
    id.to_owned()
}

#[test]
fn a_login_of_the_dashboard_leads_back_to_where_it_began() {
    let scene = Scene::new();
    for (to, expected) in [
        ("/connections/acme/third", "/connections/acme/third?done=connected"),
        ("/providers?kind=app%23top", "/providers?kind=app&done=connected"),
        ("//evil.test", "/?done=connected"),
        ("https://evil.test", "/?done=connected"),
        ("", "/?done=connected"),
    ] {
        let id = begin(&scene, to);
        let sent = scene.send(Sender::Browser("bob"), "POST", &format!("/auth/input?session={id}"), KEY_FORM);
        let end = scene.send(Sender::Browser("bob"), "GET", location(&sent), Empty);
        assert_eq!((end.status, location(&end)), (303, expected));
        scene.send(Sender::Agent("bob-agent"), "POST", "/api/connections/acme/third/logout", Empty);
    }
}

#[test]
fn what_goes_wrong_in_the_dashboard_is_told_on_a_page_that_leads_back_to_it() {
    let scene = Scene::new();
    let text = |answer: &super::Response| String::from_utf8_lossy(&answer.body).into_owned();
    let id = begin(&scene, "/providers/acme");
    scene.state.clock.test_only_advance(crate::limits::AUTH_SESSION_SECONDS + 1);
    let over = scene.send(Sender::Browser("bob"), "GET", &format!("/auth/success?session={id}"), Empty);
    let shown = text(&over);
    assert!(shown.contains(r#"href="/providers/acme""#) && !shown.contains("terminal"), "{shown}");

    let refuse = |target: &str, form: super::Body, more: &[(&str, &str)]| {
        let answer = scene.send_with(Sender::Browser("bob"), "POST", target, form, more);
        (answer.status, text(&answer))
    };
    let connect = "/api/auth/providers/acme/connect";
    let unknown = refuse("/api/auth/providers/nosuch/connect", Form(""), &[BROWSER]);
    assert!(unknown.0 == 404 && unknown.1.contains("not found") && unknown.1.contains(r#"href="/""#), "{unknown:?}");
    let bad_name = refuse(connect, Form("connection=a%2Fb"), &[BROWSER]);
    assert!(bad_name.0 == 400 && bad_name.1.starts_with("<!doctype html>"), "{bad_name:?}");
    let crossed = refuse(connect, Form(""), &[BROWSER, ("Sec-Fetch-Site", "cross-site")]);
    assert!(crossed.0 == 403 && crossed.1.starts_with("<!doctype html>"), "{crossed:?}");
    let program = refuse("/api/auth/providers/nosuch/connect", Form(""), &[]);
    assert!(program.0 == 404 && program.1.starts_with('{'), "{program:?}");
    let input = refuse("/api/auth/sessions/sess_000000000000/input", KEY_FORM, &[BROWSER]);
    assert!(input.0 == 404 && input.1.starts_with('{'), "the contract says JSON there: {input:?}");
    let stranger = scene.send_with(Sender::Nobody, "GET", "/auth/success?error=session_expired", Empty, &[BROWSER]);
    assert!(text(&stranger).contains("Start again from your terminal"));
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
