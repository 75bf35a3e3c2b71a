//! Waiting and asking, against a daemon that says what the test wants.

use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use super::client_form::{Form, Given};
use super::wait::{Surroundings, until_end};
use super::*;
use crate::cli::interrupts::Interrupts;
use crate::cli::output::Output;
use crate::cli::terminal::Keyboard;
use crate::client::testing::Scratch;
use crate::client::{BaseUrl, Target};
use crate::error::ErrorName;

/// What the daemon was asked: method, path, body.
type Asked = (String, String, String);

/// A daemon that answers with `script`, and a channel of what it was asked.
fn daemon(script: impl Fn(&Asked) -> (u16, Value) + Send + 'static) -> (Arc<Client>, Scratch, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("bound").port();
    let (sender, asked) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(io::Result::ok) {
            let Some(question) = question(&stream) else { continue };
            let (status, answer) = script(&question);
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", answer.len());
            // First the note, then the answer: who has the answer finds what was asked.
            if sender.send(question).is_err() {
                return; // the test has ended
            }
            let _ = (&stream).write_all(format!("{head}{answer}").as_bytes());
        }
    });
    let scratch = Scratch::new();
    let target = Target::Named(BaseUrl::local("127.0.0.1", port));
    (Arc::new(Client::new(scratch.0.clone(), Arc::default(), target)), scratch, asked)
}

