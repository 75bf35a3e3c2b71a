//! A vendor in a box: the daemon reaches the vendor's own hosts here, and each request is shown as the vendor would
//! read it. Nothing answers that was not told to, and nothing may arrive that no test looks at.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use authsome::clock::{Clock, Timestamp};
use authsome::limits::REFUSED_TOKEN_PAUSE;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::request::{Auth, Request};
use crate::harness::{Caller, World, eventually, form};
use crate::upstream::{Answer, Seen, Upstream};

pub(super) const CLIENT: &str = "app-7Qz.client";
pub(super) const SECRET: &str = "app-9_secret~value";
pub(super) const CODE: &str = "code/4+0A&b=c";

/// What stands for a value that differs in every run, once it was found right.
pub(super) const REDIRECT: &str = "(our redirect URI)";
pub(super) const PROVEN: &str = "(the verifier of the challenge)";

/// The token request of a login (RFC 6749 section 4.1.3), without and with PKCE.
pub(super) const CODE_GRANT: [(&str, &str); 3] =
    [("grant_type", "authorization_code"), ("code", CODE), ("redirect_uri", REDIRECT)];
pub(super) const PROVEN_CODE_GRANT: [(&str, &str); 4] =
    [CODE_GRANT[0], CODE_GRANT[1], CODE_GRANT[2], ("code_verifier", PROVEN)];

/// A refresh (RFC 6749 section 6).
pub(super) fn refresh_grant(token: &str) -> [(&str, &str); 2] {
    [("grant_type", "refresh_token"), ("refresh_token", token)]
}

/// Whether the authorization request has a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pkce {
    S256,
    None,
}

/// Status line, content type and body of an answer.
type Reply = (String, &'static str, String);

/// A vendor, and a daemon with its bundled definition.
pub(super) struct Fake {
    world: World,
    server: Upstream,
    provider: &'static str,
    replies: Arc<Mutex<HashMap<String, VecDeque<Reply>>>>,
    looked_at: Cell<usize>,
    challenge: RefCell<String>,
}

/// A login that has left for the vendor.
pub(super) struct Login<'a> {
    fake: &'a Fake,
    session: String,
    state: String,
    endpoint: String,
    query: Vec<(String, String)>,
}

impl Fake {
    /// The bundled `provider`, with `hosts` in this box. A token that was got by a login
    /// and lives no longer than a day is due for a refresh at once.
    pub(super) fn of(provider: &'static str, hosts: &[&str]) -> Self {
        let mut world = World::empty();
        let server = world.serve_more(hosts);
        world.start_daemon_with(|command| command.env("AUTHSOME_TOKEN_NEAR_EXPIRY_SECONDS", "86400"));
        world.authsome(["onboard", "--yes"]).run().succeeds();
        Self {
            world,
            server,
            provider,
            replies: Arc::default(),
            looked_at: Cell::new(0),
            challenge: RefCell::default(),
        }
    }

    /// The next request to `path` gets this JSON.
    pub(super) fn answers(&self, path: &str, status: &str, body: &Value) {
        self.answers_with(path, status, "application/json; charset=utf-8", &body.to_string());
    }

    /// The next request to `path` gets this body.
    pub(super) fn answers_with(&self, path: &str, status: &str, content_type: &'static str, body: &str) {
        let reply = (status.to_owned(), content_type, body.to_owned());
        self.replies.lock().expect("no panic inside").entry(path.to_owned()).or_default().push_back(reply);
        let replies = Arc::clone(&self.replies);
        self.server.on(path, move |exchange| {
            exchange.read_body()?;
            let reply = replies.lock().expect("no panic inside").get_mut(exchange.path).and_then(VecDeque::pop_front);
            let nothing = || ("500 Nobody Told Me".to_owned(), "text/plain", String::new());
            let (status, content_type, body) = reply.unwrap_or_else(nothing);
            exchange.respond(&status, &format!("content-type: {content_type}\r\n"), body.as_bytes())
        });
    }

