//! The listener, its connections, and what they saw.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::answers;
use super::authority::Authority;
use super::wire::{Head, Stream, Wire};

/// How long a test waits for a request that it expects.
const PATIENCE: Duration = Duration::from_secs(30);

/// One request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Which connection it came on, counted from 0.
    pub connection: usize,
    /// The name in the TLS handshake; `None` without TLS or without SNI.
    pub sni: Option<String>,
    pub method: String,
    pub target: String,
    pub head: Head,
    /// The body as it came, chunk framing included.
    pub raw_body: Vec<u8>,
    /// The body without framing.
    pub body: Vec<u8>,
    /// The trailer section as it came.
    pub trailers: Vec<u8>,
    /// Whether the body has been read to its end.
    pub complete: bool,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    /// Head and body, every byte.
    pub fn raw(&self) -> Vec<u8> {
        [self.head.raw.as_slice(), &self.raw_body].concat()
    }
}

/// Whether a connection goes on after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    KeepAlive,
    Close,
}

type Handler = Arc<dyn Fn(&mut Exchange<'_>) -> io::Result<Next> + Send + Sync>;

struct Shared {
    recording: bool,
    seen: Mutex<Vec<Seen>>,
    arrived: Condvar,
    handlers: Mutex<HashMap<String, Handler>>,
    accepted: AtomicUsize,
    closing: AtomicBool,
    open: Mutex<HashMap<usize, TcpStream>>,
}

/// A running upstream; it ends when dropped.
pub struct Upstream {
    address: SocketAddr,
    hosts: Vec<String>,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Upstream {
    /// A TLS server for `hosts` whose certificates `authority` signs.
    pub fn start(authority: &Authority, hosts: &[&str]) -> Self {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        Self::listen(Some(authority.server_config(&hosts)), hosts, true)
    }

    /// The same without a memory, for benchmarks.
    pub fn start_forgetful(authority: &Authority, hosts: &[&str]) -> Self {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        Self::listen(Some(authority.server_config(&hosts)), hosts, false)
    }

    /// A server for `hosts` whose certificate names somebody else.
    pub fn start_impostor(authority: &Authority, hosts: &[&str], name: &str) -> Self {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        Self::listen(Some(authority.impostor_config(&hosts, name)), hosts, true)
    }

    /// A server without TLS.
    pub fn start_plain() -> Self {
        Self::listen(None, Vec::new(), true)
    }

    fn listen(tls: Option<Arc<ServerConfig>>, hosts: Vec<String>, recording: bool) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            recording,
            seen: Mutex::default(),
            arrived: Condvar::new(),
            handlers: Mutex::default(),
            accepted: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, tls.as_ref(), &shared)
        });
        Self { address, hosts, shared, acceptor: Some(acceptor) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The value of `AUTHSOME_RESOLVE` that leads here.
    pub fn resolve(&self) -> String {
        let entries: Vec<String> = self.hosts.iter().map(|host| format!("{host}:443:{}", self.address)).collect();
        entries.join(",")
    }

    /// Lets `handler` answer every request whose path (without query) is `path`.
    pub fn on(&self, path: &str, handler: impl Fn(&mut Exchange<'_>) -> io::Result<Next> + Send + Sync + 'static) {
        lock(&self.shared.handlers).insert(path.to_owned(), Arc::new(handler));
    }

    /// Answers `path` with exactly these bytes, then closes.
    pub fn on_raw(&self, path: &str, answer: impl Into<Vec<u8>>) {
        let answer = answer.into();
        self.on(path, move |exchange| {
            exchange.read_body()?;
            exchange.send(&answer)?;
            Ok(Next::Close)
        });
    }

    /// What has arrived so far.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// The requests with this target; waits until there are `count`, each read to its end.
    pub fn wait_for(&self, target: &str, count: usize) -> Vec<Seen> {
        let matching = |seen: &Vec<Seen>| -> Vec<Seen> {
            seen.iter().filter(|one| one.target == target && one.complete).cloned().collect()
        };
        let seen = lock(&self.shared.seen);
        let waiting = |seen: &mut Vec<Seen>| matching(seen).len() < count;
        let (seen, timeout) = self.shared.arrived.wait_timeout_while(seen, PATIENCE, waiting).expect("no panic inside");
        assert!(!timeout.timed_out(), "{count} requests to {target} did not come; seen: {:#?}", *seen);
        matching(&seen)
    }

    /// The one request that came.
    ///
    /// # Panics
    /// When there was none, or more.
    pub fn only_request(&self) -> Seen {
        let mut seen = self.requests();
        assert_eq!(seen.len(), 1, "expected one request: {seen:#?}");
        seen.remove(0)
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Stops listening and cuts every connection.
    pub fn stop(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.shared.closing.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes `accept`
        let _ = acceptor.join();
        for stream in lock(&self.shared.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, tls: Option<&Arc<ServerConfig>>, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let _ = stream.set_nodelay(true);
        let id = shared.accepted.fetch_add(1, Ordering::SeqCst);
        if let Ok(copy) = stream.try_clone() {
            lock(&shared.open).insert(id, copy);
        }
        let shared = Arc::clone(shared);
        let tls = tls.map(Arc::clone);
        thread::spawn(move || {
            let _ = serve(stream, tls, id, &shared); // a client may leave at any point
            lock(&shared.open).remove(&id);
        });
    }
}

fn serve(mut stream: TcpStream, tls: Option<Arc<ServerConfig>>, id: usize, shared: &Shared) -> io::Result<()> {
    let mut sni = None;
    let stream: Box<dyn Stream> = if let Some(config) = tls {
        let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        sni = tls.server_name().map(str::to_owned);
        Box::new(StreamOwned::new(tls, stream))
    } else {
        Box::new(stream)
    };
    let mut wire = Wire::new(stream);
    let result = converse(&mut wire, sni.as_deref(), id, shared);
    wire.stream.finish();
    result
}

fn converse(wire: &mut Wire<Box<dyn Stream>>, sni: Option<&str>, id: usize, shared: &Shared) -> io::Result<()> {
    while let Some(head) = wire.head()? {
        let slot = shared.recording.then(|| shared.record(&head, sni, id));
        let path = head.word(1).split('?').next().unwrap_or_default().to_owned();
        let handler = if shared.recording { lock(&shared.handlers).get(&path).cloned() } else { None };
        let mut exchange = Exchange { head: &head, path: &path, wire, shared, slot, body_read: false };
        let next = match handler {
            Some(handler) => handler(&mut exchange)?,
            None => answers::built_in(&mut exchange)?,
        };
        if next == Next::Close {
            return Ok(());
        }
        exchange.read_body()?;
    }
    Ok(())
}

impl Shared {
    fn record(&self, head: &Head, sni: Option<&str>, connection: usize) -> usize {
        let mut seen = lock(&self.seen);
        seen.push(Seen {
            connection,
            sni: sni.map(str::to_owned),
            method: head.word(0).to_owned(),
            target: head.word(1).to_owned(),
            head: head.clone(),
            ..Seen::default()
        });
        seen.len() - 1
    }
}

/// One request and the way to answer it.
pub struct Exchange<'a> {
    pub head: &'a Head,
    /// The target without its query.
    pub path: &'a str,
    wire: &'a mut Wire<Box<dyn Stream>>,
    shared: &'a Shared,
    slot: Option<usize>,
    body_read: bool,
}

impl Exchange<'_> {
    pub fn method(&self) -> &str {
        self.head.word(0)
    }

    /// Reads the body to its end, after a `100 Continue` where the client waits for one. Empty the second time.
    pub fn read_body(&mut self) -> io::Result<Vec<u8>> {
        if std::mem::replace(&mut self.body_read, true) {
            return Ok(Vec::new());
        }
        if self.head.field("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            self.wire.send("HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let Some(slot) = self.slot else {
            return Ok(self.wire.request_body(self.head, &mut |_| ())?.0);
        };
        let shared = self.shared;
        let mut record = |bytes: &[u8]| lock(&shared.seen)[slot].raw_body.extend_from_slice(bytes);
        let (body, trailers) = self.wire.request_body(self.head, &mut record)?;
        let mut seen = lock(&self.shared.seen);
        seen[slot].body.clone_from(&body);
        seen[slot].trailers = trailers;
        seen[slot].complete = true;
        drop(seen);
        self.shared.arrived.notify_all();
        Ok(body)
    }

    /// What has been read of the body, for answers that are made of it.
    pub fn body_so_far(&self) -> String {
        let seen = lock(&self.shared.seen);
        self.slot.map(|slot| String::from_utf8_lossy(&seen[slot].body).into_owned()).unwrap_or_default()
    }

    /// Reads a body with a length and forgets it.
    pub fn discard_body(&mut self) -> io::Result<u64> {
        let length = self.head.field("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        self.wire.discard(length)?;
        self.body_read = true;
        Ok(length)
    }

    /// Writes these bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.send(bytes)
    }

    /// Reads what comes after the request's head, for protocols that took the connection over.
    pub fn read_line(&mut self) -> io::Result<Vec<u8>> {
        self.wire.line()
    }

    /// The same by length.
    pub fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        self.wire.exactly(length)
    }

    /// Answers with what was asked for.
    pub fn echo(&mut self) -> io::Result<Next> {
        answers::echo(self)
    }

    /// Answers with a length; the body is left out for HEAD.
    pub fn respond(&mut self, status: &str, fields: &str, body: &[u8]) -> io::Result<Next> {
        let mut answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{fields}\r\n", body.len()).into_bytes();
        if self.method() != "HEAD" {
            answer.extend_from_slice(body);
        }
        self.send(answer)?;
        Ok(Next::KeepAlive)
    }

    pub fn respond_json(&mut self, value: &serde_json::Value) -> io::Result<Next> {
        self.respond("200 OK", "content-type: application/json\r\n", value.to_string().as_bytes())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
