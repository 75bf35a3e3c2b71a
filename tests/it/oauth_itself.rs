//! The scripted authorization server, measured without the product: curl in place of the daemon.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::oauth::{CLIENT_ID, CLIENT_SECRET, Reply};
use crate::harness::{AuthServer, Person, TestCommand, World, form};
use crate::upstream::Upstream;

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";

struct Stage {
    world: World,
    server: AuthServer,
}

impl Stage {
    fn new() -> Self {
        let mut world = World::empty();
        let server = AuthServer::start(&mut world, &["auth.demo.test"]);
        server.guard(&world.api, "/v1/me");
        Self { world, server }
    }

    fn curl(&self, upstream: &Upstream) -> TestCommand {
        let ca = self.world.scratch.path().join("upstream-ca.pem");
        let to = format!("::{}", upstream.address());
        let curl =
            TestCommand::new("curl").env_clear().args(["-sS", "--http1.1", "--noproxy", "*", "--connect-to", &to]);
        curl.arg("--cacert").arg(ca)
    }

    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        let form = form::encode(fields.iter().copied());
        self.curl(&self.server.upstream).args(["-d", &form, &self.server.url(path)]).run().succeeds().json()
    }

    fn token(&self, fields: &[(&str, &str)]) -> Value {
        let client = [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
        self.post("/token", &[&client, fields].concat())
    }

    /// Where an authorization request with `changes` is sent back to.
    fn authorize(&self, redirect_uri: &str, changes: &[(&str, &str)]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let state = "s".repeat(43);
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", redirect_uri),
            ("state", &state),
            ("scope", "read write"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        query.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        query.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
        let url = format!("{}?{}", self.server.url("/authorize"), form::encode(query));
        let answer = self.curl(&self.server.upstream).args(["-w", "%{redirect_url}", &url]).run().succeeds();
        answer.out()
    }

    fn code(&self) -> String {
        let location = self.authorize("http://127.0.0.1:1/callback", &[]);
        form::value(&form::query(&location), "code").expect("a code")
    }

    fn redeem(&self, code: &str, verifier: &str) -> Value {
        let redirect = ("redirect_uri", "http://127.0.0.1:1/callback");
        self.token(&[("grant_type", "authorization_code"), ("code", code), redirect, ("code_verifier", verifier)])
    }

    fn refresh(&self, token: &str) -> Value {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)])
    }

    fn me(&self, token: &str) -> String {
        let bearer = format!("Authorization: Bearer {token}");
        let curl = self.curl(&self.world.api).args(["-o", "/dev/null", "-w", "%{http_code}", "-H", &bearer]);
        curl.arg("https://api.demo.test/v1/me").run().succeeds().out()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn a_code_is_good_once_and_only_with_its_verifier() {
    let stage = Stage::new();
    assert_eq!(stage.redeem(&stage.code(), &VERIFIER.replace('a', "b"))["error"], "invalid_grant");
    let code = stage.code();
    let answer = stage.redeem(&code, VERIFIER);
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(3600)), "{answer}");
    assert_eq!(answer["scope"], "read write");
    let access = text(&answer["access_token"]);
    assert_eq!((stage.me(access).as_str(), stage.me("another").as_str()), ("200", "401"));
    assert!(stage.server.newest().written);
    assert_eq!(stage.redeem(&code, VERIFIER)["error"], "invalid_grant");
    assert_eq!(stage.me(access), "401", "a code that is offered twice ends what it was traded for");
    assert_eq!(stage.token(&[("grant_type", "authorization_code")])["error"], "invalid_request");
}

#[test]
fn authorization_requests_are_checked() {
    let stage = Stage::new();
    let back = "http://127.0.0.1:1/callback";
    let refused = |changes: &[(&str, &str)]| {
        let location = stage.authorize(back, changes);
        form::value(&form::query(&location), "error").unwrap_or(location)
    };
    assert_eq!(refused(&[("code_challenge_method", "plain")]), "invalid_request");
    assert_eq!(refused(&[("code_challenge", "")]), "invalid_request");
    assert_eq!(refused(&[("state", "short")]), "invalid_request");
    assert_eq!(refused(&[("response_type", "token")]), "unsupported_response_type");
    for (redirect, changes) in [("https://evil.test/", &[][..]), (back, &[("client_id", "another")])] {
        let page = stage.authorize(redirect, changes);
        assert!(page.contains("unknown client or redirect address"), "{page}");
    }
    stage.server.set(|knobs| knobs.denies = Some(("access_denied".to_owned(), "not <today>".to_owned())));
    let denied = form::query(&stage.authorize(back, &[]));
    assert_eq!(form::value(&denied, "error_description").as_deref(), Some("not <today>"));
    assert_eq!(form::value(&denied, "state"), Some("s".repeat(43)));
}

