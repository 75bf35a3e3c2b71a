//! `kill -9` in the middle of refreshes: nothing that was acknowledged is lost, and what is lost is told.
//!
//! `AUTHSOME_REFRESH_ROUNDS` says how often the daemon is killed (default 4).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use authsome::secret::random_bytes;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{record, token_of, wait_for_the_end_of};
use crate::harness::{AuthServer, Caller, Person, World};

/// Connections that are refreshed at once.
const NAMES: [&str; 6] = ["c0", "c1", "c2", "c3", "c4", "c5"];

fn rounds() -> u32 {
    std::env::var("AUTHSOME_REFRESH_ROUNDS").map_or(4, |text| text.parse().expect("a number"))
}

/// What the rounds have shown.
#[derive(Debug, Default)]
struct Tally {
    refreshes: usize,
    lost: usize,
    kept: usize,
}

#[test]
fn a_kill_loses_no_acknowledged_token_and_hides_no_loss() {
    let (mut world, server) = AuthServer::world();
    server.set(|knobs| knobs.expires_in = Some(json!(2))); // so that there is always one that is due
    for name in NAMES {
        log_in(&world, name);
    }
    let mut tally = Tally::default();
    for round in 0..rounds() {
        let (before, reuses) = (server.token_requests().len(), server.reuses());
        let acknowledged = refresh_until_killed(&world, &server, before);
        world.daemon_mut().kill();
        assert_eq!(server.reuses(), reuses, "round {round}: a token was spent twice by a daemon that lived");
        tally.refreshes += server.token_requests().len() - before;
        world.start_daemon();
        for name in NAMES {
            check(&world, &server, name, acknowledged.get(name), &mut tally);
        }
    }
    assert!(tally.refreshes > 0 && tally.kept > 0, "{tally:?}");
    // Of so many kills some come after a token was spent; else this test looks at nothing.
    assert!(tally.lost > 0 || rounds() < 20, "{tally:?}");
    world.authsome(["doctor"]).run().succeeds();
}

fn log_in(world: &World, name: &str) {
    let start = json!({"provider": "demo-oauth", "connection": name, "force": true});
    AuthServer::connect_as(&Caller::active(world), &Person::new(world), &start);
}

fn resolve(caller: &Caller<'_>, name: &str) -> std::io::Result<crate::upstream::Answer> {
    let body = json!({"provider": "demo-oauth", "connection": name}).to_string();
    caller.try_call("POST", "/api/credentials/resolve", &body)
}

/// Callers of every connection, until the daemon is killed: some moment after some refresh has reached the server. The
/// last token that each connection gave.
fn refresh_until_killed(world: &World, server: &AuthServer, before: usize) -> BTreeMap<&'static str, String> {
    let acknowledged = Mutex::new(BTreeMap::new());
    let [which, moment @ ..] = random_bytes::<3>();
    // From before the answer is sent to after it is stored: some milliseconds. Not a wait for anything.
    let moment = Duration::from_micros(u64::from(u16::from_le_bytes(moment)) % 8_000);
    thread::scope(|scope| {
        for name in NAMES {
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                let caller = Caller::active(world);
                while let Ok(answer) = resolve(&caller, name) {
                    // A machine under load may take longer to answer than these tokens live.
                    if !answer.text().contains("TokenExpiredError") {
                        acknowledged.lock().expect("no panic inside").insert(name, token_of(&answer));
                    }
                }
            });
        }
        server.wait_for_token_requests(before + 1 + usize::from(which) % NAMES.len());
        thread::sleep(moment);
        world.daemon().signal(Signal::SIGKILL);
    });
    acknowledged.into_inner().expect("no panic inside")
}

/// Holds what is stored against what the server has issued, then has it used.
fn check(world: &World, server: &AuthServer, name: &str, acknowledged: Option<&String>, tally: &mut Tally) {
    let caller = Caller::active(world);
    let stored = record(&caller, name);
    let issued = server.issued();
    let position = |access: &str| issued.iter().position(|one| one.access == access).expect("the server's own");
    let text = |field: &str| stored[field].as_str().unwrap_or_else(|| panic!("no {field}: {stored}")).to_owned();
    let (access, refresh) = (text("access_token"), text("refresh_token"));
    if let Some(acknowledged) = acknowledged {
        assert!(position(&access) >= position(acknowledged), "{name}: an older token than somebody was given");
    }
    assert_eq!(issued[position(&access)].refresh.as_ref(), Some(&refresh), "{name}: two halves of two answers");
    if server.refresh_lives(&refresh) {
        let token = token_of(&resolve(&caller, name).expect("the daemon lives"));
        assert!(server.lives(&token), "{name}: a token that is not good");
        tally.kept += 1;
        return;
    }
    tally.lost += 1;
    wait_for_the_end_of(&caller, name);
    let answer = resolve(&caller, name).expect("the daemon lives");
    let body: Value = answer.json();
    assert_eq!((answer.status, &body["error"]), (400, &json!("RefreshFailedError")), "{name}: {body}");
    assert!(body["message"].as_str().expect("a text").contains("the last refresh was interrupted"), "{body}");
    let export = world.authsome(["export", "demo-oauth", "--connection", name]).run().exits(5);
    export.complains("log in again").complains("authsome login demo-oauth");
    log_in(world, name);
    assert!(server.lives(&token_of(&resolve(&caller, name).expect("the daemon lives"))), "{name}: after a new login");
}
