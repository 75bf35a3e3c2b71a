//! The engine: `tiny_http` behind the gate.
//!
//! The gate's threads write request lines to the engine over a few links, and take them, read, out of its queue. Whoever
//! hands one in takes one out: the same, or another one with what belongs to that. So nobody waits for a certain thread,
//! and there are always as many to take as there are lines to be taken. Fields, bodies and answers do not go through the
//! engine: they hold credentials, and it has buffers that nobody wipes. A link that carries lines alone is never held up.
//!
//! The Unix listener stands in a private directory only while the links are opened; then its path is gone, and nobody
//! else can reach it. Links are opened one after the other, each one proved by a request: `tiny_http`'s thread pool
//! loses connections that come in a burst.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::{Shutdown, shutdown};
use zeroize::Zeroizing;

use super::serve::log;
use crate::limits::ENGINE_LINKS;
use crate::paths::{create_private_dir, hex};
use crate::secret::random_bytes;

/// The field by which a line finds what belongs to it.
const TICKET_FIELD: &str = "X-Authsome-Ticket";

/// Method and target of a request. The target is in origin form, and both are visible ASCII without white space.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) method: String,
    pub(super) target: String,
}

/// A running engine. A `T` waits outside for each line that is inside.
pub(super) struct Engine<T> {
    listener: UnixListener,
    server: tiny_http::Server,
    /// `None`: broken.
    links: Vec<Mutex<Option<UnixStream>>>,
    patience: Duration,
    tickets: AtomicU64,
    waiting: Mutex<HashMap<u64, Waiting<T>>>,
}

struct Waiting<T> {
    item: T,
    since: Instant,
}

impl<T> Engine<T> {
    /// Starts the engine and opens the links to it. The socket is made in one of `places`, which need not exist. `patience`
    /// is how long the engine may take to read a line.
    ///
    /// # Errors
    /// When no place takes a socket, or the system gives no threads or descriptors.
    pub(super) fn start(places: &[PathBuf], patience: Duration) -> io::Result<Self> {
        let door = Door::open(places)?;
        let listener = door.listener.try_clone()?;
        let server = tiny_http::Server::from_listener(door.listener.try_clone()?, None).map_err(io::Error::other)?;
        let open = |_| open_link(&server, &door.path, patience).map(|link| Mutex::new(Some(link)));
        let links = (0..ENGINE_LINKS).map(open).collect::<io::Result<_>>()?;
        Ok(Self { listener, server, links, patience, tickets: AtomicU64::default(), waiting: Mutex::default() })
    }

    /// Hands a line in with `item` that belongs to it; takes a line out with what belongs to that.
    ///
    /// # Errors
    /// An item whose line was lost.
    pub(super) fn exchange(&self, line: &Line, item: T) -> Result<(Line, T), T> {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        self.waiting().insert(ticket, Waiting { item, since: Instant::now() });
        if self.send(ticket, line).is_none()
            && let Some(waiting) = self.waiting().remove(&ticket)
        {
            return Err(waiting.item);
        }
        self.take()
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Waiting<T>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line to one of the links. `None`: all are broken.
    fn send(&self, ticket: u64, Line { method, target }: &Line) -> Option<()> {
        let (field, number) = (TICKET_FIELD, ticket.to_string());
        // As long as it needs to be from the start: growing would leave copies behind, and a target may hold a token.
        let head = [method, " ", target, " HTTP/1.1\r\n", field, ": ", &number, "\r\n\r\n"].concat();
        let head = Zeroizing::new(head);
        let first = usize::try_from(ticket % self.links.len() as u64).unwrap_or(0);
        for link in self.links[first..].iter().chain(&self.links[..first]) {
            let mut stream = link.lock().unwrap_or_else(PoisonError::into_inner);
            match stream.as_mut().map(|stream| stream.write_all(head.as_bytes())) {
                Some(Ok(())) => return Some(()),
                // What went of it is no whole head, so that another link may have it.
                Some(Err(_)) => *stream = None,
                None => {}
            }
        }
        make_way();
        None
    }

    /// The next line that the engine has read; or an item that has waited too long for its own.
    fn take(&self) -> Result<(Line, T), T> {
        let mut until = Instant::now() + self.patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // An error says that nothing more is accepted: the links are open already.
            if let Ok(Some(request)) = self.server.recv_timeout(left) {
                if let Some(found) = self.claim(request) {
                    return Ok(found);
                }
            } else if Instant::now() >= until {
                match self.overdue() {
                    Ok(item) => return Err(item),
                    Err(due) => until = due,
                }
            }
        }
    }

    /// `None`: nothing waits for this line any more.
    fn claim(&self, request: tiny_http::Request) -> Option<(Line, T)> {
        let ticket = request.headers().first().and_then(|field| field.value.as_str().parse().ok());
        let line = Line { method: request.method().as_str().to_owned(), target: request.url().to_owned() };
        dismiss(request);
        let waiting = self.waiting().remove(&ticket?)?;
        Some((line, waiting.item))
    }

    /// The item that has waited longest, if that is too long; else when it will be.
    fn overdue(&self) -> Result<T, Instant> {
        let mut waiting = self.waiting();
        let oldest = waiting.iter().min_by_key(|(_, waiting)| waiting.since).map(|(ticket, _)| *ticket);
        let Some((ticket, oldest)) = oldest.and_then(|ticket| waiting.remove_entry(&ticket)) else {
            return Err(Instant::now() + self.patience);
        };
        let due = oldest.since + self.patience;
        if due <= Instant::now() {
            return Ok(oldest.item);
        }
        waiting.insert(ticket, oldest);
        Err(due)
    }
}

impl<T> Drop for Engine<T> {
    fn drop(&mut self) {
        // `tiny_http` waits in `accept`; this ends it. It fails only when that has ended already.
        let _ = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
    }
}

/// Lets go of a request without an answer, which nobody would read.
fn dismiss(request: tiny_http::Request) {
    drop(request.into_writer());
}

/// Links cannot be opened again. A daemon that cannot answer ends, so that one that can takes its place.
fn make_way() {
    log("no connection to the engine is left: stopping");
    // It fails only for a process that is not us.
    let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGTERM);
}

/// Opens a link, and waits until the engine has read from it.
fn open_link(server: &tiny_http::Server, path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let mut link = UnixStream::connect(path)?;
    link.set_write_timeout(Some(patience))?;
    link.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
    let proof = server.recv_timeout(patience)?;
    proof.map(dismiss).ok_or_else(|| io::Error::other("the engine does not read"))?;
    Ok(link)
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

#[cfg(test)]
mod tests;
