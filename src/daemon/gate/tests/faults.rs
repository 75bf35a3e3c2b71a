//! What bad clients get.

use std::time::Instant;

use super::*;
use crate::limits::{DAEMON_LINGER_BYTES, HEAD_BYTES};

/// More than the kernel's buffers of one loopback connection hold.
const OVER_THE_BUFFERS: usize = 64 << 20;

fn short() -> Limits {
    let brief = Duration::from_millis(200);
    Limits { head: brief, body: brief, idle: brief, write: brief, ..Limits::default() }
}

/// Writes `bytes` again and again until the gate takes no more, or `limit` bytes went.
fn pour(client: &Client, bytes: &[u8], limit: usize) -> usize {
    let mut sent = 0;
    client.stream.set_write_timeout(Some(Duration::from_millis(500))).expect("sets");
    while sent < limit {
        match (&client.stream).write(bytes) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
    }
    sent
}

#[test]
fn malformed_requests_are_answered_and_the_connection_ends() {
    let house = House::open(Limits::default());
    let body = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\nhello\r\n");
    let cases = [
        ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        ("\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n".to_owned(), 400),
        ("GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 405),
        (body("Content-Length: -1"), 400),
        (body("Content-Length: +5"), 400),
        (body("Content-Length: 5, 5"), 400),
        (body("Content-Length: 5\r\nContent-Length: 6"), 400),
        (body("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400),
        (body("Transfer-Encoding: gzip, chunked"), 400),
        (body("Transfer-Encoding: chunked"), 400),
        (body("Content-Length: 99999999999999999999"), 413),
        (body("Content-Length: 9999999999999999999"), 413),
        (body("Content-Length: 1048577"), 413),
    ];
    for (bytes, status) in cases {
        let mut client = house.visit();
        client.send(bytes.as_bytes());
        let (head, body) = client.answer("GET");
        assert_eq!(head.status, status, "{bytes:?}");
        assert_eq!(head.fields.first("connection"), Some(&b"close"[..]), "{bytes:?}");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert!(body["detail"].is_string(), "{bytes:?}: {body}");
        drop(client.stream.shutdown(std::net::Shutdown::Write));
        assert!(client.is_closed(), "{bytes:?}");
    }
}

#[test]
fn a_head_without_end_is_cut_off() {
    let house = House::open(Limits::default());
    let mut client = house.visit();
    let sent = pour(&client, &vec![b'a'; 1 << 16], 256 << 20);
    assert!(sent <= HEAD_BYTES + DAEMON_LINGER_BYTES + OVER_THE_BUFFERS, "{sent} bytes were taken");
    // The client never stops, so what it gets is the answer, or a reset when it sends for longer than anybody listens.
    assert!(client.try_answer("GET").map_or(true, |(head, _)| head.status == 431));
    assert_eq!(house.status(&vec![b'a'; HEAD_BYTES + 1]), 431);
}

#[test]
fn heads_over_a_cap_are_refused() {
    let house = House::open(Limits::default());
    let fields = "X: y\r\n".repeat(5_000);
    assert_eq!(house.status(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes()), 431);
    let long = "y".repeat(1 << 20);
    assert_eq!(house.status(format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n").as_bytes()), 431);
}

#[test]
fn a_chunked_body_over_the_cap_is_refused() {
    let house = House::open(Limits { body_bytes: 1000, ..Limits::default() });
    let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(11));
    assert_eq!(house.status(request.as_bytes()), 413);
}

#[test]
fn a_client_that_never_reads_is_not_read_from_and_others_are_served() {
    let house = House::open(Limits::default());
    let greedy = house.visit();
    let requests = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    let sent = pour(&greedy, &requests, 400_000 * requests.len() / 100);
    assert!(sent < 400_000 * requests.len() / 100, "back-pressure: {sent} bytes were taken");
    assert_eq!(house.visit().get("/other")["target"], "/other");
}

#[test]
fn a_client_that_never_reads_is_let_go() {
    let house = House::with_handler(short(), |_| Response::json(&json!({"text": "x".repeat(15_000_000)})));
    let mut client = house.visit();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.stream.peek(&mut [0]).expect("the answer begins");
    wait_until("the seat is free", || house.seats().count() == 0);
    assert!(client.try_answer("GET").is_err(), "the answer was cut off");
}

#[test]
fn a_slow_head_is_answered_with_408_however_it_trickles() {
    let house = House::open(short());
    for start in ["", "GET /", "GET / HTTP/1.1\r\nHost: a\r\nX"] {
        let mut client = house.visit();
        client.send(start.as_bytes());
        let began = Instant::now();
        let status = trickle(&mut client, b"G");
        assert_eq!(status, Some(408), "{start:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "the deadline is for the whole head");
    }
}

/// Sends a byte every few milliseconds until the gate answers.
fn trickle(client: &mut Client, byte: &[u8]) -> Option<u16> {
    client.stream.set_read_timeout(Some(Duration::from_millis(20))).expect("sets");
    let mut answer = [0; 12];
    for _ in 0..1000 {
        if (&client.stream).write(byte).is_err() {
            return None;
        }
        if client.stream.peek(&mut answer).is_ok_and(|count| count == answer.len()) {
            return std::str::from_utf8(&answer[9..]).ok()?.parse().ok();
        }
    }
    None
}

#[test]
fn a_slow_body_is_answered_with_408() {
    let house = House::open(short());
    let mut client = house.visit();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    assert_eq!(trickle(&mut client, b"x"), Some(408));
}

#[test]
fn who_says_nothing_is_let_go_without_a_word() {
    let house = House::open(short());
    let mut silent = house.visit();
    assert!(silent.is_closed());
    let mut idle = house.visit();
    idle.get("/");
    assert!(idle.is_closed());
    assert_eq!(house.visit().get("/")["target"], "/", "the gate itself has no deadline");
}

#[test]
fn a_client_that_breaks_off_leaves_nothing_behind() {
    let house = House::open(Limits::default());
    for start in
        ["GET", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"]
    {
        house.visit().send(start.as_bytes());
    }
    wait_until("all seats are free", || house.seats().count() == 0);
    assert_eq!(house.visit().get("/")["target"], "/");
}

/// Waits for a condition that comes about by itself.
pub(super) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}: never");
        std::thread::yield_now();
    }
}
