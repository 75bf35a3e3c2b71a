//! Signed requests to a daemon; finding, starting and stopping the local one; the client files of a home.
//!
//! One call reads: **sign → send → (once) sign anew or register → refusal or answer**. A [`Client`] may be used from
//! many threads; calls do not wait for each other.

use crate::percent::encode;

mod answer;
mod base_url;
mod files;
mod local;
mod plain;
mod probe;
mod process;
mod settings;
mod signer;
mod spawn;
#[cfg(test)]
pub(crate) mod testing;
mod tls;

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use answer::Answer;
use answer::HINTS;
pub use base_url::BaseUrl;
pub use files::{Config, Identities, LocalIdentity};
pub use local::{DEFAULT_PORT, LocalDaemon, Record, State, VERSION};
pub use settings::{Settings, is_true};
pub use signer::{Chosen, Signer};

use self::local::unavailable;
use self::plain::{Connection, ExchangeError};
use crate::clock::Clock;
use crate::error::{AuthsomeError, Result};
use crate::http1::{Fields, RequestHead, Version, is_token};
use crate::identity::{self, PopError, SigningKey};
use crate::limits::CLIENT_CALL_DEADLINE;
use crate::paths::Home;
use crate::secret::SecretBuffer;

/// The detail by which a daemon says that it does not know the signing identity (`contract/http.md` section 1).
const UNKNOWN_HANDLE: &str = "Unknown identity handle";
/// Kept connections that wait for their next use; a run's resolves are the only ones that come at once.
const IDLE_CONNECTIONS: usize = 8;

/// Which daemon a client talks to.
///
/// 0.7.2 writes its own address into the config of every home. So a loopback URL there means the local daemon where that
/// listens there, or should, or where nobody does. One in the environment means what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one of this home, which we start when need be.
    Local,
    /// One that was named. It is never started or stopped.
    Named(BaseUrl),
}

impl Target {
    /// `AUTHSOME_BASE_URL`, else `daemon_base_url` of the config, else the local one (`contract/cli.md`).
    ///
    /// # Errors
    /// A URL that is none, or that would carry secrets in clear; a damaged config file.
    pub fn select(home: &Home, settings: &Settings) -> Result<Self> {
        let (url, from_config) = match &settings.base_url {
            Some(url) => (Some(url.clone()), false),
            None => (Config::load(home)?.daemon_base_url().map(str::to_owned), true),
        };
        let Some(url) = url else { return Ok(Self::Local) };
        let url = BaseUrl::parse(&url)?;
        url.check_transport(settings.allow_http)?;
        let is_here = from_config && !url.is_secure() && url.is_loopback();
        let is_local = is_here && (LocalDaemon::new(home, settings).is_at(url.port()) || !local::answers(&url));
        Ok(if is_local { Self::Local } else { Self::Named(url) })
    }

    /// Whether this is the daemon of `home`, however it is named.
    pub fn is_of(&self, home: &Home, settings: &Settings) -> bool {
        match self {
            Self::Local => true,
            Self::Named(url) => {
                !url.is_secure() && url.is_loopback() && LocalDaemon::new(home, settings).runs_at(url.port())
            }
        }
    }
}

/// One call, for whoever keeps a log: no query, no body, no header.
#[derive(Debug)]
pub struct CallReport<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Path without its query.
    pub path: &'a str,
    /// Status; `None` when there was no answer.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
}

type Observer = Box<dyn Fn(&CallReport<'_>) + Send + Sync>;

/// Talks to one daemon, as one identity or as nobody.
pub struct Client {
    home: Home,
    settings: Arc<Settings>,
    target: Target,
    base: Mutex<Option<BaseUrl>>,
    signer: Option<Signer>,
    idle: Mutex<Vec<Connection<TcpStream>>>,
    agent: OnceLock<ureq::Agent>,
    observer: Option<Observer>,
    clock: Clock,
}

/// A request before it is signed.
#[derive(Clone, Copy)]
struct Call<'a> {
    method: &'a str,
    path: &'a str,
    body: Option<&'a [u8]>,
}

