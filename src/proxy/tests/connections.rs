//! Tunnels and plain HTTP: whatever gets no credential.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::mpsc::channel;

use crate::proxy::Mode;
use crate::proxy::testing::{Daemon, HOST, Peer, World, authorization, bearer, code, route_with, tls_client};

#[test]
fn a_tunnel_never_gets_a_credential() {
    let mut world = World::new();
    let (saw, seen) = channel();
    let _other = world.upstream_as("other.test", 443, "other.test", move |mut peer| {
        let (head, _) = peer.request();
        saw.send(head.to_bytes()).expect("the test waits");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let run = world.run_with_key();
    let socket = run.connect("other.test:443");
    // The certificate is the upstream's own: nobody opened the connection.
    let mut child = Peer::new(tls_client(socket, world.authority_pem(), "other.test").expect("the upstream itself"));
    let sent = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer authsome-proxy-managed\r\n\r\n");
    child.send(&sent);
    assert_eq!(child.response("GET").0.status, 200);
    assert_eq!(seen.recv().expect("saw"), sent.as_bytes(), "byte for byte");
    drop(child);
    let (_, report) = run.stop();
    assert_eq!((report.requests, report.injected), (0, 0));
}

#[test]
fn a_routed_host_on_another_port_is_tunnelled() {
    let mut world = World::new();
    let (saw, seen) = channel();
    let _raw = world.plain_upstream(HOST, 8443, move |mut peer| {
        saw.send(peer.rest()).expect("the test waits");
        peer.send("bye");
    });
    let run = world.run_with_key();
    let mut child = run.connect(&format!("{HOST}:8443"));
    child.write_all(b"anything").expect("sends");
    child.shutdown(Shutdown::Write).expect("half-closes");
    let mut answer = Vec::new();
    child.read_to_end(&mut answer).expect("reads");
    assert_eq!((seen.recv().expect("saw").as_slice(), answer.as_slice()), (&b"anything"[..], &b"bye"[..]));
}

#[test]
fn deny_modes_tunnel_only_to_allowed_hosts() {
    let mut world = World::new();
    let _raw = world.plain_upstream("ok.test", 443, |mut peer| peer.send("hello"));
    let run = world.run_allowing(Mode::ConnectedDeny, &route_with(&bearer("k")), &["ok.test"]);
    let mut answer = Vec::new();
    run.connect("ok.test:443").read_to_end(&mut answer).expect("reads");
    assert_eq!(answer, b"hello");
}

#[test]
fn an_unreachable_host_is_told_before_the_tunnel_stands() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("bound");
    let mut world = World::new();
    world.add_override(&format!("gone.test:443:{gone}"));
    let run = world.run_with_key();
    let mut child = Peer::new(run.dial());
    child.send(&format!("CONNECT gone.test:443 HTTP/1.1\r\n{}\r\n\r\n", authorization()));
    let answer = child.response("GET");
    assert_eq!((answer.0.status, code(&answer).as_str()), (502, "upstream_unreachable"));
}

#[test]
fn plain_http_is_forwarded_without_a_credential() {
    let mut world = World::new();
    let (saw, seen) = channel();
    let upstream = world.plain_upstream(HOST, 80, move |mut peer| {
        while let Ok(head) = peer.read_request() {
            saw.send(head).expect("the test waits");
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let run = world.run_with_key();
    let mut child = Peer::new(run.dial());
    for _ in 0..2 {
        child.send(&format!("GET http://{HOST}/a?b HTTP/1.1\r\nHost: {HOST}\r\n{}\r\n\r\n", authorization()));
        assert_eq!(child.response("GET").1, b"ok");
        let head = seen.recv().expect("saw");
        let text = String::from_utf8(head.to_bytes()).expect("UTF-8");
        assert_eq!(text, format!("GET /a?b HTTP/1.1\r\nHost: {HOST}\r\n\r\n"), "no credential of either kind");
    }
    assert_eq!(upstream.connections(), 1);
    child.send(&format!("GET http://{HOST}/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert_eq!(child.response("GET").0.status, 407, "each request shows the token");
}

#[test]
fn plain_http_is_refused_in_deny_modes_and_when_it_disagrees() {
    let mut world = World::new();
    let upstream = world.plain_upstream(HOST, 80, |_| panic!("dialled"));
    let deny = world.run(Mode::ConnectedDeny, &route_with(&bearer("k")), Daemon::default());
    let allow = world.run_with_key();
    for (run, host, status) in [(&deny, HOST, 403), (&allow, "evil.test", 421), (&allow, "api.x.test:81", 421)] {
        let mut child = Peer::new(run.dial());
        child.send(&format!("GET http://{HOST}/ HTTP/1.1\r\nHost: {host}\r\n{}\r\n\r\n", authorization()));
        let answer = child.response("GET");
        assert_eq!(answer.0.status, status, "{host}");
        code(&answer);
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_proxy_of_the_environment_is_asked_for_connections() {
    let mut world = World::new();
    let (asked, was_asked) = channel();
    // Its certificate is for the host, which only the proxy can reach.
    let api = world.upstream_as("unused.test", 1, HOST, |mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let proxy = world.plain_upstream("unused.test", 2, move |mut peer| {
        let head = peer.read_request().expect("a CONNECT");
        asked.send(head.clone()).expect("the test waits");
        if head.target != format!("{HOST}:443") {
            return peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        }
        peer.send("HTTP/1.1 200 Fine\r\n\r\n");
        peer.splice_to(api.address);
    });
    world.chain(&proxy, "us%65r:pw@");
    let run = world.run_with_key();
    assert_eq!(run.open().get("/").1, b"ok");
    let head = was_asked.recv().expect("saw");
    assert_eq!((head.method.as_str(), head.target.as_str()), ("CONNECT", "api.x.test:443"));
    assert_eq!(head.fields.first_str("proxy-authorization"), Some("Basic dXNlcjpwdw=="));
    let mut child = Peer::new(run.dial());
    child.send(&format!("CONNECT other.test:443 HTTP/1.1\r\n{}\r\n\r\n", authorization()));
    let answer = child.response("GET");
    assert_eq!((answer.0.status, code(&answer).as_str()), (502, "upstream_unreachable"));
    let mut child = Peer::new(run.dial());
    child.send(&format!("CONNECT 169.254.169.254:80 HTTP/1.1\r\n{}\r\n\r\n", authorization()));
    assert_eq!(code(&child.response("GET")), "blocked_address", "the proxy is not asked for what we would not dial");
}
