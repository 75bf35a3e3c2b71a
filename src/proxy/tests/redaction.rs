//! What an API repeats of a credential, and what of it the child gets to see.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use miniz_oxide::deflate::compress_to_vec_zlib;

use crate::http1::{BodyDecoder, BodyLength, response_body};
use crate::proxy::testing::{Daemon, HOST, Peer, TestRun, Upstream, World, bearer, code, route_with};
use crate::proxy::{Mode, PLACEHOLDER};

const KEY: &str = "sk-live-51H8/x+Qz3w9";
const STARS: &str = "********************";

/// An upstream that answers every request with `answer` and closes, or goes on when it is framed.
fn says(world: &mut World, answer: Vec<u8>) -> Upstream {
    world.upstream(move |mut peer| {
        while peer.read_request().is_ok() {
            peer.send_bytes(&answer);
            if !answer.windows(15).any(|window| window.eq_ignore_ascii_case(b"content-length:")) {
                return;
            }
        }
    })
}

fn run(world: &World) -> TestRun {
    world.run(Mode::ConnectedAllow, &route_with(&bearer(KEY)), Daemon::default())
}

/// A route to the paths below `prefix` alone.
fn route_on(prefix: &str, provider: &str, key: &str) -> String {
    let place = format!(r#""port":443,"path_prefix":"{prefix}","#);
    let route = route_with(&bearer(key)).replace(r#""port":443,"#, &place).replace(r#""x""#, &format!("{provider:?}"));
    route[1..route.len() - 1].to_owned()
}

fn answer(fields: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn heads_are_masked_in_every_field_and_in_the_reason() {
    let mut world = World::new();
    let _upstream = says(
        &mut world,
        format!(
            "HTTP/1.1 103 Early {KEY}\r\nLink: </{KEY}>\r\n\r\nHTTP/1.1 200 OK {KEY}\r\nX-Echo: a {KEY} b\r\n\
             Location: /next?key=sk-live-51H8%2Fx%2bQz3w9&a=b\r\nSet-Cookie: token={KEY}; Path=/\r\nX-Kept: as it is\r\n\
             Content-Length: 2\r\n\r\nok"
        )
        .into_bytes(),
    );
    let run = run(&world);
    let mut child = run.open();
    child.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    let interim = child.response_head();
    assert_eq!((interim.status, interim.fields.first_str("link")), (103, Some(format!("</{STARS}>").as_str())));
    let (head, body) = child.response("GET");
    assert_eq!(head.fields.first_str("x-echo"), Some(format!("a {STARS} b").as_str()));
    assert_eq!(head.fields.first_str("location"), Some(format!("/next?key={STARS}****&a=b").as_str()));
    assert_eq!(head.fields.first_str("set-cookie"), Some(format!("token={STARS}; Path=/").as_str()));
    assert_eq!(head.fields.first_str("x-kept"), Some("as it is"));
    assert_eq!(body, b"ok");
    assert!(!text(&[interim.to_bytes(), head.to_bytes()].concat()).contains("sk-live"));
}

#[test]
fn a_field_with_a_secret_for_a_name_goes() {
    let mut world = World::new();
    let _upstream = says(&mut world, answer("X-Token-Name: 1\r\nX-Other: 2\r\n", b""));
    let run = world.run(Mode::ConnectedAllow, &route_with(&bearer("token-name")), Daemon::default());
    let (head, _) = run.open().get("/");
    assert_eq!((head.fields.contains("x-token-name"), head.fields.contains("x-other")), (true, true), "another case");
    let mut world = World::new();
    let _upstream = says(&mut world, answer("X-token-name: 1\r\nX-Other: 2\r\n", b""));
    let run = world.run(Mode::ConnectedAllow, &route_with(&bearer("token-name")), Daemon::default());
    let (head, _) = run.open().get("/");
    assert_eq!((head.fields.contains("x-token-name"), head.fields.contains("x-other")), (false, true));
}

#[test]
fn bodies_are_masked_in_every_framing() {
    let body = format!("<{KEY}>");
    let (first, second) = body.split_at(9);
    let chunks = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x};note={KEY}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\
         X-Sum: {KEY}\r\n\r\n",
        first.len(),
        second.len()
    );
    for answer in [answer("", body.as_bytes()), chunks.into_bytes()] {
        let mut world = World::new();
        let _upstream = world.upstream(move |mut peer| {
            peer.request();
            // Byte by byte, each in a record of its own.
            for byte in &answer {
                peer.send_bytes(&[*byte]);
            }
        });
        let run = run(&world);
        let mut child = run.open();
        child.send(&format!("GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n"));
        assert_eq!(text(&child.response("GET").1), format!("<{STARS}>"), "HTTP/1.0");
        let mut child = run.open();
        child.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"));
        let head = child.response_head();
        let raw = text(&child.rest());
        assert!(!raw.contains("sk-live") && raw.contains("***"), "{head:?} {raw}");
    }
}

#[test]
fn what_may_be_a_beginning_goes_on_when_it_is_none() {
    let half = &KEY[..KEY.len() - 1];
    for (body, expected) in [
        (half.to_owned(), half.to_owned()),
        (format!("{half}."), format!("{half}.")),
        (format!("{half}{KEY}"), format!("{half}{STARS}")),
        (format!("{KEY}{half}"), format!("{STARS}{half}")),
    ] {
        let mut world = World::new();
        let _upstream = says(&mut world, answer("", body.as_bytes()));
        assert_eq!(text(&run(&world).open().get("/").1), expected);
    }
}

#[test]
fn an_event_does_not_wait_for_the_next() {
    let mut world = World::new();
    let (got, is_there): (Sender<()>, Receiver<()>) = channel();
    let is_there = Mutex::new(is_there);
    let events = ["data: no key\n\n".to_owned(), format!("data: {KEY}\n\n"), "data: sk-live-\n\n".to_owned()];
    let sent = events.clone();
    let _upstream = world.upstream(move |mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for event in &sent {
            peer.send(&format!("{:x}\r\n{event}\r\n", event.len()));
            is_there.lock().expect("not poisoned").recv().expect("the child got it");
        }
        peer.send("0\r\n\r\n");
    });
    let run = run(&world);
    let mut child = run.open();
    child.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert_eq!(child.response_head().status, 200);
    for event in &events {
        let expected = event.replace(KEY, STARS);
        while !text(child.buffer.unread()).contains(&expected) {
            assert_ne!(child.buffer.fill(&mut child.stream, 1024).expect("reads"), 0);
        }
        let count = child.buffer.unread().len();
        child.buffer.consume(count);
        got.send(()).expect("the upstream waits");
    }
    assert_eq!(child.body(BodyDecoder::new(BodyLength::Chunked)), b"");
}

