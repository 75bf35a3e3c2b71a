//! Tokens that expire, at a server that ends the whole grant when a refresh token is spent twice (RFC 9700 4.14.2).

use std::thread;

use authsome::clock::{Clock, Timestamp};

use super::scene::{Scene, whoami};
use crate::harness::authorization_server::Habits;
use crate::harness::eventually;

#[test]
fn many_runs_with_an_expired_token_make_one_refresh() {
    let scene = Scene::new(Habits { first_token: 1, basic: true });
    scene.connect();
    let before = scene.record();
    let old = [&before["access_token"], &before["refresh_token"]].map(|token| token.as_str().expect("a token"));
    // At the server, which counts in whole seconds, and by our own clock.
    let end = Timestamp::parse(before["expires_at"].as_str().expect("a time")).expect("RFC 3339");
    eventually("the end of the first token", || {
        (Clock::system().now() > end && !scene.server.is_active(old[0])).then_some(())
    });

    let world = &scene.world;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| whoami(world));
        }
    });

    // One refresh, whose answer is what is stored and what every run used.
    assert_eq!(scene.server.grants("refresh_token").len(), 1);
    assert_eq!(scene.server.count("refresh_token.consumed"), 1);
    let after = scene.record();
    let new = [&after["access_token"], &after["refresh_token"]].map(|token| token.as_str().expect("a token"));
    assert!(new.iter().all(|token| !old.contains(token)), "rotated");
    assert!(new.iter().all(|token| scene.server.is_active(token)));
    assert!(old.iter().all(|token| !scene.server.is_active(token)));
    let seen = scene.tokens_seen();
    assert!(seen.len() == 4 && seen.iter().all(|token| token == new[0]), "{}", seen.len());
    assert_eq!(scene.server.count("grant.revoked"), 0, "no refresh token was spent twice");
}
