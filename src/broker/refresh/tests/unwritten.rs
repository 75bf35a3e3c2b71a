//! What the store does not take.

use super::*;

/// A scene whose disk is full from the first call of the endpoint on.
fn full_during(answer: impl Fn(&str) -> Answer + Send + Sync + 'static, left: i64) -> (Scene, Arc<Endpoint>) {
    let disk: Arc<Mutex<Option<Arc<Disk>>>> = Arc::default();
    let endpoint = Endpoint::new({
        let disk = Arc::clone(&disk);
        move |spent| {
            if let Some(disk) = disk.lock().expect("no panic inside").take() {
                disk.is_full.store(true, Ordering::SeqCst);
            }
            answer(spent)
        }
    });
    let scene = Scene::new(&endpoint);
    scene.log_in(left);
    *disk.lock().expect("no panic inside") = Some(Arc::clone(&scene.disk));
    (scene, endpoint)
}

fn heal(scene: &Scene) {
    scene.disk.is_full.store(false, Ordering::SeqCst);
}

#[test]
fn new_tokens_that_cannot_be_stored_are_kept_and_stored_first() {
    for left in [-1, 100] {
        let (scene, endpoint) = full_during(rotate, left);
        for _ in 0..3 {
            let error = scene.resolve().expect_err("not stored");
            assert!(matches!(error, AuthsomeError::StoreUnavailable { .. }), "{error}");
            assert!(error.message().contains("no space left on device"), "{error}");
            assert!(error.message().contains("kept in memory until it can be stored"), "{error}");
            assert_eq!(endpoint.spent(), ["rt-1"], "the old token is not spent again");
            assert!(!scene.broker.is_fresh(&scene.record()));
        }
        assert!(scene.resolve_rejected().is_err());
        heal(&scene);
        assert_eq!(scene.resolve().expect("resolves"), "at-2");
        assert_eq!(scene.refresh_token(), "rt-2");
        assert_eq!(endpoint.spent(), ["rt-1"]);
        assert_eq!(scene.events("provider.refreshed").len(), 1);
        assert!(scene.events("provider.refresh_failed").is_empty());
        assert!(!scene.has_lease());
    }
}

#[test]
fn a_token_that_is_good_by_the_clock_is_not_used_while_its_successor_waits() {
    let (scene, endpoint) = full_during(rotate, 3000);
    assert!(matches!(scene.resolve_rejected(), Err(AuthsomeError::StoreUnavailable { .. })));
    assert!(matches!(scene.resolve(), Err(AuthsomeError::StoreUnavailable { .. })));
    heal(&scene);
    assert_eq!(scene.resolve().expect("resolves"), "at-2");
    assert_eq!(endpoint.spent(), ["rt-1"]);
}

#[test]
fn tokens_that_waited_too_long_are_stored_and_then_refreshed() {
    let (scene, endpoint) = full_during(rotate, -1);
    scene.resolve().expect_err("not stored");
    scene.clock.test_only_advance(4000);
    heal(&scene);
    assert_eq!(scene.resolve().expect("resolves"), "at-3");
    assert_eq!(endpoint.spent(), ["rt-1", "rt-2"]);
}

#[test]
fn a_write_that_is_said_to_have_failed_may_have_happened() {
    let (scene, endpoint) = full_during(rotate, -1);
    scene.resolve().expect_err("not stored");
    heal(&scene);
    scene.disk.is_lying.store(true, Ordering::SeqCst);
    scene.resolve().expect_err("stored, but who knows");
    assert_eq!(scene.refresh_token(), "rt-2");
    scene.disk.is_lying.store(false, Ordering::SeqCst);
    assert_eq!(scene.resolve().expect("resolves"), "at-2");
    assert_eq!(endpoint.spent(), ["rt-1"]);
}

#[test]
fn without_a_lease_nothing_is_spent() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    scene.log_in(100);
    scene.disk.is_full.store(true, Ordering::SeqCst);
    assert_eq!(scene.resolve().expect("the current one is valid"), "at-1");
    scene.clock.test_only_advance(101);
    assert!(matches!(scene.resolve(), Err(AuthsomeError::StoreUnavailable { .. })));
    assert!(endpoint.spent().is_empty());
    heal(&scene);
    assert_eq!(scene.resolve().expect("resolves"), "at-2");
    assert!(scene.events("provider.refresh_failed").is_empty());
}

