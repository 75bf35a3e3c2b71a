//! `/people`

use super::super::{Scene, Sender};
use super::{plain, see};
use crate::daemon::tests::scene::Body::{Form, None as Empty};

#[test]
fn an_administrator_sees_accounts_and_what_they_have() {
    let scene = Scene::new();
    let page = plain(&see(&scene, "ada", "/people"));
    for part in ["|ada@x.test|", "|administrator|", "|bob@x.test|", "|eve@x.test|", "|user|"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let page = see(&scene, "ada", "/people?q=bob");
    assert!(page.contains("bob@x.test") && !page.contains("eve@x.test"), "{page}");
    let cells = ["data-label=\"Agents\"><a href=\"/agents?q=bob%40x.test\">1</a>", "data-label=\"Connections\">1<"];
    assert!(cells.iter().all(|cell| page.contains(cell)), "{page}");
}

#[test]
fn an_invitation_is_shown_once_and_stands_in_no_address() {
    let scene = Scene::new();
    let answer = scene.send(Sender::Browser("ada"), "POST", "/people/invite", Form(""));
    let page = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.fields.first_str("cache-control"), Some("no-store"));
    let (_, rest) = page.split_once("invite_").expect("an invitation");
    let token = format!("invite_{}", rest.split('<').next().expect("its end"));
    assert_eq!(page.matches(&token).count(), 1);
    assert!(page.contains("/login?tab=register<"), "{page}");
    for target in ["/people", "/audit", "/settings", "/"] {
        assert!(!see(&scene, "ada", target).contains(&token), "{target}");
    }
    let form = format!("email=new%40x.test&password=correct+horse&invitation={token}");
    let register = |form: String| {
        let form: &'static str = Box::leak(form.into_boxed_str());
        let answer = scene.send(Sender::Nobody, "POST", "/api/auth/register", Form(form));
        answer.fields.first_str("location").unwrap_or_default().to_owned()
    };
    assert_eq!(register(form.clone()), "/");
    assert!(register(form.replace("new", "newer")).contains("error=refused"), "it is good once");
    assert!(plain(&see(&scene, "ada", "/people")).contains("|new@x.test|"));
}

#[test]
fn nobody_else_gets_there() {
    let scene = Scene::new();
    for (method, target) in [("GET", "/people"), ("POST", "/people/invite")] {
        assert_eq!(scene.send(Sender::Browser("bob"), method, target, Empty).status, 403);
    }
    assert!(!see(&scene, "bob", "/").contains("href=\"/people\""));
}
