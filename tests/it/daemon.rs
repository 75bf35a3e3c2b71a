//! The daemon as a process and as an HTTP server that trusts nobody.

use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{KEY, LiveRun, PATIENCE, World, eventually};
use crate::upstream::{Answer, Wire};

/// One request to the daemon, written as given.
fn ask(world: &World, request: impl AsRef<[u8]>) -> Answer {
    let mut wire = dial(world);
    let _ = wire.send(request); // a refusal may come before the end of the request
    wire.answer("GET").expect("an answer")
}

fn dial(world: &World) -> Wire<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", world.daemon().port)).expect("the daemon listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    Wire::new(stream)
}

fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n")
}

#[test]
fn a_daemon_comes_back_to_its_port_unless_somebody_has_it() {
    let mut world = World::empty();
    let mut first = 0;
    // Another test may be given the port in the moment between two daemons, but not each time.
    let comes_back = (0..5).any(|_| {
        first = world.start_daemon().port;
        world.daemon_mut().signal(Signal::SIGTERM);
        world.daemon_mut().wait();
        world.start_daemon().port == first
    });
    assert!(comes_back, "registered redirect addresses go on working");
    world.daemon_mut().kill();
    let _somebody = TcpListener::bind(("127.0.0.1", first)).expect("the port is free");
    assert_ne!(world.start_daemon().port, first);
}

#[test]
fn twenty_first_commands_start_one_daemon() {
    let world = World::empty();
    thread::scope(|scope| {
        let commands: Vec<_> = (0..20).map(|_| scope.spawn(|| world.authsome(["onboard", "--yes"]).run())).collect();
        for command in commands {
            command.join().expect("no panic inside").succeeds();
        }
    });
    assert_eq!(world.daemons().len(), 1);
    world.authsome(["daemon", "stop"]).run().succeeds();
    assert_eq!(world.daemons().len(), 0);
    assert_eq!(world.daemon_json(), None, "a stopped daemon leaves no address behind");
}

#[test]
fn start_stop_restart_status() {
    let world = World::empty();
    world.authsome(["daemon", "start"]).run().succeeds();
    let first = world.daemons();
    world.authsome(["daemon", "start"]).run().succeeds();
    assert_eq!((first.len(), world.daemons()), (1, first.clone()), "it runs already");
    world.authsome(["daemon", "status"]).run().succeeds();
    world.authsome(["daemon", "restart"]).run().succeeds();
    let second = world.daemons();
    assert_eq!(second.len(), 1);
    assert_ne!(second, first);
    world.authsome(["daemon", "stop"]).run().succeeds();
    world.authsome(["daemon", "stop"]).run().succeeds();
    assert_eq!(world.daemons().len(), 0);
}

#[test]
fn a_signal_ends_it_cleanly_with_idle_clients_attached() {
    let mut world = World::onboarded();
    let _idle: Vec<_> = (0..20).map(|_| dial(&world)).collect();
    world.daemon().signal(Signal::SIGTERM);
    assert!(world.daemon_mut().wait().success());
    assert_eq!(world.daemon_json(), None);
    world.start_daemon();
    world.authsome(["whoami"]).run().succeeds();
}

#[test]
fn a_taken_port_is_named() {
    let world = World::empty();
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let ended = world.authsome(["daemon", "serve", "--port", &port]).run();
    assert_ne!(ended.code(), 0, "{ended}");
    ended.complains(&port);
}

#[test]
fn a_second_daemon_of_one_home_is_refused() {
    let world = World::onboarded();
    let ended = world.authsome(["daemon", "serve", "--port", "0"]).run();
    assert_ne!(ended.code(), 0, "{ended}");
    ended.complains("authsome: error: ");
    world.authsome(["whoami"]).run().succeeds();
}

#[test]
fn a_killed_daemon_is_started_again_and_has_lost_nothing() {
    let mut world = World::connected();
    world.daemon_mut().kill();
    let curl = ["curl", "-sS", "https://api.demo.test/v1/echo"];
    world.run(curl).run().succeeds();
    assert_eq!(world.daemons().len(), 1);
    assert_eq!(world.api.only_request().header("authorization"), Some(format!("Bearer {KEY}").as_str()));
}

#[test]
fn a_run_survives_the_death_of_the_daemon() {
    let mut world = World::connected();
    let run = LiveRun::start(&world, &[]);
    assert_eq!(run.get("api.demo.test", "/small").status, 200);
    world.daemon_mut().kill();
    assert_eq!(run.get("api.demo.test", "/small").status, 200, "the credential is still fresh");
    let (code, _) = run.finish();
    assert_eq!(code, Some(0));
}

#[test]
fn health_is_open_and_the_rest_is_not() {
    let world = World::onboarded();
    for path in ["/health", "/api/health"] {
        let health = ask(&world, get(path, "")).json();
        assert_eq!(health["status"], "ok");
        assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    }
    let cases = [
        ("/api/whoami", "", 401),
        ("/api/connections", "", 401),
        ("/api/connections", "Authorization: Bearer x\r\n", 401),
        ("/api/connections", "Authorization: PoP x.y.z\r\n", 401),
        ("/api/ready", "Cookie: authsome_ui_session=x\r\n", 401),
        ("/api/nowhere", "", 404),
        ("/api/credentials/resolve", "", 405),
        ("/health", "Host: evil.test\r\n", 400),
    ];
    for (path, lines, status) in cases {
        let answer = ask(&world, get(path, lines));
        assert_eq!(answer.status, status, "{path} {lines}: {answer:?}");
        assert!(answer.json()["detail"].is_string(), "{path}: {}", answer.text());
    }
    assert_eq!(ask(&world, get("/api/nowhere", "")).json(), json!({"detail": "Not Found"}));
}

