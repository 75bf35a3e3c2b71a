//! Who may call what: every route, by everybody. A route without a row here fails, and so does a row without a route.

use std::collections::BTreeSet;

use super::Body::{Form, Json, None as Empty};
use super::{Body, Scene, Sender};
use crate::daemon::router::{self, Match};

/// Everybody, in the order of [`Row::expected`]. What a target names is Bob's.
pub(super) const SENDERS: [Sender; 9] = [
    Sender::Nobody,
    Sender::BadProof,
    Sender::Agent("new-agent"), // registered, not claimed
    Sender::Agent("bob-agent"), // the owner's
    Sender::Agent("eve-agent"), // another person's
    Sender::Agent("ada-agent"), // an administrator's
    Sender::Browser("bob"),
    Sender::Browser("eve"),
    Sender::Browser("ada"),
];

pub(super) struct Row {
    pub(super) method: &'static str,
    pub(super) target: &'static str,
    pub(super) body: Body,
    pub(super) expected: [u16; 9],
}

/// Anybody gets the same.
const fn open(method: &'static str, target: &'static str, body: Body, all: u16) -> Row {
    Row { method, target, body, expected: [all; 9] }
}

/// Open, with an answer that depends on the browser. A proof says nothing here, not even a bad one.
const fn page(target: &'static str, stranger: u16, [owner, foreign, admin]: [u16; 3]) -> Row {
    let expected = [stranger, admin, stranger, stranger, stranger, stranger, owner, foreign, admin];
    Row { method: "GET", target, body: Empty, expected }
}

/// A form of the dashboard: whoever is not signed in is led to do so. A proof says nothing here.
const fn post(target: &'static str, form: &'static str, [owner, foreign, admin]: [u16; 3]) -> Row {
    let expected = [303, admin, 303, 303, 303, 303, owner, foreign, admin];
    Row { method: "POST", target, body: Form(form), expected }
}

/// A proof of a claimed identity; cookies are nothing.
const fn proof(method: &'static str, target: &'static str, body: Body, [owner, foreign, admin]: [u16; 3]) -> Row {
    Row { method, target, body, expected: [401, 401, 403, owner, foreign, admin, 401, 401, 401] }
}

/// A proof or a browser session, with the same answer.
const fn either(method: &'static str, target: &'static str, body: Body, [owner, foreign, admin]: [u16; 3]) -> Row {
    Row { method, target, body, expected: [401, 401, 403, owner, foreign, admin, owner, foreign, admin] }
}

/// The same, of an administrator.
const fn admin(method: &'static str, target: &'static str, body: Body, admin: u16) -> Row {
    Row { method, target, body, expected: [401, 401, 403, 403, 403, admin, 403, 403, admin] }
}

const ALL: [u16; 3] = [200; 3];
/// There for the owner only.
const OWN: [u16; 3] = [200, 404, 404];
/// There for the owner and for administrators.
const OWN_OR_ADMIN: [u16; 3] = [200, 404, 200];

