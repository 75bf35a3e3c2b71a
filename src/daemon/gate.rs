//! The gate: the only part of the daemon that meets the network.
//!
//! `tiny_http` has no deadlines and no caps, and a failed `accept` ends it for good. So it
//! stands behind this gate, on a few Unix connections that were opened at start-up. The gate accepts, caps the number
//! of connections, gives each head and each body a deadline and a size, reads both strictly, and passes on one clean
//! request at a time: rebuilt from what was parsed, with only the fields that the daemon uses, never pipelined.
//! Which names `Host` may hold is the first thing that [`super::server`] checks.
//!
//! Limits: one thread for each connection that is being served, at most [`limits::DAEMON_CONNECTIONS`]. Beyond that,
//! a connection that idles between requests is closed to make room; if none does, newcomers wait in the kernel's queue.

mod acceptor;
mod framing;
mod links;
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
pub(super) use self::framing::{PEER_FIELD, reason};
pub(super) use self::links::Lane;
use self::links::Links;
use self::seat::{Seat, Seats};
use super::crew::{Crew, Terms};
use super::engine::{Engine, Handler};
use crate::limits;

/// Threads that wait for clients when there are none.
const VISITORS: usize = 4;

/// What a gate allows. The daemon's are [`Limits::default`]; tests shorten them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections served at once.
    pub(super) connections: usize,
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
    /// Dropped after the links to it are.
    _engine: Engine,
}

/// What the threads of a gate share.
struct House {
    limits: Limits,
    seats: Seats,
    links: Links,
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
        let (engine, links) = Engine::start(places, handler)?;
        let house = Arc::new(House { limits, seats: Seats::new(limits.connections), links: Links::new(links)? });
        let served = Arc::clone(&house);
        let terms = Terms { name: "gate-visit", stack: limits::THREAD_STACK_BYTES, core: VISITORS };
        let crew = Crew::new(terms, move |seat: Arc<Seat>| visit::serve(&seat, &served), house.seats.shortage())?;
        let (acceptor, stop) = Acceptor::new(listener)?;
        let seated = Arc::clone(&house);
        let builder = thread::Builder::new().name("gate".to_owned());
        let acceptor = builder.spawn(move || acceptor.run(&seated.seats, crew))?;
        Ok(Self { house, stop, acceptor, _engine: engine })
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
