//! What others do to a connection while its token is refreshed.

use super::*;

/// A scene whose endpoint lets `meanwhile` happen before it answers, once.
fn during(
    answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    meanwhile: impl Fn(&Scene) + Send + Sync,
) -> (Scene, Arc<Endpoint>, Result<String>) {
    let (entered, called) = std::sync::mpsc::channel();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let left = Mutex::new(left);
    let endpoint = Endpoint::new(move |spent| {
        if entered.send(()).is_ok() {
            let _ = left.lock().expect("no panic inside").recv_timeout(PATIENCE);
        }
        answer(spent)
    });
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    let result = std::thread::scope(|scope| {
        let pilot = scope.spawn(|| scene.resolve());
        called.recv().expect("a call");
        meanwhile(&scene);
        leave.send(()).expect("the endpoint waits");
        pilot.join().expect("no panic inside")
    });
    (scene, endpoint, result)
}

fn log_out(scene: &Scene) {
    scene.broker.logout(&admin(), &admin().vault_id, "acme", "default").expect("logs out");
}

fn log_in_anew(scene: &Scene) {
    scene.store(|record| {
        record.access_token = Some(Secret::new("at-login".to_owned()));
        record.refresh_token = Some(Secret::new("rt-login".to_owned()));
        record.expires_at = Some(scene.clock.now().plus_seconds(3600));
    });
}

#[test]
fn a_logout_counts_for_both_outcomes() {
    for answer in [rotate as fn(&str) -> Answer, |_| refused("invalid_grant")] {
        let (scene, _, result) = during(answer, log_out);
        assert!(matches!(result, Err(AuthsomeError::ConnectionNotFound { .. })), "{result:?}");
        assert!(scene.broker.find(&admin().vault_id, "acme", "default").expect("reads").is_none());
        let leases = scene.broker.vault.list(keys::REFRESH_LEASES).expect("lists");
        assert!(leases.is_empty(), "{leases:?}");
    }
}

#[test]
fn a_login_counts_for_both_outcomes() {
    for answer in [rotate as fn(&str) -> Answer, |_| refused("invalid_grant"), |_| unreachable()] {
        let (scene, endpoint, result) = during(answer, log_in_anew);
        assert_eq!(result.expect("the new login"), "at-login");
        assert_eq!(scene.refresh_token(), "rt-login");
        assert_eq!(scene.failure(), None);
        assert!(!scene.has_lease());
        assert_eq!(endpoint.spent(), ["rt-1"]);
    }
}

/// Between the last look at the record and the write of what the server answered.
#[test]
fn a_login_in_the_last_moment_counts_for_both_outcomes() {
    for answer in [rotate as fn(&str) -> Answer, |_| refused("invalid_grant"), |_| unreachable()] {
        let (scene, endpoint, result) = during(answer, |scene| {
            let (other, mut record) = (scene.neighbour(&Endpoint::new(rotate)), scene.record());
            record.access_token = Some(Secret::new("at-login".to_owned()));
            record.refresh_token = Some(Secret::new("rt-login".to_owned()));
            record.expires_at = Some(scene.clock.now().plus_seconds(3600));
            let key = keys::connection(&record.vault_id, "acme", "default");
            let log_in = move || other.vault.put(&key, record.to_sealable_json().expose_bytes()).expect("puts");
            *scene.disk.before_lease.lock().expect("no panic inside") = Some(Box::new(log_in));
        });
        assert_eq!(result.expect("the new login"), "at-login");
        assert_eq!((scene.refresh_token().as_str(), scene.failure()), ("rt-login", None));
        assert!(!scene.has_lease());
        assert_eq!(endpoint.spent(), ["rt-1"]);
    }
}

