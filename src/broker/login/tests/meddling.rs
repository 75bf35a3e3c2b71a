//! What an administrator changes while somebody logs in: nothing is joined that does not belong together, and no secret
//! goes where it was not meant to go.

use super::*;

/// Settings of an administrator.
fn settings(values: &[(&str, &str)]) -> ClientSettings {
    let value = |name| values.iter().find_map(|(known, value)| (*known == name).then(|| (*value).to_owned()));
    ClientSettings {
        client_id: value("client_id"),
        client_secret: value("client_secret").map(Secret::new),
        base_url: value("base_url"),
        api_url: value("api_url"),
        ..ClientSettings::default()
    }
}

fn configure(scene: &Scene, values: &[(&str, &str)]) -> Result<bool> {
    scene.broker.configure(&admin(), "acme", settings(values))
}

fn stored_client(scene: &Scene) -> Option<OAuthClient> {
    scene.broker.client("acme").expect("reads").and_then(|settings| settings.oauth_client())
}

/// A broker that knows an `acme` which everybody may have their own of. The client proves itself at the API to revoke.
fn self_hosted(api_url: Value) -> Scene {
    let scene = Scene::new();
    let mut definition = acme("{base_url}/token");
    definition["api_url"] = api_url;
    definition["oauth"]["base_url"] = json!("https://git.acme.test");
    definition["oauth"]["revoke"] = json!({"url": "{api_url}/revoke"});
    scene.register(definition, false).expect("registers");
    scene
}

#[test]
fn a_client_that_is_replaced_during_a_login_gets_no_tokens_of_the_old_one() {
    let (scene, _server) = scene(vec![answer(TOKENS)]);
    configure(&scene, &[("client_id", "ci-1"), ("client_secret", "cs-1")]).expect("configures");
    let session = start(&scene, &user());
    configure(&scene, &[("client_id", "ci-2"), ("client_secret", "cs-2")]).expect("configures");
    let refused = come_back(&scene, &state_of(&session), code());
    assert!(matches!(refused, Err(AuthsomeError::AuthenticationFailed { .. })), "{refused:?}");
    assert!(!is_connected(&scene, &user()), "its refresh token is of no use to the client that is stored");
    assert_eq!(stored(&scene, &session.id).public.status, SessionStatus::Failed);
}

#[test]
fn a_provider_that_is_revoked_during_a_login_stays_so() {
    let (scene, _server) = scene(vec![answer(TOKENS)]);
    configure(&scene, &[("client_id", "ci-1")]).expect("configures");
    let session = start(&scene, &user());
    scene.broker.revoke(&admin(), "acme").expect("revokes");
    assert!(come_back(&scene, &state_of(&session), code()).is_err());
    assert!(!is_connected(&scene, &user()));
}

#[test]
fn another_client_than_the_stored_one_is_refused_and_not_forgotten() {
    let (scene, server) = scene(vec![answer(TOKENS)]);
    let session = start(&scene, &admin());
    configure(&scene, &[("client_id", "ci-1"), ("client_secret", "cs-1")]).expect("configures");
    let refused = fill_in(&scene, &session.id, "ci-2").expect_err("another one is stored");
    assert!(matches!(refused, AuthsomeError::OperationNotAllowed { .. }), "{refused:?}");
    assert_eq!(stored(&scene, &session.id).public.status, SessionStatus::WaitingForUser, "it can be corrected");
    let session = fill_in(&scene, &session.id, "ci-1").expect("the same");
    come_back(&scene, &state_of(&session), code()).expect("ends");
    assert!(server.body().contains("client_secret=cs-1"));
}

#[test]
fn a_definition_that_moves_during_a_login_gets_neither_code_nor_secret() {
    let (scene, server) = scene(vec![answer(TOKENS)]);
    let elsewhere = Server::plain(vec![answer(TOKENS)]);
    let session = fill_in(&scene, &start(&scene, &admin()).id, "ci-1").expect("goes on");
    scene.register(acme(&elsewhere.url("/token")), true).expect("forced");
    let ended = come_back(&scene, &state_of(&session), code()).expect("ends");
    assert_eq!(ended.status, SessionStatus::Failed);
    assert!(ended.error.as_deref().is_some_and(|error| error.contains("changed")), "{ended:?}");
    assert!(server.is_quiet() && elsewhere.is_quiet() && !is_connected(&scene, &admin()));
}

