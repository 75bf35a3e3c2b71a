//! What does not work, and what the caller gets then.

use super::*;
use crate::limits::NEAR_EXPIRY_SECONDS;
use crate::model::Fingerprint;

fn message(result: Result<String>) -> String {
    let error = result.expect_err("refused");
    assert!(matches!(error, AuthsomeError::RefreshFailed { .. }), "{error}");
    error.message()
}

#[test]
fn the_old_token_serves_while_it_is_valid_whatever_the_endpoint_says() {
    for answer in [
        || refused("invalid_grant"),
        || refused("invalid_client"),
        unreachable,
        || overloaded(None),
        || overloaded(Some(9)),
    ] {
        let endpoint = Endpoint::new(move |_| answer());
        let scene = Scene::new(&endpoint);
        scene.log_in(NEAR_EXPIRY_SECONDS - 1);
        assert_eq!(scene.resolve().expect("the old one"), "at-1");
        let record = scene.record();
        assert_eq!(record.status, ConnectionStatus::Connected);
        assert_eq!(record.refresh_token.expect("kept").expose(), "rt-1");
        let noted = &scene.events("provider.refresh_failed")[0];
        assert_eq!(noted.status.as_deref(), Some("failure"));
        assert_eq!(noted.metadata["fallback_available"], true);
        assert!(!noted.metadata["reason"].as_str().expect("why").contains("rt-1"));
        assert!(!scene.has_lease());
    }
}

#[test]
fn without_a_valid_token_the_connection_is_expired_until_a_refresh_works() {
    let is_up = Arc::new(AtomicBool::new(false));
    let endpoint = Endpoint::new({
        let is_up = Arc::clone(&is_up);
        move |spent| if is_up.load(Ordering::SeqCst) { rotate(spent) } else { overloaded(None) }
    });
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    assert_eq!(message(scene.resolve()), "Token refresh failed: auth.acme.test answered with status 503");
    assert_eq!(scene.record().status, ConnectionStatus::Expired);
    assert_eq!(scene.events("provider.refresh_failed")[0].metadata["fallback_available"], false);
    is_up.store(true, Ordering::SeqCst);
    assert_eq!(scene.resolve().expect("it heals"), "at-2");
    let record = scene.record();
    assert_eq!(record.status, ConnectionStatus::Connected);
    assert_eq!(Memory::of(&record), Memory { refreshed: true, failure: None });
}

#[test]
fn a_dead_refresh_token_is_remembered() {
    let endpoint = Endpoint::new(|_| refused("invalid_grant"));
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    assert_eq!(message(scene.resolve()), "Token refresh failed: invalid_grant");
    let record = scene.record();
    assert_eq!(record.status, ConnectionStatus::Expired);
    assert_eq!(Memory::of(&record).failure.expect("remembered").reason, "invalid_grant");
}

#[test]
fn from_the_second_failure_on_there_is_a_pause_that_grows() {
    let endpoint = Endpoint::new(|_| unreachable());
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    for expected in [1, 2] {
        message(scene.resolve());
        assert_eq!(endpoint.spent().len(), expected, "the first one has no pause");
    }
    let mut last = 0;
    for count in 3..9 {
        let wait = scene.failure().expect("remembered").wait_ms;
        assert!(wait > last || wait >= 45_000, "{wait} after {last}");
        last = wait;
        assert!(message(scene.resolve()).contains("; next try in "), "the remembered reason");
        assert_eq!(endpoint.spent().len(), count - 1, "no call during the pause");
        scene.clock.test_only_advance(61);
        message(scene.resolve());
        assert_eq!(endpoint.spent().len(), count, "one after it");
    }
    assert_eq!(scene.failure().expect("remembered").count, 8);
    assert_eq!(scene.events("provider.refresh_failed").len(), 8, "a refusal during a pause is not an event");
    scene.log_in(-1);
    assert_eq!(scene.failure(), None, "a login ends it");
    message(scene.resolve());
    assert_eq!(endpoint.spent().len(), 9);
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it() {
    let endpoint = Endpoint::new(|_| overloaded(Some(1000)));
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    message(scene.resolve());
    assert!(message(scene.resolve()).ends_with("answered with status 503; next try in 1000 s"));
    scene.clock.test_only_advance(998);
    assert!(message(scene.resolve()).contains("next try in "));
    assert_eq!(endpoint.spent().len(), 1);
    scene.clock.test_only_advance(3);
    message(scene.resolve());
    assert_eq!(endpoint.spent().len(), 2);
}

#[test]
fn a_pause_survives_a_restart() {
    let endpoint = Endpoint::new(|_| overloaded(Some(1000)));
    let scene = Scene::new(&endpoint);
    scene.log_in(100);
    assert_eq!(scene.resolve().expect("the old one"), "at-1");
    let other = scene.neighbour(&endpoint);
    assert_eq!(resolve(&other, Demand::Use).expect("the old one"), "at-1");
    assert_eq!(endpoint.spent().len(), 1);
}

#[test]
fn without_a_refresh_token_a_token_serves_to_its_end() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    let store = |left| {
        scene.store(|record| {
            record.refresh_token = None;
            record.expires_at = Some(scene.clock.now().plus_seconds(left));
        })
    };
    store(10);
    assert_eq!(scene.resolve().expect("still valid"), "at-1");
    assert_eq!(scene.resolve_rejected().expect("there is nothing to refresh it with"), "at-1");
    store(-1);
    assert!(matches!(scene.resolve(), Err(AuthsomeError::TokenExpired { .. })));
    assert_eq!(scene.record().status, ConnectionStatus::Expired);
    assert!(endpoint.spent().is_empty());
}