/// Some servers give one account and client the same refresh token for ever.
#[test]
fn a_login_with_the_same_refresh_token_counts_as_well() {
    let same: fn(&str) -> Answer = |_| Ok(tokens("at-2", None, Some(3600)));
    for answer in [same, |_| refused("invalid_grant"), |_| unreachable()] {
        let (scene, _, result) = during(answer, |scene| {
            scene.store(|record| {
                record.access_token = Some(Secret::new("at-login".to_owned()));
                record.obtained_at = Some(scene.clock.now());
                record.expires_at = Some(scene.clock.now().plus_seconds(3600));
            });
        });
        assert_eq!(result.expect("the new login"), "at-login");
        assert_eq!((scene.resolve().expect("stays").as_str(), scene.failure()), ("at-login", None));
        assert!(!scene.has_lease());
    }
    // But a refresh token that comes for one that is spent is never dropped.
    let (scene, _, result) = during(rotate, |scene| {
        scene.store(|record| record.obtained_at = Some(scene.clock.now()));
    });
    assert_eq!((result.expect("resolves").as_str(), scene.refresh_token().as_str()), ("at-2", "rt-2"));
}

#[test]
fn a_logout_and_a_login_count() {
    let (scene, _, result) = during(rotate, |scene| {
        log_out(scene);
        log_in_anew(scene);
    });
    assert_eq!(result.expect("the new login"), "at-login");
    assert_eq!(scene.refresh_token(), "rt-login");
}

/// `acme` somewhere else, and a login there.
fn log_in_elsewhere(broker: &Broker, mut record: ConnectionRecord) {
    let mut moved = acme();
    moved["api_url"] = "api.elsewhere.test".into();
    moved["oauth"]["token_url"] = "https://auth.elsewhere.test/token".into();
    let moved: ProviderDefinition = serde_json::from_value(moved).expect("a definition");
    broker.register(&admin(), moved, true, ValidateOptions::default()).expect("registers");
    record.access_token = Some(Secret::new("at-elsewhere".to_owned()));
    record.refresh_token = Some(Secret::new("rt-elsewhere".to_owned()));
    let noted = broker.noted(&admin(), event("provider.login", "acme", None));
    broker.store_new(&broker.entry("acme").expect("registered"), record, &noted).expect("stores");
}

#[test]
fn tokens_of_another_server_are_neither_sent_nor_spent_where_the_caller_thinks() {
    let (scene, _, result) = during(rotate, |scene| {
        let expires_at = Some(scene.clock.now().plus_seconds(3600));
        log_in_elsewhere(&scene.broker, ConnectionRecord { expires_at, ..scene.record() });
    });
    assert!(matches!(result, Err(AuthsomeError::OperationNotAllowed { .. })), "{result:?}");
    assert_eq!(scene.refresh_token(), "rt-elsewhere");

    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    let (other, record) = (scene.neighbour(&endpoint), scene.log_in(-1));
    *scene.disk.before_lease.lock().expect("no panic inside") =
        Some(Box::new(move || log_in_elsewhere(&other, record)));
    assert!(scene.resolve().is_err());
    assert!(endpoint.spent().is_empty(), "{:?}", endpoint.spent());
    assert_eq!(scene.refresh_token(), "rt-elsewhere");
}

#[test]
fn other_changes_of_the_record_are_kept() {
    let label = |scene: &Scene| {
        let (mut record, _) = scene.broker.find(&admin().vault_id, "acme", "default").expect("reads").expect("there");
        record.metadata.insert("note".to_owned(), "mine".into());
        record.extra.insert("later".to_owned(), 1.into());
        let key = keys::connection(&record.vault_id, "acme", "default");
        scene.broker.vault.put(&key, record.to_sealable_json().expose_bytes()).expect("puts");
        scene.broker.rebind(&admin(), "acme", "default").expect("rebinds");
    };
    let (scene, _, result) = during(rotate, label);
    assert_eq!(result.expect("resolves"), "at-2");
    let record = scene.record();
    assert_eq!((&record.metadata["note"], &record.extra["later"]), (&json!("mine"), &json!(1)));
    assert_eq!(record.refresh_token.expect("a token").expose(), "rt-2");

    let (scene, _, result) = during(|_| unreachable(), label);
    assert!(result.is_err());
    assert_eq!(scene.record().metadata["note"], "mine");
    assert_eq!(scene.failure().expect("remembered").count, 1);
}