pub(super) static ROWS: &[Row] = &[
    open("GET", "/health", Empty, 200),
    open("GET", "/api/health", Empty, 200),
    open("GET", "/openapi.json", Empty, 200),
    open("GET", "/docs", Empty, 200),
    proof("GET", "/api/ready", Empty, ALL),
    either("GET", "/api/whoami", Empty, ALL),
    open("POST", "/api/identities/register", Json(r#"{"handle":"fresh-agent","did":"{stranger}"}"#), 200),
    open("POST", "/api/identities/register", Json(r#"{"handle":"bob-agent","did":"{stranger}"}"#), 409),
    either("GET", "/api/identities", Empty, ALL),
    either("GET", "/api/identities/", Empty, ALL),
    open("GET", "/api/identities/by-did/{did}", Empty, 200),
    open("GET", "/api/identities/bob-agent", Empty, 200),
    either("DELETE", "/api/identities/bob-agent", Empty, OWN_OR_ADMIN),
    either("GET", "/api/identities/bob-agent/detail", Empty, OWN_OR_ADMIN),
    either("GET", "/api/identities/new-agent/detail", Empty, [404, 404, 200]),
    Row {
        method: "POST",
        target: "/api/identities/new-agent/claim",
        body: Json(r#"{"bootstrap_token":"{bootstrap}"}"#),
        expected: [401, 401, 200, 403, 403, 403, 401, 401, 401],
    },
    Row {
        method: "POST",
        target: "/api/identities/new-agent/claim",
        body: Json(r#"{"bootstrap_token":""}"#),
        expected: [401, 401, 403, 403, 403, 403, 401, 401, 401],
    },
    either("PUT", "/api/identities/bob-agent/grants", Json(r#"{"export":false}"#), OWN_OR_ADMIN),
    admin("GET", "/api/principals", Empty, 200),
    admin("GET", "/api/principals/", Empty, 200),
    proof("POST", "/api/auth/sessions", Json(r#"{"provider":"acme"}"#), ALL),
    proof("GET", "/api/auth/sessions/{session}", Empty, OWN),
    proof("GET", "/api/auth/sessions/{dashboard}", Empty, [404; 3]),
    proof("DELETE", "/api/auth/sessions/{session}", Empty, OWN),
    proof("POST", "/api/auth/sessions/{session}/resume", Json(r#"{"data":{"api_key":"ak_2"}}"#), OWN),
    open("GET", "/api/auth/sessions/{session}/input", Empty, 200),
    page("/api/auth/sessions/{dashboard}/input", 303, [200, 303, 303]),
    open("POST", "/api/auth/sessions/{session}/input", Form("api_key=ak_2"), 303),
    open("GET", "/api/auth/sessions/{session}/device", Empty, 400),
    page("/api/auth/sessions/{dashboard}/device", 303, [400, 303, 303]),
    open("GET", "/api/auth/sessions/{session}/status", Empty, 200),
    page("/api/auth/sessions/{dashboard}/status", 303, [200, 303, 303]),
    either("GET", "/api/connections", Empty, ALL),
    proof("GET", "/api/connections/acme/default", Empty, OWN),
    either("GET", "/api/connections/acme/default/detail", Empty, OWN),
    either("GET", "/api/connections/acme/default/detail?principal={bob}", Empty, [200, 403, 200]),
    either("POST", "/api/connections/acme/default/logout", Empty, ALL),
    either("POST", "/api/connections/acme/default/logout?principal={bob}", Empty, [200, 403, 200]),
    either("POST", "/api/connections/acme/default/default", Empty, OWN),
    admin("POST", "/api/connections/acme/default/global", Empty, 404),
    either("POST", "/api/connections/acme/default/rebind", Empty, OWN),
    admin("DELETE", "/api/connections/acme/global", Empty, 200),
    admin("POST", "/api/connections/acme/revoke", Empty, 200),
    proof("POST", "/api/credentials/resolve", Json(r#"{"provider":"acme"}"#), OWN),
    proof("POST", "/api/credentials/export", Json(r#"{"provider":"acme"}"#), OWN),
    proof("POST", "/api/run", Json("{}"), ALL),
    proof("GET", "/api/proxy/routes", Empty, ALL),
    proof("GET", "/api/providers", Empty, ALL),
    admin("POST", "/api/providers", Json(NEW_DEFINITION), 200),
    proof("GET", "/api/providers/acme", Empty, ALL),
    admin(
        "PUT",
        "/api/providers/acme",
        Json(r#"{"name":"acme","auth_type":"api_key","flow":"api_key","api_url":"api.acme.test"}"#),
        200,
    ),
    admin("DELETE", "/api/providers/acme", Empty, 200),
    either("GET", "/api/providers/acme/detail", Empty, ALL),
    admin("PUT", "/api/providers/acme/configuration", Json(r#"{"client_id":"x"}"#), 200),
    either("GET", "/api/audit/events", Empty, ALL),
    either("GET", "/api/audit/events?identity=bob-agent", Empty, [200, 403, 200]),
    proof("POST", "/api/audit/events", Json(r#"{"event":{"event":"proxy.request"}}"#), ALL),
    open("POST", "/api/auth/register", Form("email=m%40x.test&password=correct+horse"), 303),
    open("POST", "/api/auth/login", Form("email=m%40x.test&password=correct+horse"), 303),
    open("POST", "/api/auth/password", Form("current_password=&new_password=short"), 303),
    open("POST", "/api/logout", Form("return_url=/login"), 303),
    proof("POST", "/api/session", Empty, ALL),
    either("DELETE", "/api/session", Empty, ALL),
    open("GET", "/signin?token=signin_unknown", Empty, 404),
    open("POST", "/signin", Form("token=signin_unknown"), 404),
    admin("POST", "/api/invitations", Empty, 200),
    open("GET", "/api/claim/{claim}", Empty, 200),
    open("POST", "/api/claim/{claim}/confirm", Form(""), 303),
    either("POST", "/api/auth/providers/acme/connect", Form("connection=third"), [303; 3]),
    page("/", 303, ALL),
    page("/connections/acme/default", 303, OWN),
    page("/connections/acme/default?principal={bob}", 303, [200, 403, 200]),
    post("/connections/acme/default/default", "", [303, 404, 404]),
    post("/connections/acme/default/global", "share=1", [403, 403, 404]),
    post("/connections/acme/default/global?principal={bob}", "share=0", [403, 403, 303]),
    post("/connections/acme/default/rebind", "", [303, 404, 404]),
    post("/connections/acme/default/logout", "", [303; 3]),
    post("/connections/acme/default/logout?principal={bob}", "", [303, 403, 303]),
    post("/connections/acme/default/reveal", "", OWN),
    post("/connections/acme/default/reveal?principal={bob}", "", OWN),
    page("/providers", 303, ALL),
    page("/providers/acme", 303, ALL),
    post("/providers/acme/client", "client_id=x", [403, 403, 303]),
    post("/providers/acme/revoke", "", [403, 403, 303]),
    post("/providers/acme/delete", "", [403, 403, 303]),
    page("/providers/acme/edit", 303, [403, 403, 200]),
    page("/providers/openai/edit", 303, [403, 403, 404]),
    post("/providers/acme/edit", "kind=bearer&name=acme&api_url=api.acme.test", [403, 403, 303]),
    page("/new-provider", 303, [403, 403, 200]),
    page("/new-provider?from=openai", 303, [403, 403, 200]),
    post("/new-provider", "kind=bearer&name=fresh&api_url=api.fresh.test", [403, 403, 303]),
    post("/new-provider", "", [403, 403, 422]),
    post("/new-provider/check", "name=", [403, 403, 200]),
    page("/agents", 303, ALL),
    page("/agents/bob-agent", 303, OWN_OR_ADMIN),
    page("/agents/new-agent", 303, [404, 404, 200]),
    post("/agents/bob-agent/grants", "use=1", [303, 404, 303]),
    post("/agents/new-agent/grants", "use=1", [404; 3]),
    post("/agents/bob-agent/forget", "", [303, 404, 303]),
    page("/audit", 303, ALL),
    page("/audit?identity=bob-agent&provider=acme&event=proxy.request&span=14d", 303, ALL),
    page("/audit?cursor=nonsense", 303, ALL),
    page("/people", 303, [403, 403, 200]),
    post("/people/invite", "", [403, 403, 200]),
    page("/settings", 303, ALL),
    page("/settings?password_error=credentials", 303, ALL),
    post("/settings/sign-out-others", "", [303; 3]),
    open("GET", "/assets/dashboard.js", Empty, 200),
    open("GET", "/login", Empty, 200),
    page("/claim?token={claim}", 303, ALL),
    open("GET", "/claim/{claim}", Empty, 307),
    open("GET", "/auth/input?session={session}", Empty, 200),
    page("/auth/input?session={dashboard}", 303, [200, 303, 303]),
    open("POST", "/auth/input?session={session}", Form("api_key=ak_2"), 303),
    open("GET", "/auth/device?session={session}", Empty, 303),
    page("/auth/device?session={dashboard}", 303, [303; 3]),
    open("GET", "/api/auth/callback/oauth", Empty, 303),
    open("GET", "/auth/callback/oauth?state=unknown&code=x", Empty, 303),
    open("GET", "/auth/success?session={session}", Empty, 200),
    page("/auth/success?session={dashboard}", 303, [200, 303, 303]),
    open("GET", "/assets/style.css", Empty, 200),
];

const NEW_DEFINITION: &str =
    r#"{"definition":{"name":"other","auth_type":"api_key","flow":"api_key","api_url":"api.other.test"}}"#;

/// The row of the router's table that a target finds.
pub(super) fn pattern(method: &str, target: &str) -> (&'static str, &'static str) {
    let path = target.split('?').next().unwrap_or_default();
    match router::find(method, path) {
        Match::Found(route, _) => (route.method, route.pattern),
        Match::WrongMethod | Match::Unknown => panic!("{method} {target} finds no route"),
    }
}

#[test]
fn every_route_has_a_row() {
    let tested: BTreeSet<_> = ROWS.iter().map(|row| pattern(row.method, row.target)).collect();
    let there: BTreeSet<_> = router::ROUTES.iter().map(|route| (route.method, route.pattern)).collect();
    assert_eq!(tested, there);
}

#[test]
fn everybody_gets_what_the_table_says() {
    let mut wrong = Vec::new();
    let mut scene = Scene::new();
    for row in ROWS {
        for (sender, expected) in SENDERS.into_iter().zip(row.expected) {
            let status = scene.send(sender, row.method, row.target, row.body).status;
            if status != expected {
                wrong.push(format!("{} {} by {sender:?}: {status}, not {expected}", row.method, row.target));
            }
            // The input page belongs to the browser that opens it.
            if status < 400 && (row.method != "GET" || row.target.starts_with("/auth/input")) {
                scene = Scene::new();
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn head_is_as_get_but_changes_nothing_and_other_methods_are_none() {
    let scene = Scene::new();
    for row in ROWS.iter().filter(|row| row.method == "GET") {
        // A link checker does not take a login page away from its person.
        let head = scene.send(Sender::Agent("bob-agent"), "HEAD", row.target, row.body).status;
        let get = scene.send(Sender::Agent("bob-agent"), "GET", row.target, row.body).status;
        assert_eq!(head, get, "{}", row.target);
    }
    for row in ROWS {
        for method in ["OPTIONS", "TRACE", "PATCH", "get"] {
            let status = scene.send(Sender::Browser("ada"), method, row.target, Empty).status;
            assert_eq!(status, 405, "{method} {}", row.target);
        }
    }
}

#[test]
fn a_page_from_elsewhere_gets_nothing_done() {
    let scene = Scene::new();
    for row in ROWS.iter().filter(|row| row.method != "GET") {
        for field in [("Origin", "https://evil.test"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")] {
            let answer = scene.send_with(Sender::Browser("ada"), row.method, row.target, row.body, &[field]);
            assert_eq!(answer.status, 403, "{} {} {field:?}", row.method, row.target);
        }
    }
}
