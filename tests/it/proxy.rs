//! The proxy of a run, byte by byte: what it lets through, what it refuses, what the upstream saw.

use std::sync::Mutex;
use std::sync::mpsc;

use crate::harness::{KEY, LiveRun, PLACEHOLDER, World};
use crate::upstream::{Authority, Next, Upstream};

const HOST: &str = "api.demo.test";

/// A request to [`HOST`] with further head lines.
fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n")
}

#[test]
fn the_key_replaces_whatever_the_client_sent() {
    let world = World::connected();
    let run = LiveRun::start(&world, &[]);
    let lines = format!(
        "authorization: Bearer mine\r\nAuthorization: {PLACEHOLDER}\r\nX-Api-Key: {PLACEHOLDER}\r\nX-Keep: \tas it is \r\n"
    );
    let target = format!("/v1/echo?key={PLACEHOLDER}&q=a%2Fb");
    assert_eq!(run.ask(HOST, "GET", get(&target, &lines)).status, 200);
    let seen = world.api.only_request();
    assert_eq!(seen.head.all("authorization"), [format!("Bearer {KEY}")]);
    assert_eq!(seen.target, "/v1/echo?q=a%2Fb");
    assert_eq!((seen.header("x-keep"), seen.header("x-api-key")), (Some("as it is"), None));
    assert!(!String::from_utf8_lossy(&seen.raw()).contains(PLACEHOLDER), "{seen:#?}");
}

