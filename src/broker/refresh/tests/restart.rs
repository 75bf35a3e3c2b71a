//! Leases of daemons that have ended, and of such that have not.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

const INTERRUPTED: &str = "the last refresh was interrupted before its answer was stored, so the authorization server \
                           has probably replaced the token; log in again";

/// A store in a file that goes away with it.
struct File(PathBuf);

impl File {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("authsome-lease-{}", hex(&random_bytes::<8>()))))
    }

    fn open(&self, clock: &Clock) -> Arc<dyn Store> {
        let mut opened = None;
        eventually("the lock of the store", || {
            let result = open_embedded(&self.0.join("store"), clock.clone());
            // Another test's new process has all our descriptors until its exec.
            opened = if matches!(result, Err(StoreError::Locked)) { None } else { Some(result.expect("opens")) };
            opened.is_some()
        });
        opened.expect("opened")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A daemon that was started after another one was killed while it refreshed an expired token.
fn restarted(file: &File, endpoint: &Arc<Endpoint>) -> Scene {
    let (clock, key) = (Clock::system(), Arc::new(MasterKey::generate()));
    let killed = Scene::over(file.open(&clock), clock.clone(), Arc::clone(&key), endpoint);
    killed.log_in(-1);
    killed.leave_lease(&killed.broker);
    drop(killed);
    Scene::over(file.open(&clock), clock, key, endpoint)
}

fn interruptions(scene: &Scene) -> usize {
    scene.events("provider.refresh_failed").iter().filter(|entry| entry.metadata.contains_key("interrupted")).count()
}

#[test]
fn after_a_kill_the_next_daemon_tries_at_once_and_notes_it() {
    let (file, endpoint) = (File::new(), Endpoint::new(rotate));
    let scene = restarted(&file, &endpoint);
    assert_eq!(scene.resolve().expect("the server had not answered yet"), "at-2");
    assert_eq!(interruptions(&scene), 1);
    assert!(!scene.has_lease());
}

#[test]
fn a_lost_answer_is_told_until_the_next_login() {
    let (file, endpoint) = (File::new(), Endpoint::new(|_| refused("invalid_grant")));
    let scene = restarted(&file, &endpoint);
    let error = scene.resolve().expect_err("lost");
    assert_eq!(error.message(), format!("Token refresh failed: {INTERRUPTED} (invalid_grant)"));
    assert_eq!(
        (error.exit_code(), error.hint().as_deref()),
        (5, Some("if it does not pass, run: authsome login acme"))
    );
    assert!(scene.failure().expect("remembered").reason.starts_with(INTERRUPTED));
    assert_eq!(scene.record().status, ConnectionStatus::Expired);
    assert!(scene.resolve().expect_err("again").message().contains(INTERRUPTED), "the second try knows it as well");
    assert_eq!((endpoint.spent().len(), interruptions(&scene)), (2, 1), "it was interrupted once");
    scene.log_in(-1);
    assert_eq!(scene.resolve().expect_err("dead").message(), "Token refresh failed: invalid_grant");
}

#[test]
fn an_answer_that_did_not_come_is_told_as_well() {
    let is_up = Arc::new(AtomicBool::new(false));
    let endpoint = Endpoint::new({
        let is_up = Arc::clone(&is_up);
        move |_| if is_up.load(Ordering::SeqCst) { refused("invalid_grant") } else { unreachable() }
    });
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    let first = scene.resolve().expect_err("no answer").message();
    assert_eq!(first, "Token refresh failed: cannot reach auth.acme.test: timed out");
    is_up.store(true, Ordering::SeqCst);
    let second = scene.resolve().expect_err("dead").message();
    assert!(second.contains("may have replaced the token; log in again (invalid_grant)"), "{second}");
}

#[test]
fn a_lease_of_a_daemon_that_may_live_is_waited_for() {
    let endpoint = Endpoint::new(rotate);
    let mut scene = Scene::new(&endpoint);
    scene.broker.refresher.flights.patience = Duration::from_millis(20);
    let other = scene.neighbour(&endpoint);
    scene.log_in(100);
    scene.leave_lease(&other);
    assert_eq!(scene.resolve().expect("the current one"), "at-1");
    scene.clock.test_only_advance(30);
    let expire = || {
        let mut record = scene.record();
        record.expires_at = record.obtained_at;
        let key = keys::connection(&record.vault_id, "acme", "default");
        scene.broker.vault.put(&key, record.to_sealable_json().expose_bytes()).expect("puts");
    };
    expire();
    let error = scene.resolve().expect_err("not yet");
    assert!(error.message().contains("under way"), "{error}");
    assert!(endpoint.spent().is_empty());
    scene.clock.test_only_advance(16);
    assert_eq!(scene.resolve().expect("its time is over"), "at-2");
    assert_eq!(interruptions(&scene), 1);
    assert!(scene.failure().is_none());
}

#[test]
fn what_another_daemon_has_done_meanwhile_counts() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    let other = scene.neighbour(&endpoint);
    scene.log_in(-1);
    scene.leave_lease(&other);
    let result = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| scene.resolve());
        assert_eq!(resolve(&other, Demand::Use).expect("its own lease is no obstacle"), "at-2");
        waiting.join().expect("no panic inside")
    });
    assert_eq!(result.expect("resolves"), "at-2");
    assert_eq!(endpoint.spent(), ["rt-1"]);
}

