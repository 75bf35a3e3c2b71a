//! The engine: `tiny_http` behind the gate, and the threads that run the handlers.
//!
//! The Unix listener stands in a private directory only while the links of the gate are opened; then its path is gone,
//! and nobody else can reach it. Links are opened one after the other, each one proved by a request: `tiny_http`'s
//! thread pool loses connections that come in a burst.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{Shutdown, shutdown};
use zeroize::Zeroizing;

use super::crew::{Crew, Terms};
use super::gate::{Lane, PEER_FIELD, reason};
use super::message::{Request, Response};
use crate::clock::Clock;
use crate::http1::{Buffered, Fields, ResponseHead, Version, is_valid_value, read_response};
use crate::limits::{ENGINE_PATIENT_LINKS, ENGINE_QUICK_LINKS, ENGINE_STACK_BYTES};
use crate::paths::{create_private_dir, hex};
use crate::secret::random_bytes;

/// How long the engine may take to answer its first request on a link. It takes microseconds.
const PROOF_DEADLINE: Duration = Duration::from_secs(10);

/// What answers requests.
pub(super) type Handler = dyn Fn(Request) -> Response + Send + Sync;

/// A running engine.
pub(super) struct Engine {
    listener: UnixListener,
    server: Arc<tiny_http::Server>,
    desks: usize,
}

impl Engine {
    /// Starts the engine and opens the gate's links to it. The socket is made in one of `places`, which need not exist.
    ///
    /// # Errors
    /// When no place takes a socket, or the system gives no threads or descriptors.
    pub(super) fn start(places: &[PathBuf], handler: &Arc<Handler>) -> io::Result<(Self, Vec<(Lane, UnixStream)>)> {
        let door = Door::open(places)?;
        let listener = door.listener.try_clone()?;
        let server = tiny_http::Server::from_listener(door.listener.try_clone()?, None).map_err(io::Error::other)?;
        let engine = Self { listener, server: Arc::new(server), desks: desks() };
        engine.hire(handler)?;
        let open = |lane| Ok((lane, prove(UnixStream::connect(&door.path)?)?));
        let links = lanes().map(open).collect::<io::Result<_>>()?;
        Ok((engine, links))
    }

    /// The threads that run handlers. Those at the desks serve the quick lane themselves and pass the patient one on: few
    /// threads that never wait are faster than many, and can never all be waiting for providers.
    fn hire(&self, handler: &Arc<Handler>) -> io::Result<()> {
        let theirs = Arc::clone(handler);
        let terms = Terms { name: "engine-patient", stack: ENGINE_STACK_BYTES, core: 1 };
        let patient = Arc::new(Crew::new(terms, move |request| serve(&*theirs, request), Arc::default())?);
        for _ in 0..self.desks {
            let (server, handler, patient) = (Arc::clone(&self.server), Arc::clone(handler), Arc::clone(&patient));
            let builder = thread::Builder::new().name("engine-quick".to_owned()).stack_size(ENGINE_STACK_BYTES);
            builder.spawn(move || sit(&server, &*handler, &patient))?;
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // `tiny_http` waits in `accept`; this ends it. It fails only when that has ended already.
        let _ = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
        for _ in 0..self.desks {
            self.server.unblock();
        }
    }
}

/// One thread a processor, and one for whoever waits for the disk.
fn desks() -> usize {
    thread::available_parallelism().map_or(2, std::num::NonZero::get).min(8) + 1
}

/// The lane of each link that should be opened: all, or as many as a low limit on descriptors leaves room for.
fn lanes() -> impl Iterator<Item = Lane> {
    /// Descriptors of one link: our end, and what `tiny_http` reads from and writes to.
    const EACH: usize = 3;
    let limit =
        getrlimit(Resource::RLIMIT_NOFILE).map_or(usize::MAX, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX));
    let room = (limit / 2 / EACH).max(2);
    let quick = ENGINE_QUICK_LINKS.min(room / 2);
    let patient = ENGINE_PATIENT_LINKS.min(room - quick);
    std::iter::repeat_n(Lane::Quick, quick).chain(std::iter::repeat_n(Lane::Patient, patient))
}

