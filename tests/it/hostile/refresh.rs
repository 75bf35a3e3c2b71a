//! Hostile answers to a refresh. A token that is still good is used, nothing is lost, and the next refresh heals.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::json;

use super::stage::{Stage, Stored};
use crate::harness::oauth::{CLIENT_SECRET, Grant, Reply};
use crate::harness::{AuthServer, KEY, LiveRun, PATIENCE, World, demo_provider};
use crate::upstream::{Next, Upstream};

/// Answers that give no tokens, with part of what is said about each.
pub(super) fn useless_answers() -> Vec<(&'static str, Reply, &'static str)> {
    let html = "content-type: text/html\r\n";
    vec![
        ("a web page", Reply::status("200 OK", html, "<!doctype html><h1>Maintenance</h1>"), "a web page"),
        ("nothing", Reply::json(""), "nothing"),
        ("half an answer", Reply::json("{\"access_token\":\"hidden-at"), "broken JSON"),
        ("a list", Reply::json("[\"hidden-at\"]"), "neither"),
        ("no access token", Reply::json(json!({"token_type": "Bearer"}).to_string()), "access token"),
        ("an empty access token", Reply::json(json!({"access_token": ""}).to_string()), "access token"),
        ("a number for a token", Reply::json(json!({"access_token": 7}).to_string()), "not a text"),
        ("null for a token", Reply::json(json!({"access_token": null}).to_string()), "access token"),
        ("two access tokens", Reply::json("{\"access_token\":\"hidden-1\",\"access_token\":\"hidden-2\"}"), "twice"),
        ("a token with a line break", Reply::json("{\"access_token\":\"hidden\\r\\nx-evil: 1\"}"), "control character"),
        ("a token beyond any size", Reply::json(json!({"access_token": "h".repeat(40_000)}).to_string()), "too long"),
        ("another error with 200", Reply::json(json!({"error": "bad_refresh_token"}).to_string()), "bad_refresh_token"),
        ("an error of its own kind", Reply::status("400 Bad Request", html, "<h1>hidden"), "status 400"),
        ("500", Reply::status("500 Internal Server Error", "", "stack trace: hidden"), "status 500"),
        ("503", Reply::status("503 Service Unavailable", "", ""), "status 503"),
        ("429", Reply::status("429 Too Many Requests", "", ""), "status 429"),
        ("401", Reply::status("401 Unauthorized", "www-authenticate: Basic realm=\"hidden\"\r\n", ""), "status 401"),
        ("a promise of more than comes", Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}".to_vec()), ""),
        ("no HTTP", Reply::Raw(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()), ""),
        ("a close", Reply::HangUp, ""),
        ("a compressed answer", Reply::status("200 OK", "content-encoding: gzip\r\n", b"\x1f\x8b\x08\0hidden"), ""),
    ]
}

#[test]
fn a_useless_answer_loses_nothing() {
    let stage = Stage::new();
    let answers = useless_answers();
    let over: Vec<String> = (0..answers.len()).map(|number| format!("over-{number}")).collect();
    stage.expired(&over.iter().map(String::as_str).collect::<Vec<_>>());
    for ((what, reply, reason), over) in answers.iter().zip(&over) {
        stage.due("due");
        stage.refresh_falls_back("due", what, reply, reason);
        stage.refresh_leaves_nothing(over, what, reply, reason);
    }
    stage.logs_are_clean(&["hidden", "Maintenance"]);
    assert_eq!(stage.server.reuses(), 0, "no refresh token was spent twice");
}

#[test]
fn a_redirect_carries_nothing_away() {
    let mut world = World::empty();
    let thief = world.serve_more(&["evil.test"]);
    let stage = Stage::in_world(world, |_| ());
    let over = ["over-301", "over-302", "over-303", "over-307", "over-308"];
    stage.expired(&over);
    for over in over {
        let status = &over["over-".len()..];
        let location = "location: https://evil.test/token?x=1\r\n";
        let reply = Reply::status(&format!("{status} Elsewhere"), location, "");
        stage.due("due");
        stage.refresh_falls_back("due", status, &reply, "a redirect");
        stage.refresh_leaves_nothing(over, status, &reply, "a redirect");
    }
    assert_eq!((thief.connections(), thief.requests().len()), (0, 0), "nobody was sent there");
}