#[test]
fn a_definition_that_moves_does_not_take_the_client_along() {
    let (scene, _server) = scene(Vec::new());
    configure(&scene, &[("client_id", "ci-1"), ("client_secret", "cs-1")]).expect("configures");
    let mut harmless = acme("https://id.acme.test/token");
    harmless["name"] = "other".into();
    scene.register(harmless, false).expect("another provider");
    assert!(stored_client(&scene).is_some());
    let moved =
        || -> ProviderDefinition { serde_json::from_value(acme("https://id.evil.test/token")).expect("a definition") };
    let replace =
        scene.broker.replace_definition(&admin(), "acme", moved(), crate::provider::ValidateOptions::default());
    assert!(matches!(replace, Err(AuthsomeError::OperationNotAllowed { .. })), "{replace:?}");
    assert!(stored_client(&scene).is_some(), "nothing has changed");
    scene.register(acme("https://id.evil.test/token"), true).expect("forced");
    assert!(stored_client(&scene).is_none(), "its secret belongs to the other server");
    let noted = scene.events().into_iter().find(|entry| entry.event == "provider.registered").expect("noted");
    assert_eq!(noted.metadata["client_removed"], true);
}

#[test]
fn a_registration_belongs_to_the_server_where_it_was_discovered() {
    let scene = Scene::new();
    let at = |base_url: &str| {
        json!({
            "name": "acme", "auth_type": "oauth2", "flow": "dcr_pkce", "api_url": "api.acme.test",
            "oauth": {"base_url": base_url},
        })
    };
    scene.register(at("https://id.acme.test"), false).expect("registers");
    configure(&scene, &[("client_id", "ci-1"), ("client_secret", "cs-1")]).expect("configures");
    scene.register(at("https://id.acme.test/"), true).expect("the same");
    assert!(stored_client(&scene).is_some());
    scene.register(at("https://id.evil.test"), true).expect("forced");
    assert!(stored_client(&scene).is_none());
}

#[test]
fn a_definition_that_only_gains_scopes_keeps_its_client() {
    let (scene, server) = scene(Vec::new());
    configure(&scene, &[("client_id", "ci-1"), ("client_secret", "cs-1")]).expect("configures");
    let mut wider = acme(&server.url("/token"));
    wider["oauth"]["scopes"] = json!(["read", "write"]);
    scene.register(wider, true).expect("forced");
    assert!(stored_client(&scene).is_some());
}

#[test]
fn an_administrator_does_not_move_a_secret_that_nobody_gives_again() {
    let scene = self_hosted(json!("api.acme.test"));
    configure(&scene, &[("client_id", "ci-1"), ("client_secret", "cs-1")]).expect("configures");
    for (name, url) in [("base_url", "https://git.evil.test"), ("api_url", "https://api.evil.test")] {
        let refused = configure(&scene, &[(name, url)]).expect_err("it would go along");
        assert!(matches!(refused, AuthsomeError::OperationNotAllowed { .. }), "{refused:?}");
    }
    assert!(!configure(&scene, &[("client_id", "ci-1")]).expect("the same"));
    let here = [("base_url", "https://git.corp.test"), ("client_id", "ci-1"), ("client_secret", "cs-1")];
    assert!(configure(&scene, &here).expect("given again"));
    assert!(configure(&scene, &[("client_id", "ci-2")]).expect("another client"));
    let client = stored_client(&scene).expect("a client");
    assert!(client.id == "ci-2" && client.secret.is_none(), "the secret was the other client's");
}

#[test]
fn settings_that_no_login_could_use_are_refused_before_anything_ends() {
    let (scene, _server) = scene(vec![answer(TOKENS)]);
    configure(&scene, &[("client_id", " ci-1 "), ("client_secret", "cs-1\n")]).expect("configures");
    let client = stored_client(&scene).expect("a client");
    assert_eq!((client.id.as_str(), client.secret.as_ref().map(Secret::expose)), ("ci-1", Some("cs-1")));
    come_back(&scene, &state_of(&start(&scene, &user())), code()).expect("ends");
    let long = "x".repeat(5000);
    for (name, value) in [
        ("client_id", "a\nb"),
        ("client_id", long.as_str()),
        ("client_secret", "a\rb"),
        ("base_url", "javascript:x"),
        ("base_url", "git.corp.test"),
        ("api_url", "https://a@b.test"),
    ] {
        let refused = configure(&scene, &[(name, value)]);
        assert!(matches!(refused, Err(AuthsomeError::InvalidInput { .. })), "{name}={value}: {refused:?}");
    }
    assert!(!configure(&scene, &[("client_id", " "), ("base_url", "")]).expect("nothing is given"));
    assert!(is_connected(&scene, &user()));
}

