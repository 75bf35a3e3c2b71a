//! The measuring instrument, measured: plain curl against the upstream, without the product between them.

use crate::harness::{Scratch, TestCommand};
use crate::upstream::{Authority, Next, Upstream};

/// curl straight to the upstream.
fn curl(api: &Upstream, authority: &Authority, scratch: &Scratch) -> TestCommand {
    let ca = scratch.file("ca.pem", authority.pem());
    TestCommand::new("curl")
        .env_clear()
        .args(["-sS", "--http1.1", "--noproxy", "*", "--connect-to"])
        .arg(format!("::{}", api.address()))
        .arg("--cacert")
        .arg(ca)
}

#[test]
fn it_records_every_byte_and_answers_by_path() {
    let (authority, scratch) = (Authority::new(), Scratch::new());
    let api = Upstream::start(&authority, &["api.demo.test", "other.demo.test"]);
    let curl = || curl(&api, &authority, &scratch);

    let echo = curl().args(["-d", "a=1", "https://other.demo.test/v1/echo?x=1"]).run().succeeds().json();
    assert_eq!((&echo["method"], &echo["body"]), (&"POST".into(), &"a=1".into()));
    let seen = api.only_request();
    assert_eq!(seen.sni.as_deref(), Some("other.demo.test"));
    assert!(seen.raw().starts_with(b"POST /v1/echo?x=1 HTTP/1.1\r\nHost: other.demo.test\r\n"), "{seen:?}");
    assert!(seen.raw().ends_with(b"\r\n\r\na=1"), "{seen:?}");

    curl().arg("https://api.demo.test/chunked").run().succeeds().says("hello, world");
    curl().arg("https://api.demo.test/close").run().succeeds().says("until the end");
    curl().args(["-I", "https://api.demo.test/small"]).run().succeeds().says("content-length: 2");
    curl().args(["-w", "%{http_code}", "https://api.demo.test/204"]).run().succeeds().says("204");
    curl().arg("https://api.demo.test/hints").run().succeeds().says("after a hint");
    curl().args(["-d", "x", "https://api.demo.test/early"]).run().succeeds().says("too much");
    let expect = ["-H", "Expect: 100-continue", "-d", "x", "-v", "https://api.demo.test/v1/echo"];
    curl().args(expect).run().succeeds().complains("100 Continue");
    let chunked = ["-H", "Transfer-Encoding: chunked", "-d", "abc", "https://api.demo.test/v1/chunked-in"];
    curl().args(chunked).run().succeeds();
    let seen = api.wait_for("/v1/chunked-in", 1);
    assert_eq!((seen[0].raw_body.as_slice(), seen[0].body.as_slice()), (&b"3\r\nabc\r\n0\r\n\r\n"[..], &b"abc"[..]));
    let bytes = curl().arg("https://api.demo.test/bytes/200000").run().succeeds();
    assert_eq!(bytes.stdout.len(), 200_000);
}

#[test]
fn answers_can_be_scripted_and_a_stopped_upstream_refuses() {
    let (authority, scratch) = (Authority::new(), Scratch::new());
    let mut api = Upstream::start(&authority, &["api.demo.test"]);
    api.on_raw("/odd", "HTTP/1.0 299 Odd\r\n\r\nodd");
    api.on("/gone", |_| Ok(Next::Close));
    curl(&api, &authority, &scratch).arg("https://api.demo.test/odd").run().succeeds().says("odd");
    curl(&api, &authority, &scratch).arg("https://api.demo.test/gone").run().exits(52);
    api.stop();
    curl(&api, &authority, &scratch).arg("https://api.demo.test/odd").run().exits(7);
}

#[test]
fn a_stranger_does_not_trust_it() {
    let (authority, scratch) = (Authority::new(), Scratch::new());
    let api = Upstream::start(&authority, &["api.demo.test"]);
    curl(&api, &Authority::new(), &scratch).arg("https://api.demo.test/").run().exits(60);
}
