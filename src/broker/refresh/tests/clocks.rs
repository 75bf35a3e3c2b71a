//! Clocks that are set, by a day and in both directions.

use super::*;

const DAY: i64 = 86_400;

#[test]
fn a_clock_that_goes_ahead_and_back_costs_one_refresh_each() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    scene.log_in(3000);
    assert_eq!(scene.resolve().expect("fresh"), "at-1");
    scene.clock.test_only_advance(DAY);
    assert_eq!(scene.resolve().expect("it looks expired"), "at-2");
    assert_eq!(scene.resolve().expect("fresh"), "at-2");
    scene.clock.test_only_advance(-DAY);
    assert_eq!(scene.resolve().expect("it comes from tomorrow"), "at-3");
    assert_eq!(scene.resolve().expect("fresh"), "at-3");
    let left = scene.record().expires_at.expect("an end").unix() - scene.clock.now().unix();
    assert!((3500..=3600).contains(&left), "{left}");
}

#[test]
fn a_clock_that_goes_back_does_not_make_a_token_last() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    scene.store(|record| {
        record.obtained_at = Some(scene.clock.now());
        record.expires_at = Some(scene.clock.now().plus_seconds(3600));
    });
    scene.clock.test_only_advance(-DAY);
    assert_eq!(scene.resolve().expect("resolves"), "at-2");
    assert_eq!(scene.resolve().expect("resolves"), "at-2");
    assert_eq!(endpoint.spent().len(), 1);
}

#[test]
fn a_clock_that_is_set_during_the_call_does_not_make_a_token_last() {
    for jump in [DAY, -DAY] {
        let clock = Clock::system();
        let endpoint = Endpoint::new({
            let clock = clock.clone();
            move |spent| {
                clock.test_only_advance(jump);
                rotate(spent)
            }
        });
        let store = open_in_memory(clock.clone()).expect("a store");
        let scene = Scene::over(store, clock, Arc::new(MasterKey::generate()), &endpoint);
        scene.log_in(-1);
        assert_eq!(scene.resolve().expect("resolves"), "at-2");
        let left = scene.record().expires_at.expect("an end").unix() - scene.clock.now().unix();
        assert!((3500..=3600).contains(&left), "{left} after a jump of {jump}");
        assert!(!scene.has_lease());
        assert!(scene.events("provider.refresh_failed").is_empty());
    }
}

#[test]
fn a_pause_ends_when_the_clock_is_set() {
    for jump in [DAY, -DAY] {
        let endpoint = Endpoint::new(|_| overloaded(Some(3600)));
        let scene = Scene::new(&endpoint);
        scene.store(|record| record.access_token = None);
        scene.resolve().expect_err("no token");
        scene.resolve().expect_err("a pause");
        assert_eq!(endpoint.spent().len(), 1);
        scene.clock.test_only_advance(jump);
        scene.resolve().expect_err("no token");
        assert_eq!(endpoint.spent().len(), 2, "{jump}");
    }
}

#[test]
fn what_looked_expired_only_to_a_wrong_clock_is_used_again() {
    let endpoint = Endpoint::new(|_| unreachable());
    let scene = Scene::new(&endpoint);
    scene.log_in(3000);
    scene.clock.test_only_advance(DAY);
    scene.resolve().expect_err("it looks expired");
    assert_eq!(scene.record().status, ConnectionStatus::Expired);
    scene.clock.test_only_advance(-DAY);
    assert_eq!(scene.resolve().expect("it is not"), "at-1");
}

#[test]
fn a_short_token_is_refreshed_after_half_its_life() {
    let endpoint = Endpoint::new(|spent| rotate(spent).map(|new| Tokens { lifetime_seconds: Some(60), ..new }));
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    for _ in 0..3 {
        assert_eq!(scene.resolve().expect("resolves"), "at-2");
    }
    scene.clock.test_only_advance(20); // the real clock runs as well
    assert_eq!(scene.resolve().expect("resolves"), "at-2");
    scene.clock.test_only_advance(11);
    assert_eq!(scene.resolve().expect("resolves"), "at-3");
    assert_eq!(endpoint.spent().len(), 2);
}

/// A run keeps a token for a minute, and tells of a refusal at its next request. Here each refresh ends the token before
/// it, as it does at many servers.
#[test]
fn runs_do_not_refresh_a_token_from_under_each_other() {
    let newest = Arc::new(Mutex::new("taken back".to_owned()));
    let endpoint = Endpoint::new({
        let newest = Arc::clone(&newest);
        move |spent| {
            let new = Tokens { lifetime_seconds: None, ..rotate(spent)? };
            new.access_token.expose().clone_into(&mut newest.lock().expect("no panic inside"));
            Ok(new)
        }
    });
    let scene = Scene::new(&endpoint);
    scene.store(|record| record.expires_at = None);
    // Token, since when, whether it was refused.
    let mut runs = [("at-1".to_owned(), 0, false), ("at-1".to_owned(), 0, false), ("at-1".to_owned(), 0, false)];
    for now in (0..600).step_by(10) {
        scene.clock.test_only_advance(10);
        let (token, since, is_refused) = &mut runs[now / 10 % 3];
        if *is_refused || now - *since >= 60 {
            let demand = if *is_refused { Demand::Rejected } else { Demand::Use };
            (*token, *since) = (resolve(&scene.broker, demand).expect("resolves"), now);
        }
        *is_refused = *token != *newest.lock().expect("no panic inside");
    }
    assert_eq!(endpoint.spent(), ["rt-1"]);
}