fn question(stream: &std::net::TcpStream) -> Option<Asked> {
    let mut reader = io::BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        io::BufRead::read_line(&mut reader, &mut line).ok().filter(|count| *count > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut length = 0;
    loop {
        let field = line()?.to_ascii_lowercase();
        if field.is_empty() {
            break;
        }
        if let Some(value) = field.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    io::Read::read_exact(&mut reader, &mut body).ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    Some((words.next()?, words.next()?, String::from_utf8(body).ok()?))
}

fn session(status: &str, next_action: &Value) -> Value {
    json!({
        "id": "sess_0123456789ab", "provider": "demo", "connection": "default", "status": status, "message": null,
        "error": null, "created_at": "2026-01-31T12:00:00Z", "expires_at": "2026-01-31T12:05:00Z",
        "next_action": next_action, "user_code": null, "verification_uri": null, "verification_uri_complete": null,
    })
}

fn at(url: &str) -> Value {
    json!({"type": "open_url", "url": url})
}

fn waiting_at(url: &str) -> AuthSession {
    serde_json::from_value(session("waiting_for_user", &at(url))).expect("a session")
}

fn done() -> Value {
    session("completed", &json!({"type": "none"}))
}

/// A wait without a terminal; what comes of it.
struct Wait {
    signals: OwnedFd,
    signal: io::PipeWriter,
    keys: Option<io::PipeReader>,
    typist: io::PipeWriter,
}

impl Wait {
    fn new() -> Self {
        let (signals, signal) = io::pipe().expect("a pipe");
        let (keys, typist) = io::pipe().expect("a pipe");
        Self { signals: signals.into(), signal, keys: Some(keys), typist }
    }

    fn until_end(&mut self, client: &Arc<Client>, from: AuthSession) -> Result<(AuthSession, Vec<AuthSession>)> {
        let surroundings = Surroundings {
            out: Output { quiet: true, ..Output::default() },
            client,
            interrupts: Interrupts::test_only_from(&self.signals),
            title: "Demo",
            keyboard: self.keys.take().map(Keyboard::test_only_from),
        };
        let changes = Mutex::new(Vec::new());
        let ended = until_end(surroundings, from, &|session| changes.lock().expect("ours").push(session.clone()))?;
        Ok((ended, changes.into_inner().expect("ours")))
    }
}

#[test]
fn the_daemon_is_asked_until_the_login_has_ended_and_what_is_new_is_shown() {
    let questions = AtomicUsize::new(0);
    let (client, _scratch, asked) = daemon(move |_| match questions.fetch_add(1, Ordering::SeqCst) {
        0 => {
            let mut session = session("waiting_for_user", &at("http://127.0.0.1/auth/device?session=x"));
            session["user_code"] = json!("WDJB-MJHT");
            (200, session)
        }
        _ => (200, done()),
    });
    let mut wait = Wait::new();
    wait.keys = None;
    let (ended, changes) = wait.until_end(&client, waiting_at("http://127.0.0.1/auth/input?session=x")).expect("ends");
    assert_eq!(ended.status, SessionStatus::Completed);
    assert_eq!(changes.len(), 1, "the code is new, the end is for others to tell");
    assert_eq!(changes[0].user_code.as_deref(), Some("WDJB-MJHT"));
    let first = asked.recv().expect("asked");
    assert_eq!((first.0.as_str(), first.1.as_str()), ("GET", "/api/auth/sessions/sess_0123456789ab"));
}

#[test]
fn a_daemon_that_is_away_for_a_moment_is_asked_again_and_a_refusal_is_final() {
    let questions = AtomicUsize::new(0);
    let (client, _scratch, _asked) = daemon(move |_| match questions.fetch_add(1, Ordering::SeqCst) {
        0 => (404, json!("<html>a proxy in front of it</html>")),
        _ => (200, done()),
    });
    let (ended, _) = Wait::new().until_end(&client, waiting_at("https://a.test/")).expect("ends");
    assert_eq!(ended.status, SessionStatus::Completed);

    let (client, _scratch, _asked) = daemon(|_| (404, json!({"detail": "Auth session not found"})));
    let error = Wait::new().until_end(&client, waiting_at("https://a.test/")).expect_err("gone");
    assert!(error.to_string().contains("not found"), "{error}");
}

#[test]
fn a_pasted_address_ends_the_login_and_nonsense_does_not() {
    let (client, _scratch, asked) = daemon(|(method, _, _)| match method.as_str() {
        "POST" => (200, done()),
        _ => (200, session("waiting_for_user", &at("https://a.test/authorize?state=s1"))),
    });
    let mut wait = Wait::new();
    let pasted =
        "nonsense\nhttp://h/cb?code=c&state=s2\nhttp://127.0.0.1:1/api/auth/callback/oauth?code=c%2F1&state=s1\n";
    wait.typist.write_all(pasted.as_bytes()).expect("types");
    let (ended, _) = wait.until_end(&client, waiting_at("https://a.test/authorize?state=s1")).expect("ends");
    assert_eq!(ended.status, SessionStatus::Completed);
    let post = asked.iter().find(|(method, ..)| method == "POST").expect("handed in");
    assert_eq!(post.1, "/api/auth/sessions/sess_0123456789ab/resume");
    assert_eq!(post.2, r#"{"data":{"code":"c/1","state":"s1"}}"#);
}

#[test]
fn an_address_that_the_daemon_refuses_can_be_followed_by_another() {
    let posts = AtomicUsize::new(0);
    let (client, _scratch, asked) = daemon(move |(method, ..)| match method.as_str() {
        "POST" if posts.fetch_add(1, Ordering::SeqCst) == 0 => {
            (400, json!({"detail": "The state is not of this login"}))
        }
        "POST" => (200, done()),
        _ => (200, session("waiting_for_user", &at("https://a.test/authorize"))),
    });
    let mut wait = Wait::new();
    // Both at once: the second waits until the first has been answered.
    wait.typist.write_all(b"?code=c&state=s1\n?code=d&state=s2\n").expect("types");
    let (ended, _) = wait.until_end(&client, waiting_at("https://a.test/authorize")).expect("ends");
    assert_eq!(ended.status, SessionStatus::Completed);
    let codes: Vec<String> =
        asked.try_iter().filter(|(method, ..)| method == "POST").map(|(_, _, body)| body).collect();
    assert!(codes[0].contains("\"c\"") && codes[1].contains("\"d\""), "{codes:?}");
}

#[test]
fn a_signal_a_key_or_a_closed_terminal_cancels() {
    let (client, _scratch, _asked) = daemon(|_| (200, session("waiting_for_user", &at("https://a.test/"))));
    let start = waiting_at("https://a.test/");
    let cancelled = |error: AuthsomeError| assert_eq!(error.name(), ErrorName::InputCancelled);
    let mut wait = Wait::new();
    wait.signal.write_all(&[15, 0]).expect("signals");
    cancelled(wait.until_end(&client, start.clone()).expect_err("cancelled"));
    let mut wait = Wait::new();
    wait.typist.write_all(b"half\x03").expect("types");
    cancelled(wait.until_end(&client, start.clone()).expect_err("cancelled"));
    let Wait { signals, signal, keys, typist } = Wait::new();
    drop(typist);
    let (_, typist) = io::pipe().expect("a pipe");
    cancelled(Wait { signals, signal, keys, typist }.until_end(&client, start).expect_err("cancelled"));
}

fn login(words: &[&str]) -> Login {
    Login::from_args(&["login"], words).unwrap_or_else(|early| panic!("{}", early.output))
}

fn form(secret_required: bool) -> Form {
    serde_json::from_value(json!({
        "session_id": "sess_0123456789ab", "provider": "demo", "display_name": "Demo", "docs_url": null,
        "callback_url": "http://127.0.0.1:1/api/auth/callback/oauth", "warning": null,
        "fields": [
            {"name": "base_url", "label": "Base URL", "secret": false, "default": "https://demo.test", "required": true},
            {"name": "api_url", "label": "API URL", "secret": false, "default": null, "required": false},
            {"name": "client_id", "label": "Client ID", "secret": false, "default": null, "required": true},
            {"name": "client_secret", "label": "Client secret", "secret": true, "default": null, "required": secret_required},
            {"name": "scopes", "label": "Scopes", "secret": false, "default": "read", "required": false},
        ],
    }))
    .expect("a form")
}

fn filled(form: &Form, login: &Login, secret: Option<&str>) -> Result<String> {
    let secret = secret.map(|text| Secret::new(text.to_owned()));
    let given = Given { login, client_secret: secret.as_ref(), interactive: false };
    assert!(!form.asks(&given), "there is nobody to ask");
    form.fill(&given).map(|body| String::from_utf8(body.expose_bytes().to_vec()).expect("JSON"))
}

#[test]
fn a_client_from_the_command_line_is_all_that_the_form_needs() {
    let login = login(&["demo", "--client-id", "id-1"]);
    let body = filled(&form(true), &login, Some("s\"1 ")).expect("complete");
    assert_eq!(body, r#"{"data":{"client_id":"id-1","client_secret":"s\"1"}}"#);
    for nothing in [None, Some("")] {
        let body = filled(&form(false), &login, nothing).expect("a public client");
        assert_eq!(body, r#"{"data":{"client_id":"id-1"}}"#);
        let error = filled(&form(true), &login, nothing).expect_err("a confidential client");
        assert!(error.to_string().contains("Client secret") && error.hint().is_some(), "{error}");
    }
    let error = filled(&form(false), &login, Some("two\nlines")).expect_err("not sent").to_string();
    assert!(error.contains("line end") && !error.contains("two"), "{error}");
}

#[test]
fn a_person_is_asked_for_what_the_page_would_ask_for() {
    let login = login(&["demo"]);
    let given = Given { login: &login, client_secret: None, interactive: true };
    assert!(form(false).asks(&given));
    let error = filled(&form(false), &login, None).expect_err("nobody to ask").to_string();
    assert!(error.contains("Client ID"), "{error}");
}

#[test]
fn only_the_page_of_this_session_counts_as_the_daemons() {
    let asks = |url: &str| asks_for_input(&waiting_at(url));
    assert!(asks("http://127.0.0.1:7998/auth/input?session=sess_0123456789ab"));
    assert!(asks("https://authsome.example/base/auth/input?session=sess_0123456789ab"));
    for other in [
        "http://127.0.0.1:7998/auth/device?session=sess_0123456789ab",
        "https://a.test/auth/input?session=sess_000000000000",
        "https://a.test/authorize?client_id=x&redirect_uri=http%3A%2F%2F127.0.0.1%2Fauth%2Finput%3Fsession%3Dx",
    ] {
        assert!(!asks(other), "{other}");
    }
}

#[test]
fn the_words_of_a_session_become_the_error_that_scripts_know() {
    let login = login(&["demo"]);
    let unreachable = login.failed("cannot reach auth.demo.test: no answer in time");
    assert_eq!((unreachable.name(), unreachable.exit_code()), (ErrorName::EndpointUnreachable, 8));
    let refused = login.failed("invalid_scope: \u{1b}[2Jno");
    assert_eq!((refused.name(), refused.exit_code()), (ErrorName::AuthenticationFailed, 2));
    assert!(!refused.to_string().contains('\u{1b}'));
}
