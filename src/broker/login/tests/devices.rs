//! Device logins, and what happens while a question is on its way.

use super::*;
use crate::flow::testing::refusal;

const PENDING: &str = r#"{"error":"authorization_pending"}"#;

/// A broker that knows `acme` with a device flow in JSON, which needs no client, at a server that gives these answers.
fn scene(answers: Vec<Script>) -> (Scene, Server) {
    let (scene, server) = (Scene::new(), Server::plain(answers));
    let mut definition = acme(&server.url("/token"));
    definition["flow"] = "device_code".into();
    definition["oauth"]["device_authorization_url"] = server.url("/device").into();
    definition["oauth"]["device_token_request"] = "json".into();
    scene.register(definition, false).expect("registers");
    (scene, server)
}

fn grant(number: u8) -> Script {
    answer(
        &json!({
            "device_code": format!("dc-{number}"), "user_code": format!("UC-{number}"), "interval": 1,
            "verification_uri": "https://acme.test/device", "expires_in": 600,
        })
        .to_string(),
    )
}

/// A question that is answered once the test allows it: who waits for it, and who lets it go.
fn held(then: Script) -> (Script, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (arrived, arrival) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let script: Script = Box::new(move |stream| {
        arrived.send(()).expect("the test waits");
        released.recv().expect("the test goes on");
        then(stream)
    });
    (script, arrival, release)
}

/// Asks about `id`, and does `meanwhile` while the question is with the server.
fn ask_and_meanwhile(
    scene: &Scene,
    id: &str,
    (arrival, release): (mpsc::Receiver<()>, mpsc::Sender<()>),
    meanwhile: impl FnOnce(),
) -> DeviceStep {
    std::thread::scope(|threads| {
        let asking = threads.spawn(|| scene.broker.ask_device(id).expect("asks"));
        arrival.recv().expect("the question arrives");
        meanwhile();
        release.send(()).expect("the server waits");
        asking.join().expect("no panic")
    })
}

#[test]
fn a_page_that_is_opened_during_a_question_costs_no_tokens() {
    let (script, arrival, release) = held(answer(TOKENS));
    let (scene, _server) = scene(vec![grant(1), refusal(400, PENDING), script]);
    let id = start(&scene, &user()).id;
    assert_eq!(scene.broker.ask_device(&id).expect("asks"), DeviceStep::Again);
    let open = || assert!(scene.broker.bind_browser(&mut stored(&scene, &id), "a browser").expect("opens"));
    assert_eq!(ask_and_meanwhile(&scene, &id, (arrival, release), open), DeviceStep::Ended);
    assert_eq!(stored(&scene, &id).public.status, SessionStatus::Completed);
    assert!(is_connected(&scene, &user()));
}

#[test]
fn a_form_that_is_sent_again_during_a_question_is_asked_about() {
    let (script, arrival, release) = held(refusal(400, r#"{"error":"expired_token"}"#));
    let (scene, _server) = scene(vec![grant(1), script]);
    let id = start(&scene, &user()).id;
    // The server of this test takes one connection after the other, so the second code is asked for by hand.
    let again = || {
        let mut session = stored(&scene, &id);
        let mut pending = scene.broker.pending(&session).expect("reads").expect("there");
        pending.device_code = Some(Secret::new("dc-2".to_owned()));
        session.public.user_code = Some("UC-2".to_owned());
        scene.broker.save_departed(&session, &pending).expect("saves");
    };
    assert_eq!(ask_and_meanwhile(&scene, &id, (arrival, release), again), DeviceStep::Again, "the new code is good");
    assert_eq!(stored(&scene, &id).public.status, SessionStatus::WaitingForUser);
}

#[test]
fn a_code_that_is_entered_in_its_last_second_connects() {
    let (script, arrival, release) = held(answer(TOKENS));
    let (scene, _server) = scene(vec![grant(1), script]);
    let id = start(&scene, &user()).id;
    let late = || scene.pass(601);
    assert_eq!(ask_and_meanwhile(&scene, &id, (arrival, release), late), DeviceStep::Ended);
    assert!(is_connected(&scene, &user()), "the provider has given tokens for it");
}

#[test]
fn a_login_whose_provider_is_gone_ends() {
    let (scene, _server) = scene(vec![grant(1)]);
    let id = start(&scene, &user()).id;
    scene.broker.remove_provider(&admin(), "acme").expect("removes");
    assert_eq!(scene.broker.ask_device(&id).expect("asks"), DeviceStep::Ended);
    let session = stored(&scene, &id).public;
    assert_eq!(session.status, SessionStatus::Failed);
    assert!(session.error.as_deref().is_some_and(|error| error.contains("not found")), "{session:?}");
}

#[test]
fn a_page_is_not_tied_to_a_browser_while_somebody_finishes_its_login() {
    let (scene, _server) = scene(vec![grant(1)]);
    let id = start(&scene, &user()).id;
    let mut seen_before = stored(&scene, &id);
    let claimed = scene.broker.claim(stored(&scene, &id)).expect("claims");
    assert!(scene.broker.bind_browser(&mut seen_before, "a browser").expect("reads"));
    assert!(stored(&scene, &id).browser.is_none());
    let failed = scene.broker.fail(claimed, "why".to_owned()).expect("ends");
    assert_eq!(failed.public.status, SessionStatus::Failed, "nobody has written in between");
    assert_eq!(stored(&scene, &id).public.error.as_deref(), Some("why"));
}

#[test]
fn a_failure_after_a_cancellation_is_a_cancellation() {
    let (scene, _server) = scene(vec![grant(1)]);
    let id = start(&scene, &user()).id;
    let claimed = scene.broker.claim(stored(&scene, &id)).expect("claims");
    scene.broker.cancel(stored(&scene, &id)).expect("cancels");
    let ended = scene.broker.fail(claimed, "why".to_owned()).expect("reads");
    assert_eq!(ended.public.status, SessionStatus::Cancelled);
    assert!(scene.events().iter().all(|entry| entry.event != "provider.login_failed"), "nothing failed");
}