#[test]
fn what_was_revoked_meanwhile_stays_revoked() {
    let revoke = |scene: &Scene| {
        let mut record = scene.record();
        record.status = ConnectionStatus::Revoked;
        let key = keys::connection(&record.vault_id, "acme", "default");
        scene.broker.vault.put(&key, record.to_sealable_json().expose_bytes()).expect("puts");
    };
    for answer in [rotate as fn(&str) -> Answer, |_| unreachable()] {
        let (scene, _, result) = during(answer, revoke);
        assert!(result.is_err(), "{result:?}");
        assert_eq!(scene.record().status, ConnectionStatus::Revoked);
    }
}

#[test]
fn the_answer_says_what_changes_in_the_record() {
    let endpoint = Endpoint::new(|_| {
        let mut new = tokens("at-2", None, None);
        new.token_type = None;
        new.scopes = Some(vec!["less".to_owned()]);
        new.account.label = Some("Ada".to_owned());
        Ok(new)
    });
    let scene = Scene::new(&endpoint);
    scene.store(|record| {
        record.expires_at = Some(scene.clock.now());
        record.token_type = Some("bearer".to_owned());
        record.scopes = Some(vec!["much".to_owned(), "more".to_owned()]);
        record.account.id = Some("7".to_owned());
    });
    assert_eq!(scene.resolve().expect("resolves"), "at-2");
    let record = scene.record();
    assert_eq!(record.refresh_token.expect("kept").expose(), "rt-1", "none in the answer: the old one stays");
    assert_eq!(record.expires_at, None, "none in the answer: the old end is over");
    assert_eq!(record.token_type.as_deref(), Some("bearer"));
    assert_eq!(record.scopes, Some(vec!["less".to_owned()]));
    assert_eq!((record.account.id.as_deref(), record.account.label.as_deref()), (Some("7"), Some("Ada")));
    assert!(record.obtained_at.expect("a time") > scene.clock.now().plus_seconds(-60));
    assert_eq!(scene.events("provider.refreshed")[0].metadata["rotated"], false);
    assert_eq!(scene.resolve().expect("without an end it is fresh"), "at-2");
    assert_eq!(endpoint.spent().len(), 1);
}

#[test]
fn a_life_of_nothing_is_an_unknown_one() {
    let endpoint = Endpoint::new(|_| Ok(tokens("at-2", None, Some(0))));
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    for _ in 0..3 {
        assert_eq!(scene.resolve().expect("resolves"), "at-2");
    }
    assert_eq!(endpoint.spent().len(), 1, "else there would be a refresh at each request");
}

#[test]
fn a_global_connection_is_refreshed_in_the_vault_of_its_owner() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    scene.broker.set_global(&admin(), "acme", "default").expect("sets");
    let bob = actor("bob", Role::User);
    let resolved = scene.broker.resolve(&bob, "acme", None, Demand::Use).expect("resolves");
    assert_eq!((resolved.headers["Authorization"].expose(), resolved.source.as_str()), ("Bearer at-2", "global"));
    assert_eq!(scene.refresh_token(), "rt-2");
    let noted = &scene.events("provider.refreshed")[0];
    assert_eq!(noted.principal_id.as_deref(), Some("principal_ada"), "it is her connection");
    assert_eq!((noted.identity.as_deref(), &noted.metadata["caller"]), (None, &json!("bob-agent")));
}

#[test]
fn a_run_gets_only_what_is_fresh_and_waits_for_nothing() {
    let endpoint = Endpoint::new(|_| panic!("nobody may be asked"));
    let scene = Scene::new(&endpoint);
    let injects = || {
        let request =
            RunRequest { scope: Scope::Connected, providers: None, connections: std::collections::BTreeMap::new() };
        scene.broker.run_plan(&admin(), &request).expect("plans").routes[0].inject.is_some()
    };
    for (left, expected) in [(3000, true), (100, false), (-1, false)] {
        scene.log_in(left);
        assert_eq!(injects(), expected, "{left} s left");
    }
}
