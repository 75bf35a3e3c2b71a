//! From an agent's proof to its person's browser: once, soon, and not behind the person's back.

use super::*;
use crate::limits::SIGN_IN_SECONDS;

/// The path of a fresh sign-in link of `agent`.
fn link(agent: &Agent<'_>) -> String {
    let answer = agent.ask("POST", "/api/session", "{}");
    assert_eq!(answer.status, 200);
    let url = answer.value()["url"].as_str().expect("a URL").to_owned();
    let (_, path) = url.split_once("/signin?").expect("a sign-in link");
    format!("/signin?{path}")
}

/// Opens `target` as a browser without cookies, led there as `site` says.
fn open_from(daemon: &Daemon, site: &str, target: &str) -> Response {
    let mut request = request("GET", target, "");
    request.fields.push("Sec-Fetch-Site", site);
    daemon.answer(&request)
}

#[test]
fn a_link_signs_its_person_in_once() {
    let daemon = Daemon::local();
    let owner = daemon.account("ada@x.test");
    let agent = daemon.claimed("ada-agent", &owner, Grants::default());
    let link = link(&agent);
    let opened = open_from(&daemon, "none", &link);
    assert_eq!(opened.location(), (303, "/"));
    let cookie = opened.fields.first_str("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned();
    let mut request = request("GET", "/api/whoami", "");
    request.fields.push("Cookie", cookie);
    assert_eq!(daemon.answer(&request).value()["account_email"], "ada@x.test");
    assert_eq!(open_from(&daemon, "none", &link).status, 404, "it was used");
}

#[test]
fn a_link_ends_after_a_minute_and_looking_spends_nothing() {
    let daemon = Daemon::local();
    let owner = daemon.account("ada@x.test");
    let agent = daemon.claimed("ada-agent", &owner, Grants::default());
    let link = link(&agent);
    assert_eq!(daemon.open("HEAD", &link, "").status, 200);
    daemon.state.clock.test_only_advance(SIGN_IN_SECONDS - 1);
    assert_eq!(daemon.open("HEAD", &link, "").status, 200);
    daemon.state.clock.test_only_advance(2);
    assert_eq!(open_from(&daemon, "none", &link).status, 404);
}

#[test]
fn nobody_is_put_into_a_strangers_account_unseen() {
    let daemon = Daemon::local();
    let (ada, eve) = (daemon.account("ada@x.test"), daemon.account("eve@x.test"));
    let agent = daemon.claimed("eve-agent", &eve, Grants::default());
    let link = link(&agent);
    for site in ["cross-site", "same-site"] {
        let asked = open_from(&daemon, site, &link);
        assert_eq!((asked.status, asked.fields.first_str("set-cookie")), (200, None), "{site}");
    }
    let silent = daemon.open("GET", &link, "");
    assert_eq!((silent.status, silent.fields.first_str("set-cookie")), (200, None), "a browser that does not say");
    assert_eq!(daemon.browser(&ada).get(&link).status, 200, "somebody else is signed in here");
    let token = link.split_once("token=").expect("a token").1;
    let agreed = daemon.browser(&ada).submit("/signin", &format!("token={token}"));
    assert_eq!(agreed.location(), (303, "/"));
    assert_eq!(daemon.browser(&ada).submit("/signin", &format!("token={token}")).status, 404);
}

#[test]
fn what_an_agent_opened_ends_with_its_permissions() {
    let daemon = Daemon::local();
    let owner = daemon.account("ada@x.test");
    let person = daemon.browser(&owner);
    let open = |link: &str| {
        let opened = open_from(&daemon, "none", link);
        let cookie = opened.fields.first_str("set-cookie").expect("a cookie").split(';').next().expect("a pair");
        Browser { daemon: &daemon, cookie: cookie.to_owned() }
    };
    for (handle, method, path, body) in [
        ("calm-fox", "PUT", "/api/identities/calm-fox/grants", r#"{"export":false}"#),
        ("wild-fox", "DELETE", "/api/identities/wild-fox", ""),
    ] {
        let agent = daemon.claimed(handle, &owner, Grants::default());
        let (browser, unused) = (open(&link(&agent)), link(&agent));
        assert_eq!(browser.get("/api/whoami").status, 200);
        assert_eq!(person.ask(method, path, body, &[]).status, 200, "{handle}");
        assert_eq!(browser.get("/api/whoami").status, 401, "{handle}: it could give itself back what was taken");
        assert_eq!(open_from(&daemon, "none", &unused).status, 404, "{handle}");
    }
    assert_eq!(person.get("/api/whoami").status, 200);
    let agent = daemon.claimed("own-fox", &owner, Grants::default());
    let (here, there) = (open(&link(&agent)), open(&link(&agent)));
    assert_eq!(here.ask("PUT", "/api/identities/own-fox/grants", r#"{"export":false}"#, &[]).status, 200);
    let statuses = (here.get("/api/whoami").status, there.get("/api/whoami").status);
    assert_eq!(statuses, (200, 401), "who came with `authsome ui` goes on");
}

#[test]
fn an_identity_without_all_its_grants_gets_no_browser() {
    let daemon = Daemon::local();
    let owner = daemon.account("ada@x.test");
    for (handle, grants) in [
        ("no-export", Grants { export: false, ..Grants::default() }),
        ("no-use", Grants { r#use: false, ..Grants::default() }),
    ] {
        let agent = daemon.claimed(handle, &owner, grants);
        let refused = agent.ask("POST", "/api/session", "{}").value();
        assert_eq!(refused["error"], "OperationNotAllowedError", "{handle}");
    }
}
