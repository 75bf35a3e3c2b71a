//! Accounts, sessions and claims in a browser.

use super::*;
use crate::daemon::people::VERIFIED;

/// A browser that is not signed in.
fn visitor(daemon: &Daemon) -> Browser<'_> {
    Browser { daemon, cookie: "other=1".to_owned() }
}

/// The browser after an answer that set its session cookie.
fn signed_in<'a>(daemon: &'a Daemon, answer: &Response) -> Browser<'a> {
    let cookie = answer.fields.first_str("set-cookie").expect("a cookie");
    Browser { daemon, cookie: cookie.split(';').next().expect("a pair").to_owned() }
}

#[test]
fn registering_signs_in_and_signing_out_ends_it() {
    let daemon = Daemon::with(|settings| settings.open_registration = true);
    daemon.account("first@x.test");
    let form = "email=+A%40X.test+&password=correct+horse&next=%2Fclaim%3Ftoken%3Dclaim_x";
    let answer = visitor(&daemon).submit("/api/auth/register", form);
    assert_eq!(answer.location(), (303, "/claim?token=claim_x"));
    let cookie = answer.fields.first_str("set-cookie").expect("a cookie");
    for part in ["authsome_ui_session=", "; HttpOnly", "; Path=/", "; SameSite=Lax"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Secure"), "{cookie}");
    let browser = signed_in(&daemon, &answer);
    assert_eq!(browser.get("/api/whoami").value()["account_email"], "a@x.test");
    let out = browser.submit("/api/logout", "return_url=/login");
    assert_eq!(out.location(), (303, "/login"));
    assert!(out.fields.first_str("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
    assert_eq!(browser.get("/api/whoami").status, 401, "the handle is forgotten, not only the cookie");
}

#[test]
fn a_cookie_of_an_https_server_is_secure() {
    let daemon = Daemon::hosted();
    daemon.account("a@x.test");
    let answer = visitor(&daemon).submit("/api/auth/login", "email=a@x.test&password=correct+horse");
    assert_eq!(answer.location(), (303, "/"));
    assert!(answer.fields.first_str("set-cookie").is_some_and(|cookie| cookie.contains("; Secure")));
}

#[test]
fn a_wrong_email_and_a_wrong_password_look_the_same() {
    let daemon = Daemon::hosted();
    daemon.account("a@x.test");
    let login = |form: &str| visitor(&daemon).submit("/api/auth/login", form);
    let (email, password) =
        (login("email=b@x.test&password=correct+horse"), login("email=a@x.test&password=wrong+cow"));
    assert_eq!(email.location(), password.location());
    let shown = |answer: &Response| (answer.status, format!("{:?}", answer.fields), answer.body.to_vec());
    assert_eq!(shown(&email), shown(&password), "no field tells them apart");
    let hashed = |form: &str| {
        let before = VERIFIED.get();
        login(form);
        VERIFIED.get() - before
    };
    // Not only the answers: each costs the same hash. The owner of a local daemon has no password to compare with.
    daemon.people().local_owner().expect("an owner");
    for form in [
        "email=c@x.test&password=correct+horse",
        "email=a@x.test&password=wrong",
        "email=owner@localhost&password=",
        "email=&password=",
        "",
    ] {
        assert_eq!(hashed(form), 1, "{form}");
    }
    assert!(email.location().1.starts_with("/login?next=/&error="), "{:?}", email.location());
    assert!(email.location().1.ends_with("&tab=login"), "{:?}", email.location());
    assert!(email.fields.first("set-cookie").is_none());
}

#[test]
fn the_first_account_of_a_hosted_server_needs_its_setup_token() {
    let daemon = Daemon::hosted();
    let token = daemon.people().new_setup_token().expect("works").expect("the first start");
    let register = |email: &str, more: &str| {
        visitor(&daemon).submit("/api/auth/register", &format!("email={email}&password=correct+horse{more}"))
    };
    assert!(register("a@x.test", "").location().1.contains("error="), "no token");
    assert!(register("a@x.test", "&setup_token=x").location().1.contains("tab=register"), "a wrong one");
    let first = register("a@x.test", &format!("&setup_token={}", token.expose()));
    assert_eq!(first.location(), (303, "/"));
    let admin = signed_in(&daemon, &first);
    assert_eq!(admin.get("/api/whoami").value()["principal_role"], "admin");
    assert!(register("b@x.test", &format!("&setup_token={}", token.expose())).location().1.contains("error="));
    let invitation = admin.ask("POST", "/api/invitations", "", &[]).value();
    let invitation = invitation["invitation"].as_str().expect("a token");
    let second = register("b@x.test", &format!("&invitation={invitation}"));
    assert_eq!(signed_in(&daemon, &second).get("/api/whoami").value()["principal_role"], "user");
}

#[test]
fn an_open_server_is_not_given_to_the_first_stranger() {
    let daemon = Daemon::with(|settings| {
        settings.is_local = false;
        settings.open_registration = true;
    });
    let token = daemon.people().new_setup_token().expect("works").expect("the first start");
    let register = |email: &str, more: &str| {
        visitor(&daemon).submit("/api/auth/register", &format!("email={email}&password=correct+horse{more}"))
    };
    assert!(register("eve@x.test", "").location().1.contains("error=refused"), "it is open for later accounts");
    let first = register("ada@x.test", &format!("&setup_token={}", token.expose()));
    assert_eq!(signed_in(&daemon, &first).get("/api/whoami").value()["principal_role"], "admin");
    let second = register("eve@x.test", "");
    assert_eq!(signed_in(&daemon, &second).get("/api/whoami").value()["principal_role"], "user");
}

#[test]
fn of_two_cookies_with_one_name_none_counts() {
    let daemon = Daemon::local();
    let (own, planted) = (daemon.browser(&daemon.account("a@x.test")), daemon.browser(&daemon.account("eve@x.test")));
    let who = |one: &str, other: &str| {
        Browser { daemon: &daemon, cookie: format!("{one}; {other}") }.get("/api/whoami").status
    };
    assert_eq!(who("x=1", &own.cookie), 200);
    assert_eq!(who(&own.cookie, &own.cookie), 200, "the same twice");
    assert_eq!(who(&planted.cookie, &own.cookie), 401, "a page of another port can set one for a path of ours");
    assert_eq!(who(&own.cookie, &planted.cookie), 401);
}

#[test]
fn guessing_is_slowed_by_account_and_address_but_a_proxy_is_no_address() {
    let guess = |daemon: &Daemon, email: &str| {
        let answer = visitor(daemon).submit("/api/auth/login", &format!("email={email}&password=wrong+cow"));
        answer.location().1.contains("slow_down")
    };
    let local = Daemon::local();
    assert!((0..7).any(|number| guess(&local, &format!("{number}@x.test"))), "one address, many accounts");
    let hosted = Daemon::hosted();
    assert!(!(0..7).any(|number| guess(&hosted, &format!("{number}@x.test"))), "its peer is the reverse proxy");
    assert!((0..7).any(|_| guess(&hosted, "a@x.test")), "one account");
}

#[test]
fn a_new_password_ends_the_other_sessions() {
    let daemon = Daemon::local();
    let person = daemon.account("a@x.test");
    let (here, elsewhere) = (daemon.browser(&person), daemon.browser(&person));
    let change = |old: &str, new: &str| {
        here.submit("/api/auth/password", &format!("current_password={old}&new_password={new}&next=/settings"))
    };
    assert!(change("wrong+cow", "battery+staple").location().1.starts_with("/settings?password_error="));
    assert!(change("correct+horse", "short").location().1.starts_with("/settings?password_error="));
    let changed = change("correct+horse", "battery+staple");
    assert_eq!(changed.location(), (303, "/settings?password_changed=1"));
    assert_eq!(elsewhere.get("/api/whoami").status, 401);
    assert_eq!(signed_in(&daemon, &changed).get("/api/whoami").status, 200);
    let stranger = visitor(&daemon).submit("/api/auth/password", "current_password=a&new_password=b");
    assert_eq!(stranger.location(), (303, "/login"));
}

#[test]
fn the_token_of_this_machine_is_the_password_of_its_owner_until_there_is_one() {
    let login = |daemon: &Daemon, email: &str, password: &str| {
        visitor(daemon).submit("/api/auth/login", &format!("email={email}&password={password}"))
    };
    let daemon = Daemon::local();
    let signed = login(&daemon, "Owner@localhost", BOOTSTRAP);
    assert_eq!(signed.location(), (303, "/"));
    let owner = signed_in(&daemon, &signed);
    assert_eq!(owner.get("/api/whoami").value()["account_email"], "owner@localhost");
    daemon.account("a@x.test");
    for (email, password) in [("owner@localhost", "x"), ("owner@localhost", ""), ("a@x.test", BOOTSTRAP)] {
        assert!(login(&daemon, email, password).location().1.contains("error="), "{email} {password}");
    }
    assert!(login(&Daemon::hosted(), "owner@localhost", BOOTSTRAP).location().1.contains("error="), "not elsewhere");
    let set = owner.submit("/api/auth/password", "current_password=&new_password=battery+staple");
    assert_eq!(set.location(), (303, "/?password_changed=1"));
    assert!(login(&daemon, "owner@localhost", BOOTSTRAP).location().1.contains("error="), "the password counts now");
    assert_eq!(login(&daemon, "owner@localhost", "battery+staple").location(), (303, "/"));
}

#[test]
fn a_sign_in_gives_a_new_handle_and_ends_the_one_that_was_there() {
    let daemon = Daemon::local();
    let (ada, _) = (daemon.account("a@x.test"), daemon.account("b@x.test"));
    let planted = daemon.browser(&ada);
    let answer = planted.submit("/api/auth/login", "email=b@x.test&password=correct+horse");
    let after = signed_in(&daemon, &answer);
    assert_ne!(after.cookie, planted.cookie);
    assert_eq!(after.get("/api/whoami").value()["account_email"], "b@x.test");
    assert_eq!(planted.get("/api/whoami").status, 401, "who knows the old handle has nothing");
}

#[test]
fn one_call_signs_out_everywhere_else() {
    let daemon = Daemon::local();
    let person = daemon.account("a@x.test");
    let (here, there) = (daemon.browser(&person), daemon.browser(&person));
    let of_other = daemon.browser(&daemon.account("b@x.test"));
    assert_eq!(here.ask("DELETE", "/api/session", "", &[]).value(), json!({"status": "ok", "closed": 1}));
    let open = |browser: &Browser<'_>| browser.get("/api/whoami").status == 200;
    assert!(open(&here) && !open(&there) && open(&of_other));
    let less = daemon.claimed("less-fox", &person, Grants { export: false, ..Grants::default() });
    assert_eq!(less.ask("DELETE", "/api/session", "").status, 400);
    let agent = daemon.claimed("calm-fox", &person, Grants::default());
    assert_eq!(agent.ask("DELETE", "/api/session", "").value()["closed"], 1);
    assert!(!open(&here) && open(&of_other));
}

#[test]
fn a_person_claims_an_agent_in_the_browser() {
    let daemon = Daemon::hosted();
    let agent = daemon.registered("calm-fox");
    let url = agent.get("/api/identities/calm-fox").value()["claim_url"].as_str().expect("a link").to_owned();
    let token = url.rsplit_once('=').expect("a token").1;
    let (page, api) = (format!("/claim?token={token}"), format!("/api/claim/{token}"));
    assert_eq!(daemon.open("GET", &format!("/claim/{token}"), "").location(), (307, page.as_str()));
    let to_login = format!("/login?next={page}");
    let visitor = visitor(&daemon);
    assert_eq!(visitor.get(&page).location(), (303, to_login.as_str()));
    assert_eq!(visitor.submit(&format!("{api}/confirm"), "").location(), (303, to_login.as_str()));
    let facts =
        json!({"token": token, "identity": "calm-fox", "authenticated": false, "email": null, "expired": false});
    assert_eq!(visitor.get(&api).value(), facts);

    let person = daemon.browser(&daemon.account("a@x.test"));
    let shown = person.get(&page);
    assert!(shown.status == 200 && shown.value().to_string().contains("calm-fox"));
    assert_eq!(person.submit(&format!("{api}/confirm"), "permissions=1").location(), (303, "/"));
    let whoami = agent.get("/api/whoami").value();
    assert_eq!(whoami["account_email"], "a@x.test");
    let known = daemon.people().known("calm-fox").expect("reads").expect("there");
    assert!(!known.claim.as_ref().expect("claimed").grants.export, "the box was not ticked");
    let gone = person.get(&api).value();
    assert_eq!((&gone["identity"], &gone["expired"]), (&json!(""), &json!(true)));
    let (status, place) = (person.submit(&format!("{api}/confirm"), ""), "error=expired");
    assert!(status.status == 303 && status.location().1.contains(place), "{:?}", status.location());
}

#[test]
fn pages_of_other_sites_cannot_act_for_a_person() {
    let daemon = Daemon::local();
    let browser = daemon.browser(&daemon.account("a@x.test"));
    let post = |fields: &[(&str, &str)]| browser.ask("POST", "/api/logout", "", fields).status;
    assert_eq!(post(&[("Origin", "https://evil.test")]), 403);
    assert_eq!(post(&[("Origin", "null")]), 403);
    assert_eq!(post(&[("Sec-Fetch-Site", "cross-site")]), 403);
    assert_eq!(post(&[("Sec-Fetch-Site", "same-site")]), 403, "another port of this machine");
    assert_eq!(post(&[("Origin", "http://127.0.0.1:7998"), ("Sec-Fetch-Site", "same-origin")]), 303);
}

#[test]
fn redirects_stay_on_this_server() {
    let daemon = Daemon::local();
    daemon.account("a@x.test");
    for next in ["//evil.test", "/%5Cevil.test", "https://evil.test", "%0d%0aX:+y", ""] {
        let form = format!("email=a@x.test&password=correct+horse&next={next}");
        assert_eq!(visitor(&daemon).submit("/api/auth/login", &form).location(), (303, "/"), "{next}");
    }
}