impl Client {
    /// A client that does not sign, for `target`. Nothing is connected or started before the first call.
    pub fn new(home: Home, settings: Arc<Settings>, target: Target) -> Self {
        Self {
            home,
            settings,
            target,
            base: Mutex::new(None),
            signer: None,
            idle: Mutex::new(Vec::new()),
            agent: OnceLock::new(),
            observer: None,
            clock: Clock::system(),
        }
    }

    /// Has each call reported.
    #[must_use]
    pub fn observed(mut self, observer: impl Fn(&CallReport<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Signs from now on as `chosen`. For a key whose handle is not known, the daemon is asked; one that does not know
    /// the key either gets it registered under a new handle.
    ///
    /// # Errors
    /// What the daemon says.
    pub fn signed(mut self, chosen: Chosen) -> Result<Self> {
        let key = match chosen {
            Chosen::Signer(signer) => {
                self.signer = Some(signer);
                return Ok(self);
            }
            Chosen::KeyOnly(key) => key,
        };
        let known = self.handle_of(&key)?;
        let is_new = known.is_none();
        self.signer = Some(Signer { handle: known.unwrap_or_else(identity::generate_handle), key });
        if is_new {
            self.register()?;
        }
        Ok(self)
    }

    /// The identity that signs.
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// Which daemon this is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The daemon's address. Starts a local one that does not run.
    ///
    /// # Errors
    /// As [`LocalDaemon::ensure`].
    pub fn base_url(&self) -> Result<BaseUrl> {
        if let Target::Named(url) = &self.target {
            return Ok(url.clone());
        }
        let mut base = unpoisoned(&self.base);
        if base.is_none() {
            *base = Some(LocalDaemon::new(&self.home, &self.settings).ensure()?);
        }
        Ok(base.clone().expect("it was just set"))
    }

    /// GET. Refusals are errors.
    ///
    /// # Errors
    /// The daemon's refusal, or `DaemonUnavailable`.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.call("GET", path, None)?.into_success()
    }

    /// POST of `body` as JSON. Refusals are errors.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post<T: Serialize + ?Sized>(&self, path: &str, body: &T) -> Result<Answer> {
        self.send_json("POST", path, body)
    }

