//! Refresh through the real daemon and real HTTP: one call for many callers, no token lost, nobody delayed by another.

mod killed;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::oauth::{Grant, Reply};
use crate::harness::{AuthServer, Caller, LiveRun, PATIENCE, Person, World, eventually};
use crate::upstream::Answer;

/// The access token that an answer of the daemon holds.
fn token_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    let value = body["headers"]["Authorization"].as_str().expect("a header");
    value.strip_prefix("Bearer ").expect("a bearer token").to_owned()
}

fn resolve(caller: &Caller<'_>, provider: &str) -> Answer {
    caller.post("/api/credentials/resolve", &json!({"provider": provider}))
}

fn record(caller: &Caller<'_>, name: &str) -> Value {
    caller.get(&format!("/api/connections/demo-oauth/{name}")).json()
}

/// Waits for the end of a token that lives a second.
fn wait_for_the_end_of(caller: &Caller<'_>, name: &str) {
    eventually("the end of a token", || {
        let ends = record(caller, name)["expires_at"].as_str().map(str::to_owned).expect("an end");
        let now = authsome::clock::Clock::system().now();
        (authsome::clock::Timestamp::parse(&ends).expect("a time") <= now).then_some(())
    });
}

/// A world with a login whose token is over.
fn world_with_an_expired_token() -> (World, AuthServer) {
    let (world, server) = AuthServer::world();
    server.set(|knobs| knobs.expires_in = Some(json!(1)));
    AuthServer::connect(&world);
    server.set(|knobs| knobs.expires_in = Some(json!(3600)));
    wait_for_the_end_of(&Caller::active(&world), "default");
    (world, server)
}

fn refreshes(server: &AuthServer) -> usize {
    server.token_requests().iter().filter(|one| one.field("grant_type").as_deref() == Some("refresh_token")).count()
}

#[test]
fn of_64_callers_of_an_expired_token_one_is_heard_at_the_server() {
    let (world, server) = world_with_an_expired_token();
    let held = server.hold();
    let started = AtomicUsize::new(0);
    let answers: Vec<Answer> = thread::scope(|scope| {
        let ask = || {
            let caller = Caller::active(&world);
            started.fetch_add(1, Ordering::SeqCst);
            resolve(&caller, "demo-oauth")
        };
        let callers: Vec<_> = (0..64).map(|_| scope.spawn(ask)).collect();
        held.wait_for(1);
        eventually("all callers", || (started.load(Ordering::SeqCst) == 64).then_some(()));
        drop(held);
        callers.into_iter().map(|caller| caller.join().expect("an answer")).collect()
    });
    let newest = server.newest();
    assert_eq!(newest.grant, Grant::Refresh);
    for answer in &answers {
        assert_eq!(token_of(answer), newest.access);
    }
    assert_eq!((refreshes(&server), server.reuses()), (1, 0));
    let stored = record(&Caller::active(&world), "default");
    assert_eq!(stored["refresh_token"], newest.refresh.expect("it rotates"));
}

#[test]
fn callers_of_a_server_that_hangs_do_not_delay_another_connection() {
    let mut world = World::empty();
    let hung = AuthServer::start(&mut world, &["auth.demo.test"]);
    let other = AuthServer::start(&mut world, &["auth.other.test"]);
    world.start_daemon();
    world.authsome(["onboard", "--yes"]).run().succeeds();
    world.register(&hung.definition(|_| ()));
    world.register(&other.definition(|definition| definition["name"] = "other-oauth".into()));
    let caller = Caller::active(&world);
    for (server, provider) in [(&hung, "demo-oauth"), (&other, "other-oauth")] {
        server.set(|knobs| knobs.expires_in = Some(json!(1)));
        AuthServer::connect_as(&caller, &Person::new(&world), &json!({"provider": provider}));
    }
    wait_for_the_end_of(&caller, "default");
    let held = hung.hold();
    let refused = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (refused, world) = (&refused, &world);
        let ask = move || {
            let answer = resolve(&Caller::active(world), "demo-oauth");
            refused.fetch_add(usize::from(answer.status != 200), Ordering::SeqCst);
            answer
        };
        let callers: Vec<_> = (0..120).map(|_| scope.spawn(ask)).collect();
        held.wait_for(1);
        // One calls, 64 wait, and for the others there is no seat.
        eventually("those without a seat", || (refused.load(Ordering::SeqCst) == 55).then_some(()));
        let started = Instant::now();
        let answer = resolve(&caller, "other-oauth");
        assert_eq!(token_of(&answer), other.newest().access, "with a refresh of its own");
        assert!(started.elapsed() < PATIENCE / 12, "{:?}", started.elapsed());
        assert_eq!(refreshes(&other), 1);
        drop(held);
        let answers: Vec<_> = callers.into_iter().map(|caller| caller.join().expect("an answer")).collect();
        let good = answers.iter().filter(|answer| answer.status == 200).map(token_of);
        assert_eq!(good.filter(|token| *token == hung.newest().access).count(), 65);
        let bad = answers.iter().find(|answer| answer.status != 200).expect("some");
        assert!(bad.text().contains("RefreshFailedError") && bad.text().contains("try again"), "{}", bad.text());
    });
    assert_eq!((refreshes(&hung), hung.reuses()), (1, 0));
}

