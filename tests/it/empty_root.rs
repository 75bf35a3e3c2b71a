//! The static program where there is nothing else: one file, `/etc/resolv.conf` and `/etc/hosts`.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;

use nix::sys::signal::{Signal, kill};
use serde_json::json;

use crate::harness::{LiveRun, Scratch, TestCommand, eventually, to_pid};
use crate::upstream::{Authority, Upstream};

/// Where the name server of the test listens: `resolv.conf` knows no other port.
const RESOLVER: &str = "127.53.0.1";

#[test]
#[ignore = "scripts/test-empty-root builds the static program and runs this"]
fn the_static_program_needs_nothing_around_it() {
    let root = Scratch::new();
    let built = std::env::var_os("AUTHSOME_TEST_STATIC").map(PathBuf::from).expect("set by scripts/test-empty-root");
    let authority = Authority::new();
    let api = Upstream::start(&authority, &["api.demo.test"]);
    fs::copy(built, root.path().join("authsome")).expect("a copy of the program");
    fs::set_permissions(root.path().join("authsome"), fs::Permissions::from_mode(0o755)).expect("ours");
    root.dir("etc");
    root.file("etc/resolv.conf", format!("nameserver {RESOLVER}\n"));
    root.file("etc/hosts", "127.0.0.1 localhost\n");
    root.file("upstream-ca.pem", authority.pem()); // what the test brings, not what the program needs
    let port = api.address().port();
    let definition = json!({
        "name": "demo", "auth_type": "api_key", "flow": "api_key", "api_url": format!("https://api.demo.test:{port}"),
    });
    root.file("demo.json", definition.to_string());
    let resolver = UdpSocket::bind((RESOLVER, 53)).expect("root, and nobody on port 53 of that address");
    thread::spawn(move || answer_names(&resolver));

    let authsome = |args: &[&str]| {
        TestCommand::new("chroot")
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin") // where chroot is
            .arg(root.path())
            .arg("/authsome")
            .args(args)
            .env("AUTHSOME_HOME", "/home/authsome")
            .env("AUTHSOME_UPSTREAM_CA", "/upstream-ca.pem")
            .env("AUTHSOME_ALLOW_PRIVATE", "127.0.0.0/8")
    };
    authsome(&["--version"]).run().succeeds().says(env!("CARGO_PKG_VERSION"));
    let mut serve = authsome(&["daemon", "serve", "--port", "0"]).into_inner();
    let mut daemon = serve.stdin(Stdio::null()).spawn().expect("it starts");
    let written = root.path().join("home/authsome/server/daemon/daemon.json");
    eventually("daemon.json", || written.exists().then_some(()));

    authsome(&["onboard", "--yes"]).run().succeeds();
    authsome(&["provider", "register", "/demo.json", "--yes"]).run().succeeds();
    authsome(&["login", "demo", "--key-stdin"]).stdin("key-of-the-empty-root").run().succeeds();
    authsome(&["run", "--", "/authsome", "--version"]).run().succeeds().says(env!("CARGO_PKG_VERSION"));

    // A name that only the resolver knows, through the proxy of a run.
    // Its program is ours, the only one there is: it waits for a key on stdin.
    let waiting = authsome(&["run", "--", "/authsome", "login", "demo", "--connection", "second", "--key-stdin"]);
    let run = LiveRun::around(waiting, root.path());
    let answer = run.get_port("api.demo.test", port, "/v1/echo");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(api.only_request().header("authorization"), Some("Bearer key-of-the-empty-root"));
    drop(run);
    // `daemon stop` needs /proc, to be sure of whom it ends.
    kill(to_pid(daemon.id()), Signal::SIGTERM).expect("our child");
    assert!(daemon.wait().expect("our child").success());
}

/// A name server that sends every name ending in `demo.test` to loopback and knows no other.
fn answer_names(socket: &UdpSocket) {
    let mut query = [0; 512];
    while let Ok((length, peer)) = socket.recv_from(&mut query) {
        if length < 17 {
            continue;
        }
        let question = &query[12..length];
        let name_end = question.iter().position(|byte| *byte == 0).unwrap_or(0);
        let known = question[..name_end].ends_with(b"\x04demo\x04test");
        let is_a = question[name_end + 1..].starts_with(&[0, 1]);
        let (code, answers) = (if known { 0x80 } else { 0x83 }, u8::from(known && is_a));
        let mut reply = vec![query[0], query[1], 0x81, code, 0, 1, 0, answers, 0, 0, 0, 0];
        reply.extend_from_slice(&question[..(name_end + 5).min(question.len())]);
        if answers == 1 {
            reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 127, 0, 0, 1]);
        }
        let _ = socket.send_to(&reply, peer);
    }
}
