//! Bodies, framings, and everything that comes early, late or not at all.

use std::io::Write;
use std::sync::mpsc::channel;
use std::thread;

use crate::http1::{BodyDecoder, BodyLength};
use crate::proxy::testing::{HOST, Peer, World, authorization, code};

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 31 + at / 251) % 256).expect("a byte")).collect()
}

fn post(fields: &str) -> String {
    format!("POST /p HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n")
}

#[test]
fn bodies_of_some_megabytes_pass_whole_in_both_framings() {
    let mut world = World::new();
    let upstream = world.upstream(|mut peer| {
        while let Ok(head) = peer.read_request() {
            let length = crate::http1::request_body(&head).expect("framed");
            let body = peer.body(BodyDecoder::new(length));
            if length == BodyLength::Chunked {
                peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                for piece in body.chunks(70_001) {
                    peer.send(&format!("{:x};ext=1\r\n", piece.len()));
                    peer.send_bytes(piece);
                    peer.send("\r\n");
                }
                peer.send("0\r\n\r\n");
            } else {
                peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
                peer.send_bytes(&body);
            }
        }
    });
    let run = world.run_with_key();
    let body = pattern(5_000_000);
    let mut child = run.open();
    child.send(&post(&format!("Content-Length: {}\r\n", body.len())));
    child.send_bytes(&body);
    assert!(child.response("POST").1 == body);
    child.send(&post("Transfer-Encoding: chunked\r\n"));
    for piece in body.chunks(99_991) {
        child.send(&format!("{:X}\r\n", piece.len()));
        child.send_bytes(piece);
        child.send("\r\n");
    }
    child.send("0\r\n\r\n");
    assert!(child.response("POST").1 == body);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn an_answer_before_the_body_does_not_end_the_upload() {
    let mut world = World::new();
    let (got, whole) = channel();
    let upstream = world.upstream(move |mut peer| {
        let head = peer.read_request().expect("a head");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
        got.send(peer.body(BodyDecoder::new(crate::http1::request_body(&head).expect("framed")))).expect("waits");
        peer.request();
        peer.send("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let run = world.run_with_key();
    let body = pattern(4_000_000);
    let mut child = run.open();
    child.send(&post(&format!("Content-Length: {}\r\n", body.len())));
    child.send_bytes(&body);
    assert_eq!(child.response("POST").1, b"early");
    assert!(whole.recv().expect("the upstream read on") == body);
    assert_eq!(child.get("/").0.status, 204, "both connections go on");
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn an_upstream_that_answers_and_hangs_up_does_not_cost_the_child_its_answer() {
    let mut world = World::new();
    let _upstream = world.upstream(|mut peer| {
        peer.read_request().expect("a head");
        peer.send("HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
    });
    let run = world.run_with_key();
    let body = pattern(8_000_000);
    let mut child = run.open();
    child.send(&post(&format!("Content-Length: {}\r\n", body.len())));
    child.send_bytes(&body); // all of it, before a look at the answer
    let (head, answer) = child.response("POST");
    assert_eq!((head.status, answer.as_slice()), (413, &b"big"[..]));
}

#[test]
fn both_directions_stream_at_once_beyond_what_sockets_hold() {
    let mut world = World::new();
    let _upstream = world.plain_upstream(HOST, 80, |mut peer| {
        peer.read_request().expect("a head");
        peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        // Writes twice what it reads, as it reads.
        while let Ok(count @ 1..) = peer.buffer.fill(&mut peer.stream, 64 * 1024) {
            let piece = peer.buffer.unread().to_vec();
            peer.buffer.consume(count.max(piece.len()));
            peer.send_bytes(&[piece.as_slice(), &piece].concat());
            if piece.ends_with(b"0\r\n\r\n") {
                return;
            }
        }
    });
    let run = world.run_with_key();
    let socket = run.dial();
    let mut writer = socket.try_clone().expect("clones");
    let sender = thread::spawn(move || {
        let fields = format!("Host: {HOST}\r\nTransfer-Encoding: chunked\r\n{}", authorization());
        write!(writer, "POST http://{HOST}/ HTTP/1.1\r\n{fields}\r\n\r\n").expect("sends");
        for _ in 0..128 {
            write!(writer, "10000\r\n").expect("sends");
            writer.write_all(&vec![7; 65536]).expect("sends");
            write!(writer, "\r\n").expect("sends");
        }
        write!(writer, "0\r\n\r\n").expect("sends");
    });
    let mut child = Peer::new(socket);
    assert_eq!(child.response_head().status, 200);
    assert!(child.rest().len() >= 2 * 128 * 65536);
    sender.join().expect("no panic");
}

#[test]
fn events_pass_as_they_come() {
    let mut world = World::new();
    let (acknowledge, acknowledged) = channel::<()>();
    let acknowledged = std::sync::Mutex::new(acknowledged);
    let _upstream = world.upstream(move |mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..3 {
            peer.send("9\r\ndata: 1\n\n\r\n");
            // The next event waits until the child has this one.
            acknowledged.lock().expect("not poisoned").recv().expect("the child got it");
        }
        peer.send("0\r\n\r\n");
    });
    let run = world.run_with_key();
    let mut child = run.open();
    child.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert_eq!(child.response_head().status, 200);
    for _ in 0..3 {
        while !child.buffer.unread().ends_with(b"9\r\ndata: 1\n\n\r\n") {
            assert_ne!(child.buffer.fill(&mut child.stream, 1024).expect("reads"), 0);
        }
        let count = child.buffer.unread().len();
        child.buffer.consume(count);
        acknowledge.send(()).expect("the upstream waits");
    }
    assert_eq!(child.body(BodyDecoder::new(BodyLength::Chunked)), b"");
}

#[test]
fn continue_is_passed_on_and_an_answer_in_its_place_ends_the_connection() {
    let mut world = World::new();
    let _upstream = world.upstream(|mut peer| {
        let head = peer.read_request().expect("a head");
        assert_eq!(head.fields.first_str("expect"), Some("100-continue"));
        if head.target == "/no" {
            peer.send("HTTP/1.1 413 Too Much\r\nContent-Length: 0\r\n\r\n");
            peer.rest();
            return;
        }
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(peer.body(BodyDecoder::new(BodyLength::Exactly(5))), b"hello");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let run = world.run_with_key();
    let mut child = run.open();
    child.send(&post("Expect: 100-continue\r\nContent-Length: 5\r\n"));
    assert_eq!(child.response_head().status, 100);
    child.send("hello");
    assert_eq!(child.response("POST").0.status, 200);
    let mut child = run.open();
    child.send(&format!("POST /no HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
    let (head, _) = child.response("POST");
    assert_eq!((head.status, head.keeps_alive()), (413, false));
    assert!(child.is_closed());
}

#[test]
fn answers_without_bodies_interim_ones_and_pipelines_keep_their_order() {
    let mut world = World::new();
    let upstream = world.upstream(|mut peer| {
        while let Ok(head) = peer.read_request() {
            peer.send(match head.target.as_str() {
                "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: \"1\"\r\n\r\n",
                "/hints" => {
                    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nh"
                }
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast",
            });
        }
    });
    let run = world.run_with_key();
    let mut child = run.open();
    let requests = [("HEAD", "/head"), ("GET", "/204"), ("GET", "/304"), ("GET", "/hints"), ("GET", "/last")];
    let all: Vec<String> =
        requests.iter().map(|(method, path)| format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).collect();
    child.send(&all.concat());
    let (head, body) = child.response("HEAD");
    assert_eq!((head.fields.first_str("content-length"), body.len()), (Some("9"), 0));
    assert_eq!(child.response("GET").0.status, 204);
    let (head, body) = child.response("GET");
    assert_eq!((head.status, head.fields.first_str("content-length"), body.len()), (304, Some("9"), 0));
    assert_eq!(child.response_head().status, 103);
    assert_eq!(child.response("GET").1, b"h");
    assert_eq!(child.response("GET").1, b"last");
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn trailers_pass_but_those_that_carry_credentials() {
    let mut world = World::new();
    let (saw, seen) = channel();
    let _upstream = world.upstream(move |mut peer| {
        let head = peer.read_request().expect("a head");
        let mut raw = Vec::new();
        loop {
            raw.extend_from_slice(peer.buffer.unread());
            let count = peer.buffer.unread().len();
            peer.buffer.consume(count);
            if raw.ends_with(b"\r\n\r\n") {
                break;
            }
            peer.buffer.fill(&mut peer.stream, 1024).expect("reads");
        }
        saw.send((head, String::from_utf8(raw).expect("UTF-8"))).expect("waits");
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
        peer.send("1\r\na\r\n0\r\nX-Sum: 9\r\nSet-Cookie: a=b\r\n\r\n");
    });
    let run = world.run_with_key();
    let mut child = run.open();
    child.send(&post("Transfer-Encoding: chunked\r\nTE: trailers\r\n"));
    child.send("3\r\nabc\r\n0\r\nX-Sum: 1\r\nAuthorization: Bearer mine\r\n\r\n");
    assert_eq!(child.response_head().status, 200);
    let answer = String::from_utf8(child_until(&mut child, b"\r\n\r\n")).expect("UTF-8");
    assert_eq!(answer, "1\r\na\r\n0\r\nX-Sum: 9\r\n\r\n");
    let (head, raw) = seen.recv().expect("saw");
    assert_eq!(raw, "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n");
    assert_eq!(head.fields.first_str("te"), Some("trailers"));
}

fn child_until(child: &mut Peer, end: &[u8]) -> Vec<u8> {
    while !child.buffer.unread().ends_with(end) {
        assert_ne!(child.buffer.fill(&mut child.stream, 1024).expect("reads"), 0, "ended early");
    }
    child.buffer.unread().to_vec()
}

#[test]
fn old_clients_get_bodies_that_end_with_the_connection() {
    let mut world = World::new();
    let _upstream = world.upstream(|mut peer| {
        let (head, _) = peer.request();
        assert_eq!(head.fields.first_str("host"), Some(HOST));
        peer.send(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        );
    });
    let run = world.run_with_key();
    let mut child = run.open();
    child.send("GET / HTTP/1.0\r\n\r\n");
    let (head, body) = child.response("GET");
    assert_eq!((head.status, head.keeps_alive(), body.as_slice()), (200, false, &b"abc"[..]));
    assert!(!head.fields.contains("transfer-encoding"));
}

#[test]
fn an_answer_that_is_cut_short_looks_so() {
    let mut world = World::new();
    let (begun, has_begun) = channel::<()>();
    let has_begun = std::sync::Mutex::new(has_begun);
    let _upstream = world.upstream(move |mut peer| {
        let (head, _) = peer.request();
        peer.send(match head.target.as_str() {
            "/length" => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            "/chunks" | "/bad" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            _ => "HTTP/1.1 200 OK\r\n\r\nabc",
        });
        has_begun.lock().expect("not poisoned").recv().expect("the child has the head");
        if head.target == "/bad" {
            peer.send("zz\r\n");
        }
        // Dropped without close_notify.
    });
    let run = world.run_with_key();
    for path in ["/length", "/chunks", "/bad", "/until-close"] {
        let mut child = run.open();
        child.send(&format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        assert_eq!(child.response_head().status, 200);
        begun.send(()).expect("the upstream waits");
        let end = loop {
            match child.buffer.fill(&mut child.stream, 1024) {
                Ok(0) => break "clean",
                Ok(_) => {}
                Err(_) => break "cut",
            }
        };
        assert_eq!(end, "cut", "{path}");
        assert!(!child.buffer.unread().ends_with(b"0\r\n\r\n"), "{path}");
    }
}

#[test]
fn a_body_that_breaks_off_or_is_ill_framed_never_looks_whole_upstream() {
    let mut world = World::new();
    let (saw, seen) = channel();
    let (begun, has_begun) = channel();
    let _upstream = world.upstream(move |mut peer| {
        peer.read_request().expect("a head");
        begun.send(()).expect("waits");
        let mut raw = Vec::new();
        while let Ok(1..) = peer.buffer.fill(&mut peer.stream, 1024) {
            raw = peer.buffer.unread().to_vec();
        }
        saw.send(raw).expect("waits");
    });
    let run = world.run_with_key();
    let mut child = run.open();
    child.send(&post("Transfer-Encoding: chunked\r\n"));
    child.send("3\r\nabc\r\n");
    has_begun.recv().expect("the upstream has the head");
    child.send("-1\r\n");
    let answer = child.response("POST");
    assert_eq!((answer.0.status, code(&answer).as_str()), (400, "bad_request"));
    assert!(!seen.recv().expect("saw").ends_with(b"0\r\n\r\n"));
    let mut child = run.open();
    child.send(&post("Transfer-Encoding: chunked\r\n"));
    child.send("3\r\nabc\r\n");
    has_begun.recv().expect("the upstream has the head");
    drop(child);
    assert!(!seen.recv().expect("saw").ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_kept_connection_that_dies_is_replaced_where_that_is_safe() {
    let mut world = World::new();
    let upstream = world.upstream(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let _ = peer.read_request(); // and no answer
    });
    let run = world.run_with_key();
    let mut child = run.open();
    assert_eq!(child.get("/1").0.status, 200);
    assert_eq!(child.get("/2").0.status, 200, "sent again on a new connection");
    assert_eq!(upstream.connections(), 2);
    child.send(&post("Content-Length: 2\r\n"));
    child.send("hi");
    let answer = child.response("POST");
    assert_eq!((answer.0.status, code(&answer).as_str()), (502, "upstream_unreachable"), "it may have happened");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn what_an_upstream_sends_beyond_its_answer_answers_nothing() {
    let mut world = World::new();
    let (sent, was_sent) = channel();
    let upstream = world.upstream(move |mut peer| {
        let (head, _) = peer.request();
        let (good, evil) =
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        let good = format!("{good}{}", &head.target);
        if head.target == "/1" {
            peer.send(&format!("{good}{evil}"));
        } else {
            peer.send(&good);
            peer.send(evil);
        }
        sent.send(()).expect("the test waits");
        peer.rest();
    });
    let run = world.run_with_key();
    let mut child = run.open();
    for path in ["/1", "/2", "/3"] {
        assert_eq!(child.get(path).1, path.as_bytes());
        was_sent.recv().expect("all of it is there");
    }
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn unacceptable_answers_are_refused() {
    let mut world = World::new();
    let _upstream = world.upstream(|mut peer| {
        let (head, _) = peer.request();
        peer.send(match head.target.as_str() {
            "/both" => "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "/two" => "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
            "/lf" => "HTTP/1.1 200 OK\nContent-Length: 3\n\n",
            "/chunk" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "/half" => "HTTP/1.1 200 OK\r\nConte",
            "/407" => "HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n",
            "/h2" => "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            _ => "",
        });
    });
    let run = world.run_with_key();
    for path in ["/both", "/two", "/lf", "/chunk", "/half", "/407", "/h2", "/nothing"] {
        let answer = run.open().get(path);
        assert_eq!((answer.0.status, code(&answer).as_str()), (502, "upstream_unreachable"), "{path}");
    }
}

#[test]
fn an_upstream_learns_that_the_child_has_gone() {
    let mut world = World::new();
    let (gone, noticed) = channel();
    let _upstream = world.upstream(move |mut peer| {
        peer.request();
        gone.send(peer.is_closed()).expect("waits"); // it would think for minutes
    });
    let run = world.run_with_key();
    let mut child = run.open();
    child.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    drop(child);
    assert!(noticed.recv().expect("noticed"));
}
