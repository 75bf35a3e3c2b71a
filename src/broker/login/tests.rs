//! Logins against small real servers: who may bring a client, what a state is good for, and what is there at the end.

mod devices;
mod goodbye;
mod meddling;
mod registrations;

use std::sync::mpsc;

use serde_json::{Value, json};

use super::*;
use crate::broker::clients::ClientSettings;
use crate::broker::tests::{HERE, Scene, admin, user};
use crate::broker::{Actor, Demand, Input, SessionRequest};
use crate::flow::testing::{Script, Server, json as answer};

const TOKENS: &str = r#"{"access_token":"at-1","refresh_token":"rt-1","token_type":"Bearer","expires_in":3600}"#;

fn acme(token_url: &str) -> Value {
    json!({
        "name": "acme", "auth_type": "oauth2", "flow": "pkce", "api_url": "api.acme.test",
        "oauth": {"authorization_url": "https://id.acme.test/authorize", "token_url": token_url, "scopes": ["read"]},
    })
}

/// A broker that knows `acme`, whose token endpoint gives these answers.
fn scene(answers: Vec<Script>) -> (Scene, Server) {
    let (scene, server) = (Scene::new(), Server::plain(answers));
    scene.register(acme(&server.url("/token")), false).expect("registers");
    (scene, server)
}

fn request(connection: &str) -> SessionRequest {
    SessionRequest {
        provider: "acme".into(),
        connection: connection.into(),
        flow: None,
        scopes: None,
        base_url: None,
        force: true,
        return_to: None,
    }
}

fn start(scene: &Scene, actor: &Actor) -> AuthSession {
    scene.broker.start_session(actor, request("default"), HERE).expect("starts")
}

fn stored(scene: &Scene, id: &str) -> StoredSession {
    scene.broker.session(id).expect("reads").expect("there")
}

fn fill_in(scene: &Scene, id: &str, client_id: &str) -> Result<AuthSession> {
    let values = [("client_id", client_id), ("client_secret", "cs-1")];
    let values: BTreeMap<_, _> =
        values.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value.to_owned()))).collect();
    scene.broker.submit(stored(scene, id), Input::from(values), HERE)
}

/// The `state` of the authorization request that `session` leads to.
fn state_of(session: &AuthSession) -> String {
    let NextAction::OpenUrl { url } = &session.next_action else { panic!("{session:?}") };
    assert!(url.starts_with("https://id.acme.test/authorize?"), "{url}");
    let state = url.split(['?', '&']).find_map(|pair| pair.strip_prefix("state=")).expect("a state");
    state.to_owned()
}

fn code() -> CallbackAnswer {
    CallbackAnswer { code: Some(Secret::new("code-1".to_owned())), ..CallbackAnswer::default() }
}

fn come_back(scene: &Scene, state: &str, answer: CallbackAnswer) -> Result<AuthSession> {
    let session = scene.broker.session_of_state(state).expect("reads").expect("a login waits for it");
    scene.broker.callback(session, state, answer)
}

fn is_connected(scene: &Scene, actor: &Actor) -> bool {
    scene.broker.connection(actor, "acme", "default").is_ok()
}

#[test]
fn a_client_is_brought_by_an_administrator_and_kept_when_the_login_has_worked() {
    let (scene, server) = scene(vec![answer(TOKENS), answer(TOKENS)]);
    let refused = scene.broker.start_session(&user(), request("default"), HERE);
    assert!(matches!(refused, Err(AuthsomeError::OperationNotAllowed { .. })), "{refused:?}");

    let session = start(&scene, &admin());
    assert!(matches!(&session.next_action, NextAction::OpenUrl { url } if url.starts_with(HERE)), "{session:?}");
    assert!(matches!(fill_in(&scene, &session.id, " "), Err(AuthsomeError::CredentialMissing { .. })));
    assert!(matches!(fill_in(&scene, &session.id, "a\nb"), Err(AuthsomeError::InvalidInput { .. })));
    let session = fill_in(&scene, &session.id, "ci-1").expect("goes on");
    assert!(scene.broker.client("acme").expect("reads").is_none(), "not before the login has worked");
    let ended = come_back(&scene, &state_of(&session), code()).expect("ends");
    assert_eq!(ended.status, SessionStatus::Completed);
    let body = server.body();
    assert!(body.contains("code=code-1") && body.contains("client_secret=cs-1"), "{body}");
    assert_eq!(scene.broker.client("acme").expect("reads").expect("a client").client_id.as_deref(), Some("ci-1"));
    let record = scene.broker.connection(&admin(), "acme", "default").expect("there");
    assert_eq!(record.refresh_token.as_ref().map(Secret::expose), Some("rt-1"));
    assert_eq!(record.scopes.as_deref(), Some(&["read".to_owned()][..]), "what was asked for: the answer names none");
    let resolved = scene.broker.resolve(&admin(), "acme", None, Demand::Use).expect("resolves");
    assert_eq!(resolved.headers["Authorization"].expose(), "Bearer at-1");

    let session = start(&scene, &user());
    come_back(&scene, &state_of(&session), code()).expect("ends");
    assert!(is_connected(&scene, &user()), "everybody logs in with the client that is there");
    let noted = scene.events();
    let count = |name: &str| noted.iter().filter(|entry| entry.event == name).count();
    assert_eq!((count("provider.client_configured"), count("provider.login")), (1, 2));
}