#[test]
fn nobody_else_may_use_the_proxy() {
    let world = World::connected();
    let run = LiveRun::start(&world, &[]);
    for credentials in ["", "Proxy-Authorization: Basic YXV0aHNvbWU6d3Jvbmc=\r\n", "Proxy-Authorization: Bearer x\r\n"]
    {
        let mut wire = run.dial();
        wire.send(format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n{credentials}\r\n")).expect("it reads");
        assert_eq!(wire.any_answer("GET").expect("an answer").status, 407, "{credentials}");
    }
    assert_eq!(world.api.connections(), 0);
}

#[test]
fn names_must_agree() {
    let world = World::connected();
    let run = LiveRun::start(&world, &[]);
    let misdirected = run.ask(HOST, "GET", "GET / HTTP/1.1\r\nHost: other.demo.test\r\n\r\n");
    assert_eq!((misdirected.status, misdirected.head.field("x-authsome-error")), (421, Some("misdirected")));
    // Another name in the handshake: refused there or right after it, but never injected.
    if let Ok(mut tunnel) = run.tunnel_as(&format!("{HOST}:443"), "other.demo.test") {
        let _ = tunnel.send("GET /sni HTTP/1.1\r\nHost: other.demo.test\r\n\r\n");
        assert!(tunnel.answer("GET").is_ok_and(|answer| answer.status == 421));
    }
    assert_eq!(world.api.requests().len(), 0);
}

#[test]
fn what_two_readers_could_take_differently_is_refused() {
    let world = World::connected();
    let run = LiveRun::start(&world, &[]);
    let post = |lines: &str, body: &str| format!("POST /v1/echo HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n{body}");
    let cases = [
        ("two hosts", get("/", &format!("Host: {HOST}\r\n")), 400),
        ("two lengths", post("Content-Length: 1\r\nContent-Length: 2\r\n", "ab"), 400),
        ("length and coding", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400),
        ("unknown coding", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 400),
        ("bad length", post("Content-Length: +1\r\n", "a"), 400),
        ("bare LF", format!("GET / HTTP/1.1\nHost: {HOST}\n\n"), 400),
        ("folded line", get("/", "X-A: 1\r\n 2\r\n"), 400),
        ("NUL", get("/", "X-A: 1\0\r\n"), 400),
        ("space before colon", get("/", "X-A : 1\r\n"), 400),
        ("absolute form elsewhere", get("https://other.demo.test/", ""), 400),
        ("TRACE", format!("TRACE / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"), 405),
        ("CONNECT inside", format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n"), 405),
        ("long head", get("/", &format!("X-A: {}\r\n", "a".repeat(70_000))), 431),
        ("many fields", get("/", &"X-A: 1\r\n".repeat(201)), 431),
    ];
    for (what, request, status) in cases {
        let answer = run.ask(HOST, "GET", request);
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
    let mut tunnel = run.tunnel(HOST);
    tunnel.send(post("Transfer-Encoding: chunked\r\n", "zz\r\n")).expect("it reads");
    let answer = tunnel.answer("POST");
    assert!(answer.as_ref().map_or(true, |answer| answer.status == 400), "bad chunk size: {answer:?}");
    assert!(world.api.requests().iter().all(|seen| !seen.complete), "{:#?}", world.api.requests());
}

#[test]
fn answers_of_every_framing_arrive_whole() {
    let world = World::connected();
    let run = LiveRun::start(&world, &[]);
    let mut tunnel = run.tunnel(HOST);
    let mut ask = |method: &str, path: &str| {
        tunnel.send(format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).expect("it reads");
        tunnel.answer(method).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    };
    assert_eq!(ask("GET", "/small").text(), "ok");
    let head = ask("HEAD", "/small");
    assert_eq!((head.status, head.head.field("content-length")), (200, Some("2")));
    assert_eq!(ask("GET", "/204").status, 204);
    assert_eq!((ask("GET", "/304").status, ask("GET", "/small").status), (304, 200));
    let chunked = ask("GET", "/chunked");
    assert_eq!(chunked.text(), "hello, world");
    assert!(String::from_utf8_lossy(&chunked.trailers).to_ascii_lowercase().contains("x-sum: 12"), "{chunked:?}");
    assert_eq!(ask("GET", "/hints").text(), "after a hint");
    assert_eq!(ask("GET", "/bytes/300000").body.len(), 300_000);
    assert_eq!(ask("GET", "/close").text(), "until the end");
}

#[test]
fn requests_of_every_framing_arrive_whole() {
    let world = World::connected();
    let run = LiveRun::start(&world, &[]);
    let mut tunnel = run.tunnel(HOST);
    let chunked = "POST /in HTTP/1.1\r\nHost: api.demo.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5;x=y\r\nhello\r\n4\r\n you\r\n0\r\nX-Sum: 8\r\nAuthorization: smuggled\r\n\r\n";
    tunnel.send(chunked).expect("it reads");
    let answer = tunnel.answer("POST").expect("an answer");
    assert_eq!((answer.status, &answer.json()["body"]), (200, &"hello you".into()), "{}", answer.text());
    let seen = &world.api.wait_for("/in", 1)[0];
    let trailers = String::from_utf8_lossy(&seen.trailers).to_ascii_lowercase();
    assert!(trailers.contains("x-sum: 8") && !trailers.contains("smuggled"), "{trailers}");

    let expect = format!("PUT /put HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    tunnel.send(expect).expect("it reads");
    assert_eq!(tunnel.any_answer("PUT").expect("an interim answer").status, 100);
    tunnel.send("abc").expect("it reads");
    assert_eq!(tunnel.answer("PUT").expect("an answer").json()["body"], "abc");

    // Two requests in one write: answered in order.
    tunnel.send([get("/v1/echo?n=1", ""), get("/v1/echo?n=2", "")].concat()).expect("it reads");
    for n in 1..=2 {
        let answer = tunnel.answer("GET").expect("an answer");
        assert_eq!(answer.json()["target"], format!("/v1/echo?n={n}"));
    }
}

#[test]
fn an_early_answer_does_not_end_the_upload() {
    let world = World::connected();
    let run = LiveRun::start(&world, &[]);
    let mut tunnel = run.tunnel(HOST);
    let body = vec![b'x'; 2 << 20];
    tunnel
        .send(format!("POST /early HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n", body.len()))
        .expect("head");
    assert_eq!(tunnel.answer("POST").expect("an answer before the body").status, 413);
    tunnel.send(&body).expect("the body is still taken");
    assert_eq!(world.api.wait_for("/early", 1)[0].body.len(), body.len());
    tunnel.send(get("/small", "")).expect("it reads");
    assert_eq!(tunnel.answer("GET").expect("the connection goes on").text(), "ok");
}

#[test]
fn events_arrive_while_the_answer_is_still_open() {
    let world = World::connected();
    let (next, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    world.api.on("/events", move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")?;
        for event in ["data: one\n\n", "data: two\n\n"] {
            exchange.send(event)?;
            let _ = gate.lock().map(|gate| gate.recv());
        }
        Ok(Next::Close)
    });
    let run = LiveRun::start(&world, &[]);
    let mut tunnel = run.tunnel(HOST);
    tunnel.send(get("/events", "")).expect("it reads");
    let head = tunnel.head().expect("a head").expect("a head before the first event is over");
    assert_eq!(head.word(1), "200");
    let mut until = |text: &str| {
        while !String::from_utf8_lossy(&tunnel.line().expect("a line")).contains(text) {}
        next.send(()).expect("the upstream waits");
    };
    until("data: one");
    until("data: two");
}

#[test]
fn an_upgraded_connection_is_copied_raw() {
    let world = World::connected();
    let run = LiveRun::start(&world, &[]);
    let mut tunnel = run.tunnel(HOST);
    tunnel.send(get("/upgrade", "Connection: Upgrade\r\nUpgrade: websocket\r\n")).expect("it reads");
    assert_eq!(tunnel.any_answer("GET").expect("an answer").status, 101);
    for line in ["\0\u{1}raw\r\n", "again\n"] {
        tunnel.send(line).expect("it reads");
        assert_eq!(tunnel.line().expect("an echo"), line.as_bytes());
    }
    let seen = world.api.only_request();
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
}

#[test]
fn an_echoed_key_is_masked_in_every_form() {
    let world = World::connected();
    let forms = crate::leaks::forms(KEY);
    let body = forms.iter().map(|(_, form)| String::from_utf8_lossy(form).into_owned()).collect::<Vec<_>>().join(" | ");
    let length = body.len();
    world.api.on("/forms", move |exchange| {
        exchange.respond("200 OK", &format!("content-type: text/plain\r\nx-echo: {KEY}\r\n"), body.as_bytes())
    });
    let run = LiveRun::start(&world, &[]);
    let answer = run.get(HOST, "/forms");
    assert_eq!(answer.body.len(), length, "as many stars as bytes");
    for (what, form) in &forms {
        let found = answer.body.windows(form.len()).any(|window| window == form);
        assert!(!found, "{what} came through: {}", answer.text());
    }
    assert!(!answer.head.raw.windows(KEY.len()).any(|window| window == KEY.as_bytes()), "{:?}", answer.head);

    let open = LiveRun::start(&world, &["--no-redact"]);
    assert!(open.get(HOST, "/forms").text().contains(KEY));
}

#[test]
fn deny_modes_answer_inside_the_tunnel_and_dial_nothing() {
    let world = World::connected();
    let run = LiveRun::start(&world, &["--mode", "connected_deny"]);
    let denied = run.get("stranger.test", "/");
    assert_eq!((denied.status, denied.head.field("x-authsome-error")), (403, Some("no_match")));
    let reason = denied.json();
    assert_eq!(reason["error"], "no_match");
    assert!(reason["message"].is_string() && reason["hint"].is_string(), "{reason}");
    assert_eq!(world.api.connections(), 0);
    assert_eq!(run.get(HOST, "/small").status, 200);

    let run = LiveRun::start(&world, &["--mode", "connected_deny", "--allow-host", "stranger.test"]);
    let (answer, _) = run.connect("stranger.test:443");
    assert_eq!(answer.status, 200);
}

#[test]
fn an_upstream_that_is_not_there_is_a_502_with_a_reason() {
    let mut world = World::connected();
    let run = LiveRun::start(&world, &[]);
    world.api.stop();
    let answer = run.get(HOST, "/");
    assert_eq!((answer.status, answer.head.field("x-authsome-error")), (502, Some("upstream_unreachable")));
    assert!(answer.json()["message"].as_str().is_some_and(|text| text.contains(HOST)), "{}", answer.text());
}

#[test]
fn an_upstream_with_a_strange_certificate_never_sees_the_key() {
    let world = World::connected();
    let impostor = Upstream::start(&Authority::new(), &[HOST]);
    let run = LiveRun::start_with(&world, &[], |command| command.env("AUTHSOME_RESOLVE", impostor.resolve()));
    let answer = run.get(HOST, "/");
    assert_eq!((answer.status, answer.head.field("x-authsome-error")), (502, Some("upstream_tls")));
    assert_eq!(impostor.requests().len(), 0);

    let misnamed = Upstream::start(&world.authority, &["other.demo.test"]);
    let resolve = format!("{HOST}:443:{}", misnamed.address());
    let run = LiveRun::start_with(&world, &[], |command| command.env("AUTHSOME_RESOLVE", resolve));
    assert_eq!(run.get(HOST, "/").status, 502);
    assert_eq!(misnamed.requests().len(), 0);
}

#[test]
fn loopback_is_out_of_reach_in_every_disguise() {
    let world = World::connected();
    let plain = Upstream::start_plain();
    let port = plain.address().port();
    let run = LiveRun::start(&world, &[]);
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0.0.0.0", "0x7f.1"] {
        let (answer, _) = run.connect(&format!("{host}:{port}"));
        assert!(matches!(answer.status, 400 | 403 | 502), "{host}: {answer:?}");
        let mut wire = run.dial();
        let authorization = run.authorization();
        let head = format!(
            "GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\nProxy-Authorization: {authorization}\r\n\r\n"
        );
        wire.send(head).expect("it reads");
        let answer = wire.any_answer("GET").expect("an answer");
        assert!(matches!(answer.status, 400 | 403 | 502), "{host}: {answer:?}");
    }
    assert_eq!(plain.connections(), 0);
}

#[test]
fn plain_http_is_forwarded_without_the_key() {
    let world = World::connected();
    let plain = Upstream::start_plain();
    let resolve = format!("plain.test:80:{0},{HOST}:80:{0}", plain.address());
    let run = LiveRun::start_with(&world, &[], |command| command.env("AUTHSOME_RESOLVE", &resolve));
    for host in ["plain.test", HOST] {
        let mut wire = run.dial();
        let authorization = run.authorization();
        let head = format!(
            "GET http://{host}/v1/echo HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: {authorization}\r\n\r\n"
        );
        wire.send(head).expect("it reads");
        assert_eq!(wire.answer("GET").expect("an answer").status, 200, "{host}");
    }
    for seen in plain.wait_for("/v1/echo", 2) {
        let raw = String::from_utf8_lossy(&seen.raw()).into_owned();
        assert!(raw.starts_with("GET /v1/echo HTTP/1.1\r\n"), "{raw}");
        assert!(!raw.to_ascii_lowercase().contains("authorization"), "{raw}");
    }
}

#[test]
fn a_kept_connection_has_one_connection_behind_it() {
    let world = World::connected();
    let run = LiveRun::start(&world, &[]);
    let mut tunnel = run.tunnel(HOST);
    for _ in 0..10 {
        tunnel.send(get("/small", "")).expect("it reads");
        assert_eq!(tunnel.answer("GET").expect("an answer").status, 200);
    }
    assert_eq!(world.api.connections(), 1);
}

#[test]
#[ignore = "a pool across connections of the child is a change of its own"]
fn connections_of_the_child_share_a_pool() {
    let world = World::connected();
    let run = LiveRun::start(&world, &[]);
    for _ in 0..10 {
        assert_eq!(run.get(HOST, "/small").status, 200); // a fresh connection of the child each time
    }
    assert!(world.api.connections() < 10, "{} upstream connections for 10 requests", world.api.connections());
}

#[test]
fn two_hundred_connections_at_once() {
    let world = World::connected();
    let run = LiveRun::start(&world, &[]);
    let mut tunnels: Vec<_> = (0..200).map(|_| run.tunnel(HOST)).collect();
    for tunnel in &mut tunnels {
        tunnel.send(get("/small", "")).expect("it reads");
    }
    for tunnel in &mut tunnels {
        assert_eq!(tunnel.answer("GET").expect("an answer").status, 200);
    }
}