#[test]
fn compression_is_refused_beforehand_and_undone_where_it_comes_anyway() {
    let mut world = World::new();
    let plain = format!("{}<{KEY}>{}", "before ".repeat(60_000), "after ".repeat(60_000));
    let compressed = compress_to_vec_zlib(plain.as_bytes(), 9);
    let fields = "Content-Type: text/plain\r\nContent-Encoding: deflate\r\nContent-Digest: x\r\nETag: \"1\"\r\n";
    let sent = answer(fields, &compressed);
    let (saw, seen) = channel();
    let _upstream = world.upstream(move |mut peer| {
        while let Ok(head) = peer.read_request() {
            saw.send(head).expect("the test waits");
            peer.send_bytes(&sent);
        }
    });
    let run = run(&world);
    let mut child = run.open();
    for version in ["1.1", "1.1", "1.0"] {
        child.send(&format!("GET / HTTP/{version}\r\nHost: {HOST}\r\nAccept-Encoding: gzip, br\r\n\r\n"));
        let (head, body) = child.response("GET");
        assert_eq!(text(&body), plain.replace(KEY, STARS));
        for gone in ["content-encoding", "content-length", "content-digest"] {
            assert!(!head.fields.contains(gone), "{gone}");
        }
        assert!(head.fields.contains("etag"));
        let asked = seen.recv().expect("saw");
        assert_eq!(asked.fields.all("accept-encoding").collect::<Vec<_>>(), [b"identity"]);
    }
}

#[test]
fn a_compressed_body_that_is_damaged_or_cut_never_looks_whole() {
    let plain = "text ".repeat(100_000);
    let compressed = compress_to_vec_zlib(plain.as_bytes(), 0);
    let mut damaged = compressed.clone();
    *damaged.last_mut().expect("not empty") ^= 1;
    for body in [damaged, compressed[..compressed.len() - 2].to_vec()] {
        let mut world = World::new();
        let _upstream = says(&mut world, answer("Content-Encoding: deflate\r\n", &body));
        let run = run(&world);
        let mut child = run.open();
        child.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        assert_eq!(child.response_head().status, 200);
        let mut last = Vec::new();
        while let Ok(1..) = child.buffer.fill(&mut child.stream, 64 * 1024) {
            last = child.buffer.unread().to_vec();
            let count = last.len();
            child.buffer.consume(count);
        }
        assert!(!last.is_empty() && !last.ends_with(b"0\r\n\r\n"));
    }
    let mut world = World::new();
    let _upstream = says(&mut world, answer("Content-Encoding: gzip\r\n", b"no gzip at all"));
    let refused = run(&world).open().get("/");
    assert_eq!((refused.0.status, code(&refused).as_str()), (502, "upstream_unreachable"));
}