#[test]
fn pages_of_other_sites_are_turned_away() {
    let world = World::onboarded();
    let foreign = "GET /health HTTP/1.1\r\nHost: rebound.test\r\nConnection: close\r\n\r\n";
    let answer = ask(&world, foreign);
    assert!((400..500).contains(&answer.status), "{answer:?}");
    let form = "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.test\r\nConnection: close\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b";
    let answer = ask(&world, form);
    assert!((400..500).contains(&answer.status), "{answer:?}");
}

#[test]
fn a_proof_is_good_once_and_for_one_request() {
    let world = World::connected();
    let pop = |words: &[&str]| world.authsome(["pop"]).args(words).run().succeeds().out().trim().to_owned();
    let line = pop(&["GET", "/api/connections"]);
    assert!(line.starts_with("Authorization: PoP "), "{line}");
    let line = format!("{line}\r\n");
    assert_eq!(ask(&world, get("/api/whoami", &line)).status, 401, "another path");
    let good = ask(&world, get("/api/connections", &line));
    assert_eq!(good.status, 200, "{}", good.text());
    assert!(!good.text().contains(KEY));
    let replayed = ask(&world, get("/api/connections", &line));
    assert_eq!((replayed.status, &replayed.json()["detail"]), (401, &json!("Proof JWT was already used")));

    // As a person types it.
    let script = r#"curl -sS -f -H "$("$0" pop GET /api/whoami)" "$1/api/whoami""#;
    let url = format!("http://127.0.0.1:{}", world.daemon().port);
    let curl = world.command("sh").args(["-c", script]).arg(world.program()).arg(url);
    assert_eq!(curl.run().succeeds().json()["account_email"], "owner@localhost");
}

#[test]
fn what_breaks_tiny_http_does_not_break_us() {
    let world = World::onboarded();
    let post = |lines: &str| format!("POST /api/run HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
    let cases = [
        ("an endless request line", format!("GET /{}", "a".repeat(200_000)), vec![431]),
        ("five thousand fields", get("/health", &"X-A: 1\r\n".repeat(5000)), vec![431]),
        ("a huge field", get("/health", &format!("X-A: {}\r\n", "a".repeat(1 << 20))), vec![431]),
        ("bare LF", "GET /health HTTP/1.1\nHost: localhost\n\n".to_owned(), vec![400]),
        ("HTTP/2.0", "GET /health HTTP/2.0\r\nHost: localhost\r\n\r\n".to_owned(), vec![400, 505]),
        ("NUL", get("/health", "X-A: \0\r\n"), vec![400]),
        ("a negative length", post("Content-Length: -1\r\n"), vec![400]),
        ("an absurd length", post("Content-Length: 99999999999999999999\r\n"), vec![400, 413]),
        ("a length over the cap", post("Content-Length: 99999999\r\n"), vec![413]),
        ("two lengths", post("Content-Length: 1\r\nContent-Length: 2\r\n"), vec![400]),
        ("length and coding", post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), vec![400]),
        ("no host", "GET /health HTTP/1.1\r\n\r\n".to_owned(), vec![400]),
    ];
    for (what, request, expected) in cases {
        let status = ask(&world, request).status;
        assert!(expected.contains(&status), "{what}: {status}");
    }
    assert_eq!(ask(&world, get("/health", "X-Name: caf\u{e9}\r\n")).status, 200, "bytes above 127 are legal in values");
    assert_eq!(ask(&world, "GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n").status, 200);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let world = World::onboarded();
    let mut wire = dial(&world);
    let request = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    wire.send(request.repeat(50)).expect("it reads");
    for _ in 0..50 {
        assert_eq!(wire.answer("GET").expect("an answer").status, 200);
    }
}

#[test]
fn idle_and_slow_clients_do_not_keep_others_out() {
    let world = World::onboarded();
    let _idle: Vec<_> = (0..300).map(|_| dial(&world)).collect();
    let mut slow: Vec<_> = (0..50).map(|_| dial(&world)).collect();
    for wire in &mut slow {
        wire.send("GET /health HTTP/1.1\r\nHost: loc").expect("it reads");
    }
    assert_eq!(ask(&world, get("/health", "")).status, 200);
    // A head that never ends is given up within its deadline (5 s).
    let ended = slow.pop().expect("fifty of them").rest();
    assert!(ended.is_ok_and(|rest| rest.is_empty() || rest.starts_with(b"HTTP/1.1 408")));
}

#[test]
fn a_detached_daemon_holds_nothing_of_its_starter() {
    // A command substitution ends when the last writer of its pipe is gone.
    let world = World::empty();
    let script = r#"out=$("$0" daemon start 2>&1); echo "ended: $out""#;
    world.command("sh").args(["-c", script]).arg(world.program()).run().succeeds().says("ended");
    let mut child = world.authsome(["whoami"]).into_inner();
    child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it starts");
    eventually("the daemon is still there", || (world.daemons().len() == 1).then_some(()));
}
