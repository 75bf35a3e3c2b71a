//! What the proxy refuses, and that nothing reaches the upstream then.

use crate::proxy::Mode;
use crate::proxy::testing::{Daemon, HOST, Peer, World, authorization, bearer, code, route_with};

fn silent(world: &mut World) -> crate::proxy::testing::Upstream {
    world.upstream(|mut peer| assert!(peer.read_request().is_err(), "nothing may come"))
}

#[test]
fn disagreement_is_refused_and_the_connection_closed() {
    let mut world = World::new();
    let upstream = silent(&mut world);
    let run = world.run_with_key();
    for (head, status, expected) in [
        ("GET / HTTP/1.1\r\nHost: evil.test", 421, "misdirected"),
        ("GET / HTTP/1.1\r\nHost: api.x.test:8443", 421, "misdirected"),
        ("GET / HTTP/1.1\r\nHost: x.test", 421, "misdirected"),
        ("GET / HTTP/1.1", 400, "bad_request"),
        ("GET / HTTP/1.1\r\nHost: api.x.test\r\nHost: api.x.test", 400, "bad_request"),
        ("GET https://evil.test/ HTTP/1.1\r\nHost: api.x.test", 400, "bad_request"),
        ("CONNECT api.x.test:443 HTTP/1.1\r\nHost: api.x.test", 405, "bad_request"),
        ("TRACE / HTTP/1.1\r\nHost: api.x.test", 405, "bad_request"),
    ] {
        let mut child = run.open();
        child.send(&format!("{head}\r\n\r\n"));
        let answer = child.response("GET");
        assert_eq!((answer.0.status, code(&answer).as_str()), (status, expected), "{head}");
        assert!(child.is_closed(), "{head}");
    }
    assert_eq!(upstream.connections(), 0);
    let (events, report) = run.stop();
    assert_eq!((report.refused, events.len()), (8, 8), "each refusal is an event");
    assert!(events.iter().all(|event| event.event == "proxy_deny"));
}

