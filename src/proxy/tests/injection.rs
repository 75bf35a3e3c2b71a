//! What the upstream saw.

use std::sync::mpsc::{Receiver, channel};

use crate::http1::RequestHead;
use crate::proxy::testing::{Daemon, HOST, Upstream, World, bearer, code, route_with};
use crate::proxy::{Mode, PLACEHOLDER};

/// An upstream that answers everything with 200 and tells what it saw.
fn witness(world: &mut World) -> (Upstream, Receiver<RequestHead>) {
    let (saw, seen) = channel();
    let upstream = world.upstream(move |mut peer| {
        while let Ok(head) = peer.read_request() {
            saw.send(head).expect("the test waits");
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    (upstream, seen)
}

#[test]
fn a_routed_request_gets_its_credential_and_nothing_of_the_placeholder() {
    let mut world = World::new();
    let (upstream, seen) = witness(&mut world);
    let run = world.run_with_key();
    let mut child = run.open();
    for path in ["/a?b=c", "/b"] {
        child.send(&format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nX-Api-Key: {PLACEHOLDER}\r\n\r\n"));
        let (head, body) = child.response("GET");
        assert_eq!((head.status, body.as_slice()), (200, &b"ok"[..]));
        let head = seen.recv().expect("the upstream saw it");
        assert_eq!(head.target, path);
        assert_eq!(head.fields.first_str("authorization"), Some("Bearer real-key"));
        assert!(!head.to_bytes().windows(PLACEHOLDER.len()).any(|window| window == PLACEHOLDER.as_bytes()));
        assert!(!head.fields.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("proxy-")));
    }
    drop(child);
    assert_eq!(upstream.connections(), 1, "the upstream connection is kept");
    let (events, report) = run.stop();
    assert_eq!((report.requests, report.injected, report.refused), (2, 2, 0));
    assert_eq!(events[0].event, "proxy.request");
    assert_eq!(events[0].metadata["path"], "/a", "no query");
    assert_eq!((events[0].status.as_deref(), events[0].provider.as_deref()), (Some("200"), Some("x")));
    assert!(!format!("{events:?}").contains("real-key"));
}

#[test]
fn slots_may_be_parameters_and_cookies() {
    let mut world = World::new();
    let (_upstream, seen) = witness(&mut world);
    let slots = r#"[{"in":"query","name":"key","value":"a b"},{"in":"cookie","name":"sid","value":"real"}]"#;
    let run = world.run(Mode::ConnectedAllow, &route_with(slots), Daemon::default());
    let mut child = run.open();
    child.send(&format!("GET /?key={PLACEHOLDER}&x=1 HTTP/1.1\r\nHost: {HOST}\r\nCookie: a=b\r\n\r\n"));
    assert_eq!(child.response("GET").0.status, 200);
    let head = seen.recv().expect("saw");
    assert_eq!((head.target.as_str(), head.fields.first_str("cookie")), ("/?x=1&key=a%20b", Some("a=b; sid=real")));
}

#[test]
fn a_route_without_a_value_is_resolved_when_needed() {
    let mut world = World::new();
    let (_upstream, seen) = witness(&mut world);
    let daemon = Daemon { values: [("x", "Bearer resolved")].into(), ..Daemon::default() };
    let run = world.run(Mode::ConnectedAllow, &route_with("null"), daemon);
    let mut child = run.open();
    for _ in 0..2 {
        assert_eq!(child.get("/a").0.status, 200);
        assert_eq!(seen.recv().expect("saw").fields.first_str("authorization"), Some("Bearer resolved"));
    }
    assert_eq!(*run.daemon.asked.lock().expect("not poisoned"), 1);
}

#[test]
fn a_credential_that_belongs_to_another_server_by_now_is_not_sent() {
    let mut world = World::new();
    let (upstream, seen) = witness(&mut world);
    for (leads_to, mode, status) in [
        (HOST, Mode::ConnectedDeny, 200),
        ("other.test", Mode::ConnectedDeny, 403),
        ("other.test", Mode::ConfiguredAllow, 200),
    ] {
        let values = [("x", "Bearer of-elsewhere")].into();
        let daemon = Daemon { values, leads_to: Some(leads_to), ..Daemon::default() };
        let run = world.run(mode, &route_with("null").replace("\"default\"", "\"\""), daemon);
        assert_eq!(run.open().get("/").0.status, status);
        if status == 200 {
            let expected = (leads_to == HOST).then_some("Bearer of-elsewhere");
            assert_eq!(seen.recv().expect("saw").fields.first_str("authorization"), expected);
        }
    }
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_client_cannot_make_the_credential_a_matter_of_one_connection() {
    let mut world = World::new();
    let (_upstream, seen) = witness(&mut world);
    let run = world.run_with_key();
    let mut child = run.open();
    child.send(&format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: authorization, host, content-length, x-mine\r\n\
         Proxy-Connection: authorization\r\nAuthorization: Bearer mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n\r\n"
    ));
    assert_eq!(child.response("GET").0.status, 200);
    let text = String::from_utf8(seen.recv().expect("saw").to_bytes()).expect("UTF-8");
    let expected = format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer real-key\r\nAccept-Encoding: identity\r\n\r\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn each_request_of_a_connection_is_decided_on_anew() {
    let mut world = World::new();
    let (_upstream, seen) = witness(&mut world);
    let route = format!(
        r#"[{{"provider":"x","connection":"default","host":"{HOST}","match":"exact","port":443,"path_prefix":"/api",
             "auth_endpoints":[{{"host":"{HOST}","path":"/api/token"}}],"inject":{}}}]"#,
        bearer("real-key")
    );
    let run = world.run(Mode::ConnectedAllow, &route, Daemon::default());
    let mut child = run.open();
    for (path, injected) in [
        ("/api/users", true),
        ("/api", true),
        ("/apis", false),
        ("/other", false),
        ("/api/token", false),
        ("/api/../secret", false),
        ("/api/%2e%2e/secret", false),
        ("/%61pi/users", false),
        ("//api/users", false),
        ("/api;x/users", false),
        ("/api/users", true),
    ] {
        assert_eq!(child.get(path).0.status, 200, "{path}");
        let head = seen.recv().expect("saw");
        assert_eq!(head.target, path, "forwarded as it was");
        let expected = injected.then_some("Bearer real-key");
        assert_eq!(head.fields.first_str("authorization"), expected, "{path}");
    }
}

#[test]
fn without_a_credential_allow_modes_forward_unchanged() {
    let mut world = World::new();
    let (_upstream, seen) = witness(&mut world);
    let run = world.run(Mode::ConnectedAllow, &route_with("null"), Daemon::default());
    let mut child = run.open();
    child.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {PLACEHOLDER}\r\n\r\n"));
    assert_eq!(child.response("GET").0.status, 200);
    let expected = format!("Bearer {PLACEHOLDER}");
    assert_eq!(seen.recv().expect("saw").fields.first_str("authorization"), Some(expected.as_str()));
    drop(child);
    let (events, report) = run.stop();
    assert_eq!(events[0].event, "proxy_no_credentials");
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
}

#[test]
fn a_value_that_would_split_the_request_is_never_sent() {
    let mut world = World::new();
    let (upstream, _seen) = witness(&mut world);
    let slots = r#"[{"in":"header","name":"X-Key","value":"a\r\nX-Evil: b"}]"#;
    let run = world.run(Mode::ConnectedAllow, &route_with(slots), Daemon::default());
    let answer = run.open().get("/");
    assert_eq!((answer.0.status, code(&answer).as_str()), (502, "no_credentials"));
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_secret_is_written_only_to_a_verified_host() {
    let mut world = World::new();
    let impostor = world.upstream_as(HOST, 443, "evil.test", |mut peer| {
        assert!(peer.read_request().is_err(), "nothing may come");
    });
    let run = world.run_with_key();
    let answer = run.open().get("/");
    assert_eq!((answer.0.status, code(&answer).as_str()), (502, "upstream_tls"));
    assert_eq!(impostor.connections(), 1);
    let plain = World::new();
    let mut world = World::new();
    let stranger = plain.authority_pem().to_owned();
    assert_ne!(stranger, world.authority_pem());
    let upstream = world.plain_upstream(HOST, 443, |mut peer| peer.send("HTTP/1.1 200 OK\r\n\r\n"));
    let run = world.run_with_key();
    let answer = run.open().get("/");
    assert_eq!((answer.0.status, code(&answer).as_str()), (502, "upstream_tls"), "no TLS at all");
    assert_eq!(upstream.connections(), 1);
}
