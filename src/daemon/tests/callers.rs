//! Who is let in (`contract/http.md` section 1, `contract/identity.md`).

use super::*;
use crate::daemon::auth::Access;
use crate::daemon::router::ROUTES;

#[test]
fn a_proof_lets_its_claimed_identity_in_once() {
    let daemon = Daemon::local();
    let owner = daemon.people().local_owner().expect("an owner");
    let agent = daemon.claimed("calm-fox", &owner, Grants::default());
    let request = agent.signed("GET", "/api/whoami?x=%20", "");
    let answer = daemon.answer(&request);
    assert_eq!((answer.status, &answer.value()["identity"]), (200, &json!("calm-fox")));
    assert_eq!(daemon.answer(&request).detail(), refusal(401, "Proof JWT was already used"));
}

#[test]
fn a_proof_is_for_one_request() {
    let daemon = Daemon::local();
    let owner = daemon.people().local_owner().expect("an owner");
    let agent = daemon.claimed("calm-fox", &owner, Grants::default());
    let good = agent.signed("POST", "/api/audit/events", r#"{"event":{"event":"x"}}"#);
    let change = |change: &dyn Fn(&mut Request)| {
        let mut changed = request(&good.method, &good.target, std::str::from_utf8(&good.body).expect("text"));
        changed.fields = good.fields.clone();
        change(&mut changed);
        daemon.answer(&changed).detail()
    };
    assert_eq!(change(&|request| request.body.push(b' ')), refusal(401, "Proof JWT claim body_sha256 does not match"));
    assert_eq!(change(&|request| request.target.push_str("?a")), refusal(401, "Proof JWT claim htu does not match"));
    assert_eq!(
        change(&|request| {
            request.method = "PUT".to_owned();
            request.target = "/api/identities/calm-fox/grants".to_owned();
        }),
        refusal(401, "Proof JWT claim htm does not match")
    );
    let twice = change(&|request| {
        let again = request.fields.first("authorization").expect("signed").to_vec();
        request.fields.push("Authorization", again);
    });
    assert_eq!(twice, refusal(401, "Expected Authorization: PoP <jwt>"));
    assert_eq!(daemon.answer(&good).status, 200, "a refused attempt does not use the proof up");
}

#[test]
fn what_is_no_proof_is_refused_with_the_contracts_texts() {
    let daemon = Daemon::local();
    let with = |value: &str| {
        let mut request = request("GET", "/api/ready", "");
        request.fields.push("Authorization", value);
        daemon.answer(&request).detail()
    };
    assert_eq!(daemon.open("GET", "/api/ready", "").detail(), refusal(401, "Missing PoP authorization header"));
    for other in ["Bearer x", "pop x", "PoP", "PoP ", ""] {
        assert_eq!(with(other), refusal(401, "Expected Authorization: PoP <jwt>"), "{other:?}");
    }
    assert_eq!(with("PoP x.y.z").0, 401);
}

#[test]
fn a_key_that_nobody_knows_or_another_ones_handle_is_refused() {
    let daemon = Daemon::local();
    let owner = daemon.people().local_owner().expect("an owner");
    let victim = daemon.claimed("calm-fox", &owner, Grants::default());
    let thief = Agent { daemon: &daemon, handle: victim.handle.clone(), key: SigningKey::generate() };
    assert_eq!(thief.get("/api/whoami").detail(), refusal(401, "Identity issuer does not match registered DID"));
    let stranger = daemon.stranger("new-fox");
    assert_eq!(stranger.get("/api/whoami").detail(), refusal(401, "Unknown identity handle"));
}

#[test]
fn who_is_registered_but_not_claimed_is_forbidden() {
    let daemon = Daemon::local();
    let agent = daemon.registered("calm-fox");
    let answer = agent.get("/api/whoami");
    assert_eq!(answer.status, 403);
    assert!(answer.detail().1.contains("not claimed"), "{:?}", answer.detail());
}

#[test]
fn an_unclaimed_identity_ends_and_a_forgotten_one_is_out_at_once() {
    let daemon = Daemon::local();
    let owner = daemon.people().local_owner().expect("an owner");
    let agent = daemon.claimed("calm-fox", &owner, Grants::default());
    assert_eq!(agent.get("/api/whoami").status, 200);
    assert_eq!(agent.ask("DELETE", "/api/identities/calm-fox", "").status, 200);
    assert_eq!(agent.get("/api/whoami").detail(), refusal(401, "Unknown identity handle"));
}

#[test]
fn proofs_from_before_the_start_are_refused() {
    let daemon = Daemon::local();
    let owner = daemon.people().local_owner().expect("an owner");
    let agent = daemon.claimed("calm-fox", &owner, Grants::default());
    let mut request = request("GET", "/api/whoami", "");
    let before = daemon.state.clock.now().plus_seconds(-10);
    let token = agent.key.sign_request("calm-fox", "GET", "/api/whoami", b"", before);
    request.fields.push("Authorization", format!("PoP {token}"));
    assert_eq!(daemon.answer(&request).detail(), refusal(401, "Proof JWT was signed before the daemon started"));
}

#[test]
fn a_browser_session_is_good_where_the_table_says_so() {
    let daemon = Daemon::local();
    let browser = daemon.browser(&daemon.account("a@x.test"));
    assert_eq!(browser.get("/api/whoami").value()["account_email"], "a@x.test");
    assert_eq!(browser.get("/api/ready").detail(), refusal(401, "Missing PoP authorization header"));
    assert_eq!(daemon.open("GET", "/api/whoami", "").status, 401);
    let forged = Browser { daemon: &daemon, cookie: "authsome_ui_session=guess".to_owned() };
    assert_eq!(forged.get("/api/whoami").status, 401);
}

#[test]
fn a_bad_proof_is_not_rescued_by_a_good_cookie() {
    let daemon = Daemon::local();
    let browser = daemon.browser(&daemon.account("a@x.test"));
    let answer = browser.ask("GET", "/api/whoami", "", &[("Authorization", "PoP x.y.z")]);
    assert_eq!(answer.status, 401);
}

#[test]
fn a_session_ends_after_an_hour() {
    let daemon = Daemon::local();
    let browser = daemon.browser(&daemon.account("a@x.test"));
    assert_eq!(browser.get("/api/whoami").status, 200);
    daemon.state.clock.test_only_advance(crate::limits::UI_SESSION_SECONDS);
    assert_eq!(browser.get("/api/whoami").status, 401);
}

/// The whole table: whatever is not open refuses strangers, whatever is for administrators refuses everybody else, and
/// whatever needs a proof ignores cookies.
#[test]
fn no_route_is_more_open_than_the_table_says() {
    let daemon = Daemon::local();
    let (_, user) = (daemon.account("admin@x.test"), daemon.account("user@x.test"));
    let (agent, browser) = (daemon.claimed("calm-fox", &user, Grants::default()), daemon.browser(&user));
    for route in ROUTES {
        let target = route.pattern.replace(['{', '}'], "");
        let name = format!("{} {target}", route.method);
        let from_stranger = daemon.open(route.method, &target, "").status;
        let from_browser = || browser.ask(route.method, &target, "", &[]).status;
        match route.access {
            Access::Open => assert!(![401, 403].contains(&from_stranger), "{name}"),
            Access::Registered | Access::Proof => {
                assert_eq!(from_stranger, 401, "{name}");
                assert_eq!(from_browser(), 401, "{name}");
            }
            Access::ProofOrBrowser => {
                assert_eq!(from_stranger, 401, "{name}");
                assert_ne!(from_browser(), 401, "{name}");
            }
            Access::Page | Access::AdminPage => {
                assert_eq!(from_stranger, 303, "{name}");
                assert_eq!(agent.ask(route.method, &target, "").status, 303, "{name}");
                let is_refused = from_browser() == 403;
                assert_eq!(is_refused, route.access == Access::AdminPage, "{name}");
            }
            Access::Admin => {
                assert_eq!(from_stranger, 401, "{name}");
                let expected = refusal(403, "Admin role required");
                assert_eq!(browser.ask(route.method, &target, "", &[]).detail(), expected, "{name}");
                assert_eq!(agent.ask(route.method, &target, "").detail(), expected, "{name}");
            }
        }
    }
}