    /// PUT of `body` as JSON. Refusals are errors.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn put<T: Serialize + ?Sized>(&self, path: &str, body: &T) -> Result<Answer> {
        self.send_json("PUT", path, body)
    }

    /// DELETE. Refusals are errors.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn delete(&self, path: &str) -> Result<Answer> {
        self.call("DELETE", path, None)?.into_success()
    }

    /// Any request; a refusal is an answer like any other.
    ///
    /// # Errors
    /// `DaemonUnavailable` when there is no answer.
    pub fn call(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Answer> {
        check_sendable(method, path)?;
        let call = Call { method, path, body };
        let answer = self.send(call)?;
        match self.second_try(&answer) {
            SecondTry::None => Ok(answer),
            SecondTry::SignAnew => self.send(call),
            SecondTry::Register => {
                self.register()?;
                self.send(call)
            }
        }
    }

    /// The header line's value that authorises one request: `PoP <jwt>`.
    ///
    /// # Errors
    /// `NoIdentity` when nobody signs here.
    pub fn authorization(&self, method: &str, path: &str, body: &[u8]) -> Result<String> {
        let Signer { handle, key } = self.signer.as_ref().ok_or(AuthsomeError::NoIdentity)?;
        Ok(format!("PoP {}", key.sign_request(handle, method, path, body, self.clock.now())))
    }

    /// Registers the identity that signs. Doing so again changes nothing.
    ///
    /// # Errors
    /// `IdentityRegistration` when somebody else holds the handle.
    pub fn register(&self) -> Result<Answer> {
        #[derive(Serialize)]
        struct Registration<'a> {
            handle: &'a str,
            did: &'a str,
        }
        let Signer { handle, key } = self.signer.as_ref().ok_or(AuthsomeError::NoIdentity)?;
        let body = to_json(&Registration { handle, did: &key.did() })?;
        let call = Call { method: "POST", path: "/api/identities/register", body: Some(body.expose_bytes()) };
        self.send(call)?.into_success()
    }

    fn send_json<T: Serialize + ?Sized>(&self, method: &str, path: &str, body: &T) -> Result<Answer> {
        self.call(method, path, Some(to_json(body)?.expose_bytes()))?.into_success()
    }

    fn second_try(&self, answer: &Answer) -> SecondTry {
        if answer.status() != 401 || self.signer.is_none() {
            return SecondTry::None;
        }
        match answer.detail() {
            Some(detail) if detail == UNKNOWN_HANDLE => SecondTry::Register,
            Some(detail) if detail == PopError::BeforeStart.to_string() => SecondTry::SignAnew,
            _ => SecondTry::None,
        }
    }

    /// The handle that the daemon knows a key by.
    fn handle_of(&self, key: &SigningKey) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Known {
            identity: String,
        }
        let answer = self.call("GET", &format!("/api/identities/by-did/{}", key.did()), None)?;
        if answer.status() == 404 {
            return Ok(None);
        }
        let Known { identity: handle } = answer.into_success()?.parse()?;
        if !identity::is_valid_handle(&handle) {
            return Err(unavailable("the daemon names a handle that is none".to_owned()));
        }
        Ok(Some(handle))
    }

    /// Signs and sends once. A local daemon that is gone is started again, once.
    fn send(&self, call: Call<'_>) -> Result<Answer> {
        let started = Instant::now();
        let answer = match self.send_to(&self.base_url()?, call) {
            Err(failure) if self.target == Target::Local && failure.may_be_its_end(call.method) => {
                let base = LocalDaemon::new(&self.home, &self.settings).revive()?;
                *unpoisoned(&self.base) = Some(base.clone());
                self.send_to(&base, call).map_err(|failure| failure.explain(&base))
            }
            other => other.map_err(|failure| match self.base_url() {
                Ok(base) => failure.explain(&base),
                Err(error) => error,
            }),
        };
        if let Some(observer) = &self.observer {
            let path = call.path.split('?').next().unwrap_or_default();
            let status = answer.as_ref().ok().map(Answer::status);
            observer(&CallReport { method: call.method, path, status, took: started.elapsed() });
        }
        answer
    }

    fn send_to(&self, base: &BaseUrl, call: Call<'_>) -> Result<Answer, Failure> {
        let body = call.body.unwrap_or_default();
        let authorization = match self.signer {
            Some(_) => Some(self.authorization(call.method, call.path, body).map_err(Failure::Other)?),
            None => None,
        };
        let mut head = request_head(call.method, call.path, base, body.len(), authorization.as_deref());
        if call.body.is_some() {
            head.fields.push("Content-Type", "application/json");
        }
        if base.is_secure() {
            return tls::exchange(self.agent().map_err(Failure::Other)?, base, &head, body).map_err(Failure::Other);
        }
        loop {
            let (mut connection, is_kept) = match self.kept_connection() {
                Some(connection) => (connection, true),
                None => (Connection::open(base).map_err(Failure::Unreachable)?, false),
            };
            match connection.exchange(&head, body, Instant::now() + CLIENT_CALL_DEADLINE) {
                Ok(answer) => {
                    self.keep(connection);
                    return Ok(answer);
                }
                // The daemon let go of it just now. Only what changes nothing may be sent twice (RFC 9110 section 9.2.2).
                Err(ExchangeError::Closed) if is_kept && call.method == "GET" => {}
                Err(error) => return Err(Failure::Exchange(error)),
            }
        }
    }

    fn agent(&self) -> Result<&ureq::Agent> {
        if let Some(agent) = self.agent.get() {
            return Ok(agent);
        }
        let agent = tls::agent()?;
        Ok(self.agent.get_or_init(|| agent))
    }

    fn kept_connection(&self) -> Option<Connection<TcpStream>> {
        loop {
            let candidate = unpoisoned(&self.idle).pop()?;
            if candidate.is_reusable() {
                return Some(candidate);
            }
        }
    }

    fn keep(&self, connection: Connection<TcpStream>) {
        let mut idle = unpoisoned(&self.idle);
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(connection);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("target", &self.target).field("signer", &self.signer).finish_non_exhaustive()
    }
}