#[test]
fn a_lease_that_was_written_all_the_same_is_no_lost_answer() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    scene.disk.is_lying.store(true, Ordering::SeqCst);
    assert!(matches!(scene.resolve(), Err(AuthsomeError::StoreUnavailable { .. })));
    assert!(scene.has_lease() && endpoint.spent().is_empty());
    scene.disk.is_lying.store(false, Ordering::SeqCst);
    assert_eq!(scene.resolve().expect("resolves"), "at-2");
    assert!(scene.events("provider.refresh_failed").is_empty());
}

#[test]
fn a_failure_that_cannot_be_stored_is_still_told() {
    let (scene, endpoint) = full_during(|_| unreachable(), -1);
    let error = scene.resolve().expect_err("no token");
    assert!(matches!(error, AuthsomeError::RefreshFailed { .. }), "{error}");
    assert!(scene.has_lease(), "it could not be given back");
    heal(&scene);
    scene.resolve().expect_err("no token");
    assert_eq!(endpoint.spent().len(), 2, "our own lease is no obstacle");
    let noted = scene.events("provider.refresh_failed");
    assert_eq!(noted.len(), 1);
    assert!(!noted[0].metadata.contains_key("interrupted"));

    let (scene, _) = full_during(|_| unreachable(), 100);
    assert_eq!(scene.resolve().expect("the current one is valid"), "at-1");
}

#[test]
fn a_logout_ends_what_is_kept() {
    let (scene, endpoint) = full_during(rotate, -1);
    scene.resolve().expect_err("not stored");
    heal(&scene);
    scene.broker.logout(&admin(), &admin().vault_id, "acme", "default").expect("logs out");
    assert!(matches!(scene.resolve(), Err(AuthsomeError::ConnectionNotFound { .. })));
    scene.store(|record| {
        record.access_token = Some(Secret::new("at-login".to_owned()));
        record.refresh_token = Some(Secret::new("rt-login".to_owned()));
    });
    assert_eq!(scene.resolve().expect("the new login"), "at-login");
    assert_eq!(scene.refresh_token(), "rt-login");
    assert_eq!(endpoint.spent(), ["rt-1"]);
}

#[test]
fn what_is_kept_is_stored_without_a_caller() {
    let (scene, endpoint) = full_during(rotate, -1);
    scene.resolve().expect_err("not stored");
    assert!(matches!(scene.broker.save_unsaved(), Err(AuthsomeError::StoreUnavailable { .. })));
    heal(&scene);
    scene.broker.save_unsaved().expect("stores");
    assert_eq!(scene.refresh_token(), "rt-2");
    assert_eq!(scene.resolve().expect("resolves"), "at-2");
    assert_eq!(endpoint.spent(), ["rt-1"]);
    scene.broker.save_unsaved().expect("nothing is left");
}

#[test]
fn the_end_of_a_daemon_waits_for_answers_that_are_due() {
    let (entered, called) = std::sync::mpsc::channel();
    let (answer, answers) = std::sync::mpsc::channel();
    let answers = Mutex::new(answers);
    let endpoint = Endpoint::new(move |_| {
        entered.send(()).expect("the test listens");
        answers.lock().expect("no panic inside").recv_timeout(PATIENCE).expect("the test answers")
    });
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    std::thread::scope(|scope| {
        let pilot = scope.spawn(|| scene.resolve());
        called.recv().expect("a call");
        scene.broker.finish_refreshes(std::time::Duration::ZERO).expect("it does not wait for ever");
        assert_eq!(scene.refresh_token(), "rt-1");
        let end = scope.spawn(|| scene.broker.finish_refreshes(PATIENCE).map(|()| scene.refresh_token()));
        answer.send(rotate("rt-1")).expect("the endpoint waits");
        assert_eq!(end.join().expect("no panic inside").expect("stored"), "rt-2");
        assert_eq!(pilot.join().expect("no panic inside").expect("resolves"), "at-2");
    });
}
