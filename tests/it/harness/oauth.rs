//! A scripted authorization server: PKCE with real verification, rotation with reuse detection, device codes,
//! revocation, registration, metadata; and whatever a hostile server would rather say.
//!
//! It is an [`Upstream`], so that every byte that it is sent can be looked at. Start it before the daemon of its world,
//! which learns from its environment where the hosts are.

mod book;
mod endpoints;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use self::book::Book;
pub(crate) use self::book::{Grant, Issued, TokenRequest};
use super::{Caller, PATIENCE, Person, World};
use crate::upstream::{Exchange, Next, Upstream};

/// The client that the server knows from the start. Its secret has signs that every encoding writes differently.
pub(crate) const CLIENT_ID: &str = "client/demo+1";
pub(crate) const CLIENT_SECRET: &str = "cs-7Qz/+=&<%>end-of-client-secret";

/// How the server behaves until it is told otherwise.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // independent switches
pub(crate) struct Knobs {
    /// Clients that are known, with the secret that each must show.
    pub(crate) clients: HashMap<String, Option<String>>,
    /// Exact redirect URIs; none: any on loopback.
    pub(crate) redirect_uris: Vec<String>,
    /// Whether challenges are demanded; else they are refused.
    pub(crate) pkce: bool,
    /// What the person at `/authorize` answers: an OAuth error and its description, or yes.
    pub(crate) denies: Option<(String, String)>,
    /// RFC 9207: sent along with code and state.
    pub(crate) iss: Option<String>,
    /// `expires_in` as it is sent; `None`: not at all.
    pub(crate) expires_in: Option<Value>,
    /// Granted scopes; `None`: what was asked for.
    pub(crate) granted: Option<String>,
    /// Whether a login gets a refresh token.
    pub(crate) gives_refresh: bool,
    /// Whether a refresh token is good for one use.
    pub(crate) rotates: bool,
    /// Further members of a token answer; these win.
    pub(crate) extra: Map<String, Value>,
    /// Members of the device answer; these win, and null takes one away.
    pub(crate) device: Map<String, Value>,
    /// Members of the registration answer; these win, and null takes one away.
    pub(crate) registration: Map<String, Value>,
    /// Only clients without a secret can register.
    pub(crate) registers_public_only: bool,
    /// Members of the metadata; these win, and null takes one away. `None`: there is no metadata (404).
    pub(crate) metadata: Option<Map<String, Value>>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            clients: HashMap::from([(CLIENT_ID.to_owned(), Some(CLIENT_SECRET.to_owned()))]),
            redirect_uris: Vec::new(),
            pkce: true,
            denies: None,
            iss: None,
            expires_in: Some(json!(3600)),
            granted: None,
            gives_refresh: true,
            rotates: true,
            extra: Map::new(),
            device: Map::new(),
            registration: Map::new(),
            registers_public_only: false,
            metadata: Some(Map::new()),
        }
    }
}