/// A listener in a fresh private directory; both are gone when this is dropped.
struct Door {
    listener: UnixListener,
    path: PathBuf,
}

impl Door {
    fn open(places: &[PathBuf]) -> io::Result<Self> {
        let mut last = io::Error::other("no place for the engine's socket");
        for place in places {
            match Self::open_in(place) {
                Ok(door) => return Ok(door),
                // A path over 107 bytes, or a file system without sockets.
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn open_in(place: &Path) -> io::Result<Self> {
        let dir = place.join(format!("engine-{}", hex(&random_bytes::<8>())));
        create_private_dir(&dir)?;
        let path = dir.join("s");
        match UnixListener::bind(&path) {
            Ok(listener) => Ok(Self { listener, path }),
            Err(error) => {
                let _ = fs::remove_dir(&dir);
                Err(error)
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Nothing depends on it: the socket stays, the path in a private directory is useless to others.
        let _ = fs::remove_file(&self.path);
        let _ = self.path.parent().map(fs::remove_dir);
    }
}

/// Waits until the engine has taken a link: it answers a request that has no peer with 204.
fn prove(mut link: UnixStream) -> io::Result<UnixStream> {
    link.set_read_timeout(Some(PROOF_DEADLINE))?;
    link.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
    match read_response(&mut Buffered::new(), &mut link) {
        Ok(head) if head.status == 204 => Ok(link),
        _ => Err(io::Error::other("the engine does not answer")),
    }
}

/// Takes requests until the engine ends.
fn sit(server: &tiny_http::Server, handler: &Handler, patient: &Crew<tiny_http::Request>) {
    while let Ok(request) = server.recv() {
        let path = request.url().split('?').next().unwrap_or_default();
        match Lane::of(request.method().as_str(), path) {
            Lane::Patient => drop(patient.hand_out(request)),
            // `server::answer` catches what handlers throw. Should it fail itself, `tiny_http` answers 500.
            Lane::Quick => drop(catch_unwind(AssertUnwindSafe(|| serve(handler, request)))),
        }
    }
}

fn serve(handler: &Handler, mut incoming: tiny_http::Request) {
    let mut body = Zeroizing::new(Vec::with_capacity(incoming.body_length().unwrap_or(0)));
    let was_read = incoming.as_reader().read_to_end(&mut body).is_ok();
    let fields = fields(&incoming);
    let peer = fields.first_str(PEER_FIELD).and_then(|text| text.parse::<SocketAddr>().ok());
    let method = incoming.method().as_str().to_owned();
    let response = match peer {
        Some(peer) if was_read => {
            let target = incoming.url().to_owned();
            handler(Request { method: method.clone(), target, fields, body, peer: Some(peer.ip()) })
        }
        _ => Response { status: 204, fields: Fields::new(), body: Zeroizing::default() },
    };
    // Fails only when the gate has given this link up.
    let _ = send(incoming, &method, response);
}

fn fields(incoming: &tiny_http::Request) -> Fields {
    let mut fields = Fields::new();
    for header in incoming.headers() {
        fields.push(header.field.as_str().as_str(), header.value.as_str());
    }
    fields
}

/// Writes an answer in one piece.
fn send(incoming: tiny_http::Request, method: &str, response: Response) -> io::Result<()> {
    let Response { mut status, mut fields, mut body } = response;
    // A line end in a field would let a value write the rest of the answer.
    if fields.iter().any(|(_, value)| !is_valid_value(value)) {
        (status, fields, body) = (500, Fields::new(), Zeroizing::default());
    }
    fields.push("Date", Clock::system().now().to_http_date());
    if status != 204 {
        fields.set("Content-Length", body.len().to_string());
    }
    let head = ResponseHead { status, reason: reason(status).to_owned(), version: Version::Http11, fields }.to_bytes();
    let mut bytes = Zeroizing::new(Vec::with_capacity(head.len() + body.len()));
    bytes.extend_from_slice(&head);
    if method != "HEAD" {
        bytes.extend_from_slice(&body);
    }
    let mut writer = incoming.into_writer();
    writer.write_all(&bytes)?;
    writer.flush()
}