#[test]
fn an_api_url_may_be_a_host_as_in_a_definition() {
    let (scene, _server) = scene(vec![answer(TOKENS)]);
    configure(&scene, &[("client_id", "ci-1"), ("api_url", "eu.acme.test")]).expect("configures");
    come_back(&scene, &state_of(&start(&scene, &user())), code()).expect("ends");
    let record = scene.broker.connection(&user(), "acme", "default").expect("there");
    assert_eq!(record.api_url.as_deref(), Some("eu.acme.test"));
}

#[test]
fn nobody_moves_the_api_of_a_client_by_a_login() {
    let scene = self_hosted(json!("api.acme.test"));
    configure(&scene, &[("client_id", "ci-1"), ("client_secret", "cs-1")]).expect("configures");
    for actor in [admin(), user()] {
        let session = start(&scene, &actor);
        let values = BTreeMap::from([("api_url".to_owned(), Secret::new("https://api.evil.test".to_owned()))]);
        let refused = scene.broker.submit(stored(&scene, &session.id), Input::from(values), HERE);
        assert!(matches!(refused, Err(AuthsomeError::OperationNotAllowed { .. })), "{refused:?}");
    }
}

#[test]
fn a_login_without_a_place_for_its_tokens_does_not_begin() {
    let scene = self_hosted(json!("api.acme.test"));
    let session = start(&scene, &admin());
    let values = [("client_id", "ci-1"), ("base_url", "https://git.corp.test")];
    let values: BTreeMap<_, _> =
        values.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value.to_owned()))).collect();
    let refused = scene.broker.submit(stored(&scene, &session.id), Input::from(values), HERE).expect_err("no API URL");
    assert!(refused.to_string().contains("API URL"), "{refused}");
}

#[test]
fn many_who_log_in_at_once_with_one_client_are_all_connected() {
    let (scene, _server) = scene((0..8).map(|_| answer(TOKENS)).collect());
    configure(&scene, &[("client_id", "ci-1")]).expect("configures");
    let states: Vec<String> = (0..8)
        .map(|number| {
            let request = request(&format!("c{number}"));
            state_of(&scene.broker.start_session(&user(), request, HERE).expect("starts"))
        })
        .collect();
    std::thread::scope(|threads| {
        let ends: Vec<_> =
            states.iter().map(|state| threads.spawn(|| come_back(&scene, state, code()).expect("ends"))).collect();
        assert!(ends.into_iter().all(|end| end.join().expect("no panic").status == SessionStatus::Completed));
    });
    assert_eq!(scene.broker.usage("acme").expect("counts")["principal_bob"], 8);
    let noted = scene.events();
    assert_eq!(noted.iter().filter(|entry| entry.event == "provider.login").count(), 8);
}

/// Whichever is faster: a connection is there only with the client that it was made with.
#[test]
fn a_change_of_the_client_and_the_end_of_a_login_do_not_cross() {
    let rounds: Vec<u8> = (0..20).collect();
    let (scene, _server) = scene(rounds.iter().map(|_| answer(TOKENS)).collect());
    for round in rounds {
        let (old, new) = (format!("old-{round}"), format!("new-{round}"));
        configure(&scene, &[("client_id", old.as_str())]).expect("configures");
        let state = state_of(&start(&scene, &user()));
        let landed = std::thread::scope(|threads| {
            let landing = threads.spawn(|| come_back(&scene, &state, code()).is_ok());
            configure(&scene, &[("client_id", new.as_str())]).expect("configures");
            landing.join().expect("no panic")
        });
        assert_eq!(stored_client(&scene).expect("a client").id, new, "round {round}");
        assert!(!is_connected(&scene, &user()), "round {round}, landed: {landed}");
    }
}
