//! Logouts, and what the provider is asked to forget.

use super::*;

/// A login at `scene`, whose definition revokes at `revocation_url`.
fn connected(revocation: &Server) -> Scene {
    let (scene, tokens) = (Scene::new(), Server::plain(vec![answer(TOKENS)]));
    let mut definition = acme(&tokens.url("/token"));
    definition["oauth"]["revocation_url"] = json!(revocation.url("/revoke"));
    scene.register(definition, false).expect("registers");
    let session = fill_in(&scene, &start(&scene, &admin()).id, "ci-1").expect("goes on");
    come_back(&scene, &state_of(&session), code()).expect("ends");
    scene
}

#[test]
fn tokens_of_a_refresh_that_ends_during_a_logout_are_forgotten_as_well() {
    let (arrived, arrival) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let held: Script = Box::new(move |stream| {
        arrived.send(()).expect("the test waits");
        released.recv().expect("the test goes on");
        answer("{}")(stream)
    });
    let server = Server::plain(vec![held, answer("{}"), answer("{}"), answer("{}")]);
    let scene = connected(&server);
    std::thread::scope(|scope| {
        let vault = admin().vault_id;
        let leaving = scope.spawn({
            let (broker, vault) = (&scene.broker, vault.clone());
            move || broker.logout(&admin(), &vault, "acme", "default")
        });
        arrival.recv().expect("the provider is asked");
        // As a refresh writes it.
        let (mut record, _) = scene.broker.find(&vault, "acme", "default").expect("reads").expect("there");
        record.access_token = Some(Secret::new("at-2".to_owned()));
        record.refresh_token = Some(Secret::new("rt-2".to_owned()));
        let key = keys::connection(&vault, "acme", "default");
        scene.broker.vault.put(&key, record.to_sealable_json().expose_bytes()).expect("writes");
        release.send(()).expect("the server waits");
        assert!(leaving.join().expect("no panic").expect("logs out").is_some());
    });
    assert!(!is_connected(&scene, &admin()));
    let forgotten: Vec<String> = (0..4).map(|_| server.body()).collect();
    for token in ["at-1", "rt-1", "at-2", "rt-2"] {
        assert!(forgotten.iter().any(|body| body.contains(&format!("token={token}"))), "{token}: {forgotten:?}");
    }
}
