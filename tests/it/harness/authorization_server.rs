//! The authorization server: a program that we did not write.

use std::cell::RefCell;
use std::net::TcpStream;

use serde_json::{Value, json};

use super::browser::{Look, Page};
use super::tool::Tool;
use super::{PATIENCE, World};
use crate::upstream::{Answer, Wire};

/// The client that a person has registered at the server by hand. Its secret has every kind of sign that a form must escape (RFC 6749 appendix A.2 allows no others).
pub(crate) const CLIENT_ID: &str = "authsome-demo";
pub(crate) const CLIENT_SECRET: &str = "demo secret/+&=%~\"<>#;?";

/// Who signs in at the server.
pub(crate) const PERSON: &str = "alice";

/// The API's own client, for questions about tokens.
const API_CLIENT: &str = "api";
const API_SECRET: &str = "secret-of-the-api";

/// What a server is like.
#[derive(Clone, Copy)]
pub(crate) struct Habits {
    /// How many seconds an access token lives that a login brings; that of a refresh lives long enough for every test.
    pub(crate) first_token: u32,
    /// Whether the demo client proves itself in a header (`client_secret_basic`), else in the body.
    pub(crate) basic: bool,
}

/// The ordinary ones.
pub(crate) const HABITS: Habits = Habits { first_token: LONG, basic: false };

/// Seconds: long enough for every test.
const LONG: u32 = 7200;

/// A running authorization server. It ends when dropped.
pub(crate) struct AuthorizationServer {
    tool: Tool,
    pub(crate) url: String,
    habits: Habits,
    diary: RefCell<Vec<Value>>,
}

impl AuthorizationServer {
    /// A server that knows the demo client with the daemon of `world` as its redirect address.
    pub(crate) fn start(world: &World, habits: Habits) -> Self {
        let redirect = format!("http://127.0.0.1:{}/api/auth/callback/oauth", world.daemon().port);
        let device_code = "urn:ietf:params:oauth:grant-type:device_code";
        let knobs = json!({
            "clients": [
                {
                    "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uris": [redirect],
                    "grant_types": ["authorization_code", "refresh_token", device_code],
                    "token_endpoint_auth_method": if habits.basic { "client_secret_basic" } else { "client_secret_post" },
                },
                {
                    "client_id": API_CLIENT, "client_secret": API_SECRET, "redirect_uris": [], "response_types": [],
                    "grant_types": [], "token_endpoint_auth_method": "client_secret_post",
                },
            ],
            "scopes": ["read", "write"],
            "first": habits.first_token,
            "refreshed": LONG,
        });
        let tool = Tool::start(world, "authorization-server.mjs", &[knobs.to_string()]);
        let first = tool.next();
        let url = first["url"].as_str().unwrap_or_else(|| panic!("no address: {first}")).to_owned();
        Self { tool, url, habits, diary: RefCell::default() }
    }

    /// A provider, called Demo, whose every endpoint is named.
    pub(crate) fn provider(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.url);
        json!({
            "name": "demo-oidc",
            "display_name": "Demo",
            "description": "A demonstration",
            "auth_type": "oauth2",
            "flow": "pkce",
            "api_url": "api.demo.test",
            "docs_url": "https://api.demo.test/how-to-make-a-client",
            "oauth": {
                "authorization_url": at("/auth"),
                "token_url": at("/token"),
                "revocation_url": at("/token/revocation"),
                "device_authorization_url": at("/device/auth"),
                "scopes": ["read", "write"],
                "supports_device_code": true,
                "authorization_method": if self.habits.basic { "basic" } else { "body" },
            },
            "export": {"env": {"access_token": "DEMO_TOKEN", "refresh_token": "DEMO_REFRESH_TOKEN"}},
        })
    }

    /// Everything that has happened so far.
    pub(crate) fn diary(&self) -> Vec<Value> {
        // What was asked for before this has been written down before this.
        let mark = format!("/mark/{}", self.diary.borrow().len());
        ask(&self.url, "GET", &mark, "");
        let mut diary = self.diary.borrow_mut();
        loop {
            let event = self.tool.next();
            let is_mark = event["path"] == *mark;
            diary.push(event);
            if is_mark {
                return diary.clone();
            }
        }
    }

    /// How often `event` happened.
    pub(crate) fn count(&self, event: &str) -> usize {
        self.diary().iter().filter(|one| one["event"] == event).count()
    }

    /// The requests to `path`, in order.
    pub(crate) fn requests(&self, path: &str) -> Vec<Value> {
        self.diary().into_iter().filter(|one| one["event"] == "request" && one["path"] == path).collect()
    }

    /// The answered requests for tokens with this grant.
    pub(crate) fn grants(&self, grant_type: &str) -> Vec<Value> {
        let good = |one: &Value| one["grant_type"] == grant_type && one["status"] == 200;
        self.requests("/token").into_iter().filter(good).collect()
    }

    /// Whether the server says that `token` is good.
    pub(crate) fn is_active(&self, token: &str) -> bool {
        introspect(&self.url, token)["active"] == true
    }
}

/// The client into our form.
pub(crate) fn fill_in_client(page: &Page<'_>) {
    page.fill("Client ID", CLIENT_ID);
    page.fill("Client secret", CLIENT_SECRET);
}

/// Through the server's form, as [`PERSON`], to its question whether that is all right.
pub(crate) fn sign_in(page: &Page<'_>) -> Look {
    page.look().has_status(200).says("Sign-in");
    page.type_and_enter(&[PERSON, "any password"]).says("Authorize")
}

/// What the server at `url` says about `token` (RFC 7662).
pub(crate) fn introspect(url: &str, token: &str) -> Value {
    let token = token.replace('+', "%2B"); // no other sign of base64url or of a JWT means anything in a form
    let form = format!("token={token}&client_id={API_CLIENT}&client_secret={API_SECRET}");
    let answer = ask(url, "POST", "/token/introspection", &form);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// One request with a form as its body, on a connection of its own.
pub(crate) fn ask(url: &str, method: &str, path: &str, form: &str) -> Answer {
    let host = url.strip_prefix("http://").expect("plain HTTP").trim_end_matches('/');
    let stream = TcpStream::connect(host).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut wire = Wire::new(stream);
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{kind}");
    wire.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{form}", form.len())).expect("it reads");
    wire.answer(method).expect("an answer")
}
