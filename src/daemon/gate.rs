//! The gate: the only part of the daemon that meets the network.
//!
//! `tiny_http` has no deadlines and no caps, and a failed `accept` ends it for good. So it
//! stands behind this gate, on a few Unix connections that were opened at start-up. The gate accepts, caps the number
//! of connections, gives each head and each body a deadline and a size, reads both strictly, and passes on what was
//! parsed, with only the fields that the daemon uses. Which names `Host` may hold is the first thing that
//! [`super::server`] checks.
//!
//! Limits: as many threads as connections that are being served, at most [`limits::DAEMON_CONNECTIONS`]. Beyond that,
//! a connection that idles between requests is closed to make room; if none does, newcomers wait in the kernel's queue.

mod acceptor;
mod framing;
mod places;
mod refusal;
mod seat;
mod visit;

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use self::acceptor::Acceptor;
pub(super) use self::framing::reason;
use self::places::Places;
use self::seat::{Seat, Seats};
use self::visit::Guest;
use super::crew::{Crew, Terms};
use super::engine::Engine;
use super::message::{Request, Response};
use crate::limits;

/// What answers requests.
pub(super) type Handler = dyn Fn(Request) -> Response + Send + Sync;

/// Threads that wait for clients when there are none.
const VISITORS: usize = 2;

/// What a gate allows. The daemon's are [`Limits::default`]; tests shorten them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections served at once.
    pub(super) connections: usize,
    /// Of these, so many with a request that may wait for a provider.
    pub(super) patient: usize,
    /// From the first byte of a head, or from the accept, to its end.
    pub(super) head: Duration,
    /// From the end of a head to the end of its body.
    pub(super) body: Duration,
    /// Between two requests of one connection.
    pub(super) idle: Duration,
    /// How long a client may take to read an answer.
    pub(super) write: Duration,
    /// Size of a body.
    pub(super) body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: limits::DAEMON_CONNECTIONS,
            patient: limits::DAEMON_PATIENT_REQUESTS,
            head: limits::DAEMON_HEAD_DEADLINE,
            body: limits::DAEMON_BODY_DEADLINE,
            idle: limits::DAEMON_IDLE_DEADLINE,
            write: limits::DAEMON_WRITE_DEADLINE,
            body_bytes: limits::DAEMON_BODY_BYTES,
        }
    }
}

/// A gate that is open, and the engine behind it.
pub(super) struct Gate {
    house: Arc<House>,
    /// Ends the acceptor when it is dropped.
    stop: UnixStream,
    acceptor: JoinHandle<()>,
}

/// What the threads of a gate share.
struct House {
    limits: Limits,
    seats: Seats,
    places: Arc<Places>,
    engine: Engine<Guest>,
    handler: Arc<Handler>,
}

impl Gate {
    /// Opens the gate: requests to `listener` are answered by `handler`. The socket between gate and engine is made,
    /// for a moment, in the first of `places` that takes one.
    ///
    /// # Errors
    /// When the system gives no socket, no descriptor or no thread.
    pub(super) fn start(
        listener: TcpListener,
        places: &[PathBuf],
        limits: Limits,
        handler: &Arc<Handler>,
    ) -> io::Result<Self> {
        let engine = Engine::start(places, limits::ENGINE_DEADLINE)?;
        let (seats, places, handler) =
            (Seats::new(limits.connections), Places::new(limits.patient), Arc::clone(handler));
        let house = Arc::new(House { limits, seats, places, engine, handler });
        let served = Arc::clone(&house);
        let terms = Terms { name: "gate-visit", stack: limits::DAEMON_STACK_BYTES, core: VISITORS };
        let crew = Crew::new(terms, move |seat: Arc<Seat>| visit::serve(seat, &served), house.seats.shortage())?;
        let (acceptor, stop) = Acceptor::new(listener)?;
        let seated = Arc::clone(&house);
        let builder = thread::Builder::new().name("gate".to_owned());
        let acceptor = builder.spawn(move || acceptor.run(&seated.seats, crew))?;
        Ok(Self { house, stop, acceptor })
    }

    /// Closes the gate: no new connections, idle ones end, and requests under way get `grace` to be answered.
    pub(super) fn stop(self, grace: Duration) {
        drop(self.stop);
        // It panics only on a bug, and then it has ended too.
        let _ = self.acceptor.join();
        self.house.seats.close(grace);
    }
}

#[cfg(test)]
mod tests;
