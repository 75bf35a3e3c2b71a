//! Calls against a scripted server on loopback.

use std::io::Write as _;
use std::net::TcpListener;
use std::thread;

use super::testing::Scratch;
use super::*;
use crate::http1::{BodyDecoder, Buffered, Piece, read_request, request_body};
use crate::secret::Secret;

/// One request as a server saw it.
struct Seen {
    head: RequestHead,
    body: Vec<u8>,
}

/// A server that gives the next of `answers` to each request, over as many connections as it takes.
fn server(answers: Vec<(u16, &'static str)>) -> (Client, Scratch, thread::JoinHandle<Vec<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("bound").port();
    let thread = thread::spawn(move || {
        let mut seen = Vec::new();
        while seen.len() < answers.len() {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut buffer = Buffered::new();
            while seen.len() < answers.len() {
                let Ok(head) = read_request(&mut buffer, &mut stream) else { break };
                let body = read_body(&head, &mut buffer, &mut stream);
                let (status, text) = answers[seen.len()];
                seen.push(Seen { head, body });
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{text}", text.len());
                stream.write_all(answer.as_bytes()).expect("writes");
            }
        }
        seen
    });
    let scratch = Scratch::new();
    let target = Target::Named(BaseUrl::local("127.0.0.1", port));
    (Client::new(scratch.0.clone(), Arc::default(), target), scratch, thread)
}

fn read_body(head: &RequestHead, buffer: &mut Buffered, stream: &mut TcpStream) -> Vec<u8> {
    let mut decoder = BodyDecoder::new(request_body(head).expect("framed"));
    let mut body = Vec::new();
    loop {
        match decoder.next(buffer.unread()).expect("decodes") {
            Piece::End { .. } => return body,
            Piece::NeedMore => drop(buffer.fill(stream, 4096).expect("reads")),
            Piece::Data { skip, data } => {
                body.extend_from_slice(&buffer.unread()[skip..skip + data]);
                buffer.consume(skip + data);
            }
        }
    }
}

fn signer() -> Signer {
    Signer { handle: "calm-fox".to_owned(), key: SigningKey::generate() }
}

#[test]
fn calls_are_signed_and_share_a_connection() {
    let (client, _scratch, server) = server(vec![(200, "{}"), (200, r#"{"a":1}"#)]);
    let client = client.signed(Chosen::Signer(signer())).expect("signs");
    client.get("/api/connections").expect("first");
    let answer = client.post("/api/x", &serde_json::json!({"b": "é"})).expect("second");
    assert_eq!(answer.parse::<serde_json::Value>().expect("JSON")["a"], 1);
    let seen = server.join().expect("ends");
    assert_eq!(seen[0].head.fields.first("content-length"), None);
    assert_eq!(seen[1].body, r#"{"b":"é"}"#.as_bytes());
    let tokens: Vec<_> = seen.iter().map(|seen| seen.head.fields.first_str("authorization").expect("signed")).collect();
    assert!(tokens.iter().all(|token| token.starts_with("PoP ey")));
    assert_ne!(tokens[0], tokens[1], "each request has its own proof");
}

#[test]
fn after_a_restart_of_the_daemon_the_call_is_signed_anew_once() {
    let answers = vec![(401, r#"{"detail":"Proof JWT was signed before the daemon started"}"#), (200, "{}")];
    let (client, _scratch, server_thread) = server(answers);
    let client = client.signed(Chosen::Signer(signer())).expect("signs");
    assert_eq!(client.get("/api/whoami").expect("second try").status(), 200);
    let seen = server_thread.join().expect("ends");
    assert_ne!(seen[0].head.fields.first("authorization"), seen[1].head.fields.first("authorization"));
    let again = vec![
        (401, r#"{"detail":"Proof JWT was signed before the daemon started"}"#),
        (401, r#"{"detail":"Proof JWT was signed before the daemon started"}"#),
    ];
    let (client, _scratch, server_thread) = server(again);
    let client = client.signed(Chosen::Signer(signer())).expect("signs");
    assert_eq!(client.get("/api/whoami").expect_err("no third try").exit_code(), 2);
    server_thread.join().expect("ends");
}

#[test]
fn an_unknown_identity_is_registered_and_the_call_repeated() {
    let answers =
        vec![(401, r#"{"detail":"Unknown identity handle"}"#), (200, r#"{"status":"registered"}"#), (200, "{}")];
    let (client, _scratch, server) = server(answers);
    let client = client.signed(Chosen::Signer(signer())).expect("signs");
    client.post("/api/x", &[1]).expect("works at last");
    let seen = server.join().expect("ends");
    let paths: Vec<_> = seen.iter().map(|seen| seen.head.target.as_str()).collect();
    assert_eq!(paths, ["/api/x", "/api/identities/register", "/api/x"]);
    let registration: serde_json::Value = serde_json::from_slice(&seen[1].body).expect("JSON");
    assert_eq!(registration["handle"], "calm-fox");
    assert_eq!(registration["did"], client.signer().expect("set").key.did());
}

#[test]
fn a_key_alone_finds_its_handle_or_gets_one() {
    let key = || Settings { private_key: Some(Secret::new("11".repeat(32))), ..Settings::default() };
    let known = vec![(200, r#"{"identity":"calm-fox","did":"x"}"#)];
    let (client, scratch, server_thread) = server(known);
    let client = client.signed(Chosen::select(&scratch.0, &key()).expect("a key")).expect("signs");
    assert_eq!(client.signer().expect("set").handle, "calm-fox");
    assert!(server_thread.join().expect("ends")[0].head.target.starts_with("/api/identities/by-did/did:key:z6Mk"));

    let unknown = vec![(404, r#"{"detail":"x"}"#), (200, "{}")];
    let (client, scratch, server_thread) = server(unknown);
    let client = client.signed(Chosen::select(&scratch.0, &key()).expect("a key")).expect("signs");
    let seen = server_thread.join().expect("ends");
    let registration: serde_json::Value = serde_json::from_slice(&seen[1].body).expect("JSON");
    assert_eq!(registration["handle"], client.signer().expect("set").handle.as_str());
    assert!(seen[1].head.fields.contains("authorization"), "the registration is signed");
}

#[test]
fn no_argument_can_end_the_request_line() {
    let (client, ..) = (Client::new(Home::new("/nonexistent"), Arc::default(), Target::Local),);
    for (method, path) in [
        ("GET", "/a b"),
        ("GET", "/a\r\nX: y"),
        ("GET", "a"),
        ("GET", ""),
        ("GET", "/é"),
        ("GET", "/a#b"),
        ("G T", "/"),
        ("", "/"),
    ] {
        let error = client.call(method, path, None).expect_err("refused");
        assert!(matches!(error, AuthsomeError::InvalidInput { .. }), "{method:?} {path:?}: {error}");
    }
    assert_eq!(segment("a b/../ü"), "a%20b%2F..%2F%C3%BC");
}

fn select(home: &Home, url: Option<&str>) -> Result<Target> {
    Target::select(home, &Settings { base_url: url.map(str::to_owned), ..Settings::default() })
}

#[test]
fn the_environment_names_the_daemon_before_the_config_does() {
    let scratch = Scratch::new();
    assert_eq!(select(&scratch.0, None).expect("selects"), Target::Local);
    assert!(matches!(select(&scratch.0, Some("http://x.test")), Err(AuthsomeError::OperationNotAllowed { .. })));
    let mut config = Config::default();
    config.set_daemon_base_url("https://config.test");
    config.save(&scratch.0).expect("saves");
    let from_config = select(&scratch.0, None).expect("selects");
    assert_eq!(from_config, Target::Named(BaseUrl::parse("https://config.test").expect("parses")));
    assert!(matches!(select(&scratch.0, Some("https://env.test")), Ok(Target::Named(url)) if url.host() == "env.test"));
}

#[test]
fn a_loopback_url_of_the_config_is_the_local_daemon_unless_another_answers_there() {
    let scratch = Scratch::new();
    let mut config = Config::default();
    let (_socket, nobody) = testing::refusing_port();
    config.set_daemon_base_url(&format!("http://127.0.0.1:{nobody}"));
    config.save(&scratch.0).expect("saves");
    assert_eq!(select(&scratch.0, None).expect("selects"), Target::Local);
    let named = format!("http://localhost:{nobody}");
    assert!(matches!(select(&scratch.0, Some(&named)), Ok(Target::Named(_))), "the environment means what it says");
    let (client, _scratch, server) = server(vec![(200, r#"{"status":"ok","version":"9"}"#)]);
    config.set_daemon_base_url(&client.base_url().expect("named").to_string());
    config.save(&scratch.0).expect("saves");
    assert_eq!(&select(&scratch.0, None).expect("selects"), client.target());
    server.join().expect("ends");
}
