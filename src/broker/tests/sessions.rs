//! Sessions: one answer counts, one browser has the page, and what is left empty is not given.

use super::*;

#[test]
fn a_session_takes_the_key_once_and_ends_in_time() {
    let scene = Scene::new();
    scene.register(acme("api.acme.test"), false).expect("registers");
    let start = |force| {
        let request = SessionRequest {
            provider: "acme".into(),
            connection: "default".into(),
            flow: None,
            scopes: None,
            base_url: None,
            force,
            return_to: None,
        };
        scene.broker.start_session(&admin(), request, HERE).expect("starts")
    };
    let key = |text: &str| BTreeMap::from([("api_key".to_owned(), Secret::new(text.to_owned()))]);
    let session = start(false);
    assert!(scene.broker.own_session(&user(), &session.id).expect("reads").is_none(), "not another's");
    let stored = || scene.broker.own_session(&admin(), &session.id).expect("reads").expect("there");
    assert!(scene.broker.submit(stored(), key("a\nb").into(), HERE).is_err());
    assert_eq!(stored().public.status, SessionStatus::WaitingForUser, "a mistake can be corrected");
    assert_eq!(
        scene.broker.submit(stored(), key("ak_1").into(), HERE).expect("connects").status,
        SessionStatus::Completed
    );
    assert!(scene.broker.submit(stored(), key("ak_2").into(), HERE).is_err(), "only once");
    assert_eq!(start(false).message.as_deref(), Some("Already connected"));
    let again = start(true);
    scene.clock.test_only_advance(301);
    let late = scene.broker.session(&again.id).expect("reads").expect("there");
    assert_eq!(late.public.status, SessionStatus::Expired);
    assert!(scene.broker.submit(late, key("ak_3").into(), HERE).is_err());
    let record = scene.broker.connection(&admin(), "acme", "default").expect("there");
    assert_eq!(record.api_key.expect("a key").expose(), "ak_1");
    assert_eq!(record.status, ConnectionStatus::Connected);
}

fn start(scene: &Scene, provider: &str) -> StoredSession {
    let request = SessionRequest {
        provider: provider.into(),
        connection: "default".into(),
        flow: None,
        scopes: None,
        base_url: None,
        force: true,
        return_to: None,
    };
    let id = scene.broker.start_session(&admin(), request, HERE).expect("starts").id;
    scene.broker.session(&id).expect("reads").expect("there")
}

fn values(values: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    values.iter().map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned()))).collect()
}

#[test]
fn of_two_answers_to_one_session_one_counts() {
    let scene = Scene::new();
    scene.register(acme("api.acme.test"), false).expect("registers");
    let session = start(&scene, "acme");
    let (first, second, mut third) = (session.clone(), session.clone(), session);
    scene.broker.submit(first, values(&[("api_key", "ak_1")]).into(), HERE).expect("connects");
    assert!(
        scene.broker.submit(second, values(&[("api_key", "ak_2")]).into(), HERE).is_err(),
        "read before, sent after"
    );
    let record = scene.broker.connection(&admin(), "acme", "default").expect("there");
    assert_eq!(record.api_key.expect("a key").expose(), "ak_1");
    let _ = scene.broker.bind_browser(&mut third, "a browser");
    let now = scene.broker.session(&third.public.id).expect("reads").expect("there");
    assert_eq!(now.public.status, SessionStatus::Completed, "to open the page does not begin it anew");
}

#[test]
fn of_two_browsers_one_gets_the_page() {
    let scene = Scene::new();
    scene.register(acme("api.acme.test"), false).expect("registers");
    let mut one = start(&scene, "acme");
    let mut other = one.clone();
    assert!(scene.broker.bind_browser(&mut one, "one").expect("works"));
    assert!(!scene.broker.bind_browser(&mut other, "other").expect("works"), "it did not know of the first");
    assert!(scene.broker.bind_browser(&mut one, "one").expect("works"), "again");
}

#[test]
fn a_field_left_empty_is_not_given() {
    let scene = Scene::new();
    let mut definition = acme("api.acme.test");
    definition["fields"] = serde_json::json!([
        {"name": "region", "default": "eu"}, {"name": "account", "optional": true}, {"name": "user"},
    ]);
    scene.register(definition, false).expect("registers");
    let page = scene.broker.input_page(&start(&scene, "acme"), HERE).expect("a page");
    let required: Vec<_> = page.fields.iter().map(|field| (field.name.as_str(), field.required)).collect();
    assert_eq!(required, [("region", false), ("account", false), ("user", true), ("api_key", true)]);
    let send = |user: &str| {
        let form = [("region", ""), ("account", " "), ("user", user), ("api_url", ""), ("api_key", "ak_1")];
        scene.broker.submit(start(&scene, "acme"), values(&form).into(), HERE)
    };
    assert!(matches!(send(""), Err(AuthsomeError::CredentialMissing { .. })));
    assert_eq!(send("me").expect("connects").status, SessionStatus::Completed);
    let record = scene.broker.connection(&admin(), "acme", "default").expect("there");
    assert_eq!(record.credentials["region"].expose(), "eu");
    assert!(!record.credentials.contains_key("account"));
    assert_eq!(record.api_url, None);
}