#[test]
fn the_record_is_read_again_with_the_lease_in_hand() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    let other = scene.neighbour(&endpoint);
    scene.log_in(-1);
    // All of the other daemon's refresh, between our look at the record and our claim.
    let refresh = move || assert_eq!(resolve(&other, Demand::Use).expect("resolves"), "at-2");
    *scene.disk.before_lease.lock().expect("no panic inside") = Some(Box::new(refresh));
    assert_eq!(scene.resolve().expect("resolves"), "at-2");
    assert_eq!(endpoint.spent(), ["rt-1"]);
    assert!(!scene.has_lease());
}

/// A lease that names another token than the one that is spent would hide that its answer was lost.
#[test]
fn a_lease_names_the_token_that_is_spent() {
    let is_first = AtomicBool::new(true);
    let endpoint = Endpoint::new(move |spent| {
        assert!(!is_first.swap(false, Ordering::SeqCst), "on purpose");
        rotate(spent)
    });
    let scene = Scene::new(&endpoint);
    let (other, mut record) = (scene.neighbour(&endpoint), scene.log_in(-1));
    record.refresh_token = Some(Secret::new("rt-5".to_owned()));
    let key = keys::connection(&record.vault_id, "acme", "default");
    // A login whose token is due at once, between our look at the record and our claim.
    let log_in = move || other.vault.put(&key, record.to_sealable_json().expose_bytes()).expect("puts");
    *scene.disk.before_lease.lock().expect("no panic inside") = Some(Box::new(log_in));
    assert!(std::thread::scope(|scope| scope.spawn(|| scene.resolve()).join().is_err()));
    assert_eq!(scene.resolve().expect("resolves"), "at-6");
    assert_eq!((endpoint.spent(), interruptions(&scene)), (vec!["rt-5".to_owned(), "rt-5".to_owned()], 1));
}

#[test]
fn of_two_claims_at_once_one_counts() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    let other = scene.neighbour(&endpoint);
    let record = scene.log_in(100);
    let entry = scene.broker.entry("acme").expect("registered");
    let claim = move || {
        let actor = admin();
        let task = Task::new(&other, &actor, &entry, &record, Demand::Use);
        assert_eq!(task.claim(&record).expect("claims"), super::super::lease::Claim::Taken { interrupted: false });
    };
    *scene.disk.before_lease.lock().expect("no panic inside") = Some(Box::new(claim));
    assert_eq!(scene.resolve().expect("the current one"), "at-1");
    assert!(endpoint.spent().is_empty());
}

#[test]
fn a_lease_of_the_future_is_over() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    let clock = Clock::system();
    let other = scene.neighbour_at(&clock, &endpoint);
    clock.test_only_advance(86_400);
    scene.log_in(-1);
    scene.leave_lease(&other);
    assert_eq!(scene.resolve().expect("resolves"), "at-2");
}

#[test]
fn a_lease_for_a_token_before_the_last_login_means_nothing() {
    let endpoint = Endpoint::new(|_| refused("invalid_grant"));
    let scene = Scene::new(&endpoint);
    let other = scene.neighbour(&endpoint);
    scene.log_in(-1);
    scene.leave_lease(&other);
    scene.store(|record| {
        record.refresh_token = Some(Secret::new("rt-5".to_owned()));
        record.expires_at = Some(scene.clock.now());
    });
    scene.clock.test_only_advance(60);
    assert_eq!(scene.resolve().expect_err("dead").message(), "Token refresh failed: invalid_grant");
    assert_eq!(interruptions(&scene), 0);
}

#[test]
fn a_logout_takes_a_lease_along() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    scene.leave_lease(&scene.neighbour(&endpoint));
    scene.broker.logout(&admin(), &admin().vault_id, "acme", "default").expect("logs out");
    assert!(scene.broker.vault.list(keys::REFRESH_LEASES).expect("lists").is_empty());
}

#[test]
fn a_lease_that_is_not_readable_is_over() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    let record = scene.log_in(-1);
    let key = keys::refresh_lease(&record.vault_id, "acme", "default");
    scene.broker.vault.put(&key, b"{\"of\":\"another version\"}").expect("puts");
    assert_eq!(scene.resolve().expect("resolves"), "at-2");
    assert!(!scene.has_lease());
}

#[test]
fn a_lease_that_somebody_else_left_is_not_taken_for_our_own() {
    let endpoint = Endpoint::new(rotate);
    let scene = Scene::new(&endpoint);
    scene.log_in(-1);
    scene.disk.is_lying.store(true, Ordering::SeqCst);
    scene.resolve().expect_err("it has our lease, and does not say so");
    scene.disk.is_lying.store(false, Ordering::SeqCst);
    scene.clock.test_only_advance(46);
    let other = scene.neighbour_at(&scene.clock, &endpoint);
    let (actor, record) = (admin(), scene.record());
    let entry = scene.broker.entry("acme").expect("registered");
    let task = Task::new(&other, &actor, &entry, &record, Demand::Use);
    assert!(matches!(task.claim(&record).expect("claims"), super::super::lease::Claim::Taken { .. }));
    let before = interruptions(&scene);
    scene.clock.test_only_advance(46);
    assert_eq!(scene.resolve().expect("resolves"), "at-2");
    assert_eq!(interruptions(&scene), before + 1, "the other daemon may have spent it");
}
