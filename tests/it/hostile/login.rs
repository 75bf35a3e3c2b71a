//! Hostile answers to the first token request. A login that fails leaves nothing behind, and says why.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, json};

use super::refresh::useless_answers;
use super::stage::Stage;
use crate::harness::oauth::{CLIENT_SECRET, Reply};
use crate::harness::{CliLogin, TestCommand, World, form};
use crate::upstream::Upstream;

#[test]
fn a_useless_answer_ends_a_login_and_leaves_nothing() {
    let stage = Stage::new();
    for (number, (what, reply, reason)) in useless_answers().into_iter().enumerate() {
        let connection = format!("c{number}");
        let (id, url) = stage.begin(&connection);
        stage.server.next("/token", reply);
        let calls = stage.server.token_requests().len();
        let page = stage.person().browse(&url);
        assert_eq!(stage.server.token_requests().len(), calls + 1, "{what}: a code is tried once");
        assert!(page.text().contains("is not connected") && page.text().contains(reason), "{what}: {}", page.text());
        stage.login_failed(what, &id, &connection, reason);
        assert!(stage.has_no_client(), "{what}: the client of a failed login is not kept");
    }
    stage.logs_are_clean(&["hidden", "Maintenance"]);
    stage.connect("default", 3600);
    assert!(!stage.has_no_client());
}

#[test]
fn a_failed_login_leaves_the_connection_that_is_there() {
    let stage = Stage::new();
    stage.connect("default", 3600);
    let before = stage.stored("default");
    let (id, url) = stage.begin("default");
    stage.server.next("/token", Reply::error("invalid_grant"));
    stage.person().browse(&url);
    assert_eq!(stage.session(&id)["status"], "failed");
    assert_eq!(stage.stored("default"), before);
    assert_eq!(stage.exported("default"), before.access);
}

#[test]
fn a_redirect_takes_no_code_away() {
    let mut world = World::empty();
    let thief = world.serve_more(&["evil.test"]);
    let stage = Stage::in_world(world, |_| ());
    for status in ["302", "307", "308"] {
        let (id, url) = stage.begin(status);
        let location = "location: https://evil.test/token\r\n";
        stage.server.next("/token", Reply::status(&format!("{status} Elsewhere"), location, ""));
        stage.person().browse(&url);
        stage.login_failed(status, &id, status, "a redirect");
    }
    assert_eq!((thief.connections(), thief.requests().len()), (0, 0), "nobody was sent there");
}