#[test]
fn tokens_that_come_after_a_logout_are_revoked() {
    let (world, server) = world_with_an_expired_token();
    let caller = Caller::active(&world);
    let held = server.hold();
    thread::scope(|scope| {
        let asked = scope.spawn(|| resolve(&Caller::active(&world), "demo-oauth"));
        held.wait_for(1);
        let answer = caller.post("/api/connections/demo-oauth/default/logout", &json!({}));
        assert_eq!(answer.status, 200, "{}", answer.text());
        drop(held);
        assert_eq!(asked.join().expect("an answer").status, 404);
    });
    let newest = server.newest();
    assert_eq!(newest.grant, Grant::Refresh);
    eventually("the end of the new tokens", || {
        let lives =
            server.lives(&newest.access) || server.refresh_lives(newest.refresh.as_deref().expect("it rotates"));
        (!lives).then_some(())
    });
    assert_eq!(caller.get("/api/connections/demo-oauth/default").status, 404);
}

/// Ten seconds of an upstream that refuses whatever it gets.
#[test]
fn an_upstream_that_refuses_every_token_causes_one_refresh_and_not_one_for_each_request() {
    let (world, server) = AuthServer::world();
    AuthServer::connect(&world);
    let caller = Caller::active(&world);
    let first = server.newest().access;
    let mut asked = 0;
    let next = eventually("a refresh", || {
        asked += 1;
        let answer = caller.post("/api/credentials/resolve", &json!({"provider": "demo-oauth", "rejected": true}));
        Some(token_of(&answer)).filter(|token| *token != first)
    });
    assert!(asked > 1, "a token of a moment ago is not refreshed");
    assert_eq!(next, server.newest().access);
    for _ in 0..3 {
        let answer = caller.post("/api/credentials/resolve", &json!({"provider": "demo-oauth", "rejected": true}));
        assert_eq!(token_of(&answer), next);
    }
    assert_eq!(refreshes(&server), 1);
}

#[test]
fn a_run_whose_token_was_taken_back_gets_another_before_it_notices() {
    let (world, server) = AuthServer::world();
    AuthServer::connect(&world);
    server.guard(&world.api, "/me");
    let other = LiveRun::start(&world, &[]);
    server.kill_access();
    let post = ["curl", "-fsS", "-o", "/dev/null", "-d", "a=b", "https://api.demo.test/me"];
    world.run(post).run().succeeds();
    assert_eq!(other.get("api.demo.test", "/me").status, 200, "it still had the old one");
    assert_eq!(refreshes(&server), 1, "the daemon knows which one was refused");
    let seen = world.api.wait_for("/me", 4);
    let tokens: Vec<_> = seen.iter().map(|one| one.header("authorization").expect("a token")).collect();
    assert!(tokens[0] == tokens[2] && tokens[1] == tokens[3] && tokens[0] != tokens[1], "{tokens:?}");
    assert_eq!((seen[0].body.as_slice(), seen[1].body.as_slice()), (&b"a=b"[..], &b"a=b"[..]));
}

#[test]
fn a_dead_refresh_token_is_told_with_a_way_out() {
    let (world, server) = world_with_an_expired_token();
    server.kill_everything();
    let export = world.authsome(["export", "demo-oauth"]).run().exits(5);
    let export = export.complains("Token refresh failed: invalid_grant").complains("authsome login demo-oauth");
    assert!(export.stdout.is_empty(), "{export}");
    let stored = record(&Caller::active(&world), "default");
    assert_eq!(stored["status"], "expired");
    AuthServer::connect(&world);
    let output = world.authsome(["export", "demo-oauth"]).run().succeeds();
    output.says(&server.newest().access);
}

#[test]
fn an_answer_that_is_lost_on_the_way_is_told_when_its_token_is_missed() {
    let (world, server) = world_with_an_expired_token();
    server.next("/token", Reply::lost());
    let caller = Caller::active(&world);
    let first = resolve(&caller, "demo-oauth");
    assert!(first.status == 400 && first.text().contains("RefreshFailedError"), "{}", first.text());
    let second = resolve(&caller, "demo-oauth").text();
    assert!(second.contains("an earlier refresh got no usable answer"), "{second}");
    assert!(second.contains("log in again"), "{second}");
}