    /// Starts a login, with [`CLIENT`] and [`SECRET`] where it asks for them.
    pub(super) fn log_in(&self) -> Login<'_> {
        self.log_in_with(&json!({"client_id": CLIENT, "client_secret": SECRET}))
    }

    /// The same with something else in the form.
    pub(super) fn log_in_with(&self, data: &Value) -> Login<'_> {
        let session = self.start();
        let id = session["id"].as_str().expect("an id").to_owned();
        let url = |session: &Value| session["next_action"]["url"].as_str().expect("a URL").to_owned();
        let asks = url(&session).contains("/auth/input?");
        let url = if asks { url(&self.resume(&id, data)) } else { url(&session) };
        let query = form::query(&url);
        let value = |name| form::value(&query, name).unwrap_or_default();
        self.challenge.replace(value("code_challenge"));
        let (state, endpoint) = (value("state"), url.split('?').next().unwrap_or_default().to_owned());
        Login { fake: self, session: id, state, endpoint, query }
    }

    /// A login all the way, with `tokens` as the answer of `path`; what was asked there is not looked at.
    pub(super) fn connect(&self, path: &str, tokens: &Value) -> Value {
        self.answers(path, "200 OK", tokens);
        let record = self.log_in().comes_back();
        self.asked();
        record
    }

    /// A session of a new login.
    pub(super) fn start(&self) -> Value {
        ok(&self.caller().post("/api/auth/sessions", &json!({"provider": self.provider, "force": true})))
    }

    pub(super) fn session(&self, id: &str) -> Value {
        ok(&self.caller().get(&format!("/api/auth/sessions/{id}")))
    }

    pub(super) fn resume(&self, id: &str, data: &Value) -> Value {
        ok(&self.caller().post(&format!("/api/auth/sessions/{id}/resume"), &json!({ "data": data })))
    }

    /// The connection as it is stored.
    pub(super) fn record(&self) -> Value {
        ok(&self.caller().get(&format!("/api/connections/{}/default", self.provider)))
    }

    /// What a program is given to send; refreshed first when it is due.
    pub(super) fn header(&self) -> String {
        ok(&self.resolve(&json!({})))["headers"]["Authorization"].as_str().expect("a header").to_owned()
    }

    /// The same after the vendor's API has refused the token.
    pub(super) fn header_after_refusal(&self) -> String {
        ok(&self.resolve(&json!({"rejected": true})))["headers"]["Authorization"].as_str().expect("a header").to_owned()
    }

    /// Everything that a program is given to send.
    pub(super) fn headers(&self) -> Value {
        ok(&self.resolve(&json!({"v": 2})))
    }

    /// What a program is told when there is nothing to send.
    pub(super) fn refusal(&self) -> (String, String) {
        refused(&self.resolve(&json!({})))
    }

    /// The refresh token is dead: a program is told so in the vendor's words, and the connection is over.
    pub(super) fn is_told_to_log_in_again(&self, words: &str) {
        self.is_told(words, &json!({}));
    }

    /// The same when no time says that a token is over, but the vendor's API.
    pub(super) fn is_told_to_log_in_again_after_refusal(&self, words: &str) {
        self.is_told(words, &json!({"rejected": true}));
    }

    fn is_told(&self, words: &str, how: &Value) {
        let (error, message) = refused(&self.resolve(how));
        assert_eq!(error, "RefreshFailedError", "{message}");
        assert!(message.contains(words), "{message}");
        assert_eq!(self.record()["status"], "expired");
    }

    /// A step of a login that is not taken.
    pub(super) fn is_refused(&self, id: &str, data: &Value) {
        let answer = self.caller().post(&format!("/api/auth/sessions/{id}/resume"), &json!({ "data": data }));
        assert_eq!(answer.status / 100, 4, "{}", answer.text());
        assert_eq!(self.session(id)["status"], "waiting_for_user");
    }

    fn resolve(&self, more: &Value) -> Answer {
        let mut request = json!({"provider": self.provider});
        request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.caller().post("/api/credentials/resolve", &request)
    }

    /// Waits until the stored token's time is over.
    pub(super) fn outlive(&self) {
        let end = time(&self.record(), "expires_at").expect("an end");
        eventually("the end of the token", || (Clock::system().now() > end).then_some(()));
    }

    /// Waits until a refusal of the stored token counts: a younger one is not refreshed for that.
    pub(super) fn let_it_age(&self) {
        let start = time(&self.record(), "obtained_at").expect("a start");
        let pause = i64::try_from(REFUSED_TOKEN_PAUSE.as_secs()).expect("seconds");
        eventually("the age of the token", || (Clock::system().now() > start.plus_seconds(pause)).then_some(()));
    }

    /// Logs out. Gives what the audit log says that the vendor made of it; null: there is no way to ask.
    pub(super) fn log_out(&self) -> Value {
        let caller = self.caller();
        ok(&caller.post(&format!("/api/connections/{}/default/logout", self.provider), &json!({})));
        assert_eq!(caller.get(&format!("/api/connections/{}/default", self.provider)).status, 404);
        let newest = ok(&caller.get("/api/audit/events?limit=1"))["entries"][0].clone();
        assert_eq!(newest["event"], "provider.logout", "{newest:#}");
        newest["at_provider"].clone()
    }

    /// The next request that came.
    pub(super) fn asked(&self) -> Request {
        let seen = eventually("a request", || self.server.requests().get(self.looked_at.get()).cloned());
        let seen = eventually("its end", || if seen.complete { Some(seen.clone()) } else { self.requests_now() });
        self.looked_at.set(self.looked_at.get() + 1);
        self.readable(&seen)
    }

    /// Lets a child of `authsome run` get `url`, and shows what the vendor's API was sent.
    pub(super) fn is_visited(&self, url: &str) -> Seen {
        self.world.run(["curl", "-sS", url]).run().succeeds();
        let seen = self.server.requests().get(self.looked_at.get()).cloned().expect("a request");
        self.looked_at.set(self.looked_at.get() + 1);
        seen
    }

    fn requests_now(&self) -> Option<Seen> {
        self.server.requests().get(self.looked_at.get()).filter(|seen| seen.complete).cloned()
    }

    /// Checks what must be true of every request, and puts names in place of random values.
    fn readable(&self, seen: &Seen) -> Request {
        let (host, agent) = (seen.header("host").unwrap_or_default(), seen.header("user-agent").unwrap_or_default());
        assert_eq!(seen.sni.as_deref(), Some(host));
        assert!(agent.starts_with("authsome/"), "a vendor knows us by '{agent}'");
        assert_eq!(seen.header("accept"), Some("application/json"));
        let mut request = Request::read(seen);
        if request.fields.get("redirect_uri") == Some(&self.redirect_uri()) {
            request.fields.insert("redirect_uri".to_owned(), REDIRECT.to_owned());
        }
        if let Some(verifier) = request.fields.get_mut("code_verifier") {
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
            let is_long = (43..=128).contains(&verifier.len()); // RFC 7636 section 4.1
            if is_long && challenge == *self.challenge.borrow() {
                PROVEN.clone_into(verifier);
            }
        }
        request
    }

    pub(super) fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}/api/auth/callback/oauth", self.world.daemon().port)
    }

    fn caller(&self) -> Caller<'_> {
        Caller::active(&self.world)
    }
}