#[test]
fn a_terminal_is_told_what_went_wrong() {
    let stage = Stage::new();
    let login = CliLogin::start(&stage.world, &["login", "demo-oauth", "--no-browser"]);
    let person = stage.person();
    let text = format!("\u{1b}[31mno\u{7}\r\n<script>{}", "x".repeat(10_000));
    stage.server.set(|knobs| knobs.denies = Some(("access_denied".to_owned(), text)));
    let form = person.browse(&login.url);
    let client = [("client_id", crate::harness::oauth::CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    let end = person.submit(&form, &client);
    assert!(end.text().contains("is not connected") && !end.text().contains("<script>"), "{}", end.text());
    assert!(end.text().len() < 6000, "{} bytes", end.text().len());
    let ended = login.finish().exits(2).complains("Authentication failed").complains("access_denied");
    let ended = ended.complains("authsome: hint:");
    assert!(!ended.err().contains(['\u{1b}', '\u{7}']) && ended.err().len() < 1500, "{ended}");
    stage.is_silent_about_secrets("a denied login", &ended);
    let log =
        stage.world.authsome(["log", "--json"]).run().succeeds().says("provider.login_failed").says("access_denied");
    assert!(!log.out().contains("\\u001b"), "{log}");
    assert!(stage.server.token_requests().is_empty());
}

#[test]
fn a_daemon_that_is_killed_while_a_code_is_redeemed_has_lost_that_login_only() {
    let mut stage = Stage::new();
    stage.connect("before", 3600);
    let before = stage.stored("before");
    let (id, url) = stage.begin("lost");
    let callback = stage.person().peek(&url);
    let held = stage.server.hold();
    std::thread::scope(|scope| {
        let curl = TestCommand::new("curl").args(["-sS", "--noproxy", "*", &callback]);
        let browser = scope.spawn(move || curl.run());
        held.wait_for(1);
        stage.world.daemon_mut().kill();
        assert_ne!(browser.join().expect("no panic inside").code(), 0);
    });
    drop(held);
    stage.world.start_daemon();
    let session = stage.session(&id);
    assert_eq!(session["status"], "failed", "who waits for it is told at once: {session}");
    assert!(session["error"].as_str().is_some_and(|error| error.contains("start it again")), "{session}");
    assert_eq!(stage.caller().get("/api/connections/demo-oauth/lost").status, 404);
    assert_eq!(stage.stored("before"), before);
    // What the browser asks again changes nothing: the code was spent, and the login does not wait any more.
    let query = form::query(&callback);
    let query: Vec<_> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let again = stage.person().browse(&stage.callback(&query));
    assert!(again.url.ends_with("error=session_expired"), "{again:#?}");
    stage.connect("lost", 3600);
    assert_eq!(stage.exported("lost"), Some(stage.server.newest().access));
}

#[test]
fn secrets_that_the_server_repeats_at_a_login_are_not_shown() {
    let stage = Stage::new();
    for kind in ["client_secret", "code", "code_verifier"] {
        let (id, url) = stage.begin(kind);
        let code = stage.person().peek(&url);
        let fields = form::query(&code);
        // The answer is made of what was sent: the server knows nothing else.
        stage.server.next(
            "/token",
            Reply::with(move |exchange| {
                let sent = exchange.body_so_far();
                let value = form::value(&form::decode(&sent), kind).unwrap_or_default();
                let body =
                    json!({"error": "invalid_client", "error_description": format!("{value} is wrong")}).to_string();
                exchange.respond("400 Bad Request", "content-type: application/json\r\n", body.as_bytes())
            }),
        );
        let pairs: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let page = stage.person().browse(&stage.callback(&pairs));
        let request = stage.server.token_requests().pop().expect("a request");
        let secret = request.field(kind).expect("it was sent");
        stage.login_failed(kind, &id, kind, "invalid_client");
        assert!(!page.text().contains(&secret[..8]), "{kind}: {}", page.text());
        assert!(!stage.session(&id).to_string().contains(&secret[..8]), "{kind}: {}", stage.session(&id));
        stage.logs_are_clean(&[&secret]);
    }
}

#[test]
fn names_that_lead_into_this_machine_or_its_network_are_refused() {
    // Names of the hosts file: this machine by another name, and the address of this machine.
    let hosts = std::fs::read_to_string("/etc/hosts").expect("a hosts file");
    let alias = |line: &str| line.split_whitespace().skip(1).find(|name| *name != "localhost").map(str::to_owned);
    let here = hosts.lines().filter(|line| line.starts_with("::1") || line.starts_with("127.")).find_map(alias);
    let own = Upstream::start_plain();
    let port = own.address().port();
    let mut urls = vec![
        ("metadata", "https://169.254.169.254/token".to_owned()),
        ("mapped", format!("https://[::ffff:127.0.0.1]:{port}/token")),
        ("unspecified", format!("https://0.0.0.0:{port}/token")),
    ];
    urls.extend(here.map(|name| ("alias", format!("https://{name}:{port}/token"))));
    assert!(urls.len() > 3, "this machine has no other name for itself in /etc/hosts");
    for (what, url) in urls {
        let stage = Stage::new();
        let definition = stage.server.definition(|definition| definition["oauth"]["token_url"] = json!(url));
        let path = stage.world.scratch.file("elsewhere.json", definition.to_string());
        let registered = stage.world.authsome(["provider", "register", "--yes", "--force"]).arg(path).run();
        if registered.code() != 0 {
            registered.exits(12).complains("oauth.token_url");
            continue;
        }
        let (id, url) = stage.begin("default");
        stage.person().browse(&url);
        stage.login_failed(what, &id, "default", "cannot reach");
        let session = stage.session(&id);
        assert!(session["error"].as_str().is_some_and(|error| error.contains("never dialled")), "{what}: {session}");
    }
    assert_eq!(own.connections(), 0, "nobody has knocked");
}

#[test]
fn plain_http_to_another_machine_is_not_even_registered() {
    let stage = Stage::new();
    for (field, url) in [
        ("token_url", "http://auth.demo.test/token"),
        ("authorization_url", "http://auth.demo.test/authorize"),
        ("authorization_url", "javascript:alert(1)"),
        ("token_url", "file:///etc/passwd"),
        ("token_url", "https://user:password@auth.demo.test/token"),
        ("revocation_url", "http://auth.demo.test/revoke"),
        ("device_authorization_url", "http://auth.demo.test/device"),
    ] {
        let definition = stage.server.definition(|definition| definition["oauth"][field] = json!(url));
        let path = stage.world.scratch.file("plain.json", definition.to_string());
        let register = stage.world.authsome(["provider", "register", "--yes", "--force"]).arg(path);
        register.run().exits(12).complains(field);
    }
}

#[test]
fn a_certificate_of_another_gets_no_code() {
    let mut stage = Stage::with(|definition| definition["oauth"]["token_url"] = json!("https://token.demo.test/token"));
    let impostor = Upstream::start_impostor(&stage.world.authority, &["token.demo.test"], "auth.demo.test");
    stage.world.point("token.demo.test", impostor.address());
    stage.world.start_daemon();
    let (id, url) = stage.begin("default");
    stage.person().browse(&url);
    stage.login_failed("an impostor", &id, "default", "certificate");
    assert!(impostor.requests().is_empty(), "no byte of HTTP was sent");
}

#[test]
fn a_client_belongs_to_the_server_that_it_was_made_at() {
    let mut world = World::empty();
    let other = world.serve_more(&["corp.demo.test"]);
    let stage = Stage::in_world(world, |definition| {
        definition["oauth"]["base_url"] = json!("https://corp.demo.test");
        definition["api_url"] = json!("{base_url}/v1");
        definition["oauth"]["authorization_url"] = json!("{base_url}/authorize");
        definition["oauth"]["token_url"] = json!("{base_url}/token");
        definition["oauth"]["device_authorization_url"] = json!("{base_url}/device");
        definition["oauth"]["revocation_url"] = json!("{base_url}/revoke");
    });
    let at_demo = json!({"provider": "demo-oauth", "base_url": "https://auth.demo.test", "force": true});
    crate::harness::AuthServer::connect_as(&stage.caller(), &stage.person(), &at_demo);
    // A later login that names no server goes to the one that knows the client, never to the definition's default.
    let session =
        stage.caller().post("/api/auth/sessions", &json!({"provider": "demo-oauth", "connection": "again"})).json();
    let url = session["next_action"]["url"].as_str().unwrap_or_default();
    assert!(url.starts_with("https://auth.demo.test/authorize?"), "{session}");
    stage.person().browse(url);
    assert_eq!(stage.stored("again").status, "connected");
    // And one that names another server is refused.
    let elsewhere = json!({"provider": "demo-oauth", "connection": "x", "base_url": "https://corp.demo.test"});
    let answer = stage.caller().post("/api/auth/sessions", &elsewhere);
    assert_ne!(answer.status, 200, "{}", answer.text());
    assert!(other.requests().is_empty(), "the other server saw {:#?}", other.requests());
}

#[test]
fn names_that_a_server_gives_cannot_move_a_terminal() {
    let stage = Stage::new();
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}";
    let claims = json!({"sub": evil, "email": format!("{evil}@x.test"), "name": evil}).to_string();
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let token = format!("{}.{}.{}", part("{\"alg\":\"none\"}"), part(&claims), part("x"));
    stage.server.set(|knobs| {
        knobs.granted = Some(format!("read {evil} write"));
        knobs.extra = Map::from_iter([
            ("id_token".to_owned(), json!(token)),
            ("token_type".to_owned(), json!(evil)),
            ("account".to_owned(), json!({"id": evil, "label": evil})),
            ("user".to_owned(), json!({"id": evil, "login": evil, "email": evil})),
        ]);
    });
    stage.connect("default", 3600);
    let run = |args: &[&str]| stage.world.authsome(args).run().succeeds();
    for shown in [
        run(&["list"]),
        run(&["list", "--json"]),
        run(&["connections", "inspect", "demo-oauth"]),
        run(&["connections", "inspect", "demo-oauth", "--json"]),
        run(&["log"]),
    ] {
        assert!(!shown.out().contains(['\u{1b}', '\u{7}', '\u{202e}']), "{}", shown.line);
    }
    assert_eq!(stage.exported("default"), Some(stage.server.newest().access));
}