#[test]
fn a_client_that_is_gone_is_named_as_the_reason() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    scene.log_in(100);
    scene.broker.vault.delete(&keys::client("acme")).expect("deletes");
    assert_eq!(scene.resolve().expect("still valid"), "at-1");
    scene.log_in(-1);
    assert!(message(scene.resolve()).contains("the OAuth client of 'acme' is not stored any more"));
    assert!(endpoint.spent().is_empty());
}

#[test]
fn a_definition_without_a_token_endpoint_is_named_as_the_reason() {
    let endpoint = Endpoint::new(rotate);
    let mut scene = Scene::new(&endpoint);
    scene.broker.refresher.endpoint = None;
    let mut definition = acme();
    definition["flow"] = "dcr_pkce".into(); // only this flow may find its endpoints elsewhere
    definition["registration"] = json!({"registration_endpoint": "https://auth.acme.test/register"});
    definition["oauth"] = json!({"base_url": "https://auth.acme.test", "supports_dcr": true});
    let definition: ProviderDefinition = serde_json::from_value(definition).expect("a definition");
    scene.broker.register(&admin(), definition, true, ValidateOptions::default()).expect("registers");
    scene.log_in(-1);
    assert_eq!(message(scene.resolve()), "Token refresh failed: the provider has no token endpoint");
}

#[test]
fn an_upstream_that_refuses_every_token_does_not_cause_a_refresh_at_each_request() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    scene.log_in(3000);
    assert_eq!(scene.resolve_rejected().expect("resolves"), "at-2");
    for _ in 0..5 {
        assert_eq!(scene.resolve_rejected().expect("resolves"), "at-2", "it is new");
    }
    assert_eq!(endpoint.spent().len(), 1);
    scene.clock.test_only_advance(121);
    assert_eq!(scene.resolve_rejected().expect("resolves"), "at-3");
    assert_eq!(scene.resolve().expect("resolves"), "at-3");
}

#[test]
fn a_refused_token_that_was_replaced_meanwhile_is_not_refreshed_again() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    let stale = scene.log_in(3000);
    scene.store(|record| record.access_token = Some(Secret::new("at-7".to_owned())));
    let entry = scene.broker.entry("acme").expect("registered");
    let found = scene.broker.up_to_date(&admin(), &entry, stale, Demand::Rejected).expect("the newer one");
    assert_eq!(found.access_token.expect("a token").expose(), "at-7");
    assert!(endpoint.spent().is_empty());
}

#[test]
fn whoever_says_which_token_was_refused_gets_the_next_one_at_once() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    scene.log_in(3000);
    scene.store(|record| record.obtained_at = Some(scene.clock.now()));
    let ask = |demand| scene.broker.resolve(&admin(), "acme", None, demand).expect("resolves");
    assert_eq!(scene.resolve_rejected().expect("resolves"), "at-1", "it may not be the one");
    let first = Demand::Refused(Fingerprint::of(&ask(Demand::Use).inject));
    for _ in 0..2 {
        let next = ask(first);
        assert_eq!(next.headers["Authorization"].expose(), "Bearer at-2", "and another run gets the same");
    }
    let second = Demand::Refused(Fingerprint::of(&ask(Demand::Use).inject));
    assert_eq!(ask(second).headers["Authorization"].expose(), "Bearer at-2", "not at each request");
    assert_eq!(endpoint.spent().len(), 1);
}

#[test]
fn a_refused_token_is_the_answer_when_it_cannot_be_refreshed() {
    let endpoint = Endpoint::new(|_| unreachable());
    let scene = Scene::new(&endpoint);
    scene.log_in(3000);
    for _ in 0..4 {
        assert_eq!(scene.resolve_rejected().expect("it may be good elsewhere"), "at-1");
    }
    assert_eq!(endpoint.spent().len(), 2, "then there is a pause");
    assert_eq!(scene.record().status, ConnectionStatus::Connected);
}

#[test]
fn a_token_without_an_end_is_over_when_its_api_and_its_server_both_refuse() {
    let endpoint = Endpoint::new(|_| refused("invalid_grant"));
    let scene = Scene::new(&endpoint);
    scene.log_in(3000);
    assert_eq!(scene.resolve_rejected().expect("its end is known, and not yet"), "at-1");
    assert_eq!(scene.record().status, ConnectionStatus::Connected);
    scene.store(|record| record.expires_at = None);
    assert_eq!(scene.resolve().expect("nobody has refused it"), "at-1");
    assert_eq!(message(scene.resolve_rejected()), "Token refresh failed: invalid_grant");
    assert_eq!(scene.record().status, ConnectionStatus::Expired);
    let noted = scene.events("provider.refresh_failed");
    let fallbacks: Vec<_> = noted.iter().map(|entry| entry.metadata["fallback_available"].clone()).collect();
    assert_eq!(fallbacks, [json!(false), json!(true)]);
}

#[test]
fn a_caller_with_an_old_record_marks_no_new_one_as_expired() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    let stale = scene.store(|record| {
        record.refresh_token = None;
        record.expires_at = Some(scene.clock.now());
    });
    scene.log_in(3000);
    let entry = scene.broker.entry("acme").expect("registered");
    let error = scene.broker.up_to_date(&admin(), &entry, stale, Demand::Use).expect_err("it is over");
    assert!(matches!(error, AuthsomeError::TokenExpired { .. }), "{error}");
    assert_eq!(scene.record().status, ConnectionStatus::Connected);
}