/// An answer of a GiB, in a frame of its own, that counts what was taken of it.
fn flood(frame: &'static str, sent: &Arc<AtomicU64>) -> Reply {
    const GIBIBYTE: u64 = 1 << 30;
    const BLOCK: usize = 64 * 1024;
    let sent = Arc::clone(sent);
    Reply::with(move |exchange| {
        let (fields, block) = match frame {
            "counted" => (format!("content-length: {GIBIBYTE}\r\n\r\n"), " ".repeat(BLOCK)),
            "chunked" => {
                let chunk = format!("{BLOCK:x}\r\n{}\r\n", " ".repeat(BLOCK));
                ("transfer-encoding: chunked\r\n\r\n".to_owned(), chunk)
            }
            "closed" => ("connection: close\r\n\r\n".to_owned(), " ".repeat(BLOCK)),
            "interim" => (String::new(), "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(BLOCK / 32)),
            _ => (String::new(), "x-more: and more\r\n".repeat(BLOCK / 32)),
        };
        let start = if frame == "interim" { "" } else { "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" };
        exchange.send(format!("{start}{fields}"))?;
        while sent.load(Ordering::SeqCst) < GIBIBYTE {
            exchange.send(&block)?;
            sent.fetch_add(block.len() as u64, Ordering::SeqCst);
        }
        Ok(Next::Close)
    })
}

#[test]
fn an_answer_without_end_is_cut_off_early() {
    let stage = Stage::new();
    let frames = ["counted", "chunked", "closed", "interim", "head"];
    stage.expired(&frames);
    for frame in frames {
        let sent = Arc::new(AtomicU64::new(0));
        let before = stage.world.daemon().peak_memory();
        stage.due("due");
        stage.refresh_falls_back("due", frame, &flood(frame, &sent), "");
        stage.refresh_leaves_nothing(frame, frame, &flood(frame, &sent), "");
        let event = stage.events("provider.refresh_failed", frame)[0].clone();
        let is_body = !matches!(frame, "interim" | "head");
        assert!(!is_body || event["reason"].to_string().contains("more than 1048576 bytes"), "{frame}: {event}");
        let grown = stage.world.daemon().peak_memory().saturating_sub(before);
        assert!(grown < 24 * 1024, "{frame}: the daemon grew by {grown} KiB");
        // What the sockets of two answers hold, and then some.
        let taken = sent.load(Ordering::SeqCst);
        assert!(taken < 64 << 20, "{frame}: {taken} bytes were taken");
    }
}

#[test]
fn an_answer_that_trickles_is_given_up_in_time() {
    let stage = Stage::new();
    stage.due("due");
    let before = stage.stored("due");
    let (gone, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    stage.server.next(
        "/token",
        Reply::with(move |exchange| {
            exchange.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n")?;
            let wait = wait.lock().expect("no panic inside");
            // A byte now and then, so that no deadline of a single read helps.
            while wait.recv_timeout(Duration::from_millis(400)) == Err(mpsc::RecvTimeoutError::Timeout) {
                exchange.send(" ")?;
            }
            Ok(Next::Close)
        }),
    );
    let start = Instant::now();
    assert_eq!(stage.exported("due"), before.access);
    let took = start.elapsed();
    drop(gone);
    assert!(
        took >= Duration::from_secs(25) && took < Duration::from_secs(45),
        "a call may take 30 s, this took {took:?}"
    );
    assert_eq!(stage.stored("due"), before);
    let events = stage.events("provider.refresh_failed", "due");
    assert_eq!(events[0]["fallback_available"], true, "{events:#?}");
}

#[test]
fn a_life_is_taken_as_it_is_meant() {
    let stage = Stage::new();
    let soon = |seconds: i64| Some(seconds);
    let cases = [
        ("a number", Some(json!(3600)), soon(3600)),
        ("a string", Some(json!("3600")), soon(3600)),
        ("a fraction", Some(json!(3599.5)), soon(3599)),
        ("null", Some(json!(null)), None),
        ("less than nothing", Some(json!(-1)), None),
        ("for ever", Some(json!(1e12)), None),
        ("beyond every number", Some(json!(1e300)), None),
        ("words", Some(json!("an hour")), None),
        ("an object", Some(json!({"seconds": 3600})), None),
        ("absent", None, None),
    ];
    for (what, expires_in, expected) in cases {
        stage.due("due");
        stage.server.set(|knobs| knobs.expires_in = expires_in);
        assert_eq!(stage.exported("due"), Some(stage.server.newest().access), "{what}");
        assert_eq!(stage.server.newest().grant, Grant::Refresh, "{what}");
        let after = stage.stored("due");
        assert_eq!(after.status, "connected", "{what}");
        let left = after.expires_at.map(|text| super::stage::seconds_until(&text));
        match expected {
            None => assert_eq!(left, None, "{what}"),
            Some(expected) => {
                assert!(left.is_some_and(|left| (expected - 60..=expected).contains(&left)), "{what}: {left:?}");
            }
        }
    }
}

#[test]
fn a_server_that_asks_for_time_gets_it_and_no_eternity() {
    let stage = Stage::new();
    stage.expired(&["patient", "huge", "nonsense"]);
    let too_many = |fields: &str| Reply::status("429 Too Many Requests", fields, "");
    stage.server.next("/token", too_many("retry-after: 60\r\n"));
    stage.export("patient").exits(5).complains("429");
    let calls = stage.server.token_requests().len();
    stage.export("patient").exits(5);
    assert_eq!(stage.server.token_requests().len(), calls, "the server asked to be left alone");
    let before = stage.stored("patient");
    // A login starts afresh.
    stage.connect("patient", 3600);
    assert_ne!(stage.stored("patient"), before);
    stage.export("patient").succeeds();

    stage.server.next("/token", too_many("retry-after: 99999999999999999999999999\r\n"));
    stage.export("huge").exits(5);
    assert_eq!(stage.stored("huge").status, "expired");
    stage.world.authsome(["daemon", "status"]).run().succeeds();
    stage.server.next("/token", too_many("retry-after: tomorrow\r\n"));
    stage.export("nonsense").exits(5);
    assert_eq!(stage.exported("nonsense"), Some(stage.server.newest().access), "nothing was asked for");
}

#[test]
fn an_end_that_the_server_means_is_told_and_a_login_mends_it() {
    let stage = Stage::new();
    stage.expired(&["default"]);
    stage.server.kill_everything();
    let before = stage.stored("default");
    let ended = stage.export("default").exits(5).complains("Token refresh failed").complains("invalid_grant");
    let ended = ended.complains("authsome: hint:").complains("authsome login demo-oauth");
    stage.is_silent_about_secrets("invalid_grant", &ended);
    assert_eq!(stage.stored("default"), Stored { status: "expired".to_owned(), ..before });
    let list = stage.world.authsome(["list", "--json"]).run().succeeds();
    assert!(list.out().contains("expired"), "{list}");
    stage.connect("default", 3600);
    assert_eq!(stage.exported("default"), Some(stage.server.newest().access));
}

#[test]
fn the_loss_of_an_answer_is_reported() {
    let stage = Stage::new();
    stage.expired(&["default"]);
    stage.server.next("/token", Reply::Cut(90));
    stage.export("default").exits(5).complains("Token refresh failed");
    assert!(!stage.server.newest().written);
    // The server has spent the refresh token that we still hold; its answer to that is final.
    stage.export("default").exits(5).complains("invalid_grant");
    assert_eq!((stage.server.reuses(), stage.stored("default").status.as_str()), (1, "expired"));
    let events = stage.events("provider.refresh_failed", "default");
    assert_eq!(events.len(), 2, "{events:#?}");
}

#[test]
fn a_close_right_after_a_whole_answer_is_none_of_our_concern() {
    let stage = Stage::new();
    stage.expired(&["default"]);
    stage.server.next("/token", Reply::Cut(usize::MAX - 1));
    assert_eq!(stage.exported("default"), Some(stage.server.newest().access));
    let token = json!({"access_token": "at-raw", "refresh_token": "rt-raw", "expires_in": 200}).to_string();
    stage.due("default");
    stage.server.next("/token", Reply::Raw(format!("HTTP/1.1 200 OK\r\n\r\n{token}").into_bytes()));
    assert_eq!(
        stage.exported("default").as_deref(),
        Some("at-raw"),
        "the end of the connection is the end of the body"
    );
}

#[test]
fn a_login_that_was_faster_wins_over_a_refusal() {
    let stage = Stage::new();
    stage.due("default");
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    stage.server.next(
        "/token",
        Reply::with(move |exchange| {
            let _ = wait.lock().expect("no panic inside").recv_timeout(PATIENCE);
            let body = json!({"error": "invalid_grant"}).to_string();
            exchange.respond("400 Bad Request", "content-type: application/json\r\n", body.as_bytes())
        }),
    );
    std::thread::scope(|scope| {
        let refresh = scope.spawn(|| stage.export("default"));
        stage.server.wait_for_token_requests(2);
        stage.connect("default", 3600); // does not wait for the refresh
        let newest = stage.server.newest();
        drop(release);
        let exported = refresh.join().expect("a refresh").succeeds().json();
        assert_eq!(exported["DEMO_OAUTH_ACCESS_TOKEN"], json!(newest.access), "the refresh gives what the login got");
        assert_eq!(stage.stored("default").refresh, newest.refresh, "and leaves it alone");
    });
    assert_eq!(stage.stored("default").status, "connected");
    assert_eq!(stage.server.reuses(), 0);
}

#[test]
fn a_provider_that_hangs_holds_up_nobody_else() {
    let stage = Stage::new();
    stage.world.register(&demo_provider());
    stage.world.login("demo", KEY);
    let names: Vec<String> = (0..20).map(|number| format!("over-{number}")).collect();
    stage.expired(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let held = stage.server.hold();
    std::thread::scope(|scope| {
        // Many connections, and many callers of each.
        for name in names.iter().cycle().take(80) {
            let stage = &stage;
            let body = json!({"provider": "demo-oauth", "connection": name});
            scope.spawn(move || stage.caller().post("/api/credentials/resolve", &body).status);
        }
        held.wait_for(20);
        let start = Instant::now();
        let other = stage.caller().post("/api/credentials/resolve", &json!({"provider": "demo"}));
        assert_eq!(other.status, 200, "{}", other.text());
        assert!(start.elapsed() < Duration::from_secs(5), "another provider's key took {:?}", start.elapsed());
        drop(held);
    });
    assert_eq!(stage.server.reuses(), 0);
}

#[test]
fn answers_in_an_odd_dress_are_understood() {
    let stage = Stage::new();
    let json = json!({"access_token": "at-odd", "token_type": "bearer"}).to_string();
    for (what, kind, body) in [
        ("JSON called a page", "text/html", json.clone()),
        ("JSON called nothing", "application/octet-stream", json.clone()),
        ("JSON with a mark in front", "application/json", format!("\u{feff}{json}")),
        ("a form", "application/x-www-form-urlencoded", "access_token=at%2Dodd&token_type=bearer".to_owned()),
        ("a form called text", "text/plain; charset=utf-8", "access_token=at-odd&scope=read".to_owned()),
    ] {
        stage.due("default");
        let before = stage.stored("default");
        stage.server.next("/token", Reply::status("200 OK", &format!("content-type: {kind}\r\n"), body));
        assert_eq!(stage.exported("default").as_deref(), Some("at-odd"), "{what}");
        let after = stage.stored("default");
        // No end is known, and the refresh token that we have stays ours.
        assert_eq!((after.expires_at, after.refresh), (None, before.refresh), "{what}");
    }
}

/// Lets the next refresh be refused in words that hold what `pick` makes of the refresh token.
fn echoes(stage: &Stage, name: &str, body: impl FnOnce(&str) -> serde_json::Value, pick: impl FnOnce(&str) -> String) {
    stage.connect(name, 200);
    let secret = pick(&stage.stored(name).refresh.expect("a refresh token"));
    let body = body(&secret).to_string();
    stage.server.next("/token", Reply::status("401 Unauthorized", "content-type: application/json\r\n", body));
    let said = stage.export(name).succeeds().err();
    assert!(!said.contains(&secret[..8]), "{name}: {said}");
    let event = stage.events("provider.refresh_failed", name)[0].to_string();
    assert!(!event.contains(&secret[..8]), "{name}: {event}");
    let record = stage.world.authsome(["connections", "inspect", "demo-oauth", "--connection", name, "--json"]).run();
    assert!(!record.succeeds().out().contains(&secret[..8]), "{name}: the masked record shows it");
    stage.logs_are_clean(&[&secret]);
}

#[test]
fn secrets_that_the_server_repeats_are_not_shown() {
    let stage = Stage::new();
    let described =
        |secret: &str| json!({"error": "invalid_client", "error_description": format!("<{secret}> is wrong")});
    let percent = |secret: &str| crate::harness::form::encode([("", secret)])[1..].to_owned();
    echoes(&stage, "client-secret", described, |_| CLIENT_SECRET.to_owned());
    echoes(&stage, "token", described, str::to_owned);
    echoes(&stage, "token-as-sent", described, percent);
    echoes(&stage, "token-cut-short", described, |secret| secret[..secret.len() - 6].to_owned());
    echoes(&stage, "for-a-code", |secret| json!({"error": secret}), str::to_owned);
    echoes(&stage, "inside-a-code", |secret| json!({"error": format!("bad_{secret}")}), str::to_owned);
    stage.expired(&["over"]);
    let body = described(&stage.stored("over").refresh.expect("a refresh token")).to_string();
    stage.server.next("/token", Reply::status("400 Bad Request", "content-type: application/json\r\n", body));
    let ended = stage.export("over").exits(5).complains("invalid_client");
    stage.is_silent_about_secrets("an echo", &ended);
}

#[test]
fn words_of_a_server_cannot_move_a_terminal() {
    let stage = Stage::new();
    stage.expired(&["default"]);
    let text = format!("\u{1b}[2J\u{1b}]0;owned\u{7}\r\nauthsome: hint: run me\u{202e}{}", "<b>x".repeat(3000));
    let body = json!({"error": "invalid_grant", "error_description": text}).to_string();
    stage.server.next("/token", Reply::status("400 Bad Request", "content-type: application/json\r\n", body));
    let ended = stage.export("default").exits(5).complains("invalid_grant");
    let said = ended.err();
    assert!(!said.contains(['\u{1b}', '\u{7}', '\r', '\u{202e}']), "{said:?}");
    assert!(said.len() < 1000 && said.lines().all(|line| !line.starts_with("authsome: hint: run me")), "{said}");
    let event = &stage.events("provider.refresh_failed", "default")[0];
    assert!(event["reason"].as_str().is_some_and(|reason| reason.len() < 500), "{event}");
}

#[test]
fn a_server_whose_certificate_names_another_gets_nothing() {
    let mut stage = Stage::with(|definition| definition["oauth"]["token_url"] = json!("https://token.demo.test/token"));
    stage.expired(&["default"]);
    let before = stage.stored("default");
    let impostor = Upstream::start_impostor(&stage.world.authority, &["token.demo.test"], "auth.demo.test");
    stage.world.point("token.demo.test", impostor.address());
    stage.world.start_daemon();
    stage.export("default").exits(5).complains("Token refresh failed").complains("certificate");
    assert!(impostor.requests().is_empty(), "no byte of HTTP was sent: {:#?}", impostor.requests());
    assert_eq!(stage.stored("default"), Stored { status: "expired".to_owned(), ..before });
    let event = &stage.events("provider.refresh_failed", "default")[0];
    assert_eq!(event["fallback_available"], false, "{event}");
}

#[test]
fn a_run_goes_on_with_the_old_token_while_the_server_is_down() {
    let stage = Stage::new();
    stage.due("default");
    let before = stage.stored("default");
    stage.server.always("/token", Reply::status("503 Service Unavailable", "", ""));
    let run = LiveRun::start(&stage.world, &[]);
    assert_eq!(run.get("api.demo.test", "/v1/me").status, 200, "the old token is good");
    assert_eq!(stage.stored("default"), before);
    run.finish();
}

#[test]
fn an_api_that_refuses_every_token_causes_no_storm_of_refreshes() {
    let stage = Stage::new();
    stage.connect("default", 3600);
    stage.server.kill_access();
    for _ in 0..10 {
        let body = json!({"provider": "demo-oauth", "rejected": true});
        assert_eq!(stage.caller().post("/api/credentials/resolve", &body).status, 200);
    }
    assert!(stage.server.token_requests().len() <= 2, "{:#?}", stage.server.token_requests().len());
}

#[test]
fn a_client_that_is_gone_is_told_apart_from_a_broken_server() {
    let stage = Stage::new();
    stage.expired(&["default"]);
    stage.server.set(|knobs| knobs.clients.clear());
    let ended = stage.export("default").exits(5).complains("invalid_client");
    stage.is_silent_about_secrets("invalid_client", &ended);
    AuthServer::begin(&stage.caller(), &json!({"provider": "demo-oauth", "force": true}));
}