#[test]
fn refresh_tokens_rotate_and_a_spent_one_ends_the_login() {
    let stage = Stage::new();
    let first = stage.redeem(&stage.code(), VERIFIER);
    let second = stage.refresh(text(&first["refresh_token"]));
    let third = stage.refresh(text(&second["refresh_token"]));
    assert_eq!(stage.me(text(&third["access_token"])), "200");
    assert_eq!(stage.server.reuses(), 0);
    assert_eq!(stage.refresh(text(&first["refresh_token"]))["error"], "invalid_grant");
    assert_eq!(stage.server.reuses(), 1);
    assert_eq!(stage.me(text(&third["access_token"])), "401");
    assert_eq!(stage.refresh(text(&third["refresh_token"]))["error"], "invalid_grant");

    stage.server.set(|knobs| knobs.rotates = false);
    let first = stage.redeem(&stage.code(), VERIFIER);
    let second = stage.refresh(text(&first["refresh_token"]));
    assert_eq!(second["refresh_token"], Value::Null);
    assert_eq!(stage.me(text(&stage.refresh(text(&first["refresh_token"]))["access_token"])), "200");
}

#[test]
fn a_client_shows_its_secret_in_exactly_one_way() {
    let stage = Stage::new();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    let wrong = [&[("client_id", CLIENT_ID), ("client_secret", "wrong")], &refresh[..]].concat();
    assert_eq!(stage.post("/token", &wrong)["error"], "invalid_client");
    assert_eq!(stage.post("/token", &refresh)["error"], "invalid_client");
    let user = form::encode([(CLIENT_ID, CLIENT_SECRET)]).replace('=', ":");
    let basic = |form: &str| {
        let curl = stage.curl(&stage.server.upstream).args(["-u", &user, "-d", form, &stage.server.url("/token")]);
        curl.run().succeeds().json()["error"].clone()
    };
    assert_eq!(basic("grant_type=refresh_token&refresh_token=x"), "invalid_grant");
    let both = format!("grant_type=refresh_token&{}", form::encode([("client_id", CLIENT_ID), ("client_secret", "x")]));
    assert_eq!(basic(&both), "invalid_request");
}

#[test]
fn devices_wait_for_a_person() {
    let stage = Stage::new();
    let client = [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET), ("scope", "read")];
    let poll = |device: &Value| {
        let grant = ("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
        stage.token(&[grant, ("device_code", text(&device["device_code"]))])
    };
    let device = stage.post("/device", &client);
    assert_eq!(poll(&device)["error"], "authorization_pending");
    assert_eq!(Person::new(&stage.world).browse(text(&device["verification_uri_complete"])).status, 200);
    let answer = poll(&device);
    assert_eq!(stage.me(text(&answer["access_token"])), "200", "{answer}");
    assert_eq!(poll(&device)["error"], "invalid_grant");
    let device = stage.post("/device", &client);
    stage.server.decide(text(&device["user_code"]), false);
    assert_eq!(poll(&device)["error"], "access_denied");
}