enum SecondTry {
    None,
    SignAnew,
    Register,
}

enum Failure {
    /// There is no connection: nothing was sent.
    Unreachable(io::Error),
    /// There is one, and no answer came over it.
    Exchange(ExchangeError),
    Other(AuthsomeError),
}

impl Failure {
    /// Whether the daemon may be gone, and to ask again does no harm (RFC 9110 section 9.2.2).
    fn may_be_its_end(&self, method: &str) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Exchange(ExchangeError::Closed) => method == "GET",
            Self::Exchange(ExchangeError::TimedOut | ExchangeError::NotHttp(_) | ExchangeError::Io(_))
            | Self::Other(_) => false,
        }
    }

    fn explain(self, base: &BaseUrl) -> AuthsomeError {
        let reason = match self {
            Self::Other(error) => return error,
            Self::Unreachable(error) => format!("no daemon answers at {base}: {error}"),
            Self::Exchange(ExchangeError::Closed) => format!("the daemon at {base} closed the connection"),
            Self::Exchange(ExchangeError::TimedOut) => {
                format!("the daemon at {base} did not answer within {} seconds", CLIENT_CALL_DEADLINE.as_secs())
            }
            Self::Exchange(ExchangeError::NotHttp(what)) => {
                format!("what answers at {base} is not an authsome daemon ({what})")
            }
            Self::Exchange(ExchangeError::Io(error)) => format!("the connection to {base} failed: {error}"),
        };
        unavailable(reason)
    }
}

/// The head of a request to `base`, with framing for `length` bytes of body.
fn request_head(method: &str, path: &str, base: &BaseUrl, length: usize, authorization: Option<&str>) -> RequestHead {
    let mut fields = Fields::new();
    fields.push("Host", base.authority());
    fields.push("User-Agent", concat!("authsome/", env!("CARGO_PKG_VERSION")));
    fields.push("Accept", "application/json");
    fields.push(HINTS.0, HINTS.1);
    if let Some(authorization) = authorization {
        fields.push("Authorization", authorization);
    }
    if length > 0 || !matches!(method, "GET" | "HEAD" | "DELETE") {
        fields.push("Content-Length", length.to_string());
    }
    RequestHead { method: method.to_owned(), target: path.to_owned(), version: Version::Http11, fields }
}

/// `text` as one segment of a path: everything but unreserved characters is escaped (RFC 3986 section 2.3).
pub fn segment(text: &str) -> String {
    encode(text)
}

/// Method and path come from the command line too: nothing in them may end the request line.
fn check_sendable(method: &str, path: &str) -> Result<()> {
    let problem = if !is_token(method.as_bytes()) {
        "the method is not one"
    } else if !path.starts_with('/') {
        "the path does not start with a slash"
    } else if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        "the path holds a character that must be percent-encoded"
    } else {
        return Ok(());
    };
    Err(AuthsomeError::InvalidInput { what: "request", reason: problem.to_owned() })
}

fn to_json<T: Serialize + ?Sized>(body: &T) -> Result<SecretBuffer> {
    SecretBuffer::from_json(body)
        .map_err(|_| AuthsomeError::InvalidInput { what: "request", reason: "it cannot be written as JSON".to_owned() })
}

/// The lock's contents: they are whole after any panic, because each use is a single step.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