#[test]
fn a_state_counts_once_and_only_the_newest() {
    let (scene, _server) = scene(vec![answer(TOKENS)]);
    let id = start(&scene, &admin()).id;
    let older = state_of(&fill_in(&scene, &id, "ci-1").expect("goes on"));
    let newer = state_of(&fill_in(&scene, &id, "ci-2").expect("back, and sent again"));
    let waits_for = |state: &str| scene.broker.session_of_state(state).expect("reads").is_some();
    assert!(!waits_for(&older) && waits_for(&newer) && !waits_for("") && !waits_for("guess"));
    let twice = scene.broker.session_of_state(&newer).expect("reads").expect("waits");
    assert_eq!(come_back(&scene, &newer, code()).expect("ends").status, SessionStatus::Completed);
    assert!(!waits_for(&newer), "spent");
    assert!(scene.broker.callback(twice, &newer, code()).is_err(), "read before, sent after");
    let client = scene.broker.client("acme").expect("reads").expect("a client");
    assert_eq!(client.client_id.as_deref(), Some("ci-2"));
}

#[test]
fn a_login_that_is_cancelled_while_its_code_is_redeemed_connects_nothing() {
    let (arrived, arrival) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let held: Script = Box::new(move |stream| {
        arrived.send(()).expect("the test waits");
        released.recv().expect("the test goes on");
        answer(TOKENS)(stream)
    });
    let (scene, _server) = scene(vec![held]);
    let session = fill_in(&scene, &start(&scene, &admin()).id, "ci-1").expect("goes on");
    let ended = std::thread::scope(|scope| {
        let redeeming = scope.spawn(|| come_back(&scene, &state_of(&session), code()));
        arrival.recv().expect("the code arrives");
        let cancelled = scene.broker.cancel(stored(&scene, &session.id)).expect("cancels");
        assert_eq!(cancelled.status, SessionStatus::Cancelled);
        release.send(()).expect("the server waits");
        redeeming.join().expect("no panic")
    });
    assert!(matches!(ended, Err(AuthsomeError::InputCancelled { .. })), "{ended:?}");
    assert!(!is_connected(&scene, &admin()) && scene.broker.client("acme").expect("reads").is_none());
    assert_eq!(stored(&scene, &session.id).public.status, SessionStatus::Cancelled);
    assert!(fill_in(&scene, &session.id, "ci-1").is_err(), "it stays so");
}

#[test]
fn a_refusal_is_told_in_clean_words_and_noted() {
    let (scene, server) = scene(Vec::new());
    let session = fill_in(&scene, &start(&scene, &admin()).id, "ci-1").expect("goes on");
    let answer = CallbackAnswer {
        error: Some("access_denied".to_owned()),
        error_description: Some(format!("no\u{1b}[2J<b>\n{}", "x".repeat(1000))),
        ..CallbackAnswer::default()
    };
    let ended = come_back(&scene, &state_of(&session), answer).expect("ends");
    assert_eq!(ended.status, SessionStatus::Failed);
    let said = ended.error.expect("a reason");
    assert!(said.starts_with("access_denied: no [2J<b> x") && said.len() < 250, "{said}");
    assert!(server.is_quiet() && !is_connected(&scene, &admin()));
    let noted = scene.events().into_iter().find(|entry| entry.event == "provider.login_failed").expect("noted");
    assert_eq!(noted.status.as_deref(), Some("failure"));
}

#[test]
fn the_secret_of_a_client_goes_to_its_own_server_only() {
    let scene = Scene::new();
    let server = Server::plain(vec![answer(TOKENS)]);
    let mut definition = acme("{base_url}/token");
    definition["oauth"]["base_url"] = json!(server.url(""));
    definition["oauth"]["authorization_url"] = json!("https://id.acme.test/authorize");
    scene.register(definition, false).expect("registers");
    let session = fill_in(&scene, &start(&scene, &admin()).id, "ci-1").expect("goes on");
    come_back(&scene, &state_of(&session), code()).expect("ends");
    for actor in [admin(), user()] {
        for elsewhere in
            ["https://evil.test", "https://evil.test/", "http://evil.test", "javascript:x", "https://a@b.test"]
        {
            let request = SessionRequest { base_url: Some(elsewhere.to_owned()), ..request("default") };
            let refused = scene.broker.start_session(&actor, request, HERE);
            assert!(refused.is_err(), "{elsewhere}: {refused:?}");
        }
    }
    let here = SessionRequest { base_url: Some(server.url("/")), ..request("default") };
    assert!(scene.broker.start_session(&user(), here, HERE).is_ok(), "that is its own server");
}

#[test]
fn a_login_that_a_daemon_was_finishing_when_it_ended_has_failed() {
    let (scene, _server) = scene(Vec::new());
    let (waits, broken) = (start(&scene, &admin()).id, start(&scene, &admin()).id);
    scene.broker.claim(stored(&scene, &broken)).expect("claims");
    let next = scene.restarted();
    assert_eq!(next.end_interrupted_logins().expect("ends"), 1);
    assert_eq!(stored(&scene, &waits).public.status, SessionStatus::WaitingForUser);
    let broken = stored(&scene, &broken).public;
    assert_eq!(broken.status, SessionStatus::Failed);
    assert!(broken.error.as_deref().is_some_and(|error| error.contains("start it again")), "{broken:?}");
    assert_eq!(scene.events().iter().filter(|entry| entry.event == "provider.login_failed").count(), 1);
    assert_eq!(next.end_interrupted_logins().expect("nothing is left"), 0);
}
