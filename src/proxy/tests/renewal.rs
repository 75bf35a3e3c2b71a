//! A 401 to an injected credential: renewed once, and the request sent again where that is possible.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};

use crate::http1::{BodyDecoder, request_body};
use crate::limits::RESEND_BODY_BYTES;
use crate::proxy::Mode;
use crate::proxy::testing::{Daemon, HOST, TestRun, Upstream, World, bearer, route_with};

/// What the upstream saw of a request: the token, the fields that frame its body, the body.
type Seen = (String, String, Vec<u8>);

/// An upstream that takes `good` alone.
fn upstream(world: &mut World, good: &'static str) -> (Upstream, Receiver<Seen>) {
    let (sender, seen) = channel();
    let upstream = world.upstream(move |mut peer| {
        while let Ok(head) = peer.read_request() {
            if head.fields.contains("expect") {
                peer.send("HTTP/1.1 100 Continue\r\n\r\n");
            }
            let body = peer.body(BodyDecoder::new(request_body(&head).expect("framed")));
            let text = |name| head.fields.first_str(name).unwrap_or_default().to_owned();
            let token = text("authorization").trim_start_matches("Bearer ").to_owned();
            let framing = format!("{}{}{}", text("content-length"), text("transfer-encoding"), text("expect"));
            let is_good = token == good;
            sender.send((token, framing, body)).expect("kept");
            let status = if is_good { "200 OK" } else { "401 Unauthorized" };
            peer.send(&format!("HTTP/1.1 {status}\r\nX-From: upstream\r\nContent-Length: 2\r\n\r\nhi"));
        }
    });
    (upstream, seen)
}

/// A run with the token `old-token`, whose daemon has `successor` for who was refused that.
fn run(world: &World, successor: Option<&'static str>) -> TestRun {
    let successors: BTreeMap<_, _> = successor.map(|token| ("x", token)).into_iter().collect();
    let daemon = Daemon { values: successors.clone(), successors, ..Daemon::default() };
    world.run(Mode::ConnectedAllow, &route_with(&bearer("old-token")), daemon)
}

/// Sends a request with these parts, and gives the status of its answer.
fn ask(run: &TestRun, fields: &str, body: &[u8]) -> u16 {
    let mut child = run.open();
    child.send(&format!("POST /p HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n"));
    child.send_bytes(body);
    if fields.contains("Expect") {
        assert_eq!(child.response_head().status, 100);
    }
    let (head, body) = child.response("POST");
    assert_eq!((head.fields.first_str("x-from"), body.as_slice()), (Some("upstream"), &b"hi"[..]));
    assert_eq!(child.get("/next").0.status, head.status, "the connection goes on");
    head.status
}

#[test]
fn a_request_goes_again_with_the_new_token_and_the_same_body() {
    let longest = vec![b'x'; RESEND_BODY_BYTES];
    let length = format!("Content-Length: {RESEND_BODY_BYTES}\r\n");
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (fields, sent, framing, body) in [
        ("", &b""[..], "", &b""[..]),
        ("Content-Length: 5\r\n", b"hello", "5", b"hello"),
        (length.as_str(), &longest, "65536", &longest),
        (chunked, b"3\r\nhel\r\n2;x\r\nlo\r\n0\r\n\r\n", "chunked", b"hello"),
        (chunked, b"0\r\n\r\n", "chunked", b""),
        ("Content-Length: 5\r\nExpect: 100-continue\r\n", b"hello", "5", b"hello"),
    ] {
        let mut world = World::new();
        let (_upstream, seen) = upstream(&mut world, "new-token");
        let run = run(&world, Some("Bearer new-token"));
        assert_eq!(ask(&run, fields, sent), 200, "{fields}");
        let (first, again, next) = (seen.recv().expect("one"), seen.recv().expect("two"), seen.recv().expect("three"));
        assert_eq!((first.0.as_str(), first.2.as_slice()), ("old-token", body), "{fields}");
        assert_eq!((again.0.as_str(), again.1.as_str(), again.2.as_slice()), ("new-token", framing, body), "{fields}");
        assert_eq!(next.0, "new-token");
        assert_eq!(*run.daemon.asked.lock().expect("not poisoned"), 1);
        let (events, report) = run.stop();
        assert_eq!((report.requests, events.len()), (2, 2), "one request of the child is one event");
        assert_eq!(events[0].status.as_deref(), Some("200"));
    }
}

#[test]
fn what_cannot_go_again_gets_the_answer_that_there_is() {
    let long = vec![b'x'; RESEND_BODY_BYTES + 1];
    let length = format!("Content-Length: {}\r\n", long.len());
    let chunked = [format!("{:x}\r\n", long.len()).as_bytes(), &long, b"\r\n0\r\n\r\n"].concat();
    for (fields, body) in [
        (length.as_str(), long.as_slice()),
        ("Transfer-Encoding: chunked\r\n", &chunked),
        ("Transfer-Encoding: chunked\r\n", b"1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"),
    ] {
        let mut world = World::new();
        let (_upstream, seen) = upstream(&mut world, "new-token");
        let run = run(&world, Some("Bearer new-token"));
        let mut child = run.open();
        child.send(&format!("POST /p HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n"));
        child.send_bytes(body);
        assert_eq!(child.response("POST").0.status, 401, "{fields}");
        assert_eq!(seen.recv().expect("one").0, "old-token");
        assert_eq!(child.get("/next").0.status, 200, "but the next one is helped");
        assert_eq!(
            (seen.recv().expect("two").0, seen.recv().expect("three").0),
            ("old-token".into(), "new-token".into())
        );
    }
}

#[test]
fn a_refusal_that_a_new_token_does_not_help_against_is_passed_on_once() {
    for (successor, tokens) in [
        (None, &["old-token", ""][..]),
        (Some("Bearer old-token"), &["old-token", "old-token"]),
        (Some("Bearer other-token"), &["old-token", "other-token", "other-token"]),
    ] {
        let mut world = World::new();
        let (_upstream, seen) = upstream(&mut world, "new-token");
        let run = run(&world, successor);
        let mut child = run.open();
        assert_eq!(child.get("/").0.status, 401, "{successor:?}");
        assert_eq!(child.get("/").1, b"hi", "{successor:?}");
        assert_eq!(*run.daemon.asked.lock().expect("not poisoned"), 1, "not for each request");
        drop(child);
        run.stop();
        drop(world);
        for token in tokens {
            assert_eq!(seen.recv().expect("sent").0, *token, "{successor:?}");
        }
        assert!(seen.try_recv().is_err(), "{successor:?}");
    }
}

#[test]
fn a_request_without_a_credential_of_ours_is_none_of_our_business() {
    let mut world = World::new();
    let (_upstream, seen) = upstream(&mut world, "new-token");
    let run = world.run(Mode::ConnectedAllow, &route_with("null"), Daemon::default());
    let mut child = run.open();
    child.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer mine\r\n\r\n"));
    assert_eq!(child.response("GET").0.status, 401);
    assert_eq!(seen.recv().expect("sent").0, "mine");
}
