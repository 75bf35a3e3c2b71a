//! `kill -9` at any moment: nothing that was acknowledged is lost (P4).

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::harness::{World, demo_provider, to_pid};

/// How often the daemon is killed; `scripts/test` sets more.
fn rounds() -> u32 {
    std::env::var("AUTHSOME_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

#[test]
fn crash_loses_nothing_that_was_acknowledged() {
    let world = World::empty();
    world.authsome(["onboard", "--yes"]).run().succeeds();
    world.register(&demo_provider());
    let mut acknowledged = BTreeMap::new();
    for round in 0..rounds() {
        let written = write_while_killing(&world, round, &mut acknowledged);
        for name in written {
            // What was in danger in this round; everything is looked at in the end.
            if let Some(key) = acknowledged.get(&name) {
                assert_eq!(&stored(&world, &name), key, "round {round}");
            }
        }
    }
    for (name, key) in &acknowledged {
        assert_eq!(&stored(&world, name), key, "at the end");
    }
    assert!(!acknowledged.is_empty(), "no write was ever acknowledged");
    world.authsome(["doctor"]).run().succeeds();
}

/// Logs in some times, to new names and over old ones, while the daemon is killed at some moment of it. The next
/// command starts it again. Gives the names that were written to.
fn write_while_killing(world: &World, round: u32, acknowledged: &mut BTreeMap<String, String>) -> Vec<String> {
    world.authsome(["daemon", "start"]).run().succeeds();
    let daemons = world.daemons();
    // Spread over the time that the logins take, some milliseconds each; not a wait for anything.
    let moment = Duration::from_micros(u64::from(round.wrapping_mul(7919) % 60) * 1000 + 500);
    let names: Vec<String> = (0..5).map(|attempt| format!("c{:03}", (round * 3 + attempt) % 100)).collect();
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(moment);
            for pid in daemons {
                kill(to_pid(pid), Signal::SIGKILL).expect("nobody else ends it");
            }
        });
        for (attempt, name) in names.iter().enumerate() {
            let key = format!("key-{round}-{attempt}");
            let login = world.authsome(["login", "demo", "--force", "--key-stdin", "--connection", name]);
            if login.stdin(&key).run().code() == 0 {
                acknowledged.insert(name.clone(), key);
            } else {
                acknowledged.remove(name); // it may or may not have been written; both are right
            }
        }
    });
    names
}

fn stored(world: &World, name: &str) -> String {
    let show = ["connections", "inspect", "demo", "--field", "api_key", "--show-secret", "--connection", name];
    world.authsome(show).run().succeeds().out().trim_end().to_owned()
}
