//! Logins as they look from outside: how many there may be, what is asked for twice, and whose browser ends them.

use super::*;
use crate::broker::{Actor, ClientSettings};
use crate::flow::testing::{Script, Server, json as answer};
use crate::limits::{DEVICE_POLLERS_EACH, LOGINS_EACH};
use crate::percent::{Plus, decode_text};
use crate::provider::{ValidateOptions, parse_definition};

const TOKENS: &str = r#"{"access_token":"at-1","refresh_token":"rt-1","token_type":"Bearer","expires_in":3600}"#;

/// Two people with an agent and a browser each; the first is the administrator.
struct Two<'a> {
    ada: (Principal, Agent<'a>),
    bob: (Principal, Agent<'a>),
}

impl<'a> Two<'a> {
    fn of(daemon: &'a Daemon) -> Self {
        let person = |email: &str, handle: &str| {
            let principal = daemon.account(email);
            let agent = daemon.claimed(handle, &principal, Grants::default());
            (principal, agent)
        };
        Self { ada: person("ada@x.test", "ada-agent"), bob: person("bob@x.test", "bob-agent") }
    }
}

fn operator() -> Actor {
    Actor {
        identity: None,
        principal_id: "principal_0".to_owned(),
        vault_id: "vault_0".to_owned(),
        role: crate::model::Role::Admin,
        grants: Grants::default(),
    }
}

fn client() -> ClientSettings {
    ClientSettings { client_id: Some("ci-1".to_owned()), ..ClientSettings::default() }
}

fn define(daemon: &Daemon, definition: &Value) {
    let definition = parse_definition(definition.to_string().as_bytes()).expect("parses");
    daemon.state.broker.register(&operator(), definition, false, ValidateOptions::default()).expect("registers");
}

fn oauth(server: &Server) -> Value {
    json!({
        "name": "acme", "auth_type": "oauth2", "flow": "pkce", "api_url": "api.acme.test",
        "oauth": {"authorization_url": "https://id.acme.test/authorize", "token_url": server.url("/token")},
    })
}

fn api_key(fields: &Value) -> Value {
    json!({"name": "acme", "auth_type": "api_key", "flow": "api_key", "api_url": "api.acme.test", "fields": fields})
}

fn start(agent: &Agent<'_>, more: &Value) -> Value {
    let mut body = json!({"provider": "acme", "force": true});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    agent.ask("POST", "/api/auth/sessions", &body.to_string()).value()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn status(agent: &Agent<'_>, id: &str) -> String {
    text(&agent.get(&format!("/api/auth/sessions/{id}")).value(), "status").to_owned()
}

/// The address that the provider sends the browser of `session` back to.
fn way_back(session: &Value) -> String {
    let url = text(&session["next_action"], "url");
    let state = url.split(['?', '&']).find_map(|pair| pair.strip_prefix("state=")).expect("a state");
    format!("/api/auth/callback/oauth?code=code-1&state={state}")
}

fn page(target: &str, cookie: &str, daemon: &Daemon) -> Response {
    let mut request = request("GET", target, "");
    request.fields.push("Accept", "text/html");
    request.fields.push("Cookie", cookie);
    daemon.answer(&request)
}

#[test]
fn on_a_hosted_daemon_a_login_ends_in_the_browser_of_its_person() {
    let daemon = Daemon::hosted();
    let people = Two::of(&daemon);
    let server = Server::plain(vec![answer(TOKENS)]);
    define(&daemon, &oauth(&server));
    daemon.state.broker.configure(&operator(), "acme", client()).expect("configures");
    let (ada, (bob, agent)) = (&people.ada.0, &people.bob);
    // Bob sends Ada the address of his login: she would sign in at the provider, and he would have her tokens.
    let session = start(agent, &json!({}));
    let back = way_back(&session);
    assert_eq!(daemon.browser(ada).get(&back).status, 403, "it is not her login");
    let (code, place) = {
        let answer = daemon.open("GET", &back, "");
        (answer.status, answer.location().1.to_owned())
    };
    assert_eq!(code, 303);
    let next = place.strip_prefix("/login?next=").unwrap_or_else(|| panic!("{place}"));
    assert_eq!(decode_text(next.as_bytes(), Plus::Space), back, "and from there back");
    assert_eq!(status(agent, text(&session, "id")), "waiting_for_user");
    assert!(server.is_quiet(), "her code goes nowhere");
    let (code, place) = {
        let answer = daemon.browser(bob).get(&back);
        (answer.status, answer.location().1.to_owned())
    };
    assert_eq!((code, place), (303, format!("/auth/success?session={}", text(&session, "id"))));
    assert_eq!(status(agent, text(&session, "id")), "completed");
}

#[test]
fn on_ones_own_machine_the_state_is_enough() {
    let daemon = Daemon::local();
    let people = Two::of(&daemon);
    let server = Server::plain(vec![answer(TOKENS)]);
    define(&daemon, &oauth(&server));
    daemon.state.broker.configure(&operator(), "acme", client()).expect("configures");
    let session = start(&people.bob.1, &json!({}));
    assert_eq!(daemon.open("GET", &way_back(&session), "").status, 303);
    assert_eq!(status(&people.bob.1, text(&session, "id")), "completed");
}

#[test]
fn the_form_of_a_hosted_daemon_says_for_whom_it_is() {
    let daemon = Daemon::hosted();
    let people = Two::of(&daemon);
    define(&daemon, &api_key(&json!([])));
    let session = start(&people.bob.1, &json!({}));
    let form = page(&format!("/auth/input?session={}", text(&session, "id")), "", &daemon);
    let form = String::from_utf8_lossy(&form.body).into_owned();
    assert!(form.contains("bob@x.test") && form.contains("bob-agent"), "{form}");
}

#[test]
fn nobody_takes_the_places_of_all_device_logins() {
    let daemon = Daemon::local();
    let people = Two::of(&daemon);
    let grant = r#"{"device_code":"dc","user_code":"UC-1","interval":600,"verification_uri":"https://x.test/d"}"#;
    let scripts: Vec<Script> = (0..DEVICE_POLLERS_EACH + 3).map(|_| answer(grant)).collect();
    let server = Server::plain(scripts);
    let mut definition = oauth(&server);
    definition["flow"] = "device_code".into();
    definition["oauth"]["device_authorization_url"] = server.url("/device").into();
    definition["oauth"]["device_token_request"] = "json".into();
    define(&daemon, &definition);
    let (ada, bob) = (&people.ada.1, &people.bob.1);
    let own: Vec<Value> = (0..DEVICE_POLLERS_EACH).map(|_| start(bob, &json!({}))).collect();
    assert!(own.iter().all(|session| session["status"] == "waiting_for_user"), "{own:?}");
    let refused = start(bob, &json!({}));
    assert_eq!(refused["status"], "failed", "it says so, and does not wait for nothing: {refused}");
    assert!(text(&refused, "error").contains("too many"), "{refused}");
    assert_eq!(start(ada, &json!({}))["status"], "waiting_for_user", "another person has a place");
    bob.ask("DELETE", &format!("/api/auth/sessions/{}", text(&own[0], "id")), "");
    assert_eq!(start(bob, &json!({}))["status"], "waiting_for_user", "a place is free again");
    daemon.state.pollers.stop();
}

#[test]
fn who_begins_too_many_logins_waits_and_nobody_else_does() {
    let daemon = Daemon::local();
    let people = Two::of(&daemon);
    define(&daemon, &api_key(&json!([])));
    let (ada, bob) = (&people.ada.1, &people.bob.1);
    let open: Vec<Value> = (0..LOGINS_EACH).map(|_| start(bob, &json!({}))).collect();
    assert!(open.iter().all(|session| session["status"] == "waiting_for_user"));
    let refused = start(bob, &json!({}));
    assert_eq!(refused["error"], "OperationNotAllowedError", "{refused}");
    let path = |index: usize| format!("/api/auth/sessions/{}", text(&open[index], "id"));
    bob.ask("DELETE", &path(0), "");
    bob.ask("POST", &format!("{}/resume", path(1)), r#"{"data":{"api_key":"ak_1"}}"#);
    for _ in 0..2 {
        assert_eq!(start(bob, &json!({"force": true}))["status"], "waiting_for_user", "what has ended takes no place");
    }
    assert_eq!(start(bob, &json!({"force": true}))["error"], "OperationNotAllowedError");
    assert_eq!(start(ada, &json!({}))["status"], "waiting_for_user");
    daemon.state.clock.test_only_advance(301);
    assert_eq!(start(bob, &json!({"force": true}))["status"], "waiting_for_user");
}

#[test]
fn what_does_not_fit_into_an_address_is_refused() {
    let daemon = Daemon::local();
    let people = Two::of(&daemon);
    define(&daemon, &oauth(&Server::plain(Vec::new())));
    let long = "x".repeat(5000);
    for more in [json!({"scopes": [long]}), json!({"base_url": format!("https://{long}.test")})] {
        let refused = start(&people.ada.1, &more);
        assert!(text(&refused, "message").contains("too long"), "{refused}");
    }
}

#[test]
fn a_field_or_a_cookie_may_have_the_name_of_a_callbacks_part() {
    let daemon = Daemon::local();
    let people = Two::of(&daemon);
    define(&daemon, &api_key(&json!([{"name": "code"}, {"name": "state"}])));
    let bob = &people.bob.1;
    let session = start(bob, &json!({}));
    let body = json!({"data": {"api_key": "k-1", "code": "c-1", "state": "s-1"}}).to_string();
    let ended = bob.ask("POST", &format!("/api/auth/sessions/{}/resume", text(&session, "id")), &body).value();
    assert_eq!(ended["status"], "completed", "{ended}");
}

#[test]
fn a_form_that_is_sent_twice_shows_how_its_login_stands() {
    let daemon = Daemon::local();
    let people = Two::of(&daemon);
    define(&daemon, &api_key(&json!([])));
    let session = start(&people.bob.1, &json!({}));
    let target = format!("/auth/input?session={}", text(&session, "id"));
    let send = || {
        let mut request = request("POST", &target, "api_key=k-1");
        request.fields.push("Accept", "text/html");
        request.fields.push("Content-Type", FORM);
        daemon.answer(&request)
    };
    let success = format!("/auth/success?session={}", text(&session, "id"));
    assert_eq!(send().location(), (303, success.as_str()));
    assert_eq!(send().location(), (303, success.as_str()), "a second click, or a page that was loaded again");
}

#[test]
fn a_page_that_waits_for_a_person_says_where_to_go_on_to_the_browser_of_the_login_only() {
    let daemon = Daemon::local();
    let people = Two::of(&daemon);
    define(&daemon, &oauth(&Server::plain(Vec::new())));
    let session = start(&people.ada.1, &json!({}));
    let id = text(&session, "id").to_owned();
    let form = page(&format!("/auth/input?session={id}"), "", &daemon);
    let cookie = form.fields.first_str("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned();
    let shown = |cookie: &str| {
        let page = page(&format!("/auth/success?session={id}"), cookie, &daemon);
        String::from_utf8_lossy(&page.body).into_owned()
    };
    assert!(shown(&cookie).contains(&format!("/auth/input?session={id}")), "{}", shown(&cookie));
    assert!(!shown("authsome_login=other").contains("href=\"http"), "another browser has nothing to do there");
}
