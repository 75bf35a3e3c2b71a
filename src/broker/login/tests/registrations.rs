//! Clients that a server has registered for us: which address they are for, how they prove themselves, when they end.

use super::*;
use crate::flow::AuthMethod;

/// A broker that knows an `acme` which registers clients, at a server that gives these answers.
fn scene(answers: Vec<Script>) -> (Scene, Server) {
    let (scene, server) = (Scene::new(), Server::plain(answers));
    let mut definition = acme(&server.url("/token"));
    definition["flow"] = "dcr_pkce".into();
    definition["registration"] = json!({"registration_endpoint": server.url("/register")});
    scene.register(definition, false).expect("registers");
    (scene, server)
}

fn put(scene: &Scene, client: &ClientSettings) {
    scene.broker.vault.put(&keys::client("acme"), client.to_sealable_json().expose_bytes()).expect("puts");
}

#[test]
fn a_registration_holds_for_any_port_of_this_machine_and_for_no_other_address() {
    let known = ClientSettings {
        redirect_uri: Some("http://127.0.0.1:7998/api/auth/callback/oauth".to_owned()),
        ..ClientSettings::default()
    };
    assert!(is_registered_for(&known, "http://127.0.0.1:43211/api/auth/callback/oauth"));
    for other in [
        "http://127.0.0.1:43211/auth/callback/oauth",
        "http://localhost:7998/api/auth/callback/oauth",
        "https://auth.example.com/api/auth/callback/oauth",
        "http://127.0.0.1.evil.test:7998/api/auth/callback/oauth",
    ] {
        assert!(!is_registered_for(&known, other), "{other}");
    }
    assert!(is_registered_for(&ClientSettings::default(), "https://any.test/"), "an administrator has entered it");
}

#[test]
fn a_client_that_was_registered_with_the_older_address_keeps_it() {
    let (scene, _server) = scene(Vec::new());
    let stored = ClientSettings {
        client_id: Some("ci-1".to_owned()),
        redirect_uri: Some(format!("{HERE}/auth/callback/oauth")),
        ..ClientSettings::default()
    };
    put(&scene, &stored);
    let session = start(&scene, &user());
    let NextAction::OpenUrl { url } = &session.next_action else { panic!("{session:?}") };
    assert!(url.contains("redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fauth%2Fcallback%2Foauth"), "{url}");
}

#[test]
fn a_registered_client_proves_itself_as_the_server_has_chosen() {
    let client = r#"{"client_id":"ci-1","client_secret":"cs-1","token_endpoint_auth_method":"client_secret_basic"}"#;
    let (scene, server) = scene(vec![answer(client), answer(TOKENS), answer(TOKENS)]);
    come_back(&scene, &state_of(&start(&scene, &admin())), code()).expect("ends");
    come_back(&scene, &state_of(&start(&scene, &user())), code()).expect("ends");
    assert!(server.request().starts_with("POST /register "));
    for login in ["the first", "with the stored client"] {
        let request = server.request();
        assert!(request.contains("uthorization: Basic Y2ktMTpjcy0x\r\n"), "{login}: {request}");
        assert!(!request.contains("client_secret"), "{login}: {request}");
    }
    let stored = scene.broker.client("acme").expect("reads").expect("a client");
    assert_eq!(stored.method, Some(AuthMethod::Basic));
}

#[test]
fn a_registration_that_has_ended_is_named_and_replaced_when_nobody_uses_it() {
    let new = r#"{"client_id":"ci-2","client_secret":"cs-2"}"#;
    let refused = flow::testing::refusal(401, r#"{"error":"invalid_client"}"#);
    let (scene, _server) = scene(vec![refused, answer(new), answer(TOKENS)]);
    let ends_at = scene.broker.clock.now().unix() + 60;
    let old = ClientSettings {
        client_id: Some("ci-1".to_owned()),
        client_secret: Some(Secret::new("cs-1".to_owned())),
        secret_expires_at: Some(ends_at),
        redirect_uri: Some(format!("{HERE}/api/auth/callback/oauth")),
        ..ClientSettings::default()
    };
    put(&scene, &old);
    let session = start(&scene, &user());
    scene.pass(61);
    let ended = come_back(&scene, &state_of(&session), code()).expect("ends");
    assert!(ended.error.as_deref().is_some_and(|error| error.contains("has ended")), "{ended:?}");
    let told = start(&scene, &user());
    assert!(told.error.as_deref().is_some_and(|error| error.contains("has ended")), "{told:?}");
    come_back(&scene, &state_of(&start(&scene, &admin())), code()).expect("ends");
    let stored = scene.broker.client("acme").expect("reads").expect("a client");
    assert_eq!((stored.client_id.as_deref(), stored.secret_expires_at), (Some("ci-2"), None));
}
