//! Upgrades to another protocol: the handshake gets the credential, what follows is nobody's business.

use std::io::Write as _;

use crate::proxy::Mode;
use crate::proxy::testing::{Daemon, HOST, Peer, World, code, route_with, tls_client};

const ASKS: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n";
const SWITCHES: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";

fn handshake(fields: &str) -> String {
    format!("GET /live HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n")
}

fn take(peer: &mut Peer, expected: &str) {
    while peer.buffer.unread().len() < expected.len() {
        assert_ne!(peer.buffer.fill(&mut peer.stream, 64).expect("reads"), 0, "it ended");
    }
    assert_eq!(String::from_utf8_lossy(peer.buffer.unread()), expected);
    peer.buffer.consume(expected.len());
}

#[test]
fn the_handshake_gets_the_credential_and_the_rest_is_raw() {
    let later = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer authsome-proxy-managed\r\n\r\n");
    let mut world = World::new();
    let expected = later.clone();
    let upstream = world.upstream(move |mut peer| {
        let (head, _) = peer.request();
        let all: Vec<&[u8]> = head.fields.all("authorization").collect();
        assert_eq!(all, [b"Bearer real-key"]);
        assert!(head.fields.has_token("connection", "upgrade") && !head.fields.has_token("connection", "keep-alive"));
        assert_eq!(head.fields.first_str("upgrade"), Some("websocket"));
        assert_eq!(head.fields.first_str("sec-websocket-version"), Some("13"));
        // The first words come right behind the head, and say what nobody masks any more.
        peer.send(&format!("{SWITCHES}X-Echo: real-key\r\nX-Authsome-Error: policy\r\n\r\nreal-key"));
        take(&mut peer, "early");
        take(&mut peer, &expected);
        peer.send("bye");
    });
    let run = world.run_with_key();
    let mut child = run.open();
    child.send(&format!("{}early", handshake(ASKS)));
    let head = child.response_head();
    assert_eq!((head.status, head.fields.first_str("upgrade")), (101, Some("websocket")));
    assert!(head.fields.has_token("connection", "upgrade"));
    assert_eq!(head.fields.first_str("x-echo"), Some("********"), "the head is still an answer");
    assert!(!head.fields.contains("x-authsome-error"));
    take(&mut child, "real-key");
    child.send(&later);
    take(&mut child, "bye");
    drop(child);
    assert_eq!(upstream.connections(), 1);
    let (events, report) = run.stop();
    assert_eq!((report.requests, report.injected), (1, 1));
    assert_eq!((events[0].event.as_str(), events[0].status.as_deref()), ("proxy.request", Some("101")));
}

#[test]
fn one_direction_may_end_long_before_the_other() {
    let mut world = World::new();
    let _upstream = world.upstream(|mut peer| {
        peer.request();
        peer.send(&format!("{SWITCHES}\r\n"));
        assert_eq!(peer.rest(), b"that was all", "a clean end, or this fails");
        peer.send("still here");
    });
    let run = world.run_with_key();
    let mut tls = tls_client(run.connect(&format!("{HOST}:443")), &run.ca_pem, HOST).expect("trusts");
    tls.write_all(handshake(ASKS).as_bytes()).expect("sends");
    tls.write_all(b"that was all").expect("sends");
    tls.conn.send_close_notify();
    tls.flush().expect("sends");
    let mut child = Peer::new(tls);
    assert_eq!(child.response_head().status, 101);
    take(&mut child, "still here");
}

#[test]
fn a_side_that_vanishes_takes_the_other_along() {
    let mut world = World::new();
    let _upstream = world.upstream(|mut peer| {
        peer.request();
        peer.send(&format!("{SWITCHES}\r\nlast")); // and gone without a word
    });
    let run = world.run_with_key();
    let mut child = run.open();
    child.send(&handshake(ASKS));
    assert_eq!(child.response_head().status, 101);
    take(&mut child, "last");
    assert!(child.is_closed());
}

#[test]
fn an_upgrade_is_what_both_sides_say_or_nothing() {
    let mut world = World::new();
    let _upstream = world.upstream(|mut peer| {
        while let Ok(head) = peer.read_request() {
            let answer = head.fields.first_str("x-answer").unwrap_or_default().replace('|', "\r\n");
            let asked = head.fields.contains("upgrade");
            peer.send(&format!("HTTP/1.1 {answer}\r\nX-Asked: {asked}\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let run = world.run_with_key();
    let websocket = "101 Switching Protocols|Upgrade: websocket|Connection: Upgrade";
    for (fields, answer, status) in [
        ("", websocket, 502),
        ("Upgrade: websocket\r\n", websocket, 502),
        ("Connection: Upgrade\r\nUpgrade: h2c\r\n", websocket, 502),
        ("Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n", websocket, 502),
        ("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n", websocket, 502),
        (ASKS, "101 Switching Protocols|Upgrade: x|Connection: Upgrade", 502),
        (ASKS, "101 Switching Protocols|Upgrade: websocket, x|Connection: Upgrade", 502),
        (ASKS, "101 Switching Protocols|Upgrade: websocket", 502),
        (ASKS, "101 Switching Protocols|Connection: Upgrade", 502),
        (ASKS, "426 Upgrade Required|Upgrade: websocket|Connection: Upgrade", 426),
        ("Upgrade: websocket\r\n", "200 OK", 200),
    ] {
        let mut child = run.open();
        child.send(&handshake(&format!("{fields}X-Answer: {answer}\r\n")));
        let answered = child.response("GET");
        assert_eq!(answered.0.status, status, "{fields:?} {answer}");
        if status == 502 {
            assert_eq!(code(&answered), "upstream_unreachable");
        } else {
            assert_eq!(answered.0.fields.first_str("x-asked"), Some(if fields == ASKS { "true" } else { "false" }));
            assert!(!answered.0.fields.contains("upgrade"));
        }
    }
    let old = "GET / HTTP/1.0\r\nHost: api.x.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let mut child = run.open();
    child.send(&format!("{old}X-Answer: {websocket}\r\n\r\n"));
    assert_eq!(child.response("GET").0.status, 502, "HTTP/1.0 has no upgrades");
}

#[test]
fn an_upgrade_is_decided_on_like_any_request() {
    let mut world = World::new();
    let upstream = world.upstream(|_| panic!("dialled"));
    let run = world.run(Mode::ConnectedDeny, &route_with("null"), Daemon::default());
    let mut child = run.open();
    child.send(&handshake(ASKS));
    assert_eq!(code(&child.response("GET")), "no_credentials");
    child.send(&handshake(ASKS));
    assert_eq!(code(&child.response("GET")), "no_credentials", "the connection goes on");
    assert_eq!(upstream.connections(), 0);
}