#[test]
fn texts_that_cannot_be_looked_into_are_withheld_and_other_types_are_recorded() {
    for (status, fields, expected) in [
        ("206 Partial", "Content-Type: application/json\r\nContent-Range: bytes 0-3/9\r\n", None),
        ("206 Partial", "Content-Range: bytes 0-3/9\r\n", None),
        ("200 OK", "Content-Type: text/html\r\nContent-Encoding: br\r\n", None),
        ("206 Partial", "Content-Type: application/zip\r\nContent-Range: bytes 0-3/9\r\n", Some(false)),
        ("200 OK", "Content-Type: application/zip\r\nContent-Encoding: br\r\n", Some(true)),
        ("200 OK", "Content-Type: image/png\r\n", Some(false)),
    ] {
        let mut world = World::new();
        let _upstream =
            says(&mut world, format!("HTTP/1.1 {status}\r\n{fields}Content-Length: 4\r\n\r\nbody").into_bytes());
        let run = run(&world);
        let mut child = run.open();
        let answer = child.get("/");
        match expected {
            None => {
                assert_eq!((answer.0.status, code(&answer).as_str()), (403, "policy"), "{status} {fields}");
                assert_eq!(child.get("/").0.status, 403, "the child's connection goes on");
            }
            Some(_) => assert_eq!(answer.1, b"body", "{status} {fields}"),
        }
        drop(child);
        let (events, _) = run.stop();
        let is_marked = events[0].metadata.get("unmasked").is_some();
        assert_eq!(is_marked, expected == Some(true), "{status} {fields}: {events:?}");
    }
}

#[test]
fn heads_of_partial_answers_without_a_body_pass() {
    let mut world = World::new();
    let _upstream =
        says(&mut world, b"HTTP/1.1 206 Partial\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n".to_vec());
    let run = run(&world);
    let mut child = run.open();
    child.send(&format!("HEAD / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    let (head, _) = child.response("HEAD");
    assert_eq!((head.status, head.fields.first_str("content-length")), (206, Some("4")));
}

#[test]
fn answers_without_a_credential_in_their_request_are_not_touched() {
    let mut world = World::new();
    let (saw, seen) = channel();
    let _upstream = world.upstream(move |mut peer| {
        while let Ok(head) = peer.read_request() {
            saw.send(head).expect("the test waits");
            peer.send_bytes(&answer(&format!("X-Echo: {KEY}\r\nContent-Encoding: br\r\n"), KEY.as_bytes()));
        }
    });
    let run = world.run(Mode::ConnectedAllow, &format!("[{}]", route_on("/api", "x", KEY)), Daemon::default());
    let mut child = run.open();
    child.send(&format!("GET /other HTTP/1.1\r\nHost: {HOST}\r\nAccept-Encoding: br\r\n\r\n"));
    let (head, body) = child.response("GET");
    assert_eq!((head.fields.first_str("x-echo"), text(&body).as_str()), (Some(KEY), KEY));
    assert_eq!(seen.recv().expect("saw").fields.first_str("accept-encoding"), Some("br"));
}

/// An old answer that still streams when a new secret is injected elsewhere.
#[test]
fn a_secret_is_masked_in_answers_that_began_before_it_was_injected() {
    let mut world = World::new();
    let (go, may_go) = channel::<()>();
    let may_go = Mutex::new(may_go);
    let _upstream = world.upstream(move |mut peer| {
        let head = peer.read_request().expect("a request");
        if head.target == "/other" {
            return peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        let rest = format!("other-secret, {KEY}, {PLACEHOLDER}");
        peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\nlog: ", 5 + rest.len()));
        may_go.lock().expect("not poisoned").recv().expect("the test goes on");
        peer.send(&rest);
    });
    let routes = format!("[{},{}]", route_on("/log", "x", KEY), route_on("/other", "y", "other-secret"));
    let run = world.run(Mode::ConnectedAllow, &routes, Daemon::default());
    let mut log = run.open();
    log.send(&format!("GET /log HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    let head = log.response_head();
    assert_eq!(run.open().get("/other").0.status, 200);
    go.send(()).expect("the upstream waits");
    let body = log.body(BodyDecoder::new(response_body(&head, "GET").expect("framed")));
    assert_eq!(text(&body), format!("log: ************, {STARS}, {PLACEHOLDER}"));
}

#[test]
fn nothing_is_masked_where_the_user_wants_it_so() {
    let mut world = World::new();
    let (saw, seen) = channel();
    let _upstream = world.upstream(move |mut peer: Peer| {
        saw.send(peer.read_request().expect("a request")).expect("the test waits");
        peer.send_bytes(&answer("Content-Type: text/plain\r\nContent-Encoding: br\r\n", KEY.as_bytes()));
    });
    let run = world.run_unmasked(&route_with(&bearer(KEY)));
    let mut child = run.open();
    child.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nAccept-Encoding: br\r\n\r\n"));
    let head = child.response_head();
    assert_eq!(head.fields.first_str("content-encoding"), Some("br"));
    assert_eq!(child.body(BodyDecoder::new(BodyLength::Exactly(KEY.len() as u64))), KEY.as_bytes());
    assert_eq!(seen.recv().expect("saw").fields.first_str("accept-encoding"), Some("br"));
}