impl Login<'_> {
    /// The whole authorization request: the parameters that every one has, and `more`.
    pub(super) fn asks(&self, endpoint: &str, pkce: Pkce, more: &[(&str, &str)]) {
        assert_eq!(self.endpoint, endpoint);
        let redirect_uri = self.fake.redirect_uri();
        let mut expected = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("redirect_uri", redirect_uri.as_str()),
            ("state", self.state.as_str()),
        ]);
        let challenge = self.fake.challenge.borrow();
        if pkce == Pkce::S256 {
            assert_eq!(challenge.len(), 43, "a SHA-256 in base64url");
            expected.extend([("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")]);
        }
        expected.extend(more.iter().copied());
        let asked: BTreeMap<&str, &str> = self.query.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(asked, expected);
        assert_eq!(self.query.len(), expected.len(), "a parameter came twice: {:?}", self.query);
        assert!(self.state.len() >= 43, "32 random bytes: {}", self.state);
    }

    /// The vendor sends the browser back with [`CODE`]. Gives the stored connection.
    pub(super) fn comes_back(&self) -> Value {
        let ended = self.comes_back_with(&json!({ "code": CODE }));
        assert_eq!(ended["status"], "completed", "{ended:#}");
        self.fake.record()
    }

    /// The vendor sends the browser back with these parameters, and the state. Gives the ended session.
    pub(super) fn comes_back_with(&self, parameters: &Value) -> Value {
        let mut parameters = parameters.clone();
        parameters["state"] = json!(self.state);
        self.fake.resume(&self.session, &parameters)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let unseen: Vec<Request> = self.server.requests()[self.looked_at.get()..].iter().map(Request::read).collect();
        assert!(unseen.is_empty(), "nobody looked at {unseen:#?}");
        let unused: Vec<String> =
            self.replies.lock().expect("no panic inside").values().flatten().map(|it| it.2.clone()).collect();
        assert!(unused.is_empty(), "nobody asked for {unused:#?}");
    }
}

fn refused(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 400, "{}", answer.text());
    let text = |name: &str| answer.json()[name].as_str().expect("a text").to_owned();
    (text("error"), text("message"))
}

fn ok(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The life of a token as it is stored, in seconds; `None`: unknown.
pub(super) fn lifetime(record: &Value) -> Option<i64> {
    Some(time(record, "expires_at")?.unix() - time(record, "obtained_at")?.unix())
}

fn time(record: &Value, name: &str) -> Option<Timestamp> {
    Timestamp::parse(record[name].as_str()?)
}

/// An ID token with these claims. Its signature is nonsense: who asks a token endpoint over TLS need not check it
/// (`OpenID` Connect Core 1.0 section 3.1.3.7).
pub(super) fn id_token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "RS256", "kid": "1"})), part(claims))
}

/// What is in a `Basic` header.
pub(super) fn basic(value: &str) -> Option<Auth> {
    let text = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Auth::Basic(user.to_owned(), password.to_owned()))
}