#[test]
fn tokens_can_be_revoked_and_clients_registered() {
    let stage = Stage::new();
    let tokens = stage.redeem(&stage.code(), VERIFIER);
    let client = [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    stage.post("/revoke", &[&client[..], &[("token", text(&tokens["access_token"]))]].concat());
    assert_eq!(stage.me(text(&tokens["access_token"])), "401");
    assert!(stage.server.refresh_lives(text(&tokens["refresh_token"])));
    stage.post("/revoke", &[&client[..], &[("token", text(&tokens["refresh_token"]))]].concat());
    assert!(!stage.server.refresh_lives(text(&tokens["refresh_token"])));

    let register = |body: &Value| {
        let curl = stage.curl(&stage.server.upstream).args(["-d", &body.to_string(), &stage.server.url("/register")]);
        curl.run().succeeds().json()
    };
    let answer = register(&json!({"token_endpoint_auth_method": "client_secret_post"}));
    assert!(answer["client_secret"].is_string(), "{answer}");
    stage.server.set(|knobs| knobs.registers_public_only = true);
    assert_eq!(register(&json!({}))["error"], "invalid_client_metadata");
    let answer = register(&json!({"token_endpoint_auth_method": "none"}));
    assert!(answer["client_id"].is_string() && answer["client_secret"].is_null(), "{answer}");
    let metadata = stage.server.url("/.well-known/oauth-authorization-server");
    let metadata = stage.curl(&stage.server.upstream).arg(metadata).run().succeeds().json();
    assert_eq!(metadata["registration_endpoint"], json!(stage.server.url("/register")));
}

#[test]
fn answers_can_be_held_cut_and_replaced() {
    let stage = Stage::new();
    let first = stage.redeem(&stage.code(), VERIFIER);
    let url = stage.server.url("/token");
    let ask = |token: &Value| {
        let client = [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET), ("grant_type", "refresh_token")];
        let fields = form::encode(client.into_iter().chain([("refresh_token", text(token))]));
        stage.curl(&stage.server.upstream).args(["-d", &fields, &url])
    };
    stage.server.next("/token", Reply::HangUp);
    stage.server.next("/token", Reply::status("429 Too Many Requests", "retry-after: 7\r\n", "no"));
    stage.server.next("/token", Reply::lost());
    let token = &first["refresh_token"];
    ask(token).run().exits(52);
    ask(token).arg("-i").run().succeeds().says("retry-after: 7");
    assert!(stage.server.refresh_lives(text(token)), "a scripted answer spends nothing");
    ask(token).run().exits(52);
    assert!(!stage.server.refresh_lives(text(token)), "a lost answer does");
    assert!(!stage.server.newest().written);
    assert_eq!(stage.server.wait_for_token_requests(4).len(), 4);

    let second = stage.server.newest();
    let held = stage.server.hold();
    let (command, token) = (ask(&json!(second.refresh)), stage.server.issued().len());
    std::thread::scope(|scope| {
        let waits = scope.spawn(move || command.run().succeeds().json());
        held.wait_for(1);
        assert_eq!((stage.server.issued().len(), stage.server.newest().written), (token + 1, false));
        drop(held);
        let answer = waits.join().expect("no panic inside");
        assert_eq!(answer["access_token"], json!(stage.server.newest().access));
    });
    assert!(stage.server.newest().written);
    stage.server.always("/token", Reply::error("slow_down"));
    assert_eq!(stage.refresh("x")["error"], "slow_down");
    stage.server.heal("/token");
    assert_eq!(stage.refresh("x")["error"], "invalid_grant");
}

#[test]
fn a_person_keeps_cookies_follows_redirects_and_obeys_a_form_policy() {
    let stage = Stage::new();
    let api = &stage.world.api;
    let set = "set-cookie: a=1; SameSite=Strict\r\nset-cookie: b=2; SameSite=Lax\r\nlocation: /cookies\r\n";
    api.on("/set", move |exchange| exchange.respond("302 Found", set, b""));
    api.on("/cookies", |exchange| {
        let cookies = exchange.head.field("cookie").unwrap_or_default().to_owned();
        exchange.respond("200 OK", "", cookies.as_bytes())
    });
    let person = Person::new(&stage.world);
    let page = person.browse("https://api.demo.test/set");
    assert_eq!((page.text().as_str(), page.hops.len()), ("a=1; b=2", 2));
    let elsewhere = person.browse(&stage.server.url("/authorize"));
    assert_eq!(person.follow(&elsewhere, "https://api.demo.test/cookies").text(), "b=2", "strict ones stay home");
    assert_eq!(Person::new(&stage.world).browse("https://api.demo.test/cookies").text(), "");

    let form = b"<form action=\"/go?a=1&amp;b=2\"><input type=\"hidden\" name=\"h\" value=\"&lt;\"></form>";
    api.on("/go", |exchange| {
        let body = exchange.read_body()?;
        let location = format!("location: https://other.demo.test/echo?{}\r\n", String::from_utf8_lossy(&body));
        exchange.respond("303 See Other", &location, b"")
    });
    api.on("/free", |exchange| exchange.respond("200 OK", "", form));
    let end = person.submit(&person.browse("https://api.demo.test/free"), &[("x", "1 2")]);
    assert_eq!(end.url, "https://other.demo.test/echo?h=%3C&x=1%202");
    let strict = "content-security-policy: default-src 'none'; form-action 'self'\r\n";
    api.on("/strict", move |exchange| exchange.respond("200 OK", strict, form));
    let strict = person.browse("https://api.demo.test/strict");
    let blocked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| person.submit(&strict, &[])));
    assert!(blocked.is_err(), "a browser that enforces form-action on redirects stops here");
}
