//! Many callers of one token.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;

/// What `count` threads get, when the endpoint answers only after `is_ready` says so.
fn crowd(count: usize, ask: impl Fn(usize) -> Result<String> + Sync) -> Vec<Result<String>> {
    thread::scope(|scope| {
        let ask = &ask;
        let threads: Vec<_> = (0..count).map(|index| scope.spawn(move || ask(index))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic inside")).collect()
    })
}

/// An endpoint that answers when the test says so, and tells when it is called.
fn held() -> (Arc<Endpoint>, mpsc::Receiver<()>, mpsc::Sender<Answer>) {
    let ((entered, called), (answer, answers)) = (mpsc::channel(), mpsc::channel());
    let answers = Mutex::new(answers);
    let endpoint = Endpoint::new(move |_| {
        entered.send(()).expect("the test listens");
        answers.lock().expect("no panic inside").recv_timeout(PATIENCE).expect("the test answers")
    });
    (endpoint, called, answer)
}

#[test]
fn of_64_callers_of_an_expired_token_one_calls_and_all_get_its_answer() {
    let (endpoint, called, answer) = held();
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    let results = thread::scope(|scope| {
        let callers = scope.spawn(|| crowd(64, |_| scene.resolve()));
        called.recv().expect("a call");
        eventually("all the others wait", || scene.broker.refresher.flights.waiting() == 63);
        assert_eq!(scene.refresh_token(), "rt-1", "nobody has anything before it is stored");
        answer.send(rotate("rt-1")).expect("the endpoint waits");
        callers.join().expect("no panic inside")
    });
    for result in results {
        assert_eq!(result.expect("resolves"), "at-2");
    }
    assert_eq!(endpoint.spent(), ["rt-1"]);
    assert_eq!(scene.refresh_token(), "rt-2");
    assert_eq!(scene.events("provider.refreshed").len(), 1);
    assert!(!scene.has_lease());
}

#[test]
fn a_failure_is_shared_as_well() {
    let (endpoint, called, answer) = held();
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    let results = thread::scope(|scope| {
        let callers = scope.spawn(|| crowd(16, |_| scene.resolve()));
        called.recv().expect("a call");
        eventually("all the others wait", || scene.broker.refresher.flights.waiting() == 15);
        answer.send(unreachable()).expect("the endpoint waits");
        callers.join().expect("no panic inside")
    });
    for result in results {
        let error = result.expect_err("refused");
        assert_eq!(error.to_string(), "[acme] Token refresh failed: cannot reach auth.acme.test: timed out");
    }
    assert_eq!(endpoint.spent().len(), 1);
}

#[test]
fn two_daemons_on_one_store_spend_a_token_once() {
    let (endpoint, called, answer) = held();
    let scene = Scene::new(&endpoint);
    let other = scene.neighbour(&endpoint);
    scene.log_in(-1);
    let results = thread::scope(|scope| {
        let ask = |index| if index % 2 == 0 { scene.resolve() } else { resolve(&other, Demand::Use) };
        let callers = scope.spawn(move || crowd(64, ask));
        called.recv().expect("a call");
        let waiting = || scene.broker.refresher.flights.waiting() + other.refresher.flights.waiting();
        eventually("all but the two pilots wait", || waiting() == 62);
        answer.send(rotate("rt-1")).expect("the endpoint waits");
        callers.join().expect("no panic inside")
    });
    for result in results {
        assert_eq!(result.expect("resolves"), "at-2");
    }
    assert_eq!(endpoint.spent(), ["rt-1"]);
}

#[test]
fn a_token_that_is_still_valid_makes_nobody_wait_but_the_one_who_refreshes_it() {
    let (endpoint, called, answer) = held();
    let scene = Scene::new(&endpoint);
    let other = scene.neighbour(&endpoint);
    scene.log_in(100);
    thread::scope(|scope| {
        let pilot = scope.spawn(|| scene.resolve());
        called.recv().expect("a call");
        for _ in 0..3 {
            assert_eq!(scene.resolve().expect("resolves"), "at-1");
            assert_eq!(resolve(&other, Demand::Use).expect("resolves"), "at-1", "another daemon has the lease");
        }
        answer.send(rotate("rt-1")).expect("the endpoint waits");
        assert_eq!(pilot.join().expect("no panic inside").expect("resolves"), "at-2");
    });
    assert_eq!(scene.resolve().expect("resolves"), "at-2");
    assert_eq!(endpoint.spent(), ["rt-1"]);
}

#[test]
fn a_token_of_the_last_seconds_is_handed_out_when_there_is_no_other() {
    let (endpoint, called, answer) = held();
    let scene = Scene::new(&endpoint);
    for (outcome, expected) in [(unreachable(), "at-1"), (rotate("rt-1"), "at-2")] {
        scene.log_in(9);
        thread::scope(|scope| {
            let pilot = scope.spawn(|| scene.resolve());
            called.recv().expect("a call");
            let passenger = scope.spawn(|| scene.resolve());
            eventually("the other one waits", || scene.broker.refresher.flights.waiting() == 1);
            answer.send(outcome).expect("the endpoint waits");
            for caller in [pilot, passenger] {
                assert_eq!(caller.join().expect("no panic inside").expect("resolves"), expected);
            }
        });
    }
}

#[test]
fn whoever_waits_too_long_looks_again_before_giving_up() {
    let (endpoint, called, answer) = held();
    let mut scene = Scene::new(&endpoint);
    scene.broker.refresher.flights.patience = Duration::ZERO;
    scene.log_in(-1);
    thread::scope(|scope| {
        let pilot = scope.spawn(|| scene.resolve());
        called.recv().expect("a call");
        let error = scene.resolve().expect_err("nothing yet");
        assert!(matches!(error, AuthsomeError::RefreshFailed { .. }), "{error}");
        scene.store(|record| {
            record.access_token = Some(Secret::new("at-login".to_owned()));
            record.refresh_token = Some(Secret::new("rt-login".to_owned()));
            record.expires_at = Some(scene.clock.now().plus_seconds(3600));
        });
        let (actor, stale) = (admin(), scene.record());
        let stale = ConnectionRecord { expires_at: Some(scene.clock.now()), ..stale };
        let entry = scene.broker.entry("acme").expect("registered");
        let found = scene.broker.up_to_date(&actor, &entry, stale, Demand::Use).expect("somebody else was faster");
        assert_eq!(found.access_token.expect("a token").expose(), "at-login");
        answer.send(rotate("rt-1")).expect("the endpoint waits");
        assert_eq!(pilot.join().expect("no panic inside").expect("resolves"), "at-login", "the newer one counts");
    });
}

#[test]
fn beyond_the_seats_nobody_waits() {
    let (endpoint, called, answer) = held();
    let mut scene = Scene::new(&endpoint);
    for (capacity, all) in [(2, 64), (64, 2)] {
        (scene.broker.refresher.flights.capacity, scene.broker.refresher.flights.all) = (capacity, all);
        scene.log_in(-1);
        thread::scope(|scope| {
            let pilot = scope.spawn(|| crowd(3, |_| scene.resolve()));
            called.recv().expect("a call");
            eventually("two wait", || scene.broker.refresher.flights.waiting() == 2);
            assert!(matches!(scene.resolve(), Err(AuthsomeError::RefreshFailed { .. })));
            answer.send(rotate("rt-1")).expect("the endpoint waits");
            for result in pilot.join().expect("no panic inside") {
                assert_eq!(result.expect("resolves"), "at-2");
            }
        });
        assert_eq!(scene.broker.refresher.flights.waiting(), 0, "seats are given back");
        assert_eq!(scene.resolve().expect("resolves"), "at-2");
    }
}

#[test]
fn those_who_wait_for_one_connection_take_no_seat_from_another() {
    let (hung, answers) = (held(), held());
    let (slow, quick) = (Arc::clone(&hung.0), Arc::clone(&answers.0));
    let endpoint =
        Endpoint::new(move |spent| if spent == "rt-1" { (slow.script)(spent) } else { (quick.script)(spent) });
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    scene.store_as(&admin(), "other", |record| {
        record.refresh_token = Some(Secret::new("rt-4".to_owned()));
        record.expires_at = Some(scene.clock.now());
    });
    let other = || {
        let resolved = scene.broker.resolve(&admin(), "acme", Some("other"), Demand::Use)?;
        Ok(resolved.headers["Authorization"].expose().to_owned())
    };
    let waiting = || scene.broker.refresher.flights.waiting();
    let capacity = scene.broker.refresher.flights.capacity;
    thread::scope(|scope| {
        let crowded = scope.spawn(|| crowd(capacity + 1, |_| scene.resolve()));
        hung.1.recv().expect("a call");
        eventually("all seats of the first are taken", || waiting() == capacity);
        let others = scope.spawn(|| crowd(4, |_| other()));
        answers.1.recv().expect("a call");
        eventually("the others wait as well", || waiting() == capacity + 3);
        answers.2.send(rotate("rt-4")).expect("the endpoint waits");
        for result in others.join().expect("no panic inside") {
            assert_eq!(result.expect("resolves"), "Bearer at-5");
        }
        hung.2.send(rotate("rt-1")).expect("the endpoint waits");
        for result in crowded.join().expect("no panic inside") {
            assert_eq!(result.expect("resolves"), "at-2");
        }
    });
}

#[test]
fn one_connection_does_not_wait_for_another() {
    let (endpoint, called, answer) = held();
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    scene.store_as(&admin(), "quick", |record| record.refresh_token = None);
    thread::scope(|scope| {
        let pilot = scope.spawn(|| scene.resolve());
        called.recv().expect("a call");
        let quick = scene.broker.resolve(&admin(), "acme", Some("quick"), Demand::Use).expect("resolves");
        assert_eq!(quick.headers["Authorization"].expose(), "Bearer at-1");
        answer.send(rotate("rt-1")).expect("the endpoint waits");
        pilot.join().expect("no panic inside").expect("resolves");
    });
}

#[test]
fn a_panic_in_a_flight_ends_it_for_all() {
    let (entered, called) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let left = Mutex::new(left);
    let endpoint = Endpoint::new(move |_| {
        entered.send(()).expect("the test listens");
        let _ = left.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv_timeout(PATIENCE);
        panic!("on purpose")
    });
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    thread::scope(|scope| {
        let pilot = scope.spawn(|| scene.resolve());
        called.recv().expect("a call");
        let waiter = scope.spawn(|| scene.resolve());
        eventually("one waits", || scene.broker.refresher.flights.waiting() == 1);
        leave.send(()).expect("the endpoint waits");
        assert!(pilot.join().is_err());
        assert!(matches!(waiter.join().expect("no panic here"), Err(AuthsomeError::RefreshFailed { .. })));
    });
    assert!(scene.has_lease(), "nobody knows what came of it");
    drop(leave);
    let again = thread::scope(|scope| scope.spawn(|| scene.resolve()).join().is_err());
    assert!(again, "it is tried again");
    assert_eq!(scene.events("provider.refresh_failed")[0].metadata["interrupted"], true);
}

#[test]
fn an_export_of_everything_is_not_spoiled_by_one_connection() {
    let endpoint = Endpoint::new(|spent| if spent == "rt-9" { refused("invalid_grant") } else { rotate(spent) });
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    scene.store_as(&admin(), "dead", |record| {
        record.refresh_token = Some(Secret::new("rt-9".to_owned()));
        record.expires_at = Some(scene.clock.now());
    });
    scene.store_as(&admin(), "lasting", |record| record.access_token = Some(Secret::new("at-0".to_owned())));
    let output = scene.broker.export(&admin(), None, "default", ExportFormat::Env).expect("exports");
    let output = String::from_utf8_lossy(output.expose_bytes()).into_owned();
    assert_eq!(output, "ACME_TOKEN=at-2\nACME_TOKEN_ACME_LASTING=at-0");
    let error = scene.broker.export(&admin(), Some("acme"), "dead", ExportFormat::Env).expect_err("its own fault");
    assert!(matches!(error, AuthsomeError::RefreshFailed { .. }), "{error}");
}

#[test]
fn an_export_of_everything_refreshes_side_by_side() {
    let called = AtomicUsize::new(0);
    let endpoint = Endpoint::new(move |spent| {
        called.fetch_add(1, Ordering::SeqCst);
        eventually("the other call", || called.load(Ordering::SeqCst) == 2);
        rotate(spent)
    });
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    scene.store_as(&admin(), "other", |record| {
        record.refresh_token = Some(Secret::new("rt-4".to_owned()));
        record.expires_at = Some(scene.clock.now());
    });
    let output = scene.broker.export(&admin(), None, "default", ExportFormat::Env).expect("exports");
    let output = String::from_utf8_lossy(output.expose_bytes()).into_owned();
    assert_eq!(output, "ACME_TOKEN=at-2\nACME_TOKEN_ACME_OTHER=at-5");
}