type Script = Arc<dyn Fn(&mut Exchange<'_>) -> io::Result<Next> + Send + Sync>;

/// What happens to one request in place of the ordinary.
#[derive(Clone)]
pub(crate) enum Reply {
    /// The request is read and not acted on; these bytes, as they are, then a close.
    Raw(Vec<u8>),
    /// The request is read and not acted on; the connection is closed.
    HangUp,
    /// The server acts as ordinary, tokens rotate, but only so many bytes of the answer are sent before the close.
    Cut(usize),
    /// Whatever this does.
    With(Script),
}

impl Reply {
    /// A status with a body; `fields` are whole lines.
    pub(crate) fn status(status: &str, fields: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{fields}\r\n", body.len());
        Self::Raw([head.as_bytes(), body].concat())
    }

    /// 200 with this as JSON.
    pub(crate) fn json(body: impl AsRef<[u8]>) -> Self {
        Self::status("200 OK", "content-type: application/json\r\n", body)
    }

    /// 400 with an OAuth error.
    pub(crate) fn error(code: &str) -> Self {
        let body = json!({"error": code}).to_string();
        Self::status("400 Bad Request", "content-type: application/json\r\n", body)
    }

    /// The server acts, but the client never hears of it.
    pub(crate) fn lost() -> Self {
        Self::Cut(0)
    }

    pub(crate) fn with(script: impl Fn(&mut Exchange<'_>) -> io::Result<Next> + Send + Sync + 'static) -> Self {
        Self::With(Arc::new(script))
    }
}

#[derive(Debug, Default)]
struct Gate {
    is_closed: bool,
    waiting: usize,
}

struct State {
    host: String,
    knobs: Mutex<Knobs>,
    book: Mutex<Book>,
    noted: Condvar,
    next: Mutex<HashMap<String, VecDeque<Reply>>>,
    always: Mutex<HashMap<String, Reply>>,
    gate: Mutex<Gate>,
    moved: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running authorization server; it ends when dropped.
pub(crate) struct AuthServer {
    pub(crate) upstream: Upstream,
    state: Arc<State>,
}

impl AuthServer {
    /// On `hosts`; the first is the issuer's. To be called before the daemon of `world` starts.
    pub(crate) fn start(world: &mut World, hosts: &[&str]) -> Self {
        let upstream = world.serve_more(hosts);
        let state = Arc::new(State {
            host: hosts[0].to_owned(),
            knobs: Mutex::default(),
            book: Mutex::default(),
            noted: Condvar::new(),
            next: Mutex::default(),
            always: Mutex::default(),
            gate: Mutex::default(),
            moved: Condvar::new(),
        });
        endpoints::install(&upstream, &state);
        Self { upstream, state }
    }

    /// A world with a daemon, an identity that the local owner has claimed, an authorization server on
    /// `auth.demo.test`, the provider `demo-oauth` registered, and `/v1/me` of `api.demo.test` that takes its tokens.
    pub(crate) fn world() -> (World, Self) {
        Self::world_with(|_| ())
    }

    /// The same with a changed definition of `demo-oauth`.
    pub(crate) fn world_with(change: impl FnOnce(&mut Value)) -> (World, Self) {
        let mut world = World::empty();
        let server = Self::join(&mut world, change);
        (world, server)
    }

    /// The same in a world that has more hosts.
    pub(crate) fn join(world: &mut World, change: impl FnOnce(&mut Value)) -> Self {
        let server = Self::start(world, &["auth.demo.test", "token.demo.test"]);
        server.guard(&world.api, "/v1/me");
        world.start_daemon();
        world.authsome(["onboard", "--yes"]).run().succeeds();
        world.register(&server.definition(change));
        server
    }

    /// The provider `demo-oauth`: PKCE by default, everything else possible, its API on `api.demo.test`.
    pub(crate) fn definition(&self, change: impl FnOnce(&mut Value)) -> Value {
        let at = |path: &str| self.url(path);
        let mut definition = json!({
            "schema_version": 1,
            "name": "demo-oauth",
            "display_name": "Demo OAuth",
            "auth_type": "oauth2",
            "flow": "pkce",
            "api_url": "api.demo.test",
            "oauth": {
                "authorization_url": at("/authorize"),
                "token_url": at("/token"),
                "revocation_url": at("/revoke"),
                "device_authorization_url": at("/device"),
                "scopes": ["read", "write"],
                "supports_device_code": true,
                "supports_dcr": true,
            },
            "export": {"env": {"access_token": "DEMO_OAUTH_ACCESS_TOKEN"}},
        });
        change(&mut definition);
        definition
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.state.host)
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut lock(&self.state.knobs));
    }

    /// The next request to `path` gets `reply`; further calls queue up.
    pub(crate) fn next(&self, path: &str, reply: Reply) {
        lock(&self.state.next).entry(path.to_owned()).or_default().push_back(reply);
    }

    /// Every request to `path` gets `reply`, after those of [`AuthServer::next`].
    pub(crate) fn always(&self, path: &str, reply: Reply) {
        lock(&self.state.always).insert(path.to_owned(), reply);
    }

    /// Ends what [`AuthServer::always`] began.
    pub(crate) fn heal(&self, path: &str) {
        lock(&self.state.always).remove(path);
    }

    /// Lets `path` of `api` answer 200 to living access tokens of this server and 401 to all else.
    pub(crate) fn guard(&self, api: &Upstream, path: &str) {
        let state = Arc::clone(&self.state);
        api.on(path, move |exchange| endpoints::resource(&state, exchange));
    }

    /// From now on the token endpoint decides and remembers, but its answers wait.
    pub(crate) fn hold(&self) -> Held {
        lock(&self.state.gate).is_closed = true;
        Held(Arc::clone(&self.state))
    }

    /// Every token request so far, also those with a scripted answer.
    pub(crate) fn token_requests(&self) -> Vec<TokenRequest> {
        lock(&self.state.book).requests.clone()
    }

    /// Waits until there were `count` token requests.
    pub(crate) fn wait_for_token_requests(&self, count: usize) -> Vec<TokenRequest> {
        let book = lock(&self.state.book);
        let few = |book: &mut Book| book.requests.len() < count;
        let (book, timeout) = self.state.noted.wait_timeout_while(book, PATIENCE, few).expect("no panic inside");
        assert!(!timeout.timed_out(), "waited in vain for {count} token requests: {:#?}", book.requests);
        book.requests.clone()
    }

    /// Every token answer so far.
    pub(crate) fn issued(&self) -> Vec<Issued> {
        lock(&self.state.book).issued.clone()
    }

    /// The newest token answer.
    pub(crate) fn newest(&self) -> Issued {
        self.issued().pop().expect("no token was ever issued")
    }

    /// How often a spent refresh token was offered.
    pub(crate) fn reuses(&self) -> usize {
        lock(&self.state.book).reuses
    }

    /// The `state` of every authorization request so far.
    pub(crate) fn states(&self) -> Vec<String> {
        lock(&self.state.book).states.clone()
    }

    /// Every token that was to be revoked, with its hint.
    pub(crate) fn revoked(&self) -> Vec<(String, Option<String>)> {
        lock(&self.state.book).revoked.clone()
    }

    /// What clients said of themselves when they registered.
    pub(crate) fn registrations(&self) -> Vec<Value> {
        lock(&self.state.book).registrations.clone()
    }

    /// How often devices have asked, all together.
    pub(crate) fn polls(&self) -> usize {
        lock(&self.state.book).polls()
    }

    /// The person types `user_code` and agrees, or does not.
    pub(crate) fn decide(&self, user_code: &str, agrees: bool) {
        assert!(lock(&self.state.book).decide(user_code, agrees), "no device shows {user_code}");
    }

    /// Every access token is refused from now on, as if its time were over.
    pub(crate) fn kill_access(&self) {
        lock(&self.state.book).kill_access();
    }

    /// Every token is dead from now on.
    pub(crate) fn kill_everything(&self) {
        lock(&self.state.book).kill_everything();
    }

    pub(crate) fn lives(&self, access: &str) -> bool {
        lock(&self.state.book).lives(access)
    }

    pub(crate) fn refresh_lives(&self, refresh: &str) -> bool {
        lock(&self.state.book).refresh_lives(refresh)
    }

    /// Every token, code, verifier, device code and state so far, and the secrets of all clients.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let clients = lock(&self.state.knobs).clients.values().flatten().cloned().collect();
        [lock(&self.state.book).secrets(), clients].concat()
    }

    /// A whole login of the world's identity with `demo-oauth`, by API and browser. Gives the ended session.
    pub(crate) fn connect(world: &World) -> Value {
        Self::connect_as(&Caller::active(world), &Person::new(world), &json!({"provider": "demo-oauth", "force": true}))
    }

    /// The same by any caller, any person, and with any request to start.
    pub(crate) fn connect_as(caller: &Caller<'_>, person: &Person, start: &Value) -> Value {
        let (id, url) = Self::begin(caller, start);
        let end = person.browse(&url);
        assert_eq!(end.status, 200, "the end of a login: {end:#?}");
        let session = caller.get(&format!("/api/auth/sessions/{id}")).json();
        assert_eq!(session["status"], "completed", "{session}");
        session
    }

    /// Starts a login and tells it of our client where it asks. Gives the session's id and what to open.
    pub(crate) fn begin(caller: &Caller<'_>, start: &Value) -> (String, String) {
        let answer = caller.post("/api/auth/sessions", start);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut session = answer.json();
        let id = session["id"].as_str().expect("an id").to_owned();
        let url = |session: &Value| session["next_action"]["url"].as_str().map(str::to_owned).unwrap_or_default();
        if url(&session).contains("/auth/input?") {
            let data = json!({"data": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}});
            let answer = caller.post(&format!("/api/auth/sessions/{id}/resume"), &data);
            assert_eq!(answer.status, 200, "{}", answer.text());
            session = answer.json();
        }
        assert_eq!(session["status"], "waiting_for_user", "{session}");
        (id, url(&session))
    }
}

impl Drop for AuthServer {
    fn drop(&mut self) {
        open(&self.state);
    }
}

/// Answers that wait until this is dropped.
pub(crate) struct Held(Arc<State>);

impl Held {
    /// Waits until `count` answers wait.
    pub(crate) fn wait_for(&self, count: usize) {
        let gate = lock(&self.0.gate);
        let few = |gate: &mut Gate| gate.waiting < count;
        let (gate, timeout) = self.0.moved.wait_timeout_while(gate, PATIENCE, few).expect("no panic inside");
        assert!(!timeout.timed_out(), "{} answers wait, not {count}", gate.waiting);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        open(&self.0);
    }
}

fn open(state: &State) {
    lock(&state.gate).is_closed = false;
    state.moved.notify_all();
}