#[test]
fn another_tls_server_name_is_misdirected() {
    let mut world = World::new();
    let upstream = silent(&mut world);
    let run = world.run_with_key();
    let mut child = run.open_unverified(HOST, "other.test");
    let answer = child.get("/");
    assert_eq!((answer.0.status, code(&answer).as_str()), (421, "misdirected"));
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn requests_that_two_readers_could_take_differently_are_refused() {
    let mut world = World::new();
    let upstream = silent(&mut world);
    let run = world.run_with_key();
    let many = "a: b\r\n".repeat(201);
    let long = format!("X: {}\r\n", "x".repeat(70_000));
    for (head, status) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        ("Content-Length: 5, 5\r\n", 400),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: +5\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding : chunked\r\n", 400),
        ("X: a\nY: b\r\n", 400),
        ("X: a\rY: b\r\n", 400),
        ("X: a\r\n b\r\n", 400),
        ("X: a\0b\r\n", 400),
        (many.as_str(), 431),
        (long.as_str(), 431),
    ] {
        let mut child = run.open();
        child.send(&format!("POST / HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\n"));
        let answer = child.response("POST");
        let shown = &head[..head.len().min(60)];
        assert_eq!((answer.0.status, code(&answer).as_str()), (status, "bad_request"), "{shown:?}");
        assert!(child.is_closed(), "{shown:?}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn deny_modes_refuse_inside_tls_without_dialling() {
    let mut world = World::new();
    let upstream = world.upstream_as("other.test", 443, "other.test", |_| panic!("dialled"));
    let run = world.run(Mode::ConnectedDeny, &route_with(&bearer("real-key")), Daemon::default());
    let mut child = run.open_as("other.test", "other.test");
    for _ in 0..2 {
        child.send("GET /a HTTP/1.1\r\nHost: other.test\r\n\r\n");
        let answer = child.response("GET");
        assert_eq!((answer.0.status, code(&answer).as_str()), (403, "no_match"), "and again on the same connection");
    }
    child.send("POST /a HTTP/1.1\r\nHost: other.test\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(child.response("POST").0.status, 403);
    assert!(child.is_closed(), "a body that nobody reads ends the connection");
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn deny_modes_name_what_is_missing() {
    let mut world = World::new();
    let upstream = silent(&mut world);
    let two = route_with(&bearer("one")).trim_end_matches(']').to_owned()
        + ","
        + route_with(&bearer("two")).replace("\"default\"", "\"work\"").trim_start_matches('[');
    let narrow = route_with(&bearer("k")).replace("\"port\"", "\"path_prefix\":\"/a\",\"port\"");
    for (mode, routes, path, status, expected) in [
        (Mode::ConnectedDeny, route_with("null"), "/", 403, "no_credentials"),
        (Mode::ConfiguredDeny, route_with("null").replace("\"default\"", "\"\""), "/", 403, "no_credentials"),
        (Mode::ConnectedDeny, two, "/", 403, "ambiguous"),
        (Mode::ConnectedDeny, narrow, "/a/../b", 400, "bad_request"),
    ] {
        let run = world.run(mode, &routes, Daemon::default());
        let answer = run.open().get(path);
        assert_eq!((answer.0.status, code(&answer).as_str()), (status, expected));
        let body = String::from_utf8(answer.1).expect("UTF-8");
        assert!(expected != "no_credentials" || body.contains("authsome login x"), "{body}");
        assert!(body.contains(r#""provider":"x""#), "{body}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn only_the_child_of_the_run_is_served() {
    let mut world = World::new();
    let upstream = silent(&mut world);
    let run = world.run_with_key();
    let wrong = authorization().replace("Basic ", "Basic YQ");
    let twice = format!("{0}\r\n{0}", authorization());
    for credentials in ["", "Proxy-Authorization: Bearer x", "Proxy-Authorization: Basic", &wrong, &twice] {
        for target in ["CONNECT api.x.test:443", "GET http://api.x.test/", "GET /"] {
            let mut child = Peer::new(run.dial());
            let line = if credentials.is_empty() { String::new() } else { format!("{credentials}\r\n") };
            child.send(&format!("{target} HTTP/1.1\r\nHost: api.x.test\r\n{line}\r\n"));
            let (head, body) = child.response("GET");
            assert_eq!((head.status, body.len()), (407, 0), "{target} {credentials}");
            assert_eq!(head.fields.first_str("proxy-authenticate"), Some("Basic realm=\"authsome\""));
            assert!(child.is_closed());
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn what_is_no_proxy_request_is_refused() {
    let world = World::new();
    let run = world.run_with_key();
    for (line, status) in [
        ("GET /", 400),
        ("GET https://api.x.test/", 400),
        ("GET ftp://api.x.test/", 400),
        ("GET http://u@api.x.test/", 400),
        ("TRACE http://api.x.test/", 405),
        ("CONNECT api.x.test", 400),
        ("CONNECT api.x.test:0", 400),
        ("CONNECT api.x.test:99999", 400),
        ("CONNECT http://api.x.test:443", 400),
        ("CONNECT api..x.test:443", 400),
        ("CONNECT a@api.x.test:443", 400),
        ("CONNECT [::1:443", 400),
    ] {
        let mut child = Peer::new(run.dial());
        child.send(&format!("{line} HTTP/1.1\r\nHost: api.x.test\r\n{}\r\n\r\n", authorization()));
        let answer = child.response("GET");
        assert_eq!((answer.0.status, code(&answer).as_str()), (status, "bad_request"), "{line}");
        assert!(child.is_closed(), "{line}");
    }
    // TLS straight to the port.
    let mut child = Peer::new(run.dial());
    child.send_bytes(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    assert_eq!(child.response("GET").0.status, 400);
    assert!(child.is_closed());
}

#[test]
fn forbidden_addresses_are_not_dialled() {
    let world = World::new();
    let run = world.run(Mode::ConnectedAllow, "[]", Daemon::default());
    for target in ["CONNECT 127.0.0.1:1", "CONNECT [::1]:1", "CONNECT 169.254.169.254:80", "GET http://127.0.0.1:1/"] {
        let mut child = Peer::new(run.dial());
        let host = target.split(' ').nth(1).expect("a target").trim_start_matches("http://").trim_end_matches('/');
        child.send(&format!("{target} HTTP/1.1\r\nHost: {host}\r\n{}\r\n\r\n", authorization()));
        let answer = child.response("GET");
        assert_eq!((answer.0.status, code(&answer).as_str()), (403, "blocked_address"), "{target}");
    }
}
